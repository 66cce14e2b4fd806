//! Finds messages and commands in received bytes, in place.

use super::{FrameError, FrameHead};
use crate::Limits;
use std::ops::Range;

/// What stands at the start of the received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// Not enough bytes; scanning again is useless before there are `need` of them.
    Partial {
        /// Bytes from the start that it takes to know more.
        need: usize,
    },
    /// A whole message: the first `len` bytes, heads included, which may be forwarded as they are.
    Message {
        /// Bytes of the message.
        len: usize,
        /// Number of its frames.
        parts: usize,
        /// Where the body of its first frame is.
        first: Range<usize>,
    },
    /// A command. What stands before `frame.start` is the beginning of a message that is not complete: handle the
    /// command, take it out with [`excise`], and scan again.
    Command {
        /// The command with its head.
        frame: Range<usize>,
        /// Its body, for [`super::Command::parse`].
        body: Range<usize>,
    },
}

/// Scans the bytes of one connection after its handshake. Between two calls only bytes may be appended, a message
/// removed from the start, or a command excised.
#[derive(Debug, Clone)]
pub struct Scanner {
    limits: Limits,
    commands_between: usize,
}

impl Scanner {
    /// A scanner with these limits.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, commands_between: 0 }
    }

    /// What stands at the start of `bytes`.
    ///
    /// # Errors
    /// If the peer broke the protocol or a limit; the connection cannot go on. A claimed length is refused when its head
    /// is read, before any byte of the body is waited for.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Scan, FrameError> {
        let limits = &self.limits;
        let (mut at, mut parts, mut first) = (0, 0, 0..0);
        loop {
            let head = match FrameHead::parse(&bytes[at..])? {
                Ok(head) => head,
                Err(need) => return Ok(Scan::Partial { need: at + need }),
            };
            let start = at + head.head;
            if head.command {
                let limit = limits.command_bytes;
                let body = head.body_within(limit).ok_or(FrameError::CommandTooLong { have: head.body, limit })?;
                if at > 0 && self.commands_between >= limits.commands_between_parts {
                    return Err(FrameError::TooManyCommands { limit: limits.commands_between_parts });
                }
                if bytes.len() < start + body {
                    return Ok(Scan::Partial { need: start + body });
                }
                self.commands_between += usize::from(at > 0);
                return Ok(Scan::Command { frame: at..start + body, body: start..start + body });
            }
            let limit = limits.frame_bytes;
            let body = head.body_within(limit).ok_or(FrameError::FrameTooLong { have: head.body, limit })?;
            parts += 1;
            if parts > limits.parts {
                return Err(FrameError::TooManyParts { limit: limits.parts });
            }
            let end = start + body;
            if end > limits.message_bytes {
                return Err(FrameError::MessageTooLong { have: end, limit: limits.message_bytes });
            }
            if parts == 1 {
                first = start..end;
            }
            if bytes.len() < end {
                return Ok(Scan::Partial { need: end });
            }
            at = end;
            if !head.more {
                self.commands_between = 0;
                return Ok(Scan::Message { len: at, parts, first });
            }
        }
    }
}

/// Takes the command at `frame` out of `bytes` by moving what stands before it to the right. Returns how many bytes at
/// the start are now void: scanning goes on behind them.
pub fn excise(bytes: &mut [u8], frame: Range<usize>) -> usize {
    let void = frame.len();
    bytes.copy_within(..frame.start, void);
    void
}

/// The bodies of the frames of one whole message, as ranges.
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Parts<'a> {
    /// Of a message that a [`Scanner`] found.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }
}

impl Iterator for Parts<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let head = FrameHead::parse(self.message.get(self.at..)?).ok()?.ok()?;
        let start = self.at + head.head;
        let end = start.checked_add(head.body_within(self.message.len())?)?;
        if end > self.message.len() {
            return None;
        }
        self.at = end;
        Some(start..end)
    }
}

/// Length of the whole message at the start of `bytes`, which a [`Scanner`] has accepted before.
#[must_use]
pub fn whole_message_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let head = FrameHead::parse(bytes.get(at..)?).ok()?.ok()?;
        at = at.checked_add(head.head)?.checked_add(head.body_within(bytes.len())?)?;
        if at > bytes.len() {
            return None;
        }
        if !head.more {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests;
