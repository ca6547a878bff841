//! What a model folder holds of its training besides the model: where its dataset lies, and what must go before another training.

use crate::checkpoint;
use crate::error::TrainError;
use crate::folder;
use crate::metrics;
use crate::train::REPORT;
use schemas::manifest;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// File of the path of the dataset from the model folder. It lies among the checkpoints: a model that is handed on does not tell it.
const DATASET: &str = "dataset.path";

/// Files that a training writes beside its checkpoints.
const FILES: [&str; 8] = [
    metrics::FILE,
    metrics::TABLES[0],
    metrics::TABLES[1],
    REPORT,
    folder::CONFIG,
    folder::TENSORS,
    manifest::TOKENIZER,
    manifest::TOKENIZER_CONFIG,
];

/// Writes down where the dataset of a training lies.
pub(super) fn remember(out: &Path, dataset: &Path) -> Result<(), TrainError> {
    let path = checkpoint::folder(out).join(DATASET);
    let whole = |path: &Path| std::path::absolute(path).map_err(TrainError::io(path));
    let told = between(&whole(out)?, &whole(dataset)?).display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(known) if known == told => Ok(()),
        _ => folder::replace(&path, told.as_bytes()),
    }
}

/// The dataset that the model in a folder was trained on, where it lay then; else `dataset` beside the model. None where none is there.
pub fn dataset_of(model: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(model).ok()?;
    let told = std::fs::read_to_string(checkpoint::folder(model).join(DATASET)).ok();
    let told = told.as_deref().map(Path::new);
    let beside = Path::new("../dataset");
    let places = told.into_iter().chain([beside]).map(|path| followed(&whole, path));
    places.into_iter().find(|place| place.join(manifest::FILE).is_file())
}

/// Where a path leads from a folder, by its words alone.
fn followed(from: &Path, path: &Path) -> PathBuf {
    let mut found = from.to_owned();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            part => found.push(part),
        }
    }
    found
}

/// Takes away all that a training has written in a folder, so that the next one begins at its first step.
///
/// # Errors
/// What the system refuses.
pub(super) fn restart(out: &Path) -> Result<(), TrainError> {
    let gone = |path: &Path, result: std::io::Result<()>| match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(TrainError::io(path)(error)),
        _ => Ok(()),
    };
    // The report first: without it, what is left is an unfinished training.
    let report = out.join(REPORT);
    gone(&report, std::fs::remove_file(&report))?;
    let checkpoints = checkpoint::folder(out);
    gone(&checkpoints, std::fs::remove_dir_all(&checkpoints))?;
    FILES.iter().map(|name| out.join(name)).try_for_each(|file| gone(&file, std::fs::remove_file(&file)))
}

/// The path from one folder to another; both are absolute.
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
    fn a_path_between_two_folders() {
        let told = [("/w/model", "/w/dataset"), ("/w/a/b", "/w"), ("/w", "/w/dataset"), ("/a", "/b/c")];
        let told = told.map(|(from, to)| between(from.as_ref(), to.as_ref()).display().to_string());
        assert_eq!(told, ["../dataset", "../..", "dataset", "../b/c"]);
    }

    #[test]
    fn a_dataset_is_found_again_while_it_lies_there() {
        let folder = Folder::new("place");
        let (data, out) = (folder.0.join("data/set"), folder.0.join("models/one"));
        std::fs::create_dir_all(checkpoint::folder(&out)).unwrap();
        std::fs::create_dir_all(&data).unwrap();
        assert_eq!(dataset_of(&out), None);
        remember(&out, &data).unwrap();
        assert_eq!(dataset_of(&out), None);
        std::fs::write(data.join(manifest::FILE), "{}").unwrap();
        assert_eq!(dataset_of(&out), Some(data));
        restart(&out).unwrap();
        assert_eq!((dataset_of(&out), checkpoint::folder(&out).exists()), (None, false));
    }
}
