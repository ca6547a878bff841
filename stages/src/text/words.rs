//! What a word is: the largest single source of difference between the field's filters.
//!
//! On 229 documents, changing nothing but the splitter changed the Gopher verdict on 104. So the splitter is a named
//! choice, written into every manifest.
//!
//! ```text
//! "Don't panic -- it's 3.14!"   uax29       Don't panic it's 3.14
//!                               whitespace  Don't panic -- it's 3.14!
//!                               spacy-en    Do n't panic -- it 's 3.14 !
//! ```

mod uax29;

use super::lines::is_python_space;
use super::spacy;
use schemas::choice;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

choice! {
    /// How a text is cut into words. A splitter of another tool becomes a variant here.
    pub enum Splitter {
        /// Segments of Unicode Standard Annex 29 that have a letter or a digit; punctuation is no word.
        Uax29 = "uax29",
        /// Runs between white space as Python's `split` sees it; punctuation sticks to its word.
        Whitespace = "whitespace",
        /// The tokens of spaCy's blank English pipeline, marks of punctuation among them.
        SpacyEn = "spacy-en",
    }
}

impl Splitter {
    /// The words of the text, in order.
    pub fn words(self, text: &str) -> Vec<&str> {
        match self {
            Self::Uax29 => uax29::words(text),
            Self::Whitespace => text.split(is_python_space).filter(|word| !word.is_empty()).collect(),
            Self::SpacyEn => spacy::words(text),
        }
    }
}

/// Whether a character is a decimal digit of any script, as Python's `\d` has it.
pub fn is_decimal(c: char) -> bool {
    c.is_ascii_digit() || !c.is_ascii() && c.general_category() == GeneralCategory::DecimalNumber
}

/// Whether the character is one of the 281 marks that datatrove 0.10.1 does not count as part of a word: ASCII and CJK
/// punctuation, control characters, and the sentence ends of all scripts.
pub fn is_punctuation(c: char) -> bool {
    let c = u32::from(c);
    if c < 0x80 {
        return matches!(c, 0x0..=0x8 | 0xb..=0x1f | 0x21..=0x2f | 0x3a..=0x40 | 0x5b..=0x60 | 0x7b..=0x7f);
    }
    let at = PUNCTUATION.partition_point(|(_, last)| *last < c);
    PUNCTUATION.get(at).is_some_and(|(first, _)| *first <= c)
}

/// Whether the character is one of the 159 marks that end a sentence for datatrove 0.10.1, in all scripts; quotes are none.
pub fn is_terminal(c: char) -> bool {
    let c = u32::from(c);
    let at = TERMINALS.partition_point(|(_, last)| *last < c);
    TERMINALS.get(at).is_some_and(|(first, _)| *first <= c)
}

/// The marks of [`is_terminal`] as closed ranges, ascending.
#[rustfmt::skip]
const TERMINALS: &[(u32, u32)] = &[
    (0x21, 0x21), (0x2e, 0x2e), (0x3f, 0x3f), (0x589, 0x589), (0x61d, 0x61f), (0x6d4, 0x6d4), (0x700, 0x702), (0x7f9, 0x7f9),
    (0x837, 0x837), (0x839, 0x839), (0x83d, 0x83e), (0x964, 0x965), (0x104a, 0x104b), (0x1362, 0x1362), (0x1367, 0x1368),
    (0x166e, 0x166e), (0x1735, 0x1736), (0x17d4, 0x17d6), (0x17d9, 0x17da), (0x1803, 0x1803), (0x1809, 0x1809),
    (0x1944, 0x1945), (0x1aa8, 0x1aab), (0x1b5a, 0x1b5b), (0x1b5e, 0x1b5f), (0x1b7d, 0x1b7e), (0x1c3b, 0x1c3c),
    (0x1c7e, 0x1c7f), (0x203c, 0x203d), (0x2047, 0x2049), (0x2e2e, 0x2e2e), (0x2e3c, 0x2e3c), (0x2e53, 0x2e54),
    (0x3002, 0x3002), (0xa4ff, 0xa4ff), (0xa60e, 0xa60f), (0xa6f3, 0xa6f3), (0xa6f7, 0xa6f7), (0xa876, 0xa877),
    (0xa8ce, 0xa8cf), (0xa92f, 0xa92f), (0xa9c8, 0xa9c9), (0xaa5d, 0xaa5f), (0xaaf0, 0xaaf1), (0xabeb, 0xabeb),
    (0xfe52, 0xfe52), (0xfe56, 0xfe57), (0xff01, 0xff01), (0xff0e, 0xff0e), (0xff1f, 0xff1f), (0xff61, 0xff61),
    (0x10a56, 0x10a57), (0x10f55, 0x10f59), (0x10f86, 0x10f89), (0x11047, 0x11048), (0x110be, 0x110c1), (0x11141, 0x11143),
    (0x111c5, 0x111c6), (0x111cd, 0x111cd), (0x111de, 0x111df), (0x11238, 0x11239), (0x1123b, 0x1123c), (0x112a9, 0x112a9),
    (0x1144b, 0x1144c), (0x115c2, 0x115c3), (0x115c9, 0x115d7), (0x11641, 0x11642), (0x1173c, 0x1173e), (0x11944, 0x11944),
    (0x11946, 0x11946), (0x11a42, 0x11a43), (0x11a9b, 0x11a9c), (0x11c41, 0x11c42), (0x11ef7, 0x11ef8), (0x11f43, 0x11f44),
    (0x16a6e, 0x16a6f), (0x16af5, 0x16af5), (0x16b37, 0x16b38), (0x16b44, 0x16b44), (0x16e98, 0x16e98), (0x1bc9f, 0x1bc9f),
    (0x1da88, 0x1da88),
];

/// The marks beyond ASCII as closed ranges, ascending.
#[rustfmt::skip]
const PUNCTUATION: &[(u32, u32)] = &[
    (0x80, 0x9f), (0xab, 0xab), (0xb4, 0xb4), (0xbb, 0xbb), (0x589, 0x589), (0x61d, 0x61f), (0x6d4, 0x6d4), (0x700, 0x702),
    (0x7f9, 0x7f9), (0x837, 0x837), (0x839, 0x839), (0x83d, 0x83e), (0x964, 0x965), (0x104a, 0x104b), (0x1362, 0x1362),
    (0x1367, 0x1368), (0x166e, 0x166e), (0x1735, 0x1736), (0x17d4, 0x17d6), (0x17d9, 0x17da), (0x1803, 0x1803),
    (0x1809, 0x1809), (0x1944, 0x1945), (0x1aa8, 0x1aab), (0x1b5a, 0x1b5b), (0x1b5e, 0x1b5f), (0x1b7d, 0x1b7e),
    (0x1c3b, 0x1c3c), (0x1c7e, 0x1c7f), (0x2013, 0x2014), (0x2019, 0x2019), (0x201c, 0x201e), (0x2026, 0x2026),
    (0x203c, 0x203d), (0x2047, 0x2049), (0x2236, 0x2236), (0x2501, 0x2501), (0x25ba, 0x25ba), (0x2e2e, 0x2e2e),
    (0x2e3c, 0x2e3c), (0x2e53, 0x2e54), (0x3001, 0x3002), (0x3008, 0x300d), (0x3010, 0x3011), (0xa4ff, 0xa4ff),
    (0xa60e, 0xa60f), (0xa6f3, 0xa6f3), (0xa6f7, 0xa6f7), (0xa876, 0xa877), (0xa8ce, 0xa8cf), (0xa92f, 0xa92f),
    (0xa9c8, 0xa9c9), (0xaa5d, 0xaa5f), (0xaaf0, 0xaaf1), (0xabeb, 0xabeb), (0xfe52, 0xfe52), (0xfe56, 0xfe57),
    (0xff01, 0xff01), (0xff05, 0xff05), (0xff08, 0xff09), (0xff0c, 0xff0c), (0xff0e, 0xff0e), (0xff11, 0xff11),
    (0xff1a, 0xff1b), (0xff1f, 0xff1f), (0xff5e, 0xff5e), (0xff61, 0xff61), (0x10a56, 0x10a57), (0x10f55, 0x10f59),
    (0x10f86, 0x10f89), (0x11047, 0x11048), (0x110be, 0x110c1), (0x11141, 0x11143), (0x111c5, 0x111c6),
    (0x111cd, 0x111cd), (0x111de, 0x111df), (0x11238, 0x11239), (0x1123b, 0x1123c), (0x112a9, 0x112a9),
    (0x1144b, 0x1144c), (0x115c2, 0x115c3), (0x115c9, 0x115d7), (0x11641, 0x11642), (0x1173c, 0x1173e),
    (0x11944, 0x11944), (0x11946, 0x11946), (0x11a42, 0x11a43), (0x11a9b, 0x11a9c), (0x11c41, 0x11c42),
    (0x11ef7, 0x11ef8), (0x11f43, 0x11f44), (0x16a6e, 0x16a6f), (0x16af5, 0x16af5), (0x16b37, 0x16b38),
    (0x16b44, 0x16b44), (0x16e98, 0x16e98), (0x1bc9f, 0x1bc9f), (0x1da88, 0x1da88),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chars::is_letter;

    fn check(text: &str, uax29: &[&str], whitespace: &[&str]) {
        assert_eq!(Splitter::Uax29.words(text), uax29, "{text:?}");
        assert_eq!(Splitter::Whitespace.words(text), whitespace, "{text:?}");
    }

    #[test]
    fn words_of_each_splitter() {
        check("", &[], &[]);
        check("Don't -- 3.14!", &["Don't", "3.14"], &["Don't", "--", "3.14!"]);
        check("a\u{1c}b\u{3000}c", &["a", "b", "c"], &["a", "b", "c"]);
        check("e\u{301}té", &["e\u{301}té"], &["e\u{301}té"]);
    }

    #[test]
    fn there_are_281_marks() {
        let marks = ('\0'..=char::MAX).filter(|c| is_punctuation(*c));
        assert_eq!(marks.count(), 281);
        assert!(
            is_punctuation('…')
                && is_punctuation('\u{1da88}')
                && !is_punctuation('•')
                && !is_punctuation('\n')
        );
    }

    #[test]
    fn no_letter_is_a_mark() {
        assert!(('\0'..=char::MAX).all(|c| !(is_letter(c) && is_punctuation(c))));
    }

    #[test]
    fn there_are_159_ends_of_sentences() {
        let marks: Vec<char> = ('\0'..=char::MAX).filter(|c| is_terminal(*c)).collect();
        assert_eq!(marks.len(), 159);
        assert!(marks.iter().all(|c| is_punctuation(*c)) && is_terminal('.') && !is_terminal('"'));
    }
}
