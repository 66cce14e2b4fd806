//! Tokens for containers: made by the platform for one owner and one container, never a caller's own.

use proto::UserId;
use secrecy::SecretString;
use service::clock::Clock;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// A token is renewed when it is good for less than this, or for less than half of its life, whichever is shorter.
const RENEW_BEFORE_NS: u64 = 60_000_000_000;
/// Tokens that are kept; a further one makes the first to expire be forgotten.
const KEPT: usize = 4096;

/// A token that a container accepts.
#[derive(Debug, Clone)]
pub struct ContainerToken {
    /// What stands behind `Bearer`.
    pub secret: SecretString,
    /// When it ends, ns since the epoch; at most 24 hours from now, or the container refuses it.
    pub expires_at_ns: u64,
}

/// Whom containers trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// `iss` of the tokens.
    pub issuer: String,
    /// Ed25519 public keys, PEM, by key id.
    pub keys: BTreeMap<String, String>,
}

/// No token could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no token for the container could be signed")]
pub struct TokenError;

/// Makes tokens for containers. Implemented by the accounts.
pub trait ContainerTokens: Send + Sync + std::fmt::Debug {
    /// What a new container is told to trust.
    fn trust(&self) -> Trust;

    /// A token with `sub` = the owner and `aud` = the audience, good for some minutes.
    ///
    /// # Errors
    /// If it cannot be signed.
    fn token(&self, owner: UserId, audience: &str) -> Result<ContainerToken, TokenError>;
}

#[derive(Debug)]
struct Kept {
    token: ContainerToken,
    renew_at_ns: u64,
}

/// Keeps tokens until they must be renewed: a signature costs more than everything else of a light request.
#[derive(Debug)]
pub(crate) struct TokenCache {
    tokens: Arc<dyn ContainerTokens>,
    clock: Clock,
    kept: Mutex<HashMap<(UserId, Arc<str>), Kept>>,
}

impl TokenCache {
    pub(crate) fn new(tokens: Arc<dyn ContainerTokens>, clock: Clock) -> Self {
        Self { tokens, clock, kept: Mutex::default() }
    }

    /// A token that is good for a while yet.
    pub(crate) fn get(&self, owner: UserId, audience: &Arc<str>) -> Result<SecretString, TokenError> {
        let now_ns = self.clock.now_ns();
        let key = (owner, Arc::clone(audience));
        if let Some(kept) = self.lock().get(&key).filter(|kept| now_ns < kept.renew_at_ns) {
            return Ok(kept.token.secret.clone());
        }
        let token = self.tokens.token(owner, audience)?;
        let life_ns = token.expires_at_ns.saturating_sub(now_ns);
        let renew_at_ns = token.expires_at_ns - RENEW_BEFORE_NS.min(life_ns / 2);
        let secret = token.secret.clone();
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            let first = kept.iter().min_by_key(|(_, it)| it.renew_at_ns).map(|(key, _)| key.clone());
            first.and_then(|first| kept.remove(&first));
        }
        kept.insert(key, Kept { token, renew_at_ns });
        Ok(secret)
    }

    /// Forgets a token that a container did not accept.
    pub(crate) fn forget(&self, owner: UserId, audience: &Arc<str>) {
        self.lock().remove(&(owner, Arc::clone(audience)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(UserId, Arc<str>), Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug)]
    struct Counting {
        clock: Clock,
        life_ns: u64,
        made: AtomicU64,
    }

    impl ContainerTokens for Counting {
        fn trust(&self) -> Trust {
            Trust { issuer: "urn:test".to_owned(), keys: BTreeMap::new() }
        }

        fn token(&self, owner: UserId, audience: &str) -> Result<ContainerToken, TokenError> {
            let number = self.made.fetch_add(1, Ordering::Relaxed);
            let secret = format!("{owner} {audience} {number}").into();
            Ok(ContainerToken { secret, expires_at_ns: self.clock.now_ns() + self.life_ns })
        }
    }

    fn cache(life_s: u64) -> (TokenCache, Clock) {
        let clock = Clock::manual(1_000_000_000_000);
        let tokens = Counting { clock: clock.clone(), life_ns: life_s * 1_000_000_000, made: AtomicU64::new(0) };
        (TokenCache::new(Arc::new(tokens), clock.clone()), clock)
    }

    #[test]
    fn a_token_is_kept_until_a_minute_before_its_end() {
        let (cache, clock) = cache(300);
        let (one, audience) = (UserId::from_bits(1), Arc::from("http://a/mcp"));
        let get = || cache.get(one, &audience).unwrap().expose_secret().to_owned();
        let first = get();
        clock.set_ns(clock.now_ns() + 239 * 1_000_000_000);
        assert_eq!(get(), first);
        clock.set_ns(clock.now_ns() + 2 * 1_000_000_000);
        let second = get();
        assert_ne!(second, first);
        cache.forget(one, &audience);
        assert_ne!(get(), second);
    }

    #[test]
    fn a_short_token_is_kept_for_half_of_its_life() {
        let (cache, clock) = cache(20);
        let (one, audience) = (UserId::from_bits(1), Arc::from("http://a/mcp"));
        let get = || cache.get(one, &audience).unwrap().expose_secret().to_owned();
        let first = get();
        clock.set_ns(clock.now_ns() + 9 * 1_000_000_000);
        assert_eq!(get(), first);
        clock.set_ns(clock.now_ns() + 2 * 1_000_000_000);
        assert_ne!(get(), first);
    }

    #[test]
    fn each_owner_and_audience_has_its_own_and_the_number_is_bounded() {
        let (cache, _) = cache(300);
        let audience: Arc<str> = Arc::from("http://a/mcp");
        for user in 0..u128::try_from(KEPT).unwrap() + 10 {
            let secret = cache.get(UserId::from_bits(user), &audience).unwrap();
            assert!(secret.expose_secret().starts_with(&UserId::from_bits(user).to_string()));
        }
        assert_eq!(cache.lock().len(), KEPT);
        assert!(!format!("{cache:?}").contains("http://a/mcp 0"), "secrets are not shown");
    }
}
