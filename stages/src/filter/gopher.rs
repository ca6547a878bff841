//! Keeps documents that read like prose, by the quality rules of Gopher.
//!
//! Rae et al. 2021 (arXiv 2112.11446, appendix A.1.1). The first rule that fails is the reason, and a value equal to its limit
//! passes. W are the words, V those with a character that is no punctuation mark; lengths are in characters.
//!
//! | signal | measure |
//! |---|---|
//! | `words` | \|V\| |
//! | `word_chars` | mean length of V |
//! | `hashes` | count of `#` ÷ \|W\| |
//! | `ellipses` | count of `...` and `…` ÷ \|W\| |
//! | `bullet_lines` | share of lines that start with `•` or `-` |
//! | `ellipsis_lines` | share of lines that end with `...` or `…` |
//! | `alphabetic` | share of W with a letter |
//! | `stop_words` | how many different stop words are in W, case kept |
//!
//! The tools of the field disagree under this one name, so whose rules are meant is said by `dialect`, and a key that is unset
//! takes the value of the dialect:
//!
//! - `gristmill`: the words are those of `uax29`, and the marks of Markdown headings are no hashes. The rule against hashes is
//!   meant for spam of tags. A page of reference has a heading every few lines, and `extract.html` writes them as Markdown: with
//!   their marks counted, 504 of 2,048 pages of the Rust documentation were dropped for nothing else.
//! - `datatrove-0.10`: verdict and reason of datatrove 0.10.1 (FineWeb), words by `spacy-en`. A mark of punctuation is a word
//!   there, so documents full of code and tables fail the alphabetic rule more often. A text without a word is `empty` where
//!   datatrove divides by zero, and where it takes the mean of nothing the rules on length pass.
//! - `dclm`, `dolma`, `nemo`: what each measures otherwise; all take words between white space, and count hashes and ellipses together
//!   as `hashes` (`too_many_symbols`). None of them names reasons, so they are ours.
//!
//! | signal | `dclm` | `dolma` (gopher_v2 of 1.2.1) | `nemo` (Curator 1) |
//! |---|---|---|---|
//! | `words` | those of `uax29` that start with a letter or digit | all | all |
//! | `word_chars` | mean | median | mean |
//! | `hashes` | count of `#` `...` `. . .` `…` ÷ \|W\| | share of W with `#` or `…` | share of W that are an ellipsis, or runs of `#` by more than half |
//! | `bullet_lines` | `●` `•` `*` `-` | `*` `-`, white space before it not left out | twelve round bullets, no `*` or `-` |
//! | `ellipsis_lines` | `...` `. . .` `…` | `…` | eight marks, "read more" among them |
//! | lines | not blank, trimmed | cut at runs of LF | not blank, trimmed |
//! | `stop_words` | occurrences, case aside | occurrences | occurrences |
//!
//! With `by_language` or `languages` each document is judged by the limits and stop words of its language: the column `language` of `filter.language` says
//! which. The table that ships has 75 languages; another is a TOML file with a table a language, `[fra]`, of any of the keys below, which
//! `gristmill fit filter.gopher` makes of labelled texts. A language without a table is a reason, `unknown_language`.
//!
//! ```text
//! "# # # # #"  → drop too_few_words (0, limit 50)
//! ```

mod datatrove;
mod dclm;
mod dolma;
mod fit;
mod nemo;
mod ours;

use crate::filter::by_language::{self, UNKNOWN_LANGUAGE};
use crate::text::chars::is_letter;
use crate::text::lines::{is_python_space, python_lines};
use crate::text::words::{Splitter, is_punctuation};
use schemas::config;
use schemas::{Build, Config as _, FilePath, Filter, Judgement, KeyError, Reason, Spec, Verdict};

pub use super::dialect::Dialect;
pub use fit::FIT;

config! {
    /// Limits of `filter.gopher`. A limit of 0 switches its rule off; one that is unset is the dialect's.
    pub struct Config {
        /// Whose rules, limits, words and reasons.
        dialect: Dialect = Dialect::Ours;
        /// How a text is cut into words.
        words: Option<Splitter> = None;
        /// Fewest words that are not mere punctuation.
        words_min: Option<u64> = None, in Some(0)..=Some(1_000_000_000);
        /// Most words that are not mere punctuation.
        words_max: Option<u64> = None, in Some(0)..=Some(1_000_000_000);
        /// Least mean length of a word, in characters.
        word_chars_min: Option<f64> = None, in Some(0.0)..=Some(1000.0);
        /// Greatest mean length of a word, in characters.
        word_chars_max: Option<f64> = None, in Some(0.0)..=Some(1000.0);
        /// Whether the marks of Markdown headings count as hashes too.
        headings: Option<bool> = None;
        /// Most hashes a word.
        hashes_max: Option<f64> = None, in Some(0.0)..=Some(1000.0);
        /// Most ellipses a word.
        ellipses_max: Option<f64> = None, in Some(0.0)..=Some(1000.0);
        /// Greatest share of lines that start with a bullet.
        bullet_lines_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Greatest share of lines that end with an ellipsis.
        ellipsis_lines_max: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Least share of words with a letter.
        alphabetic_min: Option<f64> = None, in Some(0.0)..=Some(1.0);
        /// Fewest stop words: different ones, or occurrences in the dialects that count these.
        stop_words_min: Option<u64> = None, in Some(0)..=Some(1000);
        /// The stop words, case kept. The default is English: other languages need their own.
        stop_words: Vec<String> = ["the", "be", "to", "of", "and", "that", "have", "with"].map(String::from).into();
        /// Whether a document is judged by the limits of its language, as the column `language` has it, in the table that ships.
        by_language: bool = false;
        /// Another table of limits by language.
        languages: FilePath = FilePath::default();
    }
}

/// Rules, each with a limit and a reason. Their order is the order in which they are held against a text.
const RULES: usize = 10;

/// Whether the limit of a rule is a least value.
const FLOORS: [bool; RULES] = [true, false, true, false, false, false, false, false, true, true];

/// A dialect: what it is made of, and nothing of a recipe.
struct Rules {
    words: Splitter,
    headings: bool,
    limits: [f64; RULES],
    reasons: &'static [Reason; RULES],
    measure: fn(&str, &[&str], &Gopher) -> Measures,
    /// Whether the text goes for having nothing to measure, asked before the rule of this place.
    empty: fn(&Measures, usize) -> bool,
}

const EMPTY: Reason = Reason { name: "empty", doc: "There is nothing to measure." };

/// One rule on hashes and ellipses together, as the peers but datatrove have it.
const SYMBOLS: Reason = Reason {
    name: "too_many_symbols",
    doc: "dclm, dolma, nemo: more than `hashes_max` hashes or ellipses a word.",
};

const REASONS: [Reason; 2 * RULES + 3] =
    Reason::joined(&[&[EMPTY], &ours::REASONS, &datatrove::REASONS, &[SYMBOLS, UNKNOWN_LANGUAGE]]);

/// Our own names, with the one rule for two.
const PEER_REASONS: [Reason; RULES] = {
    let [a, b, c, d, _, f, g, h, i, j] = ours::REASONS;
    [a, b, c, d, SYMBOLS, f, g, h, i, j]
};

/// The limits of the paper, with no rule on ellipses of its own.
const PEER_LIMITS: [f64; RULES] = [50.0, 100_000.0, 3.0, 10.0, 0.1, 0.0, 0.9, 0.3, 0.8, 2.0];

/// The table of limits by language that ships.
const LANGUAGES: &str = include_str!("../../assets/gopher_languages.toml");

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let crossed = Gopher::new(&config).crossed();
    if !crossed.is_empty() {
        return Err(crossed);
    }
    let tables = by_language::read(settings, &config.languages)?;
    let shipped = config.by_language.then_some(LANGUAGES);
    by_language::made(settings, tables.as_deref().or(shipped), Gopher::new)
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.gopher",
    version: 2,
    summary: "Keeps documents that read like prose, by the quality rules of Gopher.",
    keys: Config::KEYS,
    reasons: &REASONS,
    build: BUILD,
};

/// The filter at work: a dialect with the keys of a recipe over its own values.
pub struct Gopher {
    rules: &'static Rules,
    splitter: Splitter,
    headings: bool,
    limits: [f64; RULES],
    stop_words: Vec<String>,
}

/// What the rules look at.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Measures {
    /// All words, those of mere punctuation too.
    all_words: usize,
    bytes: usize,
    words: f64,
    word_chars: f64,
    hashes: f64,
    ellipses: f64,
    bullet_lines: f64,
    ellipsis_lines: f64,
    alphabetic: f64,
    stop_words: f64,
}

impl Gopher {
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
            config.words_min.map(|n| n as f64),
            config.words_max.map(|n| n as f64),
            config.word_chars_min,
            config.word_chars_max,
            config.hashes_max,
            config.ellipses_max,
            config.bullet_lines_max,
            config.ellipsis_lines_max,
            config.alphabetic_min,
            config.stop_words_min.map(|n| n as f64),
        ];
        Self {
            rules,
            splitter: config.words.unwrap_or(rules.words),
            headings: config.headings.unwrap_or(rules.headings),
            limits: std::array::from_fn(|rule| set[rule].unwrap_or(rules.limits[rule])),
            stop_words: config.stop_words.clone(),
        }
    }

    /// Limits of which one is the dialect's own and leaves nothing; a limit of 0 switches its rule off.
    fn crossed(&self) -> Vec<KeyError> {
        let [words_min, words_max, chars_min, chars_max, ..] = self.limits;
        let pairs = [("words", words_min, words_max), ("word_chars", chars_min, chars_max)];
        let crossed = pairs.into_iter().filter(|(_, least, most)| *most != 0.0 && least > most);
        let error = |(stem, least, most)| KeyError {
            key: format!("{stem}_min"),
            message: format!("{least} is above `{stem}_max`, which is {most}"),
            help: Some("nothing lies between them; set both".into()),
        };
        crossed.map(error).collect()
    }

    /// Judges a text whose words are known.
    pub fn judge_words(&self, text: &str, words: &[&str]) -> Judgement {
        let m = (self.rules.measure)(text, words, self);
        let verdict = self.verdict(&m);
        let signals = vec![
            m.words,
            m.word_chars,
            m.hashes,
            m.ellipses,
            m.bullet_lines,
            m.ellipsis_lines,
            m.alphabetic,
            m.stop_words,
        ];
        Judgement { verdict, signals }
    }

    fn verdict(&self, m: &Measures) -> Verdict {
        let dropped = |(reason, value, limit)| Verdict::Dropped { reason, value, limit, twin: None };
        self.broken(m).map_or(Verdict::Kept, dropped)
    }

    /// The first rule that the measures break: reason, value, limit.
    fn broken(&self, m: &Measures) -> Option<(&'static str, f64, f64)> {
        let values = [
            m.words,
            m.words,
            m.word_chars,
            m.word_chars,
            m.hashes,
            m.ellipses,
            m.bullet_lines,
            m.ellipsis_lines,
            m.alphabetic,
            m.stop_words,
        ];
        for rule in 0..RULES {
            if (self.rules.empty)(m, rule) {
                return Some((EMPTY.name, m.words, 1.0));
            }
            let (value, limit) = (values[rule], self.limits[rule]);
            // No word has no mean length: datatrove's is no number, which is neither below nor above.
            if m.word_chars == 0.0 && matches!(rule, 2 | 3) {
                continue;
            }
            let beyond = if FLOORS[rule] { value < limit } else { value > limit };
            if limit > 0.0 && beyond {
                return Some((self.rules.reasons[rule].name, value, limit));
            }
        }
        None
    }
}

/// `part` of `whole`, 0 when there is no whole.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The measures of the table above.
fn measure(text: &str, words: &[&str], gopher: &Gopher) -> Measures {
    let stop_words = &gopher.stop_words;
    let (mut solid, mut chars, mut alphabetic) = (0, 0, 0);
    let mut stopped = vec![false; stop_words.len()];
    let mut stop_starts = [false; 256];
    stop_words
        .iter()
        .filter_map(|stop| stop.bytes().next())
        .for_each(|byte| stop_starts[usize::from(byte)] = true);
    for word in words {
        let has_letter = word.chars().any(is_letter);
        alphabetic += usize::from(has_letter);
        // No letter is punctuation.
        if has_letter || word.chars().any(|c| !is_punctuation(c)) {
            solid += 1;
            chars += word.chars().count();
        }
        if word.bytes().next().is_some_and(|byte| stop_starts[usize::from(byte)])
            && let Some(at) = stop_words.iter().position(|stop| stop == word)
        {
            stopped[at] = true;
        }
    }
    let (mut lines, mut bullets, mut ends, mut marks) = (0, 0, 0, 0);
    for line in python_lines(text) {
        lines += 1;
        marks += if gopher.headings { 0 } else { heading_marks(line) };
        bullets += usize::from(line.trim_start_matches(is_python_space).starts_with(['•', '-']));
        let line = line.trim_end_matches(is_python_space);
        ends += usize::from(line.ends_with("...") || line.ends_with('…'));
    }
    let ellipses = count(text, "...") + count(text, "…");
    Measures {
        all_words: words.len(),
        bytes: text.len(),
        words: solid as f64,
        word_chars: share(chars, solid),
        hashes: share(count(text, "#") - marks, words.len()),
        ellipses: share(ellipses, words.len()),
        bullet_lines: share(bullets, lines),
        ellipsis_lines: share(ends, lines),
        alphabetic: share(alphabetic, words.len()),
        stop_words: stopped.iter().filter(|found| **found).count() as f64,
    }
}

/// The marks of a line that is a Markdown heading: one to six `#` and a space.
fn heading_marks(line: &str) -> usize {
    let marks = line.bytes().take_while(|b| *b == b'#').count();
    if marks <= 6 && line[marks..].starts_with(' ') { marks } else { 0 }
}

fn count(text: &str, mark: &str) -> usize {
    memchr::memmem::find_iter(text.as_bytes(), mark).count()
}

impl Filter for Gopher {
    const SIGNALS: &'static [&'static str] = &[
        "words",
        "word_chars",
        "hashes",
        "ellipses",
        "bullet_lines",
        "ellipsis_lines",
        "alphabetic",
        "stop_words",
    ];

    const LIMITS: &'static [&'static str] = &[
        "words_min",
        "words_max",
        "word_chars_min",
        "word_chars_max",
        "hashes_max",
        "ellipses_max",
        "bullet_lines_max",
        "ellipsis_lines_max",
        "alphabetic_min",
        "stop_words_min",
    ];

    fn judge(&self, text: &str) -> Judgement {
        self.judge_words(text, &self.splitter.words(text))
    }

    fn decide(&self, signals: &[f64]) -> Option<Verdict> {
        let &[words, word_chars, hashes, ellipses, bullet_lines, ellipsis_lines, alphabetic, stop_words] =
            signals
        else {
            return None;
        };
        // Whether there is a word at all is not decided by a limit.
        let (all_words, bytes) = (1, 1);
        let m = Measures {
            all_words,
            bytes,
            words,
            word_chars,
            hashes,
            ellipses,
            bullet_lines,
            ellipsis_lines,
            alphabetic,
            stop_words,
        };
        Some(self.verdict(&m))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges and holds the verdict against a reason.
    pub(super) fn check(config: &Config, text: &str, expected: Option<&str>) {
        let judgement = Gopher::new(config).judge(text);
        let found = match judgement.verdict {
            Verdict::Dropped { reason, value, limit, .. } => {
                assert!(value.is_finite() && limit.is_finite());
                assert!(SPEC.reasons.iter().any(|r| r.name == reason), "{reason} is in the registry");
                Some(reason)
            }
            _ => None,
        };
        assert_eq!(found, expected, "{text:?}");
        assert_eq!(judgement.signals.len(), Gopher::SIGNALS.len());
        assert!(judgement.signals.iter().all(|s| s.is_finite()));
    }

    /// Words enough to pass every other rule.
    pub(super) fn prose(words: usize) -> String {
        ["the", "quick", "fox", "and", "badger"].into_iter().cycle().take(words).collect::<Vec<_>>().join(" ")
    }

    /// Three sentences of each of some languages, judged by the table that ships.
    #[test]
    fn the_table_that_ships_knows_its_languages() {
        let tables: std::collections::BTreeMap<String, schemas::Value> = toml::from_str(LANGUAGES).unwrap();
        assert_eq!(tables.len(), 75);
        let french = "Le moulin tourne dans le vent, et la farine tombe dans les sacs que le meunier a posés sur la terre. ";
        let german = "Die Mühle dreht sich im Wind, und das Korn fällt in den Sack, der auf der Erde steht. ";
        for (language, text, expected) in [
            ("fra", french, None),
            ("deu", german, None),
            ("deu", french, Some("too_few_stop_words")),
            ("tlh", french, Some("unknown_language")),
        ] {
            let settings = schemas::Settings::new(vec![("by_language".into(), true.into())]);
            let Ok(schemas::Made::Stage(stage)) = BUILD(&settings) else { panic!("it is a stage") };
            let column = |value: &str| -> arrow::array::ArrayRef {
                std::sync::Arc::new(arrow::array::StringArray::from(vec![value]))
            };
            let columns = [("text", column(&text.repeat(4))), ("language", column(language))];
            let outcome = stage.apply(&arrow::array::RecordBatch::try_from_iter(columns).unwrap()).unwrap();
            let found = match outcome.verdicts[0] {
                Verdict::Dropped { reason, .. } => Some(reason),
                _ => None,
            };
            assert_eq!(found, expected, "{language}: {text}");
        }
    }

    #[test]
    fn a_limit_above_one_of_the_dialect_is_refused() {
        let told = |key: &str, value: i64| {
            let settings = schemas::Settings::new(vec![(key.to_owned(), schemas::Value::from(value))]);
            BUILD(&settings).err().into_iter().flatten().map(|error| error.to_string()).collect::<Vec<_>>()
        };
        assert!(told("words_min", 200_000)[0].contains("200000 is above `words_max`, which is 100000"));
        assert!(told("words_max", 0).is_empty() && told("words_min", 99_999).is_empty());
    }

    #[test]
    fn no_reason_stands_twice() {
        let names: Vec<&str> = SPEC.reasons.iter().map(|r| r.name).collect();
        let unique: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(unique.len(), names.len());
    }
}
