//! The rule of GPT-3 and of NeMo Curator's task decontamination: n-grams of questions, of which common ones are left alone.
//!
//! Words are runs of letters, numbers and `_` in lower case. A question of `n` words and more gives all its n-grams; one of eight words
//! and more gives one of all its words; a shorter one gives none. A text is read from its start: where one of these begins, the longest
//! is taken, and the search goes on behind it.

use super::items::Set;
use super::{Find, Finder};
use crate::text::chars::is_letter_or_number;
use crate::text::letters::Letters;
use schemas::hash::{FastMap, FastSet};
use std::collections::BTreeSet;
use std::ops::Range;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Fewest words of a question.
const WORDS_MIN: usize = 8;

/// N-grams of all items.
#[derive(Debug)]
pub(super) struct Nemo {
    /// Set, item and number by hash.
    grams: FastMap<u128, (u32, u32, u32)>,
    /// Lengths that there are, the longest first.
    lens: Vec<usize>,
    /// The first words of all n-grams, as many as the shortest has.
    starts: FastSet<u64>,
    unusable: Vec<u64>,
}

impl Nemo {
    /// Hashes the n-grams of all items; one that several have is of the first.
    pub(super) fn new(sets: &[Set], n: usize) -> Self {
        let (mut grams, mut lens) = (FastMap::default(), BTreeSet::new());
        let mut unusable = vec![0; sets.len()];
        for (set, Set { items, .. }) in sets.iter().enumerate() {
            for (at, item) in items.iter().enumerate() {
                let words = words(&item.query);
                if words.len() < WORDS_MIN.min(n) {
                    unusable[set] += 1;
                    continue;
                }
                let len = n.min(words.len());
                lens.insert(len);
                for gram in words.windows(len) {
                    let number = grams.len() as u32;
                    grams.entry(hash(gram)).or_insert((set as u32, at as u32, number));
                }
            }
        }
        let lens: Vec<usize> = lens.into_iter().rev().collect();
        let mut starts = FastSet::default();
        let items = sets.iter().flat_map(|set| &set.items);
        for words in items.map(|item| words(&item.query)).filter(|words| words.len() >= WORDS_MIN.min(n)) {
            let shortest = lens.last().copied().unwrap_or(1);
            starts.extend(words.windows(shortest).map(start));
        }
        Self { grams, lens, starts, unusable }
    }
}

/// A word by its hash, and where it stands.
type Word = (u64, Range<usize>);

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::with_capacity(text.len() / 6);
    let mut start = None;
    let mut small = String::new();
    let mut end = |from: usize, to: usize| {
        small.clear();
        if text[from..to].is_ascii() {
            small.push_str(&text[from..to]);
            small.make_ascii_lowercase();
        } else {
            small.extend(text[from..to].chars().flat_map(char::to_lowercase));
        }
        words.push((xxh3_64(small.as_bytes()), from..to));
    };
    for (at, c) in text.char_indices() {
        if is_letter_or_number(c) || c == '_' {
            start.get_or_insert(at);
        } else if let Some(from) = start.take() {
            end(from, at);
        }
    }
    if let Some(from) = start {
        end(from, text.len());
    }
    words
}

/// A hash that costs less than that of an n-gram, for most places of a text have none.
fn start(words: &[Word]) -> u64 {
    words.iter().fold(0, |all, (hash, _)| (all.rotate_left(5) ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn hash(words: &[Word]) -> u128 {
    let hashes: Vec<[u8; 8]> = words.iter().map(|(hash, _)| hash.to_le_bytes()).collect();
    xxh3_128(hashes.as_flattened())
}

impl Finder for Nemo {
    fn find(&self, text: &str, _letters: &mut Letters, out: &mut Vec<Find>) {
        let words = words(text);
        let Some(&shortest) = self.lens.last() else { return };
        let mut at = 0;
        while at < words.len() {
            if words.get(at..at + shortest).is_none_or(|words| !self.starts.contains(&start(words))) {
                at += 1;
                continue;
            }
            let found = self.lens.iter().find_map(|len| {
                let gram = words.get(at..at + len)?;
                self.grams.get(&hash(gram)).map(|found| (*len, *found))
            });
            let Some((len, (set, item, gram))) = found else {
                at += 1;
                continue;
            };
            let range = words[at].1.start..words[at + len - 1].1.end;
            out.push(Find { set, item, gram, range, share: 1.0, common: true });
            at += len;
        }
    }

    fn unusable(&self, set: usize) -> u64 {
        self.unusable[set]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decontaminate::items::Item;

    #[test]
    fn the_longest_ngram_is_taken_and_the_search_goes_on_behind_it() {
        let query = |query: &str| Item { query: query.into(), ..Item::default() };
        let long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
        let items = vec![query(long), query("a b c d e f g h"), query("too short")];
        let nemo = Nemo::new(&[Set { name: "s".into(), items }], 13);
        assert_eq!((nemo.grams.len(), nemo.unusable(0)), (3, 1));
        let text = format!("x {} y, A-B c d\u{e9} A b, C d e_ A b C d e f G h!", long.to_uppercase());
        let mut out = Vec::new();
        nemo.find(&text, &mut Letters::default(), &mut out);
        let found: Vec<_> =
            out.iter().map(|find| (find.item, find.gram, &text[find.range.clone()])).collect();
        let first = long.to_uppercase();
        assert_eq!(found, [(0, 0, first.trim_end_matches(" FOURTEEN")), (1, 2, "A b C d e f G h")]);
    }
}
