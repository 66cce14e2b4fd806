//! A user's web server: takes webhooks, checks their signatures, and misbehaves by script.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers with this status.
    Status(u16),
    /// Asks to come back after so many seconds.
    RetryAfter(u64),
    /// Sends elsewhere.
    Redirect(String),
    /// Takes the request and never answers.
    Stall,
    /// Takes the request and hangs up.
    Cut,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) timestamp: u64,
    pub(crate) signature: String,
    pub(crate) body: Vec<u8>,
}

impl Taken {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the signature as a receiver of Standard Webhooks does.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.", self.id, self.timestamp).as_bytes());
        mac.update(&self.body);
        let sent = self.signature.strip_prefix("v1,").and_then(|mac| STANDARD.decode(mac).ok());
        sent.is_some_and(|sent| mac.verify_slice(&sent).is_ok())
    }
}

#[derive(Debug, Default)]
struct State {
    /// Then 204, for ever.
    script: VecDeque<Behaviour>,
    taken: Vec<Taken>,
}

#[derive(Debug)]
pub(crate) struct FakeWebhook {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl Drop for FakeWebhook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeWebhook {
    pub(crate) async fn start(script: impl IntoIterator<Item = Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { script: script.into_iter().collect(), taken: Vec::new() }));
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.taken().into_iter().map(|taken| taken.id).collect()
    }
}

async fn request(stream: &mut TcpStream) -> Option<Taken> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    assert!(text.starts_with("POST /hook HTTP/1.1\r\n"), "{text}");
    let header = |name: &str| {
        let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line[name.len() + 1..].trim().to_owned())
    };
    let length: usize = header("content-length").unwrap().parse().unwrap();
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Taken {
        id: header("webhook-id").unwrap(),
        timestamp: header("webhook-timestamp").unwrap().parse().unwrap(),
        signature: header("webhook-signature").unwrap(),
        body: bytes[head..head + length].to_vec(),
    })
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some(taken) = request(&mut stream).await else { return };
    let behaviour = {
        let mut state = state.lock().unwrap();
        state.taken.push(taken);
        state.script.pop_front().unwrap_or(Behaviour::Status(204))
    };
    let answer = match behaviour {
        Behaviour::Status(status) => format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
        Behaviour::RetryAfter(seconds) => {
            format!("HTTP/1.1 429 X\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n")
        }
        Behaviour::Redirect(to) => format!("HTTP/1.1 307 X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
        Behaviour::Stall => return std::future::pending().await,
        Behaviour::Cut => return,
    };
    // The other side may have given up.
    drop(stream.write_all(answer.as_bytes()).await);
}
