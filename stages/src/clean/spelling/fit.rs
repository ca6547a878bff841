//! Makes the list of `clean.spelling` from a list of misspellings, slips like those in it, and what is known of words.

use crate::text::files::texts;
use crate::text::misspellings::fit::{Knowledge, pairs};
use crate::text::misspellings::generate::generate;
use schemas::{Config as _, FilePath, Fitted, Fitting, KeyError, Settings, config};
use std::collections::BTreeMap;

config! {
    /// What `clean.spelling` is made from.
    pub struct Config {
        /// Misspellings: `wrong,right,…` a line, or `word_codegen.rs` of the crate `typos-dict`.
        list: FilePath = FilePath::default();
        /// Word lists, one word a line: a file or a folder.
        words: FilePath = FilePath::default();
        /// English text that was proof-read: a file or a folder of text and JSON lines.
        text: FilePath = FilePath::default();
        /// JSON lines with `text` and the language as `label`; rows that are `en` or `eng` are left out.
        foreign: FilePath = FilePath::default();
        /// Whether misspellings are also made, of slips that the list shows and words of the text; `false` for entries of the list alone.
        generate: bool = true;
    }
}

/// The learner of `clean.spelling`.
pub const FIT: Fitting = Fitting {
    kind: "clean.spelling",
    summary: "Chooses the entries of a list of misspellings that words and text show to be safe, and makes others like them.",
    keys: Config::KEYS,
    fit,
};

fn fit(settings: &Settings) -> Result<Fitted, Vec<KeyError>> {
    let config: Config = settings.parse()?;
    let mut known = Knowledge::default();
    let mut all = BTreeMap::new();
    let mut broken = Ok(());
    let mut errors = Vec::new();
    let mut read = |key: &str, path: &FilePath, each: &mut dyn FnMut(crate::text::files::Row<'_>)| {
        let found = if path.is_empty() {
            Err("name a file or a folder".to_owned())
        } else {
            texts(&settings.resolve(path), each)
        };
        errors.extend(found.err().map(|message| KeyError { key: key.into(), message, help: None }));
    };
    read("list", &config.list, &mut |row| broken = pairs(&row.text, &mut all));
    read("words", &config.words, &mut |row| known.list(&row.text));
    read("text", &config.text, &mut |row| known.prose(&row.text));
    if !config.foreign.is_empty() {
        read("foreign", &config.foreign, &mut |row| {
            let label = row.label.map(serde_json::value::RawValue::get).unwrap_or_default();
            if !matches!(label, "\"en\"" | "\"eng\"") {
                known.other(&row.text);
            }
        });
    }
    errors.extend(broken.err().map(|message| KeyError { key: "list".into(), message, help: None }));
    if !errors.is_empty() {
        return Err(errors);
    }
    let others = if config.generate { generate(&known, &all) } else { BTreeMap::new() };
    let chosen = known.choose(&all, &others);
    let facts = vec![
        ("pairs", all.len().to_string()),
        ("generated", others.len().to_string()),
        ("entries", chosen.len().to_string()),
    ];
    Ok(Fitted { bytes: chosen.write(), facts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let told = fit(&Settings::default()).expect_err("nothing to learn from");
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["list", "words", "text"].map(|key| format!("`{key}`: name a file or a folder")));
    }
}
