//! What others try: foreign pages, forged and odd requests, guesses. Never a 5xx, and nothing that tells more than it must.

use super::{Answer, OURS, Server};
use crate::config::AnonymousConfig;
use crate::fixtures::{PASSWORD, Platform};
use reqwest::Method;
use serde_json::{Value, json};

const CHANGING: [&str; 7] = [
    "/api/v1/auth/sign-up",
    "/api/v1/auth/login",
    "/api/v1/auth/link",
    "/api/v1/auth/anonymous",
    "/api/v1/auth/telegram",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
];

fn body_of(path: &str) -> Value {
    match path.rsplit('/').next().unwrap() {
        "sign-up" => {
            json!({"name": "mallory", "password": PASSWORD, "birth_date": "1990-12-31", "disclaimer_version": "1"})
        }
        "login" => json!({"name": "alice", "password": PASSWORD}),
        "link" => json!({"token": "dxl_x"}),
        "telegram" => json!({"id": 1, "auth_date": 1, "hash": "0"}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn a_foreign_page_signs_nobody_in_or_out() {
    let mut platform = Platform::sqlite().await;
    platform.config.anonymous = AnonymousConfig { most: 10, ..AnonymousConfig::default() };
    let server = Server::of(platform).await;
    server.sign_up("alice").await;
    let login = server.post("/api/v1/auth/login", &body_of("login")).await;
    let cookie = format!("dexorder_refresh={}", login.cookie().unwrap());
    for path in CHANGING {
        for origin in ["https://evil.example", "null", "", "https://dex.example.evil.example", "http://dex.example"] {
            let request = server.request(Method::POST, path).header("origin", origin).header("cookie", &cookie);
            let answer = Answer::of(request.json(&body_of(path))).await;
            assert_eq!(answer.code(), (403, "FORBIDDEN_ORIGIN"), "{path} from {origin}");
            assert_eq!(answer.cookie(), None);
        }
        let twice = server.request(Method::POST, path).header("origin", OURS).header("origin", "https://evil.example");
        assert_eq!(Answer::of(twice.json(&body_of(path))).await.code(), (403, "FORBIDDEN_ORIGIN"), "{path}");
    }
    // The cookie alone, without the word of a browser that the page is ours.
    for path in ["/api/v1/auth/refresh", "/api/v1/auth/logout"] {
        let answer = Answer::of(server.request(Method::POST, path).header("cookie", &cookie)).await;
        assert_eq!(answer.code(), (403, "FORBIDDEN_ORIGIN"), "{path}");
    }
    let still = server.request(Method::POST, "/api/v1/auth/refresh").header("cookie", &cookie).header("origin", OURS);
    assert_eq!(Answer::of(still).await.status, 200, "nothing of that touched the session");
}

#[tokio::test]
async fn a_form_of_another_page_is_no_json() {
    let server = Server::start().await;
    server.sign_up("alice").await;
    let text = body_of("login").to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let request =
            server.request(Method::POST, "/api/v1/auth/login").header("content-type", content_type).body(text.clone());
        assert_eq!(Answer::of(request).await.code(), (400, "MALFORMED"), "{content_type}");
    }
    let good =
        server.request(Method::POST, "/api/v1/auth/login").header("content-type", "application/JSON; charset=utf-8");
    assert_eq!(Answer::of(good.body(text)).await.status, 200);
}

#[tokio::test]
async fn odd_bodies_are_refused_without_repeating_them() {
    let server = Server::start().await;
    let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"CANARY\"",
        r#"{"name":"alice"}"#,
        r#"{"name":"alice","password":7}"#,
        r#"{"name":"alice","password":"CANARY","admin":true}"#,
        r#"{"name":"alice","name":"bob","password":"CANARY"}"#,
        r#"{"name":"alice","password":"CANARY","cookie":"CANARY"}"#,
        &deep,
    ] {
        let request = server.request(Method::POST, "/api/v1/auth/login").header("content-type", "application/json");
        let answer = Answer::of(request.body(body.to_owned())).await;
        assert_eq!(answer.code(), (400, "MALFORMED"), "{body}");
        assert!(!answer.body.to_string().contains("CANARY"), "{}", answer.body);
    }
    let large = json!({"name": "alice", "password": "x".repeat(10_000)});
    assert_eq!(server.post("/api/v1/auth/login", &large).await.code(), (413, "PAYLOAD_TOO_LARGE"));
    let long = json!({"name": "alice", "password": "x".repeat(2000)});
    assert_eq!(server.post("/api/v1/auth/login", &long).await.code(), (401, "UNAUTHENTICATED"));
    for name in ["a\u{0}b", "ä", "' OR '1'='1", "a".repeat(4000).as_str()] {
        let answer = server.post("/api/v1/auth/login", &json!({"name": name, "password": "x"})).await;
        assert!(matches!(answer.status.as_u16(), 401 | 429), "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn credentials_that_are_none_are_refused_on_every_route() {
    let server = Server::start().await;
    let token = server.sign_up("alice").await.text("access_token");
    let (method, path) = (Method::GET, "/api/v1/account");
    let none = Answer::of(server.request(method.clone(), path)).await;
    assert_eq!(none.code(), (401, "UNAUTHENTICATED"));
    for value in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {token}"),
        format!("Bearer {token}x"),
        format!("Bearer {token} {token}"),
        format!("Bearer {}", "x".repeat(5000)),
        "Bearer dxk_abcdefgh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "Bearer dxt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "Bearer \u{e9}".to_owned(),
    ] {
        let answer = Answer::of(server.request(method.clone(), path).header("authorization", &value)).await;
        assert_eq!(answer.code(), (401, "UNAUTHENTICATED"), "{value}");
    }
    let twice = server.request(method.clone(), path).bearer_auth(&token).bearer_auth(&token);
    assert_eq!(Answer::of(twice).await.code(), (401, "UNAUTHENTICATED"));
    let lower = server.request(method, path).header("authorization", format!("bearer {token}"));
    assert_eq!(Answer::of(lower).await.status, 200);
    for (method, path) in [
        (Method::PUT, "/api/v1/account/password"),
        (Method::POST, "/api/v1/account/totp"),
        (Method::POST, "/api/v1/account/totp/confirm"),
        (Method::DELETE, "/api/v1/account/totp"),
        (Method::POST, "/api/v1/account/telegram-codes"),
        (Method::DELETE, "/api/v1/account/telegram"),
        (Method::GET, "/api/v1/sessions"),
        (Method::DELETE, "/api/v1/sessions/x"),
        (Method::GET, "/api/v1/api-keys"),
        (Method::POST, "/api/v1/api-keys"),
        (Method::DELETE, "/api/v1/api-keys/x"),
        (Method::POST, "/api/v1/ws-tickets"),
        (Method::GET, "/api/v1/admin/users"),
        (Method::POST, "/api/v1/admin/users"),
        (Method::PATCH, "/api/v1/admin/users/x"),
        (Method::POST, "/api/v1/admin/users/x/login-link"),
        (Method::GET, "/api/v1/admin/audit"),
        (Method::GET, "/api/v1/admin/audit/verify"),
    ] {
        let answer = Answer::of(server.request(method.clone(), path)).await;
        assert_eq!(answer.code(), (401, "UNAUTHENTICATED"), "{method} {path}");
    }
    let wrong = Answer::of(server.request(Method::PATCH, "/api/v1/account")).await;
    assert_eq!(wrong.code(), (405, "METHOD_NOT_ALLOWED"));
}

#[tokio::test]
async fn whether_a_name_exists_is_not_told_and_a_guesser_is_told_when_to_come_back() {
    let server = Server::start().await;
    server.sign_up("alice").await;
    let mut answers = Vec::new();
    for name in ["alice", "nobody"] {
        let answer = server.post("/api/v1/auth/login", &json!({"name": name, "password": "wrong wrong wrong"})).await;
        answers.push((answer.status, answer.body));
    }
    assert_eq!(answers[0], answers[1]);
    // Nor by who claims to be elsewhere: nobody trusts this proxy.
    let guess = async |address: &str| {
        let body = json!({"name": "alice", "password": "wrong wrong wrong"});
        let request = server.request(Method::POST, "/api/v1/auth/login").header("x-forwarded-for", address);
        Answer::of(request.json(&body)).await
    };
    for number in 0..3 {
        guess(&format!("10.0.0.{number}")).await;
    }
    let waiting = guess("10.0.0.200").await;
    assert_eq!(waiting.code(), (429, "LIMIT_EXCEEDED"));
    assert_eq!(
        (waiting.headers["retry-after"].to_str().unwrap(), &waiting.body["error"]["retryable"]),
        ("1", &json!(true))
    );
}

#[tokio::test]
async fn over_the_quota_of_requests_one_is_told_when_to_come_back() {
    let server = Server::start().await;
    let token = server.sign_up("alice").await.text("access_token");
    let mut served = 0;
    let over = loop {
        let answer = server.get("/api/v1/account", &token).await;
        if answer.status != 200 {
            break answer;
        }
        served += 1;
    };
    assert_eq!((over.code(), served), ((429, "OVER_QUOTA"), 600));
    assert_eq!(over.headers["retry-after"], "1");
}
