//! What a run leaves: the dataset, the cache, the archive and the report; nothing half done.
//!
//! A run tidies when it begins, for a killed one could not, and when it ends, also with an error: on a full disk the room
//! that unfinished files take is needed most.

use super::error::RunError;
use super::{Workdir, frames};
use std::fs;
use std::path::Path;

/// Removes what is unfinished. A dataset that a killed commit had put aside comes back.
pub(super) fn tidy(workdir: &Workdir) -> Result<(), RunError> {
    frames::remove_parts(&workdir.0.join("cache"))?;
    remove(&workdir.scratch())?;
    remove(&workdir.unfinished())?;
    let (dataset, aside) = (workdir.dataset(), workdir.aside());
    if aside.exists() && !dataset.exists() {
        fs::rename(&aside, &dataset).map_err(RunError::io(&aside))?;
    }
    remove(&aside)
}

/// Removes a folder where there is one.
pub(super) fn remove(folder: &Path) -> Result<(), RunError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(RunError::io(folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tidies a folder with those files; what is left.
    fn check(name: &str, files: &[&str], left: &[&str]) {
        let root = std::env::temp_dir().join(format!("gristmill-tidy-{name}-{}", std::process::id()));
        remove(&root).unwrap();
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        tidy(&Workdir(root.clone())).unwrap();
        let mut found = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { open.push(path) } else { found.push(fs::read_to_string(path).unwrap()) }
            }
        }
        found.sort();
        assert_eq!(found, left, "{name}");
        remove(&root).unwrap();
    }

    #[test]
    fn only_finished_things_stay() {
        check("scratch", &["scratch/a/run", "cache/trace/ab/abcd"], &["cache/trace/ab/abcd"]);
        check("part", &["cache/rows/ab/abcd.3.part", "dataset.part/manifest.json"], &[]);
        check("done", &["dataset/new", "dataset.old/old"], &["dataset/new"]);
        check("between", &["dataset.old/old", "dataset.part/new"], &["dataset.old/old"]);
    }
}
