//! The rules of NeMo Curator 1.

use super::{LIMITS, NAMES, RULES as COUNT, Rules, duplicates, is_blank};
use crate::text::ngrams::{Counts, Joined};
use crate::text::words::Splitter;

pub(super) const RULES: Rules =
    Rules { words: Splitter::Whitespace, limits: LIMITS, reasons: NAMES, measure, empty: is_blank };

fn measure(text: &str, words: &[&str]) -> [f64; COUNT] {
    let total = text.chars().count() as f64;
    let mut counts = Counts::default();
    let mut measures = [0.0; COUNT];
    let paragraphs: Vec<&str> = text.split("\n\n").collect();
    let lines: Vec<&str> = text.split('\n').filter(|line| !is_blank(line)).collect();
    for (at, pieces) in [paragraphs, lines].iter().enumerate() {
        let (count, chars) = duplicates(pieces, &mut counts);
        let all: usize = pieces.iter().map(|piece| piece.chars().count()).sum();
        measures[2 * at] = count as f64 / pieces.len() as f64;
        measures[2 * at + 1] = chars as f64 / all.max(1) as f64;
    }
    let joined = Joined::new(words, true);
    for n in 2..=10 {
        measures[n + 2] = if words.len() < n {
            1.0
        } else if n < 5 {
            top(text, words, &joined, n, &mut counts) as f64 / total
        } else {
            later(&joined, n, &mut counts) as f64 / total
        };
    }
    measures
}

/// Characters that go with the most frequent n-gram wherever its words stand with one space between, inside longer words too.
fn top(text: &str, words: &[&str], joined: &Joined, n: usize, counts: &mut Counts) -> usize {
    let (mut most, mut most_at) = (0, 0);
    joined.walk(n, counts, |at, nth| {
        if nth > most {
            (most, most_at) = (nth, at);
        }
    });
    let first = (0..=most_at).find(|at| counts.total(*at) == most).unwrap_or(most_at);
    let gram = words[first..first + n].join(" ");
    memchr::memmem::find_iter(text.as_bytes(), &gram).count() * gram.chars().count()
}

/// Characters of later occurrences, words that two of them share counted once, with the spaces between.
fn later(joined: &Joined, n: usize, counts: &mut Counts) -> usize {
    let (mut chars, mut shared) = (0, 0);
    joined.walk(n, counts, |at, nth| {
        if nth > 1 {
            chars += joined.run_chars(at + shared, n - shared) + (n - shared).min(n - 1);
            shared = n;
        }
        shared = shared.saturating_sub(1);
    });
    chars
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Dialect, Repetition};
    use schemas::{Filter as _, Verdict};

    fn signals(text: &str) -> Vec<f64> {
        Repetition::new(&Config { dialect: Dialect::Nemo, ..Config::default() }).judge(text).signals
    }

    /// Worked out by hand.
    #[test]
    fn pieces() {
        // Lines are as they stand, spaces and all: "ab" and " ab" differ.
        assert_eq!(signals("ab\n ab\n\nab\n \ncd")[2..4], [1.0 / 4.0, 2.0 / 9.0]);
        // Four LF leave an empty paragraph, the second of them a duplicate.
        assert_eq!(signals("ab\n\n\n\n\n\nab")[..2], [2.0 / 4.0, 2.0 / 4.0]);
        let blank = Repetition::new(&Config { dialect: Dialect::Nemo, ..Config::default() }).judge(" \n");
        assert!(matches!(blank.verdict, Verdict::Dropped { reason: "empty", .. }));
    }

    #[test]
    fn n_grams() {
        // "a b" stands four times, once inside "la bo".
        assert_eq!(signals("a b a b a b la bo")[4], 12.0 / 17.0);
        // Broken by a line, it is not found.
        assert_eq!(signals("a\nb a\nb")[4], 0.0);
        // a b c d e again: 5 characters and 4 spaces; of 21.
        assert_eq!(signals("a b c d e f a b c d e")[7], 9.0 / 21.0);
        // Six times one word: the second run of five adds 5 + 4, as does each word after it 1 + 1.
        assert_eq!(signals("a a a a a a a")[7], 11.0 / 13.0);
        assert_eq!(signals("a b c")[6..], [1.0; 7]);
    }
}
