//! Measures packing and writing of token shards: `pack_speed [FILE.parquet … | FILE.u32]`, on one thread, by CPU time.
//!
//! Documents are those of token shards (`input_ids`, `doc_lens`), or of a file of little-endian numbers: how many documents, the
//! tokens of each, all tokens. Without a file, lengths are drawn log-normally and tokens by rank, so that figures can be made
//! anywhere. Prints for each length of sequences: pieces a second of the packing alone, tokens a second of every step, padding,
//! needless cuts, and bytes a token beside those of zstd 3.

use arrow::array::{ArrayRef, AsArray as _, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use gristmill_stages::pack::sequences::rows_by_best_fit;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::column::{ID, TOKENS};
use schemas::hash::Rng;
use schemas::memory::Stream;
use schemas::{DocId, Made, Records, Settings, Sink, token};
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DRAWN_TOKENS: usize = 20_000_000;
/// How often pieces are packed for one figure.
const PACK_ROUNDS: usize = 200;

#[expect(clippy::print_stdout, reason = "the table is what the example is for")]
fn main() -> Result<()> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let documents = if files.is_empty() { drawn() } else { read(&files)? };
    let total: usize = documents.iter().map(Vec::len).sum();
    println!("{} documents, {total} tokens", documents.len());
    let batches = batches(&documents)?;
    for length in [512, 1024, 2048, 4096, 8192] {
        let pieces: Vec<u32> =
            documents.iter().flat_map(|ids| ids.chunks(length)).map(|piece| piece.len() as u32).collect();
        // The clock of a process ticks too slowly for one round.
        let ((_, rows), seconds) = timed(|| {
            (1..PACK_ROUNDS).for_each(|_| drop(std::hint::black_box(rows_by_best_fit(&pieces, length))));
            Ok(rows_by_best_fit(&pieces, length))
        })?;
        let seconds = seconds / PACK_ROUNDS as f64;
        let padding = 100.0 * (1.0 - total as f64 / (rows * length) as f64);
        let speed = pieces.len() as f64 / seconds / 1e6;
        println!(
            "{length}: {} pieces in {rows} rows, {speed:.1} M pieces/s, {padding:.4} % padding",
            pieces.len()
        );
        for method in ["best_fit", "concat"] {
            steps(&format!("length = {length}\nmethod = \"{method}\"\nvalidation = 0.0"), &batches, total)?;
        }
    }
    Ok(())
}

/// Packs and writes all documents, and prints the speed of each step.
#[expect(clippy::print_stdout, reason = "the table is what the example is for")]
fn steps(toml: &str, batches: &[RecordBatch], total: usize) -> Result<()> {
    let Made::Regroup(pack) = made("pack.sequences", toml)? else { return Err("no regroup".into()) };
    let mut records = Records::default();
    let map =
        timed(|| batches.iter().try_for_each(|b| pack.map(b, &mut records).map(drop)).map_err(Into::into))?.1;
    let (sorted, sort) = timed(|| Ok(Stream::sorted(records)))?;
    let mut packed = Vec::new();
    let reduce = timed(|| {
        let mut emit = |batch| {
            packed.push(batch);
            Ok(())
        };
        Ok(pack.reduce(0, vec![Box::new(sorted)], &mut emit)?)
    })?;
    let (cuts, pads, ids) = counted(&packed);
    let mut sizes = Vec::new();
    let folder = std::env::temp_dir().join(format!("pack-speed-{}", std::process::id()));
    for level in [0, 3] {
        let Made::Sink(sink) = made("sink.parquet", &format!("compression_level = {level}"))? else {
            return Err("no sink".into());
        };
        let (bytes, seconds) = timed(|| write(sink.as_ref(), &folder, &packed))?;
        sizes.push((bytes as f64 / ids as f64, total as f64 / seconds / 1e6));
    }
    std::fs::remove_dir_all(&folder)?;
    let speed = |seconds: f64| total as f64 / seconds / 1e6;
    println!(
        "  {}: Mtok/s map {:.0}, sort {:.0}, pack {:.0}, write {:.1}; {:.4} % padding, {cuts} needless cuts; {:.4} B/token, {:.4}x zstd 3",
        toml.replace('\n', ", "),
        speed(map),
        speed(sort),
        speed(reduce.1),
        sizes[0].1,
        100.0 * pads as f64 / ids as f64,
        sizes[0].0,
        sizes[0].0 / sizes[1].0
    );
    Ok(())
}

/// Pieces that end before their document and before a whole sequence of it, padding, and ids.
fn counted(packed: &[RecordBatch]) -> (usize, i64, usize) {
    let (mut cuts, mut pads, mut ids) = (0, 0, 0);
    for batch in packed {
        let numbers =
            |name: &str| batch.column_by_name(name).expect("of the schema").as_list::<i32>().values().clone();
        let length = batch.column(0).as_list::<i32>().value_length(0);
        let offsets = numbers(token::DOC_OFFSETS);
        // A piece that begins elsewhere than at a whole sequence follows a cut that no sequence asked for.
        let offsets = offsets.as_primitive::<Int32Type>().values();
        cuts += offsets.iter().filter(|&&offset| offset % length != 0).count();
        let column = batch.column_by_name(token::PAD).expect("of the schema").as_primitive::<Int32Type>();
        pads += column.values().iter().map(|&pad| i64::from(pad)).sum::<i64>();
        ids += numbers(token::INPUT_IDS).len();
    }
    (cuts, pads, ids)
}

fn write(sink: &dyn Sink, folder: &Path, packed: &[RecordBatch]) -> Result<u64> {
    let mut writer = sink.open(folder, &token::schema(), &[])?;
    packed.iter().try_for_each(|batch| writer.write(batch))?;
    let written = writer.finish()?;
    let sizes = written.iter().map(|file| std::fs::metadata(&file.path).map(|file| file.len()));
    Ok(sizes.sum::<std::io::Result<u64>>()?)
}

fn made(kind: &str, toml: &str) -> Result<Made> {
    let settings = Settings::new(toml.parse::<toml::Table>()?.into_iter().collect());
    let spec =
        gristmill_stages::ALL.iter().find(|spec| spec.kind == kind).ok_or("the kind is not registered")?;
    (spec.build)(&settings).map_err(|errors| format!("{errors:?}").into())
}

/// Seconds of CPU time, of this process; of the clock where the system does not tell them.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let cpu = || {
        let told = std::fs::read_to_string("/proc/self/schedstat").ok()?;
        told.split(' ').next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
    };
    let (start, before) = (std::time::Instant::now(), cpu());
    let made = work()?;
    let clock = start.elapsed().as_secs_f64();
    Ok((made, cpu().zip(before).map_or(clock, |(after, before)| after - before)))
}

/// Documents of the lengths that web pages have, tokens by rank.
fn drawn() -> Vec<Vec<i32>> {
    let mut rng = Rng::new(7);
    let (mut documents, mut total) = (Vec::new(), 0);
    while total < DRAWN_TOKENS {
        let angle = std::f64::consts::TAU * rng.next_f64();
        let normal = (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt() * angle.cos();
        let length = (6.3 + 1.1 * normal).exp().clamp(1.0, 200_000.0) as usize;
        let token = |rng: &mut Rng| (100_000_f64.powf(rng.next_f64()) - 1.0) as i32;
        documents.push((0..length).map(|_| token(&mut rng)).collect());
        total += length;
    }
    documents
}

fn read(files: &[String]) -> Result<Vec<Vec<i32>>> {
    let mut documents = Vec::new();
    for file in files {
        if !file.ends_with(".parquet") {
            let bytes = std::fs::read(file)?;
            let numbers: Vec<u32> =
                bytes.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
            let (count, rest) = numbers.split_first().ok_or("the file is empty")?;
            let (lengths, mut tokens) =
                rest.split_at_checked(*count as usize).ok_or("the file is too short")?;
            for &length in lengths {
                let (ids, others) =
                    tokens.split_at_checked(length as usize).ok_or("the file is too short")?;
                documents.push(ids.iter().map(|&id| id as i32).collect());
                tokens = others;
            }
            continue;
        }
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.build()? {
            let batch = batch?;
            let column =
                |name: &str| batch.column_by_name(name).ok_or("no token shard").map(|c| c.as_list::<i32>());
            let (ids, lens) = (column(token::INPUT_IDS)?, column(token::DOC_LENS)?);
            for (ids, lens) in ids.iter().flatten().zip(lens.iter().flatten()) {
                let mut ids = ids.as_primitive::<Int32Type>().values().as_ref();
                for &length in lens.as_primitive::<Int32Type>().values() {
                    let (piece, others) =
                        ids.split_at_checked(length as usize).ok_or("the row is too short")?;
                    documents.push(piece.to_vec());
                    ids = others;
                }
            }
        }
    }
    Ok(documents)
}

fn batches(documents: &[Vec<i32>]) -> Result<Vec<RecordBatch>> {
    let batch = |(number, documents): (usize, &[Vec<i32>])| {
        let ids = (0..documents.len()).map(|at| DocId::new(&number.to_string(), &at.to_string()).to_string());
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
        let offsets = OffsetBuffer::from_lengths(documents.iter().map(Vec::len));
        let values = Int32Array::from_iter_values(documents.iter().flatten().copied());
        let item = Arc::new(Field::new("item", DataType::Int32, false));
        let tokens: ArrayRef = Arc::new(ListArray::try_new(item, offsets, Arc::new(values), None)?);
        Ok(RecordBatch::try_from_iter([(ID, ids), (TOKENS, tokens)])?)
    };
    documents.chunks(128).enumerate().map(batch).collect()
}
