//! The RLE / bit-packed hybrid of the Parquet format, as dictionary pages use it.

use super::delta::varint;

/// Bits a key needs when the dictionary has `words` entries.
pub(super) fn width(words: usize) -> u8 {
    (usize::BITS - words.saturating_sub(1).leading_zeros()).to_le_bytes()[0].max(1)
}

/// Appends a dictionary data page: the bit width, then a run for each of `runs`, which are keys with their counts.
pub(super) fn encode_runs(runs: &[(u32, usize)], width: u8, out: &mut Vec<u8>) {
    out.push(width);
    for (key, count) in runs {
        varint((*count as u64) << 1, out);
        out.extend_from_slice(&key.to_le_bytes()[..usize::from(width.div_ceil(8))]);
    }
}

/// Appends a dictionary data page: the bit width, then one run if all keys are equal, else one packed run.
pub(super) fn encode(keys: &[u32], width: u8, out: &mut Vec<u8>) {
    out.push(width);
    let Some((&first, rest)) = keys.split_first() else { return };
    if rest.iter().all(|key| *key == first) {
        varint((keys.len() as u64) << 1, out);
        out.extend_from_slice(&first.to_le_bytes()[..usize::from(width.div_ceil(8))]);
        return;
    }
    let groups = keys.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let start = out.len();
    match width {
        8 => out.extend(keys.iter().map(|key| key.to_le_bytes()[0])),
        16 => out.extend(keys.iter().flat_map(|key| [key.to_le_bytes()[0], key.to_le_bytes()[1]])),
        _ => pack(keys, u32::from(width), out),
    }
    out.resize(start + groups * usize::from(width), 0);
}

/// Packs keys of `width` bits, least significant bit first.
fn pack(keys: &[u32], width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u64, 0u32);
    for key in keys {
        bits |= u64::from(*key) << held;
        held += width;
        if held >= u32::BITS {
            out.extend_from_slice(&bits.to_le_bytes()[..4]);
            bits >>= u32::BITS;
            held -= u32::BITS;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held.div_ceil(8) as usize]);
}
