//! The split of a text into pre-tokens by the `pre_tokenizer` of a tokenizer.json.
//!
//! A tokenizer splits by one pattern or by several in turn, each inside the pieces of the one before it. What no match
//! covers is a piece too. GPT-2's own pattern is that of `encoder.py`; other patterns stand in the file.

use super::automaton::Automaton;
use serde_json::Value;

/// The pattern of GPT-2, which the pre-tokenizer `ByteLevel` stands for.
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Splits by one pattern after another.
pub(super) struct Splitter {
    stages: Vec<Automaton>,
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
            stages.push(Automaton::new(GPT2)?);
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
        let Some(automaton) = self.stages.get(stage) else {
            ends.push(to as u32);
            return;
        };
        let last = stage + 1 == self.stages.len();
        let piece = &text[from..to];
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

fn stage(json: &Value) -> Option<Automaton> {
    if json["type"] == "Digits" {
        return Automaton::numbers(json["individual_digits"] == true);
    }
    if json["type"] != "Split" {
        return None;
    }
    let automaton = Automaton::new(json["pattern"]["Regex"].as_str()?)?;
    let inverted = json["invert"] == true;
    let fits = match json["behavior"].as_str()? {
        "Isolated" => true,
        "Removed" => inverted && automaton.covers(),
        _ => false,
    };
    fits.then_some(automaton)
}

#[cfg(test)]
mod tests;
