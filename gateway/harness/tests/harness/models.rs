//! Models that break off, fail, refuse, stay silent or answer oddly.

use crate::rig::{Rig, config};
use crate::script::{Act, DONE, Script, calls, delta, says, stream, usage};
use harness::event::{Outcome, TurnEvent};
use serde_json::json;
use std::time::Duration;

const ANSWER: &str = "Bitcoin is a coin that many people trade.";

#[tokio::test]
async fn an_answer_is_streamed_and_saved_and_asks_what_the_protocol_says() {
    let script = Script::start([stream(says(ANSWER))]).await;
    let rig = Rig::new(config(&[&script])).await;
    rig.parts.texts.lock().unwrap().profile = "Trades slowly.".to_owned();
    let turn = rig.turn(1, "What is Bitcoin?").await;
    assert_eq!((turn.outcome, turn.text.as_str()), (Outcome::Complete, ANSWER));
    assert_eq!(turn.notices(), ["CONTAINER_WAKING"]);
    assert_eq!(turn.count(|event| matches!(event, TurnEvent::ModelChosen { model, .. } if model == "m0")), 1);
    let asked = script.requests.lock().unwrap()[0].clone();
    // The types of another implementation of the protocol take it.
    let typed: async_openai::types::chat::CreateChatCompletionRequest = serde_json::from_value(asked.clone()).unwrap();
    assert_eq!((typed.model.as_str(), typed.stream, typed.messages.len()), ("m0", Some(true), 2));
    let system = asked["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains("Trades slowly."), "{system}");
    let schema = &asked["tools"][0]["function"]["parameters"];
    assert!(schema["properties"].get("command_id").is_none(), "no model sees it: {schema}");
    rig.stop.cancel();
    rig.harness.stopped().await;
    let saved = rig.parts.saved.lock().unwrap();
    let said: Vec<&str> = saved.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(said, ["What is Bitcoin?", ANSWER]);
    assert_ne!(saved[0].command_id, saved[1].command_id);
}

#[tokio::test]
async fn a_stream_cut_behind_every_chunk_is_asked_again_and_shown_once() {
    let body = says(ANSWER);
    let text = String::from_utf8(body.clone()).unwrap();
    let ends: Vec<usize> = text.match_indices("\n\n").map(|(at, _)| at + 2).collect();
    // Behind the reason to stop the answer is whole.
    let whole = text.find("\"finish_reason\":\"stop\"").unwrap();
    let script = Script::start([]).await;
    let rig = Rig::new(config(&[&script])).await;
    let mut id = 0;
    for end in ends.into_iter().filter(|end| *end < whole) {
        for cut in [end, end + 7] {
            script.push([Act::Cut(body[..cut].to_vec()), stream(body.clone())]);
            let before = script.asked();
            id += 1;
            let turn = rig.turn(id, "What is Bitcoin?").await;
            assert_eq!((turn.outcome, turn.text.as_str()), (Outcome::Complete, ANSWER), "cut at {cut}");
            assert_eq!(script.asked() - before, 2, "cut at {cut}");
        }
    }
    assert!(id > 10);
}

#[tokio::test]
async fn failures_of_all_kinds_end_in_an_answer_or_in_a_clear_problem() {
    for (row, acts, asked) in [
        ("429", vec![Act::Status(429, "retry-after: 0\r\n", "{}".into()), stream(says(ANSWER))], 2),
        ("500", vec![Act::Status(500, "", "oops".into()), stream(says(ANSWER))], 2),
        ("503", vec![Act::Status(503, "", String::new()), stream(says(ANSWER))], 2),
        ("silence before the answer", vec![Act::Mute, stream(says(ANSWER))], 2),
        ("silence within it", vec![Act::Hang(delta(json!({"content": "Bit"}), None)), stream(says(ANSWER))], 2),
        ("no JSON", vec![stream(b"data: {nonsense}\n\n".to_vec()), stream(says(ANSWER))], 2),
        (
            "an error in the stream",
            vec![
                stream(b"data: {\"error\":{\"code\":429,\"message\":\"slow down\"}}\n\n".to_vec()),
                stream(says(ANSWER)),
            ],
            2,
        ),
        ("an empty answer", vec![stream(DONE.to_vec()), stream(says(ANSWER))], 2),
        ("a stream of bytes", vec![Act::Stream { body: says(ANSWER), piece: 1 }], 1),
    ] {
        let script = Script::start(acts).await;
        let rig = Rig::new(config(&[&script])).await;
        let turn = rig.turn(1, "What is Bitcoin?").await;
        assert_eq!((turn.outcome, turn.text.as_str()), (Outcome::Complete, ANSWER), "{row}");
        assert_eq!(script.asked(), asked, "{row}");
    }
}

#[tokio::test]
async fn a_model_that_fails_for_good_ends_the_turn_clearly_and_the_message_is_saved() {
    for (row, act, asked, retryable) in [
        ("500", Act::Status(500, "", String::new()), 3, true),
        ("wrong key", Act::Status(401, "", "{\"error\":{\"message\":\"bad key\"}}".into()), 1, false),
    ] {
        let script = Script::start([]).await.forever(act);
        let rig = Rig::new(config(&[&script])).await;
        let turn = rig.turn(1, "Hello").await;
        assert_eq!((turn.outcome, turn.code.as_str()), (Outcome::Failed, "MODEL_UNAVAILABLE"), "{row}");
        let Some(TurnEvent::TurnEnded { problem: Some(problem), .. }) = turn.events.last().map(|it| &it.event) else {
            panic!("{row}")
        };
        assert_eq!(problem.retryable, retryable, "{row}");
        assert_eq!(script.asked(), asked, "{row}");
        rig.stop.cancel();
        rig.harness.stopped().await;
        let saved = rig.parts.saved.lock().unwrap();
        assert_eq!(saved.len(), 2, "{row}");
        assert_eq!(saved[0].text, "Hello", "{row}");
    }
}

#[tokio::test]
async fn the_next_model_answers_if_the_first_fails_and_a_breaker_spares_the_first() {
    let bad = Script::start([]).await.forever(Act::Status(500, "", String::new()));
    let good = Script::start([]).await.forever(stream(says(ANSWER)));
    let mut config = config(&[&bad, &good]);
    config.retry.breaker_failures = 3;
    config.retry.breaker_open = Duration::from_mins(10);
    let rig = Rig::new(config).await;
    let turn = rig.turn(1, "Hello").await;
    assert_eq!(turn.text, ANSWER);
    assert!(turn.notices().contains(&"MODEL_FALLBACK"));
    assert_eq!(bad.asked(), 3);
    let turn = rig.turn(2, "Hello").await;
    assert_eq!(turn.text, ANSWER);
    assert_eq!(bad.asked(), 3, "its breaker is open");
    assert!(rig.metrics.render().contains("gateway_harness_breakers_opened_total 1"));
}

#[tokio::test]
async fn a_refusal_is_its_own_end() {
    let mut body = delta(json!({"refusal": "I cannot help with that."}), None);
    body.extend(delta(json!({}), Some("stop")));
    body.extend_from_slice(DONE);
    let filtered = delta(json!({}), Some("content_filter"));
    for (row, body, text) in [("refusal", body, "I cannot help with that."), ("filter", filtered, "")] {
        let script = Script::start([stream(body)]).await;
        let rig = Rig::new(config(&[&script])).await;
        let turn = rig.turn(1, "Something bad").await;
        assert_eq!(
            (turn.outcome, turn.code.as_str(), turn.text.as_str()),
            (Outcome::Refused, "REFUSED", text),
            "{row}"
        );
    }
}

#[tokio::test]
async fn money_is_counted_and_ends_with_the_days_budget() {
    let script = Script::start([]).await.forever(stream(says(ANSWER)));
    let mut config = config(&[&script]);
    config.models[0].input_micro_usd = 1_000_000;
    config.models[0].output_micro_usd = 2_000_000;
    let rig = Rig::new(config).await;
    *rig.parts.left.lock().unwrap() = Some(130);
    let turn = rig.turn(1, "Hello").await;
    let Some(TurnEvent::TurnEnded { usage, cost_micro_usd, .. }) = turn.events.last().map(|it| &it.event) else {
        panic!()
    };
    assert_eq!((usage.input_tokens, usage.output_tokens, *cost_micro_usd), (100, 10, 120));
    assert_eq!(rig.turn(2, "Hello").await.outcome, Outcome::Complete, "10 are left");
    let turn = rig.turn(3, "Hello").await;
    assert_eq!((turn.outcome, turn.code.as_str()), (Outcome::Limited, "MONEY"));
    assert_eq!(script.asked(), 2);
    assert_eq!(rig.parts.charged.lock().unwrap().values().sum::<u64>(), 240);
}

#[tokio::test]
async fn an_answer_without_usage_is_not_free() {
    let mut body = delta(json!({"content": "Hello there."}), Some("stop"));
    body.extend_from_slice(DONE);
    let script = Script::start([stream(body)]).await;
    let mut config = config(&[&script]);
    config.models[0].input_micro_usd = 1_000_000;
    let rig = Rig::new(config).await;
    rig.turn(1, "Hello").await;
    assert!(rig.parts.charged.lock().unwrap().values().sum::<u64>() > 100);
}

#[tokio::test]
async fn a_failed_try_that_was_counted_by_the_provider_is_paid() {
    let mut cut = usage(50, 5);
    cut.extend(delta(json!({"content": "Bit"}), None));
    let script = Script::start([Act::Cut(cut), stream(says(ANSWER))]).await;
    let mut config = config(&[&script]);
    config.models[0].input_micro_usd = 1_000_000;
    let rig = Rig::new(config).await;
    let turn = rig.turn(1, "Hello").await;
    let Some(TurnEvent::TurnEnded { usage, .. }) = turn.events.last().map(|it| &it.event) else { panic!() };
    assert_eq!(usage.input_tokens, 150);
    assert_eq!(turn.count(|event| matches!(event, TurnEvent::TextReset { .. })), 1);
    assert_eq!(rig.parts.charged.lock().unwrap().values().sum::<u64>(), 150);
}

#[tokio::test]
async fn a_model_that_only_calls_gets_its_outcomes_in_order() {
    let script = Script::start([
        stream(calls("Let me look.", &[("a", "price", "{\"symbol\":\"BTC/USDT\"}"), ("b", "price", "{\"n\":2}")])),
        stream(says("It is 61 837.63.")),
    ])
    .await;
    let rig = Rig::new(config(&[&script])).await;
    let turn = rig.turn(1, "Price?").await;
    assert_eq!(turn.text, "Let me look.\n\nIt is 61 837.63.");
    let Some(TurnEvent::TurnEnded { citations, .. }) = turn.events.last().map(|it| &it.event) else { panic!() };
    assert_eq!(citations.len(), 1);
    assert_eq!(citations[0].call_id.as_deref(), Some("b"));
    let asked = script.requests.lock().unwrap()[1].clone();
    let roles: Vec<&str> =
        asked["messages"].as_array().unwrap().iter().map(|it| it["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool"]);
    assert_eq!(asked["messages"][3]["tool_call_id"], "a");
    serde_json::from_value::<async_openai::types::chat::CreateChatCompletionRequest>(asked).unwrap();
}
