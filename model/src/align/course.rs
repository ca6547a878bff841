//! The loop that all ways of alignment share: steps, held-out measures, checkpoints, and the folder at the end.
//!
//! A [`Lesson`] adds the gradients of a step; the course does with them what a training does, with the same optimizer, schedule,
//! checkpoints and metrics. A checkpoint holds what learns alone: for adapters a few per cent of the model.

use super::adapter::{self, Lora};
use super::{AlignReport, Common, Job, REFUSED, assert_elsewhere};
use crate::architecture::{Source, Transformer};
use crate::checkpoint::{Checkpoint, Checkpoints, Held, State};
use crate::config::Config;
use crate::data::Position;
use crate::error::TrainError;
use crate::folder::{self, Named};
use crate::metrics::{Measure, Metrics};
use crate::optimizer::Optimizer;
use crate::parameter::Shared;
use crate::progress::TrainEvent;
use crate::schedule::Schedule;
use crate::train::beside::{self, Work};
use crate::train::{Cause, REPORT, Stop};
use schemas::{Config as _, manifest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What stands before the name of a number that was measured on rows kept apart.
const HELD_OUT: &str = "held_out_";

/// One way of alignment.
pub(super) trait Lesson {
    /// Adds the gradients of a step, counted from 0, and gives what it measured, the loss first.
    fn step(&mut self, model: &Transformer<f32>, step: u64) -> Result<Vec<Measure>, TrainError>;

    /// Measures the rows that were kept apart.
    fn held_out(&mut self, model: &Transformer<f32>) -> Result<Vec<Measure>, TrainError>;

    /// Where the rows of the next step stand; `None` where that is a function of the step.
    fn position(&self) -> Option<Position> {
        None
    }

    /// Whether the step that comes next depends on nothing but the parameters and its number.
    fn may_stop_before(&self, _step: u64) -> bool {
        true
    }
}

/// What a course is about.
pub(super) struct Subject<'a> {
    /// Name of the way: `dpo`.
    pub(super) method: &'static str,
    /// Settings of the way, defaults included.
    pub(super) settings: BTreeMap<String, String>,
    /// Name of the rows.
    pub(super) rows: &'a str,
    /// Where the rows begin.
    pub(super) position: Position,
    /// Steps in all.
    pub(super) steps: u64,
    /// Tokens of a step, as far as known.
    pub(super) step_tokens: u64,
}

/// An alignment under way.
pub(super) struct Course<'a> {
    job: &'a Job<'a>,
    method: &'static str,
    pub(super) model: Transformer<f32>,
    lora: Option<Lora>,
    trainer: Config,
    optimizer: Optimizer,
    learning: Vec<Shared<f32>>,
    pub(super) state: State,
    checkpoints: Checkpoints,
    /// The newest checkpoint that is whole.
    checkpoint: Option<PathBuf>,
    metrics: Metrics,
    since: (Instant, u64),
    step_tokens: u64,
}

/// Takes a course from where it is to its end; one that has ended gives its report.
///
/// `lesson` makes what is taught from the course; `write` writes tensors and configuration of a whole model.
pub(super) fn take<'a>(
    course: Course<'a>,
    lesson: impl FnOnce(&Course<'a>) -> Result<Box<dyn Lesson + 'a>, TrainError>,
    write: impl FnOnce(&Transformer<f32>, &Path) -> Result<(), TrainError>,
) -> Result<AlignReport, TrainError> {
    let mut course = course;
    let path = course.job.out.join(REPORT);
    let alone = course.lora.is_some() && !course.job.merge;
    let whole = course.job.out.join(if alone { adapter::ADAPTER } else { folder::TENSORS }).is_file();
    if course.state.step == course.state.steps
        && whole
        && let Ok(bytes) = std::fs::read(&path)
        && let Ok(report) = serde_json::from_slice(&bytes)
    {
        return Ok(report);
    }
    // One of an earlier course would pass for that of this one, were it killed before its own is written.
    folder::remove(&path)?;
    let mut lesson = lesson(&course)?;
    course.work(lesson.as_mut())?;
    drop(lesson);
    course.finish(write)
}

/// The model to begin with. Its texts begin behind the token that ends answers, in every step as in the folder that is written: what
/// reads the folder begins with a token that was trained in this place.
///
/// # Errors
/// Those of [`folder::load`].
pub(super) fn base(job: &Job<'_>, end: u32) -> Result<Transformer<f32>, TrainError> {
    let mut model = folder::load(job.base)?;
    model.shape.eos = end;
    model.shape.program.eos = end;
    Ok(model)
}

/// Hexadecimal blake3 of a file.
pub(super) fn hash_of(path: &Path) -> Result<String, TrainError> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path).map_err(TrainError::io(path))?;
    hasher.update_reader(file).map_err(TrainError::io(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

impl<'a> Course<'a> {
    /// Goes on from the newest checkpoint of `job`, or begins. Whatever of `model` is not frozen learns, or its adapters alone.
    ///
    /// # Errors
    /// The folder holds another alignment, or the targets of adapters are no parts.
    pub(super) fn open(
        job: &'a Job<'a>,
        mut model: Transformer<f32>,
        subject: Subject<'_>,
    ) -> Result<Self, TrainError> {
        if !model.shape.program.is_next_token() {
            let told = "the model was trained for another objective than the next token, so it cannot answer";
            return Err(TrainError::misplaced(job.base, told));
        }
        assert_elsewhere(job.base, job.out)?;
        let Common { lora_rank, lora_alpha, lora_targets, seed, .. } = job.common;
        let lora = (*lora_rank > 0).then(|| Lora {
            rank: *lora_rank,
            alpha: *lora_alpha,
            targets: lora_targets.clone(),
        });
        if let Some(lora) = &lora {
            let own: Vec<_> =
                model.parameters.iter().filter(|p| p.name() == super::reward::HEAD).cloned().collect();
            lora.attach(&mut model, Source::drawn(*seed))?;
            own.iter().for_each(|parameter| parameter.thaw());
        }
        let mut settings = job.common.table();
        settings.extend(job.common.settled());
        settings.extend(job.template.map(|name| ("template".to_owned(), name.to_owned())));
        settings.extend(subject.settings);
        settings.insert("method".into(), subject.method.into());
        settings.insert("base".into(), adapter::hash(job.base)?);
        let tokenizer = hash_of(&job.base.join(manifest::TOKENIZER))?;
        let begin = State::of_rows(settings, subject.steps, subject.rows, subject.position, &tokenizer);
        // Only now: what was refused above leaves no folder behind.
        let held = Held::take(job.out)?;
        if job.restart {
            beside::restart(&held, Work::Alignment)?;
        }
        let checkpoints = Checkpoints::open(held)?;
        let found = checkpoints.newest(&begin, |message| job.observer.event(TrainEvent::Note { message }))?;
        let learning = model.learning();
        let trainer = trainer(job.common, subject.steps);
        let mut optimizer = Optimizer::of(&model, &trainer);
        let mut state = begin;
        if let Some(checkpoint) = found {
            state = checkpoint.state;
            restore(&learning, checkpoint.model)?;
            optimizer.restore(checkpoint.moments)?;
        }
        let metrics = Metrics::open(job.out, state.step, false)?;
        let refused = job.out.join(REFUSED);
        match job.refused {
            "" => folder::remove(&refused)?,
            rows => folder::replace(&refused, rows.as_bytes())?,
        }
        let parameters = learning.iter().map(|p| p.value().elem_count() as u64).sum();
        job.observer.event(TrainEvent::Started {
            parameters,
            step: state.step,
            steps: state.steps,
            step_tokens: subject.step_tokens,
        });
        Ok(Self {
            job,
            method: subject.method,
            model,
            lora,
            trainer,
            optimizer,
            learning,
            since: (Instant::now(), state.step),
            checkpoint: (state.step > 0).then(|| checkpoints.of_step(state.step)),
            state,
            checkpoints,
            metrics,
            step_tokens: subject.step_tokens,
        })
    }

    /// Does the steps that are left, and measures before the first and after the last.
    pub(super) fn work(&mut self, lesson: &mut dyn Lesson) -> Result<(), TrainError> {
        // A course killed before its first checkpoint has measured already.
        if self.state.step == 0 && self.metrics.found(HELD_OUT, false)?.is_empty() {
            self.measure(lesson)?;
        }
        // A step inside a round of answers has to wait with its checkpoint.
        let mut owed = false;
        while self.state.step < self.state.steps {
            self.step(lesson)?;
            let (step, steps) = (self.state.step, self.state.steps);
            let due = |every: u64| every > 0 && step.is_multiple_of(every);
            if due(self.job.common.eval_every) || step == steps {
                self.measure(lesson)?;
            }
            owed |= due(self.job.common.checkpoint_every);
            if step == steps || owed && lesson.may_stop_before(step) {
                self.checkpoint()?;
                owed = false;
            }
        }
        Ok(())
    }

    fn step(&mut self, lesson: &mut dyn Lesson) -> Result<(), TrainError> {
        let step = self.state.step;
        let found = lesson.step(&self.model, step)?;
        let loss = found.first().map_or(f64::NAN, |(_, loss)| *loss);
        self.optimizer.assert_every_gradient(step)?;
        let norm = self.optimizer.gradient_norm();
        if !loss.is_finite() || !norm.is_finite() {
            let cause = if loss.is_finite() { Cause::Gradient } else { Cause::Loss };
            let (step, checkpoint) = (step + 1, self.checkpoint.clone());
            let stop = Stop { step, cause, documents: vec![], documents_count: 0, checkpoint };
            return Err(TrainError::Stopped(Box::new(stop)));
        }
        let rate = Schedule::new(&self.trainer, self.state.steps).at(step);
        self.optimizer.step(step, rate, norm)?;
        self.state.step = step + 1;
        if let Some(position) = lesson.position() {
            self.state.position = position;
        }
        let rates: [Measure; 2] = [("learning_rate", rate), ("gradient_norm", norm)];
        self.metrics.measures(self.state.step, "", &[&found[..], &rates].concat())?;
        self.tell(loss, rate, norm);
        Ok(())
    }

    fn tell(&mut self, loss: f64, learning_rate: f64, gradient_norm: f64) {
        let (since, first) = self.since;
        let State { step, steps, .. } = self.state;
        let per_step = since.elapsed().as_secs_f64() / (step - first).max(1) as f64;
        self.job.observer.event(TrainEvent::Step {
            step,
            steps,
            loss,
            learning_rate,
            gradient_norm,
            tokens_per_s: self.step_tokens as f64 / per_step,
            seconds_left: per_step * (steps - step) as f64,
        });
        if step - first >= 20 {
            self.since = (Instant::now(), step);
        }
    }

    fn measure(&mut self, lesson: &mut dyn Lesson) -> Result<(), TrainError> {
        let found = lesson.held_out(&self.model)?;
        if !found.is_empty() {
            self.metrics.measures(self.state.step, HELD_OUT, &found)?;
            self.job.observer.event(TrainEvent::Measured { step: self.state.step, found: &found });
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), TrainError> {
        let entry = |parameter: &Shared<f32>| {
            let shape = parameter.value().dims().to_vec();
            Ok((parameter.name().to_owned(), (shape, parameter.read(<[f32]>::to_vec)?)))
        };
        let model = self.learning.iter().map(entry).collect::<candle_core::Result<Named>>()?;
        let moments = self.optimizer.state();
        let checkpoint = Checkpoint { state: self.state.clone(), model, moments };
        self.metrics.sync()?;
        let path = self.checkpoints.write(checkpoint, self.job.common.checkpoints_keep)?;
        self.job.observer.event(TrainEvent::Checkpointed { step: self.state.step, path: &path });
        self.checkpoint = Some(path);
        Ok(())
    }

    /// Writes the model folder: adapters alone, or the whole model where there are none or they are merged; the report last.
    fn finish(
        mut self,
        write: impl FnOnce(&Transformer<f32>, &Path) -> Result<(), TrainError>,
    ) -> Result<AlignReport, TrainError> {
        let out = self.job.out;
        let parameters = self.learning.iter().map(|p| p.value().elem_count() as u64).sum();
        match self.lora.as_ref().filter(|_| !self.job.merge) {
            Some(lora) => adapter::save(&self.model, lora, self.job.base, out)?,
            None => {
                adapter::merge(&mut self.model)?;
                write(&self.model, out)?;
            }
        }
        let tokenizer = self.job.base.join(manifest::TOKENIZER);
        let bytes = std::fs::read(&tokenizer).map_err(TrainError::io(&tokenizer))?;
        folder::replace(&out.join(manifest::TOKENIZER), &bytes)?;
        if let Some(bytes) = self.job.tokenizer_config {
            folder::replace(&out.join(manifest::TOKENIZER_CONFIG), bytes)?;
        }
        let report = AlignReport {
            method: self.method.to_owned(),
            parameters,
            steps: self.state.steps,
            loss: self.metrics.last_loss()?,
            before: self.metrics.found(HELD_OUT, false)?,
            after: self.metrics.found(HELD_OUT, true)?,
            settings: self.state.settings,
            rows: self.state.dataset,
            tokenizer: self.state.tokenizer,
        };
        folder::replace(&out.join(REPORT), &folder::json_bytes(&report))?;
        Ok(report)
    }
}

/// Steps of the warm-up where the settings say nothing and the course is long enough, and the part of all steps that it takes at most.
const WARMUP: (u64, u64) = (20, 10);

/// The settings of alignment as optimizer and schedule take them in a course of so many steps.
fn trainer(common: &Common, steps: u64) -> Config {
    let Common { learning_rate_min, warmup_steps, .. } = *common;
    let Common { weight_decay, beta1, beta2, clip_norm, .. } = *common;
    Config {
        learning_rate: common.learning_rate(),
        learning_rate_min: Some(learning_rate_min),
        warmup_steps: Some(warmup_steps.unwrap_or(WARMUP.0.min(steps / WARMUP.1))),
        weight_decay,
        beta1,
        beta2,
        clip_norm,
        ..Config::default()
    }
}

/// Takes the values of a checkpoint.
fn restore(learning: &[Shared<f32>], mut model: Named) -> Result<(), TrainError> {
    for parameter in learning {
        let (name, value) = (parameter.name(), parameter.value());
        let values = match model.remove(name) {
            Some((_, values)) if values.len() == value.elem_count() => values,
            _ => {
                let message = format!("the checkpoint has no tensor `{name}` of this size");
                return Err(candle_core::Error::Msg(message).into());
            }
        };
        value.set(&candle_core::Tensor::from_vec(values, value.shape(), value.device())?)?;
    }
    Ok(())
}

/// Which rows a step takes: passes over all of them, each in an order of its own.
pub(super) fn rows_of_step(rows: usize, taken: usize, step: u64, run_seed: u64) -> Vec<usize> {
    let first = step * taken as u64;
    let mut epoch = (u64::MAX, Vec::new());
    let mut row = |number: u64| {
        let (pass, at) = (number / rows as u64, (number % rows as u64) as usize);
        if epoch.0 != pass {
            let mut order: Vec<usize> = (0..rows).collect();
            let mut rng = schemas::hash::Rng::new(schemas::hash::seed(run_seed, "order of rows", pass));
            for end in (1..rows).rev() {
                order.swap(end, rng.below(end as u64 + 1) as usize);
            }
            epoch = (pass, order);
        }
        epoch.1[at]
    };
    (first..first + taken as u64).map(&mut row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pass_has_every_row_once() {
        let steps = (0..6).flat_map(|step| rows_of_step(5, 5, step, 3)).collect::<Vec<_>>();
        for pass in steps.chunks(5) {
            let mut sorted = pass.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        assert_ne!(steps[..5], steps[5..10]);
        // However many a step takes, the passes are the same.
        let by_three = (0..10).flat_map(|step| rows_of_step(5, 3, step, 3)).collect::<Vec<_>>();
        assert_eq!(steps, by_three);
    }
}
