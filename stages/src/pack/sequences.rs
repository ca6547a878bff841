//! Packs the tokens of documents into sequences of one length, in an order that only the seed and the documents decide.
//!
//! A document longer than a sequence is cut into pieces of at most that length. The shuffle is global: pieces are sorted
//! by a keyed hash of the seed, the document's id and the number of the piece; windows of them are packed, and the rows of
//! a window are put in an order of the seed. `best_fit` cuts nothing else and pads the ends of rows; `concat` pads only the
//! last row and cuts documents wherever a row ends. A row says which documents it holds and where (`doc_lens`, `doc_ids`,
//! `doc_offsets`), so a trainer can keep documents apart. Validation documents are picked by a keyed hash of their id:
//! a document is never on both sides.
//!
//! With `mix`, each row holds documents of one source, which it names, and at every prefix of the training rows each source
//! has its share to within one row. A small source is read several times, in another order each time; of a large one, documents
//! beyond its share are dropped. The dataset's `mix.json` tells what was taken of each. Validation is not mixed: it has
//! each held-out document once. Documents that have a `loss_mask` beside their tokens keep it.
//!
//! ```text
//! length = 8
//! documents of 11, 5 and 3 tokens  →  rows of 8 | 5+3 | 3+pad 5        # best_fit
//!                                  →  rows of 8 | 3+5 | 3+pad 5        # concat
//! ```

mod documents;
mod feed;
mod fit;
mod mixed;
mod piece;
mod rows;
mod window;

use crate::mix::share::Shares;
use crate::mix::turns::Turns;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use documents::{Document, documents, has_mask};
use feed::Feed;
use mixed::Mixed;
use rows::Rows;
use schemas::column::{ID, SOURCE, TOKENS, require, tokens_type};
use schemas::hash::seed;
use schemas::{
    Build, Config as _, Emit, KeyError, Made, Outcome, Planned, Reason, Records, Regroup, Sorted, Spec,
    StageError, Tally, Verdict, choice, config, token,
};
use std::sync::OnceLock;
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

choice! {
    /// What a row is.
    pub enum Layout {
        /// A training sequence.
        Sequences = "sequences",
        /// A document of any length.
        Documents = "documents",
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
        /// What a row is: a training sequence, or with `documents` a whole document, for trainers that pack themselves.
        layout: Layout = Layout::Sequences;
        /// Tokens that are packed together, and held in memory: 4 bytes each and some more for their documents.
        window_tokens: u64 = 16_777_216, in 1024..=1_073_741_824;
        /// Shares of sources in the training rows, `"name = weight"` each; a name may end in `*`. Empty takes all as it comes.
        mix: Vec<String> = Vec::new();
        /// Column with the name of a document's source. Of `source`, it is what stands before the place in the file.
        mix_column: String = SOURCE.to_owned();
        /// Tokens of training in a mix; unset takes as many as its sources have.
        budget_tokens: Option<u64> = None;
        /// Most passes over a source of a mix; where its share needs more, the mix ends early.
        epochs_max: f64 = 4.0, in 0.01..=1000.0;
    }
}

/// Why `pack.sequences` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// No tokens.
    Empty,
    /// A negative token id.
    NegativeId,
    /// A mask of another length than the tokens.
    MaskLength,
    /// Of a source that the mix does not name.
    NotInMix,
    /// Beyond the share of its source.
    OverQuota,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NegativeId => "negative_id",
            Self::MaskLength => "mask_length",
            Self::NotInMix => "not_in_mix",
            Self::OverQuota => "over_quota",
        }
    }

    fn verdict(self, value: f64, limit: f64) -> Verdict {
        Verdict::Dropped { reason: self.name(), value, limit, twin: None }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Empty.name(), doc: "The document has no tokens." },
    Reason { name: Drop::NegativeId.name(), doc: "A token id is below 0." },
    Reason { name: Drop::MaskLength.name(), doc: "`loss_mask` is not as long as the tokens." },
    Reason { name: Drop::NotInMix.name(), doc: "The mix names no such source." },
    Reason { name: Drop::OverQuota.name(), doc: "The share of its source is full without the document." },
];

const BUILD: Build = |settings| Ok(Made::Regroup(Box::new(Pack::new(settings.parse()?)?)));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "pack.sequences",
    version: 3,
    summary: "Packs the tokens of documents into sequences of one length, in an order of the seed.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// The row of each piece by best fit, and the number of rows: the packing alone, for measuring it.
///
/// # Panics
/// When a piece is empty or longer than `length`.
pub fn rows_by_best_fit(lengths: &[u32], length: usize) -> (Vec<u32>, usize) {
    fit::best_fit(lengths, length)
}

const TRAIN: u8 = 0;
const VALIDATION: u8 = 1;
/// Even a small source is packed in windows of so many sequences, as far as there is memory for that.
const WINDOW_ROWS_MIN: usize = 64;

#[derive(Debug, Clone)]
struct Pack {
    config: Config,
    shares: Shares,
    /// What the counts of a mix came to.
    mixed: Option<Mixed>,
    /// The columns of the rows, known when those of the documents are.
    schema: OnceLock<SchemaRef>,
}

impl Pack {
    fn new(config: Config) -> Result<Self, Vec<KeyError>> {
        let shares = Shares::parse("mix", &config.mix)?;
        let lonely = |key: &str| KeyError {
            key: key.to_owned(),
            message: "is about a mix, and there is none".to_owned(),
            help: Some("add `mix = [\"name = weight\", …]`, or take it out".to_owned()),
        };
        if shares.names.is_empty() && config.budget_tokens.is_some() {
            return Err(vec![lonely("budget_tokens")]);
        }
        Ok(Self { config, shares, mixed: None, schema: OnceLock::new() })
    }

    fn length(&self) -> usize {
        self.config.length as usize
    }

    fn mixes(&self) -> bool {
        !self.shares.names.is_empty()
    }

    fn folder(&self, document: &str) -> u8 {
        // A hash of its own: the order must not tell which documents are held out.
        let hash =
            xxh3_64_with_seed(document.as_bytes(), seed(self.config.seed, "pack.sequences validation", 0));
        let share = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        if share < self.config.validation { VALIDATION } else { TRAIN }
    }

    /// Writes the pieces of a document, `passes` times each.
    fn cut(&self, document: &Document<'_>, to: To, name: &mut Vec<u8>, out: &mut Records) {
        // Pieces end to end must meet their neighbours; packed ones had better not.
        let scatter = self.config.method == Method::BestFit && self.config.layout == Layout::Sequences;
        let length = match self.config.layout {
            Layout::Sequences => self.length(),
            Layout::Documents => document.tokens(),
        };
        for pass in 0..to.passes {
            let seed = seed(self.config.seed, "pack.sequences order", u64::from(pass));
            for (number, piece) in document.pieces(length).enumerate() {
                let place = piece::Place {
                    folder: to.folder,
                    source: to.source as u16,
                    pass,
                    seed,
                    document: document.id,
                    number: number as u32,
                    scatter,
                };
                piece::push(&piece::key(place, name), piece, out);
            }
        }
    }

    /// Where a document goes, or why it does not.
    fn to(&self, document: &Document<'_>) -> Result<To, Verdict> {
        document.refuse()?;
        let folder = self.folder(document.id);
        if !self.mixes() {
            return Ok(To { folder, source: 0, passes: 1 });
        }
        let found = self.shares.find(document.source);
        let source = found.ok_or_else(|| Drop::NotInMix.verdict(0.0, 0.0))?;
        let plan = self.mixed.as_ref().filter(|_| folder == TRAIN);
        let passes = plan.map_or(Ok(1), |plan| plan.passes(self.config.seed, source, document.id))?;
        Ok(To { folder, source, passes })
    }

    fn window_tokens(&self, share: f64) -> usize {
        let all = self.config.window_tokens as usize;
        if !self.mixes() {
            return all;
        }
        // What small sources have beyond their share is one window more at most, but for a row of each.
        let least = (WINDOW_ROWS_MIN * self.length()).min(all / self.shares.names.len());
        ((all as f64 * share) as usize).max(least).max(self.length())
    }
}

/// Where the pieces of a document go.
struct To {
    folder: u8,
    source: usize,
    passes: u16,
}

impl Regroup for Pack {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        require(input, ID, &DataType::Utf8)?;
        require(input, TOKENS, &tokens_type())?;
        if self.mixes() {
            documents::require_text(input, &self.config.mix_column)?;
        }
        let masked = has_mask(input)?;
        Ok(self.schema.get_or_init(|| token::schema_with(masked, self.mixes())).clone())
    }

    fn takes(&self, _input: &SchemaRef) -> Option<Vec<String>> {
        let mix = self.mixes().then(|| self.config.mix_column.clone());
        Some([TOKENS, token::LOSS_MASK].into_iter().map(str::to_owned).chain(mix).collect())
    }

    fn counts(&self) -> bool {
        self.mixes() && self.mixed.is_none()
    }

    fn count(&self, batch: &RecordBatch, tally: &mut Tally) -> Result<(), StageError> {
        for document in documents(batch, &self.config.mix_column)? {
            if document.refuse().is_ok() {
                let source = (self.shares.find(document.source), self.shares.names.len());
                mixed::count(self.config.seed, self.folder(document.id), source, &document, tally);
            }
        }
        Ok(())
    }

    fn plan(&self, tally: &Tally) -> Result<Option<Planned>, StageError> {
        let mixed = Mixed::plan(&self.config, &self.shares, tally).map_err(StageError::Invalid)?;
        let files = [("mix.json".to_owned(), mixed.file(&self.config, &self.shares))].into();
        let notes = mixed.notes.clone();
        Ok(Some(Planned { work: Box::new(Self { mixed: Some(mixed), ..self.clone() }), files, notes }))
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<Outcome, StageError> {
        self.output(&batch.schema())?;
        let mut outcome = Outcome::keep_all(batch.num_rows());
        let mut name = Vec::new();
        let column = if self.mixes() { self.config.mix_column.as_str() } else { "" };
        for (document, verdict) in documents(batch, column)?.zip(&mut outcome.verdicts) {
            match self.to(&document) {
                Ok(to) => self.cut(&document, to, &mut name, out),
                Err(dropped) => *verdict = dropped,
            }
        }
        Ok(outcome)
    }

    fn folders(&self) -> Vec<&'static str> {
        vec!["train", "validation"]
    }

    fn parts(&self) -> usize {
        self.shares.names.len().max(1)
    }

    fn place(&self, key: &[u8]) -> (usize, usize) {
        (usize::from(key[0]), piece::source(key))
    }

    fn reduce(
        &self,
        folder: usize,
        parts: Vec<Box<dyn Sorted + '_>>,
        emit: &mut Emit<'_>,
    ) -> Result<(), StageError> {
        let (weights, quotas) = match &self.mixed {
            Some(mixed) if folder == usize::from(TRAIN) => {
                (self.shares.weights.clone(), Some(mixed.quotas()))
            }
            Some(mixed) => (mixed.held_out.clone(), None),
            None => (vec![1], None),
        };
        let whole = weights.iter().sum::<u64>().max(1) as f64;
        let feeds = parts.into_iter().zip(&weights);
        let mut feeds: Vec<Feed<'_>> = feeds
            .map(|(part, &weight)| Feed::new(part, &self.config, self.window_tokens(weight as f64 / whole)))
            .collect();
        let schema = self.schema.get().cloned().unwrap_or_else(|| token::schema_with(false, self.mixes()));
        let length = if self.config.layout == Layout::Documents { 0 } else { self.length() };
        let mut rows = Rows::new(schema, length, emit);
        let mut turns = Turns::new(&weights, quotas);
        let mut has_row = vec![false; feeds.len()];
        for (feed, has_row) in feeds.iter_mut().zip(&mut has_row) {
            *has_row = feed.has_row()?;
        }
        while let Some(source) = turns.next(&has_row) {
            let (packed, row) = feeds[source].row();
            rows.push(packed, row, self.shares.names.get(source).map_or("", String::as_str))?;
            has_row[source] = feeds[source].has_row()?;
        }
        rows.flush()
    }
}

#[cfg(test)]
mod tests;
