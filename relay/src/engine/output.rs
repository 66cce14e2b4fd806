//! What goes out to one peer: ranges of the read buffer first, a bounded backlog if the peer does not take them.
//!
//! Pure but for the stream it writes to. The invariant: what reaches the stream is a sequence of whole messages, in order,
//! whatever the stream takes and whatever is dropped.

use bytes::{Buf, BytesMut};
use std::io::{self, Write};
use std::ops::Range;
use zmtp::codec::{FrameHead, GREETING_BYTES, whole_message_len};

/// Most bytes copied together for one write.
pub(super) const GATHER_BYTES: usize = 64 << 10;
/// An empty backlog larger than this gives its memory back.
const KEEP_BYTES: usize = 64 << 10;

/// What may wait for one peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct BacklogLimit {
    pub(super) bytes: usize,
    pub(super) messages: usize,
}

#[derive(Debug)]
pub(crate) struct Output {
    backlog: BytesMut,
    /// Messages in the backlog, a begun one included. Commands do not count.
    messages: usize,
    /// Bytes left of what stands at the front of the backlog, if some of it is written, and whether it is a message.
    begun: Option<(usize, bool)>,
    /// Whole messages in the buffer of this wake, neighbours merged.
    ranges: Vec<Range<usize>>,
    /// The last write was not refused.
    pub(super) writable: bool,
}

/// What a flush did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flushed {
    pub(super) written: usize,
    /// Messages dropped because the backlog was full.
    pub(super) dropped: u64,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { backlog: BytesMut::new(), messages: 0, begun: None, ranges: Vec::new(), writable: true }
    }

    /// Messages in the backlog.
    pub(super) const fn backlog_messages(&self) -> usize {
        self.messages
    }

    pub(super) fn backlog_len(&self) -> usize {
        self.backlog.len()
    }

    /// Adds a message of this wake's buffer. True if it is the first of the wake.
    pub(super) fn push_range(&mut self, range: Range<usize>) -> bool {
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => {
                last.end = range.end;
                false
            }
            _ => {
                self.ranges.push(range);
                self.ranges.len() == 1
            }
        }
    }

    /// Appends commands, or the greeting when nothing waits.
    pub(super) fn append(&mut self, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.backlog);
    }

    /// Appends one whole message that is not in the buffer.
    pub(super) fn append_message(&mut self, message: &[u8]) {
        self.backlog.extend_from_slice(message);
        self.messages += 1;
    }

    /// Removes what was written.
    fn consume(&mut self, mut written: usize) {
        if written == self.backlog.len() {
            self.backlog.clear();
            (self.messages, self.begun) = (0, None);
        }
        while written > 0 && !self.backlog.is_empty() {
            let (left, is_message) = self.begun.take().unwrap_or_else(|| self.first());
            let step = written.min(left);
            self.backlog.advance(step);
            written -= step;
            if step < left {
                self.begun = Some((left - step, is_message));
            } else {
                self.messages -= usize::from(is_message);
            }
        }
    }

    /// Length of what stands at the front of the backlog, and whether it is a message. What cannot be read is the greeting.
    fn first(&self) -> (usize, bool) {
        let is_message = FrameHead::parse(&self.backlog).is_ok_and(|head| head.is_ok_and(|head| !head.command));
        whole_message_len(&self.backlog)
            .map_or((self.backlog.len().min(GREETING_BYTES), false), |len| (len, is_message))
    }

    /// Writes the backlog, then the ranges of `source`; keeps what is not taken as long as the backlog is within
    /// `limit`, and drops whole messages beyond it. A message that was begun is always kept. `gather` is memory to work in.
    pub(super) fn flush(
        &mut self,
        stream: &mut impl Write,
        source: &[u8],
        limit: BacklogLimit,
        gather: &mut Vec<u8>,
    ) -> io::Result<Flushed> {
        let mut written = 0;
        while self.writable && !self.backlog.is_empty() {
            let n = self.accepted(stream.write(&self.backlog))?;
            self.consume(n);
            written += n;
        }
        if self.backlog.is_empty() && self.backlog.capacity() > KEEP_BYTES {
            self.backlog = BytesMut::new();
        }
        let sent = if self.backlog.is_empty() { self.write_ranges(stream, source, gather)? } else { 0 };
        let dropped = self.keep(source, sent, limit);
        self.ranges.clear();
        Ok(Flushed { written: written + sent, dropped })
    }

    /// The number of bytes taken; none if the stream would block.
    fn accepted(&mut self, result: io::Result<usize>) -> io::Result<usize> {
        match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            result => result,
        }
    }

    /// Writes the ranges: a large one straight from the source, small ones copied together, because the system takes one
    /// piece of memory faster than many (measured: docs/performance.md).
    fn write_ranges(&mut self, stream: &mut impl Write, source: &[u8], gather: &mut Vec<u8>) -> io::Result<usize> {
        let total: usize = self.ranges.iter().map(ExactSizeIterator::len).sum();
        let (mut sent, mut at, mut offset) = (0, 0, 0);
        while self.writable && sent < total {
            let first = &source[self.ranges[at].start + offset..self.ranges[at].end];
            let next = self.ranges.get(at + 1).map_or(usize::MAX, ExactSizeIterator::len);
            let result = if first.len().saturating_add(next) > GATHER_BYTES {
                stream.write(first)
            } else {
                gather.clear();
                gather.extend_from_slice(first);
                for range in &self.ranges[at + 1..] {
                    if gather.len() + range.len() > GATHER_BYTES {
                        break;
                    }
                    gather.extend_from_slice(&source[range.clone()]);
                }
                stream.write(gather)
            };
            let mut n = self.accepted(result)?;
            sent += n;
            while n > 0 {
                let left = self.ranges[at].len() - offset;
                if n < left {
                    offset += n;
                    break;
                }
                n -= left;
                at += 1;
                offset = 0;
            }
        }
        Ok(sent)
    }

    /// Moves what is left of the ranges, `sent` bytes being gone, to the backlog. Returns the messages dropped.
    fn keep(&mut self, source: &[u8], mut sent: usize, limit: BacklogLimit) -> u64 {
        let mut dropped = 0;
        for range in &self.ranges {
            if sent >= range.len() {
                sent -= range.len();
                continue;
            }
            let (messages, skip) = (&source[range.clone()], std::mem::take(&mut sent));
            let mut at = 0;
            while let Some(len) = whole_message_len(&messages[at..]) {
                let end = at + len;
                if at < skip && skip < end {
                    // Ranges are written when nothing waits, so this stands at the front.
                    self.begun = Some((end - skip, true));
                    self.messages += 1;
                    self.backlog.extend_from_slice(&messages[skip..end]);
                } else if at >= skip {
                    if self.backlog.len() + len <= limit.bytes && self.messages < limit.messages {
                        self.messages += 1;
                        self.backlog.extend_from_slice(&messages[at..end]);
                    } else {
                        dropped += 1;
                    }
                }
                at = end;
            }
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zmtp::codec::encode_message;

    /// Takes so many bytes per call, then blocks once.
    struct Drip {
        takes: Vec<usize>,
        got: Vec<u8>,
    }

    impl Write for Drip {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.takes.pop() {
                None | Some(0) => Err(io::ErrorKind::WouldBlock.into()),
                Some(n) => {
                    let n = n.min(bytes.len());
                    self.got.extend_from_slice(&bytes[..n]);
                    Ok(n)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn messages(sizes: &[usize]) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut bytes, mut ranges) = (BytesMut::new(), Vec::new());
        for (at, size) in sizes.iter().enumerate() {
            let start = bytes.len();
            encode_message(&mut bytes, &[&at.to_be_bytes()[..], &vec![7; *size]]);
            ranges.push(start..bytes.len());
        }
        (bytes.to_vec(), ranges)
    }

    fn numbers(mut bytes: &[u8]) -> Vec<usize> {
        let mut numbers = Vec::new();
        while !bytes.is_empty() {
            let len = whole_message_len(bytes).expect("only whole messages");
            numbers.push(usize::from_be_bytes(bytes[2..10].try_into().unwrap()));
            bytes = &bytes[len..];
        }
        numbers
    }

    fn bytes(bytes: usize) -> BacklogLimit {
        BacklogLimit { bytes, messages: usize::MAX }
    }

    /// Messages of which some byte is still in the backlog.
    fn whole_messages(got: &[u8], backlog: &[u8]) -> usize {
        let (all, mut at, mut count) = ([got, backlog].concat(), 0, 0);
        while let Some(len) = whole_message_len(&all[at..]) {
            at += len;
            count += usize::from(at > got.len());
        }
        count
    }

    #[test]
    fn a_greeting_and_commands_are_no_messages() {
        let mut output = Output::new();
        output.append(|out| out.extend_from_slice(&zmtp::codec::Greeting::encode()));
        output.append(|out| zmtp::codec::Command::encode_ping(out, 0, b""));
        let (message, _) = messages(&[10]);
        output.append_message(&message);
        let mut drip = Drip { takes: Vec::new(), got: Vec::new() };
        for step in 0..GREETING_BYTES + 9 + message.len() {
            assert_eq!(output.backlog_messages(), 1, "after {step} bytes");
            output.writable = true;
            drip.takes = vec![1];
            output.flush(&mut drip, &[], bytes(1000), &mut Vec::new()).unwrap();
        }
        assert_eq!((output.backlog_messages(), output.backlog_len()), (0, 0));
    }

    #[test]
    fn neighbours_are_written_as_one_and_others_gathered() {
        let (source, ranges) = messages(&[5, 5, 5, 5]);
        let mut output = Output::new();
        assert!(output.push_range(ranges[0].clone()));
        assert!(!output.push_range(ranges[1].clone()));
        assert!(!output.push_range(ranges[3].clone()));
        assert_eq!(output.ranges.len(), 2);
        let mut sink = Vec::new();
        output.flush(&mut sink, &source, bytes(0), &mut Vec::new()).unwrap();
        assert_eq!(numbers(&sink), [0, 1, 3]);
    }

    #[test]
    fn a_stuck_peer_costs_its_limit_and_each_drop_is_counted() {
        let (source, ranges) = messages(&[100; 10]);
        let mut output = Output::new();
        let mut drip = Drip { takes: vec![30], got: Vec::new() };
        for range in &ranges {
            output.push_range(range.clone());
        }
        let one = ranges[0].len();
        let flushed = output.flush(&mut drip, &source, bytes(3 * one), &mut Vec::new()).unwrap();
        // Message 0 was begun and is kept; of the others as many as fit.
        assert_eq!(flushed, Flushed { written: 30, dropped: 7 });
        assert!(output.backlog_len() <= 3 * one && !output.writable);
        output.writable = true;
        let mut sink = drip.got;
        output.flush(&mut sink, &[], bytes(0), &mut Vec::new()).unwrap();
        assert_eq!(numbers(&sink), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn whatever_the_stream_takes_it_gets_whole_messages_in_order(
            wakes in proptest::collection::vec(
                (proptest::collection::vec((0usize..300, any::<bool>()), 0..12), proptest::collection::vec(0usize..400, 0..6)),
                1..8,
            ),
            limit in 0usize..2000,
            most in 1usize..20,
        ) {
            let limit = BacklogLimit { bytes: limit, messages: most };
            let mut output = Output::new();
            let mut drip = Drip { takes: Vec::new(), got: Vec::new() };
            let (mut base, mut expected, mut dropped, mut pushed) = (0, Vec::new(), 0, 0);
            for (sizes, takes) in wakes {
                let plain: Vec<usize> = sizes.iter().map(|(size, _)| *size).collect();
                let (mut source, ranges) = messages(&plain);
                for (range, (at, (_, wanted))) in ranges.iter().zip(sizes.iter().enumerate()) {
                    source[range.start + 2..range.start + 10].copy_from_slice(&(base + at).to_be_bytes());
                    if *wanted {
                        output.push_range(range.clone());
                        expected.push(base + at);
                        pushed += 1;
                    }
                }
                base += plain.len();
                output.writable = true;
                drip.takes = takes;
                dropped += output.flush(&mut drip, &source, limit, &mut Vec::new()).unwrap().dropped;
                let largest = 330;
                prop_assert!(output.backlog_len() <= limit.bytes + largest);
                prop_assert!(output.backlog_messages() <= most);
                prop_assert_eq!(output.backlog_messages(), whole_messages(&drip.got, &output.backlog));
            }
            output.writable = true;
            let mut sink = std::mem::take(&mut drip.got);
            output.flush(&mut sink, &[], limit, &mut Vec::new()).unwrap();
            let got = numbers(&sink);
            prop_assert!(got.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(got.iter().all(|n| expected.contains(n)));
            prop_assert_eq!(got.len() as u64 + dropped, pushed);
        }
    }
}
