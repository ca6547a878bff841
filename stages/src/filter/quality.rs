//! Keeps the documents that read like the good ones a user has shown, by a linear classifier trained in one command.
//!
//! `gristmill fit filter.quality --set good=GOOD --set bad=BAD --out quality.bin` learns what sets two piles of documents apart,
//! as DCLM (arXiv 2406.11794, section 4.4) and Ultra-FineWeb (arXiv 2505.05427) do with fastText; the features are hashed n-grams of
//! characters and words. No weights ship: what is good is the user's to say. `weights` names the file.
//!
//! A document's score is the mean of the scores of its windows (a sentence to a paragraph), weighted by their bytes,
//! rounded to a billionth: the column and signal `quality`, 0 to 1. An empty text scores 0.
//!
//! With `score_min` documents are judged one by one. With `keep_share` below 1 all are scored first, the scores sorted on
//! disk, and the share with the highest ones stays: of n documents the best ⌈share · n⌉, and those that score the same as
//! the last of them. The limit found is told in the manifest as `quality_score_min_e9`, in billionths. It depends on the
//! documents alone, not on their order.
//!
//! ```text
//! keep_share = 0.1  → drop low_quality (quality 0.31, limit 0.87)
//! ```

mod fit;

use crate::text::linear::{Linear, Scratch, windows};
use arrow::array::{ArrayRef, AsArray as _, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, SchemaRef};
use schemas::{
    Build, Config as _, FilePath, Global, House, Judge, KeyError, Made, Notes, Outcome, Push, Reason,
    Records, Settled, Sorted, Spec, Stage, StageError, Verdict, column, config,
};
use std::sync::Arc;

pub use fit::FIT;

/// The column and the signal. Float64.
const QUALITY: &str = "quality";
/// The fact that tells the limit that a share came to, in billionths.
const LIMIT: &str = "quality_score_min_e9";
/// Steps of a score.
const STEPS: f64 = 1e9;
/// `score_min` where it is not set.
const SCORE_MIN: f64 = 0.5;

config! {
    /// Settings of `filter.quality`.
    pub struct Config {
        /// Weights made by `gristmill fit filter.quality`. Required.
        weights: FilePath = FilePath::default();
        /// Lowest score of a document kept.
        score_min: f64 = SCORE_MIN, in 0.0..=1.0;
        /// Share of the documents kept, the best ones; below 1 it takes the place of `score_min`.
        keep_share: f64 = 1.0, in 0.0..=1.0;
    }
}

/// Why `filter.quality` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// It scores below the limit.
    LowQuality,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::LowQuality => "low_quality",
        }
    }
}

const REASONS: &[Reason] = &[Reason {
    name: Drop::LowQuality.name(),
    doc: "The document scores below `score_min`, or is not among the share with the highest scores.",
}];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let wrong = |key: &str, message: String, help: Option<&str>| {
        vec![KeyError { key: key.into(), message, help: help.map(str::to_owned) }]
    };
    if config.weights.is_empty() {
        let help = "make them from your own documents: gristmill fit filter.quality --set good=… --set bad=… --out quality.bin";
        return Err(wrong("weights", "no weights are named".into(), Some(help)));
    }
    if config.keep_share < 1.0 && config.score_min != SCORE_MIN {
        return Err(wrong("keep_share", "`score_min` is set too".into(), Some("keep one of them")));
    }
    let path = settings.resolve(&config.weights);
    let bytes =
        std::fs::read(&path).map_err(|e| wrong("weights", format!("{}: {e}", path.display()), None))?;
    let linear = Arc::new(Linear::read(&bytes).map_err(|e| wrong("weights", e, None))?);
    Ok(if config.keep_share < 1.0 {
        Made::Global(Box::new(Share { linear, share: config.keep_share }))
    } else {
        Made::Stage(Box::new(Least { linear, limit: steps(config.score_min) }))
    })
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.quality",
    version: 1,
    summary: "Keeps the documents that read like the good ones a user has shown.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

const fn steps(score: f64) -> u64 {
    (score * STEPS).round() as u64
}

/// The score of a document, in billionths.
fn score(linear: &Linear, text: &str, scratch: &mut Scratch) -> u64 {
    let (mut sum, mut bytes) = (0.0, 0.0);
    for window in windows(text) {
        let weight = window.len() as f64;
        sum += linear.score(window, scratch) * weight;
        bytes += weight;
    }
    if bytes > 0.0 { steps(sum / bytes) } else { 0 }
}

fn scores(linear: &Linear, batch: &RecordBatch) -> Result<Vec<u64>, StageError> {
    let mut scratch = Scratch::default();
    let texts = column::utf8(batch, column::TEXT)?;
    Ok(texts.iter().map(|text| score(linear, text.unwrap_or_default(), &mut scratch)).collect())
}

fn columns(input: &SchemaRef) -> Result<SchemaRef, StageError> {
    column::require(input, column::TEXT, &DataType::Utf8)?;
    Ok(column::with(input, [Field::new(QUALITY, DataType::Float64, false)]))
}

/// Drops what scores below a limit.
struct Least {
    linear: Arc<Linear>,
    limit: u64,
}

const fn told(steps: u64) -> f64 {
    steps as f64 / STEPS
}

impl Least {
    const fn verdict(&self, score: u64) -> Verdict {
        if score >= self.limit {
            return Verdict::Kept;
        }
        let reason = Drop::LowQuality.name();
        Verdict::Dropped { reason, value: told(score), limit: told(self.limit), twin: None }
    }
}

impl Stage for Least {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        columns(input)
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let scores = scores(&self.linear, batch)?;
        let values: Float64Array = scores.iter().map(|score| Some(told(*score))).collect();
        let values: ArrayRef = Arc::new(values);
        Ok(Outcome {
            verdicts: scores.iter().map(|score| self.verdict(*score)).collect(),
            columns: vec![(QUALITY.to_owned(), values.clone())],
            signals: vec![(QUALITY, values)],
        })
    }

    fn limits(&self) -> &'static [&'static str] {
        &["score_min"]
    }

    fn decide(&self, signals: &RecordBatch) -> Option<Vec<Verdict>> {
        let scores = signals.column_by_name(QUALITY)?.as_primitive_opt::<Float64Type>()?;
        Some(scores.values().iter().map(|score| self.verdict(steps(*score))).collect())
    }
}

/// Finds the limit that keeps a share. Key of a record: score, big-endian. Value, once reduced: how many have it.
struct Share {
    linear: Arc<Linear>,
    share: f64,
}

impl Global for Share {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        columns(input)
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        scores(&self.linear, batch)?.iter().for_each(|score| out.push(&score.to_be_bytes(), &[]));
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let mut open: Option<(Vec<u8>, u64)> = None;
        while let Some(record) = sorted.next()? {
            match &mut open {
                Some((key, count)) if key == record.key => *count += 1,
                _ => {
                    if let Some((key, count)) = open.replace((record.key.to_vec(), 1)) {
                        out.push(&key, &count.to_be_bytes())?;
                    }
                }
            }
        }
        open.map_or(Ok(()), |(key, count)| out.push(&key, &count.to_be_bytes()))
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        house: &dyn House,
        _notes: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        let (mut all, mut again) = (0, house.sorter()?);
        while let Some(record) = reduced.next()? {
            all += count(record.value);
            again.push(record.key, record.value)?;
        }
        let mut again = again.sorted()?;
        let gone = all - (self.share * all as f64).ceil() as u64;
        let (mut below, mut limit) = (0, 0);
        while let Some(record) = again.next()? {
            limit = count(record.key);
            below += count(record.value);
            if below > gone {
                break;
            }
        }
        // Where the share is nothing, no score is high enough.
        let limit = if all > 0 && gone == all { limit + 1 } else { limit };
        Ok(Settled { facts: [(LIMIT.to_owned(), limit)].into(), ..Settled::default() })
    }

    fn judge(&self, settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        let limit = *settled.facts.get(LIMIT).expect("settle told the limit");
        Ok(Box::new(Least { linear: self.linear.clone(), limit }))
    }
}

fn count(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().expect("the record holds a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::driver::{self, batch};
    use crate::text::linear::rows::Row;
    use crate::text::linear::train::{Plan, train};
    use schemas::Settings;
    use std::sync::LazyLock;

    const GOOD: &str = "the mill grinds corn slowly between two heavy stones";
    const BAD: &str = "click here to win big prizes now subscribe today";

    static LINEAR: LazyLock<Arc<Linear>> = LazyLock::new(|| {
        let row = |n: usize, label: bool| Row {
            text: format!("{} {n}", if label { GOOD } else { BAD }),
            label,
            group: String::new(),
            held_out: false,
        };
        let rows: Vec<Row> = (0..40).map(|n| row(n, n % 2 == 0)).collect();
        Arc::new(train(&rows, &Plan { bits: 12, weights_max: 2000, ..Plan::default() }))
    });

    fn check(share: f64, rows: &[(&str, &str)], kept: &str) {
        let global = Share { linear: LINEAR.clone(), share };
        let run = |rows: &[(&str, &str)], size: usize, partitions| {
            let batches: Vec<RecordBatch> = rows.chunks(size).map(|part| batch(column::TEXT, part)).collect();
            let outcomes = driver::run(&global, &batches, partitions).unwrap();
            let verdicts = outcomes.iter().flat_map(|outcome| &outcome.verdicts);
            let names =
                rows.iter().zip(verdicts).filter(|(_, v)| **v == Verdict::Kept).map(|((name, _), _)| *name);
            let mut names: Vec<&str> = names.collect();
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(run(rows, 2, 1), kept);
        let turned: Vec<_> = rows.iter().rev().copied().collect();
        assert_eq!(run(&turned, 3, 4), kept, "another order");
    }

    #[test]
    fn the_best_share_stays_whatever_the_order() {
        let half = format!("{GOOD}. {BAD}");
        let rows = [("a", BAD), ("b", GOOD), ("c", ""), ("d", half.as_str())];
        check(1.0, &rows, "a b c d");
        check(0.75, &rows, "a b d");
        check(0.5, &rows, "b d");
        check(0.26, &rows, "b d");
        check(0.25, &rows, "b");
        check(0.0, &rows, "");
        check(0.5, &[], "");
    }

    #[test]
    fn what_scores_the_same_stays_together() {
        check(0.25, &[("a", GOOD), ("b", BAD), ("c", GOOD), ("d", GOOD)], "a c d");
        check(0.5, &[("a", ""), ("b", "")], "a b");
        check(0.0, &[("a", GOOD)], "");
    }

    #[test]
    fn the_score_is_a_column_and_a_signal() {
        let stage = Least { linear: LINEAR.clone(), limit: steps(0.5) };
        let input = batch(column::TEXT, &[("a", GOOD), ("b", BAD)]);
        let outcome = stage.apply(&input).unwrap();
        assert!(
            matches!(outcome.verdicts[1], Verdict::Dropped { reason: "low_quality", value, limit: 0.5, .. } if value < 0.5)
        );
        let kept = outcome.select(&input, &stage.output(&input.schema()).unwrap()).unwrap();
        let quality: &Float64Array = kept.column_by_name(QUALITY).unwrap().as_any().downcast_ref().unwrap();
        assert!(quality.len() == 1 && quality.value(0) > 0.5);
        assert_eq!(outcome.signals[0].0, QUALITY);
    }

    #[test]
    fn mistakes_of_the_recipe() {
        let told = |pairs: Vec<(&str, schemas::Value)>| {
            let pairs = pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
            (SPEC.build)(&Settings::new(pairs)).err().unwrap()[0].to_string()
        };
        assert!(told(Vec::new()).starts_with(
            "`weights`: no weights are named; make them from your own documents: gristmill fit"
        ));
        assert!(told(vec![("weights", "no/such.bin".into())]).starts_with("`weights`: no/such.bin: "));
        let both = vec![("weights", "x".into()), ("score_min", 0.7.into()), ("keep_share", 0.1.into())];
        assert_eq!(told(both), "`keep_share`: `score_min` is set too; keep one of them");
    }
}
