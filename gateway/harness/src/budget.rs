//! What a user may spend on models in a day, kept beside the turn log.

use crate::Tier;
use crate::parts::{Budget, PartError};
use crate::store::{StoreError, TurnStore};
use async_trait::async_trait;
use proto::UserId;
use serde::Deserialize;

const DAY_NS: u64 = 86_400_000_000_000;

/// Most money per user and day (UTC), millionths of a US dollar; none is no bound.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names of the tiers")]
pub struct DayBudget {
    pub anonymous_micro_usd: Option<u64>,
    pub free_micro_usd: Option<u64>,
    pub pro_micro_usd: Option<u64>,
    pub enterprise_micro_usd: Option<u64>,
}

impl Default for DayBudget {
    fn default() -> Self {
        Self {
            anonymous_micro_usd: Some(20_000),
            free_micro_usd: Some(200_000),
            pro_micro_usd: Some(5_000_000),
            enterprise_micro_usd: None,
        }
    }
}

impl DayBudget {
    /// What a tier may spend.
    #[must_use]
    pub const fn of(&self, tier: Tier) -> Option<u64> {
        match tier {
            Tier::Anonymous => self.anonymous_micro_usd,
            Tier::Free => self.free_micro_usd,
            Tier::Pro => self.pro_micro_usd,
            Tier::Enterprise => self.enterprise_micro_usd,
        }
    }
}

/// The budget in the database of the turn log.
#[derive(Debug, Clone)]
pub struct StoredBudget {
    store: TurnStore,
    day: DayBudget,
}

impl StoredBudget {
    /// Over a turn log.
    #[must_use]
    pub const fn new(store: TurnStore, day: DayBudget) -> Self {
        Self { store, day }
    }

    fn today(&self) -> i64 {
        i64::try_from(self.store.clock().now_ns() / DAY_NS).unwrap_or(i64::MAX)
    }
}

fn unavailable(error: &StoreError) -> PartError {
    tracing::error!(%error, "the budget cannot be read or written");
    PartError {
        message: "What you have spent today cannot be read. Try again in a minute.".to_owned(),
        retryable: true,
    }
}

#[async_trait]
impl Budget for StoredBudget {
    async fn left(&self, user: UserId, tier: Tier) -> Result<Option<u64>, PartError> {
        let Some(most) = self.day.of(tier) else { return Ok(None) };
        let spent = self.store.spent(user, self.today()).await.map_err(|error| unavailable(&error))?;
        Ok(Some(most.saturating_sub(spent)))
    }

    async fn charge(&self, user: UserId, charge_id: &str, micro_usd: u64) -> Result<(), PartError> {
        if micro_usd == 0 {
            return Ok(());
        }
        self.store.charge(user, self.today(), charge_id, micro_usd).await.map_err(|error| unavailable(&error))
    }
}
