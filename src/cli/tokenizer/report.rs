//! `gristmill tokenizer report TOKENIZER FILES…`: how a tokenizer cuts texts, by language or another field.

use crate::cli::output::{emit, emit_json, style};
use crate::cli::{cells, wrong};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int32Type;
use pipeline::inspect::Grid;
use schemas::memory::{self, Done};
use schemas::observe::Silent;
use schemas::{Context, FilePaths, Made, Settings, Source, Split, Value, Verdict, column};
use serde_json::json;
use stages::source::{jsonl, parquet};
use stages::text::words::Splitter;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill tokenizer report tokenizer/tokenizer.json corpus.jsonl.gz --by language\n\n\
    Bytes a token say how well a text is compressed, tokens a word (fertility) how much a word is cut; words are those of UAX 29."
)]
pub(crate) struct Args {
    /// The tokenizer.json, or the folder that it is in.
    tokenizer: PathBuf,
    /// Files, folders and patterns with `*`: JSON lines, or Parquet.
    #[arg(required = true)]
    files: Vec<String>,
    /// A row for each value of this field or column, such as `language`.
    #[arg(long)]
    by: Option<String>,
    /// Field or column of the text.
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Threads; 0 for one a core. The result does not depend on it.
    #[arg(long, value_parser = crate::cli::threads, default_value_t = 0)]
    threads: usize,
    /// The rows as JSON.
    #[arg(long)]
    json: bool,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What was counted of the documents of one group.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    documents: u64,
    /// Documents without a token: no text, or none that the tokenizer can encode.
    without: u64,
    bytes: u64,
    words: u64,
    tokens: u64,
    unknown: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.without += other.without;
        self.bytes += other.bytes;
        self.words += other.words;
        self.tokens += other.tokens;
        self.unknown += other.unknown;
    }

    fn bytes_per_token(&self) -> Option<f64> {
        ratio(self.bytes, self.tokens)
    }

    fn fertility(&self) -> Option<f64> {
        ratio(self.tokens, self.words)
    }
}

fn ratio(of: u64, to: u64) -> Option<f64> {
    (to > 0).then(|| of as f64 / to as f64)
}

/// By group; documents without a value stand under the empty name.
type Groups = BTreeMap<String, Sums>;

pub(crate) fn run(args: &Args) -> ExitCode {
    let tokenizer = match args.tokenizer.is_dir() {
        true => args.tokenizer.join(schemas::manifest::TOKENIZER),
        false => args.tokenizer.clone(),
    };
    if let Err(trouble) = wrong::there(&tokenizer) {
        return trouble.tell();
    }
    match groups(args, &tokenizer) {
        Ok(groups) => show(args, &groups),
        Err(error) => wrong::failed(error),
    }
}

fn groups(args: &Args, tokenizer: &Path) -> Result<Groups, Failure> {
    let done = load(tokenizer)?;
    let unknown = unknown_id(&fs::read(tokenizer)?)?;
    let mut all = Groups::new();
    for (is_parquet, paths) in [(false, &args.files), (true, &args.files)] {
        let paths: Vec<String> =
            paths.iter().filter(|path| path.ends_with(".parquet") == is_parquet).cloned().collect();
        if paths.is_empty() {
            continue;
        }
        let source = source(args, paths, is_parquet)?;
        let work = Work { done: &done, unknown, source: source.as_ref(), by: args.by.as_deref() };
        for (name, sums) in work.all(args.threads)? {
            all.entry(name).or_default().add(&sums);
        }
    }
    Ok(all)
}

/// The judge that makes tokens, without `eos` behind documents.
fn load(tokenizer: &Path) -> Result<Done, Failure> {
    let file = Value::String(std::path::absolute(tokenizer)?.to_string_lossy().into_owned());
    let settings = [("file".to_owned(), file), ("append_eos".to_owned(), Value::Boolean(false))];
    let made = (stages::tokenize::bpe::SPEC.build)(&Settings::new(settings.into()));
    match made {
        Ok(Made::Global(global)) => Ok(memory::settle(global.as_ref(), &[], 1)?),
        Ok(_) => Err("`tokenize.bpe` is not what it was".into()),
        Err(errors) => Err(errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("; ").into()),
    }
}

/// The id that stands for what is not in the vocabulary; byte-level tokenizers have none.
fn unknown_id(json: &[u8]) -> Result<Option<i32>, Failure> {
    let json: serde_json::Value = serde_json::from_slice(json)?;
    let model = &json["model"];
    let named = model["unk_token"].as_str().and_then(|token| model["vocab"][token].as_i64());
    Ok(model["unk_id"].as_i64().or(named).and_then(|id| i32::try_from(id).ok()))
}

fn source(args: &Args, paths: Vec<String>, is_parquet: bool) -> Result<Box<dyn Source>, Failure> {
    let paths = FilePaths(paths);
    let by = args.by.clone().filter(|by| *by != column::URL);
    if is_parquet {
        let columns = by.into_iter().chain([args.text_field.clone()]).collect();
        let config =
            parquet::Config { paths, text_column: args.text_field.clone(), columns, ..Default::default() };
        return Ok(Box::new(parquet::Parquet { config }));
    }
    let columns = by.into_iter().collect();
    let config = jsonl::Config { paths, text_field: args.text_field.clone(), columns, ..Default::default() };
    let made = jsonl::JsonLines::new(config);
    made.map(|source| Box::new(source) as Box<dyn Source>)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ").into())
}

struct Work<'a> {
    done: &'a Done,
    unknown: Option<i32>,
    source: &'a dyn Source,
    by: Option<&'a str>,
}

impl Work<'_> {
    /// Counts all splits; sums do not depend on who counts what.
    fn all(&self, threads: usize) -> Result<Groups, Failure> {
        let here = Path::new("");
        let splits = self.source.splits(&Context { base: here, archive: here, observer: &Silent })?;
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let next = AtomicUsize::new(0);
        let mut all = Groups::new();
        std::thread::scope(|scope| {
            let work = || {
                let mut groups = Groups::new();
                while let Some(split) = splits.get(next.fetch_add(1, Ordering::Relaxed)) {
                    self.split(split, &mut groups)?;
                }
                Ok::<Groups, Failure>(groups)
            };
            let workers: Vec<_> = (0..threads.min(splits.len())).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                for (name, sums) in worker.join().expect("no thread that counts panics")? {
                    all.entry(name).or_default().add(&sums);
                }
            }
            Ok(all)
        })
    }

    fn split(&self, split: &Split, groups: &mut Groups) -> Result<(), Failure> {
        for intake in self.source.read(split)? {
            let intake = intake?;
            let outcome = self.done.judge(&intake.batch)?;
            let tokens = outcome.columns.iter().find(|(name, _)| name == column::TOKENS);
            let tokens = tokens.ok_or("`tokenize.bpe` gives no tokens")?.1.as_list::<i32>();
            for row in 0..intake.batch.num_rows() {
                let name = self.by.map_or(Some("all"), |by| cells::text(&intake.batch, by, row));
                let ids = tokens.value(row);
                let sums = groups.entry(name.unwrap_or_default().to_owned()).or_default();
                let whole = [&intake.verdicts[row], &outcome.verdicts[row]];
                let whole = whole.iter().all(|verdict| !matches!(verdict, Verdict::Dropped { .. }));
                let ids = whole.then(|| ids.as_primitive::<Int32Type>().values().as_ref());
                self.document(&intake.batch, row, ids, sums);
            }
        }
        Ok(())
    }

    fn document(&self, batch: &RecordBatch, row: usize, ids: Option<&[i32]>, sums: &mut Sums) {
        sums.documents += 1;
        let (Some(ids), Some(text)) = (ids, cells::text(batch, column::TEXT, row)) else {
            sums.without += 1;
            return;
        };
        sums.bytes += text.len() as u64;
        sums.words += Splitter::Uax29.words(text).len() as u64;
        sums.tokens += ids.len() as u64;
        sums.unknown += ids.iter().filter(|&&id| Some(id) == self.unknown).count() as u64;
    }
}

const COLUMNS: [&str; 8] =
    ["group", "documents", "without", "bytes", "tokens", "bytes/token", "tokens/word", "unknown"];

fn show(args: &Args, groups: &Groups) -> ExitCode {
    let mut total = Sums::default();
    groups.values().for_each(|sums| total.add(sums));
    if total.documents == 0 {
        return wrong::failed("there is no document in the files");
    }
    if args.json {
        let row = |name: Option<&str>, sums: &Sums| {
            json!({
                "group": name, "documents": sums.documents, "documents_without_tokens": sums.without, "bytes": sums.bytes,
                "words": sums.words, "tokens": sums.tokens, "unknown": sums.unknown,
                "bytes_per_token": sums.bytes_per_token(), "fertility": sums.fertility(),
            })
        };
        let rows: Vec<_> = groups.iter().map(|(name, sums)| row(Some(name), sums)).collect();
        return emit_json(&json!({ "groups": rows, "total": row(None, &total) }), ExitCode::SUCCESS);
    }
    let mut grid = Grid::new(&COLUMNS);
    grid.columns[0].name = args.by.clone().unwrap_or_else(|| "group".to_owned());
    let row = |name: &str, sums: &Sums| {
        let share = |value: Option<f64>| {
            value.map_or_else(|| json!("–"), |value| json!((value * 1000.0).round() / 1000.0))
        };
        let counts = [sums.documents, sums.without, sums.bytes, sums.tokens].map(|count| json!(count));
        let mut cells = vec![json!(if name.is_empty() { "(none)" } else { name })];
        cells.extend(counts);
        cells.extend([share(sums.bytes_per_token()), share(sums.fertility()), json!(sums.unknown)]);
        cells
    };
    grid.rows = groups.iter().map(|(name, sums)| row(name, sums)).collect();
    if args.by.is_some() {
        grid.rows.push(row("all", &total));
    }
    emit(&style().grid(&grid, None), ExitCode::SUCCESS)
}
