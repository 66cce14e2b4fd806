//! Checks of reading without a group.

use super::{Check, Failure, Outcome, Subject, ensure, named, numbers, record, take_to};
use crate::{LogError, Record, Start};
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) const CHECKS: &[Check] = named![
    earliest_latest_and_offset_start_where_they_say,
    a_timestamp_starts_at_the_first_record_that_is_late_enough,
    an_offset_outside_is_a_typed_error,
    committed_needs_a_group,
    next_waits_for_a_record,
    a_cancelled_next_loses_nothing,
    try_next_is_empty_at_the_end,
    batches_keep_to_their_limits_but_hold_at_least_one_record,
    a_seek_replays_the_same_records,
    readers_do_not_disturb_each_other,
];

async fn hundred(s: &Subject) -> Result<String, Failure> {
    let topic = s.topic(1).await?;
    for tens in 0..10 {
        s.log.append(&topic, (0..10).map(|n| record("k", tens * 10 + n)).collect()).await?;
    }
    Ok(topic)
}

async fn earliest_latest_and_offset_start_where_they_say(s: Subject) -> Outcome {
    let topic = hundred(&s).await?;
    let mut latest = s.log.reader(&topic, 0, Start::Latest).await?;
    for (start, first) in
        [(Start::Earliest, 0), (Start::Offset(0), 0), (Start::Offset(37), 37), (Start::Offset(99), 99)]
    {
        let mut reader = s.log.reader(&topic, 0, start).await?;
        ensure!(reader.position() == first, "{start:?}: position {}", reader.position());
        let got = numbers(&take_to(reader.as_mut(), 100).await?);
        ensure!(got == (first..100).collect::<Vec<_>>(), "{start:?}: {got:?}");
    }
    s.log.append(&topic, vec![record("k", 100)]).await?;
    for start in [Start::Offset(100)] {
        let mut reader = s.log.reader(&topic, 0, start).await?;
        let got = numbers(&reader.next(10, 1000).await?);
        ensure!(got == [100], "{start:?}: {got:?}");
    }
    let got = numbers(&latest.next(10, 1000).await?);
    ensure!(got == [100], "latest: {got:?}");
    Ok(())
}

async fn a_timestamp_starts_at_the_first_record_that_is_late_enough(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    // Time stamps that are not in order: the first one that is late enough counts.
    let times = [100, 200, 150, 400, 300, 400, 500];
    let record = |timestamp_ns| Record { timestamp_ns, ..record("k", timestamp_ns) };
    s.log.append(&topic, times.map(record).to_vec()).await?;
    for (time, offset) in [(0, 0), (100, 0), (101, 1), (200, 1), (201, 3), (350, 3), (401, 6), (500, 6), (501, 7)] {
        let reader = s.log.reader(&topic, 0, Start::Timestamp(time)).await?;
        ensure!(reader.position() == offset, "time {time}: offset {}, not {offset}", reader.position());
    }
    Ok(())
}

async fn an_offset_outside_is_a_typed_error(s: Subject) -> Outcome {
    let topic = hundred(&s).await?;
    for offset in [101, u64::MAX] {
        let outcome = s.log.reader(&topic, 0, Start::Offset(offset)).await.map(drop);
        let typed =
            matches!(outcome, Err(LogError::OffsetOutOfRange { offset: o, low: 0, high: 100, .. }) if o == offset);
        ensure!(typed, "{outcome:?}");
    }
    let mut reader = s.log.reader(&topic, 0, Start::Offset(50)).await?;
    let outcome = reader.seek(Start::Offset(101)).await;
    ensure!(matches!(outcome, Err(LogError::OffsetOutOfRange { .. })), "{outcome:?}");
    ensure!(reader.position() == 50, "a refused seek moved the reader to {}", reader.position());
    Ok(())
}

async fn committed_needs_a_group(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    let outcome = s.log.reader(&topic, 0, Start::Committed).await.map(drop);
    ensure!(matches!(outcome, Err(LogError::NoGroup)), "{outcome:?}");
    Ok(())
}

async fn next_waits_for_a_record(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    let mut reader = s.log.reader(&topic, 0, Start::Earliest).await?;
    let (waiting, is_waiting) = oneshot::channel();
    let task = tokio::spawn(async move {
        // The first poll of `next` finds nothing; then the appender may start.
        let mut next = reader.next(10, 1000);
        let pending =
            std::future::poll_fn(|context| std::task::Poll::Ready(next.as_mut().poll(context).is_pending())).await;
        waiting.send(pending).map_err(|_| LogError::Closed)?;
        next.await
    });
    let pending = is_waiting.await.map_err(|e| Failure(e.to_string()))?;
    ensure!(pending, "next returned from an empty partition");
    s.log.append(&topic, vec![record("k", 5)]).await?;
    let got = numbers(&task.await.map_err(|e| Failure(e.to_string()))??);
    ensure!(got == [5], "{got:?}");
    Ok(())
}

async fn a_cancelled_next_loses_nothing(s: Subject) -> Outcome {
    let topic = s.topic(1).await?;
    let log = Arc::clone(&s.log);
    let (appended, mut reader) = (topic.clone(), s.log.reader(&topic, 0, Start::Earliest).await?);
    let appender = tokio::spawn(async move {
        for n in 0..500 {
            log.append(&appended, vec![record("k", n)]).await?;
            tokio::task::yield_now().await;
        }
        Ok::<_, LogError>(())
    });
    let mut got = Vec::new();
    let mut cancelled = 0;
    while got.len() < 500 {
        tokio::select! {
            biased;
            records = reader.next(3, 1000) => got.extend(numbers(&records?)),
            () = tokio::task::yield_now() => cancelled += 1,
        }
    }
    appender.await.map_err(|e| Failure(e.to_string()))??;
    ensure!(got == (0..500).collect::<Vec<_>>(), "after {cancelled} cancellations: {got:?}");
    Ok(())
}

async fn try_next_is_empty_at_the_end(s: Subject) -> Outcome {
    let topic = hundred(&s).await?;
    let mut reader = s.log.reader(&topic, 0, Start::Earliest).await?;
    take_to(reader.as_mut(), 100).await?;
    for _ in 0..3 {
        let got = reader.try_next(10, 1000)?;
        ensure!(got.is_empty(), "{got:?}");
    }
    ensure!(reader.position() == 100, "position {}", reader.position());
    Ok(())
}

async fn batches_keep_to_their_limits_but_hold_at_least_one_record(s: Subject) -> Outcome {
    let topic = hundred(&s).await?;
    for (records, bytes) in [(1, 1 << 20), (7, 1 << 20), (100, 10), (1000, 0), (0, 1000)] {
        let mut reader = s.log.reader(&topic, 0, Start::Earliest).await?;
        let mut got = Vec::new();
        while reader.position() < 100 {
            let batch = reader.next(records, bytes).await?;
            ensure!(!batch.is_empty() && batch.len() <= records.max(1), "{} of at most {records}", batch.len());
            let size: usize = batch.iter().map(|r| r.key.len() + r.value.len()).sum();
            ensure!(batch.len() == 1 || size <= bytes, "{size} bytes of at most {bytes}");
            got.extend(numbers(&batch));
        }
        ensure!(got == (0..100).collect::<Vec<_>>(), "limits {records}, {bytes}: {got:?}");
    }
    Ok(())
}

async fn a_seek_replays_the_same_records(s: Subject) -> Outcome {
    let topic = hundred(&s).await?;
    let mut reader = s.log.reader(&topic, 0, Start::Earliest).await?;
    let first = take_to(reader.as_mut(), 100).await?;
    for (start, from) in [(Start::Offset(40), 40), (Start::Earliest, 0), (Start::Timestamp(1060), 60)] {
        reader.seek(start).await?;
        let again = take_to(reader.as_mut(), 100).await?;
        ensure!(again == first[from..], "{start:?} gave other records");
    }
    reader.seek(Start::Latest).await?;
    ensure!(reader.try_next(10, 1000)?.is_empty(), "records behind the end");
    Ok(())
}

async fn readers_do_not_disturb_each_other(s: Subject) -> Outcome {
    let topic = hundred(&s).await?;
    let mut one = s.log.reader(&topic, 0, Start::Earliest).await?;
    let mut two = s.log.reader(&topic, 0, Start::Earliest).await?;
    while one.position() < 50 {
        one.next(7, 1000).await?;
    }
    let middle = one.position();
    let got = numbers(&take_to(two.as_mut(), 100).await?);
    ensure!(got.len() == 100, "{got:?}");
    let got = numbers(&take_to(one.as_mut(), 100).await?);
    ensure!(got == (middle..100).collect::<Vec<_>>(), "{got:?}");
    Ok(())
}
