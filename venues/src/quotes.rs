//! Whole quotes out of frames that name only the side that changed. The one state of this crate; the caller owns it.

use crate::{Event, Ignored, market};
use hashbrown::HashMap;
use proto::market::Quote;
use proto::{Decimal, Symbol, Venue};

/// Most symbols remembered; beyond that changes of new symbols are ignored. Above any venue's limit for a connection.
const SYMBOLS: usize = 4096;

/// A change of the best bid, the best ask or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteChange {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// Venue clock.
    pub event_time_ns: u64,
    /// Our clock.
    pub receive_time_ns: u64,
    /// Price and size of the best bid, if it changed.
    pub bid: Option<(Decimal, Decimal)>,
    /// Price and size of the best ask, if it changed.
    pub ask: Option<(Decimal, Decimal)>,
}

/// The last quote of each symbol of one connection. Start anew after each reconnect.
#[derive(Debug, Default)]
pub struct PartialQuotes {
    last: HashMap<Symbol, Quote>,
}

impl PartialQuotes {
    /// Remembers quotes and turns a [`QuoteChange`] into the whole [`Quote`]; until the other side is known it is
    /// ignored as one-sided. Other events pass unchanged.
    pub fn complete(&mut self, event: Event) -> Event {
        match event {
            Event::Quote(quote) => {
                self.remember(quote.clone());
                Event::Quote(quote)
            }
            Event::QuoteChange(change) => self.apply(change),
            other => other,
        }
    }

    fn remember(&mut self, quote: Quote) {
        if self.last.len() < SYMBOLS || self.last.contains_key(&quote.symbol) {
            self.last.insert(quote.symbol.clone(), quote);
        }
    }

    fn apply(&mut self, change: QuoteChange) -> Event {
        let Some(last) = self.last.get(&change.symbol) else {
            return Event::Ignored(Ignored::OneSidedBook);
        };
        let bid = change.bid.unwrap_or((last.bid_price, last.bid_size));
        let ask = change.ask.unwrap_or((last.ask_price, last.ask_size));
        let quote = Quote {
            venue: change.venue,
            symbol: change.symbol,
            event_time_ns: change.event_time_ns,
            receive_time_ns: change.receive_time_ns,
            bid_price: bid.0,
            bid_size: bid.1,
            ask_price: ask.0,
            ask_size: ask.1,
        };
        match market::quote_event(quote) {
            Ok(Event::Quote(quote)) => {
                self.remember(quote.clone());
                Event::Quote(quote)
            }
            Ok(other) => other,
            Err(rejection) => Event::Refused(rejection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    fn change(bid: Option<&str>, ask: Option<&str>) -> Event {
        let level = |price: &str| (price.parse().unwrap(), Decimal::ONE);
        Event::QuoteChange(QuoteChange {
            venue: "BYBIT".parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            event_time_ns: 1_700_000_000_000_000_000,
            receive_time_ns: 1_700_000_000_000_000_001,
            bid: bid.map(level),
            ask: ask.map(level),
        })
    }

    fn whole(bid: &str, ask: &str) -> Event {
        let Event::QuoteChange(c) = change(Some(bid), Some(ask)) else { unreachable!() };
        let ((bid_price, bid_size), (ask_price, ask_size)) = (c.bid.unwrap(), c.ask.unwrap());
        Event::Quote(Quote {
            venue: c.venue,
            symbol: c.symbol,
            event_time_ns: c.event_time_ns,
            receive_time_ns: c.receive_time_ns,
            bid_price,
            bid_size,
            ask_price,
            ask_size,
        })
    }

    #[test]
    fn one_changed_side_keeps_the_other() {
        let mut quotes = PartialQuotes::default();
        assert_eq!(quotes.complete(change(Some("10"), None)), Event::Ignored(Ignored::OneSidedBook));
        assert_eq!(quotes.complete(whole("10", "12")), whole("10", "12"));
        assert_eq!(quotes.complete(change(Some("11"), None)), whole("11", "12"));
        assert_eq!(quotes.complete(change(None, Some("13"))), whole("11", "13"));
        assert_eq!(quotes.complete(Event::Heartbeat), Event::Heartbeat);
    }

    #[test]
    fn a_change_that_crosses_is_refused_and_forgotten() {
        let mut quotes = PartialQuotes::default();
        quotes.complete(whole("10", "12"));
        let Event::Refused(rejection) = quotes.complete(change(Some("13"), None)) else { panic!("not refused") };
        assert_eq!(rejection.reason, Reason::CrossedQuote);
        assert_eq!(quotes.complete(change(None, Some("14"))), whole("10", "14"));
    }
}
