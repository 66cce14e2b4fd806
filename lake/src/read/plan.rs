//! Which data files may hold rows of a query: first by the day and bucket ranges of the manifests, then by partition
//! and column bounds of each file. What is known of manifests is cached; a manifest never changes.

use super::cache::Cache;
use crate::disk;
use crate::error::{LakeError, Result};
use crate::fanout;
use crate::schema::field;
use iceberg::spec::{
    DataFile, Datum, FieldSummary, FormatVersion, Literal, Manifest, ManifestContentType, ManifestEntry, ManifestFile,
    ManifestList, PrimitiveLiteral,
};
use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// What a query looks for in a table. Times in microseconds, `from` included, `to` not.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) venue: String,
    pub(crate) symbol: String,
    pub(crate) bucket: i32,
    pub(crate) interval: Option<i32>,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

impl Wanted {
    /// `None` if no row can match.
    pub(crate) fn new(
        venue: &proto::Venue,
        symbol: &proto::Symbol,
        interval: Option<proto::Interval>,
        from_ns: u64,
        to_ns: u64,
    ) -> Option<Self> {
        // A row's time is its microsecond, so a bound inside a microsecond starts at the next one.
        let up = |ns: u64| i64::try_from(ns.div_ceil(1000)).unwrap_or(i64::MAX);
        let (from_us, to_us) = (up(from_ns), up(to_ns));
        (from_us < to_us).then(|| Self {
            venue: venue.to_string(),
            symbol: symbol.to_string(),
            bucket: fanout::bucket(symbol.as_str()),
            interval: interval.map(|interval| interval.seconds().cast_signed()),
            from_us,
            to_us,
        })
    }

    /// The days that can hold rows.
    fn days(&self) -> RangeInclusive<i32> {
        fanout::day(self.from_us)..=fanout::day(self.to_us - 1)
    }
}

/// A manifest as its list describes it.
#[derive(Debug)]
pub(crate) struct ManifestRange {
    pub(crate) path: String,
    sequence: i64,
    days: RangeInclusive<i32>,
    buckets: RangeInclusive<i32>,
}

/// The manifests of one snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotFiles {
    pub(crate) manifests: Vec<ManifestRange>,
}

/// What is known of a data file.
#[derive(Debug, Clone)]
pub(crate) struct FileRange {
    pub(crate) path: Arc<str>,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    /// The order of commits: of equal revisions the later one counts.
    pub(crate) sequence: i64,
    pub(crate) day: i32,
    bucket: i32,
    venues: Option<(Arc<str>, Arc<str>)>,
    symbols: Option<(Arc<str>, Arc<str>)>,
    intervals: RangeInclusive<i32>,
    pub(crate) times: RangeInclusive<i64>,
}

/// Threads that read manifests for one query.
const READERS: usize = 4;
/// Manifests that are not worth a thread.
const LEAST_SHARE: usize = 16;

const EVERY_INT: RangeInclusive<i32> = i32::MIN..=i32::MAX;

fn holds(names: Option<&(Arc<str>, Arc<str>)>, wanted: &str) -> bool {
    names.is_none_or(|(least, greatest)| **least <= *wanted && *wanted <= **greatest)
}

impl FileRange {
    /// True if rows of the query may be in the file.
    pub(crate) fn may_hold(&self, wanted: &Wanted) -> bool {
        self.bucket == wanted.bucket
            && *self.times.start() < wanted.to_us
            && *self.times.end() >= wanted.from_us
            && wanted.interval.is_none_or(|interval| self.intervals.contains(&interval))
            && holds(self.venues.as_ref(), &wanted.venue)
            && holds(self.symbols.as_ref(), &wanted.symbol)
    }
}

impl ManifestRange {
    fn may_hold(&self, wanted: &Wanted, day: i32) -> bool {
        self.days.contains(&day) && self.buckets.contains(&wanted.bucket)
    }
}

impl SnapshotFiles {
    /// Reads a manifest list.
    pub(crate) fn read(location: &str, version: FormatVersion) -> Result<Self> {
        let path = disk::local_path(location);
        let range = |manifest: ManifestFile| {
            if manifest.content == ManifestContentType::Deletes {
                let detail = "another tool has deleted rows, which this reader does not support".to_owned();
                return Err(LakeError::Damaged { path: manifest.manifest_path, detail });
            }
            Ok(ManifestRange {
                days: days_of(&manifest),
                buckets: int_range(manifest.partitions.iter().flatten().nth(1)),
                sequence: manifest.sequence_number,
                path: manifest.manifest_path,
            })
        };
        let live = |manifest: &ManifestFile| manifest.has_added_files() || manifest.has_existing_files();
        let manifests = manifest_list(&path, version)?.into_iter().filter(live).map(range).collect::<Result<_>>()?;
        Ok(Self { manifests })
    }

    /// Bytes in the cache.
    pub(crate) fn weight(&self) -> u64 {
        self.manifests.iter().map(|manifest| manifest.path.len() + size_of::<ManifestRange>()).sum::<usize>() as u64
    }

    /// Days of the query that some manifest covers, newest first.
    pub(crate) fn days(&self, wanted: &Wanted) -> Vec<i32> {
        let asked = wanted.days();
        let mut days = BTreeSet::new();
        for manifest in self.manifests.iter().filter(|manifest| manifest.buckets.contains(&wanted.bucket)) {
            let from = *manifest.days.start().max(asked.start());
            let to = *manifest.days.end().min(asked.end());
            days.extend(from..=to);
        }
        days.into_iter().rev().collect()
    }
}

/// The days of the files in a manifest.
pub(crate) fn days_of(manifest: &ManifestFile) -> RangeInclusive<i32> {
    int_range(manifest.partitions.iter().flatten().next())
}

fn int_range(summary: Option<&FieldSummary>) -> RangeInclusive<i32> {
    let int = |bytes: &[u8]| bytes.try_into().ok().map(i32::from_le_bytes);
    let Some(summary) = summary.filter(|summary| !summary.contains_null) else { return EVERY_INT };
    let least = summary.lower_bound.as_ref().and_then(|bytes| int(bytes));
    let greatest = summary.upper_bound.as_ref().and_then(|bytes| int(bytes));
    least.unwrap_or(i32::MIN)..=greatest.unwrap_or(i32::MAX)
}

/// The entries of a manifest list.
pub(crate) fn manifest_list(path: &Path, version: FormatVersion) -> Result<Vec<ManifestFile>> {
    let bytes = fs::read(path).map_err(LakeError::io(path))?;
    let list = ManifestList::parse_with_version(&bytes, version).map_err(damaged(path))?;
    Ok(list.consume_entries().into_iter().collect())
}

fn damaged(path: &Path) -> impl Fn(iceberg::Error) -> LakeError + '_ {
    |error| LakeError::Damaged { path: path.display().to_string(), detail: error.to_string() }
}

/// The live files of a manifest, and what they weigh in the cache.
fn manifest(range: &ManifestRange) -> ManifestFiles {
    let path = disk::local_path(&range.path);
    let bytes = fs::read(&path).map_err(LakeError::io(&path))?;
    let manifest = Manifest::parse_avro(&bytes).map_err(damaged(&path))?;
    let mut names = Names::default();
    let alive = manifest.entries().iter().filter(|entry| entry.is_alive());
    let files: Vec<FileRange> = alive.map(|entry| file_range(entry, range.sequence, &mut names)).collect();
    let fixed = size_of::<FileRange>() + 2 * size_of::<usize>();
    let weight = files.iter().map(|file| fixed + file.path.len()).sum::<usize>() + range.path.len() + 256;
    Ok((files, weight as u64))
}

type ManifestFiles = Result<(Vec<FileRange>, u64)>;

/// Reads manifests, in the order given. Many are read by several threads: parsing takes most of the time.
fn manifests(ranges: &[&ManifestRange]) -> Vec<ManifestFiles> {
    let share = ranges.len().div_ceil(READERS).max(LEAST_SHARE);
    let read = |ranges: &[&ManifestRange]| ranges.iter().map(|range| manifest(range)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let mut shares = ranges.chunks(share);
        let first = shares.next().unwrap_or_default();
        let others: Vec<_> = shares.map(|share| (share, scope.spawn(move || read(share)))).collect();
        let mut files = read(first);
        for (share, other) in others {
            // The parser panicked; again here, the caller's way of dealing with it applies.
            files.extend(other.join().unwrap_or_else(|_| read(share)));
        }
        files
    })
}

/// Names that repeat in a manifest are held once.
#[derive(Default)]
struct Names(BTreeSet<Arc<str>>);

impl Names {
    fn hold(&mut self, name: &str) -> Arc<str> {
        if let Some(held) = self.0.get(name) {
            return held.clone();
        }
        let held: Arc<str> = Arc::from(name);
        self.0.insert(held.clone());
        held
    }
}

fn file_range(entry: &ManifestEntry, inherited: i64, names: &mut Names) -> FileRange {
    let file = entry.data_file();
    let partition = |index: usize| match file.partition().fields().get(index) {
        Some(Some(Literal::Primitive(PrimitiveLiteral::Int(value)))) => *value,
        _ => i32::MIN,
    };
    FileRange {
        path: Arc::from(file.file_path()),
        bytes: file.file_size_in_bytes(),
        rows: file.record_count(),
        sequence: entry.sequence_number().unwrap_or(inherited),
        day: partition(0),
        bucket: partition(1),
        venues: text_bounds(file, field::VENUE, names),
        symbols: text_bounds(file, field::SYMBOL, names),
        intervals: match (bound(file, field::INTERVAL, true), bound(file, field::INTERVAL, false)) {
            (Some(PrimitiveLiteral::Int(least)), Some(PrimitiveLiteral::Int(greatest))) => *least..=*greatest,
            _ => EVERY_INT,
        },
        times: match (bound(file, field::TIME, true), bound(file, field::TIME, false)) {
            (Some(PrimitiveLiteral::Long(least)), Some(PrimitiveLiteral::Long(greatest))) => *least..=*greatest,
            _ => i64::MIN..=i64::MAX,
        },
    }
}

fn bound(file: &DataFile, id: i32, lower: bool) -> Option<&PrimitiveLiteral> {
    let bounds = if lower { file.lower_bounds() } else { file.upper_bounds() };
    bounds.get(&id).map(Datum::literal)
}

fn text_bounds(file: &DataFile, id: i32, names: &mut Names) -> Option<(Arc<str>, Arc<str>)> {
    match (bound(file, id, true)?, bound(file, id, false)?) {
        (PrimitiveLiteral::String(least), PrimitiveLiteral::String(greatest)) => {
            Some((names.hold(least), names.hold(greatest)))
        }
        _ => None,
    }
}

/// The files of one day that may hold rows of the query, newest first.
///
/// # Errors
/// If a manifest cannot be read.
pub(crate) fn files_of_day(
    snapshot: &SnapshotFiles,
    wanted: &Wanted,
    day: i32,
    cache: &Cache<Vec<FileRange>>,
    mut on_read: impl FnMut(),
) -> Result<Vec<FileRange>> {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    let mut keep = |files: &[FileRange]| {
        found.extend(files.iter().filter(|file| file.day == day && file.may_hold(wanted)).cloned());
    };
    for range in snapshot.manifests.iter().filter(|manifest| manifest.may_hold(wanted, day)) {
        match cache.get(&range.path) {
            Some(files) => keep(&files),
            None => unknown.push(range),
        }
    }
    for (range, read) in unknown.iter().zip(manifests(&unknown)) {
        on_read();
        let (files, weight) = read?;
        keep(&files);
        cache.put(&range.path, Arc::new(files), weight);
    }
    found.sort_unstable_by_key(|file| std::cmp::Reverse(*file.times.end()));
    Ok(found)
}
