//! An OpenAI-compatible server that plays a script: each request takes the next act.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Streams these bytes in pieces of `piece` bytes, then closes properly.
    Stream { body: Vec<u8>, piece: usize },
    /// Streams these bytes, then resets the connection in the middle of the body.
    Cut(Vec<u8>),
    /// Streams these bytes, then says nothing more.
    Hang(Vec<u8>),
    /// Streams these bytes, 2 ms between two pieces.
    Slow { body: Vec<u8>, piece: usize },
    /// Another status than 200, with headers.
    Status(u16, &'static str, String),
    /// Accepts the request and never answers.
    Mute,
}

/// Decides by what is asked.
pub(crate) type Brain = fn(&Value) -> Act;

/// One server; its acts and what it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) address: SocketAddr,
    acts: Arc<Mutex<VecDeque<Act>>>,
    /// Played when the acts are used up.
    forever: Arc<Mutex<Option<Act>>>,
    /// Decides by what is asked, if there is one.
    brain: Arc<Mutex<Option<Brain>>>,
    asked: tokio::sync::watch::Sender<usize>,
    pub(crate) requests: Arc<Mutex<Vec<Value>>>,
    /// Connections that the client has closed before their answer was over.
    pub(crate) hung_up: tokio::sync::watch::Sender<usize>,
}

impl Script {
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Self {
            address: listener.local_addr().unwrap(),
            acts: Arc::new(Mutex::new(acts.into_iter().collect())),
            forever: Arc::default(),
            brain: Arc::default(),
            asked: tokio::sync::watch::Sender::new(0),
            requests: Arc::default(),
            hung_up: tokio::sync::watch::Sender::new(0),
        };
        let server = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        script
    }

    pub(crate) fn forever(self, act: Act) -> Self {
        *self.forever.lock().unwrap() = Some(act);
        self
    }

    pub(crate) fn brain(self, brain: Brain) -> Self {
        *self.brain.lock().unwrap() = Some(brain);
        self
    }

    pub(crate) async fn asked_at_least(&self, count: usize) {
        self.asked.subscribe().wait_for(|asked| *asked >= count).await.unwrap();
    }

    pub(crate) fn push(&self, acts: impl IntoIterator<Item = Act>) {
        self.acts.lock().unwrap().extend(acts);
    }

    pub(crate) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let body = read_request(&mut stream).await?;
            let request: Value = serde_json::from_slice(&body).expect("the client sends JSON");
            let thought = self.brain.lock().unwrap().map(|brain| brain(&request));
            self.requests.lock().unwrap().push(request);
            self.asked.send_modify(|count| *count += 1);
            let act = thought.or_else(|| self.acts.lock().unwrap().pop_front());
            let act = act.or_else(|| self.forever.lock().unwrap().clone());
            self.play(&mut stream, act.expect("the script has an act for each request")).await?;
        }
    }

    async fn play(&self, stream: &mut TcpStream, act: Act) -> Option<()> {
        const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        match act {
            Act::Stream { body, piece } => {
                stream.write_all(HEAD).await.ok()?;
                for piece in body.chunks(piece.max(1)) {
                    write_chunk(stream, piece).await?;
                }
                stream.write_all(b"0\r\n\r\n").await.ok()
            }
            Act::Slow { body, piece } => {
                stream.write_all(HEAD).await.ok()?;
                let mut ticks = tokio::time::interval(Duration::from_millis(2));
                for piece in body.chunks(piece) {
                    ticks.tick().await;
                    write_chunk(stream, piece).await?;
                }
                stream.write_all(b"0\r\n\r\n").await.ok()
            }
            Act::Cut(body) => {
                stream.write_all(HEAD).await.ok()?;
                write_chunk(stream, &body).await?;
                // The chunked body has no end: the client must take it for a cut.
                stream.shutdown().await.ok()?;
                None
            }
            Act::Hang(body) => {
                stream.write_all(HEAD).await.ok()?;
                if !body.is_empty() {
                    write_chunk(stream, &body).await?;
                }
                self.wait_for_hang_up(stream).await
            }
            Act::Status(status, headers, body) => {
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
                stream.write_all(head.as_bytes()).await.ok()?;
                stream.write_all(body.as_bytes()).await.ok()
            }
            Act::Mute => self.wait_for_hang_up(stream).await,
        }
    }

    async fn wait_for_hang_up(&self, stream: &mut TcpStream) -> Option<()> {
        let mut byte = [0];
        while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
        self.hung_up.send_modify(|count| *count += 1);
        None
    }
}

async fn write_chunk(stream: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    stream.write_all(b"\r\n").await.ok()?;
    stream.flush().await.ok()
}

async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let (from, length) = (end + 4, length.expect("the client says how long its request is"));
            while bytes.len() < from + length {
                let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
                bytes.extend_from_slice(&buffer[..read]);
            }
            return Some(bytes[from..from + length].to_vec());
        }
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
}

/// One event with a delta.
pub(crate) fn delta(delta: Value, finish: Option<&str>) -> Vec<u8> {
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    format!("data: {chunk}\n\n").into_bytes()
}

pub(crate) fn usage(input: u64, output: u64) -> Vec<u8> {
    let chunk = json!({"choices": [], "usage": {"prompt_tokens": input, "completion_tokens": output}});
    format!("data: {chunk}\n\n").into_bytes()
}

pub(crate) const DONE: &[u8] = b"data: [DONE]\n\n";

/// An answer of text, word by word.
pub(crate) fn says(text: &str) -> Vec<u8> {
    let mut body = delta(json!({"role": "assistant", "content": ""}), None);
    for word in text.split_inclusive(' ') {
        body.extend(delta(json!({"content": word}), None));
    }
    body.extend(delta(json!({}), Some("stop")));
    body.extend(usage(100, 10));
    body.extend_from_slice(DONE);
    body
}

/// An answer that calls tools: id (none if empty), name, arguments.
pub(crate) fn calls(text: &str, calls: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut body = delta(json!({"role": "assistant", "content": text}), None);
    for (index, (id, name, arguments)) in calls.iter().enumerate() {
        let mut call = json!({"index": index, "type": "function", "function": {"name": name, "arguments": ""}});
        if !id.is_empty() {
            call["id"] = json!(id);
        }
        body.extend(delta(json!({"tool_calls": [call]}), None));
        let half = arguments.len() / 2;
        for piece in [&arguments[..half], &arguments[half..]] {
            body.extend(delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), None));
        }
    }
    body.extend(delta(json!({}), Some("tool_calls")));
    body.extend_from_slice(DONE);
    body
}

pub(crate) fn stream(body: Vec<u8>) -> Act {
    Act::Stream { piece: body.len(), body }
}

/// A pause that ends a test which would else hang.
pub(crate) const GUARD: Duration = Duration::from_secs(30);
