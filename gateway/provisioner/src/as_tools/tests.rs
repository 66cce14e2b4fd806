//! What a model sees of a container's tools.

use super::*;
use rmcp::model::ToolAnnotations;

fn tool(schema: Value, annotations: ToolAnnotations) -> Tool {
    let Value::Object(schema) = schema else { panic!("a schema is an object") };
    Tool::new("write_strategy", "Save a strategy.", Arc::new(schema)).with_annotations(annotations)
}

#[test]
fn the_model_never_sees_a_command_id() {
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "command_id": {"type": ["string", "null"]}},
        "required": ["name", "command_id"],
    });
    let tool = tool(schema, ToolAnnotations::new().read_only(false));
    let spec = spec(&tool);
    let expected = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    assert_eq!(spec.schema, expected);
    assert_eq!((spec.effect, spec.home), (Effect::Commands, Home::Container));
    assert!(takes_command_id(&tool), "the harness sets it");
}

#[test]
fn annotations_become_effects() {
    let with_id = json!({"type": "object", "properties": {"command_id": {}}});
    let without = json!({"type": "object", "properties": {}});
    let reads = ToolAnnotations::new().read_only(true);
    let changes = ToolAnnotations::new().read_only(false).idempotent(true);
    let runs = ToolAnnotations::new().read_only(false).idempotent(false);
    for (schema, hints, expected) in [
        (&without, reads.clone(), Effect::Reads),
        (&with_id, reads, Effect::Reads),
        (&with_id, changes, Effect::Commands),
        (&without, runs, Effect::Runs),
    ] {
        assert_eq!(effect(&tool(schema.clone(), hints)), expected);
    }
}

#[test]
fn what_a_model_reads_is_bounded() {
    assert_eq!(bounded("short".to_owned()), "short");
    let long = bounded("ä".repeat(CONTENT_CHARS + 1));
    assert!(
        long.ends_with(&format!("… (cut: {} bytes in all)", 2 * (CONTENT_CHARS + 1))),
        "{}",
        &long[long.len() - 60..]
    );
}

#[test]
fn cards_hold_decimals_as_text() {
    let answer = json!({
        "run": {
            "id": "01", "strategy": "cross", "market": "SIM:BTC/USDT", "interval": "1h", "hash": "h", "snapshot": "7",
            "commit": "c", "statistics": {"total_return": 0.25, "sharpe": null},
        },
        "summary": {"fees": "1.50", "round_trips": 3}, "checks": {"look_ahead": {"clean": true}},
    });
    let Some(harness::event::Card::Backtest { id, strategy, summary }) = cards::read_backtest(&answer) else {
        panic!("no card")
    };
    assert_eq!((id.as_str(), strategy.as_str()), ("01", "cross"));
    assert_eq!(summary["total_return"], "0.25");
    assert_eq!(summary["fees"], "1.50");
    assert_eq!(summary["round_trips"], 3);
    assert_eq!(summary["sharpe"], Value::Null);
    assert_eq!(summary["checks"]["look_ahead"]["clean"], true);
    assert!(cards::backtests(&json!({"backtests": []})).is_none());
}
