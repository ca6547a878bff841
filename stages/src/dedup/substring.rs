//! Cuts long runs of words or bytes that stand in several places, all but the first.
//!
//! A run of `tokens_min` tokens that stands earlier in the corpus is cut: in a document that ranks before by `keep`, or further up in the same
//! one without touching it. Runs that overlap are cut as one, so of a copied page all is cut, of a page with a copied passage the passage. This is exact: nothing
//! is cut that is not part of such a run, and what is left holds no such run twice but for one that overlaps its own repeat, and one that
//! comes to be where a cut joins two ends. It is the work of a suffix array (arXiv
//! 2107.06499), done by sorting on disk: the result depends on the set of documents alone, at any memory.
//!
//! With `unit = "word"` tokens are words, compared by their letters and digits in lower case and without accents; what stands behind the
//! last word of a cut, up to the next one, goes with it. With `unit = "byte"` all counts, and a cut keeps off half characters.
//!
//! While sorted, each token takes about 14 bytes on disk for `word` and 11 for `byte`; what stands in several places takes 80 more.
//!
//! ```text
//! tokens_min = 4, words_min = 1
//! "The old mill stands by the river."              →  stays
//! "Look: the OLD mill stands by a lake, it says."  →  "Look: by a lake, it says."     cut_tokens 4
//! "the old mill stands"                            →  goes as nothing_left
//! ```

mod winnow;

use super::keep::{IdBytes, Keep, QUALITY, Ranker, doc_id, rank_id};
use crate::text::letters::Letters;
use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::{
    Build, Config as _, Global, House, Judge, Made, Note, Notes, Outcome, Push, Reason, Records, Settled,
    Sorted, Spec, StageError, Verdict, choice, column, config,
};
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

choice! {
    /// What a token is.
    pub enum Unit {
        /// A word, by its letters and digits.
        Word = "word",
        /// A byte.
        Byte = "byte",
    }
}

config! {
    /// Settings of `dedup.substring`.
    pub struct Config {
        /// What a token is.
        unit: Unit = Unit::Word;
        /// Tokens of the shortest run that is cut. Unset: 50 words (arXiv 2107.06499), or 100 bytes.
        tokens_min: Option<u64> = None, in Some(2)..=Some(100_000);
        /// The document whose runs come first.
        keep: Keep = Keep::First;
        /// Fewest words of a document that was cut.
        words_min: u64 = 20, in 0..=1_000_000;
    }
}

/// Why `dedup.substring` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Nothing of it is left.
    NothingLeft,
    /// Less than `words_min` words are left.
    TooFewWords,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::NothingLeft => "nothing_left",
            Self::TooFewWords => "too_few_words",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::NothingLeft.name(), doc: "All of it stands elsewhere and was cut." },
    Reason { name: Drop::TooFewWords.name(), doc: "The cuts left less than `words_min` words." },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let default = match config.unit {
        Unit::Word => 50,
        Unit::Byte => 100,
    };
    let len = config.tokens_min.unwrap_or(default) as u32;
    Ok(Made::Global(Box::new(Substring { config, len })))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "dedup.substring",
    version: 1,
    summary: "Cuts long runs of words or bytes that stand in several places, all but the first.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

struct Substring {
    config: Config,
    len: u32,
}

/// Bytes of the number of a token.
const NUMBER_BYTES: usize = 4;
/// Bytes of a hash.
const HASH_BYTES: usize = 8;
/// Records of one anchor whose windows are compared in memory; of more, all windows are sorted.
const GROUP_MAX: usize = 1024;

fn tokens(unit: Unit, text: &str, letters: &mut Letters) -> Vec<u64> {
    match unit {
        Unit::Word => {
            letters.read(text);
            letters.words().map(xxh3_64).collect()
        }
        // No token is zero: a run of them must not be a shorter one.
        Unit::Byte => text.bytes().map(|byte| u64::from(byte) + 1).collect(),
    }
}

/// Key of a mapped record: hash of an anchor. Value: rank, place of the anchor and of its first window, hashes of the windows, how long
/// the part before these is.
///
/// Key of a reduced record: hash of the anchor, its place in the window, hash of the window. Value: rank and place of the window.
impl Global for Substring {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        column::require(input, column::ID, &DataType::Utf8)?;
        self.config.keep.check(input, QUALITY)?;
        Ok(input.clone())
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let ranker = Ranker::new(self.config.keep, QUALITY, batch)?;
        let (mut letters, mut value) = (Letters::default(), Vec::new());
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            value.clear();
            ranker.write(row, &mut value)?;
            let rank = value.len();
            let tokens = tokens(self.config.unit, texts.value(row), &mut letters);
            for anchor in winnow::anchors(&tokens, self.len as usize) {
                value.truncate(rank);
                value.extend_from_slice(&anchor.at.to_be_bytes());
                value.extend_from_slice(&anchor.first.to_be_bytes());
                anchor.windows.iter().for_each(|window| value.extend_from_slice(&window.to_be_bytes()));
                value.extend_from_slice(&(rank as u32).to_be_bytes());
                out.push(&anchor.key.to_be_bytes(), &value);
            }
        }
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let mut group = Group::default();
        while let Some(record) = sorted.next()? {
            if group.key != record.key {
                group.end(out)?;
                group.key = record.key.to_vec();
            }
            group.take(record.value, out)?;
        }
        group.end(out)
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        house: &dyn House,
        notes: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        let mut by_document = house.sorter()?;
        let mut first: Option<(Vec<u8>, Vec<u8>)> = None;
        while let Some(record) = reduced.next()? {
            match &first {
                Some((key, value)) if key == record.key => {
                    let (rank, start) = record.value.split_at(record.value.len() - NUMBER_BYTES);
                    let (first_rank, first_start) = value.split_at(value.len() - NUMBER_BYTES);
                    // Of a run that repeats itself the first whole copy stays; a document that is read twice is no copy of itself.
                    if rank != first_rank || number(start) >= number(first_start) + self.len {
                        by_document.push(&[&rank_id(rank), start].concat(), &[])?;
                    }
                }
                _ => first = Some((record.key.to_vec(), record.value.to_vec())),
            }
        }
        let mut sorted = by_document.sorted()?;
        let mut document: Option<(IdBytes, Vec<Range<u32>>)> = None;
        while let Some(record) = sorted.next()? {
            let (id, start) = record.key.split_first_chunk().expect("the key begins with an id");
            if document.as_ref().is_none_or(|(known, _)| known != id)
                && let Some((id, ranges)) = document.replace((*id, Vec::new()))
            {
                notes.note(doc_id(&id), &note(&ranges))?;
            }
            if let Some((_, ranges)) = &mut document {
                winnow::add(ranges, number(start), self.len);
            }
        }
        if let Some((id, ranges)) = document {
            notes.note(doc_id(&id), &note(&ranges))?;
        }
        Ok(Settled::default())
    }

    fn judge(&self, _settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        Ok(Box::new(Cutter { unit: self.config.unit, words_min: self.config.words_min as usize }))
    }
}

/// The ranges of tokens that are cut: start and end of each.
fn note(ranges: &[Range<u32>]) -> Vec<u8> {
    ranges.iter().flat_map(|range| [range.start, range.end].map(u32::to_be_bytes)).flatten().collect()
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("map wrote a number"))
}

/// The records of one anchor.
#[derive(Default)]
struct Group {
    key: Vec<u8>,
    values: Vec<Vec<u8>>,
    /// Whether there are too many to compare here.
    is_large: bool,
}

impl Group {
    fn take(&mut self, value: &[u8], out: &mut dyn Push) -> Result<(), StageError> {
        if self.is_large {
            return each_window(value, |rank, start, place, hash| self.push(rank, start, place, hash, out));
        }
        self.values.push(value.to_vec());
        if self.values.len() > GROUP_MAX {
            self.is_large = true;
            for value in std::mem::take(&mut self.values) {
                each_window(&value, |rank, start, place, hash| self.push(rank, start, place, hash, out))?;
            }
        }
        Ok(())
    }

    /// Writes the windows that several records have.
    fn end(&mut self, out: &mut dyn Push) -> Result<(), StageError> {
        self.is_large = false;
        let values = std::mem::take(&mut self.values);
        if values.len() < 2 {
            return Ok(());
        }
        let mut windows = Vec::new();
        for value in &values {
            each_window(value, |_, _, place, hash| {
                windows.push((place, hash));
                Ok(())
            })?;
        }
        windows.sort_unstable();
        let several: Vec<(u32, u64)> =
            windows.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(|same| same[0]).collect();
        for value in &values {
            each_window(value, |rank, start, place, hash| match several.binary_search(&(place, hash)) {
                Ok(_) => self.push(rank, start, place, hash, out),
                Err(_) => Ok(()),
            })?;
        }
        Ok(())
    }

    fn push(
        &self,
        rank: &[u8],
        start: u32,
        place: u32,
        hash: u64,
        out: &mut dyn Push,
    ) -> Result<(), StageError> {
        let key = [&self.key[..], &place.to_be_bytes(), &hash.to_be_bytes()].concat();
        out.push(&key, &[rank, &start.to_be_bytes()].concat())
    }
}

/// Calls `each` with the rank of a mapped record and, of each window, its start, the place of the anchor in it, and its hash.
fn each_window(
    value: &[u8],
    mut each: impl FnMut(&[u8], u32, u32, u64) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let (value, rank) = value.split_at(value.len() - NUMBER_BYTES);
    let (rank, rest) = value.split_at(number(rank) as usize);
    let (at, rest) = rest.split_at(NUMBER_BYTES);
    let (first, hashes) = rest.split_at(NUMBER_BYTES);
    let (at, first) = (number(at), number(first));
    for (start, hash) in (first..).zip(hashes.as_chunks::<HASH_BYTES>().0) {
        each(rank, start, at - start, u64::from_be_bytes(*hash))?;
    }
    Ok(())
}

/// Cuts what was noted.
struct Cutter {
    unit: Unit,
    words_min: usize,
}

impl Cutter {
    /// The text without these ranges of tokens.
    fn cut(&self, text: &str, ranges: &[Range<usize>]) -> String {
        let bytes: Vec<Range<usize>> = match self.unit {
            Unit::Word => {
                let (letters, offsets) = (Letters::of(text), Letters::offsets(text));
                let start =
                    |word: usize| letters.starts().get(word).map_or(text.len(), |at| offsets[*at as usize]);
                ranges.iter().map(|range| start(range.start)..start(range.end)).collect()
            }
            Unit::Byte => ranges
                .iter()
                .map(|range| text.ceil_char_boundary(range.start)..text.floor_char_boundary(range.end))
                .collect(),
        };
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for range in bytes.into_iter().filter(|range| range.start < range.end) {
            out.push_str(&text[from..range.start]);
            // A cut that went over lines leaves one line end.
            if self.unit == Unit::Word
                && text[range.clone()].contains('\n')
                && !out.is_empty()
                && !out.ends_with('\n')
            {
                out.truncate(out.trim_end().len());
                out.push('\n');
            }
            from = range.end;
        }
        out.push_str(&text[from..]);
        match self.unit {
            Unit::Word => out.trim().to_owned(),
            Unit::Byte => out,
        }
    }

    fn verdict(&self, left: &str) -> Verdict {
        let dropped = |reason: Drop, value: usize, limit: usize| Verdict::Dropped {
            reason: reason.name(),
            value: value as f64,
            limit: limit as f64,
            twin: None,
        };
        let words = Letters::of(left).starts().len();
        if words == 0 {
            return dropped(Drop::NothingLeft, 0, 1);
        }
        if words < self.words_min {
            return dropped(Drop::TooFewWords, words, self.words_min);
        }
        Verdict::Edited
    }
}

impl Judge for Cutter {
    fn judge(&self, batch: &RecordBatch, notes: &[Option<Note>]) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let mut verdicts = Vec::with_capacity(notes.len());
        let mut counts = [(); 3].map(|()| Vec::with_capacity(notes.len()));
        let mut now = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        for (row, note) in notes.iter().enumerate() {
            let text = texts.is_valid(row).then(|| texts.value(row));
            let (Some(note), Some(text)) = (note, text) else {
                verdicts.push(Verdict::Kept);
                counts.iter_mut().for_each(|counts| counts.push(0.0));
                now.append_option(text);
                continue;
            };
            let numbers: Vec<usize> = note
                .value
                .as_chunks::<NUMBER_BYTES>()
                .0
                .iter()
                .map(|n| u32::from_be_bytes(*n) as usize)
                .collect();
            let ranges: Vec<Range<usize>> =
                numbers.as_chunks::<2>().0.iter().map(|[start, end]| *start..*end).collect();
            let left = self.cut(text, &ranges);
            verdicts.push(self.verdict(&left));
            let tokens: usize = ranges.iter().map(ExactSizeIterator::len).sum();
            let found = [ranges.len(), tokens, text.len().saturating_sub(left.len())];
            counts.iter_mut().zip(found).for_each(|(counts, found)| counts.push(found as f64));
            now.append_value(left);
        }
        let now: ArrayRef = Arc::new(now.finish());
        let names = ["cut_spans", "cut_tokens", "cut_bytes"];
        let signals = names.into_iter().zip(counts);
        let signals = signals.map(|(name, counts)| (name, Arc::new(Float64Array::from(counts)) as ArrayRef));
        Ok(Outcome { verdicts, columns: vec![(column::TEXT.to_owned(), now)], signals: signals.collect() })
    }
}

#[cfg(test)]
mod tests;
