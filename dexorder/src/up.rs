//! `dexorder up`: everything on one machine.

use crate::cli::{UpArgs, Venues};
use crate::config::{ConfigFile, Section};
use crate::data_dir::DataDir;
use crate::listener::bind;
use crate::platform::Platform;
use crate::rooms::{self, Endpoints, Ground};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// What `up` decided to stream.
struct Choice {
    venues: Value,
    mode: &'static str,
    why: String,
}

/// Symbols that `up` streams by itself; `ingestor.venues` in the configuration chooses others.
const LIVE: [(&str, &[&str]); 6] = [
    ("BINANCE", &["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "BNB/USDT"]),
    ("BINANCE-USDM", &["BTC/USDT", "ETH/USDT", "SOL/USDT"]),
    ("COINBASE", &["BTC/USD", "ETH/USD", "SOL/USD"]),
    ("KRAKEN", &["BTC/USD", "ETH/USD", "BTC/EUR"]),
    ("OKX", &["BTC/USDT", "ETH/USDT", "SOL/USDT"]),
    ("BYBIT", &["BTC/USDT", "ETH/USDT", "SOL/USDT"]),
];

const SIM: [&str; 6] = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "ADA/USDT", "DOGE/USDT"];

/// Runs the platform until it is stopped.
pub(crate) async fn run(args: &UpArgs) -> anyhow::Result<()> {
    let file = ConfigFile::load(args.config.as_deref())?;
    let people = rooms::people(&args.data_dir, &args.python)?;
    let mut rooms = rooms::read(&file, &args.data_dir, args.listen, &people)?;
    let secrets = rooms::secrets(args.secrets.as_deref())?;
    let choice = choose(args.venues).await;
    // A first reading without the relay's port, so that a mistake is told before anything is bound or written.
    let intake = |endpoints: Option<&Endpoints>| read_ingestor(&file, &choice.venues, endpoints);
    intake(None)?;

    let data = DataDir::lock(&args.data_dir)?;
    let page = bind("page", rooms.gateway.listen).await?;
    let address = page.local_addr()?;
    let mut platform = Platform::new(&file);
    let endpoints = rooms::start_relay(&platform, &rooms.relay)?;
    rooms.connect(&endpoints);
    rooms.bound(address);
    let log = rooms::open_log(&platform, &file.log, data.path())?;
    let lake = rooms::open_lake(rooms.lake).await?;
    rooms::start_stream(&mut platform, rooms.stream, log.clone(), lake.clone()).await?;
    let ground = Ground { log: log.clone(), lake, secrets };
    let gateway = rooms::open_gateway(&mut platform, &page, rooms.gateway, ground).await?;
    let link = gateway.login_link().await?;
    rooms::start_gateway(&platform, page, gateway);
    let config = intake(Some(&endpoints))?;
    if !config.venues.is_empty() {
        rooms::start_ingestor(&mut platform, config, log).await?;
    }
    let admin = platform.serve_admin(file.admin.listen).await?;
    platform.ready().await?;
    announce(&Announcement { data: data.path(), choice: &choice, endpoints: &endpoints, admin: &admin.to_string() })?;
    println_flush(&format!("page: http://{address}"))?;
    if let Some(link) = link {
        // Good once, for 15 minutes, and only on this terminal.
        println_flush(&format!("login: http://{address}{}", link.expose_secret()))?;
    }
    platform.run_until_stopped().await
}

async fn choose(venues: Venues) -> Choice {
    match venues {
        Venues::Live => live(&LIVE.map(|(venue, _)| venue), "asked for".to_owned()),
        Venues::Sim => sim("asked for".to_owned()),
        Venues::None => Choice { venues: json!([]), mode: "NONE", why: "ingestors run elsewhere".to_owned() },
        Venues::Auto => {
            let reachable = crate::probe::reachable_venues().await;
            if reachable.is_empty() {
                sim("no live venue can be reached from here".to_owned())
            } else {
                live(&reachable, format!("{} can be reached", reachable.join(", ")))
            }
        }
    }
}

fn live(names: &[&str], why: String) -> Choice {
    let venues = LIVE
        .iter()
        .filter(|(venue, _)| names.contains(venue))
        .map(|(venue, symbols)| json!({"venue": venue, "mode": "live", "symbols": symbols}));
    Choice { venues: venues.collect(), mode: "LIVE", why }
}

fn sim(why: String) -> Choice {
    Choice { venues: json!([{"venue": "SIM", "mode": "sim", "symbols": SIM}]), mode: "SIM", why }
}

fn read_ingestor(file: &ConfigFile, venues: &Value, endpoints: Option<&Endpoints>) -> anyhow::Result<ingestor::Config> {
    let mut defaults = json!({"venues": venues});
    if let Some(endpoints) = endpoints {
        defaults["relay_work"] = json!(endpoints.work);
    }
    let config: ingestor::Config = file.section(Section::Ingestor, defaults)?;
    if let Err(ingestor::config::ConfigProblems(problems)) = config.validate() {
        file.refuse(Section::Ingestor, &problems)?;
    }
    Ok(config)
}

struct Announcement<'a> {
    data: &'a Path,
    choice: &'a Choice,
    endpoints: &'a Endpoints,
    admin: &'a str,
}

fn announce(facts: &Announcement<'_>) -> anyhow::Result<()> {
    let Announcement { data, choice, endpoints, admin } = facts;
    let Endpoints { requests, work, publishers, subscribers } = endpoints;
    println_flush(&format!("data: {}", data.display()))?;
    println_flush(&format!("venues: {} ({})", choice.mode, choice.why))?;
    println_flush(&format!(
        "relay: requests={requests} work={work} publishers={publishers} subscribers={subscribers}"
    ))?;
    println_flush(&format!("admin: http://{admin}"))
}

/// Prints a line that scripts wait for.
pub(crate) fn println_flush(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_up_streams_by_itself_is_a_valid_configuration() {
        for choice in [live(&LIVE.map(|(venue, _)| venue), String::new()), sim(String::new())] {
            let config = read_ingestor(&ConfigFile::default(), &choice.venues, None).unwrap();
            assert!(!config.venues.is_empty(), "{}", choice.mode);
        }
    }
}
