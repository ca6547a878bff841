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

pub use super::dialect::Dialect;
use crate::filter::by_language::{self, UNKNOWN_LANGUAGE, fit::Rule};
use crate::text::lines::is_python_space;
use crate::text::ngrams::{Counts, Joined};
use crate::text::words::Splitter;
use schemas::config;
use schemas::{Build, Config as _, FilePath, Filter, Fitting, Judgement, Reason, Spec, Verdict};
use xxhash_rust::xxh3::xxh3_64;

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
        /// A table of limits by language, as `filter.gopher` has it: `[fra]` with any of these keys. None ships; `gristmill fit filter.repetition` makes one.
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

/// The learner of `languages`, by the measures and limits of the dialect that is the default.
pub const FIT: Fitting = Fitting {
    kind: SPEC.kind,
    summary: "Finds limits for every language of labelled documents.",
    keys: by_language::fit::Config::KEYS,
    fit: |settings| {
        let rule = |at: usize| Rule { key: Repetition::LIMITS[at], limit: LIMITS[at] };
        let rules: [Rule; RULES] = std::array::from_fn(rule);
        by_language::fit::fit(settings, SPEC.kind, &rules, Repetition::new)
    },
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
        Judgement { verdict: self.verdict(&measures), signals: measures.into() }
    }

    fn verdict(&self, measures: &[f64; RULES]) -> Verdict {
        let above = (0..RULES).find(|&rule| self.limits[rule] > 0.0 && measures[rule] > self.limits[rule]);
        above.map_or(Verdict::Kept, |rule| {
            let (reason, value, limit) = (self.rules.reasons[rule], measures[rule], self.limits[rule]);
            Verdict::Dropped { reason, value, limit, twin: None }
        })
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
    let suspects = tight.suspects(&mut counts);
    for n in 5..=10 {
        measures[n + 2] = tight.repeated_chars(n, &suspects, &mut counts) as f64 / total;
    }
    measures
}

impl Filter for Repetition {
    const SIGNALS: &'static [&'static str] = &NAMES;
    const LIMITS: &'static [&'static str] = &[
        "paragraphs_max",
        "paragraph_chars_max",
        "lines_max",
        "line_chars_max",
        "top_2_gram_max",
        "top_3_gram_max",
        "top_4_gram_max",
        "duplicate_5_grams_max",
        "duplicate_6_grams_max",
        "duplicate_7_grams_max",
        "duplicate_8_grams_max",
        "duplicate_9_grams_max",
        "duplicate_10_grams_max",
    ];

    fn judge(&self, text: &str) -> Judgement {
        self.judge_words(text, &self.splitter.words(text))
    }

    fn decide(&self, signals: &[f64]) -> Option<Verdict> {
        signals.try_into().ok().map(|measures| self.verdict(measures))
    }
}

#[cfg(test)]
mod tests;
