//! The log of a container: what it writes to standard error, bounded, the last part of it kept.

use std::path::{Path, PathBuf};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Bytes of the file; then it becomes the one before, and that one goes.
const BYTES: u64 = 4 << 20;
/// Bytes read at a time.
const CHUNK: usize = 8 << 10;

/// Copies until the end, or until `ended` and nothing more is there at once. What cannot be written is lost: a container never waits for it.
pub(crate) async fn copy(from: impl AsyncRead + Unpin, path: PathBuf, ended: CancellationToken) {
    let mut from = from;
    let mut chunk = vec![0; CHUNK];
    let mut log = open(&path).await;
    loop {
        let read = tokio::select! {
            biased;
            read = from.read(&mut chunk) => read,
            // Whoever escaped from the container's group may hold the other end for ever.
            () = ended.cancelled() => return,
        };
        let Ok(bytes @ 1..) = read else { return };
        if let Some((file, written)) = &mut log {
            if *written > BYTES {
                // If it cannot be renamed it grows on.
                let _renamed = tokio::fs::rename(&path, path.with_extension("log.1")).await;
                log = open(&path).await;
                if let Some((file, written)) = &mut log {
                    *written += u64::try_from(bytes).unwrap_or(BYTES);
                    let _full = write(file, &chunk[..bytes]).await;
                }
                continue;
            }
            *written += u64::try_from(bytes).unwrap_or(BYTES);
            let _full = write(file, &chunk[..bytes]).await;
        }
    }
}

async fn write(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes).await?;
    file.flush().await
}

async fn open(path: &Path) -> Option<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).await;
    match file {
        Ok(file) => {
            let bytes = file.metadata().await.map_or(0, |it| it.len());
            Some((file, bytes))
        }
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the container's log is lost");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_bounded_and_the_last_part_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("container.log");
        let text = vec![b'x'; usize::try_from(BYTES).unwrap() * 5 / 2];
        copy(text.as_slice(), path.clone(), CancellationToken::new()).await;
        copy(b"the end\n".as_slice(), path.clone(), CancellationToken::new()).await;
        let kept = std::fs::read(&path).unwrap();
        assert!(kept.ends_with(b"the end\n"));
        let before = std::fs::metadata(dir.path().join("container.log.1")).unwrap().len();
        let whole = u64::try_from(kept.len()).unwrap() + before;
        assert!(whole < 2 * BYTES + 4 * u64::try_from(CHUNK).unwrap(), "{whole}");
    }
}
