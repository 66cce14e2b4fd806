//! Schemas of tool arguments: short for the model that reads them, strict for what comes back.

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// The schema of a type without what a model does not need: titles, number formats, the dialect, `null` as a second type of
/// what may be left out.
pub(crate) fn of<T: JsonSchema>() -> Arc<JsonObject> {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    shorten(&mut schema);
    let mut object = match schema {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    };
    // The schema of no arguments at all.
    object.entry("type").or_insert_with(|| "object".into());
    object.entry("properties").or_insert_with(|| JsonObject::new().into());
    Arc::new(object)
}

fn shorten(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("title");
            object.remove("format");
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(values)) = object.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            unwrap_optional(object);
            // A property may be called `title` or `format`.
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                properties.values_mut().for_each(shorten);
            }
            object.iter_mut().filter(|(key, _)| *key != "properties").for_each(|(_, inner)| shorten(inner));
        }
        Value::Array(list) => list.iter_mut().for_each(shorten),
        _ => {}
    }
}

/// `anyOf: [X, null]` is X that may be left out.
fn unwrap_optional(object: &mut JsonObject) {
    let Some(Value::Array(any)) = object.get_mut("anyOf") else { return };
    any.retain(|one| one.get("type") != Some(&Value::String("null".to_owned())));
    if let [Value::Object(only)] = any.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

/// Arguments that do not fit their schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub(crate) struct ArgumentError {
    /// Path of the argument.
    pub(crate) field: String,
    /// What must hold.
    pub(crate) rule: String,
}

/// Reads arguments.
///
/// # Errors
/// [`ArgumentError`] names the first argument that is unknown, missing or of the wrong type.
pub(crate) fn read<T: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<T, ArgumentError> {
    let value = Value::Object(arguments.unwrap_or_default());
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "arguments".to_owned() } else { path };
        ArgumentError { field, rule: error.inner().to_string() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its schema is looked at")]
    struct Example {
        /// Which one.
        name: String,
        #[serde(default)]
        limit: Option<u32>,
        #[serde(default)]
        title: Option<Kind>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Short,
        Long,
    }

    #[test]
    fn a_schema_says_what_a_model_needs_and_no_more() {
        let expected = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Which one."},
                "limit": {"type": "integer", "minimum": 0},
                "title": {"type": "string", "enum": ["short", "long"]},
            },
        });
        assert_eq!(Value::Object((*of::<Example>()).clone()), expected);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let refused = |value: Value| read::<Example>(value.as_object().cloned()).unwrap_err();
        assert_eq!(refused(json!({"name": "a", "limit": -1})).field, "limit");
        assert_eq!(refused(json!({"name": 7})).field, "name");
        assert_eq!(refused(json!({"name": "a", "colour": "red"})).field, "colour");
        assert!(refused(json!({})).rule.contains("name"));
    }
}
