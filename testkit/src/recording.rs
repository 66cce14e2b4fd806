//! Recordings with known content, in the frames of Binance spot: trades out of order, late ones and duplicates among them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One trade as it was generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// Contiguous from the recording's first id.
    pub id: u64,
    /// Venue time, ms since the epoch.
    pub time_ms: u64,
    /// Price with two digits.
    pub price_cents: u64,
    /// Size with five digits.
    pub size_e5: u64,
    /// True if the taker sold.
    pub sold: bool,
}

/// How a recording shall be.
#[derive(Debug, Clone)]
pub struct RecordingSpec {
    /// Seed of everything random.
    pub seed: u64,
    /// Venue symbol, e.g. `BTCUSDT`.
    pub venue_symbol: &'static str,
    /// Number of trades.
    pub trades: u64,
    /// First venue time, ms.
    pub start_ms: u64,
    /// Largest step between two trades, ms.
    pub step_ms: u64,
}

/// A generated recording.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Every trade once, by id.
    pub trades: Vec<Trade>,
    /// The lines `<receive_ns> <frame>`.
    pub text: String,
}

impl Recording {
    /// Generates trades and their frames: one in 50 arrives up to 200 frames late, one in 40 twice, with quotes between.
    #[must_use]
    pub fn generate(spec: &RecordingSpec) -> Self {
        let mut random = StdRng::seed_from_u64(spec.seed);
        let (mut time_ms, mut price) = (spec.start_ms, 6_000_000u64);
        let trades: Vec<_> = (0..spec.trades)
            .map(|n| {
                time_ms += random.random_range(0..=spec.step_ms);
                price = (price + random.random_range(0..=400)).saturating_sub(200).max(100);
                let (size_e5, sold) = (random.random_range(1..500_000), random.random());
                Trade { id: 1_000_000 + n, time_ms, price_cents: price, size_e5, sold }
            })
            .collect();
        // Each frame has a place in the order of arrival; lateness and duplicates move it.
        let mut order: Vec<(u64, &Trade)> = Vec::new();
        for (place, trade) in (0u64..).step_by(10).zip(&trades) {
            let late = if random.random_ratio(1, 50) { random.random_range(0..2000) } else { 0 };
            order.push((place + late, trade));
            if random.random_ratio(1, 40) {
                order.push((place + random.random_range(0..4000), trade));
            }
        }
        order.sort_by_key(|(place, trade)| (*place, trade.id));
        let mut text = String::new();
        for (index, (_, trade)) in order.iter().enumerate() {
            let receive_ns = trade.time_ms * 1_000_000 + 40_000_000;
            push_trade(&mut text, receive_ns, spec.venue_symbol, trade);
            if index % 3 == 0 {
                push_quote(&mut text, receive_ns, spec.venue_symbol, index as u64, trade.price_cents);
            }
        }
        Self { trades, text }
    }

    /// Writes the lines to a file whose name tells the venue.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, dir: &Path, name: &str) -> std::io::Result<PathBuf> {
        let path = dir.join(format!("spot_{name}.jsonl"));
        std::fs::write(&path, &self.text)?;
        Ok(path)
    }
}

fn cents(value: u64) -> String {
    format!("{}.{:02}000000", value / 100, value % 100)
}

fn push_trade(text: &mut String, receive_ns: u64, symbol: &str, trade: &Trade) {
    let Trade { id, time_ms, price_cents, size_e5, sold } = trade;
    let (size, rest) = (size_e5 / 100_000, size_e5 % 100_000);
    let written = writeln!(
        text,
        r#"{receive_ns} {{"stream":"{}@trade","data":{{"e":"trade","E":{},"s":"{symbol}","t":{id},"p":"{}","q":"{size}.{rest:05}000","T":{time_ms},"m":{sold},"M":true}}}}"#,
        symbol.to_lowercase(),
        time_ms + 1,
        cents(*price_cents),
    );
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

fn push_quote(text: &mut String, receive_ns: u64, symbol: &str, update: u64, price: u64) {
    let written = writeln!(
        text,
        r#"{receive_ns} {{"stream":"{}@bookTicker","data":{{"u":{update},"s":"{symbol}","b":"{}","B":"1.50000000","a":"{}","A":"2.00000000"}}}}"#,
        symbol.to_lowercase(),
        cents(price - 1),
        cents(price + 1),
    );
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
