//! What a worker says on its control descriptor: frames of a kind (1 byte), a length (4 bytes, little endian) and a payload.
//!
//! After the first frame user code can write here too. So nothing is allocated before its length was judged, and whatever is
//! said counts as the user's own result at most.

use super::limits::WorkerLimits;
use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::unix::OwnedReadHalf;

const HEADER: usize = 5;
const SEALED_BYTES_MAX: usize = 16 << 10;
const PROGRESS_BYTES_MAX: usize = 4 << 10;
const TRACEBACK_BYTES_MAX: usize = 64 << 10;
/// Progress in all: beyond it a script does nothing but report.
const PROGRESS_BYTES_TOTAL: u64 = 4 << 20;
/// Room for one read: many small frames come at once.
const CHUNK: usize = 16 << 10;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The process is sealed: JSON of [`super::Sealed`]. Always the first.
    Sealed(Bytes),
    /// JSON of [`super::Progress`].
    Progress(Bytes),
    /// A PNG file.
    Picture(Bytes),
    /// The code ended: JSON of the result.
    Result(Bytes),
    /// The code raised: the traceback.
    Raised(Bytes),
    /// The code ran out of memory; the traceback is on stderr.
    OutOfMemory,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum FrameError {
    #[error("kind {0} is unknown")]
    Kind(u8),
    #[error("{length} bytes in a frame of at most {limit}, or too many frames")]
    TooLong { length: usize, limit: usize },
    #[error("the channel ended within a frame")]
    Cut,
}

/// Reads frames.
#[derive(Debug)]
pub(super) struct Frames {
    source: Option<OwnedReadHalf>,
    buffer: BytesMut,
    limits: WorkerLimits,
    total: u64,
}

impl Frames {
    pub(super) fn new(source: OwnedReadHalf, limits: WorkerLimits) -> Self {
        Self { source: Some(source), buffer: BytesMut::new(), limits, total: 0 }
    }

    /// The next frame; never returns once the channel has ended, see [`Self::ended`].
    ///
    /// # Cancel safety
    /// What was read stays in the buffer.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.decode()? {
                return Ok(Some(frame));
            }
            let Some(source) = &mut self.source else { return std::future::pending().await };
            self.buffer.reserve(CHUNK);
            // A reset is an end: the process was killed.
            let count = source.read_buf(&mut self.buffer).await.unwrap_or(0);
            if count == 0 {
                self.source = None;
                return if self.buffer.is_empty() { Ok(None) } else { Err(FrameError::Cut) };
            }
        }
    }

    /// Whether nothing more will come.
    pub(super) fn ended(&self) -> bool {
        self.source.is_none()
    }

    /// The next frame, if all of it was read already.
    pub(super) fn decode(&mut self) -> Result<Option<Frame>, FrameError> {
        let [kind, a, b, c, d, ..] = self.buffer[..] else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let limit = self.limit(kind)?;
        if length > limit {
            return Err(FrameError::TooLong { length, limit });
        }
        if self.buffer.len() < HEADER + length {
            self.buffer.reserve(HEADER + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        let payload = self.buffer.split_to(length).freeze();
        self.total += u64::try_from(HEADER + length).unwrap_or(u64::MAX);
        let pictures = self.limits.pictures.saturating_mul(self.limits.picture_bytes + HEADER);
        if self.total > PROGRESS_BYTES_TOTAL + u64::try_from(pictures + self.limits.result_bytes).unwrap_or(u64::MAX) {
            return Err(FrameError::TooLong { length, limit });
        }
        Ok(Some(match kind {
            b'S' => Frame::Sealed(payload),
            b'P' => Frame::Progress(payload),
            b'F' => Frame::Picture(payload),
            b'R' => Frame::Result(payload),
            b'M' => Frame::OutOfMemory,
            _ => Frame::Raised(payload),
        }))
    }

    fn limit(&self, kind: u8) -> Result<usize, FrameError> {
        match kind {
            b'S' => Ok(SEALED_BYTES_MAX),
            b'P' => Ok(PROGRESS_BYTES_MAX),
            b'F' => Ok(self.limits.picture_bytes),
            b'R' => Ok(self.limits.result_bytes),
            b'X' => Ok(TRACEBACK_BYTES_MAX),
            b'M' => Ok(0),
            other => Err(FrameError::Kind(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::WorkerLimits;
    use super::{Frame, FrameError, Frames};
    use crate::tier::Tier;
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    async fn read(bytes: &[u8]) -> Vec<Result<Option<Frame>, FrameError>> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut frames = Frames::new(ours.into_split().0, WorkerLimits::interactive(Tier::Free));
        theirs.write_all(bytes).await.unwrap();
        drop(theirs);
        let mut all = Vec::new();
        while !frames.ended() {
            all.push(frames.next().await);
            if all.last().unwrap().is_err() {
                break;
            }
        }
        all
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in() {
        let read = read(b"P\x02\0\0\0{}R\x04\0\0\0nullM\0\0\0\0").await;
        let expected = [Frame::Progress((&b"{}"[..]).into()), Frame::Result((&b"null"[..]).into()), Frame::OutOfMemory];
        let expected: Vec<_> = expected.into_iter().map(|frame| Ok(Some(frame))).chain([Ok(None)]).collect();
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn a_length_is_judged_before_its_payload_is_there() {
        let limit = WorkerLimits::interactive(Tier::Free).result_bytes;
        let length = usize::try_from(u32::MAX).unwrap();
        assert_eq!(read(b"R\xff\xff\xff\xff").await, [Err(FrameError::TooLong { length, limit })]);
    }

    #[tokio::test]
    async fn unknown_kinds_and_cut_frames_are_errors() {
        assert_eq!(read(b"?\0\0\0\0").await, [Err(FrameError::Kind(b'?'))]);
        for cut in 1..7 {
            assert_eq!(read(&b"P\x02\0\0\0{}"[..cut]).await, [Err(FrameError::Cut)], "{cut}");
        }
    }
}
