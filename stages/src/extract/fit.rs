//! Makes the weights of `extract.html` from pages with gold text.

mod gold;
mod lesson;

use super::content::{self, Model, PAGE, PageType, WIDTH};
use crate::text::files::listed;
use crate::text::trees::fit::{Plan, Table, fit as boost};
use flate2::read::MultiGzDecoder;
use lesson::{Lesson, lesson};
use rayon::prelude::*;
use schemas::{Config as _, FilePath, Fitted, Fitting, KeyError, Settings, config};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

config! {
    /// Where `extract.html` learns from.
    pub struct Config {
        /// Folder of `.jsonl.gz` with `id`, `dataset`, `url`, `html` and `gold_text` or `with` and `without`.
        data: FilePath = FilePath::default();
        /// Parts that the pages are cut into by host; 0 to learn from all.
        folds: u64 = 0, in 0..=100;
        /// The part that is not learned from.
        fold: u64 = 0, in 0..=99;
        /// Trees.
        trees: u64 = 150, in 1..=1000;
        /// Questions from the root of a tree to a leaf.
        depth: u64 = 6, in 1..=8;
        /// What the draws of rows and columns are a function of.
        seed: u64 = 1;
    }
}

/// The learner of `extract.html`.
pub const FIT: Fitting = Fitting {
    kind: "extract.html",
    summary: "Learns from pages with their main text, or with snippets that belong to it and that do not.",
    keys: Config::KEYS,
    fit,
};

/// Pages read at once.
const PAGES: usize = 64;

/// The part that a page of the sets is in, of `folds`: pages of one site are in one part.
pub fn fold(page: &Value, folds: u64) -> u64 {
    lesson::fold(page, folds)
}

fn fit(settings: &Settings) -> Result<Fitted, Vec<KeyError>> {
    let config: Config = settings.parse()?;
    let wrong = |message: String| vec![KeyError { key: "data".into(), message, help: None }];
    if config.data.is_empty() {
        return Err(wrong("name the folder to learn from".into()));
    }
    let mut all: Vec<Lesson> = Vec::new();
    let mut held_out = 0;
    for path in listed(&settings.resolve(&config.data), &[".jsonl.gz"]).map_err(wrong)? {
        held_out += learn(&path, &config, &mut all).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
    }
    let rows = all.iter().flat_map(|lesson| &lesson.weights).filter(|weight| **weight > 0.0).count();
    if rows == 0 {
        return Err(wrong("no page has a gold text or snippets".into()));
    }
    let bytes = Model::write(&[blocks(&all, &config), types(&all, &config)]);
    let facts = [("pages", all.len()), ("held_out", held_out), ("rows", rows)];
    Ok(Fitted { bytes, facts: facts.map(|(name, count)| (name, count.to_string())).to_vec() })
}

const fn plan(config: &Config) -> Plan {
    Plan {
        trees: config.trees as usize,
        depth: config.depth as usize,
        seed: config.seed,
        rate: 0.1,
        rows: 0.7,
        columns: 0.4,
        calm: 5.0,
        leaf_min: 40,
    }
}

/// The model of a block.
fn blocks(all: &[Lesson], config: &Config) -> Vec<u8> {
    let (mut values, mut targets, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for lesson in all {
        for (at, weight) in lesson.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            values.extend_from_slice(&lesson.rows[at * WIDTH..(at + 1) * WIDTH]);
            targets.push(lesson.targets[at]);
            weights.push(*weight);
        }
    }
    boost(&Table::new(&values, WIDTH), &targets, &weights, &plan(config))
}

/// The model of the kind of a page; one that knows nothing where no page tells its kind.
fn types(all: &[Lesson], config: &Config) -> Vec<u8> {
    let (mut values, mut targets) = (Vec::new(), Vec::new());
    for lesson in all {
        let (Some(kind), Some(page)) = (lesson.page_type, &lesson.page) else { continue };
        values.extend(content::type_rows(page));
        targets.extend(PageType::ALL.map(|other| f32::from(u8::from(other == kind))));
    }
    let plan = Plan { leaf_min: 10, columns: 0.6, ..plan(config) };
    let weights = vec![1.0; targets.len()];
    boost(&Table::new(&values, PAGE + PageType::ALL.len()), &targets, &weights, &plan)
}

/// Adds the pages of a file; how many are of the part that is held out.
fn learn(path: &Path, config: &Config, all: &mut Vec<Lesson>) -> Result<usize, String> {
    let mut lines = BufReader::new(MultiGzDecoder::new(File::open(path).map_err(|e| e.to_string())?)).lines();
    let mut held_out = 0;
    loop {
        let batch = lines.by_ref().take(PAGES).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        if batch.is_empty() {
            return Ok(held_out);
        }
        let lessons: Result<Vec<Option<Lesson>>, serde_json::Error> = batch
            .par_iter()
            .map(|line| {
                let page: Value = serde_json::from_str(line)?;
                let out = config.folds > 0 && fold(&page, config.folds) == config.fold;
                Ok((!out).then(|| lesson(&page)))
            })
            .collect();
        for lesson in lessons.map_err(|e| e.to_string())? {
            match lesson {
                Some(lesson) => all.push(lesson),
                None => held_out += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let told = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
            fit(&Settings::new(pairs)).expect_err("nothing to learn from")[0].to_string()
        };
        assert_eq!(told(&[]), "`data`: name the folder to learn from");
        assert!(told(&[("data", "no/such/folder")]).starts_with("`data`: no/such/folder: "));
    }

    #[test]
    fn pages_of_a_site_are_in_one_part() {
        let part = |url: &str| fold(&serde_json::json!({ "url": url, "id": "x" }), 1000);
        assert_eq!(part("https://a.example.com/1"), part("http://www.example.com"));
        assert_eq!(part("https://a.example.co.uk/1"), part("https://example.co.uk:80/"));
        assert_ne!(part("https://example.co.uk/1"), part("https://other.co.uk/1"));
    }
}
