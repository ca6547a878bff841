//! The views of `inspect` over a whole build: what they say must agree with one another and with the files.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::{Folder, corpus, gristmill};
use serde_json::Value;
use std::fs;

fn built(name: &str) -> Folder {
    let folder = Folder::new(name);
    corpus::write_all(&folder.0, 23, 60);
    fs::write(folder.join("recipe.toml"), corpus::recipe(30)).unwrap();
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    folder
}

fn ask(folder: &Folder, more: &[&str]) -> Value {
    gristmill(&[&["inspect", "work", "--json"], more].concat(), &folder.0).expect(0).json()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn lineage_leads_to_the_record_and_back() {
    let folder = built("lineage");
    let query = "select id, record_id, url from documents where url like 'https://archive.example/%'";
    let documents = ask(&folder, &["--sql", query]);
    let documents = documents.as_array().unwrap();
    assert!(documents.len() > 3, "{documents:?}");
    for document in documents {
        let id = document["id"].as_str().unwrap();
        let found = ask(&folder, &["--lineage", id])[0].clone();
        assert_eq!(found["record"]["id"], document["record_id"], "{found:#}");
        assert_eq!(found["record"]["type"], "response");
        assert!(
            found["record"]["path"].as_str().unwrap().ends_with(found["origin"]["file"].as_str().unwrap())
        );
        let place = &found["tokens"][0];
        let (row, token) = (number(&place["row"]).to_string(), number(&place["start"]).to_string());
        let back = ask(&folder, &["--lineage", place["file"].as_str().unwrap(), &row, &token]);
        assert_eq!(back["pieces"].as_array().unwrap().len(), 1, "{back:#}");
        assert_eq!(back["pieces"][0]["document"]["id"], id);
        assert_eq!(back["pieces"][0]["document_token"], place["offset"]);
        assert_eq!(back["pieces"][0]["document"]["record"], found["record"]);
    }
    let shown = gristmill(&["inspect", "work", "--lineage", "train/part-00000.parquet", "0"], &folder.0)
        .expect(0)
        .out;
    assert!(shown.contains("of the document"), "{shown}");
    let wrong = gristmill(&["inspect", "work", "--lineage", "part-9.parquet", "0"], &folder.0).expect(2).err;
    assert!(
        wrong.contains("no token shard is `part-9.parquet`") && wrong.contains("help: there are"),
        "{wrong}"
    );
}

#[test]
fn duplicates_are_counted_and_shown_in_pairs() {
    let folder = built("dups");
    let found = ask(&folder, &["--dups"]);
    let nodes = found["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["kind"] == "dedup.minhash").unwrap();
    let sizes = node["sizes"].as_object().unwrap();
    let dropped: u64 =
        sizes.iter().map(|(size, groups)| (size.parse::<u64>().unwrap() - 1) * number(groups)).sum();
    assert!(dropped > 0 && dropped == number(&node["dropped"]), "{node:#}");
    assert_eq!(
        node["largest"][0]["size"].to_string(),
        *sizes.keys().max_by_key(|size| size.parse::<u64>().unwrap()).unwrap()
    );
    let last = node["curve"].as_array().unwrap().last().unwrap();
    assert_eq!(last.to_string(), "[1.0,1.0]");
    let member = node["largest"][0]["members"][0].clone();
    let pair = ask(&folder, &["--pair", member["document"]["id"].as_str().unwrap()]);
    assert_eq!(
        (&pair["dropped"]["id"], &pair["step"]["value"]),
        (&member["document"]["id"], &member["value"])
    );
    assert_eq!(pair["kept"]["id"], node["largest"][0]["kept"]["id"]);
    let likeness = pair["shingles"]["jaccard"].as_f64().unwrap();
    // The text that stays went through `clean.pii` behind the node that measured it.
    let told = pair["step"]["value"].as_f64().unwrap();
    assert!((likeness - told).abs() < 0.05, "the ledger says {told}, the texts {likeness}");
    let shown = gristmill(&["inspect", "work", "--dups"], &folder.0).expect(0).out;
    for expected in ["documents in a group", "how likely a pair is found", "Jaccard", " │ "] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
}

#[test]
fn rows_layout_and_differences() {
    let folder = built("views");
    let rows = ask(&folder, &["--row", "2,0"]);
    assert_eq!((&rows[0]["row"], &rows[1]["row"], rows.as_array().unwrap().len()), (&0.into(), &2.into(), 2));
    let shown = gristmill(&["inspect", "work", "--row", "2"], &folder.0).expect(0).out;
    let text = rows[1]["cells"]["text"].as_str().unwrap();
    assert!(text.lines().all(|line| shown.contains(line.trim())), "{shown}");

    let all = number(&ask(&folder, &[])["rows"]);
    let meta = ask(&folder, &["--meta"]);
    assert_eq!(
        meta["groups"].as_array().unwrap().iter().map(|group| number(&group["rows"])).sum::<u64>(),
        all
    );
    let stats = ask(&folder, &["--stats"]);
    for column in
        stats["columns"].as_array().unwrap().iter().filter(|c| c["histogram"] != Value::Array(vec![]))
    {
        let counted: u64 =
            column["histogram"].as_array().unwrap().iter().map(|class| number(&class["rows"])).sum();
        assert_eq!(counted + number(&column["nulls"]), all, "{column:#}");
    }

    let same = ask(&folder, &["--diff", "work"]);
    assert_eq!((number(&same["rows"]["same"]), same["nodes"].to_string().as_str()), (all, "[]"));
    fs::write(folder.join("recipe.toml"), corpus::recipe(150)).unwrap();
    gristmill(&["build", "recipe.toml", "--workdir", "strict"], &folder.0).expect(0);
    let other = ask(&folder, &["--diff", "strict"]);
    assert!(number(&other["rows"]["rows_only"][0]) > 0, "{other:#}");
    let length =
        other["nodes"].as_array().unwrap().iter().find(|node| node["node"] == "filter.length").unwrap();
    assert_eq!(length["differs"]["key words_min"].to_string(), r#"["30","150"]"#);

    let id = rows[0]["cells"]["id"].as_str().unwrap();
    let [why, explain] =
        ["why", "explain"].map(|name| gristmill(&[name, "work", id, "--json"], &folder.0).expect(0).out);
    assert_eq!(why, explain);
}
