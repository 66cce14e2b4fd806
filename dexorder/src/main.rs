//! The `dexorder` command.

use clap::Parser;
use dexorder::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    dexorder::start(&cli.logging, dexorder::run(cli.command))
}
