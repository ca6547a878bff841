//! Histograms of columns of numbers, in a second pass: their edges follow from the range and the mean.
//!
//! Classes are equally wide. Where the mean is close to the least value, as of counts and sizes, most rows would fall into the first class;
//! there each class is twice as wide as the one before it.

use super::table::Part;
use super::{InspectError, Table, cell};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// Classes of a histogram.
const CLASSES: usize = 12;
/// Classes from the least value to the mean, at least that many, of equally wide ones.
const CLASSES_BELOW_MEAN_MIN: f64 = 0.75;

/// Rows with a value from `from` up to less than `to`; in the last class up to `to` itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Class {
    /// Least value.
    pub from: f64,
    /// Where the next class begins.
    pub to: f64,
    /// Rows.
    pub rows: u64,
}

/// What the first pass found out of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
    pub(super) whole: bool,
}

impl Range {
    /// The borders of the classes, ascending; none where there is but one value.
    fn edges(self) -> Vec<f64> {
        let Self { min, max, mean, whole } = self;
        let width = max - min;
        if !width.is_finite() || width <= 0.0 {
            return Vec::new();
        }
        // Whole numbers have no classes between them, and their last class holds the greatest.
        let end = if whole { max + 1.0 } else { max };
        let count = if whole { CLASSES.min((end - min) as usize) } else { CLASSES };
        let skewed = (mean - min) * count as f64 / width < CLASSES_BELOW_MEAN_MIN;
        let edge = |at: usize| match at {
            0 => min,
            at if at == count => end,
            at if skewed => min + (end - min) / 2_f64.powi((count - at) as i32),
            at => min + (end - min) * at as f64 / count as f64,
        };
        let mut edges: Vec<f64> =
            (0..=count).map(|at| if whole { edge(at).round() } else { edge(at) }).collect();
        edges.dedup();
        edges
    }
}

/// Counts the values of the columns in `ranges` by class; a column of one value has no classes.
pub(super) fn spread(
    table: &Table,
    ranges: &BTreeMap<String, Range>,
) -> Result<BTreeMap<String, Vec<Class>>, InspectError> {
    let edges: BTreeMap<&str, Vec<f64>> = ranges
        .iter()
        .map(|(name, range)| (name.as_str(), range.edges()))
        .filter(|(_, edges)| edges.len() > 2)
        .collect();
    let parts: Vec<BTreeMap<&str, Vec<u64>>> =
        table.parts.par_iter().map(|part| count(part, &edges)).collect::<Result<_, _>>()?;
    let classes = edges.iter().map(|(name, edges)| {
        let rows = |at: usize| parts.iter().filter_map(|part| part.get(name)).map(|counts| counts[at]).sum();
        let classes = edges.windows(2).enumerate();
        let classes = classes.map(|(at, edge)| Class { from: edge[0], to: edge[1], rows: rows(at) });
        ((*name).to_owned(), classes.collect())
    });
    Ok(classes.collect())
}

fn count<'a>(
    part: &Part,
    edges: &BTreeMap<&'a str, Vec<f64>>,
) -> Result<BTreeMap<&'a str, Vec<u64>>, InspectError> {
    let mut counts: BTreeMap<&str, Vec<u64>> =
        edges.iter().map(|(name, edges)| (*name, vec![0; edges.len() - 1])).collect();
    let names: Vec<&str> = edges.keys().copied().collect();
    let here = names.iter().any(|name| part.schema().field_with_name(name).is_ok());
    if !here {
        return Ok(counts);
    }
    for batch in part.read(None, Some(&names))? {
        let batch = batch?;
        for (name, counts) in &mut counts {
            let Some(column) = batch.column_by_name(name) else { continue };
            let edges = &edges[name];
            for value in (0..column.len()).filter_map(|row| cell::json(column, row).as_f64()) {
                counts[edges.partition_point(|edge| *edge <= value).clamp(1, edges.len() - 1) - 1] += 1;
            }
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{folder, write};
    use super::super::stats;
    use super::*;
    use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch};
    use std::sync::Arc;

    fn classes(name: &str, column: ArrayRef) -> Vec<(f64, f64, u64)> {
        let folder = folder(&format!("spread-{name}"));
        let half = column.len() / 2;
        for (name, part) in [("a", column.slice(0, half)), ("b", column.slice(half, column.len() - half))] {
            write(
                &folder.0.join(format!("{name}.parquet")),
                &RecordBatch::try_from_iter([("n", part)]).unwrap(),
            );
        }
        let files = ["a", "b"].map(|name| folder.0.join(format!("{name}.parquet")));
        let told = stats(&Table::open(&files).unwrap()).unwrap().columns.remove(0).histogram;
        told.into_iter().map(|class| (class.from, class.to, class.rows)).collect()
    }

    #[test]
    fn every_value_is_in_one_class() {
        let few: ArrayRef = Arc::new(Int32Array::from(vec![Some(3), Some(1), None, Some(3)]));
        assert_eq!(classes("few", few), [(1.0, 2.0, 1), (2.0, 3.0, 0), (3.0, 4.0, 2)]);
        let even: ArrayRef = Arc::new(Int32Array::from_iter_values(0..1200));
        assert_eq!(
            classes("even", even),
            (0..12).map(|n| (f64::from(n) * 100.0, f64::from(n + 1) * 100.0, 100)).collect::<Vec<_>>()
        );
        let parts: ArrayRef =
            Arc::new(Float64Array::from_iter_values((0..=12).map(f64::from).map(|n| n / 4.0)));
        let parts = classes("parts", parts);
        assert_eq!(
            (parts.len(), parts[11], parts.iter().map(|c| c.2).sum::<u64>()),
            (12, (2.75, 3.0, 2), 13)
        );
        let same: ArrayRef = Arc::new(Int32Array::from(vec![7, 7]));
        assert_eq!(classes("same", same), []);
    }

    #[test]
    fn skewed_values_get_classes_that_double() {
        let sizes: ArrayRef = Arc::new(Int32Array::from_iter_values((0..1000).map(|n| n % 10).chain([4095])));
        let told = classes("sizes", sizes);
        assert_eq!(told[..2], [(0.0, 2.0, 200), (2.0, 4.0, 200)]);
        assert_eq!(told.last(), Some(&(2048.0, 4096.0, 1)));
        assert_eq!(told.iter().map(|class| class.2).sum::<u64>(), 1001);
    }
}
