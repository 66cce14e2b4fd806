//! Sends the outbox to the gateway and hears its acks: the shell around [`super::courier`].

use super::channel::Channel;
use super::courier::{Courier, Heard};
use super::new_event::marked_as_repetition;
use super::{EventMetrics, Outbox, OutboxError};
use bytes::Bytes;
use eventlog::{PartitionReader, Start, Stored};
use proto::{
    EventAck, EventKind, EventMessage, EventOutcome, Frame, FrameHeader, GapFill, Kind, Position, Severity, UserEvent,
    wire,
};
use service::clock::Clock;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use user_events::{MacKey, Sealed, open_ack, seal_event};

/// Bytes read from the outbox at once.
const READ_BYTES: usize = 1 << 20;
/// What was acked is stored at least this often: a receiver compares what comes again with the newest 2 048.
const STORE_EVENTS: u64 = 512;
/// And after this time.
const STORE_AFTER: Duration = Duration::from_millis(200);
/// When the disk refuses to be read: wait before the next try.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// The task between outbox and gateway.
pub(crate) struct Delivery<C> {
    outbox: Arc<Outbox>,
    channel: C,
    key: MacKey,
    clock: Clock,
    metrics: EventMetrics,
    courier: Courier,
    started: Instant,
    /// Stands where the courier's cursor stood last.
    reader: Option<Box<dyn PartitionReader>>,
    stored_next: u64,
    store_at: Option<Instant>,
}

/// Messages of one read: sealed, each with the sequence behind it.
type Outgoing = Vec<(u64, Sealed)>;

impl<C: Channel> Delivery<C> {
    pub(crate) fn new(outbox: &Arc<Outbox>, channel: C, key: MacKey, clock: Clock, metrics: EventMetrics) -> Self {
        let acked_next = outbox.acked_next();
        let courier = Courier::new(acked_next, *outbox.watch_end().borrow());
        Self {
            outbox: Arc::clone(outbox),
            channel,
            key,
            clock,
            metrics,
            courier,
            started: Instant::now(),
            reader: None,
            stored_next: acked_next,
            store_at: None,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs until it is stopped. Ends at no error: it counts, waits and tries again.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut connected = self.channel.connected();
        let mut end = self.outbox.watch_end();
        connected.mark_changed();
        loop {
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = connected.changed() => self.reconnected(*connected.borrow_and_update()),
                Ok(()) = end.changed() => self.courier.appended(*end.borrow_and_update()),
                frames = self.channel.receive() => self.heard(&frames),
                () = sleep_until(wake.unwrap_or(self.started)), if wake.is_some() => {}
            }
            if self.courier.overdue(self.now()) {
                self.metrics.timeouts.inc();
            }
            self.store().await;
            let sent = tokio::select! {
                () = stop.cancelled() => break,
                sent = self.send_next() => sent,
            };
            if let Err(error) = sent {
                tracing::error!(%error, "the outbox cannot be read");
                self.reader = None;
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(READ_AGAIN) => {}
                }
            }
        }
    }

    /// The next moment at which there is something to do by itself.
    fn wake(&self) -> Option<Instant> {
        if self.courier.sendable().is_some() {
            return Some(self.started);
        }
        let deadline = self.courier.deadline().map(|deadline| self.started + deadline);
        [deadline, self.store_at].into_iter().flatten().min()
    }

    fn reconnected(&mut self, connected: bool) {
        self.metrics.connected.set(i64::from(connected));
        if connected { self.courier.connected() } else { self.courier.disconnected() }
    }

    fn heard(&mut self, frames: &[Bytes]) {
        let ack = match open_ack(frames, self.outbox.user_id(), &self.key) {
            Ok(opened) if opened.ack.position.outbox_id == self.outbox.outbox_id() => opened.ack,
            Ok(_) => {
                // An answer to the outbox before this one, from a connection that outlived it.
                self.metrics.rejected.inc();
                return;
            }
            Err(error) => {
                self.metrics.rejected.inc();
                tracing::warn!(%error, "not an ack of the gateway");
                return;
            }
        };
        match self.courier.heard(&ack, self.now()) {
            Heard::Nothing => {}
            Heard::Progress { next, refused } => {
                if let Some(sequence) = refused {
                    self.metrics.refused.inc();
                    tracing::error!(sequence, why = reason(&ack), "the gateway recorded an event as refused");
                }
                self.outbox.acked(next);
                self.store_at.get_or_insert(Instant::now() + STORE_AFTER);
            }
            Heard::Refused => {
                self.metrics.conflicts.inc();
                tracing::error!(sequence = ack.position.sequence, why = reason(&ack), "the gateway refuses an event");
            }
            Heard::Conflict => {
                self.metrics.conflicts.inc();
                tracing::error!(next = ack.next_sequence, "the gateway's count of events is not ours");
            }
        }
    }

    /// Stores what was acked, if it is time.
    async fn store(&mut self) {
        let next = self.outbox.acked_next();
        let due = self.store_at.is_some_and(|at| Instant::now() >= at) || next - self.stored_next >= STORE_EVENTS;
        if !due {
            return;
        }
        self.store_at = None;
        if let Err(error) = self.outbox.store_acked().await {
            tracing::warn!(%error, "what was acked could not be stored");
            return;
        }
        self.stored_next = next;
    }

    /// Sends a part of what the courier wants sent, if anything.
    ///
    /// # Cancel safety
    /// A cancelled call has sent some messages that are taken for not sent; they will be repeated.
    async fn send_next(&mut self) -> Result<(), OutboxError> {
        let Some(range) = self.courier.sendable() else { return Ok(()) };
        let records = self.read(&range).await?;
        let mut connected = self.channel.connected();
        for (behind, message) in self.prepare(&records)? {
            let first = self.courier.sendable().map_or(behind, |range| range.start);
            tokio::select! {
                biased;
                sent = self.channel.send(message.into()) => if !sent {
                    return Err(OutboxError::Foreign { offset: first - 1 });
                },
                // The loop hears of it next.
                _ = connected.wait_for(|connected| !connected) => return Ok(()),
            }
            self.count(first, behind);
            self.courier.sent(behind, self.now());
        }
        Ok(())
    }

    fn count(&self, first: u64, behind: u64) {
        for sequence in first..behind {
            let counter = if self.courier.is_repetition(sequence) { &self.metrics.resent } else { &self.metrics.sent };
            counter.inc();
        }
    }

    async fn read(&mut self, range: &Range<u64>) -> Result<Vec<Stored>, OutboxError> {
        let offset = range.start - 1;
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.outbox.reader(range.start).await?,
        };
        if reader.position() != offset {
            reader.seek(Start::Offset(offset)).await?;
        }
        // Not beyond the range: the log shows records before they are on disk.
        let most = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let records = reader.next(most, READ_BYTES).await?;
        self.reader = Some(reader);
        Ok(records)
    }

    /// The messages for these records. Those that expired become gap fills, one for each run of them.
    fn prepare(&self, records: &[Stored]) -> Result<Outgoing, OutboxError> {
        let now_ns = self.clock.now_ns();
        let mut outgoing = Outgoing::with_capacity(records.len());
        let mut gap: Option<(FrameHeader, GapFill)> = None;
        for record in records {
            let (header, event, position) = stored_event(record)?;
            if event.expires_at_ns != 0 && event.expires_at_ns <= now_ns {
                self.metrics.expired.inc_by(u64::from(!self.courier.is_repetition(position.sequence)));
                let first = GapFill { user_id: event.user_id, from: position, to: 0, created_at_ns: now_ns };
                gap.get_or_insert((header, first)).1.to = position.sequence;
                continue;
            }
            outgoing.extend(gap.take().map(|(header, gap)| self.seal_gap(header, gap)));
            let repeated = self.courier.is_repetition(position.sequence);
            let frame = if repeated { marked_as_repetition(&record.value) } else { record.value.clone() };
            let message = EventMessage::Event(event);
            outgoing.push((position.sequence + 1, seal_event(&self.key, &message, frame)));
        }
        outgoing.extend(gap.take().map(|(header, gap)| self.seal_gap(header, gap)));
        Ok(outgoing)
    }

    fn seal_gap(&self, header: FrameHeader, gap: GapFill) -> (u64, Sealed) {
        let repeated = self.courier.is_repetition(gap.from.sequence);
        let header =
            FrameHeader { trace: None, possible_duplicate: repeated, event_time_ns: gap.created_at_ns, ..header };
        let message = EventMessage::Gap(gap);
        let frame = header.encode(&wire::UserEvent::from(&message)).expect("a gap fill is short");
        (gap.to + 1, seal_event(&self.key, &message, frame))
    }
}

fn reason(ack: &EventAck) -> &str {
    match &ack.outcome {
        EventOutcome::Refused(error) => &error.message,
        _ => "",
    }
}

fn stored_event(record: &Stored) -> Result<(FrameHeader, UserEvent, Position), OutboxError> {
    let foreign = |_| OutboxError::Foreign { offset: record.offset };
    let frame = Frame::decode(&record.value).map_err(foreign)?;
    let message: wire::UserEvent = frame.message(Kind::UserEvent).map_err(foreign)?;
    match EventMessage::try_from(message) {
        Ok(EventMessage::Event(event)) if event.kind != EventKind::GapFill => match event.severity {
            Severity::Critical(position) => Ok((frame.header, event, position)),
            Severity::Informational => Err(OutboxError::Foreign { offset: record.offset }),
        },
        _ => Err(OutboxError::Foreign { offset: record.offset }),
    }
}
