//! The life of one connection to a venue: sessions one after the other, with back-off between failures and a change
//! without a pause before the venue closes an old one.

use crate::backoff::Backoff;
use crate::board::Board;
use crate::intake::{Item, SessionNumber};
use crate::session::{self, SessionEnd, SessionParts};
use proto::wire::FeedState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use venues::Pacing;

/// Keeps the connections of a venue at least as far apart as it wants, over all of them.
#[derive(Debug)]
pub(crate) struct ConnectPacer {
    pacing: Pacing,
    recent: Mutex<std::collections::VecDeque<Instant>>,
}

impl ConnectPacer {
    pub(crate) fn new(pacing: Pacing) -> Self {
        Self { pacing, recent: Mutex::default() }
    }

    /// Waits for a turn to connect.
    pub(crate) async fn turn(&self) {
        let at = {
            let mut recent = self.recent.lock().await;
            let now = Instant::now();
            let full = recent.len() >= self.pacing.count.max(1) as usize;
            let at = recent.front().filter(|_| full).map_or(now, |oldest| (*oldest + self.pacing.per).max(now));
            if full {
                recent.pop_front();
            }
            recent.push_back(at);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

/// Waits and ages of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedRules {
    pub(crate) backoff_first: Duration,
    pub(crate) backoff_longest: Duration,
    pub(crate) healthy_after: Duration,
    pub(crate) connection_age: Duration,
}

/// Keeps one connection alive.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) link: String,
    pub(crate) parts: SessionParts,
    pub(crate) rules: FeedRules,
    pub(crate) board: Arc<Board>,
    pub(crate) pacer: Arc<ConnectPacer>,
    /// The latest session that brought data.
    pub(crate) data_seen: watch::Receiver<SessionNumber>,
    pub(crate) stop: CancellationToken,
}

/// How long an old connection is still read after its successor brought data.
const OVERLAP: Duration = Duration::from_secs(1);

struct Running {
    number: SessionNumber,
    started: Instant,
    stop: CancellationToken,
    task: JoinHandle<SessionEnd>,
}

impl Feed {
    /// Runs until stopped.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.rules.backoff_first, self.rules.backoff_longest);
        let mut number = 0;
        self.board.set_link(&self.link, FeedState::Connecting, "");
        let mut failures = 0u32;
        while !self.stop.is_cancelled() {
            number += 1;
            let Some(current) = self.start(number).await else { return };
            let (end, alive_for, latest) = self.supervise(current, number).await;
            number = latest;
            if matches!(end, SessionEnd::Stopped) || self.stop.is_cancelled() {
                break;
            }
            if alive_for >= self.rules.healthy_after {
                backoff.reset();
            }
            let connected = !matches!(end, SessionEnd::NotConnected(_));
            failures = if connected { 0 } else { failures.saturating_add(1) };
            self.report(&end, failures);
            let wait = backoff.next_wait(&mut rand::rng());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => break,
            }
        }
    }

    fn report(&self, end: &SessionEnd, failures: u32) {
        let metrics = &self.board.metrics;
        match end {
            SessionEnd::NotConnected(_) => {}
            SessionEnd::Mute(_) | SessionEnd::NoData(_) => {
                metrics.mutes.inc();
                metrics.reconnects.inc();
            }
            _ => {
                metrics.reconnects.inc();
            }
        }
        // One failed try is a reconnect in progress; several are a feed that is down.
        let state = if failures >= 3 { FeedState::Down } else { FeedState::Connecting };
        self.board.set_link(&self.link, state, &end.to_string());
        tracing::warn!(venue = %self.board.venue(), link = %self.link, %end, failures, "connection lost");
    }

    async fn start(&self, number: SessionNumber) -> Option<Running> {
        tokio::select! {
            () = self.pacer.turn() => {}
            () = self.stop.cancelled() => return None,
        }
        let stop = self.stop.child_token();
        let task = tokio::spawn(session::run(self.parts.clone(), number, stop.clone()));
        self.board.metrics.connects.inc();
        Some(Running { number, started: Instant::now(), stop, task })
    }

    /// Runs a session, and its replacement when it is old, until neither is left. Returns how the last one ended, how
    /// long it lived and its number.
    async fn supervise(
        &mut self,
        mut current: Running,
        mut latest: SessionNumber,
    ) -> (SessionEnd, Duration, SessionNumber) {
        let mut next: Option<Running> = None;
        let mut replace_at = current.started + self.rules.connection_age;
        let mut retire_at: Option<Instant> = None;
        loop {
            tokio::select! {
                end = &mut current.task => {
                    let end = end.unwrap_or_else(|error| SessionEnd::Closed(error.to_string()));
                    self.lost(current.number).await;
                    match next.take() {
                        Some(successor) => current = successor,
                        None => return (end, current.started.elapsed(), latest),
                    }
                    (replace_at, retire_at) = (current.started + self.rules.connection_age, None);
                }
                end = ended(&mut next) => {
                    tracing::warn!(link = %self.link, end = %end, "replacement of an old connection failed");
                    if let Some(failed) = next.take() {
                        self.lost(failed.number).await;
                    }
                    replace_at = Instant::now() + self.rules.backoff_longest;
                }
                () = tokio::time::sleep_until(replace_at), if next.is_none() => {
                    latest += 1;
                    next = self.start(latest).await;
                    self.board.metrics.rollovers.inc();
                    replace_at = Instant::now() + self.rules.connection_age;
                }
                Ok(()) = self.data_seen.changed(), if next.is_some() => {
                    let seen = *self.data_seen.borrow_and_update();
                    if next.as_ref().is_some_and(|successor| successor.number == seen) {
                        retire_at = Some(Instant::now() + OVERLAP);
                    }
                }
                () = tokio::time::sleep_until(retire_at.unwrap_or(replace_at)), if retire_at.is_some() => {
                    // The new one works, and what was on its way on the old one is here.
                    retire_at = None;
                    current.stop.cancel();
                }
            }
        }
    }

    /// Tells the intake, after everything that the session sent.
    async fn lost(&self, number: SessionNumber) {
        // If the intake is gone, the process stops.
        let _stopping = self.parts.items.send(Item::Lost(number)).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A session never outlives its feed.
        self.stop.cancel();
    }
}

/// How the replacement ended; never, while there is none.
async fn ended(next: &mut Option<Running>) -> SessionEnd {
    match next {
        Some(running) => (&mut running.task).await.unwrap_or_else(|error| SessionEnd::Closed(error.to_string())),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_keep_the_distance_that_the_venue_wants() {
        let pacer = ConnectPacer::new(Pacing { count: 2, per: Duration::from_secs(10) });
        let start = Instant::now();
        let mut seconds = Vec::new();
        for _ in 0..5 {
            pacer.turn().await;
            seconds.push(start.elapsed().as_secs());
        }
        assert_eq!(seconds, [0, 0, 10, 10, 20]);
    }
}
