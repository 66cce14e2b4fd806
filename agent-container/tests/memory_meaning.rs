//! Finding what was said in other words: how often by words, by meaning and by both, and what an endpoint does to it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "recall and times are printed for the docs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agent_container::memory::{
    EmbedError, Embedder, EndpointConfig, EndpointEmbedder, ExtractiveSummarizer, LexiconEmbedder, Memory,
    MemoryLimits, NewMessage, Role, SearchMode, SearchNote, SearchRequest,
};
use axum::{Json, Router, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tempfile::TempDir;

const PARAPHRASES: &str = include_str!("../embeddings/paraphrases.txt");
const DISTRACTORS: &str = include_str!("../embeddings/distractors.txt");

fn said(content: &str) -> NewMessage {
    NewMessage {
        conversation_id: "c".to_owned(),
        role: Role::User,
        content: content.to_owned(),
        channel: "web".to_owned(),
        at_ns: 1,
        metadata: None,
        command_id: None,
    }
}

fn ask(query: &str, mode: SearchMode) -> SearchRequest {
    SearchRequest { query: query.to_owned(), mode, conversation_id: None, limit: 5, neighbours: 0 }
}

async fn open(data: &TempDir, embedder: Arc<dyn Embedder>) -> Memory {
    Memory::open(&data.path().join("memory.sqlite"), MemoryLimits::default(), embedder, Arc::new(ExtractiveSummarizer))
        .await
        .unwrap()
}

type Pair = (&'static str, &'static str);

/// Pairs of a question and what it should find; the second list was not looked at while the lexicon was changed.
fn pairs() -> (Vec<Pair>, Vec<Pair>) {
    let (tuned, held_out) = PARAPHRASES.split_once("# held out\n").unwrap();
    let parse = |text: &'static str| text.lines().filter_map(|line| line.split_once(" => ")).collect::<Vec<Pair>>();
    (parse(tuned), parse(held_out))
}

/// Per cent of the questions whose answer is first, and among the first five.
async fn recall(memory: &Memory, pairs: &[(&str, &str)], mode: SearchMode) -> (usize, usize) {
    let (mut first, mut among) = (0, 0);
    for (question, answer) in pairs {
        let hits = memory.search(&ask(question, mode)).await.unwrap().hits;
        let place = hits.iter().position(|hit| hit.message.content == *answer);
        first += usize::from(place == Some(0));
        among += usize::from(place.is_some());
        if place.is_none() && std::env::var_os("SHOW_MISSES").is_some() {
            println!(
                "{mode:?} missed: {question} => {answer}; got {:?}",
                hits.iter().take(2).map(|hit| &hit.message.content).collect::<Vec<_>>()
            );
        }
    }
    (first * 100 / pairs.len(), among * 100 / pairs.len())
}

#[tokio::test]
async fn paraphrases_are_found_among_distractors() {
    let data = tempfile::tempdir().unwrap();
    let memory = open(&data, Arc::new(LexiconEmbedder)).await;
    let (tuned, held_out) = pairs();
    assert!(tuned.len() + held_out.len() >= 40);
    for content in tuned.iter().chain(&held_out).map(|(_, answer)| *answer).chain(DISTRACTORS.lines()) {
        memory.save(said(content)).await.unwrap();
    }
    let mut table = Vec::new();
    for (name, pairs) in [("tuned", &tuned), ("held out", &held_out)] {
        for mode in [SearchMode::Words, SearchMode::Meaning, SearchMode::Hybrid] {
            let (first, among) = recall(&memory, pairs, mode).await;
            println!("{name:>8} {mode:?}: recall@1 {first} %, recall@5 {among} %");
            table.push((first, among));
        }
    }
    let (words, meaning, hybrid) = (table[3], table[4], table[5]);
    assert!(meaning.1 > words.1 + 30 && hybrid.1 > words.1 + 30, "meaning finds what words do not: {table:?}");
    assert!(hybrid.1 >= 70 && table[2].1 >= 70, "{table:?}");
}

#[tokio::test]
async fn words_alone_still_find_names_that_no_lexicon_has() {
    let data = tempfile::tempdir().unwrap();
    let memory = open(&data, Arc::new(LexiconEmbedder)).await;
    for content in ["the Zyxwv desk called", "set a stop-loss below support", "hello"] {
        memory.save(said(content)).await.unwrap();
    }
    for mode in [SearchMode::Words, SearchMode::Meaning, SearchMode::Hybrid] {
        assert_eq!(
            memory.search(&ask("zyxwv", mode)).await.unwrap().hits[0].message.content,
            "the Zyxwv desk called",
            "{mode:?}"
        );
    }
}

/// An embedding endpoint that a test drives: the status it answers with, and how often it was asked.
#[derive(Clone, Default)]
struct Endpoint {
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
    answer: Arc<std::sync::Mutex<Option<Value>>>,
}

impl Endpoint {
    async fn serve(&self) -> String {
        let endpoint = self.clone();
        let handler = move |Json(request): Json<Value>| {
            let endpoint = endpoint.clone();
            async move {
                endpoint.asked.fetch_add(1, Ordering::AcqRel);
                let status = endpoint.status.load(Ordering::Acquire);
                if status != 0 {
                    return (StatusCode::from_u16(status).unwrap(), Json(json!({"error": "secret detail"})));
                }
                if let Some(answer) = endpoint.answer.lock().unwrap().clone() {
                    return (StatusCode::OK, Json(answer));
                }
                // "dog" and "hound" mean the same here; everything else something else. Answered in reverse order on purpose.
                let vector = |text: &str| {
                    if text.contains("dog") || text.contains("hound") { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.5] }
                };
                let texts = request["input"].as_array().unwrap();
                let data: Vec<Value> = texts
                    .iter()
                    .enumerate()
                    .rev()
                    .map(|(index, text)| json!({"index": index, "embedding": vector(text.as_str().unwrap())}))
                    .collect();
                (StatusCode::OK, Json(json!({"data": data})))
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/embeddings", post(handler))).await });
        format!("http://{address}/v1/embeddings")
    }
}

fn endpoint_embedder(url: &str, model: &str) -> Arc<EndpointEmbedder> {
    // Another test of this process may have installed it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let config = EndpointConfig {
        url: url.to_owned(),
        model: model.to_owned(),
        dimensions: 3,
        api_key: Some("key".to_owned().into()),
        timeout: Duration::from_secs(5),
        text_bytes_max: 1_000,
    };
    Arc::new(EndpointEmbedder::new(config).unwrap())
}

async fn until_embedded(memory: &Memory, count: u64) {
    let embedded = async {
        while memory.counts().await.unwrap().embeddings < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), embedded).await.expect("the background task embeds everything");
}

#[tokio::test]
async fn a_change_of_embedder_embeds_everything_again_in_the_background() {
    let data = tempfile::tempdir().unwrap();
    let memory = open(&data, Arc::new(LexiconEmbedder)).await;
    for number in 0..100 {
        memory.save(said(&format!("filler {number}"))).await.unwrap();
    }
    memory.save(said("my hound sleeps")).await.unwrap();
    memory.close().await.unwrap();
    let endpoint = Endpoint::default();
    let url = endpoint.serve().await;
    let memory = open(&data, endpoint_embedder(&url, "one")).await;
    until_embedded(&memory, 101).await;
    let answer = memory.search(&ask("a dog", SearchMode::Hybrid)).await.unwrap();
    assert_eq!((answer.hits[0].message.content.as_str(), answer.hits[0].rank_by_meaning), ("my hound sleeps", Some(1)));
    memory.save(said("the dog barks")).await.unwrap();
    until_embedded(&memory, 102).await;
    memory.close().await.unwrap();
    let asked = endpoint.asked.load(Ordering::Acquire);
    let memory = open(&data, endpoint_embedder(&url, "one")).await;
    assert_eq!(memory.counts().await.unwrap().embeddings, 102, "the same embedder keeps its vectors");
    memory.close().await.unwrap();
    assert!(endpoint.asked.load(Ordering::Acquire) <= asked);
    let memory = open(&data, endpoint_embedder(&url, "two")).await;
    until_embedded(&memory, 102).await;
    assert!(endpoint.asked.load(Ordering::Acquire) >= asked + 4);
}

#[tokio::test]
async fn an_endpoint_that_is_away_leaves_search_by_words_with_a_note() {
    let data = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::default();
    endpoint.status.store(503, Ordering::Release);
    let memory = open(&data, endpoint_embedder(&endpoint.serve().await, "m")).await;
    memory.save(said("the dog barks")).await.unwrap();
    let answer = memory.search(&ask("dog", SearchMode::Hybrid)).await.unwrap();
    assert_eq!(answer.hits.len(), 1);
    assert_eq!(answer.note, Some(SearchNote::WordsOnly(EmbedError::Status { status: 503 })));
    let before = endpoint.asked.load(Ordering::Acquire);
    for _ in 0..20 {
        memory.search(&ask("dog", SearchMode::Hybrid)).await.unwrap();
    }
    assert!(endpoint.asked.load(Ordering::Acquire) <= before + 2, "an endpoint that failed is left alone for a while");
}

#[tokio::test]
async fn a_wrong_answer_of_an_endpoint_is_a_typed_error() {
    let endpoint = Endpoint::default();
    let embedder = endpoint_embedder(&endpoint.serve().await, "m");
    let cases = [
        json!([]),
        json!({"data": []}),
        json!({"data": [{"index": 0, "embedding": [1.0]}]}),
        json!({"data": [{"index": 7, "embedding": [1.0, 0.0, 0.0]}]}),
        json!({"data": [{"index": 0, "embedding": [1.0, 0.0, 1e60]}]}),
        json!({"data": [{"index": 0, "embedding": ["a", 0.0, 0.0]}]}),
    ];
    for case in cases {
        *endpoint.answer.lock().unwrap() = Some(case.clone());
        assert!(matches!(embedder.embed(&["x"]).await, Err(EmbedError::Malformed { .. })), "{case}");
    }
    *endpoint.answer.lock().unwrap() = Some(json!({"data": "x".repeat(100_000)}));
    assert!(matches!(embedder.embed(&["x"]).await, Err(EmbedError::TooLarge { .. })));
    endpoint.status.store(401, Ordering::Release);
    let error = embedder.embed(&["x"]).await.unwrap_err();
    assert_eq!(error, EmbedError::Status { status: 401 });
    assert!(!error.to_string().contains("secret") && !format!("{embedder:?}").contains("\"key\""));
    let closed = endpoint_embedder("http://127.0.0.1:1/v1/embeddings", "m");
    assert_eq!(closed.embed(&["x"]).await, Err(EmbedError::Unreachable));
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_a_timeout() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = EndpointConfig {
        url: format!("http://{}/v1/embeddings", listener.local_addr().unwrap()),
        model: "m".to_owned(),
        dimensions: 3,
        api_key: None,
        timeout: Duration::from_millis(50),
        text_bytes_max: 100,
    };
    assert_eq!(EndpointEmbedder::new(config).unwrap().embed(&["x"]).await, Err(EmbedError::Timeout));
}

/// Prints how long a search takes; run with `SEARCH_MESSAGES=100000` for the figures of docs/operations/container-data.md.
#[tokio::test]
async fn search_is_measured_over_many_messages() {
    let count: usize = std::env::var("SEARCH_MESSAGES").map_or(500, |count| count.parse().unwrap());
    let data = tempfile::tempdir().unwrap();
    let memory = open(&data, Arc::new(LexiconEmbedder)).await;
    let topics: Vec<&str> = DISTRACTORS.lines().collect();
    let started = Instant::now();
    for chunk in (0..count).collect::<Vec<_>>().chunks(64) {
        let saves =
            chunk.iter().map(|number| memory.save(said(&format!("{} {number}", topics[number % topics.len()]))));
        futures_util::future::try_join_all(saves).await.unwrap();
    }
    println!("saved {count} messages in {:?}", started.elapsed());
    memory.save(said("set a stop-loss below support")).await.unwrap();
    for mode in [SearchMode::Words, SearchMode::Meaning, SearchMode::Hybrid] {
        let started = Instant::now();
        let answer = memory.search(&ask("protect against a falling price with a stop", mode)).await.unwrap();
        println!("{mode:?}: {:?}", started.elapsed());
        assert_eq!(answer.hits[0].message.content, "set a stop-loss below support");
    }
}
