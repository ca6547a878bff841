//! SQL over the files of a dataset, by polars: lazy, so that only the columns and row groups that a question needs are
//! read.
//!
//! ```text
//! gristmill inspect gristmill-demo --sql "select reason, count(*) as rows from dropped group by reason"
//! ```

use super::table::{Head, Part};
use super::{Column, Grid, InspectError, Table, cell};
use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use polars::prelude::{
    AnyValue, DataFrame, DataType, IntoLazy, LazyFrame, NamedFrom, PlRefPath, PolarsError, ScanArgsParquet,
    Series, UnionArgs, col, concat, lit,
};
use polars::sql::SQLContext;
use schemas::near::closest;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Sql {
    /// Rows of the answer.
    pub grid: Grid,
    /// Whether there are more.
    pub more: bool,
}

/// Asks `query` of the tables; gives up to `rows_max` rows.
///
/// # Errors
/// The query is not SQL or names what is not there; a file is damaged.
pub fn sql(
    tables: &BTreeMap<String, Table>,
    query: &str,
    rows_max: Option<u64>,
) -> Result<Sql, InspectError> {
    let verb = query.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    if !["select", "with", "show", "explain", ""].iter().any(|reads| verb.eq_ignore_ascii_case(reads)) {
        let message = format!("`{verb}` is not for looking at tables");
        return Err(InspectError::question(
            message,
            "begin with `select` or `with`; nothing is changed here",
        ));
    }
    let mut context = SQLContext::new();
    let mut columns: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, table) in tables {
        context.register(name, frame(table)?);
        columns.push((name, table.schema().fields().iter().map(|f| f.name().clone()).collect()));
    }
    let refused = |error: PolarsError| mistake(&error, &columns);
    let lazy = context.execute(query).map_err(refused)?;
    let limit = rows_max.map(|n| u32::try_from(n + 1).unwrap_or(u32::MAX));
    let lazy = limit.map_or(lazy.clone(), |n| lazy.limit(n));
    let answer = lazy.collect().map_err(|error| failed(error, tables).unwrap_or_else(refused))?;
    let more = rows_max.is_some_and(|n| answer.height() as u64 > n);
    let rows =
        rows_max.map_or(answer.height(), |n| answer.height().min(usize::try_from(n).unwrap_or(usize::MAX)));
    Ok(Sql { grid: grid(&answer, rows), more })
}

/// What the system or a damaged file stops, by the file that is asked first; any other error, the question's own, comes back.
fn failed(error: PolarsError, tables: &BTreeMap<String, Table>) -> Result<InspectError, PolarsError> {
    let part = tables.values().flat_map(|table| &table.parts).next();
    match (&error, part) {
        (PolarsError::IO { .. }, Some(part)) => Ok(damaged(part, &error)),
        _ => Err(error),
    }
}

fn grid(answer: &DataFrame, rows: usize) -> Grid {
    let columns =
        answer.columns().iter().map(|c| Column { name: c.name().to_string(), kind: c.dtype().to_string() });
    let cell =
        |row: usize| answer.columns().iter().map(|c| c.get(row).map_or(Json::Null, |v| json(&v))).collect();
    Grid { columns: columns.collect(), rows: (0..rows).map(cell).collect() }
}

fn json(value: &AnyValue<'_>) -> Json {
    match value {
        AnyValue::Null => Json::Null,
        AnyValue::Boolean(b) => Json::from(*b),
        AnyValue::String(text) => Json::from(*text),
        AnyValue::StringOwned(text) => Json::from(text.as_str()),
        AnyValue::Binary(bytes) => cell::bytes(bytes),
        AnyValue::BinaryOwned(bytes) => cell::bytes(bytes),
        AnyValue::UInt64(n) => Json::from(*n),
        AnyValue::Float32(x) => cell::float(f64::from(*x)),
        AnyValue::Float64(x) => cell::float(*x),
        AnyValue::List(values) | AnyValue::Array(values, _) => {
            Json::Array((0..values.len()).map(|at| values.get(at).map_or(Json::Null, |v| json(&v))).collect())
        }
        other => match other.dtype().is_integer().then(|| other.extract::<i64>()).flatten() {
            Some(n) => Json::from(n),
            None => Json::from(other.to_string()),
        },
    }
}

/// A table as one lazy frame; a column that a file lacks is null there.
fn frame(table: &Table) -> Result<LazyFrame, InspectError> {
    let mut frames = Vec::with_capacity(table.parts.len());
    let mut schemas = Vec::with_capacity(table.parts.len());
    for part in &table.parts {
        let mut lazy = scan(part)?;
        schemas.push(lazy.collect_schema().map_err(|e| damaged(part, &e))?);
        frames.push(lazy);
    }
    let mut union: Vec<(String, DataType)> = Vec::new();
    for (name, kind) in schemas.iter().flat_map(|schema| schema.iter()) {
        if !union.iter().any(|(known, _)| known == name.as_str()) {
            union.push((name.to_string(), kind.clone()));
        }
    }
    let even = frames.into_iter().zip(&schemas).map(|(lazy, schema)| {
        let all = union.iter().map(|(name, kind)| match schema.contains(name) {
            true => col(name.as_str()),
            false => lit(polars::prelude::NULL).cast(kind.clone()).alias(name.as_str()),
        });
        lazy.select(all.collect::<Vec<_>>())
    });
    let mut even: Vec<LazyFrame> = even.collect();
    if even.len() == 1 {
        return Ok(even.remove(0));
    }
    let help = "inspect the files one by one";
    // The slice keeps all rows. Without it polars 0.55 counts the rows of a union as UInt128, which needs its feature
    // `dtype-u128` and is an error without.
    concat(even, UnionArgs::default())
        .map(|all| all.slice(0, u32::MAX))
        .map_err(|e| InspectError::question(format!("the files are no one table: {e}"), help))
}

fn damaged(part: &Part, error: &PolarsError) -> InspectError {
    InspectError::format(&part.path, error.to_string(), "look at it with --schema")
}

fn scan(part: &Part) -> Result<LazyFrame, InspectError> {
    match &part.head {
        Head::Parquet(_) => {
            let Some(path) = part.path.to_str() else {
                return Err(InspectError::format(&part.path, "the path is not UTF-8", "rename it"));
            };
            let args = ScanArgsParquet { glob: false, ..ScanArgsParquet::default() };
            LazyFrame::scan_parquet(PlRefPath::new(path), args).map_err(|e| damaged(part, &e))
        }
        Head::JsonLines(_) => in_memory(part),
    }
}

/// JSON lines are read whole: polars needs them typed.
fn in_memory(part: &Part) -> Result<LazyFrame, InspectError> {
    use arrow::datatypes::DataType as Arrow;
    let batches: Vec<_> = part.read(None, None)?.collect::<Result<_, _>>()?;
    let columns = part.schema().fields().iter().enumerate().map(|(at, field)| {
        let cells = || batches.iter().map(move |b| b.column(at));
        let name = field.name().as_str().into();
        let series = match field.data_type() {
            Arrow::Boolean => {
                Series::new(name, cells().flat_map(|c| c.as_boolean().iter()).collect::<Vec<_>>())
            }
            Arrow::Int64 => Series::new(
                name,
                cells().flat_map(|c| c.as_primitive::<Int64Type>().iter()).collect::<Vec<_>>(),
            ),
            Arrow::Float64 => Series::new(
                name,
                cells().flat_map(|c| c.as_primitive::<Float64Type>().iter()).collect::<Vec<_>>(),
            ),
            _ => Series::new(name, cells().flat_map(|c| c.as_string::<i32>().iter()).collect::<Vec<_>>()),
        };
        series.into()
    });
    let rows = batches.iter().map(|b| b.num_rows()).sum();
    DataFrame::new(rows, columns.collect()).map(IntoLazy::lazy).map_err(|e| damaged(part, &e))
}

/// Says what exists where a name does not.
fn mistake(error: &PolarsError, tables: &[(&str, Vec<String>)]) -> InspectError {
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default().to_owned();
    let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
    let quoted: Vec<&str> = message.split(['\'', '"', '`']).skip(1).step_by(2).collect();
    let known = |word: &str| names.contains(&word) || tables.iter().any(|(_, c)| c.iter().any(|c| c == word));
    let unknown = quoted.iter().copied().find(|word| !known(word));
    let all = names.iter().copied().chain(tables.iter().flat_map(|(_, c)| c.iter().map(String::as_str)));
    let near = unknown.and_then(|word| closest(word, all)).map(|near| format!("did you mean `{near}`? "));
    let there: Vec<String> =
        tables.iter().map(|(name, columns)| format!("{name} ({})", columns.join(", "))).collect();
    if message.contains("duplicate") {
        let message = "SQL: two columns of the answer have one name";
        return InspectError::question(
            message.to_owned(),
            "give each a name of its own: `select count(*) as rows, min(value) as least …`".to_owned(),
        );
    }
    let near = match unknown {
        Some("dropped") => Some("no document was dropped; ".to_owned()),
        _ => near,
    };
    let help = format!("{}tables and their columns:\n    {}", near.unwrap_or_default(), there.join("\n    "));
    InspectError::question(format!("SQL: {message}"), help)
}
