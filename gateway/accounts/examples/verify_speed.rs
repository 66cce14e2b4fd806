//! How many callers a second `Accounts::authenticate` proves: `cargo run --release -p accounts --example verify_speed`.

use accounts::{Accounts, AccountsConfig, AccountsSecrets, Client, ClientAddress};
use service::clock::Clock;
use service::metrics::Metrics;
use std::time::{Duration, Instant};

const FOR: Duration = Duration::from_secs(5);

#[tokio::main]
#[allow(clippy::print_stdout, reason = "it is what this program is for")]
async fn main() -> anyhow::Result<()> {
    let dir = std::env::temp_dir().join(format!("dexorder-verify-speed-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let module = Metrics::new().module("gateway_accounts");
    let (config, secrets) = (AccountsConfig::default(), AccountsSecrets::default());
    let accounts = Accounts::open(config, secrets, &dir, Clock::System, &module).await?;
    let client = Client::new(ClientAddress::UNKNOWN, "speed");
    let (_, link) = accounts.first_admin_link().await?;
    let session = accounts.sign_in_with_link(&link.secret, &client).await?;
    let (begin, mut count) = (Instant::now(), 0_u32);
    while begin.elapsed() < FOR {
        for _ in 0..100 {
            accounts.authenticate(&session.access_token, &client).await?;
        }
        count += 100;
    }
    let per_second = f64::from(count) / begin.elapsed().as_secs_f64();
    println!("{per_second:.0} access tokens/s on one core (signature, claims, session known)");
    accounts.close().await;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
