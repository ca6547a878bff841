//! Makes tables of limits by language from labelled documents.
//!
//! The quantile method of FineWeb2 (arXiv 2506.20920): where a limit cuts a share of the English documents, the limit of another
//! language is where it cuts the same share of its documents. So a rule takes as much of each language as it takes of English, whatever
//! lines and words look like there. A `_min` of 0 is no rule: so it is in a language without marks at the end of a sentence. A `_max` that would
//! be 0, or beyond what its key can hold, keeps the limit of the recipe. Texts without a word teach nothing.

use crate::text::files::unpack;
use crate::text::langid::codes;
use crate::text::linear::rows::is_held_out;
use rayon::prelude::*;
use schemas::{FilePath, Filter, Fitted, KeyError, Settings, Verdict, config};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

config! {
    /// Where a table of limits by language comes from.
    pub struct Config {
        /// JSON lines (`.jsonl`, `.jsonl.gz`) with `text` and `lang` or `language`, an ISO 639-1 or 639-3 code.
        data: FilePath = FilePath::default();
        /// Fewest documents of a language that gets a table.
        documents_min: u64 = 100, in 2..=1_000_000_000;
    }
}

/// The language whose limits are given.
const ENGLISH: &str = "eng";
/// Most bytes that the file may unpack to.
const BYTES_MAX: u64 = 4 << 30;
/// What a limit is rounded to, outwards.
const GRAIN: f64 = 1000.0;

/// A limit that the recipe has for English, held against the signal of the same place.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The key, which ends in `_min` or `_max`.
    pub key: &'static str,
    /// Its value for English.
    pub limit: f64,
}

impl Rule {
    fn is_least(&self) -> bool {
        self.key.ends_with("_min")
    }

    /// How many of the values, which are sorted, the limit cuts off.
    fn cuts(&self, sorted: &[f64]) -> usize {
        if self.is_least() {
            sorted.partition_point(|value| *value < self.limit)
        } else {
            sorted.len() - sorted.partition_point(|value| *value <= self.limit)
        }
    }

    /// The limit that cuts off at most this share of the values, which are sorted; `None` for a most of 0, which would be no rule.
    fn of(&self, sorted: &[f64], share: f64) -> Option<f64> {
        let cut = ((share * sorted.len() as f64) as usize).min(sorted.len() - 1);
        if self.is_least() {
            return Some((sorted[cut] * GRAIN).floor() / GRAIN);
        }
        let limit = (sorted[sorted.len() - 1 - cut] * GRAIN).ceil() / GRAIN;
        (limit > 0.0).then_some(limit)
    }
}

/// A file to learn from.
pub struct Data {
    path: PathBuf,
    /// What is in it, unpacked.
    pub text: String,
}

impl Data {
    /// Reads the file that the key `data` names; it may unpack to `most` bytes.
    ///
    /// # Errors
    /// None is named, or it cannot be read.
    pub fn read(settings: &Settings, data: &FilePath, most: u64) -> Result<Self, Vec<KeyError>> {
        if data.is_empty() {
            return Err(wrong("name the file to learn from".into()));
        }
        let mut data = Self { path: settings.resolve(data), text: String::new() };
        let read = std::fs::read(&data.path).and_then(|bytes| unpack(&bytes, most));
        data.text = read.map_err(|error| data.wrong(&error.to_string()))?;
        Ok(data)
    }

    /// What is wrong with it.
    pub fn wrong(&self, message: &str) -> Vec<KeyError> {
        wrong(format!("{}: {message}", self.path.display()))
    }
}

fn wrong(message: String) -> Vec<KeyError> {
    vec![KeyError { key: "data".into(), message, help: None }]
}

/// How many documents that were held out are kept by the tables of their languages.
#[derive(Default)]
pub struct Kept {
    documents: usize,
    kept: usize,
    worst: Option<(f64, String)>,
}

impl Kept {
    /// Counts the documents of a language.
    pub fn add(&mut self, language: &str, documents: usize, kept: usize) {
        self.documents += documents;
        self.kept += kept;
        let here = share(kept, documents);
        if documents > 0 && self.worst.as_ref().is_none_or(|worst| here < worst.0) {
            self.worst = Some((here, language.to_owned()));
        }
    }

    /// What is told of so many languages.
    pub fn facts(&self, languages: usize) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("languages", languages.to_string()),
            ("held_out_documents", self.documents.to_string()),
            ("held_out_kept", format!("{:.4}", share(self.kept, self.documents))),
        ];
        let worst = self.worst.iter().map(|(share, language)| format!("{language} {share:.3}"));
        facts.extend(worst.map(|worst| ("worst_language", worst)));
        facts
    }
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A labelled document.
struct Document {
    language: String,
    text: String,
    signals: Vec<f64>,
}

/// Documents of a language.
#[derive(Default)]
struct Documents {
    /// Signals of those that are learned from.
    signals: Vec<Vec<f64>>,
    held_out: Vec<String>,
}

impl Documents {
    fn sorted(&self, signal: usize) -> Vec<f64> {
        let mut values: Vec<f64> = self.signals.iter().map(|row| row[signal]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }
}

/// Makes the table of a filter whose `rules` are in the order of its signals.
///
/// # Errors
/// Mistakes of the settings; a file that is none of labelled documents, or has too few in English.
pub fn fit<C: schemas::Config, F: Filter>(
    settings: &Settings,
    kind: &str,
    rules: &[Rule],
    make: fn(&C) -> F,
) -> Result<Fitted, Vec<KeyError>> {
    let config: Config = settings.parse()?;
    let data = Data::read(settings, &config.data, BYTES_MAX)?;
    let told = |message: String| data.wrong(&message);
    let english: C = Settings::default().parse().expect("the defaults are settings");
    let mut languages = read(&data.text, &make(&english)).map_err(told)?;
    let fewest = config.documents_min;
    languages.retain(|_, documents| documents.signals.len() as u64 >= fewest);
    if languages.keys().all(|language| language == ENGLISH) {
        return Err(told(format!("no language beside English has {fewest} documents (`documents_min`)")));
    }
    let holds = |key: &str, limit: f64| {
        Settings::new(vec![(key.to_owned(), schemas::Value::Float(limit))]).parse::<C>().is_ok()
    };
    let table = table(kind, rules, &languages, &holds).map_err(told)?;
    let facts = facts(&languages, &table, make).map_err(told)?;
    Ok(Fitted { bytes: table.into_bytes(), facts })
}

/// The documents by language.
fn read(text: &str, filter: &impl Filter) -> Result<BTreeMap<String, Documents>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let told = |(number, line): (usize, &&str)| {
        document(line, filter).map_err(|what| format!("line {}: {what}", number + 1))
    };
    let rows: Vec<Result<Option<Document>, String>> = lines.par_iter().enumerate().map(told).collect();
    let mut languages: BTreeMap<String, Documents> = BTreeMap::new();
    // The first line that is wrong is told, whichever was found first.
    for document in rows.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        let Document { language, text, signals } = document;
        let documents = languages.entry(language).or_default();
        if is_held_out(&text) { documents.held_out.push(text) } else { documents.signals.push(signals) }
    }
    Ok(languages)
}

/// The document of a line; `None` where it teaches nothing.
fn document(line: &str, filter: &impl Filter) -> Result<Option<Document>, String> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    let row: serde_json::Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let text = row.get("text").and_then(serde_json::Value::as_str).ok_or("the row has no `text`")?;
    let code = match ["lang", "language"].iter().find_map(|key| row.get(*key)) {
        // A document in no language teaches nothing of one.
        Some(serde_json::Value::Null) => return Ok(None),
        Some(serde_json::Value::String(code)) => code.as_str(),
        _ => return Err("the row has no `lang` that is a code".to_owned()),
    };
    if !text.contains(char::is_alphanumeric) {
        return Ok(None);
    }
    let language = codes::label(code).unwrap_or(code).to_owned();
    Ok(Some(Document { language, text: text.to_owned(), signals: filter.judge(text).signals }))
}

/// The table; `holds` tells whether a key can have a value.
fn table(
    kind: &str,
    rules: &[Rule],
    languages: &BTreeMap<String, Documents>,
    holds: &dyn Fn(&str, f64) -> bool,
) -> Result<String, String> {
    let english = languages.get(ENGLISH).ok_or("there are too few English documents to compare with")?;
    let shares: Vec<f64> = rules
        .iter()
        .enumerate()
        .map(|(signal, rule)| rule.cuts(&english.sorted(signal)) as f64 / english.signals.len() as f64)
        .collect();
    let mut table = format!("# Made by `gristmill fit {kind}`.\n");
    let mut line = |line: String| writeln!(table, "{line}").expect("writing to a string cannot fail");
    for (language, documents) in languages {
        line(format!("\n[{language}]"));
        for (signal, (rule, share)) in rules.iter().zip(&shares).enumerate() {
            let limit = if language == ENGLISH {
                Some(rule.limit)
            } else {
                rule.of(&documents.sorted(signal), *share)
            };
            if let Some(limit) = limit.filter(|limit| holds(rule.key, *limit)) {
                line(format!("{} = {limit:?}", rule.key));
            }
        }
    }
    Ok(table)
}

/// How many of the documents that were held out each language keeps by its own table.
fn facts<C: schemas::Config, F: Filter>(
    languages: &BTreeMap<String, Documents>,
    table: &str,
    make: fn(&C) -> F,
) -> Result<Vec<(&'static str, String)>, String> {
    let tables: BTreeMap<String, BTreeMap<String, schemas::Value>> =
        toml::from_str(table).map_err(|e| e.to_string())?;
    let (mut kept, mut english) = (Kept::default(), 0.0);
    for (language, documents) in languages {
        let pairs = tables[language].iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let filter = make(&Settings::new(pairs).parse().expect("the table is made of keys of the kind"));
        let passes = |text: &&String| filter.judge(text).verdict == Verdict::Kept;
        let passed = documents.held_out.iter().filter(passes).count();
        if language == ENGLISH {
            english = share(passed, documents.held_out.len());
        } else {
            kept.add(language, documents.held_out.len(), passed);
        }
    }
    let mut facts = kept.facts(languages.len());
    facts.push(("english_kept", format!("{english:.4}")));
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Rule = Rule { key: "ends_min", limit: 0.5 };
    const MOST: Rule = Rule { key: "short_max", limit: 0.5 };

    fn check(rule: Rule, english: &[f64], other: &[f64], expected: Option<f64>) {
        let share = rule.cuts(english) as f64 / english.len() as f64;
        assert_eq!(rule.of(other, share), expected, "{rule:?} {english:?} {other:?}");
    }

    #[test]
    fn a_limit_cuts_the_same_share_of_each_language() {
        // One in four goes, and what is at a limit stays.
        check(LEAST, &[0.4, 0.5, 0.6, 0.7], &[0.1, 0.2222, 0.3, 0.4], Some(0.222));
        check(MOST, &[0.2, 0.3, 0.5, 0.7], &[0.1, 0.2, 0.3001, 0.4], Some(0.301));
        // None goes.
        check(LEAST, &[0.5, 0.6], &[0.1, 0.2], Some(0.1));
        check(MOST, &[0.1, 0.2], &[0.1, 0.2], Some(0.2));
        // A language without marks at the end of a sentence: the rule is off. One that repeats nothing: the limit stays.
        check(LEAST, &[0.5, 0.6], &[0.0, 0.0], Some(0.0));
        check(MOST, &[0.1, 0.2], &[0.0, 0.0], None);
        // All go in English.
        check(MOST, &[0.6, 0.7], &[0.1, 0.2], Some(0.1));
    }

    #[test]
    fn a_table_of_a_file() {
        let path = std::env::temp_dir().join(format!("gristmill-limits-{}.jsonl", std::process::id()));
        let fit = |lines: &[String]| {
            std::fs::write(&path, lines.join("\n")).unwrap();
            let pairs = [("data", path.to_string_lossy().as_ref().into()), ("documents_min", 2.into())];
            let settings = Settings::new(pairs.map(|(key, value)| (key.to_owned(), value)).to_vec());
            (crate::filter::fineweb::FIT.fit)(&settings)
        };
        let row = |lang, text| format!("{{\"lang\":\"{lang}\",\"text\":\"{text}\"}}");
        let mut lines: Vec<String> = (0..40).map(|n| row("en", format!("Line {n} ends.\\nNext."))).collect();
        assert!(
            fit(&lines).unwrap_err()[0]
                .to_string()
                .ends_with("no language beside English has 2 documents (`documents_min`)")
        );
        lines.extend((0..40).map(|n| row("th", format!("{n} ก ข ค\\nง จ"))));
        let table = String::from_utf8(fit(&lines).unwrap().bytes).unwrap();
        let tables: BTreeMap<String, BTreeMap<String, f64>> = toml::from_str(&table).unwrap();
        // Words one over the other make more than all of a text: no limit that a key can hold.
        let again = "ha ".repeat(50);
        lines.extend((0..40).map(|n| row("tl", format!("{again}{n}"))));
        std::fs::write(&path, lines.join("\n")).unwrap();
        let settings = Settings::new(vec![
            ("data".to_owned(), path.to_string_lossy().as_ref().into()),
            ("documents_min".to_owned(), 2.into()),
        ]);
        let repetition = (crate::filter::repetition::FIT.fit)(&settings).unwrap().bytes;
        let repetition: BTreeMap<String, BTreeMap<String, f64>> =
            toml::from_str(&String::from_utf8(repetition).unwrap()).unwrap();
        assert!(
            !repetition["tgl"].contains_key("top_2_gram_max") && repetition["eng"]["top_2_gram_max"] == 0.2
        );
        // Thai has no mark at the end of a sentence: no line of these ends with one.
        assert_eq!((tables["eng"]["line_punct_min"], tables["tha"]["line_punct_min"]), (0.12, 0.0));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn documents_are_read_by_language_and_mistakes_are_told() {
        let filter = crate::filter::fineweb::FineWeb::new(Settings::default().parse().unwrap());
        let told = |lines: &str| read(lines, &filter).err().unwrap();
        assert_eq!(told("{\"lang\":\"de\"}"), "line 1: the row has no `text`");
        assert_eq!(told("\n{\"text\":\"x\"}"), "line 2: the row has no `lang` that is a code");
        assert_eq!(told("{\"text\":\"x\",\"language\":7}"), "line 1: the row has no `lang` that is a code");
        let lines = "{\"text\":\"a\",\"lang\":\"de\"}\n{\"text\":\"b\",\"language\":\"deu\"}\n{\"text\":\"c\",\"language\":null}\n";
        let languages = read(lines, &filter).unwrap();
        let count = |d: &Documents| d.signals.len() + d.held_out.len();
        assert_eq!(languages.iter().map(|(l, d)| (l.as_str(), count(d))).collect::<Vec<_>>(), [("deu", 2)]);
        assert_eq!(
            table("x", &[MOST], &languages, &|_, _| true).unwrap_err(),
            "there are too few English documents to compare with"
        );
    }
}
