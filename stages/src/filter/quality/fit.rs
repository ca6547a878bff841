//! Makes the weights of `filter.quality` from two piles of documents.

use super::{score, steps};
use crate::text::files::texts;
use crate::text::linear::rows::{Row, is_held_out};
use crate::text::linear::train::{Plan, train};
use crate::text::linear::{Scratch, windows};
use schemas::{Config as _, FilePath, Fitted, Fitting, KeyError, Settings, config};

/// Most windows of one document that are learned from, evenly spread.
const WINDOWS_MAX: usize = 16;

config! {
    /// What `filter.quality` learns from.
    pub struct Config {
        /// Documents to keep: a file or a folder of text and JSON lines with `text`.
        good: FilePath = FilePath::default();
        /// Documents to drop, in the same forms.
        bad: FilePath = FilePath::default();
        /// Most weights kept.
        weights_max: u64 = 280_000, in 1..=16_000_000;
        /// Passes over the documents.
        epochs: u64 = 6, in 1..=100;
        /// Seed of their order.
        seed: u64 = 1;
    }
}

/// The learner of `filter.quality`.
pub const FIT: Fitting = Fitting {
    kind: "filter.quality",
    summary: "Learns what sets good documents from bad ones; one in ten is held out and scored.",
    keys: Config::KEYS,
    fit,
};

fn fit(settings: &Settings) -> Result<Fitted, Vec<KeyError>> {
    let config: Config = settings.parse()?;
    let (mut rows, mut held_out, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut documents = [0_u64; 2];
    for (key, path, label) in [("good", &config.good, true), ("bad", &config.bad, false)] {
        let mut take = |text: &str| {
            documents[usize::from(label)] += 1;
            if is_held_out(text) {
                held_out.push((text.to_owned(), label));
            } else {
                learn(text, label, &mut rows);
            }
        };
        let read = if path.is_empty() {
            Err("name a file or a folder of documents".to_owned())
        } else {
            texts(&settings.resolve(path), &mut |row| take(&row.text))
        };
        let found = read.and_then(|()| {
            let some = rows.iter().any(|row| row.label == label);
            some.then_some(()).ok_or_else(|| "there is nothing to learn from".to_owned())
        });
        errors.extend(found.err().map(|message| KeyError { key: key.into(), message, help: None }));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let plan = Plan {
        weights_max: config.weights_max as usize,
        epochs: config.epochs,
        seed: config.seed,
        note: "gristmill fit filter.quality".into(),
        ..Plan::default()
    };
    let linear = train(&rows, &plan);
    let mut scratch = Scratch::default();
    let scored: Vec<(u64, bool)> =
        held_out.iter().map(|(text, label)| (score(&linear, text, &mut scratch), *label)).collect();
    let right = scored.iter().filter(|(score, label)| (*score >= steps(0.5)) == *label).count();
    let share = |part: f64| if part.is_nan() { "none held out".to_owned() } else { format!("{part:.4}") };
    let facts = vec![
        ("good", documents[1].to_string()),
        ("bad", documents[0].to_string()),
        ("held_out", scored.len().to_string()),
        ("auc", share(auc(scored.clone()))),
        ("accuracy", share(right as f64 / scored.len() as f64)),
    ];
    Ok(Fitted { bytes: linear.write(), facts })
}

fn learn(text: &str, label: bool, rows: &mut Vec<Row>) {
    let all: Vec<&str> = windows(text).collect();
    let step = all.len().div_ceil(WINDOWS_MAX).max(1);
    rows.extend(all.iter().step_by(step).map(|window| Row {
        text: (*window).to_owned(),
        label,
        group: String::new(),
        held_out: false,
    }));
}

/// How often a good document scores higher than a bad one, ties counted half; NaN where one sort is missing.
fn auc(mut scored: Vec<(u64, bool)>) -> f64 {
    scored.sort_unstable();
    let (mut bad, mut above, mut good) = (0.0, 0.0, 0.0);
    for same in scored.chunk_by(|a, b| a.0 == b.0) {
        let here = same.iter().filter(|(_, label)| *label).count() as f64;
        let others = same.len() as f64 - here;
        above += here * (bad + others / 2.0);
        (bad, good) = (bad + others, good + here);
    }
    above / (bad * good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect())
    }

    #[test]
    fn two_piles_are_told_apart_and_the_bytes_repeat() {
        let folder = std::env::temp_dir().join(format!("gristmill-quality-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let pile = |words: &str| {
            let mut lines = String::new();
            (0..60).for_each(|n| writeln!(lines, "{{\"text\":\"{words} number {n}\"}}").unwrap());
            lines
        };
        let (good, bad) = (folder.join("good.jsonl"), folder.join("bad.jsonl"));
        std::fs::write(&good, pile("the mill grinds corn")).unwrap();
        std::fs::write(&bad, pile("win big prizes now")).unwrap();
        let set = settings(&[("good", good.to_str().unwrap()), ("bad", bad.to_str().unwrap())]);
        let (once, twice) = (fit(&set).unwrap(), fit(&set).unwrap());
        assert_eq!(once.bytes, twice.bytes);
        let fact = |name: &str| once.facts.iter().find(|(n, _)| *n == name).unwrap().1.clone();
        assert_eq!((fact("good"), fact("auc")), ("60".into(), "1.0000".into()));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        let told: Vec<String> = fit(&settings(&[])).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(told, ["good", "bad"].map(|key| format!("`{key}`: name a file or a folder of documents")));
    }

    #[test]
    fn areas() {
        assert_eq!(auc(vec![(1, false), (2, true)]), 1.0);
        assert_eq!(auc(vec![(1, false), (1, true)]), 0.5);
        assert_eq!(auc(vec![(1, false), (0, true), (2, true)]), 0.5);
        assert!(auc(vec![(1, true)]).is_nan());
    }
}
