//! Reads web archives: WARC files, plain or gzip, with pages or extracted texts (WET), and ARC files.
//!
//! A row is made of every record that stands for a document: response, resource, conversion, and revisit (which is
//! dropped, since it only says that a page was the same as before). Requests, metadata and the heads of files are
//! passed over. HTML comes as bytes in `html`, plain text decoded in `text`. A broken record is dropped and the next
//! one is found behind it. A document is identified by its address and the time of the fetch.
//!
//! ```text
//! response  http://a.example/  200 text/html   →  url, fetched_at, content_type, html, opt_out
//! response  http://a.example/x 404 text/html   →  drop status (404, limit 200)
//! conversion (WET)                             →  url, fetched_at, text
//! ```

pub mod http;
pub mod read;
pub mod stream;
pub mod write;

use super::batch::{Feed, Page, PageBuilder, REJECT_BYTES_MAX, dropped, intakes};
use super::{files, sniff};
use crate::text::rights::Wishes;
use arrow::datatypes::{DataType, Field, SchemaRef};
use http::{HttpFault, Response};
use read::{Fault, Reader, Record};
use schemas::source::DOCUMENT_BYTES_MAX;
use schemas::{
    Build, Config as _, Context, DocId, FilePaths, Intakes, Made, Reason, Source, SourceError, Spec, Split,
    Verdict, column, config,
};
use std::fs::File;
use std::path::Path;

config! {
    /// Settings of `source.warc`.
    pub struct Config {
        /// Files, folders (searched to their depth for `.warc`, `.wet`, `.arc`, also `.gz`) and patterns with `*`.
        paths: FilePaths = FilePaths::default();
    }
}

/// Why `source.warc` drops a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// No head of a record, or one without a length.
    BadHeader,
    /// The file or the block ends before or behind the length that is told.
    Truncated,
    /// Longer than a document may be.
    TooLarge,
    /// A response without a status line.
    BadHttp,
    /// A response of another protocol.
    NotHttp,
    /// A status other than 200.
    Status,
    /// Neither HTML nor plain text.
    NotHtml,
    /// A content coding that is not known.
    UnsupportedEncoding,
    /// The same page as at an earlier time.
    Revisit,
    /// An extracted text that is not UTF-8.
    InvalidUtf8,
    /// No body.
    Empty,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::BadHeader => "bad_header",
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
            Self::BadHttp => "bad_http",
            Self::NotHttp => "not_http",
            Self::Status => "status",
            Self::NotHtml => "not_html",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::Revisit => "revisit",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::Empty => "empty",
        }
    }
}

/// Why a record of an archive is no document, also for sources that archive what they fetch.
pub const REASONS: &[Reason] = &[
    Reason {
        name: Drop::BadHeader.name(),
        doc: "The bytes do not begin a record, or its head tells no length.",
    },
    Reason {
        name: Drop::Truncated.name(),
        doc: "The record is cut off, broken or of another length than its head tells.",
    },
    Reason {
        name: Drop::TooLarge.name(),
        doc: "The page is longer than 64 MiB, or than 100 times what was sent.",
    },
    Reason { name: Drop::BadHttp.name(), doc: "The response has no status line." },
    Reason { name: Drop::NotHttp.name(), doc: "The response is of another protocol than HTTP, such as DNS." },
    Reason { name: Drop::Status.name(), doc: "The status, which is the value, is not 200." },
    Reason { name: Drop::NotHtml.name(), doc: "The content is neither HTML nor plain text." },
    Reason {
        name: Drop::UnsupportedEncoding.name(),
        doc: "The body has a content coding that is not known.",
    },
    Reason { name: Drop::Revisit.name(), doc: "The record only says that the page was the same as before." },
    Reason {
        name: Drop::InvalidUtf8.name(),
        doc: "The extracted text is not UTF-8; its first wrong byte is the value.",
    },
    Reason { name: Drop::Empty.name(), doc: "There is no body." },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    files::require(&config.paths.0)?;
    Ok(Made::Source(Box::new(Warc(config))))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "source.warc",
    version: 3,
    summary: "Reads web archives: WARC, WET and ARC.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// What names of web archives end in.
pub const ENDINGS: &[&str] = &[".warc", ".warc.gz", ".wet", ".wet.gz", ".arc", ".arc.gz"];

struct Warc(Config);

impl Source for Warc {
    fn schema(&self, base: &Path) -> Result<SchemaRef, SourceError> {
        files::list(base, &self.0.paths.0, ENDINGS)?;
        Ok(schema())
    }

    fn splits(&self, context: &Context<'_>) -> Result<Vec<Split>, SourceError> {
        files::whole(files::list(context.base, &self.0.paths.0, ENDINGS)?)
    }

    fn read<'a>(&'a self, split: &'a Split) -> Result<Intakes<'a>, SourceError> {
        read_split(split)
    }
}

/// Reads the records of a split: those that begin from `start` up to `end` in the file.
///
/// # Errors
/// The file cannot be opened.
pub fn read_split(split: &Split) -> Result<Intakes<'_>, SourceError> {
    let file = File::open(&split.path).map_err(SourceError::io(&split.path))?;
    let reader = Reader::new(file, split.start).map_err(SourceError::io(&split.path))?;
    Ok(intakes(Rows { split, reader }, schema()))
}

/// The columns of a page, and `opt_out`.
fn schema() -> SchemaRef {
    column::with(&column::page_schema(), [Field::new(column::OPT_OUT, DataType::Utf8, true)])
}

struct Rows<'a> {
    split: &'a Split,
    reader: Reader<File>,
}

impl Feed for Rows<'_> {
    fn feed(&mut self, rows: &mut PageBuilder) -> Result<bool, SourceError> {
        loop {
            let record = self.reader.next_record().map_err(SourceError::io(&self.split.path))?;
            let Some(record) = record else { return Ok(false) };
            if record.position.in_file() >= self.split.end {
                return Ok(false);
            }
            if push(rows, record, &self.split.name) {
                return Ok(true);
            }
        }
    }
}

/// What a record holds.
#[derive(Debug, PartialEq)]
enum Content {
    Html(Vec<u8>),
    Text(String),
    /// No document, and what is kept of it.
    Dropped(Verdict, Vec<u8>),
}

/// Makes a row of a record; `false` when it stands for no document.
fn push(rows: &mut PageBuilder, record: Record, file: &str) -> bool {
    let source = format!("{file}:{}", record.position);
    let (url, date) = (record.url(), record.date().map(str::to_owned));
    let record_id = record.headers.get("WARC-Record-ID").map(str::to_owned);
    let mut wishes = Wishes::default();
    wishes.add_told(record.headers.get(write::OPT_OUT).unwrap_or_default());
    let Some((content, content_type)) = content(record, &mut wishes) else { return false };
    let id = match (&url, &date) {
        (Some(url), Some(date)) => DocId::new(url, date),
        _ => DocId::new("warc", &source),
    };
    let (html, text, verdict) = match &content {
        Content::Html(html) => (Some(html.as_slice()), None, Verdict::Kept),
        Content::Text(text) => (None, Some(text.as_str()), Verdict::Kept),
        Content::Dropped(verdict, bytes) => (Some(bytes.as_slice()), None, verdict.clone()),
    };
    let page = Page {
        url: url.as_deref(),
        source: &source,
        record_id: record_id.as_deref(),
        fetched_at: date.as_deref(),
        content_type: content_type.as_deref(),
        html,
        text,
    };
    rows.push(id, &page, &[wishes.opt_outs().as_deref()], verdict);
    true
}

/// What a record holds and its media type, `None` when it stands for no document; adds what its headers wish.
fn content(record: Record, wishes: &mut Wishes) -> Option<(Content, Option<String>)> {
    let told = record.length as f64;
    let drop_record =
        |reason: Drop, value: f64, limit: f64, bytes| Some((rejected(reason, value, limit, bytes), None));
    match record.fault {
        Some(Fault::BadHeader) => return drop_record(Drop::BadHeader, 0.0, 0.0, record.block),
        Some(Fault::Truncated) => {
            let read = record.block.len() as f64;
            return drop_record(Drop::Truncated, read, told, record.block);
        }
        _ if !matches!(record.kind().as_str(), "response" | "resource" | "conversion" | "revisit") => {
            return None;
        }
        Some(Fault::TooLarge) => {
            return drop_record(Drop::TooLarge, told, DOCUMENT_BYTES_MAX as f64, record.block);
        }
        None => {}
    }
    let declared = record.headers.get("Content-Type").map(str::to_owned);
    match record.kind().as_str() {
        "response" => Some(response(record, wishes)),
        "revisit" => drop_record(Drop::Revisit, 0.0, 0.0, Vec::new()),
        "conversion" => Some((conversion(record.block), declared)),
        _ => Some((judged(record.block, declared.as_deref()), declared)),
    }
}

fn rejected(reason: Drop, value: f64, limit: f64, mut bytes: Vec<u8>) -> Content {
    bytes.truncate(REJECT_BYTES_MAX);
    Content::Dropped(dropped(reason.name(), value, limit), bytes)
}

fn response(record: Record, wishes: &mut Wishes) -> (Content, Option<String>) {
    let is_http = record.url().is_none_or(|u| u.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("http")));
    if !is_http {
        return (rejected(Drop::NotHttp, 0.0, 0.0, record.block), None);
    }
    let (response, fault) = match http::response(&record.block) {
        Ok(response) => (response, None),
        Err((_, None)) => return (rejected(Drop::BadHttp, 0.0, 0.0, record.block), None),
        Err((fault, Some(response))) => (response, Some(fault)),
    };
    let Response { status, headers, body } = response;
    headers.0.iter().for_each(|(name, value)| wishes.add_header(name, value, ""));
    let content_type = headers.get("Content-Type").map(str::to_owned);
    let content = match fault {
        _ if status != 200 => rejected(Drop::Status, f64::from(status), 200.0, body),
        Some(HttpFault::TooLarge(bytes)) => {
            rejected(Drop::TooLarge, bytes as f64, DOCUMENT_BYTES_MAX as f64, body)
        }
        Some(_) => rejected(Drop::UnsupportedEncoding, 0.0, 0.0, body),
        None => judged(body, content_type.as_deref()),
    };
    (content, content_type)
}

/// Decides by the media type; by the bytes where there is none that says something, or where they belie it.
fn judged(body: Vec<u8>, content_type: Option<&str>) -> Content {
    if body.is_empty() {
        return rejected(Drop::Empty, 0.0, 1.0, body);
    }
    let (kind, parameters) =
        content_type.unwrap_or_default().split_once(';').unwrap_or((content_type.unwrap_or_default(), ""));
    let kind = kind.trim().to_ascii_lowercase();
    let unsaid = !kind.contains('/')
        || matches!(
            kind.as_str(),
            "application/octet-stream" | "unknown/unknown" | "application/unknown" | "*/*"
        );
    let html =
        matches!(kind.as_str(), "text/html" | "application/xhtml+xml") || (unsaid && sniff::is_html(&body));
    if sniff::is_binary(&body) || !(html || kind == "text/plain") {
        return rejected(Drop::NotHtml, 0.0, 0.0, body);
    }
    if html {
        return Content::Html(body);
    }
    let charset = parameters.split(';').find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    Content::Text(sniff::decode(&body, charset))
}

fn conversion(block: Vec<u8>) -> Content {
    match String::from_utf8(block) {
        Ok(text) if text.is_empty() => rejected(Drop::Empty, 0.0, 1.0, Vec::new()),
        Ok(text) => Content::Text(text),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to() as f64;
            rejected(Drop::InvalidUtf8, valid, 0.0, error.into_bytes())
        }
    }
}

#[cfg(test)]
mod tests;
