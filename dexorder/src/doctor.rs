//! `dexorder doctor`: what this machine lacks, one line a finding and one line to sum up.

use crate::cli::DoctorArgs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

const FREE_BYTES: u64 = 2 << 30;
const OPEN_FILES: u64 = 4096;
const RELAY_PORTS: [(u16, &str); 4] =
    [(5559, "relay requests"), (5555, "relay work"), (5557, "relay publishers"), (5558, "relay subscribers")];

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    what: String,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Fine(String),
    /// Works, but the person should know.
    Note(String),
    /// `up` would fail; says what to do.
    Missing(String),
}

/// Prints the findings; true if nothing is missing.
pub(crate) async fn run(args: &DoctorArgs, out: &mut impl std::io::Write) -> std::io::Result<bool> {
    let mut findings = vec![data_dir(&args.data_dir), free_space(&args.data_dir), open_files()];
    findings.push(port(args.listen, "page"));
    findings.extend(RELAY_PORTS.map(|(number, name)| port(SocketAddr::from(([127, 0, 0, 1], number)), name)));
    findings.push(venues().await);
    report(&findings, out)
}

fn report(findings: &[Finding], out: &mut impl std::io::Write) -> std::io::Result<bool> {
    let mut missing = Vec::new();
    for Finding { what, state } in findings {
        match state {
            State::Fine(text) => writeln!(out, "ok       {what}: {text}")?,
            State::Note(text) => writeln!(out, "note     {what}: {text}")?,
            State::Missing(text) => {
                missing.push(what.as_str());
                writeln!(out, "MISSING  {what}: {text}")?;
            }
        }
    }
    match missing.as_slice() {
        [] => writeln!(out, "ready: nothing is missing, start with `dexorder up`")?,
        names => writeln!(out, "not ready, missing: {}", names.join(", "))?,
    }
    Ok(missing.is_empty())
}

/// The nearest parent that exists: `up` makes the rest.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn data_dir(path: &Path) -> Finding {
    let what = format!("data directory {}", path.display());
    let parent = existing(path);
    let probe = parent.join(format!(".dexorder-doctor-{}", std::process::id()));
    let state = match std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => State::Fine("can be written".to_owned()),
        Err(error) => State::Missing(format!("{error}; choose another with --data-dir")),
    };
    Finding { what, state }
}

fn free_space(path: &Path) -> Finding {
    let state = match rustix::fs::statvfs(existing(path).as_path()) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let text = format!("{} MiB free", free >> 20);
            if free < FREE_BYTES {
                State::Missing(format!("{text}, at least {} MiB are needed", FREE_BYTES >> 20))
            } else {
                State::Fine(text)
            }
        }
        Err(error) => State::Note(format!("cannot be told: {error}")),
    };
    Finding { what: "disk space".to_owned(), state }
}

fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let state = match limit {
        Some(files) if files < OPEN_FILES => {
            State::Note(format!("limit of {files}, raise it with `ulimit -n {OPEN_FILES}` for many clients"))
        }
        Some(files) => State::Fine(format!("limit of {files}")),
        None => State::Fine("no limit".to_owned()),
    };
    Finding { what: "open files".to_owned(), state }
}

fn port(address: SocketAddr, name: &str) -> Finding {
    let state = match TcpListener::bind(address) {
        Ok(_) => State::Fine("free".to_owned()),
        Err(error) => State::Missing(format!("{error}; stop what uses it, or change the address")),
    };
    Finding { what: format!("{name} at {address}"), state }
}

async fn venues() -> Finding {
    let venues = crate::probe::reachable_venues().await;
    let state = if venues.is_empty() {
        State::Note("none can be reached from here; `up` will use the simulated market".to_owned())
    } else {
        State::Fine(format!("{} can be reached", venues.join(", ")))
    };
    Finding { what: "live venues".to_owned(), state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_in_the_last_line() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let findings = [port(taken.local_addr().unwrap(), "page")];
        let mut text = Vec::new();
        assert!(!report(&findings, &mut text).unwrap());
        let text = String::from_utf8(text).unwrap();
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("not ready, missing: page at 127.0.0.1:"), "{last}");
    }

    #[test]
    fn a_machine_that_lacks_nothing_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut text = Vec::new();
        assert!(report(&[data_dir(&dir.path().join("new/data")), port(free, "page")], &mut text).unwrap());
        assert!(String::from_utf8(text).unwrap().ends_with("`dexorder up`\n"));
    }
}
