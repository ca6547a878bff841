//! Token shards in the formats of other trainers.
//!
//! The shards are checked against the manifest while they are read. By documents, pieces of a document that was cut are
//! joined again, and documents come in the order of their ids, which is that of no source ([`documents`]); by rows, each
//! training sequence is one, without its padding. A format is a [`Format`]. Everything is written beside the folder that is
//! asked for and renamed when it is whole; a folder that is there is never touched.

mod datatrove;
mod documents;
mod format;
pub(crate) mod lock;
mod megatron;
mod npy;
mod place;
mod read;

use crate::digest::digest;
use crate::inspect::{Dataset, InspectError};
use format::{Format, Width};
use place::Place;
use schemas::manifest::{self, Tokens};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Name of the description of an export in its folder.
pub const FILE: &str = "export.json";

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// `.bin` and `.idx` of Megatron-LM, NeMo and those that read them.
    Megatron,
    /// `.ds`, `.ds.index`, `.ds.loss` and `.ds.metadata` of datatrove and nanotron.
    Datatrove,
    /// A bare array of tokens, `.npy` by name alone, with a table of documents: OLMo.
    Npy,
}

/// What an entry of the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A document, whole.
    Documents,
    /// A training sequence as it was packed, without padding.
    Rows,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// Format.
    pub to: To,
    /// Unit.
    pub by: By,
    /// `train` or `validation`; both where it is absent.
    pub split: Option<String>,
}

/// What was written: `export.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Format.
    pub to: To,
    /// Unit.
    pub by: By,
    /// Name of the dataset.
    pub dataset: String,
    /// Hexadecimal blake3 of its manifest.
    pub manifest: String,
    /// Hexadecimal blake3 of its tokenizer.
    pub tokenizer: String,
    /// Token ids are below this.
    pub vocab_size: u64,
    /// Token between documents.
    pub eos_id: u32,
    /// Bytes of a token.
    pub token_bytes: u64,
    /// What each split has.
    pub splits: BTreeMap<String, Split>,
    /// Every file but this one.
    pub files: BTreeMap<String, manifest::File>,
}

/// A split of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Split {
    /// Entries of the index: documents or rows.
    pub entries: u64,
    /// Tokens.
    pub tokens: u64,
    /// Whether the shards have a loss mask and the format has none to take it.
    pub loss_mask_left_out: bool,
}

/// Writes the token shards of a dataset into a folder.
///
/// # Errors
/// No token shards, no such split, a folder that is there, a shard that is missing, altered or incomplete, a full disk.
pub fn export(dataset: &Dataset, out: &Path, request: &Request) -> Result<Exported, InspectError> {
    let path = dataset.root.join(manifest::FILE);
    let Some(tokens) = dataset.manifest.tokens.clone() else {
        let help = "add a `[tokenizer]` to its recipe and build it again";
        return Err(InspectError::format(&path, "the dataset has no token shards", help));
    };
    let bytes = fs::read(&path).map_err(InspectError::io(&path))?;
    let splits = splits(dataset, &tokens, request)?;
    let width = Width::of(tokens.vocab_size);
    let place = Place::take(out)?;
    let mut exported = Exported {
        to: request.to,
        by: request.by,
        dataset: dataset.manifest.name.clone(),
        manifest: blake3::hash(&bytes).to_hex().to_string(),
        tokenizer: tokens.tokenizer.clone(),
        vocab_size: tokens.vocab_size,
        eos_id: tokens.eos_id,
        token_bytes: width.bytes(),
        splits: BTreeMap::new(),
        files: BTreeMap::new(),
    };
    for split in splits {
        let shards = read::Shards::of(dataset, &tokens, split);
        let mut format = open(request.to, place.part(), split, width, &tokens)?;
        let found = match request.by {
            By::Documents => documents::write(&shards, &place.scratch(), format.as_mut())?,
            By::Rows => rows(&shards, place.part(), format.as_mut())?,
        };
        format.finish().map_err(InspectError::io(place.part()))?;
        exported.splits.insert(split.to_owned(), found);
    }
    tokenizer(dataset, place.part())?;
    exported.files = digests(place.part())?;
    let json = serde_json::to_vec_pretty(&exported).expect("maps with string keys are JSON");
    let told = place.part().join(FILE);
    fs::write(&told, json).map_err(InspectError::io(&told))?;
    place.publish()?;
    Ok(exported)
}

fn open(
    to: To,
    folder: &Path,
    split: &str,
    width: Width,
    tokens: &Tokens,
) -> Result<Box<dyn Format>, InspectError> {
    let format: std::io::Result<Box<dyn Format>> = match to {
        To::Megatron => megatron::Megatron::create(folder, split, width).map(|f| Box::new(f) as Box<_>),
        To::Datatrove => datatrove::Datatrove::create(folder, split, width, &tokens.tokenizer)
            .map(|f| Box::new(f) as Box<_>),
        To::Npy => npy::Npy::create(folder, split, width).map(|f| Box::new(f) as Box<_>),
    };
    format.map_err(InspectError::io(folder))
}

/// The splits that are asked for and there.
fn splits<'a>(
    dataset: &Dataset,
    tokens: &Tokens,
    request: &'a Request,
) -> Result<Vec<&'a str>, InspectError> {
    let is_there = |split: &&str| !read::Shards::of(dataset, tokens, split).is_empty();
    let asked: Vec<&str> = request.split.as_deref().map_or_else(|| vec!["train", "validation"], |s| vec![s]);
    let found: Vec<&str> = asked.into_iter().filter(is_there).collect();
    if found.is_empty() {
        let message =
            format!("the dataset has no sequences in `{}`", request.split.as_deref().unwrap_or("train"));
        return Err(InspectError::question(message, "splits are `train` and `validation`"));
    }
    Ok(found)
}

/// Every row as an entry of a format in `folder`.
fn rows(shards: &read::Shards<'_>, folder: &Path, format: &mut dyn Format) -> Result<Split, InspectError> {
    let mut split = Split::default();
    shards.rows(&mut |row| {
        let entry =
            format::Entry { ids: row.ids, mask: row.mask, shard: row.shard, row: row.number, document: None };
        split.add(&entry, format);
        format.add(&entry).map_err(InspectError::io(folder))
    })?;
    Ok(split)
}

impl Split {
    fn add(&mut self, entry: &format::Entry<'_>, format: &dyn Format) {
        self.entries += 1;
        self.tokens += entry.ids.len() as u64;
        self.loss_mask_left_out |= entry.mask.is_some() && !format.takes_mask();
    }
}

/// The tokenizer goes along: without it the numbers say nothing.
fn tokenizer(dataset: &Dataset, part: &Path) -> Result<(), InspectError> {
    for name in [manifest::TOKENIZER, manifest::TOKENIZER_CONFIG] {
        let Some(file) = dataset.manifest.files.get(name) else { continue };
        let path = dataset.root.join(name);
        let bytes = fs::read(&path).map_err(InspectError::io(&path))?;
        if blake3::hash(&bytes).to_hex().as_str() != file.blake3 {
            return Err(read::altered(&path));
        }
        let to = part.join(name);
        fs::write(&to, bytes).map_err(InspectError::io(&to))?;
    }
    Ok(())
}

fn digests(part: &Path) -> Result<BTreeMap<String, manifest::File>, InspectError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(part).map_err(InspectError::io(part))? {
        let path: PathBuf = entry.map_err(InspectError::io(part))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut file = File::open(&path).map_err(InspectError::io(&path))?;
        let found = digest(&mut file).map_err(InspectError::io(&path))?;
        file.sync_all().map_err(InspectError::io(&path))?;
        let (bytes, blake3, sha256) = (found.bytes, found.blake3, found.sha256);
        files.insert(name, manifest::File { bytes, rows: None, blake3, sha256 });
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
