//! Runs one turn from its log: what is recorded decides what comes next, here or on the replica that carries it on.

use crate::asking::{Asked, Models};
use crate::citation;
use crate::config::HarnessConfig;
use crate::event::{Outcome, Problem, TurnEvent};
use crate::live::Live;
use crate::metrics::HarnessMetrics;
use crate::model::{Finish, Message, Prompt, Usage};
use crate::parts::{Budget, Context, ContextTexts, OnNotice, Retriever, Snippet};
use crate::progress::{self, Next, Progress, Round, Step};
use crate::prompt;
use crate::recorder::Recorder;
use crate::router::{self, Choice};
use crate::store::{Closing, LogTail, StoreError, Turn, TurnStore};
use crate::tool::{ToolSpec, Tools};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Notices that may wait for the turn; more are dropped: they repeat themselves.
const NOTICES: usize = 8;

/// What all turns of a replica share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: HarnessConfig,
    pub(crate) store: TurnStore,
    pub(crate) models: Arc<Models>,
    pub(crate) tools: Arc<dyn Tools>,
    pub(crate) context: Arc<dyn Context>,
    pub(crate) retriever: Arc<dyn Retriever>,
    pub(crate) budget: Arc<dyn Budget>,
    pub(crate) metrics: HarnessMetrics,
}

/// Why a turn is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halted {
    /// The user stopped it.
    Stopped,
    /// Its time is up.
    Time,
}

/// The wish to stop, and the deadline.
#[derive(Debug, Clone)]
pub(crate) struct Halt {
    stop: CancellationToken,
    deadline: Instant,
}

impl Halt {
    pub(crate) async fn due(&self) -> Halted {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Halted::Stopped,
            () = tokio::time::sleep_until(self.deadline) => Halted::Time,
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.reason().is_some()
    }

    fn reason(&self) -> Option<Halted> {
        if self.stop.is_cancelled() {
            Some(Halted::Stopped)
        } else {
            (Instant::now() >= self.deadline).then_some(Halted::Time)
        }
    }
}

/// A turn that runs.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) shared: Arc<Shared>,
    pub(crate) turn: Turn,
    pub(crate) recorder: Recorder,
    pub(crate) progress: Progress,
    pub(crate) halt: Halt,
    /// Text of the round that is under way.
    pub(crate) partial: String,
    /// The model that was said to answer.
    pub(crate) announced: Option<String>,
    /// Calls that are shown.
    pub(crate) started: HashSet<String>,
    began: Instant,
    text_seen: bool,
}

/// What a turn knows before its first question.
#[derive(Debug, Default)]
struct Known {
    specs: Arc<[ToolSpec]>,
    system: String,
    history: Vec<Message>,
    choices: Vec<Choice>,
    /// Nothing may be spent today.
    spent: bool,
}

impl Run {
    /// A turn as its log has it: new, or begun by another replica.
    pub(crate) fn new(shared: Arc<Shared>, turn: Turn, live: &Arc<Live>, log: LogTail) -> Self {
        let turns = &shared.config.turns;
        let sequence = log.events.last().map_or(0, |event| event.sequence);
        let mut recorder =
            Recorder::new(shared.store.clone(), turn.id, live.clone(), turns.coalesce, (sequence, log.entry));
        let mut progress = Progress::default();
        log.steps.into_iter().for_each(|step| progress.apply(step));
        let (mut started, mut announced, mut open_text, mut resumed) = (HashSet::new(), None, None, false);
        for event in log.events {
            resumed |= !matches!(event.event, TurnEvent::TurnStarted { .. } | TurnEvent::Notice { .. });
            match event.event {
                TurnEvent::ToolStarted { call_id, .. } => drop(started.insert(call_id)),
                TurnEvent::ModelChosen { model, .. } => announced = Some(model),
                TurnEvent::TextDelta { round, .. } => open_text = Some(round),
                TurnEvent::TextReset { .. } => open_text = None,
                _ => {}
            }
        }
        if resumed {
            let text = "Another server carries this answer on.".to_owned();
            recorder.event(TurnEvent::Notice { code: "RESUMED".to_owned(), text });
        }
        if let Some(round) = open_text.filter(|round| *round as usize >= progress.rounds.len()) {
            recorder.event(TurnEvent::TextReset { round });
        }
        let began = Instant::now();
        let halt = Halt { stop: live.stop.clone(), deadline: began + shared.config.limits.wall };
        let partial = String::new();
        Self { shared, turn, recorder, progress, halt, partial, announced, started, began, text_seen: false }
    }

    /// Runs it to its end. Returns the turn of the conversation that is ours to run next.
    ///
    /// # Errors
    /// If the turn log cannot be written: others carry the turn on.
    pub(crate) async fn run(mut self) -> Result<(Option<Turn>, Ended), StoreError> {
        let halt = self.halt.clone();
        let known = tokio::select! {
            biased;
            halted = halt.due() => Err(of_halt(halted)),
            known = self.prepare() => Ok(known?),
        };
        let (outcome, problem) = match known {
            Ok(Ok(known)) => self.rounds(&known).await?,
            Ok(Err(problem)) => (Outcome::Failed, Some(problem)),
            Err((outcome, problem)) => (outcome, Some(problem)),
        };
        self.end(outcome, problem).await
    }

    async fn rounds(&mut self, known: &Known) -> Result<(Outcome, Option<Problem>), StoreError> {
        let halt = self.halt.clone();
        loop {
            if let Some(halted) = halt.reason() {
                let (outcome, problem) = of_halt(halted);
                return Ok((outcome, Some(problem)));
            }
            match self.progress.next(&self.shared.config.limits, self.began.elapsed()) {
                Next::End { outcome, problem } => return Ok((outcome, problem)),
                Next::Call { round, pending } => self.call(round, &pending, &known.specs).await?,
                Next::Ask { round } => {
                    let Some(choices) = self.affordable(known).await? else {
                        return Ok((Outcome::Limited, Some(progress::no_money())));
                    };
                    let prompt = self.prompt(known);
                    let asked = tokio::select! {
                        biased;
                        halted = halt.due() => {
                            let (outcome, problem) = of_halt(halted);
                            Asked::Ended(outcome, problem)
                        }
                        asked = self.ask(round, &choices, &prompt) => asked?,
                    };
                    match asked {
                        Asked::Answered(answer) => self.answered(round, answer).await,
                        Asked::Ended(outcome, problem) => return Ok((outcome, Some(problem))),
                    }
                }
            }
        }
    }

    /// Takes an answer and pays for it.
    async fn answered(&mut self, round: u32, answer: Round) {
        self.pay(&round.to_string(), answer.usage, answer.cost_micro_usd).await;
        let step = Step::Answered(answer);
        self.progress.apply(step.clone());
        self.recorder.step(step);
    }

    /// Counts tokens and charges money, once for each `part` of the turn.
    pub(crate) async fn pay(&mut self, part: &str, usage: Usage, cost_micro_usd: u64) {
        let metrics = &self.shared.metrics;
        metrics.tokens_input.inc_by(usage.input_tokens);
        metrics.tokens_output.inc_by(usage.output_tokens);
        metrics.cost_micro_usd.inc_by(cost_micro_usd);
        if cost_micro_usd > 0 {
            let charge = format!("{}-{part}", self.turn.id);
            // A charge that cannot be recorded does not take the answer away; its implementer has logged it.
            drop(self.shared.budget.charge(self.turn.user, &charge, cost_micro_usd).await);
        }
    }

    /// The choices that the money left for today allows; none if there is none.
    async fn affordable(&mut self, known: &Known) -> Result<Option<Vec<Choice>>, StoreError> {
        let paid = |choice: &Choice| !self.shared.models.catalogue[choice.index].is_free();
        if self.progress.rounds.is_empty() || !known.choices.iter().any(paid) {
            return Ok(if known.spent && known.choices.is_empty() { None } else { Some(known.choices.clone()) });
        }
        let left = tokio::select! {
            left = self.shared.budget.left(self.turn.user, self.turn.tier) => left,
            error = self.recorder.drive() => return Err(error),
        };
        let broke = !matches!(left, Ok(None | Some(1..)));
        let choices: Vec<Choice> = known.choices.iter().filter(|choice| !broke || !paid(choice)).cloned().collect();
        Ok(if choices.is_empty() { None } else { Some(choices) })
    }

    fn prompt(&self, known: &Known) -> Prompt {
        let mut messages = known.history.clone();
        messages.push(Message::User { text: self.turn.text.clone() });
        messages.extend(self.progress.messages());
        Prompt {
            system: known.system.clone(),
            messages,
            tools: known.specs.clone(),
            max_output_tokens: self.shared.config.limits.output_tokens,
            temperature: None,
        }
    }

    /// Reads context, memories, history, tools and budget side by side.
    async fn prepare(&mut self) -> Result<Result<Known, Problem>, StoreError> {
        let (shared, turn) = (self.shared.clone(), self.turn.clone());
        let (notices, mut noticed) = mpsc::channel::<(String, String)>(NOTICES);
        let on_notice: OnNotice = Arc::new(move |code: &str, text: &str| {
            // Full: the person already reads others.
            drop(notices.try_send((code.to_owned(), text.to_owned())));
        });
        let gathering = gather(&shared, &turn, on_notice);
        tokio::pin!(gathering);
        let gathered = loop {
            tokio::select! {
                gathered = &mut gathering => break gathered?,
                Some((code, text)) = noticed.recv() => self.recorder.event(TurnEvent::Notice { code, text }),
                error = self.recorder.drive() => return Err(error),
            }
        };
        while let Ok((code, text)) = noticed.try_recv() {
            self.recorder.event(TurnEvent::Notice { code, text });
        }
        for (code, text) in &gathered.notices {
            self.recorder.event(TurnEvent::Notice { code: (*code).to_owned(), text: text.clone() });
        }
        let left = match &gathered.left {
            Ok(left) => *left,
            Err(problem) => return Ok(Err(problem.clone())),
        };
        let catalogue = &self.shared.models.catalogue;
        let complexity = router::complexity(&self.turn.text);
        let choices = router::route(&self.shared.config.routing, catalogue, self.turn.tier, complexity, left);
        let now = rfc3339(self.turn.started_at_ns);
        let system = prompt::system(&self.shared.config.prompt, &gathered.texts, &gathered.snippets, &now);
        let Gathered { specs, history, .. } = gathered;
        Ok(Ok(Known { specs, system, history, choices, spent: left == Some(0) }))
    }

    pub(crate) fn saw_text(&mut self) {
        if !self.text_seen {
            self.text_seen = true;
            self.shared.metrics.first_text_seconds.observe(self.began.elapsed().as_secs_f64());
        }
    }

    /// Ends it after a fault of ours.
    pub(crate) async fn fail(self) -> Result<(Option<Turn>, Ended), StoreError> {
        let problem = Problem {
            code: "INTERNAL".to_owned(),
            message: "The assistant broke down in the middle of this answer.".to_owned(),
            next: "Your message is kept. Send it again; tell the operator if it happens again.".to_owned(),
            retryable: true,
        };
        self.end(Outcome::Failed, Some(problem)).await
    }

    async fn end(mut self, outcome: Outcome, problem: Option<Problem>) -> Result<(Option<Turn>, Ended), StoreError> {
        // What was shown of a round that was cut short belongs to the answer.
        if !self.partial.is_empty() {
            let text = std::mem::take(&mut self.partial);
            let model = self.announced.clone().unwrap_or_default();
            let (calls, finish) = (Vec::new(), Finish::Stop);
            self.progress.apply(Step::Answered(Round {
                model,
                text,
                calls,
                finish,
                usage: Default::default(),
                cost_micro_usd: 0,
            }));
        }
        let text = self.progress.text();
        let calls = self.progress.rounds.iter().flat_map(|round| &round.calls);
        let outcomes = calls.filter_map(|call| {
            self.progress.outcomes.get(&call.id).map(|content| (call.id.as_str(), content.as_str()))
        });
        let citations = citation::cite(&text, &self.turn.text, outcomes);
        let ended = Ended { text: text.clone(), problem: problem.clone() };
        self.recorder.event(TurnEvent::TurnEnded {
            outcome,
            text,
            citations,
            usage: self.progress.usage,
            cost_micro_usd: self.progress.cost_micro_usd,
            problem,
        });
        let closing = Closing { user: self.turn.user, conversation: self.turn.conversation.clone() };
        let next = self.recorder.close(closing).await?;
        self.shared.metrics.ended(outcome);
        self.shared.metrics.turn_seconds.observe(self.began.elapsed().as_secs_f64());
        Ok((next, ended))
    }
}

/// What an ended turn leaves for the container's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) text: String,
    pub(crate) problem: Option<Problem>,
}

fn of_halt(halted: Halted) -> (Outcome, Problem) {
    match halted {
        Halted::Stopped => (Outcome::Stopped, progress::stopped()),
        Halted::Time => (Outcome::Limited, progress::time()),
    }
}

struct Gathered {
    texts: ContextTexts,
    snippets: Vec<Snippet>,
    history: Vec<Message>,
    specs: Arc<[ToolSpec]>,
    left: Result<Option<u64>, Problem>,
    notices: Vec<(&'static str, String)>,
}

async fn gather(shared: &Shared, turn: &Turn, on_notice: OnNotice) -> Result<Gathered, StoreError> {
    let config = &shared.config.prompt;
    let patience = config.context_timeout;
    let (texts, snippets, history, specs, left) = tokio::join!(
        within(patience, shared.context.read(turn.user, on_notice)),
        within(patience, shared.retriever.retrieve(turn.user, &turn.text, config.snippets)),
        shared.store.history(turn, config.history_turns),
        within(patience, shared.tools.list(turn.user)),
        left(shared, turn),
    );
    let mut notices = Vec::new();
    if texts.is_none() || snippets.is_none() {
        shared.metrics.context_missing.inc();
        let text = "Your workspace or memories cannot be read just now; this answer does without them.".to_owned();
        notices.push(("CONTEXT_MISSING", text));
    }
    let (history, left_out) = prompt::history(config, &history?);
    if left_out > 0 {
        notices.push((
            "SUMMARISED",
            "Earlier messages of this conversation are told to the model as a summary.".to_owned(),
        ));
    }
    let specs = specs.unwrap_or_else(|| {
        notices.push(("TOOLS_MISSING", "No tools can be used just now; this answer does without them.".to_owned()));
        Arc::from([])
    });
    let specs = without_command_id(specs);
    Ok(Gathered {
        texts: texts.unwrap_or_default(),
        snippets: snippets.unwrap_or_default(),
        history,
        specs,
        left,
        notices,
    })
}

/// The harness sets `command_id`; no model sees it.
fn without_command_id(specs: Arc<[ToolSpec]>) -> Arc<[ToolSpec]> {
    if specs.iter().all(|spec| spec.schema.pointer("/properties/command_id").is_none()) {
        return specs;
    }
    let hide = |spec: &ToolSpec| {
        let mut spec = spec.clone();
        if let Some(properties) = spec.schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            properties.remove("command_id");
        }
        if let Some(required) = spec.schema.get_mut("required").and_then(serde_json::Value::as_array_mut) {
            required.retain(|name| name != "command_id");
        }
        spec
    };
    specs.iter().map(hide).collect()
}

async fn within<T, E: std::fmt::Display>(patience: Duration, part: impl Future<Output = Result<T, E>>) -> Option<T> {
    match tokio::time::timeout(patience, part).await {
        Ok(Ok(it)) => Some(it),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a turn goes on without a part of its context");
            None
        }
        Err(_) => None,
    }
}

/// What the user may spend, asked only if there is something to pay for.
async fn left(shared: &Shared, turn: &Turn) -> Result<Option<u64>, Problem> {
    if shared.models.catalogue.iter().all(router::ModelConfig::is_free) {
        return Ok(None);
    }
    shared.budget.left(turn.user, turn.tier).await.map_err(|error| Problem {
        code: "INTERNAL".to_owned(),
        message: error.message,
        next: "Your message is kept. Send it again in a minute.".to_owned(),
        retryable: error.retryable,
    })
}

/// A time as people write it, to the minute: the same for all rounds, so that providers can reuse what they have read.
fn rfc3339(at_ns: u64) -> String {
    let (minutes, days) = (at_ns / 60_000_000_000 % 1440, at_ns / 86_400_000_000_000);
    // Days to a date: H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days, for days since 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}Z", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00Z"),
            (951_782_400, "2000-02-29T00:00Z"),
            (1_709_251_199, "2024-02-29T23:59Z"),
            (1_709_251_200, "2024-03-01T00:00Z"),
            (4_107_542_400, "2100-03-01T00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000), expected);
        }
    }
}
