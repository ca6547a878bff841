//! Looking into finished datasets: nothing here writes, and nothing here prints.
//!
//! [`Table`] is rows of any Parquet or JSON-lines files; [`Dataset`] is a committed folder with its manifest. Views are
//! values with a [`serde::Serialize`] form and a text form ([`layout`]), so that every one exists for people and for
//! programs. Files are read with the `parquet` crate, footer and row selection first; polars answers SQL alone, behind
//! the feature `sql`.

mod bias;
mod cell;
mod compare;
pub(crate) mod dataset;
mod diff;
mod dups;
mod error;
mod explain;
pub(crate) mod find;
#[cfg(test)]
pub(crate) mod fixture;
mod grid;
mod jsonl;
pub mod layout;
mod lineage;
mod meta;
mod names;
mod overview;
pub mod plot;
mod sample;
mod schema;
mod sketch;
mod spread;
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

pub use bias::{Bias, BiasRow, Score, Side, bias};
pub use compare::{Comparison, Differing, NodeChange, compare, compare_nodes};
pub use dataset::Dataset;
pub use diff::{Change, changes};
pub use dups::{Bands, Cluster, Dups, Member, Named, Pair, PairSide, dups, pair};
pub use error::InspectError;
pub use explain::{Fate, Found, Life, NoHistory, Place, Step, TextHistory, Texts, explain};
pub use grid::{Column, Grid};
pub use lineage::{Ancestry, Origin, Spot, SpotPiece, lineage, spot};
pub use meta::{Group, Meta, Pages, meta};
pub use overview::{Overview, overview};
pub use sample::sample_rows;
pub use schema::{SchemaView, schema};
pub use spread::Class;
#[cfg(feature = "sql")]
pub use sql::{Sql, sql};
pub use stats::{ColumnStats, Stats, stats};
pub use table::Table;
pub use target::Target;
pub use tokens::{TokenRow, TokenView, token_row};
pub use verify::{Finding, Verified, verify};
pub use vocabulary::Vocabulary;
pub use what_if::{Moved, WhatIf, what_if};
