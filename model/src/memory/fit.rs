//! What to lower where a training does not fit into memory, with the numbers that would.

use super::{Estimate, Room, estimate, fixed};
use crate::config::Config;
use crate::data::Dataset;
use std::fmt;

/// Sizes that are tried with their activations, each three quarters of the one before: such a try is a pass over the model.
const TRIES: usize = 3;

/// What would fit; 0 for what would not, or was not looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fit {
    /// Sequences of a micro-batch, with all else as it is.
    pub sequences: u64,
    /// Sequences of a micro-batch with `recompute = 1`, where these are more.
    pub recomputed: u64,
    /// Blocks, one sequence at a time, where not even one fits otherwise.
    pub layers: u64,
    /// Width, in the same way.
    pub width: u64,
    /// What the settings have: sequences of a micro-batch, blocks, width.
    pub asked: [u64; 3],
}

impl Fit {
    /// Looks for what would fit into so many bytes.
    pub(crate) fn of(dataset: &Dataset, config: &Config, room: Room, limit: u64, needed: &Estimate) -> Self {
        let fitting = |config: &Config| {
            let found = estimate(dataset, config, limit).map(|found| room.held(found));
            found.map_or(0, |found| found.fitting(limit))
        };
        let sequences = needed.fitting(limit);
        let recomputed = match config.recompute {
            0 => fitting(&Config { recompute: 1, ..config.clone() }),
            _ => 0,
        };
        let recomputed = if recomputed > sequences { recomputed } else { 0 };
        let mut fit = Self {
            sequences,
            recomputed,
            layers: 0,
            width: 0,
            asked: [config.batch_sequences, config.layers, config.width],
        };
        if sequences > 0 || recomputed > 0 {
            return fit;
        }
        let one = Config { batch_sequences: 1, ..config.clone() };
        let alone = |config: &Config| {
            fixed(dataset, config, limit).is_ok_and(|(found, _)| room.held(found).of(0) <= limit)
        };
        let largest = |most: u64, unit: u64, with: &dyn Fn(u64) -> Config| {
            let (mut below, mut above) = (0, most.div_ceil(unit));
            while above - below > 1 {
                let middle = below.midpoint(above);
                if alone(&with(middle * unit)) { below = middle } else { above = middle }
            }
            let tries = std::iter::successors(Some(below), |units| Some(units * 3 / 4)).take(TRIES);
            let fits = tries.map(|units| units * unit).find(|&size| size > 0 && fitting(&with(size)) > 0);
            fits.unwrap_or(0)
        };
        fit.layers = largest(config.layers, 1, &|layers| Config { layers, ..one.clone() });
        // An even width of a head suits every kind of positions.
        fit.width = largest(config.width, 2 * config.heads, &|width| Config { width, ..one.clone() });
        fit
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequences, recomputed, layers, width, asked: [asked, all_layers, all_width] } = *self;
        let step = |fits: u64| match asked.div_ceil(fits) {
            1 => String::new(),
            times => format!(" with {times} times `accumulate` for a step as large"),
        };
        let mut ways = Vec::new();
        if sequences > 0 {
            ways.push(format!("`batch_sequences` = {sequences}{}", step(sequences)));
        }
        if recomputed >= asked {
            ways.push("`recompute` = 1".to_owned());
        } else if recomputed > 0 {
            ways.push(format!("`recompute` = 1 and `batch_sequences` = {recomputed}{}", step(recomputed)));
        }
        if ways.is_empty() {
            f.write_str("no micro-batch fits; ")?;
            if layers > 0 {
                ways.push(format!("`layers` = {layers} in place of {all_layers}"));
            }
            if width > 0 {
                ways.push(format!("`width` = {width} in place of {all_width}"));
            }
        }
        match ways.is_empty() {
            true => f.write_str("a model smaller in both `layers` and `width` may"),
            false => write!(f, "what fits: {}", ways.join(", or ")),
        }
    }
}
