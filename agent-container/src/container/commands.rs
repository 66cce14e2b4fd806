//! Commands that were carried out, so that the same `command_id` is carried out once, also after a restart.
//!
//! For what has no such memory of its own (files and messages have). One line of JSON a command in `<data>/commands.jsonl`; the
//! file is written anew when it has twice as many lines as are kept.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Commands that are remembered.
const KEPT: usize = 5000;
/// Bytes of a command id.
const ID_BYTES: usize = 128;

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    id: String,
    /// Digest of the request.
    request: String,
    answer: String,
}

#[derive(Debug)]
struct State {
    file: File,
    lines: usize,
    order: VecDeque<String>,
    done: BTreeMap<String, (String, String)>,
}

/// The commands of one container.
#[derive(Debug)]
pub(crate) struct Commands {
    path: PathBuf,
    state: Mutex<State>,
}

/// Why a command is not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The id is no id.
    #[error("command_id: 1 to 128 bytes without control characters")]
    Id,
    /// The id was used before for something else.
    #[error("command_id was used before for another request")]
    Reused,
    /// The volume failed.
    #[error("the volume failed: {0}")]
    Io(#[from] std::io::Error),
}

/// What a request is known by.
pub(crate) fn digest(request: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in request {
        digest.update(part.len().to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl State {
    fn remember(&mut self, line: Line) {
        self.order.push_back(line.id.clone());
        self.done.insert(line.id, (line.request, line.answer));
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.done.remove(&oldest);
            }
        }
    }
}

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Commands {
    /// Reads what was done. A torn last line was not answered, and is dropped.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub(crate) fn open(path: PathBuf) -> std::io::Result<Self> {
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let mut state = State { file: append_to(&path)?, lines: 0, order: VecDeque::new(), done: BTreeMap::new() };
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).for_each(|line| state.remember(line));
        let commands = Self { path, state: Mutex::new(state) };
        commands.write_anew(&mut commands.state.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(commands)
    }

    fn write_anew(&self, state: &mut State) -> std::io::Result<()> {
        let making = self.path.with_extension("new");
        let mut file = File::create(&making)?;
        for id in &state.order {
            if let Some((request, answer)) = state.done.get(id) {
                let line = Line { id: id.clone(), request: request.clone(), answer: answer.clone() };
                writeln!(file, "{}", serde_json::to_string(&line)?)?;
            }
        }
        file.sync_all()?;
        std::fs::rename(&making, &self.path)?;
        (state.file, state.lines) = (append_to(&self.path)?, state.order.len());
        Ok(())
    }

    /// The answer of an earlier call of the same command, if there was one.
    ///
    /// # Errors
    /// If the id is not one, or was used for another request.
    pub(crate) fn earlier(&self, id: &str, request: &str) -> Result<Option<String>, CommandError> {
        if id.is_empty() || id.len() > ID_BYTES || id.chars().any(char::is_control) {
            return Err(CommandError::Id);
        }
        match self.state.lock().unwrap_or_else(PoisonError::into_inner).done.get(id) {
            Some((before, answer)) if before == request => Ok(Some(answer.clone())),
            Some(_) => Err(CommandError::Reused),
            None => Ok(None),
        }
    }

    /// Remembers a command. Blocks on the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn done(&self, id: &str, request: &str, answer: &str) -> Result<(), CommandError> {
        let line = Line { id: id.to_owned(), request: request.to_owned(), answer: answer.to_owned() };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // It begins a line of its own, whatever a write that failed before has left.
        let text = format!("\n{}\n", serde_json::to_string(&line).map_err(std::io::Error::from)?);
        state.file.write_all(text.as_bytes())?;
        state.file.sync_data()?;
        state.lines += 1;
        state.remember(line);
        if state.lines > 2 * KEPT {
            self.write_anew(&mut state)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_after_a_restart_also_behind_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("commands.jsonl");
        let commands = Commands::open(path.clone()).unwrap();
        assert_eq!(commands.earlier("a", "r").unwrap(), None);
        commands.done("a", "r", "answer").unwrap();
        drop(commands);
        append_to(&path).unwrap().write_all(b"{\"id\":\"b\",\"req").unwrap();
        let commands = Commands::open(path.clone()).unwrap();
        commands.done("c", "r", "later").unwrap();
        let commands = Commands::open(path).unwrap();
        assert_eq!(commands.earlier("a", "r").unwrap().as_deref(), Some("answer"));
        assert_eq!(commands.earlier("c", "r").unwrap().as_deref(), Some("later"));
        assert_eq!(commands.earlier("b", "r").unwrap(), None);
        assert!(matches!(commands.earlier("a", "other"), Err(CommandError::Reused)));
        assert!(matches!(commands.earlier("", "r"), Err(CommandError::Id)));
        assert!(matches!(commands.earlier("a\n", "r"), Err(CommandError::Id)));
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("commands.jsonl");
        let commands = Commands::open(path.clone()).unwrap();
        {
            let mut state = commands.state.lock().unwrap();
            for number in 0..KEPT {
                state.remember(Line { id: format!("{number}"), request: String::new(), answer: String::new() });
            }
            state.lines = 2 * KEPT;
        }
        commands.done("last", "r", "a").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), KEPT);
        assert!(commands.earlier("0", "").unwrap().is_none());
        assert!(commands.earlier("1", "").unwrap().is_some());
    }
}
