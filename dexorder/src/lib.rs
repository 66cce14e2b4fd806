//! The `dexorder` command: one binary with a subcommand for every process, plus `up` (everything on one machine), `replay`,
//! `doctor`, `topics` and `tail`.
//!
//! `up` runs the same code as the separate processes, wired through the same sockets, log and configuration; it has no short
//! cut that a cluster lacks. Each process prints on standard output where it can be reached, one `name: address` a line, and
//! logs to standard error.

mod agent;
pub mod cli;
mod config;
mod data_dir;
mod doctor;
mod listener;
mod log_view;
mod platform;
mod probe;
mod replay;
mod rooms;
mod single;
mod up;

pub use cli::{AgentCli, Cli, Command};

use cli::{AgentArgs, LoggingArgs};
use service::config::ConfigError;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

/// Exit code for a configuration that is refused, as in sysexits.h.
pub const EXIT_CONFIG: u8 = 78;

/// The exit code that fits an error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let refused = error.chain().any(|cause| cause.is::<ConfigError>() || cause.is::<config::Contradiction>());
    if refused { EXIT_CONFIG } else { 1 }
}

/// Starts a program: logs, TLS, the runtime; then runs `program` to its end and tells what went wrong.
pub fn start(logging: &LoggingArgs, program: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    if let Err(error) = service::telemetry::init(logging.log_format.into(), &logging.log) {
        eprintln!("dexorder: {error}");
        return ExitCode::from(EXIT_CONFIG);
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("dexorder: a TLS provider was already chosen");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("dexorder: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(program).unwrap_or_else(|error| {
        eprintln!("dexorder: {error:#}");
        ExitCode::from(exit_code(&error))
    })
}

/// Runs one user's container to its end.
///
/// # Errors
/// What the person has to know.
pub async fn run_agent(args: AgentArgs) -> anyhow::Result<ExitCode> {
    agent::run(&args).await
}

/// Runs a subcommand to its end.
///
/// # Errors
/// What the person has to know.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    match command {
        Command::Up(args) => up::run(&args).await?,
        Command::Replay(args) => replay::run(&args).await?,
        Command::Relay(args) => single::relay(&args).await?,
        Command::Ingestor(args) => single::ingestor(&args).await?,
        Command::Stream(args) => single::stream(&args).await?,
        Command::Gateway(args) => single::gateway(&args).await?,
        Command::LoginLink(args) => single::login_link(&args).await?,
        Command::Agent(args) => return run_agent(args).await,
        Command::Topics(args) => quiet_pipe(log_view::topics(&args, &mut out).await)?,
        Command::Tail(args) => quiet_pipe(log_view::tail(&args, &mut out).await)?,
        Command::Doctor(args) => {
            let ready = doctor::run(&args, &mut out).await?;
            out.flush()?;
            return Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `dexorder tail … | head` is no error.
fn quiet_pipe(result: anyhow::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) => match error.downcast_ref::<std::io::Error>() {
            Some(io) if io.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}
