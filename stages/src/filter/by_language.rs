//! Limits by language: a table of a kind's own keys for each language, asked by the column `language`. No kind lives here.
//!
//! The file is TOML, a table a language: `[fra]`, `stop_words = ["de", "la"]`, `word_chars_max = 11.0`. What a table leaves unset is as
//! the recipe has it. A document in a language without a table, or in none, goes as `unknown_language`: limits made for another language
//! would judge it by chance, and to pass it unseen would be a filter that never fires.

pub mod fit;

use arrow::array::{Array, ArrayRef, Float64Builder, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::{
    Config, FilePath, Filter, FilterStage, KeyError, Made, Outcome, Reason, Settings, Stage, StageError,
    Value, Verdict, column,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a document goes that no table speaks of.
pub const UNKNOWN_LANGUAGE: Reason = Reason {
    name: "unknown_language",
    doc: "Limits are by language, and there is no table for the language of the document.",
};

/// A filter for each language.
#[derive(Debug)]
pub struct ByLanguage<F>(BTreeMap<String, F>);

/// The tables of a file, where one is named.
///
/// # Errors
/// The file cannot be read.
pub fn read(settings: &Settings, path: &FilePath) -> Result<Option<String>, Vec<KeyError>> {
    if path.is_empty() {
        return Ok(None);
    }
    let path = settings.resolve(path);
    std::fs::read_to_string(&path).map(Some).map_err(|e| {
        vec![KeyError { key: "languages".into(), message: format!("{}: {e}", path.display()), help: None }]
    })
}

/// Makes the stage of a filter: one for all languages without `tables`, else one for each of them.
///
/// # Errors
/// Every mistake of the settings, and of each table under the key `languages`.
pub fn made<C: Config, F: Filter + 'static>(
    settings: &Settings,
    tables: Option<&str>,
    make: fn(&C) -> F,
) -> Result<Made, Vec<KeyError>> {
    let Some(tables) = tables else {
        return Ok(Made::Stage(Box::new(FilterStage(make(&settings.parse()?)))));
    };
    let wrong = |message: String| KeyError { key: "languages".into(), message, help: None };
    let tables: BTreeMap<String, Value> =
        toml::from_str(tables).map_err(|e| vec![wrong(e.message().to_owned())])?;
    let (mut filters, mut errors) = (BTreeMap::new(), Vec::new());
    for (language, table) in tables {
        let Value::Table(table) = table else {
            errors.push(wrong(format!("`{language}` is no table of keys")));
            continue;
        };
        let mut pairs = settings.pairs().to_vec();
        pairs.retain(|(key, _)| !table.contains_key(key));
        pairs.extend(table);
        match Settings::new(pairs).parse() {
            Ok(config) => {
                filters.insert(language, make(&config));
            }
            Err(found) => errors.extend(found.into_iter().map(|e| wrong(format!("[{language}] {e}")))),
        }
    }
    if filters.is_empty() && errors.is_empty() {
        errors.push(wrong("there is no table of a language".to_owned()));
    }
    if errors.is_empty() { Ok(Made::Stage(Box::new(ByLanguage(filters)))) } else { Err(errors) }
}

impl<F: Filter> Stage for ByLanguage<F> {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        column::require(input, column::LANGUAGE, &DataType::Utf8)?;
        Ok(input.clone())
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let languages = column::utf8(batch, column::LANGUAGE)?;
        let mut verdicts = Vec::with_capacity(texts.len());
        let mut signals: Vec<Float64Builder> = F::SIGNALS.iter().map(|_| Float64Builder::new()).collect();
        for (text, language) in texts.iter().zip(languages) {
            let Some(filter) = language.and_then(|language| self.0.get(language)) else {
                let reason = UNKNOWN_LANGUAGE.name;
                verdicts.push(Verdict::Dropped { reason, value: 0.0, limit: 1.0, twin: None });
                signals.iter_mut().for_each(Float64Builder::append_null);
                continue;
            };
            let judgement = filter.judge(text.unwrap_or_default());
            verdicts.push(judgement.verdict);
            for (builder, value) in signals.iter_mut().zip(judgement.signals) {
                builder.append_value(value);
            }
        }
        let signals =
            F::SIGNALS.iter().zip(signals).map(|(name, mut b)| (*name, Arc::new(b.finish()) as ArrayRef));
        Ok(Outcome { verdicts, columns: Vec::new(), signals: signals.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::gopher::{Config as GopherConfig, Gopher};
    use arrow::array::StringArray;

    const TABLES: &str =
        "[fra]\nstop_words = [\"le\", \"la\"]\nwords_min = 3\n[deu]\nstop_words = [\"der\", \"und\"]\n";

    fn stage(tables: &str) -> Result<Made, Vec<KeyError>> {
        let settings = Settings::new(vec![("words_min".into(), Value::Integer(2))]);
        made::<GopherConfig, _>(&settings, Some(tables), Gopher::new)
    }

    fn check(rows: &[(Option<&str>, &str)], expected: &[Option<&str>]) {
        let text: ArrayRef = Arc::new(StringArray::from(rows.iter().map(|r| Some(r.1)).collect::<Vec<_>>()));
        let language: ArrayRef = Arc::new(StringArray::from(rows.iter().map(|r| r.0).collect::<Vec<_>>()));
        let batch = RecordBatch::try_from_iter_with_nullable([
            (column::TEXT, text, true),
            (column::LANGUAGE, language, true),
        ])
        .unwrap();
        let Ok(Made::Stage(stage)) = stage(TABLES) else { panic!("the tables are right") };
        let outcome = stage.apply(&batch).unwrap();
        let reasons = outcome.verdicts.iter().map(|verdict| match verdict {
            Verdict::Dropped { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), expected);
        assert!(outcome.signals.iter().all(|(_, values)| values.len() == rows.len()));
    }

    #[test]
    fn each_language_has_its_limits() {
        check(
            &[
                (Some("fra"), "le moulin et la meule"),
                (Some("fra"), "le moulin"),
                (Some("fra"), "der stein und der wind"),
                (Some("deu"), "der stein und"),
                (Some("deu"), "stein"),
            ],
            &[None, Some("too_few_words"), Some("too_few_stop_words"), None, Some("too_few_words")],
        );
    }

    /// A filter whose column is null must not pass everything in silence.
    #[test]
    fn a_language_without_a_table_is_a_reason() {
        check(&[(Some("eng"), "the mill and the wind"), (None, "le la le")], &[Some("unknown_language"); 2]);
    }

    #[test]
    fn mistakes_of_a_table_are_told() {
        let told = |tables| stage(tables).err().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(""), ["`languages`: there is no table of a language"]);
        assert_eq!(told("fra = 1"), ["`languages`: `fra` is no table of keys"]);
        assert_eq!(told("[fra]\nword_min = 1\n[deu]\nwords_min = \"x\"").len(), 2);
        assert!(
            told("[fra]\nword_min = 1")[0]
                .starts_with("`languages`: [fra] `word_min`: is not a key of this kind")
        );
    }
}
