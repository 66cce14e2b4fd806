//! The venues there are, and how to tell whose frames a recording holds.

use crate::binance::{self, Binance};
use crate::bybit::Bybit;
use crate::coinbase::Coinbase;
use crate::hyperliquid::Hyperliquid;
use crate::kraken::Kraken;
use crate::okx::Okx;
use crate::{Adapter, Event};
use proto::Venue;
use std::sync::LazyLock;

static ADAPTERS: LazyLock<Vec<Box<dyn Adapter>>> = LazyLock::new(|| {
    vec![
        Box::new(Binance::spot()),
        Box::new(Binance::usdm()),
        Box::new(Bybit::new()),
        Box::new(Coinbase::new()),
        Box::new(Hyperliquid::new()),
        Box::new(Kraken::new()),
        Box::new(Okx::new()),
    ]
});

/// The adapter of a venue.
#[must_use]
pub fn adapter(venue: &Venue) -> Option<&'static dyn Adapter> {
    all().into_iter().find(|adapter| adapter.venue() == venue)
}

/// All adapters, in the order of their names.
#[must_use]
pub fn all() -> Vec<&'static dyn Adapter> {
    ADAPTERS.iter().map(AsRef::as_ref).collect()
}

/// Beginnings of file names (lower case) and the venue whose recording they announce.
const FILE_NAMES: [(&str, &str); 9] = [
    ("spot_", "BINANCE"),
    ("usdm_", "BINANCE-USDM"),
    ("binance-usdm", "BINANCE-USDM"),
    ("binance", "BINANCE"),
    ("bybit", "BYBIT"),
    ("coinbase", "COINBASE"),
    ("hyperliquid", "HYPERLIQUID"),
    ("kraken", "KRAKEN"),
    ("okx", "OKX"),
];

/// The adapter whose recording a file is: by the beginning of its name (`spot_*` and `usdm_*` are Binance's, a venue's
/// own name is that venue's), else the one that reads most market data out of its first frames. `None` if no adapter
/// reads any.
#[must_use]
pub fn recognise(file_name: &str, first_frames: &[&[u8]]) -> Option<&'static dyn Adapter> {
    let file_name = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name).to_ascii_lowercase();
    let by_name = FILE_NAMES.iter().find(|(beginning, _)| file_name.starts_with(beginning));
    if let Some((_, venue)) = by_name {
        return all().into_iter().find(|adapter| adapter.venue().as_str() == *venue);
    }
    // `max_by_key` takes the last of equals: reversed, so that the first in the order of names wins.
    let scored = all().into_iter().rev().map(|adapter| (market_events(adapter, first_frames), adapter));
    let (_, adapter) = scored.filter(|(events, _)| *events > 0).max_by_key(|(events, _)| *events)?;
    if adapter.venue().as_str() == "BINANCE" && first_frames.iter().any(|frame| binance::is_usdm(frame)) {
        return all().into_iter().find(|adapter| adapter.venue().as_str() == "BINANCE-USDM");
    }
    Some(adapter)
}

/// A receive time for trial decoding: some frames carry no other.
const TRIAL_TIME_NS: u64 = 1_700_000_000_000_000_000;

/// How many ticks and quotes an adapter reads out of frames.
fn market_events(adapter: &dyn Adapter, frames: &[&[u8]]) -> usize {
    let mut events = Vec::new();
    for frame in frames {
        // A refusal counts as nothing read; that is the answer sought here.
        let _refused = adapter.decode(frame, TRIAL_TIME_NS, &mut events).is_err();
    }
    events.iter().filter(|event| matches!(event, Event::Tick(_) | Event::Quote(_) | Event::QuoteChange(_))).count()
}
