//! The sockets of history on demand: requests to the relay's 5559, notifications from 5558.

use crate::config::HistoryConfig;
use crate::error::wire_code_name;
use crate::history::{Book, Decision, Outcome, Reason, Step, series_of};
use crate::live::hub::count;
use crate::metrics::{HistoryMetrics, HistoryResult};
use crate::series::SeriesKey;
use crate::series::cache::Memory;
use crate::series::gaps::RangeSet;
use bytes::Bytes;
use proto::wire::{self, HistoryReadyNotification, RequestAck};
use proto::{
    ClientId, Frame, FrameHeader, HistoryRange, HistoryRequest, Interval, Kind, RequestId, Symbol, Topic, TopicPrefix,
    Venue,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zmtp::{DealerSocket, Multipart, SubSocket};

/// How often time limits are looked at.
const EXPIRY: Duration = Duration::from_millis(100);

/// What became of a wish, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// What can be had is in the lake.
    Done,
    /// In flight.
    Pending,
    /// Not to be had now.
    Unavailable,
}

/// Where wishes for history go.
#[derive(Debug)]
pub(crate) struct HistoryDesk {
    book: Mutex<Book>,
    submissions: mpsc::Sender<(RequestId, HistoryRange)>,
    config: HistoryConfig,
    metrics: HistoryMetrics,
}

impl HistoryDesk {
    /// A desk and what its [`HistoryClient`] takes from it.
    pub(crate) fn new(config: HistoryConfig, metrics: HistoryMetrics) -> (Arc<Self>, Submissions) {
        // As many as requests in flight: it is never full.
        let (submissions, receiver) = mpsc::channel(config.in_flight.max(1));
        let book = Mutex::new(Book::new(config.clone()));
        (Arc::new(Self { book, submissions, config, metrics }), receiver)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ranges of a series that need no request.
    pub(crate) fn complete(&self, series: &SeriesKey) -> RangeSet {
        self.book().complete(series)
    }

    /// Asks for a range, if that was not done yet, and waits a while for it.
    pub(crate) async fn fetch(&self, range: &HistoryRange) -> Fetched {
        let Ok(mut outcome) = self.decide(range) else { return Fetched::Unavailable };
        let ended = timeout(self.config.wait, outcome.wait_for(|outcome| *outcome != Outcome::Open)).await;
        match ended {
            Ok(Ok(outcome)) if matches!(*outcome, Outcome::Done | Outcome::Partial(_)) => Fetched::Done,
            Ok(_) => Fetched::Unavailable,
            Err(_) => Fetched::Pending,
        }
    }

    /// Asks for a range, if that was not done yet, and waits until it is over one way or the other: never
    /// [`Outcome::Open`]. The limits of the book bound the wait.
    pub(crate) async fn obtain(&self, range: &HistoryRange) -> Outcome {
        let mut outcome = match self.decide(range) {
            Ok(outcome) => outcome,
            Err(reason) => return Outcome::Refused(reason),
        };
        match outcome.wait_for(|outcome| *outcome != Outcome::Open).await {
            Ok(outcome) => *outcome,
            // The book is gone, and with it the gateway.
            Err(_) => Outcome::Refused(Reason { result: HistoryResult::ReadyTimeout, code: None }),
        }
    }

    /// Ranges of a market that need no request; trades without `interval`.
    pub(crate) fn complete_of(&self, venue: &Venue, symbol: &Symbol, interval: Option<Interval>) -> RangeSet {
        self.book().complete_of(&(venue.clone(), symbol.clone(), interval))
    }

    fn decide(&self, range: &HistoryRange) -> Result<tokio::sync::watch::Receiver<Outcome>, Reason> {
        let id = RequestId::from_bits(ulid::Ulid::generate().0);
        let mut book = self.book();
        match book.ask(range, id, Instant::now()) {
            Decision::Refused(reason) => Err(reason),
            Decision::Join(outcome) => {
                self.metrics.coalesced.inc();
                Ok(outcome)
            }
            Decision::Submit(id, outcome) => {
                if self.submissions.try_send((id, range.clone())).is_err() {
                    book.abandon(id);
                    return Err(Reason { result: HistoryResult::OverQuota, code: None });
                }
                self.metrics.in_flight.set(count(book.in_flight()));
                Ok(outcome)
            }
        }
    }
}

/// Requests to be sent.
pub(crate) type Submissions = mpsc::Receiver<(RequestId, HistoryRange)>;

/// The task that owns the sockets.
#[derive(Debug)]
pub(crate) struct HistoryClient {
    pub(crate) desk: Arc<HistoryDesk>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) requests: Arc<DealerSocket>,
    pub(crate) notifications: Arc<SubSocket>,
    pub(crate) tracker: TaskTracker,
}

impl HistoryClient {
    /// Runs until `stop`.
    pub(crate) async fn run(self, mut submissions: Submissions, stop: CancellationToken) {
        let sender = Arc::new(Sender {
            client_id: ClientId::from_bits(ulid::Ulid::generate().0),
            publisher_id: publisher_id(),
            limit: self.desk.config.ack_timeout,
            requests: self.requests.clone(),
            notifications: self.notifications.clone(),
        });
        let mut expiry = tokio::time::interval(EXPIRY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some((id, range)) = submissions.recv() => self.send(&sender, id, range),
                message = self.requests.recv() => self.on_answer(&message).await,
                message = self.notifications.recv() => self.on_notification(&message).await,
                _ = expiry.tick() => {
                    let steps = self.desk.book().expire(Instant::now());
                    for (step, result) in steps {
                        self.follow(&sender, step, result).await;
                    }
                }
            }
        }
    }

    /// In a task of its own: a relay that is slow to take one request does not keep others from being answered.
    fn send(&self, sender: &Arc<Sender>, id: RequestId, range: HistoryRange) {
        self.desk.metrics.submitted.inc();
        let sender = sender.clone();
        self.tracker.spawn(async move { sender.submit(id, range).await });
    }

    async fn on_answer(&self, message: &Multipart) {
        let ack = match message.as_slice() {
            [_venue, frame] => read::<RequestAck>(frame, Kind::RequestAck),
            _ => None,
        };
        let Some(ack) = ack else {
            self.desk.metrics.rejected.inc();
            return;
        };
        if let Some(error) = &ack.error {
            tracing::debug!(request_id = ack.request_id, code = wire_code_name(error.code), "history request refused");
        }
        let (step, result) = self.desk.book().on_ack(&ack, Instant::now());
        self.after(step, result).await;
    }

    async fn on_notification(&self, message: &Multipart) {
        let note = match message.as_slice() {
            [_topic, frame] => read::<HistoryReadyNotification>(frame, Kind::HistoryReadyNotification),
            _ => None,
        };
        let Some(note) = note else {
            self.desk.metrics.rejected.inc();
            return;
        };
        let (step, result) = {
            let mut book = self.desk.book();
            let series = note.request_id.parse().ok().and_then(|id| book.range(id)).and_then(series_of);
            let end = book.on_ready(&note, Instant::now());
            // Before any waiter can read: what it reads next must come from the lake.
            if let Some(series) = series {
                self.memory.suspect(&series);
            }
            end
        };
        self.after(step, result).await;
    }

    async fn follow(&self, sender: &Arc<Sender>, step: Step, result: Option<HistoryResult>) {
        match step {
            Step::Resubmit(id, range) => self.send(sender, id, range),
            step => self.after(step, result).await,
        }
    }

    async fn after(&self, step: Step, result: Option<HistoryResult>) {
        if let Some(result) = result {
            self.desk.metrics.result(result);
        }
        if let Step::Over(id) = step {
            self.desk.metrics.in_flight.set(count(self.desk.book().in_flight()));
            // False means "not connected", where nothing is subscribed anyway.
            _ = self.notifications.unsubscribe(Topic::HistoryReady(id).to_string().as_bytes()).await;
        }
    }
}

fn read<M: prost::Message + Default>(frame: &Bytes, kind: Kind) -> Option<M> {
    Frame::decode(frame).ok()?.message(kind).ok()
}

/// A number for this start of the gateway.
#[allow(clippy::cast_possible_truncation, reason = "the random half of a ULID is wanted")]
fn publisher_id() -> u64 {
    ulid::Ulid::generate().0 as u64
}

#[derive(Debug)]
struct Sender {
    client_id: ClientId,
    publisher_id: u64,
    limit: Duration,
    requests: Arc<DealerSocket>,
    notifications: Arc<SubSocket>,
}

impl Sender {
    /// Subscribes to the notification, makes sure that the relay knows, then sends the request. Whatever fails or takes too
    /// long here ends as a missing acknowledgement.
    async fn submit(&self, id: RequestId, range: HistoryRange) {
        let topic = Topic::HistoryReady(id).to_string();
        let venue = TopicPrefix::Venue(range.venue.clone()).to_string();
        let request = HistoryRequest { request_id: id, client_id: self.client_id, range };
        let header = FrameHeader::new(Kind::HistoryRequest, self.publisher_id, 1, 0);
        let Ok(frame) = header.encode(&wire::HistoryRequest::from(&request)) else { return };
        let subscribe_and_send = async {
            if let Err(error) = self.notifications.subscribe(topic.as_bytes()).await {
                tracing::warn!(%error, "cannot subscribe to a history notification");
                return;
            }
            self.notifications.confirm().await;
            if let Err(error) = self.requests.send(vec![Bytes::from(venue), frame]).await {
                tracing::warn!(%error, "cannot send a history request");
            }
        };
        // The book counts it as a missing acknowledgement.
        _ = timeout(self.limit, subscribe_and_send).await;
    }
}
