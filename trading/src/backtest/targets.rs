//! The vectorised form of a strategy: one target exposure for each candle, computed beforehand.

use super::{Candle, Desk, Order, Strategy, Tick};
use proto::Decimal;

/// Moves the position to the target of each candle (or tick) whenever the target changes. `None` keeps the last one.
#[derive(Debug, Clone)]
pub struct Targets<'a> {
    targets: &'a [Option<Decimal>],
    at: usize,
    last: Decimal,
}

impl<'a> Targets<'a> {
    /// Targets as fractions of the equity ([`Order::Target`]), one for each candle; beyond their end the last one stays.
    #[must_use]
    pub const fn new(targets: &'a [Option<Decimal>]) -> Self {
        Self { targets, at: 0, last: Decimal::ZERO }
    }

    fn step(&mut self, desk: &mut Desk<'_>) {
        let target = self.targets.get(self.at).copied().flatten();
        self.at += 1;
        if let Some(exposure) = target.filter(|target| *target != self.last) {
            self.last = exposure;
            desk.cancel_all();
            // One that the terms do not allow leaves the position as it is; it is the last one all the same.
            let _refused = desk.submit(Order::Target { exposure });
        }
    }
}

impl Strategy for Targets<'_> {
    fn on_candle(&mut self, _candle: &Candle, desk: &mut Desk<'_>) {
        self.step(desk);
    }

    fn on_tick(&mut self, _tick: &Tick, desk: &mut Desk<'_>) {
        self.step(desk);
    }
}
