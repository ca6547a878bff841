//! What a text is cut into, what is compared of each unit, and what is left when units go.

use crate::text::datatrove::normalize;
use crate::text::lines::is_python_space;
use crate::text::spacy;
use crate::text::words::is_decimal;
use crate::text::xxh64::xxh64;
use schemas::choice;
use sha1::{Digest as _, Sha1};

/// Sentences of a span.
const SPAN_SENTENCES: usize = 3;

choice! {
    /// What is compared and cut.
    pub enum Unit {
        /// Three sentences in a row.
        C4Spans = "c4_spans",
        /// A line.
        Line = "line",
        /// Lines up to an empty one.
        Paragraph = "paragraph",
    }
}

impl Unit {
    /// The hashes of the units that can be compared, each with its number in the text.
    pub(super) fn hashes(self, text: &str) -> Vec<(u32, u64)> {
        let plain: Vec<String> = match self {
            Self::C4Spans => return spans(text),
            Self::Line => text.split('\n').map(plain).collect(),
            Self::Paragraph => paragraphs(text).map(words).collect(),
        };
        let solid = plain.iter().enumerate().filter(|(_, plain)| !plain.is_empty());
        solid.map(|(number, plain)| (number as u32, sha1(plain))).collect()
    }

    /// The text without the units with these numbers, which ascend; a number of `C4Spans` is that of the first of three sentences.
    pub(super) fn cut(self, text: &str, numbers: &[u32]) -> String {
        let (span, join) = match self {
            Self::C4Spans => (SPAN_SENTENCES, ""),
            Self::Line => (1, "\n"),
            Self::Paragraph => (1, ""),
        };
        let pieces: Vec<&str> = match self {
            Self::C4Spans => sentences(text),
            Self::Line => text.split('\n').collect(),
            Self::Paragraph => paragraphs(text).collect(),
        };
        let mut numbers = numbers.iter().map(|number| *number as usize).peekable();
        let mut until = 0;
        let left = pieces.into_iter().enumerate().filter(|(at, _)| {
            if numbers.next_if_eq(at).is_some() {
                until = at + span;
            }
            *at >= until
        });
        let left = left.map(|(_, piece)| piece).collect::<Vec<_>>().join(join);
        match self {
            Self::C4Spans => left.trim_start_matches(is_python_space).to_owned(),
            _ => left.trim_matches(is_python_space).to_owned(),
        }
    }
}

/// Sentences with the white space before each.
fn sentences(text: &str) -> Vec<&str> {
    let ends = spacy::sentence_ends(text);
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, end)| &text[start..*end]).collect()
}

fn spans(text: &str) -> Vec<(u32, u64)> {
    // White space alone is a sentence only at the end of a text.
    let solid =
        sentences(text).into_iter().filter(|sentence| !sentence.trim_matches(is_python_space).is_empty());
    let plain: Vec<String> = solid.map(normalize).collect();
    let spans = plain.windows(SPAN_SENTENCES).enumerate();
    let solid = spans.filter(|(_, span)| span.iter().any(|sentence| !sentence.is_empty()));
    solid.map(|(number, span)| (number as u32, xxh64(span.join(" ").as_bytes()))).collect()
}

/// Paragraphs, each with the empty lines behind it; the first also with those before it.
fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut at, mut solid, mut gap) = (0, false, false);
        for line in rest.split_inclusive('\n') {
            let is_empty = line.trim_matches(is_python_space).is_empty();
            if !is_empty && solid && gap {
                break;
            }
            solid |= !is_empty;
            gap = is_empty;
            at += line.len();
        }
        let (paragraph, behind) = rest.split_at(at);
        rest = behind;
        Some(paragraph)
    })
}

/// A line as cc_net compares it.
fn plain(line: &str) -> String {
    let small = line.trim_matches(is_python_space).to_lowercase();
    small.chars().map(|c| if is_decimal(c) { '0' } else { c }).filter(|c| !is_left_out(*c)).collect()
}

/// The lines of a paragraph, with single spaces between words.
fn words(lines: &str) -> String {
    let plain: Vec<String> = lines.split('\n').map(plain).collect();
    let words = plain.iter().flat_map(|line| line.split(is_python_space)).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// What cc_net leaves out: control characters, and marks that text of the web has beyond ASCII. (Its list has the fullwidth one too, which
/// is a zero by then.)
fn is_left_out(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}')
        || matches!(c, '«' | '»' | '´' | '–' | '—' | '’' | '“' | '”' | '„' | '…' | '∶' | '━' | '►')
        || matches!(c, '、' | '。' | '〈' | '〉' | '《' | '》' | '「' | '」' | '【' | '】')
        || matches!(c, '！' | '％' | '（' | '）' | '，' | '．' | '：' | '；' | '？' | '～')
}

/// The first 8 bytes.
fn sha1(plain: &str) -> u64 {
    let hash = Sha1::digest(plain.as_bytes());
    u64::from_be_bytes(*hash.first_chunk().expect("a SHA-1 has 20 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_compared_as_cc_net_does() {
        let check = |line: &str, expected: &str| assert_eq!(plain(line), expected, "{line:?}");
        check("  Call 1-800,\t“NOW”… ", "call 0-000,now");
        check("Ünï ٣ １！", "ünï 0 0");
        check("—…", "");
        assert_eq!(sha1("abc"), 0xa999_3e36_4706_816a);
    }

    #[test]
    fn paragraphs_end_with_empty_lines() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(paragraphs(text).collect::<Vec<_>>(), expected, "{text:?}");
        };
        check("", &[]);
        check("a\nb\n\nc", &["a\nb\n\n", "c"]);
        check("\n\na\n \n\nb\n", &["\n\na\n \n\n", "b\n"]);
        assert_eq!(words("A  b\n\tC1\n"), "a b c0");
    }

    #[test]
    fn what_is_left() {
        let check = |unit: Unit, text: &str, numbers: &[u32], expected: &str| {
            assert_eq!(unit.cut(text, numbers), expected, "{text:?}");
        };
        check(Unit::Line, "a\nb\n\nc", &[0, 3], "b");
        check(Unit::Line, "a\nb\nc", &[1], "a\nc");
        check(Unit::Paragraph, "a\nb\n\nc\n\nd", &[1], "a\nb\n\nd");
        check(Unit::C4Spans, "Aa. Bb. Cc. Dd. Ee.", &[0], "Dd. Ee.");
        check(Unit::C4Spans, "Aa. Bb. Cc. Dd. Ee.", &[1, 2], "Aa.");
        check(Unit::C4Spans, "Aa. Bb. Cc. Dd. Ee. Ff. Gg.", &[0, 4], "Dd.");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn nothing_is_lost_where_nothing_is_cut(text in "([aB1é]{0,2}[ .!\n\u{a0}]{0,2}){0,20}") {
            for unit in [Unit::Line, Unit::Paragraph] {
                prop_assert_eq!(unit.cut(&text, &[]), text.trim_matches(is_python_space));
            }
            // A single space at the end belongs to no sentence.
            let spans = Unit::C4Spans.cut(&text, &[]);
            prop_assert_eq!(spans.trim_end_matches(is_python_space), text.trim_matches(is_python_space));
        }
    }
}
