//! Content keys: a hash names everything that a piece of work depends on.

use crate::recipe::{Block, Recipe, variables};
use schemas::{FilePath, FilePaths, Settings, Spec};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

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
const LAYOUT: u32 = 2;

/// The hash of a kind with its settings.
///
/// A key that lists files is left out: what a source reads is hashed with each split, so that a file more does not
/// touch the work on the others. A key that names one file is hashed by the content of the file.
pub(super) fn node_hash(spec: &Spec, settings: &Settings, base: &Path) -> Hash {
    let [layout, version] = [LAYOUT, spec.version].map(u32::to_le_bytes);
    let mut parts: Vec<Vec<u8>> = vec![layout.into(), spec.kind.into(), version.into()];
    for key in spec.keys.iter().filter(|k| k.kind != FilePaths::KIND) {
        let value = settings.pairs().iter().find(|(name, _)| name == key.name).map(|(_, value)| value);
        parts.push(key.name.into());
        parts.push(match value {
            Some(value) if key.kind == FilePath::KIND => {
                content(&base.join(value.as_str().unwrap_or_default()))
            }
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
        for name in variables(&entry.written) {
            let value = recipe.variables.get(name).map_or("", String::as_str);
            facts.insert(format!("${{{name}}}"), digest(value.as_bytes()));
        }
    }
    facts
}

fn content(path: &Path) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    match std::fs::File::open(path).and_then(|file| hasher.update_reader(file).map(|_| ())) {
        Ok(()) => hasher.finalize().as_bytes().to_vec(),
        Err(error) => error.to_string().into(),
    }
}
