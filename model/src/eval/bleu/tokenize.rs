//! How sacreBLEU 2.6.0 cuts a line into words. Each rule is a substitution that goes through the line once, from the left, and never
//! looks at what it wrote.

use crate::eval::words;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// How lines are cut into words before n-grams are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokenize {
    /// mteval-v13a, the default of WMT: punctuation of ASCII, but not inside numbers.
    Mteval13a,
    /// mteval-v14: punctuation and symbols of all scripts, punctuation not inside numbers.
    International,
    /// Every character.
    Char,
    /// Spaces alone.
    None,
}

impl Tokenize {
    /// The name by which it is chosen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mteval13a => "13a",
            Self::International => "intl",
            Self::Char => "char",
            Self::None => "none",
        }
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Mteval13a, Self::International, Self::Char, Self::None]
            .into_iter()
            .find(|one| one.name() == name)
    }

    /// The line with spaces between its words.
    pub(super) fn apply(self, line: &str) -> String {
        match self {
            Self::Mteval13a => mteval13a(line),
            Self::International => international(line),
            Self::Char => line.chars().flat_map(|c| [c, ' ']).collect(),
            Self::None => line.to_owned(),
        }
    }
}

/// Puts spaces around characters.
fn around(text: &str, which: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if which(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Rewrites pairs of neighbours; a character belongs to one pair only.
fn pairs(text: &str, which: impl Fn(char, char) -> bool, write: impl Fn(char, char) -> [char; 4]) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        match chars.peek() {
            Some(&second) if which(first, second) => {
                // NUL stands for nothing: a rule writes three or four characters.
                out.extend(write(first, second).into_iter().filter(|&c| c != '\0'));
                chars.next();
            }
            _ => out.push(first),
        }
    }
    out
}

fn mteval13a(line: &str) -> String {
    let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    if line.contains('&') {
        for (entity, c) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
            line = line.replace(entity, c);
        }
    }
    let separate = |c: char| matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/');
    let line = around(&format!(" {line} "), separate);
    let mark = |c: char| matches!(c, '.' | ',');
    let line = pairs(&line, |a, b| !a.is_ascii_digit() && mark(b), |a, b| [a, ' ', b, ' ']);
    let line = pairs(&line, |a, b| mark(a) && !b.is_ascii_digit(), |a, b| [' ', a, ' ', b]);
    pairs(&line, |a, b| a.is_ascii_digit() && b == '-', |a, b| [a, ' ', b, ' '])
}

fn international(line: &str) -> String {
    let is = |c: char, group: GeneralCategoryGroup| c.general_category_group() == group;
    let (number, mark) = (GeneralCategoryGroup::Number, GeneralCategoryGroup::Punctuation);
    let line = pairs(line, |a, b| !is(a, number) && is(b, mark), |a, b| [a, ' ', b, ' ']);
    let line = pairs(&line, |a, b| is(a, mark) && !is(b, number), |a, b| [' ', a, ' ', b]);
    around(&line, |c| is(c, GeneralCategoryGroup::Symbol))
}

/// The words of a line as n-grams are made of them: without spaces at its end, in lower case where asked.
pub(super) fn words(line: &str, tokenize: Tokenize, lowercase: bool) -> Vec<String> {
    let lower = if lowercase { line.to_lowercase() } else { line.to_owned() };
    words::split(&tokenize.apply(words::strip_end(&lower))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tokenize: Tokenize, line: &str, expected: &str) {
        assert_eq!(words(line, tokenize, false).join(" "), expected, "{line:?}");
    }

    #[test]
    fn lines_are_cut_as_sacrebleu_cuts_them() {
        use Tokenize::{Char, International, Mteval13a, None};
        check(Mteval13a, "Hello, world.", "Hello , world .");
        check(Mteval13a, "1,000.5 a.b 3-4 x-y", "1,000.5 a . b 3 - 4 x-y");
        check(Mteval13a, "it's (so) &quot;&amp;lt;", "it's ( so ) \" <");
        check(Mteval13a, "a<skipped>b c-\nd", "ab cd");
        check(Mteval13a, "a..., 5. .5", "a . . . , 5 . . 5");
        check(International, "1,5 €5 »a« b。", "1,5 € 5 » a « b 。");
        check(International, "In 1999.", "In 1999.");
        check(Char, "a b\u{301}", "a b \u{301}");
        check(None, " a,b  c ", "a,b c");
        assert_eq!(words("ΑΣ", None, true), ["ας"]);
    }
}
