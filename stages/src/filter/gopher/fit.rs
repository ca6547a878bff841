//! Makes the table of limits and stop words by language from labelled texts.
//!
//! After FineWeb2 (arXiv 2506.20920): the stop words of a language are the words that make up at least 0.8 % of its words, no fewer
//! than 8 and no more than 24; a limit is the one for English times the ratio of what is measured in the language to what is measured in
//! English. Words are those of `uax29`. Rules on the form of a document (lines, bullets, hashes) keep the limits of the recipe: sentences
//! do not say anything of them.

use super::{Config as Limits, Gopher};
use crate::filter::by_language::fit::{Data, Kept};
use crate::text::chars::is_letter;
use crate::text::langid::codes;
use crate::text::linear::rows::is_held_out;
use crate::text::words::Splitter;
use schemas::{Config as _, FilePath, Filter as _, Fitted, Fitting, KeyError, Settings, Verdict, config};
use std::collections::BTreeMap;
use std::fmt::Write as _;

config! {
    /// Where the table of `filter.gopher` comes from.
    pub struct Config {
        /// JSON lines (`.jsonl`, `.jsonl.gz`) with `text` and `lang`, an ISO 639-1 or 639-3 code.
        data: FilePath = FilePath::default();
        /// Fewest words of a text that is learned from.
        words_min: u64 = 4, in 1..=1000;
    }
}

/// The learner of `filter.gopher`.
pub const FIT: Fitting = Fitting {
    kind: "filter.gopher",
    summary: "Finds stop words and limits for every language of labelled texts.",
    keys: Config::KEYS,
    fit,
};

/// Least share of a stop word among the words of its language.
const STOP_SHARE: f64 = 0.008;
const STOP_WORDS_MIN: usize = 8;
const STOP_WORDS_MAX: usize = 24;
/// Most bytes that the file may unpack to.
const BYTES_MAX: u64 = 1 << 30;
/// Texts that a test document is made of.
const TEST_TEXTS: usize = 10;

/// What is counted of a language.
#[derive(Default)]
struct Counts {
    words: BTreeMap<String, usize>,
    total: usize,
    chars: usize,
    alphabetic: usize,
    held_out: Vec<String>,
}

impl Counts {
    fn add(&mut self, words: &[&str]) {
        for word in words {
            self.total += 1;
            self.chars += word.chars().count();
            self.alphabetic += usize::from(word.chars().any(is_letter));
            // Case is kept where the words are asked, so only those that are lower case anyway can be found.
            if word.chars().any(is_letter) && word.to_lowercase() == *word {
                *self.words.entry((*word).to_owned()).or_default() += 1;
            }
        }
    }

    fn word_chars(&self) -> f64 {
        self.chars as f64 / self.total.max(1) as f64
    }

    fn alphabetic(&self) -> f64 {
        self.alphabetic as f64 / self.total.max(1) as f64
    }

    fn stop_words(&self) -> Vec<&str> {
        let mut words: Vec<(&String, &usize)> = self.words.iter().collect();
        words.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), word.as_str()));
        let often = |count: usize| count as f64 / self.total as f64 >= STOP_SHARE;
        let kept =
            words.iter().enumerate().take_while(|(at, (_, count))| *at < STOP_WORDS_MIN || often(**count));
        kept.take(STOP_WORDS_MAX).map(|(_, (word, _))| word.as_str()).collect()
    }
}

fn fit(settings: &Settings) -> Result<Fitted, Vec<KeyError>> {
    let config: Config = settings.parse()?;
    let data = Data::read(settings, &config.data, BYTES_MAX)?;
    let told = |message: String| data.wrong(&message);
    let languages = read(&data.text, config.words_min as usize).map_err(told)?;
    let Some(english) = languages.get("eng") else { return Err(told("there is no English text".into())) };
    let mut table = String::from("# Made by `gristmill fit filter.gopher`.\n");
    for (language, counts) in &languages {
        let chars = counts.word_chars() / english.word_chars();
        let alphabetic = (0.8 * counts.alphabetic() / english.alphabetic()).min(0.9);
        let stop_words = toml::Value::from(counts.stop_words());
        writeln!(
            table,
            "\n[{language}]\nword_chars_min = {:.1}\nword_chars_max = {:.1}\nalphabetic_min = {alphabetic:.2}\nstop_words = {stop_words}",
            3.0 * chars,
            10.0 * chars,
        )
        .expect("writing to a string cannot fail");
    }
    let facts = facts(&languages, &table).map_err(|e| told(e.to_string()))?;
    Ok(Fitted { bytes: table.into_bytes(), facts })
}

/// Texts by language, those that are held out apart.
fn read(text: &str, words_min: usize) -> Result<BTreeMap<String, Counts>, String> {
    let mut languages: BTreeMap<String, Counts> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |what: &str| format!("line {}: {what}", number + 1);
        let row: serde_json::Value = serde_json::from_str(line).map_err(|e| at(&e.to_string()))?;
        let field = |key: &str| row.get(key).and_then(serde_json::Value::as_str);
        let text = field("text").ok_or_else(|| at("the row has no `text`"))?;
        let lang = field("lang").ok_or_else(|| at("the row has no `lang`"))?;
        let words = Splitter::Uax29.words(text);
        if words.len() < words_min {
            continue;
        }
        let counts = languages.entry(long(lang).to_owned()).or_default();
        if is_held_out(text) { counts.held_out.push(text.to_owned()) } else { counts.add(&words) }
    }
    Ok(languages)
}

/// How many documents made of held-out texts each language keeps by its own table.
fn facts(
    languages: &BTreeMap<String, Counts>,
    table: &str,
) -> Result<Vec<(&'static str, String)>, toml::de::Error> {
    let tables: BTreeMap<String, BTreeMap<String, schemas::Value>> = toml::from_str(table)?;
    let mut kept = Kept::default();
    for (language, counts) in languages {
        let mut pairs: Vec<(String, schemas::Value)> =
            tables[language].iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        pairs.push(("words_min".into(), schemas::Value::Integer(1)));
        let limits: Limits = Settings::new(pairs).parse().expect("the table is made of keys of the kind");
        let gopher = Gopher::new(&limits);
        let passes = |texts: &&[String]| gopher.judge(&texts.join(" ")).verdict == Verdict::Kept;
        let documents = counts.held_out.chunks(TEST_TEXTS);
        kept.add(language, documents.len(), documents.filter(passes).count());
    }
    Ok(kept.facts(languages.len()))
}

/// The code of ISO 639-3 by which `filter.language` tells a language.
fn long(code: &str) -> &str {
    codes::label(code).unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_and_limits() {
        let mut languages = BTreeMap::new();
        for (language, text) in [("eng", "the mill and the stone"), ("deu", "die Mühle und die Steine")] {
            let counts: &mut Counts = languages.entry(language).or_default();
            counts.add(&Splitter::Uax29.words(text));
        }
        assert_eq!(languages["eng"].stop_words(), ["the", "and", "mill", "stone"]);
        assert_eq!(languages["deu"].stop_words(), ["die", "und"]);
        assert!((languages["deu"].word_chars() - 4.0).abs() < 1e-9);
        assert!((languages["eng"].alphabetic() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            fit(&Settings::default()).unwrap_err()[0].to_string(),
            "`data`: name the file to learn from"
        );
        assert_eq!(long("de"), "deu");
        assert_eq!(long("deu"), "deu");
    }
}
