//! Secrets are nowhere but with whom they were given to: not in the store's files, nor in logs, errors or `Debug`.

use crate::fixtures::{BOT_TOKEN, PASSWORD, Platform, caller, client, form, secret, sign_up};
use crate::scope::Scope;
use secrecy::{ExposeSecret, SecretString};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_in_a_file_a_log_an_error_or_debug() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let platform = Platform::sqlite().await;
    let accounts = platform.replica().await;
    let mut secrets: Vec<SecretString> = vec![secret(PASSWORD), secret(BOT_TOKEN)];
    let mut shown = String::new();
    let (_, link) = accounts.first_admin_link().await.unwrap();
    let session = sign_up(&accounts, "alice").await;
    let alice = caller(&accounts, &session).await;
    let next = accounts.refresh(&session.refresh_token, &client(1)).await.unwrap();
    let key =
        accounts.make_api_key(&alice, "bot", [Scope::Chat].into_iter().collect(), None, &client(1)).await.unwrap();
    let setup = accounts.prepare_totp(&alice, &client(1)).await.unwrap();
    let code = accounts.telegram_code(&alice).await.unwrap();
    let ticket = accounts.ticket(&alice).await.unwrap();
    shown += &format!("{accounts:?} {link:?} {session:?} {alice:?} {next:?} {key:?} {setup:?} {code:?} {ticket:?}");
    shown += &format!("{:?} {:?}", form("x"), accounts.store.user(alice.user).await.unwrap());
    // Guesses and damaged secrets, whose errors must not repeat them.
    let damaged = secret(&format!("{}CANARY", session.access_token.expose_secret()));
    for error in [
        accounts.sign_in("alice", secret("CANARY wrong one"), Some("CANARY"), &client(1)).await.err(),
        accounts.sign_in("CANARY name", secret("x"), None, &client(1)).await.err(),
        accounts.sign_in_with_link(&secret("dxl_CANARY"), &client(1)).await.err(),
        accounts.refresh(&secret("dxr_CANARY"), &client(1)).await.err(),
        accounts.authenticate(&damaged, &client(1)).await.err(),
        accounts.authenticate(&secret("dxk_CANARY"), &client(1)).await.err(),
        accounts.redeem_ticket(&secret("dxt_CANARY")).await.err(),
        accounts.link_telegram(&secret("dxg_CANARY"), 1, "x").await.err(),
        accounts.confirm_totp(&alice, "CANARY", &client(1)).await.err(),
        accounts.set_password(&alice, secret("CANARY wrong one"), secret("CANARY new one!"), &client(1)).await.err(),
    ] {
        let error = error.expect("it is refused");
        shown += &format!("{error} {error:?}");
    }
    for issued in [link.secret, session.access_token, session.refresh_token, next.access_token, next.refresh_token] {
        secrets.push(issued);
    }
    secrets.extend([key.key, setup.secret, setup.url, code.secret, ticket.secret]);
    accounts.close().await;
    drop(guard);
    shown += &String::from_utf8_lossy(&log.0.lock().unwrap());
    assert!(!shown.contains("CANARY"), "{shown}");
    let keys = ["accounts-signing.pem", "accounts-sealing.key"];
    let mut files = 0;
    for entry in std::fs::read_dir(platform.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        let bytes = std::fs::read(entry.path()).unwrap();
        if keys.iter().any(|key| entry.file_name() == *key) {
            continue;
        }
        files += 1;
        for hidden in &secrets {
            let hidden = hidden.expose_secret().as_bytes();
            assert!(!bytes.windows(hidden.len()).any(|window| window == hidden), "{:?}", entry.path());
        }
    }
    assert!(files > 0, "the store was looked at");
    for hidden in &secrets {
        assert!(!shown.contains(hidden.expose_secret()));
    }
}
