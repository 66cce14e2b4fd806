//! Feeds and instruments as the event log tells them: who streams what, and how healthy it is.

pub(crate) mod reader;

use crate::view::{FeedState, FeedView, HealthStatus, HealthView, InstrumentView, Mode};
use proto::market::valid_time;
use proto::{Symbol, Venue, wire};
use std::collections::BTreeMap;
use std::time::Duration;

/// Statuses come every second; an ingestor that is silent for longer is gone.
const LEASE: Duration = Duration::from_secs(5);
/// A feed that is gone is shown as down so long.
pub(crate) const FORGET: Duration = Duration::from_secs(60);
const NS_PER_MS: u64 = 1_000_000;

/// Something that the gateway needs and does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    RelayDisconnected,
    LogUnreadable,
}

impl Problem {
    const fn text(self) -> &'static str {
        match self {
            Self::RelayDisconnected => "no connection to the relay: live data does not arrive",
            Self::LogUnreadable => "the event log cannot be read: feeds and instruments may be old",
        }
    }
}

/// Whether a symbol exists at a venue, as far as the gateway knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Yes,
    No,
    /// Nothing is known of the venue's instruments.
    Unsure,
}

/// A record that is not valid; names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}: missing or not valid")]
pub(crate) struct BadRecord(&'static str);

/// A venue with its best feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VenueSummary {
    pub(crate) venue: String,
    pub(crate) mode: Mode,
    pub(crate) state: FeedState,
    pub(crate) symbols: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    feeds: BTreeMap<(String, String), wire::FeedStatus>,
    instruments: BTreeMap<(Venue, Symbol), InstrumentView>,
}

impl Directory {
    /// Takes a feed's status. Returns false if it is older than the one known.
    pub(crate) fn apply_feed(&mut self, status: wire::FeedStatus) -> Result<bool, BadRecord> {
        let venue: Venue = status.venue.parse().map_err(|_| BadRecord("venue"))?;
        if status.ingestor_id.is_empty() || status.ingestor_id.len() > 64 {
            return Err(BadRecord("ingestor_id"));
        }
        mode(&status).ok_or(BadRecord("mode"))?;
        state(&status).ok_or(BadRecord("state"))?;
        if !valid_time(status.sent_at_ns) {
            return Err(BadRecord("sent_at_ns"));
        }
        let key = (venue.to_string(), status.ingestor_id.clone());
        if self.feeds.get(&key).is_some_and(|known| known.sent_at_ns > status.sent_at_ns) {
            return Ok(false);
        }
        if status.leaving {
            self.feeds.remove(&key);
        } else {
            self.feeds.insert(key, status);
        }
        Ok(true)
    }

    /// Forgets feeds that have been gone for long.
    pub(crate) fn sweep(&mut self, now_ns: u64) {
        self.feeds.retain(|_, status| age(now_ns, status.sent_at_ns) < FORGET);
    }

    /// Takes an instrument.
    pub(crate) fn apply_instrument(&mut self, instrument: &wire::Instrument) -> Result<(), BadRecord> {
        let venue: Venue = instrument.venue.parse().map_err(|_| BadRecord("venue"))?;
        let symbol: Symbol = instrument.symbol.parse().map_err(|_| BadRecord("symbol"))?;
        let number = |value: Option<&wire::Decimal>| {
            value.and_then(|value| proto::Decimal::try_from(value).ok()).filter(|n| n.is_positive())
        };
        let view = InstrumentView {
            venue: instrument.venue.clone(),
            symbol: instrument.symbol.clone(),
            venue_symbol: instrument.venue_symbol.clone(),
            base: instrument.base.clone(),
            quote: instrument.quote.clone(),
            kind: match instrument.kind() {
                wire::InstrumentKind::Spot => "spot",
                wire::InstrumentKind::Perpetual => "perpetual",
                wire::InstrumentKind::Future => "future",
                wire::InstrumentKind::Unspecified => return Err(BadRecord("kind")),
            },
            status: match instrument.status() {
                wire::InstrumentStatus::Trading => "trading",
                wire::InstrumentStatus::Halted => "halted",
                wire::InstrumentStatus::Closed => "closed",
                wire::InstrumentStatus::Unspecified => return Err(BadRecord("status")),
            },
            tick_size: number(instrument.tick_size.as_ref()).map(|n| n.to_string()),
            lot_size: number(instrument.lot_size.as_ref()).map(|n| n.to_string()),
            min_notional: number(instrument.min_notional.as_ref()).map(|n| n.to_string()),
            live: instrument.live,
        };
        self.instruments.insert((venue, symbol), view);
        Ok(())
    }

    /// Number of feeds and instruments.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.feeds.len(), self.instruments.len())
    }

    pub(crate) fn knows(&self, venue: &Venue, symbol: &Symbol) -> Known {
        if self.instruments.contains_key(&(venue.clone(), symbol.clone())) {
            return Known::Yes;
        }
        let any = self.instruments.keys().any(|(known, _)| known == venue);
        if any { Known::No } else { Known::Unsure }
    }

    /// All feeds as they are now.
    pub(crate) fn feeds(&self, now_ns: u64) -> Vec<FeedView> {
        self.feeds.values().filter_map(|status| feed_view(status, now_ns)).collect()
    }

    /// Overall health.
    pub(crate) fn health(&self, problems: &[Problem], now_ns: u64) -> HealthView {
        let feeds = self.feeds(now_ns);
        let works = |feed: &FeedView| matches!(feed.state, FeedState::Live | FeedState::Ended);
        let mut texts: Vec<&'static str> = problems.iter().map(|problem| problem.text()).collect();
        if feeds.is_empty() {
            texts.push("no feed is running");
        } else if !feeds.iter().all(works) {
            texts.push("a feed is not live");
        }
        let cut_off = problems.contains(&Problem::RelayDisconnected);
        let silent = !feeds.is_empty() && feeds.iter().all(|f| matches!(f.state, FeedState::Down | FeedState::Stale));
        let status = match (cut_off || silent, texts.is_empty()) {
            (true, _) => HealthStatus::Down,
            (false, true) => HealthStatus::Ok,
            (false, false) => HealthStatus::Degraded,
        };
        HealthView {
            status,
            mode: overall_mode(feeds.iter().map(|feed| feed.mode)),
            version: env!("CARGO_PKG_VERSION"),
            server_time: now_ns,
            problems: texts,
            feeds,
        }
    }

    /// All venues that have a feed or instruments, each with its best feed.
    pub(crate) fn venues(&self, now_ns: u64) -> Vec<VenueSummary> {
        let mut venues: BTreeMap<String, VenueSummary> = BTreeMap::new();
        for (venue, _) in self.instruments.keys() {
            let venue = venue.to_string();
            let nothing = VenueSummary { venue: venue.clone(), mode: Mode::None, state: FeedState::Down, symbols: 0 };
            venues.entry(venue).or_insert(nothing);
        }
        for feed in self.feeds(now_ns) {
            let of_feed =
                VenueSummary { venue: feed.venue.clone(), mode: feed.mode, state: feed.state, symbols: feed.symbols };
            let place = venues.entry(feed.venue).or_insert_with(|| of_feed.clone());
            if place.mode == Mode::None || rank(of_feed.state) < rank(place.state) {
                *place = of_feed;
            }
        }
        venues.into_values().collect()
    }

    /// Instruments of a venue (or all) whose name holds `text`, the most likely ones first: streamed ones, then those whose
    /// base is the text or starts with it.
    pub(crate) fn search(&self, venue: Option<&Venue>, text: &str, limit: usize) -> Vec<InstrumentView> {
        let wanted = plain(text);
        let mut found: Vec<(u8, &InstrumentView)> = self
            .instruments
            .iter()
            .filter(|((of, _), _)| venue.is_none_or(|venue| venue == of))
            .filter_map(|(_, instrument)| Some((likeness(instrument, &wanted)?, instrument)))
            .collect();
        // Stable: equals stay in the order of venue and symbol.
        found.sort_by_key(|(likeness, instrument)| (!instrument.live, *likeness));
        found.into_iter().take(limit).map(|(_, instrument)| instrument.clone()).collect()
    }
}

/// Letters and digits only, upper case: `btc-usdt` finds `BTC/USDT`.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

fn likeness(instrument: &InstrumentView, wanted: &str) -> Option<u8> {
    let symbol = plain(&instrument.symbol);
    if wanted.is_empty() || symbol == wanted || plain(&instrument.base) == wanted {
        Some(0)
    } else if symbol.starts_with(wanted) {
        Some(1)
    } else if symbol.contains(wanted) || plain(&instrument.venue_symbol).contains(wanted) {
        Some(2)
    } else {
        None
    }
}

fn age(now_ns: u64, then_ns: u64) -> Duration {
    Duration::from_nanos(now_ns.saturating_sub(then_ns))
}

fn mode(status: &wire::FeedStatus) -> Option<Mode> {
    match status.mode() {
        wire::FeedMode::Unspecified => None,
        wire::FeedMode::Live => Some(Mode::Live),
        wire::FeedMode::Sim => Some(Mode::Sim),
        wire::FeedMode::Replay => Some(Mode::Replay),
    }
}

fn state(status: &wire::FeedStatus) -> Option<FeedState> {
    match status.state() {
        wire::FeedState::Unspecified => None,
        wire::FeedState::Connecting => Some(FeedState::Connecting),
        wire::FeedState::Live => Some(FeedState::Live),
        wire::FeedState::Stale => Some(FeedState::Stale),
        wire::FeedState::Down => Some(FeedState::Down),
        wire::FeedState::Ended => Some(FeedState::Ended),
    }
}

const fn rank(state: FeedState) -> u8 {
    match state {
        FeedState::Live => 0,
        FeedState::Ended => 1,
        FeedState::Connecting => 2,
        FeedState::Stale => 3,
        FeedState::Down => 4,
    }
}

fn overall_mode(mut modes: impl Iterator<Item = Mode>) -> Mode {
    let Some(first) = modes.next() else { return Mode::None };
    if modes.all(|mode| mode == first) { first } else { Mode::Mixed }
}

fn feed_view(status: &wire::FeedStatus, now_ns: u64) -> Option<FeedView> {
    let silence = age(now_ns, status.sent_at_ns);
    if silence >= FORGET {
        return None;
    }
    let known = |ns: u64| (ns > 0).then_some(ns);
    let gone = silence >= LEASE;
    Some(FeedView {
        venue: status.venue.clone(),
        ingestor: status.ingestor_id.clone(),
        mode: mode(status)?,
        state: if gone { FeedState::Down } else { state(status)? },
        symbols: status.symbols,
        ticks: status.ticks,
        quotes: status.quotes,
        rejected: status.rejected,
        reconnects: status.reconnects,
        gaps: status.gaps,
        repaired_trades: status.repaired_trades,
        last_event_time: known(status.last_event_time_ns),
        last_receive_time: known(status.last_receive_time_ns),
        age_ms: known(status.last_receive_time_ns).map(|then| now_ns.saturating_sub(then) / NS_PER_MS),
        detail: if gone { "the ingestor does not report any more".to_owned() } else { status.detail.clone() },
    })
}

#[cfg(test)]
mod tests;
