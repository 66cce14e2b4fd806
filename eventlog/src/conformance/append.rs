//! Checks of topics and of writing.

use super::{Check, Failure, Outcome, Subject, ensure, named, number, numbers, record};
use crate::{Durability, KEY_BYTES, LogError, Record, Retention, TopicSpec, VALUE_BYTES, partition_of};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) const CHECKS: &[Check] = named![
    creating_a_topic_again_keeps_its_records_and_adopts_the_settings,
    another_number_of_partitions_is_refused,
    a_name_that_is_not_one_is_refused,
    an_unknown_topic_or_partition_is_an_error,
    topics_are_listed_with_their_offsets,
    offsets_are_dense_and_in_the_order_of_the_call,
    a_key_always_goes_to_the_partition_that_its_hash_names,
    an_empty_append_does_nothing,
    contents_come_back_byte_for_byte,
    a_record_over_a_limit_refuses_the_whole_append,
    concurrent_appenders_lose_nothing_and_keep_their_order,
    sync_makes_everything_durable,
    an_append_with_fsync_is_durable_when_it_returns,
];

async fn creating_a_topic_again_keeps_its_records_and_adopts_the_settings(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    s.log.append(&topic, vec![record("k", 1)]).await?;
    let retention = Retention { age: Some(Duration::from_secs(86_400)), bytes: None };
    let changed = TopicSpec { retention, ..s.spec(1) };
    s.log.create_topic(changed.clone()).await?;
    s.log.create_topic(changed.clone()).await?;
    let got = numbers(&s.read_to(&topic, 0, 1).await?);
    ensure!(got == [1], "records are {got:?}");
    let infos = s.log.topics().await?;
    let spec = infos.into_iter().map(|info| info.spec).find(|spec| spec.name == topic);
    ensure!(spec == Some(changed), "spec is {spec:?}");
    Ok(())
}

async fn another_number_of_partitions_is_refused(s: Subject) -> Outcome {
    let topic = s.topic(2).await?;
    let outcome = s.log.create_topic(TopicSpec { partitions: 3, ..s.spec(2) }).await;
    let refused = matches!(outcome, Err(LogError::PartitionsDiffer { existing: 2, wanted: 3, .. }));
    ensure!(refused, "{outcome:?}");
    let places = s.log.append(&topic, vec![record("k", 1)]).await?;
    ensure!(places.len() == 1, "{places:?}");
    Ok(())
}

async fn a_name_that_is_not_one_is_refused(s: Subject) -> Outcome {
    for name in ["", "..", "a/b", "a b"] {
        let outcome = s.log.create_topic(TopicSpec { name: name.to_owned(), ..s.spec(1) }).await;
        ensure!(matches!(outcome, Err(LogError::InvalidName { .. })), "{name:?}: {outcome:?}");
    }
    for partitions in [0, 1025] {
        let outcome = s.log.create_topic(TopicSpec { partitions, ..s.spec(1) }).await;
        ensure!(matches!(outcome, Err(LogError::InvalidPartitions { .. })), "{partitions}: {outcome:?}");
    }
    Ok(())
}

async fn an_unknown_topic_or_partition_is_an_error(s: Subject) -> Outcome {
    let unknown = format!("{}.none", s.namespace);
    let append = s.log.append(&unknown, vec![record("k", 1)]).await;
    ensure!(matches!(append, Err(LogError::UnknownTopic { .. })), "append: {append:?}");
    let reader = s.log.reader(&unknown, 0, crate::Start::Earliest).await.map(drop);
    ensure!(matches!(reader, Err(LogError::UnknownTopic { .. })), "reader: {reader:?}");
    let member = s.log.subscribe(&s.group(), &[&unknown], "m").await.map(drop);
    ensure!(matches!(member, Err(LogError::UnknownTopic { .. })), "subscribe: {member:?}");
    let topic = s.topic(1).await?;
    let reader = s.log.reader(&topic, 1, crate::Start::Earliest).await.map(drop);
    ensure!(matches!(reader, Err(LogError::UnknownPartition { partition: 1, .. })), "partition: {reader:?}");
    let commit = s.log.commit(&s.group(), &topic, 1, 0).await;
    ensure!(matches!(commit, Err(LogError::UnknownPartition { .. })), "commit: {commit:?}");
    Ok(())
}

async fn topics_are_listed_with_their_offsets(s: Subject) -> Outcome {
    let topic = s.topic(2).await?;
    let places = s.log.append(&topic, (0..10).map(|n| record("same", n)).collect()).await?;
    let infos = s.log.topics().await?;
    let Some(info) = infos.iter().find(|info| info.spec.name == topic) else {
        return Err(Failure("not listed".to_owned()));
    };
    ensure!(info.spec == s.spec(2), "spec is {:?}", info.spec);
    let ends: Vec<_> = info.partitions.iter().map(|p| (p.low, p.high)).collect();
    let expected = if places[0].0 == 0 { [(0, 10), (0, 0)] } else { [(0, 0), (0, 10)] };
    ensure!(ends == expected, "offsets are {ends:?}");
    ensure!(info.partitions.iter().all(|p| p.durable <= p.high), "durable above the end");
    Ok(())
}

async fn offsets_are_dense_and_in_the_order_of_the_call(s: Subject) -> Outcome {
    let topic = s.topic(3).await?;
    let mut seen: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for call in 0..20 {
        let batch: Vec<Record> = (0..7).map(|i| record(&format!("key{}", i % 4), call * 7 + i)).collect();
        let places = s.log.append(&topic, batch).await?;
        ensure!(places.len() == 7, "{} places for 7 records", places.len());
        for (i, (partition, offset)) in (0..).zip(places) {
            seen.entry(partition).or_default().push((offset, call * 7 + i));
        }
    }
    for (partition, places) in seen {
        let offsets: Vec<u64> = places.iter().map(|(offset, _)| *offset).collect();
        ensure!(offsets == (0..places.len() as u64).collect::<Vec<_>>(), "offsets of {partition}: {offsets:?}");
        let stored = s.read_to(&topic, partition, places.len() as u64).await?;
        for (stored, (offset, expected)) in stored.iter().zip(places) {
            ensure!(stored.offset == offset && number(stored) == Some(expected), "{stored:?} is not {expected}");
            ensure!(*stored.topic == *topic && stored.partition == partition, "{stored:?} names another place");
        }
    }
    Ok(())
}

async fn a_key_always_goes_to_the_partition_that_its_hash_names(s: Subject) -> Outcome {
    let topic = s.topic(4).await?;
    let keys = ["BINANCE:BTC/USDT", "SIM:ETH/USDT", "", "k", "another key", "\u{1}\u{2}"];
    for _ in 0..3 {
        let places = s.log.append(&topic, keys.iter().map(|key| record(key, 1)).collect()).await?;
        for (key, (partition, _)) in keys.iter().zip(places) {
            let expected = partition_of(key.as_bytes(), 4);
            ensure!(partition == expected, "{key:?} went to {partition}, not {expected}");
        }
    }
    Ok(())
}

async fn an_empty_append_does_nothing(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    let places = s.log.append(&topic, Vec::new()).await?;
    ensure!(places.is_empty(), "{places:?}");
    let places = s.log.append(&topic, vec![record("k", 1)]).await?;
    ensure!(places == [(0, 0)], "{places:?}");
    Ok(())
}

async fn contents_come_back_byte_for_byte(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    let bytes = |len: usize| Bytes::from((0..len).map(|i| u8::try_from(i * 7 % 256).unwrap_or(0)).collect::<Vec<_>>());
    let shapes = [(0, 0), (1, 0), (0, 1), (KEY_BYTES, 10), (20, 1 << 20), (3, VALUE_BYTES - 1024), (5, 5)];
    let records: Vec<Record> = shapes
        .iter()
        .map(|(key, value)| Record { key: bytes(*key), value: bytes(*value), timestamp_ns: u64::MAX / 2 })
        .collect();
    for record in &records {
        s.log.append(&topic, vec![record.clone()]).await?;
    }
    let stored = s.read_to(&topic, 0, records.len() as u64).await?;
    ensure!(stored.len() == records.len(), "{} records", stored.len());
    for (stored, record) in stored.iter().zip(&records) {
        let same = stored.key == record.key && stored.value == record.value;
        ensure!(same, "{}+{} bytes came back changed", record.key.len(), record.value.len());
        ensure!(stored.timestamp_ns == record.timestamp_ns, "time stamp {}", stored.timestamp_ns);
    }
    Ok(())
}

async fn a_record_over_a_limit_refuses_the_whole_append(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    let long = |key, value| Record { key: vec![0; key].into(), value: vec![0; value].into(), timestamp_ns: 0 };
    for bad in [long(KEY_BYTES + 1, 0), long(0, VALUE_BYTES + 1)] {
        let outcome = s.log.append(&topic, vec![record("k", 1), bad]).await;
        ensure!(matches!(outcome, Err(LogError::TooLong { .. })), "{outcome:?}");
    }
    let places = s.log.append(&topic, vec![record("k", 2)]).await?;
    ensure!(places == [(0, 0)], "something was written: {places:?}");
    Ok(())
}

async fn concurrent_appenders_lose_nothing_and_keep_their_order(s: Subject) -> Outcome {
    let topic: Arc<str> = s.topic(1).await?.into();
    let mut tasks = Vec::new();
    for appender in 0..8_u64 {
        let (log, topic) = (Arc::clone(&s.log), Arc::clone(&topic));
        tasks.push(tokio::spawn(async move {
            for n in 0..50 {
                let batch = vec![record("k", appender * 1000 + n * 2), record("k", appender * 1000 + n * 2 + 1)];
                log.append(&topic, batch).await?;
            }
            Ok::<_, LogError>(())
        }));
    }
    for task in tasks {
        task.await.map_err(|e| Failure(e.to_string()))??;
    }
    let got = numbers(&s.read_to(&topic, 0, 800).await?);
    for appender in 0..8 {
        let own: Vec<u64> = got.iter().copied().filter(|n| n / 1000 == appender).collect();
        let expected: Vec<u64> = (0..100).map(|n| appender * 1000 + n).collect();
        ensure!(own == expected, "appender {appender}: {own:?}");
    }
    ensure!(got.len() == 800, "{} records", got.len());
    Ok(())
}

async fn sync_makes_everything_durable(s: Subject) -> Outcome {
    let topic = s.topic(2).await?;
    for n in 0..20 {
        s.log.append(&topic, vec![record(&n.to_string(), n)]).await?;
    }
    s.log.sync(&topic).await?;
    all_durable(&s, &topic).await
}

async fn an_append_with_fsync_is_durable_when_it_returns(s: Subject) -> Outcome {
    let spec = TopicSpec { durability: Durability::Fsync, ..s.spec(2) };
    s.log.create_topic(spec.clone()).await?;
    for n in 0..5 {
        s.log.append(&spec.name, vec![record(&n.to_string(), n)]).await?;
        all_durable(&s, &spec.name).await?;
    }
    Ok(())
}

async fn all_durable(s: &Subject, topic: &str) -> Outcome {
    let infos = s.log.topics().await?;
    let info = infos.iter().find(|info| info.spec.name == *topic);
    let durable = info.is_some_and(|info| info.partitions.iter().all(|p| p.durable == p.high));
    ensure!(durable, "{info:?}");
    Ok(())
}
