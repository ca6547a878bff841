//! A committed dataset: a folder whose manifest names every file in it.

use super::{InspectError, Table, target};
use crate::forget;
use schemas::manifest::{self, Manifest, Node};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folder of the documents.
pub(crate) const DOCUMENTS: &str = "documents";
/// Name of the table of token shards; the manifest says which folder they lie in.
pub(crate) const TOKENS: &str = "tokens";
/// Folder of the ledgers, one file a node.
pub(crate) const LEDGER: &str = "ledger";
/// Folder of the dropped rows, one file a node.
pub(crate) const DROPPED: &str = "dropped";
/// Folder of what was measured, one file a node.
pub(crate) const SIGNALS: &str = "signals";

/// A folder with a manifest.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The folder.
    pub root: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Dataset {
    /// Opens a dataset folder, or the working folder of a build with a `dataset` in it.
    ///
    /// # Errors
    /// There is no manifest, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, InspectError> {
        if !path.exists() && forget::aside_of(path).is_none() {
            return Err(InspectError::io(path)(std::io::ErrorKind::NotFound.into()));
        }
        Self::find(path)?.ok_or_else(|| {
            let help = "give the `dataset` folder of a finished build, or its working folder; `gristmill build RECIPE` \
                        makes one";
            InspectError::format(path, "is no committed dataset: it has no manifest.json", help)
        })
    }

    /// Whether a path is a dataset or holds one, be it sound or not.
    pub fn is_at(path: &Path) -> bool {
        Self::root_at(path).is_some()
    }

    /// The folder of the dataset that a path is or holds. One that a kill has left without its name is a dataset all the same.
    fn root_at(path: &Path) -> Option<PathBuf> {
        let roots = [path.to_owned(), path.join("dataset")];
        let root = roots.iter().find(|root| root.join(manifest::FILE).is_file()).cloned();
        root.or_else(|| roots.iter().find_map(|root| forget::aside_of(root)))
    }

    /// As [`Dataset::open`], but `None` where there is no manifest.
    pub(crate) fn find(path: &Path) -> Result<Option<Self>, InspectError> {
        let Some(root) = Self::root_at(path) else { return Ok(None) };
        let file = root.join(manifest::FILE);
        let bytes = std::fs::read(&file).map_err(InspectError::io(&file))?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
            let help = "build the dataset again, or restore the file";
            InspectError::format(&file, format!("is no manifest: {error}"), help)
        })?;
        if manifest.version != manifest::VERSION {
            let (found, known) = (manifest.version, manifest::VERSION);
            let message = format!("has layout version {found}, this program knows {known}");
            return Err(InspectError::format(&file, message, "use the version of gristmill that it names"));
        }
        Ok(Some(Self { root, manifest }))
    }

    /// Files with rows in a folder of the dataset, in the order of their names; `tokens` is the folder of the token shards.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        let folder = match &self.manifest.tokens {
            Some(tokens) if folder == TOKENS => &tokens.folder,
            _ => folder,
        };
        let inside = |name: &&String| {
            name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')) && target::has_rows(name)
        };
        self.manifest.files.keys().filter(inside).map(|name| self.root.join(name)).collect()
    }

    /// Folders that hold documents, in the order of the recipe: those of all sinks but the one of the token shards.
    pub fn document_folders(&self) -> impl Iterator<Item = &str> {
        let folders = self.manifest.nodes.iter().filter_map(|node| node.folder.as_deref());
        let tokens = self.manifest.tokens.as_ref().map(|tokens| tokens.folder.as_str());
        folders.filter(move |folder| Some(*folder) != tokens)
    }

    /// Files of documents.
    pub fn documents(&self) -> Vec<PathBuf> {
        self.document_folders().flat_map(|folder| self.files(folder)).collect()
    }

    /// All rows in a folder of the dataset as one table.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn table(&self, folder: &str) -> Result<Table, InspectError> {
        Table::open(&self.files(folder))
    }

    /// Name in the manifest of the file that a node has in `folder`: `ledger/03-filter.length.parquet`.
    pub(crate) fn node_file(&self, folder: &str, node: &Node) -> Option<&str> {
        let is_it = |name: &&String| {
            let file = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            file.and_then(node_of).is_some_and(|found| found == node.name)
        };
        self.manifest.files.keys().find(is_it).map(String::as_str)
    }

    /// Every table that SQL can ask, by name, with its files.
    pub fn tables(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let mut tables = BTreeMap::new();
        let ours = [TOKENS, LEDGER, DROPPED].into_iter();
        for folder in self.document_folders().chain(ours) {
            tables.insert(sql_name(folder), self.files(folder));
        }
        for node in &self.manifest.nodes {
            if let Some(name) = self.node_file(SIGNALS, node) {
                tables.insert(format!("signals_{}", sql_name(&node.name)), vec![self.root.join(name)]);
            }
        }
        tables.retain(|_, files| !files.is_empty());
        tables
    }
}

/// A name that SQL reads without quotes.
fn sql_name(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// The node in `NN-<node name>.parquet`.
fn node_of(file: &str) -> Option<&str> {
    let (number, rest) = file.split_once('-')?;
    let numbered = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    numbered.then(|| rest.strip_suffix(".parquet")).flatten()
}
