//! Files of both forms: where they end, what stands in their footers, and that their bytes depend on the rows alone.

use super::*;
use crate::source::files::scratch;
use arrow::array::{ArrayRef, AsArray as _, Int32Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData};
use std::fs;
use std::sync::Arc;

fn documents(count: usize) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|n| format!("{n:032x}"))));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|n| "word ".repeat(n % 50))));
    let row: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|n| format!("{{\"n\":{n}}}"))));
    RecordBatch::try_from_iter([(column::ID, ids), (column::TEXT, text), (column::ROW, row)]).unwrap()
}

fn write(sink: &ParquetSink, folder: &Path, batch: &RecordBatch, cuts: &[usize]) -> Vec<Written> {
    let metadata = [("manifest".to_owned(), "m".to_owned())];
    let mut writer = sink.open(folder, &batch.schema(), &metadata).unwrap();
    let mut start = 0;
    for end in cuts.iter().copied().chain([batch.num_rows()]) {
        writer.write(&batch.slice(start, end - start)).unwrap();
        start = end;
    }
    writer.finish().unwrap()
}

#[test]
fn shards_have_their_rows_and_do_not_depend_on_batches() {
    let folder = scratch("parquet-sink");
    let batch = documents(1000);
    let sink = ParquetSink::new(Config { shard_rows: 300, ..Config::default() });
    let mut all = Vec::new();
    for cuts in [&[][..], &[1, 7, 300, 301, 999]] {
        let written = write(&sink, &folder, &batch, cuts);
        assert_eq!(written.iter().map(|w| w.rows).collect::<Vec<_>>(), [300, 300, 300, 100]);
        assert!(written[3].path.ends_with("part-00003.parquet"));
        all.push(written.iter().map(|w| fs::read(&w.path).unwrap()).collect::<Vec<_>>());
    }
    assert!(all[0] == all[1], "the bytes depend on how the rows came in");
    let read =
        ParquetRecordBatchReaderBuilder::try_new(File::open(folder.join("part-00001.parquet")).unwrap())
            .unwrap();
    assert_eq!(read.metadata().file_metadata().created_by(), Some(CREATED_BY));
    assert!(read.metadata().row_group(0).column(0).bloom_filter_offset().is_some());
    let read = read.build().unwrap().next().unwrap().unwrap();
    assert_eq!(read.project(&[0, 1]).unwrap(), batch.slice(300, 300).project(&[0, 1]).unwrap());
    let metadata = read.column_by_name("metadata").unwrap().as_string::<i32>();
    assert_eq!((metadata.value(0), metadata.value(1)), (r#"{"n":300}"#, r#"{"n":301}"#));
    fs::remove_dir_all(folder).unwrap();
}

/// Rows of `length` ids and one piece each.
fn sequences(rows: i32, length: i32) -> RecordBatch {
    let lists = |per_row: i32, of: fn(i32, i32) -> i32| -> ArrayRef {
        let values = (0..rows).map(|row| Some((0..per_row).map(move |at| Some(of(row, at)))));
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(values);
        let item = Arc::new(Field::new("item", DataType::Int32, false));
        Arc::new(ListArray::new(item, lists.offsets().clone(), lists.values().clone(), None))
    };
    let ids = StringArray::from_iter_values((0..rows).map(|row| format!("{row:032x}")));
    let item = Arc::new(Field::new("item", DataType::Utf8, false));
    let ids = ListArray::new(item, OffsetBuffer::from_lengths(vec![1; rows as usize]), Arc::new(ids), None);
    let pad: ArrayRef = Arc::new(Int32Array::from(vec![2; rows as usize]));
    let columns = vec![
        lists(length, |row, at| (row * 31 + at * at) % 50_000),
        lists(1, |_, _| 0),
        Arc::new(ids),
        lists(1, |row, _| row),
        pad,
    ];
    RecordBatch::try_new(token::schema(), columns).unwrap()
}

fn footer(path: &Path) -> ParquetMetaData {
    let file = File::open(path).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let read = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    read.metadata().as_ref().clone()
}

fn told(footer: &ParquetMetaData, key: &str) -> String {
    let pairs = footer.file_metadata().key_value_metadata().unwrap();
    let pair = pairs.iter().find(|pair| pair.key == format!("gristmill.{key}"));
    pair.and_then(|pair| pair.value.clone()).unwrap_or_default()
}

#[test]
fn token_sequences_have_the_layout_that_every_client_reads() {
    let folder = scratch("parquet-tokens");
    let batch = sequences(700, 2048);
    let path = folder.join("one.parquet");
    let written = write(&ParquetSink::single_file(&path), &folder, &batch, &[]);
    assert_eq!(written, [Written { path: path.clone(), rows: 700 }]);
    assert!(!super::super::beside(&path).exists());
    let footer = footer(&path);
    let groups: Vec<i64> = footer.row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(groups, [512, 188]);
    let ids = footer.row_group(0).column(0);
    assert!(ids.statistics().is_none() && ids.dictionary_page_offset().is_none());
    assert_eq!(ids.encodings().collect::<Vec<_>>(), [Encoding::PLAIN, Encoding::RLE]);
    assert_eq!(ids.compression(), Compression::ZSTD(ZstdLevel::try_new(1).unwrap()));
    let pages = footer.offset_index().unwrap()[0][0].page_locations();
    let firsts: Vec<i64> = pages.iter().map(|page| page.first_row_index).collect();
    assert_eq!(firsts, (0..512).step_by(16).collect::<Vec<_>>());
    let counts = ["rows", "tokens"].map(|key| told(&footer, key));
    assert_eq!(counts, ["700".to_owned(), (700 * 2046).to_string()]);
    let read = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let read = read.with_batch_size(700).build().unwrap().next().unwrap().unwrap();
    assert_eq!(read, batch);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_hash_of_the_content_is_that_of_the_ids_alone() {
    let folder = scratch("parquet-content");
    let hash = |batch: &RecordBatch, level, cuts: &[usize]| {
        let sink = ParquetSink::new(Config { compression_level: level, ..Config::default() });
        let written = write(&sink, &folder, batch, cuts);
        told(&footer(&written[0].path), "content_xxh3_128")
    };
    let batch = sequences(40, 300);
    let first = hash(&batch, 0, &[]);
    assert_eq!(first, hash(&batch, 9, &[1, 17]));
    assert_ne!(first, hash(&sequences(40, 301), 0, &[]));
    assert_ne!(first, hash(&batch.slice(0, 39), 0, &[]));
    let mut expected = Vec::new();
    for list in batch.column(0).as_list::<i32>().iter().flatten() {
        expected.extend((list.len() as u32).to_le_bytes());
        expected.extend(list.as_primitive::<Int32Type>().values().iter().flat_map(|id| id.to_le_bytes()));
    }
    assert_eq!(first, format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&expected)));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_of_tokens_ends_with_the_group_that_fills_it() {
    let folder = scratch("parquet-shards");
    let sink = ParquetSink::new(Config { shard_tokens: 1 << 20, ..Config::default() });
    let written = write(&sink, &folder, &sequences(1200, 2048), &[5, 600]);
    assert_eq!(written.iter().map(|w| w.rows).collect::<Vec<_>>(), [512, 512, 176]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_row_makes_one_file() {
    let folder = scratch("parquet-none");
    let written = write(&ParquetSink::new(Config::default()), &folder, &documents(0), &[]);
    assert_eq!((written.len(), written[0].rows), (1, 0));
    fs::remove_dir_all(folder).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let folder = scratch("parquet-full");
    std::os::unix::fs::symlink("/dev/full", folder.join("part-00000.parquet")).unwrap();
    let batch = documents(1000);
    let mut writer = ParquetSink::new(Config::default()).open(&folder, &batch.schema(), &[]).unwrap();
    let error = writer.write(&batch).and_then(|()| writer.finish()).unwrap_err();
    assert!(matches!(&error, StageError::Io { path, .. } if path.ends_with("part-00000.parquet")), "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}
