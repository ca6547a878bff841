//! Speed of every stage that judges one row at a time, at its default settings, over the texts of JSON lines files.
//!
//! Prints MB/s, rows/s and what became of the rows, best of three rounds on one thread:
//! `cargo run --release -p gristmill-stages --example stage_speed -- a.jsonl [b.jsonl …]`

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use schemas::source::BATCH_ROWS;
use schemas::{Made, Settings, Stage, StageError, Verdict, column};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut texts = Vec::new();
    for path in std::env::args().skip(1) {
        for line in BufReader::new(std::fs::File::open(path)?).lines() {
            let row: serde_json::Value = serde_json::from_str(&line?)?;
            texts.extend(row[column::TEXT].as_str().map(str::to_owned));
        }
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    let batches: Vec<RecordBatch> = texts.chunks(BATCH_ROWS).map(batch).collect::<Result<_, _>>()?;
    println!("{} rows, {:.1} MB", texts.len(), bytes as f64 / 1e6);
    println!(
        "{:<20} {:>10} {:>10} {:>8} {:>8} {:>8}",
        "stage", "MB/s", "rows/s", "kept", "edited", "dropped"
    );
    for spec in gristmill_stages::ALL {
        let stage = match (spec.build)(&Settings::default()) {
            Ok(Made::Stage(stage)) => stage,
            Ok(_) => continue,
            Err(_) => {
                println!("{:<20} needs settings", spec.kind);
                continue;
            }
        };
        match time(stage.as_ref(), &batches) {
            Ok((seconds, [kept, edited, dropped])) => println!(
                "{:<20} {:>10.1} {:>10.0} {kept:>8} {edited:>8} {dropped:>8}",
                spec.kind,
                bytes as f64 / 1e6 / seconds,
                texts.len() as f64 / seconds,
            ),
            Err(error) => println!("{:<20} {error}", spec.kind),
        }
    }
    Ok(())
}

fn batch(texts: &[String]) -> Result<RecordBatch, Box<dyn Error>> {
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    Ok(RecordBatch::try_from_iter([(column::TEXT, text)])?)
}

/// Seconds of the fastest round, and how many rows were kept, edited and dropped.
fn time(stage: &dyn Stage, batches: &[RecordBatch]) -> Result<(f64, [usize; 3]), StageError> {
    let mut best = f64::INFINITY;
    let mut counts = [0; 3];
    for _ in 0..ROUNDS {
        counts = [0; 3];
        let start = Instant::now();
        for batch in batches {
            for verdict in stage.apply(batch)?.verdicts {
                let place = match verdict {
                    Verdict::Kept => 0,
                    Verdict::Edited => 1,
                    Verdict::Dropped { .. } => 2,
                };
                counts[place] += 1;
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok((best, counts))
}
