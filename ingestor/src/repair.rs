//! Fetches what a feed missed: holes between ids, the time after a pause, and what happened before its first trade. One
//! task per venue.

use crate::continuity::Repair;
use crate::gaps::{Observed, RepairOutcome};
use crate::intake::SharedContinuity;
use crate::log_writer::{Header, WriteError};
use crate::rate_limit::Purpose;
use crate::rest_client::{FetchError, Fetched, RestClient, Terms};
use crate::store::tick_batches;
use proto::market::{Candle, Tick};
use proto::{EventType, Interval, LogTopic, Symbol, wire};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use venues::{CandlesQuery, TradeIds, TradesPage, TradesQuery};

/// A repair waits this long for the venue's limits before it is put back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How far before and behind a hole its trades are looked for, where the venue searches by time.
const SEARCH_MARGIN_NS: u64 = 2_000_000_000;
/// Without anything due, the task looks again after this time.
const IDLE: Duration = Duration::from_secs(60);

/// Repairs the feed of one venue.
#[derive(Debug, Clone)]
pub(crate) struct Repairer {
    pub(crate) rest: RestClient,
    pub(crate) continuity: SharedContinuity,
    /// Repairs at the same time.
    pub(crate) parallel: usize,
    pub(crate) stop: CancellationToken,
}

impl Repairer {
    /// Runs until stopped.
    ///
    /// # Errors
    /// If the log failed.
    pub(crate) async fn run(self) -> Result<(), WriteError> {
        let mut running: JoinSet<Result<(), WriteError>> = JoinSet::new();
        let mut waiting = Vec::new();
        let mut abandoned_before = 0;
        loop {
            let now_ns = self.rest.writer().now_ns();
            let mut due = self.continuity.with(|continuity| continuity.due(now_ns));
            let board = self.rest.writer().board();
            // A pause where ids do not tell counts as a gap, known or not.
            let pauses = due.iter().filter(|(_, repair)| matches!(repair, Repair::Since { .. })).count();
            board.metrics.gaps.inc_by(pauses as u64);
            waiting.append(&mut due);
            while running.len() < self.parallel && !waiting.is_empty() {
                let (symbol, repair) = waiting.remove(0);
                let repairer = self.clone();
                running.spawn(async move { repairer.repair(&symbol, &repair).await });
            }
            let (next_ns, missing, abandoned) = self.continuity.with(|c| (c.next_due_ns(), c.missing(), c.abandoned()));
            board.metrics.missing.set(i64::try_from(missing).unwrap_or(i64::MAX));
            board.metrics.abandoned_trades.inc_by(abandoned - abandoned_before);
            abandoned_before = abandoned;
            let wait = next_ns.map_or(IDLE, |at_ns| Duration::from_nanos(at_ns.saturating_sub(now_ns)).min(IDLE));
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = self.continuity.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(ended) = running.join_next() => match ended {
                    Ok(result) => result?,
                    Err(error) => tracing::error!(%error, "a repair broke off"),
                },
            }
        }
    }

    async fn repair(&self, symbol: &Symbol, repair: &Repair) -> Result<(), WriteError> {
        let outcome = match self.fetch_all(symbol, repair).await {
            Ok(outcome) => outcome,
            Err(FetchError::Log(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(venue = %self.rest.writer().board().venue(), %symbol, %error, "trades could not be fetched");
                if error.is_passing() { RepairOutcome::NotAsked } else { RepairOutcome::Failed }
            }
        };
        let now_ns = self.rest.writer().now_ns();
        let given_up = self.continuity.with(|c| c.finished(symbol, repair, outcome, now_ns));
        if given_up > 0 {
            let board = self.rest.writer().board();
            board.note(format!("{given_up} trades of {symbol} could not be had"));
            tracing::warn!(venue = %board.venue(), %symbol, given_up, "missing trades given up");
        }
        Ok(())
    }

    async fn fetch_all(&self, symbol: &Symbol, repair: &Repair) -> Result<RepairOutcome, FetchError> {
        match repair {
            Repair::Start { first_ns } => self.start(symbol, *first_ns).await,
            _ => self.trades(symbol, repair).await,
        }
    }

    /// What happened before the first trade of a feed: the venue's trades since the start of the minute before (no print is
    /// later than that), and its candles of the hour and of the day up to there. In this order: each reaches up to what is
    /// known already.
    async fn start(&self, symbol: &Symbol, first_ns: u64) -> Result<RepairOutcome, FetchError> {
        let minute_ns = Interval::M1.open_time(first_ns) - Interval::M1.nanos();
        let (hour_ns, day_ns) = (Interval::H1.open_time(minute_ns), Interval::D1.open_time(minute_ns));
        let outcome = self.trades(symbol, &Repair::Start { first_ns }).await?;
        match outcome {
            RepairOutcome::Answered => self.completed(symbol, minute_ns, first_ns.saturating_add(1)).await?,
            RepairOutcome::Gone => {
                let note = format!("{symbol}: the venue no longer has all trades of the first minutes");
                self.rest.writer().board().note(note);
            }
            RepairOutcome::Failed | RepairOutcome::NotAsked => return Ok(outcome),
        }
        for (interval, from_ns, to_ns) in [(Interval::M1, hour_ns, minute_ns), (Interval::H1, day_ns, hour_ns)] {
            let query = CandlesQuery { symbol: symbol.clone(), interval, from_ns, to_ns };
            if from_ns < to_ns && self.seed(query).await? == RepairOutcome::Failed {
                return Ok(RepairOutcome::Failed);
            }
        }
        Ok(outcome)
    }

    /// Says that all trades of a range are in the log.
    async fn completed(&self, symbol: &Symbol, from_ns: u64, to_ns: u64) -> Result<(), WriteError> {
        let writer = self.rest.writer();
        let venue = writer.board().venue();
        let message = wire::TickBatch {
            venue: venue.to_string(),
            symbol: symbol.to_string(),
            last: true,
            from_ns,
            to_ns,
            ..Default::default()
        };
        let key = LogTopic::key(venue, symbol);
        let header =
            Header { event_type: EventType::TickBatch, venue, key: &key, observed_at_ns: writer.now_ns(), raw: None };
        writer.append(LogTopic::NormTick, vec![writer.record(header, &message)]).await.map(drop)
    }

    /// Writes the venue's closed candles of a range as a seed for the longer windows.
    async fn seed(&self, range: CandlesQuery) -> Result<RepairOutcome, FetchError> {
        let terms = Terms { purpose: Purpose::Repair, channel: "rest:candles", longest_wait: LONGEST_WAIT };
        let (mut candles, mut raw): (Vec<Candle>, _) = (Vec::new(), None);
        let mut query = range.clone();
        loop {
            let adapter = self.rest.adapter();
            let Some(request) = adapter.candles_page(&query) else { return Ok(RepairOutcome::Gone) };
            let fetched = self.rest.fetch(&request, terms).await?;
            let page = match adapter.parse_candles(&query, &fetched.body, fetched.receive_time_ns) {
                Ok(page) => page,
                Err(rejection) => {
                    self.refuse(&fetched, rejection.reason.label(), &rejection.detail).await?;
                    return Ok(RepairOutcome::Failed);
                }
            };
            if let Some(rejection) = page.refused.first() {
                // Without one of its candles no longer window is whole.
                self.refuse(&fetched, rejection.reason.label(), &rejection.detail).await?;
                return Ok(RepairOutcome::Failed);
            }
            candles.extend(page.candles);
            raw = raw.or(fetched.raw);
            match page.next {
                Some(next) => query = next,
                None if page.cut_short => return Ok(RepairOutcome::Gone),
                None => break,
            }
        }
        candles.retain(|c| c.closed && c.volume > proto::Decimal::ZERO);
        candles.retain(|c| range.from_ns <= c.open_time_ns && c.open_time_ns < range.to_ns);
        candles.sort_by_key(|candle| candle.open_time_ns);
        candles.dedup_by_key(|candle| candle.open_time_ns);
        let writer = self.rest.writer();
        let venue = writer.board().venue();
        let message = wire::OhlcBatch {
            venue: venue.to_string(),
            symbol: range.symbol.to_string(),
            interval_s: range.interval.seconds(),
            candles: candles.iter().map(wire::Candle::from).collect(),
            last: true,
            from_ns: range.from_ns,
            to_ns: range.to_ns,
            ..Default::default()
        };
        let key = LogTopic::key(venue, &range.symbol);
        let header =
            Header { event_type: EventType::OhlcBatch, venue, key: &key, observed_at_ns: writer.now_ns(), raw };
        writer.append(LogTopic::NormTick, vec![writer.record(header, &message)]).await?;
        Ok(RepairOutcome::Answered)
    }

    async fn trades(&self, symbol: &Symbol, repair: &Repair) -> Result<RepairOutcome, FetchError> {
        let now_ns = self.rest.writer().now_ns();
        let mut query = match repair {
            Repair::Start { first_ns } => {
                let from_ns = Interval::M1.open_time(*first_ns) - Interval::M1.nanos();
                TradesQuery::by_time(symbol.clone(), from_ns, first_ns.saturating_add(SEARCH_MARGIN_NS))
            }
            Repair::Hole(hole) => {
                let (from, to) = (hole.from_ns.min(hole.to_ns), hole.from_ns.max(hole.to_ns));
                let from = from.saturating_sub(SEARCH_MARGIN_NS);
                TradesQuery::by_id(symbol.clone(), hole.first, hole.last, from, to.saturating_add(SEARCH_MARGIN_NS))
            }
            // The venue's clock may be ahead of ours.
            Repair::Since { from_ns } => {
                TradesQuery::by_time(symbol.clone(), *from_ns, now_ns.saturating_add(60 * SEARCH_MARGIN_NS))
            }
        };
        let terms = Terms { purpose: Purpose::Repair, channel: "rest:trades", longest_wait: LONGEST_WAIT };
        loop {
            let adapter = self.rest.adapter();
            let Some(request) = adapter.trades_page(&query) else { return Ok(RepairOutcome::Gone) };
            let fetched = self.rest.fetch(&request, terms).await?;
            let page = match adapter.parse_trades(&query, &fetched.body, fetched.receive_time_ns) {
                Ok(page) => page,
                Err(rejection) => {
                    self.refuse(&fetched, rejection.reason.label(), &rejection.detail).await?;
                    return Ok(RepairOutcome::Failed);
                }
            };
            for rejection in &page.refused {
                self.refuse(&fetched, rejection.reason.label(), &rejection.detail).await?;
            }
            self.write(symbol, &page, &fetched, repair).await?;
            match page.next {
                Some(next) => query = next,
                None if page.cut_short => return Ok(RepairOutcome::Gone),
                None => return Ok(RepairOutcome::Answered),
            }
        }
    }

    async fn refuse(&self, fetched: &Fetched, reason: &'static str, detail: &str) -> Result<(), WriteError> {
        let writer = self.rest.writer();
        writer.board().metrics.rejected(reason);
        let letter = writer.dead_letter(LogTopic::RawRest, (reason, detail), &fetched.body, fetched.raw.clone());
        writer.append(LogTopic::DlqRaw, vec![letter]).await.map(drop)
    }

    /// Writes the trades of a page that the feed did not bring.
    async fn write(
        &self,
        symbol: &Symbol,
        page: &TradesPage,
        fetched: &Fetched,
        repair: &Repair,
    ) -> Result<(), WriteError> {
        let writer = self.rest.writer();
        let now_ns = writer.now_ns();
        let contiguous = self.rest.adapter().profile().trade_ids == TradeIds::Contiguous;
        // Ids below the first one that was seen count as known, but the log does not hold them.
        let start = matches!(repair, Repair::Start { .. });
        let all = !contiguous || start;
        let missed: Vec<Tick> = self.continuity.with(|continuity| {
            for id in &page.void_ids {
                // No trade, and no hole either.
                let _any = continuity.fetched(symbol, &id.to_string(), 0, now_ns);
            }
            let missed = page.ticks.iter().filter(|tick| {
                let observed = continuity.fetched(symbol, &tick.trade_id, tick.event_time_ns, now_ns);
                // Where ids do not tell, everything is written and the aggregator drops what it has.
                all || observed != Observed::Known
            });
            missed.map(|tick| Tick { repaired: true, ..tick.clone() }).collect()
        });
        let shape = |ticks: &[Tick], part: usize| wire::TickBatch {
            venue: writer.board().venue().to_string(),
            symbol: symbol.to_string(),
            ticks: ticks.iter().map(wire::Tick::from).collect(),
            request_ids: Vec::new(),
            part: u32::try_from(part).unwrap_or(u32::MAX),
            // Pages of a start say nothing of the time before them.
            last: !start,
            from_ns: ticks.iter().map(|t| t.event_time_ns).min().unwrap_or(0),
            to_ns: ticks.iter().map(|t| t.event_time_ns + 1).max().unwrap_or(0),
            error: None,
        };
        let records = tick_batches(writer, &missed, fetched.raw.as_ref(), shape);
        writer.append(LogTopic::NormTick, records).await?;
        writer.board().metrics.repaired_trades.inc_by(missed.len() as u64);
        Ok(())
    }
}
