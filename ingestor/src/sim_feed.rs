//! Drives the live feed of the simulated exchange with the clock, in the place of a WebSocket session.

use crate::intake::{Item, SessionNumber};
use crate::sim::{self, SimExchange, SimFeed};
use crate::store::RawInput;
use proto::Symbol;
use service::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const SESSION: SessionNumber = 1;
/// A quiet exchange shows once a second that it lives.
const ALIVE_EVERY_NS: u64 = 1_000_000_000;

/// What the sim feed works with.
#[derive(Debug)]
pub(crate) struct SimFeedParts {
    pub(crate) exchange: Arc<SimExchange>,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) link: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) step: Duration,
    pub(crate) items: mpsc::Sender<Item>,
}

/// Sends the frames of the exchange as time passes, until stopped.
pub(crate) async fn run(parts: SimFeedParts, stop: CancellationToken) {
    tokio::select! {
        // The intake ends only when the process stops.
        _intake_gone = send(&parts) => {}
        () = stop.cancelled() => {}
    }
    let _stopping = parts.items.send(Item::Lost(SESSION)).await;
}

async fn send(parts: &SimFeedParts) -> Result<(), mpsc::error::SendError<Item>> {
    let start_ns = parts.clock.now_ns();
    let mut feed = SimFeed::new(&parts.exchange, &parts.symbols, start_ns / 1_000_000);
    let frame = |payload, receive_time_ns| {
        Item::Frame(SESSION, RawInput { channel: Arc::clone(&parts.link), receive_time_ns, payload })
    };
    parts.items.send(Item::Up(SESSION)).await?;
    parts.items.send(frame(sim::subscribed(&parts.symbols), start_ns)).await?;
    let mut timer = tokio::time::interval(parts.step);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut alive_ns = start_ns;
    loop {
        timer.tick().await;
        let now_ns = parts.clock.now_ns();
        let frames = feed.advance(now_ns / 1_000_000);
        if frames.is_empty() && now_ns >= alive_ns + ALIVE_EVERY_NS {
            alive_ns = now_ns;
            parts.items.send(Item::Alive(SESSION, now_ns)).await?;
        }
        for payload in frames {
            alive_ns = now_ns;
            parts.items.send(frame(payload, now_ns)).await?;
        }
    }
}
