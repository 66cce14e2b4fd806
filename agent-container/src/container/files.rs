//! Tools over the workspace: strategies, indicators, history, watch lists, profile, journal.

use super::answer::{Answer, Refusal};
use super::{Container, resources};
use crate::mcp::tools::{
    Annotate, ContextKind, Deletion, DiffRange, Journal, NamedFile, PastCommit, Revert, SourceCode, Symbols,
    WatchlistName,
};
use crate::workspace::{Author, Committed, Expected, FilePath, Intent, Kind, NameError, Workspace, WorkspaceError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Code of a refusal: there is no such file.
pub(super) const NOT_FOUND: &str = "NOT_FOUND";
/// Symbols of a watch list.
const SYMBOLS: usize = 500;
/// Bytes of one symbol.
const SYMBOL_BYTES: usize = 64;
/// Bytes of a journal's answer.
const JOURNAL_BYTES: usize = 32 << 10;
/// Commits told when nobody says how many.
const COMMITS: u32 = 20;

/// Watch lists that are remembered.
const SEEN: usize = 32;

/// What changes with every change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None` if there is no such file.
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self {
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

/// Watch lists that were read, with the stamp of their file.
pub(crate) type Seen = Mutex<BTreeMap<String, (Option<Stamp>, Vec<String>)>>;

impl From<WorkspaceError> for Refusal {
    fn from(error: WorkspaceError) -> Self {
        let (code, field) = match &error {
            WorkspaceError::Name(_) => ("INVALID_ARGUMENT", "name"),
            WorkspaceError::Quota { limit, .. } => ("QUOTA", limit.name()),
            WorkspaceError::Argument { field, .. } => ("INVALID_ARGUMENT", *field),
            WorkspaceError::NotJson { .. } => ("INVALID_ARGUMENT", "content"),
            WorkspaceError::Conflict { .. } => ("CONFLICT", "expected_commit"),
            WorkspaceError::CommandReused => ("CONFLICT", "command_id"),
            WorkspaceError::NotFound { .. } => (NOT_FOUND, "name"),
            WorkspaceError::UnknownCommit { field } => (NOT_FOUND, *field),
            WorkspaceError::NotText { .. } => ("INVALID_ARGUMENT", "name"),
            WorkspaceError::Locked | WorkspaceError::Io { .. } | WorkspaceError::Git { .. } => {
                tracing::error!(%error, "the workspace failed");
                ("FAILED", "")
            }
        };
        Self::new(code, field, error)
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::argument("name", error)
    }
}

/// A committed change as a tool tells it.
fn told(done: &Committed) -> Answer {
    Answer::of(&json!({"commit": done.commit, "repeated": done.replayed}))
}

impl Container {
    /// Works on the files on a thread that may block.
    pub(super) async fn files<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&Workspace, u64) -> Result<T, WorkspaceError> + Send + 'static,
    {
        let (workspace, now_ns) = (Arc::clone(&self.workspace), self.clock.now_ns());
        let done = tokio::task::spawn_blocking(move || work(&workspace, now_ns)).await;
        done.map_err(Refusal::failed)?.map_err(Into::into)
    }

    fn intent(&self, why: Option<String>, default: &str, command_id: Option<String>) -> Intent {
        Intent {
            // Tools are called by a model; what the person changes by hand is found as a change from outside.
            author: Author::Assistant,
            why: why.unwrap_or_else(|| default.to_owned()),
            expected: Expected::Any,
            command_id,
            now_ns: self.clock.now_ns(),
        }
    }

    pub(super) async fn list(&self, kind: Kind) -> Result<Answer, Refusal> {
        let files = self.files(move |workspace, now_ns| workspace.list(kind, now_ns)).await?;
        Ok(Answer::of(&json!({ "files": files })))
    }

    pub(super) async fn read_source(&self, kind: Kind, file: NamedFile) -> Result<Answer, Refusal> {
        let path = FilePath::new(kind, &file.name)?;
        let version =
            self.files(move |workspace, now_ns| workspace.read(&path, file.commit.as_deref(), now_ns)).await?;
        Ok(Answer::of(&json!({"code": version.content, "commit": version.commit})))
    }

    pub(super) async fn write_source(&self, kind: Kind, file: SourceCode) -> Result<Answer, Refusal> {
        let path = FilePath::new(kind, &file.name)?;
        self.check_syntax(&path, &file.code).await?;
        let mut intent = self.intent(file.why, &format!("Write {path}"), file.command_id);
        if let Some(commit) = file.expected_commit {
            intent.expected = Expected::Commit(commit);
        }
        let done = self.files(move |workspace, _| workspace.write(&path, &file.code, &intent)).await?;
        self.updates.changed(resources::WORKSPACE_STATE);
        Ok(told(&done))
    }

    pub(super) async fn delete_file(&self, file: Deletion) -> Result<Answer, Refusal> {
        let path = parse(&file.path)?;
        let intent = self.intent(file.why, &format!("Delete {path}"), file.command_id);
        let done = self.files(move |workspace, _| workspace.delete(&path, &intent)).await?;
        self.all_changed();
        Ok(told(&done))
    }

    pub(super) async fn file_history(&self, wanted: PastCommit) -> Result<Answer, Refusal> {
        let path = wanted.path.as_deref().map(parse).transpose()?;
        let limit = usize::try_from(wanted.limit.unwrap_or(COMMITS)).unwrap_or(usize::MAX);
        let changes = self.files(move |workspace, _| workspace.history(path.as_ref(), limit)).await?;
        let commits: Vec<Value> = changes
            .iter()
            .map(|it| json!({"id": it.commit, "author": it.author, "why": it.why, "at_s": it.at_s, "paths": it.paths}))
            .collect();
        Ok(Answer::of(&json!({ "commits": commits })))
    }

    pub(super) async fn file_diff(&self, range: DiffRange) -> Result<Answer, Refusal> {
        let diff = self.files(move |workspace, _| {
            let to = range.to.map_or_else(|| workspace.head(), Ok)?;
            workspace.diff(&range.from, &to)
        });
        let patch = diff.await?;
        Ok(Answer::of(&json!({"diff": patch.text, "truncated": patch.truncated})))
    }

    pub(super) async fn revert(&self, wanted: Revert) -> Result<Answer, Refusal> {
        let intent = self.intent(wanted.why, "Revert a change", wanted.command_id);
        let done = self.files(move |workspace, _| workspace.revert(&wanted.commit, &intent)).await?;
        self.all_changed();
        Ok(told(&done))
    }

    /// Symbols of a watch list; asked for before every answer of a model, so what has not changed is not read again.
    pub(super) async fn watchlist(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let path = FilePath::new(Kind::Watchlist, name)?;
        let stamp = Stamp::of(&self.workspace_dir().join(path.to_string()));
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, symbols)) = seen().get(name).filter(|(known, _)| *known == stamp) {
            return Ok(symbols.clone());
        }
        let symbols = match self.files(move |workspace, now_ns| workspace.read(&path, None, now_ns)).await {
            Ok(version) => serde_json::from_str(&version.content)
                .map_err(|_| Refusal::new("INVALID_FILE", "name", "the watch list's file is not a list of symbols"))?,
            Err(refusal) if refusal.code == NOT_FOUND => Vec::new(),
            Err(refusal) => return Err(refusal),
        };
        let mut seen = seen();
        if seen.len() >= SEEN {
            seen.clear();
        }
        // The stamp was taken before the file was read: a change in between has another one.
        seen.insert(name.to_owned(), (stamp, Vec::clone(&symbols)));
        Ok(symbols)
    }

    pub(super) async fn get_watchlist(&self, wanted: WatchlistName) -> Result<Answer, Refusal> {
        let name = wanted.name.unwrap_or_else(|| "main".to_owned());
        let symbols = self.watchlist(&name).await?;
        Ok(Answer::of(&json!({"name": name, "symbols": symbols})))
    }

    pub(super) async fn set_watchlist(&self, wanted: Symbols) -> Result<Answer, Refusal> {
        let name = wanted.name.unwrap_or_else(|| "main".to_owned());
        let path = FilePath::new(Kind::Watchlist, &name)?;
        if wanted.symbols.len() > SYMBOLS {
            return Err(Refusal::argument("symbols", format!("at most {SYMBOLS}, got {}", wanted.symbols.len())));
        }
        if let Some(at) = wanted.symbols.iter().position(|symbol| !is_symbol(symbol)) {
            return Err(Refusal::argument(
                &format!("symbols[{at}]"),
                "must be VENUE:BASE/QUOTE, e.g. BINANCE:BTC/USDT",
            ));
        }
        let text = serde_json::to_string_pretty(&wanted.symbols).map_err(Refusal::failed)?;
        let intent = self.intent(None, &format!("Set {path}"), wanted.command_id);
        let done = self.files(move |workspace, _| workspace.write(&path, &text, &intent)).await?;
        self.updates.changed(resources::WORKSPACE_STATE);
        Ok(told(&done))
    }

    pub(super) async fn set_context(&self, wanted: Annotate) -> Result<Answer, Refusal> {
        let (kind, uri) = match wanted.resource {
            ContextKind::UserProfile => (Kind::Preferences, resources::USER_PROFILE),
            ContextKind::WorkspaceState => (Kind::State, resources::WORKSPACE_STATE),
            ContextKind::SystemPrompt => (Kind::SystemPrompt, resources::SYSTEM_PROMPT),
        };
        if wanted.content.len() > resources::RESOURCE_BYTES {
            let message = format!("at most {} bytes, got {}", resources::RESOURCE_BYTES, wanted.content.len());
            return Err(Refusal::argument("content", message));
        }
        let path = FilePath::only(kind).ok_or_else(|| Refusal::failed("no such file"))?;
        let intent = self.intent(None, &format!("Set {path}"), wanted.command_id);
        let done = self.files(move |workspace, _| workspace.write(&path, &wanted.content, &intent)).await?;
        self.updates.changed(uri);
        Ok(told(&done))
    }

    /// The journal is one file a day (UTC).
    pub(super) async fn journal(&self, wanted: Journal) -> Result<Answer, Refusal> {
        let Some(entry) = wanted.entry else { return self.read_journal().await };
        if entry.trim().is_empty() {
            return Err(Refusal::argument("entry", "is empty"));
        }
        let now = jiff::Timestamp::from_nanosecond(i128::from(self.clock.now_ns())).map_err(Refusal::failed)?;
        let path = FilePath::new(Kind::Journal, &now.strftime("%Y-%m-%d").to_string())?;
        let intent = self.intent(None, "Add to the journal", wanted.command_id);
        let line = format!("## {}\n\n{}\n\n", now.strftime("%H:%M:%S UTC"), entry.trim_end());
        let done = self.files(move |workspace, now_ns| {
            let before = match workspace.read(&path, None, now_ns) {
                Ok(version) => version.content,
                Err(WorkspaceError::NotFound { .. }) => String::new(),
                Err(error) => return Err(error),
            };
            workspace.write(&path, &(before + &line), &intent)
        });
        Ok(told(&done.await?))
    }

    async fn read_journal(&self) -> Result<Answer, Refusal> {
        let text = self.files(|workspace, now_ns| {
            let mut days = workspace.list(Kind::Journal, now_ns)?;
            days.sort_by(|a, b| b.name.cmp(&a.name));
            let mut text = String::new();
            for day in days {
                let Ok(path) = FilePath::new(Kind::Journal, &day.name) else { continue };
                let content = workspace.read(&path, None, now_ns)?.content;
                if text.len() + content.len() > JOURNAL_BYTES {
                    break;
                }
                text = format!("# {}\n\n{content}{text}", day.name);
            }
            Ok(text)
        });
        Ok(Answer::of(&json!({ "text": text.await? })))
    }

    fn all_changed(&self) {
        for (uri, ..) in resources::ALL {
            self.updates.changed(uri);
        }
    }
}

fn parse(path: &str) -> Result<FilePath, Refusal> {
    FilePath::parse(path)
        .ok_or_else(|| Refusal::argument("path", "not a file of the workspace, e.g. strategies/cross.py"))
}

/// `VENUE:BASE/QUOTE` of printable characters.
fn is_symbol(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    text.len() <= SYMBOL_BYTES && text.split_once(':').is_some_and(|(venue, symbol)| part(venue) && part(symbol))
}
