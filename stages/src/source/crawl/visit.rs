//! What a worker does with one address: fetch, make the records, read what the crawl needs to know.
//!
//! Workers share nothing with the crawl but their report, so that everything costly (network, compression, scanning)
//! is parallel and everything that must be in one order (archive, log, frontier) is in one place.

use super::decode::{Broken, decode};
use super::fetch::{Failure, Fetched, Fetcher};
use super::frontier::{Entry, What};
use super::links;
use super::opt_out::OptOutFile;
use super::refusal::Refusal;
use super::robots::{ROBOTS_BYTES_MAX, Robots};
use super::settings::Settings;
use super::sitemap::{self, Sitemap};
use super::{address, date};
use crate::source::warc::write::{Record, Truncated};
use crate::text::rights::Wishes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use url::Url;

/// Most redirects on the way to a robots.txt (RFC 9309 section 2.3.1.2).
const ROBOTS_REDIRECTS_MAX: u32 = 5;
/// What is kept of a body that is not HTML.
const OTHER_BYTES_MAX: u64 = 16 << 10;

/// What a worker is to do.
#[derive(Clone)]
pub(super) enum Task {
    /// Where the name of the host leads.
    Resolve,
    Robots,
    /// A file in which the site opts out.
    OptOut(OptOutFile),
    Fetch {
        entry: Entry,
        /// What files of the site say of the address.
        wishes: Wishes,
    },
}

/// What a worker says.
pub(super) struct Report {
    pub(super) host: usize,
    pub(super) task: Task,
    /// Responses in the order in which they came, to be archived.
    pub(super) visits: Vec<Visit>,
    pub(super) result: Result<Found, Failure>,
}

/// An archived response.
pub(super) struct Visit {
    pub(super) url: Url,
    /// Request and response record.
    pub(super) members: Vec<u8>,
    /// Where in `members` the response begins.
    pub(super) response_at: u64,
    pub(super) date: String,
    pub(super) mime: String,
    pub(super) status: u16,
    pub(super) digest: String,
    pub(super) latency: Duration,
    pub(super) retry_after: Option<Duration>,
    pub(super) truncated: Option<Truncated>,
}

/// What a response means to the crawl.
pub(super) enum Found {
    /// Nothing to follow.
    Nothing,
    /// A page with the links to follow.
    Page(Vec<Url>),
    /// A redirect.
    Redirect(Option<Url>),
    Sitemap(Sitemap),
    Robots(Robots),
    /// The body of a file in which the site opts out; empty where there is none.
    OptOut(Vec<u8>),
    /// The address of a host, where it has one.
    Address(Option<IpAddr>),
    /// The host asks to come later, or stopped in the middle: the same address again.
    Later,
}

/// Does a task.
pub(super) async fn work(
    settings: Arc<Settings>,
    fetcher: Arc<Fetcher>,
    host: usize,
    origin: Box<str>,
    task: Task,
) -> Report {
    let mut visits = Vec::new();
    let result = match &task {
        Task::Resolve => Ok(Found::Address(resolve(&fetcher, &origin).await)),
        Task::Robots => robots(&settings, &fetcher, &origin, &mut visits).await,
        Task::OptOut(file) => opt_out(&settings, &fetcher, &origin, *file, &mut visits).await,
        Task::Fetch { entry, wishes } => address(&settings, &fetcher, entry, *wishes, &mut visits).await,
    };
    Report { host, task, visits, result }
}

async fn resolve(fetcher: &Fetcher, origin: &str) -> Option<IpAddr> {
    let url = Url::parse(origin).ok()?;
    fetcher.resolve(url.host_str()?).await
}

async fn robots(
    settings: &Settings,
    fetcher: &Fetcher,
    origin: &str,
    visits: &mut Vec<Visit>,
) -> Result<Found, Failure> {
    let invalid = |detail: String| Failure { refusal: Refusal::RedirectInvalid, detail };
    let text = format!("{origin}/robots.txt");
    let mut url = Url::parse(&text).map_err(|e| invalid(e.to_string()))?;
    for _ in 0..=ROBOTS_REDIRECTS_MAX {
        let fetched = fetcher.fetch(&url, |_, _| ROBOTS_BYTES_MAX as u64).await?;
        visits.push(visit(&url, &fetched, Wishes::default()));
        let parse = |body: &[u8]| Robots::parse(body, &settings.token, settings.config.robots_extensions);
        match fetched.status {
            200..=299 if matches!(fetched.truncated, None | Some(Truncated::Length)) => {
                let encoding = fetched.header("content-encoding").unwrap_or_default();
                let (body, broken) = decode(&fetched.body, encoding, settings.bounds());
                // What cannot be read must not pass for a file without rules.
                let unread = match broken {
                    Some(Broken::Unknown) => true,
                    Some(Broken::Stream) => fetched.truncated.is_none(),
                    Some(Broken::TooLarge) | None => false,
                };
                return Ok(if unread { Found::Later } else { Found::Robots(parse(&body)) });
            }
            300..=399 if fetched.header("location").is_some() => match location(&url, &fetched) {
                Some(next) => url = next,
                None => return Ok(Found::Robots(Robots::default())),
            },
            401 | 403 if settings.config.robots_strict => return Ok(Found::Robots(Robots::deny_all())),
            429 | 500.. | 200..=299 => return Ok(Found::Later),
            _ => return Ok(Found::Robots(Robots::default())),
        }
    }
    // RFC 9309 section 2.3.1.2: more than five redirects may count as a file that is not there.
    Ok(Found::Robots(Robots::default()))
}

async fn opt_out(
    settings: &Settings,
    fetcher: &Fetcher,
    origin: &str,
    file: OptOutFile,
    visits: &mut Vec<Visit>,
) -> Result<Found, Failure> {
    let invalid = |detail: String| Failure { refusal: Refusal::RedirectInvalid, detail };
    let mut url = Url::parse(&format!("{origin}{}", file.path())).map_err(|e| invalid(e.to_string()))?;
    for _ in 0..=ROBOTS_REDIRECTS_MAX {
        let fetched = fetcher.fetch(&url, |_, _| ROBOTS_BYTES_MAX as u64).await?;
        visits.push(visit(&url, &fetched, Wishes::default()));
        match fetched.status {
            200 => {
                let encoding = fetched.header("content-encoding").unwrap_or_default();
                return Ok(Found::OptOut(decode(&fetched.body, encoding, settings.bounds()).0.into_owned()));
            }
            // Only within the site: another one does not speak for it.
            300..=399 => match location(&url, &fetched).filter(|next| address::origin(next) == origin) {
                Some(next) => url = next,
                None => break,
            },
            429 | 502..=504 => return Ok(Found::Later),
            _ => break,
        }
    }
    Ok(Found::OptOut(Vec::new()))
}

async fn address(
    settings: &Settings,
    fetcher: &Fetcher,
    entry: &Entry,
    wishes: Wishes,
    visits: &mut Vec<Visit>,
) -> Result<Found, Failure> {
    let url = Url::parse(&entry.url)
        .map_err(|e| Failure { refusal: Refusal::RedirectInvalid, detail: e.to_string() })?;
    let config = &settings.config;
    let body_max = |_: u16, content_type: &str| match entry.what {
        What::Sitemap { .. } => sitemap::BYTES_MAX,
        What::Page if config.html_only && !is_html(content_type) => OTHER_BYTES_MAX,
        What::Page => config.body_bytes_max,
    };
    let fetched = fetcher.fetch(&url, body_max).await?;
    visits.push(visit(&url, &fetched, wishes));
    let broken = matches!(fetched.truncated, Some(Truncated::Time | Truncated::Disconnect));
    Ok(match fetched.status {
        429 | 502 | 503 | 504 => Found::Later,
        _ if broken => Found::Later,
        300..=399 if fetched.status != 304 => Found::Redirect(location(&url, &fetched)),
        200 => match entry.what {
            What::Sitemap { .. } => {
                let encoding = fetched.header("content-encoding").unwrap_or_default();
                let body = decode(&fetched.body, encoding, settings.bounds()).0;
                Found::Sitemap(sitemap::parse(&body))
            }
            What::Page if is_html(fetched.header("content-type").unwrap_or_default()) => {
                Found::Page(page_links(settings, &url, &fetched))
            }
            What::Page => Found::Nothing,
        },
        _ => Found::Nothing,
    })
}

fn page_links(settings: &Settings, url: &Url, fetched: &Fetched) -> Vec<Url> {
    let encoding = fetched.header("content-encoding").unwrap_or_default();
    let (html, _) = decode(&fetched.body, encoding, settings.bounds());
    let mut wishes = Wishes::default();
    for (name, value) in &fetched.headers {
        wishes.add_header(name, value, &settings.token);
    }
    let nofollow = settings.config.respect_nofollow;
    let links = links::links(&html, url, &settings.token, nofollow, &mut wishes);
    if nofollow && wishes.nofollow { Vec::new() } else { links }
}

fn location(url: &Url, fetched: &Fetched) -> Option<Url> {
    fetched.header("location").and_then(|link| address::resolve(url, link))
}

/// Media type without parameters, in lower case.
pub(super) fn mime(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type is that of HTML.
pub(super) fn is_html(content_type: &str) -> bool {
    matches!(mime(content_type).as_str(), "text/html" | "application/xhtml+xml")
}

/// Makes the records of an exchange; `wishes` is what files of the site said when it was sent.
fn visit(url: &Url, fetched: &Fetched, wishes: Wishes) -> Visit {
    let ((message, body_at), opt_outs) = (fetched.message(), wishes.opt_outs());
    let response = Record {
        kind: "response",
        url: Some(url.as_str()),
        date: &fetched.date,
        ip: fetched.ip,
        concurrent_to: None,
        truncated: fetched.truncated,
        opt_out: opt_outs.as_deref(),
        content_type: "application/http;msgtype=response",
        block: &message,
        payload_at: Some(body_at),
    };
    let member = response.member();
    let request = Record {
        kind: "request",
        concurrent_to: Some(&member.id),
        truncated: None,
        opt_out: None,
        content_type: "application/http;msgtype=request",
        block: &fetched.request,
        payload_at: None,
        ..response
    };
    let mut members = request.member().bytes;
    let response_at = members.len() as u64;
    members.extend_from_slice(&member.bytes);
    let retry_after = fetched.header("retry-after");
    Visit {
        url: url.clone(),
        members,
        response_at,
        date: fetched.date.clone(),
        mime: mime(fetched.header("content-type").unwrap_or("unk")),
        status: fetched.status,
        digest: member.digest,
        latency: fetched.latency,
        retry_after: retry_after.and_then(|value| date::retry_after(value, SystemTime::now())),
        truncated: fetched.truncated,
    }
}
