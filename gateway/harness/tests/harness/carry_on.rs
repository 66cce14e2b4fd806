//! A replica that ends or loses its lease: another one carries its turns on. Over SQLite and PostgreSQL.

use crate::rig::{Parts, Rig, Toolbox, USER, config};
use crate::script::{Act, Script, calls, delta, says, stream};
use harness::HarnessConfig;
use harness::event::{Outcome, TurnEvent};
use harness::store::Database;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn patient(script: &Script) -> HarnessConfig {
    let mut config = config(&[script]);
    config.providers.values_mut().for_each(|provider| provider.silence_timeout = Duration::from_mins(1));
    config
}

async fn two(script: &Script, database: &Database) -> (Rig, Rig) {
    let (tools, parts): (Arc<Toolbox>, Arc<Parts>) = Default::default();
    let first = Rig::on(patient(script), database, tools.clone(), parts.clone()).await;
    (first, Rig::on(patient(script), database, tools, parts).await)
}

async fn turn_is_carried_on(database: &Database) {
    // The first replica carries a call out and hangs in its second round.
    let script = Script::start([
        stream(calls("Looking.", &[("a", "write", "{\"n\":1}")])),
        Act::Hang(delta(json!({"content": "It is half"}), None)),
        stream(says("It is written.")),
    ])
    .await;
    let (first, second) = two(&script, database).await;
    let submitted = first.submit(1, "Write").await;
    first.until(submitted.turn_id, |event| matches!(event, TurnEvent::TextDelta { round: 1, .. })).await;
    // Whoever watches at the other replica sees the same.
    second.until(submitted.turn_id, |event| matches!(event, TurnEvent::TextDelta { round: 1, .. })).await;
    first.stop.cancel();
    first.harness.stopped().await;
    let turn = second.ended(submitted.turn_id).await;
    assert_eq!((turn.outcome, turn.text.as_str()), (Outcome::Complete, "Looking.\n\nIt is written."));
    assert!(turn.notices().contains(&"RESUMED"));
    assert_eq!(turn.count(|event| matches!(event, TurnEvent::TextReset { round: 1 })), 1);
    assert_eq!(second.tools.names(), ["write"], "what is recorded is not done again");
    assert!(second.submit(1, "Write").await.known);
    second.stop.cancel();
    second.harness.stopped().await;
    let mut saved: Vec<String> = second.parts.saved.lock().unwrap().iter().map(|it| it.command_id.clone()).collect();
    saved.sort();
    saved.dedup();
    assert_eq!(saved.len(), 2, "both messages, each under one id: {saved:?}");
}

async fn stop_and_watch_reach_the_other_replica(database: &Database) {
    let script = Script::start([Act::Hang(delta(json!({"content": "Well"}), None)), stream(says("Next."))]).await;
    let (first, second) = two(&script, database).await;
    let submitted = first.submit(1, "Think").await;
    let queued = second.submit(2, "And then?").await;
    assert!(queued.queued);
    second.until(submitted.turn_id, |event| matches!(event, TurnEvent::TextDelta { .. })).await;
    let stopped = std::time::Instant::now();
    second.harness.stop(USER, submitted.turn_id).await.unwrap();
    assert_eq!(second.ended(submitted.turn_id).await.outcome, Outcome::Stopped);
    assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    assert_eq!(second.ended(queued.turn_id).await.text, "Next.");
    for rig in [first, second] {
        rig.stop.cancel();
        rig.harness.stopped().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_carries_a_turn_on_over_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    turn_is_carried_on(&Database::Sqlite(dir.path().join("turns.sqlite"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_and_a_watcher_reach_the_other_replica_over_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    stop_and_watch_reach_the_other_replica(&Database::Sqlite(dir.path().join("turns.sqlite"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_over_postgresql() {
    let Some(server) = crate::postgres::Server::start().await else { return };
    turn_is_carried_on(&server.database("one").await).await;
    stop_and_watch_reach_the_other_replica(&server.database("two").await).await;
    crate::conversation::lists_exports_and_erasing_agree_over(&server.database("three").await).await;
    crate::conversation::a_budget_is_kept_over(&server.database("four").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_declared_dead_writes_nothing_more_and_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turns.sqlite");
    let script = Script::start([
        Act::Hang(delta(json!({"content": "Old"}), None)),
        stream(says("From the other one.")),
        stream(says("From either.")),
    ])
    .await;
    let (first, second) = two(&script, &Database::Sqlite(path.clone())).await;
    let submitted = first.submit(1, "Think").await;
    first.until(submitted.turn_id, |event| matches!(event, TurnEvent::TextDelta { .. })).await;
    // As if the first one had been frozen for longer than its lease.
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let sql = "UPDATE harness_replicas SET dead = 1 WHERE replica = (SELECT owner FROM harness_turns)";
    assert_eq!(sqlx::query(sql).execute(&pool).await.unwrap().rows_affected(), 1);
    // Either replica may carry it on: the first under its new name, too.
    let turn = second.ended(submitted.turn_id).await;
    assert_eq!((turn.outcome, turn.text.as_str()), (Outcome::Complete, "From the other one."));
    first.until(submitted.turn_id, |event| matches!(event, TurnEvent::TurnEnded { .. })).await;
    let again = first.turn(2, "And now?").await;
    assert_eq!(again.text, "From either.");
    assert!(first.metrics.render().contains("gateway_harness_leases_lost_total 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsaved_messages_of_a_replica_that_ended_are_saved_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(dir.path().join("turns.sqlite"));
    let script = Script::start([stream(says("Yes."))]).await;
    let first = Rig::on(patient(&script), &database, Arc::default(), Arc::default()).await;
    *first.parts.save_failures.lock().unwrap() = 1_000;
    first.turn(1, "Hello").await;
    first.stop.cancel();
    first.harness.stopped().await;
    let second = Rig::on(patient(&script), &database, Arc::default(), Arc::default()).await;
    tokio::time::timeout(crate::script::GUARD, async {
        while second.parts.saved.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let said: Vec<String> = second.parts.saved.lock().unwrap().iter().map(|it| it.text.clone()).collect();
    assert_eq!(said, ["Hello", "Yes."]);
}
