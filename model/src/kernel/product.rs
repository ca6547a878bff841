//! Large products: the right operand is packed once and shared by all tasks, and the sums of a tile stay in registers.
//!
//! ```text
//! destination ← (keep ? destination : start) + lhs · rhs,   `start` a row that every row begins with, such as a bias
//! ```
//! The scheme is that of Goto and van de Geijn (2008, "Anatomy of high-performance matrix multiplication"): rhs lies in panels of [`PANEL`] columns, cut
//! into stretches of at most [`DEPTH`] rows; a tile of 8 × [`PANEL`] sums (AVX-512, 24 registers; 4 × 24 with AVX2) walks along a stretch. A task
//! is a block of rows of the destination. Each number is summed in the order of the inner dimension, stretch after stretch, whatever the threads, the
//! tasks and the other rows are, so the bits are equal for all of them.

use super::{Matrix, MatrixMut, Real, add_scaled, multiply, simd};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Columns of a panel: three vectors of 16.
const PANEL: usize = 48;
/// Rows of a packed left operand: those of the largest tile.
const ROWS: usize = 8;
/// Longest stretch of the inner dimension: a panel of it (96 KiB of `f32`) and the rows of a task share the second-level cache.
const DEPTH: usize = 512;
/// Rows of a task.
const TASK_ROWS: usize = 128;
/// Bytes of a cache line, at which panels begin.
const LINE_BYTES: usize = 64;

/// Numbers of a right operand below which packing it into panels is not worth while.
const SMALL: usize = 1 << 13;

/// The right operand of products, in the order in which tiles read it. Where panels begin in it depends on its address: there is no copy.
#[derive(Debug, Default)]
pub(crate) struct Packed<T> {
    /// stretches × panels × rows of the stretch × [`PANEL`], columns beyond the last being 0; or the matrix, row after row.
    numbers: Vec<T>,
    rows: usize,
    columns: usize,
    in_panels: bool,
}

impl<T: Real> Packed<T> {
    /// Packs a matrix in place of what was packed before.
    pub(crate) fn pack(&mut self, matrix: Matrix<'_, T>) {
        // Tiles without optimisation are slower than the crate `gemm`, which has it in every profile.
        if cfg!(debug_assertions) || matrix.row_count() * matrix.column_count() < SMALL {
            self.copy(matrix);
        } else {
            self.pack_panels(matrix);
        }
    }

    /// Keeps a small matrix as it is, for [`multiply`].
    fn copy(&mut self, matrix: Matrix<'_, T>) {
        (self.rows, self.columns, self.in_panels) = (matrix.row_count(), matrix.column_count(), false);
        self.numbers.clear();
        if matrix.has_rows() {
            (0..self.rows).for_each(|row| self.numbers.extend_from_slice(matrix.run(row, 0, self.columns)));
        } else {
            self.numbers.resize(self.rows * self.columns, T::ZERO);
            let turned = matrix.transposed();
            for column in 0..self.columns {
                let to = self.numbers.iter_mut().skip(column).step_by(self.columns);
                to.zip(turned.run(column, 0, self.rows)).for_each(|(to, &x)| *to = x);
            }
        }
    }

    fn pack_panels(&mut self, matrix: Matrix<'_, T>) {
        (self.rows, self.columns, self.in_panels) = (matrix.row_count(), matrix.column_count(), true);
        let count = self.panels() * PANEL * self.rows;
        let spare = LINE_BYTES / size_of::<T>();
        if self.numbers.len() < count + spare {
            self.numbers.resize(count + spare, T::ZERO);
        }
        let first = self.first();
        let (depth, panels) = (stretch(self.rows), self.panels());
        let stretches = self.numbers[first..first + count].par_chunks_mut((panels * PANEL * depth).max(1));
        stretches.enumerate().for_each(|(at, numbers)| {
            let depth = numbers.len() / (panels * PANEL);
            let from = at * stretch(matrix.row_count());
            numbers.par_chunks_mut(depth * PANEL).enumerate().for_each(|(panel, numbers)| {
                simd(|| pack_panel(matrix, from, panel * PANEL, numbers));
            });
        });
    }

    /// Where the first cache line begins.
    fn first(&self) -> usize {
        self.numbers.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES / size_of::<T>())
    }

    const fn panels(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }

    /// The panels of a stretch that begins at row `from` and has `depth` rows.
    fn stretch(&self, from: usize, depth: usize) -> &[T] {
        let row = self.panels() * PANEL;
        &self.numbers[self.first() + from * row..][..depth * row]
    }
}

/// Rows of each stretch but the last, so that all are about as long.
fn stretch(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(DEPTH).max(1)).max(1)
}

#[inline(always)]
fn pack_panel<T: Real>(matrix: Matrix<'_, T>, from: usize, column: usize, panel: &mut [T]) {
    let (panel, _) = panel.as_chunks_mut::<PANEL>();
    let width = PANEL.min(matrix.column_count() - column);
    if width < PANEL {
        panel.iter_mut().for_each(|row| row[width..].fill(T::ZERO));
    }
    if matrix.has_rows() {
        for (at, out) in panel.iter_mut().enumerate() {
            out[..width].copy_from_slice(matrix.run(from + at, column, width));
        }
        return;
    }
    // Columns are contiguous: sixteen numbers of each at a time, so that what is written stays in the first cache.
    for (at, rows) in panel.chunks_mut(16).enumerate() {
        for j in 0..width {
            let column = matrix.transposed().run(column + j, from + 16 * at, rows.len());
            rows.iter_mut().zip(column).for_each(|(row, &x)| row[j] = x);
        }
    }
}

/// `destination ← (keep ? destination : start) + lhs · rhs`; no `start` stands for zeros. With `keep`, `start` is added too.
pub(crate) fn product<T: Real>(
    destination: MatrixMut<'_, T>,
    keep: bool,
    start: Option<&[T]>,
    lhs: Matrix<'_, T>,
    rhs: &Packed<T>,
) {
    let (data, rows, columns, stride) = destination.into_parts();
    assert_eq!((rows, columns), (lhs.row_count(), rhs.columns), "shape of the product");
    assert_eq!(lhs.column_count(), rhs.rows, "inner dimension");
    if rows * columns == 0 {
        return;
    }
    if !rhs.in_panels {
        return product_of_small((data, rows, columns, stride), keep, start, lhs, rhs);
    }
    let mut starts = vec![T::ZERO; rhs.panels() * PANEL];
    if let Some(start) = start {
        starts[..columns].copy_from_slice(start);
    }
    data.par_chunks_mut(TASK_ROWS * stride).take(rows.div_ceil(TASK_ROWS)).enumerate().for_each_init(
        Vec::new,
        |turned, (at, out)| {
            let first = at * TASK_ROWS;
            let lhs = lhs.rows(first, TASK_ROWS.min(rows - first));
            let mut keep = keep;
            // At least one stretch, so that a product over nothing writes `start`.
            for from in (0..rhs.rows.max(1)).step_by(stretch(rhs.rows)) {
                let depth = stretch(rhs.rows).min(rhs.rows - from);
                let starts = if from == 0 { &starts[..] } else { &[] };
                let panels = rhs.stretch(from, depth);
                let task = Task {
                    lhs: lhs.columns(from, depth),
                    panels,
                    depth,
                    starts,
                    out: &mut *out,
                    stride,
                    columns,
                    keep,
                    turned: &mut *turned,
                };
                pulp::Arch::new().dispatch(task);
                keep = true;
            }
        },
    );
}

fn product_of_small<T: Real>(
    (data, rows, columns, stride): (&mut [T], usize, usize, usize),
    keep: bool,
    start: Option<&[T]>,
    lhs: Matrix<'_, T>,
    rhs: &Packed<T>,
) {
    let tasks = data.par_chunks_mut(TASK_ROWS * stride).take(rows.div_ceil(TASK_ROWS)).enumerate();
    tasks.for_each(|(at, out)| {
        let first = at * TASK_ROWS;
        let count = TASK_ROWS.min(rows - first);
        for row in out.chunks_mut(stride).take(count) {
            match start {
                Some(start) if keep => simd(|| add_scaled(&mut row[..columns], start, T::ONE)),
                Some(start) => row[..columns].copy_from_slice(start),
                None => {}
            }
        }
        let out = MatrixMut::new(out, count, columns, stride);
        let rhs = Matrix::new(&rhs.numbers, rhs.rows, columns, columns);
        multiply(out, keep || start.is_some(), lhs.rows(first, count), rhs, T::ONE);
    });
}

/// A block of rows times a stretch of all panels.
struct Task<'a, T> {
    lhs: Matrix<'a, T>,
    panels: &'a [T],
    depth: usize,
    /// The row that sums begin with; empty for zeros.
    starts: &'a [T],
    out: &'a mut [T],
    stride: usize,
    columns: usize,
    keep: bool,
    /// Room for a left operand whose columns are contiguous: in groups of [`ROWS`] rows.
    turned: &'a mut Vec<T>,
}

impl<T: Real> WithSimd for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.run::<S, Eight>(simd) } else { self.run::<S, Four>(simd) }
    }
}

impl<T: Real> Task<'_, T> {
    #[inline(always)]
    fn run<S: Simd, K: Tile>(self, simd: S) {
        let Self { lhs, panels, depth, starts, out, stride, columns, keep, turned } = self;
        let (rows, direct) = (lhs.row_count(), lhs.has_rows());
        if !direct {
            turn(lhs, turned);
        }
        let (turned, _) = turned.as_chunks::<ROWS>();
        let vectors = size_of::<[T; PANEL]>() / size_of::<T::Vector<S>>();
        for at in 0..columns.div_ceil(PANEL) {
            let (panel, _) = panels[at * depth * PANEL..][..depth * PANEL].as_chunks::<PANEL>();
            let (column, start) = (at * PANEL, starts.get(at * PANEL..).unwrap_or_default());
            for row in (0..rows).step_by(K::ROWS) {
                for group in 0..vectors / 3 {
                    let width = PANEL.min(columns - column);
                    let out = &mut out[row * stride + column..];
                    let place =
                        Place { out, stride, width, height: K::ROWS.min(rows - row), group, keep, start };
                    if direct {
                        // Rows beyond the last repeat it; their sums are not written.
                        let lhs: [&[T]; ROWS] =
                            std::array::from_fn(|r| lhs.run((row + r).min(rows - 1), 0, depth));
                        K::tile(simd, panel, |k, r| lhs[r][k], place);
                    } else {
                        let lhs = &turned[row / ROWS * depth..][..depth];
                        let skip = row % ROWS;
                        K::tile(simd, panel, |k, r| lhs[k][skip + r], place);
                    }
                }
            }
        }
    }
}

/// Copies a left operand whose columns are contiguous into groups of [`ROWS`] rows, one column of a group after the other.
#[inline(always)]
fn turn<T: Real>(lhs: Matrix<'_, T>, out: &mut Vec<T>) {
    let (rows, depth, columns) = (lhs.row_count(), lhs.column_count(), lhs.transposed());
    out.resize(rows.div_ceil(ROWS) * ROWS * depth, T::ZERO);
    for (group, out) in out.chunks_mut((ROWS * depth).max(1)).enumerate() {
        let height = ROWS.min(rows - group * ROWS);
        for (k, out) in out.as_chunks_mut::<ROWS>().0.iter_mut().enumerate() {
            out[..height].copy_from_slice(columns.run(k, group * ROWS, height));
        }
    }
}

/// Where the sums of a tile go.
struct Place<'a, T> {
    out: &'a mut [T],
    stride: usize,
    /// Columns and rows that are there.
    width: usize,
    height: usize,
    /// Which three vectors of the panel.
    group: usize,
    keep: bool,
    start: &'a [T],
}

/// Sums of some rows and three vectors of columns.
trait Tile {
    const ROWS: usize;

    /// Adds up lhs(k, row) · panel[k] over k.
    fn tile<S: Simd, T: Real>(
        simd: S,
        panel: &[[T; PANEL]],
        lhs: impl Fn(usize, usize) -> T,
        place: Place<'_, T>,
    );
}

struct Eight;
struct Four;

/// Rows are written out: an array of sums that is indexed by a variable would not stay in registers.
macro_rules! tile {
    ($name:ident, $rows:literal: $($row:literal)+) => {
        impl Tile for $name {
            const ROWS: usize = $rows;

            #[inline(always)]
            fn tile<S: Simd, T: Real>(
                simd: S,
                panel: &[[T; PANEL]],
                lhs: impl Fn(usize, usize) -> T,
                place: Place<'_, T>,
            ) {
                let Place { out, stride, width, height, group, keep, start } = place;
                let three = |row: &[T]| {
                    let row = &T::vectors::<S>(row)[3 * group..][..3];
                    [row[0], row[1], row[2]]
                };
                let zero = T::splat(simd, T::ZERO);
                let first = if start.is_empty() { [zero; 3] } else { three(&start[..PANEL]) };
                let mut sums = [first; $rows];
                for (k, row) in panel.iter().enumerate() {
                    let row = three(row);
                    $(
                        let x = T::splat(simd, lhs(k, $row));
                        let [a, b, c] = sums[$row];
                        sums[$row] = [
                            T::multiply_add(simd, x, row[0], a),
                            T::multiply_add(simd, x, row[1], b),
                            T::multiply_add(simd, x, row[2], c),
                        ];
                    )+
                }
                $(
                    if $row < height {
                        write_row(simd, sums[$row], &mut out[$row * stride..][..width], group, keep);
                    }
                )+
            }
        }
    };
}

tile!(Eight, 8: 0 1 2 3 4 5 6 7);
tile!(Four, 4: 0 1 2 3);

#[inline(always)]
fn write_row<S: Simd, T: Real>(simd: S, sums: [T::Vector<S>; 3], row: &mut [T], group: usize, keep: bool) {
    let wide = 3 * size_of::<T::Vector<S>>() / size_of::<T>();
    let from = (group * wide).min(row.len());
    let row = &mut row[from..];
    if row.len() >= wide {
        let row = &mut T::vectors_mut::<S>(&mut row[..wide])[..3];
        row[0] = if keep { T::plus(simd, row[0], sums[0]) } else { sums[0] };
        row[1] = if keep { T::plus(simd, row[1], sums[1]) } else { sums[1] };
        row[2] = if keep { T::plus(simd, row[2], sums[2]) } else { sums[2] };
    } else {
        let mut whole = [T::ZERO; PANEL];
        T::vectors_mut::<S>(&mut whole[..wide])[..3].copy_from_slice(&sums);
        row.iter_mut().zip(whole).for_each(|(out, x)| *out = if keep { *out + x } else { x });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::numbers;

    fn check<T: Real>(rows: usize, depth: usize, columns: usize, (turned, packed): (bool, bool), error: f64) {
        for in_panels in [false, true] {
            check_packed::<T>((rows, depth, columns), (turned, packed), in_panels, error);
        }
    }

    fn check_packed<T: Real>(
        (rows, depth, columns): (usize, usize, usize),
        (turned, packed): (bool, bool),
        in_panels: bool,
        error: f64,
    ) {
        let (a, b) = (numbers::<T>(rows * depth, 1), numbers::<T>(depth * columns, 2));
        let start = numbers::<T>(columns, 3);
        let lhs = if turned {
            Matrix::new(&a, depth, rows, rows).transposed()
        } else {
            Matrix::new(&a, rows, depth, depth)
        };
        let rhs = if packed {
            Matrix::new(&b, columns, depth, depth).transposed()
        } else {
            Matrix::new(&b, depth, columns, columns)
        };
        let mut panels = Packed::default();
        if in_panels {
            panels.pack_panels(rhs)
        } else {
            panels.copy(rhs)
        }
        let a = |i: usize, k: usize| if turned { a[k * rows + i] } else { a[i * depth + k] };
        let b = |k: usize, j: usize| if packed { b[j * depth + k] } else { b[k * columns + j] };
        let stride = columns + 3;
        for (keep, start) in
            [(false, None), (true, None), (false, Some(&start[..])), (true, Some(&start[..]))]
        {
            let before = numbers::<T>(rows * stride, 4);
            let mut found = before.clone();
            product(MatrixMut::new(&mut found, rows, columns, stride), keep, start, lhs, &panels);
            for (at, (found, before)) in found.iter().zip(&before).enumerate() {
                let (i, j) = (at / stride, at % stride);
                if j >= columns {
                    assert!(found == before, "between the rows");
                    continue;
                }
                let first =
                    if keep { before.to_f64() } else { 0.0 } + start.map_or(0.0, |start| start[j].to_f64());
                let expected = (0..depth).fold(first, |sum, k| sum + a(i, k).to_f64() * b(k, j).to_f64());
                assert!(
                    (found.to_f64() - expected).abs() < error,
                    "{rows} × {depth} × {columns} [{i}, {j}]: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn products_agree_with_plain_loops_at_every_shape() {
        for layout in [(false, false), (false, true), (true, false), (true, true)] {
            for (rows, depth, columns) in [
                (1, 1, 1),
                (7, 3, 5),
                (8, 16, 48),
                (9, 17, 49),
                (13, 40, 95),
                (TASK_ROWS + 3, 5, 100),
                (3, 2 * DEPTH + 9, 30),
                (2, 0, 3),
            ] {
                check::<f64>(rows, depth, columns, layout, 1e-10);
                check::<f32>(rows, depth, columns, layout, 1e-3);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let (a, b) = (numbers::<f32>(20 * 600, 1), numbers::<f32>(600 * 70, 2));
        let mut panels = Packed::default();
        panels.pack_panels(Matrix::new(&b, 600, 70, 70));
        let (mut all, mut alone) = (vec![0.0; 20 * 70], vec![0.0; 70]);
        product(MatrixMut::new(&mut all, 20, 70, 70), false, None, Matrix::new(&a, 20, 600, 600), &panels);
        for (a, all) in a.chunks(600).zip(all.chunks(70)) {
            product(MatrixMut::new(&mut alone, 1, 70, 70), false, None, Matrix::new(a, 1, 600, 600), &panels);
            assert_eq!(alone, all);
        }
    }
}
