//! The engines behind one interface. Records are 256 bytes that do not compress; the key of the key-value engines is the
//! offset.

use crate::group_commit::GroupCommit;
use anyhow::Result;
use bytes::Bytes;
use eventlog::{Durability, EmbeddedConfig, EmbeddedLog, EventLog, Record, Retention, Start, TopicSpec};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// An engine under test.
pub trait Engine: Send + Sync {
    /// Appends records and returns when they are durable.
    fn append(&self, records: usize) -> Result<()>;
    /// Reads all records in order and counts them.
    fn read_all(&self) -> Result<usize>;
}

/// Bytes without a pattern.
static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..1 << 20).map(|_| next()).collect()
});

fn noise(offset: u64, len: usize) -> Bytes {
    let start = (offset as usize).wrapping_mul(977) % ((1 << 20) - len);
    NOISE.slice(start..start + len)
}

pub struct OwnSegments {
    runtime: tokio::runtime::Runtime,
    log: Arc<EmbeddedLog>,
}

impl OwnSegments {
    pub fn open(dir: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let log = EmbeddedLog::open(EmbeddedConfig::new(dir))?;
        runtime.block_on(log.create_topic(TopicSpec {
            name: "topic".to_owned(),
            partitions: 1,
            retention: Retention::default(),
            compacted: false,
            durability: Durability::Fsync,
        }))?;
        Ok(Self { runtime, log })
    }
}

impl Engine for OwnSegments {
    fn append(&self, records: usize) -> Result<()> {
        let record = |n| Record { key: noise(n, 16), value: noise(n + 1, 240), timestamp_ns: n };
        self.runtime.block_on(self.log.append("topic", (0..records as u64).map(record).collect()))?;
        Ok(())
    }

    fn read_all(&self) -> Result<usize> {
        self.runtime.block_on(async {
            let mut reader = self.log.reader("topic", 0, Start::Earliest).await?;
            let mut count = 0;
            loop {
                let batch = reader.try_next(10_000, 1 << 20)?;
                if batch.is_empty() {
                    return Ok(count);
                }
                count += batch.len();
            }
        })
    }
}

pub struct Fjall {
    database: Database,
    records: Keyspace,
    commit: GroupCommit,
}

impl Fjall {
    pub fn open(dir: &Path) -> Result<Self> {
        let database = Database::builder(dir).open()?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
        Ok(Self { database, records, commit: GroupCommit::default() })
    }
}

impl Engine for Fjall {
    fn append(&self, records: usize) -> Result<()> {
        self.commit.append(records as u64, |from, to| {
            let mut batch = self.database.batch();
            for offset in from..to {
                batch.insert(&self.records, offset.to_be_bytes(), noise(offset, 256).as_ref());
            }
            batch.commit()?;
            Ok(self.database.persist(PersistMode::SyncData)?)
        })
    }

    fn read_all(&self) -> Result<usize> {
        let mut count = 0;
        for entry in self.records.iter() {
            let (_offset, value) = entry.into_inner()?;
            anyhow::ensure!(value.len() == 256);
            count += 1;
        }
        Ok(count)
    }
}

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("records");

pub struct Redb {
    database: redb::Database,
    commit: GroupCommit,
}

impl Redb {
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self { database: redb::Database::create(dir.join("records.redb"))?, commit: GroupCommit::default() })
    }
}

impl Engine for Redb {
    fn append(&self, records: usize) -> Result<()> {
        self.commit.append(records as u64, |from, to| {
            let transaction = self.database.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for offset in from..to {
                    table.insert(offset, noise(offset, 256).as_ref())?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    fn read_all(&self) -> Result<usize> {
        let mut count = 0;
        for entry in self.database.begin_read()?.open_table(TABLE)?.iter()? {
            let (_offset, value) = entry?;
            anyhow::ensure!(value.value().len() == 256);
            count += 1;
        }
        Ok(count)
    }
}
