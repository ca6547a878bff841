//! The first objects of a file of lines: a field that none of them has is told before all of them are read.

use super::{BYTE_ORDER_MARK, Config};
use crate::sink::object::pairs;
use crate::source::open::{Line, Lines, decompressed};
use schemas::SourceError;
use std::collections::BTreeMap;
use std::io::{BufReader, Read as _};
use std::path::Path;

/// Most lines that are looked at.
const LINES_MAX: usize = 256;
/// Most bytes of them.
const BYTES_MAX: u64 = 8 << 20;

/// What the first objects of a file have.
#[derive(Debug, Default)]
pub struct Peek {
    objects: usize,
    /// By the name of a field, whether it was a string in any.
    fields: BTreeMap<String, bool>,
}

impl Peek {
    /// Looks into a file, plain or compressed. A line that is no object is passed over: it is told when it is read.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn at(path: &Path) -> Result<Self, SourceError> {
        let reader = BufReader::new(decompressed(path)?.take(BYTES_MAX));
        let mut lines = Lines::new(reader, 0, BYTES_MAX as usize);
        let mut peek = Self::default();
        for _ in 0..LINES_MAX {
            let Ok(Line::Whole { .. }) = lines.next_line() else { break };
            let line = lines.line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&lines.line);
            let Some(pairs) = std::str::from_utf8(line).ok().and_then(|line| pairs(line).ok()) else {
                continue;
            };
            peek.objects += 1;
            for (name, raw) in pairs {
                *peek.fields.entry(name.into_owned()).or_default() |= raw.get().starts_with('"');
            }
        }
        Ok(peek)
    }

    /// Whether any object has the field.
    pub fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Whether the field is a string in any object.
    pub fn has_text(&self, field: &str) -> bool {
        self.fields.get(field) == Some(&true)
    }

    /// That no object has the field, where there are objects.
    pub fn lacks(&self, field: &str) -> Option<String> {
        (self.objects > 0 && !self.has(field)).then(|| self.say(&format!("no `{field}`")))
    }

    fn say(&self, lacking: &str) -> String {
        let (count, fields) = (self.objects, listed(self.fields.keys()));
        format!("its first {count} objects have {lacking}; their fields are {fields}")
    }

    /// What the settings name and no object has; nothing where there is none.
    pub(super) fn lacks_of(&self, config: &Config) -> Option<String> {
        let is_text = |field: &&String| self.has_text(field);
        let named: Vec<&String> =
            [&config.text_field, &config.html_field].into_iter().filter(|field| !field.is_empty()).collect();
        let mut lacking = Vec::new();
        if !named.is_empty() && !named.iter().any(is_text) {
            lacking.push(format!("no text in {}", listed(named)));
        }
        let defaults = Config::default();
        let more = [(&config.id_field, &defaults.id_field), (&config.url_field, &defaults.url_field)];
        let asked = more.into_iter().filter(|(field, default)| field != default).map(|(field, _)| field);
        let asked = asked.chain(&config.columns).filter(|field| !field.is_empty());
        let absent: Vec<&String> = asked.filter(|field| !self.has(field)).collect();
        if !absent.is_empty() {
            lacking.push(format!("no {}", listed(absent)));
        }
        (self.objects > 0 && !lacking.is_empty()).then(|| self.say(&lacking.join(" and ")))
    }
}

fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::files::scratch;
    use std::fs;

    fn check(lines: &str, config: &Config, expected: Option<&str>) {
        let folder = scratch("peek");
        let path = folder.join("a.jsonl");
        fs::write(&path, lines).unwrap();
        assert_eq!(Peek::at(&path).unwrap().lacks_of(config).as_deref(), expected, "{lines}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn fields_that_no_object_has_are_told() {
        let lines = "\u{feff}{\"id\":1,\"body\":\"a\"}\nnot json\n{\"text\":[1],\"n\":null}";
        let fields = "their fields are `body`, `id`, `n`, `text`";
        check(
            lines,
            &Config::default(),
            Some(&format!("its first 2 objects have no text in `text`; {fields}")),
        );
        let config = |text: &str, columns: &[&str]| Config {
            text_field: text.into(),
            columns: columns.iter().map(ToString::to_string).collect(),
            ..Config::default()
        };
        check(lines, &config("body", &["n"]), None);
        check(
            lines,
            &config("body", &["m", "n"]),
            Some(&format!("its first 2 objects have no `m`; {fields}")),
        );
        check(lines, &config("", &[]), None);
        check("not json\n", &Config::default(), None);
        check("", &Config::default(), None);
    }

    /// The first lines of a large file are all that is read.
    #[test]
    fn a_line_without_end_is_no_object() {
        let long = format!("{{\"text\":\"{}\"}}", "a".repeat(BYTES_MAX as usize));
        check(&long, &Config { text_field: "b".into(), ..Config::default() }, None);
    }
}
