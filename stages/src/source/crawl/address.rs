//! The identity of an address: what counts as the same page.
//!
//! 1. Parsed by the WHATWG URL standard: scheme and host in lower case, default port dropped, dots resolved.
//! 2. Only `http` and `https`.
//! 3. Fragment, user name and password dropped, and an empty query with its question mark.
//! 4. In path and query, hexadecimal digits of escapes in upper case, and escapes of unreserved characters (RFC 3986
//!    section 2.3) undone: `%7euser` is `~user`.
//!
//! Parameters are neither sorted nor dropped: servers may care.
//!
//! ```text
//! HTTP://Example.com:80/a/../%7eb?#top  →  http://example.com/~b
//! ```

use url::Url;

/// The address in the form that identifies it; `None` when it is no web address.
pub(super) fn canonical(mut url: Url) -> Option<Url> {
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return None;
    }
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    if let Some(path) = plain_escapes(url.path()) {
        url.set_path(&path);
    }
    if let Some(query) = url.query().and_then(plain_escapes) {
        url.set_query(Some(&query));
    }
    Some(url)
}

/// Resolves a link against the address of its page.
pub(super) fn resolve(base: &Url, link: &str) -> Option<Url> {
    canonical(base.join(link.trim()).ok()?)
}

/// Path and query: what robots rules and patterns look at.
pub(super) fn path_and_query(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

/// Scheme, host and port: the unit of robots.txt and politeness.
pub(super) fn origin(url: &Url) -> &str {
    &url[..url::Position::BeforePath]
}

/// blake3-128 of an address in the form that identifies it.
pub(super) fn key(url: &str) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(url.as_bytes()).as_bytes()[..16]);
    u128::from_le_bytes(first)
}

fn plain_escapes(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).filter(|c| c.bytes().all(|b| b.is_ascii_hexdigit()));
        match code.and_then(|c| u8::from_str_radix(c, 16).ok()) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(byte as char);
                rest = &rest[at + 3..];
            }
            Some(byte) => {
                out.push_str(&format!("%{byte:02X}"));
                rest = &rest[at + 3..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    (out != text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(link: &str, expected: Option<&str>) {
        let base = Url::parse("https://example.com/a/b?c=d#e").unwrap();
        let found = resolve(&base, link);
        assert_eq!(found.as_ref().map(Url::as_str), expected, "{link}");
        if let Some(url) = found {
            assert_eq!(canonical(url.clone()), Some(url), "{link} twice");
        }
    }

    #[test]
    fn one_page_has_one_address() {
        check("HTTP://Example.com:80/a/../%7eb?#top", Some("http://example.com/~b"));
        check(" ../x ", Some("https://example.com/x"));
        check("", Some("https://example.com/a/b?c=d"));
        check("#top", Some("https://example.com/a/b?c=d"));
        check("?b=2&a=1", Some("https://example.com/a/b?b=2&a=1"));
        check("//user:pw@other.org", Some("https://other.org/"));
        check("/ä%c3%a4%zz%", Some("https://example.com/%C3%A4%C3%A4%zz%"));
        check("/%41%2f%2e%2e/x", Some("https://example.com/A%2F../x"));
        check("http://0x7f.1/", Some("http://127.0.0.1/"));
        check("mailto:a@b", None);
        check("javascript:void(0)", None);
        check("http://", None);
        check("data:text/html,x", None);
    }
}
