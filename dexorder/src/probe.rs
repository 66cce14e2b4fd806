//! One short look whether a live venue can be reached, so that `up --venues auto` can choose between live and simulated.

use std::time::Duration;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(2);

/// The venues that answered an HTTPS request for their public time within two seconds.
pub(crate) async fn reachable_venues() -> Vec<&'static str> {
    reachable(&ENDPOINTS).await
}

/// Small public answers that need no key.
const ENDPOINTS: [(&str, &str); 6] = [
    ("BINANCE", "https://api.binance.com/api/v3/ping"),
    ("BINANCE-USDM", "https://fapi.binance.com/fapi/v1/ping"),
    ("COINBASE", "https://api.coinbase.com/api/v3/brokerage/time"),
    ("KRAKEN", "https://api.kraken.com/0/public/Time"),
    ("OKX", "https://www.okx.com/api/v5/public/time"),
    ("BYBIT", "https://api.bybit.com/v5/market/time"),
];

async fn reachable(endpoints: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    let Ok(client) = reqwest::Client::builder().timeout(PATIENCE).connect_timeout(PATIENCE).build() else {
        return Vec::new();
    };
    let mut requests = JoinSet::new();
    for &(venue, url) in endpoints {
        let request = client.get(url).send();
        requests.spawn(async move {
            // A venue that answers with an error (451: not offered in this country) cannot be used either.
            request.await.ok().filter(|answer| answer.status().is_success()).map(|_| venue)
        });
    }
    let mut venues = Vec::new();
    while let Some(outcome) = requests.join_next().await {
        venues.extend(outcome.ok().flatten());
    }
    venues.sort_unstable();
    venues
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_not_a_venue() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url: &'static str = Box::leak(format!("http://{}/", listener.local_addr().unwrap()).into_boxed_str());
        drop(listener);
        let _provider = rustls::crypto::ring::default_provider().install_default();
        assert_eq!(reachable(&[("NOWHERE", url)]).await, Vec::<&str>::new());
    }
}
