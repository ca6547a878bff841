//! The door of a stage: a pure judgement over a batch of documents.
//!
//! A stage never selects rows itself. It gives one verdict per row and the columns that it changes; the caller
//! selects, counts and writes the ledger, so rows are conserved by construction.

use crate::{DocId, StageError, column};
use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, Float64Builder, RecordBatch, StringBuilder};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::error::ArrowError;
use std::borrow::Cow;
use std::sync::Arc;

/// Work on rows that needs to see one row at a time. Pure: no clock, environment, network or file.
pub trait Stage: Send + Sync {
    /// The schema after the stage, asked before any row moves.
    ///
    /// # Errors
    /// A column that the stage reads is missing or has another type.
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError>;

    /// Judges every row of the batch, in order.
    ///
    /// # Errors
    /// As [`Stage::output`]. A bad document is a verdict, never an error.
    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError>;

    /// The verdicts of rows by their signals alone, a column each with the names of [`Outcome::signals`]; `None` when more than
    /// limits on signals decides, so that only the work itself can tell.
    fn decide(&self, _signals: &RecordBatch) -> Option<Vec<Verdict>> {
        None
    }
}

/// What became of one document in one stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Kept without a change.
    Kept,
    /// Kept with a changed text.
    Edited,
    /// Taken out.
    Dropped {
        /// Name of the reason, from the stage's `SPEC`.
        reason: &'static str,
        /// What was measured.
        value: f64,
        /// What it was measured against.
        limit: f64,
        /// The document that stays in its place, for duplicates.
        twin: Option<DocId>,
    },
}

/// The result of a stage on one batch.
#[derive(Debug)]
pub struct Outcome {
    /// One per input row, in order.
    pub verdicts: Vec<Verdict>,
    /// Replaced or added columns, one value per input row; the values of dropped rows are ignored.
    pub columns: Vec<(String, ArrayRef)>,
    /// What was measured, one value per input row; limits can be applied to it later.
    pub signals: Vec<(&'static str, ArrayRef)>,
}

impl Outcome {
    /// Every row kept as it is.
    pub fn keep_all(rows: usize) -> Self {
        Self { verdicts: vec![Verdict::Kept; rows], columns: Vec::new(), signals: Vec::new() }
    }

    /// Puts the changed columns into `batch`, keeps the rows that were not dropped and gives them the columns of
    /// `output`, which is what [`Stage::output`] said.
    ///
    /// # Errors
    /// `Conservation` when there is not exactly one verdict per row; `Arrow` when a column is missing or has another
    /// type than was said.
    pub fn select(&self, batch: &RecordBatch, output: &SchemaRef) -> Result<RecordBatch, StageError> {
        let (rows, verdicts) = (batch.num_rows(), self.verdicts.len());
        if rows != verdicts {
            return Err(StageError::Conservation { rows, verdicts });
        }
        let kept: BooleanArray =
            self.verdicts.iter().map(|v| Some(!matches!(v, Verdict::Dropped { .. }))).collect();
        let columns = output.fields().iter().map(|field| {
            let changed =
                self.columns.iter().find(|(name, _)| name == field.name()).map(|(_, values)| values);
            let column = changed.or_else(|| batch.column_by_name(field.name())).ok_or_else(|| {
                ArrowError::SchemaError(format!("the stage promised a column `{}`", field.name()))
            })?;
            filter(column, &kept)
        });
        Ok(RecordBatch::try_new(output.clone(), columns.collect::<Result<_, _>>()?)?)
    }
}

/// What a [`Filter`] says of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Why the document goes, if it does.
    pub verdict: Verdict,
    /// One value for each of [`Filter::SIGNALS`], in that order.
    pub signals: Vec<f64>,
}

/// Keeps or drops a document by its text.
pub trait Filter: Send + Sync {
    /// Names of what is measured, every one a Float64.
    const SIGNALS: &'static [&'static str];
    /// Measures the text and holds it against the limits.
    fn judge(&self, text: &str) -> Judgement;
    /// The verdict of a text with these signals, in the order of [`Filter::SIGNALS`]; `None` when more than limits on signals
    /// decides.
    fn decide(&self, _signals: &[f64]) -> Option<Verdict> {
        None
    }
}

/// Changes the text of a document.
pub trait Rewrite: Send + Sync {
    /// `Borrowed` means untouched. Rewriting twice must equal rewriting once.
    fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str>;
}

/// Makes a stage of a [`Filter`]. A null text is judged as an empty one.
#[derive(Debug)]
pub struct FilterStage<F>(pub F);

/// Makes a stage of a [`Rewrite`]. A null text becomes an empty one.
#[derive(Debug)]
pub struct RewriteStage<R>(pub R);

/// The schema after a stage that reads the text and adds no column.
fn same_columns(input: &SchemaRef) -> Result<SchemaRef, StageError> {
    column::require(input, column::TEXT, &DataType::Utf8)?;
    Ok(input.clone())
}

impl<F: Filter> Stage for FilterStage<F> {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        same_columns(input)
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let mut verdicts = Vec::with_capacity(texts.len());
        let mut signals: Vec<Float64Builder> = F::SIGNALS.iter().map(|_| Float64Builder::new()).collect();
        for text in texts {
            let judgement = self.0.judge(text.unwrap_or_default());
            verdicts.push(judgement.verdict);
            for (builder, value) in signals.iter_mut().zip(judgement.signals) {
                builder.append_value(value);
            }
        }
        let signals =
            F::SIGNALS.iter().zip(signals).map(|(name, mut b)| (*name, Arc::new(b.finish()) as ArrayRef));
        Ok(Outcome { verdicts, columns: Vec::new(), signals: signals.collect() })
    }

    fn decide(&self, signals: &RecordBatch) -> Option<Vec<Verdict>> {
        let column = |name: &&str| signals.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let columns: Vec<_> = F::SIGNALS.iter().map(column).collect::<Option<_>>()?;
        let row = |row: usize| self.0.decide(&columns.iter().map(|c| c.value(row)).collect::<Vec<_>>());
        (0..signals.num_rows()).map(row).collect()
    }
}

impl<R: Rewrite> Stage for RewriteStage<R> {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        same_columns(input)
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let mut verdicts = Vec::with_capacity(texts.len());
        let mut rewritten = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        for text in texts {
            let text = self.0.rewrite(text.unwrap_or_default());
            verdicts.push(if matches!(text, Cow::Owned(_)) { Verdict::Edited } else { Verdict::Kept });
            rewritten.append_value(text);
        }
        let columns = vec![(column::TEXT.to_owned(), Arc::new(rewritten.finish()) as ArrayRef)];
        Ok(Outcome { verdicts, columns, signals: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    struct Short;
    impl Filter for Short {
        const SIGNALS: &'static [&'static str] = &["bytes"];
        fn judge(&self, text: &str) -> Judgement {
            let value = text.len() as f64;
            let dropped = Verdict::Dropped { reason: "short", value, limit: 3.0, twin: None };
            Judgement { verdict: if value < 3.0 { dropped } else { Verdict::Kept }, signals: vec![value] }
        }
    }

    fn batch(texts: &[&str]) -> RecordBatch {
        let text: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        RecordBatch::try_from_iter([(column::TEXT, text)]).unwrap()
    }

    #[test]
    fn rows_are_conserved_and_order_is_kept() {
        let input = batch(&["a", "long", "", "longer"]);
        let outcome = FilterStage(Short).apply(&input).unwrap();
        let kept = outcome.select(&input, &input.schema()).unwrap();
        let texts: Vec<&str> = column::utf8(&kept, column::TEXT).unwrap().iter().flatten().collect();
        assert_eq!(texts, ["long", "longer"]);
        assert_eq!(outcome.verdicts.len(), 4);
        assert_eq!(outcome.signals[0].1.len(), 4);
    }

    #[test]
    fn a_wrong_count_of_verdicts_is_an_error() {
        let outcome = Outcome { verdicts: Vec::new(), columns: Vec::new(), signals: Vec::new() };
        let error = outcome.select(&batch(&["a"]), &batch(&[]).schema()).unwrap_err();
        assert_eq!(error.to_string(), "a batch of 1 rows got 0 verdicts");
    }

    #[test]
    fn a_missing_column_is_named() {
        let input = RecordBatch::try_from_iter([("body", batch(&["a"]).column(0).clone())]).unwrap();
        let error = FilterStage(Short).apply(&input).unwrap_err();
        assert_eq!(error.to_string(), "column `text` is missing, found body");
    }
}
