//! Verdicts, reasons, words and texts of datatrove 0.10.1, asked once and kept in `datatrove.jsonl.gz`.
//!
//! A line is `[text, words, hash of the words, sentences, [reason or null of each filter], [hash of what C4 leaves]]`; the texts are
//! pieces of Python PEPs, Rust books and RFCs, Standard Ebooks, Shakespeare and US addresses, and mutations of them (public
//! domain, CC0-1.0, MIT OR Apache-2.0). Made again by `benches/peers/datatrove_filters.py --golden`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use gristmill_stages::filter::c4::{self, C4};
use gristmill_stages::filter::fineweb::{self, FineWeb};
use gristmill_stages::filter::gopher::{self, Gopher};
use gristmill_stages::filter::repetition::{self, Repetition};
use gristmill_stages::text::spacy;
use schemas::{Filter as _, Verdict};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::io::{BufRead as _, BufReader};

fn reason(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Dropped { reason, .. } => Some(reason),
        _ => None,
    }
}

/// The first 16 hexadecimal digits.
fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn verdicts_and_reasons_are_those_of_datatrove() {
    let gopher = Gopher::new(&gopher::Config { dialect: gopher::Dialect::Datatrove, ..Default::default() });
    let repetition = Repetition::new(&repetition::Config {
        dialect: repetition::Dialect::Datatrove,
        ..Default::default()
    });
    let c4 = C4::new(c4::Config::default());
    let c4_all_lines = C4::new(c4::Config { terminal: false, ..Default::default() });
    let fineweb = FineWeb::new(fineweb::Config::default());
    let file = flate2::read::GzDecoder::new(&include_bytes!("datatrove.jsonl.gz")[..]);
    let mut documents = 0;
    for line in BufReader::new(file).lines() {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = row[0].as_str().unwrap();
        let words = spacy::words(text);
        assert_eq!(words.len() as u64, row[1], "words of {text:?}");
        assert_eq!(hash(&words.join("\n")), row[2], "words of {text:?}");
        assert_eq!(spacy::sentences(text) as u64, row[3], "sentences of {text:?}");
        let (strict, strict_left) = c4.judge(text);
        let (loose, left) = c4_all_lines.judge(text);
        let judged = [
            repetition.judge(text).verdict,
            gopher.judge(text).verdict,
            strict.verdict,
            loose.verdict,
            fineweb.judge(text).verdict,
        ];
        let mut reasons: Vec<Option<String>> =
            judged.iter().map(|verdict| reason(verdict).map(String::from)).collect();
        let last = fineweb.judge(&left).verdict;
        let chain = [
            ("gopher_repetition", &judged[0]),
            ("gopher_quality", &judged[1]),
            ("c4_quality_fineweb", &judged[3]),
            ("fineweb_quality", &last),
        ];
        let first = chain.iter().find_map(|(name, verdict)| Some(format!("{name}:{}", reason(verdict)?)));
        reasons.push(first);
        let expected: Vec<Option<String>> = serde_json::from_value(row[4].clone()).unwrap();
        assert_eq!(reasons, expected, "{text:?}");
        for (at, left) in [strict_left, left].iter().enumerate() {
            if let Some(expected) = row[5][at].as_str() {
                assert_eq!(hash(left), expected, "what C4 leaves of {text:?}");
            }
        }
        documents += 1;
    }
    assert!(documents >= 500, "{documents}");
}
