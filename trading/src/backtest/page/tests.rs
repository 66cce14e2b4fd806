//! The page is complete, closed and holds nothing that runs.

use super::super::document::tests::{document, fixture};
use super::super::document::{LookAheadCheck, MonteCarloCheck, Parameter, SweepCheck, SweepRun};
use super::render;
use std::collections::BTreeMap;

#[test]
fn text_of_users_is_escaped_everywhere() {
    let evil = "<script>alert('x')</script>\"&";
    let (mut inputs, report) = fixture();
    inputs.strategy = evil.to_owned();
    inputs.market = evil.to_owned();
    inputs.snapshot = Some(evil.to_owned());
    inputs.commit = Some(evil.to_owned());
    inputs.parameters = BTreeMap::from([(evil.to_owned(), Parameter::Text(evil.to_owned()))]);
    let mut document = document(inputs.clone(), &report);
    document.hash = evil.to_owned();
    document.checks.look_ahead = Some(LookAheadCheck::Found {
        candle: 1,
        open_time_ns: 0,
        candles: 2,
        with_future: Some(evil.to_owned()),
        without: Some(evil.to_owned()),
    });
    document.checks.monte_carlo = Some(MonteCarloCheck::NotPossible { reason: evil.to_owned() });
    let run =
        SweepRun { parameters: inputs.parameters, score: None, total_return: 0.0, max_drawdown: 0.0, round_trips: 0 };
    document.checks.sweep = Some(SweepCheck { score: evil.to_owned(), best: None, runs: vec![run] });
    let page = render(&document);
    assert!(!page.contains("<script"), "a tag got through");
    assert!(!page.contains("alert('"), "a quote got through");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let (inputs, report) = fixture();
    let page = render(&document(inputs, &report));
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("prefers-color-scheme: dark"));
    assert!(page.matches("<svg").count() == 2 && page.matches("<polyline").count() == 2);
    for tag in ["section", "dl", "div", "table", "svg", "p", "tr", "td", "main"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn the_numbers_of_a_run_are_on_it() {
    let (inputs, report) = fixture();
    let mut document = document(inputs, &report);
    document.add_benchmark(100.0, |_| Some(110.0));
    let page = render(&document);
    // The fixture gains 16.350625 on 1000, in one long round trip.
    for shown in
        ["1016.35", "1.64 %", "16.350625", "<td>long</td>", "101.5", "108.25", &document.hash, "2023-11-14 22:14"]
    {
        assert!(page.contains(shown), "{shown}");
    }
    assert_eq!(page.matches("<polyline").count(), 3, "equity, holding and drawdown");
}
