//! What a turn costs beside its model: throughput, latency and processor time over HTTP, for the harness and for any other server that answers
//! chat completions. `run.sh` starts the parts as processes of their own and sets the harness beside LiteLLM.
//!
//! Budget: at least 50 times LiteLLM's turns per second; p99 at most 0.9 ms at 1 000 turns per second.
//!
//! - `turns model PORT`: a model without latency; the model `chunks-N` answers in N chunks;
//! - `turns harness PORT MODEL_PORT DIR N`: the harness over SQLite behind a small HTTP front; it answers when a turn has ended;
//! - `turns load URL_PORT PATH N SECONDS CONNECTIONS RATE PID`: asks, at RATE per second in all (0: as fast as answers come), and reads
//!   the processor time of PID.

use async_trait::async_trait;
use futures_util::StreamExt;
use harness::config::ProviderConfig;
use harness::event::{Outcome, TurnEvent};
use harness::metrics::HarnessMetrics;
use harness::parts::{Budget, Context, ContextTexts, OnNotice, PartError, Retriever, SavedMessage, Saver, Snippet};
use harness::router::ModelConfig;
use harness::store::{Database, TurnStore};
use harness::tool::{Invocation, OnProgress, ToolOutcome, ToolSpec, Tools, ToolsError};
use harness::{ConversationId, Harness, HarnessConfig, HarnessParts, MessageId, NewMessage, Tier};
use proto::UserId;
use service::clock::Clock;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const USAGE: &str = "turns model PORT | harness PORT MODEL_PORT DIR N | load PORT PATH N SECONDS CONNECTIONS RATE PID";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["model", port] => model(port.parse()?).await,
        ["harness", port, model, dir, chunks] => front(port.parse()?, model.parse()?, dir, chunks.parse()?).await,
        ["load", port, path, chunks, seconds, connections, rate, pid] => {
            let request = request(path, chunks.parse()?);
            let load = Load { port: port.parse()?, connections: connections.parse()?, rate: rate.parse()?, request };
            load.run(Duration::from_secs(seconds.parse()?), pid.parse()?).await
        }
        // `cargo test --benches` only asks whether it starts.
        [] => Ok(()),
        _ => Err(USAGE.into()),
    }
}

/// Reads a request or an answer with `content-length` or in chunks; gives its head and body, and leaves what is behind it.
async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<(usize, usize)>> {
    loop {
        if let Some(head) = find(buffer, b"\r\n\r\n", 0) {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let body = head + 4;
            let length =
                text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let end = match length {
                Some(length) => (buffer.len() >= body + length).then_some(body + length),
                // Nobody here sends the next message before it has read this one.
                None if text.contains("transfer-encoding: chunked") => {
                    buffer.ends_with(b"\r\n0\r\n\r\n").then_some(buffer.len())
                }
                None => Some(body),
            };
            if let Some(end) = end {
                return Ok(Some((body, end)));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(wanted.len()).position(|it| it == wanted).map(|at| at + from)
}

fn request(path: &str, chunks: usize) -> Vec<u8> {
    let body = format!(
        "{{\"model\":\"chunks-{chunks}\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}"
    );
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer x");
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn model(port: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut buffer = Vec::new();
            let mut known: Vec<(usize, Vec<u8>)> = Vec::new();
            while let Ok(Some((body, end))) = read_message(&mut stream, &mut buffer).await {
                let chunks = asked_chunks(&buffer[body..end]);
                buffer.drain(..end);
                if !known.iter().any(|(count, _)| *count == chunks) {
                    known.push((chunks, answer(chunks)));
                }
                let Some((_, bytes)) = known.iter().find(|(count, _)| *count == chunks) else { return };
                if stream.write_all(bytes).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn asked_chunks(body: &[u8]) -> usize {
    let Some(at) = find(body, b"chunks-", 0) else { return 1 };
    body[at + 7..]
        .iter()
        .take_while(|it| it.is_ascii_digit())
        .fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'))
}

fn answer(chunks: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let mut event = |delta: &str, finish: &str| {
        let data = format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        );
        body.extend_from_slice(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes());
    };
    for _ in 0..chunks {
        event("{\"content\":\"word \"}", "null");
    }
    event("{}", "\"stop\"");
    let done = "data: [DONE]\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    [head.as_bytes(), &body, format!("{:x}\r\n{done}\r\n0\r\n\r\n", done.len()).as_bytes()].concat()
}

/// Everything beside the model and the turn log, without cost.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Tools for Nothing {
    async fn list(&self, _: UserId) -> Result<Arc<[ToolSpec]>, ToolsError> {
        Ok(Arc::from([]))
    }

    async fn call(&self, _: Invocation, _: OnProgress, _: CancellationToken) -> ToolOutcome {
        ToolOutcome::refused("UNKNOWN_TOOL", "", "there are none")
    }
}

#[async_trait]
impl Context for Nothing {
    async fn read(&self, _: UserId, _: OnNotice) -> Result<ContextTexts, PartError> {
        Ok(ContextTexts::default())
    }
}

#[async_trait]
impl Retriever for Nothing {
    async fn retrieve(&self, _: UserId, _: &str, _: usize) -> Result<Vec<Snippet>, PartError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Saver for Nothing {
    async fn save(&self, _: UserId, _: SavedMessage) -> Result<(), PartError> {
        Ok(())
    }
}

#[async_trait]
impl Budget for Nothing {
    async fn left(&self, _: UserId, _: Tier) -> Result<Option<u64>, PartError> {
        Ok(None)
    }

    async fn charge(&self, _: UserId, _: &str, _: u64) -> Result<(), PartError> {
        Ok(())
    }
}

async fn start(model_port: u16, dir: &str, chunks: usize) -> Result<Harness, Failure> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut config = HarnessConfig::default();
    let provider = ProviderConfig {
        base_url: format!("http://127.0.0.1:{model_port}/v1"),
        headers: std::collections::BTreeMap::new(),
        connect_timeout: Duration::from_secs(5),
        first_byte_timeout: Duration::from_secs(30),
        silence_timeout: Duration::from_secs(30),
        answer_bytes: 8 << 20,
    };
    config.providers.insert("bench".to_owned(), provider);
    let name = format!("chunks-{chunks}");
    config.models.push(ModelConfig { provider: Some("bench".to_owned()), ..ModelConfig::built_in(&name) });
    let metrics = HarnessMetrics::new(&service::metrics::Metrics::new());
    let database = Database::Sqlite(std::path::Path::new(dir).join("turns.sqlite"));
    let clock = Clock::System;
    let store = TurnStore::open(&database, &config.store, config.turns.lease, clock.clone(), metrics.clone()).await?;
    let models = harness::openai::models(&config, &std::collections::BTreeMap::new())?;
    let nothing = Arc::new(Nothing);
    let parts = HarnessParts {
        store,
        models,
        tools: nothing.clone(),
        context: nothing.clone(),
        retriever: nothing.clone(),
        saver: nothing.clone(),
        budget: nothing,
        clock,
        metrics,
    };
    Ok(Harness::start(config, parts, CancellationToken::new()))
}

async fn front(port: u16, model_port: u16, dir: &str, chunks: usize) -> Result<(), Failure> {
    let harness = start(model_port, dir, chunks).await?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let harness = harness.clone();
        tokio::spawn(async move {
            let mut buffer = Vec::new();
            while let Ok(Some((_, end))) = read_message(&mut stream, &mut buffer).await {
                buffer.drain(..end);
                let (status, text) = match turn(&harness).await {
                    Ok(text) => ("200 OK", text),
                    Err(error) => ("500 X", error.to_string()),
                };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// A message of a new user, to the end of its turn, with all events read on the way.
async fn turn(harness: &Harness) -> Result<String, Failure> {
    let user = UserId::from_bits(rand::random());
    let conversation: ConversationId = "main".parse()?;
    let message = NewMessage {
        message_id: MessageId::from_bits(rand::random()),
        conversation: conversation.clone(),
        text: "Hello".to_owned(),
        channel: "web".to_owned(),
    };
    let submitted = harness.submit(user, Tier::Free, message).await?;
    let mut events = std::pin::pin!(harness.watch(user, conversation, Some((submitted.turn_id, 0))));
    while let Some(watched) = events.next().await {
        match watched?.event.event {
            TurnEvent::TurnEnded { outcome: Outcome::Complete, text, .. } => return Ok(text),
            TurnEvent::TurnEnded { problem, .. } => return Err(format!("{problem:?}").into()),
            _ => {}
        }
    }
    Err("the stream of events ended".into())
}

struct Load {
    port: u16,
    connections: usize,
    /// Per second, over all connections; 0 is as fast as answers come.
    rate: u64,
    request: Vec<u8>,
}

impl Load {
    async fn run(self, length: Duration, pid: u32) -> Result<(), Failure> {
        let load = Arc::new(self);
        let (before, began) = (processor_time(pid), Instant::now());
        let workers =
            (0..load.connections).map(|worker| tokio::spawn(Arc::clone(&load).work(worker, began, began + length)));
        let (mut latencies, mut failed) = (Vec::new(), 0);
        for worker in workers.collect::<Vec<_>>() {
            let (more, errors) = worker.await??;
            latencies.extend(more);
            failed += errors;
        }
        let elapsed = began.elapsed().as_secs_f64();
        let spent = processor_time(pid) - before;
        latencies.sort_unstable();
        let at = |share: f64| percentile(&latencies, share);
        let count = latencies.len();
        writeln!(
            std::io::stdout(),
            "{:.0} turns/s, p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, {count} turns, {failed} failed, {:.1} us of processor a turn",
            count as f64 / elapsed,
            at(0.5),
            at(0.99),
            at(0.999),
            spent * 1e6 / count.max(1) as f64
        )?;
        Ok(())
    }

    /// One connection. With a rate each request has its time, and waiting for a late answer counts as latency of the next.
    async fn work(self: Arc<Self>, worker: usize, began: Instant, end: Instant) -> Result<(Vec<u32>, usize), Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        let (mut latencies, mut failed, mut buffer) = (Vec::new(), 0, Vec::new());
        let each = (self.rate > 0).then(|| Duration::from_nanos(1_000_000_000 / self.rate));
        let mut due = began + each.map_or(Duration::ZERO, |each| each * u32::try_from(worker).unwrap_or(0));
        while Instant::now() < end {
            if let Some(each) = each {
                wait_until(due).await;
                due += each * u32::try_from(self.connections).unwrap_or(1);
            }
            let from = if each.is_some() {
                due - each.unwrap_or_default() * u32::try_from(self.connections).unwrap_or(1)
            } else {
                Instant::now()
            };
            stream.write_all(&self.request).await?;
            let Some((_, answered)) = read_message(&mut stream, &mut buffer).await? else {
                return Err("the server hung up".into());
            };
            if !buffer.starts_with(b"HTTP/1.1 200") {
                failed += 1;
            }
            buffer.drain(..answered);
            latencies.push(u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        Ok((latencies, failed))
    }
}

/// tokio's timer ticks in milliseconds, which is too coarse for what is measured here.
async fn wait_until(due: Instant) {
    tokio::time::sleep_until(due.checked_sub(Duration::from_millis(2)).unwrap_or(due)).await;
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

fn percentile(sorted: &[u32], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the list")]
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
}

/// Seconds of processor time of a process; 0 if it cannot be read.
fn processor_time(pid: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime are fields 14 and 15 of proc(5), in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}
