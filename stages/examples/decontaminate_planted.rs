//! Recall and false documents of `decontaminate.ngram`: plants items of benchmarks into clean documents and counts which are found.
//!
//! ```text
//! cargo run --release -p gristmill-stages --example decontaminate_planted -- SET… -- TEXT… [-- key=value…]
//! ```
//!
//! Sets are JSON lines with `question` (and `choices` with `answerKey` or `answer`, or `best_answer`), `text` or `page`; texts are JSON lines with
//! `text`, cut at line ends into documents of about 2,000 bytes. Every item is planted five times into a document that is drawn for it, at a line
//! end: as it is, in capitals, without punctuation, with spaces for punctuation, with other white space; once alone and once with its answer.
//! All documents go through the stage together; an item counts as found when its document goes and the item is told. What is drawn depends on
//! the seed 41 alone.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use gristmill_stages::text::files::{texts, unpack};
use schemas::hash::{Rng, seed};
use schemas::{DocId, Made, Settings, Value, Verdict, column, memory};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DOCUMENT_BYTES: usize = 2000;
const BATCH_ROWS: usize = 1024;
/// Most bytes that a set may unpack to.
const SET_BYTES_MAX: u64 = 1 << 30;

/// Name of a form and how it is made.
type Form = (&'static str, fn(&str) -> String);

/// How an item is written where it is planted.
const FORMS: [Form; 5] = [
    ("as it is", str::to_owned),
    ("capitals", str::to_uppercase),
    ("no punctuation", |text| text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect()),
    ("punctuation is space", |text| {
        text.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect()
    }),
    ("white space", |text| text.split_whitespace().collect::<Vec<_>>().join(" \n  ")),
];

struct Item {
    set: String,
    id: String,
    query: String,
    gold: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut parts = args.split(|arg| arg == "--");
    let sets = parts.next().filter(|sets| !sets.is_empty()).ok_or("name sets, `--`, texts")?;
    let (files, more) = (parts.next().ok_or("name texts behind `--`")?, parts.next().unwrap_or_default());
    let mut pairs = vec![("sets".to_owned(), Value::from(absolute(sets)?))];
    for pair in more {
        let (key, value) = pair.split_once('=').ok_or("a setting is key=value")?;
        let read = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        pairs.push((key.to_owned(), read));
    }
    let made = (gristmill_stages::decontaminate::ngram::SPEC.build)(&Settings::new(pairs));
    let global = match made {
        Ok(Made::Global(global)) => global,
        Ok(_) => return Err("the stage sees all rows".into()),
        Err(errors) => return Err(errors.iter().map(|e| format!("{e}\n")).collect::<String>().into()),
    };
    let items = items(sets)?;
    let clean = documents(files)?;
    println!("{} items, {} clean documents", items.len(), clean.len());
    for with_answer in [false, true] {
        score(global.as_ref(), &items, &clean, with_answer)?;
    }
    Ok(())
}

/// Runs the stage over the clean documents and those with items, and prints what was found.
fn score(
    global: &dyn schemas::Global,
    items: &[Item],
    clean: &[String],
    with_answer: bool,
) -> Result<(), Box<dyn Error>> {
    let mut rng = Rng::new(seed(41, "planted", u64::from(with_answer)));
    let mut rows: Vec<(String, String)> =
        clean.iter().enumerate().map(|(n, text)| (format!("clean {n}"), text.clone())).collect();
    for (n, item) in items.iter().enumerate() {
        let answer = if with_answer && !item.gold.is_empty() {
            format!("\nAnswer: {}", item.gold)
        } else {
            String::new()
        };
        for (form, (_, write)) in FORMS.iter().enumerate() {
            let host = &clean[rng.below(clean.len() as u64) as usize];
            let ends: Vec<usize> = host.match_indices('\n').map(|(at, _)| at + 1).collect();
            let at = if ends.is_empty() { host.len() } else { ends[rng.below(ends.len() as u64) as usize] };
            let text =
                format!("{}\n{}\n{}", &host[..at], write(&format!("{}{answer}", item.query)), &host[at..]);
            rows.push((format!("planted {n} {form}"), text));
        }
    }
    let batches = rows.chunks(BATCH_ROWS).map(|rows| {
        let ids = rows.iter().map(|(name, _)| DocId::new("planted", name).to_string());
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, text)| text)));
        RecordBatch::try_from_iter([(column::ID, ids), (column::TEXT, texts)])
    });
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>()?;
    let done = memory::settle(global, &batches, 16)?;
    let (mut found, mut wrong) = (BTreeMap::<(&str, usize), [u64; 2]>::new(), 0);
    let mut lost: Vec<&str> = Vec::new();
    let mut row = 0_usize;
    for batch in &batches {
        let outcome = done.judge(batch)?;
        let told = outcome
            .signals
            .iter()
            .find(|(name, _)| *name == "found")
            .ok_or("the stage tells what it found")?;
        for (verdict, told) in outcome.verdicts.iter().zip(told.1.as_string::<i32>()) {
            let gone = *verdict != Verdict::Kept;
            match row.checked_sub(clean.len()) {
                None => {
                    wrong += u64::from(gone);
                    if gone {
                        println!("  false: {} in {:?}", told.unwrap_or_default(), rows[row].1);
                    }
                }
                Some(planted) => {
                    let (item, form) = (&items[planted / FORMS.len()], planted % FORMS.len());
                    let hit = gone && told.unwrap_or_default().contains(&serde_json::to_string(&item.id)?);
                    let counts = found.entry((&item.set, form)).or_default();
                    counts[0] += u64::from(hit);
                    counts[1] += 1;
                    if !hit && form == 0 {
                        lost.push(&item.query);
                    }
                }
            }
            row += 1;
        }
    }
    println!(
        "{}: {wrong} false of {} clean documents",
        if with_answer { "with answer" } else { "alone" },
        clean.len()
    );
    for ((set, form), [hits, all]) in found {
        println!("  {set:<24} {:<22} {hits} of {all}", FORMS[form].0);
    }
    println!("  lost as they are: {lost:?}");
    Ok(())
}

fn absolute(paths: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    paths.iter().map(|path| Ok(text(std::fs::canonicalize(path)?))).collect()
}

/// The items of the sets, read without the stage.
fn items(sets: &[String]) -> Result<Vec<Item>, Box<dyn Error>> {
    let mut items = Vec::new();
    for path in sets {
        let set = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        let set = set.split(".jsonl").next().unwrap_or_default().to_owned();
        for (number, line) in unpack(&std::fs::read(path)?, SET_BYTES_MAX)?.lines().enumerate() {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let query = ["question", "text", "page"].iter().find_map(|name| row[*name].as_str());
            let choices = row["choices"]["text"].as_array().or_else(|| row["choices"].as_array());
            let labels = row["choices"]["label"].as_array();
            let place = row["answer"]
                .as_u64()
                .map(|at| at as usize)
                .or_else(|| labels?.iter().position(|label| *label == row["answerKey"]));
            let gold =
                place.and_then(|at| choices?.get(at)?.as_str()).or_else(|| row["best_answer"].as_str());
            items.push(Item {
                set: set.clone(),
                id: row["id"].as_str().map_or_else(|| number.to_string(), str::to_owned),
                query: query.ok_or("a row has `question`, `text` or `page`")?.to_owned(),
                gold: gold.unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(items)
}

/// Texts cut at line ends.
fn documents(files: &[String]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut documents = Vec::new();
    for file in files {
        texts(Path::new(file), &mut |row| {
            let mut document = String::new();
            for line in row.text.split_inclusive('\n') {
                document += line;
                if document.len() >= DOCUMENT_BYTES {
                    documents.push(std::mem::take(&mut document));
                }
            }
            if !document.is_empty() {
                documents.push(document);
            }
        })?;
    }
    Ok(documents)
}
