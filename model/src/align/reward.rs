//! A reward model: the transformer with one number for a head, which is greater for the better of two answers.
//!
//! ```text
//! r = w·h(last token);   L = −log σ(r(chosen) − r(rejected))      Bradley and Terry (1952), as in arXiv 2203.02155
//! ```
//! The folder loads as `LlamaForSequenceClassification` or `GPT2ForSequenceClassification` with one label; a text begins
//! behind the end-of-document token there too. The head begins with zeros.

use super::course::{self, Course, Lesson, Subject, rows_of_step};
use super::dpo::{length, log_sigmoid, sigmoid, texts};
use super::packed::{Packed, Sequence};
use super::{AlignReport, Common, Job, Pair, Rows, check_lengths, check_some};
use crate::architecture::json::is_published;
use crate::architecture::{Shape, Source, Transformer};
use crate::data::Position;
use crate::error::TrainError;
use crate::folder;
use crate::kernel::{Real, add_scaled, dot};
use crate::layer::dropout::Dropout;
use crate::metrics::Measure;
use crate::parameter::{Parameter, Shared};
use crate::parts::Architecture;
use serde_json::json;
use std::path::Path;

/// Name of the head.
pub(crate) const HEAD: &str = "score.weight";
/// Pairs scored in one batch.
const SCORED: usize = 16;

/// A transformer with a scalar head.
pub(super) struct Reward<T> {
    pub(super) model: Transformer<T>,
    /// 1 × width.
    head: Shared<T>,
}

impl<T: Real> Reward<T> {
    /// The rewards of texts.
    pub(super) fn of(&self, texts: &[Sequence<'_>]) -> Result<Vec<f64>, TrainError> {
        rewards(&self.model, &self.head, texts)
    }
}

/// The rewards of texts by a transformer and a head.
fn rewards<T: Real>(
    model: &Transformer<T>,
    head: &Shared<T>,
    texts: &[Sequence<'_>],
) -> Result<Vec<f64>, TrainError> {
    let packed = Packed::with_ends(texts, model.shape.eos);
    let width = model.shape.width;
    let read = |h: &[T]| {
        head.read(|w| packed.ends.iter().map(|&at| dot(w, &h[at * width..][..width]).to_f64()).collect())
    };
    Ok(model.read_hidden(&packed.batch, read)?)
}

/// Adds the gradients of a loss over the rewards of texts: `loss` gives its value and its derivative by each.
fn gradients<T: Real>(
    model: &Transformer<T>,
    head: &Shared<T>,
    texts: &[Sequence<'_>],
    dropout: Dropout,
    loss: impl FnOnce(&[f64]) -> (f64, Vec<f64>),
) -> Result<f64, TrainError> {
    let packed = Packed::with_ends(texts, model.shape.eos);
    let width = model.shape.width;
    let found = model.gradients_by(&packed.batch, dropout, |h, dh| {
        dh.fill(T::ZERO);
        head.read(|w| {
            let last = |at: usize| &h[at * width..][..width];
            let rewards: Vec<f64> = packed.ends.iter().map(|&at| dot(w, last(at)).to_f64()).collect();
            let (value, derivatives) = loss(&rewards);
            for (&at, &by) in packed.ends.iter().zip(&derivatives) {
                add_scaled(&mut dh[at * width..][..width], w, T::of(by));
            }
            head.accumulate(|dw, keep| {
                if !keep {
                    dw.fill(T::ZERO);
                }
                let both = packed.ends.iter().zip(&derivatives);
                both.for_each(|(&at, &by)| add_scaled(dw, last(at), T::of(by)));
            });
            value
        })
    })?;
    Ok(found)
}

/// Loss of a pair and its derivative by the reward of the better answer; that by the other's is the opposite.
fn pair(chosen: f64, rejected: f64) -> (f64, f64) {
    (-log_sigmoid(chosen - rejected), -sigmoid(rejected - chosen))
}

/// Gives a transformer a head of zeros, in place of that for tokens.
fn with_head<T: Real>(model: &mut Transformer<T>) -> candle_core::Result<Shared<T>> {
    let width = model.shape.width;
    let head = Parameter::new(HEAD, &[1, width], vec![T::ZERO; width])?;
    if !model.shape.tied_head {
        let gone = model.head.name().to_owned();
        model.parameters.retain(|parameter| parameter.name() != gone);
    }
    if let Some(gone) = model.head_bias.take() {
        model.parameters.retain(|parameter| parameter.name() != gone.name());
    }
    model.parameters.push(head.clone());
    Ok(head)
}

/// Trains a reward model.
///
/// # Errors
/// Rows that do not fit the model, and those of a training.
pub fn reward(job: &Job<'_>, rows: &Rows<Pair>) -> Result<AlignReport, TrainError> {
    let mut model = course::base(job, rows.end)?;
    check_some(&rows.name, rows.train.len())?;
    // The last token is an input too: one place more.
    let lengths = rows.train.iter().chain(&rows.held_out).map(length);
    check_lengths(&model, &rows.name, lengths.map(|(line, tokens)| (line, tokens + 1)))?;
    let head = with_head(&mut model)?;
    let common = job.common;
    let longest = rows.train.iter().map(|pair| length(pair).1).max().unwrap_or(0);
    let subject = Subject {
        method: "reward",
        settings: std::collections::BTreeMap::new(),
        rows: &rows.name,
        position: Position { dataset: rows.hash, seed: common.seed, epoch: 0, sample: 0 },
        steps: common.steps_over(rows.train.len() as u64),
        step_tokens: common.step_rows() * 2 * longest as u64,
    };
    // The head is no adapter: the whole model is written.
    let whole = Job { merge: true, ..*job };
    let course = Course::open(&whole, model, subject)?;
    let lesson = |_: &Course<'_>| -> Result<Box<dyn Lesson>, TrainError> {
        Ok(Box::new(Comparisons { rows, common, head }))
    };
    course::take(course, lesson, save)
}

fn save(model: &Transformer<f32>, out: &Path) -> Result<(), TrainError> {
    // There is no head for tokens, so none that is not tied.
    let mut config = folder::config_json(&Shape { tied_head: true, ..model.shape.clone() });
    // A shape that transformers does not have keeps its own name.
    let published = match model.shape.architecture {
        Architecture::Llama => Some("LlamaForSequenceClassification"),
        Architecture::Gpt => Some("GPT2ForSequenceClassification"),
        Architecture::Falcon => Some("FalconForSequenceClassification"),
        _ => None,
    };
    if let Some(name) = published.filter(|_| is_published(&model.shape)) {
        config["architectures"] = json!([name]);
    }
    config["id2label"] = json!({ "0": "reward" });
    config["label2id"] = json!({ "reward": 0 });
    folder::replace(&out.join(folder::CONFIG), &folder::json_bytes(&config))?;
    folder::replace(&out.join(folder::TENSORS), &folder::tensor_bytes(&folder::named(model)?)?)
}

/// Reads the folder of a reward model.
///
/// # Errors
/// It is none.
pub(super) fn open(folder: &Path) -> Result<Reward<f32>, TrainError> {
    let shape = folder::shape_of(folder)?;
    let path = folder.join(folder::TENSORS);
    let mut tensors = folder::read_tensors(&path)?;
    let Some((found, values)) = tensors.remove(HEAD) else {
        let message =
            format!("there is no `{HEAD}`: this is no reward model; `gristmill align reward` makes one");
        return Err(TrainError::misplaced(&path, message));
    };
    let head = Parameter::new(HEAD, &found, values)?;
    let model = Transformer::new(shape, Source::read(tensors)).map_err(TrainError::file(&path))?;
    Ok(Reward { model, head })
}

struct Comparisons<'a> {
    rows: &'a Rows<Pair>,
    common: &'a Common,
    head: Shared<f32>,
}

/// Loss, share of right pairs and difference of rewards, on average.
fn measures(rewards: &[[f64; 2]]) -> Vec<Measure> {
    let mean = |of: &dyn Fn([f64; 2]) -> f64| {
        rewards.iter().map(|&both| of(both)).sum::<f64>() / rewards.len() as f64
    };
    let right = |[chosen, rejected]: [f64; 2]| match chosen.total_cmp(&rejected) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    vec![
        ("loss", mean(&|[chosen, rejected]| pair(chosen, rejected).0)),
        ("accuracy", mean(&right)),
        ("margin", mean(&|[chosen, rejected]| chosen - rejected)),
    ]
}

impl Lesson for Comparisons<'_> {
    fn step(&mut self, model: &Transformer<f32>, step: u64) -> Result<Vec<Measure>, TrainError> {
        let Self { rows, common, head } = self;
        let size = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let step_rows = size(common.step_rows());
        let chosen = rows_of_step(rows.train.len(), step_rows, step, common.seed);
        let mut found = Vec::with_capacity(step_rows);
        for (micro, chosen) in chosen.chunks(size(common.batch_rows())).enumerate() {
            let texts = texts(chosen.iter().map(|&at| &rows.train[at]));
            let dropout = common.dropout_of(step * common.accumulate + micro as u64);
            gradients(model, head, &texts, dropout, |rewards| {
                let mut derivatives = Vec::with_capacity(rewards.len());
                let mut loss = 0.0;
                for &[chosen, rejected] in rewards.as_chunks::<2>().0 {
                    let (of_pair, by_chosen) = pair(chosen, rejected);
                    loss += of_pair / step_rows as f64;
                    derivatives.extend([by_chosen / step_rows as f64, -by_chosen / step_rows as f64]);
                    found.push([chosen, rejected]);
                }
                (loss, derivatives)
            })?;
        }
        Ok(measures(&found))
    }

    fn held_out(&mut self, model: &Transformer<f32>) -> Result<Vec<Measure>, TrainError> {
        let mut found = Vec::with_capacity(self.rows.held_out.len());
        for chunk in self.rows.held_out.chunks(SCORED) {
            found.extend_from_slice(rewards(model, &self.head, &texts(chunk.iter()))?.as_chunks::<2>().0);
        }
        Ok(if found.is_empty() { Vec::new() } else { measures(&found) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::numeric::{Nudge, assert_numeric};
    use crate::tests::{model, small};

    #[test]
    fn the_gradient_of_every_tensor_is_the_numeric_one() {
        for tied_head in [true, false] {
            let config = Config { tied_head, ..small(Architecture::Llama) };
            let mut model: Transformer<f64> = model(&config, 12);
            let head = with_head(&mut model).unwrap();
            (0..head.value().elem_count())
                .for_each(|at| head.value().inplace_op1(&Nudge(at, 0.1 * at as f64 - 0.7)).unwrap());
            let texts: Vec<Sequence<'_>> =
                [(&[1, 2, 3][..], &[4, 5][..]), (&[1, 2, 3], &[6]), (&[7], &[8, 9, 1]), (&[7], &[2, 2])]
                    .map(|(prompt, answer)| Sequence { prompt, answer })
                    .into();
            let loss = |rewards: &[f64]| {
                let pairs = rewards.as_chunks::<2>().0;
                let found: Vec<(f64, f64)> = pairs.iter().map(|[c, r]| pair(*c, *r)).collect();
                (
                    found.iter().map(|f| f.0).sum(),
                    found.iter().flat_map(|f| [f.1, -f.1]).collect::<Vec<f64>>(),
                )
            };
            gradients(&model, &head, &texts, Dropout::NONE, loss).unwrap();
            let value = || loss(&rewards(&model, &head, &texts).unwrap()).0;
            for parameter in &model.parameters {
                let found = parameter.gradient(|g| g.expect("every tensor gets a gradient").to_vec());
                assert_numeric(parameter.name(), parameter.value(), &found, 4, &value);
            }
        }
    }
}
