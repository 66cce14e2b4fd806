//! Where passwords are hashed: beside the threads that serve requests, few at one time, with few that wait.

use crate::config::HashingConfig;
use crate::error::AccountError;
use crate::metrics::AccountsMetrics;
use crate::password::PasswordHash;
use secrecy::SecretString;
use service::metrics::Counter;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hashes passwords.
#[derive(Debug)]
pub(crate) struct Hashing {
    working: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    log_n: u8,
    hashed: Counter,
    refused: Counter,
}

impl Hashing {
    pub(crate) fn new(config: &HashingConfig, metrics: &AccountsMetrics) -> Self {
        Self {
            working: Arc::new(Semaphore::new(config.parallel)),
            admitted: Arc::new(Semaphore::new(config.parallel + config.waiting)),
            log_n: config.log_n,
            hashed: metrics.hashes.clone(),
            refused: metrics.hashing_refused.clone(),
        }
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<PasswordHash, AccountError> {
        let log_n = self.log_n;
        self.run(move || PasswordHash::new(&password, log_n)).await
    }

    /// True if the password is the one of the hash. Without a hash it takes as long, and is false.
    pub(crate) async fn matches(
        &self,
        hash: Option<PasswordHash>,
        password: SecretString,
    ) -> Result<bool, AccountError> {
        let log_n = self.log_n;
        self.run(move || hash.unwrap_or_else(|| PasswordHash::of_nobody(log_n)).matches(&password)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccountError> {
        let Ok(admitted) = self.admitted.clone().try_acquire_owned() else {
            self.refused.inc();
            return Err(AccountError::Overloaded);
        };
        let working = self.working.clone().acquire_owned().await.expect("the semaphore is never closed");
        self.hashed.inc();
        // The permits go with the work: a caller that goes away does not make room before its hash has ended.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop::<[OwnedSemaphorePermit; 2]>([admitted, working]);
            result
        });
        done.await.map_err(|_| AccountError::Overloaded)
    }
}
