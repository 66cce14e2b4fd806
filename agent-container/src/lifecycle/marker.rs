//! The shutdown marker: what tells sidecar and successor that an exit was intended (THREATS, "Exit-42 recipe").
//!
//! `shutdown.json` in a directory that the pod's containers share: `{"uid", "nonce", "reason", "time"}`. It is there as a
//! whole or not at all, and on disk before the process exits.

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const NAME: &str = "shutdown.json";
const DRAFT: &str = "shutdown.json.new";
/// Longest marker that is read.
const BYTES_MAX: u64 = 4096;
/// How often a process that serves nothing looks whether its marker was taken away.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why the process went to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody used it.
    Idle,
}

/// What is left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// Uid of the pod, or the start token of a process that is no pod. A new pod has a new one.
    pub uid: String,
    /// Names this one sleep, so that nobody acts on it twice.
    pub nonce: String,
    /// Why.
    pub reason: Reason,
    /// When, in milliseconds since the epoch.
    pub time: u64,
}

/// Why the marker could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", path.display())]
pub struct MarkerError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl MarkerError {
    fn of(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

impl Marker {
    /// The marker of a sleep that begins now.
    #[must_use]
    pub fn new(uid: impl Into<String>, reason: Reason, now_ns: u64) -> Self {
        let time = now_ns / 1_000_000;
        Self { uid: uid.into(), nonce: ulid::Ulid::from_parts(time, rand::random()).to_string(), reason, time }
    }

    /// Puts the marker on disk: file, name and directory are synced when this returns. Blocks.
    ///
    /// # Errors
    /// If the disk refuses; then the process must not exit with 42.
    pub fn write(&self, dir: &Path) -> Result<(), MarkerError> {
        let (draft, path) = (dir.join(DRAFT), dir.join(NAME));
        let text = serde_json::to_vec(self).map_err(io::Error::from).map_err(MarkerError::of("encode", &path))?;
        let write = || -> io::Result<()> {
            let mut file = create(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&draft, &path)?;
            sync_dir(dir)
        };
        write().map_err(MarkerError::of("write", &path))
    }
}

/// A name that somebody else made into a link leads nowhere: the directory is shared.
fn create(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // The sidecar has another uid and reads it.
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?;
    Ok(File::from(file))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// What a start finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No marker.
    Nothing,
    /// A marker.
    Marker(Marker),
    /// Something that is no marker. We never leave such a thing behind: it is no reason to serve nothing.
    Unreadable,
}

/// What to do at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Serve.
    Serve,
    /// Remove what is left of another life, and serve.
    RemoveAndServe,
    /// This pod went to sleep and is being deleted: serve nothing.
    Asleep,
}

/// What to do when this was found by a process with this uid.
#[must_use]
pub fn judge(found: &Found, uid: &str) -> Start {
    match found {
        Found::Nothing => Start::Serve,
        Found::Marker(marker) if marker.uid == uid => Start::Asleep,
        Found::Marker(_) | Found::Unreadable => Start::RemoveAndServe,
    }
}

/// Looks for a marker. Blocks.
///
/// # Errors
/// If the directory cannot be read.
pub fn find(dir: &Path) -> Result<Found, MarkerError> {
    let path = dir.join(NAME);
    let opened = rustix::fs::open(&path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let file = match opened.map_err(io::Error::from) {
        Ok(file) => File::from(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Ok(Found::Unreadable);
        }
        Err(source) => return Err(MarkerError { action: "open", path, source }),
    };
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, BYTES_MAX), &mut text).map_err(MarkerError::of("read", &path))?;
    Ok(serde_json::from_slice(&text).map_or(Found::Unreadable, Found::Marker))
}

/// Removes the marker, if there is one; synced when this returns. Blocks.
///
/// # Errors
/// If the disk refuses.
pub fn remove(dir: &Path) -> Result<(), MarkerError> {
    let path = dir.join(NAME);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(MarkerError::of("remove", &path)(error)),
        _ => sync_dir(dir).map_err(MarkerError::of("sync", dir)),
    }
}

/// Waits, serving nothing, until the marker of this pod is taken away: the platform decided that the pod shall live.
///
/// The process stays up meanwhile: exiting with 42 again and again would only make the kubelet restart it.
///
/// # Errors
/// If the directory cannot be read.
pub async fn until_woken(dir: &Path, uid: &str) -> Result<(), MarkerError> {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        // A small file, once a second, by a process that does nothing else.
        if judge(&find(dir)?, uid) != Start::Asleep {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(uid: &str) -> Marker {
        Marker::new(uid, Reason::Idle, 1_700_000_000_123_456_789)
    }

    #[test]
    fn what_was_written_is_found_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find(dir.path()).unwrap(), Found::Nothing);
        let marker = marker("pod-1");
        marker.write(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(NAME)).unwrap();
        let expected = format!(r#"{{"uid":"pod-1","nonce":"{}","reason":"idle","time":1700000000123}}"#, marker.nonce);
        assert_eq!(text, expected);
        assert_eq!(find(dir.path()).unwrap(), Found::Marker(marker));
        assert!(!dir.path().join(DRAFT).exists());
        remove(dir.path()).unwrap();
        remove(dir.path()).unwrap();
        assert_eq!(find(dir.path()).unwrap(), Found::Nothing);
    }

    #[test]
    fn a_start_serves_unless_its_own_pod_went_to_sleep() {
        let cases = [
            ("no marker", Found::Nothing, Start::Serve),
            ("its own", Found::Marker(marker("pod-1")), Start::Asleep),
            ("of the pod before", Found::Marker(marker("pod-0")), Start::RemoveAndServe),
            ("of a pod whose uid begins alike", Found::Marker(marker("pod-")), Start::RemoveAndServe),
            ("no marker at all", Found::Unreadable, Start::RemoveAndServe),
        ];
        for (name, found, expected) in cases {
            assert_eq!(judge(&found, "pod-1"), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_marker_is_unreadable_and_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let whole = serde_json::to_string(&marker("pod-1")).unwrap();
        for bad in ["", "{}", "[]", &whole[..whole.len() - 1], &format!("{whole}x"), &" ".repeat(9999)] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(find(dir.path()).unwrap(), Found::Unreadable, "{bad}");
        }
        marker("pod-1").write(dir.path()).unwrap();
        assert!(matches!(find(dir.path()).unwrap(), Found::Marker(_)));
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(DRAFT)).unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(NAME)).unwrap();
        assert_eq!(find(dir.path()).unwrap(), Found::Unreadable);
        marker("pod-1").write(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
        assert!(matches!(find(dir.path()).unwrap(), Found::Marker(_)));
    }

    #[test]
    fn a_marker_that_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = marker("pod-1").write(&dir.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeping_process_is_woken_when_its_marker_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        marker("pod-1").write(dir.path()).unwrap();
        let mut woken = std::pin::pin!(until_woken(dir.path(), "pod-1"));
        let early = tokio::time::timeout(Duration::from_secs(60), &mut woken).await;
        assert!(early.is_err(), "woken although its marker is there");
        remove(dir.path()).unwrap();
        tokio::time::timeout(Duration::from_secs(2), woken).await.unwrap().unwrap();
    }
}
