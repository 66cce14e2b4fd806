//! The client over a server that misbehaves: what is sent again, what is not, what is believed, and that cancelling reaches it.

use crate::fake_server::{Given, Seen, start};
use crate::world::{Issuer, OneTier, PATIENCE, until, use_ring, user};
use harness::event::Card;
use harness::tool::{Effect, Invocation, Progress, Tools};
use provisioner::{
    ClientConfig, ClientError, ContainerClient, ContainerMetrics, ContainerTools, Repeat, Tier, ToolCall,
};
use serde_json::{Value, json};
use service::clock::Clock;
use service::metrics::Metrics;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

pub(crate) struct World {
    pub(crate) seen: Arc<Seen>,
    pub(crate) given: Arc<Given>,
    pub(crate) client: ContainerClient,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) metrics: Metrics,
}

pub(crate) async fn world(config: ClientConfig) -> World {
    use_ring();
    let (seen, url) = start().await;
    let (given, issuer, metrics) = (Given::new(&url), Arc::new(Issuer::new(300)), Metrics::new());
    let tier = Arc::new(OneTier(Mutex::new(Tier::Free)));
    let client = ContainerClient::new(
        config,
        (given.clone(), tier),
        issuer.clone(),
        Clock::System,
        ContainerMetrics::new(&metrics),
    );
    World { seen, given, client: client.unwrap(), issuer, metrics }
}

fn call(code: &str, repeat: Repeat) -> ToolCall {
    let arguments = json!({"code": code, "command_id": "c1"}).as_object().unwrap().clone();
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    ToolCall { owner: user(1), name: "write_strategy".to_owned(), arguments, repeat, traceparent }
}

async fn send(world: &World, code: &str, repeat: Repeat) -> Result<Value, ClientError> {
    let never = CancellationToken::new();
    let called = world.client.call(call(code, repeat), Arc::new(|_| {}), &never);
    let called = tokio::time::timeout(PATIENCE, called).await.expect("nothing hangs")?;
    Ok(serde_json::from_str(&called.text).unwrap())
}

#[tokio::test]
async fn a_call_carries_its_trace_and_a_token_of_its_own() {
    let world = world(ClientConfig::default()).await;
    let told = send(&world, "plain", Repeat::Never).await.unwrap();
    assert_eq!(told["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(told["arguments"]["command_id"], "c1");
    for _ in 0..10 {
        send(&world, "plain", Repeat::Never).await.unwrap();
    }
    assert_eq!(world.issuer.made.load(Ordering::Relaxed), 1, "a token is kept while it is good");
    let headers = world.seen.headers.lock().unwrap();
    assert!(headers.iter().all(|it| it["authorization"].to_str().unwrap().starts_with("Bearer ey")));
    assert_eq!(world.seen.count("listen"), 1, "one connection for all");
}

#[tokio::test]
async fn what_never_began_is_always_sent_again() {
    for code in ["busy once", "asleep once"] {
        let world = world(ClientConfig::default()).await;
        send(&world, code, Repeat::Never).await.unwrap();
        assert_eq!(world.seen.count(code), 2, "{code}");
        assert_eq!(world.seen.carried_out.lock().unwrap().len(), 1, "{code}");
        assert_eq!(*world.given.suspected.lock().unwrap(), ["i1"], "{code}");
        assert!(world.metrics.render().contains("gateway_container_call_repeated_total 1\n"));
    }
    let world = world(ClientConfig::default()).await;
    let error = send(&world, "busy", Repeat::Safely).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { tries: 6 }), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn what_may_have_been_done_is_sent_again_only_if_it_is_safe() {
    let safe = world(ClientConfig::default()).await;
    send(&safe, "lost once", Repeat::Safely).await.unwrap();
    // Under the same command id: the container does it once.
    assert_eq!(*safe.seen.carried_out.lock().unwrap(), [json!("c1"), json!("c1")]);
    let unsafe_ = world(ClientConfig::default()).await;
    let error = send(&unsafe_, "lost once", Repeat::Never).await.unwrap_err();
    assert!(matches!(error, ClientError::Lost), "{error}");
    assert_eq!(unsafe_.seen.count("lost once"), 1);
}

#[tokio::test]
async fn a_container_that_moved_is_found_again() {
    let world = world(ClientConfig::default()).await;
    send(&world, "plain", Repeat::Never).await.unwrap();
    let (second, url) = start().await;
    *world.given.url.lock().unwrap() = url;
    world.given.instance.store(2, Ordering::SeqCst);
    send(&world, "plain", Repeat::Never).await.unwrap();
    assert_eq!((world.seen.count("plain"), second.count("plain")), (1, 1));
    // Nobody listens there any more: what could not be sent is sent to where it is by then.
    *world.given.url.lock().unwrap() = "http://127.0.0.1:1/mcp".to_owned();
    world.given.instance.store(3, Ordering::SeqCst);
    let (third, url) = start().await;
    let moved = async {
        until("it was tried", || world.given.suspected.lock().unwrap().contains(&"i3".to_owned())).await;
        *world.given.url.lock().unwrap() = url;
        world.given.instance.store(4, Ordering::SeqCst);
    };
    let (sent, ()) = tokio::join!(send(&world, "plain", Repeat::Never), moved);
    sent.unwrap();
    assert_eq!(third.count("plain"), 1);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_made_anew_once() {
    let world = world(ClientConfig::default()).await;
    world.seen.deny.store(1, Ordering::SeqCst);
    send(&world, "plain", Repeat::Never).await.unwrap();
    assert_eq!(world.issuer.made.load(Ordering::Relaxed), 2);
    world.seen.deny.store(100, Ordering::SeqCst);
    let error = send(&world, "plain", Repeat::Never).await.unwrap_err();
    assert!(matches!(error, ClientError::Denied), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn progress_is_told_and_cancelling_ends_the_work() {
    let world = world(ClientConfig::default()).await;
    let told = Arc::new(Mutex::new(Vec::<Progress>::new()));
    let hear = |told: &Arc<Mutex<Vec<Progress>>>| {
        let told = Arc::clone(told);
        Arc::new(move |progress| told.lock().unwrap().push(progress))
    };
    world.client.call(call("three", Repeat::Never), hear(&told), &CancellationToken::new()).await.unwrap();
    let heard: Vec<_> = told.lock().unwrap().iter().map(|it| it.progress).collect();
    assert!(!heard.is_empty() && heard.is_sorted(), "{heard:?}");
    assert_eq!(told.lock().unwrap()[0].message, "working");
    let cancel = CancellationToken::new();
    let begun = Arc::new(Mutex::new(Vec::new()));
    let stop = async {
        until("it is under way", || !begun.lock().unwrap().is_empty()).await;
        cancel.cancel();
    };
    let (called, ()) = tokio::join!(world.client.call(call("long", Repeat::Safely), hear(&begun), &cancel), stop);
    assert!(matches!(called, Err(ClientError::Cancelled)));
    until("the work ends", || world.seen.abandoned.load(Ordering::SeqCst) == 1).await;
    // Going away is the same.
    let never = CancellationToken::new();
    let called = world.client.call(call("long", Repeat::Safely), Arc::new(|_| {}), &never);
    let _gone = tokio::time::timeout(Duration::from_millis(300), called).await.unwrap_err();
    until("the work ends", || world.seen.abandoned.load(Ordering::SeqCst) == 2).await;
    assert_eq!(world.seen.count("long"), 2, "what was cancelled is not sent again");
}

#[tokio::test]
async fn a_call_that_says_nothing_ends() {
    let config = ClientConfig { silence: Duration::from_millis(300), ..ClientConfig::default() };
    let world = world(config).await;
    let begun = Instant::now();
    let error = send(&world, "silent", Repeat::Safely).await.unwrap_err();
    assert!(matches!(error, ClientError::Silent { .. }) && begun.elapsed() < Duration::from_secs(30), "{error}");
    let called = world.client.call(call("three", Repeat::Never), Arc::new(|_| {}), &CancellationToken::new()).await;
    assert!(called.is_ok(), "progress is a sign of life");
}

#[tokio::test]
async fn context_is_believed_until_the_container_says_otherwise() {
    let world = world(ClientConfig::default()).await;
    let profile = "context://user-profile";
    let context = world.client.context(user(1)).await.unwrap();
    assert_eq!(&*context.user_profile, "read 1");
    for _ in 0..5 {
        assert_eq!(&*world.client.context(user(1)).await.unwrap().user_profile, "read 1");
    }
    assert_eq!(world.seen.count(profile), 1);
    world.seen.notify("notifications/resources/updated", json!({ "uri": profile }));
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let changed = async {
        while &*world.client.context(user(1)).await.unwrap().user_profile == "read 1" {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap();
    assert_eq!(world.seen.count(profile), 2);
    assert_eq!(world.seen.count("context://workspace-state"), 1, "the others are believed still");
    assert_eq!(world.seen.count("listen"), 1);
    // Whoever no longer hears of changes believes nothing it heard before.
    world.seen.notify("end", json!({}));
    let opened = async {
        while world.seen.count("listen") == 1 {
            world.client.context(user(1)).await.unwrap();
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, opened).await.unwrap();
    assert!(world.seen.count("context://workspace-state") >= 2);
}

#[tokio::test]
async fn tools_are_believed_until_they_change() {
    let world = world(ClientConfig::default()).await;
    for _ in 0..3 {
        assert_eq!(world.client.tools(user(1)).await.unwrap().len(), 3);
    }
    assert_eq!(world.seen.count("tools/list"), 1);
    world.seen.notify("notifications/tools/list_changed", json!({}));
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let changed = async {
        while world.seen.count("tools/list") == 1 {
            world.client.tools(user(1)).await.unwrap();
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap();
}

#[tokio::test]
async fn connections_are_bounded() {
    let world = world(ClientConfig { connections: 2, ..ClientConfig::default() }).await;
    for number in 0..6 {
        world.client.tools(user(number)).await.unwrap();
    }
    let text = world.metrics.render();
    assert!(text.contains("gateway_container_call_connections 2\n"), "{text}");
    assert!(text.contains("gateway_container_call_evicted_total 4\n"), "{text}");
    world.client.shutdown().await;
}

fn invocation(name: &str, code: &str) -> Invocation {
    Invocation {
        user: user(1),
        name: name.to_owned(),
        arguments: json!({"code": code, "command_id": "made up by the model"}).as_object().unwrap().clone(),
        command_id: "turn-1".to_owned(),
        traceparent: None,
    }
}

#[tokio::test]
async fn a_container_is_tools_of_the_assistant() {
    let world = world(ClientConfig::default()).await;
    let tools = ContainerTools::new(world.client.clone());
    let listed = tools.list(user(1)).await.unwrap();
    let effects: Vec<_> = listed.iter().map(|it| (it.name.as_str(), it.effect)).collect();
    assert_eq!(effects, [("echo", Effect::Reads), ("write_strategy", Effect::Commands), ("run_python", Effect::Runs)]);
    assert!(
        !serde_json::to_string(&listed.iter().map(|it| &it.schema).collect::<Vec<_>>()).unwrap().contains("command_id")
    );
    let run = |name: &'static str, code: &'static str| {
        tools.call(invocation(name, code), Arc::new(|_| {}), CancellationToken::new())
    };
    let told: Value = serde_json::from_str(&run("write_strategy", "x").await.content).unwrap();
    assert_eq!(told["arguments"]["command_id"], "turn-1", "the harness's, not the model's");
    let told: Value = serde_json::from_str(&run("echo", "x").await.content).unwrap();
    assert_eq!(told["arguments"], json!({"code": "x"}));
    let refused = run("echo", "refuse").await;
    assert!(!refused.ok && refused.content.contains("NOT_FOUND"));
    assert_eq!(refused.summary, "no such file");
    let unknown = run("execute_trade", "x").await;
    assert!(!unknown.ok && unknown.content.contains("UNKNOWN_TOOL"));
    assert_eq!(world.seen.count("x"), 2, "it never got there");
    let shown = run("run_python", "pictures").await;
    let pictures = shown.cards.iter().filter(|card| matches!(card, Card::Picture { .. })).count();
    assert_eq!(pictures, 2);
    assert!(shown.content.contains("1 pictures were too many or too large"), "{}", shown.content);
    let wrong = run("echo", "wrong").await;
    assert!(!wrong.ok && wrong.content.contains("no such thing"), "{}", wrong.content);
    // A lost run is not run again; a lost command is, under its id.
    let lost = run("run_python", "lost once").await;
    assert!(!lost.ok && lost.content.contains("CONTAINER_LOST"), "{}", lost.content);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let stopped = tools.call(invocation("run_python", "long"), Arc::new(|_| {}), cancel).await;
    assert!(!stopped.ok && stopped.content.contains("CANCELLED"));
}
