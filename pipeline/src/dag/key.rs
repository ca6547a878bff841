//! Content keys: a hash names everything that a piece of work depends on.

use crate::recipe::{Block, Recipe, variables};
use schemas::{FilePath, FilePaths, Settings, Spec, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// blake3 of everything that determines a piece of work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Hashes parts; the length of each is hashed too, so that no two lists share bytes.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blake3::Hash::from(self.0).to_hex().as_str()[..32].fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Raised when the form of what is kept under a key changes.
const LAYOUT: u32 = 6;

/// The hash of a kind with its settings.
///
/// A key that lists the files of a source is left out: what a source reads is hashed with each split, so that a file more
/// does not touch the work on the others. All other keys that name files are hashed by what is in these, and those that list
/// them by their names too.
pub(super) fn node_hash(spec: &Spec, settings: &Settings, base: &Path) -> Hash {
    let [layout, version] = [LAYOUT, spec.version].map(u32::to_le_bytes);
    let mut parts: Vec<Vec<u8>> = vec![layout.into(), spec.kind.into(), version.into()];
    for key in spec.keys.iter().filter(|k| k.kind != FilePaths::KIND || !is_source(spec)) {
        let value = settings.pairs().iter().find(|(name, _)| name == key.name).map(|(_, value)| value);
        parts.push(key.name.into());
        parts.push(match value {
            Some(value) if key.kind == FilePath::KIND => {
                content(&base.join(value.as_str().unwrap_or_default()))
            }
            Some(value) if key.kind == FilePaths::KIND => listed(base, value),
            Some(value) => value.to_string().into(),
            None => (key.default)().into(),
        });
    }
    Hash::of(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Digests of what the settings stand for, so that a plan can say which of it changed.
///
/// 16 bits let all but one change of 65,536 be seen, and tell next to nothing of a secret; they decide on words alone.
pub(super) fn facts(spec: &Spec, block: &Block, recipe: &Recipe) -> BTreeMap<String, String> {
    let digest = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..4].to_owned();
    let mut facts = BTreeMap::new();
    for entry in &block.keys {
        let is_file = spec.keys.iter().any(|key| key.name == entry.name && key.kind == FilePath::KIND);
        if let Some(path) = entry.value.as_str().filter(|path| is_file && !path.is_empty()) {
            facts.insert(entry.name.clone(), digest(&content(&recipe.base().join(path))));
        }
        let is_list = spec.keys.iter().any(|key| key.name == entry.name && key.kind == FilePaths::KIND);
        if is_list && !is_source(spec) {
            facts.insert(entry.name.clone(), digest(&listed(recipe.base(), &entry.value)));
        }
        for name in variables(&entry.written) {
            let value = recipe.variables.get(name).map_or("", String::as_str);
            facts.insert(format!("${{{name}}}"), digest(value.as_bytes()));
        }
    }
    facts
}

fn is_source(spec: &Spec) -> bool {
    spec.kind.starts_with("source.")
}

/// Deepest folder that is looked into below one that a list names.
const DEPTH_MAX: usize = 64;

/// What a list of files stands for: each path as it is written, and the names and contents of all files that it can lead to. A
/// pattern can lead to any file below the folder that stands before it.
fn listed(base: &Path, value: &Value) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    for path in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let literal: PathBuf = Path::new(path)
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?']))
            .collect();
        let mut files = Vec::new();
        walk(&base.join(literal), "", DEPTH_MAX, &mut files);
        files.sort();
        hasher.update(&Hash::of(&[path.as_bytes()]).0);
        for (name, file) in files {
            hasher.update(&Hash::of(&[name.as_bytes(), &content(&file)]).0);
        }
    }
    hasher.finalize().as_bytes().to_vec()
}

/// The files at or below a path with their names below it. Links to folders are not followed: they could lead in a circle.
fn walk(path: &Path, name: &str, depth: usize, out: &mut Vec<(String, PathBuf)>) {
    let is_folder = match name {
        "" => path.is_dir(),
        _ => path.symlink_metadata().is_ok_and(|found| found.is_dir()),
    };
    if !is_folder {
        out.push((name.to_owned(), path.to_owned()));
        return;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.filter(|_| depth > 0) {
        let below = format!("{name}/{}", entry.file_name().to_string_lossy());
        walk(&entry.path(), &below, depth - 1, out);
    }
}

fn content(path: &Path) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    match std::fs::File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ())) {
        Ok(()) => hasher.finalize().as_bytes().to_vec(),
        Err(error) => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_list_of_files_is_what_is_in_them() {
        let base = std::env::temp_dir().join(format!("gristmill-listed-{}", std::process::id()));
        fs::create_dir_all(base.join("sets/deep")).unwrap();
        fs::write(base.join("sets/deep/a.jsonl"), "one").unwrap();
        let hash = |paths: &[&str]| listed(&base, &Value::from(paths.to_vec()));
        let (folder, pattern) = (hash(&["sets"]), hash(&["sets/*/*.jsonl"]));
        assert_eq!(hash(&["sets"]), folder);
        assert_ne!(hash(&["sets/deep"]), folder);
        assert_ne!(hash(&["sets", "sets"]), folder);
        fs::write(base.join("sets/deep/a.jsonl"), "two").unwrap();
        assert_ne!(hash(&["sets"]), folder);
        assert_ne!(hash(&["sets/*/*.jsonl"]), pattern);
        fs::write(base.join("sets/deep/a.jsonl"), "one").unwrap();
        assert_eq!((hash(&["sets"]), hash(&["sets/*/*.jsonl"])), (folder.clone(), pattern));
        fs::write(base.join("sets/b.jsonl"), "").unwrap();
        assert_ne!(hash(&["sets"]), folder);
        fs::remove_dir_all(&base).unwrap();
    }
}
