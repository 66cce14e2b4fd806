//! Measures decoding: `cargo run --release -p venues --example decode_speed`.
//!
//! Frames are those of the shared recording of 2024-08-08 if it is there, else the golden frames of this crate. Each line
//! is the best of five passes over all frames of a kind, on one thread, the events dropped after each frame.

#[path = "../tests/recordings/files.rs"]
#[allow(dead_code, reason = "shared with the tests, which read more of it")]
mod files;

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;
use venues::{Adapter, Instrument, InstrumentKind, InstrumentStatus};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let spot = venues::adapter(&"BINANCE".parse().expect("a venue")).expect("an adapter");
    let usdm = venues::adapter(&"BINANCE-USDM".parse().expect("a venue")).expect("an adapter");
    let (spot_frames, usdm_frames) =
        (frames("spot_btcusdt", "binance.txt"), frames("usdm_btcusdt", "binance-usdm.txt"));
    writeln!(out, "{:<28}{:>10}{:>14}{:>12}", "frames", "count", "frames/s", "ns a frame")?;
    for kind in ["@trade", "@bookTicker", "@depth", ""] {
        for (name, adapter, frames) in [("spot", spot, &spot_frames), ("usdm", usdm, &usdm_frames)] {
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).filter(|frame| has(frame, kind)).collect();
            report(&mut out, &format!("{name} {}", if kind.is_empty() { "all" } else { kind }), adapter, &frames)?;
        }
    }
    let refined = spot.refined(&[bitcoin()]);
    let frames: Vec<&[u8]> = spot_frames.iter().map(Vec::as_slice).filter(|frame| has(frame, "@trade")).collect();
    report(&mut out, "spot @trade, known symbols", &*refined, &frames)
}

fn report(out: &mut impl Write, name: &str, adapter: &dyn Adapter, frames: &[&[u8]]) -> std::io::Result<()> {
    if frames.is_empty() {
        return Ok(());
    }
    let mut events = Vec::new();
    let seconds = (0..5).map(|_| {
        let start = Instant::now();
        for frame in frames {
            black_box(adapter.decode(black_box(frame), 1_723_161_254_000_000_000, &mut events).is_ok());
            events.clear();
        }
        start.elapsed().as_secs_f64()
    });
    let best = seconds.fold(f64::INFINITY, f64::min);
    let count = f64::from(u32::try_from(frames.len()).unwrap_or(u32::MAX));
    writeln!(out, "{name:<28}{:>10}{:>14.0}{:>12.0}", frames.len(), count / best, best / count * 1e9)
}

fn has(frame: &[u8], kind: &str) -> bool {
    kind.is_empty() || frame.windows(kind.len()).take(60).any(|window| window == kind.as_bytes())
}

/// The frames of a recorded file, or the golden frames many times over.
fn frames(recorded: &str, golden: &str) -> Vec<Vec<u8>> {
    if let Some(shared) = files::shared() {
        let path = shared.join(format!("data/market/binance_ws_2024-08-08/{recorded}_20240808.jsonl.xz"));
        let items = files::stamped_lines(&files::unpacked(&path));
        return items
            .into_iter()
            .filter_map(|item| if let files::Item::Frame(_, frame) = item { Some(frame) } else { None })
            .collect();
    }
    let path = format!("{}/fixtures/{golden}", std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned()));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let frames: Vec<Vec<u8>> =
        text.lines().filter_map(|line| line.strip_prefix("> ")).map(|frame| frame.as_bytes().to_vec()).collect();
    frames.iter().cycle().take(100_000).cloned().collect()
}

fn bitcoin() -> Instrument {
    Instrument {
        venue: "BINANCE".parse().expect("a venue"),
        symbol: "BTC/USDT".parse().expect("a symbol"),
        venue_symbol: "BTCUSDT".to_owned(),
        kind: InstrumentKind::Spot,
        status: InstrumentStatus::Trading,
        tick_size: proto::Decimal::ONE,
        lot_size: proto::Decimal::ONE,
        min_notional: proto::Decimal::ZERO,
    }
}
