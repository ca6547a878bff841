//! Runs a [`Global`] in memory, for tests.

use arrow::array::RecordBatch;
use schemas::{Global, Outcome, StageError, memory};

/// Runs the whole of it: one outcome a batch.
pub(crate) fn run(
    global: &dyn Global,
    batches: &[RecordBatch],
    partitions: usize,
) -> Result<Vec<Outcome>, StageError> {
    let done = memory::settle(global, batches, partitions)?;
    batches.iter().map(|batch| done.judge(batch)).collect()
}

#[cfg(test)]
pub(crate) use cases::{batch, build, check, id};

#[cfg(test)]
mod cases {
    use super::run;
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use schemas::{DocId, Global, Made, Settings, Spec, Value, Verdict, column};
    use std::sync::Arc;

    /// A document id that sorts as the name does, for names up to 16 bytes.
    pub(crate) fn id(name: &str) -> String {
        let mut bytes = [0; 16];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        format!("{:032x}", u128::from_be_bytes(bytes))
    }

    fn name(id: DocId) -> String {
        let bytes = u128::from_str_radix(&id.to_string(), 16).unwrap().to_be_bytes();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    }

    /// Rows of id and one column.
    pub(crate) fn batch(column: &'static str, rows: &[(&str, &str)]) -> RecordBatch {
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(name, _)| id(name))));
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, value)| value)));
        RecordBatch::try_from_iter([(column::ID, ids), (column, values)]).unwrap()
    }

    pub(crate) fn build(spec: &Spec, set: &[(&str, Value)]) -> Box<dyn Global> {
        let pairs = set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        match (spec.build)(&Settings::new(pairs)) {
            Ok(Made::Global(global)) => global,
            Ok(_) => panic!("{} is not global", spec.kind),
            Err(errors) => panic!("{errors:?}"),
        }
    }

    /// Runs a stage over one batch and writes what became of each row.
    pub(crate) fn check(
        spec: &Spec,
        set: &[(&str, &str)],
        column: &'static str,
        rows: &[(&str, &str)],
    ) -> String {
        let set: Vec<_> = set.iter().map(|(key, value)| (*key, Value::String((*value).to_owned()))).collect();
        let outcomes = run(build(spec, &set).as_ref(), &[batch(column, rows)], 3).unwrap();
        let words = rows.iter().zip(&outcomes[0].verdicts).map(|((row, _), verdict)| match verdict {
            Verdict::Dropped { reason, value, limit, twin } => {
                format!("{row} {reason} {value} of {limit} ({})", twin.map_or_else(String::new, name))
            }
            _ => format!("{row} kept"),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}
