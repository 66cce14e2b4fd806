//! The counters of the stream, by module.

use crate::aggregate::Outcome;
use crate::flush::Trigger;
use prometheus_client::metrics::family::Family;
use proto::LogTopic;
use service::metrics::encoding::EncodeLabelSet;
use service::metrics::{
    Counter, EncodeLabelValue, Gauge, Histogram, LabelValueEncoder, Metrics, ModuleMetrics, exponential_buckets,
};
use std::fmt::{self, Write as _};

/// A label from a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Word(pub(crate) &'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.0)
    }
}

/// What became of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    outcome: Word,
}

/// A topic of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TopicLabel {
    topic: Word,
}

/// A partition of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PartitionLabel {
    topic: Word,
    partition: u32,
}

/// Why something happened, or of which kind it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabel {
    kind: Word,
}

type CounterVec<L> = Family<L, Counter>;

/// All metrics of the process.
#[derive(Debug, Clone)]
pub(crate) struct StreamMetrics {
    records: CounterVec<TopicLabel>,
    rejected: CounterVec<KindLabel>,
    lag: Family<PartitionLabel, Gauge>,
    pub(crate) dead_letters_lost: Counter,
    ticks: CounterVec<OutcomeLabel>,
    pub(crate) closed: Counter,
    pub(crate) revisions: Counter,
    pub(crate) partial: Counter,
    pub(crate) venue_candles: Counter,
    pub(crate) keys: Gauge,
    pub(crate) windows: Gauge,
    flushes: CounterVec<KindLabel>,
    rows: CounterVec<KindLabel>,
    pub(crate) commit_seconds: Histogram,
    pub(crate) retries: Counter,
    pub(crate) recomputed: Counter,
    pub(crate) doubtful_known: Counter,
    pub(crate) rows_refused: Counter,
    pub(crate) pauses: Counter,
    pub(crate) checkpoint_seconds: Histogram,
    pub(crate) checkpoint_bytes: Gauge,
    pub(crate) checkpoints_unusable: Counter,
    published: CounterVec<KindLabel>,
    pub(crate) dropped: Counter,
    pub(crate) republished: Counter,
    pub(crate) snapshot_cut: Counter,
    pub(crate) tickers_refused: Counter,
    notifications: CounterVec<KindLabel>,
    rewrites: CounterVec<KindLabel>,
    rewritten_files: CounterVec<KindLabel>,
    rewritten_rows: CounterVec<KindLabel>,
    pub(crate) rewrite_seconds: Histogram,
    pub(crate) rewrite_failures: Counter,
    merges_skipped: Counter,
    pub(crate) swept_files: Counter,
    pub(crate) swept_bytes: Counter,
    pub(crate) sweep_failures: Counter,
}

/// 1 ms to 131 s.
fn seconds() -> impl Iterator<Item = f64> {
    exponential_buckets(0.001, 2.0, 18)
}

impl StreamMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let (input, core) = (metrics.module("stream_input"), metrics.module("stream_aggregate"));
        let (flush, live) = (metrics.module("stream_flush"), metrics.module("stream_live"));
        let (checkpoint, history) = (metrics.module("stream_checkpoint"), metrics.module("stream_history"));
        let upkeep = metrics.module("stream_upkeep");
        let Parts { records, rejected, lag, dead_letters_lost } = Parts::new(&input);
        Self {
            records,
            rejected,
            lag,
            dead_letters_lost,
            ticks: core.counter_vec("ticks_total", "Ticks read, by what became of them"),
            closed: core.counter("candles_closed_total", "Windows closed for the first time"),
            revisions: core.counter("revisions_total", "Closed windows changed by late trades"),
            partial: core.counter("partial_candles_total", "Windows that were over without their first trades"),
            venue_candles: core.counter("venue_candles_total", "Candles fetched from venues"),
            keys: core.gauge("keys", "Keys in memory"),
            windows: core.gauge("windows", "Windows in memory"),
            flushes: flush.counter_vec("flushes_total", "Flushes, by what started them"),
            rows: flush.counter_vec("rows_total", "Rows committed, by table"),
            commit_seconds: flush.histogram("commit_seconds", "Time of one flush", seconds()),
            retries: flush.counter("retries_total", "Steps of a flush that were tried again"),
            recomputed: flush.counter("recomputed_windows_total", "Windows made anew from the ticks in the lake"),
            doubtful_known: flush.counter("doubtful_known_total", "Doubtful ticks that the lake already had"),
            rows_refused: flush.counter("rows_refused_total", "Rows that the lake cannot hold, dead-lettered"),
            pauses: flush.counter("pauses_total", "Times that reading paused because the lake was behind"),
            checkpoint_seconds: checkpoint.histogram("write_seconds", "Time to write a checkpoint", seconds()),
            checkpoint_bytes: checkpoint.gauge("size_bytes", "Size of the last checkpoint"),
            checkpoints_unusable: checkpoint.counter("unusable_total", "Checkpoints that could not be used at start"),
            published: live.counter_vec("published_total", "Messages sent, by kind"),
            dropped: live.counter("dropped_total", "Messages dropped because the queue was full"),
            republished: live.counter("republished_total", "Last values sent again for a new subscription"),
            snapshot_cut: live.counter("snapshot_cut_total", "Closed candles left out of snapshots for their bound"),
            tickers_refused: live
                .counter("tickers_refused_total", "Records of tickers over the limit of the live feed"),
            notifications: history.counter_vec("notifications_total", "History notifications, by status"),
            rewrites: upkeep.counter_vec("rewrites_total", "Times that small files were merged, by table"),
            rewritten_files: upkeep
                .counter_vec("rewritten_files_total", "Small files merged into larger ones, by table"),
            rewritten_rows: upkeep.counter_vec("rewritten_rows_total", "Rows written again by merges, by table"),
            rewrite_seconds: upkeep.histogram("rewrite_seconds", "Time to merge the small files of a table", seconds()),
            merges_skipped: upkeep.counter("merges_skipped_total", "Batches of files that could not be merged"),
            rewrite_failures: upkeep.counter("rewrite_failures_total", "Merges of small files that failed"),
            swept_files: upkeep.counter("swept_files_total", "Superfluous files removed from the lake"),
            swept_bytes: upkeep.counter("swept_bytes_total", "Bytes of superfluous files removed from the lake"),
            sweep_failures: upkeep.counter("sweep_failures_total", "Searches for superfluous files that failed"),
        }
    }

    pub(crate) fn records(&self, topic: LogTopic, count: usize) {
        self.records.get_or_create(&TopicLabel { topic: Word(topic.name()) }).inc_by(count as u64);
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&KindLabel { kind: Word(reason) }).inc();
    }

    pub(crate) fn lag(&self, topic: LogTopic, partition: u32, records: u64) {
        let label = PartitionLabel { topic: Word(topic.name()), partition };
        self.lag.get_or_create(&label).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    pub(crate) fn ticks(&self, outcome: Outcome, count: u64) {
        let word = match outcome {
            Outcome::OnTime => "on_time",
            Outcome::Late => "late",
            Outcome::TooLate => "too_late",
            Outcome::Duplicate => "duplicate",
            Outcome::Doubtful => "doubtful",
            Outcome::Ahead => "ahead",
            Outcome::TooLarge => "too_large",
        };
        self.ticks.get_or_create(&OutcomeLabel { outcome: Word(word) }).inc_by(count);
    }

    pub(crate) fn flush(&self, trigger: Trigger) {
        self.flushes.get_or_create(&KindLabel { kind: Word(trigger.name()) }).inc();
    }

    pub(crate) fn rows(&self, table: &'static str, count: usize) {
        self.rows.get_or_create(&KindLabel { kind: Word(table) }).inc_by(count as u64);
    }

    pub(crate) fn published(&self, kind: &'static str) {
        self.published.get_or_create(&KindLabel { kind: Word(kind) }).inc();
    }

    pub(crate) fn rewritten(&self, table: &'static str, rewrite: &lake::Rewrite) {
        let label = KindLabel { kind: Word(table) };
        self.rewrites.get_or_create(&label).inc();
        self.rewritten_files.get_or_create(&label).inc_by(rewrite.files_removed as u64);
        self.rewritten_rows.get_or_create(&label).inc_by(rewrite.rows);
        self.merges_skipped.inc_by(rewrite.batches_skipped as u64);
    }

    pub(crate) fn notification(&self, status: &'static str) {
        self.notifications.get_or_create(&KindLabel { kind: Word(status) }).inc();
    }
}

/// The metrics of reading.
struct Parts {
    records: CounterVec<TopicLabel>,
    rejected: CounterVec<KindLabel>,
    lag: Family<PartitionLabel, Gauge>,
    dead_letters_lost: Counter,
}

impl Parts {
    fn new(input: &ModuleMetrics) -> Self {
        Self {
            records: input.counter_vec("records_total", "Records read, by topic"),
            rejected: input.counter_vec("rejected_total", "Records and rows that could not be used, by reason"),
            lag: input.gauge_vec("lag_records", "Records of a partition not read yet"),
            dead_letters_lost: input.counter("dead_letters_lost_total", "Dead letters that the log did not take"),
        }
    }
}
