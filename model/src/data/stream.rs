//! Training rows without end, window by window, all of them or the share of one process of several.

use super::decode::Columns;
use super::order::{Epoch, Place, Position};
use super::rows::Rows;
use crate::batch::Row;
use crate::error::TrainError;
use crate::objective::Sample;
use schemas::hash::seed;
use std::collections::{BTreeMap, VecDeque};

/// Which of the samples a process takes: those whose number, counted from the first epoch on, is `rank` modulo `world`.
/// Any `world` samples one behind the other are one for each, so shares of a step are equal where `world` divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Number of the process, below `world`.
    pub rank: u64,
    /// Processes.
    pub world: u64,
}

impl Share {
    /// Every sample.
    pub const ALL: Self = Self { rank: 0, world: 1 };
}

/// Training rows from a position on. Memory: a share of one window.
#[derive(Debug)]
pub struct Stream<'a> {
    rows: &'a Rows,
    position: Position,
    share: Share,
    /// The order of the epoch that was read last, with its number.
    epoch: Option<(u64, Epoch)>,
    window: Window,
}

/// What was read of a window.
#[derive(Debug, Default)]
struct Window {
    /// The samples of this share that are left, with the places of their rows.
    left: VecDeque<(u64, Place)>,
    /// End of the window in the epoch.
    end: u64,
    blocks: BTreeMap<u32, Part>,
}

/// What was read of a block.
#[derive(Debug)]
struct Part {
    /// Rows of the block that were read, sorted.
    rows: Vec<u32>,
    columns: Columns,
}

impl<'a> Stream<'a> {
    pub(super) fn new(rows: &'a Rows, position: Position, share: Share) -> Self {
        assert!(share.rank < share.world, "process {} of {}", share.rank, share.world);
        Self { rows, position, share, epoch: None, window: Window::default() }
    }

    /// Where the next sample stands: the same for all processes that took the same steps.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Goes past the next `count` samples, and gives the rows of those in this share; passes follow each other without a
    /// gap.
    ///
    /// # Errors
    /// A shard is missing or damaged.
    pub fn take(&mut self, count: u64) -> Result<Vec<Row>, TrainError> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.extend(self.next()?.map(|(_, row)| row));
        }
        Ok(taken)
    }

    /// The same with what is random about them: other than in other epochs, and the same for every process.
    ///
    /// # Errors
    /// As [`Stream::take`].
    pub(crate) fn samples(&mut self, count: u64) -> Result<Vec<Sample>, TrainError> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let Some((place, row)) = self.next()? else { continue };
            let pass = seed(self.position.seed, "epoch", self.position.epoch);
            taken.push(self.rows.sample(row, self.rows.number(place), pass));
        }
        Ok(taken)
    }

    /// Goes past a sample, and gives its row where it is in this share.
    fn next(&mut self) -> Result<Option<(Place, Row)>, TrainError> {
        self.turn();
        let mut taken = None;
        if self.is_ours(self.position.sample) {
            if self.position.sample >= self.window.end {
                self.fill()?;
            }
            let (sample, place) = self.window.left.pop_front().expect("the window has this sample");
            debug_assert_eq!(sample, self.position.sample, "samples come in order");
            let part = &self.window.blocks[&place.block];
            let at = part.rows.binary_search(&place.row).expect("the row was read with its window");
            taken = Some((place, self.rows.of(place.block, &part.columns, at)?));
        }
        self.position.sample += 1;
        Ok(taken)
    }

    /// The numbers of the rows of the next `count` samples in this share (as in [`Rows::row`]); reads none of them.
    pub fn skip(&mut self, count: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            self.turn();
            if self.is_ours(self.position.sample) {
                let sample = self.position.sample;
                let (rows, epoch) = (self.rows, self.epoch());
                let place = epoch.places(rows.block_rows(), std::iter::once(sample))[0];
                numbers.push(rows.number(place));
            }
            self.position.sample += 1;
        }
        self.window = Window::default();
        numbers
    }

    /// At the end of an epoch, to the beginning of the next.
    fn turn(&mut self) {
        if self.position.sample >= self.rows.count() {
            self.position = Position { epoch: self.position.epoch + 1, sample: 0, ..self.position };
            self.window = Window::default();
        }
    }

    fn is_ours(&self, sample: u64) -> bool {
        // Counted through all epochs: else the shares of a step that goes over an end would not be equal.
        let number = u128::from(self.position.epoch) * u128::from(self.rows.count()) + u128::from(sample);
        number % u128::from(self.share.world) == u128::from(self.share.rank)
    }

    fn epoch(&mut self) -> &Epoch {
        let number = self.position.epoch;
        if self.epoch.as_ref().is_none_or(|(known, _)| *known != number) {
            let epoch = Epoch::new(self.rows.block_rows(), self.rows.length(), self.position.seed, number);
            self.epoch = Some((number, epoch));
        }
        &self.epoch.as_ref().expect("it was just made").1
    }

    /// Reads what is left of the window that has the position.
    fn fill(&mut self) -> Result<(), TrainError> {
        // The window before goes first: two would be twice the memory.
        self.window = Window::default();
        let now = self.position.sample;
        let end = self.epoch().samples(now).end;
        let ours: Vec<u64> = (now..end).filter(|&sample| self.is_ours(sample)).collect();
        let rows = self.rows;
        let places = self.epoch().places(rows.block_rows(), ours.iter().copied());
        let mut wanted: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        places.iter().for_each(|place| wanted.entry(place.block).or_default().push(place.row));
        let read = |(block, mut wanted): (u32, Vec<u32>)| {
            wanted.sort_unstable();
            let columns = rows.block(block, &wanted)?;
            Ok((block, Part { rows: wanted, columns }))
        };
        let blocks = wanted.into_iter().map(read).collect::<Result<_, TrainError>>()?;
        self.window = Window { left: ours.into_iter().zip(places).collect(), end, blocks };
        Ok(())
    }
}
