//! The outbox on a real disk: durable before it answers, in order, bounded, and the same after a restart.

use super::*;
use crate::events::OutboxLimits;
use proto::EventKind;
use service::metrics::Metrics;
use std::path::Path;
use std::time::Duration;

const USER: UserId = UserId::from_bits(42);

fn alert(number: u64) -> NewEvent {
    NewEvent::new(EventKind::Alert, &serde_json::json!({ "number": number })).unwrap()
}

async fn open_with(dir: &Path, limits: OutboxLimits) -> Result<Arc<Outbox>, OutboxError> {
    let config = EventsConfig { limits, ..EventsConfig::new(dir.join("outbox"), "tcp://127.0.0.1:1") };
    Outbox::open(&config, USER, Clock::manual(1_000_000_000), EventMetrics::new(&Metrics::new())).await
}

async fn open(dir: &Path) -> Arc<Outbox> {
    open_with(dir, OutboxLimits::default()).await.unwrap()
}

/// The payloads from a sequence on, as the delivery would read them.
async fn payloads(outbox: &Outbox, from: u64) -> Vec<String> {
    let mut reader = outbox.reader(from).await.unwrap();
    let mut records = Vec::new();
    loop {
        let more = reader.try_next(10_000, 1 << 20).unwrap();
        if more.is_empty() {
            break;
        }
        records.extend(more);
    }
    let event = |record: &eventlog::Stored| {
        let frame = proto::Frame::decode(&record.value).unwrap();
        frame.message::<proto::wire::UserEvent>(proto::Kind::UserEvent).unwrap()
    };
    records.iter().map(|record| String::from_utf8(event(record).payload).unwrap()).collect()
}

#[tokio::test]
async fn sequences_begin_at_one_and_have_no_holes_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = 1;
    let mut id = None;
    for _ in 0..3 {
        let outbox = open(dir.path()).await;
        assert_eq!(*id.get_or_insert(outbox.outbox_id()), outbox.outbox_id());
        for _ in 0..5 {
            let published = outbox.publish(alert(expected)).await.unwrap();
            assert_eq!(published.position, Position { outbox_id: outbox.outbox_id(), sequence: expected });
            expected += 1;
        }
        assert_eq!(outbox.unacked(), expected - 1);
        outbox.close().await;
    }
    let outbox = open(dir.path()).await;
    let numbers: Vec<String> = (1..16).map(|n| format!(r#"{{"number":{n}}}"#)).collect();
    assert_eq!(payloads(&outbox, 1).await, numbers);
}

#[tokio::test]
async fn what_was_acked_stays_acked() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path()).await;
    for number in 1..=5 {
        outbox.publish(alert(number)).await.unwrap();
    }
    outbox.acked(4);
    assert_eq!(outbox.unacked(), 2);
    outbox.close().await;
    let outbox = open(dir.path()).await;
    assert_eq!((outbox.unacked(), outbox.acked_next()), (2, 4));
}

#[tokio::test]
async fn many_producers_share_writes_and_keep_their_own_order() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path()).await;
    let producers: Vec<_> = (0..64u64)
        .map(|producer| {
            let outbox = Arc::clone(&outbox);
            tokio::spawn(async move {
                let mut last = 0;
                for number in 0..20 {
                    let sequence = outbox.publish(alert(producer * 1000 + number)).await.unwrap().position.sequence;
                    assert!(sequence > last);
                    last = sequence;
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
    let metrics = &outbox.shared.metrics;
    assert_eq!(metrics.published.get(), 64 * 20);
    assert!(metrics.batches.get() < 64 * 20 / 4, "{} writes", metrics.batches.get());
    assert_eq!(payloads(&outbox, 1).await.len(), 64 * 20);
}

#[tokio::test]
async fn a_full_outbox_refuses_with_its_numbers_raises_the_alarm_and_takes_more_after_an_ack() {
    let dir = tempfile::tempdir().unwrap();
    let limits = OutboxLimits { events: 5, bytes: 1 << 20 };
    let outbox = open_with(dir.path(), limits).await.unwrap();
    let alarm = || outbox.shared.metrics.alarm.get();
    for number in 1..=5 {
        outbox.publish(alert(number)).await.unwrap();
        // The writer shows it after it has answered.
        let expected = i64::from(number >= 4);
        while alarm() != expected {
            tokio::task::yield_now().await;
        }
    }
    let error = outbox.publish(alert(6)).await.unwrap_err();
    assert!(matches!(error, OutboxError::Full { events: 5, events_max: 5, .. }), "{error}");
    assert!(error.is_retryable());
    assert_eq!(outbox.shared.metrics.full.get(), 1);
    outbox.acked(4);
    assert_eq!(alarm(), 0);
    assert_eq!(outbox.publish(alert(6)).await.unwrap().position.sequence, 6);
    outbox.close().await;
    // Also the events of the life before count.
    let outbox = open_with(dir.path(), limits).await.unwrap();
    outbox.publish(alert(7)).await.unwrap();
    outbox.publish(alert(8)).await.unwrap();
    assert!(matches!(outbox.publish(alert(9)).await, Err(OutboxError::Full { .. })));
}

#[tokio::test]
async fn acked_events_leave_the_disk_and_others_never_do() {
    let dir = tempfile::tempdir().unwrap();
    let limits = OutboxLimits { events: 100_000, bytes: 2 << 20 };
    let outbox = open_with(dir.path(), limits).await.unwrap();
    let long = NewEvent::new(EventKind::Message, &"x".repeat(60_000)).unwrap();
    for sequence in 1..=1200 {
        outbox.publish(long.clone()).await.unwrap();
        if sequence > 20 {
            outbox.acked(sequence - 20);
        }
    }
    outbox.shared.log.upkeep().await.unwrap();
    let bytes = outbox.shared.log.topics().await.unwrap()[0].partitions[0].bytes;
    assert!(bytes < 40 << 20, "{bytes} bytes of 72 MB are still there");
    assert_eq!(payloads(&outbox, outbox.acked_next()).await.len(), 21);
    outbox.close().await;
    let outbox = open_with(dir.path(), limits).await.unwrap();
    assert_eq!((outbox.unacked(), outbox.acked_next()), (21, 1180));
    assert_eq!(outbox.publish(alert(1)).await.unwrap().position.sequence, 1201);
}

#[tokio::test]
async fn a_closed_outbox_has_written_what_it_took_and_refuses_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path()).await;
    outbox.publish(alert(1)).await.unwrap();
    outbox.close().await;
    let error = outbox.publish(alert(2)).await.unwrap_err();
    assert!(matches!(error, OutboxError::Closed), "{error}");
    outbox.close().await;
}

#[tokio::test]
async fn an_outbox_belongs_to_one_process_and_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path()).await;
    outbox.publish(alert(1)).await.unwrap();
    let error = open_with(dir.path(), OutboxLimits::default()).await.unwrap_err();
    assert!(matches!(&error, OutboxError::Disk(e) if matches!(**e, LogError::InUse { .. })), "{error}");
    outbox.close().await;
    let config = EventsConfig::new(dir.path().join("outbox"), "tcp://127.0.0.1:1");
    let other = UserId::from_bits(43);
    let error = Outbox::open(&config, other, Clock::System, EventMetrics::new(&Metrics::new())).await.unwrap_err();
    assert!(matches!(error, OutboxError::OtherUser { found: USER, .. }), "{error}");
}

#[tokio::test]
async fn a_payload_over_the_limit_and_a_gap_fill_are_no_events() {
    use crate::events::NewEventError;
    let text = |len: usize| "x".repeat(len);
    let limit = proto::limits::EVENT_PAYLOAD_BYTES;
    assert!(NewEvent::new(EventKind::Message, &text(limit - 2)).is_ok());
    let error = NewEvent::new(EventKind::Message, &text(limit - 1)).unwrap_err();
    assert!(matches!(error, NewEventError::TooLong { have, .. } if have == limit + 1), "{error}");
    assert!(matches!(NewEvent::new(EventKind::GapFill, &1).unwrap_err(), NewEventError::Kind));
}

#[tokio::test]
async fn an_id_carries_its_time_and_an_expiry_is_counted_from_it() {
    let event = alert(1).expires_after(Duration::from_secs(3));
    let event = event.into_event(USER, proto::Severity::Informational, 5_000_000_000);
    assert_eq!(event.event_id.bits() >> 80, 5000);
    assert_eq!((event.created_at_ns, event.expires_at_ns), (5_000_000_000, 8_000_000_000));
}
