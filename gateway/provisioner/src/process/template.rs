//! What a container is started with.

use super::volume::Volume;
use crate::config::ProcessConfig;
use crate::tier::Tier;
use crate::tokens::Trust;
use proto::UserId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Everything that is the same for all containers of a platform.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    config: ProcessConfig,
    trust: Trust,
    /// Changes whenever a running container would have to be started anew.
    pub(crate) digest: Arc<str>,
}

impl Template {
    pub(crate) fn new(config: ProcessConfig, trust: Trust) -> Self {
        let mut template = Self { config, trust, digest: Arc::from("") };
        let owner = UserId::from_bits(0);
        let volume = Volume::new(&template.config.dir, owner);
        let everything = json!({
            "program": template.config.program,
            "environment": template.config.environment,
            "version": env!("CARGO_PKG_VERSION"),
            "file": template.file(owner, Tier::Free, "", &volume),
        });
        let digest = Sha256::digest(everything.to_string().as_bytes());
        template.digest = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into();
        template
    }

    /// `aud` of the tokens of this user's container.
    pub(crate) fn audience(&self, owner: UserId) -> Arc<str> {
        format!("{}/{owner}/mcp", self.config.audience_base.trim_end_matches('/')).into()
    }

    /// The container's configuration.
    pub(crate) fn file(&self, owner: UserId, tier: Tier, instance: &str, volume: &Volume) -> Value {
        let config = &self.config;
        // It has to be gone before it is killed: first requests end, then events are delivered.
        let grace = (config.stop_within / 3).max(Duration::from_millis(200));
        let mut lifecycle = json!({
            "dir": volume.lifecycle(), "instance": instance, "sleep": true, "grace": text(grace),
        });
        if let Some(idle) = config.idle_timeout {
            lifecycle["idle_timeout"] = text(idle).into();
        }
        json!({
            "admin": {"listen": "127.0.0.1:0"},
            "drain_timeout": text(grace * 5 / 2),
            "agent": {
                "owner": owner.to_string(),
                "user_id": owner.to_string(),
                "data_dir": volume.data(),
                "tier": tier,
                "listen": "127.0.0.1:0",
                "auth": {"issuer": self.trust.issuer, "audience": self.audience(owner), "keys": self.trust.keys},
                "gateway": config.gateway_url,
                "events": {"publish": "127.0.0.1:0", "gateway": config.events},
                "python": {
                    "interpreter": config.python, "module": config.python_module, "worker_id": config.worker_id,
                },
                "lifecycle": lifecycle,
            },
        })
    }
}

fn text(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
