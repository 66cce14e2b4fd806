//! Tests of tokens: what is made is accepted where it is meant to be, and a corpus of what must be refused everywhere.

use super::*;
use crate::config::AccountsConfig;
use crate::keys::signing_key;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

const NOW_S: u64 = 1_700_000_000;
const NOW: u64 = NOW_S * 1_000_000_000;
const CONTAINER: &str = "http://127.0.0.1:8100/mcp";

struct Keys {
    issuer: Issuer,
    pkcs8: Vec<u8>,
}

fn keys(config: &AccountsConfig) -> Keys {
    let dir = tempfile::tempdir().unwrap();
    let pkcs8 = signing_key(None, &dir.path().join("key")).unwrap();
    Keys { issuer: Issuer::new(config, &pkcs8).unwrap(), pkcs8 }
}

fn subject() -> Subject {
    let (user, session) = (UserId::from_bits(7 << 64), SessionId::mint(NOW));
    Subject { user, session, role: Role::User, tier: Tier::Free }
}

fn claims() -> Map<String, Value> {
    let Value::Object(claims) = json!({
        "iss": "dexorder", "aud": "dexorder-api", "sub": UserId::from_bits(7 << 64).to_string(),
        "sid": SessionId::mint(NOW), "role": "user", "tier": "free", "scope": "market chat",
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 900, "jti": "j"
    }) else {
        unreachable!("it is an object")
    };
    claims
}

impl Keys {
    fn header(&self) -> Header {
        let (kid, typ) = (Some(self.issuer.key_id.clone()), Some(ACCESS_TYPE.to_owned()));
        Header { kid, typ, ..Header::new(Algorithm::EdDSA) }
    }

    /// Signs anything with the right key.
    fn sign(&self, header: &Header, claims: &Map<String, Value>) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(&self.pkcs8)).unwrap()
    }

    /// Signs a raw header and raw claims with the right key.
    fn sign_raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.pkcs8).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn with(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = claims();
        change(&mut claims);
        self.sign(&self.header(), &claims)
    }

    fn with_header(&self, change: impl FnOnce(&mut Header)) -> String {
        let mut header = self.header();
        change(&mut header);
        self.sign(&header, &claims())
    }
}

/// The rules of a container, as `agent-container/src/mcp/auth.rs` has them.
fn container_accepts(keys: &Keys, token: &str, owner: UserId) -> bool {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[keys.issuer.issuer()]);
    validation.set_audience(&[CONTAINER]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.validate_exp = false;
    let key = DecodingKey::from_ed_pem(keys.issuer.public_key_pem().as_bytes()).unwrap();
    let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
    claims.is_ok_and(|token| token.claims["sub"] == owner.to_string())
}

#[test]
fn an_access_token_is_accepted_for_its_time_with_half_a_minute_to_either_side() {
    let keys = keys(&AccountsConfig::default());
    let (token, expires_ns) = keys.issuer.access_token(subject(), NOW).unwrap();
    assert_eq!(expires_ns, NOW + 900 * 1_000_000_000);
    let at = |seconds: i64| {
        let now_s = NOW_S.checked_add_signed(seconds).unwrap();
        keys.issuer.verify(token.expose_secret(), now_s * 1_000_000_000)
    };
    let claims = at(0).unwrap();
    assert_eq!(claims.user(), Ok(UserId::from_bits(7 << 64)));
    assert!(at(-30).is_ok() && at(929).is_ok());
    assert_eq!(at(-31), Err(TokenError::Early));
    assert_eq!(at(930), Err(TokenError::Expired));
}

#[test]
fn the_token_that_all_changes_below_begin_with_is_good() {
    let keys = keys(&AccountsConfig::default());
    assert!(keys.issuer.verify(&keys.with(|_| {}), NOW).is_ok());
    let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, keys.issuer.key_id());
    let raw = keys.sign_raw(&header, &Value::Object(claims()).to_string());
    assert!(keys.issuer.verify(&raw, NOW).is_ok());
}

#[test]
fn a_container_token_is_good_for_its_container_only_and_an_access_token_never_is() {
    let keys = keys(&AccountsConfig::default());
    let owner = UserId::from_bits(7 << 64);
    let hour = Duration::from_secs(3600);
    let inside = keys.issuer.container_token(owner, CONTAINER, hour, NOW).unwrap();
    assert!(container_accepts(&keys, inside.expose_secret(), owner));
    assert!(!container_accepts(&keys, inside.expose_secret(), UserId::from_bits(8)));
    assert_eq!(keys.issuer.verify(inside.expose_secret(), NOW), Err(TokenError::Malformed));
    let (access, _) = keys.issuer.access_token(subject(), NOW).unwrap();
    assert!(!container_accepts(&keys, access.expose_secret(), owner));
    // Even one with the type of the other is refused for its audience.
    let disguised = keys.with(|claims| drop(claims.insert("aud".to_owned(), json!(CONTAINER))));
    assert_eq!(keys.issuer.verify(&disguised, NOW), Err(TokenError::Audience));
}

#[test]
fn no_container_token_is_made_for_us_or_for_long() {
    let keys = keys(&AccountsConfig::default());
    let make = |audience, hours: u64| {
        keys.issuer.container_token(UserId::from_bits(1), audience, Duration::from_secs(hours * 3600), NOW)
    };
    assert!(make("dexorder-api", 1).is_err() && make("", 1).is_err() && make(CONTAINER, 25).is_err());
    assert!(make(CONTAINER, 24).is_ok());
}

#[test]
fn a_key_before_the_last_change_is_still_good_if_the_settings_name_it() {
    let old = keys(&AccountsConfig::default());
    let config =
        AccountsConfig { previous_keys: vec![old.issuer.public_key_pem().to_owned()], ..AccountsConfig::default() };
    let (new, stranger) = (keys(&config), keys(&AccountsConfig::default()));
    assert!(new.issuer.verify(&old.with(|_| {}), NOW).is_ok());
    assert_eq!(new.issuer.verify(&stranger.with(|_| {}), NOW), Err(TokenError::Key));
    assert_ne!(new.issuer.key_id(), old.issuer.key_id());
    for bad in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
        let config = AccountsConfig { previous_keys: vec![bad.to_owned()], ..AccountsConfig::default() };
        assert!(Issuer::new(&config, &new.pkcs8).is_err(), "{bad}");
    }
}

/// Each with its name and why it is refused.
fn corpus(keys: &Keys) -> Vec<(String, String, TokenError)> {
    let mut corpus = Vec::new();
    let mut add = |name: &str, token: String, error: TokenError| corpus.push((name.to_owned(), token, error));
    let good = keys.with(|_| {});
    let parts: Vec<&str> = good.split('.').collect();
    let kid = keys.issuer.key_id().to_owned();
    let body = Value::Object(claims()).to_string();
    // Algorithms: none, and the public key as the secret of HMAC.
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{kid}"}}"#));
        add(&format!("alg {alg}, no signature"), format!("{header}.{}.", parts[1]), TokenError::Malformed);
        add(&format!("alg {alg}, signature"), format!("{header}.{}.{}", parts[1], parts[2]), TokenError::Malformed);
    }
    for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = Header { alg, ..keys.header() };
        let secret = EncodingKey::from_secret(keys.issuer.public_key_pem().as_bytes());
        let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
        add(&format!("{alg:?} with the public key"), token, TokenError::Key);
    }
    for alg in ["RS256", "ES256", "PS256"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{kid}"}}"#);
        add(&format!("header says {alg}"), keys.sign_raw(&header, &body), TokenError::Key);
    }
    add("no alg", keys.sign_raw(&format!(r#"{{"typ":"at+jwt","kid":"{kid}"}}"#), &body), TokenError::Malformed);
    // Where the key is to be found.
    add("no kid", keys.with_header(|header| header.kid = None), TokenError::Key);
    add("unknown kid", keys.with_header(|header| header.kid = Some("x".to_owned())), TokenError::Key);
    add("kid is a path", keys.with_header(|header| header.kid = Some("../../dev/null".to_owned())), TokenError::Key);
    add("kid is SQL", keys.with_header(|header| header.kid = Some("' OR 1=1 --".to_owned())), TokenError::Key);
    add(
        "jku",
        keys.with_header(|header| header.jku = Some("https://evil.example/k".to_owned())),
        TokenError::Malformed,
    );
    add(
        "x5u",
        keys.with_header(|header| header.x5u = Some("https://evil.example/c".to_owned())),
        TokenError::Malformed,
    );
    add("x5c", keys.with_header(|header| header.x5c = Some(vec!["AAAA".to_owned()])), TokenError::Malformed);
    add("crit", keys.with_header(|header| header.crit = Some(vec!["x".to_owned()])), TokenError::Malformed);
    let stranger = self::keys(&AccountsConfig::default());
    let jwk: Jwk = serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})).unwrap();
    let header = Header { jwk: Some(jwk), ..keys.header() };
    add("jwk of a stranger", stranger.sign(&header, &claims()), TokenError::Malformed);
    add("signed by a stranger under our kid", stranger.sign(&keys.header(), &claims()), TokenError::Signature);
    add("typ JWT", keys.with_header(|header| header.typ = Some("JWT".to_owned())), TokenError::Malformed);
    add("no typ", keys.with_header(|header| header.typ = None), TokenError::Malformed);
    add_claims(keys, &mut add);
    add_damage(keys, &good, &mut add);
    corpus
}

fn add_claims(keys: &Keys, add: &mut impl FnMut(&str, String, TokenError)) {
    let set = |name: &str, value: Value| keys.with(|claims| drop(claims.insert(name.to_owned(), value)));
    for name in ["iss", "aud", "sub", "sid", "role", "tier", "scope", "iat", "nbf", "exp", "jti"] {
        add(&format!("no {name}"), keys.with(|claims| drop(claims.remove(name))), TokenError::Claims);
        add(&format!("{name} is null"), set(name, Value::Null), TokenError::Claims);
    }
    add("other iss", set("iss", json!("dexorder2")), TokenError::Issuer);
    add("other aud", set("aud", json!("dexorder")), TokenError::Audience);
    add("aud of a container", set("aud", json!(CONTAINER)), TokenError::Audience);
    add("several aud, ours among them", set("aud", json!(["x", "dexorder-api"])), TokenError::Claims);
    add("several iss, ours among them", set("iss", json!(["x", "dexorder"])), TokenError::Claims);
    add("sub is no id", set("sub", json!("admin")), TokenError::Claims);
    add("sub is a number", set("sub", json!(7)), TokenError::Claims);
    add("sid is no id", set("sid", json!("1")), TokenError::Claims);
    add("role is unknown", set("role", json!("root")), TokenError::Claims);
    add("a claim that ours never have", set("act", json!("x")), TokenError::Claims);
    for (name, wrong) in [("exp", "text"), ("nbf", "text"), ("iat", "text")] {
        add(&format!("{name} is {wrong}"), set(name, json!((NOW_S + 900).to_string())), TokenError::Claims);
        add(&format!("{name} is negative"), set(name, json!(-1)), TokenError::Claims);
        add(&format!("{name} is a fraction"), set(name, json!(1.7e9 + 0.5)), TokenError::Claims);
        add(&format!("{name} is a list"), set(name, json!([NOW_S])), TokenError::Claims);
        add(&format!("{name} is true"), set(name, json!(true)), TokenError::Claims);
    }
    add("exp is huge", set("exp", json!(u64::MAX)), TokenError::Claims);
    add("exp is beyond a number", set("exp", json!(1e300)), TokenError::Claims);
    add("good for a year", set("exp", json!(NOW_S + 31_536_000)), TokenError::Claims);
    let shifted = |by: i64| {
        keys.with(|claims| {
            for (name, at) in [("iat", 0), ("nbf", 0), ("exp", 900)] {
                claims.insert(name.to_owned(), json!(NOW_S.checked_add_signed(by + at).unwrap()));
            }
        })
    };
    add("expired", shifted(-931), TokenError::Expired);
    add("of tomorrow", shifted(86_400), TokenError::Early);
    add("nbf in the future", set("nbf", json!(NOW_S + 60)), TokenError::Early);
    add(
        "exp before nbf",
        keys.with(|claims| drop(claims.insert("nbf".to_owned(), json!(NOW_S + 901)))),
        TokenError::Claims,
    );
    let twice = Value::Object(claims()).to_string().replacen('{', r#"{"sub":"01J9ZQ6V8KXW3R4T5Y6Z7A8B9C","#, 1);
    let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, keys.issuer.key_id());
    add("sub twice", keys.sign_raw(&header, &twice), TokenError::Claims);
    add("claims are a list", keys.sign_raw(&header, "[]"), TokenError::Claims);
    add("claims are no JSON", keys.sign_raw(&header, "x"), TokenError::Claims);
}

fn add_damage(keys: &Keys, good: &str, add: &mut impl FnMut(&str, String, TokenError)) {
    let parts: Vec<&str> = good.split('.').collect();
    let (refresh, _) = crate::secret_token::mint(crate::secret_token::SecretKind::Refresh);
    let (_, api_key, _) = crate::secret_token::mint_api_key();
    add("empty", String::new(), TokenError::Malformed);
    add("a word", "token".to_owned(), TokenError::Malformed);
    add("a refresh token", refresh.expose_secret().to_owned(), TokenError::Malformed);
    add("an API key", api_key.expose_secret().to_owned(), TokenError::Malformed);
    add("without signature", format!("{}.{}", parts[0], parts[1]), TokenError::Malformed);
    add("empty signature", format!("{}.{}.", parts[0], parts[1]), TokenError::Signature);
    add("a fourth part", format!("{good}.x"), TokenError::Malformed);
    add("padded", format!("{good}=="), TokenError::Malformed);
    add("huge", "x".repeat(1 << 20), TokenError::Malformed);
    add("not ASCII", format!("ä{good}"), TokenError::Malformed);
    let other = keys.with(|claims| drop(claims.insert("tier".to_owned(), json!("pro"))));
    let other: Vec<&str> = other.split('.').collect();
    add("claims of another", format!("{}.{}.{}", parts[0], other[1], parts[2]), TokenError::Signature);
    let inside = keys.issuer.container_token(UserId::from_bits(1), CONTAINER, Duration::from_secs(60), NOW).unwrap();
    add("a container token", inside.expose_secret().to_owned(), TokenError::Malformed);
}

#[test]
fn everything_of_the_corpus_is_refused_for_its_reason() {
    let keys = keys(&AccountsConfig::default());
    let corpus = corpus(&keys);
    assert!(corpus.len() >= 40, "{}", corpus.len());
    for (name, token, error) in corpus {
        assert_eq!(keys.issuer.verify(&token, NOW), Err(error), "{name}");
    }
}

#[test]
fn no_token_with_a_changed_bit_or_a_cut_end_is_accepted() {
    let keys = keys(&AccountsConfig::default());
    let good = keys.with(|_| {});
    for end in 0..good.len() {
        assert!(keys.issuer.verify(&good[..end], NOW).is_err(), "cut at {end}");
    }
    for at in 0..good.len() {
        for bit in [0, 1, 4] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(keys.issuer.verify(&changed, NOW).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn the_key_is_not_shown() {
    let keys = keys(&AccountsConfig::default());
    let shown = format!("{:?}", keys.issuer);
    assert!(shown.contains(keys.issuer.key_id()) && !shown.contains("signing"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_a_panic(text in ".{0,200}") {
        let issuer = keys(&AccountsConfig::default()).issuer;
        proptest::prop_assert!(issuer.verify(&text, NOW).is_err());
    }
}
