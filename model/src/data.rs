//! Rows of a committed dataset, in an order that is a function of the seed and the epoch.
//!
//! Rows are read in chunks. An epoch shuffles the chunks, takes a window of them into memory and shuffles its rows: so a
//! training of any size needs the memory of one window, a dataset below a window is shuffled as a whole, and a position is two numbers.

use crate::batch::Row;
use crate::error::TrainError;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::hash::{Rng, seed};
use schemas::manifest::{self, Manifest, Tokens};
use schemas::token;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Rows of a chunk.
const CHUNK_ROWS: u64 = 256;
/// Tokens of a window, 64 MB of them.
const WINDOW_TOKENS: u64 = 16 << 20;

/// A committed dataset that holds token shards.
#[derive(Debug, Clone)]
pub struct Dataset {
    folder: PathBuf,
    /// Name in the manifest.
    pub name: String,
    /// Hexadecimal blake3 of the manifest.
    pub manifest_hash: String,
    /// Sequence length, vocabulary and hash of the tokenizer.
    pub tokens: Tokens,
    /// Training rows.
    pub train: Rows,
    /// Held-out rows.
    pub validation: Rows,
}

/// The rows of a split of the dataset.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    shards: Vec<(PathBuf, u64)>,
    length: usize,
    vocab: u64,
}

fn read(path: &Path) -> Result<Vec<u8>, TrainError> {
    std::fs::read(path).map_err(TrainError::io(path))
}

impl Dataset {
    /// Opens a dataset and checks its token shards and tokenizer against the manifest.
    ///
    /// # Errors
    /// No manifest, no token shards, or a file that is missing or altered, with its name.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(manifest::FILE);
        let bytes = read(&path)?;
        let parsed: Manifest = serde_json::from_slice(&bytes).map_err(TrainError::file(&path))?;
        if parsed.version != manifest::VERSION {
            let message = format!("layout {} is not the known layout {}", parsed.version, manifest::VERSION);
            return Err(TrainError::File { path, message });
        }
        let Some(tokens) = parsed.tokens.clone() else {
            return Err(TrainError::file(&path)(
                "the dataset has no token shards; add a tokenizer to its recipe",
            ));
        };
        for (name, file) in &parsed.files {
            if name.starts_with(&format!("{}/", tokens.folder)) || name == manifest::TOKENIZER {
                check(&folder.join(name), file)?;
            }
        }
        let length = usize::try_from(tokens.sequence_length).map_err(TrainError::file(&path))?;
        let rows = |split: &str| Rows {
            shards: (parsed.files.iter())
                .filter(|(name, _)| name.starts_with(&format!("{}/{split}/", tokens.folder)))
                .filter(|(name, _)| name.ends_with(".parquet"))
                .map(|(name, file)| (folder.join(name), file.rows.unwrap_or(0)))
                .collect(),
            length,
            vocab: tokens.vocab_size,
        };
        let (train, validation) = (rows("train"), rows("validation"));
        if train.is_empty() {
            return Err(TrainError::file(&path)("the dataset has no training sequences"));
        }
        let manifest_hash = blake3::hash(&bytes).to_hex().to_string();
        Ok(Self { folder: folder.to_owned(), name: parsed.name, manifest_hash, tokens, train, validation })
    }

    /// Where the tokenizer lies.
    pub fn tokenizer(&self) -> PathBuf {
        self.folder.join(manifest::TOKENIZER)
    }
}

fn check(path: &Path, file: &manifest::File) -> Result<(), TrainError> {
    let mut hasher = blake3::Hasher::new();
    let opened = File::open(path).map_err(TrainError::io(path))?;
    let bytes = hasher.update_reader(opened).map_err(TrainError::io(path))?.count();
    if bytes != file.bytes || hasher.finalize().to_hex().as_str() != file.blake3 {
        return Err(TrainError::file(path)("the file is not the one in the manifest"));
    }
    Ok(())
}

impl Rows {
    /// How many rows there are.
    pub fn count(&self) -> u64 {
        self.shards.iter().map(|(_, rows)| rows).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Chunks as (shard, first row, rows).
    fn chunks(&self) -> Vec<(usize, u64, u64)> {
        let cut = |(shard, &(_, rows)): (usize, &(PathBuf, u64))| {
            let firsts = (0..rows).step_by(CHUNK_ROWS as usize);
            firsts.map(move |first| (shard, first, CHUNK_ROWS.min(rows - first))).collect::<Vec<_>>()
        };
        self.shards.iter().enumerate().flat_map(cut).collect()
    }

    fn window_chunks(&self) -> usize {
        usize::try_from(WINDOW_TOKENS / (CHUNK_ROWS * self.length as u64)).map_or(1, |n| n.max(1))
    }

    /// Reads rows from `first` on of one shard.
    fn read(&self, shard: usize, first: u64, count: u64) -> Result<Vec<Row>, TrainError> {
        let path = &self.shards[shard].0;
        let wrong = |message: String| TrainError::File { path: path.clone(), message };
        let file = File::open(path).map_err(TrainError::io(path))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(TrainError::file(path))?;
        let place = |n: u64| usize::try_from(n).map_err(TrainError::file(path));
        let reader = reader.with_offset(place(first)?).with_limit(place(count)?).build();
        let mut rows = Vec::new();
        for batch in reader.map_err(TrainError::file(path))? {
            let batch = batch.map_err(TrainError::file(path))?;
            for row in 0..batch.num_rows() {
                rows.push(self.row(&batch, row).map_err(wrong)?);
            }
        }
        if rows.len() as u64 != count {
            return Err(wrong(format!("holds fewer rows than the manifest says ({})", self.shards[shard].1)));
        }
        Ok(rows)
    }

    fn row(&self, batch: &RecordBatch, row: usize) -> Result<Row, String> {
        let column = |name: &str| batch.column_by_name(name).ok_or(format!("column `{name}` is missing"));
        let list = |name: &str| -> Result<Vec<u32>, String> {
            let lists = column(name)?.as_list_opt::<i32>().ok_or(format!("column `{name}` is no list"))?;
            let values = lists.value(row);
            let values =
                values.as_primitive_opt::<Int32Type>().ok_or(format!("column `{name}` is not Int32"))?;
            let read = |&n: &i32| u32::try_from(n).map_err(|_| format!("column `{name}` holds {n}"));
            values.values().iter().map(read).collect()
        };
        let padding =
            column(token::PAD)?.as_primitive_opt::<Int32Type>().ok_or("column `pad` is not Int32")?;
        let padding = u32::try_from(padding.value(row)).map_err(|_| "column `pad` is negative")?;
        let (ids, piece_lengths) = (list(token::INPUT_IDS)?, list(token::DOC_LENS)?);
        let begins: Vec<bool> = list(token::DOC_OFFSETS)?.iter().map(|&offset| offset == 0).collect();
        if begins.len() != piece_lengths.len() {
            return Err(format!("{} pieces have {} offsets", piece_lengths.len(), begins.len()));
        }
        if let Some(id) = ids.iter().find(|id| u64::from(**id) >= self.vocab) {
            return Err(format!("token {id} is not below the vocabulary's size {}", self.vocab));
        }
        let covered = piece_lengths.iter().map(|&n| u64::from(n)).sum::<u64>() + u64::from(padding);
        if ids.len() != self.length || covered != self.length as u64 {
            let found = ids.len();
            return Err(format!("a row has {found} tokens, {covered} covered, of {}", self.length));
        }
        Ok(Row { ids, piece_lengths, begins, padding })
    }

    /// Rows in the order of the dataset, chunk by chunk, the first `limit` of them.
    pub(crate) fn in_order(&self, limit: u64) -> impl Iterator<Item = Result<Vec<Row>, TrainError>> + '_ {
        let mut left = limit;
        self.chunks().into_iter().map_while(move |(shard, first, count)| {
            let count = count.min(left);
            left -= count;
            (count > 0).then(|| self.read(shard, first, count))
        })
    }
}

/// How far a training has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Passes over the training rows before this one.
    pub epoch: u64,
    /// Rows read in this pass.
    pub rows: u64,
}

/// Training rows without end.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    rows: &'a Rows,
    seed: u64,
    position: Position,
    /// Rows of the window that are left, the next one last, and the window's end in the epoch.
    window: Vec<Row>,
}

fn shuffle<T>(items: &mut [T], key: u64) {
    let mut rng = Rng::new(key);
    for last in (1..items.len()).rev() {
        let other = rng.below(last as u64 + 1);
        items.swap(last, usize::try_from(other).expect("below a length"));
    }
}

impl<'a> Stream<'a> {
    /// Goes on at a position.
    pub(crate) const fn new(rows: &'a Rows, seed: u64, position: Position) -> Self {
        Self { rows, seed, position, window: Vec::new() }
    }

    /// Where the next row stands.
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// The next rows; passes follow each other without a gap.
    pub(crate) fn take(&mut self, count: u64) -> Result<Vec<Row>, TrainError> {
        let mut taken = Vec::new();
        for _ in 0..count {
            if self.window.is_empty() {
                self.fill()?;
            }
            taken.extend(self.window.pop());
            self.position.rows += 1;
        }
        Ok(taken)
    }

    /// Reads the window that holds the position.
    fn fill(&mut self) -> Result<(), TrainError> {
        if self.position.rows >= self.rows.count() {
            self.position = Position { epoch: self.position.epoch + 1, rows: 0 };
        }
        let key = |name: &str, at: u64| seed(seed(self.seed, name, self.position.epoch), "window", at);
        let mut chunks = self.rows.chunks();
        shuffle(&mut chunks, key("chunks", 0));
        let mut before = 0;
        for (index, window) in chunks.chunks_mut(self.rows.window_chunks()).enumerate() {
            let count: u64 = window.iter().map(|chunk| chunk.2).sum();
            if self.position.rows < before + count {
                window.sort_unstable();
                self.window.clear();
                for &mut (shard, first, count) in window {
                    self.window.extend(self.rows.read(shard, first, count)?);
                }
                shuffle(&mut self.window, key("rows", index as u64));
                let done = usize::try_from(self.position.rows - before).expect("below the rows of a window");
                self.window.truncate(self.window.len() - done);
                return Ok(());
            }
            before += count;
        }
        unreachable!("a position below the count of rows lies in a window")
    }
}
