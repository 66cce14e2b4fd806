//! Prints what the adapters make of the shared recordings: `cargo run -p venues --example fixtures [-- --why]`.
//!
//! With `--why` each refusal is listed with its file and detail.

#[path = "../tests/recordings/files.rs"]
mod files;
#[path = "../tests/recordings/tally.rs"]
mod tally;

use std::io::Write;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let Some(shared) = files::shared() else {
        return writeln!(out, "left out: ../shared/data is not here");
    };
    let tallies = tally::tally(&files::recordings(&shared));
    write!(out, "{}", tally::table(&tallies))?;
    if std::env::args().any(|argument| argument == "--why") {
        for ((venue, _), tally) in &tallies {
            for (path, rejection) in &tally.examples {
                writeln!(out, "{venue}\t{path}\t{rejection}")?;
            }
        }
    }
    Ok(())
}
