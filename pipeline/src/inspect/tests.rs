//! Views, lives and checks of the small dataset of [`super::fixture`].

use super::fixture::{RECORD_IDS, TEXTS, URLS, dataset, files, folder, id, strings, write};
use super::*;
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use schemas::manifest::Node;
use std::sync::Arc;

fn altered(root: &std::path::Path, file: &str) -> Vec<Finding> {
    let path = root.join(file);
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&path, bad).unwrap();
    let found = verify(&Dataset::open(root).unwrap()).unwrap().findings;
    std::fs::write(&path, good).unwrap();
    found
}

#[test]
fn one_altered_byte_is_one_finding_that_names_the_file() {
    let folder = dataset("altered");
    let whole = verify(&Dataset::open(&folder.0).unwrap()).unwrap();
    assert_eq!(whole.findings, []);
    assert_eq!((whole.nodes, whole.sequences), (4, 2));
    for file in files(&folder.0).keys() {
        let found = altered(&folder.0, file);
        assert_eq!(found.iter().map(|f| f.file.as_str()).collect::<Vec<_>>(), [file.as_str()], "{found:?}");
        assert!(found[0].what.starts_with("blake3 is "), "{found:?}");
    }
}

/// Changes the folder, writes the hashes anew, and gives what is still found.
fn check(name: &str, change: impl FnOnce(&std::path::Path, &mut schemas::Manifest), expected: &[&str]) {
    let folder = dataset(name);
    let mut manifest = Dataset::open(&folder.0).unwrap().manifest;
    change(&folder.0, &mut manifest);
    std::fs::write(folder.0.join("manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let found = verify(&Dataset::open(&folder.0).unwrap()).unwrap().findings;
    let told: Vec<String> = found.iter().map(|f| format!("{}: {}", f.file, f.what)).collect();
    assert_eq!(told, expected);
}

#[test]
fn sums_and_sequences_must_hold() {
    check("more", |root, _| std::fs::write(root.join("x"), "").unwrap(), &["x: is not in the manifest"]);
    let gone = "signals/02-filter.length.parquet";
    check(
        "gone",
        |root, _| std::fs::remove_file(root.join(gone)).unwrap(),
        &[&format!("{gone}: is missing")],
    );
    let edit = |m: &mut schemas::Manifest| m.nodes[1].edited = 0;
    let told = "ledger/01-clean.lines.parquet: has 1 rows edited, but node `clean.lines` says 0";
    check("edited", |_, m| edit(m), &[told]);
    let kept = |m: &mut schemas::Manifest| m.nodes[0].kept = 3;
    let told = [
        "ledger/00-site.parquet: has 4 rows kept, but node `site` says 3",
        "manifest.json: node `site`: 4 rows in, but 3 kept + 0 dropped",
    ];
    check("kept", |_, m| kept(m), &told);
    let small = |m: &mut schemas::Manifest| m.tokens.as_mut().unwrap().vocab_size = 4;
    check("vocab", |_, m| small(m), &["tokens/train/part-00000.parquet: row 0: token id 4 is not in 0..4"]);
    let train = |m: &mut schemas::Manifest| m.tokens.as_mut().unwrap().train = 7;
    check("train", |_, m| train(m), &["manifest.json: says 7 tokens in train, the shards have 6"]);
    let lost = |root: &std::path::Path, m: &mut schemas::Manifest| {
        let batch = RecordBatch::try_from_iter([("id", strings(&[Some(&id(0))]))]).unwrap();
        write(&root.join("documents/part-00000.parquet"), &batch);
        m.files = files(root);
    };
    let stranger = format!("row 0: document {} is not in documents/", id(1));
    let told = ["train", "validation"].map(|s| format!("tokens/{s}/part-00000.parquet: {stranger}"));
    check("lost", lost, &[&told[0], &told[1]]);
}

struct Cut;

impl TextHistory for Cut {
    fn texts(&self, node: &Node, at: &str) -> Texts {
        let known = node.name == "clean.lines" && at == id(1);
        Texts { before: known.then(|| TEXTS[1].to_owned()), after: known.then(|| "four five".to_owned()) }
    }
}

fn life(name: &str, question: &str) -> Life {
    let folder = dataset(name);
    match explain(&Dataset::open(&folder.0).unwrap(), question, &Cut).unwrap() {
        Found::Lives(mut lives) if lives.len() == 1 => lives.remove(0),
        other => panic!("{other:?}"),
    }
}

fn told(life: &Life) -> Vec<String> {
    life.steps
        .iter()
        .map(|s| format!("{} {} {}", s.node, s.action, s.reason.as_deref().unwrap_or("-")))
        .collect()
}

#[test]
fn a_kept_document() {
    let life = life("life-kept", URLS[0]);
    let steps = ["site kept -", "clean.lines kept -", "filter.length kept -", "dedup.exact kept -"];
    assert_eq!(told(&life), steps);
    assert_eq!(life.fate, Fate::Kept { file: "documents/part-00000.parquet".into(), row: 0 });
    assert_eq!(life.steps[2].signals["words"], 3.0);
    assert_eq!(life.text.as_deref(), Some(TEXTS[0]));
    let place =
        Place { file: "tokens/train/part-00000.parquet".into(), row: 0, tokens: 3, start: 0, offset: 0 };
    assert_eq!(life.tokens, [place]);
}

#[test]
fn an_edited_document_by_the_beginning_of_its_id() {
    let life = life("life-edited", &id(1)[..6].to_uppercase());
    assert_eq!((life.id.clone(), life.tokens.len()), (id(1), 2));
    assert_eq!(life.steps[1].action, "edited");
    assert_eq!(life.steps[1].chars, Some((14, 9)));
    assert_eq!(life.steps[1].changes, [Change { line: 1, removed: vec!["menu".into()], added: vec![] }]);
}

#[test]
fn documents_by_what_their_source_calls_them() {
    assert_eq!(life("life-record", RECORD_IDS[2]).id, id(2));
    let folder = dataset("life-records");
    let lives = match explain(&Dataset::open(&folder.0).unwrap(), RECORD_IDS[0], &NoHistory).unwrap() {
        Found::Lives(lives) => {
            lives.into_iter().map(|life| life.id).collect::<std::collections::BTreeSet<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(lives, [id(0), id(3)].into());
}

#[test]
fn a_dropped_and_a_duplicate_document() {
    let short = life("life-short", &id(2));
    assert_eq!(told(&short)[2], "filter.length dropped too_short");
    assert_eq!((short.steps[2].value, short.steps[2].limit), (Some(1.0), Some(2.0)));
    let file = "dropped/02-filter.length.parquet".into();
    assert_eq!(short.fate, Fate::Dropped { node: "filter.length".into(), file, row: 0 });
    let twin = life("life-twin", URLS[3]);
    assert_eq!(twin.steps[3].twin, Some(id(0)));
    assert_eq!(twin.steps[3].twin_url.as_deref(), Some(URLS[0]));
}

#[test]
fn what_is_not_there_has_neighbours() {
    let folder = dataset("life-near");
    let dataset = Dataset::open(&folder.0).unwrap();
    match explain(&dataset, "https://h.test/a/kept.htm", &NoHistory).unwrap() {
        Found::Nothing(near) => assert_eq!(near[0].1.as_deref(), Some(URLS[0])),
        other => panic!("{other:?}"),
    }
    assert_eq!(explain(&dataset, "http://else.test/", &NoHistory).unwrap(), Found::Nothing(Vec::new()));
    assert_eq!(explain(&dataset, "", &NoHistory).unwrap(), Found::Nothing(Vec::new()));
}

#[test]
fn tokens_are_words_with_borders() {
    let folder = dataset("tokens");
    let dataset = Dataset::open(&folder.0).unwrap();
    let vocabulary = Vocabulary::read(&folder.0.join("tokenizer.json")).unwrap();
    let table = dataset.table("tokens").unwrap();
    let row = token_row(&table, 0, &vocabulary, Some(&dataset)).unwrap();
    let texts: Vec<&[String]> = row.pieces.iter().map(|p| p.texts.as_slice()).collect();
    assert_eq!(texts, [["one", " two", "<|end|>"], ["\nthree", "\\xC3", "<|end|>"]]);
    assert_eq!(row.pieces[1].url.as_deref(), Some(URLS[1]));
    let row = token_row(&table, 1, &vocabulary, Some(&dataset)).unwrap();
    assert_eq!((row.pad, row.pieces[0].offset), (4, 3));
    assert!(
        token_row(&table, 2, &vocabulary, None).unwrap_err().to_string().starts_with("there is no row 2")
    );
}

#[test]
fn tokens_that_are_masked_are_told() {
    let folder = dataset("mask");
    let path = folder.0.join("tokens/train/part-00000.parquet");
    let file = std::fs::File::open(&path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let mut mask = arrow::array::ListBuilder::new(arrow::array::BooleanBuilder::new());
    mask.append_value([true, false, true, false, false, true].map(Some));
    let schema = batch.schema();
    let columns = schema.fields().iter().map(|f| f.name().clone()).zip(batch.columns().to_vec());
    let masked = columns.chain([("loss_mask".to_owned(), Arc::new(mask.finish()) as ArrayRef)]);
    write(&path, &RecordBatch::try_from_iter(masked).unwrap());
    let vocabulary = Vocabulary::read(&folder.0.join("tokenizer.json")).unwrap();
    let row = token_row(&Table::open(&[path]).unwrap(), 0, &vocabulary, None).unwrap();
    let learned: Vec<_> = row.pieces.iter().map(|piece| piece.learned.clone().unwrap()).collect();
    assert_eq!(learned, [[true, false, true], [false, false, true]]);
}

#[test]
fn rows_are_read_by_number_across_files() {
    let folder = folder("rows");
    for (file, first) in [("a.parquet", 0), ("b.parquet", 7)] {
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 7));
        write(&folder.0.join(file), &RecordBatch::try_from_iter([("n", n)]).unwrap());
    }
    std::fs::write(folder.0.join("c.jsonl"), "{\"n\":14}\n\nnot json\n{\"n\":15,\"s\":\"x\"}\n").unwrap();
    let Target::Table(table) = Target::open(&folder.0).unwrap() else {
        panic!("a folder of files is a table")
    };
    assert_eq!((table.rows(), table.bad_lines()), (16, 1));
    let all: Vec<u64> = (0..16).collect();
    let grid = table.read(&all).unwrap();
    assert_eq!(grid.rows.iter().map(|r| r[0].as_u64().unwrap()).collect::<Vec<_>>(), all);
    for rows in [vec![0, 6, 7, 13, 15], vec![3], vec![14, 15], vec![]] {
        let read: Vec<u64> = table.read(&rows).unwrap().rows.iter().map(|r| r[0].as_u64().unwrap()).collect();
        assert_eq!(read, rows);
    }
    let stats = stats(&table).unwrap();
    assert_eq!((stats.columns[0].distinct, stats.columns[0].mean), (16, Some(7.5)));
    assert_eq!(stats.columns[1].nulls, 15);
    let view = schema(&table);
    assert_eq!((view.row_groups, view.stored.len()), (8, 1));
}

#[test]
fn errors_name_the_file_and_the_next_step() {
    let folder = dataset("errors");
    let check = |file: &str, bytes: &[u8], expected: &str| {
        let path = folder.0.join(file);
        std::fs::write(&path, bytes).unwrap();
        let error = Target::open(&path).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains(expected) && error.contains("help: "), "{error}");
    };
    let whole = std::fs::read(folder.0.join("documents/part-00000.parquet")).unwrap();
    check("cut.parquet", &whole[..whole.len() / 2], "damaged Parquet file");
    check("empty.parquet", b"", "it is empty");
    check("text.parquet", b"{}", "does not start with `PAR1`");
    check("text.jsonl", b"hello\n", "no line is a JSON object");
    let empty = folder.0.join("nothing");
    std::fs::create_dir(&empty).unwrap();
    assert!(Target::open(&empty).unwrap_err().to_string().contains("holds no Parquet or JSON-lines file"));
    assert!(Dataset::open(&empty).unwrap_err().to_string().contains("no manifest.json"));
}

#[cfg(feature = "sql")]
#[test]
fn sql_answers_and_names_what_exists() {
    let folder = dataset("sql");
    let dataset = Dataset::open(&folder.0).unwrap();
    let tables =
        dataset.tables().into_iter().map(|(name, files)| (name, Table::open(&files).unwrap())).collect();
    let check = |query: &str, expected: &str| {
        let answer = sql(&tables, query, Some(10)).unwrap();
        assert_eq!(answer.grid.to_json().to_string(), expected, "{query}");
    };
    check("select count(*) as n from documents", r#"[{"n":2}]"#);
    check(
        "select reason, value, \"limit\" from ledger where reason = 'too_short'",
        r#"[{"limit":2.0,"reason":"too_short","value":1.0}]"#,
    );
    check(
        "select reason, count(*) as n from dropped group by reason order by reason",
        r#"[{"n":1,"reason":"duplicate"},{"n":1,"reason":"too_short"}]"#,
    );
    check("select max(words) as most from signals_filter_length", r#"[{"most":3.0}]"#);
    check(
        "select pad, doc_lens from tokens order by pad",
        r#"[{"doc_lens":[3,3],"pad":0},{"doc_lens":[2],"pad":4}]"#,
    );
    let error = sql(&tables, "select x from documens", None).unwrap_err().to_string();
    assert!(error.contains("did you mean `documents`?") && error.contains("ledger (id, stage"), "{error}");
    assert!(sql(&tables, "selec x", None).is_err());
    assert!(sql(&tables, "select * from ledger", Some(3)).unwrap().more);
}
