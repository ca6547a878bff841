//! What is cut, by each unit, and that neither order nor partitions matter.

use super::*;
use crate::dedup::driver::{batch, build, run};
use proptest::prelude::*;
use schemas::Value;
use std::collections::BTreeMap;

/// What becomes of each text.
fn check(unit: &str, words_min: i64, rows: &[(&str, &str)]) -> String {
    let set = [("unit", Value::from(unit)), ("words_min", Value::Integer(words_min))];
    let part = batch(column::TEXT, rows);
    let outcome = run(build(&SPEC, &set).as_ref(), std::slice::from_ref(&part), 3).unwrap().remove(0);
    let texts = outcome.columns[0].1.clone();
    let texts: &arrow::array::StringArray = texts.as_any().downcast_ref().unwrap();
    let word = |(row, verdict): (usize, &Verdict)| match verdict {
        Verdict::Dropped { reason, value, limit, .. } => format!("{reason} {value} of {limit}"),
        Verdict::Edited => format!("{:?}", texts.value(row)),
        Verdict::Kept => "kept".to_owned(),
    };
    outcome.verdicts.iter().enumerate().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn lines() {
    let rows = [
        ("a", "Home | News\nA mill turns.\nHome | News"),
        ("b", "HOME | NEWS\nThe wind blows."),
        ("c", "home | news\n12 May"),
        ("d", "34 MAY"),
        ("e", "\n\n"),
    ];
    assert_eq!(
        check("line", 2, &rows),
        r#""Home | News\nA mill turns.", "The wind blows.", "12 May", nothing_left 0 of 1, kept"#
    );
    assert_eq!(check("line", 2, &[("a", "x y\nz"), ("b", "x y\nw")]), "kept, too_few_words 1 of 2");
}

#[test]
fn paragraphs() {
    let rows = [("a", "One\ntwo.\n\nThree."), ("b", "Zero.\n\none  two.\n\n\nthree four.")];
    assert_eq!(check("paragraph", 0, &rows), r#"kept, "Zero.\n\nthree four.""#);
}

#[test]
fn spans_of_three_sentences() {
    let text = "A mill turns. The wind blows! It is 12 o'clock.";
    let rows = [
        ("a", format!("{text} One more.")),
        (
            "b",
            format!("It starts. {} So it ends. Then more. And more.", text.to_uppercase().replace("12", "7")),
        ),
        ("c", "A mill turns. The wind blows! It rains.".to_owned()),
        ("d", text.to_owned()),
    ];
    let rows: Vec<(&str, &str)> = rows.iter().map(|(name, text)| (*name, text.as_str())).collect();
    assert_eq!(
        check("c4_spans", 0, &rows),
        r#"kept, "It starts. So it ends. Then more. And more.", kept, nothing_left 0 of 1"#
    );
    assert_eq!(check("c4_spans", 50, &rows[..2]), "kept, too_few_words 13 of 50");
    let few = [rows[0], ("b", "It starts. A mill turns. The wind blows! It is 12 o'clock.")];
    assert_eq!(check("c4_spans", 0, &few), "kept, too_few_sentences 1 of 3");
}

#[test]
fn a_document_that_is_read_twice_is_not_cut() {
    let rows = [("a", "one two\nthree"), ("a", "one two\nthree")];
    assert_eq!(check("line", 0, &rows), "kept, kept");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn each_line_stands_once_in_any_order(
        rows in prop::collection::vec(prop::collection::vec(0_u8..12, 0..8), 1..9),
        seed in 0_u64..1000,
        size in 1_usize..5,
    ) {
        let line = |n: &u8| char::from(b'a' + n).to_string();
        let rows: Vec<(String, String)> = rows
            .iter()
            .enumerate()
            .map(|(n, lines)| (format!("d{n}"), lines.iter().map(line).collect::<Vec<_>>().join("\n")))
            .collect();
        let set = [("unit", Value::from("line")), ("words_min", Value::Integer(0))];
        let left = |rows: &[(String, String)], size: usize, partitions: usize| {
            let parts: Vec<RecordBatch> = rows.chunks(size).map(|part| {
                let part: Vec<(&str, &str)> = part.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
                batch(column::TEXT, &part)
            }).collect();
            let outcomes = run(build(&SPEC, &set).as_ref(), &parts, partitions).unwrap();
            let mut left = BTreeMap::new();
            let mut names = rows.iter().map(|(name, _)| name.clone());
            for outcome in outcomes {
                let texts: &arrow::array::StringArray = outcome.columns[0].1.as_any().downcast_ref().unwrap();
                for text in texts {
                    left.insert(names.next().unwrap(), text.unwrap().to_owned());
                }
            }
            left
        };
        let expected = left(&rows, rows.len(), 1);
        let mut seen: Vec<&str> = expected.values().flat_map(|text| text.split('\n')).filter(|l| !l.is_empty()).collect();
        let mut all: Vec<&str> = rows.iter().flat_map(|(_, text)| text.split('\n')).filter(|l| !l.is_empty()).collect();
        seen.sort_unstable();
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(&seen, &all);
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|(name, _)| schemas::hash::seed(seed, name, 0));
        prop_assert_eq!(left(&shuffled, size, 4), expected);
    }
}
