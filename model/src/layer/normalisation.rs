//! The norm that a model's shape asks for: of each token alone, or of each feature over a micro-batch.

use crate::kernel::Real;
use crate::layer::batch_norm::BatchNorm;
use crate::layer::norm::Norm;
use crate::parameter::Shared;
use candle_core::Result;

/// Whether a pass trains or measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Batch norm takes the statistics of the micro-batch.
    Train,
    /// Batch norm takes the running statistics, so that no token sees another through it.
    Evaluate,
}

/// A norm with gain, and bias where the kind has one.
#[derive(Debug, Clone)]
pub(crate) enum Normalisation<T> {
    /// LayerNorm or RMSNorm.
    Row(Norm<T>),
    /// Batch norm.
    Batch(BatchNorm<T>),
}

impl<T: Real> Normalisation<T> {
    /// Gain, and bias where there is one.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Shared<T>> {
        let (gain, bias) = match self {
            Self::Row(norm) => (&norm.gain, norm.bias.as_ref()),
            Self::Batch(norm) => (&norm.gain, Some(&norm.bias)),
        };
        std::iter::once(gain).chain(bias)
    }

    /// x: tokens × width → y: tokens × width.
    pub(crate) fn forward(&self, x: &[T], y: &mut [T], mode: Mode) -> Result<()> {
        match self {
            Self::Row(norm) => norm.forward(x, y),
            Self::Batch(norm) => norm.forward(x, y, mode),
        }
    }

    /// Adds dX to `dx`, which holds the gradient of the residual; those of gain and bias go to their slots.
    ///
    /// Runs once for each micro-batch, which is when running statistics move.
    pub(crate) fn backward(&self, x: &[T], dy: &[T], dx: &mut [T]) -> Result<()> {
        match self {
            Self::Row(norm) => norm.backward(x, dy, dx),
            Self::Batch(norm) => norm.backward(x, dy, dx),
        }
    }
}
