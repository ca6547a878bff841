//! The registered domain of a host, by a public suffix list that the user gives.
//!
//! The list is public data under the MPL 2.0, changes every week and ships with most systems
//! (`/usr/share/publicsuffix/public_suffix_list.dat`), so it is read and not carried along. Its second section, the private domains, is left
//! out: `blogspot.com` is the registered domain of every blog below it, as `tldextract` has it by default.

use schemas::hash::FastMap;
use url::Host;

/// What the list says of a name: bits of a rule.
const PLAIN: u8 = 1;
/// Every name below is a suffix: `*.ck`.
const BELOW: u8 = 2;
/// No suffix in spite of the rule above it: `!www.ck`.
const NOT: u8 = 4;

/// The rules of a public suffix list.
#[derive(Debug, Default)]
pub(super) struct Suffixes(FastMap<String, u8>);

impl Suffixes {
    /// Reads a list in the format of publicsuffix.org: a rule a line, comments after `//`.
    pub(super) fn read(text: &str) -> Self {
        let mut rules = FastMap::default();
        for line in text.lines() {
            if line.contains("===BEGIN PRIVATE DOMAINS===") {
                break;
            }
            let rule = line.split_whitespace().next().unwrap_or_default();
            if rule.is_empty() || rule.starts_with("//") {
                continue;
            }
            let (name, bit) = match (rule.strip_prefix("*."), rule.strip_prefix('!')) {
                (Some(name), _) => (name, BELOW),
                (_, Some(name)) => (name, NOT),
                _ => (rule, PLAIN),
            };
            if let Some(name) = ascii(name) {
                *rules.entry(name).or_insert(0) |= bit;
            }
        }
        Self(rules)
    }

    /// Whether no rule was read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn says(&self, name: &str, bit: u8) -> bool {
        self.0.get(name).is_some_and(|bits| bits & bit != 0)
    }

    /// The public suffix and one label before it; `None` for a suffix alone, a name under no suffix, or an IP address.
    pub(super) fn registered<'a>(&self, host: &'a str) -> Option<&'a str> {
        let mut before = None;
        let mut rest = host;
        loop {
            if self.says(rest, NOT) {
                return Some(rest);
            }
            let above = rest.split_once('.').map(|(_, above)| above);
            if self.says(rest, PLAIN) || above.is_some_and(|above| self.says(above, BELOW)) {
                return before;
            }
            before = Some(rest);
            rest = above?;
        }
    }
}

/// The name in lower-case ASCII, international names in Punycode; `None` when it is no name of a host.
pub(super) fn ascii(name: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
    if name.bytes().all(plain) {
        return Some(name.to_owned()).filter(|name| !name.is_empty());
    }
    Host::parse(name).ok().map(|host| host.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_domains() {
        let suffixes = Suffixes::read(
            "// a comment\ncom\nuk\nco.uk // more words\n\n*.ck\n!www.ck\n公司.cn\ncn\n// ===BEGIN PRIVATE DOMAINS===\nblogspot.com\n",
        );
        let check = |host, expected| assert_eq!(suffixes.registered(host), expected, "{host}");
        check("example.com", Some("example.com"));
        check("a.b.example.com", Some("example.com"));
        check("news.bbc.co.uk", Some("bbc.co.uk"));
        check("my.blogspot.com", Some("blogspot.com"));
        check("a.b.c.ck", Some("b.c.ck"));
        check("c.ck", None);
        check("a.www.ck", Some("www.ck"));
        check("a.xn--55qx5d.cn", Some("a.xn--55qx5d.cn"));
        check("com", None);
        check("localhost", None);
        check("10.0.0.1", None);
        check("", None);
    }
}
