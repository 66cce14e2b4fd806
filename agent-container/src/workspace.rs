//! The user's files: strategies, indicators, watch lists, journal, preferences; every change is one git commit.
//!
//! The files lie under `<data>/workspace`, where the user's Python may read and write them; the history is a bare repository at
//! `<data>/workspace.git`, out of its reach. Invariants:
//! - a call that returned has its change on the disk; a call that failed has changed nothing;
//! - no name leads out of the workspace, and no symbolic link is followed;
//! - git runs nothing: no hook, filter, attribute or configuration that somebody planted has an effect;
//! - what changed outside these calls is taken in as a commit of the user, never overwritten unseen.
//!
//! All calls block on the disk: use them from a blocking thread.

mod change;
mod describe;
mod error;
mod files;
mod names;
mod store;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;
use serde::Serialize;
use sha2::{Digest, Sha256};

use change::{Command, State};
use files::{Found, Tree};
use store::{Note, Store};

pub use change::{Probe, Step};
pub use error::{Limit, WorkspaceError};
pub use names::{FilePath, Kind, NAME_BYTES_MAX, NameError};
pub use store::Author;

/// Longest sentence that says why, in bytes.
pub const WHY_BYTES_MAX: usize = 500;
/// Longest command id, in bytes.
pub const COMMAND_ID_BYTES_MAX: usize = 128;
/// Most entries of one answer of [`Workspace::history`].
pub const HISTORY_MAX: usize = 200;
/// Most bytes of one answer of [`Workspace::diff`].
pub const DIFF_BYTES_MAX: usize = 128 * 1024;

/// How much a workspace may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Files of one kind.
    pub files_per_kind_max: usize,
    /// Bytes of all files and of their history together.
    pub total_bytes_max: u64,
}

/// Which version of the file a change starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// The file does not exist yet.
    Absent,
    /// The file has the content that it had at this commit.
    Commit(String),
}

/// Who asks for a change, why, and under which conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Who made it.
    pub author: Author,
    /// Why, in one line.
    pub why: String,
    /// Which version it starts from.
    pub expected: Expected,
    /// The caller's id of this change: the same id with the same request is done once.
    pub command_id: Option<String>,
    /// The time of the change, in nanoseconds since the Unix epoch.
    pub now_ns: u64,
}

/// A change that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Committed {
    /// Its commit.
    pub commit: String,
    /// Whether it was done by an earlier call with the same command id.
    pub replayed: bool,
}

/// One file in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Its name, without directory and extension.
    pub name: String,
    /// Its place under the workspace.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last modified, in nanoseconds since the Unix epoch.
    pub modified_ns: u64,
    /// The commit that last changed it.
    pub last_commit: Option<String>,
    /// What it says of itself: the first line of its docstring, or its title.
    pub about: Option<String>,
}

/// One version of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileVersion {
    /// The text.
    pub content: String,
    /// The commit that it was read at: [`Expected::Commit`] for a change of it.
    pub commit: String,
}

/// One commit of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its id.
    pub commit: String,
    /// `user` or `assistant`.
    pub author: String,
    /// Why it was made.
    pub why: String,
    /// When, in whole seconds since the Unix epoch.
    pub at_s: i64,
    /// The files that it changed.
    pub paths: Vec<String>,
}

/// The difference between two commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// Unified diff.
    pub text: String,
    /// Whether it was cut off at [`DIFF_BYTES_MAX`].
    pub truncated: bool,
}

/// What the workspace takes of its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Bytes of the files.
    pub files_bytes: u64,
    /// Bytes of the history.
    pub history_bytes: u64,
    /// What both may be together.
    pub total_bytes_max: u64,
}

/// The files of one user. One process has them open at a time.
pub struct Workspace {
    state: Mutex<State>,
    _lock: std::fs::File,
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Workspace").finish_non_exhaustive()
    }
}

impl Workspace {
    /// Opens `<data>/workspace` and its history, finishes what a killed process left half done, and takes in what changed outside.
    ///
    /// # Errors
    /// [`WorkspaceError::Locked`] if another process has it open; otherwise what the volume or the history says.
    pub fn open(data: &Path, limits: Limits, now_ns: u64) -> Result<Self, WorkspaceError> {
        Self::open_with_probe(data, limits, now_ns, None)
    }

    /// [`Workspace::open`] with a probe that tests use to stop or fail a change half way.
    ///
    /// # Errors
    /// As [`Workspace::open`].
    pub fn open_with_probe(
        data: &Path,
        limits: Limits,
        now_ns: u64,
        probe: Option<Probe>,
    ) -> Result<Self, WorkspaceError> {
        let history = data.join("workspace.git");
        let failed = WorkspaceError::io("opening the workspace");
        std::fs::create_dir_all(&history).map_err(&failed)?;
        let lock = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(history.join("dexorder.lock"))
            .map_err(&failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(WorkspaceError::Locked),
            Err(errno) => return Err(WorkspaceError::errno("locking the workspace")(errno)),
        }
        let store = Store::open(&history, now_ns)?;
        let files = data.join("workspace");
        let files_are_lost = !files.exists();
        let tree = Tree::open(&files, &history.join("dexorder-new"))?;
        let mut state = State::new(tree, store, limits, probe)?;
        if files_are_lost {
            state.restore()?;
        }
        state.scan(&Kind::ALL, now_ns)?;
        Ok(Self { state: Mutex::new(state), _lock: lock })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves nothing half done that the disk does not also show.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what changed outside since the last look. None if nothing did.
    ///
    /// # Errors
    /// What the volume or the history says.
    pub fn scan(&self, now_ns: u64) -> Result<Option<Committed>, WorkspaceError> {
        self.state().scan(&Kind::ALL, now_ns)
    }

    /// The newest commit: it changes with every change.
    ///
    /// # Errors
    /// What the history says.
    pub fn head(&self) -> Result<String, WorkspaceError> {
        Ok(self.state().store.head()?.to_string())
    }

    /// The files of a kind.
    ///
    /// # Errors
    /// What the volume or the history says.
    pub fn list(&self, kind: Kind, now_ns: u64) -> Result<Vec<FileInfo>, WorkspaceError> {
        let mut state = self.state();
        state.scan(&[kind], now_ns)?;
        let head = state.store.head()?;
        let last = state.last_commits()?.clone();
        let mut list = Vec::new();
        for (path, _) in state.store.files(head)?.into_iter().filter(|(path, _)| path.kind() == kind) {
            let content = state.store.content(head, &path)?.unwrap_or_default();
            list.push(FileInfo {
                name: path.name().to_owned(),
                path: path.to_string(),
                bytes: u64::try_from(content.len()).unwrap_or(u64::MAX),
                modified_ns: state.tree.stamp(&path).map_or(0, |stamp| stamp.modified_ns),
                last_commit: last.get(&path).map(ToString::to_string),
                about: describe::about(kind, &String::from_utf8_lossy(&content)),
            });
        }
        Ok(list)
    }

    /// A file as it is now, or as it was at a commit.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`], [`WorkspaceError::UnknownCommit`], [`WorkspaceError::NotText`], or a [`WorkspaceError::Quota`] if
    /// a script made the file larger than a file may be.
    pub fn read(&self, path: &FilePath, at: Option<&str>, now_ns: u64) -> Result<FileVersion, WorkspaceError> {
        let mut state = self.state();
        let (commit, content) = if let Some(at) = at {
            let commit = state.store.find("at", at)?;
            (commit, state.store.content(commit, path)?)
        } else {
            state.scan_paths(std::slice::from_ref(path), now_ns)?;
            let max = state.limits.file_bytes_max;
            let content = match state.tree.read(path, max)? {
                Found::Nothing => None,
                Found::File(content) => Some(content),
                Found::TooLarge(value) => return Err(WorkspaceError::Quota { limit: Limit::FileBytes, value, max }),
            };
            (state.store.head()?, content)
        };
        let missing = || WorkspaceError::NotFound { path: path.to_string(), at: at.map(str::to_owned) };
        let content = String::from_utf8(content.ok_or_else(missing)?)
            .map_err(|_| WorkspaceError::NotText { path: path.to_string() })?;
        Ok(FileVersion { content, commit: commit.to_string() })
    }

    /// Writes a file as one commit. Durable when it returns.
    ///
    /// # Errors
    /// [`WorkspaceError::Conflict`] if the file is not as `intent.expected` says; [`WorkspaceError::Quota`],
    /// [`WorkspaceError::Argument`], [`WorkspaceError::NotJson`], [`WorkspaceError::CommandReused`]; otherwise what the volume says.
    pub fn write(&self, path: &FilePath, content: &str, intent: &Intent) -> Result<Committed, WorkspaceError> {
        let mut state = self.state();
        check_content(path, content, state.limits.file_bytes_max)?;
        let command = intent.command(&["write", &path.to_string(), content])?;
        if let Some(done) = state.replayed(command.as_ref())? {
            return Ok(done);
        }
        state.scan_paths(std::slice::from_ref(path), intent.now_ns)?;
        expect(&state, path, &intent.expected)?;
        let edits = [(path, Some(content.as_bytes()))];
        state.check_quota(&edits)?;
        state.commit(&edits, intent.note(), command)
    }

    /// Deletes a file as one commit. Its versions stay in the history.
    ///
    /// # Errors
    /// As [`Workspace::write`], and [`WorkspaceError::NotFound`].
    pub fn delete(&self, path: &FilePath, intent: &Intent) -> Result<Committed, WorkspaceError> {
        let mut state = self.state();
        let command = intent.command(&["delete", &path.to_string()])?;
        if let Some(done) = state.replayed(command.as_ref())? {
            return Ok(done);
        }
        state.scan_paths(std::slice::from_ref(path), intent.now_ns)?;
        if state.store.blob_id(state.store.head()?, path)?.is_none() {
            return Err(WorkspaceError::NotFound { path: path.to_string(), at: None });
        }
        expect(&state, path, &intent.expected)?;
        state.commit(&[(path, None)], intent.note(), command)
    }

    /// Takes back what one commit changed, as one new commit. `intent.expected` is not used: a file that changed again since
    /// is a conflict.
    ///
    /// # Errors
    /// [`WorkspaceError::UnknownCommit`], [`WorkspaceError::Conflict`], or as [`Workspace::write`].
    pub fn revert(&self, commit: &str, intent: &Intent) -> Result<Committed, WorkspaceError> {
        let mut state = self.state();
        let command = intent.command(&["revert", commit])?;
        if let Some(done) = state.replayed(command.as_ref())? {
            return Ok(done);
        }
        let undone = state.store.find("commit", commit)?;
        let Ok(before) = state.store.commit(undone)?.parent_id(0) else {
            return Err(WorkspaceError::Argument {
                field: "commit",
                problem: "is the first one: there is nothing before it",
            });
        };
        let paths = state.store.changed(Some(before), undone)?;
        state.scan_paths(&paths, intent.now_ns)?;
        let head = state.store.head()?;
        let mut old = Vec::new();
        for path in &paths {
            if state.store.blob_id(head, path)? != state.store.blob_id(undone, path)? {
                return Err(conflict(&mut state, path)?);
            }
            old.push(state.store.content(before, path)?);
        }
        let edits: Vec<_> = paths.iter().zip(old.iter().map(Option::as_deref)).collect();
        state.check_quota(&edits)?;
        state.commit(&edits, intent.note(), command)
    }

    /// The newest changes, of one file or of all; at most [`HISTORY_MAX`].
    ///
    /// # Errors
    /// What the history says.
    pub fn history(&self, path: Option<&FilePath>, limit: usize) -> Result<Vec<Change>, WorkspaceError> {
        let state = self.state();
        let mut changes = Vec::new();
        for oid in state.store.walk()? {
            if changes.len() >= limit.min(HISTORY_MAX) {
                break;
            }
            let oid = oid?;
            let commit = state.store.commit(oid)?;
            let paths = state.store.changed(commit.parent_id(0).ok(), oid)?;
            if path.is_some_and(|path| !paths.contains(path)) {
                continue;
            }
            changes.push(Change {
                commit: oid.to_string(),
                author: commit.author().name().unwrap_or_default().to_owned(),
                why: commit.summary().unwrap_or_default().to_owned(),
                at_s: commit.time().seconds(),
                paths: paths.iter().map(ToString::to_string).collect(),
            });
        }
        Ok(changes)
    }

    /// What changed between two commits.
    ///
    /// # Errors
    /// [`WorkspaceError::UnknownCommit`] names the argument.
    pub fn diff(&self, from: &str, to: &str) -> Result<Patch, WorkspaceError> {
        let state = self.state();
        let (from, to) = (state.store.find("from", from)?, state.store.find("to", to)?);
        let (text, whole) = state.store.patch(from, to, DIFF_BYTES_MAX)?;
        Ok(Patch { text, truncated: !whole })
    }

    /// What the workspace takes of its quota.
    ///
    /// # Errors
    /// What the volume says.
    pub fn usage(&self) -> Result<Usage, WorkspaceError> {
        let state = self.state();
        let (files_bytes, history_bytes) = state.usage()?;
        Ok(Usage { files_bytes, history_bytes, total_bytes_max: state.limits.total_bytes_max })
    }

    /// Packs the history now, as it is done by itself from time to time.
    ///
    /// # Errors
    /// What the volume or the history says; the history is whole in any case.
    pub fn repack(&self) -> Result<(), WorkspaceError> {
        self.state().repack()
    }

    /// Forgets all earlier versions: the history starts anew with the files as they are. Makes room in a full workspace.
    ///
    /// # Errors
    /// What the volume or the history says.
    pub fn forget_history(&self, intent: &Intent) -> Result<Committed, WorkspaceError> {
        intent.command(&["forget"])?;
        let mut state = self.state();
        state.scan(&Kind::ALL, intent.now_ns)?;
        let root = state.forget(intent.note())?;
        Ok(Committed { commit: root.to_string(), replayed: false })
    }
}

impl Intent {
    /// Checks the texts, and makes of id and request what a repetition is known by.
    fn command(&self, request: &[&str]) -> Result<Option<Command>, WorkspaceError> {
        check_line("why", &self.why, Limit::WhyBytes, WHY_BYTES_MAX)?;
        let Some(id) = &self.command_id else { return Ok(None) };
        check_line("command_id", id, Limit::CommandIdBytes, COMMAND_ID_BYTES_MAX)?;
        let mut digest = Sha256::new();
        for part in request.iter().copied().chain([self.author.name()]) {
            digest.update(part.len().to_le_bytes());
            digest.update(part.as_bytes());
        }
        let fingerprint = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(Command { id: id.clone(), fingerprint }))
    }

    fn note(&self) -> Note<'_> {
        Note { author: self.author, message: &self.why, now_ns: self.now_ns }
    }
}

/// A text of one line: a line break in it could pose as something else in a commit message.
fn check_line(field: &'static str, text: &str, limit: Limit, max: usize) -> Result<(), WorkspaceError> {
    if text.trim().is_empty() {
        return Err(WorkspaceError::Argument { field, problem: "is empty" });
    }
    if text.chars().any(char::is_control) {
        return Err(WorkspaceError::Argument { field, problem: "has a line break or another control character" });
    }
    check_bytes(limit, text.len(), u64::try_from(max).unwrap_or(u64::MAX))
}

fn check_bytes(limit: Limit, bytes: usize, max: u64) -> Result<(), WorkspaceError> {
    let value = u64::try_from(bytes).unwrap_or(u64::MAX);
    if value > max { Err(WorkspaceError::Quota { limit, value, max }) } else { Ok(()) }
}

fn check_content(path: &FilePath, content: &str, bytes_max: u64) -> Result<(), WorkspaceError> {
    check_bytes(Limit::FileBytes, content.len(), bytes_max)?;
    if content.contains('\0') {
        return Err(WorkspaceError::Argument { field: "content", problem: "has a NUL character" });
    }
    if path.kind().extension() == ".json" {
        serde_json::from_str::<serde::de::IgnoredAny>(content)
            .map_err(|source| WorkspaceError::NotJson { path: path.to_string(), source })?;
    }
    Ok(())
}

fn expect(state: &State, path: &FilePath, expected: &Expected) -> Result<(), WorkspaceError> {
    let head = state.store.head()?;
    let now = state.store.blob_id(head, path)?;
    let as_expected = match expected {
        Expected::Any => true,
        Expected::Absent => now.is_none(),
        Expected::Commit(commit) => now == state.store.blob_id(state.store.find("expected", commit)?, path)?,
    };
    if as_expected {
        Ok(())
    } else {
        Err(WorkspaceError::Conflict { path: path.to_string(), actual: head.to_string() })
    }
}

fn conflict(state: &mut State, path: &FilePath) -> Result<WorkspaceError, WorkspaceError> {
    let head = state.store.head()?;
    let actual = state.last_commits()?.get(path).copied().unwrap_or(head);
    Ok(WorkspaceError::Conflict { path: path.to_string(), actual: actual.to_string() })
}
