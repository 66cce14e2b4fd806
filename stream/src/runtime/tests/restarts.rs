//! Starts with a damaged or missing checkpoint, with a log that lost its beginning, and starts that are refused.

use super::world::World;
use super::{Asked, Entry, Life, Script, ask, drained, fed, to_the_end};
use crate::StreamError;
use crate::state_dir::StateDirError;
use eventlog::{Retention, TopicSpec};
use proto::LogTopic;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// One script through two streams, with something done in between; the lake must be exact in the end.
fn two_lives(seed: u64, between: impl FnOnce(&World)) {
    let mut world = World::new();
    let script = Script::new(seed, 1000, &mut world);
    let (first, second) = script.entries.split_at(script.entries.len() / 2);
    let (before, after) = (ask(&script.tickers, &mut world), ask(&script.tickers, &mut world));
    let world = &world;
    world.live(|life| one_half(life, world, first, &before));
    between(world);
    world.live(|life| to_the_end(life, world, second, &script, &after));
}

async fn one_half(life: Life, world: &World, entries: &[Entry], asked: &Asked) {
    let (handle, dying) = fed(&life, world, entries, asked).await;
    drained(handle, dying).await;
}

fn damage(world: &World, name: &str) {
    let path = world.config.state_dir.join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_second_stream_goes_on_where_the_first_ended() {
    two_lives(20, |_| {});
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_previous_one_and_the_lake_stays_exact() {
    two_lives(21, |world| damage(world, "checkpoint"));
}

#[test]
fn without_any_usable_checkpoint_the_state_is_derived_from_the_log_and_the_lake_stays_exact() {
    two_lives(22, |world| {
        damage(world, "checkpoint");
        damage(world, "checkpoint.previous");
    });
}

/// Lets retention delete the beginning of both topics.
async fn trim(life: Life) {
    for topic in [LogTopic::NormTick, LogTopic::NormOhlc] {
        let retention = Retention { age: None, bytes: Some(20_000) };
        let spec = TopicSpec { retention, ..eventlog::topics::spec(topic) };
        life.log.create_topic(spec).await.unwrap();
    }
    let trimmed = async {
        loop {
            let topics = life.log.topics().await.unwrap();
            let ticks = topics.iter().find(|info| info.spec.name == LogTopic::NormTick.name()).unwrap();
            if ticks.partitions.iter().any(|partition| partition.low > 0) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(super::GUARD, trimmed).await.expect("retention deletes");
}

#[test]
fn a_log_without_its_beginning_and_no_checkpoint_still_end_in_an_exact_lake() {
    two_lives(23, |world| {
        for name in ["checkpoint", "checkpoint.previous"] {
            std::fs::remove_file(world.config.state_dir.join(name)).unwrap();
        }
        world.live(trim);
    });
}

#[test]
fn changed_settings_take_effect_without_changing_what_was_written() {
    let mut world = World::new();
    let script = Script::new(24, 1000, &mut world);
    let (first, second) = script.entries.split_at(script.entries.len() / 2);
    let (before, after) = (ask(&script.tickers, &mut world), ask(&script.tickers, &mut world));
    // Without a checkpoint at the end of the first life, as after a kill.
    world.config.flush.checkpoint_interval = Duration::from_secs(3600);
    let killed = |life: Life, world: &World| {
        let config = world.config.clone();
        let (entries, asked) = (first.to_vec(), before.clone());
        async move {
            life.append(&entries).await;
            for (ticker, candles, ticks) in &asked {
                life.append(&[Entry::candles(ticker, &[], *candles), Entry::ticks(ticker, &[], *ticks)]).await;
            }
            let (_handle, _dying) = life.stream(&config, None).await;
            let ids: Vec<_> = asked.iter().flat_map(|(_, a, b)| [*a, *b]).collect();
            timeout(super::GUARD, life.notified(&ids)).await.expect("everybody is told");
        }
    };
    world.live(|life| killed(life, &world));
    world.config.aggregate.lateness = Duration::from_secs(7);
    world.config.aggregate.keep_1s = Duration::from_secs(600);
    let world = &world;
    world.live(|life| to_the_end(life, world, second, &script, &after));
}

#[test]
fn a_second_stream_on_the_same_state_is_refused_at_once() {
    let world = World::new();
    let world = &world;
    world.live(|life| async move {
        let (_handle, _dying) = life.stream(&world.config, None).await;
        let second = crate::start(world.config.clone(), life.environment(), CancellationToken::new()).await;
        assert!(matches!(second, Err(StreamError::StateDir(StateDirError::InUse { .. }))), "{second:?}");
    });
}

#[test]
fn another_log_than_the_one_the_lake_was_made_from_is_refused() {
    let mut world = World::new();
    let script = Script::new(25, 300, &mut world);
    let asked = ask(&script.tickers, &mut world);
    let world = &world;
    world.live(|life| one_half(life, world, &script.entries, &asked));
    std::fs::remove_dir_all(world.dir().join("log")).unwrap();
    world.live(|life| async move {
        let (handle, _dying) = life.stream(&world.config, None).await;
        let ended = timeout(super::GUARD, handle.wait()).await.expect("it stops by itself");
        assert!(matches!(ended, Err(StreamError::LogBehind { .. })), "{ended:?}");
    });
}
