//! Whole streams over a real log and a real lake: killed at every step of a flush and started again, started with damaged
//! state, slowed down, and listened to.

mod beginning;
mod feed;
mod market;
mod restarts;
mod upkeep;
mod world;

use super::*;
use crate::committer::Stage;
use crate::update::Ticker;
use market::Script;
use proto::RequestId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::timeout;
use world::{Death, Dying, Entry, GUARD, Life, World};

const STAGES: [Stage; 7] =
    [Stage::Sync, Stage::Ticks, Stage::Book, Stage::Candles, Stage::Notify, Stage::Checkpoint, Stage::Group];

/// Two requests for each ticker that ask only to be told when all before them is in the lake.
type Asked = Vec<(Ticker, RequestId, RequestId)>;

fn ask(tickers: &[Ticker], world: &mut World) -> Asked {
    tickers.iter().map(|ticker| (ticker.clone(), world.request(), world.request())).collect()
}

/// A stream that has taken all entries and committed them.
async fn fed(life: &Life, world: &World, entries: &[Entry], asked: &Asked) -> (StreamHandle, Dying) {
    life.append(entries).await;
    for (ticker, candles, ticks) in asked {
        life.append(&[Entry::candles(ticker, &[], *candles), Entry::ticks(ticker, &[], *ticks)]).await;
    }
    let (handle, dying) = life.stream(&world.config, None).await;
    let requests: Vec<_> = asked.iter().flat_map(|(_, a, b)| [*a, *b]).collect();
    timeout(GUARD, life.notified(&requests)).await.expect("everybody is told");
    (handle, dying)
}

async fn drained(handle: StreamHandle, dying: Dying) {
    dying.stop.cancel();
    timeout(GUARD, handle.wait()).await.expect("the drain ends").unwrap();
}

/// Lives through the script: a death per life, then one life to the end; the lake must hold exactly what it should.
fn lives(seed: u64, world: &mut World, deaths: &[Death]) {
    println!("seed {seed}, deaths {deaths:?}");
    let script = Script::new(seed, 1500, world);
    let share = script.entries.len() / (deaths.len() + 1);
    let mut entries = script.entries.as_slice();
    for (number, death) in deaths.iter().enumerate() {
        let (now, later) = entries.split_at(share);
        entries = later;
        let last = world.request();
        let steps = (seed + number as u64) % 40;
        let (world, ticker) = (&*world, &script.tickers[0]);
        world.live(|life| killed(life, world, now, (*death, steps), (ticker, last)));
    }
    let asked = ask(&script.tickers, world);
    let world = &*world;
    world.live(|life| to_the_end(life, world, entries, &script, &asked));
}

/// A life that ends in a death: at the step and a few moments more, or, if it never gets there, when all is done.
async fn killed(
    life: Life,
    world: &World,
    entries: &[Entry],
    (death, steps): (Death, u64),
    (ticker, request): (&Ticker, RequestId),
) {
    life.append(entries).await;
    let (_handle, dying) = life.stream(&world.config, Some(death)).await;
    life.append(&[Entry::candles(ticker, &[], request)]).await;
    let done = [request];
    let died = async {
        tokio::select! {
            () = dying.reached.notified() => for _ in 0..steps {
                tokio::task::yield_now().await;
            },
            () = life.notified(&done) => {}
        }
    };
    timeout(GUARD, died).await.expect("neither dead nor done");
}

async fn to_the_end(life: Life, world: &World, entries: &[Entry], script: &Script, asked: &Asked) {
    let (handle, dying) = fed(&life, world, entries, asked).await;
    drained(handle, dying).await;
    script.expected.check(world, &life.lake).await;
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
