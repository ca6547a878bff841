//! What stands between the last block and the vocabulary: the last norm, and the transform of a BERT's head.

use super::tape::Between;
use super::{Transform, Transformer};
use crate::kernel::Real;
use crate::layer::feed_forward::{bytes_of, sized};
use crate::layer::normalisation::Mode;
use candle_core::Result;

/// What the backward pass needs; each a matrix of tokens × width.
#[derive(Debug, Default)]
pub(super) struct Last<T> {
    /// Output of the last norm.
    normed: Vec<T>,
    /// Of the head's transform: its product, and what its norm was given.
    product: Vec<T>,
    active: Vec<T>,
    /// What the product over the vocabulary is given.
    pub(super) hidden: Vec<T>,
}

impl<T> Last<T> {
    /// Bytes of all buffers.
    pub(super) fn bytes(&self) -> usize {
        let Self { normed, product, active, hidden } = self;
        [normed, product, active, hidden].map(bytes_of).iter().sum()
    }
}

impl<T: Real> Last<T> {
    /// Writes what the product over the vocabulary is given, from the residual behind the last block.
    pub(super) fn forward(&mut self, model: &Transformer<T>, mode: Mode, x: &[T]) -> Result<()> {
        let Self { normed, product, active, hidden } = self;
        let given = if model.transform.is_some() { normed } else { &mut *hidden };
        let given = sized(given, x.len());
        match &model.norm {
            Some(norm) => norm.forward(x, given, mode)?,
            None => given.copy_from_slice(x),
        }
        let Some(Transform { dense, activation, norm }) = &model.transform else { return Ok(()) };
        let (product, active) = (sized(product, x.len()), sized(active, x.len()));
        dense.forward(given, product)?;
        activation.forward(model.shape.width, product, active);
        norm.forward(active, sized(hidden, x.len()), mode)
    }

    /// Writes the gradient of the residual behind the last block.
    pub(super) fn backward(
        &self,
        model: &Transformer<T>,
        x: &[T],
        d_hidden: &mut [T],
        between: &mut Between<T>,
    ) -> Result<()> {
        if let Some(Transform { dense, activation, norm }) = &model.transform {
            let d_active = sized(&mut between.branch, x.len());
            d_active.fill(T::ZERO);
            norm.backward(&self.active, d_hidden, d_active)?;
            let d_product = sized(&mut between.second, x.len());
            activation.backward(model.shape.width, &self.product, d_active, d_product);
            dense.backward(&self.normed, d_product, d_hidden)?;
        }
        let residual = sized(&mut between.residual, x.len());
        match &model.norm {
            Some(norm) => {
                residual.fill(T::ZERO);
                norm.backward(x, d_hidden, residual)
            }
            None => {
                residual.copy_from_slice(d_hidden);
                Ok(())
            }
        }
    }
}
