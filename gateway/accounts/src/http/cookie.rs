//! The refresh cookie: scripts cannot read it, other sites cannot send it, and it goes to the routes of sign-in only.

use crate::accounts::SignedIn;
use crate::config::CookiePolicy;
use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

const NAME: &str = "dexorder_refresh";

/// The refresh token of a request's cookie. Two of them are none: one was planted.
pub(super) fn read(headers: &HeaderMap) -> Option<SecretString> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, _)| *name == NAME).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(SecretString::from(value.to_owned())),
        _ => None,
    }
}

/// Sets it.
pub(super) fn set(session: &SignedIn, now_ns: u64, policy: CookiePolicy) -> HeaderValue {
    let life_s = session.refresh_expires_ns.saturating_sub(now_ns) / 1_000_000_000;
    value(session.refresh_token.expose_secret(), life_s, policy)
}

/// Takes it away.
pub(super) fn clear(policy: CookiePolicy) -> HeaderValue {
    value("", 0, policy)
}

fn value(token: &str, life_s: u64, policy: CookiePolicy) -> HeaderValue {
    let secure = match policy {
        CookiePolicy::Secure => "; Secure",
        CookiePolicy::Loopback => "",
    };
    let text = format!("{NAME}={token}; Path=/api/v1/auth; Max-Age={life_s}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::from_str(&text).expect("a token is base64url");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        read(&headers).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn the_cookie_is_found_among_others_and_a_planted_one_is_not_used() {
        assert_eq!(found(&["a=b; dexorder_refresh=dxr_x; c=d"]).as_deref(), Some("dxr_x"));
        assert_eq!(found(&["a=b", "dexorder_refresh=dxr_x"]).as_deref(), Some("dxr_x"));
        for none in [
            &["a=b"][..],
            &["dexorder_refresh="],
            &["xdexorder_refresh=1"],
            &["dexorder_refresh=1; dexorder_refresh=2"],
        ] {
            assert_eq!(found(none), None, "{none:?}");
        }
    }

    #[test]
    fn it_is_kept_from_scripts_and_other_sites() {
        let text = |policy| clear(policy).to_str().unwrap().to_owned();
        let base = "dexorder_refresh=; Path=/api/v1/auth; Max-Age=0; HttpOnly; SameSite=Strict";
        assert_eq!(text(CookiePolicy::Secure), format!("{base}; Secure"));
        assert_eq!(text(CookiePolicy::Loopback), base);
        assert!(!format!("{:?}", value("CANARY", 1, CookiePolicy::Secure)).contains("CANARY"));
    }
}
