//! BPE on characters, as SentencePiece trains it: spaces become `▁`, characters without a token become bytes.
//!
//! Such a tokenizer does not split at all: a text is one word. But no merge joins what no token holds side by side. Where no
//! token has another character before `▁`, every run of `▁` begins a word of its own, and long words are cut further
//! wherever no token has the two characters beside the cut next to each other.

use super::bytes::is_plain;
use super::merge::{Pairs, Scratch};
use super::parts::Parts;
use schemas::hash::{FastMap, FastSet};
use serde_json::Value;

/// What stands for a space.
const SPACE: char = '▁';
/// Longest word that is not cut further.
const WORD_BYTES_MAX: usize = 24;

/// A model on characters, and when a text gets a space in front.
pub(super) struct Chars {
    ids: FastMap<char, u32>,
    bytes: Box<[u32; 256]>,
    pairs: Pairs,
    /// Characters that some token holds side by side.
    beside: FastSet<(char, char)>,
    prepend: Prepend,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prepend {
    Never,
    /// Before every piece.
    Always,
    /// Before a piece that does not begin with a space.
    Missing,
    /// The same, and only before the first piece of a text.
    MissingAtStart,
}

impl Chars {
    /// Reads a tokenizer.json; `None` where it is another kind, or where words are not known to be on their own.
    pub(super) fn read(parts: &Parts) -> Option<Self> {
        let Parts { rest, vocab, merges, .. } = parts;
        let model = &rest["model"];
        if !is_plain(model) || model["byte_fallback"] != true || model["ignore_merges"] == true {
            return None;
        }
        let mut bytes = Box::new([0; 256]);
        for (byte, place) in bytes.iter_mut().enumerate() {
            *place = vocab.id(&format!("<0x{byte:02X}>"))?;
        }
        let mut beside = FastSet::default();
        for merge in merges {
            let token = vocab.name(merge.merged);
            // Bytes must not merge: a character is one symbol or bytes that stay.
            if token.contains("<0x") {
                return None;
            }
            beside.extend(token.chars().zip(token.chars().skip(1)));
        }
        if beside.iter().any(|&(left, right)| left != SPACE && right == SPACE) {
            return None;
        }
        let single = |token: &str| token.chars().next().filter(|c| c.len_utf8() == token.len());
        let ids = vocab.iter().filter_map(|(token, id)| Some((single(token)?, id))).collect();
        let pairs = Pairs::read(merges, vocab)?;
        Some(Self { ids, bytes, pairs, beside, prepend: prepend(rest)? })
    }

    /// The text with what the tokenizer puts in front, `first` where it begins a document.
    pub(super) fn text<'a>(&self, text: &'a str, first: bool, spare: &'a mut String) -> &'a str {
        let missing = !text.starts_with([' ', SPACE]);
        let wanted = match self.prepend {
            Prepend::Never => false,
            Prepend::Always => true,
            Prepend::Missing => missing,
            Prepend::MissingAtStart => missing && first,
        };
        if !wanted || text.is_empty() {
            return text;
        }
        spare.clear();
        spare.push(' ');
        spare.push_str(text);
        spare
    }

    /// Appends where the words of a text end.
    pub(super) fn split(&self, text: &str, ends: &mut Vec<u32>) {
        let (mut start, mut before) = (0, SPACE);
        for (at, c) in text.char_indices() {
            let c = if c == ' ' { SPACE } else { c };
            if (c == SPACE && before != SPACE)
                || (at - start >= WORD_BYTES_MAX && !self.beside.contains(&(before, c)))
            {
                ends.push(at as u32);
                start = at;
            }
            before = c;
        }
        ends.extend((!text.is_empty()).then_some(text.len() as u32));
    }

    /// Appends the ids of a word.
    pub(super) fn encode(&self, word: &[u8], scratch: &mut Scratch, out: &mut Vec<i32>) {
        let word = std::str::from_utf8(word).expect("cut between characters");
        scratch.ids.clear();
        for c in word.chars() {
            match self.ids.get(&if c == ' ' { SPACE } else { c }) {
                Some(&id) => scratch.ids.push(id),
                None => {
                    let symbols = c
                        .encode_utf8(&mut [0; 4])
                        .bytes()
                        .map(|byte| self.bytes[byte as usize])
                        .collect::<Vec<_>>();
                    scratch.ids.extend(symbols);
                }
            }
        }
        self.pairs.merge(scratch);
        out.extend(scratch.ids.iter().map(|&id| id as i32));
    }
}

/// How the spaces of a text are told: by the normaliser (LLaMA 2) or by the pre-tokenizer (later files).
fn prepend(json: &Value) -> Option<Prepend> {
    let space = SPACE.to_string();
    let replaces = |step: &Value| {
        step["type"] == "Replace" && step["pattern"]["String"] == " " && step["content"] == space.as_str()
    };
    let prepends = |step: &Value| step["type"] == "Prepend" && step["prepend"] == space.as_str();
    let (normaliser, splitter) = (&json["normalizer"], &json["pre_tokenizer"]);
    if normaliser.is_null() {
        let known = splitter["type"] == "Metaspace" && splitter["replacement"] == space.as_str();
        // Where it splits, a run of spaces is as many words.
        let known = known && splitter["split"] == false;
        return match splitter["prepend_scheme"].as_str().filter(|_| known)? {
            "always" => Some(Prepend::Missing),
            "first" => Some(Prepend::MissingAtStart),
            "never" => Some(Prepend::Never),
            _ => None,
        };
    }
    // Spaces are gone when Gemma's pre-tokenizer looks for them.
    let idle = splitter["type"] == "Split"
        && splitter["pattern"]["String"] == " "
        && splitter["behavior"] == "MergedWithPrevious";
    if !splitter.is_null() && !idle {
        return None;
    }
    match normaliser["normalizers"].as_array().map_or(std::slice::from_ref(normaliser), Vec::as_slice) {
        [first, second] if prepends(first) && replaces(second) => Some(Prepend::Always),
        [one] if replaces(one) => Some(Prepend::Never),
        _ => None,
    }
}
