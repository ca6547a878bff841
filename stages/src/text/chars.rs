//! What characters are, looked up in a table: the properties that hot loops ask of every character.
//!
//! The table holds the alphabets that most text is in; Han and Hangul are ranges; others ask the tables of Unicode, which take a search each.

use std::sync::LazyLock;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// Characters that a table of properties holds: the blocks before Bopomofo, which are most alphabets, their marks and signs, and kana.
pub const TABLE_CHARS: u32 = 0x3100;
/// `char::is_alphabetic`.
const ALPHABETIC: u8 = 1;
/// `char::is_numeric`.
const NUMERIC: u8 = 2;
/// Category L.
const LETTER: u8 = 4;
/// Category N.
const NUMBER: u8 = 8;

static TABLE: LazyLock<Box<[u8]>> =
    LazyLock::new(|| (0..TABLE_CHARS).map(|code| char::from_u32(code).map_or(0, asked)).collect());

fn asked(c: char) -> u8 {
    let group = c.general_category_group();
    let all = [
        (c.is_alphabetic(), ALPHABETIC),
        (c.is_numeric(), NUMERIC),
        (group == GeneralCategoryGroup::Letter, LETTER),
        (group == GeneralCategoryGroup::Number, NUMBER),
    ];
    all.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum()
}

#[inline]
fn flags(c: char) -> u8 {
    match c {
        '\u{4e00}'..='\u{9fa5}' | '\u{ac00}'..='\u{d7a3}' => ALPHABETIC | LETTER,
        c => TABLE.get(c as usize).copied().unwrap_or_else(|| asked(c)),
    }
}

/// Whether a character is alphabetic or numeric, as `char::is_alphanumeric`.
#[inline]
pub fn is_alphanumeric(c: char) -> bool {
    flags(c) & (ALPHABETIC | NUMERIC) != 0
}

/// Whether a character is alphabetic, as `char::is_alphabetic`: a letter, a letter number, or a mark that is as good as one.
#[inline]
pub fn is_alphabetic(c: char) -> bool {
    flags(c) & ALPHABETIC != 0
}

/// Whether the character is a letter: Lu, Ll, Lt, Lm or Lo, which is Python's `isalpha`.
#[inline]
pub fn is_letter(c: char) -> bool {
    flags(c) & LETTER != 0
}

/// Whether the character is a letter or a number, which is Python's `isalnum`.
#[inline]
pub fn is_letter_or_number(c: char) -> bool {
    flags(c) & (LETTER | NUMBER) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_ranges_say_what_unicode_says() {
        for c in '\0'..=char::MAX {
            let group = c.general_category_group();
            let letter = group == GeneralCategoryGroup::Letter;
            let expected = [
                c.is_alphanumeric(),
                c.is_alphabetic(),
                letter,
                letter || group == GeneralCategoryGroup::Number,
            ];
            assert_eq!(
                [is_alphanumeric(c), is_alphabetic(c), is_letter(c), is_letter_or_number(c)],
                expected,
                "{c:?}"
            );
        }
    }

    #[test]
    fn letters_are_those_of_python() {
        assert!("aßé日ʰǅ".chars().all(is_letter));
        assert!(!"1Ⅷ\u{301}ⓐ_".chars().any(is_letter));
    }
}
