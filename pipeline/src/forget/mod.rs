//! Forgetting: documents go out of a committed dataset on request, and stay out.
//!
//! What the tables of a dataset have of a document goes: its row among the documents, its tokens, its rows in ledgers, signals
//! and dropped rows, its finds of [`report`], and what was dropped as a copy of it, for that has the same text. Copies stay out of
//! later builds too, be the document there or not. Only the files that hold any of it
//! are written again ([`rewrite`], [`lines`], [`sequences`]); all others keep their bytes. The sums of the manifest are those
//! of a dataset that never had the documents, so that it verifies; only the count of blank rows is an upper bound. What went stands in [`record::FILE`]: id, hash of the
//! address, reason, never the text.
//!
//! The dataset is made whole beside the old one and put into its place ([`place`]): a kill leaves the one or the other. A
//! build that replaces a dataset carries its record on and takes the same documents out before it commits ([`again`]).
//!
//! Not here: what lies outside of the dataset. The cache of a build is for [`crate::engine::purge`]; sources, archives, models that
//! were trained and vocabularies that were learned keep what they have.

mod cover;
mod find;
mod lines;
mod place;
mod record;
mod report;
mod rest;
mod rewrite;
mod sequences;
mod work;

pub(crate) use place::aside_of;
pub use record::{FILE, Record, recorded, records};
pub use rest::{Rest, rest};

use crate::inspect::{Dataset, InspectError};
use find::Targets;
use place::Place;
use schemas::manifest::{self, Manifest};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Addresses as the dataset has them.
    pub urls: Vec<String>,
    /// Ids, 32 hexadecimal digits each.
    pub ids: Vec<String>,
    /// Identities that sources gave; of several documents with one, all are meant.
    pub record_ids: Vec<String>,
    /// Records of another dataset: what went there is to go here.
    pub records: Vec<Record>,
    /// Why, for the record.
    pub reason: Option<String>,
    /// When, for the record.
    pub date: Option<String>,
    /// Whether the record has the address itself, not its hash alone.
    pub keep_urls: bool,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// What went, copies included.
    pub documents: Vec<Record>,
    /// What was asked and is not in the dataset.
    pub missing: Vec<String>,
    /// What was asked and had been forgotten before.
    pub before: Vec<String>,
    /// Documents that stay although a forgotten one was dropped as a copy of them: they have the same text or nearly.
    pub twins: Vec<Twin>,
    /// Files that were written again.
    pub rewritten: Vec<String>,
    /// Files that are as they were.
    pub untouched: u64,
    /// Rows that went, by file.
    pub rows: BTreeMap<String, u64>,
    /// Training sequences that lost a piece and are padded in its place.
    pub sequences_padded: u64,
    /// Training sequences that held nothing else.
    pub sequences_removed: u64,
    /// Tokens that went.
    pub tokens: u64,
    /// Hexadecimal blake3 of the manifest before.
    pub manifest_before: String,
    /// And after; the same where nothing went.
    pub manifest: String,
}

/// A document that stays and whose copy was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Twin {
    /// The forgotten document.
    pub forgotten: String,
    /// The one that stays.
    pub id: String,
}

/// Forgets documents; where none of them is in the dataset, nothing is written.
///
/// # Errors
/// No dataset, an address that is not found where not all addresses are told, a damaged file, one in a layout that has no rows to take out, another run at work there, a full disk. The
/// dataset is as it was then; but where the old one cannot be removed after all was done, the message says so and where it is.
pub fn forget(root: &Path, request: &Request) -> Result<Forgotten, InspectError> {
    let root = root_of(root)?;
    let place = Place::take(&root)?;
    let dataset = Dataset::open(&root)?;
    let before = record::read(&root)?;
    let mut told = Forgotten { manifest_before: hash(&root)?, ..Forgotten::default() };
    if let Some(field) = lines::other_id_field(&dataset).filter(|_| !request.record_ids.is_empty()) {
        let message = format!(
            "has lines of sources that took `{field}` for the id, which its sink does not tell from others"
        );
        let help = "nothing was forgotten; name the document by its address or by `--id`";
        return Err(InspectError::format(&root, message, help));
    }
    let named = find::of_record_ids(&dataset, &request.record_ids)?;
    let mut request = request.clone();
    request.ids.extend(named.iter().map(|(id, _)| id.to_string()));
    let mut targets = Targets::of_request(&request, &before);
    targets.resolve(&dataset)?;
    if let Some(url) = targets.missing_url()
        && let Some(path) = cover::uncovered(&dataset)?
    {
        let message =
            format!("has documents whose addresses no file of the dataset tells; `{url}` may be one of them");
        let help = "nothing was forgotten; name the document by `--id`: the ids stand in `ledger/`";
        return Err(InspectError::format(&path, message, help));
    }
    told.before = targets.before();
    told.missing = targets.missing();
    let named: BTreeSet<&String> = named.iter().map(|(_, record_id)| record_id).collect();
    told.missing.extend(request.record_ids.iter().filter(|asked| !named.contains(asked)).cloned());
    told.manifest.clone_from(&told.manifest_before);
    told.untouched = dataset.manifest.files.len() as u64;
    if targets.is_empty() {
        return Ok(told);
    }
    place.stage(&dataset)?;
    let staged = Dataset { root: place.part().to_owned(), manifest: dataset.manifest };
    let manifest = take_out(staged, &targets, &before, &mut told)?;
    place.publish(&manifest)?;
    told.manifest = hash(&root)?;
    Ok(told)
}

/// Takes out of an unfinished dataset what the dataset that it will replace has forgotten, and carries the record on.
///
/// Gives how many documents went.
pub(crate) fn again(
    old: &Path,
    unfinished: &Path,
    manifest: Manifest,
) -> Result<(Manifest, u64), InspectError> {
    let before = record::read(old)?;
    if before.is_empty() {
        return Ok((manifest, 0));
    }
    let dataset = Dataset { root: unfinished.to_owned(), manifest };
    let mut targets = Targets::of_records(&before);
    targets.resolve(&dataset)?;
    let mut told = Forgotten::default();
    let manifest = take_out(dataset, &targets, &before, &mut told)?;
    Ok((manifest, told.documents.len() as u64))
}

/// Writes again what holds a target, and the record; gives the manifest of what is there then.
fn take_out(
    dataset: Dataset,
    targets: &Targets,
    before: &[Record],
    told: &mut Forgotten,
) -> Result<Manifest, InspectError> {
    told.twins = find::twins(&dataset, targets)?;
    let changes = work::files(&dataset, targets)?;
    told.documents = targets.records();
    record::write(&dataset.root, before, &told.documents)?;
    work::manifest(dataset, changes, told)
}

/// The dataset that a path means: itself, or `dataset` in the working folder of a build.
fn root_of(path: &Path) -> Result<std::path::PathBuf, InspectError> {
    for root in [path.to_owned(), path.join("dataset")] {
        // One that a kill has left without its name is put back under the lock.
        if root.join(manifest::FILE).is_file() || aside_of(&root).is_some() {
            return Ok(root);
        }
    }
    Dataset::open(path).map(|dataset| dataset.root)
}

fn hash(root: &Path) -> Result<String, InspectError> {
    let path = root.join(manifest::FILE);
    let bytes = std::fs::read(&path).map_err(InspectError::io(&path))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

#[cfg(test)]
mod tests;
