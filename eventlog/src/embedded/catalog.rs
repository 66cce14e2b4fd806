//! The topics of an open log and their partitions.

use super::partition::{Partition, Shelf};
use super::registry;
use crate::{LogError, Result, TopicInfo, TopicSpec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A topic with its partitions open.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Name.
    pub(crate) name: Arc<str>,
    /// By number.
    pub(crate) partitions: Vec<Arc<Partition>>,
    spec: RwLock<TopicSpec>,
}

impl Topic {
    /// The spec as it is now.
    pub(crate) fn spec(&self) -> TopicSpec {
        self.spec.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When appends return.
    pub(crate) fn durability(&self) -> crate::Durability {
        self.spec.read().unwrap_or_else(PoisonError::into_inner).durability
    }

    /// One partition.
    pub(crate) fn partition(&self, number: u32) -> Result<&Arc<Partition>> {
        let unknown = || LogError::UnknownPartition { topic: self.name.to_string(), partition: number };
        usize::try_from(number).ok().and_then(|n| self.partitions.get(n)).ok_or_else(unknown)
    }

    /// The state of the topic. Blocks for file reads if the directory is shared.
    pub(crate) fn info(&self) -> Result<TopicInfo> {
        let partitions = self.partitions.iter().map(|p| p.info()).collect::<Result<_>>()?;
        Ok(TopicInfo { spec: self.spec(), partitions })
    }
}

/// All topics.
#[derive(Debug)]
pub(crate) struct Catalog {
    root: PathBuf,
    shelf: Shelf,
    segment_bytes: u64,
    compacted_segment_bytes: u64,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Held while a topic is opened, so that none is opened twice.
    opening: Mutex<()>,
}

impl Catalog {
    /// Opens all topics of a directory.
    pub(crate) fn open(root: &Path, shelf: Shelf, segment_bytes: u64, compacted_segment_bytes: u64) -> Result<Self> {
        let topics = RwLock::default();
        let opening = Mutex::new(());
        let catalog = Self { root: root.to_owned(), shelf, segment_bytes, compacted_segment_bytes, topics, opening };
        catalog.open_new()?;
        Ok(catalog)
    }

    /// Opens topics that other processes created.
    fn open_new(&self) -> Result<()> {
        for name in registry::names(&self.root)? {
            self.find(&name)?;
        }
        Ok(())
    }

    /// Size at which segments of a topic are closed.
    pub(crate) fn segment_bytes(&self, spec: &TopicSpec) -> u64 {
        if spec.compacted { self.compacted_segment_bytes } else { self.segment_bytes }
    }

    /// A topic that is open.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All open topics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A topic, opened if it exists on disk. Blocks.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Topic>> {
        if let Some(topic) = self.get(name) {
            return Ok(topic);
        }
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = self.get(name) {
            return Ok(topic);
        }
        let unknown = || LogError::UnknownTopic { topic: name.to_owned() };
        let spec = registry::load(&self.root, name)?.ok_or_else(unknown)?;
        let topic_name: Arc<str> = name.into();
        let open = |number| {
            let dir = registry::partition_dir(&self.root, name, number);
            Partition::open(&topic_name, number, dir, self.segment_bytes(&spec), self.shelf.clone()).map(Arc::new)
        };
        let partitions = (0..spec.partitions).map(open).collect::<Result<_>>()?;
        let topic = Arc::new(Topic { name: topic_name, partitions, spec: RwLock::new(spec) });
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Creates a topic or adopts the new settings of one that exists. Blocks.
    pub(crate) fn create(&self, spec: &TopicSpec) -> Result<()> {
        registry::create(&self.root, spec)?;
        let topic = self.find(&spec.name)?;
        *topic.spec.write().unwrap_or_else(PoisonError::into_inner) = spec.clone();
        Ok(())
    }

    /// The state of all topics. Blocks.
    pub(crate) fn infos(&self) -> Result<Vec<TopicInfo>> {
        if self.shelf.shared {
            self.open_new()?;
        }
        self.all().iter().map(|topic| topic.info()).collect()
    }
}
