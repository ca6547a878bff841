//! Marks inside a chunk.

use super::tables::{Tables, class};

/// Cuts what the affixes have left. A mark at its very start stays with what follows.
pub(super) fn cut<'a>(tables: &Tables, text: &'a str, tokens: &mut Vec<&'a str>) {
    let bytes = text.as_bytes();
    let (mut start, mut at) = (0, 0);
    let mut before = ' ';
    while at < bytes.len() {
        if bytes[at].is_ascii_alphanumeric() {
            before = char::from(bytes[at]);
            at += 1;
            continue;
        }
        let c = text[at..].chars().next().unwrap_or(' ');
        let len = infix(tables, before, c, &text[at + c.len_utf8()..]);
        if len > 0 && at > 0 {
            if at > start {
                tokens.push(&text[start..at]);
            }
            tokens.push(&text[at..at + len]);
            start = at + len;
        }
        let end = at + len.max(c.len_utf8());
        before = text[at..end].chars().next_back().unwrap_or(' ');
        at = end;
    }
    if start < text.len() {
        tokens.push(&text[start..]);
    }
}

/// Bytes of the mark that starts with `c`, 0 when there is none. The rules in spaCy's order; the first that fits counts.
fn infix(tables: &Tables, before: char, c: char, rest: &str) -> usize {
    let next = rest.chars().next().unwrap_or(' ');
    let behind_letter = || before.is_ascii_digit() || tables.is(before, class::ALPHA);
    let before_letter = |len: usize| rest[len..].chars().next().is_some_and(|c| tables.is(c, class::ALPHA));
    let one = c.len_utf8();
    if c == '.' && next == '.' {
        return 1 + rest.bytes().take_while(|b| *b == b'.').count();
    }
    if c == '…' || tables.is(c, class::ICON) {
        return one;
    }
    let sum = matches!(c, '+' | '-' | '*' | '^') && (next.is_ascii_digit() || next == '-');
    if sum && before.is_ascii_digit() {
        return one;
    }
    match c {
        '.' => {
            usize::from(tables.is(before, class::INFIX_BEFORE_DOT) && tables.is(next, class::INFIX_AFTER_DOT))
        }
        ',' => usize::from(tables.is(before, class::ALPHA) && before_letter(0)),
        ':' | '<' | '>' | '=' | '/' | '~' => usize::from(behind_letter() && before_letter(0)),
        '-' | '–' | '—' if behind_letter() => {
            // One to three hyphens, one en dash, or one or two em dashes; none of these takes part of a longer run.
            let most = match c {
                '-' => 3,
                '—' => 2,
                _ => 1,
            };
            let run = 1 + rest.chars().take(most).take_while(|other| *other == c).count();
            if run <= most && before_letter((run - 1) * one) { run * one } else { 0 }
        }
        _ => 0,
    }
}
