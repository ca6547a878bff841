//! MB/s at which a dialect of `decontaminate.ngram` looks through texts, on one thread, by processor time where Linux tells it.
//!
//! ```text
//! cargo run --release -p gristmill-stages --example decontaminate_speed -- gristmill SET… -- TEXT…
//! ```
//!
//! Texts are JSON lines with `text`. The time is that of finding; sorting what was found is the work of the house.

#![expect(clippy::print_stdout, reason = "the figure is what the program is for")]

mod clock;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use clock::seconds;
use gristmill_stages::text::files::texts;
use schemas::{DocId, Made, Records, Settings, Value, column};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (dialect, rest) = args.split_first().ok_or("name a dialect, sets, `--`, texts")?;
    let mark = rest.iter().position(|arg| arg == "--").ok_or("name texts behind `--`")?;
    let (sets, files) = (&rest[..mark], &rest[mark + 1..]);
    let sets: Vec<String> = sets
        .iter()
        .map(|set| Ok(std::fs::canonicalize(set)?.to_string_lossy().into_owned()))
        .collect::<Result<_, std::io::Error>>()?;
    let pairs =
        vec![("sets".to_owned(), Value::from(sets)), ("dialect".to_owned(), Value::from(dialect.as_str()))];
    let start = seconds();
    let Ok(Made::Global(global)) =
        (gristmill_stages::decontaminate::ngram::SPEC.build)(&Settings::new(pairs))
    else {
        return Err("these sets cannot be read by that dialect".into());
    };
    println!("{dialect}: sets read in {:.2} s", seconds() - start);
    let mut all = Vec::new();
    for file in files {
        texts(Path::new(file), &mut |row| all.push(row.text.into_owned()))?;
    }
    let ids = (0..all.len()).map(|n| DocId::new("speed", &n.to_string()).to_string());
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(&all));
    let batch = RecordBatch::try_from_iter([(column::ID, ids), (column::TEXT, text)])?;
    let bytes: usize = all.iter().map(String::len).sum();
    let mut best = f64::INFINITY;
    let mut records = Records::default();
    for _ in 0..ROUNDS {
        records.clear();
        let start = seconds();
        global.map(&batch, &mut records)?;
        best = best.min(seconds() - start);
    }
    let (speed, megabytes) = (bytes as f64 / best / 1e6, bytes as f64 / 1e6);
    println!(
        "{dialect}: {speed:.0} MB/s over {megabytes:.1} MB in {} rows, {} finds",
        all.len(),
        records.len()
    );
    Ok(())
}
