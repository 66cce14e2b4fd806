//! One suite for both hot stores: the same answers in the same order.

use super::*;
use crate::fixtures::{NOW_NS, RedisServer, SECOND, secret};
use futures_util::future::join_all;

const RATE: Rate = Rate { count: 10, window: Duration::from_secs(60) };

async fn take(store: &dyn HotStore, key: &str, now_ns: u64) -> Taken {
    store.take(key, RATE, now_ns).await.unwrap()
}

fn wait(seconds: u64) -> Taken {
    Taken::Refused { retry_after: Duration::from_secs(seconds) }
}

async fn suite(store: &dyn HotStore) {
    for _ in 0..10 {
        assert_eq!(take(store, "a", NOW_NS).await, Taken::Granted);
    }
    assert_eq!(take(store, "a", NOW_NS).await, wait(6), "the eleventh waits for its share");
    assert_eq!(take(store, "b", NOW_NS).await, Taken::Granted, "another key has its own");
    assert_eq!(take(store, "a", NOW_NS + 5 * SECOND).await, wait(1));
    assert_eq!(take(store, "a", NOW_NS + 6 * SECOND).await, Taken::Granted);
    assert_eq!(take(store, "a", NOW_NS + 6 * SECOND).await, wait(6));
    let later = NOW_NS + 3600 * SECOND;
    for _ in 0..10 {
        assert_eq!(take(store, "a", later).await, Taken::Granted, "full again, and no fuller");
    }
    assert_eq!(take(store, "a", later).await, wait(6));
    assert_eq!(take(store, "a", NOW_NS).await, wait(6), "a clock that was set back waits for a share, not for an hour");
    let many = join_all((0..40).map(|_| take(store, "c", NOW_NS))).await;
    assert_eq!(many.iter().filter(|taken| **taken == Taken::Granted).count(), 10, "at one moment too");
}

#[tokio::test]
async fn buckets_in_the_process_pass_the_suite() {
    suite(&InProcess::new()).await;
}

#[tokio::test]
async fn buckets_in_redis_pass_the_suite() {
    let Some(redis) = RedisServer::start().await else { return };
    suite(&RedisStore::new(&secret(&redis.url())).unwrap()).await;
}

#[tokio::test]
async fn two_connections_share_the_buckets_of_redis_and_a_dead_one_is_an_error() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let [one, two] = [0, 1].map(|_| RedisStore::new(&secret(&redis.url())).unwrap());
    for _ in 0..5 {
        assert_eq!(take(&one, "a", NOW_NS).await, Taken::Granted);
        assert_eq!(take(&two, "a", NOW_NS).await, Taken::Granted);
    }
    assert_eq!(take(&one, "a", NOW_NS).await, wait(6));
    redis.kill();
    assert!(one.take("a", RATE, NOW_NS).await.is_err());
}

#[test]
fn a_url_that_is_not_of_redis_is_refused_without_showing_it() {
    let error = RedisStore::new(&secret("http://CANARY@x")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("CANARY"));
}

proptest::proptest! {
    #[test]
    fn a_bucket_never_grants_more_than_a_burst_and_its_share(steps in proptest::collection::vec(0_u64..30_000_000, 1..200)) {
        let (mut now_us, mut state, mut granted) = (1_000_000_000_u64, None, 0_u64);
        let begin_us = now_us;
        for step in steps {
            now_us += step;
            if let Ok(next) = Bucket::new(RATE).take(state, now_us) {
                state = Some(next);
                granted += 1;
            }
        }
        proptest::prop_assert!(granted <= 10 + (now_us - begin_us) / 6_000_000 + 1);
    }
}
