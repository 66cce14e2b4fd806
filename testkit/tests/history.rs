//! Market history over the written protocol, with pyzmq as REQ and as DEALER: acknowledgement, notification, rows; and honest
//! refusals.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proto::{ClientId, Frame, FrameHeader, HistoryRequest, Interval, Kind, RequestId, Topic, TopicPrefix, wire};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use testkit::peers::{python, workspace};
use testkit::process::{Dexorder, PATIENCE};
use zmtp::{DealerOptions, DealerSocket, SubOptions, SubSocket};

struct Running {
    platform: Dexorder,
    page: String,
    requests: String,
    subscribers: String,
    _dir: tempfile::TempDir,
}

async fn start() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let (data, ports) = (dir.path().join("data"), workspace().join("testkit/any-ports.yaml"));
    let args: [&std::ffi::OsStr; 9] = [
        "up".as_ref(),
        "--venues".as_ref(),
        "sim".as_ref(),
        "--listen".as_ref(),
        "127.0.0.1:0".as_ref(),
        "--data-dir".as_ref(),
        data.as_ref(),
        "--config".as_ref(),
        ports.as_ref(),
    ];
    let mut platform = Dexorder::start(&args, &dir.path().join("log"));
    let relay = platform.line("relay:").await;
    let part = |name: &str| relay.split_whitespace().find_map(|p| p.strip_prefix(name)).unwrap().to_owned();
    let (requests, subscribers) = (part("requests="), part("subscribers="));
    let page = platform.line("page:").await;
    Running { platform, page, requests, subscribers, _dir: dir }
}

fn client(running: &Running, socket: &str, rest: &[&str]) -> Output {
    let script = workspace().join("docs/protocol/examples/history_client.py");
    let addresses = ["--requests", &running.requests, "--subscribers", &running.subscribers, "--socket", socket];
    Command::new(python()).arg(script).args(addresses).args(rest).output().unwrap()
}

async fn rows(page: &str) -> usize {
    let url = format!(
        "{page}/api/v1/candles?venue=SIM&symbol=BTC/USDT&interval=60s&from=2024-03-01T00:00:00Z&to=2024-03-01T02:00:00Z"
    );
    let answer: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    answer["candles"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn pyzmq_clients_get_ack_notification_and_rows() {
    testkit::process::use_ring();
    let running = start().await;
    for socket in ["REQ", "DEALER"] {
        let range = ["--venue", "SIM", "--symbol", "BTC/USDT", "--interval", "60"];
        let times = ["--from", "2024-03-01T00:00:00Z", "--to", "2024-03-01T02:00:00Z"];
        let output = client(&running, socket, &[range.as_slice(), times.as_slice()].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{socket}: {text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("QUEUED") && text.contains("120"), "{socket}: {text}");
        println!("{socket}: {text}");
    }
    assert_eq!(rows(&running.page).await, 120, "candles of two hours");
    assert!(running.platform.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_typed_and_at_once() {
    let running = start().await;
    let times = ["--from", "2024-03-01T00:00:00Z", "--to", "2024-03-01T02:00:00Z"];
    let cases: [(&[&str], &str); 3] = [
        (&["--venue", "NOWHERE", "--symbol", "BTC/USDT", "--interval", "60"], "NO_INGESTOR"),
        (&["--venue", "SIM", "--symbol", "BTCUSDT", "--interval", "60"], "symbol"),
        (&["--venue", "SIM", "--symbol", "BTC/USDT", "--interval", "61"], "interval_s"),
    ];
    for (request, expected) in cases {
        let output = client(&running, "REQ", &[request, times.as_slice()].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(running.platform.terminate().await.success());
}

fn request(venue: &str) -> HistoryRequest {
    let bits = rand::random::<u128>();
    HistoryRequest {
        request_id: RequestId::from_bits(bits),
        client_id: ClientId::from_bits(bits ^ 1),
        range: proto::HistoryRange {
            venue: venue.parse().unwrap(),
            symbol: "BTC/USDT".parse().unwrap(),
            interval: Some(Interval::M1),
            from_ns: 1_709_251_200_000_000_000,
            to_ns: 1_709_254_800_000_000_000,
        },
    }
}

async fn submit(socket: &DealerSocket, request: &HistoryRequest) -> wire::RequestAck {
    let route = TopicPrefix::Venue(request.range.venue.clone()).to_string();
    let body = FrameHeader::new(Kind::HistoryRequest, 1, 1, 0).encode(&wire::HistoryRequest::from(request)).unwrap();
    socket.send([route.into_bytes().into(), body].into_iter().collect()).await.unwrap();
    let answer = tokio::time::timeout(PATIENCE, socket.recv()).await.unwrap();
    Frame::decode(answer.last().unwrap()).unwrap().message(Kind::RequestAck).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unserved_venue_is_refused_without_waiting_and_ids_are_never_confused() {
    let running = start().await;
    let dealer = DealerSocket::connect(&running.requests, DealerOptions::default()).unwrap();
    submit(&dealer, &request("NOWHERE")).await;
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..21 {
        let started = Instant::now();
        let ack = submit(&dealer, &request("NOWHERE")).await;
        times.push(started.elapsed());
        assert_eq!(ack.status(), wire::AckStatus::NoIngestor);
    }
    times.sort();
    // The figure is for the reader: a refusal does not wait for anything, so a time-out of the test is the only limit.
    println!("refused in {:?} at the median of {}", times[times.len() / 2], times.len());

    // Somebody else's ids: a prefix of an id, and another id, hear nothing of this request's notification.
    let mine = request("SIM");
    let topic = Topic::HistoryReady(mine.request_id).to_string();
    let spy = SubSocket::connect(&running.subscribers, SubOptions::default()).unwrap();
    for prefix in ["", "HISTORY_READY:", &topic[..topic.len() - 1]] {
        spy.subscribe(prefix.as_bytes()).await.unwrap();
    }
    spy.subscribe(Topic::HistoryReady(RequestId::from_bits(7)).to_string().as_bytes()).await.unwrap();
    spy.confirm().await;
    let own = SubSocket::connect(&running.subscribers, SubOptions::default()).unwrap();
    own.subscribe(topic.as_bytes()).await.unwrap();
    own.confirm().await;
    assert_eq!(submit(&dealer, &mine).await.status(), wire::AckStatus::Queued);
    let heard = tokio::time::timeout(PATIENCE, own.recv()).await.unwrap();
    assert_eq!(heard[0], topic.as_bytes());
    // The relay has forwarded the notification to whoever may have it; what the spy heard is there by its next answer.
    spy.confirm().await;
    assert!(spy.try_recv().is_none(), "another client heard of the request");
    assert!(running.platform.terminate().await.success());
}

/// The script is documentation: it must not lean on our own code.
#[test]
fn the_example_client_stands_alone() {
    let script = workspace().join("docs/protocol/examples/history_client.py");
    let text = std::fs::read_to_string(Path::new(&script)).unwrap();
    let imports: Vec<_> = text.lines().filter(|l| l.starts_with("import ") || l.starts_with("from ")).collect();
    assert!(imports.iter().all(|l| !l.contains("dexorder") && !l.contains("testkit")), "{imports:?}");
}
