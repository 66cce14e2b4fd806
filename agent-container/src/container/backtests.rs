//! Backtests and indicators on recorded market data: fetch, run in a worker, keep.

use super::answer::{Answer, Refusal};
use super::commands::digest;
use super::runs::{Run, RunsError};
use super::{Container, resources};
use crate::events::NewEvent;
use crate::market_data::{Backfill, Fetched, MarketDataError, Progress as Fetching, Query};
use crate::mcp::progress::Progress;
use crate::mcp::tools::{BacktestArguments, IndicatorArguments, ListRuns, Market, ReadRun, RunPart};
use crate::worker::{Ended, Job, Outcome, Work, WorkerLimits};
use crate::workspace::{FilePath, FileVersion, Kind};
use proto::{EventKind, Interval, Symbol, Venue};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use trading::backtest::document::Document;

/// Runs told when nobody says how many, and most.
const LISTED: u32 = 20;
const LISTED_MOST: usize = 100;
/// Draws of a Monte Carlo check.
const DRAWS: u32 = 1000;
/// Folds of a walk-forward check when nobody says how many.
const FOLDS: u32 = 5;
/// Fills and round trips in the answer itself; the report has all.
const ROWS: usize = 20;
/// Directory of market data under way to a worker; emptied at each start.
pub(crate) const FETCHED: &str = "fetched";

impl From<MarketDataError> for Refusal {
    fn from(error: MarketDataError) -> Self {
        let (code, field) = match &error {
            MarketDataError::Invalid { field, .. } => ("INVALID_ARGUMENT", (*field).to_owned()),
            MarketDataError::Refused { field, .. } => ("NO_DATA", field.clone()),
            MarketDataError::TooManyRows { .. } => ("QUOTA", "from".to_owned()),
            MarketDataError::SnapshotGone { .. } => (super::files::NOT_FOUND, "snapshot".to_owned()),
            error if error.is_retryable() => ("BUSY", String::new()),
            _ => ("NO_DATA", String::new()),
        };
        Self::new(code, &field, error)
    }
}

impl From<RunsError> for Refusal {
    fn from(error: RunsError) -> Self {
        match error {
            RunsError::Unknown => Self::new(super::files::NOT_FOUND, "id", error),
            other => {
                tracing::error!(error = %other, "backtests cannot be read or kept");
                Self::failed(other)
            }
        }
    }
}

/// Market data in a file that goes when this does.
struct Rows {
    path: PathBuf,
    fetched: Fetched,
    interval_ns: Option<u64>,
}

impl Drop for Rows {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "market data stays");
        }
    }
}

fn time_ns(field: &'static str, text: &str) -> Result<u64, Refusal> {
    let time: jiff::Timestamp = text.parse().map_err(|_| Refusal::argument(field, "must be RFC 3339"))?;
    u64::try_from(time.as_nanosecond()).map_err(|_| Refusal::argument(field, "must be after 1970"))
}

fn interval(text: &str) -> Result<Option<Interval>, Refusal> {
    if text == "ticks" {
        return Ok(None);
    }
    let seconds = service::config::duration::parse(text).and_then(|length| u32::try_from(length.as_secs()).ok());
    let interval = seconds.and_then(|seconds| Interval::from_seconds(seconds).ok());
    interval.map(Some).ok_or_else(|| Refusal::argument("interval", "must be 1s, 1m, 5m, 15m, 1h, 4h, 1d or ticks"))
}

fn query(market: &Market) -> Result<Query, Refusal> {
    let venue: Venue = market.venue.parse().map_err(|error| Refusal::argument("venue", error))?;
    let symbol: Symbol = market.symbol.parse().map_err(|error| Refusal::argument("symbol", error))?;
    let (from_ns, to_ns) = (time_ns("from", &market.from)?, time_ns("to", &market.to)?);
    if from_ns >= to_ns {
        return Err(Refusal::argument("to", "must be after from"));
    }
    let snapshot = market.snapshot.as_deref().map(str::parse).transpose();
    let snapshot = snapshot.map_err(|_| Refusal::argument("snapshot", "must be a snapshot of an earlier run"))?;
    let interval = interval(&market.interval)?;
    Ok(Query { venue, symbol, interval, from_ns, to_ns, snapshot, backfill: Backfill::Missing })
}

impl Container {
    /// Fetches market data into a file that a worker can read.
    async fn rows(&self, market: &Market, progress: &Progress) -> Result<Rows, Refusal> {
        let query = query(market)?;
        let Some(data) = &self.market else {
            return Err(Refusal::new("NO_DATA", "", "this container has no gateway to fetch market data from"));
        };
        let path = self.config.data_dir.join(FETCHED).join(format!("{}.arrow", self.new_id()));
        let told = progress.clone();
        #[allow(clippy::cast_precision_loss, reason = "for looking at")]
        let tell = move |stage: Fetching| match stage {
            Fetching::History { done, parts } => {
                told.set(done as f64, Some(parts as f64), "fetching missing history from the venue");
            }
            Fetching::Transfer { bytes, rows } => told.set(bytes as f64, None, format!("loading {rows} rows")),
        };
        let fetched = data.fetch(&query, &path, &tell).await?;
        let interval_ns = query.interval.map(|interval| u64::from(interval.seconds()) * 1_000_000_000);
        let rows = Rows { path, fetched, interval_ns };
        if rows.fetched.rows == 0 {
            return Err(Refusal::new("NO_DATA", "from", "the lake has nothing of this market in this time"));
        }
        Ok(rows)
    }

    /// Runs a job of the native module and takes its answer apart.
    async fn module(
        &self,
        job: &Value,
        data: &Path,
        progress: &Progress,
        cancel: CancellationToken,
    ) -> Result<Value, Refusal> {
        let limits = WorkerLimits::backtest(self.tier());
        let files = self.workspace_dir();
        let job = Job {
            work: Work::Module { job_json: job.to_string() },
            import_from: vec![files.join("strategies"), files.join("indicators")],
            read: vec![files, data.to_owned()],
            limits,
        };
        let outcome = self.work(job, progress, cancel).await?;
        if let Some(refusal) = super::python::why_ended(&outcome, &limits) {
            return Err(refusal);
        }
        let Outcome { result: Some(answer), ended: Ended::Finished, .. } = outcome else {
            return Err(Refusal::new("CRASHED", "", "ended without an answer"));
        };
        let Some(error) = answer.get("error") else { return Ok(answer) };
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        let message = match text("traceback") {
            traceback if traceback.is_empty() => text("message"),
            traceback => traceback,
        };
        Err(Refusal::new("RAISED", &text("field"), message))
    }

    async fn source(&self, kind: Kind, field: &'static str, name: &str) -> Result<(FilePath, FileVersion), Refusal> {
        let path = FilePath::new(kind, name).map_err(|error| Refusal::argument(field, error))?;
        let wanted = path.clone();
        let version = self.files(move |workspace, now_ns| workspace.read(&wanted, None, now_ns)).await;
        let version = version.map_err(|refusal| Refusal { field: field.to_owned(), ..refusal })?;
        Ok((path, version))
    }

    pub(super) async fn run_backtest(
        &self,
        wanted: BacktestArguments,
        progress: &Progress,
        cancel: CancellationToken,
    ) -> Result<Answer, Refusal> {
        let request = digest(&[&serde_json::to_string(&wanted).map_err(Refusal::failed)?]);
        if let Some(run) = wanted.command_id.as_deref().and_then(|id| self.runs.of_command(id)) {
            if run.request != request {
                return Err(Refusal::new("CONFLICT", "command_id", "command_id was used before for another request"));
            }
            return Ok(Answer::of(
                &json!({"id": run.id, "hash": run.hash, "statistics": run.statistics, "repeated": true}),
            ));
        }
        let (path, version) = self.source(Kind::Strategy, "strategy", &wanted.strategy).await?;
        let rows = self.rows(&wanted.market, progress).await?;
        let job = backtest_job(&wanted, &path, &version, &rows);
        let answer = self.module(&job, &rows.path, progress, cancel).await?;
        let document: Document = serde_json::from_value(answer["document"].clone()).map_err(Refusal::failed)?;
        let run = Run {
            id: self.new_id(),
            hash: document.hash.clone(),
            strategy: wanted.strategy.clone(),
            market: format!("{}:{}", wanted.market.venue, wanted.market.symbol),
            interval: wanted.market.interval.clone(),
            at_ns: self.clock.now_ns(),
            snapshot: rows.fetched.snapshot.to_string(),
            commit: version.commit,
            statistics: answer["document"]["statistics"].clone(),
            command_id: wanted.command_id.clone(),
            request,
        };
        let told = told(&run, &answer["document"], &rows.fetched);
        self.keep(run, document).await?;
        Ok(Answer::of(&told))
    }

    async fn keep(&self, run: Run, document: Document) -> Result<(), Refusal> {
        let event = json!({"id": run.id, "hash": run.hash, "strategy": run.strategy, "market": run.market});
        let runs = Arc::clone(&self.runs);
        let kept = tokio::task::spawn_blocking(move || {
            let page = trading::backtest::page::render(&document);
            let report = serde_json::to_string(&document)?;
            runs.keep(run, &report, &page)
        });
        kept.await.map_err(Refusal::failed)??;
        self.updates.changed(resources::WORKSPACE_STATE);
        match NewEvent::new(EventKind::BacktestFinished, &event) {
            Ok(event) => drop(self.events.inform(&event)),
            Err(error) => tracing::warn!(%error, "nobody is told of a backtest"),
        }
        Ok(())
    }

    pub(super) fn list_backtests(&self, wanted: &ListRuns) -> Answer {
        let limit = usize::try_from(wanted.limit.unwrap_or(LISTED)).unwrap_or(LISTED_MOST).min(LISTED_MOST);
        Answer::of(&json!({"backtests": self.runs.latest(limit)}))
    }

    pub(super) async fn read_backtest(&self, wanted: ReadRun) -> Result<Answer, Refusal> {
        let part = wanted.part.unwrap_or(RunPart::Summary);
        let file = if part == RunPart::Html { "report.html" } else { "report.json" };
        let runs = Arc::clone(&self.runs);
        let read = tokio::task::spawn_blocking(move || runs.read(&wanted.id, file));
        let (run, text) = read.await.map_err(Refusal::failed)??;
        Ok(match part {
            RunPart::Html => Answer::of(&json!({"html": text})),
            RunPart::Json => Answer { text, pictures: Vec::new(), refused: false },
            RunPart::Summary => {
                let document: Value = serde_json::from_str(&text).map_err(Refusal::failed)?;
                Answer::of(&json!({"run": run, "summary": document["summary"], "checks": document["checks"]}))
            }
        })
    }

    pub(super) async fn compute_indicator(
        &self,
        wanted: IndicatorArguments,
        progress: &Progress,
        cancel: CancellationToken,
    ) -> Result<Answer, Refusal> {
        let (path, version) = self.source(Kind::Indicator, "indicator", &wanted.indicator).await?;
        let rows = self.rows(&wanted.market, progress).await?;
        let job = json!({
            "kind": "indicator",
            "indicator": {"source": version.content, "path": path.to_string()},
            "params": wanted.params,
            "data": {"path": rows.path, "form": "candles", "interval_ns": rows.interval_ns},
            "rows": wanted.rows.unwrap_or(500).min(5000),
        });
        Ok(Answer::of(&self.module(&job, &rows.path, progress, cancel).await?))
    }
}

fn backtest_job(wanted: &BacktestArguments, path: &FilePath, version: &FileVersion, rows: &Rows) -> Value {
    let checks = wanted.checks.as_ref();
    let sweep = checks.and_then(|checks| checks.sweep.as_ref());
    let mut asked = json!({"look_ahead": checks.and_then(|checks| checks.look_ahead).unwrap_or(true)});
    if checks.is_some_and(|checks| checks.monte_carlo == Some(true)) {
        asked["monte_carlo"] = json!({ "runs": DRAWS });
    }
    if let Some(parameters) = sweep {
        asked["sweep"] = json!({ "parameters": parameters });
        if let Some(folds) = checks.and_then(|checks| checks.folds) {
            asked["walk_forward"] = json!({"folds": if folds == 0 { FOLDS } else { folds }});
        }
    }
    let mut terms = json!({"cash": "10000"});
    for (name, value) in &wanted.terms {
        terms[name] = value.clone();
    }
    json!({
        "kind": "backtest",
        "strategy": {"source": version.content, "path": path.to_string()},
        "params": wanted.params,
        "data": {
            "path": rows.path,
            "form": if rows.interval_ns.is_some() { "candles" } else { "ticks" },
            "interval_ns": rows.interval_ns,
            "market": format!("{}:{}", wanted.market.venue, wanted.market.symbol),
        },
        "terms": terms,
        "seed": wanted.seed.unwrap_or(0),
        "checks": asked,
        "provenance": {"snapshot": rows.fetched.snapshot.to_string(), "commit": version.commit},
    })
}

/// What the model is told at once; the report is kept.
fn told(run: &Run, document: &Value, fetched: &Fetched) -> Value {
    let first = |key: &str| {
        let rows = document[key].as_array().map(Vec::as_slice).unwrap_or_default();
        rows[..rows.len().min(ROWS)].to_vec()
    };
    json!({
        "id": run.id, "hash": run.hash, "snapshot": run.snapshot, "commit": run.commit,
        "statistics": document["statistics"], "summary": document["summary"], "checks": document["checks"],
        "first_round_trips": first("round_trips"),
        "data": {"rows": fetched.rows, "missing": fetched.missing, "shortfall": fetched.shortfall},
    })
}
