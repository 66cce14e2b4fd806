//! docs/metrics.md lists the metrics that a running platform serves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use testkit::peers::workspace;
use testkit::process::Dexorder;

/// name → type of what `/metrics` declares; counters as they are scraped, with `_total`.
fn served(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| {
            (if kind == "counter" { format!("{name}_total") } else { name.to_owned() }, kind.to_owned())
        })
        .collect()
}

fn documented(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name.to_owned(), rest.split(" |").next().unwrap().to_owned()))
        .collect()
}

/// True if the sources of the metric's process have the end of its name as a text.
fn named_in_code(name: &str) -> bool {
    let (process, rest) = name.split_once('_').unwrap();
    let rooms: &[&str] = match process {
        "agent" => &["agent-container"],
        "gateway" => {
            &["gateway", "gateway/accounts", "gateway/harness", "gateway/notifications", "gateway/provisioner"]
        }
        process => &[process],
    };
    let sources: String = rooms.iter().map(|room| sources(&workspace().join(room).join("src"))).collect();
    rest.match_indices('_').any(|(at, _)| sources.contains(&format!("\"{}\"", &rest[at + 1..])))
}

fn sources(dir: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    text
}

/// What a user's container serves.
async fn of_a_container() -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let issuer = agent_container::local_issuer::LocalIssuer::open(&dir.path().join("issuer")).unwrap();
    let auth = issuer.auth("urn:test", "http://127.0.0.1/mcp");
    let any = "127.0.0.1:0";
    let config = serde_json::json!({
        "admin": {"listen": any},
        "agent": {
            "owner": "me", "data_dir": dir.path().join("agent"), "listen": any, "events": {"publish": any},
            "auth": {"issuer": auth.issuer, "audience": auth.audience, "keys": auth.keys},
        },
    });
    let file = dir.path().join("config.yaml");
    // JSON is YAML.
    std::fs::write(&file, config.to_string()).unwrap();
    let args: [OsString; 2] = ["--config".into(), file.into()];
    let mut container = Dexorder::start_agent(&args, &dir.path().join("log"));
    let admin = container.line("admin:").await;
    container.line("ready").await;
    let text = reqwest::get(format!("{admin}/metrics")).await.unwrap().text().await.unwrap();
    assert!(container.terminate().await.success());
    served(&text)
}

#[tokio::test]
async fn the_list_of_metrics_is_what_is_served() {
    testkit::process::use_ring();
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), workspace().join("testkit/any-ports.yaml"));
    let mut args: Vec<OsString> =
        ["up", "--venues", "sim", "--listen", "127.0.0.1:0", "--data-dir"].map(Into::into).into();
    args.extend([data.into(), "--config".into(), ports.into()]);
    let mut platform = Dexorder::start(&args, &dir.path().join("log"));
    let admin = platform.line("admin:").await;
    platform.line("page:").await;
    let text = reqwest::get(format!("{admin}/metrics")).await.unwrap().text().await.unwrap();
    let list = std::fs::read_to_string(workspace().join("docs/metrics.md")).unwrap();
    let (served, documented) = (served(&text), documented(&list));
    for (name, kind) in served.iter().chain(&of_a_container().await) {
        assert_eq!(documented.get(name), Some(kind), "{name} is served but docs/metrics.md does not list it so");
    }
    // A metric with labels is served from its first use on; until then the code must name it.
    for name in documented.keys().filter(|name| !served.contains_key(*name)) {
        assert!(named_in_code(name), "docs/metrics.md lists {name}, which nobody serves");
    }
    assert!(platform.terminate().await.success());
}
