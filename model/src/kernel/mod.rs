//! Arithmetic on slices that every layer is made of.
//!
//! Three rules hold here. A sum is taken in an order that depends on the shape alone: lanes first, then lane by lane.
//! Work is cut into parts by the shape alone, so any number of threads gives the same bits. Every loop runs
//! through [`simd`], which picks AVX2 or AVX-512 at run time, since the compiler's baseline is SSE2.

mod matrix;
mod panels;
mod product;
mod real;

pub(crate) use matrix::{Matrix, MatrixMut, multiply};
pub(crate) use panels::Panels;
pub(crate) use product::{Packed, product};
pub(crate) use real::Real;

/// Rows that one task of a row-wise loop takes.
pub(crate) const TASK_ROWS: usize = 128;
/// Numbers that one task of an element-wise loop takes.
pub(crate) const TASK_NUMBERS: usize = 16 * 1024;

const LANES: usize = 16;

/// Runs a loop with the widest vectors of this machine.
#[inline(always)]
pub(crate) fn simd<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}

/// The sum of `term(i)` for `i < length`.
#[inline(always)]
pub(crate) fn sum_by<T: Real>(length: usize, term: impl Fn(usize) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let whole = length - length % LANES;
    let mut at = 0;
    while at < whole {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += term(at + lane);
        }
        at += LANES;
    }
    for (lane, at) in (whole..length).enumerate() {
        lanes[lane] += term(at);
    }
    lanes.iter().fold(T::ZERO, |total, &lane| total + lane)
}

/// The inner product of two slices of one length.
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let b = &b[..a.len()];
    sum_by(a.len(), |i| a[i] * b[i])
}

/// The greatest number; the lowest number of the type for an empty slice.
#[inline(always)]
pub(crate) fn max<T: Real>(xs: &[T]) -> T {
    let greater = |a: T, b: T| if b > a { b } else { a };
    let mut lanes = [T::LOWEST; LANES];
    let mut blocks = xs.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane = greater(*lane, x);
        }
    }
    let best = blocks.remainder().iter().fold(T::LOWEST, |best, &x| greater(best, x));
    lanes.iter().fold(best, |best, &lane| greater(best, lane))
}

/// Replaces scores by exp(score − greatest) and returns the greatest and the sum of what it wrote.
#[inline(always)]
pub(crate) fn exponentiate<T: Real>(scores: &mut [T]) -> (T, T) {
    let top = max(scores);
    for score in scores.iter_mut() {
        *score = (*score - top).exp();
    }
    (top, sum_by(scores.len(), |i| scores[i]))
}

/// Softmax in place.
#[inline(always)]
pub(crate) fn softmax<T: Real>(scores: &mut [T]) {
    let (_, sum) = exponentiate(scores);
    let inverse = T::ONE / sum;
    for score in scores.iter_mut() {
        *score *= inverse;
    }
}

/// `total += scale · xs`.
#[inline(always)]
pub(crate) fn add_scaled<T: Real>(total: &mut [T], xs: &[T], scale: T) {
    for (total, &x) in total.iter_mut().zip(xs) {
        *total += scale * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_agree_with_plain_loops_at_every_length() {
        for length in 0..70 {
            let xs: Vec<f64> = (0..length).map(|i| f64::from((i * 37) % 11) - 5.0).collect();
            assert_eq!(simd(|| dot(&xs, &xs)), xs.iter().map(|x| x * x).sum::<f64>());
            assert_eq!(max(&xs), xs.iter().copied().fold(f64::MIN, f64::max));
        }
    }

    #[test]
    fn softmax_sums_to_one_and_survives_large_scores() {
        for shift in [0.0, 1e4, -1e4] {
            let mut scores: Vec<f32> = (0..37).map(|i| shift + i as f32 * 0.3).collect();
            simd(|| softmax(&mut scores));
            assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5, "shift {shift}");
        }
    }
}
