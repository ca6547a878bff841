//! Times with a zone, as those of UTC.

use arrow::array::{Array, ArrayRef, make_array};
use arrow::datatypes::DataType;

/// The values of a column of times with a named zone (`UTC`, `Europe/Paris`) as times of the zone `+00:00`, which is what they count
/// from: they can be shown without a table of zones. Any other column as it is.
pub fn of_utc(values: &dyn Array) -> ArrayRef {
    let data = values.to_data();
    let DataType::Timestamp(unit, Some(_)) = values.data_type() else { return make_array(data) };
    let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
    make_array(data.into_builder().data_type(utc).build().expect("the zone is no part of the values"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, TimestampMicrosecondArray};
    use arrow::util::display::{ArrayFormatter, FormatOptions};

    #[test]
    fn times_of_named_zones_are_shown() {
        let times = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]);
        for zone in ["UTC", "Europe/Paris", "+02:00"] {
            let shown = of_utc(&times.clone().with_timezone(zone));
            let format = FormatOptions::default();
            let format = ArrayFormatter::try_new(shown.as_ref(), &format).unwrap();
            assert_eq!(
                (format.value(0).to_string(), shown.is_null(1)),
                ("1970-01-01T00:00:01.500Z".into(), true)
            );
        }
        assert_eq!(of_utc(&Int64Array::from(vec![1])).data_type(), &DataType::Int64);
    }
}
