//! What a committed dataset says of itself. A folder without a manifest is no dataset.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// File name of the manifest in a dataset folder.
pub const FILE: &str = "manifest.json";
/// File name of the tokenizer in a dataset folder.
pub const TOKENIZER: &str = "tokenizer.json";
/// Name of what `transformers` wants to know of the tokenizer beside it: its special tokens.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Raised when the layout of datasets changes.
pub const VERSION: u32 = 2;

/// `manifest.json`: canonical (keys sorted, no clock, no path outside the folder), written last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout: [`VERSION`].
    pub version: u32,
    /// Name in the recipe.
    pub name: String,
    /// Version of the program.
    pub gristmill: String,
    /// blake3 of the nodes with their settings and versions and of the content of the sources.
    pub build: String,
    /// Every node in the order of the run, with rows in and out.
    pub nodes: Vec<Node>,
    /// Every file, by its path in the folder, with `/` between names.
    pub files: BTreeMap<String, File>,
    /// Token shards in short; absent when the recipe has no tokenizer.
    pub tokens: Option<Tokens>,
}

/// One node of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Name in the recipe.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Version of the kind.
    pub version: u32,
    /// Settings, defaults included, secrets left out.
    pub settings: BTreeMap<String, String>,
    /// Names of the nodes that it reads.
    pub inputs: Vec<String>,
    /// Folder of the dataset that a sink writes; `None` of every other node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows kept, edited ones included.
    pub kept: u64,
    /// Of these, edited.
    pub edited: u64,
    /// Rows dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Rows that had no value in any column that the node reads.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub blank: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One file of the dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Length in bytes.
    pub bytes: u64,
    /// Rows, for Parquet and JSON lines.
    pub rows: Option<u64>,
    /// Hexadecimal blake3.
    pub blake3: String,
    /// Hexadecimal SHA-256.
    pub sha256: String,
}

/// The token shards of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Folder of the shards in the dataset, with folders `train` and `validation` in it.
    pub folder: String,
    /// Tokens in a sequence.
    pub sequence_length: u64,
    /// Token ids are below this.
    pub vocab_size: u64,
    /// Token between documents.
    pub eos_id: u32,
    /// Tokens in training sequences, padding left out.
    pub train: u64,
    /// Tokens in held-out sequences, padding left out.
    pub validation: u64,
    /// Hexadecimal blake3 of `tokenizer.json`.
    pub tokenizer: String,
}
