//! Drops documents by the characters they are made of: marks, digits, addresses, white space, brackets, endless words, boilerplate.
//!
//! The rules that NeMo Curator has beside those of Gopher, in the order of the table; the first that fails is the reason, and a value
//! equal to its limit passes. Shares are of the characters of the text unless said otherwise.
//!
//! | reason | signal | is |
//! |---|---|---|
//! | `too_many_symbols` | `symbols` | share of characters that are neither letter nor digit |
//! | `too_many_digits` | `digits` | share of decimal digits |
//! | `too_many_urls` | `urls` | share in web addresses |
//! | `too_much_white_space` | `white_space` | share of white space |
//! | `too_many_parentheses` | `parentheses` | share of `( ) [ ] { } ⟨ ⟩` |
//! | `word_too_long` | `longest_word` | characters of the longest run without white space |
//! | `too_few_sentence_ends` | `open_lines` | share of the lines, blank ones aside, that end no sentence |
//! | `boilerplate` | `boilerplate` | share of the paragraphs that speak of cookies, privacy policy or terms of use; 1 with "lorem ipsum" |
//!
//! | `dialect` | |
//! |---|---|
//! | `gristmill` | Fenced code is not looked at: its indents, brackets and digits say nothing of the prose. Letters, marks and digits of all scripts are no symbols, nor are white space and the marks of sentences; an address goes up to the next white space, bracket or quote; headings, list items and table rows are not expected to end a sentence, and quotes, brackets and emphasis behind an end do not hide it; paragraphs are cut at blank lines. A text without prose passes. |
//! | `nemo` | As in NeMo Curator 1: only ASCII letters and digits, LF and `? ! , .` are no symbols, so every space is one, and text in another script is nothing else; an address ends at the first `/` behind its host; each line needs one of `. ? ! " '` at its end; paragraphs are cut at every two LF. A text without a character goes as `empty`. |
//!
//! ```text
//! "{[(<a>)]}; {[(<b>)]}; {[(<c>)]};"  → drop too_many_symbols (0.844, limit 0.25)
//! ```

mod nemo;
mod ours;

use crate::text::lines::is_python_space;
use aho_corasick::AhoCorasick;
use schemas::{
    Build, Config as _, Filter, FilterStage, Judgement, KeyError, Made, Reason, Spec, Verdict, choice, config,
};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

choice! {
    /// Whose rules hold.
    pub enum Dialect {
        /// The house's own: all scripts, prose alone.
        Ours = "gristmill",
        /// Those of NeMo Curator.
        Nemo = "nemo",
    }
}

config! {
    /// Limits of `filter.symbols`. A limit of 0 switches its rule off.
    pub struct Config {
        /// Whose rules hold: `gristmill` or `nemo`.
        dialect: Dialect = Dialect::Ours;
        /// Greatest share of symbols.
        symbols_max: f64 = 0.25, in 0.0..=1.0;
        /// Greatest share of digits.
        digits_max: f64 = 0.15, in 0.0..=1.0;
        /// Greatest share in web addresses.
        urls_max: f64 = 0.2, in 0.0..=1.0;
        /// Greatest share of white space.
        white_space_max: f64 = 0.25, in 0.0..=1.0;
        /// Greatest share of brackets.
        parentheses_max: f64 = 0.1, in 0.0..=1.0;
        /// Most characters of a word.
        word_chars_max: u64 = 1000, in 0..=1_000_000_000;
        /// Greatest share of lines that end no sentence.
        open_lines_max: f64 = 0.85, in 0.0..=1.0;
        /// Greatest share of paragraphs with boilerplate.
        boilerplate_max: f64 = 0.4, in 0.0..=1.0;
    }
}

const RULES: usize = 8;

/// Why `filter.symbols` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Not a character.
    Empty,
    /// The measure of this place in the table of rules is above its limit.
    Above(usize),
}

const NAMES: [&str; RULES] = [
    "too_many_symbols",
    "too_many_digits",
    "too_many_urls",
    "too_much_white_space",
    "too_many_parentheses",
    "word_too_long",
    "too_few_sentence_ends",
    "boilerplate",
];

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Above(rule) => NAMES[rule],
        }
    }
}

#[rustfmt::skip] // One line a reason.
const REASONS: &[Reason] = &[
    Reason { name: Drop::Empty.name(), doc: "nemo: the text is empty." },
    Reason { name: Drop::Above(0).name(), doc: "More than `symbols_max` of the characters are symbols." },
    Reason { name: Drop::Above(1).name(), doc: "More than `digits_max` of the characters are digits." },
    Reason { name: Drop::Above(2).name(), doc: "More than `urls_max` of the characters are in web addresses." },
    Reason { name: Drop::Above(3).name(), doc: "More than `white_space_max` of the characters are white space." },
    Reason { name: Drop::Above(4).name(), doc: "More than `parentheses_max` of the characters are brackets." },
    Reason { name: Drop::Above(5).name(), doc: "A word of more than `word_chars_max` characters." },
    Reason { name: Drop::Above(6).name(), doc: "More than `open_lines_max` of the lines end no sentence." },
    Reason { name: Drop::Above(7).name(), doc: "More than `boilerplate_max` of the paragraphs are boilerplate." },
];

const BUILD: Build = |settings| {
    let symbols = Symbols::new(settings.parse()?)
        .map_err(|message| vec![KeyError { key: "boilerplate_max".into(), message, help: None }])?;
    Ok(Made::Stage(Box::new(FilterStage(symbols))))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.symbols",
    version: 1,
    summary: "Drops documents by the characters they are made of: marks, digits, addresses, white space, brackets, endless words, boilerplate.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// What speaks of the site and not of its subject. The last one alone condemns a text.
const BOILERPLATE: [&str; 13] = [
    "terms of use",
    "privacy policy",
    "cookie policy",
    "cookies policy",
    "uses cookies",
    "use cookies",
    "use of cookies",
    "privacy overview",
    "necessary cookies are absolutely essential",
    "termed as non-necessary cookies",
    "changing your cookie settings, you agree",
    "accept all cookies",
    "lorem ipsum",
];

/// What is counted in one walk over the characters.
#[derive(Debug, Default)]
struct Counts {
    chars: usize,
    symbols: usize,
    digits: usize,
    spaces: usize,
    parentheses: usize,
    word: usize,
    longest_word: usize,
}

const SOLID: u8 = 1;
const DIGIT: u8 = 2;
const SPACE: u8 = 4;
const PARENTHESIS: u8 = 8;
/// White space that ends a word, whether it counts as white space or not.
const BREAK: u8 = 16;

/// The bits of the ASCII characters in a dialect.
type Table = [u8; 128];

impl Counts {
    fn walk(&mut self, text: &str, ascii: &Table, beyond: fn(char) -> u8) {
        for c in text.chars() {
            let bits = if c.is_ascii() { ascii[c as usize] } else { beyond(c) };
            self.chars += 1;
            self.symbols += usize::from(bits & SOLID == 0);
            self.digits += usize::from(bits & DIGIT != 0);
            self.spaces += usize::from(bits & SPACE != 0);
            self.parentheses += usize::from(bits & PARENTHESIS != 0);
            self.word = if bits & BREAK != 0 { 0 } else { self.word + 1 };
            self.longest_word = self.longest_word.max(self.word);
        }
        self.word = 0;
    }

    /// The measures of the rules, from these counts and those that need more than one character.
    fn measures(&self, url_chars: usize, open: [usize; 2], boilerplate: f64) -> [f64; RULES] {
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        [
            share(self.symbols, self.chars),
            share(self.digits, self.chars),
            share(url_chars, self.chars),
            share(self.spaces, self.chars),
            share(self.parentheses, self.chars),
            self.longest_word as f64,
            share(open[0], open[1]),
            boilerplate,
        ]
    }
}

/// Bits that are the same in both dialects.
fn common(c: char) -> u8 {
    let decimal = if c.is_ascii() {
        c.is_ascii_digit()
    } else {
        c.general_category() == GeneralCategory::DecimalNumber
    };
    let parenthesis = matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | '\u{27e8}' | '\u{27e9}');
    bit(decimal, DIGIT) | bit(parenthesis, PARENTHESIS) | bit(is_python_space(c), BREAK)
}

const fn bit(is: bool, bit: u8) -> u8 {
    if is { bit } else { 0 }
}

fn table(of: fn(char) -> u8) -> Table {
    std::array::from_fn(|byte| of(char::from(byte as u8)))
}

/// Where a web address starts, and what follows its `://`.
fn urls(text: &str) -> impl Iterator<Item = (usize, &str)> {
    memchr::memmem::find_iter(text.as_bytes(), "http").filter_map(|at| {
        let rest = &text[at + 4..];
        let rest = rest.strip_prefix('s').unwrap_or(rest).strip_prefix("://")?;
        Some((text.len() - rest.len() - at, rest))
    })
}

struct Symbols {
    dialect: Dialect,
    limits: [f64; RULES],
    ascii: Table,
    boilerplate: AhoCorasick,
}

impl Symbols {
    fn new(config: Config) -> Result<Self, String> {
        let limits = [
            config.symbols_max,
            config.digits_max,
            config.urls_max,
            config.white_space_max,
            config.parentheses_max,
            config.word_chars_max as f64,
            config.open_lines_max,
            config.boilerplate_max,
        ];
        let ascii = table(match config.dialect {
            Dialect::Ours => ours::bits,
            Dialect::Nemo => nemo::bits,
        });
        let boilerplate = AhoCorasick::builder().ascii_case_insensitive(true).build(BOILERPLATE);
        Ok(Self {
            dialect: config.dialect,
            limits,
            ascii,
            boilerplate: boilerplate.map_err(|e| e.to_string())?,
        })
    }

    /// Share of the paragraphs that have boilerplate; `next` gives the end of the paragraph from a place on and the start of the next.
    fn boilerplate(&self, text: &str, next: fn(&str, usize) -> [usize; 2]) -> f64 {
        let mut found = self.boilerplate.find_iter(text).peekable();
        if found.peek().is_none() {
            return 0.0;
        }
        let (mut paragraphs, mut bad, mut at) = (0, 0, 0);
        while at <= text.len() {
            let [end, start] = next(text, at);
            paragraphs += 1;
            let mut is_bad = false;
            while let Some(hit) = found.next_if(|hit| hit.start() < end) {
                if hit.pattern().as_usize() == BOILERPLATE.len() - 1 {
                    return 1.0;
                }
                is_bad = true;
            }
            bad += usize::from(is_bad);
            at = start;
        }
        bad as f64 / paragraphs as f64
    }
}

impl Filter for Symbols {
    const SIGNALS: &'static [&'static str] = &[
        "symbols",
        "digits",
        "urls",
        "white_space",
        "parentheses",
        "longest_word",
        "open_lines",
        "boilerplate",
    ];

    fn judge(&self, text: &str) -> Judgement {
        let dropped =
            |drop: Drop, value, limit| Verdict::Dropped { reason: drop.name(), value, limit, twin: None };
        let measures = match self.dialect {
            Dialect::Ours => ours::measure(self, text),
            Dialect::Nemo if text.is_empty() => {
                return Judgement { verdict: dropped(Drop::Empty, 0.0, 1.0), signals: vec![0.0; RULES] };
            }
            Dialect::Nemo => nemo::measure(self, text),
        };
        let above = (0..RULES).find(|&rule| self.limits[rule] > 0.0 && measures[rule] > self.limits[rule]);
        let verdict =
            above.map_or(Verdict::Kept, |rule| dropped(Drop::Above(rule), measures[rule], self.limits[rule]));
        Judgement { verdict, signals: measures.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The dialects under one name: ours, then NeMo's.
    pub(super) fn measure(dialect: Dialect, text: &str) -> Vec<f64> {
        Symbols::new(Config { dialect, ..Config::default() }).unwrap().judge(text).signals
    }

    pub(super) fn check(config: Config, text: &str, expected: Option<&str>) {
        let judgement = Symbols::new(config).unwrap().judge(text);
        let found = match judgement.verdict {
            Verdict::Dropped { reason, .. } => Some(reason),
            _ => None,
        };
        assert_eq!(found, expected, "{text:?}: {:?}", judgement.signals);
        assert_eq!(judgement.signals.len(), RULES);
    }

    pub(super) fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn each_rule_has_its_reason_in_both_dialects() {
        let mill = "The mill stands by the river and turns slowly.\n";
        for (text, reason) in [
            (mill.repeat(3), None),
            (format!("{mill}{}", ";<>%=".repeat(8)), Some("too_many_symbols")),
            (format!("{mill}{}.", "12345".repeat(3)), Some("too_many_digits")),
            (format!("{mill}http://{}.", "example.com".repeat(3)), Some("too_many_urls")),
            (format!("{mill}{}.", "a\n".repeat(60)), Some("too_much_white_space")),
            (format!("{mill}{}.", "(a)bcdefgh".repeat(5)), Some("too_many_parentheses")),
            (format!("{mill}{}.", "a".repeat(1001)), Some("word_too_long")),
            (
                format!("{}A line without an end", "a line without an end\n".repeat(6)),
                Some("too_few_sentence_ends"),
            ),
            (format!("{mill}\nThis site uses cookies."), Some("boilerplate")),
            (format!("{mill}\n{mill}\n{mill}\nLorem IPSUM."), Some("boilerplate")),
        ] {
            check(Config::default(), &text, reason);
            check(Config { dialect: Dialect::Nemo, ..Config::default() }, &text, reason);
        }
    }

    #[test]
    fn empty_texts() {
        check(Config { dialect: Dialect::Nemo, ..Config::default() }, "", Some("empty"));
        check(Config::default(), "", None);
        check(Config::default(), "```\n{}\n```", None);
    }

    #[test]
    fn zero_switches_a_rule_off() {
        check(
            Config { symbols_max: 0.0, parentheses_max: 0.0, open_lines_max: 0.0, ..Config::default() },
            "{}{}",
            None,
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_text_is_measured(text in "(\\PC|[ \n(]|https?://|terms of use|```){0,30}") {
            for dialect in [Dialect::Ours, Dialect::Nemo] {
                let found = measure(dialect, &text);
                for (rule, value) in found.iter().enumerate() {
                    prop_assert!(*value >= 0.0 && (rule == 5 || *value <= 1.0), "{:?} of {:?}", found, text);
                }
            }
        }
    }
}
