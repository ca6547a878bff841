//! Writes JSON lines, plain, gzip or zstd: an object a row.
//!
//! Where the rows carry the object that they were read from (column `row`), that object is written with the fields
//! that stages changed or added; all others keep their place and their bytes, and the columns that every source adds
//! (id, url, source, record_id, fetched_at, content_type, html) are left out. Otherwise every column is a field; nulls are left out.
//! Bytes that are not UTF-8 are written as text with U+FFFD in their place.
//!
//! ```text
//! row {"id":7,"n":1.50,"text":"a "}, text "a", title "T"  →  {"id":7,"n":1.50,"text":"a","title":"T"}
//! ```

use super::json::{put, put_name, put_str};
use super::object::{last_text, pairs, says, says_text};
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::SchemaRef;
use schemas::{Build, Config as _, Made, Sink, Spec, StageError, Writer, Written, choice, column, config};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

choice! {
    /// How lines are compressed.
    pub enum Compression {
        /// Not at all: `.jsonl`.
        None = "none",
        /// `.jsonl.gz`.
        Gzip = "gzip",
        /// `.jsonl.zst`.
        Zstd = "zstd",
    }
}

config! {
    /// Settings of `sink.jsonl`.
    pub struct Config {
        /// How files are compressed.
        compression: Compression = Compression::None;
        /// Most rows in a file.
        shard_rows: u64 = 1_000_000, in 1..=1_000_000_000;
        /// Field that the column `text` is written to.
        text_field: String = "text".into();
    }
}

const BUILD: Build = |settings| Ok(Made::Sink(Box::new(JsonLinesSink::new(settings.parse()?))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "sink.jsonl",
    version: 1,
    summary: "Writes JSON lines, plain or compressed.",
    keys: Config::KEYS,
    reasons: &[],
    build: BUILD,
};

/// Columns that every source adds: no fields of the object that a row was read from.
const OF_THE_HOUSE: &[&str] = &[
    column::ID,
    column::URL,
    column::SOURCE,
    column::RECORD_ID,
    column::FETCHED_AT,
    column::CONTENT_TYPE,
    column::HTML,
    column::ROW,
];

impl Compression {
    /// That which the end of a name says (`.gz`, `.zst`).
    fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::None,
        }
    }
}

const BUFFER_BYTES: usize = 256 << 10;
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// The sink, for use without a recipe.
#[derive(Debug, Clone)]
pub struct JsonLinesSink {
    config: Config,
    single: Option<PathBuf>,
    /// Names of the fields that are written; empty writes all.
    fields: Vec<String>,
}

impl JsonLinesSink {
    /// Writes numbered files into the folder that [`Sink::open`] names.
    pub const fn new(config: Config) -> Self {
        Self { config, single: None, fields: Vec::new() }
    }

    /// Writes exactly one file, compressed as its name says (`.gz`, `.zst`), which appears when it is complete.
    /// The text goes to the field `text`; [`JsonLinesSink::with_text_field`] names another.
    pub fn single_file(path: &Path) -> Self {
        let compression = Compression::of_name(path);
        let config = Config { compression, shard_rows: u64::MAX, ..Config::default() };
        Self { config, single: Some(path.to_owned()), fields: Vec::new() }
    }

    /// Writes the text to another field.
    #[must_use]
    pub fn with_text_field(mut self, name: &str) -> Self {
        name.clone_into(&mut self.config.text_field);
        self
    }

    /// Writes these fields alone; none writes all. A field that no row has is a mistake, told when the last row is written.
    #[must_use]
    pub fn with_fields(mut self, names: &[String]) -> Self {
        self.fields = names.to_vec();
        self
    }

    /// Objects with the fields alone that are written.
    fn narrow_objects(&self, objects: &StringArray) -> Result<ArrayRef, StageError> {
        let mut narrow = StringBuilder::with_capacity(objects.len(), 0);
        let mut object = Vec::new();
        for row in objects {
            let Some(row) = row else {
                narrow.append_null();
                continue;
            };
            object.clear();
            object.push(b'{');
            for (name, raw) in pairs(row)?.iter().filter(|(name, _)| self.writes(name)) {
                put_name(name, &mut object);
                object.extend_from_slice(raw.get().as_bytes());
            }
            object.push(b'}');
            narrow.append_value(std::str::from_utf8(&object).expect("names and values were read from text"));
        }
        Ok(Arc::new(narrow.finish()))
    }

    fn writes(&self, field: &str) -> bool {
        self.fields.is_empty() || self.fields.iter().any(|name| name == field)
    }
}

impl Sink for JsonLinesSink {
    /// Which fields objects have is known when they are read.
    fn check(&self, input: &SchemaRef) -> Result<(), StageError> {
        let column =
            |field: &str| if field == self.config.text_field { column::TEXT } else { field }.to_owned();
        let is_known = |field: &&String| {
            input.field_with_name(column::ROW).is_ok() || input.field_with_name(&column(field)).is_ok()
        };
        match self.fields.iter().find(|field| !is_known(field)) {
            Some(field) => Err(super::no_column(field, input)),
            None => Ok(()),
        }
    }

    fn narrow(&self, batch: &RecordBatch, told: Option<&str>) -> Result<RecordBatch, StageError> {
        let field = self.config.text_field.as_str();
        let is_text = |name: &str| name == column::TEXT && (told == Some(field) || !self.writes(field));
        let schema = batch.schema_ref();
        let kept = (0..batch.num_columns()).filter(|at| !is_text(schema.field(*at).name()));
        let batch = batch.project(&kept.collect::<Vec<_>>())?;
        match batch.schema_ref().index_of(column::ROW) {
            Ok(at) if !self.fields.is_empty() => {
                let mut columns = batch.columns().to_vec();
                columns[at] = self.narrow_objects(column::utf8(&batch, column::ROW)?)?;
                Ok(RecordBatch::try_new(batch.schema(), columns)?)
            }
            _ => Ok(batch),
        }
    }

    fn open(
        &self,
        folder: &Path,
        _schema: &SchemaRef,
        _metadata: &[(String, String)],
    ) -> Result<Box<dyn Writer>, StageError> {
        Ok(Box::new(Files {
            sink: self.clone(),
            folder: folder.to_owned(),
            open: None,
            line: Vec::new(),
            met: vec![false; self.fields.len()],
            written: Vec::new(),
        }))
    }
}

/// A file of lines that is written, plain or compressed.
pub struct LinesFile(Encoder);

enum Encoder {
    Plain(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl LinesFile {
    /// Begins the file that will be called `path`, under the name `part`, compressed as `path` says (`.gz`, `.zst`).
    ///
    /// # Errors
    /// What the system says.
    pub fn create(part: &Path, path: &Path) -> io::Result<Self> {
        Self::new(File::create(part)?, Compression::of_name(path))
    }

    fn new(file: File, compression: Compression) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self(match compression {
            Compression::None => Encoder::Plain(file),
            Compression::Gzip => {
                Encoder::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::new(GZIP_LEVEL)))
            }
            Compression::Zstd => Encoder::Zstd(zstd::Encoder::new(file, ZSTD_LEVEL)?),
        }))
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Encoder::Plain(out) => out.write_all(bytes),
            Encoder::Gzip(out) => out.write_all(bytes),
            Encoder::Zstd(out) => out.write_all(bytes),
        }
    }

    /// Ends the file and sees it on the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(self) -> io::Result<()> {
        let file = match self.0 {
            Encoder::Plain(out) => out,
            Encoder::Gzip(out) => out.finish()?,
            Encoder::Zstd(out) => out.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

struct Open {
    path: PathBuf,
    out: LinesFile,
    rows: u64,
}

struct Files {
    sink: JsonLinesSink,
    folder: PathBuf,
    open: Option<Open>,
    line: Vec<u8>,
    /// Whether a row had each of the fields that are asked for.
    met: Vec<bool>,
    written: Vec<Written>,
}

impl Files {
    fn open_file(&mut self) -> Result<&mut Open, StageError> {
        if self.open.is_none() {
            let compression = self.sink.config.compression;
            let ending = match compression {
                Compression::None => "jsonl",
                Compression::Gzip => "jsonl.gz",
                Compression::Zstd => "jsonl.zst",
            };
            let path = match &self.sink.single {
                Some(path) => super::beside(path),
                None => super::numbered(&self.folder, self.written.len(), ending)?,
            };
            let file = File::create(&path).map_err(StageError::io(&path))?;
            let out = LinesFile::new(file, compression).map_err(StageError::io(&path))?;
            self.open = Some(Open { path, out, rows: 0 });
        }
        Ok(self.open.as_mut().expect("a file was just opened"))
    }

    fn close(&mut self) -> Result<(), StageError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        open.out.finish().map_err(StageError::io(&open.path))?;
        self.written.push(Written { path: open.path, rows: open.rows });
        Ok(())
    }
}

impl Writer for Files {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), StageError> {
        let rows_max = self.sink.config.shard_rows;
        let sink = self.sink.clone();
        let objects = Objects::new(batch, &sink)?;
        for (field, met) in sink.fields.iter().zip(&mut self.met) {
            *met |= objects.fields.iter().any(|(name, _)| name == field);
        }
        for row in 0..batch.num_rows() {
            let mut line = std::mem::take(&mut self.line);
            line.clear();
            objects.write(row, &mut line, &mut self.met)?;
            line.push(b'\n');
            let open = self.open_file()?;
            open.out.write_all(&line).map_err(StageError::io(&open.path))?;
            open.rows += 1;
            let full = open.rows >= rows_max;
            self.line = line;
            if full {
                self.close()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Written>, StageError> {
        let rows = self.open.iter().map(|open| open.rows).chain(self.written.iter().map(|file| file.rows));
        if rows.sum::<u64>() > 0
            && let Some(at) = self.met.iter().position(|met| !met)
        {
            let message = format!("no row that stays has a field `{}`", self.sink.fields[at]);
            if let Some(Open { path, out, .. }) = self.open.take() {
                drop(out);
                std::fs::remove_file(&path).map_err(StageError::io(&path))?;
            }
            return Err(StageError::Invalid(message));
        }
        if self.written.is_empty() {
            self.open_file()?;
        }
        self.close()?;
        if let Some(path) = &self.sink.single {
            super::commit(path)?;
            self.written[0].path.clone_from(path);
        }
        Ok(std::mem::take(&mut self.written))
    }
}

/// The rows of a batch as objects.
struct Objects<'a> {
    sink: &'a JsonLinesSink,
    /// Column `row`.
    bases: Option<&'a arrow::array::StringArray>,
    /// Name of the field of the text, where the objects tell it and no column does.
    text_of_base: Option<&'a str>,
    /// Name of the field and values.
    fields: Vec<(&'a str, &'a dyn Array)>,
}

impl<'a> Objects<'a> {
    fn new(batch: &'a RecordBatch, sink: &'a JsonLinesSink) -> Result<Self, StageError> {
        let text_field = sink.config.text_field.as_str();
        let has_base = batch.column_by_name(column::ROW).is_some();
        let bases = if has_base { Some(column::utf8(batch, column::ROW)?) } else { None };
        let schema = batch.schema_ref().fields();
        let fields = schema.iter().zip(batch.columns()).filter_map(|(field, values)| {
            let name = field.name().as_str();
            let skipped = name == column::ROW || (has_base && OF_THE_HOUSE.contains(&name));
            let name = if name == column::TEXT { text_field } else { name };
            (!skipped && sink.writes(name)).then_some((name, values.as_ref()))
        });
        let is_told = batch.column_by_name(column::TEXT).is_some();
        let text_of_base = Some(text_field).filter(|_| has_base && !is_told);
        Ok(Self { sink, bases, text_of_base, fields: fields.collect() })
    }

    fn write(&self, row: usize, out: &mut Vec<u8>, met: &mut [bool]) -> Result<(), StageError> {
        let base = self.bases.filter(|b| b.is_valid(row)).map(|b| b.value(row));
        let pairs = match base {
            Some(base) => pairs(base)?,
            None => Vec::new(),
        };
        let text = self.text_of_base.and_then(|name| last_text(&pairs, name));
        let mut meet = |name: &str| {
            let asked = self.sink.fields.iter().zip(&mut *met).filter(|(field, _)| *field == name);
            asked.for_each(|(_, met)| *met = true);
        };
        out.push(b'{');
        for (name, raw) in pairs.iter().filter(|(name, _)| self.sink.writes(name)) {
            meet(name);
            let field = self.fields.iter().find(|(field, _)| field == name);
            put_name(name, out);
            match (field, &text) {
                (Some((_, values)), _) if !says(raw.get(), *values, row) => put(*values, row, out)?,
                (None, Some(text)) if self.text_of_base == Some(name) && !says_text(raw.get(), text) => {
                    put_str(text, out);
                }
                _ => out.extend_from_slice(raw.get().as_bytes()),
            }
        }
        for (name, values) in &self.fields {
            if values.is_valid(row) && !pairs.iter().any(|(known, _)| known == name) {
                put_name(name, out);
                put(*values, row, out)?;
            }
        }
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::scratch;
    use crate::source::open::decompressed;
    use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
    use std::fs;
    use std::io::Read;
    use std::sync::Arc;

    fn line(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        let mut out = Vec::new();
        let sink = JsonLinesSink::new(Config::default());
        Objects::new(&batch, &sink).unwrap().write(0, &mut out, &mut []).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn text(value: Option<&str>) -> ArrayRef {
        Arc::new(StringArray::from(vec![value]))
    }

    #[test]
    fn every_column_is_a_field() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            (column::ID, text(Some("7"))),
            (column::URL, text(None)),
            (column::TEXT, text(Some("a\n\"b\" é\0"))),
            ("score", Arc::new(Float64Array::from(vec![0.5]))),
            ("nan", Arc::new(Float64Array::from(vec![f64::NAN]))),
            ("words", Arc::new(Int64Array::from(vec![-3]))),
            ("ok", Arc::new(BooleanArray::from(vec![true]))),
        ];
        assert_eq!(
            line(columns),
            r#"{"id":"7","text":"a\n\"b\" é\u0000","score":0.5,"nan":null,"words":-3,"ok":true}"#
        );
    }

    fn check_base(row: &str, value: &str, expected: &str) {
        let columns = vec![
            (column::ID, text(Some("house"))),
            (column::TEXT, text(Some(value))),
            (column::LANGUAGE, text(Some("eng"))),
            (column::ROW, text(Some(row))),
        ];
        assert_eq!(line(columns), expected);
    }

    #[test]
    fn fields_that_no_stage_reads_stay_as_they_were() {
        check_base(
            r#"{"z":1.50, "id":12345678901234567890123,"text":"a","n":{"b":1,"a":[ 1]}}"#,
            "a",
            r#"{"z":1.50,"id":12345678901234567890123,"text":"a","n":{"b":1,"a":[ 1]},"language":"eng"}"#,
        );
        check_base(r#"{"text":"\u0061 ","language":"deu"}"#, "a", r#"{"text":"a","language":"eng"}"#);
        check_base(r#"{"text":"\u0061","language":"eng"}"#, "a", r#"{"text":"\u0061","language":"eng"}"#);
        check_base("{}", "a", r#"{"text":"a","language":"eng"}"#);
        let escaped = r#"{"text":"\"\\\/\b\f\n\r\t\u00e9 \ud83d\ude00","language":"eng"}"#;
        check_base(escaped, "\"\\/\u{8}\u{c}\n\r\té 😀", escaped);
        check_base(r#"{"text":"a\nb","language":"eng"}"#, "a\nc", r#"{"text":"a\nc","language":"eng"}"#);
        check_base(r#"{"text":"a\nb","language":"eng"}"#, "a\n", r#"{"text":"a\n","language":"eng"}"#);
        check_base(r#"{"text":"\ud83d","language":"eng"}"#, "x", r#"{"text":"x","language":"eng"}"#);
    }

    #[test]
    fn fields_that_are_asked_for_are_written_alone() {
        let folder = scratch("jsonl-fields");
        let row = (column::ROW, text(Some(r#"{"z":1.50,"id":7,"text":"a"}"#)));
        let size: ArrayRef = Arc::new(Int64Array::from(vec![2]));
        let columns =
            [(column::ID, text(Some("house"))), row, (column::TEXT, text(Some("b"))), ("size", size)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let wrote = |fields: &[&str]| {
            let path = folder.join("x.jsonl");
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            let sink = JsonLinesSink::single_file(&path).with_fields(&fields);
            let mut writer = sink.open(&folder, &batch.schema(), &[]).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().map(|_| fs::read_to_string(path).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(wrote(&["size", "id"]).unwrap(), "{\"id\":7,\"size\":2}\n");
        assert_eq!(wrote(&["text"]).unwrap(), "{\"text\":\"b\"}\n");
        assert!(wrote(&["id", "idd"]).unwrap_err().contains("no row that stays has a field `idd`"));
        let sink = JsonLinesSink::single_file(&folder).with_fields(&["id".into()]);
        let narrow = sink.narrow(&batch, None).unwrap();
        assert_eq!(column::utf8(&narrow, column::ROW).unwrap().value(0), r#"{"id":7}"#);
        assert!(narrow.column_by_name(column::TEXT).is_none() && narrow.num_columns() == 3);
        let all = JsonLinesSink::single_file(&folder);
        assert_eq!(all.narrow(&batch, Some("text")).unwrap().num_columns(), 3);
        assert_eq!(all.narrow(&batch, None).unwrap(), batch);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_object_tells_its_text_as_a_column_would() {
        for (row, value) in [
            (r#"{"id":7,"text":"a\u0062"}"#, "ab"),
            (r#"{"text":"x","text":"a\u0062","n":1,"text":"\u0061b"}"#, "ab"),
        ] {
            let base = || (column::ROW, text(Some(row)));
            let size: ArrayRef = Arc::new(Int64Array::from(vec![2]));
            let with = line(vec![(column::TEXT, text(Some(value))), base(), ("size", size.clone())]);
            assert_eq!(line(vec![base(), ("size", size)]), with);
        }
    }

    #[test]
    fn one_file_is_compressed_as_its_name_says() {
        let folder = scratch("jsonl-sink");
        let batch = RecordBatch::try_from_iter([(column::TEXT, text(Some("a")))]).unwrap();
        for name in ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst"] {
            let path = folder.join(name);
            let mut writer = JsonLinesSink::single_file(&path).open(&folder, &batch.schema(), &[]).unwrap();
            writer.write(&batch).unwrap();
            writer.write(&batch).unwrap();
            assert!(!path.exists(), "{name} is seen before it is complete");
            assert_eq!(writer.finish().unwrap(), [Written { path: path.clone(), rows: 2 }]);
            let mut found = String::new();
            decompressed(&path).unwrap().read_to_string(&mut found).unwrap();
            assert_eq!(found, "{\"text\":\"a\"}\n{\"text\":\"a\"}\n", "{name}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_are_numbered() {
        let folder = scratch("jsonl-shards");
        let batch = RecordBatch::try_from_iter([(column::TEXT, text(Some("a")))]).unwrap();
        let sink = JsonLinesSink::new(Config { shard_rows: 1, ..Config::default() });
        let mut writer = sink.open(&folder, &batch.schema(), &[]).unwrap();
        writer.write(&batch).unwrap();
        writer.write(&batch).unwrap();
        let written = writer.finish().unwrap();
        assert_eq!(written.len(), 2);
        assert_eq!(written[1], Written { path: folder.join("part-00001.jsonl"), rows: 1 });
        fs::remove_dir_all(folder).unwrap();
    }
}
