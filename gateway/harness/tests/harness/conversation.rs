//! Messages in order, once; watching; other users; listing, exporting, erasing, forgetting.

use crate::rig::{Rig, USER, config, message};
use crate::script::{Act, GUARD, Script, delta, says, stream};
use futures_util::StreamExt;
use harness::event::{Outcome, TurnEvent};
use harness::parts::Budget;
use harness::store::Database;
use harness::{LookupError, SubmitError, Tier};
use proto::UserId;
use serde_json::json;
use service::clock::Clock;
use std::sync::Arc;
use std::time::Duration;

const DAY_NS: u64 = 86_400_000_000_000;

const OTHER: UserId = UserId::from_bits(8);

/// A model that says one word and then nothing until it is stopped.
fn hang() -> Act {
    Act::Hang(delta(json!({"content": "Well"}), None))
}

#[tokio::test]
async fn a_message_is_taken_once_however_often_it_is_sent() {
    let script = Script::start([]).await.forever(stream(says("Yes.")));
    let rig = Rig::new(config(&[&script])).await;
    let sent = futures_util::future::join_all((0..20).map(|_| rig.submit(1, "Hello"))).await;
    assert!(sent.iter().all(|it| it.turn_id == sent[0].turn_id), "{sent:?}");
    assert_eq!(sent.iter().filter(|it| !it.known).count(), 1);
    rig.ended(sent[0].turn_id).await;
    assert!(rig.submit(1, "Hello").await.known);
    assert_eq!(script.asked(), 1);
}

#[tokio::test]
async fn messages_wait_in_order_and_the_ninth_is_refused() {
    let script = Script::start([hang()]).await.forever(stream(says("Next.")));
    let mut config = config(&[&script]);
    config.providers.values_mut().for_each(|provider| provider.silence_timeout = Duration::from_mins(1));
    let rig = Rig::new(config).await;
    let first = rig.submit(100, "Hello").await;
    rig.until(first.turn_id, |event| matches!(event, TurnEvent::TextDelta { .. })).await;
    let mut waiting = Vec::new();
    for id in 101..109 {
        let submitted = rig.submit(id, &format!("Message {id}")).await;
        assert!(submitted.queued);
        waiting.push(submitted.turn_id);
    }
    let full = rig.harness.submit(USER, Tier::Free, message(109, "One more")).await;
    assert!(matches!(full, Err(SubmitError::Full { most: 8 })), "{full:?}");
    // A waiting message can be stopped before it runs.
    rig.harness.stop(USER, waiting[3]).await.unwrap();
    assert_eq!(rig.ended(waiting[3]).await.outcome, Outcome::Stopped);
    rig.harness.stop(USER, first.turn_id).await.unwrap();
    for turn in waiting.iter().filter(|turn| **turn != waiting[3]) {
        let turn = rig.ended(*turn).await;
        assert_eq!((turn.outcome, turn.text.as_str()), (Outcome::Complete, "Next."));
        assert!(turn.notices().contains(&"QUEUED"));
    }
    let asked = script.requests.lock().unwrap();
    let last: Vec<&str> = asked[1..]
        .iter()
        .map(|it| it["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap())
        .collect();
    assert_eq!(
        last,
        [101, 102, 103, 105, 106, 107, 108].map(|id| format!("Message {id}")),
        "in order, without the stopped one"
    );
}

#[tokio::test]
async fn the_model_is_told_what_was_said_before() {
    let script = Script::start([stream(says("One.")), stream(says("Two."))]).await;
    let rig = Rig::new(config(&[&script])).await;
    rig.turn(1, "First").await;
    rig.turn(2, "Second").await;
    let asked = script.requests.lock().unwrap()[1].clone();
    let said: Vec<&str> =
        asked["messages"].as_array().unwrap()[1..].iter().map(|it| it["content"].as_str().unwrap()).collect();
    assert_eq!(said, ["First", "One.", "Second"]);
}

#[tokio::test]
async fn a_long_conversation_is_told_as_a_summary_and_its_end() {
    let script = Script::start([]).await.forever(stream(says("Yes.")));
    let mut config = config(&[&script]);
    config.prompt.history_tokens = 60;
    let rig = Rig::new(config).await;
    rig.parts.texts.lock().unwrap().summary = "They spoke about gold.".to_owned();
    for id in 1..6 {
        rig.turn(id, &format!("Message number {id} about gold")).await;
    }
    let turn = rig.turn(6, "And now?").await;
    assert!(turn.notices().contains(&"SUMMARISED"));
    let asked = script.requests.lock().unwrap()[5].clone();
    assert!(asked["messages"][0]["content"].as_str().unwrap().contains("They spoke about gold."));
    // Of five exchanges the last three, beside the rules and the message.
    assert_eq!(asked["messages"].as_array().unwrap().len(), 8, "{asked}");
}

#[tokio::test]
async fn a_watcher_sees_the_running_turn_and_those_behind_it() {
    let script = Script::start([]).await.forever(stream(says("Yes, of course.")));
    let rig = Rig::new(config(&[&script])).await;
    let watch = rig.harness.watch(USER, "main".parse().unwrap(), None);
    let mut watch = std::pin::pin!(watch);
    let mut ends = Vec::new();
    for id in 1..4 {
        let submitted = rig.submit(id, "Hello").await;
        let mut next = 1;
        loop {
            let watched = tokio::time::timeout(GUARD, watch.next()).await.expect("in time").unwrap().unwrap();
            assert_eq!((watched.turn_id, watched.event.sequence), (submitted.turn_id, next));
            next += 1;
            if let TurnEvent::TurnEnded { text, .. } = watched.event.event {
                ends.push(text);
                break;
            }
        }
    }
    assert_eq!(ends, ["Yes, of course."; 3]);
    // From the middle of an old turn on, all that follows.
    let page = rig.harness.turns(USER, &"main".parse().unwrap(), None, 10).await.unwrap();
    let first = page.turns.last().unwrap();
    let again = rig.harness.watch(USER, "main".parse().unwrap(), Some((first.turn_id, 2)));
    let seen: Vec<_> = again.take(1).map(|it| it.unwrap().event.sequence).collect().await;
    assert_eq!(seen, [3]);
}

#[tokio::test]
async fn another_users_ids_are_unknown() {
    let script = Script::start([hang()]).await.forever(stream(says("Yes.")));
    let mut config = config(&[&script]);
    config.providers.values_mut().for_each(|provider| provider.silence_timeout = Duration::from_mins(1));
    let rig = Rig::new(config).await;
    let mine = rig.submit(1, "Secret").await;
    rig.until(mine.turn_id, |event| matches!(event, TurnEvent::TextDelta { .. })).await;
    assert!(matches!(rig.harness.events(OTHER, mine.turn_id, 0).await, Err(LookupError::Unknown)));
    assert!(matches!(rig.harness.stop(OTHER, mine.turn_id).await, Err(LookupError::Unknown)));
    assert!(rig.harness.conversations(OTHER).await.unwrap().is_empty());
    assert!(rig.harness.turns(OTHER, &"main".parse().unwrap(), None, 10).await.unwrap().turns.is_empty());
    assert!(rig.harness.export(OTHER, None, 10).await.unwrap().is_empty());
    // The same message id of another user is another message, and its watcher sees only that.
    let watch = rig.harness.watch(OTHER, "main".parse().unwrap(), Some((mine.turn_id, 0)));
    let theirs = rig.harness.submit(OTHER, Tier::Free, message(1, "Mine")).await.unwrap();
    assert!(!theirs.known);
    let seen: Vec<_> = watch.take(1).collect().await;
    assert_eq!(seen[0].as_ref().unwrap().turn_id, theirs.turn_id);
    let asked_about: Vec<String> =
        rig.harness.conversations(OTHER).await.unwrap().into_iter().map(|it| it.title).collect();
    assert_eq!(asked_about, ["Mine"]);
    assert_eq!(rig.harness.erase(OTHER).await.unwrap().turns, 1);
    assert_eq!(rig.harness.count(USER).await.unwrap().turns, 1, "the other user's turn stands");
    rig.harness.stop(USER, mine.turn_id).await.unwrap();
}

pub(crate) async fn lists_exports_and_erasing_agree_over(database: &Database) {
    let script = Script::start([]).await.forever(stream(says("Yes.")));
    let rig = Rig::on(config(&[&script]), database, Arc::default(), Arc::default()).await;
    for id in 1..6 {
        rig.turn(id, &format!("Message {id}\nmore")).await;
    }
    let list = rig.harness.conversations(USER).await.unwrap();
    assert_eq!((list.len(), list[0].title.as_str(), list[0].running_turn), (1, "Message 1", None));
    let page = rig.harness.turns(USER, &list[0].id, None, 2).await.unwrap();
    assert_eq!(page.turns.len(), 2);
    let rest = rig.harness.turns(USER, &list[0].id, page.next, 10).await.unwrap();
    assert_eq!((rest.turns.len(), rest.next), (3, None));
    assert!(page.turns.iter().all(|turn| turn.ended && turn.last_sequence > 3));
    let (events, ended) = rig.harness.events(USER, page.turns[0].turn_id, 2).await.unwrap();
    assert_eq!((events[0].sequence, ended), (3, true));
    let exported = rig.harness.export(USER, None, 100).await.unwrap();
    assert_eq!(exported.len(), 5);
    assert!(matches!(exported[4].events.last().unwrap().event, TurnEvent::TurnEnded { .. }));
    rig.store_budget().charge(USER, "a", 5).await.unwrap();
    let counted = rig.harness.count(USER).await.unwrap();
    let erased = rig.harness.erase(USER).await.unwrap();
    assert_eq!(counted, erased);
    assert_eq!((erased.turns, erased.charges), (5, 1));
    let left = rig.harness.count(USER).await.unwrap();
    assert_eq!((left.turns, left.log_entries, left.charges), (0, 0, 0));
    rig.stop.cancel();
    rig.harness.stopped().await;
}

/// Money of a day is counted once for each charge, and a new day begins with all of it.
pub(crate) async fn a_budget_is_kept_over(database: &Database) {
    let script = Script::start([]).await;
    let clock = Clock::manual(20_000 * DAY_NS + 5);
    let rig = Rig::at(config(&[&script]), database, (Arc::default(), Arc::default()), clock.clone()).await;
    let budget = rig.store_budget();
    assert_eq!(budget.left(USER, Tier::Free).await, Ok(Some(100)));
    for (charge, micro_usd) in [("a", 30), ("a", 30), ("b", 50)] {
        budget.charge(USER, charge, micro_usd).await.unwrap();
    }
    assert_eq!(budget.left(USER, Tier::Free).await, Ok(Some(20)));
    budget.charge(USER, "c", 500).await.unwrap();
    assert_eq!(budget.left(USER, Tier::Free).await, Ok(Some(0)));
    assert_eq!(budget.left(OTHER, Tier::Free).await, Ok(Some(100)), "of each user");
    assert_eq!(budget.left(USER, Tier::Enterprise).await, Ok(None));
    clock.set_ns(20_001 * DAY_NS);
    assert_eq!(budget.left(USER, Tier::Free).await, Ok(Some(100)));
}

fn sqlite(dir: &tempfile::TempDir) -> Database {
    Database::Sqlite(dir.path().join("turns.sqlite"))
}

#[tokio::test]
async fn lists_exports_and_erasing_agree() {
    let dir = tempfile::tempdir().unwrap();
    lists_exports_and_erasing_agree_over(&sqlite(&dir)).await;
}

#[tokio::test]
async fn the_budget_of_a_day_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    a_budget_is_kept_over(&sqlite(&dir)).await;
}

#[tokio::test]
async fn ended_turns_are_forgotten_after_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::start([]).await.forever(stream(says("Yes.")));
    let clock = Clock::manual(20_000 * DAY_NS);
    let mut config = config(&[&script]);
    config.turns.lease = Duration::from_millis(60);
    let rig = Rig::at(config, &sqlite(&dir), (Arc::default(), Arc::default()), clock.clone()).await;
    rig.turn(1, "Old").await;
    clock.set_ns(20_006 * DAY_NS);
    rig.turn(2, "New").await;
    clock.set_ns(20_008 * DAY_NS);
    let forgotten = async {
        while rig.harness.count(USER).await.unwrap().turns > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(GUARD, forgotten).await.unwrap();
    let left = rig.harness.conversations(USER).await.unwrap();
    assert_eq!(left[0].title, "New");
}

#[tokio::test]
async fn erasing_ends_what_runs() {
    let script = Script::start([hang()]).await;
    let mut config = config(&[&script]);
    config.providers.values_mut().for_each(|provider| provider.silence_timeout = Duration::from_mins(1));
    let rig = Rig::new(config).await;
    let submitted = rig.submit(1, "Hello").await;
    rig.until(submitted.turn_id, |event| matches!(event, TurnEvent::TextDelta { .. })).await;
    assert_eq!(rig.harness.erase(USER).await.unwrap().turns, 1);
    assert_eq!(rig.harness.count(USER).await.unwrap().log_entries, 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_saved_is_tried_again_and_saved_once() {
    let script = Script::start([stream(says("Yes."))]).await;
    let rig = Rig::new(config(&[&script])).await;
    *rig.parts.save_failures.lock().unwrap() = 1;
    rig.turn(1, "Hello").await;
    tokio::time::timeout(GUARD, async {
        while rig.parts.saved.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let said: Vec<String> = rig.parts.saved.lock().unwrap().iter().map(|it| it.text.clone()).collect();
    assert_eq!(said, ["Hello", "Yes."]);
}

#[tokio::test]
async fn texts_of_wrong_length_are_refused() {
    let script = Script::start([]).await;
    let rig = Rig::new(config(&[&script])).await;
    for text in [String::new(), "x".repeat(32_769)] {
        let refused = rig.harness.submit(USER, Tier::Free, message(1, &text)).await;
        assert!(matches!(refused, Err(SubmitError::Text { .. })), "{refused:?}");
    }
}
