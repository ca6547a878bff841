//! Direct preference optimisation (arXiv 2305.18290): the better of two answers becomes more likely than it was, the worse one less.
//!
//! ```text
//! δ = [log π(chosen) − log π(rejected)] − [log ρ(chosen) − log ρ(rejected)],  ρ the model before the first step
//! L = −(1 − ε)·log σ(βδ) − ε·log σ(−βδ) − α·log π(chosen) ÷ |chosen|;   ∂L/∂δ = −β·[(1 − ε)·σ(−βδ) − ε·σ(βδ)]
//! ```
//! The last term is that of RPO (arXiv 2404.19733): δ alone may grow while both answers become less likely, and what the model knew goes with
//! the better one. α is `chosen_weight`; 0 is DPO.
//! ε is label smoothing (conservative DPO). β·log(π/ρ) is the implicit reward; a pair counts as right when that of the
//! better answer is greater. log ρ does not change, so it is computed once and kept beside the checkpoints.

use super::course::{self, Course, Lesson, Subject, rows_of_step};
use super::packed::{Packed, Sequence};
use super::{AlignReport, Common, Job, Pair, Rows, check_lengths, check_some};
use crate::architecture::Transformer;
use crate::data::Position;
use crate::error::TrainError;
use crate::folder::{self, Named};
use crate::metrics::Measure;
use schemas::{Config as _, config};
use std::path::Path;

config! {
    /// Settings of direct preference optimisation.
    pub struct Dpo {
        /// How strongly the model is held to what it was: the implicit reward is β·log(π/ρ).
        beta: f64 = 0.1, in 0.0..=100.0;
        /// Share of pairs taken to be labelled the wrong way round.
        label_smoothing: f64 = 0.0, in 0.0..=0.5;
        /// Weight of the mean −log π of a token of the better answer, which keeps it from becoming less likely (RPO, arXiv 2404.19733: 1).
        chosen_weight: f64 = 0.0, in 0.0..=100.0;
        /// Whether log-probabilities are those of a token on average instead of the answer's, as in SimPO (arXiv 2405.14734).
        length_normalised: bool = false;
        /// Whether the model before the first step is left out: all of log ρ is 0.
        reference_free: bool = false;
    }
}

/// File of the log-probabilities before the first step.
pub(crate) const REFERENCE: &str = "reference.safetensors";
/// Pairs scored in one batch.
const SCORED: usize = 16;

/// Teaches preferences.
///
/// # Errors
/// Rows that do not fit the model, and those of a training.
pub fn dpo(job: &Job<'_>, rows: &Rows<Pair>, settings: &Dpo) -> Result<AlignReport, TrainError> {
    let model = course::base(job, rows.end)?;
    check_some(&rows.name, rows.train.len())?;
    check_lengths(&model, &rows.name, rows.train.iter().chain(&rows.held_out).map(length))?;
    let common = job.common;
    let longest = rows.train.iter().map(|pair| length(pair).1).max().unwrap_or(0);
    let subject = Subject {
        method: "dpo",
        settings: settings.table(),
        rows: &rows.name,
        position: Position { dataset: rows.hash, seed: common.seed, epoch: 0, sample: 0 },
        steps: common.steps_over(rows.train.len() as u64),
        step_tokens: common.step_rows() * 2 * longest as u64,
    };
    let before = model.share();
    let course = Course::open(job, model, subject)?;
    let lesson = |course: &Course<'_>| -> Result<Box<dyn Lesson>, TrainError> {
        let path = job.out.join(REFERENCE);
        let kept = (course.state.step > 0).then(|| Reference::read(&path, rows)).flatten();
        let reference = match kept {
            Some(reference) => reference,
            // At the first step the model is what it was; later its folder says what that is.
            None if course.state.step == 0 => Reference::compute(&path, &before, rows, settings)?,
            None => Reference::compute(&path, &course::base(job, rows.end)?, rows, settings)?,
        };
        Ok(Box::new(Preferences { rows, settings, common, reference }))
    };
    course::take(course, lesson, folder::save)
}

/// Line and tokens of the longer text of a pair.
pub(super) fn length(pair: &Pair) -> (u64, usize) {
    (pair.line, pair.prompt.len() + pair.chosen.len().max(pair.rejected.len()))
}

/// Both texts of each pair, the better one first.
pub(super) fn texts<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Vec<Sequence<'a>> {
    let both = |pair: &'a Pair| {
        [&pair.chosen, &pair.rejected].map(|answer| Sequence { prompt: &pair.prompt, answer })
    };
    pairs.flat_map(both).collect()
}

/// log σ(x), without overflow.
pub(super) fn log_sigmoid(x: f64) -> f64 {
    if x >= 0.0 { -(-x).exp().ln_1p() } else { x - x.exp().ln_1p() }
}

/// σ(x).
pub(super) fn sigmoid(x: f64) -> f64 {
    log_sigmoid(x).exp()
}

impl Dpo {
    /// Log-probability of an answer from those of its tokens, and its derivative by each.
    fn of_answer(&self, tokens: &[f64]) -> (f64, f64) {
        let share = if self.length_normalised { 1.0 / tokens.len().max(1) as f64 } else { 1.0 };
        (tokens.iter().sum::<f64>() * share, share)
    }

    /// Mean −log π of a token of an answer of so many, from what [`Dpo::of_answer`] gives.
    fn of_token(&self, answer: f64, tokens: usize) -> f64 {
        if self.length_normalised { -answer } else { -answer / tokens.max(1) as f64 }
    }

    /// Loss of a margin δ and its derivative.
    fn loss(&self, delta: f64) -> (f64, f64) {
        let (beta, smooth) = (self.beta, self.label_smoothing);
        let x = beta * delta;
        let loss = -(1.0 - smooth) * log_sigmoid(x) - smooth * log_sigmoid(-x);
        (loss, -beta * ((1.0 - smooth) * sigmoid(-x) - smooth * sigmoid(x)))
    }
}

/// log ρ of both answers of each pair.
struct Reference {
    train: Vec<[f64; 2]>,
    held_out: Vec<[f64; 2]>,
}

impl Reference {
    /// Reads them from a file; `None` when it is not there or torn.
    fn read(path: &Path, rows: &Rows<Pair>) -> Option<Self> {
        let named = folder::read_tensors(path).ok()?;
        let of = |name: &str, pairs: &[Pair]| {
            let (_, values) = named.get(name).filter(|(_, values)| values.len() == 2 * pairs.len())?;
            Some(values.as_chunks::<2>().0.iter().map(|both| both.map(f64::from)).collect())
        };
        Some(Self { train: of("train", &rows.train)?, held_out: of("held_out", &rows.held_out)? })
    }

    /// Computes and writes them.
    fn compute(
        path: &Path,
        model: &Transformer<f32>,
        rows: &Rows<Pair>,
        settings: &Dpo,
    ) -> Result<Self, TrainError> {
        let mut named = Named::new();
        for (name, pairs) in [("train", &rows.train), ("held_out", &rows.held_out)] {
            let scores = match settings.reference_free {
                true => vec![[0.0; 2]; pairs.len()],
                false => scores(model, pairs, settings)?,
            };
            let flat = scores.into_iter().flatten().map(|score| score as f32).collect();
            named.insert(name.to_owned(), (vec![pairs.len(), 2], flat));
        }
        folder::replace(path, &folder::tensor_bytes(&named)?)?;
        // As from the file, so that a resumed course goes on with the same bits.
        Self::read(path, rows).ok_or_else(|| TrainError::file(path)("what was written cannot be read"))
    }
}

/// Log-probabilities of both answers of each pair.
pub(super) fn scores(
    model: &Transformer<f32>,
    pairs: &[Pair],
    settings: &Dpo,
) -> Result<Vec<[f64; 2]>, TrainError> {
    let mut scores = Vec::with_capacity(pairs.len());
    for chunk in pairs.chunks(SCORED) {
        let found = Packed::new(&texts(chunk.iter()), model.shape.eos).log_probabilities(model)?;
        scores.extend(
            found
                .as_chunks::<2>()
                .0
                .iter()
                .map(|both| [settings.of_answer(&both[0]).0, settings.of_answer(&both[1]).0]),
        );
    }
    Ok(scores)
}

struct Preferences<'a> {
    rows: &'a Rows<Pair>,
    settings: &'a Dpo,
    common: &'a Common,
    reference: Reference,
}

/// Sums over pairs.
#[derive(Default)]
struct Sums {
    loss: f64,
    margin: f64,
    right: f64,
    chosen: f64,
    rejected: f64,
    /// −log π of a token of the better answers.
    nats: f64,
    pairs: f64,
}

impl Sums {
    /// Adds a pair whose better answer has so many tokens.
    fn add(&mut self, settings: &Dpo, policy: [f64; 2], reference: [f64; 2], tokens: usize) {
        let nats = settings.of_token(policy[0], tokens);
        let rewards = [0, 1].map(|at| settings.beta * (policy[at] - reference[at]));
        let margin = rewards[0] - rewards[1];
        self.loss += settings.loss((policy[0] - policy[1]) - (reference[0] - reference[1])).0;
        self.loss += settings.chosen_weight * nats;
        self.nats += nats;
        self.margin += margin;
        // Before the first step both rewards are 0: neither right nor wrong.
        self.right += if margin > 0.0 {
            1.0
        } else if margin < 0.0 {
            0.0
        } else {
            0.5
        };
        self.chosen += rewards[0];
        self.rejected += rewards[1];
        self.pairs += 1.0;
    }

    fn measures(&self) -> Vec<Measure> {
        let mean = |sum: f64| sum / self.pairs;
        vec![
            ("loss", mean(self.loss)),
            ("accuracy", mean(self.right)),
            ("margin", mean(self.margin)),
            ("reward_chosen", mean(self.chosen)),
            ("reward_rejected", mean(self.rejected)),
            ("chosen_loss", mean(self.nats)),
        ]
    }
}

impl Lesson for Preferences<'_> {
    fn step(&mut self, model: &Transformer<f32>, step: u64) -> Result<Vec<Measure>, TrainError> {
        let Self { rows, settings, common, reference } = self;
        let step_rows = usize::try_from(common.step_rows()).unwrap_or(usize::MAX);
        let chosen = rows_of_step(rows.train.len(), step_rows, step, common.seed);
        let mut sums = Sums::default();
        for (micro, chosen) in
            chosen.chunks(usize::try_from(common.batch_rows()).unwrap_or(usize::MAX)).enumerate()
        {
            let packed = Packed::new(&texts(chosen.iter().map(|&at| &rows.train[at])), model.shape.eos);
            let dropout = common.dropout_of(step * common.accumulate + micro as u64);
            packed.gradients(model, dropout, |tokens| {
                let mut loss = 0.0;
                let mut derivatives = Vec::with_capacity(tokens.len());
                for (&at, both) in chosen.iter().zip(tokens.as_chunks::<2>().0) {
                    let reference = reference.train[at];
                    let (of_pair, by_tokens) = pair(settings, both, reference);
                    loss += of_pair / step_rows as f64;
                    for (tokens, by_token) in both.iter().zip(by_tokens) {
                        derivatives.push(vec![by_token / step_rows as f64; tokens.len()]);
                    }
                    let policy = [0, 1].map(|at| settings.of_answer(&both[at]).0);
                    sums.add(settings, policy, reference, both[0].len());
                }
                (loss, derivatives)
            })?;
        }
        Ok(sums.measures())
    }

    fn held_out(&mut self, model: &Transformer<f32>) -> Result<Vec<Measure>, TrainError> {
        let mut sums = Sums::default();
        let found = scores(model, &self.rows.held_out, self.settings)?;
        let pairs = self.rows.held_out.iter().zip(&self.reference.held_out);
        for (policy, (pair, reference)) in found.into_iter().zip(pairs) {
            // Both through single precision: a model that has not changed has a margin of 0.
            let policy = policy.map(|score| f64::from(score as f32));
            sums.add(self.settings, policy, *reference, pair.chosen.len());
        }
        Ok(if sums.pairs == 0.0 { Vec::new() } else { sums.measures() })
    }
}

/// Loss of a pair, and its derivative by the log-probability of a token of either answer.
pub(super) fn pair(settings: &Dpo, tokens: &[Vec<f64>; 2], reference: [f64; 2]) -> (f64, [f64; 2]) {
    let (chosen, by_chosen) = settings.of_answer(&tokens[0]);
    let (rejected, by_rejected) = settings.of_answer(&tokens[1]);
    let (loss, by_delta) = settings.loss((chosen - rejected) - (reference[0] - reference[1]));
    let (weight, count) = (settings.chosen_weight, tokens[0].len());
    let kept = weight * settings.of_token(chosen, count);
    let by_kept = -weight / count.max(1) as f64;
    (loss + kept, [by_delta * by_chosen + by_kept, -by_delta * by_rejected])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivative_is_the_numeric_one() {
        for settings in [
            Dpo { beta: 0.3, ..Dpo::default() },
            Dpo { beta: 2.0, label_smoothing: 0.2, ..Dpo::default() },
            Dpo { length_normalised: true, ..Dpo::default() },
            Dpo { chosen_weight: 1.5, ..Dpo::default() },
            Dpo { chosen_weight: 0.5, length_normalised: true, label_smoothing: 0.1, ..Dpo::default() },
        ] {
            let tokens = [vec![-1.0, -0.5, -2.0], vec![-0.25, -3.0]];
            let reference = [-3.0, -1.5];
            let (_, found) = pair(&settings, &tokens, reference);
            for (answer, found) in found.into_iter().enumerate() {
                let beside = |by: f64| {
                    let mut tokens = tokens.clone();
                    tokens[answer][1] += by;
                    pair(&settings, &tokens, reference).0
                };
                let expected = (beside(1e-5) - beside(-1e-5)) / 2e-5;
                assert!((found - expected).abs() < 1e-9, "{settings:?}: {found}, numeric {expected}");
            }
        }
    }

    #[test]
    fn the_loss_is_that_of_the_paper() {
        let settings = Dpo { beta: 0.1, ..Dpo::default() };
        let (loss, _) = pair(&settings, &[vec![-2.0, -1.0], vec![-4.0]], [-3.5, -3.5]);
        assert!((loss - (1.0_f64 + (-0.1_f64).exp()).ln()).abs() < 1e-12);
        let settings = Dpo { chosen_weight: 2.0, ..settings };
        let (kept, _) = pair(&settings, &[vec![-2.0, -1.0], vec![-4.0]], [-3.5, -3.5]);
        assert!((kept - loss - 2.0 * 1.5).abs() < 1e-12);
        // No overflow far out.
        assert!(settings.loss(1e6).0.abs() < 1e-12 && (settings.loss(-1e6).0 - 1e5).abs() < 1e-6);
    }
}
