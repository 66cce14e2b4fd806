//! Tick-in → WebSocket-out latency with many clients: prints p50 and p99 over all deliveries.
//!
//! `ws_latency [--clients 50] [--rate 1000] [--seconds 10]` runs gateway, publisher and clients in this process; the publisher
//! is a PUB that the gateway subscribes to directly. With `--publish tcp://127.0.0.1:5557 --ws 127.0.0.1:3000` it drives a
//! running platform instead: publisher → relay → gateway → clients. A tick is stamped before it is handed to the publisher
//! and when a client has read the whole WebSocket message.

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use gateway::config::Config;
use gateway::{Gateway, Resources};
use proto::market::{Side, Source, Tick};
use proto::{Decimal, FrameHeader, Kind, wire};
use service::admin::Readiness;
use service::clock::{Clock, now_ns};
use service::metrics::Metrics;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;
use zmtp::{PubOptions, PubSocket};

const TOPIC: &str = "BENCH:BTC/USDT|tick";
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Options {
    clients: usize,
    rate: u64,
    seconds: u64,
    publish: Option<String>,
    ws: Option<SocketAddr>,
}

fn options() -> Result<Options> {
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        given.insert(name, arguments.next().context("every option has a value")?);
    }
    let mut take = |name: &str| given.remove(name);
    let options = Options {
        clients: take("--clients").as_deref().unwrap_or("50").parse()?,
        rate: take("--rate").as_deref().unwrap_or("1000").parse()?,
        seconds: take("--seconds").as_deref().unwrap_or("10").parse()?,
        publish: take("--publish"),
        ws: take("--ws").map(|address| address.parse()).transpose()?,
    };
    if let Some(name) = given.keys().next() {
        bail!("unknown option {name}");
    }
    Ok(options)
}

/// A gateway in this process without log and lake content.
async fn own_gateway(publisher: &PubSocket) -> Result<(SocketAddr, tempfile::TempDir, CancellationToken)> {
    let dir = tempfile::tempdir()?;
    let log = eventlog::EmbeddedLog::open(eventlog::EmbeddedConfig::new(dir.path().join("log")))?;
    let lake = lake::Lake::open(lake::LakeConfig::new(dir.path().join("lake"))).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let fanout = format!("tcp://{}", publisher.local_addr().context("the publisher is bound")?);
    let config = Config::new(address, &fanout, "tcp://127.0.0.1:9");
    let resources = Resources {
        log,
        store: Arc::new(lake.clone()),
        lake,
        metrics: Metrics::new(),
        readiness: Readiness::default(),
        clock: Clock::System,
    };
    let stop = CancellationToken::new();
    let gateway = Gateway::new(config, resources, true)?;
    tokio::spawn(gateway.serve(listener, stop.clone()));
    Ok((address, dir, stop))
}

/// Connects, subscribes, then notes the latency of each tick until `total` have come or nothing comes any more.
async fn client(address: SocketAddr, total: u64, ready: tokio::sync::mpsc::Sender<()>) -> Result<Vec<u64>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!("ws://{address}/ws").into_client_request()?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    socket.send(Message::text(format!(r#"{{"op":"subscribe","topics":["{TOPIC}"]}}"#))).await?;
    let mut latencies = Vec::with_capacity(usize::try_from(total)?);
    while let Ok(Some(message)) = timeout(PATIENCE, socket.next()).await {
        let Message::Text(text) = message? else { continue };
        let now = now_ns();
        if text.starts_with(r#"{"type":"subscribed""#) {
            ready.send(()).await?;
        }
        // The time of sending is the trade id: found without parsing, so that clients cost little.
        let Some(at) = text.find(r#""trade_id":""#) else { continue };
        let id = text[at + 12..].split('"').next().unwrap_or_default();
        let (number, sent) = id.split_once('-').context("an id of this benchmark")?;
        latencies.push(now.saturating_sub(sent.parse()?));
        if number.parse::<u64>()? == total {
            break;
        }
    }
    Ok(latencies)
}

fn tick(number: u64) -> wire::Tick {
    let now = now_ns();
    wire::Tick::from(&Tick {
        venue: "BENCH".parse().expect("a venue"),
        symbol: "BTC/USDT".parse().expect("a symbol"),
        trade_id: format!("{number}-{now}"),
        event_time_ns: now,
        receive_time_ns: now,
        price: Decimal::from_int(61_837),
        size: Decimal::ONE,
        side: Side::Buy,
        source: Source::Live,
        repaired: false,
    })
}

async fn publish(publisher: &PubSocket, rate: u64, total: u64) -> Result<()> {
    let mut due = interval(Duration::from_nanos(1_000_000_000 / rate));
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let publisher_id = now_ns();
    for number in 1..=total {
        due.tick().await;
        let frame = FrameHeader::new(Kind::Tick, publisher_id, number, 0).encode(&tick(number))?;
        publisher.send(TOPIC, frame);
    }
    Ok(())
}

fn percentile(sorted: &[u64], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = ((sorted.len() as f64 - 1.0) * share).round() as usize;
    #[allow(clippy::cast_precision_loss)]
    let micros = sorted.get(at).copied().unwrap_or(0) as f64 / 1000.0;
    micros
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = options()?;
    let total = options.rate * options.seconds;
    let publisher = match &options.publish {
        Some(endpoint) => PubSocket::connect(endpoint, PubOptions::default())?,
        None => PubSocket::bind("tcp://127.0.0.1:0", PubOptions::default()).await?,
    };
    let mut own = None;
    let address = match options.ws {
        Some(address) => address,
        None => own.insert(own_gateway(&publisher).await?).0,
    };
    let (ready, mut all_ready) = tokio::sync::mpsc::channel(options.clients);
    let clients: Vec<_> = (0..options.clients).map(|_| tokio::spawn(client(address, total, ready.clone()))).collect();
    for _ in 0..options.clients {
        timeout(PATIENCE, all_ready.recv()).await.context("a client did not get ready")?;
    }
    timeout(PATIENCE, async {
        let mut look = interval(Duration::from_millis(5));
        while !publisher.has_subscriber(TOPIC) {
            look.tick().await;
        }
    })
    .await
    .context("the gateway did not subscribe")?;
    publish(&publisher, options.rate, total).await?;
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await??);
    }
    latencies.sort_unstable();
    let expected = total * options.clients as u64;
    writeln!(
        std::io::stdout(),
        "tick-in -> WebSocket-out, {} clients, {} ticks/s for {} s: p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, max {:.0} us; {} of {expected} delivered",
        options.clients,
        options.rate,
        options.seconds,
        percentile(&latencies, 0.5),
        percentile(&latencies, 0.99),
        percentile(&latencies, 0.999),
        percentile(&latencies, 1.0),
        latencies.len(),
    )?;
    if let Some((_, _, stop)) = own {
        stop.cancel();
    }
    Ok(())
}
