//! Makes the weights of `filter.language` from labelled texts.

use crate::text::files::unpack;
use crate::text::langid::codes::{self, UND};
use crate::text::langid::train::{Plan, Row, is_held_out, sharpening, train};
use crate::text::langid::{Model, Scratch};
use schemas::{Config as _, FilePath, Fitted, Fitting, KeyError, Settings, config};
use std::collections::BTreeMap;

/// Most bytes that a file may unpack to.
const BYTES_MAX: u64 = 1 << 31;
/// How often a pass shows a labelled sentence, against once for a text of the corpus.
const REPEATS: u32 = 6;
/// The same for a source of natural text in the corpus.
const REPEATS_NATURAL: u32 = 2;
/// Texts of a language in a pass, repeats counted, that thin ones are repeated up to, tenfold at most.
const TEXTS_MIN: u32 = 1200;

config! {
    /// Where `filter.language` learns from.
    pub struct Config {
        /// JSON lines (gzipped or not) with `text` and `label` (ISO 639-1 or 639-3); one text in five, by a hash of its letters, is held out to measure with.
        data: FilePath = FilePath::default();
        /// JSON lines made by `benches/peers/language_corpus.py`, with `text`, `label`, `source`; all are learned from.
        corpus: FilePath = FilePath::default();
        /// Runs of letters that the table for Latin keeps.
        rows_max: u64 = Plan::default().rows_max as u64, in 1..=200_000;
        /// After measuring, learn again with the held-out texts too.
        again: bool = true;
    }
}

/// The learner of `filter.language`.
pub const FIT: Fitting = Fitting {
    kind: "filter.language",
    summary: "Learns from sentences with their language and a corpus drawn from open packages.",
    keys: Config::KEYS,
    fit,
};

fn fit(settings: &Settings) -> Result<Fitted, Vec<KeyError>> {
    let config: Config = settings.parse()?;
    let mut rows = Vec::new();
    for (key, path) in [("data", &config.data), ("corpus", &config.corpus)] {
        let wrong = |message: String| vec![KeyError { key: key.into(), message, help: None }];
        if path.is_empty() {
            return Err(wrong("name the file to learn from".into()));
        }
        let path = settings.resolve(path);
        let found = read(&path, key == "data").map_err(|e| wrong(format!("{}: {e}", path.display())))?;
        rows.extend(found);
    }
    fatten(&mut rows);
    let plan = Plan { rows_max: config.rows_max as usize, ..Plan::default() };
    let mut model = train(&rows, &plan);
    let mut facts = vec![("rows", rows.len().to_string())];
    let held_out = rows.iter().filter(|row| row.held_out);
    facts.push(("held_out", held_out.clone().count().to_string()));
    facts.push(("accuracy", format!("{:.4}", accuracy(&model, held_out))));
    if config.again {
        rows.iter_mut().for_each(|row| row.held_out = false);
        model = train(&rows, &Plan { sharpen: sharpening(&model), ..plan });
    }
    facts.push(("memory", model.memory().to_string()));
    Ok(Fitted { bytes: model.write(), facts })
}

fn accuracy<'a>(model: &Model, rows: impl Iterator<Item = &'a Row>) -> f64 {
    let (mut right, mut all, mut scratch) = (0.0, 0.0, Scratch::default());
    for row in rows {
        let found = model.detect([row.text.as_str()], &mut scratch);
        right += f64::from(u8::from(found.is_some_and(|f| f.language == row.label)));
        all += 1.0;
    }
    right / f64::max(all, 1.0)
}

fn read(path: &std::path::Path, measured: bool) -> Result<Vec<Row>, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let lines = unpack(&bytes, BYTES_MAX).map_err(|e| e.to_string())?;
    let rows = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    rows.map(|(n, line)| row(line, measured).map_err(|e| format!("line {}: {e}", n + 1))).collect()
}

fn row(line: &str, measured: bool) -> Result<Row, String> {
    let row: serde_json::Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let field =
        |key: &str| row.get(key).and_then(serde_json::Value::as_str).ok_or(format!("the row has no `{key}`"));
    let (text, label) = (field("text")?.to_owned(), field("label")?);
    let known = Some(UND).filter(|_| label == UND).or_else(|| codes::label(label));
    let label = known.ok_or_else(|| format!("`{label}` is not a language that can be told"))?;
    let repeats = match field("source") {
        _ if measured => REPEATS,
        Ok("ngrams") => 1,
        _ if label == UND => 1,
        _ => REPEATS_NATURAL,
    };
    Ok(Row { held_out: measured && is_held_out(&text), text, label, repeats })
}

/// Shows the texts of thin languages more often.
fn fatten(rows: &mut [Row]) {
    let mut shown: BTreeMap<&str, u32> = BTreeMap::new();
    rows.iter().for_each(|row| *shown.entry(row.label).or_default() += row.repeats);
    for row in rows {
        row.repeats *= (TEXTS_MIN / shown[row.label]).clamp(1, 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let told = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
            fit(&Settings::new(pairs)).expect_err("nothing to learn from")[0].to_string()
        };
        assert_eq!(told(&[]), "`data`: name the file to learn from");
        assert!(told(&[("data", "no/such.jsonl")]).starts_with("`data`: no/such.jsonl: "));
    }

    #[test]
    fn rows_are_read_and_thin_languages_shown_more_often() {
        assert_eq!(
            row(r#"{"text":"a","label":"xx"}"#, true).unwrap_err(),
            "`xx` is not a language that can be told"
        );
        let mut rows = vec![row(r#"{"text":"a","label":"en","source":"udhr"}"#, false).unwrap()];
        fatten(&mut rows);
        assert_eq!((rows[0].label, rows[0].repeats, rows[0].held_out), ("eng", 20, false));
    }
}
