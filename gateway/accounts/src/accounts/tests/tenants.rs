//! What belongs to one user is unknown to another; a key gives what its scopes say.

use crate::error::{AccountError, Code};
use crate::fixtures::{Platform, caller, client, on_both_stores, secret, sign_up};
use crate::scope::{Scope, Scopes};
use secrecy::ExposeSecret;
use std::time::Duration;

on_both_stores! {
    ids_of_another_user_are_unknown
    an_api_key_gives_what_its_scopes_say_until_it_is_revoked
    an_api_key_ends_at_its_time
    a_telegram_account_belongs_to_one_user
}

async fn ids_of_another_user_are_unknown(platform: Platform) {
    let accounts = platform.replica().await;
    let (alice, bob) = (sign_up(&accounts, "alice").await, sign_up(&accounts, "bob").await);
    let mallory = caller(&accounts, &bob).await;
    let victim = caller(&accounts, &alice).await;
    let scopes: Scopes = [Scope::Market].into_iter().collect();
    let key = accounts.make_api_key(&victim, "bot", scopes, None, &client(1)).await.unwrap();
    let ended = accounts.end_session(&mallory, alice.session, &client(9)).await.unwrap_err();
    assert_eq!(ended.code(), Code::NotFound);
    let revoked = accounts.revoke_api_key(&mallory, &key.view.id, &client(9)).await.unwrap_err();
    assert_eq!(revoked.code(), Code::NotFound);
    assert_eq!(accounts.api_keys(&mallory).await.unwrap().len(), 0);
    assert_eq!(accounts.sessions(&mallory).await.unwrap().len(), 1);
    assert_eq!(accounts.profile(&mallory).await.unwrap().name, "bob");
    caller(&accounts, &alice).await;
    accounts.authenticate(&key.key, &client(1)).await.unwrap();
}

async fn an_api_key_gives_what_its_scopes_say_until_it_is_revoked(platform: Platform) {
    let (here, there) = (platform.replica().await, platform.replica().await);
    let session = sign_up(&here, "alice").await;
    let alice = caller(&here, &session).await;
    let scopes: Scopes = [Scope::Market, Scope::AccountRead].into_iter().collect();
    for bad in [Scopes::default(), Scopes::all()] {
        let error = here.make_api_key(&alice, "bot", bad, None, &client(1)).await.unwrap_err();
        assert_eq!(error.field(), "scopes");
    }
    let made = here.make_api_key(&alice, " bot ", scopes, None, &client(1)).await.unwrap();
    let bot = there.authenticate(&made.key, &client(5)).await.unwrap();
    assert_eq!((bot.user, bot.session()), (alice.user, None));
    assert!(bot.require(Scope::Market).is_ok() && bot.require(Scope::Chat).is_err());
    there.profile(&bot).await.unwrap();
    let forbidden = [
        there.make_api_key(&bot, "more", scopes, None, &client(5)).await.err(),
        there.end_session(&bot, session.session, &client(5)).await.err(),
        there.set_password(&bot, secret(""), secret("a good password"), &client(5)).await.err(),
        there.prepare_totp(&bot, &client(5)).await.err(),
        there.telegram_code(&bot).await.err(),
        there.ticket(&bot).await.err(),
        there.export_account(&bot, &client(5)).await.err(),
        there.erase_account(&bot, "alice").await.err(),
    ];
    for (at, error) in forbidden.into_iter().enumerate() {
        assert!(matches!(error, Some(AccountError::Forbidden { .. })), "{at}: {error:?}");
    }
    let listed = here.api_keys(&alice).await.unwrap();
    assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].last_used_at.is_some()), (1, "bot", true));
    let text = made.key.expose_secret();
    let other = format!("{}{}", &text[..text.len() - 1], if text.ends_with('A') { 'B' } else { 'A' });
    assert!(here.authenticate(&secret(&other), &client(5)).await.is_err(), "the id alone is not enough");
    here.revoke_api_key(&alice, &made.view.id, &client(1)).await.unwrap();
    assert!(here.authenticate(&made.key, &client(5)).await.is_err(), "at once here");
    platform.advance(platform.config.seen_within);
    assert!(there.authenticate(&made.key, &client(5)).await.is_err(), "and soon there");
}

async fn an_api_key_ends_at_its_time(platform: Platform) {
    let accounts = platform.replica().await;
    let alice = caller(&accounts, &sign_up(&accounts, "alice").await).await;
    let scopes: Scopes = [Scope::Mcp].into_iter().collect();
    let past = accounts.make_api_key(&alice, "bot", scopes, Some(accounts.now()), &client(1)).await.unwrap_err();
    assert_eq!(past.field(), "expires_at");
    let hour = accounts.now() + 3600 * crate::fixtures::SECOND;
    let made = accounts.make_api_key(&alice, "bot", scopes, Some(hour), &client(1)).await.unwrap();
    platform.advance(Duration::from_secs(3590));
    accounts.authenticate(&made.key, &client(1)).await.unwrap();
    platform.advance(Duration::from_secs(10));
    assert!(accounts.authenticate(&made.key, &client(1)).await.is_err());
}

async fn a_telegram_account_belongs_to_one_user(platform: Platform) {
    let accounts = platform.replica().await;
    let alice = caller(&accounts, &sign_up(&accounts, "alice").await).await;
    let bob = caller(&accounts, &sign_up(&accounts, "bob").await).await;
    let older = accounts.telegram_code(&alice).await.unwrap();
    let code = accounts.telegram_code(&alice).await.unwrap();
    assert!(accounts.link_telegram(&older.secret, 42, "ann").await.is_err(), "only the newest code is good");
    assert_eq!(accounts.link_telegram(&code.secret, 42, "ann").await.unwrap().user, alice.user);
    assert_eq!(accounts.telegram_of(alice.user).await.unwrap(), Some(42));
    let code = accounts.telegram_code(&bob).await.unwrap();
    let taken = accounts.link_telegram(&code.secret, 42, "ann").await.unwrap_err();
    assert_eq!(taken.code(), Code::Conflict);
    assert_eq!(accounts.telegram_caller(42).await.unwrap().unwrap().user, alice.user);
    assert_eq!(accounts.telegram_caller(43).await.unwrap(), None);
    let chat = accounts.telegram_caller(42).await.unwrap().unwrap();
    accounts.unlink_telegram(&chat, None).await.unwrap();
    assert_eq!(accounts.telegram_caller(42).await.unwrap(), None);
    assert_eq!(accounts.unlink_telegram(&alice, Some(&client(1))).await.unwrap_err().code(), Code::NotFound);
    let late = accounts.telegram_code(&alice).await.unwrap();
    platform.advance(Duration::from_secs(600));
    assert!(accounts.link_telegram(&late.secret, 42, "ann").await.is_err(), "for ten minutes");
}
