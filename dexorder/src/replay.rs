//! `dexorder replay`: recordings through the whole pipeline into the lake, and optionally onto the page.

use crate::cli::ReplayArgs;
use crate::config::ConfigFile;
use crate::data_dir::DataDir;
use crate::listener::bind;
use crate::platform::{Platform, Stage};
use crate::rooms::{self, Ground};
use crate::up::println_flush;
use anyhow::Context;
use eventlog::EventLog;
use ingestor::replay::{ReplayConfig, ReplayParts, ReplaySummary, play};
use proto::LogTopic;
use service::clock::Clock;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the stream's progress is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Plays the files and, unless a page is served, ends when all their rows are in the lake.
pub(crate) async fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let file = ConfigFile::load(args.config.as_deref())?;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let people = rooms::people(&args.data_dir, Path::new("python3"))?;
    let mut rooms = rooms::read(&file, &args.data_dir, args.listen.unwrap_or(nowhere), &people)?;
    // A replay is looked at, by whoever sits before it: it has markets and nobody else.
    rooms.gateway.people = None;
    let replay = ReplayConfig {
        files: args.files.clone(),
        venue: args.venue.as_deref().map(str::parse).transpose().context("--venue")?,
        speed: args.speed.parse().context("--speed")?,
        ..ReplayConfig::default()
    };
    for path in &args.files {
        anyhow::ensure!(path.is_file(), "{}: no such file", path.display());
    }

    let data = DataDir::lock(&args.data_dir)?;
    let mut platform = Platform::new(&file);
    let page = match args.listen {
        Some(listen) => Some(bind("page", listen).await?),
        None => None,
    };
    let endpoints = rooms::start_relay(&platform, &rooms.relay)?;
    rooms.connect(&endpoints);
    let log = rooms::open_log(&platform, &file.log, data.path())?;
    let lake = rooms::open_lake(rooms.lake).await?;
    let progress = rooms::start_stream(&mut platform, rooms.stream, log.clone(), lake.clone()).await?;
    if let Some(page) = page {
        let address = page.local_addr()?;
        let ground = Ground { log: log.clone(), lake, secrets: rooms::secrets(None)? };
        let gateway = rooms::open_gateway(&mut platform, &page, rooms.gateway, ground).await?;
        rooms::start_gateway(&platform, page, gateway);
        platform.ready().await?;
        println_flush(&format!("page: http://{address}"))?;
    }
    println_flush(&format!("data: {}", data.path().display()))?;

    let summary: Arc<Mutex<Option<ReplaySummary>>> = Arc::default();
    let parts = ReplayParts {
        log: log.clone(),
        metrics: platform.metrics.clone(),
        clock: Clock::System,
        stop: platform.token(Stage::Intake),
    };
    let result = summary.clone();
    platform.spawn(Stage::Intake, "replay", async move {
        let summary = play(&replay, parts).await?;
        caught_up(log.as_ref(), &progress).await?;
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
        anyhow::Ok(())
    });
    let played = platform.wait_for("replay").await;
    let summary = summary.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(summary) = &summary {
        println_flush(summary.to_string().trim_end())?;
    }
    if played.is_ok() && args.listen.is_some() {
        platform.run_until_stopped().await?;
    } else {
        platform.stop().await?;
    }
    played?;
    anyhow::ensure!(summary.is_some_and(|s| s.complete), "stopped before the end of the recordings");
    Ok(())
}

/// Waits until the stream has taken everything that stands in its input topics now.
async fn caught_up(log: &dyn EventLog, progress: &stream::Status) -> anyhow::Result<()> {
    let inputs = [LogTopic::NormTick, LogTopic::NormOhlc];
    let topics = log.topics().await?;
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let taken = progress.positions();
        let behind = topics.iter().any(|topic| {
            let Some(input) = inputs.into_iter().find(|input| input.name() == topic.spec.name) else { return false };
            (0u32..)
                .zip(&topic.partitions)
                .any(|(partition, info)| taken.get(&(input, partition)).copied().unwrap_or(0) < info.high)
        });
        if !behind {
            return Ok(());
        }
    }
}
