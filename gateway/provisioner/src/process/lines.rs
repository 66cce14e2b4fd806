//! Lines of bounded length from somebody who is not trusted to end them.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes read at a time.
const CHUNK: usize = 4096;

/// Reads lines; what is longer than the bound is skipped.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    from: R,
    /// Read, and not yet told.
    pending: Vec<u8>,
    most: usize,
    /// In the middle of a line that is too long.
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) const fn new(from: R, most: usize) -> Self {
        Self { from, pending: Vec::new(), most, skipping: false }
    }

    /// The next line; `None` at the end, or when nothing more can be read.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                let skip = std::mem::take(&mut self.skipping) || line.len() > self.most;
                if !skip {
                    return Some(String::from_utf8_lossy(&line[..end]).trim_end().to_owned());
                }
            }
            if self.pending.len() > self.most {
                self.pending.clear();
                self.skipping = true;
            }
            let mut chunk = [0; CHUNK];
            match self.from.read(&mut chunk).await {
                Ok(bytes @ 1..) => self.pending.extend_from_slice(&chunk[..bytes]),
                Ok(_) | Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_lines_are_skipped_and_the_next_one_is_heard() {
        for long in [9, 10_000, 3 * CHUNK] {
            let text = format!("a\r\n{}\nb\n\n\u{fffd}\nunfinished", "x".repeat(long));
            let mut lines = Lines::new(text.as_bytes(), 8);
            let mut heard = Vec::new();
            while let Some(line) = lines.next().await {
                heard.push(line);
            }
            assert_eq!(heard, ["a", "b", "", "\u{fffd}"], "{long}");
        }
    }
}
