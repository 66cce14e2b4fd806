//! A user's container as its own process: what the official client sees, who is refused, and what a kill leaves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use agent_container::config::AuthConfig;
use agent_container::local_issuer::LocalIssuer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use testkit::mcp::McpClient;
use testkit::peers::{python, workspace};
use testkit::process::{Dexorder, PATIENCE, use_ring};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Kills of the container.
const KILLS: u32 = 30;

struct Agent {
    process: Dexorder,
    client: McpClient,
    url: String,
    token: String,
}

async fn start(dir: &Path, gateway: &str) -> Agent {
    let data = dir.join("agent");
    let any = "127.0.0.1:0";
    let args: Vec<OsString> =
        ["agent", "--listen", any, "--publish", any, "--gateway", gateway, "--data-dir"].map(OsString::from).into();
    let python = [OsString::from("--python"), python().into()];
    let args: Vec<OsString> = args.into_iter().chain([data.into()]).chain(python).collect();
    let mut process = Dexorder::start(&args, &dir.join("agent.log"));
    let url = process.line("mcp:").await;
    let token = process.line("token:").await;
    process.line("ready").await;
    Agent { process, client: McpClient::new(&url, &token), url, token }
}

fn official_client(agent: &Agent, mode: &str, market: &str) -> String {
    let script = workspace().join("agent-container/tests/peers/mcp_client.py");
    let output = Command::new(python())
        .arg(script)
        .args([&agent.url, mode])
        .env("MCP_TOKEN", &agent.token)
        .env("MCP_MARKET", market)
        .env("MCP_PID", agent.process.pid().to_string())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{mode}:\n{out}{err}\n{}", agent.process.log_end());
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_calls_everything_on_both_revisions() {
    use_ring();
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), workspace().join("testkit/any-ports.yaml"));
    let up = ["up", "--venues", "sim", "--listen", "127.0.0.1:0", "--data-dir"].map(OsString::from);
    let up: Vec<OsString> = up.into_iter().chain([data.into(), "--config".into(), ports.into()]).collect();
    let mut platform = Dexorder::start(&up, &dir.path().join("platform.log"));
    let page = platform.line("page:").await;
    let agent = start(dir.path(), &page).await;
    let market = json!({"from": "2024-03-01T00:00:00Z", "to": "2024-03-01T06:00:00Z"}).to_string();
    for mode in ["legacy", "2026-07-28"] {
        let told = official_client(&agent, mode, &market);
        println!("{told}");
    }
    assert!(agent.process.terminate().await.success());
    assert!(platform.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_let_in_learns_nothing() {
    use_ring();
    let dir = tempfile::tempdir().unwrap();
    let agent = start(dir.path(), "http://127.0.0.1:1").await;
    let request = || agent.client.request("get_watchlist", &json!({}));
    assert_eq!(request().send().await.unwrap().status(), 200);
    for (name, value, status) in [
        ("host", "evil.example", 403),
        ("host", "127.0.0.1.evil.example:8100", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("mcp-name", "erase_conversation", 400),
        ("mcp-method", "resources/read", 400),
        ("mcp-protocol-version", "2025-11-25", 400),
    ] {
        let (http, built) = request().build_split();
        let mut built = built.unwrap();
        built.headers_mut().insert(name, value.parse().unwrap());
        let answer = http.execute(built).await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {value}");
    }
    let issuer = LocalIssuer::open(&dir.path().join("agent/issuer.pk8")).unwrap();
    let other = LocalIssuer::open(&dir.path().join("other.pk8")).unwrap();
    let auth = issuer.auth("urn:dexorder:local", &agent.url);
    let token = |auth: &AuthConfig, owner: &str| issuer.token(auth, owner, Duration::from_secs(60)).unwrap();
    for (name, token, status) in [
        ("the owner", token(&auth, "me"), 200),
        ("another owner", token(&auth, "you"), 403),
        ("another audience", token(&issuer.auth("urn:dexorder:local", "http://127.0.0.1:1/mcp"), "me"), 401),
        ("another issuer", token(&issuer.auth("urn:other", &agent.url), "me"), 401),
        ("another key", other.token(&auth, "me", Duration::from_secs(60)).unwrap(), 401),
        ("too long a life", issuer.token(&auth, "me", Duration::from_secs(48 * 3600)).unwrap(), 401),
    ] {
        let client = McpClient::new(&agent.url, &token);
        let answer = client.request("get_watchlist", &json!({})).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}");
    }
    let stranger = McpClient::new(&agent.url, "nonsense");
    let answer = stranger.request("get_watchlist", &json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
    let metadata = challenge.split('"').nth(1).unwrap();
    let metadata: Value = reqwest::get(metadata).await.unwrap().json().await.unwrap();
    assert_eq!(metadata["resource"], json!(agent.url));
    // Too long, too deep, not JSON: refused, and the next one is served.
    let http = reqwest::Client::new();
    let post = |body: Vec<u8>| {
        let request = http.post(&agent.url).bearer_auth(&agent.token).header("content-type", "application/json");
        request.header("accept", "application/json, text/event-stream").body(body).send()
    };
    // Refused before it is read to its end: the client may be cut off while it still sends.
    match post(vec![b' '; (1 << 20) + 1]).await {
        Ok(answer) => assert_eq!(answer.status(), 413),
        Err(error) => assert!(error.is_request(), "{error}"),
    }
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    for body in [deep, b"{".to_vec(), b"[]".to_vec(), b"null".to_vec(), vec![0xff; 100]] {
        let status = post(body).await.unwrap().status();
        assert!(status.is_client_error(), "{status}");
    }
    assert_eq!(request().send().await.unwrap().status(), 200);
    assert!(agent.process.terminate().await.success());
}

/// What the container answered "done" to.
#[derive(Default)]
struct Done {
    messages: Vec<String>,
    files: Vec<(String, String)>,
    notices: Vec<(u32, u32)>,
}

/// Works until the container is gone.
async fn work(client: McpClient, round: u32, done: &mut Done) {
    for number in 0.. {
        let text = format!("message {round} {number}");
        let Ok(saved) = client.call("save_message", json!({"role": "user", "content": text})).await else { return };
        assert!(!saved.refused, "{}", saved.value);
        done.messages.push(text);
        let (name, code) = (format!("s{}", number % 7), format!("# {round} {number}\n"));
        let write = json!({"name": name, "code": code, "why": "more"});
        let Ok(written) = client.call("write_indicator", write).await else {
            // It may have been written: what is there then is the one or the other.
            done.files.retain(|(known, _)| *known != name);
            return;
        };
        assert!(!written.refused, "{}", written.value);
        done.files.retain(|(known, _)| *known != name);
        done.files.push((name, code));
        let notice = json!({"text": text_of(round, number), "command_id": format!("{round}-{number}")});
        let Ok(told) = client.call("notify_user", notice).await else { return };
        assert!(!told.refused, "{}", told.value);
        done.notices.push((round, number));
    }
}

fn text_of(round: u32, number: u32) -> String {
    format!("notice {round} {number}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_kill_9_at_any_moment() {
    use_ring();
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut done = Done::default();
    for round in 0..KILLS {
        let mut agent = start(dir.path(), "http://127.0.0.1:1").await;
        let moment = Duration::from_millis(random.random_range(0..400));
        let client = agent.client.clone();
        tokio::join!(work(client, round, &mut done), agent.process.kill_9_after(moment));
    }
    let agent = start(dir.path(), "http://127.0.0.1:1").await;
    let (mut messages, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = agent.client.done("export_conversation", json!({ "after": after })).await;
        let contents = page["messages"].as_array().unwrap().iter();
        messages.extend(contents.map(|message| message["content"].as_str().unwrap().to_owned()));
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    // One that was on its way at a kill may be there as well, but none twice and none is missing.
    let mut once = messages.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), messages.len());
    for message in &done.messages {
        assert!(once.binary_search(message).is_ok(), "{message} is lost");
    }
    assert!(messages.len() <= done.messages.len() + KILLS as usize);
    for (name, code) in &done.files {
        let read = agent.client.done("read_indicator", json!({ "name": name })).await;
        assert_eq!(read["code"], json!(code), "{name}");
    }
    println!(
        "{} messages, {} files, {} notices kept over {KILLS} kills",
        messages.len(),
        done.files.len(),
        done.notices.len()
    );
    assert!(done.messages.len() > KILLS as usize, "the kills came too early to mean anything");
    // A command that was answered is not carried out again.
    for (round, number) in done.notices {
        let again = json!({"text": text_of(round, number), "command_id": format!("{round}-{number}")});
        assert_eq!(agent.client.done("notify_user", again).await["repeated"], json!(true), "{round}-{number}");
    }
    assert!(agent.process.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_container_sleeps_with_a_marker_and_serves_nothing_until_it_is_woken() {
    use_ring();
    let dir = tempfile::tempdir().unwrap();
    let by_hand = start(dir.path(), "http://127.0.0.1:1").await;
    by_hand.client.done("save_message", json!({"role": "user", "content": "good night"})).await;
    assert!(by_hand.process.terminate().await.success(), "told to stop is no sleep");
    let lifecycle = json!({"instance": "pod-1", "idle_timeout": "300ms", "dir": dir.path().join("lifecycle")});
    let (args, issuer, auth) = configured(dir.path(), &json!({ "lifecycle": lifecycle }));
    let first = Dexorder::start(&args, &dir.path().join("first.log"));
    assert_eq!(first.exit().await.code(), Some(42));
    let marker = std::fs::read_to_string(dir.path().join("lifecycle/shutdown.json")).unwrap();
    let marker: Value = serde_json::from_str(&marker).unwrap();
    assert_eq!((&marker["uid"], &marker["reason"]), (&json!("pod-1"), &json!("idle")));
    // The same instance again: it serves nothing, and lives when the marker is taken away.
    let mut again = Dexorder::start(&args, &dir.path().join("again.log"));
    let url = again.line("mcp:").await;
    let token = issuer.token(&auth, "me", Duration::from_secs(60)).unwrap();
    let client = McpClient::new(&url, &token);
    let answer = client.request("get_watchlist", &json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    std::fs::remove_file(dir.path().join("lifecycle/shutdown.json")).unwrap();
    again.line("ready").await;
    let found = client.done("search_conversation", json!({"query": "good night"})).await;
    assert_eq!(found["messages"][0]["content"], json!("good night"));
    assert_eq!(again.exit().await.code(), Some(42), "idle again");
}

/// Arguments of a container by configuration, over the data of one that was started by hand or not at all.
fn configured(dir: &Path, more: &Value) -> (Vec<OsString>, LocalIssuer, AuthConfig) {
    std::fs::create_dir_all(dir.join("agent")).unwrap();
    let issuer = LocalIssuer::open(&dir.join("agent/issuer.pk8")).unwrap();
    let auth = issuer.auth("urn:test", "http://127.0.0.1/mcp");
    let mut agent = json!({
        "owner": "me", "data_dir": dir.join("agent"), "listen": "127.0.0.1:0",
        "auth": {"issuer": auth.issuer, "audience": auth.audience, "keys": auth.keys},
        "events": {"publish": "127.0.0.1:0"},
        "python": {"interpreter": python()},
    });
    agent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = dir.join("config.yaml");
    // JSON is YAML.
    std::fs::write(&config, json!({"admin": {"listen": "127.0.0.1:0"}, "agent": agent}).to_string()).unwrap();
    (vec!["agent".into(), "--config".into(), config.into()], issuer, auth)
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_say_nothing_give_way() {
    use_ring();
    let dir = tempfile::tempdir().unwrap();
    let more = json!({"mcp": {"connections": 3, "header_timeout": "300ms"}, "lifecycle": {"sleep": false}});
    let (args, issuer, auth) = configured(dir.path(), &more);
    let mut process = Dexorder::start(&args, &dir.path().join("log"));
    let url = process.line("mcp:").await;
    process.line("ready").await;
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    // The fourth is one too many and closed at once, the others when their headers do not come.
    for stream in silent.iter_mut().rev() {
        let closed = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 512])).await.unwrap();
        assert!(closed.is_err() || closed.is_ok_and(|bytes| bytes < 512), "closed, with or without a word");
    }
    drop(silent);
    let token = issuer.token(&auth, "me", Duration::from_secs(60)).unwrap();
    McpClient::new(&url, &token).done("get_watchlist", json!({})).await;
    assert!(process.terminate().await.success());
}
