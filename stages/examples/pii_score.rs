//! Recall and precision of `clean.pii` on labelled JSON lines: `text`, and `label` as a list of `[start, end, type]` in characters.
//!
//! A label is found when a finding of its kind covers it; a finding is wrong when it covers no label of its kind. A row without `label` is clean
//! text: every finding in it is wrong. Prints every miss, and MB/s of one thread, by processor time where Linux tells it:
//! `gzip -dc labelled.jsonl.gz | cargo run --release -p gristmill-stages --example pii_score`

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod clock;

use clock::seconds;
use gristmill_stages::text::pii::{Kind, find};
use serde_json::Value;
use std::error::Error;
use std::io::BufRead;
use std::ops::Range;

const TYPES: [(&str, Kind); Kind::COUNT] = [
    ("EMAIL_ADDRESS", Kind::Email),
    ("PHONE_NUMBER", Kind::Phone),
    ("IP_ADDRESS", Kind::Ip),
    ("CREDIT_CARD", Kind::Card),
    ("IBAN_CODE", Kind::Iban),
    ("US_SSN", Kind::Ssn),
    ("SECRET", Kind::Secret),
];

/// Found, missed, wrong.
#[derive(Default, Clone, Copy)]
struct Score(f64, f64, f64);

fn main() -> Result<(), Box<dyn Error>> {
    let mut texts = Vec::new();
    let mut scores = [Score::default(); Kind::COUNT];
    for line in std::io::stdin().lock().lines() {
        let row: Value = serde_json::from_str(&line?)?;
        let text = row["text"].as_str().unwrap_or_default();
        let found = find(text, false);
        texts.push(text.to_owned());
        for ((name, kind), score) in TYPES.iter().zip(&mut scores) {
            let labels = labels(&row, name, text);
            let ours: Vec<&Range<usize>> = found.iter().filter(|(_, k)| k == kind).map(|(r, _)| r).collect();
            let covers = |ours: &Range<usize>, label: &Range<usize>| {
                ours.start <= label.start && label.end <= ours.end
            };
            for label in &labels {
                let hit = ours.iter().any(|range| covers(range, label));
                *(if hit { &mut score.0 } else { &mut score.1 }) += 1.0;
                if !hit {
                    println!("missed {name}: {:?} in {text:?}", &text[label.clone()]);
                }
            }
            for range in ours.iter().filter(|range| !labels.iter().any(|label| covers(range, label))) {
                score.2 += 1.0;
                println!("wrong {name}: {:?} in {text:?}", &text[(*range).clone()]);
            }
        }
    }
    for ((name, _), Score(found, missed, wrong)) in TYPES.iter().zip(scores) {
        let (recall, precision) = (found / (found + missed), found / (found + wrong));
        println!(
            "{name:<14} recall {recall:.3} precision {precision:.3} found {found} missed {missed} wrong {wrong}"
        );
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = seconds();
        texts.iter().for_each(|text| drop(find(text, false)));
        best = best.min(seconds() - start);
    }
    println!("speed: {:.0} MB/s over {:.1} MB", bytes as f64 / best / 1e6, bytes as f64 / 1e6);
    Ok(())
}

/// The labels of one type, in bytes.
fn labels(row: &Value, name: &str, text: &str) -> Vec<Range<usize>> {
    let byte = |chars: &Value| {
        let chars = chars.as_u64().unwrap_or(0) as usize;
        text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at)
    };
    let all = row["label"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter(|label| label[2] == name).map(|label| byte(&label[0])..byte(&label[1])).collect()
}
