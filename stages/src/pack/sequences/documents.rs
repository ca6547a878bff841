//! The documents of a batch, as packing sees them: id, source, tokens, and a mask where there is one.

use super::Drop;
use super::piece::Piece;
use arrow::array::{Array, AsArray as _, BooleanArray, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};
use schemas::column::{ID, SOURCE, tokens, utf8};
use schemas::{StageError, Verdict, token};

/// One document.
pub(super) struct Document<'a> {
    pub(super) id: &'a str,
    /// Name of its source; empty where none is asked for.
    pub(super) source: &'a str,
    ids: &'a [i32],
    /// The same, in the byte order of the machine.
    bytes: &'a [u8],
    mask: Option<Vec<u8>>,
}

impl<'a> Document<'a> {
    /// How many tokens it has.
    pub(super) fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Why it cannot be packed, if it cannot.
    pub(super) fn refuse(&self) -> Result<(), Verdict> {
        let least = self.ids.iter().min().ok_or_else(|| Drop::Empty.verdict(0.0, 1.0))?;
        if *least < 0 {
            return Err(Drop::NegativeId.verdict(f64::from(*least), 0.0));
        }
        match &self.mask {
            Some(mask) if mask.len() != self.ids.len() => {
                Err(Drop::MaskLength.verdict(mask.len() as f64, self.ids.len() as f64))
            }
            _ => Ok(()),
        }
    }

    /// The document in pieces of at most `length` tokens.
    pub(super) fn pieces(&self, length: usize) -> impl Iterator<Item = Piece<'_>> {
        let pieces = self.bytes.chunks(4 * length).enumerate();
        pieces.map(move |(number, bytes)| {
            let start = number * length;
            let mask = self.mask.as_ref().map(|mask| &mask[start..start + bytes.len() / 4]);
            Piece::new(self.id, start as u32, bytes, mask)
        })
    }
}

/// Whether documents have a mask.
///
/// # Errors
/// The column has another type.
pub(super) fn has_mask(schema: &Schema) -> Result<bool, StageError> {
    let Ok(field) = schema.field_with_name(token::LOSS_MASK) else { return Ok(false) };
    match field.data_type() {
        DataType::List(item) if *item.data_type() == DataType::Boolean => Ok(true),
        found => Err(StageError::ColumnType {
            column: token::LOSS_MASK,
            found: found.clone(),
            expected: DataType::new_list(DataType::Boolean, false),
        }),
    }
}

/// Checks that there is a column of text with this name.
///
/// # Errors
/// There is none, or it has another type.
pub(super) fn require_text(schema: &Schema, name: &str) -> Result<(), StageError> {
    let wrong = match schema.field_with_name(name) {
        Ok(field) if *field.data_type() == DataType::Utf8 => return Ok(()),
        Ok(field) => format!("has type {}, expected Utf8", field.data_type()),
        Err(_) => {
            let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            let near = schemas::near::closest(name, names.iter().copied());
            near.map_or_else(
                || format!("is missing, found {}", names.join(", ")),
                |near| format!("is missing; did you mean `{near}`?"),
            )
        }
    };
    Err(StageError::Invalid(format!("column `{name}` of `mix_column` {wrong}")))
}

/// The documents of a batch; `column` has the names of their sources, and may be empty.
pub(super) fn documents<'a>(
    batch: &'a RecordBatch,
    column: &'a str,
) -> Result<impl Iterator<Item = Document<'a>>, StageError> {
    let (names, lists) = (utf8(batch, ID)?, tokens(batch)?);
    let all: &Int32Array =
        lists.values().as_any().downcast_ref().expect("the type of the column was checked");
    let masks = match has_mask(batch.schema_ref())? {
        true => batch.column_by_name(token::LOSS_MASK).map(|masks| masks.as_list::<i32>()),
        false => None,
    };
    let sources = match column {
        "" => None,
        name => {
            require_text(batch.schema_ref(), name)?;
            batch.column_by_name(name).map(|sources| sources.as_string::<i32>())
        }
    };
    Ok((0..batch.num_rows()).map(move |row| {
        let [start, end] = [row, row + 1].map(|at| lists.value_offsets()[at] as usize);
        Document {
            id: names.value(row),
            source: sources.map_or("", |sources| source(sources, row, column)),
            ids: &all.values()[start..end],
            bytes: &all.values().inner().as_slice()[4 * start..4 * end],
            mask: masks.map(|masks| mask(masks, row)),
        }
    }))
}

/// The name of a source: of a place such as `web/a.jsonl:17`, the file.
fn source<'a>(sources: &'a StringArray, row: usize, column: &str) -> &'a str {
    let value = if sources.is_null(row) { "" } else { sources.value(row) };
    match value.rsplit_once(':') {
        Some((file, place)) if column == SOURCE && place.bytes().all(|b| b.is_ascii_digit()) => file,
        _ => value,
    }
}

fn mask(masks: &ListArray, row: usize) -> Vec<u8> {
    if masks.is_null(row) {
        return Vec::new();
    }
    let values = masks.value(row);
    let values: &BooleanArray = values.as_boolean();
    values.iter().map(|learned| u8::from(learned.unwrap_or(false))).collect()
}
