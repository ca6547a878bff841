//! MB/s of one stage with its defaults over the texts of JSON lines, on one thread, by processor time where Linux tells it.
//!
//! `cargo run --release -p gristmill-stages --example stage_speed -- KIND [--without-emoji] FILE…` (gzipped or not). With `--without-emoji`
//! texts that hold a character from U+1F000 on are left out.

#![expect(clippy::print_stdout, reason = "the figure is what the program is for")]

mod clock;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use clock::seconds;
use gristmill_stages::text::files::texts;
use schemas::{Made, Settings, column};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let without = names.iter().position(|name| name == "--without-emoji").map(|at| names.remove(at));
    let (kind, paths) = names.split_first().ok_or("name a kind and files")?;
    let spec = gristmill_stages::ALL.iter().find(|spec| spec.kind == kind).ok_or("no such kind")?;
    let Ok(Made::Stage(stage)) = (spec.build)(&Settings::default()) else {
        return Err("the kind is no stage by its defaults".into());
    };
    let mut all: Vec<String> = Vec::new();
    for path in paths {
        texts(Path::new(path), &mut |row| {
            if without.is_none() || !row.text.contains(|c| c >= '\u{1f000}') {
                all.push(row.text.into_owned());
            }
        })?;
    }
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(&all));
    let batch = RecordBatch::try_from_iter([(column::TEXT, text)])?;
    let bytes: usize = all.iter().map(String::len).sum();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = seconds();
        stage.apply(&batch)?;
        best = best.min(seconds() - start);
    }
    println!(
        "{kind}: {:.0} MB/s over {:.1} MB in {} rows",
        bytes as f64 / best / 1e6,
        bytes as f64 / 1e6,
        all.len()
    );
    Ok(())
}
