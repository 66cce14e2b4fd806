//! The frames of the simulated exchange: JSON, one event each, in the manner of real venues.
//!
//! - trade: `{"e":"trade","s":"BTC/USDT","i":17,"T":1723075200123,"p":"60012.31","q":"0.0042","m":"buy"}`: symbol, id,
//!   time in milliseconds, price, size, the taker's side;
//! - quote: `{"e":"quote","s":"BTC/USDT","T":1723075200123,"b":"60012.30","B":"0.5","a":"60012.32","A":"0.4"}`: best bid
//!   with its size, best ask with its size;
//! - after a subscription: `{"e":"subscribed","s":"BTC/USDT,ETH/USDT"}`.

use super::market::{SimMarket, SimTrade};
use bytes::Bytes;

/// The frame of a trade.
pub(crate) fn trade(market: &SimMarket, trade: &SimTrade) -> Bytes {
    let text = format!(
        r#"{{"e":"trade","s":"{}","i":{},"T":{},"p":"{}","q":"{}","m":"{}"}}"#,
        market.spec().symbol,
        trade.id,
        trade.time_ms,
        market.price(trade.price),
        market.size(trade.lots),
        side(trade.buy),
    );
    Bytes::from(text)
}

/// The frame of the quote after a trade.
pub(crate) fn quote(market: &SimMarket, trade: &SimTrade) -> Bytes {
    let (bid, bid_lots, ask, ask_lots) = market.quote(trade);
    let text = format!(
        r#"{{"e":"quote","s":"{}","T":{},"b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
        market.spec().symbol,
        trade.time_ms,
        market.price(bid),
        market.size(bid_lots),
        market.price(ask),
        market.size(ask_lots),
    );
    Bytes::from(text)
}

/// The answer to a subscription.
pub(crate) fn subscribed(symbols: &[proto::Symbol]) -> Bytes {
    let names: Vec<&str> = symbols.iter().map(proto::Symbol::as_str).collect();
    Bytes::from(format!(r#"{{"e":"subscribed","s":"{}"}}"#, names.join(",")))
}

/// The word for the taker's side.
pub(crate) const fn side(buy: bool) -> &'static str {
    if buy { "buy" } else { "sell" }
}
