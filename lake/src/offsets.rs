//! Where rows came from: offsets of the event log, as a commit carries them.

use std::collections::BTreeMap;
use std::fmt;

/// A partition of a topic of the event log.
pub type SourcePartition = (String, u32);

/// First and last offset, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetRange {
    /// First offset.
    pub first: u64,
    /// Last offset, not below `first`.
    pub last: u64,
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The offsets that one commit covers, one range a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceOffsets(BTreeMap<SourcePartition, OffsetRange>);

impl SourceOffsets {
    /// Covers nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds an offset: the range of its partition grows to include it.
    pub fn add(&mut self, topic: &str, partition: u32, offset: u64) {
        self.add_range(topic, partition, OffsetRange { first: offset, last: offset });
    }

    /// Adds a range: the range of its partition grows to include it.
    pub fn add_range(&mut self, topic: &str, partition: u32, range: OffsetRange) {
        let key = (topic.to_owned(), partition);
        let entry = self.0.entry(key).or_insert(range);
        entry.first = entry.first.min(range.first);
        entry.last = entry.last.max(range.last);
    }

    /// The ranges, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&SourcePartition, &OffsetRange)> {
        self.0.iter()
    }

    /// True if no partition is covered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(SourcePartition, OffsetRange)> for SourceOffsets {
    fn from_iter<I: IntoIterator<Item = (SourcePartition, OffsetRange)>>(ranges: I) -> Self {
        let mut offsets = Self::new();
        for ((topic, partition), range) in ranges {
            offsets.add_range(&topic, partition, range);
        }
        offsets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_grows_to_include_each_offset() {
        let mut offsets = SourceOffsets::new();
        for offset in [7, 5, 9] {
            offsets.add("norm.tick", 3, offset);
        }
        offsets.add("norm.tick", 0, 1);
        let ranges: Vec<_> = offsets.iter().map(|((t, p), r)| format!("{t}/{p}={r}")).collect();
        assert_eq!(ranges, ["norm.tick/0=1-1", "norm.tick/3=5-9"]);
    }
}
