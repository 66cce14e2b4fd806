//! Names of Binance: base and quote run together, so a name splits only with a list of quote assets.

use crate::symbol::{is_plain, split_by_quote, symbol_of};
use proto::Symbol;

/// Quote assets of the spot market, past ones included. One that ends another stands after it.
const SPOT_QUOTES: [&str; 45] = [
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "RLUSD", "USD1", "USDE", "USDS", "USDP", "BTC", "ETH", "BNB", "EURI",
    "AEUR", "EUR", "TRY", "BRL", "JPY", "GBP", "AUD", "RUB", "UAH", "ZAR", "PLN", "RON", "ARS", "MXN", "CZK", "COP",
    "NGN", "IDRT", "BIDR", "BVND", "BKRW", "VAI", "DAI", "PAX", "TRX", "XRP", "DOGE", "DOT", "SOL", "UST", "GYEN",
];

/// Quote assets of the USD-margined market.
const USDM_QUOTES: [&str; 6] = ["USDT", "USDC", "BUSD", "USD1", "BTC", "ETH"];

pub(super) fn spot_symbol(name: &str) -> Option<Symbol> {
    let (base, quote) = split_by_quote(name, &SPOT_QUOTES).filter(|_| is_plain(name))?;
    symbol_of(base, quote)
}

pub(super) fn spot_name(symbol: &Symbol) -> Option<String> {
    Some([symbol.base(), symbol.quote()].concat())
}

/// `BTCUSDT` is the perpetual `BTC/USDT`; `BTCUSDT_240927` the future `BTC/USDT_240927`.
pub(super) fn usdm_symbol(name: &str) -> Option<Symbol> {
    let (pair, expiry) = match name.split_once('_') {
        Some((pair, expiry)) if is_date(expiry) => (pair, Some(expiry)),
        Some(_) => return None,
        None => (name, None),
    };
    let (base, quote) = split_by_quote(pair, &USDM_QUOTES).filter(|_| is_plain(pair))?;
    match expiry {
        Some(expiry) => symbol_of(base, &format!("{quote}_{expiry}")),
        None => symbol_of(base, quote),
    }
}

pub(super) fn usdm_name(symbol: &Symbol) -> Option<String> {
    spot_name(symbol)
}

/// Six digits, as in `240927`.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}
