//! Makes the weights of `filter.toxicity` from labelled rows.

use crate::text::linear::rows::{self, Row};
use crate::text::linear::train::{Plan, train};
use schemas::{Config as _, FilePath, Fitted, Fitting, KeyError, Settings, config};
use std::path::{Path, PathBuf};

/// The sets whose licences allow that a model learned from them is given on (MIT, Apache-2.0, CC BY), but for mlma: its
/// labels follow the topic more than the tone, and plain French news scored 0.57 with it.
const SHIPPABLE: [&str; 4] = ["cold", "davidson", "germeval2018", "surge"];

config! {
    /// Where `filter.toxicity` learns from.
    pub struct Config {
        /// Folder of JSON lines (`.jsonl`, `.jsonl.gz`) with `text`, `label` (0 or 1), `source`, `lang`.
        data: FilePath = FilePath::default();
        /// Files of that folder to learn from, by name without ending.
        sets: Vec<String> = SHIPPABLE.map(str::to_owned).to_vec();
        /// Folder of JSON lines with `text` that belongs to no class: prose and documentation.
        benign: FilePath = FilePath::default();
        /// Sentences with a place for a group of people, such as `stages/assets/identity.txt`.
        templates: FilePath = FilePath::default();
    }
}

/// The learner of `filter.toxicity`.
pub const FIT: Fitting = Fitting {
    kind: "filter.toxicity",
    summary: "Learns from labelled posts, benign prose and sentences about groups of people.",
    keys: Config::KEYS,
    fit,
};

fn fit(settings: &Settings) -> Result<Fitted, Vec<KeyError>> {
    let config: Config = settings.parse()?;
    let read = read(&config, settings).map_err(|error| vec![error])?;
    let bytes = train(&read, &Plan::default()).write();
    let held_out = read.iter().filter(|row| row.held_out).count();
    let facts = vec![("rows", read.len().to_string()), ("held_out", held_out.to_string())];
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
    let all = files(&data).map_err(|e| wrong("data", e))?;
    for set in sets {
        let named =
            |path: &&PathBuf| name(path).strip_prefix(set).is_some_and(|end| end.starts_with(".jsonl"));
        let path = all.iter().find(named);
        let path =
            path.ok_or_else(|| wrong("sets", format!("{}: no file {set}.jsonl.gz", data.display())))?;
        add(path, &mut out).map_err(|e| wrong("sets", e))?;
    }
    if !config.benign.is_empty() {
        let paths = files(&settings.resolve(&config.benign)).map_err(|e| wrong("benign", e))?;
        paths.iter().try_for_each(|path| add(path, &mut out)).map_err(|e| wrong("benign", e))?;
    }
    if !config.templates.is_empty() {
        let path = settings.resolve(&config.templates);
        let text = std::fs::read_to_string(&path)
            .map_err(|e| wrong("templates", format!("{}: {e}", path.display())))?;
        rows::templates(&name(&path), &text, &mut out).map_err(|e| wrong("templates", e))?;
    }
    Ok(out)
}

/// The files of JSON lines of a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(wrong)?;
    let paths = entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let mut paths: Vec<PathBuf> = paths
        .into_iter()
        .filter(|p| [".jsonl", ".jsonl.gz"].iter().any(|end| name(p).ends_with(end)))
        .collect();
    paths.sort();
    Ok(paths)
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
