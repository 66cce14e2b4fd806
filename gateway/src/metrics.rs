//! What the gateway counts. Every dropped message, refused request and failed lookup has a counter here.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::family::{Family, MetricConstructor};
use service::metrics::{Counter, Gauge, Histogram, Metrics, exponential_buckets};

/// Latencies from 0.1 ms to about 13 s.
#[derive(Debug, Clone)]
pub(crate) struct Latency;

impl MetricConstructor<Histogram> for Latency {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.0001, 2.0, 18))
    }
}

/// Where a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the routes")]
pub(crate) enum Route {
    Health,
    Venues,
    Instruments,
    Candles,
    Indicators,
    History,
    HistoryRequests,
    Openapi,
    Ws,
    Page,
    Chat,
    WsChat,
    Auth,
    Account,
    Workspace,
    Mcp,
}

/// Class of a status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the classes")]
pub(crate) enum Status {
    Success,
    Redirect,
    ClientError,
    ServerError,
}

/// Labels of the request counter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) route: Route,
    pub(crate) status: Status,
}

/// Label of the request latency.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabel {
    pub(crate) route: Route,
}

/// Why a connection or request was turned away before it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the reasons")]
pub(crate) enum Refusal {
    Connections,
    Host,
    Origin,
    Overload,
    Timeout,
    Sockets,
}

/// Label of refusals.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RefusalLabel {
    pub(crate) reason: Refusal,
}

/// HTTP.
#[derive(Debug, Clone)]
pub(crate) struct HttpMetrics {
    pub(crate) connections: Gauge,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) seconds: Family<RouteLabel, Histogram, Latency>,
    pub(crate) refused: Family<RefusalLabel, Counter>,
}

impl HttpMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let module = metrics.module("gateway_http");
        Self {
            connections: module.gauge("connections", "Open connections"),
            requests: module.counter_vec("requests_total", "Requests answered, by route and class of status"),
            seconds: module.histogram_vec("request_seconds", "Time from request to answer, by route", Latency),
            refused: module.counter_vec("refused_total", "Connections and requests turned away, by reason"),
        }
    }

    pub(crate) fn refuse(&self, reason: Refusal) {
        self.refused.get_or_create(&RefusalLabel { reason }).inc();
    }
}

/// Why a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the reasons")]
pub(crate) enum End {
    Client,
    Lost,
    Idle,
    Stuck,
    Abuse,
    TooBig,
    Binary,
    Protocol,
    Restart,
}

/// Label of ended sockets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct EndLabel {
    pub(crate) reason: End,
}

/// Live data.
#[derive(Debug, Clone)]
pub(crate) struct LiveMetrics {
    pub(crate) sockets: Gauge,
    pub(crate) topics: Gauge,
    pub(crate) connected: Gauge,
    pub(crate) received: Counter,
    pub(crate) rejected: Counter,
    pub(crate) stray: Counter,
    pub(crate) missed: Counter,
    pub(crate) repeated: Counter,
    pub(crate) encoded: Counter,
    pub(crate) delivered: Counter,
    pub(crate) conflated: Counter,
    pub(crate) dropped: Counter,
    pub(crate) requests: Counter,
    pub(crate) requests_refused: Counter,
    pub(crate) ended: Family<EndLabel, Counter>,
}

impl LiveMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let module = metrics.module("gateway_live");
        Self {
            sockets: module.gauge("sockets", "Open WebSockets"),
            topics: module.gauge("topics", "Topics followed upstream"),
            connected: module.gauge("upstream_connected", "1 while connected to the relay's fan-out port"),
            received: module.counter("received_total", "Market messages received from the relay"),
            rejected: module.counter("rejected_total", "Messages from the relay that were not valid"),
            stray: module.counter("stray_total", "Messages from the relay that nobody follows any more"),
            missed: module.counter("missed_total", "Messages lost before the gateway, by sequence numbers"),
            repeated: module.counter("repeated_total", "Messages from the relay that came twice"),
            encoded: module.counter("encoded_total", "Messages encoded as JSON"),
            delivered: module.counter("delivered_total", "Messages handed to WebSockets"),
            conflated: module.counter("conflated_total", "Latest values replaced by newer ones before they were sent"),
            dropped: module.counter("dropped_total", "Events dropped because a client was slow"),
            requests: module.counter("requests_total", "Messages from WebSocket clients"),
            requests_refused: module.counter("requests_refused_total", "Messages from WebSocket clients refused"),
            ended: module.counter_vec("ended_total", "WebSockets ended, by reason"),
        }
    }

    pub(crate) fn end(&self, reason: End) {
        self.ended.get_or_create(&EndLabel { reason }).inc();
    }
}

/// Candles.
#[derive(Debug, Clone)]
pub(crate) struct SeriesMetrics {
    pub(crate) cached: Gauge,
    pub(crate) rows: Gauge,
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) refreshes: Counter,
    pub(crate) evicted: Counter,
    pub(crate) failed: Counter,
    pub(crate) lake_seconds: Histogram,
}

impl SeriesMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let module = metrics.module("gateway_series");
        Self {
            cached: module.gauge("cached", "Series in memory"),
            rows: module.gauge("rows", "Candles in memory"),
            hits: module.counter("hits_total", "Candle queries answered from memory"),
            misses: module.counter("misses_total", "Candle queries that read the lake"),
            refreshes: module.counter("refreshes_total", "Series read again in the background"),
            evicted: module.counter("evicted_total", "Series forgotten for want of room"),
            failed: module.counter("failed_total", "Reads of the lake that failed"),
            lake_seconds: module.histogram(
                "lake_seconds",
                "Time of reads of the lake",
                exponential_buckets(0.0001, 2.0, 18),
            ),
        }
    }
}

/// What became of a history request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the outcomes")]
pub(crate) enum HistoryResult {
    Ok,
    Partial,
    Failed,
    NoIngestor,
    Invalid,
    OverQuota,
    AckTimeout,
    ReadyTimeout,
}

/// Label of history outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct HistoryLabel {
    pub(crate) result: HistoryResult,
}

/// History on demand.
#[derive(Debug, Clone)]
pub(crate) struct HistoryMetrics {
    pub(crate) in_flight: Gauge,
    pub(crate) submitted: Counter,
    pub(crate) coalesced: Counter,
    pub(crate) rejected: Counter,
    pub(crate) results: Family<HistoryLabel, Counter>,
}

impl HistoryMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let module = metrics.module("gateway_history");
        Self {
            in_flight: module.gauge("in_flight", "History requests in flight"),
            submitted: module.counter("submitted_total", "History requests sent to the relay"),
            coalesced: module.counter("coalesced_total", "Wishes for history that joined a request in flight"),
            rejected: module.counter("rejected_total", "Acks and notifications that were not valid"),
            results: module.counter_vec("results_total", "History requests ended, by result"),
        }
    }

    pub(crate) fn result(&self, result: HistoryResult) {
        self.results.get_or_create(&HistoryLabel { result }).inc();
    }
}

/// How a stream of a whole series ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the ends")]
pub(crate) enum StreamEnd {
    Complete,
    Client,
    Stalled,
    TooLong,
    Failed,
    Shutdown,
}

/// Label of ended streams.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StreamEndLabel {
    pub(crate) reason: StreamEnd,
}

/// How a request for missing history ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the ends")]
pub(crate) enum BackfillEnd {
    Ready,
    Partial,
    Refused,
}

/// Label of ended requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct BackfillEndLabel {
    pub(crate) state: BackfillEnd,
}

/// Whole series for backtests.
#[derive(Debug, Clone)]
pub(crate) struct BulkMetrics {
    pub(crate) streams: Gauge,
    pub(crate) rows: Counter,
    pub(crate) bytes: Counter,
    pub(crate) prepare_seconds: Histogram,
    pub(crate) ended: Family<StreamEndLabel, Counter>,
    pub(crate) refused: Counter,
    pub(crate) backfills: Gauge,
    pub(crate) backfills_ended: Family<BackfillEndLabel, Counter>,
}

impl BulkMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let module = metrics.module("gateway_bulk");
        Self {
            streams: module.gauge("streams", "Streams of whole series being prepared or sent"),
            rows: module.counter("rows_total", "Rows of whole series sent"),
            bytes: module.counter("bytes_total", "Bytes of whole series sent"),
            prepare_seconds: module.histogram(
                "prepare_seconds",
                "Time of counting the rows of a whole series",
                exponential_buckets(0.001, 2.0, 17),
            ),
            ended: module.counter_vec("ended_total", "Streams of whole series ended, by reason"),
            refused: module.counter("refused_total", "Whole series refused because too many were being sent"),
            backfills: module.gauge("backfills", "Requests for missing history waiting or worked on"),
            backfills_ended: module
                .counter_vec("backfills_ended_total", "Requests for missing history ended, by state"),
        }
    }
}

/// Feeds and instruments.
#[derive(Debug, Clone)]
pub(crate) struct DirectoryMetrics {
    pub(crate) feeds: Gauge,
    pub(crate) instruments: Gauge,
    pub(crate) rejected: Counter,
    pub(crate) read_errors: Counter,
}

impl DirectoryMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let module = metrics.module("gateway_directory");
        Self {
            feeds: module.gauge("feeds", "Feeds known"),
            instruments: module.gauge("instruments", "Instruments known"),
            rejected: module.counter("rejected_total", "Records of feeds and instruments that were not valid"),
            read_errors: module.counter("read_errors_total", "Failed reads of the event log"),
        }
    }
}
