//! What the second look at a block sees: how probable the first look finds what is around it.
//!
//! Blocks that look alike, that share an element or stand side by side are content together or not at all; the first look
//! judges each by itself. The second sees its verdicts on all of them (auto-context, Tu and Bai 2010), and what the first saw of
//! the block.

use super::around::CONTAINERS;
use super::features::{FAR, NONE, PAGE, ROWS, WIDTH as FIRST};
use super::ranking::Ranking;
use crate::text::keys::KeyMap;
use std::ops::Range;

/// Numbers of a block at the first look; the second sees them too, and those of the page.
pub(super) const OWN: usize = FIRST - PAGE;
/// Numbers of a row.
pub(crate) const WIDTH: usize =
    OWN + 1 + BESIDE.len() + 4 + 5 + 2 * CONTAINERS + 2 * WINDOWS.len() + 4 + 4 + PAGE;
/// Blocks before and behind that are described.
const BESIDE: [isize; 6] = [-3, -2, -1, 1, 2, 3];
/// Blocks on both sides whose mean is described.
const WINDOWS: [usize; 2] = [5, 12];
/// Probability from which on a block is surely content.
const SURE: f32 = 0.7;
/// What the blocks behind a block of a section weigh against it, in the mean that is told to the heading.
const LASTING: f32 = 0.6;

/// What is kept of a page between the two looks: the blocks that the first was asked about.
#[derive(Debug, Default)]
pub(crate) struct Between {
    /// What each block counts for, with those that it speaks for.
    pub(super) sizes: Vec<f32>,
    pub(super) headings: Vec<bool>,
    /// The groups that each block is in, as in `Shape`.
    pub(super) leaves: Vec<u64>,
    pub(super) paths: Vec<u64>,
    /// The blocks of the elements around each.
    pub(super) containers: Vec<[Option<Range<u32>>; CONTAINERS]>,
    /// [`OWN`] numbers of each, and those of the page.
    pub(super) own: Vec<f32>,
    pub(super) page: Vec<f32>,
}

/// Sums over the probabilities of some blocks, fine enough for differences of sums over a long page.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    size: f64,
    /// Sizes times probabilities.
    hit: f64,
    probable: f64,
    blocks: f64,
}

impl Sums {
    fn add(&mut self, size: f32, probable: f32) {
        let (size, probable) = (f64::from(size), f64::from(probable));
        self.size += size;
        self.hit += size * probable;
        self.probable += probable;
        self.blocks += 1.0;
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            size: self.size - before.size,
            hit: self.hit - before.hit,
            probable: self.probable - before.probable,
            blocks: self.blocks - before.blocks,
        }
    }

    fn mean(&self) -> f32 {
        if self.size > 0.0 { (self.hit / self.size) as f32 } else { 0.0 }
    }

    fn plain_mean(&self) -> f32 {
        (self.probable / self.blocks) as f32
    }

    /// The mean of the others, and the plain mean of all.
    fn of_others(&self, size: f32, probable: f32) -> [f32; 2] {
        let mut one = Self::default();
        one.add(size, probable);
        let others = if self.blocks > 1.0 { self.since(&one).mean().clamp(0.0, 1.0) } else { NONE };
        [others, self.plain_mean()]
    }
}

/// The verdicts of the first look, summed up.
struct Verdicts<'b> {
    between: &'b Between,
    probable: &'b [f32],
    /// Sums over the blocks before each.
    before: Vec<Sums>,
    leaves: KeyMap<Sums>,
    paths: KeyMap<Sums>,
    ranking: Ranking,
    /// The place of each block in the ranking.
    places: Vec<usize>,
    /// The least that the plug-in rule takes, and what it expects.
    cut: (f32, f32),
    most: f32,
    /// Blocks to the next sure one behind each, and for headings what their section is.
    to_sure: Vec<f32>,
    sections: Vec<f32>,
}

impl Between {
    /// With room for `blocks`, on a page of these numbers.
    pub(super) fn new(page: &[f32], blocks: usize) -> Self {
        Self {
            sizes: vec![0.0; blocks],
            headings: Vec::with_capacity(blocks),
            leaves: Vec::with_capacity(blocks),
            paths: Vec::with_capacity(blocks),
            containers: Vec::with_capacity(blocks),
            own: Vec::with_capacity(OWN * blocks),
            page: page.to_vec(),
        }
    }

    /// Describes every block by the probabilities of the first look: `each` is given rows of [`WIDTH`] numbers, a few at a time.
    pub(crate) fn rows(&self, probable: &[f32], mut each: impl FnMut(&[f32])) {
        let verdicts = Verdicts::new(self, probable);
        let mut rows = Vec::with_capacity(WIDTH * probable.len().min(ROWS));
        let (mut since_sure, mut heading) = (FAR, NONE);
        for (at, &here) in probable.iter().enumerate() {
            rows.extend_from_slice(&self.own[at * OWN..(at + 1) * OWN]);
            verdicts.alike(at, &mut rows);
            verdicts.around(at, &mut rows);
            verdicts.place(at, &mut rows);
            rows.extend([since_sure, verdicts.to_sure[at], heading, verdicts.sections[at]]);
            rows.extend_from_slice(&self.page);
            if rows.len() == ROWS * WIDTH {
                each(&rows);
                rows.clear();
            }
            since_sure = if here > SURE { 1.0 } else { (since_sure + 1.0).min(FAR) };
            heading = if self.headings[at] { here } else { heading };
        }
        if !rows.is_empty() {
            each(&rows);
        }
    }
}

impl<'b> Verdicts<'b> {
    fn new(between: &'b Between, probable: &'b [f32]) -> Self {
        let (mut sum, mut before) = (Sums::default(), Vec::with_capacity(probable.len() + 1));
        let (mut leaves, mut paths) = (KeyMap::<Sums>::default(), KeyMap::<Sums>::default());
        for (at, (&size, &here)) in between.sizes.iter().zip(probable).enumerate() {
            before.push(sum);
            sum.add(size, here);
            leaves.entry(between.leaves[at]).or_default().add(size, here);
            paths.entry(between.paths[at]).or_default().add(size, here);
        }
        before.push(sum);
        let ranking = Ranking::new(&between.sizes, probable);
        let mut places = vec![0; probable.len()];
        ranking.order.iter().enumerate().for_each(|(place, at)| places[*at] = place);
        let (mut to_sure, mut sections) = (vec![FAR; probable.len()], vec![NONE; probable.len()]);
        let (mut distance, mut section) = (FAR, NONE);
        for (at, &here) in probable.iter().enumerate().rev() {
            to_sure[at] = distance;
            distance = if here > SURE { 1.0 } else { (distance + 1.0).min(FAR) };
            if between.headings[at] {
                sections[at] = section;
                section = NONE;
            } else {
                section = if section == NONE { here } else { (1.0 - LASTING) * here + LASTING * section };
            }
        }
        let (cut, most) = (ranking.cut(probable, 1.0), probable.iter().copied().fold(0.0, f32::max));
        Self { between, probable, before, leaves, paths, ranking, places, cut, most, to_sure, sections }
    }

    fn sums(&self, range: Range<usize>) -> Sums {
        self.before[range.end].since(&self.before[range.start])
    }

    fn total(&self) -> &Sums {
        &self.before[self.probable.len()]
    }

    /// Share of all that is probable.
    fn share(&self, hit: f64) -> f32 {
        (hit / self.total().hit.max(f64::MIN_POSITIVE)) as f32
    }

    /// Itself, its neighbours, and the blocks that look like it.
    fn alike(&self, at: usize, row: &mut Vec<f32>) {
        let (size, here) = (self.between.sizes[at], self.probable[at]);
        row.push(here);
        row.extend(BESIDE.map(|step| {
            at.checked_add_signed(step).and_then(|other| self.probable.get(other)).copied().unwrap_or(NONE)
        }));
        for (groups, key) in [(&self.leaves, self.between.leaves[at]), (&self.paths, self.between.paths[at])]
        {
            row.extend(groups[&key].of_others(size, here));
        }
    }

    /// The page, and the elements around the block.
    fn around(&self, at: usize, row: &mut Vec<f32>) {
        let (least, expected) = self.cut;
        row.extend([self.total().mean(), least, expected, self.total().hit as f32, self.most]);
        for container in &self.between.containers[at] {
            match container {
                Some(range) => {
                    let sums = self.sums(range.start as usize..range.end as usize);
                    row.extend([sums.mean(), self.share(sums.hit)]);
                }
                None => row.extend([NONE; 2]),
            }
        }
    }

    /// What stands near the block, and where it stands among all.
    fn place(&self, at: usize, row: &mut Vec<f32>) {
        let count = self.probable.len();
        for reach in WINDOWS {
            let sums = self.sums(at.saturating_sub(reach)..(at + reach + 1).min(count));
            row.extend([sums.mean(), sums.plain_mean()]);
        }
        let (place, total) = (self.places[at], self.total());
        row.extend([
            self.share(self.before[at].hit),
            self.share(total.hit - self.before[at + 1].hit),
            place as f32 / count as f32,
            self.ranking.kept[place] / total.size as f32,
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heading and two paragraphs that look alike, in one element, and a footer.
    fn between() -> Between {
        Between {
            sizes: vec![1.0, 8.0, 2.0, 4.0],
            headings: vec![true, false, false, false],
            leaves: vec![1, 2, 2, 3],
            paths: vec![1, 2, 2, 2],
            containers: vec![[Some(0..3), Some(0..4), None, None, None]; 4],
            own: vec![0.5; 4 * OWN],
            page: vec![0.25; PAGE],
        }
    }

    fn check(probable: &[f32], block: usize, from: usize, expected: &[f32]) {
        let (mut rows, mut calls) = (Vec::new(), 0);
        between().rows(probable, |some| {
            rows.extend_from_slice(some);
            calls += 1;
        });
        assert_eq!((rows.len(), calls), (4 * WIDTH, 1));
        let row = &rows[block * WIDTH..(block + 1) * WIDTH];
        assert!(row[..OWN].iter().all(|n| *n == 0.5) && row[WIDTH - PAGE..].iter().all(|n| *n == 0.25));
        let found = &row[OWN + from..OWN + from + expected.len()];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
    }

    #[test]
    fn a_block_is_seen_among_the_others() {
        let probable = [0.25, 1.0, 0.5, 0.0];
        // Itself, three before and three behind, its leaf and its path: the others weighted, all plainly.
        check(&probable, 1, 0, &[1.0, NONE, NONE, 0.25, 0.5, 0.0, NONE, 0.5, 0.75, 1.0 / 6.0, 0.5]);
        check(&probable, 0, 7, &[NONE, 0.25, NONE, 0.25]);
        // The page: 9.25 of 15 words are probable; both paragraphs together are expected to be the best.
        check(&probable, 0, 11, &[9.25 / 15.0, 0.5, 18.0 / 19.25, 9.25, 1.0]);
        check(&probable, 3, 16, &[9.25 / 11.0, 1.0, 9.25 / 15.0, 1.0, NONE, NONE]);
        // Before and behind it, its rank, and what is taken with it.
        check(&probable, 2, 30, &[8.25 / 9.25, 0.0, 0.25, 10.0 / 15.0]);
        // Blocks to a sure one, the heading above, the section below.
        check(&probable, 0, 34, &[FAR, 1.0, NONE, 0.4 + 0.6 * (0.4 * 0.5)]);
        check(&probable, 3, 34, &[2.0, FAR, 0.25, NONE]);
    }

    #[test]
    fn nothing_is_probable() {
        check(&[0.0; 4], 1, 11, &[0.0, 0.0, 0.0, 0.0, 0.0]);
        Between::default().rows(&[], |_| unreachable!("there is no block"));
    }
}
