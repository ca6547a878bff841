//! The rules of NeMo Curator 1: words between white space, lines that are not blank.

use super::{Gopher, Measures, PEER_LIMITS, PEER_REASONS, Rules, share};
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

/// What counts as a bullet: neither `*` nor `-`.
const BULLETS: [char; 12] = ['•', '‣', '⁃', '⁌', '⁍', '∙', '○', '●', '◘', '◦', '⦾', '⦿'];
const ELLIPSES: [&str; 8] = ["...", "[...]", "…", "(...)", "[…]", "-»", "read more..", "read more"];

fn measure(text: &str, words: &[&str], gopher: &Gopher) -> Measures {
    let mut chars = 0;
    let (mut symbols, mut alphabetic, mut stops) = (0, 0, 0_usize);
    for word in words {
        let length = word.chars().count();
        chars += length;
        // Runs of hashes are counted, not hashes: `##` is one of two characters.
        let bytes = word.as_bytes();
        let runs =
            (0..bytes.len()).filter(|&at| bytes[at] == b'#' && (at == 0 || bytes[at - 1] != b'#')).count();
        symbols += usize::from(ELLIPSES.contains(word) || 2 * runs > length);
        alphabetic += usize::from(word.chars().any(char::is_alphabetic));
        stops += usize::from(gopher.stop_words.iter().any(|stop| stop == word));
    }
    let (mut lines, mut bullets, mut ends) = (0, 0, 0);
    for line in
        text.split('\n').map(|line| line.trim_matches(is_python_space)).filter(|line| !line.is_empty())
    {
        lines += 1;
        bullets += usize::from(line.starts_with(BULLETS));
        ends += usize::from(ends_open(line));
    }
    Measures {
        all_words: words.len(),
        bytes: text.len(),
        words: words.len() as f64,
        word_chars: share(chars, words.len()),
        hashes: share(symbols, words.len()),
        ellipses: 0.0,
        bullet_lines: share(bullets, lines),
        ellipsis_lines: share(ends, lines),
        alphabetic: share(alphabetic, words.len()),
        stop_words: stops as f64,
    }
}

fn ends_open(line: &str) -> bool {
    ELLIPSES.iter().any(|mark| {
        let tail = line.len().checked_sub(mark.len()).and_then(|at| line.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(mark))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check as check_with, prose};
    use super::super::{Config, Dialect};
    use super::*;
    use schemas::Filter as _;

    fn check(text: &str, expected: Option<&str>) {
        check_with(&Config { dialect: Dialect::Nemo, ..Config::default() }, text, expected);
    }

    #[test]
    fn limits() {
        check("", Some("too_few_words"));
        check(&prose(50), None);
        check(&format!("{} # ... […] ## ##", prose(50)), None);
        check(&format!("{} # # # # # #", prose(50)), Some("too_many_symbols"));
        check(&format!("- {}\n* {}", prose(30), prose(30)), None);
        check(&format!("‣ {}\n\n ◦ {}", prose(30), prose(30)), Some("too_many_bullets"));
        check(
            &format!("{} Read More\n{}\n\n\n{}", prose(30), prose(30), prose(9)),
            Some("too_many_ellipsis_ends"),
        );
        check(&format!("the {}", "quick fox ".repeat(30)), Some("too_few_stop_words"));
        check(&format!("the The {}", "quick fox ".repeat(30)), Some("too_few_stop_words"));
        check(&format!("the the {}", "quick fox ".repeat(30)), None);
    }

    #[test]
    fn runs_of_hashes() {
        let hashes = |text| {
            Gopher::new(&Config { dialect: Dialect::Nemo, ..Config::default() }).judge(text).signals[2]
        };
        for (word, symbol) in [
            ("#", 1.0),
            ("##", 0.0),
            ("#a", 0.0),
            ("#a#", 1.0),
            ("a#", 0.0),
            ("###", 0.0),
            ("a", 0.0),
            ("...", 1.0),
        ] {
            assert_eq!(hashes(word), symbol, "{word}");
        }
    }
}
