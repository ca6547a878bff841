//! The normalisation of datatrove 0.10.1, on which its deduplication and decontamination compare texts.
//!
//! In this order: lower case; every number, with one decimal part, is `0`; 129 marks of punctuation and control become spaces;
//! white space is stripped, runs of it are one space; canonical decomposition without nonspacing marks; white space stripped
//! again. Its words are then those of [`spacy`](super::spacy), joined by one space where they are hashed.
//!
//! ```text
//! "The Café, at 1,234.5 -- again!"  →  "the cafe at 0 0 again"
//! ```
//!
//! What is compared across tools must agree to the byte, so each step is taken as it is there, also where the order of the steps
//! has odd effects: a lone accent between two spaces leaves both.

use super::lines::is_python_space;
use super::spacy;
use super::words::is_decimal;
use super::xxh64::xxh64;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Normalises a text.
pub fn normalize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    if text.is_ascii() {
        plain(text, &mut out);
        return out;
    }
    plain(&text.to_lowercase(), &mut out);
    if out.is_ascii() {
        return out;
    }
    let bare: String =
        out.nfd().filter(|c| c.general_category() != GeneralCategory::NonspacingMark).collect();
    bare.trim_matches(is_python_space).to_owned()
}

/// Writes numbers as `0`, marks and white space as single spaces, none at the ends. ASCII letters become small.
fn plain(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let mut at = 0;
    // A space is written when something follows it.
    let mut space = false;
    while let Some(&byte) = bytes.get(at) {
        let from = at;
        at += 1;
        let piece = match KINDS[usize::from(byte)] {
            WORD => {
                while bytes.get(at).is_some_and(|b| KINDS[usize::from(*b)] == WORD) {
                    at += 1;
                }
                &text[from..at]
            }
            DIGIT => {
                at = number_end(text, from);
                "0"
            }
            SPACE => "",
            _ => {
                let c = text[from..].chars().next().expect("a byte is part of a character");
                at = from + c.len_utf8();
                // Numbers first, for the fullwidth one is a mark too.
                if is_decimal(c) {
                    at = number_end(text, from);
                    "0"
                } else if is_mark(c) || is_python_space(c) {
                    ""
                } else {
                    &text[from..at]
                }
            }
        };
        if piece.is_empty() {
            space = true;
            continue;
        }
        if space && !out.is_empty() {
            out.push(' ');
        }
        space = false;
        let start = out.len();
        out.push_str(piece);
        out[start..].make_ascii_lowercase();
    }
}

/// Where the number that starts at a digit ends: digits, and once a decimal mark with digits behind it.
fn number_end(text: &str, start: usize) -> usize {
    let digits = |from: usize| text.len() - text[from..].trim_start_matches(is_decimal).len();
    let whole = digits(start);
    let mark = text[whole..].chars().next().filter(|c| DECIMAL_MARKS.contains(c));
    let part = mark.map(|mark| (whole + mark.len_utf8(), digits(whole + mark.len_utf8())));
    part.filter(|(from, end)| end > from).map_or(whole, |(_, end)| end)
}

const DECIMAL_MARKS: [char; 7] = ['.', ',', '،', '٫', '⎖', '⎗', '⎘'];

const WORD: u8 = 0;
const DIGIT: u8 = 1;
const SPACE: u8 = 2;
const WIDE: u8 = 3;

/// What a byte is: part of a word, digit, space or mark, start or part of a wider character.
const KINDS: [u8; 256] = {
    let mut kinds = [SPACE; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b >= 0x80 {
            kinds[byte] = WIDE;
        } else if b.is_ascii_digit() {
            kinds[byte] = DIGIT;
        } else if b.is_ascii_alphabetic() {
            kinds[byte] = WORD;
        }
        byte += 1;
    }
    kinds
};

/// Whether the character is one of the 129 marks.
fn is_mark(c: char) -> bool {
    let c = u32::from(c);
    let at = MARKS.partition_point(|(_, last)| *last < c);
    MARKS.get(at).is_some_and(|(first, _)| *first <= c)
}

/// The marks as closed ranges, ascending. Of ASCII, what is neither letter, digit nor one of tab, line feed and space.
#[rustfmt::skip]
const MARKS: &[(u32, u32)] = &[
    (0x0, 0x8), (0xb, 0x1f), (0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x9f), (0xab, 0xab), (0xb4, 0xb4), (0xbb, 0xbb),
    (0x2013, 0x2014), (0x2019, 0x2019), (0x201c, 0x201e), (0x2026, 0x2026), (0x2236, 0x2236), (0x2501, 0x2501),
    (0x25ba, 0x25ba), (0x3001, 0x3002), (0x3008, 0x300d), (0x3010, 0x3011), (0xff01, 0xff01), (0xff05, 0xff05),
    (0xff08, 0xff09), (0xff0c, 0xff0c), (0xff0e, 0xff0e), (0xff11, 0xff11), (0xff1a, 0xff1b), (0xff1f, 0xff1f),
    (0xff5e, 0xff5e),
];

/// The words of a text, normalised and joined by one space, so that every run of words is one slice.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Words {
    joined: String,
    ranges: Vec<Range<usize>>,
}

impl Words {
    /// Normalises the text and cuts it into words.
    pub fn of(text: &str) -> Self {
        Self::join(spacy::words(&normalize(text)))
    }

    /// Joins words.
    pub fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for word in words {
            if !all.joined.is_empty() {
                all.joined.push(' ');
            }
            let start = all.joined.len();
            all.joined.push_str(word);
            all.ranges.push(start..all.joined.len());
        }
        all
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The words with these numbers, joined.
    ///
    /// # Panics
    /// When the range is empty or ends behind the last word.
    pub fn run(&self, words: Range<usize>) -> &str {
        &self.joined[self.ranges[words.start].start..self.ranges[words.end - 1].end]
    }

    /// Every run of `n` words, in order; none of a text of fewer.
    pub fn ngrams(&self, n: usize) -> impl Iterator<Item = &str> {
        let count = (self.len() + 1).saturating_sub(n.max(1));
        (0..count).map(move |at| self.run(at..at + n.max(1)))
    }

    /// XXH64 of every run of `n` words, in order: datatrove's shingles and n-grams.
    pub fn ngram_hashes(&self, n: usize) -> impl Iterator<Item = u64> {
        self.ngrams(n).map(|ngram| xxh64(ngram.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What datatrove 0.10.1 gives, asked once.
    #[test]
    #[rustfmt::skip] // One line a text.
    fn texts_are_those_of_datatrove() {
        for (text, expected) in TEXTS {
            assert_eq!(normalize(text), *expected, "{text:?}");
        }
    }

    #[rustfmt::skip]
    const TEXTS: &[(&str, &str)] = &[
        ("", ""),
        ("  ", ""),
        ("The quick brown fox jumps over the lazy dog, 42 times on Monday.", "the quick brown fox jumps over the lazy dog 0 times on monday"),
        ("1,234.5 v1.2.3 1..2 3. 4, 5,x 6⎖7 8،9 1⎗2 3⎘4", "0 0 v0 0 0 0 0 0 0 x 0 0 0 0"),
        ("١٢٫٣ and ٤٥ x٦y", "0 and 0 x0y"),
        ("Café ÉCOLE cafe\u{301} naïve Straße İstanbul ΟΔΟΣ Σ ΑΣ.", "cafe ecole cafe naive straße istanbul οδος σ ας"),
        ("a \u{301} b", "a  b"),
        ("\u{301} a", "a"),
        ("a\u{301}\u{323}x", "ax"),
        ("don't — stop… “q” ‘q’ «x» ´", "don t stop q ‘q x"),
        ("a\u{85}b\u{a0}c\u{3000}d\u{2028}e\u{200b}f", "a b c d e\u{200b}f"),
        ("１ ２，３ （x）！ 日本語。中文、한국어", "0 0 0 x 日本語 中文 한국어"),
        ("a_b-c/d\\e@f.g", "a b c d e f g"),
        ("\u{0}\u{1}a\u{7f}b\u{1f}c", "a b c"),
        ("ﬁ ﬂ ½ ² Ⅷ ⅷ", "ﬁ ﬂ ½ ² ⅷ ⅷ"),
        ("\u{37e} \u{1fef} \u{212a} \u{2126} µ", "; ` k ω µ"),
        ("ไทย नमस\u{94d}ते Việt Nam Đặng", "ไทย नमसत viet nam đang"),
        ("𝟘𝟙.5 😀", "0 😀"),
        ("A\u{d}\u{a}B\u{9}C\u{a}\u{a}D", "a b c d"),
        ("x\u{5b0}\u{94d}y \u{903}z", "xy \u{903}z"),
    ];

    #[test]
    fn there_are_129_marks() {
        assert_eq!(('\0'..=char::MAX).filter(|c| is_mark(*c)).count(), 129);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '\t' | '\n' | ' ');
        assert!(('\0'..='\x7f').all(|c| is_mark(c) != plain(c)));
    }

    #[test]
    fn shingles_are_those_of_datatrove() {
        let words = Words::of("The quick brown fox jumps over the lazy dog, 42 times on Monday.");
        assert_eq!(
            words.run(0..words.len()),
            "the quick brown fox jumps over the lazy dog 0 times on monday"
        );
        let hashes: Vec<u64> = words.ngram_hashes(5).collect();
        assert_eq!((hashes.len(), hashes[0]), (9, 0x6c34_82ce_6d00_f490));
        assert_eq!(Words::of("a b c d").ngrams(5).count(), 0);
        assert_eq!(Words::of("dont stop").ngrams(2).collect::<Vec<_>>(), ["do nt", "nt stop"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn the_steps_in_one_pass_are_the_steps_one_by_one(text in "[aBÄßİΣ1٣．１ ,.\t\u{1f}\u{85}\u{3000}’\u{301}中é-]{0,24}") {
            let lower = text.to_lowercase();
            let mut numbers = String::new();
            let mut rest = lower.as_str();
            while let Some(at) = rest.find(is_decimal) {
                numbers.push_str(&rest[..at]);
                numbers.push('0');
                rest = &rest[number_end(rest, at)..];
            }
            numbers.push_str(rest);
            let marks: String = numbers.chars().map(|c| if is_mark(c) { ' ' } else { c }).collect();
            let words: Vec<&str> = marks.split(is_python_space).filter(|word| !word.is_empty()).collect();
            let bare: String = words
                .join(" ")
                .nfd()
                .filter(|c| c.general_category() != GeneralCategory::NonspacingMark)
                .collect();
            prop_assert_eq!(normalize(&text), bare.trim_matches(is_python_space));
        }
    }
}
