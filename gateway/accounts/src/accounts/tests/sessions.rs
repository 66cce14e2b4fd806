//! Sessions: rotation, reuse, lost answers, revocation over replicas, restarts.

use crate::error::{AccountError, Code};
use crate::fixtures::{PASSWORD, Platform, caller, client, on_both_stores, same, secret, sign_up};
use crate::issuer::TokenError;
use std::time::Duration;

on_both_stores! {
    a_refresh_token_is_good_once_and_its_reuse_ends_the_session
    a_lost_answer_signs_nobody_out
    a_thief_within_the_window_is_found_out_at_the_next_refresh
    what_one_replica_ends_the_other_sees_within_seconds
    sessions_survive_a_restart
    a_session_ends_when_it_is_not_used_and_in_the_end_anyhow
    a_password_change_ends_the_other_sessions
    the_oldest_session_gives_way
    signing_out_ends_the_session
    a_ticket_is_good_once_for_half_a_minute_and_while_its_session_lives
}

fn refused(error: &AccountError) -> bool {
    matches!(error, AccountError::Wrong { what: "refresh token" })
}

async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session(platform: Platform) {
    let accounts = platform.replica().await;
    let first = sign_up(&accounts, "alice").await;
    platform.advance(Duration::from_secs(60));
    let second = accounts.refresh(&first.refresh_token, &client(1)).await.unwrap();
    assert!(!same(&first.refresh_token, &second.refresh_token) && first.session == second.session);
    platform.advance(Duration::from_secs(11));
    let reuse = accounts.refresh(&first.refresh_token, &client(9)).await.unwrap_err();
    assert!(refused(&reuse), "{reuse}");
    let after = accounts.refresh(&second.refresh_token, &client(1)).await.unwrap_err();
    assert!(refused(&after), "the whole family is gone");
    let access = accounts.authenticate(&second.access_token, &client(1)).await.unwrap_err();
    assert!(matches!(access, AccountError::Token(TokenError::Ended)), "{access}");
}

async fn a_lost_answer_signs_nobody_out(platform: Platform) {
    let accounts = platform.replica().await;
    let first = sign_up(&accounts, "alice").await;
    let lost = accounts.refresh(&first.refresh_token, &client(1)).await.unwrap();
    platform.advance(Duration::from_secs(9));
    let again = accounts.refresh(&first.refresh_token, &client(1)).await.unwrap();
    platform.advance(Duration::from_secs(600));
    let next = accounts.refresh(&again.refresh_token, &client(1)).await.unwrap();
    caller(&accounts, &next).await;
    // The answer that was lost turns up at somebody else.
    let thief = accounts.refresh(&lost.refresh_token, &client(9)).await.unwrap_err();
    assert!(refused(&thief));
    assert!(refused(&accounts.refresh(&next.refresh_token, &client(1)).await.unwrap_err()));
}

async fn a_thief_within_the_window_is_found_out_at_the_next_refresh(platform: Platform) {
    let accounts = platform.replica().await;
    let stolen = sign_up(&accounts, "alice").await;
    let person = accounts.refresh(&stolen.refresh_token, &client(1)).await.unwrap();
    let thief = accounts.refresh(&stolen.refresh_token, &client(9)).await.unwrap();
    platform.advance(Duration::from_secs(900));
    accounts.refresh(&thief.refresh_token, &client(9)).await.unwrap();
    // At once, also within the window of the thief's refresh.
    assert!(refused(&accounts.refresh(&person.refresh_token, &client(1)).await.unwrap_err()));
    assert!(refused(&accounts.refresh(&thief.refresh_token, &client(9)).await.unwrap_err()));
}

async fn what_one_replica_ends_the_other_sees_within_seconds(platform: Platform) {
    let (here, there) = (platform.replica().await, platform.replica().await);
    let phone = sign_up(&here, "alice").await;
    let laptop = here.sign_in("alice", secret(PASSWORD), None, &client(1)).await.unwrap();
    let alice = caller(&here, &laptop).await;
    caller(&there, &phone).await;
    here.end_session(&alice, phone.session, &client(1)).await.unwrap();
    let refused = |error: &AccountError| matches!(error, AccountError::Token(TokenError::Ended));
    assert!(refused(&here.authenticate(&phone.access_token, &client(1)).await.unwrap_err()), "at once here");
    platform.advance(platform.config.seen_within);
    assert!(refused(&there.authenticate(&phone.access_token, &client(1)).await.unwrap_err()), "and soon there");
    assert!(there.live_session(phone.session).await.unwrap().is_none());
    caller(&there, &laptop).await;
    let ended_twice = here.end_session(&alice, phone.session, &client(1)).await.unwrap_err();
    assert_eq!(ended_twice.code(), Code::NotFound);
}

async fn sessions_survive_a_restart(platform: Platform) {
    let before = platform.replica().await;
    let session = sign_up(&before, "alice").await;
    before.close().await;
    drop(before);
    let after = platform.replica().await;
    let alice = caller(&after, &session).await;
    assert_eq!(alice.user, session.user);
    after.refresh(&session.refresh_token, &client(1)).await.unwrap();
    let listed = after.sessions(&alice).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].current && listed[0].client == "test browser" && listed[0].address == "203.0.113.1");
}

async fn a_session_ends_when_it_is_not_used_and_in_the_end_anyhow(platform: Platform) {
    let accounts = platform.replica().await;
    let unused = sign_up(&accounts, "alice").await;
    platform.advance(platform.config.session_idle);
    assert!(refused(&accounts.refresh(&unused.refresh_token, &client(1)).await.unwrap_err()));
    let mut used = accounts.sign_in("alice", secret(PASSWORD), None, &client(1)).await.unwrap();
    let mut days = 0;
    loop {
        platform.advance(Duration::from_secs(20 * 86_400));
        days += 20;
        match accounts.refresh(&used.refresh_token, &client(1)).await {
            Ok(next) => used = next,
            Err(error) => {
                assert!(refused(&error));
                break;
            }
        }
    }
    assert_eq!(days, 100, "the longest session lasts 90 days");
    accounts.prune().await.unwrap();
    platform.advance(Duration::from_secs(2 * 86_400));
    accounts.prune().await.unwrap();
    assert_eq!(accounts.account_counts(used.user).await.unwrap()["sessions"], 0);
}

async fn a_password_change_ends_the_other_sessions(platform: Platform) {
    let accounts = platform.replica().await;
    let old = sign_up(&accounts, "alice").await;
    let here = accounts.sign_in("alice", secret(PASSWORD), None, &client(1)).await.unwrap();
    let alice = caller(&accounts, &here).await;
    let wrong = accounts.set_password(&alice, secret("not the password"), secret("another good one"), &client(1)).await;
    assert!(matches!(wrong.unwrap_err(), AccountError::Invalid { field: "current", .. }));
    let weak = accounts.set_password(&alice, secret(PASSWORD), secret("alice-alice"), &client(1)).await;
    assert!(matches!(weak.unwrap_err(), AccountError::Invalid { field: "new", .. }));
    accounts.set_password(&alice, secret(PASSWORD), secret("another good one"), &client(1)).await.unwrap();
    caller(&accounts, &here).await;
    assert!(accounts.authenticate(&old.access_token, &client(1)).await.is_err());
    assert!(accounts.sign_in("alice", secret(PASSWORD), None, &client(1)).await.is_err());
    accounts.sign_in("alice", secret("another good one"), None, &client(1)).await.unwrap();
}

async fn the_oldest_session_gives_way(platform: Platform) {
    let accounts = platform.replica().await;
    let first = sign_up(&accounts, "alice").await;
    for _ in 0..10 {
        platform.advance(Duration::from_secs(60));
        accounts.sign_in("alice", secret(PASSWORD), None, &client(1)).await.unwrap();
    }
    assert!(accounts.authenticate(&first.access_token, &client(1)).await.is_err());
    let last = accounts.sign_in("alice", secret(PASSWORD), None, &client(1)).await.unwrap();
    let alice = caller(&accounts, &last).await;
    assert_eq!(accounts.sessions(&alice).await.unwrap().len(), 10);
}

async fn signing_out_ends_the_session(platform: Platform) {
    let accounts = platform.replica().await;
    let session = sign_up(&accounts, "alice").await;
    caller(&accounts, &session).await;
    accounts.sign_out(&session.refresh_token, &client(1)).await.unwrap();
    assert!(accounts.authenticate(&session.access_token, &client(1)).await.is_err());
    assert!(refused(&accounts.refresh(&session.refresh_token, &client(1)).await.unwrap_err()));
    accounts.sign_out(&session.refresh_token, &client(1)).await.unwrap();
    accounts.sign_out(&secret("dxr_nothing"), &client(1)).await.unwrap();
}

async fn a_ticket_is_good_once_for_half_a_minute_and_while_its_session_lives(platform: Platform) {
    let (here, there) = (platform.replica().await, platform.replica().await);
    let session = sign_up(&here, "alice").await;
    let alice = caller(&here, &session).await;
    let ticket = here.ticket(&alice).await.unwrap();
    assert_eq!(there.redeem_ticket(&ticket.secret).await.unwrap().session(), Some(session.session));
    assert!(here.redeem_ticket(&ticket.secret).await.is_err(), "once");
    let late = here.ticket(&alice).await.unwrap();
    platform.advance(Duration::from_secs(30));
    assert!(here.redeem_ticket(&late.secret).await.is_err(), "for 30 s");
    let orphan = here.ticket(&alice).await.unwrap();
    here.end_session(&alice, session.session, &client(1)).await.unwrap();
    assert!(here.redeem_ticket(&orphan.secret).await.is_err(), "while its session lives");
    for bad in ["", "dxt_", "dxt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert!(here.redeem_ticket(&secret(bad)).await.is_err());
    }
}
