//! robots.txt by RFC 9309, read as bytes.
//!
//! Groups of one product token are merged, `*` counts only where no group names us, the longest matching rule wins and
//! `Allow` wins a tie. Lines that are neither a user agent nor a rule neither open nor close a group. Rules are compared
//! in percent-encoded form: bytes above 0x7f are encoded and hexadecimal digits made upper case.
//!
//! What Google's parser accepts beyond the standard is a switch: a missing colon, misspelt keys, keys with something
//! behind them, and `Allow: /folder/index.html` allowing `/folder/` (github.com/google/robotstxt, robots.cc).
//!
//! ```text
//! User-agent: *
//! Disallow: /private
//! Allow: /private/door    → /private/door is allowed, /private/room is not
//! Crawl-delay: 2
//! ```

use super::pattern;
use crate::text::rights::refuses_training;
use std::time::Duration;

/// Bytes that are parsed; the rest is ignored (RFC 9309 asks for at least 500 KiB).
pub(super) const ROBOTS_BYTES_MAX: usize = 512 << 10;
/// Longest line that is read; the rest of it is ignored (Google's limit: eight times the longest URL of 2,083).
const LINE_BYTES_MAX: usize = 2083 * 8;
/// Most `Sitemap` lines that are read.
const SITEMAPS_MAX: usize = 1000;

/// What one robots.txt says to one product token.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Robots {
    rules: Vec<Rule>,
    /// Pause between requests that the group asks for.
    pub(super) crawl_delay: Option<Duration>,
    /// The group asks not to train on its pages: `Content-Signal: ai-train=no` (contentsignals.org) or `Content-Usage: train-ai=n`
    /// (the IETF's aipref drafts; lines for a part of the paths do not count).
    pub(super) no_training: bool,
    /// Addresses of sitemaps, as written.
    pub(super) sitemaps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    pattern: Vec<u8>,
    allow: bool,
}

enum Key {
    Agent,
    Allow,
    Disallow,
    CrawlDelay,
    ContentSignal,
    Sitemap,
    Other,
}

/// Rules of the groups that name us and of those for everyone, until the end shows which count.
#[derive(Default)]
struct Groups {
    own: Robots,
    everyone: Robots,
    named: bool,
    in_own: bool,
    in_everyone: bool,
    /// A rule was seen since the last user agent: the next one opens another group.
    closed: bool,
}

impl Robots {
    /// Nothing may be fetched.
    pub(super) fn deny_all() -> Self {
        Self { rules: vec![Rule { pattern: b"/".to_vec(), allow: false }], ..Self::default() }
    }

    /// Reads what the file says to `token`; `extensions` switches Google's leniency on.
    pub(super) fn parse(bytes: &[u8], token: &str, extensions: bool) -> Self {
        let bytes = &bytes[..bytes.len().min(ROBOTS_BYTES_MAX)];
        let mut groups = Groups::default();
        let mut sitemaps = Vec::new();
        for line in without_bom(bytes).split(|&b| b == b'\n' || b == b'\r') {
            let Some((key, value)) = split(&line[..line.len().min(LINE_BYTES_MAX)], extensions) else {
                continue;
            };
            match key_of(key, extensions) {
                Key::Agent => groups.agent(value, token),
                Key::Allow => groups.rule(value, true, extensions),
                Key::Disallow => groups.rule(value, false, extensions),
                Key::CrawlDelay => groups.delay(value),
                Key::ContentSignal => groups.signal(value),
                Key::Sitemap if sitemaps.len() < SITEMAPS_MAX => {
                    sitemaps.push(String::from_utf8_lossy(value).into_owned());
                }
                Key::Sitemap | Key::Other => {}
            }
        }
        let chosen = if groups.named { groups.own } else { groups.everyone };
        Self { sitemaps, ..chosen }
    }

    /// Whether a path with its query may be fetched.
    pub(super) fn allows(&self, path: &str) -> bool {
        let best = |allow| {
            let rules = self.rules.iter().filter(|r| r.allow == allow);
            rules.filter(|r| pattern::matches(&r.pattern, path.as_bytes())).map(|r| r.pattern.len()).max()
        };
        best(false).is_none_or(|disallow| best(true).is_some_and(|allow| allow >= disallow))
    }
}

impl Groups {
    fn agent(&mut self, value: &[u8], token: &str) {
        if self.closed {
            (self.in_own, self.in_everyone, self.closed) = (false, false, false);
        }
        if value.first() == Some(&b'*') && value.get(1).is_none_or(u8::is_ascii_whitespace) {
            self.in_everyone = true;
            return;
        }
        let is_token = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_');
        let end = value.iter().position(|b| !is_token(b)).unwrap_or(value.len());
        if value[..end].eq_ignore_ascii_case(token.as_bytes()) {
            (self.in_own, self.named) = (true, true);
        }
    }

    fn rule(&mut self, value: &[u8], allow: bool, extensions: bool) {
        self.closed = true;
        if value.is_empty() {
            return;
        }
        let pattern = escape(value);
        let index = pattern.iter().rposition(|&b| b == b'/').filter(|_| allow && extensions);
        let folder = index.filter(|&at| pattern[at..].starts_with(b"/index.htm")).map(|at| {
            let mut folder = pattern[..=at].to_vec();
            folder.push(b'$');
            Rule { pattern: folder, allow }
        });
        for rule in [Some(Rule { pattern, allow }), folder].into_iter().flatten() {
            if self.in_own {
                self.own.rules.push(rule.clone());
            }
            if self.in_everyone {
                self.everyone.rules.push(rule);
            }
        }
    }

    /// Said twice, the refusal counts.
    fn signal(&mut self, value: &[u8]) {
        let refused = refuses_training(&String::from_utf8_lossy(value));
        self.own.no_training |= self.in_own && refused;
        self.everyone.no_training |= self.in_everyone && refused;
    }

    fn delay(&mut self, value: &[u8]) {
        let seconds = std::str::from_utf8(value).ok().and_then(|v| v.parse::<f64>().ok());
        let delay = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
        if self.in_own {
            self.own.crawl_delay = self.own.crawl_delay.max(delay);
        }
        if self.in_everyone {
            self.everyone.crawl_delay = self.everyone.crawl_delay.max(delay);
        }
    }
}

/// Skips the byte-order mark of UTF-8, or as much of it as is there.
pub(super) fn without_bom(mut bytes: &[u8]) -> &[u8] {
    for mark in [0xef, 0xbb, 0xbf] {
        match bytes.strip_prefix(&[mark]) {
            Some(rest) => bytes = rest,
            None => break,
        }
    }
    bytes
}

/// Key and value of a line without its comment; the value may be empty.
fn split(line: &[u8], extensions: bool) -> Option<(&[u8], &[u8])> {
    let line = line.split(|&b| b == b'#').next().unwrap_or_default().trim_ascii();
    let at = match memchr::memchr(b':', line) {
        Some(at) => at,
        None if extensions => {
            // Two words only, or prose would be read as rules.
            let at = line.iter().position(u8::is_ascii_whitespace)?;
            let value = line[at..].trim_ascii();
            value.iter().all(|b| !b.is_ascii_whitespace()).then_some(at)?
        }
        None => return None,
    };
    let (key, value) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii());
    (!key.is_empty()).then_some((key, value))
}

fn key_of(key: &[u8], extensions: bool) -> Key {
    const AGENT: &[&str] = &["user-agent", "useragent", "user agent"];
    const DISALLOW: &[&str] = &["disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"];
    const SITEMAP: &[&str] = &["sitemap", "site-map"];
    let is = |names: &[&str]| {
        let names = if extensions { names } else { &names[..1] };
        names.iter().any(|name| {
            let head = if extensions { &key[..key.len().min(name.len())] } else { key };
            head.eq_ignore_ascii_case(name.as_bytes())
        })
    };
    match () {
        () if is(AGENT) => Key::Agent,
        () if is(&["allow"]) => Key::Allow,
        () if is(DISALLOW) => Key::Disallow,
        () if is(SITEMAP) => Key::Sitemap,
        () if is(&["crawl-delay"]) => Key::CrawlDelay,
        () if is(&["content-signal"]) || is(&["content-usage"]) => Key::ContentSignal,
        () => Key::Other,
    }
}

/// Percent-encodes bytes above 0x7f and makes hexadecimal digits of escapes upper case.
pub(super) fn escape(value: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(value.len());
    for (at, &byte) in value.iter().enumerate() {
        let digit = |n: usize| at >= n && value[at - n] == b'%' && byte.is_ascii_hexdigit();
        if byte >= 0x80 {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else if digit(1) || (digit(2) && value[at - 1].is_ascii_hexdigit()) {
            out.push(byte.to_ascii_uppercase());
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path, parameters and query of an address as the conformance cases mean them: bytes as written.
    fn path_of(url: &str) -> String {
        let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
        let rest = rest.split('#').next().unwrap_or_default();
        match rest.find(['/', '?', ';']) {
            Some(at) if rest[at..].starts_with('/') => rest[at..].to_owned(),
            Some(at) => format!("/{}", &rest[at..]),
            None => "/".to_owned(),
        }
    }

    fn base64(text: &str) -> Vec<u8> {
        let value = |c: u8| match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        let digits: Vec<u8> = text.bytes().filter(|&c| c != b'=').map(value).collect();
        let number = |chunk: &[u8]| chunk.iter().fold(0_u32, |n, &d| n << 6 | u32::from(d));
        let mut out = Vec::new();
        for chunk in digits.chunks(4) {
            let bits = number(chunk) << (6 * (4 - chunk.len()));
            out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
        }
        out
    }

    #[test]
    fn conformance_cases() {
        let path = "../../shared/data/conformance/robots_cases.jsonl";
        let Ok(cases) = std::fs::read_to_string(path) else {
            eprintln!("SKIPPED: {path} is not here");
            return;
        };
        let mut failed = Vec::new();
        for line in cases.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
            let robots = match case["robots_b64"].as_str() {
                Some(encoded) => base64(encoded),
                None => text("robots").into_bytes(),
            };
            let is_extension = case["google_extension"].as_bool() == Some(true);
            for extensions in [true, false] {
                if is_extension && !extensions {
                    continue;
                }
                let robots = Robots::parse(&robots, &text("agent"), extensions);
                if Some(robots.allows(&path_of(&text("url")))) != case["allowed"].as_bool() {
                    failed.push(format!("{} (extensions {extensions})", text("id")));
                }
            }
        }
        assert!(failed.is_empty(), "{} of {}: {failed:?}", failed.len(), cases.lines().count());
    }

    fn check(robots: &str, extensions: bool, path: &str, expected: bool) {
        let parsed = Robots::parse(robots.as_bytes(), "mill", extensions);
        assert_eq!(parsed.allows(path), expected, "{path} under {robots:?}, extensions {extensions}");
    }

    #[test]
    fn extensions_are_a_switch() {
        check("user-agent: mill\ndissallow: /a", true, "/a", false);
        check("user-agent: mill\ndissallow: /a", false, "/a", true);
        check("user-agent mill\ndisallow /a", true, "/a", false);
        check("user-agent mill\ndisallow /a", false, "/a", true);
        check("user-agent: *\ndisallow: /\nallow: /d/index.html", true, "/d/", true);
        check("user-agent: *\ndisallow: /\nallow: /d/index.html", false, "/d/", false);
    }

    #[test]
    fn delays_and_sitemaps() {
        let text = "Sitemap: http://a/s.xml\nUser-agent: *\nCrawl-delay: 1.5\nDisallow:\n\nUser-agent: Mill\n\
                    Crawl-delay: 3\nDisallow: /x\n";
        let ours = Robots::parse(text.as_bytes(), "mill", false);
        assert_eq!(ours.crawl_delay, Some(Duration::from_secs(3)));
        assert_eq!(ours.sitemaps, ["http://a/s.xml"]);
        let other = Robots::parse(text.as_bytes(), "other", false);
        assert_eq!(other.crawl_delay, Some(Duration::from_millis(1500)));
        assert!(other.allows("/x"));
        assert_eq!(Robots::parse(b"User-agent: *\nCrawl-delay: -1", "mill", false).crawl_delay, None);
    }

    #[test]
    fn content_signals_are_those_of_our_group() {
        let check = |robots: &str, expected: bool| {
            let parsed = Robots::parse(robots.as_bytes(), "mill", false);
            assert_eq!(parsed.no_training, expected, "{robots:?}");
            assert!(parsed.allows("/"), "{robots:?}");
        };
        check("User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /", true);
        check("User-agent: *\nContent-Signal: ai-train=yes\n", false);
        check("User-agent: *\nContent-Usage: train-ai=n\nAllow: /", true);
        check("User-agent: *\nContent-Usage: /art/ train-ai=n\nAllow: /", false);
        check("User-agent: *\ncontent-signal:AI-Train = NO", true);
        check("User-agent: *\nContent-Signal: search=no, ai-input=no", false);
        check("User-agent: other\nContent-Signal: ai-train=no", false);
        check("User-agent: *\nContent-Signal: ai-train=no\n\nUser-agent: mill\nAllow: /", false);
        check("User-agent: *\nContent-Signal: ai-train=no\nContent-Signal: ai-train=yes", true);
        check("Content-Signal: ai-train=no\nUser-agent: *\nAllow: /", false);
    }

    #[test]
    fn the_longest_rule_wins_whatever_it_is_written_with() {
        let robots = "\u{feff}User-agent: *\r\nDisallow: /a/*.html$\r\nAllow: /a/\r\nDisallow: /b*c\r\nAllow: /b\r\n\
                      Disallow: /same\r\nAllow: /same\r\nDisallow: /%7euml%c3%a4\r\nDisallow: /ü # end";
        for (path, expected) in [
            ("/a/x.html", false),
            ("/a/x.html?q", true),
            ("/a/x.htm", true),
            ("/bxxc", false),
            ("/bxx", true),
            ("/same", true),
            ("/%7Euml%C3%A4", false),
            ("/%C3%BC", false),
            ("/", true),
        ] {
            check(robots, false, path, expected);
        }
    }

    #[test]
    fn anything_is_read_without_panic() {
        for bytes in [&b""[..], b"\xef", b":", b"user-agent:\n", b"\0\0\0", b"allow: %\n", b"#\r\r\n: x"] {
            assert!(Robots::parse(bytes, "mill", true).allows("/"));
        }
    }
}
