//! The rules of Dolma: the tagger `gopher_v2` of dolma 1.2.1 under the limits of its mix for Common Crawl.

use super::{Gopher, Measures, PEER_LIMITS, PEER_REASONS, Rules, share};
use crate::filter::repetition::pieces;
use crate::text::chars::is_letter;
use crate::text::words::Splitter;

pub(super) const RULES: Rules = Rules {
    words: Splitter::Whitespace,
    headings: true,
    limits: PEER_LIMITS,
    reasons: &PEER_REASONS,
    measure,
    empty: |m, rule| rule >= 2 && m.all_words == 0,
};

fn measure(text: &str, words: &[&str], gopher: &Gopher) -> Measures {
    let mut lengths: Vec<usize> = words.iter().map(|word| word.chars().count()).collect();
    lengths.sort_unstable();
    let middle = lengths.len() / 2;
    let median = match lengths.len() {
        0 => 0.0,
        even if even % 2 == 0 => (lengths[middle - 1] + lengths[middle]) as f64 / 2.0,
        _ => lengths[middle] as f64,
    };
    let of_words = |is: &dyn Fn(&str) -> bool| words.iter().filter(|word| is(word)).count();
    let lines = pieces(text, 1);
    let of_lines = |is: &dyn Fn(&str) -> bool| lines.iter().filter(|line| is(line)).count();
    Measures {
        all_words: words.len(),
        bytes: text.len(),
        words: words.len() as f64,
        word_chars: median,
        hashes: share(of_words(&|word| word.contains(['#', '…'])), words.len()),
        ellipses: 0.0,
        bullet_lines: share(of_lines(&|line| line.starts_with(['*', '-'])), lines.len()),
        ellipsis_lines: share(of_lines(&|line| line.ends_with('…')), lines.len()),
        alphabetic: share(of_words(&|word| word.chars().any(is_letter)), words.len()),
        stop_words: of_words(&|word| gopher.stop_words.iter().any(|stop| stop == word)) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check as check_with, prose};
    use super::super::{Config, Dialect};
    use super::*;
    use schemas::Filter as _;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    fn check(text: &str, expected: Option<&str>) {
        check_with(&Config { dialect: Dialect::Dolma, ..Config::default() }, text, expected);
    }

    #[test]
    fn limits() {
        check("", Some("too_few_words"));
        check(&prose(50), None);
        // Half of the words are short: the median is below 3 where the mean is not.
        check(&"to thoroughly be and ".repeat(13), Some("words_too_short"));
        check(&format!("{} # #a ... … x…y", prose(50)), None);
        check(&format!("{} # #a a# … x…y ##", prose(50)), Some("too_many_symbols"));
        check(&format!("* {}\n- {}", prose(30), prose(30)), Some("too_many_bullets"));
        check(&format!("* {}\n - {}", prose(30), prose(30)), None);
        check(&format!("{}…\n{}", prose(30), prose(30)), Some("too_many_ellipsis_ends"));
        check(&format!("{}...\n{}", prose(30), prose(30)), None);
        check(&format!("The the {}", "quick fox ".repeat(30)), Some("too_few_stop_words"));
        check(&format!("the the {}", "quick fox ".repeat(30)), None);
    }

    #[test]
    fn signals_by_hand() {
        let found = Gopher::new(&Config { dialect: Dialect::Dolma, ..Config::default() })
            .judge("- The mill, #1...\n\n  to the river …\n");
        // Lengths 1 3 5 5 2 3 5 1: the median is 3. Lines: two, and the empty one behind the last LF.
        assert_eq!(found.signals, [8.0, 3.0, 2.0 / 8.0, 0.0, 1.0 / 3.0, 1.0 / 3.0, 5.0 / 8.0, 2.0]);
    }

    /// Texts with what the tagger of dolma 1.2.1 measures of them: `benches/peers/dolma_gopher.py`.
    #[test]
    fn signals_of_dolma() {
        let gopher = Gopher::new(&Config { dialect: Dialect::Dolma, ..Config::default() });
        for line in include_str!("dolma.jsonl").lines() {
            let row: BTreeMap<&str, &RawValue> = serde_json::from_str(line).unwrap();
            let text: String = serde_json::from_str(row["text"].get()).unwrap();
            // By the standard library: serde_json rounds some numbers the wrong way.
            let numbers = row["gopher"].get().trim_matches(['[', ']']).split(", ");
            let mut expected: Vec<f64> = numbers.map(|n| n.parse().unwrap()).collect();
            expected.insert(3, 0.0);
            assert_eq!(gopher.judge(&text).signals, expected, "{text:?}");
        }
    }
}
