//! Streams as providers recorded them, cut everywhere, and the oddities of single providers.

use super::decode::Decoder;
use super::sse::Sse;
use crate::arguments;
use crate::model::{Chunk, Finish, ModelError};
use crate::tool::{Effect, Home, ToolSpec};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

type Chunks = Vec<Result<Chunk, ModelError>>;
/// Id, name, arguments.
type ReadCall = (Option<String>, String, String);

fn recordings() -> Option<PathBuf> {
    let found =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("shared/data/llm")).find(|it| it.is_dir());
    if found.is_none() {
        eprintln!("left out: ../shared/data is not here");
    }
    found
}

fn read(pieces: &[&[u8]]) -> Chunks {
    let (mut sse, mut decoder, mut ready) = (Sse::new(1 << 20), Decoder::default(), VecDeque::new());
    for piece in pieces {
        sse.feed(piece, |data| decoder.data(data, &mut ready));
    }
    sse.end(|data| decoder.data(data, &mut ready));
    decoder.end_of_stream(&mut ready);
    ready.into()
}

/// Text, calls by place, and the end.
fn whole(chunks: &Chunks) -> (String, BTreeMap<usize, ReadCall>, Option<Result<Finish, ModelError>>) {
    let (mut text, mut calls, mut end) = (String::new(), BTreeMap::new(), None);
    for chunk in chunks {
        assert!(end.is_none(), "nothing comes behind the end: {chunks:?}");
        match chunk {
            Ok(Chunk::Text(more)) => text.push_str(more),
            Ok(Chunk::Call { index, id, name, arguments }) => {
                let call: &mut ReadCall = calls.entry(*index).or_default();
                call.0 = call.0.take().or_else(|| id.clone());
                call.1.push_str(name.as_deref().unwrap_or(""));
                call.2.push_str(arguments);
            }
            Ok(Chunk::Usage(_)) => {}
            Ok(Chunk::End(finish)) => end = Some(Ok(*finish)),
            Err(error) => end = Some(Err(error.clone())),
        }
    }
    (text, calls, end)
}

fn events(list: &[Value]) -> Vec<u8> {
    list.iter().flat_map(|it| format!("data: {it}\n\n").into_bytes()).collect()
}

fn delta(delta: &Value) -> Value {
    json!({"choices": [{"delta": delta}]})
}

#[test]
fn recorded_streams_are_the_same_however_they_are_cut() {
    let Some(dir) = recordings() else { return };
    let mut files = 0;
    for entry in std::fs::read_dir(dir.join("openai-python")).unwrap() {
        let body = std::fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        let all = read(&[&body]);
        let (text, calls, end) = whole(&all);
        assert!(matches!(end, Some(Ok(_))), "{end:?}");
        assert!(!text.is_empty() || !calls.is_empty());
        for (_, name, arguments) in calls.values() {
            assert!(!name.is_empty());
            serde_json::from_str::<Value>(arguments).expect("recorded arguments are JSON");
        }
        // About a thousand places of each, on and beside every kind of border.
        let step = (body.len() / 1_000).max(1);
        let ended = String::from_utf8_lossy(&body).find("\"finish_reason\":\"").unwrap();
        for cut in (0..body.len()).step_by(step) {
            assert_eq!(read(&[&body[..cut], &body[cut..]]), all, "in two pieces at {cut}");
            let (_, _, end) = whole(&read(&[&body[..cut]]));
            match end {
                Some(Ok(_)) => assert!(cut > ended, "whole although cut at {cut}"),
                Some(Err(error)) => assert!(error.is_retryable(), "{error:?} at {cut}"),
                None => panic!("no end at {cut}"),
            }
        }
        assert_eq!(read(&body.chunks(1).collect::<Vec<_>>()), all);
    }
    assert_eq!(files, 11);
}

#[test]
fn recorded_answers_of_many_providers_are_read() {
    let Some(dir) = recordings() else { return };
    let (mut streams, mut objects, mut calls_read) = (0, 0, 0);
    for entry in std::fs::read_dir(dir.join("pydantic-ai")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let options = serde_saphyr::options! { budget: None };
        let cassette: Value = serde_saphyr::from_str_with_options(&text, options).unwrap();
        for interaction in cassette["interactions"].as_array().unwrap() {
            if !interaction["request"]["uri"].as_str().unwrap().contains("/chat/completions") {
                continue;
            }
            let response = &interaction["response"];
            let body = match response["body"]["string"].as_str() {
                Some(stream) => {
                    streams += 1;
                    stream.to_owned()
                }
                None => {
                    objects += 1;
                    response["parsed_body"].to_string()
                }
            };
            let (text, calls, end) = whole(&read(&[body.as_bytes()]));
            assert!(matches!(end, Some(Ok(_))), "{}: {end:?}", path.display());
            assert!(!text.is_empty() || !calls.is_empty(), "{}", path.display());
            for (_, name, arguments) in calls.values() {
                calls_read += 1;
                assert!(!name.is_empty(), "{}", path.display());
                // No arguments at all are an empty object: see `arguments::check`.
                let object = arguments.is_empty() || serde_json::from_str::<Value>(arguments).unwrap().is_object();
                assert!(object, "{}", path.display());
            }
        }
    }
    println!("{streams} streams, {objects} objects, {calls_read} calls");
    assert!(streams >= 14 && objects >= 40 && calls_read >= 15, "{streams} {objects} {calls_read}");
}

/// The contract: arguments that are no JSON object are refused with a typed error. Nothing is repaired.
#[test]
fn broken_arguments_are_refused_and_never_repaired() {
    let Some(dir) = recordings() else { return };
    let text = std::fs::read_to_string(dir.join("json_repair/cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let spec = ToolSpec {
        name: "t".into(),
        description: String::new(),
        schema: json!({"type": "object"}),
        effect: Effect::Reads,
        home: Home::Platform,
    };
    let (mut taken, mut refused) = (0, 0);
    for case in &cases {
        let Some(input) = case["input"].as_str() else { continue };
        let is_object = serde_json::from_str::<Value>(input).is_ok_and(|it| it.is_object()) || input.trim().is_empty();
        match arguments::check(std::slice::from_ref(&spec), "t", input, 1 << 16) {
            Ok(_) => {
                taken += 1;
                assert!(is_object, "{input}");
            }
            Err(outcome) => {
                refused += 1;
                assert!(!is_object, "{input}");
                let error: Value = serde_json::from_str(&outcome.content).unwrap();
                assert_eq!(error["error"]["code"], "INVALID_JSON", "{input}");
            }
        }
    }
    println!("{taken} objects taken, {refused} others refused");
    assert!(refused > taken && taken > 0, "{taken} {refused}");
}

#[test]
fn calls_are_told_apart_whatever_marks_they_carry() {
    let call = |call: Value| delta(&json!({"tool_calls": [call]}));
    let begin = |index: Option<u8>, id: Option<&str>, name: &str| {
        let mut it = json!({"function": {"name": name, "arguments": "{\"a\":"}});
        if let Some(index) = index {
            it["index"] = json!(index);
        }
        if let Some(id) = id {
            it["id"] = json!(id);
        }
        it
    };
    let more = |index: Option<u8>| {
        let mut it = json!({"function": {"arguments": "1}"}});
        if let Some(index) = index {
            it["index"] = json!(index);
        }
        it
    };
    for (row, list) in [
        (
            "index and id",
            vec![begin(Some(0), Some("x"), "f"), more(Some(0)), begin(Some(1), Some("y"), "g"), more(Some(1))],
        ),
        (
            "interleaved",
            vec![begin(Some(0), Some("x"), "f"), begin(Some(1), Some("y"), "g"), more(Some(0)), more(Some(1))],
        ),
        ("no index", vec![begin(None, Some("x"), "f"), more(None), begin(None, Some("y"), "g"), more(None)]),
        ("no mark at all", vec![begin(None, None, "f"), more(None), begin(None, None, "g"), more(None)]),
        (
            "index 0 for all",
            vec![begin(Some(0), Some("x"), "f"), more(Some(0)), begin(Some(0), Some("y"), "g"), more(Some(0))],
        ),
        (
            "from index 1",
            vec![begin(Some(1), Some("x"), "f"), more(Some(1)), begin(Some(2), Some("y"), "g"), more(Some(2))],
        ),
    ] {
        let mut body = events(&list.into_iter().map(call).collect::<Vec<_>>());
        body.extend(events(&[json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})]));
        let (_, calls, end) = whole(&read(&[&body]));
        let calls: Vec<(String, String)> = calls.into_values().map(|(_, name, arguments)| (name, arguments)).collect();
        let expected = [("f".to_owned(), "{\"a\":1}".to_owned()), ("g".to_owned(), "{\"a\":1}".to_owned())];
        assert_eq!(calls, expected, "{row}");
        assert_eq!(end, Some(Ok(Finish::ToolCalls)), "{row}");
    }
}

#[test]
fn odd_answers_are_read_or_refused_with_their_cause() {
    let text = |end: Result<Finish, ModelError>, said: &str| (said.to_owned(), Some(end));
    let malformed = |end: &Option<Result<Finish, ModelError>>| matches!(end, Some(Err(ModelError::Malformed(_))));
    let stop = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    for (row, body, expected) in [
        (
            "no choices",
            events(&[json!({"choices": []}), delta(&json!({"content": "a"})), stop.clone()]),
            text(Ok(Finish::Stop), "a"),
        ),
        (
            "null everywhere",
            events(&[json!({"choices": null, "usage": null, "error": null}), delta(&Value::Null), stop.clone()]),
            text(Ok(Finish::Stop), ""),
        ),
        (
            "another choice",
            events(&[
                json!({"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]}),
                stop.clone(),
            ]),
            text(Ok(Finish::Stop), "a"),
        ),
        (
            "parts",
            events(&[
                delta(&json!({"content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "a"}]})),
                stop.clone(),
            ]),
            text(Ok(Finish::Stop), "a"),
        ),
        (
            "done without a reason",
            b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n".to_vec(),
            text(Ok(Finish::Stop), "a"),
        ),
        ("nothing", Vec::new(), text(Err(ModelError::Cut), "")),
        (
            "done, then more",
            b"data: [DONE]\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n".to_vec(),
            text(Ok(Finish::Stop), ""),
        ),
        (
            "busy",
            events(&[json!({"error": {"code": "429", "message": "slow"}})]),
            text(Err(ModelError::Busy { status: 429, retry_after: None }), ""),
        ),
        ("error without code", events(&[json!({"error": "boom"})]), text(Err(ModelError::Failed { status: 502 }), "")),
        (
            "finish error",
            events(&[json!({"choices": [{"delta": {"content": "a"}, "finish_reason": "error"}]})]),
            text(Err(ModelError::Failed { status: 502 }), "a"),
        ),
    ] {
        let (said, _, end) = whole(&read(&[&body]));
        assert_eq!((said, end), expected, "{row}");
    }
    for body in [&b"data: nonsense\n\n"[..], b"data: [1]\n\n", b"data: {\"choices\": 5}\n\n", b"data: \xff\xfe\n\n"] {
        assert!(malformed(&whole(&read(&[body])).2), "{body:?}");
    }
}
