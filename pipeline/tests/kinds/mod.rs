//! Kinds for tests of the engine: lines of text files, two rewrites, a filter, a deduplication, a packing, a sink.

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use schemas::{
    Build, Config as _, Context, DocId, FilePath, FilePaths, Filter, FilterStage, Global, House, Intake,
    Intakes, Judge, Judgement, Made, Note, Notes, Outcome, Push, Reason, Record, Records, Regroup, Rewrite,
    RewriteStage, Settled, Sink, Sorted, Source, SourceError, Spec, Split, Stage, StageError, Stamp, Verdict,
    Writer, Written, column, config,
};
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const fn spec(
    kind: &'static str,
    keys: &'static [schemas::Key],
    reasons: &'static [Reason],
    build: Build,
) -> Spec {
    Spec { kind, version: 1, summary: "", keys, reasons, build }
}

pub(crate) const ALL: &[Spec] = &[
    spec("source.lines", Lines::KEYS, &[], |s| Ok(Made::Source(Box::new(s.parse::<Lines>()?)))),
    spec("clean.upper", &[], &[], |_| Ok(Made::Stage(Box::new(RewriteStage(Upper))))),
    spec("clean.mark", &[], &[], |_| Ok(Made::Stage(Box::new(RewriteStage(Mark))))),
    spec("filter.short", Short::KEYS, &[Reason { name: "short", doc: "" }], |s| {
        Ok(Made::Stage(Box::new(FilterStage(s.parse::<Short>()?))))
    }),
    spec("filter.listed", Listed::KEYS, &[Reason { name: "listed", doc: "" }], |s| {
        Ok(Made::Stage(Box::new(FilterStage(s.parse::<Listed>()?))))
    }),
    spec("filter.addressed", &[], &[], |_| Ok(Made::Stage(Box::new(Addressed)))),
    spec("dedup.text", &[], &[Reason { name: "duplicate", doc: "" }], |_| Ok(Made::Global(Box::new(Dedup)))),
    spec("pack.pairs", &[], &[], |_| Ok(Made::Regroup(Box::new(Pairs)))),
    spec("sink.parquet", &[], &[], |_| Ok(Made::Sink(Box::new(Parquet)))),
];

config! {
    /// Lines of text files.
    pub struct Lines {
        /// Files.
        paths: FilePaths = FilePaths(Vec::new());
    }
}

impl Source for Lines {
    fn schema(&self, _base: &Path) -> Result<SchemaRef, SourceError> {
        Ok(column::text_schema())
    }

    fn splits(&self, context: &Context<'_>) -> Result<Vec<Split>, SourceError> {
        let entries = fs::read_dir(context.base).map_err(SourceError::io(context.base))?;
        let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
        paths.retain(|p| p.extension().is_some_and(|e| e == "txt"));
        paths.sort();
        let split = |path: PathBuf| {
            let stamp = Stamp::of(&path)?;
            let bytes = fs::read(&path).map_err(SourceError::io(&path))?;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            Ok(Split {
                name,
                start: 0,
                end: bytes.len() as u64,
                content: *blake3::hash(&bytes).as_bytes(),
                path,
                stamp,
            })
        };
        paths.into_iter().map(split).collect()
    }

    fn read<'a>(&'a self, split: &'a Split) -> Result<Intakes<'a>, SourceError> {
        let text = fs::read_to_string(&split.path).map_err(SourceError::io(&split.path))?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let ids: Vec<String> =
            (0..lines.len()).map(|n| DocId::new(&split.name, &n.to_string()).to_string()).collect();
        let batches: Vec<_> =
            ids.chunks(64).zip(lines.chunks(64)).map(|(i, l)| (i.to_vec(), l.to_vec())).collect();
        Ok(Box::new(batches.into_iter().map(|(ids, lines)| {
            let rows = ids.len();
            let ids: ArrayRef = Arc::new(StringArray::from(ids));
            let none: ArrayRef = Arc::new(StringArray::new_null(rows));
            let texts: ArrayRef = Arc::new(StringArray::from(lines));
            let columns = vec![ids, none.clone(), none.clone(), none.clone(), none, texts];
            let batch = RecordBatch::try_new(column::text_schema(), columns)?;
            Ok(Intake { batch, verdicts: vec![Verdict::Kept; rows] })
        })))
    }
}

struct Upper;
impl Rewrite for Upper {
    fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let upper = text.to_uppercase();
        if upper == text { Cow::Borrowed(text) } else { Cow::Owned(upper) }
    }
}

struct Mark;
impl Rewrite for Mark {
    fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.ends_with('!') { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}!")) }
    }
}

config! {
    /// Limit.
    pub struct Short {
        /// Fewest words.
        words_min: u64 = 3, in 0..=100;
    }
}

impl Filter for Short {
    const SIGNALS: &'static [&'static str] = &["words"];
    fn judge(&self, text: &str) -> Judgement {
        let words = text.split_whitespace().count() as f64;
        let limit = self.words_min as f64;
        let dropped = Verdict::Dropped { reason: "short", value: words, limit, twin: None };
        Judgement { verdict: if words < limit { dropped } else { Verdict::Kept }, signals: vec![words] }
    }
}

config! {
    /// A word list, and a secret.
    pub struct Listed {
        /// Words.
        words: FilePath = FilePath::default();
        /// Secret.
        token: String = String::new();
    }
}

impl Filter for Listed {
    const SIGNALS: &'static [&'static str] = &[];
    fn judge(&self, _text: &str) -> Judgement {
        Judgement { verdict: Verdict::Kept, signals: Vec::new() }
    }
}

/// Keeps everything, and reads the URL.
struct Addressed;
impl Stage for Addressed {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::URL, &DataType::Utf8).map(|()| input.clone())
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        Ok(Outcome::keep_all(batch.num_rows()))
    }
}

/// Keeps the smallest id of each text.
struct Dedup;
impl Global for Dedup {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8).map(|()| input.clone())
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let (ids, texts) = (column::utf8(batch, column::ID)?, column::utf8(batch, column::TEXT)?);
        let id = |text: &str| DocId::parse(text).unwrap().to_bytes();
        ids.iter().zip(texts).for_each(|(i, text)| out.push(text.unwrap().as_bytes(), &id(i.unwrap())));
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let mut first: Option<(Vec<u8>, Vec<u8>)> = None;
        while let Some(Record { key, value }) = sorted.next()? {
            match &first {
                Some((text, id)) if text == key => out.push(value, id)?,
                _ => first = Some((key.to_vec(), value.to_vec())),
            }
        }
        Ok(())
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        _house: &dyn House,
        notes: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        while let Some(Record { key, value }) = reduced.next()? {
            notes.note(DocId::from_bytes(key.try_into().unwrap()), value)?;
        }
        Ok(Settled::default())
    }

    fn judge(&self, _settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        Ok(Box::new(Twins))
    }
}

struct Twins;
impl Judge for Twins {
    fn judge(&self, _batch: &RecordBatch, notes: &[Option<Note>]) -> Result<Outcome, StageError> {
        let verdict = |note: &Option<Note>| match note {
            Some(note) => {
                let twin = Some(DocId::from_bytes(note.value.as_slice().try_into().unwrap()));
                Verdict::Dropped { reason: "duplicate", value: 1.0, limit: 1.0, twin }
            }
            None => Verdict::Kept,
        };
        let verdicts = notes.iter().map(verdict).collect();
        Ok(Outcome { verdicts, columns: Vec::new(), signals: Vec::new() })
    }
}

/// Writes two texts, in the order of their hash, into one row.
struct Pairs;
impl Regroup for Pairs {
    fn output(&self, _input: &SchemaRef) -> Result<SchemaRef, StageError> {
        Ok(Arc::new(Schema::new(vec![Field::new("pair", DataType::Utf8, false)])))
    }
    fn takes(&self, _input: &SchemaRef) -> Option<Vec<String>> {
        Some(vec![column::TEXT.to_owned()])
    }
    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<Outcome, StageError> {
        for text in column::utf8(batch, column::TEXT)?.iter().flatten() {
            let hash = blake3::hash(text.as_bytes());
            let mut key = vec![hash.as_bytes()[0] % 2];
            key.extend_from_slice(hash.as_bytes());
            out.push(&key, text.as_bytes());
        }
        Ok(Outcome::keep_all(batch.num_rows()))
    }
    fn folders(&self) -> Vec<&'static str> {
        vec!["train", "validation"]
    }
    fn reduce(
        &self,
        _folder: usize,
        mut parts: Vec<Box<dyn Sorted + '_>>,
        emit: &mut schemas::Emit<'_>,
    ) -> Result<(), StageError> {
        let sorted = &mut parts[0];
        let mut half: Option<String> = None;
        while let Some(record) = sorted.next()? {
            let text = String::from_utf8(record.value.to_vec()).unwrap();
            half = match half.take() {
                None => Some(text),
                Some(first) => {
                    let pair: ArrayRef = Arc::new(StringArray::from(vec![first + &text]));
                    let schema = Arc::new(Schema::new(vec![Field::new("pair", DataType::Utf8, false)]));
                    emit(RecordBatch::try_new(schema, vec![pair])?)?;
                    None
                }
            };
        }
        Ok(())
    }
}

struct Parquet;
impl Sink for Parquet {
    fn check(&self, _input: &SchemaRef) -> Result<(), StageError> {
        Ok(())
    }
    fn open(
        &self,
        folder: &Path,
        schema: &SchemaRef,
        _metadata: &[(String, String)],
    ) -> Result<Box<dyn Writer>, StageError> {
        fs::create_dir_all(folder).map_err(StageError::io(folder))?;
        let path = folder.join("part-00000.parquet");
        let file = fs::File::create(&path).map_err(StageError::io(&path))?;
        Ok(Box::new(Open {
            writer: ArrowWriter::try_new(file, schema.clone(), None).unwrap(),
            path,
            rows: 0,
        }))
    }
}

struct Open {
    writer: ArrowWriter<fs::File>,
    path: PathBuf,
    rows: u64,
}

impl Writer for Open {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), StageError> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).unwrap();
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<Vec<Written>, StageError> {
        self.writer.close().unwrap();
        Ok(vec![Written { path: self.path, rows: self.rows }])
    }
}
