//! A history request after validation: the domain side of `wire::HistoryRequest`.

use crate::limits::{REQUEST_CANDLES, REQUEST_TICKS_NS};
use crate::{ClientId, ErrorCode, IdError, Interval, IntervalError, RequestId, Symbol, Venue, wire};

/// Why a request is not valid; names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// An identifier is not valid.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The interval is not one of the seven.
    #[error(transparent)]
    Interval(#[from] IntervalError),
    /// `kind` is neither candles nor ticks.
    #[error("kind: {0} is neither candles (1) nor ticks (2)")]
    Kind(i32),
    /// `interval_s` was given for ticks.
    #[error("interval_s: must be 0 for ticks")]
    IntervalForTicks,
    /// The range is empty or reversed.
    #[error("to_ns: must be greater than from_ns")]
    EmptyRange,
    /// The range is not aligned to the interval.
    #[error("from_ns, to_ns: must be multiples of the interval")]
    Unaligned,
    /// The range is longer than the limit.
    #[error("to_ns: range of {got} {unit}, limit {limit}")]
    RangeTooLong {
        /// Length asked for.
        got: u64,
        /// The limit.
        limit: u64,
        /// What is counted.
        unit: &'static str,
    },
}

impl RequestError {
    /// The offending field.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Id(IdError::Length { field, .. } | IdError::Character { field, .. } | IdError::Form { field }) => {
                field
            }
            Self::Interval(_) | Self::IntervalForTicks => "interval_s",
            Self::Kind(_) => "kind",
            Self::EmptyRange | Self::RangeTooLong { .. } => "to_ns",
            Self::Unaligned => "from_ns",
        }
    }

    /// The error as a message for the peer.
    #[must_use]
    pub fn detail(&self) -> wire::ErrorDetail {
        ErrorCode::InvalidField.detail(self.field(), &self.to_string())
    }
}

/// What a request asks for; two requests with equal ranges are one fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HistoryRange {
    /// Venue.
    pub venue: Venue,
    /// Symbol.
    pub symbol: Symbol,
    /// Candles of this interval, or ticks if `None`.
    pub interval: Option<Interval>,
    /// Start, inclusive, ns since the epoch.
    pub from_ns: u64,
    /// End, exclusive.
    pub to_ns: u64,
}

/// A valid history request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRequest {
    /// Minted by the client.
    pub request_id: RequestId,
    /// Who asks.
    pub client_id: ClientId,
    /// What is asked for.
    pub range: HistoryRange,
}

impl TryFrom<&wire::HistoryRequest> for HistoryRequest {
    type Error = RequestError;

    fn try_from(message: &wire::HistoryRequest) -> Result<Self, RequestError> {
        let (from_ns, to_ns) = (message.from_ns, message.to_ns);
        let interval = match wire::HistoryKind::try_from(message.kind) {
            Ok(wire::HistoryKind::Candles) => Some(Interval::from_seconds(message.interval_s)?),
            Ok(wire::HistoryKind::Ticks) if message.interval_s == 0 => None,
            Ok(wire::HistoryKind::Ticks) => return Err(RequestError::IntervalForTicks),
            _ => return Err(RequestError::Kind(message.kind)),
        };
        let request_id = message.request_id.parse()?;
        let client_id = message.client_id.parse()?;
        let (venue, symbol) = (message.venue.parse()?, message.symbol.parse()?);
        let length = to_ns.checked_sub(from_ns).filter(|n| *n > 0).ok_or(RequestError::EmptyRange)?;
        match interval {
            Some(interval) => {
                if from_ns % interval.nanos() != 0 || to_ns % interval.nanos() != 0 {
                    return Err(RequestError::Unaligned);
                }
                let got = length / interval.nanos();
                if got > REQUEST_CANDLES {
                    return Err(RequestError::RangeTooLong { got, limit: REQUEST_CANDLES, unit: "candles" });
                }
            }
            None if length > REQUEST_TICKS_NS => {
                return Err(RequestError::RangeTooLong { got: length, limit: REQUEST_TICKS_NS, unit: "ns" });
            }
            None => {}
        }
        Ok(Self { request_id, client_id, range: HistoryRange { venue, symbol, interval, from_ns, to_ns } })
    }
}

impl From<&HistoryRequest> for wire::HistoryRequest {
    fn from(request: &HistoryRequest) -> Self {
        let range = &request.range;
        let kind = if range.interval.is_some() { wire::HistoryKind::Candles } else { wire::HistoryKind::Ticks };
        Self {
            request_id: request.request_id.to_string(),
            client_id: request.client_id.to_string(),
            venue: range.venue.to_string(),
            symbol: range.symbol.to_string(),
            kind: kind as i32,
            interval_s: range.interval.map_or(0, Interval::seconds),
            from_ns: range.from_ns,
            to_ns: range.to_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> wire::HistoryRequest {
        wire::HistoryRequest {
            request_id: RequestId::from_bits(1).to_string(),
            client_id: ClientId::from_bits(2).to_string(),
            venue: "SIM".into(),
            symbol: "BTC/USDT".into(),
            kind: wire::HistoryKind::Candles as i32,
            interval_s: 60,
            from_ns: 0,
            to_ns: 60_000_000_000,
        }
    }

    #[test]
    fn a_valid_request_round_trips() {
        let request = HistoryRequest::try_from(&valid()).unwrap();
        assert_eq!(wire::HistoryRequest::from(&request), valid());
    }

    #[test]
    fn each_bad_field_is_named() {
        type Change = fn(&mut wire::HistoryRequest);
        let cases: [(&str, Change); 10] = [
            ("request_id", |r| r.request_id = "12".into()),
            ("client_id", |r| r.client_id = String::new()),
            ("venue", |r| r.venue = "sim".into()),
            ("symbol", |r| r.symbol = "BTCUSDT".into()),
            ("kind", |r| r.kind = 0),
            ("interval_s", |r| r.interval_s = 61),
            ("interval_s", |r| r.kind = 2),
            ("to_ns", |r| r.to_ns = r.from_ns),
            ("from_ns", |r| r.from_ns = 1),
            ("to_ns", |r| r.to_ns = 60_000_000_000 * 100_001),
        ];
        for (field, change) in cases {
            let mut message = valid();
            change(&mut message);
            assert_eq!(HistoryRequest::try_from(&message).unwrap_err().field(), field);
        }
    }
}
