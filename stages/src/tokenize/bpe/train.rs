//! Training: from counted words to merges, the same whatever the order of words, threads or hash seeds.
//!
//! The most frequent neighbouring pair becomes a token, again and again (Sennrich, Haddow and Birch 2016); a word weighs
//! as often as it was counted. Pairs that tie go by their ids, the smaller first, and all places of a pair merge at once,
//! so the result is a function of the counts. The merges are those of the `BpeTrainer` of the tokenizers crate (0.23), but
//! for two things: it counts pairs in 32 bits and wraps without a word on a large corpus, and it can make a special token
//! out of text. Tests hold the two against each other.

mod cells;
pub mod command;
mod count;
pub mod files;
mod pairs;
mod pieces;
mod race;
mod spill;
pub mod splits;

use super::merge::symbols;
pub(super) use cells::Sizes;
use cells::{Cell, Words};
pub(super) use count::Counts;
use race::Race;
use schemas::hash::FastMap;
use splits::Split;

/// Places of pairs that are listed at once unless memory is short.
const PLACES_MAX: usize = 8 << 20;
const PLACES_MIN: usize = 1 << 16;
/// Most bytes of words in a build, each held in 2 bytes, or in 4 for a vocabulary above 65,534.
pub(super) const CELLS_MAX: u64 = 1 << 30;

/// What training made.
pub(super) struct Trained {
    /// Tokens in the symbols of bytes; the index is the id. The first ones are special.
    pub(super) tokens: Vec<String>,
    /// How many are special.
    pub(super) specials: usize,
    /// Pairs of ids in the order of their ranks.
    pub(super) merges: Vec<(u32, u32)>,
    /// The split that the words came from.
    pub(super) split: Split,
    /// Distinct words that there was no room for, the rarest.
    pub(super) words_left_out: u64,
}

/// When training ends, and what it may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    /// Most tokens.
    pub(super) size: usize,
    /// Fewest times that a pair must be seen to become a token.
    pub(super) min_frequency: u64,
    /// The split that the words come from.
    pub(super) split: Split,
    /// Tokens that get the first ids and can never come out of bytes.
    pub(super) specials: &'a [&'a str],
    /// Bytes of words and one for each word; words beyond are left out, the rarest first.
    pub(super) cells_max: u64,
    /// Places of pairs that are listed at once, 4 bytes each. The result does not depend on it.
    pub(super) places_max: usize,
}

impl<'a> Plan<'a> {
    /// The usual bounds.
    pub(super) const fn new(size: usize, min_frequency: u64, specials: &'a [&'a str]) -> Self {
        Self {
            size,
            min_frequency,
            specials,
            split: Split::Gpt2,
            cells_max: CELLS_MAX,
            places_max: PLACES_MAX,
        }
    }

    /// Bounds for so many bytes of memory: half for the words, the rest for pairs and their places.
    fn within(self, memory_bytes: usize) -> Self {
        let cell_bytes = if self.size <= <u16 as Cell>::VOCABULARY_MAX { 2 } else { 4 };
        let places_max = (memory_bytes / 64).clamp(PLACES_MIN, PLACES_MAX);
        Self { cells_max: (memory_bytes / 2 / cell_bytes) as u64, places_max, ..self }
    }
}

/// Trains on words and how often each was seen, until the vocabulary is full or no pair is frequent enough.
///
/// `sizes` knows all words that `words` gives, each word once, in any order. `told` hears of each merge.
///
/// # Errors
/// Those of `words`.
pub(super) fn learn<E>(
    plan: &Plan<'_>,
    sizes: &Sizes,
    words: impl FnOnce(&mut dyn FnMut(&[u8], u64)) -> Result<(), E>,
    told: &mut dyn FnMut(usize),
) -> Result<Trained, E> {
    if plan.size <= <u16 as Cell>::VOCABULARY_MAX {
        race::<u16, E>(plan, sizes, words, told)
    } else {
        race::<u32, E>(plan, sizes, words, told)
    }
}

/// Trains on words in memory, for tests.
#[cfg(test)]
pub(super) fn train<'a>(
    words: impl Iterator<Item = (&'a [u8], u64)> + Clone,
    size: usize,
    min_frequency: u64,
    special: &str,
) -> Trained {
    let mut sizes = Sizes::default();
    words.clone().for_each(|(word, count)| sizes.add(word, count));
    let give = |take: &mut dyn FnMut(&[u8], u64)| {
        words.for_each(|(word, count)| take(word, count));
        Ok::<(), std::convert::Infallible>(())
    };
    let Ok(trained) = learn(&Plan::new(size, min_frequency, &[special]), &sizes, give, &mut |_| {});
    trained
}

fn race<C: Cell, E>(
    plan: &Plan<'_>,
    sizes: &Sizes,
    words: impl FnOnce(&mut dyn FnMut(&[u8], u64)) -> Result<(), E>,
    told: &mut dyn FnMut(usize),
) -> Result<Trained, E> {
    let (mut tokens, bytes) = alphabet(plan.specials);
    let (least_count, words_left_out) = sizes.fitting(plan.cells_max);
    let mut placed = Words::<C>::with_room(sizes, least_count);
    words(&mut |word, count| placed.place(word.iter().map(|&byte| bytes[byte as usize]), count))?;
    let mut ids: FastMap<String, u32> = tokens.iter().cloned().zip(0..).collect();
    let mut race = Race::new(placed, plan.min_frequency, plan.places_max);
    let mut merges = Vec::new();
    while tokens.len() < plan.size
        && let Some(pair) = race.first()
    {
        let token = format!("{}{}", tokens[pair.0 as usize], tokens[pair.1 as usize]);
        if plan.specials.contains(&token.as_str()) {
            race.close(pair);
            continue;
        }
        // Another pair may have made the same token before.
        let known = ids.get(&token).copied();
        let id = known.unwrap_or(tokens.len() as u32);
        race.merge(pair, id, known.is_none());
        merges.push(pair);
        if known.is_none() {
            tokens.push(token.clone());
            ids.insert(token, id);
            told(tokens.len());
        }
    }
    Ok(Trained {
        tokens,
        specials: plan.specials.len(),
        merges: last_of_each(merges),
        split: plan.split,
        words_left_out,
    })
}

/// The special tokens and the symbols of all bytes, and the ids of the bytes.
///
/// Ids of bytes go by symbol, as those of the tokenizers crate do.
fn alphabet(specials: &[&str]) -> (Vec<String>, [u32; 256]) {
    let mut tokens: Vec<String> = specials.iter().map(|special| (*special).to_owned()).collect();
    let mut alphabet: Vec<(char, usize)> = symbols().into_iter().zip(0..).collect();
    alphabet.sort_unstable();
    let mut bytes = [0; 256];
    for (symbol, byte) in alphabet {
        bytes[byte] = tokens.len() as u32;
        tokens.push(symbol.to_string());
    }
    (tokens, bytes)
}

/// A pair that came up again has its last rank alone, as in the model that the tokenizers crate makes.
fn last_of_each(merges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    let last: FastMap<(u32, u32), usize> = merges.iter().copied().zip(0..).collect();
    merges.into_iter().enumerate().filter(|(rank, pair)| last[pair] == *rank).map(|(_, pair)| pair).collect()
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
        let Trained { tokens, merges, .. } = train(counted, size, min_frequency, "<eos>");
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

    #[test]
    fn words_without_room_are_left_out_the_rarest_first() {
        let words: [(&[u8], u64); 4] = [(b"abc", 9), (b"de", 3), (b"fg", 3), (b"hijk", 1)];
        let mut sizes = Sizes::default();
        words.iter().for_each(|(word, count)| sizes.add(word, *count));
        let give = |take: &mut dyn FnMut(&[u8], u64)| {
            words.iter().for_each(|(word, count)| take(word, *count));
            Ok::<(), ()>(())
        };
        for (cells_max, left_out) in [(100, 0), (16, 0), (15, 1), (11, 1), (10, 3), (4, 4)] {
            let plan = Plan { cells_max, ..Plan::new(300, 1, &["<eos>"]) };
            let trained = learn(&plan, &sizes, give, &mut |_| {}).unwrap();
            assert_eq!(trained.words_left_out, left_out, "{cells_max} cells");
            assert_eq!(trained.merges.len(), [7, 4, 4, 2, 0][left_out as usize], "{cells_max} cells");
        }
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
            same_as_reference(&words, 400, 1);
            let mut rng = Rng::new(seed);
            words.sort_by_cached_key(|_| rng.next_u64());
            prop_assert_eq!(trained(&words, 400, 1), first);
        }

        #[test]
        fn neither_rounds_nor_the_width_of_cells_change_the_merges(
            words in prop::collection::btree_map("[a-c]{1,9}|[ab]{9,20}", 1_u64..50, 0..60),
            places_max in 1_usize..40,
            min_frequency in 1_u64..5,
        ) {
            let mut sizes = Sizes::default();
            words.iter().for_each(|(word, count)| sizes.add(word.as_bytes(), *count));
            let give = |take: &mut dyn FnMut(&[u8], u64)| {
                words.iter().for_each(|(word, count)| take(word.as_bytes(), *count));
                Ok::<(), ()>(())
            };
            let plan = Plan::new(330, min_frequency, &["<eos>"]);
            let expected = learn(&plan, &sizes, give, &mut |_| {}).unwrap();
            let rounds = learn(&Plan { places_max, ..plan }, &sizes, give, &mut |_| {}).unwrap();
            let wide = race::<u32, ()>(&plan, &sizes, give, &mut |_| {}).unwrap();
            prop_assert_eq!((&rounds.tokens, &rounds.merges), (&expected.tokens, &expected.merges));
            prop_assert_eq!((&wide.tokens, &wide.merges), (&expected.tokens, &expected.merges));
        }
    }
}
