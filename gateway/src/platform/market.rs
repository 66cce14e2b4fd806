//! Prices, candles, instruments, history.

use super::arguments::{Instruments, Prices, Range, Series, bounded, read};
use super::resolve::resolve;
use super::{PlatformTools, Refusal, done};
use crate::http::history::requests::bounded_range;
use crate::http::query::bad_time;
use crate::rfc3339::{self, Rfc3339};
use crate::series::candles::HistoryState;
use crate::series::page::CandleRequest;
use crate::series::{SeriesKey, ceil};
use crate::view::{CandleView, FeedView, Mode};
use futures_util::StreamExt;
use harness::tool::ToolOutcome;
use offline_assistant::platform_tools::{CANDLES_MAX, SYMBOLS_MAX};
use proto::{Decimal, HistoryRange, Interval};
use serde_json::{Value, json};

/// Prices that are looked up at one time.
const AT_ONCE: usize = 8;
/// Candles of one second in which the last price is looked for.
const SECONDS: usize = 120;
/// Candles of 15 minutes of a day, and the one before it.
const DAY: usize = 97;
const DAY_NS: u64 = 86_400_000_000_000;
const QUARTER: u32 = 900;
/// Candles when nobody says how many.
const USUAL: usize = 100;
/// Instruments of one answer.
const INSTRUMENTS: usize = 50;

/// The last price of a series.
pub(super) struct Last {
    pub(super) price: Decimal,
    /// End of the second in which it was paid, or now if that has not ended.
    pub(super) time_ns: u64,
}

impl PlatformTools {
    pub(super) fn key(&self, series: &Series) -> Result<SeriesKey, Refusal> {
        let interval = series.interval.parse::<Interval>();
        let interval = interval.map_err(|error| Refusal::new("INVALID_ARGUMENT", "interval", error.to_string()))?;
        let (venue, symbol) = resolve(&self.directory().read(), series.venue.as_deref(), &series.symbol)?;
        Ok(SeriesKey { venue, symbol, interval })
    }

    /// The newest candles of a series, oldest first.
    pub(super) async fn newest(
        &self,
        key: &SeriesKey,
        limit: usize,
    ) -> Result<(Vec<CandleView>, HistoryState), Refusal> {
        let request = CandleRequest { key: key.clone(), from: None, to: None, limit, fill: false };
        let (page, history) = self.candles().page(&request).await?;
        Ok((page.candles, history))
    }

    /// The last price, as fresh as a second; `None` if nothing was traded in the last two minutes.
    pub(super) async fn last(&self, key: &SeriesKey) -> Result<Option<Last>, Refusal> {
        let seconds = SeriesKey { interval: Interval::S1, ..key.clone() };
        let (candles, _) = self.newest(&seconds, SECONDS).await?;
        let now = self.app.clock.now_ns();
        Ok(candles.last().map(|candle| Last {
            price: candle.close,
            time_ns: candle.open_time.saturating_add(Interval::S1.nanos()).min(now),
        }))
    }

    /// The feed of a venue, to tell what its prices are.
    pub(super) fn mode(&self, key: &SeriesKey) -> Mode {
        let feeds: Vec<FeedView> = self.directory().read().feeds(self.app.clock.now_ns());
        feeds.iter().find(|feed| feed.venue == key.venue.as_str()).map_or(Mode::None, |feed| feed.mode)
    }

    pub(super) async fn get_price(&self, given: Value) -> Result<ToolOutcome, Refusal> {
        let wanted: Prices = read(given)?;
        bounded("symbols", &wanted.symbols, SYMBOLS_MAX)?;
        let prices: Vec<_> = wanted.symbols.iter().map(|symbol| self.price(symbol)).collect();
        let answers: Vec<_> = futures_util::stream::iter(prices).buffered(AT_ONCE).collect().await;
        let (mut prices, mut errors) = (Vec::new(), Vec::new());
        for (answer, symbol) in answers.into_iter().zip(&wanted.symbols) {
            match answer {
                Ok(price) => prices.push(price),
                Err(refusal) => {
                    let mut error = refusal.value();
                    error["symbol"] = json!(symbol);
                    errors.push(error);
                }
            }
        }
        let line = |price: &Value| {
            let of = |name: &str| price[name].as_str().unwrap_or("?").to_owned();
            format!("{} {}", of("symbol"), of("price"))
        };
        let summary = prices.iter().take(4).map(line).collect::<Vec<_>>().join(", ");
        Ok(done(&json!({"prices": prices, "errors": errors}), summary))
    }

    async fn price(&self, symbol: &str) -> Result<Value, Refusal> {
        let (venue, symbol) = resolve(&self.directory().read(), None, symbol)?;
        let interval = Interval::from_seconds(QUARTER).unwrap_or(Interval::M1);
        let key = SeriesKey { venue, symbol, interval };
        let (last, day) = tokio::join!(self.last(&key), self.newest(&key, DAY));
        let (last, (day, _)) = (last?, day?);
        let now = self.app.clock.now_ns();
        let mut price = json!({"venue": key.venue.as_str(), "symbol": key.symbol.as_str(), "mode": self.mode(&key)});
        let last = last.or_else(|| {
            day.last()
                .map(|it| Last { price: it.close, time_ns: it.open_time.saturating_add(interval.nanos()).min(now) })
        });
        let Some(last) = last else {
            return Err(Refusal::new("NO_DATA", "symbol", format!("{}:{} has no price yet", key.venue, key.symbol)));
        };
        price["price"] = json!(last.price.to_string());
        price["time"] = json!(Rfc3339(last.time_ns));
        price["age_ms"] = json!(now.saturating_sub(last.time_ns) / 1_000_000);
        add_day(&mut price, &day, last.price, now);
        Ok(price)
    }

    pub(super) async fn get_candles(&self, given: Value) -> Result<ToolOutcome, Refusal> {
        let wanted: Range = read(given)?;
        let key = self.key(&Series { venue: wanted.venue, symbol: wanted.symbol, interval: wanted.interval })?;
        let limit = wanted.limit.unwrap_or(USUAL);
        if !(1..=CANDLES_MAX).contains(&limit) {
            return Err(Refusal::new("INVALID_ARGUMENT", "limit", format!("limit: 1 to {CANDLES_MAX}, got {limit}")));
        }
        let (from, to) = (time("from", wanted.from.as_deref())?, time("to", wanted.to.as_deref())?);
        let request = CandleRequest { key, from, to, limit, fill: false };
        let (page, history) = self.candles().page(&request).await?;
        let row = |it: &CandleView| {
            json!({
                "open_time": Rfc3339(it.open_time), "open": it.open.to_string(), "high": it.high.to_string(), "low": it.low.to_string(),
                "close": it.close.to_string(), "volume": it.volume.to_string(), "closed": it.closed,
            })
        };
        let SeriesKey { venue, symbol, interval } = &request.key;
        let rows: Vec<Value> = page.candles.iter().map(row).collect();
        let summary = format!("{} candles of {venue} {symbol} {interval}", rows.len());
        let answer = json!({
            "venue": venue.as_str(), "symbol": symbol.as_str(), "interval": interval.to_string(), "candles": rows, "history": history,
        });
        Ok(done(&answer, summary))
    }

    pub(super) fn list_instruments(&self, given: Value) -> Result<ToolOutcome, Refusal> {
        let wanted: Instruments = read(given)?;
        let venue = wanted.venue.map(|venue| venue.to_ascii_uppercase().parse()).transpose();
        let venue =
            venue.map_err(|error: proto::IdError| Refusal::new("INVALID_ARGUMENT", "venue", error.to_string()))?;
        let directory = self.directory().read();
        let mut found: Vec<_> = Vec::new();
        for text in wanted.query.split(',').take(SYMBOLS_MAX) {
            for instrument in directory.search(venue.as_ref(), text.trim(), INSTRUMENTS) {
                if found.len() < INSTRUMENTS && !found.contains(&instrument) {
                    found.push(instrument);
                }
            }
        }
        let summary = format!("{} instruments", found.len());
        Ok(done(&json!({"instruments": found}), summary))
    }

    pub(super) fn request_history(&self, given: Value) -> Result<ToolOutcome, Refusal> {
        let wanted: Range = read(given)?;
        let key = self.key(&Series { venue: wanted.venue, symbol: wanted.symbol, interval: wanted.interval })?;
        let missing = |field| Refusal::new("INVALID_ARGUMENT", field, format!("{field}: missing"));
        let from_ns = time("from", wanted.from.as_deref())?.ok_or_else(|| missing("from"))?;
        let to_ns = time("to", wanted.to.as_deref())?.ok_or_else(|| missing("to"))?;
        let SeriesKey { venue, symbol, interval } = key;
        let (from_ns, to_ns) = (ceil(interval, from_ns), ceil(interval, to_ns));
        let range = HistoryRange { venue, symbol, interval: Some(interval), from_ns, to_ns };
        let range = bounded_range(range, self.app.bulk.config.candles)?;
        let id = self.app.bulk.backfills.submit(&range)?;
        let answer = json!({"request_id": id.to_string(), "state": "queued", "message": "It is being fetched; ask for the candles in a moment."});
        Ok(done(&answer, "History is being fetched"))
    }
}

fn time(field: &'static str, text: Option<&str>) -> Result<Option<u64>, Refusal> {
    let read = |text| rfc3339::parse(text).ok_or_else(|| Refusal::from(bad_time(field)));
    text.map(read).transpose()
}

/// What a day's candles say, if they reach back that far: a shorter time is no day.
fn add_day(price: &mut Value, day: &[CandleView], last: Decimal, now_ns: u64) {
    let start = now_ns.saturating_sub(DAY_NS);
    let window: Vec<&CandleView> = day.iter().filter(|it| it.open_time >= start).collect();
    // The close before the day began.
    let Some(before) = day.iter().rev().find(|it| it.open_time < start) else { return };
    if window.is_empty() {
        return;
    }
    price["high_24h"] = json!(window.iter().map(|it| it.high).max().unwrap_or(last).max(last).to_string());
    price["low_24h"] = json!(window.iter().map(|it| it.low).min().unwrap_or(last).min(last).to_string());
    let volume = window.iter().try_fold(Decimal::ZERO, |sum, it| sum.checked_add(it.volume));
    if let Some(volume) = volume {
        price["volume_24h"] = json!(volume.to_string());
    }
    if let Some(percent) = percent(before.close, last) {
        price["change_24h_percent"] = json!(percent.to_string());
    }
}

/// The change in percent, cut to two decimals.
fn percent(from: Decimal, to: Decimal) -> Option<Decimal> {
    let step = Decimal::new(1, 2).ok()?;
    let ratio = to.checked_sub(from)?.checked_mul(Decimal::from_int(100))?.checked_div(from)?;
    Some(ratio.truncate_to(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candle(open_time: u64, close: i64) -> CandleView {
        let price = Decimal::from_int(close);
        CandleView {
            open_time,
            open: price,
            high: Decimal::from_int(close + 1),
            low: Decimal::from_int(close - 1),
            close: price,
            volume: Decimal::from_int(2),
            quote_volume: Decimal::ZERO,
            trades: 1,
            revision: 0,
            closed: true,
            repaired: false,
        }
    }

    #[test]
    fn a_day_is_told_only_if_the_candles_reach_back_that_far() {
        let now = 10 * DAY_NS;
        let whole = [candle(now - DAY_NS - 900, 100), candle(now - DAY_NS + 1, 120), candle(now - 5, 90)];
        let mut price = json!({});
        add_day(&mut price, &whole, Decimal::from_int(90), now);
        let expected = json!({"high_24h": "121", "low_24h": "89", "volume_24h": "4", "change_24h_percent": "-10"});
        assert_eq!(price, expected);
        let mut price = json!({});
        add_day(&mut price, &whole[1..], Decimal::from_int(90), now);
        assert_eq!(price, json!({}), "half a day is no day");
        add_day(&mut price, &[], Decimal::from_int(90), now);
        assert_eq!(price, json!({}));
    }

    #[test]
    fn a_change_is_exact_and_cut_to_two_decimals() {
        let change = |from, to| percent(Decimal::from_int(from), Decimal::from_int(to)).map(|it| it.to_string());
        assert_eq!(change(3, 4).as_deref(), Some("33.33"));
        assert_eq!(change(3, 2).as_deref(), Some("-33.33"));
        assert_eq!(change(0, 2), None);
    }
}
