//! How a table is stored: columns, types, encodings, bytes and key-value metadata, all of it out of the footers.

use super::table::{Head, Table};
use super::{Column, Grid};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The storage of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaView {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Row groups in all files; 0 for JSON lines.
    pub row_groups: u64,
    /// Columns as a reader sees them.
    pub columns: Vec<Logical>,
    /// Columns as they lie in Parquet: a nested column is one a leaf.
    pub stored: Vec<Stored>,
    /// Key-value metadata; a key with other values in other files has them all.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// Who wrote the files.
    pub created_by: BTreeSet<String>,
}

/// A column as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logical {
    /// Name.
    pub name: String,
    /// Arrow type.
    pub kind: String,
    /// Whether a cell can be missing.
    pub nullable: bool,
}

/// A column as it lies in the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Path of the leaf: `input_ids.list.item`.
    pub path: String,
    /// Physical type.
    pub physical: String,
    /// Compression.
    pub compression: BTreeSet<String>,
    /// Encodings of the pages.
    pub encodings: BTreeSet<String>,
    /// Bytes in the files.
    pub compressed_bytes: u64,
    /// Bytes after decompression.
    pub uncompressed_bytes: u64,
}

/// Reads how `table` is stored.
pub fn schema(table: &Table) -> SchemaView {
    let logical = |f: &arrow::datatypes::FieldRef| Logical {
        name: f.name().clone(),
        kind: f.data_type().to_string(),
        nullable: f.is_nullable(),
    };
    let mut view = SchemaView {
        rows: table.rows(),
        files: table.parts.len() as u64,
        row_groups: 0,
        columns: table.schema().fields().iter().map(logical).collect(),
        stored: Vec::new(),
        metadata: BTreeMap::new(),
        created_by: BTreeSet::new(),
    };
    for part in &table.parts {
        if let Head::Parquet(metadata) = &part.head {
            view.add(metadata.metadata());
        }
    }
    view
}

impl SchemaView {
    fn add(&mut self, metadata: &ParquetMetaData) {
        self.row_groups += metadata.num_row_groups() as u64;
        let file = metadata.file_metadata();
        self.created_by.extend(file.created_by().map(str::to_owned));
        for pair in file.key_value_metadata().into_iter().flatten() {
            let value = pair.value.clone().unwrap_or_default();
            self.metadata.entry(pair.key.clone()).or_default().insert(value);
        }
        for chunk in metadata.row_groups().iter().flat_map(|group| group.columns()) {
            self.chunk(chunk);
        }
    }

    fn chunk(&mut self, chunk: &ColumnChunkMetaData) {
        let path = chunk.column_path().string();
        let at = self.stored.iter().position(|s| s.path == path).unwrap_or_else(|| {
            let physical = chunk.column_type().to_string();
            self.stored.push(Stored { path, physical, ..Stored::default() });
            self.stored.len() - 1
        });
        let stored = &mut self.stored[at];
        let compression = format!("{:?}", chunk.compression()).to_lowercase();
        stored.compression.insert(compression.split('(').next().unwrap_or_default().to_owned());
        stored.encodings.extend(chunk.encodings().map(|e| e.to_string().to_lowercase()));
        stored.compressed_bytes += u64::try_from(chunk.compressed_size()).unwrap_or(0);
        stored.uncompressed_bytes += u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
    }

    /// The columns as rows of a grid.
    pub fn columns_grid(&self) -> Grid {
        let mut grid = Grid::new(&["column", "type", "null"]);
        let rows = self.columns.iter().map(|c| {
            let null = if c.nullable { "yes" } else { "no" };
            vec![c.name.clone().into(), c.kind.clone().into(), null.into()]
        });
        grid.rows.extend(rows);
        grid
    }

    /// The storage as rows of a grid, the largest column first.
    pub fn stored_grid(&self) -> Grid {
        let mut stored: Vec<&Stored> = self.stored.iter().collect();
        stored.sort_by_key(|s| std::cmp::Reverse(s.compressed_bytes));
        let all: u64 = stored.iter().map(|s| s.compressed_bytes).sum();
        let mut grid =
            Grid::new(&["stored", "physical", "bytes", "share", "ratio", "compression", "encodings"]);
        grid.rows.extend(stored.iter().map(|s| {
            let share = format!("{:.1} %", 100.0 * s.compressed_bytes as f64 / all.max(1) as f64);
            let ratio = format!("{:.2}×", s.uncompressed_bytes as f64 / s.compressed_bytes.max(1) as f64);
            let joined = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ").into();
            let (compression, encodings) = (joined(&s.compression), joined(&s.encodings));
            let physical = s.physical.to_lowercase().into();
            let bytes = s.compressed_bytes.into();
            vec![s.path.clone().into(), physical, bytes, share.into(), ratio.into(), compression, encodings]
        }));
        // Shares and ratios are words, but read as numbers: to the right.
        for (name, kind) in [(3, "Number"), (4, "Number")] {
            grid.columns[name] = Column { name: grid.columns[name].name.clone(), kind: kind.to_owned() };
        }
        grid
    }
}
