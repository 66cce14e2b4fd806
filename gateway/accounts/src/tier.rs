//! What a tier gives: the container's size, and how often what may be done.

use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;
use utoipa::ToSchema;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The tier of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Not signed up; everything goes with the container.
    Anonymous,
    /// Signed up.
    #[default]
    Free,
    /// Paying.
    Pro,
    /// Paying for a container that never sleeps.
    Enterprise,
}

/// The size of a user's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerSize {
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// CPU, thousandths of a core.
    pub cpu_millicores: u32,
    /// Storage, bytes.
    pub storage_bytes: u64,
    /// Idle time after which it sleeps; `None` is never.
    pub idle_timeout: Option<Duration>,
}

/// What is counted for each user over all replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    /// Requests of the API.
    Requests,
    /// Messages to the assistant.
    Messages,
    /// Requests of external MCP clients.
    Mcp,
    /// Messages to the assistant in a day.
    MessagesOfDay,
}

/// So many in so much time; bursts up to the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how much time.
    pub window: Duration,
}

impl Quota {
    /// All.
    pub const ALL: [Self; 4] = [Self::Requests, Self::Messages, Self::Mcp, Self::MessagesOfDay];

    /// Name in keys, errors and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Messages => "messages",
            Self::Mcp => "mcp",
            Self::MessagesOfDay => "messages_of_day",
        }
    }
}

impl Tier {
    /// All, from the least.
    pub const ALL: [Self; 4] = [Self::Anonymous, Self::Free, Self::Pro, Self::Enterprise];

    /// Name in tokens, the store, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// The size of the container.
    #[must_use]
    pub const fn container(self) -> ContainerSize {
        let (memory_bytes, cpu_millicores, storage_bytes, idle_minutes) = match self {
            Self::Anonymous | Self::Free => (512 * MIB, 500, GIB, Some(15)),
            Self::Pro => (2 * GIB, 2000, 10 * GIB, Some(60)),
            Self::Enterprise => (4 * GIB, 4000, 50 * GIB, None),
        };
        let idle_timeout = match idle_minutes {
            Some(minutes) => Some(Duration::from_secs(minutes * 60)),
            None => None,
        };
        ContainerSize { memory_bytes, cpu_millicores, storage_bytes, idle_timeout }
    }

    /// How often.
    #[must_use]
    pub const fn rate(self, quota: Quota) -> Rate {
        let (count, window) = match (quota, self) {
            (Quota::Requests, Self::Anonymous) => (300, MINUTE),
            (Quota::Requests, Self::Free) => (600, MINUTE),
            (Quota::Requests, Self::Pro) => (3000, MINUTE),
            (Quota::Requests, Self::Enterprise) => (12_000, MINUTE),
            (Quota::Messages, Self::Anonymous) => (6, MINUTE),
            (Quota::Messages, Self::Free) => (20, MINUTE),
            (Quota::Messages, Self::Pro) => (60, MINUTE),
            (Quota::Messages, Self::Enterprise) => (240, MINUTE),
            (Quota::Mcp, Self::Anonymous) => (60, MINUTE),
            (Quota::Mcp, Self::Free) => (300, MINUTE),
            (Quota::Mcp, Self::Pro) => (3000, MINUTE),
            (Quota::Mcp, Self::Enterprise) => (12_000, MINUTE),
            (Quota::MessagesOfDay, Self::Anonymous) => (50, DAY),
            (Quota::MessagesOfDay, Self::Free) => (500, DAY),
            (Quota::MessagesOfDay, Self::Pro) => (5000, DAY),
            (Quota::MessagesOfDay, Self::Enterprise) => (50_000, DAY),
        };
        Rate { count, window }
    }

    /// API keys that are good at one time.
    #[must_use]
    pub const fn api_keys(self) -> u32 {
        match self {
            Self::Anonymous => 0,
            Self::Free => 3,
            Self::Pro => 10,
            Self::Enterprise => 50,
        }
    }

    /// Open sessions; a further sign-in ends the one that was unused for the longest time.
    #[must_use]
    pub const fn sessions(self) -> u32 {
        match self {
            Self::Anonymous => 2,
            Self::Free => 10,
            Self::Pro => 20,
            Self::Enterprise => 50,
        }
    }
}

/// No such tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tier: not one of anonymous, free, pro, enterprise")]
pub struct UnknownTier;

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(text: &str) -> Result<Self, UnknownTier> {
        Self::ALL.into_iter().find(|tier| tier.name() == text).ok_or(UnknownTier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_tier_never_gives_less() {
        for pair in Tier::ALL.windows(2) {
            let (low, high) = (pair[0].container(), pair[1].container());
            assert!(low.memory_bytes <= high.memory_bytes && low.storage_bytes <= high.storage_bytes);
            assert!(pair[0].api_keys() <= pair[1].api_keys() && pair[0].sessions() <= pair[1].sessions());
            for quota in Quota::ALL {
                assert!(pair[0].rate(quota).count < pair[1].rate(quota).count, "{quota:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back_and_others_are_not() {
        for tier in Tier::ALL {
            assert_eq!(tier.name().parse(), Ok(tier));
        }
        assert_eq!("Pro".parse::<Tier>(), Err(UnknownTier));
        assert_eq!(Tier::Enterprise.container().idle_timeout, None);
        assert_eq!(Tier::Pro.container().idle_timeout, Some(Duration::from_secs(3600)));
    }
}
