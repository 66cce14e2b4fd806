//! Reads a recording line by line: `<receive_ns> <frame>`, plain, xz or zstd, never more than one line in memory.

use bytes::Bytes;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Longest line; longer ones are refused whole.
pub(crate) const LINE_BYTES: usize = 2 << 20;
/// Most memory that a decompressor may take.
const DECODER_BYTES: u64 = 256 << 20;
/// The same for zstd, as a power of two.
const ZSTD_WINDOW_LOG: u32 = 28;
/// What is kept of a bad line for the dead letter.
const BAD_LINE_BYTES: usize = 64 << 10;
const BUFFER_BYTES: usize = 256 << 10;

/// A line of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A frame and when it was received.
    Frame {
        /// From 1.
        number: u64,
        receive_time_ns: u64,
        payload: Bytes,
    },
    /// Something else.
    Bad {
        /// From 1.
        number: u64,
        reason: &'static str,
        /// Its beginning.
        content: Bytes,
    },
}

/// Opens a recording; the compression is known by its first bytes, not by its name.
///
/// # Errors
/// If it cannot be opened or read.
pub(crate) fn open(path: &Path) -> io::Result<Lines<Box<dyn BufRead + Send>>> {
    let mut file = File::open(path)?;
    let mut magic = [0u8; 6];
    let mut have = 0;
    while have < magic.len() {
        match file.read(&mut magic[have..])? {
            0 => break,
            count => have += count,
        }
    }
    file.seek(SeekFrom::Start(0))?;
    let reader: Box<dyn BufRead + Send> = match &magic[..have] {
        [0xFD, b'7', b'z', b'X', b'Z', 0] => {
            let stream = xz2::stream::Stream::new_stream_decoder(DECODER_BYTES, xz2::stream::CONCATENATED)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, xz2::read::XzDecoder::new_stream(file, stream)))
        }
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            let mut decoder = zstd::stream::read::Decoder::new(file)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        }
        _ => Box::new(BufReader::with_capacity(BUFFER_BYTES, file)),
    };
    Ok(Lines::new(reader))
}

/// The lines of a recording.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) const fn new(reader: R) -> Self {
        Self { reader, number: 0, line: Vec::new() }
    }

    /// The next line that is not empty; `None` at the end.
    ///
    /// # Errors
    /// If reading or decompressing fails; the recording ends there.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            self.line.clear();
            let limit = LINE_BYTES as u64 + 1;
            let count = (&mut self.reader).take(limit).read_until(b'\n', &mut self.line)?;
            if count == 0 {
                return Ok(None);
            }
            self.number += 1;
            if count as u64 == limit && self.line.last() != Some(&b'\n') {
                self.skip_line()?;
                return Ok(Some(self.bad("line too long")));
            }
            while matches!(self.line.last(), Some(b'\n' | b'\r')) {
                self.line.pop();
            }
            if !self.line.is_empty() {
                return Ok(Some(self.parse()));
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let (used, done) = match memchr::memchr(b'\n', buffer) {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.reader.consume(used);
            if done {
                return Ok(());
            }
        }
    }

    fn parse(&self) -> Line {
        let Some(space) = memchr::memchr(b' ', &self.line) else { return self.bad("no space after the receive time") };
        let (time, frame) = (&self.line[..space], &self.line[space + 1..]);
        let time = std::str::from_utf8(time).ok().and_then(|text| text.parse::<u64>().ok());
        match time {
            Some(time) if !proto::market::valid_time(time) => self.bad("receive time is not in nanoseconds"),
            None => self.bad("receive time is not a number"),
            Some(_) if frame.is_empty() => self.bad("no frame"),
            Some(receive_time_ns) => {
                Line::Frame { number: self.number, receive_time_ns, payload: Bytes::copy_from_slice(frame) }
            }
        }
    }

    fn bad(&self, reason: &'static str) -> Line {
        let kept = self.line.len().min(BAD_LINE_BYTES);
        Line::Bad { number: self.number, reason, content: Bytes::copy_from_slice(&self.line[..kept]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    const T: &str = "1723161254024619568";

    fn lines(text: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(text);
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    fn frame(number: u64, payload: &str) -> Line {
        Line::Frame { number, receive_time_ns: T.parse().unwrap(), payload: Bytes::copy_from_slice(payload.as_bytes()) }
    }

    #[test]
    fn frames_keep_their_bytes_and_line_numbers() {
        let text = format!("{T} {{\"a\": 1 }}\r\n\n{T}  two spaces\n{T} last");
        let expected = [frame(1, "{\"a\": 1 }"), frame(3, " two spaces"), frame(4, "last")];
        assert_eq!(lines(text.as_bytes()), expected);
    }

    #[test]
    fn bad_lines_are_named_and_the_next_line_goes_on() {
        let long = "x".repeat(LINE_BYTES + 10);
        let text = format!("nospace\nx {{}}\n1723161254 {{}}\n{T} \n{T} {long}\n{T} ok\n");
        let got = lines(text.as_bytes());
        let reasons: Vec<&str> =
            got.iter().filter_map(|l| if let Line::Bad { reason, .. } = l { Some(*reason) } else { None }).collect();
        assert_eq!(
            reasons,
            [
                "no space after the receive time",
                "receive time is not a number",
                "receive time is not in nanoseconds",
                "no frame",
                "line too long",
            ]
        );
        assert_eq!(got.last(), Some(&frame(6, "ok")));
    }

    #[test]
    fn plain_xz_and_zstd_files_read_the_same_whatever_their_name() {
        let text = format!("{T} one\n{T} two\n");
        let dir = tempfile::tempdir().unwrap();
        let mut xz = xz2::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(text.as_bytes()).unwrap();
        // Two streams after each other, as `cat a.xz b.xz` makes them.
        let xz = [xz.finish().unwrap(), {
            let mut second = xz2::write::XzEncoder::new(Vec::new(), 1);
            second.write_all(text.as_bytes()).unwrap();
            second.finish().unwrap()
        }]
        .concat();
        for (name, bytes, count) in [
            ("plain", text.clone().into_bytes(), 2),
            ("a.bin", xz, 4),
            ("b.bin", zstd::encode_all(text.as_bytes(), 1).unwrap(), 2),
            ("empty", Vec::new(), 0),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let mut lines = open(&path).unwrap();
            let got: Vec<Line> = std::iter::from_fn(|| lines.next_line().unwrap()).collect();
            assert_eq!(got.len(), count, "{name}");
            assert!(got.iter().all(|line| matches!(line, Line::Frame { .. })));
        }
    }

    #[test]
    fn a_cut_file_ends_with_an_error() {
        let mut xz = xz2::write::XzEncoder::new(Vec::new(), 1);
        for number in 0..10_000 {
            writeln!(xz, "{T} {number}").unwrap();
        }
        let bytes = xz.finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.xz");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let mut lines = open(&path).unwrap();
        let end = loop {
            match lines.next_line() {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        assert!(end.is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _lines = lines(&bytes);
        }
    }
}
