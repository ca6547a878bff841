//! `gristmill stage KIND`: one stage alone over files of rows or pages; fields that it does not read pass through.
//!
//! The stage runs in the engine like in any build, in a folder of its own beside the output that is removed at the end. One that
//! must see all rows first runs there without a cache, and gives the same.

mod dropped;
mod input;
mod place;

use super::build::Works;
use super::funnel;
use super::output::style;
use super::wrong::Trouble;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use dropped::{Dropped, Shape};
use input::Input;
use pipeline::dag::{self, Dag, Kinds};
use pipeline::engine::Report;
use pipeline::recipe::{Block, Entry, Recipe, Word};
use place::{Place, STANDARD};
use schemas::{Made, Settings, Sink, Spec, StageError, Value, Verdict, column, near::closest};
use stages::sink::{jsonl::JsonLinesSink, parquet::ParquetSink};
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
    /// Rows to read: JSON lines (also .gz, .zst) with a field `text`, or `html` for `extract.html` and `filter.rights`; Parquet; pages (.html); or web
    /// archives (.warc, .wet, .arc). Files of one kind, folders of them and patterns; `-` reads JSON lines from standard input.
    #[arg(long = "in", value_name = "PATH", required = true, num_args = 1..)]
    inputs: Vec<PathBuf>,
    /// Field or column of the text, where it is not `text`; JSON lines are written with it, Parquet has `text`.
    #[arg(long, value_name = "NAME", value_parser = field)]
    text_field: Option<String>,
    /// Field of the page in JSON lines, where it is not `html`.
    #[arg(long, value_name = "NAME", value_parser = field)]
    html_field: Option<String>,
    /// Rows to write: JSON lines (also .gz, .zst), or Parquet when the name ends so, with the `id` of the lines as `record_id` and fields that are no
    /// columns as JSON in `metadata`; `-` writes JSON lines to standard output, and the counts to standard error. Appears only when complete.
    #[arg(long)]
    out: PathBuf,
    /// Fields to write, `id,url`, in place of all, kept rows and dropped ones; of Parquet its columns.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", value_parser = field)]
    fields: Vec<String>,
    /// Where the dropped rows go as JSON lines (also .gz, .zst), each with the fields of kept rows and its reason; without the pages of Parquet. Written
    /// too where no row can be read.
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
        self.out == Path::new(STANDARD)
    }

    /// The files that are written, with their flags.
    fn written(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let out = (!self.writes_rows_out()).then_some(("--out", &self.out));
        out.into_iter().chain(self.dropped.as_ref().map(|path| ("--dropped", path)))
    }
}

/// Names of the nodes; the stage has the name of its kind.
const INPUT: &str = "in";
const OUTPUT: &str = "out";

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    match ran(args, kinds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => trouble.tell(),
    }
}

fn ran(args: &Args, kinds: &Kinds) -> Result<(), Trouble> {
    let pairs = check(args, kinds.all)?;
    let is_standard = matches!(args.inputs.as_slice(), [path] if path == Path::new(STANDARD));
    // What is wrong is told before anything is made.
    let prepared = match is_standard {
        true => None,
        false => Some(prepare(args, kinds, pairs.clone(), Input::of(&args.inputs).map_err(Trouble::Use)?)?),
    };
    let place = Place::make(&args.out, args.dropped.as_deref())?;
    let result = place.watch().map_err(Trouble::from).and_then(|()| {
        let prepared = match prepared {
            Some(prepared) => prepared,
            None => {
                let spooled = Input::spool(&place.folder)?;
                prepare(args, kinds, pairs, Input::of(&[spooled]).map_err(Trouble::Use)?)?
            }
        };
        work(args, prepared, &place)
    });
    let swept = place.sweep();
    // The error of the work says more than one of the broom.
    result.and(swept.map_err(Trouble::from))
}

/// What is read, and what is done with it.
struct Prepared {
    input: Input,
    dag: Dag,
}

fn prepare(args: &Args, kinds: &Kinds, pairs: Pairs, input: Input) -> Result<Prepared, Trouble> {
    fits(args, &input)?;
    let told = |mistakes: pipeline::recipe::Mistakes| {
        all_of(mistakes.list.iter().map(|m| format!("{}; {}", m.message, m.help)))
    };
    let columns = columns_read(args, kinds.all, &pairs, &input);
    let dag = dag::compile(&recipe(args, &input, &columns, pairs), kinds).map_err(told)?;
    let output = dag.nodes.iter().find(|node| node.name == OUTPUT).expect("the recipe has an output");
    let checked = sink(args, &args.out).check(&output.input);
    checked.map_err(|error| Trouble::Use(format!("`--fields`: {error}")))?;
    for field in replaced_fields(args, &input, &dag) {
        eprintln!("warning: `{}` writes over the field `{field}` of the lines", args.kind);
    }
    Ok(Prepared { input, dag })
}

/// Fields of the lines that the stage reads as columns: those that a stage before it may have added.
fn columns_read(args: &Args, all: &[Spec], pairs: &Pairs, input: &Input) -> Vec<String> {
    let made = all.iter().find(|spec| spec.kind == args.kind);
    let made = made.and_then(|spec| (spec.build)(&Settings::new(pairs.clone())).ok());
    let mut columns = Vec::new();
    loop {
        let field = |name: &String| Field::new(name, DataType::Utf8, true);
        let schema = column::with(&column::page_schema(), columns.iter().map(field));
        let read = match &made {
            Some(Made::Stage(stage)) => stage.output(&schema),
            Some(Made::Global(global)) => global.output(&schema),
            _ => return columns,
        };
        match read {
            Err(StageError::ColumnMissing { column, .. }) if input.peek.has_text(column) => {
                columns.push(column.to_owned())
            }
            _ => return columns,
        }
    }
}

/// Writes the kept rows to a file.
fn sink(args: &Args, path: &Path) -> Box<dyn Sink> {
    let (text_field, fields) = (args.text_field(), &args.fields);
    match is_parquet(&args.out) {
        true => Box::new(ParquetSink::single_file(path).with_text_field(text_field).with_columns(fields)),
        false => Box::new(JsonLinesSink::single_file(path).with_text_field(text_field).with_fields(fields)),
    }
}

/// Fields of the first lines whose names are those of columns that the stage adds.
fn replaced_fields(args: &Args, input: &Input, dag: &Dag) -> Vec<String> {
    let Some(node) = dag.nodes.iter().find(|node| node.name == args.kind) else { return Vec::new() };
    let added = node.output.fields().iter().filter(|field| node.input.field_with_name(field.name()).is_err());
    added.map(|field| field.name().clone()).filter(|name| input.peek.has(name)).collect()
}

fn is_parquet(path: &Path) -> bool {
    ends_with(path, ".parquet")
}

fn field(name: &str) -> Result<String, String> {
    let name = name.trim();
    if name.is_empty() { Err("a field has a name".to_owned()) } else { Ok(name.to_owned()) }
}

type Pairs = Vec<(String, Value)>;

fn check(args: &Args, all: &[Spec]) -> Result<Pairs, Trouble> {
    let Some(spec) = all.iter().find(|s| s.kind == args.kind) else {
        let near = closest(&args.kind, all.iter().map(|s| s.kind));
        let help = near.map_or("see `gristmill stages`".into(), |n| format!("did you mean `{n}`?"));
        return Err(Trouble::Use(format!("no stage is called `{}`; {help}", args.kind)));
    };
    let no_judge = || Trouble::Use(format!("`{}` does not judge documents; use it in a recipe", args.kind));
    if ["source.", "sink.", "pack."].iter().any(|role| spec.kind.starts_with(role)) {
        return Err(no_judge());
    }
    outputs(args).map_err(Trouble::Use)?;
    let pairs: Result<Pairs, String> = args.settings.iter().map(|s| setting(s)).collect();
    let pairs = pairs.map_err(Trouble::Use)?;
    match (spec.build)(&Settings::new(pairs.clone())) {
        Ok(Made::Stage(_) | Made::Global(_)) => Ok(pairs),
        Ok(_) => Err(no_judge()),
        Err(errors) => Err(all_of(errors.iter().map(ToString::to_string))),
    }
}

/// All mistakes, each on a line of its own.
fn all_of(mistakes: impl Iterator<Item = String>) -> Trouble {
    Trouble::Use(mistakes.collect::<Vec<_>>().join("\nerror: "))
}

/// Ends of names of files that are not written, and would be taken for what they are not.
const FOREIGN: [&str; 10] =
    [".csv", ".tsv", ".bz2", ".xz", ".zip", ".arrow", ".feather", ".parquet.gz", ".parquet.zst", ".html"];

fn ends_with(path: &Path, ending: &str) -> bool {
    path.to_string_lossy().to_ascii_lowercase().ends_with(ending)
}

/// Refuses outputs that cannot be written.
fn outputs(args: &Args) -> Result<(), String> {
    let is_no_lines_file = |path: &&PathBuf| is_parquet(path) || **path == Path::new(STANDARD);
    if let Some(path) = args.dropped.as_ref().filter(is_no_lines_file) {
        let path = path.display();
        return Err(format!(
            "`--dropped` writes JSON lines, which {path} is no file of; name one such as gone.jsonl.gz"
        ));
    }
    for (flag, path) in args.written() {
        // A complete file takes the place of what is there: that must be a file.
        if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
            let or = if flag == "--out" { ", or `-` for standard output" } else { "" };
            return Err(format!("{flag}: {} is there and is no file; name a file{or}", path.display()));
        }
        if let Some(ending) = FOREIGN.iter().find(|ending| ends_with(path, ending)) {
            return Err(format!(
                "{flag}: {} would be no file of its name; names end in .jsonl, .jsonl.gz, .jsonl.zst or .parquet, not in {ending}",
                path.display()
            ));
        }
    }
    let written = |path: &Path| std::path::absolute(path).ok();
    if args.dropped.as_ref().is_some_and(|dropped| written(dropped) == written(&args.out)) {
        return Err("`--dropped` and `--out` are one file; name two".into());
    }
    Ok(())
}

/// Refuses an input that the flags do not fit to.
fn fits(args: &Args, input: &Input) -> Result<(), Trouble> {
    for (flag, path) in args.written() {
        if input.reads(path) {
            return Err(Trouble::Use(format!("`{flag}` is a file that `--in` reads; name another one")));
        }
        if input.finds_unfinished(path) {
            let message =
                format!("`{flag}` lies where `--in` looks for files of any name; name another folder");
            return Err(Trouble::Use(message));
        }
    }
    let is_named =
        [args.text_field.is_some() && !input.has_text(), args.html_field.is_some() && !input.is_lines()];
    if let Some(at) = is_named.iter().position(|is| *is) {
        let (flag, of) = [("--text-field", "JSON lines and Parquet"), ("--html-field", "JSON lines")][at];
        return Err(Trouble::Use(format!("`{flag}` is for {of}, and `--in` is read by `{}`", input.source)));
    }
    // The stage would leave every line as it is.
    if args.kind.starts_with("extract.")
        && args.html_field.is_none()
        && let Some(lacking) = input.peek.lacks(column::HTML)
    {
        let message = format!("`{}` reads pages, and {lacking}; `--html-field` names another", args.kind);
        return Err(Trouble::Use(message));
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
fn recipe(args: &Args, input: &Input, columns: &[String], pairs: Pairs) -> Recipe {
    let mut source = input.settings(&args.kind, args.text_field.as_deref(), args.html_field.as_deref());
    if !columns.is_empty() {
        source.push(("columns".into(), Value::from(columns.to_vec())));
    }
    let out = if is_parquet(&args.out) { "sink.parquet" } else { "sink.jsonl" };
    let stages = vec![block(&args.kind, &args.kind, pairs), block(OUTPUT, out, Vec::new())];
    Recipe::of_blocks(Path::new("stage"), &args.kind, vec![block(INPUT, input.source, source)], stages)
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

fn work(args: &Args, prepared: Prepared, place: &Place) -> Result<(), Trouble> {
    let Prepared { input, mut dag } = prepared;
    let output = dag.nodes.iter_mut().find(|node| node.name == OUTPUT).expect("the recipe has an output");
    output.made = Made::Sink(sink(args, &place.rows));
    let memory_mib = (input.bytes()? >> 20) / INPUT_FOR_MEMORY;
    let memory_mib = memory_mib.clamp(MEMORY_MIB[0], MEMORY_MIB[1]) as usize;
    let workdir = Some(place.work.clone());
    let works = Works { workdir, threads: args.threads, memory_mib, ..Works::default() };
    let report = run_in(args, &dag, &works, place).map_err(|error| Trouble::Work(error.to_string()))?;
    if let Some(lost) = all_unreadable(&report) {
        return Err(Trouble::Work(lost));
    }
    place.publish()?;
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

/// That no row could be read, and why: what `--out` had before is worth more than nothing.
fn all_unreadable(report: &Report) -> Option<String> {
    let source = report.nodes.iter().find(|node| node.name == INPUT)?;
    source.counts.has_lost_all().then(|| {
        format!("no row of `--in` can be read ({}); `--out` is not written", funnel::reasons(source))
    })
}

fn run_in(args: &Args, dag: &Dag, works: &Works, place: &Place) -> Result<Report, Failure> {
    let options = works.options(&dag.name, Path::new("."));
    let kept = dag.nodes.iter().find(|node| node.name == OUTPUT).expect("the recipe has an output");
    let stage = dag.nodes.iter().find(|node| node.name == args.kind).expect("the recipe has the stage");
    let shape = || Shape::of_kept(&stage.input, &kept.input, &args.fields, &args.out, args.text_field());
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
                dropped.take_all(&place.work.join("dataset").join("dropped"))?;
            }
            report
        }
    };
    dropped.map_or(Ok(()), Dropped::finish)?;
    Ok(report)
}
