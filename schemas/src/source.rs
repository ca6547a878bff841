//! The door of a source: where documents come from, cut into splits.

use crate::{Observer, Verdict};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most rows in a batch that a source makes.
pub const BATCH_ROWS: usize = 256;
/// A batch is closed when its documents reach this many bytes.
pub const BATCH_BYTES: usize = 8 << 20;
/// Longest document that a source reads; a longer one is dropped as `too_large` and its beginning kept.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 20;

/// Where a source works.
pub struct Context<'a> {
    /// Folder that relative paths of the recipe start from.
    pub base: &'a Path,
    /// Folder of this source alone, kept between runs: a crawl archives here.
    pub archive: &'a Path,
    /// Is told of progress.
    pub observer: &'a dyn Observer,
}

/// A piece of a source: the unit of retry, caching and distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Stable name, the same wherever the files lie: relative path, with a range behind `#` where a file is cut.
    pub name: String,
    /// File that it is read from.
    pub path: PathBuf,
    /// First byte.
    pub start: u64,
    /// Byte after the last.
    pub end: u64,
    /// blake3 of the bytes, or of what determines them: part of every cache key behind the split.
    pub content: [u8; 32],
    /// Its files as they were before `content` was hashed.
    pub stamp: Stamp,
}

impl Split {
    /// The file in the name of a split: what stands before the range behind `#`.
    pub fn file(name: &str) -> &str {
        name.rsplit_once('#').map_or(name, |(file, _)| file)
    }
}

/// What writing to files changes: their lengths and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    hash: u64,
    /// The file that was written last, and when.
    newest: (SystemTime, PathBuf),
}

impl Stamp {
    /// The stamp of a file as it is.
    ///
    /// # Errors
    /// `Io`, also when it is gone.
    pub fn of(path: &Path) -> Result<Self, SourceError> {
        let file = fs::metadata(path).map_err(SourceError::io(path))?;
        let modified = file.modified().map_err(SourceError::io(path))?;
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_else(|e| e.duration());
        let facts = [u128::from(file.len()), since.as_nanos()].map(u128::to_le_bytes);
        Ok(Self {
            hash: xxhash_rust::xxh3::xxh3_64(facts.as_flattened()),
            newest: (modified, path.to_owned()),
        })
    }

    /// The stamp of several files, in this order.
    pub fn of_all(stamps: &[Self]) -> Self {
        let hashes: Vec<u8> = stamps.iter().flat_map(|stamp| stamp.hash.to_le_bytes()).collect();
        let newest = stamps.iter().map(|stamp| &stamp.newest).max();
        let newest = newest.cloned().unwrap_or_else(|| (UNIX_EPOCH, PathBuf::new()));
        Self { hash: xxhash_rust::xxh3::xxh3_64(&hashes), newest }
    }

    /// Refuses files that are other than they were.
    ///
    /// # Errors
    /// `Changed` with the file that was written last.
    pub fn refuse_change(&self, before: &Self) -> Result<(), SourceError> {
        if self.hash == before.hash {
            return Ok(());
        }
        Err(SourceError::Changed { path: self.newest.1.clone() })
    }
}

/// Documents that a source read, each with the word on whether it is one.
#[derive(Debug)]
pub struct Intake {
    /// Every record read, also those that are no document: what could be read of them is kept.
    pub batch: RecordBatch,
    /// One per row: `Kept`, or `Dropped` with one of the source's reasons.
    pub verdicts: Vec<Verdict>,
}

/// Batches of one split, in order.
pub type Intakes<'a> = Box<dyn Iterator<Item = Result<Intake, SourceError>> + Send + 'a>;

/// Where documents come from.
pub trait Source: Send + Sync {
    /// The columns that it gives; the first is `id`.
    ///
    /// # Errors
    /// A file that has to be read for it cannot be.
    fn schema(&self, base: &Path) -> Result<SchemaRef, SourceError>;

    /// Whether its rows can have a text as they come; those of pages have one only behind `extract`.
    fn gives_text(&self) -> bool {
        true
    }

    /// The field of the objects in the column `row` that the texts were read from, where every document brings its object. Of a field
    /// that comes twice in an object, the text is the last.
    fn text_of_row(&self) -> Option<&str> {
        None
    }

    /// Gets what must be there before splits can be listed: a crawl fetches. Goes on where an earlier call was killed.
    ///
    /// # Errors
    /// What keeps the whole source from being read.
    fn prepare(&self, _context: &Context<'_>) -> Result<(), SourceError> {
        Ok(())
    }

    /// Lists the splits in a stable order.
    ///
    /// # Errors
    /// A path does not exist or cannot be read.
    fn splits(&self, context: &Context<'_>) -> Result<Vec<Split>, SourceError>;

    /// Reads a split: the same rows in the same batches every time.
    ///
    /// # Errors
    /// The split cannot be opened. A broken record is a dropped row, never an error.
    fn read<'a>(&'a self, split: &'a Split) -> Result<Intakes<'a>, SourceError>;

    /// The stamp of a split as its files are now. The house compares it when the split is read: rows of a changed file
    /// must not be kept under the hash of what it was.
    ///
    /// # Errors
    /// `Io` when a file is gone.
    fn stamp(&self, split: &Split) -> Result<Stamp, SourceError> {
        Stamp::of(&split.path)
    }
}

/// A source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is not what the source reads.
    #[error("{}: {message}", path.display())]
    Format {
        /// File.
        path: PathBuf,
        /// Expected and found.
        message: String,
    },
    /// The file is another than it was when the build began.
    #[error("{} was written to while the build read it; run the build again", path.display())]
    Changed {
        /// File.
        path: PathBuf,
    },
    /// What the source gives is known only when a run has prepared it.
    #[error("{0}")]
    Pending(String),
    /// The source cannot start.
    #[error("{0}")]
    Refused(String),
    /// Arrow refused an operation.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
}

impl SourceError {
    /// Names the path that the system refused.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}
