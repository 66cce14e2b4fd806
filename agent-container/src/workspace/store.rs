//! The history: a bare git repository outside the work tree, of which only the object and reference store is used.
//!
//! Nothing is ever checked out or added by git, so attributes, filters and ignore rules have nothing to act on; libgit2 runs
//! no hooks at all; and the repository's configuration is written anew at each opening.

use std::fs;
use std::path::{Path, PathBuf};

use git2::{Commit, ObjectType, Oid, Repository, Signature, Sort, Time, Tree};

use super::error::WorkspaceError;
use super::names::FilePath;

/// The history that the user sees.
const MAIN: &str = "refs/heads/main";
/// The commit that the work tree shows. It is behind [`MAIN`] only between the commit and the renaming of its files.
const APPLIED: &str = "refs/dexorder/applied";
/// `fsyncObjectFiles` makes libgit2 sync objects, references, packs and their directories before it answers.
const CONFIG: &str =
    "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\tfsyncObjectFiles = true\n";
/// Loose objects that start a repack.
const LOOSE_MAX: usize = 512;

/// Who made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Author {
    /// The person, or a script of theirs.
    User,
    /// The assistant.
    Assistant,
}

impl Author {
    /// The name in the history.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One change of a file: its new content, or none if it is deleted.
pub(super) type Edit<'a> = (&'a FilePath, Option<&'a [u8]>);

/// What a commit says besides the files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Note<'a> {
    pub(super) author: Author,
    pub(super) message: &'a str,
    pub(super) now_ns: u64,
}

/// The object store and the two references.
pub(super) struct Store {
    path: PathBuf,
    repository: Repository,
    loose: usize,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("path", &self.path).field("loose", &self.loose).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the repository, or makes it with one empty commit.
    pub(super) fn open(path: &Path, now_ns: u64) -> Result<Self, WorkspaceError> {
        let failed = WorkspaceError::io("preparing the history");
        for directory in ["objects/info", "objects/pack", "refs/heads", "refs/dexorder"] {
            fs::create_dir_all(path.join(directory)).map_err(&failed)?;
        }
        // What can be planted in a repository: configuration, hooks, attributes, borrowed objects, and a lock of a killed process.
        for planted in ["info", "hooks"] {
            if path.join(planted).exists() {
                fs::remove_dir_all(path.join(planted)).map_err(&failed)?;
            }
        }
        let stale = [
            "objects/info/alternates",
            "HEAD.lock",
            "config.lock",
            "packed-refs.lock",
            "refs/heads/main.lock",
            "refs/dexorder/applied.lock",
        ];
        for name in stale {
            match fs::remove_file(path.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        replace(path, "config", CONFIG)
            .and_then(|()| replace(path, "HEAD", "ref: refs/heads/main\n"))
            .map_err(&failed)?;
        let repository = Repository::open_bare(path).map_err(WorkspaceError::git("opening the history"))?;
        let mut store = Self { path: path.to_owned(), repository, loose: 0 };
        store.loose = store.loose_objects().map_err(&failed)?.len();
        if store.reference(MAIN)?.is_none() {
            let tree = store
                .repository
                .treebuilder(None)
                .and_then(|builder| builder.write())
                .map_err(WorkspaceError::git("starting the history"))?;
            let note = Note { author: Author::User, message: "Start the workspace", now_ns };
            let first = store.commit_tree(tree, None, note)?;
            store.point(APPLIED, first)?;
            store.point(MAIN, first)?;
        }
        Ok(store)
    }

    fn reference(&self, name: &str) -> Result<Option<Oid>, WorkspaceError> {
        match self.repository.refname_to_id(name) {
            Ok(oid) => Ok(Some(oid)),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(WorkspaceError::git("reading the history")(error)),
        }
    }

    fn point(&self, name: &str, to: Oid) -> Result<(), WorkspaceError> {
        self.repository.reference(name, to, true, "").map(drop).map_err(WorkspaceError::git("moving a reference"))
    }

    /// The newest commit.
    pub(super) fn head(&self) -> Result<Oid, WorkspaceError> {
        self.reference(MAIN)?.ok_or(WorkspaceError::UnknownCommit { field: "head" })
    }

    /// The commit that the work tree shows.
    pub(super) fn applied(&self) -> Result<Oid, WorkspaceError> {
        Ok(self.reference(APPLIED)?.unwrap_or(self.head()?))
    }

    /// Makes `commit` the newest.
    pub(super) fn set_head(&self, commit: Oid) -> Result<(), WorkspaceError> {
        self.point(MAIN, commit)
    }

    /// Says that the work tree shows `commit`.
    pub(super) fn set_applied(&self, commit: Oid) -> Result<(), WorkspaceError> {
        self.point(APPLIED, commit)
    }

    /// The commit with this id, if it is in the history.
    pub(super) fn find(&self, field: &'static str, id: &str) -> Result<Oid, WorkspaceError> {
        let unknown = WorkspaceError::UnknownCommit { field };
        if id.len() != 40 {
            return Err(unknown);
        }
        let Ok(oid) = Oid::from_str(id) else { return Err(unknown) };
        let head = self.head()?;
        let known = self.repository.find_commit(oid).is_ok()
            && (oid == head
                || self
                    .repository
                    .graph_descendant_of(head, oid)
                    .map_err(WorkspaceError::git("reading the history"))?);
        if known { Ok(oid) } else { Err(unknown) }
    }

    pub(super) fn commit(&self, oid: Oid) -> Result<Commit<'_>, WorkspaceError> {
        self.repository.find_commit(oid).map_err(WorkspaceError::git("reading a commit"))
    }

    fn tree(&self, commit: Oid) -> Result<Tree<'_>, WorkspaceError> {
        self.commit(commit)?.tree().map_err(WorkspaceError::git("reading a commit"))
    }

    /// The id of a file's content in a commit.
    pub(super) fn blob_id(&self, commit: Oid, path: &FilePath) -> Result<Option<Oid>, WorkspaceError> {
        match self.tree(commit)?.get_path(Path::new(&path.to_string())) {
            Ok(entry) => Ok((entry.kind() == Some(ObjectType::Blob)).then(|| entry.id())),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(WorkspaceError::git("reading a commit")(error)),
        }
    }

    /// A file's content in a commit.
    pub(super) fn content(&self, commit: Oid, path: &FilePath) -> Result<Option<Vec<u8>>, WorkspaceError> {
        let Some(id) = self.blob_id(commit, path)? else { return Ok(None) };
        let blob = self.repository.find_blob(id).map_err(WorkspaceError::git("reading a version"))?;
        Ok(Some(blob.content().to_vec()))
    }

    /// The id that `content` has, or would have.
    pub(super) fn hash(content: &[u8]) -> Result<Oid, WorkspaceError> {
        Oid::hash_object(ObjectType::Blob, content).map_err(WorkspaceError::git("hashing"))
    }

    /// Every file of a commit with the id of its content.
    pub(super) fn files(&self, commit: Oid) -> Result<Vec<(FilePath, Oid)>, WorkspaceError> {
        let mut files = Vec::new();
        let tree = self.tree(commit)?;
        tree.walk(git2::TreeWalkMode::PreOrder, |directory, entry| {
            let path = entry.name().and_then(|name| FilePath::parse(&format!("{directory}{name}")));
            if let (Some(path), Some(ObjectType::Blob)) = (path, entry.kind()) {
                files.push((path, entry.id()));
            }
            git2::TreeWalkResult::Ok
        })
        .map_err(WorkspaceError::git("reading a commit"))?;
        Ok(files)
    }

    /// The files in which two commits differ.
    pub(super) fn changed(&self, from: Option<Oid>, to: Oid) -> Result<Vec<FilePath>, WorkspaceError> {
        let old = from.map(|from| self.tree(from)).transpose()?;
        let new = self.tree(to)?;
        let diff = self
            .repository
            .diff_tree_to_tree(old.as_ref(), Some(&new), None)
            .map_err(WorkspaceError::git("comparing commits"))?;
        let path = |delta: git2::DiffDelta<'_>| {
            let file = delta.new_file().path().or_else(|| delta.old_file().path())?;
            FilePath::parse(file.to_str()?)
        };
        Ok(diff.deltas().filter_map(path).collect())
    }

    /// The difference between two commits as a unified patch of at most `bytes_max` bytes, and whether all of it is there.
    pub(super) fn patch(&self, from: Oid, to: Oid, bytes_max: usize) -> Result<(String, bool), WorkspaceError> {
        let (old, new) = (self.tree(from)?, self.tree(to)?);
        let failed = WorkspaceError::git("comparing commits");
        let diff = self.repository.diff_tree_to_tree(Some(&old), Some(&new), None).map_err(&failed)?;
        let mut patch = Vec::new();
        let printed = diff.print(git2::DiffFormat::Patch, |_, _, line| {
            let sign = matches!(line.origin(), '+' | '-' | ' ').then_some(line.origin() as u8);
            if patch.len() + line.content().len() + 1 > bytes_max {
                return false;
            }
            patch.extend(sign);
            patch.extend_from_slice(line.content());
            true
        });
        let whole = match printed {
            Ok(()) => true,
            Err(error) if error.code() == git2::ErrorCode::User => false,
            Err(error) => return Err(failed(error)),
        };
        Ok((String::from_utf8_lossy(&patch).into_owned(), whole))
    }

    /// Writes a commit after `parent` with these edits, durably, without making it the newest.
    pub(super) fn write(&mut self, parent: Oid, edits: &[Edit<'_>], note: Note<'_>) -> Result<Oid, WorkspaceError> {
        let failed = WorkspaceError::git("writing a commit");
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, content) in edits {
            match content {
                Some(content) => {
                    let blob = self.repository.blob(content).map_err(&failed)?;
                    update.upsert(path.to_string(), blob, git2::FileMode::Blob);
                }
                None => {
                    update.remove(path.to_string());
                }
            }
        }
        let tree = update.create_updated(&self.repository, &self.tree(parent)?).map_err(&failed)?;
        // Content, its directory, the root and the commit: what a change of one file adds.
        self.loose += 3 + edits.len();
        self.commit_tree(tree, Some(parent), note)
    }

    fn commit_tree(&self, tree: Oid, parent: Option<Oid>, note: Note<'_>) -> Result<Oid, WorkspaceError> {
        let failed = WorkspaceError::git("writing a commit");
        let seconds = i64::try_from(note.now_ns / 1_000_000_000).unwrap_or(i64::MAX);
        let name = note.author.name();
        let signature =
            Signature::new(name, &format!("{name}@dexorder.invalid"), &Time::new(seconds, 0)).map_err(&failed)?;
        let tree = self.repository.find_tree(tree).map_err(&failed)?;
        let parent = parent.map(|parent| self.commit(parent)).transpose()?;
        let parents: Vec<&Commit<'_>> = parent.iter().collect();
        self.repository.commit(None, &signature, &signature, note.message, &tree, &parents).map_err(&failed)
    }

    /// The commits from the newest to the oldest.
    pub(super) fn walk(&self) -> Result<impl Iterator<Item = Result<Oid, WorkspaceError>> + '_, WorkspaceError> {
        let failed = WorkspaceError::git("reading the history");
        let mut walk = self.repository.revwalk().map_err(&failed)?;
        walk.set_sorting(Sort::TOPOLOGICAL).map_err(&failed)?;
        walk.simplify_first_parent().map_err(&failed)?;
        walk.push(self.head()?).map_err(&failed)?;
        Ok(walk.map(|oid| oid.map_err(WorkspaceError::git("reading the history"))))
    }

    /// Whether there are so many loose objects that a repack is due.
    pub(super) const fn repack_is_due(&self) -> bool {
        self.loose > LOOSE_MAX
    }

    /// Puts everything that the history reaches in one pack and drops the rest. A process killed here leaves objects twice,
    /// never a missing one: what is dropped is dropped after the pack is on the disk.
    pub(super) fn repack(&mut self) -> Result<(), WorkspaceError> {
        let failed = WorkspaceError::git("packing the history");
        let io = WorkspaceError::io("packing the history");
        let loose = self.loose_objects().map_err(&io)?;
        let pack_directory = self.path.join("objects/pack");
        let old: Vec<PathBuf> = entries(&pack_directory).map_err(&io)?;
        let mut builder = self.repository.packbuilder().map_err(&failed)?;
        builder.set_threads(1);
        let mut walk = self.repository.revwalk().map_err(&failed)?;
        walk.push(self.head()?).map_err(&failed)?;
        walk.push(self.applied()?).map_err(&failed)?;
        builder.insert_walk(&mut walk).map_err(&failed)?;
        builder.write(&pack_directory, 0o444).map_err(&failed)?;
        let name = builder.name().unwrap_or_default().to_owned();
        drop((walk, builder));
        for path in [
            pack_directory.join(format!("pack-{name}.pack")),
            pack_directory.join(format!("pack-{name}.idx")),
            pack_directory.clone(),
        ] {
            fs::File::open(path).and_then(|file| file.sync_all()).map_err(&io)?;
        }
        let ours = |path: &Path| path.file_stem().is_some_and(|stem| stem.to_string_lossy() == format!("pack-{name}"));
        for path in loose.into_iter().chain(old.into_iter().filter(|path| !ours(path))) {
            fs::remove_file(path).map_err(&io)?;
        }
        self.repository = Repository::open_bare(&self.path).map_err(&failed)?;
        self.loose = 0;
        Ok(())
    }

    /// Starts the history anew with what the newest commit has. Returns the one commit that is left.
    pub(super) fn forget(&mut self, note: Note<'_>) -> Result<Oid, WorkspaceError> {
        let tree = self.tree(self.head()?)?.id();
        let root = self.commit_tree(tree, None, note)?;
        self.set_head(root)?;
        self.set_applied(root)?;
        self.repack()?;
        Ok(root)
    }

    /// The bytes that the history takes on the volume.
    pub(super) fn bytes(&self) -> Result<u64, WorkspaceError> {
        let mut bytes = 0;
        let mut left = vec![self.path.clone()];
        while let Some(directory) = left.pop() {
            for path in entries(&directory).map_err(WorkspaceError::io("measuring the history"))? {
                match fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => left.push(path),
                    // A file takes whole blocks: that is what loose objects cost.
                    Ok(metadata) => bytes += metadata.len().next_multiple_of(4096),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(WorkspaceError::io("measuring the history")(error)),
                }
            }
        }
        Ok(bytes)
    }

    /// Loose objects, and what a killed process left of them.
    fn loose_objects(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut objects = Vec::new();
        for directory in entries(&self.path.join("objects"))? {
            if directory.file_name().is_some_and(|name| name.len() == 2) {
                objects.extend(entries(&directory)?);
            }
        }
        Ok(objects)
    }
}

fn entries(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

/// Writes a small file of the repository; the old one stays if the volume is full.
fn replace(directory: &Path, name: &str, content: &str) -> std::io::Result<()> {
    let path = directory.join(name);
    if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) && fs::read(&path)? == content.as_bytes() {
        return Ok(());
    }
    let new = directory.join(format!("{name}.new"));
    fs::write(&new, content)?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, &path)?;
    fs::File::open(directory)?.sync_all()
}
