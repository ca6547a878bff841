//! Edits of a text that can be undone: what stood where, kept beside the text in a column.
//!
//! The column holds JSON, a triple an edit, in order: `[[at, bytes, "was"], …]`. The `bytes` bytes at byte `at` of the text as
//! it is now stand where `was` stood. Null where nothing was changed.

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, SchemaRef};
use schemas::{Outcome, Stage, StageError, Verdict, column};
use std::ops::Range;
use std::sync::Arc;

/// One edit: where it stands in the text as it is now, its bytes there, and what was there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Edit(pub usize, pub usize, pub String);

/// A text being edited from front to back.
#[derive(Debug)]
pub struct Edited<'a> {
    text: &'a str,
    /// The text as it is now, up to `copied` of the old one.
    pub now: String,
    copied: usize,
    edits: Vec<Edit>,
}

impl<'a> Edited<'a> {
    /// Nothing edited yet.
    pub const fn new(text: &'a str) -> Self {
        Self { text, now: String::new(), copied: 0, edits: Vec::new() }
    }

    /// Copies the text before `at`, which is not before the last edit.
    pub fn copy_to(&mut self, at: usize) {
        self.now.push_str(&self.text[self.copied..at]);
        self.copied = at;
    }

    /// Puts `is` in the place of `range`.
    pub fn replace(&mut self, range: Range<usize>, is: &[&str]) {
        self.copy_to(range.start);
        let at = self.now.len();
        self.now.extend(is.iter().copied());
        self.copied = range.end;
        self.edits.push(Edit(at, self.now.len() - at, self.text[range].to_owned()));
    }

    /// The text as it is now and the edits; `None` when there are none.
    pub fn finish(mut self) -> Option<(String, Vec<Edit>)> {
        if self.edits.is_empty() {
            return None;
        }
        self.copy_to(self.text.len());
        Some((self.now, self.edits))
    }
}

/// Undoes the edits of a text; `None` when they are not of this text.
pub fn restore(now: &str, edits: &[Edit]) -> Option<String> {
    let (mut out, mut copied) = (String::new(), 0);
    for Edit(at, bytes, was) in edits {
        out.push_str(now.get(copied..*at)?);
        out.push_str(was);
        copied = at + bytes;
    }
    out.push_str(now.get(copied..)?);
    Some(out)
}

/// Changes a text so that it can be undone.
pub trait Editor: Send + Sync {
    /// The column of the edits. Utf8, null where nothing was changed.
    const COLUMN: &'static str;
    /// The signal that counts them.
    const SIGNAL: &'static str;
    /// The changed text and the edits, or `None`. `language` is the column of that name, where there is one.
    fn edit(&self, text: &str, language: Option<&str>) -> Option<(String, Vec<Edit>)>;
}

/// Makes a stage of an [`Editor`].
#[derive(Debug)]
pub struct EditStage<E>(pub E);

impl<E: Editor> Stage for EditStage<E> {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        Ok(column::with(input, [Field::new(E::COLUMN, DataType::Utf8, true)]))
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let languages = column::utf8(batch, column::LANGUAGE).ok();
        let edited: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(row, text)| {
                let language = languages.filter(|all| all.is_valid(row)).map(|all| all.value(row));
                text.and_then(|text| self.0.edit(text, language))
            })
            .collect();
        let mut now: ArrayRef = Arc::new(texts.clone());
        if edited.iter().any(Option::is_some) {
            let mut builder = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
            for (row, edited) in edited.iter().enumerate() {
                let text = edited.as_ref().map(|(text, _)| text.as_str());
                builder.append_option(text.or_else(|| texts.is_valid(row).then(|| texts.value(row))));
            }
            now = Arc::new(builder.finish());
        }
        let mut spans = StringBuilder::new();
        for edited in &edited {
            let json = edited.as_ref().map(|(_, edits)| serde_json::to_string(edits));
            spans.append_option(json.map(|json| json.expect("numbers and text have a JSON form")));
        }
        let columns = vec![
            (column::TEXT.to_owned(), now),
            (E::COLUMN.to_owned(), Arc::new(spans.finish()) as ArrayRef),
        ];
        let counts: Float64Array =
            edited.iter().map(|e| Some(e.as_ref().map_or(0.0, |(_, edits)| edits.len() as f64))).collect();
        let verdict = |e: &Option<_>| if e.is_some() { Verdict::Edited } else { Verdict::Kept };
        Ok(Outcome {
            verdicts: edited.iter().map(verdict).collect(),
            columns,
            signals: vec![(E::SIGNAL, Arc::new(counts) as ArrayRef)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;

    struct Loud;
    impl Editor for Loud {
        const COLUMN: &'static str = "loud_edits";
        const SIGNAL: &'static str = "loud";
        fn edit(&self, text: &str, language: Option<&str>) -> Option<(String, Vec<Edit>)> {
            let mut edited = Edited::new(text);
            for (at, mark) in text.match_indices('!').filter(|_| language != Some("fra")) {
                edited.replace(at..at + mark.len(), &[".", "."]);
            }
            edited.finish()
        }
    }

    #[test]
    fn edits_stand_beside_the_text_and_undo_it() {
        let text: ArrayRef =
            Arc::new(StringArray::from(vec![Some("é! a!b"), None, Some("plain"), Some("!")]));
        let language: ArrayRef = Arc::new(StringArray::from(vec![Some("eng"), None, None, Some("fra")]));
        let batch = RecordBatch::try_from_iter_with_nullable([
            (column::TEXT, text, true),
            (column::LANGUAGE, language, true),
        ])
        .unwrap();
        let stage = EditStage(Loud);
        let outcome = stage.apply(&batch).unwrap();
        assert_eq!(outcome.verdicts, [Verdict::Edited, Verdict::Kept, Verdict::Kept, Verdict::Kept]);
        let after = outcome.select(&batch, &stage.output(&batch.schema()).unwrap()).unwrap();
        let (texts, spans) =
            (column::utf8(&after, column::TEXT).unwrap(), column::utf8(&after, "loud_edits").unwrap());
        assert_eq!(texts.value(0), "é.. a..b");
        assert!(texts.is_null(1) && spans.is_null(1) && spans.is_null(2) && spans.is_null(3));
        assert_eq!(spans.value(0), r#"[[2,2,"!"],[6,2,"!"]]"#);
        let edits: Vec<Edit> = serde_json::from_str(spans.value(0)).unwrap();
        assert_eq!(restore(texts.value(0), &edits).unwrap(), "é! a!b");
        assert_eq!(restore("é", &edits), None);
    }
}
