//! Which blocks of a very long page are described, and speak for others of their kind.

use crate::text::keys::KeyMap;
use std::ops::Range;

/// Most kinds of blocks that are told apart; those that come later count as one.
const KINDS_MAX: usize = 500;

/// Blocks of a kind so far, and the row of the last that has one.
struct Met {
    blocks: usize,
    row: u32,
}

/// The blocks of a page that have a row, and those that others speak for.
#[derive(Debug)]
pub(crate) struct Speakers {
    /// For each block, the number of the row that speaks for it.
    pub(crate) rows: Vec<u32>,
    /// How many rows there are before each block, and in all.
    before: Vec<u32>,
}

impl Speakers {
    /// For blocks of these kinds: each has a row where there are no more than `most` blocks. Else of each kind the first
    /// has a row, and then an even share of it, each for those behind it up to the next: what stands at the border of a
    /// long list, a title or a footer, does not answer for the list. At most `most` rows and one for each kind that is told apart.
    pub(crate) fn new(kinds: &[u64], most: usize) -> Self {
        if kinds.len() <= most {
            let all = kinds.len() as u32;
            return Self { rows: (0..all).collect(), before: (0..=all).collect() };
        }
        let mut met: KeyMap<Met> = KeyMap::default();
        let mut speakers = Self { rows: Vec::with_capacity(kinds.len()), before: vec![0] };
        let due = |blocks: usize| blocks * most / kinds.len();
        let mut count = 0;
        for kind in kinds {
            let kind = if met.len() < KINDS_MAX || met.contains_key(kind) { *kind } else { u64::MAX };
            let met = met.entry(kind).or_insert(Met { blocks: 0, row: 0 });
            if met.blocks == 0 || due(met.blocks + 1) > due(met.blocks) {
                met.row = count;
                count += 1;
            }
            met.blocks += 1;
            speakers.rows.push(met.row);
            speakers.before.push(count);
        }
        speakers
    }

    /// Rows.
    pub(crate) fn len(&self) -> usize {
        self.before.last().map_or(0, |rows| *rows as usize)
    }

    /// Whether a block has a row of its own.
    pub(crate) fn has_row(&self, at: usize) -> bool {
        self.before[at] < self.before[at + 1]
    }

    /// The rows that a range of blocks has.
    pub(crate) fn rows_of(&self, blocks: Range<usize>) -> Range<u32> {
        self.before[blocks.start]..self.before[blocks.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_speaks_for_itself_where_there_is_room() {
        let speakers = Speakers::new(&[7, 7, 8], 3);
        assert_eq!((speakers.len(), speakers.rows_of(1..3)), (3, 1..3));
        assert_eq!(speakers.rows, [0, 1, 2]);
        assert_eq!(Speakers::new(&[], 3).len(), 0);
    }

    #[test]
    fn of_a_long_page_each_is_spoken_for_by_one_of_its_kind() {
        // A title, a list with an odd one in it, a footer.
        let mut kinds = vec![1];
        kinds.extend([2; 50]);
        kinds.push(3);
        kinds.extend([2; 49]);
        kinds.push(4);
        let speakers = Speakers::new(&kinds, 20);
        let mut first = vec![None; kinds.len()];
        for (at, row) in speakers.rows.iter().enumerate() {
            let speaker = *first[*row as usize].get_or_insert(at);
            assert_eq!((kinds[speaker], speakers.has_row(at)), (kinds[at], speaker == at), "{at}");
            assert!(at - speaker <= 7, "{at}");
        }
        assert!((20..=24).contains(&speakers.len()), "{}", speakers.len());
        assert_eq!(speakers.rows_of(0..kinds.len()), 0..speakers.len() as u32);
        assert_eq!(speakers.rows_of(51..52).len(), 1);
    }

    #[test]
    fn kinds_without_end_take_no_more_rows() {
        let kinds: Vec<u64> = (0..10_000).collect();
        let rows = Speakers::new(&kinds, 100).len();
        assert!(rows <= 100 + KINDS_MAX + 1, "{rows}");
    }
}
