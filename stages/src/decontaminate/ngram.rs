//! Takes documents out that hold text of benchmarks.
//!
//! `sets` are files of evaluation rows: JSON lines (also `.gz`, `.zst`) or Parquet, a row an item. Question and answers are found by the
//! names that ARC, MMLU, TruthfulQA, LAMBADA, HellaSwag, SQuAD, GSM8K and their like use; `query` and `answer` name others. A row
//! that has no answer, such as a page of WikiText, is a text.
//!
//! By `dialect = "gristmill"` a document holds an item when it holds the letters and digits of its question in a row, however they are
//! spaced, punctuated and capitalised. A question of up to `words_whole` words must be there whole; of a longer one, of a text and of
//! each 64 words of a long text, `share_min` of the letters, in pieces of 16 letters and more. Few words alone prove nothing:
//!
//! ```text
//! 8 words, 2 of them of content     "Which skin surface will produce the most heat?"        its words are enough
//! 4 words that ask, or 6 words      "Where did fortune cookies originate?"                  not if more than `common_max` documents hold them
//! less                              "Which of the following is true?", "The trachea"        only with its answer behind it, or with two of its choices
//! ```
//!
//! `datatrove` is the rule of datatrove 0.10.1: 12 words of an answer, or of the end of the question and the start of an answer, in its
//! normalisation. `nemo` is the rule of GPT-3 (arXiv 2005.14165, appendix C) and of NeMo Curator: 13 words of a question; an n-gram that
//! stands in the corpus more than `common_max` times is left alone; what is found is cut out with `margin_chars` on each side up to
//! the end of a sentence, pieces of less than `piece_chars_min` go, and more than `cuts_max` cuts drop the document. NeMo makes a
//! document of each piece; here they stay one, with an empty line between them.
//!
//! The file `report` beside the dataset tells for each benchmark how many of its items were found, in which documents and where in
//! them. Signals tell it for each document: `select found_set, count(*) from signals_decontaminate_ngram group by 1`.
//!
//! ```text
//! sets = ["arc.jsonl"]   {"id": "A1", "question": "Which gas do plants take from the air at night?", "choices": …, "answerKey": "B"}
//! "Quiz! WHICH GAS do plants take, from the air at night… (b) oxygen"   goes as contaminated (1 item)
//! "Plants take a gas from the air at night."                            stays
//! ```

use super::Finder;
use super::cut::Cut;
use super::datatrove::Datatrove;
use super::items::{self, Set};
use super::judge::Found;
use super::nemo::Nemo;
use super::ours::Ours;
use super::records::{
    FIND_BYTES, FINDS_MAX, Group, ID_BYTES, ITEM_BYTES, doc_id, id_bytes, numbers, place_bytes, read_place,
};
use super::report::Report;
use crate::text::letters::Letters;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::{
    Build, Config as _, DocId, FilePaths, Global, House, Judge, KeyError, Made, Notes, Push, Reason, Records,
    Settled, Sorted, Spec, StageError, choice, column, config,
};
use std::sync::Arc;

choice! {
    /// By whose rule a document holds an item.
    pub enum Dialect {
        /// Our own: letters in a row, with an answer where words are few.
        Gristmill = "gristmill",
        /// One n-gram of an answer, or of the seam of question and answer.
        Datatrove = "datatrove",
        /// N-grams of questions that are rare in the corpus.
        Nemo = "nemo",
    }
}

choice! {
    /// What happens to a document that holds an item.
    pub enum Action {
        /// It goes.
        Drop = "drop",
        /// What was found is cut out of it, with its surroundings.
        Cut = "cut",
    }
}

config! {
    /// Settings of `decontaminate.ngram`.
    pub struct Config {
        /// Files of evaluation rows, folders of them, or patterns; at least one.
        sets: FilePaths = FilePaths::default();
        /// By whose rule a document holds an item.
        dialect: Dialect = Dialect::Gristmill;
        /// Fields of the question, joined by lines; dots lead into objects. Found by name where none is given.
        query: Vec<String> = Vec::new();
        /// Fields of the right answers. Found by name where none is given.
        answer: Vec<String> = Vec::new();
        /// What happens to a document that holds an item. Unset: `cut` for `nemo`, `drop` for the others.
        action: Option<Action> = None;
        /// Words of an n-gram for `datatrove` and `nemo`. Unset: 12 and 13.
        ngram: Option<u64> = None, in Some(2)..=Some(100);
        /// `gristmill`: questions of up to this many words must be found whole.
        words_whole: u64 = 16, in 1..=1000;
        /// `gristmill`: how much of a longer one must be found.
        share_min: f64 = 0.75, in 0.1..=1.0;
        /// A question of few words that more documents hold (`nemo`: an n-gram that is found more often) is left alone.
        common_max: u64 = 10, in 0..=1_000_000;
        /// Characters cut on each side of what was found.
        margin_chars: u64 = 200, in 0..=100_000;
        /// Fewest characters of a piece that is left by a cut.
        piece_chars_min: u64 = 200, in 0..=100_000;
        /// Most cuts in a document.
        cuts_max: u64 = 10, in 0..=1000;
        /// Name of the report beside the dataset.
        report: String = "decontamination.json".to_owned();
    }
}

/// Why `decontaminate.ngram` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// It holds items of benchmarks.
    Contaminated,
    /// More cuts than `cuts_max` would take all items out.
    TooManyCuts,
    /// No piece is left that has `piece_chars_min`.
    NothingLeft,
}

impl Drop {
    /// The name in the ledger.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Contaminated => "contaminated",
            Self::TooManyCuts => "too_many_cuts",
            Self::NothingLeft => "nothing_left",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Contaminated.name(), doc: "It holds items of benchmarks." },
    Reason { name: Drop::TooManyCuts.name(), doc: "More cuts than `cuts_max` would take all items out." },
    Reason {
        name: Drop::NothingLeft.name(),
        doc: "No piece of `piece_chars_min` characters is left by the cuts.",
    },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let wrong = |key: &str, message: &str, help: &str| {
        Err(vec![KeyError { key: key.into(), message: message.into(), help: Some(help.into()) }])
    };
    let name = config.report.as_str();
    if !name.ends_with(".json")
        || name.contains(['/', '\\'])
        || name.starts_with('.')
        || name == "manifest.json"
    {
        return wrong(
            "report",
            "is not a name for a report",
            "write a plain name such as `decontamination.json`",
        );
    }
    if config.dialect == Dialect::Datatrove && config.action == Some(Action::Cut) {
        return wrong(
            "action",
            "does not fit `dialect = \"datatrove\"`, which only drops",
            "take `action` out",
        );
    }
    let sets = items::read(settings, &config.sets.0, &config.query, &config.answer)?;
    Ok(Made::Global(Box::new(Ngram::new(config, sets))))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "decontaminate.ngram",
    version: 1,
    summary: "Takes documents out that hold text of benchmarks.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

struct Ngram {
    config: Config,
    sets: Arc<Vec<Set>>,
    finder: Arc<dyn Finder>,
}

impl Ngram {
    fn new(config: Config, sets: Vec<Set>) -> Self {
        let ngram = |default: u64| config.ngram.unwrap_or(default) as usize;
        let finder: Arc<dyn Finder> = match config.dialect {
            Dialect::Gristmill => Arc::new(Ours::new(&sets, config.words_whole as usize, config.share_min)),
            Dialect::Datatrove => Arc::new(Datatrove::new(&sets, ngram(12))),
            Dialect::Nemo => Arc::new(Nemo::new(&sets, ngram(13))),
        };
        Self { config, sets: Arc::new(sets), finder }
    }

    fn cuts(&self) -> bool {
        match self.config.action {
            Some(action) => action == Action::Cut,
            None => self.config.dialect == Dialect::Nemo,
        }
    }
}

/// Key of a record: set, item, n-gram, and whether it counts only if few have it. Value: document and place.
impl Global for Ngram {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        column::require(input, column::ID, &DataType::Utf8)?;
        Ok(input.clone())
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let (texts, ids) = (column::utf8(batch, column::TEXT)?, column::utf8(batch, column::ID)?);
        let (mut letters, mut finds) = (Letters::default(), Vec::new());
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            finds.clear();
            self.finder.find(texts.value(row), &mut letters, &mut finds);
            for find in finds.iter().take(FINDS_MAX) {
                let key = [find.set, find.item, find.gram].map(u32::to_be_bytes);
                let value = [&id_bytes(ids.value(row))?[..], &place_bytes(find)].concat();
                out.push(&[key.as_flattened(), &[u8::from(find.common)]].concat(), &value);
            }
        }
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let max = self.config.common_max as usize;
        let counts_documents = self.config.dialect != Dialect::Nemo;
        let mut group = Group::new(max, counts_documents);
        while let Some(record) = sorted.next()? {
            match record.key.last() {
                Some(0) => out.push(record.key, record.value)?,
                _ => group.take(record.key, record.value, out)?,
            }
        }
        group.end(out)
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        house: &dyn House,
        notes: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        let sets = self.sets.as_slice();
        let mut report = Report::new(sets, |set| self.finder.unusable(set));
        let (mut by_item, mut by_document) = (house.sorter()?, house.sorter()?);
        while let Some(record) = reduced.next()? {
            let (item, _) = record.key.split_at(ITEM_BYTES);
            if record.value.is_empty() {
                let [set, item] = numbers(item);
                report.leave(sets, set, item);
                continue;
            }
            by_item.push(item, record.value)?;
            let (id, place) = record.value.split_at(ID_BYTES);
            by_document.push(id, &[item, place].concat())?;
        }
        let mut sorted = by_item.sorted()?;
        let mut last = None;
        while let Some(record) = sorted.next()? {
            let [set, item] = numbers(record.key);
            let (id, place) = record.value.split_at(ID_BYTES);
            let seen = (set, item, doc_id(id));
            if last.replace(seen) != Some(seen) {
                report.take(sets, &read_place(set, item, place), doc_id(id));
            }
        }
        let mut sorted = by_document.sorted()?;
        let mut note: Option<(DocId, Vec<u8>)> = None;
        while let Some(record) = sorted.next()? {
            let id = doc_id(record.key);
            match &mut note {
                Some((known, bytes)) if *known == id => {
                    // A document that is read twice is noted once.
                    if bytes.len() < FINDS_MAX * FIND_BYTES && !bytes.ends_with(record.value) {
                        bytes.extend_from_slice(record.value);
                    }
                }
                _ => {
                    if let Some((id, bytes)) = note.replace((id, record.value.to_vec())) {
                        notes.note(id, &bytes)?;
                    }
                }
            }
        }
        if let Some((id, bytes)) = note {
            notes.note(id, &bytes)?;
        }
        let files = [(self.config.report.clone(), report.json())].into();
        Ok(Settled { files, ..Settled::default() })
    }

    fn judge(&self, _settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        let Config { margin_chars, piece_chars_min, cuts_max, .. } = self.config;
        let cut = Cut { margin: margin_chars as usize, piece_min: piece_chars_min as usize };
        let cut = self.cuts().then_some((cut, cuts_max as usize));
        Ok(Box::new(Found { sets: self.sets.clone(), finder: self.finder.clone(), cut }))
    }
}

#[cfg(test)]
mod tests;
