//! Records: bytes that the house can sort, spill and send without knowing what they mean.
//!
//! They are sorted by key, then by value, so the order never depends on threads, splits or spills; a key made of
//! big-endian numbers sorts by number.

use crate::StageError;
use std::io::Write;

/// One record: a key to sort and group by, and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record<'a> {
    /// What records are sorted and partitioned by.
    pub key: &'a [u8],
    /// What travels with the key; orders records of one key.
    pub value: &'a [u8],
}

/// A stream of records sorted by key, then value; borrowed until the next call.
pub trait Sorted {
    /// The next record, `None` at the end.
    ///
    /// # Errors
    /// `Io` when a spilled run cannot be read.
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError>;
}

/// Where records go, in any order and any number.
pub trait Push {
    /// Takes a record.
    ///
    /// # Errors
    /// `Io` when records are spilled and the disk refuses.
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), StageError>;
}

/// Sorts more records than memory holds.
pub trait Sorter: Push {
    /// Everything that was pushed, sorted.
    ///
    /// # Errors
    /// `Io`.
    fn sorted(self: Box<Self>) -> Result<Box<dyn Sorted>, StageError>;
}

/// Partitions that records are sorted in: a constant, so that results never depend on threads.
pub const PARTITIONS: usize = 16;

/// The partition of a key. Work that keeps records of its own by partition reads only those that it is given the like of.
pub fn partition(key: &[u8]) -> usize {
    (xxhash_rust::xxh3::xxh3_64(key) % PARTITIONS as u64) as usize
}

/// What the house lends to work that sorts in several passes.
pub trait House {
    /// A sorter within the memory budget of the run.
    ///
    /// # Errors
    /// `Io`.
    fn sorter(&self) -> Result<Box<dyn Sorter + '_>, StageError>;

    /// A new file of the dataset, for what may be larger than memory. It counts once the work has settled.
    ///
    /// # Errors
    /// `Io`.
    fn file(&self, name: &str) -> Result<Box<dyn Write + '_>, StageError>;

    /// Bytes that the work may hold beside its sorters. A result must not depend on it.
    fn memory_bytes(&self) -> usize {
        64 << 20
    }
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

    /// Adds a record whose value is these parts one behind the other.
    ///
    /// # Panics
    /// As [`Records::push`].
    pub fn push_parts(&mut self, key: &[u8], value: &[&[u8]]) {
        let length = |bytes: usize| u32::try_from(bytes).expect("keys and values are below 4 GiB");
        let bytes = value.iter().map(|part| part.len()).sum();
        self.index.push((self.bytes.len() as u64, length(key.len()), length(bytes)));
        self.bytes.reserve(key.len() + bytes);
        self.bytes.extend_from_slice(key);
        value.iter().for_each(|part| self.bytes.extend_from_slice(part));
    }

    /// All records in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.index.iter().map(|&entry| self.record(entry))
    }

    /// The record at a place of the list.
    pub fn get(&self, at: usize) -> Option<Record<'_>> {
        self.index.get(at).map(|&entry| self.record(entry))
    }

    /// Sorts by key, then by value.
    pub fn sort(&mut self) {
        let index = std::mem::take(&mut self.index);
        let mut led: Vec<_> = index.into_iter().map(|at| (leading(self.record(at).key), at)).collect();
        led.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| self.record(*x).cmp(&self.record(*y))));
        self.index = led.into_iter().map(|(_, at)| at).collect();
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
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

/// The first bytes of a key as a number: keys whose numbers differ sort as these do, without a look at the bytes.
pub fn leading(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(first)
        }
    }
}

impl Push for Records {
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), StageError> {
        Self::push(self, key, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_sort_by_key_then_value() {
        let mut records = Records::default();
        let pairs = [
            ("b", "1"),
            ("a", "2"),
            ("ab", ""),
            ("a", "1"),
            ("a\0", ""),
            ("12345678b", ""),
            ("12345678", "2"),
        ];
        for (key, value) in pairs {
            records.push(key.as_bytes(), value.as_bytes());
        }
        records.sort();
        let found: Vec<(&[u8], &[u8])> = records.iter().map(|r| (r.key, r.value)).collect();
        let mut expected = pairs.map(|(key, value)| (key.as_bytes(), value.as_bytes()));
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
