//! What a training needs of memory, before its first step, and what this process may have.
//!
//! Tensors and optimizer are counted on a blank model, whose zeros the system does not lay out. Activations are counted on it too: two
//! passes over a few tokens tell how much a token adds, whatever parts the model has. Logits and attention have bounds of their own.

mod fit;
pub(crate) mod system;

pub use fit::Fit;

use crate::architecture::{Source, Transformer};
use crate::batch::Batch;
use crate::config::Config;
use crate::data::{Dataset, Share};
use crate::error::TrainError;
use crate::layer::attention::scratch_numbers;
use crate::layer::dropout::Dropout;
use crate::objective::cross_entropy::chunk_bytes;
use crate::optimizer::Optimizer;
use std::fmt;

/// Tokens of the passes over a blank model.
const PROBES: [usize; 2] = [16, 48];
/// What is in memory before the training.
const PROGRAM: &str = "program and dataset";
/// What stands beside a step for a moment alone.
const CHECKPOINT: &str = "writing a checkpoint";
const NUMBER: u64 = size_of::<f32>() as u64;

/// Bytes that a training needs, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// What stays the same for any micro-batch.
    pub fixed: Vec<(&'static str, u64)>,
    /// Sequences of a micro-batch.
    pub sequences: u64,
    /// Activations of one sequence and their gradients.
    pub sequence_bytes: u64,
}

impl Estimate {
    /// What is needed for so many sequences at once.
    pub fn of(&self, sequences: u64) -> u64 {
        self.fixed.iter().map(|(_, bytes)| bytes).sum::<u64>() + sequences * self.sequence_bytes
    }

    /// What writing a checkpoint takes beside a step.
    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        self.fixed.iter().find(|(what, _)| *what == CHECKPOINT).map_or(0, |(_, bytes)| *bytes)
    }

    /// The most sequences whose activations fit; 0 where not even one does.
    pub fn fitting(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.of(0)) / self.sequence_bytes.max(1)
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        for (what, bytes) in &self.fixed {
            write!(f, "{what} {}, ", mib(*bytes))?;
        }
        let (sequences, one) = (self.sequences, self.sequence_bytes as f64 / f64::from(1 << 20));
        write!(f, "activations {} ({sequences} sequences of {one:.1})", mib(sequences * self.sequence_bytes))
    }
}

/// What a training may take of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// All of it, beside what the process holds.
    Whole,
    /// So many bytes, beside others that train in the same process and count for themselves; `None` where the system does not tell.
    Part(Option<u64>),
}

impl Room {
    /// The part of each of so many trainings, of what the process does not hold yet.
    pub(crate) fn beside(jobs: usize) -> Self {
        if jobs <= 1 {
            return Self::Whole;
        }
        let held = system::resident_bytes().unwrap_or(0);
        Self::Part(system::limit_bytes().map(|all| all.saturating_sub(held) / jobs as u64))
    }

    /// What counts against the room: what is in memory by now is that of the others too, where there are others.
    fn held(self, mut estimate: Estimate) -> Estimate {
        if let Self::Part(_) = self {
            estimate.fixed.retain(|(what, _)| *what != PROGRAM);
        }
        estimate
    }

    /// Bytes that a training may use: what the settings say, or else its part of what the system does, where it does.
    fn limit(self, config: &Config) -> Option<u64> {
        match self {
            _ if config.memory_mib > 0 => Some(config.memory_mib << 20),
            Self::Whole => system::limit_bytes(),
            Self::Part(bytes) => bytes,
        }
    }
}

/// Bytes that a training may use alone.
pub(crate) fn limit(config: &Config) -> Option<u64> {
    Room::Whole.limit(config)
}

/// Refuses a training that does not fit.
///
/// # Errors
/// `Memory` with the estimate and what would fit.
pub(crate) fn check(dataset: &Dataset, config: &Config, room: Room) -> Result<(), TrainError> {
    let Some(limit) = room.limit(config) else { return Ok(()) };
    let estimate = room.held(estimate(dataset, config, limit)?);
    if estimate.of(estimate.sequences) <= limit {
        return Ok(());
    }
    Err(refusal(dataset, config, room, limit, estimate))
}

/// The error of a training that does not fit, with what would.
pub(crate) fn refusal(
    dataset: &Dataset,
    config: &Config,
    room: Room,
    limit: u64,
    estimate: Estimate,
) -> TrainError {
    let fit = Fit::of(dataset, config, room, limit, &estimate);
    TrainError::Memory { estimate, limit_mib: limit >> 20, fit }
}

/// What a training needs. Where the tensors alone are above the limit, activations are left out.
///
/// # Errors
/// Settings that do not fit together, or one tensor above the limit.
pub(crate) fn estimate(dataset: &Dataset, config: &Config, limit: u64) -> Result<Estimate, TrainError> {
    let (mut estimate, model) = fixed(dataset, config, limit)?;
    let resident = estimate.fixed.iter().find(|(what, _)| *what == PROGRAM).map_or(0, |(_, bytes)| *bytes);
    if estimate.of(0) - resident <= limit {
        let token_bytes = token_bytes(&model, config.dropout)?;
        estimate.sequence_bytes = (token_bytes * estimate.sequence_bytes as f64) as u64;
    } else {
        estimate.sequence_bytes = 0;
    }
    Ok(estimate)
}

/// What stays the same for any micro-batch, with tokens of a sequence in place of its bytes, and the blank model.
fn fixed(dataset: &Dataset, config: &Config, limit: u64) -> Result<(Estimate, Transformer<f32>), TrainError> {
    let resident = system::resident_bytes().unwrap_or(0);
    let model = Transformer::of(config, dataset, Source::blank(limit))?;
    let parameters = NUMBER * model.parameter_count() as u64;
    let (state, working) = Optimizer::of(&model, config).numbers();
    let (state, working) = (NUMBER * state as u64, NUMBER * working as u64);
    let largest = model.parameters.iter().map(|p| p.value().elem_count()).max().unwrap_or(0);
    // Some objectives lay more tokens into a row than it has.
    let sample = dataset.stream(dataset.begin(config.seed), Share::ALL)?.samples(1)?;
    let row_tokens = model.shape.program.batch(&sample).ids.len();
    let tokens = usize::try_from(config.batch_sequences).unwrap_or(usize::MAX).saturating_mul(row_tokens);
    let (width, vocab) = (model.shape.width, model.shape.vocab);
    let work = scratch_numbers(model.shape.context, model.shape.heads.width) * rayon::current_num_threads();
    let fixed = vec![
        (PROGRAM, resident),
        ("parameters", parameters),
        ("gradients", parameters),
        ("optimizer", state + working),
        ("logits", chunk_bytes(width, vocab, tokens)),
        ("attention", NUMBER * work as u64),
        // A checkpoint is written from a copy, tensor by tensor.
        (CHECKPOINT, parameters + state + NUMBER * largest as u64),
    ];
    Ok((Estimate { fixed, sequences: config.batch_sequences, sequence_bytes: row_tokens as u64 }, model))
}

/// Bytes that one more token takes between the passes.
fn token_bytes(model: &Transformer<f32>, probability: f64) -> Result<f64, TrainError> {
    let mut found = [0; 2];
    for (tokens, found) in PROBES.into_iter().zip(&mut found) {
        let tokens = tokens.min(model.shape.context);
        let batch = Batch::piece(&vec![0; tokens], 0);
        // Twice, as buffers that change places have their size from the second pass on.
        for _ in 0..2 {
            model.gradients(&batch, 1.0, Dropout { probability, seed: 0 })?;
        }
        *found = model.tape().bytes();
    }
    let [few, many] = found;
    let [fewer, more] = PROBES.map(|tokens| tokens.min(model.shape.context));
    let one =
        if more > fewer { (many - few) as f64 / (more - fewer) as f64 } else { many as f64 / more as f64 };
    Ok(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Architecture, OptimizerKind};
    use crate::testing::{Folder, LENGTH, dataset, rows};
    use crate::tests::{compositions, small};

    /// The estimate of activations is what a pass over real rows leaves.
    fn check_activations(dataset: &Dataset, config: &Config) {
        let found = estimate(dataset, config, 1 << 32).unwrap();
        let mut model: Transformer<f32> =
            Transformer::new(config.shape(&dataset.tokens).unwrap(), Source::drawn(1)).unwrap();
        model.recompute = config.recompute as usize;
        let rows = rows(5, LENGTH as u32, 23, 1);
        let dropout = Dropout { probability: config.dropout, seed: 1 };
        for _ in 0..2 {
            model.gradients(&Batch::new(&rows, 0), 1.0, dropout).unwrap();
        }
        let held = model.tape().bytes() as u64;
        // Experts hold a few numbers that are not of tokens.
        let near = held.abs_diff(5 * found.sequence_bytes) <= held / 100;
        assert!(near, "{held} {} {config:?}", 5 * found.sequence_bytes);
        let of = |name: &str| found.fixed.iter().find(|(what, _)| *what == name).unwrap().1;
        assert_eq!(of("parameters"), NUMBER * model.parameter_count() as u64);
        let moments = if config.optimizer == OptimizerKind::AdamW { 2 * of("parameters") } else { 0 };
        assert!(of("optimizer") >= moments.max(of("parameters")));
    }

    #[test]
    fn activations_are_counted_for_every_part() {
        let folder = Folder::new("estimate");
        dataset(&folder.0);
        let dataset = Dataset::open(&folder.0).unwrap();
        for (_, config) in compositions() {
            check_activations(&dataset, &config);
        }
        let config = small(Architecture::Llama);
        check_activations(&dataset, &Config { dropout: 0.1, recompute: 1, layers: 5, ..config.clone() });
        check_activations(&dataset, &Config { recompute: 2, layers: 5, ..config.clone() });
        check_activations(&dataset, &Config { optimizer: OptimizerKind::Muon, ..config });
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let folder = Folder::new("memory");
        dataset(&folder.0);
        let dataset = Dataset::open(&folder.0).unwrap();
        let config = Config { batch_sequences: 65_536, memory_mib: 1500, ..small(Architecture::Llama) };
        let estimate = estimate(&dataset, &config, 1500 << 20).unwrap();
        let message = check(&dataset, &config, Room::Whole).unwrap_err().to_string();
        let fits = estimate.fitting(1500 << 20);
        assert!(estimate.of(fits) <= 1500 << 20 && estimate.of(fits + 1) > 1500 << 20);
        // The size of the program is measured anew each time.
        let lines: Vec<&str> = message.lines().collect();
        let needed = estimate.of(65_536).div_ceil(1 << 20);
        let told: u64 = lines[0].split(' ').nth(3).unwrap().parse().unwrap();
        assert!(told.abs_diff(needed) < 50 && lines[0].ends_with(" MiB and may use 1500 MiB"), "{message}");
        assert!(lines[1].contains("what fits: `batch_sequences` = ") && lines[1].contains("`recompute` = 1"));
        assert!(lines[2].contains("activations") && lines.len() == 3, "{message}");
        check(&dataset, &Config { batch_sequences: fits / 2, ..config.clone() }, Room::Whole).unwrap();
        // Beside others, the program does not count.
        let wide = Config { width: 128, layers: 100, memory_mib: 24, ..config.clone() };
        let error = check(&dataset, &wide, Room::Part(None)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("no micro-batch fits; what fits: `layers` = "), "{message}");
        let TrainError::Memory { fit, .. } = error else { panic!("{message}") };
        assert!(fit.layers < 100 && fit.width < 128 && fit.width > 0, "{fit:?}");
        for fitting in [Config { layers: fit.layers, ..wide.clone() }, Config { width: fit.width, ..wide }] {
            check(&dataset, &Config { batch_sequences: 1, ..fitting }, Room::Part(None)).unwrap();
        }
        let few = Config { batch_sequences: 8, memory_mib: 0, ..config };
        check(&dataset, &few, Room::Whole).unwrap();
        // Side by side, each has its part alone, in which the program does not count again.
        let needed = super::estimate(&dataset, &few, 1 << 40).unwrap();
        let needed = needed.of(8) - needed.fixed[0].1;
        check(&dataset, &few, Room::Part(Some(needed))).unwrap();
        assert!(check(&dataset, &few, Room::Part(Some(needed - 1))).is_err());
        let Room::Part(Some(quarter)) = Room::beside(4) else { panic!("the system tells its memory") };
        assert!(quarter <= system::limit_bytes().unwrap() / 4);
    }
}
