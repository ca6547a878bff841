//! What a stage reads: files of one kind, which the ends of their names tell.

use schemas::{SourceError, Value, column};
use stages::source::jsonl::Peek;
use stages::source::{files, html, jsonl, parquet, warc};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// First bytes of a Parquet file, which tell it under any name.
const PARQUET: &[u8] = b"PAR1";
/// The file that standard input is written to.
const SPOOLED: &str = "in.jsonl";
/// Sources that read files, and what the names of these end in.
const READERS: [(&str, &[&str]); 4] = [
    (jsonl::SPEC.kind, jsonl::ENDINGS),
    (parquet::SPEC.kind, parquet::ENDINGS),
    (html::SPEC.kind, html::ENDINGS),
    (warc::SPEC.kind, warc::ENDINGS),
];

/// The files that `--in` names, and the source that reads them.
pub(super) struct Input {
    paths: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// Kind of the source.
    pub(super) source: &'static str,
    /// The first lines of the first file, where it has lines; what cannot be read is told when it is read.
    pub(super) peek: Peek,
}

impl Input {
    /// Finds the files of paths, each a file, a folder or a pattern.
    ///
    /// # Errors
    /// No such file; files of several kinds.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self, String> {
        let endings: Vec<&str> = READERS.iter().flat_map(|(_, endings)| *endings).copied().collect();
        let written: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let unreadable = |error: SourceError| format!("cannot read {error}");
        let found = files::list(Path::new(""), &written, &endings).map_err(unreadable)?;
        let files: Vec<PathBuf> = found.into_iter().map(|file| file.path).collect();
        let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
        for file in &files {
            // In folders and by patterns a source looks for names alone.
            let is_named = paths.contains(file);
            let kind = match is_named && is_parquet(file).map_err(|e| unreadable(SourceError::io(file)(e)))? {
                true => parquet::SPEC.kind,
                false => reader(file),
            };
            *kinds.entry(kind).or_default() += 1;
        }
        match kinds.first_key_value() {
            Some((source, _)) if kinds.len() == 1 => {
                let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
                let first = files.first().filter(|_| *source == jsonl::SPEC.kind);
                let peek = first.and_then(|file| Peek::at(file).ok()).unwrap_or_default();
                Ok(Self { paths: paths.iter().map(absolute).collect(), files, source, peek })
            }
            _ => {
                let kinds = kinds.iter().map(|(kind, count)| format!("{count} for `{kind}`"));
                let kinds = kinds.collect::<Vec<_>>().join(" and ");
                Err(format!(
                    "`--in` names files of several kinds, {kinds}; name those of one, such as 'data/*.jsonl'"
                ))
            }
        }
    }

    /// Writes standard input to a file of JSON lines, for it is read more than once.
    ///
    /// # Errors
    /// Of the system.
    pub(super) fn spool(folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(SPOOLED);
        io::copy(&mut io::stdin().lock(), &mut File::create(&path)?)?;
        Ok(path)
    }

    pub(super) fn is_lines(&self) -> bool {
        self.source == jsonl::SPEC.kind
    }

    /// Whether rows come with a text, and not as pages.
    pub(super) fn has_text(&self) -> bool {
        self.is_lines() || self.source == parquet::SPEC.kind
    }

    /// Whether `path` is one of the files.
    pub(super) fn reads(&self, path: &Path) -> bool {
        let place = path.canonicalize().ok();
        place.is_some() && self.files.iter().any(|file| file.canonicalize().ok() == place)
    }

    /// Whether a pattern for files of any name would find what is beside `path` until it is complete.
    pub(super) fn finds_unfinished(&self, path: &Path) -> bool {
        let folder = std::path::absolute(path).ok().and_then(|path| Some(path.parent()?.to_owned()));
        let is_over = |pattern: &PathBuf| {
            let is_pattern =
                |part: &std::path::Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?']);
            let root: PathBuf = pattern.components().take_while(|part| !is_pattern(part)).collect();
            let is_open = pattern.to_string_lossy().ends_with('*');
            is_open && folder.as_ref().is_some_and(|folder| folder.starts_with(root))
        };
        self.paths.iter().any(is_over)
    }

    pub(super) fn bytes(&self) -> io::Result<u64> {
        self.files.iter().map(|file| fs::metadata(file).map(|file| file.len())).sum()
    }

    /// The settings of the source for a stage: `text_field` and `html_field` where they were named.
    pub(super) fn settings(
        &self,
        stage: &str,
        text_field: Option<&str>,
        html_field: Option<&str>,
    ) -> Vec<(String, Value)> {
        let paths: Vec<Value> =
            self.paths.iter().map(|path| path.to_string_lossy().into_owned().into()).collect();
        let mut settings = vec![("paths", Value::from(paths))];
        if self.is_lines() {
            settings.push(("row", true.into()));
            if let Some(name) = html_field.or(reads_pages(stage).then_some(column::HTML)) {
                settings.push(("html_field", name.into()));
            }
        }
        // A chat has no field that is one text.
        let text_field = text_field.or((stage == "tokenize.chat" && self.is_lines()).then_some(""));
        if let Some(name) = text_field {
            settings.push((if self.is_lines() { "text_field" } else { "text_column" }, name.into()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Whether a file begins like Parquet.
fn is_parquet(file: &Path) -> io::Result<bool> {
    let mut first = Vec::new();
    File::open(file)?.take(PARQUET.len() as u64).read_to_end(&mut first)?;
    Ok(first == PARQUET)
}

/// The source that reads files of such a name; one that says nothing has JSON lines.
fn reader(file: &Path) -> &'static str {
    let name = file.to_string_lossy().to_ascii_lowercase();
    let of_name = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    READERS.iter().find(|(_, endings)| of_name(endings)).map_or(jsonl::SPEC.kind, |(kind, _)| kind)
}

/// Whether a stage reads the page of a document and not its text.
fn reads_pages(stage: &str) -> bool {
    stage.starts_with("extract.") || stage == "filter.rights"
}
