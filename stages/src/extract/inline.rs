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
        // Whether the run of underscores that is being read means something.
        let mut run = false;
        while let Some((at, c)) = chars.next() {
            let after = chars.peek().map_or(' ', |(_, next)| *next);
            let rest = &word[at + c.len_utf8()..];
            if c == '_' && (before != '_' || at == 0) {
                run = is_emphasis(before, rest);
            }
            if if c == '_' { run } else { is_read(c, before, after, rest) } {
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
        '[' => nearby(rest).contains("]("),
        '<' => after.is_ascii_alphabetic() || matches!(after, '/' | '!' | '?'),
        '&' => nearby(rest)
            .find(';')
            .is_some_and(|n| n > 0 && rest[..n].chars().all(|c| c.is_ascii_alphanumeric() || c == '#')),
        '~' => after == '~' || before == '~',
        _ => false,
    }
}

/// Whether a run of underscores can begin or end emphasis; inside a word underscores are letters (CommonMark 0.31, 6.2).
fn is_emphasis(before: char, rest: &str) -> bool {
    let after = rest.chars().find(|c| *c != '_').unwrap_or(' ');
    let joins = before.is_alphanumeric() && after.is_alphanumeric();
    let stands_alone = before.is_whitespace() && after.is_whitespace();
    !joins && !stands_alone
}

/// As much of the rest of a word as a link or a character reference may take.
fn nearby(rest: &str) -> &str {
    &rest[..rest.floor_char_boundary(NEARBY_BYTES_MAX)]
}

/// Whether a line is three or more underscores, which would be a rule.
fn is_rule(line: &str) -> bool {
    line.chars().all(|c| c == '_' || c.is_whitespace()) && line.matches('_').count() >= 3
}

/// Escapes the signs at the end of a heading that would close it (CommonMark 0.31, 4.2).
pub(crate) fn escape_end(line: &str) -> Cow<'_, str> {
    let before = line.trim_end_matches('#');
    if before.len() == line.len() || !(before.is_empty() || before.ends_with([' ', '\t'])) {
        return Cow::Borrowed(line);
    }
    Cow::Owned(format!("{before}\\{}", &line[before.len()..]))
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
        '-' | '+' | '*' if behind(1) => Some(0),
        '>' | '|' => Some(0),
        '_' if is_rule(line) => Some(0),
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

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;
    use expect_test::expect;

    #[test]
    fn marks_hug_their_words() {
        check("<p>a<b>b</b>c <b>d </b>e<i> f</i> <b><i>g</i></b>", &expect!["a**b**c **d** e *f* ***g***"]);
        check("<b>a</b><b>b</b>", &expect!["**ab**"]);
        check(
            "<p><b>a<p>b</b>c",
            &expect![[r#"
            **a**

            **b**c"#]],
        );
        check("<p>a<b></b><i> </i>b", &expect!["a b"]);
        check(
            "<p><b>a<br>b</b>",
            &expect![[r#"
            **a
            b**"#]],
        );
        check("<p><b><b>a</b></b>", &expect!["**a**"]);
        check("<p><del>a</del> <ins>b</ins> <s>c</s> <mark>d</mark>", &expect!["~~a~~ b ~~c~~ d"]);
    }

    #[test]
    fn white_space_is_one_space() {
        check("<p> a\n\t b <!-- c --> d ", &expect!["a b d"]);
        check("<p>a<wbr>b c<span> </span>d", &expect!["ab c d"]);
        check("<p>a&nbsp; b", &expect!["a  b"]);
        check(
            "<p>\u{65e5}\u{672c}<br>\u{8a9e}<b>\u{592a}</b>",
            &expect![[r#"
            日本
            語**太**"#]],
        );
    }

    #[test]
    fn literals_of_markdown_are_escaped() {
        check("<p>*a* **b** 2 * 3 a*b", &expect![[r#"\*a\* \*\*b\*\* 2 * 3 a\*b"#]]);
        check(
            "<p>_c_ __d__ a_b_c snake_case __init__ a_ _ b",
            &expect![[r#"\_c\_ \_\_d\_\_ a_b_c snake_case \_\_init\_\_ a\_ _ b"#]],
        );
        check("<p>`a` a`b", &expect![[r#"\`a\` a\`b"#]]);
        check("<p>[a](b) [c] ![d](e)", &expect![[r#"\[a](b) [c] !\[d](e)"#]]);
        check(r"<p>\* \a C:\dir \\ \", &expect![[r#"\\\* \a C:\dir \\\ \"#]]);
        check("<p>&amp;lt; &amp;amp; AT&amp;T &amp;copy", &expect![[r#"\&lt; \&amp; AT&T &copy"#]]);
        check("<p>~~a~~ a~b ~5", &expect![[r#"\~\~a\~\~ a~b ~5"#]]);
        check("<p>&lt;b&gt; a &lt; b 1&lt;2 &lt;/b", &expect![[r#"\<b> a < b 1<2 \</b"#]]);
    }

    #[test]
    fn starts_of_lines_are_escaped() {
        for (line, expected) in [
            ("# a", "\\# a"),
            ("#a", "#a"),
            ("####### a", "####### a"),
            ("#", "\\#"),
            ("- a", "\\- a"),
            ("* a", "\\* a"),
            ("+ a", "\\+ a"),
            ("-a", "-a"),
            ("-", "\\-"),
            ("---", "\\---"),
            ("===", "\\==="),
            ("___", "\\___"),
            ("_ _ _", "\\_ _ _"),
            ("_a", "_a"),
            ("__", "__"),
            ("> a", "\\> a"),
            ("| a", "\\| a"),
            ("~~~", "\\~~~"),
            ("1. a", "1\\. a"),
            ("1) a", "1\\) a"),
            ("1.5", "1.5"),
            ("2024.", "2024\\."),
            ("1234567890. a", "1234567890. a"),
            (": a", "\\: a"),
            ("", ""),
            ("\u{e4}", "\u{e4}"),
        ] {
            assert_eq!(escape_start(line), expected, "{line}");
        }
    }

    #[test]
    fn ends_of_headings_are_escaped() {
        for (line, expected) in [("a #", "a \\#"), ("C#", "C#"), ("a ##", "a \\##"), ("#", "\\#"), ("a", "a")]
        {
            assert_eq!(escape_end(line), expected, "{line}");
        }
    }
}
