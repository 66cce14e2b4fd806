//! Why the client has no answer.

use crate::provisioner::ProvisionError;
use crate::tokens::TokenError;
use std::time::Duration;

/// The tier of a user is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TiersError {
    /// For a person.
    pub message: String,
    /// True if it may be known later.
    pub retryable: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// There is no container.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// The tier is not known.
    #[error(transparent)]
    Tiers(#[from] TiersError),
    /// No token could be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The container accepts no token of the platform.
    #[error("the container does not accept the platform's tokens")]
    Denied,
    /// The container could not be reached, or was too busy, every time.
    #[error("the container did not take the request, {tries} times")]
    Unreachable {
        /// How often it was tried.
        tries: u32,
    },
    /// The container was lost meanwhile.
    #[error("the container was lost while it worked; whether the work was done is not known")]
    Lost,
    /// It said nothing for too long, or took too long.
    #[error("the container said nothing for {after:?}, or took too long")]
    Silent {
        /// How long.
        after: Duration,
    },
    /// The caller did not want it any more.
    #[error("cancelled")]
    Cancelled,
    /// The tool did not do what was asked.
    #[error("{code}: {message}")]
    Refused {
        /// For programs, e.g. `NOT_FOUND`.
        code: String,
        /// The argument that it is about, or "".
        field: String,
        /// For a person or a model.
        message: String,
    },
    /// What came is not what was asked for.
    #[error("the container's answer cannot be read: {message}")]
    Malformed {
        /// What is wrong.
        message: String,
    },
}

impl ClientError {
    /// True if the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Provision(error) => error.is_retryable(),
            Self::Tiers(error) => error.retryable,
            Self::Unreachable { .. } | Self::Lost | Self::Silent { .. } => true,
            Self::Token(_) | Self::Denied | Self::Cancelled | Self::Refused { .. } | Self::Malformed { .. } => false,
        }
    }

    /// Its name for programs and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Provision(_) => "CONTAINER_UNAVAILABLE",
            Self::Tiers(_) => "TIER_UNKNOWN",
            Self::Token(_) | Self::Denied => "CONTAINER_DENIED",
            Self::Unreachable { .. } => "CONTAINER_UNREACHABLE",
            Self::Lost => "CONTAINER_LOST",
            Self::Silent { .. } => "CONTAINER_SILENT",
            Self::Cancelled => "CANCELLED",
            Self::Refused { .. } => "REFUSED",
            Self::Malformed { .. } => "CONTAINER_MALFORMED",
        }
    }

    /// What a user is told.
    #[must_use]
    pub fn for_user(&self) -> String {
        match self {
            Self::Provision(error) => error.for_user().to_owned(),
            Self::Refused { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }
}
