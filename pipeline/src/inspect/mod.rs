//! Looking into finished datasets: nothing here writes, and nothing here prints.
//!
//! [`Table`] is rows of any Parquet or JSON-lines files; [`Dataset`] is a committed folder with its manifest. Views are
//! values with a [`serde::Serialize`] form and a text form ([`layout`]), so that every one exists for people and for
//! programs. Files are read with the `parquet` crate, footer and row selection first; polars answers SQL alone, behind
//! the feature `sql`.

mod bias;
mod cell;
pub(crate) mod dataset;
mod diff;
mod error;
mod explain;
pub(crate) mod find;
#[cfg(test)]
pub(crate) mod fixture;
mod grid;
mod jsonl;
pub mod layout;
mod overview;
mod sample;
mod schema;
mod sketch;
#[cfg(feature = "sql")]
mod sql;
mod stats;
pub(crate) mod table;
mod target;
#[cfg(test)]
mod tests;
mod tokens;
mod verify;
mod vocabulary;
mod what_if;

pub use bias::{Bias, BiasRow, Side, bias};
pub use dataset::Dataset;
pub use diff::{Change, changes};
pub use error::InspectError;
pub use explain::{Fate, Found, Life, NoHistory, Place, Step, TextHistory, Texts, explain};
pub use grid::{Column, Grid};
pub use overview::{Overview, overview};
pub use sample::sample_rows;
pub use schema::{SchemaView, schema};
#[cfg(feature = "sql")]
pub use sql::{Sql, sql};
pub use stats::{ColumnStats, Stats, stats};
pub use table::Table;
pub use target::Target;
pub use tokens::{TokenRow, TokenView, token_row};
pub use verify::{Finding, Verified, verify};
pub use vocabulary::Vocabulary;
pub use what_if::{Moved, WhatIf, what_if};
