//! One set of columns for a node that reads several: the union by name, null where a node does not give a column.

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;

/// The union of columns, in the order of first appearance, or the name of a column that has two types.
pub(super) fn union(schemas: &[SchemaRef]) -> Result<SchemaRef, String> {
    let mut fields: Vec<Field> = Vec::new();
    for (at, schema) in schemas.iter().enumerate() {
        for field in schema.fields() {
            match fields.iter_mut().find(|f| f.name() == field.name()) {
                Some(known) if known.data_type() != field.data_type() => return Err(field.name().clone()),
                Some(known) => known.set_nullable(known.is_nullable() || field.is_nullable()),
                None => fields.push(field.as_ref().clone().with_nullable(at > 0 || field.is_nullable())),
            }
        }
        for field in fields.iter_mut().filter(|f| schema.field_with_name(f.name()).is_err()) {
            field.set_nullable(true);
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Gives a batch the columns of a node that reads it among others.
pub(crate) fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => column.clone(),
        None => new_null_array(field.data_type(), batch.num_rows()),
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(column).collect())
}
