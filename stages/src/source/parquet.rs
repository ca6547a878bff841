//! Reads Parquet files: a row a document, its text in the column `text_column`.
//!
//! A file is cut at its row groups into splits of about 64 MiB. Strings come whether they are stored as strings,
//! large strings, views, dictionaries or bare bytes; a row with a string that is not UTF-8 is dropped. The other
//! columns are carried as they are, lists and structures too; a string in these that is not UTF-8 becomes null. A document is identified by the name of its file and the
//! number of its row in it. A file that Gristmill wrote tells the identity that its source gave in `record_id`, which stays.
//!
//! ```text
//! id: 7, text: "words", n: 3    →  record_id "7", text "words", n 3
//! id: 8, text: null             →  drop no_text
//! ```

use super::batch::{dropped, names};
use super::files;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{ConvertedType, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::schema::types::{SchemaDescriptor, Type};
use schemas::source::{BATCH_BYTES, BATCH_ROWS};
use schemas::{
    Build, Config as _, Context, DocId, Event, FilePaths, Intake, Intakes, KeyError, Made, Reason, Source,
    SourceError, Spec, Split, Verdict, column, config,
};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

config! {
    /// Settings of `source.parquet`.
    pub struct Config {
        /// Files, folders (searched to their depth for `.parquet`) and patterns with `*`.
        paths: FilePaths = FilePaths::default();
        /// Column of the text.
        text_column: String = "text".into();
        /// Column of the identity that the source gives.
        id_column: String = "id".into();
        /// Further columns to carry; empty carries all but `row`, which is the object of a line, and `source`, which every document has.
        columns: Vec<String> = Vec::new();
    }
}

/// Why `source.parquet` drops a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// No text and no page.
    NoText,
    /// A string that is not UTF-8.
    InvalidUtf8,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::NoText => "no_text",
            Self::InvalidUtf8 => "invalid_utf8",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::NoText.name(), doc: "The text is null (and there is no `html` either)." },
    Reason {
        name: Drop::InvalidUtf8.name(),
        doc: "A string of the row is not UTF-8; wrong bytes became U+FFFD.",
    },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    files::require(&config.paths.0)?;
    if let Some(name) = config.columns.iter().find(|name| TAKEN.contains(&name.as_str())) {
        let message = format!("`{name}` is the name of a column that every source has for itself");
        let help = Some("rename it in the file, or leave it out".into());
        return Err(vec![KeyError { key: "columns".into(), message, help }]);
    }
    Ok(Made::Source(Box::new(Parquet { config })))
};

/// Columns that are never read from a file: the place of a row in it, and the object of a line, which a column would be taken for.
const TAKEN: [&str; 2] = [column::SOURCE, column::ROW];

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "source.parquet",
    version: 4,
    summary: "Reads Parquet files.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// What names of Parquet files end in.
pub const ENDINGS: &[&str] = &[".parquet"];
/// A split ends with the row group that brings it to this many bytes in the file.
const SPLIT_BYTES: u64 = 64 << 20;

/// The source, for use without a recipe.
#[derive(Debug)]
pub struct Parquet {
    /// Settings; `paths` names at least one file.
    pub config: Config,
}

impl Source for Parquet {
    /// The columns of the first file; [`Source::splits`] refuses a file that has others.
    fn schema(&self, base: &Path) -> Result<SchemaRef, SourceError> {
        let found = files::list(base, &self.config.paths.0, ENDINGS)?;
        self.output(&Opened::new(&found[0].path)?, &found[0].path)
    }

    /// Tells of columns that are not carried although nobody has left them out.
    fn prepare(&self, context: &Context<'_>) -> Result<(), SourceError> {
        let found = files::list(context.base, &self.config.paths.0, ENDINGS)?;
        let lost = self.lost(&Opened::new(&found[0].path)?, &found[0].path)?;
        if !lost.is_empty() {
            let message = format!(
                "warning: {}: not carried: {}, whose names are those of columns that every document has; rename what is to stay",
                found[0].name,
                lost.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            );
            context.observer.event(Event::Note { message: &message });
        }
        Ok(())
    }

    /// `start` and `end` count row groups.
    fn splits(&self, context: &Context<'_>) -> Result<Vec<Split>, SourceError> {
        let first = self.schema(context.base)?;
        let mut splits = Vec::new();
        for whole in files::whole(files::list(context.base, &self.config.paths.0, ENDINGS)?)? {
            let opened = Opened::new(&whole.path)?;
            let schema = self.output(&opened, &whole.path)?;
            if schema != first {
                let (expected, found) = (names(&first).join(", "), names(&schema).join(", "));
                let message =
                    format!("columns differ in name or type from the first file: {expected}; found {found}");
                return Err(SourceError::Format { path: whole.path, message });
            }
            splits.extend(cut(&whole, opened.meta.metadata().row_groups()));
        }
        Ok(splits)
    }

    fn read<'a>(&'a self, split: &'a Split) -> Result<Intakes<'a>, SourceError> {
        let opened = Opened::new(&split.path)?;
        let schema = self.output(&opened, &split.path)?;
        let groups = opened.meta.metadata().row_groups();
        let (start, end) = (split.start as usize, split.end as usize);
        if end > groups.len() {
            return Err(SourceError::Refused(format!("row groups of `{}` are gone", split.name)));
        }
        let sum = |of: &dyn Fn(&RowGroupMetaData) -> i64, groups: &[RowGroupMetaData]| -> u64 {
            groups.iter().map(|g| u64::try_from(of(g)).unwrap_or(0)).sum()
        };
        let first_row = sum(&RowGroupMetaData::num_rows, &groups[..start]);
        let rows = sum(&RowGroupMetaData::num_rows, &groups[start..end]).max(1);
        let row_bytes = (sum(&RowGroupMetaData::total_byte_size, &groups[start..end]) / rows).max(1);
        let batch_rows = (BATCH_BYTES as u64 / row_bytes).clamp(1, BATCH_ROWS as u64) as usize;
        let is_ours = opened.is_ours();
        let file = File::open(&split.path).map_err(SourceError::io(&split.path))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, opened.meta);
        let read = builder.schema().fields().iter().enumerate();
        let read = read.filter(|(_, f)| self.reads(f.name(), &schema)).map(|(at, _)| at);
        let mask = ProjectionMask::roots(builder.parquet_schema(), read.collect::<Vec<_>>());
        let reader = builder
            .with_projection(mask)
            .with_row_groups((start..end).collect())
            .with_batch_size(batch_rows)
            .build()
            .map_err(format_error(&split.path))?;
        let name =
            split.name.strip_suffix(&files::range_suffix(split.start, split.end)).unwrap_or(&split.name);
        let rows = Rows {
            source: self,
            path: &split.path,
            name,
            schema,
            reader,
            is_ours,
            row: first_row,
            ended: false,
        };
        Ok(Box::new(rows))
    }
}

impl Parquet {
    /// The columns that a file is read into.
    fn output(&self, opened: &Opened, path: &Path) -> Result<SchemaRef, SourceError> {
        let fields = opened.schema.fields();
        let has = |name: &str| fields.iter().any(|f| f.name() == name);
        let missing = |name: &str| {
            let found: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
            let message = format!("no column `{name}`; found {}", found.join(", "));
            SourceError::Format { path: path.to_owned(), message }
        };
        if !has(&self.config.text_column) && !has(column::HTML) {
            return Err(missing(&self.config.text_column));
        }
        if let Some(name) = self.config.columns.iter().find(|name| !has(name)) {
            return Err(missing(name));
        }
        for field in fields.iter().filter(|field| *field.name() == self.config.text_column) {
            if !is_text(field.data_type()) {
                let (name, kind) = (field.name(), field.data_type());
                let message = format!("the column `{name}` is no text: its type is {kind}");
                return Err(SourceError::Format { path: path.to_owned(), message });
            }
        }
        let base = if has(column::HTML) { column::page_schema() } else { column::text_schema() };
        let taken = names(&base);
        let own = [self.config.text_column.as_str(), self.config.id_column.as_str()];
        let carried = fields.iter().filter(|f| {
            let name = f.name().as_str();
            let asked = self.config.columns.is_empty() || self.config.columns.iter().any(|c| c == name);
            let free = !taken.contains(&name) && !own.contains(&name) && !TAKEN.contains(&name);
            asked && free
        });
        let kept = carried.map(|f| Field::new(f.name(), common(f.data_type()), true));
        Ok(column::with(&base, kept))
    }

    /// The columns of a file that no column of the source is read from, where all are to be carried and Gristmill did not write it.
    fn lost(&self, opened: &Opened, path: &Path) -> Result<Vec<String>, SourceError> {
        if opened.is_ours() || !self.config.columns.is_empty() {
            return Ok(Vec::new());
        }
        let schema = self.output(opened, path)?;
        let has = |name: &str| opened.schema.field_with_name(name).is_ok();
        let names = names(&schema);
        let made = names.iter().filter(|name| ![column::ID, column::SOURCE].contains(name));
        let read: Vec<&str> = made.map(|name| self.origin(name, false, has)).collect();
        let columns = opened.schema.fields().iter().map(|field| field.name());
        Ok(columns.filter(|name| !read.contains(&name.as_str())).cloned().collect())
    }

    fn reads(&self, name: &str, schema: &Schema) -> bool {
        let own = [&self.config.text_column, &self.config.id_column].iter().any(|own| *own == name);
        own || (schema.field_with_name(name).is_ok() && ![column::ID, column::SOURCE].contains(&name))
    }

    /// The column of the file, which has those that `has` tells, that a column of the house is read from; `is_ours` where Gristmill
    /// wrote the file.
    fn origin<'n>(&'n self, name: &'n str, is_ours: bool, has: impl Fn(&str) -> bool) -> &'n str {
        match name {
            column::TEXT => &self.config.text_column,
            column::RECORD_ID if is_ours && has(name) => name,
            column::RECORD_ID if has(&self.config.id_column) => &self.config.id_column,
            other => other,
        }
    }
}

/// What a file says of itself.
struct Opened {
    /// Strings are read as bytes, for one that is not UTF-8 must not cost all the others.
    meta: ArrowReaderMetadata,
    /// The columns as the file names them, with strings.
    schema: SchemaRef,
}

impl Opened {
    /// Whether Gristmill wrote the file.
    fn is_ours(&self) -> bool {
        let writer = self.meta.metadata().file_metadata().created_by();
        writer.is_some_and(|writer| writer.starts_with("gristmill "))
    }

    fn new(path: &Path) -> Result<Self, SourceError> {
        let file = File::open(path).map_err(SourceError::io(path))?;
        let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let meta = ArrowReaderMetadata::load(&file, plain.clone()).map_err(format_error(path))?;
        let schema = meta.schema().clone();
        let root = as_bytes(meta.parquet_schema().root_schema()).map_err(format_error(path))?;
        let bytes = plain.with_parquet_schema(Arc::new(SchemaDescriptor::new(Arc::new(root))));
        let meta = ArrowReaderMetadata::load(&file, bytes).map_err(format_error(path))?;
        Ok(Self { meta, schema })
    }
}

/// A type with its strings as bare bytes.
fn as_bytes(kind: &Type) -> Result<Type, ParquetError> {
    let info = kind.get_basic_info();
    if kind.is_primitive() {
        let is_text = info.converted_type() == ConvertedType::UTF8;
        let bytes = Type::primitive_type_builder(kind.name(), Physical::BYTE_ARRAY);
        return if is_text { bytes.with_repetition(info.repetition()).build() } else { Ok(kind.clone()) };
    }
    let fields = kind.get_fields().iter().map(|field| as_bytes(field).map(Arc::new));
    let mut group = Type::group_type_builder(kind.name())
        .with_fields(fields.collect::<Result<Vec<_>, _>>()?)
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned());
    if info.has_repetition() {
        group = group.with_repetition(info.repetition());
    }
    group.build()
}

/// Whether texts are stored so. A column of nothing but nulls has no type.
fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_text(values),
        DataType::Null => true,
        other => other.is_string() || other.is_binary(),
    }
}

/// The type that a column is carried in: writers name the items of a list and say what can be null each in their way.
fn common(kind: &DataType) -> DataType {
    let field = |name: &str, of: &Field| Arc::new(Field::new(name, common(of.data_type()), true));
    match kind {
        DataType::List(item) => DataType::List(field("item", item)),
        DataType::LargeList(item) => DataType::LargeList(field("item", item)),
        DataType::FixedSizeList(item, len) => DataType::FixedSizeList(field("item", item), *len),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|of| field(of.name(), of)).collect()),
        other => other.clone(),
    }
}

fn format_error(path: &Path) -> impl FnOnce(ParquetError) -> SourceError {
    let path = path.to_owned();
    move |error| SourceError::Format { path, message: format!("not a readable Parquet file: {error}") }
}

/// Cuts a file behind the row groups that bring a piece to [`SPLIT_BYTES`].
fn cut(whole: &Split, groups: &[RowGroupMetaData]) -> Vec<Split> {
    let (mut splits, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, group) in groups.iter().enumerate() {
        bytes += u64::try_from(group.compressed_size()).unwrap_or(0);
        if bytes >= SPLIT_BYTES || at + 1 == groups.len() {
            let (first, last) = (start as u64, at as u64 + 1);
            let mut hasher = blake3::Hasher::new();
            hasher.update(&whole.content).update(&first.to_le_bytes()).update(&last.to_le_bytes());
            let name = format!("{}{}", whole.name, files::range_suffix(first, last));
            let content = *hasher.finalize().as_bytes();
            let stamp = whole.stamp.clone();
            splits.push(Split { name, start: first, end: last, content, path: whole.path.clone(), stamp });
            (start, bytes) = (at + 1, 0);
        }
    }
    splits
}

struct Rows<'a> {
    source: &'a Parquet,
    path: &'a Path,
    name: &'a str,
    schema: SchemaRef,
    reader: ParquetRecordBatchReader,
    /// Whether Gristmill wrote the file.
    is_ours: bool,
    row: u64,
    ended: bool,
}

impl Iterator for Rows<'_> {
    type Item = Result<Intake, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let intake = match self.reader.next()? {
            Ok(batch) => self.intake(&batch),
            Err(error) => {
                let message = format!("not a readable Parquet file: {error}");
                Err(SourceError::Format { path: self.path.to_owned(), message })
            }
        };
        self.ended = intake.is_err();
        Some(intake)
    }
}

impl Rows<'_> {
    fn intake(&mut self, batch: &RecordBatch) -> Result<Intake, SourceError> {
        let rows = self.row..self.row + batch.num_rows() as u64;
        self.row = rows.end;
        let has = |name: &str| batch.column_by_name(name).is_some();
        let mut invalid = vec![false; batch.num_rows()];
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let name = field.name().as_str();
            let values = match name {
                column::ID => Arc::new(StringArray::from_iter_values(
                    rows.clone().map(|row| DocId::new(self.name, &row.to_string()).to_string()),
                )) as ArrayRef,
                column::SOURCE => Arc::new(StringArray::from_iter_values(
                    rows.clone().map(|row| format!("{}:{row}", self.name)),
                )),
                _ => match batch.column_by_name(self.source.origin(name, self.is_ours, has)) {
                    None => new_null_array(field.data_type(), batch.num_rows()),
                    Some(values) if *field.data_type() == DataType::Utf8 => strings(values, &mut invalid)?,
                    Some(values) => cast(values, field.data_type())?,
                },
            };
            columns.push(values);
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        let filled = |name: &str, row| batch.column_by_name(name).is_some_and(|c| c.is_valid(row));
        let verdict = |(row, invalid): (usize, &bool)| {
            if *invalid {
                dropped(Drop::InvalidUtf8.name(), 0.0, 0.0)
            } else if filled(column::TEXT, row) || filled(column::HTML, row) {
                Verdict::Kept
            } else {
                dropped(Drop::NoText.name(), 0.0, 0.0)
            }
        };
        let verdicts = invalid.iter().enumerate().map(verdict).collect();
        Ok(Intake { batch, verdicts })
    }
}

/// The values as text; rows whose bytes are not UTF-8 are marked, and their wrong bytes become U+FFFD.
fn strings(values: &ArrayRef, invalid: &mut [bool]) -> Result<ArrayRef, SourceError> {
    if *values.data_type() != DataType::Binary {
        return Ok(cast(values, &DataType::Utf8)?);
    }
    let bytes: &BinaryArray = values.as_binary();
    if let Ok(texts) = StringArray::try_from_binary(bytes.clone()) {
        return Ok(Arc::new(texts));
    }
    let texts = bytes.iter().zip(invalid).map(|(value, invalid)| {
        let text = String::from_utf8_lossy(value?);
        *invalid |= matches!(text, std::borrow::Cow::Owned(_));
        Some(text)
    });
    Ok(Arc::new(texts.collect::<StringArray>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::{context, scratch};
    use arrow::array::{
        DictionaryArray, Int64Array, LargeStringArray, ListBuilder, StringBuilder, StructArray,
    };
    use arrow::datatypes::Int32Type;
    use parquet::arrow::ArrowWriter;
    use std::fs;

    fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        for row in 0..batch.num_rows() {
            writer.write(&batch.slice(row, 1)).unwrap();
            writer.flush().unwrap();
        }
        writer.close().unwrap();
    }

    fn read(base: &Path) -> Result<Vec<Intake>, SourceError> {
        let source = Parquet { config: Config { paths: FilePaths(vec![".".into()]), ..Config::default() } };
        let schema = source.schema(base)?;
        let mut all = Vec::new();
        for split in source.splits(&context(base))? {
            for intake in source.read(&split)? {
                let intake = intake?;
                assert_eq!(intake.batch.schema(), schema);
                all.push(intake);
            }
        }
        Ok(all)
    }

    fn check(texts: ArrayRef, expected: &[(&str, &str)]) {
        let base = scratch("parquet-source");
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..texts.len() as i64));
        write(&base.join("a.parquet"), vec![("id", ids.clone()), ("text", texts), ("n", ids)]);
        let mut found = Vec::new();
        for intake in read(&base).unwrap() {
            let texts = column::utf8(&intake.batch, column::TEXT).unwrap();
            let sources = column::utf8(&intake.batch, column::SOURCE).unwrap();
            assert_eq!(*intake.batch.column_by_name("n").unwrap().data_type(), DataType::Int64);
            for (row, verdict) in intake.verdicts.iter().enumerate() {
                assert_eq!(sources.value(row), format!("a.parquet:{}", found.len()));
                let word = if let Verdict::Dropped { reason, .. } = verdict { reason } else { "kept" };
                found.push((texts.iter().nth(row).unwrap().unwrap_or("-").to_owned(), word));
            }
        }
        let found: Vec<(&str, &str)> = found.iter().map(|(t, w)| (t.as_str(), *w)).collect();
        assert_eq!(found, expected);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn strings_of_every_kind() {
        let expected = [("ä", "kept"), ("-", "no_text"), ("", "kept")];
        let values = vec![Some("ä"), None, Some("")];
        check(Arc::new(StringArray::from(values.clone())), &expected);
        check(Arc::new(LargeStringArray::from(values.clone())), &expected);
        check(Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>()), &expected);
        let bytes: Vec<&[u8]> = vec![b"a", b"b\xff", b"c"];
        check(
            Arc::new(BinaryArray::from_vec(bytes)),
            &[("a", "kept"), ("b\u{fffd}", "invalid_utf8"), ("c", "kept")],
        );
    }

    #[test]
    fn a_string_column_that_lies_costs_its_rows_only() {
        let base = scratch("parquet-lies");
        let path = base.join("a.parquet");
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["good", "####", "fine"]));
        write(&path, vec![("text", texts)]);
        // The string stands bare in its page, so its bytes can be broken in place.
        let mut broken = fs::read(&path).unwrap();
        let places: Vec<usize> = memchr::memmem::find_iter(&broken, b"####").collect();
        places.iter().for_each(|at| broken[*at..at + 4].fill(0xff));
        fs::write(&path, broken).unwrap();
        let verdicts: Vec<Verdict> = read(&base).unwrap().into_iter().flat_map(|i| i.verdicts).collect();
        assert_eq!(verdicts, [Verdict::Kept, dropped("invalid_utf8", 0.0, 0.0), Verdict::Kept]);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn lists_of_several_writers_are_one_column_and_a_broken_string_in_one_is_null() {
        let base = scratch("parquet-nested");
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["one", "two"]));
        for (name, item) in [("a.parquet", "item"), ("b.parquet", "element")] {
            let mut tags = ListBuilder::new(StringBuilder::new()).with_field(Field::new(
                item,
                DataType::Utf8,
                item == "item",
            ));
            tags.append_value([Some("%%%%"), Some("fine")]);
            tags.append_value([Some("ä")]);
            let tags: ArrayRef = Arc::new(tags.finish());
            let of = |name: &str, of: &ArrayRef| Arc::new(Field::new(name, of.data_type().clone(), true));
            let about: ArrayRef = Arc::new(StructArray::from(vec![(of("t", &tags), tags.clone())]));
            write(&base.join(name), vec![("text", texts.clone()), ("tags", tags), ("about", about)]);
        }
        let mut broken = fs::read(base.join("b.parquet")).unwrap();
        let places: Vec<usize> = memchr::memmem::find_iter(&broken, b"%%%%").collect();
        places.iter().for_each(|at| broken[*at..at + 4].fill(0xff));
        fs::write(base.join("b.parquet"), broken).unwrap();
        let mut found = Vec::new();
        for intake in read(&base).unwrap() {
            for row in 0..intake.batch.num_rows() {
                let json =
                    |name| crate::sink::json::tests::shown(intake.batch.column_by_name(name).unwrap(), row);
                found.push(format!("{} {}", json("tags"), json("about")));
            }
        }
        assert_eq!(found[..2], [r#"["%%%%","fine"] {"t":["%%%%","fine"]}"#, r#"["ä"] {"t":["ä"]}"#]);
        assert_eq!(found[2..], [r#"[null,"fine"] {"t":[null,"fine"]}"#, r#"["ä"] {"t":["ä"]}"#]);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let base = scratch("parquet-broken");
        let path = base.join("a.parquet");
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["text"]));
        write(&path, vec![("body", texts.clone())]);
        assert!(read(&base).unwrap_err().to_string().contains("no column `text`; found body"));
        write(&path, vec![("text", texts)]);
        let whole = fs::read(&path).unwrap();
        for bytes in [&b""[..], &b"PAR1"[..], &whole[..whole.len() / 2]] {
            fs::write(&path, bytes).unwrap();
            let error = read(&base).unwrap_err().to_string();
            assert!(error.contains("a.parquet: not a readable Parquet file"), "{error}");
        }
        fs::remove_dir_all(base).unwrap();
    }
}
