//! `gristmill stage KIND`: one stage alone over JSON lines or Parquet; fields that it does not read pass through.
//!
//! The stage runs in the engine like in any build, in a folder of its own beside the output that is removed at the end. One that
//! must see all rows first runs there without a cache, and gives the same.

mod dropped;
mod place;

use super::build::Works;
use super::output::{emit_file, style};
use super::{funnel, wrong};
use arrow::array::RecordBatch;
use dropped::{Dropped, Shape};
use pipeline::dag::{self, Kinds};
use pipeline::engine::Report;
use pipeline::recipe::{Block, Entry, Recipe, Word};
use place::{Place, STANDARD_OUTPUT};
use schemas::{Made, Settings, Sink, Spec, Value, Verdict, column, near::closest};
use stages::sink::{jsonl::JsonLinesSink, parquet::ParquetSink};
use stages::source::jsonl::Peek;
use std::fs;
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
    /// Field or column of the text, where it is not `text`; JSON lines are written with it, Parquet has `text`.
    #[arg(long, value_name = "NAME", value_parser = field)]
    text_field: Option<String>,
    /// Rows to write: JSON lines (also .gz, .zst), or Parquet when the name ends so, with the `id` of the lines as `record_id` and fields that are no
    /// columns as JSON in `metadata`; `-` writes JSON lines to standard output, and the counts to standard error. Appears only when complete.
    #[arg(long)]
    out: PathBuf,
    /// Fields to write, `id,url`, in place of all, kept rows and dropped ones; of Parquet its columns.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", value_parser = field)]
    fields: Vec<String>,
    /// Where the dropped rows go as JSON lines (also .gz, .zst), each with the fields of kept rows and its reason; without the pages of Parquet.
    #[arg(long)]
    dropped: Option<PathBuf>,
    /// Folder for the files that a stage makes beside rows: a trained tokenizer.json, the index of `dedup.minhash`, a report.
    #[arg(long)]
    files: Option<PathBuf>,
    /// A setting of the stage, `key=value`.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Threads; 0 for one a core.
    #[arg(long, value_parser = super::threads, default_value_t = 0)]
    threads: usize,
    /// The counts as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn text_field(&self) -> &str {
        self.text_field.as_deref().unwrap_or(column::TEXT)
    }

    fn writes_rows_out(&self) -> bool {
        self.out == Path::new(STANDARD_OUTPUT)
    }
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
    let Some(place) = Place::of(&args.out, args.dropped.as_deref()) else {
        return wrong::misused("`--out` names no file");
    };
    let text_field = args.text_field();
    for node in dag.nodes.iter_mut().filter(|node| node.name == OUTPUT) {
        let sink: Box<dyn Sink> = match is_parquet(&args.out) {
            true => Box::new(
                ParquetSink::single_file(&place.out).with_text_field(text_field).with_columns(&args.fields),
            ),
            false => Box::new(
                JsonLinesSink::single_file(&place.out).with_text_field(text_field).with_fields(&args.fields),
            ),
        };
        if let Err(error) = sink.check(&node.input) {
            eprintln!("error: `--fields`: {error}");
            return ExitCode::from(2);
        }
        node.made = Made::Sink(sink);
    }
    for field in replaced_fields(args, &dag) {
        eprintln!("warning: `{}` writes over the field `{field}` of the lines", args.kind);
    }
    match work(args, &dag, &place) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => wrong::failed(error),
    }
}

/// Fields of the first lines whose names are those of columns that the stage adds. What cannot be read is told when it is read.
fn replaced_fields(args: &Args, dag: &dag::Dag) -> Vec<String> {
    if is_parquet(&args.input) {
        return Vec::new();
    }
    let input = dag.nodes.iter().find(|node| node.name == args.kind).map(|node| (&node.input, &node.output));
    let (Some((input, output)), Ok(peek)) = (input, Peek::at(&args.input)) else { return Vec::new() };
    let added = output.fields().iter().filter(|field| input.field_with_name(field.name()).is_err());
    added.map(|field| field.name().clone()).filter(|name| peek.has(name)).collect()
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
    outputs(args).map_err(|mistake| vec![mistake])?;
    let pairs: Result<Pairs, String> = args.settings.iter().map(|s| setting(s)).collect();
    let pairs = pairs.map_err(|e| vec![e])?;
    match (spec.build)(&Settings::new(pairs.clone())) {
        Ok(Made::Stage(_) | Made::Global(_)) => Ok(pairs),
        Ok(_) => Err(vec![format!("`{}` does not judge documents; use it in a recipe", args.kind)]),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

/// Refuses outputs that cannot be written.
fn outputs(args: &Args) -> Result<(), String> {
    let is_no_lines_file = |path: &&PathBuf| is_parquet(path) || **path == Path::new(STANDARD_OUTPUT);
    if let Some(path) = args.dropped.as_ref().filter(is_no_lines_file) {
        let path = path.display();
        return Err(format!(
            "`--dropped` writes JSON lines, which {path} is no file of; name one such as gone.jsonl.gz"
        ));
    }
    let place = |path: &Path| path.canonicalize().ok();
    let out = (!args.writes_rows_out()).then_some(&args.out);
    for (flag, path) in [("--out", out), ("--dropped", args.dropped.as_ref())] {
        // A complete file takes the place of what is there: that must be a file.
        if let Some(path) = path.filter(|path| fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()))
        {
            return Err(format!("{flag}: {} is there and is no file; name a file", path.display()));
        }
        if path.is_some_and(|path| place(path).is_some() && place(path) == place(&args.input)) {
            return Err(format!("`{flag}` is the file that `--in` reads; name another one"));
        }
    }
    let written = |path: &Path| std::path::absolute(path).ok();
    if args.dropped.as_ref().is_some_and(|dropped| written(dropped) == written(&args.out)) {
        return Err("`--dropped` and `--out` are one file; name two".into());
    }
    Ok(())
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
    if let Some(name) = &args.text_field {
        let key = if kind == "source.jsonl" { "text_field" } else { "text_column" };
        source.push((key.into(), name.as_str().into()));
    }
    if kind == "source.jsonl" {
        source.push(("row".into(), Value::Boolean(true)));
        if args.kind == "tokenize.chat" && args.text_field.is_none() {
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

fn work(args: &Args, dag: &dag::Dag, place: &Place) -> Result<(), Failure> {
    let input_mib = fs::metadata(&args.input)?.len() >> 20;
    let memory_mib = (input_mib / INPUT_FOR_MEMORY).clamp(MEMORY_MIB[0], MEMORY_MIB[1]) as usize;
    let workdir = Some(place.folder.clone());
    let works = Works { workdir, threads: args.threads, memory_mib, ..Works::default() };
    place.watch()?;
    let result = run_in(args, dag, &works, place);
    let swept = place.sweep();
    // The error of the work says more than one of the broom.
    let report = result?;
    swept?;
    funnel::warn(&report, None, works.progress);
    let told = match args.json {
        true => serde_json::to_string(&report.nodes)?,
        false => funnel::table(&report, style().width),
    };
    if args.writes_rows_out() {
        eprintln!("{told}");
    } else {
        println!("{told}");
    }
    Ok(())
}

fn run_in(args: &Args, dag: &dag::Dag, works: &Works, place: &Place) -> Result<Report, Failure> {
    let options = works.options(&dag.name, Path::new("."));
    let kept = dag.nodes.iter().find(|node| node.name == OUTPUT).expect("the recipe has an output");
    let shape = || Shape::of_kept(&kept.input, &args.fields, &args.out, args.text_field());
    let create = |path| Dropped::create(path, shape());
    let mut dropped = args.dropped.as_deref().map(create).transpose()?;
    let mut told = |node: &str, batch: &RecordBatch, verdicts: &[Verdict]| {
        dropped.as_mut().map_or(Ok(()), |dropped| dropped.take(node, batch, verdicts))
    };
    let report = match works.direct(dag, &options, &mut told, args.files.as_deref())? {
        Some(report) => report,
        None => {
            let report = works.run(dag, &options)?;
            if let Some(dropped) = &mut dropped {
                dropped.take_all(&place.folder.join("dataset").join("dropped"))?;
            }
            report
        }
    };
    if args.writes_rows_out() {
        emit_file(&place.out)?;
    }
    dropped.map_or(Ok(()), Dropped::finish)?;
    Ok(report)
}
