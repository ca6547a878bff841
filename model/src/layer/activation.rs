//! SwiGLU (arXiv 2002.05202) and GELU in its tanh form (arXiv 1606.08415).
//!
//! ```text
//! SwiGLU:  y = g·σ(g)·u, where a row holds the gate g, then u;  σ the logistic function
//! GELU:    y = x·σ(2z), z = √(2/π)·(x + 0.044715·x³), as ½(1 + tanh z) = σ(2z)
//! ```

use crate::kernel::{Real, TASK_ROWS, simd};
use rayon::prelude::*;

/// Which function stands between the two matrices of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Twice as many features in as out.
    SwiGlu,
    /// As many features out as in.
    Gelu,
}

impl Activation {
    /// Features in for so many features out.
    pub(crate) const fn width_in(self, width: usize) -> usize {
        match self {
            Self::SwiGlu => 2 * width,
            Self::Gelu => width,
        }
    }

    /// x: tokens × in → y: tokens × `width`.
    pub(crate) fn forward<T: Real>(self, width: usize, x: &[T], y: &mut [T]) {
        let width_in = self.width_in(width);
        let tasks = x.par_chunks(TASK_ROWS * width_in).zip(y.par_chunks_mut(TASK_ROWS * width));
        match self {
            Self::SwiGlu => tasks.for_each(|(x, y)| {
                simd(|| x.chunks(width_in).zip(y.chunks_mut(width)).for_each(|(x, y)| swiglu_row(x, y)));
            }),
            Self::Gelu => tasks.for_each(|(x, y)| {
                simd(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = gelu(x)));
            }),
        }
    }

    /// Writes dx.
    pub(crate) fn backward<T: Real>(self, width: usize, x: &[T], dy: &[T], dx: &mut [T]) {
        let width_in = self.width_in(width);
        let tasks = x.par_chunks(TASK_ROWS * width_in).zip(dx.par_chunks_mut(TASK_ROWS * width_in));
        let tasks = tasks.zip(dy.par_chunks(TASK_ROWS * width));
        match self {
            Self::SwiGlu => tasks.for_each(|((x, dx), dy)| {
                let rows = x.chunks(width_in).zip(dx.chunks_mut(width_in)).zip(dy.chunks(width));
                simd(|| rows.for_each(|((x, dx), dy)| swiglu_row_backward(x, dy, dx)));
            }),
            Self::Gelu => tasks.for_each(|((x, dx), dy)| {
                simd(|| {
                    dx.iter_mut().zip(x).zip(dy).for_each(|((dx, &x), &dy)| *dx = dy * gelu_slope(x));
                });
            }),
        }
    }
}

/// √(2/π), and the weight of the cube.
pub(crate) const GELU: (f64, f64) = (0.797_884_560_802_865_4, 0.044_715);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::check;

    #[test]
    fn gradients_are_the_numeric_ones() {
        for (rows, width) in [(1, 1), (1, 7), (3, 16), (5, 35), (TASK_ROWS + 1, 2)] {
            for activation in [Activation::SwiGlu, Activation::Gelu] {
                // Far from zero too, where both functions bend.
                let scaled = |x: &[f64]| x.iter().map(|x| 4.0 * x).collect::<Vec<_>>();
                let forward = |x: &[f64]| {
                    let mut y = vec![9.0; rows * width];
                    activation.forward(width, &scaled(x), &mut y);
                    y
                };
                let what = format!("{activation:?} {rows} × {width}");
                check(&what, rows * activation.width_in(width), &[], forward, |x, dy, dx| {
                    activation.backward(width, &scaled(x), dy, dx);
                    dx.iter_mut().for_each(|dx| *dx *= 4.0);
                    Ok(())
                });
            }
        }
    }

    #[test]
    fn values_are_those_of_the_papers() {
        let x = [-2.0_f64, 0.0, 0.5, 3.0];
        let tanh = |x: f64| 0.5 * x * (1.0 + (GELU.0 * (x + GELU.1 * x.powi(3))).tanh());
        let (mut gelu, mut swiglu) = ([9.0; 4], [9.0; 2]);
        Activation::Gelu.forward(4, &x, &mut gelu);
        assert!(gelu.iter().zip(x.map(tanh)).all(|(a, b)| (a - b).abs() < 1e-12));
        Activation::SwiGlu.forward(2, &x, &mut swiglu);
        assert!((swiglu[0] + 1.0 / (1.0 + 2.0_f64.exp())).abs() < 1e-12 && swiglu[1] == 0.0, "{swiglu:?}");
    }
}
