//! What people do: sign up, in and out, refresh, keys, sessions, second factor, tickets.

use super::{OURS, Server};
use crate::fixtures::{NOW_NS, PASSWORD, Platform, SECOND};
use crate::http::tests::Answer;
use crate::totp::TotpSecret;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_page_signs_in_with_a_cookie_that_scripts_cannot_read_and_goes_on_with_it() {
    let server = Server::start().await;
    server.sign_up("alice").await;
    let login = server.post("/api/v1/auth/login", &json!({"name": "alice", "password": PASSWORD})).await;
    assert_eq!(login.status, 200, "{}", login.body);
    assert!(login.body.get("refresh_token").is_none(), "the page never sees it");
    let text = login.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(text.ends_with("; Path=/api/v1/auth; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure"), "{text}");
    let user = &login.body["user"];
    assert_eq!(
        (user["name"].as_str(), user["role"].as_str(), user["tier"].as_str()),
        (Some("alice"), Some("user"), Some("free"))
    );
    let profile = server.get("/api/v1/account", &login.text("access_token")).await;
    assert_eq!(profile.body["user_id"], user["user_id"]);
    assert_eq!(profile.body["limits"]["memory_bytes"], 512 << 20);
    let cookie = format!("dexorder_refresh={}", login.cookie().unwrap());
    let refresh = || server.request(Method::POST, "/api/v1/auth/refresh").header("cookie", &cookie);
    let refreshed = Answer::of(refresh().header("origin", OURS)).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert_ne!(refreshed.cookie(), login.cookie());
    server.platform.advance(Duration::from_secs(60));
    let reused = Answer::of(refresh().header("origin", OURS)).await;
    assert_eq!(reused.code(), (401, "UNAUTHENTICATED"));
    assert_eq!(reused.cookie().as_deref(), Some(""), "the dead cookie is taken away");
    let ended = server.get("/api/v1/account", &refreshed.text("access_token")).await;
    assert_eq!(ended.code(), (401, "UNAUTHENTICATED"));
    assert_eq!(ended.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_program_keeps_its_refresh_token_itself() {
    let server = Server::start().await;
    let session = server.sign_up("alice").await;
    assert_eq!(session.cookie(), None);
    let refreshed = server.post("/api/v1/auth/refresh", &json!({"refresh_token": session.text("refresh_token")})).await;
    assert_eq!((refreshed.status.as_u16(), refreshed.cookie()), (200, None));
    let out = server.post("/api/v1/auth/logout", &json!({"refresh_token": refreshed.text("refresh_token")})).await;
    assert_eq!(out.status, 204);
    assert_eq!(server.get("/api/v1/account", &refreshed.text("access_token")).await.code(), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn the_options_say_what_one_can_do_here() {
    let mut platform = Platform::sqlite().await;
    platform.config.telegram_bot = Some("dexorder_bot".to_owned());
    let server = Server::of(platform).await;
    let options = Answer::of(server.request(Method::GET, "/api/v1/auth/options")).await.body;
    assert_eq!((options["sign_up"].as_bool(), options["anonymous"].as_bool()), (Some(true), Some(false)));
    assert_eq!((options["telegram_bot"].as_str(), options["minimum_age"].as_u64()), (Some("dexorder_bot"), Some(18)));
    assert_eq!(options["disclaimer"]["version"], "1");
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let server = Server::start().await;
    let (phone, laptop) = (server.sign_up("alice").await, {
        let body = json!({"name": "alice", "password": PASSWORD, "cookie": false});
        Answer::of(server.request(Method::POST, "/api/v1/auth/login").header("user-agent", "laptop").json(&body)).await
    });
    let token = laptop.text("access_token");
    let sessions = server.get("/api/v1/sessions", &token).await.body["sessions"].clone();
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let mine = sessions.iter().find(|session| session["current"] == true).unwrap();
    assert_eq!((mine["address"].as_str(), mine["client"].as_str()), (Some("203.0.113.77"), Some("laptop")));
    let other = sessions.iter().find(|session| session["current"] == false).unwrap();
    let path = format!("/api/v1/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(Answer::of(server.request(Method::DELETE, &path).bearer_auth(&token)).await.status, 204);
    assert_eq!(server.get("/api/v1/account", &phone.text("access_token")).await.code(), (401, "UNAUTHENTICATED"));
    for unknown in
        [path.as_str(), "/api/v1/sessions/x", "/api/v1/sessions/%FF", "/api/v1/sessions/01J9ZQ6V8KXW3R4T5Y6Z7A8B9C"]
    {
        let answer = Answer::of(server.request(Method::DELETE, unknown).bearer_auth(&token)).await;
        assert_eq!(answer.code(), (404, "NOT_FOUND"), "{unknown}");
    }
}

#[tokio::test]
async fn an_api_key_is_shown_once_and_good_until_it_is_revoked() {
    let server = Server::start().await;
    let token = server.sign_up("alice").await.text("access_token");
    let wish = json!({"name": "bot", "scopes": ["account:read", "market"], "expires_at": "2030-01-01T00:00:00Z"});
    let made = server.send(Method::POST, "/api/v1/api-keys", &token, &wish).await;
    assert_eq!((made.status.as_u16(), &made.headers["cache-control"]), (201, &"no-store".parse().unwrap()));
    let (key, id) = (made.text("key"), made.text("id"));
    assert_eq!(made.body["scopes"], json!(["market", "account:read"]));
    assert_eq!(server.get("/api/v1/account", &key).await.body["name"], "alice");
    let listed = server.get("/api/v1/api-keys", &key).await.body;
    assert_eq!(listed["api_keys"][0]["id"], id.as_str());
    assert!(!listed.to_string().contains(&key));
    assert_eq!(server.send(Method::POST, "/api/v1/api-keys", &key, &wish).await.code(), (403, "FORBIDDEN"));
    let path = format!("/api/v1/api-keys/{id}");
    assert_eq!(Answer::of(server.request(Method::DELETE, &path).bearer_auth(&key)).await.code(), (403, "FORBIDDEN"));
    assert_eq!(Answer::of(server.request(Method::DELETE, &path).bearer_auth(&token)).await.status, 204);
    assert_eq!(server.get("/api/v1/account", &key).await.code(), (401, "UNAUTHENTICATED"));
    for wrong in [
        json!({"name": "", "scopes": ["market"]}),
        json!({"name": "bot", "scopes": []}),
        json!({"name": "bot", "scopes": ["account"]}),
        json!({"name": "bot", "scopes": ["market"], "expires_at": "soon"}),
        json!({"name": "bot", "scopes": ["market"], "expires_at": "9999-01-01T00:00:00Z"}),
    ] {
        let answer = server.send(Method::POST, "/api/v1/api-keys", &token, &wrong).await;
        assert_eq!(answer.code(), (400, "INVALID_FIELD"), "{wrong}");
    }
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_it_is_confirmed() {
    let server = Server::start().await;
    let token = server.sign_up("alice").await.text("access_token");
    let setup = server.send(Method::POST, "/api/v1/account/totp", &token, &json!({})).await;
    let totp = from_base32(&setup.text("secret"));
    assert!(setup.text("url").contains(&setup.text("secret")));
    let login = json!({"name": "alice", "password": PASSWORD});
    assert_eq!(server.post("/api/v1/auth/login", &login).await.status, 200, "not asked for yet");
    let code = |steps: u64| json!({"code": totp.code_at(NOW_NS / SECOND / 30 + steps)});
    let wrong = server.send(Method::POST, "/api/v1/account/totp/confirm", &token, &json!({"code": "abc"})).await;
    assert_eq!((wrong.code(), wrong.body["error"]["field"].as_str()), ((400, "INVALID_FIELD"), Some("code")));
    assert_eq!(server.send(Method::POST, "/api/v1/account/totp/confirm", &token, &code(0)).await.status, 204);
    let asked = server.post("/api/v1/auth/login", &login).await;
    assert_eq!((asked.code(), asked.body["error"]["field"].as_str()), ((401, "TOTP_REQUIRED"), Some("totp")));
    let with_code = |code: &serde_json::Value| json!({"name": "alice", "password": PASSWORD, "totp": code["code"]});
    assert_eq!(server.post("/api/v1/auth/login", &with_code(&code(0))).await.status, 401, "a code is good once");
    assert_eq!(server.post("/api/v1/auth/login", &with_code(&code(1))).await.status, 200);
    assert_eq!(server.get("/api/v1/account", &token).await.body["totp"], true);
    let again = server.send(Method::POST, "/api/v1/account/totp", &token, &json!({})).await;
    assert_eq!(again.code(), (409, "CONFLICT"));
    server.platform.advance(Duration::from_secs(60));
    assert_eq!(server.send(Method::DELETE, "/api/v1/account/totp", &token, &code(2)).await.status, 204);
    assert_eq!(server.post("/api/v1/auth/login", &login).await.status, 200);
}

fn from_base32(text: &str) -> TotpSecret {
    let digit =
        |c: u8| u64::try_from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|d| *d == c).unwrap()).unwrap();
    let groups = text.as_bytes().chunks(8).map(|group| group.iter().fold(0, |bits, c| bits << 5 | digit(*c)));
    let bytes: Vec<u8> = groups.flat_map(|bits| bits.to_be_bytes()[3..].to_vec()).collect();
    TotpSecret::from_bytes(&bytes).unwrap()
}

#[tokio::test]
async fn a_ticket_and_a_telegram_code_are_given_to_sessions() {
    let server = Server::start().await;
    let token = server.sign_up("alice").await.text("access_token");
    let ticket = server.send(Method::POST, "/api/v1/ws-tickets", &token, &json!({})).await;
    assert_eq!((ticket.status.as_u16(), ticket.text("expires_at").as_str()), (201, "2023-11-14T22:13:50Z"));
    let redeemed = server.accounts.redeem_ticket(&ticket.text("ticket").into()).await.unwrap();
    assert_eq!(redeemed.name.as_str(), "alice");
    let code = server.send(Method::POST, "/api/v1/account/telegram-codes", &token, &json!({})).await;
    // What Telegram takes as the parameter of a deep link.
    let text = code.text("code");
    assert!(text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{text}");
    server.accounts.link_telegram(&text.into(), 42, "ann").await.unwrap();
    assert_eq!(server.get("/api/v1/account", &token).await.body["telegram"], true);
    let unlink = || server.request(Method::DELETE, "/api/v1/account/telegram").bearer_auth(&token);
    assert_eq!(Answer::of(unlink()).await.status, 204);
    assert_eq!(Answer::of(unlink()).await.code(), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn another_password_is_set_with_the_present_one() {
    let server = Server::start().await;
    let token = server.sign_up("alice").await.text("access_token");
    let change = |current: &str, new: &str| {
        let body = json!({"current": current, "new": new});
        let token = token.clone();
        let server = &server;
        async move { server.send(Method::PUT, "/api/v1/account/password", &token, &body).await }
    };
    assert_eq!(change("wrong", "a good new one").await.body["error"]["field"], "current");
    assert_eq!(change(PASSWORD, "short").await.body["error"]["field"], "new");
    assert_eq!(change(PASSWORD, "a good new one").await.status, 204);
    let login = json!({"name": "alice", "password": "a good new one"});
    assert_eq!(server.post("/api/v1/auth/login", &login).await.status, 200);
}
