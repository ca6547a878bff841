//! The rules of DCLM (`dclm_baseline_refinedweb`), after RefinedWeb.

use super::{Gopher, Measures, PEER_LIMITS, PEER_REASONS, Rules, count, share};
use crate::text::chars::{is_letter, is_letter_or_number};
use crate::text::lines::is_python_space;
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
    let solid =
        Splitter::Uax29.words(text).iter().filter(|word| word.starts_with(is_letter_or_number)).count();
    let chars: usize = words.iter().map(|word| word.chars().count()).sum();
    let alphabetic = words.iter().filter(|word| word.chars().any(is_letter)).count();
    let stop_bytes_max = gopher.stop_words.iter().map(String::len).max().unwrap_or(0);
    let stops = words.iter().filter(|word| {
        word.len() <= stop_bytes_max && {
            let lower = word.to_lowercase();
            gopher.stop_words.contains(&lower)
        }
    });
    let (mut lines, mut bullets, mut ends) = (0, 0, 0);
    for line in
        text.split('\n').map(|line| line.trim_matches(is_python_space)).filter(|line| !line.is_empty())
    {
        lines += 1;
        bullets += usize::from(line.starts_with(['●', '•', '*', '-']));
        ends += usize::from(["...", ". . .", "…"].iter().any(|mark| line.ends_with(mark)));
    }
    let symbols: usize = ["#", "...", ". . .", "…"].iter().map(|mark| count(text, mark)).sum();
    Measures {
        all_words: words.len(),
        bytes: text.len(),
        words: solid as f64,
        word_chars: share(chars, words.len()),
        hashes: share(symbols, words.len()),
        ellipses: 0.0,
        bullet_lines: share(bullets, lines),
        ellipsis_lines: share(ends, lines),
        alphabetic: share(alphabetic, words.len()),
        stop_words: stops.count() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check as check_with, prose};
    use super::super::{Config, Dialect};
    use super::*;
    use schemas::Filter as _;

    fn check(text: &str, expected: Option<&str>) {
        check_with(&Config { dialect: Dialect::Dclm, ..Config::default() }, text, expected);
    }

    #[test]
    fn limits() {
        check("", Some("too_few_words"));
        check(&prose(50), None);
        // Words that start with no letter or digit are not counted.
        check(&format!("{} _one -- ...", prose(49)), Some("too_few_words"));
        // "well-made" is one word between spaces, two of UAX 29.
        check(&format!("{} well-made", prose(48)), None);
        check(&format!("{}{}", prose(50), "#".repeat(5)), None);
        check(&format!("{}{}", prose(50), "# . . . ... … # #"), Some("too_many_symbols"));
        check(&format!("* {}\n\n ● {}", prose(30), prose(30)), Some("too_many_bullets"));
        check(
            &format!("{} . . .\n{}\n\n\n{}", prose(30), prose(30), prose(9)),
            Some("too_many_ellipsis_ends"),
        );
        check(&format!("{} {}", prose(48), "12 ".repeat(12)), None);
        check(&format!("{} {}", prose(48), "12 ".repeat(13)), Some("too_few_alphabetic"));
        check(&format!("The {}", "quick fox ".repeat(30)), Some("too_few_stop_words"));
        check(&format!("The THE {}", "quick fox ".repeat(30)), None);
    }

    #[test]
    fn signals_by_hand() {
        let found = Gopher::new(&Config { dialect: Dialect::Dclm, ..Config::default() })
            .judge("- The mill, #1...\n\n  to the river …\n");
        // W: - The mill, #1... to the river …: 1+3+5+5+2+3+5+1 = 25 of 8 words; UAX 29: The mill 1 to the river.
        assert_eq!(found.signals, [6.0, 25.0 / 8.0, 3.0 / 8.0, 0.0, 0.5, 1.0, 5.0 / 8.0, 3.0]);
    }
}
