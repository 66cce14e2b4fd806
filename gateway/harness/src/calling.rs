//! Carries out the calls of a round: side by side if they only read, one by one if they change something.

use crate::arguments;
use crate::event::TurnEvent;
use crate::progress::{Malformed, Step, batches};
use crate::prompt;
use crate::store::StoreError;
use crate::tool::{Effect, Invocation, OnProgress, Progress, ToolOutcome, ToolSpec};
use crate::turn::Run;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Reports of progress that may wait for the turn; more are dropped and counted.
const REPORTS: usize = 64;
/// Bytes of the line for a person.
const SUMMARY_BYTES: usize = 300;

/// A call that can be carried out.
#[derive(Debug)]
struct Ready {
    call_id: String,
    invocation: Invocation,
    effect: Effect,
    title: String,
}

impl Run {
    /// Carries out the calls at these places of the last round. Returns early when the turn is halted; all calls have an outcome then.
    pub(crate) async fn call(&mut self, round: u32, pending: &[usize], specs: &[ToolSpec]) -> Result<(), StoreError> {
        let mut ready: Vec<Option<Ready>> = Vec::new();
        for &place in pending {
            match self.checked(round, place, specs) {
                Ok(call) => ready.push(Some(call)),
                Err((outcome, malformed)) => self.refuse(round, place, outcome, malformed),
            }
        }
        let effects: Vec<(usize, Effect)> =
            ready.iter().enumerate().filter_map(|(at, call)| call.as_ref().map(|it| (at, it.effect))).collect();
        for batch in batches(effects, self.shared.config.limits.calls_parallel) {
            let calls: Vec<Ready> = batch.into_iter().filter_map(|at| ready[at].take()).collect();
            self.batch(round, calls).await?;
        }
        Ok(())
    }

    fn checked(&self, round: u32, place: usize, specs: &[ToolSpec]) -> Result<Ready, (ToolOutcome, Malformed)> {
        let limits = &self.shared.config.limits;
        let request = &self.progress.rounds[round as usize].calls[place];
        if place >= limits.calls_per_round {
            let message = format!(
                "at most {} calls at once; ask for this one again if it is still needed",
                limits.calls_per_round
            );
            return Err((ToolOutcome::refused("TOO_MANY_CALLS", "", &message), Malformed::No));
        }
        let (spec, arguments) = arguments::check(specs, &request.name, &request.arguments, limits.argument_bytes)
            .map_err(|outcome| (outcome, Malformed::Yes))?;
        if self.progress.same_before(round as usize, place) >= limits.same_call {
            let message = "this call with these arguments was made several times; use its outcome above";
            return Err((ToolOutcome::refused("REPEATED", "", message), Malformed::No));
        }
        let invocation = Invocation {
            user: self.turn.user,
            name: spec.name.clone(),
            arguments,
            // Rounds are recorded before their calls begin, so the same call has the same id on every replica.
            command_id: format!("{}-{round}-{place}", self.turn.id),
            traceparent: None,
        };
        let title = title(&spec.name, &invocation.arguments);
        Ok(Ready { call_id: request.id.clone(), invocation, effect: spec.effect, title })
    }

    /// Answers a call without carrying it out.
    fn refuse(&mut self, round: u32, place: usize, outcome: ToolOutcome, malformed: Malformed) {
        if malformed == Malformed::Yes {
            self.shared.metrics.calls_malformed.inc();
        }
        let request = &self.progress.rounds[round as usize].calls[place];
        let (call_id, tool) = (request.id.clone(), shown_name(&request.name));
        let arguments = serde_json::from_str(&request.arguments)
            .ok()
            .filter(Value::is_object)
            .map_or_else(|| Value::String(prompt::shortened(&request.arguments, 1024)), |value| redacted(value, 0));
        let title = tool.clone();
        self.show_start(TurnEvent::ToolStarted { call_id: call_id.clone(), round, tool, title, arguments });
        self.ended(&call_id, "call", outcome, 0, malformed);
    }

    /// A replica that carries a turn on does not show a call twice.
    fn show_start(&mut self, event: TurnEvent) {
        if let TurnEvent::ToolStarted { call_id, .. } = &event
            && self.started.insert(call_id.clone())
        {
            self.recorder.event(event);
        }
    }

    async fn batch(&mut self, round: u32, calls: Vec<Ready>) -> Result<(), StoreError> {
        if self.halt.is_due() {
            for call in calls {
                let outcome = ToolOutcome::refused("STOPPED", "", "the answer was stopped before this call began");
                self.ended(&call.call_id, &call.invocation.name, outcome, 0, Malformed::No);
            }
            return Ok(());
        }
        for call in &calls {
            self.show_start(TurnEvent::ToolStarted {
                call_id: call.call_id.clone(),
                round,
                tool: call.invocation.name.clone(),
                title: call.title.clone(),
                arguments: redacted(Value::Object(call.invocation.arguments.clone()), 0),
            });
        }
        // On record before anything happens: whoever carries the turn on knows the round and its command ids.
        self.recorder.flush().await?;
        let cancel = CancellationToken::new();
        let _cancel_on_drop = cancel.clone().drop_guard();
        let (reports, mut reported) = mpsc::channel::<(String, Progress)>(REPORTS);
        let mut open: Vec<(String, String)> = Vec::new();
        let mut running = FuturesUnordered::new();
        for call in calls {
            self.shared.metrics.calls_started.inc();
            open.push((call.call_id.clone(), call.invocation.name.clone()));
            let (tools, cancel) = (self.shared.tools.clone(), cancel.clone());
            let on_progress = self.on_progress(&reports, &call.call_id);
            running.push(async move {
                let began = Instant::now();
                let outcome = tools.call(call.invocation, on_progress, cancel).await;
                (call.call_id, outcome, began.elapsed())
            });
        }
        let halt = self.halt.clone();
        let mut grace = None;
        while !open.is_empty() {
            tokio::select! {
                Some((call_id, outcome, took)) = running.next() => {
                    let at = open.iter().position(|(id, _)| *id == call_id).expect("each call that runs is open");
                    let (_, name) = open.swap_remove(at);
                    self.ended(&call_id, &name, outcome, u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Malformed::No);
                }
                Some((call_id, it)) = reported.recv() => {
                    // A report that was overtaken by the end of its call says nothing new.
                    if open.iter().any(|(id, _)| *id == call_id) {
                        let Progress { progress, total, message } = it;
                        let message = prompt::shortened(&message, SUMMARY_BYTES);
                        self.recorder.event(TurnEvent::ToolProgress { call_id, progress, total, message });
                    }
                }
                error = self.recorder.drive() => return Err(error),
                _ = halt.due(), if grace.is_none() => {
                    cancel.cancel();
                    grace = Some(Instant::now() + self.shared.config.limits.stop);
                }
                () = until(grace) => break,
            }
        }
        for (call_id, name) in open {
            self.shared.metrics.calls_left_behind.inc();
            tracing::warn!(tool = name, turn = %self.turn.id, "a tool did not end in time after a stop");
            let outcome = ToolOutcome::refused("STOPPED", "", "stopped; it did not confirm its end in time");
            self.ended(&call_id, &name, outcome, 0, Malformed::No);
        }
        Ok(())
    }

    fn on_progress(&self, reports: &mpsc::Sender<(String, Progress)>, call_id: &str) -> OnProgress {
        let (reports, call_id, dropped) =
            (reports.clone(), call_id.to_owned(), self.shared.metrics.progress_dropped.clone());
        Arc::new(move |progress: Progress| {
            let finite = progress.progress.is_finite() && progress.total.is_none_or(f64::is_finite);
            if !finite || reports.try_send((call_id.clone(), progress)).is_err() {
                dropped.inc();
            }
        })
    }

    /// Takes the outcome of a call.
    fn ended(&mut self, call_id: &str, name: &str, mut outcome: ToolOutcome, duration_ms: u64, malformed: Malformed) {
        let limits = &self.shared.config.limits;
        let size = serde_json::to_string(&(&outcome.cards, &outcome.chart)).map_or(usize::MAX, |text| text.len());
        if size > limits.card_bytes {
            tracing::warn!(tool = name, size, most = limits.card_bytes, "cards left out: too large");
            (outcome.cards, outcome.chart) = (Vec::new(), Vec::new());
            outcome.summary.push_str(" (too large to show)");
        }
        let content =
            prompt::delimited(&format!("tool:{name}"), &prompt::shortened(&outcome.content, limits.outcome_bytes));
        let step = Step::Called { call_id: call_id.to_owned(), content, malformed };
        self.progress.apply(step.clone());
        self.recorder.event(TurnEvent::ToolEnded {
            call_id: call_id.to_owned(),
            ok: outcome.ok,
            duration_ms,
            summary: prompt::shortened(&outcome.summary, SUMMARY_BYTES),
            cards: outcome.cards,
            chart: outcome.chart,
        });
        self.recorder.step(step);
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn shown_name(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()
}

/// "Run backtest: cross, BTC/USDT, 1h" from the name and the short arguments that say most.
fn title(name: &str, arguments: &Map<String, Value>) -> String {
    let mut words = name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let said = |key: &str| match arguments.get(key)? {
        Value::String(text) if !text.is_empty() => Some(prompt::shortened(text, 80).replace('\n', " ")),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let keys = ["name", "strategy", "indicator", "symbol", "interval", "timeframe", "query", "skill", "agent", "id"];
    let details: Vec<String> = keys.into_iter().filter_map(said).collect();
    if details.is_empty() { words } else { format!("{words}: {}", details.join(", ")) }
}

/// Arguments as they may be shown and kept: what is called a secret is not.
fn redacted(value: Value, depth: usize) -> Value {
    const SECRETS: [&str; 6] = ["secret", "password", "token", "api_key", "apikey", "private_key"];
    match value {
        Value::Object(object) if depth < 32 => {
            let hide = |(key, value): (String, Value)| {
                let lower = key.to_lowercase();
                let secret = SECRETS.iter().any(|it| lower == *it || lower.ends_with(&format!("_{it}")));
                let value = if secret { Value::String("…".to_owned()) } else { redacted(value, depth + 1) };
                (key, value)
            };
            Value::Object(object.into_iter().map(hide).collect())
        }
        Value::Array(items) if depth < 32 => {
            Value::Array(items.into_iter().map(|item| redacted(item, depth + 1)).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn titles_are_for_people_and_secrets_are_not_shown() {
        let arguments = json!({"symbol": "BTC/USDT", "name": "cross", "code": "x"});
        assert_eq!(title("run_backtest", arguments.as_object().unwrap()), "Run backtest: cross, BTC/USDT");
        assert_eq!(title("help", &Map::new()), "Help");
        let shown = redacted(json!({"a": {"bot_token": "t", "tokens": 5}, "password": ["p"]}), 0);
        assert_eq!(shown, json!({"a": {"bot_token": "…", "tokens": 5}, "password": "…"}));
    }
}
