//! Column names and typed access to the columns of a batch.

use crate::StageError;
use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};

/// Identity of a document: 32 hexadecimal digits, kept for life.
pub const ID: &str = "id";
/// Address that a document came from.
pub const URL: &str = "url";
/// Text of a document.
pub const TEXT: &str = "text";

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
    require(batch.schema_ref(), name, &DataType::Utf8)?;
    let column = batch.column_by_name(name).expect("require found the column");
    Ok(column.as_any().downcast_ref().expect("require checked the type"))
}
