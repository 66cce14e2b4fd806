//! Bounds of time, text and money, and the wish to stop a model.

use crate::rig::{Rig, USER, config};
use crate::script::{Act, Script, calls, delta, says, stream};
use harness::event::{Outcome, TurnEvent};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn time_ends_a_silent_model_and_a_long_tool() {
    let hang = Act::Hang(delta(json!({"content": "Well"}), None));
    let tool = stream(calls("Well", &[("a", "slow", "{}")]));
    for (row, act) in [("model", hang), ("tool", tool)] {
        let script = Script::start([act]).await;
        let mut config = config(&[&script]);
        config.limits.wall = Duration::from_millis(300);
        config.providers.values_mut().for_each(|provider| provider.silence_timeout = Duration::from_mins(1));
        let rig = Rig::new(config).await;
        let turn = rig.turn(1, "Think").await;
        assert_eq!((turn.outcome, turn.code.as_str(), turn.text.as_str()), (Outcome::Limited, "TIME", "Well"), "{row}");
    }
}

#[tokio::test]
async fn stop_hangs_up_on_the_model_and_keeps_what_was_said() {
    let script = Script::start([Act::Hang(delta(json!({"content": "It is"}), None))]).await;
    let mut config = config(&[&script]);
    config.providers.values_mut().for_each(|provider| provider.silence_timeout = Duration::from_mins(1));
    let rig = Rig::new(config).await;
    let submitted = rig.submit(1, "Think").await;
    rig.until(submitted.turn_id, |event| matches!(event, TurnEvent::TextDelta { .. })).await;
    let stopped = Instant::now();
    rig.harness.stop(USER, submitted.turn_id).await.unwrap();
    let turn = rig.ended(submitted.turn_id).await;
    assert!(stopped.elapsed() < Duration::from_secs(2));
    assert_eq!((turn.outcome, turn.text.as_str()), (Outcome::Stopped, "It is"));
    let mut hung_up = script.hung_up.subscribe();
    tokio::time::timeout(Duration::from_secs(5), hung_up.wait_for(|count| *count == 1)).await.unwrap().unwrap();
}

#[tokio::test]
async fn text_without_end_is_cut() {
    let script = Script::start([stream(says(&"word ".repeat(200)))]).await;
    let mut config = config(&[&script]);
    config.limits.text_bytes = 100;
    let rig = Rig::new(config).await;
    let turn = rig.turn(1, "Talk").await;
    assert_eq!((turn.outcome, turn.code.as_str()), (Outcome::Limited, "TEXT"));
    assert_eq!(turn.text.len(), 100);
}

#[tokio::test]
async fn a_provider_that_never_stops_sending_is_cut() {
    let script = Script::start([]).await.forever(stream(b": keep-alive\n\n".repeat(10_000)));
    let mut config = config(&[&script]);
    config.providers.values_mut().for_each(|provider| provider.answer_bytes = 10_000);
    let rig = Rig::new(config).await;
    let turn = rig.turn(1, "Talk").await;
    assert_eq!((turn.outcome, turn.code.as_str()), (Outcome::Limited, "TEXT"));
}

#[tokio::test]
async fn an_answer_at_its_token_limit_says_so() {
    let mut body = delta(json!({"content": "Half an ans"}), None);
    body.extend(delta(json!({}), Some("length")));
    let script = Script::start([stream(body)]).await;
    let rig = Rig::new(config(&[&script])).await;
    let turn = rig.turn(1, "Talk").await;
    assert_eq!((turn.outcome, turn.code.as_str(), turn.text.as_str()), (Outcome::Limited, "TOKENS", "Half an ans"));
}
