//! A disk that fails on demand, for tests: full, or refusing fdatasync or truncation, below one directory.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

/// What fails below a directory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Bytes that still fit; a larger write stores this many and fails.
    pub(crate) room: Option<usize>,
    /// fdatasync fails.
    pub(crate) sync: bool,
    /// Truncation fails.
    pub(crate) truncate: bool,
}

static FAULTS: LazyLock<Mutex<HashMap<PathBuf, Faults>>> = LazyLock::new(Mutex::default);

/// Sets what fails below a directory from now on.
pub(crate) fn set(dir: &Path, faults: Faults) {
    FAULTS.lock().unwrap().insert(dir.to_owned(), faults);
}

fn of(path: &Path) -> Faults {
    let faults = FAULTS.lock().unwrap();
    path.ancestors().find_map(|dir| faults.get(dir).copied()).unwrap_or_default()
}

/// Stores what fits through `store` and fails, if the write is larger than the room left.
pub(crate) fn write(path: &Path, bytes: usize, store: impl FnOnce(usize) -> io::Result<()>) -> io::Result<()> {
    match of(path).room {
        Some(room) if room < bytes => {
            store(room)?;
            Err(io::ErrorKind::StorageFull.into())
        }
        _ => Ok(()),
    }
}

/// Fails if fdatasync shall fail.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    if of(path).sync { Err(io::Error::other("injected EIO")) } else { Ok(()) }
}

/// Fails if truncation shall fail.
pub(crate) fn truncate(path: &Path) -> io::Result<()> {
    if of(path).truncate { Err(io::Error::other("injected EIO")) } else { Ok(()) }
}
