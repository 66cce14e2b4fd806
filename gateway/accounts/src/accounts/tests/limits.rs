//! Bounds: quotas over replicas, attempts of an address, hashes at one time, a pool that is used up, a store that is gone.

use crate::error::{AccountError, Code};
use crate::fixtures::{Backend, Platform, RedisServer, caller, client, on_both_stores, secret, sign_up};
use crate::tier::{Quota, Tier};
use futures_util::future::join_all;
use std::time::Duration;

on_both_stores! {
    a_used_up_pool_is_an_answer_and_no_hang
    tickets_of_one_user_are_few
}

async fn a_used_up_pool_is_an_answer_and_no_hang(mut platform: Platform) {
    platform.config.store.connections = 2;
    platform.config.store.acquire_timeout = Duration::from_millis(100);
    let accounts = platform.replica().await;
    let session = sign_up(&accounts, "alice").await;
    let pool = accounts.store.pool();
    let taken = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let somebody = client(1);
    let refused = tokio::time::timeout(Duration::from_secs(30), accounts.refresh(&session.refresh_token, &somebody));
    let refused = refused.await.expect("it is answered").unwrap_err();
    assert_eq!((refused.code(), refused.is_retryable()), (Code::Overloaded, true));
    assert!(!accounts.is_ready().await);
    drop(taken);
    accounts.refresh(&session.refresh_token, &client(1)).await.unwrap();
    assert!(accounts.is_ready().await);
}

async fn tickets_of_one_user_are_few(platform: Platform) {
    let accounts = platform.replica().await;
    let alice = caller(&accounts, &sign_up(&accounts, "alice").await).await;
    for _ in 0..32 {
        accounts.ticket(&alice).await.unwrap();
    }
    let more = accounts.ticket(&alice).await.unwrap_err();
    assert!(matches!(more, AccountError::TooMany { what: "tickets", .. }));
    platform.advance(Duration::from_secs(30));
    accounts.ticket(&alice).await.unwrap();
}

#[tokio::test]
async fn attempts_of_one_address_are_few_and_a_flood_of_them_fills_no_disk() {
    let mut platform = Platform::sqlite().await;
    platform.config.attempts_per_minute = 5;
    let accounts = platform.replica().await;
    let link = secret("dxl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for _ in 0..5 {
        let wrong = accounts.sign_in_with_link(&link, &client(9)).await.unwrap_err();
        assert_eq!(wrong.code(), Code::Unauthenticated);
    }
    for _ in 0..20 {
        let over = accounts.sign_in_with_link(&link, &client(9)).await.unwrap_err();
        let AccountError::OverQuota { retry_after, .. } = over else { panic!("{over}") };
        assert!(retry_after <= Duration::from_secs(12) && retry_after > Duration::ZERO);
    }
    let (entries, _) = accounts.store.audit_head().await.unwrap();
    assert_eq!(entries, 5);
    let elsewhere = accounts.sign_in_with_link(&link, &client(8)).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::Unauthenticated, "others are not slowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_hashes_than_may_wait_are_refused_and_not_counted_as_guesses() {
    let mut platform = Platform::sqlite().await;
    platform.config.hashing.parallel = 1;
    platform.config.hashing.waiting = 1;
    let accounts = platform.replica().await;
    let tries = (0..12_u8).map(|party| {
        let accounts = accounts.clone();
        tokio::spawn(async move {
            let name = format!("name{party}");
            accounts.sign_in(&name, secret("wrong wrong wrong"), None, &client(party)).await.unwrap_err()
        })
    });
    let errors: Vec<AccountError> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    let overloaded = errors.iter().filter(|error| matches!(error, AccountError::Overloaded)).count();
    let wrong = errors.iter().filter(|error| matches!(error, AccountError::Wrong { .. })).count();
    assert_eq!(overloaded + wrong, 12, "{errors:?}");
    assert!(overloaded > 0 && wrong > 0, "{overloaded} {wrong}");
    let counted = sqlx::query("SELECT COUNT(*) FROM accounts_guesses WHERE subject LIKE 'name:%' AND failures > 0");
    let counted = counted.fetch_one(accounts.store.pool()).await.unwrap();
    assert_eq!(sqlx::Row::get::<i64, _>(&counted, 0), i64::try_from(wrong).unwrap());
}

/// Takes the quota of messages on two replicas in turn; how many were granted, and the wait at the end.
async fn use_up(platform: &Platform) -> (u32, Duration) {
    let replicas = [platform.replica().await, platform.replica().await];
    let alice = caller(&replicas[0], &sign_up(&replicas[0], "alice").await).await;
    let mut granted = 0;
    loop {
        match replicas[usize::from(granted % 2 == 1)].allow(&alice, Quota::Messages).await {
            Ok(()) => granted += 1,
            Err(AccountError::OverQuota { quota: "messages", retry_after, .. }) => return (granted, retry_after),
            Err(other) => panic!("{other}"),
        }
        assert!(granted < 1000, "there is a limit");
    }
}

#[tokio::test]
async fn a_quota_is_counted_over_replicas_with_redis() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let platform = Platform::sqlite().await.with_redis(&redis.url());
    let count = Tier::Free.rate(Quota::Messages).count;
    assert_eq!(use_up(&platform).await, (count, Duration::from_secs(3)));
    redis.kill();
    let accounts = platform.replica().await;
    let bob = caller(&accounts, &sign_up(&accounts, "bob").await).await;
    for _ in 0..count {
        accounts.allow(&bob, Quota::Messages).await.unwrap();
    }
    assert!(accounts.allow(&bob, Quota::Messages).await.is_err(), "without Redis each replica counts for itself");
    assert!(accounts.metrics.hot_store_failures.get() > 0);
}

#[tokio::test]
async fn a_quota_gives_the_next_one_when_it_said_it_would() {
    let platform = Platform::sqlite().await;
    let accounts = platform.replica().await;
    let alice = caller(&accounts, &sign_up(&accounts, "alice").await).await;
    let bob = caller(&accounts, &sign_up(&accounts, "bob").await).await;
    for _ in 0..Tier::Free.rate(Quota::Messages).count {
        accounts.allow(&alice, Quota::Messages).await.unwrap();
    }
    let over = accounts.allow(&alice, Quota::Messages).await.unwrap_err();
    let wait = over.retry_after().unwrap();
    accounts.allow(&bob, Quota::Messages).await.unwrap();
    accounts.allow(&alice, Quota::Requests).await.unwrap();
    platform.advance(wait - Duration::from_micros(1));
    accounts.allow(&alice, Quota::Messages).await.unwrap_err();
    platform.advance(Duration::from_micros(1));
    accounts.allow(&alice, Quota::Messages).await.unwrap();
    accounts.allow(&alice, Quota::Messages).await.unwrap_err();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let Some(platform) = Platform::new(backend).await else { continue };
        let accounts = platform.replica().await;
        sqlx::query("UPDATE accounts_schema SET version = 99").execute(accounts.store.pool()).await.unwrap();
        let error = platform.try_replica().await.unwrap_err();
        let AccountError::Store(cause) = error else { panic!("{error}") };
        assert_eq!(cause.to_string(), "the schema has version 99; this program knows up to 1");
    }
}
