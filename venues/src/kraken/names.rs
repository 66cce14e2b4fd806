//! Names of Kraken: `BTC/USD` (WebSocket v2), `XBT/USD` (v1 and `wsname`), `XBTUSD` (`altname`), `XXBTZUSD` (legacy).

use crate::symbol::{is_plain, split_by_quote, symbol_of};
use proto::Symbol;

/// Quote assets as they end an `altname`; one that ends another stands after it.
const QUOTES: [&str; 23] = [
    "USDT", "USDC", "USDG", "USDD", "USDR", "RLUSD", "PYUSD", "EURT", "EURQ", "EURR", "DAI", "XBT", "BTC", "ETH",
    "CHF", "DOT", "USD", "EUR", "GBP", "CAD", "JPY", "AUD", "AED",
];
/// Quote assets of legacy names, which have two parts of four letters.
const LEGACY_QUOTES: [&str; 8] = ["ZUSD", "ZEUR", "ZGBP", "ZCAD", "ZJPY", "ZAUD", "XXBT", "XETH"];

/// An asset by the name the rest of the world gives it: `XXBT`, `XBT` and `BTC` are `BTC`; `ZUSD` is `USD`.
pub(super) fn asset(name: &str) -> &str {
    match name {
        "XBT" | "XXBT" => "BTC",
        "XDG" | "XXDG" => "DOGE",
        "XETC" | "XETH" | "XLTC" | "XMLN" | "XREP" | "XXLM" | "XXMR" | "XXRP" | "XZEC" | "ZAUD" | "ZCAD" | "ZEUR"
        | "ZGBP" | "ZJPY" | "ZUSD" => &name[1..],
        other => other,
    }
}

pub(super) fn symbol(name: &str) -> Option<Symbol> {
    let (base, quote) = name.split_once('/').or_else(|| legacy(name)).or_else(|| modern(name))?;
    symbol_of(asset(base), asset(quote))
}

/// `XBTUSD`, and `ETH2.SETH` for staked assets.
fn modern(name: &str) -> Option<(&str, &str)> {
    split_by_quote(name, &QUOTES).filter(|(base, _)| base.split('.').all(is_plain))
}

/// `XXBTZUSD` and `USDTZUSD`, but not `TRXXBT`.
fn legacy(name: &str) -> Option<(&str, &str)> {
    let (base, quote) = name.split_at_checked(4)?;
    let old = asset(base) != base || base == "USDT";
    (old && LEGACY_QUOTES.contains(&quote)).then_some((base, quote))
}

/// The v2 name is the canonical one.
pub(super) fn name(symbol: &Symbol) -> Option<String> {
    Some(symbol.to_string())
}

/// The pair in a REST request: `XBTUSD`. Takes the v2 name, whose case counts (`AAPLx/USD`).
pub(super) fn rest_pair(v2_name: &str) -> String {
    let legacy = |asset: &str| match asset {
        "BTC" => "XBT".to_owned(),
        "DOGE" => "XDG".to_owned(),
        other => other.to_owned(),
    };
    v2_name.split('/').map(legacy).collect()
}
