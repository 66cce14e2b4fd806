//! One user's workspace: what every tool and resource does, over the files, the memory, the workers and the events.
//!
//! It knows nothing of MCP but the arguments of the tools. A call that changes something has its change on the disk when it
//! answers; a call that is dropped half way has changed all of it or nothing.

mod answer;
mod backtests;
mod commands;
mod conversation;
mod files;
mod notices;
mod python;
pub(crate) mod resources;
mod runs;

pub(crate) use answer::Answer;
pub(crate) use backtests::FETCHED;
pub(crate) use commands::Commands;
pub(crate) use runs::{Runs, RunsError};

use crate::config::Config;
use crate::events::Events;
use crate::lifecycle::{Activity, Asleep, Busy, BusyReason};
use crate::market_data::MarketData;
use crate::mcp::progress::Progress;
use crate::mcp::tools::Call;
use crate::mcp::updates::Updates;
use crate::memory::Memory;
use crate::tier::Tier;
use crate::worker::Workers;
use crate::workspace::{Kind, Workspace};
use service::clock::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the tools work on.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) memory: Memory,
    /// Or why there are none.
    pub(crate) workers: Result<Workers, String>,
    pub(crate) market: Option<MarketData>,
    pub(crate) events: Events,
    pub(crate) runs: Arc<Runs>,
    pub(crate) commands: Arc<Commands>,
    /// Held while a command is carried out that is remembered in [`Commands`].
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) activity: Activity,
    pub(crate) updates: Updates,
    pub(crate) seen: files::Seen,
    /// Connections and the calls that are carried out whole.
    pub(crate) tasks: TaskTracker,
}

/// A ULID of this time.
pub(crate) fn new_id(now_ns: u64) -> String {
    ulid::Ulid::from_parts(now_ns / 1_000_000, rand::random()).to_string()
}

impl Container {
    pub(crate) const fn tier(&self) -> Tier {
        self.config.tier
    }

    /// Where the user's files lie.
    pub(crate) fn workspace_dir(&self) -> PathBuf {
        self.config.data_dir.join("workspace")
    }

    /// A new id; later ones are greater.
    pub(crate) fn new_id(&self) -> String {
        new_id(self.clock.now_ns())
    }

    /// Somebody asks for something: the container stays awake while the guard lives, and its idle time begins anew after.
    pub(crate) fn begin(&self) -> Result<Busy, Asleep> {
        self.activity.begin(BusyReason::Request)
    }

    /// Carries out a call. Long work reports its progress and ends when it is cancelled or dropped.
    pub(crate) async fn call(&self, call: Call, progress: Progress, cancel: CancellationToken) -> Answer {
        let done = match call {
            Call::SaveMessage(it) => self.save_message(it).await,
            Call::SearchConversation(it) => self.search_conversation(it).await,
            Call::ExportConversation(it) => self.export_conversation(it).await,
            Call::EraseConversation(it) => self.erase_conversation(it).await,
            Call::ListStrategies(_) => self.list(Kind::Strategy).await,
            Call::ReadStrategy(it) => self.read_source(Kind::Strategy, it).await,
            Call::WriteStrategy(it) => self.write_source(Kind::Strategy, it).await,
            Call::ListIndicators(_) => self.list(Kind::Indicator).await,
            Call::ReadIndicator(it) => self.read_source(Kind::Indicator, it).await,
            Call::WriteIndicator(it) => self.write_source(Kind::Indicator, it).await,
            Call::DeleteFile(it) => self.delete_file(it).await,
            Call::FileHistory(it) => self.file_history(it).await,
            Call::FileDiff(it) => self.file_diff(it).await,
            Call::Revert(it) => self.revert(it).await,
            Call::RunBacktest(it) => self.run_backtest(it, &progress, cancel).await,
            Call::ComputeIndicator(it) => self.compute_indicator(it, &progress, cancel).await,
            Call::ListBacktests(it) => Ok(self.list_backtests(&it)),
            Call::ReadBacktest(it) => self.read_backtest(it).await,
            Call::GetWatchlist(it) => self.get_watchlist(it).await,
            Call::SetWatchlist(it) => self.set_watchlist(it).await,
            Call::SetContext(it) => self.set_context(it).await,
            Call::TradingJournal(it) => self.journal(it).await,
            Call::RunPython(it) => self.run_python(it, &progress, cancel).await,
            Call::NotifyUser(it) => self.notify_user(it).await,
        };
        done.into()
    }
}
