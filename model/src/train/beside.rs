//! What a model folder holds of its training besides the model: where its dataset lies, and what must go before another training.

use crate::align::dpo::REFERENCE;
use crate::align::{REFUSED, adapter};
use crate::checkpoint::{self, Checkpoints, Held};
use crate::error::TrainError;
use crate::export::card::evaluations;
use crate::folder;
use crate::metrics;
use crate::train::REPORT;
use schemas::manifest;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// File of the path of the dataset from the model folder. It lies among the checkpoints: a model that is handed on does not tell it.
const DATASET: &str = "dataset.path";

/// Files that a training or an alignment writes beside its checkpoints.
const FILES: [&str; 11] = [
    metrics::FILE,
    metrics::STEPS,
    metrics::EVALUATIONS,
    folder::CONFIG,
    folder::TENSORS,
    adapter::ADAPTER,
    adapter::ADAPTER_CONFIG,
    REFERENCE,
    REFUSED,
    manifest::TOKENIZER,
    manifest::TOKENIZER_CONFIG,
];

/// Writes down where the dataset of a training lies. A path that is no UTF-8 is not: it has to be named then.
pub(super) fn remember(out: &Path, dataset: &Path) -> Result<(), TrainError> {
    let path = checkpoint::folder(out).join(DATASET);
    let whole = |path: &Path| path.canonicalize().map_err(TrainError::io(path));
    let way = between(&whole(out)?, &whole(dataset)?);
    let Some(told) = way.to_str() else { return Ok(()) };
    match std::fs::read_to_string(&path) {
        Ok(known) if known == told => Ok(()),
        _ => folder::replace(&path, told.as_bytes()),
    }
}

/// The dataset that the model in a folder was trained on: where it lay then, or `dataset` beside the model. None where it is not there, or
/// another one.
pub fn dataset_of(model: &Path) -> Option<PathBuf> {
    let whole = model.canonicalize().ok()?;
    let told = std::fs::read_to_string(checkpoint::folder(&whole).join(DATASET)).ok();
    let ways = told.as_deref().into_iter().chain(["../dataset"]);
    let mut places = ways.filter_map(|way| whole.join(way).canonicalize().ok());
    places.find(|place| is_of(&whole, place))
}

/// Whether a dataset is the one that the report of a training names, or none is named.
fn is_of(model: &Path, dataset: &Path) -> bool {
    let Ok(bytes) = std::fs::read(dataset.join(manifest::FILE)) else { return false };
    let report = std::fs::read(model.join(REPORT)).ok();
    let report = report.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()).unwrap_or_default();
    report["dataset"].as_str().is_none_or(|named| named == blake3::hash(&bytes).to_hex().as_str())
}

/// What works in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Training,
    Alignment,
}

impl Work {
    /// That of a folder, by its newest checkpoint or its report; `None` where neither can be read.
    fn of(out: &Path) -> Option<Self> {
        let report = || serde_json::from_slice::<Value>(&std::fs::read(out.join(REPORT)).ok()?).ok();
        let is_aligned = match Checkpoints::settings(out) {
            Some(settings) => settings.contains_key("method"),
            None => !report()?["method"].is_null(),
        };
        Some(if is_aligned { Self::Alignment } else { Self::Training })
    }
}

/// Takes away all that work of this kind has written in a folder, and what was measured of its model, so that the next begins at its first
/// step. A dataset of chats stays.
///
/// # Errors
/// What the system refuses, or a folder with a model that other work has made.
pub(crate) fn restart(held: &Held, work: Work) -> Result<(), TrainError> {
    let out = held.out();
    let checkpoints = checkpoint::folder(out);
    let is_begun = checkpoints.is_dir() || out.join(REPORT).is_file();
    let other = match (Work::of(out), work) {
        (Some(Work::Training), Work::Alignment) => Some("a training, which is no alignment"),
        (Some(Work::Alignment), Work::Training) => Some("an alignment, which is no training"),
        (None, _) if !is_begun && out.join(folder::CONFIG).is_file() => {
            Some("a model that neither a training nor an alignment here has made")
        }
        _ => None,
    };
    if let Some(other) = other {
        let message = format!("holds {other}; `--restart` does not take it away: name another folder");
        return Err(TrainError::misplaced(out, message));
    }
    // The report is the first: without it, what is left is an unfinished training; and checkpoints go before the metrics of their steps.
    folder::remove(&out.join(REPORT))?;
    match std::fs::remove_dir_all(&checkpoints) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(TrainError::io(&checkpoints)(error)),
        _ => {}
    }
    let files = FILES.iter().map(|name| out.join(name)).chain(evaluations(out)?);
    files.into_iter().try_for_each(|file| folder::remove(&file))
}

/// The way from one folder to another; both are absolute, without links.
fn between(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    // Nothing is shared on two drives of one machine: the path stays whole.
    let up = if shared == 0 { 0 } else { from.len() - shared };
    std::iter::repeat_n(Component::ParentDir, up).chain(to[shared..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_way_between_two_folders() {
        let told = [("/w/model", "/w/dataset"), ("/w/a/b", "/w"), ("/w", "/w/dataset"), ("/a", "/b/c")];
        let told = told.map(|(from, to)| between(from.as_ref(), to.as_ref()).display().to_string());
        assert_eq!(told, ["../dataset", "../..", "dataset", "../b/c"]);
    }

    #[test]
    fn a_dataset_is_found_again_while_it_lies_there_and_is_the_one() {
        let folder = Folder::new("beside");
        let (data, out) = (folder.0.join("data/set"), folder.0.join("models/one"));
        std::fs::create_dir_all(checkpoint::folder(&out)).unwrap();
        std::fs::create_dir_all(&data).unwrap();
        std::fs::create_dir_all(folder.0.join("models/dataset")).unwrap();
        assert_eq!(dataset_of(&out), None);
        // Up and down again is the same way.
        remember(&out.join("../one"), &data).unwrap();
        assert_eq!(dataset_of(&out), None);
        std::fs::write(data.join(manifest::FILE), "{}").unwrap();
        assert_eq!(dataset_of(&out), Some(data.canonicalize().unwrap()));
        assert_eq!(dataset_of(&out.join("checkpoints/..")), dataset_of(&out));
        let report = format!("{{\"dataset\": \"{}\"}}", blake3::hash(b"{}").to_hex());
        std::fs::write(out.join(REPORT), report).unwrap();
        assert!(dataset_of(&out).is_some());
        // The one beside the model is another one.
        std::fs::remove_file(data.join(manifest::FILE)).unwrap();
        std::fs::write(folder.0.join("models/dataset").join(manifest::FILE), "{ }").unwrap();
        assert_eq!(dataset_of(&out), None);
        std::fs::write(out.join("eval.json"), "{}").unwrap();
        let held = Held::take(&out).unwrap();
        restart(&held, Work::Training).unwrap();
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
        // What is not its own stays.
        for (file, told) in [(REPORT, "an alignment"), (folder::CONFIG, "neither a training")] {
            std::fs::write(out.join(file), "{\"method\": \"sft\"}").unwrap();
            let error = restart(&held, Work::Training).unwrap_err().to_string();
            assert!(error.contains(told) && out.join(file).is_file(), "{error}");
            std::fs::remove_file(out.join(file)).unwrap();
        }
    }
}
