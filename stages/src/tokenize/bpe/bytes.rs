//! Byte-level BPE: every byte is a token, so no text is unknown.

use super::merge::{NO_RANK, Pairs, Scratch, symbols};
use super::parts::Parts;
use schemas::hash::FastMap;
use serde_json::Value;

/// Longest word, in bytes, whose first ranks are looked up by its bytes.
const SHORT_BYTES_MAX: usize = 64;

/// The model of a byte-level tokenizer.
pub(super) struct Bytes {
    ids: [u32; 256],
    /// Ranks of pairs of bytes, the left one higher.
    first: Box<[u32]>,
    pairs: Pairs,
    /// Words that are tokens whatever the merges say.
    whole: FastMap<Box<[u8]>, u32>,
}

impl Bytes {
    /// Reads a tokenizer.json; `None` where its model is no plain byte-level BPE.
    pub(super) fn read(parts: &Parts) -> Option<Self> {
        let Parts { rest, vocab, merges, .. } = parts;
        let model = &rest["model"];
        if !is_plain(model) {
            return None;
        }
        let symbols = symbols();
        let ids = symbols.iter().map(|c| vocab.id(c.encode_utf8(&mut [0; 4])));
        let ids: Vec<u32> = ids.collect::<Option<_>>()?;
        let pairs = Pairs::read(merges, vocab)?;
        let first = ids.iter().flat_map(|&left| ids.iter().map(move |&right| (left, right)));
        let first = first.map(|(left, right)| pairs.rank(left, right)).collect();
        let mut whole = FastMap::default();
        if model["ignore_merges"] == true {
            let bytes: FastMap<char, u8> = symbols.into_iter().zip(0..=u8::MAX).collect();
            let decode =
                |token: &str| token.chars().map(|c| bytes.get(&c).copied()).collect::<Option<Vec<u8>>>();
            let words = vocab.iter().filter_map(|(token, id)| Some((decode(token)?.into_boxed_slice(), id)));
            whole = words.collect();
        }
        Some(Self { ids: ids.try_into().ok()?, first, pairs, whole })
    }

    /// Appends the ids of a word.
    pub(super) fn encode(&self, word: &[u8], scratch: &mut Scratch, out: &mut Vec<i32>) {
        if let Some(&id) = self.whole.get(word) {
            out.push(id as i32);
            return;
        }
        scratch.ids.clear();
        scratch.ids.extend(word.iter().map(|&byte| self.ids[byte as usize]));
        if word.len() <= SHORT_BYTES_MAX {
            let rank = |at: usize, _: &[u32]| {
                self.first.get((word[at] as usize) << 8 | word[at + 1] as usize).copied().unwrap_or(NO_RANK)
            };
            self.pairs.scan(&mut scratch.ids, rank);
        } else {
            self.pairs.merge(scratch);
        }
        out.extend(scratch.ids.iter().map(|&id| id as i32));
    }
}

/// Whether a BPE model has none of the settings that change what merging does.
pub(super) fn is_plain(model: &Value) -> bool {
    let unset = |key: &str| matches!(&model[key], Value::Null) || model[key] == "";
    let dropout = model["dropout"].as_f64().unwrap_or(0.0);
    // Files of the first releases name no type.
    let bpe = model["type"] == "BPE" || (model["type"].is_null() && model["merges"].is_array());
    bpe && dropout == 0.0 && unset("continuing_subword_prefix") && unset("end_of_word_suffix")
}
