//! The doors of work that must see all rows first: byte records go out, the house sorts them on disk, results come back.
//!
//! Records are bytes so that the house can sort, spill and send them without knowing what they mean. They are sorted by
//! key, then by value, so the order never depends on threads, splits or spills; a key made of big-endian numbers sorts
//! by number.

use crate::{Outcome, Stage, StageError};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

/// One record: a key to sort and group by, and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record<'a> {
    /// What records are sorted and partitioned by.
    pub key: &'a [u8],
    /// What travels with the key; orders records of one key.
    pub value: &'a [u8],
}

/// A growing list of records in one buffer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Records {
    bytes: Vec<u8>,
    /// Start of the record, length of its key, length of its value.
    index: Vec<(u64, u32, u32)>,
}

impl Records {
    /// Adds a record.
    ///
    /// # Panics
    /// When a key or value is longer than 4 GiB.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        let length = |part: &[u8]| u32::try_from(part.len()).expect("keys and values are below 4 GiB");
        self.index.push((self.bytes.len() as u64, length(key), length(value)));
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    /// All records in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.index.iter().map(|&entry| self.record(entry))
    }

    /// Sorts by key, then by value.
    pub fn sort(&mut self) {
        let mut index = std::mem::take(&mut self.index);
        index.sort_unstable_by(|&a, &b| self.record(a).cmp(&self.record(b)));
        self.index = index;
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Memory that the records take, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.index.len() * size_of::<(u64, u32, u32)>()
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
    }

    fn record(&self, (start, key, value): (u64, u32, u32)) -> Record<'_> {
        let middle = start as usize + key as usize;
        Record {
            key: &self.bytes[start as usize..middle],
            value: &self.bytes[middle..middle + value as usize],
        }
    }
}

/// A stream of records sorted by key, then value; borrowed until the next call.
pub trait Sorted {
    /// The next record, `None` at the end.
    ///
    /// # Errors
    /// `Io` when a spilled run cannot be read.
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError>;
}

/// Work that must see all rows before it can judge one: deduplication, training a tokenizer.
///
/// Every row is mapped to records; the house sorts each partition of records and has it reduced (partitions in
/// parallel, a key always in one partition); the reduced records of all partitions, in partition order, settle into a
/// plain stage, which then judges the very rows that were mapped.
pub trait Global: Send + Sync {
    /// The schema after the settled stage, asked before any row moves.
    ///
    /// # Errors
    /// A column that is read is missing or has another type.
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError>;

    /// Writes the records of a batch.
    ///
    /// # Errors
    /// As [`Global::output`].
    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError>;

    /// Reduces one partition of sorted records.
    ///
    /// # Errors
    /// `Io` from the stream.
    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut Records) -> Result<(), StageError>;

    /// Makes the plain stage from the reduced records of all partitions.
    ///
    /// # Errors
    /// What the work itself cannot do, as `Invalid`.
    fn settle(&self, reduced: &Records) -> Result<Settled, StageError>;
}

/// What a [`Global`] settles into.
pub struct Settled {
    /// The stage that judges the rows.
    pub stage: Box<dyn Stage>,
    /// Files that belong to the dataset, such as `tokenizer.json`: name and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// Numbers that the manifest tells, such as `vocab_size` and `eos_id`.
    pub facts: Vec<(&'static str, u64)>,
}

/// Work that makes other rows out of all rows: packing documents into sequences.
pub trait Regroup: Send + Sync {
    /// The schema of the rows that it makes, asked before any row moves.
    ///
    /// # Errors
    /// A column that is read is missing or has another type.
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError>;

    /// Writes the records of a batch and says of every row whether it went in.
    ///
    /// # Errors
    /// As [`Regroup::output`].
    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<Outcome, StageError>;

    /// The folders that the rows are sorted into, such as `train` and `validation`; the first byte of each key is the
    /// index of its folder, and each is a partition of its own.
    fn folders(&self) -> Vec<&'static str>;

    /// Makes rows from the sorted records of one folder and hands them on in order.
    ///
    /// # Errors
    /// `Io` from the stream; whatever `emit` returns.
    fn reduce(
        &self,
        sorted: &mut dyn Sorted,
        emit: &mut dyn FnMut(RecordBatch) -> Result<(), StageError>,
    ) -> Result<(), StageError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_sort_by_key_then_value() {
        let mut records = Records::default();
        for (key, value) in [("b", "1"), ("a", "2"), ("ab", ""), ("a", "1")] {
            records.push(key.as_bytes(), value.as_bytes());
        }
        records.sort();
        let found: Vec<(&[u8], &[u8])> = records.iter().map(|r| (r.key, r.value)).collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"a", b"2"), (b"ab", b""), (b"b", b"1")];
        assert_eq!(found, expected);
    }
}
