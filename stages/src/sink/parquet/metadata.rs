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

/// Columns of the source: a field of such a name is one of them only where it says the same.
const OF_THE_SOURCE: [&str; 5] =
    [column::ID, column::URL, column::SOURCE, column::RECORD_ID, column::FETCHED_AT];

/// The schema with `metadata` in the place of `row`.
pub(super) fn schema(schema: &SchemaRef) -> SchemaRef {
    let Ok(at) = schema.index_of(column::ROW) else { return schema.clone() };
    let mut fields = schema.fields().to_vec();
    fields[at] = Arc::new(Field::new(METADATA, DataType::Utf8, true));
    Arc::new(Schema::new(fields))
}

/// The batch with `metadata` in the place of `row`, without the fields of these names, which text and page were read from.
pub(super) fn told(batch: &RecordBatch, without: &[String]) -> Result<RecordBatch, StageError> {
    let Ok(at) = batch.schema_ref().index_of(column::ROW) else { return Ok(batch.clone()) };
    let mut out = StringBuilder::with_capacity(batch.num_rows(), 0);
    let mut object = Vec::new();
    for (row, base) in column::utf8(batch, column::ROW)?.iter().enumerate() {
        object.clear();
        object.push(b'{');
        let pairs = base.map(pairs).transpose()?.unwrap_or_default();
        for (name, raw) in &pairs {
            // Of a field that comes twice readers take the last.
            let last = || pairs.iter().rfind(|(other, _)| other == name).map_or("", |(_, raw)| raw.get());
            if !without.iter().any(|other| other == name) && !is_held(batch, name, last, row) {
                put_name(name, &mut object);
                object.extend_from_slice(raw.get().as_bytes());
            }
        }
        object.push(b'}');
        let told = std::str::from_utf8(&object).expect("names and values were read from text");
        out.append_option((object.len() > 2).then_some(told));
    }
    let mut columns = batch.columns().to_vec();
    columns[at] = Arc::new(out.finish()) as ArrayRef;
    Ok(RecordBatch::try_new(schema(&batch.schema()), columns)?)
}

/// Whether a column holds a field: one that stages made or changed and that is not null, or one of the source that says the same.
fn is_held<'a>(batch: &RecordBatch, name: &str, raw: impl Fn() -> &'a str, row: usize) -> bool {
    let valid = |column: &str| batch.column_by_name(column).filter(|values| values.is_valid(row));
    let same = |column: &str| valid(column).is_some_and(|values| says(raw(), values.as_ref(), row));
    match name {
        column::ID => same(column::ID) || same(column::RECORD_ID),
        name if OF_THE_SOURCE.contains(&name) => same(name),
        name => name != column::ROW && valid(name).is_some(),
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
        let told = told(&batch, &["page".to_owned()]).unwrap();
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
        check(Some(r#"{"id":9,"page":"<p>","id":7}"#), None);
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
