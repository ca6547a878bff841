//! The files of a dataset in which nothing can be forgotten: what global nodes leave beside its tables.

use super::record::FILE;
use super::report::{reports, setting};
use super::sequences::is_sequences;
use crate::inspect::table::Part;
use crate::inspect::{Dataset, InspectError};
use schemas::{column, manifest};

/// A file that is as it was whatever was forgotten, and may hold something of a forgotten document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Name in the dataset.
    pub name: String,
    /// What it may hold.
    pub holds: &'static str,
}

/// Names every file of a dataset that [`super::forget`] cannot rewrite.
///
/// # Errors
/// A damaged table.
pub fn rest(dataset: &Dataset) -> Result<Vec<Rest>, InspectError> {
    let folders: Vec<&str> = dataset.document_folders().collect();
    let reports = reports(dataset);
    let mut rest = Vec::new();
    for name in dataset.manifest.files.keys() {
        let in_sink = |folder: &&str| name.strip_prefix(*folder).is_some_and(|rest| rest.starts_with('/'));
        let is_lines = [".jsonl", ".jsonl.gz", ".jsonl.zst"].iter().any(|end| name.ends_with(end));
        let is_known = if name.ends_with(".parquet") {
            let part = Part::open(&dataset.root.join(name))?;
            is_sequences(part.schema()) || part.schema().field_with_name(column::ID).is_ok()
        } else {
            is_lines && folders.iter().any(in_sink)
                || [FILE, manifest::TOKENIZER_CONFIG].contains(&name.as_str())
                || reports.contains(name)
        };
        if !is_known {
            rest.push(Rest { name: name.clone(), holds: holds(dataset, name) });
        }
    }
    Ok(rest)
}

fn holds(dataset: &Dataset, name: &str) -> &'static str {
    let of_setting = |kind: &str, key: &str| {
        let mut nodes = dataset.manifest.nodes.iter().filter(|node| node.kind == kind);
        nodes.any(|node| setting(node, key).is_some_and(|value| value == name))
    };
    if of_setting("dedup.minhash", "index") {
        "id of the document and hashes of its words; a build `against` it drops others as its copies"
    } else if name == manifest::TOKENIZER {
        "pieces of words that were frequent in all documents together"
    } else if name == "mix.json" {
        "counts of documents and tokens, in which it is counted"
    } else {
        "what a node made of all documents together; it was not looked into"
    }
}
