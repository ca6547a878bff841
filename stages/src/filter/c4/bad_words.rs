//! The list of words that drop a document.

use super::Config;
use regex::Regex;
use schemas::{KeyError, Settings};

/// Finds the words of a list in a text.
pub(super) struct BadWords(Regex);

impl BadWords {
    /// Reads the file that the settings name, a word or phrase a line; `None` when they name none.
    pub(super) fn read(config: &Config, settings: &Settings) -> Result<Option<Self>, Vec<KeyError>> {
        if config.bad_words.is_empty() {
            return Ok(None);
        }
        let wrong = |message: String| vec![KeyError { key: "bad_words".into(), message, help: None }];
        let path = settings.resolve(&config.bad_words);
        let list = std::fs::read_to_string(path)
            .map_err(|e| wrong(format!("names a file that cannot be read: {e}")))?;
        Self::new(&list, config.bad_words_inside)
            .map(Some)
            .ok_or_else(|| wrong("names a file without a word, or with too many for one search".into()))
    }

    pub(super) fn new(list: &str, inside: bool) -> Option<Self> {
        let words: Vec<String> =
            list.lines().map(str::trim).filter(|word| !word.is_empty()).map(regex::escape).collect();
        let any = words.join("|");
        // Python's `\\W`: neither letter nor number nor low line. A mark that joins letters is one too.
        let pattern =
            if inside { any } else { format!(r"(?:[^\p{{L}}\p{{N}}_]|^)(?:{any})(?:[^\p{{L}}\p{{N}}_]|$)") };
        if words.is_empty() { None } else { Regex::new(&pattern).ok().map(Self) }
    }

    /// Whether one of them is in the text, lower-cased.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.is_match(&super::lower(text))
    }
}
