//! The files of one user: what the platform writes beside the container's own data. Everything here blocks on the disk.
//!
//! `<dir>/<owner>/` holds `config.yaml`, `secrets.yaml` and `event.key` (0600), `endpoint.json` (who runs, for other replicas),
//! `container.log`, `lifecycle/` (the marker of a sleep) and `data/` (the container's). `<dir>/<owner>.lock` is held while somebody starts,
//! ends or erases the container.

use super::identity::Identity;
use crate::provisioner::{EventKey, ProvisionError};
use crate::tier::Tier;
use proto::UserId;
use rustix::fs::{Mode, OFlags};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of the key under which a container seals its events.
const EVENT_KEY_ID: u32 = 1;
/// Longest marker or record that is read.
const RECORD_BYTES: u64 = 16 << 10;

/// Who runs, for other replicas and after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) instance: String,
    pub(crate) process: Identity,
    pub(crate) mcp_url: String,
    pub(crate) events: Option<String>,
    pub(crate) admin: Option<String>,
    pub(crate) audience: String,
    pub(crate) tier: Tier,
    /// Digest of everything else that it was started with.
    pub(crate) template: String,
    pub(crate) at_ns: u64,
}

#[derive(Debug, Deserialize)]
struct Marker {
    uid: String,
}

/// The lock of one user; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    _file: File,
}

/// Where one user's files are.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    dir: PathBuf,
    lock: PathBuf,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ProvisionError + use<> {
    let path = path.to_owned();
    move |source| ProvisionError::Volume { path, source: Arc::new(source) }
}

fn unless_missing<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, ProvisionError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Makes a directory that only this user of the machine can look into.
pub(crate) fn make_dir(path: &Path) -> Result<(), ProvisionError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

impl Volume {
    pub(crate) fn new(root: &Path, owner: UserId) -> Self {
        Self { dir: root.join(owner.to_string()), lock: root.join(format!("{owner}.lock")) }
    }

    pub(crate) fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn lifecycle(&self) -> PathBuf {
        self.dir.join("lifecycle")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("config.yaml")
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.dir.join("secrets.yaml")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("container.log")
    }

    /// Takes the lock if nobody has it.
    pub(crate) fn try_lock(&self) -> Result<Option<Locked>, ProvisionError> {
        loop {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true).mode(0o600);
            let file = options.open(&self.lock).map_err(at(&self.lock))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(at(&self.lock)(error)),
            }
            // Whoever erased the user has removed the file: a lock on it keeps nobody out.
            let held = file.metadata().map_err(at(&self.lock))?.ino();
            let named = unless_missing(std::fs::metadata(&self.lock), &self.lock)?.map(|it| it.ino());
            if named == Some(held) {
                return Ok(Some(Locked { _file: file }));
            }
        }
    }

    /// Whether this instance went to sleep.
    pub(crate) fn is_asleep(&self, instance: &str) -> bool {
        let path = self.lifecycle().join("shutdown.json");
        read_bounded(&path)
            .ok()
            .and_then(|text| serde_json::from_slice::<Marker>(&text).ok())
            .is_some_and(|marker| marker.uid == instance)
    }

    /// Takes the marker of a sleep away.
    pub(crate) fn wake(&self) -> Result<(), ProvisionError> {
        let path = self.lifecycle().join("shutdown.json");
        unless_missing(std::fs::remove_file(&path), &path).map(drop)
    }

    /// Who ran last; `None` if nobody did, or what is written there is no record.
    pub(crate) fn record(&self) -> Result<Option<Record>, ProvisionError> {
        let path = self.dir.join("endpoint.json");
        let text = unless_missing(read_bounded(&path), &path)?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Writes down who runs.
    pub(crate) fn keep(&self, record: &Record) -> Result<(), ProvisionError> {
        let path = self.dir.join("endpoint.json");
        let text = serde_json::to_vec(record).map_err(io::Error::from).map_err(at(&path))?;
        write_private(&path, &text)
    }

    /// The key of the user's events, if there is one.
    pub(crate) fn event_key(&self) -> Result<Option<EventKey>, ProvisionError> {
        let path = self.dir.join("event.key");
        let text = unless_missing(std::fs::read_to_string(&path), &path)?;
        Ok(text.map(|text| EventKey { id: EVENT_KEY_ID, hex: SecretString::from(text.trim().to_owned()) }))
    }

    fn event_key_or_make(&self) -> Result<EventKey, ProvisionError> {
        if let Some(key) = self.event_key()? {
            return Ok(key);
        }
        let bytes: [u8; 32] = rand::random();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        write_private(&self.dir.join("event.key"), hex.as_bytes())?;
        Ok(EventKey { id: EVENT_KEY_ID, hex: hex.into() })
    }

    /// Makes everything ready for a start; `config` gets the number of the event key put in.
    pub(crate) fn prepare(&self, config: &mut serde_json::Value) -> Result<(), ProvisionError> {
        make_dir(&self.dir)?;
        make_dir(&self.lifecycle())?;
        make_dir(&self.data())?;
        self.wake()?;
        let key = self.event_key_or_make()?;
        config["agent"]["events"]["key_id"] = key.id.into();
        // JSON is YAML.
        write_private(&self.config(), config.to_string().as_bytes())?;
        let secrets = serde_json::json!({"event_key": key.hex.expose_secret()}).to_string();
        write_private(&self.secrets(), secrets.as_bytes())
    }

    /// Files and bytes that there are.
    pub(crate) fn count(&self) -> Result<(u64, u64), ProvisionError> {
        let (mut files, mut bytes) = (0, 0);
        let mut dirs = vec![self.dir.clone()];
        while let Some(dir) = dirs.pop() {
            let Some(entries) = unless_missing(std::fs::read_dir(&dir), &dir)? else { continue };
            for entry in entries {
                let entry = entry.map_err(at(&dir))?;
                let Some(kind) = unless_missing(entry.metadata(), &entry.path())? else { continue };
                if kind.is_dir() {
                    dirs.push(entry.path());
                } else {
                    files += 1;
                    bytes += kind.len();
                }
            }
        }
        Ok((files, bytes))
    }

    /// Removes everything of the user. The lock must be held; its file stays, see [`Self::forget_lock`].
    pub(crate) fn remove(&self) -> Result<(), ProvisionError> {
        unless_missing(std::fs::remove_dir_all(&self.dir), &self.dir).map(drop)
    }

    /// Removes the file of the lock that is held.
    pub(crate) fn forget_lock(&self, _held: &Locked) -> Result<(), ProvisionError> {
        unless_missing(std::fs::remove_file(&self.lock), &self.lock).map(drop)
    }
}

/// Reads a file that somebody else may have written; links are not followed.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    let mut text = Vec::new();
    file.take(RECORD_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// Writes a file that only this user of the machine can read; it is there whole or as it was before.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), ProvisionError> {
    let draft = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    write().map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn volume(root: &Path) -> Volume {
        Volume::new(root, UserId::from_bits(7))
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_private_and_the_key_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let volume = volume(root.path());
        assert!(!volume.exists());
        assert!(volume.event_key().unwrap().is_none());
        let mut config = serde_json::json!({"agent": {"events": {}}});
        volume.prepare(&mut config).unwrap();
        let key = volume.event_key().unwrap().unwrap();
        assert_eq!(key.hex.expose_secret().len(), 64);
        assert_eq!(config["agent"]["events"]["key_id"], 1);
        for path in [volume.config(), volume.secrets(), volume.dir.join("event.key")] {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
        assert_eq!(mode(&volume.dir), 0o700);
        volume.prepare(&mut config).unwrap();
        assert_eq!(volume.event_key().unwrap().unwrap().hex.expose_secret(), key.hex.expose_secret());
        assert!(!format!("{key:?}").contains(key.hex.expose_secret()));
        assert!(!std::fs::read_to_string(volume.config()).unwrap().contains(key.hex.expose_secret()));
    }

    #[test]
    fn only_the_marker_of_the_same_instance_means_sleep() {
        let root = tempfile::tempdir().unwrap();
        let volume = volume(root.path());
        std::fs::create_dir_all(volume.lifecycle()).unwrap();
        let marker = volume.lifecycle().join("shutdown.json");
        assert!(!volume.is_asleep("one"));
        std::fs::write(&marker, r#"{"uid":"one","nonce":"n","reason":"idle","time":1}"#).unwrap();
        assert!(volume.is_asleep("one") && !volume.is_asleep("two"));
        std::fs::write(&marker, "{").unwrap();
        assert!(!volume.is_asleep("one"));
        volume.wake().unwrap();
        volume.wake().unwrap();
        assert!(!marker.exists());
        let elsewhere = root.path().join("elsewhere");
        std::fs::write(&elsewhere, r#"{"uid":"one"}"#).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &marker).unwrap();
        assert!(!volume.is_asleep("one"), "links are not followed");
    }

    #[test]
    fn one_holds_the_lock_also_after_the_file_was_removed() {
        let root = tempfile::tempdir().unwrap();
        let volume = volume(root.path());
        let held = volume.try_lock().unwrap().unwrap();
        assert!(volume.try_lock().unwrap().is_none());
        volume.forget_lock(&held).unwrap();
        let second = volume.try_lock().unwrap().unwrap();
        assert!(volume.try_lock().unwrap().is_none());
        drop((held, second));
        assert!(volume.try_lock().unwrap().is_some());
    }

    #[test]
    fn everything_is_counted_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let volume = volume(root.path());
        assert_eq!(volume.count().unwrap(), (0, 0));
        std::fs::create_dir_all(volume.data().join("a/b")).unwrap();
        std::fs::write(volume.data().join("a/b/c"), "12345").unwrap();
        std::os::unix::fs::symlink("/etc", volume.data().join("link")).unwrap();
        let (files, bytes) = volume.count().unwrap();
        assert_eq!(files, 2);
        assert!(bytes >= 5);
        volume.remove().unwrap();
        assert_eq!(volume.count().unwrap(), (0, 0));
        volume.remove().unwrap();
        assert!(Path::new("/etc/passwd").exists());
    }

    #[test]
    fn what_is_no_record_is_none() {
        let root = tempfile::tempdir().unwrap();
        let volume = volume(root.path());
        std::fs::create_dir_all(&volume.dir).unwrap();
        assert_eq!(volume.record().unwrap(), None);
        std::fs::write(volume.dir.join("endpoint.json"), "{}").unwrap();
        assert_eq!(volume.record().unwrap(), None);
        let record = Record {
            instance: "i".to_owned(),
            process: Identity::of(std::process::id()).unwrap(),
            mcp_url: "http://127.0.0.1:1/mcp".to_owned(),
            events: None,
            admin: None,
            audience: "http://a/mcp".to_owned(),
            tier: Tier::Pro,
            template: "t".to_owned(),
            at_ns: 5,
        };
        volume.keep(&record).unwrap();
        assert_eq!(volume.record().unwrap(), Some(record));
    }
}
