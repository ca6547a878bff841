//! Finds personal identifiers in text: each kind by its own grammar and checksum, none by a list of names.
//!
//! Every scanner reads the same untouched text and knows nothing of the others. Where findings overlap the more certain kind
//! wins: IBAN and card have checksums, an address has an `@`, an IP address a shape; a phone number is only digits.

mod card;
mod email;
mod iban;
mod ip;
mod phone;

use std::ops::Range;

/// A kind of identifier, the most certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// International bank account number.
    Iban,
    /// Payment card number.
    Card,
    /// E-mail address.
    Email,
    /// IPv4 or IPv6 address.
    Ip,
    /// Phone number.
    Phone,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 5;

    /// What stands in its place.
    pub const fn placeholder(self) -> &'static str {
        match self {
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
    if text.bytes().any(|b| b.is_ascii_digit()) {
        take(Kind::Iban, iban::find(text));
        take(Kind::Card, card::find(text));
        take(Kind::Ip, ip::find(text, local));
        take(Kind::Phone, phone::find(text));
    }
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

/// Starts of runs of ASCII digits, in order.
fn digit_runs(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        at += bytes.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let start = at;
        at += bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        Some(start)
    })
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
    fn a_long_list_of_contacts_takes_linear_time() {
        let text = "jane@site.org, tel. 555-867-5309, from 86.121.97.248\n".repeat(20_000);
        assert_eq!(find(&text, false).len(), 60_000);
    }
}
