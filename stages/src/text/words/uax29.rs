//! The words of Unicode Standard Annex 29, as `unicode_words` of the crate gives them, by a table.
//!
//! What a character is to the rules is asked of the crate once. An ideograph is a word of its own, whatever stands around it. What the table
//! has no room for (emoji, flags, joiners, Hebrew before quotes, rare scripts) is left to the crate, from the last border that is sure to the
//! next one. No word crosses a space.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use unicode_segmentation::UnicodeSegmentation as _;

/// What a character is to its neighbours; the last two are what it has become to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// White space of ASCII, or the start of the text.
    Space,
    /// A border on both sides: most marks of punctuation.
    Apart,
    /// The same, but a word: ideographs, Hiragana, Thai, fractions.
    Alone,
    /// Part of what stands before it: accents, vowel signs, soft hyphens.
    Part,
    Letter,
    /// A letter that quotes join.
    Hebrew,
    Digit,
    Katakana,
    /// `_` and its like, which join letters, digits and Katakana.
    Connector,
    /// Joins the letters that it stands between.
    MidLetter,
    /// Joins the digits that it stands between.
    MidDigit,
    /// Joins either.
    Mid,
    /// The double quote.
    Quote,
    /// The crate says.
    Rare,
    /// A letter and what may join it to the next.
    LetterMid,
    /// A digit and what may join it to the next.
    DigitMid,
}

/// What a character does to the segment that ends before it.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Goes on with it.
    Join,
    /// Goes on with it, and the next character stands behind the same one as this.
    Cling,
    /// Goes on with it if the next character does.
    Bridge,
    /// Ends it.
    End,
    /// Ends it before the bridge.
    EndBeforeBridge,
    /// The crate says.
    Ask,
}

use Kind::{
    Alone, Apart, Connector, Digit, DigitMid, Hebrew, Katakana, Letter, LetterMid, Mid, MidDigit, MidLetter,
    Part, Quote, Rare, Space,
};

const KINDS: [Kind; 16] = [
    Space, Apart, Alone, Part, Letter, Hebrew, Digit, Katakana, Connector, MidLetter, MidDigit, Mid, Quote,
    Rare, LetterMid, DigitMid,
];
/// Bits of an entry of the table that are the kind.
const KIND: u8 = KINDS.len() as u8 - 1;
/// The bit of a letter or number: a segment that has one is a word.
const SOLID: u8 = 0x10;
/// The bit of all entries that were asked for.
const ASKED: u8 = 0x20;

/// Rules WB4 to WB13b: what a character does behind another.
const fn step(before: Kind, kind: Kind) -> Step {
    match (before, kind) {
        (_, Rare) | (Space | LetterMid | DigitMid, Part) | (Hebrew, Mid | Quote) => Step::Ask,
        (_, Part) => Step::Cling,
        (Letter | Hebrew | Digit | Connector, Letter | Hebrew | Digit | Connector)
        | (Katakana | Connector, Katakana | Connector)
        | (LetterMid, Letter | Hebrew)
        | (DigitMid, Digit) => Step::Join,
        (Letter | Hebrew, MidLetter | Mid) | (Digit, MidDigit | Mid) => Step::Bridge,
        (LetterMid | DigitMid, _) => Step::EndBeforeBridge,
        _ => Step::End,
    }
}

const STEPS: [[Step; KINDS.len()]; KINDS.len()] = {
    let mut steps = [[Step::End; KINDS.len()]; KINDS.len()];
    let mut at = 0;
    while at < KINDS.len() * KINDS.len() {
        let (before, kind) = (at / KINDS.len(), at % KINDS.len());
        steps[before][kind] = step(KINDS[before], KINDS[kind]);
        at += 1;
    }
    steps
};

/// Characters of the table: most alphabets, their marks and kana, then the wide forms of ASCII from [`WIDE`] on.
const TABLE_CHARS: u32 = 0x3100;
const WIDE: u32 = 0xff00;
const WIDE_CHARS: u32 = 0xf0;

/// Entries of the characters met so far; a text has few of them, and to ask takes microseconds.
static TABLE: [AtomicU8; (TABLE_CHARS + WIDE_CHARS) as usize] =
    [const { AtomicU8::new(0) }; (TABLE_CHARS + WIDE_CHARS) as usize];

/// The kind of a character, with [`SOLID`].
#[inline(always)]
fn look(c: char) -> u8 {
    let code = c as u32;
    let place = match code {
        ..TABLE_CHARS => code,
        0x3400..=0x4dbf | 0x4e00..=0x9fff => return Alone as u8 | SOLID,
        0xac00..=0xd7a3 => return Letter as u8 | SOLID,
        WIDE.. if code - WIDE < WIDE_CHARS => code - WIDE + TABLE_CHARS,
        _ => return Rare as u8,
    };
    match TABLE[place as usize].load(Relaxed) {
        0 => ask(c, &TABLE[place as usize]),
        entry => entry,
    }
}

#[cold]
fn ask(c: char, place: &AtomicU8) -> u8 {
    let entry = ASKED | kind(c) as u8 | if c.is_alphanumeric() { SOLID } else { 0 };
    place.store(entry, Relaxed);
    entry
}

/// What a character is, by how the crate cuts it from others.
fn kind(c: char) -> Kind {
    let joins = |before: &str, after: &str| {
        let text = format!("{before}{c}{after}");
        text.split_word_bounds().nth(1).is_none()
    };
    let (letters, digits) = (joins("a", "a"), joins("1", "1"));
    match c {
        ' ' | '\t'..='\r' => Space,
        '"' => Quote,
        // The joiner of emoji and what it joins, and breaks of lines, to which no accent clings.
        '\u{200d}' => Rare,
        _ if joins("。", "") => Part,
        _ if joins("\u{200d}", "") || !joins("", "\u{301}") => Rare,
        _ if joins("", "ア") => {
            if letters {
                Connector
            } else {
                Katakana
            }
        }
        _ if joins("", "'") => Hebrew,
        _ if joins("", ":a") => Letter,
        _ if joins("", ",1") => Digit,
        _ if letters && digits => Mid,
        _ if letters => MidLetter,
        _ if digits => MidDigit,
        _ if c.is_alphanumeric() => Alone,
        _ => Apart,
    }
}

/// The words of a text, in order.
pub(super) fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::with_capacity(text.len() / 6);
    let mut segment = Segment::behind(0);
    let mut at = 0;
    while at < text.len() {
        if text.as_bytes()[at].is_ascii() && segment.is_apart() {
            segment.end(text, at, &mut words);
            at = plain(text, at, &mut words);
            segment = Segment::behind(at);
        }
        let Some(c) = text[at..].chars().next() else { break };
        let entry = look(c);
        let kind = KINDS[usize::from(entry & KIND)];
        match STEPS[segment.last as usize][kind as usize] {
            Step::Join => (segment.last, segment.solid) = (kind, segment.solid | entry),
            Step::Cling => segment.solid |= entry,
            Step::Bridge => {
                segment.bridge = at;
                segment.last = if segment.last == Digit { DigitMid } else { LetterMid };
            }
            Step::End => {
                segment.end(text, at, &mut words);
                segment = Segment { start: at, last: kind, solid: entry, bridge: 0 };
            }
            Step::EndBeforeBridge => {
                segment.end(text, segment.bridge, &mut words);
                segment = Segment { start: at, last: kind, solid: entry, bridge: 0 };
            }
            Step::Ask => {
                let start = if segment.last == Space { at } else { segment.start };
                let is_sure = |c: char| matches!(KINDS[usize::from(look(c) & KIND)], Space | Apart | Alone);
                let end = text[at..].find(is_sure).map_or(text.len(), |next| at + next);
                words.extend(text[start..end].unicode_words());
                (segment, at) = (Segment::behind(end), end);
                continue;
            }
        }
        at += c.len_utf8();
        match kind {
            Letter => at += run(text, at, Letter, |_, entry| segment.solid |= entry),
            Alone => {
                at += run(text, at, Alone, |next, entry| {
                    segment.end(text, next, &mut words);
                    (segment.start, segment.solid) = (next, entry);
                })
            }
            _ => {}
        }
    }
    let end = if matches!(segment.last, LetterMid | DigitMid) { segment.bridge } else { text.len() };
    segment.end(text, end, &mut words);
    words
}

/// Goes over characters of one kind, tells where each starts and its entry, and gives the bytes that they are.
#[inline(always)]
fn run(text: &str, from: usize, kind: Kind, mut each: impl FnMut(usize, u8)) -> usize {
    for (at, c) in text[from..].char_indices() {
        let entry = look(c);
        if entry & KIND != kind as u8 {
            return at;
        }
        each(from + at, entry);
    }
    text.len() - from
}

/// Reads words of ASCII whose ends are plain, from a border on; gives the border from which on another way has to be found.
#[inline(always)]
fn plain<'a>(text: &'a str, mut at: usize, words: &mut Vec<&'a str>) -> usize {
    let bytes = text.as_bytes();
    // Behind the last byte is a border.
    let of = |at: usize| bytes.get(at).map_or(BORDER, |byte| PLAIN[usize::from(*byte)]);
    loop {
        let start = at;
        while of(at) == SOLID {
            at += 1;
        }
        // An accent clings to a border too, and what joins letters needs one on both sides.
        let is_plain = match of(at) {
            BORDER => of(at + 1) != OTHER,
            BRIDGE => matches!(of(at + 1), BORDER | BRIDGE) || at == start && of(at + 1) == SOLID,
            _ => false,
        };
        if !is_plain {
            return start;
        }
        if start < at {
            words.push(&text[start..at]);
        }
        if at == bytes.len() {
            return at;
        }
        at += 1;
    }
}

/// What joins neither letters nor digits.
const BORDER: u8 = 1;
/// What may join them.
const BRIDGE: u8 = 2;
/// `_`, and what is beyond ASCII.
const OTHER: u8 = 4;

/// Bytes for [`plain`]; letters and digits are [`SOLID`].
const PLAIN: [u8; 256] = {
    let mut plain = [OTHER; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        plain[byte as usize] = match byte {
            b'_' => OTHER,
            b'\'' | b'.' | b':' | b',' | b';' => BRIDGE,
            _ if byte.is_ascii_alphanumeric() => SOLID,
            _ => BORDER,
        };
        byte += 1;
    }
    plain
};

/// What was read since the last border.
struct Segment {
    start: usize,
    last: Kind,
    /// All entries of it.
    solid: u8,
    /// Where it ends, if what is behind the bridge does not go on with it.
    bridge: usize,
}

impl Segment {
    const fn behind(start: usize) -> Self {
        Self { start, last: Space, solid: 0, bridge: 0 }
    }

    /// Whether nothing of ASCII goes on with it.
    const fn is_apart(&self) -> bool {
        matches!(self.last, Space | Apart | Alone | Quote)
    }

    /// Keeps it, if it is a word.
    #[inline(always)]
    fn end<'a>(&self, text: &'a str, end: usize, words: &mut Vec<&'a str>) {
        if self.solid & SOLID != 0 {
            words.push(&text[self.start..end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str) {
        let pieces = text.split(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
        assert_eq!(words(text), pieces.flat_map(str::unicode_words).collect::<Vec<_>>(), "{text:?}");
    }

    /// Each character between letters, digits, ideographs, marks and quotes.
    #[test]
    fn every_character_is_cut_as_the_crate_cuts_it() {
        for c in (0..=0x1_ffff).filter_map(char::from_u32) {
            check(&format!("a{c}a 1{c}1 中{c}\u{301}中{c}א{c}\"א_{c}ア{c}{c} {c}\u{93e}。{c}"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn words_are_those_of_the_crate(text in "[aBéא日본アあก1٣½_ー'.:,;\"’·，： \n\t\u{b}\u{85}。\u{301}\u{93e}\u{ad}\u{200d}\u{200c}🇫😂©Ⅷ˂𠀀﷼]{0,16}") {
            check(&text);
        }
    }
}
