//! Runs `dedup.minhash` over JSON lines of `id` and `text` (`.gz` too), in memory and on one thread, and writes the ids that stay.
//!
//! ```text
//! cargo run --release -p gristmill-stages --example neardup -- corpus.jsonl.gz kept.txt similarity_min=0.8
//! ```
#![expect(clippy::print_stderr, reason = "an example prints")]

#[path = "../src/dedup/driver.rs"]
mod driver;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use schemas::{DocId, Made, Settings, Value, Verdict, column};
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (input, output) = args.next().zip(args.next()).ok_or("neardup INPUT OUTPUT [key=value]…")?;
    let pairs = args.map(|set| {
        let (key, value) = set.split_once('=').ok_or("a setting is key=value")?;
        let read = serde_json::from_str::<Value>(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok::<_, &str>((key.to_owned(), read))
    });
    let settings = Settings::new(pairs.collect::<Result<_, _>>()?);
    let Ok(Made::Global(global)) = (gristmill_stages::dedup::minhash::SPEC.build)(&settings) else {
        return Err("these are not settings of dedup.minhash".into());
    };
    let file = std::fs::File::open(&input)?;
    let reader: Box<dyn Read> = if input.ends_with(".gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let rows = BufReader::new(reader).lines().map(|line| Ok(serde_json::from_str(&line?)?));
    let rows: Vec<serde_json::Value> = rows.collect::<Result<_, Box<dyn std::error::Error>>>()?;
    let names: Vec<&str> = rows.iter().filter_map(|r| r["id"].as_str()).collect();
    let texts: Vec<&str> = rows.iter().filter_map(|r| r["text"].as_str()).collect();
    let batches = names.chunks(1024).zip(texts.chunks(1024)).map(|(names, texts)| {
        let ids = names.iter().map(|name| DocId::new("neardup", name).to_string());
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        RecordBatch::try_from_iter([(column::ID, ids), (column::TEXT, texts)])
    });
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>()?;
    let start = Instant::now();
    let outcomes = driver::run(global.as_ref(), &batches, 16)?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes: usize = texts.iter().map(|t| t.len()).sum();
    let verdicts = outcomes.iter().flat_map(|o| &o.verdicts);
    let kept: Vec<&str> =
        names.iter().zip(verdicts).filter(|(_, v)| **v == Verdict::Kept).map(|(n, _)| *n).collect();
    eprintln!("{} of {} documents stay, {:.1} MB/s", kept.len(), names.len(), bytes as f64 / 1e6 / seconds);
    let mut out = std::io::BufWriter::new(std::fs::File::create(output)?);
    kept.iter().try_for_each(|name| writeln!(out, "{name}"))?;
    Ok(out.flush()?)
}
