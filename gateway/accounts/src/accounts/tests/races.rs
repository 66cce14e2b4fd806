//! Whatever is good once is so over all replicas, however many present it at one moment.

use crate::accounts::{Accounts, SignedIn};
use crate::error::AccountError;
use crate::fixtures::{
    BOT_TOKEN, NOW_NS, Platform, SECOND, admin, caller, client, form, on_both_stores, secret, sign_up,
};
use crate::scope::{Role, Scope};
use crate::telegram_login::tests::sign;
use crate::totp::TotpSecret;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;

on_both_stores! {
    of_many_who_redeem_a_link_one_is_signed_in
    of_many_who_redeem_a_ticket_one_is_let_in
    of_many_who_show_a_code_of_the_authenticator_one_is_signed_in
    of_many_who_send_a_telegram_code_one_is_linked
    of_many_who_show_telegrams_signature_one_is_signed_in
    of_many_who_sign_up_under_a_name_one_gets_it
    many_refreshes_at_one_moment_give_siblings_of_which_one_goes_on
    api_keys_made_at_one_moment_keep_to_the_limit
    replicas_that_start_at_one_moment_make_one_admin
    two_admins_who_disable_each_other_leave_one
}

const PARTIES: usize = 16;

/// Runs something many times at once, spread over two replicas.
async fn race<T, F>(
    replicas: &[Arc<Accounts>; 2],
    run: impl Fn(Arc<Accounts>, usize) -> F,
) -> Vec<Result<T, AccountError>>
where
    F: Future<Output = Result<T, AccountError>> + Send + 'static,
    T: Send + 'static,
{
    let tasks: Vec<_> = (0..PARTIES).map(|party| tokio::spawn(run(replicas[party % 2].clone(), party))).collect();
    join_all(tasks).await.into_iter().map(|result| result.unwrap()).collect()
}

fn one_won<T>(results: &[Result<T, AccountError>]) {
    let won = results.iter().filter(|result| result.is_ok()).count();
    let lost: Vec<String> =
        results.iter().filter_map(|result| result.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(won, 1, "{lost:?}");
}

async fn replicas(platform: &Platform) -> [Arc<Accounts>; 2] {
    [platform.replica().await, platform.replica().await]
}

async fn of_many_who_redeem_a_link_one_is_signed_in(platform: Platform) {
    let replicas = replicas(&platform).await;
    let (_, link) = replicas[0].first_admin_link().await.unwrap();
    let results = race(&replicas, |accounts, party| {
        let link = link.secret.clone();
        async move { accounts.sign_in_with_link(&link, &client(u8::try_from(party).unwrap())).await }
    });
    one_won(&results.await);
}

async fn of_many_who_redeem_a_ticket_one_is_let_in(platform: Platform) {
    let replicas = replicas(&platform).await;
    let session = sign_up(&replicas[0], "alice").await;
    let ticket = replicas[0].ticket(&caller(&replicas[0], &session).await).await.unwrap();
    let results = race(&replicas, |accounts, _| {
        let ticket = ticket.secret.clone();
        async move { accounts.redeem_ticket(&ticket).await }
    });
    one_won(&results.await);
}

/// Sets up a second factor; its secret.
async fn with_totp(accounts: &Accounts, session: &SignedIn) -> TotpSecret {
    let owner = caller(accounts, session).await;
    accounts.prepare_totp(&owner, &client(1)).await.unwrap();
    let user = accounts.store.user(owner.user).await.unwrap().unwrap();
    let sealed = user.totp.unwrap().sealed;
    let opened = accounts.sealer.open_sealed(&format!("totp:{}", owner.user), &sealed).unwrap();
    let totp = TotpSecret::from_bytes(&opened).unwrap();
    let code = totp.code_at(NOW_NS / SECOND / 30 - 1);
    accounts.confirm_totp(&owner, &code, &client(1)).await.unwrap();
    totp
}

async fn of_many_who_show_a_code_of_the_authenticator_one_is_signed_in(platform: Platform) {
    let replicas = replicas(&platform).await;
    let session = sign_up(&replicas[0], "alice").await;
    let totp = with_totp(&replicas[0], &session).await;
    let code = totp.code_at(NOW_NS / SECOND / 30);
    // Not through the password, whose tries are counted one by one: the code alone is what is raced for.
    let user = replicas[0].store.user(session.user).await.unwrap().unwrap();
    let results = race(&replicas, |accounts, _| {
        let (user, code) = (user.clone(), code.clone());
        async move { if accounts.use_code(&user, &code).await? { Ok(()) } else { Err(AccountError::TotpRequired) } }
    });
    one_won(&results.await);
    let missing = replicas[0].sign_in("alice", secret(crate::fixtures::PASSWORD), None, &client(1)).await;
    assert!(matches!(missing.unwrap_err(), AccountError::TotpRequired));
    let used = replicas[0].sign_in("alice", secret(crate::fixtures::PASSWORD), Some(&code), &client(1)).await;
    assert!(matches!(used.unwrap_err(), AccountError::Wrong { what: "totp" }));
    platform.advance(Duration::from_secs(30));
    let next = totp.code_at(NOW_NS / SECOND / 30 + 1);
    replicas[0].sign_in("alice", secret(crate::fixtures::PASSWORD), Some(&next), &client(1)).await.unwrap();
}

async fn of_many_who_send_a_telegram_code_one_is_linked(platform: Platform) {
    let replicas = replicas(&platform).await;
    let session = sign_up(&replicas[0], "alice").await;
    let code = replicas[0].telegram_code(&caller(&replicas[0], &session).await).await.unwrap();
    let results = race(&replicas, |accounts, party| {
        let code = code.secret.clone();
        async move { accounts.link_telegram(&code, 100 + i64::try_from(party).unwrap(), "x").await }
    });
    one_won(&results.await);
}

async fn of_many_who_show_telegrams_signature_one_is_signed_in(platform: Platform) {
    let replicas = replicas(&platform).await;
    let session = sign_up(&replicas[0], "alice").await;
    let code = replicas[0].telegram_code(&caller(&replicas[0], &session).await).await.unwrap();
    let linked = replicas[0].link_telegram(&code.secret, 42, "ann").await.unwrap();
    assert!(
        linked.scopes.contains(Scope::Chat)
            && linked.require_session().is_err()
            && linked.require(Scope::Account).is_err()
    );
    let date = (NOW_NS / SECOND).to_string();
    let fields = sign(&[("id", "42"), ("auth_date", &date)], &secret(BOT_TOKEN));
    let results = race(&replicas, |accounts, _| {
        let fields = fields.clone();
        async move { accounts.sign_in_with_telegram(&fields, &client(1)).await }
    });
    one_won(&results.await);
    let stranger = sign(&[("id", "43"), ("auth_date", &date)], &secret(BOT_TOKEN));
    assert!(matches!(
        replicas[0].sign_in_with_telegram(&stranger, &client(1)).await,
        Err(AccountError::Forbidden { .. })
    ));
}

async fn of_many_who_sign_up_under_a_name_one_gets_it(platform: Platform) {
    let replicas = replicas(&platform).await;
    let results = race(&replicas, |accounts, _| async move { accounts.sign_up(form("alice"), &client(1)).await });
    one_won(&results.await);
}

async fn many_refreshes_at_one_moment_give_siblings_of_which_one_goes_on(platform: Platform) {
    let replicas = replicas(&platform).await;
    let session = sign_up(&replicas[0], "alice").await;
    let results = race(&replicas, |accounts, _| {
        let token = session.refresh_token.clone();
        async move { accounts.refresh(&token, &client(1)).await }
    });
    let results = results.await;
    let siblings: Vec<&SignedIn> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    let refused = results.iter().filter(|result| matches!(result, Err(AccountError::Waiting { .. }))).count();
    assert_eq!((siblings.len(), refused), (9, PARTIES - 9), "one successor and eight siblings");
    let going_on = replicas[1].refresh(&siblings[4].refresh_token, &client(1)).await.unwrap();
    assert!(replicas[0].refresh(&siblings[2].refresh_token, &client(1)).await.is_err());
    assert!(replicas[0].refresh(&going_on.refresh_token, &client(1)).await.is_err(), "two held it: nobody goes on");
}

async fn api_keys_made_at_one_moment_keep_to_the_limit(platform: Platform) {
    let replicas = replicas(&platform).await;
    let session = sign_up(&replicas[0], "alice").await;
    let alice = caller(&replicas[0], &session).await;
    let results = race(&replicas, |accounts, _| {
        let alice = alice.clone();
        let scopes = [Scope::Market].into_iter().collect();
        async move { accounts.make_api_key(&alice, "bot", scopes, None, &client(1)).await }
    });
    let made = results.await.into_iter().filter(Result::is_ok).count();
    assert_eq!(made, 3);
}

async fn replicas_that_start_at_one_moment_make_one_admin(platform: Platform) {
    let opened = join_all((0..4).map(|_| platform.replica())).await;
    let links = join_all(opened.iter().map(|accounts| accounts.first_admin_link())).await;
    let admins: Vec<_> = links.into_iter().map(|link| link.unwrap().0).collect();
    assert!(admins.windows(2).all(|pair| pair[0] == pair[1]), "{admins:?}");
}

async fn two_admins_who_disable_each_other_leave_one(platform: Platform) {
    let replicas = replicas(&platform).await;
    let (_, first) = admin(&replicas[0]).await;
    let session = sign_up(&replicas[0], "second").await;
    let role = crate::accounts::UserPatch { role: Some(Role::Admin), ..Default::default() };
    replicas[0].change_user(&first, session.user, role, &client(1)).await.unwrap();
    platform.advance(platform.config.seen_within);
    let second = caller(&replicas[1], &session).await;
    let off = crate::accounts::UserPatch { disabled: Some(true), ..Default::default() };
    let (one, two) = (client(1), client(2));
    let both = tokio::join!(
        replicas[0].change_user(&first, second.user, off, &one),
        replicas[1].change_user(&second, first.user, off, &two)
    );
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    assert!(replicas[0].store.first_admin().await.unwrap().is_some());
}
