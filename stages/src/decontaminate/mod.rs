//! Stages that take texts of benchmarks out of what a model learns from.

mod anchors;
mod cut;
mod datatrove;
mod items;
mod judge;
mod nemo;
pub mod ngram;
mod ours;
mod records;
mod report;
mod strength;
mod table;

use crate::text::letters::Letters;
use std::ops::Range;

/// Characters of what was found that are told.
const TOLD_CHARS_MAX: usize = 200;

/// An item of a benchmark in a document.
#[derive(Debug, Clone, PartialEq)]
struct Find {
    /// Number of the set.
    set: u32,
    /// Number of the item in it.
    item: u32,
    /// Number of the n-gram, where each is counted for itself.
    gram: u32,
    /// Bytes of the text.
    range: Range<usize>,
    /// How much of the item is there.
    share: f32,
    /// Whether it counts only if few documents have it.
    common: bool,
}

/// Finds items in documents.
trait Finder: Send + Sync {
    /// Adds what a text holds to `out`, which is empty; `letters` is memory to work in.
    fn find(&self, text: &str, letters: &mut Letters, out: &mut Vec<Find>);
    /// How many items of a set it cannot look for.
    fn unusable(&self, set: usize) -> u64;
    /// The words that were found.
    fn words(&self, text: &str, find: &Find) -> String {
        text.get(find.range.clone()).unwrap_or_default().chars().take(TOLD_CHARS_MAX).collect()
    }
}
