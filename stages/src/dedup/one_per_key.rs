//! Keeps one document of each key: the shared work of `dedup.url` and `dedup.exact`.
//!
//! Map: key → rank. Reduce: the first rank of a key stays; every other document is written with the one that stays.
//! Only dropped documents take memory, 32 bytes each and the table around them.

use super::keep::{ID_BYTES, IdBytes, Keep, Ranker, doc_id, id_bytes, rank_id};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::hash::FastMap;
use schemas::{Global, Outcome, Records, Settled, Sorted, Stage, StageError, Verdict, column};

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
        same_with_id(input)
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let values = column::utf8(batch, K::COLUMN)?;
        let ranker = Ranker::new(self.keep, batch)?;
        let mut rank = Vec::new();
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            rank.clear();
            ranker.write(row, &mut rank)?;
            out.push(&self.key.key(values.value(row)), &rank);
        }
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut Records) -> Result<(), StageError> {
        let mut group: Option<(Vec<u8>, IdBytes)> = None;
        while let Some(record) = sorted.next()? {
            let id = rank_id(record.value);
            match &group {
                // A document that is read twice is its own twin: not a duplicate of another.
                Some((key, kept)) if key == record.key => {
                    if *kept != id {
                        out.push(&id, kept);
                    }
                }
                _ => group = Some((record.key.to_vec(), id)),
            }
        }
        Ok(())
    }

    fn settle(&self, reduced: &Records) -> Result<Settled, StageError> {
        let id = |bytes: &[u8]| IdBytes::try_from(&bytes[..ID_BYTES]).expect("reduce wrote ids");
        let twins = reduced.iter().map(|r| (id(r.key), id(r.value))).collect();
        let stage = Box::new(Twins { reason: K::REASON, twins });
        Ok(Settled { stage, files: Vec::new(), facts: Vec::new() })
    }
}

fn same_with_id(input: &SchemaRef) -> Result<SchemaRef, StageError> {
    column::require(input, column::ID, &DataType::Utf8)?;
    Ok(input.clone())
}

/// Drops the documents that have a twin.
struct Twins {
    reason: &'static str,
    twins: FastMap<IdBytes, IdBytes>,
}

impl Stage for Twins {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        same_with_id(input)
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let ids = column::utf8(batch, column::ID)?;
        let verdict = |row| {
            Ok(match self.twins.get(&id_bytes(ids, row)?) {
                Some(twin) => Verdict::Dropped {
                    reason: self.reason,
                    value: 1.0,
                    limit: 1.0,
                    twin: Some(doc_id(*twin)),
                },
                None => Verdict::Kept,
            })
        };
        let verdicts = (0..ids.len()).map(verdict).collect::<Result<_, StageError>>()?;
        Ok(Outcome { verdicts, columns: Vec::new(), signals: Vec::new() })
    }
}
