//! Sessions of the older protocol revision survive a restart: one small file each.
//!
//! Without it every client of revision 2025-11-25 would have to begin anew whenever its user's container slept.

use rmcp::transport::streamable_http_server::session::{SessionState, SessionStore, SessionStoreError};
use std::path::{Path, PathBuf};

/// Most bytes of a session's file.
const FILE_BYTES: usize = 64 << 10;

/// The files of sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    dir: PathBuf,
    most: usize,
}

/// A session that cannot be kept.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("session id: 1 to 64 letters, digits and dashes")]
    Id,
    #[error("session: at most 65536 bytes")]
    Size,
}

impl Sessions {
    /// # Errors
    /// If the directory cannot be made.
    pub(crate) fn open(dir: PathBuf, most: usize) -> std::io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir, most })
    }

    /// The id comes from a header: it names a file only if it is one of ours.
    fn path(&self, id: &str) -> Result<PathBuf, SessionError> {
        let valid = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if valid { Ok(self.dir.join(id)) } else { Err(SessionError::Id) }
    }
}

/// Removes the oldest files beyond `most`.
fn forget_oldest(dir: &Path, most: usize) -> std::io::Result<()> {
    let mut files = std::fs::read_dir(dir)?
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect::<Vec<_>>();
    files.sort();
    let beyond = files.len().saturating_sub(most);
    files.drain(..beyond).try_for_each(|(_, path)| std::fs::remove_file(path))
}

#[async_trait::async_trait]
impl SessionStore for Sessions {
    async fn load(&self, id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let Ok(path) = self.path(id) else { return Ok(None) };
        match tokio::fs::read(path).await {
            // A file that was torn by a crash is no session: the client begins anew.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn store(&self, id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let path = self.path(id)?;
        let bytes = serde_json::to_vec(state)?;
        if bytes.len() > FILE_BYTES {
            return Err(SessionError::Size.into());
        }
        tokio::fs::write(path, bytes).await?;
        let (dir, most) = (self.dir.clone(), self.most);
        tokio::task::spawn_blocking(move || forget_oldest(&dir, most)).await??;
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        match tokio::fs::remove_file(self.path(id)?).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::InitializeRequestParams;

    fn state() -> SessionState {
        SessionState::new(InitializeRequestParams::default())
    }

    #[tokio::test]
    async fn a_session_is_found_again_and_the_oldest_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path().join("sessions"), 2).unwrap();
        for id in ["a-1", "b-2", "c-3"] {
            sessions.store(id, &state()).await.unwrap();
            let old = std::fs::File::options().write(true).open(sessions.path(id).unwrap()).unwrap();
            let age = std::time::Duration::from_secs(u64::from(b'z' - id.as_bytes()[0]));
            old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000) - age).unwrap();
        }
        let again = Sessions::open(dir.path().join("sessions"), 2).unwrap();
        assert!(again.load("a-1").await.unwrap().is_none());
        assert!(again.load("c-3").await.unwrap().is_some());
        again.delete("c-3").await.unwrap();
        again.delete("c-3").await.unwrap();
        assert!(again.load("c-3").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_id_names_no_other_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), serde_json::to_vec(&state()).unwrap()).unwrap();
        let sessions = Sessions::open(dir.path().join("sessions"), 2).unwrap();
        for id in ["../secret", "", "a/b", "..", "a\0", "ü", &"a".repeat(65)] {
            assert!(sessions.load(id).await.unwrap().is_none(), "{id}");
            assert!(sessions.store(id, &state()).await.is_err(), "{id}");
        }
    }
}
