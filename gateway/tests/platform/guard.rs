//! Who may talk to a gateway that listens on loopback.

use crate::world::{Client, World};
use serde_json::Value;

#[tokio::test]
async fn a_foreign_host_name_is_refused_on_every_path() {
    let world = World::start().await;
    let own = world.address.to_string();
    for path in ["/", "/api/v1/health", "/openapi.json", "/ws"] {
        for host in ["evil.example", "localhost.evil.example:3000"] {
            let answer = world.raw(path, &[("Host", host)]).await;
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, &body["error"]["code"]), (403, &Value::from("FORBIDDEN_HOST")), "{path} {host}");
        }
    }
    for host in [own.as_str(), "localhost", "localhost:3000", "127.0.0.1:1", "[::1]:3000"] {
        assert_eq!(world.raw("/api/v1/health", &[("Host", host)]).await.status, 200, "{host}");
    }
    let two = [("Host", "localhost"), ("Host", "evil.example")];
    assert!(matches!(world.raw("/api/v1/health", &two).await.status, 400 | 403));
    assert!(world.metric("gateway_http_refused_total{reason=\"Host\"}") >= 8);
}

#[tokio::test]
async fn a_foreign_page_may_not_open_the_websocket() {
    let world = World::start_with(|config| config.http.allowed_origins = vec!["http://localhost:5173".into()]).await;
    let own = format!("http://{}", world.address);
    for (origin, expected) in [
        (own.as_str(), None),
        ("http://localhost:5173", None),
        ("http://evil.example", Some(403)),
        ("http://127.0.0.1", Some(403)),
        ("null", Some(403)),
    ] {
        let result = Client::try_connect(world.address, &[("origin", origin)]).await;
        assert_eq!(result.err(), expected, "{origin}");
    }
    assert!(Client::try_connect(world.address, &[]).await.is_ok(), "no browser, no origin");
}
