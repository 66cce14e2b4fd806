//! A text column without much repetition, and its DELTA_BYTE_ARRAY encoding: shared prefix with the row before, then the rest.

use super::delta;
use std::ops::Range;

/// Texts end to end, at most 4 GiB: the fan-out bounds rows and their length.
#[derive(Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Text {
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(offset(self.bytes.len()));
    }

    pub(crate) fn append(&mut self, other: &Self) {
        let base = offset(self.bytes.len());
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| base + end));
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start as usize..self.ends[row] as usize]
    }

    /// Least and greatest of `rows`.
    pub(super) fn bounds(&self, rows: Range<usize>) -> (&[u8], &[u8]) {
        let first = self.get(rows.start);
        rows.fold((first, first), |(least, greatest), row| {
            let text = self.get(row);
            (least.min(text), greatest.max(text))
        })
    }

    /// Appends the encoding of `rows` to `out`.
    pub(super) fn encode(&self, rows: Range<usize>, out: &mut Vec<u8>) {
        let (mut prefixes, mut lengths) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut suffixes = Vec::with_capacity(rows.len() * 2);
        let mut before: &[u8] = &[];
        for row in rows {
            let text = self.get(row);
            let shared = shared_prefix(before, text);
            prefixes.push(shared as i64);
            lengths.push((text.len() - shared) as i64);
            match &text[shared..] {
                // Contiguous numbers mostly differ in their last digit.
                [digit] => suffixes.push(*digit),
                rest => suffixes.extend_from_slice(rest),
            }
            before = text;
        }
        delta::encode(&prefixes, out);
        delta::encode(&lengths, out);
        out.extend_from_slice(&suffixes);
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("2^24 rows of at most 64 bytes")
}

/// Length of the shared prefix, eight bytes at a time.
fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut shared = 0;
    let (mut eights_a, mut eights_b) = (a.chunks_exact(8), b.chunks_exact(8));
    for (x, y) in eights_a.by_ref().zip(eights_b.by_ref()) {
        let differing = word(x) ^ word(y);
        if differing != 0 {
            return shared + (differing.trailing_zeros() / 8) as usize;
        }
        shared += 8;
    }
    shared + a[shared..].iter().zip(&b[shared..]).take_while(|(x, y)| x == y).count()
}

fn word(eight: &[u8]) -> u64 {
    eight.try_into().map_or(0, u64::from_le_bytes)
}
