//! A tokenizer.json in parts: vocabulary and merges, which are nearly all of it, and the rest.
//!
//! The tokenizers crate takes most of a second for a vocabulary of 100,000 tokens. So it is asked about the rest alone, with an
//! empty vocabulary and no merges, and what it would make of these is done here: a file that is not plainly BPE in its form has
//! no parts, and goes to the crate as a whole.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use tokenizers::Tokenizer;
use xxhash_rust::xxh3::xxh3_64;

/// A tokenizer.json with a BPE model.
pub(super) struct Parts {
    /// The file with an empty vocabulary and no merges.
    pub(super) rest: Value,
    /// What the tokenizers crate made of the rest.
    pub(super) tokenizer: Tokenizer,
    pub(super) vocab: Vocab,
    pub(super) merges: Vec<Merge>,
}

/// Two tokens and the one that they become, as places in the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merge {
    pub(super) left: usize,
    pub(super) right: usize,
    pub(super) merged: usize,
}

impl Parts {
    /// Reads a file; `None` where it has another form, or the tokenizers crate would not take it.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let mut whole: BTreeMap<String, &RawValue> = serde_json::from_slice(json).ok()?;
        let mut model: BTreeMap<String, &RawValue> =
            serde_json::from_str(whole.remove("model")?.get()).ok()?;
        let vocab: Vocab = serde_json::from_str(model.remove("vocab")?.get()).ok()?;
        let merges = merges(model.remove("merges")?.get(), &vocab)?;
        let mut model = values(model)?;
        model.insert("vocab".to_owned(), Value::Object(Map::new()));
        model.insert("merges".to_owned(), Value::Array(Vec::new()));
        let mut rest = values(whole)?;
        rest.insert("model".to_owned(), Value::Object(model));
        let rest = Value::Object(rest);
        let tokenizer = Tokenizer::from_bytes(rest.to_string()).ok()?;
        Some(Self { rest, tokenizer, vocab, merges })
    }

    /// Names and ids of the added tokens, as the tokenizers crate numbers those that the vocabulary has not.
    pub(super) fn added(&self) -> Vocab {
        let mut added = Vocab::default();
        let mut next = self.vocab.len() as u32;
        let tokens = self.rest["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let names = tokens.iter().filter_map(|token| token["content"].as_str());
        for name in names.filter(|name| !name.is_empty()) {
            let known = added.id(name).or_else(|| self.vocab.id(name));
            added.insert(name, known.unwrap_or(next));
            next += u32::from(known.is_none());
        }
        added
    }
}

fn values(parts: BTreeMap<String, &RawValue>) -> Option<Map<String, Value>> {
    parts.into_iter().map(|(key, value)| Some((key, serde_json::from_str(value.get()).ok()?))).collect()
}

/// Tokens by name, in the order in which they were told: all names in one string, and a table by their hash.
#[derive(Default)]
pub(super) struct Vocab {
    names: String,
    /// Where each name ends.
    ends: Vec<usize>,
    ids: Vec<u32>,
    /// Places of the tokens by hash, a power of two of them; at least half of them [`FREE`].
    table: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Vocab {
    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The token at a place.
    pub(super) fn name(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.names[start..self.ends[place]]
    }

    /// The id of the token at a place.
    pub(super) fn id_at(&self, place: usize) -> u32 {
        self.ids[place]
    }

    /// All tokens with their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        (0..self.len()).map(|place| (self.name(place), self.ids[place]))
    }

    /// The place of a token.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let found = self.table[self.slot(name)];
        (found != FREE).then_some(found as usize)
    }

    /// The id of a token.
    pub(super) fn id(&self, name: &str) -> Option<u32> {
        self.place(name).map(|place| self.ids[place])
    }

    /// Adds a token; one that is there gets the id.
    fn insert(&mut self, name: &str, id: u32) {
        if let Some(place) = self.place(name) {
            self.ids[place] = id;
            return;
        }
        self.names.push_str(name);
        self.ends.push(self.names.len());
        self.ids.push(id);
        if 2 * self.len() > self.table.len() {
            self.table = vec![FREE; (4 * self.len()).next_power_of_two()];
            for place in 0..self.len() {
                let slot = self.slot(self.name(place));
                self.table[slot] = place as u32;
            }
        } else {
            let slot = self.slot(name);
            self.table[slot] = self.len() as u32 - 1;
        }
    }

    /// Where a name is in the table, or would be.
    fn slot(&self, name: &str) -> usize {
        let mut slot = xxh3_64(name.as_bytes()) as usize & (self.table.len() - 1);
        while self.table[slot] != FREE && self.name(self.table[slot] as usize) != name {
            slot = (slot + 1) & (self.table.len() - 1);
        }
        slot
    }
}

/// A name, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;
        impl<'de> Visitor<'de> for Ids {
            type Value = Vocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("ids by token")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut vocab = Vocab::default();
                while let Some((Name(name), id)) = map.next_entry()? {
                    vocab.insert(&name, id);
                }
                Ok(vocab)
            }
        }
        deserializer.deserialize_map(Ids)
    }
}

/// Reads the merges: pairs of names, or in older files lines with a space between two. `None` where a token is not in the vocabulary.
fn merges(json: &str, vocab: &Vocab) -> Option<Vec<Merge>> {
    let mut both = String::new();
    let mut merge = |left: &str, right: &str| {
        both.clear();
        both.push_str(left);
        both.push_str(right);
        Some(Merge { left: vocab.place(left)?, right: vocab.place(right)?, merged: vocab.place(&both)? })
    };
    if let Ok(pairs) = serde_json::from_str::<Vec<[Name<'_>; 2]>>(json) {
        return pairs.iter().map(|[left, right]| merge(&left.0, &right.0)).collect();
    }
    let lines: Vec<Name<'_>> = serde_json::from_str(json).ok()?;
    let line = |Name(line): &Name<'_>| {
        // The tokenizers crate passes over a line with the version, and refuses one of three words.
        let (left, right) = line.split_once(' ').filter(|_| !line.starts_with("#version"))?;
        merge(left, right).filter(|_| !right.contains(' '))
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(vocab: &Value, merges: &Value, added: &[&str]) -> Vec<u8> {
        let added = added.iter().enumerate().map(|(id, name)| {
            json!({ "id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
        });
        let model = json!({ "type": "BPE", "vocab": vocab, "merges": merges });
        let whole = json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
            "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null, "model": model });
        serde_json::to_vec(&whole).unwrap()
    }

    /// Ids of the names, as the tokenizers crate and the parts have them; whether there are parts.
    fn check(vocab: Value, merges: Value, added: &[&str], has_parts: bool) {
        let json = file(&vocab, &merges, added);
        let (whole, parts) = (Tokenizer::from_bytes(&json), Parts::read(&json));
        assert_eq!(parts.is_some(), has_parts, "{merges}");
        let Some(parts) = parts else { return };
        let (whole, all) = (whole.expect("the crate takes what has parts"), parts.added());
        let names = vocab.as_object().unwrap().keys().map(String::as_str).chain(added.iter().copied());
        for name in names.filter(|name| !name.is_empty()) {
            assert_eq!(all.id(name).or_else(|| parts.vocab.id(name)), whole.token_to_id(name), "{name}");
        }
    }

    #[test]
    fn names_have_the_ids_of_the_tokenizers_crate() {
        let vocab = || json!({ "a": 0, "b": 1, "ab": 2, "\"": 7, "é b": 9 });
        check(vocab(), json!([["a", "b"]]), &["ab", "<x>", "", "<y>", "<x>"], true);
        check(vocab(), json!(["a b"]), &["<x>", "a"], true);
        check(vocab(), json!([]), &[], true);
        check(json!({}), json!([]), &["<x>", "<y>"], true);
        check((0..5000).map(|n| (format!("t{n}"), json!(n))).collect(), json!([]), &["t7", "<x>"], true);
    }

    #[test]
    fn what_is_not_plain_has_no_parts() {
        let vocab = || json!({ "a": 0, "b": 1, "ab": 2 });
        for merges in [
            json!([["a", "c"]]),
            json!([["b", "a"]]),
            json!([["a", "b"], "a b"]),
            json!(["#version: 0.2", "a b"]),
            json!(["a b c"]),
            json!([["a", "b", "c"]]),
            json!(null),
        ] {
            check(vocab(), merges, &[], false);
        }
        check(json!({ "a": -1 }), json!([]), &[], false);
        assert!(Parts::read(b"{}").is_none() && Parts::read(b"[").is_none());
    }
}
