//! Answers kept on disk: what a snapshot holds never changes, so a file of one needs no second transfer.
//!
//! Bounded in bytes, the oldest go first. A file is checked each time it is used, and dropped if it is damaged.

use super::framing::{Framing, Summary};
use super::partial::Partial;
use super::{MarketDataError, Query};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const CHUNK: usize = 256 << 10;
const SUFFIX: &str = "arrow";

/// Where and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// A directory of its own; created if absent.
    pub dir: PathBuf,
    /// Bytes of all files together.
    pub max_bytes: u64,
}

impl CacheConfig {
    fn place(&self, query: &Query, snapshot: i64) -> PathBuf {
        let key = format!("{}|{snapshot}", query.identity());
        let digest = Sha256::digest(key.as_bytes());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name).with_extension(SUFFIX)
    }

    /// Copies an answer to `target` if it is here and whole.
    pub(super) async fn take(
        &self,
        (query, snapshot): (&Query, i64),
        target: &Path,
    ) -> Result<Option<Summary>, MarketDataError> {
        let place = self.place(query, snapshot);
        if !tokio::fs::try_exists(&place).await.unwrap_or(false) {
            return Ok(None);
        }
        let (partial, file) = Partial::create(target).await?;
        let file = file.into_std().await;
        let copied = {
            let place = place.clone();
            tokio::task::spawn_blocking(move || copy(&place, file)).await
        };
        match copied {
            Ok(Ok(Some(summary))) => {
                partial.keep(target)?;
                Ok(Some(summary))
            }
            Ok(Ok(None)) => {
                tracing::warn!(path = %place.display(), "a cached answer is damaged and dropped");
                fs::remove_file(&place).map_err(MarketDataError::io(&place))?;
                Ok(None)
            }
            Ok(Err(source)) => Err(MarketDataError::Io { path: partial.path().to_owned(), source }),
            Err(_) => Ok(None),
        }
    }

    /// Keeps a copy of a whole answer. Failing to costs a transfer later, so it is only logged.
    pub(super) async fn put(&self, (query, snapshot): (&Query, i64), from: &Path) {
        let (config, place, from) = (self.clone(), self.place(query, snapshot), from.to_owned());
        let kept = tokio::task::spawn_blocking(move || config.store(&from, &place)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, "an answer cannot be cached");
        }
    }

    fn store(&self, from: &Path, place: &Path) -> std::io::Result<()> {
        let bytes = fs::metadata(from)?.len();
        if bytes > self.max_bytes {
            return Ok(());
        }
        fs::create_dir_all(&self.dir)?;
        self.make_room(bytes)?;
        let new = place.with_extension(format!("{}.new", ulid::Ulid::generate()));
        fs::copy(from, &new).and_then(|_| fs::rename(&new, place)).inspect_err(|_| drop(fs::remove_file(&new)))
    }

    /// Removes the oldest files until `bytes` more fit.
    fn make_room(&self, bytes: u64) -> std::io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let known = entry.metadata()?;
            if known.is_file() {
                files.push((known.modified()?, entry.path(), known.len()));
            }
        }
        files.sort_unstable();
        let mut total: u64 = files.iter().map(|(_, _, length)| length).sum();
        for (_, path, length) in files {
            if total.saturating_add(bytes) <= self.max_bytes {
                break;
            }
            fs::remove_file(&path)?;
            total -= length;
        }
        Ok(())
    }
}

/// Copies a file; `None` if it is no whole stream.
fn copy(from: &Path, mut to: fs::File) -> std::io::Result<Option<Summary>> {
    let mut source = fs::File::open(from)?;
    let (mut framing, mut buffer) = (Framing::new(), vec![0; CHUNK]);
    loop {
        let length = source.read(&mut buffer)?;
        if length == 0 {
            return Ok(framing.finish().ok());
        }
        if framing.feed(&buffer[..length]).is_err() {
            return Ok(None);
        }
        to.write_all(&buffer[..length])?;
    }
}
