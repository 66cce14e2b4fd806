//! Asks the models of a round: again after a failure, the next one if one fails for good, never one whose breaker is open.

use crate::breaker::{Breaker, Permit};
use crate::config::RetryConfig;
use crate::event::{Outcome, Problem, TurnEvent};
use crate::metrics::HarnessMetrics;
use crate::model::{Chunk, Finish, Message, Model, ModelError, Prompt, ToolRequest, Usage};
use crate::progress::{self, Round, Step};
use crate::prompt;
use crate::router::{Choice, ModelConfig};
use crate::store::StoreError;
use crate::turn::Run;
use futures_util::StreamExt;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Most calls of one answer that are kept at all; those over the bound of a round are refused one by one.
const CALLS: usize = 64;
/// Longest id of a model that is kept as the id of a call.
const ID_BYTES: usize = 64;

/// The models that can be asked.
#[derive(Debug)]
pub(crate) struct Models {
    pub(crate) catalogue: Vec<ModelConfig>,
    models: Vec<Arc<dyn Model>>,
    breakers: Mutex<Vec<Breaker>>,
    retry: RetryConfig,
    metrics: HarnessMetrics,
}

impl Models {
    /// Models without an entry in the catalogue are built in: they cost nothing and come last.
    pub(crate) fn new(
        catalogue: &[ModelConfig],
        models: Vec<Arc<dyn Model>>,
        retry: RetryConfig,
        metrics: HarnessMetrics,
    ) -> Self {
        let (mut entries, mut known) = (Vec::new(), Vec::new());
        for entry in catalogue {
            match models.iter().find(|model| model.name() == entry.name) {
                Some(model) => {
                    entries.push(entry.clone());
                    known.push(model.clone());
                }
                None => tracing::warn!(
                    model = entry.name,
                    "a model of the configuration has no provider or key; it is never asked"
                ),
            }
        }
        for model in models {
            if !entries.iter().any(|entry| entry.name == model.name()) {
                entries.push(ModelConfig::built_in(model.name()));
                known.push(model);
            }
        }
        let breakers = Mutex::new(vec![Breaker::default(); entries.len()]);
        Self { catalogue: entries, models: known, breakers, retry, metrics }
    }

    fn breaker<T>(&self, index: usize, act: impl FnOnce(&mut Breaker) -> T) -> T {
        act(&mut self.breakers.lock().unwrap_or_else(PoisonError::into_inner)[index])
    }

    fn failed(&self, index: usize) {
        let (most, open) = (self.retry.breaker_failures, self.retry.breaker_open);
        if self.breaker(index, |breaker| breaker.failed(Instant::now(), most, open)) {
            self.metrics.breakers_opened.inc();
            tracing::warn!(model = self.catalogue[index].name, "a model fails; it is left alone for a while");
        }
    }

    /// The pause before the next try: what the provider asks for, or the back-off; never over the bound.
    fn pause(&self, error: &ModelError, attempt: u32) -> Duration {
        let backoff = self.retry.backoff.saturating_mul(1 << attempt.min(16));
        let asked = if let ModelError::Busy { retry_after, .. } = error { *retry_after } else { None };
        asked.unwrap_or(backoff).min(self.retry.backoff_most)
    }
}

/// A probe that is dropped without an answer gives its place back.
struct Probe<'a>(&'a Models, usize);

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.breaker(self.1, Breaker::gave_up);
    }
}

/// What came of a round.
#[derive(Debug)]
pub(crate) enum Asked {
    Answered(Round),
    /// The turn ends.
    Ended(Outcome, Problem),
}

/// What was read of an answer.
#[derive(Debug, Default)]
struct Reading {
    calls: BTreeMap<usize, ToolRequest>,
    usage: Usage,
    finish: Option<Finish>,
    call_bytes: usize,
}

impl Run {
    /// Asks until a model has answered; text that is shown of a try that failed is taken back.
    pub(crate) async fn ask(&mut self, round: u32, choices: &[Choice], prompt: &Prompt) -> Result<Asked, StoreError> {
        let models = self.shared.models.clone();
        let mut last = None;
        for choice in choices {
            let name = models.catalogue[choice.index].name.clone();
            let permit = models.breaker(choice.index, |breaker| breaker.permit(Instant::now()));
            if permit == Permit::Open {
                continue;
            }
            let _probe = (permit == Permit::Probe).then(|| Probe(&models, choice.index));
            self.announce(&name, choice, last.as_ref());
            for attempt in 0..models.retry.attempts.max(1) {
                match self.attempt(round, choice.index, prompt).await? {
                    Ok(answered) => {
                        models.breaker(choice.index, Breaker::succeeded);
                        return Ok(Asked::Answered(answered));
                    }
                    Err(ModelError::TooLong { .. }) => return Ok(Asked::Ended(Outcome::Limited, progress::text())),
                    Err(error) => {
                        self.shared.metrics.model_failed(&error);
                        models.failed(choice.index);
                        tracing::debug!(model = name, %error, attempt, turn = %self.turn.id, "a model failed");
                        let again = error.is_retryable() && attempt + 1 < models.retry.attempts;
                        let pause = models.pause(&error, attempt);
                        last = Some((name.clone(), error));
                        let open =
                            models.breaker(choice.index, |breaker| breaker.permit(Instant::now())) == Permit::Open;
                        if !again || open {
                            break;
                        }
                        self.wait(pause).await?;
                    }
                }
            }
        }
        Ok(Asked::Ended(Outcome::Failed, unavailable(last.as_ref())))
    }

    /// Says which model is asked, if it is another one than before.
    fn announce(&mut self, name: &str, choice: &Choice, failed: Option<&(String, ModelError)>) {
        if self.announced.as_deref() == Some(name) {
            return;
        }
        if let Some((failed, error)) = failed {
            let text = format!("{failed} does not answer ({error}); asking {name} instead.");
            self.recorder.event(TurnEvent::Notice { code: "MODEL_FALLBACK".to_owned(), text });
        }
        self.announced = Some(name.to_owned());
        self.recorder.event(TurnEvent::ModelChosen { model: name.to_owned(), reason: choice.reason.clone() });
    }

    async fn wait(&mut self, pause: Duration) -> Result<(), StoreError> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            error = self.recorder.drive() => Err(error),
        }
    }

    /// Asks one model once.
    async fn attempt(
        &mut self,
        round: u32,
        index: usize,
        prompt: &Prompt,
    ) -> Result<Result<Round, ModelError>, StoreError> {
        let shared = self.shared.clone();
        let config = &shared.models.catalogue[index];
        let mut reading = Reading::default();
        self.partial.clear();
        let result = self.read(round, &*shared.models.models[index], prompt, &mut reading).await?;
        let usage = if config.is_free() { reading.usage } else { usage_or_guess(&reading, prompt, &self.partial) };
        let cost_micro_usd = config.cost_micro_usd(usage);
        let done = result.and_then(|()| reading.finish.ok_or(ModelError::Cut));
        let done = done.and_then(|finish| {
            let empty = self.partial.is_empty() && reading.calls.is_empty() && finish != Finish::Refused;
            if empty { Err(ModelError::Malformed("an empty answer".to_owned())) } else { Ok(finish) }
        });
        match done {
            Ok(finish) => {
                let text = std::mem::take(&mut self.partial);
                let calls = self.identified(round, reading.calls);
                let finish = if calls.is_empty() || finish == Finish::Refused { finish } else { Finish::ToolCalls };
                Ok(Ok(Round { model: config.name.clone(), text, calls, finish, usage, cost_micro_usd }))
            }
            Err(ModelError::TooLong { most }) => Ok(Err(ModelError::TooLong { most })),
            Err(error) => {
                if !self.partial.is_empty() {
                    self.partial.clear();
                    self.recorder.event(TurnEvent::TextReset { round });
                }
                if reading.usage != Usage::default() {
                    let cost = config.cost_micro_usd(reading.usage);
                    self.pay(&format!("{round}-wasted-{}", self.progress.wasted), reading.usage, cost).await;
                    let step = Step::Wasted { usage: reading.usage, cost_micro_usd: cost };
                    self.progress.apply(step.clone());
                    self.recorder.step(step);
                }
                Ok(Err(error))
            }
        }
    }

    async fn read(
        &mut self,
        round: u32,
        model: &dyn Model,
        prompt: &Prompt,
        reading: &mut Reading,
    ) -> Result<Result<(), ModelError>, StoreError> {
        let asked = tokio::select! {
            asked = model.ask(prompt) => asked,
            error = self.recorder.drive() => return Err(error),
        };
        let mut answer = match asked {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        let most = self.shared.config.limits.text_bytes.saturating_sub(self.progress.text_bytes());
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = answer.next() => chunk,
                error = self.recorder.drive() => return Err(error),
            };
            match chunk {
                None => return Ok(Ok(())),
                Some(Err(error)) => return Ok(Err(error)),
                Some(Ok(Chunk::Text(text))) => {
                    if text.is_empty() {
                        continue;
                    }
                    if self.partial.len() + text.len() > most {
                        return Ok(Err(ModelError::TooLong { most }));
                    }
                    self.saw_text();
                    self.partial.push_str(&text);
                    self.recorder.event(TurnEvent::TextDelta { round, text });
                }
                Some(Ok(Chunk::Call { index, id, name, arguments })) => {
                    if let Err(error) =
                        reading.call(index, id, name, &arguments, self.shared.config.limits.argument_bytes)
                    {
                        return Ok(Err(error));
                    }
                }
                Some(Ok(Chunk::Usage(usage))) => reading.usage = usage,
                Some(Ok(Chunk::End(finish))) => {
                    reading.finish = Some(finish);
                    return Ok(Ok(()));
                }
            }
        }
    }

    /// Gives each call an id that is unique in the turn.
    fn identified(&self, round: u32, calls: BTreeMap<usize, ToolRequest>) -> Vec<ToolRequest> {
        let mut used: HashSet<String> =
            self.progress.rounds.iter().flat_map(|it| &it.calls).map(|call| call.id.clone()).collect();
        let identify = |(place, mut call): (usize, ToolRequest)| {
            let plain =
                !call.id.is_empty() && call.id.len() <= ID_BYTES && call.id.bytes().all(|byte| byte.is_ascii_graphic());
            if !plain || !used.insert(call.id.clone()) {
                call.id = format!("call_{round}_{place}");
                // A model that says `call_1_0` itself.
                while !used.insert(call.id.clone()) {
                    call.id.push('_');
                }
            }
            call
        };
        calls.into_values().enumerate().map(identify).collect()
    }
}

impl Reading {
    fn call(
        &mut self,
        index: usize,
        id: Option<String>,
        name: Option<String>,
        arguments: &str,
        most: usize,
    ) -> Result<(), ModelError> {
        if !self.calls.contains_key(&index) && self.calls.len() == CALLS {
            return Err(ModelError::Malformed(format!("more than {CALLS} calls in one answer")));
        }
        let call = self.calls.entry(index).or_insert_with(|| ToolRequest {
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
        if call.id.is_empty()
            && let Some(id) = id
        {
            call.id = id;
        }
        if call.name.is_empty()
            && let Some(name) = name
        {
            call.name = name;
        }
        self.call_bytes += arguments.len();
        // One call over its bound is refused by name; all of them together end the answer.
        if self.call_bytes > most.saturating_mul(4) {
            return Err(ModelError::Malformed("arguments over every bound".to_owned()));
        }
        call.arguments.push_str(arguments);
        Ok(())
    }
}

/// Tokens as the provider says, or a guess if it says nothing: an answer that costs money is never free.
fn usage_or_guess(reading: &Reading, prompt: &Prompt, text: &str) -> Usage {
    if reading.usage != Usage::default() || reading.finish.is_none() {
        return reading.usage;
    }
    let said = |message: &Message| match message {
        Message::User { text } => prompt::tokens(text),
        Message::Assistant { text, calls } => {
            prompt::tokens(text) + calls.iter().map(|call| prompt::tokens(&call.arguments)).sum::<usize>()
        }
        Message::Tool { content, .. } => prompt::tokens(content),
    };
    let input = prompt::tokens(&prompt.system) + prompt.messages.iter().map(said).sum::<usize>();
    Usage {
        input_tokens: input as u64,
        cached_tokens: 0,
        output_tokens: (prompt::tokens(text) + reading.call_bytes / 3) as u64,
    }
}

fn unavailable(last: Option<&(String, ModelError)>) -> Problem {
    let message = match last {
        Some((name, error)) => format!("No language model answers. The last one asked, {name}, failed: {error}."),
        None => "No language model answers: all have failed a moment ago.".to_owned(),
    };
    let retryable = last.is_none_or(|(_, error)| error.is_retryable());
    let next = if retryable {
        "Your message is kept. Send it again in a minute."
    } else {
        "Your message is kept. Ask the operator to check the models' configuration."
    };
    Problem { code: "MODEL_UNAVAILABLE".to_owned(), message, next: next.to_owned(), retryable }
}
