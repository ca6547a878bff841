//! Makes boosted trees: histograms of gradients over binned columns, second-order gains (Chen and Guestrin 2016), one question for all
//! nodes of a level (as in CatBoost, Prokhorenkova et al. 2018).
//!
//! Every tree sees a part of the rows and of the columns, drawn from the seed. Sums are taken in row order and ties go
//! to the lower column, so the same rows give the same trees at any number of threads.

use super::{DEPTH, LEAVES, MAGIC, PASS};
use rayon::prelude::*;
use schemas::hash::Rng;

/// How trees are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How many.
    pub(crate) trees: usize,
    /// Part of a tree's answer that is added.
    pub(crate) rate: f64,
    /// Share of the rows that a tree sees.
    pub(crate) rows: f64,
    /// Share of the columns that a tree sees.
    pub(crate) columns: f64,
    /// Added to the curvature of every leaf (L2).
    pub(crate) calm: f64,
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

/// Sums of gradients and curvatures.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    slope: f64,
    curve: f64,
}

impl Cell {
    fn add(&mut self, other: &Self) {
        self.slope += other.slope;
        self.curve += other.curve;
    }

    fn less(&self, other: &Self) -> Self {
        Self { slope: self.slope - other.slope, curve: self.curve - other.curve }
    }

    fn worth(&self, calm: f64) -> f64 {
        self.slope * self.slope / (self.curve + calm)
    }
}

/// The question of a level.
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

impl Tree {
    /// The number of the leaf that a row of the table comes to.
    fn leaf(&self, table: &Table, row: usize) -> usize {
        let above = |(column, bin): &(u16, u8)| table.bins[usize::from(*column)][row] > *bin;
        self.splits.iter().fold(0, |leaf, split| 2 * leaf + usize::from(above(split)))
    }
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
        let rows = used.iter().filter(|r| rng.at(u64::from(**r)) <= limit(plan.rows));
        let drawn = rows.map(|r| {
            let (weight, target) = weigh(r);
            let p = 1.0 / (1.0 + (-sums[*r as usize]).exp());
            let cell = Cell {
                slope: unit * weight * (target - p),
                curve: (unit * weight * p * (1.0 - p)).max(1e-9),
            };
            Drawn { row: *r, node: 0, cell }
        });
        let draws = Rng::new(!plan.seed ^ (number as u64) << 32);
        let columns: Vec<usize> =
            (0..table.width).filter(|c| draws.at(*c as u64) <= limit(plan.columns)).collect();
        let tree = grow(table, drawn.collect(), &columns, plan);
        for row in &used {
            sums[*row as usize] += tree.leaves[tree.leaf(table, *row as usize)];
        }
        trees.push(tree);
    }
    write(table, &trees, base)
}

/// The draws that are below a share.
fn limit(share: f64) -> u64 {
    (share * u64::MAX as f64) as u64
}

/// A row that a tree sees: the node that it has come to, and its gradient.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    row: u32,
    node: u8,
    cell: Cell,
}

/// Grows one tree of some columns, level by level.
fn grow(table: &Table, mut rows: Vec<Drawn>, columns: &[usize], plan: &Plan) -> Tree {
    let mut tree = Tree { splits: Vec::new(), leaves: Vec::new() };
    let root = |column: &usize| histogram(table, *column, &rows, 1);
    let mut histograms: Vec<Vec<Cell>> = columns.par_iter().map(root).collect();
    for level in 0..DEPTH {
        let bests: Vec<Best> = columns
            .par_iter()
            .zip(&histograms)
            .filter_map(|(column, sums)| best(*column, sums, sums.len() >> level, plan.calm))
            .collect();
        let first = |a: Best, b: Best| if b.gain > a.gain { b } else { a };
        let found = bests.into_iter().reduce(first);
        tree.splits.push(found.map_or((0, PASS), |best| (best.column as u16, best.bin)));
        let mut counts = vec![0_u32; 2 << level];
        for drawn in &mut rows {
            let is_above = |best: Best| table.bins[best.column][drawn.row as usize] > best.bin;
            drawn.node = 2 * drawn.node + u8::from(found.is_some_and(is_above));
            counts[usize::from(drawn.node)] += 1;
        }
        if level + 1 < DEPTH {
            histograms = halved(table, &rows, &counts, columns, &histograms);
        }
    }
    let mut sums = vec![Cell::default(); LEAVES];
    for drawn in &rows {
        sums[usize::from(drawn.node)].add(&drawn.cell);
    }
    tree.leaves = sums.iter().map(|sum| plan.rate * sum.slope / (sum.curve + plan.calm)).collect();
    tree
}

/// The sums of every bin of a column in each of some nodes, node by node.
fn histogram(table: &Table, column: usize, rows: &[Drawn], nodes: usize) -> Vec<Cell> {
    let (bins, width) = (&table.bins[column], table.borders[column].len() + 1);
    let mut sums = vec![Cell::default(); nodes * width];
    for Drawn { row, node, cell } in rows {
        sums[usize::from(*node) * width + usize::from(bins[*row as usize])].add(cell);
    }
    sums
}

/// The histograms of the next level, whose nodes have so many rows: those of the smaller half of each node are summed, and
/// the other half's are what these leave.
fn halved(
    table: &Table,
    rows: &[Drawn],
    counts: &[u32],
    columns: &[usize],
    histograms: &[Vec<Cell>],
) -> Vec<Vec<Cell>> {
    let small = |node: usize| (counts[node], node) < (counts[node ^ 1], node ^ 1);
    let few: Vec<Drawn> = rows.iter().copied().filter(|drawn| small(usize::from(drawn.node))).collect();
    let halve = |(column, before): (&usize, &Vec<Cell>)| {
        let mut sums = histogram(table, *column, &few, counts.len());
        let width = sums.len() / counts.len();
        for (parent, (before, halves)) in
            before.chunks_exact(width).zip(sums.chunks_exact_mut(2 * width)).enumerate()
        {
            let (left, right) = halves.split_at_mut(width);
            let (summed, rest) = if small(2 * parent) { (left, right) } else { (right, left) };
            for (rest, (before, summed)) in rest.iter_mut().zip(before.iter().zip(summed)) {
                *rest = before.less(summed);
            }
        }
        sums
    };
    columns.par_iter().zip(histograms).map(halve).collect()
}

/// The border of a column that gains the most in all nodes of a level together; each has `width` bins.
fn best(column: usize, sums: &[Cell], width: usize, calm: f64) -> Option<Best> {
    let mut gains = vec![0.0; width - 1];
    for sums in sums.chunks_exact(width) {
        let mut total = Cell::default();
        sums.iter().for_each(|cell| total.add(cell));
        let whole = total.worth(calm);
        let mut left = Cell::default();
        for (gain, cell) in gains.iter_mut().zip(sums) {
            left.add(cell);
            *gain += left.worth(calm) + total.less(&left).worth(calm) - whole;
        }
    }
    let mut best: Option<Best> = None;
    for (bin, gain) in gains.into_iter().enumerate() {
        if gain > best.map_or(1e-6, |b| b.gain) {
            best = Some(Best { gain, column, bin: bin as u8 });
        }
    }
    best
}

fn write(table: &Table, trees: &[Tree], base: f64) -> Vec<u8> {
    let most = trees.iter().flat_map(|t| &t.leaves).fold(1e-9, |most: f64, leaf| most.max(leaf.abs()));
    let scale = (most / f64::from(i16::MAX)) as f32;
    let mut bytes = MAGIC.to_vec();
    for number in [table.width, trees.len()] {
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

    const PLAN: Plan = Plan { trees: 40, rate: 0.3, rows: 0.8, columns: 1.0, calm: 1.0, seed: 1 };

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
