//! Products of a few rows with one large matrix, whose numbers are read once and in order: what generation is made of.
//!
//! ```text
//! y[row][out] = Σ over in of x[row][in] · w[in][out],  summed in the order of `in`, in stretches of [`STRETCH`]
//! ```
//! The matrix is packed into panels of [`PANEL`] outputs, input after input, so that the sums of a panel stay in registers and no
//! sum runs across lanes. A row's sums do not depend on how many other rows there are, nor on the threads, which take panels.

use super::{add_scaled, simd};
use rayon::prelude::*;

/// Outputs of a panel.
const PANEL: usize = 64;
/// Inputs that are summed before the sum is added to that of the stretches before: keeps the error of long sums small.
const STRETCH: usize = 256;
/// Rows that are taken through a panel together, and outputs at a time: their sums fill the registers.
const ROWS: usize = 4;
const LANES: usize = 16;
/// Numbers of the matrix in a task: fewer are not worth waking a thread for.
const TASK_NUMBERS: usize = 1 << 18;

/// A matrix for products with few rows.
#[derive(Debug)]
pub(crate) struct Panels {
    width_in: usize,
    width_out: usize,
    /// panels × in × [`PANEL`]; the last panel is filled up with zeros.
    numbers: Vec<f32>,
}

impl Panels {
    /// A matrix of zeros.
    pub(crate) fn new(width_in: usize, width_out: usize) -> Self {
        let numbers = vec![0.0; width_out.div_ceil(PANEL) * width_in * PANEL];
        Self { width_in, width_out, numbers }
    }

    /// Sets the outputs from `first` on, from a matrix of out × in.
    pub(crate) fn set_out_in(&mut self, first: usize, w: &[f32]) {
        for (at, row) in w.chunks(self.width_in).enumerate() {
            let start = self.place(first + at);
            let column = self.numbers[start..].iter_mut().step_by(PANEL);
            column.zip(row).for_each(|(to, &from)| *to = from);
        }
    }

    /// Sets the `width` outputs from `first` on, from a matrix of in × `width`.
    pub(crate) fn set_in_out(&mut self, first: usize, width: usize, w: &[f32]) {
        for out in 0..width {
            let start = self.place(first + out);
            let column = self.numbers[start..].iter_mut().step_by(PANEL);
            column.zip(w[out..].iter().step_by(width)).for_each(|(to, &from)| *to = from);
        }
    }

    fn place(&self, out: usize) -> usize {
        out / PANEL * self.width_in * PANEL + out % PANEL
    }

    /// x: rows × in → y: rows × out, or added to `y`. `sums` is memory to work in.
    pub(crate) fn multiply(&self, x: &[f32], y: &mut [f32], keep: bool, sums: &mut Vec<f32>) {
        let rows = x.len() / self.width_in;
        sums.resize(self.width_out.div_ceil(PANEL) * rows * PANEL, 0.0);
        let (panel, out) = (self.width_in * PANEL, rows * PANEL);
        let each = |(w, sums): (&[f32], &mut [f32])| {
            simd(|| w.chunks(panel).zip(sums.chunks_mut(out)).for_each(|(w, sums)| self.panel(w, x, sums)));
        };
        let task = (TASK_NUMBERS / panel).max(1);
        if task * panel >= self.numbers.len() {
            each((&self.numbers, sums));
        } else {
            let tasks = self.numbers.par_chunks(task * panel).zip(sums.par_chunks_mut(task * out));
            tasks.for_each(each);
        }
        for (row, y) in y.chunks_mut(self.width_out).enumerate() {
            for (y, sums) in y.chunks_mut(PANEL).zip(sums.chunks(out)) {
                let sums = &sums[row * PANEL..][..y.len()];
                if keep { add_scaled(y, sums, 1.0) } else { y.copy_from_slice(sums) }
            }
        }
    }

    #[inline(always)]
    fn panel(&self, w: &[f32], x: &[f32], sums: &mut [f32]) {
        let (mut x, mut sums) = (x, sums);
        while x.len() >= ROWS * self.width_in {
            let (rows, rest) = x.split_at(ROWS * self.width_in);
            let (out, after) = sums.split_at_mut(ROWS * PANEL);
            for first in (0..PANEL).step_by(LANES) {
                self.rows::<ROWS, LANES>(w, rows, first, out);
            }
            (x, sums) = (rest, after);
        }
        for (x, sums) in x.chunks(self.width_in).zip(sums.chunks_mut(PANEL)) {
            self.rows::<1, PANEL>(w, x, 0, sums);
        }
    }

    /// So many rows times the outputs `first..first + COUNT` of one panel.
    #[inline(always)]
    fn rows<const TIMES: usize, const COUNT: usize>(
        &self,
        w: &[f32],
        x: &[f32],
        first: usize,
        out: &mut [f32],
    ) {
        for (stretch, w) in w.chunks(STRETCH * PANEL).enumerate() {
            let mut sums = [[0.0_f32; COUNT]; TIMES];
            let inputs: [&[f32]; TIMES] =
                std::array::from_fn(|row| &x[row * self.width_in + stretch * STRETCH..][..w.len() / PANEL]);
            for (at, w) in w.as_chunks::<PANEL>().0.iter().enumerate() {
                for (sums, x) in sums.iter_mut().zip(inputs) {
                    let x = x[at];
                    sums.iter_mut().zip(&w[first..first + COUNT]).for_each(|(sum, &w)| *sum += w * x);
                }
            }
            for (out, sums) in out.chunks_mut(PANEL).zip(&sums) {
                let out = &mut out[first..first + COUNT];
                if stretch == 0 { out.copy_from_slice(sums) } else { add_scaled(out, sums, 1.0) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::numbers;

    #[test]
    fn products_agree_with_plain_loops_and_do_not_depend_on_the_other_rows() {
        for (rows, width_in, width_out) in
            [(1, 1, 1), (1, 5, 64), (3, 7, 65), (4, 300, 3), (9, 17, 200), (5, 700, 500)]
        {
            let (w, x) = (numbers::<f32>(width_in * width_out, 1), numbers::<f32>(rows * width_in, 2));
            let mut panels = Panels::new(width_in, width_out);
            panels.set_out_in(0, &w);
            let (mut y, mut sums) = (vec![3.0; rows * width_out], vec![9.0; 7]);
            panels.multiply(&x, &mut y, true, &mut sums);
            for (row, (x, y)) in x.chunks(width_in).zip(y.chunks(width_out)).enumerate() {
                for (found, w) in y.iter().zip(w.chunks(width_in)) {
                    let expected: f64 = w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                    assert!((f64::from(*found) - expected - 3.0).abs() < 1e-4, "{found} {expected}");
                }
                let mut alone = vec![3.0; width_out];
                panels.multiply(x, &mut alone, true, &mut sums);
                assert_eq!(alone, y, "row {row} of {rows}");
            }
            let transposed: Vec<f32> =
                (0..w.len()).map(|at| w[at % width_out * width_in + at / width_out]).collect();
            let mut other = Panels::new(width_in, width_out);
            other.set_in_out(0, width_out, &transposed);
            assert_eq!(panels.numbers, other.numbers);
        }
    }
}
