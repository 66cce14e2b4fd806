//! Users by their id, for parts of the platform that act for them without a credential of theirs.

use super::Accounts;
use super::profile::{Profile, profile};
use crate::error::AccountError;
use crate::tier::Tier;
use proto::UserId;

impl Accounts {
    /// The account of a user; none if there is no such user.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn profile_of(&self, user: UserId) -> Result<Option<Profile>, AccountError> {
        Ok(self.store.user(user).await?.as_ref().map(profile))
    }

    /// The tier of a user who may use the platform: none if there is no such user, or the account is disabled or has ended.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn tier_of(&self, user: UserId) -> Result<Option<Tier>, AccountError> {
        let Some(user) = self.store.user(user).await? else { return Ok(None) };
        let ended = user.disabled || user.expires_ns.is_some_and(|expires_ns| expires_ns <= self.now_ns());
        Ok((!ended).then_some(user.tier))
    }
}
