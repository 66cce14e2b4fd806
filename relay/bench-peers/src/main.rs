//! The relay beside libzmq's `zmq_proxy`, nats-server and the `zeromq` crate: same machine, same load, one after the other
//! in turn. Every delivered message is counted and the source never gets further ahead of the slowest subscriber than a
//! window, so nobody wins by dropping.

mod blast;
mod crowd;
mod forwarder;
mod libzmq;
mod raw;
mod scenario;
mod wire;

use clap::Parser;
use forwarder::{Forwarder, Kind};
use scenario::{Outcome, Peers, Scenario, median};
use std::time::Duration;

#[derive(Debug, Parser)]
struct Arguments {
    /// A few minutes instead of an hour.
    #[arg(long)]
    quick: bool,
    /// Only scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    #[arg(long, value_delimiter = ',', default_value = "relay,libzmq,nats,zeromq")]
    forwarders: Vec<Kind>,
    /// Arguments of `forward-relay`, such as `threads=2`.
    #[arg(long)]
    relay: Vec<String>,
    /// Instead: 10 000 subscribers, of which 100 do not read.
    #[arg(long)]
    crowd: bool,
    /// Instead: one publisher at full blast beside nine slow ones.
    #[arg(long)]
    blast: bool,
}

fn scenarios(quick: bool) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (peers, subscribers, payloads) in
        [(Peers::Raw, &[1, 16, 64, 256][..], &[100, 1000][..]), (Peers::Libzmq, &[1, 16, 64, 256], &[100, 1000])]
    {
        for &payload in payloads {
            for &subscribers in subscribers {
                for all in [true, false] {
                    let scenario = Scenario { peers, subscribers, all, payload };
                    // With one subscriber the two are the same but for the number of topics.
                    let in_quick = payload == 100
                        && match peers {
                            Peers::Raw => subscribers <= 64 && (all || subscribers == 64),
                            Peers::Libzmq => subscribers == 1 && all || subscribers == 64,
                        };
                    if !quick || in_quick {
                        scenarios.push(scenario);
                    }
                }
            }
        }
    }
    scenarios
}

fn saturated(scenario: Scenario, kind: Kind, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let forwarder = Forwarder::start(kind, &arguments.relay)?;
    let time = Duration::from_secs_f64(arguments.seconds);
    match scenario.peers {
        Peers::Raw => raw::RawLoad::connect(scenario, &forwarder)?.saturated(time),
        Peers::Libzmq => libzmq::LibzmqLoad::connect(scenario, &forwarder)?.saturated(time),
    }
}

fn at_rate(scenario: Scenario, kind: Kind, rate: f64, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let forwarder = Forwarder::start(kind, &arguments.relay)?;
    let time = Duration::from_secs_f64(arguments.seconds);
    match scenario.peers {
        Peers::Raw => raw::RawLoad::connect(scenario, &forwarder)?.at_rate(rate, time),
        Peers::Libzmq => libzmq::LibzmqLoad::connect(scenario, &forwarder)?.at_rate(rate, time),
    }
}

/// Runs all forwarders in turn, `repetitions` times. A forwarder that fails once is left out from then on.
fn in_turn(
    kinds: &[Kind],
    repetitions: usize,
    run: impl Fn(Kind) -> anyhow::Result<Outcome>,
) -> Vec<(Kind, Result<Vec<Outcome>, String>)> {
    let mut results: Vec<_> = kinds.iter().map(|kind| (*kind, Ok(Vec::new()))).collect();
    for _ in 0..repetitions {
        for (kind, result) in &mut results {
            if let Ok(outcomes) = result {
                match run(*kind) {
                    Ok(outcome) => outcomes.push(outcome),
                    Err(error) => *result = Err(format!("{error:#}")),
                }
            }
        }
    }
    results
}

/// The relay's own runs, to divide by.
fn own(results: &[(Kind, Result<Vec<Outcome>, String>)]) -> Vec<Outcome> {
    let own = results.iter().find(|(kind, _)| *kind == Kind::Relay);
    own.and_then(|(_, outcomes)| outcomes.clone().ok()).unwrap_or_default()
}

fn print_rows(results: &[(Kind, Result<Vec<Outcome>, String>)], load: &str) {
    let own = own(results);
    for (kind, outcomes) in results {
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                println!("| {load} | {} | failed: {error} | | | | | | | |", kind.name());
                continue;
            }
        };
        let value = |get: fn(&Outcome) -> f64| median(outcomes.iter().map(get));
        // Of the same repetition, then the median: what disturbs the machine disturbs both.
        let ratio =
            |of: fn(&Outcome, &Outcome) -> f64| median(own.iter().zip(outcomes).map(|(own, other)| of(own, other)));
        println!(
            "| {load} | {} | {:.0} k | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
            kind.name(),
            value(|o| o.deliveries_per_s) / 1e3,
            value(|o| o.cpu_ns),
            value(|o| o.cores),
            value(|o| o.p50_us),
            value(|o| o.p99_us),
            value(|o| o.p999_us),
            ratio(|own, other| own.deliveries_per_s / other.deliveries_per_s),
            ratio(|own, other| other.cpu_ns / own.cpu_ns),
        );
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.crowd {
        return crowd::run(arguments.repetitions);
    }
    if arguments.blast {
        return blast::run(&arguments.forwarders, arguments.repetitions);
    }
    println!(
        "relay's deliveries/s over the other's, and the other's CPU per delivery over the relay's: `×rate`, `×CPU`"
    );
    for scenario in scenarios(arguments.quick).into_iter().filter(|s| s.name().contains(&arguments.only)) {
        println!("\n### {}\n", scenario.name());
        println!(
            "| load | forwarder | deliveries/s | CPU ns each | cores | p50 µs | p99 µs | p99.9 µs | ×rate | ×CPU |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        let kinds = scenario.forwarders(&arguments.forwarders);
        let full = in_turn(&kinds, arguments.repetitions, |kind| saturated(scenario, kind, &arguments));
        print_rows(&full, "full");
        // Half of what zmq_proxy can do, for all of them.
        let reference = full.iter().find(|(kind, _)| *kind == Kind::Libzmq).or(full.first());
        let Some(Ok(outcomes)) = reference.map(|(_, outcomes)| outcomes) else { continue };
        let rate = median(outcomes.iter().map(|o| o.messages_per_s)) / 2.0;
        let sustains = |(kind, outcomes): &(Kind, Result<Vec<Outcome>, String>)| {
            let outcomes = outcomes.as_ref().ok()?;
            (median(outcomes.iter().map(|o| o.messages_per_s)) > rate * 1.2).then_some(*kind)
        };
        let kinds: Vec<Kind> = full.iter().filter_map(sustains).collect();
        let half = in_turn(&kinds, arguments.repetitions, |kind| at_rate(scenario, kind, rate, &arguments));
        print_rows(&half, &format!("{:.0} k/s in", rate / 1e3));
    }
    Ok(())
}
