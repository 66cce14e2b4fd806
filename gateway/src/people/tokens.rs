//! Accounts as containers need them: tokens for one container, and the tier of a user.

use accounts::Accounts;
use async_trait::async_trait;
use proto::UserId;
use provisioner::{ContainerToken, ContainerTokens, Tier, Tiers, TiersError, TokenError, Trust};
use std::sync::Arc;
use std::time::Duration;

/// How long a token for a container is good.
const LIFE: Duration = Duration::from_secs(600);

/// Signs tokens for containers with the key of the accounts.
#[derive(Debug)]
pub(super) struct AccountTokens(pub(super) Arc<Accounts>);

impl ContainerTokens for AccountTokens {
    fn trust(&self) -> Trust {
        let accounts = &self.0;
        let keys = [(accounts.key_id().to_owned(), accounts.public_key_pem().to_owned())].into();
        Trust { issuer: accounts.config().issuer.clone(), keys }
    }

    fn token(&self, owner: UserId, audience: &str) -> Result<ContainerToken, TokenError> {
        let secret = self.0.container_token(owner, audience, LIFE).map_err(|_| TokenError)?;
        let life = u64::try_from(LIFE.as_nanos()).unwrap_or(u64::MAX);
        Ok(ContainerToken { secret, expires_at_ns: self.0.now().saturating_add(life) })
    }
}

/// Tiers as the accounts have them.
#[derive(Debug)]
pub(super) struct AccountTiers(pub(super) Arc<Accounts>);

#[async_trait]
impl Tiers for AccountTiers {
    async fn tier(&self, owner: UserId) -> Result<Tier, TiersError> {
        let found = self.0.tier_of(owner).await;
        let tier = found.map_err(|_| TiersError {
            message: "the accounts cannot be reached; try again in a moment".to_owned(),
            retryable: true,
        })?;
        let tier =
            tier.ok_or_else(|| TiersError { message: "there is no such account".to_owned(), retryable: false })?;
        Ok(container_tier(tier))
    }
}

/// The names are the same in all rooms; each room has its own type.
const fn container_tier(tier: accounts::Tier) -> Tier {
    match tier {
        accounts::Tier::Anonymous => Tier::Anonymous,
        accounts::Tier::Free => Tier::Free,
        accounts::Tier::Pro => Tier::Pro,
        accounts::Tier::Enterprise => Tier::Enterprise,
    }
}

/// The same for the assistant.
pub(crate) const fn assistant_tier(tier: accounts::Tier) -> harness::Tier {
    match tier {
        accounts::Tier::Anonymous => harness::Tier::Anonymous,
        accounts::Tier::Free => harness::Tier::Free,
        accounts::Tier::Pro => harness::Tier::Pro,
        accounts::Tier::Enterprise => harness::Tier::Enterprise,
    }
}
