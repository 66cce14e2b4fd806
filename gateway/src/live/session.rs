//! One WebSocket, from the upgrade to its end. A session waits only for its own client.

use crate::config::LiveConfig;
use crate::error::{ApiError, Code};
use crate::live::hub::{Client, Hub, HubFull};
use crate::live::outbound;
use crate::live::outbox::Item;
use crate::live::request::{Quota, Request, Verdict, parse, too_many};
use crate::metrics::{End, LiveMetrics};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::SinkExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Close codes (docs/protocol/10-websocket.md §6).
pub(crate) mod close {
    /// Nobody is there any more.
    pub(crate) const AWAY: u16 = 1001;
    /// Not the protocol.
    pub(crate) const PROTOCOL: u16 = 1002;
    /// Binary frame.
    pub(crate) const UNSUPPORTED: u16 = 1003;
    /// Quota disregarded.
    pub(crate) const POLICY: u16 = 1008;
    /// Message too big.
    pub(crate) const TOO_BIG: u16 = 1009;
    /// The gateway restarts.
    pub(crate) const RESTART: u16 = 1012;
    /// The client is too slow.
    pub(crate) const TRY_LATER: u16 = 1013;
}

/// Bytes handed to the socket between two flushes: one system call for many messages, few enough that a flush which makes
/// no end means a stuck client.
const FLUSH_BYTES: usize = 32 << 10;

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct SessionContext {
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: LiveMetrics,
    pub(crate) config: LiveConfig,
}

/// Why the session ends, and the code that the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ended {
    reason: End,
    code: Option<u16>,
}

const fn ended(reason: End, code: u16) -> Ended {
    Ended { reason, code: Some(code) }
}

const LOST: Ended = Ended { reason: End::Lost, code: None };

struct Session {
    socket: WebSocket,
    client: Client,
    context: Arc<SessionContext>,
    quota: Quota,
    heard_at: Instant,
    pinged_at: Instant,
}

/// Serves a socket until either side ends it.
pub(crate) async fn serve(socket: WebSocket, client: Client, context: Arc<SessionContext>) {
    let now = Instant::now();
    let quota = Quota::new(context.config.client_rate, context.config.client_burst, now);
    let mut session = Session { socket, client, context, quota, heard_at: now, pinged_at: now };
    let end = session.run().await;
    session.context.hub.leave(&session.client);
    session.context.metrics.end(end.reason);
    if let Some(code) = end.code {
        session.close(code).await;
    }
}

impl Session {
    async fn run(&mut self) -> Ended {
        loop {
            let step = tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.on_message(message).await,
                    Some(Err(error)) => Err(failure(error)),
                    None => Err(LOST),
                },
                () = self.client.outbox.pushed() => self.drain().await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn on_message(&mut self, message: Message) -> Result<(), Ended> {
        self.heard_at = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(ended(End::Binary, close::UNSUPPORTED)),
            Message::Close(_) => {
                // The answer is queued already; whether it still gets there does not matter.
                _ = self.flush().await;
                return Err(Ended { reason: End::Client, code: None });
            }
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        self.context.metrics.requests.inc();
        let answer = match self.quota.take(self.heard_at) {
            Verdict::Allowed => self.answer(&text),
            Verdict::Refused => {
                self.context.metrics.requests_refused.inc();
                outbound::error(None, &ApiError::new(Code::OverQuota, "too many messages; wait a second"))
            }
            Verdict::Abuse => return Err(ended(End::Abuse, close::POLICY)),
        };
        self.send(Message::Text(answer)).await?;
        // The last values of new topics follow their `subscribed`.
        self.drain().await
    }

    fn answer(&self, text: &str) -> Utf8Bytes {
        let most = self.context.config.client_topics;
        let (id, request) = parse(text, most);
        let result = request.and_then(|request| match request {
            Request::Ping => Ok(outbound::pong(id)),
            Request::Unsubscribe(topics) => {
                self.context.hub.unsubscribe(&self.client, &topics);
                Ok(outbound::unsubscribed(id, &topics))
            }
            Request::Subscribe(topics) => match self.context.hub.subscribe(&self.client, &topics) {
                Ok(()) => Ok(outbound::subscribed(id, &topics)),
                Err(HubFull::ClientTopics) => Err(too_many(most)),
                Err(HubFull::Topics | HubFull::Clients) => {
                    Err(ApiError::new(Code::Overloaded, "the gateway follows as many topics as it can"))
                }
            },
        });
        result.unwrap_or_else(|error| {
            self.context.metrics.requests_refused.inc();
            outbound::error(id, &error)
        })
    }

    /// Sends everything queued. Feed health comes every second, so this runs at least that often and looks at the clock.
    async fn drain(&mut self) -> Result<(), Ended> {
        let mut unflushed = 0;
        while let Some(item) = self.client.outbox.pop() {
            let text = match item {
                Item::Text(text) => text,
                Item::Lagged { topic, dropped } => outbound::lagged(&topic, dropped),
                Item::Close(code) => return Err(ended(End::Restart, code)),
            };
            unflushed += text.len();
            self.context.metrics.delivered.inc();
            if unflushed < FLUSH_BYTES {
                self.feed(Message::Text(text)).await?;
            } else {
                unflushed = 0;
                self.send(Message::Text(text)).await?;
            }
        }
        self.keep_alive().await?;
        self.flush().await
    }

    /// Pings a silent client and gives up one that stays silent.
    async fn keep_alive(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let idle = self.context.config.client_idle;
        if now.duration_since(self.heard_at) >= idle {
            return Err(ended(End::Idle, close::AWAY));
        }
        let due = idle / 3;
        if now.duration_since(self.heard_at) >= due && now.duration_since(self.pinged_at) >= due {
            self.pinged_at = now;
            self.feed(Message::Ping(Bytes::new())).await?;
        }
        Ok(())
    }

    async fn feed(&mut self, message: Message) -> Result<(), Ended> {
        within(self.context.config.client_stuck, self.socket.feed(message)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        within(self.context.config.client_stuck, self.socket.send(message)).await
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        within(self.context.config.client_stuck, self.socket.flush()).await
    }

    /// Tells the client why, if it takes it within the grace.
    async fn close(mut self, code: u16) {
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        let say = async {
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                // Until the client's own close, so that the code is not lost to a reset.
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        // A client that does not take it is cut off: there is nothing left to do for it.
        _ = timeout(self.context.config.close_grace, say).await;
    }
}

async fn within<E>(limit: Duration, write: impl Future<Output = Result<(), E>>) -> Result<(), Ended> {
    match timeout(limit, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(LOST),
        Err(_) => Err(ended(End::Stuck, close::TRY_LATER)),
    }
}

/// What a failed read means.
fn failure(error: axum::Error) -> Ended {
    use tungstenite::Error;
    match error.into_inner().downcast::<Error>().as_deref() {
        Ok(Error::Capacity(_)) => ended(End::TooBig, close::TOO_BIG),
        Ok(Error::Protocol(_) | Error::Utf8(_)) => ended(End::Protocol, close::PROTOCOL),
        _ => LOST,
    }
}
