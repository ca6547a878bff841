//! `gristmill stage KIND`: one stage alone over JSON lines or Parquet; fields that it does not read pass through.
//!
//! The stage runs in the engine like in any build, in a folder of its own beside the output that is removed at the end. One that
//! must see all rows first runs there without a cache, and gives the same.

use super::build::Works;
use super::output::style;
use super::{cells, funnel, wrong};
use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pipeline::dag::{self, Kinds};
use pipeline::engine::Report;
use pipeline::recipe::{Block, Entry, Recipe, Word};
use schemas::{Made, Settings, Sink, Spec, StageError, Value, Verdict, column, near::closest};
use serde_json::{Map, Value as Json};
use stages::sink::{jsonl::JsonLinesSink, object, parquet::ParquetSink};
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill stage filter.length --in a.jsonl.gz --out kept.jsonl --dropped dropped.jsonl --set words_min=3"
)]
pub(crate) struct Args {
    /// Name of the stage, as `gristmill stages` lists it.
    kind: String,
    /// Rows to read: JSON lines (also .gz, .zst) with a field `text`, or `html` for `extract.html` and `filter.rights`; or Parquet.
    #[arg(long = "in")]
    input: PathBuf,
    /// Rows to write: JSON lines (also .gz, .zst), or Parquet when the name ends so, with the `id` of the lines as `record_id` and fields that are no
    /// columns as JSON in `metadata`. Appears only when complete.
    #[arg(long)]
    out: PathBuf,
    /// Fields to write, `id,url`, in place of all, kept rows and dropped ones; of Parquet its columns.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", value_parser = field)]
    fields: Vec<String>,
    /// Where the dropped rows go as JSON lines, each with its reason.
    #[arg(long)]
    dropped: Option<PathBuf>,
    /// Folder for the files that a stage makes beside rows: a trained tokenizer.json, the index of `dedup.minhash`, a report.
    #[arg(long)]
    files: Option<PathBuf>,
    /// A setting of the stage, `key=value`.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// The counts as JSON.
    #[arg(long)]
    json: bool,
}

/// Names of the nodes; the stage has the name of its kind.
const INPUT: &str = "in";
const OUTPUT: &str = "out";

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    let pairs = match check(args, kinds.all) {
        Ok(pairs) => pairs,
        Err(mistakes) => {
            mistakes.iter().for_each(|m| eprintln!("error: {m}"));
            return ExitCode::from(2);
        }
    };
    let mut dag = match dag::compile(&recipe(args, pairs), kinds) {
        Ok(dag) => dag,
        Err(mistakes) => {
            mistakes.list.iter().for_each(|m| eprintln!("error: {}; {}", m.message, m.help));
            return ExitCode::from(2);
        }
    };
    // A file that cannot be read is told when it is read.
    if is_parquet(&args.input) && has_row(&args.input).unwrap_or_default() {
        let path = args.input.display();
        eprintln!(
            "warning: {path}: a column `row` is not read: it is the name of the object that JSON lines come from"
        );
    }
    for node in dag.nodes.iter_mut().filter(|node| node.name == OUTPUT) {
        let sink: Box<dyn Sink> = match is_parquet(&args.out) {
            true => Box::new(ParquetSink::single_file(&args.out).with_columns(&args.fields)),
            false => Box::new(JsonLinesSink::single_file(&args.out).with_fields(&args.fields)),
        };
        if let Err(error) = sink.check(&node.input) {
            eprintln!("error: `--fields`: {error}");
            return ExitCode::from(2);
        }
        node.made = Made::Sink(sink);
    }
    let result = work(args, &dag);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => wrong::failed(error),
    }
}

/// Whether a Parquet file has the column that its source does not give.
fn has_row(path: &Path) -> Result<bool, Failure> {
    let file = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    Ok(file.schema().field_with_name(column::ROW).is_ok())
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "parquet")
}

fn field(name: &str) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() { Err("a field has a name".to_owned()) } else { Ok(name.to_owned()) }
}

type Pairs = Vec<(String, Value)>;

fn check(args: &Args, all: &[Spec]) -> Result<Pairs, Vec<String>> {
    let Some(spec) = all.iter().find(|s| s.kind == args.kind) else {
        let near = closest(&args.kind, all.iter().map(|s| s.kind));
        let help = near.map_or("see `gristmill stages`".into(), |n| format!("did you mean `{n}`?"));
        return Err(vec![format!("no stage is called `{}`; {help}", args.kind)]);
    };
    let judges = |kind: &str| !["source.", "sink.", "pack."].iter().any(|role| kind.starts_with(role));
    if !judges(spec.kind) {
        return Err(vec![format!("`{}` does not judge documents; use it in a recipe", args.kind)]);
    }
    if let Err(error) = fs::metadata(&args.input) {
        return Err(vec![format!("cannot read {}: {error}", args.input.display())]);
    }
    let place = |path: &Path| path.canonicalize().ok();
    for (flag, path) in [("--out", Some(&args.out)), ("--dropped", args.dropped.as_ref())] {
        // A complete file takes the place of what is there: that must be a file.
        if let Some(path) = path.filter(|path| fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()))
        {
            return Err(vec![format!("{flag}: {} is there and is no file; name a file", path.display())]);
        }
        if path.is_some_and(|path| place(path).is_some() && place(path) == place(&args.input)) {
            return Err(vec![format!("`{flag}` is the file that `--in` reads; name another one")]);
        }
    }
    let written = |path: &Path| std::path::absolute(path).ok();
    if args.dropped.as_ref().is_some_and(|dropped| written(dropped) == written(&args.out)) {
        return Err(vec!["`--dropped` and `--out` are one file; name two".into()]);
    }
    let pairs: Result<Pairs, String> = args.settings.iter().map(|s| setting(s)).collect();
    let pairs = pairs.map_err(|e| vec![e])?;
    match (spec.build)(&Settings::new(pairs.clone())) {
        Ok(Made::Stage(_) | Made::Global(_)) => Ok(pairs),
        Ok(_) => Err(vec![format!("`{}` does not judge documents; use it in a recipe", args.kind)]),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

/// A value is read as JSON where it is JSON, else as a bare string.
pub(super) fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not key=value"))?;
    let read = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((key.to_owned(), read))
}

/// The recipe of in → stage → out.
fn recipe(args: &Args, pairs: Pairs) -> Recipe {
    let input = std::path::absolute(&args.input).unwrap_or_else(|_| args.input.clone());
    let mut source =
        vec![("paths".to_owned(), Value::from(vec![Value::from(input.to_string_lossy().into_owned())]))];
    let kind = if is_parquet(&args.input) { "source.parquet" } else { "source.jsonl" };
    if kind == "source.jsonl" {
        source.push(("row".into(), Value::Boolean(true)));
        if args.kind == "tokenize.chat" {
            source.push(("text_field".into(), "".into()));
        }
        if args.kind.starts_with("extract.") || args.kind == "filter.rights" {
            source.push(("html_field".into(), column::HTML.into()));
        }
    }
    let out = if is_parquet(&args.out) { "sink.parquet" } else { "sink.jsonl" };
    let stages = vec![block(&args.kind, &args.kind, pairs), block(OUTPUT, out, Vec::new())];
    Recipe::of_blocks(Path::new("stage"), &args.kind, vec![block(INPUT, kind, source)], stages)
}

fn block(name: &str, kind: &str, pairs: Pairs) -> Block {
    let word = |text: &str| Word { text: text.to_owned(), span: 0..0 };
    let keys = pairs.into_iter().map(|(name, value)| Entry {
        name,
        span: 0..0,
        written: value.clone(),
        value,
        value_span: 0..0,
        items: Vec::new(),
    });
    Block {
        name: word(name),
        kind: word(kind),
        input: None,
        surprise: None,
        keys: keys.collect(),
        span: 0..0,
    }
}

type Failure = Box<dyn std::error::Error>;

/// Input bytes for each byte of memory that is lent for sorting, and the least and the most of it in MiB.
const INPUT_FOR_MEMORY: u64 = 8;
const MEMORY_MIB: [u64; 2] = [48, 1024];

fn work(args: &Args, dag: &dag::Dag) -> Result<(), Failure> {
    let mut name = args.out.file_name().ok_or("`--out` names no file")?.to_owned();
    name.push(format!(".{}.work", std::process::id()));
    let folder = args.out.with_file_name(name);
    let input_mib = fs::metadata(&args.input)?.len() >> 20;
    let memory_mib = (input_mib / INPUT_FOR_MEMORY).clamp(MEMORY_MIB[0], MEMORY_MIB[1]) as usize;
    let works =
        Works { workdir: Some(folder.clone()), threads: args.threads, memory_mib, ..Works::default() };
    let result = run_in(args, dag, &works, &folder);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    if let (Err(_), Some(dropped)) = (&result, &args.dropped) {
        // The error says more than that a file which may not be there cannot be removed.
        drop(fs::remove_file(part(dropped)));
    }
    let report = result?;
    funnel::warn(&report, None, works.progress);
    if args.json {
        println!("{}", serde_json::to_string(&report.nodes)?);
    } else {
        println!("{}", funnel::table(&report, style().width));
    }
    Ok(())
}

fn run_in(args: &Args, dag: &dag::Dag, works: &Works, folder: &Path) -> Result<Report, Failure> {
    let options = works.options(&dag.name, Path::new("."));
    // The fields of a Parquet file are its columns, whatever the lines hold.
    let columns = (is_parquet(&args.out) && !args.fields.is_empty())
        .then(|| ParquetSink::single_file(&args.out).with_columns(&args.fields));
    let create = |path| Dropped::create(path, &args.fields, columns);
    let mut dropped = args.dropped.as_deref().map(create).transpose()?;
    let mut told = |node: &str, batch: &RecordBatch, verdicts: &[Verdict]| match &mut dropped {
        Some(dropped) => {
            dropped.take(node, batch, verdicts).map_err(|error| (dropped.path.to_owned(), error))
        }
        None => Ok(()),
    };
    let report = match works.direct(dag, &options, &mut told, args.files.as_deref())? {
        Some(report) => report,
        None => {
            let report = works.run(dag, &options)?;
            if let Some(dropped) = &mut dropped {
                dropped.take_all(&folder.join("dataset").join("dropped"))?;
            }
            report
        }
    };
    dropped.map_or(Ok(()), Dropped::finish)?;
    Ok(report)
}

/// A file until it is complete.
fn part(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// The field that tells why a row is out.
const DROPPED: &str = "dropped";

/// Writes dropped rows as JSON lines: the row as it was read, and under [`DROPPED`] why it is out.
struct Dropped<'a> {
    out: BufWriter<File>,
    part: PathBuf,
    path: &'a Path,
    /// The fields that are written; empty for all.
    fields: &'a [String],
    /// The sink of the kept rows where the fields are its columns, and not those of the lines that rows were read from.
    columns: Option<ParquetSink>,
}

impl<'a> Dropped<'a> {
    fn create(path: &'a Path, fields: &'a [String], columns: Option<ParquetSink>) -> std::io::Result<Self> {
        let part = part(path);
        let file = File::create(&part);
        let file = file.map_err(|error| {
            std::io::Error::new(error.kind(), format!("--dropped: {}: {error}", path.display()))
        })?;
        Ok(Self { out: BufWriter::new(file), part, path, fields, columns })
    }

    /// Writes the dropped rows of a batch.
    fn take(&mut self, node: &str, batch: &RecordBatch, verdicts: &[Verdict]) -> std::io::Result<()> {
        let batch = self.told(batch).map_err(std::io::Error::other)?;
        for (row, verdict) in verdicts.iter().enumerate() {
            let Verdict::Dropped { reason, value, limit, twin } = verdict else { continue };
            let twin = twin.map(|twin| twin.to_string());
            let why = [
                ("stage", Json::from(node)),
                ("reason", Json::from(*reason)),
                ("value", Json::from(*value)),
                ("limit", Json::from(*limit)),
                ("twin", Json::from(twin)),
            ];
            self.write(&batch, row, why)?;
        }
        Ok(())
    }

    /// Writes the rows of the tables of dropped rows.
    fn take_all(&mut self, folder: &Path) -> Result<(), Failure> {
        let mut files: Vec<PathBuf> = match fs::read_dir(folder) {
            Ok(entries) => entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?,
            Err(_) => Vec::new(),
        };
        files.sort();
        for file in files {
            for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?.build()? {
                let batch = self.told(&batch?)?;
                for row in 0..batch.num_rows() {
                    let why = ["stage", "reason", "value", "limit", "twin"];
                    self.write(&batch, row, why.map(|name| (name, cell(&batch, name, row))))?;
                }
            }
        }
        Ok(())
    }

    /// The batch with the columns that can be asked for.
    fn told(&self, batch: &RecordBatch) -> Result<RecordBatch, StageError> {
        self.columns.as_ref().map_or_else(|| Ok(batch.clone()), |sink| sink.told(batch))
    }

    /// Writes a row: of a line its fields as they stand there, else columns.
    fn write(&mut self, batch: &RecordBatch, row: usize, why: [(&str, Json); 5]) -> std::io::Result<()> {
        let line = cells::text(batch, column::ROW, row).filter(|_| self.columns.is_none());
        let mut fields: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        if let Some(pairs) = line.and_then(|line| object::pairs(line).ok()) {
            let asked = |name: &str| self.fields.is_empty() || self.fields.iter().any(|field| field == name);
            let pairs = pairs.into_iter().filter(|(name, _)| name != DROPPED && asked(name));
            fields.extend(pairs.map(|(name, raw)| (name, Cow::Borrowed(raw.get()))));
        } else {
            // A line that is no object has no fields: where it stands and what it is are told.
            let is_line = self.columns.is_none() && batch.column_by_name(column::ROW).is_some();
            let names = match self.fields.is_empty() || is_line {
                true => vec![column::RECORD_ID, column::URL, column::SOURCE, column::TEXT],
                false => self.fields.iter().map(String::as_str).collect(),
            };
            let cells = names.into_iter().map(|name| (name, cell(batch, name, row)));
            let cells = cells.filter(|(_, value)| !value.is_null());
            fields.extend(cells.map(|(name, value)| (name.into(), value.to_string().into())));
        }
        let why: Map<String, Json> =
            why.into_iter().filter(|(_, v)| !v.is_null()).map(|(name, v)| (name.to_owned(), v)).collect();
        fields.push((DROPPED.into(), Json::Object(why).to_string().into()));
        for (at, (name, value)) in fields.iter().enumerate() {
            write!(self.out, "{}{}:{value}", if at == 0 { '{' } else { ',' }, Json::from(&**name))?;
        }
        writeln!(self.out, "}}")
    }

    /// Gives the file its name.
    fn finish(self) -> Result<(), Failure> {
        self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&self.part, self.path)?;
        Ok(())
    }
}

fn cell(batch: &RecordBatch, name: &str, row: usize) -> Json {
    let text = cells::text(batch, name, row).map(Json::from);
    text.or_else(|| cells::number(batch, name, row).map(Json::from)).unwrap_or_default()
}
