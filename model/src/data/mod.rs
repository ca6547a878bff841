//! Rows of a committed dataset, in an order that is a function of the seed and the epoch.
//!
//! [`Rows`] reads the token shards, [`order`] says which row is which sample, and [`Stream`] puts both together: it reads
//! window by window and hands out rows, all of them or the share of one process of several.

mod decode;
mod documents;
mod feistel;
mod languages;
mod order;
mod pages;
mod rows;
mod stream;

pub use decode::Piece;
pub(crate) use documents::Document;
pub use order::{Position, WINDOW_TOKENS};
pub use rows::Rows;
pub use stream::{Share, Stream};

use crate::error::TrainError;
use schemas::manifest::{self, Manifest, Tokens};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What is said of a file that is not what was built.
const DAMAGED: &str = "the file is not the one in the manifest; `gristmill verify` names all such files, and a build makes them again";
/// Where a dataset keeps its documents.
const DOCUMENTS: &str = "documents/";

/// A committed dataset that holds token shards.
#[derive(Debug)]
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
    /// Shards of the documents, in order; none where the dataset has tokens alone.
    documents: Vec<PathBuf>,
    hash: [u8; 32],
    /// Names of the languages of its documents, once they were asked for.
    languages: OnceLock<Vec<String>>,
}

fn read(path: &Path) -> Result<Vec<u8>, TrainError> {
    std::fs::read(path).map_err(TrainError::io(path))
}

impl Dataset {
    /// The folder of the dataset.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens a dataset and checks its token shards and tokenizer against the manifest.
    ///
    /// # Errors
    /// No manifest, no token shards, or a file that is missing or altered, with its name.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(manifest::FILE);
        if !path.is_file() {
            return Err(TrainError::file(folder)("no committed dataset is there"));
        }
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
        let rows = |split: &str| {
            let inside = format!("{}/{split}/", tokens.folder);
            let files = (parsed.files.iter())
                .filter(|(name, _)| name.starts_with(&inside) && name.ends_with(".parquet"))
                .map(|(name, file)| (folder.join(name), file));
            Rows::open(files, tokens.sequence_length, tokens.vocab_size)
        };
        let (train, validation) = (rows("train")?, rows("validation")?);
        if train.is_empty() {
            return Err(TrainError::file(&path)("the dataset has no training sequences"));
        }
        let hash = blake3::hash(&bytes);
        let is_documents = |name: &&String| name.starts_with(DOCUMENTS) && name.ends_with(".parquet");
        let documents = parsed.files.keys().filter(is_documents).map(|name| folder.join(name)).collect();
        Ok(Self {
            folder: folder.to_owned(),
            name: parsed.name,
            manifest_hash: hash.to_hex().to_string(),
            tokens,
            train,
            validation,
            documents,
            hash: *hash.as_bytes(),
            languages: OnceLock::new(),
        })
    }

    /// Where the tokenizer lies.
    pub fn tokenizer(&self) -> PathBuf {
        self.folder.join(manifest::TOKENIZER)
    }

    /// Before the first training row, in the order of a seed.
    pub const fn begin(&self, seed: u64) -> Position {
        Position { dataset: self.hash, seed, epoch: 0, sample: 0 }
    }

    /// Training rows without end from a position on.
    ///
    /// # Errors
    /// The position is one in another dataset, or beyond the rows of this one.
    pub fn stream(&self, position: Position, share: Share) -> Result<Stream<'_>, TrainError> {
        if position.dataset != self.hash {
            let then = blake3::Hash::from_bytes(position.dataset).to_hex();
            return Err(TrainError::file(&self.folder)(format!(
                "the position is one in a dataset with the manifest {then}, not {}",
                self.manifest_hash
            )));
        }
        if position.sample > self.train.count() {
            let (sample, rows) = (position.sample, self.train.count());
            let message = format!("the position is sample {sample} of an epoch of {rows}");
            return Err(TrainError::file(&self.folder)(message));
        }
        Ok(Stream::new(&self.train, position, share))
    }
}

fn check(path: &Path, file: &manifest::File) -> Result<(), TrainError> {
    let mut hasher = blake3::Hasher::new();
    let opened = File::open(path).map_err(TrainError::io(path))?;
    let bytes = hasher.update_reader(opened).map_err(TrainError::io(path))?.count();
    if bytes != file.bytes || hasher.finalize().to_hex().as_str() != file.blake3 {
        return Err(TrainError::file(path)(DAMAGED));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
