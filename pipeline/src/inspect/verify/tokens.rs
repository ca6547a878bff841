//! The shape of every training sequence: its length, its pieces, ids below the vocabulary, documents that exist.

use super::{Dataset, Finding, Findings, InspectError, open, reading};
use crate::inspect::dataset::{DOCUMENTS, TOKENS};
use crate::inspect::find::texts;
use crate::inspect::table::Part;
use arrow::array::{Array, AsArray, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use rayon::prelude::*;
use schemas::manifest::{self, Tokens};
use schemas::{column, token};
use std::path::Path;

/// The pieces of the sequences in a batch.
pub(crate) struct Pieces<'a> {
    ids: &'a ListArray,
    lens: &'a ListArray,
    offsets: &'a ListArray,
}

impl<'a> Pieces<'a> {
    /// Borrows the columns.
    pub(crate) fn of(batch: &'a RecordBatch, path: &Path) -> Result<Self, InspectError> {
        let ids = list::<StringArray>(batch, token::DOC_IDS, path)?;
        let lens = list::<Int32Array>(batch, token::DOC_LENS, path)?;
        Ok(Self { ids, lens, offsets: list::<Int32Array>(batch, token::DOC_OFFSETS, path)? })
    }

    /// Whether a row has as many lengths and offsets as documents.
    fn is_even(&self, row: usize) -> bool {
        let documents = self.ids.value_length(row);
        self.lens.value_length(row) == documents && self.offsets.value_length(row) == documents
    }

    /// Document, tokens and offset of every piece of a row.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = (&str, i32, i32)> {
        let range =
            |list: &ListArray| list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize;
        let ids = self.ids.values().as_string::<i32>();
        let numbers =
            |list: &'a ListArray| range(list).map(|at| list.values().as_primitive::<Int32Type>().value(at));
        range(self.ids).map(|at| ids.value(at)).zip(numbers(self.lens)).zip(numbers(self.offsets)).map(flat)
    }
}

fn flat<A, B, C>(((a, b), c): ((A, B), C)) -> (A, B, C) {
    (a, b, c)
}

/// A list column whose items are of the array type `A`.
fn list<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &str,
    path: &Path,
) -> Result<&'a ListArray, InspectError> {
    let list = batch.column_by_name(name).and_then(|c| c.as_any().downcast_ref::<ListArray>());
    list.filter(|l| l.values().as_any().is::<A>()).ok_or_else(|| {
        let message = format!("has no column `{name}` of the type that token shards have");
        InspectError::format(path, message, "give a dataset that this program built")
    })
}

/// Checks every token shard; gives the count of sequences read.
pub(super) fn check(dataset: &Dataset, findings: &mut Findings) -> u64 {
    let Some(tokens) = &dataset.manifest.tokens else { return 0 };
    let documents = documents(dataset, findings);
    let (all, validation) = (format!("{}/", tokens.folder), format!("{}/validation/", tokens.folder));
    let names = dataset.manifest.files.keys().filter(|name| name.starts_with(&all));
    let parts: Vec<(&String, Part)> =
        names.filter_map(|name| Some((name, open(dataset, name, findings)?))).collect();
    let whole = parts.len() == dataset.files(TOKENS).len();
    let limits = Limits { tokens, documents: documents.as_deref() };
    let shards: Vec<Result<Shard, InspectError>> =
        parts.par_iter().map(|(name, part)| shard(name, part, &limits)).collect();
    let (mut sequences, mut counted) = (0, [0, 0]);
    for ((name, _), shard) in parts.iter().zip(shards) {
        match shard {
            Ok(shard) => {
                sequences += shard.rows;
                counted[usize::from(name.starts_with(&validation))] += shard.tokens;
                findings.all.extend(shard.first);
            }
            Err(error) => findings.add(name, reading(&error)),
        }
    }
    for (split, found, told) in
        [("train", counted[0], tokens.train), ("validation", counted[1], tokens.validation)]
    {
        if whole && found != told {
            findings.add(manifest::FILE, format!("says {told} tokens in {split}, the shards have {found}"));
        }
    }
    sequences
}

/// Ids of all documents, sorted; `None` when a file of documents cannot be trusted.
fn documents(dataset: &Dataset, findings: &mut Findings) -> Option<Vec<u128>> {
    let mut ids = Vec::new();
    let folder = format!("{DOCUMENTS}/");
    for name in dataset.manifest.files.keys().filter(|name| name.starts_with(&folder)) {
        let part = open(dataset, name, findings)?;
        let mut read = || -> Result<(), InspectError> {
            for batch in part.read(None, Some(&[column::ID]))? {
                ids.extend(texts(&batch?, column::ID).into_iter().flatten().filter_map(number));
            }
            Ok(())
        };
        if let Err(error) = read() {
            findings.add(name, reading(&error));
            return None;
        }
    }
    ids.sort_unstable();
    (!dataset.files(DOCUMENTS).is_empty()).then_some(ids)
}

fn number(id: &str) -> Option<u128> {
    u128::from_str_radix(id, 16).ok()
}

struct Limits<'a> {
    tokens: &'a Tokens,
    documents: Option<&'a [u128]>,
}

/// What was read in a shard.
struct Shard {
    rows: u64,
    tokens: u64,
    first: Option<Finding>,
}

fn shard(name: &str, part: &Part, limits: &Limits<'_>) -> Result<Shard, InspectError> {
    let mut shard = Shard { rows: 0, tokens: 0, first: None };
    for batch in part.read(None, None)? {
        let batch = batch?;
        let pieces = Pieces::of(&batch, &part.path)?;
        let ids = list::<Int32Array>(&batch, token::INPUT_IDS, &part.path)?;
        let pads = batch.column_by_name(token::PAD).and_then(|c| c.as_any().downcast_ref::<Int32Array>());
        let pads = pads
            .ok_or_else(|| InspectError::format(&part.path, "has no column `pad` of Int32", "build again"))?;
        for row in 0..batch.num_rows() {
            shard.tokens +=
                pieces.row(row).map(|(_, tokens, _)| u64::try_from(tokens).unwrap_or(0)).sum::<u64>();
            if shard.first.is_none() {
                let what = sequence(ids.value(row).as_primitive(), &pieces, row, pads.value(row), limits);
                let number = shard.rows + row as u64;
                shard.first =
                    what.map(|what| Finding { file: name.to_owned(), what: format!("row {number}: {what}") });
            }
        }
        shard.rows += batch.num_rows() as u64;
    }
    Ok(shard)
}

/// What is wrong with a sequence.
fn sequence(
    ids: &Int32Array,
    pieces: &Pieces<'_>,
    row: usize,
    pad: i32,
    limits: &Limits<'_>,
) -> Option<String> {
    let Limits { tokens, documents } = limits;
    let length = tokens.sequence_length;
    if ids.len() as u64 != length {
        return Some(format!("{} token ids, expected {length}", ids.len()));
    }
    if let Some(id) =
        ids.values().iter().find(|id| u64::try_from(**id).map_or(true, |id| id >= tokens.vocab_size))
    {
        return Some(format!("token id {id} is not in 0..{}", tokens.vocab_size));
    }
    if !pieces.is_even(row) {
        return Some("doc_ids, doc_lens and doc_offsets have not the same number of pieces".to_owned());
    }
    if pad < 0 || pieces.row(row).any(|(_, len, offset)| len < 1 || offset < 0) {
        return Some("a negative pad or offset, or an empty piece".to_owned());
    }
    let sum: i64 = pieces.row(row).map(|(_, len, _)| i64::from(len)).sum();
    if u64::try_from(sum + i64::from(pad)) != Ok(length) {
        return Some(format!("doc_lens {sum} + pad {pad} are not {length}"));
    }
    let documents = documents.as_ref()?;
    let is_known = |id: &str| number(id).is_some_and(|id| documents.binary_search(&id).is_ok());
    let stranger = pieces.row(row).map(|(id, ..)| id).find(|id| !is_known(id))?;
    Some(format!("document {stranger} is not in documents/"))
}
