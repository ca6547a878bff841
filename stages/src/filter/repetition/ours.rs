//! The house's own rules: words without punctuation.

use super::{LIMITS, NAMES, RULES as COUNT, Rules, measure};
use crate::text::words::Splitter;
use schemas::Reason;

pub(super) const RULES: Rules =
    Rules { words: Splitter::Uax29, limits: LIMITS, reasons: NAMES, measure, empty: str::is_empty };

#[rustfmt::skip] // One line a reason.
pub(super) const REASONS: [Reason; COUNT] = [
    Reason { name: NAMES[0], doc: "More than `paragraphs_max` of the paragraphs are duplicates." },
    Reason { name: NAMES[1], doc: "More than `paragraph_chars_max` of the text is duplicate paragraphs." },
    Reason { name: NAMES[2], doc: "More than `lines_max` of the lines are duplicates." },
    Reason { name: NAMES[3], doc: "More than `line_chars_max` of the text is duplicate lines." },
    Reason { name: NAMES[4], doc: "The most frequent 2-gram makes up more than `top_2_gram_max` of the text." },
    Reason { name: NAMES[5], doc: "The most frequent 3-gram makes up more than `top_3_gram_max` of the text." },
    Reason { name: NAMES[6], doc: "The most frequent 4-gram makes up more than `top_4_gram_max` of the text." },
    Reason { name: NAMES[7], doc: "Repeated 5-grams make up more than `duplicate_5_grams_max` of the text." },
    Reason { name: NAMES[8], doc: "Repeated 6-grams make up more than `duplicate_6_grams_max` of the text." },
    Reason { name: NAMES[9], doc: "Repeated 7-grams make up more than `duplicate_7_grams_max` of the text." },
    Reason { name: NAMES[10], doc: "Repeated 8-grams make up more than `duplicate_8_grams_max` of the text." },
    Reason { name: NAMES[11], doc: "Repeated 9-grams make up more than `duplicate_9_grams_max` of the text." },
    Reason { name: NAMES[12], doc: "Repeated 10-grams make up more than `duplicate_10_grams_max` of the text." },
];
