//! Command-line arguments.

use clap::{Args, Parser, Subcommand, ValueEnum};
use service::telemetry::LogFormat;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A self-hosted, multi-user AI trading platform.
#[derive(Debug, Parser)]
#[command(name = "dexorder", version, about, propagate_version = true)]
pub struct Cli {
    /// How it logs.
    #[command(flatten)]
    pub logging: LoggingArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One user's container by itself: `dexorder agent` without the rest of the platform.
#[derive(Debug, Parser)]
#[command(name = "dexorder-agent", version, about)]
pub struct AgentCli {
    /// How it logs.
    #[command(flatten)]
    pub logging: LoggingArgs,
    /// What to run.
    #[command(flatten)]
    pub agent: AgentArgs,
}

/// How a process logs.
#[derive(Debug, Args)]
pub struct LoggingArgs {
    /// Log filter, e.g. `info,relay=debug`.
    #[arg(long, global = true, default_value = "info", env = "DEXORDER_LOG")]
    pub log: String,
    /// How log lines look.
    #[arg(long, global = true, default_value = "pretty", value_enum)]
    pub log_format: Format,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Pretty => Self::Pretty,
            Format::Json => Self::Json,
        }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the whole platform on this machine.
    Up(UpArgs),
    /// Play recorded venue frames through the whole pipeline into the lake.
    Replay(ReplayArgs),
    /// Say in one line each what this machine lacks.
    Doctor(DoctorArgs),
    /// List the topics of the event log.
    Topics(LogArgs),
    /// Show records of a topic of the event log.
    Tail(TailArgs),
    /// Run only the relay.
    Relay(ProcessArgs),
    /// Run only an ingestor.
    Ingestor(ProcessArgs),
    /// Run only the stream aggregator.
    Stream(ProcessArgs),
    /// Run only the gateway.
    Gateway(ProcessArgs),
    /// Print a link that signs the first admin of a gateway in, once.
    LoginLink(ProcessArgs),
    /// Run one user's container: an MCP server over that user's files, memory, Python and backtests.
    Agent(AgentArgs),
}

/// Which venues `up` streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Venues {
    /// Live venues if a short probe reaches one, else the simulated market.
    Auto,
    /// Live venues.
    Live,
    /// The simulated market.
    Sim,
    /// None; ingestors run elsewhere.
    None,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Where all state lives: `log/`, `lake/`, `platform.sqlite`.
    #[arg(long, default_value = "data")]
    pub data_dir: PathBuf,
    /// Address of the page and the API.
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// Which venues to stream.
    #[arg(long, value_enum, default_value = "auto")]
    pub venues: Venues,
    /// Configuration file with sections `log`, `lake`, `relay`, `ingestor`, `stream`, `gateway`; all have defaults.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Secrets file: keys of models, of the accounts.
    #[arg(long)]
    pub secrets: Option<PathBuf>,
    /// CPython with numpy, pandas and matplotlib, for the users' containers.
    #[arg(long, default_value = "python3", env = "DEXORDER_PYTHON")]
    pub python: PathBuf,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Recordings, one `<receive_ns> <frame>` a line; plain, .xz or .zst.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Where all state lives.
    #[arg(long, default_value = "data")]
    pub data_dir: PathBuf,
    /// `max`, `real`, or a factor such as `10`.
    #[arg(long, default_value = "max")]
    pub speed: String,
    /// The venue of the files, if it cannot be told from them.
    #[arg(long)]
    pub venue: Option<String>,
    /// Also serve the page at this address, and stay after the end.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Configuration file, as for `up`.
    #[arg(long)]
    pub config: Option<PathBuf>,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Where all state would live.
    #[arg(long, default_value = "data")]
    pub data_dir: PathBuf,
    /// Address of the page.
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
}

/// Arguments of `topics`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Where all state lives.
    #[arg(long, default_value = "data")]
    pub data_dir: PathBuf,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// The topic, e.g. `norm.tick`.
    pub topic: String,
    /// Where all state lives.
    #[arg(long, default_value = "data")]
    pub data_dir: PathBuf,
    /// How many of the last records to show.
    #[arg(short = 'n', long, default_value_t = 10)]
    pub lines: u64,
    /// Wait for more.
    #[arg(short, long)]
    pub follow: bool,
    /// Only records of this key, e.g. `SIM:BTC/USDT`.
    #[arg(long)]
    pub key: Option<String>,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of a single process.
#[derive(Debug, Args)]
pub struct ProcessArgs {
    /// Configuration file.
    #[arg(long)]
    pub config: PathBuf,
    /// Secrets file; of the gateway.
    #[arg(long)]
    pub secrets: Option<PathBuf>,
}

/// Arguments of `agent`. Without a configuration it is a container started by hand: it makes its own key and prints a token.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Configuration file with a section `agent`.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Secrets file.
    #[arg(long, requires = "config")]
    pub secrets: Option<PathBuf>,
    /// By hand: where everything of the user is kept.
    #[arg(long, default_value = "data/agents/me", conflicts_with = "config")]
    pub data_dir: PathBuf,
    /// By hand: where MCP is served.
    #[arg(long, default_value = "127.0.0.1:8100", conflicts_with = "config")]
    pub listen: SocketAddr,
    /// By hand: the owner's name.
    #[arg(long, default_value = "me", conflicts_with = "config")]
    pub owner: String,
    /// By hand: the gateway that has the market data.
    #[arg(long, default_value = "http://127.0.0.1:3000", conflicts_with = "config")]
    pub gateway: String,
    /// By hand: where informational events are published.
    #[arg(long, default_value = "127.0.0.1:5570", conflicts_with = "config")]
    pub publish: SocketAddr,
    /// By hand: CPython with numpy, pandas and matplotlib.
    #[arg(long, default_value = "python3", env = "DEXORDER_PYTHON")]
    pub python: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
        AgentCli::command().debug_assert();
    }
}
