//! Best-fit decreasing by counts: which row each piece goes to, from the lengths alone.
//!
//! The longest piece first, each into the row with the least space that still holds it ("Fewer Truncations Improve Language
//! Modeling", arXiv 2404.10830). Lengths and free spaces are whole numbers up to the length of a row, so pieces are sorted by
//! counting, rows stand in one stack for each free space, and the least space that is enough is the next bit of a set. Work
//! for a piece does not grow with the number of rows.
//!
//! ```text
//! rows of 8, pieces of 7 2 6 1  →  rows 0 1 1 0
//! ```

/// No row: the end of a stack.
const NONE: u32 = u32::MAX;

/// The row of each piece and the number of rows.
///
/// # Panics
/// When a piece is empty or longer than `length`.
pub(super) fn best_fit(lengths: &[u32], length: usize) -> (Vec<u32>, usize) {
    let mut stacks = Stacks { heads: vec![NONE; length + 1], next: Vec::new(), spaces: Spaces::new(length) };
    let mut row_of = vec![NONE; lengths.len()];
    for at in longest_first(lengths, length) {
        let needed = lengths[at as usize] as usize;
        let (row, free) = stacks.take(needed).unwrap_or_else(|| (stacks.open(), length));
        row_of[at as usize] = row;
        stacks.put(row, free - needed);
    }
    (row_of, stacks.next.len())
}

/// Places of the pieces, the longest first, equal ones in order.
fn longest_first(lengths: &[u32], length: usize) -> Vec<u32> {
    let mut starts = vec![0_u32; length + 1];
    lengths.iter().for_each(|&n| starts[n as usize] += 1);
    let mut before = 0;
    for start in starts.iter_mut().rev() {
        before += std::mem::replace(start, before);
    }
    assert!(starts[0] == before, "no piece is empty");
    let mut sorted = vec![0; lengths.len()];
    for (at, &n) in lengths.iter().enumerate() {
        let start = &mut starts[n as usize];
        sorted[*start as usize] = at as u32;
        *start += 1;
    }
    sorted
}

/// Open rows in one stack for each free space.
struct Stacks {
    /// The last row with so much space.
    heads: Vec<u32>,
    /// The row below each row in its stack.
    next: Vec<u32>,
    spaces: Spaces,
}

impl Stacks {
    /// Takes a row with the least space that is enough, and tells the space.
    fn take(&mut self, needed: usize) -> Option<(u32, usize)> {
        let free = self.spaces.least_from(needed)?;
        let row = self.heads[free];
        self.heads[free] = self.next[row as usize];
        if self.heads[free] == NONE {
            self.spaces.remove(free);
        }
        Some((row, free))
    }

    /// A row without pieces.
    fn open(&mut self) -> u32 {
        self.next.push(NONE);
        self.next.len() as u32 - 1
    }

    /// Gives a row back with the space that is left in it; a full one is done with.
    fn put(&mut self, row: u32, free: usize) {
        if free > 0 {
            self.next[row as usize] = std::mem::replace(&mut self.heads[free], row);
            self.spaces.insert(free);
        }
    }
}

/// A set of numbers that finds the least from a bound on: bits, and bits of the words that have any, two levels up.
struct Spaces([Vec<u64>; 3]);

impl Spaces {
    fn new(most: usize) -> Self {
        let words = |bits: usize| vec![0; bits / 64 + 1];
        Self([words(most), words(most / 64), words(most / 4096)])
    }

    fn insert(&mut self, mut number: usize) {
        for level in &mut self.0 {
            level[number / 64] |= 1 << (number % 64);
            number /= 64;
        }
    }

    fn remove(&mut self, mut number: usize) {
        for level in &mut self.0 {
            level[number / 64] &= !(1 << (number % 64));
            if level[number / 64] != 0 {
                break;
            }
            number /= 64;
        }
    }

    fn least_from(&self, bound: usize) -> Option<usize> {
        let from = |level: usize, bound: usize| {
            let word = self.0[level].get(bound / 64)? & (u64::MAX << (bound % 64));
            (word != 0).then(|| bound / 64 * 64 + word.trailing_zeros() as usize)
        };
        let first = |level: usize, word: usize| word * 64 + self.0[level][word].trailing_zeros() as usize;
        if let Some(found) = from(0, bound) {
            return Some(found);
        }
        if let Some(word) = from(1, bound / 64 + 1) {
            return Some(first(0, word));
        }
        // Of the top level there are few words: 131,072 numbers have one.
        let top = bound / 4096 + 1;
        let word = from(2, top).or_else(|| {
            let mut words = (top / 64 + 1)..self.0[2].len();
            words.find(|&word| self.0[2][word] != 0).map(|word| first(2, word))
        })?;
        Some(first(0, first(1, word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
    use std::collections::BTreeSet;

    /// The same by looking at every open row.
    fn slow(lengths: &[u32], length: usize) -> (Vec<u32>, usize) {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(lengths[at]));
        // Free space of each row, and when it got that.
        let mut rows: Vec<(usize, usize)> = Vec::new();
        let mut row_of = vec![0; lengths.len()];
        for (time, at) in order.into_iter().enumerate() {
            let needed = lengths[at] as usize;
            let fitting = rows.iter().enumerate().filter(|(_, (free, _))| *free >= needed);
            let best = fitting.min_by_key(|(_, (free, since))| (*free, std::cmp::Reverse(*since)));
            let row = best.map_or(rows.len(), |(row, _)| row);
            if row == rows.len() {
                rows.push((length, 0));
            }
            rows[row] = (rows[row].0 - needed, time);
            row_of[at] = row as u32;
        }
        (row_of, rows.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn rows_are_those_of_the_slow_way(
            lengths in prop::collection::vec(1_u32..=200, 0..300),
            more in 0_usize..9000,
        ) {
            let length = 200 + more;
            prop_assert_eq!(best_fit(&lengths, length), slow(&lengths, length));
        }

        #[test]
        fn the_least_is_found(numbers in prop::collection::btree_set(0_usize..300_000, 0..40), gone: u8, bound in 0_usize..300_001) {
            let mut set = Spaces::new(300_000);
            numbers.iter().for_each(|&n| set.insert(n));
            let left: BTreeSet<usize> = numbers.iter().copied().filter(|n| n % 7 != usize::from(gone) % 7).collect();
            numbers.difference(&left).for_each(|&n| set.remove(n));
            prop_assert_eq!(set.least_from(bound), left.range(bound..).next().copied());
            for &n in &left {
                prop_assert!(set.least_from(n) == Some(n));
            }
        }
    }

    #[test]
    #[should_panic(expected = "no piece is empty")]
    fn an_empty_piece_is_a_bug() {
        best_fit(&[3, 0], 8);
    }
}
