//! Whether a parametrisation carries over widths: sizes of activations in the first steps, and the loss at each learning rate.
//!
//! The coordinate check (arXiv 2203.03466, appendix D.1) trains models of several widths for a few steps on the same batches and
//! measures how far the activations of one batch move. Under muP the distance does not depend on the width; under the standard parametrisation it
//! grows with it, which is why a wide model needs a lower learning rate.

use crate::architecture::{Source, Transformer};
use crate::batch::Batch;
use crate::config::{Config, ParametrizationKind};
use crate::data::{Dataset, Share, Stream};
use crate::error::TrainError;
use crate::layer::dropout::Dropout;
use crate::layer::linear::{Linear, Orientation};
use crate::optimizer::Optimizer;
use crate::schedule::Schedule;
use serde::Serialize;
use std::path::Path;

/// Both parametrisations, as tables call them.
const KINDS: [(ParametrizationKind, &str); 2] =
    [(ParametrizationKind::Standard, "standard"), (ParametrizationKind::Mup, "mup")];
/// Rows of features whose logits are looked at.
const LOGIT_ROWS: usize = 64;
/// Part of a run whose losses are averaged: the last.
const LAST_PART: f64 = 0.2;

/// What activations of one part of a model are after a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coordinate {
    /// `standard` or `mup`.
    pub parametrization: &'static str,
    /// Features between blocks.
    pub width: u64,
    /// Steps done.
    pub step: u64,
    /// `embedding`, `attention` and `residual` of the last block, `features` behind the last norm, `logits`.
    pub part: &'static str,
    /// Mean of the absolute numbers.
    pub size: f64,
    /// Mean of the absolute distance to what they were before the first step.
    pub change: f64,
}

/// The loss that a learning rate comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateLoss {
    /// `standard` or `mup`.
    pub parametrization: &'static str,
    /// Features between blocks.
    pub width: u64,
    /// Learning rate after the warm-up.
    pub rate: f64,
    /// Mean training loss of the last fifth of the steps; `None` where it is no number.
    pub loss: Option<f64>,
}

/// The settings at another width: as many more heads, so that each keeps its features.
///
/// # Errors
/// The heads or the feed-forward part would not be whole.
fn widened(config: &Config, kind: ParametrizationKind, width: u64) -> Result<Config, TrainError> {
    let base = config.base_width;
    let scaled = |name: &str, count: u64| match (count * width).is_multiple_of(base) && count * width >= base
    {
        true => Ok(count * width / base),
        false if count == 0 => Ok(0),
        false => Err(TrainError::Config {
            message: format!(
                "width {width} is no width for `{name}` = {count} at `base_width` = {base}; take multiples of `base_width`, or as many heads \
                 as give whole ones"
            ),
        }),
    };
    Ok(Config {
        parametrization: kind,
        width,
        heads: scaled("heads", config.heads)?,
        kv_heads: scaled("kv_heads", config.kv_heads)?,
        ff_width: scaled("ff_width", config.ff_width)?,
        ..config.clone()
    })
}

/// A model that learns, without checkpoints or files.
struct Pupil<'a> {
    config: Config,
    model: Transformer<f32>,
    optimizer: Optimizer,
    stream: Stream<'a>,
}

impl<'a> Pupil<'a> {
    fn new(dataset: &'a Dataset, config: Config) -> Result<Self, TrainError> {
        let model = Transformer::of(&config, dataset, Source::drawn(config.seed))?;
        let optimizer = Optimizer::of(&model, &config);
        let stream = dataset.stream(dataset.begin(config.seed), Share::ALL)?;
        Ok(Self { config, model, optimizer, stream })
    }

    fn batch(&mut self) -> Result<Batch, TrainError> {
        let samples = self.stream.samples(self.config.batch_sequences)?;
        Ok(self.model.shape.program.batch(&samples))
    }

    /// One step on a batch; the mean loss before it.
    fn step(&self, step: u64, batch: &Batch) -> Result<f64, TrainError> {
        let scale = 1.0 / batch.targets_count().max(1) as f64;
        let loss = self.model.gradients(batch, scale, Dropout::NONE)?;
        let rate = Schedule::new(&self.config, self.config.steps).at(step);
        self.optimizer.step(step, rate, self.optimizer.gradient_norm())?;
        Ok(loss)
    }

    /// Activations over a batch, by part.
    fn activations(&self, batch: &Batch) -> Result<Vec<(&'static str, Vec<f32>)>, TrainError> {
        self.model.loss(batch)?;
        let tape = self.model.tape();
        let mut parts: Vec<(&'static str, Vec<f32>)> =
            tape.parts().into_iter().map(|(name, numbers)| (name, numbers.to_vec())).collect();
        drop(tape);
        let (width, vocab) = (self.model.shape.width, self.model.shape.vocab);
        let features = &parts.last().expect("a tape has parts").1;
        let rows = (features.len() / width).min(LOGIT_ROWS);
        let mut logits = vec![0.0; rows * vocab];
        let head = Linear::new(vec![(self.model.head.clone(), None)], Orientation::OutIn)?;
        head.forward(&features[..rows * width], &mut logits)?;
        parts.push(("logits", logits));
        Ok(parts)
    }
}

/// Trains a model of each width by both parametrisations for so many steps, and measures the activations of one batch before and after each.
///
/// # Errors
/// Settings that do not fit together or to a width, and those of reading the dataset.
pub fn coordinates(
    dataset: &Path,
    config: &Config,
    widths: &[u64],
    steps: u64,
) -> Result<Vec<Coordinate>, TrainError> {
    let dataset = Dataset::open(dataset)?;
    let mut found = Vec::new();
    for (kind, parametrization) in KINDS {
        for &width in widths {
            // A schedule over so few steps would hide the rate.
            let config = Config {
                warmup_steps: Some(0),
                schedule: crate::config::ScheduleKind::Constant,
                ..config.clone()
            };
            let mut pupil = Pupil::new(&dataset, widened(&config, kind, width)?)?;
            let probe = pupil.batch()?;
            let before = pupil.activations(&probe)?;
            for step in 0..=steps {
                for ((part, before), (_, now)) in before.iter().zip(pupil.activations(&probe)?) {
                    let mean = |of: &dyn Fn(usize) -> f32| {
                        (0..now.len()).map(|at| f64::from(of(at).abs())).sum::<f64>()
                            / now.len().max(1) as f64
                    };
                    let (size, change) = (mean(&|at| now[at]), mean(&|at| now[at] - before[at]));
                    found.push(Coordinate { parametrization, width, step, part, size, change });
                }
                if step < steps {
                    let batch = pupil.batch()?;
                    pupil.step(step, &batch)?;
                }
            }
        }
    }
    Ok(found)
}

/// Trains a model of each width at each learning rate by both parametrisations, `steps` steps of the settings each, and tells each loss as soon
/// as it is known.
///
/// # Errors
/// Settings that do not fit together or to a width, and those of reading the dataset.
pub fn rates(
    dataset: &Path,
    config: &Config,
    (widths, rates): (&[u64], &[f64]),
    mut told: impl FnMut(&RateLoss),
) -> Result<Vec<RateLoss>, TrainError> {
    let dataset = Dataset::open(dataset)?;
    let mut found = Vec::new();
    for (kind, parametrization) in KINDS {
        for &width in widths {
            for &rate in rates {
                let least = |least: f64| least / config.learning_rate.max(f64::MIN_POSITIVE) * rate;
                let learning_rate_min = config.learning_rate_min.map(least);
                let config = Config { learning_rate: rate, learning_rate_min, ..config.clone() };
                let loss = final_loss(Pupil::new(&dataset, widened(&config, kind, width)?)?)?;
                let one = RateLoss { parametrization, width, rate, loss };
                told(&one);
                found.push(one);
            }
        }
    }
    Ok(found)
}

fn final_loss(mut pupil: Pupil<'_>) -> Result<Option<f64>, TrainError> {
    let steps = pupil.config.steps;
    let counted = ((steps as f64 * LAST_PART) as u64).max(1);
    let mut sum = 0.0;
    for step in 0..steps {
        let batch = pupil.batch()?;
        let loss = pupil.step(step, &batch)?;
        if !loss.is_finite() {
            return Ok(None);
        }
        if step + counted >= steps {
            sum += loss;
        }
    }
    Ok(Some(sum / counted as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Architecture;
    use crate::testing::{Folder, dataset};

    #[test]
    fn activations_move_as_far_at_every_width_under_mup_alone() {
        let folder = Folder::new("widths");
        dataset(&folder.0);
        let config = Config {
            architecture: Architecture::Gpt,
            layers: 2,
            heads: 2,
            base_width: 16,
            batch_sequences: 4,
            learning_rate: 0.01,
            ..Config::default()
        };
        let found = coordinates(&folder.0, &config, &[16, 256], 3).unwrap();
        let growth = |parametrization: &str, part: &str| {
            let at = |width: u64| {
                let found = found.iter().find(|c| {
                    c.parametrization == parametrization && c.part == part && c.width == width && c.step == 3
                });
                found.unwrap().change
            };
            at(256) / at(16)
        };
        // Sixteen times as wide: without bound in the standard parametrisation, about the same under muP.
        assert!(growth("standard", "logits") > 4.0, "{}", growth("standard", "logits"));
        for part in ["embedding", "residual", "logits"] {
            let growth = growth("mup", part);
            assert!((0.3..2.0).contains(&growth), "{part}: {growth}");
        }
        let none = found.iter().filter(|c| c.step == 0);
        assert!(none.clone().count() == 2 * 2 * 5 && none.into_iter().all(|c| c.change == 0.0));
        let error = coordinates(&folder.0, &config, &[24, 20], 1).unwrap_err().to_string();
        assert!(error.contains("width 20 is no width for `heads` = 2 at `base_width` = 16"), "{error}");
    }
}
