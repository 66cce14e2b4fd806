//! Passwords: which are good enough, and scrypt (RFC 7914). Pure: where it runs and how often at one time is `hashing`'s.

use crate::user_name::UserName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::RngCore;
use scrypt::Params;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use subtle::ConstantTimeEq;

/// Fewest characters.
pub const SHORTEST: usize = 10;
/// Most characters, and a quarter of the most bytes.
pub const LONGEST: usize = 256;
/// Passwords that everybody tries first, lower case; shorter ones are refused anyway.
const COMMON: &str = include_str!("password/common.txt");
const R: u32 = 8;
const P: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Why a password is not good enough. No variant holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("password: {got} characters, allowed 10 to 256")]
    Length {
        /// Its length.
        got: usize,
    },
    /// It is, or contains, the user's name.
    #[error("password: must not contain the name")]
    Name,
    /// On the list of common ones, or one or two characters repeated.
    #[error("password: one of the first that are guessed, choose another")]
    Common,
}

/// Checks a password that somebody chooses.
///
/// # Errors
/// Why it is not good enough.
pub fn check(password: &SecretString, name: &UserName) -> Result<(), PasswordError> {
    let text = password.expose_secret();
    let got = text.chars().take(LONGEST + 1).count();
    if !(SHORTEST..=LONGEST).contains(&got) {
        return Err(PasswordError::Length { got });
    }
    let lower = text.to_lowercase();
    if lower.contains(name.as_str()) {
        return Err(PasswordError::Name);
    }
    let letters: std::collections::BTreeSet<char> = lower.chars().collect();
    // `password2024!` is `password` to whoever guesses.
    let stem = lower.trim_end_matches(|c: char| !c.is_alphabetic());
    let common = |text: &str| COMMON.lines().any(|line| line == text);
    if letters.len() < 3 || common(&lower) || common(stem) { Err(PasswordError::Common) } else { Ok(()) }
}

/// The hash of a password: `$scrypt$ln=15,r=8,p=1$salt$hash`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    log_n: u8,
    salt: [u8; SALT_BYTES],
    hash: [u8; HASH_BYTES],
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("log_n", &self.log_n).finish_non_exhaustive()
    }
}

/// What is stored is no hash of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored password hash cannot be read")]
pub struct BadHash;

impl PasswordHash {
    /// Hashes with fresh salt. Takes 128·8·2^`log_n` bytes and long on purpose: never on a thread that serves others.
    #[must_use]
    pub fn new(password: &SecretString, log_n: u8) -> Self {
        let mut salt = [0; SALT_BYTES];
        rand::rng().fill_bytes(&mut salt);
        Self { log_n, salt, hash: derive(password, &salt, log_n) }
    }

    /// A hash that no password has, which costs as much to compare as a real one: for names that do not exist.
    #[must_use]
    pub const fn of_nobody(log_n: u8) -> Self {
        Self { log_n, salt: [0; SALT_BYTES], hash: [0; HASH_BYTES] }
    }

    /// True if it is the hash of this password; takes the same time in both cases.
    #[must_use]
    pub fn matches(&self, password: &SecretString) -> bool {
        derive(password, &self.salt, self.log_n).ct_eq(&self.hash).into()
    }

    /// As it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (salt, hash) = (STANDARD_NO_PAD.encode(self.salt), STANDARD_NO_PAD.encode(self.hash));
        format!("$scrypt$ln={},r={R},p={P}${salt}${hash}", self.log_n)
    }

    /// As it was stored.
    ///
    /// # Errors
    /// If it is no hash of ours, or of a cost that would stop the machine.
    pub fn from_text(text: &str) -> Result<Self, BadHash> {
        let mut parts = text.strip_prefix("$scrypt$ln=").ok_or(BadHash)?.split('$');
        let mut next = || parts.next().ok_or(BadHash);
        let log_n = next()?.strip_suffix(",r=8,p=1").and_then(|text| text.parse().ok()).ok_or(BadHash)?;
        let salt = STANDARD_NO_PAD.decode(next()?).map_err(|_| BadHash)?.try_into().map_err(|_| BadHash)?;
        let hash = STANDARD_NO_PAD.decode(next()?).map_err(|_| BadHash)?.try_into().map_err(|_| BadHash)?;
        if !(10..=20).contains(&log_n) || parts.next().is_some() {
            return Err(BadHash);
        }
        Ok(Self { log_n, salt, hash })
    }
}

fn derive(password: &SecretString, salt: &[u8], log_n: u8) -> [u8; HASH_BYTES] {
    let mut hash = [0; HASH_BYTES];
    let params = Params::new(log_n, R, P, HASH_BYTES).expect("log_n is at most 20");
    scrypt::scrypt(password.expose_secret().as_bytes(), salt, &params, &mut hash).expect("the length is allowed");
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn scrypt_is_that_of_rfc_7914() {
        // RFC 7914 §12, with the first 32 bytes of the output of 64: PBKDF2 makes them independently of the length.
        let mut out = [0; 32];
        scrypt::scrypt(b"pleaseletmein", b"SodiumChloride", &Params::new(14, 8, 1, 32).unwrap(), &mut out).unwrap();
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2");
    }

    #[test]
    fn a_hash_is_read_back_and_matches_its_password_only() {
        let hash = PasswordHash::new(&secret("correct horse"), 10);
        let read = PasswordHash::from_text(&hash.to_text()).unwrap();
        assert!(read == hash && read.matches(&secret("correct horse")));
        assert!(!read.matches(&secret("correct horsf")) && !read.matches(&secret("")));
        assert_ne!(hash.to_text(), PasswordHash::new(&secret("correct horse"), 10).to_text());
        assert!(!PasswordHash::of_nobody(10).matches(&secret("")));
        assert!(!format!("{hash:?}").contains(&STANDARD_NO_PAD.encode(hash.hash)));
    }

    #[test]
    fn a_damaged_hash_is_refused() {
        let text = PasswordHash::new(&secret("x"), 10).to_text();
        for bad in
            ["", "$scrypt$", &text[1..], &text[..text.len() - 1], &text.replace("ln=10", "ln=40"), &format!("{text}$")]
        {
            assert_eq!(PasswordHash::from_text(bad), Err(BadHash), "{bad}");
        }
    }

    #[test]
    fn passwords_that_are_guessed_first_are_refused() {
        let name: UserName = "alice".parse().unwrap();
        for (password, expected) in [
            ("short", Err(PasswordError::Length { got: 5 })),
            ("ninechars", Err(PasswordError::Length { got: 9 })),
            ("tenletters", Ok(())),
            ("äöüäöüßßxyz", Ok(())),
            ("my-Alice-42!", Err(PasswordError::Name)),
            ("1234567890", Err(PasswordError::Common)),
            ("PasswordPassword", Err(PasswordError::Common)),
            ("password123!", Err(PasswordError::Common)),
            ("aaaaaaaaaaaa", Err(PasswordError::Common)),
            ("abababababab", Err(PasswordError::Common)),
            ("correct horse battery", Ok(())),
        ] {
            assert_eq!(check(&secret(password), &name), expected, "{password}");
        }
        assert_eq!(check(&secret(&"abc1".repeat(64)), &name), Ok(()));
        assert_eq!(check(&secret(&"abc1".repeat(65)), &name), Err(PasswordError::Length { got: 257 }));
    }
}
