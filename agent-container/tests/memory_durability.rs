//! A process killed at any moment keeps every message that it acknowledged.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use agent_container::memory::{ExtractiveSummarizer, LexiconEmbedder, Memory, MemoryLimits, NewMessage, Role};

async fn open(path: &Path) -> Memory {
    Memory::open(path, MemoryLimits::default(), Arc::new(LexiconEmbedder), Arc::new(ExtractiveSummarizer))
        .await
        .unwrap()
}

fn message(number: usize) -> NewMessage {
    NewMessage {
        conversation_id: format!("c{}", number % 4),
        role: Role::User,
        content: format!("message {number} {}", "filler ".repeat(number % 300)),
        channel: "web".to_owned(),
        at_ns: 1,
        metadata: None,
        command_id: Some(format!("command-{number}")),
    }
}

/// Not a test by itself: the writer that the test below kills.
#[tokio::test]
async fn child_that_saves() {
    let Ok(path) = std::env::var("MEMORY_CHILD") else { return };
    let first: usize = std::env::var("MEMORY_CHILD_FIRST").unwrap().parse().unwrap();
    let memory = Arc::new(open(Path::new(&path)).await);
    // Eight callers at once, so that commits hold several messages.
    let callers = (0..8).map(|caller| {
        let memory = memory.clone();
        tokio::spawn(async move {
            for number in (first + caller..).step_by(8) {
                let saved = memory.save(message(number)).await.unwrap();
                println!("\nACK {number} {}", saved.id);
            }
        })
    });
    futures_util::future::join_all(callers).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed_at_any_moment() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("memory.sqlite");
    let mut acks: HashMap<usize, String> = HashMap::new();
    let acknowledged = |line: &str| {
        let mut words = line.strip_prefix("ACK ")?.split(' ');
        Some((words.next()?.parse::<usize>().ok()?, words.next()?.to_owned()))
    };
    for round in 0..20_usize {
        let first = acks.keys().max().map_or(0, |last| last + 9);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_saves", "--nocapture"])
            .env("MEMORY_CHILD", &path)
            .env("MEMORY_CHILD_FIRST", first.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = acks.len() + 5 + round * 13 % 40;
        while acks.len() < wanted {
            acks.extend(acknowledged(&lines.next().unwrap().unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acks.extend(lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)));
        let memory = open(&path).await;
        memory.verify().await.unwrap();
        let counts = memory.counts().await.unwrap();
        assert!(
            counts.messages >= acks.len() as u64
                && counts.indexed == counts.messages
                && counts.embeddings == counts.messages,
            "{counts:?}"
        );
        memory.close().await.unwrap();
    }
    let memory = open(&path).await;
    for (number, id) in &acks {
        let again = memory.save(message(*number)).await.unwrap();
        assert_eq!((&again.id, again.replayed), (id, true), "message {number}");
    }
}
