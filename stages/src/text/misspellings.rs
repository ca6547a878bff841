//! A list of misspellings, each with the one word that it is meant to be, and the search for them in a text.
//!
//! A token is a run of letters, digits, `_`, `'`, `-` and characters beyond ASCII; one that is an entry of the list as a whole, in any
//! case, is a finding. So a part of an identifier, of a compound or of a foreign word is none. The search takes 64 bytes at a
//! time: a bit a byte says what belongs to a token, both ends of a token are hashed, and a table of 2^22 bits lets one token
//! in a hundred through to the list.
//!
//! The file: `GMSPELL`, version, then a zstd frame of the entries in order: the bytes shared with the entry before, the
//! other bytes, a zero; the bytes that the right word keeps at the start and at the end, those between, a zero.

pub mod fit;
pub mod generate;
mod likeness;
mod slips;

use super::blocks;
use std::io::Read as _;
use std::ops::Range;

/// What a file begins with; the last byte is the version of the layout.
const MAGIC: &[u8; 8] = b"GMSPELL\x01";
/// Most bytes that a file may unpack to.
const BYTES_MAX: u64 = 1 << 26;
/// Bytes of a word that can be an entry.
pub const WORD_BYTES: std::ops::RangeInclusive<usize> = 3..=32;
/// Two to this power words of 64 bits let a token through, by two bits of one of them.
const FILTER_BITS: u32 = 16;
/// The list.
#[derive(Debug)]
pub struct Misspellings {
    /// Wrong and right words one after the other.
    words: String,
    entries: Vec<Entry>,
    /// Numbers of entries plus one, by hash; zero is free.
    slots: Vec<u32>,
    filter: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    wrong: u8,
    right: u8,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// Where the misspelling stands.
    pub range: Range<usize>,
    /// The word that it is meant to be, in lower case.
    pub right: &'a str,
}

impl Misspellings {
    /// Makes the list from pairs of a wrong and a right word in lower-case ASCII letters, sorted and each once.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut words, mut entries) = (String::new(), Vec::new());
        for (wrong, right) in pairs {
            let start = words.len() as u32;
            words.extend([wrong, right]);
            entries.push(Entry { start, wrong: wrong.len() as u8, right: right.len() as u8 });
        }
        let slots = vec![0; (entries.len() * 2).next_power_of_two().max(2)];
        let mut list = Self { words, entries, slots, filter: vec![0; 1 << FILTER_BITS] };
        for number in 0..list.entries.len() {
            let hash = hash(list.wrong(number).as_bytes());
            let (word, bits) = filter_bits(hash);
            list.filter[word] |= bits;
            let mut slot = hash as usize & (list.slots.len() - 1);
            while list.slots[slot] != 0 {
                slot = (slot + 1) & (list.slots.len() - 1);
            }
            list.slots[slot] = number as u32 + 1;
        }
        list
    }

    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let frame = bytes.strip_prefix(MAGIC).ok_or("this is no list of misspellings of this version")?;
        let mut body = Vec::new();
        let reader = zstd::stream::read::Decoder::new(frame).map_err(|e| e.to_string())?;
        reader.take(BYTES_MAX).read_to_end(&mut body).map_err(|e| e.to_string())?;
        let pairs = unpack(&body).ok_or("the list of misspellings is broken")?;
        Ok(Self::new(pairs.iter().map(|(wrong, right)| (wrong.as_str(), right.as_str()))))
    }

    /// Writes a file.
    pub fn write(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut last = "";
        for number in 0..self.entries.len() {
            let (wrong, right) = (self.wrong(number), self.right(number));
            let shared = prefix(last, wrong);
            body.push(shared as u8);
            body.extend_from_slice(&wrong.as_bytes()[shared..]);
            let head = prefix(wrong, right);
            let tail = suffix(&wrong[head..], &right[head..]);
            body.extend_from_slice(&[0, head as u8, tail as u8]);
            body.extend_from_slice(&right.as_bytes()[head..right.len() - tail]);
            body.push(0);
            last = wrong;
        }
        let frame = zstd::bulk::compress(&body, 19).expect("compressing in memory cannot fail");
        [&MAGIC[..], &frame].concat()
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn wrong(&self, number: usize) -> &str {
        let Entry { start, wrong, .. } = self.entries[number];
        &self.words[start as usize..][..usize::from(wrong)]
    }

    fn right(&self, number: usize) -> &str {
        let Entry { start, wrong, right } = self.entries[number];
        &self.words[start as usize + usize::from(wrong)..][..usize::from(right)]
    }

    /// The right word for a token of that hash, in any case.
    fn right_of(&self, token: &[u8], hash: u64) -> Option<&str> {
        let mut slot = hash as usize & (self.slots.len() - 1);
        while let Some(number) = self.slots[slot].checked_sub(1) {
            if self.wrong(number as usize).as_bytes().eq_ignore_ascii_case(token) {
                return Some(self.right(number as usize));
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        None
    }

    /// The right word for a wrong one, in any case.
    pub fn correction(&self, word: &str) -> Option<&str> {
        if word.is_empty() { None } else { self.right_of(word.as_bytes(), hash(word.as_bytes())) }
    }

    /// Calls `each` with every finding, in order.
    pub fn find<'a>(&'a self, text: &str, mut each: impl FnMut(Found<'a>)) {
        let bytes = text.as_bytes();
        blocks::runs(bytes, is_token, |range| {
            let hash = hash_at(bytes, &range);
            let (word, bits) = filter_bits(hash);
            if self.filter[word] & bits == bits
                && let Some(right) = self.right_of(&bytes[range.clone()], hash)
            {
                each(Found { range, right });
            }
        });
    }
}

/// Whether a byte belongs to a token.
const fn is_token(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    letter | digit | (byte == b'_') | (byte == b'-') | (byte == b'\'') | (byte >= 0x80)
}

/// The place of a hash in the filter: a word, and two bits of it.
const fn filter_bits(hash: u64) -> (usize, u64) {
    ((hash >> (64 - FILTER_BITS)) as usize, 1 << (hash >> 40 & 63) | 1 << (hash >> 34 & 63))
}

/// Hash of the first and the last eight bytes of a token, whatever its case. It branches on nothing that differs from
/// token to token.
fn hash_at(bytes: &[u8], range: &Range<usize>) -> u64 {
    let load = |at: usize| {
        bytes.get(at..at + 8).and_then(<[u8]>::first_chunk).map(|eight| u64::from_le_bytes(*eight))
    };
    let last = range.end.saturating_sub(8).max(range.start);
    let Some((first, last)) = load(range.start).zip(load(last)) else { return hash(&bytes[range.clone()]) };
    mix(first, last, range.len())
}

/// [`hash_at`] of a token that stands alone.
fn hash(token: &[u8]) -> u64 {
    let load = |part: &[u8]| {
        let mut eight = [0; 8];
        let part = &part[..part.len().min(8)];
        eight[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(eight)
    };
    mix(load(token), load(&token[token.len().saturating_sub(8)..]), token.len())
}

/// `len` is not zero.
const fn mix(first: u64, last: u64, len: usize) -> u64 {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let used = u64::MAX >> (64 - 8 * if len < 8 { len } else { 8 });
    let hash = (first & used | LOWER).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (last & used | LOWER).wrapping_mul(0xc2b2_ae3d_27d4_eb4f).rotate_left(31)
        ^ (len as u64) << 7;
    (hash ^ hash >> 29).wrapping_mul(0x1656_67b1_9e37_79f9)
}

/// Whether a word is of small ASCII letters alone.
fn is_plain(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_lowercase())
}

/// Bytes that two words share at the start.
fn prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// Bytes that two words share at the end.
fn suffix(a: &str, b: &str) -> usize {
    a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count()
}

fn unpack(body: &[u8]) -> Option<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let rest = &mut &*body;
    let word = |word: &[u8]| {
        let fits = WORD_BYTES.contains(&word.len()) && word.iter().all(u8::is_ascii_lowercase);
        fits.then(|| String::from_utf8_lossy(word).into_owned())
    };
    while !rest.is_empty() {
        let (shared, fresh) = until_zero(rest, 1)?.split_first()?;
        let last = pairs.last().map_or("", |(wrong, _)| wrong);
        let wrong = word(&[last.as_bytes().get(..usize::from(*shared))?, fresh].concat())?;
        let [head, tail, between @ ..] = until_zero(rest, 2)? else { return None };
        let (head, tail) = (usize::from(*head), usize::from(*tail));
        let end = wrong.as_bytes().get(wrong.len().checked_sub(tail)?..)?;
        let right = word(&[wrong.as_bytes().get(..head)?, between, end].concat())?;
        pairs.push((wrong, right));
    }
    pairs.is_sorted_by(|a, b| a.0 < b.0).then_some(pairs)
}

/// Takes `head` bytes and those up to the next zero, and drops the zero.
fn until_zero<'a>(rest: &mut &'a [u8], head: usize) -> Option<&'a [u8]> {
    let end = head + rest.get(head..)?.iter().position(|b| *b == 0)?;
    let (part, tail) = rest.split_at(end);
    *rest = &tail[1..];
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAIRS: [(&str, &str); 6] = [
        ("accomodate", "accommodate"),
        ("accomodated", "accommodated"),
        ("hte", "the"),
        ("incompatibilties", "incompatibilities"),
        ("recieve", "receive"),
        ("seperately", "separately"),
    ];

    fn check(text: &str, expected: &[&str]) {
        let list = Misspellings::new(PAIRS);
        let mut found = Vec::new();
        list.find(text, |each| found.push(format!("{} {}", &text[each.range], each.right)));
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn whole_tokens_of_any_case() {
        check("", &[]);
        check("hte", &["hte the"]);
        check("Recieve it seperately.", &["Recieve receive", "seperately separately"]);
        check("xhte hte1 hte_x hte-x hte's éhte HTE", &["HTE the"]);
        check("accomodate accomodated accomodates", &["accomodate accommodate", "accomodated accommodated"]);
        check("the incompatibilties", &["incompatibilties incompatibilities"]);
    }

    #[test]
    fn a_file_reads_back_and_a_broken_one_is_told() {
        let list = Misspellings::new(PAIRS);
        let bytes = list.write();
        let again = Misspellings::read(&bytes).unwrap();
        assert_eq!((again.write(), again.len()), (bytes.clone(), PAIRS.len()));
        assert!((0..bytes.len()).all(|end| Misspellings::read(&bytes[..end]).is_err_and(|e| !e.is_empty())));
        for body in [
            &b"\0abc"[..],
            b"\0abc\0",
            b"\0abc\0\x09\x00\0",
            b"\x01abc\0\x00\x03\0",
            b"\0abc\0\0\0ab\xff\0",
            b"\x05",
        ] {
            assert_eq!(unpack(body), None, "{body:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn the_fast_search_finds_what_a_slow_one_finds(text in "(hte|recieve|Seperately|incompatibilties| |\\.|é|-|a|_){0,60}") {
            let list = Misspellings::new(PAIRS);
            let mut fast = Vec::new();
            list.find(&text, |each| fast.push((each.range.start, each.right)));
            let token = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || matches!(c, '_' | '-' | '\'');
            let mut slow = Vec::new();
            for word in text.split(|c| !token(c)) {
                let at = word.as_ptr() as usize - text.as_ptr() as usize;
                let pair = PAIRS.iter().find(|(wrong, _)| wrong.eq_ignore_ascii_case(word));
                slow.extend(pair.map(|(_, right)| (at, *right)));
            }
            prop_assert_eq!(fast, slow);
        }
    }
}
