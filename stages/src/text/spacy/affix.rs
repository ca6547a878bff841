//! Marks at the front and the back of a chunk.

use super::tables::{Tables, class};

/// Bytes of the mark at the front, 0 when there is none: two dots or more, money of two letters and a sign, or one character.
/// A `+` before a digit is none.
pub(super) fn prefix(tables: &Tables, text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes {
        [b'.', ..] => {
            Some(bytes.iter().take_while(|b| **b == b'.').count()).filter(|dots| *dots > 1).unwrap_or(0)
        }
        [b'+', next, ..] => usize::from(!next.is_ascii_digit()),
        [b'+'] => 1,
        [b'U', b'S', b'$', ..] => 3,
        [b'C' | b'A', b'$', ..] => 2,
        _ => {
            let c = text.chars().next().unwrap_or(' ');
            if tables.is(c, class::PREFIX) { c.len_utf8() } else { 0 }
        }
    }
}

/// Bytes of the mark at the back, 0 when there is none. Of several that fit the longest counts, as a search from the left finds it.
pub(super) fn suffix(tables: &Tables, text: &str) -> usize {
    let mut back = text.chars().rev();
    let Some(last) = back.next() else { return 0 };
    let (before, third) = (back.next().unwrap_or(' '), back.next().unwrap_or(' '));
    let one = last.len_utf8();
    let found = match last {
        '.' if before == '.' => text.bytes().rev().take_while(|b| *b == b'.').count(),
        '.' => {
            let ends = tables.is(before, class::SUFFIX_BEFORE_DOT)
                || tables.is(before, class::UPPER) && tables.is(third, class::UPPER)
                || third == '°' && matches!(before, 'F' | 'f' | 'C' | 'c' | 'K' | 'k');
            usize::from(ends)
        }
        '…' if before == '…' => 2 * one,
        's' | 'S' if matches!(before, '\'' | '’') => before.len_utf8() + 1,
        '+' => usize::from(before.is_ascii_digit()),
        _ if tables.is(last, class::SUFFIX) => one,
        _ => 0,
    };
    found.max(unit(tables, text))
}

/// Most bytes of a unit of measure, and of a digit before it.
const UNIT_BYTES_MAX: usize = 12;

/// Bytes of the unit of measure behind the last digit.
fn unit(tables: &Tables, text: &str) -> usize {
    let bytes = text.as_bytes();
    let from = bytes.len().saturating_sub(UNIT_BYTES_MAX);
    let Some(digit) = bytes[from..].iter().rposition(u8::is_ascii_digit) else { return 0 };
    let unit = &text[from + digit + 1..];
    if !unit.is_empty() && tables.is_unit(unit) { unit.len() } else { 0 }
}
