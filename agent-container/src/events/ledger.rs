//! How full the outbox is: pure accounting of what waits for its ack.

use super::OutboxLimits;
use std::collections::VecDeque;

/// Part of a limit, in percent, from which on the outbox raises its alarm.
const ALARM_PERCENT: u64 = 80;
/// What the log stores around a value, at most.
const OVERHEAD_BYTES: u64 = 64;

/// Events between the last ack and the end of the outbox.
#[derive(Debug)]
pub(crate) struct Ledger {
    limits: OutboxLimits,
    /// Bytes of each event that is not acked, oldest first.
    waiting: VecDeque<u32>,
    bytes: u64,
    /// Sequence of the oldest of them, or of the next event.
    acked_next: u64,
}

/// One more does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Ledger {
    /// Nothing waits; `next` is the sequence of the next event.
    pub(crate) const fn new(limits: OutboxLimits, next: u64) -> Self {
        Self { limits, waiting: VecDeque::new(), bytes: 0, acked_next: next }
    }

    const fn stored(len: usize) -> u64 {
        len as u64 + OVERHEAD_BYTES
    }

    /// Notes an event of so many bytes if it fits.
    pub(crate) fn admit(&mut self, len: usize) -> Result<(), Full> {
        let (events, bytes) = (self.waiting.len() as u64, self.bytes);
        if events >= self.limits.events || bytes + Self::stored(len) > self.limits.bytes {
            return Err(Full { events, bytes });
        }
        self.restore(len);
        Ok(())
    }

    /// Notes an event that is there, whatever the limits.
    pub(crate) fn restore(&mut self, len: usize) {
        self.waiting.push_back(u32::try_from(len).unwrap_or(u32::MAX));
        self.bytes += Self::stored(len);
    }

    /// Takes back the newest event, whose write failed.
    pub(crate) fn withdraw(&mut self) {
        if let Some(len) = self.waiting.pop_back() {
            self.bytes -= Self::stored(len as usize);
        }
    }

    /// Everything below `next` is acked. Returns how many of them are news.
    pub(crate) fn acked(&mut self, next: u64) -> u64 {
        let mut news = 0;
        while self.acked_next < next
            && let Some(len) = self.waiting.pop_front()
        {
            self.bytes -= Self::stored(len as usize);
            self.acked_next += 1;
            news += 1;
        }
        news
    }

    pub(crate) fn events(&self) -> u64 {
        self.waiting.len() as u64
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sequence of the oldest event that is not acked, or of the next event.
    pub(crate) const fn acked_next(&self) -> u64 {
        self.acked_next
    }

    pub(crate) fn is_alarming(&self) -> bool {
        let reached = |now: u64, limit: u64| u128::from(now) * 100 >= u128::from(limit) * u128::from(ALARM_PERCENT);
        reached(self.events(), self.limits.events) || reached(self.bytes, self.limits.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(OutboxLimits { events: 5, bytes: 1000 }, 11)
    }

    #[test]
    fn the_limits_are_accepted_and_one_more_refused() {
        let mut ledger = ledger();
        for _ in 0..5 {
            ledger.admit(10).unwrap();
        }
        assert_eq!(ledger.admit(10), Err(Full { events: 5, bytes: 5 * 74 }));
        let mut ledger = self::ledger();
        ledger.admit(436).unwrap();
        ledger.admit(436).unwrap();
        assert_eq!(ledger.bytes(), 1000);
        assert_eq!(ledger.admit(0), Err(Full { events: 2, bytes: 1000 }));
    }

    #[test]
    fn the_alarm_begins_at_four_fifths_and_ends_below() {
        let mut ledger = ledger();
        let alarms: Vec<bool> = (0..5)
            .map(|_| {
                ledger.admit(1).unwrap();
                ledger.is_alarming()
            })
            .collect();
        assert_eq!(alarms, [false, false, false, true, true]);
        assert_eq!(ledger.acked(13), 2);
        assert!(!ledger.is_alarming());
        ledger.admit(650).unwrap();
        assert!(ledger.is_alarming(), "by bytes");
    }

    #[test]
    fn acks_free_what_they_cover_once_and_never_more_than_there_is() {
        let mut ledger = ledger();
        ledger.admit(100).unwrap();
        ledger.admit(200).unwrap();
        assert_eq!((ledger.acked(11), ledger.acked(12), ledger.acked(12), ledger.bytes()), (0, 1, 0, 264));
        assert_eq!((ledger.acked(99), ledger.bytes(), ledger.events(), ledger.acked_next()), (1, 0, 0, 13));
        ledger.admit(1).unwrap();
        ledger.withdraw();
        assert_eq!((ledger.bytes(), ledger.events()), (0, 0));
    }
}
