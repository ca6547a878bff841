//! A scaling law from small trainings: a ladder of models, a fit, and the loss of a model several times larger.
//!
//! 1. Shapes by rule ([`ladder`]), their parameters evenly spread on the scale of logarithms over a factor of sixteen.
//! 2. The learning rate: tried on two sizes of the ladder, its best value read off a parabola, and carried to other sizes. They train under muP,
//!    where it does not depend on the width. One that is set is taken as it is.
//! 3. Every size trains on the tokens of the larger model; or, with tokens per parameter, on its own.
//! 4. The law is fitted ([`law`]) and read at the larger model; what it would be trained with is written as settings.
//!
//! Trainings are folders of their own, so a killed `scale` goes on, and one that has ended only fits again.

mod doubts;
mod ladder;
mod law;
mod minimum;
mod plot;
mod rate;

pub use law::{Law, Point, Prediction};

use crate::checkpoint::Held;
use crate::config::{Config, ParametrizationKind};
use crate::data::Dataset;
use crate::error::TrainError;
use crate::folder;
use crate::memory::Room;
use crate::metrics::tables;
use crate::presets;
use crate::sweep::{Asked, Named, SweepEvent, SweepObserver, TrialReport, at_once, side_by_side, toml};
use crate::train::{self, TrainReport, initial};
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use ladder::Rung;
use schemas::number::thousands;
use schemas::{Settings, Value};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What the ladder decides on.
const DECIDED: [&str; 8] =
    ["width", "layers", "heads", "kv_heads", "ff_width", "steps", "seconds_max", "learning_rate_min"];
/// What stands in the names of the trainings beside what the ladder decides on.
const NAMED: [&str; 3] = ["learning_rate", "parametrization", "base_width"];
/// How many times larger the largest size is than the smallest.
const SPAN: f64 = 16.0;
/// Part of the tokens that the search for the learning rate trains on.
const RATE_PART: u64 = 2;
/// File of the report.
const FILE: &str = "scale.json";
/// A training has as many steps at least.
const STEPS_MIN: u64 = 20;
/// A sixteenth of less is smaller than the smallest shape.
const LARGEST_MIN: u64 = 50_000;
/// Sizes without which a law cannot be fitted.
const SIZES_MIN: usize = 4;
/// More sizes tell no more.
const SIZES_MAX: u64 = 64;

/// What is trained and asked.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Settings that all trainings share; not those of shape and length.
    pub base: Vec<(String, Value)>,
    /// Sizes of the ladder; two that come to one shape are one.
    pub sizes: u64,
    /// Parameters of its largest model, without embedding and head.
    pub largest: u64,
    /// How many times larger the model is that is asked for.
    pub factor: f64,
    /// Tokens that the larger model would be trained on; 0 for all training tokens once.
    pub tokens: u64,
    /// Tokens of each training by its parameters, in place of `tokens`.
    pub tokens_per_parameter: Option<f64>,
    /// Trainings at once.
    pub jobs: usize,
    /// Whether the larger model is trained too, and held against the prediction.
    pub check: bool,
}

/// A training of the ladder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Folder below `runs`.
    pub name: String,
    /// Its size and loss.
    pub point: Point,
    /// Width of the model.
    pub width: u64,
    /// Layers of the model.
    pub layers: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Learning rate after the warm-up.
    pub learning_rate: f64,
    /// Held-out bits per byte; absent where the objective has none.
    pub bits_per_byte: Option<f64>,
}

/// What a ladder came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScaleReport {
    /// The trainings that the law is fitted to.
    pub runs: Vec<Run>,
    /// Learning rate of a size: factor · (parameters ÷ 10⁶)^−exponent, in this order.
    pub learning_rate: [f64; 2],
    /// The law.
    pub law: Law,
    /// What it says of the larger model.
    pub prediction: Prediction,
    /// The same in bits per byte; absent where the objective has none.
    pub bits_per_byte: Option<f64>,
    /// The larger model, where it was trained.
    pub check: Option<Run>,
    /// Its loss divided by the predicted one, less 1.
    pub miss: Option<f64>,
    /// What speaks against the law, a sentence each.
    pub doubts: Vec<String>,
    /// `[train]` of the larger model.
    pub settings: String,
}

/// A training that is planned.
struct Planned {
    name: String,
    parameters: u64,
    config: Config,
}

/// Where trainings happen.
struct Bench<'a> {
    dataset: &'a Path,
    opened: Dataset,
    out: &'a Path,
    jobs: usize,
    observer: &'a dyn SweepObserver,
    step_tokens: u64,
    rounds: std::cell::Cell<u64>,
}

/// Whether a ladder takes a setting from no recipe, which describes one model: what it decides on or tries out, and a model to go on from.
pub fn decides(key: &str) -> bool {
    matches!(key, "learning_rate" | "init_from") || DECIDED.contains(&key)
}

impl Scale {
    /// Trains the ladder below `out`, and writes `scale.json`, `scale.svg`, `runs.parquet` and `larger.toml` there.
    ///
    /// # Errors
    /// Settings that the ladder decides on, a dataset without held-out rows, a training that fails.
    pub fn run(
        &self,
        dataset: &Path,
        out: &Path,
        observer: &dyn SweepObserver,
    ) -> Result<ScaleReport, TrainError> {
        let base = self.config()?;
        let opened = Dataset::open(dataset)?;
        if opened.validation.is_empty() {
            return wrong(
                "a law of held-out loss needs held-out sequences; build the dataset with `validation`".into(),
            );
        }
        let step_tokens = base.batch_sequences * base.accumulate * opened.tokens.sequence_length;
        let rounds = std::cell::Cell::new(0);
        let bench = Bench { dataset, opened, out, jobs: self.jobs, observer, step_tokens, rounds };
        let mut ladder = self.ladder(&base, &bench)?;
        let base = self.parametrised(base, &mut ladder);
        let larger = ladder.last().expect("a ladder has sizes").parameters as f64 * self.factor;
        let larger = ladder::rung(&base, &bench.opened.tokens, larger as u64)?;
        initial::check(&bench.opened, out, &ladder[0].config)?;
        let held = Held::take(out)?;
        Asked::new((&base, &[&DECIDED[..], &NAMED].concat()), &bench.opened, self.tried())?
            .put(out, FILE, observer)?;
        observer.event(SweepEvent::Note { message: &self.announcement(&ladder, &larger, &bench) });
        let rate = match self.is_set("learning_rate") {
            true => rate::Rule::of_all(base.learning_rate),
            false => rate::find(&ladder, &bench, |rung| self.rate_tokens(rung.parameters, &bench))?,
        };
        let plan = |rung: &Rung| {
            bench.plan(rung, self.tokens(rung.parameters, &bench), rate.at(rung.parameters), "")
        };
        let runs = bench.train(ladder.iter().map(plan).collect())?;
        let points: Vec<Point> = runs.iter().map(|run| run.point).collect();
        let law = Law::fit(&points);
        let planned = plan(&larger);
        let at = (larger.parameters as f64, (planned.config.steps * step_tokens) as f64);
        let prediction = law.predict(&points, at);
        let settings = toml(&planned.config, &["learning_rate"]);
        let check = if self.check { bench.train(vec![planned])?.pop() } else { None };
        let last = runs.last().expect("a ladder has trainings");
        let mut report = ScaleReport {
            doubts: Vec::new(),
            learning_rate: [rate.factor, rate.exponent],
            law,
            bits_per_byte: last.bits_per_byte.map(|bits| prediction.loss * bits / last.point.loss),
            miss: check.as_ref().map(|run| run.point.loss / prediction.loss - 1.0),
            prediction,
            check,
            settings,
            runs,
        };
        report.doubts = doubts::doubts(&report);
        report.write(held.out())?;
        Ok(report)
    }

    /// The ladder as it was asked for.
    fn tried(&self) -> BTreeMap<String, String> {
        let Self { sizes, largest, factor, tokens, tokens_per_parameter, check, .. } = self;
        let mut tried = vec![
            ("sizes", sizes.to_string()),
            ("largest", largest.to_string()),
            ("factor", factor.to_string()),
            ("tokens", tokens.to_string()),
            ("check", check.to_string()),
        ];
        tried.extend(tokens_per_parameter.map(|each| ("tokens_per_parameter", each.to_string())));
        tried.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Whether a setting was given.
    fn is_set(&self, key: &str) -> bool {
        self.base.iter().any(|(other, _)| other == key)
    }

    /// Settings of the ladder and of the larger model under muP, where no other parametrisation was asked for: what is the best rate of a
    /// narrow model is then that of a wide one. That it holds over the depths of a ladder too is assumed. It is the standard one at the width of
    /// the middle size.
    fn parametrised(&self, mut base: Config, ladder: &mut [Rung]) -> Config {
        if !self.is_set("parametrization") {
            base.parametrization = ParametrizationKind::Mup;
        }
        if base.parametrization == ParametrizationKind::Mup && !self.is_set("base_width") {
            base.base_width = ladder[ladder.len() / 2].config.width;
        }
        for rung in ladder {
            rung.config.parametrization = base.parametrization;
            rung.config.base_width = base.base_width;
        }
        base
    }

    fn config(&self) -> Result<Config, TrainError> {
        if let Some((key, _)) = self.base.iter().find(|(key, _)| DECIDED.contains(&key.as_str())) {
            return wrong(format!("the ladder decides on `{key}`; take it out"));
        }
        if !(SIZES_MIN as u64..=SIZES_MAX).contains(&self.sizes) {
            return wrong(format!(
                "`sizes` is {}; a law is fitted to {SIZES_MIN} to {SIZES_MAX}",
                self.sizes
            ));
        }
        if self.largest < LARGEST_MIN {
            return wrong(format!(
                "`largest` is {}; the sizes below it go down to a sixteenth, and no model here is so small: ask for {} at least",
                thousands(self.largest),
                thousands(LARGEST_MIN)
            ));
        }
        if !(self.factor.is_finite() && self.factor >= 1.0) {
            return wrong(format!(
                "`factor` is {}; the model that is asked for is as large as the largest size, or larger",
                self.factor
            ));
        }
        let config = presets::read(&Settings::new(self.base.clone()));
        let config = config.map_err(|errors| TrainError::settings(&errors))?;
        Ok(Config { eval_every: 0, ..config })
    }

    /// Models from the smallest to the largest.
    fn ladder(&self, base: &Config, bench: &Bench<'_>) -> Result<Vec<Rung>, TrainError> {
        let part = |below: u64| SPAN.powf(-(below as f64) / (self.sizes - 1) as f64);
        let wanted = (0..self.sizes).rev().map(|below| (self.largest as f64 * part(below)) as u64);
        let rungs = wanted.map(|wanted| ladder::rung(base, &bench.opened.tokens, wanted));
        let mut rungs = rungs.collect::<Result<Vec<_>, _>>()?;
        rungs.sort_by_key(|rung| rung.parameters);
        rungs.dedup_by_key(|rung| rung.parameters);
        if rungs.len() < SIZES_MIN {
            return wrong(format!(
                "the ladder has {} shapes, and a law needs {SIZES_MIN}; ask for larger models, or for more sizes",
                rungs.len()
            ));
        }
        // Fewer steps would be raised to these, and the training would not be of the tokens that were asked for.
        let least = STEPS_MIN * bench.step_tokens;
        let part = if self.is_set("learning_rate") { 1 } else { RATE_PART };
        let shortest = self.tokens(rungs[0].parameters, bench) / part;
        if shortest < least {
            return wrong(format!(
                "the shortest training has {shortest} tokens, fewer than {STEPS_MIN} steps of {}; the smallest size needs {} tokens at least, or smaller steps",
                bench.step_tokens,
                least * part
            ));
        }
        Ok(rungs)
    }

    /// What is going to be trained, for a person who waits for it.
    fn announcement(&self, ladder: &[Rung], larger: &Rung, bench: &Bench<'_>) -> String {
        let [first, last] = [ladder.first(), ladder.last()].map(|rung| rung.expect("a ladder has sizes"));
        let [least, most] = [first, last].map(|rung| self.tokens(rung.parameters, bench));
        let lengths = if least == most { String::new() } else { format!("{} to ", thousands(least)) };
        let mut told = format!(
            "{} sizes of {} to {} parameters train on {lengths}{} tokens each, {} steps",
            ladder.len(),
            thousands(first.parameters),
            thousands(last.parameters),
            thousands(most),
            thousands(most / bench.step_tokens),
        );
        if !self.is_set("learning_rate") {
            let tried = rate::trainings();
            told += &format!(
                ", after {} to {} shorter trainings that find the learning rate",
                tried.start(),
                tried.end()
            );
        }
        told += &match self.check {
            true => "; then the larger model, of ".to_owned(),
            false => "\nthe law is asked for a model of ".to_owned(),
        };
        let asked = self.tokens(larger.parameters, bench);
        told += &format!("{} parameters", thousands(larger.parameters));
        if asked != most {
            told += &format!(" on {} tokens", thousands(asked));
        }
        let longest = if self.check { asked.max(most) } else { most };
        let own = bench.opened.tokens.train;
        if longest > own {
            let passes = longest as f64 / own as f64;
            told += &format!(
                "\nthe dataset has {} training tokens: the longest training reads them {passes:.1} times",
                thousands(own)
            );
        }
        told
    }

    /// Tokens that a size is trained on.
    fn tokens(&self, parameters: u64, bench: &Bench<'_>) -> u64 {
        match (self.tokens_per_parameter, self.tokens) {
            (Some(each), _) => (parameters as f64 * each) as u64,
            (None, 0) => bench.opened.tokens.train,
            (None, all) => all,
        }
    }

    /// Tokens on which a size tries learning rates.
    fn rate_tokens(&self, parameters: u64, bench: &Bench<'_>) -> u64 {
        self.tokens(parameters, bench) / RATE_PART
    }
}

impl Bench<'_> {
    fn plan(&self, rung: &Rung, tokens: u64, learning_rate: f64, prefix: &str) -> Planned {
        let steps = (tokens / self.step_tokens).max(STEPS_MIN);
        // Three digits: the rate is read by people, and names the folder.
        let learning_rate: f64 = format!("{learning_rate:.2e}").parse().unwrap_or(learning_rate);
        let Config { parametrization, base_width, .. } = rung.config;
        // What tells two trainings apart stands in the name, or one would be taken for the other.
        let parametrized = match parametrization {
            ParametrizationKind::Standard => String::new(),
            ParametrizationKind::Mup => format!("-mup-{base_width}"),
        };
        let name = format!(
            "{prefix}{}-parameters-{steps}-steps-rate-{learning_rate}{parametrized}",
            rung.parameters
        );
        let config = Config { steps, learning_rate, learning_rate_min: None, ..rung.config.clone() };
        Planned { name, parameters: rung.parameters, config }
    }

    /// Does trainings, in the order of what is planned.
    ///
    /// # Errors
    /// That of the first that fails.
    fn train(&self, planned: Vec<Planned>) -> Result<Vec<Run>, TrainError> {
        self.attempt(planned).into_iter().collect()
    }

    /// The same, with what came of each.
    fn attempt(&self, planned: Vec<Planned>) -> Vec<Result<Run, TrainError>> {
        let rung = self.rounds.replace(self.rounds.get() + 1);
        self.observer.event(SweepEvent::Rung { rung, trials: planned.len(), steps: 0 });
        let (dataset, out, observer) = (self.dataset, self.out, self.observer);
        let room = Room::beside(at_once(self.jobs, planned.len()));
        let results = side_by_side(self.jobs, &planned, |one| {
            let folder = out.join("runs").join(&one.name);
            let result = train::run_beside(room, dataset, &folder, &one.config, &Named(&one.name, observer));
            let told = result.as_ref().map(|report| (one.config.steps, report.clone()));
            let told = told.map_err(|error| TrainError::Config { message: error.to_string() });
            let report = TrialReport::new((&one.name, rung), &[], folder, told);
            observer.event(SweepEvent::Ended { report: &report });
            result
        });
        planned
            .iter()
            .zip(results)
            .map(|(planned, result)| result.and_then(|report| self.ended(planned, &report)))
            .collect()
    }

    fn ended(&self, planned: &Planned, report: &TrainReport) -> Result<Run, TrainError> {
        let Planned { name, parameters, config } = planned;
        let Some(loss) = report.validation_loss else {
            return wrong(format!("{name}: no held-out token was measured, so there is no loss for a law"));
        };
        let point =
            Point { parameters: *parameters as f64, tokens: (config.steps * self.step_tokens) as f64, loss };
        Ok(Run {
            name: name.clone(),
            point,
            width: config.width,
            layers: config.layers,
            steps: config.steps,
            learning_rate: config.learning_rate,
            bits_per_byte: report.bits_per_byte,
        })
    }
}

impl ScaleReport {
    /// `larger.toml`: what is predicted, what speaks against it, and the settings.
    fn larger(&self) -> String {
        let Prediction { parameters, tokens, loss, interval: [low, high], .. } = self.prediction;
        let (parameters, tokens) = (thousands(parameters as u64), thousands(tokens as u64));
        let doubts: String = self.doubts.iter().map(|doubt| format!("# in doubt: {doubt}\n")).collect();
        format!(
            "# A model of {parameters} parameters without embedding and head, on {tokens} tokens: held-out loss {loss:.3} predicted, {low:.3} to {high:.3} \
             in 9 of 10 draws.\n{doubts}# Trained by `gristmill train DATASET --with` this file.\n{}",
            self.settings
        )
    }

    fn write(&self, out: &Path) -> Result<(), TrainError> {
        folder::replace(&out.join(FILE), &folder::json_bytes(self))?;
        folder::replace(&out.join("scale.svg"), plot::svg(self).as_bytes())?;
        folder::replace(&out.join("larger.toml"), self.larger().as_bytes())?;
        let runs = || self.runs.iter().chain(&self.check);
        let numbers = |of: fn(&Run) -> u64| -> ArrayRef {
            Arc::new(runs().map(|run| of(run).cast_signed()).collect::<Int64Array>())
        };
        let floats =
            |of: fn(&Run) -> Option<f64>| -> ArrayRef { Arc::new(runs().map(of).collect::<Float64Array>()) };
        let table = tables::batch(vec![
            ("run", Arc::new(StringArray::from_iter_values(runs().map(|run| &run.name)))),
            ("parameters", numbers(|run| run.point.parameters as u64)),
            ("tokens", numbers(|run| run.point.tokens as u64)),
            ("width", numbers(|run| run.width)),
            ("layers", numbers(|run| run.layers)),
            ("steps", numbers(|run| run.steps)),
            ("learning_rate", floats(|run| Some(run.learning_rate))),
            ("validation_loss", floats(|run| Some(run.point.loss))),
            ("bits_per_byte", floats(|run| run.bits_per_byte)),
        ])?;
        tables::write(&out.join("runs.parquet"), &table)
    }
}

fn wrong<T>(message: String) -> Result<T, TrainError> {
    Err(TrainError::Config { message })
}

#[cfg(test)]
mod tests;
