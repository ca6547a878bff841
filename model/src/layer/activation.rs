//! SwiGLU (arXiv 2002.05202) and GELU in its tanh form (arXiv 1606.08415).
//!
//! ```text
//! SwiGLU:  y = g·σ(g)·u, where a row holds the gate g, then u;  σ the logistic function
//! GELU:    y = x·σ(2z), z = √(2/π)·(x + 0.044715·x³), as ½(1 + tanh z) = σ(2z)
//! ```

use crate::kernel::{Real, TASK_ROWS, simd};
use crate::layer::{made, tensor};
use crate::parameter::{slice, slice_cpu};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Which function stands between the two matrices of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Twice as many features in as out.
    SwiGlu,
    /// As many features out as in.
    Gelu,
}

impl Activation {
    /// tokens × in → tokens × out.
    pub(crate) fn forward<T: Real>(self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1(Operation { activation: self, real: PhantomData::<T> })
    }
}

struct Operation<T> {
    activation: Activation,
    real: PhantomData<T>,
}

/// √(2/π), and the weight of the cube.
const GELU: (f64, f64) = (0.797_884_560_802_865_4, 0.044_715);

#[inline(always)]
fn gelu<T: Real>(x: T) -> T {
    let (scale, cube) = (T::of(2.0 * GELU.0), T::of(GELU.1));
    x * (scale * (x + cube * x * x * x)).sigmoid()
}

#[inline(always)]
fn gelu_slope<T: Real>(x: T) -> T {
    let (scale, cube) = (T::of(2.0 * GELU.0), T::of(GELU.1));
    let sigmoid = (scale * (x + cube * x * x * x)).sigmoid();
    let inner = scale * (T::ONE + T::of(3.0) * cube * x * x);
    sigmoid + x * sigmoid * (T::ONE - sigmoid) * inner
}

#[inline(always)]
fn swiglu_row<T: Real>(x: &[T], y: &mut [T]) {
    let (gate, up) = x.split_at(y.len());
    for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
        *y = gate * gate.sigmoid() * up;
    }
}

#[inline(always)]
fn swiglu_row_backward<T: Real>(x: &[T], dy: &[T], dx: &mut [T]) {
    let (gates, ups) = x.split_at(dy.len());
    let (d_gates, d_ups) = dx.split_at_mut(dy.len());
    for i in 0..dy.len() {
        let (gate, sigmoid) = (gates[i], gates[i].sigmoid());
        d_ups[i] = dy[i] * gate * sigmoid;
        d_gates[i] = dy[i] * ups[i] * sigmoid * (T::ONE + gate * (T::ONE - sigmoid));
    }
}

impl<T: Real> Operation<T> {
    const fn width_out(&self, width_in: usize) -> usize {
        match self.activation {
            Activation::SwiGlu => width_in / 2,
            Activation::Gelu => width_in,
        }
    }
}

impl<T: Real> CustomOp1 for Operation<T> {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width_in) = layout.shape().dims2()?;
        let x = slice_cpu::<T>(x, layout)?;
        let width = self.width_out(width_in);
        let mut y = vec![T::ZERO; rows * width];
        let tasks = x.par_chunks(TASK_ROWS * width_in).zip(y.par_chunks_mut(TASK_ROWS * width));
        match self.activation {
            Activation::SwiGlu => tasks.for_each(|(x, y)| {
                simd(|| x.chunks(width_in).zip(y.chunks_mut(width)).for_each(|(x, y)| swiglu_row(x, y)));
            }),
            Activation::Gelu => tasks.for_each(|(x, y)| {
                simd(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = gelu(x)));
            }),
        }
        Ok(made(y, rows, width))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let width_in = x.dim(1)?;
        let ((x_storage, x_layout), (dy_storage, dy_layout)) =
            (x.storage_and_layout(), dy.storage_and_layout());
        let (xs, dys) = (slice::<T>(&x_storage, x_layout)?, slice::<T>(&dy_storage, dy_layout)?);
        let width = self.width_out(width_in);
        let mut dx = vec![T::ZERO; xs.len()];
        let tasks = xs.par_chunks(TASK_ROWS * width_in).zip(dx.par_chunks_mut(TASK_ROWS * width_in));
        let tasks = tasks.zip(dys.par_chunks(TASK_ROWS * width));
        match self.activation {
            Activation::SwiGlu => tasks.for_each(|((x, dx), dy)| {
                let rows = x.chunks(width_in).zip(dx.chunks_mut(width_in)).zip(dy.chunks(width));
                simd(|| rows.for_each(|((x, dx), dy)| swiglu_row_backward(x, dy, dx)));
            }),
            Activation::Gelu => tasks.for_each(|((x, dx), dy)| {
                simd(|| {
                    dx.iter_mut().zip(x).zip(dy).for_each(|((dx, &x), &dy)| *dx = dy * gelu_slope(x));
                });
            }),
        }
        Ok(Some(tensor(dx, x)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::check;

    #[test]
    fn gradients_are_the_numeric_ones() {
        for (rows, width) in [(1, 1), (1, 7), (3, 16), (5, 35), (TASK_ROWS + 1, 2)] {
            for activation in [Activation::SwiGlu, Activation::Gelu] {
                let width_in = if activation == Activation::SwiGlu { 2 * width } else { width };
                // Far from zero too, where both functions bend.
                let forward = |x: &Tensor| activation.forward::<f64>(&(x * 4.0)?);
                check(&format!("{activation:?} {rows} × {width}"), &[&[rows, width_in]], &[], |x| {
                    forward(x[0])
                });
            }
        }
    }

    #[test]
    fn values_are_those_of_the_papers() {
        let x = Tensor::new(&[[-2.0_f64, 0.0, 0.5, 3.0]], &candle_core::Device::Cpu).unwrap();
        let row = |y: Tensor| y.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let tanh = |x: f64| 0.5 * x * (1.0 + (GELU.0 * (x + GELU.1 * x.powi(3))).tanh());
        let gelu = row(Activation::Gelu.forward::<f64>(&x).unwrap());
        assert!(gelu.iter().zip([-2.0, 0.0, 0.5, 3.0].map(tanh)).all(|(a, b)| (a - b).abs() < 1e-12));
        let swiglu = row(Activation::SwiGlu.forward::<f64>(&x).unwrap());
        assert!((swiglu[0] + 1.0 / (1.0 + 2.0_f64.exp())).abs() < 1e-12 && swiglu[1] == 0.0, "{swiglu:?}");
    }
}
