//! Real processes over one SQLite file, killed with SIGKILL at random moments: every turn ends exactly once with its full text, and every
//! command has its effect exactly once.

use crate::rig::{Parts, Turned, config, message};
use crate::script::{Act, Script, calls, says};
use async_trait::async_trait;
use harness::event::{Numbered, Outcome};
use harness::store::Database;
use harness::tool::{Effect, Home, Invocation, OnProgress, ToolOutcome, ToolSpec, Tools, ToolsError};
use harness::{Tier, TurnId};
use proto::UserId;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

const DIR: &str = "HARNESS_REPLICA_DIR";
const URL: &str = "HARNESS_REPLICA_URL";
const TURNS: u128 = 24;
const KILLS: usize = 10;
const ANSWER: &str =
    "All three files are written, as far as one can see from here, and nothing else was changed on the way.";

/// Writes a file for each command id, once, as the container does.
#[derive(Debug)]
struct Files(PathBuf);

#[async_trait]
impl Tools for Files {
    async fn list(&self, _: UserId) -> Result<Arc<[ToolSpec]>, ToolsError> {
        let (name, description, schema) = ("write".to_owned(), String::new(), json!({"type": "object"}));
        Ok(Arc::from([ToolSpec { name, description, schema, effect: Effect::Commands, home: Home::Container }]))
    }

    async fn call(&self, call: Invocation, _: OnProgress, _: CancellationToken) -> ToolOutcome {
        pause().await;
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(self.0.join(&call.command_id));
        pause().await;
        ToolOutcome::done(json!({"written": true, "first": file.is_ok()}).to_string(), "written")
    }
}

/// Time in which a kill can strike.
async fn pause() {
    let mut ticks = tokio::time::interval(Duration::from_millis(3));
    ticks.tick().await;
    ticks.tick().await;
}

/// Not a test by itself: the process that [`turns_survive_kills`] starts and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replica() {
    let (Ok(dir), Ok(url)) = (std::env::var(DIR), std::env::var(URL)) else { return };
    let dir = PathBuf::from(dir);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let rig = Replica::start(&dir, &url).await;
    println!("\nready");
    while let Ok(Some(line)) = lines.next_line().await {
        let user: u128 = line.trim().parse().unwrap();
        let taken = rig.harness.submit(UserId::from_bits(user), Tier::Free, message(user, "Write three files")).await;
        println!("taken {user} {}", taken.unwrap().turn_id);
    }
}

struct Replica {
    harness: harness::Harness,
}

impl Replica {
    async fn start(dir: &Path, url: &str) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let script = Script::start([]).await;
        let mut config = config(&[&script]);
        config.providers.values_mut().for_each(|provider| url.clone_into(&mut provider.base_url));
        let metrics = harness::metrics::HarnessMetrics::new(&service::metrics::Metrics::new());
        let database = Database::Sqlite(dir.join("turns.sqlite"));
        let clock = service::clock::Clock::System;
        let store = harness::store::TurnStore::open(
            &database,
            &config.store,
            config.turns.lease,
            clock.clone(),
            metrics.clone(),
        );
        let store = store.await.unwrap();
        let models = harness::openai::models(&config, &BTreeMap::new()).unwrap();
        let parts = Arc::new(Parts::default());
        let all = harness::HarnessParts {
            store,
            models,
            tools: Arc::new(Files(dir.join("effects"))),
            context: parts.clone(),
            retriever: parts.clone(),
            saver: parts.clone(),
            budget: parts,
            clock,
            metrics,
        };
        Self { harness: harness::Harness::start(config, all, CancellationToken::new()) }
    }
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    async fn start(dir: &Path, url: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "killed::replica", "--nocapture"]).env(DIR, dir).env(URL, url);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut process = Self { child, input, output: BufReader::new(output).lines() };
        process.answer("ready").await.expect("a replica starts");
        process
    }

    async fn answer(&mut self, word: &str) -> Option<String> {
        while let Some(line) = self.output.next_line().await.ok()? {
            if line.starts_with(word) {
                return Some(line);
            }
        }
        None
    }

    /// None if the process was killed before it said so.
    async fn submit(&mut self, user: u128) -> Option<TurnId> {
        self.input.write_all(format!("{user}\n").as_bytes()).await.ok()?;
        let taken = self.answer("taken").await?;
        Some(taken.split(' ').nth(2).unwrap().parse().unwrap())
    }
}

/// What the model says depends on the conversation alone, whoever asks.
fn brain(request: &Value) -> Act {
    let messages = request["messages"].as_array().unwrap();
    let body = match messages.iter().filter(|message| message["role"] == "tool").count() {
        0 => calls("Writing.", &[("a", "write", "{\"n\":1}"), ("b", "write", "{\"n\":2}")]),
        2 => calls("One more.", &[("c", "write", "{\"n\":3}")]),
        _ => says(ANSWER),
    };
    Act::Slow { body, piece: 200 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_survive_kills() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("effects")).unwrap();
    let script = Script::start([]).await.brain(brain);
    let mut replicas =
        [Process::start(dir.path(), &script.url()).await, Process::start(dir.path(), &script.url()).await];
    let mut turns = BTreeMap::new();
    let mut kills = 0;
    for user in 1..=TURNS {
        let first = random.random_range(0..2);
        let taken = replicas[first].submit(user).await;
        // Sent again to the other one, as a page does that got no answer: still one turn.
        let again = replicas[1 - first].submit(user).await;
        assert!(taken.is_none() || again.is_none() || taken == again, "seed {seed}");
        turns.insert(user, taken.or(again).expect("one of the two lives"));
        if user % 2 == 0 && kills < KILLS {
            kills += 1;
            // After some more requests have come: anywhere in the turns that run.
            let until = script.asked() + random.random_range(0..3);
            drop(tokio::time::timeout(Duration::from_millis(40), script.asked_at_least(until)).await);
            let victim = random.random_range(0..2);
            replicas[victim].child.kill().await.unwrap();
            replicas[victim] = Process::start(dir.path(), &script.url()).await;
        }
    }
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}/turns.sqlite", dir.path().display())).await.unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let ended = async {
        loop {
            ticks.tick().await;
            let row = sqlx::query("SELECT COUNT(*) FROM harness_turns WHERE state = 2").fetch_one(&pool).await.unwrap();
            if row.get::<i64, _>(0) == i64::try_from(TURNS).unwrap() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(2), ended)
        .await
        .unwrap_or_else(|_| panic!("not all turns end, seed {seed}"));
    let mut commands = BTreeSet::new();
    let mut resumed = 0;
    for turn in turns.values() {
        let rows =
            sqlx::query("SELECT events FROM harness_log WHERE turn_id = $1 ORDER BY entry").bind(turn.to_string());
        let rows = rows.fetch_all(&pool).await.unwrap();
        let events = rows.iter().flat_map(|row| serde_json::from_str::<Vec<Numbered>>(row.get(0)).unwrap()).collect();
        let turned = Turned::of(events);
        assert_eq!(turned.outcome, Outcome::Complete, "seed {seed}: {turned:?}");
        assert_eq!(turned.text, format!("Writing.\n\nOne more.\n\n{ANSWER}"), "seed {seed}");
        resumed += usize::from(turned.notices().contains(&"RESUMED"));
        commands.extend(["0-0", "0-1", "1-0"].map(|call| format!("{turn}-{call}")));
    }
    let effects = std::fs::read_dir(dir.path().join("effects")).unwrap();
    let effects: BTreeSet<String> = effects.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(effects, commands, "seed {seed}");
    println!("{kills} kills, {resumed} of {TURNS} turns carried on");
    assert!(resumed > 0, "no kill hit a turn, seed {seed}");
}
