//! The windows of a text, gathered at anchors that every copy of a window has at the same place.
//!
//! A window is a run of `len` tokens, named by its hash. Its *anchor* is the run of half as many tokens in it whose hash is the least, of equal
//! ones the last: what a window holds alone decides it, so copies of a window have the same anchor at the same distance (winnowing;
//! Schleimer, Wilkerson and Aiken 2003). Windows in a row mostly share theirs: in random text there is one anchor for a quarter of `len`
//! windows. An anchor that stands once in a corpus rules out all its windows at once.
//!
//! Hashes are polynomials of the tokens modulo the prime 2^61 - 1. Window and anchor together have 122 bits.

use std::collections::VecDeque;
use std::ops::Range;

const PRIME: u64 = (1 << 61) - 1;
/// A number below the prime without structure: the first digits of pi.
const BASE: u64 = 0x0432_43f6_a888_5a30;

/// An anchor and the windows that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Its hash.
    pub(super) key: u64,
    /// Token that it begins at.
    pub(super) at: u32,
    /// Token that the first of its windows begins at; the others follow one by one.
    pub(super) first: u32,
    /// Hashes of the windows.
    pub(super) windows: Vec<u64>,
}

/// Tokens of an anchor.
pub(super) const fn anchor_len(len: usize) -> usize {
    len.div_ceil(2)
}

/// All windows of `len` tokens, at their anchors; none of a text of fewer tokens.
pub(super) fn anchors(tokens: &[u64], len: usize) -> Vec<Anchor> {
    let short = anchor_len(len);
    let windows = hashes(tokens, len);
    let grams: Vec<u64> = hashes(tokens, short).into_iter().map(mix).collect();
    let mut anchors: Vec<Anchor> = Vec::new();
    // Grams that can be the least of a window to come: they ascend in place and in value.
    let mut least: VecDeque<usize> = VecDeque::new();
    let mut next = 0;
    for (start, window) in windows.into_iter().enumerate() {
        while next <= start + len - short {
            while least.back().is_some_and(|last| grams[*last] >= grams[next]) {
                least.pop_back();
            }
            least.push_back(next);
            next += 1;
        }
        while least.front().is_some_and(|first| *first < start) {
            least.pop_front();
        }
        let at = *least.front().expect("a window has grams");
        match anchors.last_mut() {
            Some(last) if last.at as usize == at => last.windows.push(window),
            _ => anchors.push(Anchor {
                key: grams[at],
                at: at as u32,
                first: start as u32,
                windows: vec![window],
            }),
        }
    }
    anchors
}

/// Hashes of all runs of `len` tokens.
fn hashes(tokens: &[u64], len: usize) -> Vec<u64> {
    if tokens.len() < len || len == 0 {
        return Vec::new();
    }
    let token = |at: usize| tokens[at] % PRIME;
    let top = (1..len).fold(1, |power, _| times(power, BASE));
    let mut hash = (0..len).fold(0, |hash, at| plus(times(hash, BASE), token(at)));
    let mut hashes = Vec::with_capacity(tokens.len() - len + 1);
    hashes.push(hash);
    for at in len..tokens.len() {
        let gone = PRIME - times(token(at - len), top);
        hash = plus(times(plus(hash, gone), BASE), token(at));
        hashes.push(hash);
    }
    hashes
}

const fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= PRIME { sum - PRIME } else { sum }
}

const fn times(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    plus(product as u64 & PRIME, (product >> 61) as u64)
}

/// One to one, so that the least of several is any of them.
const fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

/// Adds a window of `len` tokens to ranges of tokens; windows come ascending.
pub(super) fn add(ranges: &mut Vec<Range<u32>>, start: u32, len: u32) {
    match ranges.last_mut() {
        Some(last) if last.end >= start => last.end = start + len,
        _ => ranges.push(start..start + len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn ranges_are_joined() {
        let joined = |starts: &[u32]| {
            let mut ranges = Vec::new();
            starts.iter().for_each(|start| add(&mut ranges, *start, 4));
            ranges
        };
        assert_eq!(joined(&[0, 1, 3, 9, 20]), [0..7, 9..13, 20..24]);
        assert_eq!(joined(&[0, 4, 20]), [0..8, 20..24]);
        assert_eq!(joined(&[]), Vec::<Range<u32>>::new());
    }

    #[test]
    fn random_text_has_few_anchors() {
        let rng = schemas::hash::Rng::new(7);
        let tokens: Vec<u64> = (0..100_000).map(|n| rng.at(n)).collect();
        let found = anchors(&tokens, 50);
        assert!((7000..8000).contains(&found.len()), "{}", found.len());
        assert_eq!(found.iter().map(|anchor| anchor.windows.len()).sum::<usize>(), 100_000 - 49);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn equal_windows_have_equal_hashes_and_anchors(tokens in prop::collection::vec(0_u64..3, 0..80), len in 2_usize..9) {
            let mut known: BTreeMap<&[u64], (u64, u64, u32)> = BTreeMap::new();
            let mut starts = Vec::new();
            for anchor in anchors(&tokens, len) {
                for (n, window) in anchor.windows.iter().enumerate() {
                    let start = anchor.first + n as u32;
                    starts.push(start as usize);
                    prop_assert!(start <= anchor.at && anchor.at as usize + anchor_len(len) <= start as usize + len);
                    let names = (*window, anchor.key, anchor.at - start);
                    let text = &tokens[start as usize..start as usize + len];
                    prop_assert_eq!(*known.entry(text).or_insert(names), names);
                }
            }
            prop_assert_eq!(starts, (0..(tokens.len() + 1).saturating_sub(len)).collect::<Vec<_>>());
            let hashes: std::collections::BTreeSet<u64> = known.values().map(|names| names.0).collect();
            prop_assert_eq!(hashes.len(), known.len());
        }
    }
}
