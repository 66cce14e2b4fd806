//! What the tests share: an issuer, provisioners over the fake container, and where the real one is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proto::UserId;
use provisioner::{
    ContainerMetrics, ContainerToken, ContainerTokens, ProcessConfig, ProcessProvisioner, Tier, Tiers, TiersError,
    TokenError, Trust,
};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use service::clock::Clock;
use service::metrics::Metrics;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A guard, not a measure: a test that waits longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// SubjectPublicKeyInfo of an Ed25519 key before the key itself (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(crate) fn use_ring() {
    // A second call finds it chosen already.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
}

pub(crate) const fn user(number: u128) -> UserId {
    UserId::from_bits(number)
}

/// Signs tokens as the accounts do.
#[derive(Debug)]
pub(crate) struct Issuer {
    pkcs8: Vec<u8>,
    public: Vec<u8>,
    life_s: u64,
    pub(crate) made: AtomicU64,
}

impl Issuer {
    pub(crate) fn new(life_s: u64) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref().to_vec();
        let public = Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap().public_key().as_ref().to_vec();
        Self { pkcs8, public, life_s, made: AtomicU64::new(0) }
    }
}

impl ContainerTokens for Issuer {
    fn trust(&self) -> Trust {
        let der: Vec<u8> = SPKI.iter().chain(&self.public).copied().collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        Trust { issuer: "urn:test".to_owned(), keys: BTreeMap::from([("k1".to_owned(), pem)]) }
    }

    fn token(&self, owner: UserId, audience: &str) -> Result<ContainerToken, TokenError> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let now_s = service::clock::now_ns() / 1_000_000_000;
        let claims = json!({
            "iss": "urn:test", "sub": owner.to_string(), "aud": audience, "iat": now_s, "nbf": now_s,
            "exp": now_s + self.life_s, "jti": rand::random::<u64>().to_string(),
        });
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&self.pkcs8));
        let secret = token.map_err(|_| TokenError)?.into();
        Ok(ContainerToken { secret, expires_at_ns: (now_s + self.life_s) * 1_000_000_000 })
    }
}

/// Everybody has this tier.
#[derive(Debug)]
pub(crate) struct OneTier(pub(crate) Mutex<Tier>);

#[async_trait::async_trait]
impl Tiers for OneTier {
    async fn tier(&self, _owner: UserId) -> Result<Tier, TiersError> {
        Ok(*self.0.lock().unwrap())
    }
}

pub(crate) fn fake_program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/fake_container.py")
}

/// The real container: `DEXORDER_BINARY`, or beside the running test.
pub(crate) fn real_program() -> Option<PathBuf> {
    let beside = || {
        let test = std::env::current_exe().ok()?;
        Some(test.parent()?.parent()?.join("dexorder"))
    };
    let path = std::env::var_os("DEXORDER_BINARY").map(PathBuf::from).or_else(beside)?;
    if path.is_file() {
        return Some(path);
    }
    eprintln!("left out: {} is not built; set DEXORDER_BINARY", path.display());
    None
}

/// A configuration over a program, with `more` in it.
pub(crate) fn config(program: PathBuf, dir: &Path, more: &Value) -> ProcessConfig {
    let mut config = json!({
        "program": program, "dir": dir.join("agents"), "gateway_url": "http://127.0.0.1:1", "events": "tcp://127.0.0.1:1",
        "stop_within": "3s", "first_pause": "10ms", "silence": "500ms",
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config: ProcessConfig = serde_json::from_value(config).unwrap();
    assert_eq!(config.problems(), Vec::<String>::new());
    config
}

/// A provisioner and its metrics.
pub(crate) fn provisioner(config: ProcessConfig, issuer: &Issuer) -> (ProcessProvisioner, Metrics) {
    use_ring();
    let metrics = Metrics::new();
    let made = ProcessProvisioner::new(config, issuer, Clock::System, ContainerMetrics::new(&metrics));
    (made.unwrap(), metrics)
}

/// A provisioner over the fake container that behaves like this.
pub(crate) fn faking(dir: &Path, behaviour: &str, more: &Value) -> ProcessProvisioner {
    let environment = json!({"PATH": "/usr/local/bin:/usr/bin:/bin", "FAKE": behaviour});
    let mut config = config(fake_program(), dir, more);
    config.environment = serde_json::from_value(environment).unwrap();
    provisioner(config, &Issuer::new(300)).0
}

/// What the fake container wrote at each of its starts.
pub(crate) fn starts(dir: &Path, owner: UserId) -> Vec<Value> {
    let path = data(dir, owner).join("starts");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn data(dir: &Path, owner: UserId) -> PathBuf {
    dir.join("agents").join(owner.to_string()).join("data")
}

/// Whether a process is there; one that waits to be reaped is not.
pub(crate) fn runs(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while !holds() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
