//! What admins do over HTTP.

use super::{Answer, Server};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn an_admin_makes_changes_and_lets_in_users() {
    let server = Server::start().await;
    let boss = server.admin().await;
    let made = server.send(Method::POST, "/api/v1/admin/users", &boss, &json!({"name": "bob", "tier": "pro"})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let path = format!("/api/v1/admin/users/{}", made.text("user_id"));
    let link = server.send(Method::POST, &format!("{path}/login-link"), &boss, &json!({})).await;
    let bob = server.post("/api/v1/auth/link", &json!({"token": link.text("token")})).await;
    let bob = (bob.text("access_token"), bob);
    assert_eq!(bob.1.body["user"]["tier"], "pro");
    let again = server.post("/api/v1/auth/link", &json!({"token": link.text("token")})).await;
    assert_eq!(again.code(), (401, "UNAUTHENTICATED"));
    let changed = server.send(Method::PATCH, &path, &boss, &json!({"tier": "enterprise"})).await;
    assert_eq!(changed.body["tier"], "enterprise");
    assert_eq!(server.get("/api/v1/account", &bob.0).await.body["tier"], "enterprise", "at once, with the old token");
    for wrong in
        [json!({"tier": "gold"}), json!({"tier": "anonymous"}), json!({"password": "x"}), json!({"role": "root"})]
    {
        let answer = server.send(Method::PATCH, &path, &boss, &wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    let off = server.send(Method::PATCH, &path, &boss, &json!({"disabled": true})).await;
    assert_eq!(off.body["disabled"], true);
    assert_eq!(server.get("/api/v1/account", &bob.0).await.code(), (401, "UNAUTHENTICATED"));
    let users = server.get("/api/v1/admin/users", &boss).await.body;
    let names: Vec<&str> =
        users["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&"admin") && names.contains(&"bob"));
    let last = users["users"].as_array().unwrap().last().unwrap()["user_id"].as_str().unwrap().to_owned();
    let rest = server.get(&format!("/api/v1/admin/users?after={last}"), &boss).await;
    assert_eq!(rest.body, json!({"users": []}));
}

#[tokio::test]
async fn the_audit_trail_is_read_in_pages_and_verified() {
    let server = Server::start().await;
    let boss = server.admin().await;
    server.sign_up("alice").await;
    let page = server.get("/api/v1/admin/audit?limit=2", &boss).await.body;
    assert_eq!(page["entries"][0]["event"], "sign_up");
    assert_eq!(page["entries"][0]["address"], "203.0.113.77");
    assert_eq!(page["next"], 3);
    let page = server.get("/api/v1/admin/audit?limit=200&before=3", &boss).await.body;
    assert_eq!((page["entries"].as_array().unwrap().len(), page["next"].is_null()), (2, true));
    let verdict = server.get("/api/v1/admin/audit/verify", &boss).await.body;
    assert_eq!((verdict["state"].as_str(), verdict["entries"].as_u64()), (Some("intact"), Some(4)));
    for odd in ["limit=-1", "limit=x", "before=18446744073709551616", "colour=red"] {
        assert_eq!(server.get(&format!("/api/v1/admin/audit?{odd}"), &boss).await.code(), (400, "MALFORMED"), "{odd}");
    }
    for allowed in ["limit=0", "limit=4000000000", "before=0", "before=18446744073709551615"] {
        assert_eq!(server.get(&format!("/api/v1/admin/audit?{allowed}"), &boss).await.status, 200, "{allowed}");
    }
}

#[tokio::test]
async fn nobody_else_is_let_in() {
    let server = Server::start().await;
    let user = server.sign_up("alice").await.text("access_token");
    for (method, path) in [
        (Method::GET, "/api/v1/admin/users"),
        (Method::POST, "/api/v1/admin/users/01J9ZQ6V8KXW3R4T5Y6Z7A8B9C/login-link"),
        (Method::GET, "/api/v1/admin/audit"),
        (Method::GET, "/api/v1/admin/audit/verify"),
    ] {
        let answer = Answer::of(server.request(method.clone(), path).bearer_auth(&user)).await;
        assert_eq!(answer.code(), (403, "FORBIDDEN"), "{method} {path}");
    }
    let patch = server.send(Method::PATCH, "/api/v1/admin/users/x", &user, &json!({"role": "admin"})).await;
    assert_eq!(patch.code(), (403, "FORBIDDEN"), "whether the id exists is not told");
    let made = server.send(Method::POST, "/api/v1/admin/users", &user, &json!({"name": "eve"})).await;
    assert_eq!(made.code(), (403, "FORBIDDEN"));
}
