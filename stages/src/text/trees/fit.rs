//! Makes boosted trees: histograms of gradients over binned columns, second-order gains (Chen and Guestrin 2016).
//!
//! Trees grow level by level to one depth. Every tree sees a part of the rows and of the columns, drawn from the seed.
//! Sums are taken in row order and ties go to the lower column, so the same rows give the same trees at any number
//! of threads.

use super::{MAGIC, PASS};
use rayon::prelude::*;
use schemas::hash::Rng;

/// How trees are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How many.
    pub(crate) trees: usize,
    /// Questions from the root to a leaf.
    pub(crate) depth: usize,
    /// Part of a tree's answer that is added.
    pub(crate) rate: f64,
    /// Share of the rows that a tree sees.
    pub(crate) rows: f64,
    /// Share of the columns that a tree sees.
    pub(crate) columns: f64,
    /// Added to the curvature of every leaf (L2).
    pub(crate) calm: f64,
    /// Least rows of a leaf.
    pub(crate) leaf_min: usize,
    /// What the draws are a function of.
    pub(crate) seed: u64,
}

/// Most bins of a column.
const BINS: usize = 64;

/// Rows to learn from, binned by column.
#[derive(Debug)]
pub(crate) struct Table {
    width: usize,
    len: usize,
    borders: Vec<Vec<f32>>,
    bins: Vec<Vec<u8>>,
}

impl Table {
    /// Bins rows of `width` values: borders between the values of equally many rows.
    pub(crate) fn new(values: &[f32], width: usize) -> Self {
        let len = values.len() / width;
        let column = |c: usize| (0..len).map(move |r| values[r * width + c]);
        let borders: Vec<Vec<f32>> = (0..width)
            .into_par_iter()
            .map(|c| {
                let mut sorted: Vec<f32> = column(c).collect();
                sorted.sort_unstable_by(f32::total_cmp);
                let mut borders: Vec<f32> = Vec::new();
                for n in 1..BINS {
                    let at = n * len / BINS;
                    // Between this value and the next larger one.
                    let above = at + sorted[at..].partition_point(|v| *v <= sorted[at]);
                    if above < len {
                        borders.push(sorted[at].midpoint(sorted[above]));
                    }
                }
                borders.dedup();
                borders
            })
            .collect();
        let bins = borders
            .par_iter()
            .enumerate()
            .map(|(c, borders)| column(c).map(|v| borders.partition_point(|b| v > *b) as u8).collect())
            .collect();
        Self { width, len, borders, bins }
    }

    /// Rows.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

/// Sums of gradients, curvatures and rows.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    slope: f64,
    curve: f64,
    rows: u32,
}

impl Cell {
    fn add(&mut self, other: &Self) {
        self.slope += other.slope;
        self.curve += other.curve;
        self.rows += other.rows;
    }

    fn less(&self, other: &Self) -> Self {
        Self {
            slope: self.slope - other.slope,
            curve: self.curve - other.curve,
            rows: self.rows - other.rows,
        }
    }

    fn worth(&self, calm: f64) -> f64 {
        self.slope * self.slope / (self.curve + calm)
    }
}

/// The best question of a node.
#[derive(Debug, Clone, Copy)]
struct Best {
    gain: f64,
    column: usize,
    bin: u8,
}

/// One tree: splits as (column, bin), leaves as added to the sum.
#[derive(Debug)]
struct Tree {
    splits: Vec<(u16, u8)>,
    leaves: Vec<f64>,
}

/// Learns `targets` (0 to 1), each row with its weight, from the rows whose weight is above zero; the bytes of a file.
pub(crate) fn fit(table: &Table, targets: &[f32], weights: &[f32], plan: &Plan) -> Vec<u8> {
    let used: Vec<u32> = (0..table.len() as u32).filter(|r| weights[*r as usize] > 0.0).collect();
    let weigh = |r: &u32| (f64::from(weights[*r as usize]), f64::from(targets[*r as usize]));
    let (mass, hits) = used.iter().map(weigh).fold((1e-9, 0.0), |(m, h), (w, t)| (m + w, h + w * t));
    let share = (hits / mass).clamp(1e-3, 1.0 - 1e-3);
    let base = (share / (1.0 - share)).ln();
    let mut sums = vec![base; table.len()];
    let mut trees = Vec::with_capacity(plan.trees);
    // Weights are brought to a mean of one, so that `calm` means the same for all.
    let unit = used.len() as f64 / mass;
    for number in 0..plan.trees {
        let rng = Rng::new(plan.seed ^ (number as u64) << 32);
        let limit = |share: f64| (share * u64::MAX as f64) as u64;
        let rows: Vec<u32> =
            used.iter().copied().filter(|r| rng.at(u64::from(*r)) <= limit(plan.rows)).collect();
        let draws = Rng::new(!plan.seed ^ (number as u64) << 32);
        let columns: Vec<usize> =
            (0..table.width).filter(|c| draws.at(*c as u64) <= limit(plan.columns)).collect();
        let slopes: Vec<(f64, f64)> = rows
            .iter()
            .map(|r| {
                let (weight, target) = weigh(r);
                let p = 1.0 / (1.0 + (-sums[*r as usize]).exp());
                (unit * weight * (target - p), (unit * weight * p * (1.0 - p)).max(1e-9))
            })
            .collect();
        let tree = grow(table, rows, slopes, &columns, plan);
        for row in &used {
            sums[*row as usize] += answer(table, &tree, *row as usize);
        }
        trees.push(tree);
    }
    write(table, &trees, base, plan.depth)
}

/// A node in the making: its rows with their gradients.
struct Open {
    rows: Vec<u32>,
    slopes: Vec<(f64, f64)>,
    cells: Vec<Vec<Cell>>,
}

impl Open {
    fn new(table: &Table, rows: Vec<u32>, slopes: Vec<(f64, f64)>, columns: &[usize]) -> Self {
        let mut open = Self { rows, slopes, cells: Vec::new() };
        open.cells = columns.par_iter().map(|c| open.histogram(table, *c)).collect();
        open
    }

    fn histogram(&self, table: &Table, column: usize) -> Vec<Cell> {
        let mut cells = vec![Cell::default(); table.borders[column].len() + 1];
        let bins = &table.bins[column];
        for (row, (slope, curve)) in self.rows.iter().zip(&self.slopes) {
            cells[usize::from(bins[*row as usize])].add(&Cell { slope: *slope, curve: *curve, rows: 1 });
        }
        cells
    }

    fn total(&self) -> Cell {
        self.slopes.iter().fold(Cell::default(), |mut sum, (slope, curve)| {
            sum.add(&Cell { slope: *slope, curve: *curve, rows: 1 });
            sum
        })
    }

    fn best(&self, columns: &[usize], plan: &Plan) -> Option<Best> {
        let total = self.total();
        let whole = total.worth(plan.calm);
        let mut best: Option<Best> = None;
        for (column, cells) in columns.iter().zip(&self.cells) {
            let mut left = Cell::default();
            for (bin, cell) in cells[..cells.len() - 1].iter().enumerate() {
                left.add(cell);
                let right = total.less(&left);
                if (left.rows.min(right.rows) as usize) < plan.leaf_min {
                    continue;
                }
                let gain = left.worth(plan.calm) + right.worth(plan.calm) - whole;
                if gain > best.map_or(1e-6, |b| b.gain) {
                    best = Some(Best { gain, column: *column, bin: bin as u8 });
                }
            }
        }
        best
    }

    /// The two halves; the larger one's histograms are what the smaller one leaves.
    fn cut(self, table: &Table, best: Best, columns: &[usize]) -> (Self, Self) {
        let (mut left, mut right) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        let bins = &table.bins[best.column];
        for (row, slope) in self.rows.iter().zip(&self.slopes) {
            let side = if bins[*row as usize] > best.bin { &mut right } else { &mut left };
            side.0.push(*row);
            side.1.push(*slope);
        }
        let swapped = left.0.len() > right.0.len();
        let (small, large) = if swapped { (right, left) } else { (left, right) };
        let small = Self::new(table, small.0, small.1, columns);
        let rest =
            |(all, part): (Vec<Cell>, &Vec<Cell>)| all.iter().zip(part).map(|(a, p)| a.less(p)).collect();
        let cells = self.cells.into_iter().zip(&small.cells).map(rest).collect();
        let large = Self { rows: large.0, slopes: large.1, cells };
        if swapped { (large, small) } else { (small, large) }
    }
}

fn grow(table: &Table, rows: Vec<u32>, slopes: Vec<(f64, f64)>, columns: &[usize], plan: &Plan) -> Tree {
    let mut level = vec![Some(Open::new(table, rows, slopes, columns))];
    let mut tree = Tree { splits: Vec::new(), leaves: Vec::new() };
    for _ in 0..plan.depth {
        let mut next = Vec::with_capacity(2 * level.len());
        for open in level {
            let best = open.as_ref().and_then(|open| open.best(columns, plan));
            match (open, best) {
                (Some(open), Some(best)) => {
                    tree.splits.push((best.column as u16, best.bin));
                    let (left, right) = open.cut(table, best, columns);
                    next.extend([Some(left), Some(right)]);
                }
                (open, _) => {
                    tree.splits.push((0, PASS));
                    next.extend([open, None]);
                }
            }
        }
        level = next;
    }
    let leaf = |open: Option<Open>| {
        open.map_or(0.0, |open| {
            let total = open.total();
            plan.rate * total.slope / (total.curve + plan.calm)
        })
    };
    tree.leaves = level.into_iter().map(leaf).collect();
    tree
}

fn answer(table: &Table, tree: &Tree, row: usize) -> f64 {
    let mut at = 0;
    while let Some((column, bin)) = tree.splits.get(at) {
        at = 2 * at + 1 + usize::from(table.bins[usize::from(*column)][row] > *bin);
    }
    tree.leaves[at - tree.splits.len()]
}

fn write(table: &Table, trees: &[Tree], base: f64, depth: usize) -> Vec<u8> {
    let most = trees.iter().flat_map(|t| &t.leaves).fold(1e-9, |most: f64, leaf| most.max(leaf.abs()));
    let scale = (most / f64::from(i16::MAX)) as f32;
    let mut bytes = MAGIC.to_vec();
    for number in [table.width, depth, trees.len()] {
        bytes.extend((number as u16).to_le_bytes());
    }
    bytes.extend((base as f32).to_le_bytes());
    bytes.extend(scale.to_le_bytes());
    for borders in &table.borders {
        bytes.extend((borders.len() as u16).to_le_bytes());
        bytes.extend(borders.iter().flat_map(|b| b.to_le_bytes()));
    }
    for tree in trees {
        for (column, bin) in &tree.splits {
            bytes.extend(column.to_le_bytes());
            bytes.push(*bin);
        }
        for leaf in &tree.leaves {
            bytes.extend(((leaf / f64::from(scale)).round() as i16).to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::Trees;
    use super::*;

    const PLAN: Plan =
        Plan { trees: 40, depth: 3, rate: 0.3, rows: 0.8, columns: 1.0, calm: 1.0, leaf_min: 5, seed: 1 };

    /// Rows whose answer is whether the first two values are on the same side of a half; the third is noise.
    fn rows() -> (Vec<f32>, Vec<f32>) {
        let mut rng = Rng::new(7);
        let values: Vec<f32> = (0..3000).map(|_| rng.next_f64() as f32).collect();
        let targets =
            values.chunks(3).map(|row| f32::from(u8::from((row[0] > 0.5) == (row[1] > 0.5)))).collect();
        (values, targets)
    }

    #[test]
    fn trees_learn_what_no_line_tells_apart() {
        let (values, targets) = rows();
        let table = Table::new(&values, 3);
        let bytes = fit(&table, &targets, &[1.0; 1000], &PLAN);
        assert_eq!(bytes, fit(&table, &targets, &[1.0; 1000], &PLAN));
        let trees = Trees::read(&bytes).unwrap();
        let found = trees.probabilities(&values);
        let right = found.iter().zip(&targets).filter(|(p, t)| (**p > 0.5) == (**t > 0.5));
        assert!(right.count() > 960);
        assert_eq!(trees.width(), 3);
    }

    #[test]
    fn rows_of_no_weight_say_nothing() {
        let (values, targets) = rows();
        let weights: Vec<f32> = (0..1000).map(|r| f32::from(u8::from(r < 500))).collect();
        let mut changed = targets.clone();
        changed[500..].fill(0.0);
        let table = Table::new(&values, 3);
        assert_eq!(fit(&table, &targets, &weights, &PLAN), fit(&table, &changed, &weights, &PLAN));
    }

    #[test]
    fn a_file_that_is_cut_is_none() {
        let (values, targets) = rows();
        let bytes = fit(&Table::new(&values, 3), &targets, &[1.0; 1000], &Plan { trees: 2, ..PLAN });
        assert!(Trees::read(&bytes).is_some());
        for end in [0, 3, 10, bytes.len() - 1] {
            assert!(Trees::read(&bytes[..end]).is_none());
        }
    }
}
