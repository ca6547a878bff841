//! What a model folder holds of its training besides the model: where its dataset lies, and what must go before another training.

use crate::align::adapter;
use crate::checkpoint::{self, Held};
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
const FILES: [&str; 10] = [
    REPORT,
    metrics::FILE,
    metrics::STEPS,
    metrics::EVALUATIONS,
    folder::CONFIG,
    folder::TENSORS,
    adapter::ADAPTER,
    adapter::ADAPTER_CONFIG,
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

/// Takes away all that a training has written in a folder, and what was measured of its model, so that the next one begins at its first step.
///
/// # Errors
/// What the system refuses, or another training at work there.
pub(crate) fn restart(out: &Path) -> Result<(), TrainError> {
    if !out.is_dir() {
        return Ok(());
    }
    let _held = Held::take(out)?;
    let gone = |path: &Path, result: std::io::Result<()>| match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(TrainError::io(path)(error)),
        _ => Ok(()),
    };
    let files = FILES.iter().map(|name| out.join(name)).chain(evaluations(out)?);
    // The report is the first: without it, what is left is an unfinished training.
    files.into_iter().try_for_each(|file| gone(&file, std::fs::remove_file(&file)))?;
    let checkpoints = checkpoint::folder(out);
    gone(&checkpoints, std::fs::remove_dir_all(&checkpoints))
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
        restart(&out).unwrap();
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);
    }
}
