//! A relay on ports of the system's choice, and waiting without sleeping.

use relay::config::Config;
use relay::{Addresses, BindError, Observer, Relay, RunError};
use std::future::Future;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Fails the test instead of waiting for ever.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("took longer than 60 s")
}

/// Waits until a counter of the relay has reached a value.
pub(crate) async fn reaches(counter: &AtomicU64, value: u64) {
    let mut looks = tokio::time::interval(Duration::from_millis(2));
    let reached = async {
        while counter.load(Ordering::Relaxed) < value {
            looks.tick().await;
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(60), reached).await;
    assert!(result.is_ok(), "counter at {} instead of {value}", counter.load(Ordering::Relaxed));
}

pub(crate) fn config() -> Config {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let fan_out_threads = crate::FAN_OUT_THREADS;
    Config { requests: any, work: any, publishers: any, subscribers: any, fan_out_threads, ..Config::default() }
}

#[derive(Debug)]
pub(crate) struct TestRelay {
    pub(crate) addresses: Addresses,
    pub(crate) observer: Observer,
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl TestRelay {
    pub(crate) fn start() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::run(Relay::bind(&config).unwrap())
    }

    /// Starts where another was bound. Meanwhile any connection of this machine may have got one of the ports as its own
    /// end, a peer that connects to it even to itself: then this waits until it is free.
    pub(crate) async fn again(config: Config) -> Self {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        let bound = async {
            loop {
                looks.tick().await;
                match Relay::bind(&config) {
                    Ok(relay) => return relay,
                    Err(BindError::Port(error)) if error.source.kind() == ErrorKind::AddrInUse => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        Self::run(soon(bound).await)
    }

    fn run(relay: Relay) -> Self {
        let (addresses, observer, stop) = (relay.addresses(), relay.observer(), CancellationToken::new());
        let task = tokio::spawn(relay.run(stop.clone()));
        Self { addresses, observer, stop, task }
    }

    /// A configuration that binds where this one is bound.
    pub(crate) fn same_ports(&self) -> Config {
        let Addresses { requests, work, publishers, subscribers } = self.addresses;
        Config { requests, work, publishers, subscribers, ..config() }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        soon(self.task).await.unwrap().unwrap();
    }
}

pub(crate) fn endpoint(address: SocketAddr) -> String {
    format!("tcp://{address}")
}
