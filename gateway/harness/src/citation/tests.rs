//! Numbers of answers beside outcomes.

use super::*;
use proptest::prelude::*;

fn cited(text: &str, outcomes: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    cite(text, "", outcomes.iter().copied()).into_iter().map(|it| (it.number, it.call_id)).collect()
}

#[test]
fn numbers_are_found_with_the_call_they_stand_in() {
    let outcomes = [
        ("c1", "{\"close\":\"61837.6271\",\"volume\":1.5e3}"),
        ("c2", "{\"return\":0.0423,\"trades\":31,\"x\":-3.04}"),
    ];
    for (text, number, call) in [
        ("It stands at 61 837.63.", "61 837.63", Some("c1")),
        ("It stands at 61,837.6!", "61,837.6", Some("c1")),
        ("It stands at 61\u{202f}838 now", "61\u{202f}838", Some("c1")),
        ("It stands at 61,840", "61,840", None),
        ("$61837", "61837", None),
        ("volume 1500", "1500", Some("c1")),
        ("+4.2 %", "4.2", Some("c2")),
        ("4.3%", "4.3", None),
        ("31 trades", "31", Some("c2")),
        ("down 3.0", "3.0", Some("c2")),
        ("(31)", "31", Some("c2")),
    ] {
        assert_eq!(cited(text, &outcomes), vec![(number.to_owned(), call.map(str::to_owned))], "{text}");
    }
}

#[test]
fn dates_times_lists_words_and_code_are_no_claims() {
    let text = "1. first\n2) second\n2026-01-05 at 14:30:05, RSI14 and x_5\n`close > 70`\n```\na = 99\n```\n2026-01-05T10:00:00Z";
    assert_eq!(cited(text, &[]), vec![]);
}

#[test]
fn places_are_bytes_of_the_text() {
    let text = "Für 5 € und 7.";
    for citation in cite(text, "", std::iter::empty()) {
        assert!(text[citation.at..].starts_with(&citation.number), "{citation:?}");
    }
    assert_eq!(cite(text, "", std::iter::empty()).len(), 2);
}

#[test]
fn what_the_user_said_is_not_flagged_but_cited_if_a_call_has_it() {
    let asked = "Backtest a 20/50 cross";
    assert_eq!(cite("The 20/50 cross", asked, std::iter::empty()), vec![]);
    let citations = cite("The 20 cross", asked, [("c", "20")].into_iter());
    assert_eq!(citations[0].call_id.as_deref(), Some("c"));
}

#[test]
fn of_several_calls_the_latest_is_cited() {
    assert_eq!(cited("5", &[("a", "5"), ("b", "5")]), vec![("5".to_owned(), Some("b".to_owned()))]);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,200}", outcome in "[0-9eE+\\-., '%:]{0,80}") {
        for citation in cite(&text, &outcome, [("c", outcome.as_str())].into_iter()) {
            prop_assert_eq!(&text[citation.at..citation.at + citation.number.len()], citation.number.as_str());
        }
        cite(&outcome, &text, [("c", text.as_str())].into_iter());
    }

    #[test]
    fn a_rounded_number_is_always_found(mantissa in 1_u64..1_000_000_000_000, decimals in 0_u32..4) {
        let value = format!("{}.{:06}", mantissa / 1_000_000, mantissa % 1_000_000);
        let unit = 10_u64.pow(6 - decimals);
        let rounded = (mantissa + unit / 2) / unit;
        let scale = 10_u64.pow(decimals);
        let shown = if decimals == 0 { rounded.to_string() } else {
            format!("{}.{:0width$}", rounded / scale, rounded % scale, width = decimals as usize)
        };
        prop_assert_eq!(cited(&shown, &[("c", &value)]), vec![(shown.clone(), Some("c".to_owned()))], "{}", value);
    }
}
