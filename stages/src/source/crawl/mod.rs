//! Crawls web sites into an archive and gives the pages of the archive.
//!
//! `prepare` fetches into the folder of the source, in a sub-folder named by a hash of the settings that decide what is
//! fetched: `crawl-00000.warc.gz` … (WARC 1.1), `frontier.log` (what is known, done and refused; see `journal`),
//! and, when nothing is left to do, `index.cdxj`, `refused.jsonl` and the marker `complete`. A killed crawl goes on with
//! what it had: pages in the archive are not fetched again. Pace settings (delays, time-outs, concurrency) can be changed
//! between two runs of one crawl. Reading gives one row per archived response, in the order of the archive.
//!
//! Rules kept: robots.txt by RFC 9309 (4xx allows; 5xx, 429, time-out and network errors disallow), one connection and a
//! pause per host, a limit and a pause for all hosts on one address, `Crawl-delay`, `Retry-After`, robots meta and
//! headers, no private address unless allowed, TLS checked, no proxy from the environment, no cookies.
//!
//! Pages whose authors opt out say so in the column `opt_out`: those of machine learning are dropped unless
//! `respect_opt_out` is off, `noindex` unless `respect_noindex` is. The words are, in this order: `noindex`, `noai` and
//! `noimageai` (`X-Robots-Tag`, `meta` robots), `tdm-reservation` (header, `meta` and `/.well-known/tdmrep.json`, TDMRep of the W3C),
//! `content-signal` (`Content-Signal: ai-train=no` as header, `meta` or in the group of robots.txt that is ours; also
//! `Content-Usage: train-ai=n`) and `ai-txt` (`/ai.txt`). What files of the site said is kept in the archive as `Gristmill-Opt-Out`.
//! `filter.rights` reads the column and the licence.
//!
//! ```text
//! seeds = ["https://example.com/docs/"]
//! prefixes = ["https://example.com/docs/"]
//! user_agent = "mill/1.0 (+https://example.org/bot)"
//! pages_max = 1000
//! ```

pub use archive::{Refused, refusal};

mod address;
mod archive;
mod date;
mod decode;
mod fetch;
mod frontier;
mod guard;
mod journal;
mod learn;
mod links;
mod opt_out;
mod pattern;
mod politeness;
mod read;
mod refusal;
mod robots;
mod run;
mod scope;
mod server;
mod settings;
mod sitemap;
mod visit;

#[cfg(test)]
mod tests;

use arrow::datatypes::SchemaRef;
use schemas::{Build, Context, Intakes, Made, Reason, Source, SourceError, Spec, Split, config};
use settings::Settings;
use std::path::Path;
use std::sync::Arc;

config! {
    /// Settings of `source.crawl`.
    pub struct Config {
        /// Addresses to begin with. Required.
        seeds: Vec<String> = Vec::new();
        /// Who asks, as servers see it: `name/version (+contact)`, the contact being a web or e-mail address. Its first word is the product token that robots.txt is searched for. Required.
        user_agent: String = String::new();
        /// Hosts that may be asked: `example.com`, `*.example.com`, `127.0.0.1:8080`. Empty: those of the seeds, unless `prefixes` is set.
        hosts: Vec<String> = Vec::new();
        /// Starts of addresses that may be fetched. Empty: any.
        prefixes: Vec<String> = Vec::new();
        /// Patterns as in robots.txt (prefix, `*`, `$`), on path and query when they begin with `/`, else on the whole address: only what matches one is fetched. Empty: all.
        include: Vec<String> = Vec::new();
        /// Patterns as in `include`: what matches one is not fetched.
        exclude: Vec<String> = Vec::new();
        /// Endings of file names that are no pages and are not fetched.
        extensions_skipped: Vec<String> = settings::extensions();
        /// Most pages: responses with status 200 that are HTML.
        pages_max: u64 = 10_000, in 1..=1_000_000_000;
        /// Most pages of one host.
        pages_per_host_max: u64 = 1_000_000_000, in 1..=1_000_000_000;
        /// Most links between a seed and a page.
        depth_max: u64 = 20, in 0..=1000;
        /// Most addresses known, fetched or not: bounds memory (about 200 bytes each).
        frontier_max: u64 = 1_000_000, in 1..=100_000_000;
        /// Seconds after which the crawl ends with what it has.
        duration_s_max: u64 = 604_800, in 1..=100_000_000;
        /// Longest address.
        url_bytes_max: u64 = 2048, in 16..=65_536;
        /// Longest query of an address.
        query_bytes_max: u64 = 512, in 0..=65_536;
        /// Most segments of a path.
        path_segments_max: u64 = 20, in 1..=1000;
        /// Most times that one segment is in a path.
        segment_repeats_max: u64 = 3, in 1..=1000;
        /// Most redirects in a row. Each is held against scope, robots.txt and addresses like any link.
        redirects_max: u64 = 10, in 0..=50;
        /// Bodies of other media types than HTML are cut after 16 KiB.
        html_only: bool = true;
        /// Longest body as it comes over the wire; longer ones are cut and their rows dropped.
        body_bytes_max: u64 = 8 << 20, in 1024..=1 << 30;
        /// Longest body after decompression.
        decoded_bytes_max: u64 = 64 << 20, in 1024..=1 << 30;
        /// Most bytes after decompression for one before.
        decoded_ratio_max: u64 = 100, in 1..=10_000;
        /// Longest response header block.
        header_bytes_max: u64 = 64 << 10, in 1024..=384 << 10;
        /// Milliseconds for one request, from its start to the last byte.
        timeout_ms: u64 = 60_000, in 10..=3_600_000;
        /// Milliseconds for a connection.
        connect_timeout_ms: u64 = 10_000, in 10..=600_000;
        /// Most requests at once.
        concurrency: u64 = 64, in 1..=4096;
        /// Most connections to one host while no pause is due: a host with a pause has one.
        host_connections: u64 = 1, in 1..=256;
        /// Most requests at once to all hosts on one network address; `host_connections` where that is more.
        ip_connections: u64 = 4, in 1..=4096;
        /// Least milliseconds between the starts of two requests to one network address, whichever hosts they ask. Not where `delay_ms` is 0.
        ip_delay_ms: u64 = 250, in 0..=600_000;
        /// Least pause between the end of a request and the next to the same host. 0 also switches `latency_factor` off: only for your own servers.
        delay_ms: u64 = 1000, in 0..=600_000;
        /// The pause is at least this many times as long as the host takes to answer.
        latency_factor: f64 = 1.0, in 0.0..=1000.0;
        /// Longest pause that `Crawl-delay` can ask for.
        crawl_delay_s_max: u64 = 60, in 0..=3600;
        /// Longest wait that `Retry-After` can ask for; a host that asks for more is given up.
        pause_s_max: u64 = 600, in 0..=86_400;
        /// How often a request is repeated after a time-out, a broken connection, 429, 502, 503 or 504.
        retries_max: u64 = 3, in 0..=20;
        /// First wait before a repetition; doubled each time, up to a minute.
        retry_ms: u64 = 1000, in 1..=60_000;
        /// Failures in a row after which a host is given up.
        host_failures_max: u64 = 20, in 1..=10_000;
        /// Read robots.txt as leniently as Google does: missing colons, misspelt keys, index.html as its folder.
        robots_extensions: bool = true;
        /// A robots.txt with status 401 or 403 disallows all, which RFC 9309 does not ask for.
        robots_strict: bool = false;
        /// Read the sitemaps that robots.txt names, or /sitemap.xml.
        sitemaps: bool = true;
        /// Most addresses taken from sitemaps of one host.
        sitemap_urls_max: u64 = 50_000, in 0..=100_000_000;
        /// Ask each host for `/.well-known/tdmrep.json` and `/ai.txt`, in which a site opts out of machine learning: two requests more, at the pace of the host.
        opt_out_files: bool = true;
        /// Do not follow links marked `nofollow`, nor any of a page marked so.
        respect_nofollow: bool = true;
        /// Drop pages marked `noindex`.
        respect_noindex: bool = true;
        /// Drop pages whose authors opt out of machine learning: `noai`, `noimageai`, `tdm-reservation: 1`, `Content-Signal: ai-train=no`, `ai.txt`. They are told in the column `opt_out` either way.
        respect_opt_out: bool = true;
        /// Also connect to loopback, private and other special addresses.
        allow_private: bool = false;
        /// Begin another archive file after this many bytes.
        warc_bytes_max: u64 = 1 << 30, in 1024..=1 << 40;
    }
}

/// Why an archived response is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Status other than 200.
    Status,
    /// Not HTML.
    NotHtml,
    /// No body.
    Empty,
    /// The body was cut at `body_bytes_max`, or is longer than allowed after decompression.
    TooLarge,
    /// The server stopped in mid-body, or was too slow.
    Truncated,
    /// The content encoding is unknown or its stream is broken.
    Encoding,
    /// The page is marked `noindex`.
    Noindex,
    /// The author opts out of machine learning.
    OptOut,
    /// The record in the archive is damaged.
    BrokenRecord,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::NotHtml => "not_html",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::Truncated => "truncated",
            Self::Encoding => "encoding",
            Self::Noindex => "noindex",
            Self::OptOut => "opt_out",
            Self::BrokenRecord => "broken_record",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Status.name(), doc: "HTTP status (the value) other than 200." },
    Reason { name: Drop::NotHtml.name(), doc: "Media type other than HTML." },
    Reason { name: Drop::Empty.name(), doc: "No body." },
    Reason { name: Drop::TooLarge.name(), doc: "Longer than `body_bytes_max` or, decoded, than its limits." },
    Reason { name: Drop::Truncated.name(), doc: "The server stopped in mid-body or was too slow." },
    Reason { name: Drop::Encoding.name(), doc: "Unknown or broken content encoding." },
    Reason { name: Drop::Noindex.name(), doc: "Marked `noindex` by header or markup." },
    Reason { name: Drop::OptOut.name(), doc: "The author opts out of machine learning." },
    Reason { name: Drop::BrokenRecord.name(), doc: "The record in the archive is damaged." },
];

const BUILD: Build =
    |settings| Ok(Made::Source(Box::new(Crawl(Arc::new(Settings::new(settings.parse()?)?)))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "source.crawl",
    version: 4,
    summary: "Crawls web sites into a WARC archive and gives its pages.",
    keys: <Config as schemas::Config>::KEYS,
    reasons: REASONS,
    build: BUILD,
};

struct Crawl(Arc<Settings>);

impl Source for Crawl {
    fn schema(&self, _base: &Path) -> Result<SchemaRef, SourceError> {
        Ok(read::schema())
    }

    fn gives_text(&self) -> bool {
        false
    }

    fn prepare(&self, context: &Context<'_>) -> Result<(), SourceError> {
        run::crawl(&self.0, context.archive, context.observer, u64::MAX)
    }

    fn splits(&self, context: &Context<'_>) -> Result<Vec<Split>, SourceError> {
        read::splits(&self.0, context.archive)
    }

    fn read<'a>(&'a self, split: &'a Split) -> Result<Intakes<'a>, SourceError> {
        read::rows(&self.0, split)
    }
}
