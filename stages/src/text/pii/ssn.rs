//! Social security numbers of the United States: area, group and serial as the administration gives them out.
//!
//! Area 001 to 899 but 666, group from 01, serial from 0001. `123-45-6789` shows what it is; with spaces or unbroken it takes a
//! word such as "SSN" before it. The numbers of old advertisements (078-05-1120, 219-09-9999) name no one.

use super::{after, before, context_before, says};
use std::ops::Range;

const CUES: &[&str] =
    &["ssn", "ssns", "social security", "social security number", "social", "soc sec", "social insurance"];
/// How far a cue may stand away, in bytes.
const CUE_BYTES: usize = 48;

pub(super) fn find(text: &str, runs: &[super::Run]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for run in runs.iter().filter(|run| run.ahead >= 9) {
        let Some((end, digits, mark)) = read(text.as_bytes(), run.start) else { continue };
        let shown = mark == Some(b'-');
        if is_given(digits)
            && is_whole(text, run.start, end)
            && (shown || says(&context_before(text, run.start, CUE_BYTES), CUES))
        {
            found.push(run.start..end);
        }
    }
    found
}

/// Three, two and four digits with one mark between them, or none.
fn read(bytes: &[u8], start: usize) -> Option<(usize, u32, Option<u8>)> {
    let mark = bytes.get(start + 3).copied().filter(|b| matches!(b, b'-' | b' '));
    let (mut at, mut digits) = (start, 0);
    for group in [3, 2, 4] {
        for _ in 0..group {
            let byte = bytes.get(at).filter(|b| b.is_ascii_digit())?;
            digits = digits * 10 + u32::from(byte - b'0');
            at += 1;
        }
        if let Some(mark) = mark.filter(|_| group != 4) {
            (bytes.get(at) == Some(&mark)).then_some(())?;
            at += 1;
        }
    }
    Some((at, digits, mark))
}

const fn is_given(digits: u32) -> bool {
    let (area, group, serial) = (digits / 1_000_000, digits / 10_000 % 100, digits % 10_000);
    area > 0
        && area < 900
        && area != 666
        && group > 0
        && serial > 0
        && !matches!(digits, 78_051_120 | 219_099_999 | 123_456_789)
}

fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '=' | '+');
    let next = match after(text, end) {
        Some('.' | ',' | '-') => after(text, end + 1).is_some_and(char::is_alphanumeric),
        Some(c) => part(c),
        None => false,
    };
    !next && !before(text, start).is_some_and(|c| part(c) || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        super::super::check_found(find(text, &super::super::runs(text)), text, expected);
    }

    #[test]
    fn numbers() {
        check("My SSN is 536-22-1234.", &["536-22-1234"]);
        check("(460-98-7001) 899-99-9999", &["460-98-7001", "899-99-9999"]);
        check("social security number: 536 22 1234", &["536 22 1234"]);
        check("ssn 536221234,", &["536221234"]);
    }

    #[test]
    fn other_numbers() {
        for text in [
            "000-22-1234",
            "666-22-1234",
            "900-22-1234",
            "536-00-1234",
            "536-22-0000",
            "078-05-1120",
            "536 22 1234",
            "536221234",
            "1536-22-1234",
            "536-22-12345",
            "536-22-1234-5",
            "x536-22-1234",
            "536-22 1234",
        ] {
            check(text, &[]);
        }
    }
}
