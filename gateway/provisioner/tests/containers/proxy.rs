//! The proxy: nothing of the caller's but its words reaches a container, streams pass as they come, and bounds hold.

use crate::client::{World, world};
use crate::world::{PATIENCE, until, user};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use axum::routing::any;
use futures_util::StreamExt;
use futures_util::future::join_all;
use provisioner::{ClientConfig, McpProxy, ProxyConfig, unauthorized};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;

/// A gateway that knows one key of one user.
async fn authenticated(State(proxy): State<McpProxy>, request: Request) -> Response {
    match request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default()) {
        Some("Bearer key-1") => proxy.handle(user(1), request).await,
        Some(_) => unauthorized(proxy.config(), Some("the key is not known")),
        None => unauthorized(proxy.config(), None),
    }
}

/// Serves a gateway; returns the URL of its `/mcp`.
pub(crate) async fn gateway(proxy: McpProxy) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = Router::new().route("/mcp", any(authenticated)).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

pub(crate) fn config(more: &Value) -> ProxyConfig {
    let mut config = json!({"resource": "https://trade.example/mcp", "authorization_server": "https://trade.example"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config: ProxyConfig = serde_json::from_value(config).unwrap();
    assert_eq!(config.problems(), Vec::<String>::new());
    config
}

async fn proxied(more: &Value) -> (World, String) {
    let world = world(ClientConfig::default()).await;
    let proxy = McpProxy::new(config(more), world.client.clone()).unwrap();
    let url = gateway(proxy).await;
    (world, url)
}

fn post(url: &str, code: &str) -> reqwest::RequestBuilder {
    let params = json!({"name": "echo", "arguments": {"code": code}, "_meta": {"progressToken": 1}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    reqwest::Client::new().post(url).bearer_auth("key-1").json(&body)
}

#[tokio::test]
async fn only_what_the_protocol_names_passes() {
    let (world, url) = proxied(&json!({})).await;
    let request = post(&url, "plain")
        .header("cookie", "session=stolen")
        .header("x-forwarded-for", "1.2.3.4")
        .header("mcp-session-id", "s-1")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "echo");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("echo"));
    let headers = world.seen.headers.lock().unwrap()[0].clone();
    assert!(headers["authorization"].to_str().unwrap().starts_with("Bearer ey"), "the container's own token");
    for gone in ["cookie", "x-forwarded-for", "origin"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert!(world.given.url.lock().unwrap().contains(headers["host"].to_str().unwrap()));
    for (name, value) in [("mcp-session-id", "s-1"), ("mcp-method", "tools/call"), ("mcp-name", "echo")] {
        assert_eq!(headers[name], value);
    }
    let text = world.metrics.render();
    assert!(text.contains("gateway_mcp_proxy_requests_total{ended=\"done\"} 1\n"), "{text}");
}

#[tokio::test]
async fn whoever_is_not_known_learns_where_to_get_a_token_and_wakes_nobody() {
    let (world, url) = proxied(&json!({})).await;
    for key in [None, Some("key-2")] {
        let request = reqwest::Client::new().post(&url).body("{}");
        let request = match key {
            None => request,
            Some(key) => request.bearer_auth(key),
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains("https://trade.example/.well-known/oauth-protected-resource/mcp"), "{challenge}");
    }
    assert_eq!(world.given.ensured.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn streams_pass_as_they_come_and_end_with_their_caller() {
    let (world, url) = proxied(&json!({})).await;
    for request in [post(&url, "long"), reqwest::Client::new().get(&url).bearer_auth("key-1")] {
        let before = world.seen.abandoned.load(Ordering::SeqCst);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut pieces = answer.bytes_stream();
        for _ in 0..3 {
            // It never ends: whoever waited for the whole of it would wait for ever.
            let piece = tokio::time::timeout(PATIENCE, pieces.next()).await.unwrap().unwrap().unwrap();
            assert!(piece.starts_with(b"data: "), "{piece:?}");
        }
        drop(pieces);
        until("the container is told", || world.seen.abandoned.load(Ordering::SeqCst) > before).await;
    }
    until("no place is taken", || world.metrics.render().contains("gateway_mcp_proxy_streams 0\n")).await;
}

#[tokio::test]
async fn a_stream_wakes_nobody_and_a_call_does() {
    let (world, url) = proxied(&json!({})).await;
    world.given.asleep.store(true, Ordering::SeqCst);
    let stream = reqwest::Client::new().get(&url).bearer_auth("key-1").send().await.unwrap();
    assert_eq!((stream.status().as_u16(), stream.headers()["retry-after"].to_str().unwrap()), (503, "30"));
    assert_eq!(world.given.ensured.load(Ordering::SeqCst), 0);
    assert_eq!(post(&url, "plain").send().await.unwrap().status(), 200);
    assert!(!world.given.asleep.load(Ordering::SeqCst));
}

#[tokio::test]
async fn bounds_hold_and_places_come_back() {
    let (world, url) = proxied(&json!({"streams_per_user": 2, "allowed_origins": ["https://trade.example"]})).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(post(&url, "long").send().await.unwrap());
    }
    let refused = post(&url, "plain").send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let told: Value = refused.json().await.unwrap();
    assert_eq!((&told["error"]["code"], &told["error"]["retryable"]), (&json!("LIMIT_EXCEEDED"), &json!(true)));
    drop(open);
    until("places come back", || world.metrics.render().contains("gateway_mcp_proxy_streams 0\n")).await;
    assert_eq!(post(&url, "plain").send().await.unwrap().status(), 200);
    for (name, request, status) in [
        ("another page", post(&url, "plain").header("origin", "https://evil.example"), 403),
        ("no page", post(&url, "plain").header("origin", "null"), 403),
        ("our page", post(&url, "plain").header("origin", "https://trade.example"), 200),
        ("too deep", post(&url, "plain").body("[".repeat(1000)), 400),
        ("no method of it", reqwest::Client::new().put(&url).bearer_auth("key-1"), 405),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status, "{name}");
    }
    // Refused before it is read to its end: the client may be cut off while it still sends.
    match post(&url, "plain").body(vec![b' '; (1 << 20) + 1]).send().await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        Err(error) => assert!(error.is_request(), "{error}"),
    }
}

#[tokio::test]
async fn what_goes_wrong_between_platform_and_container_stays_there() {
    let (world, url) = proxied(&json!({})).await;
    world.seen.deny.store(1, Ordering::SeqCst);
    assert_eq!(post(&url, "plain").send().await.unwrap().status(), 200, "another token is made");
    world.seen.deny.store(100, Ordering::SeqCst);
    let denied = post(&url, "plain").send().await.unwrap();
    assert_eq!(denied.status(), 502);
    assert!(!denied.headers().contains_key("www-authenticate"));
    assert!(!denied.text().await.unwrap().contains("secret.internal"));
    world.seen.deny.store(0, Ordering::SeqCst);
    assert_eq!(post(&url, "busy once").send().await.unwrap().status(), 200);
    assert_eq!(world.seen.count("busy once"), 2);
    *world.given.url.lock().unwrap() = "http://127.0.0.1:1/mcp".to_owned();
    assert_eq!(post(&url, "plain").send().await.unwrap().status(), 502);
    assert_eq!(world.given.suspected.lock().unwrap().last().unwrap(), "i1");
}

#[tokio::test]
async fn any_replica_will_do() {
    let world = world(ClientConfig::default()).await;
    let make = || gateway(McpProxy::new(config(&json!({})), world.client.clone()).unwrap());
    let urls = [make().await, make().await];
    let asked = (0..20).map(|number| post(&urls[number % 2], "plain").header("mcp-session-id", "s-1").send());
    let answered = join_all(asked).await;
    assert!(answered.iter().all(|it| it.as_ref().unwrap().status() == 200));
    assert_eq!(world.seen.count("plain"), 20);
}
