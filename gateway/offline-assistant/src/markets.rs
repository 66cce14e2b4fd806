//! Which markets a message names: `BTC`, `btc/usdt`, `BTCUSDT`, `Bitcoin`, `BINANCE:ETH/USDT`, "on Kraken".

use crate::words::Words;
use serde_json::{Value, json};

/// Most markets that are read out of one message.
const MARKETS_MAX: usize = 12;

const QUOTES: [&str; 14] =
    ["USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "BTC", "ETH", "DAI"];

/// Ticker, and the words for it. Words that mean something else in a sentence are not here: those are taken only if typed in capitals.
const ASSETS: [(&str, &[&str]); 44] = [
    ("BTC", &["btc", "bitcoin", "bitcoins", "xbt"]),
    ("ETH", &["eth", "ethereum", "ether"]),
    ("SOL", &["sol", "solana"]),
    ("XRP", &["xrp", "ripple"]),
    ("ADA", &["ada", "cardano"]),
    ("DOGE", &["doge", "dogecoin"]),
    ("LTC", &["ltc", "litecoin"]),
    ("BNB", &["bnb"]),
    ("AVAX", &["avax", "avalanche"]),
    ("DOT", &["polkadot"]),
    ("LINK", &["chainlink"]),
    ("MATIC", &["matic"]),
    ("POL", &["polygon"]),
    ("TRX", &["trx", "tron"]),
    ("ATOM", &["cosmos"]),
    ("UNI", &["uniswap"]),
    ("NEAR", &[]),
    ("APT", &["aptos"]),
    ("ARB", &["arbitrum"]),
    ("OP", &[]),
    ("SUI", &["sui"]),
    ("TON", &["toncoin"]),
    ("SHIB", &["shib"]),
    ("PEPE", &["pepe"]),
    ("FIL", &["filecoin"]),
    ("XLM", &["xlm", "stellar"]),
    ("XMR", &["xmr", "monero"]),
    ("ETC", &[]),
    ("BCH", &["bch"]),
    ("AAVE", &["aave"]),
    ("MKR", &["mkr"]),
    ("INJ", &["inj", "injective"]),
    ("HBAR", &["hbar", "hedera"]),
    ("ICP", &["icp"]),
    ("ALGO", &["algorand"]),
    ("VET", &["vechain"]),
    ("SEI", &["sei"]),
    ("TIA", &["celestia"]),
    ("WIF", &["wif"]),
    ("BONK", &["bonk"]),
    ("RUNE", &["thorchain"]),
    ("HYPE", &[]),
    ("EOS", &["eos"]),
    ("XTZ", &["xtz", "tezos"]),
];

const VENUES: [(&str, &str); 10] = [
    ("binance futures", "BINANCE-USDM"),
    ("binance usdm", "BINANCE-USDM"),
    ("binance-usdm", "BINANCE-USDM"),
    ("binance", "BINANCE"),
    ("bybit", "BYBIT"),
    ("coinbase", "COINBASE"),
    ("hyperliquid", "HYPERLIQUID"),
    ("kraken", "KRAKEN"),
    ("okx", "OKX"),
    ("sim", "SIM"),
];

/// Words in capitals that are no asset.
const NO_ASSET: &str = "RSI MACD EMA SMA WMA HMA DEMA TEMA KAMA VWAP ATR ADX CCI MFI OBV CMF ROC AD PSAR BB SAR API USD USDT USDC EUR UTC PNL ROI \
    AND OR NOT THE IT IS ON IN OF TO MY ME I A AM PM OK YES NO FAQ LLM AI MCP ID CSV JSON PDF URL TP SL TA DCA ATH ATL OHLC OHLCV P L R";

/// A market as a person names it; the gateway, or a list of instruments, says which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Market {
    /// In capitals.
    pub(crate) venue: Option<String>,
    /// `BTC`, or `BTC/USDT`.
    pub(crate) symbol: String,
}

/// Whether it is a usual quote asset.
pub(crate) fn is_quote(text: &str) -> bool {
    QUOTES.contains(&text)
}

impl Market {
    /// Reads `VENUE:BASE/QUOTE` or `BASE/QUOTE`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (venue, symbol) = text.split_once(':').map_or((None, text), |(venue, symbol)| (Some(venue), symbol));
        let part = |part: &str| !part.is_empty() && part.len() <= 24 && part.bytes().all(is_name);
        let sound = symbol.split('/').count() <= 2 && symbol.split('/').all(part) && venue.is_none_or(part);
        sound.then(|| Self { venue: venue.map(str::to_ascii_uppercase), symbol: symbol.to_ascii_uppercase() })
    }

    /// The base asset.
    pub(crate) fn base(&self) -> &str {
        self.symbol.split('/').next().unwrap_or_default()
    }

    /// The quote asset, if it was said.
    pub(crate) fn quote(&self) -> Option<&str> {
        self.symbol.split_once('/').map(|(_, quote)| quote)
    }

    /// For a tool that takes venue and symbol.
    pub(crate) fn arguments(&self) -> Value {
        match &self.venue {
            Some(venue) => json!({"venue": venue, "symbol": self.symbol}),
            None => json!({"symbol": self.symbol}),
        }
    }

    /// For a tool that takes a list of names.
    pub(crate) fn name(&self) -> String {
        self.venue.as_ref().map_or_else(|| self.symbol.clone(), |venue| format!("{venue}:{}", self.symbol))
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// The venue that is named, if one is.
pub(crate) fn venue(words: &Words) -> Option<String> {
    let simulated = words.any(&["simulated market", "simulated venue", "simulation venue"]);
    let named = VENUES.iter().find(|(word, _)| words.has(word)).map(|(_, venue)| *venue);
    named.or(simulated.then_some("SIM")).map(str::to_owned)
}

/// The markets that are named, in their order, each once.
pub(crate) fn markets(words: &Words) -> Vec<Market> {
    let venue = venue(words);
    // In a message that shouts, capitals say nothing.
    let shouted = words.len() > 2 && words.raw().iter().all(|word| !word.bytes().any(|byte| byte.is_ascii_lowercase()));
    let mut found: Vec<Market> = Vec::new();
    for (at, raw) in words.raw().iter().enumerate() {
        let plain = words.plain()[at].as_str();
        let after = words.plain().get(at + 1).map_or("", String::as_str);
        let market = match (plain, after) {
            ("bitcoin", "cash") => asset("BCH"),
            ("ethereum", "classic") => asset("ETC"),
            ("shiba", "inu") => asset("SHIB"),
            // "bullish on", "buy link": only names and capitals count.
            _ => named(raw, plain, shouted),
        };
        // "BTC USDT" is one market.
        let quoted = at > 0 && is_quote(&raw.to_ascii_uppercase()) && !["btc", "eth"].contains(&plain);
        if let Some(market) = market {
            if !found.contains(&market) && found.len() < MARKETS_MAX {
                found.push(market);
            }
        } else if let Some(before) = found.last_mut().filter(|before| quoted && before.quote().is_none())
            && is_base(&words.plain()[at - 1], before.base())
        {
            before.symbol = format!("{}/{}", before.symbol, raw.to_ascii_uppercase());
        }
    }
    for market in &mut found {
        market.venue = market.venue.take().or_else(|| venue.clone());
    }
    found
}

fn is_base(word: &str, base: &str) -> bool {
    word.eq_ignore_ascii_case(base) || ASSETS.iter().any(|(ticker, words)| *ticker == base && words.contains(&word))
}

fn asset(ticker: &str) -> Option<Market> {
    Some(Market { venue: None, symbol: ticker.to_owned() })
}

fn named(raw: &str, plain: &str, shouted: bool) -> Option<Market> {
    if let Some((ticker, _)) = ASSETS.iter().find(|(_, words)| words.contains(&plain)) {
        return asset(ticker);
    }
    let upper = raw.to_ascii_uppercase();
    if let Some((venue, symbol)) = raw.split_once(':') {
        let known = VENUES.iter().any(|(_, name)| venue.eq_ignore_ascii_case(name)) && symbol.contains('/');
        return if known { Market::parse(raw) } else { None };
    }
    let canonical = upper.replace('-', "/");
    if let Some((base, quote)) = canonical.split_once('/') {
        let sound = base.len() >= 2 && base.bytes().any(|byte| byte.is_ascii_alphabetic()) && is_quote(quote);
        return if sound { Market::parse(&canonical) } else { None };
    }
    let capitals = raw.len() >= 2 && raw.bytes().all(|byte| byte.is_ascii_uppercase()) && !shouted;
    let known = |base: &str| ASSETS.iter().any(|(ticker, _)| *ticker == base);
    for quote in QUOTES {
        if let Some(base) = upper.strip_suffix(quote)
            && (known(base) || (capitals && (2..=6).contains(&base.len()) && quote.len() > 3))
        {
            return Market::parse(&format!("{base}/{quote}"));
        }
    }
    let ticker = capitals && raw.len() <= 6 && !NO_ASSET.split_whitespace().any(|word| word == raw);
    // A word of the rules in capitals ("SHOW me") is not a ticker.
    let sure = known(raw) || (raw.len() >= 3 && !crate::words::is_known(plain));
    if ticker && sure { asset(raw) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        markets(&Words::new(text)).iter().map(Market::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn markets_are_read_in_every_usual_spelling() {
        for (text, expected) in [
            ("price of BTC", "BTC"),
            ("price of btc/usdt?", "BTC/USDT"),
            ("BTCUSDT", "BTC/USDT"),
            ("btcusdt 1h", "BTC/USDT"),
            ("eth-usd", "ETH/USD"),
            ("Bitcoin and Ethereum", "BTC ETH"),
            ("bitcoin cash", "BCH"),
            ("BTC USDT please", "BTC/USDT"),
            ("ethereum in usd", "ETH"),
            ("$SOL", "SOL"),
            ("BINANCE:ETH/USDT", "BINANCE:ETH/USDT"),
            ("btc on kraken", "KRAKEN:BTC"),
            ("compare BTC, ETH and btc", "BTC ETH"),
            ("show WIF 5m", "WIF"),
            ("NEAR 1h", "NEAR"),
            ("is it near the low", ""),
            ("RSI and MACD", ""),
            ("a link to the report", ""),
            ("SHOW ME THE CHART", ""),
            ("SHOW ME BTC", "BTC"),
            ("20/50 cross", ""),
            ("see https://x/y", ""),
            ("ETHBTC", "ETH/BTC"),
            ("a:b/c", ""),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_could_be_something_else_is_no_market() {
        for text in ["a/b/c", "", "BTC/", "/USDT", "B T", "x:y:z/q", "BTC/US DT", "BTC/\"USDT"] {
            assert_eq!(Market::parse(text), None, "{text:?}");
        }
    }
}
