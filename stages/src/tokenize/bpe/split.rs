//! The split of a text into pre-tokens, as GPT-2 does it, without a regular-expression engine.
//!
//! The rule is the pattern of GPT-2's `encoder.py`, which byte-level tokenizers share:
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`. Every character is in some match, so
//! the pieces joined are the text. A scanner over character classes needs no look-ahead and no backtracking.
//!
//! ```text
//! "we'll  go!\n"  →  "we" "'ll" " " " go" "!" "\n"
//! ```

use regex::Regex;
use std::sync::LazyLock;

/// What the pattern tells characters apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    Other = 0,
    Letter = 1,
    Number = 2,
    Space = 3,
}

/// Two bits for each code point, from the tables of the `regex` crate: the tokenizers crate splits by the same ones.
static CLASSES: LazyLock<Vec<u64>> = LazyLock::new(classes);

fn classes() -> Vec<u64> {
    let all: String = ('\0'..=char::MAX).collect();
    let mut table = vec![0; (char::MAX as usize >> 5) + 1];
    for (pattern, class) in [(r"\p{L}+", Class::Letter), (r"\p{N}+", Class::Number), (r"\s+", Class::Space)] {
        let runs = Regex::new(pattern).expect("the pattern is a constant");
        for c in runs.find_iter(&all).flat_map(|run| run.as_str().chars()) {
            table[c as usize >> 5] |= (class as u64) << ((c as usize & 31) * 2);
        }
    }
    table
}

const ASCII: [Class; 128] = {
    let mut table = [Class::Other; 128];
    let mut byte = 0;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b' ' | 9..=13 => Class::Space,
            _ => Class::Other,
        };
        byte += 1;
    }
    table
};

/// The pre-tokens of a text, in order.
pub(super) fn split(text: &str) -> Split<'_> {
    Split { text, at: 0 }
}

/// Iterator of [`split`].
pub(super) struct Split<'a> {
    text: &'a str,
    at: usize,
}

impl Split<'_> {
    /// Class of the character at `at` and where the next begins; `None` at the end.
    #[inline]
    fn class(&self, at: usize) -> Option<(Class, usize)> {
        let byte = *self.text.as_bytes().get(at)?;
        if byte < 128 {
            return Some((ASCII[byte as usize], at + 1));
        }
        let c = self.text[at..].chars().next()?;
        let class = match CLASSES[c as usize >> 5] >> ((c as usize & 31) * 2) & 3 {
            1 => Class::Letter,
            2 => Class::Number,
            3 => Class::Space,
            _ => Class::Other,
        };
        Some((class, at + c.len_utf8()))
    }

    /// The end of the run of `class` that begins at `at`, and where its last character begins.
    #[inline]
    fn run(&self, class: Class, mut at: usize) -> (usize, usize) {
        let mut last = at;
        while let Some((found, next)) = self.class(at) {
            if found != class {
                break;
            }
            last = at;
            at = next;
        }
        (at, last)
    }

    /// The length of the contraction that begins at `at`, 0 where none does.
    fn contraction(&self, at: usize) -> usize {
        match &self.text.as_bytes()[at..] {
            [b'\'', b's' | b't' | b'm' | b'd', ..] => 2,
            [b'\'', b'r' | b'v', b'e', ..] | [b'\'', b'l', b'l', ..] => 3,
            _ => 0,
        }
    }

    /// The end of the pre-token that begins with white space at `start`.
    fn space(&self, start: usize, next: usize) -> usize {
        let follower = self.class(next);
        match follower {
            None => return next,
            Some((class, _)) if class != Class::Space => {
                // Only a plain space joins the word behind it.
                return if self.text.as_bytes()[start] == b' ' { self.run(class, next).0 } else { next };
            }
            Some(_) => {}
        }
        // A run stops before its last character, which may belong to the word behind it.
        let (end, last) = self.run(Class::Space, next);
        if end == self.text.len() { end } else { last }
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let start = self.at;
        let (class, next) = self.class(start)?;
        self.at = match class {
            Class::Space => self.space(start, next),
            Class::Other => match self.contraction(start) {
                0 => self.run(class, next).0,
                length => start + length,
            },
            _ => self.run(class, next).0,
        };
        Some(&self.text[start..self.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};

    /// Splits as the tokenizers crate does and holds our split against it.
    fn check(text: &str) {
        let mut reference = PreTokenizedString::from(text);
        ByteLevel::new(false, true, true).pre_tokenize(&mut reference).unwrap();
        let splits = reference.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let expected: Vec<&str> = splits.iter().map(|(_, (start, end), _)| &text[*start..*end]).collect();
        assert_eq!(split(text).collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn the_split_is_that_of_the_tokenizers_crate() {
        for text in [
            "", " ", "  ", "a", " a", "  a", "a ", "a  ", "\n\n a", "\ta", "a\n b", "a \nb", "a \n",
            "\u{a0}a",
        ] {
            check(text);
        }
        check("we'll  go!\nI'd it's they've can't y'all we're I'm 's' 'S 'l ' 're");
        check("x=1+2; // 3½ Ⅳ ٣ x²");
        check("naïve e\u{301} Ελληνικά 日本語、テスト 👩‍👩‍👧 שלום\u{200f} \u{3000}x\u{85}y\u{2028}z\0");
    }

    #[test]
    fn characters_of_all_planes_are_classed_alike() {
        let all: Vec<char> = ('\u{80}'..=char::MAX).collect();
        for part in all.chunks(1 << 8).step_by(41) {
            check(&part.iter().flat_map(|&c| [c, 'a', c, '1']).collect::<String>());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_splits_alike(text in "([ -~]|[ \\n\\t'a-z0-9]|\\PC|\\s){0,60}") {
            check(&text);
        }
    }
}
