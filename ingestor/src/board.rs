//! The health of one venue's feed as the platform sees it: collected from all its parts, written as a feed status.

use crate::metrics::VenueMetrics;
use proto::Venue;
use proto::wire::{self, FeedMode, FeedState};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Silence of a feed that is shown as stale, if the venue has no limit of its own.
const STALE_AFTER: Duration = Duration::from_secs(60);
/// Longest detail in a status.
const DETAIL_BYTES: usize = 200;
/// How long a note is shown.
const NOTE_SHOWN: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
struct Links {
    /// State and detail of each connection.
    by_name: BTreeMap<String, (FeedState, String)>,
    log_failure: Option<String>,
    note: Option<(String, Instant)>,
}

/// The board of one venue.
#[derive(Debug)]
pub(crate) struct Board {
    venue: Venue,
    ingestor_id: String,
    mode: FeedMode,
    symbols: u32,
    /// A live feed without data for this long is shown as stale.
    stale_after: Duration,
    /// What the venue's parts count.
    pub(crate) metrics: VenueMetrics,
    last_event_ns: AtomicU64,
    last_receive_ns: AtomicU64,
    links: Mutex<Links>,
    changed: Notify,
}

impl Board {
    pub(crate) fn new(venue: &Venue, ingestor_id: &str, mode: FeedMode, metrics: VenueMetrics) -> Self {
        Self {
            stale_after: STALE_AFTER,
            venue: venue.clone(),
            ingestor_id: ingestor_id.to_owned(),
            mode,
            symbols: 0,
            metrics,
            last_event_ns: AtomicU64::new(0),
            last_receive_ns: AtomicU64::new(0),
            links: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The same board for a number of symbols, and with the venue's own limit of silence.
    pub(crate) fn streaming(self, symbols: usize, stale_after: Duration) -> Self {
        Self { symbols: u32::try_from(symbols).unwrap_or(u32::MAX), stale_after, ..self }
    }

    pub(crate) const fn venue(&self) -> &Venue {
        &self.venue
    }

    fn links(&self) -> std::sync::MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state of a connection.
    pub(crate) fn set_link(&self, name: &str, state: FeedState, detail: &str) {
        let value = (state, detail.to_owned());
        let mut links = self.links();
        if links.by_name.get(name) != Some(&value) {
            links.by_name.insert(name.to_owned(), value);
            drop(links);
            self.changed.notify_one();
        }
    }

    /// The log refuses appends (`Some`), or takes them again.
    pub(crate) fn set_log_failure(&self, failure: Option<String>) {
        let mut links = self.links();
        if links.log_failure != failure {
            links.log_failure = failure;
            drop(links);
            self.changed.notify_one();
        }
    }

    /// Something a human should read: for [`NOTE_SHOWN`], or until the next one.
    pub(crate) fn note(&self, text: String) {
        self.links().note = Some((text, Instant::now()));
        self.changed.notify_one();
    }

    /// A trade or quote was written.
    pub(crate) fn event(&self, event_time_ns: u64, receive_time_ns: u64) {
        self.last_event_ns.fetch_max(event_time_ns, Ordering::Relaxed);
        self.last_receive_ns.fetch_max(receive_time_ns, Ordering::Relaxed);
    }

    /// Waits for a change of state.
    ///
    /// # Cancel safety
    /// Cancel-safe; several changes may be reported as one.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The status now.
    pub(crate) fn status(&self, now_ns: u64, leaving: bool) -> wire::FeedStatus {
        let (mut state, mut detail) = self.links().summary();
        let last_receive_ns = self.last_receive_ns.load(Ordering::Relaxed);
        let silence = Duration::from_nanos(now_ns.saturating_sub(last_receive_ns));
        if state == FeedState::Live && last_receive_ns > 0 && silence > self.stale_after {
            (state, detail) = (FeedState::Stale, format!("no data for {} s", silence.as_secs()));
        }
        let metrics = &self.metrics;
        wire::FeedStatus {
            venue: self.venue.to_string(),
            ingestor_id: self.ingestor_id.clone(),
            mode: self.mode as i32,
            state: state as i32,
            sent_at_ns: now_ns,
            last_event_time_ns: self.last_event_ns.load(Ordering::Relaxed),
            last_receive_time_ns: last_receive_ns,
            symbols: self.symbols,
            ticks: metrics.ticks.get(),
            quotes: metrics.quotes.get(),
            rejected: metrics.rejections.get(),
            reconnects: metrics.reconnects.get(),
            gaps: metrics.gaps.get(),
            repaired_trades: metrics.repaired_trades.get(),
            detail,
            leaving,
        }
    }
}

/// The worse a state, the higher.
const fn severity(state: FeedState) -> u8 {
    match state {
        FeedState::Down => 5,
        FeedState::Stale => 4,
        FeedState::Connecting => 3,
        FeedState::Live => 2,
        FeedState::Ended => 1,
        FeedState::Unspecified => 0,
    }
}

impl Links {
    /// The worst state of all connections and what goes with it; a log that fails is worse than any connection.
    fn summary(&self) -> (FeedState, String) {
        if let Some(failure) = &self.log_failure {
            return (FeedState::Down, cut(&format!("log: {failure}")));
        }
        let worst = self.by_name.iter().max_by_key(|(_, (state, _))| severity(*state));
        let Some((name, (state, detail))) = worst else { return (FeedState::Connecting, String::new()) };
        let note = self.note.as_ref().filter(|(_, since)| since.elapsed() < NOTE_SHOWN);
        let text = match (note, detail.is_empty()) {
            (Some((note, _)), true) => note.clone(),
            (None, true) => String::new(),
            (_, false) => format!("{name}: {detail}"),
        };
        (*state, cut(&text))
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(DETAIL_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::IngestorMetrics;

    fn board() -> Board {
        let venue: Venue = "SIM".parse().unwrap();
        let metrics = IngestorMetrics::new(&service::metrics::Metrics::new()).venue(&venue);
        Board::new(&venue, "ing-1", FeedMode::Sim, metrics).streaming(2, Duration::from_secs(10))
    }

    #[test]
    fn a_live_feed_without_data_is_stale_until_data_comes() {
        let board = board();
        let second = 1_000_000_000;
        board.set_link("ws-0", FeedState::Live, "");
        board.event(100 * second, 100 * second);
        assert_eq!(board.status(110 * second, false).state(), FeedState::Live);
        assert_eq!(board.status(111 * second, false).state(), FeedState::Stale);
        board.event(112 * second, 112 * second);
        assert_eq!(board.status(113 * second, false).state(), FeedState::Live);
    }

    #[test]
    fn the_worst_connection_decides_the_state_and_a_failing_log_above_all() {
        let board = board();
        assert_eq!(board.status(1, false).state(), FeedState::Connecting);
        board.set_link("ws-0", FeedState::Live, "");
        board.set_link("ws-1", FeedState::Connecting, "refused");
        let status = board.status(1, false);
        assert_eq!((status.state(), status.detail.as_str()), (FeedState::Connecting, "ws-1: refused"));
        board.set_log_failure(Some("no space left".into()));
        assert_eq!(board.status(1, false).state(), FeedState::Down);
        board.set_log_failure(None);
        board.set_link("ws-1", FeedState::Live, "");
        assert_eq!(board.status(1, true), wire::FeedStatus { leaving: true, ..board.status(1, false) });
        assert_eq!(board.status(1, false).state(), FeedState::Live);
    }

    #[test]
    fn a_long_detail_is_cut_at_a_character() {
        let board = board();
        board.set_link("ws-0", FeedState::Down, &"é".repeat(500));
        assert!(board.status(1, false).detail.len() <= DETAIL_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_is_shown_for_a_while() {
        let board = board();
        board.set_link("ws-0", FeedState::Live, "");
        board.note("the venue is slow".into());
        tokio::time::advance(NOTE_SHOWN - Duration::from_secs(1)).await;
        assert_eq!(board.status(1, false).detail, "the venue is slow");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(board.status(1, false).detail, "");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_real_change_wakes_the_publisher() {
        let board = board();
        board.set_link("ws-0", FeedState::Live, "");
        board.changed().await;
        board.set_link("ws-0", FeedState::Live, "");
        let again = tokio::time::timeout(Duration::from_secs(5), board.changed()).await;
        assert!(again.is_err());
    }
}
