//! What a user's tier gives its container, as far as the platform needs to know; the names are those of the container.

use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;

/// The tier of a container's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Not signed in; everything goes with the container.
    Anonymous,
    /// Signed in.
    Free,
    /// Paying.
    Pro,
    /// Paying for a container that never sleeps.
    Enterprise,
}

impl Tier {
    /// Its name in configurations and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// Memory of the whole container, bytes.
    #[must_use]
    pub const fn memory_bytes(self) -> u64 {
        match self {
            Self::Anonymous | Self::Free => 512 * MIB,
            Self::Pro => 2048 * MIB,
            Self::Enterprise => 4096 * MIB,
        }
    }
}
