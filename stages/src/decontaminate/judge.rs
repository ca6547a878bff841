//! What becomes of documents that hold items, and what is told of them.

use super::cut::Cut;
use super::items::Set;
use super::ngram::Drop;
use super::records::{FIND_BYTES, ITEM_BYTES, numbers, read_place};
use super::{Find, Finder};
use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray, StringBuilder};
use schemas::{Judge, Note, Outcome, StageError, Verdict, column};
use std::ops::Range;
use std::sync::Arc;

/// Judges documents by what was found in them.
pub(super) struct Found {
    pub(super) sets: Arc<Vec<Set>>,
    pub(super) finder: Arc<dyn Finder>,
    /// How finds are cut out, and most cuts; none where the document goes.
    pub(super) cut: Option<(Cut, usize)>,
}

impl Judge for Found {
    fn judge(&self, batch: &RecordBatch, notes: &[Option<Note>]) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let (mut verdicts, mut told) = (Vec::with_capacity(notes.len()), Told::default());
        let mut cut: Vec<Option<String>> = vec![None; notes.len()];
        for (row, note) in notes.iter().enumerate() {
            let Some(note) = note else {
                verdicts.push(Verdict::Kept);
                told.nothing();
                continue;
            };
            let finds: Vec<Find> = note
                .value
                .chunks_exact(FIND_BYTES)
                .map(|bytes| {
                    let (item, place) = bytes.split_at(ITEM_BYTES);
                    let [set, item] = numbers(item);
                    read_place(set, item, place)
                })
                .collect();
            let text = texts.value(row);
            let items = told.finds(&self.sets, &finds, self.finder.words(text, &finds[0]));
            verdicts.push(match &self.cut {
                None => dropped(Drop::Contaminated, items, 0),
                Some((how, max)) => cut_out(how, *max, text, finds, &mut cut[row]),
            });
        }
        let mut columns = Vec::new();
        if cut.iter().any(Option::is_some) {
            let mut builder = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
            for (row, cut) in cut.iter().enumerate() {
                builder
                    .append_option(cut.as_deref().or_else(|| texts.is_valid(row).then(|| texts.value(row))));
            }
            columns.push((column::TEXT.to_owned(), Arc::new(builder.finish()) as ArrayRef));
        }
        Ok(Outcome { verdicts, columns, signals: told.signals() })
    }
}

fn dropped(reason: Drop, value: usize, limit: usize) -> Verdict {
    Verdict::Dropped { reason: reason.name(), value: value as f64, limit: limit as f64, twin: None }
}

/// Cuts the finds out of a text.
fn cut_out(how: &Cut, cuts_max: usize, text: &str, finds: Vec<Find>, out: &mut Option<String>) -> Verdict {
    let mut ranges: Vec<Range<usize>> = finds.into_iter().map(|find| find.range).collect();
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let (pieces, cuts) = how.pieces(text, &ranges);
    if cuts > cuts_max {
        return dropped(Drop::TooManyCuts, cuts, cuts_max);
    }
    if pieces.is_empty() {
        return dropped(Drop::NothingLeft, 0, how.piece_min);
    }
    let pieces: Vec<&str> = pieces.into_iter().map(|piece| text[piece].trim()).collect();
    *out = Some(pieces.join("\n\n"));
    Verdict::Edited
}

/// The signals: how many items, the first of them, and all.
#[derive(Default)]
struct Told {
    items: Vec<f64>,
    set: Vec<Option<String>>,
    item: Vec<Option<String>>,
    words: Vec<Option<String>>,
    all: Vec<Option<String>>,
}

impl Told {
    fn nothing(&mut self) {
        self.items.push(0.0);
        [&mut self.set, &mut self.item, &mut self.words, &mut self.all]
            .into_iter()
            .for_each(|all| all.push(None));
    }

    /// The number of items.
    fn finds(&mut self, sets: &[Set], finds: &[Find], words: String) -> usize {
        let names = |find: &Find| {
            let set = &sets[find.set as usize];
            (set.name.clone(), set.items[find.item as usize].id.clone())
        };
        let all: Vec<_> = finds
            .iter()
            .map(|find| {
                let (set, item) = names(find);
                (set, item, find.range.start, find.range.end, find.share)
            })
            .collect();
        let items = finds.chunk_by(|a, b| (a.set, a.item) == (b.set, b.item)).count();
        let (set, item) = names(&finds[0]);
        self.items.push(items as f64);
        self.set.push(Some(set));
        self.item.push(Some(item));
        self.words.push(Some(words));
        self.all.push(Some(serde_json::to_string(&all).expect("numbers and texts have a JSON form")));
        items
    }

    fn signals(self) -> Vec<(&'static str, ArrayRef)> {
        let texts = |values: Vec<Option<String>>| Arc::new(StringArray::from(values)) as ArrayRef;
        vec![
            ("found_items", Arc::new(Float64Array::from(self.items)) as ArrayRef),
            ("found_set", texts(self.set)),
            ("found_item", texts(self.item)),
            ("found_words", texts(self.words)),
            ("found", texts(self.all)),
        ]
    }
}
