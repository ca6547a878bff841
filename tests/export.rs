//! `gristmill export`: the files of other trainers hold the documents of the shards, token by token.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use common::{Folder, corpus, gristmill, start, tree};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// A dataset whose documents are cut: rows of 64 tokens, wherever a row ends or where a document is longer.
fn built(name: &str, method: &str) -> Folder {
    let folder = Folder::new(name);
    corpus::write_all(&folder.0, 41, 90);
    let recipe = corpus::recipe(30).replace("length = 64", &format!("length = 64\nmethod = \"{method}\""));
    folder.write("recipe.toml", recipe);
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    folder
}

/// Documents of a split by id, and its rows without padding, as the shards have them.
fn shards(dataset: &Path, split: &str) -> (BTreeMap<String, Vec<u32>>, Vec<Vec<u32>>) {
    let mut pieces: BTreeMap<(String, i32), Vec<u32>> = BTreeMap::new();
    let mut rows = Vec::new();
    let inside = format!("tokens/{split}/");
    for name in tree(dataset).keys().filter(|name| name.starts_with(&inside)) {
        let file = fs::File::open(dataset.join(name)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let cell = |name: &str, row| batch.column_by_name(name).unwrap().as_list::<i32>().value(row);
            let ints = |name: &str, row| cell(name, row).as_primitive::<Int32Type>().values().to_vec();
            for row in 0..batch.num_rows() {
                let ids: Vec<u32> = ints("input_ids", row).iter().map(|id| id.cast_unsigned()).collect();
                let documents = cell("doc_ids", row);
                let mut at = 0;
                for ((id, offset), length) in documents
                    .as_string::<i32>()
                    .iter()
                    .zip(ints("doc_offsets", row))
                    .zip(ints("doc_lens", row))
                {
                    let end = at + length as usize;
                    pieces.insert((id.unwrap().to_owned(), offset), ids[at..end].to_vec());
                    at = end;
                }
                rows.push(ids[..at].to_vec());
            }
        }
    }
    let mut documents: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for ((id, _), ids) in pieces {
        documents.entry(id).or_default().extend(ids);
    }
    (documents, rows)
}

fn tokens(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(2).map(|two| u32::from(u16::from_le_bytes([two[0], two[1]]))).collect()
}

fn longs(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|eight| u64::from_le_bytes(eight.try_into().unwrap())).collect()
}

/// Entries of an exported split.
fn entries(out: &Path, to: &str, split: &str) -> Vec<Vec<u32>> {
    let read = |ending: &str| fs::read(out.join(format!("{split}.{ending}"))).unwrap();
    let cut = |ids: &[u32], ends: &[u64]| -> Vec<Vec<u32>> {
        let mut start = 0;
        let part = |&end: &u64| ids[std::mem::replace(&mut start, end as usize)..end as usize].to_vec();
        let parts = ends.iter().map(part).collect();
        assert_eq!(ids.len() as u64, *ends.last().unwrap());
        parts
    };
    match to {
        "megatron" => {
            let (ids, index) = (tokens(&read("bin")), read("idx"));
            let count = longs(&index[18..26])[0] as usize;
            let lengths =
                index[34..34 + 4 * count].chunks(4).map(|four| u32::from_le_bytes(four.try_into().unwrap()));
            let mut end = 0;
            let ends: Vec<u64> = lengths
                .map(|length| {
                    end += u64::from(length);
                    end
                })
                .collect();
            let pointers = longs(&index[34 + 4 * count..34 + 12 * count]);
            assert!(
                pointers.iter().zip([0].iter().chain(&ends)).all(|(pointer, start)| *pointer == 2 * start)
            );
            assert!(longs(&index[34 + 12 * count..]).into_iter().eq(0..=count as u64));
            cut(&ids, &ends)
        }
        "datatrove" => cut(&tokens(&read("ds")), &longs(&read("ds.index"))),
        _ => {
            let mut table = String::new();
            flate2::read::MultiGzDecoder::new(read("csv.gz").as_slice()).read_to_string(&mut table).unwrap();
            let end = |line: &str| line.split(',').nth(1).unwrap().parse().unwrap();
            cut(&tokens(&read("npy")), &table.lines().map(end).collect::<Vec<u64>>())
        }
    }
}

#[test]
fn every_format_has_every_document_and_every_row() {
    for method in ["best_fit", "concat"] {
        let folder = built(&format!("export-{method}"), method);
        for to in ["megatron", "datatrove", "npy"] {
            let args = ["export", "work", "--to", to, "--json", "--out", to];
            let told = gristmill(&args, &folder.0).expect(0).json();
            let by_rows = format!("{to}-rows");
            gristmill(&["export", "work", "--to", to, "--by", "rows", "--out", &by_rows], &folder.0)
                .expect(0);
            for split in ["train", "validation"] {
                let (documents, rows) = shards(&folder.join("work/dataset"), split);
                assert!(documents.values().any(|ids| ids.len() > 64) && rows.len() > 3, "{split}");
                let found = entries(&folder.join(to), to, split);
                assert_eq!(told["splits"][split]["entries"], found.len());
                // In the order of their ids.
                assert!(found.iter().eq(documents.values()), "{to} {split} {method}");
                assert_eq!(entries(&folder.join(&by_rows), to, split), rows, "{to} {split} {method}");
            }
            assert_eq!(
                fs::read(folder.join(to).join("tokenizer.json")).unwrap(),
                fs::read(folder.join("work/dataset/tokenizer.json")).unwrap()
            );
        }
    }
}

#[test]
fn an_export_is_there_whole_or_not_at_all() {
    let folder = built("export-kill", "best_fit");
    let args = |out: &str| ["export", "work", "--to", "npy", "--out", out].map(str::to_owned);
    let begun = std::time::Instant::now();
    gristmill(&args("whole"), &folder.0).expect(0);
    let whole = begun.elapsed();
    let expected = tree(&folder.join("whole"));
    let done = gristmill(&args("whole"), &folder.0).expect(2);
    assert!(done.err.contains("whole: is there already and not empty"), "{}", done.err);
    for n in 1..=12 {
        let mut child = start(&args("killed"), &folder.0);
        std::thread::sleep(whole.mul_f64(f64::from(n) / 12.0).max(Duration::from_millis(1)));
        drop(child.kill());
        child.wait().unwrap();
        if folder.join("killed").exists() {
            assert_eq!(tree(&folder.join("killed")), expected, "kill {n}");
            fs::remove_dir_all(folder.join("killed")).unwrap();
        }
    }
    gristmill(&args("killed"), &folder.0).expect(0);
    assert_eq!(tree(&folder.join("killed")), expected);
    let left: Vec<String> =
        common::paths(&folder.0).into_iter().filter(|path| path.contains("gristmill-")).collect();
    assert!(left.is_empty(), "{left:?}");
    gristmill(&["export", "work", "--to", "npy", "--split", "train", "--out", "train"], &folder.0).expect(0);
    assert!(!folder.join("train/validation.npy").exists());
    // A shard that is not the one in the manifest.
    let name = "work/dataset/tokens/train/part-00000.parquet";
    let mut bytes = fs::read(folder.join(name)).unwrap();
    bytes[20] ^= 1;
    folder.write(name, bytes);
    let done = gristmill(&args("altered"), &folder.0).expect(1);
    assert!(done.err.contains("tokens/train/part-00000.parquet: the file is not the one"), "{}", done.err);
    assert!(!folder.join("altered").exists());
    // Without tokens there is nothing to export.
    folder.write("recipe.toml", corpus::recipe(30).split("[tokenizer]").next().unwrap());
    gristmill(&["build", "recipe.toml", "--workdir", "texts"], &folder.0).expect(0);
    let done = gristmill(&["export", "texts", "--to", "npy", "--out", "none"], &folder.0).expect(1);
    assert!(done.err.contains("has no token shards"), "{}", done.err);
}
