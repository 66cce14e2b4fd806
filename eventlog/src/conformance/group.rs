//! Checks of groups: committed offsets, shared partitions, members that come and go.

use super::{Check, Failure, Outcome, Subject, ensure, named, number, numbers, record};
use crate::{Consumer, LogError, Stored};
use std::collections::BTreeSet;

pub(super) const CHECKS: &[Check] = named![
    a_committed_offset_is_read_back_also_if_it_goes_back,
    a_single_member_gets_every_partition,
    a_group_goes_on_at_its_committed_offset,
    what_was_not_committed_is_read_again,
    groups_are_independent,
    two_members_share_the_partitions,
    a_leaving_member_hands_its_partitions_over,
    a_member_without_a_partition_may_not_commit_it,
    a_member_name_can_be_used_once,
    one_member_reads_several_topics,
];

/// Appends numbers with many keys, so that every partition gets some.
async fn fill(s: &Subject, topic: &str, numbers: std::ops::Range<u64>) -> Outcome {
    for n in numbers {
        s.log.append(topic, vec![record(&format!("key{n}"), n)]).await?;
    }
    Ok(())
}

/// Reads until so many records came.
async fn take(consumer: &mut dyn Consumer, count: usize) -> Result<Vec<Stored>, Failure> {
    let mut records = Vec::new();
    while records.len() < count {
        let batch = consumer.next(10, 1 << 20).await?;
        let one = batch.iter().all(|r| r.partition == batch[0].partition && r.topic == batch[0].topic);
        ensure!(one, "a batch of several partitions");
        records.extend(batch);
    }
    Ok(records)
}

/// Commits behind the last record of each partition.
async fn commit_all(consumer: &mut dyn Consumer, records: &[Stored]) -> Outcome {
    for held in consumer.assignment() {
        let of = |r: &&Stored| r.topic == held.topic && r.partition == held.partition;
        if let Some(last) = records.iter().rfind(of) {
            consumer.commit(&held.topic, held.partition, last.offset + 1).await?;
        }
    }
    Ok(())
}

fn sorted(records: &[Stored]) -> Vec<u64> {
    let mut numbers = numbers(records);
    numbers.sort_unstable();
    numbers
}

async fn a_committed_offset_is_read_back_also_if_it_goes_back(s: Subject) -> Outcome {
    let topic = s.topic(2).await?;
    let group = s.group();
    fill(&s, &topic, 0..20).await?;
    let none = s.log.committed(&group, &topic, 0).await?;
    ensure!(none.is_none(), "{none:?}");
    for offset in [1, 5, 5, 3] {
        s.log.commit(&group, &topic, 0, offset).await?;
        let got = s.log.committed(&group, &topic, 0).await?;
        ensure!(got == Some(offset), "{got:?}, not {offset}");
    }
    let other = s.log.committed(&group, &topic, 1).await?;
    ensure!(other.is_none(), "the other partition has {other:?}");
    Ok(())
}

async fn a_single_member_gets_every_partition(s: Subject) -> Outcome {
    let topic = s.topic(4).await?;
    fill(&s, &topic, 0..100).await?;
    let mut member = s.log.subscribe(&s.group(), &[&topic], "m").await?;
    let records = take(member.as_mut(), 100).await?;
    ensure!(sorted(&records) == (0..100).collect::<Vec<_>>(), "{:?}", sorted(&records));
    let partitions: Vec<u32> = member.assignment().iter().map(|p| p.partition).collect();
    ensure!(partitions == [0, 1, 2, 3], "{partitions:?}");
    for partition in 0..4 {
        let offsets: Vec<u64> = records.iter().filter(|r| r.partition == partition).map(|r| r.offset).collect();
        ensure!(offsets.is_sorted(), "order of {partition}: {offsets:?}");
    }
    Ok(())
}

async fn a_group_goes_on_at_its_committed_offset(s: Subject) -> Outcome {
    let topic = s.topic(4).await?;
    fill(&s, &topic, 0..50).await?;
    let mut member = s.log.subscribe(&s.group(), &[&topic], "m").await?;
    let records = take(member.as_mut(), 50).await?;
    commit_all(member.as_mut(), &records).await?;
    drop(member);
    fill(&s, &topic, 50..80).await?;
    let mut member = s.log.subscribe(&s.group(), &[&topic], "m").await?;
    let records = take(member.as_mut(), 30).await?;
    ensure!(sorted(&records) == (50..80).collect::<Vec<_>>(), "{:?}", sorted(&records));
    Ok(())
}

async fn what_was_not_committed_is_read_again(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    fill(&s, &topic, 0..20).await?;
    let mut member = s.log.subscribe(&s.group(), &[&topic], "m").await?;
    take(member.as_mut(), 20).await?;
    member.commit(&topic, 0, 12).await?;
    drop(member);
    let mut member = s.log.subscribe(&s.group(), &[&topic], "m").await?;
    let records = take(member.as_mut(), 8).await?;
    ensure!(numbers(&records) == (12..20).collect::<Vec<_>>(), "{:?}", numbers(&records));
    Ok(())
}

async fn groups_are_independent(s: Subject) -> Outcome {
    let topic = s.topic(2).await?;
    fill(&s, &topic, 0..20).await?;
    let mut one = s.log.subscribe(&s.group(), &[&topic], "m").await?;
    let records = take(one.as_mut(), 20).await?;
    commit_all(one.as_mut(), &records).await?;
    let other = format!("{}.other", s.namespace);
    let mut two = s.log.subscribe(&other, &[&topic], "m").await?;
    let records = take(two.as_mut(), 20).await?;
    ensure!(sorted(&records) == (0..20).collect::<Vec<_>>(), "{:?}", sorted(&records));
    Ok(())
}

/// Lets two members read until each number came at least once; committing what came.
async fn take_together(one: &mut dyn Consumer, two: &mut dyn Consumer, wanted: BTreeSet<u64>) -> Result<(), Failure> {
    let mut wanted = wanted;
    while !wanted.is_empty() {
        let records = tokio::select! {
            records = one.next(10, 1 << 20) => { let records = records?; commit_all(one, &records).await?; records }
            records = two.next(10, 1 << 20) => { let records = records?; commit_all(two, &records).await?; records }
        };
        for number in records.iter().filter_map(number) {
            wanted.remove(&number);
        }
    }
    Ok(())
}

async fn two_members_share_the_partitions(s: Subject) -> Outcome {
    let topic = s.topic(4).await?;
    fill(&s, &topic, 0..40).await?;
    let mut one = s.log.subscribe(&s.group(), &[&topic], "one").await?;
    let records = take(one.as_mut(), 40).await?;
    commit_all(one.as_mut(), &records).await?;
    let mut two = s.log.subscribe(&s.group(), &[&topic], "two").await?;
    let mut next = 40;
    // New records keep both members turning until the partitions have settled.
    while one.assignment().len() != 2 || two.assignment().len() != 2 {
        fill(&s, &topic, next..next + 20).await?;
        take_together(one.as_mut(), two.as_mut(), (next..next + 20).collect()).await?;
        next += 20;
    }
    let (a, b) = (one.assignment(), two.assignment());
    ensure!(a.iter().all(|p| !b.contains(p)), "both hold some of {a:?} and {b:?}");
    // From here on each record comes exactly once.
    fill(&s, &topic, next..next + 100).await?;
    let mut got = Vec::new();
    while got.len() < 100 {
        tokio::select! {
            records = one.next(10, 1 << 20) => got.extend(records?),
            records = two.next(10, 1 << 20) => got.extend(records?),
        }
    }
    ensure!(sorted(&got) == (next..next + 100).collect::<Vec<_>>(), "{:?}", sorted(&got));
    Ok(())
}

async fn a_leaving_member_hands_its_partitions_over(s: Subject) -> Outcome {
    let topic = s.topic(4).await?;
    let mut one = s.log.subscribe(&s.group(), &[&topic], "one").await?;
    let mut two = s.log.subscribe(&s.group(), &[&topic], "two").await?;
    fill(&s, &topic, 0..40).await?;
    take_together(one.as_mut(), two.as_mut(), (0..40).collect()).await?;
    drop(one);
    fill(&s, &topic, 40..80).await?;
    let mut wanted: BTreeSet<u64> = (40..80).collect();
    while !wanted.is_empty() {
        for number in two.next(10, 1 << 20).await?.iter().filter_map(number) {
            wanted.remove(&number);
        }
    }
    ensure!(two.assignment().len() == 4, "{:?}", two.assignment());
    Ok(())
}

async fn a_member_without_a_partition_may_not_commit_it(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    fill(&s, &topic, 0..5).await?;
    let mut one = s.log.subscribe(&s.group(), &[&topic], "one").await?;
    take(one.as_mut(), 5).await?;
    let mut two = s.log.subscribe(&s.group(), &[&topic], "two").await?;
    let outcome = two.commit(&topic, 0, 3).await;
    ensure!(matches!(outcome, Err(LogError::NotAssigned { .. })), "{outcome:?}");
    one.commit(&topic, 0, 4).await?;
    let got = s.log.committed(&s.group(), &topic, 0).await?;
    ensure!(got == Some(4), "{got:?}");
    Ok(())
}

async fn a_member_name_can_be_used_once(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    let one = s.log.subscribe(&s.group(), &[&topic], "m").await?;
    let outcome = s.log.subscribe(&s.group(), &[&topic], "m").await.map(drop);
    ensure!(matches!(outcome, Err(LogError::MemberExists { .. })), "{outcome:?}");
    drop(one);
    s.log.subscribe(&s.group(), &[&topic], "m").await?;
    Ok(())
}

async fn one_member_reads_several_topics(s: Subject) -> Outcome {
    let (one, two) = (s.topic(1).await?, s.topic(2).await?);
    fill(&s, &one, 0..10).await?;
    fill(&s, &two, 10..30).await?;
    let mut member = s.log.subscribe(&s.group(), &[&one, &two], "m").await?;
    let records = take(member.as_mut(), 30).await?;
    ensure!(sorted(&records) == (0..30).collect::<Vec<_>>(), "{:?}", sorted(&records));
    let right = records.iter().all(|r| number(r).is_some_and(|n| (n < 10) == (*r.topic == *one)));
    ensure!(right, "a record names another topic");
    Ok(())
}
