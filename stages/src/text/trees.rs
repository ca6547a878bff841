//! Boosted decision trees (Friedman 2001): the sum of many small trees, as a probability.
//!
//! All trees are complete and of one depth, so a row walks down without a branch: node `n` has the children `2n + 1` and
//! `2n + 2`. The file is a header (magic, width of a row, depth, trees, bins), the borders of the bins of every column,
//! and for each tree its splits (column, bin) and the leaves in steps of one scale, all little-endian.

pub(crate) mod fit;

/// The first bytes of a file.
const MAGIC: &[u8; 4] = b"GTR1";
/// Splits that send every row to the left hold this bin.
const PASS: u8 = u8::MAX;
/// Rows that walk down side by side: one waits for its number while the others go on.
const ABREAST: usize = 8;
/// Deepest trees that are read.
const DEPTH_MAX: usize = 8;

/// One question: is the value in this column above the border?
#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    column: u32,
    border: f32,
}

/// Trees ready for use.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trees {
    width: usize,
    depth: usize,
    splits: Vec<Split>,
    leaves: Vec<f32>,
    base: f32,
}

/// What is read from the front of a file.
struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u16(&mut self) -> Option<usize> {
        self.take().map(|b| usize::from(u16::from_le_bytes(b)))
    }

    fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes)
    }
}

impl Trees {
    /// Reads a file; `None` where it is none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if &reader.take::<4>()? != MAGIC {
            return None;
        }
        let (width, depth, count) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let (base, scale) = (reader.f32()?, reader.f32()?);
        if depth == 0 || depth > DEPTH_MAX {
            return None;
        }
        let mut borders = Vec::with_capacity(width);
        for _ in 0..width {
            let bins = reader.u16()?;
            borders.push((0..bins).map(|_| reader.f32()).collect::<Option<Vec<f32>>>()?);
        }
        let inner = (1 << depth) - 1;
        let mut trees = Self { width, depth, splits: Vec::new(), leaves: Vec::new(), base };
        for _ in 0..count {
            for _ in 0..inner {
                let (column, [bin]) = (reader.u16()?, reader.take::<1>()?);
                let border =
                    if bin == PASS { f32::INFINITY } else { *borders.get(column)?.get(usize::from(bin))? };
                trees.splits.push(Split { column: (column < width).then_some(column as u32)?, border });
            }
            for _ in 0..=inner {
                trees.leaves.push(f32::from(i16::from_le_bytes(reader.take()?)) * scale);
            }
        }
        reader.0.is_empty().then_some(trees)
    }

    /// Values in a row.
    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// The probability of each row of `values`, rows of [`Self::width`] one behind the other.
    pub(crate) fn probabilities(&self, values: &[f32]) -> Vec<f32> {
        let mut sums = vec![self.base; values.len() / self.width.max(1)];
        let inner = (1 << self.depth) - 1;
        for (splits, leaves) in self.splits.chunks_exact(inner).zip(self.leaves.chunks_exact(inner + 1)) {
            for (sums, rows) in sums.chunks_mut(ABREAST).zip(values.chunks(ABREAST * self.width)) {
                let mut at = [0; ABREAST];
                for _ in 0..self.depth {
                    for (at, row) in at.iter_mut().zip(rows.chunks_exact(self.width)) {
                        let split = splits[*at];
                        *at = 2 * *at + 1 + usize::from(row[split.column as usize] > split.border);
                    }
                }
                for (sum, at) in sums.iter_mut().zip(at) {
                    *sum += leaves[at - inner];
                }
            }
        }
        sums.iter().map(|sum| 1.0 / (1.0 + exp(-*sum))).collect()
    }
}

/// The exponential function, by a power of two and a series: products and sums alone, so that every machine gives the same bits.
fn exp(x: f32) -> f32 {
    const TERMS: i32 = 12;
    let x = f64::from(x.clamp(-80.0, 80.0));
    let power = (x * std::f64::consts::LOG2_E).round();
    let rest = x - power * std::f64::consts::LN_2;
    let series = (1..=TERMS).rev().fold(1.0, |sum, n| 1.0 + rest / f64::from(n) * sum);
    (series * f64::from_bits(((1023 + power as i64) as u64) << 52)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right() {
        for n in -790..=790 {
            let x = n as f32 / 10.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 1e-7, "{x}: {found} {expected}");
        }
        assert_eq!((exp(0.0), exp(f32::NEG_INFINITY), exp(f32::INFINITY)), (1.0, exp(-80.0), exp(80.0)));
    }
}
