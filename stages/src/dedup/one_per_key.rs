//! Keeps one document of each key: the shared work of `dedup.url` and `dedup.exact`.
//!
//! Map: key → rank. Reduce: the first rank of a key stays; every other document is written with the one that stays,
//! which is what is noted of it. No document takes memory.

use super::keep::{IdBytes, Keep, QUALITY, Ranker, doc_id, rank_id};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::{
    Global, House, Judge, Note, Notes, Outcome, Push, Records, Settled, Sorted, StageError, Verdict, column,
};

/// What makes two documents the same.
pub(super) trait Key: Send + Sync + 'static {
    /// The column that is compared.
    const COLUMN: &'static str;
    /// Why the others go.
    const REASON: &'static str;
    /// What is compared of a value.
    fn key(&self, value: &str) -> [u8; 16];
}

/// Keeps one document of each key.
pub(super) struct OnePerKey<K> {
    pub(super) keep: Keep,
    pub(super) key: K,
}

impl<K: Key> Global for OnePerKey<K> {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, K::COLUMN, &DataType::Utf8)?;
        self.keep.check(input, QUALITY)?;
        same_with_id(input)
    }

    fn reads_lone_keys(&self) -> bool {
        false
    }

    fn judges_text(&self) -> bool {
        false
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let values = column::utf8(batch, K::COLUMN)?;
        let ranker = Ranker::new(self.keep, QUALITY, batch)?;
        let mut rank = Vec::new();
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            rank.clear();
            ranker.write(row, &mut rank)?;
            out.push(&self.key.key(values.value(row)), &rank);
        }
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let mut group: Option<(Vec<u8>, IdBytes)> = None;
        while let Some(record) = sorted.next()? {
            let id = rank_id(record.value);
            match &group {
                // A document that is read twice is its own twin: not a duplicate of another.
                Some((key, kept)) if key == record.key => {
                    if *kept != id {
                        out.push(&id, kept)?;
                    }
                }
                _ => group = Some((record.key.to_vec(), id)),
            }
        }
        Ok(())
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        _house: &dyn House,
        notes: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        while let Some(record) = reduced.next()? {
            notes.note(doc_id(record.key), record.value)?;
        }
        Ok(Settled::default())
    }

    fn judge(&self, _settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        Ok(Box::new(Twins(K::REASON)))
    }
}

fn same_with_id(input: &SchemaRef) -> Result<SchemaRef, StageError> {
    column::require(input, column::ID, &DataType::Utf8)?;
    Ok(input.clone())
}

/// Drops, for this reason, the documents that have a twin: it is what was noted of them.
struct Twins(&'static str);

impl Judge for Twins {
    fn judge(&self, _batch: &RecordBatch, notes: &[Option<Note>]) -> Result<Outcome, StageError> {
        let verdict = |note: &Option<Note>| match note {
            Some(note) => {
                let twin = Some(doc_id(&note.value));
                Verdict::Dropped { reason: self.0, value: 1.0, limit: 1.0, twin }
            }
            None => Verdict::Kept,
        };
        let verdicts = notes.iter().map(verdict).collect();
        Ok(Outcome { verdicts, columns: Vec::new(), signals: Vec::new() })
    }
}
