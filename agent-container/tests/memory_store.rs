//! What is saved is there, once, within limits, until it is erased.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_container::memory::{
    ExtractiveSummarizer, LexiconEmbedder, Memory, MemoryError, MemoryLimit, MemoryLimits, NewMessage, Role,
    SearchMode, SearchRequest,
};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;

async fn open(path: &Path, limits: MemoryLimits) -> Result<Memory, MemoryError> {
    Memory::open(path, limits, Arc::new(LexiconEmbedder), Arc::new(ExtractiveSummarizer)).await
}

async fn fresh() -> (TempDir, PathBuf, Memory) {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("memory.sqlite");
    let memory = open(&path, MemoryLimits::default()).await.unwrap();
    (data, path, memory)
}

fn said(conversation: &str, content: &str) -> NewMessage {
    NewMessage {
        conversation_id: conversation.to_owned(),
        role: Role::User,
        content: content.to_owned(),
        channel: "web".to_owned(),
        at_ns: 1_700_000_000_000_000_000,
        metadata: None,
        command_id: None,
    }
}

fn words(query: &str) -> SearchRequest {
    SearchRequest { query: query.to_owned(), mode: SearchMode::Words, conversation_id: None, limit: 10, neighbours: 0 }
}

#[tokio::test]
async fn a_message_comes_back_as_it_was_said() {
    let (_data, path, memory) = fresh().await;
    let message = NewMessage {
        metadata: Some(json!({"model": "x", "n": 1})),
        role: Role::Assistant,
        ..said("c", "Größe — 日本 \u{1F680}\n'; DROP TABLE messages;")
    };
    let saved = memory.save(message.clone()).await.unwrap();
    memory.close().await.unwrap();
    assert!(matches!(memory.save(message.clone()).await, Err(MemoryError::Closed)));
    let memory = open(&path, MemoryLimits::default()).await.unwrap();
    let back = memory.messages("c", None, 10).await.unwrap().remove(0);
    assert_eq!(
        (back.id, back.seq, back.role, back.content, back.metadata),
        (saved.id, saved.seq, message.role, message.content, message.metadata)
    );
    assert_eq!((back.at_ns, back.channel), (message.at_ns, message.channel));
    assert_eq!(memory.conversations(10).await.unwrap()[0].messages, 1);
}

#[tokio::test]
async fn a_command_is_saved_once_even_by_many_callers_at_once() {
    let (_data, path, memory) = fresh().await;
    let message = NewMessage { command_id: Some("k".to_owned()), ..said("c", "only once") };
    let saved = futures_util::future::join_all((0..50).map(|_| memory.save(message.clone()))).await;
    let ids: Vec<String> = saved.iter().map(|saved| saved.as_ref().unwrap().id.clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(saved.iter().filter(|saved| !saved.as_ref().unwrap().replayed).count(), 1);
    let other = NewMessage { content: "another".to_owned(), ..message.clone() };
    assert!(matches!(memory.save(other).await, Err(MemoryError::CommandReused)));
    memory.close().await.unwrap();
    let memory = open(&path, MemoryLimits::default()).await.unwrap();
    assert!(memory.save(message).await.unwrap().replayed);
    assert_eq!(memory.counts().await.unwrap().messages, 1);
}

#[tokio::test]
async fn limits_are_typed_errors_and_exact() {
    let data = tempfile::tempdir().unwrap();
    let limits = MemoryLimits {
        content_bytes_max: 100,
        messages_max: 3,
        conversations_max: 2,
        metadata_bytes_max: 20,
        ..MemoryLimits::default()
    };
    let memory = open(&data.path().join("m.sqlite"), limits).await.unwrap();
    let is = |error: MemoryError, expected: MemoryLimit| {
        assert!(matches!(error, MemoryError::Quota { limit, .. } if limit == expected), "{error}")
    };
    memory.save(said("a", &"x".repeat(100))).await.unwrap();
    is(memory.save(said("a", &"x".repeat(101))).await.unwrap_err(), MemoryLimit::ContentBytes);
    let metadata = Some(json!("0123456789012345678901"));
    is(memory.save(NewMessage { metadata, ..said("a", "x") }).await.unwrap_err(), MemoryLimit::MetadataBytes);
    is(memory.save(said(&"c".repeat(129), "x")).await.unwrap_err(), MemoryLimit::IdBytes);
    memory.save(said("b", "x")).await.unwrap();
    is(memory.save(said("c", "x")).await.unwrap_err(), MemoryLimit::Conversations);
    memory.save(said("b", "y")).await.unwrap();
    is(memory.save(said("b", "z")).await.unwrap_err(), MemoryLimit::Messages);
    is(memory.search(&SearchRequest { limit: 51, ..words("x") }).await.unwrap_err(), MemoryLimit::Results);
    is(memory.search(&SearchRequest { neighbours: 6, ..words("x") }).await.unwrap_err(), MemoryLimit::Neighbours);
    is(memory.search(&words(&"x".repeat(2049))).await.unwrap_err(), MemoryLimit::QueryBytes);
    for (field, message) in
        [("content", said("a", " \n")), ("conversation_id", said("", "x")), ("conversation_id", said("a\n", "x"))]
    {
        assert!(
            matches!(memory.save(message).await, Err(MemoryError::Argument { field: named, .. }) if named == field)
        );
    }
    assert_eq!(memory.counts().await.unwrap().messages, 3);
}

#[tokio::test]
async fn a_full_database_refuses_and_stays_sound() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("m.sqlite");
    let memory = open(&path, MemoryLimits { database_bytes_max: 600 * 1024, ..MemoryLimits::default() }).await.unwrap();
    let mut saved = 0;
    let error = loop {
        match memory.save(said("c", &format!("{saved} {}", "filler ".repeat(2_000)))).await {
            Ok(_) => saved += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, MemoryError::Quota { limit: MemoryLimit::DatabaseBytes, .. }), "{error}");
    assert!(saved > 3);
    assert_eq!(memory.counts().await.unwrap().messages, saved);
    memory.verify().await.unwrap();
    memory.erase().await.unwrap();
    memory.save(said("c", "there is room again")).await.unwrap();
}

#[tokio::test]
async fn erasing_leaves_no_row_and_no_byte() {
    let (data, path, memory) = fresh().await;
    let secret = "xylophonequartz";
    for number in 0..200 {
        memory
            .save(said(
                &format!("conversation-{secret}-{}", number % 5),
                &format!("{secret} {number} {}", "text ".repeat(number)),
            ))
            .await
            .unwrap();
    }
    memory.summary(&format!("conversation-{secret}-1")).await.unwrap();
    let holds = || {
        std::fs::read_dir(data.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        })
    };
    assert!(holds());
    let erased = memory.erase().await.unwrap();
    assert_eq!(
        (erased.before.messages, erased.before.conversations, erased.before.summaries, erased.before.embeddings),
        (200, 5, 1, 200)
    );
    let after = memory.counts().await.unwrap();
    assert_eq!(after, erased.after);
    assert_eq!(
        (after.messages, after.conversations, after.embeddings, after.summaries, after.indexed),
        (0, 0, 0, 0, 0)
    );
    assert!(!holds());
    assert!(memory.search(&words(secret)).await.unwrap().hits.is_empty());
    memory.save(said("new", "a new beginning")).await.unwrap();
    assert_eq!(memory.search(&words("beginning")).await.unwrap().hits.len(), 1);
    memory.verify().await.unwrap();
    memory.close().await.unwrap();
    assert!(!holds());
    open(&path, MemoryLimits::default()).await.unwrap();
}

#[tokio::test]
async fn an_export_has_everything_that_there_was_at_its_start() {
    let (_data, _path, memory) = fresh().await;
    for number in 0..700 {
        memory.save(said(&format!("c{}", number % 3), &format!("message {number}"))).await.unwrap();
    }
    memory.summary("c1").await.unwrap();
    let mut stream = Box::pin(memory.export());
    let mut text = stream.next().await.unwrap().unwrap();
    memory.save(said("c0", "too late")).await.unwrap();
    text.push_str(&stream.try_collect::<String>().await.unwrap());
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!(
        (count("export"), count("conversation"), count("message"), count("summary"), count("end")),
        (1, 3, 700, 1, 1)
    );
    assert_eq!(lines[0]["counts"]["messages"], 700);
    assert_eq!(lines.last().unwrap()["lines"], lines.len() - 1);
    assert_eq!(lines.iter().filter(|line| line["type"] == "message").nth(699).unwrap()["content"], "message 699");
}

#[tokio::test]
async fn no_question_is_a_syntax_error() {
    let (_data, _path, memory) = fresh().await;
    memory.save(said("c", "set a stop-loss: 5% below support (BTC/USDT)")).await.unwrap();
    let questions = [
        "",
        " ",
        "\"",
        "\"\"",
        "\"unclosed",
        "*",
        "a*",
        "AND",
        "OR NOT",
        "NEAR(a b)",
        "content:stop",
        "-stop",
        "^stop",
        "stop + loss",
        "(((",
        ")",
        "{a b}",
        "stop AND",
        "'; DROP TABLE messages; --",
        "\0",
        "a\0b",
        "%_",
        "\u{202e}",
        "日本",
        "🚀",
        "--",
        "/*",
        "col:*",
        "\\",
        "stop\"loss\"*",
        "?1",
        ":a",
        "@x",
    ];
    for mode in [SearchMode::Words, SearchMode::Hybrid, SearchMode::Meaning] {
        for query in questions {
            memory
                .search(&SearchRequest { mode, ..words(query) })
                .await
                .unwrap_or_else(|error| panic!("{query:?}: {error}"));
        }
    }
    for (query, found) in [
        ("stop-loss", 1),
        ("\"stop loss\"", 1),
        ("\"loss stop\"", 0),
        ("sup*", 1),
        ("sup", 0),
        ("BTC", 1),
        ("STOP", 1),
        ("nothing", 0),
    ] {
        assert_eq!(memory.search(&words(query)).await.unwrap().hits.len(), found, "{query}");
    }
}

#[tokio::test]
async fn a_result_comes_with_its_neighbours_of_the_same_conversation() {
    let (_data, _path, memory) = fresh().await;
    for content in ["one", "two", "needle", "four", "five"] {
        memory.save(said("a", content)).await.unwrap();
        memory.save(said("b", &format!("other {content}"))).await.unwrap();
    }
    let request = SearchRequest { conversation_id: Some("a".to_owned()), neighbours: 2, ..words("needle") };
    let answer = memory.search(&request).await.unwrap();
    let contents = |messages: &[agent_container::memory::Message]| {
        messages.iter().map(|message| message.content.clone()).collect::<Vec<_>>()
    };
    assert_eq!(answer.hits.len(), 1);
    assert_eq!(contents(&answer.hits[0].before), ["one", "two"]);
    assert_eq!(contents(&answer.hits[0].after), ["four", "five"]);
    assert_eq!(memory.search(&words("needle")).await.unwrap().hits.len(), 2);
}

#[tokio::test]
async fn a_summary_rolls_on_and_is_bounded() {
    let (_data, _path, memory) = fresh().await;
    memory.save(said("c", "Hello! I never risk more than 2 percent of equity.")).await.unwrap();
    assert_eq!(memory.summary("c").await.unwrap(), "user: I never risk more than 2 percent of equity.");
    for number in 0..450 {
        memory.save(said("c", &format!("The price of asset {number} moved by {number} dollars today."))).await.unwrap();
    }
    let summary = memory.summary("c").await.unwrap();
    assert!(summary.len() <= 2_000 && summary.len() > 500);
    assert_eq!(memory.summary("c").await.unwrap(), summary);
    let context = memory.context_summary(300).await.unwrap();
    assert!(context.starts_with("## c (web, 451 messages)\n") && context.len() <= 300, "{context}");
    assert_eq!(memory.summary("unknown").await.unwrap(), "");
}

#[tokio::test]
async fn a_damaged_or_foreign_or_newer_file_is_a_clear_error() {
    let data = tempfile::tempdir().unwrap();
    let noise = data.path().join("noise.sqlite");
    std::fs::write(&noise, "this is not a database ".repeat(500)).unwrap();
    assert!(
        matches!(open(&noise, MemoryLimits::default()).await, Err(MemoryError::Corrupt { path, .. }) if path == noise)
    );

    let newer = data.path().join("newer.sqlite");
    open(&newer, MemoryLimits::default()).await.unwrap().close().await.unwrap();
    let mut bytes = std::fs::read(&newer).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&newer, &bytes).unwrap();
    assert!(matches!(
        open(&newer, MemoryLimits::default()).await,
        Err(MemoryError::NewerSchema { found: 99, known: 1 })
    ));

    let foreign = data.path().join("foreign.sqlite");
    open(&foreign, MemoryLimits::default()).await.unwrap().close().await.unwrap();
    let mut bytes = std::fs::read(&foreign).unwrap();
    bytes[68..72].fill(0);
    std::fs::write(&foreign, &bytes).unwrap();
    assert!(matches!(open(&foreign, MemoryLimits::default()).await, Err(MemoryError::Corrupt { .. })));

    let damaged = data.path().join("damaged.sqlite");
    let memory = open(&damaged, MemoryLimits::default()).await.unwrap();
    for number in 0..300 {
        memory.save(said("c", &format!("message {number} {}", "x".repeat(200)))).await.unwrap();
    }
    memory.close().await.unwrap();
    let mut bytes = std::fs::read(&damaged).unwrap();
    let length = bytes.len();
    bytes[8 * 4096..length - 4096].fill(0xa5);
    std::fs::write(&damaged, &bytes).unwrap();
    let outcome = match open(&damaged, MemoryLimits::default()).await {
        Ok(memory) => memory.verify().await,
        Err(error) => Err(error),
    };
    assert!(matches!(outcome, Err(MemoryError::Corrupt { .. })), "{outcome:?}");
}
