//! The check of Telegram's login widget: the fields are signed with a key made from the bot's token.

use ring::digest;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::time::Duration;

/// A sign-in older than this is refused.
pub const FRESH: Duration = Duration::from_secs(5 * 60);
/// Clocks of Telegram and ours may differ so much, s.
const AHEAD_S: u64 = 30;
/// Most fields, and most bytes of them.
const FIELDS: usize = 16;
const FIELD_BYTES: usize = 1024;

/// Who signed in at Telegram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramUser {
    /// Telegram's number of the user, which never changes.
    pub id: i64,
    /// Name as Telegram shows it, which may change at any time; never an identity.
    pub name: String,
    /// When the signature is no longer good, s since 1970.
    pub expires_s: u64,
}

/// Why a sign-in is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TelegramLoginError {
    /// A field is missing or cannot be read.
    #[error("{field}: missing, or not of the login widget")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// The signature is wrong.
    #[error("hash: not signed by Telegram for our bot")]
    Signature,
    /// Too old, or of the future.
    #[error("auth_date: older than 5 minutes, or not yet; sign in at Telegram again")]
    Stale,
}

/// Checks the fields of the login widget.
///
/// # Errors
/// Why they are refused.
pub fn check(
    fields: &BTreeMap<String, String>,
    bot_token: &SecretString,
    now_ns: u64,
) -> Result<TelegramUser, TelegramLoginError> {
    let missing = |field| TelegramLoginError::Field { field };
    if fields.len() > FIELDS || fields.iter().any(|(key, value)| key.len() + value.len() > FIELD_BYTES) {
        return Err(missing("fields"));
    }
    let text = |field: &'static str| fields.get(field).ok_or(missing(field));
    let signature = unhex(text("hash")?).ok_or(missing("hash"))?;
    // Sorted by name, as the map is. A line break within a value could make two sets of fields look the same.
    let signed: Vec<String> =
        fields.iter().filter(|(key, _)| *key != "hash").map(|(key, value)| format!("{key}={value}")).collect();
    if signed.iter().any(|line| line.contains('\n')) {
        return Err(missing("fields"));
    }
    let key = digest::digest(&digest::SHA256, bot_token.expose_secret().as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    // Constant time.
    hmac::verify(&key, signed.join("\n").as_bytes(), &signature).map_err(|_| TelegramLoginError::Signature)?;
    let id = text("id")?.parse().ok().filter(|id| *id > 0).ok_or(missing("id"))?;
    let date_s: u64 = text("auth_date")?.parse().map_err(|_| missing("auth_date"))?;
    let now_s = now_ns / 1_000_000_000;
    let expires_s = date_s.saturating_add(FRESH.as_secs());
    if now_s > expires_s || date_s > now_s + AHEAD_S {
        return Err(TelegramLoginError::Stale);
    }
    let name = fields.get("username").or_else(|| fields.get("first_name"));
    let name = name.map(|name| name.chars().filter(|c| !c.is_control()).take(64).collect()).unwrap_or_default();
    Ok(TelegramUser { id, name, expires_s })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NOW_S: u64 = 1_700_000_000;
    const NOW: u64 = NOW_S * 1_000_000_000;

    fn token() -> SecretString {
        SecretString::from("123456:CANARY-BOT-TOKEN".to_owned())
    }

    /// Signs as Telegram does, for tests.
    pub(crate) fn sign(pairs: &[(&str, &str)], token: &SecretString) -> BTreeMap<String, String> {
        let mut fields: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let lines: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let key = digest::digest(&digest::SHA256, token.expose_secret().as_bytes());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), lines.join("\n").as_bytes());
        fields.insert("hash".to_owned(), tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect());
        fields
    }

    fn good() -> BTreeMap<String, String> {
        let date = NOW_S.to_string();
        sign(&[("id", "42"), ("first_name", "Ann"), ("username", "ann_x"), ("auth_date", &date)], &token())
    }

    #[test]
    fn a_signature_made_elsewhere_is_accepted() {
        // Made with Python's hmac and hashlib.
        let fields = [
            ("id", "42"),
            ("first_name", "Ann"),
            ("auth_date", "1700000000"),
            ("hash", "aafb212593186c4322e8d0d099a80d86b1cb2624c68d01a9cb57bf6a31c1d236"),
        ];
        let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let user = check(&fields, &token(), NOW).unwrap();
        assert_eq!(user, TelegramUser { id: 42, name: "Ann".to_owned(), expires_s: NOW_S + 300 });
    }

    #[test]
    fn any_change_of_any_field_is_refused() {
        assert_eq!(check(&good(), &token(), NOW).unwrap().name, "ann_x");
        for key in good().keys() {
            let mut fields = good();
            fields.insert(key.clone(), format!("{}0", fields[key]));
            assert!(check(&fields, &token(), NOW).is_err(), "{key} changed");
            fields.remove(key);
            assert!(check(&fields, &token(), NOW).is_err(), "{key} removed");
        }
        let mut fields = good();
        fields.insert("photo_url".to_owned(), "https://x".to_owned());
        assert_eq!(check(&fields, &token(), NOW), Err(TelegramLoginError::Signature));
        let other = SecretString::from("123457:other".to_owned());
        assert_eq!(check(&good(), &other, NOW), Err(TelegramLoginError::Signature));
    }

    #[test]
    fn the_key_of_mini_apps_does_not_sign_for_the_widget() {
        let mut fields = good();
        let lines: Vec<String> =
            fields.iter().filter(|(key, _)| *key != "hash").map(|(key, value)| format!("{key}={value}")).collect();
        let web_app = hmac::Key::new(hmac::HMAC_SHA256, b"WebAppData");
        let key = hmac::sign(&web_app, token().expose_secret().as_bytes());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), lines.join("\n").as_bytes());
        fields.insert("hash".to_owned(), tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect());
        assert_eq!(check(&fields, &token(), NOW), Err(TelegramLoginError::Signature));
    }

    #[test]
    fn it_is_good_for_five_minutes() {
        for (date, good) in [(0, true), (-300, true), (-301, false), (30, true), (31, false)] {
            let date = NOW_S.checked_add_signed(date).unwrap().to_string();
            let fields = sign(&[("id", "42"), ("auth_date", &date)], &token());
            assert_eq!(check(&fields, &token(), NOW).is_ok(), good, "{date}");
        }
        let fields = sign(&[("id", "42"), ("auth_date", "-5")], &token());
        assert_eq!(check(&fields, &token(), NOW), Err(TelegramLoginError::Field { field: "auth_date" }));
    }

    #[test]
    fn odd_fields_are_refused() {
        let date = NOW_S.to_string();
        for pairs in [
            vec![("id", "-42"), ("auth_date", date.as_str())],
            vec![("id", "x"), ("auth_date", &date)],
            vec![("id", "42\nx=1"), ("auth_date", &date)],
        ] {
            assert!(check(&sign(&pairs, &token()), &token(), NOW).is_err());
        }
        let many: Vec<String> = (0..20).map(|at| format!("f{at:02}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "1")).collect();
        assert_eq!(check(&sign(&many, &token()), &token(), NOW), Err(TelegramLoginError::Field { field: "fields" }));
    }
}
