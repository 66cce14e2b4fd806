//! Containers as processes: one at a time, woken, restarted, given up, ended, erased; over the fake container.

use crate::world::{Issuer, PATIENCE, config, data, fake_program, faking, provisioner, runs, starts, until, user};
use futures_util::future::join_all;
use provisioner::{How, Phase, ProvisionError, Provisioner, Tier};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn pid(start: &Value) -> u64 {
    start["pid"].as_u64().unwrap()
}

fn signal(pid: u64, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

async fn ask(url: &str, path: &str) {
    // It ends without an answer.
    let _cut = reqwest::get(format!("{}{path}", url.strip_suffix("/mcp").unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_ask_at_once_get_one_container() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "slow", &json!({}));
    assert_eq!(it.state(user(1)).await.state, Phase::Absent);
    let asked = join_all((0..20).map(|_| it.ensure(user(1), Tier::Free))).await;
    let instances: BTreeSet<_> = asked.iter().map(|it| it.as_ref().unwrap().endpoint.instance.clone()).collect();
    assert_eq!(instances.len(), 1);
    assert!(asked.iter().all(|it| it.as_ref().unwrap().how == How::Created));
    let started = starts(dir.path(), user(1));
    assert_eq!(started.len(), 1);
    assert_eq!(
        started[0]["env"].as_array().unwrap().iter().filter(|it| *it == "HOME" || *it == "CARGO_MANIFEST_DIR").count(),
        0
    );
    assert_eq!((&started[0]["key"], &started[0]["tier"]), (&json!(64), &json!("free")));
    assert_eq!(it.ensure(user(1), Tier::Free).await.unwrap().how, How::Reused);
    let state = it.state(user(1)).await;
    assert_eq!((state.state, state.tier), (Phase::Ready, Some(Tier::Free)));
    let endpoint = it.ensure(user(1), Tier::Free).await.unwrap().endpoint;
    assert_eq!(endpoint.events.as_deref(), Some("tcp://127.0.0.1:2"));
    assert!(endpoint.audience.ends_with(&format!("/{}/mcp", user(1))));
    it.shutdown().await;
    assert!(!runs(pid(&started[0])));
    assert!(matches!(it.ensure(user(1), Tier::Free).await, Err(ProvisionError::Stopping)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_over_one_directory_share_one_container() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::new(300);
    let make = || provisioner(config(fake_program(), dir.path(), &json!({})), &issuer).0;
    let (one, two) = (make(), make());
    let asked = (0..20).map(|number| if number % 2 == 0 { &one } else { &two });
    let asked = join_all(asked.map(|it| it.ensure(user(1), Tier::Free))).await;
    let instances: BTreeSet<_> = asked.iter().map(|it| it.as_ref().unwrap().endpoint.instance.clone()).collect();
    assert_eq!(instances.len(), 1);
    assert_eq!(starts(dir.path(), user(1)).len(), 1);
    let first = starts(dir.path(), user(1)).remove(0);
    assert_eq!(two.state(user(1)).await.state, Phase::Ready);
    // It goes with the replica that started it, which one that was; the other one starts another.
    one.shutdown().await;
    let after = two.ensure(user(1), Tier::Free).await.unwrap();
    let started = starts(dir.path(), user(1));
    if runs(pid(&first)) {
        assert_eq!((after.how, started.len()), (How::Reused, 1));
    } else {
        assert_eq!((after.how, started.len()), (How::Restarted, 2));
    }
    two.shutdown().await;
    assert!(started.iter().all(|it| !runs(pid(it))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_a_replica_that_died_is_started_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (faking(dir.path(), "good", &json!({})), faking(dir.path(), "good", &json!({})));
    one.ensure(user(1), Tier::Free).await.unwrap();
    assert_eq!(two.ensure(user(1), Tier::Free).await.unwrap().how, How::Reused);
    // As if it was killed: nobody is told anything.
    drop(one);
    let first = pid(&starts(dir.path(), user(1))[0]);
    until("the container ends with its replica", || !runs(first)).await;
    assert_eq!(two.ensure(user(1), Tier::Free).await.unwrap().how, How::Restarted);
    two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_sleeps_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "good", &json!({}));
    let first = it.ensure(user(1), Tier::Pro).await.unwrap();
    ask(&first.endpoint.mcp_url, "/sleep").await;
    until("it ends", || !runs(pid(&starts(dir.path(), user(1))[0]))).await;
    let mut states = tokio::time::interval(Duration::from_millis(10));
    let asleep = async {
        while it.state(user(1)).await.state != Phase::Asleep {
            states.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, asleep).await.unwrap();
    assert!(it.state(user(1)).await.message.contains("sleeps"));
    let second = it.ensure(user(1), Tier::Pro).await.unwrap();
    assert_eq!(second.how, How::Woken);
    assert_ne!(second.endpoint.instance, first.endpoint.instance);
    assert_eq!(second.endpoint.audience, first.endpoint.audience);
    // Another replica, or this one after a restart, knows it by the marker.
    ask(&second.endpoint.mcp_url, "/sleep").await;
    until("it ends", || !runs(pid(&starts(dir.path(), user(1))[1]))).await;
    drop(it);
    let again = faking(dir.path(), "good", &json!({}));
    assert_eq!(again.list().await.unwrap()[0].state, Phase::Asleep);
    assert_eq!(again.ensure(user(1), Tier::Pro).await.unwrap().how, How::Woken);
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_anonymous_user_has_goes_when_it_sleeps() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "good", &json!({}));
    let first = it.ensure(user(1), Tier::Anonymous).await.unwrap();
    ask(&first.endpoint.mcp_url, "/sleep").await;
    until("everything is gone", || !dir.path().join("agents").join(user(1).to_string()).exists()).await;
    until("the lock, too", || !dir.path().join("agents").join(format!("{}.lock", user(1))).exists()).await;
    assert_eq!(it.ensure(user(1), Tier::Anonymous).await.unwrap().how, How::Created);
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_killed_is_back_at_once_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::new(300);
    let (it, metrics) = provisioner(config(fake_program(), dir.path(), &json!({})), &issuer);
    it.ensure(user(1), Tier::Free).await.unwrap();
    let first = pid(&starts(dir.path(), user(1))[0]);
    signal(first, Signal::KILL);
    until("it is gone", || metrics.render().contains("gateway_container_crashes_total 1\n")).await;
    let back = it.ensure(user(1), Tier::Free).await.unwrap();
    assert_eq!(back.how, How::Restarted);
    let text = metrics.render();
    assert!(text.contains("gateway_container_count{state=\"ready\"} 1\n"), "{text}");
    assert!(text.contains("gateway_container_starts_total{how=\"restarted\"} 1\n"), "{text}");
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_crashes_twice_gets_its_third_chance() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "crash-twice", &json!({}));
    assert_eq!(it.ensure(user(1), Tier::Free).await.unwrap().how, How::Created);
    assert_eq!(starts(dir.path(), user(1)).len(), 3);
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_always_crashes_is_given_up_with_a_clear_error() {
    for behaviour in ["crash", "asleep-without-marker"] {
        let dir = tempfile::tempdir().unwrap();
        let it = faking(dir.path(), behaviour, &json!({"crashes": 3}));
        let Err(error) = it.ensure(user(1), Tier::Free).await else { panic!("it cannot run") };
        assert!(matches!(&error, ProvisionError::CrashLoop { crashes: 3, .. }), "{error}");
        assert!(error.is_retryable() && error.to_string().contains("ended 3 times"), "{error}");
        assert!(!error.for_user().contains('/'), "a user is told no paths");
        // It is left alone from now on, and the log says why it failed.
        let begun = Instant::now();
        assert!(it.ensure(user(1), Tier::Free).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(starts(dir.path(), user(1)).len(), 3);
        assert_eq!(it.state(user(1)).await.state, Phase::Failed);
        if behaviour == "crash" {
            let ProvisionError::CrashLoop { log, .. } = &error else { panic!("{error}") };
            until("the log is written", || std::fs::read_to_string(log).unwrap_or_default().contains("on fire")).await;
        }
        it.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_never_ready_is_ended_at_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "never-ready", &json!({"ready_within": "1s"}));
    let error = it.ensure(user(1), Tier::Free).await.unwrap_err();
    assert!(matches!(error, ProvisionError::NotReady { after } if after == Duration::from_secs(1)), "{error}");
    until("it is ended", || starts(dir.path(), user(1)).iter().all(|it| !runs(pid(it)))).await;
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_goes_on_when_its_caller_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "slow", &json!({}));
    let hasty = tokio::time::timeout(Duration::from_millis(100), it.ensure(user(1), Tier::Free)).await;
    assert!(hasty.is_err());
    assert_eq!(it.ensure(user(1), Tier::Free).await.unwrap().how, How::Created);
    assert_eq!(starts(dir.path(), user(1)).len(), 1);
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ignores_it_is_killed_and_what_it_forked_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "ignores-term", &json!({"stop_within": "1s"}));
    it.ensure(user(1), Tier::Free).await.unwrap();
    it.stop(user(1)).await.unwrap();
    assert!(!runs(pid(&starts(dir.path(), user(1))[0])));
    assert_eq!(it.state(user(1)).await.state, Phase::Asleep);
    std::fs::create_dir_all(data(dir.path(), user(2))).unwrap();
    std::fs::write(data(dir.path(), user(2)).join("behaviour"), "forks").unwrap();
    assert_eq!(it.ensure(user(2), Tier::Free).await.unwrap().how, How::Restarted, "its data were there");
    let forked: u64 = std::fs::read_to_string(data(dir.path(), user(2)).join("forked")).unwrap().parse().unwrap();
    assert!(runs(forked));
    signal(pid(&starts(dir.path(), user(2))[0]), Signal::KILL);
    until("its child ends, too", || !runs(forked)).await;
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_is_replaced_once_somebody_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "good", &json!({}));
    let first = it.ensure(user(1), Tier::Free).await.unwrap();
    it.suspect(user(1), &first.endpoint.instance);
    assert_eq!(it.ensure(user(1), Tier::Free).await.unwrap().how, How::Reused, "it answers: it was a false alarm");
    signal(pid(&starts(dir.path(), user(1))[0]), Signal::STOP);
    assert_eq!(it.ensure(user(1), Tier::Free).await.unwrap().how, How::Reused, "nobody has complained yet");
    it.suspect(user(1), &first.endpoint.instance);
    let second = it.ensure(user(1), Tier::Free).await.unwrap();
    assert_eq!(second.how, How::Restarted);
    assert!(!runs(pid(&starts(dir.path(), user(1))[0])));
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tier_gets_another_container_with_the_same_data() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "good", &json!({}));
    it.ensure(user(1), Tier::Free).await.unwrap();
    let key = it.event_key(user(1)).await.unwrap().unwrap();
    assert_eq!(it.ensure(user(1), Tier::Pro).await.unwrap().how, How::Replaced);
    let started = starts(dir.path(), user(1));
    assert_eq!((&started[0]["tier"], &started[1]["tier"]), (&json!("free"), &json!("pro")));
    assert!(!runs(pid(&started[0])) && runs(pid(&started[1])));
    let after = it.event_key(user(1)).await.unwrap().unwrap();
    assert_eq!((after.id, format!("{:?}", after.hex)), (key.id, format!("{:?}", key.hex)));
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_at_most_so_many_and_none_is_ended_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "good", &json!({"most": 2}));
    for number in 1..=2 {
        it.ensure(user(number), Tier::Free).await.unwrap();
    }
    let error = it.ensure(user(3), Tier::Free).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Full { most: 2 }), "{error}");
    assert!(error.is_retryable());
    for number in 1..=2 {
        assert_eq!(it.ensure(user(number), Tier::Free).await.unwrap().how, How::Reused);
    }
    it.stop(user(1)).await.unwrap();
    assert_eq!(it.ensure(user(3), Tier::Free).await.unwrap().how, How::Created);
    assert_eq!(it.list().await.unwrap().len(), 3);
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_ends_it_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (it, other) = (faking(dir.path(), "good", &json!({})), faking(dir.path(), "good", &json!({})));
    it.ensure(user(1), Tier::Free).await.unwrap();
    it.ensure(user(2), Tier::Free).await.unwrap();
    std::fs::write(data(dir.path(), user(1)).join("secret strategy"), "buy").unwrap();
    let ran = pid(&starts(dir.path(), user(1))[0]);
    // Also by a replica that did not start it.
    let erased = other.erase(user(1)).await.unwrap();
    assert!(erased.files_before >= 6 && erased.bytes_before > 0, "{erased:?}");
    assert_eq!(erased.files_after, 0);
    assert!(!runs(ran));
    let left: Vec<_> =
        std::fs::read_dir(dir.path().join("agents")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().starts_with(&user(1).to_string())), "{left:?}");
    assert_eq!(it.ensure(user(2), Tier::Free).await.unwrap().how, How::Reused, "others are left alone");
    assert!(other.event_key(user(1)).await.unwrap().is_none());
    assert_eq!(other.erase(user(9)).await.unwrap().files_before, 0);
    let again = other.ensure(user(1), Tier::Free).await.unwrap();
    assert_eq!(again.how, How::Created);
    other.shutdown().await;
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let (it, _) = provisioner(config("/nowhere/dexorder".into(), dir.path(), &json!({})), &Issuer::new(300));
    let error = it.ensure(user(1), Tier::Free).await.unwrap_err();
    assert!(
        matches!(error, ProvisionError::Spawn { .. }) && error.to_string().contains("/nowhere/dexorder"),
        "{error}"
    );
    assert!(!error.is_retryable());
    it.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_under_load_costs_nobody_more_than_the_restart() {
    let dir = tempfile::tempdir().unwrap();
    let it = faking(dir.path(), "good", &json!({"crashes": 50}));
    it.ensure(user(1), Tier::Free).await.unwrap();
    let ask = async {
        for _ in 0..60 {
            let ensured = it.ensure(user(1), Tier::Free).await.unwrap();
            if reqwest::get(format!("{}/healthz", ensured.endpoint.mcp_url.strip_suffix("/mcp").unwrap()))
                .await
                .is_err()
            {
                it.suspect(user(1), &ensured.endpoint.instance);
            }
        }
    };
    let kill = async {
        for round in 0..3 {
            until("it is started again", || starts(dir.path(), user(1)).len() > round).await;
            let last = pid(starts(dir.path(), user(1)).last().unwrap());
            signal(last, Signal::KILL);
            until("it is gone", || !runs(last)).await;
        }
    };
    tokio::join!(ask, kill);
    it.ensure(user(1), Tier::Free).await.unwrap();
    let running = starts(dir.path(), user(1)).iter().filter(|it| runs(pid(it))).count();
    assert_eq!(running, 1, "never two at a time");
    it.shutdown().await;
}
