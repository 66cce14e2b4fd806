//! Load on an MCP server over streamable HTTP: requests/s and latency of one light tool, with 1 and with many clients. One
//! request in flight per client, connections kept open, each answer checked.
//!
//! Arguments: `URL TOOL CLIENTS SECONDS [TOKEN]`; with 0 seconds it asks once. Prints one JSON object. It speaks HTTP by hand, so that what is measured is
//! the server: the client shares the machine with it.

use anyhow::{Context, ensure};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Server {
    authority: String,
    path: String,
    token: Option<String>,
    tool: String,
}

impl Server {
    fn request(&self, id: u64) -> Vec<u8> {
        let body = serde_json::json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {
                "name": self.tool, "arguments": {},
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "1"},
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
            },
        })
        .to_string();
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: {}\r\nMcp-Method: tools/call\r\nMcp-Name: {}\r\n{token}Content-Length: {}\r\n\r\n{body}",
            self.path,
            self.authority,
            std::env::var("MCP_PROTOCOL_VERSION").unwrap_or_else(|_| "2026-07-28".to_owned()),
            self.tool,
            body.len(),
        )
        .into_bytes()
    }
}

/// Reads one answer with a length or in chunks.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<Vec<u8>> {
    buffer.clear();
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        ensure!(stream.read_buf(buffer).await? > 0, "closed before the answer: {}", String::from_utf8_lossy(buffer));
    };
    let headers = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    if let Some(length) = headers.lines().find_map(|line| line.strip_prefix("content-length:")) {
        let end = head + length.trim().parse::<usize>()?;
        while buffer.len() < end {
            ensure!(stream.read_buf(buffer).await? > 0, "closed within the answer");
        }
        return Ok(buffer[head..end].to_vec());
    }
    ensure!(headers.contains("transfer-encoding: chunked"), "neither a length nor chunks: {headers}");
    while !buffer.ends_with(b"0\r\n\r\n") {
        ensure!(stream.read_buf(buffer).await? > 0, "closed within the answer");
    }
    Ok(buffer[head..].to_vec())
}

async fn client(server: &Server, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(&server.authority).await?;
    stream.set_nodelay(true)?;
    let (mut times, mut buffer) = (Vec::new(), Vec::with_capacity(64 << 10));
    while Instant::now() < until {
        let begun = Instant::now();
        stream.write_all(&server.request(times.len() as u64 + 1)).await?;
        let body = answer(&mut stream, &mut buffer).await?;
        times.push(begun.elapsed());
        let good = |needle: &[u8]| body.windows(needle.len()).any(|part| part == needle);
        let right = good(b"\"result\"") && !good(b"\"isError\":true");
        ensure!(right, "not a result: {}", String::from_utf8_lossy(&body));
    }
    Ok(times)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [url, tool, clients, seconds, token @ ..] = arguments.as_slice() else {
        anyhow::bail!("arguments: URL TOOL CLIENTS SECONDS [TOKEN]");
    };
    let rest = url.strip_prefix("http://").context("an http URL")?;
    let (authority, path) = rest.split_once('/').context("a path")?;
    let server = Server {
        authority: authority.to_owned(),
        path: format!("/{path}"),
        token: token.first().cloned(),
        tool: tool.clone(),
    };
    let clients: usize = clients.parse()?;
    let time = Duration::from_secs_f64(seconds.parse()?);
    if time.is_zero() {
        client(&server, Instant::now() + Duration::from_millis(1)).await?;
        return Ok(());
    }
    // What is loaded at the first calls is not measured.
    futures_util::future::try_join_all(
        (0..clients).map(|_| client(&server, Instant::now() + Duration::from_millis(500))),
    )
    .await?;
    let begun = Instant::now();
    let times = futures_util::future::try_join_all((0..clients).map(|_| client(&server, begun + time))).await?;
    let took = begun.elapsed();
    let mut times: Vec<Duration> = times.into_iter().flatten().collect();
    times.sort_unstable();
    let quantile = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    #[allow(clippy::cast_precision_loss, reason = "for looking at")]
    let rate = times.len() as f64 / took.as_secs_f64();
    let line = serde_json::json!({
        "clients": clients, "requests": times.len(), "requests_per_s": rate.round(), "p50_ms": quantile(50), "p99_ms": quantile(99),
    });
    std::io::Write::write_all(&mut std::io::stdout(), format!("{line}\n").as_bytes())?;
    Ok(())
}
