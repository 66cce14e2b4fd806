//! Little-endian primitives of the checkpoint. Reading never panics and never allocates more than the input can hold.

/// The bytes are not what was written: cut short, or a value that no writer produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("checkpoint content: {what} at {left} bytes before the end")]
pub struct CorruptState {
    /// What was being read.
    pub what: &'static str,
    /// Bytes that were left.
    pub left: usize,
}

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i128(&mut self, value: i128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A length; all collections here are bounded far below 2^64.
    pub(crate) fn count(&mut self, value: usize) {
        self.u64(value as u64);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Takes values from a buffer in the order they were written.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn corrupt(&self, what: &'static str) -> CorruptState {
        CorruptState { what, left: self.0.len() }
    }

    /// Refuses bytes behind the last value.
    pub(crate) fn end(self) -> Result<(), CorruptState> {
        if self.0.is_empty() { Ok(()) } else { Err(self.corrupt("trailing bytes")) }
    }

    fn word<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CorruptState> {
        let (word, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| self.corrupt(what))?;
        self.0 = rest;
        Ok(*word)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, CorruptState> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt("flag")),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CorruptState> {
        Ok(self.word::<1>("u8")?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CorruptState> {
        Ok(u32::from_le_bytes(self.word("u32")?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, CorruptState> {
        Ok(u64::from_le_bytes(self.word("u64")?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, CorruptState> {
        Ok(u128::from_le_bytes(self.word("u128")?))
    }

    pub(crate) fn i128(&mut self) -> Result<i128, CorruptState> {
        Ok(i128::from_le_bytes(self.word("i128")?))
    }

    /// A length, checked against what can still follow when each item takes at least `item_bytes`.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, CorruptState> {
        let count = usize::try_from(self.u64()?).map_err(|_| self.corrupt("count"))?;
        match count.checked_mul(item_bytes.max(1)) {
            Some(bytes) if bytes <= self.0.len() => Ok(count),
            _ => Err(self.corrupt("count")),
        }
    }

    pub(crate) fn blob(&mut self) -> Result<&'a [u8], CorruptState> {
        let length = self.count(1)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(|| self.corrupt("bytes"))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CorruptState> {
        std::str::from_utf8(self.blob()?).map_err(|_| self.corrupt("text"))
    }

    /// A text that is an identifier.
    pub(crate) fn id<T: std::str::FromStr>(&mut self, what: &'static str) -> Result<T, CorruptState> {
        self.text()?.parse().map_err(|_| self.corrupt(what))
    }
}
