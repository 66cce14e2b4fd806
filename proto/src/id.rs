//! Identifiers: venue, symbol, request and client ids.

use crate::limits::{SYMBOL_BYTES, VENUE_BYTES};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Wrong length.
    #[error("{field}: {got} bytes, allowed {min} to {max}")]
    Length {
        /// Which identifier.
        field: &'static str,
        /// Its length in bytes.
        got: usize,
        /// Least length.
        min: usize,
        /// Greatest length.
        max: usize,
    },
    /// A character outside the allowed set.
    #[error("{field}: byte {at} is not allowed")]
    Character {
        /// Which identifier.
        field: &'static str,
        /// Index of the first offending byte.
        at: usize,
    },
    /// Not of the form BASE/QUOTE.
    #[error("{field}: not BASE/QUOTE")]
    Form {
        /// Which identifier.
        field: &'static str,
    },
}

fn check(field: &'static str, text: &str, (min, max): (usize, usize), allowed: fn(u8) -> bool) -> Result<(), IdError> {
    if text.len() < min || text.len() > max {
        return Err(IdError::Length { field, got: text.len(), min, max });
    }
    match text.bytes().position(|byte| !allowed(byte)) {
        Some(at) => Err(IdError::Character { field, at }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A venue, upper case: `BINANCE`, `BINANCE-USDM`, `SIM`. 2 to 24 bytes of `A-Z 0-9 -`.
    Venue
}

text_id! {
    /// A canonical symbol `BASE/QUOTE`: `BTC/USDT`. Up to 48 bytes of `A-Z 0-9 . _ -` around one slash.
    Symbol
}

impl FromStr for Venue {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check("venue", text, (2, VENUE_BYTES), |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')?;
        Ok(Self(text.into()))
    }
}

impl FromStr for Symbol {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check("symbol", text, (3, SYMBOL_BYTES), |b| {
            b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'/' | b'.' | b'_' | b'-')
        })?;
        match text.split_once('/') {
            Some((base, quote)) if !base.is_empty() && !quote.is_empty() && !quote.contains('/') => {
                Ok(Self(text.into()))
            }
            _ => Err(IdError::Form { field: "symbol" }),
        }
    }
}

impl Symbol {
    /// The base asset.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.split_once('/').map_or("", |(base, _)| base)
    }

    /// The quote asset.
    #[must_use]
    pub fn quote(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, quote)| quote)
    }
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ulid::Ulid);

        impl $name {
            /// From the 128 bits of a ULID.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(ulid::Ulid(bits))
            }

            /// The 128 bits.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Accepts exactly the canonical form: 26 upper-case Crockford digits, the first at most 7.
            fn from_str(text: &str) -> Result<Self, IdError> {
                check($field, text, (26, 26), |b| {
                    b.is_ascii_digit() || (b.is_ascii_uppercase() && !matches!(b, b'I' | b'L' | b'O' | b'U'))
                })?;
                if text.as_bytes()[0] > b'7' {
                    return Err(IdError::Character { field: $field, at: 0 });
                }
                ulid::Ulid::from_string(text).map(Self).map_err(|_| IdError::Form { field: $field })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

ulid_id! {
    /// A history request, minted by the client as a ULID (26 characters).
    RequestId, "request_id"
}

ulid_id! {
    /// A client of the request channel, a ULID (26 characters).
    ClientId, "client_id"
}

ulid_id! {
    /// A user of the platform, a ULID (26 characters).
    UserId, "user_id"
}

ulid_id! {
    /// A user event, a ULID (26 characters).
    EventId, "event_id"
}

ulid_id! {
    /// An outbox of critical events: it counts their sequence. Minted when its directory is made, a ULID (26 characters).
    OutboxId, "outbox_id"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_have_exactly_one_slash() {
        assert_eq!("BTC/USDT".parse::<Symbol>().unwrap().base(), "BTC");
        for bad in ["BTCUSDT", "/USDT", "BTC/", "A/B/C", "btc/usdt", "BTC/US T", "B|C/USD", ""] {
            assert!(bad.parse::<Symbol>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_exactly_26_canonical_characters() {
        let text = "01J9ZQ6V8KXW3R4T5Y6Z7A8B9C";
        assert_eq!(text.parse::<RequestId>().unwrap().to_string(), text);
        for bad in [
            "01J9ZQ6V8KXW3R4T5Y6Z7A8B9",
            "01J9ZQ6V8KXW3R4T5Y6Z7A8B9CC",
            "81J9ZQ6V8KXW3R4T5Y6Z7A8B9C",
            "01j9ZQ6V8KXW3R4T5Y6Z7A8B9C",
            "01J9ZQ6V8KXW3R4T5Y6Z7A8B9I",
        ] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad}");
        }
    }
}
