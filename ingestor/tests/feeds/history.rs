//! History requests: from the work port to the parts of an answer on the log.

use crate::rig::{LogView, Place, Running, TestLog, at_each, candles, within};
use ingestor::Config;
use proto::market::Candle;
use proto::{ErrorCode, EventType, FrameHeader, HistoryRequest, Interval, Kind, LogTopic, TopicPrefix, Venue, wire};
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::venue_server::Fault;
use zmtp::{PubOptions, PubSocket};

/// The work port of a relay.
pub(crate) struct FakeRelay {
    socket: PubSocket,
    pub(crate) endpoint: String,
}

impl FakeRelay {
    pub(crate) async fn bind() -> Self {
        let socket = PubSocket::bind("tcp://127.0.0.1:0", PubOptions::default()).await.unwrap();
        let endpoint = format!("tcp://{}", socket.local_addr().unwrap());
        Self { socket, endpoint }
    }

    fn topic(venue: &Venue) -> String {
        TopicPrefix::Venue(venue.clone()).to_string()
    }

    /// Waits until so many ingestors would get the work of a venue. A probe that is no work item shows it.
    pub(crate) async fn subscribers(&self, venue: &Venue, count: u64) {
        let mut timer = tokio::time::interval(Duration::from_millis(5));
        within("ingestors subscribe to work", async {
            loop {
                let before = self.socket.counters().sent;
                self.socket.send(Self::topic(venue), b"probe");
                if self.socket.counters().sent - before == count {
                    return;
                }
                timer.tick().await;
            }
        })
        .await;
    }

    pub(crate) fn work(&self, request: &HistoryRequest) {
        let item = wire::WorkItem { request: Some(request.into()), accepted_at_ns: 1 };
        let body = FrameHeader::new(Kind::WorkItem, 1, 1, 0).encode(&item).unwrap();
        self.socket.send(Self::topic(&request.range.venue), &body);
    }
}

/// Requests for tests.
pub(crate) mod request {
    use crate::rig::Place;
    use proto::{ClientId, HistoryRange, HistoryRequest, Interval, RequestId};

    /// 2024-08-08T00:00:00Z
    pub(crate) const FROM_MS: u64 = 1_723_075_200_000;

    fn of(place: &Place, id: u64, interval: Option<Interval>, offset_ms: u64, length_ms: u64) -> HistoryRequest {
        let from_ns = (FROM_MS + offset_ms) * 1_000_000;
        HistoryRequest {
            request_id: RequestId::from_bits(u128::from(id) + 1),
            client_id: ClientId::from_bits(7),
            range: HistoryRange {
                venue: place.venue.clone(),
                symbol: place.symbol.clone(),
                interval,
                from_ns,
                to_ns: from_ns + length_ms * 1_000_000,
            },
        }
    }

    pub(crate) fn candles(
        place: &Place,
        id: u64,
        interval: Interval,
        offset_ms: u64,
        length_ms: u64,
    ) -> HistoryRequest {
        of(place, id, Some(interval), offset_ms, length_ms)
    }

    pub(crate) fn ticks(place: &Place, id: u64, offset_ms: u64, length_ms: u64) -> HistoryRequest {
        of(place, id, None, offset_ms, length_ms)
    }
}

use request::FROM_MS;

struct Desk {
    place: Place,
    log: TestLog,
    relay: FakeRelay,
    running: Running,
}

impl Desk {
    /// A venue with a trade each `step_ms` and an ingestor that takes work.
    async fn open(venue: &str, trades: usize, step_ms: u64, change: impl FnOnce(&mut Config)) -> Self {
        let (place, log, relay) = (Place::open(venue).await, TestLog::open(), FakeRelay::bind().await);
        place.server.add_at(&place.symbol, trades, FROM_MS, step_ms);
        let mut config = place.config();
        config.relay_work = Some(relay.endpoint.clone());
        change(&mut config);
        let running = Running::start(config, &log.log).await;
        relay.subscribers(&place.venue, 1).await;
        // Faults that a test orders are for history, not for the list of instruments that is fetched at the start.
        let mut instruments = LogView::of(&log.log, LogTopic::EvtInstrument).await;
        instruments.until("instruments", |view| (!view.envelopes.is_empty()).then_some(())).await;
        Self { place, log, relay, running }
    }

    async fn candles(&self, request: &HistoryRequest) -> (Vec<wire::OhlcBatch>, Vec<Candle>) {
        let mut view = LogView::of(&self.log.log, LogTopic::NormOhlc).await;
        self.relay.work(request);
        let parts = view.answer(&request.request_id.to_string()).await;
        let candles = candles(&parts);
        (parts, candles)
    }

    /// Asserts that an answer is what the table makes.
    fn assert_complete(&self, request: &HistoryRequest, parts: &[wire::OhlcBatch], candles: &[Candle]) {
        let venue = self.place.venue.as_str();
        let interval = request.range.interval.unwrap();
        let (from_ms, to_ms) = (request.range.from_ns / 1_000_000, request.range.to_ns / 1_000_000);
        let table = self.place.server.table();
        let expected = table.candles(&self.place.symbol, u64::from(interval.seconds()), from_ms, to_ms);
        assert!(!expected.is_empty());
        assert_eq!(candles.len(), expected.len(), "{venue} {interval}");
        for (got, wanted) in candles.iter().zip(&expected) {
            assert_eq!(got.open_time_ns, wanted.open_ms * 1_000_000, "{venue} {interval}");
            let prices = [got.open, got.high, got.low, got.close, got.volume];
            assert_eq!(
                prices,
                [wanted.open, wanted.high, wanted.low, wanted.close, wanted.volume],
                "{venue} {interval}"
            );
            assert!(got.closed && got.revision == 0 && !got.repaired);
        }
        let numbers: Vec<u32> = parts.iter().map(|part| part.part).collect();
        assert_eq!(numbers, (0..u32::try_from(parts.len()).unwrap()).collect::<Vec<_>>(), "{venue}");
        let lasts: Vec<bool> = parts.iter().map(|part| part.last).collect();
        assert!(lasts[lasts.len() - 1] && lasts[..lasts.len() - 1].iter().all(|last| !last), "{venue}");
        for part in parts {
            assert!(part.error.is_none() && part.candles.len() <= 1000, "{venue}: {:?}", part.error);
            assert_eq!((part.from_ns, part.to_ns), (request.range.from_ns, request.range.to_ns));
        }
    }
}

fn error(part: &wire::OhlcBatch) -> (ErrorCode, String) {
    let detail = part.error.clone().expect("an error");
    (ErrorCode::from_code(detail.code).unwrap(), detail.message)
}

#[tokio::test]
async fn candles_of_every_venue_come_in_pages_and_equal_its_trades() {
    // 40 hours with a trade each 20 s: 2400 minutes, more than a page of any venue but Kraken's newest 720.
    at_each(&["BINANCE", "BINANCE-USDM", "BYBIT", "COINBASE", "OKX", "SIM"], async |venue| {
        let desk = Desk::open(venue, 7_200, 20_000, |_| {}).await;
        let request = request::candles(&desk.place, 1, Interval::M1, 0, 2_400 * 60_000);
        let (parts, candles) = desk.candles(&request).await;
        desk.assert_complete(&request, &parts, &candles);
        assert_eq!(parts.len(), 3, "{venue}");
        desk.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_venue_no_longer_has_is_said_beside_what_it_has() {
    let desk = Desk::open("KRAKEN", 1, 1, |_| {}).await;
    // Kraken gives the newest 720 candles only: of 2000 recent minutes the first are gone.
    let minute_ms = 60_000;
    let now_ms = service::clock::now_ns() / 1_000_000 / minute_ms * minute_ms;
    let from_ms = now_ms - 2_000 * minute_ms;
    desk.place.server.add_at(&desk.place.symbol, 1_990, from_ms, minute_ms);
    let request = request::candles(&desk.place, 1, Interval::M1, from_ms - FROM_MS, 1_980 * minute_ms);
    let (parts, candles) = desk.candles(&request).await;
    assert_eq!(error(parts.last().unwrap()).0, ErrorCode::NotAvailable);
    assert!(candles.len() > 600 && candles.len() < 800, "{}", candles.len());
    desk.running.stop().await;
}

#[tokio::test]
async fn intervals_that_a_venue_lacks_are_built_from_shorter_candles() {
    let four_hours: Interval = "4h".parse().unwrap();
    // Coinbase has one hour and one day, nothing between.
    let desk = Desk::open("COINBASE", 3_000, 30_000, |_| {}).await;
    let request = request::candles(&desk.place, 1, four_hours, 0, 24 * 3_600_000);
    let (parts, candles) = desk.candles(&request).await;
    desk.assert_complete(&request, &parts, &candles);
    assert_eq!(candles.len(), 6);
    assert!(desk.place.server.served().iter().any(|served| served.path_and_query.contains("granularity=3600")));
    desk.running.stop().await;
}

#[tokio::test]
async fn one_second_candles_are_built_from_trades_for_an_hour_and_refused_beyond() {
    let desk = Desk::open("COINBASE", 4_000, 1_700, |_| {}).await;
    let hour = request::candles(&desk.place, 1, Interval::S1, 600_000, 3_600_000);
    let (parts, candles) = desk.candles(&hour).await;
    desk.assert_complete(&hour, &parts, &candles);
    assert!(candles.iter().all(|candle| candle.trades >= 1));
    let longer = request::candles(&desk.place, 2, Interval::S1, 0, 3_601_000);
    let (parts, candles) = desk.candles(&longer).await;
    assert_eq!((parts.len(), candles.len(), error(&parts[0]).0), (1, 0, ErrorCode::NotAvailable));
    desk.running.stop().await;
}

#[tokio::test]
async fn ticks_of_a_range_come_in_batches_on_the_key_of_the_symbol() {
    at_each(&["BINANCE", "COINBASE", "KRAKEN", "OKX", "SIM"], async |venue| {
        let desk = Desk::open(venue, 2_500, 1_000, |_| {}).await;
        let request = request::ticks(&desk.place, 1, 100_000, 1_500_000);
        let id = request.request_id.to_string();
        desk.relay.work(&request);
        let mut view = LogView::of(&desk.log.log, LogTopic::NormTick).await;
        let parts = view
            .until(venue, |view| {
                let parts = view.messages::<wire::TickBatch>(EventType::TickBatch);
                parts.iter().any(|part| part.last).then_some(parts)
            })
            .await;
        assert!(parts.iter().all(|part| part.request_ids == [id.clone()] && part.error.is_none()), "{venue}");
        let ids: BTreeSet<u64> =
            parts.iter().flat_map(|part| &part.ticks).map(|tick| tick.trade_id.parse().unwrap()).collect();
        assert_eq!(ids, (1_100..2_600).collect(), "{venue}");
        let rows: usize = parts.iter().map(|part| part.ticks.len()).sum();
        assert_eq!(rows, ids.len(), "{venue}: each once");
        assert!(view.ticks(&desk.place.key()).iter().all(|tick| !tick.repaired), "{venue}");
        desk.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn errors_are_told_on_the_last_part() {
    let desk = Desk::open("BINANCE", 100, 1_000, |_| {}).await;
    let mut unknown = request::candles(&desk.place, 1, Interval::M1, 0, 60_000);
    unknown.range.symbol = "NO/SUCH".parse().unwrap();
    let (parts, _) = desk.candles(&unknown).await;
    assert_eq!(error(&parts[0]).0, ErrorCode::UnknownSymbol);
    assert_eq!(parts[0].error.as_ref().unwrap().field, "symbol");

    desk.place.server.fail_next([Fault::ServerError; 4]);
    let (parts, _) = desk.candles(&request::candles(&desk.place, 2, Interval::M1, 0, 60_000)).await;
    assert_eq!(error(&parts[0]).0, ErrorCode::VenueFailed);

    desk.place.server.fail_next([Fault::Garbage]);
    let (parts, _) = desk.candles(&request::candles(&desk.place, 3, Interval::M1, 60_000, 60_000)).await;
    assert_eq!(error(&parts[0]).0, ErrorCode::VenueFailed);
    desk.running.stop().await;
}

#[tokio::test]
async fn a_long_ban_fails_a_request_at_once_instead_of_holding_it() {
    let desk = Desk::open("BINANCE", 100, 1_000, |c| c.timing.history_wait = Duration::from_secs(5)).await;
    desk.place.server.fail_next([Fault::Banned(600)]);
    let (parts, _) = desk.candles(&request::candles(&desk.place, 1, Interval::M1, 0, 60_000)).await;
    let (code, message) = error(&parts[0]);
    assert_eq!(code, ErrorCode::VenueFailed);
    assert!(message.contains("no requests for"), "{message}");
    desk.running.stop().await;
}

#[tokio::test]
async fn requests_for_one_range_in_flight_share_one_fetch() {
    let desk = Desk::open("BINANCE", 1_000, 1_000, |_| {}).await;
    let mut view = LogView::of(&desk.log.log, LogTopic::NormOhlc).await;
    desk.place.server.hold_rest(true);
    let asked: Vec<_> = (1..=3).map(|id| request::candles(&desk.place, id, Interval::M1, 0, 600_000)).collect();
    asked.iter().for_each(|request| desk.relay.work(request));
    // A fourth request for another range shows that the three before it were taken in.
    let other = request::candles(&desk.place, 9, Interval::M1, 60_000, 600_000);
    desk.relay.work(&other);
    crate::rig::until("both ranges are being fetched", || desk.running.counter("ingestor_rest_requests_total") >= 3)
        .await;
    desk.place.server.hold_rest(false);
    let parts = view.answer(&asked[0].request_id.to_string()).await;
    let ids: Vec<String> = asked.iter().map(|request| request.request_id.to_string()).collect();
    assert_eq!(parts[parts.len() - 1].request_ids, ids);
    view.answer(&other.request_id.to_string()).await;
    let klines = desk.place.server.served().iter().filter(|s| s.path_and_query.contains("klines")).count();
    assert_eq!(klines, 2);
    // Afterwards the same range is fetched anew.
    let again = request::candles(&desk.place, 10, Interval::M1, 0, 600_000);
    desk.relay.work(&again);
    view.answer(&again.request_id.to_string()).await;
    desk.running.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let desk = Desk::open("BINANCE", 1_000, 1_000, |c| {
        c.limits.history_workers = 1;
        c.limits.history_queue = 2;
    })
    .await;
    let mut view = LogView::of(&desk.log.log, LogTopic::NormOhlc).await;
    desk.place.server.hold_rest(true);
    let asked: Vec<_> =
        (1..=6).map(|id| request::candles(&desk.place, id, Interval::M1, id * 60_000, 60_000)).collect();
    asked.iter().for_each(|request| desk.relay.work(request));
    let refused = view
        .until("refusals", |view| {
            let parts = view.messages::<wire::OhlcBatch>(EventType::OhlcBatch);
            let refused: Vec<_> = parts.into_iter().filter(|part| part.error.is_some()).collect();
            (refused.len() >= 3).then_some(refused)
        })
        .await;
    for part in &refused {
        assert_eq!((error(part).0, part.last, part.request_ids.len()), (ErrorCode::OverQuota, true, 1));
    }
    desk.place.server.hold_rest(false);
    let answered: BTreeSet<String> = refused.iter().map(|part| part.request_ids[0].clone()).collect();
    for request in asked.iter().filter(|request| !answered.contains(&request.request_id.to_string())) {
        assert!(view.answer(&request.request_id.to_string()).await.iter().all(|part| part.error.is_none()));
    }
    desk.running.stop().await;
}

#[tokio::test]
async fn malformed_work_is_counted_and_the_next_item_is_served() {
    let desk = Desk::open("SIM", 100, 1_000, |_| {}).await;
    let before = desk.running.counter("ingestor_history_work_malformed_total");
    desk.relay.socket.send(FakeRelay::topic(&desk.place.venue), b"not a frame");
    let request = request::candles(&desk.place, 1, Interval::M1, 0, 60_000);
    let (parts, candles) = desk.candles(&request).await;
    desk.assert_complete(&request, &parts, &candles);
    assert!(desk.running.counter("ingestor_history_work_malformed_total") > before);
    desk.running.stop().await;
}
