//! The words and sentences of spaCy 3.8.18's blank English pipeline, by a scanner of our own.
//!
//! A text is cut at white space into chunks. A chunk that is a *special case* (`don't` → `do n't`, `Mr.`, `:-)`) is cut as the
//! table says. From any other, one mark after the other is taken from the front and the back, until what is left is a special
//! case or has no mark; that is one word if it is an address of the web, and is otherwise cut at *infixes* (`well-known`, `end.Next`).
//! At last, words that in a row spell a special case become it: `foo):` is `foo` and `):`.
//!
//! The classes of characters and the special cases are a table made from an installed spaCy (`stages/assets/spacy-en.txt`);
//! the order in which they decide is told at each function. Time is linear in the text: every loop takes marks off, looks a
//! bounded string up, or reads a chunk once. White space is no word; a sentence can still start with it, as it does in spaCy.
//!
//! ```text
//! "Mr. O'Neil can't pay 10km (e.g. $5/day)!" → Mr. O'Neil ca n't pay 10 km ( e.g. $ 5 / day ) !
//! ```

mod affix;
mod infix;
mod phrases;
mod tables;
mod url;

use crate::text::lines::is_python_space;
use tables::Tables;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// White space between two words that is more than one space: spaCy makes a token of it.
const GAP: &str = "";

/// The words of the text, in order.
pub fn words(text: &str) -> Vec<&str> {
    let mut words = tokens(text);
    words.retain(|word| *word != GAP);
    words
}

/// How many sentences the rule-based sentencizer sees: one ends with the mark of an end and the punctuation behind it. A text
/// without a token is one sentence, as datatrove counts.
pub fn sentences(text: &str) -> usize {
    let tables = Tables::get();
    let (mut count, mut ended) = (1, false);
    for token in tokens(text) {
        let ends = tables.ends_sentence(token);
        if ended && !ends && !is_punctuation(token) {
            count += 1;
            ended = false;
        }
        ended |= ends;
    }
    count
}

/// Where each sentence of the rule-based sentencizer ends, in bytes; none of an empty text. White space between two sentences belongs to
/// the second.
pub fn sentence_ends(text: &str) -> Vec<usize> {
    let tables = Tables::get();
    let (mut ends, mut ended, mut last) = (Vec::new(), false, 0);
    for token in tokens(text) {
        let is_end = tables.ends_sentence(token);
        if ended && !is_end && !is_punctuation(token) {
            ends.push(last);
            ended = false;
        }
        ended |= is_end;
        // White space that is a token is followed by a word, or ends the text.
        last = if token == GAP {
            text.len()
        } else {
            token.as_ptr().addr() - text.as_ptr().addr() + token.len()
        };
    }
    ends.extend(Some(last).filter(|_| !text.is_empty()));
    ends
}

fn is_punctuation(token: &str) -> bool {
    token != GAP && token.chars().all(|c| c.general_category_group() == GeneralCategoryGroup::Punctuation)
}

/// The words, and a [`GAP`] wherever two of them are not parted by one space alone.
fn tokens(text: &str) -> Vec<&str> {
    let tables = Tables::get();
    let mut scan = Scan { tables, tokens: Vec::with_capacity(text.len() / 4), suffixes: Vec::new() };
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        // Letters and digits of ASCII, as most chunks are.
        let start = at;
        let mut seen = 0;
        while let Some(kind) = bytes.get(at).map(|b| KIND[usize::from(*b)]).filter(|kind| *kind <= DIGIT) {
            seen |= kind;
            at += 1;
        }
        match bytes.get(at) {
            None | Some(b' ' | b'\n') if at > start => scan.plain(&text[start..at], seen),
            None | Some(b' ' | b'\n') => {}
            _ => {
                at += chunk_len(&text[at..]);
                if at > start {
                    scan.chunk(&text[start..at]);
                }
            }
        }
        at += scan.space(&text[at..], at == start);
    }
    phrases::join(tables, text, &mut scan.tokens);
    scan.tokens
}

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const OTHER: u8 = 4;

const KIND: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphabetic() {
            kinds[byte] = LETTER;
        } else if (byte as u8).is_ascii_digit() {
            kinds[byte] = DIGIT;
        }
        byte += 1;
    }
    kinds
};

/// Bytes before the next white space.
fn chunk_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte > b' ' && *byte < 0x80 {
            at += 1;
        } else {
            match text[at..].chars().next() {
                Some(c) if !is_python_space(c) => at += c.len_utf8(),
                _ => break,
            }
        }
    }
    at
}

struct Scan<'a> {
    tables: &'static Tables,
    tokens: Vec<&'a str>,
    /// What was taken from the back of the chunk, the last mark first.
    suffixes: Vec<&'a str>,
}

impl<'a> Scan<'a> {
    /// A chunk of ASCII letters and digits, which nothing but a special case or a unit of measure can cut.
    fn plain(&mut self, chunk: &'a str, seen: u8) {
        if seen == LETTER | DIGIT {
            self.chunk(chunk);
        } else {
            match self.tables.special(chunk) {
                Some(cuts) => self.cut(chunk, cuts),
                None => self.tokens.push(chunk),
            }
        }
    }

    /// White space at the start of `text`: its length. A single space between words leaves no token, at the start of the text
    /// and in all other cases it does.
    fn space(&mut self, text: &'a str, first: bool) -> usize {
        let bytes = text.as_bytes();
        if let [b' ', next, ..] = bytes
            && !first
            && KIND[usize::from(*next)] <= DIGIT
        {
            return 1;
        }
        let rest = text.trim_start_matches(is_python_space);
        let len = text.len() - rest.len();
        let tokens = if bytes.first() == Some(&b' ') && !first { len - 1 } else { len };
        if tokens > 0 {
            self.tokens.push(GAP);
        }
        len
    }

    fn cut(&mut self, text: &'a str, cuts: &[u8]) {
        let mut start = 0;
        for &end in cuts {
            self.tokens.push(&text[start..usize::from(end)]);
            start = usize::from(end);
        }
    }

    /// A chunk without white space: marks off, then what is left, then the marks of the back.
    fn chunk(&mut self, chunk: &'a str) {
        let mut rest = chunk;
        let mut cuts = None;
        while !rest.is_empty() {
            cuts = self.tables.special(rest);
            if cuts.is_some() {
                break;
            }
            let prefix = affix::prefix(self.tables, rest);
            if prefix > 0 {
                cuts = self.tables.special(&rest[prefix..]);
                if cuts.is_some() {
                    self.tokens.push(&rest[..prefix]);
                    rest = &rest[prefix..];
                    break;
                }
            }
            // The back is looked at without the mark of the front: `°C.` is not seen as a whole.
            let suffix = affix::suffix(self.tables, &rest[prefix..]);
            let end = rest.len() - suffix;
            if suffix > 0 {
                cuts = self.tables.special(&rest[..end]);
                if cuts.is_some() {
                    self.suffixes.push(&rest[end..]);
                    rest = &rest[..end];
                    break;
                }
            }
            if prefix + suffix == 0 {
                break;
            }
            if prefix > 0 {
                self.tokens.push(&rest[..prefix]);
            }
            if suffix > 0 {
                self.suffixes.push(&rest[end..]);
            }
            rest = &rest[prefix..end];
        }
        match cuts {
            Some(cuts) => self.cut(rest, cuts),
            None if rest.is_empty() => {}
            None if url::is_url(self.tables, rest) => self.tokens.push(rest),
            None => infix::cut(self.tables, rest, &mut self.tokens),
        }
        self.tokens.extend(self.suffixes.drain(..).rev());
    }
}

#[cfg(test)]
mod tests;
