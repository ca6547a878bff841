//! Training: from counted words to merges, the same whatever the order of words, threads or hash seeds.
//!
//! The most frequent neighbouring pair becomes a token, again and again (Sennrich, Haddow and Birch 2016); a word weighs
//! as often as it was counted. Pairs that tie go by their ids, the smaller first, and all places of a pair merge at once,
//! so the result is a function of the counts. The `BpeTrainer` of the tokenizers crate (0.23) counts pairs in 32 bits and
//! wraps without a word on a large corpus, and can make a special token out of text; where neither matters, tests hold
//! the two against each other.

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schemas::hash::Rng;
    use tokenizers::models::bpe::{BPE, BpeTrainer};

    type Words = Vec<(String, u64)>;

    fn trained(words: &Words, size: usize, min_frequency: u64) -> (Vec<String>, Vec<(String, String)>) {
        let counted = words.iter().map(|(word, count)| (word.as_bytes(), *count));
        let Trained { tokens, merges } = train(counted, size, min_frequency, "<eos>");
        let name = |id: u32| tokens[id as usize].clone();
        let merges = merges.into_iter().map(|(left, right)| (name(left), name(right))).collect();
        (tokens, merges)
    }

    fn check(words: &[(&str, u64)], size: usize, min_frequency: u64, expected: &[&str]) {
        let words = words.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect();
        let (tokens, merges) = trained(&words, size, min_frequency);
        assert_eq!(&tokens[257..], expected, "{words:?}");
        assert_eq!(merges.len(), expected.len());
    }

    #[test]
    fn the_most_frequent_pair_merges_first() {
        check(&[], 300, 1, &[]);
        check(&[("a", 9)], 300, 1, &[]);
        check(&[("ab", 2), ("bc", 3)], 300, 1, &["bc", "ab"]);
        check(&[("ab", 2), ("bc", 3)], 258, 1, &["bc"]);
        check(&[("ab", 2), ("bc", 3)], 300, 3, &["bc"]);
        check(&[("zz", 2), ("aa", 2)], 300, 1, &["aa", "zz"]);
        check(&[("abc", 2), ("ab", 1)], 300, 1, &["ab", "abc"]);
        check(&[("aaaa", 1)], 300, 1, &["aa", "aaaa"]);
        check(&[("ab", u64::from(u32::MAX) * 4), ("cd", 5)], 300, 1, &["ab", "cd"]);
    }

    #[test]
    fn bytes_never_make_the_special_token() {
        let trained = train([(b"eos".as_slice(), 9)].into_iter(), 300, 1, "eos");
        assert_eq!(&trained.tokens[..2], ["eos", "!"]);
        assert!(!trained.tokens[1..].contains(&"eos".to_owned()));
    }

    /// Trains with the crate on the same counts.
    fn reference(words: &Words, size: usize, min_frequency: u64) -> BPE {
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(size)
            .min_frequency(min_frequency)
            .special_tokens(vec![tokenizers::AddedToken::from("<eos>", true)])
            .initial_alphabet(symbols().into_iter().collect())
            .build();
        let symbols = symbols();
        let spelt = |word: &str| word.bytes().map(|b| symbols[b as usize]).collect::<String>();
        let mut model = BPE::default();
        let counts = words.iter().map(|(word, count)| (spelt(word).as_str().into(), *count)).collect();
        trainer.do_train(&counts, &mut model).unwrap();
        model
    }

    fn same_as_reference(words: &Words, size: usize, min_frequency: u64) {
        let (tokens, merges) = trained(words, size, min_frequency);
        let model = serde_json::to_value(reference(words, size, min_frequency)).unwrap();
        let expected: Vec<(String, String)> = serde_json::from_value(model["merges"].clone()).unwrap();
        assert_eq!(merges, expected, "{words:?}");
        let vocab = model["vocab"].as_object().unwrap();
        assert_eq!(vocab.len(), tokens.len());
        assert!(tokens.iter().zip(0_u64..).all(|(token, id)| vocab[token] == id));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_order_of_words_does_not_matter_and_merges_are_those_of_the_crate(
            words in prop::collection::btree_map("([a-e]{1,3}[éf-k]){0,4}", 1_u64..50, 0..60),
            min_frequency in 1_u64..5,
            seed: u64,
        ) {
            let mut words: Words = words.into_iter().collect();
            let first = trained(&words, 330, min_frequency);
            same_as_reference(&words, 330, min_frequency);
            let mut rng = Rng::new(seed);
            words.sort_by_cached_key(|_| rng.next_u64());
            prop_assert_eq!(trained(&words, 330, min_frequency), first);
        }

        #[test]
        fn runs_of_one_byte_train_alike_in_any_order(
            words in prop::collection::btree_map("[ab]{1,24}", 1_u64..50, 0..40),
            seed: u64,
        ) {
            let mut words: Words = words.into_iter().collect();
            let first = trained(&words, 400, 1);
            let mut rng = Rng::new(seed);
            words.sort_by_cached_key(|_| rng.next_u64());
            prop_assert_eq!(trained(&words, 400, 1), first);
        }
    }
}
