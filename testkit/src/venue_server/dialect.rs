//! How a venue speaks: its frames and its REST answers, written from the table of trades.

use super::table::{Table, TableTrade};
use super::{binance, bybit, coinbase, kraken, okx, sim};
use proto::{Symbol, Venue};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// A REST request taken apart.
#[derive(Debug, Clone)]
pub struct Request {
    /// Without query.
    pub path: String,
    /// Query parameters.
    pub query: BTreeMap<String, String>,
}

impl Request {
    /// Takes a path with query apart.
    #[must_use]
    pub fn parse(path_and_query: &str) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { path: path.to_owned(), query: query.split('&').filter_map(pair).collect() }
    }

    /// A parameter as text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A parameter as number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.query.get(name)?.parse().ok()
    }
}

/// What a client's text frame asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Trades of all symbols.
    pub trades: bool,
    /// Quotes of all symbols.
    pub quotes: bool,
    /// The answers.
    pub replies: Vec<String>,
}

/// A venue's manner of speaking.
pub trait Dialect: Debug + Send + Sync {
    /// The frame of a trade.
    fn trade(&self, symbol: &Symbol, trade: &TableTrade) -> String;

    /// The frame of the best bid and ask around a trade.
    fn quote(&self, symbol: &Symbol, trade: &TableTrade) -> String;

    /// The trade id as the platform shows it.
    fn shown_id(&self, id: u64) -> String {
        id.to_string()
    }

    /// What a text frame of a client asks for.
    fn asked(&self, text: &str) -> Asked;

    /// The body of an answer, with at most `rows` rows if the venue's own limit is higher; `None` for an unknown path.
    fn rest(&self, request: &Request, table: &Table, rows: usize) -> Option<String>;
}

/// The dialect of a venue.
///
/// # Panics
/// If there is none for it.
#[must_use]
pub fn of(venue: &Venue) -> Box<dyn Dialect> {
    match venue.as_str() {
        "BINANCE" => Box::new(binance::Binance { usdm: false }),
        "BINANCE-USDM" => Box::new(binance::Binance { usdm: true }),
        "BYBIT" => Box::new(bybit::Bybit),
        "COINBASE" => Box::new(coinbase::Coinbase),
        "KRAKEN" => Box::new(kraken::Kraken),
        "OKX" => Box::new(okx::Okx),
        "SIM" => Box::new(sim::Sim),
        other => panic!("the venue server does not speak {other}"),
    }
}

/// Finds the symbol that a venue calls `name`.
pub fn symbol_named(table: &Table, name: &str, spell: impl Fn(&Symbol) -> String) -> Option<Symbol> {
    table.symbols().find(|symbol| spell(symbol) == name).cloned()
}

/// The first `rows` items, each written by `write`, joined by commas.
pub fn list<T>(items: impl Iterator<Item = T>, rows: usize, write: impl Fn(T) -> String) -> String {
    items.take(rows).map(write).collect::<Vec<_>>().join(",")
}

/// `2024-08-08T23:54:14.024000Z` from milliseconds since the epoch.
#[must_use]
pub fn rfc3339(time_ms: u64) -> String {
    let (days, rest) = (time_ms / 86_400_000, time_ms % 86_400_000);
    // Days from civil, reversed (Hinnant): era of 400 years from 0000-03-01.
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second, milli) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}000Z")
}

/// Milliseconds since the epoch from `2024-08-08T23:54:14Z` or with a fraction.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fraction = text.get(19..)?.trim_start_matches('.').trim_end_matches('Z');
    let milli: u64 = format!("{:0<3}", fraction.get(..3.min(fraction.len()))?).parse().ok()?;
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era_year) = (y / 400, y % 400);
    let of_year = (153 * m + 2) / 5 + day - 1;
    let of_era = of_era_year * 365 + of_era_year / 4 - of_era_year / 100 + of_year;
    let days = era * 146_097 + of_era - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + milli)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_the_venues_do() {
        assert_eq!(rfc3339(1_723_161_254_024), "2024-08-08T23:54:14.024000Z");
        assert_eq!(parse_rfc3339("2024-08-08T23:54:14Z"), Some(1_723_161_254_000));
        for time_ms in [951_782_400_123, 1_709_164_800_000, 1_735_689_599_999, 4_102_444_800_000] {
            assert_eq!(parse_rfc3339(&rfc3339(time_ms)), Some(time_ms));
        }
    }
}
