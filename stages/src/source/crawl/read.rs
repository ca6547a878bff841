//! Gives the pages of the archive: the archive's files cut into splits, each response record a row, in file order.

use super::archive::{self, CountingReader};
use super::decode::{Broken, bounded, decode};
use super::opt_out::OptOutFile;
use super::settings::Settings;
use super::{Drop, sitemap, visit};
use crate::source::warc::write as warc;
use crate::text::rights::{self, Wishes};
use arrow::array::{ArrayRef, BinaryBuilder, RecordBatch, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Field, SchemaRef};
use flate2::bufread::GzDecoder;
use memchr::memmem;
use schemas::source::{BATCH_BYTES, BATCH_ROWS};
use schemas::{DocId, Intake, Intakes, SourceError, Split, Stamp, Verdict, column};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;
use std::sync::Arc;

/// A split is closed when its records reach this many bytes in the archive, or this many rows.
const SPLIT_BYTES: u64 = 32 << 20;
const SPLIT_ROWS: u64 = 512;
/// Longest headers of a record.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// Cuts the archive at borders of records.
///
/// # Errors
/// The crawl is not complete, or its files cannot be read.
pub(super) fn splits(settings: &Settings, root: &Path) -> Result<Vec<Split>, SourceError> {
    let folder = archive::folder(root, settings);
    if !archive::is_complete(&folder, settings) {
        let message = format!("{}: the crawl is not complete; run it again to go on", folder.display());
        return Err(SourceError::Pending(message));
    }
    let mut splits: Vec<Split> = Vec::new();
    let mut rows = 0;
    for (file, start, end) in responses(&archive::index_path(&folder))? {
        let path = folder.join(&file);
        match splits.last_mut() {
            Some(last) if last.path == path && rows < SPLIT_ROWS && end - last.start <= SPLIT_BYTES => {
                last.end = end;
                rows += 1;
            }
            _ => {
                let stamp = Stamp::of(&path)?;
                splits.push(Split { name: file, path, start, end, content: [0; 32], stamp });
                rows = 1;
            }
        }
    }
    for split in &mut splits {
        split.name = format!("{}:{}-{}", split.name, split.start, split.end);
        split.content = hash(split)?;
    }
    Ok(splits)
}

/// File, first byte and end of every response, in the order of the archive.
fn responses(index: &Path) -> Result<Vec<(String, u64, u64)>, SourceError> {
    let io = SourceError::io;
    let file = File::open(index).map_err(io(index))?;
    let mut found = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(io(index))?;
        let entry = place(&line).ok_or_else(|| SourceError::Format {
            path: index.to_owned(),
            message: format!("expected a line of CDXJ with filename, offset and length, found {line:?}"),
        })?;
        found.push(entry);
    }
    found.sort_unstable();
    Ok(found)
}

fn place(line: &str) -> Option<(String, u64, u64)> {
    let fields: serde_json::Value = serde_json::from_str(line.splitn(3, ' ').nth(2)?).ok()?;
    let number = |key: &str| fields[key].as_str()?.parse::<u64>().ok();
    let start = number("offset")?;
    Some((fields["filename"].as_str()?.to_owned(), start, start + number("length")?))
}

fn open(split: &Split) -> Result<Take<File>, SourceError> {
    let io = |error| SourceError::Io { path: split.path.clone(), error };
    let mut file = File::open(&split.path).map_err(io)?;
    file.seek(SeekFrom::Start(split.start)).map_err(io)?;
    Ok(file.take(split.end - split.start))
}

fn hash(split: &Split) -> Result<[u8; 32], SourceError> {
    let mut hasher = blake3::Hasher::new();
    let hashed = hasher.update_reader(open(split)?);
    hashed.map_err(SourceError::io(&split.path))?;
    Ok(*hasher.finalize().as_bytes())
}

/// Reads the rows of a split.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn rows<'a>(settings: &'a Settings, split: &'a Split) -> Result<Intakes<'a>, SourceError> {
    let reader =
        CountingReader { inner: BufReader::with_capacity(256 << 10, open(split)?), read: split.start };
    let name = split.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Box::new(Rows { settings, reader, name, broken: false }))
}

struct Rows<'a> {
    settings: &'a Settings,
    reader: CountingReader<BufReader<Take<File>>>,
    name: String,
    /// Behind a damaged member no border is known.
    broken: bool,
}

/// Reason, what was measured, what it was measured against.
type Dropped = (Drop, f64, f64);

/// One row.
#[derive(Default)]
struct Page {
    url: Option<String>,
    record_id: Option<String>,
    fetched_at: Option<String>,
    content_type: Option<String>,
    html: Vec<u8>,
    /// Ways in which the author opts out.
    opt_out: Option<String>,
    drop: Option<Dropped>,
}

/// The columns of a page, and `opt_out`.
pub(super) fn schema() -> SchemaRef {
    column::with(&column::page_schema(), [Field::new(column::OPT_OUT, DataType::Utf8, true)])
}

impl Iterator for Rows<'_> {
    type Item = Result<Intake, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Batch::default();
        while batch.verdicts.len() < BATCH_ROWS && batch.bytes < BATCH_BYTES {
            match self.page() {
                Some((start, page)) => batch.push(&page, &format!("{}:{start}", self.name)),
                None => break,
            }
        }
        (!batch.verdicts.is_empty()).then(|| batch.finish())
    }
}

impl Rows<'_> {
    /// The next response and its first byte in the archive; records of other types are passed over.
    fn page(&mut self) -> Option<(u64, Page)> {
        let config = &self.settings.config;
        let most = config.body_bytes_max.max(sitemap::BYTES_MAX) + 2 * HEADER_BYTES_MAX;
        loop {
            if self.broken || self.reader.fill_buf().ok()?.is_empty() {
                return None;
            }
            let start = self.reader.read;
            let (record, broken) = bounded(GzDecoder::new(&mut self.reader), most);
            self.broken = broken.is_some();
            let Some((headers, block)) = divide(&record) else {
                self.broken = true;
                return Some((start, Page { drop: Some((Drop::BrokenRecord, 1.0, 0.0)), ..Page::default() }));
            };
            if header(headers, "WARC-Type") == Some("response") || self.broken {
                return Some((start, self.response(headers, block)));
            }
        }
    }

    fn response(&self, headers: &str, block: &[u8]) -> Page {
        let field = |name| header(headers, name).map(str::to_owned);
        let mut page = Page {
            url: field("WARC-Target-URI"),
            record_id: field("WARC-Record-ID"),
            fetched_at: field("WARC-Date"),
            ..Page::default()
        };
        let length = header(headers, "Content-Length").and_then(|l| l.parse::<usize>().ok());
        let block = length.and_then(|length| block.get(..length));
        let Some((http, body)) = block.and_then(divide).filter(|_| !self.broken) else {
            page.drop = Some((Drop::BrokenRecord, 1.0, 0.0));
            return page;
        };
        page.content_type = header(http, "content-type").map(str::to_owned);
        let encodings = header(http, "content-encoding").unwrap_or_default();
        let (html, undecoded) = decode(body, encodings, self.settings.bounds());
        let truncated = header(headers, "WARC-Truncated");
        let url = page.url.as_deref().unwrap_or_default();
        page.drop = self.status(url, http).or_else(|| self.body(body, &html, undecoded, truncated));
        if page.drop.is_none() {
            let mut wishes = Wishes::default();
            wishes.add_told(header(headers, warc::OPT_OUT).unwrap_or_default());
            self.wishes(http, &html, &mut wishes);
            page.opt_out = wishes.opt_outs();
            page.drop = self.unwanted(wishes);
        }
        page.html = html.into_owned();
        page
    }

    fn status(&self, url: &str, http: &str) -> Option<Dropped> {
        let status: u16 = http.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        if status != 200 {
            return Some((Drop::Status, status.into(), 200.0));
        }
        // Servers answer for these with pages of all kinds.
        let guides = ["/robots.txt", "/sitemap.xml", OptOutFile::Tdmrep.path(), OptOutFile::AiTxt.path()];
        let is_guide = guides.iter().any(|path| url.ends_with(path));
        let is_html = visit::is_html(header(http, "content-type").unwrap_or_default());
        (is_guide || !is_html).then_some((Drop::NotHtml, 1.0, 0.0))
    }

    fn body(
        &self,
        body: &[u8],
        html: &[u8],
        undecoded: Option<Broken>,
        truncated: Option<&str>,
    ) -> Option<Dropped> {
        let config = &self.settings.config;
        let (length, decoded) = (body.len() as f64, html.len() as f64);
        if body.is_empty() {
            return Some((Drop::Empty, 0.0, 1.0));
        }
        match (truncated, undecoded) {
            (Some("length"), _) => Some((Drop::TooLarge, length, config.body_bytes_max as f64)),
            (Some(_), _) => Some((Drop::Truncated, length, length)),
            (None, Some(Broken::TooLarge)) => Some((Drop::TooLarge, decoded, decoded)),
            (None, Some(_)) => Some((Drop::Encoding, 1.0, 0.0)),
            (None, None) => None,
        }
    }

    /// Adds what the author wishes by header and markup.
    fn wishes(&self, http: &str, html: &[u8], wishes: &mut Wishes) {
        for (name, value) in http.lines().filter_map(|line| line.split_once(':')) {
            wishes.add_header(name, value.trim(), &self.settings.token);
        }
        rights::wishes(html, &self.settings.token, wishes);
    }

    fn unwanted(&self, wishes: Wishes) -> Option<Dropped> {
        let config = &self.settings.config;
        if config.respect_noindex && wishes.noindex() {
            return Some((Drop::Noindex, 1.0, 0.0));
        }
        (config.respect_opt_out && wishes.no_training()).then_some((Drop::OptOut, 1.0, 0.0))
    }
}

/// Headers and what follows the empty line.
fn divide(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = memmem::find(&bytes[..bytes.len().min(HEADER_BYTES_MAX as usize)], b"\r\n\r\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 4..]))
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = headers.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[derive(Default)]
struct Batch {
    id: StringBuilder,
    url: StringBuilder,
    source: StringBuilder,
    record_id: StringBuilder,
    fetched_at: StringBuilder,
    content_type: StringBuilder,
    html: BinaryBuilder,
    opt_out: StringBuilder,
    verdicts: Vec<Verdict>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, page: &Page, source: &str) {
        let id = match (&page.url, &page.fetched_at) {
            (Some(url), Some(fetched_at)) => DocId::new(url, fetched_at),
            _ => DocId::new(source, ""),
        };
        self.id.append_value(id.to_string());
        self.url.append_option(page.url.as_deref());
        self.source.append_value(source);
        self.record_id.append_option(page.record_id.as_deref());
        self.fetched_at.append_option(page.fetched_at.as_deref());
        self.content_type.append_option(page.content_type.as_deref());
        self.html.append_value(&page.html);
        self.opt_out.append_option(page.opt_out.as_deref());
        self.bytes += page.html.len();
        self.verdicts.push(match page.drop {
            None => Verdict::Kept,
            Some((drop, value, limit)) => Verdict::Dropped { reason: drop.name(), value, limit, twin: None },
        });
    }

    fn finish(mut self) -> Result<Intake, SourceError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            Arc::new(self.url.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.record_id.finish()),
            Arc::new(self.fetched_at.finish()),
            Arc::new(self.content_type.finish()),
            Arc::new(self.html.finish()),
            new_null_array(&DataType::Utf8, self.verdicts.len()),
            Arc::new(self.opt_out.finish()),
        ];
        let batch = RecordBatch::try_new(schema(), columns)?;
        Ok(Intake { batch, verdicts: self.verdicts })
    }
}
