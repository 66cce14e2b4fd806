//! How a user wants to be told: which channels in which order, what not at all, and when not.

use crate::channels::AddressError;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use prometheus_client::encoding::EncodeLabelValue;
use proto::EventKind;
use serde::{Deserialize, Serialize};

/// Most events kinds that one list may name.
const KINDS_MAX: usize = EventKind::ALL.len();
/// Longest address of a webhook or mailbox, in bytes.
const ADDRESS_BYTES: usize = 2048;

/// A way to reach a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, EncodeLabelValue)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// A page that is open; counts as delivered when the page confirms it.
    Session,
    /// A linked Telegram chat.
    Telegram,
    /// An HTTPS address of the user's.
    Webhook,
    /// A mailbox.
    Email,
}

impl ChannelKind {
    /// All channels, in the order in which they are tried by default.
    pub const ALL: [Self; 4] = [Self::Session, Self::Telegram, Self::Webhook, Self::Email];

    /// The name in the store and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Telegram => "telegram",
            Self::Webhook => "webhook",
            Self::Email => "email",
        }
    }
}

/// A span of each day in which only what is urgent is pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// `22:00`.
    pub from: String,
    /// `07:00`; before `from` it is the next day's.
    pub to: String,
    /// IANA name, e.g. `Europe/Berlin`.
    pub time_zone: String,
    /// Kinds that are pushed all the same.
    #[serde(default)]
    pub except: Vec<String>,
}

/// What a user prefers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preferences {
    /// Channels, each at most once; the next is tried when one fails.
    pub channels: Vec<ChannelKind>,
    /// Kinds that are recorded and listed but not pushed.
    pub muted: Vec<String>,
    /// When not to be disturbed.
    pub quiet_hours: Option<QuietHours>,
    /// Where webhooks go.
    pub webhook_url: Option<String>,
    /// Where mail goes; the caller has verified that it is the user's.
    pub email: Option<String>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            channels: ChannelKind::ALL.to_vec(),
            muted: Vec::new(),
            quiet_hours: None,
            webhook_url: None,
            email: None,
        }
    }
}

/// Why preferences are not taken; names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreferenceError {
    /// A channel stands twice.
    #[error("channels: {} stands twice", .0.name())]
    Twice(ChannelKind),
    /// No such kind of event.
    #[error("{field}: no such kind of event")]
    Kind {
        /// The list.
        field: &'static str,
    },
    /// A list that names more kinds than there are.
    #[error("{field}: {got} kinds, at most {KINDS_MAX}")]
    TooMany {
        /// The list.
        field: &'static str,
        /// Its length.
        got: usize,
    },
    /// No time of day.
    #[error("{field}: not a time such as 22:00")]
    Time {
        /// The field.
        field: &'static str,
    },
    /// Nothing would be quiet, or everything.
    #[error("quiet_hours.to: the same as quiet_hours.from")]
    Empty,
    /// No such zone.
    #[error("quiet_hours.time_zone: unknown")]
    Zone,
    /// Too long.
    #[error("{field}: {got} bytes, at most {ADDRESS_BYTES}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length.
        got: usize,
    },
    /// An address that is never called.
    #[error("webhook_url: {0}")]
    Webhook(#[from] AddressError),
    /// No mailbox.
    #[error("email: not an address")]
    Email,
}

fn check_kinds(field: &'static str, names: &[String]) -> Result<(), PreferenceError> {
    if names.len() > KINDS_MAX {
        return Err(PreferenceError::TooMany { field, got: names.len() });
    }
    let known = |name: &String| EventKind::from_name(name).is_some_and(|kind| kind != EventKind::GapFill);
    if names.iter().all(known) { Ok(()) } else { Err(PreferenceError::Kind { field }) }
}

fn time(field: &'static str, text: &str) -> Result<Time, PreferenceError> {
    Time::strptime("%H:%M", text).map_err(|_| PreferenceError::Time { field })
}

fn names(list: &[String], kind: EventKind) -> bool {
    list.iter().any(|name| name == kind.name())
}

impl QuietHours {
    fn check(&self) -> Result<(), PreferenceError> {
        let (from, to) = (time("quiet_hours.from", &self.from)?, time("quiet_hours.to", &self.to)?);
        if from == to {
            return Err(PreferenceError::Empty);
        }
        TimeZone::get(&self.time_zone).map_err(|_| PreferenceError::Zone)?;
        check_kinds("quiet_hours.except", &self.except)
    }

    /// When the quiet hours end that `now_ns` lies in; `None` if it lies in none. What cannot be read is never quiet: it
    /// was checked when it was stored, so this is a zone that the machine has lost.
    #[must_use]
    pub fn end_ns(&self, now_ns: u64) -> Option<u64> {
        let zone = TimeZone::get(&self.time_zone).ok()?;
        let now = Timestamp::from_nanosecond(i128::from(now_ns)).ok()?.to_zoned(zone);
        let (from, to) = (time("from", &self.from).ok()?, time("to", &self.to).ok()?);
        let clock = now.time();
        let quiet = if from < to { clock >= from && clock < to } else { clock >= from || clock < to };
        if !quiet {
            return None;
        }
        // A time that the zone skips or repeats on this day is resolved as jiff does it: never before `to`'s first moment.
        let date = if clock < to { now.date() } else { now.date().checked_add(1.day()).ok()? };
        let end = date.to_datetime(to).to_zoned(now.time_zone().clone()).ok()?;
        u64::try_from(end.timestamp().as_nanosecond()).ok().filter(|end| *end > now_ns)
    }

    /// Whether this kind is pushed all the same.
    #[must_use]
    pub fn excepts(&self, kind: EventKind) -> bool {
        names(&self.except, kind)
    }
}

impl Preferences {
    /// Checks everything that can be checked without asking anybody.
    ///
    /// # Errors
    /// [`PreferenceError`], which names the field.
    pub fn check(&self) -> Result<(), PreferenceError> {
        for (at, channel) in self.channels.iter().enumerate() {
            if self.channels[..at].contains(channel) {
                return Err(PreferenceError::Twice(*channel));
            }
        }
        check_kinds("muted", &self.muted)?;
        if let Some(quiet) = &self.quiet_hours {
            quiet.check()?;
        }
        for (field, address) in [("webhook_url", &self.webhook_url), ("email", &self.email)] {
            if let Some(address) = address
                && address.len() > ADDRESS_BYTES
            {
                return Err(PreferenceError::TooLong { field, got: address.len() });
            }
        }
        match &self.email {
            Some(email) if email.parse::<lettre::Address>().is_err() => Err(PreferenceError::Email),
            _ => Ok(()),
        }
    }

    /// Whether this kind is listed only.
    #[must_use]
    pub fn mutes(&self, kind: EventKind) -> bool {
        names(&self.muted, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
    }

    fn quiet(from: &str, to: &str, zone: &str) -> QuietHours {
        QuietHours { from: from.into(), to: to.into(), time_zone: zone.into(), except: Vec::new() }
    }

    #[test]
    fn quiet_hours_end_at_their_hour_in_the_users_zone() {
        let night = quiet("22:00", "07:00", "Europe/Berlin");
        let cases = [
            ("2026-01-10T20:59:59Z", None),
            ("2026-01-10T21:00:00Z", Some("2026-01-11T06:00:00Z")),
            ("2026-01-11T05:59:59Z", Some("2026-01-11T06:00:00Z")),
            ("2026-01-11T06:00:00Z", None),
            // The night in which summer time begins is an hour shorter.
            ("2026-03-28T22:00:00Z", Some("2026-03-29T05:00:00Z")),
        ];
        for (now, end) in cases {
            assert_eq!(night.end_ns(ns(now)), end.map(ns), "{now}");
        }
        let noon = quiet("12:00", "13:30", "UTC");
        assert_eq!(noon.end_ns(ns("2026-01-10T13:29:00Z")), Some(ns("2026-01-10T13:30:00Z")));
        assert_eq!(noon.end_ns(ns("2026-01-10T11:59:00Z")), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_field() {
        let with = |change: fn(&mut Preferences)| {
            let mut preferences = Preferences::default();
            change(&mut preferences);
            preferences.check().unwrap_err().to_string()
        };
        assert_eq!(with(|p| p.channels = vec![ChannelKind::Email; 2]), "channels: email stands twice");
        assert_eq!(with(|p| p.muted = vec!["nothing".into()]), "muted: no such kind of event");
        assert_eq!(
            with(|p| p.quiet_hours = Some(quiet("7", "8", "UTC"))),
            "quiet_hours.from: not a time such as 22:00"
        );
        assert_eq!(
            with(|p| p.quiet_hours = Some(quiet("07:00", "07:00", "UTC"))),
            "quiet_hours.to: the same as quiet_hours.from"
        );
        assert_eq!(
            with(|p| p.quiet_hours = Some(quiet("07:00", "08:00", "Mars/Base"))),
            "quiet_hours.time_zone: unknown"
        );
        assert_eq!(with(|p| p.email = Some("a@b\r\nBcc: c@d".into())), "email: not an address");
        assert_eq!(with(|p| p.webhook_url = Some("x".repeat(2049))), "webhook_url: 2049 bytes, at most 2048");
        assert!(Preferences::default().check().is_ok());
    }
}
