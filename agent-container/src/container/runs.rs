//! Backtests that were run: each is kept with its report, and listed.
//!
//! A run is a directory `<data>/backtests/<id>/` with `run.json` (what a list shows), `report.json` and `report.html`; it is
//! made under another name and renamed, so it is there whole or not at all.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Runs that are kept; the oldest go first.
pub(crate) const RUNS: usize = 500;

/// What a list shows of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// ULID: later runs are greater.
    pub(crate) id: String,
    /// Hash of what went in and what came out.
    pub(crate) hash: String,
    pub(crate) strategy: String,
    pub(crate) market: String,
    pub(crate) interval: String,
    pub(crate) at_ns: u64,
    /// Snapshot of the lake and commit of the workspace.
    pub(crate) snapshot: String,
    pub(crate) commit: String,
    pub(crate) statistics: Value,
    pub(crate) command_id: Option<String>,
    /// Digest of the request, so that a command id is not used for another one.
    pub(crate) request: String,
}

/// All runs of one container.
#[derive(Debug)]
pub(crate) struct Runs {
    dir: PathBuf,
    known: Mutex<BTreeMap<String, Run>>,
}

/// Why a run is not kept or found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunsError {
    /// There is no such run.
    #[error("no such backtest")]
    Unknown,
    /// The volume failed.
    #[error("the volume failed: {0}")]
    Io(#[from] std::io::Error),
    /// What is on the volume is no run.
    #[error("the backtest's file cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(dir.join(name))?;
    file.write_all(bytes)?;
    file.sync_all()
}

impl Runs {
    /// Reads what there is; what was left half done is removed.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, RunsError> {
        std::fs::create_dir_all(&dir)?;
        let mut known = BTreeMap::new();
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let run =
                std::fs::read(path.join("run.json")).ok().and_then(|bytes| serde_json::from_slice::<Run>(&bytes).ok());
            match run {
                Some(run) if path.file_name().is_some_and(|name| name == run.id.as_str()) => {
                    known.insert(run.id.clone(), run);
                }
                _ => std::fs::remove_dir_all(&path)?,
            }
        }
        Ok(Self { dir, known: Mutex::new(known) })
    }

    /// Keeps a run. Blocks on the disk.
    ///
    /// # Errors
    /// If the volume fails; nothing is kept then.
    pub(crate) fn keep(&self, run: Run, report: &str, page: &str) -> Result<(), RunsError> {
        let (making, made) = (self.dir.join(format!("{}.new", run.id)), self.dir.join(&run.id));
        std::fs::create_dir(&making)?;
        let written = write(&making, "report.json", report.as_bytes())
            .and_then(|()| write(&making, "report.html", page.as_bytes()))
            .and_then(|()| write(&making, "run.json", &serde_json::to_vec(&run)?))
            .and_then(|()| std::fs::rename(&making, &made))
            .and_then(|()| std::fs::File::open(&self.dir)?.sync_all());
        if let Err(error) = written {
            // What is left of it is removed at the next start at the latest.
            let _removed = std::fs::remove_dir_all(&making);
            return Err(error.into());
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(run.id.clone(), run);
        while known.len() > RUNS {
            if let Some((id, _)) = known.pop_first() {
                std::fs::remove_dir_all(self.dir.join(id))?;
            }
        }
        Ok(())
    }

    /// The newest runs, newest first.
    pub(crate) fn latest(&self, limit: usize) -> Vec<Run> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().rev().take(limit).cloned().collect()
    }

    /// The run of a command.
    pub(crate) fn of_command(&self, command_id: &str) -> Option<Run> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().find(|run| run.command_id.as_deref() == Some(command_id)).cloned()
    }

    /// A run and one of its files. Blocks on the disk.
    ///
    /// # Errors
    /// [`RunsError::Unknown`], or the volume's.
    pub(crate) fn read(&self, id: &str, file: &str) -> Result<(Run, String), RunsError> {
        let run = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let run = run.ok_or(RunsError::Unknown)?;
        let text = std::fs::read_to_string(self.dir.join(&run.id).join(file))?;
        Ok((run, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: usize) -> Run {
        Run {
            id: format!("{number:026}"),
            hash: "ab".repeat(32),
            strategy: "cross".to_owned(),
            market: "SIM:BTC/USDT".to_owned(),
            interval: "1m".to_owned(),
            at_ns: 1,
            snapshot: "7".to_owned(),
            commit: "c".repeat(40),
            statistics: serde_json::json!({"total_return": 0.1}),
            command_id: Some(format!("command {number}")),
            request: "r".to_owned(),
        }
    }

    #[test]
    fn runs_are_found_after_a_restart_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::open(dir.path().join("backtests")).unwrap();
        for number in 0..RUNS + 2 {
            runs.keep(run(number), "{}", "<!doctype html>").unwrap();
        }
        let again = Runs::open(dir.path().join("backtests")).unwrap();
        assert_eq!(again.latest(usize::MAX).len(), RUNS);
        assert_eq!(again.latest(1)[0], run(RUNS + 1));
        assert_eq!(again.of_command("command 5").unwrap(), run(5));
        assert!(again.of_command("command 1").is_none());
        assert_eq!(again.read(&run(7).id, "report.html").unwrap().1, "<!doctype html>");
        assert!(matches!(again.read("../../etc", "passwd"), Err(RunsError::Unknown)));
        assert!(matches!(again.read(&run(0).id, "report.html"), Err(RunsError::Unknown)));
    }

    #[test]
    fn what_was_left_half_done_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("backtests");
        let runs = Runs::open(root.clone()).unwrap();
        runs.keep(run(1), "{}", "").unwrap();
        std::fs::create_dir(root.join(format!("{}.new", run(2).id))).unwrap();
        std::fs::create_dir(root.join(run(3).id)).unwrap();
        std::fs::write(root.join(run(3).id).join("run.json"), b"{").unwrap();
        drop(runs);
        assert_eq!(Runs::open(root.clone()).unwrap().latest(9), [run(1)]);
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);
    }
}
