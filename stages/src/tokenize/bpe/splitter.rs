//! The split of a text into pre-tokens by the `pre_tokenizer` of a tokenizer.json.
//!
//! A tokenizer splits by one pattern or by several in turn, each inside the pieces of the one before it. What no match
//! covers is a piece too. GPT-2's own pattern is that of `encoder.py`; other patterns stand in the file.

use super::automaton::Automaton;
use super::plain::Plain;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// The pattern of GPT-2, which the pre-tokenizer `ByteLevel` stands for.
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// OpenAI's cl100k as published in tokenizer.json files, and Llama 3.
pub(super) const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2 and 3.
pub(super) const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// OpenAI's o200k and Llama 4.
pub(super) const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's tekken.
pub(super) const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Training and most small tokenizers split by it: compiled once.
static GPT2_AUTOMATON: LazyLock<Arc<Automaton>> =
    LazyLock::new(|| Arc::new(Automaton::new(GPT2).expect("the pattern is of the family")));

struct Stage {
    automaton: Arc<Automaton>,
    plain: Option<Plain>,
}

/// Splits by one pattern after another.
pub(super) struct Splitter {
    stages: Vec<Stage>,
    /// Whether a text that begins with another character gets a space in front.
    pub(super) add_space: bool,
}

impl Splitter {
    /// Reads the `pre_tokenizer` of a byte-level tokenizer; `None` where it holds something else.
    pub(super) fn read(json: &Value) -> Option<Self> {
        let steps = match &json["type"] {
            kind if kind == "Sequence" => json["pretokenizers"].as_array()?.as_slice(),
            _ => std::slice::from_ref(json),
        };
        let (bytes, steps) = steps.split_last()?;
        if bytes["type"] != "ByteLevel" {
            return None;
        }
        let mut stages = steps.iter().map(stage).collect::<Option<Vec<_>>>()?;
        let add_space = bytes["add_prefix_space"] != false;
        if add_space && !stages.is_empty() {
            return None;
        }
        if bytes["use_regex"] != false {
            stages.push(Stage { automaton: GPT2_AUTOMATON.clone(), plain: Plain::of(GPT2) });
        }
        Some(Self { stages, add_space })
    }

    /// Appends where the pieces of a text end.
    pub(super) fn split(&self, text: &[u8], ends: &mut Vec<u32>) {
        if !text.is_empty() {
            self.piece(0, text, (0, text.len()), ends);
        }
    }

    fn piece(&self, stage: usize, text: &[u8], (from, to): (usize, usize), ends: &mut Vec<u32>) {
        let Some(Stage { automaton, plain }) = self.stages.get(stage) else {
            ends.push(to as u32);
            return;
        };
        let last = stage + 1 == self.stages.len();
        let piece = &text[from..to];
        if last && let Some(plain) = plain {
            return plain.split(automaton, piece, from, ends);
        }
        let (mut at, mut gap) = (0, 0);
        while at < piece.len() {
            let end = automaton.end(piece, at);
            if end == at {
                at += width(piece[at]);
                continue;
            }
            if gap < at {
                self.piece(stage + 1, text, (from + gap, from + at), ends);
            }
            if last {
                ends.push((from + end) as u32);
            } else {
                self.piece(stage + 1, text, (from + at, from + end), ends);
            }
            (at, gap) = (end, end);
        }
        if gap < piece.len() {
            self.piece(stage + 1, text, (from + gap, to), ends);
        }
    }
}

/// Bytes of the character that begins with `first`.
const fn width(first: u8) -> usize {
    match first {
        ..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

impl Stage {
    fn new(pattern: &str) -> Option<Self> {
        Some(Self { automaton: Arc::new(Automaton::new(pattern)?), plain: Plain::of(pattern) })
    }
}

fn stage(json: &Value) -> Option<Stage> {
    if json["type"] == "Digits" {
        let automaton = Arc::new(Automaton::numbers(json["individual_digits"] == true)?);
        return Some(Stage { automaton, plain: None });
    }
    if json["type"] != "Split" {
        return None;
    }
    let stage = Stage::new(json["pattern"]["Regex"].as_str()?)?;
    let inverted = json["invert"] == true;
    let fits = match json["behavior"].as_str()? {
        "Isolated" => true,
        "Removed" => inverted && stage.automaton.covers(),
        _ => false,
    };
    fits.then_some(stage)
}

#[cfg(test)]
mod tests;
