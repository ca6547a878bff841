//! What differs between two tables or datasets: columns, rows by their key, cells, and for datasets what their nodes did.
//!
//! Rows are matched by `id`, else by `url`, where both tables have the column, and otherwise by number; rows of one key are matched in their
//! order. Of each row 32 bytes are held in memory, whatever its length.

use super::table::Table;
use super::{Change, Dataset, InspectError, cell, changes};
use arrow::array::RecordBatch;
use schemas::column;
use schemas::manifest::Node;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Pairs of rows whose cells are compared one by one.
const CELLS_OF_MAX: usize = 10_000;
/// Differing rows told of each kind.
const TOLD: usize = 8;

/// What differs between two tables, left and right.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Rows of each.
    pub rows: [u64; 2],
    /// What rows are matched by; `None` for their number.
    pub key: Option<String>,
    /// Columns that one alone has.
    pub columns_only: [Vec<String>; 2],
    /// Columns of another type: name, type left, type right.
    pub columns_retyped: Vec<(String, String, String)>,
    /// Matched rows that are equal in all common columns.
    pub same: u64,
    /// Matched rows that are not.
    pub changed: u64,
    /// Rows that one alone has.
    pub rows_only: [u64; 2],
    /// In how many rows a column differs, of the first 10,000 changed ones.
    pub changed_by_column: BTreeMap<String, u64>,
    /// Some of the changed rows.
    pub examples: Vec<Differing>,
    /// Keys of some rows that one alone has.
    pub examples_only: [Vec<String>; 2],
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Differing {
    /// Its key, or its number.
    pub key: String,
    /// Columns that differ, with both values; the text is told by its changes.
    pub cells: BTreeMap<String, [Json; 2]>,
    /// What changed in the text.
    pub changes: Vec<Change>,
}

/// A node of two datasets that did something else; `None` where a dataset has no such node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeChange {
    /// Its name.
    pub node: String,
    /// What differs of it: name and both values.
    pub differs: BTreeMap<String, [Option<String>; 2]>,
}

/// A row in short: key, what its cells are, its number.
type Line = (u128, u64, u64);

/// Compares two tables.
///
/// # Errors
/// A file is damaged.
pub fn compare(left: &Table, right: &Table) -> Result<Comparison, InspectError> {
    let tables = [left, right];
    let kinds = tables.map(|table| {
        let fields = table.schema().fields();
        fields.iter().map(|f| (f.name().clone(), f.data_type().to_string())).collect::<BTreeMap<_, _>>()
    });
    let only =
        |at: usize| kinds[at].keys().filter(|name| !kinds[1 - at].contains_key(*name)).cloned().collect();
    let common: Vec<&str> =
        kinds[0].keys().filter(|name| kinds[1].contains_key(*name)).map(String::as_str).collect();
    let key = [column::ID, column::URL].into_iter().find(|name| common.contains(name));
    let retyped = common.iter().filter(|name| kinds[0][**name] != kinds[1][**name]);
    let retyped = retyped.map(|name| ((*name).to_owned(), kinds[0][*name].clone(), kinds[1][*name].clone()));
    let lines = [lines(left, key, &common)?, lines(right, key, &common)?];
    let mut found = Comparison {
        rows: tables.map(Table::rows),
        key: key.map(str::to_owned),
        columns_only: [only(0), only(1)],
        columns_retyped: retyped.collect(),
        ..Comparison::default()
    };
    let (changed, alone) = matched(&lines, &mut found);
    cells(tables, &common, key, &changed, &mut found)?;
    for (at, rows) in alone.into_iter().enumerate() {
        found.examples_only[at] = keys(tables[at], key, rows)?;
    }
    Ok(found)
}

/// Every row in short, by key and number.
fn lines(table: &Table, key: Option<&str>, common: &[&str]) -> Result<Vec<Line>, InspectError> {
    let (mut lines, mut number) = (Vec::new(), 0);
    for part in &table.parts {
        for batch in part.read(None, Some(common))? {
            let batch = batch?;
            let keys = key.and_then(|key| batch.column_by_name(key));
            for row in 0..batch.num_rows() {
                let key = match keys {
                    Some(keys) => xxh3_128(cell::json(keys, row).to_string().as_bytes()),
                    None => number.into(),
                };
                lines.push((key, hash(&batch, common, row), number));
                number += 1;
            }
        }
    }
    // By number among those of one key, which is their order.
    lines.sort_by_key(|(key, ..)| *key);
    Ok(lines)
}

fn hash(batch: &RecordBatch, columns: &[&str], row: usize) -> u64 {
    let mut hash = Xxh3::new();
    for name in columns {
        let cell = batch.column_by_name(name).map_or(Json::Null, |column| cell::json(column, row));
        hash.update(cell.to_string().as_bytes());
        hash.update(&[0]);
    }
    hash.digest()
}

type Rows = Vec<u64>;

/// Counts; gives the numbers of the first changed rows of both, and of the first rows that one alone has.
fn matched(lines: &[Vec<Line>; 2], found: &mut Comparison) -> (Vec<[u64; 2]>, [Rows; 2]) {
    let (mut changed, mut alone) = (Vec::new(), [Rows::new(), Rows::new()]);
    let (mut i, mut j) = (0, 0);
    let (left, right) = (&lines[0], &lines[1]);
    while i < left.len() || j < right.len() {
        match (left.get(i), right.get(j)) {
            (Some(a), Some(b)) if a.0 == b.0 => {
                if a.1 == b.1 {
                    found.same += 1;
                } else {
                    changed.push([a.2, b.2]);
                }
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none_or(|b| a.0 < b.0) => {
                alone[0].push(a.2);
                i += 1;
            }
            (_, Some(b)) => {
                alone[1].push(b.2);
                j += 1;
            }
            _ => break,
        }
    }
    found.changed = changed.len() as u64;
    found.rows_only = [alone[0].len() as u64, alone[1].len() as u64];
    changed.sort_unstable();
    changed.truncate(CELLS_OF_MAX);
    for rows in &mut alone {
        rows.sort_unstable();
        rows.truncate(TOLD);
    }
    (changed, alone)
}

/// Compares the cells of changed rows, a few hundred at a time.
fn cells(
    tables: [&Table; 2],
    common: &[&str],
    key: Option<&str>,
    changed: &[[u64; 2]],
    found: &mut Comparison,
) -> Result<(), InspectError> {
    for pairs in changed.chunks(256) {
        let rows = [0, 1].map(|side| read(tables[side], pairs.iter().map(|pair| pair[side])));
        let [left, right] = rows;
        let (left, right) = (left?, right?);
        for [a, b] in pairs {
            let (a_row, b_row) = (&left[a], &right[b]);
            let differs = common.iter().filter(|name| a_row.get(**name) != b_row.get(**name));
            let mut row = Differing {
                key: key.map_or_else(|| a.to_string(), |key| shown(&a_row[key])),
                cells: BTreeMap::new(),
                changes: Vec::new(),
            };
            for name in differs {
                *found.changed_by_column.entry((*name).to_owned()).or_default() += 1;
                match (&a_row[*name], &b_row[*name]) {
                    (Json::String(before), Json::String(after)) if *name == column::TEXT => {
                        row.changes = changes(before, after);
                    }
                    (before, after) => {
                        drop(row.cells.insert((*name).to_owned(), [before.clone(), after.clone()]))
                    }
                }
            }
            if found.examples.len() < TOLD {
                found.examples.push(row);
            }
        }
    }
    Ok(())
}

type Cells = BTreeMap<String, Json>;

/// Rows by number, with their cells by column.
fn read(table: &Table, numbers: impl Iterator<Item = u64>) -> Result<BTreeMap<u64, Cells>, InspectError> {
    let numbers: Vec<u64> = numbers.collect::<BTreeSet<_>>().into_iter().collect();
    let grid = table.read(&numbers)?;
    let names: Vec<String> = grid.columns.into_iter().map(|column| column.name).collect();
    let rows = grid.rows.into_iter().map(|cells| names.iter().cloned().zip(cells).collect());
    Ok(numbers.into_iter().zip(rows).collect())
}

fn shown(cell: &Json) -> String {
    cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)
}

fn keys(table: &Table, key: Option<&str>, rows: Rows) -> Result<Vec<String>, InspectError> {
    let Some(key) = key else { return Ok(rows.iter().map(u64::to_string).collect()) };
    let cells = read(table, rows.into_iter())?;
    let name = |cells: &Cells| {
        let url = cells.get(column::URL).and_then(Json::as_str).filter(|_| key != column::URL);
        [Some(shown(&cells[key])), url.map(str::to_owned)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("  ")
    };
    Ok(cells.values().map(name).collect())
}

/// What the nodes of two datasets did otherwise, in the order of the left one.
pub fn compare_nodes(left: &Dataset, right: &Dataset) -> Vec<NodeChange> {
    let told = |dataset: &Dataset| -> Vec<(String, BTreeMap<String, String>)> {
        dataset.manifest.nodes.iter().map(|node| (node.name.clone(), facts(node))).collect()
    };
    let (left, right) = (told(left), told(right));
    let of = |all: &[(String, BTreeMap<String, String>)], name: &str| {
        all.iter().find(|(other, _)| other == name).map(|(_, facts)| facts.clone()).unwrap_or_default()
    };
    let new = right.iter().filter(|(name, _)| !left.iter().any(|(known, _)| known == name));
    let names = left.iter().chain(new).map(|(name, _)| name.clone());
    let changes = names.map(|node| {
        let (a, b) = (of(&left, &node), of(&right, &node));
        let keys: BTreeSet<&String> =
            a.keys().chain(b.keys()).filter(|key| a.get(*key) != b.get(*key)).collect();
        let differs =
            keys.into_iter().map(|key| (key.clone(), [a.get(key).cloned(), b.get(key).cloned()])).collect();
        NodeChange { node, differs }
    });
    changes.filter(|change| !change.differs.is_empty()).collect()
}

fn facts(node: &Node) -> BTreeMap<String, String> {
    let mut facts: BTreeMap<String, String> =
        node.settings.iter().map(|(key, value)| (format!("key {key}"), value.clone())).collect();
    let counts = [("rows in", node.rows_in), ("kept", node.kept), ("edited", node.edited)];
    facts.extend(counts.map(|(name, count)| (name.to_owned(), count.to_string())));
    facts.extend(node.dropped.iter().map(|(reason, rows)| (format!("dropped {reason}"), rows.to_string())));
    facts.insert("kind".to_owned(), format!("{} (version {})", node.kind, node.version));
    facts
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{dataset, folder};
    use super::*;
    use std::path::Path;

    fn table(folder: &Path, name: &str, lines: &str) -> Table {
        let path = folder.join(name);
        std::fs::write(&path, lines).unwrap();
        Table::open(&[path]).unwrap()
    }

    #[test]
    fn rows_are_matched_by_id_in_any_order() {
        let folder = folder("compare");
        let left = table(
            &folder.0,
            "a.jsonl",
            "{\"id\":\"1\",\"text\":\"one\\ntwo\",\"n\":1}\n{\"id\":\"2\",\"text\":\"b\",\"n\":2}\n{\"id\":\"3\",\"text\":\"c\",\"n\":3}\n",
        );
        let right = table(
            &folder.0,
            "b.jsonl",
            "{\"id\":\"4\",\"text\":\"d\",\"n\":4.5}\n{\"id\":\"2\",\"text\":\"b\",\"n\":2.5}\n{\"id\":\"1\",\"text\":\"one\\nthree\",\"n\":1.5,\"x\":0}\n",
        );
        let found = compare(&left, &right).unwrap();
        assert_eq!((found.same, found.changed, found.rows_only), (0, 2, [1, 1]));
        assert_eq!(found.columns_only, [vec![], vec!["x".to_owned()]]);
        assert_eq!(found.columns_retyped, [("n".to_owned(), "Int64".to_owned(), "Float64".to_owned())]);
        assert_eq!(found.changed_by_column, BTreeMap::from([("n".to_owned(), 2), ("text".to_owned(), 1)]));
        assert_eq!(found.examples_only, [vec!["3".to_owned()], vec!["4".to_owned()]]);
        let change = Change { line: 2, removed: vec!["two".into()], added: vec!["three".into()] };
        assert_eq!((found.examples[0].key.as_str(), &found.examples[0].changes[..]), ("1", &[change][..]));
        let same = compare(&left, &left).unwrap();
        assert_eq!((same.same, same.changed, same.rows_only), (3, 0, [0, 0]));
    }

    #[test]
    fn rows_without_a_key_are_matched_by_number() {
        let folder = folder("compare-number");
        let left = table(&folder.0, "a.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
        let right = table(&folder.0, "b.jsonl", "{\"n\":1}\n{\"n\":5}\n");
        let found = compare(&left, &right).unwrap();
        assert_eq!((found.key, found.same, found.changed, found.rows_only), (None, 1, 1, [1, 0]));
        assert_eq!(found.examples[0].cells["n"], [Json::from(2), Json::from(5)]);
        assert_eq!(
            (found.examples[0].key.as_str(), &found.examples_only[0][..]),
            ("1", &["2".to_owned()][..])
        );
    }

    #[test]
    fn nodes_are_compared_by_name() {
        let folder = dataset("compare-nodes");
        let left = Dataset::open(&folder.0).unwrap();
        let mut right = left.clone();
        assert_eq!(compare_nodes(&left, &right), []);
        right.manifest.nodes[2].settings.insert("words_min".to_owned(), "9".to_owned());
        right.manifest.nodes[2].kept = 2;
        right.manifest.nodes.remove(3);
        let found = compare_nodes(&left, &right);
        assert_eq!(
            found.iter().map(|c| c.node.as_str()).collect::<Vec<_>>(),
            ["filter.length", "dedup.exact"]
        );
        assert_eq!(found[0].differs["key words_min"], [None, Some("9".to_owned())]);
        assert_eq!(found[0].differs["kept"], [Some("3".to_owned()), Some("2".to_owned())]);
        assert_eq!(found[1].differs["kept"], [Some("2".to_owned()), None]);
    }
}
