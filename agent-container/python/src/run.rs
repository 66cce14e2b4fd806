//! One run of the engine with a strategy that is Python code.

use crate::book::{Act, Book, Session};
use crate::error::JobError;
use crate::lend::is_only_ours;
use crate::market::{PyCandle, PyFill, PyTick};
use crate::progress::Progress;
use crate::strategy::{PyStrategy, Steps};
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};
use trading::backtest::{
    Backtest, Candle, Decision, Desk, Fill, OrderId, Refusal, Report, Strategy, Targets, Terms, Tick,
};

/// How often runs look at the clock: a callback may be slow, a step of the engine is not.
const CALLBACK_STRIDE: u64 = 4;
const ENGINE_STRIDE: u64 = 256;

/// What a run goes over.
pub(crate) enum Events<'a> {
    Candles { interval_ns: u64, candles: &'a [Candle] },
    Ticks(Box<crate::data::Ticks>),
}

/// The engine's strategy: calls the methods that the user's class defines, and stops at the first exception.
struct Callbacks<'a, 'py> {
    py: Python<'py>,
    base: &'a PyStrategy,
    book: Book,
    on_candle: Option<Bound<'py, PyAny>>,
    on_tick: Option<Bound<'py, PyAny>>,
    on_fill: Option<Bound<'py, PyAny>>,
    on_refusal: Option<Bound<'py, PyAny>>,
    /// The objects that are shown; made anew when the strategy has kept the last one.
    candle: Option<Py<PyCandle>>,
    tick: Option<Py<PyTick>>,
    failure: Option<PyErr>,
    stop: &'a Cell<bool>,
}

impl<'a, 'py> Callbacks<'a, 'py> {
    fn new(instance: &'a Bound<'py, PyStrategy>, stop: &'a Cell<bool>, note_decisions: bool) -> PyResult<Self> {
        let method = |name: &str| instance.getattr_opt(name);
        Ok(Self {
            py: instance.py(),
            base: instance.get(),
            book: Book::new(note_decisions),
            on_candle: method("on_candle")?,
            on_tick: method("on_tick")?,
            on_fill: method("on_fill")?,
            on_refusal: method("on_refusal")?,
            candle: None,
            tick: None,
            failure: None,
            stop,
        })
    }

    fn call(&mut self, desk: &mut Desk<'_>, call: impl FnOnce() -> PyResult<Bound<'py, PyAny>>) {
        if self.stop.get() {
            return;
        }
        let mut session = Session { desk, book: &mut self.book };
        if let Err(failure) = self.base.lent.lend(self.py, &mut session, call) {
            self.fail(failure);
        }
    }

    fn fail(&mut self, failure: PyErr) {
        self.failure.get_or_insert(failure);
        self.stop.set(true);
    }
}

impl Strategy for Callbacks<'_, '_> {
    fn on_candle(&mut self, candle: &Candle, desk: &mut Desk<'_>) {
        if let Some(method) = self.on_candle.clone() {
            let shown = match self.candle.take().filter(|shown| is_only_ours(self.py, shown)) {
                Some(shown) => {
                    shown.borrow_mut(self.py).0 = *candle;
                    Ok(shown)
                }
                None => Py::new(self.py, PyCandle(*candle)),
            };
            match shown {
                Ok(shown) => {
                    self.call(desk, || method.call1((&shown,)));
                    self.candle = Some(shown);
                }
                Err(failure) => self.fail(failure),
            }
        }
        self.book.event += 1;
    }

    fn on_tick(&mut self, tick: &Tick, desk: &mut Desk<'_>) {
        if let Some(method) = self.on_tick.clone() {
            let shown = match self.tick.take().filter(|shown| is_only_ours(self.py, shown)) {
                Some(shown) => {
                    shown.borrow_mut(self.py).0 = *tick;
                    Ok(shown)
                }
                None => Py::new(self.py, PyTick(*tick)),
            };
            match shown {
                Ok(shown) => {
                    self.call(desk, || method.call1((&shown,)));
                    self.tick = Some(shown);
                }
                Err(failure) => self.fail(failure),
            }
        }
        self.book.event += 1;
    }

    fn on_fill(&mut self, fill: &Fill, desk: &mut Desk<'_>) {
        if let Some(method) = self.on_fill.clone() {
            self.call(desk, || method.call1((PyFill(*fill),)));
        }
    }

    fn on_refusal(&mut self, order: OrderId, refusal: Refusal, desk: &mut Desk<'_>) {
        if let Some(method) = self.on_refusal.clone() {
            self.call(desk, || method.call1((order.0, refusal.to_string())));
        }
    }
}

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) report: Report,
    /// If they were to be noted.
    pub(crate) decisions: Vec<Decision<Act>>,
}

/// Runs an instance of a class with callbacks; `file` names its source in errors.
pub(crate) fn callbacks(
    progress: &Progress<'_>,
    terms: &Terms,
    events: Events<'_>,
    instance: &Bound<'_, PyStrategy>,
    (file, note_decisions): (&str, bool),
) -> Result<Outcome, JobError> {
    let py = instance.py();
    let user = |failure: PyErr| JobError::user(py, &failure, file);
    // An instance is run once: the steps are not set yet.
    let _first = instance.get().steps.set(Steps { tick: terms.tick_size, lot: terms.lot_size });
    if let Some(start) = instance.getattr_opt("start").map_err(user)? {
        start.call0().map_err(user)?;
    }
    let stop = Cell::new(false);
    let mut callbacks = Callbacks::new(instance, &stop, note_decisions).map_err(user)?;
    let engine = Backtest::new(terms.clone())?;
    let unreadable = RefCell::new(None);
    let go = || progress.advance(CALLBACK_STRIDE) && !stop.get();
    let report = match events {
        Events::Candles { interval_ns, candles } => {
            engine.candles(interval_ns, candles.iter().copied().take_while(|_| go()), &mut callbacks)
        }
        Events::Ticks(ticks) => {
            let read = |tick: Result<Tick, JobError>| tick.map_err(|e| *unreadable.borrow_mut() = Some(e)).ok();
            engine.ticks(ticks.map_while(read).take_while(|_| go()), &mut callbacks)
        }
    };
    progress.check()?;
    if let Some(failure) = callbacks.failure {
        return Err(user(failure));
    }
    match unreadable.into_inner() {
        Some(error) => Err(error),
        None => Ok(Outcome { report: report?, decisions: callbacks.book.decisions.unwrap_or_default() }),
    }
}

/// Runs targets that were computed before.
pub(crate) fn targets(
    progress: &Progress<'_>,
    terms: &Terms,
    (interval_ns, candles): (u64, &[Candle]),
    targets: &[Option<proto::Decimal>],
) -> Result<Report, JobError> {
    let engine = Backtest::new(terms.clone())?;
    let events = candles.iter().copied().take_while(|_| progress.advance(ENGINE_STRIDE));
    let report = engine.candles(interval_ns, events, &mut Targets::new(targets));
    progress.check()?;
    Ok(report?)
}
