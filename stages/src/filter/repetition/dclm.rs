//! The rules of DCLM (`massive_web_repetition_filters`).

use super::{LIMITS, NAMES, RULES as COUNT, Rules, is_blank};
use crate::text::chars::is_letter_or_number;
use crate::text::lines::is_python_space;
use crate::text::ngrams::{Counts, Joined};
use crate::text::words::Splitter;
use xxhash_rust::xxh3::xxh3_64;

pub(super) const RULES: Rules =
    Rules { words: Splitter::Uax29, limits: LIMITS, reasons: NAMES, measure, empty: is_blank };

fn measure(text: &str, words: &[&str]) -> [f64; COUNT] {
    let mut counts = Counts::default();
    let mut measures = [0.0; COUNT];
    for (at, mark) in ["\n\n", "\n"].into_iter().enumerate() {
        let pieces: Vec<&str> = text
            .split(mark)
            .map(|piece| piece.trim_matches(is_python_space))
            .filter(|p| !p.is_empty())
            .collect();
        [measures[2 * at], measures[2 * at + 1]] = repeated(&pieces, &mut counts);
    }
    let words: Vec<&str> =
        words.iter().copied().filter(|word| word.starts_with(is_letter_or_number)).collect();
    let total: usize = words.iter().map(|word| word.chars().count()).sum();
    let joined = Joined::new(&words, true);
    for n in 2..=10 {
        let chars =
            if n < 5 { top(&joined, n, &mut counts) } else { covered(&joined, n, words.len(), &mut counts) };
        measures[n + 2] = if total == 0 { 0.0 } else { chars as f64 / total as f64 };
    }
    measures
}

/// Pieces that are there more than once: their share of the pieces and of the characters. A piece alone is none.
fn repeated(pieces: &[&str], counts: &mut Counts) -> [f64; 2] {
    counts.clear();
    let hashes: Vec<u64> = pieces.iter().map(|piece| xxh3_64(piece.as_bytes())).collect();
    hashes.iter().for_each(|hash| {
        counts.add(*hash, 0);
    });
    let (mut all, mut chars, mut count) = (0, 0, 0);
    for (piece, hash) in pieces.iter().zip(&hashes) {
        let length = piece.chars().count();
        all += length;
        if counts.of(*hash) > 1 {
            chars += length;
            count += 1;
        }
    }
    [f64::from(count) / pieces.len() as f64, chars as f64 / all as f64]
}

/// Characters of the longest among the most frequent n-grams, times its occurrences; 0 when none is there twice.
fn top(joined: &Joined, n: usize, counts: &mut Counts) -> usize {
    let mut most = 1;
    let mut places = 0;
    joined.walk(n, counts, |_, nth| {
        most = most.max(nth);
        places += 1;
    });
    if most == 1 {
        return 0;
    }
    let longest = (0..places).filter(|at| counts.total(*at) == most).map(|at| joined.run_chars(at, n)).max();
    longest.unwrap_or(0) * most as usize
}

/// Characters of the words that a repeated n-gram covers.
fn covered(joined: &Joined, n: usize, words: usize, counts: &mut Counts) -> usize {
    let mut places = 0;
    joined.walk(n, counts, |_, _| places += 1);
    let (mut chars, mut past) = (0, 0);
    for at in (0..places).filter(|at| counts.total(*at) > 1) {
        let from = past.max(at);
        past = at + n;
        debug_assert!(past <= words);
        chars += joined.run_chars(from, past - from);
    }
    chars
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Dialect, Repetition};
    use schemas::{Filter as _, Verdict};

    fn signals(text: &str) -> Vec<f64> {
        Repetition::new(&Config { dialect: Dialect::Dclm, ..Config::default() }).judge(text).signals
    }

    /// Worked out by hand.
    #[test]
    fn pieces() {
        // Lines ab, ab, cde: two of three, 4 of 7 characters. Paragraphs "ab\n ab" and cde.
        assert_eq!(signals("ab\n ab \n\n\ncde")[..4], [0.0, 0.0, 2.0 / 3.0, 4.0 / 7.0]);
        assert_eq!(signals("a\n\na\n\nb")[..2], [2.0 / 3.0, 2.0 / 3.0]);
        assert_eq!(signals("alone")[..4], [0.0; 4]);
        let blank = Repetition::new(&Config { dialect: Dialect::Dclm, ..Config::default() }).judge(" \n");
        assert!(matches!(blank.verdict, Verdict::Dropped { reason: "empty", .. }));
    }

    #[test]
    fn n_grams() {
        // a b twice and c dd twice: the longer one, 3 of 11 characters, times 2. Marks and spaces do not count.
        assert_eq!(signals("a b! c dd; a b x c dd")[4], 6.0 / 11.0);
        // Nothing twice is nothing.
        assert_eq!(signals("a b c d")[4..], [0.0; 9]);
        // a b c d e f a b c d e: two runs of five words at both ends, 10 of 11.
        assert_eq!(signals("a b c d e f a b c d e")[7], 10.0 / 11.0);
        // Seven times one word: every run of five is repeated and all are covered once.
        assert_eq!(signals("a a a a a a a")[7], 1.0);
        assert_eq!(signals("")[4..], [0.0; 9]);
    }
}
