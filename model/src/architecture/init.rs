//! How fresh tensors are drawn: one place that knows the role of each matrix, so that a scheme is a table.

use super::shape::Shape;
use crate::parts::InitScheme;

/// How a tensor begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Init {
    /// A normal distribution around 0 with this standard deviation.
    Normal(f64),
    /// The same, cut at two deviations: what falls beyond is drawn again.
    Truncated(f64),
    /// Numbers between two bounds, evenly spread.
    Uniform(f64, f64),
    /// All ones.
    Ones,
    /// All zeros.
    Zeros,
}

/// What a matrix is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Rows that are looked up: tokens, positions, segments.
    Embedding,
    /// A matrix inside a block, from so many features to so many.
    Inside(usize, usize),
    /// A matrix whose output is added to the residual.
    Residual(usize, usize),
    /// The matrix over the vocabulary, where it is not the embedding.
    Head,
}

/// Standard deviation of fresh matrices (GPT-2, BERT and LLaMA's code).
const DEVIATION: f64 = 0.02;
/// Deviation of an embedding that is normed at once.
const SMALL: f64 = 1e-4;

impl Shape {
    /// How a matrix of this role begins.
    pub(crate) fn init_of(&self, role: Role) -> Init {
        // What is added to the residual 2·layers times starts smaller (GPT-2).
        let damped = 1.0 / (2.0 * self.layers as f64).sqrt();
        match (self.init, role) {
            (InitScheme::Gpt2 | InitScheme::Small, Role::Head) => Init::Normal(DEVIATION),
            (InitScheme::Gpt2, Role::Embedding | Role::Inside(..)) => Init::Normal(DEVIATION),
            (InitScheme::Gpt2, Role::Residual(..)) => Init::Normal(DEVIATION * damped),
            (InitScheme::Truncated, _) => Init::Truncated(DEVIATION),
            (InitScheme::Xavier, Role::Embedding | Role::Head) => Init::Normal(DEVIATION),
            (InitScheme::Xavier, Role::Inside(from, to) | Role::Residual(from, to)) => {
                Init::Normal((2.0 / (from + to) as f64).sqrt())
            }
            (InitScheme::Small, Role::Embedding) => Init::Normal(SMALL),
            (InitScheme::Small, Role::Inside(..)) => Init::Normal(small(self.width)),
            (InitScheme::Small, Role::Residual(..)) => Init::Normal(small(self.width) * damped),
        }
    }
}

/// Deviation of a matrix by the width of the model (arXiv 1910.05895).
fn small(width: usize) -> f64 {
    (2.0 / (5 * width) as f64).sqrt()
}
