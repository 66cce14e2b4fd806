//! The directory of a run: made for it, measured while it runs, removed after it.
//!
//! Its content is the user's work: trees of any depth, names of any bytes, files that were deleted and are still open. There are no
//! symbolic links in it (the seal refuses to make them), and none would be followed.

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::process::Pid;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use ulid::Ulid;

/// Levels below the scratch directory that a run may make. Deeper ones count as over the limit.
const DEPTH_MAX: usize = 32;
/// The least that a file takes.
const BLOCK_BYTES: u64 = 4096;
/// Unit of a file's size on disk (stat(2)).
const SECTOR_BYTES: u64 = 512;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Makes the root of all scratch directories, and removes what an earlier server left in it.
pub(super) fn prepare_root(root: &Path) -> io::Result<()> {
    // Others may pass through, to their own directory, and see no names.
    fs::DirBuilder::new().recursive(true).mode(0o711).create(root)?;
    for entry in fs::read_dir(root)? {
        remove_tree(&entry?.path())?;
    }
    Ok(())
}

/// One run's directory.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a directory for the server's own user, or for `uid`, and nobody else.
    pub(super) fn make(root: &Path, uid: Option<u32>) -> io::Result<Self> {
        let path = fs::canonicalize(root)?.join(format!("run-{}", Ulid::generate()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        if let Some(uid) = uid {
            chown(&path, Some(uid), Some(uid))?;
        }
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it with all in it.
    pub(super) fn remove(self) -> io::Result<()> {
        remove_tree(&self.0)
    }
}

/// Removes a tree of any depth with a fixed number of descriptors and no recursion: what lies deeper than one level is
/// moved up first. `std::fs::remove_dir_all` takes a stack frame and a descriptor per level, which a script could make
/// as many as it likes.
fn remove_tree(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    let top = openat(CWD, path, DIRECTORY, Mode::empty())?;
    let mut moved = 0_u64;
    loop {
        let names = remove_files(top.as_fd())?;
        if names.is_empty() {
            return fs::remove_dir(path);
        }
        for name in names {
            empty(&top, &name, &mut moved)?;
            unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Removes the files of one directory below `top` and moves its directories up to `top`.
fn empty(top: &OwnedFd, name: &CStr, moved: &mut u64) -> io::Result<()> {
    // A script may have taken its own rights away; as root that would not matter.
    rustix::fs::chmodat(top, name, Mode::RWXU, AtFlags::empty())?;
    let directory = openat(top, name, DIRECTORY, Mode::empty())?;
    for child in remove_files(directory.as_fd())? {
        // Names in `top` may be equal; no script can guess ours, and it is dead.
        let unique = format!(".moved-{}-{moved}", Ulid::generate());
        *moved += 1;
        renameat(&directory, &child, top, unique)?;
    }
    Ok(())
}

/// Removes everything but directories from a directory; the names of those.
fn remove_files(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut directories = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let known = entry.file_type();
        let kind = if known == FileType::Unknown {
            FileType::from_raw_mode(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
        } else {
            known
        };
        if kind == FileType::Directory {
            directories.push(name.to_owned());
        } else {
            unlinkat(directory, name, AtFlags::empty())?;
        }
    }
    Ok(directories)
}

/// Whether the content of `path`, and what process `pid` keeps of deleted files, is over the limits. Stops looking as soon as it is.
pub(super) fn is_over(path: &Path, pid: Pid, bytes_max: u64, files_max: usize) -> bool {
    let deleted = deleted_bytes(path, pid, bytes_max);
    let (mut bytes, mut files) = (deleted, 0);
    let mut left = vec![(path.to_path_buf(), 0)];
    while let Some((directory, depth)) = left.pop() {
        // A directory that vanished meanwhile takes no space.
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += (metadata.blocks() * SECTOR_BYTES).max(BLOCK_BYTES);
            files += 1;
            if metadata.is_dir() {
                left.push((entry.path(), depth + 1));
            }
            if bytes > bytes_max || files > files_max || depth + 1 > DEPTH_MAX {
                return true;
            }
        }
    }
    bytes > bytes_max
}

/// Bytes of files below `path` that have no name any more but are open or mapped. A mapped file that is not open cannot be
/// measured from outside: it counts as the largest that may be.
fn deleted_bytes(path: &Path, pid: Pid, file_bytes_max: u64) -> u64 {
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let mut open = HashMap::new();
    for entry in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
        if let Ok(metadata) = fs::metadata(entry.path())
            && metadata.is_file()
            && metadata.nlink() == 0
        {
            open.insert(metadata.ino(), metadata.blocks() * SECTOR_BYTES);
        }
    }
    let mapped = fs::read_to_string(process.join("maps")).unwrap_or_default();
    let prefix = path.to_string_lossy();
    // address, rights, offset, device, inode, path, "(deleted)".
    let unseen: HashSet<u64> = mapped
        .lines()
        .filter(|line| line.ends_with(" (deleted)") && line.contains(&*prefix))
        .filter_map(|line| line.split_whitespace().nth(4)?.parse().ok())
        .filter(|inode| !open.contains_key(inode))
        .collect();
    let unseen = u64::try_from(unseen.len()).unwrap_or(u64::MAX);
    open.values().sum::<u64>().saturating_add(unseen.saturating_mul(file_bytes_max))
}

#[cfg(test)]
mod tests {
    use super::{Scratch, is_over, prepare_root};
    use rustix::process::getpid;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    #[test]
    fn deep_trees_and_links_are_removed_and_their_targets_stay() {
        let root = tempfile::tempdir().unwrap();
        let kept = root.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        let scratch = Scratch::make(&root.path().join("."), None).unwrap();
        symlink(&kept, scratch.path().join("link")).unwrap();
        // Deeper than any path may be long, so by descriptors.
        let mut directory = rustix::fs::open(scratch.path(), super::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
        for _ in 0..1_000 {
            rustix::fs::mkdirat(&directory, "deep_down", rustix::fs::Mode::RWXU).unwrap();
            directory =
                rustix::fs::openat(&directory, "deep_down", super::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
        }
        let path = scratch.path().to_owned();
        assert!(is_over(&path, getpid(), 1 << 40, 1 << 20), "too deep");
        scratch.remove().unwrap();
        assert!(!path.exists());
        assert!(kept.join("file").exists());
    }

    #[test]
    fn bytes_files_and_deleted_files_count() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(root.path(), None).unwrap();
        let over = |bytes, files| is_over(scratch.path(), getpid(), bytes, files);
        fs::write(scratch.path().join("a"), vec![1; 100_000]).unwrap();
        fs::write(scratch.path().join("b"), "").unwrap();
        assert!(!over(200_000, 2));
        assert!(over(100_000, 2));
        assert!(over(200_000, 1));
        let deleted = File::open(scratch.path().join("a")).unwrap();
        fs::remove_file(scratch.path().join("a")).unwrap();
        assert!(over(100_000, 2));
        drop(deleted);
        assert!(!over(100_000, 2));
    }

    #[test]
    fn what_an_earlier_server_left_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("scratch");
        prepare_root(&path).unwrap();
        fs::create_dir_all(path.join("run-1/deep")).unwrap();
        fs::write(path.join("file"), "x").unwrap();
        prepare_root(&path).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }
}
