//! What a worker prints: the beginning is kept, the rest counted.

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

const CHUNK: usize = 16 << 10;

/// One of stdout and stderr.
#[derive(Debug)]
pub(super) struct Capture {
    source: Option<pipe::Receiver>,
    kept: Vec<u8>,
    kept_max: usize,
    /// Bytes that were printed.
    pub(super) total: u64,
}

impl Capture {
    pub(super) fn new(source: Option<pipe::Receiver>, kept_max: usize) -> Self {
        Self { source, kept: Vec::new(), kept_max, total: 0 }
    }

    /// Takes what is there, at least one byte, or notes the end; never returns after that.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn fill(&mut self) {
        let Some(source) = &mut self.source else { return std::future::pending().await };
        let mut chunk = [0; CHUNK];
        let count = source.read(&mut chunk).await.unwrap_or(0);
        if count == 0 {
            self.source = None;
            return;
        }
        self.total += u64::try_from(count).unwrap_or(u64::MAX);
        let room = self.kept_max.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&chunk[..count.min(room)]);
    }

    /// Whether nothing more will come.
    pub(super) fn ended(&self) -> bool {
        self.source.is_none()
    }

    /// Whether something was dropped.
    pub(super) fn truncated(&self) -> bool {
        self.total > u64::try_from(self.kept.len()).unwrap_or(u64::MAX)
    }

    /// The kept text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}
