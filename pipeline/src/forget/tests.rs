//! A small dataset without some of its documents, and single rows without some of their pieces.

use super::sequences::{Taken, without};
use super::*;
use crate::inspect::fixture::{URLS, dataset, id};
use crate::inspect::verify;
use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int32Type, Schema};
use schemas::token;
use std::sync::Arc;

fn by_url(url: &str) -> Request {
    Request { urls: vec![url.to_owned()], ..Request::default() }
}

#[test]
fn a_dataset_without_a_document_and_its_copy_is_sound() {
    let folder = dataset("forget-kept");
    let told = forget(&folder.0, &by_url(URLS[0])).unwrap();
    let mut went = [id(0), id(3)];
    went.sort();
    assert_eq!(told.documents.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), went);
    assert_eq!((told.tokens, told.sequences_padded, told.sequences_removed), (3, 1, 0));
    let dataset = Dataset::open(&folder.0).unwrap();
    let verified = verify(&dataset).unwrap();
    assert_eq!(verified.findings, [], "{:?}", dataset.manifest);
    let counts: Vec<u64> = dataset.manifest.nodes.iter().map(|node| node.rows_in).collect();
    assert_eq!(counts, [2, 2, 2, 1, 1]);
    assert!(dataset.manifest.nodes[3].dropped.is_empty());
    assert_eq!(recorded(&dataset, URLS[3]).unwrap()[0].copy_of, Some(id(0)));
    assert_eq!(told.manifest, verified.manifest);
}

#[test]
fn a_dropped_document_goes_and_its_twin_is_told() {
    let folder = dataset("forget-dropped");
    let told = forget(&folder.0, &by_url(URLS[3])).unwrap();
    assert_eq!(told.twins, [Twin { forgotten: id(3), id: id(0) }]);
    assert_eq!((told.documents.len(), told.tokens), (1, 0));
    assert_eq!(verify(&Dataset::open(&folder.0).unwrap()).unwrap().findings, []);
    // What was forgotten before is told apart from what was never there.
    let request = Request { urls: vec![URLS[3].into(), "http://h.test/none".into()], ..Request::default() };
    let again = forget(&folder.0, &request).unwrap();
    assert_eq!(
        (again.before, again.missing),
        (vec![URLS[3].to_owned()], vec!["http://h.test/none".to_owned()])
    );
    assert_eq!(again.manifest, again.manifest_before);
}

#[test]
fn a_record_twice_is_once() {
    let folder = dataset("forget-record");
    let other = dataset("forget-record-of");
    forget(&other.0, &by_url(URLS[0])).unwrap();
    let records = records(&Dataset::open(&other.0).unwrap()).unwrap();
    let request = Request { records, ..Request::default() };
    let first = forget(&folder.0, &request).unwrap();
    assert_eq!((first.documents.len(), first.missing.len(), first.before.len()), (2, 0, 0));
    let again = forget(&folder.0, &request).unwrap();
    assert_eq!((again.documents.len(), again.missing.len(), again.before.len()), (0, 0, 2));
    assert_eq!(again.manifest, first.manifest);
}

#[test]
fn an_address_is_refused_where_not_all_addresses_are_told() {
    let folder = dataset("forget-uncovered");
    // As it is without a sink of documents: token shards alone.
    let mut manifest = Dataset::open(&folder.0).unwrap().manifest;
    manifest.nodes.retain(|node| node.folder.is_none());
    manifest.files.retain(|name, _| !name.starts_with("documents/"));
    std::fs::remove_dir_all(folder.0.join("documents")).unwrap();
    std::fs::write(folder.0.join(manifest::FILE), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let error = forget(&folder.0, &by_url(URLS[0])).unwrap_err().to_string();
    assert!(error.contains("part-00000.parquet") && error.contains("may be one of them"), "{error}");
    let request = Request { ids: vec![id(0)], ..Request::default() };
    assert_eq!(forget(&folder.0, &request).unwrap().tokens, 3);
    // It is told as forgotten before by its id, and a dropped one has its address in `dropped/`.
    assert_eq!(forget(&folder.0, &request).unwrap().before, [id(0)]);
    assert_eq!(forget(&folder.0, &by_url(URLS[2])).unwrap().documents.len(), 1);
}

#[test]
fn lines_are_not_told_by_a_ledger_with_a_bad_id() {
    let folder = dataset("forget-bad-ledger");
    let mut manifest = Dataset::open(&folder.0).unwrap().manifest;
    std::fs::create_dir(folder.0.join("lines")).unwrap();
    std::fs::write(folder.0.join("lines/00000.jsonl"), "{\"n\":0}\n{\"n\":1}\n").unwrap();
    let file = |rows| manifest::File { bytes: 0, rows, blake3: String::new(), sha256: String::new() };
    manifest.files.insert("lines/00000.jsonl".to_owned(), file(Some(2)));
    let mut sink = manifest.nodes[4].clone();
    (sink.name, sink.folder, sink.inputs) =
        ("lines".to_owned(), Some("lines".to_owned()), vec!["dedup.exact".to_owned()]);
    manifest.nodes.push(sink);
    std::fs::write(folder.0.join(manifest::FILE), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let path = folder.0.join("ledger/03-dedup.exact.parquet");
    let part = crate::inspect::table::Part::open(&path).unwrap();
    let batches: Vec<RecordBatch> = part.read(None, None).unwrap().map(Result::unwrap).collect();
    let batch = arrow::compute::concat_batches(part.schema(), &batches).unwrap();
    let mut columns = batch.columns().to_vec();
    let at = batch.schema().index_of(schemas::column::ID).unwrap();
    columns[at] = Arc::new(StringArray::from(vec!["no id".to_owned(), id(1), id(3)]));
    crate::inspect::fixture::write(&path, &RecordBatch::try_new(batch.schema(), columns).unwrap());
    let error = forget(&folder.0, &by_url(URLS[1])).unwrap_err().to_string();
    assert!(error.contains("03-dedup.exact.parquet: `no id` is no id of a document"), "{error}");
}

fn lists(lengths: &[usize], values: ArrayRef) -> ArrayRef {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), values, None))
}

/// Three rows of six tokens: of the target and another, of the target alone, and of another.
fn masked() -> RecordBatch {
    let documents = [id(0), id(1), id(0), id(0), id(1)];
    let columns: Vec<(&str, ArrayRef)> = vec![
        (token::INPUT_IDS, lists(&[6; 3], Arc::new(Int32Array::from_iter_values(1..19)))),
        (token::DOC_LENS, lists(&[3, 1, 1], Arc::new(Int32Array::from(vec![2, 2, 1, 6, 6])))),
        (token::DOC_IDS, lists(&[3, 1, 1], Arc::new(StringArray::from_iter_values(&documents)))),
        (token::DOC_OFFSETS, lists(&[3, 1, 1], Arc::new(Int32Array::from(vec![0, 7, 2, 3, 9])))),
        (token::PAD, Arc::new(Int32Array::from(vec![1, 0, 0]))),
        ("loss_mask", lists(&[6; 3], Arc::new(BooleanArray::from(vec![true; 18])))),
        ("source", Arc::new(StringArray::from(vec!["a", "b", "c"]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn pieces_go_out_of_all_columns_of_a_row() {
    let folder = dataset("forget-pieces");
    let mut targets = Targets::of_request(&by_url(URLS[0]), &[]);
    targets.resolve(&Dataset::open(&folder.0).unwrap()).unwrap();
    let mut taken = Taken::default();
    let batch = without(&masked(), &targets, &mut taken, Path::new("shard")).unwrap();
    assert_eq!(taken, Taken { padded: 1, removed: 1, tokens: 9 });
    let ints = |name: &str, row: usize| {
        let list = batch.column_by_name(name).unwrap().as_list::<i32>().value(row);
        list.as_primitive::<Int32Type>().values().to_vec()
    };
    assert_eq!((batch.num_rows(), ints(token::INPUT_IDS, 0)), (2, vec![3, 4, 0, 0, 0, 0]));
    assert_eq!((ints(token::DOC_LENS, 0), ints(token::DOC_OFFSETS, 0)), (vec![2], vec![7]));
    assert_eq!((ints(token::INPUT_IDS, 1), ints(token::DOC_OFFSETS, 1)), ((13..19).collect(), vec![9]));
    let pads = batch.column_by_name(token::PAD).unwrap().as_primitive::<Int32Type>().values().to_vec();
    assert_eq!(pads, [4, 0]);
    let mask = batch.column_by_name("loss_mask").unwrap().as_list::<i32>().value(0);
    let mask: Vec<bool> = mask.as_boolean().iter().flatten().collect();
    assert_eq!(mask, [true, true, false, false, false, false]);
    let source = batch.column_by_name("source").unwrap().as_string::<i32>().clone();
    assert_eq!(source.iter().flatten().collect::<Vec<_>>(), ["a", "c"]);
    // A list that is neither of pieces nor of tokens is not passed through with what it may hold.
    let strange = lists(&[6; 3], Arc::new(StringArray::from(vec!["text"; 18])));
    let fields = Schema::try_merge([
        masked().schema().as_ref().clone(),
        Schema::new(vec![Field::new("strange", strange.data_type().clone(), false)]),
    ]);
    let columns = masked().columns().iter().cloned().chain([strange]).collect();
    let batch = RecordBatch::try_new(Arc::new(fields.unwrap()), columns).unwrap();
    let error = without(&batch, &targets, &mut taken, Path::new("shard")).unwrap_err().to_string();
    assert!(
        error.contains("shard: column `strange` has a type of which no piece can be taken out"),
        "{error}"
    );
}

#[test]
fn what_a_footer_tells_of_rows_is_made_anew() {
    use super::rewrite::rewrite;
    use crate::inspect::table::{Head, Part};
    use parquet::file::metadata::KeyValue;
    let folder = dataset("forget-footer");
    let path = folder.0.join("told.parquet");
    let write = |batch: &RecordBatch, told: &[(&str, &str)]| {
        let pairs = told.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), (*value).to_owned()));
        let properties = parquet::file::properties::WriterProperties::builder()
            .set_key_value_metadata(Some(pairs.collect()))
            .build();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
    };
    let told = || -> std::collections::BTreeMap<String, String> {
        let part = Part::open(&path).unwrap();
        let Head::Parquet(head) = &part.head else { panic!("it is Parquet") };
        let pairs = head.metadata().file_metadata().key_value_metadata().unwrap().iter();
        let ours = pairs.filter(|pair| pair.key != "ARROW:schema");
        ours.map(|pair| (pair.key.clone(), pair.value.clone().unwrap())).collect()
    };
    let keys = ["gristmill.rows", "gristmill.tokens", "gristmill.content_xxh3_128"];
    let stale = [("a", "b"), (keys[0], "3"), (keys[1], "17"), (keys[2], "0")];
    write(&masked(), &stale);
    rewrite(&Part::open(&path).unwrap(), &mut |batch| Ok(batch.slice(0, 2))).unwrap();
    let first = told();
    assert_eq!((first[keys[0]].as_str(), first[keys[1]].as_str(), first["a"].as_str()), ("2", "11", "b"));
    let mut bytes = Vec::new();
    for row in [1..7_i32, 7..13] {
        bytes.extend(6_u32.to_le_bytes());
        bytes.extend(row.flat_map(i32::to_le_bytes));
    }
    assert_eq!(first[keys[2]], format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes)));
    // A shard that told nothing of its rows tells nothing.
    write(&masked(), &stale[..1]);
    rewrite(&Part::open(&path).unwrap(), &mut Ok).unwrap();
    assert_eq!(told().len(), 1);
}
