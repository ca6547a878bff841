//! E-mail addresses: a dot-atom local part (RFC 5322), an at sign, a host name with a top level of letters (RFC 1035).
//!
//! Letters of all scripts count (RFC 6531). `git@host:` is a service and no mailbox; `a@b.c(` is code.

use super::{after, before};
use std::ops::Range;

/// Longest local part (RFC 5321).
const LOCAL_BYTES_MAX: usize = 64;
/// Longest host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in memchr::memchr_iter(b'@', text.as_bytes()) {
        let floor = found.last().map_or(0, |range| range.end);
        let Some(start) = local_start(text, at, floor) else { continue };
        let Some(end) = host_end(text, at + 1) else { continue };
        let service =
            text[start..at].eq_ignore_ascii_case("git") && matches!(after(text, end), Some(':' | '/'));
        if !service && !matches!(after(text, end), Some('(' | '@')) {
            found.push(start..end);
        }
    }
    found
}

fn is_local(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'' | '&' | '~' | '!' | '#' | '$' | '=')
}

fn local_start(text: &str, at: usize, floor: usize) -> Option<usize> {
    let window = text.ceil_char_boundary(at.saturating_sub(LOCAL_BYTES_MAX + 4)).max(floor);
    let head = &text[window..at];
    let local = &head[head.trim_end_matches(is_local).len()..];
    // A quote, an equals sign or a dot in front belongs to the sentence.
    let local = local.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
    let start = at - local.len();
    let fits =
        !local.is_empty() && local.len() <= LOCAL_BYTES_MAX && !local.ends_with('.') && !local.contains("..");
    let whole = !before(text, start).is_some_and(char::is_alphanumeric);
    (fits && whole).then_some(start)
}

fn host_end(text: &str, from: usize) -> Option<usize> {
    let tail = &text[from..text.floor_char_boundary((from + HOST_BYTES_MAX + 4).min(text.len()))];
    let host =
        &tail[..tail.find(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.')).unwrap_or(tail.len())];
    // An underscore is part of code, not of a host.
    if tail[host.len()..].starts_with('_') {
        return None;
    }
    let mut end = 0;
    let mut labels = 0;
    let mut at = 0;
    for label in host.split('.') {
        if label.is_empty() || label.len() > 63 || label.starts_with('-') {
            break;
        }
        labels += 1;
        let shown = label.trim_end_matches('-');
        if labels > 1 && is_top_level(shown) {
            end = at + shown.len();
        }
        if shown.len() < label.len() {
            break;
        }
        at += label.len() + 1;
    }
    (end > 0 && end <= HOST_BYTES_MAX).then_some(from + end)
}

fn is_top_level(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    label.chars().count() >= 2 && (label.chars().all(char::is_alphabetic) || lower.starts_with("xn--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        super::super::check_found(find(text), text, expected);
    }

    #[test]
    fn addresses() {
        check("write to a.b+c@mail.example.co.uk.", &["a.b+c@mail.example.co.uk"]);
        check("<jane_doe@example.org>, \"x@y.de\"", &["jane_doe@example.org", "x@y.de"]);
        check("mailto:o'brien@example.com?subject=x", &["o'brien@example.com"]);
        check("jürgen@müller.de 用户@例子.公司", &["jürgen@müller.de", "用户@例子.公司"]);
        check("a@b.com,c@d.org;e@f.net", &["a@b.com", "c@d.org", "e@f.net"]);
        check("x@xn--mller-kva.xn--p1ai", &["x@xn--mller-kva.xn--p1ai"]);
        check("'me@site.io'", &["me@site.io"]);
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "@Override",
            "a @ b.com",
            "react@17.0.2",
            "foo@bar",
            "a@-b.com",
            ".@b.com",
            "a..b@c.com",
            "git@github.com:x/y.git",
            "m@v.dot(x)",
            "user@host_name.com",
            "@",
            "@@",
            "a@b@c",
            "x@1.2.3.4",
        ] {
            check(text, &[]);
        }
    }
}
