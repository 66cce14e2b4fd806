//! Query parameters: each known, given once, within its limits; else an error that names it.

use crate::error::{ApiError, Code};
use crate::rfc3339;
use crate::series::SeriesKey;
use proto::{Interval, Symbol, Venue};
use std::borrow::Cow;
use url::form_urlencoded;

/// Longest query string.
pub(crate) const QUERY_BYTES: usize = 2048;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Params {
    values: Vec<(&'static str, String)>,
}

/// The error of a text that is no time.
pub(crate) fn bad_time(field: &'static str) -> ApiError {
    bad(field, "must be RFC 3339 (2024-08-08T23:54:00Z) or milliseconds since 1970, up to 2262")
}

fn bad(field: &'static str, rule: &str) -> ApiError {
    ApiError::field(field, format!("{field}: {rule}"))
}

impl Params {
    /// Reads a query string; only the names in `known` are allowed, each once.
    pub(crate) fn read(query: Option<&str>, known: &'static [&'static str]) -> Result<Self, ApiError> {
        let query = query.unwrap_or_default();
        if query.len() > QUERY_BYTES {
            return Err(ApiError::new(
                Code::UriTooLong,
                format!("query of {} bytes, limit {QUERY_BYTES}", query.len()),
            ));
        }
        let mut values: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(name) = known.iter().find(|known| **known == name) else {
                return Err(unknown(&name, known));
            };
            if values.iter().any(|(given, _)| given == name) {
                return Err(bad(name, "given more than once"));
            }
            values.push((name, value.into_owned()));
        }
        Ok(Self { values })
    }

    /// The text of a parameter; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// A text of at most `most` characters.
    pub(crate) fn short_text(&self, name: &'static str, most: usize) -> Result<&str, ApiError> {
        let text = self.text(name).unwrap_or_default();
        if text.chars().count() > most { Err(bad(name, &format!("at most {most} characters"))) } else { Ok(text) }
    }

    /// A whole number in a range.
    pub(crate) fn number(&self, name: &'static str, usual: usize, most: usize) -> Result<usize, ApiError> {
        let Some(text) = self.text(name) else { return Ok(usual) };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|n| digits && (1..=most).contains(n));
        number.ok_or_else(|| bad(name, &format!("must be a whole number from 1 to {most}")))
    }

    /// `true` or `false`; false if absent.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad(name, "must be true or false")),
        }
    }

    /// A time.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match rfc3339::parse(text) {
            Some(time) => Ok(Some(time)),
            None => Err(bad_time(name)),
        }
    }

    /// `from` and `to`, in order.
    pub(crate) fn range(&self) -> Result<(Option<u64>, Option<u64>), ApiError> {
        let (from, to) = (self.time("from")?, self.time("to")?);
        match (from, to) {
            (Some(from), Some(to)) if from >= to => Err(bad("to", "must be after from")),
            _ => Ok((from, to)),
        }
    }

    fn required(&self, name: &'static str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| bad(name, "missing"))
    }

    /// The venue, if given.
    pub(crate) fn venue(&self) -> Result<Option<Venue>, ApiError> {
        let parse =
            |text: &str| text.parse().map_err(|error: proto::IdError| ApiError::field("venue", error.to_string()));
        self.text("venue").map(parse).transpose()
    }

    /// `from` and `to`, both required, in order.
    pub(crate) fn whole_range(&self) -> Result<(u64, u64), ApiError> {
        self.required("from")?;
        self.required("to")?;
        match self.range()? {
            (Some(from), Some(to)) => Ok((from, to)),
            _ => Err(bad("from", "missing")),
        }
    }

    /// `venue` and `symbol`, both required.
    pub(crate) fn market(&self) -> Result<(Venue, Symbol), ApiError> {
        self.required("venue")?;
        let venue = self.venue()?.ok_or_else(|| bad("venue", "missing"))?;
        let symbol = self
            .required("symbol")?
            .parse()
            .map_err(|error: proto::IdError| ApiError::field("symbol", error.to_string()))?;
        Ok((venue, symbol))
    }

    /// `interval`, required.
    pub(crate) fn interval(&self) -> Result<Interval, ApiError> {
        let parsed = self.required("interval")?.parse();
        parsed.map_err(|error: proto::IntervalError| ApiError::field("interval", error.to_string()))
    }

    /// `venue`, `symbol` and `interval`, all required.
    pub(crate) fn series(&self) -> Result<SeriesKey, ApiError> {
        let (venue, symbol) = self.market()?;
        Ok(SeriesKey { venue, symbol, interval: self.interval()? })
    }
}

fn unknown(name: &str, known: &[&str]) -> ApiError {
    let shown: String = name.chars().take(32).collect();
    let known = known.join(", ");
    let message: Cow<'static, str> = if known.is_empty() {
        "unknown parameter; this request takes none".into()
    } else {
        format!("unknown parameter; known are {known}").into()
    };
    ApiError::field(shown, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: &[&str] = &["venue", "symbol", "interval", "from", "to", "limit", "fill", "q"];

    fn params(query: &str) -> Result<Params, ApiError> {
        Params::read(Some(query), KNOWN)
    }

    #[test]
    fn good_parameters_are_read() {
        let params = params("venue=SIM&symbol=BTC%2FUSDT&interval=1m&from=60000&to=&limit=7&fill=true&q=b+t").unwrap();
        let series = params.series().unwrap();
        assert_eq!((series.venue.as_str(), series.symbol.as_str(), series.interval), ("SIM", "BTC/USDT", Interval::M1));
        assert_eq!(params.range().unwrap(), (Some(60_000_000_000), None));
        assert_eq!(params.number("limit", 500, 5000).unwrap(), 7);
        assert!(params.flag("fill").unwrap());
        assert_eq!(params.short_text("q", 3).unwrap(), "b t");
        let none = Params::read(None, KNOWN).unwrap();
        assert_eq!((none.number("limit", 500, 5000).unwrap(), none.flag("fill").unwrap()), (500, false));
    }

    #[test]
    fn bad_parameters_are_refused_by_name() {
        type Read = fn(&Params) -> Option<ApiError>;
        let series: Read = |p| p.series().err();
        let limit: Read = |p| p.number("limit", 500, 5000).err();
        let range: Read = |p| p.range().err();
        let none: Read = |_| None;
        let cases: [(&str, Read, &str); 19] = [
            ("venu=SIM", none, "venu"),
            ("limit=1&limit=2", none, "limit"),
            ("symbol=BTC/USDT&interval=60s", series, "venue"),
            ("venue=sim&symbol=BTC/USDT&interval=60s", series, "venue"),
            ("venue=SIM&interval=60s", series, "symbol"),
            ("venue=SIM&symbol=BTCUSDT&interval=60s", series, "symbol"),
            ("venue=SIM&symbol=BTC/USDT", series, "interval"),
            ("venue=SIM&symbol=BTC/USDT&interval=61s", series, "interval"),
            ("limit=0", limit, "limit"),
            ("limit=5001", limit, "limit"),
            ("limit=-1", limit, "limit"),
            ("limit=%2B5", limit, "limit"),
            ("limit=99999999999999999999", limit, "limit"),
            ("from=yesterday", range, "from"),
            ("to=1e9", range, "to"),
            ("from=2000&to=1000", range, "to"),
            ("from=2000&to=2000", range, "to"),
            ("fill=yes", |p| p.flag("fill").err(), "fill"),
            ("q=aaaa", |p| p.short_text("q", 3).err(), "q"),
        ];
        for (query, read, field) in cases {
            let error = match params(query) {
                Err(error) => error,
                Ok(params) => read(&params).unwrap_or_else(|| panic!("{query} was accepted")),
            };
            assert_eq!((error.code, error.field.as_ref()), (Code::InvalidField, field), "{query}");
        }
        let long = format!("q={}", "a".repeat(QUERY_BYTES));
        assert_eq!(params(&long).unwrap_err().code, Code::UriTooLong);
    }

    proptest! {
        #[test]
        fn arbitrary_queries_never_panic(query in ".{0,200}") {
            if let Ok(params) = params(&query) {
                let _ignored = (params.series(), params.range(), params.number("limit", 1, 5));
            }
        }
    }
}
