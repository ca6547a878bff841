//! Cuts what would make the tree builder slow, before it sees the page: nesting and attributes without end.
//!
//! HTML's tree construction searches the stack of open elements at most tags and the attributes so far at each
//! attribute, so a page of 100,000 nested elements or attributes costs the square of that. Browsers cut too: Blink
//! flattens below 512 levels. Text is never cut, only tags and attributes beyond the limits.

use std::borrow::Cow;

/// Deepest nesting that reaches the tree builder; tags below it are left out, their text stays.
const DEPTH_MAX: usize = 256;
/// Most bytes of one tag that may hold many attributes; a longer one is looked at.
const TAG_BYTES_MAX: usize = 8 << 10;
/// Most attributes of such a tag.
const ATTRIBUTES_MAX: usize = 256;

/// Elements that never nest in themselves by the parser's own rules or hold nothing: they do not count as a level.
const FLAT: [&[u8]; 34] = [
    b"area",
    b"base",
    b"br",
    b"col",
    b"embed",
    b"hr",
    b"img",
    b"input",
    b"link",
    b"meta",
    b"source",
    b"track",
    b"wbr",
    b"param",
    b"p",
    b"li",
    b"dt",
    b"dd",
    b"tr",
    b"td",
    b"th",
    b"tbody",
    b"thead",
    b"tfoot",
    b"option",
    b"optgroup",
    b"html",
    b"head",
    b"body",
    b"a",
    b"rp",
    b"rt",
    b"frame",
    b"button",
];
/// Elements whose content is not markup.
const RAW: [&[u8]; 6] = [b"script", b"style", b"textarea", b"title", b"xmp", b"iframe"];

/// The page without the tags and attributes beyond the limits; borrowed when there are none.
pub(crate) fn bound(html: &str) -> Cow<'_, str> {
    let bytes = html.as_bytes();
    let (mut depth, mut at, mut kept) = (0_usize, 0, 0);
    let mut out: Option<String> = None;
    while let Some(found) = memchr::memchr(b'<', &bytes[at..]) {
        let start = at + found;
        let rest = &bytes[start..];
        let close = rest.get(1) == Some(&b'/');
        let name_at = start + 1 + usize::from(close);
        if rest.starts_with(b"<!--") {
            at = memchr::memmem::find(rest, b"-->").map_or(bytes.len(), |n| start + n + 3);
            continue;
        }
        if !bytes.get(name_at).is_some_and(u8::is_ascii_alphabetic) {
            at = start + 1;
            continue;
        }
        let name_end = bytes[name_at..].iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'-');
        let name_end = name_end.map_or(bytes.len(), |n| name_at + n);
        let end = tag_end(bytes, name_end);
        let name = &bytes[name_at..name_end];
        at = end;
        let level = !is_one_of(name, &FLAT);
        let cut_tag = level && {
            // The levels below the limit are counted too, so that their end tags are cut and not those above.
            depth = if close { depth.saturating_sub(1) } else { depth + 1 };
            depth + usize::from(close) > DEPTH_MAX
        };
        let cut_attributes = end - name_end > TAG_BYTES_MAX
            && bytes[name_end..end].split(|b| b.is_ascii_whitespace() || *b == b'/').count() > ATTRIBUTES_MAX
            && bytes[name_end..end].iter().filter(|b| **b == b'"').count() != 2;
        if cut_tag || cut_attributes {
            let out = out.get_or_insert_with(|| String::with_capacity(html.len()));
            out.push_str(&html[kept..if cut_tag { start } else { name_end }]);
            out.push_str(if cut_tag { "" } else { ">" });
            kept = end;
        }
        if !close && is_one_of(name, &RAW) {
            at = raw_end(bytes, end, name);
        }
    }
    match out {
        None => Cow::Borrowed(html),
        Some(mut out) => {
            out.push_str(&html[kept..]);
            Cow::Owned(out)
        }
    }
}

fn is_one_of(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// Just behind the `>` of a tag; quotes behind `=` hide a `>`.
fn tag_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'>' => return at + 1,
            quote @ (b'"' | b'\'') if bytes[from..at].trim_ascii_end().ends_with(b"=") => {
                match memchr::memchr(quote, &bytes[at + 1..]) {
                    Some(n) => at += n + 2,
                    None => return bytes.len(),
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the end tag of an element without markup begins.
fn raw_end(bytes: &[u8], from: usize, name: &[u8]) -> usize {
    let mut at = from;
    while let Some(n) = memchr::memmem::find(&bytes[at..], b"</") {
        at += n;
        if bytes[at + 2..].get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_pages_are_borrowed() {
        for html in ["", "<p>a<b>c</b>", "<a title='<div>'>x</a>", "<", "</", "<!-- <div>"] {
            assert!(matches!(bound(html), Cow::Borrowed(_)), "{html}");
        }
    }

    #[test]
    fn levels_beyond_the_limit_go_and_their_text_stays() {
        let deep = format!("{}x{}<p>y", "<div>".repeat(100_000), "</div>".repeat(100_000));
        let cut = bound(&deep);
        assert_eq!(cut.matches("<div>").count(), DEPTH_MAX);
        assert_eq!(cut.matches("</div>").count(), DEPTH_MAX);
        assert!(cut.contains('x') && cut.ends_with("<p>y"));
    }

    #[test]
    fn attributes_without_end_go() {
        let many: String = (0..100_000).map(|n| format!(" a{n}")).collect();
        assert_eq!(bound(&format!("<p{many}>x")), "<p>x");
    }
}
