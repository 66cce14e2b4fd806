//! The checkpoint file: the aggregator's state at exact offsets, with a checksum, and the one before it.
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 8 | `DXSTREAM` |
//! | 8 | 4 | version, 2 |
//! | 12 | 4 | CRC32C of the body as stored |
//! | 16 | 8 | bytes of the body as stored (zstd) |
//! | 24 | 8 | bytes of the body unpacked |
//! | 32 | 4 | CRC32C of bytes 0 to 31 |
//! | 36 | … | body |
//!
//! Little-endian. A file that does not match is set aside, never used in part and never overwritten by its successor; the
//! previous one takes its place, and without that the log is read again from its start.

use crate::aggregate::Aggregator;
use crate::encoding::{CorruptState, Reader, Writer};
use crate::venue_marks::VenueMarks;
use proto::LogTopic;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"DXSTREAM";
/// 1: first version. 2: from when on the trades of a key are known.
const VERSION: u32 = 2;
const HEADER: usize = 36;
/// Largest state that is unpacked.
const UNPACKED_LIMIT: u64 = 8 << 30;
const PACK_LEVEL: i32 = 1;

const CURRENT: &str = "checkpoint";
const PREVIOUS: &str = "checkpoint.previous";
const UNFINISHED: &str = "checkpoint.new";
const SET_ASIDE: &str = "checkpoint.damaged";

/// The next offset of each partition of `norm.tick` and `norm.ohlc`.
pub type Positions = BTreeMap<(LogTopic, u32), u64>;

/// Everything that the aggregator knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Records before these are in the state, later ones are not.
    pub positions: Positions,
    /// By partition of `norm.tick`.
    pub partitions: Vec<Aggregator>,
    /// Windows that venue candles touched.
    pub marks: VenueMarks,
}

/// Why a file is not a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a checkpoint, or cut short.
    #[error("{path}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not match.
        what: &'static str,
    },
    /// Of a version that this program does not read.
    #[error("{path}: version {version} is unknown")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The checksum matches but the content is none that this program writes.
    #[error("{path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Where.
        source: CorruptState,
    },
}

/// Packs a state; the parts are borrowed so that the aggregator need not be copied.
#[must_use]
pub fn encode_state(positions: &Positions, partitions: &[&Aggregator], marks: &VenueMarks) -> Vec<u8> {
    let mut out = Writer::new();
    out.count(positions.len());
    for ((topic, partition), next) in positions {
        out.text(topic.name());
        out.u32(*partition);
        out.u64(*next);
    }
    marks.encode(&mut out);
    out.count(partitions.len());
    for partition in partitions {
        partition.encode(&mut out);
    }
    out.finish()
}

fn decode_state(bytes: &[u8], marks_per_series: usize) -> Result<State, CorruptState> {
    let mut input = Reader::new(bytes);
    let mut positions = Positions::new();
    for _ in 0..input.count(20)? {
        let name = input.text()?;
        let topic = LogTopic::ALL.into_iter().find(|t| t.name() == name).ok_or_else(|| input.corrupt("topic"))?;
        positions.insert((topic, input.u32()?), input.u64()?);
    }
    let marks = VenueMarks::decode(marks_per_series, &mut input)?;
    let mut partitions = Vec::new();
    for _ in 0..input.count(100)? {
        partitions.push(Aggregator::decode(&mut input)?);
    }
    input.end()?;
    Ok(State { positions, partitions, marks })
}

/// A file's bytes for an unpacked body.
fn pack(body: &[u8]) -> io::Result<Vec<u8>> {
    let packed = zstd::bulk::compress(body, PACK_LEVEL)?;
    let mut file = Vec::with_capacity(HEADER + packed.len());
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&crc32c::crc32c(&packed).to_le_bytes());
    file.extend_from_slice(&(packed.len() as u64).to_le_bytes());
    file.extend_from_slice(&(body.len() as u64).to_le_bytes());
    file.extend_from_slice(&crc32c::crc32c(&file).to_le_bytes());
    file.extend_from_slice(&packed);
    Ok(file)
}

fn unpack(path: &Path, file: &[u8]) -> Result<Vec<u8>, CheckpointError> {
    let damaged = |what| CheckpointError::Damaged { path: path.to_owned(), what };
    let (header, packed) = file.split_at_checked(HEADER).ok_or_else(|| damaged("shorter than its header"))?;
    let word = |at: usize| header[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
    let long = |at: usize| header[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
    if &header[..8] != MAGIC {
        return Err(damaged("not a checkpoint"));
    }
    if word(32) != crc32c::crc32c(&header[..32]) {
        return Err(damaged("checksum of the header"));
    }
    if word(8) != VERSION {
        return Err(CheckpointError::Version { path: path.to_owned(), version: word(8) });
    }
    if long(16) != packed.len() as u64 {
        return Err(damaged("length"));
    }
    if word(12) != crc32c::crc32c(packed) {
        return Err(damaged("checksum of the body"));
    }
    let length = long(24);
    if length > UNPACKED_LIMIT {
        return Err(damaged("unpacked length"));
    }
    let capacity = usize::try_from(length).map_err(|_| damaged("unpacked length"))?;
    let body = zstd::bulk::decompress(packed, capacity).map_err(|_| damaged("compression"))?;
    if body.len() == capacity { Ok(body) } else { Err(damaged("unpacked length")) }
}

/// What [`CheckpointStore::load`] found.
#[derive(Debug)]
pub struct Loaded {
    /// The newest usable state.
    pub state: Option<State>,
    /// What could not be used, newest first. Not empty with a state: the previous one took over.
    pub unusable: Vec<CheckpointError>,
}

/// The directory that holds the checkpoints.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    dir: PathBuf,
    marks_per_series: usize,
}

impl CheckpointStore {
    /// Checkpoints in `dir`, which exists.
    #[must_use]
    pub fn new(dir: &Path, marks_per_series: usize) -> Self {
        Self { dir: dir.to_owned(), marks_per_series }
    }

    /// Reads the newest usable state.
    #[must_use]
    pub fn load(&self) -> Loaded {
        let mut loaded = Loaded { state: None, unusable: Vec::new() };
        for name in [CURRENT, PREVIOUS] {
            let path = self.dir.join(name);
            let file = match fs::read(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    self.set_aside(&path, &mut loaded.unusable);
                    loaded.unusable.push(CheckpointError::Io { path, source });
                    continue;
                }
            };
            let state = unpack(&path, &file).and_then(|body| {
                decode_state(&body, self.marks_per_series)
                    .map_err(|source| CheckpointError::Content { path: path.clone(), source })
            });
            match state {
                Ok(state) => {
                    loaded.state = Some(state);
                    break;
                }
                Err(error) => {
                    loaded.unusable.push(error);
                    self.set_aside(&path, &mut loaded.unusable);
                }
            }
        }
        loaded
    }

    /// Moves a damaged file away, so that the next checkpoint does not make it the previous one.
    fn set_aside(&self, path: &Path, unusable: &mut Vec<CheckpointError>) {
        if let Err(source) = fs::rename(path, self.dir.join(SET_ASIDE)) {
            unusable.push(CheckpointError::Io { path: path.to_owned(), source });
        }
    }

    /// Makes `body` (of [`encode_state`]) the current checkpoint and keeps the one before. Durable on return; a crash at
    /// any point leaves a usable one. Returns the bytes written. Blocks.
    ///
    /// # Errors
    /// If the disk refuses; the current checkpoint is then unchanged or complete.
    pub fn save(&self, body: &[u8]) -> Result<u64, CheckpointError> {
        let at = |name: &str| self.dir.join(name);
        let new = at(UNFINISHED);
        let error = |path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Io { path, source }
        };
        let file = pack(body).map_err(error(&new))?;
        let mut out = File::create(&new).map_err(error(&new))?;
        out.write_all(&file).and_then(|()| out.sync_all()).map_err(error(&new))?;
        let current = at(CURRENT);
        match fs::rename(&current, at(PREVIOUS)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(error(&current)(source)),
            _ => {}
        }
        fs::rename(&new, &current).map_err(error(&new))?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(error(&self.dir))?;
        Ok(file.len() as u64)
    }
}

#[cfg(test)]
mod tests;
