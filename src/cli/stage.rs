//! `gristmill stage KIND`: one stage alone over JSON lines with a `text` field; other fields pass through.

use schemas::{Made, Settings, Spec, Stage, Value, Verdict, column, config::closest};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Rows judged together.
const BATCH_ROWS: usize = 1024;
/// Longest line that is read; a longer one is dropped as `line_too_long`.
const LINE_BYTES_MAX: u64 = 64 << 20;

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill stage filter.length --in a.jsonl --out kept.jsonl --set words_min=3"
)]
pub(crate) struct Args {
    /// Name of the stage, as `gristmill stages` lists it.
    kind: String,
    /// JSON lines to read.
    #[arg(long = "in")]
    input: PathBuf,
    /// JSON lines to write; appears only when complete.
    #[arg(long)]
    out: PathBuf,
    /// Where the dropped rows go, each with its reason.
    #[arg(long)]
    dropped: Option<PathBuf>,
    /// A setting of the stage, `key=value`.
    #[arg(long = "set")]
    settings: Vec<String>,
}

pub(crate) fn run(args: &Args, all: &[Spec]) -> ExitCode {
    let stage = match build(args, all) {
        Ok(stage) => stage,
        Err(mistakes) => {
            mistakes.iter().for_each(|m| eprintln!("error: {m}"));
            return ExitCode::from(2);
        }
    };
    match work(args, stage.as_ref()) {
        Ok(counts) => {
            counts.iter().for_each(|(name, rows)| println!("{name} {rows}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build(args: &Args, all: &[Spec]) -> Result<Box<dyn Stage>, Vec<String>> {
    let Some(spec) = all.iter().find(|s| s.kind == args.kind) else {
        let near = closest(&args.kind, all.iter().map(|s| s.kind));
        let help = near.map_or("see `gristmill stages`".into(), |n| format!("did you mean `{n}`?"));
        return Err(vec![format!("no stage is called `{}`; {help}", args.kind)]);
    };
    let pairs: Result<Vec<_>, String> = args.settings.iter().map(|s| setting(s)).collect();
    match (spec.build)(&Settings::new(pairs.map_err(|e| vec![e])?)) {
        Ok(Made::Stage(stage)) => Ok(stage),
        Ok(_) => Err(vec![format!("`{}` does not judge one row at a time", args.kind)]),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}

/// A value is read as JSON where it is JSON, else as a bare string.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not key=value"))?;
    let read = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((key.to_owned(), read))
}

type Failure = Box<dyn std::error::Error>;

fn at(path: &Path, error: &io::Error) -> Failure {
    format!("{}: {error}", path.display()).into()
}

/// Writes beside `path` and renames at the end, so that a half-written file is never seen under its name.
struct Writer {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    fn create(path: &Path) -> Result<Self, Failure> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = BufWriter::new(File::create(&part).map_err(|e| at(&part, &e))?);
        Ok(Self { path: path.to_owned(), part, file })
    }

    fn line(&mut self, row: &Json) -> Result<(), Failure> {
        writeln!(self.file, "{row}").map_err(|e| at(&self.part, &e))
    }

    fn commit(mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|e| at(&self.part, &e))?;
        std::fs::rename(&self.part, &self.path).map_err(|e| at(&self.path, &e))
    }
}

struct Sorter<'a> {
    stage: &'a dyn Stage,
    kept: Writer,
    dropped: Option<Writer>,
    counts: BTreeMap<String, u64>,
}

fn work(args: &Args, stage: &dyn Stage) -> Result<BTreeMap<String, u64>, Failure> {
    let mut reader = BufReader::new(File::open(&args.input).map_err(|e| at(&args.input, &e))?);
    let kept = Writer::create(&args.out)?;
    let dropped = args.dropped.as_deref().map(Writer::create).transpose()?;
    let mut sorter = Sorter { stage, kept, dropped, counts: BTreeMap::new() };
    let mut rows = Vec::with_capacity(BATCH_ROWS);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = reader
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(|e| at(&args.input, &e))?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            reader.skip_until(b'\n').map_err(|e| at(&args.input, &e))?;
            sorter.reject(number, "line_too_long", LINE_BYTES_MAX as f64)?;
            continue;
        }
        match serde_json::from_slice::<Map<String, Json>>(&line) {
            Ok(row) if row.get(column::TEXT).is_some_and(Json::is_string) => rows.push(row),
            Ok(_) => sorter.reject(number, "no_text_field", 0.0)?,
            Err(_) => sorter.reject(number, "bad_json", 0.0)?,
        }
        if rows.len() == BATCH_ROWS {
            sorter.batch(&mut rows)?;
        }
    }
    sorter.batch(&mut rows)?;
    sorter.kept.commit()?;
    sorter.dropped.map_or(Ok(()), Writer::commit)?;
    Ok(sorter.counts)
}

impl Sorter<'_> {
    fn count(&mut self, name: &str) {
        *self.counts.entry(name.to_owned()).or_default() += 1;
    }

    fn reject(&mut self, line: u64, reason: &str, limit: f64) -> Result<(), Failure> {
        self.count("in");
        self.drop_row(json!({ "line": line, "reason": reason, "limit": limit }), reason)
    }

    fn drop_row(&mut self, row: Json, reason: &str) -> Result<(), Failure> {
        self.count(&format!("dropped {reason}"));
        self.dropped.as_mut().map_or(Ok(()), |w| w.line(&row))
    }

    fn batch(&mut self, rows: &mut Vec<Map<String, Json>>) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let texts =
            arrow::array::StringArray::from_iter_values(rows.iter().filter_map(|r| r[column::TEXT].as_str()));
        let text: arrow::array::ArrayRef = Arc::new(texts);
        let batch = arrow::array::RecordBatch::try_from_iter([(column::TEXT, text)])?;
        let outcome = self.stage.apply(&batch)?;
        let kept = outcome.select(&batch, &self.stage.output(&batch.schema())?)?;
        let mut texts = column::utf8(&kept, column::TEXT)?.iter();
        for (mut row, verdict) in rows.drain(..).zip(outcome.verdicts) {
            self.count("in");
            if let Verdict::Dropped { reason, value, limit, .. } = verdict {
                row.extend([
                    ("reason".into(), json!(reason)),
                    ("value".into(), json!(value)),
                    ("limit".into(), json!(limit)),
                ]);
                self.drop_row(Json::Object(row), reason)?;
                continue;
            }
            self.count(if verdict == Verdict::Edited { "edited" } else { "kept" });
            row.insert(column::TEXT.into(), json!(texts.next().flatten()));
            self.kept.line(&Json::Object(row))?;
        }
        Ok(())
    }
}
