//! One cell of an Arrow array as a JSON value, the common form of everything that is shown.
//!
//! Numbers stay numbers where JSON has them; NaN and the infinities become words; bytes become text where they are
//! UTF-8, else hexadecimal digits behind `0x`; dates and the other types that JSON lacks become what Arrow prints.

use arrow::array::{
    Array, AsArray, BinaryArray, FixedSizeListArray, LargeBinaryArray, LargeListArray, ListArray, StructArray,
};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value as Json};
use std::fmt::Write;

/// The cell in row `row`.
pub(crate) fn json(array: &dyn Array, row: usize) -> Json {
    if array.is_null(row) {
        return Json::Null;
    }
    match array.data_type() {
        DataType::Boolean => Json::from(array.as_boolean().value(row)),
        DataType::Int8 => Json::from(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => Json::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => Json::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Json::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Json::from(array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => Json::from(array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => Json::from(array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => Json::from(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Json::from(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Json::from(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Json::from(array.as_string_view().value(row)),
        DataType::Binary => bytes(downcast::<BinaryArray>(array).value(row)),
        DataType::LargeBinary => bytes(downcast::<LargeBinaryArray>(array).value(row)),
        DataType::List(_) => list(downcast::<ListArray>(array).value(row).as_ref()),
        DataType::LargeList(_) => list(downcast::<LargeListArray>(array).value(row).as_ref()),
        DataType::FixedSizeList(..) => list(downcast::<FixedSizeListArray>(array).value(row).as_ref()),
        DataType::Struct(_) => object(downcast(array), row),
        _ => printed(array, row),
    }
}

/// Numbers that JSON lacks become words.
pub(crate) fn float(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or_else(|| Json::from(value.to_string()), Json::Number)
}

pub(crate) fn bytes(value: &[u8]) -> Json {
    if let Ok(text) = std::str::from_utf8(value) {
        return Json::from(text);
    }
    let mut hex = String::with_capacity(2 + 2 * value.len());
    hex.push_str("0x");
    for byte in value {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
    }
    Json::from(hex)
}

fn downcast<A: 'static>(array: &dyn Array) -> &A {
    array.as_any().downcast_ref().expect("the type was matched")
}

fn list(values: &dyn Array) -> Json {
    Json::Array((0..values.len()).map(|row| json(values, row)).collect())
}

fn object(array: &StructArray, row: usize) -> Json {
    let fields = array.fields().iter().zip(array.columns());
    Json::Object(
        fields.map(|(f, column)| (f.name().clone(), json(column.as_ref(), row))).collect::<Map<_, _>>(),
    )
}

fn printed(array: &dyn Array, row: usize) -> Json {
    let options = FormatOptions::default();
    match ArrayFormatter::try_new(schemas::instant::of_utc(array).as_ref(), &options) {
        Ok(formatter) => Json::from(formatter.value(row).to_string()),
        Err(error) => Json::from(format!("({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Float64Array, Int32Array, StringArray, TimestampSecondArray};
    use arrow::datatypes::{Field, Int32Type as I32};
    use std::sync::Arc;

    fn check(array: &dyn Array, expected: &str) {
        let cells: Vec<Json> = (0..array.len()).map(|row| json(array, row)).collect();
        assert_eq!(Json::Array(cells).to_string(), expected);
    }

    #[test]
    fn cells_are_json() {
        check(&StringArray::from(vec![Some("a\u{0}\n"), None]), r#"["a\u0000\n",null]"#);
        check(&Float64Array::from(vec![0.5, f64::NAN, f64::INFINITY]), r#"[0.5,"NaN","inf"]"#);
        check(&BinaryArray::from(vec![b"ok".as_slice(), b"\xff\x00"]), r#"["ok","0xff00"]"#);
        check(&TimestampSecondArray::from(vec![0]), r#"["1970-01-01T00:00:00"]"#);
        let lists = ListArray::from_iter_primitive::<I32, _, _>([Some(vec![Some(1), None]), None]);
        check(&lists, "[[1,null],null]");
        let field = Arc::new(Field::new("n", DataType::Int32, true));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![7]));
        check(&StructArray::from(vec![(field, numbers)]), r#"[{"n":7}]"#);
    }
}
