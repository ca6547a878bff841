//! Keeps one of the documents that come from the same address.
//!
//! Two addresses are the same when these steps, taken in order, make one string of them:
//!
//! 1. parsed and written by the URL Standard (whatwg.org): host in lower case, default port gone, dots in paths resolved;
//! 2. the fragment goes, and a session in the path (`;jsessionid=…`);
//! 3. `%7e` and `~` are one: escaped unreserved characters are unescaped, other escapes upper-cased (RFC 3986, 6.2.2);
//! 4. query parts whose key is on `tracking` go, empty ones too; the others are sorted;
//! 5. slashes at the end of the path go: `/a/` is `/a`;
//! 6. with `ignore_scheme`, `http` and `https` are one; with `ignore_www`, so are `www.a.org` and `a.org`.
//!
//! What is no URL is compared as it stands, less white space at the ends. A row without an address is kept.
//!
//! ```text
//! "HTTP://Example.org:80/a/?utm_source=x&b=2&a=1#top" and "https://example.org/a?a=1&b=2" are the same
//! ```

use super::keep::Keep;
use super::one_per_key::{Key, OnePerKey};
use schemas::{Build, Config as _, Made, Reason, Spec, column, config};
use std::fmt::Write as _;
use url::Url;

/// Keys that say how a reader came to a page, never which page it is.
const TRACKING: &[&str] = &[
    "utm_*",
    "gclid",
    "dclid",
    "gbraid",
    "wbraid",
    "fbclid",
    "msclkid",
    "yclid",
    "twclid",
    "ttclid",
    "igshid",
    "mc_cid",
    "mc_eid",
    "_ga",
    "_gl",
    "_hsenc",
    "_hsmi",
    "mkt_tok",
    "oly_anon_id",
    "oly_enc_id",
    "vero_id",
    "wt_mc",
    "phpsessid",
    "jsessionid",
    "aspsessionid*",
];

config! {
    /// Settings of `dedup.url`.
    pub struct Config {
        /// Which document stays.
        keep: Keep = Keep::First;
        /// Query keys that do not say which page it is, case aside; a `*` at the end stands for any ending.
        tracking: Vec<String> = TRACKING.iter().map(|key| (*key).to_owned()).collect();
        /// Whether `http` and `https` are the same.
        ignore_scheme: bool = true;
        /// Whether a leading `www.` of the host does not count.
        ignore_www: bool = false;
    }
}

/// Why `dedup.url` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// A document that is kept has the same address.
    DuplicateUrl,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::DuplicateUrl => "duplicate_url",
        }
    }
}

const REASONS: &[Reason] =
    &[Reason { name: Drop::DuplicateUrl.name(), doc: "A document that is kept has the same address." }];

const BUILD: Build = |settings| {
    let mut config: Config = settings.parse()?;
    config.tracking.iter_mut().for_each(|key| key.make_ascii_lowercase());
    Ok(Made::Global(Box::new(OnePerKey { keep: config.keep, key: Address(config) })))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "dedup.url",
    version: 2,
    summary: "Keeps one of the documents that come from the same address.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

struct Address(Config);

impl Key for Address {
    const COLUMN: &'static str = column::URL;
    const REASON: &'static str = Drop::DuplicateUrl.name();

    fn key(&self, url: &str) -> [u8; 16] {
        *blake3::hash(self.normal(url).as_bytes())
            .as_bytes()
            .first_chunk()
            .expect("a blake3 hash has 32 bytes")
    }
}

impl Address {
    fn normal(&self, text: &str) -> String {
        let Ok(mut url) = Url::parse(text) else { return text.trim().to_owned() };
        url.set_fragment(None);
        let mut out = match url.scheme() {
            "http" | "https" if self.0.ignore_scheme => "//".to_owned(),
            scheme => format!("{scheme}://"),
        };
        if !url.username().is_empty() {
            out.push_str(url.username());
            out.push('@');
        }
        let host = url.host_str().unwrap_or_default();
        out.push_str(if self.0.ignore_www { host.strip_prefix("www.").unwrap_or(host) } else { host });
        if let Some(port) = url.port() {
            write!(out, ":{port}").expect("writing to a string cannot fail");
        }
        let path = unescape(url.path());
        out.push_str(without_session(&path).trim_end_matches('/'));
        let query = self.query(url.query().unwrap_or_default());
        if !query.is_empty() {
            out.push('?');
            out.push_str(&query);
        }
        out
    }

    fn query(&self, query: &str) -> String {
        let query = unescape(query);
        let mut parts: Vec<&str> =
            query.split('&').filter(|part| !part.is_empty() && !self.is_tracking(part)).collect();
        parts.sort_unstable();
        parts.join("&")
    }

    fn is_tracking(&self, part: &str) -> bool {
        let key = part.split('=').next().unwrap_or_default().to_ascii_lowercase();
        self.0.tracking.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == *name,
        })
    }
}

fn without_session(path: &str) -> &str {
    path.to_ascii_lowercase().find(";jsessionid=").map_or(path, |at| &path[..at])
}

/// Escapes of unreserved characters (RFC 3986, section 2.3) undone, all others in upper case.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(hex) = code else {
            out.push('%');
            rest = &rest[at + 1..];
            continue;
        };
        let byte = u8::from_str_radix(hex, 16).expect("two hexadecimal digits are a byte");
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex.to_ascii_uppercase());
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::driver;

    fn check(url: &str, expected: &str) {
        assert_eq!(Address(Config::default()).normal(url), expected, "{url}");
    }

    #[test]
    fn addresses() {
        check("HTTP://Example.org:80/a/?utm_source=x&b=2&a=1#top", "//example.org/a?a=1&b=2");
        check("https://example.org/a?a=1&b=2", "//example.org/a?a=1&b=2");
        check("https://example.org", "//example.org");
        check("https://example.org:8080//", "//example.org:8080");
        check("https://example.org/?", "//example.org");
        check("http://example.org/a/../b/./%7Ec%2f?q=%c3%a4", "//example.org/b/~c%2F?q=%C3%A4");
        check("http://example.org/a;JSESSIONID=1?FBCLID=1&&PhpSessId=2", "//example.org/a");
        check("http://example.org/?utm=1&utmost=2", "//example.org?utm=1&utmost=2");
        check("http://bücher.example/ü", "//xn--bcher-kva.example/%C3%BC");
        check("ftp://example.org/a", "ftp://example.org/a");
        check("http://example.org/%", "//example.org/%");
        check("http://example.org/%é", "//example.org/%%C3%A9");
        check(" not a url ", "not a url");
        check("", "");
    }

    #[test]
    fn scheme_and_www() {
        let address = Address(Config { ignore_scheme: false, ignore_www: true, ..Config::default() });
        assert_eq!(address.normal("http://www.example.org/"), "http://example.org");
    }

    #[test]
    fn one_of_each_address_stays() {
        let rows = [("a", "http://x.org/1"), ("b", "http://x.org/2"), ("c", "https://x.org/1/#c")];
        let found = driver::check(&SPEC, &[], column::URL, &rows);
        assert_eq!(found, "a kept, b kept, c duplicate_url 1 of 1 (a)");
    }
}
