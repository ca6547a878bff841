//! Many trainings over a grid of settings, side by side: every combination, or successive halving (arXiv 1502.07943).
//!
//! A trial is an ordinary training in a folder of its own, so a killed sweep goes on where it stopped and a finished trial is not done
//! again. Trainings end with the same bits at any count of threads, so a sweep's result does not depend on how many go on at once.
//!
//! ```text
//! rung 0:  all n trials,     steps ÷ η^s     →  the best n ÷ η go on
//! rung i:  n ÷ η^i trials,   steps ÷ η^(s−i), each from its beginning
//! rung s:  the last,         all steps
//! ```
//! A trial of a later rung is trained anew: a schedule that ends tells more than one that was cut, and costs one part in η more. Rungs wait for
//! all their trials (arXiv 1810.05934 does not), because what is kept must not depend on which trial was fast.

mod asked;
mod pool;
mod report;

pub use report::{SweepReport, TrialReport};

use crate::checkpoint::Held;
use crate::config::Config;
use crate::data::Dataset;
use crate::error::TrainError;
use crate::memory::Room;
use crate::presets;
use crate::progress::{TrainEvent, TrainObserver};
use crate::train::{self, initial};
pub(crate) use asked::Asked;
pub(crate) use pool::{at_once, side_by_side};
pub(crate) use report::toml;
use schemas::{Settings, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most trials of a sweep.
const TRIALS_MAX: usize = 10_000;
/// A rung is not shorter: the first steps of a training tell nothing.
const RUNG_STEPS_MIN: u64 = 20;
/// Characters of the name of a trial's folder.
const NAME_MAX: usize = 120;

/// A setting with the values that are tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Key of `[train]`.
    pub key: String,
    /// Its values.
    pub values: Vec<Value>,
}

/// What is tried.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Settings that all trials share.
    pub base: Vec<(String, Value)>,
    /// The grid.
    pub axes: Vec<Axis>,
    /// η of successive halving; `None` trains every trial to its end.
    pub halving: Option<u64>,
    /// Trainings at once; the threads are shared out among them.
    pub jobs: usize,
}

/// Something happened in a sweep.
#[derive(Debug, Clone, Copy)]
pub enum SweepEvent<'a> {
    /// A rung begins; a grid has one.
    Rung {
        /// Its number, from 0.
        rung: u64,
        /// Trials in it.
        trials: usize,
        /// Steps of each; 0 where trials differ in them.
        steps: u64,
    },
    /// A trial tells of its training.
    Trial {
        /// Name of the trial.
        name: &'a str,
        /// What it tells.
        event: TrainEvent<'a>,
    },
    /// Something that a person should know of.
    Note {
        /// What it is.
        message: &'a str,
    },
    /// A trial has ended, well or with an error.
    Ended {
        /// What it came to.
        report: &'a TrialReport,
    },
}

/// Listens to a sweep, from the threads of all trials.
pub trait SweepObserver: Send + Sync {
    /// Takes an event.
    fn event(&self, event: SweepEvent<'_>);
}

/// Passes the events of a training on under the name of its trial.
pub(crate) struct Named<'a>(pub(crate) &'a str, pub(crate) &'a dyn SweepObserver);

impl TrainObserver for Named<'_> {
    fn event(&self, event: TrainEvent<'_>) {
        self.1.event(SweepEvent::Trial { name: self.0, event });
    }
}

/// One combination of the grid.
#[derive(Debug, Clone)]
struct Trial {
    name: String,
    /// Its place in the grid.
    values: Vec<(String, Value)>,
}

impl Sweep {
    /// Trains all trials below `out` and writes `sweep.json`, `trials.parquet` and `best.toml` there.
    ///
    /// # Errors
    /// The grid is none, no trial of it has settings that fit together, or the dataset cannot be read. What goes wrong in a trial stands in its report.
    pub fn run(
        &self,
        dataset: &Path,
        out: &Path,
        observer: &dyn SweepObserver,
    ) -> Result<SweepReport, TrainError> {
        let trials = self.trials()?;
        let opened = Dataset::open(dataset)?;
        if opened.validation.is_empty() {
            return wrong(
                "a sweep compares held-out loss, and the dataset has no held-out sequences; build it with `validation`",
            );
        }
        self.tell_unsound(&trials, &opened, observer)?;
        let base = self.config(&[])?;
        let swept: Vec<&str> = self.axes.iter().map(|axis| axis.key.as_str()).collect();
        let asked = Asked::new((&base, &swept), &opened, self.tried())?;
        let held = Held::take(out)?;
        asked.put(out, report::FILE, observer)?;
        let steps = base.steps;
        let mut reports = Vec::new();
        let mut left = trials;
        let rungs = self.rungs(left.len(), steps);
        if self.halving.is_some() && rungs.len() == 1 {
            let message = format!(
                "halving: {} trials of {steps} steps leave no shorter rung, of {RUNG_STEPS_MIN} steps at least; all are trained to their end",
                left.len()
            );
            observer.event(SweepEvent::Note { message: &message });
        }
        for (rung, steps) in rungs.into_iter().enumerate() {
            let rung = rung as u64;
            observer.event(SweepEvent::Rung { rung, trials: left.len(), steps: steps.unwrap_or(0) });
            let mut ended = self.rung((rung, steps), &left, (dataset, out), observer);
            ended.sort_by(TrialReport::order);
            if let Some(eta) = self.halving {
                let keep = (left.len() as u64 / eta).max(1) as usize;
                let best = ended.iter().filter(|report| report.figure().is_some()).take(keep);
                let best: Vec<&str> = best.map(|report| report.name.as_str()).collect();
                left.retain(|trial| best.contains(&trial.name.as_str()));
            }
            // The last rung stands first.
            ended.append(&mut reports);
            reports = ended;
            if left.is_empty() {
                break;
            }
        }
        let best = reports.first().filter(|report| report.figure().is_some());
        let best = best.map(|report| self.config(&report.values)).transpose()?;
        let report = SweepReport::new(reports, best.as_ref(), &swept);
        report.write(held.out())?;
        Ok(report)
    }

    /// The grid as a person wrote it.
    fn tried(&self) -> BTreeMap<String, String> {
        let values = |axis: &Axis| axis.values.iter().map(shown).collect::<Vec<_>>().join(",");
        let axes = self.axes.iter().map(|axis| (axis.key.clone(), values(axis)));
        axes.chain(self.halving.map(|eta| ("halving".to_owned(), eta.to_string()))).collect()
    }

    /// Steps of each rung; `None` where the settings decide.
    fn rungs(&self, trials: usize, steps: u64) -> Vec<Option<u64>> {
        let Some(eta) = self.halving else { return vec![None] };
        let mut rungs = vec![Some(steps)];
        let (mut left, mut steps) = (trials as u64 / eta, steps / eta);
        while left >= 1 && steps >= RUNG_STEPS_MIN {
            rungs.push(Some(steps));
            (left, steps) = (left / eta, steps / eta);
        }
        rungs.reverse();
        rungs
    }

    fn rung(
        &self,
        (rung, steps): (u64, Option<u64>),
        trials: &[Trial],
        (dataset, out): (&Path, &Path),
        observer: &dyn SweepObserver,
    ) -> Vec<TrialReport> {
        let room = Room::beside(at_once(self.jobs, trials.len()));
        side_by_side(self.jobs, trials, |trial| {
            let folder = match self.halving {
                Some(_) => out.join(format!("rung-{rung}")).join(&trial.name),
                None => out.join("trials").join(&trial.name),
            };
            let mut values = trial.values.clone();
            values.extend(steps.map(|steps| ("steps".to_owned(), integer(steps))));
            if let Some(warmup) = self.warmup(&trial.values, steps) {
                values.retain(|(key, _)| *key != warmup.0);
                values.push(warmup);
            }
            let result = self.config(&values).and_then(|config| {
                let result =
                    train::run_beside(room, dataset, &folder, &config, &Named(&trial.name, observer));
                result.map(|report| (config.steps, report))
            });
            let report = TrialReport::new((&trial.name, rung), &trial.values, folder, result);
            observer.event(SweepEvent::Ended { report: &report });
            report
        })
    }

    /// The warm-up of a shorter rung, where one was set: the same part of its steps.
    fn warmup(&self, values: &[(String, Value)], steps: Option<u64>) -> Option<(String, Value)> {
        let (config, steps) = (self.config(values).ok()?, steps?);
        let warmup = config.warmup_steps.filter(|_| steps < config.steps)?;
        Some(("warmup_steps".to_owned(), integer(warmup * steps / config.steps)))
    }

    /// Tells of trials whose settings do not fit together before hours of the others pass.
    ///
    /// # Errors
    /// There are no others: the mistake of the first.
    fn tell_unsound(
        &self,
        trials: &[Trial],
        dataset: &Dataset,
        observer: &dyn SweepObserver,
    ) -> Result<(), TrainError> {
        let shape = |trial: &Trial| initial::shape(&self.config(&trial.values)?, dataset);
        let unsound: Vec<_> =
            trials.iter().filter_map(|trial| shape(trial).err().map(|error| (trial, error))).collect();
        if unsound.len() == trials.len() {
            return unsound.into_iter().next().map_or(Ok(()), |(_, error)| Err(error));
        }
        for (trial, error) in &unsound {
            let message = format!("{} cannot be trained: {error}", trial.name);
            observer.event(SweepEvent::Note { message: &message });
        }
        Ok(())
    }

    /// The settings of a trial.
    fn config(&self, values: &[(String, Value)]) -> Result<Config, TrainError> {
        let free = |key: &str| !values.iter().any(|(other, _)| other == key);
        let base = self.base.iter().filter(|(key, _)| free(key)).cloned();
        let pairs = base.chain(values.iter().cloned()).collect();
        let config = presets::read(&Settings::new(pairs)).map_err(|errors| TrainError::settings(&errors))?;
        if config.seconds_max > 0.0 {
            return wrong(
                "trials with `seconds_max` would depend on how busy the machine is; set it to 0, and `steps`",
            );
        }
        Ok(config)
    }

    /// Every combination, the last axis turning fastest.
    fn trials(&self) -> Result<Vec<Trial>, TrainError> {
        for (at, axis) in self.axes.iter().enumerate() {
            if !Config::KEYS.iter().any(|key| key.name == axis.key) {
                let near = schemas::near::closest(&axis.key, Config::KEYS.iter().map(|key| key.name));
                let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return wrong(&format!("`{}` is not a key of `[train]`{help}", axis.key));
            }
            if axis.values.is_empty() || self.axes[..at].iter().any(|other| other.key == axis.key) {
                return wrong(&format!("`{}` has no values, or stands twice in the grid", axis.key));
            }
            let twice = |(at, value): (usize, &Value)| {
                axis.values[..at].iter().any(|other| shown(other) == shown(value))
            };
            if axis.values.iter().enumerate().any(twice) {
                return wrong(&format!("a value of `{}` stands twice in the grid", axis.key));
            }
            // A value that the key never takes is a slip of the pen, not a trial.
            for value in &axis.values {
                let alone = Settings::new(vec![(axis.key.clone(), value.clone())]);
                let mistakes = presets::read(&alone).err().unwrap_or_default();
                if let Some(mistake) = mistakes.iter().find(|mistake| mistake.key == axis.key) {
                    return wrong(&format!("{}={}: {}", axis.key, shown(value), mistake.message));
                }
            }
            if axis.key == "steps" && self.halving.is_some() {
                return wrong("halving decides on `steps`; take it out of the grid");
            }
        }
        if self.axes.is_empty() {
            return wrong("the grid is empty; give `--grid learning_rate=1e-3,2e-3`");
        }
        if self.halving.is_some_and(|eta| eta < 2) {
            return wrong("halving keeps one in η trials; η is 2 at least");
        }
        let count = self.axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()));
        let Some(count) = count.filter(|count| *count <= TRIALS_MAX) else {
            return wrong(&format!("the grid has more than {TRIALS_MAX} combinations"));
        };
        let trial = |mut number: usize| {
            let mut values: Vec<(String, Value)> = Vec::new();
            for axis in self.axes.iter().rev() {
                values.push((axis.key.clone(), axis.values[number % axis.values.len()].clone()));
                number /= axis.values.len();
            }
            values.reverse();
            Trial { name: name(&values), values }
        };
        Ok((0..count).map(trial).collect())
    }
}

fn wrong<T>(message: &str) -> Result<T, TrainError> {
    Err(TrainError::Config { message: message.to_owned() })
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A value as a person wrote it, without the quotes of a string.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The folder of a combination: its settings as far as a file system takes them.
fn name(values: &[(String, Value)]) -> String {
    let told: Vec<String> = values.iter().map(|(key, value)| format!("{key}={}", shown(value))).collect();
    let told = told.join(",");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "=,.+-_".contains(c) { c } else { '_' };
    let name: String = told.chars().map(plain).take(NAME_MAX).collect();
    if name == told {
        return name;
    }
    format!("{name}-{}", &blake3::hash(told.as_bytes()).to_hex()[..8])
}

/// Where the folder of a trial lies, for reports.
fn relative(folder: &Path, out: &Path) -> PathBuf {
    folder.strip_prefix(out).unwrap_or(folder).to_owned()
}

#[cfg(test)]
mod tests;
