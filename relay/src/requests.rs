//! The request path: clients ask on the ROUTER, ingestors hear of it on the work port. No request is remembered.

use crate::access::may_take_work;
use crate::config::Config;
use crate::counters::{EngineCounters, RequestCounters, add};
use crate::engine::{Key, Links, Message, Switch};
use crate::quota::{Bucket, Rate};
use crate::request::{Accepted, Envelope, Refusal, examine};
use crate::subscriptions::Subscriptions;
use ahash::RandomState;
use bytes::BytesMut;
use proto::wire::{AckStatus, RequestAck, WorkItem};
use proto::{ErrorCode, FrameHeader, Kind, TopicPrefix, TraceContext, Venue};
use std::collections::HashMap;
use std::sync::Arc;
use zmtp::SocketType;
use zmtp::codec::{SubscriptionChange, encode_message};

/// Venues whose work is counted; beyond it the counts begin anew under a new publisher id.
const MAX_VENUES: usize = 4096;

/// Nanoseconds since the Unix epoch.
pub(crate) type WallClock = fn() -> u64;

#[derive(Debug)]
struct Client {
    bucket: Bucket,
    /// Answers given; their sequence.
    answers: u64,
}

/// ROUTER and work XPUB.
pub(crate) struct Requests {
    workers: Subscriptions,
    clients: HashMap<Key, Client, RandomState>,
    rate: Rate,
    publisher_id: u64,
    sequences: HashMap<Venue, u64, RandomState>,
    wall_clock: WallClock,
    outcomes: Arc<RequestCounters>,
    counters: Arc<EngineCounters>,
}

impl Requests {
    pub(crate) fn new(
        config: &Config,
        wall_clock: WallClock,
        counters: Arc<EngineCounters>,
        outcomes: Arc<RequestCounters>,
    ) -> Self {
        Self {
            workers: Subscriptions::new(&config.limits, Box::new(may_take_work), Arc::clone(&counters)),
            clients: HashMap::default(),
            rate: Rate::new(&config.quota),
            publisher_id: rand::random(),
            sequences: HashMap::default(),
            wall_clock,
            outcomes,
            counters,
        }
    }

    /// The answer to a request, after the work was handed out if it could be.
    fn decide(&mut self, links: &mut Links, key: Key, envelope: &Envelope<'_>) -> (RequestAck, Option<TraceContext>) {
        // Read first, so that every answer names its request; a request of 4 KiB is cheap to read.
        let verdict = examine(envelope);
        let now = links.now();
        let quota = self.clients.get_mut(&key).map_or(Ok(()), |client| client.bucket.take(&self.rate, now));
        let (request_id, trace) = match &verdict {
            Ok(accepted) => (accepted.request.request_id.clone(), accepted.trace),
            Err(refusal) => (refusal.request_id.clone(), refusal.trace),
        };
        if let Err(wait) = quota {
            add(&self.outcomes.over_quota_total, 1);
            let wait_ms = u32::try_from(wait.as_millis() + 1).unwrap_or(u32::MAX);
            let error = ErrorCode::OverQuota.detail("", "too many requests on this connection");
            let ack = refused(request_id, AckStatus::OverQuota, error);
            return (RequestAck { retry_after_ms: wait_ms, ..ack }, trace);
        }
        let ack = match verdict {
            Ok(accepted) => self.hand_out(links, accepted),
            Err(Refusal { request_id, status, error, .. }) => {
                add(&self.outcomes.invalid_total, 1);
                refused(request_id, status, error)
            }
        };
        (ack, trace)
    }

    fn hand_out(&mut self, links: &mut Links, accepted: Accepted) -> RequestAck {
        let Accepted { venue, request, notification_topic, trace } = accepted;
        let request_id = request.request_id.clone();
        let route = TopicPrefix::Venue(venue.clone()).to_string();
        let workers = self.workers.index().matches(route.as_bytes());
        let no_ingestor = |outcomes: &RequestCounters, text: String| {
            add(&outcomes.no_ingestor_total, 1);
            refused(request_id.clone(), AckStatus::NoIngestor, ErrorCode::NoIngestor.detail("venue", &text))
        };
        if workers.is_empty() {
            return no_ingestor(&self.outcomes, format!("no ingestor serves {venue}"));
        }
        let sequence = self.next_sequence(&venue);
        let header = FrameHeader { trace, ..FrameHeader::new(Kind::WorkItem, self.publisher_id, sequence, 0) };
        let item = WorkItem { request: Some(request), accepted_at_ns: (self.wall_clock)() };
        let frame = match header.encode(&item) {
            Ok(frame) => frame,
            // Cannot be: a request of 4 KiB does not grow to 1 MiB.
            Err(error) => {
                tracing::error!(%error, "cannot encode a work item");
                return refused(request_id, AckStatus::Invalid, ErrorCode::Internal.detail("", "cannot encode"));
            }
        };
        let mut message = BytesMut::new();
        encode_message(&mut message, &[route.as_bytes(), &frame]);
        let taken = workers.into_iter().filter(|worker| links.deliver(*worker, &message)).count();
        if taken == 0 {
            return no_ingestor(&self.outcomes, format!("the ingestors of {venue} take no work now"));
        }
        add(&self.outcomes.queued_total, 1);
        RequestAck { request_id, status: AckStatus::Queued as i32, notification_topic, error: None, retry_after_ms: 0 }
    }

    fn next_sequence(&mut self, venue: &Venue) -> u64 {
        if !self.sequences.contains_key(venue) && self.sequences.len() >= MAX_VENUES {
            self.sequences.clear();
            self.publisher_id = rand::random();
        }
        let sequence = self.sequences.entry(venue.clone()).or_insert(0);
        *sequence += 1;
        *sequence
    }
}

fn refused(request_id: String, status: AckStatus, error: proto::wire::ErrorDetail) -> RequestAck {
    RequestAck {
        request_id,
        status: status as i32,
        notification_topic: String::new(),
        error: Some(error),
        retry_after_ms: 0,
    }
}

impl Switch for Requests {
    fn opened(&mut self, links: &mut Links, key: Key) {
        if links.get(key).is_some_and(|link| link.local == SocketType::Router) {
            self.clients.insert(key, Client { bucket: Bucket::new(links.now()), answers: 0 });
        }
    }

    fn message(&mut self, links: &mut Links, key: Key, message: &Message<'_>) {
        if !self.clients.contains_key(&key) {
            return add(&self.counters.ignored_total, 1);
        }
        let envelope = Envelope::open(message.parts());
        let (ack, trace) = self.decide(links, key, &envelope);
        let Some(client) = self.clients.get_mut(&key) else { return };
        client.answers += 1;
        let header = FrameHeader { trace, ..FrameHeader::new(Kind::RequestAck, self.publisher_id, client.answers, 0) };
        match header.encode(&ack) {
            Ok(frame) => {
                let mut out = BytesMut::new();
                let frames: [&[u8]; 3] = [b"", envelope.route, &frame];
                encode_message(&mut out, &frames[usize::from(!envelope.delimited)..]);
                // A client that does not read its answers loses them; deliver counts it.
                links.deliver(key, &out);
            }
            Err(error) => tracing::error!(%error, "cannot encode an answer"),
        }
    }

    fn subscription(&mut self, _links: &mut Links, key: Key, change: SubscriptionChange, topic: &[u8]) {
        // Nobody is upstream of the work port: the relay itself publishes on it.
        self.workers.change(key, change, topic);
    }

    fn closed(&mut self, _links: &mut Links, key: Key) {
        self.clients.remove(&key);
        self.workers.remove(key);
    }

    fn settle(&mut self, _links: &mut Links, _buffer: &[u8]) {}

    fn subscriptions_of(&self, key: Key) -> usize {
        self.workers.index().count_of(key)
    }

    fn prefixes(&self) -> usize {
        self.workers.index().prefix_count()
    }
}
