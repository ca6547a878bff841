//! Makes the weights of `filter.toxicity` from labelled rows, benign prose, and sentences and words of our own.

use super::LEXICON;
use crate::text::files::listed;
use crate::text::linear::rows::{self, Row};
use crate::text::toxic::lexicon::Lexicon;
use crate::text::toxic::train::{Plan, train};
use crate::text::toxic::{Toxic, grammar};
use schemas::{Config as _, FilePath, Fitted, Fitting, KeyError, Settings, config};
use std::path::{Path, PathBuf};

/// The sets whose licences allow that a model learned from them is given on (MIT, Apache-2.0, CC BY).
const SHIPPABLE: [&str; 5] = ["cold", "davidson", "germeval2018", "mlma", "surge"];
/// Its labels follow the topic more than the tone; in French it is all there is.
const SKIPPED: [&str; 2] = ["mlma ar", "mlma en"];
/// The sentences that ship.
const GRAMMAR: &str = include_str!("../../../assets/grammar.txt");

config! {
    /// Where `filter.toxicity` learns from.
    pub struct Config {
        /// Folder of JSON lines (`.jsonl`, `.jsonl.gz`) with `text`, `label` (0 or 1), `source`, `lang`.
        data: FilePath = FilePath::default();
        /// Files of that folder to learn from, by name without ending.
        sets: Vec<String> = SHIPPABLE.map(str::to_owned).to_vec();
        /// Rows to leave out, by source and language.
        skip: Vec<String> = SKIPPED.map(str::to_owned).to_vec();
        /// Folder of JSON lines with `text` that belongs to no class: prose and documentation.
        benign: FilePath = FilePath::default();
        /// Folder of lists of rude words, one a line, each a file named for its language.
        lists: FilePath = FilePath::default();
        /// Holds one row in ten out of training, so that scores on them are honest.
        hold_out: bool = false;
    }
}

/// The learner of `filter.toxicity`.
pub const FIT: Fitting = Fitting {
    kind: "filter.toxicity",
    summary: "Learns from labelled posts, benign prose, and sentences and words that ship with it.",
    keys: Config::KEYS,
    fit,
};

fn fit(settings: &Settings) -> Result<Fitted, Vec<KeyError>> {
    let config: Config = settings.parse()?;
    let mut rows = read(&config, settings).map_err(|error| vec![error])?;
    if !config.hold_out {
        rows.iter_mut().for_each(|row| row.held_out = false);
    }
    let lexicon = Lexicon::read(LEXICON).expect("the words that ship are whole");
    let bytes = train(&rows, Toxic::blank(lexicon), &Plan::default()).write(LEXICON);
    let held_out = rows.iter().filter(|row| row.held_out).count();
    let facts = vec![("rows", rows.len().to_string()), ("held_out", held_out.to_string())];
    Ok(Fitted { bytes, facts })
}

fn wrong(key: &str, message: impl Into<String>) -> KeyError {
    KeyError { key: key.into(), message: message.into(), help: None }
}

fn read(config: &Config, settings: &Settings) -> Result<Vec<Row>, KeyError> {
    if config.data.is_empty() {
        return Err(wrong("data", "name the folder to learn from"));
    }
    let (mut out, data) = (Vec::new(), settings.resolve(&config.data));
    let mut sets: Vec<&str> = config.sets.iter().map(String::as_str).collect();
    sets.sort_unstable();
    let all = listed(&data, &[".jsonl", ".jsonl.gz"]).map_err(|e| wrong("data", e))?;
    for set in sets {
        let named =
            |path: &&PathBuf| name(path).strip_prefix(set).is_some_and(|end| end.starts_with(".jsonl"));
        let path = all.iter().find(named);
        let path =
            path.ok_or_else(|| wrong("sets", format!("{}: no file {set}.jsonl.gz", data.display())))?;
        add(path, &mut out).map_err(|e| wrong("sets", e))?;
    }
    out.retain(|row| !config.skip.contains(&row.group));
    if !config.benign.is_empty() {
        let paths = listed(&settings.resolve(&config.benign), &[".jsonl", ".jsonl.gz"]);
        let paths = paths.map_err(|e| wrong("benign", e))?;
        paths.iter().try_for_each(|path| add(path, &mut out)).map_err(|e| wrong("benign", e))?;
    }
    grammar::fill(GRAMMAR, &mut out).expect("the sentences that ship are whole");
    if !config.lists.is_empty() {
        let paths = listed(&settings.resolve(&config.lists), &[".txt"]).map_err(|e| wrong("lists", e))?;
        for path in paths {
            let text = std::fs::read_to_string(&path)
                .map_err(|e| wrong("lists", format!("{}: {e}", path.display())))?;
            out.extend(text.lines().filter(|line| !line.is_empty()).map(|line| Row {
                text: line.to_owned(),
                label: true,
                group: "list".into(),
                held_out: false,
            }));
        }
    }
    Ok(out)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn add(path: &Path, rows: &mut Vec<Row>) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    rows::read(&name(path), &bytes, rows)
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
        assert_eq!(told(&[]), "`data`: name the folder to learn from");
        assert!(told(&[("data", "no/such/folder")]).starts_with("`data`: no/such/folder: "));
    }
}
