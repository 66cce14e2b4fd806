//! Export and erasure of one user.

use crate::audit::Verdict;
use crate::error::Code;
use crate::fixtures::{PASSWORD, Platform, admin, caller, client, form, on_both_stores, secret, sign_up};
use crate::scope::Scope;

on_both_stores! {
    an_erased_user_is_gone_and_the_trail_is_whole
    an_export_has_everything_but_secrets
    the_last_admin_cannot_be_erased
}

async fn an_erased_user_is_gone_and_the_trail_is_whole(platform: Platform) {
    let accounts = platform.replica().await;
    let (_, boss) = admin(&accounts).await;
    let (session, other) = (sign_up(&accounts, "alice").await, sign_up(&accounts, "bob").await);
    let alice = caller(&accounts, &session).await;
    let key =
        accounts.make_api_key(&alice, "bot", [Scope::Chat].into_iter().collect(), None, &client(1)).await.unwrap();
    accounts.ticket(&alice).await.unwrap();
    accounts.sign_in("alice", secret("wrong wrong wrong"), None, &client(9)).await.unwrap_err();
    let unconfirmed = accounts.erase_account(&alice, "bob").await.unwrap_err();
    assert_eq!(unconfirmed.field(), "confirm");
    accounts.check_erasure(&alice, "alice").await.unwrap();
    let erasure = accounts.erase_account(&alice, "alice").await.unwrap();
    let before: Vec<(&str, u64)> = erasure.before.into_iter().collect();
    let kinds = ["api_keys", "audit_names_and_addresses", "refresh_tokens", "sessions", "single_use_secrets", "users"];
    assert_eq!(before, kinds.into_iter().zip([1, 3, 1, 1, 1, 1]).collect::<Vec<_>>());
    assert!(erasure.after.values().all(|count| *count == 0), "{:?}", erasure.after);
    assert_eq!(accounts.account_counts(alice.user).await.unwrap(), erasure.after);
    assert!(accounts.authenticate(&session.access_token, &client(1)).await.is_err());
    assert!(accounts.authenticate(&key.key, &client(1)).await.is_err());
    assert!(accounts.refresh(&session.refresh_token, &client(1)).await.is_err());
    assert!(accounts.sign_in("alice", secret(PASSWORD), None, &client(1)).await.is_err());
    assert!(matches!(accounts.audit_verdict().await.unwrap(), Verdict::Intact { .. }));
    let page = accounts.audit_page(&boss, None, 100).await.unwrap();
    let of_alice: Vec<_> = page.entries.iter().filter(|entry| entry.user_id == alice.user.to_string()).collect();
    assert_eq!(of_alice.len(), 4, "three attempts and the erasure");
    let id = alice.user.to_string();
    assert!(of_alice.iter().all(|entry| (entry.name == id || entry.event == "erased") && entry.address.is_empty()));
    assert!(page.entries.iter().all(|entry| entry.name != "alice"));
    caller(&accounts, &other).await;
    let again = accounts.sign_up(form("alice"), &client(1)).await.unwrap();
    assert_ne!(again.user, alice.user, "a name may come again, an id never does");
}

async fn an_export_has_everything_but_secrets(platform: Platform) {
    let accounts = platform.replica().await;
    let session = sign_up(&accounts, "alice").await;
    let alice = caller(&accounts, &session).await;
    let key =
        accounts.make_api_key(&alice, "bot", [Scope::Chat].into_iter().collect(), None, &client(1)).await.unwrap();
    let setup = accounts.prepare_totp(&alice, &client(1)).await.unwrap();
    let export = accounts.export_account(&alice, &client(1)).await.unwrap();
    let json = serde_json::to_value(&export).unwrap();
    assert_eq!(json["profile"]["name"], "alice");
    assert_eq!(json["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(json["api_keys"][0]["name"], "bot");
    assert_eq!(json["disclaimer_version"], "1");
    assert_eq!(json["audit"].as_array().unwrap().len(), 4);
    let text = json.to_string();
    for hidden in [&session.access_token, &session.refresh_token, &key.key, &setup.secret] {
        assert!(!text.contains(secrecy::ExposeSecret::expose_secret(hidden)));
    }
    assert!(!text.contains("CANARY") && !text.contains("scrypt"));
}

async fn the_last_admin_cannot_be_erased(platform: Platform) {
    let accounts = platform.replica().await;
    let (_, boss) = admin(&accounts).await;
    assert_eq!(accounts.check_erasure(&boss, "admin").await.unwrap_err().code(), Code::Conflict);
    assert_eq!(accounts.erase_account(&boss, "admin").await.unwrap_err().code(), Code::Conflict);
    accounts.first_admin_link().await.unwrap();
    assert_eq!(accounts.profile(&boss).await.unwrap().name, "admin", "nothing was erased");
}
