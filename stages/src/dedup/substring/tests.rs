//! What is cut, against an oracle that compares every window with every other.

use super::*;
use crate::dedup::driver::{batch, build, run};
use proptest::prelude::*;
use schemas::Value;
use std::collections::BTreeMap;

fn settings(unit: &str, tokens_min: i64, words_min: i64) -> [(&'static str, Value); 3] {
    [
        ("unit", Value::from(unit)),
        ("tokens_min", Value::Integer(tokens_min)),
        ("words_min", Value::Integer(words_min)),
    ]
}

/// What becomes of each text.
fn left(set: &[(&str, Value)], rows: &[(String, String)], size: usize, partitions: usize) -> Vec<String> {
    let parts: Vec<RecordBatch> = rows
        .chunks(size)
        .map(|part| {
            batch(column::TEXT, &part.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect::<Vec<_>>())
        })
        .collect();
    let mut left = Vec::new();
    for outcome in run(build(&SPEC, set).as_ref(), &parts, partitions).unwrap() {
        let texts: &arrow::array::StringArray = outcome.columns[0].1.as_any().downcast_ref().unwrap();
        left.extend(outcome.verdicts.iter().zip(texts).map(|(verdict, text)| match verdict {
            Verdict::Dropped { reason, value, limit, .. } => format!("{reason} {value} of {limit}"),
            Verdict::Edited => text.unwrap().to_owned(),
            Verdict::Kept => format!("={}", text.unwrap()),
        }));
    }
    left
}

fn check(set: &[(&str, Value)], rows: &[(&str, &str)], expected: &[&str]) {
    let rows: Vec<(String, String)> = rows.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
    assert_eq!(left(set, &rows, 2, 3), expected);
}

#[test]
fn words() {
    check(
        &settings("word", 4, 1),
        &[
            ("a", "The old mill stands by the river."),
            ("b", "Look: the OLD mill stands by a lake, it says."),
            ("c", "the old mill stands"),
            ("d", "the old mill"),
            ("e", "Oh!\nThe  old -- mill stands\n\nby the river; so\nit is"),
            ("f", "one two three four. One two, three four?"),
        ],
        &[
            "=The old mill stands by the river.",
            "Look: a lake, it says.",
            "nothing_left 0 of 1",
            "=the old mill",
            "Oh!\nso\nit is",
            "one two three four.",
        ],
    );
    check(
        &settings("word", 4, 3),
        &[("a", "one two three four"), ("b", "one two three four five six")],
        &["=one two three four", "too_few_words 2 of 3"],
    );
}

#[test]
fn bytes() {
    check(
        &settings("byte", 4, 0),
        &[("a", "xéabcd"), ("b", "yéabcd"), ("c", "abc"), ("d", "zzzzzzzzz9 x"), ("e", "qqqqqqq")],
        &["=xéabcd", "y", "=abc", "zzzz9 x", "=qqqqqqq"],
    );
    // The second half of é is part of the run and stays all the same.
    check(&settings("byte", 3, 0), &[("a", "éxy"), ("b", "\u{129}xy w")], &["=éxy", "\u{129} w"]);
}

/// The tokens that stay of each document: a window that stands before without touching is cut.
fn oracle(documents: &[Vec<u8>], len: usize) -> Vec<Vec<bool>> {
    let mut first: BTreeMap<Vec<u8>, (usize, usize)> = BTreeMap::new();
    let mut stays = Vec::new();
    for (document, tokens) in documents.iter().enumerate() {
        let mut stay = vec![true; tokens.len()];
        for (at, window) in tokens.windows(len).enumerate() {
            let (known, start) = *first.entry(window.to_vec()).or_insert((document, at));
            if known != document || at >= start + len {
                stay[at..at + len].fill(false);
            }
        }
        stays.push(stay);
    }
    stays
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn cuts_are_those_of_the_oracle_in_any_order(
        documents in prop::collection::vec((prop::collection::vec(0_u8..3, 0..30), prop::collection::vec(0_u8..26, 0..9)), 1..8),
        copies in prop::collection::vec((0_usize..8, 0_usize..8), 0..4),
        len in 2_i64..9,
        seed in 0_u64..1000,
        size in 1_usize..4,
    ) {
        let mut documents: Vec<Vec<u8>> =
            documents.into_iter().map(|(few, many)| [few, many].concat()).collect();
        for (from, to) in copies {
            let from = documents[from % documents.len()].clone();
            let to = to % documents.len();
            documents[to].extend(from);
        }
        let word = |n: &u8| format!("{}", char::from(b'a' + n));
        let rows: Vec<(String, String)> = documents
            .iter()
            .enumerate()
            .map(|(n, tokens)| (format!("d{n}"), tokens.iter().map(word).collect::<Vec<_>>().join(" ")))
            .collect();
        let set = settings("word", len, 0);
        let found = left(&set, &rows, rows.len(), 1);
        for ((tokens, stay), found) in documents.iter().zip(oracle(&documents, len as usize)).zip(&found) {
            let expected: Vec<String> =
                tokens.iter().zip(&stay).filter(|(_, stay)| **stay).map(|(n, _)| word(n)).collect();
            let expected = expected.join(" ");
            if stay.iter().all(|stay| *stay) {
                prop_assert_eq!(found, &format!("={expected}"));
            } else if expected.is_empty() {
                prop_assert_eq!(found, "nothing_left 0 of 1");
            } else {
                prop_assert_eq!(found, &expected);
            }
        }
        let by_name: BTreeMap<_, _> = rows.iter().map(|(name, _)| name).zip(&found).collect();
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|(name, _)| schemas::hash::seed(seed, name, 0));
        let again = left(&set, &shuffled, size, 4);
        let again: BTreeMap<_, _> = shuffled.iter().map(|(name, _)| name).zip(&again).collect();
        prop_assert_eq!(again, by_name);
    }
}

#[test]
fn a_run_that_thousands_have_is_sorted_on_disk() {
    let rows: Vec<(String, String)> =
        (0..GROUP_MAX + 10).map(|n| (format!("d{n:05}"), format!("w{n} one two three four x{n}"))).collect();
    let found = left(&settings("word", 4, 1), &rows, 100, 2);
    assert_eq!(found[0], "=w0 one two three four x0");
    assert!((1..rows.len()).all(|n| found[n] == format!("w{n} x{n}")));
}
