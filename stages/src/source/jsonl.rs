//! Reads JSON lines, plain, gzip or zstd: an object a line, its text in the field `text`.
//!
//! Plain files are cut at line borders into splits of about 32 MiB; a compressed file is one split. A document is
//! identified by the name of its file and the byte (after decompression) that its line starts at, so identities do
//! not depend on the cut. A byte order mark at the start of a file and empty lines are passed over; a line that is no
//! document is dropped with its reason and its beginning is kept as the text.
//!
//! ```text
//! {"id": 7, "text": "words"}    →  record_id "7", text "words"
//! {"id": 8}                     →  drop no_text_field
//! {"id": 9, "text":             →  drop bad_json
//! ```

mod peek;

use super::batch::{Feed, Page, PageBuilder, dropped, intakes, names};
use super::files;
use super::object::{Scalar, Wanted};
use super::open::{Line, Lines, decompressed, is_broken, is_compressed};
use arrow::datatypes::{DataType, Field, SchemaRef};
pub use peek::Peek;
use schemas::source::DOCUMENT_BYTES_MAX;
use schemas::{
    Build, Config as _, Context, DocId, Event, FilePaths, Intakes, KeyError, Made, Reason, Source,
    SourceError, Spec, Split, Stamp, Verdict, column, config,
};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

config! {
    /// Settings of `source.jsonl`.
    pub struct Config {
        /// Files, folders (searched to their depth for `.jsonl`, `.ndjson` and `.json`, also `.gz` and `.zst`) and patterns with `*`.
        paths: FilePaths = FilePaths::default();
        /// Field of the text; empty where objects have none that is one string, such as chats: then read them by `columns` or `row`.
        text_field: String = "text".into();
        /// Field of the identity that the source gives; a number is written out.
        id_field: String = "id".into();
        /// Field of the address.
        url_field: String = "url".into();
        /// Field of the page before extraction; empty where documents have text only.
        html_field: String = String::new();
        /// Further fields to carry, each a column of text; what is no string is written as JSON.
        columns: Vec<String> = Vec::new();
        /// Whether the whole object is carried too, in the column `row`: `sink.jsonl` writes fields that no stage reads as they were, `sink.parquet` in the column `metadata`.
        row: bool = false;
    }
}

/// Why `source.jsonl` drops a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Not JSON, or JSON but not an object.
    BadJson,
    /// No text and no page in it.
    NoTextField,
    /// Not UTF-8.
    InvalidUtf8,
    /// Longer than a document may be.
    LineTooLong,
    /// The compressed file ends in the middle.
    Truncated,
    /// The compressed file is broken.
    BadCompression,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::NoTextField => "no_text_field",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::LineTooLong => "line_too_long",
            Self::Truncated => "truncated",
            Self::BadCompression => "bad_compression",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::BadJson.name(), doc: "The line is not a JSON object." },
    Reason {
        name: Drop::NoTextField.name(),
        doc: "The object has no string in `text_field` (nor in `html_field`).",
    },
    Reason {
        name: Drop::InvalidUtf8.name(),
        doc: "The line is not UTF-8; its first wrong byte is the value.",
    },
    Reason { name: Drop::LineTooLong.name(), doc: "The line is longer than 64 MiB; its first MiB is kept." },
    Reason {
        name: Drop::Truncated.name(),
        doc: "The compressed file ends in the middle; the rows before are read.",
    },
    Reason {
        name: Drop::BadCompression.name(),
        doc: "The compressed file is broken; the rows before are read.",
    },
];

const BUILD: Build = |settings| Ok(Made::Source(Box::new(JsonLines::new(settings.parse()?)?)));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "source.jsonl",
    version: 3,
    summary: "Reads JSON lines, plain or compressed.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// What names of files of JSON lines end in.
pub const ENDINGS: &[&str] = &[
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".ndjson",
    ".ndjson.gz",
    ".ndjson.zst",
    ".json",
    ".json.gz",
    ".json.zst",
];
/// A split ends with the first line that ends here or behind.
const SPLIT_BYTES: u64 = 32 << 20;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The source, for use without a recipe.
#[derive(Debug)]
pub struct JsonLines {
    config: Config,
    schema: SchemaRef,
    line_bytes_max: usize,
    split_bytes: u64,
}

impl JsonLines {
    /// Checks the settings.
    ///
    /// # Errors
    /// No path; a field in `columns` that would take the name of a column of every source.
    pub fn new(config: Config) -> Result<Self, Vec<KeyError>> {
        files::require(&config.paths.0)?;
        let schema = if config.html_field.is_empty() { column::text_schema() } else { column::page_schema() };
        let mut taken = names(&schema);
        taken.push(column::ROW);
        for name in &config.columns {
            if taken.contains(&name.as_str()) {
                let message = format!("`{name}` is the name of a column that every document has");
                let help = Some("leave it out; `row = true` keeps all fields".into());
                return Err(vec![KeyError { key: "columns".into(), message, help }]);
            }
            taken.push(name);
        }
        let more = config.columns.iter().map(String::as_str).chain(config.row.then_some(column::ROW));
        let schema = column::with(&schema, more.map(|name| Field::new(name, DataType::Utf8, true)));
        Ok(Self { config, schema, line_bytes_max: DOCUMENT_BYTES_MAX, split_bytes: SPLIT_BYTES })
    }
}

impl JsonLines {
    /// Whether no field is the text of an object.
    const fn has_no_text(&self) -> bool {
        self.config.text_field.is_empty() && self.config.html_field.is_empty()
    }
}

impl Source for JsonLines {
    fn schema(&self, base: &Path) -> Result<SchemaRef, SourceError> {
        files::list(base, &self.config.paths.0, ENDINGS)?;
        Ok(self.schema.clone())
    }

    /// Tells what the first lines lack, which may be a long way from the end.
    fn prepare(&self, context: &Context<'_>) -> Result<(), SourceError> {
        let found = files::list(context.base, &self.config.paths.0, ENDINGS)?;
        if let Some(lacking) = Peek::at(&found[0].path)?.lacks_of(&self.config) {
            let message = format!("warning: {}: {lacking}", found[0].name);
            context.observer.event(Event::Note { message: &message });
        }
        Ok(())
    }

    fn text_of_row(&self) -> Option<&str> {
        let Config { row, html_field, text_field, .. } = &self.config;
        (*row && html_field.is_empty() && !text_field.is_empty()).then_some(text_field)
    }

    fn splits(&self, context: &Context<'_>) -> Result<Vec<Split>, SourceError> {
        use rayon::prelude::*;
        let found = files::list(context.base, &self.config.paths.0, ENDINGS)?;
        let cut = |file: &files::Found| {
            if is_compressed(&file.path)? {
                return files::whole(vec![file.clone()]);
            }
            cut_at_lines(file, self.split_bytes)
        };
        let splits: Vec<Vec<Split>> = found.par_iter().map(cut).collect::<Result<_, SourceError>>()?;
        Ok(splits.into_iter().flatten().collect())
    }

    fn read<'a>(&'a self, split: &'a Split) -> Result<Intakes<'a>, SourceError> {
        let compressed = is_compressed(&split.path)?;
        let (reader, start): (Box<dyn BufRead + Send>, u64) = if compressed {
            (decompressed(&split.path)?, 0)
        } else {
            let mut file = File::open(&split.path).map_err(SourceError::io(&split.path))?;
            file.seek(SeekFrom::Start(split.start)).map_err(SourceError::io(&split.path))?;
            let range = file.take(split.end - split.start);
            (Box::new(BufReader::with_capacity(256 << 10, range)), split.start)
        };
        // The range of a cut file is in the name of its split, not in that of its documents.
        let name =
            split.name.strip_suffix(&files::range_suffix(split.start, split.end)).unwrap_or(&split.name);
        let lines = Lines::new(reader, start, self.line_bytes_max);
        let wanted = Wanted::new(
            [&self.config.text_field, &self.config.html_field, &self.config.id_field, &self.config.url_field],
            &self.config.columns,
        );
        let feed = Rows { source: self, path: &split.path, name, lines, wanted, ended: false };
        Ok(intakes(feed, self.schema.clone()))
    }
}

/// Cuts a plain file behind the first line feed at or after every `split_bytes`, hashing each piece.
fn cut_at_lines(file: &files::Found, split_bytes: u64) -> Result<Vec<Split>, SourceError> {
    let mut splits = Vec::new();
    let (mut start, mut end) = (0_u64, 0_u64);
    let mut hasher = blake3::Hasher::new();
    let stamp = Stamp::of(&file.path)?;
    let mut close = |start: u64, end: u64, hasher: &mut blake3::Hasher| {
        splits.push(Split {
            name: format!("{}{}", file.name, files::range_suffix(start, end)),
            path: file.path.clone(),
            start,
            end,
            content: *hasher.finalize().as_bytes(),
            stamp: stamp.clone(),
        });
        hasher.reset();
    };
    files::each_piece(&file.path, |mut piece| {
        while !piece.is_empty() {
            let ripe = usize::try_from((start + split_bytes).saturating_sub(end + 1)).unwrap_or(usize::MAX);
            let line_end = piece.get(ripe..).and_then(|rest| memchr::memchr(b'\n', rest));
            let taken = line_end.map_or(piece.len(), |at| ripe + at + 1);
            hasher.update(&piece[..taken]);
            end += taken as u64;
            if line_end.is_some() {
                close(start, end, &mut hasher);
                start = end;
            }
            piece = &piece[taken..];
        }
    })?;
    if end > start || end == 0 {
        close(start, end, &mut hasher);
    }
    Ok(splits)
}

struct Rows<'a> {
    source: &'a JsonLines,
    path: &'a Path,
    name: &'a str,
    lines: Lines<Box<dyn BufRead + Send>>,
    wanted: Wanted<'a, 4>,
    ended: bool,
}

impl Feed for Rows<'_> {
    fn feed(&mut self, rows: &mut PageBuilder) -> Result<bool, SourceError> {
        if self.ended {
            return Ok(false);
        }
        match self.lines.next_line() {
            Ok(Line::End) => return Ok(false),
            Ok(Line::TooLong { offset, bytes }) => {
                let limit = self.source.line_bytes_max as f64;
                self.reject(rows, offset, dropped(Drop::LineTooLong.name(), bytes as f64, limit));
            }
            Ok(Line::Whole { offset }) => {
                if let Err((reason, value)) = self.document(rows, offset) {
                    self.reject(rows, offset, dropped(reason.name(), value, 0.0));
                }
            }
            Err(error) if is_broken(&error) => {
                self.ended = true;
                let cut = error.kind() == std::io::ErrorKind::UnexpectedEof;
                let reason = if cut { Drop::Truncated } else { Drop::BadCompression };
                // The beginning of the line that was cut off has its place before this one.
                let offset = self.lines.offset();
                self.reject(rows, offset, dropped(reason.name(), offset as f64, 0.0));
            }
            Err(error) => return Err(SourceError::io(self.path)(error)),
        }
        Ok(true)
    }
}

impl Rows<'_> {
    fn reject(&self, rows: &mut PageBuilder, offset: u64, verdict: Verdict) {
        let source = format!("{}:{offset}", self.name);
        rows.reject(DocId::new(self.name, &offset.to_string()), &source, &self.lines.line, verdict);
    }

    fn document(&self, rows: &mut PageBuilder, offset: u64) -> Result<(), (Drop, f64)> {
        let mut line = self.lines.line.as_slice();
        if offset == 0 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let json = std::str::from_utf8(line).map_err(|e| (Drop::InvalidUtf8, e.valid_up_to() as f64))?;
        let fields = self.wanted.read(json).map_err(|e| (Drop::BadJson, e.column() as f64))?;
        let [text, html, id, url] = &fields.roles;
        let (html, text) = match (html, text) {
            (Scalar::Text(html), _) => (Some(html.as_bytes()), None),
            (_, Scalar::Text(text)) => (None, Some(text.as_ref())),
            _ if self.source.has_no_text() => (None, None),
            _ => return Err((Drop::NoTextField, 0.0)),
        };
        let mut extra: Vec<Option<&str>> = fields.columns.iter().map(Option::as_deref).collect();
        if self.source.config.row {
            extra.push(Some(json.trim()));
        }
        let source = format!("{}:{offset}", self.name);
        let page = Page {
            url: url.written(),
            source: &source,
            record_id: id.written(),
            html,
            text,
            ..Page::default()
        };
        rows.push(DocId::new(self.name, &offset.to_string()), &page, &extra, Verdict::Kept);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::{context, scratch};
    use schemas::Intake;
    use std::fs;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    /// The rows of one file as id, text or reason, source.
    fn rows(source: &JsonLines, bytes: &[u8]) -> Vec<(String, String, String)> {
        let base = scratch(&format!("jsonl-{}", blake3::hash(bytes).to_hex()));
        fs::write(base.join("f"), bytes).unwrap();
        let mut all = Vec::new();
        for split in source.splits(&context(&base)).unwrap() {
            for intake in source.read(&split).unwrap() {
                let Intake { batch, verdicts } = intake.unwrap();
                let of = |name| column::utf8(&batch, name).unwrap();
                for (row, verdict) in verdicts.iter().enumerate() {
                    let word = match verdict {
                        Verdict::Dropped { reason, .. } => format!("drop {reason}"),
                        _ => of(column::TEXT).value(row).to_owned(),
                    };
                    all.push((of(column::ID).value(row).into(), word, of(column::SOURCE).value(row).into()));
                }
            }
        }
        fs::remove_dir_all(base).unwrap();
        all
    }

    fn source() -> JsonLines {
        JsonLines::new(Config { paths: FilePaths(vec!["f".into()]), ..Config::default() }).unwrap()
    }

    fn check(bytes: &[u8], expected: &[(&str, u64)]) {
        let whole = rows(&source(), bytes);
        let found: Vec<(&str, &str)> =
            whole.iter().map(|(_, word, at)| (word.as_str(), at.as_str())).collect();
        let sources: Vec<String> = expected.iter().map(|(_, at)| format!("f:{at}")).collect();
        let expected: Vec<(&str, &str)> =
            expected.iter().zip(&sources).map(|((w, _), s)| (*w, s.as_str())).collect();
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(bytes));
        for split_bytes in [1, 10, 25] {
            assert_eq!(rows(&JsonLines { split_bytes, ..source() }, bytes), whole, "cut at {split_bytes}");
        }
        assert_eq!(rows(&source(), &gzip(bytes)), whole);
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        assert_eq!(rows(&source(), &[gzip(head), gzip(tail)].concat()), whole);
        assert_eq!(rows(&source(), &zstd::encode_all(bytes, 1).unwrap()), whole);
    }

    #[test]
    fn lines_however_they_are_stored() {
        check(b"", &[]);
        check(b"\n\r\n  \n", &[]);
        check(b"{\"text\":\"a\"}\n{\"text\":\"b\"}", &[("a", 0), ("b", 13)]);
        check(b"\xef\xbb\xbf{\"text\":\"a\"}\r\n\r\n{\"text\":\"b\\n\"}\r\n", &[("a", 0), ("b\n", 19)]);
        check(b"{\"text\":\"\\u0000\",\"n\":{\"text\":\"no\"}}\n", &[("\0", 0)]);
    }

    #[test]
    fn lines_that_are_no_document() {
        check(b"{\"text\":\n{\"text\":\"b\"}\n", &[("drop bad_json", 0), ("b", 9)]);
        check(
            b"[1]\n7\nnull\n\"text\"\n",
            &[("drop bad_json", 0), ("drop bad_json", 4), ("drop bad_json", 6), ("drop bad_json", 11)],
        );
        check(
            b"{}\n{\"text\":7}\n{\"text\":null}\n",
            &[("drop no_text_field", 0), ("drop no_text_field", 3), ("drop no_text_field", 14)],
        );
        check(
            b"{\"text\":\"\xff\"}\n{\"x\xff\":1}\n",
            &[("drop invalid_utf8", 0), ("drop invalid_utf8", 13)],
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let small = JsonLines { line_bytes_max: 20, ..source() };
        let bytes = b"{\"text\":\"a\"}\n{\"text\":\"0123456789012345678901234567890\"}\n{\"text\":\"b\"}\n";
        let words: Vec<String> = rows(&small, bytes).into_iter().map(|r| r.1).collect();
        assert_eq!(words, ["a", "drop line_too_long", "b"]);
    }

    #[test]
    fn a_cut_file_gives_the_rows_before_the_cut() {
        let text: String = (0..5000_u64)
            .map(|n| format!("{{\"text\":\"{:x}\"}}\n", schemas::hash::seed(n, "", 0)))
            .collect();
        let whole = gzip(text.as_bytes());
        let all = rows(&source(), &whole[..whole.len() / 2]);
        let (last, before) = all.split_last().unwrap();
        assert!(before.len() > 1000 && last.1 == "drop truncated", "{} rows, {}", before.len(), last.1);
        assert!(before.iter().all(|r| !r.1.starts_with("drop")));
        let noise = [gzip(b"{\"text\":\"a\"}\n"), b"noise noise noise".to_vec()].concat();
        let words: Vec<String> = rows(&source(), &noise).into_iter().map(|r| r.1).collect();
        assert_eq!(words, ["a", "drop bad_compression"]);
    }

    #[test]
    fn more_columns_and_the_whole_object() {
        let config = Config {
            paths: FilePaths(vec!["f".into()]),
            html_field: "page".into(),
            columns: vec!["licence".into()],
            row: true,
            ..Config::default()
        };
        let source = JsonLines::new(config).unwrap();
        let base = scratch("jsonl-columns");
        let line = r#"{"id":7,"page":"<p>","licence":["MIT"],"url":"http://a/"}"#;
        fs::write(base.join("f"), line).unwrap();
        let splits = source.splits(&context(&base)).unwrap();
        let intake = source.read(&splits[0]).unwrap().next().unwrap().unwrap();
        let of = |name| column::utf8(&intake.batch, name).unwrap().value(0);
        assert_eq!((of(column::RECORD_ID), of(column::URL), of("licence")), ("7", "http://a/", "[\"MIT\"]"));
        assert_eq!(of(column::ROW), line);
        assert_eq!(column::binary(&intake.batch, column::HTML).unwrap().value(0), b"<p>");
        assert_eq!(intake.batch.schema(), source.schema(&base).unwrap());
        fs::remove_dir_all(base).unwrap();
        let taken = Config {
            paths: FilePaths(vec!["f".into()]),
            columns: vec!["source".into()],
            ..Config::default()
        };
        assert!(JsonLines::new(taken).is_err());
    }
}
