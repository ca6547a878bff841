//! A few kept and dropped documents of a dataset.

use crate::cli::cells;
use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pipeline::inspect::layout;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const KEPT_SHOWN: usize = 2;
const DROPPED_SHOWN: usize = 6;
const EXCERPT_CHARS: usize = 96;

type Failure = Box<dyn std::error::Error>;

/// Prints samples: kept ones from the middle of the documents, dropped ones for as many different reasons as there are.
/// Gives the address of a kept one.
pub(super) fn show(dataset: &Path) -> Result<Option<String>, Failure> {
    let mut address = None;
    println!("\nKept, for example:");
    for file in parquet_files(&dataset.join("documents"))?.iter().take(1) {
        let rows = ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?;
        let middle = rows.metadata().file_metadata().num_rows() as usize / 2;
        for batch in rows.with_offset(middle).with_limit(KEPT_SHOWN).build()? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                let url = text(&batch, "url", row);
                println!("  {url}\n      {}", excerpt(&text(&batch, "text", row)));
                address = Some(url);
            }
        }
    }
    println!("\nDropped, for example:");
    let mut seen = BTreeSet::new();
    for file in parquet_files(&dataset.join("dropped"))? {
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.build()? {
            dropped(&batch?, &mut seen);
        }
    }
    Ok(address)
}

fn dropped(batch: &RecordBatch, seen: &mut BTreeSet<(String, String)>) {
    for row in 0..batch.num_rows() {
        let why = (text(batch, "stage", row), text(batch, "reason", row));
        if seen.len() < DROPPED_SHOWN && seen.insert(why.clone()) {
            println!("  {} {}{}  {}", why.0, why.1, measured(batch, row), text(batch, "url", row));
            let text = excerpt(&text(batch, "text", row));
            if !text.is_empty() {
                println!("      {text}");
            }
        }
    }
}

fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "parquet"));
    files.sort();
    Ok(files)
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> String {
    cells::text(batch, name, row).unwrap_or_default().to_owned()
}

/// What was measured against what; nothing where a row was only found to be so: 1 where 0 are allowed.
fn measured(batch: &RecordBatch, row: usize) -> String {
    let number = |name: &str| cells::number(batch, name, row);
    match (number("value"), number("limit")) {
        (Some(value), Some(limit)) if (value, limit) != (1.0, 0.0) => {
            format!(": {} (limit {})", layout::number(value), layout::number(limit))
        }
        _ => String::new(),
    }
}

fn excerpt(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(EXCERPT_CHARS).collect();
    if cut.len() < line.len() { cut + " …" } else { cut }
}
