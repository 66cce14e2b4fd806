//! Own segments, fjall and redb as the engine of the event log: durable appends, bytes on disk, catch-up reads.
//!
//! Every engine gets the same group commit: appends that arrive while one is being made durable share the next one.

mod engines;
mod group_commit;

use anyhow::Result;
use engines::{Engine, Fjall, OwnSegments, Redb};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Each append measurement lasts about this long.
const SPAN: Duration = Duration::from_secs(3);
/// Records for the size on disk and the catch-up read.
const CATCH_UP_RECORDS: usize = 1_000_000;

/// Durable records per second of so many threads that append batches of this size.
fn append_rate(engine: &Arc<dyn Engine>, threads: usize, batch: usize) -> Result<f64> {
    let start = Instant::now();
    let running: Vec<_> = (0..threads)
        .map(|_| {
            let engine = Arc::clone(engine);
            std::thread::spawn(move || -> Result<usize> {
                let mut records = 0;
                while start.elapsed() < SPAN {
                    engine.append(batch)?;
                    records += batch;
                }
                Ok(records)
            })
        })
        .collect();
    let mut records = 0;
    for thread in running {
        records += thread.join().map_err(|_| anyhow::anyhow!("an appender panicked"))??;
    }
    Ok(records as f64 / start.elapsed().as_secs_f64())
}

/// Bytes allocated below a directory.
fn disk_bytes(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.path().is_dir() { disk_bytes(&entry.path())? } else { entry.metadata()?.blocks() * 512 };
    }
    Ok(bytes)
}

type Open = fn(&Path) -> Result<Arc<dyn Engine>>;

const ENGINES: [(&str, Open); 3] = [
    ("own segments", |dir| Ok(Arc::new(OwnSegments::open(dir)?))),
    ("fjall 3", |dir| Ok(Arc::new(Fjall::open(dir)?))),
    ("redb 4", |dir| Ok(Arc::new(Redb::open(dir)?))),
];

/// One row: the same measurement of all engines, one right after the other.
fn row(name: &str, mut measure: impl FnMut(usize) -> Result<f64>) -> Result<()> {
    print!("{name:<36}");
    for engine in 0..ENGINES.len() {
        print!("{:>14.0}", measure(engine)?);
        std::io::stdout().flush()?;
    }
    println!();
    Ok(())
}

fn open_all(root: &Path) -> Result<Vec<(PathBuf, Arc<dyn Engine>)>> {
    let mut engines = Vec::new();
    for (number, (_, open)) in ENGINES.iter().enumerate() {
        let dir = root.join(number.to_string());
        std::fs::create_dir_all(&dir)?;
        let engine = open(&dir)?;
        engines.push((dir, engine));
    }
    Ok(engines)
}

fn main() -> Result<()> {
    let root = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into()))?;
    print!("{:<36}", "");
    ENGINES.iter().for_each(|(name, _)| print!("{name:>14}"));
    println!();
    let engines = open_all(&root.path().join("append"))?;
    for threads in [1, 16] {
        for batch in [1, 64, 1024] {
            let name = format!("append/s, {threads} thread(s), batch {batch}");
            row(&name, |engine| append_rate(&engines[engine].1, threads, batch))?;
        }
    }
    drop(engines);
    let reading = root.path().join("read");
    for (_, engine) in open_all(&reading)? {
        for _ in 0..CATCH_UP_RECORDS / 1000 {
            engine.append(1000)?;
        }
    }
    row("bytes on disk per record", |engine| {
        Ok(disk_bytes(&reading.join(engine.to_string()))? as f64 / CATCH_UP_RECORDS as f64)
    })?;
    let engines = open_all(&reading)?;
    for run in ["first", "second"] {
        row(&format!("read/s, {run} time"), |engine| {
            let start = Instant::now();
            let read = engines[engine].1.read_all()?;
            anyhow::ensure!(read == CATCH_UP_RECORDS, "{read} records");
            Ok(read as f64 / start.elapsed().as_secs_f64())
        })?;
    }
    Ok(())
}
