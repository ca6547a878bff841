//! The distinct words of a corpus as symbols, one behind the other, in two or four bytes a symbol.
//!
//! A word is its symbols between two [`Cell::END`]s. A merge writes the token over the first cell of its pair and
//! [`Cell::GAP`] over the first cell of the other half, so that places stay where they are until the cells are squeezed.
//! Words that were counted equally often stand together: how often a place counts follows from where it is.

use std::collections::BTreeMap;

/// Most cells: places are 32 bits wide.
const PLACES_MAX: u64 = u32::MAX as u64 - 1;
/// A place is looked up from the block of the first cell of its stride.
const STRIDE_BITS: u32 = 9;

/// A symbol in a word, or a mark.
pub(super) trait Cell: Copy + Eq {
    /// Stands before and behind each word.
    const END: Self;
    /// Belongs to the token before it.
    const GAP: Self;
    /// The greatest vocabulary whose ids fit beside the marks.
    const VOCABULARY_MAX: usize;

    /// The cell of an id.
    fn of(id: u32) -> Self;
    /// The id of a cell that is no mark.
    fn id(self) -> u32;
}

impl Cell for u16 {
    const END: Self = Self::MAX;
    const GAP: Self = Self::MAX - 1;
    const VOCABULARY_MAX: usize = Self::GAP as usize;

    #[expect(clippy::cast_possible_truncation, reason = "callers keep to `VOCABULARY_MAX`")]
    fn of(id: u32) -> Self {
        id as Self
    }

    fn id(self) -> u32 {
        self.into()
    }
}

impl Cell for u32 {
    const END: Self = Self::MAX;
    const GAP: Self = Self::MAX - 1;
    const VOCABULARY_MAX: usize = Self::GAP as usize;

    fn of(id: u32) -> Self {
        id
    }

    fn id(self) -> u32 {
        self
    }
}

/// How many words have one count, and the cells that they need, by count.
#[derive(Debug, Default)]
pub(crate) struct Sizes(BTreeMap<u64, (u64, u64)>);

impl Sizes {
    /// Makes room for a word.
    pub(crate) fn add(&mut self, word: &[u8], count: u64) {
        let (words, cells) = self.0.entry(count).or_default();
        *words += 1;
        *cells += word.len() as u64 + 1;
    }

    /// How many words there are.
    pub(crate) fn words(&self) -> u64 {
        self.0.values().map(|(words, _)| words).sum()
    }

    /// The least count whose words fit, with those of all greater counts, into `cells_max` cells; and how many words are rarer.
    pub(super) fn fitting(&self, cells_max: u64) -> (u64, u64) {
        let (mut all, mut fitting, mut least) = (1, 0, u64::MAX);
        for (&count, (words, cells)) in self.0.iter().rev() {
            all += cells;
            if all > cells_max.min(PLACES_MAX) {
                break;
            }
            fitting += words;
            least = count;
        }
        (least, self.words() - fitting)
    }
}

/// Words that were counted equally often.
#[derive(Debug, Clone, Copy)]
struct Block {
    count: u64,
    start: u32,
    /// The cell behind the last one: where the next word goes while words are placed.
    end: u32,
}

/// All words.
pub(super) struct Words<C> {
    pub(super) cells: Vec<C>,
    blocks: Vec<Block>,
    /// The block of the first cell of each stride.
    strides: Vec<u32>,
}

impl<C: Cell> Words<C> {
    /// Room for all words of at least `least_count`.
    pub(super) fn with_room(sizes: &Sizes, least_count: u64) -> Self {
        let (mut blocks, mut start) = (Vec::new(), 1);
        for (&count, &(_, cells)) in sizes.0.range(least_count..).rev() {
            blocks.push(Block { count, start, end: start });
            start += cells as u32;
        }
        Self { cells: vec![C::END; start as usize], blocks, strides: Vec::new() }
    }

    /// Places a word that room was made for; passes one over that is rarer.
    pub(super) fn place(&mut self, symbols: impl ExactSizeIterator<Item = u32>, count: u64) {
        let Ok(at) = self.blocks.binary_search_by(|block| count.cmp(&block.count)) else { return };
        let block = &mut self.blocks[at];
        let start = block.end as usize;
        block.end += symbols.len() as u32 + 1;
        for (cell, symbol) in self.cells[start..].iter_mut().zip(symbols) {
            *cell = C::of(symbol);
        }
    }

    /// Takes gaps out, and words of one token, which have no pair.
    pub(super) fn squeeze(&mut self) {
        let mut write = 1;
        for at in 0..self.blocks.len() {
            let Block { start, end, .. } = self.blocks[at];
            self.blocks[at].start = write as u32;
            let mut word = write;
            for read in start as usize..end as usize {
                let cell = self.cells[read];
                if cell == C::GAP {
                    continue;
                }
                self.cells[write] = cell;
                write += 1;
                if cell == C::END {
                    if write - word <= 2 {
                        write = word;
                    }
                    word = write;
                }
            }
            self.blocks[at].end = write as u32;
        }
        self.cells.truncate(write);
        self.cells.shrink_to_fit();
        self.blocks.retain(|block| block.end > block.start);
        self.strides.clear();
        let mut at = 0;
        for first in (0..self.cells.len()).step_by(1 << STRIDE_BITS) {
            while self.blocks.get(at + 1).is_some_and(|next| next.start as usize <= first) {
                at += 1;
            }
            self.strides.push(at as u32);
        }
    }

    /// Each pair of neighbours: place of the left one, both ids, count of the word. Cells must be squeezed.
    pub(super) fn each_pair(&self, mut take: impl FnMut(u32, u32, u32, u64)) {
        for block in &self.blocks {
            let mut left = C::END;
            for at in block.start..block.end {
                let right = self.cells[at as usize];
                if left != C::END && right != C::END {
                    take(at - 1, left.id(), right.id(), block.count);
                }
                left = right;
            }
        }
    }

    /// How often the word at a place was counted.
    #[inline]
    pub(super) fn count(&self, place: u32) -> u64 {
        let stride = (place >> STRIDE_BITS) as usize;
        let low = self.strides[stride] as usize;
        let high = self.strides.get(stride + 1).map_or(self.blocks.len() - 1, |&block| block as usize);
        let within = &self.blocks[low..=high];
        within[within.partition_point(|block| block.start <= place).max(1) - 1].count
    }

    /// The place of the token behind the one at `place`, or of the end of the word.
    #[inline]
    pub(super) fn next(&self, place: u32) -> u32 {
        let mut next = place as usize + 1;
        while self.cells[next] == C::GAP {
            next += 1;
        }
        next as u32
    }

    /// The place of the token before the one at `place`, or of the end of the word before.
    #[inline]
    pub(super) fn previous(&self, place: u32) -> u32 {
        let mut previous = place as usize - 1;
        while self.cells[previous] == C::GAP {
            previous -= 1;
        }
        previous as u32
    }
}
