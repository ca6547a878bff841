//! Takes out the lines that pages leave between their text: shouting, numbers, counters, single words, links to read on.
//!
//! The line edits of RefinedWeb (arXiv 2306.01116, appendix G.2) as DCLM carries them out. What a line is taken out for:
//!
//! | signal | line |
//! |---|---|
//! | `upper_lines` | more than `upper_max` of its characters are capitals |
//! | `numeric_lines` | more than `numeric_max` of its characters are digits |
//! | `counter_lines` | is a counter: "3 likes", "1.2K views" |
//! | `short_lines` | has fewer than `words_min` words |
//! | `phrases` | of at most `phrase_words_max` words: "items in cart", "Read more..." at the end and "Sign-in" at the start are cut out, and what is blank then goes |
//!
//! A document that loses more than `removed_max` of its words goes as `too_much_removed`: what is left of it would be rubble. The last
//! signal, `removed_words`, is that share.
//!
//! | `dialect` | |
//! |---|---|
//! | `gristmill` | Fenced code is left alone, and so is what Markdown gives a meaning: a heading, list item, table row, quote or indented line may be short, in capitals or a number; a single word under a long line that ends no sentence is the end of a wrapped paragraph. Counters may be singular and count replies, reactions and the like. The dots of "Read more..." may be `…`. Words are those of `uax29`. Everything else keeps its white space. |
//! | `dclm` | Edit by edit as in DCLM: no line is special, the "..." of "Read more..." is any three characters, the text is trimmed, a text of which nothing is left goes as `empty`, and words are runs between ASCII white space that start with a letter or digit. |
//!
//! The column `line_edits` says what stood where, so every text can be had back: `[[at, bytes, "was"], …]`, where `at` and `bytes`
//! count bytes of the text as it is now; null where nothing was changed.
//!
//! ```text
//! "The mill stands by the river.\n3 likes\nRead more..."  → drop too_much_removed (0.4, limit 0.05)
//! removed_max = 0.5 keeps "The mill stands by the river."
//! ```

mod dclm;
mod ours;

use super::edits::Edited;
use crate::text::chars::is_letter_or_number;
use crate::text::words::is_decimal;
use arrow::array::{Array, ArrayRef, Float64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, SchemaRef};
use schemas::{
    Build, Config as _, Made, Outcome, Reason, Spec, Stage, StageError, Verdict, choice, column, config,
};
use std::ops::Range;
use std::sync::Arc;

choice! {
    /// Whose rules hold.
    pub enum Dialect {
        /// The house's own: Markdown is left alone.
        Ours = "gristmill",
        /// Those of DCLM.
        Dclm = "dclm",
    }
}

config! {
    /// Settings of `clean.lines`.
    pub struct Config {
        /// Whose rules hold: `gristmill` or `dclm`.
        dialect: Dialect = Dialect::Ours;
        /// Greatest share of capitals in a line; 1 switches the rule off.
        upper_max: f64 = 0.5, in 0.0..=1.0;
        /// Greatest share of digits in a line; 1 switches the rule off.
        numeric_max: f64 = 0.999_999, in 0.0..=1.0;
        /// Whether counters go.
        counters: bool = true;
        /// Fewest words of a line.
        words_min: u64 = 2, in 0..=1000;
        /// Whether phrases of shops and blogs are cut out.
        phrases: bool = true;
        /// Most words of a line that phrases are cut out of.
        phrase_words_max: u64 = 10, in 0..=1000;
        /// Greatest share of the words of a document that may go; 1 keeps every document.
        removed_max: f64 = 0.05, in 0.0..=1.0;
    }
}

/// Why `clean.lines` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Nothing is left.
    Empty,
    /// More than `removed_max` of the words went.
    TooMuchRemoved,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooMuchRemoved => "too_much_removed",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Empty.name(), doc: "dclm: nothing is left, or there was no word." },
    Reason {
        name: Drop::TooMuchRemoved.name(),
        doc: "More than `removed_max` of the words were in what was taken out.",
    },
];

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(Lines(settings.parse()?))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "clean.lines",
    version: 1,
    summary: "Takes out the lines that pages leave between their text: shouting, numbers, counters, single words, links to read on.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// The column of what was taken out.
const EDITS: &str = "line_edits";
/// Lines taken out by each rule, and the share of words that went with them.
const SIGNALS: [&str; RULES + 1] =
    ["upper_lines", "numeric_lines", "counter_lines", "short_lines", "phrases", "removed_words"];
const RULES: usize = 5;

/// Why a line goes, by the place of its signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Upper,
    Numeric,
    Counter,
    Short,
    Phrase,
}

/// What is left of a text.
#[derive(Debug, Default, PartialEq)]
struct Left {
    /// Bytes of the text that stay, in order.
    kept: Vec<Range<usize>>,
    /// Lines touched, by rule.
    counts: [usize; RULES],
}

/// A counter as sites write it: marks, a number with an optional K, M or B, what is counted, marks.
fn is_counter(line: &str, counted: &[&str]) -> bool {
    let rest = line.trim_start_matches(|c| !is_word(c));
    if !rest.starts_with(is_decimal) {
        return false;
    }
    let lower = rest.to_lowercase();
    let rest = lower.trim_start_matches(|c| is_decimal(c) || matches!(c, ',' | '.'));
    let rest = rest.strip_prefix(['k', 'm', 'b']).unwrap_or(rest);
    let word = rest.trim_start_matches(crate::text::lines::is_python_space);
    if word.len() == rest.len() {
        return false;
    }
    let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
    counted.contains(&&word[..end]) && !word[end..].contains(is_word)
}

/// `\w` of Python.
fn is_word(c: char) -> bool {
    c == '_' || is_letter_or_number(c)
}

/// Above `max` of the characters of the line are what is asked for.
fn share_above(line: &str, max: f64, is: impl Fn(char) -> bool) -> bool {
    let (mut all, mut found) = (0_u32, 0_u32);
    for c in line.chars() {
        all += 1;
        found += u32::from(is(c));
    }
    found > 0 && f64::from(found) / f64::from(all) > max
}

struct Lines(Config);

/// What becomes of one document.
struct Judged {
    verdict: Verdict,
    signals: [f64; RULES + 1],
    edited: Option<(String, Vec<super::edits::Edit>)>,
}

impl Lines {
    fn judge(&self, text: &str) -> Judged {
        let config = &self.0;
        let (left, count): (Left, fn(&str) -> usize) = match config.dialect {
            Dialect::Ours => (ours::edit(text, config), ours::words),
            Dialect::Dclm => (dclm::edit(text, config), dclm::words),
        };
        let mut edited = Edited::new(text);
        let mut at = 0;
        for kept in left.kept.into_iter().chain(std::iter::once(text.len()..text.len())) {
            if at < kept.start {
                edited.replace(at..kept.start, &[]);
            }
            at = kept.end;
        }
        let edited = edited.finish();
        let mut signals = [0.0; RULES + 1];
        signals.iter_mut().zip(left.counts).for_each(|(signal, count)| *signal = count as f64);
        let strict = config.dialect == Dialect::Dclm;
        let dropped =
            |drop: Drop, value, limit| Verdict::Dropped { reason: drop.name(), value, limit, twin: None };
        let mut verdict = if edited.is_some() { Verdict::Edited } else { Verdict::Kept };
        if strict || edited.is_some() {
            let now = edited.as_ref().map_or(text, |(now, _)| now);
            let (before, after) = (count(text), count(now));
            let removed = if before == 0 { 0.0 } else { (before as f64 - after as f64) / before as f64 };
            signals[RULES] = removed;
            if strict && (now.is_empty() || before == 0) {
                verdict = dropped(Drop::Empty, 0.0, 1.0);
            } else if removed > config.removed_max {
                verdict = dropped(Drop::TooMuchRemoved, removed, config.removed_max);
            }
        }
        Judged { verdict, signals, edited }
    }
}

impl Stage for Lines {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        Ok(column::with(input, [Field::new(EDITS, DataType::Utf8, true)]))
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let mut verdicts = Vec::with_capacity(texts.len());
        let mut now = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        let mut edits = StringBuilder::new();
        let mut signals = SIGNALS.map(|_| Float64Builder::with_capacity(texts.len()));
        for text in texts {
            let text = text.unwrap_or_default();
            let judged = self.judge(text);
            verdicts.push(judged.verdict);
            signals.iter_mut().zip(judged.signals).for_each(|(signal, value)| signal.append_value(value));
            match judged.edited {
                Some((text, spans)) => {
                    now.append_value(text);
                    edits.append_value(
                        serde_json::to_string(&spans).expect("numbers and text have a JSON form"),
                    );
                }
                None => {
                    now.append_value(text);
                    edits.append_null();
                }
            }
        }
        let columns = vec![
            (column::TEXT.to_owned(), Arc::new(now.finish()) as ArrayRef),
            (EDITS.to_owned(), Arc::new(edits.finish()) as ArrayRef),
        ];
        let signals =
            SIGNALS.into_iter().zip(signals).map(|(name, mut s)| (name, Arc::new(s.finish()) as ArrayRef));
        Ok(Outcome { verdicts, columns, signals: signals.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::edits::restore;
    use arrow::array::StringArray;

    /// The text that is left; whether the document stays is asked elsewhere.
    pub(super) fn check(config: &Config, text: &str, expected: &str) {
        let stage = Lines(Config { removed_max: 1.0, ..config.clone() });
        let judged = stage.judge(text);
        let now = judged.edited.as_ref().map_or(text, |(now, _)| now);
        assert_eq!(now, expected, "{text:?}: {:?}", judged.signals);
        let edits = judged.edited.as_ref().map_or(&[][..], |(_, edits)| edits);
        assert_eq!(restore(now, edits).as_deref(), Some(text), "{edits:?}");
    }

    pub(super) fn reason(config: &Config, text: &str) -> Option<&'static str> {
        match Lines(config.clone()).judge(text).verdict {
            Verdict::Dropped { reason, .. } => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn counters() {
        let check = |line, expected| assert_eq!(is_counter(line, &["likes", "views"]), expected, "{line:?}");
        check("3 likes", true);
        check("  •  1.234,5K  Views!", true);
        check("٣ likes", true);
        check("12M\u{a0}views ·", true);
        check("3likes", false);
        check("likes 3", false);
        check("3 likes of 4", false);
        check("3 likesome", false);
        check("3KK likes", false);
        check("a 3 likes", false);
        check("", false);
    }

    #[test]
    fn what_was_taken_out_stands_beside_the_text() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![
            Some("The mill stands by the river.\n3 likes"),
            None,
            Some("The mill stands by the river."),
        ]));
        let batch = RecordBatch::try_from_iter_with_nullable([(column::TEXT, text, true)]).unwrap();
        let stage = Lines(Config { removed_max: 0.3, ..Config::default() });
        let outcome = stage.apply(&batch).unwrap();
        assert_eq!(outcome.verdicts, [Verdict::Edited, Verdict::Kept, Verdict::Kept]);
        let kept = outcome.select(&batch, &stage.output(&batch.schema()).unwrap()).unwrap();
        assert_eq!(column::utf8(&kept, column::TEXT).unwrap().value(0), "The mill stands by the river.");
        let edits = column::utf8(&kept, EDITS).unwrap();
        assert_eq!(edits.value(0), "[[29,0,\"\\n3 likes\"]]");
        assert!(edits.is_null(1) && edits.is_null(2));
        assert_eq!(outcome.signals.len(), SIGNALS.len());
        let strict = Lines(Config::default()).apply(&batch).unwrap();
        assert!(
            matches!(strict.verdicts[0], Verdict::Dropped { reason: "too_much_removed", value, .. } if value == 0.25)
        );
    }
}
