//! Files that survive a power loss: what a commit points to is on the disk before the commit.
//!
//! Iceberg's own local storage leaves table metadata in the page cache and never syncs a directory, so that a catalog
//! could outlive the files it names. This storage syncs each file and each directory entry it creates.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use iceberg::io::{FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig, StorageFactory};
use iceberg::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The local path of a location with or without the scheme `file:`.
pub(crate) fn local_path(location: &str) -> PathBuf {
    let path = location.strip_prefix("file://").or_else(|| location.strip_prefix("file:")).unwrap_or(location);
    PathBuf::from(path)
}

/// Creates `dir` and its parents; with `fsync`, each new entry is on the disk on return.
pub(crate) fn create_dirs(dir: &Path, fsync: bool) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_dirs(parent, fsync)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ if fsync => sync_dir(parent)?,
            _ => {}
        }
    }
    Ok(())
}

/// Makes the entries of `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()?;
    #[cfg(test)]
    trace::note(trace::Step::SyncedDir(dir.to_path_buf()));
    Ok(())
}

/// Writes a file; with `fsync`, its bytes are on the disk on return. Its directory entry is the caller's.
pub(crate) fn write_file(path: &Path, bytes: &[u8], fsync: bool) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    #[cfg(test)]
    trace::note(trace::Step::Wrote(path.to_path_buf()));
    if fsync {
        file.sync_all()?;
        #[cfg(test)]
        trace::note(trace::Step::Synced(path.to_path_buf()));
    }
    Ok(())
}

fn write_durably(path: &Path, bytes: &[u8], fsync: bool) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_dirs(parent, fsync)?;
    write_file(path, bytes, fsync)?;
    if fsync { sync_dir(parent) } else { Ok(()) }
}

/// Removes a file; true if it was there.
pub(crate) fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The storage of the tables' metadata.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Disk {
    fsync: bool,
}

impl Disk {
    pub(crate) const fn new(fsync: bool) -> Self {
        Self { fsync }
    }
}

/// Runs file work off the async workers.
async fn blocking<T: Send + 'static>(
    location: &str,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let path = local_path(location);
    let done = spawn_blocking(move || work(&path).map_err(|error| (path, error))).await;
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err((path, error))) => {
            Err(Error::new(ErrorKind::Unexpected, format!("file {}", path.display())).with_source(error))
        }
        Err(error) => Err(Error::new(ErrorKind::Unexpected, "file work was interrupted").with_source(error)),
    }
}

#[async_trait]
#[typetag::serde(name = "DexorderDisk")]
impl Storage for Disk {
    async fn exists(&self, path: &str) -> Result<bool> {
        blocking(path, Path::try_exists).await
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        blocking(path, |path| Ok(FileMetadata { size: fs::metadata(path)?.len() })).await
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        blocking(path, |path| fs::read(path).map(Bytes::from)).await
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        let file = blocking(path, |path| File::open(path)).await?;
        Ok(Box::new(DiskRead { file: Arc::new(file), location: path.to_owned() }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let fsync = self.fsync;
        blocking(path, move |path| write_durably(path, &bytes, fsync)).await
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        Ok(Box::new(DiskWrite { disk: self.clone(), location: path.to_owned(), held: Some(BytesMut::new()) }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        blocking(path, |path| remove_file(path).map(drop)).await
    }

    async fn delete_prefix(&self, path: &str) -> Result<()> {
        blocking(path, |path| if path.is_dir() { fs::remove_dir_all(path) } else { Ok(()) }).await
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

#[derive(Debug)]
struct DiskRead {
    file: Arc<File>,
    location: String,
}

#[async_trait]
impl FileRead for DiskRead {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let file = self.file.clone();
        blocking(&self.location, move |_| {
            let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }
}

/// Manifests and manifest lists are small: held until `close`, then written at once.
#[derive(Debug)]
struct DiskWrite {
    disk: Disk,
    location: String,
    held: Option<BytesMut>,
}

#[async_trait]
impl FileWrite for DiskWrite {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        match &mut self.held {
            Some(held) => {
                held.extend_from_slice(&bytes);
                Ok(())
            }
            None => Err(Error::new(ErrorKind::Unexpected, "write to a closed file")),
        }
    }

    async fn close(&mut self) -> Result<()> {
        match self.held.take() {
            Some(held) => self.disk.write(&self.location, held.freeze()).await,
            None => Err(Error::new(ErrorKind::Unexpected, "file is closed already")),
        }
    }
}

/// Makes [`Disk`]s for a catalog.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DiskFactory {
    pub(crate) fsync: bool,
}

#[typetag::serde(name = "DexorderDiskFactory")]
impl StorageFactory for DiskFactory {
    fn build(&self, _config: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(Disk::new(self.fsync)))
    }
}

/// What was written and synced, in order, for the test that nothing is committed before it is durable.
#[cfg(test)]
pub(crate) mod trace {
    use std::path::PathBuf;
    use std::sync::Mutex;

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) enum Step {
        Wrote(PathBuf),
        Synced(PathBuf),
        SyncedDir(PathBuf),
    }

    static STEPS: Mutex<Vec<Step>> = Mutex::new(Vec::new());

    pub(super) fn note(step: Step) {
        STEPS.lock().unwrap().push(step);
    }

    /// All steps of this process so far.
    pub(crate) fn steps() -> Vec<Step> {
        STEPS.lock().unwrap().clone()
    }
}
