//! A venue on this machine: WebSocket feed and REST API in the venue's own dialect, over a table of trades, and able to
//! misbehave on command.
//!
//! A test adds trades to the table ([`VenueServer::add`]), decides which of them the feed delivers, in which order and how
//! often ([`VenueServer::deliver`]), and breaks things: sockets dropped or mute, garbage, refused connections, REST faults
//! ([`Fault`]). What it answers over REST always follows from the table. It counts and times requests, so a test can
//! assert that limits were kept. [`VenueServer::generate`] makes trades by itself, for tests of whole processes.

mod binance;
mod bybit;
mod coinbase;
pub mod dialect;
mod kraken;
mod okx;
mod rest;
mod sim;
mod socket;
pub mod table;

pub use rest::{Fault, Served};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dialect::Dialect;
use proto::{Symbol, Venue};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use table::Table;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// What the sockets are told to do.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Send a frame to those who asked for trades.
    Trade(Bytes),
    /// Send a frame to those who asked for quotes.
    Quote(Bytes),
    /// Send bytes to everybody.
    Raw(Bytes),
    /// Break the connection off without a word.
    Drop,
    /// Close it properly.
    Close,
}

/// Longest queue of orders; a test never has more on the way.
const ORDERS: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Shared {
    dialect: Box<dyn Dialect>,
    table: Mutex<Table>,
    orders: broadcast::Sender<Order>,
    /// Sockets say nothing and read nothing while true.
    mute: watch::Sender<bool>,
    /// New connections are refused while true.
    refuse: watch::Sender<bool>,
    /// REST requests wait while true.
    hold: watch::Sender<bool>,
    /// Open connections, and those of them that asked for trades.
    connections: watch::Sender<Connections>,
    faults: Mutex<VecDeque<Fault>>,
    served: watch::Sender<Vec<Served>>,
    stop: CancellationToken,
}

/// Who is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connections {
    /// Open sockets.
    pub open: usize,
    /// Of these, how many asked for trades.
    pub trades: usize,
    /// Of these, how many asked for quotes.
    pub quotes: usize,
    /// Sockets opened since the start.
    pub ever: usize,
}

impl Shared {
    pub(crate) fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running venue.
#[derive(Debug)]
pub struct VenueServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Drop for VenueServer {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl VenueServer {
    /// Starts a venue on a free port of the loopback interface.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(venue: &Venue, symbols: &[Symbol]) -> std::io::Result<Self> {
        Self::start_at(venue, symbols, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts a venue at an address.
    ///
    /// # Errors
    /// If it cannot be bound.
    pub async fn start_at(venue: &Venue, symbols: &[Symbol], address: SocketAddr) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            dialect: dialect::of(venue),
            table: Mutex::new(Table::new(symbols)),
            orders: broadcast::channel(ORDERS).0,
            mute: watch::channel(false).0,
            refuse: watch::channel(false).0,
            hold: watch::channel(false).0,
            connections: watch::channel(Connections::default()).0,
            faults: Mutex::default(),
            served: watch::channel(Vec::new()).0,
            stop: CancellationToken::new(),
        });
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(any_path).with_state(Arc::clone(&shared));
        let stop = shared.stop.clone();
        tokio::spawn(async move {
            let server = axum::serve(listener, router);
            tokio::select! {
                _ended = server => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Self { shared, address })
    }

    /// `ws://127.0.0.1:PORT`
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds trades that happen now without delivering them. Returns their ids.
    pub fn add(&self, symbol: &Symbol, count: usize) -> Vec<u64> {
        let now_ms = service::clock::now_ns() / 1_000_000;
        self.add_at(symbol, count, now_ms, 0)
    }

    /// Adds trades at a time and then each `step_ms` later.
    pub fn add_at(&self, symbol: &Symbol, count: usize, first_ms: u64, step_ms: u64) -> Vec<u64> {
        let mut table = self.shared.table();
        (0..count as u64).map(|index| table.add(symbol, first_ms + index * step_ms)).collect()
    }

    /// Delivers trades of the table on the feed, in this order; an id may stand twice.
    pub fn deliver(&self, symbol: &Symbol, ids: &[u64]) {
        let table = self.shared.table();
        for id in ids {
            if let Some(trade) = table.trades(symbol).iter().find(|trade| trade.id == *id) {
                self.order(Order::Trade(Bytes::from(self.shared.dialect.trade(symbol, trade))));
            }
        }
    }

    /// Adds trades and delivers them. Returns their ids.
    pub fn trade(&self, symbol: &Symbol, count: usize) -> Vec<u64> {
        let ids = self.add(symbol, count);
        self.deliver(symbol, &ids);
        ids
    }

    /// Sends the quote around the last trade.
    pub fn quote(&self, symbol: &Symbol) {
        let table = self.shared.table();
        if let Some(trade) = table.trades(symbol).last() {
            self.order(Order::Quote(Bytes::from(self.shared.dialect.quote(symbol, trade))));
        }
    }

    /// Sends bytes as they are to every connection: garbage, or frames of a recording.
    pub fn send_raw(&self, frame: impl Into<Bytes>) {
        self.order(Order::Raw(frame.into()));
    }

    fn order(&self, order: Order) {
        // Nobody connected: like a venue without listeners.
        let _nobody = self.shared.orders.send(order);
    }

    /// Breaks every connection off without a close frame.
    pub fn drop_connections(&self) {
        self.order(Order::Drop);
    }

    /// Closes every connection with a close frame.
    pub fn close_connections(&self) {
        self.order(Order::Close);
    }

    /// Connections stay open but say nothing and read nothing, or go on.
    pub fn mute(&self, mute: bool) {
        self.shared.mute.send_replace(mute);
    }

    /// Refuses new connections, or takes them again.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuse.send_replace(refuse);
    }

    /// REST requests hang without an answer, or go on.
    pub fn hold_rest(&self, hold: bool) {
        self.shared.hold.send_replace(hold);
    }

    /// The next REST requests are answered with these faults, one each.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.faults().extend(faults);
    }

    /// The ids of all trades of a symbol, as the platform shows them.
    #[must_use]
    pub fn shown_ids(&self, symbol: &Symbol) -> Vec<String> {
        self.shared.table().trades(symbol).iter().map(|trade| self.shared.dialect.shown_id(trade.id)).collect()
    }

    /// A copy of the table.
    #[must_use]
    pub fn table(&self) -> Table {
        self.shared.table().clone()
    }

    /// Who is connected now.
    #[must_use]
    pub fn connections(&self) -> Connections {
        *self.shared.connections.borrow()
    }

    /// Waits until the connections are as wanted.
    pub async fn wait_connections(&self, wanted: impl Fn(&Connections) -> bool) -> Connections {
        let mut connections = self.shared.connections.subscribe();
        // The sender lives as long as this server.
        connections.wait_for(wanted).await.map_or_else(|_| Connections::default(), |now| *now)
    }

    /// All REST requests so far.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        self.shared.served.borrow().clone()
    }

    /// Waits until the REST requests are as wanted.
    pub async fn wait_served(&self, wanted: impl Fn(&[Served]) -> bool) -> Vec<Served> {
        let mut served = self.shared.served.subscribe();
        served.wait_for(|served| wanted(served)).await.map_or_else(|_| Vec::new(), |served| served.clone())
    }

    /// The most REST requests that came within any span of this length.
    #[must_use]
    pub fn most_within(&self, span: Duration) -> usize {
        let served = self.served();
        let count = |(index, first): (usize, &Served)| {
            served[index..].iter().take_while(|later| later.at.duration_since(first.at) < span).count()
        };
        served.iter().enumerate().map(count).max().unwrap_or(0)
    }

    /// Makes trades by itself until the server is dropped: one each `every` and symbol, of which each `lose`-th is not
    /// delivered.
    pub fn generate(&self, every: Duration, lose: Option<u64>) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let mut timer = tokio::time::interval(every);
            loop {
                tokio::select! {
                    _ = timer.tick() => generate_once(&shared, lose),
                    () = shared.stop.cancelled() => return,
                }
            }
        });
    }
}

fn generate_once(shared: &Shared, lose: Option<u64>) {
    let now_ms = service::clock::now_ns() / 1_000_000;
    let mut table = shared.table();
    let symbols: Vec<Symbol> = table.symbols().cloned().collect();
    for symbol in symbols {
        let id = table.add(&symbol, now_ms);
        let lost = lose.is_some_and(|each| id.is_multiple_of(each.max(1)));
        if let (false, Some(trade)) = (lost, table.trades(&symbol).last()) {
            let frames = [
                Order::Trade(shared.dialect.trade(&symbol, trade).into()),
                Order::Quote(shared.dialect.quote(&symbol, trade).into()),
            ];
            for frame in frames {
                let _nobody = shared.orders.send(frame);
            }
        }
    }
}

async fn any_path(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(_) if *shared.refuse.borrow() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Ok(upgrade) => upgrade.on_upgrade(move |socket| socket::serve(socket, shared)),
        Err(_) => rest::answer(&shared, &uri).await,
    }
}
