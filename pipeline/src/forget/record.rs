//! The record of what was forgotten: JSON lines in the dataset, a line a document, the earliest first.

use crate::inspect::{Dataset, InspectError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// Name of the record in a dataset folder.
pub const FILE: &str = "forgotten.jsonl";

/// A forgotten document.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Id, 32 hexadecimal digits.
    pub id: String,
    /// Hexadecimal blake3 of its address, which tells one who has the address and nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_blake3: Option<String>,
    /// The address, where it was asked to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Id of the document that it was dropped as a copy of; absent of one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
    /// Why, as it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When, as it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// The hash of an address in a record.
pub(super) fn url_hash(url: &str) -> String {
    blake3::hash(url.as_bytes()).to_hex().to_string()
}

impl Record {
    /// Reads lines of records.
    ///
    /// # Errors
    /// The line that is none, counted from 1, and why.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(at, line)| serde_json::from_str(line).map_err(|e| format!("line {}: {e}", at + 1)))
            .collect()
    }
}

/// The record of a dataset folder; empty where there is none.
pub(super) fn read(root: &Path) -> Result<Vec<Record>, InspectError> {
    let path = root.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(InspectError::io(&path)(error)),
    };
    let help = "it says which documents must stay out of the dataset; restore it from a copy";
    Record::parse(&text).map_err(|message| InspectError::format(&path, message, help))
}

/// Writes the record of a folder: what it had, then what is added, each once.
pub(super) fn write(root: &Path, before: &[Record], added: &[Record]) -> Result<(), InspectError> {
    let mut known = BTreeSet::new();
    let mut text = String::new();
    for record in before.iter().chain(added).filter(|record| known.insert(record.id.as_str())) {
        let line = serde_json::to_string(record).expect("a record has string keys");
        writeln!(text, "{line}").expect("writing to a string cannot fail");
    }
    let (path, part) = (root.join(FILE), root.join(format!("{FILE}.part")));
    // Under another name first: the name may be a second name of the file of another dataset.
    std::fs::write(&part, text).map_err(InspectError::io(&part))?;
    std::fs::rename(&part, &path).map_err(InspectError::io(&path))
}

/// Everything that a dataset has forgotten.
///
/// # Errors
/// The record is damaged.
pub fn records(dataset: &Dataset) -> Result<Vec<Record>, InspectError> {
    read(&dataset.root)
}

/// What a dataset has forgotten under an address, an id or the beginning of one.
///
/// # Errors
/// The record is damaged.
pub fn recorded(dataset: &Dataset, question: &str) -> Result<Vec<Record>, InspectError> {
    let question = question.trim();
    let (hash, hex) = (url_hash(question), question.to_ascii_lowercase());
    let is_id = hex.len() >= 4 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = |record: &Record| {
        is_id && record.id.starts_with(&hex) || record.url_blake3.as_deref() == Some(hash.as_str())
    };
    Ok(read(&dataset.root)?.into_iter().filter(fits).collect())
}
