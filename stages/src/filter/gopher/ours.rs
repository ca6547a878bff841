//! The house's own rules: words without punctuation, headings that are no hashes.

use super::{Measures, RULES as COUNT, Rules, measure};
use crate::text::words::Splitter;
use schemas::Reason;

pub(super) const RULES: Rules = Rules {
    words: Splitter::Uax29,
    headings: false,
    limits: [50.0, 100_000.0, 3.0, 10.0, 0.1, 0.1, 0.9, 0.3, 0.8, 2.0],
    reasons: &REASONS,
    measure,
    // The rules on the number of words come first: only an empty text goes before them.
    empty: |m: &Measures, rule| m.bytes == 0 || rule >= 2 && m.words == 0.0,
};

pub(super) const REASONS: [Reason; COUNT] = [
    Reason { name: "too_few_words", doc: "Fewer than `words_min` words." },
    Reason { name: "too_many_words", doc: "More than `words_max` words." },
    Reason { name: "words_too_short", doc: "Words shorter than `word_chars_min` on average." },
    Reason { name: "words_too_long", doc: "Words longer than `word_chars_max` on average." },
    Reason { name: "too_many_hashes", doc: "More than `hashes_max` hashes a word." },
    Reason { name: "too_many_ellipses", doc: "More than `ellipses_max` ellipses a word." },
    Reason { name: "too_many_bullets", doc: "More than `bullet_lines_max` of the lines are bullets." },
    Reason {
        name: "too_many_ellipsis_ends",
        doc: "More than `ellipsis_lines_max` of the lines end with an ellipsis.",
    },
    Reason { name: "too_few_alphabetic", doc: "Less than `alphabetic_min` of the words have a letter." },
    Reason { name: "too_few_stop_words", doc: "Fewer than `stop_words_min` different stop words." },
];

#[cfg(test)]
mod tests {
    use super::super::tests::{check, prose};
    use super::super::{Config, Gopher};
    use super::*;
    use crate::text::chars::is_letter;
    use crate::text::lines::python_lines;
    use crate::text::words::is_punctuation;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_rule_has_its_reason() {
        let paper = Config::default;
        check(&paper(), "", Some("empty"));
        check(&paper(), &prose(50), None);
        check(&paper(), &prose(49), Some("too_few_words"));
        check(&Config { words_max: Some(60), ..paper() }, &prose(61), Some("too_many_words"));
        check(&paper(), &format!("the and {}", "is a ".repeat(30)), Some("words_too_short"));
        check(&paper(), &format!("the and {}", "internationalization ".repeat(50)), Some("words_too_long"));
        check(&paper(), &format!("{} {}", prose(50), "# ".repeat(5)), None);
        check(&paper(), &format!("{} {}", prose(50), "# ".repeat(6)), Some("too_many_hashes"));
        check(&paper(), &format!("{} {}", prose(50), "...… ".repeat(3)), Some("too_many_ellipses"));
        check(&paper(), &format!("- {}\n  • {}", prose(30), prose(30)), Some("too_many_bullets"));
        check(
            &paper(),
            &format!("{}... \n{}…\nx\ny\nz", prose(30), prose(30)),
            Some("too_many_ellipsis_ends"),
        );
        check(&paper(), &format!("{} {}", prose(50), "1234 ".repeat(13)), Some("too_few_alphabetic"));
        check(&paper(), &"the quick ".repeat(50), Some("too_few_stop_words"));
        check(&paper(), &"The And quick the ".repeat(50), Some("too_few_stop_words"));
    }

    /// The n-th limit is met exactly by the first text and missed by a hair by the second.
    fn check_limit(reason: &str, at_limit: &str, beyond: &str) {
        let config = || Config { words: Some(Splitter::Whitespace), ..Config::default() };
        check(&config(), at_limit, None);
        check(&config(), beyond, Some(reason));
    }

    #[test]
    fn headings_are_no_hashes() {
        let page = format!("# The\n\n{}\n### Badger\n##### Fox\n", prose(50));
        check(&Config::default(), &page, None);
        check(&Config { headings: Some(true), ..Config::default() }, &page, Some("too_many_hashes"));
        let tags = format!("#the #and\n{}\n#fox\n ### fox\n####### fox\n", prose(50));
        check(&Config::default(), &tags, Some("too_many_hashes"));
    }

    /// Fifty words, some with something put before or behind them.
    fn fifty(marked: usize, mark: impl Fn(&str) -> String) -> String {
        let word = |n: usize| ["the", "quick", "fox", "and", "badger"][n % 5];
        let words = (0..50).map(|n| if n < marked { mark(word(n)) } else { word(n).to_owned() });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Ten lines, some with something put before or behind them.
    fn ten_lines(marked: usize, end: &str, mark: impl Fn(&str) -> String) -> String {
        let line = "the quick fox and the badger have a long walk";
        let lines = (0..10).map(|n| if n < marked { mark(line) } else { line.to_owned() });
        lines.collect::<Vec<_>>().join(end)
    }

    #[test]
    fn what_is_at_a_limit_is_kept() {
        check_limit("words_too_short", &"the and ".repeat(25), &format!("{}to", "the and ".repeat(25)));
        let ten = format!("the and {0} {0} ", "x".repeat(17)).repeat(13);
        check_limit("words_too_long", &ten, &format!("{ten} elevenchars"));
        let hash = |word: &str| format!("#{word}");
        check_limit("too_many_hashes", &fifty(5, hash), &fifty(6, hash));
        for dots in ["...", "…", "....", "....."] {
            let dotted = |word: &str| format!("{word}{dots}");
            check_limit("too_many_ellipses", &fifty(5, dotted), &fifty(6, dotted));
        }
        check_limit(
            "too_many_ellipses",
            &fifty(2, |w| format!("{w}......")),
            &fifty(3, |w| format!("{w}......")),
        );
        for end in ["\n", "\r\n", "\r", "\u{2028}"] {
            for bullet in ["- ", "•", "\u{3000}-"] {
                let listed = |line: &str| format!("{bullet}{line}");
                check_limit("too_many_bullets", &ten_lines(9, end, listed), &ten_lines(10, end, listed));
            }
            let open = |line: &str| format!("{line}... ");
            check_limit("too_many_ellipsis_ends", &ten_lines(3, end, open), &ten_lines(4, end, open));
        }
        let number = |_: &str| "1234".to_owned();
        check_limit("too_few_alphabetic", &fifty(10, number), &fifty(11, number));
        check_limit(
            "too_few_stop_words",
            &format!("the and {}", "fox ".repeat(48)),
            &format!("the the And {}", "fox ".repeat(48)),
        );
        check(&Config { words_max: Some(50), ..Config::default() }, &prose(50), None);
    }

    #[test]
    fn letters_of_all_scripts_are_letters_and_marks_are_none() {
        let config =
            || Config { words: Some(Splitter::Whitespace), stop_words_min: Some(0), ..Config::default() };
        for word in [
            "\u{434}\u{43e}\u{43c}",
            "\u{65e5}\u{672c}\u{8a9e}",
            "e\u{301}te\u{301}",
            "\u{928}\u{92e}\u{938}",
        ] {
            check(&config(), &format!("{word} ").repeat(50), None);
        }
        // Combining marks, Roman numerals (Nl) and digits of other scripts are no letters of Python's isalpha.
        for word in ["\u{301}\u{301}\u{301}", "\u{2167}\u{2167}\u{2167}", "\u{664}\u{664}\u{664}"] {
            check(&config(), &format!("{word} ").repeat(50), Some("too_few_alphabetic"));
        }
        // Characters are scalar values: a mark counts.
        check(&Config { words_min: Some(1), ..config() }, "e\u{301}\u{301}", None);
        check(&Config { words_min: Some(1), ..config() }, "e\u{301}", Some("words_too_short"));
        check(&Config { words_min: Some(1), ..config() }, "one", None);
        check(&Config { words_min: Some(1), ..config() }, "!?", Some("too_few_words"));
    }

    #[test]
    fn zero_switches_a_rule_off_and_nothing_divides_by_zero() {
        let off = || Config {
            words_min: Some(0),
            alphabetic_min: Some(0.0),
            stop_words_min: Some(0),
            ..Config::default()
        };
        check(&off(), "", Some("empty"));
        check(&off(), "... ###", Some("empty"));
        check(&Config { words: Some(Splitter::Whitespace), ..off() }, "... ###", Some("empty"));
        check(&off(), "12345", None);
        check(&Config { word_chars_max: Some(0.0), ..off() }, &"x".repeat(2000), None);
    }

    /// The rules as the reference tells them, without a care for speed.
    fn naive(text: &str) -> Measures {
        let words: Vec<String> = Splitter::Whitespace.words(text).into_iter().map(String::from).collect();
        let solid: Vec<&String> = words.iter().filter(|w| !w.chars().all(is_punctuation)).collect();
        let lines: Vec<&str> = python_lines(text).collect();
        let of = |part: f64, whole: usize| if whole == 0 { 0.0 } else { part / whole as f64 };
        let start = |l: &&&str| l.trim_start().starts_with('•') || l.trim_start().starts_with('-');
        let end = |l: &&&str| l.trim_end().ends_with("...") || l.trim_end().ends_with('…');
        let stops: BTreeSet<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|w| Config::default().stop_words.iter().any(|s| s == w))
            .collect();
        let ellipses = text.matches("...").count() + text.matches('…').count();
        Measures {
            all_words: words.len(),
            bytes: text.len(),
            words: solid.len() as f64,
            word_chars: of(solid.iter().map(|w| w.chars().count()).sum::<usize>() as f64, solid.len()),
            hashes: of(text.matches('#').count() as f64, words.len()),
            ellipses: of(ellipses as f64, words.len()),
            bullet_lines: of(lines.iter().filter(start).count() as f64, lines.len()),
            ellipsis_lines: of(lines.iter().filter(end).count() as f64, lines.len()),
            alphabetic: of(words.iter().filter(|w| w.chars().any(is_letter)).count() as f64, words.len()),
            stop_words: stops.len() as f64,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn fast_is_naive(text in "(the|and|to|#|\\.\\.\\.|…|- |• |12|é|x|[ \n\u{2028}]){0,40}") {
            let config = Config { words: Some(Splitter::Whitespace), headings: Some(true), ..Config::default() };
            let words = Splitter::Whitespace.words(&text);
            prop_assert_eq!(measure(&text, &words, &Gopher::new(&config)), naive(&text));
        }
    }
}
