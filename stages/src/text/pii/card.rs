//! Payment cards: issuer prefix and length (ISO/IEC 7812), the groups that are printed on cards, and the Luhn sum.
//!
//! Lengths that other numbers often have (12, 13, 17 to 19 digits) and unknown issuers also need a word such as "card" nearby.

use super::{after, before, context_after, context_before, says};
use std::ops::Range;

/// Words that say that a number is a card's.
const CUES: &[&str] = &[
    "card",
    "cards",
    "credit",
    "debit",
    "visa",
    "mastercard",
    "maestro",
    "amex",
    "cc",
    "pan",
    "payment",
    "kreditkarte",
    "carte",
    "tarjeta",
];
/// How far a cue may stand away, in bytes.
const CUE_BYTES: usize = 60;

pub(super) fn find(text: &str, runs: &[super::Run]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for start in runs.iter().filter(|run| run.ahead >= 12).map(|run| run.start) {
        if found.last().is_some_and(|range| start < range.end) || !opens(text, start) {
            continue;
        }
        let Some((end, digits, groups)) = read(text, start) else { continue };
        if !luhn(&digits) || groups.len() > 1 && !printed(&groups) || !closes(text, end) {
            continue;
        }
        let cued = || {
            says(&context_before(text, start, CUE_BYTES), CUES)
                || says(&context_after(text, end, CUE_BYTES), CUES)
        };
        let known = issuer(&digits) && matches!(digits.len(), 14..=16);
        // Beside a cue any issuer of the payment industry will do (first digit 2 to 6): ranges are given out year by year.
        if known || (issuer(&digits) || matches!(digits[0], 2..=6)) && cued() {
            found.push(start..end);
        }
    }
    found
}

fn opens(text: &str, start: usize) -> bool {
    !before(text, start).is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '%'))
}

fn closes(text: &str, end: usize) -> bool {
    match after(text, end) {
        Some('.' | '-' | ',') => !after(text, end + 1).is_some_and(char::is_alphanumeric),
        Some(c) => !c.is_alphanumeric() && c != '_',
        None => true,
    }
}

/// Digits in groups with one kind of separator, a space or a hyphen: where they end, the digits, the sizes of groups.
fn read(text: &str, start: usize) -> Option<(usize, Vec<u8>, Vec<usize>)> {
    let bytes = text.as_bytes();
    let (mut at, mut digits, mut groups) = (start, Vec::new(), Vec::new());
    let mut separator = None;
    loop {
        let run = bytes[at..].iter().take(20).take_while(|b| b.is_ascii_digit()).count();
        digits.extend(bytes[at..at + run].iter().map(|b| b - b'0'));
        groups.push(run);
        at += run;
        let next = bytes.get(at).copied().filter(|b| matches!(b, b' ' | b'-'));
        let more = next.is_some() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        // A number of one group does not swallow the number behind the next space.
        let whole = groups.len() == 1 && run >= 12;
        if digits.len() > 19 {
            return None;
        }
        if !more
            || whole
            || digits.len() >= 14 && printed(&groups)
            || separator.is_some_and(|s| Some(s) != next)
        {
            break;
        }
        separator = next;
        at += 1;
    }
    (digits.len() >= 12).then_some((at, digits, groups))
}

/// Groups as cards show them.
fn printed(groups: &[usize]) -> bool {
    matches!(groups, [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 3] | [4, 4, 4, 1 | 2] | [4, 4, 5])
}

/// Whether an issuer gives out cards of this prefix and length.
fn issuer(digits: &[u8]) -> bool {
    let prefix = |n: usize| digits[..n].iter().fold(0_u32, |all, d| all * 10 + u32::from(*d));
    let (two, three, four) = (prefix(2), prefix(3), prefix(4));
    match digits.len() {
        13 | 19 if digits[0] == 4 => true,
        // American Express; the old 15-digit JCB.
        15 => matches!(two, 34 | 37) || matches!(four, 1800 | 2131),
        // Diners Club.
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        16 => {
            digits[0] == 4
                || matches!(two, 51..=55 | 62 | 65)
                || matches!(three, 644..=649)
                || matches!(four, 2221..=2720 | 3528..=3589 | 6011 | 2200..=2204)
                || maestro(two, four)
        }
        12..=19 => maestro(two, four) || two == 62,
        _ => false,
    }
}

fn maestro(two: u32, four: u32) -> bool {
    matches!(two, 56..=58)
        || matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6390 | 6759 | 6761..=6763 | 6771)
        || matches!(four, 6762)
}

/// Luhn (ISO/IEC 7812-1, annex B): from the right every second digit doubled, digits summed, a multiple of ten.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, d)| {
            let d = u32::from(*d);
            if at % 2 == 0 { d } else { d * 2 / 10 + d * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|d| *d != digits[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        super::super::check_found(find(text, &super::super::runs(text)), text, expected);
    }

    #[test]
    fn cards() {
        check("4111111111111111", &["4111111111111111"]);
        check("pay 4111 1111 1111 1111.", &["4111 1111 1111 1111"]);
        check("5500-0000-0000-0004 5/27", &["5500-0000-0000-0004"]);
        check("5500 0000 0000 0004 123", &["5500 0000 0000 0004"]);
        check("Amex 3782 822463 10005", &["3782 822463 10005"]);
        check("30569309025904, 6011111111111117", &["30569309025904", "6011111111111117"]);
        check("my card 4222222222222", &["4222222222222"]);
        check("my card 3522235032377454", &["3522235032377454"]);
    }

    #[test]
    fn other_numbers() {
        for text in [
            "4111111111111112",
            "0.4111111111111111",
            "4222222222222",
            "3522235032377454",
            "id4111111111111111",
            "4111111111111111.5",
            "1234567890123452",
            "0000000000000000",
            "978-3-16-148410-0",
            "41111111111111114111111111111111",
            "41 11 11 11 11 11 11 11",
        ] {
            check(text, &[]);
        }
    }
}
