//! One line of text with its marks: white space collapsed, marks hugging their words, escapes where needed.
//!
//! Marks are opened late and closed early: a mark is written when the first word after it comes, and white space is
//! written when the next word comes, so `<b> a </b>b` is ` **a** b` and `<b></b>` is nothing.

use std::borrow::Cow;

/// How far the end of a link or of a character reference is looked for.
const NEARBY_BYTES_MAX: usize = 100;

/// An open inline mark.
#[derive(Debug)]
struct Mark {
    open: &'static str,
    close: Cow<'static, str>,
    /// Index of the first node behind the element.
    end: usize,
    written: bool,
}

/// A line in the making.
#[derive(Debug, Default)]
pub(crate) struct Line {
    text: String,
    marks: Vec<Mark>,
    space: bool,
    /// Whether characters that Markdown would read are escaped, and marks are written.
    markdown: bool,
}

impl Line {
    pub(crate) fn new(markdown: bool) -> Self {
        Self { markdown, ..Self::default() }
    }

    /// Opens a mark that lasts until node `end`.
    pub(crate) fn open(&mut self, open: &'static str, close: Cow<'static, str>, end: usize) {
        if self.markdown && !self.marks.iter().any(|m| m.open == open) {
            self.marks.push(Mark { open, close, end, written: false });
        }
    }

    /// Closes the marks whose elements end at or before node `at`.
    pub(crate) fn close_until(&mut self, at: usize) {
        while self.marks.last().is_some_and(|m| m.end <= at) {
            let mark = self.marks.pop().expect("the loop saw a mark");
            if mark.written {
                self.text.push_str(&mark.close);
            }
        }
    }

    /// Adds text as HTML reads it: a run of white space is one space.
    pub(crate) fn text(&mut self, text: &str) {
        let mut words = text.split(is_html_space).peekable();
        if text.starts_with(is_html_space) {
            self.space = true;
        }
        while let Some(word) = words.next() {
            if !word.is_empty() {
                self.before_word();
                if self.markdown { self.escaped(word) } else { self.text.push_str(word) }
            }
            if words.peek().is_some() {
                self.space = true;
            }
        }
    }

    /// Adds text that must stay as it is.
    pub(crate) fn raw(&mut self, text: &str) {
        if !text.is_empty() {
            self.before_word();
            self.text.push_str(text);
        }
    }

    /// Ends the line in the paragraph.
    pub(crate) fn line_break(&mut self) {
        self.space = false;
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// Whether the last thing was a line break.
    pub(crate) fn is_broken(&self) -> bool {
        self.text.ends_with('\n')
    }

    /// A word boundary, as between two cells or blocks on one line.
    pub(crate) const fn space(&mut self) {
        self.space = true;
    }

    /// The last character.
    pub(crate) fn last(&self) -> Option<char> {
        if self.space { None } else { self.text.chars().next_back() }
    }

    /// Takes the line; open marks are closed here and opened again in the next.
    pub(crate) fn take(&mut self) -> String {
        for mark in self.marks.iter_mut().rev().filter(|m| m.written) {
            self.text.push_str(&mark.close);
            mark.written = false;
        }
        self.space = false;
        std::mem::take(&mut self.text)
    }

    fn before_word(&mut self) {
        if self.space && !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push(' ');
        }
        self.space = false;
        for mark in self.marks.iter_mut().filter(|m| !m.written) {
            // `<b>a</b><b>b</b>` is one bold word.
            if mark.open == mark.close && mark.open.len() > 1 && self.text.ends_with(mark.open) {
                self.text.truncate(self.text.len() - mark.open.len());
            } else {
                self.text.push_str(mark.open);
            }
            mark.written = true;
        }
    }

    fn escaped(&mut self, word: &str) {
        if !word.bytes().any(|b| matches!(b, b'\\' | b'`' | b'*' | b'_' | b'[' | b'<' | b'&' | b'~')) {
            self.text.push_str(word);
            return;
        }
        let mut before = self.text.chars().next_back().unwrap_or(' ');
        let mut chars = word.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let after = chars.peek().map_or(' ', |(_, next)| *next);
            if is_read(c, before, after, &word[at + c.len_utf8()..]) {
                self.text.push('\\');
            }
            self.text.push(c);
            before = c;
        }
    }
}

const fn is_html_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

/// Whether CommonMark would read the character as more than itself.
fn is_read(c: char, before: char, after: char, rest: &str) -> bool {
    match c {
        '\\' => after.is_ascii_punctuation(),
        '`' => true,
        '*' => !after.is_whitespace() || !before.is_whitespace(),
        '_' => {
            // Inside a word an underscore is a letter (CommonMark 0.31, 6.2).
            let joins = before.is_alphanumeric() && (after.is_alphanumeric() || after == '_');
            !joins && before != '_' && !(before.is_whitespace() && after.is_whitespace())
        }
        '[' => nearby(rest).contains("]("),
        '<' => after.is_ascii_alphabetic() || matches!(after, '/' | '!' | '?'),
        '&' => nearby(rest)
            .find(';')
            .is_some_and(|n| n > 0 && rest[..n].chars().all(|c| c.is_ascii_alphanumeric() || c == '#')),
        '~' => after == '~' || before == '~',
        _ => false,
    }
}

/// As much of the rest of a word as a link or a character reference may take.
fn nearby(rest: &str) -> &str {
    &rest[..rest.floor_char_boundary(NEARBY_BYTES_MAX)]
}

/// Escapes what Markdown would read at the start of a line.
pub(crate) fn escape_start(line: &str) -> Cow<'_, str> {
    let first = line.chars().next().unwrap_or(' ');
    let behind = |n: usize| line[n..].chars().next().is_none_or(|c| c == ' ');
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let at = match first {
        '#' => {
            let level = line.len() - line.trim_start_matches('#').len();
            (level <= 6 && behind(level)).then_some(0)
        }
        '-' | '+' if behind(1) => Some(0),
        '>' | '|' => Some(0),
        '-' | '=' if line.trim_end_matches(first).is_empty() => Some(0),
        ':' if behind(1) => Some(0),
        '~' if line.starts_with("~~~") => Some(0),
        _ if (1..=9).contains(&digits) && line[digits..].starts_with(['.', ')']) && behind(digits + 1) => {
            Some(digits)
        }
        _ => None,
    };
    match at {
        Some(at) => Cow::Owned(format!("{}\\{}", &line[..at], &line[at..])),
        None => Cow::Borrowed(line),
    }
}
