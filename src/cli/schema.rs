//! The JSON Schema (draft 2020-12) of a recipe, for editors: made of the same tables of keys that `check` reads.
//!
//! ```toml
//! #:schema docs/reference/recipe.schema.json
//! ```

use super::tables;
use pipeline::dag::Kinds;
use schemas::advice::choices;
use schemas::{Key, Spec};
use serde_json::{Map, Value, json};

/// The schema of a recipe of these kinds.
pub(super) fn recipe(kinds: &Kinds) -> Value {
    let of = |source: bool| kinds.all.iter().filter(move |s| s.kind.starts_with("source.") == source);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A recipe of gristmill",
        "type": "object",
        "additionalProperties": false,
        "required": ["sources"],
        "properties": {
            "name": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "description": "Name of the dataset." },
            "sources": {
                "description": "Where documents come from: `[sources.NAME]`.",
                "type": "object", "minProperties": 1,
                "propertyNames": { "pattern": "^[A-Za-z0-9._-]{1,64}$" },
                "additionalProperties": node(of(true), &Map::new()),
            },
            "stages": {
                "description": "The stages in the order of the run: `[[stages]]`.",
                "type": "array",
                "items": node(of(false), &links()),
            },
        },
    });
    for found in tables::of(kinds) {
        schema["properties"][found.name] = table(found.keys.into_iter(), found.summary);
    }
    schema
}

fn links() -> Map<String, Value> {
    let name =
        json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "description": "Name of the node." });
    let one = json!({ "type": "string" });
    let list = json!({ "type": "array", "minItems": 1, "uniqueItems": true, "items": one });
    let input =
        json!({ "anyOf": [one, list], "description": "Nodes that it reads; without it, the one before." });
    let surprise = json!({
        "enum": ["tell", "stop", "expected"],
        "description": "What is done when it touches no row, drops most of them or reads a column without values.",
    });
    Map::from_iter([
        ("name".to_owned(), name),
        ("input".to_owned(), input),
        ("surprise".to_owned(), surprise),
    ])
}

/// A table with a kind: which keys it may have depends on that.
fn node<'a>(specs: impl Iterator<Item = &'a Spec>, more: &Map<String, Value>) -> Value {
    let (mut kinds, mut cases) = (Vec::new(), Vec::new());
    for spec in specs {
        let mut known = more.clone();
        known.insert("kind".to_owned(), json!({ "const": spec.kind, "description": spec.summary }));
        known.extend(spec.keys.iter().map(property));
        kinds.push(spec.kind);
        cases.push(json!({
            "if": { "properties": { "kind": { "const": spec.kind } } },
            "then": { "properties": known, "additionalProperties": false },
        }));
    }
    json!({
        "type": "object", "required": ["kind"],
        "properties": { "kind": { "enum": kinds } },
        "allOf": cases,
    })
}

fn table<'a>(keys: impl Iterator<Item = &'a Key>, description: &str) -> Value {
    let known: Map<String, Value> = keys.map(property).collect();
    json!({ "type": "object", "description": description, "properties": known, "additionalProperties": false })
}

fn property(key: &Key) -> (String, Value) {
    let bounds = (key.bounds)().unwrap_or_default();
    let mut value = match key.kind {
        "true or false" => json!({ "type": "boolean" }),
        "a whole number" => json!({ "type": "integer", "minimum": 0 }),
        "a number" => json!({ "type": "number" }),
        "a list of strings" | "a list of paths" => json!({ "type": "array", "items": { "type": "string" } }),
        kind if !choices(kind).is_empty() => json!({ "enum": choices(kind) }),
        _ => json!({ "type": "string" }),
    };
    for (name, bound) in ["minimum", "maximum"].into_iter().zip(&bounds) {
        if let Ok(number) = serde_json::from_str::<serde_json::Number>(bound) {
            value[name] = number.into();
        }
    }
    value["description"] = key.doc.trim().into();
    if let Ok(default) = serde_json::from_str::<Value>(&(key.default)()) {
        value["default"] = default;
    }
    (key.name.to_owned(), value)
}
