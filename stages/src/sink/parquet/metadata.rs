//! The column `metadata`: what of the object that a row was read from no column holds.
//!
//! ```text
//! row {"id":7,"text":"a ","n":1.50,"tags":["x"]}, columns id, record_id, text  →  {"n":1.50,"tags":["x"]}
//! ```

use super::super::json::put_name;
use super::super::object::{pairs, says};
use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use schemas::{StageError, column};
use std::sync::Arc;

/// JSON objects as text, null where nothing is left. Utf8.
pub(super) const METADATA: &str = "metadata";

/// Columns of a row that tell of its source what a field of the same name need not say.
const OF_THE_HOUSE: [&str; 5] =
    [column::ID, column::URL, column::SOURCE, column::RECORD_ID, column::FETCHED_AT];

/// The schema with `metadata` in the place of `row`, or without it where a column of the rows is called `metadata`.
pub(super) fn schema(schema: &SchemaRef) -> SchemaRef {
    match schema.index_of(column::ROW) {
        Ok(at) if schema.index_of(METADATA).is_err() => {
            let mut fields = schema.fields().to_vec();
            fields[at] = Arc::new(Field::new(METADATA, DataType::Utf8, true));
            Arc::new(Schema::new(fields))
        }
        _ => column::without(schema, &[column::ROW]),
    }
}

/// The batch with what that schema asks for; columns that it leaves out may still be there.
pub(super) fn told(batch: &RecordBatch) -> Result<RecordBatch, StageError> {
    let written = schema(&batch.schema());
    let at = match batch.schema_ref().index_of(column::ROW) {
        Ok(at) if written.fields().len() == batch.num_columns() => at,
        _ => return Ok(batch.clone()),
    };
    let mut out = StringBuilder::with_capacity(batch.num_rows(), 0);
    let mut object = Vec::new();
    for (row, base) in column::utf8(batch, column::ROW)?.iter().enumerate() {
        object.clear();
        object.push(b'{');
        for (name, raw) in base.map(pairs).transpose()?.unwrap_or_default() {
            if !is_held(batch, &name, raw.get(), row) {
                put_name(&name, &mut object);
                object.extend_from_slice(raw.get().as_bytes());
            }
        }
        object.push(b'}');
        let told = std::str::from_utf8(&object).expect("names and values were read from text");
        out.append_option((object.len() > 2).then_some(told));
    }
    let mut columns = batch.columns().to_vec();
    columns[at] = Arc::new(out.finish()) as ArrayRef;
    Ok(RecordBatch::try_new(written, columns)?)
}

/// Whether a column holds a field: one that stages made or changed and that is not null, or one of the house that says the same.
fn is_held(batch: &RecordBatch, name: &str, raw: &str, row: usize) -> bool {
    let same = |column: &str| {
        let values = batch.column_by_name(column);
        values.is_some_and(|values| values.is_valid(row) && says(raw, values.as_ref(), row))
    };
    match name {
        // Where it was not asked for, it is to be nowhere.
        column::TEXT => true,
        column::ID => same(column::ID) || same(column::RECORD_ID),
        name if OF_THE_HOUSE.contains(&name) => same(name),
        name => name != column::ROW && batch.column_by_name(name).is_some_and(|values| values.is_valid(row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray as _, StringArray};

    fn check(object: Option<&str>, expected: Option<&str>) {
        let text = |value: Option<&str>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([
            (column::ID, text(Some("00ff")), true),
            (column::URL, text(Some("http://x.org/")), true),
            (column::SOURCE, text(Some("in.jsonl:0")), true),
            (column::RECORD_ID, text(Some("7")), true),
            (column::TEXT, text(Some("clean")), true),
            (column::ROW, text(object), true),
            (column::LANGUAGE, text(None), true),
        ])
        .unwrap();
        let told = told(&batch).unwrap();
        assert_eq!(told.schema(), schema(&batch.schema()));
        let found = told.column_by_name(METADATA).unwrap().as_string::<i32>();
        assert_eq!(found.is_valid(0).then(|| found.value(0)), expected, "{object:?}");
    }

    #[test]
    fn what_a_column_says_is_left_out() {
        check(
            Some(r#"{"id":7,"n":1.50,"text":"clean ","tags":["x",null],"url":"http://x.org/"}"#),
            Some(r#"{"n":1.50,"tags":["x",null]}"#),
        );
        check(Some(r#"{"text":"a","id":"7"}"#), None);
        check(Some("{}"), None);
        check(None, None);
    }

    #[test]
    fn what_only_has_the_name_of_a_column_stays() {
        check(
            Some(r#"{"id":8,"source":"web","url":"http://other.org/","language":"en","row":1}"#),
            Some(r#"{"id":8,"source":"web","url":"http://other.org/","language":"en","row":1}"#),
        );
    }
}
