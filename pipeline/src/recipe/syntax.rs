//! What is no TOML: brackets that do not close are closed, so that the rest of the recipe can be judged too, and the words
//! of the parser become a place and a next step.
//!
//! One line has one such mistake. What is left of a broken line is not judged, and a table that may have lost a key is not
//! blamed for lacking it.

use super::Mistake;
use super::wording::{NO_VALUE, reword};
use std::ops::Range;
use toml::de::{DeTable, Error};

/// Most brackets that are added before the text is given up.
const REPAIRS_MAX: usize = 64;

/// What syntax errors did to a recipe; places are those of the repaired text.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// The text with the brackets that it lacks.
    pub(crate) text: String,
    /// Where a byte was added, in order.
    inserted: Vec<usize>,
    /// The mistakes.
    pub(crate) mistakes: Vec<Mistake>,
    /// Lines that are not as they were meant.
    lines: Vec<Range<usize>>,
    /// Places at which a key may have been lost.
    torn: Vec<usize>,
    /// Where tables begin.
    headers: Vec<usize>,
}

/// A mistake of syntax with its reach.
pub(super) struct Wording {
    pub(super) mistake: Mistake,
    /// Whether the key of the line is lost.
    pub(super) tears: bool,
}

impl Damage {
    /// Repairs a text as far as that needs no guess.
    pub(super) fn find(text: &str) -> Self {
        let mut damage = Self { text: text.to_owned(), ..Self::default() };
        damage.headers();
        for _ in 0..REPAIRS_MAX {
            let errors = DeTable::parse_recoverable(&damage.text).1;
            let Some(end) = errors.iter().find_map(|e| unclosed_list(&damage.text, e)) else {
                damage.reword(&errors);
                break;
            };
            let help = "close the list with `]`";
            damage.mistakes.push(Mistake::new(end - 1..end, "the list is not closed", help));
            damage.lines.push(line(&damage.text, end));
            damage.insert(end, ']');
        }
        damage.headers =
            starts(&damage.text).filter(|&at| damage.text[at..].trim_start().starts_with('[')).collect();
        damage
    }

    /// Whether the text is TOML.
    pub(crate) fn is_none(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Whether the table that begins at `start` may have lost a key.
    pub(crate) fn tears(&self, start: usize) -> bool {
        let next = self.headers.iter().copied().find(|&h| h > start).unwrap_or(self.text.len() + 1);
        self.torn.iter().any(|at| (start..next).contains(at))
    }

    /// Joins the mistakes of syntax with those of meaning, in the places of the text as it was written.
    pub(super) fn join(&self, meaning: Vec<Mistake>) -> Vec<Mistake> {
        let clear = |m: &Mistake| !self.lines.iter().any(|l| (l.start..=l.end).contains(&m.span.start));
        let same =
            |m: &Mistake| self.mistakes.iter().any(|s| s.span == m.span && s.message.ends_with(NO_VALUE));
        let meaning: Vec<Mistake> = meaning.into_iter().filter(|m| clear(m) || same(m)).collect();
        // `5s` without quotes: that `delay_ms` is in milliseconds says more than that a string has quotes.
        let syntax = self.mistakes.iter().filter(|s| !meaning.iter().any(|m| m.span == s.span)).cloned();
        let mut all: Vec<Mistake> = syntax.chain(meaning.iter().cloned()).collect();
        for mistake in &mut all {
            let back = |at: usize| at - self.inserted.iter().filter(|&&i| i < at).count();
            mistake.span = back(mistake.span.start)..back(mistake.span.end);
        }
        all
    }

    fn insert(&mut self, at: usize, bracket: char) {
        self.text.insert(at, bracket);
        let moved = |place: &mut usize| *place += usize::from(*place >= at);
        self.inserted.iter_mut().for_each(moved);
        self.inserted.push(at);
        self.inserted.sort_unstable();
        for range in self.lines.iter_mut().chain(self.mistakes.iter_mut().map(|m| &mut m.span)) {
            range.start += usize::from(range.start >= at);
            range.end += usize::from(range.end > at);
        }
    }

    /// Headers whose brackets are not those of their table.
    fn headers(&mut self) {
        let mut at = 0;
        while at < self.text.len() {
            let whole = line(&self.text, at);
            if let Some((span, written, meant)) = header(&self.text, whole.clone()) {
                let quotes = self.text[..span.start].matches("\"\"\"").count()
                    + self.text[..span.start].matches("'''").count();
                if written != meant && quotes.is_multiple_of(2) {
                    let message =
                        if meant.starts_with("[[") && written.starts_with('[') && written.ends_with(']') {
                            "stages are a list of tables".to_owned()
                        } else {
                            format!("the header `{written}` lacks a bracket")
                        };
                    self.mistakes.push(Mistake::new(span.clone(), message, format!("write `{meant}`")));
                    self.lines.push(span.clone());
                    let missing = |part: fn(&str) -> usize| part(&meant).saturating_sub(part(&written));
                    let (front, back) = (missing(leading), missing(trailing));
                    (0..back).for_each(|_| self.insert(span.end, ']'));
                    (0..front).for_each(|_| self.insert(span.start, '['));
                }
            }
            at = line(&self.text, at).end + 1;
        }
    }

    fn reword(&mut self, errors: &[Error]) {
        let mut seen: Vec<Range<usize>> = self.lines.clone();
        let mut errors: Vec<(Range<usize>, &Error)> =
            errors.iter().map(|e| (e.span().unwrap_or(0..0), e)).collect();
        errors.sort_by_key(|(span, _)| (span.start, span.end));
        let mut doubled: Vec<Range<usize>> = Vec::new();
        for (span, error) in errors {
            let whole = line(&self.text, span.start);
            let twice = error.message().starts_with("duplicate key");
            // The keys of a table that is there twice are too.
            if twice && doubled.iter().any(|table| table.contains(&span.start)) {
                continue;
            }
            if twice && self.text[whole.clone()].trim_start().starts_with('[') {
                let next = self.text[whole.end..].find("\n[").map_or(self.text.len(), |n| whole.end + n);
                doubled.push(whole.end..next);
            }
            if seen.iter().any(|l| l.start <= whole.end && whole.start <= l.end) {
                continue;
            }
            let Wording { mistake, tears } = reword(&self.text, whole.clone(), &span, error.message());
            let reach = whole.start.min(mistake.span.start)..whole.end.max(mistake.span.end);
            if tears {
                self.torn.push(reach.start);
            }
            seen.push(reach.clone());
            // What is set twice is set: its first value is judged, and the second is on a line of its own.
            self.lines.push(reach);
            self.mistakes.push(mistake);
        }
    }
}

/// The line that a place is on, without its end.
pub(super) fn line(text: &str, at: usize) -> Range<usize> {
    let at = at.min(text.len());
    let start = text.as_bytes()[..at].iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
    let end = text.as_bytes()[at..].iter().position(|&b| b == b'\n').map_or(text.len(), |n| at + n);
    start..end
}

fn starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).filter(|&at| at < text.len())
}

fn leading(text: &str) -> usize {
    text.len() - text.trim_start_matches('[').len()
}

fn trailing(text: &str) -> usize {
    text.len() - text.trim_end_matches(']').len()
}

/// A line that is a header, as written and as it would have to be written.
fn header(text: &str, whole: Range<usize>) -> Option<(Range<usize>, String, String)> {
    let raw = &text[whole.clone()];
    let code = raw.split('#').next().unwrap_or_default().trim();
    let name = code.trim_start_matches('[').trim_end_matches(']').trim();
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let (front, back) = (leading(code), trailing(code));
    if !named || front + back == 0 {
        return None;
    }
    let single = ["sources.", "tokenizer", "dataset", "train"].iter().any(|part| name.starts_with(part));
    let wide = name == "stages" || (front.max(back) > 1 && (front == back || !single));
    let meant = if wide { format!("[[{name}]]") } else { format!("[{name}]") };
    // Spaces inside the brackets are allowed, and a third bracket cannot be taken out here.
    let written = format!("{}{name}{}", "[".repeat(front), "]".repeat(back));
    let start = whole.start + raw.find(code).expect("the code is a part of the line");
    (front <= 2 && back <= 2).then(|| (start..start + code.len(), written, meant))
}

/// Where the list ends that runs into the next setting or header.
fn unclosed_list(text: &str, error: &Error) -> Option<usize> {
    let message = error.message();
    if !message.contains("array") || message.contains("array table") {
        return None;
    }
    let whole = line(text, error.span()?.start);
    let code = text[whole.clone()].trim_start();
    let key = code.split(['=', ' ']).next().unwrap_or_default();
    let sets = !key.is_empty()
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        && code[key.len()..].trim_start().starts_with('=');
    let last = whole.end == text.len() && message.starts_with("unclosed array");
    if !sets && !code.starts_with('[') && !last {
        return None;
    }
    // Behind `=` the list that is wrong begins on this line.
    if sets && !last && text[whole.start..error.span()?.start].contains(['[', '"', '\'']) {
        return None;
    }
    let before = if last && !sets {
        text
    } else if last {
        &text[..whole.end]
    } else {
        &text[..whole.start]
    };
    let mut end = before.len();
    // Comments and blank lines behind the last element are not part of the list.
    loop {
        let part = line(text, end.saturating_sub(1).min(text.len()));
        let code = uncommented(&text[part.start..part.end.min(end)]).trim_end();
        if !code.trim().is_empty() {
            return Some(part.start + code.len());
        }
        if part.start == 0 {
            return None;
        }
        end = part.start;
    }
}

/// A line without its comment; a `#` in quotes begins none.
pub(super) fn uncommented(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return &line[..at],
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    line
}
