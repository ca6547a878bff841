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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Row;
    use crate::numeric::{check, parameter};
    use candle_core::{DType, Device, Var};

    fn gradients(row: Row, width: usize, learned: bool) {
        let tokens = parameter("tokens", &[9, width], 1);
        let positions = learned.then(|| parameter("positions", &[row.ids.len(), width], 2));
        let what = format!("{:?} × {width}, positions {learned}", row.ids);
        let batch = Arc::new(Batch::new(&[row.clone(), row], 0));
        let embedding = Embedding { tokens, positions };
        let root = Var::zeros(1, DType::F64, &Device::Cpu).unwrap();
        let parameters: Vec<_> =
            std::iter::once(&embedding.tokens).chain(embedding.positions.as_ref()).collect();
        check(&what, &[], &parameters, |_| embedding.forward(&batch, root.as_tensor()));
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        for learned in [false, true] {
            let row = Row { ids: vec![3], piece_lengths: vec![1], begins: vec![true], padding: 0 };
            gradients(row, 1, learned);
            // A token twice, tokens never seen, two pieces with positions of their own, padding.
            let row = Row {
                ids: vec![1, 4, 4, 8, 1, 2],
                piece_lengths: vec![2, 3],
                begins: vec![true, false],
                padding: 1,
            };
            gradients(row, 5, learned);
        }
    }

    #[test]
    fn a_token_beyond_the_vocabulary_is_refused() {
        let embedding = Embedding { tokens: parameter::<f64>("tokens", &[9, 2], 1), positions: None };
        let root = Var::zeros(1, DType::F64, &Device::Cpu).unwrap();
        let error = embedding.forward(&Arc::new(Batch::piece(&[3, 9], 0)), root.as_tensor()).unwrap_err();
        assert!(error.to_string().contains("token 9 is not below the vocabulary's size 9"), "{error}");
    }
}
