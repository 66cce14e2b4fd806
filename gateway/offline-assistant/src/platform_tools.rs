//! The tools of the platform as a model sees them: what each takes, and what its answer looks like. The gateway carries them out.
//!
//! A symbol is taken as a person types it, `BTC` or `BTC/USDT`; one that fits several markets is refused with the code `AMBIGUOUS` and
//! `candidates`: `{"error": {"code": "AMBIGUOUS", "field": "symbol", "message": …, "candidates": ["BINANCE:BTC/USDT", …]}}`; an unknown one
//! with `NOT_FOUND`. `interval` is one of [`INTERVALS`]; `3600s` and the like are taken, too. Times are RFC 3339, decimals are strings.
//!
//! Answers (members that are not known are null or absent):
//!
//! | tool | answer |
//! |---|---|
//! | `get_price` | `{"prices": [{"venue", "symbol", "price", "time", "age_ms", "mode": "SIM\|LIVE\|REPLAY", "bid", "ask", "change_24h_percent", "high_24h", "low_24h", "volume_24h"}], "errors": [{"symbol", "code", "message", "candidates"}]}` |
//! | `get_candles` | `{"venue", "symbol", "interval", "candles": [{"open_time", "open", "high", "low", "close", "volume", "closed"}], "history": {…}}`, as `GET /api/v1/candles` |
//! | `list_instruments` | `{"instruments": [{"venue", "symbol", "kind", "status", …}]}`, streamed ones first, as `GET /api/v1/instruments` |
//! | `show_chart` | `{"venue", "symbol", "interval", "indicators": [{"name", "params"}], "mode", "last": {"price", "time", "age_ms"}}` |
//! | `change_chart` | `{"indicators": [{"name", "params"}]}`: what is on the chart now, as far as the gateway knows |
//! | `mark_chart` | `{"markers": 3, "levels": 0}`: how many are drawn |
//! | `find_breakouts` | `{"venue", "symbol", "interval", "lookback", "candles", "from", "to", "breakouts": [`[`Breakout`]`]}` |
//! | `find_levels` | `{"venue", "symbol", "interval", "candles", "from", "to", "levels": [`[`PriceLevel`]`]}` |
//! | `request_history` | `{"request_id", "state", "message"}` |
//! | `get_account` | `{"name", "role", "tier", "limits": {…}}` |
//! | `search_knowledge` | `{"snippets": [`[`Snippet`]`]}` |
//! | `platform_health` | as `GET /api/v1/health` |
//!
//! [`Breakout`]: crate::analysis::Breakout
//! [`PriceLevel`]: crate::analysis::PriceLevel
//! [`Snippet`]: crate::knowledge::Snippet

use harness::tool::{Effect, Home, ToolSpec};
use serde_json::{Value, json};

/// Intervals as a model is told them.
pub const INTERVALS: [&str; 7] = ["1s", "1m", "5m", "15m", "1h", "4h", "1d"];
/// Most symbols of one `get_price`.
pub const SYMBOLS_MAX: usize = 50;
/// Most candles of one `get_candles`.
pub const CANDLES_MAX: usize = 500;

fn spec(name: &str, effect: Effect, description: &str, properties: Value, required: &[&str]) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        schema: json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false}),
        effect,
        home: Home::Platform,
    }
}

fn series() -> Value {
    json!({
        "venue": {"type": "string", "description": "E.g. BINANCE; only if the user named one"},
        "symbol": {"type": "string", "description": "E.g. BTC or BTC/USDT"},
        "interval": {"type": "string", "enum": INTERVALS},
    })
}

fn with(mut properties: Value, more: &Value) -> Value {
    if let (Some(all), Some(more)) = (properties.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    properties
}

fn indicators(description: &str) -> Value {
    json!({
        "type": "array", "maxItems": 8, "description": description,
        "items": {
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "description": "E.g. sma, ema, rsi, macd, bollinger, donchian, atr, vwap"},
                "params": {"type": "array", "items": {"type": "number"}, "maxItems": 4, "description": "In the indicator's order; empty for the usual ones"},
            },
        },
    })
}

/// All tools of the platform.
#[must_use]
pub fn specs() -> Vec<ToolSpec> {
    let mut specs = market_tools();
    specs.extend(chart_tools());
    specs.extend(other_tools());
    specs
}

fn market_tools() -> Vec<ToolSpec> {
    let time = |description: &str| json!({"type": "string", "description": description});
    vec![
        spec(
            "get_price",
            Effect::Reads,
            "Last price, best bid and ask, and change over 24 h of some symbols, with the age of each.",
            json!({"symbols": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": SYMBOLS_MAX, "description": "E.g. BTC, BTC/USDT or BINANCE:BTC/USDT"}}),
            &["symbols"],
        ),
        spec(
            "get_candles",
            Effect::Reads,
            "Candles of a symbol, oldest first.",
            with(
                series(),
                &json!({
                    "from": time("RFC 3339; without it the newest"),
                    "to": time("RFC 3339, not included"),
                    "limit": {"type": "integer", "minimum": 1, "maximum": CANDLES_MAX, "description": "Default 100"},
                }),
            ),
            &["symbol", "interval"],
        ),
        spec(
            "list_instruments",
            Effect::Reads,
            "Instruments whose symbol has a text in it.",
            json!({
                "query": {"type": "string", "description": "Part of a symbol; several separated by commas; empty for those with live data"},
                "venue": {"type": "string"},
            }),
            &["query"],
        ),
        spec(
            "request_history",
            Effect::Commands,
            "Have missing history fetched from the venue. Charts and backtests do that by themselves.",
            with(series(), &json!({"from": time("RFC 3339"), "to": time("RFC 3339")})),
            &["symbol", "interval", "from", "to"],
        ),
    ]
}

/// Changing the chart changes nothing that is kept, and may be repeated at will.
fn chart_tools() -> Vec<ToolSpec> {
    let clear = json!({"type": "array", "items": {"enum": ["indicators", "drawings"]}, "description": "Take all of these away"});
    let tone = json!({"enum": ["up", "down", "neutral"]});
    let marker = json!({
        "type": "object", "required": ["time", "place", "text", "tone"], "additionalProperties": false,
        "properties": {"time": {"type": "string", "description": "RFC 3339"}, "place": {"enum": ["above", "below"]}, "text": {"type": "string", "maxLength": 24}, "tone": tone},
    });
    let level = json!({
        "type": "object", "required": ["price", "text", "tone"], "additionalProperties": false,
        "properties": {"price": {"type": "string", "description": "Decimal"}, "text": {"type": "string", "maxLength": 24}, "tone": tone},
    });
    vec![
        spec(
            "show_chart",
            Effect::Reads,
            "Show a symbol on the user's chart and add indicators to it.",
            with(series(), &json!({"indicators": indicators("To add; those on the chart stay")})),
            &["symbol", "interval"],
        ),
        spec(
            "change_chart",
            Effect::Reads,
            "Add or remove indicators, or clear the user's chart, without changing its symbol.",
            json!({
                "add": indicators("To add"),
                "remove": {"type": "array", "items": {"type": "string"}, "maxItems": 8, "description": "Names of indicators"},
                "clear": clear,
            }),
            &[],
        ),
        spec(
            "mark_chart",
            Effect::Reads,
            "Draw markers at times and horizontal levels on the user's chart. Replaces those of the same group.",
            json!({
                "group": {"type": "string", "maxLength": 32},
                "markers": {"type": "array", "items": marker, "maxItems": 500},
                "levels": {"type": "array", "items": level, "maxItems": 50},
            }),
            &["group"],
        ),
        spec(
            "find_breakouts",
            Effect::Reads,
            "Newest candles that closed beyond the highest high or lowest low of the candles before.",
            with(
                series(),
                &json!({
                    "lookback": {"type": "integer", "minimum": 2, "maximum": 500, "description": "Candles before; default 20"},
                    "count": {"type": "integer", "minimum": 1, "maximum": 50, "description": "Default 5"},
                }),
            ),
            &["symbol", "interval"],
        ),
        spec(
            "find_levels",
            Effect::Reads,
            "Support and resistance: prices where recent candles turned more than once.",
            series(),
            &["symbol", "interval"],
        ),
    ]
}

fn other_tools() -> Vec<ToolSpec> {
    vec![
        spec("get_account", Effect::Reads, "The user's name, tier and limits.", json!({}), &[]),
        spec(
            "search_knowledge",
            Effect::Reads,
            "Search the platform's pages: what it can do, indicators, strategy API, backtests, risk.",
            json!({"query": {"type": "string", "maxLength": 500}, "limit": {"type": "integer", "minimum": 1, "maximum": 10, "description": "Default 3"}}),
            &["query"],
        ),
        spec(
            "platform_health",
            Effect::Reads,
            "Which feeds are live, how old their data is, and what is missing.",
            json!({}),
            &[],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_few_short_and_closed() {
        let specs = specs();
        let bytes: usize =
            specs.iter().map(|tool| tool.name.len() + tool.description.len() + tool.schema.to_string().len()).sum();
        // About 4 bytes a token: they are sent with each question.
        assert!(specs.len() <= 12 && bytes < 4 * 2000, "{} tools, {bytes} bytes", specs.len());
        for tool in &specs {
            assert_eq!(tool.schema["additionalProperties"], false, "{}", tool.name);
            assert_eq!(tool.home, Home::Platform);
            let properties = tool.schema["properties"].as_object().unwrap();
            for required in tool.schema["required"].as_array().unwrap() {
                assert!(properties.contains_key(required.as_str().unwrap()), "{}", tool.name);
            }
            assert!(tool.effect == Effect::Reads || tool.name == "request_history");
        }
    }
}
