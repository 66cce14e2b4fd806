//! Which instrument a person means: `BTC`, `btc/usdt`, `BINANCE:BTC/USDT`.

use super::Refusal;
use crate::directory::Directory;
use crate::view::InstrumentView;
use proto::{Symbol, Venue};

/// Quote assets, the one that most people mean first.
const QUOTES: [&str; 6] = ["USDT", "USD", "USDC", "EUR", "GBP", "BTC"];
/// Instruments that are looked at.
const LOOKED_AT: usize = 500;
/// Candidates that a refusal lists.
const LISTED: usize = 8;

/// The instrument that is meant. Of several with live data the most usual one: spot before futures, then by quote asset, then by
/// venue; the answer says which it was. Of several without live data none: the person has to say.
pub(super) fn resolve(directory: &Directory, venue: Option<&str>, text: &str) -> Result<(Venue, Symbol), Refusal> {
    let (venue, text) = match (venue, text.split_once(':')) {
        (None, Some((venue, symbol))) => (Some(venue), symbol),
        (venue, _) => (venue, text),
    };
    let wrong = |field: &str, what: String| Refusal::new("INVALID_ARGUMENT", field, what);
    let venue: Option<Venue> = match venue.map(|venue| venue.to_ascii_uppercase().parse()) {
        None => None,
        Some(Ok(venue)) => Some(venue),
        Some(Err(error)) => return Err(wrong("venue", format!("venue: {error}"))),
    };
    let wanted: String = text.chars().filter(char::is_ascii_alphanumeric).map(|it| it.to_ascii_uppercase()).collect();
    if wanted.is_empty() || text.len() > 48 {
        return Err(wrong("symbol", format!("symbol: not a name of a market: {text:.48}")));
    }
    let plain = |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
    let found = directory.search(venue.as_ref(), text, LOOKED_AT);
    let mut fitting: Vec<&InstrumentView> =
        found.iter().filter(|it| plain(&it.symbol) == wanted || it.base == wanted).collect();
    if fitting.is_empty() {
        let near = found.iter().map(name).take(LISTED).collect();
        let at = venue.map(|venue| format!(" at {venue}")).unwrap_or_default();
        let message = format!("symbol: no market {text:.48} is known{at}");
        return Err(Refusal { candidates: near, ..Refusal::new("NOT_FOUND", "symbol", message) });
    }
    fitting.sort_by_key(|it| rank(it));
    if fitting.len() > 1 && !fitting[0].live {
        let candidates = fitting.iter().take(LISTED).map(|it| name(it)).collect();
        let message = format!("symbol: {} markets are called {text:.48}, none has live data; say which", fitting.len());
        return Err(Refusal { candidates, ..Refusal::new("AMBIGUOUS", "symbol", message) });
    }
    let parsed = (fitting[0].venue.parse(), fitting[0].symbol.parse());
    match parsed {
        (Ok(venue), Ok(symbol)) => Ok((venue, symbol)),
        _ => Err(Refusal::new("FAILED", "symbol", "symbol: the instrument's name cannot be read")),
    }
}

fn name(instrument: &InstrumentView) -> String {
    format!("{}:{}", instrument.venue, instrument.symbol)
}

fn rank(instrument: &InstrumentView) -> (bool, bool, usize, &str) {
    let quote = QUOTES.iter().position(|quote| *quote == instrument.quote).unwrap_or(QUOTES.len());
    (!instrument.live, instrument.kind != "spot", quote, &instrument.venue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::wire;

    fn directory(instruments: &[(&str, &str, wire::InstrumentKind, bool)]) -> Directory {
        let mut directory = Directory::default();
        for (venue, symbol, kind, live) in instruments {
            let (base, quote) = symbol.split_once('/').unwrap();
            let instrument = wire::Instrument {
                venue: (*venue).to_owned(),
                symbol: (*symbol).to_owned(),
                venue_symbol: symbol.replace('/', ""),
                base: base.to_owned(),
                quote: quote.to_owned(),
                kind: (*kind).into(),
                status: wire::InstrumentStatus::Trading.into(),
                live: *live,
                ..wire::Instrument::default()
            };
            directory.apply_instrument(&instrument).unwrap();
        }
        directory
    }

    #[test]
    fn what_people_type_finds_the_market_that_they_mean() {
        use wire::InstrumentKind::{Perpetual, Spot};
        let directory = directory(&[
            ("BINANCE-USDM", "BTC/USDT", Perpetual, true),
            ("KRAKEN", "BTC/USD", Spot, true),
            ("OKX", "BTC/USDT", Spot, true),
            ("BINANCE", "BTC/USDT", Spot, true),
            ("BINANCE", "WBTC/USDT", Spot, true),
            ("KRAKEN", "DOT/USD", Spot, false),
            ("OKX", "DOT/USDT", Spot, false),
            ("KRAKEN", "ADA/USD", Spot, false),
        ]);
        let found = |venue: Option<&str>, text: &str| {
            resolve(&directory, venue, text).map(|(venue, symbol)| format!("{venue}:{symbol}"))
        };
        for (venue, text, expected) in [
            (None, "BTC", "BINANCE:BTC/USDT"),
            (None, "btc/usdt", "BINANCE:BTC/USDT"),
            (None, "BTCUSDT", "BINANCE:BTC/USDT"),
            (None, "btc-usd", "KRAKEN:BTC/USD"),
            (None, "okx:BTC/USDT", "OKX:BTC/USDT"),
            (Some("kraken"), "BTC", "KRAKEN:BTC/USD"),
            (Some("BINANCE-USDM"), "BTC", "BINANCE-USDM:BTC/USDT"),
            (None, "ADA", "KRAKEN:ADA/USD"),
        ] {
            assert_eq!(found(venue, text).as_deref(), Ok(expected), "{venue:?} {text}");
        }
        for (venue, text, code) in [
            (None, "DOT", "AMBIGUOUS"),
            (None, "NOPE", "NOT_FOUND"),
            (Some("KRAKEN"), "SOL", "NOT_FOUND"),
            (None, "", "INVALID_ARGUMENT"),
            (None, "///", "INVALID_ARGUMENT"),
            (Some("k r"), "BTC", "INVALID_ARGUMENT"),
        ] {
            assert_eq!(found(venue, text).unwrap_err().code, code, "{venue:?} {text}");
        }
        let ambiguous = resolve(&directory, None, "DOT").unwrap_err();
        assert_eq!(ambiguous.candidates, ["OKX:DOT/USDT", "KRAKEN:DOT/USD"]);
    }
}
