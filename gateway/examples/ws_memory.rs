//! Memory of an idle WebSocket: opens many sockets to a gateway and to a bare axum server, and prints the resident memory
//! that each took on the server's side.
//!
//! `ws_memory [sockets]`, usually 1000. The clients live in a child process, so that only the server's side is measured.
//! Each socket of the gateway has four topics, as a page has.

use anyhow::{Context, Result};
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use futures_util::{SinkExt, StreamExt};
use gateway::config::Config;
use gateway::{Gateway, Resources};
use service::admin::Readiness;
use service::clock::Clock;
use service::metrics::Metrics;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

const SUBSCRIBE: &str = r#"{"op":"subscribe","topics":["SIM:BTC/USDT|tick","SIM:BTC/USDT|quote","SIM:BTC/USDT|ohlc:60s","SIM:ETH/USDT|quote"]}"#;

fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no value")?.parse()?)
}

/// The child: opens the sockets, says so, and keeps them until its input ends.
async fn clients(address: SocketAddr, count: usize) -> Result<()> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(address).await?;
        let request = format!("ws://{address}/ws").into_client_request()?;
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        socket.send(Message::text(SUBSCRIBE)).await?;
        // Until the answer: the server has done all it does for an idle socket.
        while let Some(Ok(message)) = socket.next().await {
            if message.to_text()?.starts_with(r#"{"type":"subscribed""#) {
                break;
            }
        }
        sockets.push(tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} }));
    }
    writeln!(std::io::stdout(), "ready")?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Bytes of resident memory per socket.
async fn measure(address: SocketAddr, count: usize) -> Result<u64> {
    let before = resident_kib()?;
    let mut child = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--clients", &address.to_string(), &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("piped")?).read_line(&mut line).await?;
    let after = resident_kib()?;
    drop(child.stdin.take());
    child.wait().await?;
    Ok((after.saturating_sub(before)) * 1024 / count as u64)
}

/// A server that does nothing but hold sockets and answer once.
async fn bare(buffers: Option<usize>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer = |mut socket: WebSocket| async move {
        while let Some(Ok(_)) = socket.recv().await {
            if socket.send(r#"{"type":"subscribed"}"#.into()).await.is_err() {
                return;
            }
        }
    };
    let upgrade = move |upgrade: WebSocketUpgrade| async move {
        match buffers {
            Some(size) => upgrade.read_buffer_size(size).write_buffer_size(32 << 10).on_upgrade(answer),
            None => upgrade.on_upgrade(answer),
        }
    };
    let router = axum::Router::new().route("/ws", axum::routing::any(upgrade));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn own_gateway(dir: &std::path::Path) -> Result<SocketAddr> {
    let log = eventlog::EmbeddedLog::open(eventlog::EmbeddedConfig::new(dir.join("log")))?;
    let lake = lake::Lake::open(lake::LakeConfig::new(dir.join("lake"))).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut config = Config::new(address, "tcp://127.0.0.1:9", "tcp://127.0.0.1:9");
    config.http.connections = 100_000;
    config.live.max_sockets = 100_000;
    let (metrics, readiness) = (Metrics::new(), Readiness::default());
    let store = Arc::new(lake.clone());
    let resources = Resources { log, store, lake, metrics, readiness, clock: Clock::System };
    tokio::spawn(Gateway::new(config, resources, true)?.serve(listener, CancellationToken::new()));
    Ok(address)
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, address, count] = arguments.as_slice()
        && flag == "--clients"
    {
        return clients(address.parse()?, count.parse()?).await;
    }
    let count = arguments.first().map_or(Ok(1000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let ours = own_gateway(dir.path()).await?;
    // The first sockets fill allocator and runtime; they would be counted as the first server's.
    measure(ours, 50).await?;
    let per_gateway = measure(ours, count).await?;
    let per_small = measure(bare(Some(1 << 10)).await?, count).await?;
    let per_axum = measure(bare(None).await?, count).await?;
    writeln!(
        std::io::stdout(),
        "{count} idle WebSockets, resident bytes each: gateway {per_gateway} (4 topics each); bare axum with the same buffers {per_small}, with its usual buffers {per_axum}"
    )?;
    Ok(())
}
