//! Until when a quiet feed is known to be complete: what lets the candles of a quiet market close.
//!
//! A connection delivers in order, so when a frame or a pong arrives, everything that the venue sent before it is here.
//! The venue's clock and ours differ, and a trade takes a while to get out; both show as `receive - event` of the trades
//! that came, and the largest of the last minutes is what a heartbeat stays behind.

use proto::Symbol;
use std::collections::HashMap;
use std::time::Duration;

/// Half of the time over which the largest delay is remembered.
const WINDOW_NS: u64 = 60_000_000_000;

/// The largest recent delay from event to receipt; negative if the venue's clock is ahead of ours.
#[derive(Debug, Default)]
pub(crate) struct FeedDelay {
    current: Option<i64>,
    previous: Option<i64>,
    window_start_ns: u64,
}

impl FeedDelay {
    pub(crate) fn observe(&mut self, event_time_ns: u64, receive_time_ns: u64) {
        if receive_time_ns >= self.window_start_ns.saturating_add(WINDOW_NS) {
            self.previous = self.current.take().or(self.previous);
            self.window_start_ns = receive_time_ns;
        }
        let delay = receive_time_ns.cast_signed().saturating_sub(event_time_ns.cast_signed());
        self.current = Some(self.current.map_or(delay, |largest| largest.max(delay)));
    }

    /// The largest delay seen in the last one to two minutes with trades.
    pub(crate) fn largest_ns(&self) -> Option<i64> {
        match (self.current, self.previous) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}

#[derive(Debug, Default)]
struct Quiet {
    last_event_ns: u64,
    last_tick_received_ns: u64,
    last_heartbeat_ns: u64,
}

/// Decides which symbols of a connection get a heartbeat.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    every: Duration,
    margin: Duration,
    delay: FeedDelay,
    /// When the last frame or pong arrived, our clock; 0 if the connection proves nothing now.
    proven_ns: u64,
    symbols: HashMap<Symbol, Quiet>,
}

impl Heartbeats {
    pub(crate) fn new(every: Duration, margin: Duration) -> Self {
        Self { every, margin, delay: FeedDelay::default(), proven_ns: 0, symbols: HashMap::new() }
    }

    /// A trade was written.
    pub(crate) fn tick(&mut self, symbol: &Symbol, event_time_ns: u64, receive_time_ns: u64) {
        self.delay.observe(event_time_ns, receive_time_ns);
        if let Some(quiet) = self.symbols.get_mut(symbol) {
            quiet.last_event_ns = quiet.last_event_ns.max(event_time_ns);
            quiet.last_tick_received_ns = quiet.last_tick_received_ns.max(receive_time_ns);
            return;
        }
        let quiet =
            Quiet { last_event_ns: event_time_ns, last_tick_received_ns: receive_time_ns, last_heartbeat_ns: 0 };
        self.symbols.insert(symbol.clone(), quiet);
    }

    /// Something arrived, and everything before it was written.
    pub(crate) fn proven(&mut self, receive_time_ns: u64) {
        self.proven_ns = self.proven_ns.max(receive_time_ns);
    }

    /// The connection is gone: nothing is proven until the next one delivers.
    pub(crate) const fn lost(&mut self) {
        self.proven_ns = 0;
    }

    /// The heartbeats to write now, with their event time, for symbols that are quiet and `complete`.
    pub(crate) fn due(&mut self, now_ns: u64, complete: impl Fn(&Symbol) -> bool) -> Vec<(Symbol, u64)> {
        let (Some(delay), true) = (self.delay.largest_ns(), self.proven_ns > 0) else { return Vec::new() };
        let behind = delay.saturating_add_unsigned(nanos(self.margin));
        let until_ns = self.proven_ns.saturating_add_signed(behind.saturating_neg());
        let quiet_since_ns = now_ns.saturating_sub(nanos(self.every));
        let mut due = Vec::new();
        for (symbol, quiet) in &mut self.symbols {
            let news = until_ns > quiet.last_event_ns && until_ns > quiet.last_heartbeat_ns;
            if quiet.last_tick_received_ns <= quiet_since_ns && news && complete(symbol) {
                quiet.last_heartbeat_ns = until_ns;
                due.push((symbol.clone(), until_ns));
            }
        }
        due
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const T: u64 = 1_700_000_000 * S;

    fn quiet_market() -> (Heartbeats, Symbol) {
        let mut heartbeats = Heartbeats::new(Duration::from_secs(1), Duration::from_millis(500));
        let symbol: Symbol = "BTC/USDT".parse().unwrap();
        heartbeats.tick(&symbol, T, T + S / 10);
        (heartbeats, symbol)
    }

    #[test]
    fn a_quiet_symbol_on_a_proven_connection_is_complete_up_to_the_proof_minus_delay_and_margin() {
        let (mut heartbeats, symbol) = quiet_market();
        heartbeats.proven(T + 3 * S);
        assert_eq!(heartbeats.due(T + 4 * S, |_| true), [(symbol, T + 3 * S - S / 10 - S / 2)]);
    }

    #[test]
    fn nothing_is_claimed_without_new_proof() {
        let (mut heartbeats, _) = quiet_market();
        assert!(heartbeats.due(T + 9 * S, |_| true).is_empty());
        heartbeats.proven(T + 3 * S);
        assert_eq!(heartbeats.due(T + 4 * S, |_| true).len(), 1);
        assert!(heartbeats.due(T + 9 * S, |_| true).is_empty());
        heartbeats.lost();
        assert!(heartbeats.due(T + 12 * S, |_| true).is_empty());
    }

    #[test]
    fn a_busy_or_incomplete_symbol_gets_none() {
        let (mut heartbeats, symbol) = quiet_market();
        heartbeats.proven(T + 3 * S);
        assert!(heartbeats.due(T + 4 * S, |_| false).is_empty());
        heartbeats.tick(&symbol, T + 3 * S, T + 3 * S + S / 2);
        assert!(heartbeats.due(T + 4 * S, |_| true).is_empty());
    }

    #[test]
    fn a_venue_whose_clock_is_ahead_is_not_held_back_by_it() {
        let mut heartbeats = Heartbeats::new(Duration::from_secs(1), Duration::from_millis(500));
        let symbol: Symbol = "BTC/USDT".parse().unwrap();
        heartbeats.tick(&symbol, T + S + S / 4, T);
        heartbeats.proven(T + 5 * S);
        assert_eq!(heartbeats.due(T + 5 * S, |_| true), [(symbol, T + 5 * S + S + S / 4 - S / 2)]);
    }

    #[test]
    fn the_largest_delay_is_forgotten_after_some_minutes() {
        let mut delay = FeedDelay::default();
        delay.observe(T, T + 5 * S);
        assert_eq!(delay.largest_ns(), Some((5 * S).cast_signed()));
        for minute in 1..4 {
            delay.observe(T + minute * 60 * S, T + minute * 60 * S + S);
        }
        assert_eq!(delay.largest_ns(), Some(S.cast_signed()));
    }
}
