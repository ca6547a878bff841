//! Products of matrices that lie in slices with any strides: one checked door to the crate `gemm`.
//!
//! ```text
//! multiply(destination, keep, lhs, rhs, scale):   destination ← (keep ? destination : 0) + scale · lhs · rhs
//! ```
//! A product runs on one thread. Callers cut rows into tasks by shape, which keeps the bits equal at any thread
//! count; accumulating into the destination spares gradients a temporary and a zero fill.

use super::Real;

/// A matrix to read.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    strides: (usize, usize),
}

fn assert_inside(length: usize, rows: usize, columns: usize, strides: (usize, usize)) {
    let last = (rows.max(1) - 1) * strides.0 + (columns.max(1) - 1) * strides.1;
    assert!(
        rows * columns == 0 || last < length,
        "{rows} × {columns} at {strides:?} leaves {length} numbers"
    );
}

impl<'a, T> Matrix<'a, T> {
    /// Rows of `columns` numbers that start `stride` apart.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize, stride: usize) -> Self {
        assert_inside(data.len(), rows, columns, (stride, 1));
        Self { data, rows, columns, strides: (stride, 1) }
    }

    /// `count` rows from row `first` on.
    pub(crate) fn rows(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.rows, "rows {first} + {count} of {}", self.rows);
        // A matrix of no columns may end before its last row.
        Self { data: &self.data[(first * self.strides.0).min(self.data.len())..], rows: count, ..self }
    }

    /// `count` columns from column `first` on.
    pub(super) fn columns(self, first: usize, count: usize) -> Self {
        self.transposed().rows(first, count).transposed()
    }

    /// How many rows.
    pub(crate) const fn row_count(self) -> usize {
        self.rows
    }

    /// How many columns.
    pub(crate) const fn column_count(self) -> usize {
        self.columns
    }

    /// Whether the numbers of a row lie side by side; else those of a column do.
    pub(super) const fn has_rows(self) -> bool {
        self.strides.1 == 1
    }

    /// `count` numbers of a row from a column on, where they lie side by side.
    #[inline(always)]
    pub(super) fn run(self, row: usize, column: usize, count: usize) -> &'a [T] {
        &self.data[row * self.strides.0 + column..][..count]
    }

    /// Swaps rows and columns.
    pub(crate) const fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, strides: (self.strides.1, self.strides.0), ..self }
    }
}

/// A matrix to write: rows that do not overlap.
pub(crate) struct MatrixMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// Rows of `columns` numbers that start `stride` apart.
    pub(crate) fn new(data: &'a mut [T], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows <= 1 || stride >= columns, "rows of {columns} overlap at stride {stride}");
        assert_inside(data.len(), rows, columns, (stride, 1));
        Self { data, rows, columns, stride }
    }

    /// Numbers, rows, columns, stride.
    pub(super) fn into_parts(self) -> (&'a mut [T], usize, usize, usize) {
        (self.data, self.rows, self.columns, self.stride)
    }
}

/// `destination ← (keep ? destination : 0) + scale · lhs · rhs`, on this thread.
pub(crate) fn multiply<T: Real>(
    destination: MatrixMut<'_, T>,
    keep: bool,
    lhs: Matrix<'_, T>,
    rhs: Matrix<'_, T>,
    scale: T,
) {
    assert_eq!((destination.rows, destination.columns), (lhs.rows, rhs.columns), "shape of the product");
    assert_eq!(lhs.columns, rhs.rows, "inner dimension");
    let stride = |n: usize| isize::try_from(n).expect("a stride is below the length of a slice");
    #[expect(
        unsafe_code,
        reason = "gemm takes pointers; every index was checked when the matrices were made"
    )]
    // SAFETY: `Matrix::new` and `MatrixMut::new` checked that the greatest index of each lies inside its slice, the
    // borrows keep the slices alive and the destination apart from both operands, its rows do not overlap, and the
    // asserts above tie the three shapes together.
    unsafe {
        gemm::gemm(
            destination.rows,
            destination.columns,
            lhs.columns,
            destination.data.as_mut_ptr(),
            1,
            stride(destination.stride),
            keep,
            lhs.data.as_ptr(),
            stride(lhs.strides.1),
            stride(lhs.strides.0),
            rhs.data.as_ptr(),
            stride(rhs.strides.1),
            stride(rhs.strides.0),
            T::ONE,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_plain_loops() {
        let a: Vec<f64> = (0..6).map(f64::from).collect(); // 2 × 3
        let b: Vec<f64> = (0..12).map(|i| f64::from(i) - 4.0).collect(); // 3 × 4
        let mut c = vec![1.0; 10]; // 2 × 4 at stride 5
        let (lhs, rhs) = (Matrix::new(&a, 2, 3, 3), Matrix::new(&b, 3, 4, 4));
        multiply(MatrixMut::new(&mut c, 2, 4, 5), true, lhs, rhs, 2.0);
        assert_eq!(c, [17.0, 23.0, 29.0, 35.0, 1.0, 17.0, 41.0, 65.0, 89.0, 1.0]);
        let mut d = vec![9.0; 8]; // the transposed product, 4 × 2
        multiply(MatrixMut::new(&mut d, 4, 2, 2), false, rhs.transposed(), lhs.transposed(), 1.0);
        assert_eq!(d, [8.0, 8.0, 11.0, 20.0, 14.0, 32.0, 17.0, 44.0]);
    }

    #[test]
    #[should_panic(expected = "leaves 5 numbers")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        let _ = Matrix::new(&[0.0_f32; 5], 2, 3, 3);
    }
}
