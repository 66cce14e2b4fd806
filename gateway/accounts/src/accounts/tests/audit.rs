//! The audit trail in the store: what is in it, and that damage is found.

use crate::audit::{Fault, Verdict};
use crate::error::Code;
use crate::fixtures::{Platform, admin, caller, client, on_both_stores, secret, sign_up};
use futures_util::future::join_all;

on_both_stores! {
    every_attempt_is_in_it_with_name_address_and_outcome
    what_is_typed_as_a_name_that_nobody_has_is_not_kept
    replicas_append_to_one_chain
    a_changed_row_is_found_at_its_place
    only_admins_see_it
}

async fn every_attempt_is_in_it_with_name_address_and_outcome(platform: Platform) {
    let accounts = platform.replica().await;
    let (_, boss) = admin(&accounts).await;
    sign_up(&accounts, "alice").await;
    accounts.sign_in("alice", secret("wrong wrong wrong"), None, &client(9)).await.unwrap_err();
    let page = accounts.audit_page(&boss, None, 10).await.unwrap();
    let seen: Vec<_> = page
        .entries
        .iter()
        .map(|entry| {
            (entry.position, entry.event.as_str(), entry.outcome.as_str(), entry.name.as_str(), entry.address.as_str())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (5, "password", "wrong", "alice", "203.0.113.9"),
            (4, "sign_up", "granted", "alice", "203.0.113.1"),
            (3, "login_link", "granted", "admin", "203.0.113.1"),
            (2, "login_link_made", "granted", "admin", "127.0.0.1"),
            (1, "user_made", "granted", "admin", "127.0.0.1"),
        ]
    );
    assert_eq!(page.next, None);
    let page = accounts.audit_page(&boss, Some(4), 2).await.unwrap();
    let positions: Vec<u64> = page.entries.iter().map(|entry| entry.position).collect();
    assert_eq!((positions, page.next), (vec![3, 2], Some(2)));
    assert!(matches!(accounts.verify_audit(&boss).await.unwrap(), Verdict::Intact { entries: 5, .. }));
}

async fn what_is_typed_as_a_name_that_nobody_has_is_not_kept(platform: Platform) {
    let accounts = platform.replica().await;
    let (_, boss) = admin(&accounts).await;
    // Somebody typed the password into the wrong field.
    accounts.sign_in("canary-my-password", secret("alice"), None, &client(9)).await.unwrap_err();
    let page = accounts.audit_page(&boss, None, 1).await.unwrap();
    assert_eq!((page.entries[0].name.as_str(), page.entries[0].outcome.as_str()), ("", "wrong"));
    let rows = sqlx::query("SELECT subject FROM accounts_guesses").fetch_all(accounts.store.pool()).await.unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!(!sqlx::Row::get::<String, _>(&row, 0).contains("canary"));
    }
}

async fn replicas_append_to_one_chain(platform: Platform) {
    let replicas = [platform.replica().await, platform.replica().await];
    sign_up(&replicas[0], "alice").await;
    let tries = (0..40_u8).map(|party| {
        let accounts = replicas[usize::from(party % 2)].clone();
        tokio::spawn(async move {
            accounts.refresh(&secret("dxr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), &client(party)).await
        })
    });
    for result in join_all(tries).await {
        assert_eq!(result.unwrap().unwrap_err().code(), Code::Unauthenticated);
    }
    assert!(matches!(replicas[1].audit_verdict().await.unwrap(), Verdict::Intact { entries: 41, .. }));
}

async fn a_changed_row_is_found_at_its_place(platform: Platform) {
    let accounts = platform.replica().await;
    for number in 0..8 {
        sign_up(&accounts, &format!("user{number}")).await;
    }
    let run = async |statement: &'static str| sqlx::query(statement).execute(accounts.store.pool()).await.unwrap();
    let broken = async |position, fault| {
        assert_eq!(accounts.audit_verdict().await.unwrap(), Verdict::Broken { position, fault });
    };
    run("UPDATE accounts_audit SET outcome = 'wrong' WHERE position = 5").await;
    broken(5, Fault::Content).await;
    run("UPDATE accounts_audit SET outcome = 'granted' WHERE position = 5").await;
    run("UPDATE accounts_audit SET address = '10.0.0.1' WHERE position = 3").await;
    broken(3, Fault::Personal).await;
    run("UPDATE accounts_audit SET address = '203.0.113.1' WHERE position = 3").await;
    assert!(matches!(accounts.audit_verdict().await.unwrap(), Verdict::Intact { entries: 8, .. }));
    run("DELETE FROM accounts_audit WHERE position = 8").await;
    broken(8, Fault::Missing).await;
    run("DELETE FROM accounts_audit WHERE position = 4").await;
    broken(4, Fault::Missing).await;
}

async fn only_admins_see_it(platform: Platform) {
    let accounts = platform.replica().await;
    let alice = caller(&accounts, &sign_up(&accounts, "alice").await).await;
    assert_eq!(accounts.audit_page(&alice, None, 10).await.unwrap_err().code(), Code::Forbidden);
    assert_eq!(accounts.verify_audit(&alice).await.unwrap_err().code(), Code::Forbidden);
}
