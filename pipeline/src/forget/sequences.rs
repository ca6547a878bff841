//! Training sequences without the pieces of forgotten documents.
//!
//! The pieces that stay move together, in their order, and padding fills the row to its length: a row stays as long as all
//! others, and nothing of a piece is left in it. A row of which no piece stays goes. Pieces are not put into the room of
//! others in other rows: that would write every shard anew.
//!
//! ```text
//! a a | b b b | c        without b        a a | c | pad 3
//! ```

use super::find::Targets;
use crate::inspect::InspectError;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, RecordBatch, StringArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{filter, take};
use arrow::datatypes::{DataType, Int32Type};
use schemas::{DocId, token};
use std::path::Path;
use std::sync::Arc;

/// Columns of a list a row, a value a piece.
const OF_PIECES: [&str; 3] = [token::DOC_LENS, token::DOC_IDS, token::DOC_OFFSETS];

/// What was taken out.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) padded: u64,
    pub(super) removed: u64,
    pub(super) tokens: u64,
}

/// Whether a batch has the columns of training sequences.
pub(super) fn is_sequences(schema: &arrow::datatypes::Schema) -> bool {
    [token::INPUT_IDS, token::DOC_IDS].iter().all(|name| schema.field_with_name(name).is_ok())
}

/// Whether any piece is of a target.
pub(super) fn has_target(batch: &RecordBatch, targets: &Targets) -> bool {
    let ids = batch.column_by_name(token::DOC_IDS).and_then(|c| c.as_list_opt::<i32>());
    ids.and_then(|ids| ids.values().as_string_opt::<i32>())
        .is_some_and(|ids| ids.iter().flatten().any(|id| is_target(id, targets)))
}

fn is_target(id: &str, targets: &Targets) -> bool {
    DocId::parse(id).is_some_and(|id| targets.has(id))
}

/// What becomes of a row.
struct Row {
    /// Positions of the pieces that stay, among all values of the batch.
    pieces: Vec<u32>,
    /// Ranges of tokens that stay, among all values of the batch.
    tokens: Vec<std::ops::Range<usize>>,
    /// Tokens in the row, as before.
    length: usize,
    /// Padding that it has then.
    padding: i32,
    /// Whether a piece of it goes.
    hit: bool,
}

/// Takes the pieces of targets out of a batch.
pub(super) fn without(
    batch: &RecordBatch,
    targets: &Targets,
    taken: &mut Taken,
    path: &Path,
) -> Result<RecordBatch, InspectError> {
    let help =
        "build the dataset again without the documents, or with the version of gristmill that wrote it";
    let wrong = |message: String| InspectError::format(path, message, help);
    let rows = rows(batch, targets, taken).map_err(wrong)?;
    let stays: BooleanArray = rows.iter().map(|row| Some(!row.hit || !row.pieces.is_empty())).collect();
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let name = field.name().as_str();
        let new = match field.data_type() {
            _ if name == token::PAD => {
                Arc::new(rows.iter().map(|row| Some(row.padding)).collect::<Int32Array>()) as ArrayRef
            }
            DataType::List(_) if OF_PIECES.contains(&name) => {
                even(batch, name, token::DOC_IDS)?;
                of_pieces(column.as_list(), &rows)?
            }
            DataType::List(_) => even(batch, name, token::INPUT_IDS)
                .and(of_tokens(column.as_list(), &rows).ok_or_else(|| {
                    format!("column `{name}` has a type of which no piece can be taken out")
                }))?,
            _ => column.clone(),
        };
        filter(&new, &stays).map_err(|e| e.to_string())
    });
    let columns = columns.collect::<Result<Vec<_>, String>>().map_err(wrong)?;
    RecordBatch::try_new(batch.schema(), columns).map_err(|e| wrong(e.to_string()))
}

fn rows(batch: &RecordBatch, targets: &Targets, taken: &mut Taken) -> Result<Vec<Row>, String> {
    let list = |name: &str| {
        let list = batch.column_by_name(name).and_then(|column| column.as_list_opt::<i32>());
        list.ok_or_else(|| format!("has no lists in column `{name}`"))
    };
    let (ids, lengths, tokens) = (list(token::DOC_IDS)?, list(token::DOC_LENS)?, list(token::INPUT_IDS)?);
    let names: &StringArray = ids.values().as_string_opt().ok_or("column `doc_ids` is not of text")?;
    let counts = lengths.values().as_primitive_opt::<Int32Type>().ok_or("column `doc_lens` is not Int32")?;
    let pads = batch.column_by_name(token::PAD).and_then(|c| c.as_primitive_opt::<Int32Type>());
    let pads = pads.ok_or("has no column `pad` of Int32")?;
    let range = |list: &ListArray, row: usize| {
        list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize
    };
    let row = |row: usize| {
        let (pieces, of_lengths, all) = (range(ids, row), range(lengths, row), range(tokens, row));
        if pieces.len() != of_lengths.len() {
            return Err(format!("row {row}: {} pieces have {} lengths", pieces.len(), of_lengths.len()));
        }
        let mut kept = Row {
            pieces: Vec::new(),
            tokens: Vec::new(),
            length: all.len(),
            padding: pads.value(row),
            hit: false,
        };
        let mut start = all.start;
        for (piece, length) in pieces.zip(of_lengths) {
            let count = usize::try_from(counts.value(length)).map_err(|_| "a piece has a negative length")?;
            if start + count > all.end {
                return Err(format!("row {row}: its pieces are longer than it is"));
            }
            if is_target(names.value(piece), targets) {
                kept.hit = true;
                kept.padding += counts.value(length);
                taken.tokens += count as u64;
            } else {
                kept.pieces.push(piece as u32);
                kept.tokens.push(start..start + count);
            }
            start += count;
        }
        taken.removed += u64::from(kept.hit && kept.pieces.is_empty());
        taken.padded += u64::from(kept.hit && !kept.pieces.is_empty());
        Ok(kept)
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Checks that every row has as many values in one list as in another.
fn even(batch: &RecordBatch, name: &str, other: &str) -> Result<(), String> {
    let list = |name| batch.column_by_name(name).and_then(|column| column.as_list_opt::<i32>());
    let offsets = |name| list(name).map(ListArray::value_offsets);
    if offsets(name) == offsets(other) {
        return Ok(());
    }
    Err(format!("`{name}` and `{other}` have not the same number of values in each row"))
}

/// A list column with a value for each piece.
fn of_pieces(list: &ListArray, rows: &[Row]) -> Result<ArrayRef, String> {
    let indices: UInt32Array = rows.iter().flat_map(|row| row.pieces.iter().copied()).collect();
    let values = take(list.values(), &indices, None).map_err(|e| e.to_string())?;
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.pieces.len()));
    Ok(Arc::new(ListArray::new(item(list), offsets, values, None)))
}

/// A list column with a value for each token: padding is 0, or false. `None` for another type.
fn of_tokens(list: &ListArray, rows: &[Row]) -> Option<ArrayRef> {
    let values: ArrayRef = match list.values().data_type() {
        DataType::Int32 => {
            let values = list.values().as_primitive::<Int32Type>().values();
            Arc::new(Int32Array::from(packed(rows, 0, |at| values[at])))
        }
        DataType::Boolean => {
            let values = list.values().as_boolean();
            Arc::new(BooleanArray::from(packed(rows, false, |at| values.value(at))))
        }
        _ => return None,
    };
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.length));
    Some(Arc::new(ListArray::new(item(list), offsets, values, None)))
}

fn packed<T: Copy>(rows: &[Row], padding: T, value: impl Fn(usize) -> T) -> Vec<T> {
    let mut all = Vec::with_capacity(rows.iter().map(|row| row.length).sum());
    for row in rows {
        let end = all.len() + row.length;
        all.extend(row.tokens.iter().cloned().flatten().map(&value));
        all.resize(end, padding);
    }
    all
}

fn item(list: &ListArray) -> arrow::datatypes::FieldRef {
    match list.data_type() {
        DataType::List(item) => item.clone(),
        other => unreachable!("a list has the type of a list, not {other}"),
    }
}
