//! Buckets in this process, for one replica.

use super::{Bucket, HotStore, HotStoreError, Taken};
use crate::tier::Rate;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most buckets; when there are more, those that are full again are dropped, and if none is, any one: its user gains a burst.
const MOST: usize = 100_000;

/// Buckets in this process.
#[derive(Debug, Default)]
pub struct InProcess {
    /// Key → when the bucket is full again, µs.
    buckets: Mutex<HashMap<String, u64>>,
}

impl InProcess {
    /// No buckets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one.
    pub(crate) fn take_now(&self, key: &str, rate: Rate, now_ns: u64) -> Taken {
        let now_us = now_ns / 1000;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_at) = buckets.get_mut(key) {
            return match Bucket::new(rate).take(Some(*full_at), now_us) {
                Ok(next) => {
                    *full_at = next;
                    Taken::Granted
                }
                Err(wait_us) => Taken::Refused { retry_after: Duration::from_micros(wait_us) },
            };
        }
        if buckets.len() >= MOST {
            make_room(&mut buckets, now_us);
        }
        match Bucket::new(rate).take(None, now_us) {
            Ok(next) => {
                buckets.insert(key.to_owned(), next);
                Taken::Granted
            }
            Err(wait_us) => Taken::Refused { retry_after: Duration::from_micros(wait_us) },
        }
    }
}

fn make_room(buckets: &mut HashMap<String, u64>, now_us: u64) {
    buckets.retain(|_, full_at| *full_at > now_us);
    // A tenth at one time, so that a flood of new keys does not walk through all for each.
    if buckets.len() >= MOST {
        let mut left = MOST - MOST / 10;
        buckets.retain(|_, _| {
            left = left.saturating_sub(1);
            left > 0
        });
    }
}

#[async_trait]
impl HotStore for InProcess {
    async fn take(&self, key: &str, rate: Rate, now_ns: u64) -> Result<Taken, HotStoreError> {
        Ok(self.take_now(key, rate, now_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_keys_does_not_grow_without_bound() {
        let store = InProcess::new();
        let rate = Rate { count: 1, window: Duration::from_secs(3600) };
        for key in 0..MOST + 10 {
            assert_eq!(store.take_now(&key.to_string(), rate, 1_000_000), Taken::Granted);
        }
        let kept = store.buckets.lock().unwrap().len();
        assert!((MOST / 2..=MOST).contains(&kept), "{kept}");
    }
}
