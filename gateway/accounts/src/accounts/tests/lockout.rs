//! Guessing: the wait, its counting over replicas, and that a name that nobody has is like any other.

use crate::accounts::Accounts;
use crate::error::AccountError;
use crate::fixtures::{PASSWORD, Platform, client, on_both_stores, secret, sign_up};
use futures_util::future::join_all;
use std::time::Duration;

on_both_stores! {
    after_five_wrong_passwords_a_name_waits_on_every_replica
    guesses_at_one_moment_are_counted_one_by_one
    an_address_that_guesses_waits_whatever_the_name
    a_name_that_nobody_has_is_answered_with_the_same_words_and_work
    the_right_password_forgets_what_was_wrong
}

async fn guess(accounts: &Accounts, name: &str, from: u8) -> AccountError {
    accounts.sign_in(name, secret("wrong wrong wrong"), None, &client(from)).await.unwrap_err()
}

async fn after_five_wrong_passwords_a_name_waits_on_every_replica(platform: Platform) {
    let (here, there) = (platform.replica().await, platform.replica().await);
    sign_up(&here, "alice").await;
    for try_number in 0..5 {
        let error = guess(&here, "alice", 10 + try_number).await;
        assert!(matches!(error, AccountError::Wrong { .. }), "{try_number}: {error}");
    }
    let right = there.sign_in("alice", secret(PASSWORD), None, &client(2)).await.unwrap_err();
    let AccountError::Waiting { retry_after } = right else { panic!("{right}") };
    assert_eq!(retry_after, Duration::from_secs(1));
    platform.advance(retry_after);
    assert!(matches!(guess(&there, "alice", 20).await, AccountError::Wrong { .. }));
    let AccountError::Waiting { retry_after } = guess(&here, "alice", 21).await else { panic!("it waits") };
    assert_eq!(retry_after, Duration::from_secs(2), "twice as long");
    platform.advance(retry_after);
    there.sign_in("alice", secret(PASSWORD), None, &client(2)).await.unwrap();
}

async fn guesses_at_one_moment_are_counted_one_by_one(platform: Platform) {
    let replicas = [platform.replica().await, platform.replica().await];
    sign_up(&replicas[0], "alice").await;
    let tries = (0..24_u8).map(|party| guess(&replicas[usize::from(party % 2)], "alice", 10 + party));
    let looked_at = join_all(tries).await.iter().filter(|error| matches!(error, AccountError::Wrong { .. })).count();
    assert!((1..=5).contains(&looked_at), "{looked_at}");
}

async fn an_address_that_guesses_waits_whatever_the_name(platform: Platform) {
    let accounts = platform.replica().await;
    sign_up(&accounts, "alice").await;
    for number in 0..5 {
        guess(&accounts, &format!("name{number}"), 9).await;
    }
    let other_name = accounts.sign_in("alice", secret(PASSWORD), None, &client(9)).await.unwrap_err();
    assert!(matches!(other_name, AccountError::Waiting { .. }), "{other_name}");
    accounts.sign_in("alice", secret(PASSWORD), None, &client(8)).await.unwrap();
}

async fn a_name_that_nobody_has_is_answered_with_the_same_words_and_work(platform: Platform) {
    let accounts = platform.replica().await;
    sign_up(&accounts, "alice").await;
    accounts.first_admin_link().await.unwrap();
    let mut answers = Vec::new();
    // A user, a user without a password, a name that nobody has, and what is no name.
    for (from, name) in [(20, "alice"), (21, "admin"), (22, "nobody"), (23, "No Name!")] {
        let before = accounts.metrics.hashes.get();
        let mut words = Vec::new();
        for _ in 0..6 {
            let error = guess(&accounts, name, from).await;
            words.push((error.to_string(), error.code(), error.field(), error.retry_after()));
        }
        answers.push((words, accounts.metrics.hashes.get() - before));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(answers[0].1, 5, "five tries cost a hash each, whoever is asked for");
}

async fn the_right_password_forgets_what_was_wrong(platform: Platform) {
    let accounts = platform.replica().await;
    sign_up(&accounts, "alice").await;
    for round in 0..3 {
        for number in 0..4 {
            let error = guess(&accounts, "alice", 30 + round * 4 + number).await;
            assert!(matches!(error, AccountError::Wrong { .. }), "{error}");
        }
        accounts.sign_in("alice", secret(PASSWORD), None, &client(2)).await.unwrap();
    }
}
