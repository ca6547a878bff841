//! Goes through the files of a dataset, writes again those that hold a target, and brings the manifest in line.

use super::find::Targets;
use super::rewrite::rewrite;
use super::sequences::{Taken, has_target, is_sequences, without};
use super::{FILE, Forgotten, lines, report};
use crate::digest::{Digest, digest};
use crate::inspect::dataset::LEDGER;
use crate::inspect::find::texts;
use crate::inspect::table::Part;
use crate::inspect::{Dataset, InspectError};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use rayon::prelude::*;
use schemas::manifest::{self, Manifest, Node};
use schemas::{column, ledger, token};
use std::collections::BTreeMap;
use std::path::Path;

/// What went out of a file.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Rows that went.
    rows: u64,
    taken: Taken,
    /// Of a ledger: rows that went, by action, and those dropped by reason.
    actions: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
}

/// Changes by the name of the file.
pub(super) type Changes = BTreeMap<String, Change>;

/// Writes again every file that holds a target.
pub(super) fn files(dataset: &Dataset, targets: &Targets) -> Result<Changes, InspectError> {
    let mut changes = Changes::new();
    // Before the ledgers lose rows, for these tell which line is which.
    for sink in lines::sinks(dataset) {
        for (name, rows) in lines::without(dataset, sink, targets)? {
            changes.insert(name, Change { rows, ..Change::default() });
        }
    }
    for name in report::reports(dataset) {
        let path = dataset.root.join(&name);
        if let Some(bytes) = report::without(&path, targets)? {
            sound(dataset, &name)?;
            report::write(&path, &bytes)?;
            changes.insert(name, Change::default());
        }
    }
    let parquet: Vec<&String> =
        dataset.manifest.files.keys().filter(|name| name.ends_with(".parquet")).collect();
    let one = |name: &&String| Ok(((*name).clone(), parquet_file(dataset, name, targets)?));
    let changed: Vec<(String, Option<Change>)> =
        parquet.par_iter().map(one).collect::<Result<_, InspectError>>()?;
    changes.extend(changed.into_iter().filter_map(|(name, change)| Some((name, change?))));
    Ok(changes)
}

/// Takes the targets out of a Parquet file; `None` where it has none.
fn parquet_file(dataset: &Dataset, name: &str, targets: &Targets) -> Result<Option<Change>, InspectError> {
    let path = dataset.root.join(name);
    let part = Part::open(&path)?;
    if is_sequences(part.schema()) {
        if !any(&part, token::DOC_IDS, &|batch| has_target(batch, targets))? {
            return Ok(None);
        }
        sound(dataset, name)?;
        let mut taken = Taken::default();
        rewrite(&part, &mut |batch| without(&batch, targets, &mut taken, &path))?;
        return Ok(Some(Change { rows: taken.removed, taken, ..Change::default() }));
    }
    let is_target = |batch: &RecordBatch| -> Vec<bool> {
        texts(batch, column::ID).into_iter().map(|id| targets.has_text(id)).collect()
    };
    if part.schema().field_with_name(column::ID).is_err()
        || !any(&part, column::ID, &|batch| is_target(batch).contains(&true))?
    {
        return Ok(None);
    }
    sound(dataset, name)?;
    let mut change = Change::default();
    rewrite(&part, &mut |batch| {
        let goes = is_target(&batch);
        change.count(&batch, &goes);
        let stays: BooleanArray = goes.iter().map(|goes| Some(!goes)).collect();
        let damaged = |error| InspectError::parquet(&path)(parquet::errors::ParquetError::from(error));
        filter_record_batch(&batch, &stays).map_err(damaged)
    })?;
    Ok(Some(change))
}

impl Change {
    fn count(&mut self, batch: &RecordBatch, goes: &[bool]) {
        let (actions, reasons) = (texts(batch, ledger::ACTION), texts(batch, ledger::REASON));
        for row in (0..goes.len()).filter(|&row| goes[row]) {
            self.rows += 1;
            let action = actions[row].unwrap_or_default();
            *self.actions.entry(action.to_owned()).or_default() += 1;
            if let Some(reason) = reasons[row].filter(|_| action == "dropped") {
                *self.reasons.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }
}

/// Whether a batch with that column alone is what is looked for.
fn any(part: &Part, column: &str, is_it: &dyn Fn(&RecordBatch) -> bool) -> Result<bool, InspectError> {
    for batch in part.read(None, Some(&[column]))? {
        if is_it(&batch?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a file that is not the one in the manifest: written again, its damage would pass for what was built.
fn sound(dataset: &Dataset, name: &str) -> Result<(), InspectError> {
    let path = dataset.root.join(name);
    let found = digest_of(&path)?;
    if dataset.manifest.files.get(name).is_some_and(|file| file.blake3 == found.blake3) {
        return Ok(());
    }
    let help = "nothing was forgotten; `gristmill verify DATASET` tells what differs; build it again first";
    Err(InspectError::format(&path, "the file is not the one in the manifest", help))
}

fn digest_of(path: &Path) -> Result<Digest, InspectError> {
    let mut file = std::fs::File::open(path).map_err(InspectError::io(path))?;
    let digest = digest(&mut file).map_err(InspectError::io(path))?;
    file.sync_all().map_err(InspectError::io(path))?;
    Ok(digest)
}

/// The manifest of the files as they are: hashes, and sums less what went.
pub(super) fn manifest(
    dataset: Dataset,
    changes: Changes,
    told: &mut Forgotten,
) -> Result<Manifest, InspectError> {
    let mut manifest = dataset.manifest.clone();
    let path = dataset.root.join(manifest::FILE);
    let fewer = |name: &str, what: &str| {
        let message = format!("`{name}` counts fewer {what} than its files have");
        InspectError::format(&path, message, "`gristmill verify DATASET` tells what differs")
    };
    for node in &mut manifest.nodes {
        let fits = match node.folder.clone() {
            Some(folder) => of_sink(node, rows_in(&folder, &changes)),
            None => match dataset.node_file(LEDGER, node).and_then(|name| changes.get(name)) {
                Some(change) => of_node(node, change),
                None => Some(()),
            },
        };
        fits.ok_or_else(|| fewer(&node.name, "rows"))?;
    }
    if let Some(tokens) = &mut manifest.tokens {
        for (split, count) in [("train", &mut tokens.train), ("validation", &mut tokens.validation)] {
            let inside = format!("{}/{split}/", tokens.folder);
            let of_split = changes.iter().filter(|(name, _)| name.starts_with(&inside));
            let gone: u64 = of_split.map(|(_, change)| change.taken.tokens).sum();
            *count = count.checked_sub(gone).ok_or_else(|| fewer(split, "tokens"))?;
            told.tokens += gone;
        }
    }
    for (name, change) in &changes {
        let Digest { bytes, blake3, sha256 } = digest_of(&dataset.root.join(name))?;
        let rows = manifest.files.get(name).and_then(|file| file.rows);
        let left = |rows: u64| rows.checked_sub(change.rows).ok_or_else(|| fewer(name, "rows"));
        let rows = rows.map(left).transpose()?;
        manifest.files.insert(name.clone(), manifest::File { bytes, rows, blake3, sha256 });
        told.sequences_padded += change.taken.padded;
        told.sequences_removed += change.taken.removed;
        told.rows.insert(name.clone(), change.rows);
    }
    let record = dataset.root.join(FILE);
    let Digest { bytes, blake3, sha256 } = digest_of(&record)?;
    let rows = Some(super::record::read(&dataset.root)?.len() as u64);
    told.untouched = (dataset.manifest.files.keys())
        .filter(|name| *name != FILE && !changes.contains_key(*name))
        .count() as u64;
    told.rewritten = changes.into_keys().collect();
    manifest.files.insert(FILE.to_owned(), manifest::File { bytes, rows, blake3, sha256 });
    Ok(manifest)
}

/// Rows that went out of the files in a folder.
fn rows_in(folder: &str, changes: &Changes) -> u64 {
    let inside = |name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    changes.iter().filter(|(name, _)| inside(name)).map(|(_, change)| change.rows).sum()
}

fn of_sink(node: &mut Node, gone: u64) -> Option<()> {
    node.rows_in = node.rows_in.checked_sub(gone)?;
    node.kept = node.kept.checked_sub(gone)?;
    Some(())
}

fn of_node(node: &mut Node, change: &Change) -> Option<()> {
    let of = |action: &str| change.actions.get(action).copied().unwrap_or(0);
    node.rows_in = node.rows_in.checked_sub(change.rows)?;
    node.kept = node.kept.checked_sub(of("kept") + of("edited"))?;
    node.edited = node.edited.checked_sub(of("edited"))?;
    for (reason, gone) in &change.reasons {
        let count = node.dropped.get_mut(reason)?;
        *count = count.checked_sub(*gone)?;
    }
    node.dropped.retain(|_, count| *count > 0);
    // Which rows were blank stands in no ledger: the count is an upper bound from here on.
    node.blank = node.blank.min(node.rows_in);
    Some(())
}
