//! The measures of NeMo Curator 1: ASCII, line by line.

use super::{Counts, RULES, SOLID, SPACE, Symbols, bit, common, urls};
use crate::text::lines::is_python_space;

pub(super) fn bits(c: char) -> u8 {
    let solid = c.is_ascii_alphanumeric() || matches!(c, '\n' | '?' | '!' | ',' | '.');
    // U+0008 is in NeMo's list of white space.
    let space = matches!(c, '\t' | '\n' | '\r' | '\u{8}' | ' ');
    bit(solid, SOLID) | bit(space, SPACE) | common(c)
}

/// Of a text that is not empty.
pub(super) fn measure(stage: &Symbols, text: &str) -> [f64; RULES] {
    let mut counts = Counts::default();
    counts.walk(text, &stage.ascii, bits);
    let mut open = [0, 0];
    for line in text.split('\n') {
        let line = line.trim_matches(is_python_space);
        if !line.is_empty() {
            open[0] += usize::from(!line.ends_with(['.', '?', '!', '"', '\'']));
            open[1] += 1;
        }
    }
    // A text of nothing but white space has no line that ends a sentence and no word.
    if open[1] == 0 {
        open = [1, 1];
    }
    let paragraph = |text: &str, at: usize| match memchr::memmem::find(&text.as_bytes()[at..], b"\n\n") {
        Some(next) => [at + next, at + next + 2],
        None => [text.len(), text.len() + 1],
    };
    let boilerplate = stage.boilerplate(text, paragraph);
    counts.measures(url_chars(text), open, boilerplate)
}

/// Characters of `http[s]://` and what may follow: letters, digits, `$-_@.&+!*\(),` and %-escapes, at least one.
fn url_chars(text: &str) -> usize {
    let mut past = 0;
    let mut chars = 0;
    for (head, rest) in urls(text) {
        let at = text.len() - rest.len();
        let bytes = rest.as_bytes();
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            let escape =
                || bytes.get(end + 1..end + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
            match byte {
                b'$' | b'-' | b'_' | b'@' | b'.' | b'&' | b'+' | b'!' | b'*' | b'\\' | b'(' | b')' | b',' => {
                    end += 1
                }
                b'%' if escape() => end += 3,
                byte if byte.is_ascii_alphanumeric() => end += 1,
                _ => break,
            }
        }
        // An address inside another is part of it.
        if end > 0 && at - head >= past {
            chars += head + end;
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
        measure_with(Dialect::Nemo, text)
    }

    /// Counted by hand from the expressions of the peer.
    #[test]
    fn small_texts() {
        // 20 characters: 5 spaces, `(`, `)`, `-` and `é` are symbols; 2 digits, 2 brackets.
        let text = "It (is) 42, a-b é c.";
        let found = measure(text);
        assert_eq!(text.chars().count(), 20);
        close(found[0], 9.0 / 20.0);
        close(found[1], 2.0 / 20.0);
        close(found[2], 0.0);
        close(found[3], 5.0 / 20.0);
        close(found[4], 2.0 / 20.0);
        close(found[5], 4.0);
        close(found[6], 0.0);
        close(found[7], 0.0);
        // Digits of all scripts are digits, and none of them is solid.
        close(measure("٣٣ab")[1], 0.5);
        close(measure("٣٣ab")[0], 0.5);
    }

    #[test]
    fn addresses_end_at_the_first_slash_behind_the_host() {
        close(measure("https://a.org/b?c=d")[2], 13.0 / 19.0);
        close(measure("http://")[2], 0.0);
        close(measure("http://a%20b%2")[2], 12.0 / 14.0);
        close(measure("xhttp://ahttp://b")[2], 12.0 / 17.0);
        close(measure("HTTP://a")[2], 0.0);
    }

    #[test]
    fn lines_and_paragraphs() {
        close(measure("A line\n \nAn end. \n\"So!\"\nNo;")[6], 0.5);
        close(measure(" \n ")[6], 1.0);
        // Three LF leave an LF at the head of the next paragraph, four an empty paragraph.
        close(measure("Terms of Use\n\n\nb")[7], 0.5);
        close(measure("privacy policy\n\n\n\nb")[7], 1.0 / 3.0);
        close(measure("a\n\nWe use cookies.\nMore on the use of cookies.\n\nb\n\nc")[7], 0.25);
        close(measure("a\n\nlorem ipsum\n\nb")[7], 1.0);
    }
}
