//! Buckets in Redis, or what speaks like it: one script for each take, so that replicas cannot take the same token.

use super::{Bucket, HotStore, HotStoreError, Taken};
use crate::tier::Rate;
use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// A store that answers later than this is no help: the limit is then counted in the process.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Requests that wait for an answer; more wait before they are sent.
const IN_FLIGHT: usize = 1024;

/// The same as [`Bucket::take`]. Returns 0, or how long to wait, µs. The key lives as long as its bucket is not full.
const TAKE: &str = r"
local now, share, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = tonumber(redis.call('GET', KEYS[1])) or 0
full_at = math.max(now, math.min(full_at, now + window))
local ahead = full_at + share - now
if ahead > window then
  return ahead - window
end
redis.call('SET', KEYS[1], string.format('%.0f', full_at + share), 'PX', math.ceil(ahead / 1000) + 1000)
return 0
";

/// Buckets in Redis.
pub struct RedisStore {
    connection: ConnectionManager,
    script: Script,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects when it is first used, and again whenever the connection breaks.
    ///
    /// # Errors
    /// If the URL is none of Redis.
    pub fn new(url: &SecretString) -> Result<Self, HotStoreError> {
        let failed = |error: redis::RedisError| HotStoreError { source: Box::new(error) };
        let client = Client::open(url.expose_secret()).map_err(failed)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ANSWER_TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_number_of_retries(1)
            .set_concurrency_limit(IN_FLIGHT);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(failed)?;
        Ok(Self { connection, script: Script::new(TAKE) })
    }
}

#[async_trait]
impl HotStore for RedisStore {
    async fn take(&self, key: &str, rate: Rate, now_ns: u64) -> Result<Taken, HotStoreError> {
        let Bucket { share_us, window_us } = Bucket::new(rate);
        let mut connection = self.connection.clone();
        let mut invocation = self.script.key(format!("dexorder:limit:{key}"));
        invocation.arg(now_ns / 1000).arg(share_us).arg(window_us);
        let answer = tokio::time::timeout(CONNECT_TIMEOUT, invocation.invoke_async::<u64>(&mut connection)).await;
        let wait_us = match answer {
            Ok(Ok(wait_us)) => wait_us,
            Ok(Err(error)) => return Err(HotStoreError { source: Box::new(error) }),
            Err(error) => return Err(HotStoreError { source: Box::new(error) }),
        };
        Ok(match wait_us {
            0 => Taken::Granted,
            wait_us => Taken::Refused { retry_after: Duration::from_micros(wait_us) },
        })
    }
}
