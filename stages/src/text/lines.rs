//! Lines and fences: where Python and CommonMark see them.
//!
//! The filters of the field are written in Python, whose `splitlines`, `split` and `strip` know more breaks and spaces
//! than Rust's. Verdicts can only agree when both cut at the same places.

/// Unicode White_Space and U+001C..U+001F, as Python's `str.isspace` has it.
pub fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// A line break of Python's `splitlines`: LF VT FF CR FS GS RS NEL LS PS.
pub fn is_line_break(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The lines of Python's `splitlines`: CRLF is one break, and a break at the end adds no empty line.
pub fn python_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((at, mark)) = line_break(rest) else {
            return Some(std::mem::take(&mut rest));
        };
        let line = &rest[..at];
        let after = at + mark.len_utf8();
        let lf = usize::from(mark == '\r' && rest.as_bytes().get(after) == Some(&b'\n'));
        rest = &rest[after + lf..];
        Some(line)
    })
}

/// The first line break, and where it is.
fn line_break(text: &str) -> Option<(usize, char)> {
    let mut from = 0;
    loop {
        let at = from + text.as_bytes()[from..].iter().position(|byte| BREAK_BYTES[usize::from(*byte)])?;
        // The lead bytes of NEL, LS and PS begin other characters too.
        let mark = text[at..].chars().next().filter(|c| is_line_break(*c));
        if let Some(mark) = mark {
            return Some((at, mark));
        }
        from = at + 1;
    }
}

/// Bytes that a line break may begin with.
const BREAK_BYTES: [bool; 256] = {
    let mut breaks = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        breaks[byte] = matches!(byte, 0x0a..=0x0d | 0x1c..=0x1e | 0xc2 | 0xe2);
        byte += 1;
    }
    breaks
};

/// A stretch of whole lines that is prose, or a fenced block of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch<'a> {
    /// Lines outside a fence.
    Prose(&'a str),
    /// From the opening fence to the closing one, both included, or to the end of the text.
    Code(&'a str),
}

/// Cuts a Markdown text at its fences: three or more backticks or tildes after at most three spaces, closed by a run
/// at least as long that stands alone (CommonMark 0.31, section 4.5). The stretches joined are the text.
pub fn stretches(text: &str) -> Vec<Stretch<'_>> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut fence = Fence::default();
    if !text.contains("```") && !text.contains("~~~") {
        return if text.is_empty() { found } else { vec![Stretch::Prose(text)] };
    }
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        match fence.take(line) {
            Place::Opening => {
                if start < at {
                    found.push(Stretch::Prose(&text[start..at]));
                }
                start = at;
            }
            Place::Closing => {
                found.push(Stretch::Code(&text[start..end]));
                start = end;
            }
            Place::Outside | Place::Inside => {}
        }
        at = end;
    }
    if start < at {
        let last = &text[start..];
        found.push(if fence.is_open() { Stretch::Code(last) } else { Stretch::Prose(last) });
    }
    found
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Outside of every fence.
    Outside,
    /// It opens a fence.
    Opening,
    /// Between the two lines of a fence.
    Inside,
    /// It closes the fence.
    Closing,
}

/// Follows the fences of a Markdown text from line to line, by the rules of [`stretches`].
#[derive(Debug, Default, Clone, Copy)]
pub struct Fence<'a>(Option<&'a str>);

impl<'a> Fence<'a> {
    /// Takes the next line, with or without its end.
    pub fn take(&mut self, line: &'a str) -> Place {
        match self.0 {
            Some(open) if line.trim().starts_with(open) && fence_mark(line) == Some(line.trim()) => {
                self.0 = None;
                Place::Closing
            }
            Some(_) => Place::Inside,
            None => {
                self.0 = fence_mark(line);
                if self.is_open() { Place::Opening } else { Place::Outside }
            }
        }
    }

    /// Whether a fence is open behind the lines taken.
    pub const fn is_open(&self) -> bool {
        self.0.is_some()
    }
}

/// Space separators (general category Zs), the space among them.
pub fn is_space_separator(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// The run of three or more backticks or tildes that starts the line, after at most three spaces.
///
/// Odd spaces count as plain ones: a stage that makes them plain must see the same fences before and after.
fn fence_mark(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(is_space_separator);
    let mark = rest.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let run = rest.len() - rest.trim_start_matches(mark).len();
    let indent = line[..line.len() - rest.len()].chars().count();
    // Inline code of backticks on one line is no fence: its info string may not hold a backtick.
    let inline = mark == '`' && rest[run..].contains('`');
    (indent <= 3 && run >= 3 && !inline).then(|| &rest[..run])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_those_of_python() {
        let check = |text, expected: &[&str]| {
            assert_eq!(python_lines(text).collect::<Vec<_>>(), expected, "{text:?}")
        };
        check("", &[]);
        check("a", &["a"]);
        check("a\n", &["a"]);
        check("\n", &[""]);
        check("a\r\n\rb", &["a", "", "b"]);
        check("a\u{b}b\u{c}c\u{1c}d\u{85}e\u{2028}f\u{2029}", &["a", "b", "c", "d", "e", "f"]);
        check("a\u{1f}b", &["a\u{1f}b"]);
    }

    #[test]
    fn fences_open_and_close_as_in_commonmark() {
        let check = |text, expected: &[Stretch<'_>]| assert_eq!(stretches(text), expected, "{text:?}");
        check("", &[]);
        check("a\nb", &[Stretch::Prose("a\nb")]);
        check(
            "a\n```rs\nx\n```\nb",
            &[Stretch::Prose("a\n"), Stretch::Code("```rs\nx\n```\n"), Stretch::Prose("b")],
        );
        check("~~~~\n~~~\n~~~~", &[Stretch::Code("~~~~\n~~~\n~~~~")]);
        check("```\nopen", &[Stretch::Code("```\nopen")]);
        check("```x``` is inline\ny", &[Stretch::Prose("```x``` is inline\ny")]);
        check("    ```\ny", &[Stretch::Prose("    ```\ny")]);
        check("\u{a0}```\ny", &[Stretch::Code("\u{a0}```\ny")]);
        check("\u{3000}   ```\ny", &[Stretch::Prose("\u{3000}   ```\ny")]);
        check(
            "```\n    ```\n``` x\n```` \ny",
            &[Stretch::Code("```\n    ```\n``` x\n```` \n"), Stretch::Prose("y")],
        );
        check("~~~ a`b`\nx\r\n~~~\r\ny", &[Stretch::Code("~~~ a`b`\nx\r\n~~~\r\n"), Stretch::Prose("y")]);
        check("``\nx", &[Stretch::Prose("``\nx")]);
        check("a ```\nx", &[Stretch::Prose("a ```\nx")]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn stretches_joined_are_the_text(text in "[ab`~ \n]{0,60}") {
            let joined: String =
                stretches(&text).iter().map(|s| match s { Stretch::Prose(t) | Stretch::Code(t) => *t }).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
