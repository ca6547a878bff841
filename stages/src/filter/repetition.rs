//! Drops documents that repeat themselves, by the repetition rules of Gopher.
//!
//! Rae et al. 2021 (arXiv 2112.11446, table A1), with the formulas and the order of datatrove 0.10.1. |T| is the length of the
//! text in characters, untrimmed. The first rule that fails is the reason; a value equal to its limit passes.
//!
//! - *Paragraphs* are the trimmed text cut at two or more LF, *lines* the text as it is cut at one or more. A duplicate is every
//!   occurrence after the first: counted as a share of the pieces, and by its characters as a share of |T|.
//! - *Top n-gram*, n = 2 to 4: characters of the most frequent n-gram, words joined by a space, times its count, ÷ |T|.
//! - *Duplicated n-grams*, n = 5 to 10: read from left to right, an n-gram seen before adds its characters, words joined by
//!   nothing, and is stepped over as a whole; the sum ÷ |T|.
//!
//! Whose rules are meant is said by `dialect`, and a key that is unset takes the value of the dialect. `gristmill` cuts words by
//! `uax29`, `datatrove-0.10` by `spacy-en` and has datatrove's names for the reasons. The others, which name no reasons, measure otherwise:
//!
//! | | `dclm` | `dolma` (gopher_v2 of 1.2.1) | `nemo` (Curator 1) |
//! |---|---|---|---|
//! | words | of `uax29` that start with a letter or digit | between white space | between white space |
//! | pieces | cut at one LF, or two; trimmed, blank ones left out | lines cut at runs of LF; no paragraphs | cut at one LF, blank ones left out, or at every two LF |
//! | a duplicate | every occurrence of a piece that is there twice; one piece alone is none | every occurrence | every occurrence after the first |
//! | its share | of the pieces; of their characters | of the lines; of the characters that are no white space | of the pieces; of their characters |
//! | top n-gram | the longest of the most frequent, if it is there twice, ÷ characters of all words | first of the most frequent ÷ characters of all words | wherever it stands in the text, inside words too, ÷ \|T\| |
//! | duplicated n-grams | words that any repeated n-gram covers ÷ characters of all words | occurrences of repeated n-grams ÷ those of all | later occurrences, overlaps once, with their spaces, ÷ \|T\| |
//! | fewer than n words | passes | passes | fails |
//!
//! A text of white space is `empty` to `dclm` and `nemo`. Of equally frequent n-grams, NeMo takes one by the order of a Python set, which
//! changes from run to run; here it is the first.
//!
//! ```text
//! "so it goes\nso it goes\nso it goes"  → drop duplicate_lines (0.667, limit 0.3)
//! ```

mod datatrove;
mod dclm;
mod dolma;
mod nemo;
mod ours;

use crate::filter::by_language::{self, UNKNOWN_LANGUAGE};
use crate::text::lines::is_python_space;
use crate::text::ngrams::{Counts, Joined};
use crate::text::words::Splitter;
use schemas::{Build, Config as _, FilePath, Filter, Judgement, Reason, Spec, Verdict};
use schemas::{choice, config};
use xxhash_rust::xxh3::xxh3_64;

choice! {
    /// Whose rules are meant.
    pub enum Dialect {
        /// The house's own.
        Ours = "gristmill",
        /// Those of datatrove 0.10.1.
        Datatrove = "datatrove-0.10",
        /// Those of DCLM.
        Dclm = "dclm",
        /// Those of Dolma, second version.
        Dolma = "dolma",
        /// Those of NeMo Curator.
        Nemo = "nemo",
    }
}

config! {
    /// Limits of `filter.repetition`, each a share of 1. A limit of 0 switches its rule off; one that is unset is the dialect's.
    pub struct Config {
        /// Whose rules, limits, words and reasons.
        dialect: Dialect = Dialect::Ours;
        /// How a text is cut into words.
        words: Option<Splitter> = None;
        /// Most paragraphs that are duplicates.
        paragraphs_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in duplicate paragraphs.
        paragraph_chars_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most lines that are duplicates.
        lines_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in duplicate lines.
        line_chars_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in the most frequent pair of words.
        top_2_gram_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in the most frequent run of 3 words.
        top_3_gram_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in the most frequent run of 4 words.
        top_4_gram_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in repeated runs of 5 words.
        duplicate_5_grams_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in repeated runs of 6 words.
        duplicate_6_grams_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in repeated runs of 7 words.
        duplicate_7_grams_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in repeated runs of 8 words.
        duplicate_8_grams_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in repeated runs of 9 words.
        duplicate_9_grams_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Most characters in repeated runs of 10 words.
        duplicate_10_grams_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// A table of limits by language, as `filter.gopher` has it: `[fra]` with any of these keys. None ships.
        languages: FilePath = FilePath::default();
    }
}

/// Rules, each with a measure, a limit and a reason.
const RULES: usize = 13;

const NAMES: [&str; RULES] = [
    "duplicate_paragraphs",
    "duplicate_paragraph_chars",
    "duplicate_lines",
    "duplicate_line_chars",
    "top_2_gram",
    "top_3_gram",
    "top_4_gram",
    "duplicate_5_grams",
    "duplicate_6_grams",
    "duplicate_7_grams",
    "duplicate_8_grams",
    "duplicate_9_grams",
    "duplicate_10_grams",
];

/// A dialect: what it is made of, and nothing of a recipe.
struct Rules {
    words: Splitter,
    limits: [f64; RULES],
    /// By the place of the rule; those of two dialects may be one.
    reasons: [&'static str; RULES],
    /// Of a text that is not empty.
    measure: fn(&str, &[&str]) -> [f64; RULES],
    /// Whether there is nothing to measure.
    empty: fn(&str) -> bool,
}

/// The limits of table A1 of the paper.
const LIMITS: [f64; RULES] = [0.30, 0.20, 0.30, 0.20, 0.20, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10];

/// Nothing but white space.
fn is_blank(text: &str) -> bool {
    text.chars().all(is_python_space)
}

const EMPTY: Reason = Reason { name: "empty", doc: "The text is empty." };

const REASONS: [Reason; 2 * RULES - 1] =
    Reason::joined(&[&[EMPTY], &ours::REASONS, &datatrove::REASONS, &[UNKNOWN_LANGUAGE]]);

const BUILD: Build = |settings| {
    let path = settings.parse::<Config>()?.languages;
    by_language::made(settings, by_language::read(settings, &path)?.as_deref(), Repetition::new)
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.repetition",
    version: 1,
    summary: "Drops documents that repeat themselves, by the repetition rules of Gopher.",
    keys: Config::KEYS,
    reasons: &REASONS,
    build: BUILD,
};

/// The filter at work: a dialect with the keys of a recipe over its own values.
pub struct Repetition {
    rules: &'static Rules,
    splitter: Splitter,
    limits: [f64; RULES],
}

impl Repetition {
    /// Takes the keys that are set, and the dialect's values for the others.
    pub fn new(config: &Config) -> Self {
        let rules = match config.dialect {
            Dialect::Ours => &ours::RULES,
            Dialect::Datatrove => &datatrove::RULES,
            Dialect::Dclm => &dclm::RULES,
            Dialect::Dolma => &dolma::RULES,
            Dialect::Nemo => &nemo::RULES,
        };
        let set = [
            config.paragraphs_max,
            config.paragraph_chars_max,
            config.lines_max,
            config.line_chars_max,
            config.top_2_gram_max,
            config.top_3_gram_max,
            config.top_4_gram_max,
            config.duplicate_5_grams_max,
            config.duplicate_6_grams_max,
            config.duplicate_7_grams_max,
            config.duplicate_8_grams_max,
            config.duplicate_9_grams_max,
            config.duplicate_10_grams_max,
        ];
        Self {
            rules,
            splitter: config.words.unwrap_or(rules.words),
            limits: std::array::from_fn(|rule| set[rule].unwrap_or(rules.limits[rule])),
        }
    }

    /// Judges a text whose words are known.
    pub fn judge_words(&self, text: &str, words: &[&str]) -> Judgement {
        let dropped = |reason, value, limit| Verdict::Dropped { reason, value, limit, twin: None };
        if (self.rules.empty)(text) {
            return Judgement { verdict: dropped(EMPTY.name, 0.0, 1.0), signals: vec![0.0; RULES] };
        }
        let measures = (self.rules.measure)(text, words);
        let above = (0..RULES).find(|&rule| self.limits[rule] > 0.0 && measures[rule] > self.limits[rule]);
        let verdict = above.map_or(Verdict::Kept, |rule| {
            dropped(self.rules.reasons[rule], measures[rule], self.limits[rule])
        });
        Judgement { verdict, signals: measures.into() }
    }
}

/// Runs of LF that separate pieces: at least this many in a row. Python's `re.split` keeps an empty piece at an end.
pub(super) fn pieces(text: &str, breaks_min: usize) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while let Some(next) = memchr::memchr(b'\n', &bytes[at..]) {
        let from = at + next;
        let run = bytes[from..].iter().take_while(|b| **b == b'\n').count();
        at = from + run;
        if run >= breaks_min {
            found.push(&text[start..from]);
            start = at;
        }
    }
    found.push(&text[start..]);
    found
}

/// Duplicates among the pieces: how many, and how many characters they have.
fn duplicates(pieces: &[&str], seen: &mut Counts) -> (usize, usize) {
    seen.clear();
    let (mut count, mut chars) = (0, 0);
    for piece in pieces {
        if seen.add(xxh3_64(piece.as_bytes()), 0) > 1 {
            count += 1;
            chars += piece.chars().count();
        }
    }
    (count, chars)
}

/// The measures told above. The text is not empty.
fn measure(text: &str, words: &[&str]) -> [f64; RULES] {
    let total = text.chars().count() as f64;
    let mut counts = Counts::default();
    let mut measures = [0.0; RULES];
    let paragraphs = pieces(text.trim_matches(is_python_space), 2);
    let lines = pieces(text, 1);
    for (at, pieces) in [paragraphs, lines].iter().enumerate() {
        let (count, chars) = duplicates(pieces, &mut counts);
        measures[2 * at] = count as f64 / pieces.len() as f64;
        measures[2 * at + 1] = chars as f64 / total;
    }
    let spaced = Joined::new(words, true);
    for n in 2..=4 {
        measures[n + 2] = spaced.top_chars(n, &mut counts) as f64 / total;
    }
    let tight = Joined::new(words, false);
    for n in 5..=10 {
        measures[n + 2] = tight.repeated_chars(n, &mut counts) as f64 / total;
    }
    measures
}

impl Filter for Repetition {
    const SIGNALS: &'static [&'static str] = &NAMES;

    fn judge(&self, text: &str) -> Judgement {
        self.judge_words(text, &self.splitter.words(text))
    }
}

#[cfg(test)]
mod tests {
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
}
