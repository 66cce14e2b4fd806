//! Many recordings as one stream in the order of receipt, with bounded memory.
//!
//! Each file is looked at once: whose frames it holds, and when it begins. It is opened again only when the stream
//! reaches that time, so a year of daily files needs one decompressor, not 365. Files that overlap are open together, up to a
//! bound; beyond it a file waits until another ends, and its frames come late.

use super::lines::{self, Line, Lines};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use venues::Adapter;

/// Most files open at a time; each costs a decompressor.
pub(crate) const OPEN_FILES: usize = 16;
/// Frames looked at to recognise the venue.
const TRIAL_FRAMES: usize = 200;

/// What the first look at a file shows.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// When its first frame was received.
    pub(crate) begins_ns: u64,
    /// Who reads its frames.
    pub(crate) adapter: Option<&'static dyn Adapter>,
}

/// Looks at the first frames of a file.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn inspect(path: &Path) -> io::Result<Inspection> {
    let mut lines = lines::open(path)?;
    let mut frames: Vec<Bytes> = Vec::new();
    let mut begins_ns = None;
    while frames.len() < TRIAL_FRAMES {
        match lines.next_line() {
            Ok(Some(Line::Frame { receive_time_ns, payload, .. })) => {
                begins_ns.get_or_insert(receive_time_ns);
                frames.push(payload);
            }
            Ok(Some(Line::Bad { .. })) => {}
            // What comes before the damage is still played.
            Ok(None) | Err(_) => break,
        }
    }
    let slices: Vec<&[u8]> = frames.iter().map(AsRef::as_ref).collect();
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Inspection { begins_ns: begins_ns.unwrap_or(0), adapter: venues::recognise(&name, &slices) })
}

/// What comes out of the merge.
#[derive(Debug)]
pub(crate) enum Played {
    /// A line of a file.
    Line(usize, Line),
    /// A file that could not be read further.
    Broken(usize, io::Error),
}

struct Open {
    file: usize,
    lines: Lines<Box<dyn BufRead + Send>>,
}

/// The merged stream; an iterator that does blocking reads.
pub(crate) struct Merge {
    /// Files not yet opened, the earliest first: (begin, index, path).
    waiting: VecDeque<(u64, usize, PathBuf)>,
    open: Vec<Option<Open>>,
    /// The next line of each open file: (receive time, file, slot).
    heads: BinaryHeap<Reverse<(u64, usize, usize)>>,
    /// The lines that belong to the heads, by slot.
    lines: Vec<Option<Line>>,
    broken: VecDeque<(usize, io::Error)>,
}

impl std::fmt::Debug for Merge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Merge {
    /// Merges files given as (begin, index, path).
    pub(crate) fn new(mut files: Vec<(u64, usize, PathBuf)>) -> Self {
        files.sort();
        Self {
            waiting: files.into(),
            open: Vec::new(),
            heads: BinaryHeap::new(),
            lines: Vec::new(),
            broken: VecDeque::new(),
        }
    }

    /// Opens every file that begins before the next line.
    fn open_due(&mut self) {
        while let Some((begins_ns, ..)) = self.waiting.front() {
            let next_ns = self.heads.peek().map(|Reverse((at_ns, ..))| *at_ns);
            let is_due = next_ns.is_none_or(|next_ns| *begins_ns <= next_ns);
            if !is_due || self.heads.len() >= OPEN_FILES {
                return;
            }
            let Some((_, file, path)) = self.waiting.pop_front() else { return };
            match lines::open(&path) {
                Ok(lines) => {
                    let slot = self.free_slot();
                    self.open[slot] = Some(Open { file, lines });
                    self.advance(slot, 0);
                }
                Err(error) => self.broken.push_back((file, error)),
            }
        }
    }

    fn free_slot(&mut self) -> usize {
        if let Some(slot) = self.open.iter().position(Option::is_none) {
            return slot;
        }
        self.open.push(None);
        self.lines.push(None);
        self.open.len() - 1
    }

    /// Reads the next line of a slot. A line without a time has the time of the line before it.
    fn advance(&mut self, slot: usize, before_ns: u64) {
        let Some(open) = &mut self.open[slot] else { return };
        match open.lines.next_line() {
            Ok(Some(line)) => {
                let at_ns = if let Line::Frame { receive_time_ns, .. } = line { receive_time_ns } else { before_ns };
                self.heads.push(Reverse((at_ns, open.file, slot)));
                self.lines[slot] = Some(line);
            }
            Ok(None) => self.open[slot] = None,
            Err(error) => {
                self.broken.push_back((open.file, error));
                self.open[slot] = None;
            }
        }
    }
}

impl Iterator for Merge {
    type Item = Played;

    fn next(&mut self) -> Option<Played> {
        loop {
            self.open_due();
            if let Some((file, error)) = self.broken.pop_front() {
                return Some(Played::Broken(file, error));
            }
            match self.heads.pop() {
                Some(Reverse((at_ns, file, slot))) => {
                    let line = self.lines[slot].take();
                    self.advance(slot, at_ns);
                    if let Some(line) = line {
                        return Some(Played::Line(file, line));
                    }
                }
                None if self.waiting.is_empty() && self.broken.is_empty() => return None,
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_723_161_254_000_000_000;

    fn recording(dir: &Path, name: &str, seconds: impl IntoIterator<Item = u64>) -> PathBuf {
        let text: String = seconds.into_iter().map(|s| format!("{} {name}-{s}\n", T + s * 1_000_000_000)).collect();
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn played(merge: Merge) -> Vec<String> {
        let text = |played: Played| match played {
            Played::Line(_, Line::Frame { payload, .. }) => String::from_utf8(payload.to_vec()).unwrap(),
            Played::Line(_, Line::Bad { number, .. }) => format!("bad {number}"),
            Played::Broken(file, _) => format!("broken {file}"),
        };
        merge.map(text).collect()
    }

    fn merge(files: &[PathBuf]) -> Merge {
        let begins = |path: &PathBuf| inspect(path).map_or(0, |i| i.begins_ns);
        Merge::new(files.iter().enumerate().map(|(i, p)| (begins(p), i, p.clone())).collect())
    }

    #[test]
    fn overlapping_files_come_in_the_order_of_receipt() {
        let dir = tempfile::tempdir().unwrap();
        let files = [recording(dir.path(), "b", [2, 3, 7]), recording(dir.path(), "a", [1, 3, 5, 9])];
        assert_eq!(played(merge(&files)), ["a-1", "b-2", "b-3", "a-3", "a-5", "b-7", "a-9"]);
    }

    #[test]
    fn a_file_is_opened_only_when_its_time_comes() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> =
            (0..100).map(|i| recording(dir.path(), &format!("{i:03}"), [i * 10, i * 10 + 9])).collect();
        let mut merge = merge(&files);
        let mut most_open = 0;
        let mut count = 0;
        while merge.next().is_some() {
            most_open = most_open.max(merge.open.iter().flatten().count());
            count += 1;
        }
        assert_eq!((count, most_open), (200, 1));
    }

    #[test]
    fn more_overlapping_files_than_may_be_open_are_still_all_played() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..40).map(|i| recording(dir.path(), &format!("{i:02}"), [i, 100 + i])).collect();
        let mut merge = merge(&files);
        let mut count = 0;
        while merge.next().is_some() {
            assert!(merge.open.iter().flatten().count() <= OPEN_FILES);
            count += 1;
        }
        assert_eq!(count, 80);
    }

    #[test]
    fn a_file_that_is_not_there_is_reported_and_the_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let files = [recording(dir.path(), "a", [1, 2]), dir.path().join("nothing")];
        assert_eq!(played(merge(&files)), ["broken 1", "a-1", "a-2"]);
    }
}
