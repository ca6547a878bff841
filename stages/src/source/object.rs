//! Picks fields out of a JSON object without building the rest of it.
//!
//! Fields that nobody asked for are passed over at any depth of nesting without recursion, so a line of 100,000 open
//! brackets is read like any other. Where a field comes twice, the last one counts.
//!
//! ```text
//! text of {"id": 7, "text": "a\nb", "more": [[[…]]]}  →  "a⏎b", id "7"
//! ```

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The value of a field in a role.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number or a truth value, written out.
    Other(String),
    /// Null, an array, an object, or no such field.
    None,
}

impl Scalar<'_> {
    /// The string, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The string or what a number or truth value is written as.
    pub fn written(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(text) => Some(text),
            Self::None => None,
        }
    }
}

/// The fields that are read: `N` roles, and further ones by name.
#[derive(Debug)]
pub struct Wanted<'c, const N: usize> {
    roles: [&'c str; N],
    columns: &'c [String],
}

/// What was found in one object.
#[derive(Debug)]
pub struct Fields<'a, const N: usize> {
    /// A value for each role.
    pub roles: [Scalar<'a>; N],
    /// A value for each further field: a string as it is, anything else as JSON, null as nothing.
    pub columns: Vec<Option<Cow<'a, str>>>,
}

impl<'c, const N: usize> Wanted<'c, N> {
    /// Reads these fields; a role with an empty name is never found.
    pub const fn new(roles: [&'c str; N], columns: &'c [String]) -> Self {
        Self { roles, columns }
    }

    /// Reads one object.
    ///
    /// # Errors
    /// The text is not one JSON object.
    pub fn read<'a>(&self, text: &'a str) -> serde_json::Result<Fields<'a, N>> {
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = json.deserialize_map(Object(self))?;
        json.end()?;
        Ok(fields)
    }
}

struct Object<'w, 'c, const N: usize>(&'w Wanted<'c, N>);

impl<'de, const N: usize> Visitor<'de> for Object<'_, '_, N> {
    type Value = Fields<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields =
            Fields { roles: [const { Scalar::None }; N], columns: vec![None; self.0.columns.len()] };
        while let Some(key) = map.next_key_seed(Name)? {
            let named = |role: &&str| **role == *key && !role.is_empty();
            let mut slots = self.0.roles.iter().zip(&mut fields.roles).filter(|(role, _)| named(role));
            if let Some((_, first)) = slots.next() {
                let value = map.next_value_seed(One)?;
                slots.for_each(|(_, slot)| slot.clone_from(&value));
                *first = value;
            } else if let Some(at) = self.0.columns.iter().position(|name| *name == key) {
                fields.columns[at] = written(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(fields)
    }
}

/// A string without its quotes; null is nothing; anything else is the JSON itself.
fn written(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes() {
        b"null" => None,
        // A lone surrogate is JSON but no text; the escape stays visible.
        [b'"', ..] => Some(unquoted(json).unwrap_or(Cow::Borrowed(json))),
        _ => Some(Cow::Borrowed(json)),
    }
}

/// The text of a JSON string; `None` when it is no string or holds a lone surrogate.
pub fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    serde_json::Deserializer::from_str(json).deserialize_str(Text).ok()
}

/// A name of a field, or any other string.
pub(crate) struct Name;
impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(Text)
    }
}

struct Text;
impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct One;
impl<'de> DeserializeSeed<'de> for One {
    type Value = Scalar<'de>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for One {
    type Value = Scalar<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Other(value.to_string()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Other(value.to_string()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Other(value.to_string()))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Option<(Option<&str>, Option<&str>, Option<&str>)>) {
        let columns = ["more".to_owned()];
        let wanted = Wanted::new(["text", "id", ""], &columns);
        let fields = wanted.read(json);
        let found =
            fields.as_ref().ok().map(|f| (f.roles[0].text(), f.roles[1].written(), f.columns[0].as_deref()));
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn roles_and_columns() {
        check(
            r#"{"text":"a\nb","id":7,"more":{"x": 1}}"#,
            Some((Some("a\nb"), Some("7"), Some(r#"{"x": 1}"#))),
        );
        check(r#"{"id":"7","text":"a","":"x","more":"q\"q"}"#, Some((Some("a"), Some("7"), Some("q\"q"))));
        check(r#"{"te\u0078t":"a","text":"b"}"#, Some((Some("b"), None, None)));
        check(r#" {"text":7,"id":true,"more":null} "#, Some((None, Some("true"), None)));
        check(r#"{"text":["a"],"id":{}}"#, Some((None, None, None)));
        check(r#"{"more":"\ud800"}"#, Some((None, None, Some(r#""\ud800""#))));
        check("{}", Some((None, None, None)));
        for bad in ["", "[]", "7", "\"text\"", "{", r#"{"text":"a"}x"#, r#"{"text":"a",}"#, "{'text':1}"] {
            check(bad, None);
        }
    }

    #[test]
    fn depth_needs_no_stack() {
        let deep = format!(r#"{{"x":{}{},"text":"a"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        check(&deep, Some((Some("a"), None, None)));
        let deep = format!(r#"{{"text":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        check(&deep, Some((None, None, None)));
    }
}
