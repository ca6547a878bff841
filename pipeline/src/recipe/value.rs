//! Values of a recipe: from the parser's to ours, with `${VAR}` replaced.

use super::Mistake;
use schemas::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::de::DeValue;

/// The value without its places.
pub(super) fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map_or_else(|_| Value::String(n.to_string()), Value::Integer),
        DeValue::Float(n) => n.as_str().parse().map_or_else(|_| Value::String(n.to_string()), Value::Float),
        DeValue::Boolean(b) => Value::Boolean(*b),
        DeValue::Datetime(d) => Value::Datetime(*d),
        DeValue::Array(list) => Value::Array(list.iter().map(|v| plain(v.get_ref())).collect()),
        DeValue::Table(table) => {
            Value::Table(table.iter().map(|(k, v)| (k.get_ref().to_string(), plain(v.get_ref()))).collect())
        }
    }
}

/// What a value is, for a person.
pub(super) fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Replaces `${VAR}` in strings; `$$` is a dollar sign.
pub(super) struct Expander<'a> {
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(super) mistakes: &'a mut Vec<Mistake>,
    /// Variables that were replaced, with their values.
    pub(super) variables: &'a mut BTreeMap<String, String>,
}

impl Expander<'_> {
    /// Replaces in a value at `span`, whose elements stand at `items`.
    pub(super) fn expand(&mut self, value: &Value, span: &Range<usize>, items: &[Range<usize>]) -> Value {
        match value {
            Value::String(text) if text.contains('$') => Value::String(self.text(text, span)),
            Value::Array(list) => {
                let place = |at: usize| items.get(at).unwrap_or(span);
                Value::Array(list.iter().enumerate().map(|(at, v)| self.expand(v, place(at), &[])).collect())
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str, span: &Range<usize>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
                match (self.environment)(name) {
                    Some(value) => {
                        out.push_str(&value);
                        self.variables.insert(name.to_owned(), value);
                    }
                    None => {
                        let message = format!("the environment variable `{name}` is not set");
                        let help = format!("set it: `export {name}=…`, or write `$$` for a dollar sign");
                        self.mistakes.push(Mistake::new(span.clone(), message, help));
                        // The value is not known, so it is not judged either.
                        out.push_str(UNKNOWN);
                    }
                }
                rest = after;
            } else {
                if rest.starts_with('{') {
                    let help = "write `${NAME}`, or `$$` for a dollar sign";
                    self.mistakes.push(Mistake::new(span.clone(), "`${` is not closed", help));
                }
                out.push('$');
            }
        }
        out + rest
    }
}

/// The names of the variables in a value as it is written.
pub(crate) fn variables(written: &Value) -> Vec<&str> {
    let Value::String(text) = written else {
        return written.as_array().into_iter().flatten().flat_map(variables).collect();
    };
    let mut names = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once('$') {
        rest = after.strip_prefix('$').unwrap_or(after);
        if let Some((name, behind)) = after.strip_prefix('{').and_then(|r| r.split_once('}')) {
            names.push(name);
            rest = behind;
        }
    }
    names
}

/// Stands where a variable is not set.
const UNKNOWN: &str = "…";
