//! Writes the values of columns as JSON.

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use schemas::{StageError, instant};

/// Writes the name of a field into an object that has been opened, behind a comma where it is not the first.
pub fn put_name(name: &str, out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
    put_str(name, out);
    out.push(b':');
}

/// Writes a string.
pub(super) fn put_str(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string is written to memory");
}

fn put_number(number: impl serde::Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &number).expect("a number is written to memory");
}

/// Writes a value as JSON. What JSON has no type for is written as a string.
///
/// # Errors
/// `Arrow` of a value that cannot be shown.
pub fn put(values: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), StageError> {
    macro_rules! number {
        ($kind:ty) => {
            put_number(values.as_primitive::<$kind>().value(row), out)
        };
    }
    if values.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match values.data_type() {
        DataType::Utf8 => put_str(values.as_string::<i32>().value(row), out),
        DataType::LargeUtf8 => put_str(values.as_string::<i64>().value(row), out),
        DataType::Utf8View => put_str(values.as_string_view().value(row), out),
        DataType::Binary => put_str(&String::from_utf8_lossy(values.as_binary::<i32>().value(row)), out),
        DataType::Boolean => put_number(values.as_boolean().value(row), out),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => number!(Float32Type),
        DataType::Float64 => number!(Float64Type),
        DataType::List(_) => return put_items(values.as_list::<i32>().value(row).as_ref(), out),
        DataType::LargeList(_) => return put_items(values.as_list::<i64>().value(row).as_ref(), out),
        DataType::FixedSizeList(..) => {
            return put_items(values.as_fixed_size_list().value(row).as_ref(), out);
        }
        DataType::Struct(_) => return put_fields(values.as_struct(), row, out),
        DataType::Map(..) => return put_entries(&values.as_map().value(row), out),
        _ => {
            let options = FormatOptions::default();
            let values = instant::of_utc(values);
            put_str(&ArrayFormatter::try_new(values.as_ref(), &options)?.value(row).to_string(), out);
        }
    }
    Ok(())
}

fn put_items(items: &dyn Array, out: &mut Vec<u8>) -> Result<(), StageError> {
    put_each([b'[', b']'], items.len(), out, |item, out| put(items, item, out))
}

fn put_fields(values: &StructArray, row: usize, out: &mut Vec<u8>) -> Result<(), StageError> {
    let names = values.column_names();
    put_each([b'{', b'}'], names.len(), out, |field, out| {
        put_str(names[field], out);
        out.push(b':');
        put(values.column(field).as_ref(), row, out)
    })
}

/// Writes a map, whose keys become names.
fn put_entries(entries: &StructArray, out: &mut Vec<u8>) -> Result<(), StageError> {
    let options = FormatOptions::default();
    let (keys, values) = (ArrayFormatter::try_new(entries.column(0), &options)?, entries.column(1));
    put_each([b'{', b'}'], entries.len(), out, |entry, out| {
        put_str(&keys.value(entry).to_string(), out);
        out.push(b':');
        put(values.as_ref(), entry, out)
    })
}

/// Writes so many things between brackets, with commas.
fn put_each(
    [open, close]: [u8; 2],
    count: usize,
    out: &mut Vec<u8>,
    mut each: impl FnMut(usize, &mut Vec<u8>) -> Result<(), StageError>,
) -> Result<(), StageError> {
    out.push(open);
    for at in 0..count {
        if at > 0 {
            out.push(b',');
        }
        each(at, out)?;
    }
    out.push(close);
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int32Builder, ListBuilder, MapBuilder, StringArray, StringBuilder};
    use arrow::datatypes::Field;
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// A value as it is written.
    pub(crate) fn shown(values: &dyn Array, row: usize) -> Value {
        let mut out = Vec::new();
        put(values, row, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn check(values: &dyn Array, expected: &[Value]) {
        let found: Vec<Value> = (0..values.len()).map(|row| shown(values, row)).collect();
        assert_eq!(found, expected);
        // A slice begins elsewhere.
        let tail = values.slice(1, values.len() - 1);
        assert_eq!(shown(tail.as_ref(), 0), expected[1]);
    }

    #[test]
    fn lists_structures_and_maps() {
        let mut lists = ListBuilder::new(Int32Builder::new());
        lists.append_value([Some(1), None]);
        lists.append_null();
        lists.append_value([]);
        let lists: ArrayRef = Arc::new(lists.finish());
        check(&lists, &[json!([1, null]), json!(null), json!([])]);
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
        let field = |name: &str, of: &ArrayRef| Arc::new(Field::new(name, of.data_type().clone(), true));
        let fields = vec![(field("n", &names), names.clone()), (field("l", &lists), lists.clone())];
        let (fields, columns): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let valid = Some(vec![true, true, false].into());
        let structures = StructArray::new(fields.into(), columns, valid);
        check(
            &structures,
            &[json!({ "n": "a", "l": [1, null] }), json!({ "n": null, "l": null }), json!(null)],
        );
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        maps.keys().append_value("k");
        maps.values().append_value(7);
        maps.append(true).unwrap();
        maps.append(true).unwrap();
        check(&maps.finish(), &[json!({ "k": 7 }), json!({})]);
    }
}
