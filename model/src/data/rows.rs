//! The rows of a split, in token shards whose footers are in memory.
//!
//! Rows are read by block (a row group, or a part of one) or by number; of a part of a row group only the pages that hold
//! it are read, by the page index. What a trainer does not need, as the names of documents, is not decoded.

use super::decode::{self, Columns, NEEDED, OF_PIECES, Piece};
use super::languages::OfPieces;
use super::order::Place;
use super::pages;
use crate::batch::Row;
use crate::error::TrainError;
use crate::objective::Sample;
use arrow::array::StringArray;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;
use schemas::hash::seed;
use schemas::{manifest, token};
use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// Row groups of more tokens are read in parts, so that one block never needs more memory: 8 MiB.
const BLOCK_TOKENS_MAX: u64 = 2 << 20;
/// Shards whose footers and page indexes are kept in memory, about 1 MiB each at 128 Mi tokens.
const HEADS_MAX: usize = 64;
/// Row groups whose columns beside the ids are kept in memory for rows that are read alone: about 30 KiB each, more where they
/// have a mask of what is learned.
const SIDES_MAX: usize = 1024;
/// Memory of these columns, of all row groups; the one that is read may be larger.
const SIDES_BYTES_MAX: usize = 64 << 20;
/// Rows decoded together where they are read one behind the other.
const CHUNK_ROWS: u32 = 256;

/// Seed of what is random about held-out rows.
const HELD_OUT: u64 = 0x6865_6c64;

/// The rows of a split of the dataset.
#[derive(Debug, Default)]
pub struct Rows {
    shards: Vec<Shard>,
    blocks: Vec<Block>,
    /// Rows of each block.
    block_rows: Vec<u32>,
    length: u64,
    vocab: u64,
    /// What was read of the shards that were used last, the latest at the end.
    heads: Mutex<VecDeque<(usize, ArrowReaderMetadata)>>,
    sides: Mutex<Sides>,
    /// Languages of the pieces, once they were asked for.
    pub(super) languages: OnceLock<OfPieces>,
}

/// What stands beside the ids in row groups (shard, group), the one that was asked for last at the end.
#[derive(Debug, Default)]
struct Sides {
    all: VecDeque<((usize, usize), Arc<Columns>)>,
    bytes: usize,
}

impl Sides {
    fn find(&mut self, key: (usize, usize)) -> Option<Arc<Columns>> {
        let at = self.all.iter().rposition(|(other, _)| *other == key)?;
        let found = self.all.remove(at)?;
        let side = found.1.clone();
        self.all.push_back(found);
        Some(side)
    }

    /// Keeps one more, in place of those that were not asked for longest.
    fn keep(&mut self, key: (usize, usize), side: &Arc<Columns>) {
        // Another thread may have read it meanwhile.
        if self.find(key).is_some() {
            return;
        }
        self.bytes += side.bytes();
        self.all.push_back((key, side.clone()));
        while self.all.len() > SIDES_MAX || self.bytes > SIDES_BYTES_MAX && self.all.len() > 1 {
            let Some((_, gone)) = self.all.pop_front() else { break };
            self.bytes -= gone.bytes();
        }
    }
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    bytes: u64,
    /// Rows in the shards before it.
    before: u64,
    /// Rows before each row group, and of all.
    groups: Vec<u64>,
}

/// Rows of one row group that are read together.
#[derive(Debug, Clone)]
struct Block {
    shard: u32,
    group: u32,
    /// Rows in the group.
    rows: Range<u32>,
}

impl Rows {
    /// Reads the footers of shards.
    ///
    /// # Errors
    /// A shard cannot be read, or has not the rows of the manifest.
    pub(super) fn open<'a>(
        files: impl Iterator<Item = (PathBuf, &'a manifest::File)>,
        length: u64,
        vocab: u64,
    ) -> Result<Self, TrainError> {
        let mut all = Self { length, vocab, ..Self::default() };
        for (path, file) in files {
            let shard = Shard { path, bytes: file.bytes, before: all.count(), groups: vec![0] };
            all.shards.push(shard);
            let at = all.shards.len() - 1;
            let head = all.head(at)?;
            let shard = &mut all.shards[at];
            let wrong = TrainError::file(&shard.path);
            let mut rows = 0;
            for (group, found) in head.metadata().row_groups().iter().enumerate() {
                let Ok(count) = u32::try_from(found.num_rows()) else {
                    return Err(wrong(format!("row group {group} has {} rows", found.num_rows())));
                };
                rows += u64::from(count);
                shard.groups.push(rows);
                let parts = u64::from(count).saturating_mul(length).div_ceil(BLOCK_TOKENS_MAX).max(1);
                let step = count.div_ceil(u32::try_from(parts).unwrap_or(u32::MAX)).max(1);
                for first in (0..count).step_by(step as usize) {
                    let rows = first..count.min(first.saturating_add(step));
                    all.block_rows.push(rows.len() as u32);
                    all.blocks.push(Block { shard: at as u32, group: group as u32, rows });
                }
            }
            if Some(rows) != file.rows {
                let told = file.rows.map_or_else(|| "none".to_owned(), |rows| rows.to_string());
                return Err(wrong(format!("holds {rows} rows, the manifest says {told}")));
            }
        }
        Ok(all)
    }

    /// How many rows there are.
    pub fn count(&self) -> u64 {
        self.shards.last().map_or(0, |shard| shard.before + shard.count())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Tokens in a row.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Rows of each block.
    pub(super) fn block_rows(&self) -> &[u32] {
        &self.block_rows
    }

    /// Row number `number`, counted through the shards in the order of their names.
    ///
    /// # Errors
    /// There is no such row, or its shard is damaged.
    pub fn row(&self, number: u64) -> Result<Row, TrainError> {
        let (at, group, row) = self.find(number)?;
        let wrong = TrainError::file(&self.shards[at].path);
        match self.ids(at, group, &[row])? {
            Some(ids) => {
                let side = self.side(at, group)?;
                side.row_of(&ids, row as usize, self.length, self.vocab).map_err(wrong)
            }
            None => self.read(at, group, &[row])?.row(0, self.length, self.vocab).map_err(wrong),
        }
    }

    /// The shard of a row, its number in it, and the pieces of documents that it holds.
    ///
    /// # Errors
    /// As [`Rows::row`].
    pub fn pieces(&self, number: u64) -> Result<(&Path, u64, Vec<Piece>), TrainError> {
        let (at, group, row) = self.find(number)?;
        let path = &self.shards[at].path;
        let mut reader = self.reader(at, self.head(at)?, group, &[row], &OF_PIECES)?;
        let batch = reader.next().ok_or_else(|| TrainError::file(path)("a row is missing"))?;
        let pieces = decode::pieces(&batch.map_err(TrainError::file(path))?, 0);
        let inner = self.shards[at].groups[group] + u64::from(row);
        Ok((path, inner, pieces.map_err(TrainError::file(path))?))
    }

    /// Gives the ids of the documents of each row, in order.
    pub(super) fn each_document_list(&self, mut each: impl FnMut(&StringArray)) -> Result<(), TrainError> {
        for (at, shard) in self.shards.iter().enumerate() {
            for group in 0..shard.groups.len() - 1 {
                let count = u32::try_from(shard.groups[group + 1] - shard.groups[group]);
                let all: Vec<u32> = (0..count.expect("rows of a group are u32")).collect();
                for batch in self.reader(at, self.head(at)?, group, &all, &[token::DOC_IDS])? {
                    let batch = batch.map_err(TrainError::file(&shard.path))?;
                    decode::documents(&batch, &mut each).map_err(TrainError::file(&shard.path))?;
                }
            }
        }
        Ok(())
    }

    /// The pieces of every row, in the order of the dataset.
    ///
    /// # Errors
    /// As [`Rows::row`].
    pub(crate) fn each_piece(&self, mut take: impl FnMut(u64, Piece)) -> Result<(), TrainError> {
        for (at, Shard { path, before, groups, .. }) in self.shards.iter().enumerate() {
            for (group, first) in groups.iter().take(groups.len() - 1).enumerate() {
                let count = u32::try_from(groups[group + 1] - first).expect("rows of a group are u32");
                let all: Vec<u32> = (0..count).collect();
                let mut number = before + first;
                for batch in self.reader(at, self.head(at)?, group, &all, &OF_PIECES)? {
                    let batch = batch.map_err(TrainError::file(path))?;
                    for row in 0..batch.num_rows() {
                        let pieces = decode::pieces(&batch, row).map_err(TrainError::file(path))?;
                        pieces.into_iter().for_each(|piece| take(number, piece));
                        number += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// A row with what is random about it, by its number and a key of the pass that reads it.
    pub(super) fn sample(&self, row: Row, number: u64, pass: u64) -> Sample {
        let languages = self.languages.get().map(|languages| languages.row(number)).unwrap_or_default();
        Sample { row, key: seed(pass, "sample", number), languages }
    }

    /// Shard, row group, and row in the group.
    fn find(&self, number: u64) -> Result<(usize, usize, u32), TrainError> {
        let at = self.shards.partition_point(|shard| shard.before + shard.count() <= number);
        let Some(shard) = self.shards.get(at) else {
            let message = format!("there is no row {number}, only {}", self.count());
            return Err(TrainError::Config { message });
        };
        let inner = number - shard.before;
        let group = shard.groups.partition_point(|before| *before <= inner) - 1;
        let row = u32::try_from(inner - shard.groups[group]).expect("rows of a group are u32");
        Ok((at, group, row))
    }

    /// What stands beside the ids in a row group: small, and kept for the row groups that were asked last.
    fn side(&self, shard: usize, group: usize) -> Result<Arc<Columns>, TrainError> {
        let known = || self.sides.lock().expect("no thread panics while it looks up a row group");
        if let Some(side) = known().find((shard, group)) {
            return Ok(side);
        }
        let groups = &self.shards[shard].groups;
        let count = u32::try_from(groups[group + 1] - groups[group]).expect("rows of a group are u32");
        let all: Vec<u32> = (0..count).collect();
        let side = Arc::new(self.read_with(shard, group, &all, Some(Vec::new()))?);
        known().keep((shard, group), &side);
        Ok(side)
    }

    /// Ids of wanted rows straight from the pages, where they are laid out for it.
    fn ids(&self, shard: usize, group: usize, wanted: &[u32]) -> Result<Option<Vec<i32>>, TrainError> {
        let path = &self.shards[shard].path;
        let length = usize::try_from(self.length).map_err(TrainError::file(path))?;
        let head = self.head(shard)?;
        let flat = pages::ids(self.file(shard)?, head.metadata(), group, wanted, length);
        flat.map_err(TrainError::file(path))
    }

    /// The number of a row in [`Rows::row`].
    pub(super) fn number(&self, place: Place) -> u64 {
        let Block { shard, group, rows } = &self.blocks[place.block as usize];
        let shard = &self.shards[*shard as usize];
        shard.before + shard.groups[*group as usize] + u64::from(rows.start + place.row)
    }

    /// Reads wanted rows of a block, in their order.
    pub(super) fn block(&self, block: u32, wanted: &[u32]) -> Result<Columns, TrainError> {
        let Block { shard, group, rows } = &self.blocks[block as usize];
        let wanted: Vec<u32> = wanted.iter().map(|row| row + rows.start).collect();
        self.read(*shard as usize, *group as usize, &wanted)
    }

    /// A row of what was read of a block.
    pub(super) fn of(&self, block: u32, columns: &Columns, at: usize) -> Result<Row, TrainError> {
        let path = &self.shards[self.blocks[block as usize].shard as usize].path;
        columns.row(at, self.length, self.vocab).map_err(TrainError::file(path))
    }

    /// Reads rows of a row group, sorted.
    fn read(&self, shard: usize, group: usize, wanted: &[u32]) -> Result<Columns, TrainError> {
        self.read_with(shard, group, wanted, self.ids(shard, group, wanted)?)
    }

    /// Reads them but for the ids, where these were read before.
    fn read_with(
        &self,
        shard: usize,
        group: usize,
        wanted: &[u32],
        flat: Option<Vec<i32>>,
    ) -> Result<Columns, TrainError> {
        let head = self.head(shard)?;
        let path = &self.shards[shard].path;
        let names = if flat.is_some() { &NEEDED[1..] } else { &NEEDED[..] };
        let reader = self.reader(shard, head, group, wanted, names)?;
        let mut batches = Vec::new();
        for batch in reader {
            batches.push(batch.map_err(TrainError::file(path))?);
        }
        let columns = Columns::of(&batches, flat).map_err(TrainError::file(path))?;
        if columns.count() != wanted.len() {
            let (found, wanted) = (columns.count(), wanted.len());
            let message = format!("row group {group} gave {found} of {wanted} rows");
            return Err(TrainError::file(path)(message));
        }
        Ok(columns)
    }

    fn reader(
        &self,
        shard: usize,
        head: ArrowReaderMetadata,
        group: usize,
        wanted: &[u32],
        names: &[&str],
    ) -> Result<ParquetRecordBatchReader, TrainError> {
        let path = &self.shards[shard].path;
        let file = self.file(shard)?;
        let rows = head.metadata().row_group(group).num_rows();
        let rows = usize::try_from(rows).map_err(TrainError::file(path))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, head);
        let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
        let mut builder = builder.with_row_groups(vec![group]).with_projection(mask);
        builder = builder.with_batch_size(wanted.len().max(1));
        if wanted.len() < rows {
            builder = builder.with_row_selection(selection(wanted, rows));
        }
        builder.build().map_err(TrainError::file(path))
    }

    /// Opens a shard; one of another length than in the manifest was altered since the dataset was opened.
    fn file(&self, shard: usize) -> Result<File, TrainError> {
        let Shard { path, bytes, .. } = &self.shards[shard];
        let file = File::open(path).map_err(TrainError::io(path))?;
        let found = file.metadata().map_err(TrainError::io(path))?.len();
        if found == *bytes {
            return Ok(file);
        }
        let message = format!("the file is not the one in the manifest: {found} bytes in place of {bytes}");
        Err(TrainError::file(path)(message))
    }

    /// The footer and page index of a shard.
    fn head(&self, shard: usize) -> Result<ArrowReaderMetadata, TrainError> {
        let known = || self.heads.lock().expect("no thread panics while it looks up a footer");
        {
            let mut heads = known();
            if let Some(at) = heads.iter().position(|(other, _)| *other == shard) {
                let found = heads.remove(at).expect("it was found there");
                let head = found.1.clone();
                heads.push_back(found);
                return Ok(head);
            }
        }
        let path = &self.shards[shard].path;
        let options = ArrowReaderOptions::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Optional);
        let head = ArrowReaderMetadata::load(&self.file(shard)?, options).map_err(TrainError::file(path))?;
        let mut heads = known();
        while heads.len() >= HEADS_MAX {
            heads.pop_front();
        }
        heads.push_back((shard, head.clone()));
        Ok(head)
    }

    /// Samples in the order of the dataset, chunk by chunk, the first `limit` of them. What is random about them is the same for every
    /// model, so that held-out losses can be compared.
    pub(crate) fn held_out(&self, limit: u64) -> impl Iterator<Item = Result<Vec<Sample>, TrainError>> + '_ {
        let mut number = 0;
        self.in_order(limit).map(move |rows| {
            let samples = rows?.into_iter().map(|row| {
                number += 1;
                self.sample(row, number - 1, HELD_OUT)
            });
            Ok(samples.collect())
        })
    }

    /// Rows in the order of the dataset, chunk by chunk, the first `limit` of them.
    pub(crate) fn in_order(&self, limit: u64) -> impl Iterator<Item = Result<Vec<Row>, TrainError>> + '_ {
        let mut left = limit;
        let chunks = (0..self.blocks.len()).flat_map(|block| {
            let rows = self.block_rows[block];
            (0..rows)
                .step_by(CHUNK_ROWS as usize)
                .map(move |first| (block, first, CHUNK_ROWS.min(rows - first)))
        });
        chunks.map_while(move |(block, first, count)| {
            let count = u32::try_from(left.min(u64::from(count))).expect("at most a chunk");
            left -= u64::from(count);
            (count > 0).then(|| {
                let block = u32::try_from(block).expect("blocks are numbered by u32");
                let wanted: Vec<u32> = (first..first + count).collect();
                let columns = self.block(block, &wanted)?;
                (0..wanted.len()).map(|at| self.of(block, &columns, at)).collect()
            })
        })
    }
}

impl Shard {
    fn count(&self) -> u64 {
        self.groups.last().copied().unwrap_or(0)
    }
}

/// The wanted rows of so many, which are sorted.
fn selection(wanted: &[u32], rows: usize) -> RowSelection {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in wanted.iter().map(|&row| row as usize) {
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    RowSelection::from_consecutive_ranges(ranges.into_iter(), rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_last_stays() {
        let mut sides = Sides::default();
        let side = Arc::new(Columns::of(&[], Some(vec![0; SIDES_BYTES_MAX / 4 / 4])).unwrap());
        assert!(side.bytes() >= SIDES_BYTES_MAX / 4);
        (0..3).for_each(|group| sides.keep((0, group), &side));
        assert!(sides.find((0, 0)).is_some());
        (3..5).for_each(|group| sides.keep((0, group), &side));
        let there: Vec<bool> = (0..5).map(|group| sides.find((0, group)).is_some()).collect();
        assert!(there[0] && there[4] && !there[1], "{there:?}");
        assert_eq!(sides.bytes, sides.all.len() * side.bytes());
        assert!(sides.bytes <= SIDES_BYTES_MAX);
    }
}
