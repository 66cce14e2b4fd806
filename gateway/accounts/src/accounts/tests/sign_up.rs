//! Who gets an account: sign-up, anonymous accounts, the first admin, users made by an admin.

use crate::accounts::SignUpForm;
use crate::config::{AnonymousConfig, SignUp};
use crate::error::{AccountError, Code};
use crate::fixtures::{Platform, admin, caller, client, form, on_both_stores, secret};
use crate::scope::Role;
use crate::tier::Tier;
use std::time::Duration;

on_both_stores! {
    a_sign_up_is_refused_for_the_field_that_is_wrong
    sign_up_and_anonymous_use_are_closed_unless_opened
    anonymous_accounts_are_few_and_end_by_themselves
    the_first_admin_signs_in_by_a_link_and_sets_a_password
    an_admin_makes_a_user_who_signs_in_by_a_link
}

async fn a_sign_up_is_refused_for_the_field_that_is_wrong(platform: Platform) {
    let accounts = platform.replica().await;
    type Change = fn(&mut SignUpForm);
    let changes: [(&str, Change); 6] = [
        ("name", |form| form.name = "Alice!".to_owned()),
        ("name", |form| form.name = "system".to_owned()),
        ("password", |form| form.password = secret("short")),
        ("birth_date", |form| form.birth_date = "2005-11-15".to_owned()),
        ("birth_date", |form| form.birth_date = "yesterday".to_owned()),
        ("disclaimer_version", |form| form.disclaimer_version = "0".to_owned()),
    ];
    for (field, change) in changes {
        let mut wrong = form("alice");
        change(&mut wrong);
        let error = accounts.sign_up(wrong, &client(1)).await.unwrap_err();
        assert_eq!((error.code(), error.field()), (Code::InvalidField, field), "{error}");
    }
    let session = accounts.sign_up(form("alice"), &client(1)).await.unwrap();
    assert_eq!((session.role, session.tier), (Role::User, Tier::Free));
    let taken = accounts.sign_up(form("alice"), &client(1)).await.unwrap_err();
    assert_eq!((taken.code(), taken.field()), (Code::Conflict, "name"));
}

async fn sign_up_and_anonymous_use_are_closed_unless_opened(mut platform: Platform) {
    platform.config.sign_up = SignUp::Closed;
    let accounts = platform.replica().await;
    let closed = accounts.sign_up(form("alice"), &client(1)).await.unwrap_err();
    assert!(matches!(closed, AccountError::NotOffered { what: "sign-up" }));
    let closed = accounts.sign_in_anonymously(&client(1)).await.unwrap_err();
    assert!(matches!(closed, AccountError::NotOffered { .. }));
}

async fn anonymous_accounts_are_few_and_end_by_themselves(mut platform: Platform) {
    platform.config.anonymous = AnonymousConfig { most: 2, life: Duration::from_secs(3600) };
    let accounts = platform.replica().await;
    let first = accounts.sign_in_anonymously(&client(1)).await.unwrap();
    let second = accounts.sign_in_anonymously(&client(1)).await.unwrap();
    assert_eq!((first.tier, first.name == second.name), (Tier::Anonymous, false));
    let third = accounts.sign_in_anonymously(&client(1)).await.unwrap_err();
    assert!(matches!(third, AccountError::TooMany { most: 2, .. }), "{third}");
    let somebody = caller(&accounts, &first).await;
    assert!(accounts.set_password(&somebody, secret(""), secret("a good password"), &client(1)).await.is_err());
    assert!(accounts.telegram_code(&somebody).await.is_err());
    assert_eq!(accounts.expired_users(10).await.unwrap(), []);
    platform.advance(Duration::from_secs(3600));
    assert!(accounts.authenticate(&first.access_token, &client(1)).await.is_err(), "its time is over");
    assert!(accounts.refresh(&first.refresh_token, &client(1)).await.is_err(), "and is not made longer");
    let mut expired = accounts.expired_users(10).await.unwrap();
    expired.sort_unstable();
    let mut both = vec![first.user, second.user];
    both.sort_unstable();
    assert_eq!(expired, both);
    for user in expired {
        accounts.erase_user(user).await.unwrap();
    }
    accounts.sign_in_anonymously(&client(1)).await.unwrap();
}

async fn the_first_admin_signs_in_by_a_link_and_sets_a_password(platform: Platform) {
    let accounts = platform.replica().await;
    let (_, older) = accounts.first_admin_link().await.unwrap();
    let (session, somebody) = admin(&accounts).await;
    assert_eq!((session.name.as_str(), session.role), ("admin", Role::Admin));
    assert!(accounts.sign_in_with_link(&older.secret, &client(1)).await.is_err(), "only the newest link is good");
    accounts.set_password(&somebody, secret(""), secret("a good password"), &client(1)).await.unwrap();
    accounts.sign_in("admin", secret("a good password"), None, &client(1)).await.unwrap();
    let (again, late) = accounts.first_admin_link().await.unwrap();
    assert_eq!(again, session.user);
    platform.advance(Duration::from_secs(15 * 60));
    assert!(accounts.sign_in_with_link(&late.secret, &client(1)).await.is_err(), "for a quarter of an hour");
}

async fn an_admin_makes_a_user_who_signs_in_by_a_link(platform: Platform) {
    let accounts = platform.replica().await;
    let (_, boss) = admin(&accounts).await;
    let made = accounts.make_user(&boss, "bob", Tier::Pro, &client(1)).await.unwrap();
    let user = made.user_id.parse().unwrap();
    let link = accounts.login_link(&boss, user, &client(1)).await.unwrap();
    let session = accounts.sign_in_with_link(&link.secret, &client(2)).await.unwrap();
    assert_eq!((session.user, session.tier), (user, Tier::Pro));
    let bob = caller(&accounts, &session).await;
    assert_eq!(accounts.users(&bob, "").await.unwrap_err().code(), Code::Forbidden);
    assert_eq!(accounts.login_link(&bob, boss.user, &client(1)).await.unwrap_err().code(), Code::Forbidden);
    let patch = crate::accounts::UserPatch { disabled: Some(true), ..Default::default() };
    accounts.change_user(&boss, user, patch, &client(1)).await.unwrap();
    assert!(accounts.authenticate(&session.access_token, &client(2)).await.is_err(), "a disabled user is out at once");
    assert!(accounts.refresh(&session.refresh_token, &client(2)).await.is_err());
    let link = accounts.login_link(&boss, user, &client(1)).await.unwrap();
    let disabled = accounts.sign_in_with_link(&link.secret, &client(2)).await.unwrap_err();
    assert!(matches!(disabled, AccountError::Disabled));
    let demoted = crate::accounts::UserPatch { role: Some(Role::User), ..Default::default() };
    let last = accounts.change_user(&boss, boss.user, demoted, &client(1)).await.unwrap_err();
    assert_eq!(last.code(), Code::Conflict);
}
