//! What a page says to a crawler: its links, its base, and what its `meta` ask for.
//!
//! Links are those of `a`, `area`, `frame`, `iframe`, of `link` with `rel` next, prev or canonical, and the target of
//! `meta http-equiv=refresh`. `rel=nofollow` on a link, and `nofollow` for the page, are obeyed when the settings say so.
//! What the author wishes is read by `text::rights`.

use super::address;
use crate::text::rights::Wishes;
use crate::text::tags::{self, Tag};
use schemas::hash::FastSet;
use std::borrow::Cow;
use url::Url;

/// Most links taken from one page.
const LINKS_MAX: usize = 10_000;

/// Links of a page in its order, each once, and its wishes; `nofollow` leaves out links marked so.
pub(super) fn links(html: &[u8], page: &Url, token: &str, nofollow: bool, wishes: &mut Wishes) -> Vec<Url> {
    let mut base: Option<Url> = None;
    let mut found = Vec::new();
    tags::scan(html, |tag| {
        if tag.is("meta") {
            wishes.add_meta(tag, token);
        } else if tag.is("base") && base.is_none() {
            base = tag.attribute("href").and_then(|href| page.join(&text(href)).ok());
        }
        found.extend(target(tag, nofollow));
        found.len() < LINKS_MAX
    });
    let base = base.as_ref().unwrap_or(page);
    let mut seen = FastSet::default();
    let urls = found.iter().filter_map(|link| address::resolve(base, link));
    urls.filter(|url| url != page && seen.insert(address::key(url.as_str()))).collect()
}

fn target<'a>(tag: &Tag<'a>, nofollow: bool) -> Option<Cow<'a, str>> {
    let rel = |words: &[&str]| {
        let rel = tag.attribute("rel").map(|v| String::from_utf8_lossy(v).to_ascii_lowercase());
        rel.is_some_and(|rel| rel.split_ascii_whitespace().any(|word| words.contains(&word)))
    };
    if tag.is("a") || tag.is("area") {
        let href = tag.attribute("href")?;
        return (!(nofollow && rel(&["nofollow"]))).then(|| text(href));
    }
    if tag.is("frame") || tag.is("iframe") {
        return tag.attribute("src").map(text);
    }
    if tag.is("link") && rel(&["next", "prev", "canonical"]) {
        return tag.attribute("href").map(text);
    }
    if tag.is("meta") && tag.attribute("http-equiv")?.eq_ignore_ascii_case(b"refresh") {
        return refresh(&text(tag.attribute("content")?)).map(|url| Cow::Owned(url.to_owned()));
    }
    None
}

/// The address in `5; url='next.html'`.
fn refresh(content: &str) -> Option<&str> {
    let (_, rest) = content.split_once([';', ','])?;
    let rest = rest.trim_start();
    let is_url = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("url"));
    let value = if is_url { rest[3..].trim_start().strip_prefix('=')?.trim() } else { rest };
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).next()?,
        _ => value,
    };
    (!value.is_empty()).then_some(value)
}

/// The text of an attribute: UTF-8, or else the encoding that browsers fall back to, with entities decoded.
fn text(value: &[u8]) -> Cow<'_, str> {
    let text = match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(value).0,
    };
    if memchr::memchr(b'&', text.as_bytes()).is_none() {
        return text;
    }
    Cow::Owned(decode_entities(&text).into_owned())
}

/// Decodes numeric entities and the five names of XML. Without its semicolon an entity before `=` or a letter stays,
/// as the HTML standard says for attributes (section 13.2.5.73).
pub(super) fn decode_entities(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(rest);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn entity(text: &str) -> Option<(char, usize)> {
    const NAMES: [(&str, char); 5] = [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')];
    let body = &text[1..];
    if let Some(number) = body.strip_prefix('#') {
        let (digits, radix, skipped) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16, 3),
            None => (number, 10, 2),
        };
        let count = digits.bytes().take(8).take_while(|b| (*b as char).is_digit(radix)).count();
        let c = char::from_u32(u32::from_str_radix(&digits[..count], radix).ok()?)?;
        return Some((c, skipped + count + usize::from(digits[count..].starts_with(';'))));
    }
    let &(name, c) = NAMES.iter().find(|(name, _)| body.starts_with(name))?;
    match body.as_bytes().get(name.len()) {
        Some(b';') => Some((c, name.len() + 2)),
        Some(b) if *b == b'=' || b.is_ascii_alphanumeric() => None,
        _ => Some((c, name.len() + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, nofollow: bool, expected: &[&str]) {
        let page = Url::parse("http://a.org/d/p").unwrap();
        let urls = links(html.as_bytes(), &page, "mill", nofollow, &mut Wishes::default());
        assert_eq!(urls.iter().map(Url::as_str).collect::<Vec<_>>(), expected, "{html}");
    }

    #[test]
    fn links_are_resolved_once_each() {
        check(
            "<a href=x><a href='x#y'><a href=/z?a&amp;b=1&copy=2>",
            true,
            &["http://a.org/d/x", "http://a.org/z?a&b=1&copy=2"],
        );
        check("<a href=#top><a href=p><a href=mailto:x@y>", true, &[]);
        check("<a href=x><base href=/b/><base href=/c/>", true, &["http://a.org/b/x"]);
        check("<a rel='external NoFollow' href=x>", true, &[]);
        check("<a rel=nofollow href=x>", false, &["http://a.org/d/x"]);
        check("<link rel=next href=2><link rel=stylesheet href=s>", true, &["http://a.org/d/2"]);
        check("<meta http-equiv=Refresh content=\"0; URL='../n'\">", true, &["http://a.org/n"]);
        check("<iframe src=f></iframe><area href=g>", true, &["http://a.org/d/f", "http://a.org/d/g"]);
        check("<a href='&#47;&#x61;&#x110000;'>", true, &["http://a.org/a&"]);
    }
}
