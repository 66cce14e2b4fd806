//! Durable events per second: sealed messages of many containers over real sockets, recorded, acked.
//!
//! Budget: 50 000 events/s with 64 containers over SQLite with `synchronous=FULL`. Senders and receiver share the machine; the
//! messages are sealed before the clock starts. `NOTIFICATIONS_POSTGRES=postgres://…` measures that database instead.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops at the first failure")]
#![allow(clippy::cast_precision_loss, reason = "rates are printed with three digits")]

use async_trait::async_trait;
use bytes::Bytes;
use notifications::{
    DatabaseConfig, EventKeys, KeyLookupError, Notifications, NotificationsConfig, NotificationsSecrets, Parts,
};
use proto::{
    EventId, EventKind, EventMessage, EventOutcome, FrameHeader, Kind, OutboxId, Position, Severity, UserEvent, UserId,
    wire,
};
use service::clock::Clock;
use service::lifecycle::Lifecycle;
use service::metrics::Metrics;
use std::sync::Arc;
use std::time::{Duration, Instant};
use user_events::{MacKey, Sealed, open_ack, seal_event};
use zmtp::{DealerOptions, DealerSocket};

/// What a sender may have under way, by the protocol.
const WINDOW: usize = 256;

fn key(user: UserId) -> MacKey {
    let mut bytes = [7; 32];
    bytes[..16].copy_from_slice(&user.bits().to_be_bytes());
    MacKey::new(1, &bytes).unwrap()
}

#[derive(Debug)]
struct Keys;

#[async_trait]
impl EventKeys for Keys {
    async fn key(&self, user_id: UserId, _: u32) -> Result<Option<MacKey>, KeyLookupError> {
        Ok(Some(key(user_id)))
    }
}

fn sealed(user: UserId, outbox: OutboxId, sequence: u64) -> Sealed {
    let payload = serde_json::json!({
        "order": "01J9ZQ6V8KXW3R4T5Y6Z7A8B9C", "venue": "BINANCE", "symbol": "BTC/USDT", "side": "buy",
        "price": "61800.3", "size": "0.006", "fee": "0.1854", "liquidity": "taker",
    });
    let message = EventMessage::Event(UserEvent {
        event_id: EventId::from_bits((outbox.bits() << 32) + u128::from(sequence)),
        user_id: user,
        kind: EventKind::OrderFilled,
        severity: Severity::Critical(Position { outbox_id: outbox, sequence }),
        created_at_ns: 1_700_000_000_000_000_000,
        expires_at_ns: 0,
        payload: Bytes::from(payload.to_string()),
    });
    let header = FrameHeader::new(Kind::UserEvent, 1, sequence, 1_700_000_000_000_000_000);
    seal_event(&key(user), &message, header.encode(&wire::UserEvent::from(&message)).unwrap())
}

struct Sender {
    user: UserId,
    key: MacKey,
    socket: DealerSocket,
    messages: Vec<Sealed>,
}

impl Sender {
    async fn run(self) -> usize {
        let (mut next, mut cursor) = (0, 0);
        while next < self.messages.len() {
            while cursor < (next + WINDOW).min(self.messages.len()) {
                self.socket.send(self.messages[cursor].clone().into()).await.unwrap();
                cursor += 1;
            }
            let ack = open_ack(&self.socket.recv().await, self.user, &self.key).unwrap().ack;
            match ack.outcome {
                EventOutcome::Accepted => {}
                // What came while the key was looked up overtook what waited for it.
                EventOutcome::ResendFrom => cursor = usize::try_from(ack.next_sequence).unwrap() - 1,
                other => panic!("{other:?}"),
            }
            next = next.max(usize::try_from(ack.next_sequence).unwrap() - 1);
        }
        self.messages.len()
    }
}

async fn measure(containers: u64, each: u64) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut config = NotificationsConfig::sqlite(dir.path().join("notifications.db"));
    let mut secrets = NotificationsSecrets::default();
    let engine = match std::env::var("NOTIFICATIONS_POSTGRES") {
        Ok(url) => {
            config.database = DatabaseConfig::Postgres;
            secrets.postgres_url = Some(url.into());
            "postgres"
        }
        Err(_) => "sqlite",
    };
    config.receiver.bind = "tcp://127.0.0.1:0".into();
    let (metrics, lifecycle) = (Metrics::new(), Lifecycle::new());
    let parts = Parts {
        keys: Arc::new(Keys),
        channels: Vec::new(),
        replica: "bench".into(),
        clock: Clock::System,
        metrics: &metrics,
        lifecycle: &lifecycle,
    };
    let service = Notifications::start(config, &secrets, parts).await.unwrap();
    let endpoint = format!("tcp://{}", service.local_addr().unwrap());
    let mut senders = Vec::new();
    for container in 0..containers {
        // New users for each run, so that one database can serve several.
        let user = UserId::from_bits(rand::random::<u128>() >> 3);
        let outbox = OutboxId::from_bits(u128::from(container) + 1);
        let socket = DealerSocket::connect(&endpoint, DealerOptions::default()).unwrap();
        socket.connected().wait_for(|connected| *connected).await.unwrap();
        let messages = (1..=each).map(|sequence| sealed(user, outbox, sequence)).collect();
        senders.push(Sender { user, key: key(user), socket, messages });
    }
    let start = Instant::now();
    let tasks: Vec<_> = senders.into_iter().map(|sender| tokio::spawn(sender.run())).collect();
    let mut events = 0;
    for task in tasks {
        events += task.await.unwrap();
    }
    let elapsed = start.elapsed();
    let value = |name: &str| -> f64 {
        let (name, text) = (format!("gateway_notifications_{name} "), metrics.render());
        text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0.0, |value| value.parse().unwrap())
    };
    println!(
        "{engine}: {containers} containers, {events} events of {} bytes: {:.0} durable events/s, {:.0} a transaction",
        sealed(UserId::from_bits(1), OutboxId::from_bits(1), 1).iter().map(Bytes::len).sum::<usize>(),
        events as f64 / elapsed.as_secs_f64(),
        value("recorded_total") / value("batches_total"),
    );
    lifecycle.drain(Duration::from_secs(60)).await.unwrap();
}

fn main() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (containers, each) in [(1, 20_000), (64, 4000), (512, 500)] {
        runtime.block_on(measure(containers, each));
    }
}
