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

#[cfg(test)]
mod tests {
    use super::super::tests::{check, prose};
    use super::super::{Config, Dialect};

    fn paper() -> Config {
        Config { dialect: Dialect::Datatrove, ..Config::default() }
    }

    /// Texts that break one rule each, in the order of the rules.
    fn broken() -> Vec<(String, &'static str)> {
        vec![
            (prose(49), "gopher_short_doc"),
            (prose(100_001), "gopher_long_doc"),
            (format!("the and {}", "is a ".repeat(30)), "gopher_below_avg_threshold"),
            (format!("the and {}", "internationalization ".repeat(50)), "gopher_above_avg_threshold"),
            (format!("{} {}", prose(50), "# ".repeat(7)), "gopher_too_many_hashes"),
            (format!("{} {}", prose(50), "… ".repeat(6)), "gopher_too_many_ellipsis"),
            (format!("- {}\n  • {}", prose(30), prose(30)), "gopher_too_many_bullets"),
            (format!("{}... \n{}…\nx\ny\nz", prose(30), prose(30)), "gopher_too_many_end_ellipsis"),
            // Marks are words: fifty of a hundred have a letter.
            (prose(50).replace(' ', ", "), "gopher_below_alpha_threshold"),
            ("the quick ".repeat(50), "gopher_enough_stop_words"),
        ]
    }

    /// A filter of the field never fired, for its result was thrown away.
    #[test]
    fn every_rule_fires() {
        check(&paper(), &prose(50), None);
        check(&paper(), "", Some("gopher_short_doc"));
        for (text, reason) in broken() {
            check(&paper(), &text, Some(reason));
        }
    }

    /// In a tool of the field, limits on the number of words switched other rules off.
    #[test]
    fn a_rule_that_is_off_leaves_the_others_on() {
        let off = Config { words_min: Some(0), words_max: Some(0), ..paper() };
        for (text, reason) in broken().into_iter().skip(2) {
            check(&off, &text, Some(reason));
        }
        for (at, (text, reason)) in broken().into_iter().enumerate() {
            let mut config = paper();
            match at {
                0 => config.words_min = Some(0),
                1 => config.words_max = Some(0),
                2 => config.word_chars_min = Some(0.0),
                3 => config.word_chars_max = Some(0.0),
                4 => config.hashes_max = Some(0.0),
                5 => config.ellipses_max = Some(0.0),
                6 => config.bullet_lines_max = Some(0.0),
                7 => config.ellipsis_lines_max = Some(0.0),
                8 => config.alphabetic_min = Some(0.0),
                _ => config.stop_words_min = Some(0),
            }
            let verdict = super::super::Gopher::new(&config);
            let found = schemas::Filter::judge(&verdict, &text).verdict;
            let same = matches!(found, schemas::Verdict::Dropped { reason: found, .. } if found == reason);
            assert!(!same, "{reason} is off");
        }
    }

    /// datatrove divides by zero, or takes the mean of nothing, which is neither below nor above a limit.
    #[test]
    fn nothing_to_measure() {
        let off = || Config { words_min: Some(0), ..paper() };
        check(&off(), "", Some("empty"));
        check(&off(), " \n", Some("empty"));
        check(&off(), "!? .", Some("gopher_below_alpha_threshold"));
    }
}
