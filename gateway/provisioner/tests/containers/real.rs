//! The real container behind everything: woken by a call, killed under load, used by the official Python client through the proxy.
//!
//! Left out with a message where `dexorder` is not built, or Python with `mcp` is not there.

use crate::proxy::{config as proxy_config, gateway};
use crate::world::{Issuer, OneTier, PATIENCE, config, data, provisioner, real_program, until, user};
use futures_util::future::join_all;
use harness::event::Card;
use harness::tool::{Invocation, Tools};
use provisioner::{
    ClientConfig, ClientError, ContainerClient, ContainerMetrics, ContainerTokens, ContainerTools, FileKind, How,
    McpProxy, Phase, ProcessProvisioner, Provisioner, Repeat, Tier,
};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use service::clock::Clock;
use service::metrics::Metrics;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

struct Real {
    provisioner: ProcessProvisioner,
    client: ContainerClient,
    issuer: Arc<Issuer>,
}

/// CPython with the peers' packages, if it is there.
fn python() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    let path = std::env::var_os("DEXORDER_PYTHON").map_or_else(beside, PathBuf::from);
    if path.exists() { path.canonicalize().ok().and(Some(path)) } else { None }
}

fn start(dir: &Path, more: &Value) -> Option<Real> {
    replica(dir, more, &Arc::new(Issuer::new(300)))
}

fn replica(dir: &Path, more: &Value, issuer: &Arc<Issuer>) -> Option<Real> {
    let mut config = config(real_program()?, dir, more);
    config.stop_within = std::time::Duration::from_secs(10);
    if let Some(python) = python() {
        config.python = python;
    }
    let issuer = Arc::clone(issuer);
    let (provisioner, _) = provisioner(config, &issuer);
    let tier = Arc::new(OneTier(Mutex::new(Tier::Free)));
    let client = ContainerClient::new(
        ClientConfig::default(),
        (Arc::new(provisioner.clone()), tier),
        issuer.clone(),
        Clock::System,
        ContainerMetrics::new(&Metrics::new()),
    );
    Some(Real { provisioner, client: client.unwrap(), issuer })
}

fn pid(dir: &Path, number: u128) -> u32 {
    let record = data(dir, user(number)).parent().unwrap().join("endpoint.json");
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    record["process"]["pid"].as_u64().unwrap().try_into().unwrap()
}

async fn await_slumber(real: &Real, number: u128) {
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
    let wait = async {
        while real.provisioner.state(user(number)).await.state != Phase::Asleep {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it falls asleep");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_the_gateway_asks_for_is_there_and_stays_while_it_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let Some(real) = start(dir.path(), &json!({"idle_timeout": "1s"})) else { return };
    let (client, me) = (&real.client, user(1));
    let asked = join_all((0..20).map(|_| client.ensure(me))).await;
    assert!(asked.iter().all(|it| it.as_ref().unwrap().how == How::Created));
    let saved = client.save_message(me, "main", "user", "Put a stop under 58000", "m1").await.unwrap();
    let again = client.save_message(me, "main", "user", "Put a stop under 58000", "m1").await.unwrap();
    assert_eq!((saved["id"].clone(), &again["repeated"]), (again["id"].clone(), &json!(true)));
    let code = "def indicator(candles):\n    return candles.high\n";
    let arguments = json!({"name": "top", "code": code, "command_id": "w1"});
    let written = client.ask(me, "write_indicator", arguments, Repeat::Safely).await.unwrap();
    client.set_watch_list(me, None, &["SIM:BTC/USDT".to_owned()], "l1").await.unwrap();
    await_slumber(&real, 1).await;
    let woken = client.ensure(me).await.unwrap();
    assert_eq!(woken.how, How::Woken);
    let found = client.search_memory(me, "stop 58000", Some(3)).await.unwrap();
    assert_eq!(found["messages"][0]["id"], saved["id"]);
    let files = client.list_files(me, FileKind::Indicators).await.unwrap();
    assert_eq!(files["files"][0]["name"], "top");
    let read = client.read_file(me, FileKind::Indicators, "top", None).await.unwrap();
    assert_eq!(read["code"], json!(code));
    let history = client.file_history(me, Some((FileKind::Indicators, "top")), None).await.unwrap();
    assert_eq!(history["commits"][0]["id"], written["commit"]);
    assert_eq!(client.watch_list(me, None).await.unwrap()["symbols"], json!(["SIM:BTC/USDT"]));
    assert_eq!(client.list_backtests(me, None).await.unwrap()["backtests"], json!([]));
    let missing = client.read_backtest(me, "01ARZ3NDEKTSV4RRFFQ69G5FAV").await.unwrap_err();
    assert!(matches!(&missing, ClientError::Refused { code, .. } if code == "NOT_FOUND"), "{missing}");
    let context = client.context(me).await.unwrap();
    assert!(context.conversation_summary.contains("58000") && context.workspace_state.contains("SIM:BTC/USDT"));
    client.set_watch_list(me, None, &[], "l2").await.unwrap();
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
    let told = async {
        while client.context(me).await.unwrap().workspace_state.contains("SIM:BTC/USDT") {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the container says that it has changed");
    let exported = client.export_memory(me, None).await.unwrap();
    assert_eq!(exported["messages"].as_array().unwrap().len(), 1);
    let erased = client.erase_memory(me, "e1").await.unwrap();
    assert_eq!((erased.before, erased.after), (1, 0));
    let gone = real.provisioner.erase(me).await.unwrap();
    assert!(gone.files_before > 10 && gone.files_after == 0, "{gone:?}");
    real.provisioner.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_user_opens_nothing_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let Some(real) = start(dir.path(), &json!({})) else { return };
    let (one, two) = (real.client.ensure(user(1)).await.unwrap(), real.client.ensure(user(2)).await.unwrap());
    let http = reqwest::Client::new();
    for (name, owner, audience, status) in [
        ("another's token", user(1), &one.endpoint.audience, 401),
        ("another owner for this audience", user(1), &two.endpoint.audience, 403),
    ] {
        let token = real.issuer.token(owner, audience).unwrap();
        let request = http.post(two.endpoint.mcp_url.as_ref()).bearer_auth(token.secret.expose_secret()).body("{}");
        assert_eq!(request.send().await.unwrap().status(), status, "{name}");
    }
    let (first, second) = (data(dir.path(), user(1)), data(dir.path(), user(2)));
    assert!(first.join("memory.sqlite").is_file() && second.join("memory.sqlite").is_file());
    real.provisioner.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_is_a_card_with_its_change() {
    let dir = tempfile::tempdir().unwrap();
    let Some(real) = start(dir.path(), &json!({})) else { return };
    let tools = ContainerTools::new(real.client.clone());
    let write = |code: &str, command_id: &str| {
        let arguments = json!({"name": "middle", "code": code}).as_object().unwrap().clone();
        let (name, command_id) = ("write_indicator".to_owned(), command_id.to_owned());
        let call = Invocation { user: user(1), name, arguments, command_id, traceparent: None };
        tools.call(call, Arc::new(|_| {}), CancellationToken::new())
    };
    let first = write("a = 1\n", "w1").await;
    let Card::Code { path, code, commit, diff } = &first.cards[0] else { panic!("{first:?}") };
    assert_eq!((path.as_str(), code.as_str(), diff.as_str()), ("indicators/middle.py", "a = 1\n", ""));
    assert!(first.summary.starts_with(&format!("saved as {}", &commit[..7])), "{}", first.summary);
    let second = write("a = 2\n", "w2").await;
    let Card::Code { diff, .. } = &second.cards[0] else { panic!("{second:?}") };
    assert!(diff.contains("-a = 1\n") && diff.contains("+a = 2\n"), "{diff}");
    let again = write("a = 2\n", "w2").await;
    assert!(again.ok && again.summary.ends_with("(done before)"), "{}", again.summary);
    real.provisioner.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_nothing_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(real) = start(dir.path(), &json!({"crashes": 100})) else { return };
    let me = user(1);
    real.client.ensure(me).await.unwrap();
    let saving = |worker: usize| {
        let client = &real.client;
        async move {
            for number in 0..15 {
                let id = format!("{worker}-{number}");
                client.save_message(me, "main", "user", &format!("message {id}"), &id).await.unwrap();
            }
        }
    };
    let kills = async {
        for _ in 0..3 {
            let victim = pid(dir.path(), 1);
            kill_process(Pid::from_raw(victim.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
            until("it is back", || pid(dir.path(), 1) != victim).await;
        }
    };
    tokio::join!(join_all((0..4).map(saving)), kills);
    let (mut contents, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = real.client.export_memory(me, after.as_deref()).await.unwrap();
        let messages = page["messages"].as_array().unwrap().clone();
        contents.extend(messages.iter().map(|it| it["content"].as_str().unwrap().to_owned()));
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    contents.sort();
    let all = contents.len();
    contents.dedup();
    assert_eq!((all, contents.len()), (60, 60), "each message once");
    real.provisioner.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_uses_a_sleeping_container_through_two_gateways() {
    let dir = tempfile::tempdir().unwrap();
    let Some(python) = python() else {
        println!("left out: no Python with the package mcp; set DEXORDER_PYTHON");
        return;
    };
    let Some(real) = start(dir.path(), &json!({})) else { return };
    let Some(other) = replica(dir.path(), &json!({}), &real.issuer) else { return };
    let me = user(1);
    real.client.ensure(me).await.unwrap();
    real.provisioner.stop(me).await.unwrap();
    assert_eq!(other.provisioner.state(me).await.state, Phase::Asleep);
    let make = |real: &Real| gateway(McpProxy::new(proxy_config(&json!({})), real.client.clone()).unwrap());
    let (one, two) = (make(&real).await, make(&other).await);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/external_client.py");
    for mode in ["legacy", "2026-07-28"] {
        let output = tokio::process::Command::new(&python)
            .arg(&script)
            .args([&one, &two, mode])
            .env("MCP_TOKEN", "key-1")
            .output()
            .await
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{mode}:\n{out}{err}");
        println!("{out}");
    }
    real.provisioner.shutdown().await;
    other.provisioner.shutdown().await;
}
