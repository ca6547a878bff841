//! A house without a disk: runs globals and regroups over batches in memory, for tests, benchmarks and small inputs.
//!
//! ```text
//! reduce(global, batches, 3)   map every batch → 3 partitions by hash of the key, each sorted → reduce one by one
//! ```

use crate::{Global, Record, Records, Sorted, StageError};
use arrow::array::RecordBatch;

/// Records in memory, handed out by key, then by value.
#[derive(Debug, Clone)]
pub struct InMemory<'a> {
    records: Vec<Record<'a>>,
    next: usize,
}

impl<'a> InMemory<'a> {
    /// Sorts the records.
    pub fn new(records: impl IntoIterator<Item = Record<'a>>) -> Self {
        let mut records: Vec<Record<'a>> = records.into_iter().collect();
        records.sort_unstable();
        Self { records, next: 0 }
    }
}

impl Sorted for InMemory<'_> {
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError> {
        self.next += 1;
        Ok(self.records.get(self.next - 1).copied())
    }
}

/// Maps all batches and reduces the records in `partitions`, a key always in one of them.
///
/// # Errors
/// As [`Global::map`] and [`Global::reduce`].
///
/// # Panics
/// Without a partition.
pub fn reduce(global: &dyn Global, batches: &[RecordBatch], partitions: u64) -> Result<Records, StageError> {
    let mut mapped = Records::default();
    batches.iter().try_for_each(|batch| global.map(batch, &mut mapped))?;
    let place = |record: &Record<'_>| xxhash_rust::xxh3::xxh3_64(record.key) % partitions;
    let mut reduced = Records::default();
    for partition in 0..partitions {
        let part = mapped.iter().filter(|record| place(record) == partition);
        global.reduce(&mut InMemory::new(part), &mut reduced)?;
    }
    Ok(reduced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_by_key_and_value_and_then_no_more() {
        let mut records = Records::default();
        for (key, value) in [("b", "1"), ("a", "2"), ("", ""), ("a", "1")] {
            records.push(key.as_bytes(), value.as_bytes());
        }
        let mut sorted = InMemory::new(records.iter());
        let mut found = Vec::new();
        while let Some(record) = sorted.next().unwrap() {
            found.push((record.key.to_vec(), record.value.to_vec()));
        }
        let pair = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        assert_eq!(found, [pair("", ""), pair("a", "1"), pair("a", "2"), pair("b", "1")]);
        assert_eq!(sorted.next().unwrap(), None);
    }
}
