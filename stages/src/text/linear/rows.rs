//! Reads the rows that a classifier learns from: JSON lines, gzipped or not.
//!
//! A row with a `label` (0 or 1) is one example; its group is `source` and `lang`. A row with text alone is a document that
//! does not belong to the class: up to 32 windows of it, evenly spread, are examples, its group is the name of the file.
//!
//! One text in ten, by a hash of its letters, is held out: never trained on, so that scores on it are honest. Letters
//! alone count for it, so copies that differ in form stay on one side, and all windows of a document do.

use super::windows;
use crate::text::files::unpack;
use xxhash_rust::xxh3::xxh3_64;

/// Most windows of one document that are examples.
const WINDOWS_MAX: usize = 32;
/// Most bytes that a file may unpack to.
const BYTES_MAX: u64 = 1 << 30;

/// One labelled text.
#[derive(Debug, Clone)]
pub struct Row {
    /// The text.
    pub text: String,
    /// Whether it belongs to the class.
    pub label: bool,
    /// Group inside which labels are balanced: source and language.
    pub group: String,
    /// Whether it is kept out of training.
    pub held_out: bool,
}

/// Whether a text is kept out of training.
pub fn is_held_out(text: &str) -> bool {
    let letters: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    xxh3_64(letters.as_bytes()).is_multiple_of(10)
}

/// Adds the rows of a file to `rows`.
///
/// # Errors
/// The line and what is wrong with it.
pub fn read(name: &str, bytes: &[u8], rows: &mut Vec<Row>) -> Result<(), String> {
    let text = unpack(bytes, BYTES_MAX).map_err(|e| format!("{name}: {e}"))?;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |what: &str| format!("{name}:{}: {what}", number + 1);
        let row: serde_json::Value = serde_json::from_str(line).map_err(|e| at(&e.to_string()))?;
        let field = |key: &str| row.get(key).and_then(serde_json::Value::as_str);
        let text = field("text").ok_or_else(|| at("the row has no `text`"))?;
        match row.get("label").map(serde_json::Value::as_u64) {
            Some(Some(label @ 0..=1)) => rows.push(Row {
                text: text.to_owned(),
                label: label == 1,
                group: format!("{} {}", field("source").unwrap_or(name), field("lang").unwrap_or_default()),
                held_out: is_held_out(text),
            }),
            Some(_) => return Err(at("`label` is neither 0 nor 1")),
            None => document(name, text, rows),
        }
    }
    Ok(())
}

fn document(name: &str, text: &str, rows: &mut Vec<Row>) {
    let all: Vec<&str> = windows(text).collect();
    let held_out = is_held_out(text);
    let step = all.len().div_ceil(WINDOWS_MAX).max(1);
    rows.extend(all.iter().step_by(step).map(|window| Row {
        text: (*window).to_owned(),
        label: false,
        group: name.to_owned(),
        held_out,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str, expected: &str) {
        let mut rows = Vec::new();
        let found = match read("f", lines.as_bytes(), &mut rows) {
            Ok(()) => rows
                .iter()
                .map(|r| format!("{} {} {}", r.group, r.label, r.text.len()))
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => error,
        };
        assert_eq!(found, expected, "{lines}");
    }

    #[test]
    fn rows_of_both_kinds() {
        check("", "");
        check(
            "{\"text\":\"ab\",\"label\":1,\"source\":\"s\",\"lang\":\"en\"}\n\n{\"text\":\"abc\"}",
            "s en true 2, f false 3",
        );
        check("{\"text\":\"ab\",\"label\":2}", "f:1: `label` is neither 0 nor 1");
        check("{\"label\":0}", "f:1: the row has no `text`");
        check(&format!("{{\"text\":\"{}\"}}", "a. ".repeat(5000)), &vec!["f false 162"; 31].join(", "));
    }

    #[test]
    fn copies_that_differ_in_form_stay_on_one_side() {
        assert!((0..99).all(|n| is_held_out(&format!("Text {n}!")) == is_held_out(&format!("text, {n}"))));
        assert!((0..99).any(|n| is_held_out(&format!("Text {n}"))));
    }
}
