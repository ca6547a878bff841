//! Runs `dedup.minhash` over JSON lines of `id` and `text` (`.gz` too), in memory and on one thread, and writes the ids that stay.
//!
//! ```text
//! cargo run --release -p gristmill-stages --example neardup -- corpus.jsonl.gz kept.txt similarity_min=0.8
//! ```
#![expect(clippy::print_stderr, reason = "an example prints")]

use arrow::array::{ArrayRef, RecordBatch, StringArray, StringBuilder};
use schemas::memory::Mapped;
use schemas::{DocId, Made, Settings, Value, Verdict, column};
use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::time::Instant;

/// Rows that are mapped at once.
const ROWS: usize = 256;

#[derive(serde::Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

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
    let start = Instant::now();
    let mut reader = BufReader::with_capacity(256 << 10, reader);
    let (mut mapped, mut line, mut bytes) = (Mapped::default(), Vec::new(), 0);
    let (mut names, mut ids) = (Vec::new(), Vec::new());
    let mut texts = StringBuilder::new();
    loop {
        line.clear();
        let ended = reader.read_until(b'\n', &mut line)? == 0;
        if !ended {
            let row: Row<'_> = serde_json::from_slice(&line)?;
            bytes += row.text.len();
            ids.push(DocId::new("neardup", &row.id));
            names.push(row.id.into_owned());
            texts.append_value(row.text);
        }
        if ids.len() % ROWS == 0 || ended {
            let next = StringBuilder::with_capacity(ROWS, texts.values_slice().len());
            let batch = std::mem::replace(&mut texts, next).finish();
            let of_batch = digits(&ids[ids.len() - arrow::array::Array::len(&batch)..]);
            let batch =
                RecordBatch::try_from_iter([(column::ID, of_batch), (column::TEXT, Arc::new(batch) as _)])?;
            mapped.map(global.as_ref(), &batch)?;
        }
        if ended {
            break;
        }
    }
    let done = mapped.settle(global.as_ref(), schemas::PARTITIONS)?;
    let outcome = done.judge(&RecordBatch::try_from_iter([(column::ID, digits(&ids))])?)?;
    let seconds = start.elapsed().as_secs_f64();
    let kept =
        names.iter().zip(&outcome.verdicts).filter(|(_, v)| **v == Verdict::Kept).map(|(name, _)| name);
    let mut out = std::io::BufWriter::new(std::fs::File::create(output)?);
    let mut count = 0;
    for name in kept {
        writeln!(out, "{name}")?;
        count += 1;
    }
    eprintln!("{count} of {} documents stay, {:.1} MB/s", names.len(), bytes as f64 / 1e6 / seconds);
    Ok(out.flush()?)
}

/// A column of ids.
fn digits(ids: &[DocId]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(ids.iter().map(DocId::to_string)))
}
