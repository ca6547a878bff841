//! Signatures, clusters and kept documents of datatrove 0.10.1, asked once and kept in `datatrove_minhash.jsonl.gz`.
//!
//! A line is `[file, text, hash of the signature or null, cluster or null, whether it is removed]`, in the order of files and rows. The
//! texts are pieces of Python PEPs, Rust books and RFCs, Standard Ebooks, Shakespeare and US addresses, and near-duplicates of them
//! (public domain, CC0-1.0, MIT OR Apache-2.0). Made again by `benches/peers/datatrove_minhash.py --golden`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use gristmill_stages::dedup::minhash::SPEC;
use gristmill_stages::dedup::minhash::datatrove::{clusters, signature};
use schemas::{DocId, Made, Settings, Verdict, column, memory};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::sync::Arc;

type Row = (usize, String, Option<String>, Option<u64>, bool);

fn rows() -> Vec<Row> {
    let file = flate2::read::GzDecoder::new(&include_bytes!("datatrove_minhash.jsonl.gz")[..]);
    BufReader::new(file).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

#[test]
fn signatures_and_clusters_are_those_of_datatrove() {
    let rows = rows();
    let signatures: Vec<_> = rows.iter().map(|row| signature(&row.1)).collect();
    for (row, signature) in rows.iter().zip(&signatures) {
        let hash = signature.map(|values| {
            let bytes: Vec<u8> = values.into_iter().flat_map(u64::to_le_bytes).collect();
            Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        assert_eq!(hash, row.2, "{:?}", row.1);
    }
    // The root of each cluster as datatrove has it: the document of it that is not removed.
    let kept = rows.iter().enumerate().filter(|(_, row)| !row.4);
    let roots: BTreeMap<u64, usize> = kept.filter_map(|(at, row)| Some((row.3?, at))).collect();
    let expected: Vec<Option<usize>> = rows.iter().map(|row| row.3.map(|number| roots[&number])).collect();
    assert_eq!(clusters(&signatures), expected);
    let first = |number: &u64| rows.iter().position(|row| row.3 == Some(*number));
    let later = roots.iter().filter(|(number, root)| first(number) != Some(**root)).count();
    assert!(roots.len() >= 40 && later >= 5, "{} clusters, {later} of which keep a later one", roots.len());
}

#[test]
fn the_documents_that_go_are_those_that_datatrove_removes() {
    let rows = rows();
    let mut last = [0; 3];
    let mut places: Vec<(DocId, String, &Row)> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        last[row.0] += 1;
        // Ids say nothing of the order.
        let id = DocId::from_bytes(
            (at as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes(),
        );
        places.push((id, format!("{}.jsonl:{}", row.0, last[row.0]), row));
    }
    places.sort_by_key(|(id, ..)| *id);
    let batch = |part: &[(DocId, String, &Row)]| {
        let column = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
        RecordBatch::try_from_iter([
            (column::ID, column(part.iter().map(|(id, ..)| id.to_string()).collect())),
            (column::SOURCE, column(part.iter().map(|(_, source, _)| source.clone()).collect())),
            (column::TEXT, column(part.iter().map(|(.., row)| row.1.clone()).collect())),
        ])
        .unwrap()
    };
    let batches: Vec<RecordBatch> = places.chunks(50).map(batch).collect();
    let settings = Settings::new(vec![("dialect".to_owned(), schemas::Value::from("datatrove-0.10"))]);
    let Ok(Made::Global(global)) = (SPEC.build)(&settings) else { panic!("a global") };
    let done = memory::settle(global.as_ref(), &batches, 5).unwrap();
    let verdicts = batches.iter().flat_map(|batch| done.judge(batch).unwrap().verdicts);
    for ((_, source, row), verdict) in places.iter().zip(verdicts) {
        assert_eq!(matches!(verdict, Verdict::Dropped { .. }), row.4, "{source}: {verdict:?}");
    }
}

#[test]
fn keys_without_a_part_in_the_dialect_are_mistakes() {
    let set = |key: &str, value: schemas::Value| (key.to_owned(), value);
    let settings = Settings::new(vec![set("rows", 8.into()), set("dialect", "datatrove-0.10".into())]);
    let errors = (SPEC.build)(&settings).err().unwrap();
    assert_eq!(
        errors[0].to_string(),
        "`rows`: it has no part in the dialect `datatrove-0.10`; remove it, or the dialect"
    );
}
