//! From frames to what is written: decode with the venue's adapter, check, and count. Pure.

use proto::Symbol;
use proto::market::{Quote, Source, Tick};
use std::collections::BTreeMap;
use std::time::Duration;
use venues::{Adapter, Event, PartialQuotes, Rejection};

/// Reasons of our own for dead letters, beside those of [`venues::Reason`].
pub(crate) mod reason {
    /// A trade far ahead of our clock: it would move the watermark of its symbol past everything else.
    pub(crate) const FUTURE: &str = "future_event_time";
    /// A line of a recording that is not `<receive_ns> <frame>`.
    pub(crate) const BAD_LINE: &str = "bad_line";
    /// A recording whose frames no adapter reads.
    pub(crate) const UNRECOGNISED: &str = "unrecognised_file";
}

/// Where a dead letter comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The frame could not be read.
    Raw,
    /// The event in it could not be accepted.
    Normalised,
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Index of its frame.
    pub(crate) frame: usize,
    pub(crate) stage: Stage,
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
}

/// What some frames said, each thing with the index of its frame.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) ticks: Vec<(usize, Tick)>,
    pub(crate) quotes: Vec<(usize, Quote)>,
    pub(crate) refusals: Vec<Refusal>,
    /// Ids that are no trades and no holes either, with the index of their frame.
    pub(crate) void: Vec<(usize, Symbol, u64)>,
    pub(crate) ignored: BTreeMap<&'static str, u64>,
    /// What the venue said about errors.
    pub(crate) venue_errors: Vec<String>,
    /// True if a subscription was confirmed or data came.
    pub(crate) subscribed: bool,
}

/// Decodes frames of one connection.
#[derive(Debug, Default)]
pub(crate) struct Normaliser {
    quotes: PartialQuotes,
    events: Vec<Event>,
}

/// What the frames of a source have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceRules {
    pub(crate) source: Source,
    pub(crate) future_tolerance: Duration,
}

impl Normaliser {
    /// Adds what a frame says to `out`.
    pub(crate) fn frame(
        &mut self,
        adapter: &dyn Adapter,
        rules: SourceRules,
        (index, payload, receive_time_ns): (usize, &[u8], u64),
        out: &mut Decoded,
    ) {
        self.events.clear();
        if let Err(rejection) = adapter.decode(payload, receive_time_ns, &mut self.events) {
            out.refusals.push(refusal(index, rejection));
            return;
        }
        let tolerance_ns = u64::try_from(rules.future_tolerance.as_nanos()).unwrap_or(u64::MAX);
        let latest_ns = receive_time_ns.saturating_add(tolerance_ns);
        let partial = adapter.profile().partial_quotes;
        for event in self.events.drain(..) {
            match if partial { self.quotes.complete(event) } else { event } {
                Event::Tick(tick) if tick.event_time_ns > latest_ns => out.refusals.push(Refusal {
                    frame: index,
                    stage: Stage::Normalised,
                    reason: reason::FUTURE,
                    detail: format!("{} is {} ns ahead", tick.symbol, tick.event_time_ns - receive_time_ns),
                }),
                Event::Tick(tick) => out.ticks.push((index, Tick { source: rules.source, ..tick })),
                Event::Quote(quote) => out.quotes.push((index, quote)),
                Event::QuoteChange(_) => {}
                Event::VoidTrade { symbol, trade_id } => out.void.push((index, symbol, trade_id)),
                Event::Heartbeat => *out.ignored.entry("heartbeat").or_default() += 1,
                Event::Subscribed(_) => {
                    out.subscribed = true;
                    *out.ignored.entry("subscribed").or_default() += 1;
                }
                Event::VenueError { code, message } => {
                    *out.ignored.entry("venue_error").or_default() += 1;
                    out.venue_errors.push(if code.is_empty() { message } else { format!("{code}: {message}") });
                }
                Event::Ignored(kind) => *out.ignored.entry(kind.label()).or_default() += 1,
                Event::Refused(rejection) => out.refusals.push(refusal(index, rejection)),
            }
        }
    }
}

fn refusal(frame: usize, rejection: Rejection) -> Refusal {
    Refusal { frame, stage: Stage::Raw, reason: rejection.reason.label(), detail: rejection.detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimAdapter;

    const NOW: u64 = 1_723_075_200_000_000_000;
    const RULES: SourceRules = SourceRules { source: Source::Replay, future_tolerance: Duration::from_secs(60) };

    fn decoded(frames: &[&str]) -> Decoded {
        let (mut normaliser, mut out) = (Normaliser::default(), Decoded::default());
        for (index, frame) in frames.iter().enumerate() {
            normaliser.frame(&SimAdapter, RULES, (index, frame.as_bytes(), NOW), &mut out);
        }
        out
    }

    fn trade(id: u64, ms: u64) -> String {
        format!(r#"{{"e":"trade","s":"BTC/USDT","i":{id},"T":{ms},"p":"1.5","q":"2","m":"buy"}}"#)
    }

    #[test]
    fn each_frame_becomes_something_and_keeps_its_index() {
        let out = decoded(&[&trade(1, NOW / 1_000_000), "broken", r#"{"e":"subscribed","s":"BTC/USDT"}"#]);
        assert_eq!((out.ticks.len(), out.ticks[0].0, out.ticks[0].1.source), (1, 0, Source::Replay));
        assert_eq!(
            (out.refusals[0].frame, out.refusals[0].reason, out.refusals[0].stage),
            (1, "malformed", Stage::Raw)
        );
        assert!(out.subscribed);
    }

    #[test]
    fn a_trade_from_the_future_is_refused_and_one_within_the_tolerance_is_not() {
        let out = decoded(&[&trade(1, NOW / 1_000_000 + 59_000), &trade(2, NOW / 1_000_000 + 61_000)]);
        assert_eq!(out.ticks.len(), 1);
        assert_eq!((out.refusals[0].reason, out.refusals[0].stage), (reason::FUTURE, Stage::Normalised));
    }
}
