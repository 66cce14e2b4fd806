//! Steps in, decision out.

use super::*;
use crate::tool::Effect;

fn call(id: &str, arguments: &str) -> ToolRequest {
    ToolRequest { id: id.to_owned(), name: "candles".to_owned(), arguments: arguments.to_owned() }
}

fn round(text: &str, calls: Vec<ToolRequest>, finish: Finish) -> Step {
    let usage = Usage { input_tokens: 10, cached_tokens: 0, output_tokens: 5 };
    Step::Answered(Round { model: "m".to_owned(), text: text.to_owned(), calls, finish, usage, cost_micro_usd: 7 })
}

fn called(id: &str, malformed: Malformed) -> Step {
    Step::Called { call_id: id.to_owned(), content: "{}".to_owned(), malformed }
}

fn after(steps: Vec<Step>) -> Progress {
    let mut progress = Progress::default();
    steps.into_iter().for_each(|step| progress.apply(step));
    progress
}

fn code(next: &Next) -> (Option<Outcome>, &str) {
    match next {
        Next::End { outcome, problem } => (Some(*outcome), problem.as_ref().map_or("", |it| it.code.as_str())),
        _ => (None, ""),
    }
}

#[test]
fn a_turn_goes_from_question_over_calls_to_its_end() {
    let limits = Limits::default();
    let now = Duration::ZERO;
    let mut progress = Progress::default();
    assert_eq!(progress.next(&limits, now), Next::Ask { round: 0 });
    progress.apply(round("Let me look.", vec![call("a", "{}"), call("b", "{\"x\":1}")], Finish::ToolCalls));
    assert_eq!(progress.next(&limits, now), Next::Call { round: 0, pending: vec![0, 1] });
    progress.apply(called("b", Malformed::No));
    assert_eq!(progress.next(&limits, now), Next::Call { round: 0, pending: vec![0] });
    progress.apply(called("a", Malformed::No));
    assert_eq!(progress.next(&limits, now), Next::Ask { round: 1 });
    progress.apply(round("It is 5.", vec![], Finish::Stop));
    assert_eq!(progress.next(&limits, now), Next::End { outcome: Outcome::Complete, problem: None });
    assert_eq!(progress.text(), "Let me look.\n\nIt is 5.");
    assert_eq!((progress.usage.input_tokens, progress.cost_micro_usd), (20, 14));
    let told = progress.messages();
    assert!(matches!(&told[1], Message::Tool { call_id, .. } if call_id == "a"), "in the model's order: {told:?}");
}

#[test]
fn every_bound_has_its_own_clear_end() {
    let wide = Limits::default();
    let one = || round("t", vec![call("a", "{}")], Finish::ToolCalls);
    let done = || called("a", Malformed::No);
    for (row, limits, steps, elapsed, expected) in [
        ("rounds", Limits { rounds: 1, ..wide.clone() }, vec![one(), done()], 0, (Outcome::Limited, "ROUNDS")),
        ("time", wide.clone(), vec![one(), done()], 600, (Outcome::Limited, "TIME")),
        ("time with open calls", wide.clone(), vec![one()], 600, (Outcome::Limited, "TIME")),
        ("tokens", Limits { tokens: 15, ..wide.clone() }, vec![one(), done()], 0, (Outcome::Limited, "TOKENS")),
        ("money", Limits { money_micro_usd: 7, ..wide.clone() }, vec![one(), done()], 0, (Outcome::Limited, "MONEY")),
        ("text", Limits { text_bytes: 1, ..wide.clone() }, vec![one(), done()], 0, (Outcome::Limited, "TEXT")),
        ("length", wide.clone(), vec![round("t", vec![], Finish::Length)], 0, (Outcome::Limited, "TOKENS")),
        ("refused", wide.clone(), vec![round("", vec![], Finish::Refused)], 0, (Outcome::Refused, "REFUSED")),
        (
            "malformed",
            Limits { malformed_rounds: 1, ..wide.clone() },
            vec![one(), called("a", Malformed::Yes)],
            0,
            (Outcome::Failed, "MALFORMED_CALLS"),
        ),
    ] {
        let next = after(steps).next(&limits, Duration::from_secs(elapsed));
        assert_eq!(code(&next), (Some(expected.0), expected.1), "{row}");
    }
}

#[test]
fn the_same_call_is_counted_whatever_its_spelling() {
    let mut steps = Vec::new();
    for (n, arguments) in ["{\"a\":1,\"b\":2}", "{ \"b\": 2, \"a\": 1 }", "{\"a\":1,\"b\":3}"].into_iter().enumerate() {
        steps.push(round("", vec![call(&n.to_string(), arguments)], Finish::ToolCalls));
        steps.push(called(&n.to_string(), Malformed::No));
    }
    let progress = after(steps);
    assert_eq!(progress.same_before(1, 0), 1);
    assert_eq!(progress.same_before(2, 0), 0);
    let limits = Limits { same_call: 0, ..Limits::default() };
    assert_eq!(code(&progress.next(&limits, Duration::ZERO)), (Some(Outcome::Limited), "REPEATED"));
}

#[test]
fn a_second_outcome_of_a_call_changes_nothing() {
    let again = Step::Called { call_id: "a".to_owned(), content: "other".to_owned(), malformed: Malformed::No };
    let progress = after(vec![round("", vec![call("a", "{}")], Finish::ToolCalls), called("a", Malformed::No), again]);
    assert_eq!(progress.outcomes["a"], "{}");
}

#[test]
fn steps_survive_json() {
    for step in [round("x", vec![call("a", "{")], Finish::ToolCalls), called("a", Malformed::Yes)] {
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step, "{text}");
    }
}

#[test]
fn what_changes_something_runs_alone_and_in_order() {
    use Effect::{Commands, Reads, Runs};
    for (effects, parallel, expected) in [
        (vec![Reads, Reads, Runs], 4, vec![vec![0, 1, 2]]),
        (vec![Reads, Commands, Reads, Reads], 4, vec![vec![0], vec![1], vec![2, 3]]),
        (vec![Commands, Commands], 4, vec![vec![0], vec![1]]),
        (vec![Reads; 5], 2, vec![vec![0, 1], vec![2, 3], vec![4]]),
        (vec![Reads; 2], 0, vec![vec![0], vec![1]]),
    ] {
        assert_eq!(batches(effects.iter().copied().enumerate(), parallel), expected, "{effects:?}");
    }
}
