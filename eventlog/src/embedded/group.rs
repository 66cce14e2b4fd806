//! Groups of consumers inside this process: membership, and partitions that move only when their holder lets go.

use super::assignment::assign;
use super::catalog::Topic;
use super::offsets::Offsets;
use super::partition::Partition;
use crate::{LogError, Result, TopicPartition};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// All groups of a log.
#[derive(Debug)]
pub(crate) struct Groups {
    offsets: Arc<Offsets>,
    groups: Mutex<HashMap<String, Arc<Group>>>,
}

impl Groups {
    /// Groups whose offsets are stored there.
    pub(crate) fn new(offsets: Arc<Offsets>) -> Self {
        Self { offsets, groups: Mutex::default() }
    }

    /// The group of a name.
    pub(crate) fn get(&self, name: &str) -> Arc<Group> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let group = groups.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Group {
                name: name.to_owned(),
                offsets: Arc::clone(&self.offsets),
                state: Mutex::default(),
                changed: watch::Sender::new(Signal { generation: 0, closed: false }),
            })
        });
        Arc::clone(group)
    }

    /// Wakes all members: the log ends.
    pub(crate) fn close(&self) {
        for group in self.groups.lock().unwrap_or_else(PoisonError::into_inner).values() {
            group.changed.send_modify(|signal| signal.closed = true);
        }
    }
}

/// Tells members to look at the assignment again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signal {
    generation: u64,
    /// The log ends.
    pub(crate) closed: bool,
}

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: String,
    /// Where its offsets are.
    pub(crate) offsets: Arc<Offsets>,
    state: Mutex<State>,
    changed: watch::Sender<Signal>,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<String, BTreeSet<TopicPartition>>,
    partitions: BTreeMap<TopicPartition, Arc<Partition>>,
    /// Who shall read a partition.
    target: BTreeMap<TopicPartition, String>,
    /// Who reads it until it lets go.
    holder: BTreeMap<TopicPartition, String>,
}

impl Group {
    /// Adds a member.
    pub(crate) fn join(&self, member: &str, topics: &[Arc<Topic>]) -> Result<watch::Receiver<Signal>> {
        let mut state = self.state();
        if state.members.contains_key(member) {
            return Err(LogError::MemberExists { group: self.name.clone(), member: member.to_owned() });
        }
        let mut wanted = BTreeSet::new();
        for topic in topics {
            for partition in &topic.partitions {
                let id = TopicPartition { topic: Arc::clone(&topic.name), partition: partition.number };
                state.partitions.insert(id.clone(), Arc::clone(partition));
                wanted.insert(id);
            }
        }
        state.members.insert(member.to_owned(), wanted);
        let mut signal = self.changed.subscribe();
        signal.mark_changed();
        self.rebalance(&mut state);
        Ok(signal)
    }

    /// Removes a member; what it held is free.
    pub(crate) fn leave(&self, member: &str) {
        let mut state = self.state();
        state.members.remove(member);
        state.holder.retain(|_, holder| holder != member);
        self.rebalance(&mut state);
    }

    fn rebalance(&self, state: &mut State) {
        state.target = assign(&state.members, &state.target);
        let target = &state.target;
        state.partitions.retain(|id, _| target.contains_key(id));
        self.signal();
    }

    /// Makes the member let go of what it shall not have any more, and take what is free and shall be its own.
    /// `held` is what it has; the answer is what it must drop and what it got.
    pub(crate) fn settle(&self, member: &str, held: &[TopicPartition]) -> (Vec<TopicPartition>, Vec<Arc<Partition>>) {
        let mut state = self.state();
        let mine = |state: &State, id: &TopicPartition| state.target.get(id).is_some_and(|m| m == member);
        let lost: Vec<_> = held.iter().filter(|id| !mine(&state, id)).cloned().collect();
        for id in &lost {
            state.holder.remove(id);
        }
        let free = |id: &&TopicPartition| mine(&state, id) && !state.holder.contains_key(*id);
        let gained: Vec<_> = state.target.keys().filter(free).cloned().collect();
        let mut partitions = Vec::with_capacity(gained.len());
        for id in gained {
            partitions.extend(state.partitions.get(&id).cloned());
            state.holder.insert(id, member.to_owned());
        }
        if !lost.is_empty() {
            self.signal();
        }
        (lost, partitions)
    }

    /// Gives back a partition that could not be opened, so that the next call tries again.
    pub(crate) fn give_back(&self, id: &TopicPartition) {
        self.state().holder.remove(id);
        self.signal();
    }

    fn signal(&self) {
        self.changed.send_modify(|signal| signal.generation += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
