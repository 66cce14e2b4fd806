//! `GET /ws/chat`: the events of conversations while they happen (docs/protocol/12-chat.md §5).
//!
//! A session waits only for its own client; what the client does not read in time is not lost: it closes, and the client watches
//! again from the last event that it has.

use crate::error::{ApiError, Code};
use crate::http::guard::{authority, origin_is_ours};
use crate::http::notifications::unavailable;
use crate::live::session::close;
use crate::metrics::Refusal;
use crate::people::People;
use crate::people::open_pages::OpenPage;
use accounts::{Caller, SessionId};
use axum::RequestExt;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use harness::store::StoreError;
use harness::{ConversationId, TurnId, Watched};
use notifications::{SessionEvent, Subscription};
use proto::EventId;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Conversations that one socket watches.
const CONVERSATIONS: usize = 16;
/// The session behind the ticket has ended.
const SIGNED_OUT: u16 = 4401;
/// How often it is asked whether the session lives, and a ping is sent.
const CHECK: Duration = Duration::from_secs(10);
/// Read buffer of a socket: what clients send is short.
const READ_BUFFER: usize = 1 << 10;

/// What a client asks.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Op {
    Watch {
        conversation_id: String,
        #[serde(default)]
        turn_id: Option<String>,
        #[serde(default)]
        after: u64,
    },
    Unwatch {
        conversation_id: String,
    },
    /// Notifications were shown.
    Confirm {
        event_ids: Vec<String>,
    },
    Ping {},
}

pub(crate) async fn get(State(people): State<People>, request: Request) -> Result<Response, ApiError> {
    let app = people.app.clone();
    // A page names itself; what is no page has a ticket all the same.
    let mut origins = request.headers().get_all(header::ORIGIN).iter();
    let ours = match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => {
            let named = origin.to_str().ok().zip(authority(request.headers(), request.uri()));
            named.is_some_and(|(origin, authority)| origin_is_ours(origin, authority, &app.config.http.allowed_origins))
        }
        (Some(_), Some(_)) => false,
    };
    if !ours {
        app.metrics.refuse(Refusal::Origin);
        return Err(ApiError::new(Code::ForbiddenOrigin, "this page may not connect; see http.allowed_origins"));
    }
    let unauthenticated =
        || ApiError::new(Code::Unauthenticated, "ticket: missing, wrong, used or expired").about("ticket");
    let query = request.uri().query().unwrap_or_default();
    let ticket = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ticket");
    let ticket = SecretString::from(ticket.map(|(_, value)| value.into_owned()).unwrap_or_default());
    let upgrade: WebSocketUpgrade = request
        .extract()
        .await
        .map_err(|_| ApiError::new(Code::UpgradeRequired, "this path speaks WebSocket (RFC 6455, version 13)"))?;
    // Redeemed last: a request that is no upgrade does not use it up.
    let caller = people.accounts.redeem_ticket(&ticket).await.map_err(|_| unauthenticated())?;
    let session = caller.session().ok_or_else(unauthenticated)?;
    let (most, running) = (app.config.live.client_message, app.tracker.token());
    let response = upgrade.read_buffer_size(READ_BUFFER).max_message_size(most).max_frame_size(most).on_upgrade(
        move |socket| async move {
            let closing = people.closing.clone();
            // Without a place among the sessions the conversation works all the same.
            let told = people.notifications.subscribe(caller.user).await.ok();
            let page = people.pages.enter(caller.user);
            let mut session = Session::new(socket, people, (caller, session), (told, page));
            let code = tokio::select! {
                code = session.run() => code,
                () = closing.cancelled() => Some(close::RESTART),
            };
            if let Some(code) = code {
                session.close(code).await;
            }
            drop(running);
        },
    );
    Ok(response.into_response())
}

type Events = BoxStream<'static, Result<Watched, StoreError>>;

struct Session {
    socket: WebSocket,
    people: People,
    caller: Caller,
    session: SessionId,
    watching: SelectAll<Events>,
    /// Ends the events of a conversation when it is dropped.
    watched: BTreeMap<ConversationId, DropGuard>,
    /// What the user is told while the page is open.
    told: Option<Subscription>,
    page: OpenPage,
    stuck: Duration,
    idle: Duration,
}

/// The next thing that the user is told; never, where nothing is.
async fn next(told: &mut Option<Subscription>) -> Option<SessionEvent> {
    match told {
        Some(told) => told.recv().await,
        None => std::future::pending().await,
    }
}

fn text(value: &serde_json::Value) -> Message {
    Message::Text(Utf8Bytes::from(value.to_string()))
}

impl Session {
    fn new(
        socket: WebSocket,
        people: People,
        (caller, session): (Caller, SessionId),
        (told, page): (Option<Subscription>, OpenPage),
    ) -> Self {
        let live = &people.app.config.live;
        let (stuck, idle) = (live.client_stuck, live.client_idle);
        let (watching, watched) = (SelectAll::new(), BTreeMap::new());
        Self { socket, people, caller, session, watching, watched, told, page, stuck, idle }
    }

    /// Runs until either side ends; the code that the client is told, if it can be told anything.
    async fn run(&mut self) -> Option<u16> {
        let mut check = interval(CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let step = tokio::select! {
                message = self.socket.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(op))) => self.answer(&op).await,
                        Some(Ok(Message::Binary(_))) => Err(Some(close::UNSUPPORTED)),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(None),
                    }
                }
                Some(event) = self.watching.next() => self.show(event).await,
                told = next(&mut self.told) => match told {
                    Some(event) => self.send(text(&json!({"type": "user_event", "event": event.to_json()}))).await,
                    None => {
                        self.told = None;
                        Ok(())
                    }
                },
                _ = check.tick() => self.check(heard).await,
            };
            if let Err(code) = step {
                return code;
            }
        }
    }

    async fn check(&mut self, heard: Instant) -> Result<(), Option<u16>> {
        if heard.elapsed() > self.idle {
            return Err(Some(close::AWAY));
        }
        // If nobody can tell whether it lives, it is asked again.
        if let Ok(None) = self.people.accounts.live_session(self.session).await {
            return Err(Some(SIGNED_OUT));
        }
        self.page.listen().await;
        self.send(Message::Ping(bytes::Bytes::new())).await
    }

    async fn answer(&mut self, op: &str) -> Result<(), Option<u16>> {
        let refused = match serde_json::from_str(op) {
            Ok(Op::Ping {}) => return self.send(text(&json!({"type": "pong"}))).await,
            Ok(Op::Watch { conversation_id, turn_id, after }) => {
                self.watch(&conversation_id, turn_id.as_deref(), after)
            }
            Ok(Op::Unwatch { conversation_id }) => {
                super::conversation(&conversation_id).map(|conversation| drop(self.watched.remove(&conversation)))
            }
            Ok(Op::Confirm { event_ids }) => self.confirm(&event_ids).await,
            Err(error) => Err(ApiError::new(Code::Malformed, error.to_string())),
        };
        match refused {
            Ok(()) => Ok(()),
            Err(error) => self.send(text(&json!({"type": "error", "error": error}))).await,
        }
    }

    async fn confirm(&mut self, event_ids: &[String]) -> Result<(), ApiError> {
        let wrong = |_| ApiError::field("event_ids", "event_ids: not ids of events");
        let ids: Vec<EventId> = event_ids.iter().map(|id| id.parse()).collect::<Result<_, _>>().map_err(wrong)?;
        let confirmed = self.people.notifications.confirm(self.caller.user, &ids).await;
        confirmed.map(drop).map_err(|error| unavailable(&error))
    }

    fn watch(&mut self, conversation: &str, turn: Option<&str>, after: u64) -> Result<(), ApiError> {
        let conversation = super::conversation(conversation)?;
        let turn: Option<TurnId> = turn.map(super::turn_id).transpose()?;
        drop(self.watched.remove(&conversation));
        if self.watched.len() >= CONVERSATIONS {
            let message = format!("conversation_id: at most {CONVERSATIONS} are watched at one time");
            return Err(ApiError::new(Code::LimitExceeded, message).about("conversation_id"));
        }
        let end = CancellationToken::new();
        let events = self.people.harness.watch(self.caller.user, conversation.clone(), turn.map(|turn| (turn, after)));
        self.watching.push(events.take_until(end.clone().cancelled_owned()).boxed());
        self.watched.insert(conversation, end.drop_guard());
        Ok(())
    }

    async fn show(&mut self, event: Result<Watched, StoreError>) -> Result<(), Option<u16>> {
        match event {
            Ok(Watched { turn_id, conversation_id, event }) => {
                let message =
                    json!({"type": "event", "turn_id": turn_id, "conversation_id": conversation_id, "event": event});
                self.send(text(&message)).await
            }
            Err(error) => {
                tracing::warn!(%error, "events of a conversation cannot be read");
                Err(Some(close::TRY_LATER))
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Option<u16>> {
        match timeout(self.stuck, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(close::TRY_LATER)),
        }
    }

    async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        // The client is told if it still listens.
        drop(timeout(self.stuck.min(Duration::from_secs(1)), self.socket.send(Message::Close(Some(frame)))).await);
    }
}
