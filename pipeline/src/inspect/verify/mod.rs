//! Whether a dataset is what its manifest says: every file, every row count, every sum, every token.
//!
//! Three passes: the bytes of every file ([`files`]), the conservation of rows in every node ([`sums`]), and the shape of
//! every training sequence ([`tokens`]). What a pass needs of a file that an earlier one found wrong is left out, so that
//! one altered byte is one finding. The manifest cannot vouch for itself; its own hash is told, to be compared by people.

mod files;
mod sums;
mod tokens;

use super::table::Part;
use super::{Dataset, InspectError};
use schemas::manifest;
use serde::Serialize;
use std::collections::BTreeSet;

pub(crate) use tokens::Pieces;

/// Something that is not as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// File in the dataset.
    pub file: String,
    /// What differs: expected and found.
    pub what: String,
}

/// The result of [`verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Files in the manifest.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Nodes whose sums were held against their ledgers.
    pub nodes: u64,
    /// Training sequences that were read.
    pub sequences: u64,
    /// Hexadecimal blake3 of `manifest.json`.
    pub manifest: String,
    /// What differs, in the order of the file names; empty when nothing does.
    pub findings: Vec<Finding>,
}

/// Collects findings and remembers which files are not to be trusted.
#[derive(Debug, Default)]
struct Findings {
    all: BTreeSet<Finding>,
}

impl Findings {
    fn add(&mut self, file: &str, what: String) {
        self.all.insert(Finding { file: file.to_owned(), what });
    }

    fn has(&self, file: &str) -> bool {
        self.all.iter().any(|f| f.file == file)
    }
}

/// Checks every file of the dataset.
///
/// # Errors
/// The folder cannot be listed or the manifest not be read. Everything else is a [`Finding`].
pub fn verify(dataset: &Dataset) -> Result<Verified, InspectError> {
    let path = dataset.root.join(manifest::FILE);
    let bytes = std::fs::read(&path).map_err(InspectError::io(&path))?;
    let mut findings = Findings::default();
    files::check(dataset, &mut findings)?;
    let nodes = sums::check(dataset, &mut findings);
    let sequences = tokens::check(dataset, &mut findings);
    let files = &dataset.manifest.files;
    Ok(Verified {
        files: files.len() as u64,
        bytes: files.values().map(|f| f.bytes).sum(),
        nodes,
        sequences,
        manifest: blake3::hash(&bytes).to_hex().to_string(),
        findings: findings.all.into_iter().collect(),
    })
}

/// Opens a file of the manifest that is trusted so far; what keeps it from being read becomes a finding.
fn open(dataset: &Dataset, name: &str, findings: &mut Findings) -> Option<Part> {
    if findings.has(name) {
        return None;
    }
    match Part::open(&dataset.root.join(name)) {
        Ok(part) => Some(part),
        Err(error) => {
            findings.add(name, reading(&error));
            None
        }
    }
}

fn reading(error: &InspectError) -> String {
    match error {
        InspectError::Format { message, .. } => message.clone(),
        other => other.to_string(),
    }
}
