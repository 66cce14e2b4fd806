//! The keys under which containers seal their critical events, as whoever runs the containers keeps them.

use async_trait::async_trait;
use notifications::{EventKeys, KeyLookupError};
use proto::UserId;
use provisioner::Provisioner;
use std::sync::{Arc, OnceLock};
use user_events::MacKey;

/// Keys of containers. Notifications are received before containers are run, so that these know where; until then nobody has a key.
#[derive(Debug, Default)]
pub(super) struct ContainerKeys(OnceLock<Arc<dyn Provisioner>>);

impl ContainerKeys {
    /// Says who keeps them; the first time counts.
    pub(super) fn kept_by(&self, provisioner: Arc<dyn Provisioner>) {
        self.0.get_or_init(|| provisioner);
    }
}

#[async_trait]
impl EventKeys for ContainerKeys {
    async fn key(&self, user_id: UserId, key_id: u32) -> Result<Option<MacKey>, KeyLookupError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| KeyLookupError::Failed(error);
        let Some(provisioner) = self.0.get() else { return Err(failed("containers are not run yet".into())) };
        let key = provisioner.event_key(user_id).await.map_err(|error| failed(Box::new(error)))?;
        let Some(key) = key.filter(|key| key.id == key_id) else { return Ok(None) };
        let key = MacKey::from_hex(key.id, &key.hex).map_err(|error| failed(Box::new(error)))?;
        Ok(Some(key))
    }
}
