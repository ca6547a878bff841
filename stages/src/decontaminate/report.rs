//! What was found of each benchmark, as a file of the dataset.

use super::Find;
use super::items::Set;
use schemas::DocId;
use serde::Serialize;

/// Documents that are listed of an item.
const DOCUMENTS_MAX: usize = 100;

/// The report on all benchmarks.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    sets: Vec<SetReport<'a>>,
}

#[derive(Debug, Serialize)]
struct SetReport<'a> {
    set: &'a str,
    /// Items of the set.
    items: u64,
    /// Items of too few letters or words to be looked for.
    unusable: u64,
    /// Items that at least one document holds.
    found: u64,
    /// Those, in order.
    found_items: Vec<ItemReport<'a>>,
    /// Items, or n-grams of them, that too many documents hold: they were left alone.
    left_alone: Vec<&'a str>,
}

#[derive(Debug, Serialize)]
struct ItemReport<'a> {
    #[serde(skip)]
    number: u32,
    item: &'a str,
    /// Documents that hold it.
    documents: u64,
    /// The first of them by id, and where in them.
    places: Vec<PlaceReport>,
}

#[derive(Debug, Serialize)]
struct PlaceReport {
    id: String,
    /// Bytes of the text that came in: start and end.
    at: [u64; 2],
    share: f32,
}

impl<'a> Report<'a> {
    /// Nothing found yet.
    pub(super) fn new(sets: &'a [Set], unusable: impl Fn(usize) -> u64) -> Self {
        let empty = |(number, set): (usize, &'a Set)| SetReport {
            set: &set.name,
            items: set.items.len() as u64,
            unusable: unusable(number),
            found: 0,
            found_items: Vec::new(),
            left_alone: Vec::new(),
        };
        Self { sets: sets.iter().enumerate().map(empty).collect() }
    }

    /// Takes a find in a document; they come by set, item and document.
    pub(super) fn take(&mut self, sets: &'a [Set], find: &Find, id: DocId) {
        let set = &mut self.sets[find.set as usize];
        if set.found_items.last().is_none_or(|last| last.number != find.item) {
            set.found += 1;
            let item = sets[find.set as usize].items[find.item as usize].id.as_str();
            set.found_items.push(ItemReport { number: find.item, item, documents: 0, places: Vec::new() });
        }
        let last = set.found_items.last_mut().expect("an item was pushed");
        last.documents += 1;
        if last.places.len() < DOCUMENTS_MAX {
            let at = [find.range.start as u64, find.range.end as u64];
            last.places.push(PlaceReport { id: id.to_string(), at, share: find.share });
        }
    }

    /// Takes an item that is left alone.
    pub(super) fn leave(&mut self, sets: &'a [Set], set: u32, item: u32) {
        let left = &mut self.sets[set as usize].left_alone;
        let item = sets[set as usize].items[item as usize].id.as_str();
        if left.last() != Some(&item) {
            left.push(item);
        }
    }

    /// The file.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("numbers and texts have a JSON form");
        json.push(b'\n');
        json
    }
}
