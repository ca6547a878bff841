//! Keeps documents whose length lies between two limits.
//!
//! A word is a run of characters between Unicode white space; a character is a Unicode scalar value. The default
//! word limits are those of the Gopher quality rules (arXiv 2112.11446): 50 to 100,000. The limit on characters is our own.
//!
//! ```text
//! words_min = 3
//! "one two"        → drop too_short (2, limit 3)
//! "one two three"  → keep
//! ```

use schemas::{Build, Config as _, Filter, FilterStage, Judgement, Made, Reason, Spec, Verdict, config};

config! {
    /// Limits of `filter.length`.
    pub struct Config {
        /// Fewest words kept.
        words_min: u64 = 50, in 0..=1_000_000_000;
        /// Most words kept.
        words_max: u64 = 100_000, in 1..=1_000_000_000;
        /// Most characters kept.
        chars_max: u64 = 10_000_000, in 1..=1_000_000_000;
    }
}

/// Why `filter.length` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Fewer than `words_min` words.
    TooShort,
    /// More than `words_max` words.
    TooLong,
    /// More than `chars_max` characters.
    TooManyChars,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::TooManyChars => "too_many_chars",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::TooShort.name(), doc: "Fewer than `words_min` words." },
    Reason { name: Drop::TooLong.name(), doc: "More than `words_max` words." },
    Reason { name: Drop::TooManyChars.name(), doc: "More than `chars_max` characters." },
];

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(FilterStage(Length(settings.parse()?)))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.length",
    version: 1,
    summary: "Keeps documents whose length lies between two limits.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// Bytes of ASCII whose words are counted at once.
const BLOCK: usize = 128;

struct Length(Config);

impl Filter for Length {
    const SIGNALS: &'static [&'static str] = &["words", "chars"];
    const LIMITS: &'static [&'static str] = &["words_min", "words_max", "chars_max"];

    fn judge(&self, text: &str) -> Judgement {
        let (words, chars) = (count_words(text) as f64, text.chars().count() as f64);
        Judgement { verdict: self.0.verdict(words, chars), signals: vec![words, chars] }
    }

    fn decide(&self, signals: &[f64]) -> Option<Verdict> {
        Some(self.0.verdict(signals[0], signals[1]))
    }
}

/// `text.split_whitespace().count()`, a block of ASCII at a time.
fn count_words(text: &str) -> usize {
    let (mut words, mut apart, mut at) = (0, true, 0);
    while at < text.len() {
        let end = text.ceil_char_boundary(at + BLOCK);
        let block = &text[at..end];
        let goes_on = !apart && !block.starts_with(char::is_whitespace);
        let count =
            if block.is_ascii() { count_ascii(block.as_bytes()) } else { block.split_whitespace().count() };
        words += count - usize::from(goes_on);
        apart = block.ends_with(char::is_whitespace);
        at = end;
    }
    words
}

/// The words of at most 255 bytes, without a branch for each.
fn count_ascii(block: &[u8]) -> usize {
    let pairs = block.iter().zip(&block[1..]);
    let starts: u8 = pairs.map(|(before, byte)| u8::from(is_space(*before) & !is_space(*byte))).sum();
    usize::from(starts) + usize::from(!is_space(block[0]))
}

/// White space of ASCII.
const fn is_space(byte: u8) -> bool {
    byte == b' ' || byte.wrapping_sub(b'\t') < 5
}

impl Config {
    fn verdict(&self, words: f64, chars: f64) -> Verdict {
        let [words_min, words_max, chars_max] =
            [self.words_min, self.words_max, self.chars_max].map(|limit| limit as f64);
        let (reason, value, limit) = if words < words_min {
            (Drop::TooShort, words, words_min)
        } else if words > words_max {
            (Drop::TooLong, words, words_max)
        } else if chars > chars_max {
            (Drop::TooManyChars, chars, chars_max)
        } else {
            return Verdict::Kept;
        };
        Verdict::Dropped { reason: reason.name(), value, limit, twin: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(limits: (u64, u64, u64), text: &str, expected: Option<(&str, f64)>) {
        let (words_min, words_max, chars_max) = limits;
        let verdict = Length(Config { words_min, words_max, chars_max }).judge(text).verdict;
        let found = match verdict {
            Verdict::Dropped { reason, value, .. } => Some((reason, value)),
            _ => None,
        };
        assert_eq!(found, expected, "{text:?} at {limits:?}");
    }

    #[test]
    fn limits_are_inclusive() {
        check((3, 9, 99), "one two", Some(("too_short", 2.0)));
        check((3, 9, 99), "one two three", None);
        check((0, 2, 99), "one two three", Some(("too_long", 3.0)));
        check((0, 3, 99), "one two three", None);
        check((0, 9, 4), "äöü€", None);
        check((0, 9, 3), "äöü€", Some(("too_many_chars", 4.0)));
        check((1, 9, 9), "", Some(("too_short", 0.0)));
        check((0, 9, 9), "", None);
        check((2, 9, 9), "a\u{a0}b", None);
        check((2, 2, 9), "a\r\nb", None);
        check((1, 1, 2), "e\u{301}", None);
        check((1, 1, 1), "e\u{301}", Some(("too_many_chars", 2.0)));
        check((1, 9, 9), " \n\t", Some(("too_short", 0.0)));
        check((1, 9, 9), "\u{434}\u{43e}\u{43c}", None);
    }

    proptest! {
        #[test]
        fn words_of_blocks_are_those_of_the_text(text in "([a \t\n\u{b}\u{1c}]{0,70}|[aé\u{85}\u{a0}\u{3000}中 ]{0,30}){0,5}") {
            prop_assert_eq!(count_words(&text), text.split_whitespace().count());
        }
    }
}
