//! Drops documents by their address: listed domains and addresses, and words that stand for pornography, gambling or spam.
//!
//! The rules are asked in the order of the table; the first that fails is the reason.
//!
//! | reason | drops when |
//! |---|---|
//! | `domain` | `domains` lists the registered domain (with `suffixes`), or the host or a domain above it (without) |
//! | `subdomain` | `domains` lists the host, which is more than a registered domain |
//! | `url` | `urls` lists the address |
//! | `hard_blacklisted` | a word of the address is one of the hard words |
//! | `soft_blacklisted` | `soft_words_min` different words of the address are soft words |
//! | `blacklisted_subword` | one of the sub-words stands inside the address |
//!
//! `domains`, `urls`, `words`, `soft_words` and `subwords` are files with an entry a line; lines that start with `#` are comments, blank
//! lines are nothing. With `lists` the words of Gristmill count besides: short lists, each word chosen because it hardly occurs in an address
//! of another kind; none names a group of people. Without `suffixes`, a public suffix list (most systems carry one, as
//! `/usr/share/publicsuffix/public_suffix_list.dat`), an entry of `domains` blocks its host and all hosts below it.
//!
//! | `dialect` | words are | sub-words are sought in | `urls` |
//! |---|---|---|---|
//! | `gristmill` | runs of letters and digits of any script in the address, lower-cased, %-escapes undone | the address, so never across a `-` or `/` | compared as parsed, without the fragment |
//! | `datatrove-0.10` | runs of ASCII letters and digits **as they are written**, held against lower-cased entries | the address without all else, lower-cased | compared as written |
//!
//! The dialect of datatrove misses `/PORN/` and finds `sexcam` in `/essex-cams`, since it joins the words before it looks; its
//! domains need `suffixes`. Documents without an address pass, or go as `no_url`, by `without_url`; their signals are null.
//!
//! ```text
//! "https://example.com/free-porn/1"    → drop hard_blacklisted (1, limit 0)
//! "https://example.com/essex/casino"   → keep: one soft word
//! ```

mod suffix;

use aho_corasick::AhoCorasick;
use arrow::array::{Array, ArrayRef, Float64Builder, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::hash::FastSet;
use schemas::{
    Build, Config as _, FilePath, KeyError, Made, Outcome, Reason, Settings, Spec, Stage, StageError,
    Verdict, choice, column, config,
};
use std::borrow::Cow;
use std::sync::Arc;
use suffix::{Suffixes, ascii};
use url::Url;

const HARD: &str = include_str!("../../assets/url/hard.txt");
const SOFT: &str = include_str!("../../assets/url/soft.txt");
const SUBWORDS: &str = include_str!("../../assets/url/subwords.txt");

choice! {
    /// Whose rules hold.
    pub enum Dialect {
        /// Lower-cased, %-escapes undone, nothing found across two words.
        Ours = "gristmill",
        /// Bit by bit as datatrove 0.10.1.
        Datatrove = "datatrove-0.10",
    }
}

choice! {
    /// What becomes of a document without an address.
    pub enum WithoutUrl {
        /// It stays.
        Keep = "keep",
        /// It goes as `no_url`.
        Drop = "drop",
    }
}

config! {
    /// Settings of `filter.url`.
    pub struct Config {
        /// Whose rules hold: `gristmill` or `datatrove-0.10`.
        dialect: Dialect = Dialect::Ours;
        /// Whether the words of Gristmill count beside those of the files.
        lists: bool = true;
        /// File of domains and hosts to drop.
        domains: FilePath = FilePath::default();
        /// File of addresses to drop.
        urls: FilePath = FilePath::default();
        /// File of words of which one is enough.
        words: FilePath = FilePath::default();
        /// File of words that count together.
        soft_words: FilePath = FilePath::default();
        /// Different soft words that are enough; 0 switches the rule off.
        soft_words_min: u64 = 2, in 0..=1000;
        /// File of letters that are enough inside a word.
        subwords: FilePath = FilePath::default();
        /// A public suffix list, to tell a registered domain from the hosts below it.
        suffixes: FilePath = FilePath::default();
        /// What becomes of a document without an address: `keep` or `drop`.
        without_url: WithoutUrl = WithoutUrl::Keep;
    }
}

/// Why `filter.url` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// No address.
    NoUrl,
    /// The domain is listed.
    Domain,
    /// The host is listed.
    Subdomain,
    /// The address is listed.
    Url,
    /// A hard word.
    Hard,
    /// Too many soft words.
    Soft,
    /// A sub-word.
    Subword,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::NoUrl => "no_url",
            Self::Domain => "domain",
            Self::Subdomain => "subdomain",
            Self::Url => "url",
            Self::Hard => "hard_blacklisted",
            Self::Soft => "soft_blacklisted",
            Self::Subword => "blacklisted_subword",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::NoUrl.name(), doc: "No address, and `without_url = \"drop\"`." },
    Reason { name: Drop::Domain.name(), doc: "`domains` lists the domain of the address." },
    Reason {
        name: Drop::Subdomain.name(),
        doc: "`domains` lists the host of the address, below its domain.",
    },
    Reason { name: Drop::Url.name(), doc: "`urls` lists the address." },
    Reason { name: Drop::Hard.name(), doc: "A word of the address is a hard word." },
    Reason { name: Drop::Soft.name(), doc: "At least `soft_words_min` words of the address are soft words." },
    Reason { name: Drop::Subword.name(), doc: "A sub-word stands inside the address." },
];

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(UrlFilter::new(settings)?)));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.url",
    version: 1,
    summary: "Drops documents by their address: listed domains and addresses, and words that stand for pornography, gambling or spam.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// Names of what is measured: 1 or 0 for listed, else how many different entries were found.
const SIGNALS: [&str; 6] = ["domain", "subdomain", "url", "hard_words", "soft_words", "subwords"];
const DROPS: [Drop; 6] = [Drop::Domain, Drop::Subdomain, Drop::Url, Drop::Hard, Drop::Soft, Drop::Subword];

struct UrlFilter {
    config: Config,
    domains: FastSet<String>,
    urls: FastSet<String>,
    words: FastSet<String>,
    soft_words: FastSet<String>,
    subwords: Option<AhoCorasick>,
    suffixes: Suffixes,
}

/// The entries of a list: no comments, no blank lines.
fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty())
}

/// The lists as the settings and their files give them.
struct Lists<'a> {
    settings: &'a Settings,
    shipped: bool,
    errors: Vec<KeyError>,
}

impl Lists<'_> {
    fn file(&mut self, key: &str, path: &FilePath) -> String {
        if path.is_empty() {
            return String::new();
        }
        let path = self.settings.resolve(path);
        std::fs::read_to_string(&path).unwrap_or_else(|e| {
            self.errors.push(KeyError {
                key: key.into(),
                message: format!("{}: {e}", path.display()),
                help: None,
            });
            String::new()
        })
    }

    /// Words, made as the dialect makes those of an address. One that is nothing but marks is no word: it would match every address.
    fn words(&mut self, key: &str, path: &FilePath, ours: &str, dialect: Dialect) -> FastSet<String> {
        let file = self.file(key, path);
        let shipped = if self.shipped { ours } else { "" };
        let words = entries(&file).chain(entries(shipped)).map(|entry| dialect.squeeze(entry));
        words.filter(|word| !word.is_empty()).collect()
    }
}

impl Dialect {
    fn is_solid(self, c: char) -> bool {
        match self {
            Self::Ours => c.is_alphanumeric(),
            Self::Datatrove => c.is_ascii_alphanumeric(),
        }
    }

    /// The letters and digits, lower-cased.
    fn squeeze(self, text: &str) -> String {
        text.chars().filter(|c| self.is_solid(*c)).collect::<String>().to_lowercase()
    }
}

impl UrlFilter {
    fn new(settings: &Settings) -> Result<Self, Vec<KeyError>> {
        let config: Config = settings.parse()?;
        let dialect = config.dialect;
        let mut lists = Lists { settings, shipped: config.lists, errors: Vec::new() };
        let domains = lists.file("domains", &config.domains);
        let urls = lists.file("urls", &config.urls);
        let words = lists.words("words", &config.words, HARD, dialect);
        let soft_words = lists.words("soft_words", &config.soft_words, SOFT, dialect);
        let mut subwords: Vec<String> =
            lists.words("subwords", &config.subwords, SUBWORDS, dialect).into_iter().collect();
        subwords.sort_unstable();
        let suffixes = Suffixes::read(&lists.file("suffixes", &config.suffixes));
        if dialect == Dialect::Datatrove && !config.domains.is_empty() && suffixes.is_empty() {
            lists.errors.push(KeyError {
                key: "suffixes".into(),
                message: "`datatrove-0.10` tells registered domains by a public suffix list".into(),
                help: Some("name one, such as /usr/share/publicsuffix/public_suffix_list.dat".into()),
            });
        }
        let automaton = AhoCorasick::new(&subwords).map_err(|e| KeyError {
            key: "subwords".into(),
            message: e.to_string(),
            help: None,
        });
        let subwords =
            automaton.map_err(|error| lists.errors.push(error)).ok().filter(|_| !subwords.is_empty());
        if !lists.errors.is_empty() {
            return Err(lists.errors);
        }
        let address = |url: &str| if dialect == Dialect::Ours { canonical(url) } else { url.to_owned() };
        Ok(Self {
            domains: entries(&domains).filter_map(ascii).collect(),
            urls: entries(&urls).map(address).collect(),
            config,
            words,
            soft_words,
            subwords,
            suffixes,
        })
    }

    fn measure(&self, url: &str) -> [f64; SIGNALS.len()] {
        let [domain, subdomain] = self.listed_host(url);
        let listed = !self.urls.is_empty()
            && match self.config.dialect {
                Dialect::Ours => self.urls.contains(&canonical(url)),
                Dialect::Datatrove => self.urls.contains(url),
            };
        let text = self.text(url);
        let mut words: Vec<&str> = text.split(|c| !self.config.dialect.is_solid(c)).collect();
        words.sort_unstable();
        words.dedup();
        let count = |list: &FastSet<String>| words.iter().filter(|word| list.contains(**word)).count() as f64;
        let inside = self.subwords.as_ref().is_some_and(|automaton| match self.config.dialect {
            Dialect::Ours => automaton.is_match(text.as_bytes()),
            Dialect::Datatrove => automaton.is_match(Dialect::Datatrove.squeeze(url).as_bytes()),
        });
        let flag = |is: bool| f64::from(u8::from(is));
        [
            flag(domain),
            flag(subdomain),
            flag(listed),
            count(&self.words),
            count(&self.soft_words),
            flag(inside),
        ]
    }

    /// The address as its words are read.
    fn text<'a>(&self, url: &'a str) -> Cow<'a, str> {
        if self.config.dialect == Dialect::Datatrove {
            return Cow::Borrowed(url);
        }
        let plain = unescape(url);
        if plain.is_ascii() && !plain.bytes().any(|b| b.is_ascii_uppercase()) {
            plain
        } else {
            Cow::Owned(plain.to_lowercase())
        }
    }

    /// Whether the domain, and whether the host below it, is listed.
    fn listed_host(&self, url: &str) -> [bool; 2] {
        if self.domains.is_empty() {
            return [false; 2];
        }
        let Some(host) = host(url) else { return [false; 2] };
        let lists = |name: &str| self.domains.contains(name);
        if self.suffixes.is_empty() {
            let mut names = std::iter::successors(Some(host.as_str()), |n| Some(n.split_once('.')?.1));
            return [names.any(lists), false];
        }
        match self.suffixes.registered(&host) {
            Some(registered) => [lists(registered), registered != host && lists(&host)],
            // A host under no suffix, such as an IP address, has no domain; datatrove does not look at it.
            None => [self.config.dialect == Dialect::Ours && lists(&host), false],
        }
    }

    fn judge(&self, url: Option<&str>) -> (Verdict, [Option<f64>; SIGNALS.len()]) {
        let dropped =
            |drop: Drop, value, limit| Verdict::Dropped { reason: drop.name(), value, limit, twin: None };
        let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else {
            let verdict = match self.config.without_url {
                WithoutUrl::Keep => Verdict::Kept,
                WithoutUrl::Drop => dropped(Drop::NoUrl, 0.0, 1.0),
            };
            return (verdict, [None; SIGNALS.len()]);
        };
        let found = self.measure(url);
        let soft_min = self.config.soft_words_min as f64;
        let broken = DROPS.into_iter().zip(found).find(|(drop, value)| match drop {
            Drop::Soft => soft_min > 0.0 && *value >= soft_min,
            _ => *value > 0.0,
        });
        let verdict = broken.map_or(Verdict::Kept, |(drop, value)| {
            dropped(drop, value, if drop == Drop::Soft { soft_min } else { 0.0 })
        });
        (verdict, found.map(Some))
    }
}

/// The host of an address, which may come without its scheme; without a dot at its end.
fn host(url: &str) -> Option<String> {
    let parsed =
        Url::parse(url).ok().filter(Url::has_host).or_else(|| Url::parse(&format!("http://{url}")).ok())?;
    parsed.host_str().map(|host| host.trim_end_matches('.').to_owned())
}

/// The address as it is compared: parsed, without its fragment.
fn canonical(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    parsed.set_fragment(None);
    parsed.into()
}

/// %-escapes undone, where that gives text.
fn unescape(url: &str) -> Cow<'_, str> {
    if !url.contains('%') {
        return Cow::Borrowed(url);
    }
    let mut bytes = Vec::with_capacity(url.len());
    let mut rest = url.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = if *first == b'%' { tail.first_chunk::<2>() } else { None };
        let escaped = escaped.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(url), Cow::Owned)
}

impl Stage for UrlFilter {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::URL, &DataType::Utf8)?;
        Ok(input.clone())
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let urls = column::utf8(batch, column::URL)?;
        let mut verdicts = Vec::with_capacity(urls.len());
        let mut signals = SIGNALS.map(|_| Float64Builder::with_capacity(urls.len()));
        for url in urls {
            let (verdict, values) = self.judge(url);
            verdicts.push(verdict);
            signals.iter_mut().zip(values).for_each(|(signal, value)| signal.append_option(value));
        }
        let signals =
            SIGNALS.into_iter().zip(signals).map(|(name, mut s)| (name, Arc::new(s.finish()) as ArrayRef));
        Ok(Outcome { verdicts, columns: Vec::new(), signals: signals.collect() })
    }
}

#[cfg(test)]
mod tests;
