//! The order of training rows: which row is sample `i` of epoch `e`, as a function.
//!
//! The rows of a dataset lie in *blocks*: row groups of its shards, cut where they are large. A [`Feistel`] permutation of
//! seed and epoch orders the blocks; as many as make [`WINDOW_TOKENS`] are a *window*, and another permutation orders the
//! rows of each. So a training of any size needs the memory of one window, a dataset below a window is shuffled as a
//! whole, and any sample can be named without those before it. Nothing here knows how many processes read: each takes
//! its part of the same samples, and another number of them goes on where these stopped.
//!
//! ```text
//! blocks     0 1 2 3 4 5 …   →  4 1 5 | 0 3 2 | …      windows
//! rows of 4, 1 and 5         →  row 7 of 5, row 0 of 4, …
//! ```

use super::feistel::Feistel;
use schemas::hash::seed;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A window ends with the block that brings it to so many tokens: 64 MiB of them.
pub const WINDOW_TOKENS: u64 = 16 << 20;

/// How far a training has read: all that is needed to go on, in [`Position::BYTES`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// blake3 of the manifest of the dataset.
    #[serde(with = "hexadecimal")]
    pub dataset: [u8; 32],
    /// Seed of the order.
    pub seed: u64,
    /// Passes over the rows before this one.
    pub epoch: u64,
    /// Samples of this pass that were taken, by all processes together.
    pub sample: u64,
}

impl Position {
    /// Length of [`Position::to_bytes`].
    pub const BYTES: usize = 56;

    /// The position as bytes, numbers in little endian.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.dataset);
        for (at, number) in [self.seed, self.epoch, self.sample].into_iter().enumerate() {
            bytes[32 + 8 * at..][..8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads [`Position::to_bytes`].
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut dataset = [0; 32];
        dataset.copy_from_slice(&bytes[..32]);
        let number = |at: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[32 + 8 * at..][..8]);
            u64::from_le_bytes(eight)
        };
        Self { dataset, seed: number(0), epoch: number(1), sample: number(2) }
    }
}

mod hexadecimal {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(blake3::Hash::from_bytes(*bytes).to_hex().as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        blake3::Hash::from_hex(text).map(|hash| *hash.as_bytes()).map_err(D::Error::custom)
    }
}

/// A row: its block, and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) row: u32,
}

/// The order of one epoch. Memory: four bytes a block.
#[derive(Debug, Clone)]
pub(super) struct Epoch {
    key: u64,
    /// Blocks in their order.
    blocks: Vec<u32>,
    windows: Vec<Window>,
}

/// Blocks that are shuffled together.
#[derive(Debug, Clone)]
struct Window {
    /// Positions of its blocks in the order.
    blocks: Range<usize>,
    /// Samples of the epoch that are in it.
    samples: Range<u64>,
}

impl Epoch {
    /// The order of an epoch over blocks of so many rows, of `row_tokens` tokens each.
    pub(super) fn new(block_rows: &[u32], row_tokens: u64, run_seed: u64, epoch: u64) -> Self {
        let key = seed(run_seed, "order of training rows", epoch);
        let permutation = Feistel::new(block_rows.len() as u64, seed(key, "blocks", 0));
        let number = |at: u64| u32::try_from(permutation.at(at)).expect("blocks are numbered by u32");
        let blocks: Vec<u32> = (0..block_rows.len() as u64).map(number).collect();
        let mut windows = Vec::new();
        let (mut first, mut start, mut rows) = (0, 0, 0);
        for (at, block) in blocks.iter().enumerate() {
            rows += u64::from(block_rows[*block as usize]);
            if rows * row_tokens >= WINDOW_TOKENS || at + 1 == blocks.len() {
                windows.push(Window { blocks: first..at + 1, samples: start..start + rows });
                (first, start, rows) = (at + 1, start + rows, 0);
            }
        }
        Self { key, blocks, windows }
    }

    /// The window that has a sample.
    fn window(&self, sample: u64) -> usize {
        self.windows.partition_point(|window| window.samples.end <= sample)
    }

    /// The samples of the window that has `sample`.
    pub(super) fn samples(&self, sample: u64) -> Range<u64> {
        self.windows[self.window(sample)].samples.clone()
    }

    /// Places of wanted samples, all of one window.
    pub(super) fn places(&self, block_rows: &[u32], wanted: impl Iterator<Item = u64>) -> Vec<Place> {
        let mut wanted = wanted.peekable();
        let Some(&first) = wanted.peek() else { return Vec::new() };
        let number = self.window(first);
        let Window { blocks, samples } = &self.windows[number];
        let permutation =
            Feistel::new(samples.end - samples.start, seed(self.key, "rows of a window", number as u64));
        let blocks = &self.blocks[blocks.clone()];
        let mut ends = Vec::with_capacity(blocks.len());
        let mut end = 0;
        for block in blocks {
            end += u64::from(block_rows[*block as usize]);
            ends.push(end);
        }
        let place = |sample: u64| {
            let at = permutation.at(sample - samples.start);
            let block = ends.partition_point(|end| *end <= at);
            let before = block.checked_sub(1).map_or(0, |previous| ends[previous]);
            Place { block: blocks[block], row: u32::try_from(at - before).expect("rows of a block are u32") }
        };
        wanted.map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_every_row_once_and_no_two_epochs_are_alike() {
        for (block_rows, row_tokens) in [
            (vec![3, 1, 7, 256, 9], 16),
            (vec![512; 70], 2048),
            (vec![1; 40], WINDOW_TOKENS),
            (vec![5], 1),
            ((1..60).collect(), 1 << 18),
        ] {
            let rows: u64 = block_rows.iter().map(|&n| u64::from(n)).sum();
            let orders = [0, 1].map(|epoch| {
                let epoch = Epoch::new(&block_rows, row_tokens, 7, epoch);
                let one = |sample| epoch.places(&block_rows, std::iter::once(sample))[0];
                let places: Vec<Place> = (0..rows).map(one).collect();
                // Alone or together, a sample is the same row.
                let range = epoch.samples(rows / 2);
                let together = epoch.places(&block_rows, range.clone());
                assert_eq!(together, places[range.start as usize..range.end as usize]);
                let mut sorted = places.clone();
                sorted.sort_unstable();
                let all = block_rows
                    .iter()
                    .zip(0..)
                    .flat_map(|(&n, block)| (0..n).map(move |row| Place { block, row }));
                assert!(all.eq(sorted), "{block_rows:?}");
                places
            });
            assert!(rows < 10 || orders[0] != orders[1]);
        }
    }

    #[test]
    fn a_window_is_bounded() {
        let block_rows = vec![512; 100];
        let epoch = Epoch::new(&block_rows, 2048, 1, 0);
        assert_eq!(epoch.windows.len(), 7);
        assert!(epoch.windows.iter().all(|w| (w.samples.end - w.samples.start) * 2048 <= WINDOW_TOKENS));
    }

    #[test]
    fn a_position_is_small_and_reads_back() {
        let position =
            Position { dataset: *blake3::hash(b"manifest").as_bytes(), seed: 1, epoch: 2, sample: 3 };
        assert!(position.to_bytes().len() <= 64);
        assert_eq!(Position::from_bytes(&position.to_bytes()), position);
        let json = serde_json::to_string(&position).unwrap();
        assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position, "{json}");
    }
}
