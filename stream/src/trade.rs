//! A trade as the core sees it: fixed size, no text, no allocation.

use proto::market::{Source, Tick};

/// A venue's trade id in a form that compares quickly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TradeId {
    /// A whole number in its canonical spelling. Most venues count their trades.
    Numeric(u64),
    /// Anything else, as 128 bits of FNV-1a: two different ids are taken for one with a chance of 2^-128 per pair.
    Opaque(u128),
}

impl TradeId {
    /// From the venue's text. `007` is not the number 7: only the canonical spelling is numeric.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let bytes = text.as_bytes();
        let canonical = matches!(bytes, [b'0'] | [b'1'..=b'9', ..]) && bytes.iter().all(u8::is_ascii_digit);
        match text.parse() {
            Ok(number) if canonical => Self::Numeric(number),
            _ => Self::Opaque(fnv1a_128(bytes)),
        }
    }

    /// Orders trades of one instant: the number, or 64 arbitrary but stable bits of an id that has no order.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "half of the hash is enough to order trades of one instant")]
    pub const fn rank(self) -> u64 {
        match self {
            Self::Numeric(number) => number,
            Self::Opaque(hash) => hash as u64,
        }
    }
}

/// FNV-1a, because checkpoints keep the hashes: it must never change with a library.
fn fnv1a_128(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// A trade of a known key. Prices and sizes count 10^-18, as [`proto::Decimal::units`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// The venue's id.
    pub id: TradeId,
    /// Venue clock, ns since the epoch.
    pub event_time_ns: u64,
    /// Our clock, ns since the epoch; 0 if not known.
    pub receive_time_ns: u64,
    /// Price, > 0.
    pub price: i128,
    /// Size, > 0.
    pub size: i128,
    /// True if it was fetched, not streamed.
    pub repaired: bool,
}

impl From<&Tick> for Trade {
    fn from(tick: &Tick) -> Self {
        Self {
            id: TradeId::parse(&tick.trade_id),
            event_time_ns: tick.event_time_ns,
            receive_time_ns: tick.receive_time_ns,
            price: tick.price.units(),
            size: tick.size.units(),
            repaired: tick.repaired || tick.source == Source::Backfill,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_of_a_number_is_numeric() {
        for (text, number) in [("0", 0), ("3735683259", 3_735_683_259), ("18446744073709551615", u64::MAX)] {
            assert_eq!(TradeId::parse(text), TradeId::Numeric(number));
        }
        for text in ["007", "+7", "-7", "7a", "18446744073709551616", "T-1", "", " 7", "00"] {
            assert!(matches!(TradeId::parse(text), TradeId::Opaque(_)), "{text}");
        }
    }

    #[test]
    fn the_hash_of_an_id_is_the_published_fnv1a_128() {
        assert_eq!(fnv1a_128(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv1a_128(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }
}
