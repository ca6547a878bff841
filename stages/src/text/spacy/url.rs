//! Whether a chunk is an address of the web.
//!
//! It is `[scheme://][user@]host[:port][/, ? or # and anything]`, the host a public IPv4 address or a name with a dot whose last
//! part is letters that are lower case or of no case.

use super::tables::{Tables, class};
use crate::text::chars::is_letter;
use crate::text::words::is_decimal;

/// Most characters of a part of a name, and of its last part.
const LABEL_CHARS_MAX: usize = 64;
const TOP_CHARS_MAX: usize = 63;

/// Whether the whole chunk is one. Time is linear: the trials behind each `@` end at the next.
pub(super) fn is_url(tables: &Tables, text: &str) -> bool {
    if memchr::memchr(b'.', text.as_bytes()).is_none() {
        return false;
    }
    let starts_host = |at: usize| host(tables, &text[at..]);
    starts_host(0)
        || scheme(text).is_some_and(starts_host)
        || memchr::memchr_iter(b'@', text.as_bytes()).filter(|at| *at > 0).any(|at| starts_host(at + 1))
}

/// Where the scheme and its `://` end.
fn scheme(text: &str) -> Option<usize> {
    let at = text.find("://")?;
    let name = &text[..at];
    // Python's `\w`, and three marks.
    let fits = |c: char| is_letter(c) || c.is_numeric() || matches!(c, '_' | '+' | '-' | '.');
    (name.chars().count() > 1 && name.chars().all(fits)).then_some(at + 3)
}

/// Whether the text is a host with what may stand behind it.
fn host(tables: &Tables, text: &str) -> bool {
    let end = text.find([':', '/', '?', '#', '@']).unwrap_or(text.len());
    tail(&text[end..]) && (name(tables, &text[..end]) || address(&text[..end]))
}

fn tail(text: &str) -> bool {
    let behind_port = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?', '#']);
    match text.strip_prefix(':') {
        None => behind_port(text),
        Some(port) => {
            let rest = port.trim_start_matches(is_decimal);
            (2..=5).contains(&port[..port.len() - rest.len()].chars().count()) && behind_port(rest)
        }
    }
}

fn name(tables: &Tables, host: &str) -> bool {
    let Some((labels, top)) = host.rsplit_once('.') else { return false };
    let letters = top.chars().take(TOP_CHARS_MAX + 1).count();
    (2..=TOP_CHARS_MAX).contains(&letters)
        && top.chars().all(|c| tables.is(c, class::LOWER))
        && labels.split('.').all(label)
}

fn label(label: &str) -> bool {
    let outer = |c: char| c.is_ascii_alphanumeric() || ('\u{a1}'..='\u{ffff}').contains(&c);
    let mut chars = label.chars();
    chars.next().is_some_and(outer)
        && label.chars().next_back().is_some_and(outer)
        && label.chars().take(LABEL_CHARS_MAX + 1).count() <= LABEL_CHARS_MAX
        && chars.all(|c| outer(c) || matches!(c, '_' | '-'))
}

/// An IPv4 address that is neither private nor the last of its network.
fn address(host: &str) -> bool {
    let parts: Vec<&str> = host.splitn(5, '.').collect();
    let &[first, second, third, fourth] = parts.as_slice() else { return false };
    let number =
        |part: &str| (part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok());
    let [Some(Some(a)), Some(Some(b)), Some(Some(c)), Some(Some(d))] =
        [first, second, third, fourth].map(number as fn(&str) -> Option<Option<u16>>)
    else {
        return false;
    };
    let plain = |part: &str| !part.starts_with('0');
    let middle = |part: &str, n: u16| n <= 255 && (part.len() < 3 || plain(part));
    let private = matches!(a, 10 | 127)
        || matches!((a, b), (169, 254) | (192, 168))
        || a == 172 && (16..=31).contains(&b);
    !private
        && plain(first)
        && (1..=223).contains(&a)
        && middle(second, b)
        && middle(third, c)
        && plain(fourth)
        && (1..=254).contains(&d)
}
