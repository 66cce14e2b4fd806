//! The bounded set of series in memory, least recently used first out.

use crate::live::hub::count;
use crate::metrics::SeriesMetrics;
use crate::series::SeriesKey;
use crate::series::window::Window;
use ahash::AHashMap;
use proto::market::Candle;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A series in memory.
#[derive(Debug)]
pub(crate) struct Cached {
    window: Mutex<Window>,
    /// True once the first live message of the series came.
    primed: watch::Sender<bool>,
    /// Held while the lake is read for the series, so that many who ask at one time cause one read.
    pub(crate) loading: tokio::sync::Mutex<()>,
}

impl Cached {
    fn new() -> Self {
        Self { window: Mutex::default(), primed: watch::Sender::new(false), loading: tokio::sync::Mutex::default() }
    }

    pub(crate) fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the live tail is there.
    pub(crate) fn prime(&self) {
        self.primed.send_if_modified(|primed| !std::mem::replace(primed, true));
    }

    /// Waits for the live tail.
    pub(crate) async fn wait_primed(&self) {
        let mut primed = self.primed.subscribe();
        // The sender is `self`, so the wait ends with a value, never with a closed channel.
        _ = primed.wait_for(|primed| *primed).await;
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache {
    most: usize,
    most_rows: usize,
    series: AHashMap<SeriesKey, Entry>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    cached: Arc<Cached>,
    /// Order of use.
    used: u64,
    used_at: Instant,
}

impl Cache {
    pub(crate) fn new(most: usize, most_rows: usize) -> Self {
        Self { most: most.max(1), most_rows, series: AHashMap::new(), clock: 0 }
    }

    /// The series and whether it is new here; it becomes the most recently used one.
    pub(crate) fn open(&mut self, key: &SeriesKey, now: Instant) -> (Arc<Cached>, bool) {
        self.clock += 1;
        if let Some(entry) = self.series.get_mut(key) {
            (entry.used, entry.used_at) = (self.clock, now);
            return (entry.cached.clone(), false);
        }
        let cached = Arc::new(Cached::new());
        self.series.insert(key.clone(), Entry { cached: cached.clone(), used: self.clock, used_at: now });
        (cached, true)
    }

    /// The series, if it is here.
    pub(crate) fn get(&self, key: &SeriesKey) -> Option<Arc<Cached>> {
        self.series.get(key).map(|entry| entry.cached.clone())
    }

    /// Takes out the series that nobody asked for since `idle`.
    pub(crate) fn expire(&mut self, now: Instant, idle: Duration) -> Vec<SeriesKey> {
        let old = |entry: &Entry| now.duration_since(entry.used_at) >= idle;
        self.series.extract_if(|_, entry| old(entry)).map(|(key, _)| key).collect()
    }

    /// All series.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Cached>> {
        self.series.values().map(|entry| &entry.cached)
    }

    /// Takes out the least recently used series until the bounds hold; the newest one always stays.
    pub(crate) fn evict(&mut self) -> Vec<SeriesKey> {
        let mut evicted = Vec::new();
        while self.series.len() > 1 && (self.series.len() > self.most || self.rows() > self.most_rows) {
            let Some(key) = self.series.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone()) else {
                break;
            };
            self.series.remove(&key);
            evicted.push(key);
        }
        evicted
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn rows(&self) -> usize {
        self.all().map(|cached| cached.window().len()).sum()
    }
}

/// The cache as its users share it: the hub's candles come in, queries go out.
#[derive(Debug)]
pub(crate) struct Memory {
    cache: Mutex<Cache>,
    rows: usize,
    pub(crate) metrics: SeriesMetrics,
}

impl Memory {
    /// Room for `most` series of at most `rows` candles each, `most_rows` in all.
    pub(crate) fn new(most: usize, rows: usize, most_rows: usize, metrics: SeriesMetrics) -> Self {
        Self { cache: Mutex::new(Cache::new(most, most_rows)), rows, metrics }
    }

    /// Locks in the order cache → window.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Most candles of one series.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// The series, whether it is new here, and which ones had to go for it.
    pub(crate) fn open(&self, key: &SeriesKey) -> (Arc<Cached>, bool, Vec<SeriesKey>) {
        let mut cache = self.cache();
        let (cached, new) = cache.open(key, Instant::now());
        let evicted = if new { cache.evict() } else { Vec::new() };
        self.metrics.evicted.inc_by(evicted.len() as u64);
        self.metrics.cached.set(count(cache.len()));
        (cached, new, evicted)
    }

    /// Frees room after a series grew.
    pub(crate) fn shrink(&self) -> Vec<SeriesKey> {
        self.forget(Cache::evict)
    }

    /// Forgets what nobody asked for since `idle`.
    pub(crate) fn expire(&self, idle: Duration) -> Vec<SeriesKey> {
        self.forget(|cache| cache.expire(Instant::now(), idle))
    }

    fn forget(&self, choose: impl FnOnce(&mut Cache) -> Vec<SeriesKey>) -> Vec<SeriesKey> {
        let mut cache = self.cache();
        let forgotten = choose(&mut cache);
        self.metrics.evicted.inc_by(forgotten.len() as u64);
        self.metrics.cached.set(count(cache.len()));
        self.metrics.rows.set(count(cache.rows()));
        forgotten
    }

    /// Takes live candles of a series; those that were news, in order. Of a series that is not here all are.
    pub(crate) fn apply(&self, key: &SeriesKey, candles: Vec<Candle>) -> Vec<Candle> {
        let Some(cached) = self.cache().get(key) else { return candles };
        let mut window = cached.window();
        let news = candles.into_iter().filter(|candle| window.apply(candle, self.rows)).collect();
        drop(window);
        cached.prime();
        news
    }

    /// Notes that the series may lack rows.
    pub(crate) fn suspect(&self, key: &SeriesKey) {
        if let Some(cached) = self.cache().get(key) {
            cached.window().suspect();
        }
    }

    /// Notes that every series may lack rows.
    pub(crate) fn suspect_all(&self) {
        for cached in self.cache().all() {
            cached.window().suspect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::page::testing::candle;
    use proto::Interval;

    fn key(symbol: &str) -> SeriesKey {
        SeriesKey { venue: "SIM".parse().unwrap(), symbol: symbol.parse().unwrap(), interval: Interval::M1 }
    }

    #[test]
    fn the_least_recently_used_series_goes_first() {
        let mut cache = Cache::new(2, 100);
        cache.open(&key("A/B"), Instant::now());
        cache.open(&key("C/D"), Instant::now());
        assert!(!cache.open(&key("A/B"), Instant::now()).1);
        assert!(cache.open(&key("E/F"), Instant::now()).1);
        assert_eq!(cache.evict(), [key("C/D")]);
        assert!(cache.get(&key("A/B")).is_some() && cache.get(&key("E/F")).is_some());
    }

    #[test]
    fn the_rows_of_all_series_are_bounded_but_the_newest_series_stays() {
        let mut cache = Cache::new(10, 5);
        for symbol in ["A/B", "C/D"] {
            let (cached, _) = cache.open(&key(symbol), Instant::now());
            for n in 0..6 {
                cached.window().apply(&candle(n, 1), 100);
            }
        }
        assert_eq!(cache.rows(), 12);
        assert_eq!(cache.evict(), [key("A/B")]);
        assert_eq!((cache.len(), cache.rows()), (1, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn a_series_that_nobody_asks_for_expires() {
        let idle = Duration::from_secs(600);
        let mut cache = Cache::new(9, 99);
        cache.open(&key("A/B"), Instant::now());
        cache.open(&key("C/D"), Instant::now());
        tokio::time::advance(idle / 2).await;
        cache.open(&key("C/D"), Instant::now());
        tokio::time::advance(idle / 2).await;
        assert_eq!(cache.expire(Instant::now(), idle), [key("A/B")]);
        assert_eq!(cache.len(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_for_the_tail_is_woken_by_it() {
        let cached = Arc::new(Cached::new());
        let waiting = tokio::spawn({
            let cached = cached.clone();
            async move { cached.wait_primed().await }
        });
        cached.prime();
        tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
        cached.wait_primed().await;
    }
}
