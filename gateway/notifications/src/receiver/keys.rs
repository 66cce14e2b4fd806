//! The keys of containers: who has which is known elsewhere; what was found is believed for a while.

use async_trait::async_trait;
use bytes::Bytes;
use proto::UserId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use user_events::{Keyring, MacKey, OpenError, Opened, open};

/// Entries beyond which the cache forgets everything: forgers may ask for any key.
const ENTRIES: usize = 65_536;
/// Time for one lookup.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a key could not be looked up; the next message asks again.
#[derive(Debug, thiserror::Error)]
pub enum KeyLookupError {
    /// Whoever keeps the keys failed.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer in {PATIENCE:?}")]
    Timeout,
}

/// Who has which key. Kept by whoever makes the containers.
#[async_trait]
pub trait EventKeys: Send + Sync + std::fmt::Debug {
    /// The key of a user with this number; `None` if there is none or it was withdrawn.
    ///
    /// # Errors
    /// [`KeyLookupError`], if it cannot be known now.
    async fn key(&self, user_id: UserId, key_id: u32) -> Result<Option<MacKey>, KeyLookupError>;
}

/// What is known of a key without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cached {
    Known,
    Absent,
    Unknown,
}

#[derive(Debug, Default)]
struct Entries {
    ring: Keyring,
    /// Until when, and whether the key is there.
    found: HashMap<(UserId, u32), (Instant, bool)>,
}

/// Keys that were asked for lately, also those that are not there.
#[derive(Debug)]
pub(crate) struct KeyCache {
    keys: Arc<dyn EventKeys>,
    ttl: Duration,
    entries: Mutex<Entries>,
}

impl KeyCache {
    pub(crate) fn new(keys: Arc<dyn EventKeys>, ttl: Duration) -> Self {
        Self { keys, ttl, entries: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cached(&self, user_id: UserId, key_id: u32) -> Cached {
        match self.lock().found.get(&(user_id, key_id)) {
            Some((until, present)) if *until > Instant::now() => {
                if *present {
                    Cached::Known
                } else {
                    Cached::Absent
                }
            }
            _ => Cached::Unknown,
        }
    }

    /// Asks for a key; true if it is there.
    pub(crate) async fn find(&self, user_id: UserId, key_id: u32) -> Result<bool, KeyLookupError> {
        match self.cached(user_id, key_id) {
            Cached::Known => return Ok(true),
            Cached::Absent => return Ok(false),
            Cached::Unknown => {}
        }
        let key = timeout(PATIENCE, self.keys.key(user_id, key_id)).await.map_err(|_| KeyLookupError::Timeout)??;
        let mut entries = self.lock();
        if entries.found.len() >= ENTRIES {
            *entries = Entries::default();
        }
        // A key under another number than the one asked for is no answer.
        let key = key.filter(|key| key.id() == key_id);
        let present = key.is_some();
        match key {
            Some(key) => entries.ring.insert(user_id, key),
            None => entries.ring.remove(user_id, key_id),
        }
        entries.found.insert((user_id, key_id), (Instant::now() + self.ttl, present));
        Ok(present)
    }

    /// Verifies a message with a key that [`Self::cached`] knows; `None` if it does no more.
    pub(crate) fn open(
        &self,
        frames: &[Bytes],
        user_id: UserId,
        key_id: u32,
    ) -> Option<(Result<Opened, OpenError>, MacKey)> {
        let entries = self.lock();
        let key = entries.ring.get(user_id, key_id)?.clone();
        Some((open(frames, &entries.ring), key))
    }

    /// Forgets what is known of a user's keys: the next message asks again.
    pub(crate) fn forget(&self, user_id: UserId) {
        let mut entries = self.lock();
        let ids: Vec<u32> = entries.found.keys().filter(|(user, _)| *user == user_id).map(|(_, id)| *id).collect();
        for id in ids {
            entries.found.remove(&(user_id, id));
            entries.ring.remove(user_id, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Counting {
        asked: AtomicU64,
        withdrawn: std::sync::atomic::AtomicBool,
    }

    #[async_trait]
    impl EventKeys for Counting {
        async fn key(&self, _: UserId, key_id: u32) -> Result<Option<MacKey>, KeyLookupError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let there = key_id == 7 && !self.withdrawn.load(Ordering::Relaxed);
            Ok(there.then(|| MacKey::new(7, &std::array::from_fn(|at| u8::try_from(at).unwrap())).unwrap()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_asked_for_once_until_its_time_is_over_also_if_it_is_not_there() {
        let keys = Arc::new(Counting::default());
        let cache = KeyCache::new(Arc::clone(&keys) as Arc<dyn EventKeys>, Duration::from_secs(30));
        let user = UserId::from_bits(1);
        assert_eq!(cache.cached(user, 7), Cached::Unknown);
        for _ in 0..3 {
            assert!(cache.find(user, 7).await.unwrap());
            assert!(!cache.find(user, 8).await.unwrap());
        }
        assert_eq!((cache.cached(user, 7), cache.cached(user, 8)), (Cached::Known, Cached::Absent));
        assert_eq!(keys.asked.load(Ordering::Relaxed), 2);
        keys.withdrawn.store(true, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(cache.cached(user, 7), Cached::Unknown);
        assert!(!cache.find(user, 7).await.unwrap());
        assert!(cache.open(&[], user, 7).is_none());
    }

    #[tokio::test]
    async fn a_forgotten_user_is_asked_for_again() {
        let keys = Arc::new(Counting::default());
        let cache = KeyCache::new(Arc::clone(&keys) as Arc<dyn EventKeys>, Duration::from_secs(30));
        let (user, other) = (UserId::from_bits(1), UserId::from_bits(2));
        assert!(cache.find(user, 7).await.unwrap() && cache.find(other, 7).await.unwrap());
        cache.forget(user);
        assert_eq!((cache.cached(user, 7), cache.cached(other, 7)), (Cached::Unknown, Cached::Known));
    }
}
