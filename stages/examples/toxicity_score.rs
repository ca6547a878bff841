//! All figures of `filter.toxicity` over folders of labelled rows, as `tox_baselines.py` defines them.
//!
//! `cargo run --release -p gristmill-stages --example toxicity_score -- toxicity text [weights=FILE] [held_out]`: `toxicity` holds gzipped JSON lines
//! with text, label, source, lang, raw, group; `text` holds documents of prose. `held_out` takes of the sets that are
//! learned from only the rows that `hold_out=true` keeps out.

use gristmill_stages::filter::toxicity::{Config, LEXICON, WEIGHTS, measure};
use gristmill_stages::text::linear::rows::is_held_out;
use gristmill_stages::text::toxic::{Scratch, Toxic};
use std::collections::BTreeMap;
use std::io::{Error, Read as _};
use std::path::Path;
use std::time::Instant;

const LEARNED: [&str; 5] = ["cold", "davidson", "germeval2018", "mlma", "surge"];

struct Scored {
    source: String,
    group: String,
    raw: String,
    label: bool,
    score: f64,
    flagged: bool,
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [toxicity, text, rest @ ..] = args.as_slice() else {
        return Err(Error::other("usage: toxicity_score TOXICITY TEXT [weights=FILE] [held_out]"));
    };
    let weights = match rest.iter().find_map(|a| a.strip_prefix("weights=")) {
        Some(path) => std::fs::read(path)?,
        None => WEIGHTS.to_vec(),
    };
    let toxic = Toxic::read(&weights, LEXICON).map_err(Error::other)?;
    let held_out = rest.iter().any(|a| a == "held_out");
    let mut out = std::io::stdout().lock();
    let scored = score(&toxic, Path::new(toxicity), held_out)?;
    sets(&scored, &mut out)?;
    groups(&scored, &mut out)?;
    madlibs(&scored, &mut out)?;
    long(&toxic, Path::new(text), &mut out)
}

fn rows(folder: &Path) -> Result<Vec<serde_json::Value>, Error> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.retain(|p| p.to_string_lossy().ends_with(".jsonl.gz"));
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
        for line in text.lines() {
            out.push(serde_json::from_str(line)?);
        }
    }
    Ok(out)
}

fn field<'a>(row: &'a serde_json::Value, name: &str) -> &'a str {
    row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
}

fn score(toxic: &Toxic, folder: &Path, held_out: bool) -> Result<Vec<Scored>, Error> {
    let (config, mut scratch) = (Config::default(), Scratch::default());
    let scored = rows(folder)?.into_iter().filter_map(|row| {
        let (text, source) = (field(&row, "text"), field(&row, "source"));
        if held_out && LEARNED.contains(&source) && !is_held_out(text) {
            return None;
        }
        let [score, _, share, ..] = measure(toxic, text, config.window_max, &mut scratch).values;
        Some(Scored {
            source: format!("{source} {}", field(&row, "lang")),
            group: field(&row, "group").to_owned(),
            raw: field(&row, "raw").to_owned(),
            label: row.get("label").and_then(serde_json::Value::as_u64) == Some(1),
            score,
            flagged: share > config.share_max,
        })
    });
    Ok(scored.collect())
}

/// The area under the ROC curve.
fn auc<'a>(rows: impl Iterator<Item = &'a Scored>) -> f64 {
    let mut order: Vec<(f64, bool)> = rows.map(|r| (r.score, r.label)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut at, mut sum) = (0, 0.0);
    while at < order.len() {
        let end = at + order[at..].iter().take_while(|o| o.0 == order[at].0).count();
        let toxic = order[at..end].iter().filter(|o| o.1).count();
        sum += toxic as f64 * (at + end + 1) as f64 / 2.0;
        at = end;
    }
    let toxic = order.iter().filter(|o| o.1).count() as f64;
    (sum - toxic * (toxic + 1.0) / 2.0) / (toxic * (order.len() as f64 - toxic))
}

fn share<'a>(rows: impl Iterator<Item = &'a Scored>) -> (usize, f64) {
    let flagged: Vec<bool> = rows.map(|r| r.flagged).collect();
    (flagged.len(), flagged.iter().filter(|f| **f).count() as f64 / flagged.len().max(1) as f64)
}

fn sets(scored: &[Scored], out: &mut impl std::io::Write) -> Result<(), Error> {
    let mut by: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    scored.iter().for_each(|r| by.entry(&r.source).or_default().push(r));
    writeln!(out, "{:<28} {:>6} {:>7} {:>12} {:>13}", "set", "rows", "AUC", "toxic found", "benign found")?;
    for (name, rows) in &by {
        let part = |label: bool| share(rows.iter().copied().filter(|r| r.label == label)).1;
        let auc = auc(rows.iter().copied());
        writeln!(out, "{name:<28} {:>6} {auc:>7.4} {:>12.3} {:>13.4}", rows.len(), part(true), part(false))?;
    }
    Ok(())
}

fn groups(scored: &[Scored], out: &mut impl std::io::Write) -> Result<(), Error> {
    let mut by: BTreeMap<(&str, &str), Vec<&Scored>> = BTreeMap::new();
    for row in scored.iter().filter(|r| !r.label && !r.group.is_empty()) {
        if row.source.starts_with("hatecheck") || row.source.starts_with("toxigen_human") {
            by.entry((&row.source, &row.group)).or_default().push(row);
        }
    }
    writeln!(out, "\nbenign rows flagged, by group (10 rows and more)")?;
    for ((source, group), rows) in by.iter().filter(|(_, rows)| rows.len() >= 10) {
        let (many, share) = share(rows.iter().copied());
        writeln!(out, "{source:<20} {group:<22} {many:>4} {share:.3}")?;
    }
    let mut by: BTreeMap<&str, Vec<&Scored>> = BTreeMap::new();
    scored
        .iter()
        .filter(|r| r.source.starts_with("hatecheck"))
        .for_each(|r| by.entry(&r.raw).or_default().push(r));
    writeln!(out, "\nHateCheck functions: rows, share flagged, mean score")?;
    for (name, rows) in by {
        let mean = rows.iter().map(|r| r.score).sum::<f64>() / rows.len() as f64;
        let (many, share) = share(rows.into_iter());
        writeln!(out, "{name:<24} {many:>4} {share:.2} {mean:.2}")?;
    }
    let (many, share) = share(scored.iter().filter(|r| r.source.starts_with("xstest")));
    writeln!(out, "\nXSTest safe prompts: {many}, flagged {:.0}", share * many as f64)
}

fn madlibs(scored: &[Scored], out: &mut impl std::io::Write) -> Result<(), Error> {
    let rows: Vec<&Scored> = scored.iter().filter(|r| r.source.starts_with("madlibs")).collect();
    let mut names: Vec<&str> = rows.iter().map(|r| r.group.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut worst = [(1.0, ""); 3];
    for name in names {
        let inside = |r: &&&Scored| r.group == name;
        if rows.iter().filter(inside).count() < 40 {
            continue;
        }
        let kinds: [&dyn Fn(&Scored) -> bool; 3] =
            [&|r| r.group == name, &|r| (r.group == name) != r.label, &|r| (r.group == name) == r.label];
        for (worst, kind) in worst.iter_mut().zip(kinds) {
            let auc = auc(rows.iter().copied().filter(|r| kind(r)));
            if auc < worst.0 {
                *worst = (auc, name);
            }
        }
    }
    let [subgroup, bpsn, bnsp] = worst;
    writeln!(out, "madlibs, worst group: subgroup AUC {subgroup:.3?}, BPSN {bpsn:.3?}, BNSP {bnsp:.3?}")
}

fn long(toxic: &Toxic, folder: &Path, out: &mut impl std::io::Write) -> Result<(), Error> {
    let (config, mut scratch) = (Config::default(), Scratch::default());
    let documents = rows(folder)?;
    let (mut flagged, mut bytes, mut top) = (0, 0, 0.0_f64);
    let start = Instant::now();
    for document in &documents {
        let text = field(document, "text");
        let [score, _, share, ..] = measure(toxic, text, config.window_max, &mut scratch).values;
        flagged += usize::from(share > config.share_max);
        bytes += text.len();
        top = top.max(score);
    }
    let speed = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    writeln!(
        out,
        "long documents: {}, flagged {flagged}, highest score {top:.2}; {speed:.0} MB/s",
        documents.len()
    )
}
