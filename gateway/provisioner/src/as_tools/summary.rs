//! What a tool did, in one line for a person.

use serde_json::Value;

/// Characters of a summary.
const CHARS: usize = 200;

/// The line of a call that did what was asked.
pub(super) fn of(tool: &str, answer: &Value) -> String {
    let repeated = if answer["repeated"] == true { " (done before)" } else { "" };
    let text = match tool {
        "save_message" => "message kept".to_owned(),
        "search_conversation" => counted(&answer["messages"], "message", "messages", "found"),
        "export_conversation" => counted(&answer["messages"], "message", "messages", "exported"),
        "erase_conversation" => format!("{} messages erased", answer["erased"]),
        "list_strategies" => counted(&answer["files"], "strategy", "strategies", ""),
        "list_indicators" => counted(&answer["files"], "indicator", "indicators", ""),
        "read_strategy" | "read_indicator" => lines(&answer["code"]),
        "write_strategy" | "write_indicator" => format!("saved as {}", short(&answer["commit"])),
        "delete_file" => format!("deleted in {}", short(&answer["commit"])),
        "revert_commit" => format!("undone in {}", short(&answer["commit"])),
        "file_history" => counted(&answer["commits"], "commit", "commits", ""),
        "file_diff" => lines(&answer["diff"]),
        "run_backtest" => backtest(&answer["statistics"], &answer["summary"]),
        "read_backtest" => backtest(&answer["run"]["statistics"], &answer["summary"]),
        "list_backtests" => counted(&answer["backtests"], "backtest", "backtests", ""),
        "get_watchlist" => counted(&answer["symbols"], "symbol", "symbols", "watched"),
        "set_watchlist" => "watch list saved".to_owned(),
        "set_context" => "saved".to_owned(),
        "journal" => "journal".to_owned(),
        "run_python" => python(answer),
        "notify_user" => "notice on its way".to_owned(),
        _ => "done".to_owned(),
    };
    format!("{}{repeated}", first_line(&text))
}

/// The first line, of bounded length.
pub(super) fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(CHARS) {
        None => line.to_owned(),
        Some((at, _)) => format!("{}…", &line[..at]),
    }
}

fn counted(rows: &Value, one: &str, many: &str, what: &str) -> String {
    let count = rows.as_array().map_or(0, Vec::len);
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun} {what}").trim_end().to_owned()
}

fn lines(text: &Value) -> String {
    match text.as_str().unwrap_or_default().lines().count() {
        1 => "1 line".to_owned(),
        count => format!("{count} lines"),
    }
}

fn short(commit: &Value) -> String {
    commit.as_str().unwrap_or_default().chars().take(7).collect()
}

fn python(answer: &Value) -> String {
    let took = answer["wall_ms"].as_u64().map_or_else(String::new, |ms| format!(" in {ms} ms"));
    match &answer["result"] {
        Value::Null => format!("ran{took}"),
        result => first_line(&format!("{result}")),
    }
}

fn backtest(statistics: &Value, summary: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(trades) = summary["round_trips"].as_u64() {
        parts.push(format!("{trades} {}", if trades == 1 { "trade" } else { "trades" }));
    }
    parts.extend(percent(&statistics["total_return"]));
    if let Some(drawdown) = percent(&statistics["max_drawdown"]) {
        parts.push(format!("drawdown {}", drawdown.trim_start_matches(['+', '−'])));
    }
    if parts.is_empty() { "done".to_owned() } else { parts.join(", ") }
}

/// A ratio in percent, with its sign: "+4.2 %".
pub(super) fn percent(ratio: &Value) -> Option<String> {
    let ratio = ratio.as_f64().or_else(|| ratio.as_str()?.parse().ok()).filter(|it: &f64| it.is_finite())?;
    let sign = if ratio < 0.0 { '−' } else { '+' };
    Some(format!("{sign}{:.1} %", (ratio * 100.0).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_answer_is_one_line() {
        let statistics = json!({"total_return": 0.0421, "max_drawdown": 0.1});
        for (tool, answer, expected) in [
            (
                "run_backtest",
                json!({"statistics": statistics, "summary": {"round_trips": 31}}),
                "31 trades, +4.2 %, drawdown 10.0 %",
            ),
            (
                "run_backtest",
                json!({"statistics": statistics, "repeated": true}),
                "+4.2 %, drawdown 10.0 % (done before)",
            ),
            ("run_backtest", json!({}), "done"),
            (
                "read_backtest",
                json!({"run": {"statistics": {"total_return": -0.5}}, "summary": {"round_trips": 1}}),
                "1 trade, −50.0 %",
            ),
            ("write_strategy", json!({"commit": "0123456789abcdef"}), "saved as 0123456"),
            ("list_strategies", json!({"files": [{"name": "a"}]}), "1 strategy"),
            ("get_watchlist", json!({"symbols": []}), "0 symbols watched"),
            ("read_strategy", json!({"code": "a\nb\n"}), "2 lines"),
            ("run_python", json!({"result": 3, "wall_ms": 5}), "3"),
            ("run_python", json!({"result": null, "wall_ms": 5}), "ran in 5 ms"),
            ("what_will_be", json!(null), "done"),
        ] {
            assert_eq!(of(tool, &answer), expected, "{tool}");
        }
    }

    #[test]
    fn a_line_is_bounded() {
        assert_eq!(first_line("\n  a\nb"), "a");
        let long = first_line(&"ä".repeat(500));
        assert_eq!(long.chars().count(), CHARS + 1);
        assert_eq!(first_line(""), "");
    }
}
