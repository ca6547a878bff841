//! What `clean.spelling` makes of misspellings and of clean prose, and how fast.
//!
//! `cargo run --release -p gristmill-stages --example spelling_score -- [--weights LIST] FILE…` reads JSON lines, gzipped or not. A row whose `label` is a
//! list is an entry: `text` is the misspelling, the list its accepted corrections. Precision is right changes / changes, recall right
//! changes / entries, each by `source`. All other rows are prose: every change is printed with its surroundings, and counted by
//! million tokens (runs of letters and digits). MB/s are those of one thread, by processor time where Linux tells it.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod clock;

use clock::seconds;
use gristmill_stages::clean::edits::{Edit, Editor};
use gristmill_stages::clean::spelling::Spelling;
use gristmill_stages::text::misspellings::Misspellings;
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};

const ROUNDS: usize = 5;

#[derive(Default)]
struct Score {
    entries: f64,
    changes: f64,
    right: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    let spelling = match paths.iter().position(|path| path == "--weights") {
        Some(at) => {
            let named: Vec<String> = paths.drain(at..paths.len().min(at + 2)).collect();
            Spelling(Misspellings::read(&std::fs::read(&named[1])?)?)
        }
        None => Spelling::shipped(),
    };
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut prose = Vec::new();
    for path in paths {
        let file = std::fs::File::open(&path)?;
        let reader: Box<dyn Read> = if path.ends_with(".gz") {
            Box::new(flate2::read::MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        for line in BufReader::new(reader).lines() {
            let row: Value = serde_json::from_str(&line?)?;
            let text = row["text"].as_str().unwrap_or_default();
            let Some(labels) = row["label"].as_array() else {
                prose.push(text.to_owned());
                continue;
            };
            let score = scores.entry(row["source"].as_str().unwrap_or("?").to_owned()).or_default();
            score.entries += 1.0;
            if let Some((now, _)) = spelling.edit(text, None) {
                let right = labels.iter().any(|label| label.as_str() == Some(&now));
                score.changes += 1.0;
                score.right += f64::from(u8::from(right));
                if !right {
                    println!("wrong: {text:?} → {now:?}, accepted {labels:?}");
                }
            }
        }
    }
    for (source, Score { entries, changes, right }) in &scores {
        let (precision, recall) = (right / changes, right / entries);
        println!(
            "{source:<18} precision {precision:.4} recall {recall:.4} entries {entries} changes {changes}"
        );
    }
    if !prose.is_empty() {
        report(&spelling, &prose);
    }
    Ok(())
}

fn report(spelling: &Spelling, prose: &[String]) {
    let (mut tokens, mut changes) = (0, 0);
    for text in prose {
        tokens += text.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty()).count();
        let Some((now, edits)) = spelling.edit(text, None) else { continue };
        changes += edits.len();
        for Edit(at, bytes, was) in edits {
            let head = &now[now.floor_char_boundary(at.saturating_sub(40))..at];
            let tail = &now[at + bytes..now.ceil_char_boundary((at + bytes + 30).min(now.len()))];
            println!("change: {was} → {}   in {:?}", &now[at..at + bytes], format!("{head}[{was}]{tail}"));
        }
    }
    let million = tokens as f64 / 1e6;
    println!(
        "prose: {changes} changes in {million:.2} million tokens, {:.2} a million",
        changes as f64 / million
    );
    let bytes: usize = prose.iter().map(String::len).sum();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = seconds();
        prose.iter().for_each(|text| drop(spelling.edit(text, None)));
        best = best.min(seconds() - start);
    }
    println!("speed: {:.0} MB/s over {:.1} MB", bytes as f64 / best / 1e6, bytes as f64 / 1e6);
}
