//! What an ingestor counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use proto::Venue;
use service::metrics::Metrics;

/// A configured venue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct VenueLabel {
    venue: String,
}

/// A venue and a word of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    venue: String,
    reason: &'static str,
}

macro_rules! metrics {
    ($($module:literal { $($field:ident: $help:literal,)+ })+) => {
        /// Counters of all venues of a process.
        #[derive(Debug, Clone)]
        pub(crate) struct IngestorMetrics {
            $($($field: Family<VenueLabel, Counter>,)+)+
            rejected: Family<ReasonLabel, Counter>,
            ignored: Family<ReasonLabel, Counter>,
            rest_answers: Family<ReasonLabel, Counter>,
            history_jobs: Family<ReasonLabel, Counter>,
            missing: Family<VenueLabel, Gauge>,
            history_queued: Family<VenueLabel, Gauge>,
        }

        /// Counters of one venue.
        #[derive(Debug, Clone)]
        pub(crate) struct VenueMetrics {
            venue: String,
            all: IngestorMetrics,
            $($(#[doc = $help] pub(crate) $field: Counter,)+)+
            /// Trades known to be missing now.
            pub(crate) missing: Gauge,
            /// History jobs that wait.
            pub(crate) history_queued: Gauge,
        }

        impl IngestorMetrics {
            /// Registers everything.
            pub(crate) fn new(metrics: &Metrics) -> Self {
                let feed = metrics.module("ingestor_feed");
                let history = metrics.module("ingestor_history");
                Self {
                    $($($field: metrics.module($module).counter_vec(concat!(stringify!($field), "_total"), $help),)+)+
                    rejected: feed.counter_vec("rejected_total", "Frames, items and REST rows that went to a dead letter"),
                    ignored: feed.counter_vec("ignored_total", "Known frames that carry nothing for us"),
                    rest_answers: metrics.module("ingestor_rest").counter_vec("answers_total", "REST answers by outcome"),
                    history_jobs: history.counter_vec("jobs_total", "History jobs ended, by outcome"),
                    missing: feed.gauge_vec("missing_trades", "Trades known to be missing now"),
                    history_queued: history.gauge_vec("queued_jobs", "History jobs that wait for a worker"),
                }
            }

            /// The counters of a venue.
            pub(crate) fn venue(&self, venue: &Venue) -> VenueMetrics {
                let label = VenueLabel { venue: venue.to_string() };
                VenueMetrics {
                    $($($field: self.$field.get_or_create(&label).clone(),)+)+
                    missing: self.missing.get_or_create(&label).clone(),
                    history_queued: self.history_queued.get_or_create(&label).clone(),
                    venue: label.venue,
                    all: self.clone(),
                }
            }
        }
    };
}

metrics! {
    "ingestor_feed" {
        frames: "WebSocket frames received",
        frame_bytes: "Bytes of WebSocket frames received",
        ticks: "Trades written",
        quotes: "Quotes written",
        rejections: "Things that went to a dead letter, whatever the reason",
        heartbeats: "Heartbeats written for quiet symbols",
        connects: "Connections opened",
        reconnects: "Connections lost",
        mutes: "Connections given up because nothing came",
        rollovers: "Connections replaced before the venue closes them",
        gaps: "Holes in trade ids, and pauses where ids do not tell",
        repaired_trades: "Trades fetched to fill a hole",
        abandoned_trades: "Missing trades that were given up",
        venue_errors: "Errors reported by the venue on a connection",
    }
    "ingestor_log" {
        append_failures: "Appends that failed and were tried again",
    }
    "ingestor_rest" {
        requests: "REST requests sent",
        waits: "REST requests that waited for the rate limit",
    }
    "ingestor_history" {
        requests_refused: "History requests refused because the queue was full",
        jobs_taken_over: "Jobs taken over from an ingestor that is gone",
        jobs_forgotten: "Jobs of other ingestors dropped unfinished",
        work_malformed: "Work items that are not valid",
    }
}

impl VenueMetrics {
    fn reason(&self, reason: &'static str) -> ReasonLabel {
        ReasonLabel { venue: self.venue.clone(), reason }
    }

    /// Something went to a dead letter.
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejections.inc();
        self.all.rejected.get_or_create(&self.reason(reason)).inc();
    }

    /// Known frames that carry nothing for us.
    pub(crate) fn ignored(&self, kind: &'static str, count: u64) {
        self.all.ignored.get_or_create(&self.reason(kind)).inc_by(count);
    }

    /// A REST answer came, or none.
    pub(crate) fn rest_answer(&self, outcome: &'static str) {
        self.all.rest_answers.get_or_create(&self.reason(outcome)).inc();
    }

    /// A history job ended.
    pub(crate) fn history_job(&self, outcome: &'static str) {
        self.all.history_jobs.get_or_create(&self.reason(outcome)).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_a_venue_are_rendered_with_its_name_and_reasons() {
        let metrics = Metrics::new();
        let venue = IngestorMetrics::new(&metrics).venue(&"SIM".parse().unwrap());
        venue.ticks.inc_by(3);
        venue.rejected("malformed");
        let page = metrics.render();
        assert!(page.contains("ingestor_feed_ticks_total{venue=\"SIM\"} 3"), "{page}");
        assert!(page.contains("ingestor_feed_rejected_total{venue=\"SIM\",reason=\"malformed\"} 1"), "{page}");
        assert!(page.contains("ingestor_feed_rejections_total{venue=\"SIM\"} 1"), "{page}");
    }
}
