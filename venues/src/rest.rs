//! REST requests, their budget, and what an answer means before it is parsed.

use crate::event::shortened;
use std::time::Duration;

/// A GET request, to be sent to the REST base of the profile or of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestRequest {
    /// Path and query, beginning with a slash.
    pub path_and_query: String,
    /// What it costs of [`RestLimits::budget`].
    pub weight: u32,
}

impl RestRequest {
    pub(crate) const fn new(path_and_query: String, weight: u32) -> Self {
        Self { path_and_query, weight }
    }
}

/// The venue's REST budget for one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestLimits {
    /// Weight that may be spent in each interval.
    pub budget: u32,
    /// The interval.
    pub interval: Duration,
    /// Share of the budget, in percent, that market data leaves free for orders.
    pub reserve_for_orders_percent: u32,
    /// Answer header that reports the weight used so far in this interval, if the venue sends one.
    pub used_weight_header: Option<&'static str>,
}

impl RestLimits {
    /// What market data may spend in each interval, at least 1.
    #[must_use]
    pub fn market_data_budget(&self) -> u32 {
        let reserve = u64::from(self.budget) * u64::from(self.reserve_for_orders_percent.min(100)) / 100;
        self.budget.saturating_sub(u32::try_from(reserve).unwrap_or(self.budget)).max(1)
    }
}

/// A REST answer as received.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// The `Retry-After` header, if any.
    pub retry_after: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// A failed request, by what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// Too many requests: wait, then go on.
    #[error("rate limited, retry after {retry_after:?}")]
    RateLimited {
        /// As the venue says.
        retry_after: Option<Duration>,
    },
    /// The address is banned for a time: stop all requests to the venue.
    #[error("banned, retry after {retry_after:?}")]
    Banned {
        /// As the venue says.
        retry_after: Option<Duration>,
    },
    /// The venue does not serve this address or region at all, or wants a key.
    #[error("forbidden: {message}")]
    Forbidden {
        /// The venue's words, shortened.
        message: String,
    },
    /// The venue does not know the symbol.
    #[error("unknown symbol")]
    UnknownSymbol,
    /// A failure that may pass: try again with back-off.
    #[error("status {status}: {message}")]
    Retryable {
        /// HTTP status.
        status: u16,
        /// The venue's words, shortened.
        message: String,
    },
    /// The request is wrong; it will fail again.
    #[error("status {status}: {message}")]
    Fatal {
        /// HTTP status.
        status: u16,
        /// The venue's words, shortened.
        message: String,
    },
}

impl RestError {
    /// True if the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Banned { .. } | Self::Retryable { .. })
    }
}

/// The `Retry-After` header in seconds. A date is not used by these venues and counts as unknown.
pub(crate) fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    answer.retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs)
}

/// What an answer means by its status alone.
pub(crate) fn by_status(answer: &Answer<'_>, message: &str) -> Result<(), RestError> {
    let message = shortened(message);
    match answer.status {
        200..300 => Ok(()),
        429 => Err(RestError::RateLimited { retry_after: retry_after(answer) }),
        418 => Err(RestError::Banned { retry_after: retry_after(answer) }),
        401 | 403 | 451 => Err(RestError::Forbidden { message }),
        status @ (408 | 425 | 500..) => Err(RestError::Retryable { status, message }),
        status => Err(RestError::Fatal { status, message }),
    }
}
