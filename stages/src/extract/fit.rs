//! Makes the weights of `extract.html` from pages with gold text.

mod gold;
mod lesson;

use super::content::{self, AGAIN_WIDTH, Model, PAGE, PageType, WIDTH};
use crate::text::files::listed;
use crate::text::trees::Trees;
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
        /// Trees of the first look, and of the kind of the page.
        trees: u64 = 300, in 1..=1000;
        /// Trees of the second look.
        again: u64 = 200, in 1..=1000;
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
/// Parts, by site, whose first look is by a model of the others while the second learns.
const PARTS: u64 = 5;

/// The part that a page of the sets is in, of `folds`: pages of one site are in one part.
pub fn fold(page: &Value, folds: u64) -> u64 {
    lesson::site(page) % folds.max(1)
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
    let [first, second] = blocks(&all, &config);
    let bytes = Model::write(&[first, second, types(&all, &config)]);
    let facts = [("pages", all.len()), ("held_out", held_out), ("rows", rows)];
    Ok(Fitted { bytes, facts: facts.map(|(name, count)| (name, count.to_string())).to_vec() })
}

const fn plan(config: &Config) -> Plan {
    Plan { trees: config.trees as usize, seed: config.seed, rate: 0.1, rows: 0.7, columns: 0.4, calm: 5.0 }
}

/// The models of a block. The second learns from what models of other sites say of a page, for the first knows the pages that it has
/// learned from too well.
fn blocks(all: &[Lesson], config: &Config) -> [Vec<u8>; 2] {
    let mut lookers = Vec::new();
    for part in 0..PARTS {
        let others: Vec<&Lesson> = all.iter().filter(|lesson| part_of(lesson) != part).collect();
        let is_whole = others.len() == all.len();
        lookers.push((!is_whole).then(|| trees(&first(&others, config))));
    }
    let seen: Vec<Vec<f32>> = all
        .par_iter()
        .map(|lesson| match &lookers[part_of(lesson) as usize] {
            Some(looker) => {
                let mut rows = Vec::new();
                let probable = looker.probabilities(&lesson.rows);
                lesson.between.rows(&probable, |some| rows.extend_from_slice(some));
                rows
            }
            None => Vec::new(),
        })
        .collect();
    let rows = all.iter().zip(&seen).map(|(lesson, rows)| (lesson, rows.as_slice()));
    // Most trees of the second look see the verdicts of the first.
    let plan = Plan { trees: config.again as usize, columns: 0.8, ..plan(config) };
    [first(&all.iter().collect::<Vec<_>>(), config), learned(rows, AGAIN_WIDTH, &plan)]
}

/// The part of a page, which is no function of the parts that are held out.
fn part_of(lesson: &Lesson) -> u64 {
    schemas::hash::seed(PARTS, "", lesson.site) % PARTS
}

fn first(lessons: &[&Lesson], config: &Config) -> Vec<u8> {
    let rows = lessons.iter().map(|lesson| (*lesson, lesson.rows.as_slice()));
    learned(rows, WIDTH, &plan(config))
}

fn trees(bytes: &[u8]) -> Trees {
    Trees::read(bytes).expect("trees are read as they are written")
}

/// A model of the blocks of lessons, each with a row of `width` numbers.
fn learned<'l>(lessons: impl Iterator<Item = (&'l Lesson, &'l [f32])>, width: usize, plan: &Plan) -> Vec<u8> {
    let (mut values, mut targets, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (lesson, rows) in lessons {
        let rows = rows.chunks_exact(width).zip(lesson.targets.iter().zip(&lesson.weights));
        for (row, (target, weight)) in rows.filter(|(_, (_, weight))| **weight > 0.0) {
            values.extend_from_slice(row);
            targets.push(*target);
            weights.push(*weight);
        }
    }
    boost(&Table::new(&values, width), &targets, &weights, plan)
}

/// The model of the kind of a page; one that knows nothing where no page tells its kind.
fn types(all: &[Lesson], config: &Config) -> Vec<u8> {
    let (mut values, mut targets) = (Vec::new(), Vec::new());
    for lesson in all {
        let (Some(kind), Some(page)) = (lesson.page_type, &lesson.page) else { continue };
        values.extend(content::type_rows(page));
        targets.extend(PageType::ALL.map(|other| f32::from(u8::from(other == kind))));
    }
    let plan = Plan { columns: 0.6, ..plan(config) };
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
