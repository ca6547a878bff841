//! One HTTP exchange: sent, received within limits, and kept as it came.
//!
//! Redirects are not followed here. The body stays in its content encoding; chunking is undone by the client, so the
//! header that announced it is renamed, and so is a `Content-Length` that is not that of the kept body: the record then
//! says what it holds.

use super::guard::{Guard, Private, is_public};
use super::refusal::Refusal;
use super::settings::Settings;
use super::{address, date};
use crate::source::warc::write::Truncated;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, USER_AGENT};
use reqwest::{Client, Response};
use schemas::SourceError;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};
use url::Url;

const ACCEPTED: &str = "text/html,application/xhtml+xml,*/*;q=0.5";

/// Sends requests.
pub(super) struct Fetcher {
    client: Client,
    guard: Guard,
    user_agent: String,
    timeout: Duration,
    header_bytes_max: usize,
}

/// A response as it came.
pub(super) struct Fetched {
    pub(super) status: u16,
    /// Names in lower case with their values.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) truncated: Option<Truncated>,
    pub(super) ip: Option<IpAddr>,
    /// When the request was sent: RFC 3339.
    pub(super) date: String,
    /// From the request to the headers.
    pub(super) latency: Duration,
    /// The request as it was sent.
    pub(super) request: Vec<u8>,
}

/// No response.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) refusal: Refusal,
    pub(super) detail: String,
}

impl Failure {
    /// Whether it may go better another time.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.refusal, Refusal::Timeout | Refusal::Network)
    }
}

impl Fetched {
    /// The first header of this name, given in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The HTTP message as the archive keeps it, and where its body begins.
    pub(super) fn message(&self) -> (Vec<u8>, usize) {
        let reason = reqwest::StatusCode::from_u16(self.status).ok().and_then(|s| s.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or_default());
        let length = self.body.len().to_string();
        for (name, value) in &self.headers {
            let undone = name == "transfer-encoding" || (name == "content-length" && *value != length);
            head.push_str(if undone { "x-crawl-" } else { "" });
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut message = head.into_bytes();
        let body_at = message.len();
        message.extend_from_slice(&self.body);
        (message, body_at)
    }
}

impl Fetcher {
    /// Makes the client: TLS checked against the roots of the system, no proxy, no redirects, no cookies.
    ///
    /// # Errors
    /// The client refuses the settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, SourceError> {
        let config = &settings.config;
        let guard = Guard { allow_private: config.allow_private };
        let client = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(guard)
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .pool_max_idle_per_host(config.host_connections as usize)
            .pool_idle_timeout(Duration::from_secs(30))
            .build();
        Ok(Self {
            client: client.map_err(|e| SourceError::Refused(format!("the HTTP client: {}", chain(&e))))?,
            guard,
            user_agent: config.user_agent.clone(),
            timeout: Duration::from_millis(config.timeout_ms),
            header_bytes_max: config.header_bytes_max as usize,
        })
    }

    /// The lowest address that a name leads to; `None` when there is none that may be asked.
    pub(super) async fn resolve(&self, host: &str) -> Option<IpAddr> {
        let found =
            tokio::time::timeout(self.timeout, tokio::net::lookup_host((host, 0))).await.ok()?.ok()?;
        found.map(|at| at.ip()).filter(|ip| self.guard.allow_private || is_public(*ip)).min()
    }

    /// Sends one request; `body_max` says from the headers how much of the body to keep.
    ///
    /// # Errors
    /// Why there is no response.
    pub(super) async fn fetch(
        &self,
        url: &Url,
        body_max: impl Fn(u16, &str) -> u64,
    ) -> Result<Fetched, Failure> {
        let private = |p: Private| Failure { refusal: Refusal::PrivateAddress, detail: p.to_string() };
        self.guard.check_literal(url).map_err(private)?;
        let (date, start) = (date::rfc3339(SystemTime::now()), Instant::now());
        let deadline = start + self.timeout;
        let request = self
            .client
            .get(url.clone())
            .header(USER_AGENT, &self.user_agent)
            .header(ACCEPT, ACCEPTED)
            .header(ACCEPT_ENCODING, "gzip");
        let mut response = match timeout_at(deadline, request.send()).await {
            Ok(sent) => sent.map_err(|e| failure(&e))?,
            Err(_) => {
                let detail = format!("no answer within {} ms", self.timeout.as_millis());
                return Err(Failure { refusal: Refusal::Timeout, detail });
            }
        };
        let latency = start.elapsed();
        let headers = self.headers(response.headers())?;
        let status = response.status().as_u16();
        let content_type = headers.iter().find(|(n, _)| n == "content-type").map_or("", |(_, v)| v);
        let most = body_max(status, content_type) as usize;
        let (body, truncated) = body(&mut response, most, deadline).await;
        Ok(Fetched {
            status,
            body,
            truncated,
            ip: response.remote_addr().map(|a| a.ip()),
            date,
            latency,
            request: self.request(url),
            headers,
        })
    }

    fn headers(&self, headers: &HeaderMap) -> Result<Vec<(String, String)>, Failure> {
        let bytes: usize = headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
        if bytes > self.header_bytes_max {
            let detail = format!("{bytes} bytes of headers");
            return Err(Failure { refusal: Refusal::HeaderTooLarge, detail });
        }
        let text = |value: &[u8]| value.iter().map(|&b| b as char).collect::<String>();
        let decoded = |value: &reqwest::header::HeaderValue| {
            std::str::from_utf8(value.as_bytes()).map_or_else(|_| text(value.as_bytes()), str::to_owned)
        };
        Ok(headers.iter().map(|(name, value)| (name.as_str().to_owned(), decoded(value))).collect())
    }

    fn request(&self, url: &Url) -> Vec<u8> {
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        format!(
            "GET {} HTTP/1.1\r\nuser-agent: {}\r\naccept: {ACCEPTED}\r\naccept-encoding: gzip\r\nhost: {host}\r\n\r\n",
            address::path_and_query(url),
            self.user_agent
        )
        .into_bytes()
    }
}

/// Reads at most `most` bytes until the deadline. What came before a break is kept.
async fn body(response: &mut Response, most: usize, deadline: Instant) -> (Vec<u8>, Option<Truncated>) {
    let mut body = Vec::new();
    loop {
        match timeout_at(deadline, response.chunk()).await {
            Err(_) => return (body, Some(Truncated::Time)),
            Ok(Err(_)) => return (body, Some(Truncated::Disconnect)),
            Ok(Ok(None)) => return (body, None),
            Ok(Ok(Some(chunk))) => {
                let room = most - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return (body, Some(Truncated::Length));
                }
            }
        }
    }
}

/// TLS through rustls with ring; the roots are those of the system.
fn tls() -> Result<rustls::ClientConfig, SourceError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone());
    let versions = builder.with_safe_default_protocol_versions();
    let versions = versions.map_err(|e| SourceError::Refused(format!("TLS: {e}")))?;
    Ok(match rustls_platform_verifier::Verifier::new(provider) {
        Ok(verifier) => {
            // Despite the name of the method this is the check by the roots of the system.
            versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        // A machine without roots can still crawl http; https then fails with an unknown issuer, never unchecked.
        Err(_) => versions.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth(),
    })
}

fn failure(error: &reqwest::Error) -> Failure {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(private) = inner.downcast_ref::<Private>() {
            return Failure { refusal: Refusal::PrivateAddress, detail: private.to_string() };
        }
        cause = inner.source();
    }
    let refusal = if error.is_timeout() { Refusal::Timeout } else { Refusal::Network };
    Failure { refusal, detail: chain(error) }
}

/// The messages of an error and its causes.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(if text.is_empty() { "" } else { ": " });
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}
