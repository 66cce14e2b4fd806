//! The adapter of the simulated exchange: the same trait that real venues implement, over the frames of
//! [`super::frames`] and the pages of [`super::exchange`].

use super::exchange::PAGE_ROWS;
use proto::market::{Candle, Quote, Side, Source, Tick};
use proto::{Decimal, Symbol, Venue};
use serde::Deserialize;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use venues::{
    Adapter, Answer, CandlesPage, CandlesQuery, Connection, Cursor, Event, Instrument, InstrumentKind,
    InstrumentStatus, Instruments, Pacing, Profile, Reason, Rejection, RestError, RestLimits, RestRequest, SymbolError,
    TradeIds, TradesPage, TradesQuery,
};

static VENUE: LazyLock<Venue> = LazyLock::new(|| "SIM".parse().expect("SIM is a venue name"));

const PROFILE: Profile = Profile {
    ws_url: "sim:",
    rest_url: "sim:",
    mute_timeout: Duration::from_secs(20),
    ping: None,
    symbols_per_connection: 1_000,
    subscribe_pacing: Pacing { count: 100, per: Duration::from_secs(1) },
    connect_pacing: Pacing { count: 100, per: Duration::from_secs(1) },
    trade_ids: TradeIds::Contiguous,
    rest: RestLimits {
        budget: 1_000_000,
        interval: Duration::from_secs(60),
        reserve_for_orders_percent: 0,
        used_weight_header: None,
    },
    partial_quotes: false,
    candle_quote_volume: true,
    candle_trades: true,
};

/// The venue id of the simulated exchange.
pub(crate) fn venue() -> &'static Venue {
    &VENUE
}

/// The adapter of the venue `SIM`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimAdapter;

#[derive(Deserialize)]
struct Frame<'a> {
    e: &'a str,
    s: &'a str,
    #[serde(rename = "T", default)]
    time_ms: u64,
    i: Option<u64>,
    p: Option<&'a str>,
    q: Option<&'a str>,
    m: Option<&'a str>,
    b: Option<&'a str>,
    #[serde(rename = "B")]
    bid_size: Option<&'a str>,
    a: Option<&'a str>,
    #[serde(rename = "A")]
    ask_size: Option<&'a str>,
}

fn refused(reason: Reason, detail: impl Into<String>) -> Rejection {
    Rejection { reason, detail: detail.into() }
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Rejection> {
    serde_json::from_slice(bytes).map_err(|error| refused(Reason::Malformed, error.to_string()))
}

fn number(name: &str, text: Option<&str>) -> Result<Decimal, Rejection> {
    let text = text.ok_or_else(|| refused(Reason::MissingField, name))?;
    text.parse().map_err(|_| refused(Reason::BadNumber, name))
}

fn symbol(text: &str) -> Result<Symbol, Rejection> {
    text.parse().map_err(|_| refused(Reason::UnknownSymbol, text))
}

fn nanos(ms: u64) -> Result<u64, Rejection> {
    ms.checked_mul(1_000_000).ok_or_else(|| refused(Reason::BadTime, "T"))
}

fn side(text: &str) -> Result<Side, Rejection> {
    match text {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err(refused(Reason::OutOfRange, "m")),
    }
}

/// Says which rule a value breaks, in the words of the venues.
fn out_of_range(error: &proto::market::MarketError) -> Rejection {
    refused(Reason::OutOfRange, error.to_string())
}

impl Frame<'_> {
    fn tick(&self, receive_time_ns: u64) -> Result<Tick, Rejection> {
        let tick = Tick {
            venue: VENUE.clone(),
            symbol: symbol(self.s)?,
            trade_id: self.i.ok_or_else(|| refused(Reason::MissingField, "i"))?.to_string(),
            event_time_ns: nanos(self.time_ms)?,
            receive_time_ns,
            price: number("p", self.p)?,
            size: number("q", self.q)?,
            side: side(self.m.ok_or_else(|| refused(Reason::MissingField, "m"))?)?,
            source: Source::Live,
            repaired: false,
        };
        tick.validate().map_err(|error| out_of_range(&error))?;
        Ok(tick)
    }

    fn quote(&self, receive_time_ns: u64) -> Result<Quote, Rejection> {
        let quote = Quote {
            venue: VENUE.clone(),
            symbol: symbol(self.s)?,
            event_time_ns: nanos(self.time_ms)?,
            receive_time_ns,
            bid_price: number("b", self.b)?,
            bid_size: number("B", self.bid_size)?,
            ask_price: number("a", self.a)?,
            ask_size: number("A", self.ask_size)?,
        };
        if quote.ask_price < quote.bid_price {
            return Err(refused(Reason::CrossedQuote, self.s));
        }
        quote.validate().map_err(|error| out_of_range(&error))?;
        Ok(quote)
    }
}

#[derive(Deserialize)]
struct InstrumentRow<'a> {
    s: &'a str,
    tick: &'a str,
    lot: &'a str,
    min: &'a str,
}

impl InstrumentRow<'_> {
    fn instrument(&self) -> Result<Instrument, Rejection> {
        Ok(Instrument {
            venue: VENUE.clone(),
            symbol: symbol(self.s)?,
            venue_symbol: self.s.to_owned(),
            kind: InstrumentKind::Spot,
            status: InstrumentStatus::Trading,
            tick_size: number("tick", Some(self.tick))?,
            lot_size: number("lot", Some(self.lot))?,
            min_notional: number("min", Some(self.min))?,
        })
    }
}

type TradeRow<'a> = (u64, u64, &'a str, &'a str, &'a str);
type CandleRow<'a> = (u64, &'a str, &'a str, &'a str, &'a str, &'a str, &'a str, u64);

impl Adapter for SimAdapter {
    fn venue(&self) -> &Venue {
        &VENUE
    }

    fn profile(&self) -> &Profile {
        &PROFILE
    }

    fn venue_symbol(&self, symbol: &Symbol) -> Result<String, SymbolError> {
        Ok(symbol.to_string())
    }

    fn canonical(&self, venue_symbol: &str) -> Result<Symbol, SymbolError> {
        venue_symbol.parse().map_err(|_| SymbolError::Form(venue_symbol.to_owned()))
    }

    fn refined(&self, _instruments: &[Instrument]) -> Arc<dyn Adapter> {
        Arc::new(*self)
    }

    fn connections(&self, base: &str, symbols: &[Symbol]) -> Result<Vec<Connection>, SymbolError> {
        let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
        let subscribe = vec![format!(r#"{{"op":"subscribe","symbols":"{}"}}"#, names.join(","))];
        let (url, symbols) = (base.to_owned(), symbols.to_vec());
        Ok(vec![Connection { url, subscribe, symbols, trades: true, quotes: true }])
    }

    fn decode(&self, frame: &[u8], receive_time_ns: u64, out: &mut Vec<Event>) -> Result<(), Rejection> {
        let frame: Frame<'_> = json(frame)?;
        out.push(match frame.e {
            "trade" => Event::Tick(frame.tick(receive_time_ns)?),
            "quote" => Event::Quote(frame.quote(receive_time_ns)?),
            "subscribed" => Event::Subscribed(frame.s.to_owned()),
            other => return Err(refused(Reason::UnknownChannel, other)),
        });
        Ok(())
    }

    fn instruments(&self) -> Option<RestRequest> {
        Some(RestRequest { path_and_query: "/v1/instruments".to_owned(), weight: 1 })
    }

    fn parse_instruments(&self, body: &[u8]) -> Result<Instruments, Rejection> {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            instruments: Vec<InstrumentRow<'a>>,
        }
        let page: Page<'_> = json(body)?;
        let (mut listed, mut refused) = (Vec::new(), Vec::new());
        for row in &page.instruments {
            match row.instrument() {
                Ok(instrument) => listed.push(instrument),
                Err(rejection) => refused.push(rejection),
            }
        }
        Ok(Instruments { listed, refused })
    }

    fn trades_page(&self, query: &TradesQuery) -> Option<RestRequest> {
        let range = match (query.cursor, query.ids) {
            (Some(Cursor::FromId(id)), Some(ids)) => format!("from_id={id}&to_id={}", ids.last),
            (_, Some(ids)) => format!("from_id={}&to_id={}", ids.first, ids.last),
            (Some(Cursor::FromTime(from_ns)), None) => {
                format!("from_ms={}&to_ms={}", from_ns.div_ceil(1_000_000), query.to_ns.div_ceil(1_000_000))
            }
            _ => format!("from_ms={}&to_ms={}", query.from_ns.div_ceil(1_000_000), query.to_ns.div_ceil(1_000_000)),
        };
        Some(RestRequest { path_and_query: format!("/v1/trades?symbol={}&{range}", query.symbol), weight: 1 })
    }

    fn parse_trades(&self, query: &TradesQuery, body: &[u8], receive_time_ns: u64) -> Result<TradesPage, Rejection> {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            trades: Vec<TradeRow<'a>>,
        }
        let page: Page<'_> = json(body)?;
        let mut out = TradesPage::default();
        for (id, ms, price, size, taker) in &page.trades {
            let frame = Frame {
                e: "trade",
                s: query.symbol.as_str(),
                time_ms: *ms,
                i: Some(*id),
                p: Some(price),
                q: Some(size),
                m: Some(taker),
                b: None,
                bid_size: None,
                a: None,
                ask_size: None,
            };
            match frame.tick(receive_time_ns) {
                Ok(tick) if query.wants(Some(*id), tick.event_time_ns) => {
                    out.ticks.push(Tick { source: Source::Backfill, ..tick });
                }
                Ok(_) => {}
                Err(rejection) => out.refused.push(rejection),
            }
        }
        if let (Some((last, ms, ..)), true) = (page.trades.last(), page.trades.len() >= PAGE_ROWS) {
            let cursor = match query.ids {
                Some(ids) if *last < ids.last => Some(Cursor::FromId(last + 1)),
                Some(_) => None,
                // The whole last millisecond comes again; the caller drops what it has. A millisecond never fills a page.
                None => Some(Cursor::FromTime(nanos(*ms)?)),
            };
            out.next = cursor.map(|cursor| TradesQuery { cursor: Some(cursor), ..query.clone() });
        }
        Ok(out)
    }

    fn candles_page(&self, query: &CandlesQuery) -> Option<RestRequest> {
        let path_and_query = format!(
            "/v1/candles?symbol={}&interval={}&from_ms={}&to_ms={}",
            query.symbol,
            query.interval.seconds(),
            query.from_ns.div_ceil(1_000_000),
            query.to_ns.div_ceil(1_000_000),
        );
        Some(RestRequest { path_and_query, weight: 1 })
    }

    fn parse_candles(
        &self,
        query: &CandlesQuery,
        body: &[u8],
        _receive_time_ns: u64,
    ) -> Result<CandlesPage, Rejection> {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            candles: Vec<CandleRow<'a>>,
        }
        let page: Page<'_> = json(body)?;
        let mut out = CandlesPage::default();
        for (open_ms, open, high, low, close, volume, quote_volume, trades) in &page.candles {
            out.candles.push(Candle {
                venue: VENUE.clone(),
                symbol: query.symbol.clone(),
                interval: query.interval,
                open_time_ns: nanos(*open_ms)?,
                open: number("open", Some(open))?,
                high: number("high", Some(high))?,
                low: number("low", Some(low))?,
                close: number("close", Some(close))?,
                volume: number("volume", Some(volume))?,
                quote_volume: number("quote volume", Some(quote_volume))?,
                trades: *trades,
                revision: 0,
                closed: true,
                repaired: false,
            });
        }
        if let (Some(last), true) = (out.candles.last(), out.candles.len() >= PAGE_ROWS) {
            let from_ns = last.open_time_ns + query.interval.nanos();
            out.next = (from_ns < query.to_ns).then(|| CandlesQuery { from_ns, ..query.clone() });
        }
        Ok(out)
    }

    fn check(&self, answer: &Answer<'_>) -> Result<(), RestError> {
        match answer.status {
            200 => Ok(()),
            404 => Err(RestError::UnknownSymbol),
            429 => Err(RestError::RateLimited { retry_after: seconds(answer.retry_after) }),
            418 => Err(RestError::Banned { retry_after: seconds(answer.retry_after) }),
            status @ 500.. => Err(RestError::Retryable { status, message: String::new() }),
            status => Err(RestError::Fatal { status, message: String::from_utf8_lossy(answer.body).into_owned() }),
        }
    }
}

fn seconds(text: Option<&str>) -> Option<Duration> {
    text.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs)
}

#[cfg(test)]
#[path = "adapter/tests.rs"]
mod tests;
