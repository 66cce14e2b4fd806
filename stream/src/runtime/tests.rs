//! Whole streams over a real log and a real lake, killed at every step of a flush and at any moment, and started again.

mod market;
mod world;

use super::*;
use crate::committer::Stage;
use market::Script;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::timeout;
use world::{Death, Entry, GUARD, World};

const STAGES: [Stage; 7] = [
    Stage::Sync,
    Stage::Ticks,
    Stage::Book,
    Stage::Candles,
    Stage::Notify,
    Stage::Checkpoint,
    Stage::Group,
];

/// Lives through the script: a death per life, then one life to the end; the lake must hold exactly what it should.
fn lives(seed: u64, world: &mut World, deaths: &[Death]) {
    println!("seed {seed}, deaths {deaths:?}");
    let script = Script::new(seed, 1500, world);
    let share = script.entries.len() / (deaths.len() + 1);
    let mut entries = script.entries.as_slice();
    for (number, death) in deaths.iter().enumerate() {
        let (now, later) = entries.split_at(share);
        entries = later;
        // If the death is never reached, the life ends when all that there is was notified.
        let request = world.request();
        let config = world.config.clone();
        world.live(|life| async move {
            life.append(now).await;
            let (handle, dying) = life.stream(&config, Some(*death)).await;
            life.append(&[Entry::candles(&script.tickers[0], &[], request)]).await;
            tokio::select! {
                () = dying.reached.notified() => {
                    // A few more steps of everything, so that the death comes somewhere in the middle.
                    for _ in 0..(seed as usize + number) % 40 {
                        tokio::task::yield_now().await;
                    }
                }
                () = life.notified(&[request]) => {}
                () = tokio::time::sleep(GUARD) => panic!("neither dead nor done"),
            }
            drop(handle);
        });
    }
    let requests: Vec<_> = script.tickers.iter().map(|ticker| (ticker, world.request(), world.request())).collect();
    let config = world.config.clone();
    world.live(|life| async {
        life.append(entries).await;
        for (ticker, candles, ticks) in &requests {
            life.append(&[Entry::candles(ticker, &[], *candles), Entry::ticks(ticker, &[], *ticks)]).await;
        }
        let (handle, dying) = life.stream(&config, None).await;
        let ids: Vec<_> = requests.iter().flat_map(|(_, a, b)| [*a, *b]).collect();
        timeout(GUARD, life.notified(&ids)).await.unwrap();
        dying.stop.cancel();
        timeout(GUARD, handle.wait()).await.unwrap().unwrap();
        script.expected.check(world, &life.lake).await;
    });
}

fn death(stage: Stage, hits: usize, under_way: bool) -> Death {
    Death { stage, hits, under_way }
}

#[test]
fn a_stream_that_is_never_killed_writes_exactly_what_brute_force_says() {
    lives(1, &mut World::new(), &[]);
}

#[test]
fn a_kill_before_each_step_of_a_flush_leaves_the_lake_exact() {
    lives(2, &mut World::new(), &STAGES.map(|stage| death(stage, 1, false)));
}

#[test]
fn a_kill_in_the_middle_of_each_step_leaves_the_lake_exact() {
    lives(3, &mut World::new(), &STAGES.map(|stage| death(stage, 2, true)));
}

#[test]
fn kills_at_random_steps_leave_the_lake_exact_with_and_without_frequent_checkpoints() {
    for seed in 10..16 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::new();
        if seed % 2 == 0 {
            world.config.flush.checkpoint_interval = Duration::from_secs(3600);
        }
        let deaths: Vec<_> = (0..6)
            .map(|_| death(STAGES[random.random_range(0..7)], random.random_range(1..4), random.random_bool(0.7)))
            .collect();
        lives(seed, &mut world, &deaths);
    }
}
