//! Keeps documents that read like prose, by the quality rules of Gopher.
//!
//! Rae et al. 2021 (arXiv 2112.11446, appendix A.1.1), in the order and with the strictness of datatrove 0.10.1: the first rule
//! that fails is the reason, and a value equal to its limit passes. W are the words, V those with a character that is no
//! punctuation mark; lengths are in characters.
//!
//! | rule | measure |
//! |---|---|
//! | `too_few_words`, `too_many_words` | \|V\| |
//! | `words_too_short`, `words_too_long` | mean length of V |
//! | `too_many_hashes` | count of `#` ÷ \|W\|, marks of Markdown headings left out |
//! | `too_many_ellipses` | count of `...` and `…` ÷ \|W\| |
//! | `too_many_bullets` | share of lines that start with `•` or `-` |
//! | `too_many_ellipsis_ends` | share of lines that end with `...` or `…` |
//! | `too_few_alphabetic` | share of W with a letter |
//! | `too_few_stop_words` | how many different stop words are in W, case kept |
//!
//! The words decide: with `uax29` punctuation is no word, so documents full of code and tables pass the alphabetic
//! rule more often than with a splitter that makes a word of every mark.
//!
//! The rule against hashes is meant for spam of tags. A page of reference has a heading every few lines, and `extract.html`
//! writes them as Markdown: with their marks counted, 504 of 2,048 pages of the Rust documentation were dropped for
//! nothing else.
//!
//! ```text
//! "# # # # #"  → drop too_few_words (0, limit 50)
//! ```

use crate::text::lines::{is_python_space, python_lines};
use crate::text::words::{Splitter, is_letter, is_punctuation};
use schemas::{Build, Config as _, Filter, FilterStage, Judgement, Made, Reason, Spec, Verdict, config};

config! {
    /// Limits of `filter.gopher`. A limit of 0 switches its rule off.
    pub struct Config {
        /// How a text is cut into words.
        words: Splitter = Splitter::Uax29;
        /// Fewest words that are not mere punctuation.
        words_min: u64 = 50, in 0..=1_000_000_000;
        /// Most words that are not mere punctuation.
        words_max: u64 = 100_000, in 0..=1_000_000_000;
        /// Least mean length of a word, in characters.
        word_chars_min: f64 = 3.0, in 0.0..=1000.0;
        /// Greatest mean length of a word, in characters.
        word_chars_max: f64 = 10.0, in 0.0..=1000.0;
        /// Whether the marks of Markdown headings count as hashes too, as in datatrove.
        headings: bool = false;
        /// Most hashes a word.
        hashes_max: f64 = 0.1, in 0.0..=1000.0;
        /// Most ellipses a word.
        ellipses_max: f64 = 0.1, in 0.0..=1000.0;
        /// Greatest share of lines that start with a bullet.
        bullet_lines_max: f64 = 0.9, in 0.0..=1.0;
        /// Greatest share of lines that end with an ellipsis.
        ellipsis_lines_max: f64 = 0.3, in 0.0..=1.0;
        /// Least share of words with a letter.
        alphabetic_min: f64 = 0.8, in 0.0..=1.0;
        /// Fewest different stop words.
        stop_words_min: u64 = 2, in 0..=1000;
        /// The stop words, case kept. The default is English: other languages need their own.
        stop_words: Vec<String> = ["the", "be", "to", "of", "and", "that", "have", "with"].map(String::from).into();
    }
}

/// Why `filter.gopher` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Nothing to measure.
    Empty,
    /// Fewer than `words_min` words.
    TooFewWords,
    /// More than `words_max` words.
    TooManyWords,
    /// Words shorter than `word_chars_min` on average.
    WordsTooShort,
    /// Words longer than `word_chars_max` on average.
    WordsTooLong,
    /// More than `hashes_max` hashes a word.
    TooManyHashes,
    /// More than `ellipses_max` ellipses a word.
    TooManyEllipses,
    /// A greater share of bulleted lines than `bullet_lines_max`.
    TooManyBullets,
    /// A greater share of lines that trail off than `ellipsis_lines_max`.
    TooManyEllipsisEnds,
    /// A smaller share of words with a letter than `alphabetic_min`.
    TooFewAlphabetic,
    /// Fewer different stop words than `stop_words_min`.
    TooFewStopWords,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooFewWords => "too_few_words",
            Self::TooManyWords => "too_many_words",
            Self::WordsTooShort => "words_too_short",
            Self::WordsTooLong => "words_too_long",
            Self::TooManyHashes => "too_many_hashes",
            Self::TooManyEllipses => "too_many_ellipses",
            Self::TooManyBullets => "too_many_bullets",
            Self::TooManyEllipsisEnds => "too_many_ellipsis_ends",
            Self::TooFewAlphabetic => "too_few_alphabetic",
            Self::TooFewStopWords => "too_few_stop_words",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Empty.name(), doc: "The text is empty or has no words." },
    Reason { name: Drop::TooFewWords.name(), doc: "Fewer than `words_min` words." },
    Reason { name: Drop::TooManyWords.name(), doc: "More than `words_max` words." },
    Reason { name: Drop::WordsTooShort.name(), doc: "Words shorter than `word_chars_min` on average." },
    Reason { name: Drop::WordsTooLong.name(), doc: "Words longer than `word_chars_max` on average." },
    Reason { name: Drop::TooManyHashes.name(), doc: "More than `hashes_max` hashes a word." },
    Reason { name: Drop::TooManyEllipses.name(), doc: "More than `ellipses_max` ellipses a word." },
    Reason {
        name: Drop::TooManyBullets.name(),
        doc: "More than `bullet_lines_max` of the lines are bullets.",
    },
    Reason {
        name: Drop::TooManyEllipsisEnds.name(),
        doc: "More than `ellipsis_lines_max` of the lines end with an ellipsis.",
    },
    Reason {
        name: Drop::TooFewAlphabetic.name(),
        doc: "Less than `alphabetic_min` of the words have a letter.",
    },
    Reason { name: Drop::TooFewStopWords.name(), doc: "Fewer than `stop_words_min` different stop words." },
];

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(FilterStage(Gopher(settings.parse()?)))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.gopher",
    version: 2,
    summary: "Keeps documents that read like prose, by the quality rules of Gopher.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

struct Gopher(Config);

/// What the rules look at.
#[derive(Debug, Default, PartialEq)]
struct Measures {
    words: f64,
    word_chars: f64,
    hashes: f64,
    ellipses: f64,
    bullet_lines: f64,
    ellipsis_lines: f64,
    alphabetic: f64,
    stop_words: f64,
}

/// `part` of `whole`, 0 when there is no whole.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn measure(text: &str, config: &Config) -> Measures {
    let stop_words = &config.stop_words;
    let words = config.words.words(text);
    let (mut solid, mut chars, mut alphabetic) = (0, 0, 0);
    let mut stopped = vec![false; stop_words.len()];
    let stop_bytes_max = stop_words.iter().map(String::len).max().unwrap_or(0);
    for word in &words {
        if word.chars().any(|c| !is_punctuation(c)) {
            solid += 1;
            chars += word.chars().count();
        }
        alphabetic += usize::from(word.chars().any(is_letter));
        if word.len() <= stop_bytes_max
            && let Some(at) = stop_words.iter().position(|stop| stop == word)
        {
            stopped[at] = true;
        }
    }
    let (mut lines, mut bullets, mut ends, mut marks) = (0, 0, 0, 0);
    for line in python_lines(text) {
        lines += 1;
        marks += if config.headings { 0 } else { heading_marks(line) };
        bullets += usize::from(line.trim_start_matches(is_python_space).starts_with(['•', '-']));
        let line = line.trim_end_matches(is_python_space);
        ends += usize::from(line.ends_with("...") || line.ends_with('…'));
    }
    let ellipses = count(text, "...") + count(text, "…");
    Measures {
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

impl Config {
    /// The first rule that the measures break: reason, value, limit.
    fn broken(&self, m: &Measures) -> Option<(Drop, f64, f64)> {
        let at_least = |drop, value, limit| (drop, value, limit, limit > 0.0 && value < limit);
        let at_most = |drop, value, limit| (drop, value, limit, limit > 0.0 && value > limit);
        let rules = [
            at_least(Drop::TooFewWords, m.words, self.words_min as f64),
            at_most(Drop::TooManyWords, m.words, self.words_max as f64),
            (Drop::Empty, m.words, 1.0, m.words == 0.0),
            at_least(Drop::WordsTooShort, m.word_chars, self.word_chars_min),
            at_most(Drop::WordsTooLong, m.word_chars, self.word_chars_max),
            at_most(Drop::TooManyHashes, m.hashes, self.hashes_max),
            at_most(Drop::TooManyEllipses, m.ellipses, self.ellipses_max),
            at_most(Drop::TooManyBullets, m.bullet_lines, self.bullet_lines_max),
            at_most(Drop::TooManyEllipsisEnds, m.ellipsis_lines, self.ellipsis_lines_max),
            at_least(Drop::TooFewAlphabetic, m.alphabetic, self.alphabetic_min),
            at_least(Drop::TooFewStopWords, m.stop_words, self.stop_words_min as f64),
        ];
        rules.into_iter().find(|rule| rule.3).map(|(drop, value, limit, _)| (drop, value, limit))
    }
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

    fn judge(&self, text: &str) -> Judgement {
        let m = measure(text, &self.0);
        let broken = if text.is_empty() { Some((Drop::Empty, 0.0, 1.0)) } else { self.0.broken(&m) };
        let verdict = broken.map_or(Verdict::Kept, |(drop, value, limit)| Verdict::Dropped {
            reason: drop.name(),
            value,
            limit,
            twin: None,
        });
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Words enough to pass every other rule.
    fn prose(words: usize) -> String {
        ["the", "quick", "fox", "and", "badger"].into_iter().cycle().take(words).collect::<Vec<_>>().join(" ")
    }

    fn check(config: Config, text: &str, expected: Option<&str>) {
        let judgement = Gopher(config).judge(text);
        let found = match judgement.verdict {
            Verdict::Dropped { reason, value, limit, .. } => {
                assert!(value.is_finite() && limit.is_finite());
                Some(reason)
            }
            _ => None,
        };
        assert_eq!(found, expected, "{text:?}");
        assert_eq!(judgement.signals.len(), Gopher::SIGNALS.len());
        assert!(judgement.signals.iter().all(|s| s.is_finite()));
    }

    #[test]
    fn each_rule_has_its_reason() {
        let paper = Config::default;
        check(paper(), "", Some("empty"));
        check(paper(), &prose(50), None);
        check(paper(), &prose(49), Some("too_few_words"));
        check(Config { words_max: 60, ..paper() }, &prose(61), Some("too_many_words"));
        check(paper(), &format!("the and {}", "is a ".repeat(30)), Some("words_too_short"));
        check(paper(), &format!("the and {}", "internationalization ".repeat(50)), Some("words_too_long"));
        check(paper(), &format!("{} {}", prose(50), "# ".repeat(5)), None);
        check(paper(), &format!("{} {}", prose(50), "# ".repeat(6)), Some("too_many_hashes"));
        check(paper(), &format!("{} {}", prose(50), "...… ".repeat(3)), Some("too_many_ellipses"));
        check(paper(), &format!("- {}\n  • {}", prose(30), prose(30)), Some("too_many_bullets"));
        check(
            paper(),
            &format!("{}... \n{}…\nx\ny\nz", prose(30), prose(30)),
            Some("too_many_ellipsis_ends"),
        );
        check(paper(), &format!("{} {}", prose(50), "1234 ".repeat(13)), Some("too_few_alphabetic"));
        check(paper(), &"the quick ".repeat(50), Some("too_few_stop_words"));
        check(paper(), &"The And quick the ".repeat(50), Some("too_few_stop_words"));
    }

    /// The n-th limit is met exactly by the first text and missed by a hair by the second.
    fn check_limit(reason: &str, at_limit: &str, beyond: &str) {
        let config = || Config { words: Splitter::Whitespace, ..Config::default() };
        check(config(), at_limit, None);
        check(config(), beyond, Some(reason));
    }

    #[test]
    fn headings_are_no_hashes() {
        let page = format!("# The\n\n{}\n### Badger\n##### Fox\n", prose(50));
        check(Config::default(), &page, None);
        check(Config { headings: true, ..Config::default() }, &page, Some("too_many_hashes"));
        let tags = format!("#the #and\n{}\n#fox\n ### fox\n####### fox\n", prose(50));
        check(Config::default(), &tags, Some("too_many_hashes"));
    }

    /// Fifty words, some with something put before or behind them.
    fn fifty(marked: usize, mark: impl Fn(&str) -> String) -> String {
        let word = |n: usize| ["the", "quick", "fox", "and", "badger"][n % 5];
        let words = (0..50).map(|n| if n < marked { mark(word(n)) } else { word(n).to_owned() });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Ten lines, some with something put before or behind them.
    fn ten_lines(marked: usize, end: &str, mark: impl Fn(&str) -> String) -> String {
        let line = "the quick fox and the badger have a long walk";
        let lines = (0..10).map(|n| if n < marked { mark(line) } else { line.to_owned() });
        lines.collect::<Vec<_>>().join(end)
    }

    #[test]
    fn what_is_at_a_limit_is_kept() {
        check_limit("words_too_short", &"the and ".repeat(25), &format!("{}to", "the and ".repeat(25)));
        let ten = format!("the and {0} {0} ", "x".repeat(17)).repeat(13);
        check_limit("words_too_long", &ten, &format!("{ten} elevenchars"));
        let hash = |word: &str| format!("#{word}");
        check_limit("too_many_hashes", &fifty(5, hash), &fifty(6, hash));
        for dots in ["...", "…", "....", "....."] {
            let dotted = |word: &str| format!("{word}{dots}");
            check_limit("too_many_ellipses", &fifty(5, dotted), &fifty(6, dotted));
        }
        check_limit(
            "too_many_ellipses",
            &fifty(2, |w| format!("{w}......")),
            &fifty(3, |w| format!("{w}......")),
        );
        for end in ["\n", "\r\n", "\r", "\u{2028}"] {
            for bullet in ["- ", "•", "\u{3000}-"] {
                let listed = |line: &str| format!("{bullet}{line}");
                check_limit("too_many_bullets", &ten_lines(9, end, listed), &ten_lines(10, end, listed));
            }
            let open = |line: &str| format!("{line}... ");
            check_limit("too_many_ellipsis_ends", &ten_lines(3, end, open), &ten_lines(4, end, open));
        }
        let number = |_: &str| "1234".to_owned();
        check_limit("too_few_alphabetic", &fifty(10, number), &fifty(11, number));
        check_limit(
            "too_few_stop_words",
            &format!("the and {}", "fox ".repeat(48)),
            &format!("the the And {}", "fox ".repeat(48)),
        );
        check(Config { words_max: 50, ..Config::default() }, &prose(50), None);
    }

    #[test]
    fn letters_of_all_scripts_are_letters_and_marks_are_none() {
        let config = || Config { words: Splitter::Whitespace, stop_words_min: 0, ..Config::default() };
        for word in [
            "\u{434}\u{43e}\u{43c}",
            "\u{65e5}\u{672c}\u{8a9e}",
            "e\u{301}te\u{301}",
            "\u{928}\u{92e}\u{938}",
        ] {
            check(config(), &format!("{word} ").repeat(50), None);
        }
        // Combining marks, Roman numerals (Nl) and digits of other scripts are no letters of Python's isalpha.
        for word in ["\u{301}\u{301}\u{301}", "\u{2167}\u{2167}\u{2167}", "\u{664}\u{664}\u{664}"] {
            check(config(), &format!("{word} ").repeat(50), Some("too_few_alphabetic"));
        }
        // Characters are scalar values: a mark counts.
        check(Config { words_min: 1, ..config() }, "e\u{301}\u{301}", None);
        check(Config { words_min: 1, ..config() }, "e\u{301}", Some("words_too_short"));
        check(Config { words_min: 1, ..config() }, "one", None);
        check(Config { words_min: 1, ..config() }, "!?", Some("too_few_words"));
    }

    #[test]
    fn zero_switches_a_rule_off_and_nothing_divides_by_zero() {
        let off = || Config { words_min: 0, alphabetic_min: 0.0, stop_words_min: 0, ..Config::default() };
        check(off(), "", Some("empty"));
        check(off(), "... ###", Some("empty"));
        check(Config { words: Splitter::Whitespace, ..off() }, "... ###", Some("empty"));
        check(off(), "12345", None);
        check(Config { word_chars_max: 0.0, ..off() }, &"x".repeat(2000), None);
    }

    /// The rules as the reference tells them, without a care for speed.
    fn naive(text: &str) -> Measures {
        let words: Vec<String> = Splitter::Whitespace.words(text).into_iter().map(String::from).collect();
        let solid: Vec<&String> = words.iter().filter(|w| !w.chars().all(is_punctuation)).collect();
        let lines: Vec<&str> = python_lines(text).collect();
        let of = |part: f64, whole: usize| if whole == 0 { 0.0 } else { part / whole as f64 };
        let start = |l: &&&str| l.trim_start().starts_with('•') || l.trim_start().starts_with('-');
        let end = |l: &&&str| l.trim_end().ends_with("...") || l.trim_end().ends_with('…');
        let stops: BTreeSet<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|w| Config::default().stop_words.iter().any(|s| s == w))
            .collect();
        let ellipses = text.matches("...").count() + text.matches('…').count();
        Measures {
            words: solid.len() as f64,
            word_chars: of(solid.iter().map(|w| w.chars().count()).sum::<usize>() as f64, solid.len()),
            hashes: of(text.matches('#').count() as f64, words.len()),
            ellipses: of(ellipses as f64, words.len()),
            bullet_lines: of(lines.iter().filter(start).count() as f64, lines.len()),
            ellipsis_lines: of(lines.iter().filter(end).count() as f64, lines.len()),
            alphabetic: of(words.iter().filter(|w| w.chars().any(is_letter)).count() as f64, words.len()),
            stop_words: stops.len() as f64,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn fast_is_naive(text in "(the|and|to|#|\\.\\.\\.|…|- |• |12|é|x|[ \n\u{2028}]){0,40}") {
            let config = Config { words: Splitter::Whitespace, headings: true, ..Config::default() };
            prop_assert_eq!(measure(&text, &config), naive(&text));
        }
    }
}
