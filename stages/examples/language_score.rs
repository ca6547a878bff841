//! Accuracy and speed of `filter.language` on JSON lines with `text`, `label` (ISO 639-1 or 639-3) and `kind`.
//!
//! `cargo run --release -p gristmill-stages --example language_score -- labelled.jsonl.gz [--weights FILE] [--held-out] [--table]`
//!
//! Prints, for each kind, the accuracy over all labels, over the 16 of whichlang and over the 57 of whatlang among them, over these 16 where no
//! other language takes part (as in whichlang), and what a limit of 0.65 keeps of English; then documents a second on one core, best of five passes over the sentences. With
//! `--held-out` only the texts are judged that `gristmill fit` holds out; with `--table` every label is listed.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use gristmill_stages::text::langid::train::is_held_out;
use gristmill_stages::text::langid::{Model, Scratch, codes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::time::Instant;

const WHICHLANG: &str = "ara cmn deu eng fra hin ita jpn kor nld por rus spa swe tur vie";
const NOT_WHATLANG: &str = "bos eus gle isl kaz lug mon mri msa nno som sot sqi swa tsn tso xho yor";
/// The default of `score_min`.
const LIMIT: f64 = 0.65;

struct Row {
    text: String,
    label: &'static str,
    kind: String,
}

/// Right and all.
type Tally = (u32, u32);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| args.iter().position(|a| a == flag).and_then(|at| args.get(at + 1));
    let model = match value("--weights") {
        Some(path) => Model::read(&std::fs::read(path)?)?,
        None => Model::read(include_bytes!("../assets/language.bin"))?,
    };
    let mut rows = read(args.first().ok_or("name a file of JSON lines")?)?;
    if args.iter().any(|a| a == "--held-out") {
        rows.retain(|row| is_held_out(&row.text));
    }
    let mut kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.kind == kind).collect();
        accuracy(&model, kind, &rows, args.iter().any(|a| a == "--table"));
    }
    speed(&model, &rows);
    println!("memory of the tables: {} bytes", model.memory());
    Ok(())
}

fn read(path: &str) -> Result<Vec<Row>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let mut lines = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut lines)?;
    } else {
        lines = String::from_utf8(bytes)?;
    }
    let row = |line: &str| -> Result<Row, Box<dyn Error>> {
        let row: Value = serde_json::from_str(line)?;
        let field = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let label = field("label");
        let label =
            codes::label(&label).ok_or_else(|| format!("`{label}` is not a language that can be told"))?;
        Ok(Row { text: field("text"), label, kind: field("kind") })
    };
    lines.lines().map(row).collect()
}

fn accuracy(model: &Model, kind: &str, rows: &[&Row], table: bool) {
    let (mut scratch, mut labels) = (Scratch::default(), BTreeMap::<&str, Tally>::new());
    let mut wrong = BTreeMap::<&str, BTreeMap<&str, u32>>::new();
    // Kept and all of English, and what is kept wrongly.
    let (mut english, mut others): (Tally, u32) = ((0, 0), 0);
    for row in rows {
        let found = model.detect([row.text.as_str()], &mut scratch);
        let language = found.map_or("none", |f| f.language);
        let tally = labels.entry(row.label).or_default();
        tally.0 += u32::from(language == row.label);
        tally.1 += 1;
        if language != row.label {
            *wrong.entry(row.label).or_default().entry(language).or_default() += 1;
        }
        let kept = found.is_some_and(|f| f.language == "eng" && f.score >= LIMIT);
        match row.label {
            "eng" => english = (english.0 + u32::from(kept), english.1 + 1),
            _ => others += u32::from(kept),
        }
    }
    let over = |belongs: &dyn Fn(&str) -> bool| {
        let chosen = labels.iter().filter(|(label, _)| belongs(label)).map(|(_, tally)| *tally);
        let (right, all) = chosen.fold((0, 0), |sum, tally| (sum.0 + tally.0, sum.1 + tally.1));
        f64::from(right) / f64::from(all.max(1))
    };
    println!(
        "{kind}: {} texts, {} labels, accuracy {:.4}, whichlang's 16 {:.4}, whatlang's 57 {:.4}, the 16 among themselves {:.4}",
        rows.len(),
        labels.len(),
        over(&|_| true),
        over(&|l| WHICHLANG.contains(l)),
        over(&|l| !NOT_WHATLANG.contains(l)),
        among(model, rows),
    );
    let recall = f64::from(english.0) / f64::from(english.1.max(1));
    let precision = f64::from(english.0) / f64::from((english.0 + others).max(1));
    println!("  English at {LIMIT}: {recall:.3} kept, {precision:.3} of what is kept");
    for (label, (right, all)) in labels.iter().filter(|_| table) {
        let mut most: Vec<_> = wrong.get(label).into_iter().flatten().collect();
        most.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let most: Vec<String> = most.iter().take(3).map(|(l, n)| format!("{l} {n}")).collect();
        println!("  {label} {:.3} of {all}  {}", f64::from(*right) / f64::from(*all), most.join(", "));
    }
}

/// Accuracy over the rows of the 16 languages of whichlang where only these take part.
fn among(model: &Model, rows: &[&Row]) -> f64 {
    let languages: Vec<&'static str> = WHICHLANG
        .split(' ')
        .map(|code| codes::label(code).expect("whichlang's languages can be told"))
        .collect();
    let (model, mut scratch) = (model.clone().among(&languages), Scratch::default());
    let rows = || rows.iter().filter(|row| languages.contains(&row.label));
    let mut is_right = |row: &&&Row| {
        model.detect([row.text.as_str()], &mut scratch).is_some_and(|found| found.language == row.label)
    };
    let right = rows().filter(|row| is_right(row)).count();
    right as f64 / rows().count().max(1) as f64
}

fn speed(model: &Model, rows: &[Row]) {
    let texts: Vec<&str> = rows.iter().filter(|r| r.kind != "word-pair").map(|r| r.text.as_str()).collect();
    let mut scratch = Scratch::default();
    let pass = || {
        let start = Instant::now();
        let found = texts.iter().filter(|text| model.detect([**text], &mut scratch).is_some()).count();
        (start.elapsed().as_secs_f64(), found)
    };
    let best = std::iter::repeat_with(pass).take(5).min_by(|a, b| a.0.total_cmp(&b.0));
    let (seconds, found) = best.unwrap_or((1.0, 0));
    println!("speed: {found} sentences, {:.0} documents/s on one core", found as f64 / seconds);
}
