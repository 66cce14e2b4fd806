//! Whom the guard lets in.

use super::*;
use crate::local_issuer::LocalIssuer;
use crate::local_issuer::tests::sign_anything;
use serde_json::{Value, json};
use std::time::Duration;

const ISSUER: &str = "https://gateway.example";
const AUDIENCE: &str = "https://agents.example/u/mcp";

struct Desk {
    _dir: tempfile::TempDir,
    issuer: LocalIssuer,
    guard: Guard,
}

fn desk() -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let issuer = LocalIssuer::open(&dir.path().join("key")).unwrap();
    let guard = Guard::new(&issuer.auth(ISSUER, AUDIENCE), "alice").unwrap();
    Desk { _dir: dir, issuer, guard }
}

fn now() -> u64 {
    service::clock::now_ns() / 1_000_000_000
}

fn good() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now(), "exp": now() + 600})
}

impl Desk {
    fn check(&self, authorization: &str) -> Result<(), AuthError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        self.guard.check(&headers)
    }

    fn claims(&self, change: impl FnOnce(&mut Value)) -> Result<(), AuthError> {
        let mut claims = good();
        change(&mut claims);
        self.check(&format!("Bearer {}", sign_anything(&self.issuer, &claims)))
    }
}

#[test]
fn the_owner_passes_again_and_again() {
    let desk = desk();
    let token = desk.issuer.token(&desk.issuer.auth(ISSUER, AUDIENCE), "alice", Duration::from_secs(60)).unwrap();
    for _ in 0..3 {
        assert_eq!(desk.check(&format!("Bearer {token}")), Ok(()));
    }
    assert_eq!(desk.check(&format!("bearer  {token}")), Ok(()), "the scheme has no case");
    assert_eq!(desk.claims(|claims| claims["aud"] = json!(["https://other.example", AUDIENCE])), Ok(()));
}

#[test]
fn each_wrong_claim_is_refused_by_its_name() {
    let desk = desk();
    let set = |key: &'static str, value: Value| move |claims: &mut Value| claims[key] = value;
    let gone = |key: &'static str| {
        move |claims: &mut Value| {
            claims.as_object_mut().unwrap().remove(key);
        }
    };
    assert_eq!(desk.claims(set("iss", json!("https://evil.example"))), Err(AuthError::Issuer));
    assert_eq!(desk.claims(set("aud", json!("https://agents.example/v/mcp"))), Err(AuthError::Audience));
    assert_eq!(desk.claims(set("aud", json!([]))), Err(AuthError::Audience));
    assert_eq!(desk.claims(set("sub", json!("bob"))), Err(AuthError::Owner));
    assert_eq!(desk.claims(set("sub", json!("alice2"))), Err(AuthError::Owner));
    assert_eq!(desk.claims(set("exp", json!(now() - 60))), Err(AuthError::Time));
    assert_eq!(desk.claims(set("nbf", json!(now() + 300))), Err(AuthError::Time));
    assert_eq!(desk.claims(set("exp", json!(now() + 48 * 3600))), Err(AuthError::Time));
    for key in ["iss", "aud", "sub", "exp"] {
        assert!(desk.claims(gone(key)).is_err(), "{key}");
    }
    for (key, value) in [("exp", json!("soon")), ("nbf", json!("now")), ("exp", json!(-1)), ("sub", json!(7))] {
        assert!(desk.claims(set(key, value.clone())).is_err(), "{key} {value}");
    }
}

#[test]
fn what_is_no_token_of_ours_is_refused() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let desk = desk();
    let token = sign_anything(&desk.issuer, &good());
    let [head, body, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = encode(json!({"alg": "none", "typ": "JWT"}));
    let hmac = encode(json!({"alg": "HS256", "kid": "local"}));
    let jku = encode(json!({"alg": "EdDSA", "kid": "evil", "jku": "https://evil.example/keys"}));
    let traversal = encode(json!({"alg": "EdDSA", "kid": "../../local"}));
    let other = {
        let dir = tempfile::tempdir().unwrap();
        sign_anything(&LocalIssuer::open(&dir.path().join("key")).unwrap(), &good())
    };
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[5] ^= 1;
    for wrong in [
        format!("{none}.{body}."),
        format!("{none}.{body}.{signature}"),
        format!("{hmac}.{body}.{signature}"),
        format!("{jku}.{body}.{signature}"),
        format!("{traversal}.{body}.{signature}"),
        format!("{head}.{}.{signature}", encode(json!({"sub": "alice"}))),
        format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(flipped)),
        format!("{head}.{body}"),
        format!("{head}.{body}.{signature}.{signature}"),
        other,
        "x".repeat(TOKEN_BYTES + 1),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(desk.check(&format!("Bearer {wrong}")), Err(AuthError::Invalid), "{wrong:.60}");
    }
    for missing in ["Basic YTpi", "Bearer", &token] {
        assert_eq!(desk.check(missing), Err(AuthError::Missing), "{missing:.20}");
    }
    assert_eq!(desk.guard.check(&HeaderMap::new()), Err(AuthError::Missing));
    let mut twice = HeaderMap::new();
    twice.append(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    twice.append(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    assert_eq!(desk.guard.check(&twice), Err(AuthError::Missing));
}

#[test]
fn a_known_token_ends_with_its_time() {
    let desk = desk();
    let token = sign_anything(&desk.issuer, &good());
    assert_eq!(desk.check(&format!("Bearer {token}")), Ok(()));
    for expires_s in desk.guard.known.lock().unwrap().values_mut() {
        *expires_s = now() - LEEWAY_S - 1;
    }
    assert_eq!(desk.check(&format!("Bearer {token}")), Err(AuthError::Time));
}

#[test]
fn many_tokens_do_not_fill_the_memory() {
    let desk = desk();
    for number in 0..KNOWN as u64 + 20 {
        assert_eq!(desk.claims(|claims| claims["jti"] = json!(number)), Ok(()));
    }
    assert_eq!(desk.guard.known.lock().unwrap().len(), KNOWN);
}

#[test]
fn the_metadata_stands_where_rfc_9728_wants_it() {
    for (resource, metadata) in [
        ("http://127.0.0.1:8100/mcp", "http://127.0.0.1:8100/.well-known/oauth-protected-resource/mcp"),
        ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource"),
    ] {
        assert_eq!(metadata_url(resource), metadata);
    }
}
