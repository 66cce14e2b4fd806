//! flock(2) between processes: each [`FileLock`] is one open file, so it also excludes a second log in this process.

use crate::{LogError, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// A lock file.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
    path: PathBuf,
}

/// The lock is held until this is dropped. The kernel frees it when the process dies.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a File);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Unlocking a lock that is held cannot fail; closing the file would free it too.
        drop(self.0.unlock());
    }
}

impl FileLock {
    /// Opens or creates the lock file without locking it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        Ok(Self { file: file.map_err(|e| LogError::io("open lock", path, e))?, path: path.to_owned() })
    }

    /// Waits for the lock. Blocks the thread.
    pub(crate) fn exclusive(&self) -> Result<Held<'_>> {
        self.file.lock().map_err(|e| LogError::io("lock", &self.path, e))?;
        Ok(Held(&self.file))
    }

    /// Takes the lock if nobody has it.
    pub(crate) fn try_exclusive(&self) -> Result<Option<Held<'_>>> {
        Ok(self.taken(self.file.try_lock())?.then_some(Held(&self.file)))
    }

    fn taken(&self, outcome: std::result::Result<(), TryLockError>) -> Result<bool> {
        match outcome {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(LogError::io("lock", &self.path, e)),
        }
    }
}

/// Holds a directory for the life of the log: alone, or together with others that share it.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    // The lock lives as long as the open file.
    _lock: FileLock,
}

impl DirectoryLock {
    /// Takes the directory.
    pub(crate) fn take(dir: &Path, shared: bool) -> Result<Self> {
        let lock = FileLock::open(&dir.join(".lock"))?;
        let outcome = if shared { lock.file.try_lock_shared() } else { lock.file.try_lock() };
        if lock.taken(outcome)? { Ok(Self { _lock: lock }) } else { Err(LogError::InUse { dir: dir.to_owned() }) }
    }
}
