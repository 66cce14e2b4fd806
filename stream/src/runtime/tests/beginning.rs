//! Candles that began before their feed did: marked as long as their start is missing, whole once it is there.

use super::world::{Entry, GUARD, Life, World};
use crate::update::Ticker;
use lake::CandleQuery;
use proto::market::{Candle, Side, Source, Tick};
use proto::{Decimal, Interval};
use tokio::time::timeout;

/// The start of a minute: 23:54.
const MINUTE: u64 = 1_723_161_240_000_000_000;
const SECOND: u64 = 1_000_000_000;
const FIVE_MINUTES: Interval = Interval::ALL[2];

fn ticker() -> Ticker {
    Ticker { venue: "SIM".parse().unwrap(), symbol: "BTC/USDT".parse().unwrap() }
}

fn tick(id: u64, second: u64, source: Source) -> Tick {
    Tick {
        venue: ticker().venue,
        symbol: ticker().symbol,
        trade_id: id.to_string(),
        event_time_ns: MINUTE + second * SECOND,
        receive_time_ns: MINUTE + second * SECOND,
        price: Decimal::from_int(100),
        size: Decimal::ONE,
        side: Side::Buy,
        source,
        repaired: source == Source::Backfill,
    }
}

/// Starts 17 seconds into the minute and goes on for six.
async fn begun(life: &Life, world: &World) {
    let live: Vec<Entry> = (0..40).map(|n| Entry::tick(&tick(100 + n, 17 + n * 9, Source::Live))).collect();
    life.append(&live).await;
    let (_handle, _dying) = life.stream(&world.config, None).await;
}

/// What the lake has of the minute that the feed began in, when everything so far is committed.
async fn minute(life: &Life, world: &mut World, interval: Interval) -> (bool, u32, u64, bool) {
    let request = world.request();
    life.append(&[Entry::ticks(&ticker(), &[], request)]).await;
    timeout(GUARD, life.notified(&[request])).await.expect("it is in the lake");
    let open = interval.open_time(MINUTE);
    let query = CandleQuery::range(ticker().venue, ticker().symbol, interval, open, open + 1);
    let row = life.lake.candles(&query).await.unwrap().remove(0);
    (row.closed, row.revision, row.trades, row.repaired)
}

#[test]
fn a_candle_that_began_before_its_feed_is_closed_when_its_trades_are_there() {
    let outer = World::new();
    outer.live(|life| async move {
        let mut world = World::new();
        begun(&life, &world).await;
        assert_eq!(minute(&life, &mut world, Interval::M1).await, (false, 0, 5, false));
        let missing = [tick(98, 3, Source::Backfill), tick(99, 11, Source::Backfill)];
        life.append(&[Entry::repaired(&ticker(), &missing, (MINUTE, MINUTE + 17 * SECOND + 1))]).await;
        assert_eq!(minute(&life, &mut world, Interval::M1).await, (true, 1, 7, true));
        let (closed, _, trades, _) = minute(&life, &mut world, FIVE_MINUTES).await;
        assert_eq!((closed, trades), (false, 7), "four minutes of it are missing");
        // Nothing was traded in them.
        life.append(&[Entry::repaired(&ticker(), &[], (FIVE_MINUTES.open_time(MINUTE), MINUTE))]).await;
        let (closed, _, trades, _) = minute(&life, &mut world, FIVE_MINUTES).await;
        assert_eq!((closed, trades), (true, 7));
    });
}

#[test]
fn a_candle_that_began_before_its_feed_is_closed_by_the_venues_own() {
    let outer = World::new();
    outer.live(|life| async move {
        let mut world = World::new();
        begun(&life, &world).await;
        assert_eq!(minute(&life, &mut world, Interval::M1).await, (false, 0, 5, false));
        let price = Decimal::from_int(100);
        let venue = Candle {
            venue: ticker().venue,
            symbol: ticker().symbol,
            interval: Interval::M1,
            open_time_ns: MINUTE,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Decimal::from_int(7),
            quote_volume: Decimal::ZERO,
            trades: 0,
            revision: 0,
            closed: true,
            repaired: false,
        };
        let request = world.request();
        life.append(&[Entry::candles(&ticker(), &[venue], request)]).await;
        timeout(GUARD, life.notified(&[request])).await.unwrap();
        let (closed, revision, trades, _) = minute(&life, &mut world, Interval::M1).await;
        assert_eq!((closed, revision, trades), (true, 1, 0), "how many trades nobody knows");
    });
}
