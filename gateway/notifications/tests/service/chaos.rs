//! A hundred kills with -9 of two receivers over one store, at random moments, while a container sends and a webhook takes:
//! each event is recorded exactly once and in order, and its user is told.
//!
//! The children are this test binary again, told by environment variables to run [`child_receiver`].

use super::container::{Container, Sent, event_id};
use super::fake_webhook::FakeWebhook;
use super::world::{ALICE, Setup};
use notifications::{Preferences, State};
use proto::EventOutcome;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const DIR: &str = "NOTIFICATIONS_DIR";
const PORT: &str = "NOTIFICATIONS_PORT";
const REPLICA: &str = "NOTIFICATIONS_REPLICA";
const SEED: &str = "NOTIFICATIONS_SEED";
const KILLS: u64 = 100;
/// What the sender has under way: less than it may, so that the webhook keeps up.
const WINDOW: u64 = 32;

fn setup(dir: &Path) -> Setup {
    let mut setup = Setup::sqlite(dir);
    // A machine that runs tests may be slow: a webhook is given up only when it is really stuck.
    setup.config.delivery.attempt_timeout = Duration::from_secs(10);
    setup.config.delivery.keep_notifications = 1_000_000;
    setup.config.delivery.lease = Duration::from_secs(60);
    setup
}

/// Receives and delivers until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_receiver() {
    let get = |name| std::env::var(name).ok();
    let (Some(dir), Some(port), Some(replica)) = (get(DIR), get(PORT), get(REPLICA)) else { return };
    let mut setup = setup(&PathBuf::from(dir));
    setup.config.receiver.bind = format!("tcp://127.0.0.1:{port}");
    setup.replica = replica;
    let _world = setup.start().await;
    std::future::pending::<()>().await;
}

struct Replica {
    dir: PathBuf,
    name: String,
    port: u16,
    child: Child,
}

impl Drop for Replica {
    fn drop(&mut self) {
        // It may be dead already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(dir: &Path, name: &str, port: u16) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "chaos::child_receiver"]);
    command.env(DIR, dir).env(PORT, port.to_string()).env(REPLICA, name);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Replica {
    fn start(dir: &Path, name: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { dir: dir.to_owned(), name: name.to_owned(), port, child: spawn(dir, name, port) }
    }

    /// Kills it with -9 and starts it again, under its name and on its port.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.dir, &self.name, self.port);
    }
}

/// The sender's side of the protocol: everything from the last ack on is repeated after a reconnect, and when nothing moves.
struct Sender {
    ports: [u16; 2],
    acked: watch::Sender<u64>,
    produce: Arc<AtomicBool>,
    moves: Arc<AtomicU64>,
}

impl Sender {
    async fn run(self) -> u64 {
        let (mut next, mut sent_ever, mut to) = (1u64, 1u64, 0);
        loop {
            // Another replica each time, as behind a service's address.
            let container = Container::new(ALICE, 1, self.ports[to % 2]);
            to += 1;
            self.moves.fetch_add(1, Ordering::Relaxed);
            let patience = Duration::from_secs(1);
            let mut connected = container.socket.connected();
            let up = tokio::time::timeout(patience, connected.wait_for(|connected| *connected)).await;
            let up = up.is_ok_and(|up| up.is_ok());
            if !up {
                continue;
            }
            let mut cursor = next;
            loop {
                let produces = self.produce.load(Ordering::Acquire);
                let end = if produces { next + WINDOW } else { (next + WINDOW).min(sent_ever) };
                if !produces && next >= sent_ever {
                    container.socket.flush().await;
                    return sent_ever - 1;
                }
                while cursor < end {
                    let sent = if cursor < sent_ever { Sent::Again } else { Sent::First };
                    container.send(&container.event(cursor), sent).await;
                    cursor += 1;
                    sent_ever = sent_ever.max(cursor);
                }
                let gone = connected.wait_for(|connected| !connected);
                let ack = tokio::select! {
                    ack = container.ack() => ack,
                    _ = gone => break,
                    () = tokio::time::sleep_until(tokio::time::Instant::now() + patience) => break,
                };
                match ack.outcome {
                    EventOutcome::ResendFrom => cursor = ack.next_sequence,
                    EventOutcome::Accepted | EventOutcome::Duplicate => {}
                    EventOutcome::Refused(error) => panic!("refused: {error:?}"),
                }
                assert!(ack.next_sequence <= sent_ever, "acked what was never sent");
                next = next.max(ack.next_sequence);
                self.acked.send_replace(next);
            }
        }
    }
}

/// Spinning, because the moment is shorter than a timer's.
fn a_moment(rng: &mut StdRng) {
    let (start, moment) = (Instant::now(), Duration::from_micros(rng.random_range(0..3000)));
    while start.elapsed() < moment {
        std::hint::spin_loop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_recorded_once_and_in_order_and_told_through_a_hundred_kills() {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("{SEED}={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    // Below the target directory: a temporary directory may be in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let fake = FakeWebhook::start([]).await;
    let world = setup(dir.path()).start().await;
    let preferences = Preferences { webhook_url: Some(fake.url()), ..Preferences::default() };
    world.service.set_preferences(ALICE, preferences).await.unwrap();
    world.stop().await;

    let mut replicas = [Replica::start(dir.path(), "one"), Replica::start(dir.path(), "two")];
    let (acked, mut progress) = watch::channel(1);
    let (produce, moves) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let ports = [replicas[0].port, replicas[1].port];
    let sender = Sender { ports, acked, produce: Arc::clone(&produce), moves: Arc::clone(&moves) };
    let sender = tokio::spawn(sender.run());
    for kill in 0..KILLS {
        let wanted = *progress.borrow() + rng.random_range(1..60);
        let moved = progress.wait_for(|acked| *acked >= wanted);
        let moved = tokio::time::timeout(Duration::from_secs(60), moved).await;
        assert!(moved.is_ok_and(|moved| moved.is_ok()), "no progress before kill {kill}");
        a_moment(&mut rng);
        replicas[rng.random_range(0..2)].kill();
    }
    produce.store(false, Ordering::Release);
    let count = tokio::time::timeout(Duration::from_secs(120), sender).await.expect("all acked in time").unwrap();
    drop(replicas);

    // Both are dead. A third under the name of the one, which goes on with what that held, and one under the other's.
    let world = setup(dir.path()).start().await;
    let other = setup(dir.path()).beside("two").start().await;
    let list = world.settled(ALICE, usize::try_from(count).unwrap(), State::Delivered).await;
    let outbox = proto::OutboxId::from_bits(1);
    for (listed, sequence) in list.iter().zip(1..) {
        let notification = &listed.notification;
        assert_eq!(notification.number, sequence, "numbers have no holes");
        assert_eq!(notification.position.unwrap().sequence, sequence, "in order");
        assert_eq!(notification.event_id, event_id(outbox, sequence));
    }
    let ids = fake.ids();
    let mut seen = HashSet::new();
    let first_times: Vec<&String> = ids.iter().filter(|id| seen.insert((*id).clone())).collect();
    let expected: Vec<String> = (1..=count).map(|sequence| event_id(outbox, sequence).to_string()).collect();
    assert_eq!(first_times.len(), expected.len(), "each was told");
    let repeated = ids.len() - first_times.len();
    eprintln!("{KILLS} kills, {count} events, {} connections, {repeated} told twice", moves.load(Ordering::Relaxed));
    // At most what was on its way when a replica was killed.
    assert!(repeated as u64 <= KILLS, "{repeated} were told twice");
    assert!(count > KILLS, "only {count} events");
    world.stop().await;
    other.stop().await;
}
