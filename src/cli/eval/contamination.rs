//! `gristmill eval MODEL --tasks … --contamination`: which rows of tasks stand in the documents that a dataset was made of, and what the
//! model scores with and without them.
//!
//! What is looked for, and when a document holds it, is what `decontaminate.ngram` says: the letters of a question in a row, however they
//! are spaced and capitalised, short ones only with their answer.

use arrow::array::RecordBatch;
use model::eval::task::{Answered, Chosen, Outcome, Summary};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pipeline::inspect::Dataset;
use schemas::memory::{InMemory, Stream};
use schemas::{DocId, Global, Made, Notes, Records, Settings, StageError, Value, column};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Name of the file in which the stage reports.
const REPORT: &str = "decontamination.json";

/// What was found of the rows of a task.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Contamination {
    /// The name that was asked for.
    pub(super) task: &'static str,
    /// Rows that were asked.
    pub(super) rows: usize,
    /// Rows too short to be looked for, of the whole file.
    pub(super) unusable: u64,
    /// Rows that stand in documents.
    pub(super) found: Vec<Found>,
    /// Figures of all rows, of those that were not found, and of those that were.
    pub(super) all: Vec<Summary>,
    /// Without what was found.
    pub(super) clean: Vec<Summary>,
    /// Of what was found alone.
    pub(super) seen: Vec<Summary>,
}

/// A row that stands in documents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Found {
    /// Its id, or its number in the file.
    item: String,
    /// Documents that hold it.
    documents: u64,
    /// The first of them.
    places: Vec<Place>,
}

/// Where a row stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    /// Id of the document.
    id: String,
    /// Bytes of its text.
    at: [u64; 2],
    /// How much of the row is there.
    share: f32,
}

#[derive(Deserialize)]
struct Report {
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    unusable: u64,
    found_items: Vec<Found>,
}

/// Looks for the rows of each task in the documents of a dataset.
///
/// # Errors
/// In words: the dataset has no documents, or rows that are no items of a benchmark.
pub(super) fn look(dataset: &Path, asked: &[(Chosen, Outcome)]) -> Result<Vec<Contamination>, String> {
    let dataset = Dataset::open(dataset).map_err(|error| error.to_string())?;
    let documents = dataset.documents();
    if documents.is_empty() {
        return Err(format!(
            "{} keeps no documents, only tokens; build it with a sink of documents to look for rows in them",
            dataset.root.display()
        ));
    }
    // One file after the other: each task keeps its own numbers, and a file that two tasks read is looked for once.
    let mut reports: BTreeMap<&Path, Set> = BTreeMap::new();
    for (_, outcome) in asked {
        if !reports.contains_key(outcome.path.as_path()) {
            reports.insert(&outcome.path, search(&documents, &outcome.path)?);
        }
    }
    Ok(asked
        .iter()
        .map(|(chosen, outcome)| judge(chosen, outcome, &reports[outcome.path.as_path()]))
        .collect())
}

/// What stands in the documents of the rows of a file.
fn search(documents: &[PathBuf], rows: &Path) -> Result<Set, String> {
    let path = std::path::absolute(rows).map_err(|error| error.to_string())?;
    let sets = Value::from(vec![Value::from(path.to_string_lossy().into_owned())]);
    let made = (stages::decontaminate::ngram::SPEC.build)(&Settings::new(vec![("sets".to_owned(), sets)]));
    let Made::Global(global) =
        made.map_err(|errors| errors.iter().map(|e| e.to_string()).collect::<Vec<_>>().join("; "))?
    else {
        return Err("decontaminate.ngram sees all rows at once".to_owned());
    };
    let bytes = report(global.as_ref(), documents).map_err(|error| error.to_string())?;
    let report: Report = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    report.sets.into_iter().next().ok_or_else(|| format!("{} holds no item", rows.display()))
}

/// What the stage reports of documents that come one after the other. Held are its records of what it found, a few bytes each.
fn report(global: &dyn Global, documents: &[PathBuf]) -> Result<Vec<u8>, StageError> {
    let (mut mapped, mut reduced) = (Records::default(), Records::default());
    for path in documents {
        for batch in batches(path) {
            global.map(&batch?, &mut mapped)?;
        }
    }
    global.reduce(&mut Stream::sorted(mapped), &mut reduced)?;
    let house = InMemory::default();
    let settled = global.settle(&mut Stream::sorted(reduced), &house, &mut Nobody)?;
    settled.files.get(REPORT).cloned().ok_or_else(|| StageError::Invalid(format!("no {REPORT} was written")))
}

/// Takes the notes on documents, which are not judged here.
struct Nobody;

impl Notes for Nobody {
    fn note(&mut self, _: DocId, _: &[u8]) -> Result<(), StageError> {
        Ok(())
    }
}

/// Ids and texts of a file of documents.
fn batches(path: &Path) -> Box<dyn Iterator<Item = Result<RecordBatch, StageError>>> {
    let wrong = |error: String| StageError::Invalid(error);
    let open = || {
        let named = |error: &dyn std::fmt::Display| wrong(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(|error| named(&error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| named(&error))?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), [column::ID, column::TEXT]);
        builder.with_projection(mask).build().map_err(|error| named(&error))
    };
    match open() {
        Ok(reader) => Box::new(reader.map(move |batch| batch.map_err(|error| wrong(error.to_string())))),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

fn judge(chosen: &Chosen, outcome: &Outcome, set: &Set) -> Contamination {
    let name = |row: &Answered| if row.id.is_empty() { row.row.to_string() } else { row.id.clone() };
    let known: BTreeMap<&str, &Found> =
        set.found_items.iter().map(|found| (found.item.as_str(), found)).collect();
    let is_found = |row: &Answered| known.contains_key(name(row).as_str());
    let found =
        outcome.answered.iter().filter_map(|row| known.get(name(row).as_str()).map(|found| (*found).clone()));
    Contamination {
        task: outcome.task,
        rows: outcome.answered.len(),
        unusable: set.unusable,
        found: found.collect(),
        all: outcome.summaries.clone(),
        clean: outcome.figures(chosen, &|row| !is_found(row)),
        seen: outcome.figures(chosen, &is_found),
    }
}

/// Writes the report as text.
pub(super) fn show(all: &[Contamination]) {
    for Contamination { task, rows, unusable, found, all, clean, seen } in all {
        println!(
            "\n{task}: {} of {rows} rows stand in the documents ({unusable} of the file are too short to tell)",
            found.len()
        );
        for Found { item, documents, places } in found.iter().take(10) {
            let place =
                places.first().map(|p| format!(", first in {} at bytes {} to {}", p.id, p.at[0], p.at[1]));
            println!("  {item}: {documents} documents{}", place.unwrap_or_default());
        }
        if found.len() > 10 {
            println!("  … and {} more; `--json` tells all", found.len() - 10);
        }
        let (Some(all), false) = (all.last(), found.is_empty()) else { continue };
        let of = |summaries: &[Summary], at: usize| {
            summaries.last().map_or("-".to_owned(), |s| format!("{:.4}", s.figures[at].1.value))
        };
        for (at, (measure, figure)) in all.figures.iter().enumerate() {
            let (without, alone) = (of(clean, at), of(seen, at));
            println!(
                "  {measure:<16} all {:.4}, without them {without}, of them alone {alone}",
                figure.value
            );
        }
    }
}
