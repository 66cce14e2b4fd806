//! The two keys of the platform's accounts, from secrets or from files that are made on the first start: one signs tokens, one
//! seals what must be read again.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::Ed25519KeyPair;
use secrecy::{ExposeSecret, SecretString};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Others than the owner may read it.
    #[error("{path}: mode {mode:04o} lets others read it; set it to 0600")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a key.
    #[error("{place}: not {expected}")]
    Form {
        /// File or setting.
        place: String,
        /// What it should be.
        expected: &'static str,
    },
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// Seals what must be read again, for one user and one purpose each.
pub(crate) struct Sealer {
    key: LessSafeKey,
    fingerprints: hmac::Key,
    random: SystemRandom,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// From secrets, or from the file, which is made if it is absent.
    pub(crate) fn open(secret: Option<&SecretString>, path: &Path) -> Result<Self, KeyError> {
        let (text, place) = match secret {
            Some(secret) => (secret.clone(), "sealing_key".to_owned()),
            None => (kept(path, random_hex)?, path.display().to_string()),
        };
        let expected = "64 hexadecimal digits";
        let bytes = unhex(text.expose_secret().trim()).ok_or(KeyError::Form { place, expected })?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Random)?;
        let fingerprints = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"dexorder accounts fingerprints 1");
        let fingerprints = hmac::Key::new(hmac::HMAC_SHA256, fingerprints.as_ref());
        Ok(Self { key: LessSafeKey::new(key), fingerprints, random: SystemRandom::new() })
    }

    /// A name for something that must be known again but not be read from the store, e.g. what was typed as a name.
    pub(crate) fn fingerprint(&self, text: &str) -> String {
        crate::secret_token::hex(hmac::sign(&self.fingerprints, text.as_bytes()).as_ref())
    }

    /// Seals; `context` says whose and what it is, and must be the same to open it.
    pub(crate) fn seal(&self, context: &str, plain: &[u8]) -> Result<String, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| KeyError::Random)?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(context.as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| KeyError::Random)?;
        Ok(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens; `None` if it was changed, is of another context, or was sealed with another key.
    pub(crate) fn open_sealed(&self, context: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

/// The signing key in PKCS#8 (DER), from secrets or from the file, which is made if it is absent.
pub(crate) fn signing_key(secret: Option<&SecretString>, path: &Path) -> Result<Vec<u8>, KeyError> {
    let (text, place) = match secret {
        Some(secret) => (secret.clone(), "signing_key".to_owned()),
        None => (kept(path, new_signing_key)?, path.display().to_string()),
    };
    let body: Option<String> = text
        .expose_secret()
        .trim()
        .strip_prefix("-----BEGIN PRIVATE KEY-----")
        .and_then(|text| text.strip_suffix("-----END PRIVATE KEY-----"))
        .map(|text| text.split_whitespace().collect());
    let der = body.and_then(|body| STANDARD.decode(body).ok());
    let good = |der: &Vec<u8>| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).is_ok();
    der.filter(good).ok_or(KeyError::Form { place, expected: "an Ed25519 private key in PKCS#8 PEM" })
}

fn new_signing_key() -> Result<SecretString, KeyError> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
    let body = STANDARD.encode(made.as_ref());
    Ok(SecretString::from(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")))
}

fn random_hex() -> Result<SecretString, KeyError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(SecretString::from(crate::secret_token::hex(&bytes)))
}

/// The content of a key file; made if it is absent. Several processes may do so at once: the first one's content stays.
fn kept(path: &Path, make: fn() -> Result<SecretString, KeyError>) -> Result<SecretString, KeyError> {
    let file = |source| KeyError::File { path: path.to_owned(), source };
    if !path.exists() {
        // Written beside it and then linked: whoever sees the name sees the whole content.
        let beside = path.with_extension(format!("new-{}", ulid::Ulid::generate()));
        let mut options = std::fs::OpenOptions::new();
        let mut made = options.write(true).create_new(true).mode(0o600).open(&beside).map_err(file)?;
        let content = make()?;
        let written = made.write_all(content.expose_secret().as_bytes()).and_then(|()| made.sync_all());
        let linked = written.and_then(|()| match std::fs::hard_link(&beside, path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        });
        let removed = std::fs::remove_file(&beside);
        linked.and(removed).map_err(file)?;
    }
    let mode = std::fs::metadata(path).map_err(file)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Permissions { path: path.to_owned(), mode });
    }
    std::fs::read_to_string(path).map(SecretString::from).map_err(file)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_only_their_owner_may_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("accounts.key");
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || signing_key(None, &path).unwrap())
            })
            .collect();
        let keys: Vec<Vec<u8>> = makers.into_iter().map(|maker| maker.join().unwrap()).collect();
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "all processes have the same key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(signing_key(None, &path), Err(KeyError::Permissions { mode: 0o644, .. })));
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let secret = SecretString::from("CANARY-KEY".to_owned());
        let path = dir.path().join("x");
        let error = signing_key(Some(&secret), &path).unwrap_err().to_string();
        assert_eq!(error, "signing_key: not an Ed25519 private key in PKCS#8 PEM");
        let error = Sealer::open(Some(&secret), &path).unwrap_err().to_string();
        assert_eq!(error, "sealing_key: not 64 hexadecimal digits");
    }

    #[test]
    fn what_is_sealed_opens_in_its_context_only_and_unchanged_only() {
        let dir = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(None, &dir.path().join("a")).unwrap();
        let text = sealer.seal("totp:alice", b"CANARY").unwrap();
        assert_eq!(sealer.open_sealed("totp:alice", &text).unwrap(), b"CANARY");
        assert_eq!(sealer.open_sealed("totp:bob", &text), None);
        let bytes = STANDARD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(sealer.open_sealed("totp:alice", &STANDARD.encode(changed)), None, "bit {bit}");
        }
        let other = Sealer::open(None, &dir.path().join("b")).unwrap();
        assert_eq!(other.open_sealed("totp:alice", &text), None);
        assert_ne!(text, sealer.seal("totp:alice", b"CANARY").unwrap(), "a nonce of its own");
    }
}
