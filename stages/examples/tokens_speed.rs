//! Measures training, encoding and packing on JSON lines: `tokens_speed FILE.jsonl[.gz] … [--out FOLDER]`.
//!
//! With `--tokenizer FILE`, encoding alone by that tokenizer.json: MB per second of processor cold and warm, the ratio of the two, and the
//! hash over all ids that `benches/peers/encode_speed.py` prints for the tokenizers of others.
//!
//! One thread, documents in memory. Rows of the first packed batches are decoded and held against the documents. With
//! `--out`, tokenizer.json and the ids of each document go to a folder, to be held against other tools.

mod clock;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use clock::seconds;
use schemas::column::{ID, TEXT, TOKENS};
use schemas::memory::{self, Done};
use schemas::{Global, Made, Regroup, Settings, token};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[expect(clippy::print_stdout, reason = "the table is what the example is for")]
fn main() -> Result<()> {
    let (mut files, mut out, mut arguments) = (Vec::new(), None, std::env::args().skip(1));
    let mut tokenizer = None;
    while let Some(argument) = arguments.next() {
        if argument == "--out" {
            out = arguments.next().map(PathBuf::from);
        } else if argument == "--tokenizer" {
            tokenizer = arguments.next();
        } else {
            files.push(PathBuf::from(argument));
        }
    }
    let batches = read(&files)?;
    let megabytes =
        batches.iter().map(|b| b.column(1).as_string::<i32>().value_data().len()).sum::<usize>() as f64 / 1e6;
    let report = |work: &str, seconds: f64| {
        println!("{work:24} {seconds:8.3} s  {:8.1} MB/s of text", megabytes / seconds)
    };

    if let Some(file) = tokenizer {
        let batches: Vec<RecordBatch> = batches.iter().map(without_names).collect::<Result<_>>()?;
        return encode_alone(&file, &batches);
    }
    let train = global("")?;
    let (done, seconds) = timed(|| Ok(memory::settle(&*train, &batches, 1)?))?;
    report("count, train, settle", seconds);
    println!("{:?}", done.settled.facts);

    let (mut tokenized, seconds) = timed(|| encoded(&*train, &done, &batches))?;
    report("encode, cold", seconds);
    for _ in 0..2 {
        let (again, seconds) = timed(|| encoded(&*train, &done, &batches))?;
        report("encode, warm", seconds);
        tokenized = again;
    }
    if let Some(folder) = out {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("tokenizer.json"), &done.settled.files["tokenizer.json"])?;
        write_ids(&folder, &tokenized)?;
    }
    for toml in [
        "method = \"best_fit\"",
        "method = \"concat\"",
        "length = 2048",
        "length = 2048\nwindow_tokens = 1048576",
    ] {
        let ((rows, pad, length), seconds) = timed(|| packed(toml, &tokenized))?;
        let share = 100.0 * pad as f64 / (rows * length) as f64;
        println!(
            "pack {toml:?}: {rows} rows of {length}, {share:.3} % padding, {:.1} Mtok/s",
            (rows * length) as f64 / seconds / 1e6
        );
    }
    Ok(())
}

/// Leaves out documents on which tools differ: those that hold the beginning of a special token.
fn without_names(batch: &RecordBatch) -> Result<RecordBatch> {
    let texts = batch.column(1).as_string::<i32>();
    let plain = texts.iter().map(|text| Some(!text.unwrap_or_default().contains("<|")));
    Ok(arrow::compute::filter_record_batch(batch, &plain.collect())?)
}

/// Encodes by a tokenizer.json, four times.
#[expect(clippy::print_stdout, reason = "the table is what the example is for")]
fn encode_alone(file: &str, batches: &[RecordBatch]) -> Result<()> {
    let bytes: usize = batches.iter().map(|b| b.column(1).as_string::<i32>().value_data().len()).sum();
    let load = global(&format!("file = {file:?}\nappend_eos = false"))?;
    let done = memory::settle(&*load, &[], 1)?;
    let mut speeds = Vec::new();
    for _ in 0..4 {
        let start = seconds();
        for batch in batches {
            std::hint::black_box(done.judge(batch)?);
        }
        speeds.push(bytes as f64 / 1e6 / (seconds() - start));
    }
    let warm = speeds[1..].iter().copied().fold(0.0, f64::max);
    let encoded = encoded(&*load, &done, batches)?;
    println!("{:.2} MB, {} documents", bytes as f64 / 1e6, tokens(&encoded).count());
    println!(
        "cold {:.1}  warm {warm:.1} MB/CPU-s  warm/cold {:.2}  ids {}",
        speeds[0],
        warm / speeds[0],
        checksum(&encoded)
    );
    Ok(())
}

/// FNV-1a over the ids, `u32::MAX` behind each document, in 64 lanes that are folded in order.
fn checksum(batches: &[RecordBatch]) -> String {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    let step = |state: u64, value: u64| (state ^ value).wrapping_mul(0x100_0000_01b3);
    let (mut lanes, mut at) = ([START; 64], 0);
    let mut add = |value: u32| {
        lanes[at % 64] = step(lanes[at % 64], u64::from(value));
        at += 1;
    };
    for (_, ids) in tokens(batches) {
        ids.iter().for_each(|&id| add(id as u32));
        add(u32::MAX);
    }
    let filled = at;
    (filled..filled.next_multiple_of(64)).for_each(|at| lanes[at % 64] = step(lanes[at % 64], 0));
    format!("{:016x}", lanes.into_iter().fold(START, step))
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let made = work()?;
    Ok((made, start.elapsed().as_secs_f64()))
}

fn read(files: &[PathBuf]) -> Result<Vec<RecordBatch>> {
    let mut rows = Vec::new();
    for file in files {
        let opened = std::fs::File::open(file)?;
        let packed = file.extension().is_some_and(|end| end == "gz");
        let opened: Box<dyn std::io::Read> =
            if packed { Box::new(flate2::read::MultiGzDecoder::new(opened)) } else { Box::new(opened) };
        for line in BufReader::new(opened).lines() {
            let row: serde_json::Value = serde_json::from_str(&line?)?;
            let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            rows.push((field("id"), field("text")));
        }
    }
    let batch = |rows: &[(String, String)]| {
        let column = |of: fn(&(String, String)) -> &String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
        };
        Ok(RecordBatch::try_from_iter([(ID, column(|row| &row.0)), (TEXT, column(|row| &row.1))])?)
    };
    rows.chunks(128).map(batch).collect()
}

fn made(kind: &str, toml: &str) -> Result<Made> {
    let settings = Settings::new(toml.parse::<toml::Table>()?.into_iter().collect());
    let spec =
        gristmill_stages::ALL.iter().find(|spec| spec.kind == kind).ok_or("the kind is not registered")?;
    (spec.build)(&settings).map_err(|errors| format!("{errors:?}").into())
}

fn global(toml: &str) -> Result<Box<dyn Global>> {
    match made("tokenize.bpe", toml)? {
        Made::Global(global) => Ok(global),
        _ => Err("tokenize.bpe is a global".into()),
    }
}

fn regroup(toml: &str) -> Result<Box<dyn Regroup>> {
    match made("pack.sequences", toml)? {
        Made::Regroup(regroup) => Ok(regroup),
        _ => Err("pack.sequences is a regroup".into()),
    }
}

fn encoded(global: &dyn Global, done: &Done, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
    let encode =
        |batch: &RecordBatch| Ok(done.judge(batch)?.select(batch, &global.output(&batch.schema())?)?);
    batches.iter().map(encode).collect()
}

fn tokens(batches: &[RecordBatch]) -> impl Iterator<Item = (&str, Vec<i32>)> {
    batches.iter().flat_map(|batch| {
        let lists = batch.column_by_name(TOKENS).expect("the stage adds it").as_list::<i32>();
        let ids = batch.column(0).as_string::<i32>().iter().flatten();
        ids.zip(lists.iter().flatten().map(|list| list.as_primitive::<Int32Type>().values().to_vec()))
    })
}

fn write_ids(folder: &std::path::Path, batches: &[RecordBatch]) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.join("tokens.jsonl"))?);
    for (id, tokens) in tokens(batches) {
        writeln!(file, "{}", serde_json::json!({ "id": id, "tokens": tokens }))?;
    }
    Ok(())
}

/// Packs everything and holds every row against the documents. Rows, padding, length.
fn packed(toml: &str, batches: &[RecordBatch]) -> Result<(usize, usize, usize)> {
    let made = memory::regroup(&*regroup(toml)?, batches)?;
    let (mut rows, mut pad, mut length, mut first) = (0, 0, 0, Vec::new());
    for batch in made.folders.into_iter().flatten() {
        rows += batch.num_rows();
        let pads = batch.column_by_name(token::PAD).expect("of the schema").as_primitive::<Int32Type>();
        pad += pads.values().iter().map(|&pad| pad as usize).sum::<usize>();
        length = batch.column(0).as_list::<i32>().value_length(0) as usize;
        if first.len() < 2 {
            first.push(batch);
        }
    }
    verify(&first, batches)?;
    Ok((rows, pad, length))
}

/// Holds each piece of packed rows against the tokens of its document.
fn verify(packed: &[RecordBatch], batches: &[RecordBatch]) -> Result<()> {
    let documents: BTreeMap<&str, Vec<i32>> = tokens(batches).collect();
    for batch in packed {
        let numbers = |name: &str, row: usize| {
            let list = batch.column_by_name(name).expect("of the schema").as_list::<i32>().value(row);
            list.as_primitive::<Int32Type>().values().to_vec()
        };
        for row in 0..batch.num_rows() {
            let (ids, lengths) = (numbers(token::INPUT_IDS, row), numbers(token::DOC_LENS, row));
            let names =
                batch.column_by_name(token::DOC_IDS).expect("of the schema").as_list::<i32>().value(row);
            let names = names.as_string::<i32>().iter().flatten();
            let mut at = 0;
            for ((name, offset), length) in names.zip(numbers(token::DOC_OFFSETS, row)).zip(lengths) {
                let (offset, length) = (offset as usize, length as usize);
                if documents[name][offset..offset + length] != ids[at..at + length] {
                    return Err(format!("row {row} does not hold {name} at {offset}").into());
                }
                at += length;
            }
        }
    }
    Ok(())
}
