//! Data files: columns of a partition to a Parquet file on the disk.

use crate::columns;
use crate::disk;
use crate::encode::{Encoder, Values};
use crate::error::{LakeError, Result};
use crate::fanout::{Partition, Series};
use crate::schema::{Table, field};
use futures_util::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, Struct};
use parquet::schema::types::TypePtr;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::spawn_blocking;

/// Files that are encoded and synced at one time: syncs overlap, and two cores are used.
const FILES_AT_ONCE: usize = 4;
/// zstd level of appends; recorded trades gain 2 % from level 3, and lose a third of the speed.
const LEVEL: i32 = 1;

/// A partition ready to be encoded.
pub(crate) struct FileJob {
    day: i32,
    bucket: i32,
    rows: usize,
    columns: Vec<Values>,
    /// Least and greatest.
    venues: (String, String),
    symbols: (String, String),
}

impl FileJob {
    pub(crate) fn new(partition: Partition) -> Self {
        let extremes = |of: fn(&Series) -> &str| {
            let names = || partition.series.iter().map(|(series, _)| of(series));
            (names().min().unwrap_or_default().to_owned(), names().max().unwrap_or_default().to_owned())
        };
        Self {
            day: partition.day,
            bucket: partition.bucket,
            rows: partition.series.iter().map(|(_, rows)| rows).sum(),
            venues: extremes(|series| series.venue.as_str()),
            symbols: extremes(|series| series.symbol.as_str()),
            columns: columns::columns(partition),
        }
    }

    /// Least and greatest value of the columns that readers prune files by, by field id.
    fn bounds(&self, table: Table) -> [HashMap<i32, Datum>; 2] {
        let mut bounds = [HashMap::new(), HashMap::new()];
        let mut set = |id: i32, least: Datum, greatest: Datum| {
            bounds[0].insert(id, least);
            bounds[1].insert(id, greatest);
        };
        set(field::VENUE, Datum::string(&self.venues.0), Datum::string(&self.venues.1));
        set(field::SYMBOL, Datum::string(&self.symbols.0), Datum::string(&self.symbols.1));
        for (id, values) in (1..).zip(&self.columns) {
            match values {
                Values::Int(ints) if table == Table::Candles && id == field::INTERVAL => {
                    if let (Some(least), Some(greatest)) = (ints.iter().min(), ints.iter().max()) {
                        set(id, Datum::int(*least), Datum::int(*greatest));
                    }
                }
                Values::Long(times) if id == field::TIME => {
                    if let (Some(least), Some(greatest)) = (times.iter().min(), times.iter().max()) {
                        set(id, Datum::timestamptz_micros(*least), Datum::timestamptz_micros(*greatest));
                    }
                }
                _ => {}
            }
        }
        bounds
    }
}

/// Writes data files of one table.
#[derive(Debug)]
pub(crate) struct FileWriter {
    table: Table,
    location: String,
    schema: TypePtr,
    fsync: bool,
    idle: Mutex<Vec<IdleEncoder>>,
}

struct IdleEncoder(Encoder);

impl std::fmt::Debug for IdleEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl FileWriter {
    /// For a table at `location`.
    pub(crate) fn new(table: Table, location: &str, fsync: bool) -> Result<Self> {
        let schema = table.parquet_schema()?;
        Ok(Self { table, location: location.to_owned(), schema, fsync, idle: Mutex::default() })
    }

    /// Writes all files; on return their bytes and names are on the disk.
    pub(crate) async fn write(self: &Arc<Self>, name: &str, jobs: Vec<FileJob>) -> Result<Vec<DataFile>> {
        let dirs: BTreeSet<String> = jobs.iter().map(|job| self.dir(job.day)).collect();
        let fsync = self.fsync;
        let paths: Vec<PathBuf> = dirs.iter().map(|dir| disk::local_path(dir)).collect();
        let made = paths.clone();
        run(move || made.iter().try_for_each(|dir| disk::create_dirs(dir, fsync).map_err(LakeError::io(dir)))).await?;
        let written = stream::iter(jobs.into_iter().map(|job| {
            let (writer, name) = (self.clone(), name.to_owned());
            run(move || writer.write_one(&name, &job))
        }))
        .buffered(FILES_AT_ONCE)
        .try_collect()
        .await?;
        if fsync {
            run(move || paths.iter().try_for_each(|dir| disk::sync_dir(dir).map_err(LakeError::io(dir)))).await?;
        }
        Ok(written)
    }

    fn dir(&self, day: i32) -> String {
        format!("{}/data/{}_day={}", self.location, self.table.time_column(), date(day))
    }

    fn write_one(&self, name: &str, job: &FileJob) -> Result<DataFile> {
        let location = format!("{}/{name}-b{:02}.parquet", self.dir(job.day), job.bucket);
        let held = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut encoder = match held {
            Some(IdleEncoder(encoder)) => encoder,
            None => Encoder::new(LEVEL).map_err(LakeError::parquet(&location))?,
        };
        let bytes =
            encoder.file(&self.schema, &job.columns, self.table.sorted_by()).map_err(LakeError::parquet(&location))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < FILES_AT_ONCE {
            idle.push(IdleEncoder(encoder));
        }
        drop(idle);
        let path = disk::local_path(&location);
        disk::write_file(&path, &bytes, self.fsync).map_err(LakeError::io(&path))?;
        let [lower, upper] = job.bounds(self.table);
        DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(location)
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([Some(Literal::date(job.day)), Some(Literal::int(job.bucket))]))
            .record_count(job.rows as u64)
            .file_size_in_bytes(bytes.len() as u64)
            .lower_bounds(lower)
            .upper_bounds(upper)
            .sort_order_id(1)
            .build()
            .map_err(|error| LakeError::Damaged { path: path.display().to_string(), detail: error.to_string() })
    }
}

/// Runs work off the async workers.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(|_| LakeError::Interrupted("file work"))?
}

/// `2024-08-08` of a day since the epoch (Howard Hinnant's civil_from_days).
pub(crate) fn date(day: i32) -> String {
    let shifted = i64::from(day) + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}
