//! Everything that one venue needs: its board, REST side, continuity, instruments, repair and feeds, as tracked tasks.

use crate::board::Board;
use crate::config::{Config, Limits, Mode, Timing, VenueConfig};
use crate::continuity::{Continuity, ContinuityLimits};
use crate::feed::{ConnectPacer, Feed, FeedRules};
use crate::gaps::GapLimits;
use crate::history::VenueDesk;
use crate::history::fetch::HistoryFetcher;
use crate::history::jobs::{JobBook, JobLimits};
use crate::instruments::{self, InstrumentPublisher};
use crate::intake::{Intake, IntakeParts, Item, SharedContinuity};
use crate::log_writer::LogWriter;
use crate::members::Members;
use crate::metrics::IngestorMetrics;
use crate::normalise::SourceRules;
use crate::repair::Repairer;
use crate::rest_client::RestClient;
use crate::run::{IngestorError, IngestorParts, Tasks};
use crate::session::{SessionParts, SessionRules};
use crate::sim::SimExchange;
use crate::sim_feed::{self, SimFeedParts};
use crate::store::Store;
use crate::tail;
use crate::transport::Transport;
use proto::Symbol;
use proto::market::Source;
use proto::wire::{FeedMode, FeedState};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use venues::{Adapter, Connection, Pacing};

/// How long the feeds wait for the instruments when a symbol has no name without them.
const NAMES_WAIT: Duration = Duration::from_secs(15);

/// A venue in mode live or sim.
#[derive(Debug)]
pub(crate) struct VenueTask {
    entry: VenueConfig,
    timing: Timing,
    limits: Limits,
    parts: IngestorParts,
    ingestor_id: String,
    adapter: watch::Receiver<Arc<dyn Adapter>>,
    refine: watch::Sender<Arc<dyn Adapter>>,
    exchange: Option<Arc<SimExchange>>,
    rest: RestClient,
    writer: LogWriter,
    continuity: SharedContinuity,
}

impl VenueTask {
    /// Prepares a venue; nothing runs yet.
    ///
    /// # Errors
    /// If the venue has no adapter or no HTTP client can be made.
    pub(crate) fn new(
        entry: &VenueConfig,
        config: &Config,
        ingestor_id: &str,
        metrics: &IngestorMetrics,
        parts: &IngestorParts,
    ) -> Result<Self, IngestorError> {
        let base = crate::adapter_of(&entry.venue).ok_or_else(|| IngestorError::NoAdapter(entry.venue.clone()))?;
        let profile = *base.profile();
        let (refine, adapter) = watch::channel(base);
        let mode = if entry.mode == Mode::Sim { FeedMode::Sim } else { FeedMode::Live };
        let mute_timeout = entry.mute_timeout.unwrap_or(profile.mute_timeout);
        let board = Board::new(&entry.venue, ingestor_id, mode, metrics.venue(&entry.venue))
            .streaming(entry.symbols.len(), mute_timeout);
        let (timing, limits) = (config.timing.clone(), config.limits.clone());
        let (log, clock, stop) = (parts.log.clone(), parts.clock.clone(), parts.stop.clone());
        let writer = LogWriter::new(log, Arc::new(board), clock.clone(), timing.log_retry, stop.clone());
        let exchange =
            (entry.mode == Mode::Sim).then(|| Arc::new(SimExchange::new(entry.sim.clone(), &entry.symbols, clock)));
        let transport = match &exchange {
            Some(exchange) => Transport::Sim(Arc::clone(exchange)),
            None => {
                let base = entry.rest_url.as_deref().unwrap_or(profile.rest_url);
                Transport::http(base, timing.rest_timeout, limits.rest_body_bytes)?
            }
        };
        let rest = RestClient::new(adapter.clone(), transport, writer.clone(), stop);
        let gaps = GapLimits {
            holes: limits.holes,
            hole_trades: limits.hole_trades,
            grace: entry.gap_grace(&timing),
            attempts: limits.gap_attempts,
            retry: timing.gap_retry,
        };
        let continuity = Continuity::new(
            profile.trade_ids,
            ContinuityLimits {
                gaps,
                catch_up_after: timing.catch_up_after,
                catch_up_longest: timing.catch_up_longest,
                start_fetch_after: timing.start_fetch_after,
            },
        );
        Ok(Self {
            entry: entry.clone(),
            timing,
            limits,
            parts: parts.clone(),
            ingestor_id: ingestor_id.to_owned(),
            adapter,
            refine,
            exchange,
            rest,
            writer,
            continuity: SharedContinuity::new(continuity),
        })
    }

    pub(crate) const fn writer(&self) -> &LogWriter {
        &self.writer
    }

    /// What the history desk needs of this venue.
    pub(crate) fn desk(&self) -> VenueDesk {
        let limits = JobLimits {
            queued: self.limits.history_queue,
            watched: self.limits.history_watched,
            requests: self.limits.history_requests,
            watch: self.timing.history_watch,
        };
        VenueDesk {
            fetcher: HistoryFetcher {
                rest: self.rest.clone(),
                pages: self.limits.history_pages,
                longest_wait: self.timing.history_wait,
            },
            writer: self.writer.clone(),
            members: Members::new(&self.ingestor_id, self.timing.lease),
            book: Arc::new(Mutex::new(JobBook::new(limits))),
            workers: self.limits.history_workers,
            running: 0,
        }
    }

    /// Starts everything.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(crate) async fn start(self, tasks: &mut Tasks) -> Result<(), IngestorError> {
        let (log, venue) = (self.parts.log.clone(), self.entry.venue.clone());
        let now_ns = self.writer.now_ns();
        let (symbols, records) = (&self.entry.symbols, self.limits.tail_records);
        let recalled = tail::recall(log.as_ref(), &venue, symbols, records, &self.continuity, now_ns).await?;
        tracing::info!(%venue, mode = ?self.entry.mode, symbols = symbols.len(), recalled, "venue starts");
        let publisher = InstrumentPublisher {
            rest: self.rest.clone(),
            live: self.entry.symbols.iter().cloned().collect(),
            every: self.timing.instruments_every,
            adapter: self.refine.clone(),
            published: instruments::published(log.as_ref(), &venue).await?,
            stop: self.parts.stop.clone(),
        };
        tasks.spawn("instruments", publisher.run());
        let repairer = Repairer {
            rest: self.rest.clone(),
            continuity: self.continuity.clone(),
            parallel: self.limits.repairs,
            stop: self.parts.stop.clone(),
        };
        tasks.spawn("repair", repairer.run());
        if let Some(exchange) = self.exchange.clone() {
            self.start_sim(exchange, tasks);
        } else {
            let connections = self.connections().await;
            self.start_live(connections, tasks);
        }
        Ok(())
    }

    fn start_sim(&self, exchange: Arc<SimExchange>, tasks: &mut Tasks) {
        let link: Arc<str> = "sim-0".into();
        let (items, received) = mpsc::channel(self.limits.intake_frames);
        let (intake, _data_seen) = self.intake(&link, self.entry.symbols.clone());
        tasks.spawn("intake", intake.run(received));
        let parts = SimFeedParts {
            exchange,
            symbols: self.entry.symbols.clone(),
            link,
            clock: self.parts.clock.clone(),
            step: self.timing.sim_step,
            items,
        };
        let stop = self.parts.stop.clone();
        tasks.spawn("sim", async move {
            sim_feed::run(parts, stop).await;
            Ok::<(), IngestorError>(())
        });
    }

    /// The connections for all symbols that have a name at the venue. Some names are known only from the instruments.
    async fn connections(&self) -> Vec<Connection> {
        let mut adapter = self.adapter.clone();
        let nameless = |adapter: &dyn Adapter| -> Vec<Symbol> {
            let symbols = self.entry.symbols.iter();
            symbols.filter(|symbol| adapter.venue_symbol(symbol).is_err()).cloned().collect()
        };
        if !nameless(adapter.borrow().as_ref()).is_empty() {
            self.writer.board().set_link("symbols", FeedState::Connecting, "waiting for the instruments");
            tokio::select! {
                // Whether names came or not is looked at next.
                _waited = tokio::time::timeout(NAMES_WAIT, adapter.changed()) => {}
                () = self.parts.stop.cancelled() => return Vec::new(),
            }
        }
        let adapter = Arc::clone(&adapter.borrow_and_update());
        let missing = nameless(adapter.as_ref());
        let board = self.writer.board();
        if missing.is_empty() {
            board.set_link("symbols", FeedState::Live, "");
        } else {
            let names: Vec<&str> = missing.iter().map(Symbol::as_str).collect();
            board.set_link("symbols", FeedState::Down, &format!("not at this venue: {}", names.join(", ")));
        }
        let named: Vec<Symbol> = self.entry.symbols.iter().filter(|s| !missing.contains(s)).cloned().collect();
        let base = self.entry.ws_url.as_deref().unwrap_or(adapter.profile().ws_url).trim_end_matches('/');
        match adapter.connections(base, &named) {
            Ok(connections) => connections,
            Err(error) => {
                board.set_link("symbols", FeedState::Down, &error.to_string());
                Vec::new()
            }
        }
    }

    fn start_live(&self, connections: Vec<Connection>, tasks: &mut Tasks) {
        crate::transport::install_tls();
        let profile = *self.adapter.borrow().profile();
        let pacing = self.entry.connect_gap.map_or(profile.connect_pacing, |per| Pacing { count: 1, per });
        let pacer = Arc::new(ConnectPacer::new(pacing));
        let timing = &self.timing;
        let rules = SessionRules {
            connect_timeout: timing.connect_timeout,
            mute_timeout: self.entry.mute_timeout.unwrap_or(profile.mute_timeout),
            data_timeout: timing.data_timeout,
            quiet_ping: timing.quiet_ping,
            ping: profile.ping,
            pacing: profile.subscribe_pacing,
            frame_bytes: self.limits.frame_bytes,
        };
        for (index, connection) in connections.into_iter().enumerate() {
            let link: Arc<str> = format!("ws-{index}").into();
            let (items, received): (mpsc::Sender<Item>, _) = mpsc::channel(self.limits.intake_frames);
            let with_trades = if connection.trades { connection.symbols.clone() } else { Vec::new() };
            let (intake, data_seen) = self.intake(&link, with_trades);
            tasks.spawn("intake", intake.run(received));
            let feed = Feed {
                link: link.to_string(),
                parts: SessionParts { link, connection, rules: rules.clone(), clock: self.parts.clock.clone(), items },
                rules: FeedRules {
                    backoff_first: timing.backoff_first,
                    backoff_longest: timing.backoff_longest,
                    healthy_after: timing.healthy_after,
                    connection_age: timing.connection_age,
                },
                board: self.writer.board().clone(),
                pacer: Arc::clone(&pacer),
                data_seen,
                stop: self.parts.stop.clone(),
            };
            tasks.spawn("feed", async move {
                feed.run().await;
                Ok::<(), IngestorError>(())
            });
        }
    }

    fn intake(&self, link: &str, symbols: Vec<Symbol>) -> (Intake, watch::Receiver<u32>) {
        Intake::new(IntakeParts {
            adapter: self.adapter.clone(),
            link: link.to_owned(),
            symbols,
            rules: SourceRules { source: Source::Live, future_tolerance: self.timing.future_tolerance },
            store: Store::new(self.writer.clone()),
            continuity: self.continuity.clone(),
            heartbeat_every: self.timing.heartbeat_every,
            heartbeat_margin: self.timing.heartbeat_margin,
            batch: self.limits.batch_frames,
        })
    }
}
