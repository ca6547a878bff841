//! The house's own measures: all scripts, and prose alone.

use super::{Counts, RULES, SOLID, SPACE, Symbols, bit, common, urls};
use crate::text::lines::{Stretch, stretches};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

pub(super) fn bits(c: char) -> u8 {
    let space = c.is_whitespace();
    let solid =
        space || if c.is_ascii() { c.is_ascii_alphanumeric() } else { is_solid(c) } || is_sentence_mark(c);
    bit(solid, SOLID) | bit(space, SPACE) | common(c)
}

fn is_solid(c: char) -> bool {
    matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark | GeneralCategoryGroup::Number
    )
}

fn is_sentence_mark(c: char) -> bool {
    is_end(c) || matches!(c, ',' | '\u{60c}' | '\u{3001}' | '\u{ff0c}')
}

/// Marks that end a sentence in the scripts of the web.
const fn is_end(c: char) -> bool {
    matches!(
        c,
        '.' | '?'
            | '!'
            | '…'
            | '\u{37e}'
            | '\u{589}'
            | '\u{61f}'
            | '\u{6d4}'
            | '\u{964}'
            | '\u{965}'
            | '\u{104a}'
            | '\u{104b}'
            | '\u{1362}'
            | '\u{17d4}'
            | '\u{3002}'
            | '\u{ff01}'
            | '\u{ff0e}'
            | '\u{ff1f}'
            | '\u{ff61}'
    )
}

/// Quotes, brackets and marks of emphasis that may stand behind the end of a sentence.
const fn closes(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '»' | '”' | '’' | '›' | ')' | ']' | '*' | '_' | '\u{300d}' | '\u{300f}' | '\u{ff09}'
    )
}

pub(super) fn measure(stage: &Symbols, text: &str) -> [f64; RULES] {
    let mut counts = Counts::default();
    let (mut url_chars, mut open, mut boilerplate) = (0, [0, 0], Vec::new());
    for stretch in stretches(text) {
        let Stretch::Prose(prose) = stretch else { continue };
        counts.walk(prose, &stage.ascii, bits);
        url_chars += addresses(prose);
        for line in prose.split('\n').map(str::trim) {
            if line.is_empty() || is_structure(line) {
                continue;
            }
            open[0] += usize::from(!line.trim_end_matches(closes).ends_with(is_end));
            open[1] += 1;
        }
        boilerplate.push((stage.boilerplate(prose, paragraph), prose.len()));
    }
    // Between stretches, as within one: by length.
    let bytes: usize = boilerplate.iter().map(|(_, bytes)| bytes).sum();
    let share =
        boilerplate.iter().map(|(share, bytes)| share * *bytes as f64).sum::<f64>() / bytes.max(1) as f64;
    counts.measures(url_chars, open, share)
}

/// The end of the paragraph and the start of the next, behind all blank lines.
fn paragraph(text: &str, at: usize) -> [usize; 2] {
    let Some(next) = memchr::memmem::find(&text.as_bytes()[at..], b"\n\n") else {
        return [text.len(), text.len() + 1];
    };
    let end = at + next;
    let rest = text[end..].trim_start_matches(['\n', ' ', '\t', '\r']);
    [end, if rest.is_empty() { text.len() + 1 } else { text.len() - rest.len() }]
}

/// Headings, list items, table rows and formulas: lines that end no sentence by right.
fn is_structure(line: &str) -> bool {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let numbered = digits > 0 && line[digits..].starts_with(['.', ')']);
    numbered
        || ["- ", "* ", "+ "].iter().any(|mark| line.starts_with(mark))
        || line.starts_with(['#', '|', '$'])
}

/// Characters in web addresses: up to white space, a quote or a bracket.
fn addresses(text: &str) -> usize {
    let (mut past, mut chars) = (0, 0);
    for (head, rest) in urls(text) {
        let at = text.len() - rest.len();
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | ')' | ']' | '`'))
            .unwrap_or(rest.len());
        if at - head >= past {
            chars += head + rest[..end].chars().count();
            past = at + end;
        }
    }
    chars
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::super::tests::{close, measure as measure_with};

    fn measure(text: &str) -> Vec<f64> {
        measure_with(Dialect::Ours, text)
    }

    #[test]
    fn letters_of_all_scripts_are_no_symbols() {
        for text in [
            "石臼は風の中でゆっくりと回り、粉が落ちる。",
            "Мельница стоит у реки.",
            "नदी के किनारे चक्की है।",
            "e\u{301}te\u{301}!",
        ] {
            close(measure(text)[0], 0.0);
            close(measure(text)[6], 0.0);
        }
        close(measure("a;b:")[0], 0.5);
    }

    #[test]
    fn code_and_structure_say_nothing() {
        let prose = "The mill stands by the river.\n";
        let code = "```\n{[(      1234567890)]}\n```\n";
        let with = measure(&format!("{prose}{code}"));
        assert_eq!(with, measure(prose));
        close(measure("# A heading\n\n- an item\n1. another\n| a | b |\n\nAn end.")[6], 0.0);
        close(measure("He said: *“So it goes.”*\nNo end")[6], 0.5);
    }

    #[test]
    fn addresses_and_paragraphs() {
        close(measure("See <https://a.org/b?c=d>.")[2], 19.0 / 26.0);
        close(measure("http://a?u=http://b c")[2], 19.0 / 21.0);
        close(measure("terms of use\n\n\n \n\nb\n\n")[7], 0.5);
    }
}
