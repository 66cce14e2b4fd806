//! The preferences of users, with the secrets of their webhooks.

use super::Store;
use super::rows::signed;
use crate::error::StoreError;
use crate::preferences::Preferences;
use proto::UserId;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

/// Preferences as they are stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredPreferences {
    pub(crate) preferences: Preferences,
    /// Signs webhooks; absent until the user has set an address.
    pub(crate) webhook_secret: Option<SecretString>,
}

impl Store {
    /// What a user prefers; the defaults of who has said nothing.
    pub(crate) async fn preferences(&self, user_id: UserId) -> Result<StoredPreferences, StoreError> {
        let failed = || StoreError::database("reading preferences");
        let query = "SELECT body, webhook_secret FROM preferences WHERE user_id = $1";
        let row = sqlx::query(query).bind(user_id.to_string()).fetch_optional(&self.read).await.map_err(failed())?;
        let Some(row) = row else { return Ok(StoredPreferences::default()) };
        let (body, secret): (String, String) = (row.try_get(0).map_err(failed())?, row.try_get(1).map_err(failed())?);
        let stored = |_| StoreError::Stored { field: "preferences", user_id: user_id.to_string() };
        let preferences = serde_json::from_str(&body).map_err(stored)?;
        let webhook_secret = Some(secret).filter(|secret| !secret.is_empty()).map(SecretString::from);
        Ok(StoredPreferences { preferences, webhook_secret })
    }

    /// Stores what a user prefers.
    pub(crate) async fn set_preferences(
        &self,
        user_id: UserId,
        stored: &StoredPreferences,
        now_ns: u64,
    ) -> Result<(), StoreError> {
        let failed = || StoreError::database("storing preferences");
        let body = serde_json::to_string(&stored.preferences)
            .map_err(|_| StoreError::Stored { field: "preferences", user_id: user_id.to_string() })?;
        let secret = stored.webhook_secret.as_ref().map_or("", |secret| secret.expose_secret());
        let query = "INSERT INTO preferences (user_id, body, webhook_secret, updated_at_ns) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (user_id) DO UPDATE SET body = excluded.body, \
                     webhook_secret = excluded.webhook_secret, updated_at_ns = excluded.updated_at_ns";
        let query = sqlx::query(query).bind(user_id.to_string()).bind(body).bind(secret).bind(signed(now_ns));
        query.execute(&self.write).await.map_err(failed())?;
        Ok(())
    }
}
