//! The subscription to the relay's fan-out port: keeps it as the hub wants it and hands on what arrives.

use crate::live::hub::{Change, Hub, Outgoing};
use crate::live::inbound::{Arrival, Event, Sequences, read};
use crate::live::outbound;
use crate::live::outbox::{Class, TopicId};
use crate::metrics::LiveMetrics;
use crate::series::SeriesKey;
use crate::series::cache::Memory;
use ahash::AHashMap;
use bytes::Bytes;
use proto::Topic;
use proto::market::Candle;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use zmtp::SubSocket;

/// How often topics that nobody wants are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// Topics whose sequences are remembered; all are forgotten beyond that, which hides at most one gap each.
const SEQUENCES: usize = 65_536;

/// Subscribes and unsubscribes upstream as the hub wants, until `stop`.
pub(crate) async fn subscribe(hub: Arc<Hub>, socket: Arc<SubSocket>, stop: CancellationToken) {
    let mut sweep = interval(SWEEP);
    loop {
        for change in hub.take_changes() {
            match change {
                Change::Subscribe(topic) => {
                    if let Err(error) = socket.subscribe(topic.as_bytes()).await {
                        tracing::warn!(%topic, %error, "cannot subscribe");
                    }
                }
                // False means "not connected", where nothing is subscribed anyway.
                Change::Unsubscribe(topic) => _ = socket.unsubscribe(topic.as_bytes()).await,
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = hub.changed() => {}
            _ = sweep.tick() => hub.sweep(Instant::now()),
        }
    }
}

/// Notes when the connection comes and goes, until `stop`. What was missed meanwhile is in the lake or comes again.
pub(crate) async fn watch(
    memory: Arc<Memory>,
    metrics: LiveMetrics,
    mut connected: tokio::sync::watch::Receiver<bool>,
    stop: CancellationToken,
) {
    loop {
        let now = *connected.borrow_and_update();
        metrics.connected.set(i64::from(now));
        if !now {
            memory.suspect_all();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = connected.changed() => if changed.is_err() { return },
        }
    }
}

/// Receives until `stop`.
pub(crate) async fn receive(mut feed: Feed, socket: Arc<SubSocket>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            message = socket.recv() => feed.take(&message),
        }
    }
}

/// What is done with each message: checked, counted, put into series, encoded once, handed to the hub.
#[derive(Debug)]
pub(crate) struct Feed {
    hub: Arc<Hub>,
    memory: Arc<Memory>,
    metrics: LiveMetrics,
    /// Per topic, and only as long as one subscription lasts: what is published while there is none is no loss.
    sequences: AHashMap<Topic, (TopicId, Sequences)>,
}

impl Feed {
    pub(crate) fn new(hub: Arc<Hub>, memory: Arc<Memory>, metrics: LiveMetrics) -> Self {
        Self { hub, memory, metrics, sequences: AHashMap::new() }
    }

    /// Takes a message. Never waits.
    pub(crate) fn take(&mut self, message: &[Bytes]) {
        self.metrics.received.inc();
        let (topic, header, event) = match read(message) {
            Ok(read) => read,
            Err(error) => {
                self.metrics.rejected.inc();
                tracing::debug!(%error, "message from the relay not used");
                return;
            }
        };
        let name = topic.to_string();
        let Some(id) = self.hub.followed(&name) else {
            self.metrics.stray.inc();
            self.sequences.remove(&topic);
            return;
        };
        let arrival = self.arrival(&topic, id, header.publisher_id, header.sequence);
        if self.accept(&topic, &name, arrival) {
            self.publish(&topic, &name, event);
        }
    }

    fn arrival(&mut self, topic: &Topic, id: TopicId, publisher: u64, sequence: u64) -> Arrival {
        match self.sequences.get_mut(topic) {
            Some((known, sequences)) if *known == id => sequences.arrive(publisher, sequence),
            _ => {
                if self.sequences.len() >= SEQUENCES {
                    self.sequences.clear();
                }
                let mut sequences = Sequences::default();
                let arrival = sequences.arrive(publisher, sequence);
                self.sequences.insert(topic.clone(), (id, sequences));
                arrival
            }
        }
    }

    /// Counts and tells losses; false if the message came before.
    fn accept(&self, topic: &Topic, name: &str, arrival: Arrival) -> bool {
        match arrival {
            Arrival::First | Arrival::InOrder => {}
            Arrival::Repeated => {
                self.metrics.repeated.inc();
                return false;
            }
            // The stream came back, perhaps without what it had not committed: the lake knows.
            Arrival::NewPublisher => self.suspect(topic),
            Arrival::Gap(lost) => {
                self.metrics.missed.inc_by(lost);
                self.hub.missed(name, lost);
                self.suspect(topic);
            }
        }
        true
    }

    fn suspect(&self, topic: &Topic) {
        if let Topic::Candle(venue, symbol, interval) = topic {
            let key = SeriesKey { venue: venue.clone(), symbol: symbol.clone(), interval: *interval };
            self.memory.suspect(&key);
        }
    }

    fn publish(&self, topic: &Topic, name: &str, event: Event) {
        let (class, text) = match event {
            Event::Tick(tick) => (Class::Event { discards: None }, outbound::tick(name, &tick)),
            Event::Quote(quote) => (Class::Latest { version: 0 }, outbound::quote(name, &quote)),
            Event::Candle(candle) => return self.publish_candles(topic, name, vec![candle]),
            Event::Snapshot(candles) => return self.publish_candles(topic, name, candles),
        };
        self.metrics.encoded.inc();
        self.hub.publish(name, &Outgoing { class, order: 0, text });
    }

    fn publish_candles(&self, topic: &Topic, name: &str, candles: Vec<Candle>) {
        let Topic::Candle(venue, symbol, interval) = topic else { return };
        let key = SeriesKey { venue: venue.clone(), symbol: symbol.clone(), interval: *interval };
        for candle in self.memory.apply(&key, candles) {
            let order = candle.open_time_ns;
            let class =
                if candle.closed { Class::Event { discards: Some(order) } } else { Class::Latest { version: order } };
            self.metrics.encoded.inc();
            self.hub.publish(name, &Outgoing { class, order, text: outbound::candle(name, &candle) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::hub::{Client, HubLimits};
    use crate::live::outbox::Item;
    use crate::metrics::SeriesMetrics;
    use crate::series::page::testing::candle;
    use proto::{FrameHeader, Kind, wire};
    use service::metrics::Metrics;

    const TOPIC: &str = "SIM:BTC/USDT|ohlc:60s";

    fn feed() -> (Feed, Arc<Hub>, Arc<Memory>, LiveMetrics) {
        let metrics = Metrics::new();
        let live = LiveMetrics::new(&metrics);
        let linger = Duration::ZERO;
        let limits = HubLimits { clients: 99, topics: 9, client_topics: 9, client_events: 99, linger };
        let hub = Arc::new(Hub::new(limits, live.clone()));
        let memory = Arc::new(Memory::new(4, 100, 400, SeriesMetrics::new(&metrics)));
        (Feed::new(hub.clone(), memory.clone(), live.clone()), hub, memory, live)
    }

    fn message(sequence: u64, candle: &Candle) -> Vec<Bytes> {
        let header = FrameHeader::new(Kind::Candle, 7, sequence, 0);
        vec![Bytes::from_static(TOPIC.as_bytes()), header.encode(&wire::Candle::from(candle)).unwrap()]
    }

    fn texts(client: &Client) -> Vec<String> {
        std::iter::from_fn(|| client.outbox.pop()).map(|item| format!("{item:?}")).collect()
    }

    #[tokio::test]
    async fn a_message_is_encoded_once_for_all_clients() {
        let (mut feed, hub, _, live) = feed();
        let clients: Vec<Client> = (0..50).map(|_| hub.join().unwrap()).collect();
        for client in &clients {
            hub.subscribe(client, &[TOPIC.parse().unwrap()]).unwrap();
        }
        for sequence in 1..=10 {
            feed.take(&message(sequence, &candle(sequence, 5)));
        }
        assert_eq!(live.encoded.get(), 10);
        let received: usize = clients.iter().map(|client| texts(client).len()).sum();
        assert_eq!(received, 500);
    }

    #[tokio::test]
    async fn a_gap_is_told_to_clients_and_makes_the_series_read_the_lake_again() {
        let (mut feed, hub, memory, live) = feed();
        let client = hub.join().unwrap();
        hub.subscribe(&client, &[TOPIC.parse().unwrap()]).unwrap();
        let key = SeriesKey {
            venue: "SIM".parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            interval: proto::Interval::M1,
        };
        let (cached, ..) = memory.open(&key);
        feed.take(&message(1, &candle(1, 5)));
        cached.window().load(Vec::new(), 10, 100, Instant::now());
        feed.take(&message(2, &candle(2, 5)));
        assert_eq!(cached.window().newest(u64::MAX, 9).unwrap().len(), 2);
        assert_eq!(texts(&client).len(), 2);
        feed.take(&message(5, &candle(5, 5)));
        feed.take(&message(5, &candle(6, 5)));
        assert_eq!((live.missed.get(), live.repeated.get()), (2, 1));
        assert_eq!(cached.window().newest(u64::MAX, 9), None);
        let seen = texts(&client);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(seen[0], format!("{:?}", Item::Lagged { topic: TOPIC.into(), dropped: 2 }));
    }

    #[tokio::test]
    async fn what_nobody_follows_or_nobody_can_read_is_counted_and_goes_nowhere() {
        let (mut feed, hub, _, live) = feed();
        feed.take(&message(1, &candle(1, 5)));
        assert_eq!((live.stray.get(), live.encoded.get()), (1, 0));
        feed.take(&[Bytes::from_static(b"garbage"), Bytes::new()]);
        feed.take(&[]);
        assert_eq!(live.rejected.get(), 2);
        drop(hub);
    }

    #[tokio::test]
    async fn candles_that_say_nothing_new_are_not_sent() {
        let (mut feed, hub, memory, live) = feed();
        let client = hub.join().unwrap();
        hub.subscribe(&client, &[TOPIC.parse().unwrap()]).unwrap();
        let key = SeriesKey {
            venue: "SIM".parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            interval: proto::Interval::M1,
        };
        memory.open(&key);
        feed.take(&message(1, &candle(1, 5)));
        feed.take(&message(2, &candle(1, 5)));
        assert_eq!(live.encoded.get(), 1);
        assert_eq!(texts(&client).len(), 1);
    }
}
