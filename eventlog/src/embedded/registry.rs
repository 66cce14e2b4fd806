//! Topics on disk: `<topic>/topic.json` (the spec and its checksum) beside the partition directories.

use super::disk;
use super::file_lock::FileLock;
use crate::model::check_name;
use crate::{LogError, Result, TopicSpec};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const SPEC_FILE: &str = "topic.json";
const CHECKSUM: &str = "\ncrc32c=";

/// Directory of a topic.
pub(crate) fn topic_dir(root: &Path, topic: &str) -> PathBuf {
    root.join(topic)
}

/// Directory of a partition.
pub(crate) fn partition_dir(root: &Path, topic: &str, partition: u32) -> PathBuf {
    root.join(topic).join(partition.to_string())
}

/// The spec of a topic, if it exists.
pub(crate) fn load(root: &Path, topic: &str) -> Result<Option<TopicSpec>> {
    check_name(topic)?;
    let path = topic_dir(root, topic).join(SPEC_FILE);
    let text = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(LogError::io("read", &path, e)),
    };
    let spec = decode(&text).filter(|spec| spec.name == topic && spec.validate().is_ok());
    spec.map_or(Err(LogError::Corrupt { file: path, byte: 0, reason: "the topic's spec or its checksum" }), |s| {
        Ok(Some(s))
    })
}

/// Names of all topics.
pub(crate) fn names(root: &Path) -> Result<Vec<String>> {
    let failed = |e| LogError::io("list", root, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if check_name(&name).is_ok() && entry.path().join(SPEC_FILE).is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Creates a topic or adopts the new settings of one that exists. Between processes one at a time.
pub(crate) fn create(root: &Path, spec: &TopicSpec) -> Result<()> {
    spec.validate()?;
    let lock = FileLock::open(&root.join(".registry.lock"))?;
    let _held = lock.exclusive()?;
    let existing = load(root, &spec.name)?;
    if let Some(existing) = &existing
        && existing.partitions != spec.partitions
    {
        return Err(LogError::PartitionsDiffer {
            topic: spec.name.clone(),
            existing: existing.partitions,
            wanted: spec.partitions,
        });
    }
    if existing.as_ref() == Some(spec) {
        return Ok(());
    }
    for partition in 0..spec.partitions {
        disk::create_dir(root, &partition_dir(root, &spec.name, partition))?;
    }
    // The spec comes last: a topic that has one has all its directories.
    disk::write_atomically(&topic_dir(root, &spec.name).join(SPEC_FILE), &encode(spec), true)
}

fn encode(spec: &TopicSpec) -> Vec<u8> {
    // A struct of strings, numbers and options always has a JSON form.
    let json = serde_json::to_string(spec).unwrap_or_default();
    let crc = crc32c::crc32c(json.as_bytes());
    format!("{json}{CHECKSUM}{crc:08x}\n").into_bytes()
}

fn decode(bytes: &[u8]) -> Option<TopicSpec> {
    let (json, crc) = std::str::from_utf8(bytes).ok()?.split_once(CHECKSUM)?;
    let stored = u32::from_str_radix(crc.strip_suffix('\n')?, 16).ok()?;
    if stored != crc32c::crc32c(json.as_bytes()) {
        return None;
    }
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::LogTopic;

    #[test]
    fn a_damaged_spec_is_an_error_and_never_another_spec() {
        let dir = tempfile::tempdir().unwrap();
        let spec = crate::topics::spec(LogTopic::NormTick);
        create(dir.path(), &spec).unwrap();
        assert_eq!(load(dir.path(), "norm.tick").unwrap(), Some(spec));
        let path = dir.path().join("norm.tick/topic.json");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for damage in [1, 0x20, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= damage;
                fs::write(&path, &damaged).unwrap();
                // The checksum's hex digits may change their case: the same number.
                let same = load(dir.path(), "norm.tick").is_ok_and(|s| s == decode(&whole));
                assert!(same == (damaged.eq_ignore_ascii_case(&whole) && at > whole.len() - 10), "byte {at}");
            }
            fs::write(&path, &whole[..at]).unwrap();
            assert!(load(dir.path(), "norm.tick").is_err(), "cut at {at}");
        }
    }
}
