//! Who of a group reads which partition. Pure.

use crate::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};

/// Shares partitions among members: loads differ by at most one where subscriptions allow it, and as few partitions as
/// possible move away from whoever has them now.
pub(crate) fn assign(
    members: &BTreeMap<String, BTreeSet<TopicPartition>>,
    now: &BTreeMap<TopicPartition, String>,
) -> BTreeMap<TopicPartition, String> {
    let mut loads: BTreeMap<&str, usize> = members.keys().map(|m| (m.as_str(), 0)).collect();
    let mut target: BTreeMap<TopicPartition, String> = BTreeMap::new();
    let wanted: BTreeSet<&TopicPartition> = members.values().flatten().collect();
    let wants = |member: &str, partition: &TopicPartition| members.get(member).is_some_and(|w| w.contains(partition));
    for partition in &wanted {
        if let Some(holder) = now.get(*partition).filter(|holder| wants(holder, partition)) {
            *loads.entry(members.get_key_value(holder).map_or("", |(name, _)| name)).or_default() += 1;
            target.insert((*partition).clone(), holder.clone());
        }
    }
    for partition in &wanted {
        if !target.contains_key(*partition)
            && let Some(member) = least(&loads, |m| wants(m, partition))
        {
            target.insert((*partition).clone(), member.to_owned());
            *loads.entry(member).or_default() += 1;
        }
    }
    // Each move takes one from a member to one with at least two less, so this ends.
    while let Some((partition, to)) = one_move(&target, &loads, wants) {
        if let (Some(from), Some((to, _))) = (target.insert(partition, to.clone()), members.get_key_value(&to)) {
            if let Some(load) = loads.get_mut(from.as_str()) {
                *load -= 1;
            }
            *loads.entry(to).or_default() += 1;
        }
    }
    target
}

/// A partition whose move makes loads more even.
fn one_move(
    target: &BTreeMap<TopicPartition, String>,
    loads: &BTreeMap<&str, usize>,
    wants: impl Fn(&str, &TopicPartition) -> bool,
) -> Option<(TopicPartition, String)> {
    target.iter().rev().find_map(|(partition, holder)| {
        let to = least(loads, |m| wants(m, partition))?;
        let gain = loads.get(holder.as_str())?.checked_sub(*loads.get(to)?)?;
        (gain >= 2).then(|| (partition.clone(), to.to_owned()))
    })
}

/// The member with the smallest load among those that pass.
fn least<'a>(loads: &BTreeMap<&'a str, usize>, passes: impl Fn(&str) -> bool) -> Option<&'a str> {
    loads.iter().filter(|(member, _)| passes(member)).min_by_key(|(_, load)| **load).map(|(member, _)| *member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partition(topic: &str, partition: u32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    fn members(names: &[&str], partitions: u32) -> BTreeMap<String, BTreeSet<TopicPartition>> {
        let all: BTreeSet<_> = (0..partitions).map(|p| partition("t", p)).collect();
        names.iter().map(|n| ((*n).to_owned(), all.clone())).collect()
    }

    fn loads(target: &BTreeMap<TopicPartition, String>) -> BTreeMap<&str, usize> {
        let mut loads = BTreeMap::new();
        target.values().for_each(|m| *loads.entry(m.as_str()).or_default() += 1);
        loads
    }

    #[test]
    fn a_joining_member_gets_its_share_and_nobody_else_moves() {
        let before = assign(&members(&["a", "b", "c"], 6), &BTreeMap::new());
        let after = assign(&members(&["a", "b", "c", "d"], 6), &before);
        assert_eq!(loads(&after)["d"], 1);
        let moved = before.iter().filter(|(p, m)| after[*p] != **m).count();
        assert_eq!(moved, 1);
    }

    #[test]
    fn more_members_than_partitions_leaves_some_without() {
        let target = assign(&members(&["a", "b", "c"], 2), &BTreeMap::new());
        assert_eq!(target.len(), 2);
    }

    #[test]
    fn a_partition_goes_only_to_members_that_subscribed_its_topic() {
        let mut members = members(&["a"], 4);
        members.insert("b".into(), BTreeSet::from([partition("u", 0)]));
        let target = assign(&members, &BTreeMap::new());
        assert_eq!(target[&partition("u", 0)], "b");
        assert_eq!(loads(&target)["a"], 4);
    }

    proptest! {
        #[test]
        fn shares_are_even_and_all_partitions_have_a_member(
            sizes in proptest::collection::vec(1usize..6, 1..8), partitions in 1u32..20,
        ) {
            let names = ["a", "b", "c", "d", "e"];
            let mut now = BTreeMap::new();
            for size in sizes {
                let before = now;
                now = assign(&members(&names[..size.min(5)], partitions), &before);
                prop_assert_eq!(now.len(), partitions as usize);
                let loads = loads(&now);
                let most = loads.values().max().copied().unwrap_or(0);
                let least = if loads.len() < size.min(5) { 0 } else { loads.values().min().copied().unwrap_or(0) };
                prop_assert!(most - least <= 1, "{:?}", loads);
            }
        }
    }
}
