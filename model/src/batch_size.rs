//! The largest micro-batch that fits into memory and the fastest one, found by doing steps with each size.
//!
//! Sizes double until the next would not fit or a step takes too long; between the last that fits and the first that does not, halves
//! are tried. No size is tried whose memory, drawn on as a line through those measured, would be above the limit. A step's result does
//! not depend on how it is cut into micro-batches (to rounding; but see [`depends_on_cut`]), so a training takes the fastest size that divides its step.

use crate::architecture::{Source, Tape, Transformer};
use crate::checkpoint::Checkpoints;
use crate::config::{Config, NormKind};
use crate::data::{Dataset, Share, Stream};
use crate::error::TrainError;
use crate::layer::dropout::Dropout;
use crate::memory::{self, Estimate, Room, system};
use crate::optimizer::Optimizer;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// A size whose steps take longer is not doubled.
const STEP_SECONDS_MAX: f64 = 20.0;
/// Largest size that is tried.
const SEQUENCES_MAX: u64 = 65_536;
/// Halving ends at this part of the size.
const NEAR: u64 = 16;

/// What a size came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Size {
    /// Sequences of a micro-batch.
    pub sequences: u64,
    /// Bytes that the estimate said.
    pub estimated_bytes: u64,
    /// Most bytes in memory during a step, and what writing a checkpoint takes beside them.
    pub needed_bytes: u64,
    /// Tokens a second of a step of one micro-batch.
    pub tokens_per_s: f64,
}

/// All sizes that were tried, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Bytes that the training may use.
    pub limit_bytes: u64,
    /// In the order in which they were tried.
    pub sizes: Vec<Size>,
    /// The largest that fits.
    pub largest: u64,
    /// Whether it is memory that ends there: otherwise a step took too long to try more.
    pub is_memory_bound: bool,
    /// The one with the most tokens a second.
    pub fastest: u64,
    /// Micro-batch and `accumulate` for a step of as many sequences as the settings say.
    pub batch_sequences: u64,
    /// Micro-batches of such a step.
    pub accumulate: u64,
}

/// Micro-batch and `accumulate` of the training that began in a folder, as its newest checkpoint has them.
pub fn begun(out: &Path) -> Option<(u64, u64)> {
    let settings = Checkpoints::settings(out)?;
    let number = |key: &str| settings.get(key)?.parse().ok();
    Some((number("batch_sequences")?, number("accumulate")?))
}

/// Parts of the settings that go by the micro-batch, so that another one makes another training; `None` where there are none.
pub fn depends_on_cut(config: &Config) -> Option<String> {
    let parts = [
        (config.experts.is_some(), "the balance of experts"),
        (config.norm == Some(NormKind::Batch), "the statistics of batch norm"),
        (config.dropout > 0.0, "the draws of dropout"),
    ];
    let found: Vec<&str> = parts.into_iter().filter_map(|(is, part)| is.then_some(part)).collect();
    (!found.is_empty()).then(|| found.join(" and "))
}

/// Measures steps of every size, and tells each.
///
/// # Errors
/// Not even one sequence fits, the system does not tell its memory, or what [`run`](crate::train::run) fails with before its first step.
pub fn find(dataset: &Path, config: &Config, told: impl FnMut(&Size)) -> Result<Found, TrainError> {
    find_up_to(SEQUENCES_MAX, dataset, config, told)
}

fn find_up_to(
    most: u64,
    dataset: &Path,
    config: &Config,
    mut told: impl FnMut(&Size),
) -> Result<Found, TrainError> {
    let dataset = Dataset::open(dataset)?;
    let unknown = || TrainError::Config {
        message: "this system does not tell how much memory there is; set `memory_mib`".into(),
    };
    let limit_bytes = memory::limit(config).ok_or_else(unknown)?;
    let one = Config { batch_sequences: 1, ..config.clone() };
    memory::check(&dataset, &one, Room::Whole)?;
    let estimate = memory::estimate(&dataset, &one, limit_bytes)?;
    let mut trial = Trial::new(&dataset, config, &estimate)?;
    let mut search = Search { limit: limit_bytes, sizes: Vec::new() };
    let is_memory_bound = search.run(
        most,
        |n| estimate.of(n),
        |sequences| {
            let (size, seconds) = trial.measure(sequences)?;
            told(&size);
            Ok((size, seconds))
        },
    )?;
    let (largest, fastest) = (search.largest(), search.fastest());
    if largest == 0 {
        return Err(memory::refusal(&dataset, &one, Room::Whole, limit_bytes, estimate.clone()));
    }
    let step = config.batch_sequences * config.accumulate;
    let batch_sequences = (1..=fastest.min(step)).rev().find(|n| step.is_multiple_of(*n)).unwrap_or(1);
    let accumulate = step / batch_sequences;
    let sizes = search.sizes;
    Ok(Found { limit_bytes, sizes, largest, is_memory_bound, fastest, batch_sequences, accumulate })
}

/// Sizes that were measured under a limit.
struct Search {
    limit: u64,
    sizes: Vec<Size>,
}

impl Search {
    /// Doubles and halves sizes up to `most`; whether it is memory that ends them. `measure` also gives the seconds of a step.
    fn run(
        &mut self,
        most: u64,
        estimate: impl Fn(u64) -> u64,
        mut measure: impl FnMut(u64) -> Result<(Size, f64), TrainError>,
    ) -> Result<bool, TrainError> {
        let mut try_size = |this: &mut Self, sequences: u64| {
            if this.predicted(sequences, &estimate) > this.limit {
                return Ok((false, 0.0));
            }
            let (size, seconds) = measure(sequences)?;
            let fits = size.needed_bytes <= this.limit;
            this.sizes.push(size);
            Ok::<_, TrainError>((fits, seconds))
        };
        let mut next = 1;
        let mut above = loop {
            let (fits, seconds) = try_size(self, next)?;
            if !fits {
                break next;
            }
            if seconds > STEP_SECONDS_MAX || next * 2 > most {
                return Ok(false);
            }
            next *= 2;
        };
        let mut below = above / 2;
        while below > 0 && above - below > (below / NEAR).max(1) {
            let middle = below.midpoint(above);
            if try_size(self, middle)?.0 { below = middle } else { above = middle }
        }
        Ok(true)
    }

    /// Bytes that a size will need: by the line through the two largest sizes measured, or as estimated.
    fn predicted(&self, sequences: u64, estimate: impl Fn(u64) -> u64) -> u64 {
        let mut measured: Vec<&Size> = self.sizes.iter().collect();
        measured.sort_unstable_by_key(|size| size.sequences);
        let [.., a, b] = measured[..] else { return estimate(sequences) };
        let rise = b.needed_bytes.saturating_sub(a.needed_bytes) as f64 / (b.sequences - a.sequences) as f64;
        (b.needed_bytes as f64 + rise * (sequences as f64 - b.sequences as f64)) as u64
    }

    fn fitting(&self) -> impl Iterator<Item = &Size> {
        self.sizes.iter().filter(|size| size.needed_bytes <= self.limit)
    }

    fn largest(&self) -> u64 {
        self.fitting().map(|size| size.sequences).max().unwrap_or(0)
    }

    fn fastest(&self) -> u64 {
        let fastest = self.fitting().max_by(|a, b| a.tokens_per_s.total_cmp(&b.tokens_per_s));
        fastest.map_or(0, |size| size.sequences)
    }
}

/// A model that does steps of any size and learns nothing.
struct Trial<'a> {
    config: &'a Config,
    estimate: &'a Estimate,
    model: Transformer<f32>,
    optimizer: Optimizer,
    stream: Stream<'a>,
}

impl<'a> Trial<'a> {
    fn new(dataset: &'a Dataset, config: &'a Config, estimate: &'a Estimate) -> Result<Self, TrainError> {
        let model = Transformer::of(config, dataset, Source::drawn(config.seed))?;
        let optimizer = Optimizer::of(&model, config);
        let stream = dataset.stream(dataset.begin(config.seed), Share::ALL)?;
        Ok(Self { config, estimate, model, optimizer, stream })
    }

    /// Does two steps, of which the second is timed; the size with the seconds that it took.
    fn measure(&mut self, sequences: u64) -> Result<(Size, f64), TrainError> {
        *self.model.tape() = Tape::default();
        let is_fresh = system::forget_peak();
        let (mut seconds, mut tokens) = (0.0, 0);
        for _ in 0..2 {
            let samples = self.stream.samples(sequences)?;
            let begun = Instant::now();
            let batch = self.model.shape.program.batch(&samples);
            let dropout = Dropout { probability: self.config.dropout, seed: 0 };
            self.model.gradients(&batch, 1.0 / batch.targets_count().max(1) as f64, dropout)?;
            // Without a rate nothing is learned, and the work is the same.
            self.optimizer.step(0, 0.0, self.optimizer.gradient_norm())?;
            (seconds, tokens) = (begun.elapsed().as_secs_f64(), batch.ids.len());
        }
        // A peak that cannot be forgotten is that of a larger size; what is in memory after the step is nearly its own.
        let peak = if is_fresh { system::peak_bytes() } else { system::resident_bytes() };
        let estimated_bytes = self.estimate.of(sequences);
        // Beside a step the training writes checkpoints.
        let needed_bytes = peak.map_or(estimated_bytes, |peak| peak + self.estimate.checkpoint_bytes());
        let tokens_per_s = tokens as f64 / seconds;
        Ok((Size { sequences, estimated_bytes, needed_bytes, tokens_per_s }, seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Architecture;
    use crate::testing::{Folder, dataset};
    use crate::tests::small;

    /// A machine whose steps need 100 bytes and 7 more a sequence, where the estimate says 6.
    fn searched(limit: u64, most: u64, seconds: f64) -> (bool, u64, Vec<u64>) {
        let mut search = Search { limit, sizes: Vec::new() };
        let bound = search.run(
            most,
            |n| 100 + 6 * n,
            |sequences| {
                let (estimated_bytes, needed_bytes) = (100 + 6 * sequences, 100 + 7 * sequences);
                let size = Size { sequences, estimated_bytes, needed_bytes, tokens_per_s: 1.0 };
                Ok((size, seconds * sequences as f64))
            },
        );
        let tried = search.sizes.iter().map(|size| size.sequences).collect();
        (bound.unwrap(), search.largest(), tried)
    }

    #[test]
    fn sizes_double_to_the_limit_and_are_halved_below_it() {
        assert_eq!(searched(800, 1 << 16, 0.0), (true, 100, vec![1, 2, 4, 8, 16, 32, 64, 96, 100]));
        assert_eq!(searched(121, 1 << 16, 0.0), (true, 3, vec![1, 2, 3]));
        assert_eq!(searched(106, 1 << 16, 0.0), (true, 0, vec![1]));
        assert_eq!(searched(10_000, 16, 0.0), (false, 16, vec![1, 2, 4, 8, 16]));
        // The fourth takes more than a step may.
        assert_eq!(searched(10_000, 1 << 16, STEP_SECONDS_MAX / 5.0), (false, 8, vec![1, 2, 4, 8]));
    }

    #[test]
    fn a_step_keeps_its_sequences() {
        let folder = Folder::new("batch-size");
        dataset(&folder.0);
        let (batch_sequences, accumulate) = (6, 2);
        let config =
            Config { batch_sequences, accumulate, memory_mib: 1 << 20, ..small(Architecture::Llama) };
        let mut told = 0;
        let found = find_up_to(8, &folder.0, &config, |_| told += 1).unwrap();
        assert_eq!(told, 4);
        assert_eq!(found.batch_sequences * found.accumulate, 12);
        assert!(found.batch_sequences <= found.fastest && found.largest == 8 && !found.is_memory_bound);
    }
}
