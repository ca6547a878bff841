//! The rules of Dolma: the tagger `gopher_v2` of dolma 1.2.1 under the limits of its mix for Common Crawl.

use super::{NAMES, RULES as COUNT, Rules, pieces};
use crate::text::ngrams::{Counts, Joined};
use crate::text::words::Splitter;
use xxhash_rust::xxh3::xxh3_64;

pub(super) const RULES: Rules = Rules {
    words: Splitter::Whitespace,
    // Lines may be duplicates for 0.3 of the characters too, where the paper has 0.2.
    limits: [0.30, 0.20, 0.30, 0.30, 0.20, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10],
    reasons: NAMES,
    measure,
    empty: str::is_empty,
};

fn measure(text: &str, words: &[&str]) -> [f64; COUNT] {
    let mut counts = Counts::default();
    let mut measures = [0.0; COUNT];
    let total: usize = words.iter().map(|word| word.chars().count()).sum();
    let of = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let lines = pieces(text, 1);
    let hashes: Vec<u64> = lines.iter().map(|line| xxh3_64(line.as_bytes())).collect();
    hashes.iter().for_each(|hash| {
        counts.add(*hash, 0);
    });
    let repeated = lines.iter().zip(&hashes).filter(|(_, hash)| counts.of(**hash) > 1);
    let (count, chars) =
        repeated.fold((0, 0), |(count, chars), (line, _)| (count + 1, chars + line.chars().count()));
    (measures[2], measures[3]) = (of(count, lines.len()), of(chars, total));
    let joined = Joined::new(words, true);
    for n in 2..=10 {
        let mut places = 0;
        let (mut most, mut most_at) = (0, 0);
        joined.walk(n, &mut counts, |at, nth| {
            places = at + 1;
            if nth > most {
                (most, most_at) = (nth, at);
            }
        });
        if places == 0 {
            continue;
        }
        measures[n + 2] = if n < 5 {
            let first = (0..=most_at).find(|at| counts.total(*at) == most).unwrap_or(most_at);
            of(joined.run_chars(first, n) * most as usize, total)
        } else {
            let (mut mass, mut repeated) = (0, 0);
            for at in 0..places {
                let chars = joined.run_chars(at, n);
                mass += chars;
                repeated += if counts.total(at) > 1 { chars } else { 0 };
            }
            of(repeated, mass)
        };
    }
    measures
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Dialect, Repetition};
    use schemas::Filter as _;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    fn signals(text: &str) -> Vec<f64> {
        Repetition::new(&Config { dialect: Dialect::Dolma, ..Config::default() }).judge(text).signals
    }

    /// Worked out by hand.
    #[test]
    fn lines_and_n_grams() {
        // Empty, ab, ab, cde, empty: the two empty lines are duplicates too.
        assert_eq!(signals("\nab\n\nab\ncde\n")[2..4], [4.0 / 5.0, 4.0 / 7.0]);
        // b dd and a b are there twice, b dd first: 3 characters twice, of 9.
        assert_eq!(signals("b dd a b dd a b")[4], 6.0 / 9.0);
        // Nothing twice: the first n-gram counts all the same.
        assert_eq!(signals("aa b c d")[4], 3.0 / 5.0);
        // Seven runs of five words, the first and the last the same: 10 of 35.
        assert_eq!(signals("a b c d e f a b c d e")[7], 10.0 / 35.0);
        assert_eq!(signals("a b"), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    /// Texts with what the tagger of dolma 1.2.1 measures of them: `benches/peers/dolma_gopher.py`.
    #[test]
    fn signals_of_dolma() {
        for line in include_str!("../gopher/dolma.jsonl").lines() {
            let row: BTreeMap<&str, &RawValue> = serde_json::from_str(line).unwrap();
            let text: String = serde_json::from_str(row["text"].get()).unwrap();
            // By the standard library: serde_json rounds some numbers the wrong way.
            let numbers = row["repetition"].get().trim_matches(['[', ']']).split(", ");
            let expected: Vec<f64> = numbers.map(|n| n.parse().unwrap()).collect();
            assert_eq!(signals(&text)[2..], expected, "{text:?}");
        }
    }
}
