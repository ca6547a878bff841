//! Training sequences out of token shards, checked against the manifest and in themselves.

use crate::digest::digest;
use crate::inspect::table::Part;
use crate::inspect::{Dataset, InspectError};
use arrow::array::{AsArray, BooleanArray, ListArray, RecordBatch};
use arrow::datatypes::Int32Type;
use schemas::manifest::Tokens;
use schemas::{DocId, token};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The shards of a split.
pub(super) struct Shards<'a> {
    dataset: &'a Dataset,
    names: Vec<&'a str>,
    vocab: u64,
    /// Tokens in them, padding left out.
    pub(super) tokens: u64,
}

/// A row, without its padding.
pub(super) struct Row<'a> {
    pub(super) ids: &'a [u32],
    pub(super) mask: Option<&'a [bool]>,
    pub(super) pieces: &'a [Piece],
    /// Name of its shard in the dataset, and place in the list of shards.
    pub(super) shard: &'a str,
    pub(super) shard_number: usize,
    pub(super) number: u64,
    /// Whether it is of a mix, which may have a document several times, or a part of it.
    pub(super) mixed: bool,
}

/// A part of a document in a row.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) document: DocId,
    /// Where it starts in the tokens of its document.
    pub(super) offset: u32,
    /// Its tokens in the row.
    pub(super) tokens: Range<usize>,
}

impl<'a> Shards<'a> {
    pub(super) fn of(dataset: &'a Dataset, tokens: &Tokens, split: &str) -> Self {
        let inside = format!("{}/{split}/", tokens.folder);
        let is_it = |name: &&String| name.starts_with(&inside) && name.ends_with(".parquet");
        let names = dataset.manifest.files.keys().filter(is_it).map(String::as_str).collect();
        let count = if split == "train" { tokens.train } else { tokens.validation };
        Self { dataset, names, vocab: tokens.vocab_size, tokens: count }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.iter().all(|name| self.dataset.manifest.files[*name].rows == Some(0))
    }

    pub(super) fn name(&self, number: usize) -> &'a str {
        self.names[number]
    }

    pub(super) fn path(&self, number: usize) -> PathBuf {
        self.dataset.root.join(self.names[number])
    }

    /// Calls `see` with every row, shard by shard.
    pub(super) fn rows(
        &self,
        see: &mut dyn FnMut(Row<'_>) -> Result<(), InspectError>,
    ) -> Result<(), InspectError> {
        for (shard_number, name) in self.names.iter().enumerate() {
            let path = self.dataset.root.join(name);
            self.check(name, &path)?;
            let part = Part::open(&path)?;
            let mut number = 0;
            for batch in part.read(None, None)? {
                let batch = batch?;
                let columns = Columns::of(&batch).map_err(|message| damaged(&path, message))?;
                let mut row = Decoded::default();
                for at in 0..batch.num_rows() {
                    columns
                        .row(at, self.vocab, &mut row)
                        .map_err(|message| damaged(&path, format!("row {number}: {message}")))?;
                    let Decoded { ids, mask, pieces } = &row;
                    let mask = columns.mask.is_some().then_some(mask.as_slice());
                    let mixed = batch.column_by_name(token::SOURCE).is_some();
                    see(Row { ids, mask, pieces, shard: name, shard_number, number, mixed })?;
                    number += 1;
                }
            }
        }
        Ok(())
    }

    /// The bytes of a shard are those of the manifest.
    fn check(&self, name: &str, path: &Path) -> Result<(), InspectError> {
        let mut file = File::open(path).map_err(InspectError::io(path))?;
        let found = digest(&mut file).map_err(InspectError::io(path))?;
        if found.blake3 == self.dataset.manifest.files[name].blake3 { Ok(()) } else { Err(altered(path)) }
    }
}

fn damaged(path: &Path, message: String) -> InspectError {
    InspectError::format(path, message, "`gristmill verify DATASET` tells what differs; build it again")
}

/// A file is not the one in the manifest.
pub(super) fn altered(path: &Path) -> InspectError {
    damaged(path, "the file is not the one in the manifest".to_owned())
}

#[derive(Default)]
struct Decoded {
    ids: Vec<u32>,
    mask: Vec<bool>,
    pieces: Vec<Piece>,
}

struct Columns<'a> {
    ids: &'a ListArray,
    lengths: &'a ListArray,
    documents: &'a ListArray,
    offsets: &'a ListArray,
    mask: Option<(&'a ListArray, &'a BooleanArray)>,
}

fn range(list: &ListArray, row: usize) -> Range<usize> {
    list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize
}

fn numbers(list: &ListArray, row: usize) -> &[i32] {
    &list.values().as_primitive::<Int32Type>().values()[range(list, row)]
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let list = |name: &str| {
            let column = batch.column_by_name(name).ok_or_else(|| format!("column `{name}` is missing"))?;
            column.as_list_opt::<i32>().ok_or_else(|| format!("column `{name}` is no list"))
        };
        let ints = |name: &str| {
            let list = list(name)?;
            let is_int = list.values().as_primitive_opt::<Int32Type>().is_some();
            if is_int { Ok(list) } else { Err(format!("column `{name}` is not Int32")) }
        };
        let documents = list(token::DOC_IDS)?;
        if documents.values().as_string_opt::<i32>().is_none() {
            return Err("column `doc_ids` is not of text".to_owned());
        }
        let mask = batch.column_by_name(token::LOSS_MASK).and_then(|column| column.as_list_opt::<i32>());
        let mask = mask.and_then(|list| Some((list, list.values().as_boolean_opt()?)));
        Ok(Self {
            ids: ints(token::INPUT_IDS)?,
            lengths: ints(token::DOC_LENS)?,
            documents,
            offsets: ints(token::DOC_OFFSETS)?,
            mask,
        })
    }

    fn row(&self, at: usize, vocab: u64, out: &mut Decoded) -> Result<(), String> {
        out.ids.clear();
        out.pieces.clear();
        out.mask.clear();
        let (lengths, offsets) = (numbers(self.lengths, at), numbers(self.offsets, at));
        let documents = range(self.documents, at);
        if lengths.len() != offsets.len() || lengths.len() != documents.len() {
            return Err("documents, lengths and offsets are not as many".to_owned());
        }
        let names = self.documents.values().as_string::<i32>();
        let mut end = 0;
        for ((&length, &offset), document) in lengths.iter().zip(offsets).zip(documents) {
            let (Ok(length), Ok(offset)) = (usize::try_from(length), u32::try_from(offset)) else {
                return Err("a piece has a negative length or offset".to_owned());
            };
            let name = names.value(document);
            let document = DocId::parse(name).ok_or_else(|| format!("`{name}` is no id of a document"))?;
            out.pieces.push(Piece { document, offset, tokens: end..end + length });
            end += length;
        }
        let ids = numbers(self.ids, at);
        let ids =
            ids.get(..end).ok_or_else(|| format!("pieces of {end} tokens in a row of {}", ids.len()))?;
        if let Some(id) = ids.iter().find(|&&id| u64::try_from(id).map_or(true, |id| id >= vocab)) {
            return Err(format!("token id {id} is not in 0..{vocab}"));
        }
        out.ids.extend(ids.iter().map(|id| id.cast_unsigned()));
        if let Some((list, values)) = self.mask {
            let range = range(list, at);
            if range.len() < end {
                return Err(format!("a loss mask of {} for {end} tokens", range.len()));
            }
            out.mask.extend(range.take(end).map(|at| values.value(at)));
        }
        Ok(())
    }
}
