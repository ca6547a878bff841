//! The speed table: every source, stage and sink, and whole builds, over real pages.
//!
//! `cargo bench --bench table` measures the documentation of the installed Rust toolchain, `-- FOLDER` any folder of HTML.
//! Kinds run on one thread over batches in memory, best of three; builds run on all cores. MB are those of what comes in.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use arrow::array::{Array, AsArray, RecordBatch};
use pipeline::dag::{self, Kinds};
use pipeline::engine::{self, Options};
use pipeline::recipe::Recipe;
use schemas::memory::{self, Done};
use schemas::observe::Silent;
use schemas::{Global, Made, Outcome, Regroup, Settings, Source, Stage, column};
use stages::source::warc::write;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const ROUNDS: usize = 3;
/// Pages that single kinds are measured on, and that builds are.
const PAGES: usize = 400;
const BUILD_PAGES: usize = 3000;
/// Kinds that are measured on pages, the others on their texts.
const READS_PAGES: [&str; 2] = ["extract.html", "filter.rights"];

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let given = std::env::args().skip(1).find(|a| !a.starts_with("--")).map(PathBuf::from);
    let Some(folder) = given.or_else(documentation) else {
        println!(
            "SKIPPED: no Rust documentation is installed; give a folder of HTML: cargo bench --bench table -- FOLDER"
        );
        return Ok(());
    };
    let work = std::env::temp_dir().join(format!("gristmill-bench-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let result = measure(&folder, &work);
    fs::remove_dir_all(&work)?;
    result
}

fn documentation() -> Option<PathBuf> {
    let out = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let folder = Path::new(String::from_utf8(out.stdout).ok()?.trim()).join("share/doc/rust/html");
    folder.is_dir().then_some(folder)
}

fn measure(folder: &Path, work: &Path) -> Result<(), Failure> {
    let pages = pages(folder, BUILD_PAGES)?;
    let (warc, bytes) = archive(&pages, work)?;
    println!("{} pages, {:.1} MB of HTML\n", pages.len(), bytes as f64 / 1e6);
    println!("{:<24} {:>9} {:>9}   (one thread)", "kind", "rows/s", "MB/s");
    kinds(&warc)?;
    println!("\n{:<24} {:>9} {:>9}   (all cores)", "build", "pages/s", "MB/s");
    for (name, stages) in [("WARC → documents", ""), ("WARC → token shards", TOKENS)] {
        let seconds = build(&warc, work, stages)?;
        println!("{name:<24} {:>9.0} {:>9.1}", pages.len() as f64 / seconds, bytes as f64 / 1e6 / seconds);
    }
    Ok(())
}

/// The first pages of every sub-folder in turn, so that all kinds of page are among them.
fn pages(folder: &Path, count: usize) -> Result<Vec<PathBuf>, Failure> {
    let mut shelves: Vec<Vec<PathBuf>> = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        let mut shelf = Vec::new();
        collect(&entry, &mut shelf)?;
        shelf.reverse();
        shelves.push(shelf);
    }
    let mut pages = Vec::with_capacity(count);
    while pages.len() < count && shelves.iter().any(|s| !s.is_empty()) {
        pages.extend(shelves.iter_mut().filter_map(Vec::pop));
    }
    pages.truncate(count);
    Ok(pages)
}

fn collect(path: &Path, pages: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
        entries.sort();
        entries.iter().try_for_each(|entry| collect(entry, pages))?;
    } else if path.extension().is_some_and(|e| e == "html") {
        pages.push(path.to_owned());
    }
    Ok(())
}

/// Writes the pages as WARC files of a few hundred each, as a crawl would.
fn archive(pages: &[PathBuf], work: &Path) -> Result<(PathBuf, usize), Failure> {
    let folder = work.join("warc");
    fs::create_dir_all(&folder)?;
    let date = "2026-01-01T00:00:00Z";
    let mut bytes = 0;
    for (number, chunk) in pages.chunks(PAGES).enumerate() {
        let fresh =
            write::Writer::resume(&folder, "software: gristmill\r\n".into(), u64::MAX, (number as u32, 0));
        let mut writer = fresh.map_err(|(_, error)| error)?;
        for page in chunk {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n";
            let body = fs::read(page)?;
            bytes += body.len();
            let url = format!("http://docs.example{}", page.display());
            let record = write::Record {
                kind: "response",
                url: Some(&url),
                date,
                ip: None,
                concurrent_to: None,
                truncated: None,
                opt_out: None,
                content_type: "application/http; msgtype=response",
                block: &[head.as_slice(), &body].concat(),
                payload_at: Some(head.len()),
            };
            writer.append(&record.member().bytes, date).map_err(|(_, error)| error)?;
        }
        writer.sync().map_err(|(_, error)| error)?;
    }
    Ok((folder, bytes))
}

fn made(kind: &str, pairs: Vec<(&str, toml::Value)>) -> Result<Made, Failure> {
    let spec = stages::ALL.iter().find(|s| s.kind == kind).ok_or("no such kind")?;
    let settings = Settings::new(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    (spec.build)(&settings).map_err(|e| e.iter().map(ToString::to_string).collect::<String>().into())
}

/// All rows of a source.
fn read(source: &dyn Source, base: &Path) -> Result<Vec<RecordBatch>, Failure> {
    let context = schemas::Context { base, archive: base, observer: &Silent };
    let mut batches = Vec::new();
    for split in source.splits(&context)?.into_iter().take(1) {
        for intake in source.read(&split)? {
            batches.push(intake?.batch);
        }
    }
    Ok(batches)
}

/// Every kind over the first WARC file and what the kinds before make of it.
fn kinds(warc: &Path) -> Result<(), Failure> {
    let paths = toml::Value::from(vec![warc.display().to_string()]);
    let Made::Source(source) = made("source.warc", vec![("paths", paths)])? else { return Ok(()) };
    let (seconds, pages) = best(|| read(source.as_ref(), warc))?;
    row("source.warc", &pages, column::HTML, seconds);
    let Made::Stage(rights) = made("filter.rights", Vec::new())? else { return Ok(()) };
    row("filter.rights", &pages, column::HTML, best(|| apply(rights.as_ref(), &pages))?.0);
    let Made::Stage(extract) = made("extract.html", Vec::new())? else { return Ok(()) };
    let (seconds, texts) = best(|| apply(extract.as_ref(), &pages))?;
    row("extract.html", &pages, column::HTML, seconds);
    let Made::Global(tokenize) = made("tokenize.bpe", vec![("vocab_size", 4096.into())])? else {
        return Ok(());
    };
    let settled = memory::settle(tokenize.as_ref(), &texts, 1)?;
    let tokens = judge(tokenize.as_ref(), &settled, &texts)?;
    for spec in stages::ALL {
        let settings = match spec.kind {
            "filter.quality" => quality(warc.parent().ok_or("the archive has a parent")?, &texts)?,
            "decontaminate.ngram" => benchmark(warc.parent().ok_or("the archive has a parent")?)?,
            _ => Settings::default(),
        };
        let seconds = match (spec.build)(&settings) {
            Ok(Made::Stage(stage)) if !READS_PAGES.contains(&spec.kind) => {
                best(|| apply(stage.as_ref(), &texts))?.0
            }
            Ok(Made::Global(global)) => {
                best(|| judge(global.as_ref(), &memory::settle(global.as_ref(), &texts, 1)?, &texts))?.0
            }
            Ok(Made::Regroup(regroup)) => {
                let seconds = best(|| regroup_all(regroup.as_ref(), &tokens))?.0;
                row(spec.kind, &tokens, column::TEXT, seconds);
                continue;
            }
            Ok(Made::Sink(sink)) => {
                let schema = texts[0].schema();
                best(|| {
                    let mut writer =
                        sink.open(warc.parent().ok_or("the archive has a parent")?, &schema, &[])?;
                    texts.iter().try_for_each(|batch| writer.write(batch))?;
                    Ok(writer.finish()?)
                })?
                .0
            }
            _ => continue,
        };
        row(spec.kind, &texts, column::TEXT, seconds);
    }
    let (seconds, _) = best(|| judge(tokenize.as_ref(), &settled, &texts))?;
    row("tokenize.bpe (encode)", &texts, column::TEXT, seconds);
    Ok(())
}

/// Settings of `decontaminate.ngram` with a benchmark of a thousand questions that no page asks.
fn benchmark(work: &Path) -> Result<Settings, Failure> {
    let line = |n: usize| {
        let question =
            format!("Which of {n} millers turns the stone of mill {} before noon in winter?", n * 7);
        format!("{}\n", serde_json::json!({ "question": question, "answer": format!("miller {n}") }))
    };
    let path = work.join("benchmark.jsonl");
    fs::write(&path, (0..1000).map(line).collect::<String>())?;
    let sets = toml::Value::from(vec![path.display().to_string()]);
    Ok(Settings::new(vec![("sets".to_owned(), sets)]))
}

/// Settings of `filter.quality` with weights that tell every other document from the rest.
fn quality(work: &Path, texts: &[RecordBatch]) -> Result<Settings, Failure> {
    let fitting = stages::FITS.iter().find(|f| f.kind == "filter.quality").ok_or("no such kind")?;
    let mut piles = [String::new(), String::new()];
    for batch in texts {
        for (row, text) in column::utf8(batch, column::TEXT)?.iter().flatten().enumerate() {
            piles[row % 2] += &format!("{}\n", serde_json::json!({ "text": text }));
        }
    }
    let path = |name: &str| work.join(name).display().to_string();
    for (name, pile) in ["good.jsonl", "bad.jsonl"].iter().zip(&piles) {
        fs::write(path(name), pile)?;
    }
    let pairs = [("good", path("good.jsonl")), ("bad", path("bad.jsonl"))];
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let fitted = (fitting.fit)(&Settings::new(pairs))
        .map_err(|e| e.iter().map(ToString::to_string).collect::<String>())?;
    fs::write(path("quality.bin"), &fitted.bytes)?;
    Ok(Settings::new(vec![("weights".to_owned(), path("quality.bin").into())]))
}

fn best<T>(mut work: impl FnMut() -> Result<T, Failure>) -> Result<(f64, T), Failure> {
    let mut fastest = f64::INFINITY;
    let mut last = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        last = Some(work()?);
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok((fastest, last.ok_or("there is a round")?))
}

fn row(kind: &str, batches: &[RecordBatch], name: &str, seconds: f64) {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let bytes: usize = batches.iter().filter_map(|b| Some(length(b.column_by_name(name)?.as_ref()))).sum();
    println!("{kind:<24} {:>9.0} {:>9.1}", rows as f64 / seconds, bytes as f64 / 1e6 / seconds);
}

fn length(column: &dyn Array) -> usize {
    match (column.as_string_opt::<i32>(), column.as_binary_opt::<i32>()) {
        (Some(texts), _) => texts.iter().flatten().map(str::len).sum(),
        (_, Some(pages)) => pages.iter().flatten().map(<[u8]>::len).sum(),
        _ => 0,
    }
}

fn apply(stage: &dyn Stage, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, Failure> {
    let one = |batch: &RecordBatch| -> Result<RecordBatch, Failure> {
        let outcome: Outcome = stage.apply(batch)?;
        Ok(outcome.select(batch, &stage.output(&batch.schema())?)?)
    };
    batches.iter().filter(|b| b.num_rows() > 0).map(one).collect()
}

fn judge(global: &dyn Global, done: &Done, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, Failure> {
    let one = |batch: &RecordBatch| -> Result<RecordBatch, Failure> {
        Ok(done.judge(batch)?.select(batch, &global.output(&batch.schema())?)?)
    };
    batches.iter().filter(|b| b.num_rows() > 0).map(one).collect()
}

fn regroup_all(regroup: &dyn Regroup, batches: &[RecordBatch]) -> Result<usize, Failure> {
    let made = memory::regroup(regroup, batches)?;
    Ok(made.folders.iter().flatten().map(RecordBatch::num_rows).sum())
}

const TOKENS: &str = "[tokenizer]\nvocab_size = 4096\n[dataset]\nlength = 512\n";

/// Seconds of a build from the archive, with nothing cached.
fn build(warc: &Path, work: &Path, tail: &str) -> Result<f64, Failure> {
    let chain = [
        "extract.html",
        "clean.unicode",
        "clean.whitespace",
        "clean.spelling",
        "filter.language",
        "filter.length",
        "filter.repetition",
        "filter.gopher",
        "filter.toxicity",
        "dedup.exact",
        "dedup.minhash",
        "clean.emoji",
        "clean.pii",
    ];
    let stages: String = chain.iter().map(|kind| format!("[[stages]]\nkind = \"{kind}\"\n")).collect();
    let text =
        format!("[sources.pages]\nkind = \"source.warc\"\npaths = [\"{}\"]\n{stages}{tail}", warc.display());
    let recipe = Recipe::parse(&work.join("bench.toml"), text, &|_| None)?;
    let dag = dag::compile(&recipe, &Kinds { all: stages::ALL, train: None })?;
    let workdir = work.join("build");
    let options =
        Options { workdir: workdir.clone(), base: work.to_owned(), threads: 0, memory_bytes: 512 << 20 };
    let start = Instant::now();
    engine::run(&dag, &options, &Silent)?;
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_dir_all(workdir)?;
    Ok(seconds)
}
