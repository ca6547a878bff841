//! Cuts a window into words as the classifier of `filter.toxicity` sees them.
//!
//! A word is lower-cased, loses apostrophes and hyphens, letters three times in a row become two; digits and signs that
//! stand for letters are read as these where a known word comes out ("id1ot", "sh*t"); single letters in a row
//! ("i d i o t") are one word. Addresses are skipped, `@name` is one word `@`, an ideograph is a word of its own.

use super::lexicon::{Class, IDEOGRAPHS_MAX, Lexicon, hash};
use crate::text::chars::{is_alphabetic, is_alphanumeric};

/// A word of the window.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// Stands for the word in features; all names of groups share one.
    pub token: u64,
    /// What it does.
    pub class: Class,
    /// Sum of the weights of its own features, and how many they are.
    pub own: (i32, u32),
    /// The letter or ideograph that it is, else 0.
    pub single: char,
}

/// The token of every name of a group.
pub const GROUP: u64 = 0x6a09_e667_f3bc_c908;
/// The token of a user name.
const MENTION: u64 = 0xbb67_ae85_84ca_a73b;

/// Signs seen in a window that belong to no word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// Quotation marks.
    pub quote: bool,
    /// A question mark.
    pub question: bool,
    /// An exclamation mark.
    pub shout: bool,
}

const LETTER: u8 = 1;
const SIGN: u8 = 2;
const HIGH: u8 = 4;

/// What each byte is to a word.
const KINDS: [u8; 256] = {
    let mut out = [0; 256];
    let mut at = 0;
    while at < 256 {
        let b = at as u8;
        out[at] = match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'\'' => LETTER,
            b'*' | b'$' | b'@' | b'!' => SIGN,
            0x80.. => HIGH,
            _ => 0,
        };
        at += 1;
    }
    out
};

/// Calls `each` with every raw word of a window and whether it is an ideograph; tells what signs were seen.
pub fn raw_words<'a>(text: &'a str, mut each: impl FnMut(&'a str)) -> Signs {
    let bytes = text.as_bytes();
    let mut signs = Signs::default();
    let mut at = 0;
    while at < bytes.len() {
        let kind = KINDS[bytes[at] as usize];
        if kind & (LETTER | HIGH) == 0 {
            match bytes[at] {
                b'"' => signs.quote = true,
                b'?' => signs.question = true,
                b'!' => signs.shout = true,
                b'@' => {
                    let end = run(bytes, at + 1);
                    if end > at + 1 {
                        each(&text[at..end]);
                        at = end;
                        continue;
                    }
                }
                b'&' if bytes.get(at + 1) == Some(&b'#') => {
                    at += 2;
                    while at < bytes.len() && bytes[at].is_ascii_digit() {
                        at += 1;
                    }
                    continue;
                }
                _ => {}
            }
            at += 1;
            continue;
        }
        let start = at;
        let mut seen = 0;
        while at < bytes.len() {
            let kind = KINDS[bytes[at] as usize];
            let inside = kind & (LETTER | HIGH) != 0
                || kind == SIGN
                    && bytes.get(at + 1).is_some_and(|b| KINDS[*b as usize] & (LETTER | SIGN) != 0);
            if !inside {
                break;
            }
            seen |= kind;
            at += 1;
        }
        if bytes[start] | 0x20 == b'h' && bytes[at..].starts_with(b"://") {
            while at < bytes.len() && bytes[at] > b' ' {
                at += 1;
            }
            continue;
        }
        if seen & HIGH == 0 {
            each(&text[start..at]);
        } else {
            high(&text[start..at], &mut signs, &mut each);
        }
    }
    signs
}

fn run(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
        at += 1;
    }
    at
}

/// Whether a character is a word of its own.
pub const fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// A run with letters beyond ASCII: signs part it, ideographs stand alone.
fn high<'a>(text: &'a str, signs: &mut Signs, each: &mut impl FnMut(&'a str)) {
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let is_ideograph = is_ideograph(c);
        let is_letter = !is_ideograph && is_alphanumeric(c);
        let joins = is_letter || matches!(c, '\u{300}'..='\u{36f}' | '\'' | '’' | '*' | '$' | '@' | '!');
        if joins {
            continue;
        }
        if at > start {
            each(&text[start..at]);
        }
        start = at + c.len_utf8();
        match c {
            '“' | '”' | '„' | '«' | '»' | '「' | '」' => signs.quote = true,
            '？' => signs.question = true,
            '！' => signs.shout = true,
            c if is_ideograph || !is_letter && c > '\u{2190}' => each(&text[at..start]),
            _ => {}
        }
    }
    if start < text.len() {
        each(&text[start..]);
    }
}

/// A raw word in the form that has features: the letters, the token and the class.
pub fn normal(raw: &str, lexicon: &Lexicon, out: &mut String) -> (u64, Class) {
    out.clear();
    if raw.starts_with('@') && raw.len() > 1 {
        out.push('@');
        return (MENTION, Class::Person);
    }
    let (mut last, mut before) = ('\0', '\0');
    let mut odd = false;
    for c in raw.chars().flat_map(char::to_lowercase).filter(|c| !matches!(c, '\'' | '’' | '-')) {
        if c == last && c == before {
            continue;
        }
        odd |= !is_alphabetic(c);
        (before, last) = (last, c);
        out.push(c);
    }
    let (mut token, mut class) = lexicon.find(out);
    if class == Class::None && odd && out.chars().any(is_alphabetic) {
        if let Some((found, form)) = plain(out, lexicon) {
            (token, class) = found;
            *out = form;
        } else {
            out.retain(|c| c != '!');
        }
    }
    if class == Class::None {
        if odd && out.chars().all(|c| c.is_ascii_digit()) {
            *out = "0".repeat(out.len().min(4));
            token = hash(out);
        } else if let Some(single) = single(out) {
            let found = lexicon.find(&single);
            if found.1 != Class::None {
                (token, class) = found;
                *out = single;
            }
        }
    }
    if class == Class::Group { (GROUP, class) } else { (token, class) }
}

/// The word without double letters, where it has some.
fn single(word: &str) -> Option<String> {
    if !word.chars().zip(word.chars().skip(1)).any(|(a, b)| a == b) {
        return None;
    }
    let mut out = String::with_capacity(word.len());
    word.chars().for_each(|c| {
        if !out.ends_with(c) {
            out.push(c);
        }
    });
    (out.len() > 3).then_some(out)
}

/// A word whose digits and signs are read as letters, where that is a word of the lexicon.
fn plain(word: &str, lexicon: &Lexicon) -> Option<((u64, Class), String)> {
    let read = |one: char| -> String {
        word.chars()
            .map(|c| match c {
                '0' => 'o',
                '1' | '!' => one,
                '3' => 'e',
                '4' | '@' => 'a',
                '5' | '$' => 's',
                '7' => 't',
                c => c,
            })
            .collect()
    };
    for form in [read('i'), read('l')] {
        if form.contains('*')
            && let Some(found) = lexicon.starred(&form)
        {
            return Some((lexicon.find(found), found.to_owned()));
        }
        let found = lexicon.find(&form);
        if found.1 != Class::None {
            return Some((found, form));
        }
    }
    None
}

/// The ideographs of words of the lexicon, longest first: how many from `at` on, and the class.
pub fn ideographs(chars: &[char], lexicon: &Lexicon) -> Option<(usize, Class)> {
    let most = lexicon.longest(*chars.first()?).min(IDEOGRAPHS_MAX).min(chars.len());
    let mut word: String = chars[..most].iter().collect();
    (1..=most).rev().find_map(|many| {
        let found = lexicon.class(&word).map(|class| (many, class));
        word.pop();
        found
    })
}
