//! Reads a folder of web pages: every `.html`, `.htm` and `.xhtml` file is a document.
//!
//! Pages come sorted by path. The bytes stay as they are (their encoding is the matter of `extract.html`); a file
//! without bytes, one that holds no text in any encoding and one longer than 64 MiB are dropped.
//!
//! ```text
//! paths = ["site"], base_url = "https://example.org/"
//! site/a/index.html  →  url https://example.org/a/index.html, source "site/a/index.html:0", html "<!doctype …"
//! site/photo.html    →  drop binary
//! ```

use super::batch::{Feed, Page, PageBuilder, REJECT_BYTES_MAX, dropped, intakes};
use super::{files, sniff};
use arrow::datatypes::SchemaRef;
use schemas::source::DOCUMENT_BYTES_MAX;
use schemas::{
    Build, Config as _, Context, DocId, FilePaths, Intakes, KeyError, Made, Reason, Source, SourceError,
    Spec, Split, Stamp, Verdict, column, config,
};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

config! {
    /// Settings of `source.html`.
    pub struct Config {
        /// Files, folders (searched to their depth) and patterns with `*`.
        paths: FilePaths = FilePaths::default();
        /// Address that the paths of the pages below their folder are put behind; empty leaves the pages without an address.
        base_url: String = String::new();
    }
}

/// Why `source.html` drops a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// No bytes.
    Empty,
    /// Not text in any encoding.
    Binary,
    /// Longer than a document may be.
    TooLarge,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Binary => "binary",
            Self::TooLarge => "too_large",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Empty.name(), doc: "The file has no bytes." },
    Reason { name: Drop::Binary.name(), doc: "The file holds no text in any encoding." },
    Reason { name: Drop::TooLarge.name(), doc: "The file is longer than 64 MiB; its first MiB is kept." },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    files::require(&config.paths.0)?;
    if !config.base_url.is_empty()
        && let Err(error) = url::Url::parse(&config.base_url)
    {
        let message = format!("\"{}\" is not an address: {error}", config.base_url);
        let help = Some("write it as `https://example.org/`".into());
        return Err(vec![KeyError { key: "base_url".into(), message, help }]);
    }
    Ok(Made::Source(Box::new(Html(config))))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "source.html",
    version: 2,
    summary: "Reads a folder of web pages.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// What names of pages end in.
pub const ENDINGS: &[&str] = &[".html", ".htm", ".xhtml"];
/// Bytes of pages in a split: many small files make one unit of work.
const SPLIT_BYTES: u64 = 32 << 20;
/// Most pages in a split.
const SPLIT_FILES: usize = 1024;
/// A split ends after one name in this many, chosen by its hash, so that a page that is added or removed changes one
/// split and not all behind it.
const SPLIT_ONE_IN: u64 = 256;

struct Html(Config);

impl Source for Html {
    fn schema(&self, base: &Path) -> Result<SchemaRef, SourceError> {
        self.list(base)?;
        Ok(column::page_schema())
    }

    fn gives_text(&self) -> bool {
        false
    }

    /// `start` and `end` count files in the list of all pages and `path` is the folder that the list starts from.
    fn splits(&self, context: &Context<'_>) -> Result<Vec<Split>, SourceError> {
        use rayon::prelude::*;
        let found = self.list(context.base)?;
        let stamps = stamps(&found)?;
        let hashed = |f: &files::Found| {
            let bytes = std::fs::metadata(&f.path).map_err(SourceError::io(&f.path))?.len();
            Ok((bytes, files::content(&f.path)?))
        };
        let hashed: Vec<(u64, [u8; 32])> =
            found.par_iter().map(hashed).collect::<Result<_, SourceError>>()?;
        let (mut splits, mut start, mut bytes) = (Vec::new(), 0, 0);
        for (at, file) in found.iter().enumerate() {
            bytes += hashed[at].0;
            let border = xxhash_rust::xxh3::xxh3_64(file.name.as_bytes()).is_multiple_of(SPLIT_ONE_IN);
            let full = bytes >= SPLIT_BYTES || at + 1 - start >= SPLIT_FILES;
            if border || full || at + 1 == found.len() {
                let mut hasher = blake3::Hasher::new();
                for (file, (_, content)) in found[start..=at].iter().zip(&hashed[start..=at]) {
                    hasher.update(&(file.name.len() as u64).to_le_bytes());
                    hasher.update(file.name.as_bytes()).update(content);
                }
                splits.push(Split {
                    name: format!("{} and {} more", found[start].name, at - start),
                    path: context.base.to_owned(),
                    start: start as u64,
                    end: at as u64 + 1,
                    content: *hasher.finalize().as_bytes(),
                    stamp: Stamp::of_all(&stamps[start..=at]),
                });
                (start, bytes) = (at + 1, 0);
            }
        }
        Ok(splits)
    }

    fn read<'a>(&'a self, split: &'a Split) -> Result<Intakes<'a>, SourceError> {
        let files = self.files_of(split)?.into_iter();
        Ok(intakes(Files { base_url: &self.0.base_url, files }, column::page_schema()))
    }

    fn stamp(&self, split: &Split) -> Result<Stamp, SourceError> {
        Ok(Stamp::of_all(&stamps(&self.files_of(split)?)?))
    }
}

impl Html {
    fn list(&self, base: &Path) -> Result<Vec<files::Found>, SourceError> {
        files::list(base, &self.0.paths.0, ENDINGS)
    }

    fn files_of(&self, split: &Split) -> Result<Vec<files::Found>, SourceError> {
        let mut found = self.list(&split.path)?;
        let range = split.start as usize..split.end as usize;
        if found.len() < range.end {
            return Err(SourceError::Refused(format!("files of `{}` are gone", split.name)));
        }
        Ok(found.drain(range).collect())
    }
}

fn stamps(found: &[files::Found]) -> Result<Vec<Stamp>, SourceError> {
    found.iter().map(|file| Stamp::of(&file.path)).collect()
}

struct Files<'a> {
    base_url: &'a str,
    files: std::vec::IntoIter<files::Found>,
}

impl Feed for Files<'_> {
    fn feed(&mut self, rows: &mut PageBuilder) -> Result<bool, SourceError> {
        let Some(file) = self.files.next() else { return Ok(false) };
        let (bytes, length) = read_bounded(&file.path)?;
        let verdict = if bytes.is_empty() {
            dropped(Drop::Empty.name(), 0.0, 1.0)
        } else if length > DOCUMENT_BYTES_MAX as u64 {
            dropped(Drop::TooLarge.name(), length as f64, DOCUMENT_BYTES_MAX as f64)
        } else if sniff::is_binary(&bytes) {
            dropped(Drop::Binary.name(), 0.0, 0.0)
        } else {
            Verdict::Kept
        };
        let url = address(self.base_url, &file.below);
        let source = format!("{}:0", file.name);
        let kept = matches!(verdict, Verdict::Kept);
        let html = if kept { &bytes[..] } else { &bytes[..bytes.len().min(REJECT_BYTES_MAX)] };
        let page = Page { url: url.as_deref(), source: &source, html: Some(html), ..Page::default() };
        rows.push(DocId::new("html", &file.name), &page, &[], verdict);
        Ok(true)
    }
}

/// The bytes of a file, at most one more than a document may have, and its length.
fn read_bounded(path: &PathBuf) -> Result<(Vec<u8>, u64), SourceError> {
    let mut file = File::open(path).map_err(SourceError::io(path))?;
    let mut bytes = Vec::new();
    file.by_ref()
        .take(DOCUMENT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(SourceError::io(path))?;
    let length = file.metadata().map_err(SourceError::io(path))?.len().max(bytes.len() as u64);
    Ok((bytes, length))
}

/// The address of a page, its path percent-encoded as the URL Standard does.
fn address(base_url: &str, name: &str) -> Option<String> {
    let mut url = url::Url::parse(base_url).ok()?;
    let mut path = url.path().trim_end_matches('/').to_owned();
    path.push('/');
    // A query or fragment sign in a file name is part of the path.
    path.push_str(&name.replace('%', "%25").replace('?', "%3F").replace('#', "%23"));
    url.set_path(&path);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn check(config: Config, files: &[(&str, &[u8])], expected: &[(&str, &str)]) {
        let base = files::scratch("html");
        for (name, bytes) in files {
            let path = base.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let source = Html(config);
        let mut found = Vec::new();
        for split in source.splits(&files::context(&base)).unwrap() {
            for intake in source.read(&split).unwrap() {
                let intake = intake.unwrap();
                let urls = column::utf8(&intake.batch, column::URL).unwrap();
                for (row, verdict) in intake.verdicts.iter().enumerate() {
                    let word = match verdict {
                        Verdict::Dropped { reason, .. } => reason,
                        _ => "kept",
                    };
                    found.push((urls.iter().nth(row).flatten().unwrap_or("").to_owned(), word));
                }
            }
        }
        let found: Vec<(&str, &str)> = found.iter().map(|(url, word)| (url.as_str(), *word)).collect();
        assert_eq!(found, expected);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn pages_come_sorted_each_with_its_address() {
        let config =
            Config { paths: FilePaths(vec!["site".into()]), base_url: "https://example.org/docs/".into() };
        let files: [(&str, &[u8]); 6] = [
            ("site/b.html", b"<p>b"),
            ("site/a/x y.HTM", b"<p>x"),
            ("site/empty.html", b""),
            ("site/junk.html", b"\x89PNG\r\n\x1a\n\0\0"),
            ("site/latin.xhtml", b"<p>caf\xe9"),
            ("site/skip.txt", b"x"),
        ];
        let expected = [
            ("https://example.org/docs/a/x%20y.HTM", "kept"),
            ("https://example.org/docs/b.html", "kept"),
            ("https://example.org/docs/empty.html", "empty"),
            ("https://example.org/docs/junk.html", "binary"),
            ("https://example.org/docs/latin.xhtml", "kept"),
        ];
        check(config, &files, &expected);
    }

    #[test]
    fn many_pages_make_few_splits_and_none_is_lost() {
        let names: Vec<String> = (0..700).map(|n| format!("{n:04}.html")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), b"<p>".as_slice())).collect();
        let expected: Vec<(&str, &str)> = names.iter().map(|_| ("", "kept")).collect();
        check(Config { paths: FilePaths(vec![".".into()]), ..Config::default() }, &files, &expected);
    }

    #[test]
    fn a_base_that_is_no_address_is_refused() {
        let settings = |base: &str| {
            let paths = schemas::Value::from(vec!["site"]);
            let base = schemas::Value::from(base);
            schemas::Settings::new(vec![("paths".into(), paths), ("base_url".into(), base)])
        };
        assert!(BUILD(&settings("https://example.org")).is_ok());
        assert!(BUILD(&settings("example")).is_err());
        assert!(BUILD(&schemas::Settings::default()).is_err());
    }
}
