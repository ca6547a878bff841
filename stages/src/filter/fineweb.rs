//! Drops documents that look like lists, menus or broken lines, by the quality rules of FineWeb.
//!
//! Penedo et al. 2024 (arXiv 2406.17557, section 3.6), to the verdict and the reason of datatrove 0.10.1. Lines are cut at LF, and
//! those of mere white space do not count. The first rule that fails is the reason; a value equal to its limit passes.
//!
//! | signal | measure |
//! |---|---|
//! | `line_punct` | share of lines whose last character is one of 159 marks that end a sentence; quotes are none |
//! | `short_lines` | share of lines of at most `short_line_chars` characters |
//! | `char_dup` | characters of lines seen before ÷ characters of the text without LF |
//! | `list` | number of LF ÷ number of words |
//!
//! The words are those of `spacy-en`; FineWeb's own recipe has the rules in this order after `filter.c4`.
//!
//! ```text
//! "Home\nAbout us\nContact"  → drop line_punct_ratio (0, limit 0.12)
//! ```

use crate::filter::by_language::{self, UNKNOWN_LANGUAGE, fit::Rule};
use crate::text::lines::is_python_space;
use crate::text::ngrams::Counts;
use crate::text::words::{Splitter, is_terminal};
use schemas::{Build, Config as _, FilePath, Filter, Fitting, Judgement, Reason, Spec, Verdict};
use schemas::{choice, config};
use xxhash_rust::xxh3::xxh3_64;

choice! {
    /// Whose rules are meant.
    pub enum Dialect {
        /// Those of datatrove 0.10.1.
        Datatrove = "datatrove-0.10",
    }
}

config! {
    /// Limits of `filter.fineweb`. A limit of 0 switches its rule off.
    pub struct Config {
        /// Whose rules and reasons.
        dialect: Dialect = Dialect::Datatrove;
        /// How a text is cut into words.
        words: Splitter = Splitter::SpacyEn;
        /// Least share of lines that end with a mark of a sentence's end.
        line_punct_min: f64 = 0.12, in 0.0..=1.0;
        /// Whether a text without any such line passes the rule, as in languages that set no such mark.
        line_punct_zero: bool = false;
        /// Greatest share of short lines.
        short_lines_max: f64 = 0.67, in 0.0..=1.0;
        /// Most characters of a short line.
        short_line_chars: u64 = 30, in 0..=1_000_000;
        /// Greatest share of characters in repeated lines.
        char_dup_max: f64 = 0.01, in 0.0..=1.0;
        /// Most line ends a word.
        list_max: f64 = 0.3, in 0.0..=1000.0;
        /// A table of limits by language, as `filter.gopher` has it: `[fra]` with any of these keys. None ships; `gristmill fit filter.fineweb` makes one.
        languages: FilePath = FilePath::default();
    }
}

const EMPTY: &str = "empty";

/// Rules in order, each with a signal.
const RULES: [&str; 4] = ["line_punct_ratio", "short_line_ratio", "char_dup_ratio", "list_ratio"];

const REASONS: &[Reason] = &[
    UNKNOWN_LANGUAGE,
    Reason { name: EMPTY, doc: "All lines are blank." },
    Reason { name: RULES[0], doc: "Less than `line_punct_min` of the lines end like a sentence." },
    Reason { name: RULES[1], doc: "More than `short_lines_max` of the lines are short." },
    Reason { name: RULES[2], doc: "Lines seen before make up more than `char_dup_max` of the text." },
    Reason { name: RULES[3], doc: "There are more than `list_max` line ends a word." },
];

const BUILD: Build = |settings| {
    let path = settings.parse::<Config>()?.languages;
    let tables = by_language::read(settings, &path)?;
    by_language::made(settings, tables.as_deref(), |config: &Config| FineWeb::new(config.clone()))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.fineweb",
    version: 1,
    summary: "Drops documents that look like lists, menus or broken lines, by the quality rules of FineWeb.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// The learner of `languages`.
pub const FIT: Fitting = Fitting {
    kind: SPEC.kind,
    summary: "Finds limits for every language of labelled documents.",
    keys: by_language::fit::Config::KEYS,
    fit: |settings| {
        let english = Config::default();
        let rules = [
            Rule { key: "line_punct_min", limit: english.line_punct_min },
            Rule { key: "short_lines_max", limit: english.short_lines_max },
            Rule { key: "char_dup_max", limit: english.char_dup_max },
            Rule { key: "list_max", limit: english.list_max },
        ];
        by_language::fit::fit(settings, SPEC.kind, &rules, |config: &Config| FineWeb::new(config.clone()))
    },
};

/// The filter at work.
pub struct FineWeb(Config);

impl FineWeb {
    /// Takes the limits.
    pub fn new(config: Config) -> Self {
        Self(config)
    }

    /// Judges a text of so many words.
    pub fn judge_words(&self, text: &str, words: usize) -> Judgement {
        let config = &self.0;
        let dropped = |reason, value, limit| Verdict::Dropped { reason, value, limit, twin: None };
        let Some(measures) = measure(text, words, config.short_line_chars) else {
            return Judgement { verdict: dropped(EMPTY, 0.0, 1.0), signals: vec![0.0; RULES.len()] };
        };
        Judgement { verdict: self.verdict(&measures), signals: measures.into() }
    }

    fn verdict(&self, measures: &[f64; RULES.len()]) -> Verdict {
        let config = &self.0;
        let limits = [config.line_punct_min, config.short_lines_max, config.char_dup_max, config.list_max];
        let broken = (0..RULES.len()).find(|&rule| {
            let (value, limit) = (measures[rule], limits[rule]);
            let beyond = if rule == 0 {
                value < limit && !(value == 0.0 && config.line_punct_zero)
            } else {
                value > limit
            };
            limit > 0.0 && beyond
        });
        broken.map_or(Verdict::Kept, |rule| {
            let (reason, value, limit) = (RULES[rule], measures[rule], limits[rule]);
            Verdict::Dropped { reason, value, limit, twin: None }
        })
    }
}

/// The measures of the table above, `None` where every line is blank.
fn measure(text: &str, words: usize, short_line_chars: u64) -> Option<[f64; RULES.len()]> {
    let mut seen = Counts::default();
    let (mut lines, mut ended, mut short) = (0_usize, 0_usize, 0_usize);
    let (mut breaks, mut chars, mut repeated) = (0_usize, 0_usize, 0_usize);
    for (at, line) in text.split('\n').enumerate() {
        breaks = at;
        let length = line.chars().count();
        chars += length;
        if line.trim_start_matches(is_python_space).is_empty() {
            continue;
        }
        lines += 1;
        ended += usize::from(line.ends_with(is_terminal));
        short += usize::from(length as u64 <= short_line_chars);
        if seen.add(xxh3_64(line.as_bytes()), 0) > 1 {
            repeated += length;
        }
    }
    (lines > 0).then(|| {
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        [share(ended, lines), share(short, lines), share(repeated, chars), share(breaks, words)]
    })
}

impl Filter for FineWeb {
    const SIGNALS: &'static [&'static str] = &["line_punct", "short_lines", "char_dup", "list"];

    const LIMITS: &'static [&'static str] =
        &["line_punct_min", "line_punct_zero", "short_lines_max", "char_dup_max", "list_max"];

    fn judge(&self, text: &str) -> Judgement {
        self.judge_words(text, self.0.words.words(text).len())
    }

    fn decide(&self, signals: &[f64]) -> Option<Verdict> {
        signals.try_into().ok().map(|measures| self.verdict(measures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: Config, text: &str, expected: Option<&str>) {
        let judgement = FineWeb::new(config).judge(text);
        let found = match judgement.verdict {
            Verdict::Dropped { reason, .. } => Some(reason),
            _ => None,
        };
        assert_eq!(found, expected, "{text:?}: {:?}", judgement.signals);
        assert!(judgement.signals.len() == 4 && judgement.signals.iter().all(|s| s.is_finite()));
    }

    const LONG: &str = "A line of more than thirty characters that says so";

    #[test]
    fn each_rule_has_its_reason_and_what_is_at_a_limit_is_kept() {
        let limits = Config::default;
        check(limits(), "", Some("empty"));
        check(limits(), " \n\u{3000}\n\u{1c}", Some("empty"));
        check(limits(), &format!("{LONG}."), None);
        check(limits(), &format!("{LONG}。"), None);
        for end in ["", "\"", ". ", ".\r"] {
            check(limits(), &format!("{LONG}{end}"), Some("line_punct_ratio"));
        }
        check(Config { line_punct_zero: true, ..limits() }, LONG, None);
        check(Config { line_punct_min: 0.0, ..limits() }, LONG, None);
        // 3 of 25 lines are 0.12, and 30 characters are short.
        let lines = |ended: usize| -> String {
            let line = |n| format!("{n} {LONG}{}", if n < ended { "." } else { "" });
            (0..25).map(line).collect::<Vec<_>>().join("\n")
        };
        check(limits(), &lines(3), None);
        check(limits(), &lines(2), Some("line_punct_ratio"));
        let short = |chars: usize| format!("{}.\n{}.\n{LONG}.", "x ".repeat(20), "y".repeat(chars - 1));
        check(Config { short_lines_max: 0.3, ..limits() }, &short(31), None);
        check(Config { short_lines_max: 0.3, ..limits() }, &short(30), Some("short_line_ratio"));
        check(limits(), &format!("{LONG}.\n{LONG}."), Some("char_dup_ratio"));
        check(
            Config { short_lines_max: 0.0, ..limits() },
            "One two.\nTwo one.\nThree.\n\n\n",
            Some("list_ratio"),
        );
    }

    #[test]
    fn blank_lines_are_no_repeated_lines() {
        let text = format!("{LONG}.\n \n \n{LONG} again.");
        check(Config::default(), &text, None);
    }
}
