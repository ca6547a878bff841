//! The training loop: from a committed dataset to a model folder, resumable at any moment.
//!
//! The output folder holds `checkpoints/`, `metrics.jsonl` and, at the end, the model: `config.json`, `model.safetensors`,
//! `tokenizer.json` and `training.json`, which is written last: a folder without it is an unfinished training.

use crate::architecture::{Source, Transformer};
use crate::batch::Batch;
use crate::checkpoint::{Checkpoint, Checkpoints, State};
use crate::config::Config;
use crate::data::{Dataset, Share, Stream};
use crate::device::{self, Place};
use crate::error::TrainError;
use crate::eval::perplexity::{Bytes, Evaluation, measure};
use crate::folder;
use crate::layer::dropout::Dropout;
use crate::metrics::{Metrics, rounded};
use crate::objective::causal::Terms;
use crate::optimizer::Optimizer;
use crate::progress::{TrainEvent, TrainObserver};
use crate::schedule::Schedule;
use schemas::Config as _;
use schemas::hash::seed;
use schemas::manifest;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// File name of the report.
pub const REPORT: &str = "training.json";
/// Steps whose time counts against a time budget, after as many that warm up caches.
const TIMED_STEPS: u64 = 5;
/// Part of a time budget that steps may fill; evaluations and checkpoints need the rest.
const BUDGET_FOR_STEPS: f64 = 0.9;

/// What a training was and came to: `training.json`. Without a clock, so that its bytes are those of any other run of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Numbers that learned.
    pub parameters: u64,
    /// Steps done.
    pub steps: u64,
    /// Tokens read, padding included.
    pub tokens: u64,
    /// Mean loss of the last step, in nats per predicted token.
    pub loss: f64,
    /// Held-out loss; absent when the dataset has no held-out rows.
    pub validation_loss: Option<f64>,
    /// e^held-out loss.
    pub perplexity: Option<f64>,
    /// Held-out bits per byte.
    pub bits_per_byte: Option<f64>,
    /// Settings, defaults included.
    pub settings: std::collections::BTreeMap<String, String>,
    /// Hexadecimal blake3 of the dataset's manifest.
    pub dataset: String,
    /// Hexadecimal blake3 of the tokenizer.
    pub tokenizer: String,
}

/// Trains on a dataset until `config` is fulfilled, from the newest checkpoint in `out` if there is one.
///
/// # Errors
/// Settings that do not fit together, an altered dataset, a checkpoint of another training, a gradient that is missing or not finite.
pub fn run(
    dataset: &Path,
    out: &Path,
    config: &Config,
    observer: &dyn TrainObserver,
) -> Result<TrainReport, TrainError> {
    run_on(Place::Cpu, dataset, out, config, observer)
}

/// The same at a place of choice. A training may go on at another place than it began.
///
/// # Errors
/// Those of [`run`], and a place that is not there.
pub fn run_on(
    place: Place,
    dataset: &Path,
    out: &Path,
    config: &Config,
    observer: &dyn TrainObserver,
) -> Result<TrainReport, TrainError> {
    let device = device::open(place)?;
    let dataset = Dataset::open(dataset)?;
    std::fs::create_dir_all(out).map_err(TrainError::io(out))?;
    let mut training = Training::open(&dataset, out, config, &device, observer)?;
    let report_path = out.join(REPORT);
    let ended = training.state.step == training.state.steps && out.join(folder::TENSORS).is_file();
    if ended
        && let Ok(bytes) = std::fs::read(&report_path)
        && let Ok(report) = serde_json::from_slice(&bytes)
    {
        return Ok(report);
    }
    // One of an earlier training would pass for that of this one, were it killed before its own is written.
    match std::fs::remove_file(&report_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(TrainError::io(&report_path)(error));
        }
        _ => {}
    }
    training.work()?;
    training.finish(&report_path)
}

/// A training under way.
pub(crate) struct Training<'a> {
    dataset: &'a Dataset,
    out: &'a Path,
    config: &'a Config,
    observer: &'a dyn TrainObserver,
    pub(crate) model: Transformer<f32>,
    pub(crate) optimizer: Optimizer,
    stream: Stream<'a>,
    state: State,
    checkpoints: Checkpoints,
    metrics: Metrics,
    bytes: Bytes,
    clock: Clock,
    loss: f64,
}

/// Times steps; nothing that is written depends on it but the count of steps under a time budget.
struct Clock {
    begun: Instant,
    /// Start and first step of what is averaged.
    since: (Instant, u64),
    /// Whether the count of steps still waits for the measurement.
    open: bool,
}

impl<'a> Training<'a> {
    /// Goes on from the newest checkpoint in `out`, or begins.
    pub(crate) fn open(
        dataset: &'a Dataset,
        out: &'a Path,
        config: &'a Config,
        device: &candle_core::Device,
        observer: &'a dyn TrainObserver,
    ) -> Result<Self, TrainError> {
        let begun = Instant::now();
        let shape = config.shape(&dataset.tokens)?;
        let bytes = Bytes::open(&dataset.tokenizer(), dataset.tokens.vocab_size, dataset.tokens.eos_id)?;
        let checkpoints = Checkpoints::open(out)?;
        let begin = State::begin(config.table(), config.steps, config.seed, dataset);
        let found = checkpoints.newest(&begin, |message| observer.event(TrainEvent::Note { message }))?;
        let (state, mut model, moments) = match found {
            Some(Checkpoint { state, model, moments }) => {
                let model = Transformer::new(shape, Source::read(model, device))?;
                (state, model, Some(moments))
            }
            None => (begin, Transformer::new(shape, Source::drawn(config.seed, device))?, None),
        };
        model.recompute = usize::try_from(config.recompute).unwrap_or(usize::MAX);
        model.terms = Terms { smoothing: config.label_smoothing, z: config.z_loss };
        let mut optimizer = Optimizer::of(&model, config);
        if let Some(moments) = moments {
            optimizer.restore(moments)?;
        }
        let stream = dataset.stream(state.position, Share::ALL)?;
        let metrics = Metrics::open(out, state.step)?;
        let clock =
            Clock { begun, since: (begun, state.step), open: config.seconds_max > 0.0 && state.step == 0 };
        let training = Self {
            dataset,
            out,
            config,
            observer,
            model,
            optimizer,
            stream,
            state,
            checkpoints,
            metrics,
            bytes,
            clock,
            loss: f64::NAN,
        };
        observer.event(TrainEvent::Started {
            parameters: training.model.parameter_count() as u64,
            step: training.state.step,
            steps: training.state.steps,
            step_tokens: training.step_tokens(),
        });
        Ok(training)
    }

    const fn step_tokens(&self) -> u64 {
        self.config.batch_sequences * self.config.accumulate * self.dataset.tokens.sequence_length
    }

    /// Does the steps that are left.
    pub(crate) fn work(&mut self) -> Result<(), TrainError> {
        while self.state.step < self.state.steps {
            self.step()?;
            let step = self.state.step;
            let due = |every: u64| every > 0 && step.is_multiple_of(every);
            if due(self.config.eval_every) && step < self.state.steps {
                self.evaluate(self.config.eval_sequences)?;
            }
            // With a time budget nothing is kept before the count of steps is known: a resume would measure anew.
            if step == self.state.steps || (due(self.config.checkpoint_every) && !self.clock.open) {
                self.checkpoint()?;
            }
        }
        Ok(())
    }

    /// One optimizer step over `accumulate` micro-batches.
    fn step(&mut self) -> Result<(), TrainError> {
        let step = self.state.step;
        if self.clock.open && step == TIMED_STEPS {
            self.clock.since = (Instant::now(), step);
        }
        let mut batches = Vec::new();
        for _ in 0..self.config.accumulate {
            let rows = self.stream.take(self.config.batch_sequences)?;
            batches.push(Arc::new(Batch::new(&rows, self.dataset.tokens.eos_id)));
        }
        let targets: usize = batches.iter().map(|batch| batch.targets_count()).sum();
        // The mean is over all targets of the step, so micro-batches add up to one batch.
        let loss = gradients(&self.model, &batches, 1.0 / targets.max(1) as f64, |micro| Dropout {
            probability: self.config.dropout,
            seed: seed(self.config.seed, "micro-batch", step * self.config.accumulate + micro),
        })?;
        self.optimizer.assert_every_gradient(step)?;
        let norm = self.optimizer.gradient_norm();
        if !loss.is_finite() || !norm.is_finite() {
            let what = if loss.is_finite() { "the gradient" } else { "the loss" };
            return Err(TrainError::NotFinite { step, what });
        }
        let rate = Schedule::new(self.config, self.state.steps).at(step);
        self.optimizer.step(step, rate, norm)?;
        self.loss = loss;
        self.state.step = step + 1;
        self.state.position = self.stream.position();
        self.metrics.step(self.state.step, loss, rate, norm)?;
        self.budget();
        self.tell(loss, rate, norm);
        Ok(())
    }

    /// Fixes the count of steps once the first ones were timed.
    fn budget(&mut self) {
        if !self.clock.open || self.state.step < 2 * TIMED_STEPS {
            return;
        }
        self.clock.open = false;
        let step_seconds = self.clock.since.0.elapsed().as_secs_f64() / TIMED_STEPS as f64;
        let left = self.config.seconds_max * BUDGET_FOR_STEPS - self.clock.begun.elapsed().as_secs_f64();
        let fitting = self.state.step + (left.max(0.0) / step_seconds) as u64;
        self.state.steps = self.config.steps.min(fitting);
        self.observer.event(TrainEvent::Budgeted { steps: self.state.steps, step_seconds });
    }

    fn tell(&mut self, loss: f64, learning_rate: f64, gradient_norm: f64) {
        let (since, first) = self.clock.since;
        let step = self.state.step;
        let per_step = since.elapsed().as_secs_f64() / (step - first).max(1) as f64;
        self.observer.event(TrainEvent::Step {
            step,
            steps: self.state.steps,
            loss,
            learning_rate,
            gradient_norm,
            tokens_per_s: self.step_tokens() as f64 / per_step,
            seconds_left: per_step * (self.state.steps - step) as f64,
        });
        if !self.clock.open && step - first >= 20 {
            self.clock.since = (Instant::now(), step);
        }
    }

    fn evaluate(&mut self, limit: u64) -> Result<Option<Evaluation>, TrainError> {
        if self.dataset.validation.is_empty() {
            return Ok(None);
        }
        let found = measure(&self.model, &self.dataset.validation, &self.bytes, limit)?;
        if found.tokens == 0 {
            return Ok(None);
        }
        let (loss, bits_per_byte) = (found.loss(), found.bits_per_byte());
        self.metrics.held_out(self.state.step, loss, bits_per_byte)?;
        self.observer.event(TrainEvent::Evaluated { step: self.state.step, loss, bits_per_byte });
        Ok(Some(found))
    }

    fn checkpoint(&self) -> Result<(), TrainError> {
        let model = folder::named(&self.model)?;
        let moments = self.optimizer.state();
        let checkpoint = Checkpoint { state: self.state.clone(), model, moments };
        let path = self.checkpoints.write(checkpoint, self.config.checkpoints_keep)?;
        self.observer.event(TrainEvent::Checkpointed { step: self.state.step, path: &path });
        Ok(())
    }

    fn finish(mut self, report_path: &Path) -> Result<TrainReport, TrainError> {
        // A training killed after its last step has its loss in the log alone.
        let loss = if self.loss.is_nan() { self.metrics.last_loss()? } else { self.loss };
        let held_out = self.evaluate(0)?;
        folder::save(&self.model, self.out)?;
        let tokenizer = self.dataset.tokenizer();
        let bytes = std::fs::read(&tokenizer).map_err(TrainError::io(&tokenizer))?;
        folder::replace(&self.out.join(manifest::TOKENIZER), &bytes)?;
        // A dataset of another program may come without it.
        let told = tokenizer.with_file_name(manifest::TOKENIZER_CONFIG);
        if let Ok(bytes) = std::fs::read(&told) {
            folder::replace(&self.out.join(manifest::TOKENIZER_CONFIG), &bytes)?;
        }
        let report = TrainReport {
            parameters: self.model.parameter_count() as u64,
            steps: self.state.steps,
            tokens: self.state.steps * self.step_tokens(),
            loss: rounded(loss),
            validation_loss: held_out.map(|found| rounded(found.loss())),
            perplexity: held_out.map(|found| rounded(found.perplexity())),
            bits_per_byte: held_out.map(|found| rounded(found.bits_per_byte())),
            settings: self.state.settings,
            dataset: self.state.dataset,
            tokenizer: self.state.tokenizer,
        };
        folder::replace(report_path, &folder::json_bytes(&report))?;
        Ok(report)
    }
}

/// Adds the gradients of micro-batches to the parameters and returns the loss: the sum over targets times `scale`.
pub(crate) fn gradients<T: crate::kernel::Real>(
    model: &Transformer<T>,
    batches: &[Arc<Batch>],
    scale: f64,
    dropout: impl Fn(u64) -> Dropout,
) -> Result<f64, TrainError> {
    let mut total = 0.0;
    for (micro, batch) in batches.iter().enumerate() {
        total += model.gradients(batch, scale, dropout(micro as u64))?;
    }
    Ok(total)
}
