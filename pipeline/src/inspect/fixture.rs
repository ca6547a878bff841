//! A small but whole dataset: four documents came in; one stayed as it was, one was edited, one was dropped for its
//! length, one for being a duplicate of the first.

use arrow::array::{ArrayRef, Float64Array, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use schemas::manifest::{File, Manifest, Node, Tokens};
use schemas::{DocId, ledger, token};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Kept, edited, dropped, duplicate.
pub(crate) const URLS: [&str; 4] = [
    "http://h.test/a/kept.html",
    "http://h.test/a/edited.html",
    "http://h.test/b/short.html",
    "http://h.test/b/twin.html",
];
pub(crate) const SOURCES: [&str; 4] = [
    "crawl-00000.warc.gz:702",
    "crawl-00000.warc.gz:1417",
    "crawl-00000.warc.gz:2311",
    "crawl-00000.warc.gz:3005",
];
/// What the source calls them; one name for two.
pub(crate) const RECORD_IDS: [&str; 4] = ["a-17", "a-18", "<urn:uuid:19>", "a-17"];
pub(crate) const TEXTS: [&str; 4] = ["one two\nthree", "menu\nfour five", "six", "one two\nthree"];

pub(crate) fn id(at: usize) -> String {
    DocId::new("fixture", &at.to_string()).to_string()
}

/// A folder that goes when the test ends.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// An empty folder of the test `name` alone.
pub(crate) fn folder(name: &str) -> Folder {
    let path = std::env::temp_dir().join(format!("gristmill-inspect-{}-{name}", std::process::id()));
    drop(std::fs::remove_dir_all(&path));
    std::fs::create_dir_all(&path).unwrap();
    Folder(path)
}

pub(crate) fn strings(cells: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(cells.to_vec()))
}

/// Writes a Parquet file in row groups of two rows.
pub(crate) fn write(path: &Path, batch: &RecordBatch) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn documents(rows: &[usize], extra: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let ids: Vec<String> = rows.iter().map(|at| id(*at)).collect();
    let ids: Vec<Option<&str>> = ids.iter().map(|i| Some(i.as_str())).collect();
    let of = |cells: [&'static str; 4]| strings(&rows.iter().map(|at| Some(cells[*at])).collect::<Vec<_>>());
    let names = [("url", URLS), ("source", SOURCES), ("record_id", RECORD_IDS), ("text", TEXTS)];
    let mut columns = vec![("id", strings(&ids))];
    columns.extend(names.map(|(name, cells)| (name, of(cells))));
    columns.extend(extra);
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Row, action, reason, value, limit, twin.
type Fate<'a> = (usize, &'a str, Option<&'a str>, Option<f64>, Option<f64>, Option<usize>);

fn node(root: &Path, number: usize, name: &str, fates: &[Fate<'_>]) -> Node {
    let ids: Vec<String> = fates.iter().map(|f| id(f.0)).collect();
    let twins: Vec<Option<String>> = fates.iter().map(|f| f.5.map(id)).collect();
    let columns = vec![
        strings(&ids.iter().map(|i| Some(i.as_str())).collect::<Vec<_>>()),
        strings(&vec![Some(name); fates.len()]),
        strings(&fates.iter().map(|f| Some(f.1)).collect::<Vec<_>>()),
        strings(&fates.iter().map(|f| f.2).collect::<Vec<_>>()),
        Arc::new(Float64Array::from(fates.iter().map(|f| f.3).collect::<Vec<_>>())) as ArrayRef,
        Arc::new(Float64Array::from(fates.iter().map(|f| f.4).collect::<Vec<_>>())),
        strings(&twins.iter().map(Option::as_deref).collect::<Vec<_>>()),
    ];
    let file = format!("{number:02}-{name}.parquet");
    write(&root.join("ledger").join(&file), &RecordBatch::try_new(ledger::schema(), columns).unwrap());
    let gone: Vec<&Fate<'_>> = fates.iter().filter(|f| f.1 == "dropped").collect();
    let mut dropped = BTreeMap::new();
    gone.iter().for_each(|f| *dropped.entry(f.2.unwrap().to_owned()).or_default() += 1);
    if !gone.is_empty() {
        let reasons = strings(&gone.iter().map(|f| f.2).collect::<Vec<_>>());
        let rows: Vec<usize> = gone.iter().map(|f| f.0).collect();
        write(&root.join("dropped").join(&file), &documents(&rows, vec![("reason", reasons)]));
    }
    let count = |action: &str| fates.iter().filter(|f| f.1 == action).count() as u64;
    Node {
        name: name.to_owned(),
        kind: if number == 0 { "source.crawl" } else { name }.to_owned(),
        version: 1,
        settings: BTreeMap::new(),
        inputs: if number == 0 { Vec::new() } else { vec!["site".to_owned()] },
        folder: None,
        rows_in: fates.len() as u64,
        kept: count("kept") + count("edited"),
        edited: count("edited"),
        dropped,
        blank: 0,
    }
}

fn sink(folder: &str, rows: u64) -> Node {
    Node {
        name: folder.to_owned(),
        kind: "sink.parquet".to_owned(),
        version: 1,
        settings: BTreeMap::new(),
        inputs: Vec::new(),
        folder: Some(folder.to_owned()),
        rows_in: rows,
        kept: rows,
        edited: 0,
        dropped: BTreeMap::new(),
        blank: 0,
    }
}

fn tokens(root: &Path, split: &str, ids: Vec<i32>, pieces: &[(usize, i32, i32)], pad: i32) {
    let numbers = |values: Vec<i32>| -> ArrayRef {
        let item = Arc::new(Field::new("item", DataType::Int32, false));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([values.len()]);
        Arc::new(ListArray::new(item, offsets, Arc::new(Int32Array::from(values)), None))
    };
    let names: Vec<String> = pieces.iter().map(|p| id(p.0)).collect();
    let item = Arc::new(Field::new("item", DataType::Utf8, false));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([names.len()]);
    let columns: Vec<ArrayRef> = vec![
        numbers(ids),
        numbers(pieces.iter().map(|p| p.1).collect()),
        Arc::new(ListArray::new(item, offsets, Arc::new(StringArray::from(names)), None)),
        numbers(pieces.iter().map(|p| p.2).collect()),
        Arc::new(Int32Array::from(vec![pad])),
    ];
    let batch = RecordBatch::try_new(token::schema(), columns).unwrap();
    write(&root.join("tokens").join(split).join("part-00000.parquet"), &batch);
}

/// Writes the dataset and gives its folder.
pub(crate) fn dataset(name: &str) -> Folder {
    let folder = folder(name);
    let root = &folder.0;
    write(&root.join("documents/part-00000.parquet"), &documents(&[0, 1], Vec::new()));
    let short = (2, "dropped", Some("too_short"), Some(1.0), Some(2.0), None);
    let twin = (3, "dropped", Some("duplicate"), Some(1.0), Some(0.8), Some(0));
    let kept = |at: usize| (at, "kept", None, None, None, None);
    let nodes = vec![
        node(root, 0, "site", &[kept(0), kept(1), kept(2), kept(3)]),
        node(root, 1, "clean.lines", &[kept(0), (1, "edited", None, None, None, None), kept(2), kept(3)]),
        node(root, 2, "filter.length", &[kept(0), kept(1), short, kept(3)]),
        node(root, 3, "dedup.exact", &[kept(0), kept(1), twin]),
        sink("documents", 2),
    ];
    let ids: Vec<String> = (0..4).map(id).collect();
    let ids: Vec<Option<&str>> = ids.iter().map(|i| Some(i.as_str())).collect();
    let words: ArrayRef = Arc::new(Float64Array::from(vec![3.0, 2.0, 1.0, 3.0]));
    let signals = RecordBatch::try_from_iter([("id", strings(&ids)), ("words", words)]).unwrap();
    write(&root.join("signals/02-filter.length.parquet"), &signals);
    tokens(root, "train", vec![1, 2, 0, 3, 4, 0], &[(0, 3, 0), (1, 3, 0)], 0);
    tokens(root, "validation", vec![2, 0, 0, 0, 0, 0], &[(1, 2, 3)], 4);
    let vocabulary = r#"{"decoder":{"type":"ByteLevel"},"model":{"vocab":{"<|end|>":0,"one":1,"Ġtwo":2,"Ċthree":3,"Ã":4}}}"#;
    std::fs::write(root.join("tokenizer.json"), vocabulary).unwrap();
    let tokenizer = blake3::hash(vocabulary.as_bytes()).to_hex().to_string();
    let tokens = Tokens {
        folder: "tokens".to_owned(),
        sequence_length: 6,
        vocab_size: 5,
        eos_id: 0,
        train: 6,
        validation: 2,
        tokenizer,
    };
    let (build, name) = ("0".repeat(64), "fixture".to_owned());
    let gristmill = "0.1.0".to_owned();
    let manifest = Manifest {
        version: schemas::manifest::VERSION,
        name,
        gristmill,
        build,
        nodes,
        files: files(root),
        tokens: Some(tokens),
    };
    std::fs::write(root.join("manifest.json"), serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
    folder
}

/// Every file under the folder, as a manifest has it.
pub(crate) fn files(root: &Path) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let is_parquet = path.extension().is_some_and(|e| e == "parquet");
            let rows = is_parquet.then(|| super::table::Part::open(&path).unwrap().rows());
            let (blake3, sha256) =
                (blake3::hash(&bytes).to_hex().to_string(), format!("{:x}", Sha256::digest(&bytes)));
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, File { bytes: bytes.len() as u64, rows, blake3, sha256 });
        }
    }
    files.remove("manifest.json");
    files
}
