//! HTTP: the routes, what guards them, and the page.
//!
//! `router` puts the layers together, `guard` refuses foreign hosts and origins, `query` reads
//! parameters; the rest is one file per route.

pub(crate) mod assets;
pub(crate) mod candles;
pub(crate) mod chat;
pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod indicators;
pub(crate) mod instruments;
pub(crate) mod mcp;
pub(crate) mod notifications;
pub(crate) mod openapi;
pub(crate) mod person;
pub(crate) mod query;
pub(crate) mod router;
pub(crate) mod venues;
pub(crate) mod websocket;
pub(crate) mod workspace;

use crate::config::Config;
use crate::directory::Problem;
use crate::directory::reader::SharedDirectory;
use crate::http::history::BulkDesk;
use crate::live::hub::Hub;
use crate::live::session::SessionContext;
use crate::metrics::HttpMetrics;
use crate::series::candles::Candles;
use crate::view::HealthView;
use service::clock::Clock;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

/// What the routes share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) candles: Arc<Candles>,
    pub(crate) bulk: BulkDesk,
    pub(crate) directory: Arc<SharedDirectory>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) sessions: Arc<SessionContext>,
    pub(crate) metrics: HttpMetrics,
    pub(crate) clock: Clock,
    pub(crate) connected: watch::Receiver<bool>,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) tracker: TaskTracker,
    /// True if only this machine can connect, so that a foreign `Host` can only be DNS rebinding.
    pub(crate) loopback: bool,
}

impl App {
    /// Health as it is now.
    pub(crate) fn health(&self) -> HealthView {
        let mut problems = Vec::new();
        if !*self.connected.borrow() {
            problems.push(Problem::RelayDisconnected);
        }
        if self.directory.is_unreadable() {
            problems.push(Problem::LogUnreadable);
        }
        self.directory.read().health(&problems, self.clock.now_ns())
    }
}
