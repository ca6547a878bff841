//! The parser's words for what is no TOML, turned into what a person would say.

use super::Mistake;
use super::syntax::{Wording, line, uncommented};
use std::ops::Range;

const GENERAL: &str = "a recipe is TOML: `key = value`, `[table]`, `[[list of tables]]`";

/// How a mistake ends where a string lacks its quotes: what the key takes may say more.
pub(super) const NO_VALUE: &str = "is not a value of TOML";

/// A line taken apart.
struct Line<'a> {
    /// Byte of the text that `code` begins at.
    start: usize,
    /// The line without spaces around it and without its comment.
    code: &'a str,
    /// What stands before `=`.
    key: &'a str,
    /// What stands behind it, and where.
    value: &'a str,
    value_start: usize,
}

impl<'a> Line<'a> {
    fn new(text: &'a str, whole: Range<usize>) -> Self {
        let raw = uncommented(&text[whole.clone()]);
        let start = whole.start + raw.len() - raw.trim_start().len();
        let code = raw.trim();
        let (key, value) = code.split_once('=').unwrap_or((code, ""));
        let value_start = start + code.len() - value.trim_start().len();
        Self { start, code, key: key.trim(), value: value.trim(), value_start }
    }

    fn span(&self) -> Range<usize> {
        self.start..self.start + self.code.len()
    }

    fn value_span(&self) -> Range<usize> {
        self.value_start..self.value_start + self.value.len()
    }
}

/// Says what is wrong at `span` of the line `whole`.
pub(super) fn reword(text: &str, whole: Range<usize>, span: &Range<usize>, message: &str) -> Wording {
    let parts = Line::new(text, whole);
    let (mistake, tears) = if let Some(mark) =
        ["//", "--", ";", "/*", "%"].iter().find(|m| parts.code.starts_with(**m))
    {
        let at = parts.start..parts.start + mark.len();
        (Mistake::new(at, format!("`{mark}` begins no comment"), "a comment begins with `#`"), false)
    } else if message.starts_with("duplicate key") {
        (twice(text, span), false)
    } else if message.contains("must be quoted") || message.contains("invalid boolean") {
        (unquoted(&parts, span), false)
    } else if ["mantissa", "fraction", "leading zero", "exponent"].iter().any(|word| message.contains(word)) {
        (number(&parts, span), false)
    } else if message.starts_with("unexpected key or value") {
        (rest(&parts, span), false)
    } else if message.contains("escaped value") {
        let at = span.start.saturating_sub(1)..span.start + 1;
        let help = "write `\\\\` for one, or `/` in a path, or put the string in single quotes, where it stands for itself";
        (Mistake::new(at, "a lone `\\` has no meaning in a string", help), false)
    } else if message.contains("string, expected") {
        open(text, &parts, span)
    } else if message.starts_with("missing comma between array") {
        (
            Mistake::new(
                span.clone(),
                "a comma is missing between two elements of the list",
                "write `,` here",
            ),
            false,
        )
    } else if message.contains("no value") || message.contains("unquoted key") {
        (pair(&parts), true)
    } else {
        (Mistake::new(span.clone(), message.lines().collect::<Vec<_>>().join(" "), GENERAL), true)
    };
    Wording { mistake, tears }
}

fn twice(text: &str, span: &Range<usize>) -> Mistake {
    let parts = Line::new(text, line(text, span.start));
    let numbered = |at: usize| text[..at].matches('\n').count() + 1;
    let lines = text.lines().enumerate().take(numbered(span.start) - 1);
    if parts.code.starts_with('[') {
        let first = lines.filter(|(_, l)| uncommented(l).trim() == parts.code).map(|(n, _)| n + 1).last();
        let place = first.map_or_else(String::new, |n| format!(" (the first is in line {n})"));
        let help = format!("give it another name, or write its keys under the first one{place}");
        return Mistake::new(parts.span(), format!("the table `{}` is there twice", parts.code), help);
    }
    let key = &text[span.clone()];
    let first = lines.filter(|(_, l)| Line::new(l, 0..l.len()).key == key).map(|(n, _)| n + 1).last();
    let place = first.map_or_else(String::new, |n| format!(": it has a value in line {n}"));
    Mistake::new(span.clone(), format!("`{key}` is set twice"), format!("take one of the two out{place}"))
}

fn unquoted(parts: &Line<'_>, span: &Range<usize>) -> Mistake {
    if span.is_empty() && parts.value.is_empty() {
        let message = format!("`{}` has no value", parts.key);
        return Mistake::new(parts.span(), message, "write one behind `=`, or take the line out");
    }
    let from = span.start.saturating_sub(parts.start).min(parts.code.len());
    let word = parts.code.get(from..(from + span.len()).min(parts.code.len())).unwrap_or(parts.value);
    if word.contains('=') || parts.value.contains(" = ") {
        let help = "write each `key = value` on a line of its own";
        return Mistake::new(parts.span(), "two settings are on one line", help);
    }
    let bare = word.trim_matches(['“', '”', '„', '‘', '’', '«', '»', '`']);
    if bare != word {
        let message = format!("{word} is in quotes that TOML does not know");
        return Mistake::new(span.clone(), message, format!("write straight ones: `\"{bare}\"`"));
    }
    let help = match word.to_lowercase().as_str() {
        "true" | "yes" | "on" => "write `true`".to_owned(),
        "false" | "no" | "off" => "write `false`".to_owned(),
        "none" | "null" | "nil" => format!("take `{}` out: a key that is not set has its default", parts.key),
        _ => format!("a string stands in quotes: `\"{word}\"`"),
    };
    Mistake::new(span.clone(), format!("`{word}` {NO_VALUE}"), help)
}

fn number(parts: &Line<'_>, span: &Range<usize>) -> Mistake {
    let value = parts.value;
    let at = if value.is_empty() { span.clone() } else { parts.value_span() };
    let help = match value.parse::<f64>() {
        Ok(number) if value.contains(['.', 'e', 'E']) => format!("write `{} = {number:?}`", parts.key),
        Ok(number) => format!("write `{} = {number}`", parts.key),
        Err(_) => "write digits before and behind the point, as in `0.5`".to_owned(),
    };
    Mistake::new(at, format!("`{value}` is not a number of TOML"), help)
}

fn rest(parts: &Line<'_>, span: &Range<usize>) -> Mistake {
    let (key, value) = (parts.key, parts.value);
    if parts.code.starts_with('[') {
        let help = "put what follows it on the next line";
        return Mistake::new(parts.span(), "the header of a table stands on a line of its own", help);
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match value.trim_start_matches('-').split_once(',') {
        Some((whole, part)) if digits(whole) && digits(part) => {
            let write = if part.len() == 3 && whole != "0" {
                value.replace(',', "")
            } else {
                value.replace(',', ".")
            };
            return Mistake::new(
                parts.value_span(),
                format!("`{value}` is not a number of TOML"),
                format!("a number has a decimal point and no other mark: write `{key} = {write}`"),
            );
        }
        Some(_) if value.starts_with(['"', '\'']) => {
            let help = format!("a list stands in brackets: write `{key} = [{value}]`");
            return Mistake::new(parts.value_span(), format!("`{key}` has more than one value"), help);
        }
        _ => {}
    }
    let help = "one `key = value` a line; a string stands in quotes, a comment begins with `#`";
    let end = (parts.start + parts.code.len()).max(span.start);
    Mistake::new(span.start..end, "there is more on the line than a value", help)
}

/// A string that is not closed: its first quote is the place, since what comes after may be meant as anything.
fn open(text: &str, parts: &Line<'_>, span: &Range<usize>) -> (Mistake, bool) {
    for quotes in ["\"\"\"", "'''"] {
        let found = text[..span.start].rfind(quotes);
        if let Some(start) =
            found.filter(|&at| text[..at].matches(quotes).count() % 2 == 0 && span.start == text.len())
        {
            let help = format!("put `{quotes}` where it ends");
            return (Mistake::new(start..text.len(), "the string in three quotes is not closed", help), true);
        }
    }
    let quote = if parts.value.contains('"') { '"' } else { '\'' };
    let at =
        text[parts.start..span.start.max(parts.start)].rfind(quote).map_or(span.start, |at| parts.start + at);
    let end = (parts.start + parts.code.len()).max(at);
    (Mistake::new(at..end, "the string is not closed", format!("put `{quote}` at its end")), false)
}

fn pair(parts: &Line<'_>) -> Mistake {
    let code = parts.code;
    if let Some((key, value)) = code.split_once(':').filter(|(key, _)| !key.contains(['=', '"', ' '])) {
        let at = parts.start + key.len();
        let help = format!("write `{key} = {}`", value.trim());
        return Mistake::new(at..at + 1, "a key is set with `=`, not with `:`", help);
    }
    if code.starts_with('=') {
        return Mistake::new(parts.start..parts.start + 1, "a value without a key", "write `key = value`");
    }
    if code.contains('=') {
        let key = parts.key;
        let help =
            format!("write `{} = {}`, or the key in quotes", key.replace([' ', '.'], "_"), parts.value);
        let message = format!("`{key}` is not a key: letters, digits, `_` and `-` make one");
        return Mistake::new(parts.start..parts.start + key.len(), message, help);
    }
    match code.split_once([' ', '\t']) {
        Some((key, value)) => {
            let at = parts.start + key.len();
            let help = format!("write `{key} = {}`", value.trim());
            Mistake::new(at..at + 1, format!("`=` is missing between `{key}` and its value"), help)
        }
        None => {
            let help = format!("write `{code} = …`, or `[{code}]` for a table");
            Mistake::new(parts.span(), format!("`{code}` has no value"), help)
        }
    }
}
