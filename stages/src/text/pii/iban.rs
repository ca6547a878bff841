//! Bank account numbers: country, length of that country, and the sum modulo 97 (ISO 13616, ISO 7064).

use super::{after, before};
use std::ops::Range;

/// Lengths by country, from the SWIFT IBAN registry.
#[rustfmt::skip]
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16), ("BG", 22), ("BH", 22), ("BI", 27), ("BR", 29),
    ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28), ("CZ", 24), ("DE", 22), ("DJ", 27), ("DK", 18), ("DO", 28), ("EE", 20), ("EG", 29),
    ("ES", 24), ("FI", 18), ("FK", 18), ("FO", 18), ("FR", 27), ("GB", 22), ("GE", 22), ("GI", 23), ("GL", 18), ("GR", 27), ("GT", 28),
    ("HR", 21), ("HU", 28), ("IE", 22), ("IL", 23), ("IQ", 23), ("IS", 26), ("IT", 27), ("JO", 30), ("KW", 30), ("KZ", 20), ("LB", 28),
    ("LC", 32), ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21), ("LY", 25), ("MC", 27), ("MD", 24), ("ME", 22), ("MK", 19), ("MN", 20),
    ("MR", 27), ("MT", 31), ("MU", 30), ("NI", 28), ("NL", 18), ("NO", 15), ("OM", 23), ("PK", 24), ("PL", 28), ("PS", 29), ("PT", 25),
    ("QA", 29), ("RO", 24), ("RS", 22), ("RU", 33), ("SA", 24), ("SC", 31), ("SD", 18), ("SE", 24), ("SI", 19), ("SK", 24), ("SM", 27),
    ("SO", 23), ("ST", 25), ("SV", 28), ("TL", 23), ("TN", 24), ("TR", 26), ("UA", 29), ("VA", 22), ("VG", 24), ("XK", 20), ("YE", 30),
];

pub(super) fn find(text: &str, runs: &[super::Run]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in runs.iter().filter(|run| run.joined).map(|run| run.start) {
        // The check digits follow two letters.
        let Some(start) = at.checked_sub(2).filter(|start| text.is_char_boundary(*start)) else { continue };
        if found.last().is_some_and(|range| start < range.end)
            || before(text, start).is_some_and(char::is_alphanumeric)
        {
            continue;
        }
        if let Some(end) = end(text, start) {
            found.push(start..end);
        }
    }
    found
}

fn end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let country = bytes.get(start..start + 2)?.to_ascii_uppercase();
    let place = LENGTHS.binary_search_by(|(code, _)| code.as_bytes().cmp(&country)).ok()?;
    let mut left = LENGTHS[place].1;
    let (mut at, mut number) = (start, Vec::with_capacity(left));
    while left > 0 {
        let byte = *bytes.get(at)?;
        if byte.is_ascii_alphanumeric() {
            number.push(byte.to_ascii_uppercase());
            left -= 1;
        } else {
            let between = !number.is_empty() && number.len().is_multiple_of(4) && matches!(byte, b' ' | b'-');
            if !between || !bytes.get(at + 1)?.is_ascii_alphanumeric() {
                return None;
            }
        }
        at += 1;
    }
    let whole = !after(text, at).is_some_and(char::is_alphanumeric);
    (whole && number[2..4].iter().all(u8::is_ascii_digit) && remainder(&number) == 1).then_some(at)
}

/// The number with its first four characters moved to the end and letters as 10 to 35, modulo 97.
fn remainder(number: &[u8]) -> u32 {
    let moved = number[4..].iter().chain(&number[..4]);
    moved.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        super::super::check_found(find(text, &super::super::runs(text)), text, expected);
    }

    #[test]
    fn accounts() {
        check("IBAN: DE89 3704 0044 0532 0130 00.", &["DE89 3704 0044 0532 0130 00"]);
        check("gb82west12345698765432", &["gb82west12345698765432"]);
        check("(NO9386011117947)", &["NO9386011117947"]);
        check("FR14 2004 1010 0505 0001 3M02 606, x", &["FR14 2004 1010 0505 0001 3M02 606"]);
    }

    #[test]
    fn other_codes() {
        for text in [
            "DE88370400440532013000",
            "DE8937040044053201300",
            "XX82WEST12345698765432",
            "aDE89370400440532013000",
            "DE89",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn countries_are_sorted_for_the_search() {
        assert!(LENGTHS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
