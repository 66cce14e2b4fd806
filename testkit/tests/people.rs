//! People on the whole platform: a link signs in, the assistant answers every example prompt, nobody sees another's, an MCP client with a
//! key reaches its own container through the gateway.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::peers::{python, workspace};
use testkit::process::{Dexorder, PATIENCE, use_ring};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

/// The platform, and where it is.
struct Platform {
    process: Dexorder,
    page: String,
    /// The secret of the printed link.
    link: String,
}

async fn start(dir: &Path) -> Platform {
    use_ring();
    let (data, ports) = (dir.join("data"), workspace().join("testkit/any-ports.yaml"));
    let up = ["up", "--venues", "sim", "--listen", "127.0.0.1:0", "--data-dir"].map(OsString::from);
    let more = [data.into(), "--config".into(), ports.into(), "--python".into(), python().into()];
    let args: Vec<OsString> = up.into_iter().chain(more).collect();
    let mut process = Dexorder::start(&args, &dir.join("platform.log"));
    let page = process.line("page:").await;
    let login = process.line("login:").await;
    let (of_page, link) = login.split_once("/login?link=").unwrap();
    assert_eq!(of_page, page);
    let link = link.to_owned();
    Platform { process, page, link }
}

/// A user with a token, or a program with a key.
struct Client {
    http: reqwest::Client,
    page: String,
    token: String,
}

impl Client {
    fn new(page: &str, token: &str) -> Self {
        Self { http: reqwest::Client::new(), page: page.to_owned(), token: token.to_owned() }
    }

    async fn sign_in(page: &str, link: &str) -> Result<Self, StatusCode> {
        let nobody = Self::new(page, "");
        let (status, session) =
            nobody.ask(Method::POST, "/api/v1/auth/link", Some(json!({"token": link, "cookie": false}))).await;
        if status != StatusCode::OK {
            return Err(status);
        }
        Ok(Self::new(page, session["access_token"].as_str().unwrap()))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.page));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, path, None).await
    }

    /// Says something and waits for the end of the turn: the turn, and its events as a WebSocket shows them.
    async fn say(&self, text: &str) -> (String, Vec<Value>) {
        let (status, ticket) = self.ask(Method::POST, "/api/v1/ws-tickets", None).await;
        assert!(status.is_success(), "{ticket}");
        let ticket = ticket["ticket"].as_str().unwrap();
        let url = format!("{}/ws/chat?ticket={ticket}", self.page.replace("http://", "ws://"));
        let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
        let again = tokio_tungstenite::connect_async(&url).await;
        assert!(again.is_err(), "a ticket is good once");
        let message = json!({"message_id": ulid(), "conversation_id": "main", "text": text});
        let (status, taken) = self.ask(Method::POST, "/api/v1/chat/messages", Some(message.clone())).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{taken}");
        let (status, same) = self.ask(Method::POST, "/api/v1/chat/messages", Some(message)).await;
        assert_eq!((status, &same["turn_id"]), (StatusCode::OK, &taken["turn_id"]), "taken once");
        let turn = taken["turn_id"].as_str().unwrap().to_owned();
        let watch = json!({"op": "watch", "conversation_id": "main", "turn_id": turn});
        socket.send(Message::text(watch.to_string())).await.unwrap();
        let mut events = Vec::new();
        let ended = async {
            while let Some(message) = socket.next().await {
                let Message::Text(text) = message.unwrap() else { continue };
                let shown: Value = serde_json::from_str(&text).unwrap();
                if shown["type"] == "event" && shown["turn_id"] == turn.as_str() {
                    events.push(shown["event"].clone());
                    if shown["event"]["type"] == "turn_ended" {
                        return;
                    }
                }
            }
            panic!("the socket closed before the end");
        };
        timeout(PATIENCE, ended).await.unwrap();
        (turn, events)
    }
}

/// A new ULID; within this test no two are equal, and that is all that the platform asks for.
fn ulid() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("01HZX{:021}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn of_type<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_prompt_is_answered_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut platform = start(dir.path()).await;
    let admin = Client::sign_in(&platform.page, &platform.link).await.unwrap_or_else(|status| panic!("{status}"));
    let spent = Client::sign_in(&platform.page, &platform.link).await;
    assert_eq!(spent.err(), Some(StatusCode::UNAUTHORIZED), "a link is good once");
    let (_, prompts) = admin.get("/api/v1/prompts").await;
    let prompts = prompts["prompts"].as_array().unwrap().clone();
    assert!(prompts.len() >= 6, "{prompts:?}");
    let (mut charts, mut backtests) = (0, 0);
    for prompt in &prompts {
        let text = prompt["text"].as_str().unwrap();
        let (turn, events) = admin.say(text).await;
        let sequences: Vec<u64> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
        assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<_>>(), "{text}: no gap, nothing twice");
        let end = events.last().unwrap();
        assert_eq!((&end["outcome"], end["problem"].is_null()), (&json!("complete"), true), "{text}: {end}");
        assert!(!end["text"].as_str().unwrap().trim().is_empty(), "{text}: {end}");
        for tool in of_type(&events, "tool_ended") {
            assert_eq!(tool["ok"], true, "{text}: {tool}");
            charts += tool["chart"].as_array().unwrap().len();
            backtests += tool["cards"].as_array().unwrap().iter().filter(|card| card["kind"] == "backtest").count();
        }
        // What a reload reads is what the socket showed.
        let (_, read) = admin.get(&format!("/api/v1/chat/turns/{turn}/events")).await;
        assert_eq!((&read["events"], &read["ended"]), (&json!(events), &json!(true)), "{text}");
    }
    assert!(charts > 0 && backtests > 0, "{charts} chart actions, {backtests} backtests");
    // The conversation is in the user's container too.
    let (_, found) = admin.get("/api/v1/memory?query=backtest").await;
    assert!(!found["messages"].as_array().unwrap().is_empty(), "{found}");
    let (_, runs) = admin.get("/api/v1/backtests").await;
    let id = runs["backtests"][0]["id"].as_str().unwrap();
    let (status, report) = admin.get(&format!("/api/v1/backtests/{id}/report.html")).await;
    assert_eq!((status, report.as_str().map(|page| page.contains("<html"))), (StatusCode::OK, Some(true)));

    // A crash loses nothing of it.
    platform.process.kill_9().await;
    let platform = start(dir.path()).await;
    let admin = Client::sign_in(&platform.page, &platform.link).await.unwrap_or_else(|status| panic!("{status}"));
    let (_, turns) = admin.get("/api/v1/chat/conversations/main/turns?limit=200").await;
    assert_eq!(turns["turns"].as_array().unwrap().len(), prompts.len(), "{turns}");
    let (_, again) = admin.get("/api/v1/backtests").await;
    assert_eq!(again["backtests"][0]["id"], id);
    assert!(platform.process.terminate().await.success());
}

/// Makes a user who is no admin.
async fn another(admin: &Client, name: &str) -> Client {
    let (status, made) = admin.ask(Method::POST, "/api/v1/admin/users", Some(json!({"name": name}))).await;
    assert!(status.is_success(), "{status} {made}");
    let id = made["user_id"].as_str().unwrap();
    let (_, link) = admin.ask(Method::POST, &format!("/api/v1/admin/users/{id}/login-link"), None).await;
    Client::sign_in(&admin.page, link["token"].as_str().unwrap()).await.unwrap_or_else(|status| panic!("{status}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_anything_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let platform = start(dir.path()).await;
    let admin = Client::sign_in(&platform.page, &platform.link).await.unwrap_or_else(|status| panic!("{status}"));
    let (turn, events) = admin.say("remember that my secret word is tangerine").await;
    assert_eq!(events.last().unwrap()["outcome"], "complete");
    let bob = another(&admin, "bob").await;
    for path in [format!("/api/v1/chat/turns/{turn}/events"), format!("/api/v1/chat/turns/{turn}/events?after=1")] {
        assert_eq!(bob.get(&path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, _) = bob.ask(Method::POST, &format!("/api/v1/chat/turns/{turn}/stop"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for path in [
        "/api/v1/chat/conversations",
        "/api/v1/chat/conversations/main/turns",
        "/api/v1/memory?query=tangerine",
        "/api/v1/memory/export",
        "/api/v1/files?kind=strategies",
        "/api/v1/backtests",
        "/api/v1/notifications",
        "/api/v1/account",
        "/api/v1/account/export",
        "/api/v1/sessions",
        "/api/v1/api-keys",
    ] {
        let (status, told) = bob.get(path).await;
        assert!(status.is_success(), "{path}: {status} {told}");
        assert!(!told.to_string().contains("tangerine") && !told.to_string().contains(&turn), "{path}: {told}");
    }
    for path in ["/api/v1/admin/users", "/api/v1/admin/audit", "/api/v1/admin/audit/verify"] {
        assert_eq!(bob.get(path).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    // Without a credential, or with a forged one, nothing.
    let (head, rest) = bob.token.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();
    for token in ["", "dxk_00000000_x", &format!("{head}.{claims}."), &format!("{head}.{claims}.AAAA")] {
        let nobody = Client::new(&platform.page, token);
        for path in ["/api/v1/chat/conversations", "/api/v1/memory?query=x", "/api/v1/account", "/mcp"] {
            assert_eq!(nobody.get(path).await.0, StatusCode::UNAUTHORIZED, "{path} with {token:?}");
        }
    }
    // A page of somebody else may not act for a person: neither with the cookie nor over a socket.
    let foreign =
        bob.http.post(format!("{}/api/v1/auth/refresh", platform.page)).header("origin", "http://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let erased = bob.ask(Method::DELETE, "/api/v1/account", Some(json!({"confirm": "bob"}))).await;
    assert_eq!(erased.0, StatusCode::OK, "{}", erased.1);
    assert_eq!(
        (&erased.1["after"]["files"], &erased.1["after"]["turns"]["turns"]),
        (&json!(0), &json!(0)),
        "{}",
        erased.1
    );
    assert_eq!(bob.get("/api/v1/account").await.0, StatusCode::UNAUTHORIZED, "the account is gone");
    let (_, verdict) = admin.get("/api/v1/admin/audit/verify").await;
    assert!(
        verdict.to_string().contains("intact") || verdict["intact"] == true || verdict["broken_at"].is_null(),
        "{verdict}"
    );
    assert!(platform.process.terminate().await.success());
}

/// The process of the only container.
fn container_pid(dir: &Path) -> String {
    let containers = std::fs::read_dir(dir.join("data/agents")).unwrap();
    let record =
        containers.map(|entry| entry.unwrap().path().join("endpoint.json")).find(|path| path.is_file()).unwrap();
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    record["process"]["pid"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mcp_client_with_a_key_reaches_its_own_container() {
    let dir = tempfile::tempdir().unwrap();
    let platform = start(dir.path()).await;
    let admin = Client::sign_in(&platform.page, &platform.link).await.unwrap_or_else(|status| panic!("{status}"));
    let (_, container) = admin.get("/api/v1/container").await;
    assert_eq!(container["state"], "absent", "nobody has needed it yet: {container}");
    let key = |scopes: Value| json!({"name": "client", "scopes": scopes});
    let (status, made) = admin.ask(Method::POST, "/api/v1/api-keys", Some(key(json!(["mcp"])))).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let url = format!("{}/mcp", platform.page);
    // The first request starts it.
    let first = Client::new(&platform.page, made["key"].as_str().unwrap());
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let request =
        first.http.post(&url).bearer_auth(&first.token).header("accept", "application/json, text/event-stream");
    let answer = request.header("content-type", "application/json").body(hello.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{}", platform.process.log_end());
    let market = json!({"from": "2024-03-01T00:00:00Z", "to": "2024-03-01T06:00:00Z"}).to_string();
    for mode in ["legacy", "2026-07-28"] {
        let output = Command::new(python())
            .arg(workspace().join("agent-container/tests/peers/mcp_client.py"))
            .args([&url, mode])
            .env("MCP_TOKEN", made["key"].as_str().unwrap())
            .env("MCP_MARKET", &market)
            .env("MCP_PID", container_pid(dir.path()))
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{mode}:\n{out}{err}\n{}", platform.process.log_end());
    }
    let (_, container) = admin.get("/api/v1/container").await;
    assert_eq!(container["state"], "ready", "{container}");
    let (_, other) = admin.ask(Method::POST, "/api/v1/api-keys", Some(key(json!(["market"])))).await;
    let stranger = Client::new(&platform.page, other["key"].as_str().unwrap());
    assert_eq!(stranger.get("/mcp").await.0, StatusCode::FORBIDDEN, "a key of another scope");
    let refused = reqwest::get(&url).await.unwrap();
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains("/.well-known/oauth-protected-resource/mcp"), "{challenge}");
    let (_, metadata) = Client::new(&platform.page, "").get("/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(metadata["resource"], url.as_str());
    assert!(platform.process.terminate().await.success());
}
