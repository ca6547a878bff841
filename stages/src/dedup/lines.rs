//! Cuts lines, paragraphs or spans of three sentences that stand in several places, all but the first.
//!
//! ```text
//! unit = "c4_spans"    three sentences in a row, by the rule of C4 (arXiv 1910.10683) as datatrove 0.10.1 has it
//! unit = "line"        a line, by the rule of cc_net (arXiv 1911.00359)
//! unit = "paragraph"   lines up to an empty one, each compared as a line is, white space between words aside
//! ```
//!
//! Sentences are those of spaCy; each is normalised as datatrove does (lower case, numbers as 0, no punctuation, no accents), three in a
//! row are compared by XXH64, and all three are cut. Spans overlap, so a copy of ten sentences is cut whole. A line is compared without white
//! space at its ends, in lower case, its digits as 0, without 34 marks of punctuation and control characters, by the first 8 bytes
//! of SHA-1. What has nothing left to compare is never cut.
//!
//! The first of equal units is that of the document that ranks first by `keep`, and in it the one nearest to its start: the result depends on
//! the set of documents alone. (datatrove takes the document with the smallest number in its file, then the first file.) A document that
//! was changed goes when it has less than `words_min` words or `sentences_min` sentences left, as they are counted by spaCy.
//!
//! Each unit takes 40 bytes and its document's place in the source on disk while sorted; memory holds none of them.
//!
//! ```text
//! unit = "line", words_min = 2
//! "Home | News\nA mill turns.\nHome | News"   →  "Home | News\nA mill turns."     cut_units 1
//! "HOME | NEWS\nThe wind blows."             →  "The wind blows."                 cut_units 1
//! "home | news\n12 May"                      →  stays, if no other line is "00 may"; else it goes as too_few_words (0, limit 2)
//! ```

mod units;

use super::keep::{IdBytes, Keep, QUALITY, Ranker, doc_id, rank_id};
use crate::text::spacy;
use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::{
    Build, Config as _, Global, House, Judge, Made, Note, Notes, Outcome, Push, Reason, Records, Settled,
    Sorted, Spec, StageError, Verdict, column, config,
};
use std::sync::Arc;
pub use units::Unit;

config! {
    /// Settings of `dedup.lines`.
    pub struct Config {
        /// What is compared and cut.
        unit: Unit = Unit::C4Spans;
        /// The document whose units come first.
        keep: Keep = Keep::First;
        /// Fewest words of a document that was changed.
        words_min: u64 = 50, in 0..=1_000_000;
        /// Fewest sentences of a document that was changed. Unset: 3 for `c4_spans`, 0 for the others.
        sentences_min: Option<u64> = None, in Some(0)..=Some(1_000_000);
    }
}

/// Why `dedup.lines` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Nothing of it is left.
    NothingLeft,
    /// Less than `words_min` words are left.
    TooFewWords,
    /// Less than `sentences_min` sentences are left.
    TooFewSentences,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::NothingLeft => "nothing_left",
            Self::TooFewWords => "too_few_words",
            Self::TooFewSentences => "too_few_sentences",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::NothingLeft.name(), doc: "All of it stands elsewhere and was cut." },
    Reason { name: Drop::TooFewWords.name(), doc: "The cuts left less than `words_min` words." },
    Reason { name: Drop::TooFewSentences.name(), doc: "The cuts left less than `sentences_min` sentences." },
];

const BUILD: Build = |settings| Ok(Made::Global(Box::new(Lines(settings.parse()?))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "dedup.lines",
    version: 1,
    summary: "Cuts lines, paragraphs or spans of three sentences that stand in several places, all but the first.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

struct Lines(Config);

/// Bytes of the number of a unit in its document.
const NUMBER_BYTES: usize = 4;

/// Key of a record: hash of the unit. Value: rank of the document, number of the unit.
impl Global for Lines {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        column::require(input, column::ID, &DataType::Utf8)?;
        self.0.keep.check(input, QUALITY)?;
        Ok(input.clone())
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let ranker = Ranker::new(self.0.keep, QUALITY, batch)?;
        let mut value = Vec::new();
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            value.clear();
            ranker.write(row, &mut value)?;
            let rank = value.len();
            for (number, hash) in self.0.unit.hashes(texts.value(row)) {
                value.truncate(rank);
                value.extend_from_slice(&number.to_be_bytes());
                out.push(&hash.to_be_bytes(), &value);
            }
        }
        Ok(())
    }

    /// Key: document and number of a unit that is cut.
    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let mut first: Option<(Vec<u8>, Vec<u8>)> = None;
        while let Some(record) = sorted.next()? {
            match &first {
                // A document that is read twice is no duplicate of itself.
                Some((key, value)) if key == record.key => {
                    if value != record.value {
                        let (rank, number) = record.value.split_at(record.value.len() - NUMBER_BYTES);
                        out.push(&[&rank_id(rank), number].concat(), &[])?;
                    }
                }
                _ => first = Some((record.key.to_vec(), record.value.to_vec())),
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
        let mut note: Option<(IdBytes, Vec<u8>)> = None;
        while let Some(record) = reduced.next()? {
            let (id, number) = record.key.split_first_chunk().expect("reduce wrote an id");
            match &mut note {
                Some((known, numbers)) if known == id => {
                    if !numbers.ends_with(number) {
                        numbers.extend_from_slice(number);
                    }
                }
                _ => {
                    if let Some((id, numbers)) = note.replace((*id, number.to_vec())) {
                        notes.note(doc_id(&id), &numbers)?;
                    }
                }
            }
        }
        if let Some((id, numbers)) = note {
            notes.note(doc_id(&id), &numbers)?;
        }
        Ok(Settled::default())
    }

    fn judge(&self, _settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        Ok(Box::new(Cutter(self.0.clone())))
    }
}

/// Cuts the units that were noted.
struct Cutter(Config);

impl Cutter {
    fn verdict(&self, text: &str) -> Verdict {
        let dropped = |reason: Drop, value: usize, limit: u64| Verdict::Dropped {
            reason: reason.name(),
            value: value as f64,
            limit: limit as f64,
            twin: None,
        };
        let default = if self.0.unit == Unit::C4Spans { 3 } else { 0 };
        let (words_min, sentences_min) = (self.0.words_min, self.0.sentences_min.unwrap_or(default));
        if text.is_empty() {
            return dropped(Drop::NothingLeft, 0, 1);
        }
        let words = if words_min > 0 { spacy::words(text).len() } else { 0 };
        if (words as u64) < words_min {
            return dropped(Drop::TooFewWords, words, words_min);
        }
        let sentences = if sentences_min > 0 { spacy::sentences(text) } else { 0 };
        if (sentences as u64) < sentences_min {
            return dropped(Drop::TooFewSentences, sentences, sentences_min);
        }
        Verdict::Edited
    }
}

impl Judge for Cutter {
    fn judge(&self, batch: &RecordBatch, notes: &[Option<Note>]) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let mut verdicts = Vec::with_capacity(notes.len());
        let (mut units, mut bytes) = (Vec::with_capacity(notes.len()), Vec::with_capacity(notes.len()));
        let mut now = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        for (row, note) in notes.iter().enumerate() {
            let text = texts.is_valid(row).then(|| texts.value(row));
            let (Some(note), Some(text)) = (note, text) else {
                verdicts.push(Verdict::Kept);
                units.push(0.0);
                bytes.push(0.0);
                now.append_option(text);
                continue;
            };
            let numbers: Vec<u32> =
                note.value.as_chunks::<NUMBER_BYTES>().0.iter().map(|n| u32::from_be_bytes(*n)).collect();
            let left = self.0.unit.cut(text, &numbers);
            verdicts.push(self.verdict(&left));
            units.push(numbers.len() as f64);
            bytes.push((text.len() - left.len()) as f64);
            now.append_value(left);
        }
        let now: ArrayRef = Arc::new(now.finish());
        let signals = [("cut_units", units), ("cut_bytes", bytes)]
            .map(|(name, values)| (name, Arc::new(Float64Array::from(values)) as ArrayRef));
        Ok(Outcome { verdicts, columns: vec![(column::TEXT.to_owned(), now)], signals: signals.into() })
    }
}

#[cfg(test)]
mod tests;
