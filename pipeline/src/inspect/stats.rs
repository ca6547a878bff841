//! One pass over a table: nulls, distinct values, range, mean, lengths and frequent values of every column; another for the spread of
//! numbers ([`super::spread`]).
//!
//! Memory depends on the columns, not on the rows ([`super::sketch`]). Files are read in parallel and their summaries
//! joined in the order of their names, so sums do not depend on the number of threads.

use super::sketch::{Distinct, Frequent, hash};
use super::spread::{Class, Range, spread};
use super::table::Part;
use super::{Grid, InspectError, Table, cell};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, FixedSizeListArray, LargeBinaryArray, LargeListArray, ListArray,
};
use arrow::datatypes::DataType;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value as Json;

/// Frequent values told.
const TOP: usize = 5;
/// Length classes: 0, 1, 2–3, 4–7 and so on by powers of two.
const CLASSES: usize = 34;

/// Statistics of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// Rows.
    pub rows: u64,
    /// One a column, in order.
    pub columns: Vec<ColumnStats>,
}

/// Statistics of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnStats {
    /// Name.
    pub name: String,
    /// Arrow type.
    pub kind: String,
    /// Rows without a value.
    pub nulls: u64,
    /// Different values.
    pub distinct: u64,
    /// Whether `distinct` is exact; else it is off by 1.6 % (one standard deviation).
    pub distinct_exact: bool,
    /// What `min`, `max` and `mean` are of: `value`, `chars`, `bytes` or `items`; nothing where there is no such thing.
    pub measure: Option<&'static str>,
    /// Smallest.
    pub min: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// Mean; for booleans the share of `true`.
    pub mean: Option<f64>,
    /// Lengths of texts and lists: how many rows from this length up to less than the next power of two.
    pub lengths: Vec<(u64, u64)>,
    /// How numbers are spread.
    pub histogram: Vec<Class>,
    /// Frequent values with their rows.
    pub top: Vec<(String, u64)>,
    /// Whether the rows of `top` are exact; else they are at least that.
    pub top_exact: bool,
}

/// Measures every column of `table`.
///
/// # Errors
/// A file is damaged.
pub fn stats(table: &Table) -> Result<Stats, InspectError> {
    let fields = table.schema().fields();
    let mut all: Vec<Summary> = fields.iter().map(|_| Summary::default()).collect();
    let parts: Vec<Vec<(usize, Summary)>> =
        table.parts.par_iter().map(|part| summarize(table, part)).collect::<Result<_, _>>()?;
    for (at, summary) in parts.into_iter().flatten() {
        all[at].merge(&summary);
    }
    let rows = table.rows();
    let told = fields.iter().zip(&all).map(|(f, s)| s.tell(f.name(), f.data_type(), rows));
    let mut columns: Vec<ColumnStats> = told.collect();
    let numbers = fields.iter().zip(&columns).filter(|(field, _)| field.data_type().is_numeric());
    let ranges = numbers.filter_map(|(field, c)| {
        let range = Range { min: c.min?, max: c.max?, mean: c.mean?, whole: field.data_type().is_integer() };
        Some((c.name.clone(), range))
    });
    let mut spread = spread(table, &ranges.collect())?;
    columns.iter_mut().for_each(|c| c.histogram = spread.remove(&c.name).unwrap_or_default());
    Ok(Stats { rows, columns })
}

fn summarize(table: &Table, part: &Part) -> Result<Vec<(usize, Summary)>, InspectError> {
    let places = part.schema().fields().iter().map(|f| {
        let at = table.schema().fields().iter().position(|g| g.name() == f.name());
        (at.expect("the table has the columns of its files"), Summary::default())
    });
    let mut summaries: Vec<(usize, Summary)> = places.collect();
    for batch in part.read(None, None)? {
        for (column, (_, summary)) in batch?.columns().iter().zip(&mut summaries) {
            summary.add(column);
        }
    }
    Ok(summaries)
}

/// What is known of a column so far.
struct Summary {
    present: u64,
    distinct: Distinct,
    frequent: Frequent,
    measured: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    lengths: [u64; CLASSES],
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            present: 0,
            distinct: Distinct::default(),
            frequent: Frequent::default(),
            measured: 0,
            sum: 0.0,
            min: None,
            max: None,
            lengths: [0; CLASSES],
        }
    }
}

impl Summary {
    fn add(&mut self, column: &ArrayRef) {
        let is_list = column.data_type().is_nested();
        for row in (0..column.len()).filter(|row| !column.is_null(*row)) {
            self.present += 1;
            if let Some(text) = text(column, row) {
                self.measure(text.chars().count() as f64, true);
                self.value(text);
                continue;
            }
            let length = length(column, row);
            let value = cell::json(column, row);
            match (length, number(&value)) {
                (Some(length), _) => self.measure(length as f64, true),
                (None, Some(number)) => self.measure(number, false),
                (None, None) => {}
            }
            let shown = if let Json::String(text) = value { text } else { value.to_string() };
            if is_list {
                self.distinct.add(hash(shown.as_bytes()));
            } else {
                self.value(&shown);
            }
        }
    }

    fn value(&mut self, shown: &str) {
        let hash = hash(shown.as_bytes());
        self.distinct.add(hash);
        self.frequent.add(hash, shown);
    }

    fn measure(&mut self, value: f64, is_length: bool) {
        self.measured += 1;
        self.sum += value;
        self.min = Some(self.min.map_or(value, |known| known.min(value)));
        self.max = Some(self.max.map_or(value, |known| known.max(value)));
        if is_length {
            let class = (64 - (value as u64).leading_zeros()) as usize;
            self.lengths[class.min(CLASSES - 1)] += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.present += other.present;
        self.distinct.merge(&other.distinct);
        self.frequent.merge(&other.frequent);
        self.measured += other.measured;
        self.sum += other.sum;
        self.min = self.min.into_iter().chain(other.min).reduce(f64::min);
        self.max = self.max.into_iter().chain(other.max).reduce(f64::max);
        self.lengths.iter_mut().zip(other.lengths).for_each(|(a, b)| *a += b);
    }

    fn tell(&self, name: &str, kind: &DataType, rows: u64) -> ColumnStats {
        let (distinct, distinct_exact) = self.distinct.count();
        let first = |class: usize| if class == 0 { 0 } else { 1_u64 << (class - 1) };
        let classes = self.lengths.iter().enumerate().filter(|(_, n)| **n > 0);
        ColumnStats {
            name: name.to_owned(),
            kind: kind.to_string(),
            nulls: rows - self.present,
            distinct,
            distinct_exact,
            measure: (self.measured > 0).then(|| measure(kind)),
            min: self.min,
            max: self.max,
            mean: (self.measured > 0).then(|| self.sum / self.measured as f64),
            lengths: classes.map(|(class, n)| (first(class), *n)).collect(),
            histogram: Vec::new(),
            top: self.frequent.top(TOP),
            top_exact: self.frequent.is_exact(),
        }
    }
}

const fn measure(kind: &DataType) -> &'static str {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "chars",
        DataType::Binary | DataType::LargeBinary => "bytes",
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "items",
        _ => "value",
    }
}

fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Some(column.as_string::<i64>().value(row)),
        DataType::Utf8View => Some(column.as_string_view().value(row)),
        _ => None,
    }
}

fn length(column: &ArrayRef, row: usize) -> Option<usize> {
    let any = column.as_any();
    any.downcast_ref::<BinaryArray>()
        .map(|a| a.value(row).len())
        .or_else(|| any.downcast_ref::<LargeBinaryArray>().map(|a| a.value(row).len()))
        .or_else(|| any.downcast_ref::<ListArray>().map(|a| a.value(row).len()))
        .or_else(|| any.downcast_ref::<LargeListArray>().map(|a| a.value(row).len()))
        .or_else(|| any.downcast_ref::<FixedSizeListArray>().map(|a| a.value(row).len()))
}

fn number(value: &Json) -> Option<f64> {
    value.as_f64().or_else(|| value.as_bool().map(|b| f64::from(u8::from(b))))
}

impl Stats {
    /// One row a column.
    pub fn grid(&self) -> Grid {
        let names = ["column", "type", "nulls", "distinct", "of", "min", "mean", "max"];
        let mut grid = Grid::new(&names);
        grid.rows.extend(self.columns.iter().map(|c| {
            let distinct = if c.distinct_exact {
                c.distinct.into()
            } else {
                format!("≈ {}", super::layout::thousands(c.distinct)).into()
            };
            let shown = |v: Option<f64>| v.map_or(Json::Null, short);
            let of = c.measure.map_or(Json::Null, Json::from);
            let (name, kind) = (c.name.clone().into(), c.kind.clone().into());
            vec![name, kind, c.nulls.into(), distinct, of, shown(c.min), shown(c.mean), shown(c.max)]
        }));
        grid.columns[3].kind = "Number".to_owned();
        grid
    }
}

/// Whole numbers stay whole; others get four decimals.
fn short(value: f64) -> Json {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Json::from(value as i64);
    }
    if value.abs() < 1e12 { cell::float((value * 1e4).round() / 1e4) } else { cell::float(value) }
}
