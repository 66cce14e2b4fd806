//! What the platform knows about itself and about trading, and what users add: pages, split by heading, found by words.
//!
//! **Invariants.** A user finds their own points and those of everybody, never another user's: [`Knowledge::search`] is the only way to an
//! [`Index`], and drops what lies outside its [`Scope`] whatever the index gave. Loading the same pages again changes nothing.

mod pages;
mod split;
mod words_index;

pub use pages::pages;
pub use split::{Section, sections};
pub use words_index::WordsIndex;

use async_trait::async_trait;
use proto::UserId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Bytes of a page.
pub const PAGE_BYTES_MAX: usize = 256 << 10;
/// Bytes of a query that are read.
pub const QUERY_BYTES_MAX: usize = 500;
/// Snippets of one answer.
pub const SNIPPETS_MAX: usize = 10;
/// Points of one owner.
pub const POINTS_MAX: usize = 10_000;
/// Changes whenever pages are split in another way, so that they are loaded anew.
const SPLIT_VERSION: &[u8] = b"1";

/// Whose a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// Written by the platform, for all: `0` in a vector store.
    Everyone,
    /// One user's.
    User(UserId),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("0"),
            Self::User(user) => user.fmt(f),
        }
    }
}

impl FromStr for Owner {
    type Err = proto::IdError;

    /// Reads exactly what [`Owner`] writes: no blanks, no other spelling of a user's id.
    fn from_str(text: &str) -> Result<Self, proto::IdError> {
        if text == "0" { Ok(Self::Everyone) } else { text.parse().map(Self::User) }
    }
}

/// Whose points a search may see. Made of the user who asks, and of nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    user: UserId,
}

impl Scope {
    /// The user's own points and everybody's.
    #[must_use]
    pub const fn of(user: UserId) -> Self {
        Self { user }
    }

    /// The only place that decides who sees what.
    #[must_use]
    pub fn allows(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Everyone => true,
            Owner::User(user) => *user == self.user,
        }
    }

    /// Both owners, for the filter of a vector store.
    #[must_use]
    pub fn owners(&self) -> [Owner; 2] {
        [Owner::Everyone, Owner::User(self.user)]
    }
}

/// A piece of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippet {
    /// The page, e.g. `knowledge/backtests.md`.
    pub source: String,
    /// Title and heading.
    pub heading: String,
    /// Markdown.
    pub text: String,
}

/// A page to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its name, unique for its owner.
    pub source: String,
    /// Markdown.
    pub text: String,
}

/// A page in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Its name.
    pub source: String,
    /// SHA-256 of what it was made of, hexadecimal.
    pub hash: String,
}

/// What an index found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Whose it is.
    pub owner: Owner,
    /// What.
    pub snippet: Snippet,
    /// Higher is nearer; only good for comparing results of one answer.
    pub score: f64,
}

/// Why knowledge cannot be had or kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnowledgeError {
    /// A page is too large.
    #[error("page {page} has {bytes} bytes: the limit is {most}")]
    PageTooLarge {
        /// Its name.
        page: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// An owner has too many points.
    #[error("{points} points: the limit is {most}")]
    TooManyPoints {
        /// How many there would be.
        points: usize,
        /// The limit.
        most: usize,
    },
    /// The index failed.
    #[error("the index failed: {0}")]
    Index(String),
}

/// Where points are kept and looked for: in this process ([`WordsIndex`]), or in a vector store.
#[async_trait]
pub trait Index: Send + Sync + fmt::Debug {
    /// The pages of an owner.
    ///
    /// # Errors
    /// [`KnowledgeError::Index`].
    async fn indexed(&self, owner: &Owner) -> Result<Vec<Indexed>, KnowledgeError>;

    /// Puts a page in the place of the one of this name; without snippets the page is gone.
    ///
    /// # Errors
    /// [`KnowledgeError::TooManyPoints`], [`KnowledgeError::Index`]; the old page stays then.
    async fn replace(&self, owner: &Owner, page: Indexed, snippets: Vec<Snippet>) -> Result<(), KnowledgeError>;

    /// The nearest points of the scope, nearest first.
    ///
    /// # Errors
    /// [`KnowledgeError::Index`].
    async fn nearest(&self, scope: &Scope, query: &str, limit: usize) -> Result<Vec<Found>, KnowledgeError>;

    /// How many points an owner has.
    ///
    /// # Errors
    /// [`KnowledgeError::Index`].
    async fn count(&self, owner: &Owner) -> Result<u64, KnowledgeError>;

    /// Removes all points of an owner.
    ///
    /// # Errors
    /// [`KnowledgeError::Index`].
    async fn clear(&self, owner: &Owner) -> Result<(), KnowledgeError>;
}

/// What loading did, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loaded {
    /// New or changed.
    pub written: usize,
    /// There already.
    pub unchanged: usize,
    /// No longer among those to load.
    pub removed: usize,
}

/// Points of a user before and after they were erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// What there was.
    pub before: u64,
    /// What there is.
    pub after: u64,
}

/// Knowledge over an index.
#[derive(Debug, Clone)]
pub struct Knowledge {
    index: Arc<dyn Index>,
}

impl Knowledge {
    /// Over this index, which nobody else asks.
    #[must_use]
    pub fn new(index: Arc<dyn Index>) -> Self {
        Self { index }
    }

    /// Makes the pages of an owner these ones. Only what changed is written, so it may be called at each start, on each replica.
    ///
    /// # Errors
    /// If a page is too large, before anything is written; if there are too many points; if the index fails.
    pub async fn load(&self, owner: &Owner, pages: &[Page]) -> Result<Loaded, KnowledgeError> {
        if let Some(page) = pages.iter().find(|page| page.text.len() > PAGE_BYTES_MAX) {
            return Err(KnowledgeError::PageTooLarge {
                page: page.source.clone(),
                bytes: page.text.len(),
                most: PAGE_BYTES_MAX,
            });
        }
        let known = self.index.indexed(owner).await?;
        let mut loaded = Loaded::default();
        for old in known.iter().filter(|old| pages.iter().all(|page| page.source != old.source)) {
            self.index.replace(owner, old.clone(), Vec::new()).await?;
            loaded.removed += 1;
        }
        for page in pages {
            let new = Indexed { source: page.source.clone(), hash: hash(page) };
            if known.contains(&new) {
                loaded.unchanged += 1;
                continue;
            }
            let snippet = |section: Section| Snippet {
                source: page.source.clone(),
                heading: section.heading,
                text: section.text,
            };
            let snippets = sections(&page.text).into_iter().map(snippet).collect();
            self.index.replace(owner, new, snippets).await?;
            loaded.written += 1;
        }
        Ok(loaded)
    }

    /// The nearest snippets that the user may see, at most [`SNIPPETS_MAX`].
    ///
    /// # Errors
    /// If the index fails.
    pub async fn search(&self, user: UserId, query: &str, limit: usize) -> Result<Vec<Snippet>, KnowledgeError> {
        let scope = Scope::of(user);
        let query = &query[..query.floor_char_boundary(QUERY_BYTES_MAX.min(query.len()))];
        let found = self.index.nearest(&scope, query, limit.min(SNIPPETS_MAX)).await?;
        // An index that ignores the filter, or was given a wrong one, still tells nobody anything.
        Ok(found
            .into_iter()
            .filter(|found| scope.allows(&found.owner))
            .take(limit.min(SNIPPETS_MAX))
            .map(|found| found.snippet)
            .collect())
    }

    /// Removes all points of a user; the counts are the proof.
    ///
    /// # Errors
    /// If the index fails.
    pub async fn erase(&self, user: UserId) -> Result<Erased, KnowledgeError> {
        let owner = Owner::User(user);
        let before = self.index.count(&owner).await?;
        self.index.clear(&owner).await?;
        Ok(Erased { before, after: self.index.count(&owner).await? })
    }
}

fn hash(page: &Page) -> String {
    let mut digest = Sha256::new();
    for part in [SPLIT_VERSION, page.source.as_bytes(), page.text.as_bytes()] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
