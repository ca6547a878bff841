//! The letters and digits of a text in a row, and where its words start among them.
//!
//! Case, accents, forms such as `ﬁ`, punctuation and white space are no part of the row, so texts that differ in these alone have the same one:
//! `Don't  PANIC`, `dont panic` and `don ’t pa­nic` are all `dontpanic`. Words start where a letter or digit follows anything else;
//! every character of a script without spaces starts one. A text of ASCII takes one pass without a branch for each byte; other alphabets are looked up
//! in a table.
//!
//! ```text
//! "A Café, 2x" → row "acafe2x", words start at 0, 1 and 5
//! ```

use crate::text::chars::TABLE_CHARS;
use std::sync::LazyLock;
use unicode_normalization::char::decompose_compatible;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// Zero bytes behind the row, so that a window at any start lies in it.
pub const PADDING: usize = 16;
/// Bytes of ASCII taken at once.
const BLOCK: usize = 64;

/// The row of a text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Letters {
    /// The row, then [`PADDING`].
    padded: Vec<u8>,
    len: usize,
    starts: Vec<u32>,
    words: usize,
}

impl Letters {
    /// Reads a text.
    pub fn of(text: &str) -> Self {
        let mut letters = Self::default();
        letters.read(text);
        letters
    }

    /// Reads a text into the memory of the one before.
    ///
    /// # Panics
    /// When the text has 4 GiB: documents are far shorter.
    pub fn read(&mut self, text: &str) {
        assert!(u32::try_from(text.len()).is_ok(), "documents are below 4 GiB");
        self.clear();
        let bytes = text.as_bytes();
        let table = &**TABLE;
        let (mut at, mut apart) = (0, true);
        while at < bytes.len() {
            let block = &bytes[at..bytes.len().min(at + BLOCK)];
            if block.is_ascii() {
                apart = self.ascii(block, apart);
                at += block.len();
                continue;
            }
            let end = at + block.len();
            self.reserve(BLOCK * ENTRY_BYTES);
            for c in text[at..].chars() {
                let known = table.get(c as usize).copied().unwrap_or_else(|| han(c, &bytes[at..]));
                if known & SLOW == 0 {
                    apart = self.known(known, apart);
                } else {
                    apart = self.other(c, apart);
                    self.reserve(BLOCK * ENTRY_BYTES);
                }
                at += c.len_utf8();
                if at >= end {
                    break;
                }
            }
        }
        self.end();
    }

    /// The byte of the text that each byte of the row comes from, and the length of the text.
    pub fn offsets(text: &str) -> Vec<usize> {
        let (mut letters, mut offsets, mut apart) = (Self::default(), Vec::new(), true);
        for (at, c) in text.char_indices() {
            apart = if c.is_ascii() { letters.ascii(&[c as u8], apart) } else { letters.other(c, apart) };
            offsets.resize(letters.len, at);
        }
        offsets.push(text.len());
        offsets
    }

    /// The row.
    pub fn row(&self) -> &[u8] {
        &self.padded[..self.len]
    }

    /// The row and the zeros behind it.
    pub fn padded(&self) -> &[u8] {
        &self.padded[..self.len + PADDING]
    }

    /// Where words start in the row, ascending.
    pub fn starts(&self) -> &[u32] {
        &self.starts[..self.words]
    }

    /// The words.
    pub fn words(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.starts().iter().skip(1).map(|end| *end as usize).chain([self.len]);
        self.starts().iter().zip(ends).map(|(start, end)| &self.padded[*start as usize..end])
    }

    /// Whether a word starts or the row ends at this place.
    pub fn is_border(&self, at: usize) -> bool {
        at == self.len || self.starts().binary_search(&(at as u32)).is_ok()
    }

    fn clear(&mut self) {
        (self.len, self.words) = (0, 0);
    }

    fn end(&mut self) {
        self.padded.resize(self.padded.len().max(self.len + PADDING), 0);
        self.padded[self.len..self.len + PADDING].fill(0);
    }

    /// Makes room for `count` more bytes, each of which may start a word.
    fn reserve(&mut self, count: usize) {
        // Twice the need, so that a long text is not moved for each block.
        if self.padded.len() < self.len + count {
            self.padded.resize(2 * (self.len + count), 0);
        }
        if self.starts.len() < self.words + count {
            self.starts.resize(2 * (self.words + count), 0);
        }
    }

    /// At most [`BLOCK`] bytes. Every byte is written, and the next one over it where it is no letter.
    fn ascii(&mut self, block: &[u8], mut apart: bool) -> bool {
        self.reserve(BLOCK);
        let row: &mut [u8; BLOCK] =
            self.padded[self.len..].first_chunk_mut().expect("there is room for a block");
        let starts: &mut [u32; BLOCK] =
            self.starts[self.words..].first_chunk_mut().expect("there is room for a block");
        let (mut len, mut words) = (0, 0);
        for byte in block {
            let letter = SMALL[usize::from(*byte)];
            let is_letter = letter != 0;
            row[len % BLOCK] = letter;
            starts[words % BLOCK] = (self.len + len) as u32;
            len += usize::from(is_letter);
            words += usize::from(is_letter & apart);
            apart = !is_letter;
        }
        self.len += len;
        self.words += words;
        apart
    }

    /// A character of the table, of which there is room for the letter.
    #[inline(always)]
    fn known(&mut self, known: u32, apart: bool) -> bool {
        let is_letter = known & LETTER != 0;
        let place = self.padded[self.len..].first_chunk_mut().expect("there is room for a letter");
        *place = known.to_le_bytes();
        self.starts[self.words] = self.len as u32;
        self.len += (known >> COUNT_SHIFT & 3) as usize;
        self.words += usize::from(is_letter & (apart | (known & ALONE != 0)));
        // A letter leaves the next one beside it, a part of one changes nothing.
        known & (LETTER | PART) == 0 || known & ALONE != 0 || apart & (known & PART != 0)
    }

    fn other(&mut self, c: char, apart: bool) -> bool {
        use GeneralCategory::{Format, NonspacingMark, SpacingMark};
        let alone = stands_alone(c);
        match c {
            // Dashes, quotes and dots: most of what is beyond ASCII in Western text.
            '\u{2010}'..='\u{2027}' => return true,
            // Han, which has neither case nor marks.
            '\u{4e00}'..='\u{9fff}' => {
                self.reserve(1);
                self.starts[self.words] = self.len as u32;
                self.words += 1;
                self.letter(c);
                return true;
            }
            // Hangul syllables, whose parts are no marks.
            '\u{ac00}'..='\u{d7a3}' => {
                if apart {
                    self.reserve(1);
                    self.starts[self.words] = self.len as u32;
                    self.words += 1;
                }
                decompose_compatible(c, |part| self.letter(part));
                return false;
            }
            _ => {}
        }
        if !c.is_alphanumeric() {
            // A mark belongs to the letter before it; a soft hyphen or joiner is as good as not there.
            let part = c >= '\u{300}' || c == '\u{ad}';
            let none = part && matches!(c.general_category(), NonspacingMark | SpacingMark | Format);
            return apart || !none;
        }
        if apart || alone {
            self.reserve(1);
            self.starts[self.words] = self.len as u32;
            self.words += 1;
        }
        for small in c.to_lowercase() {
            // What capitals write as SS, as they do FI for the ligature.
            if small == 'ß' {
                self.letter('s');
                self.letter('s');
                continue;
            }
            decompose_compatible(small, |part| {
                if part.general_category() != NonspacingMark {
                    self.letter(part);
                }
            });
        }
        alone
    }

    fn letter(&mut self, c: char) {
        let bytes = c.len_utf8();
        self.reserve(bytes);
        c.encode_utf8(&mut self.padded[self.len..self.len + bytes]);
        self.len += bytes;
    }
}

/// Bytes that are written for a character: at most three of its letter, then flags that the next letter takes the place of.
const ENTRY_BYTES: usize = 4;
/// Bits below the number of bytes of the letter.
const COUNT_SHIFT: u32 = 24;
/// A letter or digit.
const LETTER: u32 = 1 << 26;
/// One of a script without spaces.
const ALONE: u32 = 1 << 27;
/// What belongs to the letter before it.
const PART: u32 = 1 << 28;
/// What an entry has no room for.
const SLOW: u32 = 1 << 29;

/// What [`Letters::other`] and [`Letters::ascii`] make of each character below [`TABLE_CHARS`].
static TABLE: LazyLock<Box<[u32]>> = LazyLock::new(|| (0..TABLE_CHARS).map(entry).collect());

/// The entry of a Han character, with the bytes of the text from it on; of others that there is none.
#[inline(always)]
fn han(c: char, bytes: &[u8]) -> u32 {
    match (c, bytes) {
        ('\u{4e00}'..='\u{9fff}', [a, b, c, ..]) => {
            u32::from_le_bytes([*a, *b, *c, 0]) | 3 << COUNT_SHIFT | LETTER | ALONE
        }
        _ => SLOW,
    }
}

fn entry(code: u32) -> u32 {
    let Some(c) = char::from_u32(code) else { return SLOW };
    // Behind a letter, and behind anything else.
    let [(behind, row), (apart, _)] = [false, true].map(|apart| {
        let mut letters = Letters::default();
        let apart = if c.is_ascii() { letters.ascii(&[c as u8], apart) } else { letters.other(c, apart) };
        (apart, letters)
    });
    let is_letter = c.is_alphanumeric();
    match (is_letter, row.row()) {
        (false, []) if behind => 0,
        (false, []) => PART,
        (true, bytes @ ([_] | [_, _] | [_, _, _])) if behind == apart => {
            let mut letter = [0; ENTRY_BYTES];
            letter[..bytes.len()].copy_from_slice(bytes);
            let alone = if apart { ALONE } else { 0 };
            u32::from_le_bytes(letter) | (bytes.len() as u32) << COUNT_SHIFT | LETTER | alone
        }
        _ => SLOW,
    }
}

/// Letters of scripts that are written without spaces.
fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3041}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters in lower case and digits as they are; zero for all other bytes.
const SMALL: [u8; 256] = {
    let mut small = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            small[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    small
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, row: &str, words: &[&str]) {
        let letters = Letters::of(text);
        assert_eq!(String::from_utf8_lossy(letters.row()), row, "{text:?}");
        let found: Vec<_> = letters.words().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        assert_eq!(found, words, "{text:?}");
    }

    #[test]
    fn rows_and_words() {
        check("", "", &[]);
        check("...", "", &[]);
        check("A Café, 2x", "acafe2x", &["a", "cafe", "2x"]);
        check("Don't  PANIC", "dontpanic", &["don", "t", "panic"]);
        check("don ’t pa\u{ad}nic", "dontpanic", &["don", "t", "panic"]);
        check("e\u{301}te\u{301}", "ete", &["ete"]);
        check("İß—Σ", "issσ", &["iss", "σ"]);
        check("ﬁ x²", "fix2", &["fi", "x2"]);
        check("a中文b", "a中文b", &["a", "中", "文", "b"]);
        let parts = "\u{1112}\u{1161}\u{11ab}";
        check("한 가a 한", &format!("{parts}\u{1100}\u{1161}a{parts}"), &[parts, "\u{1100}\u{1161}a", parts]);
        check(parts, parts, &[parts]);
        check("हिन्दी है", "हिनदीह", &["हिनदी", "ह"]);
    }

    #[test]
    fn parts_of_hangul_are_no_marks() {
        for c in '\u{ac00}'..='\u{d7a3}' {
            assert!(c.is_alphanumeric() && !stands_alone(c) && c.to_lowercase().eq([c]), "{c}");
            decompose_compatible(c, |part| {
                assert_ne!(part.general_category(), GeneralCategory::NonspacingMark, "{c}")
            });
        }
    }

    #[test]
    fn offsets_lead_back_to_the_text() {
        let text = "–A Café, 中x!";
        let at = Letters::offsets(text);
        assert_eq!(at.len(), Letters::of(text).row().len() + 1);
        assert_eq!(&text[at[1]..at[5]], "Café, ");
        assert_eq!(&text[at[5]..at[8]], "中");
        assert_eq!(at.last(), Some(&text.len()));
    }

    #[test]
    fn borders() {
        let letters = Letters::of("ab c");
        assert_eq!((0..5).filter(|at| letters.is_border(*at)).collect::<Vec<_>>(), [0, 2, 3]);
    }

    /// Each character alone, behind a letter and behind a space.
    #[test]
    fn the_table_says_what_is_said_without_it() {
        let mut read = Letters::default();
        for c in (0..=0x1_1fff).filter_map(char::from_u32) {
            for before in ["éa", "é "] {
                let text = format!("{before}{c}b");
                let (mut one, mut apart) = (Letters::default(), true);
                for c in text.chars() {
                    apart = if c.is_ascii() { one.ascii(&[c as u8], apart) } else { one.other(c, apart) };
                }
                one.end();
                read.read(&text);
                assert_eq!((read.row(), read.starts()), (one.row(), one.starts()), "{c:?} {before:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn blocks_are_the_characters_one_by_one(text in "([a-cX1 .]{0,90}|[é\u{301}中\u{ad}’Ⅷ가\u{11a8}]{0,3}){0,6}", before in "\\PC{0,40}") {
            let (mut one, mut apart) = (Letters::default(), true);
            for c in text.chars() {
                apart = if c.is_ascii() { one.ascii(&[c as u8], apart) } else { one.other(c, apart) };
            }
            one.end();
            let mut read = Letters::of(&before);
            read.read(&text);
            prop_assert_eq!(read.row(), one.row());
            prop_assert_eq!(read.starts(), one.starts());
            prop_assert_eq!(read.padded().len(), read.row().len() + PADDING);
            prop_assert!(read.padded()[read.row().len()..].iter().all(|b| *b == 0));
        }
    }
}
