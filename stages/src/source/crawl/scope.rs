//! Which addresses a crawl may fetch, judged before anything is sent; also the guard against endless link spaces.
//!
//! An entry of `hosts` is a name (`example.com`: on the default ports of http and https), a name with its port
//! (`127.0.0.1:8080`), or a name with its sub-domains (`*.example.com`). `prefixes` narrows by the start of the address.
//! `include` and `exclude` are patterns as in robots.txt (a prefix, `*` any run, `$` the end); one that begins with `/`
//! looks at path and query, any other at the whole address.

use super::refusal::Refusal;
use super::{Config, address, pattern};
use schemas::KeyError;
use url::Url;

#[derive(Debug)]
pub(super) struct Scope {
    hosts: Vec<HostRule>,
    prefixes: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    extensions: Vec<String>,
    url_bytes_max: usize,
    query_bytes_max: usize,
    segments_max: usize,
    repeats_max: usize,
    depth_max: u64,
}

#[derive(Debug, PartialEq)]
struct HostRule {
    name: String,
    port: Option<u16>,
    below: bool,
}

impl HostRule {
    fn parse(text: &str) -> Option<Self> {
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // The parser of addresses knows about IPv6, ports and international names.
        let url = Url::parse(&format!("http://{rest}/")).ok()?;
        let plain = url.path() == "/" && url.query().is_none() && url.username().is_empty();
        let name = url.host_str().filter(|_| plain)?.to_owned();
        Some(Self { name, port: url.port(), below })
    }

    fn of(url: &Url) -> Self {
        Self { name: url.host_str().unwrap_or_default().to_owned(), port: url.port(), below: false }
    }

    fn allows(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let below = || host.strip_suffix(&self.name).is_some_and(|sub| sub.ends_with('.'));
        self.port == url.port() && (host == self.name || (self.below && below()))
    }
}

impl Scope {
    /// Reads the scope of the settings; without `hosts` and `prefixes` it is the hosts of the seeds.
    ///
    /// # Errors
    /// Every entry that is not what its key asks for.
    pub(super) fn new(config: &Config, seeds: &[Url]) -> Result<Self, Vec<KeyError>> {
        let mut errors = Vec::new();
        let mut hosts = Vec::new();
        for text in &config.hosts {
            match HostRule::parse(text) {
                Some(rule) => hosts.push(rule),
                None => {
                    errors.push(mistake("hosts", text, "a host, as in \"example.com\" or \"*.example.com\""))
                }
            }
        }
        let mut prefixes = Vec::new();
        for text in &config.prefixes {
            match Url::parse(text).ok().and_then(address::canonical) {
                Some(url) => prefixes.push(String::from(url)),
                None => errors.push(mistake("prefixes", text, "the start of a web address")),
            }
        }
        if hosts.is_empty() && prefixes.is_empty() {
            hosts = seeds.iter().map(HostRule::of).collect();
        }
        for (key, patterns) in [("include", &config.include), ("exclude", &config.exclude)] {
            errors.extend(patterns.iter().filter(|p| p.is_empty()).map(|p| mistake(key, p, "a pattern")));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            hosts,
            prefixes,
            include: config.include.clone(),
            exclude: config.exclude.clone(),
            extensions: config.extensions_skipped.iter().map(|e| e.to_ascii_lowercase()).collect(),
            url_bytes_max: config.url_bytes_max as usize,
            query_bytes_max: config.query_bytes_max as usize,
            segments_max: config.path_segments_max as usize,
            repeats_max: config.segment_repeats_max as usize,
            depth_max: config.depth_max,
        })
    }

    /// Whether the host of the address is one that may be asked at all.
    pub(super) fn allows_host(&self, url: &Url) -> bool {
        let by_host = self.hosts.is_empty() || self.hosts.iter().any(|rule| rule.allows(url));
        let origin = address::origin(url);
        let same = |prefix: &String| Url::parse(prefix).is_ok_and(|p| address::origin(&p) == origin);
        by_host && (self.prefixes.is_empty() || self.prefixes.iter().any(same))
    }

    /// Judges an address `depth` links away from a seed.
    ///
    /// # Errors
    /// Why it may not be fetched.
    pub(super) fn judge(&self, url: &Url, depth: u64) -> Result<(), Refusal> {
        let text = url.as_str();
        let by_host = self.hosts.is_empty() || self.hosts.iter().any(|rule| rule.allows(url));
        let by_prefix =
            self.prefixes.is_empty() || self.prefixes.iter().any(|p| text.starts_with(p.as_str()));
        if !(by_host && by_prefix) {
            return Err(Refusal::OutOfScope);
        }
        if text.len() > self.url_bytes_max || url.query().is_some_and(|q| q.len() > self.query_bytes_max) {
            return Err(Refusal::UrlTooLong);
        }
        if depth > self.depth_max {
            return Err(Refusal::TooDeep);
        }
        let excluded = self.exclude.iter().any(|p| matches(p, url));
        if excluded || !(self.include.is_empty() || self.include.iter().any(|p| matches(p, url))) {
            return Err(Refusal::Excluded);
        }
        if self.is_trap(url) {
            return Err(Refusal::PathTrap);
        }
        let name = url.path().rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if self.extensions.iter().any(|skipped| skipped == extension) {
            return Err(Refusal::Extension);
        }
        Ok(())
    }

    fn is_trap(&self, url: &Url) -> bool {
        let segments: Vec<&str> = url.path().split('/').filter(|s| !s.is_empty()).collect();
        let repeated =
            |segment: &&str| segments.iter().filter(|other| *other == segment).count() > self.repeats_max;
        segments.len() > self.segments_max || segments.iter().any(repeated)
    }
}

fn matches(pattern: &str, url: &Url) -> bool {
    let text = if pattern.starts_with('/') { address::path_and_query(url) } else { url.as_str() };
    pattern::matches(pattern.as_bytes(), text.as_bytes())
}

fn mistake(key: &str, found: &str, expected: &str) -> KeyError {
    KeyError { key: key.to_owned(), message: format!("expected {expected}, found {found:?}"), help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Config, url: &str, expected: Result<(), Refusal>) {
        let seeds = [Url::parse("http://a.org/").unwrap(), Url::parse("http://127.0.0.1:99/").unwrap()];
        let scope = Scope::new(config, &seeds).unwrap();
        assert_eq!(scope.judge(&Url::parse(url).unwrap(), 1), expected, "{url}");
    }

    #[test]
    fn the_hosts_of_the_seeds_by_default() {
        let config = Config::default();
        check(&config, "https://a.org/x", Ok(()));
        check(&config, "http://127.0.0.1:99/x", Ok(()));
        check(&config, "http://127.0.0.1:98/x", Err(Refusal::OutOfScope));
        check(&config, "http://www.a.org/", Err(Refusal::OutOfScope));
        check(&config, "http://a.org.evil.com/", Err(Refusal::OutOfScope));
        check(&config, "http://a.org/x.PNG", Err(Refusal::Extension));
        check(&config, "http://a.org/x.png/", Ok(()));
        check(&config, "http://a.org/d/d/d/d/", Err(Refusal::PathTrap));
        check(&config, &format!("http://a.org/{}", "x/y/".repeat(11)), Err(Refusal::PathTrap));
        check(&config, &format!("http://a.org/?{}", "q".repeat(2000)), Err(Refusal::UrlTooLong));
    }

    #[test]
    fn hosts_prefixes_and_patterns() {
        let list = |items: &[&str]| items.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        let config = Config { hosts: list(&["*.b.org"]), ..Config::default() };
        check(&config, "http://b.org/", Ok(()));
        check(&config, "http://x.b.org/", Ok(()));
        check(&config, "http://xb.org/", Err(Refusal::OutOfScope));
        let config = Config {
            prefixes: list(&["http://a.org/std/"]),
            exclude: list(&["/*/src/", "*print=1$"]),
            ..Config::default()
        };
        check(&config, "http://a.org/std/x", Ok(()));
        check(&config, "http://a.org/core/x", Err(Refusal::OutOfScope));
        check(&config, "http://a.org/std/src/x", Err(Refusal::Excluded));
        check(&config, "http://a.org/std/x?print=1", Err(Refusal::Excluded));
        let bad = Config { hosts: list(&["http://a/"]), prefixes: list(&["a"]), ..Config::default() };
        assert_eq!(Scope::new(&bad, &[]).unwrap_err().len(), 2);
    }
}
