//! The objects that rows were read from (column `row`): their fields, and whether a column says what a field says.

use crate::source::object;
use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use schemas::StageError;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The fields of an object in their order, each value as it is written.
///
/// # Errors
/// The text is no JSON object.
pub fn pairs(object: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>, StageError> {
    serde_json::Deserializer::from_str(object)
        .deserialize_map(Pairs)
        .map_err(|e| StageError::Invalid(format!("column `row` holds no JSON object: {e}")))
}

/// The text of a field that comes twice or more: a reader takes the last, and all are to say it.
pub(super) fn last_text<'a>(pairs: &[(Cow<'_, str>, &'a RawValue)], name: &str) -> Option<Cow<'a, str>> {
    let mut named = pairs.iter().rev().filter(|(known, _)| known == name);
    let (last, before) = (named.next()?, named.next());
    before.and_then(|_| object::unquoted(last.1.get()))
}

/// Whether the JSON that was read says what the column says, so that it can stay as it was written.
pub(super) fn says(raw: &str, values: &dyn Array, row: usize) -> bool {
    if values.is_null(row) {
        // A column of text is null where the field was no string.
        return raw == "null";
    }
    let DataType::Utf8 = values.data_type() else { return false };
    says_text(raw, values.as_string::<i32>().value(row))
}

/// The same for a text.
pub(super) fn says_text(raw: &str, value: &str) -> bool {
    match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
        Some(inner) => spells(inner.as_bytes(), value.as_bytes())
            .unwrap_or_else(|| object::unquoted(raw).is_some_and(|text| text == value)),
        None => raw == value,
    }
}

/// Whether what stands between the quotes of a JSON string spells a text; `None` where a character is told by its number.
fn spells(mut inner: &[u8], mut value: &[u8]) -> Option<bool> {
    while let Some(at) = memchr::memchr(b'\\', inner) {
        let (plain, escape) = inner.split_at(at);
        let Some(rest) = value.strip_prefix(plain) else { return Some(false) };
        let byte = match escape.get(1)? {
            byte @ (b'"' | b'\\' | b'/') => *byte,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 0x08,
            b'f' => 0x0c,
            _ => return None,
        };
        let Some(rest) = rest.strip_prefix(&[byte]) else { return Some(false) };
        (inner, value) = (&escape[2..], rest);
    }
    Some(inner == value)
}

/// The fields of an object in their order, each value as it is written.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs: Self::Value = Vec::new();
        while let Some(name) = map.next_key_seed(object::Name)? {
            pairs.push((name, map.next_value()?));
        }
        Ok(pairs)
    }
}
