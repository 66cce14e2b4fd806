//! When to send which critical events: a state machine without socket, disk or clock.
//!
//! It knows sequences only. Its owner tells it what happened and when, and asks what to send and how long to wait.

use proto::{EventAck, EventOutcome};
use std::ops::Range;
use std::time::Duration;

/// Most events that are sent and not acked.
pub(crate) const WINDOW: u64 = 256;

/// Waits for an ack, one after the other, while none comes; the last one goes on for ever.
const WAITS: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(40),
    Duration::from_secs(60),
];

/// Where the delivery stands. Times are since any fixed moment of a monotonic clock.
#[derive(Debug)]
pub(crate) struct Courier {
    /// Everything below is acked.
    acked_next: u64,
    /// What is sent next.
    cursor: u64,
    /// Behind the last event on disk.
    end: u64,
    /// Behind the last event that was ever sent, as far as anybody can know.
    sent_end: u64,
    connected: bool,
    /// Waits that were over since anything was heard.
    failures: usize,
    /// When the current wait is over.
    deadline: Option<Duration>,
    /// The gateway asked for this one already, and it was sent: the questions of the events behind it are the same one.
    rewound_to: Option<u64>,
}

/// What an ack meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Everything below is acked; the named event was recorded as refused, if there is one.
    Progress {
        /// Everything below is acked.
        next: u64,
        /// An event that the gateway will not take.
        refused: Option<u64>,
    },
    /// It says what is known.
    Nothing,
    /// The gateway did not take an event, and an operator has to find out why; it is sent again after the wait.
    Refused,
    /// The gateway's count cannot be ours: one of the two went back in time.
    Conflict,
}

impl Courier {
    /// At the start: everything that is not acked may have been sent before.
    pub(crate) const fn new(acked_next: u64, end: u64) -> Self {
        Self {
            acked_next,
            cursor: acked_next,
            end,
            sent_end: end,
            connected: false,
            failures: 0,
            deadline: None,
            rewound_to: None,
        }
    }

    /// The channel is up, perhaps anew: what was on the way may be lost.
    pub(crate) const fn connected(&mut self) {
        self.connected = true;
        self.failures = 0;
        self.rewind();
    }

    /// The channel is down.
    pub(crate) const fn disconnected(&mut self) {
        self.connected = false;
        self.deadline = None;
    }

    /// More events are on disk.
    pub(crate) const fn appended(&mut self, end: u64) {
        self.end = end;
    }

    const fn rewind(&mut self) {
        self.cursor = self.acked_next;
        self.deadline = None;
        self.rewound_to = None;
    }

    /// Which events to send now.
    pub(crate) fn sendable(&self) -> Option<Range<u64>> {
        let range = self.cursor..self.end.min(self.acked_next + WINDOW);
        (self.connected && !range.is_empty()).then_some(range)
    }

    /// Whether the event may have been sent before.
    pub(crate) const fn is_repetition(&self, sequence: u64) -> bool {
        sequence < self.sent_end
    }

    /// The events from the cursor up to (not including) this one are sent.
    pub(crate) fn sent(&mut self, end: u64, now: Duration) {
        self.cursor = end;
        self.sent_end = self.sent_end.max(end);
        if self.deadline.is_none() {
            self.wait(now);
        }
    }

    fn wait(&mut self, now: Duration) {
        self.deadline = Some(now + WAITS[self.failures.min(WAITS.len() - 1)]);
    }

    /// When to call [`Self::overdue`].
    pub(crate) const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// If the wait is over, everything that is not acked is to be sent again, and the next wait is longer.
    pub(crate) fn overdue(&mut self, now: Duration) -> bool {
        let over = self.deadline.is_some_and(|deadline| now >= deadline);
        if over {
            self.failures += 1;
            self.rewind();
        }
        over
    }

    /// An ack of this outbox came.
    pub(crate) fn heard(&mut self, ack: &EventAck, now: Duration) -> Heard {
        let next = ack.next_sequence;
        let beyond = next > self.end || ack.position.sequence >= self.end;
        if beyond || (ack.outcome == EventOutcome::ResendFrom && next < self.acked_next) {
            return Heard::Conflict;
        }
        let refused = match &ack.outcome {
            EventOutcome::Refused(_) if next <= ack.position.sequence => return Heard::Refused,
            EventOutcome::Refused(_) => Some(ack.position.sequence).filter(|sequence| *sequence >= self.acked_next),
            _ => None,
        };
        let progress = next > self.acked_next;
        if progress {
            self.progress(next, now);
        }
        if ack.outcome == EventOutcome::ResendFrom && self.rewound_to != Some(next) {
            self.cursor = next;
            self.rewound_to = Some(next);
        }
        if progress { Heard::Progress { next, refused } } else { Heard::Nothing }
    }

    fn progress(&mut self, next: u64, now: Duration) {
        self.acked_next = next;
        self.cursor = self.cursor.max(next);
        self.failures = 0;
        self.rewound_to = None;
        self.deadline = None;
        if self.cursor > next {
            self.wait(now);
        }
    }
}

#[cfg(test)]
mod tests;
