//! One stage alone, as a user runs it: what it reads, what it writes, what it says.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::{Done, Folder, assert_conserved, command, corpus, finish, gristmill, lines, tree};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

const ROWS: &str = "{\"id\":\"a\",\"text\":\"one two three four\",\"likes\":12345678901234567890,\"tags\":[\"x\",{\"y\":null}]}\n\
    {\"text\":\"short\",\"meta\":{\"deep\":1.50}}\n\
    not json\n\
    {\"id\":\"c\",\"text\":\"five six seven eight\",\"text_de\":\"fünf\"}\n";

#[test]
fn a_stage_alone_keeps_what_it_does_not_read() {
    let folder = Folder::new("stage");
    folder.write("in.jsonl", ROWS);
    folder.write("in.jsonl.gz", corpus::gzip(ROWS.as_bytes()));
    for input in ["in.jsonl", "in.jsonl.gz"] {
        let set = ["--set", "words_min=3", "--dropped", "gone.jsonl", "--json"];
        let args = [&["stage", "filter.length", "--in", input, "--out", "out.jsonl"], &set[..]].concat();
        let counts = gristmill(&args, &folder.0).expect(0).json();
        assert_conserved(&json!({ "nodes": counts }));
        let text = fs::read_to_string(folder.join("out.jsonl")).unwrap();
        // A number longer than 64 bits and the order of the fields are as they were.
        assert!(text.contains("12345678901234567890") && text.find("likes") < text.find("tags"), "{text}");
        let kept = lines(&folder.join("out.jsonl"));
        assert_eq!(kept.len(), 2);
        assert_eq!((&kept[0]["tags"], &kept[1]["text_de"]), (&json!(["x", { "y": null }]), &json!("fünf")));
        let gone = lines(&folder.join("gone.jsonl"));
        assert_eq!(gone.len(), 2, "{gone:?}");
        let short = gone.iter().find(|g| g["dropped"]["reason"] == "too_short").unwrap();
        assert_eq!((&short["text"], &short["meta"]["deep"]), (&json!("short"), &json!(1.5)));
        assert_eq!((&short["dropped"]["value"], &short["dropped"]["limit"]), (&json!(1.0), &json!(3.0)));
        let broken = gone.iter().find(|g| g["dropped"]["reason"] == "bad_json").unwrap();
        assert_eq!((&broken["text"], &broken["dropped"]["stage"]), (&json!("not json"), &json!("in")));
    }
    // Through Parquet and back.
    gristmill(&["stage", "clean.whitespace", "--in", "in.jsonl", "--out", "o.parquet"], &folder.0).expect(0);
    gristmill(
        &["stage", "filter.length", "--in", "o.parquet", "--out", "p.parquet", "--set", "words_min=3"],
        &folder.0,
    )
    .expect(0);
    let rows = gristmill(&["inspect", "p.parquet", "--json"], &folder.0).expect(0).json();
    assert_eq!(
        (&rows["rows"], &rows["head"][1]["text"]),
        (&json!(2), &json!("five six seven eight")),
        "{rows}"
    );
    let mut left: Vec<_> = tree(&folder.0).into_keys().collect();
    left.retain(|name| name.contains("work") || name.ends_with(".part"));
    assert!(left.is_empty(), "left over: {left:?}");
}

const AGAIN: &str = "one two three four five six seven";

/// A folder with three rows, two of which have one text.
fn rows_of_fields(name: &str) -> Folder {
    let folder = Folder::new(name);
    let row = |n: usize, text: &str| json!({ "id": n, "text": text, "n": 1.5 }).to_string();
    let other = "one two three four five six";
    folder.write("in.jsonl", [row(1, AGAIN), row(2, AGAIN), row(3, other)].join("\n"));
    folder
}

fn stage_fields(folder: &Folder, kind: &str, files: [&str; 2], fields: &str, more: &[&str]) -> Done {
    let args = ["stage", kind, "--in", files[0], "--out", files[1], "--fields", fields];
    gristmill(&[&args[..], more].concat(), &folder.0)
}

/// Fields that are asked for are all that is written, by stages that wait for all rows and by those that do not.
#[test]
fn a_stage_writes_the_fields_that_are_asked_for() {
    let folder = rows_of_fields("stage-fields");
    let again = format!(r#"{{"text":"{AGAIN}"}}"#);
    let numbered = [r#"{"id":1,"n":1.5}"#, r#"{"id":2,"n":1.5}"#, r#"{"id":3,"n":1.5}"#];
    for (kind, fields, expected) in [
        ("clean.whitespace", "id,n", &numbered[..]),
        ("dedup.minhash", "id", &[r#"{"id":1}"#, r#"{"id":3}"#]),
        ("dedup.exact", "text", &[&again, r#"{"text":"one two three four five six"}"#]),
    ] {
        stage_fields(&folder, kind, ["in.jsonl", "out.jsonl"], fields, &[]).expect(0);
        let mut written: Vec<String> =
            fs::read_to_string(folder.join("out.jsonl")).unwrap().lines().map(str::to_owned).collect();
        // Which of two equal ones stays is said by their content.
        written.iter_mut().for_each(|line| *line = line.replace(r#"{"id":2}"#, r#"{"id":1}"#));
        assert_eq!(written, expected, "{kind}");
    }
    stage_fields(&folder, "dedup.minhash", ["in.jsonl", "out.parquet"], "record_id,text", &[]).expect(0);
    let rows = gristmill(&["inspect", "out.parquet", "--json"], &folder.0).expect(0).json();
    let names: Vec<&String> = rows["head"][0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["record_id", "text"], "{rows}");
    stage_fields(&folder, "dedup.exact", ["in.jsonl", "out.parquet"], "record_id,metadata", &[]).expect(0);
    let rows = gristmill(&["inspect", "out.parquet", "--json"], &folder.0).expect(0).json();
    assert_eq!(rows["head"][0]["metadata"], r#"{"n":1.5}"#, "{rows}");
}

/// Dropped rows have the fields too, from JSON lines and Parquet, to JSON lines and Parquet.
#[test]
fn dropped_rows_have_the_fields_that_are_asked_for() {
    let folder = rows_of_fields("stage-fields-dropped");
    let gone = |files: [&str; 2], fields: &str| {
        stage_fields(&folder, "dedup.exact", files, fields, &["--dropped", "gone.jsonl"]).expect(0);
        let mut gone = lines(&folder.join("gone.jsonl"));
        assert_eq!(gone.len(), 1, "{gone:?}");
        gone.remove(0)
    };
    let names = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&gone(["in.jsonl", "n.jsonl"], "n")), ["dropped", "n"]);
    let row = gone(["in.jsonl", "m.parquet"], "record_id,metadata");
    assert_eq!((names(&row).len(), &row["metadata"]), (3, &json!(r#"{"n":1.5}"#)), "{row}");
    let row = gone(["in.jsonl", "x.parquet"], "record_id,text");
    assert_eq!((names(&row).len(), &row["text"]), (3, &json!(AGAIN)), "{row}");
    gristmill(&["stage", "clean.whitespace", "--in", "in.jsonl", "--out", "all.parquet"], &folder.0)
        .expect(0);
    assert_eq!(names(&gone(["all.parquet", "x.jsonl"], "record_id")), ["dropped", "record_id"]);
}

/// A dropped row is its line, to the byte, and why it is out.
#[test]
fn dropped_rows_stay_as_they_were_written() {
    let folder = Folder::new("stage-dropped");
    let line = r#"{"n":1.10,"id":"a","big":123456789012345678901234567890,"e":1e400,"z":{"b":-0,"a":"\ud83d"},"text":"short"}"#;
    folder.write("in.jsonl", line);
    let args = ["stage", "filter.length", "--in", "in.jsonl", "--out", "out.jsonl", "--set", "words_min=3"];
    gristmill(&[&args[..], &["--dropped", "gone.jsonl"]].concat(), &folder.0).expect(0);
    let gone = fs::read_to_string(folder.join("gone.jsonl")).unwrap();
    assert!(gone.starts_with(&format!("{},\"dropped\":{{", &line[..line.len() - 1])), "{gone}");
}

/// Fields that no row has, and what is no file under the name of the output, are told, and nothing is left over.
#[test]
fn fields_and_outputs_that_are_none_are_told() {
    let folder = rows_of_fields("stage-fields-none");
    fs::create_dir(folder.join("none")).unwrap();
    for (kind, out, fields, code, told) in [
        ("dedup.minhash", "none.jsonl", "id,idd", 1, "no row that stays has a field `idd`"),
        ("filter.length", "none.parquet", "idd", 2, "no column is called `idd`"),
        ("filter.length", "none.parquet", "row", 2, "no column is called `row`"),
        ("filter.length", "none.jsonl", "id,", 2, "a field has a name"),
        ("dedup.exact", "none", "id", 2, "is there and is no file"),
    ] {
        let ran = stage_fields(&folder, kind, ["in.jsonl", out], fields, &[]).expect(code);
        assert!(ran.err.contains(told), "{out} {fields}: {}", ran.err);
    }
    let left =
        fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<String> = left.collect();
    left.sort();
    assert_eq!(left, ["in.jsonl", "none"]);
    assert!(folder.join("none").is_dir());
}

/// A stage that must see all rows first has no cache, and gives what a build gives.
#[test]
fn a_stage_that_sees_all_rows_first_gives_what_a_build_gives() {
    let folder = Folder::new("stage-global");
    let text = |n: usize| {
        let prose = corpus::prose(&mut schemas::hash::Rng::new(n as u64 % 60), 40);
        if n.is_multiple_of(3) { prose.to_uppercase() } else { prose }
    };
    let mut rows: Vec<String> =
        (0..100).map(|n| json!({ "id": format!("d{n}"), "text": text(n), "n": n }).to_string()).collect();
    rows.insert(50, "not json".into());
    folder.write("in.jsonl", rows.join("\n"));
    folder.write(
        "recipe.toml",
        r#"
        name = "same"
        [sources.in]
        kind = "source.jsonl"
        paths = ["in.jsonl"]
        row = true
        [[stages]]
        kind = "dedup.minhash"
        [[stages]]
        kind = "sink.jsonl"
        name = "out"
        "#,
    );
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let built = lines(&folder.join("work/dataset/out/part-00000.jsonl"));
    for threads in ["1", "3"] {
        let args =
            ["stage", "dedup.minhash", "--in", "in.jsonl", "--out", "out.jsonl", "--dropped", "gone.jsonl"];
        let more = ["--json", "--threads", threads];
        let counts = gristmill(&[&args[..], &more].concat(), &folder.0).expect(0).json();
        assert_conserved(&json!({ "nodes": counts }));
        let kept = lines(&folder.join("out.jsonl"));
        let of = |rows: &[Value]| -> Vec<(Value, Value)> {
            rows.iter().map(|row| (row["n"].clone(), row["cluster_size"].clone())).collect()
        };
        assert_eq!(kept.len(), 60);
        assert_eq!(of(&kept), of(&built), "{threads} threads");
        let gone = lines(&folder.join("gone.jsonl"));
        assert_eq!(gone.len(), 41);
        assert_eq!(gone[0]["dropped"]["reason"], "bad_json");
        assert_eq!(
            (&gone[1]["dropped"]["reason"], &gone[1]["dropped"]["value"]),
            (&json!("near_duplicate"), &json!(1.0))
        );
        assert_eq!(gone[1]["dropped"]["twin"].as_str().unwrap().len(), 32);
    }
    let left: Vec<_> =
        tree(&folder.0).into_keys().filter(|name| name.contains(".work") || name.contains(".part")).collect();
    assert!(left.is_empty(), "left over: {left:?}");
}

/// What a line calls itself stays with it through files of our own.
#[test]
fn ids_of_lines_go_through_parquet() {
    let folder = rows_of_fields("stage-ids");
    for files in [["in.jsonl", "a.parquet"], ["a.parquet", "b.parquet"], ["b.parquet", "c.jsonl"]] {
        gristmill(&["stage", "clean.whitespace", "--in", files[0], "--out", files[1]], &folder.0).expect(0);
    }
    let ids: Vec<Value> = lines(&folder.join("c.jsonl")).iter().map(|row| row["record_id"].clone()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

/// A column that no stage reads goes from Parquet to Parquet and to JSON lines, lists and structures too; one whose name is taken is told.
#[test]
fn a_stage_over_parquet_keeps_other_columns() {
    use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
    use arrow::datatypes::{Field, Int64Type};
    let folder = Folder::new("columns");
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("one two three"), Some("a"), None]));
    let likes: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(9)]));
    let langs: ArrayRef = Arc::new(StringArray::from(vec!["en", "de", "fr"]));
    let lists = [Some(vec![Some(1)]), None, None];
    let tags: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    let field = |name: &str, values: &ArrayRef| Arc::new(Field::new(name, values.data_type().clone(), true));
    let parts = [(field("code", &langs), langs.clone()), (field("tags", &tags), tags.clone())];
    let about: ArrayRef = Arc::new(StructArray::from(parts.to_vec()));
    let row: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let columns =
        [("text", texts), ("likes", likes), ("lang", langs), ("tags", tags), ("about", about), ("row", row)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = fs::File::create(folder.join("in.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let args =
        ["stage", "filter.length", "--in", "in.parquet", "--out", "out.parquet", "--set", "words_min=2"];
    let ran = gristmill(&[&args[..], &["--dropped", "gone.jsonl"]].concat(), &folder.0).expect(0);
    assert!(ran.err.contains("in.parquet: not carried: `row`"), "{}", ran.err);
    let head = gristmill(&["inspect", "out.parquet", "--json"], &folder.0).expect(0).json()["head"].clone();
    assert_eq!(head.as_array().unwrap().len(), 1);
    assert_eq!((&head[0]["likes"], &head[0]["lang"]), (&json!(7), &json!("en")), "{head}");
    let out = ["stage", "clean.whitespace", "--in", "out.parquet", "--out", "out.jsonl"];
    gristmill(&out, &folder.0).expect(0);
    let row = &lines(&folder.join("out.jsonl"))[0];
    assert_eq!((&row["tags"], &row["about"]), (&json!([1]), &json!({ "code": "en", "tags": [1] })), "{row}");
    let mut reasons: Vec<String> =
        lines(&folder.join("gone.jsonl")).iter().map(|g| g["dropped"]["reason"].to_string()).collect();
    reasons.sort();
    assert_eq!(reasons, ["\"no_text\"", "\"too_short\""]);
}

/// Writes a Parquet file of one batch.
fn write_parquet(path: &Path, columns: Vec<(&str, arrow::array::ArrayRef)>) {
    let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Three rows of which two are one text, with columns of the user: one has a name that says why a row is out, one that a stage writes.
fn parquet_of_a_user(folder: &Folder) {
    use arrow::array::{Float64Array, Int64Array, StringArray};
    let texts = ["one two three", "a", "a"];
    write_parquet(
        &folder.join("in.parquet"),
        vec![
            ("content", Arc::new(StringArray::from(texts.to_vec()))),
            ("label", Arc::new(StringArray::from(vec![Some("x"), Some("y"), None]))),
            ("score", Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5]))),
            ("value", Arc::new(Int64Array::from(vec![7, 8, 9]))),
            ("language", Arc::new(Int64Array::from(vec![1, 2, 3]))),
            ("action", Arc::new(Int64Array::from(vec![4, 5, 6]))),
            ("dropped", Arc::new(StringArray::from(vec!["d", "e", "f"]))),
        ],
    );
}

/// Dropped rows have the columns of kept ones: of a stage that waits for all rows, of one that does not, and in a build.
#[test]
fn dropped_rows_have_the_columns_of_the_user() {
    let folder = Folder::new("stage-user-columns");
    parquet_of_a_user(&folder);
    let stage = |kind: &str, gone: &str| {
        let args = ["stage", kind, "--in", "in.parquet", "--text-field", "content", "--out", "out.jsonl"];
        let more = ["--dropped", gone, "--set", "words_min=3"];
        let more = if kind == "filter.length" { &more[..] } else { &more[..2] };
        gristmill(&[&args[..], more].concat(), &folder.0).expect(0);
    };
    for (kind, row, expected) in [
        ("filter.length", 0, json!(["a", "y", 1.5, 8, 2, 5, "e", 1.0])),
        ("dedup.exact", 0, json!(["a", null, 2.5, 9, 3, 6, "f", 1.0])),
    ] {
        stage(kind, "gone.jsonl");
        let kept = &lines(&folder.join("out.jsonl"))[0];
        assert_eq!((&kept["content"], &kept["label"]), (&json!("one two three"), &json!("x")), "{kept}");
        let gone = &lines(&folder.join("gone.jsonl"))[row];
        let found = ["content", "label", "score", "value", "language", "action", "own_dropped"]
            .map(|name| gone[name].clone());
        let found = [&found[..], &[gone["dropped"]["value"].clone()]].concat();
        assert_eq!(json!(found), expected, "{kind}: {gone}");
        assert_eq!((&gone["record_id"], gone["id"].is_string()), (&Value::Null, true), "{gone}");
    }
    folder.write(
        "recipe.toml",
        "name = \"user\"\n[sources.s]\nkind = \"source.parquet\"\npaths = [\"in.parquet\"]\ntext_column = \"content\"\n\
         [[stages]]\nkind = \"filter.length\"\nwords_min = 2\n[[stages]]\nkind = \"filter.language\"\nlanguages = []\n\
         [[stages]]\nkind = \"clean.whitespace\"\n",
    );
    let built = gristmill(&["build", "recipe.toml", "--workdir", "w"], &folder.0).expect(0);
    assert!(built.err.contains("`filter.language` writes over `language` of the source"), "{}", built.err);
    let sql = "select label, score, own_value, action, language, value from dropped order by score";
    let rows = gristmill(&["inspect", "w/dataset", "--sql", sql, "--json"], &folder.0).expect(0).json();
    let first =
        json!({ "label": "y", "score": 1.5, "own_value": 8, "action": 5, "language": "2", "value": 1.0 });
    assert_eq!(rows[0], first, "a column of two types is text: {rows}");
}

/// `--out -`: rows on standard output and nothing else; dropped rows compressed as their name says; no folder is left.
#[test]
fn a_stage_writes_to_standard_output_and_compresses_what_it_drops() {
    let folder = rows_of_fields("stage-standard-output");
    let args = ["stage", "dedup.exact", "--in", "in.jsonl", "--out", "-", "--dropped"];
    for (gone, magic) in [("gone.jsonl.gz", &[0x1f, 0x8b][..]), ("gone.jsonl.zst", &[0x28, 0xb5, 0x2f, 0xfd])]
    {
        let mut ran = command(&[&args[..], &[gone]].concat(), &folder.0);
        let ran = finish(ran.env("TMPDIR", &folder.0)).expect(0);
        let rows: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 2, "{}", ran.out);
        assert!(ran.err.contains("dedup.exact"), "the counts are told beside: {}", ran.err);
        assert!(fs::read(folder.join(gone)).unwrap().starts_with(magic), "{gone}");
    }
    for (gone, told) in [("-", "writes JSON lines"), ("gone.parquet", "writes JSON lines")] {
        let ran = gristmill(&[&args[..], &[gone]].concat(), &folder.0).expect(2);
        assert!(ran.err.contains(told), "{}", ran.err);
    }
    let many = gristmill(&[&args[..], &["g.jsonl", "--threads", "5000"]].concat(), &folder.0).expect(2);
    assert!(many.err.contains("at most 1024"), "{}", many.err);
    let mut left: Vec<_> = tree(&folder.0).into_keys().collect();
    left.sort();
    assert_eq!(left, ["gone.jsonl.gz", "gone.jsonl.zst", "in.jsonl"]);
}

/// What `kill` ends leaves nothing unfinished behind.
#[cfg(unix)]
#[test]
fn a_stage_that_is_killed_leaves_nothing() {
    let folder = Folder::new("stage-killed");
    folder.write("in.jsonl", corpus::json_lines(7, 0..20_000));
    let mut stage = std::process::Command::new(env!("CARGO_BIN_EXE_gristmill"));
    stage.args(["stage", "clean.unicode", "--in", "in.jsonl", "--out", "o.jsonl", "--dropped", "g.jsonl"]);
    let mut stage = stage
        .current_dir(&folder.0)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let work = folder.join(&format!("o.jsonl.{}.work/work", stage.id()));
    while !work.join("cache").exists() && stage.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let kill = std::process::Command::new("kill").args(["-TERM", &stage.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let ended = std::os::unix::process::ExitStatusExt::signal(&stage.wait().unwrap());
    assert_eq!(ended, Some(15), "the stage was ended by the signal");
    let left: Vec<_> = tree(&folder.0).into_keys().collect();
    assert_eq!(left, ["in.jsonl"]);
}

/// Fields that lines do not have, and those that a stage writes over, are told before the end; a column that cannot be carried is a mistake.
#[test]
fn fields_that_are_lost_are_told() {
    let folder = Folder::new("stage-lost");
    folder.write("in.jsonl", "{\"content\":\"one two\",\"language\":\"my\"}\n");
    let args = ["stage", "filter.language", "--in", "in.jsonl", "--out", "out.jsonl"];
    let ran = gristmill(&args, &folder.0).expect(1);
    let told = "in.jsonl: its first 1 objects have no text in `text`; their fields are `content`, `language`";
    assert!(ran.err.contains(told), "{}", ran.err);
    assert!(
        ran.err.contains("`filter.language` writes over the field `language` of the lines"),
        "{}",
        ran.err
    );
    parquet_of_a_user(&folder);
    folder.write(
        "recipe.toml",
        "name = \"n\"\n[sources.s]\nkind = \"source.parquet\"\npaths = [\"in.parquet\"]\ntext_column = \"content\"\ncolumns = [\"row\"]\n",
    );
    let checked = gristmill(&["check", "recipe.toml"], &folder.0).expect(2);
    assert!(
        checked.err.contains("`row` is the name of a column that every source has for itself"),
        "{}",
        checked.err
    );
}

#[test]
fn a_stage_leaves_an_index_that_the_next_one_reads() {
    let folder = Folder::new("index");
    let text =
        |n: usize| (0..80).map(|k| format!("w{}", (n * 1000 + k * k) % 7919)).collect::<Vec<_>>().join(" ");
    let rows = |texts: &[usize]| -> String {
        texts.iter().map(|n| format!("{{\"id\":\"d{n}\",\"text\":\"{}\"}}\n", text(*n))).collect()
    };
    common::write(&folder.0, "old.jsonl", rows(&[1, 2, 3]));
    common::write(&folder.0, "new.jsonl", rows(&[4, 2, 5]));
    let stage = |input: &str, more: &[&str]| {
        let args =
            [&["stage", "dedup.minhash", "--in", input, "--out", "kept.jsonl", "--files", "files"], more]
                .concat();
        gristmill(&args, &folder.0)
    };
    stage("old.jsonl", &["--set", "index=minhash.index"]).expect(0);
    stage("new.jsonl", &["--set", "against=[\"files/minhash.index\"]"]).expect(0);
    let kept = std::fs::read_to_string(folder.0.join("kept.jsonl")).unwrap();
    let ids: Vec<&str> = kept.lines().map(|line| &line[7..9]).collect();
    assert_eq!(ids, ["d4", "d5"], "{kept}");
    let refused =
        stage("new.jsonl", &["--set", "against=[\"files/minhash.index\"]", "--set", "rows=5"]).expect(2);
    assert!(refused.err.contains("what is mixed cannot be compared"), "{}", refused.err);
}

#[test]
fn the_order_of_lines_does_not_decide_which_near_duplicates_stay() {
    let folder = Folder::new("order");
    let line = |n: usize| {
        // Fifty texts of one length; of each three copies, one of them with another word.
        let word = |k: usize| format!("w{:04}", (n % 50 * 977 + k * k * 31) % 9973);
        let mut words: Vec<String> = (0..90).map(word).collect();
        if n % 3 == 1 {
            words[n % 90] = "other".to_owned();
        }
        json!({ "id": format!("d{n}"), "text": words.join(" ") }).to_string() + "\n"
    };
    let kept = |name: &str, order: &[usize]| {
        common::write(&folder.0, name, order.iter().map(|n| line(*n)).collect::<String>());
        let out = format!("kept-{name}");
        gristmill(&["stage", "dedup.minhash", "--in", name, "--out", &out], &folder.0).expect(0);
        let mut ids: Vec<String> =
            lines(&folder.0.join(out)).iter().map(|row| row["id"].to_string()).collect();
        ids.sort();
        ids
    };
    let forward: Vec<usize> = (0..150).collect();
    let mixed: Vec<usize> = forward.iter().map(|n| n * 37 % 150).rev().collect();
    let expected = kept("a.jsonl", &forward);
    assert_eq!(expected.len(), 50);
    assert_eq!(kept("b.jsonl", &mixed), expected);
}

/// Files, folders and patterns of one kind are read, whatever the kind is; files of several kinds are a mistake.
#[test]
fn a_stage_reads_files_folders_and_patterns_of_one_kind() {
    let folder = Folder::new("stage-inputs");
    let line = |text: &str| json!({ "text": text }).to_string() + "\n";
    folder.write("lines/a.jsonl", line("one two"));
    folder.write("lines/deep/b.jsonl.gz", corpus::gzip(line("three four").as_bytes()));
    folder
        .write("pages/a.html", "<title>T</title><p>A page with a sentence of some length, and another one.");
    let read = |kind: &str, inputs: &[&str], out: &str| {
        gristmill(&[&["stage", kind, "--out", out, "--in"], inputs].concat(), &folder.0)
    };
    let texts = |out: &str| -> Vec<Value> {
        lines(&folder.join(out)).iter().map(|row| row["text"].clone()).collect()
    };
    let kind = "clean.whitespace";
    for inputs in [&["lines"][..], &["lines/**"], &["lines/a.jsonl", "lines/deep/b.jsonl.gz"]] {
        read(kind, inputs, "o.jsonl").expect(0);
        assert_eq!(texts("o.jsonl"), ["one two", "three four"], "{inputs:?}");
    }
    read(kind, &["lines"], "parquet/a.parquet").expect(0);
    fs::copy(folder.join("parquet/a.parquet"), folder.join("named.jsonl")).unwrap();
    for input in ["parquet", "parquet/*.parquet", "named.jsonl"] {
        read(kind, &[input], "o.jsonl").expect(0);
        assert_eq!(texts("o.jsonl"), ["one two", "three four"], "{input}");
    }
    read("extract.html", &["pages"], "o.jsonl").expect(0);
    let page = &lines(&folder.join("o.jsonl"))[0];
    assert!(page["text"].as_str().unwrap().contains("a sentence of some length"), "{page}");
    assert!(page.get("html").is_none(), "{page}");
    fs::copy(folder.join("parquet/a.parquet"), folder.join("lines/c.parquet")).unwrap();
    for (told, inputs, more) in [
        ("2 for `source.jsonl` and 1 for `source.parquet`", "lines", vec![]),
        ("is a file that `--in` reads", "lines/*.jsonl", vec!["--dropped", "lines/a.jsonl"]),
        ("is for JSON lines and Parquet", "pages", vec!["--text-field", "body"]),
        ("is for JSON lines,", "parquet", vec!["--html-field", "body"]),
        ("lies where `--in` looks for files of any name", "pages/*", vec!["--dropped", "pages/gone.jsonl"]),
    ] {
        let failed = read(kind, &[&[inputs], &more[..]].concat(), "o.jsonl").expect(2);
        assert!(failed.err.contains(told), "{}", failed.err);
    }
}

/// A stage finds in lines what the one before it added.
#[test]
fn a_stage_reads_what_another_has_added_to_lines() {
    let folder = Folder::new("stage-columns");
    let text = "This is a sentence of the English language, and there is another one that follows it here. ";
    folder.write("in.jsonl", json!({ "id": 1, "text": text.repeat(20) }).to_string());
    gristmill(&["stage", "filter.language", "--in", "in.jsonl", "--out", "a.jsonl"], &folder.0).expect(0);
    let args = ["stage", "filter.gopher", "--in", "a.jsonl", "--out", "b.jsonl", "--set", "by_language=true"];
    gristmill(&args, &folder.0).expect(0);
    assert_eq!(lines(&folder.join("b.jsonl")), lines(&folder.join("a.jsonl")));
}

/// What a stage found of a row is told of those that it drops too, by stages alone and by builds.
#[test]
fn dropped_rows_tell_what_was_found_of_them() {
    let folder = Folder::new("stage-found");
    let german = "Dies ist ein Satz der deutschen Sprache, und ein anderer, der ihm hier auf dem Fuß folgt. ";
    let row = json!({ "id": 1, "text": german.repeat(20), "n": 7 });
    folder.write("in.jsonl", format!("{row}\n{row}\n"));
    let stage = |kind: &str| {
        let args = ["stage", kind, "--in", "in.jsonl", "--out", "o.jsonl", "--dropped", "gone.jsonl"];
        gristmill(&args, &folder.0).expect(0);
        lines(&folder.join("gone.jsonl"))
    };
    let gone = &stage("filter.language")[0];
    assert_eq!((&gone["language"], &gone["n"]), (&json!("deu"), &json!(7)), "{gone}");
    assert_eq!(gone["dropped"]["reason"], "wrong_language", "{gone}");
    let gone = &stage("dedup.exact")[0];
    assert_eq!(gone["n"], 7, "{gone}");
    folder.write(
        "recipe.toml",
        "name = \"found\"\n[sources.s]\nkind = \"source.jsonl\"\npaths = [\"in.jsonl\"]\n[[stages]]\nkind = \"filter.language\"\n",
    );
    gristmill(&["build", "recipe.toml", "--workdir", "w"], &folder.0).expect(0);
    let sql = "select language, count(*) as rows from dropped group by language";
    let rows = gristmill(&["inspect", "w/dataset", "--sql", sql, "--json"], &folder.0).expect(0).json();
    assert_eq!((&rows[0]["language"], &rows[0]["rows"]), (&json!("deu"), &json!(2)), "{rows}");
}

/// Names of files that are not written are refused, and files that the run reads are not written over.
#[test]
fn outputs_that_are_none_are_refused() {
    let folder = Folder::new("stage-endings");
    let rows: String = (0..200).map(|n| format!("{{\"text\":\"one two three {n} {}\"}}\n", n * n)).collect();
    folder.write("in.jsonl", &rows);
    for out in ["o.csv", "o.parquet.gz", "o.jsonl.XZ"] {
        let failed = gristmill(&["stage", "clean.whitespace", "--in", "in.jsonl", "--out", out], &folder.0);
        assert!(failed.expect(2).err.contains("would be no file of its name"));
    }
    folder.write("tokenizer.json", &rows);
    let args = ["stage", "tokenize.bpe", "--in", "tokenizer.json", "--out", "o.jsonl", "--files", "."];
    let failed = gristmill(&[&args[..], &["--set", "vocab_size=300"]].concat(), &folder.0).expect(1);
    assert!(failed.err.contains("is a file that the run reads"), "{}", failed.err);
    let args = ["fit", "filter.quality", "--set", "good=in.jsonl", "--set", "bad=tokenizer.json"];
    let failed = gristmill(&[&args[..], &["--out", "./in.jsonl"]].concat(), &folder.0).expect(2);
    assert!(failed.err.contains("`--out` is a file that `good` reads"), "{}", failed.err);
    for name in ["in.jsonl", "tokenizer.json"] {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), rows, "{name}");
    }
    let failed = gristmill(&["stage", "clean.whitespace", "--in", "n*.jsonl", "--out", "o.jsonl"], &folder.0);
    assert!(failed.expect(2).err.contains("n*.jsonl: no file has such a name"));
}

/// An output may have any name, those of what the program works with too.
#[test]
fn an_output_may_have_any_name() {
    let folder = Folder::new("stage-names");
    let line = "{\"text\":\"one two\"}\n";
    folder.write("rows.jsonl", line);
    for kind in ["clean.whitespace", "dedup.exact"] {
        for out in ["report.json", "cache", "dataset", "lock", "work", "in.jsonl"] {
            let mut stage = command(&["stage", kind, "--in", "-", "--out", out], &folder.0);
            finish(stage.stdin(fs::File::open(folder.join("rows.jsonl")).unwrap())).expect(0);
            assert_eq!(fs::read_to_string(folder.join(out)).unwrap(), line, "{kind} {out}");
        }
    }
    assert_eq!(tree(&folder.0).len(), 7);
}

/// Nothing is made before it is known that the input is there.
#[test]
fn a_mistake_leaves_no_folder() {
    let folder = Folder::new("stage-mistake");
    let args = |input| ["stage", "clean.whitespace", "--in", input, "--out", "new/deep/o.jsonl"];
    let failed = gristmill(&args("none.jsonl"), &folder.0).expect(2);
    assert!(failed.err.contains("cannot read none.jsonl"), "{}", failed.err);
    assert!(!folder.join("new").exists());
    folder.write("in.jsonl", "{\"text\":\"one two\"}\n");
    folder.write("new", "a file");
    let failed = gristmill(&args("in.jsonl"), &folder.0).expect(1);
    assert!(failed.err.contains("new/deep/o.jsonl: "), "{}", failed.err);
}

/// `--in -` and `--out -`: stages make a pipe.
#[test]
fn stages_are_put_behind_each_other() {
    let folder = Folder::new("stage-pipe");
    let piped = |kind: &str, lines: &[u8]| {
        let mut command = command(&["stage", kind, "--in", "-", "--out", "-"], &folder.0);
        let command = command.env("TMPDIR", &folder.0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut stage = command.spawn().unwrap();
        stage.stdin.take().unwrap().write_all(lines).unwrap();
        let done = stage.wait_with_output().unwrap();
        assert!(done.status.success(), "{kind}");
        done.stdout
    };
    let once =
        piped("clean.whitespace", &corpus::gzip(b"{\"text\":\"one two  \"}\n{\"text\":\"one two\"}\n"));
    let twice = piped("dedup.exact", &once);
    assert_eq!(String::from_utf8(twice).unwrap(), "{\"text\":\"one two\"}\n");
    assert!(tree(&folder.0).is_empty());
}

/// An output that is there stays where no row can be read; why is told, and kept for each row.
#[test]
fn rows_that_cannot_be_read_replace_nothing() {
    let folder = Folder::new("stage-unreadable");
    folder.write("in.jsonl", "{\"text\":\"one two\"}\nno json\n");
    folder.write("out.jsonl", "before");
    let args =
        ["stage", "clean.whitespace", "--in", "in.jsonl", "--out", "out.jsonl", "--text-field", "body"];
    let failed = gristmill(&[&args[..], &["--dropped", "gone.jsonl"]].concat(), &folder.0).expect(1);
    let told = "no row of `--in` can be read (bad_json 1, no_text_field 1); `--out` is not written";
    assert!(failed.err.contains(told) && failed.err.contains("their fields are `text`"), "{}", failed.err);
    assert_eq!(fs::read(folder.join("out.jsonl")).unwrap(), b"before");
    assert_eq!(lines(&folder.join("gone.jsonl")).len(), 2);
    let index = ["--files", ".", "--set", "index=my.index"];
    folder.write("my.index", "before");
    let args = ["stage", "dedup.minhash", "--in", "in.jsonl", "--out", "out.jsonl", "--text-field", "body"];
    gristmill(&[&args[..], &index].concat(), &folder.0).expect(1);
    assert_eq!(fs::read(folder.join("my.index")).unwrap(), b"before");
    folder.write("empty.jsonl", "");
    gristmill(&["stage", "clean.whitespace", "--in", "empty.jsonl", "--out", "out.jsonl"], &folder.0)
        .expect(0);
    assert_eq!(fs::read(folder.join("out.jsonl")).unwrap(), b"");
    let mut left: Vec<_> = tree(&folder.0).into_keys().collect();
    left.sort();
    assert_eq!(left, ["empty.jsonl", "gone.jsonl", "in.jsonl", "my.index", "out.jsonl"]);
}

/// `extract.html` asks for the field of the page where lines have none of its name, and reads the one that is named.
#[test]
fn a_page_is_read_from_the_field_that_is_named() {
    let folder = Folder::new("stage-html-field");
    let page = "<title>T</title><p>A page with a sentence of some length, and another one.";
    folder.write("in.jsonl", json!({ "text": page, "n": 1 }).to_string());
    let args = ["stage", "extract.html", "--in", "in.jsonl", "--out", "out.jsonl"];
    let asked = gristmill(&args, &folder.0).expect(2);
    let told = "have no `html`; their fields are `n`, `text`; `--html-field` names another";
    assert!(asked.err.contains(told), "{}", asked.err);
    gristmill(&[&args[..], &["--html-field", "text"]].concat(), &folder.0).expect(0);
    let row = &lines(&folder.join("out.jsonl"))[0];
    assert_eq!(row["text"], "A page with a sentence of some length, and another one.", "{row}");
    assert_eq!(row["n"], 1, "{row}");
}

/// A file that is cut off is told beside the counts, and a column that is no text before the work.
#[test]
fn inputs_that_are_not_whole_or_no_text_are_told() {
    let folder = Folder::new("stage-broken");
    let whole = corpus::gzip(corpus::json_lines(7, 0..200).as_bytes());
    folder.write("in.jsonl.gz", &whole[..whole.len() / 2]);
    let args = ["stage", "clean.whitespace", "--in", "in.jsonl.gz", "--out", "out.jsonl"];
    let cut = gristmill(&args, &folder.0).expect(0);
    assert!(cut.err.contains("cut off or broken inside (truncated 1)"), "{}", cut.err);
    let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    lists.append_value([Some("a")]);
    write_parquet(&folder.join("in.parquet"), vec![("text", Arc::new(lists.finish()))]);
    let args = ["stage", "clean.whitespace", "--in", "in.parquet", "--out", "out.jsonl"];
    let wrong = gristmill(&args, &folder.0).expect(2);
    assert!(wrong.err.contains("the column `text` is no text: its type is List"), "{}", wrong.err);
}
