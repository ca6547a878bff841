//! Muon (Keller Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>): momentum whose singular values are all made about 1.
//!
//! ```text
//! m = μ·m + g;   direction = 0.2·√max(rows, columns) · orthogonal(g + μ·m)
//! ```
//! `orthogonal` is five rounds of Newton and Schulz's iteration with the quintic of the write-up, whose steep start takes the singular
//! values of a matrix of norm 1 into about 0.7..1.2. The scale is that of arXiv 2502.16982 (section 2.2): a step as large, by root mean
//! square, as AdamW's, so both share one learning rate and one weight decay.

use super::Strength;
use crate::kernel::{Matrix, MatrixMut, Real, TASK_NUMBERS, product, simd};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Coefficients of x, x³ and x⁵.
const QUINTIC: (f32, f32, f32) = (3.4445, -4.775, 2.0315);
const ROUNDS: usize = 5;
/// Added to the norm that a matrix is divided by.
const EPSILON: f64 = 1e-7;
/// Root mean square of a step of AdamW, about.
const ADAMW_STEP: f64 = 0.2;

/// A tensor as matrices one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Matrices {
    rows: usize,
    columns: usize,
}

impl Matrices {
    /// The last two dimensions are those of a matrix.
    pub(super) fn of(shape: &[usize]) -> Self {
        match *shape {
            [.., rows, columns] => Self { rows, columns },
            [columns] => Self { rows: 1, columns },
            [] => Self { rows: 1, columns: 1 },
        }
    }
}

impl Matrices {
    /// Numbers that orthogonalising one of them works with.
    pub(super) fn work_numbers(self) -> usize {
        // A matrix twice, one of its products twice, and a packed operand.
        let (all, side) = (self.rows * self.columns, self.rows.min(self.columns));
        3 * all + 2 * side * side
    }
}

/// The momentum of every matrix decays alike; the memory of one is lent to the next.
#[derive(Debug)]
pub(super) struct Muon {
    momentum: f32,
    work: Mutex<Work>,
}

/// The matrix at work, its next round, X·Xᵀ and the polynomial of it.
#[derive(Debug, Default)]
struct Work {
    x: Vec<f32>,
    next: Vec<f32>,
    gram: Vec<f32>,
    polynomial: Vec<f32>,
}

impl Muon {
    pub(super) fn new(momentum: f64) -> Self {
        Self { momentum: momentum as f32, work: Mutex::default() }
    }

    /// One step.
    pub(super) fn step(
        &self,
        shape: Matrices,
        (Strength { rate, keep, .. }, clip): (Strength, f32),
        values: &mut [f32],
        gradient: &[f32],
        momentum: &mut [f32],
    ) {
        let size = (shape.rows * shape.columns).max(1);
        let scale = (-rate * ADAMW_STEP * (shape.rows.max(shape.columns) as f64).sqrt()) as f32;
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let matrices = values.chunks_mut(size).zip(gradient.chunks(size)).zip(momentum.chunks_mut(size));
        for ((values, gradient), momentum) in matrices {
            work.x.resize(size, 0.0);
            let tasks = work.x.par_chunks_mut(TASK_NUMBERS).zip(gradient.par_chunks(TASK_NUMBERS));
            tasks.zip(momentum.par_chunks_mut(TASK_NUMBERS)).for_each(|((x, gradient), momentum)| {
                simd(|| {
                    for ((x, gradient), momentum) in x.iter_mut().zip(gradient).zip(momentum) {
                        let g = gradient * clip;
                        *momentum = self.momentum * *momentum + g;
                        *x = g + self.momentum * *momentum;
                    }
                });
            });
            work.orthogonalise(shape);
            let tasks = values.par_chunks_mut(TASK_NUMBERS).zip(work.x.par_chunks(TASK_NUMBERS));
            tasks.for_each(|(values, x)| {
                simd(|| values.iter_mut().zip(x).for_each(|(w, x)| *w = keep * *w + scale * x));
            });
        }
    }
}

impl Work {
    /// Replaces `x` by a matrix of the same singular vectors whose singular values are near 1.
    fn orthogonalise(&mut self, Matrices { rows, columns }: Matrices) {
        let (a, b, c) = QUINTIC;
        let Self { x, next, gram, polynomial } = self;
        let inverse = (1.0 / (super::squares(x).sqrt() + EPSILON)) as f32;
        x.iter_mut().for_each(|x| *x *= inverse);
        let side = rows.min(columns);
        next.resize(x.len(), 0.0);
        gram.resize(side * side, 0.0);
        f32::lend(|packed| {
            for _ in 0..ROUNDS {
                let matrix = Matrix::new(x, rows, columns, columns);
                // The product on the shorter side is the smaller one.
                let (left, right) = if rows <= columns {
                    (matrix, matrix.transposed())
                } else {
                    (matrix.transposed(), matrix)
                };
                packed.pack(right);
                product(MatrixMut::new(gram, side, side, side), false, None, left, packed);
                let square = Matrix::new(gram, side, side, side);
                polynomial.resize(side * side, 0.0);
                packed.pack(square);
                product(MatrixMut::new(polynomial, side, side, side), false, None, square, packed);
                simd(|| polynomial.iter_mut().zip(&*gram).for_each(|(p, g)| *p = c * *p + b * g));
                next.par_chunks_mut(TASK_NUMBERS).zip(x.par_chunks(TASK_NUMBERS)).for_each(|(next, x)| {
                    simd(|| next.iter_mut().zip(x).for_each(|(next, x)| *next = a * x));
                });
                let polynomial = Matrix::new(polynomial, side, side, side);
                let (left, right) = if rows <= columns { (polynomial, matrix) } else { (matrix, polynomial) };
                packed.pack(right);
                product(MatrixMut::new(next, rows, columns, columns), true, None, left, packed);
                std::mem::swap(x, next);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::numbers;

    /// Singular values by the eigenvalues of XᵀX, which Jacobi's rotations find (in f64, ascending).
    fn singular_values(x: &[f32], Matrices { rows, columns }: Matrices) -> Vec<f64> {
        let at = |r: usize, c: usize| f64::from(x[r * columns + c]);
        let mut gram: Vec<Vec<f64>> = (0..columns)
            .map(|i| (0..columns).map(|j| (0..rows).map(|r| at(r, i) * at(r, j)).sum()).collect())
            .collect();
        for _ in 0..40 {
            for p in 0..columns {
                for q in p + 1..columns {
                    let angle = 0.5 * (2.0 * gram[p][q]).atan2(gram[q][q] - gram[p][p]);
                    let (sin, cos) = angle.sin_cos();
                    for row in &mut gram {
                        (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                    }
                    let (before, from_q) = gram.split_at_mut(q);
                    for (x, y) in before[p].iter_mut().zip(&mut from_q[0]) {
                        (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                    }
                }
            }
        }
        let mut found: Vec<f64> = (0..columns).map(|i| gram[i][i].max(0.0).sqrt()).collect();
        found.sort_unstable_by(f64::total_cmp);
        // A wide matrix has no more than `rows`.
        found.split_off(columns.saturating_sub(rows))
    }

    const STRENGTH: (Strength, f32) = (Strength { rate: 0.1, keep: 0.9, shrink: 0.0 }, 1.0);

    fn check(rows: usize, columns: usize) {
        let shape = Matrices { rows, columns };
        let mut work = Work { x: numbers(rows * columns, 3), ..Work::default() };
        let before = work.x.clone();
        work.orthogonalise(shape);
        let found = singular_values(&work.x, shape);
        assert!(found.iter().all(|s| (0.65..1.25).contains(s)), "{rows} × {columns}: {found:?}");
        // The singular vectors stay: the product with the matrix itself is symmetric and has a trace near the sum of singular values.
        let trace: f64 = before.iter().zip(&work.x).map(|(a, b)| f64::from(a * b)).sum();
        let sum: f64 = singular_values(&before, shape).iter().sum();
        assert!((0.65..1.25).contains(&(trace / sum)), "{rows} × {columns}: {trace} {sum}");
    }

    #[test]
    fn singular_values_come_near_one() {
        for (rows, columns) in [(1, 1), (1, 9), (7, 1), (12, 12), (8, 24), (24, 8), (33, 20)] {
            check(rows, columns);
        }
    }

    #[test]
    fn several_matrices_of_a_tensor_are_those_alone() {
        let muon = Muon::new(0.9);
        let (mut both, gradient) = (numbers::<f32>(24, 1), numbers::<f32>(24, 2));
        let (mut alone, mut momentum) = (both[12..].to_vec(), vec![0.0; 12]);
        let shape = Matrices::of(&[2, 3, 4]);
        muon.step(shape, STRENGTH, &mut both, &gradient, &mut [0.0; 24]);
        muon.step(shape, STRENGTH, &mut alone, &gradient[12..], &mut momentum);
        assert_eq!(both[12..], alone);
        assert_eq!(momentum, gradient[12..]);
    }

    #[test]
    fn a_matrix_without_gradient_only_decays() {
        let mut values = numbers::<f32>(6, 1);
        let expected: Vec<f32> = values.iter().map(|w| 0.9 * w).collect();
        Muon::new(0.9).step(Matrices::of(&[2, 3]), STRENGTH, &mut values, &[0.0; 6], &mut [0.0; 6]);
        assert_eq!(values, expected);
    }
}
