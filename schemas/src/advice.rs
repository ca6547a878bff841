//! What to write instead of a value that a key does not take.
//!
//! A name ends in its unit (`delay_ms`, `shard_bytes`), so a value that a person wrote with another one can be turned into
//! the number that was meant; the same for a decimal comma, a percent sign, quotes and brackets too many or too few.
//!
//! ```text
//! delay_ms = "5s"           →  `delay_ms` is in milliseconds: write `delay_ms = 5000`
//! similarity_min = "0,8"    →  a number has a decimal point and no quotes: write `similarity_min = 0.8`
//! keep = "longst"           →  did you mean `longest`?
//! ```

use crate::near::closest;
use crate::{ConfigValue as _, FilePath, FilePaths, Key, KeyError, Value};

const WHOLE: &str = u64::KIND;
const NUMBER: &str = f64::KIND;
const SWITCH: &str = bool::KIND;
const TEXT: &str = String::KIND;
const LIST: &str = <Vec<String>>::KIND;
/// A number from here on in the place of a share is read as percent; a smaller one is rather a slip.
const PERCENT_MIN: f64 = 5.0;
/// Longest value that a message repeats, in characters.
const SHOWN_CHARS: usize = 60;

/// The names that a choice takes, from its type in words; empty for all other types.
pub fn choices(kind: &str) -> Vec<&str> {
    kind.strip_prefix("one of ").map_or_else(Vec::new, |names| {
        names.split(' ').map(|name| name.trim_matches('`')).filter(|name| !name.is_empty()).collect()
    })
}

/// The mistake in the value of a key: what was expected, what was found and what to write.
pub fn refused(keys: &[Key], name: &str, value: &Value) -> KeyError {
    let Some(key) = keys.iter().find(|k| k.name == name) else {
        return KeyError {
            key: name.to_owned(),
            message: "is not a key of this kind".to_owned(),
            help: None,
        };
    };
    let message = match (key.kind, beyond(key, value)) {
        (WHOLE | NUMBER, Some(word)) => format!("{value} is too {word}"),
        _ => format!("expected {}, found {}", expected(key.kind), shown(value)),
    };
    KeyError { key: name.to_owned(), message, help: Some(help(key, value)) }
}

fn expected(kind: &str) -> String {
    let names: Vec<String> = choices(kind).iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => kind.to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    // A string of many lines would break the line of the message.
    let text = value.as_str().filter(|t| t.contains('\n')).map_or(text, |t| format!("{t:?}"));
    let text = text.trim();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn help(key: &Key, value: &Value) -> String {
    let name = key.name;
    let found = match (key.kind, value) {
        (WHOLE | NUMBER, Value::String(text)) => number_in_text(key, text),
        (WHOLE | NUMBER, _) => number(value).and_then(|n| other_number(key, n)),
        (SWITCH, _) => switch(value).map(|on| format!("write `{name} = {on}`, without quotes")),
        (TEXT | FilePath::KIND, Value::Array(list)) => match list.as_slice() {
            [Value::String(one)] => {
                Some(format!("it is one string, not a list: write `{name} = {}`", one.show()))
            }
            _ => None,
        },
        (TEXT | FilePath::KIND, other) => Some(format!("write it in quotes: `{name} = {}`", quoted(other))),
        (LIST | FilePaths::KIND, other) => list(other).map(|list| format!("write `{name} = {list}`")),
        (kind, Value::String(text)) => choice(kind, text),
        _ => None,
    };
    found.unwrap_or_else(|| usage(key))
}

/// What the key takes, in a sentence.
fn usage(key: &Key) -> String {
    let default = (key.default)();
    let range = range(key).map_or_else(String::new, |range| format!(" {range}"));
    match key.kind {
        WHOLE | NUMBER => format!("write {}{range} (default {default})", key.kind),
        kind => format!("write {} (default `{default}`)", expected(kind)),
    }
}

fn range(key: &Key) -> Option<String> {
    let [least, most] = (key.bounds)()?;
    Some(format!("from {} to {}", grouped(&least), grouped(&most)))
}

/// Digits in threes, as TOML allows it.
fn grouped(number: &str) -> String {
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    if !digits || number.len() < 5 {
        return number.strip_suffix(".0").unwrap_or(number).to_owned();
    }
    crate::number::grouped(number, '_')
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|n| n as f64))
}

fn limits(key: &Key) -> (f64, f64) {
    let bounds = (key.bounds)().map(|bounds| bounds.map(|b| b.parse::<f64>().ok()));
    let least = if key.kind == WHOLE { 0.0 } else { f64::NEG_INFINITY };
    match bounds {
        Some([Some(least), Some(most)]) => (least, most),
        _ => (least, f64::INFINITY),
    }
}

/// On which side of the range a number lies.
fn beyond(key: &Key, value: &Value) -> Option<&'static str> {
    let (found, (least, most)) = (number(value)?, limits(key));
    let whole = key.kind != WHOLE || found.fract() == 0.0;
    match found {
        n if n < least => Some("small"),
        n if n > most && whole => Some("large"),
        _ => None,
    }
}

/// The number as the key would take it, where it would.
fn fitting(key: &Key, number: f64) -> Option<String> {
    let (least, most) = limits(key);
    if !(least..=most).contains(&number) {
        return None;
    }
    if key.kind == NUMBER {
        return Some(number.show());
    }
    // Beyond 2^53 a float no longer says which whole number was meant.
    (number.fract() == 0.0 && number < 9e15).then(|| (number as u64).to_string())
}

fn other_number(key: &Key, number: f64) -> Option<String> {
    let name = key.name;
    if let Some(same) = fitting(key, number) {
        return Some(format!("write it without a decimal point: `{name} = {same}`"));
    }
    let (_, most) = limits(key);
    let share = key.kind == NUMBER && most <= 1.0 && (PERCENT_MIN..=100.0).contains(&number);
    let share = share.then(|| fitting(key, number / 100.0)).flatten()?;
    Some(format!("it is a share {}: for {number} percent write `{name} = {share}`", range(key)?))
}

/// What a number in quotes means, with or without a unit.
fn number_in_text(key: &Key, text: &str) -> Option<String> {
    let (number, unit) = split(text)?;
    let name = key.name;
    let comma = text.contains(',') && number.fract() != 0.0;
    if unit.is_empty() {
        let write = fitting(key, number)?;
        let why = if comma { "a number has a decimal point and no quotes" } else { "a number has no quotes" };
        return Some(format!("{why}: write `{name} = {write}`"));
    }
    if unit == "%" {
        let write = fitting(key, number / 100.0)?;
        return Some(format!("a share is written as a number: write `{name} = {write}`"));
    }
    let (of_key, factor) = factor(name, &unit)?;
    // Halves of a factor of ten are not exact in a float: `0.1s` is 100 ms, not 100.00000000000001.
    let write = fitting(key, (number * factor * 1e6).round() / 1e6)?;
    Some(format!("`{name}` is {of_key}: write `{name} = {write}`"))
}

/// A number at the start of a text, and what follows it in lower case.
fn split(text: &str) -> Option<(f64, String)> {
    if let Ok(number) = text.trim().parse::<f64>() {
        return Some((number, String::new()));
    }
    let text = text.trim().trim_start_matches(['~', '<', '>', '=', ' ']);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',' | '_' | '\'' | '-'))
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let digits = digits.replace(['_', '\''], "");
    let plain = match digits.split_once(',') {
        // `1,000` is a thousand, `0,5` a half.
        Some((_, rest)) if rest.len() != 3 || digits.starts_with("0,") => digits.replacen(',', ".", 1),
        _ => digits.replace(',', ""),
    };
    Some((plain.parse().ok()?, unit.trim().to_lowercase()))
}

/// The unit of a key in words, and how many of it a unit is.
fn factor(name: &str, unit: &str) -> Option<(&'static str, f64)> {
    let in_name = |part: &str| name.split('_').any(|p| p == part);
    let time = match unit {
        "ms" | "msec" | "millisecond" | "milliseconds" => Some(1.0),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1e3),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60e3),
        "h" | "hour" | "hours" => Some(3600e3),
        "d" | "day" | "days" => Some(86_400e3),
        _ => None,
    };
    let stem = unit.trim_end_matches("ytes").trim_end_matches("yte");
    let bytes = match stem {
        "b" => Some(1.0),
        "k" | "kb" => Some(1e3),
        "m" | "mb" => Some(1e6),
        "g" | "gb" => Some(1e9),
        "t" | "tb" => Some(1e12),
        "ki" | "kib" => Some(1024.0),
        "mi" | "mib" => Some(1024.0 * 1024.0),
        "gi" | "gib" => Some(1024.0 * 1024.0 * 1024.0),
        _ => None,
    };
    if in_name("ms") {
        return time.map(|factor| ("in milliseconds", factor));
    }
    if in_name("s") || in_name("seconds") {
        return time.map(|factor| ("in seconds", factor / 1e3));
    }
    if in_name("bytes") {
        return bytes.map(|factor| ("in bytes", factor));
    }
    let count = match unit {
        "k" | "thousand" => 1e3,
        "m" | "million" | "mio" => 1e6,
        "b" | "bn" | "billion" => 1e9,
        // `50 words`: what is counted stands in the name already.
        word if name.split('_').any(|part| word == part) => 1.0,
        _ => return None,
    };
    Some(("a plain number", count))
}

fn switch(value: &Value) -> Option<bool> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
    match text.trim() {
        "true" | "yes" | "on" | "1" | "y" => Some(true),
        "false" | "no" | "off" | "0" | "n" | "none" => Some(false),
        _ => None,
    }
}

fn quoted(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.trim().to_owned().show()
}

/// What was meant by a value that is no list of strings.
fn list(value: &Value) -> Option<String> {
    let items: Vec<String> = match value {
        Value::String(text) => text.split(',').map(|part| part.trim().to_owned().show()).collect(),
        Value::Array(list) if list.iter().any(|v| v.is_array() || v.is_table()) => return None,
        Value::Array(list) => list.iter().map(quoted).collect(),
        Value::Table(_) => return None,
        other => vec![quoted(other)],
    };
    let list = format!("[{}]", items.join(", "));
    (list.chars().count() <= 2 * SHOWN_CHARS).then_some(list)
}

fn choice(kind: &str, text: &str) -> Option<String> {
    let names = choices(kind);
    let plain = |text: &str| text.to_lowercase().replace(['-', ' ', '.'], "_");
    let same = names.iter().find(|name| plain(name) == plain(text));
    // A part of a name is meant for it: `gpt2` for `gpt`, `zst` for `zstd`.
    let part =
        || names.iter().find(|name| text.len() > 1 && (name.starts_with(text) || text.starts_with(**name)));
    let near = closest(&plain(text), names.iter().copied());
    near.or(same.or_else(part).copied()).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use crate::{Config as _, choice, config};

    choice! {
        /// A sample.
        pub(crate) enum Packing {
            /// Whole.
            BestFit = "best_fit",
            /// End to end.
            Concat = "concat",
        }
    }

    config! {
        /// A sample.
        pub(crate) struct Sample {
            /// Pause.
            delay_ms: u64 = 1000, in 0..=600_000;
            /// Longest crawl.
            duration_s_max: u64 = 60, in 1..=100_000;
            /// Longest body.
            body_bytes_max: u64 = 1024, in 1..=1 << 30;
            /// Fewest words.
            words_min: u64 = 50, in 1..=100_000;
            /// Least similarity.
            similarity_min: f64 = 0.8, in 0.0..=1.0;
            /// Seed.
            seed: u64 = 0;
            /// Switch.
            row: bool = false;
            /// Field.
            field: String = "text".into();
            /// Codes.
            languages: Vec<String> = Vec::new();
            /// Method.
            method: Packing = Packing::BestFit;
        }
    }

    fn check(toml: &str, expected: &str) {
        let table: toml::Table = toml.parse().expect("the case is TOML");
        let (key, value) = table.into_iter().next().expect("the case has a key");
        let error = Sample::default().set(&key, &value).expect_err("the case is wrong");
        let found = format!("{}; {}", error.message, error.help.unwrap_or_default());
        assert_eq!(found, expected, "{toml}");
    }

    #[test]
    fn a_unit_becomes_the_number_that_was_meant() {
        let text = |unit: &str, write: &str| {
            check(
                unit,
                &format!("expected a whole number, found {}; {write}", unit.split_once(" = ").unwrap().1),
            );
        };
        text("delay_ms = \"5s\"", "`delay_ms` is in milliseconds: write `delay_ms = 5000`");
        text("delay_ms = \"0.1 s\"", "`delay_ms` is in milliseconds: write `delay_ms = 100`");
        text("duration_s_max = \"1h\"", "`duration_s_max` is in seconds: write `duration_s_max = 3600`");
        text("body_bytes_max = \"64MB\"", "`body_bytes_max` is in bytes: write `body_bytes_max = 64000000`");
        text("body_bytes_max = \"1 MiB\"", "`body_bytes_max` is in bytes: write `body_bytes_max = 1048576`");
        text("words_min = \"10k\"", "`words_min` is a plain number: write `words_min = 10000`");
        text("words_min = \"50 words\"", "`words_min` is a plain number: write `words_min = 50`");
        text("words_min = \"50\"", "a number has no quotes: write `words_min = 50`");
        text("words_min = \"1,000\"", "a number has no quotes: write `words_min = 1000`");
        text("words_min = \"many\"", "write a whole number from 1 to 100_000 (default 50)");
        text("words_min = 5.0", "write it without a decimal point: `words_min = 5`");
        text("words_min = 5.5", "write a whole number from 1 to 100_000 (default 50)");
    }

    #[test]
    fn shares_and_ranges_are_in_plain_words() {
        check(
            "similarity_min = \"0,8\"",
            "expected a number, found \"0,8\"; a number has a decimal point and no quotes: write `similarity_min = 0.8`",
        );
        check(
            "similarity_min = \"80%\"",
            "expected a number, found \"80%\"; a share is written as a number: write `similarity_min = 0.8`",
        );
        check(
            "similarity_min = 80",
            "80 is too large; it is a share from 0 to 1: for 80 percent write `similarity_min = 0.8`",
        );
        check("similarity_min = -0.5", "-0.5 is too small; write a number from 0 to 1 (default 0.8)");
        check("words_min = -1", "-1 is too small; write a whole number from 1 to 100_000 (default 50)");
        check("seed = -1", "-1 is too small; write a whole number (default 0)");
        check(
            "delay_ms = 700_000",
            "700000 is too large; write a whole number from 0 to 600_000 (default 1000)",
        );
    }

    #[test]
    fn other_types_are_written_out() {
        check("row = \"yes\"", "expected true or false, found \"yes\"; write `row = true`, without quotes");
        check("row = 0", "expected true or false, found 0; write `row = false`, without quotes");
        check("field = 5", "expected a string, found 5; write it in quotes: `field = \"5\"`");
        check(
            "field = [\"a\"]",
            "expected a string, found [\"a\"]; it is one string, not a list: write `field = \"a\"`",
        );
        check(
            "languages = \"de, en\"",
            "expected a list of strings, found \"de, en\"; write `languages = [\"de\", \"en\"]`",
        );
        check("languages = [1]", "expected a list of strings, found [1]; write `languages = [\"1\"]`");
        check(
            "method = \"best-fit\"",
            "expected `best_fit` or `concat`, found \"best-fit\"; did you mean `best_fit`?",
        );
        check("method = \"con\"", "expected `best_fit` or `concat`, found \"con\"; did you mean `concat`?");
        check(
            "method = true",
            "expected `best_fit` or `concat`, found true; write `best_fit` or `concat` (default `\"best_fit\"`)",
        );
    }
}
