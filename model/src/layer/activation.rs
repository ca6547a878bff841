//! What stands between the two matrices of a feed-forward part.
//!
//! ```text
//! GELU:    y = x·σ(2z), z = √(2/π)·(x + 0.044715·x³), as ½(1 + tanh z) = σ(2z);  exact: y = ½x·(1 + erf(x ÷ √2))
//! ReLU:    y = max(x, 0);  ReLU²: its square;  SiLU: y = x·σ(x), σ the logistic function
//! gated:   y = f(g)·u, where a row holds the gate g, then u;  SwiGLU: f = SiLU;  GEGLU: f = GELU
//! ```

use crate::kernel::{Real, TASK_ROWS, simd};
pub(crate) use crate::parts::Activation;
use rayon::prelude::*;

impl Activation {
    /// Features in for so many features out.
    #[cfg(test)]
    pub(crate) const fn width_in(self, width: usize) -> usize {
        if self.is_gated() { 2 * width } else { width }
    }

    /// x: tokens × in → y: tokens × `width`.
    pub(crate) fn forward<T: Real>(self, width: usize, x: &[T], y: &mut [T]) {
        match self {
            Self::Gelu => each(width, x, y, gelu),
            Self::GeluExact => each(width, x, y, gelu_exact),
            Self::Relu => each(width, x, y, relu),
            Self::Relu2 => each(width, x, y, |x| relu(x) * relu(x)),
            Self::Silu => each(width, x, y, silu),
            Self::SwiGlu => gated(width, x, y, silu),
            Self::GeGlu => gated(width, x, y, gelu),
        }
    }

    /// Writes dx.
    pub(crate) fn backward<T: Real>(self, width: usize, x: &[T], dy: &[T], dx: &mut [T]) {
        match self {
            Self::Gelu => each_backward(width, x, dy, dx, gelu_slope),
            Self::GeluExact => each_backward(width, x, dy, dx, gelu_exact_slope),
            Self::Relu => each_backward(width, x, dy, dx, |x| if x > T::ZERO { T::ONE } else { T::ZERO }),
            Self::Relu2 => each_backward(width, x, dy, dx, |x| T::of(2.0) * relu(x)),
            Self::Silu => each_backward(width, x, dy, dx, |x| silu_slope(x).1),
            Self::SwiGlu => gated_backward(width, x, dy, dx, silu_slope),
            Self::GeGlu => gated_backward(width, x, dy, dx, |x| (gelu(x), gelu_slope(x))),
        }
    }
}

fn each<T: Real>(width: usize, x: &[T], y: &mut [T], f: impl Fn(T) -> T + Sync) {
    let tasks = x.par_chunks(TASK_ROWS * width).zip(y.par_chunks_mut(TASK_ROWS * width));
    tasks.for_each(|(x, y)| simd(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x))));
}

fn each_backward<T: Real>(width: usize, x: &[T], dy: &[T], dx: &mut [T], slope: impl Fn(T) -> T + Sync) {
    let tasks = x.par_chunks(TASK_ROWS * width).zip(dx.par_chunks_mut(TASK_ROWS * width));
    tasks.zip(dy.par_chunks(TASK_ROWS * width)).for_each(|((x, dx), dy)| {
        simd(|| dx.iter_mut().zip(x).zip(dy).for_each(|((dx, &x), &dy)| *dx = dy * slope(x)));
    });
}

fn gated<T: Real>(width: usize, x: &[T], y: &mut [T], f: impl Fn(T) -> T + Sync) {
    let tasks = x.par_chunks(TASK_ROWS * 2 * width).zip(y.par_chunks_mut(TASK_ROWS * width));
    tasks.for_each(|(x, y)| {
        simd(|| {
            for (x, y) in x.chunks(2 * width).zip(y.chunks_mut(width)) {
                let (gate, up) = x.split_at(width);
                for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
                    *y = f(gate) * up;
                }
            }
        });
    });
}

/// `f` gives the value and the slope of the gate.
fn gated_backward<T: Real>(width: usize, x: &[T], dy: &[T], dx: &mut [T], f: impl Fn(T) -> (T, T) + Sync) {
    let tasks = x.par_chunks(TASK_ROWS * 2 * width).zip(dx.par_chunks_mut(TASK_ROWS * 2 * width));
    tasks.zip(dy.par_chunks(TASK_ROWS * width)).for_each(|((x, dx), dy)| {
        simd(|| {
            for ((x, dx), dy) in x.chunks(2 * width).zip(dx.chunks_mut(2 * width)).zip(dy.chunks(width)) {
                let (gates, ups) = x.split_at(width);
                let (d_gates, d_ups) = dx.split_at_mut(width);
                for i in 0..width {
                    let (value, slope) = f(gates[i]);
                    d_ups[i] = dy[i] * value;
                    d_gates[i] = dy[i] * ups[i] * slope;
                }
            }
        });
    });
}

/// √(2/π), and the weight of the cube.
pub(crate) const GELU: (f64, f64) = (0.797_884_560_802_865_4, 0.044_715);

#[inline(always)]
pub(super) fn gelu<T: Real>(x: T) -> T {
    let (scale, cube) = (T::of(2.0 * GELU.0), T::of(GELU.1));
    x * (scale * (x + cube * x * x * x)).sigmoid()
}

#[inline(always)]
pub(super) fn gelu_slope<T: Real>(x: T) -> T {
    let (scale, cube) = (T::of(2.0 * GELU.0), T::of(GELU.1));
    let sigmoid = (scale * (x + cube * x * x * x)).sigmoid();
    let inner = scale * (T::ONE + T::of(3.0) * cube * x * x);
    sigmoid + x * sigmoid * (T::ONE - sigmoid) * inner
}

/// The part of a normal distribution below x.
#[inline(always)]
fn normal_below<T: Real>(x: T) -> T {
    T::of(0.5) * (T::ONE + (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

#[inline(always)]
fn gelu_exact<T: Real>(x: T) -> T {
    x * normal_below(x)
}

#[inline(always)]
fn gelu_exact_slope<T: Real>(x: T) -> T {
    // 1 ÷ √(2π), the density at 0.
    let density = T::of(0.398_942_280_401_432_7) * (-T::of(0.5) * x * x).exp();
    normal_below(x) + x * density
}

#[inline(always)]
fn relu<T: Real>(x: T) -> T {
    if x > T::ZERO { x } else { T::ZERO }
}

#[inline(always)]
fn silu<T: Real>(x: T) -> T {
    x * x.sigmoid()
}

/// The value, and the slope.
#[inline(always)]
fn silu_slope<T: Real>(x: T) -> (T, T) {
    let sigmoid = x.sigmoid();
    (x * sigmoid, sigmoid * (T::ONE + x * (T::ONE - sigmoid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::check;

    const ALL: [Activation; 7] = [
        Activation::Gelu,
        Activation::GeluExact,
        Activation::Relu,
        Activation::Relu2,
        Activation::Silu,
        Activation::SwiGlu,
        Activation::GeGlu,
    ];

    #[test]
    fn gradients_are_the_numeric_ones() {
        for (rows, width) in [(1, 1), (1, 7), (3, 16), (5, 35), (TASK_ROWS + 1, 2)] {
            for activation in ALL {
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

    #[test]
    fn the_others_are_their_definitions() {
        let x = [-2.0_f64, 0.0, 0.5, 3.0];
        let of = |activation: Activation| {
            let mut y = [9.0; 4];
            activation.forward(4, &x, &mut y);
            y
        };
        assert_eq!(of(Activation::Relu), [0.0, 0.0, 0.5, 3.0]);
        assert_eq!(of(Activation::Relu2), [0.0, 0.0, 0.25, 9.0]);
        // Φ(−2), Φ(0.5) and Φ(3) of tables of the normal distribution.
        let expected = [-2.0 * 0.022_750_132, 0.0, 0.5 * 0.691_462_461, 3.0 * 0.998_650_102];
        assert!(of(Activation::GeluExact).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-8));
        let single = |x: f32| {
            let mut y = [9.0_f32];
            Activation::GeluExact.forward(1, &[x], &mut y);
            y[0]
        };
        assert!(x.iter().zip(expected).all(|(&x, y)| (f64::from(single(x as f32)) - y).abs() < 6e-7));
        let mut y = [9.0; 2];
        Activation::GeGlu.forward(2, &x, &mut y);
        assert!((y[0] - 0.5 * of(Activation::Gelu)[0]).abs() < 1e-15 && y[1] == 0.0, "{y:?}");
    }
}
