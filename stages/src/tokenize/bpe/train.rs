//! Training: from counted words to merges, the same whatever the order of words, threads or hash seeds.
//!
//! The most frequent neighbouring pair becomes a token, again and again (Sennrich, Haddow and Birch 2016); a word weighs
//! as often as it was counted. Pairs that tie go by their ids, the smaller first, and all places of a pair merge at once,
//! so the result is a function of the counts. The `BpeTrainer` of the tokenizers crate counts in 32 bits, wraps without a word, and
//! keeps places of one pair in several entries that its seeded hash map orders; tests hold the two against each other
//! where neither matters.

use super::merge::symbols;
use schemas::hash::{FastMap, FastSet};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What training made.
pub(super) struct Trained {
    /// Tokens in the symbols of bytes; the index is the id. The first is the special one.
    pub(super) tokens: Vec<String>,
    /// Pairs of ids in the order of their ranks.
    pub(super) merges: Vec<(u32, u32)>,
}

type Pair = (u32, u32);

struct Corpus {
    /// Words as ids, the most frequent first.
    words: Vec<(Vec<u32>, u64)>,
    counts: FastMap<Pair, u64>,
    /// Words that may hold the pair.
    places: FastMap<Pair, Vec<u32>>,
    /// Pairs that became a token, or may not.
    done: FastSet<Pair>,
}

/// Trains on words and how often each was seen, until the vocabulary has `size` tokens or no pair has `min_frequency`.
///
/// `special` gets the id 0 and can never come out of bytes.
pub(super) fn train<'a>(
    words: impl Iterator<Item = (&'a [u8], u64)>,
    size: usize,
    min_frequency: u64,
    special: &str,
) -> Trained {
    let mut tokens = vec![special.to_owned()];
    // Ids of bytes go by symbol, as those of the tokenizers crate do.
    let mut alphabet: Vec<(char, usize)> = symbols().into_iter().zip(0..).collect();
    alphabet.sort_unstable();
    let mut bytes = [0; 256];
    for (symbol, byte) in alphabet {
        bytes[byte] = tokens.len() as u32;
        tokens.push(symbol.to_string());
    }
    let mut ids: FastMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let mut corpus = Corpus::new(words, &bytes);
    let mut queue: BinaryHeap<(u64, Reverse<Pair>)> =
        corpus.counts.iter().map(|(&p, &n)| (n, Reverse(p))).collect();
    let mut merges = Vec::new();
    while tokens.len() < size {
        let Some((count, Reverse(pair))) = queue.pop() else { break };
        let current = corpus.counts.get(&pair).copied().unwrap_or(0);
        if current != count {
            queue.extend((current > 0 && current < count).then_some((current, Reverse(pair))));
            continue;
        }
        if count < min_frequency.max(1) {
            break;
        }
        let token = format!("{}{}", tokens[pair.0 as usize], tokens[pair.1 as usize]);
        if token == special {
            corpus.close(pair);
            continue;
        }
        // Another pair may have made the same token before.
        let id = *ids.entry(token).or_insert_with_key(|token| {
            tokens.push(token.clone());
            tokens.len() as u32 - 1
        });
        merges.push(pair);
        for pair in corpus.merge(pair, id) {
            queue.push((corpus.counts[&pair], Reverse(pair)));
        }
    }
    Trained { tokens, merges }
}

impl Corpus {
    fn new<'a>(words: impl Iterator<Item = (&'a [u8], u64)>, bytes: &[u32; 256]) -> Self {
        let words = words.map(|(word, n)| (word.iter().map(|&b| bytes[b as usize]).collect(), n)).collect();
        let mut corpus =
            Self { words, counts: FastMap::default(), places: FastMap::default(), done: FastSet::default() };
        for (at, (word, count)) in corpus.words.iter().enumerate() {
            for pair in word.windows(2) {
                let pair = (pair[0], pair[1]);
                *corpus.counts.entry(pair).or_default() += count;
                remember(&mut corpus.places, pair, at as u32);
            }
        }
        corpus
    }

    /// Takes a pair out of the race.
    fn close(&mut self, pair: Pair) -> Vec<u32> {
        self.counts.remove(&pair);
        self.done.insert(pair);
        self.places.remove(&pair).unwrap_or_default()
    }

    /// Merges every place of the pair and returns the pairs that became more frequent.
    fn merge(&mut self, pair: Pair, id: u32) -> Vec<Pair> {
        let mut grown = FastSet::default();
        for at in self.close(pair) {
            let (word, count) = &mut self.words[at as usize];
            let count = *count;
            let mut change = |pair: Pair, up: bool| {
                if self.done.contains(&pair) {
                    return;
                }
                let total = self.counts.entry(pair).or_default();
                if up {
                    *total += count;
                    remember(&mut self.places, pair, at);
                    grown.insert(pair);
                } else {
                    *total -= count;
                }
            };
            merge_word(word, pair, id, &mut change);
        }
        let mut grown: Vec<Pair> = grown.into_iter().collect();
        grown.retain(|pair| self.counts[pair] > 0);
        grown
    }
}

/// Merges a pair in one word, left to right, and tells each pair of neighbours that comes (`true`) or goes.
fn merge_word(word: &mut Vec<u32>, pair: Pair, id: u32, change: &mut impl FnMut(Pair, bool)) {
    let (mut read, mut write) = (0, 0);
    while read < word.len() {
        if read + 1 < word.len() && (word[read], word[read + 1]) == pair {
            if write > 0 {
                change((word[write - 1], pair.0), false);
                change((word[write - 1], id), true);
            }
            if let Some(&after) = word.get(read + 2) {
                change((pair.1, after), false);
                change((id, after), true);
            }
            word[write] = id;
            read += 2;
        } else {
            word[write] = word[read];
            read += 1;
        }
        write += 1;
    }
    word.truncate(write);
}

fn remember(places: &mut FastMap<Pair, Vec<u32>>, pair: Pair, at: u32) {
    let places = places.entry(pair).or_default();
    // A word tells its pairs in one go, so a repeat is the last entry.
    if places.last() != Some(&at) {
        places.push(at);
    }
}
