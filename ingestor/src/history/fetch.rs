//! Fetches one history job from the venue, page by page.

use crate::history::answer::Answer;
use crate::history::compose;
use crate::log_writer::WriteError;
use crate::rate_limit::Purpose;
use crate::rest_client::{FetchError, Fetched, RestClient, Terms};
use proto::market::{Candle, Tick};
use proto::{ErrorCode, HistoryRange, Interval, LogTopic, RawReference, wire};
use std::collections::HashSet;
use std::time::Duration;
use venues::{Adapter, CandlesQuery, Rejection, TradesQuery};

/// Longest range of candles that is built from trades.
const TRADES_RANGE_NS: u64 = 3_600_000_000_000;

/// Why the answer to a job is not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// The venue does not know the symbol.
    #[error("the venue does not know the symbol")]
    UnknownSymbol,
    /// The venue cannot give this.
    #[error("{0}")]
    NotAvailable(&'static str),
    /// The venue failed.
    #[error("{0}")]
    VenueFailed(String),
    /// The log failed: there is no answer at all.
    #[error(transparent)]
    Log(#[from] WriteError),
    /// The process stops: another ingestor takes over.
    #[error("stopped")]
    Stopped,
}

impl JobError {
    /// The error for the last part; `None` if there is no last part.
    pub(crate) fn detail(&self) -> Option<wire::ErrorDetail> {
        let (code, field) = match self {
            Self::UnknownSymbol => (ErrorCode::UnknownSymbol, "symbol"),
            Self::NotAvailable(_) => (ErrorCode::NotAvailable, ""),
            Self::VenueFailed(_) => (ErrorCode::VenueFailed, ""),
            Self::Log(_) | Self::Stopped => return None,
        };
        Some(code.detail(field, &self.to_string()))
    }

    /// A closed word for counting.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::UnknownSymbol => "unknown_symbol",
            Self::NotAvailable(_) => "not_available",
            Self::VenueFailed(_) => "venue_failed",
            Self::Log(_) => "log_failed",
            Self::Stopped => "stopped",
        }
    }
}

impl From<FetchError> for JobError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::UnknownSymbol => Self::UnknownSymbol,
            FetchError::Log(error) => Self::Log(error),
            FetchError::Stopped => Self::Stopped,
            other => Self::VenueFailed(other.to_string()),
        }
    }
}

/// How a range is had from a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Trades,
    Candles,
    /// From the venue's candles of this shorter interval.
    Shorter(Interval),
    CandlesOfTrades,
}

fn plan(adapter: &dyn Adapter, range: &HistoryRange) -> Result<Plan, JobError> {
    if adapter.venue_symbol(&range.symbol).is_err() {
        return Err(JobError::UnknownSymbol);
    }
    let has_trades = adapter.trades_page(&trades_query(range)).is_some();
    let Some(wanted) = range.interval else {
        return if has_trades {
            Ok(Plan::Trades)
        } else {
            Err(JobError::NotAvailable("the venue has no trade history"))
        };
    };
    let has = |interval| adapter.candles_page(&candles_query(range, interval)).is_some();
    if has(wanted) {
        Ok(Plan::Candles)
    } else if let Some(shorter) = compose::building_block(wanted, has) {
        Ok(Plan::Shorter(shorter))
    } else if !has_trades {
        Err(JobError::NotAvailable("the venue has no candles of this interval"))
    } else if range.to_ns - range.from_ns > TRADES_RANGE_NS {
        Err(JobError::NotAvailable(
            "the venue has no candles of this interval; from its trades at most one hour is built",
        ))
    } else {
        Ok(Plan::CandlesOfTrades)
    }
}

fn trades_query(range: &HistoryRange) -> TradesQuery {
    TradesQuery::by_time(range.symbol.clone(), range.from_ns, range.to_ns)
}

fn candles_query(range: &HistoryRange, interval: Interval) -> CandlesQuery {
    CandlesQuery { symbol: range.symbol.clone(), interval, from_ns: range.from_ns, to_ns: range.to_ns }
}

/// Fetches for one venue.
#[derive(Debug, Clone)]
pub(crate) struct HistoryFetcher {
    pub(crate) rest: RestClient,
    pub(crate) pages: usize,
    pub(crate) longest_wait: Duration,
}

const CUT_SHORT: JobError = JobError::NotAvailable("the venue no longer has the whole range");
const TOO_MANY_PAGES: JobError = JobError::NotAvailable("the range needs more pages than allowed");

impl HistoryFetcher {
    /// Fetches a range into `answer`, without its last part.
    ///
    /// # Errors
    /// [`JobError`]; what came before it stays in the answer.
    pub(crate) async fn fetch(&self, range: &HistoryRange, answer: &mut Answer) -> Result<(), JobError> {
        match plan(self.rest.adapter().as_ref(), range)? {
            Plan::Trades => self.trades(range, answer).await,
            Plan::Candles => self.candles(range, answer).await,
            Plan::Shorter(interval) => self.composed(range, interval, answer).await,
            Plan::CandlesOfTrades => self.candles_of_trades(range, answer).await,
        }
    }

    fn terms(&self, channel: &'static str) -> Terms {
        Terms { purpose: Purpose::History, channel, longest_wait: self.longest_wait }
    }

    async fn candle_page(&self, query: &CandlesQuery) -> Result<(venues::CandlesPage, Fetched), JobError> {
        let adapter = self.rest.adapter();
        let request = adapter.candles_page(query).ok_or(JobError::NotAvailable("the venue has no such candles"))?;
        let fetched = self.rest.fetch(&request, self.terms("rest:candles")).await?;
        match adapter.parse_candles(query, &fetched.body, fetched.receive_time_ns) {
            Ok(page) => {
                self.refuse(&fetched, &page.refused).await?;
                Ok((page, fetched))
            }
            Err(rejection) => {
                self.refuse(&fetched, std::slice::from_ref(&rejection)).await?;
                Err(JobError::VenueFailed(format!("answer not understood: {rejection}")))
            }
        }
    }

    async fn trade_page(&self, query: &TradesQuery) -> Result<(venues::TradesPage, Fetched), JobError> {
        let adapter = self.rest.adapter();
        let request = adapter.trades_page(query).ok_or(JobError::NotAvailable("the venue has no such trades"))?;
        let fetched = self.rest.fetch(&request, self.terms("rest:trades")).await?;
        match adapter.parse_trades(query, &fetched.body, fetched.receive_time_ns) {
            Ok(page) => {
                self.refuse(&fetched, &page.refused).await?;
                Ok((page, fetched))
            }
            Err(rejection) => {
                self.refuse(&fetched, std::slice::from_ref(&rejection)).await?;
                Err(JobError::VenueFailed(format!("answer not understood: {rejection}")))
            }
        }
    }

    /// Rows that were refused go to the dead letters with the page that held them.
    async fn refuse(&self, fetched: &Fetched, refused: &[Rejection]) -> Result<(), WriteError> {
        let writer = self.rest.writer();
        for rejection in refused {
            writer.board().metrics.rejected(rejection.reason.label());
        }
        let Some(first) = refused.first() else { return Ok(()) };
        let detail = format!("{} rows; first: {}", refused.len(), first.detail);
        let why = (first.reason.label(), detail.as_str());
        let letter = writer.dead_letter(LogTopic::RawRest, why, &fetched.body, fetched.raw.clone());
        writer.append(LogTopic::DlqRaw, vec![letter]).await.map(drop)
    }

    async fn candles(&self, range: &HistoryRange, answer: &mut Answer) -> Result<(), JobError> {
        let mut query = candles_query(range, range.interval.unwrap_or(Interval::M1));
        for _ in 0..self.pages {
            let (page, fetched) = self.candle_page(&query).await?;
            answer.candles(page.candles, fetched.raw).await?;
            match page.next {
                Some(next) => query = next,
                None if page.cut_short => return Err(CUT_SHORT),
                None => return Ok(()),
            }
        }
        Err(TOO_MANY_PAGES)
    }

    async fn composed(&self, range: &HistoryRange, shorter: Interval, answer: &mut Answer) -> Result<(), JobError> {
        let wanted = range.interval.unwrap_or(shorter);
        let mut query = candles_query(range, shorter);
        let mut open: Vec<Candle> = Vec::new();
        for _ in 0..self.pages {
            let (page, fetched) = self.candle_page(&query).await?;
            open.extend(page.candles);
            open.sort_by_key(|candle| candle.open_time_ns);
            let now_ns = fetched.receive_time_ns;
            let last = page.next.is_none();
            // A longer candle is complete when a shorter one behind it is here, or when it is over.
            let border = open.last().map_or(0, |candle| wanted.open_time(candle.open_time_ns));
            let done_before = if last && border + wanted.nanos() <= now_ns { u64::MAX } else { border };
            let split = open.partition_point(|candle| candle.open_time_ns < done_before);
            let longer = compose::longer(&open[..split], wanted).ok_or_else(overflow)?;
            open.drain(..split);
            answer.candles(longer, fetched.raw).await?;
            match page.next {
                Some(next) => query = next,
                None if page.cut_short => return Err(CUT_SHORT),
                None => return Ok(()),
            }
        }
        Err(TOO_MANY_PAGES)
    }

    async fn trades(&self, range: &HistoryRange, answer: &mut Answer) -> Result<(), JobError> {
        let mut seen = Seen::default();
        let mut query = trades_query(range);
        for _ in 0..self.pages {
            let (page, fetched) = self.trade_page(&query).await?;
            answer.ticks(seen.new_ones(page.ticks), fetched.raw).await?;
            match page.next {
                Some(next) => query = next,
                None if page.cut_short => return Err(CUT_SHORT),
                None => return Ok(()),
            }
        }
        Err(TOO_MANY_PAGES)
    }

    async fn candles_of_trades(&self, range: &HistoryRange, answer: &mut Answer) -> Result<(), JobError> {
        let interval = range.interval.unwrap_or(Interval::S1);
        let (mut ticks, mut raw): (Vec<Tick>, Option<RawReference>) = (Vec::new(), None);
        let mut query = trades_query(range);
        let mut now_ns = 0;
        for _ in 0..self.pages {
            let (page, fetched) = self.trade_page(&query).await?;
            ticks.extend(page.ticks);
            (raw, now_ns) = (fetched.raw, fetched.receive_time_ns);
            match page.next {
                Some(next) => query = next,
                // Of a part of the trades no candle is right.
                None if page.cut_short => return Err(CUT_SHORT),
                None => {
                    // The window that is still open is not final.
                    let closed_before = interval.open_time(now_ns.saturating_sub(SETTLED_AFTER_NS));
                    ticks.retain(|tick| tick.event_time_ns < closed_before);
                    let candles = compose::of_trades(&ticks, interval).ok_or_else(overflow)?;
                    answer.candles(candles, raw).await?;
                    return Ok(());
                }
            }
        }
        let _unused = (raw, now_ns);
        Err(TOO_MANY_PAGES)
    }
}

/// A trade may reach the venue's history this late.
const SETTLED_AFTER_NS: u64 = 6_000_000_000;

fn overflow() -> JobError {
    JobError::VenueFailed("the sum of the volumes leaves the range of a decimal".to_owned())
}

/// Drops what the page before brought already: pages by time overlap by a trade or more.
#[derive(Debug, Default)]
struct Seen {
    ids: HashSet<String>,
}

impl Seen {
    fn new_ones(&mut self, ticks: Vec<Tick>) -> Vec<Tick> {
        let ids: HashSet<String> = ticks.iter().map(|tick| tick.trade_id.clone()).collect();
        let fresh = ticks.into_iter().filter(|tick| !self.ids.contains(&tick.trade_id)).collect();
        self.ids = ids;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimAdapter;

    fn range(interval: Option<Interval>) -> HistoryRange {
        HistoryRange {
            venue: "SIM".parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            interval,
            from_ns: 1_723_075_200_000_000_000,
            to_ns: 1_723_161_600_000_000_000,
        }
    }

    #[test]
    fn a_venue_with_every_interval_is_asked_directly() {
        assert_eq!(plan(&SimAdapter, &range(None)).unwrap(), Plan::Trades);
        for interval in Interval::ALL {
            assert_eq!(plan(&SimAdapter, &range(Some(interval))).unwrap(), Plan::Candles);
        }
    }

    #[test]
    fn the_overlap_of_two_pages_is_dropped() {
        let market = crate::sim::SimExchange::new(crate::sim::SimConfig::default(), &[], service::clock::Clock::System);
        let query = trades_query(&range(None));
        let body = market.get(&SimAdapter.trades_page(&query).unwrap().path_and_query).1;
        let ticks = SimAdapter.parse_trades(&query, &body, 1).unwrap().ticks;
        let mut seen = Seen::default();
        assert_eq!(seen.new_ones(ticks[..10].to_vec()).len(), 10);
        assert_eq!(seen.new_ones(ticks[8..20].to_vec()), ticks[10..20]);
    }
}
