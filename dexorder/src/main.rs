//! The `dexorder` command.

use clap::Parser;
use dexorder::{Cli, EXIT_CONFIG};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = service::telemetry::init(cli.log_format.into(), &cli.log) {
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
    match runtime.block_on(dexorder::run(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dexorder: {error:#}");
            ExitCode::from(dexorder::exit_code(&error))
        }
    }
}
