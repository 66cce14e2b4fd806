//! What a replay did, file by file.

use proto::Venue;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSummary {
    /// The file.
    pub path: PathBuf,
    /// Whose frames it holds; `None` if no adapter reads them.
    pub venue: Option<Venue>,
    /// Frames played.
    pub frames: u64,
    /// Trades in them.
    pub ticks: u64,
    /// Quotes in them.
    pub quotes: u64,
    /// Known frames that carry nothing for us, by kind.
    pub ignored: BTreeMap<&'static str, u64>,
    /// What went to a dead letter, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Why it was not read to its end.
    pub error: Option<String>,
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplaySummary {
    /// In the order in which they were given.
    pub files: Vec<FileSummary>,
    /// Instruments with trades.
    pub instruments: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// False if it was stopped before its end.
    pub complete: bool,
}

impl ReplaySummary {
    /// Trades of all files.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.files.iter().map(|file| file.ticks).sum()
    }

    /// Frames of all files.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.files.iter().map(|file| file.frames).sum()
    }

    /// True if every file was read to its end and recognised.
    #[must_use]
    pub fn all_files_read(&self) -> bool {
        self.complete && self.files.iter().all(|file| file.error.is_none() && file.venue.is_some())
    }
}

fn counts(of: &BTreeMap<&'static str, u64>) -> String {
    let all: Vec<String> = of.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

impl fmt::Display for ReplaySummary {
    /// A table with a line per file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |file: &FileSummary| file.path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let width = self.files.iter().map(|file| name(file).chars().count()).max().unwrap_or(4).max(4);
        writeln!(
            f,
            "{:width$}  {:13} {:>9} {:>9} {:>9}  refused | ignored",
            "file", "venue", "frames", "ticks", "quotes"
        )?;
        for file in &self.files {
            let venue = file.venue.as_ref().map_or("unrecognised", Venue::as_str);
            write!(f, "{:width$}  {venue:13} {:>9} {:>9} {:>9}", name(file), file.frames, file.ticks, file.quotes)?;
            writeln!(f, "  {} | {}", counts(&file.refused), counts(&file.ignored))?;
            if let Some(error) = &file.error {
                writeln!(f, "{:width$}  {error}", "")?;
            }
        }
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = self.frames() as f64 / seconds;
        let end = if self.complete { "" } else { ", stopped before the end" };
        write!(
            f,
            "{} files, {} frames, {} ticks of {} instruments in {seconds:.1} s ({rate:.0} frames/s){end}",
            self.files.len(),
            self.frames(),
            self.ticks(),
            self.instruments,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_each_file_its_venue_and_what_was_refused() {
        let file = FileSummary {
            path: "dir/spot.jsonl.xz".into(),
            venue: Some("BINANCE".parse().unwrap()),
            frames: 12,
            ticks: 3,
            refused: BTreeMap::from([("malformed", 2)]),
            ..FileSummary::default()
        };
        let odd = FileSummary { path: "odd".into(), error: Some("no adapter".into()), ..FileSummary::default() };
        let summary = ReplaySummary { files: vec![file, odd], instruments: 1, complete: true, ..Default::default() };
        let text = summary.to_string();
        for part in
            ["spot.jsonl.xz", "BINANCE", "malformed 2", "unrecognised", "no adapter", "3 ticks of 1 instruments"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!summary.all_files_read());
    }
}
