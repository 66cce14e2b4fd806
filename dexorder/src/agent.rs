//! `dexorder agent`: one user's container, by configuration or by hand.

use crate::cli::AgentArgs;
use crate::config::{ConfigFile, Section};
use crate::data_dir::DataDir;
use crate::listener::bind;
use crate::platform::{Platform, Stage};
use crate::up::println_flush;
use agent_container::config::{EventsConfig, LifecycleConfig, McpConfig, PythonConfig};
use agent_container::lifecycle::EXIT_ASLEEP;
use agent_container::local_issuer::LocalIssuer;
use agent_container::tier::Tier;
use agent_container::{Config, Secrets, Surroundings};
use serde_json::json;
use service::clock::Clock;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing::Instrument;

/// The issuer of a container that is started by hand.
const LOCAL_ISSUER: &str = "urn:dexorder:local";
/// How long the printed token is good.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Runs a container until it is stopped or sleeps; the exit code says which.
pub(crate) async fn run(args: &AgentArgs) -> anyhow::Result<ExitCode> {
    let file = ConfigFile::load(args.config.as_deref())?;
    let secrets = match &args.secrets {
        Some(path) => service::config::load_secrets(path)?,
        None => Secrets::default(),
    };
    let configured = args.config.as_ref().map(|_| file.section::<Config>(Section::Agent, json!({}))).transpose()?;
    let data = DataDir::lock(configured.as_ref().map_or(&args.data_dir, |config| &config.data_dir))?;
    let by_hand = configured.is_none();
    let listener = bind("MCP", configured.as_ref().map_or(args.listen, |config| config.listen)).await?;
    let address = listener.local_addr()?;
    let url = agent_container::mcp_url(address);
    let config = match configured {
        Some(config) => Config { data_dir: data.path().to_owned(), ..config },
        None => {
            let issuer = LocalIssuer::open(&data.path().join("issuer.pk8"))?;
            let config = by_hand_config(args, &data, &issuer, &url);
            let token = issuer.token(&config.auth, &config.owner, TOKEN_LIFE)?;
            println_flush(&format!("mcp: {url}\ntoken: {token}"))?;
            config
        }
    };
    file.refuse(Section::Agent, &config.problems())?;
    if !by_hand {
        println_flush(&format!("mcp: {url}"))?;
    }
    // By hand it stands beside a platform, which has that port.
    let admin = (!by_hand).then_some(file.admin.listen);
    serve(Platform::new(&file), (config, secrets), listener, admin).await
}

fn by_hand_config(args: &AgentArgs, data: &DataDir, issuer: &LocalIssuer, url: &str) -> Config {
    Config {
        owner: args.owner.clone(),
        user_id: None,
        data_dir: data.path().to_owned(),
        tier: Tier::Pro,
        listen: args.listen,
        auth: issuer.auth(LOCAL_ISSUER, url),
        mcp: McpConfig::default(),
        gateway: Some(args.gateway.clone()),
        events: EventsConfig { publish: args.publish, ..EventsConfig::default() },
        python: PythonConfig { interpreter: args.python.clone(), ..PythonConfig::default() },
        embeddings: None,
        lifecycle: LifecycleConfig { sleep: false, grace: Duration::from_secs(1), ..LifecycleConfig::default() },
    }
}

async fn serve(
    mut platform: Platform,
    (config, secrets): (Config, Secrets),
    listener: tokio::net::TcpListener,
    admin: Option<SocketAddr>,
) -> anyhow::Result<ExitCode> {
    let events = Arc::new(OnceLock::new());
    let around = Surroundings {
        metrics: platform.metrics.clone(),
        readiness: platform.readiness("agent"),
        clock: Clock::System,
        stop: platform.token(Stage::Gateway),
        events: Arc::clone(&events),
    };
    let span = tracing::info_span!("agent", user = %config.owner);
    let exit = Arc::new(OnceLock::new());
    let ended = Arc::clone(&exit);
    platform.spawn(Stage::Gateway, "agent", async move {
        let how = agent_container::run(config, secrets, listener, around).instrument(span).await?;
        ended.get_or_init(|| how);
        Ok::<_, anyhow::Error>(())
    });
    if let Some(admin) = admin {
        let admin = platform.serve_admin(admin).await?;
        println_flush(&format!("admin: http://{admin}"))?;
    }
    platform.ready().await?;
    if let Some(bound) = events.get() {
        println_flush(&format!("events: tcp://{bound}"))?;
    }
    println_flush("ready:")?;
    match platform.run_until_stopped().await {
        // Falling asleep is an end by itself, and no failure.
        Err(_) if exit.get() == Some(&EXIT_ASLEEP) => Ok(ExitCode::from(EXIT_ASLEEP)),
        Err(error) => Err(error),
        Ok(()) => Ok(ExitCode::from(exit.get().copied().unwrap_or_default())),
    }
}
