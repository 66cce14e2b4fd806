//! Committed offsets of groups: one small file per group and partition, `.groups/<group>/<topic>/<partition>.offset`.
//!
//! A file has two slots in blocks of their own. A commit writes the older slot and syncs it, so that a crash at any moment
//! leaves the other one. Slot: magic 8, sequence u64, offset u64, crc32c u32 of the 24 bytes before (little-endian).

use super::disk::{self, LogFile};
use super::file_lock::FileLock;
use super::record::{u32_at, u64_at};
use crate::Result;
use crate::metrics::Metrics;
use crate::model::check_name;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"dxoff\0\0\x01";
const SLOT: usize = 28;
/// Distance of the slots: what a disk may tear or lose at once.
const BLOCK: u64 = 4096;

/// The committed offsets of all groups.
#[derive(Debug)]
pub(crate) struct Offsets {
    /// The log directory.
    root: PathBuf,
    metrics: Arc<Metrics>,
}

/// A slot that passed its checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    sequence: u64,
    offset: u64,
}

/// What a slot's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Never,
    Whole(Slot),
    Damaged,
}

impl Offsets {
    /// The offsets below a log directory.
    pub(crate) fn new(root: &Path, metrics: Arc<Metrics>) -> Self {
        Self { root: root.to_owned(), metrics }
    }

    fn path(&self, group: &str, topic: &str, partition: u32) -> Result<PathBuf> {
        check_name(group)?;
        Ok(self.root.join(".groups").join(group).join(topic).join(format!("{partition}.offset")))
    }

    /// The group's offset, if it ever committed one. Blocks for a file read.
    pub(crate) fn read(&self, group: &str, topic: &str, partition: u32) -> Result<Option<u64>> {
        let Some(file) = LogFile::open(&self.path(group, topic, partition)?)? else { return Ok(None) };
        Ok(self.newest(&file)?.map(|(_slot, state)| state.offset))
    }

    /// Stores the group's offset durably. Blocks for an fdatasync.
    pub(crate) fn write(&self, group: &str, topic: &str, partition: u32, offset: u64) -> Result<()> {
        let path = self.path(group, topic, partition)?;
        let dir = path.parent().unwrap_or(&self.root);
        disk::create_dir(&self.root, dir)?;
        let lock = FileLock::open(&path.with_extension("lock"))?;
        let _held = lock.exclusive()?;
        let fresh = !path.exists();
        let file = LogFile::create(&path)?;
        let newest = self.newest(&file)?;
        let (slot, sequence) = newest.map_or((0, 1), |(slot, state)| (1 - slot, state.sequence + 1));
        file.write_at(&encode(Slot { sequence, offset }), slot * BLOCK)?;
        file.sync()?;
        if fresh { disk::sync_dir(dir) } else { Ok(()) }
    }

    /// The newer whole slot and its number.
    fn newest(&self, file: &LogFile) -> Result<Option<(u64, Slot)>> {
        let mut slots = [Read::Never; 2];
        for (number, slot) in (0..).zip(&mut slots) {
            let mut bytes = [0; SLOT];
            let read = file.read_at(&mut bytes, number * BLOCK)?;
            *slot = decode(&bytes[..read]);
        }
        let newest = match slots {
            [Read::Whole(a), Read::Whole(b)] if a.sequence < b.sequence => Some((1, b)),
            [Read::Whole(a), _] => Some((0, a)),
            [_, Read::Whole(b)] => Some((1, b)),
            [Read::Never, Read::Never] => None,
            _ => return Err(file.corrupt(0, "no committed offset passes its checksum")),
        };
        if slots.contains(&Read::Damaged) {
            self.metrics.commits_recovered.add(1);
            tracing::warn!(file = %file.path().display(), "a commit is damaged, the one before it is used");
        }
        Ok(newest)
    }
}

fn encode(slot: Slot) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&slot.sequence.to_le_bytes());
    bytes[16..24].copy_from_slice(&slot.offset.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..24]);
    bytes[24..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Read {
    if bytes.iter().all(|b| *b == 0) {
        return Read::Never;
    }
    if bytes.len() < SLOT || bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..24]) != u32_at(bytes, 24) {
        return Read::Damaged;
    }
    Read::Whole(Slot { sequence: u64_at(bytes, 8), offset: u64_at(bytes, 16) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets() -> (tempfile::TempDir, Offsets) {
        let dir = tempfile::tempdir().unwrap();
        let offsets = Offsets::new(dir.path(), Arc::default());
        (dir, offsets)
    }

    #[test]
    fn the_last_commit_is_read_back_also_if_it_goes_back() {
        let (_dir, offsets) = offsets();
        assert_eq!(offsets.read("g", "t", 0).unwrap(), None);
        for offset in [5, 9, 9, 2, 100] {
            offsets.write("g", "t", 0, offset).unwrap();
            assert_eq!(offsets.read("g", "t", 0).unwrap(), Some(offset));
        }
        assert_eq!(offsets.read("g", "t", 1).unwrap(), None);
        assert_eq!(offsets.read("other", "t", 0).unwrap(), None);
    }

    #[test]
    fn every_damaged_byte_gives_the_commit_before_and_never_a_wrong_offset() {
        let (_dir, offsets) = offsets();
        offsets.write("g", "t", 0, 100).unwrap();
        offsets.write("g", "t", 0, 200).unwrap();
        let path = offsets.path("g", "t", 0).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in (0..SLOT).chain(4096..4096 + SLOT) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let expected = if at < SLOT { 200 } else { 100 };
            assert_eq!(offsets.read("g", "t", 0).unwrap(), Some(expected), "byte {at}");
        }
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            match offsets.read("g", "t", 0) {
                Ok(Some(offset)) => assert!(len >= SLOT && offset == 100, "cut at {len}"),
                Ok(None) => assert_eq!(len, 0),
                Err(error) => assert!(error.is_damage() && len < SLOT, "cut at {len}"),
            }
        }
    }

    #[test]
    fn a_group_name_cannot_leave_the_directory() {
        let (_dir, offsets) = offsets();
        assert!(offsets.write("../x", "t", 0, 1).is_err());
    }
}
