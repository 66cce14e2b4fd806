//! What can go wrong with the user's files, and what the caller can do about it.

use std::io;

use super::names::NameError;

/// A limit of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of one file.
    FileBytes,
    /// Files of one kind.
    FilesPerKind,
    /// Bytes of all files and of their history together.
    TotalBytes,
    /// Bytes of the sentence that says why.
    WhyBytes,
    /// Bytes of a command id.
    CommandIdBytes,
}

impl Limit {
    /// The name of the limit, as it is in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FileBytes => "file_bytes_max",
            Self::FilesPerKind => "files_per_kind_max",
            Self::TotalBytes => "total_bytes_max",
            Self::WhyBytes => "why_bytes_max",
            Self::CommandIdBytes => "command_id_bytes_max",
        }
    }
}

/// Why something about the user's files was refused or failed. After any of these the file and the history are as before.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The name is not a name of a file.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A limit would be passed.
    #[error("{} would be {value}: the limit is {max}", limit.name())]
    Quota {
        /// Which limit.
        limit: Limit,
        /// What it would be.
        value: u64,
        /// The limit.
        max: u64,
    },
    /// A text argument has a character that it may not have, or is empty.
    #[error("{field} {problem}")]
    Argument {
        /// The argument.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file must be JSON and is not.
    #[error("content of {path} is not JSON: {source}")]
    NotJson {
        /// The file.
        path: String,
        /// Where the JSON breaks.
        source: serde_json::Error,
    },
    /// The file changed since the version that the caller has seen.
    #[error("{path} changed since the version you know: read it again (its last commit is {actual})")]
    Conflict {
        /// The file.
        path: String,
        /// The commit to read.
        actual: String,
    },
    /// The command id was used before, for another request.
    #[error("command_id was used before for another request")]
    CommandReused,
    /// There is no such file, or it did not exist at that commit.
    #[error("{path} does not exist{}", at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default())]
    NotFound {
        /// The file.
        path: String,
        /// The commit, if one was asked for.
        at: Option<String>,
    },
    /// The commit is not one of this workspace.
    #[error("{field} is not a commit of this workspace")]
    UnknownCommit {
        /// The argument.
        field: &'static str,
    },
    /// The file is not text.
    #[error("{path} is not UTF-8 text")]
    NotText {
        /// The file.
        path: String,
    },
    /// Another process has the workspace open.
    #[error("the workspace is open in another process")]
    Locked,
    /// The volume failed: it is full, or broken.
    #[error("the volume failed while {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The history cannot be read or written.
    #[error("the history failed while {doing}: {source}")]
    Git {
        /// What was being done.
        doing: &'static str,
        /// What libgit2 said.
        source: git2::Error,
    },
}

impl WorkspaceError {
    /// Whether the same call may succeed later without a change by the caller.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Locked | Self::Io { .. } | Self::Git { .. })
    }

    pub(super) fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    pub(super) fn errno(doing: &'static str) -> impl Fn(rustix::io::Errno) -> Self {
        move |errno| Self::Io { doing, source: errno.into() }
    }

    pub(super) fn git(doing: &'static str) -> impl Fn(git2::Error) -> Self {
        move |source| Self::Git { doing, source }
    }
}
