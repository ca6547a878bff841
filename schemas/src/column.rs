//! Column names and typed access to the columns of a batch.

use crate::StageError;
use arrow::array::{Array, BinaryArray, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Identity of a document: 32 hexadecimal digits, kept for life. Utf8, never null.
pub const ID: &str = "id";
/// Address that a document came from. Utf8.
pub const URL: &str = "url";
/// Where in the source a document stands: `file:line` or `file:offset`. Utf8.
pub const SOURCE: &str = "source";
/// Identity that the source itself gives a document. Utf8.
pub const RECORD_ID: &str = "record_id";
/// When a document was fetched: RFC 3339. Utf8.
pub const FETCHED_AT: &str = "fetched_at";
/// Media type as the server gave it, charset included. Utf8.
pub const CONTENT_TYPE: &str = "content_type";
/// Bytes of a page before extraction. Binary.
pub const HTML: &str = "html";
/// Text of a document. Utf8.
pub const TEXT: &str = "text";
/// Title of a page. Utf8.
pub const TITLE: &str = "title";
/// Language: ISO 639-3 code. Utf8.
pub const LANGUAGE: &str = "language";
/// How sure the language is: 0 to 1. Float64.
pub const LANGUAGE_SCORE: &str = "language_score";
/// Part of a document that is in its language: 0 to 1. Float64.
pub const LANGUAGE_SHARE: &str = "language_share";
/// Languages of a document's parts with their shares: `deu 0.75 eng 0.25`. Utf8.
pub const LANGUAGES: &str = "languages";
/// Token ids of a document: `List<Int32>`.
pub const TOKENS: &str = "tokens";
/// Ways in which the author of a page opts out: `noai, tdm-reservation`. Utf8, null where there is none.
pub const OPT_OUT: &str = "opt_out";
/// Licences that a page declares: `cc-by-4.0`. Utf8, null where there is none.
pub const LICENCE: &str = "licence";
/// The JSON object that a document was read from, for fields that no column carries. Utf8.
pub const ROW: &str = "row";

/// The columns of a source of text: id, url, source, record_id, fetched_at, text.
pub fn text_schema() -> SchemaRef {
    schema_ending_with(&[Field::new(TEXT, DataType::Utf8, true)])
}

/// The columns of a source of pages: id, url, source, record_id, fetched_at, content_type, html, text.
///
/// A row has `html` or `text` (a WET record), never both.
pub fn page_schema() -> SchemaRef {
    schema_ending_with(&[
        Field::new(CONTENT_TYPE, DataType::Utf8, true),
        Field::new(HTML, DataType::Binary, true),
        Field::new(TEXT, DataType::Utf8, true),
    ])
}

fn schema_ending_with(last: &[Field]) -> SchemaRef {
    let mut fields = vec![Field::new(ID, DataType::Utf8, false)];
    fields.extend([URL, SOURCE, RECORD_ID, FETCHED_AT].map(|name| Field::new(name, DataType::Utf8, true)));
    fields.extend_from_slice(last);
    Arc::new(Schema::new(fields))
}

/// The type of [`TOKENS`].
pub fn tokens_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Int32, false)))
}

/// The schema with columns replaced (same name) or added at the end, all others as they are.
pub fn with(schema: &Schema, fields: impl IntoIterator<Item = Field>) -> SchemaRef {
    let mut all: Vec<Arc<Field>> = schema.fields().to_vec();
    for field in fields {
        match all.iter().position(|f| f.name() == field.name()) {
            Some(at) => all[at] = Arc::new(field),
            None => all.push(Arc::new(field)),
        }
    }
    Arc::new(Schema::new(all))
}

/// The schema without the named columns.
pub fn without(schema: &Schema, names: &[&str]) -> SchemaRef {
    let kept = schema.fields().iter().filter(|f| !names.contains(&f.name().as_str())).cloned();
    Arc::new(Schema::new(kept.collect::<Vec<_>>()))
}

/// Checks that `schema` has the column `name` of type `expected`.
///
/// # Errors
/// `ColumnMissing` or `ColumnType`.
pub fn require(schema: &Schema, name: &'static str, expected: &DataType) -> Result<(), StageError> {
    let Ok(field) = schema.field_with_name(name) else {
        let found = schema.fields().iter().map(|f| f.name().clone()).collect();
        return Err(StageError::ColumnMissing { column: name, found });
    };
    if field.data_type() == expected {
        return Ok(());
    }
    Err(StageError::ColumnType { column: name, expected: expected.clone(), found: field.data_type().clone() })
}

/// Borrows the UTF-8 column `name`.
///
/// # Errors
/// `ColumnMissing` or `ColumnType`.
pub fn utf8<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray, StageError> {
    typed(batch, name, &DataType::Utf8)
}

/// Borrows the binary column `name`.
///
/// # Errors
/// `ColumnMissing` or `ColumnType`.
pub fn binary<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a BinaryArray, StageError> {
    typed(batch, name, &DataType::Binary)
}

/// Borrows the column [`TOKENS`].
///
/// # Errors
/// `ColumnMissing` or `ColumnType`.
pub fn tokens(batch: &RecordBatch) -> Result<&ListArray, StageError> {
    typed(batch, TOKENS, &tokens_type())
}

fn typed<'a, A: Array + 'static>(
    batch: &'a RecordBatch,
    name: &'static str,
    expected: &DataType,
) -> Result<&'a A, StageError> {
    require(batch.schema_ref(), name, expected)?;
    let column = batch.column_by_name(name).expect("require found the column");
    Ok(column.as_any().downcast_ref().expect("require checked the type"))
}
