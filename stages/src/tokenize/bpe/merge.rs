//! Merging: from the bytes of one pre-token to ids, by the rank of pairs.
//!
//! Byte-pair encoding (Sennrich, Haddow and Birch 2016) starts from one symbol a byte and joins the neighbouring pair of
//! the lowest rank, the leftmost first, until no neighbours are in the table. Short words are scanned again for
//! each merge; long ones keep their pairs in a heap, so that a pre-token of megabytes costs n log n.

use schemas::hash::FastMap;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Longest word, in bytes, that is scanned instead of put into a heap.
const SCAN_BYTES_MAX: usize = 48;
const NO_RANK: u32 = u32::MAX;

/// The symbol that stands for a byte in the JSON of byte-level tokenizers (GPT-2 `encoder.py`, `bytes_to_unicode`):
/// itself where printable, else the next unused code point from 256 on.
pub(super) fn symbols() -> [char; 256] {
    let mut spare = 256;
    std::array::from_fn(|byte| match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte as u8),
        _ => {
            spare += 1;
            char::from_u32(spare - 1).expect("68 code points from 256 on are characters")
        }
    })
}

/// Ranks of pairs, and what they become.
pub(super) struct Merges {
    bytes: Vec<u32>,
    /// Rank and id of the merged token, by pair.
    pairs: FastMap<(u32, u32), (u32, u32)>,
}

/// Memory that one merge after another uses.
#[derive(Default)]
pub(super) struct Scratch {
    ids: Vec<u32>,
    ranks: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Merges {
    /// Reads the `model` of a tokenizer.json; `None` when it is not a plain byte-level BPE.
    pub(super) fn read(model: &Value) -> Option<Self> {
        let unset = |key: &str| matches!(&model[key], Value::Null | Value::Bool(false)) || model[key] == "";
        let plain = ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"];
        if model["type"] != "BPE" || !plain.into_iter().all(unset) {
            return None;
        }
        let vocab = model["vocab"].as_object()?;
        let id = |token: &str| vocab.get(token)?.as_u64().and_then(|id| u32::try_from(id).ok());
        let bytes = symbols().iter().map(|c| id(c.encode_utf8(&mut [0; 4]))).collect::<Option<_>>()?;
        let mut pairs = FastMap::default();
        for (rank, merge) in model["merges"].as_array()?.iter().enumerate() {
            let (left, right) = match merge {
                Value::String(both) => both.split_once(' ')?,
                both => (both[0].as_str()?, both[1].as_str()?),
            };
            let merged = id(&format!("{left}{right}"))?;
            pairs.insert((id(left)?, id(right)?), (u32::try_from(rank).ok()?, merged));
        }
        Some(Self { bytes, pairs })
    }

    /// Appends the ids of a word.
    pub(super) fn encode(&self, word: &[u8], scratch: &mut Scratch, out: &mut Vec<i32>) {
        scratch.ids.clear();
        scratch.ids.extend(word.iter().map(|&byte| self.bytes[byte as usize]));
        if word.len() <= SCAN_BYTES_MAX {
            self.scan(scratch);
        } else {
            self.heap(scratch);
        }
        out.extend(scratch.ids.iter().map(|&id| id as i32));
    }

    fn rank(&self, left: u32, right: u32) -> u32 {
        self.pairs.get(&(left, right)).map_or(NO_RANK, |&(rank, _)| rank)
    }

    fn scan(&self, Scratch { ids, ranks, .. }: &mut Scratch) {
        ranks.clear();
        ranks.extend(ids.windows(2).map(|pair| self.rank(pair[0], pair[1])));
        while let Some((at, &rank)) = ranks.iter().enumerate().min_by_key(|&(_, rank)| rank) {
            if rank == NO_RANK {
                break;
            }
            ids[at] = self.pairs[&(ids[at], ids[at + 1])].1;
            ids.remove(at + 1);
            ranks.remove(at);
            if at > 0 {
                ranks[at - 1] = self.rank(ids[at - 1], ids[at]);
            }
            if at + 1 < ids.len() {
                ranks[at] = self.rank(ids[at], ids[at + 1]);
            }
        }
    }

    fn heap(&self, Scratch { ids, next, previous, heap, .. }: &mut Scratch) {
        const GONE: u32 = u32::MAX;
        let end = ids.len() as u32;
        next.clear();
        next.extend(1..=end);
        previous.clear();
        previous.extend((0..end).map(|at| at.wrapping_sub(1)));
        heap.clear();
        heap.extend(ids.windows(2).zip(0..).filter_map(|(pair, at)| {
            let rank = self.rank(pair[0], pair[1]);
            (rank != NO_RANK).then_some(Reverse((rank, at)))
        }));
        while let Some(Reverse((rank, at))) = heap.pop() {
            let right = next[at as usize];
            if ids[at as usize] == GONE || right == end {
                continue;
            }
            // An entry is stale when one of its two symbols has been merged since.
            let Some(&(found, merged)) = self.pairs.get(&(ids[at as usize], ids[right as usize])) else {
                continue;
            };
            if found != rank {
                continue;
            }
            ids[at as usize] = merged;
            ids[right as usize] = GONE;
            let after = next[right as usize];
            next[at as usize] = after;
            if after != end {
                previous[after as usize] = at;
                let rank = self.rank(merged, ids[after as usize]);
                heap.extend((rank != NO_RANK).then_some(Reverse((rank, at))));
            }
            let before = previous[at as usize];
            if before != u32::MAX {
                let rank = self.rank(ids[before as usize], merged);
                heap.extend((rank != NO_RANK).then_some(Reverse((rank, before))));
            }
        }
        ids.retain(|&id| id != GONE);
    }
}
