//! A user's workspace and a market in memory, whose tools answer in the shapes of the real ones.

use async_trait::async_trait;
use harness::tool::{Effect, Home, Invocation, OnProgress, ToolOutcome, ToolSpec, Tools, ToolsError};
use offline_assistant::knowledge::{Knowledge, Owner, WordsIndex, pages};
use offline_assistant::platform_tools;
use proto::UserId;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Tools of the container.
pub(crate) const CONTAINER: [&str; 23] = [
    "save_message",
    "search_conversation",
    "export_conversation",
    "erase_conversation",
    "list_strategies",
    "read_strategy",
    "write_strategy",
    "list_indicators",
    "read_indicator",
    "write_indicator",
    "delete_file",
    "file_history",
    "file_diff",
    "revert_commit",
    "run_backtest",
    "compute_indicator",
    "list_backtests",
    "read_backtest",
    "get_watchlist",
    "set_watchlist",
    "set_context",
    "journal",
    "run_python",
];

#[derive(Debug, Default)]
struct Kept {
    strategies: BTreeMap<String, String>,
    indicators: BTreeMap<String, String>,
    commits: Vec<Value>,
    watchlist: Vec<String>,
    journal: String,
    messages: Vec<String>,
    profile: Value,
    runs: Vec<Value>,
    chart: Value,
}

/// A user with a container.
#[derive(Debug)]
pub(crate) struct World {
    kept: Mutex<Kept>,
    /// Tools that are not offered.
    pub(crate) missing: Vec<&'static str>,
    /// Outcomes in place of the usual ones, by tool.
    pub(crate) outcomes: BTreeMap<&'static str, String>,
}

impl World {
    /// With a chart of `SIM:BTC/USDT`, two strategies, an indicator and a watch list.
    pub(crate) fn lived_in() -> Self {
        let world = Self::empty();
        {
            let mut kept = world.kept.lock().unwrap();
            kept.chart = json!({"venue": "SIM", "symbol": "BTC/USDT", "interval": "3600s", "indicators": []});
            kept.strategies
                .insert("momentum_v2".to_owned(), "\"\"\"Momentum, second try.\"\"\"\nimport dexorder\n".to_owned());
            kept.strategies.insert("idea".to_owned(), "import dexorder\n".to_owned());
            kept.indicators.insert("channel_width".to_owned(), "import dexorder\n".to_owned());
            kept.watchlist = vec!["SIM:BTC/USDT".to_owned(), "SIM:SOL/USDT".to_owned()];
            kept.messages = vec!["I never risk more than 2 percent".to_owned()];
            kept.commit("strategies/idea.py", "Write strategies/idea.py");
            kept.commit("strategies/momentum_v2.py", "Write strategies/momentum_v2.py");
        }
        world
    }

    /// A new user's.
    pub(crate) fn empty() -> Self {
        let kept = Kept { profile: json!({}), ..Kept::default() };
        Self { kept: Mutex::new(kept), missing: Vec::new(), outcomes: BTreeMap::new() }
    }

    /// What the model is told of the workspace.
    pub(crate) fn system(&self) -> String {
        let kept = self.kept.lock().unwrap();
        let mut state = json!({
            "watchlist": kept.watchlist, "strategies": kept.strategies.keys().collect::<Vec<_>>(),
            "indicators": kept.indicators.keys().collect::<Vec<_>>(), "backtests": kept.runs.iter().rev().take(5).collect::<Vec<_>>(),
        });
        if kept.chart.is_object() {
            state["chart"] = kept.chart.clone();
        }
        format!(
            "You are the assistant of a trading platform. Data is {{delimited}}.\n\n<data source=\"user-profile\">\n{}\n</data>\n\n<data source=\"workspace\">\n{state}\n</data>",
            kept.profile
        )
    }

    pub(crate) fn strategy(&self, name: &str) -> Option<String> {
        self.kept.lock().unwrap().strategies.get(name).cloned()
    }

    pub(crate) fn watchlist(&self) -> Vec<String> {
        self.kept.lock().unwrap().watchlist.clone()
    }

    pub(crate) fn messages(&self) -> usize {
        self.kept.lock().unwrap().messages.len()
    }

    pub(crate) fn profile(&self) -> Value {
        self.kept.lock().unwrap().profile.clone()
    }
}

#[async_trait]
impl Tools for World {
    async fn list(&self, _: UserId) -> Result<Arc<[ToolSpec]>, ToolsError> {
        let container = CONTAINER.iter().map(|name| ToolSpec {
            name: (*name).to_owned(),
            description: String::new(),
            schema: json!({"type": "object"}),
            effect: Effect::Reads,
            home: Home::Container,
        });
        let all = platform_tools::specs().into_iter().chain(container);
        Ok(all.filter(|tool| !self.missing.contains(&tool.name.as_str())).collect())
    }

    async fn call(&self, call: Invocation, _: OnProgress, _: CancellationToken) -> ToolOutcome {
        if let Some(outcome) = self.outcomes.get(call.name.as_str()) {
            return ToolOutcome::done(outcome.clone(), "");
        }
        if call.name == "search_knowledge" {
            let knowledge = Knowledge::new(Arc::new(WordsIndex::new()));
            knowledge.load(&Owner::Everyone, &pages()).await.unwrap();
            let found = knowledge.search(call.user, call.arguments["query"].as_str().unwrap(), 2).await.unwrap();
            return ToolOutcome::done(json!({ "snippets": found }).to_string(), "");
        }
        let mut kept = self.kept.lock().unwrap();
        let answer =
            platform(&mut kept, &call).or_else(|| workspace(&mut kept, &call)).or_else(|| memory(&mut kept, &call));
        match answer {
            Some(Ok(value)) => ToolOutcome::done(value.to_string(), ""),
            Some(Err((code, field, message))) => ToolOutcome::refused(code, field, message),
            None => ToolOutcome::refused("INVALID_ARGUMENT", "", "no such tool"),
        }
    }
}

type Answer = Option<Result<Value, (&'static str, &'static str, &'static str)>>;

fn text<'a>(arguments: &'a Map<String, Value>, key: &str) -> &'a str {
    arguments.get(key).and_then(Value::as_str).unwrap_or_default()
}

const SYMBOLS: [(&str, &str, &str); 4] = [
    ("BTC/USDT", "61837.63", "1.25"),
    ("ETH/USDT", "2634.10", "-2.5"),
    ("SOL/USDT", "141.07", "-3.75"),
    ("XRP/USDT", "0.5621", "0"),
];

fn find(symbol: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let symbol = symbol.strip_prefix("SIM:").unwrap_or(symbol);
    SYMBOLS.into_iter().find(|(name, ..)| *name == symbol || name.split('/').next() == Some(symbol))
}

fn platform(kept: &mut Kept, call: &Invocation) -> Answer {
    let (arguments, symbol) = (&call.arguments, text(&call.arguments, "symbol"));
    let unknown = ("NOT_FOUND", "symbol", "no such instrument");
    Some(match call.name.as_str() {
        "show_chart" => find(symbol).ok_or(unknown).map(|(name, price, _)| {
            kept.chart = json!({"venue": "SIM", "symbol": name, "interval": arguments["interval"], "indicators": arguments["indicators"]});
            let mut answer = kept.chart.clone();
            answer["mode"] = "SIM".into();
            answer["last"] = json!({"price": price, "time": "2026-03-15T10:20:29Z", "age_ms": 412});
            answer
        }),
        "change_chart" => Ok(json!({"indicators": arguments.get("add")})),
        "mark_chart" => {
            let count = |key: &str| arguments.get(key).and_then(Value::as_array).map_or(0, Vec::len);
            Ok(json!({"markers": count("markers"), "levels": count("levels")}))
        }
        "find_breakouts" => find(symbol).ok_or(unknown).map(|(name, ..)| {
            json!({"venue": "SIM", "symbol": name, "interval": "1h", "lookback": arguments["lookback"], "candles": 500, "from": "2026-02-22T00:00:00Z", "to": "2026-03-15T10:00:00Z",
                "breakouts": [
                    {"time": "2026-03-12T09:00:00Z", "direction": "down", "close": "60011.5", "level": "60100.01"},
                    {"time": "2026-03-14T17:00:00Z", "direction": "up", "close": "61790", "level": "61702.2"},
                ]})
        }),
        "find_levels" => find(symbol).ok_or(unknown).map(|(name, ..)| {
            json!({"venue": "SIM", "symbol": name, "interval": "1h", "candles": 500, "from": "2026-02-22T00:00:00Z", "to": "2026-03-15T10:00:00Z", "levels": [
                {"price": "62500", "kind": "resistance", "touches": 3, "last_touch": "2026-03-10T09:00:00Z"},
                {"price": "60010.5", "kind": "support", "touches": 2, "last_touch": "2026-03-12T09:00:00Z"},
            ]})
        }),
        "get_price" => {
            let (mut prices, mut errors) = (Vec::new(), Vec::new());
            for symbol in arguments["symbols"].as_array().unwrap() {
                match find(symbol.as_str().unwrap()) {
                    Some((name, price, change)) => prices.push(json!({
                        "venue": "SIM", "symbol": name, "price": price, "time": "2026-03-15T10:20:29Z", "age_ms": 412, "mode": "SIM", "bid": price, "ask": price,
                        "change_24h_percent": change, "high_24h": price, "low_24h": price, "volume_24h": "12.5",
                    })),
                    None => errors.push(json!({"symbol": symbol, "code": "NOT_FOUND", "message": "no such instrument", "candidates": ["SIM:BTC/USDT"]})),
                }
            }
            Ok(json!({"prices": prices, "errors": errors}))
        }
        "list_instruments" => {
            let query = text(arguments, "query");
            let wanted: Vec<&str> = query.split(',').collect();
            let row = |(name, ..): &(&str, &str, &str)| json!({"venue": "SIM", "symbol": name, "kind": "spot", "status": "trading", "tick_size": "0.01"});
            Ok(json!({"instruments": SYMBOLS.iter().filter(|(name, ..)| wanted.iter().any(|part| name.contains(part))).map(row).collect::<Vec<_>>()}))
        }
        "request_history" => Ok(json!({"request_id": "01JQ", "state": "QUEUED", "message": "fetching from the venue"})),
        "get_account" => Ok(json!({"name": "me", "role": "user", "tier": "free", "limits": {"memory": "512Mi"}})),
        "platform_health" => Ok(json!({"status": "ok", "mode": "SIM", "server_time": "2026-03-15T10:20:30Z", "problems": [], "feeds": [
            {"venue": "SIM", "mode": "SIM", "state": "live", "age_ms": 215},
        ]})),
        _ => return None,
    })
}

impl Kept {
    fn commit(&mut self, path: &str, why: &str) -> String {
        let id = format!("{:040x}", self.commits.len() + 0xabc);
        self.commits
            .insert(0, json!({"id": id, "author": "assistant", "why": why, "at_s": 1_773_500_000, "paths": [path]}));
        id
    }
}

fn workspace(kept: &mut Kept, call: &Invocation) -> Answer {
    let arguments = &call.arguments;
    let name = text(arguments, "name").to_owned();
    let list = |files: &BTreeMap<String, String>| {
        let row = |(name, code): (&String, &String)| json!({"name": name, "path": name, "bytes": code.len(), "modified_ns": 1, "last_commit": null, "about": code.starts_with("\"\"\"").then_some("About it.")});
        Ok(json!({"files": files.iter().map(row).collect::<Vec<_>>()}))
    };
    let gone = ("NOT_FOUND", "name", "no such file");
    let read = |files: &BTreeMap<String, String>| {
        files.get(&name).map(|code| json!({"code": code, "commit": "c".repeat(40)})).ok_or(gone)
    };
    Some(match call.name.as_str() {
        "list_strategies" => list(&kept.strategies),
        "list_indicators" => list(&kept.indicators),
        "read_strategy" => read(&kept.strategies),
        "read_indicator" => read(&kept.indicators),
        "write_strategy" => {
            kept.strategies.insert(name.clone(), text(arguments, "code").to_owned());
            Ok(
                json!({"commit": kept.commit(&format!("strategies/{name}.py"), text(arguments, "why")), "repeated": false}),
            )
        }
        "write_indicator" => {
            kept.indicators.insert(name.clone(), text(arguments, "code").to_owned());
            Ok(
                json!({"commit": kept.commit(&format!("indicators/{name}.py"), text(arguments, "why")), "repeated": false}),
            )
        }
        "delete_file" => Ok(json!({"commit": kept.commit(text(arguments, "path"), "Delete"), "repeated": false})),
        "file_history" => {
            let limit = usize::try_from(arguments["limit"].as_u64().unwrap_or(20)).unwrap();
            let path = arguments.get("path").and_then(Value::as_str);
            let fits = |commit: &&Value| {
                path.is_none_or(|path| commit["paths"].as_array().unwrap().iter().any(|it| it == path))
            };
            Ok(json!({"commits": kept.commits.iter().filter(fits).take(limit).collect::<Vec<_>>()}))
        }
        "file_diff" => Ok(json!({"diff": "--- a\n+++ b\n-fast = 10\n+fast = 20\n", "truncated": false})),
        "revert_commit" => Ok(json!({"commit": kept.commit("strategies/x.py", "Undo"), "repeated": false})),
        "get_watchlist" => Ok(json!({"name": "main", "symbols": kept.watchlist})),
        "set_watchlist" => {
            kept.watchlist =
                arguments["symbols"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
            Ok(json!({"commit": kept.commit("watchlists/main.json", "Set"), "repeated": false}))
        }
        "run_python" => Ok(json!({"stdout": "4\n", "stderr": "", "wall_ms": 12, "result": null})),
        "run_backtest" => {
            if !kept.strategies.contains_key(text(arguments, "strategy")) {
                return Some(Err(("NOT_FOUND", "strategy", "no such file")));
            }
            let answer = backtest(kept.runs.len());
            let run = json!({
                "id": answer["id"], "hash": answer["hash"], "strategy": arguments["strategy"], "interval": arguments["market"]["interval"], "at_ns": 1, "snapshot": "7", "commit": "c",
                "market": format!("{}:{}", arguments["market"]["venue"].as_str().unwrap(), arguments["market"]["symbol"].as_str().unwrap()), "statistics": answer["statistics"],
                "command_id": null, "request": "r",
            });
            kept.runs.push(run);
            Ok(answer)
        }
        "list_backtests" => Ok(json!({"backtests": kept.runs.iter().rev().collect::<Vec<_>>()})),
        "read_backtest" => match kept.runs.iter().find(|run| run["id"] == arguments["id"]) {
            Some(run) => {
                let answer = backtest(0);
                Ok(json!({"run": run, "summary": answer["summary"], "checks": answer["checks"]}))
            }
            None => Err(("NOT_FOUND", "id", "no such backtest")),
        },
        _ => return None,
    })
}

fn backtest(number: usize) -> Value {
    json!({
        "id": format!("01JQ{number:022}"), "hash": "ab".repeat(32), "snapshot": "8812", "commit": "c".repeat(40),
        "statistics": {
            "total_return": 0.0423, "benchmark_return": 0.0611, "cagr": 0.183, "sharpe": 0.87, "sortino": 1.2, "calmar": 1.1, "max_drawdown": 0.1234,
            "longest_drawdown_ns": 1_900_800_000_000_000_u64, "win_rate": 0.3871, "profit_factor": 1.31, "expectancy": 13.6, "exposure": 0.52,
        },
        "summary": {
            "begin_ns": 1, "end_ns": 2, "events": 2160, "start_equity": "10000", "end_equity": "10423.07", "position": "0", "fees": "301.55", "turnover": "301550.2",
            "fills": 62, "round_trips": 31, "refused": 0, "ruined_ns": null,
        },
        "checks": {"look_ahead": {"verdict": "clean", "cuts": 28}},
        "first_round_trips": [], "data": {"rows": 2160, "missing": 3, "shortfall": null},
    })
}

fn memory(kept: &mut Kept, call: &Invocation) -> Answer {
    let arguments = &call.arguments;
    Some(match call.name.as_str() {
        "save_message" => {
            kept.messages.push(text(arguments, "content").to_owned());
            Ok(json!({"id": "01JQ", "repeated": false}))
        }
        "search_conversation" => {
            let hit = |content: &String| json!({"id": "01JQ", "conversation": "main", "role": "user", "content": content, "at_ns": 1_773_500_000_000_000_000_u64, "before": [], "after": []});
            Ok(json!({"messages": kept.messages.iter().map(hit).collect::<Vec<_>>()}))
        }
        "erase_conversation" if text(arguments, "confirm") != "erase" => {
            Err(("INVALID_ARGUMENT", "confirm", "must be \"erase\""))
        }
        "erase_conversation" => Ok(json!({"erased": std::mem::take(&mut kept.messages).len(), "left": 0})),
        "set_context" => {
            kept.profile = serde_json::from_str(text(arguments, "content")).unwrap();
            Ok(json!({"commit": kept.commit("preferences.json", "Set"), "repeated": false}))
        }
        "journal" => match arguments.get("entry").and_then(Value::as_str) {
            Some(entry) => {
                kept.journal += &format!("## 10:20:30 UTC\n\n{entry}\n\n");
                Ok(json!({"commit": kept.commit("journal/2026-03-15.md", "Add"), "repeated": false}))
            }
            None => Ok(json!({"text": kept.journal})),
        },
        _ => return None,
    })
}
