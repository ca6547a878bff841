//! The rule of datatrove 0.10.1: one n-gram of an answer, or of the end of a question with the start of an answer, is enough.
//!
//! Words are those of its normalisation, n-grams are compared by XXH64. Of an n-gram that several sets have the last by name is told.

use super::items::{Item, Set};
use super::{Find, Finder};
use crate::text::datatrove::Words;
use crate::text::letters::Letters;
use crate::text::xxh64::xxh64;
use schemas::hash::{FastMap, FastSet};

/// N-grams of all items.
#[derive(Debug)]
pub(super) struct Datatrove {
    n: usize,
    grams: FastMap<u64, (u32, u32)>,
    unusable: Vec<u64>,
}

impl Datatrove {
    /// Hashes the n-grams of all items.
    pub(super) fn new(sets: &[Set], n: usize) -> Self {
        let (mut grams, mut unusable) = (FastMap::default(), vec![0; sets.len()]);
        for (set, Set { items, .. }) in sets.iter().enumerate() {
            // The first item of a set that has an n-gram, and the last set.
            let mut own = FastSet::default();
            for (at, item) in items.iter().enumerate() {
                let mut count = 0;
                for hash in hashes(item, n) {
                    count += 1;
                    if own.insert(hash) {
                        grams.insert(hash, (set as u32, at as u32));
                    }
                }
                unusable[set] += u64::from(count == 0);
            }
        }
        Self { n, grams, unusable }
    }
}

/// The n-grams of each answer, and those over the end of the question and the start of the answer. A text without answers is one.
fn hashes(item: &Item, n: usize) -> Vec<u64> {
    let query = Words::of(&item.query);
    if item.golds.is_empty() {
        return query.ngram_hashes(n).collect();
    }
    let mut hashes = Vec::new();
    for gold in &item.golds {
        let gold = Words::of(gold);
        hashes.extend(gold.ngram_hashes(n));
        for tail in 1..n {
            let head = n - tail;
            if query.len() >= tail && gold.len() >= head {
                let ngram = format!("{} {}", query.run(query.len() - tail..query.len()), gold.run(0..head));
                hashes.push(xxh64(ngram.as_bytes()));
            }
        }
    }
    hashes
}

impl Finder for Datatrove {
    /// The first n-gram; its range is the whole text, for the words are those of the normalised one.
    fn find(&self, text: &str, _letters: &mut Letters, out: &mut Vec<Find>) {
        let words = Words::of(text);
        let found = words.ngram_hashes(self.n).find_map(|hash| self.grams.get(&hash));
        if let Some(&(set, item)) = found {
            out.push(Find { set, item, gram: 0, range: 0..text.len(), share: 1.0, common: false });
        }
    }

    /// The n-gram, normalised.
    fn words(&self, text: &str, _find: &Find) -> String {
        let words = Words::of(text);
        let mut ngrams = words.ngrams(self.n);
        ngrams.find(|ngram| self.grams.contains_key(&xxh64(ngram.as_bytes()))).unwrap_or_default().to_owned()
    }

    fn unusable(&self, set: usize) -> u64 {
        self.unusable[set]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(query: &str, golds: &[&str]) -> Item {
        let golds = golds.iter().map(|gold| (*gold).to_owned()).collect();
        Item { query: query.into(), golds, ..Item::default() }
    }

    #[test]
    fn ngrams_are_those_of_the_answer_and_of_the_seam() {
        let check = |query: &str, golds: &[&str], expected: &[&str]| {
            let mut found = hashes(&item(query, golds), 4);
            let mut expected: Vec<u64> = expected.iter().map(|ngram| xxh64(ngram.as_bytes())).collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{query} | {golds:?}");
        };
        let seam = ["c d e f", "d e f g", "e f g h"];
        check("A b, c D e", &["f G h, i j"], &[&seam[..], &["f g h i", "g h i j"]].concat());
        check("d e", &["f"], &[]);
        check("c d e", &["f"], &["c d e f"]);
        check("a b c d e", &[], &["a b c d", "b c d e"]);
    }

    #[test]
    fn the_last_set_by_name_is_told() {
        let set =
            |name: &str| Set { name: name.into(), items: vec![item("q w e r t y", &["one two three"])] };
        let finder = Datatrove::new(&[set("a"), set("b")], 4);
        let mut out = Vec::new();
        finder.find("he said: T, Y; one... two", &mut Letters::default(), &mut out);
        assert_eq!(out.iter().map(|find| (find.set, find.item)).collect::<Vec<_>>(), [(1, 0)]);
        out.clear();
        finder.find("he said: q w e r t", &mut Letters::default(), &mut out);
        assert_eq!(out, []);
    }
}
