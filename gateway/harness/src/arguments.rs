//! Whether the arguments of a call are what its tool's schema says. Broken arguments are refused with a typed error for the
//! model, never repaired: a repaired order is a guess.

use crate::tool::{ToolOutcome, ToolSpec};
use serde_json::{Map, Value};

/// Deepest nesting of arguments and of schemas that is followed.
const DEPTH: usize = 32;

/// Finds the tool and reads the arguments.
pub(crate) fn check<'a>(
    specs: &'a [ToolSpec],
    name: &str,
    arguments: &str,
    most_bytes: usize,
) -> Result<(&'a ToolSpec, Map<String, Value>), ToolOutcome> {
    let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
        return Err(ToolOutcome::refused("UNKNOWN_TOOL", "name", &unknown(specs, name)));
    };
    if arguments.len() > most_bytes {
        let message = format!("the arguments are {} bytes long, at most {most_bytes}", arguments.len());
        return Err(ToolOutcome::refused("TOO_LARGE", "", &message));
    }
    // No arguments at all are an empty object: several providers send nothing for a tool without arguments.
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let mut object = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(ToolOutcome::refused("INVALID_JSON", "", "the arguments must be one JSON object")),
        Err(error) => {
            let message = format!("the arguments are not valid JSON: {error}");
            return Err(ToolOutcome::refused("INVALID_JSON", "", &message));
        }
    };
    // The harness sets it; a model that makes one up would break "once for each command".
    object.remove("command_id");
    let value = Value::Object(object);
    if let Err((path, message)) = fits(&spec.schema, &spec.schema, &value, &mut String::new(), 0) {
        return Err(ToolOutcome::refused("INVALID_ARGUMENT", &path, &message));
    }
    match value {
        Value::Object(object) => Ok((spec, object)),
        _ => unreachable!("it was made an object above"),
    }
}

fn unknown(specs: &[ToolSpec], name: &str) -> String {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).take(64).collect();
    format!("there is no tool \"{shown}\"; there are: {}", names.join(", "))
}

type Fit = Result<(), (String, String)>;

fn refuse(path: &str, message: String) -> Fit {
    Err((path.trim_start_matches('.').to_owned(), message))
}

/// Checks the keywords that our tools use; a keyword that is not known here restricts nothing: the tool itself checks again.
fn fits(root: &Value, schema: &Value, value: &Value, path: &mut String, depth: usize) -> Fit {
    let Value::Object(keywords) = schema else {
        return if *schema == Value::Bool(false) { refuse(path, "is not known".to_owned()) } else { Ok(()) };
    };
    if depth > DEPTH {
        return refuse(path, "is nested too deeply".to_owned());
    }
    if let Some(Value::String(reference)) = keywords.get("$ref") {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Ok(()), |target| fits(root, target, value, path, depth + 1));
    }
    check_type(keywords, value, path)?;
    check_values(keywords, value, path)?;
    match value {
        Value::Object(object) => check_object(root, keywords, object, path, depth)?,
        Value::Array(items) => check_items(root, keywords, items, path, depth)?,
        _ => {}
    }
    for (keyword, all) in [("allOf", true), ("anyOf", false), ("oneOf", false)] {
        if let Some(Value::Array(branches)) = keywords.get(keyword) {
            check_branches(root, branches, value, path, (depth, all))?;
        }
    }
    Ok(())
}

fn check_branches(root: &Value, branches: &[Value], value: &Value, path: &mut String, at: (usize, bool)) -> Fit {
    let (depth, all) = at;
    let mut first = Ok(());
    let mut any = branches.is_empty();
    for branch in branches {
        let fit = fits(root, branch, value, path, depth + 1);
        if all {
            fit?;
        } else if fit.is_ok() {
            any = true;
        } else if first.is_ok() {
            first = fit;
        }
    }
    if all || any { Ok(()) } else { first }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_type(keywords: &Map<String, Value>, value: &Value, path: &str) -> Fit {
    let got = type_name(value);
    let whole = value.as_f64().is_some_and(|number| number.fract().abs() < f64::EPSILON);
    let is = |name: &str| name == got || (name == "number" && got == "integer") || (name == "integer" && whole);
    let (fits, wanted) = match keywords.get("type") {
        Some(Value::String(name)) => (is(name), name.clone()),
        Some(Value::Array(names)) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            (names.iter().any(|name| is(name)), names.join(" or "))
        }
        _ => return Ok(()),
    };
    if fits { Ok(()) } else { refuse(path, format!("must be {wanted}, is {got}")) }
}

fn check_values(keywords: &Map<String, Value>, value: &Value, path: &str) -> Fit {
    if let Some(Value::Array(allowed)) = keywords.get("enum")
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        return refuse(path, format!("must be one of {}", allowed.join(", ")));
    }
    if let Some(constant) = keywords.get("const")
        && constant != value
    {
        return refuse(path, format!("must be {constant}"));
    }
    let bound = |name: &str| keywords.get(name).and_then(Value::as_f64);
    if let Some(number) = value.as_f64() {
        for (name, breaks, word) in [
            ("minimum", number < bound("minimum").unwrap_or(f64::NEG_INFINITY), "at least"),
            ("maximum", number > bound("maximum").unwrap_or(f64::INFINITY), "at most"),
            ("exclusiveMinimum", number <= bound("exclusiveMinimum").unwrap_or(f64::NEG_INFINITY), "more than"),
            ("exclusiveMaximum", number >= bound("exclusiveMaximum").unwrap_or(f64::INFINITY), "less than"),
        ] {
            if breaks {
                return refuse(path, format!("must be {word} {}", keywords[name]));
            }
        }
    }
    let length = match value {
        Value::String(text) => Some((text.chars().count(), "minLength", "maxLength", "characters")),
        Value::Array(items) => Some((items.len(), "minItems", "maxItems", "items")),
        _ => None,
    };
    let Some((length, least, most, unit)) = length else { return Ok(()) };
    let size = |name: &str| keywords.get(name).and_then(Value::as_u64).and_then(|it| usize::try_from(it).ok());
    if size(least).is_some_and(|least| length < least) {
        return refuse(path, format!("must have at least {} {unit}", keywords[least]));
    }
    if size(most).is_some_and(|most| length > most) {
        return refuse(path, format!("must have at most {} {unit}", keywords[most]));
    }
    Ok(())
}

fn check_object(
    root: &Value,
    keywords: &Map<String, Value>,
    object: &Map<String, Value>,
    path: &mut String,
    depth: usize,
) -> Fit {
    for name in keywords.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        // What the harness sets is not asked of the model.
        if !object.contains_key(name) && name != "command_id" {
            return refuse(&format!("{path}.{name}"), "is missing".to_owned());
        }
    }
    let properties = keywords.get("properties").and_then(Value::as_object);
    for (name, value) in object {
        let end = path.len();
        path.push('.');
        path.push_str(name);
        let known = properties.and_then(|properties| properties.get(name));
        if let Some(schema) = known.or_else(|| keywords.get("additionalProperties")) {
            fits(root, schema, value, path, depth + 1)?;
        }
        path.truncate(end);
    }
    Ok(())
}

fn check_items(root: &Value, keywords: &Map<String, Value>, items: &[Value], path: &mut String, depth: usize) -> Fit {
    let Some(schema) = keywords.get("items") else { return Ok(()) };
    for (index, item) in items.iter().enumerate() {
        let end = path.len();
        path.push('.');
        path.push_str(&index.to_string());
        fits(root, schema, item, path, depth + 1)?;
        path.truncate(end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::{Effect, Home};
    use serde_json::json;

    fn specs() -> Vec<ToolSpec> {
        let schema = json!({
            "type": "object",
            "properties": {
                "symbol": {"type": "string", "minLength": 3},
                "limit": {"type": "integer", "minimum": 1, "maximum": 500},
                "side": {"enum": ["buy", "sell"]},
                "levels": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/level"}},
                "command_id": {"type": "string"},
            },
            "required": ["symbol", "command_id"],
            "additionalProperties": false,
            "$defs": {"level": {"type": "object", "required": ["price"], "properties": {"price": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}},
        });
        let spec = ToolSpec {
            name: "t".into(),
            description: String::new(),
            schema,
            effect: Effect::Reads,
            home: Home::Platform,
        };
        vec![spec]
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused_with_their_path() {
        let specs = specs();
        for (name, arguments, expected) in [
            ("u", "{}", Some(("UNKNOWN_TOOL", "name"))),
            ("t", "", Some(("INVALID_ARGUMENT", "symbol"))),
            ("t", "{\"symbol\":\"BTC\"", Some(("INVALID_JSON", ""))),
            ("t", "[]", Some(("INVALID_JSON", ""))),
            ("t", "{\"symbol\":1}", Some(("INVALID_ARGUMENT", "symbol"))),
            ("t", "{\"symbol\":\"BT\"}", Some(("INVALID_ARGUMENT", "symbol"))),
            ("t", "{\"symbol\":\"BTC\",\"limit\":501}", Some(("INVALID_ARGUMENT", "limit"))),
            ("t", "{\"symbol\":\"BTC\",\"limit\":1.5}", Some(("INVALID_ARGUMENT", "limit"))),
            ("t", "{\"symbol\":\"BTC\",\"side\":\"hold\"}", Some(("INVALID_ARGUMENT", "side"))),
            ("t", "{\"symbol\":\"BTC\",\"x\":1}", Some(("INVALID_ARGUMENT", "x"))),
            ("t", "{\"symbol\":\"BTC\",\"levels\":[{}]}", Some(("INVALID_ARGUMENT", "levels.0.price"))),
            ("t", "{\"symbol\":\"BTC\",\"levels\":[{\"price\":1}]}", Some(("INVALID_ARGUMENT", "levels.0.price"))),
            ("t", "{\"symbol\":\"BTC\",\"levels\":[{\"price\":null}],\"limit\":3.0}", None),
            ("t", "{\"symbol\":\"BTC\"}", None),
        ] {
            let got = check(&specs, name, arguments, 1000).err();
            let got = got.map(|it| serde_json::from_str::<Value>(&it.content).unwrap());
            let got =
                got.as_ref().map(|it| (it["error"]["code"].as_str().unwrap(), it["error"]["field"].as_str().unwrap()));
            assert_eq!(got, expected, "{name} {arguments}");
        }
        assert!(check(&specs, "t", &"x".repeat(1001), 1000).is_err());
    }

    #[test]
    fn a_command_id_of_the_model_is_dropped() {
        let specs = specs();
        let (_, object) = check(&specs, "t", "{\"symbol\":\"BTC\",\"command_id\":\"mine\"}", 1000).unwrap();
        assert!(!object.contains_key("command_id"));
    }

    #[test]
    fn deep_arguments_and_looping_schemas_end() {
        let schema = json!({"$ref": "#"});
        let spec = ToolSpec { schema, ..specs().remove(0) };
        assert!(check(&[spec], "t", "{}", 1000).is_err());
        let deep = format!("{{\"symbol\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(check(&specs(), "t", &deep, 100_000).is_err());
    }
}
