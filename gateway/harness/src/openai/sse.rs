//! Server-sent events, cut anywhere: bytes in, `data` out. Pure. A body that is one JSON object instead is given as one event.

/// Reads events; memory is bounded by the bound of the whole answer.
#[derive(Debug)]
pub(super) struct Sse {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    most: usize,
    /// The last byte was a carriage return, which may be the first half of a line end.
    after_cr: bool,
    /// Nothing but white space came so far.
    fresh: bool,
    /// The body is JSON.
    plain: bool,
}

impl Sse {
    pub(super) const fn new(most: usize) -> Self {
        Self { line: Vec::new(), data: Vec::new(), has_data: false, most, after_cr: false, fresh: true, plain: false }
    }

    /// Takes bytes, and gives the data of each event that they complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut on_data: impl FnMut(&[u8])) {
        if self.fresh
            && let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace())
        {
            self.fresh = false;
            // No field of an event begins with a brace.
            self.plain = *first == b'{';
        }
        if self.plain {
            self.keep_data(bytes);
            return;
        }
        if self.after_cr && bytes.first() == Some(&b'\n') {
            bytes = &bytes[1..];
        }
        self.after_cr = false;
        while let Some(at) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            if self.line.is_empty() {
                // Most lines come whole, and are not copied.
                Self::read_line(&bytes[..at], (&mut self.data, &mut self.has_data, self.most), &mut on_data);
            } else {
                self.line.extend_from_slice(&bytes[..at]);
                let line = std::mem::take(&mut self.line);
                Self::read_line(&line, (&mut self.data, &mut self.has_data, self.most), &mut on_data);
            }
            let crlf = bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
            self.after_cr = bytes[at] == b'\r' && at + 1 == bytes.len();
            bytes = &bytes[at + 1 + usize::from(crlf)..];
        }
        let room = self.most.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn keep_data(&mut self, bytes: &[u8]) {
        let room = self.most.saturating_sub(self.data.len());
        self.data.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.has_data = true;
    }

    fn read_line(
        line: &[u8],
        (data, has_data, most): (&mut Vec<u8>, &mut bool, usize),
        on_data: &mut impl FnMut(&[u8]),
    ) {
        if line.is_empty() {
            if std::mem::take(has_data) {
                on_data(data);
                data.clear();
            }
            return;
        }
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        // Other fields and comments say nothing to us: an error says that it is one in its data.
        let Some(value) = line.strip_prefix(b"data") else { return };
        let value = match value.split_first() {
            None => value,
            Some((b':', value)) => value.strip_prefix(b" ").unwrap_or(value),
            Some(_) => return,
        };
        if *has_data {
            data.push(b'\n');
        }
        let room = most.saturating_sub(data.len());
        data.extend_from_slice(&value[..value.len().min(room)]);
        *has_data = true;
    }

    /// The body is over. Some servers forget the blank line behind the last event, or the line end; a half event is then no JSON, which the
    /// decoder takes for a cut.
    pub(super) fn end(&mut self, mut on_data: impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            Self::read_line(&line, (&mut self.data, &mut self.has_data, self.most), &mut on_data);
        }
        if std::mem::take(&mut self.has_data) {
            on_data(&self.data);
            self.data.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Vec::new();
        let mut sse = Sse::new(1 << 20);
        for piece in pieces {
            sse.feed(piece, |data| events.push(String::from_utf8_lossy(data).into_owned()));
        }
        sse.end(|data| events.push(String::from_utf8_lossy(data).into_owned()));
        events
    }

    #[test]
    fn events_are_read_in_every_spelling() {
        for (text, expected) in [
            ("data: a\n\n", vec!["a"]),
            ("data:a\r\n\r\ndata: b\r\r", vec!["a", "b"]),
            (": comment\n\ndata: a\nid: 7\nevent: x\n\n", vec!["a"]),
            ("data: a\ndata: b\n\n", vec!["a\nb"]),
            ("\u{feff}data: a\n\n", vec!["a"]),
            ("data\n\n", vec![""]),
            ("database: x\n\n", vec![]),
            ("data: a", vec!["a"]),
            ("\n\n\n", vec![]),
            ("\n {\"a\":\n1}", vec!["\n {\"a\":\n1}"]),
        ] {
            assert_eq!(read(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "(data: ?[a-z]{0,6}|: c|\r\n|\n|\r|\n\n|event: e|ä){0,20}", cuts in proptest::collection::vec(0_usize..200, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(read(&pieces), read(&[bytes]));
        }

        #[test]
        fn any_bytes_are_read_within_the_bound(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut sse = Sse::new(64);
            sse.feed(&bytes, |data| assert!(data.len() <= 64));
            sse.end(|data| assert!(data.len() <= 64));
        }
    }
}
