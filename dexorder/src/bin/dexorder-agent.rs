//! One user's container as a program of its own, for its image: what `dexorder agent` does without the code of the rest of the
//! platform beside user code, and with less memory.

use clap::Parser;
use dexorder::AgentCli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = AgentCli::parse();
    dexorder::start(&cli.logging, dexorder::run_agent(cli.agent))
}
