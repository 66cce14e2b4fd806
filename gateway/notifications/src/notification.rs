//! What a user is told: a recorded event, what became of it, and how it is shown in words.

use bytes::Bytes;
use proto::{EventId, EventKind, OutboxId, Position, UserId};
use serde_json::{Value, json};

/// Longest text that [`Notification::text`] gives, in characters.
const TEXT_CHARACTERS: usize = 1000;

/// A recorded event of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Whose.
    pub user_id: UserId,
    /// Counts the notifications of the user from 1, in the order in which they were recorded.
    pub number: u64,
    /// Minted where the event arose; the same event has it wherever it is sent.
    pub event_id: EventId,
    /// Where it stood in the container's outbox; `None` if the platform itself said it.
    pub position: Option<Position>,
    /// What it is about.
    pub kind: EventKind,
    /// When it arose, ns since the epoch, by the clock of whoever said it.
    pub created_at_ns: u64,
    /// From when on nobody needs it; 0 = never.
    pub expires_at_ns: u64,
    /// When it was recorded, ns since the epoch, by the gateway's clock.
    pub recorded_at_ns: u64,
    /// JSON as it came. From a user's container: data, never markup.
    pub payload: Bytes,
}

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits for a channel to take it.
    Pending,
    /// A channel took it, or an open session confirmed it.
    Delivered,
    /// No channel can push it to this user: it stands in the list.
    Kept,
    /// No channel took it in time: an operator should look.
    Dead,
    /// Nobody needed it any more before a channel took it.
    Expired,
}

impl State {
    /// All states, in the order of their numbers in the store.
    pub(crate) const ALL: [Self; 5] = [Self::Pending, Self::Delivered, Self::Kept, Self::Dead, Self::Expired];

    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Pending => 0,
            Self::Delivered => 1,
            Self::Kept => 2,
            Self::Dead => 3,
            Self::Expired => 4,
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Kept => "kept",
            Self::Dead => "dead",
            Self::Expired => "expired",
        }
    }
}

/// A notification as the list of a user shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The notification.
    pub notification: Notification,
    /// What became of it.
    pub state: State,
    /// The channel that took it; empty if none did.
    pub channel: String,
    /// Whether the user has seen it in the list.
    pub read: bool,
}

/// A notification that the platform itself wants to give, e.g. when a trigger fires for a sleeping container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotification {
    /// Whose.
    pub user_id: UserId,
    /// Minted by the caller before its first try: the same id is recorded once.
    pub event_id: EventId,
    /// What it is about; not [`EventKind::GapFill`].
    pub kind: EventKind,
    /// When it arose, ns since the epoch.
    pub created_at_ns: u64,
    /// From when on nobody needs it; 0 = never.
    pub expires_at_ns: u64,
    /// JSON, at most [`proto::limits::EVENT_PAYLOAD_BYTES`].
    pub payload: Bytes,
}

/// The headline of a kind.
#[must_use]
pub const fn title(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Message => "Message",
        EventKind::Alert => "Alert",
        EventKind::BacktestFinished => "Backtest finished",
        EventKind::StrategyChanged => "Strategy changed",
        EventKind::WorkspaceChanged => "Workspace changed",
        EventKind::AgentExecution => "Agent",
        EventKind::PortfolioUpdate => "Portfolio",
        EventKind::OrderProposed => "Order waits for approval",
        EventKind::OrderFilled => "Order filled",
        EventKind::GapFill => "Events expired",
    }
}

impl Notification {
    /// The headline.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        title(self.kind)
    }

    /// The payload; `null` if it cannot be read.
    #[must_use]
    pub fn payload_json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or(Value::Null)
    }

    /// The payload in words, plain text of at most 1 000 characters: its member `text` if it has one, else its members one
    /// by one. Control characters other than line breaks are left out, because it ends in mails and chats.
    #[must_use]
    pub fn text(&self) -> String {
        let text = match self.payload_json() {
            Value::String(text) => text,
            Value::Object(members) => match members.get("text") {
                Some(Value::String(text)) => text.clone(),
                _ => members
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", plain(value)))
                    .collect::<Vec<_>>()
                    .join("\n"),
            },
            other => other.to_string(),
        };
        text.chars().filter(|c| *c == '\n' || !c.is_control()).take(TEXT_CHARACTERS).collect()
    }

    /// As webhooks and WebSockets show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "event_id": self.event_id.to_string(),
            "kind": self.kind.name(),
            "title": self.title(),
            "text": self.text(),
            "created_at_ns": self.created_at_ns,
            "recorded_at_ns": self.recorded_at_ns,
            "payload": self.payload_json(),
        })
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Listed {
    /// As the page shows it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = self.notification.to_json();
        value["state"] = self.state.name().into();
        value["channel"] = self.channel.as_str().into();
        value["read"] = self.read.into();
        value
    }
}

/// The place in an outbox from what a store keeps; an outbox is empty for what the platform said.
pub(crate) fn position(outbox_id: &str, sequence: u64) -> Option<Position> {
    Some(Position { outbox_id: outbox_id.parse::<OutboxId>().ok()?, sequence })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(payload: &'static [u8]) -> Notification {
        Notification {
            user_id: UserId::from_bits(1),
            number: 1,
            event_id: EventId::from_bits(2),
            position: None,
            kind: EventKind::Alert,
            created_at_ns: 1,
            expires_at_ns: 0,
            recorded_at_ns: 2,
            payload: Bytes::from_static(payload),
        }
    }

    #[test]
    fn the_text_of_a_payload_is_plain_and_bounded() {
        assert_eq!(with(br#"{"text":"BTC\r\n\u0007 fell","command_id":1}"#).text(), "BTC\n fell");
        assert_eq!(with(br#"{"side":"buy","size":"0.1"}"#).text(), "side: buy\nsize: 0.1");
        assert_eq!(with(b"\"\xff\"").text(), "null");
        let long = format!("{{\"text\":\"{}\"}}", "é".repeat(5000));
        let long = Notification { payload: long.into(), ..with(b"") };
        assert_eq!(long.text().chars().count(), TEXT_CHARACTERS);
    }

    #[test]
    fn states_keep_their_numbers() {
        for state in State::ALL {
            assert_eq!(State::from_number(state.number()), Some(state));
        }
        assert_eq!(State::from_number(5), None);
    }
}
