//! ROUGE (Lin 2004) with the numbers of `rouge-score` 0.1.2, without stemming: what lm-evaluation-harness asks of it.
//!
//! ```text
//! F = 2·P·R ÷ (P + R);   ROUGE-n over n-grams;   ROUGE-Lsum over the union of longest common subsequences of sentences
//! ```
//! Words are runs of ASCII letters and digits in lower case; sentences end at line ends.

use schemas::hash::FastMap;
use std::collections::{BTreeMap, BTreeSet};

/// F-measures, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rouge {
    /// Over words.
    pub one: f64,
    /// Over pairs of words.
    pub two: f64,
    /// Over common subsequences of sentences.
    pub l_sum: f64,
}

/// Scores an output against a reference.
pub fn rouge(reference: &str, output: &str) -> Rouge {
    let (target, found) = (words(reference), words(output));
    Rouge {
        one: overlap(&target, &found, 1),
        two: overlap(&target, &found, 2),
        l_sum: subsequences(&sentences(reference), &sentences(output)),
    }
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !matches!(c, 'a'..='z' | '0'..='9'));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn sentences(text: &str) -> Vec<Vec<String>> {
    text.split('\n').filter(|line| !line.is_empty()).map(words).collect()
}

fn f_measure(precision: f64, recall: f64) -> f64 {
    if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
}

fn overlap(target: &[String], found: &[String], order: usize) -> f64 {
    let counts = |words: &'_ [String]| {
        let mut counts: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        words.windows(order).for_each(|ngram| *counts.entry(ngram.to_vec()).or_insert(0) += 1);
        counts
    };
    let (target, found) = (counts(target), counts(found));
    let common: u64 = target.iter().map(|(ngram, &n)| found.get(ngram).map_or(0, |&m| n.min(m))).sum();
    let share =
        |counts: &BTreeMap<Vec<String>, u64>| common as f64 / counts.values().sum::<u64>().max(1) as f64;
    f_measure(share(&found), share(&target))
}

fn subsequences(target: &[Vec<String>], found: &[Vec<String>]) -> f64 {
    let count = |sentences: &[Vec<String>]| sentences.iter().map(Vec::len).sum::<usize>();
    let (all_target, all_found) = (count(target), count(found));
    if all_target == 0 || all_found == 0 {
        return 0.0;
    }
    // No word counts more often than either side has it.
    let left = |sentences: &[Vec<String>]| {
        let mut left: FastMap<String, u64> = FastMap::default();
        sentences.iter().flatten().for_each(|word| *left.entry(word.clone()).or_insert(0) += 1);
        left
    };
    let (mut left_target, mut left_found) = (left(target), left(found));
    let mut hits = 0_u64;
    for sentence in target {
        let union: BTreeSet<usize> = found.iter().flat_map(|other| longest_common(sentence, other)).collect();
        for word in union.into_iter().map(|at| &sentence[at]) {
            if let (Some(a), Some(b)) = (left_target.get_mut(word), left_found.get_mut(word))
                && *a > 0
                && *b > 0
            {
                (*a, *b, hits) = (*a - 1, *b - 1, hits + 1);
            }
        }
    }
    f_measure(hits as f64 / all_found as f64, hits as f64 / all_target as f64)
}

/// The places in `target` of one of the longest common subsequences.
fn longest_common(target: &[String], found: &[String]) -> Vec<usize> {
    let columns = found.len() + 1;
    let mut lengths = vec![0_u32; (target.len() + 1) * columns];
    for (i, a) in target.iter().enumerate() {
        for (j, b) in found.iter().enumerate() {
            lengths[(i + 1) * columns + j + 1] = if a == b {
                lengths[i * columns + j] + 1
            } else {
                lengths[i * columns + j + 1].max(lengths[(i + 1) * columns + j])
            };
        }
    }
    let (mut i, mut j) = (target.len(), found.len());
    let mut places = Vec::new();
    while i > 0 && j > 0 {
        if target[i - 1] == found[j - 1] {
            places.push(i - 1);
            (i, j) = (i - 1, j - 1);
        } else if lengths[i * columns + j - 1] > lengths[(i - 1) * columns + j] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, output: &str, expected: [f64; 3]) {
        let found = rouge(reference, output);
        let near =
            [found.one, found.two, found.l_sum].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near, "{reference:?} {output:?}: {found:?}, expected {expected:?}");
    }

    #[test]
    fn scores_are_those_of_rouge_score() {
        check("The quick brown fox jumps.", "the quick fox", [0.75, 1.0 / 3.0, 0.75]);
        check("", "a", [0.0, 0.0, 0.0]);
        check("naïve café", "naive cafe", [0.0, 0.0, 0.0]);
        check("a b c d", "d c b a", [1.0, 0.0, 0.25]);
        check("a b\nc d e", "c d\na b", [8.0 / 9.0, 4.0 / 7.0, 8.0 / 9.0]);
    }
}
