//! How Parquet files are laid out: row groups, pages and encodings of every column, bytes, and key-value metadata, all of it out of the
//! footers and page indexes.
//!
//! Pages are counted by the statistics of encodings in the footer, or by the index of page offsets; a file may have neither.

use super::table::{Head, Table};
use super::{Grid, InspectError};
use parquet::basic::{Encoding, PageType};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The layout of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// Every row group, in the order of files and groups.
    pub groups: Vec<Group>,
    /// Every column as it lies in the files, over all of them.
    pub columns: Vec<Pages>,
    /// Key-value metadata; a key with other values in other files has them all.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// Who wrote the files.
    pub created_by: BTreeSet<String>,
    /// Versions of the format that the files say they have.
    pub versions: BTreeSet<i32>,
}

/// A row group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// File.
    pub file: String,
    /// Number in the file.
    pub group: u64,
    /// Number in the table of its first row.
    pub first_row: u64,
    /// Rows.
    pub rows: u64,
    /// Where its first page lies in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub compressed_bytes: u64,
    /// Bytes after decompression.
    pub uncompressed_bytes: u64,
}

/// The pages of a column in all files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pages {
    /// Path of the leaf: `input_ids.list.item`.
    pub path: String,
    /// Physical type.
    pub physical: String,
    /// Values, nulls included.
    pub values: u64,
    /// Nulls, where all chunks tell them.
    pub nulls: Option<u64>,
    /// Pages of values by encoding, with their version: `plain v1`. Empty where no chunk tells them.
    pub encodings: BTreeMap<String, u64>,
    /// Pages of values, where all chunks tell them.
    pub pages: Option<u64>,
    /// Pages with a dictionary.
    pub dictionaries: u64,
    /// Fewest and most rows of a page, where all chunks have an index of offsets.
    pub page_rows: Option<(u64, u64)>,
    /// Bytes in the file of the largest page, where all chunks have an index of offsets.
    pub page_bytes_max: Option<u64>,
    /// Chunks, one a row group.
    pub chunks: u64,
    /// Chunks whose pages can be found by row.
    pub indexed_chunks: u64,
    /// Bytes in the files.
    pub compressed_bytes: u64,
    /// Bytes after decompression.
    pub uncompressed_bytes: u64,
}

/// Reads the layout of `table`.
///
/// # Errors
/// No file of it is Parquet.
pub fn meta(table: &Table) -> Result<Meta, InspectError> {
    let mut meta = Meta {
        groups: Vec::new(),
        columns: Vec::new(),
        metadata: BTreeMap::new(),
        created_by: BTreeSet::new(),
        versions: BTreeSet::new(),
    };
    let (mut first_row, mut places) = (0, BTreeMap::new());
    for part in &table.parts {
        if let Head::Parquet(metadata) = &part.head {
            meta.add(&part.path.display().to_string(), metadata.metadata(), first_row, &mut places);
        }
        first_row += part.rows();
    }
    if meta.versions.is_empty() {
        let message = "JSON lines have no row groups, pages or encodings";
        return Err(InspectError::question(message, "give Parquet files; `--schema` shows the columns"));
    }
    Ok(meta)
}

impl Meta {
    /// Adds a file; `places` says where in the columns each path is.
    fn add(
        &mut self,
        name: &str,
        metadata: &ParquetMetaData,
        mut first_row: u64,
        places: &mut BTreeMap<String, usize>,
    ) {
        let file = metadata.file_metadata();
        self.created_by.extend(file.created_by().map(str::to_owned));
        self.versions.insert(file.version());
        for pair in file.key_value_metadata().into_iter().flatten() {
            self.metadata.entry(pair.key.clone()).or_default().insert(pair.value.clone().unwrap_or_default());
        }
        for (at, group) in metadata.row_groups().iter().enumerate() {
            let offset = group.columns().iter().map(|chunk| chunk.byte_range().0).min().unwrap_or(0);
            self.groups.push(Group {
                file: name.to_owned(),
                group: at as u64,
                first_row,
                rows: unsigned(group.num_rows()),
                offset,
                compressed_bytes: unsigned(group.compressed_size()),
                uncompressed_bytes: unsigned(group.total_byte_size()),
            });
            first_row += unsigned(group.num_rows());
            let index = metadata.offset_index().and_then(|index| index.get(at));
            for (column, chunk) in group.columns().iter().enumerate() {
                let pages =
                    index.and_then(|index| index.get(column)).map(|index| index.page_locations().as_slice());
                self.pages_of(chunk, places).add(
                    chunk,
                    pages.filter(|pages| !pages.is_empty()),
                    unsigned(group.num_rows()),
                );
            }
        }
    }

    fn pages_of(&mut self, chunk: &ColumnChunkMetaData, places: &mut BTreeMap<String, usize>) -> &mut Pages {
        let path = chunk.column_path().string();
        let at = *places.entry(path.clone()).or_insert_with(|| {
            let physical = chunk.column_type().to_string().to_lowercase();
            let (nulls, pages, page_bytes_max) = (Some(0), Some(0), Some(0));
            self.columns.push(Pages { path, physical, nulls, pages, page_bytes_max, ..Pages::default() });
            self.columns.len() - 1
        });
        &mut self.columns[at]
    }
}

impl Pages {
    fn add(&mut self, chunk: &ColumnChunkMetaData, pages: Option<&[PageLocation]>, rows: u64) {
        let nulls = chunk.statistics().and_then(|statistics| statistics.null_count_opt());
        self.nulls = self.nulls.zip(nulls).map(|(all, these)| all + these);
        self.values += unsigned(chunk.num_values());
        self.dictionaries += u64::from(chunk.dictionary_page_offset().is_some());
        self.compressed_bytes += unsigned(chunk.compressed_size());
        self.uncompressed_bytes += unsigned(chunk.uncompressed_size());
        let told = chunk.page_encoding_stats().map(|stats| {
            let data = stats.iter().filter(|s| s.page_type != PageType::DICTIONARY_PAGE && s.count > 0);
            data.map(|s| {
                let count = unsigned(s.count.into());
                *self.encodings.entry(encoding(s.page_type, s.encoding)).or_default() += count;
                count
            })
            .sum()
        });
        let count = told.or_else(|| pages.map(|pages| pages.len() as u64));
        self.pages = self.pages.zip(count).map(|(all, these)| all + these);
        let (first, indexed) = (self.chunks == 0, self.indexed_chunks == self.chunks);
        self.chunks += 1;
        let Some(pages) = pages else {
            (self.page_rows, self.page_bytes_max) = (None, None);
            return;
        };
        self.indexed_chunks += 1;
        let starts = pages.iter().map(|page| unsigned(page.first_row_index));
        let ends = starts.clone().skip(1).chain([rows]);
        let lengths = starts.zip(ends).map(|(start, end)| end.saturating_sub(start));
        let range = lengths.fold((u64::MAX, 0), |(least, most), rows| (least.min(rows), most.max(rows)));
        self.page_rows = match self.page_rows {
            Some((least, most)) => Some((least.min(range.0), most.max(range.1))),
            None => (first && indexed).then_some(range),
        };
        let largest = pages.iter().map(|page| unsigned(page.compressed_page_size.into())).max();
        self.page_bytes_max = self.page_bytes_max.zip(largest).map(|(all, this)| all.max(this));
    }
}

fn encoding(page: PageType, encoding: Encoding) -> String {
    let version = if page == PageType::DATA_PAGE_V2 { "v2" } else { "v1" };
    format!("{} {version}", encoding.to_string().to_lowercase())
}

/// Sizes and counts are signed in the format, but never negative in a whole file.
fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

impl Meta {
    /// The columns as rows of a grid, in the order of the files.
    pub fn columns_grid(&self) -> Grid {
        let names = [
            "column",
            "physical",
            "values",
            "nulls",
            "pages",
            "rows a page",
            "largest",
            "bytes",
            "ratio",
            "encodings",
        ];
        let mut grid = Grid::new(&names);
        grid.rows.extend(self.columns.iter().map(|column| {
            let number = |n: Option<u64>| n.map_or(Json::Null, Json::from);
            let rows = column.page_rows.map_or(Json::Null, |(least, most)| {
                let (least, most) = (super::layout::thousands(least), super::layout::thousands(most));
                Json::from(if least == most { least } else { format!("{least}–{most}") })
            });
            let ratio = column.uncompressed_bytes as f64 / column.compressed_bytes.max(1) as f64;
            let mut encodings: Vec<String> =
                column.encodings.iter().map(|(name, pages)| format!("{name} ×{pages}")).collect();
            encodings
                .extend((column.dictionaries > 0).then(|| format!("dictionary ×{}", column.dictionaries)));
            vec![
                column.path.clone().into(),
                column.physical.clone().into(),
                column.values.into(),
                number(column.nulls),
                number(column.pages),
                rows,
                number(column.page_bytes_max),
                column.compressed_bytes.into(),
                format!("{ratio:.2}×").into(),
                encodings.join(", ").into(),
            ]
        }));
        for at in [5, 8] {
            grid.columns[at].kind = "Number".to_owned();
        }
        grid
    }

    /// The first `most` row groups as rows of a grid.
    pub fn groups_grid(&self, most: usize) -> Grid {
        let mut grid = Grid::new(&["file", "group", "first row", "rows", "offset", "bytes", "ratio"]);
        grid.rows.extend(self.groups.iter().take(most).map(|group| {
            // With its folder: the parts of `train` and `validation` have one name.
            let start = group.file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
            let file = &group.file[start..];
            let ratio = group.uncompressed_bytes as f64 / group.compressed_bytes.max(1) as f64;
            let numbers = [group.group, group.first_row, group.rows, group.offset, group.compressed_bytes];
            let numbers = numbers.map(Json::from);
            [Json::from(file)].into_iter().chain(numbers).chain([format!("{ratio:.2}×").into()]).collect()
        }));
        grid.columns[6].kind = "Number".to_owned();
        grid
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{folder, write};
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    #[test]
    fn groups_and_pages_add_up_to_the_file() {
        let folder = folder("meta");
        let path = folder.0.join("a.parquet");
        let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(3), Some(5)]));
        write(&path, &RecordBatch::try_from_iter([("n", n)]).unwrap());
        let table = Table::open(&[path.clone(), path]).unwrap();
        let meta = meta(&table).unwrap();
        let groups: Vec<_> = meta.groups.iter().map(|g| (g.group, g.first_row, g.rows)).collect();
        assert_eq!(groups, [(0, 0, 2), (1, 2, 2), (2, 4, 1), (0, 5, 2), (1, 7, 2), (2, 9, 1)]);
        assert_eq!(meta.groups[0].offset, 4);
        let column = &meta.columns[0];
        assert_eq!((column.path.as_str(), column.physical.as_str()), ("n", "int64"));
        assert_eq!((column.values, column.nulls, column.pages), (10, Some(2), Some(6)));
        assert_eq!((column.chunks, column.indexed_chunks, column.page_rows), (6, 6, Some((1, 2))));
        assert_eq!((column.dictionaries, column.encodings.values().sum::<u64>()), (6, 6), "{column:?}");
        assert_eq!(column.compressed_bytes, meta.groups.iter().map(|g| g.compressed_bytes).sum::<u64>());
        assert!(meta.metadata.contains_key("ARROW:schema"));
        assert_eq!(meta.groups_grid(2).rows.len(), 2);
    }

    #[test]
    fn lines_have_no_layout() {
        let folder = folder("meta-lines");
        let path = folder.0.join("a.jsonl");
        std::fs::write(&path, "{\"n\":1}\n").unwrap();
        let error = meta(&Table::open(&[path]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("JSON lines have no row groups") && error.contains("--schema"), "{error}");
    }
}
