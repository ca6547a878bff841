//! The rules of datatrove 0.10.1, to the verdict and the reason.

use super::{LIMITS, RULES as COUNT, Rules, measure};
use crate::text::words::Splitter;
use schemas::Reason;

pub(super) const RULES: Rules = Rules {
    words: Splitter::SpacyEn,
    limits: LIMITS,
    #[rustfmt::skip]
    reasons: [
        "dup_para_frac", "dup_para_char_frac", "dup_line_frac", "dup_line_char_frac", "top_2_gram", "top_3_gram", "top_4_gram",
        "duplicated_5_n_grams", "duplicated_6_n_grams", "duplicated_7_n_grams", "duplicated_8_n_grams", "duplicated_9_n_grams",
        "duplicated_10_n_grams",
    ],
    measure,
    empty: str::is_empty,
};

/// Those that our own rules do not name.
#[rustfmt::skip] // One line a reason.
pub(super) const REASONS: [Reason; COUNT - 3] = [
    Reason { name: "dup_para_frac", doc: "datatrove: more than `paragraphs_max` of the paragraphs are duplicates." },
    Reason { name: "dup_para_char_frac", doc: "datatrove: more than `paragraph_chars_max` of the text is duplicate paragraphs." },
    Reason { name: "dup_line_frac", doc: "datatrove: more than `lines_max` of the lines are duplicates." },
    Reason { name: "dup_line_char_frac", doc: "datatrove: more than `line_chars_max` of the text is duplicate lines." },
    Reason { name: "duplicated_5_n_grams", doc: "datatrove: repeated 5-grams make up more than `duplicate_5_grams_max` of the text." },
    Reason { name: "duplicated_6_n_grams", doc: "datatrove: repeated 6-grams make up more than `duplicate_6_grams_max` of the text." },
    Reason { name: "duplicated_7_n_grams", doc: "datatrove: repeated 7-grams make up more than `duplicate_7_grams_max` of the text." },
    Reason { name: "duplicated_8_n_grams", doc: "datatrove: repeated 8-grams make up more than `duplicate_8_grams_max` of the text." },
    Reason { name: "duplicated_9_n_grams", doc: "datatrove: repeated 9-grams make up more than `duplicate_9_grams_max` of the text." },
    Reason { name: "duplicated_10_n_grams", doc: "datatrove: repeated 10-grams make up more than `duplicate_10_grams_max` of the text." },
];
