//! A gateway and everything around it, on ports that the system chose, and the clients to talk to it.

use bytes::Bytes;
use eventlog::{EmbeddedConfig, EmbeddedLog, EventLog, Record};
use futures_util::{SinkExt, StreamExt};
use gateway::config::Config;
use gateway::{Gateway, Resources};
use lake::{Lake, LakeConfig, SourceOffsets};
use proto::market::{Candle, Side, Source, Tick};
use proto::wire::{self, FeedMode, FeedState};
use proto::{Decimal, Envelope, EventType, FrameHeader, Interval, Kind, LogTopic, Topic};
use serde_json::Value;
use service::admin::Readiness;
use service::clock::{Clock, now_ns};
use service::metrics::Metrics;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;
use zmtp::{PubOptions, PubSocket, RouterOptions, RouterSocket, SendOutcome};

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fails the test if the future takes too long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Waits until `check` holds: for what shows in counters only.
pub(crate) async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(2));
    soon(what, async {
        while !check() {
            look.tick().await;
        }
    })
    .await;
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) fanout: PubSocket,
    pub(crate) router: RouterSocket,
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) lake: Lake,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinHandle<Result<(), gateway::GatewayError>>,
    sequences: Mutex<BTreeMap<String, u64>>,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts with changed settings and waits until the gateway is ready and connected.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(EmbeddedConfig::new(dir.path().join("log"))).unwrap();
        for topic in [LogTopic::EvtFeed, LogTopic::EvtInstrument] {
            log.create_topic(eventlog::topics::spec(topic)).await.unwrap();
        }
        let lake = Lake::open(LakeConfig { fsync: false, ..LakeConfig::new(dir.path().join("lake")) }).await.unwrap();
        let fanout = PubSocket::bind("tcp://127.0.0.1:0", PubOptions::default()).await.unwrap();
        let router = RouterSocket::bind("tcp://127.0.0.1:0", RouterOptions::default()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = |address: Option<SocketAddr>| format!("tcp://{}", address.unwrap());
        let mut config = Config::new(address, &endpoint(fanout.local_addr()), &endpoint(router.local_addr()));
        config.history.wait = Duration::from_millis(200);
        change(&mut config);
        let metrics = Metrics::new();
        let readiness = Readiness::default();
        let resources = Resources {
            log: log.clone(),
            store: Arc::new(lake.clone()),
            lake: lake.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            clock: Clock::System,
        };
        let shutdown = CancellationToken::new();
        let gateway = Gateway::new(config, resources, true).unwrap();
        let server = tokio::spawn(gateway.serve(listener, shutdown.clone()));
        let world = Self {
            address,
            fanout,
            router,
            log,
            lake,
            metrics,
            readiness,
            shutdown,
            server,
            sequences: Mutex::default(),
            dir,
        };
        until("readiness", || world.readiness.get()).await;
        until("the relay", || world.metric("gateway_live_upstream_connected") == 1).await;
        world
    }

    /// The value of a metric without labels, or of the first one whose name and labels start so.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Publishes as the stream does; waits until somebody subscribed to the topic.
    pub(crate) async fn publish(&self, topic: &str, kind: Kind, message: &impl prost::Message) {
        until(topic, || self.fanout.has_subscriber(topic)).await;
        let sequence = {
            let mut sequences = self.sequences.lock().unwrap();
            let last = sequences.entry(topic.to_owned()).or_default();
            *last += 1;
            *last
        };
        self.publish_as(topic, kind, message, sequence);
    }

    pub(crate) fn publish_as(&self, topic: &str, kind: Kind, message: &impl prost::Message, sequence: u64) {
        let frame = FrameHeader::new(kind, 7, sequence, 0).encode(message).unwrap();
        assert_eq!(self.fanout.send(topic, frame), SendOutcome::Sent);
    }

    pub(crate) async fn add_feed(&self, venue: &str, mode: FeedMode, state: FeedState) {
        let now = now_ns();
        let status = wire::FeedStatus {
            venue: venue.into(),
            ingestor_id: "i1".into(),
            mode: mode as i32,
            state: state as i32,
            sent_at_ns: now,
            last_event_time_ns: now,
            last_receive_time_ns: now,
            symbols: 2,
            ticks: 5,
            ..Default::default()
        };
        self.append(LogTopic::EvtFeed, EventType::FeedStatus, venue, "i1", &status).await;
    }

    pub(crate) async fn add_instrument(&self, venue: &str, symbol: &str, live: bool) {
        let (base, quote) = symbol.split_once('/').unwrap();
        let instrument = wire::Instrument {
            venue: venue.into(),
            symbol: symbol.into(),
            venue_symbol: symbol.replace('/', ""),
            base: base.into(),
            quote: quote.into(),
            kind: wire::InstrumentKind::Spot as i32,
            status: wire::InstrumentStatus::Trading as i32,
            tick_size: Some("0.01".parse::<Decimal>().unwrap().into()),
            live,
            ..Default::default()
        };
        self.append(LogTopic::EvtInstrument, EventType::Instrument, venue, symbol, &instrument).await;
    }

    async fn append(
        &self,
        topic: LogTopic,
        event_type: EventType,
        venue: &str,
        key: &str,
        message: &impl prost::Message,
    ) {
        let now = now_ns();
        let envelope = Envelope {
            event_id: 1,
            event_type,
            venue: venue.parse().unwrap(),
            observed_at_ns: now,
            ingested_at_ns: now,
            key: format!("{venue}:{key}"),
            trace: Bytes::new(),
            payload: message.encode_to_vec().into(),
            raw: None,
        };
        let key = Bytes::from(envelope.key.clone());
        let record = Record { key, value: envelope.encode(), timestamp_ns: now };
        self.log.append(topic.name(), vec![record]).await.unwrap();
    }

    /// Appends candles; the snapshot that holds them.
    pub(crate) async fn store(&self, candles: &[Candle]) -> i64 {
        let epoch = self.lake.claim_writer_epoch().await.unwrap();
        let info = self.lake.append_candles(candles, &SourceOffsets::default(), epoch).await.unwrap();
        info.snapshot_id.unwrap()
    }

    /// `POST` of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value, more: &[(&str, &str)]) -> Answer {
        let (body, mut headers) = (body.to_string(), vec![("Host", "localhost"), ("Content-Type", "application/json")]);
        let length = body.len().to_string();
        headers.push(("Content-Length", &length));
        headers.extend(more);
        self.exchange("POST", path, &headers, &body).await
    }

    /// `GET` with the usual headers; the body must be JSON.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.raw(path, &[("Host", "localhost")]).await;
        let body = serde_json::from_slice(&answer.body);
        (answer.status, body.unwrap_or_else(|_| panic!("{path}: {}", String::from_utf8_lossy(&answer.body))))
    }

    /// `GET` with exactly these headers.
    pub(crate) async fn raw(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers).await
    }

    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.exchange(method, path, headers, "").await
    }

    /// Opens a request and returns the connection, with nothing read.
    pub(crate) async fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(body);
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        soon(path, stream.read_to_end(&mut bytes)).await.unwrap();
        Answer::parse(&bytes)
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let split = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: Vec<(String, String)> = lines.filter_map(split).collect();
        let mut body = bytes[end + 4..].to_vec();
        if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
            body = unchunk(&body);
        }
        Self { status, headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 4 + length..];
    }
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address, &[]).await.unwrap_or_else(|status| panic!("refused with {status}"))
    }

    /// Connects with more headers; the status if it is refused.
    pub(crate) async fn try_connect(address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        match soon("the upgrade", tokio_tungstenite::client_async(request, stream)).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message that is not health: its JSON, or `{"close": code}`.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = soon("a message", self.socket.next()).await;
            match message {
                Some(Ok(Message::Text(text))) => {
                    let json: Value = serde_json::from_str(&text).unwrap();
                    if json["type"] != "health" {
                        return json;
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    return serde_json::json!({"close": frame.map(|frame| u16::from(frame.code))});
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return serde_json::json!({"error": error.to_string()}),
                None => return Value::Null,
            }
        }
    }

    /// Sends and takes the answer.
    pub(crate) async fn ask(&mut self, text: &str) -> Value {
        self.send(text).await;
        self.next().await
    }

    /// Subscribes and checks the answer.
    pub(crate) async fn subscribe(&mut self, topics: &[&str]) {
        let text = serde_json::json!({"op": "subscribe", "id": 1, "topics": topics});
        let answer = self.ask(&text.to_string()).await;
        assert_eq!(answer, serde_json::json!({"type": "subscribed", "id": 1, "topics": topics}));
    }
}

/// Now, in whole minutes since 1970.
pub(crate) fn this_minute() -> u64 {
    now_ns() / Interval::M1.nanos()
}

/// A closed candle of SIM:BTC/USDT.
pub(crate) fn candle(minute: u64, price: i64) -> Candle {
    let price = Decimal::from_int(price);
    Candle {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        interval: Interval::M1,
        open_time_ns: minute * Interval::M1.nanos(),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Decimal::ONE,
        quote_volume: price,
        trades: 1,
        revision: 0,
        closed: true,
        repaired: false,
    }
}

pub(crate) fn tick(number: u64) -> wire::Tick {
    let tick = Tick {
        venue: "SIM".parse().unwrap(),
        symbol: "BTC/USDT".parse().unwrap(),
        trade_id: number.to_string(),
        event_time_ns: 1_795_168_800_000_000_000 + number,
        receive_time_ns: now_ns(),
        price: Decimal::from_int(100),
        size: Decimal::ONE,
        side: Side::Sell,
        source: Source::Live,
        repaired: false,
    };
    wire::Tick::from(&tick)
}

pub(crate) const TICKS: &str = "SIM:BTC/USDT|tick";
pub(crate) const QUOTES: &str = "SIM:BTC/USDT|quote";
pub(crate) const CANDLES: &str = "SIM:BTC/USDT|ohlc:60s";

/// The topic of a history notification.
pub(crate) fn ready_topic(request_id: &str) -> String {
    Topic::HistoryReady(request_id.parse().unwrap()).to_string()
}
