//! Rows and columns of cells, ready to be laid out or written as JSON.

use serde_json::{Map, Value as Json};

/// A column of a [`Grid`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type in words, as Arrow or polars write it.
    pub kind: String,
}

/// Some rows of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grid {
    /// The columns.
    pub columns: Vec<Column>,
    /// One vector a row, as long as `columns`.
    pub rows: Vec<Vec<Json>>,
}

impl Grid {
    /// A grid of the named columns without rows.
    pub fn new(names: &[&str]) -> Self {
        let columns = names.iter().map(|n| Column { name: (*n).to_owned(), kind: String::new() });
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// One object a row, keys in the order of the alphabet.
    pub fn to_json(&self) -> Json {
        Json::Array(self.rows.iter().map(|row| self.object(row)).collect())
    }

    fn object(&self, row: &[Json]) -> Json {
        let pairs = self.columns.iter().zip(row).map(|(c, cell)| (c.name.clone(), cell.clone()));
        Json::Object(pairs.collect::<Map<_, _>>())
    }
}
