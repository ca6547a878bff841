//! Packs the tokens of documents into sequences of one length, in an order that only the seed and the documents decide.
//!
//! A document longer than a sequence is cut into pieces of at most that length. The shuffle is global: pieces are sorted
//! by a keyed hash of the seed, the document's id and the number of the piece; windows of them are packed, and the rows of
//! a window are put in an order of the seed. `best_fit` cuts nothing else and pads the ends of rows; `concat` pads only the
//! last row and cuts documents wherever a row ends. A row says which documents it holds and where (`doc_lens`, `doc_ids`,
//! `doc_offsets`), so a trainer can keep documents apart. Validation documents are picked by a keyed hash of their id:
//! a document is never on both sides.
//!
//! ```text
//! length = 8
//! documents of 11, 5 and 3 tokens  →  rows of 8 | 5+3 | 3+pad 5        # best_fit
//!                                  →  rows of 8 | 3+5 | 3+pad 5        # concat
//! ```

mod piece;
mod window;

use arrow::array::{ArrayRef, Int32Array, ListArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, SchemaRef};
use piece::Piece;
use schemas::column::{ID, TOKENS, require, tokens, tokens_type, utf8};
use schemas::hash::{Rng, seed};
use schemas::{
    Build, Config as _, Made, Outcome, Reason, Records, Regroup, Sorted, Spec, StageError, Verdict, choice,
    config, token,
};
use std::sync::Arc;
use window::Row;
use xxhash_rust::xxh3::xxh3_64_with_seed;

choice! {
    /// How pieces become rows.
    pub enum Method {
        /// Best-fit decreasing: nothing is cut that fits a row.
        BestFit = "best_fit",
        /// End to end, cut where a row is full.
        Concat = "concat",
    }
}

config! {
    /// Settings of `pack.sequences`.
    pub struct Config {
        /// Tokens in a sequence. 512 suits the small models of one machine; 2048 and more is usual on a GPU.
        length: u64 = 512, in 8..=131_072;
        /// Seed of the order and of the choice of validation documents.
        seed: u64 = 0, in 0..=9_223_372_036_854_775_807;
        /// Share of documents that go to `validation`; raise it where the corpus has few documents.
        validation: f64 = 0.01, in 0.0..=0.5;
        /// How pieces become rows: `best_fit` cuts nothing that fits a row, `concat` lays all end to end.
        method: Method = Method::BestFit;
        /// Tokens that are packed together, and held in memory: 4 bytes each and some more for their documents.
        window_tokens: u64 = 16_777_216, in 1024..=1_073_741_824;
    }
}

/// Why `pack.sequences` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// No tokens.
    Empty,
    /// A negative token id.
    NegativeId,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NegativeId => "negative_id",
        }
    }

    fn verdict(self, value: i32, limit: f64) -> Verdict {
        Verdict::Dropped { reason: self.name(), value: f64::from(value), limit, twin: None }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Empty.name(), doc: "The document has no tokens." },
    Reason { name: Drop::NegativeId.name(), doc: "A token id is below 0." },
];

const BUILD: Build = |settings| Ok(Made::Regroup(Box::new(Pack(settings.parse()?))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "pack.sequences",
    version: 1,
    summary: "Packs the tokens of documents into sequences of one length, in an order of the seed.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// Most tokens in one batch of rows.
const BATCH_TOKENS_MAX: usize = 1 << 20;
const TRAIN: u8 = 0;
const VALIDATION: u8 = 1;

struct Pack(Config);

impl Pack {
    fn length(&self) -> usize {
        self.0.length as usize
    }

    fn folder(&self, document: &str) -> u8 {
        // A hash of its own: the order must not tell which documents are held out.
        let hash = xxh3_64_with_seed(document.as_bytes(), seed(self.0.seed, "pack.sequences validation", 0));
        let share = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        if share < self.0.validation { VALIDATION } else { TRAIN }
    }

    /// Writes the pieces of a document.
    fn cut(&self, document: &str, ids: &[i32], value: &mut Vec<u8>, out: &mut Records) {
        let folder = self.folder(document);
        let order = seed(self.0.seed, "pack.sequences order", 0);
        // Pieces end to end must meet their neighbours; packed ones had better not.
        let scatter = self.0.method == Method::BestFit;
        for (number, tokens) in ids.chunks(self.length()).enumerate() {
            piece::write(document, number * self.length(), tokens, value);
            out.push(&piece::key(folder, order, document, number as u32, scatter), value);
        }
    }

    /// Rows of the next window in their final order, and whether it is the last. `rest` is the open row of `concat`.
    fn window(
        &self,
        sorted: &mut dyn Sorted,
        number: u64,
        rest: &mut Row,
    ) -> Result<(Vec<Row>, bool), StageError> {
        let (mut total, mut pieces, mut rows) = (0, Vec::new(), Vec::new());
        if !rest.is_empty() {
            rows.push(std::mem::take(rest));
        }
        let mut last = false;
        while total < self.0.window_tokens as usize {
            let Some(record) = sorted.next()? else {
                last = true;
                break;
            };
            let piece = piece::read(record)?;
            total += piece.tokens.len();
            match self.0.method {
                Method::BestFit => pieces.push(piece),
                Method::Concat => window::concat(&mut rows, piece, self.length()),
            }
        }
        if self.0.method == Method::BestFit {
            rows = window::best_fit(pieces, self.length());
        } else if !last {
            *rest = rows.pop().unwrap_or_default();
        }
        let mut rng = Rng::new(seed(self.0.seed, "pack.sequences rows", number));
        for at in (1..rows.len()).rev() {
            rows.swap(at, rng.below(at as u64 + 1) as usize);
        }
        Ok((rows, last))
    }
}

impl Regroup for Pack {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        require(input, ID, &DataType::Utf8)?;
        require(input, TOKENS, &tokens_type())?;
        Ok(token::schema())
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<Outcome, StageError> {
        let (ids, lists) = (utf8(batch, ID)?, tokens(batch)?);
        let all: &Int32Array =
            lists.values().as_any().downcast_ref().expect("the type of the column was checked");
        let mut value = Vec::new();
        let mut outcome = Outcome::keep_all(batch.num_rows());
        for (row, (document, verdict)) in ids.iter().zip(&mut outcome.verdicts).enumerate() {
            let [start, end] = [row, row + 1].map(|at| lists.value_offsets()[at] as usize);
            let tokens = &all.values()[start..end];
            match tokens.iter().min() {
                None => *verdict = Drop::Empty.verdict(0, 1.0),
                Some(&least) if least < 0 => *verdict = Drop::NegativeId.verdict(least, 0.0),
                Some(_) => self.cut(document.unwrap_or_default(), tokens, &mut value, out),
            }
        }
        Ok(outcome)
    }

    fn folders(&self) -> Vec<&'static str> {
        vec!["train", "validation"]
    }

    fn reduce(
        &self,
        sorted: &mut dyn Sorted,
        emit: &mut dyn FnMut(RecordBatch) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let mut rest = Row::new();
        for number in 0.. {
            let (rows, last) = self.window(sorted, number, &mut rest)?;
            for rows in rows.chunks((BATCH_TOKENS_MAX / self.length()).max(1)) {
                emit(batch(rows, self.length())?)?;
            }
            if last {
                break;
            }
        }
        Ok(())
    }
}

/// The rows as a batch of [`token::schema`], padded with 0.
fn batch(rows: &[Row], length: usize) -> Result<RecordBatch, StageError> {
    let mut input_ids = Vec::with_capacity(rows.len() * length);
    let mut pads = Vec::with_capacity(rows.len());
    for row in rows {
        let start = input_ids.len();
        input_ids.extend(row.iter().flat_map(|piece| &piece.tokens));
        pads.push((start + length - input_ids.len()) as i32);
        input_ids.resize(start + length, 0);
    }
    let pieces = || rows.iter().flatten();
    let numbers = |of: fn(&Piece) -> i32| Arc::new(pieces().map(of).collect::<Int32Array>()) as ArrayRef;
    let documents: Vec<&str> = pieces().map(|piece| piece.document.as_str()).collect();
    let per_row = || rows.iter().map(Vec::len);
    let lists = [
        list(vec![length; rows.len()].into_iter(), Arc::new(Int32Array::from(input_ids)))?,
        list(per_row(), numbers(|piece| piece.tokens.len() as i32))?,
        list(per_row(), Arc::new(StringArray::from(documents)))?,
        list(per_row(), numbers(|piece| piece.offset))?,
    ];
    let pads: ArrayRef = Arc::new(Int32Array::from(pads));
    Ok(RecordBatch::try_new(token::schema(), lists.into_iter().chain([pads]).collect())?)
}

fn list(lengths: impl Iterator<Item = usize>, values: ArrayRef) -> Result<ArrayRef, StageError> {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), values, None)?))
}

#[cfg(test)]
mod tests;
