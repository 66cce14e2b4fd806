//! Recordings through the whole platform into the lake: complete, exact, idempotent, and the same after any kill.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::peers::{run_python, shared_data, workspace};
use testkit::process::Dexorder;
use testkit::recording::{Recording, RecordingSpec};

/// 2024-08-08T22:30:00Z: the recordings cross an hour, four hours and midnight.
const START_MS: u64 = 1_723_156_200_000;

fn recordings(dir: &Path, trades: u64, step_ms: u64) -> Vec<PathBuf> {
    [("BTCUSDT", "btcusdt", 1), ("ETHUSDT", "ethusdt", 2)]
        .into_iter()
        .map(|(venue_symbol, name, seed)| {
            let spec = RecordingSpec { seed, venue_symbol, trades, start_ms: START_MS, step_ms };
            Recording::generate(&spec).write(dir, name).unwrap()
        })
        .collect()
}

fn replay_args(data: &Path, files: &[PathBuf]) -> Vec<OsString> {
    let ports = workspace().join("testkit/any-ports.yaml");
    let mut args: Vec<OsString> =
        vec!["replay".into(), "--data-dir".into(), data.into(), "--config".into(), ports.into()];
    args.extend(files.iter().map(Into::into));
    args
}

async fn replay(data: &Path, files: &[PathBuf]) {
    let platform = Dexorder::start(&replay_args(data, files), &data.with_extension("log"));
    let log = data.with_extension("log");
    assert!(platform.exit().await.success(), "{}", std::fs::read_to_string(log).unwrap_or_default());
}

/// Compares the lake with what the recordings say, by other engines.
fn check(data: &Path, files: &[PathBuf]) -> String {
    let mut args: Vec<OsString> = vec!["--data-dir".into(), data.into()];
    args.extend(files.iter().map(Into::into));
    run_python(&workspace().join("testkit/peers/check_lake.py"), &args)
}

#[tokio::test]
async fn a_replay_ends_with_every_trade_once_and_exact_candles_and_again_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let files = recordings(dir.path(), 20_000, 600);
    replay(&data, &files).await;
    let first = check(&data, &files);
    replay(&data, &files).await;
    assert_eq!(check(&data, &files), first, "the second replay changed the lake");
}

#[tokio::test]
async fn a_platform_killed_at_fifty_random_moments_ends_with_exactly_the_expected_rows() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let files = recordings(dir.path(), 30_000, 400);
    // How long an undisturbed run takes here: the moments are drawn from that.
    let started = Instant::now();
    replay(&dir.path().join("measure"), &files).await;
    let whole = started.elapsed();
    let seed = std::process::id().into();
    println!("seed {seed}, an undisturbed run takes {whole:?}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut killed = 0;
    while killed < 50 {
        let mut platform = Dexorder::start(&replay_args(&data, &files), &dir.path().join("data.log"));
        let moment = Duration::from_micros(random.random_range(0..u64::try_from(whole.as_micros()).unwrap()));
        match platform.kill_9_after(moment).await {
            None => killed += 1,
            Some(status) => assert!(status.success(), "seed {seed}: {}", platform.log_end()),
        }
    }
    replay(&data, &files).await;
    println!("after {killed} kills: {}", check(&data, &files));
}

#[tokio::test]
async fn the_shared_recording_of_2024_08_08_is_in_the_lake_trade_for_trade() {
    let Some(shared) = shared_data() else { return };
    let folder = shared.join("market/binance_ws_2024-08-08");
    let files: Vec<_> = ["spot_btcusdt", "spot_ethusdt", "usdm_btcusdt", "usdm_ethusdt"]
        .map(|name| folder.join(format!("{name}_20240808.jsonl.xz")))
        .into();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    replay(&data, &files).await;
    let first = check(&data, &files);
    for count in ["9757 trades", "6106 trades", "21313 trades", "14076 trades"] {
        assert!(first.contains(count), "{count}: {first}");
    }
    replay(&data, &files).await;
    assert_eq!(check(&data, &files), first, "the second replay changed the lake");
}
