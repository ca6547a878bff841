//! The filters of the dialect `datatrove-0.10` beside datatrove itself; started by `benches/peers/datatrove_filters.py`.
//!
//! `compare FILE`: the file holds a JSON object a line, with a text, datatrove's words and its verdicts. Prints for each filter how
//! many verdicts, reasons and texts are datatrove's, given its words and with our own.
//! `pass COUNT FILE`: takes all texts so many times through FineWeb's chain and prints how many are kept.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use gristmill_stages::filter::c4::{self, C4};
use gristmill_stages::filter::fineweb::{self, FineWeb};
use gristmill_stages::filter::gopher::{self, Gopher};
use gristmill_stages::filter::repetition::{self, Repetition};
use gristmill_stages::text::spacy;
use schemas::{Filter as _, Judgement, Verdict};
use serde_json::Value;
use std::error::Error;
use std::io::{BufRead as _, BufReader};

/// FineWeb's filters, and C4 as it was meant.
struct Filters {
    repetition: Repetition,
    gopher: Gopher,
    c4: C4,
    c4_all_lines: C4,
    fineweb: FineWeb,
}

impl Filters {
    fn new() -> Self {
        let gopher = gopher::Config { dialect: gopher::Dialect::Datatrove, ..Default::default() };
        let repetition = repetition::Config { dialect: repetition::Dialect::Datatrove, ..Default::default() };
        Self {
            repetition: Repetition::new(&repetition),
            gopher: Gopher::new(&gopher),
            c4: C4::new(c4::Config::default()),
            c4_all_lines: C4::new(c4::Config { terminal: false, ..Default::default() }),
            fineweb: FineWeb::new(fineweb::Config::default()),
        }
    }

    /// The chain of FineWeb: the filter that drops the text, and why.
    fn chain(&self, text: &str) -> Option<(&'static str, &'static str)> {
        let dropped = |name, judgement: Judgement| reason(&judgement.verdict).map(|reason| (name, reason));
        if let Some(found) = dropped("gopher_repetition", self.repetition.judge(text)) {
            return Some(found);
        }
        if let Some(found) = dropped("gopher_quality", self.gopher.judge(text)) {
            return Some(found);
        }
        let (judgement, left) = self.c4_all_lines.judge(text);
        dropped("c4_quality_fineweb", judgement)
            .or_else(|| dropped("fineweb_quality", self.fineweb.judge(&left)))
    }
}

fn reason(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Dropped { reason, .. } => Some(reason),
        _ => None,
    }
}

/// How many of the verdicts are datatrove's.
#[derive(Default)]
struct Row {
    given: usize,
    ours: usize,
}

const NAMES: [&str; 7] = [
    "words",
    "gopher_repetition",
    "gopher_quality",
    "c4_quality",
    "c4_quality_fineweb",
    "fineweb_quality",
    "chain",
];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["compare", file] => compare(file),
        ["pass", count, file] => pass(count.parse()?, file),
        _ => Err("use: compare FILE, or pass COUNT FILE".into()),
    }
}

fn rows(file: &str) -> Result<impl Iterator<Item = Result<Value, Box<dyn Error>>>, Box<dyn Error>> {
    let lines = BufReader::new(std::fs::File::open(file)?).lines();
    Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
}

fn compare(file: &str) -> Result<(), Box<dyn Error>> {
    let filters = Filters::new();
    let mut table: [Row; NAMES.len()] = Default::default();
    let mut total = 0;
    for row in rows(file)? {
        let row = row?;
        let text = row["text"].as_str().ok_or("a row has no text")?;
        let words: Vec<&str> =
            row["words"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        total += 1;
        let mut hold = |name: usize, given: bool, ours: bool| {
            table[name].given += usize::from(given);
            table[name].ours += usize::from(ours);
            if !given || !ours {
                println!("{}: {} differs, ours {ours}, given the words {given}", row["id"], NAMES[name]);
            }
        };
        let theirs = |name: usize| row[NAMES[name]][1].as_str();
        hold(0, true, spacy::words(text) == words && spacy::sentences(text) as u64 == row["sentences"]);
        let same = |name: usize, judgement: &Judgement| reason(&judgement.verdict) == theirs(name);
        let (f, n) = (&filters, words.len());
        hold(1, same(1, &f.repetition.judge_words(text, &words)), same(1, &f.repetition.judge(text)));
        hold(2, same(2, &f.gopher.judge_words(text, &words)), same(2, &f.gopher.judge(text)));
        for (name, c4) in [(3, &f.c4), (4, &f.c4_all_lines)] {
            let mut counts = row[format!("{}_sentences", NAMES[name])].as_array().into_iter().flatten();
            let mut count = |_: &str| counts.next().and_then(Value::as_u64).unwrap_or(0) as usize;
            let left = row[format!("{}_text", NAMES[name])].as_str().unwrap_or(text);
            let equal = |(judgement, text): (Judgement, String)| {
                same(name, &judgement) && (theirs(name).is_some() || text == left)
            };
            hold(name, equal(c4.judge_sentences(text, &mut count)), equal(c4.judge(text)));
        }
        hold(5, same(5, &f.fineweb.judge_words(text, n)), same(5, &f.fineweb.judge(text)));
        let chain = f.chain(text).map(|(filter, reason)| format!("{filter}:{reason}"));
        hold(6, true, chain.as_deref() == theirs(6));
    }
    println!(
        "{total} documents\n\n| verdict, reason and text | given datatrove's words | with our own |\n|---|---|---|"
    );
    let percent = |count: usize| format!("{count} ({:.3} %)", 100.0 * count as f64 / f64::from(total.max(1)));
    for (name, row) in NAMES.iter().zip(&table) {
        println!("| {name} | {} | {} |", percent(row.given), percent(row.ours));
    }
    Ok(())
}

fn pass(count: usize, file: &str) -> Result<(), Box<dyn Error>> {
    let filters = Filters::new();
    let texts: Vec<String> = rows(file)?
        .map(|row| Ok(row?["text"].as_str().unwrap_or_default().to_owned()))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let mut kept = 0;
    for _ in 0..count {
        kept = texts.iter().filter(|text| filters.chain(text).is_none()).count();
    }
    println!("{kept} of {} kept", texts.len());
    Ok(())
}
