//! The table of classes and special cases, read once.

use std::sync::LazyLock;
use xxhash_rust::xxh3::xxh3_64;

/// Classes of characters, a bit each.
pub(super) mod class {
    pub(crate) const ALPHA: u16 = 1;
    pub(crate) const LOWER: u16 = 1 << 1;
    pub(crate) const UPPER: u16 = 1 << 2;
    pub(crate) const ICON: u16 = 1 << 3;
    pub(crate) const INFIX_BEFORE_DOT: u16 = 1 << 4;
    pub(crate) const INFIX_AFTER_DOT: u16 = 1 << 5;
    pub(crate) const PREFIX: u16 = 1 << 6;
    pub(crate) const SUFFIX: u16 = 1 << 7;
    pub(crate) const SUFFIX_BEFORE_DOT: u16 = 1 << 8;
    pub(crate) const SENTENCE_END: u16 = 1 << 9;
}

/// Name of each class in the table, by the place of its bit.
const NAMES: [&str; 10] = [
    "alpha",
    "lower",
    "upper",
    "icon",
    "infix_before_dot",
    "infix_after_dot",
    "prefix",
    "suffix",
    "suffix_before_dot",
    "sentence_end",
];

/// Characters whose classes stand in an array; the others are looked up in a list of ranges.
const NEAR: usize = 0x3100;

/// Slots of the table of special cases: a power of two, about four times as many as there are cases.
const SLOTS: usize = 1 << 13;

/// What the rules look things up in.
pub(super) struct Tables {
    near: Vec<u16>,
    /// First and last character with their classes, ascending, no two overlapping.
    far: Vec<(u32, u32, u16)>,
    /// Special cases by hash; an empty text is an empty slot.
    specials: Vec<Special>,
    /// Lengths of the special cases, by first and last byte.
    ends: Vec<Lengths>,
    special_bytes_max: usize,
    units: Vec<&'static str>,
    /// The special cases that the rules alone would cut, as words of these cuts, by their first two words.
    pub(super) phrases: Vec<Vec<&'static str>>,
    /// Lengths of the first words of phrases, by their last byte and the first byte of the second word.
    pub(super) seams: Vec<Lengths>,
    /// The same by first byte and first byte.
    pub(super) starts: Vec<Lengths>,
}

/// Set of lengths modulo 16: a bit each. A text whose bit is not set needs no closer look.
pub(super) type Lengths = u16;

pub(super) const fn length(text: &str) -> Lengths {
    1 << (text.len() % 16)
}

#[derive(Clone, Copy, Default)]
struct Special {
    text: &'static str,
    /// Where each of its words ends.
    cuts: [u8; 4],
    words: u8,
}

static TABLES: LazyLock<Tables> =
    LazyLock::new(|| Tables::read(include_str!("../../../assets/spacy-en.txt")));

/// Place of a pair of bytes.
pub(super) const fn pair(a: u8, b: u8) -> usize {
    (a as usize & 0x7f) << 7 | b as usize & 0x7f
}

/// Places of pairs.
const PAIRS: usize = 1 << 14;

impl Tables {
    /// The table of the binary.
    pub(super) fn get() -> &'static Self {
        &TABLES
    }

    fn read(text: &'static str) -> Self {
        let mut tables = Self {
            near: vec![0; NEAR],
            far: Vec::new(),
            specials: vec![Special::default(); SLOTS],
            ends: vec![0; PAIRS],
            special_bytes_max: 0,
            units: Vec::new(),
            phrases: Vec::new(),
            seams: vec![0; PAIRS],
            starts: vec![0; PAIRS],
        };
        let (mut far, mut special_texts) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let (name, items) = line.split_once(' ').expect("a line is a name and its items");
            if name == "unit" {
                tables.units = items.split(' ').collect();
            } else if name == "special" {
                tables.add_special(items);
                special_texts.extend(items.split(' ').next());
            } else {
                let bit = NAMES.iter().position(|known| *known == name).expect("a line has a known name");
                items.split(' ').for_each(|range| tables.add_range(range, 1 << bit, &mut far));
            }
        }
        tables.far = disjoint(&far);
        tables.phrases = super::phrases::find(&tables, &special_texts);
        for phrase in &tables.phrases {
            let (first, second) = (phrase[0].as_bytes(), phrase[1].as_bytes());
            tables.seams[pair(first[first.len() - 1], second[0])] |= length(phrase[0]);
            tables.starts[pair(first[0], second[0])] |= length(phrase[0]);
        }
        tables
    }

    fn add_range(&mut self, range: &str, bit: u16, far: &mut Vec<(u32, u32, u16)>) {
        let (range, step) = range.strip_suffix("/2").map_or((range, 1), |range| (range, 2));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |hex: &str| u32::from_str_radix(hex, 16).expect("a range is written in hexadecimal");
        for c in (number(first)..=number(last)).step_by(step) {
            match self.near.get_mut(c as usize) {
                Some(bits) => *bits |= bit,
                None if step == 1 => {
                    far.push((c, number(last), bit));
                    break;
                }
                None => far.push((c, c, bit)),
            }
        }
    }

    fn add_special(&mut self, items: &'static str) {
        let mut items = items.split(' ');
        let mut special = Special { text: items.next().unwrap_or_default(), ..Special::default() };
        for (cut, end) in special.cuts.iter_mut().zip(items) {
            *cut = end.parse().expect("a word ends at a number of bytes");
            special.words += 1;
        }
        let bytes = special.text.as_bytes();
        self.ends[pair(bytes[0], bytes[bytes.len() - 1])] |= length(special.text);
        self.special_bytes_max = self.special_bytes_max.max(bytes.len());
        let mut slot = slot(special.text);
        while !self.specials[slot].text.is_empty() {
            slot = (slot + 1) % SLOTS;
        }
        self.specials[slot] = special;
    }

    /// The ends of the words that the special case is cut into, if the text is one.
    pub(super) fn special(&self, text: &str) -> Option<&[u8]> {
        let (first, last) = (text.as_bytes().first()?, text.as_bytes().last()?);
        if self.ends[pair(*first, *last)] & length(text) == 0 || text.len() > self.special_bytes_max {
            return None;
        }
        let mut slot = slot(text);
        loop {
            let special = &self.specials[slot];
            if special.text == text {
                return Some(&special.cuts[..usize::from(special.words)]);
            }
            if special.text.is_empty() {
                return None;
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The classes of a character.
    pub(super) fn classes(&self, c: char) -> u16 {
        let c = u32::from(c);
        if let Some(bits) = self.near.get(c as usize) {
            return *bits;
        }
        let at = self.far.partition_point(|(_, last, _)| *last < c);
        self.far.get(at).filter(|(first, ..)| *first <= c).map_or(0, |(.., bits)| *bits)
    }

    /// Whether the character is of one of the classes.
    pub(super) fn is(&self, c: char, classes: u16) -> bool {
        self.classes(c) & classes != 0
    }

    /// Whether the text is a unit of measure or money, which a number before it leaves as a word.
    pub(super) fn is_unit(&self, text: &str) -> bool {
        self.units.binary_search(&text).is_ok()
    }

    /// Whether the token is a mark that ends a sentence.
    pub(super) fn ends_sentence(&self, token: &str) -> bool {
        let mut chars = token.chars();
        chars.next().is_some_and(|c| self.is(c, class::SENTENCE_END)) && chars.next().is_none()
    }
}

fn slot(text: &str) -> usize {
    xxh3_64(text.as_bytes()) as usize % SLOTS
}

/// Ranges of one bit each, made into ranges that do not overlap.
fn disjoint(ranges: &[(u32, u32, u16)]) -> Vec<(u32, u32, u16)> {
    let mut edges: Vec<u32> = ranges.iter().flat_map(|(first, last, _)| [*first, last + 1]).collect();
    edges.sort_unstable();
    edges.dedup();
    let bits = |at: u32| {
        ranges
            .iter()
            .filter(|(first, last, _)| (*first..=*last).contains(&at))
            .fold(0, |all, (.., bit)| all | bit)
    };
    let pieces = edges.windows(2).map(|edge| (edge[0], edge[1] - 1, bits(edge[0])));
    pieces.filter(|(.., bits)| *bits != 0).collect()
}
