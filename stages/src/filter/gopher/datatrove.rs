//! The rules of datatrove 0.10.1, to the verdict and the reason.

use super::{Measures, RULES as COUNT, Rules, measure};
use crate::text::words::Splitter;
use schemas::Reason;

pub(super) const RULES: Rules = Rules {
    words: Splitter::SpacyEn,
    headings: true,
    limits: [50.0, 100_000.0, 3.0, 10.0, 0.1, 0.1, 0.9, 0.3, 0.8, 2.0],
    reasons: &REASONS,
    measure,
    empty: |m: &Measures, rule| rule >= 4 && m.all_words == 0,
};

pub(super) const REASONS: [Reason; COUNT] = [
    Reason { name: "gopher_short_doc", doc: "datatrove: fewer than `words_min` words." },
    Reason { name: "gopher_long_doc", doc: "datatrove: more than `words_max` words." },
    Reason {
        name: "gopher_below_avg_threshold",
        doc: "datatrove: words shorter than `word_chars_min` on average.",
    },
    Reason {
        name: "gopher_above_avg_threshold",
        doc: "datatrove: words longer than `word_chars_max` on average.",
    },
    Reason { name: "gopher_too_many_hashes", doc: "datatrove: more than `hashes_max` hashes a word." },
    Reason { name: "gopher_too_many_ellipsis", doc: "datatrove: more than `ellipses_max` ellipses a word." },
    Reason {
        name: "gopher_too_many_bullets",
        doc: "datatrove: more than `bullet_lines_max` of the lines are bullets.",
    },
    Reason {
        name: "gopher_too_many_end_ellipsis",
        doc: "datatrove: more than `ellipsis_lines_max` of the lines end with an ellipsis.",
    },
    Reason {
        name: "gopher_below_alpha_threshold",
        doc: "datatrove: less than `alphabetic_min` of the words have a letter.",
    },
    Reason {
        name: "gopher_enough_stop_words",
        doc: "datatrove: fewer than `stop_words_min` different stop words.",
    },
];
