//! A file that is not there until it is whole.

use super::MarketDataError;
use std::path::{Path, PathBuf};
use tokio::fs::File;

/// A file beside its target that is removed unless it is [`Self::keep`]t.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    kept: bool,
}

impl Partial {
    /// Creates the file in the target's directory, so that it can be renamed to it.
    pub(super) async fn create(target: &Path) -> Result<(Self, File), MarketDataError> {
        let name = target.file_name().ok_or(MarketDataError::Invalid { field: "target", rule: "must name a file" })?;
        let mut partial = name.to_owned();
        partial.push(format!(".{}.partial", ulid::Ulid::generate()));
        let path = target.with_file_name(partial);
        // The guard is first: a call that is dropped while the file is being created must not leave it.
        let guard = Self { path, kept: false };
        let file = File::options().write(true).create_new(true).open(&guard.path).await;
        let file = file.map_err(MarketDataError::io(&guard.path))?;
        Ok((guard, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file the target, in one step.
    pub(super) fn keep(mut self, target: &Path) -> Result<(), MarketDataError> {
        std::fs::rename(&self.path, target).map_err(MarketDataError::io(target))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a partial file");
        }
    }
}
