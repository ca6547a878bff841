//! Token ids → rows of the embedding matrix, plus rows of learned positions where the architecture has them.

use crate::batch::Batch;
use crate::kernel::{Real, add_scaled, simd};
use crate::layer::made;
use crate::parameter::Shared;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use std::sync::Arc;

/// Where a forward pass begins.
#[derive(Debug, Clone)]
pub(crate) struct Embedding<T> {
    /// vocab × width.
    pub(crate) tokens: Shared<T>,
    /// positions × width.
    pub(crate) positions: Option<Shared<T>>,
}

impl<T: Real> Embedding<T> {
    /// The rows of a batch: tokens × width. `root` is a variable when gradients are wanted: the tape reaches no
    /// further down than to it.
    pub(crate) fn forward(&self, batch: &Arc<Batch>, root: &Tensor) -> Result<Tensor> {
        root.apply_op1(Operation { embedding: self.clone(), batch: Arc::clone(batch) })
    }

    fn rows(&self, batch: &Batch) -> Result<Vec<T>> {
        let (vocab, width) = self.tokens.value().dims2()?;
        if let Some(id) = batch.ids.iter().find(|id| **id as usize >= vocab) {
            bail!("token {id} is not below the vocabulary's size {vocab}");
        }
        let mut x = vec![T::ZERO; batch.ids.len() * width];
        self.tokens.read(|table| {
            for (x, &id) in x.chunks_mut(width).zip(&batch.ids) {
                x.copy_from_slice(&table[id as usize * width..][..width]);
            }
        })?;
        if let Some(positions) = &self.positions {
            positions.read(|table| {
                for (at, x) in x.chunks_mut(width).enumerate() {
                    add_scaled(x, &table[batch.position(at) * width..][..width], T::ONE);
                }
            })?;
        }
        Ok(x)
    }
}

struct Operation<T> {
    embedding: Embedding<T>,
    batch: Arc<Batch>,
}

impl<T: Real> CustomOp1 for Operation<T> {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, _root: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = self.embedding.rows(&self.batch)?;
        let rows = self.batch.ids.len();
        let width = x.len() / rows;
        Ok(made(x, rows, width))
    }

    fn bwd(&self, _root: &Tensor, _x: &Tensor, dx: &Tensor) -> Result<Option<Tensor>> {
        let dx = dx.contiguous()?;
        let (storage, layout) = dx.storage_and_layout();
        let dx = crate::parameter::slice::<T>(&storage, layout)?;
        let width = dx.len() / self.batch.ids.len();
        let scatter = |parameter: &Shared<T>, row_of: &dyn Fn(usize) -> usize| {
            parameter.accumulate(|total, keep| {
                if !keep {
                    total.fill(T::ZERO);
                }
                simd(|| {
                    for (at, dx) in dx.chunks(width).enumerate() {
                        add_scaled(&mut total[row_of(at) * width..][..width], dx, T::ONE);
                    }
                });
            });
        };
        scatter(&self.embedding.tokens, &|at| self.batch.ids[at] as usize);
        if let Some(positions) = &self.embedding.positions {
            scatter(positions, &|at| self.batch.position(at));
        }
        Ok(None)
    }
}
