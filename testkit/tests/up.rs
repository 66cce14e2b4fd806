//! `dexorder up` as a person meets it: it says where the page is, refuses clearly, and stops cleanly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use testkit::peers::workspace;
use testkit::process::{Dexorder, binary};

fn up_args(data: &Path, listen: &str) -> Vec<OsString> {
    let ports = workspace().join("testkit/any-ports.yaml");
    let mut args: Vec<OsString> = ["up", "--venues", "sim", "--listen", listen, "--data-dir"].map(Into::into).into();
    args.extend([data.into(), "--config".into(), ports.into()]);
    args
}

async fn get(url: &str) -> (u16, serde_json::Value) {
    let answer = reqwest::get(url).await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(serde_json::Value::Null))
}

#[tokio::test]
async fn up_says_where_the_page_is_shows_sim_and_drains_on_sigterm() {
    testkit::process::use_ring();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut platform = Dexorder::start(&up_args(&data, "127.0.0.1:0"), &dir.path().join("log"));
    let page = platform.line("page:").await;
    let (status, health) = get(&format!("{page}/api/v1/health")).await;
    assert_eq!((status, &health["mode"]), (200, &"SIM".into()), "{health}");
    let (_, instruments) = get(&format!("{page}/api/v1/instruments?venue=SIM")).await;
    assert!(instruments["instruments"].as_array().is_some_and(|list| list.len() >= 3), "{instruments}");
    let url = format!("{page}/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&limit=10");
    let (status, candles) = get(&url).await;
    assert_eq!(status, 200, "{candles}");
    assert!(!candles["candles"].as_array().unwrap().is_empty(), "{candles}");
    assert!(platform.terminate().await.success());
}

#[tokio::test]
async fn a_second_start_on_the_same_data_is_refused_with_the_first_ones_pid() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut first = Dexorder::start(&up_args(&data, "127.0.0.1:0"), &dir.path().join("log"));
    first.line("page:").await;
    let second = Command::new(binary()).args(up_args(&data, "127.0.0.1:0")).output().unwrap();
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success());
    assert!(text.contains("is in use by process"), "{text}");
    assert!(first.terminate().await.success());
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(binary()).args(up_args(&dir.path().join("data"), &address)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
}

#[test]
fn an_unknown_key_is_refused_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, "gateway:\n  live:\n    colour: red\n").unwrap();
    let data = dir.path().join("data");
    let output = Command::new(binary())
        .args(["up", "--venues", "sim", "--data-dir"])
        .arg(&data)
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("gateway.live.colour"), "{text}");
    assert!(!data.exists(), "the data directory was made although the configuration is refused");
}
