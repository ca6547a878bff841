//! The training loop: from a committed dataset to a model folder, resumable at any moment.
//!
//! The output folder holds `checkpoints/`, `metrics.jsonl` and, at the end, the same as Parquet and the model: `config.json`,
//! `model.safetensors`, `tokenizer.json` and `training.json`, which is written last: a folder without it is an unfinished training.

pub(crate) mod beside;
mod clock;
pub(crate) mod initial;
mod report;
mod spike;
mod stop;

pub use beside::dataset_of;
pub use report::{REPORT, SourceReport, TrainReport};
pub use stop::{Cause, Stop};

use crate::architecture::{Source, Transformer};
use crate::batch::Batch;
use crate::checkpoint::{Checkpoint, Checkpoints, Held, State};
use crate::config::Config;
use crate::data::{Dataset, Share, Stream};
use crate::device::{self, Engine, Place};
use crate::error::TrainError;
use crate::eval::held_out::{HeldOut, measure};
use crate::eval::perplexity::Bytes;
use crate::eval::sources::Sources;
use crate::folder;
use crate::layer::dropout::Dropout;
use crate::memory::Room;
use crate::metrics::Metrics;
use crate::optimizer::Optimizer;
use crate::progress::{TrainEvent, TrainObserver};
use crate::schedule::Schedule;
use clock::Clock;
use schemas::Config as _;
use schemas::hash::seed;
use spike::Spikes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Trains on a dataset until `config` is fulfilled, from the newest checkpoint in `out` if there is one.
///
/// # Errors
/// Settings that do not fit together, an altered dataset, a checkpoint of another training, a model to go on from that does not fit, a
/// gradient that is missing, a loss that is no number or leaps.
pub fn run(
    dataset: &Path,
    out: &Path,
    config: &Config,
    observer: &dyn TrainObserver,
) -> Result<TrainReport, TrainError> {
    run_with(How::default(), dataset, out, config, observer)
}

/// The same beside others in this process, in its part of the memory.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn run_beside(
    room: Room,
    dataset: &Path,
    out: &Path,
    config: &Config,
    observer: &dyn TrainObserver,
) -> Result<TrainReport, TrainError> {
    run_in((room, How::default()), dataset, out, config, observer)
}

/// How a training is done, which makes no other training of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// What computes. A training may go on at another place than it began.
    pub place: Place,
    /// Whether what a training has left in the folder goes first.
    pub restart: bool,
    /// What somebody sets who wants the training to stop behind the step at hand, with a checkpoint.
    pub stop: Option<&'static AtomicBool>,
}

/// The same in a way of choice.
///
/// # Errors
/// Those of [`run`], and a place that is not there.
pub fn run_with(
    how: How,
    dataset: &Path,
    out: &Path,
    config: &Config,
    observer: &dyn TrainObserver,
) -> Result<TrainReport, TrainError> {
    run_in((Room::Whole, how), dataset, out, config, observer)
}

fn run_in(
    (room, how): (Room, How),
    dataset: &Path,
    out: &Path,
    config: &Config,
    observer: &dyn TrainObserver,
) -> Result<TrainReport, TrainError> {
    let dataset = Dataset::open(dataset)?;
    // Before a row is read: one of another tokenizer would be told as a damaged shard.
    let bytes = Bytes::of_dataset(&dataset)?;
    device::check(how.place, &dataset, config, room)?;
    // What there is goes, and a folder is made, when it is known that the training can begin.
    if how.restart || Checkpoints::settings(out).is_none() {
        initial::check(&dataset, out, config)?;
    }
    let held = Held::take(out)?;
    if how.restart {
        beside::restart(&held, beside::Work::Training)?;
    }
    let mut training = Training::open((&dataset, bytes), held, config, how.place, observer)?;
    training.stop = how.stop;
    if let Some(report) = training.ended.take() {
        return Ok(report);
    }
    let report_path = out.join(REPORT);
    // One of an earlier training would pass for that of this one, were it killed before its own is written.
    folder::remove(&report_path)?;
    training.work()?;
    training.finish(&report_path)
}

/// A training under way.
pub(crate) struct Training<'a> {
    dataset: &'a Dataset,
    out: PathBuf,
    config: &'a Config,
    observer: &'a dyn TrainObserver,
    pub(crate) model: Transformer<f32>,
    pub(crate) optimizer: Optimizer,
    engine: Engine,
    stream: Stream<'a>,
    state: State,
    checkpoints: Checkpoints,
    /// The newest checkpoint that is whole.
    checkpoint: Option<PathBuf>,
    metrics: Metrics,
    spikes: Spikes,
    bytes: Bytes,
    /// Which source each held-out piece counts to, once it was asked for.
    sources: Option<Sources>,
    clock: Clock,
    loss: f64,
    /// Set where somebody wants it to stop.
    stop: Option<&'static AtomicBool>,
    /// What it came to, where it had ended before it was opened.
    ended: Option<TrainReport>,
}

impl<'a> Training<'a> {
    /// Goes on from the newest checkpoint in a folder, or begins.
    pub(crate) fn open(
        (dataset, bytes): (&'a Dataset, Bytes),
        held: Held,
        config: &'a Config,
        place: Place,
        observer: &'a dyn TrainObserver,
    ) -> Result<Self, TrainError> {
        let begun = Instant::now();
        let out = held.out().to_owned();
        let checkpoints = Checkpoints::open(held)?;
        let mut begin = State::begin(config.table(), config.steps, config.seed, dataset);
        begin.initial = initial::hash(config)?;
        let found = checkpoints.newest(&begin, |message| observer.event(TrainEvent::Note { message }))?;
        let (state, source, moments) = match found {
            Some(Checkpoint { state, model, moments }) => (state, Source::read(model), Some(moments)),
            None if begin.initial.is_some() => {
                let message = format!("beginning with the model in {}", config.init_from.0.display());
                observer.event(TrainEvent::Note { message: &message });
                let shape = initial::shape(config, dataset)?;
                let tensors = initial::tensors(&config.init_from.0, &shape, dataset)?;
                (begin, Source::read(tensors), None)
            }
            None => (begin, Source::drawn(config.seed), None),
        };
        let model = Transformer::of(config, dataset, source)?;
        let mut optimizer = Optimizer::of(&model, config);
        if let Some(moments) = moments {
            optimizer.restore(moments)?;
        }
        let engine = Engine::open(place, &model, &optimizer)?;
        beside::remember(&out, dataset.folder())?;
        let stream = dataset.stream(state.position, Share::ALL)?;
        let checkpoint = (state.step > 0).then(|| checkpoints.of_step(state.step));
        let ended = if state.step == state.steps { report::of_ended(&out) } else { None };
        // A training that was killed after its last step measures again, and writes that line anew.
        let measures_again = state.step == state.steps && ended.is_none();
        let metrics = Metrics::open(&out, state.step, measures_again)?;
        let spikes = Spikes::new(config.spike_factor, metrics.last_losses(spike::WINDOW)?);
        let clock = Clock::new(begun, state.step, config.seconds_max > 0.0 && state.step == 0);
        let training = Self {
            dataset,
            out,
            config,
            observer,
            model,
            optimizer,
            engine,
            stream,
            state,
            checkpoints,
            checkpoint,
            metrics,
            spikes,
            bytes,
            sources: None,
            clock,
            loss: f64::NAN,
            stop: None,
            ended,
        };
        if let Some(name) = training.engine.name() {
            observer.event(TrainEvent::Note { message: &format!("computing on {name}") });
        }
        if let Some(warmup) = config.warmup_steps.filter(|&warmup| warmup >= training.state.steps) {
            let steps = training.state.steps;
            let message = format!(
                "`warmup_steps` is {warmup} of {steps} steps: the rate rises to the last and falls no more"
            );
            observer.event(TrainEvent::Note { message: &message });
        }
        observer.event(TrainEvent::Started {
            parameters: training.model.parameter_count() as u64,
            step: training.state.step,
            steps: training.state.steps,
            step_tokens: training.step_tokens(),
        });
        Ok(training)
    }

    const fn step_sequences(&self) -> u64 {
        self.config.batch_sequences * self.config.accumulate
    }

    const fn step_tokens(&self) -> u64 {
        self.step_sequences() * self.dataset.tokens.sequence_length
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
            // A resume of one that was stopped before is no other case: it measures anew.
            let stops = step < self.state.steps && self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
            if step == self.state.steps
                || ((due(self.config.checkpoint_every) || stops) && !self.clock.is_open())
            {
                self.checkpoint()?;
            }
            if stops && self.checkpoint.is_some() {
                return Err(TrainError::Interrupted { step, steps: self.state.steps });
            }
        }
        Ok(())
    }

    /// One optimizer step over `accumulate` micro-batches.
    fn step(&mut self) -> Result<(), TrainError> {
        let step = self.state.step;
        self.clock.step_begins(step);
        let mut batches = Vec::new();
        for _ in 0..self.config.accumulate {
            let samples = self.stream.samples(self.config.batch_sequences)?;
            batches.push(self.model.shape.program.batch(&samples));
        }
        let targets: usize = batches.iter().map(Batch::targets_count).sum();
        // The mean is over all targets of the step, so micro-batches add up to one batch.
        let dropout = |micro| Dropout {
            probability: self.config.dropout,
            seed: seed(self.config.seed, "micro-batch", step * self.config.accumulate + micro),
        };
        let (scale, part) = (1.0 / targets.max(1) as f64, 1.0 / batches.len() as f64);
        let (mut loss, mut load) = (0.0, Vec::new());
        for (micro, batch) in batches.iter().enumerate() {
            loss += self.engine.gradients(&self.model, batch, scale, dropout(micro as u64))?;
            add_load(&mut load, &self.model.expert_load(), part);
        }
        self.engine.assert_every_gradient(&self.optimizer, step)?;
        let norm = self.engine.gradient_norm(&self.optimizer)?;
        self.judge(loss, norm)?;
        let rate = Schedule::new(self.config, self.state.steps).at(step);
        self.engine.step(&self.optimizer, step, rate, norm)?;
        self.loss = loss;
        self.spikes.keep(loss);
        self.state.step = step + 1;
        self.state.position = self.stream.position();
        self.metrics.step(self.state.step, [loss, rate, norm], &load)?;
        self.budget();
        self.tell(loss, rate, norm);
        Ok(())
    }

    /// Stops before a step whose loss or gradient is no number, or whose loss leapt.
    fn judge(&self, loss: f64, norm: f64) -> Result<(), TrainError> {
        let cause = match (loss.is_finite(), norm.is_finite(), self.spikes.over(loss)) {
            (false, ..) => Cause::Loss,
            (_, false, _) => Cause::Gradient,
            (.., Some(median)) => Cause::Spike { loss, median },
            _ => return Ok(()),
        };
        // A dataset that cannot be read by now must not hide why the training stops.
        let (documents_count, documents) =
            stop::documents(self.dataset, self.state.position, self.step_sequences()).unwrap_or_default();
        let (step, checkpoint) = (self.state.step + 1, self.checkpoint.clone());
        Err(TrainError::Stopped(Box::new(Stop { step, cause, documents, documents_count, checkpoint })))
    }

    /// Fixes the count of steps once the first ones were timed.
    fn budget(&mut self) {
        if let Some((fitting, step_seconds)) = self.clock.budget(self.state.step, self.config.seconds_max) {
            self.state.steps = self.config.steps.min(fitting);
            self.observer.event(TrainEvent::Budgeted { steps: self.state.steps, step_seconds });
        }
    }

    fn tell(&mut self, loss: f64, learning_rate: f64, gradient_norm: f64) {
        let State { step, steps, .. } = self.state;
        let step_seconds = self.clock.step_seconds(step);
        let all = self.dataset.validation.count();
        let some = if self.config.eval_sequences == 0 { all } else { all.min(self.config.eval_sequences) };
        let evaluations = match self.config.eval_every {
            0 => 0,
            every => steps.saturating_sub(1) / every - step.saturating_sub(1).min(steps) / every,
        };
        let held_out = evaluations * some + all;
        self.observer.event(TrainEvent::Step {
            step,
            steps,
            loss,
            learning_rate,
            gradient_norm,
            tokens_per_s: self.step_tokens() as f64 / step_seconds,
            seconds_left: self.clock.predicted(steps - step, self.step_sequences(), held_out),
        });
    }

    fn evaluate(&mut self, limit: u64) -> Result<Option<HeldOut>, TrainError> {
        let rows = &self.dataset.validation;
        if rows.is_empty() {
            return Ok(None);
        }
        let began = Instant::now();
        if self.sources.is_none() {
            let found = Sources::open(self.dataset).unwrap_or_else(|error| {
                let message = format!("held-out loss is not told by source: {error}");
                self.observer.event(TrainEvent::Note { message: &message });
                Sources::default()
            });
            self.sources = Some(found);
        }
        let sources = self.sources.as_ref().expect("it was just looked up");
        let (step, observer) = (self.state.step, self.observer);
        let total = if limit == 0 { rows.count() } else { limit.min(rows.count()) };
        let done = |sequences| observer.event(TrainEvent::Evaluating { step, sequences, total });
        done(0);
        let found = measure((&self.model, &self.engine), rows, (&self.bytes, sources), limit, done)?;
        self.clock.pause(began, total);
        if found.all.tokens == 0 {
            return Ok(None);
        }
        self.metrics.held_out(step, &found)?;
        let (loss, bits_per_byte) = (found.all.loss(), found.all.bits_per_byte());
        observer.event(TrainEvent::Evaluated { step, loss, bits_per_byte, sources: &found.sources });
        Ok(Some(found))
    }

    fn checkpoint(&mut self) -> Result<(), TrainError> {
        let began = Instant::now();
        self.observer.event(TrainEvent::Checkpointing { step: self.state.step });
        self.engine.fetch(&self.optimizer)?;
        let model = folder::named(&self.model)?;
        let moments = self.optimizer.state();
        let checkpoint = Checkpoint { state: self.state.clone(), model, moments };
        self.metrics.sync()?;
        let path = self.checkpoints.write(checkpoint, self.config.checkpoints_keep)?;
        self.clock.pause(began, 0);
        self.observer.event(TrainEvent::Checkpointed { step: self.state.step, path: &path });
        self.checkpoint = Some(path);
        Ok(())
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

/// Adds the part of a micro-batch to the load of the experts of a step, by layer.
fn add_load(sum: &mut Vec<Vec<f64>>, load: &[Vec<f64>], part: f64) {
    sum.resize_with(load.len(), Vec::new);
    for (sum, load) in sum.iter_mut().zip(load) {
        sum.resize(load.len(), 0.0);
        sum.iter_mut().zip(load).for_each(|(sum, share)| *sum += share * part);
    }
}

#[test]
fn the_load_of_experts_is_that_of_the_whole_step() {
    let mut load = Vec::new();
    add_load(&mut load, &[vec![1.0, 0.0], vec![0.25, 0.75]], 0.5);
    add_load(&mut load, &[vec![0.0, 1.0], vec![0.75, 0.25]], 0.5);
    assert_eq!(load, [[0.5, 0.5], [0.5, 0.5]]);
}
