//! One process of the platform by itself: `dexorder relay|ingestor|stream|gateway --config F`.
//!
//! All of them read the same file and each its own section, so that one ConfigMap serves a cluster.

use crate::cli::ProcessArgs;
use crate::config::{ConfigFile, Section};
use crate::listener::bind;
use crate::platform::Platform;
use crate::rooms::{self, Endpoints, Ground};
use crate::up::println_flush;
use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The file of a single process, and the data directory that it must name.
fn load(args: &ProcessArgs) -> anyhow::Result<(ConfigFile, Option<PathBuf>)> {
    let file = ConfigFile::load(Some(&args.config))?;
    let data_dir = file.data_dir.as_deref().map(std::path::absolute).transpose()?;
    Ok((file, data_dir))
}

fn needed(data_dir: Option<PathBuf>, args: &ProcessArgs) -> anyhow::Result<PathBuf> {
    data_dir.with_context(|| format!("{}: data_dir: missing", args.config.display()))
}

async fn serve(mut platform: Platform, file: &ConfigFile) -> anyhow::Result<()> {
    let admin = platform.serve_admin(file.admin.listen).await?;
    platform.ready().await?;
    println_flush(&format!("admin: http://{admin}"))?;
    println_flush("ready:")?;
    platform.run_until_stopped().await
}

/// The relay.
pub(crate) async fn relay(args: &ProcessArgs) -> anyhow::Result<()> {
    let (file, _) = load(args)?;
    let config: relay::config::Config = file.section(Section::Relay, json!({}))?;
    if let Err(relay::config::ConfigProblems(problems)) = config.check() {
        file.refuse(Section::Relay, &problems)?;
    }
    let platform = Platform::new(&file);
    let Endpoints { requests, work, publishers, subscribers } = rooms::start_relay(&platform, &config)?;
    println_flush(&format!(
        "relay: requests={requests} work={work} publishers={publishers} subscribers={subscribers}"
    ))?;
    serve(platform, &file).await
}

/// An ingestor.
pub(crate) async fn ingestor(args: &ProcessArgs) -> anyhow::Result<()> {
    let (file, data_dir) = load(args)?;
    let config: ingestor::Config = file.section(Section::Ingestor, json!({}))?;
    if let Err(ingestor::config::ConfigProblems(problems)) = config.validate() {
        file.refuse(Section::Ingestor, &problems)?;
    }
    let data_dir = needed(data_dir, args)?;
    let mut platform = Platform::new(&file);
    let log = rooms::open_log(&platform, &file.log, &data_dir)?;
    rooms::start_ingestor(&mut platform, config, log).await?;
    serve(platform, &file).await
}

/// The stream aggregator.
pub(crate) async fn stream(args: &ProcessArgs) -> anyhow::Result<()> {
    let (file, data_dir) = load(args)?;
    let data_dir = needed(data_dir, args)?;
    let config: stream::config::Config =
        file.section(Section::Stream, json!({"state_dir": data_dir.join("stream")}))?;
    file.refuse(Section::Stream, &config.problems())?;
    let lake = file.section(Section::Lake, lake_defaults(&data_dir))?;
    let mut platform = Platform::new(&file);
    let log = rooms::open_log(&platform, &file.log, &data_dir)?;
    let lake = rooms::open_lake(lake).await?;
    rooms::start_stream(&mut platform, config, log, lake).await?;
    serve(platform, &file).await
}

/// The gateway.
pub(crate) async fn gateway(args: &ProcessArgs) -> anyhow::Result<()> {
    let (file, data_dir) = load(args)?;
    let data_dir = needed(data_dir, args)?;
    let config: gateway::Config = file.section(Section::Gateway, json!({}))?;
    file.refuse(Section::Gateway, &config.problems())?;
    let lake = file.section(Section::Lake, lake_defaults(&data_dir))?;
    let mut platform = Platform::new(&file);
    let page = bind("page", config.listen).await?;
    println_flush(&format!("page: http://{}", page.local_addr()?))?;
    let log = rooms::open_log(&platform, &file.log, &data_dir)?;
    let lake = rooms::open_lake(lake).await?;
    let ground = Ground { log, lake, secrets: rooms::secrets(args.secrets.as_deref())? };
    let gateway = rooms::open_gateway(&mut platform, &page, config, ground).await?;
    rooms::start_gateway(&platform, page, gateway);
    serve(platform, &file).await
}

/// Prints a link that signs the first admin in, once: for whoever runs a gateway as a service, whose output is a log.
pub(crate) async fn login_link(args: &ProcessArgs) -> anyhow::Result<()> {
    let (file, _) = load(args)?;
    let config: gateway::Config = file.section(Section::Gateway, json!({}))?;
    file.refuse(Section::Gateway, &config.problems())?;
    let people = config.people.context("the section gateway.people is missing: this gateway has no accounts")?;
    let link = gateway::login_link(people, rooms::secrets(args.secrets.as_deref())?).await?;
    println_flush(&format!("login: {}", link.expose_secret()))
}

fn lake_defaults(data_dir: &Path) -> serde_json::Value {
    json!({"dir": data_dir.join("lake")})
}
