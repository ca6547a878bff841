//! Makes white space plain: no trailing spaces, at most one blank line in a row, no odd spaces or line ends.
//!
//! CR and CRLF become LF; Unicode space separators become a space; white space at the end of lines and of the text
//! goes. Leading spaces stay, for they carry the structure of lists and code. Lines inside a fence (three or more
//! backticks or tildes, CommonMark 0.31 section 4.5) keep every space and blank line.
//!
//! ```text
//! "a \r\n\n\n\nb\u{a0}c\n"  →  "a\n\nb c"
//! ```

use crate::text::lines::{Fence, Place, is_space_separator};
use schemas::{Build, Config as _, Made, Rewrite, RewriteStage, Spec, config};
use std::borrow::Cow;

config! {
    /// Settings of `clean.whitespace`.
    pub struct Config {
        /// Most blank lines kept in a row.
        blank_lines_max: u64 = 1, in 0..=100;
    }
}

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(RewriteStage(Whitespace(settings.parse()?)))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "clean.whitespace",
    version: 3,
    summary: "Makes line ends, odd spaces and runs of blank lines plain.",
    keys: Config::KEYS,
    reasons: &[],
    build: BUILD,
};

struct Whitespace(Config);

impl Rewrite for Whitespace {
    fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = String::with_capacity(text.len());
        let mut blank = 0;
        let mut fence = Fence::default();
        let unix = unix_line_ends(text);
        for line in unix.split('\n') {
            if fence.take(line) == Place::Inside {
                out.push_str(line);
                out.push('\n');
                blank = 0;
                continue;
            }
            let line = line.trim_end();
            blank = if line.is_empty() { blank + 1 } else { 0 };
            if blank <= self.0.blank_lines_max {
                out.extend(line.chars().map(plain_space));
                out.push('\n');
            }
        }
        out.truncate(out.trim_end().len());
        let start = out.len() - out.trim_start_matches('\n').len();
        out.drain(..start);
        if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
    }
}

fn unix_line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

fn plain_space(c: char) -> char {
    if is_space_separator(c) { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn a_second_pass_changes_nothing(text in "[ab`~ \n\r\t\u{a0}\u{3000}\u{301}]{0,40}", blank_lines_max in 0_u64..3) {
            let stage = Whitespace(Config { blank_lines_max });
            let once = stage.rewrite(&text).into_owned();
            prop_assert_eq!(stage.rewrite(&once), once.as_str());
        }
    }

    fn check(text: &str, expected: &str) {
        let stage = Whitespace(Config::default());
        assert_eq!(stage.rewrite(text), expected, "{text:?}");
        let again = stage.rewrite(expected);
        assert!(matches!(again, Cow::Borrowed(_)), "{expected:?} is rewritten again to {again:?}");
    }

    #[test]
    fn plain_text_is_untouched() {
        check("", "");
        check("a\n\n  - b\n    c", "a\n\n  - b\n    c");
    }

    #[test]
    fn spaces_line_ends_and_blank_lines() {
        check("a \r\n\n\n\nb\u{a0}c\n", "a\n\nb c");
        check("a\rb\t\n", "a\nb");
        check("\n\n  a", "  a");
        check(" \n \n", "");
        check("a\u{3000}", "a");
        check("\u{3000}a", " a");
    }

    #[test]
    fn fenced_lines_keep_every_space() {
        check("```rust\nlet a;  \n\n\n\n\u{a0}b\n```  \nx ", "```rust\nlet a;  \n\n\n\n\u{a0}b\n```\nx");
        check("~~~~\n~~~  \n~~~~\n\n\n\nx", "~~~~\n~~~  \n~~~~\n\nx");
        check("````\n``` \n", "````\n```");
    }

    #[test]
    fn a_fence_behind_an_odd_space_is_a_fence_at_once() {
        check("\u{a0}```\nx\n```\ny  \n\n\n\nz", " ```\nx\n```\ny\n\nz");
        check("\u{a0}\u{a0}\u{a0}\u{a0}```\nx  ", "    ```\nx");
    }

    #[test]
    fn code_in_a_line_opens_no_fence() {
        check("```x``` is code  \n\n\n\ny  ", "```x``` is code\n\ny");
        check("~~~ `a`\nx  \n~~~", "~~~ `a`\nx  \n~~~");
    }
}
