//! The hash names a run: equal for equal inputs, changed by each of them.

use super::*;
use crate::backtest::{Backtest, Candle, Desk, Direction, Order, Shorting, Strategy, Terms};
use proto::Decimal;
use std::collections::{BTreeMap, BTreeSet};

const MINUTE: u64 = 60_000_000_000;
const START: u64 = 1_700_000_040_000_000_000;

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

struct Once(u64);

impl Strategy for Once {
    fn on_candle(&mut self, _: &Candle, desk: &mut Desk<'_>) {
        let direction = if self.0 == 0 { Direction::Buy } else { Direction::Sell };
        if self.0 == 0 || self.0 == 2 {
            desk.submit(Order::Market { direction, size: d("2.5") }).unwrap();
        }
        self.0 += 1;
    }
}

/// The round trip of the engine's first fixture.
pub(in crate::backtest) fn fixture() -> (Inputs, Report) {
    let rows = [
        ["100", "100", "100", "100"],
        ["101.5", "103", "101", "102"],
        ["102", "110", "102", "109"],
        ["108.25", "109", "108", "108"],
    ];
    let candles = (0u64..).zip(rows).map(|(at, row)| Candle {
        open_time_ns: START + at * MINUTE,
        open: d(row[0]),
        high: d(row[1]),
        low: d(row[2]),
        close: d(row[3]),
        volume: d("10"),
    });
    let terms = Terms { taker_fee: d("0.001"), shorting: Shorting::Allowed, ..Terms::with_cash(d("1000")) };
    let report = Backtest::new(terms.clone()).unwrap().candles(MINUTE, candles, &mut Once(0)).unwrap();
    let inputs = Inputs {
        engine_version: ENGINE_VERSION.to_owned(),
        strategy: "Once".to_owned(),
        source_sha256: sha256("source"),
        parameters: BTreeMap::from([("size".to_owned(), Parameter::Text("2.5".to_owned()))]),
        terms: TermsDocument::from(&terms),
        market: "SIM BTC/USDT".to_owned(),
        interval_ns: Some(MINUTE),
        snapshot: Some("42".to_owned()),
        commit: Some("abc".to_owned()),
        seed: 7,
    };
    (inputs, report)
}

pub(in crate::backtest) fn document(inputs: Inputs, report: &Report) -> Document {
    Document::new(inputs, report)
}

#[test]
fn the_hash_of_a_run_is_what_it_was() {
    let (inputs, report) = fixture();
    // If this fails, the engine gives another result or writes it in another way: raise ENGINE_VERSION with the new hash.
    assert_eq!(hash(&inputs, &report), "27a7e200eac99a94e48428b9d6235d3cf84035e7fc57bba2b932f543b4f1cbfc");
    let (again, other) = fixture();
    assert_eq!(hash(&again, &other), hash(&inputs, &report));
}

#[test]
fn each_input_and_result_changes_the_hash() {
    let (inputs, report) = fixture();
    let text = |text: &str| text.to_owned();
    let change = |change: &dyn Fn(&mut Inputs)| {
        let mut inputs = inputs.clone();
        change(&mut inputs);
        hash(&inputs, &report)
    };
    let result = |change: &dyn Fn(&mut Report)| {
        let mut report = report.clone();
        change(&mut report);
        hash(&inputs, &report)
    };
    let hashes = [
        hash(&inputs, &report),
        change(&|i| i.engine_version = text("0")),
        change(&|i| i.strategy = text("Twice")),
        change(&|i| i.source_sha256 = sha256("other")),
        change(&|i| i.parameters = BTreeMap::new()),
        change(&|i| i.parameters = BTreeMap::from([(text("size"), Parameter::Float(2.5))])),
        change(&|i| i.terms.cash = Exact(d("1001"))),
        change(&|i| i.terms.limit_fill = crate::backtest::LimitFill::Through),
        change(&|i| i.terms.shorting = false),
        change(&|i| i.market = text("SIM ETH/USDT")),
        change(&|i| i.interval_ns = None),
        change(&|i| i.snapshot = Some(text("43"))),
        change(&|i| i.snapshot = None),
        change(&|i| i.commit = Some(text("abd"))),
        change(&|i| i.seed = 8),
        result(&|r| r.fees = d("0")),
        result(&|r| r.fills[1].price = d("108.26")),
        result(&|r| r.round_trips[0].profit = d("16")),
        result(&|r| r.curve[1].1 = d("1001")),
        result(&|r| r.statistics.sharpe = Some(1.0)),
        result(&|r| r.refused_count = 1),
    ];
    let different: BTreeSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len(), "two of them are equal: {hashes:#?}");
}

#[test]
fn a_document_is_read_as_it_was_written_with_amounts_as_text() {
    let (inputs, report) = fixture();
    let mut document = Document::new(inputs, &report);
    document.checks.look_ahead = Some(LookAheadCheck::Clean { cuts: 3 });
    let json = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["summary"]["end_equity"], "1016.350625");
    assert_eq!(value["fills"][0]["price"], "101.5");
    assert_eq!(value["round_trips"][0]["profit"], "16.350625");
    assert_eq!(value["inputs"]["terms"]["taker_fee"], "0.001");
    let fall = (1018.49625 - 1016.350625) / 1018.49625;
    assert!((document.curve[3].drawdown - fall).abs() < 1e-15);
}

#[test]
fn long_lists_are_cut_but_counted_and_hashed() {
    let (inputs, mut report) = fixture();
    report.fills = vec![report.fills[0]; ROWS + 1];
    let cut = Document::new(inputs.clone(), &report);
    assert_eq!((cut.fills.len(), cut.summary.fills), (ROWS, ROWS + 1));
    report.fills[ROWS].price = d("1");
    assert_ne!(hash(&inputs, &report), cut.hash, "a row that is cut off counts");
}

#[test]
fn terms_are_exact_or_refused() {
    let read = |json: &str| serde_json::from_str::<TermsDocument>(json);
    let terms = read(r#"{"cash": 1000, "taker_fee": "0.001", "limit_fill": "through"}"#).unwrap();
    let expected =
        Terms { taker_fee: d("0.001"), limit_fill: crate::backtest::LimitFill::Through, ..Terms::with_cash(d("1000")) };
    assert_eq!(Terms::from(&terms), expected);
    for bad in [r#"{"cash": 0.1}"#, r#"{"cash": "x"}"#, r#"{"cash": 1, "fee": "0"}"#, r#"{}"#] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
