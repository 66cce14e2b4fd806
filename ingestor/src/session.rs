//! One WebSocket session: connect, subscribe, pass every frame on, notice when the other side is dead.
//!
//! Backpressure: frames go into a bounded queue; when it is full this task does not read the socket, so TCP slows the
//! venue down and in the end the venue drops us, which is a reconnect and a refetched hole, not a silent loss.

use crate::intake::{Item, SessionNumber};
use crate::store::RawInput;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use service::clock::Clock;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use venues::{Connection, Pacing, Ping};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionEnd {
    /// We wanted it.
    #[error("stopped")]
    Stopped,
    /// It never came to life.
    #[error("connect: {0}")]
    NotConnected(String),
    /// The other side closed it, or the socket failed.
    #[error("closed: {0}")]
    Closed(String),
    /// Nothing came for too long.
    #[error("mute: nothing came for {0:?}")]
    Mute(Duration),
    /// It lives but brings no data.
    #[error("no data for {0:?}")]
    NoData(Duration),
}

/// Times and bounds of a session.
#[derive(Debug, Clone)]
pub(crate) struct SessionRules {
    pub(crate) connect_timeout: Duration,
    pub(crate) mute_timeout: Duration,
    pub(crate) data_timeout: Duration,
    pub(crate) quiet_ping: Duration,
    pub(crate) ping: Option<Ping>,
    pub(crate) pacing: Pacing,
    pub(crate) frame_bytes: usize,
}

/// What a session works with.
#[derive(Debug, Clone)]
pub(crate) struct SessionParts {
    /// Name of the connection.
    pub(crate) link: Arc<str>,
    pub(crate) connection: Connection,
    pub(crate) rules: SessionRules,
    pub(crate) clock: Clock,
    pub(crate) items: mpsc::Sender<Item>,
}

/// Runs a session to its end.
pub(crate) async fn run(parts: SessionParts, number: SessionNumber, stop: CancellationToken) -> SessionEnd {
    let connecting = timeout(parts.rules.connect_timeout, connect(&parts));
    let socket = tokio::select! {
        result = connecting => match result {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return SessionEnd::NotConnected(error.to_string()),
            Err(_) => return SessionEnd::NotConnected(format!("no answer in {:?}", parts.rules.connect_timeout)),
        },
        () = stop.cancelled() => return SessionEnd::Stopped,
    };
    let now = Instant::now();
    let subscribe: VecDeque<String> = parts.connection.subscribe.iter().cloned().collect();
    let session = Session {
        number,
        socket,
        sent: VecDeque::new(),
        subscribe,
        last_frame: now,
        last_data: now,
        pinged: now,
        next_app_ping: parts.rules.ping.map(|ping| now + ping.every),
        parts,
    };
    session.run(stop).await
}

async fn connect(parts: &SessionParts) -> Result<Socket, tungstenite::Error> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(parts.rules.frame_bytes))
        .max_frame_size(Some(parts.rules.frame_bytes))
        .max_write_buffer_size(1 << 20);
    let url = parts.connection.url.as_str();
    let (socket, _response) = tokio_tungstenite::connect_async_with_config(url, Some(config), true).await?;
    Ok(socket)
}

struct Session {
    number: SessionNumber,
    parts: SessionParts,
    socket: Socket,
    /// Subscribe frames still to be sent, and when the last ones were.
    subscribe: VecDeque<String>,
    sent: VecDeque<Instant>,
    last_frame: Instant,
    last_data: Instant,
    pinged: Instant,
    next_app_ping: Option<Instant>,
}

/// What to do next when no frame comes.
enum Due {
    Subscribe,
    AppPing,
    QuietPing,
    Mute,
    NoData,
}

impl Session {
    async fn run(mut self, stop: CancellationToken) -> SessionEnd {
        if self.subscribe.is_empty() && self.pass_on(Item::Up(self.number), &stop).await.is_err() {
            return SessionEnd::Stopped;
        }
        loop {
            let (at, due) = self.next_due();
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // A close frame is a courtesy; whether it gets out does not matter.
                    let _courtesy = timeout(Duration::from_millis(200), self.socket.close(None)).await;
                    return SessionEnd::Stopped;
                }
                message = self.socket.next() => {
                    if let Err(end) = self.received(message, &stop).await {
                        return end;
                    }
                }
                () = sleep_until(at) => {
                    if let Err(end) = self.act(due, &stop).await {
                        return end;
                    }
                }
            }
        }
    }

    /// The earliest thing to do.
    fn next_due(&self) -> (Instant, Due) {
        let rules = &self.parts.rules;
        let mut due = vec![
            (self.last_frame + rules.mute_timeout, Due::Mute),
            (self.last_data + rules.data_timeout, Due::NoData),
            (self.last_frame.max(self.pinged) + rules.quiet_ping, Due::QuietPing),
        ];
        if !self.subscribe.is_empty() {
            let full = self.sent.len() >= rules.pacing.count.max(1) as usize;
            let at = self.sent.front().filter(|_| full).map_or_else(Instant::now, |oldest| *oldest + rules.pacing.per);
            due.push((at, Due::Subscribe));
        }
        due.extend(self.next_app_ping.map(|at| (at, Due::AppPing)));
        due.into_iter().min_by_key(|(at, _)| *at).unwrap_or((Instant::now() + rules.mute_timeout, Due::Mute))
    }

    async fn act(&mut self, due: Due, stop: &CancellationToken) -> Result<(), SessionEnd> {
        match due {
            Due::Mute => Err(SessionEnd::Mute(self.parts.rules.mute_timeout)),
            Due::NoData => Err(SessionEnd::NoData(self.parts.rules.data_timeout)),
            Due::QuietPing => {
                self.pinged = Instant::now();
                self.send(Message::Ping(Bytes::new())).await
            }
            Due::AppPing => {
                let Some(ping) = self.parts.rules.ping else { return Ok(()) };
                self.next_app_ping = Some(Instant::now() + ping.every);
                self.send(Message::text(ping.text)).await
            }
            Due::Subscribe => {
                if self.sent.len() >= self.parts.rules.pacing.count.max(1) as usize {
                    self.sent.pop_front();
                }
                self.sent.push_back(Instant::now());
                if let Some(text) = self.subscribe.pop_front() {
                    self.send(Message::text(text)).await?;
                }
                if self.subscribe.is_empty() { self.pass_on(Item::Up(self.number), stop).await } else { Ok(()) }
            }
        }
    }

    /// A peer that does not take what we send for the mute time is as dead as one that sends nothing.
    async fn send(&mut self, message: Message) -> Result<(), SessionEnd> {
        match timeout(self.parts.rules.mute_timeout, self.socket.send(message)).await {
            Ok(sent) => sent.map_err(|error| SessionEnd::Closed(error.to_string())),
            Err(_) => Err(SessionEnd::Mute(self.parts.rules.mute_timeout)),
        }
    }

    async fn received(
        &mut self,
        message: Option<Result<Message, tungstenite::Error>>,
        stop: &CancellationToken,
    ) -> Result<(), SessionEnd> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(SessionEnd::Closed(error.to_string())),
            None => return Err(SessionEnd::Closed("end of stream".to_owned())),
        };
        let now_ns = self.parts.clock.now_ns();
        let item = match message {
            Message::Text(text) => self.frame(Bytes::from(text), now_ns),
            Message::Binary(bytes) => self.frame(bytes, now_ns),
            Message::Pong(_) => Item::Alive(self.number, now_ns),
            // The library answers pings by itself at the next write or read.
            Message::Ping(_) => {
                self.last_frame = Instant::now();
                return Ok(());
            }
            Message::Close(reason) => {
                let text = reason.map_or_else(|| "close frame".to_owned(), |r| format!("{} {}", r.code, r.reason));
                return Err(SessionEnd::Closed(text));
            }
            Message::Frame(_) => return Ok(()),
        };
        let data = matches!(item, Item::Frame(..));
        self.pass_on(item, stop).await?;
        // After a wait for the queue, so that our own slowness is not taken for the venue's silence.
        self.last_frame = Instant::now();
        if data {
            self.last_data = self.last_frame;
        }
        Ok(())
    }

    fn frame(&self, payload: Bytes, receive_time_ns: u64) -> Item {
        Item::Frame(self.number, RawInput { channel: Arc::clone(&self.parts.link), receive_time_ns, payload })
    }

    async fn pass_on(&self, item: Item, stop: &CancellationToken) -> Result<(), SessionEnd> {
        tokio::select! {
            sent = self.parts.items.send(item) => sent.map_err(|_| SessionEnd::Stopped),
            () = stop.cancelled() => Err(SessionEnd::Stopped),
        }
    }
}
