//! How a change becomes durable, how a half-done one is finished at the next opening, and how changes from outside come in.
//!
//! The commit is the moment of truth. Its order: objects and staged content are on the disk → `main` moves → files get their
//! names → `applied` moves. A process killed before `main` moved has changed nothing; one killed after it is finished by
//! [`State::recover`], which gives the files of `applied..main` their names.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use git2::Oid;

use super::error::{Limit, WorkspaceError};
use super::files::{Found, Staged, Stamp, Tree};
use super::names::{FilePath, Kind};
use super::store::{Author, Edit, Note, Store};
use super::{Committed, Limits};

/// How many of the newest commands are known again when they are repeated.
pub(super) const COMMANDS_MAX: usize = 1_024;

/// A point on the way of a change, for tests that stop or fail there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The commit is written, nothing refers to it.
    ObjectsWritten,
    /// The new content is on the disk under a name of its own.
    ContentStaged,
    /// The history has the change.
    HeadMoved,
    /// One file has its new content.
    FilePlaced,
    /// Everything is done.
    Applied,
}

/// Called at each [`Step`]; an error of it is as if the volume failed there.
pub type Probe = Arc<dyn Fn(Step) -> std::io::Result<()> + Send + Sync>;

/// What a command was, to know it again.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) id: String,
    pub(super) fingerprint: String,
}

/// Everything that one lock guards.
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) store: Store,
    pub(super) limits: Limits,
    pub(super) probe: Option<Probe>,
    commands: HashMap<String, (String, Committed)>,
    commands_by_age: VecDeque<String>,
    seen: HashMap<FilePath, (Stamp, Oid)>,
    last: HashMap<FilePath, Oid>,
    last_is_complete: bool,
    history_bytes: u64,
}

impl State {
    pub(super) fn new(tree: Tree, store: Store, limits: Limits, probe: Option<Probe>) -> Result<Self, WorkspaceError> {
        let history_bytes = store.bytes()?;
        let mut state = Self {
            tree,
            store,
            limits,
            probe,
            commands: HashMap::new(),
            commands_by_age: VecDeque::new(),
            seen: HashMap::new(),
            last: HashMap::new(),
            last_is_complete: false,
            history_bytes,
        };
        state.recover()?;
        state.load_commands()?;
        Ok(state)
    }

    fn at(&self, step: Step) -> Result<(), WorkspaceError> {
        self.probe.as_ref().map_or(Ok(()), |probe| probe(step)).map_err(WorkspaceError::io("changing the workspace"))
    }

    /// Finishes what a killed process had committed and not yet put in place.
    fn recover(&mut self) -> Result<(), WorkspaceError> {
        let (applied, head) = (self.store.applied()?, self.store.head()?);
        if applied == head {
            return Ok(());
        }
        for path in self.store.changed(Some(applied), head)? {
            let (old, new) = (self.store.blob_id(applied, &path)?, self.store.blob_id(head, &path)?);
            let there = match self.tree.read(&path, self.limits.file_bytes_max)? {
                Found::Nothing => None,
                Found::File(content) => Some(Store::hash(&content)?),
                Found::TooLarge(_) => continue,
            };
            // Anything but the old content is either in place already, or the user's own later change: the scan takes it in.
            if there == old && there != new {
                self.put_from(head, &path, 0)?;
            }
        }
        self.store.set_applied(head)
    }

    /// Puts every file of the newest commit in place: the whole work tree is missing, which is not the user deleting files.
    pub(super) fn restore(&self) -> Result<(), WorkspaceError> {
        let head = self.store.head()?;
        self.store.files(head)?.iter().try_for_each(|(path, _)| self.put_from(head, path, 0))
    }

    /// Gives a file the content that it has in a commit.
    fn put_from(&self, commit: Oid, path: &FilePath, number: usize) -> Result<(), WorkspaceError> {
        match self.store.content(commit, path)? {
            Some(content) => self.tree.place(&self.tree.stage(&content, number)?, path),
            None => self.tree.remove(path),
        }
    }

    fn load_commands(&mut self) -> Result<(), WorkspaceError> {
        let newest: Vec<Oid> = self.store.walk()?.take(COMMANDS_MAX).collect::<Result<_, _>>()?;
        for oid in newest.into_iter().rev() {
            let message = self.store.commit(oid)?.message().unwrap_or_default().to_owned();
            let trailer =
                |name: &str| message.lines().skip(1).find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let (Some(id), Some(fingerprint)) = (trailer("Command-Id: "), trailer("Request: ")) {
                let committed = Committed { commit: oid.to_string(), replayed: true };
                self.remember(Command { id, fingerprint }, committed);
            }
        }
        Ok(())
    }

    fn remember(&mut self, command: Command, committed: Committed) {
        if self.commands_by_age.len() >= COMMANDS_MAX
            && let Some(oldest) = self.commands_by_age.pop_front()
        {
            self.commands.remove(&oldest);
        }
        self.commands_by_age.push_back(command.id.clone());
        self.commands.insert(command.id, (command.fingerprint, Committed { replayed: true, ..committed }));
    }

    /// The answer of an earlier call with the same command id.
    pub(super) fn replayed(&self, command: Option<&Command>) -> Result<Option<Committed>, WorkspaceError> {
        let Some(command) = command else { return Ok(None) };
        match self.commands.get(&command.id) {
            None => Ok(None),
            Some((fingerprint, committed)) if *fingerprint == command.fingerprint => Ok(Some(committed.clone())),
            Some(_) => Err(WorkspaceError::CommandReused),
        }
    }

    /// Makes one commit of `edits` and puts them in place. On an error both the files and the history are as before.
    pub(super) fn commit(
        &mut self,
        edits: &[Edit<'_>],
        note: Note<'_>,
        command: Option<Command>,
    ) -> Result<Committed, WorkspaceError> {
        let parent = self.store.head()?;
        let message = command.as_ref().map(|command| {
            format!("{}\n\nCommand-Id: {}\nRequest: {}\n", note.message, command.id, command.fingerprint)
        });
        let note = Note { message: message.as_deref().unwrap_or(note.message), ..note };
        let mut staged = Vec::new();
        let done = self.commit_steps(parent, edits, note, &mut staged);
        for left in staged.iter().flatten() {
            self.tree.unstage(left);
        }
        let commit = match done {
            Ok(commit) => commit,
            Err(error) => {
                self.roll_back(parent, edits);
                return Err(error);
            }
        };
        if let Err(error) = self.store.set_applied(commit) {
            // The change is durable; the next opening finds the files in place.
            tracing::warn!(%error, "the mark of the applied commit is behind");
        }
        self.account(edits, commit);
        let committed = Committed { commit: commit.to_string(), replayed: false };
        if let Some(command) = command {
            self.remember(command, committed.clone());
        }
        self.at(Step::Applied)?;
        self.repack_if_due();
        Ok(committed)
    }

    fn commit_steps(
        &mut self,
        parent: Oid,
        edits: &[Edit<'_>],
        note: Note<'_>,
        staged: &mut Vec<Option<Staged>>,
    ) -> Result<Oid, WorkspaceError> {
        let commit = self.store.write(parent, edits, note)?;
        self.at(Step::ObjectsWritten)?;
        for (number, (_, content)) in edits.iter().enumerate() {
            staged.push(content.map(|content| self.tree.stage(content, number)).transpose()?);
        }
        self.at(Step::ContentStaged)?;
        self.store.set_head(commit)?;
        self.at(Step::HeadMoved)?;
        for ((path, _), new) in edits.iter().zip(staged.iter_mut()) {
            match new {
                Some(content) => self.tree.place(content, path)?,
                None => self.tree.remove(path)?,
            }
            *new = None;
            self.at(Step::FilePlaced)?;
        }
        Ok(commit)
    }

    fn roll_back(&mut self, parent: Oid, edits: &[Edit<'_>]) {
        let back = || {
            if self.store.head()? == parent {
                return Ok(());
            }
            for (number, (path, _)) in edits.iter().enumerate() {
                self.put_from(parent, path, number)?;
            }
            self.store.set_head(parent)
        };
        if let Err(error) = back() {
            // The history then has a change that the caller was told failed; the files decide at the next scan.
            tracing::error!(%error, "a failed change could not be taken back");
        }
    }

    fn account(&mut self, edits: &[Edit<'_>], commit: Oid) {
        for (path, content) in edits {
            self.last.insert((*path).clone(), commit);
            let bytes = content.map_or(0, <[u8]>::len);
            self.history_bytes += 3 * 4096 + u64::try_from(bytes.next_multiple_of(4096)).unwrap_or(u64::MAX);
            match (content.map(Store::hash), self.tree.stamp(path)) {
                (Some(Ok(blob)), Some(stamp)) => {
                    self.seen.insert((*path).clone(), (stamp, blob));
                }
                _ => {
                    self.seen.remove(path);
                }
            }
        }
    }

    fn repack_if_due(&mut self) {
        if self.store.repack_is_due()
            && let Err(error) = self.repack()
        {
            tracing::warn!(%error, "the history could not be packed; it is whole, only larger");
        }
    }

    pub(super) fn repack(&mut self) -> Result<(), WorkspaceError> {
        self.store.repack()?;
        self.history_bytes = self.store.bytes()?;
        Ok(())
    }

    pub(super) fn forget(&mut self, note: Note<'_>) -> Result<Oid, WorkspaceError> {
        let root = self.store.forget(note)?;
        self.last.clear();
        self.last_is_complete = false;
        self.history_bytes = self.store.bytes()?;
        Ok(root)
    }

    /// Bytes of the files, and bytes of the history.
    pub(super) fn usage(&self) -> Result<(u64, u64), WorkspaceError> {
        let files = self.store.files(self.store.head()?)?;
        let bytes = files.iter().filter_map(|(path, _)| self.tree.stamp(path)).map(|stamp| stamp.bytes).sum();
        Ok((bytes, self.history_bytes))
    }

    /// Refuses edits that would pass a quota.
    pub(super) fn check_quota(&mut self, edits: &[Edit<'_>]) -> Result<(), WorkspaceError> {
        let refuse =
            |limit, value, max| if value > max { Err(WorkspaceError::Quota { limit, value, max }) } else { Ok(()) };
        let files = self.store.files(self.store.head()?)?;
        let mut new_bytes = 0;
        for (path, content) in edits {
            let Some(content) = content else { continue };
            let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
            refuse(Limit::FileBytes, bytes, self.limits.file_bytes_max)?;
            new_bytes += bytes;
            if path.kind().directory().is_some() && !files.iter().any(|(other, _)| other == *path) {
                let count = files.iter().filter(|(other, _)| other.kind() == path.kind()).count() + 1;
                let max = self.limits.files_per_kind_max;
                refuse(
                    Limit::FilesPerKind,
                    u64::try_from(count).unwrap_or(u64::MAX),
                    u64::try_from(max).unwrap_or(u64::MAX),
                )?;
            }
        }
        if new_bytes == 0 {
            // Deleting is always allowed, else a full workspace could not be made smaller.
            return Ok(());
        }
        // The new content is there twice: as a file and in the history.
        let total = |state: &Self| Ok::<_, WorkspaceError>(state.usage()?.0 + state.history_bytes + 2 * new_bytes);
        if total(self)? > self.limits.total_bytes_max {
            self.repack()?;
        }
        refuse(Limit::TotalBytes, total(self)?, self.limits.total_bytes_max)
    }

    /// The commit that last changed each file of the newest commit.
    pub(super) fn last_commits(&mut self) -> Result<&HashMap<FilePath, Oid>, WorkspaceError> {
        if !self.last_is_complete {
            let mut wanted: Vec<FilePath> =
                self.store.files(self.store.head()?)?.into_iter().map(|(path, _)| path).collect();
            wanted.retain(|path| !self.last.contains_key(path));
            for oid in self.store.walk()? {
                if wanted.is_empty() {
                    break;
                }
                let oid = oid?;
                let parent = self.store.commit(oid)?.parent_id(0).ok();
                for path in self.store.changed(parent, oid)? {
                    if let Some(place) = wanted.iter().position(|other| *other == path) {
                        self.last.insert(wanted.swap_remove(place), oid);
                    }
                }
            }
            self.last_is_complete = true;
        }
        Ok(&self.last)
    }

    /// Takes in what changed outside as one commit of the user. Files larger than the limit, and files past the number that
    /// a kind may have, stay where they are and out of the history.
    pub(super) fn scan(&mut self, kinds: &[Kind], now_ns: u64) -> Result<Option<Committed>, WorkspaceError> {
        let head = self.store.head()?;
        let mut paths: Vec<FilePath> = self
            .store
            .files(head)?
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| kinds.contains(&path.kind()))
            .collect();
        for kind in kinds {
            let here = self.tree.list(*kind, self.limits.files_per_kind_max)?;
            paths.extend(here);
        }
        paths.sort_unstable();
        paths.dedup();
        self.scan_paths(&paths, now_ns)
    }

    /// [`State::scan`] of some files.
    pub(super) fn scan_paths(&mut self, paths: &[FilePath], now_ns: u64) -> Result<Option<Committed>, WorkspaceError> {
        let head = self.store.head()?;
        let mut edits: Vec<(FilePath, Option<Vec<u8>>)> = Vec::new();
        for path in paths {
            let known = self.store.blob_id(head, path)?;
            let stamp = self.tree.stamp(path);
            if let (Some(stamp), Some(known), Some(seen)) = (stamp, known, self.seen.get(path))
                && *seen == (stamp, known)
            {
                continue;
            }
            match self.tree.read(path, self.limits.file_bytes_max)? {
                Found::File(content) => {
                    let blob = Store::hash(&content)?;
                    if known != Some(blob) {
                        edits.push((path.clone(), Some(content)));
                    } else if let Some(stamp) = stamp {
                        self.seen.insert(path.clone(), (stamp, blob));
                    }
                }
                Found::Nothing if known.is_some() => edits.push((path.clone(), None)),
                Found::Nothing => {}
                Found::TooLarge(bytes) => tracing::warn!(%path, bytes, "a file is too large for the history"),
            }
        }
        let edits: Vec<Edit<'_>> = edits.iter().map(|(path, content)| (path, content.as_deref())).collect();
        if edits.is_empty() {
            return Ok(None);
        }
        match self.check_quota(&edits) {
            Ok(()) => self.commit_outside(&edits, now_ns).map(Some),
            Err(error @ WorkspaceError::Quota { .. }) => {
                tracing::warn!(%error, "changes from outside are not in the history");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn commit_outside(&mut self, edits: &[Edit<'_>], now_ns: u64) -> Result<Committed, WorkspaceError> {
        let parent = self.store.head()?;
        let note = Note { author: Author::User, message: "Changed outside the tools", now_ns };
        let commit = self.store.write(parent, edits, note)?;
        self.store.set_head(commit)?;
        self.store.set_applied(commit)?;
        self.account(edits, commit);
        self.repack_if_due();
        Ok(Committed { commit: commit.to_string(), replayed: false })
    }
}
