//! Boosted decision trees (Friedman 2001): the sum of many small trees, as a probability.
//!
//! All trees are oblivious (Kohavi 1994): one question for all nodes of a level, so that the answers to the questions are the
//! bits of the leaf's number, the first the highest, and many rows are asked at once without a branch. The file is a header
//! (magic, width of a row, trees, base, scale), the borders of the bins of every column, and for each tree its splits (column,
//! bin) and the leaves in steps of the scale, all little-endian.

pub(crate) mod fit;

/// The first bytes of a file.
const MAGIC: &[u8; 4] = b"GTR2";
/// Splits that send every row to the left hold this bin.
const PASS: u8 = u8::MAX;
/// Rows that are asked at once, column by column.
pub(crate) const ABREAST: usize = 32;
/// Questions from the root of a tree to a leaf.
const DEPTH: usize = 6;
/// Leaves of a tree.
const LEAVES: usize = 1 << DEPTH;

/// One question: is the value in this column above the border?
#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    column: usize,
    border: f32,
}

/// One tree.
#[derive(Debug, Clone, PartialEq)]
struct Tree {
    splits: [Split; DEPTH],
    leaves: [f32; LEAVES],
}

/// Trees ready for use.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trees {
    width: usize,
    trees: Vec<Tree>,
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
        let (width, count) = (reader.u16().filter(|width| *width > 0)?, reader.u16()?);
        let (base, scale) = (reader.f32()?, reader.f32()?);
        let mut borders = Vec::with_capacity(width);
        for _ in 0..width {
            let bins = reader.u16()?;
            borders.push((0..bins).map(|_| reader.f32()).collect::<Option<Vec<f32>>>()?);
        }
        let mut trees = Vec::with_capacity(count);
        for _ in 0..count {
            let mut splits = [Split { column: 0, border: f32::INFINITY }; DEPTH];
            for split in &mut splits {
                let (column, [bin]) = (reader.u16()?, reader.take::<1>()?);
                let borders = borders.get(column)?;
                let border = if bin == PASS { f32::INFINITY } else { *borders.get(usize::from(bin))? };
                *split = Split { column, border };
            }
            let mut leaves = [0.0; LEAVES];
            for leaf in &mut leaves {
                *leaf = f32::from(i16::from_le_bytes(reader.take()?)) * scale;
            }
            trees.push(Tree { splits, leaves });
        }
        reader.0.is_empty().then_some(Self { width, trees, base })
    }

    /// Values in a row.
    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// The probability of each row of `values`, rows of [`Self::width`] one behind the other.
    pub(crate) fn probabilities(&self, values: &[f32]) -> Vec<f32> {
        let mut probable = Vec::with_capacity(values.len() / self.width);
        let mut columns = vec![[0.0; ABREAST]; self.width];
        for rows in values.chunks(ABREAST * self.width) {
            for (number, row) in rows.chunks_exact(self.width).enumerate() {
                for (column, value) in columns.iter_mut().zip(row) {
                    column[number % ABREAST] = *value;
                }
            }
            let logistic = |sum: f32| 1.0 / (1.0 + exp(-sum));
            probable.extend(self.sums(&columns).into_iter().take(rows.len() / self.width).map(logistic));
        }
        probable
    }

    /// The sum of all trees, of each of the rows that stand side by side.
    fn sums(&self, columns: &[[f32; ABREAST]]) -> [f32; ABREAST] {
        let mut sums = [self.base; ABREAST];
        for tree in &self.trees {
            add(&tree.leaves, &leaves(&tree.splits, columns), &mut sums);
        }
        sums
    }
}

/// The leaf of a tree that each row comes to. Not inlined: with the number of splits in sight the compiler unrolls them into questions of
/// one row each.
#[inline(never)]
fn leaves(splits: &[Split], columns: &[[f32; ABREAST]]) -> [u32; ABREAST] {
    let mut leaves = [0; ABREAST];
    for split in splits {
        for (leaf, value) in leaves.iter_mut().zip(&columns[split.column]) {
            *leaf = 2 * *leaf + u32::from(*value > split.border);
        }
    }
    leaves
}

/// Adds to each row the value of its leaf. Not inlined: among other work the compiler finds no register for where the values begin.
#[inline(never)]
fn add(values: &[f32; LEAVES], leaves: &[u32; ABREAST], sums: &mut [f32; ABREAST]) {
    for (sum, leaf) in sums.iter_mut().zip(leaves) {
        *sum += values[*leaf as usize % LEAVES];
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
