//! `run_python`, and the check of a file's syntax before it is saved.

use super::Container;
use super::answer::{Answer, Refusal};
use crate::mcp::progress::Progress;
use crate::mcp::tools::PythonCode;
use crate::worker::{Ended, Follow, Job, Outcome, Progress as Done, Work, WorkerError, WorkerLimits};
use crate::workspace::FilePath;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Bytes of code in one call.
const CODE_BYTES: usize = 256 << 10;
/// Characters of output in an answer: a model pays for each.
const OUTPUT_CHARS: usize = 20_000;

impl From<WorkerError> for Refusal {
    fn from(error: WorkerError) -> Self {
        let code = if error.is_retryable() { "BUSY" } else { "FAILED" };
        if code == "FAILED" {
            tracing::error!(%error, "no worker");
        }
        Self::new(code, "", error)
    }
}

/// What a run that did not finish is called, and what its user should know.
pub(super) fn why_ended(outcome: &Outcome, limits: &WorkerLimits) -> Option<Refusal> {
    let mib = limits.memory_bytes >> 20;
    let (code, message) = match &outcome.ended {
        Ended::Finished => return None,
        Ended::Raised { traceback } => ("RAISED", traceback.clone()),
        Ended::TimedOut => ("TIMED_OUT", format!("stopped after {} s", limits.wall.as_secs())),
        Ended::CpuExceeded => ("TIMED_OUT", format!("stopped after {} s of processor time", limits.cpu.as_secs())),
        Ended::OutOfMemory => ("OUT_OF_MEMORY", format!("more than {mib} MiB")),
        Ended::TooManyThreads => ("TOO_MANY_THREADS", format!("more than {}", limits.threads)),
        Ended::Killed(signal) => ("CRASHED", format!("ended by signal {signal}")),
        Ended::ScratchFull => ("SCRATCH_FULL", format!("more than {} MiB of files", limits.scratch_bytes >> 20)),
        Ended::OutputFull => ("OUTPUT_FULL", "too much output, or a result or picture too large".to_owned()),
        Ended::Cancelled => ("CANCELLED", "cancelled".to_owned()),
        Ended::BadReply => ("CRASHED", "ended without an answer".to_owned()),
    };
    Some(Refusal::new(code, "", message))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(OUTPUT_CHARS) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
    }
}

impl Container {
    /// Runs a job and passes its progress on.
    pub(super) async fn work(
        &self,
        job: Job,
        progress: &Progress,
        cancel: CancellationToken,
    ) -> Result<Outcome, Refusal> {
        let workers = self.workers.as_ref().map_err(|reason| Refusal::new("NO_PYTHON", "", reason))?;
        let (sender, mut stages) = watch::channel(Done::default());
        let run = workers.run(job, Follow { cancel, progress: Some(sender) });
        tokio::pin!(run);
        loop {
            tokio::select! {
                outcome = &mut run => return outcome.map_err(Into::into),
                Ok(()) = stages.changed() => {
                    let Done { done, total, text } = stages.borrow_and_update().clone();
                    #[allow(clippy::cast_precision_loss, reason = "for looking at")]
                    progress.set(done as f64, (total > 0).then_some(total as f64), text);
                }
            }
        }
    }

    fn job(&self, code: String, limits: WorkerLimits) -> Job {
        let files = self.workspace_dir();
        let import_from = vec![files.join("strategies"), files.join("indicators")];
        Job { work: Work::Python { code }, import_from, read: vec![files], limits }
    }

    pub(super) async fn run_python(
        &self,
        wanted: PythonCode,
        progress: &Progress,
        cancel: CancellationToken,
    ) -> Result<Answer, Refusal> {
        if wanted.code.len() > CODE_BYTES {
            return Err(Refusal::argument("code", format!("at most {CODE_BYTES} bytes, got {}", wanted.code.len())));
        }
        let limits = WorkerLimits::interactive(self.tier());
        let outcome = self.work(self.job(wanted.code, limits), progress, cancel).await?;
        let output = json!({
            "stdout": cut(&outcome.stdout), "stderr": cut(&outcome.stderr), "wall_ms": u64::try_from(outcome.wall.as_millis()).ok(),
        });
        if let Some(refusal) = why_ended(&outcome, &limits) {
            let mut answer = Answer::from(refusal).with_pictures(&outcome.pictures);
            if let Ok(Value::Object(mut told)) = serde_json::from_str(&answer.text) {
                told.insert("output".to_owned(), output);
                answer.text = Value::Object(told).to_string();
            }
            return Ok(answer);
        }
        let mut told = output;
        if let Some(result) = outcome.result {
            // A value that is no JSON is told as Python writes it.
            let value = result.get("json").filter(|value| !value.is_null()).or_else(|| result.get("repr"));
            told["result"] = value.cloned().unwrap_or(Value::Null);
        }
        Ok(Answer::of(&told).with_pictures(&outcome.pictures))
    }

    /// Compiles a file without running it. A container without Python saves it unchecked.
    pub(super) async fn check_syntax(&self, path: &FilePath, code: &str) -> Result<(), Refusal> {
        if self.workers.is_err() || path.kind().extension() != ".py" || code.len() > CODE_BYTES {
            return Ok(());
        }
        let literal = serde_json::to_string(code).map_err(Refusal::failed)?;
        // A JSON string is a Python string.
        let check = format!("compile({literal}, {:?}, 'exec') and None", path.file_name());
        let limits = WorkerLimits::interactive(self.tier());
        let outcome = self.work(self.job(check, limits), &Progress::unheard(), CancellationToken::new()).await?;
        match (&outcome.ended, why_ended(&outcome, &limits)) {
            (Ended::Raised { traceback }, _) => Err(Refusal::new("SYNTAX", "code", syntax_error(traceback))),
            (_, Some(refusal)) => Err(refusal),
            (_, None) => Ok(()),
        }
    }
}

/// The lines of a traceback from the user's file on.
fn syntax_error(traceback: &str) -> String {
    let lines: Vec<&str> = traceback.lines().collect();
    let from = lines.iter().rposition(|line| line.trim_start().starts_with("File ")).unwrap_or(0);
    lines[from..].join("\n")
}
