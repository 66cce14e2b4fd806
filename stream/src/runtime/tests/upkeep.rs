//! Small files are merged while the stream lives, and a kill in the middle of that costs nothing.

use super::market::Script;
use super::world::{Entry, GUARD, Life, World, rewrites};
use super::{Asked, ask, to_the_end};
use crate::update::Ticker;
use lake::Table;
use proto::RequestId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::timeout;

const LIVES: usize = 12;

/// Where a life ends: so many steps after the n-th look for small files, or when all is told.
#[derive(Debug, Clone, Copy)]
struct End {
    nth: usize,
    steps: u32,
}

async fn killed(life: Life, world: &World, entries: &[Entry], end: End, (ticker, request): (&Ticker, RequestId)) {
    life.append(entries).await;
    let (_handle, dying) = life.stream_rewriting(&world.config, end.nth).await;
    life.append(&[Entry::candles(ticker, &[], request)]).await;
    let done = [request];
    let died = async {
        tokio::select! {
            () = dying.reached.notified() => for _ in 0..end.steps {
                tokio::task::yield_now().await;
            },
            () = life.notified(&done) => {}
        }
    };
    timeout(GUARD, died).await.expect("neither dead nor done");
}

#[test]
fn kills_at_random_moments_of_rewrites_leave_the_lake_exact() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    let script = Script::new(seed, 2400, &mut world);
    let share = script.entries.len() / (LIVES + 1);
    let mut entries = script.entries.as_slice();
    for _ in 0..LIVES {
        let (now, later) = entries.split_at(share);
        entries = later;
        let end = End { nth: random.random_range(1..4), steps: random.random_range(0..60_000) };
        let last = world.request();
        let (world, ticker) = (&world, &script.tickers[0]);
        world.live(|life| killed(life, world, now, end, (ticker, last)));
    }
    let asked: Asked = ask(&script.tickers, &mut world);
    let world = &world;
    world.live(|life| to_the_end(life, world, entries, &script, &asked));
    let counts = Table::ALL.map(|table| rewrites(world, table));
    println!("rewrites {counts:?}");
    assert!(counts.iter().all(|count| *count >= 2), "rewrites {counts:?}");
}

#[test]
fn small_files_are_merged_after_commits_and_the_status_says_so() {
    let mut world = World::new();
    let script = Script::new(30, 1500, &mut world);
    let asked = ask(&script.tickers, &mut world);
    let world = &world;
    world.live(|life| async move {
        let (handle, dying) = super::fed(&life, world, &script.entries, &asked).await;
        let status = handle.status();
        let merged = async {
            while status.json()["lake_upkeep"]["rewritten_files"].as_u64().unwrap() == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(GUARD, merged).await.expect("small files are merged");
        super::drained(handle, dying).await;
        script.expected.check(world, &life.lake).await;
    });
}
