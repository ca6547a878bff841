//! Finds personal identifiers in text: each kind by its own grammar and checksum, none by a list of names.
//!
//! Every scanner reads the same untouched text and knows nothing of the others. Where findings overlap the more certain kind
//! wins: IBAN and card have checksums, an address has an `@`, an IP address a shape; a phone number is only digits.
//!
//! One pass finds the runs of digits; a scanner looks at those alone that its kind can start with.

mod card;
mod email;
mod iban;
mod ip;
mod phone;
mod secret;
mod ssn;

use super::blocks;
use std::ops::Range;

/// A kind of identifier, the most certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Key, token, or private key.
    Secret,
    /// International bank account number.
    Iban,
    /// Payment card number.
    Card,
    /// E-mail address.
    Email,
    /// Social security number of the United States.
    Ssn,
    /// IPv4 or IPv6 address.
    Ip,
    /// Phone number.
    Phone,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 7;

    /// What stands in its place.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Secret => "<SECRET>",
            Self::Ssn => "<SSN>",
            Self::Iban => "<IBAN>",
            Self::Card => "<CARD>",
            Self::Email => "<EMAIL>",
            Self::Ip => "<IP>",
            Self::Phone => "<PHONE>",
        }
    }
}

/// A finding: bytes of the text.
pub type Found = (Range<usize>, Kind);

/// Every identifier in the text, in order, without overlap.
///
/// With `local`, IP addresses count that cannot be reached from outside: private, loopback, documentation.
pub fn find(text: &str, local: bool) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut take =
        |kind, ranges: Vec<Range<usize>>| found.extend(ranges.into_iter().map(|range| (range, kind)));
    take(Kind::Email, email::find(text));
    let runs = runs(text);
    take(Kind::Secret, secret::find(text, &runs));
    take(Kind::Iban, iban::find(text, &runs));
    take(Kind::Card, card::find(text, &runs));
    take(Kind::Ssn, ssn::find(text, &runs));
    take(Kind::Ip, ip::find(text, &runs, local));
    take(Kind::Phone, phone::find(text, &runs));
    found.sort_by_key(|(range, kind)| (range.start, *kind));
    let mut kept: Vec<Found> = Vec::with_capacity(found.len());
    for (range, kind) in found {
        let overlaps = |other: &&Found| other.0.end > range.start;
        // What a finding pushed out may have hidden another; the caller looks again until nothing is found.
        while kept.last().filter(overlaps).is_some_and(|(_, other)| kind < *other) {
            kept.pop();
        }
        if kept.last().filter(overlaps).is_none() {
            kept.push((range, kind));
        }
    }
    kept
}

/// The character before a place.
fn before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

/// The character at a place.
fn after(text: &str, at: usize) -> Option<char> {
    text[at..].chars().next()
}

/// At most `bytes` of lower-cased ASCII text before `at`: where a word says what the number is.
fn context_before(text: &str, at: usize, bytes: usize) -> String {
    text[text.ceil_char_boundary(at.saturating_sub(bytes))..at].to_ascii_lowercase()
}

/// At most `bytes` of lower-cased ASCII text from `at`.
fn context_after(text: &str, at: usize, bytes: usize) -> String {
    text[at..text.floor_char_boundary((at + bytes).min(text.len()))].to_ascii_lowercase()
}

/// Whether one of the words stands in the text by itself, in any of its places.
fn says(context: &str, words: &[&str]) -> bool {
    words.iter().any(|word| says_at(context, word).is_some())
}

/// Where the last standing of a word in the text ends. A placeholder such as `<PHONE>` says nothing.
fn says_at(context: &str, word: &str) -> Option<usize> {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let places = context.rmatch_indices(word).filter(|(at, _)| {
        let (left, right) = (before(context, *at), after(context, at + word.len()));
        !(letter(left) || letter(right) || left == Some('<') && right == Some('>'))
    });
    places.map(|(at, _)| at + word.len()).next()
}

/// A run of ASCII digits.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: usize,
    /// How many digits stand there and behind, with no more than marks and spaces between; at most [`AHEAD_MAX`].
    ahead: u8,
    /// Whether a letter or `_` touches it.
    joined: bool,
}

/// More digits than any kind has.
const AHEAD_MAX: u8 = 40;

/// Every run of digits, in order.
fn runs(text: &str) -> Vec<Run> {
    let bytes = text.as_bytes();
    let mut runs = Vec::new();
    let letter = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_' || *b == b'-');
    blocks::runs(
        bytes,
        |b| b.wrapping_sub(b'0') < 10,
        |run| {
            let before = run.start.checked_sub(1).and_then(|at| bytes.get(at));
            let joined = letter(before) || letter(bytes.get(run.end));
            runs.push(Run { start: run.start, ahead: ahead(&bytes[run.start..]), joined });
        },
    );
    runs
}

fn ahead(bytes: &[u8]) -> u8 {
    let (mut digits, mut gap) = (0, 0);
    for byte in bytes {
        match byte {
            b'0'..=b'9' => (digits, gap) = (digits + 1, 0),
            // The marks of phone numbers, beyond ASCII too.
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' | 0x80.. if gap < 12 => gap += 1,
            _ => break,
        }
        if digits == AHEAD_MAX {
            break;
        }
    }
    digits
}

#[cfg(test)]
fn check_found(found: Vec<Range<usize>>, text: &str, expected: &[&str]) {
    let found: Vec<&str> = found.into_iter().map(|range| &text[range]).collect();
    assert_eq!(found, expected, "{text:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_certain_kind_wins_wherever_it_starts() {
        let kinds = |text| find(text, false).into_iter().map(|(_, kind)| kind).collect::<Vec<_>>();
        assert_eq!(kinds("card 4111 1111 1111 1111, fax 4111111111111111"), [Kind::Card, Kind::Card]);
        assert_eq!(kinds("5558675309@mail.com tel: 555-867-5309"), [Kind::Email, Kind::Phone]);
    }

    #[test]
    fn clean_text_has_nothing_and_odd_numbers_are_none() {
        for text in NOTHING.lines() {
            assert_eq!(find(text, true), [], "{text}");
        }
    }

    /// What other tools take for identifiers: versions, ISBN, DOI, checksums, times, places, prices.
    const NOTHING: &str = "The mill turns slowly in the wind.
999.1.1.1 and 1.2.3.4.5 and 256.300.1.2
version 10.15.7.1, v1.2.3.4, Chrome/120.0.6099.109, libfoo 2.14.0.1-3ubuntu1
ISBN 978-0-306-40615-7, ISBN-10 0-306-40615-2, ISBN 9783161484100, ISSN 2049-3630
doi:10.1000/182 https://doi.org/10.1038/s41586-020-2649-2 arXiv:2406.11794v3
d41d8cd98f00b204e9800998ecf8427e da39a3ee5e6b4b0d3255bfef95601890afd80709 4b825dc642cb6eb9a060e54bf8d69288fbee4904
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
550e8400-e29b-41d4-a716-446655440000 {6B29FC40-CA47-1067-B31D-00DD010662DA}
2024-11-24T15:20:05.123456Z 1700000000 1700000000123 20241124152005 12:34:56.789
52.5200, 13.4050 and 40.712776,-74.005974 and 48°51'24\"N
$1,234,567.89 €1.234.567,89 USD 4,000,000,000 1 234 567 890
00:1a:2b:3c:4d:5e @Override user@host 12345-6789 x = 0x7fff5fbff8c0";

    #[test]
    fn a_long_list_of_contacts_takes_linear_time() {
        let text = "jane@site.org, tel. 555-867-5309, from 86.121.97.248\n".repeat(20_000);
        assert_eq!(find(&text, false).len(), 60_000);
    }
}
