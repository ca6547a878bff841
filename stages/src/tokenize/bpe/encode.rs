//! The encoder: text to ids by a tokenizer.json.
//!
//! Published tokenizers are of few shapes. Those that [`Route::read`] knows are encoded here, many times faster than
//! through an `Encoding`; every other file goes through the tokenizers crate. Both give the same ids, which tests hold.

use super::added::{Added, Piece};
use super::cache::Cache;
use super::merge::Scratch;
use super::parts::{Parts, Vocab};
use super::route::Route;
use super::view::View;
use regex::Regex;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use tokenizers::Tokenizer;

/// A tokenizer that gives ids and nothing else. Shared by threads.
pub(super) struct Encoder {
    names: Names,
    fast: Option<Fast>,
    special: Option<Regex>,
    /// As many as there were calls at one time; each is taken for a call and comes back warm.
    spare: Mutex<Vec<Memory>>,
}

/// Which token has which id.
enum Names {
    /// All tokens, of a tokenizer that the tokenizers crate is not needed for.
    Ours {
        vocab: Vocab,
        added: Vocab,
    },
    Crate(Box<Tokenizer>),
}

/// What is encoded here, and not by the tokenizers crate.
struct Fast {
    added: Added,
    route: Route,
    cache: Cache,
}

/// What one call after another uses.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) view: View,
    pub(super) scratch: Scratch,
    pub(super) ends: Vec<u32>,
    pub(super) text: String,
}

impl Encoder {
    /// Reads a tokenizer.json; `parse` makes special tokens of their names in the text.
    ///
    /// # Errors
    /// What the tokenizers crate says of the file.
    pub(super) fn read(json: &[u8], parse: bool) -> Result<Self, String> {
        if let Some(parts) = Parts::read(json)
            && let Some(encoder) = Self::of_parts(parts, parse)
        {
            return Ok(encoder);
        }
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| error.to_string())?;
        let value: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        // Many published files cut every text to the length of their model.
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?.with_padding(None);
        tokenizer.set_encode_special_tokens(!parse);
        let id = |name: &str| tokenizer.token_to_id(name);
        let route = Route::of_whole(&value, &tokenizer);
        let fast = route.and_then(|route| Fast::new(route, &value, parse, id));
        let special = special(&value);
        Ok(Self { names: Names::Crate(Box::new(tokenizer)), fast, special, spare: Mutex::default() })
    }

    fn of_parts(parts: Parts, parse: bool) -> Option<Self> {
        let added = parts.added();
        let id = |name: &str| added.id(name).or_else(|| parts.vocab.id(name));
        let fast = Fast::new(Route::of_parts(&parts)?, &parts.rest, parse, id)?;
        let special = special(&parts.rest);
        let names = Names::Ours { vocab: parts.vocab, added };
        Some(Self { names, fast: Some(fast), special, spare: Mutex::default() })
    }

    /// Whether texts are encoded here and not by the tokenizers crate.
    #[cfg(test)]
    pub(super) fn is_fast(&self) -> bool {
        self.fast.is_some()
    }

    /// The id of a token.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        match &self.names {
            Names::Ours { vocab, added } => added.id(token).or_else(|| vocab.id(token)),
            Names::Crate(tokenizer) => tokenizer.token_to_id(token),
        }
    }

    /// One more than the highest id: the rows of an embedding.
    pub(super) fn size(&self) -> u64 {
        let highest = match &self.names {
            Names::Ours { vocab, added } => vocab.iter().chain(added.iter()).map(|(_, id)| id).max(),
            Names::Crate(tokenizer) => tokenizer.get_vocab(true).into_values().max(),
        };
        highest.map_or(0, |id| u64::from(id) + 1)
    }

    /// How many names of special tokens stand in the text.
    pub(super) fn special_count(&self, text: &str) -> usize {
        self.special.as_ref().map_or(0, |special| special.find_iter(text).count())
    }

    /// Takes memory for a run of calls of [`Encoder::encode`].
    pub(super) fn lend(&self) -> Memory {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = spare.unwrap_or_default();
        if let Some(fast) = &self.fast {
            fast.cache.renew(&mut memory.view);
        }
        memory
    }

    /// Gives memory back, with what it learnt.
    pub(super) fn give_back(&self, memory: Memory) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }

    /// Appends the ids of a text.
    ///
    /// # Errors
    /// What the tokenizers crate says, such as a model that has no token for unknown text.
    pub(super) fn encode(&self, text: &str, memory: &mut Memory, out: &mut Vec<i32>) -> Result<(), String> {
        if let Some(Fast { added, route, cache }) = &self.fast {
            return added.pieces(text, |piece| match piece {
                Piece::Text(range) => {
                    let first = range.start == 0;
                    route.encode((&text[range], first), cache, memory, out)
                }
                Piece::Token(id) => {
                    out.push(id);
                    Ok(())
                }
            });
        }
        let Names::Crate(tokenizer) = &self.names else { unreachable!("tokenizers of parts are fast") };
        let encoding = tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
        out.extend(encoding.get_ids().iter().map(|&id| id as i32));
        Ok(())
    }
}

/// What finds the names of special tokens.
fn special(json: &Value) -> Option<Regex> {
    let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let names = added.iter().filter(|token| token["special"] == true);
    let mut names: Vec<String> = names.filter_map(|t| t["content"].as_str().map(regex::escape)).collect();
    names.retain(|name| !name.is_empty());
    if names.is_empty() { None } else { Regex::new(&names.join("|")).ok() }
}

impl Fast {
    fn new(route: Route, json: &Value, parse: bool, id: impl Fn(&str) -> Option<u32>) -> Option<Self> {
        let added = Added::read(&json["added_tokens"], (parse, route.normalises()), id)?;
        Some(Self { added, route, cache: Cache::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::bpe::json;
    use crate::tokenize::bpe::train::{splits::Split, train};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    const EOS: &str = "<|endoftext|>";
    const SAMPLE: &str = "The mill turns; the miller doesn't. In 1843, 12 sacks of grain -- and 3½ of rye!\n\n    let x = y;\n\
        Der Müller mahlt, il mugnaio macina. 水車が回る。 ====================================================\n";

    static TRAINED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut words = Vec::new();
        Split::Gpt2.splitter().each(SAMPLE, &mut Vec::new(), |start, end| words.push(&SAMPLE[start..end]));
        json::write(&train(words.iter().map(|w| (w.as_bytes(), 3)), 500, 2, EOS))
    });

    /// Names of special tokens as text, and parsed.
    static ENCODERS: LazyLock<[Encoder; 2]> =
        LazyLock::new(|| [false, true].map(|parse| Encoder::read(&TRAINED, parse).unwrap()));

    static ORACLES: LazyLock<[Tokenizer; 2]> = LazyLock::new(|| {
        [false, true].map(|parse| {
            let mut tokenizer = Tokenizer::from_bytes(&*TRAINED).unwrap();
            tokenizer.set_encode_special_tokens(!parse);
            tokenizer
        })
    });

    /// Encodes twice (cold, warm), holds the ids against the tokenizers crate and decodes them.
    fn check(text: &str, parse: bool) {
        let encoder = &ENCODERS[usize::from(parse)];
        let oracle = &ORACLES[usize::from(parse)];
        assert!(encoder.fast.is_some());
        let expected = oracle.encode_fast(text, false).unwrap();
        let expected: Vec<i32> = expected.get_ids().iter().map(|&id| id as i32).collect();
        let mut memory = encoder.lend();
        for _ in 0..2 {
            let mut ids = Vec::new();
            encoder.encode(text, &mut memory, &mut ids).unwrap();
            assert_eq!(ids, expected, "{text:?}");
        }
        let ids: Vec<u32> = expected.iter().map(|&id| id as u32).collect();
        assert_eq!(oracle.decode(&ids, false).unwrap(), text);
    }

    #[test]
    fn ids_are_those_of_the_tokenizers_crate_and_decode_to_the_text() {
        for text in ["", " ", "\0", "The mill", "ééé", "\u{301}\u{301}", "\u{202e}שלום", "Ġ", "a\u{fffd}b"]
        {
            check(text, false);
        }
        check(SAMPLE, false);
        check(&SAMPLE.repeat(3), true);
        check(&"themill".repeat(50), false);
        check(&"=".repeat(1000), false);
        check(&format!("a{EOS}b{EOS}"), true);
        check(&format!("a{EOS}b{EOS}"), false);
    }

    #[test]
    fn a_special_name_in_the_text_is_text_unless_it_is_to_be_parsed() {
        let ids = |parse| {
            let encoder = &ENCODERS[usize::from(parse)];
            let mut ids = Vec::new();
            encoder.encode(EOS, &mut encoder.lend(), &mut ids).unwrap();
            ids
        };
        assert_eq!(ids(true), [0]);
        assert!(ids(false).len() > 1 && !ids(false).contains(&0));
    }

    #[test]
    fn a_long_word_takes_no_long_time() {
        let encoder = &ENCODERS[0];
        let mut ids = Vec::new();
        encoder.encode(&"themill".repeat(100_000), &mut encoder.lend(), &mut ids).unwrap();
        assert!(ids.len() > 100_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_text_comes_back(text in "([a-z' ]|mill|the|=|\\PC|\\s|[\\x00-\\x1f]){0,80}", parse: bool) {
            check(&text, parse);
        }
    }
}
