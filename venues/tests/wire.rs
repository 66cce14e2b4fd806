//! Golden frames of each venue, and what no frame may do: panic.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;
use std::fmt::Write;
use std::hint::black_box;
use venues::{Adapter, Event};

const NOW_NS: u64 = 1_723_161_254_000_000_000;

/// Frames and the lines that must follow from them.
struct Case {
    line: usize,
    frame: String,
    expected: Vec<String>,
}

fn cases(adapter: &dyn Adapter) -> Vec<Case> {
    let name = format!(
        "{}/fixtures/{}.txt",
        std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned()),
        adapter.venue().as_str().to_lowercase()
    );
    let text = std::fs::read_to_string(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(frame) = line.strip_prefix("> ") {
            cases.push(Case { line: number + 1, frame: frame.to_owned(), expected: Vec::new() });
        } else if !line.is_empty() && !line.starts_with('#') {
            cases.last_mut().expect("a frame before its result").expected.push(line.to_owned());
        }
    }
    cases
}

fn shown(event: &Event) -> String {
    match event {
        Event::Tick(t) => {
            format!("tick {} {} at {}: {} at {}, {:?}", t.symbol, t.trade_id, t.event_time_ns, t.size, t.price, t.side)
        }
        Event::Quote(q) => format!(
            "quote {} at {}: {} at {} / {} at {}",
            q.symbol, q.event_time_ns, q.bid_size, q.bid_price, q.ask_size, q.ask_price
        ),
        Event::QuoteChange(c) => {
            let side = |side: Option<(proto::Decimal, proto::Decimal)>| {
                side.map_or("-".to_owned(), |(price, size)| format!("{size} at {price}"))
            };
            format!("change {} at {}: {} / {}", c.symbol, c.event_time_ns, side(c.bid), side(c.ask))
        }
        Event::VoidTrade { symbol, trade_id } => format!("void {symbol} {trade_id}"),
        Event::Heartbeat => "heartbeat".to_owned(),
        Event::Subscribed(_) => "subscribed".to_owned(),
        Event::VenueError { code, .. } => format!("venue error {code}"),
        Event::Ignored(kind) => format!("ignored {kind}"),
        Event::Refused(rejection) => format!("refused {}", rejection.reason),
    }
}

fn decoded(adapter: &dyn Adapter, frame: &[u8]) -> Vec<String> {
    let mut events = Vec::new();
    match adapter.decode(frame, NOW_NS, &mut events) {
        Ok(()) => events.iter().map(shown).collect(),
        Err(rejection) => {
            assert!(events.is_empty(), "a refused frame must leave nothing behind");
            vec![format!("refused {}", rejection.reason)]
        }
    }
}

#[test]
fn each_golden_frame_says_what_is_written_below_it() {
    for adapter in venues::all() {
        let cases = cases(adapter);
        assert!(cases.len() > 10, "{}", adapter.venue());
        let mut wrong = String::new();
        for case in cases {
            let got = decoded(adapter, case.frame.as_bytes());
            if got != case.expected {
                writeln!(
                    wrong,
                    "{} line {}:\n  {}\n  wanted {:?}\n  got    {got:?}",
                    adapter.venue(),
                    case.line,
                    case.frame,
                    case.expected
                )
                .unwrap();
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }
}

#[test]
fn each_event_carries_the_venue_and_our_clock() {
    for adapter in venues::all() {
        for case in cases(adapter) {
            let mut events = Vec::new();
            let _refused = adapter.decode(case.frame.as_bytes(), NOW_NS, &mut events).is_err();
            for event in events {
                match event {
                    Event::Tick(tick) => assert_eq!((&tick.venue, tick.receive_time_ns), (adapter.venue(), NOW_NS)),
                    Event::Quote(quote) => assert_eq!((&quote.venue, quote.receive_time_ns), (adapter.venue(), NOW_NS)),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_frame_cut_at_any_byte_yields_no_market_data() {
    for adapter in venues::all() {
        for case in cases(adapter) {
            let frame = case.frame.trim_end().as_bytes();
            for length in 0..frame.len() {
                let lines = decoded(adapter, &frame[..length]);
                let market =
                    lines.iter().any(|line| ["tick", "quote", "change"].iter().any(|word| line.starts_with(word)));
                assert!(!market, "{} cut at {length}: {}", adapter.venue(), case.frame);
            }
        }
    }
}

#[test]
fn wrappers_in_wrappers_do_not_recurse() {
    for (open, close) in [(r#"{"stream":"x","data":"#, "}"), (r#"{"event":"#, "}"), ("[", "]"), (r#"{"data":["#, "]}")]
    {
        let frame = open.repeat(200_000) + "1" + &close.repeat(200_000);
        for adapter in venues::all() {
            assert_eq!(decoded(adapter, frame.as_bytes()).len(), 1, "{}", adapter.venue());
        }
    }
}

#[test]
fn details_of_refusals_stay_short() {
    let word = "é".repeat(10_000);
    let frames = [
        format!(r#"{{"channel":"{word}"}}"#),
        format!(r#"{{"e":"{word}"}}"#),
        format!(r#"{{"topic":"{word}"}}"#),
        format!(r#"{{"arg":{{"channel":"{word}"}},"data":[]}}"#),
        word,
    ];
    for adapter in venues::all() {
        for frame in &frames {
            let rejection = adapter.decode(frame.as_bytes(), NOW_NS, &mut Vec::new()).unwrap_err();
            assert!(rejection.detail.len() <= 160, "{}", adapter.venue());
        }
    }
}

/// A golden frame with some bytes replaced, inserted or taken out.
fn mutated() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let frames: Vec<(usize, Vec<u8>)> = venues::all()
        .iter()
        .enumerate()
        .flat_map(|(at, adapter)| cases(*adapter).into_iter().map(move |case| (at, case.frame.into_bytes())))
        .collect();
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 1..8);
    (prop::sample::select(frames), edits).prop_map(|((adapter, mut frame), edits)| {
        for (index, edit, byte) in edits {
            let at = index.index(frame.len().max(1));
            match edit {
                0 if at < frame.len() => frame[at] = byte,
                1 if at < frame.len() => drop(frame.remove(at)),
                _ => frame.insert(at.min(frame.len()), byte),
            }
        }
        (adapter, frame)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn arbitrary_bytes_never_panic(frame in proptest::collection::vec(any::<u8>(), 0..300)) {
        for adapter in venues::all() {
            decoded(adapter, &frame);
        }
    }

    #[test]
    fn mutated_frames_never_panic_and_never_break_the_rules((at, frame) in mutated()) {
        let adapter = venues::all()[at];
        let mut events = Vec::new();
        let _refused = adapter.decode(&frame, NOW_NS, &mut events).is_err();
        for event in events {
            match event {
                Event::Tick(tick) => prop_assert!(tick.validate().is_ok()),
                Event::Quote(quote) => prop_assert!(quote.validate().is_ok()),
                _ => {}
            }
        }
    }

    #[test]
    fn arbitrary_answers_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let symbol: proto::Symbol = "BTC/USDT".parse().unwrap();
        let trades = venues::TradesQuery::by_time(symbol.clone(), 0, u64::MAX);
        let candles = venues::CandlesQuery { symbol, interval: proto::Interval::M1, from_ns: 0, to_ns: u64::MAX };
        for adapter in venues::all() {
            black_box(adapter.parse_instruments(&body).is_ok());
            black_box(adapter.parse_trades(&trades, &body, NOW_NS).is_ok());
            black_box(adapter.parse_candles(&candles, &body, NOW_NS).is_ok());
            black_box(adapter.check(&venues::Answer { status: 500, retry_after: None, body: &body }).is_ok());
        }
    }
}
