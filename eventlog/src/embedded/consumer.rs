//! A member of a group: reads the partitions it holds in turn.

use super::chunk::Fill;
use super::cursor::{Budget, Step};
use super::group::{Group, Signal};
use super::partition::Partition;
use super::reader::Reader;
use crate::{Consumer, LogError, PartitionReader, Result, Stored, TopicPartition};
use async_trait::async_trait;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::watch;

/// A member of a group.
#[derive(Debug)]
pub(crate) struct GroupConsumer {
    group: Arc<Group>,
    member: String,
    signal: watch::Receiver<Signal>,
    readers: Vec<Reader>,
    /// Whose turn it is, so that a busy partition does not starve the others.
    turn: usize,
}

impl GroupConsumer {
    /// A member that has just joined.
    pub(crate) fn new(group: Arc<Group>, member: &str, signal: watch::Receiver<Signal>) -> Self {
        Self { group, member: member.to_owned(), signal, readers: Vec::new(), turn: 0 }
    }

    /// Lets go of and takes partitions as the group wants it. Opening one reads a small file.
    fn settle(&mut self) -> Result<()> {
        while self.signal.has_changed().unwrap_or(false) {
            if self.signal.borrow_and_update().closed {
                return Err(LogError::Closed);
            }
            let held = self.assignment();
            let (lost, gained) = self.group.settle(&self.member, &held);
            self.readers.retain(|reader| !lost.contains(&id_of(reader.partition())));
            for partition in gained {
                match self.open(&partition) {
                    Ok(reader) => self.readers.push(reader),
                    Err(error) => {
                        self.group.give_back(&id_of(&partition));
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// A reader at the group's offset.
    fn open(&self, partition: &Arc<Partition>) -> Result<Reader> {
        partition.refresh()?;
        if partition.shelf.shared {
            partition.relist()?;
        }
        let (low, high) = (partition.low(), partition.tail().offset);
        let committed = self.group.offsets.read(&self.group.name, &partition.topic, partition.number)?;
        let start = committed.unwrap_or(low);
        if start > high {
            // The log lost records that this group has seen: nobody may guess what that means.
            return Err(partition.out_of_range(start));
        }
        Ok(Reader::at(Arc::clone(partition), self.skip_to(partition, start, low)))
    }

    /// Where to go on if retention deleted what the group had not read.
    fn skip_to(&self, partition: &Partition, position: u64, low: u64) -> u64 {
        if position < low {
            let (topic, number, skipped) = (&partition.topic, partition.number, low - position);
            tracing::warn!(group = %self.group.name, %topic, partition = number, skipped, "retention overtook a group");
            partition.shelf.metrics.group_offsets_skipped.add(skipped);
        }
        position.max(low)
    }

    /// The partition whose turn it is; false if none is held.
    fn next_turn(&mut self) -> usize {
        self.turn = (self.turn + 1) % self.readers.len().max(1);
        self.turn
    }

    /// Goes on behind what retention deleted, or passes the error on.
    fn recover(&mut self, at: usize, error: LogError) -> Result<()> {
        let LogError::OffsetOutOfRange { offset, low, .. } = error else { return Err(error) };
        if offset >= low {
            return Err(error);
        }
        let partition = Arc::clone(self.readers[at].partition());
        self.readers[at] = Reader::at(Arc::clone(&partition), self.skip_to(&partition, offset, low));
        Ok(())
    }

    /// What one partition has now; empty at its end.
    async fn take(&mut self, at: usize, budget: Budget) -> Result<Vec<Stored>> {
        loop {
            let step = match self.readers[at].read(budget, Fill::Cached) {
                Ok(Step::NotLoaded) => self.readers[at].read_off_worker(budget).await,
                step => step,
            };
            match step {
                Ok(Step::Records(records)) => return Ok(records),
                Ok(Step::Next(_) | Step::NotLoaded) => {}
                Ok(Step::End) => return Ok(Vec::new()),
                Err(error) => self.recover(at, error)?,
            }
        }
    }

    /// Waits until a partition grew or the group changed.
    async fn anything(&mut self) -> Result<()> {
        let signal = &mut self.signal;
        let group = async move { signal.changed().await.map_err(|_| LogError::Closed) };
        let mut waits: Vec<Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>> = vec![Box::pin(async move {
            group.await?;
            Ok(())
        })];
        for reader in &mut self.readers {
            waits.push(Box::pin(reader.grown()));
        }
        poll_fn(|context| {
            let ready = waits.iter_mut().find_map(|wait| match wait.as_mut().poll(context) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[async_trait]
impl Consumer for GroupConsumer {
    async fn next(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Stored>> {
        let budget = Budget { records: max_records, bytes: max_bytes };
        loop {
            self.settle()?;
            for _ in 0..self.readers.len() {
                let at = self.next_turn();
                let records = self.take(at, budget).await?;
                if !records.is_empty() {
                    return Ok(records);
                }
            }
            if self.readers.iter().any(Reader::closed) {
                return Err(LogError::Closed);
            }
            for reader in &self.readers {
                reader.partition().refresh()?;
            }
            self.anything().await?;
            // `changed` marks the signal as seen, but settling is still to be done.
            self.signal.mark_changed();
        }
    }

    fn try_next(&mut self, max_records: usize, max_bytes: usize) -> Result<Vec<Stored>> {
        self.settle()?;
        for _ in 0..self.readers.len() {
            let at = self.next_turn();
            match self.readers[at].try_next(max_records, max_bytes) {
                Ok(records) if records.is_empty() => {}
                Ok(records) => return Ok(records),
                Err(error) => self.recover(at, error)?,
            }
        }
        Ok(Vec::new())
    }

    fn assignment(&self) -> Vec<TopicPartition> {
        let mut held: Vec<_> = self.readers.iter().map(|r| id_of(r.partition())).collect();
        held.sort_unstable();
        held
    }

    async fn commit(&mut self, topic: &str, partition: u32, next_offset: u64) -> Result<()> {
        let held = self.readers.iter().map(Reader::partition).any(|p| *p.topic == *topic && p.number == partition);
        if !held {
            let (group, member) = (self.group.name.clone(), self.member.clone());
            return Err(LogError::NotAssigned { group, member, topic: topic.to_owned(), partition });
        }
        let (group, topic) = (Arc::clone(&self.group), topic.to_owned());
        let store = move || group.offsets.write(&group.name, &topic, partition, next_offset);
        tokio::task::spawn_blocking(store).await.map_err(|_| LogError::Closed)?
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        self.group.leave(&self.member);
    }
}

fn id_of(partition: &Partition) -> TopicPartition {
    TopicPartition { topic: Arc::clone(&partition.topic), partition: partition.number }
}
