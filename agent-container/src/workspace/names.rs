//! The names of the user's files: which kinds there are, what a name may be, and where the file lies.

use std::fmt;

/// Longest name that a user may give, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Names that some system gives a meaning of its own, so that a backup of the volume can be unpacked anywhere.
const RESERVED: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// What a file of the workspace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A trading strategy, `strategies/<name>.py`.
    Strategy,
    /// An indicator, `indicators/<name>.py`.
    Indicator,
    /// A watch list, `watchlists/<name>.json`.
    Watchlist,
    /// A journal entry, `journal/<name>.md`.
    Journal,
    /// The user's profile: style, risk, preferences; the one file `preferences.json`.
    Preferences,
    /// What the user has open: chart, watch list; the one file `workspace-state.json`.
    State,
    /// What the user wants the assistant to be told; the one file `system-prompt.md`.
    SystemPrompt,
}

impl Kind {
    /// Every kind, in the order in which they are listed.
    pub const ALL: [Self; 7] = [
        Self::Strategy,
        Self::Indicator,
        Self::Watchlist,
        Self::Journal,
        Self::Preferences,
        Self::State,
        Self::SystemPrompt,
    ];

    /// The directory of the kind, or none for a kind that is one file.
    #[must_use]
    pub const fn directory(self) -> Option<&'static str> {
        match self {
            Self::Strategy => Some("strategies"),
            Self::Indicator => Some("indicators"),
            Self::Watchlist => Some("watchlists"),
            Self::Journal => Some("journal"),
            Self::Preferences | Self::State | Self::SystemPrompt => None,
        }
    }

    /// The name of the one file of a kind that has no directory.
    #[must_use]
    pub const fn only_name(self) -> Option<&'static str> {
        match self {
            Self::Preferences => Some("preferences"),
            Self::State => Some("workspace-state"),
            Self::SystemPrompt => Some("system-prompt"),
            Self::Strategy | Self::Indicator | Self::Watchlist | Self::Journal => None,
        }
    }

    /// The file extension, with its dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Strategy | Self::Indicator => ".py",
            Self::Watchlist | Self::Preferences | Self::State => ".json",
            Self::Journal | Self::SystemPrompt => ".md",
        }
    }

    /// What a name of this kind must look like.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Strategy | Self::Indicator => "[a-z][a-z0-9_]{0,63}",
            Self::Watchlist | Self::Journal => "[a-z0-9][a-z0-9_-]{0,63}",
            Self::Preferences => "preferences",
            Self::State => "workspace-state",
            Self::SystemPrompt => "system-prompt",
        }
    }

    fn admits(self, name: &str) -> bool {
        let python = matches!(self, Self::Strategy | Self::Indicator);
        let first = |byte: u8| byte.is_ascii_lowercase() || (!python && byte.is_ascii_digit());
        let rest =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || (!python && byte == b'-');
        match self.only_name() {
            Some(only) => name == only,
            None => name.as_bytes().first().is_some_and(|byte| first(*byte)) && name.bytes().all(rest),
        }
    }
}

/// Why a name is refused. `field` is always `name`: the argument a caller has to correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is empty.
    #[error("name is empty: it must match {rule}")]
    Empty {
        /// What a name must match.
        rule: &'static str,
    },
    /// The name is too long.
    #[error("name has {bytes} bytes: the limit is {limit}")]
    Long {
        /// Length of the name.
        bytes: usize,
        /// The longest name.
        limit: usize,
    },
    /// The name has a character that it may not have.
    #[error("name must match {rule}, without directory and extension")]
    Shape {
        /// What a name must match.
        rule: &'static str,
    },
    /// The name means something else on some system.
    #[error("name is reserved by an operating system: choose another")]
    Reserved,
}

/// A file of the workspace whose name was checked. It can only be made by [`FilePath::new`], so a value of this type never
/// leads out of its directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath {
    kind: Kind,
    name: String,
}

impl FilePath {
    /// Checks `name`, which has neither directory nor extension.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with the name.
    pub fn new(kind: Kind, name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty { rule: kind.rule() });
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(NameError::Long { bytes: name.len(), limit: NAME_BYTES_MAX });
        }
        if !kind.admits(name) {
            return Err(NameError::Shape { rule: kind.rule() });
        }
        if RESERVED.contains(&name) {
            return Err(NameError::Reserved);
        }
        Ok(Self { kind, name: name.to_owned() })
    }

    /// The one file of a kind that has no directory; none for the other kinds.
    #[must_use]
    pub fn only(kind: Kind) -> Option<Self> {
        kind.only_name().map(|name| Self { kind, name: name.to_owned() })
    }

    /// The file that lies at `path` under the workspace, if that is a place of the workspace.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (directory, file) = path.split_once('/').map_or((None, path), |(directory, file)| (Some(directory), file));
        Kind::ALL
            .into_iter()
            .filter(|kind| kind.directory() == directory)
            .find_map(|kind| Self::new(kind, file.strip_suffix(kind.extension())?).ok())
    }

    /// What the file is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The name, without directory and extension.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the file in its directory.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}{}", self.name, self.kind.extension())
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = self.kind.directory() {
            write!(formatter, "{directory}/")?;
        }
        write!(formatter, "{}{}", self.name, self.kind.extension())
    }
}
