//! Why accounts refuse something, in words that are stable for programs. No variant ever holds a secret.

use crate::issuer::TokenError;
use crate::keys::KeyError;
use crate::store::StoreError;
use std::time::Duration;

/// Why accounts refuse something.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A field is not as it must be.
    #[error("{message}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// No credential.
    #[error("sign in first")]
    NoCredential,
    /// Name and password, or another secret, that nobody has. It never says which part is wrong.
    #[error("{what}: wrong, used or expired")]
    Wrong {
        /// What was presented.
        what: &'static str,
    },
    /// A token that is refused.
    #[error("the token is refused: {0}")]
    Token(#[from] TokenError),
    /// Name and password are right, and a code of the authenticator is missing.
    #[error("totp: a code of the authenticator is needed")]
    TotpRequired,
    /// Too many wrong secrets.
    #[error("too many wrong tries; try again in {retry_after:?}")]
    Waiting {
        /// For how long.
        retry_after: Duration,
    },
    /// A quota of the user or the address is used up.
    #[error("{quota}: over the quota of {count} in {window:?}")]
    OverQuota {
        /// Which.
        quota: &'static str,
        /// How many are allowed.
        count: u32,
        /// In how much time.
        window: Duration,
        /// When the next one is.
        retry_after: Duration,
    },
    /// As many as there may be.
    #[error("{what}: there are {most} already, which is the most")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most.
        most: u32,
    },
    /// The caller may not.
    #[error("this needs {needs}")]
    Forbidden {
        /// What is missing.
        needs: &'static str,
    },
    /// The request comes from a page that is not ours.
    #[error("origin: not a page of ours")]
    ForbiddenOrigin,
    /// Somebody's account is disabled.
    #[error("the account is disabled; ask the operator")]
    Disabled,
    /// There is no such thing, or it is somebody else's.
    #[error("{what}: unknown")]
    NotFound {
        /// Of what kind.
        what: &'static str,
    },
    /// It cannot be so beside what there is.
    #[error("{message}")]
    Conflict {
        /// Which field.
        field: &'static str,
        /// Why not.
        message: &'static str,
    },
    /// The operator does not offer it.
    #[error("{what}: not offered here")]
    NotOffered {
        /// What.
        what: &'static str,
    },
    /// Busy; nothing was changed.
    #[error("busy; try again")]
    Overloaded,
    /// The store failed.
    #[error("the accounts cannot be reached")]
    Store(#[source] StoreError),
    /// A key failed.
    #[error("a key of the platform cannot be used")]
    Key(#[from] KeyError),
    /// What is stored cannot be read.
    #[error("what is stored of the account cannot be read: {what}")]
    Corrupt {
        /// What.
        what: &'static str,
    },
}

/// What went wrong, as a word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "docs/protocol/13-accounts.md says what each means")]
pub enum Code {
    Malformed,
    InvalidField,
    Unauthenticated,
    TotpRequired,
    Forbidden,
    ForbiddenOrigin,
    NotFound,
    MethodNotAllowed,
    Conflict,
    PayloadTooLarge,
    LimitExceeded,
    OverQuota,
    Overloaded,
    Internal,
}

impl AccountError {
    /// An error about a field.
    pub(crate) fn invalid(field: &'static str, message: impl ToString) -> Self {
        Self::Invalid { field, message: message.to_string() }
    }

    /// The word for programs.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } => Code::InvalidField,
            Self::NoCredential | Self::Wrong { .. } | Self::Token(_) => Code::Unauthenticated,
            Self::TotpRequired => Code::TotpRequired,
            Self::Waiting { .. } | Self::TooMany { .. } => Code::LimitExceeded,
            Self::OverQuota { .. } => Code::OverQuota,
            Self::Forbidden { .. } | Self::Disabled | Self::NotOffered { .. } => Code::Forbidden,
            Self::ForbiddenOrigin => Code::ForbiddenOrigin,
            Self::NotFound { .. } => Code::NotFound,
            Self::Conflict { .. } => Code::Conflict,
            Self::Overloaded => Code::Overloaded,
            Self::Store(error) if error.is_retryable() => Code::Overloaded,
            Self::Store(_) | Self::Key(_) | Self::Corrupt { .. } => Code::Internal,
        }
    }

    /// The offending member; empty if none.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Invalid { field, .. } | Self::Conflict { field, .. } => field,
            Self::TotpRequired => "totp",
            Self::ForbiddenOrigin => "origin",
            _ => "",
        }
    }

    /// When the same request may succeed; nothing if time alone does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Waiting { retry_after } | Self::OverQuota { retry_after, .. } => Some(*retry_after),
            Self::Overloaded => Some(Duration::from_secs(1)),
            Self::Store(error) if error.is_retryable() => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// True if the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retry_after().is_some()
    }
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
