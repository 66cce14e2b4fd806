//! Time-based one-time passwords (RFC 6238): SHA-1, 30 s, 6 digits, one step to either side, each code good once.

use crate::user_name::UserName;
use rand::RngCore;
use ring::hmac;
use std::fmt;
use subtle::{ConditionallySelectable, ConstantTimeEq};

const STEP_S: u64 = 30;
const DIGITS: usize = 6;
const SECRET_BYTES: usize = 20;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The secret that an authenticator app shares with us.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret([u8; SECRET_BYTES]);

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret([redacted])")
    }
}

impl TotpSecret {
    /// A fresh one.
    #[must_use]
    pub fn random() -> Self {
        let mut secret = [0; SECRET_BYTES];
        rand::rng().fill_bytes(&mut secret);
        Self(secret)
    }

    /// From its bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As people type it into an app: base32.
    #[must_use]
    pub fn to_base32(&self) -> String {
        // 20 bytes are exactly 32 digits of 5 bits: nothing to pad.
        let mut text = String::with_capacity(SECRET_BYTES * 8 / 5);
        for group in self.0.chunks(5) {
            let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            // Below 32 by the mask.
            let digit = |at: u32| usize::try_from(bits >> (at * 5) & 31).unwrap_or(0);
            text.extend((0..8).rev().map(|at| char::from(BASE32[digit(at)])));
        }
        text
    }

    /// The address that apps read from a picture.
    #[must_use]
    pub fn to_url(&self, issuer: &str, name: &UserName) -> String {
        let issuer: String =
            issuer.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
        let secret = self.to_base32();
        format!("otpauth://totp/{issuer}:{name}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30")
    }

    /// The step whose code this is, if it is the present one or a neighbour and newer than `last_step`. The caller
    /// records the step, so that the code is good once.
    #[must_use]
    pub fn step_of(&self, code: &str, now_ns: u64, last_step: u64) -> Option<u64> {
        if code.len() != DIGITS {
            return None;
        }
        let present = now_ns / 1_000_000_000 / STEP_S;
        // All three are computed, so that the time does not tell which one it was.
        let mut found = 0_u64;
        for step in present.saturating_sub(1)..=present + 1 {
            let same = self.code_at(step).as_bytes().ct_eq(code.as_bytes());
            found.conditional_assign(&step, same);
        }
        (found > last_step).then_some(found)
    }

    /// The code of a step: 30 s each since 1970.
    #[must_use]
    pub fn code_at(&self, step: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[tag.len() - 1] & 0x0f);
        let bits = u32::from_be_bytes([tag[at], tag[at + 1], tag[at + 2], tag[at + 3]]) & 0x7fff_ffff;
        format!("{:06}", bits % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: u64 = 1_000_000_000;

    fn rfc() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1, the last six of the eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(rfc().code_at(seconds / STEP_S), code, "{seconds}");
        }
        assert_eq!(rfc().to_base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn a_code_is_good_one_step_early_or_late_and_no_more() {
        let secret = rfc();
        let now = 1_000_000 * STEP_S * NS;
        for (step, good) in
            [(999_998, false), (999_999, true), (1_000_000, true), (1_000_001, true), (1_000_002, false)]
        {
            let found = secret.step_of(&secret.code_at(step), now, 0);
            assert_eq!(found, good.then_some(step));
        }
    }

    #[test]
    fn a_code_of_a_step_that_was_used_is_refused_and_so_are_older_ones() {
        let secret = rfc();
        let now = 1_000_000 * STEP_S * NS;
        assert_eq!(secret.step_of(&secret.code_at(1_000_000), now, 1_000_000), None);
        assert_eq!(secret.step_of(&secret.code_at(999_999), now, 1_000_000), None);
        assert_eq!(secret.step_of(&secret.code_at(1_000_001), now, 1_000_000), Some(1_000_001));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for bad in ["", "28708", "2870822", "28708a", "２８７０８２", "-87082"] {
            assert_eq!(rfc().step_of(bad, 59 * NS, 0), None, "{bad}");
        }
        assert_eq!(rfc().step_of("287082", 59 * NS, 0), Some(1));
    }

    #[test]
    fn the_address_for_apps_has_no_room_for_tricks() {
        let url = rfc().to_url("https://a.example/?x=y&secret=z", &"bob".parse().unwrap());
        assert_eq!(url.matches("secret=").count(), 1, "{url}");
        assert!(url.starts_with("otpauth://totp/httpsa.examplexysecretz:bob?secret=GEZD"), "{url}");
        assert!(!format!("{:?}", rfc()).contains("GEZD"));
    }
}
