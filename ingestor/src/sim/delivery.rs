//! What the live feed of the simulated exchange delivers, and when: most trades at once, some late, twice or never.

use super::exchange::SimExchange;
use super::market::{SimMarket, SimTrade};
use super::{frames, random};
use crate::sim::SimConfig;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Time from a trade to its frame.
const LATENCY_MS: u64 = 5;
/// After a longer pause (a machine that slept) the feed does not catch up: like a real one it lost what it did not send.
const PAUSE_MS: u64 = 10_000;

/// When the copies of a trade are delivered, in milliseconds after it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fate {
    first_ms: Option<u64>,
    second_ms: Option<u64>,
}

fn fate(config: &SimConfig, market_seed: u64, id: u64) -> Fate {
    let dice = random::at(market_seed, id);
    let hit = |bits: u64, per_million: u32| bits % 1_000_000 < u64::from(per_million);
    if hit(dice & 0xF_FFFF_FFFF, config.lost_per_million) {
        return Fate { first_ms: None, second_ms: None };
    }
    let other = random::mix(dice);
    let first = if hit(other & 0xFFFF_FFFF, config.late_per_million) { 1_000 + other % 4_001 } else { LATENCY_MS };
    let again = random::mix(other);
    let second = hit(again & 0xFFFF_FFFF, config.duplicate_per_million).then(|| first + again % 2_001);
    Fate { first_ms: Some(first), second_ms: second }
}

struct Subscription {
    market: Arc<SimMarket>,
    seed: u64,
    /// The minute whose trades are kept, so that each is drawn once.
    minute: u64,
    trades: Vec<SimTrade>,
}

/// The live feed of some symbols; drive it with the time.
pub(crate) struct SimFeed {
    config: SimConfig,
    subscriptions: Vec<Subscription>,
    delivered_to_ms: u64,
    waiting: BinaryHeap<Reverse<(u64, u64, Bytes)>>,
    order: u64,
}

impl std::fmt::Debug for SimFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimFeed").field("delivered_to_ms", &self.delivered_to_ms).finish_non_exhaustive()
    }
}

impl SimFeed {
    /// A feed that begins after `now_ms`; symbols that are not listed are left out.
    pub(crate) fn new(exchange: &SimExchange, symbols: &[proto::Symbol], now_ms: u64) -> Self {
        let config = exchange.config().clone();
        let subscription = |symbol: &proto::Symbol| {
            let market = exchange.market(symbol)?.clone();
            let seed = random::seed_of(config.seed ^ 0x6465_6c69_7665_7279, symbol.as_str());
            Some(Subscription { market, seed, minute: 0, trades: Vec::new() })
        };
        let subscriptions = symbols.iter().filter_map(subscription).collect();
        Self { config, subscriptions, delivered_to_ms: now_ms, waiting: BinaryHeap::new(), order: 0 }
    }

    /// The frames that the exchange sends after the last call and until `now_ms`, in order.
    pub(crate) fn advance(&mut self, now_ms: u64) -> Vec<Bytes> {
        let mut from_ms = self.delivered_to_ms;
        if now_ms <= from_ms {
            return Vec::new();
        }
        if now_ms - from_ms > PAUSE_MS {
            from_ms = now_ms - PAUSE_MS / 10;
            self.waiting.clear();
        }
        for index in 0..self.subscriptions.len() {
            self.happened(index, from_ms + 1, now_ms + 1);
        }
        self.delivered_to_ms = now_ms;
        let mut frames = Vec::new();
        while self.waiting.peek().is_some_and(|Reverse((at_ms, ..))| *at_ms <= now_ms) {
            frames.extend(self.waiting.pop().map(|Reverse((.., frame))| frame));
        }
        frames
    }

    /// Queues the frames of the trades of `[from_ms, to_ms)`.
    fn happened(&mut self, index: usize, from_ms: u64, to_ms: u64) {
        let subscription = &mut self.subscriptions[index];
        for minute in from_ms / 60_000..=(to_ms - 1) / 60_000 {
            if subscription.minute != minute {
                subscription.trades = subscription.market.trades_of_minute(minute);
                subscription.minute = minute;
            }
            let start = subscription.trades.partition_point(|t| t.time_ms < from_ms);
            for trade in subscription.trades[start..].iter().take_while(|t| t.time_ms < to_ms) {
                let fate = fate(&self.config, subscription.seed, trade.id);
                let copies = [fate.first_ms, fate.second_ms].into_iter().flatten();
                for delay_ms in copies {
                    self.order += 1;
                    let frame = frames::trade(&subscription.market, trade);
                    self.waiting.push(Reverse((trade.time_ms + delay_ms, self.order, frame)));
                }
                self.order += 1;
                let frame = frames::quote(&subscription.market, trade);
                self.waiting.push(Reverse((trade.time_ms + LATENCY_MS, self.order, frame)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Symbol;
    use service::clock::Clock;
    use std::collections::BTreeMap;

    const START_MS: u64 = 1_723_075_200_000;

    fn ids(frames: &[Bytes]) -> Vec<u64> {
        let id = |frame: &Bytes| {
            let value: serde_json::Value = serde_json::from_slice(frame).unwrap();
            (value["e"] == "trade").then(|| value["i"].as_u64().unwrap())
        };
        frames.iter().filter_map(id).collect()
    }

    fn feed(config: SimConfig) -> (SimFeed, Arc<SimMarket>) {
        let symbol: Symbol = "BTC/USDT".parse().unwrap();
        let exchange = SimExchange::new(config, &[], Clock::manual(0));
        (SimFeed::new(&exchange, std::slice::from_ref(&symbol), START_MS), exchange.market(&symbol).unwrap().clone())
    }

    fn run(feed: &mut SimFeed, seconds: u64, step_ms: usize) -> Vec<Bytes> {
        (START_MS..=START_MS + seconds * 1000).step_by(step_ms).flat_map(|now| feed.advance(now)).collect()
    }

    #[test]
    fn all_trades_arrive_some_twice_and_some_out_of_order() {
        let config = SimConfig { late_per_million: 20_000, duplicate_per_million: 20_000, ..SimConfig::default() };
        let (mut feed, market) = feed(config);
        let got = ids(&run(&mut feed, 610, 37));
        let expected: Vec<u64> =
            market.trades(START_MS + 1, START_MS + 600_000, usize::MAX).iter().map(|t| t.id).collect();
        let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
        got.iter().for_each(|id| *counts.entry(*id).or_default() += 1);
        assert!(expected.iter().all(|id| counts.contains_key(id)));
        assert!(counts.values().filter(|n| **n == 2).count() > 20);
        assert!(counts.values().all(|n| *n <= 2));
        assert!(got.windows(2).filter(|p| p[1] < p[0]).count() > 20);
    }

    #[test]
    fn the_step_in_which_time_passes_does_not_matter() {
        let (mut fine, _) = feed(SimConfig::default());
        let (mut coarse, _) = feed(SimConfig::default());
        assert_eq!(run(&mut fine, 60, 10), run(&mut coarse, 60, 1_000));
    }

    #[test]
    fn lost_trades_never_arrive() {
        let (mut feed, market) = feed(SimConfig { lost_per_million: 100_000, ..SimConfig::default() });
        let got = ids(&run(&mut feed, 120, 100));
        let expected = market.trades(START_MS + 1, START_MS + 100_000, usize::MAX);
        let lost = expected.iter().filter(|t| !got.contains(&t.id)).count();
        assert!(lost * 20 > expected.len() && lost * 5 < expected.len(), "{lost} of {}", expected.len());
    }

    #[test]
    fn after_a_long_pause_the_feed_goes_on_with_the_present() {
        let (mut feed, market) = feed(SimConfig::default());
        feed.advance(START_MS + 100);
        let got = ids(&feed.advance(START_MS + 3_600_000));
        let all = market.trades(START_MS, START_MS + 3_600_000, usize::MAX).len();
        assert!(!got.is_empty() && got.len() * 100 < all, "{} of {all}", got.len());
    }
}
