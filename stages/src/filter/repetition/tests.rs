//! Each rule, its limits, and the order of what is told.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn check(text: &str, expected: Option<&str>) {
    let judgement = Repetition::new(&Config::default()).judge(text);
    let found = match judgement.verdict {
        Verdict::Dropped { reason, .. } => Some(reason),
        _ => None,
    };
    assert_eq!(found, expected, "{text:?}: {:?}", judgement.signals);
    assert_eq!(judgement.signals.len(), NAMES.len());
}

fn numbers(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_rule_has_its_reason() {
    check("", Some("empty"));
    check(&numbers(0, 60), None);
    check("a\n\na\n\nb", Some("duplicate_paragraphs"));
    let long = numbers(0, 20);
    check(&format!("{long}\n\nb\n\nc\n\nd\n\n{long}"), Some("duplicate_paragraph_chars"));
    check("so it goes\nso it goes\nso it goes", Some("duplicate_lines"));
    check(&format!("{long}\nb\nc\nd\n{long}"), Some("duplicate_line_chars"));
    check("x x x x x x x x", Some("top_2_gram"));
    check(
        &format!("{} {}", numbers(0, 40), "a b c d e f g h i j k l m n o p ".repeat(4)),
        Some("duplicate_5_grams"),
    );
}

/// All rules off.
fn off() -> Config {
    Config {
        words: Some(Splitter::Whitespace),
        paragraphs_max: Some(0.0),
        paragraph_chars_max: Some(0.0),
        lines_max: Some(0.0),
        line_chars_max: Some(0.0),
        top_2_gram_max: Some(0.0),
        top_3_gram_max: Some(0.0),
        top_4_gram_max: Some(0.0),
        duplicate_5_grams_max: Some(0.0),
        duplicate_6_grams_max: Some(0.0),
        duplicate_7_grams_max: Some(0.0),
        duplicate_8_grams_max: Some(0.0),
        duplicate_9_grams_max: Some(0.0),
        duplicate_10_grams_max: Some(0.0),
        ..Config::default()
    }
}

/// The limit is met exactly by the first text and passed by the second.
fn check_limit(config: &Config, reason: &str, at_limit: &str, beyond: &str) {
    let stage = Repetition::new(config);
    assert_eq!(stage.judge(at_limit).verdict, Verdict::Kept, "{reason}: {at_limit:?}");
    let found = stage.judge(beyond).verdict;
    assert!(matches!(found, Verdict::Dropped { reason: r, .. } if r == reason), "{reason}: {found:?}");
}

/// Ten pieces of which some are the first again.
fn ten(again: usize, between: &str) -> String {
    let piece = |n: usize| if n < again { "piece 0".to_owned() } else { format!("piece {}", n - again) };
    (0..10).map(piece).collect::<Vec<_>>().join(between)
}

#[test]
fn what_is_at_a_limit_is_kept() {
    let lines = Config { lines_max: Some(0.3), ..off() };
    check_limit(&lines, "duplicate_lines", &ten(3, "\n"), &ten(4, "\n"));
    check_limit(&lines, "duplicate_lines", &ten(3, "\r\n"), &ten(4, "\r\n"));
    let paragraphs = Config { paragraphs_max: Some(0.3), ..off() };
    check_limit(&paragraphs, "duplicate_paragraphs", &ten(3, "\n\n\n"), &ten(4, "\n\n"));
    // Characters, not bytes: the same figures in every script.
    for c in ["x", "\u{e9}", "\u{65e5}", "\u{1f600}", "\u{301}"] {
        let twenty = c.repeat(20);
        let chars = Config { line_chars_max: Some(0.2), ..off() };
        let text = |rest: usize| format!("{twenty}\n{twenty}\n{}", c.repeat(rest));
        check_limit(&chars, "duplicate_line_chars", &text(58), &text(57));
        let chars = Config { paragraph_chars_max: Some(0.2), ..off() };
        let text = |rest: usize| format!("{twenty}\n\n{twenty}\n\n{}", c.repeat(rest));
        check_limit(&chars, "duplicate_paragraph_chars", &text(56), &text(55));
    }
}

#[test]
fn runs_of_words_at_a_limit_are_kept() {
    for (config, reason, run, rest) in [
        // Twice the run with its spaces: 10 of 50, 18 of 100, 16 of 100 characters.
        (Config { top_2_gram_max: Some(0.20), ..off() }, "top_2_gram", "ab cd", 38),
        (Config { top_3_gram_max: Some(0.18), ..off() }, "top_3_gram", "abc de fg", 80),
        (Config { top_4_gram_max: Some(0.16), ..off() }, "top_4_gram", "ab c d e", 82),
        // The second run without its spaces: 15, 14, 13, 12, 11 and 10 of 100.
        (
            Config { duplicate_5_grams_max: Some(0.15), ..off() },
            "duplicate_5_grams",
            "aaa bbb ccc ddd eee",
            60,
        ),
        (
            Config { duplicate_6_grams_max: Some(0.14), ..off() },
            "duplicate_6_grams",
            "aaa bbb cc dd ee ff",
            60,
        ),
        (
            Config { duplicate_7_grams_max: Some(0.13), ..off() },
            "duplicate_7_grams",
            "aa bb cc dd ee ff g",
            60,
        ),
        (
            Config { duplicate_8_grams_max: Some(0.12), ..off() },
            "duplicate_8_grams",
            "aa bb cc dd e f g h",
            60,
        ),
        (
            Config { duplicate_9_grams_max: Some(0.11), ..off() },
            "duplicate_9_grams",
            "aa bb c d e f g h i",
            60,
        ),
        (
            Config { duplicate_10_grams_max: Some(0.10), ..off() },
            "duplicate_10_grams",
            "a b c d e f g h i j",
            60,
        ),
    ] {
        let text = |rest: usize| format!("{run} {run} {}", "z".repeat(rest));
        check_limit(&config, reason, &text(rest), &text(rest - 1));
    }
}

#[test]
fn one_word_and_texts_shorter_than_a_run() {
    check("word", None);
    check("two words", Some("top_2_gram"));
    let three = Config { top_3_gram_max: Some(0.18), ..off() };
    assert_eq!(Repetition::new(&three).judge("two words").verdict, Verdict::Kept);
    // A run that is there once counts, so a text of its length is all run.
    check_limit(&three, "top_3_gram", "two words", "now three words");
}

#[test]
fn odd_texts_are_measured_without_harm() {
    for text in ["\n", "\n\n\n", " ", "\0", "\u{301}", "\u{202e}x", "..."] {
        let judgement = Repetition::new(&Config::default()).judge(text);
        assert!(judgement.signals.iter().all(|s| s.is_finite()), "{text:?}");
    }
}

#[test]
fn pieces_are_those_of_a_regular_expression_split() {
    assert_eq!(pieces("", 1), [""]);
    assert_eq!(pieces("\na\n\nb\n", 1), ["", "a", "b", ""]);
    assert_eq!(pieces("a\nb\n\n\nc", 2), ["a\nb", "c"]);
}

fn naive_duplicates(pieces: &[String]) -> (usize, usize) {
    let mut seen = BTreeSet::new();
    let repeated: Vec<&String> = pieces.iter().filter(|p| !seen.insert(p.as_str())).collect();
    (repeated.len(), repeated.iter().map(|p| p.chars().count()).sum())
}

fn naive_top(words: &[&str], n: usize) -> usize {
    let grams: Vec<String> = words.windows(n).map(|w| w.join(" ")).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    grams.iter().for_each(|g| *counts.entry(g).or_default() += 1);
    let most = counts.values().copied().max().unwrap_or(0);
    grams.iter().find(|g| counts[g.as_str()] == most).map_or(0, |g| g.chars().count() * most)
}

fn naive_repeated(words: &[&str], n: usize) -> usize {
    let mut seen = BTreeSet::new();
    let (mut at, mut chars) = (0, 0);
    while at + n <= words.len() {
        let gram = words[at..at + n].concat();
        if seen.contains(&gram) {
            chars += gram.chars().count();
            at += n;
        } else {
            seen.insert(gram);
            at += 1;
        }
    }
    chars
}

/// The formulas as the reference tells them, a string for every n-gram.
fn naive(text: &str, splitter: Splitter) -> Vec<f64> {
    let total = text.chars().count() as f64;
    let split = |pattern: &str, text: &str| -> Vec<String> {
        regex::Regex::new(pattern).unwrap().split(text).map(String::from).collect()
    };
    let mut measures = Vec::new();
    for pieces in [split("\n{2,}", text.trim_matches(is_python_space)), split("\n+", text)] {
        let (count, chars) = naive_duplicates(&pieces);
        measures.extend([count as f64 / pieces.len() as f64, chars as f64 / total]);
    }
    let words = splitter.words(text);
    measures.extend((2..=4).map(|n| naive_top(&words, n) as f64 / total));
    measures.extend((5..=10).map(|n| naive_repeated(&words, n) as f64 / total));
    measures
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn fast_is_naive(text in "((aa|a|b|é|日本|\\.)[ \n]{0,3}){1,60}") {
        for splitter in [Splitter::Uax29, Splitter::Whitespace] {
            prop_assert_eq!(measure(&text, &splitter.words(&text)).to_vec(), naive(&text, splitter));
        }
    }
}
