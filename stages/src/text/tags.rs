//! A small scanner of start tags: enough of HTML to find links and metadata, at memory speed and in one pass.
//!
//! Follows the tokenizer of the HTML standard (section 13.2.5) where it matters for them: comments, raw text elements,
//! attributes with and without quotes, the first of repeated attributes. It builds no tree and keeps nothing, so depth
//! costs nothing.

use memchr::{memchr, memchr2, memmem};

/// A start tag: name and attributes as they stand in the bytes.
pub struct Tag<'a> {
    name: &'a [u8],
    attributes: &'a [u8],
    /// What follows the tag.
    rest: &'a [u8],
}

/// Elements whose content is text whatever it looks like.
const RAW: [&[u8]; 7] = [b"script", b"style", b"textarea", b"title", b"xmp", b"noframes", b"iframe"];

impl<'a> Tag<'a> {
    /// Whether the tag has this name, given in lower case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value of the first attribute of this name, given in lower case.
    pub fn attribute(&self, name: &str) -> Option<&'a [u8]> {
        let mut rest = self.attributes;
        while let Some((found, value, after)) = next_attribute(rest) {
            if found.eq_ignore_ascii_case(name.as_bytes()) {
                return Some(value);
            }
            rest = after;
        }
        None
    }

    /// The text of a raw text element such as `script`, up to its end tag or the end of the page.
    pub fn raw_text(&self) -> &'a [u8] {
        let behind = after_raw(self.rest, self.name);
        let end = self.rest.len() - behind.len();
        // The end tag's `</` and its name stand before what is behind; without one the text has no end.
        if behind.is_empty() { self.rest } else { &self.rest[..end.saturating_sub(2)] }
    }
}

/// Calls `visit` for every start tag until it returns false.
pub fn scan<'a>(html: &'a [u8], mut visit: impl FnMut(&Tag<'a>) -> bool) {
    let mut rest = html;
    while let Some(at) = memchr(b'<', rest) {
        rest = &rest[at + 1..];
        match rest.first() {
            Some(b) if b.is_ascii_alphabetic() => {}
            Some(b'!') if rest.starts_with(b"!--") => {
                // `<!-->` and `<!--->` are whole comments, hence from the first dash.
                rest = memmem::find(&rest[1..], b"-->").map_or(&[][..], |end| &rest[end + 4..]);
                continue;
            }
            _ => continue,
        }
        let name_end = rest.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'));
        let Some((name, after)) = name_end.map(|end| rest.split_at(end)) else { return };
        let Some(end) = tag_end(after) else { return };
        rest = &after[end + 1..];
        let tag = Tag { name, attributes: &after[..end], rest };
        if !visit(&tag) {
            return;
        }
        if RAW.iter().any(|raw| name.eq_ignore_ascii_case(raw)) {
            rest = after_raw(rest, name);
        }
    }
}

/// Where the `>` of a tag stands, quotes respected.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|b| matches!(b, b'>' | b'='))?;
        if bytes[at] == b'>' {
            return Some(at);
        }
        at += 1;
        at += bytes[at..].iter().position(|b| !b.is_ascii_whitespace())?;
        if let quote @ (b'"' | b'\'') = bytes[at] {
            at += 1 + memchr(quote, &bytes[at + 1..])? + 1;
        }
    }
}

/// What follows the end tag of a raw text element; nothing when it is never closed.
fn after_raw<'a>(bytes: &'a [u8], name: &[u8]) -> &'a [u8] {
    let mut rest = bytes;
    while let Some(at) = memmem::find(rest, b"</") {
        rest = &rest[at + 2..];
        if rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return rest;
        }
    }
    &[]
}

/// Name, value and the rest behind it.
fn next_attribute(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace() && *b != b'/')?;
    let bytes = &bytes[start..];
    // An equals sign in the first place belongs to the name.
    let name_end = bytes.iter().skip(1).position(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'='));
    let (name, rest) = bytes.split_at(name_end.map_or(bytes.len(), |end| end + 1));
    let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else { return Some((name, b"", rest)) };
    let value = value.trim_ascii_start();
    match value.first() {
        Some(&quote @ (b'"' | b'\'')) => {
            let end = memchr(quote, &value[1..]).map_or(value.len(), |end| end + 1);
            Some((name, &value[1..end], value.get(end + 1..).unwrap_or_default()))
        }
        _ => {
            let end = memchr2(b' ', b'\n', value).unwrap_or(value.len());
            let end = value[..end].iter().position(u8::is_ascii_whitespace).unwrap_or(end);
            Some((name, &value[..end], &value[end..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hrefs(html: &str) -> Vec<String> {
        let mut found = Vec::new();
        scan(html.as_bytes(), |tag| {
            if tag.is("a") {
                found.extend(tag.attribute("href").map(|v| String::from_utf8_lossy(v).into_owned()));
            }
            true
        });
        found
    }

    #[test]
    fn tags_are_found_as_browsers_find_them() {
        let check = |html: &str, expected: &[&str]| assert_eq!(hrefs(html), expected, "{html}");
        check("<a href=x>", &["x"]);
        check("<A class=b HREF = 'x y' >", &["x y"]);
        check("<a title=\"a > b\" href=\"x\">", &["x"]);
        check("<a href=x/y/>", &["x/y/"]);
        check("<a href=1 href=2>", &["1"]);
        check("<a/href=x>", &["x"]);
        check("<a\nhref\n=\nx\n>", &["x"]);
        check("<!-- <a href=x> --><a href=y>", &["y"]);
        check("<!--><a href=y>", &["y"]);
        check("<script>'<a href=x>'</SCRIPT><a href=y>", &["y"]);
        check("<title><a href=x></title><a href=y>", &["y"]);
        check("<script><a href=x>", &[]);
        check("< a href=x><a href=y", &[]);
        check("<abbr href=x><a disabled href=''>", &[""]);
        check("<a href=\"x", &[]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn anything_is_scanned_without_panic(html in "[<>!/a='\" \\-=bhref\u{0}é]{0,60}") {
            let _ = hrefs(&html);
        }
    }
}
