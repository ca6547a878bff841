//! From decoded columns of a token shard to training rows, each checked against the dataset.

use crate::batch::Row;
use arrow::array::{Array, AsArray, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use schemas::token;

/// The columns that a row is made of, the ids first; the last only where there is one.
pub(super) const NEEDED: [&str; 5] =
    [token::INPUT_IDS, token::DOC_LENS, token::DOC_OFFSETS, token::PAD, token::LOSS_MASK];

/// Rows as they were decoded; a row is copied out when it is asked for.
#[derive(Debug)]
pub(super) struct Columns {
    batches: Vec<Batch>,
    /// Ids of all rows where they were taken from the pages, [`Columns::row`]'s length of them a row.
    flat: Option<Vec<i32>>,
}

#[derive(Debug)]
struct Batch {
    /// `None` where the ids lie flat.
    ids: Option<ListArray>,
    lengths: ListArray,
    offsets: ListArray,
    pads: Int32Array,
    mask: Option<ListArray>,
}

impl Columns {
    /// Takes the columns out of batches; of the ids, what was read of them before.
    pub(super) fn of(batches: &[RecordBatch], flat: Option<Vec<i32>>) -> Result<Self, String> {
        let batches = batches.iter().map(|batch| {
            let pads = column(batch, token::PAD)?.as_primitive_opt::<Int32Type>();
            let ids = if flat.is_some() { None } else { Some(list(batch, token::INPUT_IDS)?) };
            Ok(Batch {
                ids,
                lengths: list(batch, token::DOC_LENS)?,
                offsets: list(batch, token::DOC_OFFSETS)?,
                pads: pads.ok_or("column `pad` is not Int32")?.clone(),
                mask: mask(batch)?,
            })
        });
        Ok(Self { batches: batches.collect::<Result<_, String>>()?, flat })
    }

    pub(super) fn count(&self) -> usize {
        self.batches.iter().map(|batch| batch.pads.len()).sum()
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let flat = self.flat.as_ref().map_or(0, |flat| 4 * flat.capacity());
        let of = |batch: &Batch| {
            let lists = [batch.ids.as_ref(), Some(&batch.lengths), Some(&batch.offsets), batch.mask.as_ref()];
            let lists = lists.into_iter().flatten().map(Array::get_array_memory_size).sum::<usize>();
            lists + batch.pads.get_array_memory_size()
        };
        flat + self.batches.iter().map(of).sum::<usize>()
    }

    /// Row `at`, which must have `length` tokens below `vocab`, all of them in pieces or padding.
    pub(super) fn row(&self, at: usize, length: u64, vocab: u64) -> Result<Row, String> {
        let (batch, inner) = self.batch(at)?;
        let ids = match (&self.flat, &batch.ids) {
            (Some(flat), _) => flat.chunks_exact(length as usize).nth(at).ok_or("a row is missing")?,
            (None, Some(lists)) => values(lists, inner),
            (None, None) => return Err("column `input_ids` is missing".to_owned()),
        };
        batch.row(ids, inner, length, vocab)
    }

    /// Row `at` with ids that were read alone.
    pub(super) fn row_of(&self, ids: &[i32], at: usize, length: u64, vocab: u64) -> Result<Row, String> {
        let (batch, inner) = self.batch(at)?;
        batch.row(ids, inner, length, vocab)
    }

    /// The batch that has row `at`, and where.
    fn batch(&self, mut at: usize) -> Result<(&Batch, usize), String> {
        for batch in &self.batches {
            match at.checked_sub(batch.pads.len()) {
                Some(rest) => at = rest,
                None => return Ok((batch, at)),
            }
        }
        Err("a row is missing".to_owned())
    }
}

impl Batch {
    fn row(&self, ids: &[i32], at: usize, length: u64, vocab: u64) -> Result<Row, String> {
        let ids = unsigned(ids, token::INPUT_IDS)?;
        let piece_lengths = unsigned(values(&self.lengths, at), token::DOC_LENS)?;
        let begins: Vec<bool> = values(&self.offsets, at).iter().map(|&offset| offset == 0).collect();
        let padding = u32::try_from(self.pads.value(at)).map_err(|_| "column `pad` is negative")?;
        if begins.len() != piece_lengths.len() {
            return Err(format!("{} pieces have {} offsets", piece_lengths.len(), begins.len()));
        }
        if let Some(id) = greatest(&ids).filter(|&id| u64::from(id) >= vocab) {
            return Err(format!("token {id} is not below the vocabulary's size {vocab}"));
        }
        let covered = piece_lengths.iter().map(|&n| u64::from(n)).sum::<u64>() + u64::from(padding);
        if ids.len() as u64 != length || covered != length {
            let found = ids.len();
            return Err(format!("a row has {found} tokens, {covered} covered, of {length}"));
        }
        let mask = match &self.mask {
            Some(lists) => lists.value(at).as_boolean().iter().map(|learned| learned == Some(true)).collect(),
            None => Vec::new(),
        };
        if self.mask.is_some() && mask.len() != ids.len() {
            return Err(format!("a row of {} tokens has a loss mask of {}", ids.len(), mask.len()));
        }
        Ok(Row { ids, piece_lengths, begins, padding, mask })
    }
}

/// A part of a document in a row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Piece {
    /// Id of the document.
    pub document: String,
    /// Where it starts in the tokens of the document.
    pub offset: u32,
    /// Its tokens.
    pub tokens: u32,
    /// Address of the document, where it was looked up and has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The id that its source gave the document, where it was looked up and has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
}

impl Piece {
    /// What a person knows its document by: the address, or the id that its source gave it.
    pub fn known_as(&self) -> Option<&str> {
        self.url.as_deref().or(self.record_id.as_deref())
    }
}

/// The columns that name the pieces of a row.
pub(super) const OF_PIECES: [&str; 3] = [token::DOC_IDS, token::DOC_LENS, token::DOC_OFFSETS];

/// The pieces of a row of a batch.
pub(super) fn pieces(batch: &RecordBatch, row: usize) -> Result<Vec<Piece>, String> {
    let documents = column(batch, token::DOC_IDS)?.as_list_opt::<i32>();
    let documents = documents.ok_or("column `doc_ids` is no list")?.value(row);
    let documents = documents.as_string_opt::<i32>().ok_or("column `doc_ids` is not of text")?;
    let numbers = |name: &str| unsigned(values(&list(batch, name)?, row), name);
    let (lengths, offsets) = (numbers(token::DOC_LENS)?, numbers(token::DOC_OFFSETS)?);
    if lengths.len() != documents.len() || offsets.len() != documents.len() {
        return Err("documents, lengths and offsets are not as many".to_owned());
    }
    let piece = |((document, tokens), offset): ((Option<&str>, u32), u32)| Piece {
        document: document.unwrap_or_default().to_owned(),
        offset,
        tokens,
        url: None,
        record_id: None,
    };
    Ok(documents.iter().zip(lengths).zip(offsets).map(piece).collect())
}

/// Gives the ids of the documents of each row of a batch.
pub(super) fn documents(batch: &RecordBatch, each: &mut impl FnMut(&StringArray)) -> Result<(), String> {
    let lists = column(batch, token::DOC_IDS)?.as_list_opt::<i32>().ok_or("column `doc_ids` is no list")?;
    for at in 0..lists.len() {
        let ids = lists.value(at);
        each(ids.as_string_opt::<i32>().ok_or("column `doc_ids` is not of text")?);
    }
    Ok(())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, String> {
    batch.column_by_name(name).map(AsRef::as_ref).ok_or_else(|| format!("column `{name}` is missing"))
}

fn list(batch: &RecordBatch, name: &str) -> Result<ListArray, String> {
    let lists = column(batch, name)?.as_list_opt::<i32>();
    let lists = lists.ok_or_else(|| format!("column `{name}` is no list"))?;
    if lists.values().as_primitive_opt::<Int32Type>().is_none() {
        return Err(format!("column `{name}` is not Int32"));
    }
    Ok(lists.clone())
}

fn mask(batch: &RecordBatch) -> Result<Option<ListArray>, String> {
    let Some(column) = batch.column_by_name(token::LOSS_MASK) else { return Ok(None) };
    let lists = column.as_list_opt::<i32>().filter(|lists| lists.values().as_boolean_opt().is_some());
    lists.cloned().map(Some).ok_or_else(|| "column `loss_mask` has no lists of true and false".to_owned())
}

/// The values of a row; the column was checked to have Int32.
fn values(lists: &ListArray, at: usize) -> &[i32] {
    let [start, end] = [at, at + 1].map(|at| lists.value_offsets()[at] as usize);
    &lists.values().as_primitive::<Int32Type>().values()[start..end]
}

/// The values as they are where none is negative: one pass over them, which the compiler makes wide.
fn unsigned(values: &[i32], name: &str) -> Result<Vec<u32>, String> {
    match values.iter().fold(0, |low, &value| value.min(low)) {
        0 => Ok(values.iter().map(|&value| value.cast_unsigned()).collect()),
        low => Err(format!("column `{name}` holds {low}")),
    }
}

fn greatest(ids: &[u32]) -> Option<u32> {
    ids.iter().copied().reduce(u32::max)
}
