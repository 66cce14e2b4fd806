//! What a user's tier allows (the table of docs/operations/sandbox.md).

use serde::{Deserialize, Serialize};
use std::time::Duration;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The tier of the container's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Not signed in; everything goes with the container.
    Anonymous,
    /// Signed in.
    #[default]
    Free,
    /// Paying.
    Pro,
    /// Paying for a container that never sleeps.
    Enterprise,
}

impl Tier {
    /// Memory of the whole container, bytes.
    #[must_use]
    pub const fn memory(self) -> u64 {
        match self {
            Self::Anonymous | Self::Free => 512 * MIB,
            Self::Pro => 2 * GIB,
            Self::Enterprise => 4 * GIB,
        }
    }

    /// Bytes on the volume.
    #[must_use]
    pub const fn storage(self) -> u64 {
        match self {
            Self::Anonymous | Self::Free => GIB,
            Self::Pro => 10 * GIB,
            Self::Enterprise => 50 * GIB,
        }
    }

    /// Idle time after which the container goes to sleep; `None` is never.
    #[must_use]
    pub const fn idle_timeout(self) -> Option<Duration> {
        match self {
            Self::Anonymous | Self::Free => Some(Duration::from_secs(15 * 60)),
            Self::Pro => Some(Duration::from_secs(60 * 60)),
            Self::Enterprise => None,
        }
    }

    /// Workers with user code at one time.
    #[must_use]
    pub const fn workers(self) -> usize {
        match self {
            Self::Anonymous | Self::Free => 1,
            Self::Pro => 2,
            Self::Enterprise => 3,
        }
    }

    /// Name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }
}
