//! `gristmill forget`: what goes is nowhere in the dataset, what stays has its bytes, and nothing comes back.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use arrow::array::{Array, AsArray, ListArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type};
use common::{
    Folder, assert_conserved, assert_same, assert_tidy, corpus, gristmill, lines, report, start, tree,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::hash::{Rng, seed};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

const MARK: &str = "Zyxwmarker";
/// Kills of one forgetting.
const KILLS: u64 = 12;
/// The same text stands under both.
const URLS: [&str; 2] = ["https://forget.example/a", "https://forget.example/b"];

/// A working folder with a dataset of the corpus and two documents more, which are copies of each other.
fn built(name: &str, documents: u64) -> Folder {
    let folder = Folder::new(name);
    corpus::write_all(&folder.0, 31, documents);
    let text = corpus::prose(&mut Rng::new(77), 30) + " " + MARK + " was seen by the mill.";
    let line = |n: usize| json!({ "id": 9000 + n, "url": URLS[n], "text": text }).to_string() + "\n";
    folder.write("input/lines/z.jsonl", line(0) + &line(1));
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    folder
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

fn strings(column: &dyn Array, found: &mut Vec<String>) {
    match column.data_type() {
        DataType::Utf8 => found.extend(column.as_string::<i32>().iter().flatten().map(str::to_owned)),
        DataType::List(_) => strings(column.as_list::<i32>().values().as_ref(), found),
        _ => {}
    }
}

/// Every text in every table of a dataset, and every other file as it is.
fn texts(dataset: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in tree(dataset) {
        if name.ends_with(".parquet") {
            for batch in batches(&dataset.join(&name)) {
                batch.columns().iter().for_each(|column| strings(column.as_ref(), &mut found));
            }
        } else {
            found.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    found
}

/// Ids, pieces as (document, offset, tokens) and padding of every sequence.
type Sequence = (Vec<i32>, Vec<(String, i32, i32)>, i32);

fn sequences(dataset: &Path) -> Vec<Sequence> {
    let mut all = Vec::new();
    for name in tree(dataset).keys().filter(|name| name.starts_with("tokens/") && name.ends_with(".parquet"))
    {
        for batch in batches(&dataset.join(name)) {
            let list = |name: &str| batch.column_by_name(name).unwrap().as_list::<i32>().clone();
            let ints = |list: &ListArray, row| list.value(row).as_primitive::<Int32Type>().values().to_vec();
            let (ids, lens) = (list("input_ids"), list("doc_lens"));
            let (docs, offsets) = (list("doc_ids"), list("doc_offsets"));
            let pads = batch.column_by_name("pad").unwrap().as_primitive::<Int32Type>();
            for row in 0..batch.num_rows() {
                let docs = docs.value(row);
                let docs = docs.as_string::<i32>().iter().map(|id| id.unwrap().to_owned());
                let lens = ints(&lens, row);
                let pieces = docs.zip(ints(&offsets, row)).zip(lens).map(|((d, o), l)| (d, o, l)).collect();
                all.push((ints(&ids, row), pieces, pads.value(row)));
            }
        }
    }
    all
}

/// The tokens of a document, its pieces joined.
fn tokens(sequences: &[Sequence], document: &str) -> Vec<i32> {
    let mut pieces = BTreeMap::new();
    for (ids, of, _) in sequences {
        let mut at = 0;
        for (id, offset, length) in of {
            if id == document {
                pieces.insert(*offset, ids[at..at + *length as usize].to_vec());
            }
            at += *length as usize;
        }
    }
    pieces.into_values().flatten().collect()
}

fn explain(folder: &Folder, document: &str) -> Value {
    let done = gristmill(&["explain", "work", document, "--json"], &folder.0);
    done.json()
}

/// A document goes by the id that its source gave it; one that is not there is told.
#[test]
fn a_document_is_known_by_the_id_of_its_source() {
    let folder = built("forget-record-id", 20);
    let told = forget(&folder, &["--record-id", "9000", "nowhere", "--json"]).expect(0).json();
    assert_eq!(told["missing"], json!(["nowhere"]), "{told}");
    assert!(!told["documents"].as_array().unwrap().is_empty(), "{told}");
    let left = texts(&folder.join("work/dataset"));
    assert!(left.iter().all(|text| text != URLS[0]), "the address of 9000 is still there");
}

/// Id of the copy that is kept, and of the one that is not.
fn copies(folder: &Folder) -> [(String, &'static str); 2] {
    let life = |url: &str| explain(folder, url)["lives"][0].clone();
    let is_kept = |url: &&str| life(url)["fate"].get("kept").is_some();
    let kept = URLS.iter().position(is_kept).expect("one of two copies is kept");
    [kept, 1 - kept].map(|at| (life(URLS[at])["id"].as_str().unwrap().to_owned(), URLS[at]))
}

fn forget(folder: &Folder, args: &[&str]) -> common::Done {
    gristmill(&[&["forget", "work"], args].concat(), &folder.0)
}

#[test]
fn a_forgotten_document_is_nowhere_and_the_rest_is_as_it_was() {
    let folder = built("forget", 90);
    let dataset = folder.join("work/dataset");
    let [(kept, url), (copy, _)] = copies(&folder);
    let before = tree(&dataset);
    let rows_before = sequences(&dataset);
    let gone = tokens(&rows_before, &kept);
    assert!(gone.len() > 100 && texts(&dataset).iter().any(|text| text.contains(MARK)));
    let told =
        forget(&folder, &[url, "--reason", "asked", "--date", "2026-01-02", "--json"]).expect(0).json();
    let of = |record: &Value| record["id"].as_str().unwrap().to_owned();
    let went: BTreeSet<String> = told["documents"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(went, BTreeSet::from([kept.clone(), copy.clone()]), "{told:#}");
    assert_eq!(told["tokens"], gone.len(), "{told:#}");
    // Nowhere: not as text, not as an address, not as an id but in the record, not as tokens.
    let record = fs::read_to_string(dataset.join("forgotten.jsonl")).unwrap();
    assert!(record.contains("\"reason\":\"asked\"") && record.contains("2026-01-02"), "{record}");
    assert!(record.contains(&format!("\"copy_of\":\"{kept}\"")), "{record}");
    for text in texts(&dataset).iter().filter(|text| **text != record) {
        for word in [MARK, URLS[0], URLS[1], &kept, &copy] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
    assert!(!record.contains(MARK) && !record.contains("forget.example"), "{record}");
    let rows = sequences(&dataset);
    // What stays are the other pieces, moved together; a sequence of the document alone is gone.
    let expected: Vec<Sequence> = rows_before.iter().filter_map(|row| without(row, &kept)).collect();
    assert_eq!(rows, expected);
    // The end of it, with the word that no other document has.
    let end = &gone[gone.len() - 20..];
    let holds = |rows: &[Sequence]| rows.iter().any(|(ids, ..)| ids.windows(20).any(|window| window == end));
    assert!(holds(&rows_before) && !holds(&rows));
    // The other files have their bytes, and the dataset is sound.
    let after = tree(&dataset);
    let rewritten: BTreeSet<&str> =
        told["rewritten"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let ours = ["manifest.json", "forgotten.jsonl"];
    for (name, bytes) in &after {
        let same = before.get(name) == Some(bytes);
        assert!(same != (rewritten.contains(name.as_str()) || ours.contains(&name.as_str())), "{name}");
    }
    assert_eq!(told["untouched"].as_u64().unwrap(), (after.len() - rewritten.len() - ours.len()) as u64);
    gristmill(&["verify", "work"], &folder.0).expect(0);
    assert_conserved(&serde_json::from_slice(&after["manifest.json"]).unwrap());
    assert_tidy(&folder.join("work"));
    // The document is told as forgotten, by address and by id; others live on.
    for question in [url, &kept, &kept[..8], &copy] {
        let told = explain(&folder, question);
        assert_eq!(told["forgotten"][0]["reason"], "asked", "{question}: {told}");
    }
    let shown = gristmill(&["explain", "work", url], &folder.0).expect(0).out;
    assert!(shown.contains("forgotten on request: asked (2026-01-02)"), "{shown}");
    // Twice is once.
    let again = forget(&folder, &[url, "--json"]).expect(0).json();
    assert_eq!((&again["before"], again["documents"].as_array().unwrap().len()), (&json!([url]), 0));
    assert_same(&tree(&dataset), &after, "forgotten twice");
}

/// A sequence without the pieces of a document.
fn without((ids, pieces, pad): &Sequence, document: &str) -> Option<Sequence> {
    let (mut kept, mut of, mut at, mut gone) = (Vec::new(), Vec::new(), 0, 0);
    for (id, offset, length) in pieces {
        let end = at + *length as usize;
        if id == document {
            gone += length;
        } else {
            kept.extend_from_slice(&ids[at..end]);
            of.push((id.clone(), *offset, *length));
        }
        at = end;
    }
    kept.resize(ids.len(), 0);
    if gone == 0 {
        Some((ids.clone(), pieces.clone(), *pad))
    } else {
        (!of.is_empty()).then_some((kept, of, pad + gone))
    }
}

#[test]
fn no_build_brings_it_back_and_the_cache_can_be_purged() {
    let folder = built("forget-again", 40);
    let dataset = folder.join("work/dataset");
    let [(kept, url), _] = copies(&folder);
    let told = forget(&folder, &[url, "--json"]).expect(0).json();
    assert!(told["remains"].to_string().contains("work/cache"), "{told:#}");
    let forgotten = tree(&dataset);
    // The same build has nothing to do.
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    assert_same(&tree(&dataset), &forgotten, "built again");
    // Out of the cache too.
    let told = forget(&folder, &[url, "--workdir", "work", "--json"]).expect(0).json();
    assert!(told["purged"]["files"].as_u64() > Some(2), "{told:#}");
    assert!(!told["remains"].to_string().contains("work/cache"), "{told:#}");
    let told = forget(&folder, &[url, "--workdir", "work", "--json"]).expect(0).json();
    assert_eq!(told["purged"]["files"], 0);
    // Another build, from the sources that still have it.
    folder.write("recipe.toml", corpus::recipe(29));
    let done =
        gristmill(&["build", "recipe.toml", "--workdir", "work", "--progress", "json"], &folder.0).expect(0);
    assert!(done.err.contains("2 documents stay out of the dataset"), "{}", done.err);
    assert!(texts(&dataset).iter().all(|text| !text.contains(MARK)));
    assert!(tokens(&sequences(&dataset), &kept).is_empty());
    assert_eq!(fs::read(dataset.join("forgotten.jsonl")).unwrap(), forgotten["forgotten.jsonl"]);
    assert_conserved(&report(&folder.join("work")));
    gristmill(&["verify", "work"], &folder.0).expect(0);
    // In another folder the record says what must go.
    gristmill(&["build", "recipe.toml", "--workdir", "other"], &folder.0).expect(0);
    let record = dataset.join("forgotten.jsonl").display().to_string();
    gristmill(&["forget", "other", "--record", &record], &folder.0).expect(0);
    assert_same(&tree(&folder.join("other/dataset")), &tree(&dataset), "by the record");
}

#[test]
fn killed_at_any_moment_the_old_dataset_or_the_new_one_is_there() {
    let folder = built("forget-kill", 40);
    let dataset = folder.join("work/dataset");
    let [(_, url), _] = copies(&folder);
    let old = tree(&dataset);
    let keep = folder.join("keep");
    let restore = || {
        for (name, bytes) in &old {
            common::write(&keep, name, bytes);
        }
        drop(fs::remove_dir_all(&dataset));
        fs::rename(&keep, &dataset).unwrap();
    };
    restore();
    let begun = std::time::Instant::now();
    forget(&folder, &[url]).expect(0);
    let mut whole = begun.elapsed();
    let new = tree(&dataset);
    let mut rng = Rng::new(seed(6, "kills", 0));
    let (mut olds, mut news, mut kills) = (0, 0, 0);
    for n in 0..60 {
        if kills == KILLS {
            break;
        }
        restore();
        let mut child = start(&["forget", "work", url], &folder.0);
        // Most moments are near the end, where files are written and folders change places.
        let share = if n % 3 == 0 { rng.next_f64() } else { 0.7 + 0.3 * rng.next_f64() };
        std::thread::sleep(whole.mul_f64(share).max(Duration::from_millis(1)));
        drop(child.kill());
        // No exit code: the signal ended it.
        let killed = child.wait().unwrap().code().is_none();
        kills += u64::from(killed);
        // Other work on the machine comes and goes: what was done before its kill was timed too long.
        whole = whole.mul_f64(if killed { 1.02 } else { 0.85 });
        gristmill(&["verify", "work"], &folder.0).expect(0);
        let found = tree(&dataset);
        if found == old {
            olds += 1
        } else {
            news += 1
        }
        if found != old {
            assert_same(&found, &new, &format!("kill {n}"));
        }
        forget(&folder, &[url]).expect(0);
        assert_same(&tree(&dataset), &new, &format!("after kill {n}"));
        assert_tidy(&folder.join("work"));
    }
    eprintln!("{kills} kills within {whole:?}: {olds} old, {news} new");
    assert_eq!(kills, KILLS, "within {whole:?}");
    // Between the two renames: the old one is aside, and found.
    restore();
    fs::rename(&dataset, folder.join("work/dataset.old")).unwrap();
    gristmill(&["verify", "work"], &folder.0).expect(0);
    forget(&folder, &[url]).expect(0);
    assert_same(&tree(&dataset), &new, "after a kill between two renames");
    assert_tidy(&folder.join("work"));
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_written() {
    let folder = built("forget-wrong", 30);
    let dataset = folder.join("work/dataset");
    let before = tree(&dataset);
    let none = forget(&folder, &["https://forget.example/none"]).expect(1).out;
    assert!(none.contains("nothing was forgotten") && none.contains("not in the dataset: 1"), "{none}");
    assert!(forget(&folder, &[]).expect(2).err.contains("name documents to forget"));
    let error = forget(&folder, &["--id", "abcd"]).expect(2).err;
    assert!(error.contains("`abcd` is no id"), "{error}");
    folder.write("bad.jsonl", "{\"id\":1}\n");
    let error = forget(&folder, &["--record", "bad.jsonl"]).expect(2).err;
    assert!(error.contains("bad.jsonl: line 1: "), "{error}");
    assert_same(&tree(&dataset), &before, "nothing done");
    // A file that was altered is not written again as if it were sound.
    let name = "documents/part-00000.parquet";
    let mut bytes = before[name].clone();
    let file = fs::File::open(dataset.join(name)).unwrap();
    let read = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let columns = read.metadata().row_group(0).columns();
    let text = columns.iter().find(|column| column.column_path().parts() == ["text"]).unwrap();
    let (start, length) = text.byte_range();
    bytes[(start + length / 2) as usize] ^= 1;
    fs::write(dataset.join(name), bytes).unwrap();
    let done = forget(&folder, &[URLS[0], URLS[1]]);
    assert!(
        done.code == 1 && done.err.contains("documents/part-00000.parquet: the file is not the one"),
        "{done:?}"
    );
    assert_tidy(&folder.join("work"));
    fs::write(dataset.join(name), &before[name]).unwrap();
    assert_same(&tree(&dataset), &before, "refused");
    // By a file of ids, with the address kept in the record.
    let [(kept, url), _] = copies(&folder);
    folder.write("ids.txt", format!("{kept}\n\n"));
    forget(&folder, &["--id", "--file", "ids.txt", "--keep-urls"]).expect(0);
    let records = lines(&dataset.join("forgotten.jsonl"));
    assert!(records.iter().any(|record| record["url"] == url && record.get("date").is_none()), "{records:?}");
    gristmill(&["verify", "work"], &folder.0).expect(0);
    // A copy elsewhere, under a name of its own, is a dataset too.
    for (name, bytes) in &before {
        common::write(&folder.join("elsewhere/mine"), name, bytes);
    }
    gristmill(&["forget", "elsewhere/mine", url, "--keep-urls"], &folder.0).expect(0);
    assert_same(&tree(&folder.join("elsewhere/mine")), &tree(&dataset), "elsewhere");
    assert_eq!(fs::read_dir(folder.join("elsewhere")).unwrap().count(), 1);
}

#[test]
fn json_lines_lose_the_line_and_keep_all_others() {
    let folder = Folder::new("forget-lines");
    folder.write("own.jsonl", corpus::json_lines(32, 0..40));
    for (compression, ending) in [("none", "jsonl"), ("gzip", "jsonl.gz")] {
        folder.write(
            "recipe.toml",
            format!(
                "name = \"lines\"\n[sources.own]\nkind = \"source.jsonl\"\npaths = [\"own.jsonl\"]\n\
                 [[stages]]\nkind = \"filter.length\"\nwords_min = 30\n[[stages]]\nkind = \"sink.jsonl\"\n\
                 compression = \"{compression}\"\nshard_rows = 7\n"
            ),
        );
        let workdir = format!("work-{compression}");
        gristmill(&["build", "recipe.toml", "--workdir", &workdir], &folder.0).expect(0);
        let shards = |workdir: &str| -> Vec<String> {
            let files = tree(&folder.join(workdir).join("dataset"));
            let shards =
                files.iter().filter(|(name, _)| name.ends_with(ending) && !name.starts_with("forgotten"));
            shards
                .flat_map(|(_, bytes)| {
                    decoded(bytes, compression).lines().map(str::to_owned).collect::<Vec<_>>()
                })
                .collect()
        };
        let before = shards(&workdir);
        let url = "https://words.example/16";
        gristmill(&["forget", &workdir, url], &folder.0).expect(0);
        let expected: Vec<String> =
            before.iter().filter(|line| !line.contains(&format!("{url}\""))).cloned().collect();
        assert_eq!(expected.len() + 1, before.len());
        assert_eq!(shards(&workdir), expected, "{compression}");
        gristmill(&["verify", &workdir], &folder.0).expect(0);
        gristmill(&["forget", &workdir, url], &folder.0).expect(0);
    }
}

#[test]
fn an_id_of_the_user_is_not_taken_for_an_id_of_the_house() {
    let folder = Folder::new("forget-own-ids");
    // As MD5 writes it: 32 hexadecimal digits, each the id of the line before in the eyes of a careless reader.
    let line = |n: u64| {
        let text = corpus::prose(&mut Rng::new(n), 12);
        json!({ "id": format!("{:032x}", 0xd41d_8cd9_u64 * (n + 1)), "url": format!("https://own.example/{n}"), "text": text })
            .to_string()
            + "\n"
    };
    folder.write("own.jsonl", (0..9).map(line).collect::<String>());
    folder.write(
        "recipe.toml",
        "name = \"lines\"\n[sources.own]\nkind = \"source.jsonl\"\npaths = [\"own.jsonl\"]\nrow = true\n\
         [[stages]]\nkind = \"sink.jsonl\"\n",
    );
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let lines = || -> Vec<String> {
        let files = tree(&folder.join("work/dataset"));
        let ours = files.into_iter().filter(|(name, _)| name.ends_with("00000.jsonl"));
        ours.flat_map(|(_, bytes)| {
            decoded(&bytes, "none").lines().map(|line| line.to_owned() + "\n").collect::<Vec<_>>()
        })
        .collect()
    };
    assert_eq!(lines(), (0..9).map(line).collect::<Vec<_>>());
    // The address leads to the line and to its rows in every ledger; the id of the house is the one in the record.
    let told = forget(&folder, &["https://own.example/4", "--json"]).expect(0).json();
    let house = told["documents"][0]["id"].as_str().unwrap().to_owned();
    assert_ne!(house, format!("{:032x}", 0xd41d_8cd9_u64 * 5));
    let rewritten = told["rewritten"].as_array().unwrap();
    assert!(rewritten.iter().any(|name| name.as_str().unwrap().starts_with("ledger/")), "{told:#}");
    assert_eq!(lines(), (0..9).filter(|n| *n != 4).map(line).collect::<Vec<_>>());
    gristmill(&["verify", "work"], &folder.0).expect(0);
    // The id of the house leads to the line too, and the user's leads nowhere.
    let ledger =
        tree(&folder.join("work/dataset")).into_keys().find(|name| name.starts_with("ledger/")).unwrap();
    let mut ids = Vec::new();
    for batch in batches(&folder.join("work/dataset").join(ledger)) {
        strings(batch.column_by_name("id").unwrap().as_ref(), &mut ids);
    }
    forget(&folder, &["--id", &ids[7]]).expect(0);
    let stays = |n: &u64| *n != 4 && *n != 8;
    assert_eq!(lines(), (0..9).filter(stays).map(line).collect::<Vec<_>>());
    forget(&folder, &["--id", &format!("{:032x}", 0xd41d_8cd9_u64)]).expect(1);
    assert_eq!(lines().len(), 7);
}

#[test]
fn finds_of_benchmarks_go_and_what_cannot_be_rewritten_is_named() {
    let folder = Folder::new("forget-settled");
    let question =
        "Which of the seven narrow stairs of the old harbour leads to the garden of the librarian?";
    let line = |n: u64| {
        let asked = if n < 2 { question } else { "" };
        let text = format!(
            "{} {asked} {}",
            corpus::prose(&mut Rng::new(n), 12),
            corpus::prose(&mut Rng::new(n + 50), 9)
        );
        json!({ "url": format!("https://own.example/{n}"), "text": text }).to_string() + "\n"
    };
    folder.write("own.jsonl", (0..9).map(line).collect::<String>());
    folder.write(
        "bench.jsonl",
        json!({ "id": "Q1", "question": question, "answer": "the last one" }).to_string(),
    );
    folder.write(
        "recipe.toml",
        "name = \"settled\"\n[sources.own]\nkind = \"source.jsonl\"\npaths = [\"own.jsonl\"]\n\
         [[stages]]\nkind = \"dedup.minhash\"\nindex = \"near.index\"\n\
         [[stages]]\nkind = \"decontaminate.ngram\"\nsets = [\"bench.jsonl\"]\n\
         [[stages]]\nkind = \"sink.parquet\"\n",
    );
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let report = || fs::read_to_string(folder.join("work/dataset/decontamination.json")).unwrap();
    let before = report();
    let told = forget(&folder, &["https://own.example/0", "--json"]).expect(0).json();
    let id = told["documents"][0]["id"].as_str().unwrap();
    assert!(before.contains(id) && !report().contains(id), "{}", report());
    let found = |text: &str| serde_json::from_str::<Value>(text).unwrap()["sets"][0]["found_items"].clone();
    assert_eq!((&found(&before)[0]["documents"], &found(&report())[0]["documents"]), (&json!(2), &json!(1)));
    // What stays is written as it was.
    assert_eq!(
        found(&report())[0]["places"][0],
        *found(&before)[0]["places"].as_array().unwrap().iter().find(|place| place["id"] != id).unwrap()
    );
    assert!(told["remains"].to_string().contains("near.index: id of the document"), "{told:#}");
    assert!(!told["remains"].to_string().contains("decontamination.json"), "{told:#}");
    gristmill(&["verify", "work"], &folder.0).expect(0);
    // With its last document the item goes.
    forget(&folder, &["https://own.example/1"]).expect(0);
    assert!(report().contains("\"found\": 0") && found(&report()) == json!([]), "{}", report());
    gristmill(&["verify", "work"], &folder.0).expect(0);
}

fn decoded(bytes: &[u8], compression: &str) -> String {
    match compression {
        "gzip" => std::io::read_to_string(flate2::read::MultiGzDecoder::new(bytes)).unwrap(),
        _ => String::from_utf8(bytes.to_vec()).unwrap(),
    }
}
