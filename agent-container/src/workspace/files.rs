//! The work tree: files under one directory, reached by handle and one name at a time, never through a symbolic link.
//!
//! The user's Python may write in this directory while we do. So each step opens one component with `O_NOFOLLOW` from the
//! handle of its parent: there is no path that could be made to lead elsewhere between a check and its use.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::error::WorkspaceError;
use super::names::{FilePath, Kind};

const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// What lies at a place of the work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing, or nothing that the workspace takes for a file (a link, a pipe, a directory).
    Nothing,
    /// A file.
    File(Vec<u8>),
    /// A file larger than was asked for.
    TooLarge(u64),
}

/// The state of a file by its metadata. A script can set the time of modification back, but not that of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) modified_ns: u64,
    changed_ns: u64,
    pub(super) bytes: u64,
    inode: u64,
}

/// The directory of the user's files and the one where new content waits for its name.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    waiting: OwnedFd,
}

impl Tree {
    /// Opens the work tree and the directory for waiting content, which must be on the same file system, and empties the
    /// latter.
    pub(super) fn open(root: &Path, waiting: &Path) -> Result<Self, WorkspaceError> {
        let open = |path: &Path| {
            std::fs::create_dir_all(path).map_err(WorkspaceError::io("making the workspace"))?;
            rustix::fs::open(
                path,
                OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(WorkspaceError::errno("opening the workspace"))
        };
        let tree = Self { root: open(root)?, waiting: open(waiting)? };
        for name in names_in(&tree.waiting, usize::MAX, |_| true)
            .map_err(WorkspaceError::errno("clearing left-over content"))?
        {
            rustix::fs::unlinkat(&tree.waiting, &name, AtFlags::empty())
                .map_err(WorkspaceError::errno("clearing left-over content"))?;
        }
        for directory in Kind::ALL.into_iter().filter_map(Kind::directory) {
            tree.make_directory(directory)?;
        }
        Ok(tree)
    }

    /// Makes a directory of the workspace. What else has its name is moved aside, not followed and not lost.
    fn make_directory(&self, name: &str) -> Result<(), WorkspaceError> {
        let failed = WorkspaceError::errno("making a directory of the workspace");
        if let Ok(stat) = rustix::fs::statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW) {
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                return Ok(());
            }
            rustix::fs::renameat(&self.root, name, &self.root, format!("{name}.displaced")).map_err(&failed)?;
        }
        rustix::fs::mkdirat(&self.root, name, DIRECTORY_MODE).map_err(&failed)?;
        rustix::fs::fsync(&self.root).map_err(&failed)
    }

    fn directory(&self, kind: Kind) -> Result<OwnedFd, Errno> {
        let name = kind.directory().unwrap_or(".");
        rustix::fs::openat(
            &self.root,
            name,
            OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }

    /// Reads a file of at most `bytes_max` bytes.
    pub(super) fn read(&self, path: &FilePath, bytes_max: u64) -> Result<Found, WorkspaceError> {
        let failed = WorkspaceError::errno("reading a file");
        let directory = match self.directory(path.kind()) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Found::Nothing),
            Err(errno) => return Err(failed(errno)),
        };
        // NONBLOCK: opening a pipe that a script left here must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&directory, path.file_name(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Ok(Found::Nothing),
            Err(errno) => return Err(failed(errno)),
        };
        let read = WorkspaceError::io("reading a file");
        let metadata = file.metadata().map_err(&read)?;
        if !metadata.is_file() {
            return Ok(Found::Nothing);
        }
        if metadata.len() > bytes_max {
            return Ok(Found::TooLarge(metadata.len()));
        }
        let mut content = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut content).map_err(&read)?;
        let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        Ok(if bytes > bytes_max { Found::TooLarge(bytes) } else { Found::File(content) })
    }

    /// The files of a kind that are there, at most `count_max` of them.
    pub(super) fn list(&self, kind: Kind, count_max: usize) -> Result<Vec<FilePath>, WorkspaceError> {
        if let Some(only) = FilePath::only(kind) {
            return Ok(vec![only]);
        }
        let directory = match self.directory(kind) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
            Err(errno) => return Err(WorkspaceError::errno("listing files")(errno)),
        };
        let ours = |name: &str| FilePath::new(kind, name.strip_suffix(kind.extension())?).ok();
        let names = names_in(&directory, count_max, |name| ours(name).is_some())
            .map_err(WorkspaceError::errno("listing files"))?;
        Ok(names.iter().filter_map(|name| ours(name)).collect())
    }

    /// What tells one state of a file from another without reading it; none if there is no file.
    pub(super) fn stamp(&self, path: &FilePath) -> Option<Stamp> {
        let directory = self.directory(path.kind()).ok()?;
        let stat = rustix::fs::statat(&directory, path.file_name(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let nanoseconds =
            |seconds, rest| u64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(rest)).unwrap_or(0);
        Some(Stamp {
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            inode: stat.st_ino,
        })
    }

    /// Puts content on the disk under a name that only we use, so that a full volume is noticed before anything changes.
    pub(super) fn stage(&self, content: &[u8], number: usize) -> Result<Staged, WorkspaceError> {
        let name = format!("new-{number}");
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.waiting, &name, flags, FILE_MODE)
            .map_err(WorkspaceError::errno("writing a file"))?;
        let mut file = File::from(file);
        let written = file.write_all(content).and_then(|()| file.sync_all());
        let staged = Staged { name };
        if let Err(source) = written {
            self.unstage(&staged);
            return Err(WorkspaceError::Io { doing: "writing a file", source });
        }
        Ok(staged)
    }

    /// Throws staged content away.
    pub(super) fn unstage(&self, staged: &Staged) {
        // Left-over content is cleared at the next opening in any case.
        if let Err(error) = rustix::fs::unlinkat(&self.waiting, &staged.name, AtFlags::empty()) {
            tracing::debug!(%error, "staged content could not be removed");
        }
    }

    /// Gives staged content its name, durably.
    pub(super) fn place(&self, staged: &Staged, path: &FilePath) -> Result<(), WorkspaceError> {
        let failed = WorkspaceError::errno("naming a file");
        if let Some(directory) = path.kind().directory() {
            self.make_directory(directory)?;
        }
        let directory = self.directory(path.kind()).map_err(&failed)?;
        let renamed = rustix::fs::renameat(&self.waiting, &staged.name, &directory, path.file_name());
        if renamed == Err(Errno::ISDIR) {
            // A script made a directory of this name; it is not ours to delete, nor may it block the file for ever.
            rustix::fs::renameat(&directory, path.file_name(), &directory, format!("{}.displaced", path.file_name()))
                .map_err(&failed)?;
            rustix::fs::renameat(&self.waiting, &staged.name, &directory, path.file_name()).map_err(&failed)?;
        } else {
            renamed.map_err(&failed)?;
        }
        rustix::fs::fsync(&directory).map_err(&failed)
    }

    /// Removes a file, durably. A file that is not there is no error.
    pub(super) fn remove(&self, path: &FilePath) -> Result<(), WorkspaceError> {
        let failed = WorkspaceError::errno("removing a file");
        let directory = match self.directory(path.kind()) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        };
        match rustix::fs::unlinkat(&directory, path.file_name(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => rustix::fs::fsync(&directory).map_err(&failed),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// Content that is on the disk and waits for its name.
#[derive(Debug)]
pub(super) struct Staged {
    name: String,
}

fn names_in(directory: &OwnedFd, count_max: usize, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." || !wanted(name) {
            continue;
        }
        if names.len() >= count_max {
            break;
        }
        names.push(name.to_owned());
    }
    names.sort_unstable();
    Ok(names)
}
