//! Files of the log: reads and writes at positions, and errors that name the file.

use crate::{LogError, Result};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// An open file and its name.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    path: PathBuf,
}

impl LogFile {
    /// Opens for reading and writing and creates the file if it is missing.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(|e| LogError::io("create", path, e))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Opens for reading and writing; `None` if there is no such file.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Ok(Some(Self { file, path: path.to_owned() })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(LogError::io("open", path, e)),
        }
    }

    /// The name it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Damage at a byte of this file.
    pub(crate) fn corrupt(&self, byte: u64, reason: &'static str) -> LogError {
        LogError::Corrupt { file: self.path.clone(), byte, reason }
    }

    /// Length now.
    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| self.failed("stat", e))?.len())
    }

    /// Writes all bytes. After an error any part of them may be there: the caller truncates.
    pub(crate) fn write_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        #[cfg(test)]
        super::faults::write(&self.path, bytes.len(), |room| self.file.write_all_at(&bytes[..room], position))
            .map_err(|e| self.failed("write", e))?;
        self.file.write_all_at(bytes, position).map_err(|e| self.failed("write", e))
    }

    /// Reads until the buffer is full or the file ends, and waits for the disk if it must.
    pub(crate) fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], position + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed("read", e)),
            }
        }
        Ok(done)
    }

    /// Reads what the page cache has, without waiting for the disk; `None` if it has nothing.
    pub(crate) fn read_cached_at(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>> {
        let got = rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(buffer)], position, ReadWriteFlags::NOWAIT);
        match got {
            Ok(n) => Ok(Some(n)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            // A file system without RWF_NOWAIT: the read goes to a thread that may wait.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(e) => Err(self.failed("read", e.into())),
        }
    }

    /// fdatasync. After an error nobody knows what is on disk: never call it again for the same data.
    pub(crate) fn sync(&self) -> Result<()> {
        #[cfg(test)]
        super::faults::sync(&self.path).map_err(|e| self.failed("fdatasync", e))?;
        self.file.sync_data().map_err(|e| self.failed("fdatasync", e))
    }

    /// Cuts the file.
    pub(crate) fn truncate(&self, len: u64) -> Result<()> {
        #[cfg(test)]
        super::faults::truncate(&self.path).map_err(|e| self.failed("truncate", e))?;
        self.file.set_len(len).map_err(|e| self.failed("truncate", e))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> LogError {
        LogError::io(action, &self.path, source)
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| LogError::io("sync directory", dir, e))
}

/// Creates a directory and its parents below `root`, durably.
pub(crate) fn create_dir(root: &Path, dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|e| LogError::io("create directory", dir, e))?;
    for parent in dir.ancestors().skip(1) {
        sync_dir(parent)?;
        if parent == root {
            break;
        }
    }
    Ok(())
}

/// Replaces a small file so that a crash leaves the old or the new content.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let fresh = path.with_added_extension("tmp");
    let write = || -> io::Result<()> {
        fs::write(&fresh, bytes)?;
        if durable {
            File::open(&fresh)?.sync_all()?;
        }
        fs::rename(&fresh, path)
    };
    if let Err(error) = write() {
        remove(&fresh)?;
        return Err(LogError::io("replace", path, error));
    }
    if durable {
        path.parent().map_or(Ok(()), sync_dir)?;
    }
    Ok(())
}

/// Deletes a file; a file that is not there is deleted already.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(LogError::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// When a file was last written, ns since the epoch, and its length; `None` if it is not there.
pub(crate) fn stat(path: &Path) -> Result<Option<FileFacts>> {
    let facts = fs::metadata(path).and_then(|m| Ok(FileFacts { bytes: m.len(), modified: m.modified()? }));
    match facts {
        Ok(facts) => Ok(Some(facts)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(LogError::io("stat", path, e)),
    }
}

/// What the file system knows about a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileFacts {
    /// Length.
    pub(crate) bytes: u64,
    /// Time of the last write.
    pub(crate) modified: std::time::SystemTime,
}

impl FileFacts {
    /// Time of the last write, ns since the epoch.
    pub(crate) fn modified_ns(&self) -> u64 {
        let since = self.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
