//! The part of a block that works on each token alone: two matrices around an activation, or a mixture of such experts.

use super::dropout::Dropout;
use super::experts::{Experts, Routes};
use super::linear::Linear;
use crate::kernel::{Real, add_scaled, simd};
use crate::parts::Activation;
use candle_core::Result;

/// One feed-forward network for all tokens.
#[derive(Debug, Clone)]
pub(crate) struct Dense<T> {
    /// Gate and values side by side where the activation gates.
    pub(crate) up: Linear<T>,
    pub(crate) activation: Activation,
    pub(crate) down: Linear<T>,
}

/// What stands behind the second norm of a block.
#[derive(Debug, Clone)]
pub(crate) enum FeedForward<T> {
    /// One network.
    Dense(Dense<T>),
    /// Networks of which each token takes some.
    Experts(Experts<T>),
}

/// What the backward pass needs; each a matrix of tokens × features.
#[derive(Debug, Default)]
pub(crate) struct Kept<T> {
    pub(crate) up: Vec<T>,
    pub(crate) inner: Vec<T>,
    pub(crate) routes: Routes<T>,
}

/// Gradients inside, used by one block after the other.
#[derive(Debug, Default)]
pub(crate) struct Gradients<T> {
    /// Weight of the mean over tokens of what experts add to the loss.
    pub(crate) auxiliary: f64,
    pub(crate) wide: Vec<T>,
    pub(crate) inner: Vec<T>,
    /// Of what experts give and take, in their order.
    pub(crate) outer: Vec<T>,
    pub(crate) input: Vec<T>,
}

impl<T> Kept<T> {
    /// Bytes of all buffers.
    pub(crate) fn bytes(&self) -> usize {
        bytes_of(&self.up) + bytes_of(&self.inner) + self.routes.bytes()
    }
}

impl<T> Gradients<T> {
    /// Bytes of all buffers.
    pub(crate) fn bytes(&self) -> usize {
        [&self.wide, &self.inner, &self.outer, &self.input].map(bytes_of).iter().sum()
    }
}

/// Bytes of the numbers in a buffer.
#[expect(clippy::ptr_arg, reason = "mapped over lists of buffers")]
pub(crate) fn bytes_of<T>(buffer: &Vec<T>) -> usize {
    size_of_val(&buffer[..])
}

/// A buffer of so many numbers, whatever they are.
pub(crate) fn sized<T: Real>(buffer: &mut Vec<T>, count: usize) -> &mut [T] {
    buffer.resize(count, T::ZERO);
    buffer
}

/// Where the output of a part goes: dropped out, then added to the residual.
#[derive(Clone, Copy)]
pub(crate) struct Onto<'a, T> {
    pub(crate) residual: &'a [T],
    pub(crate) dropout: Dropout,
    pub(crate) site: u64,
}

impl<T: Real> Onto<'_, T> {
    /// Writes the residual plus what `add` adds to a buffer.
    pub(crate) fn write(self, out: &mut [T], add: impl FnOnce(&mut [T]) -> Result<()>) -> Result<()> {
        if self.dropout.probability == 0.0 {
            out.copy_from_slice(self.residual);
            return add(out);
        }
        out.fill(T::ZERO);
        add(out)?;
        self.dropout.apply(self.site, out);
        simd(|| add_scaled(out, self.residual, T::ONE));
        Ok(())
    }
}

impl<T: Real> Dense<T> {
    /// Features inside, behind the activation.
    pub(crate) const fn width(&self) -> usize {
        self.down.width_in()
    }
}

impl<T: Real> FeedForward<T> {
    /// x: tokens × width; writes what the backward pass and [`FeedForward::outside`] read.
    pub(crate) fn inside(&self, tokens: usize, x: &[T], kept: &mut Kept<T>) -> Result<()> {
        match self {
            Self::Dense(dense) => {
                let up = sized(&mut kept.up, tokens * dense.up.width_out());
                dense.up.forward(x, up)?;
                let inner = sized(&mut kept.inner, tokens * dense.width());
                dense.activation.forward(dense.width(), up, inner);
                Ok(())
            }
            Self::Experts(experts) => experts.forward(tokens, x, kept),
        }
    }

    /// Writes the residual plus what the part gives: tokens × width.
    pub(crate) fn outside(&self, kept: &Kept<T>, onto: Onto<'_, T>, out: &mut [T]) -> Result<()> {
        onto.write(out, |out| match self {
            Self::Dense(dense) => dense.down.forward_onto(&kept.inner, out),
            Self::Experts(experts) => {
                experts.combine(kept, out);
                Ok(())
            }
        })
    }

    /// Writes the gradient of `x`, given that of the output; those of parameters go to their slots.
    pub(crate) fn backward(
        &self,
        x: &[T],
        kept: &Kept<T>,
        d_out: &[T],
        gradients: &mut Gradients<T>,
        dx: &mut [T],
    ) -> Result<()> {
        match self {
            Self::Dense(dense) => {
                let d_inner = sized(&mut gradients.inner, kept.inner.len());
                dense.down.backward(&kept.inner, d_out, d_inner)?;
                let d_up = sized(&mut gradients.wide, kept.up.len());
                dense.activation.backward(dense.width(), &kept.up, d_inner, d_up);
                dense.up.backward(x, d_up, dx)
            }
            Self::Experts(experts) => experts.backward(x, kept, d_out, gradients, dx),
        }
    }
}
