//! A hundred kills with -9 of container and gateway at random moments: each event whose call returned is in effect exactly
//! once and in order, and nothing else is.

use super::gateway::{Entry, Gateway, entries};
use super::{alert, container};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use service::metrics::Metrics;
use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const DIR: &str = "AGENT_EVENTS_DIR";
const PORT: &str = "AGENT_EVENTS_PORT";
const LIFE: &str = "AGENT_EVENTS_LIFE";
const SEED: &str = "AGENT_EVENTS_SEED";
const PRODUCERS: u64 = 8;
const KILLS: usize = 100;

fn say(line: &str) {
    // One write: the parent ignores a line without its end.
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn child() -> Option<(PathBuf, u16, u64)> {
    let get = |name| std::env::var(name).ok();
    Some((get(DIR)?.into(), get(PORT)?.parse().unwrap(), get(LIFE)?.parse().unwrap()))
}

/// Publishes until it is killed and says `ok LIFE PRODUCER NUMBER SEQUENCE ID` of each event whose call returned; in life 0
/// publishes nothing and says `drained` when everything is acked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_container() {
    let Some((dir, port, life)) = child() else { return };
    let events = container(&dir, port, &Metrics::new()).await;
    if life == 0 {
        let mut unacked = events.outbox().watch_unacked();
        // The parent's patience is for one line, not for all of them.
        loop {
            let left = *unacked.borrow_and_update();
            if left == 0 {
                return say("\ndrained");
            }
            say(&format!("left {left}"));
            unacked.changed().await.unwrap();
        }
    }
    let outbox = events.outbox();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let outbox = std::sync::Arc::clone(&outbox);
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(Duration::from_millis(1));
                for number in 0u64.. {
                    ticks.tick().await;
                    let payload = serde_json::json!([life, producer, number]);
                    let published = outbox.publish(alert(&payload)).await.unwrap();
                    let (sequence, id) = (published.position.sequence, published.event_id);
                    say(&format!("ok {life} {producer} {number} {sequence} {id}"));
                }
            })
        })
        .collect();
    for producer in producers {
        producer.await.unwrap();
    }
}

/// Receives until it is killed; says `took` after each answer.
#[tokio::test]
async fn child_gateway() {
    let Some((dir, port, _)) = child() else { return };
    let mut gateway = Gateway::bind(port, &dir.join("journal")).await;
    loop {
        for outcome in gateway.serve_some().await {
            assert!(!matches!(outcome, Ok(user_events::Decision::Refuse(_)) | Err(_)), "{outcome:?}");
            say("took");
        }
    }
}

/// A child process and its lines.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(test: &str, dir: &Path, port: u16, life: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("chaos::{test}"), "--nocapture"]);
        command.env(DIR, dir).env(PORT, port.to_string()).env(LIFE, life.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { child, lines }
    }

    /// Waits for so many lines with this word.
    fn wait_for(&mut self, word: &str, count: usize, seen: &mut Vec<String>) {
        let mut found = 0;
        while found < count {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => {
                    found += usize::from(line.starts_with(word));
                    seen.push(line);
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {word:?} for a minute"),
                Err(RecvTimeoutError::Disconnected) => panic!("ended by itself, see above: {:?}", self.child.wait()),
            }
        }
    }

    /// Kills it and takes what it had said until then.
    fn kill(mut self, seen: &mut Vec<String>) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        seen.extend(self.lines);
    }
}

/// Spinning, because the moment is shorter than a timer's.
fn a_moment(rng: &mut StdRng) {
    let (start, moment) = (Instant::now(), Duration::from_micros(rng.random_range(0..3000)));
    while start.elapsed() < moment {
        std::hint::spin_loop();
    }
}

/// What producers were told: by (life, producer) and number the sequence and id.
type Told = BTreeMap<(u64, u64), BTreeMap<u64, (u64, String)>>;

fn told(lines: &[String]) -> Told {
    let mut told = Told::new();
    for line in lines {
        let Some(rest) = line.strip_prefix("ok ") else { continue };
        let parts: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| parts[at].parse::<u64>().unwrap();
        let place = (number(3), parts[4].to_owned());
        assert_eq!(told.entry((number(0), number(1))).or_default().insert(number(2), place), None);
    }
    told
}

fn check(entries: &[Entry], told: &Told) {
    let mut ids = HashSet::new();
    let mut in_effect = Told::new();
    for (entry, expected) in entries.iter().zip(1..) {
        assert_eq!(entry.position.sequence, expected, "in order and without holes");
        assert_eq!(entry.position.outbox_id, entries[0].position.outbox_id);
        assert!(ids.insert(entry.event_id), "{} twice", entry.event_id);
        let [life, producer, number]: [u64; 3] = serde_json::from_str(&entry.payload).unwrap();
        let numbers = in_effect.entry((life, producer)).or_default();
        // Each producer's own order; also proves that no event is there twice under two ids.
        assert_eq!(numbers.len() as u64, number, "producer {producer} of life {life}");
        numbers.insert(number, (expected, entry.event_id.to_string()));
    }
    for (producer, numbers) in told {
        for (number, place) in numbers {
            let found = in_effect.get(producer).and_then(|numbers| numbers.get(number));
            assert_eq!(found, Some(place), "{producer:?} was told that {number} is safe");
        }
    }
    for (producer, numbers) in &in_effect {
        let told = told.get(producer).map_or(0, BTreeMap::len);
        // A call that had not returned when its process was killed may have taken effect; no other may.
        assert!(numbers.len() <= told + 1, "{producer:?}: {} in effect, {told} told", numbers.len());
    }
}

#[test]
fn each_event_takes_effect_once_and_in_order_through_a_hundred_kills() {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("{SEED}={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    // Below the target directory: a temporary directory may be in memory.
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = root.path();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (mut life, mut said, mut ignored) = (1, Vec::new(), Vec::new());
    let mut container = Running::start("child_container", dir, port, life);
    let mut gateway = Running::start("child_gateway", dir, port, 0);
    let mut kills = [0; 2];
    for _ in 0..KILLS {
        let count = rng.random_range(1..100);
        if rng.random_bool(0.5) {
            container.wait_for("ok", count, &mut said);
            a_moment(&mut rng);
            container.kill(&mut said);
            life += 1;
            container = Running::start("child_container", dir, port, life);
            kills[0] += 1;
        } else {
            gateway.wait_for("took", count, &mut ignored);
            a_moment(&mut rng);
            gateway.kill(&mut ignored);
            gateway = Running::start("child_gateway", dir, port, 0);
            kills[1] += 1;
        }
    }
    container.kill(&mut said);
    let mut container = Running::start("child_container", dir, port, 0);
    container.wait_for("drained", 1, &mut ignored);
    container.kill(&mut ignored);
    gateway.kill(&mut ignored);
    let (entries, told) = (entries(&dir.join("journal")), told(&said));
    let safe: usize = told.values().map(BTreeMap::len).sum();
    eprintln!(
        "{} kills of the container, {} of the gateway, {safe} calls, {} effects",
        kills[0],
        kills[1],
        entries.len()
    );
    assert!(safe > KILLS, "only {safe} calls returned");
    check(&entries, &told);
}
