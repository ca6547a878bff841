//! The doors of work that must see all rows first: byte records go out, the house sorts them on disk, results come back.
//!
//! Nothing here needs memory for each document. What a global finds out about single documents it notes under their id;
//! the house keeps the notes sorted on disk and hands each row its own when the row is judged.

use crate::{DocId, House, Outcome, Push, Records, Sorted, Stage, StageError};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;

/// Work that must see all rows before it can judge one: deduplication, training a tokenizer.
///
/// Every row is mapped to records; the house sorts each partition of records and has it reduced (partitions in
/// parallel, a key always in one partition); the reduced records of all partitions, sorted again as one stream, settle
/// into files, numbers and notes. What was settled is kept, and a judge made of it judges the very rows that were mapped.
pub trait Global: Send + Sync {
    /// The schema after the judge, asked before any row moves.
    ///
    /// # Errors
    /// A column that is read is missing or has another type.
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError>;

    /// Whether rows decide what it settles into. Where none does, none is mapped, and rows are judged as they come.
    fn sees_rows(&self) -> bool {
        true
    }

    /// Whether a record counts whose key no other has. Where it does not, reducing may see only some of these, or none.
    fn reads_lone_keys(&self) -> bool {
        true
    }

    /// Whether its judge reads or changes the text. Where it does not, rows may wait for it without one.
    fn judges_text(&self) -> bool {
        true
    }

    /// Writes the records of a batch.
    ///
    /// # Errors
    /// As [`Global::output`].
    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError>;

    /// Reduces one partition of sorted records.
    ///
    /// # Errors
    /// `Io` from the stream and from `out`.
    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError>;

    /// Makes what judges the rows from the reduced records; what it says of single documents goes into `notes`.
    ///
    /// # Errors
    /// What the work itself cannot do, as `Invalid`; `Io` from the streams.
    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        house: &dyn House,
        notes: &mut dyn Notes,
    ) -> Result<Settled, StageError>;

    /// Makes the judge of what was settled, in this run or an earlier one.
    ///
    /// # Errors
    /// As [`Global::settle`].
    fn judge(&self, settled: &Settled) -> Result<Box<dyn Judge>, StageError>;
}

/// Where a global writes what it found out about single documents.
pub trait Notes {
    /// Notes a value under the id of a document. The document is told of its smallest value and of how often that was
    /// noted.
    ///
    /// # Errors
    /// `Io`.
    fn note(&mut self, id: DocId, value: &[u8]) -> Result<(), StageError>;
}

/// What was noted of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The smallest value.
    pub value: Vec<u8>,
    /// How often it was noted.
    pub times: u64,
}

/// What a [`Global`] settled, less the notes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Files that belong to the dataset, such as `tokenizer.json`: name and bytes.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Numbers that the manifest tells, such as `vocab_size` and `eos_id`.
    pub facts: BTreeMap<String, u64>,
}

/// Judges rows that were all seen before. Pure, as a [`Stage`] is.
pub trait Judge: Send + Sync {
    /// Judges every row of the batch, in order; `notes` has one entry a row.
    ///
    /// # Errors
    /// As [`Stage::apply`].
    fn judge(&self, batch: &RecordBatch, notes: &[Option<Note>]) -> Result<Outcome, StageError>;
}

impl<S: Stage> Judge for S {
    fn judge(&self, batch: &RecordBatch, _notes: &[Option<Note>]) -> Result<Outcome, StageError> {
        self.apply(batch)
    }
}

/// Sums by a name of the counter's own, small: what must be known of all rows before one is mapped.
pub type Tally = BTreeMap<Vec<u8>, u64>;

/// Where a regroup hands its rows, in order.
pub type Emit<'a> = dyn FnMut(RecordBatch) -> Result<(), StageError> + 'a;

/// Work that makes other rows out of all rows: packing documents into sequences.
pub trait Regroup: Send + Sync {
    /// The schema of the rows that it makes, asked before any row moves.
    ///
    /// # Errors
    /// A column that is read is missing or has another type.
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError>;

    /// The columns that it takes of those that it could get; `None` takes all. No other is kept for it.
    fn takes(&self, _input: &SchemaRef) -> Option<Vec<String>> {
        None
    }

    /// Whether all rows must be counted before one is mapped. Then the house counts them, and what [`Regroup::plan`] makes of the
    /// sums does the work.
    fn counts(&self) -> bool {
        false
    }

    /// Adds what is to be known of a batch.
    ///
    /// # Errors
    /// As [`Regroup::output`].
    fn count(&self, _batch: &RecordBatch, _tally: &mut Tally) -> Result<(), StageError> {
        Ok(())
    }

    /// Makes the work of what was counted of all rows; `None` where nothing is counted.
    ///
    /// # Errors
    /// What cannot be done with these rows, as `Invalid`.
    fn plan(&self, _tally: &Tally) -> Result<Option<Planned>, StageError> {
        Ok(None)
    }

    /// Writes the records of a batch and says of every row whether it went in.
    ///
    /// # Errors
    /// As [`Regroup::output`].
    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<Outcome, StageError>;

    /// The folders that the rows are sorted into, such as `train` and `validation`.
    fn folders(&self) -> Vec<&'static str>;

    /// How many streams of records each folder is made of. Each is sorted for itself, and all are read at once.
    fn parts(&self) -> usize {
        1
    }

    /// Folder and part of a key: its first byte is the index of its folder, and there is one part.
    fn place(&self, key: &[u8]) -> (usize, usize) {
        (usize::from(key[0]), 0)
    }

    /// Makes rows from the sorted records of one folder, a stream a part, and hands them on in order.
    ///
    /// # Errors
    /// `Io` from the streams; whatever `emit` returns.
    fn reduce(
        &self,
        folder: usize,
        parts: Vec<Box<dyn Sorted + '_>>,
        emit: &mut Emit<'_>,
    ) -> Result<(), StageError>;
}

/// What a [`Regroup`] made of its counts.
pub struct Planned {
    /// What does the work.
    pub work: Box<dyn Regroup>,
    /// Files that belong to the dataset: name and bytes.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What a person should be told before the work begins.
    pub notes: Vec<String>,
}
