//! A recipe: TOML that describes a build, read into blocks that remember where they stand in the text.
//!
//! Nothing here knows a kind. Every mistake is kept with its place and a next step, so that all are told together.

mod mistake;
mod read;

pub use mistake::{Mistake, Mistakes, Place};

use schemas::Value;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest recipe that is read.
const RECIPE_BYTES_MAX: u64 = 4 << 20;

/// A recipe as it was written.
#[derive(Debug)]
pub struct Recipe {
    /// File that it was read from.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// Name of the dataset.
    pub name: String,
    /// `[sources.NAME]`, in the order of the text.
    pub sources: Vec<Block>,
    /// `[[stages]]`, in the order of the text.
    pub stages: Vec<Block>,
    /// `[tokenizer]`.
    pub tokenizer: Option<Block>,
    /// `[dataset]`.
    pub dataset: Option<Block>,
    /// `[train]`.
    pub train: Option<Block>,
}

/// One table of a recipe.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Name of the node, and where it stands; empty when the recipe gives none.
    pub name: Word,
    /// Kind of the node, and where it stands; empty when the recipe gives none.
    pub kind: Word,
    /// Nodes that it reads; `None` when the recipe leaves that to the order.
    pub input: Option<Vec<Word>>,
    /// All other keys.
    pub keys: Vec<Entry>,
    /// Where the block starts.
    pub span: Range<usize>,
}

/// A string with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// The string.
    pub text: String,
    /// Where it stands.
    pub span: Range<usize>,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name.
    pub name: String,
    /// Where the name stands.
    pub span: Range<usize>,
    /// Value, with `${VAR}` replaced.
    pub value: Value,
    /// Value as written: what a manifest may show.
    pub written: Value,
    /// Where the value stands.
    pub value_span: Range<usize>,
}

impl Recipe {
    /// Reads a recipe file; `${VAR}` is looked up in `environment`.
    ///
    /// # Errors
    /// All mistakes in the form of the recipe: syntax, unknown tables, wrong types, variables that are not set.
    pub fn read(file: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Mistakes> {
        let text = load(file).map_err(|message| Mistakes::unreadable(file, message))?;
        Self::parse(file, text, environment)
    }

    /// Reads the text of a recipe as if it stood in `file`.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn parse(
        file: &Path,
        text: String,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Mistakes> {
        let (recipe, mistakes) = read::recipe(file, text, environment);
        if mistakes.is_empty() { Ok(recipe) } else { Err(Mistakes::new(&recipe, mistakes)) }
    }

    /// Reads a recipe as far as it can be read, with the mistakes in its form.
    pub(crate) fn parse_recoverable(
        file: &Path,
        text: String,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> (Self, Vec<Mistake>) {
        read::recipe(file, text, environment)
    }

    /// Folder that relative paths start from.
    pub fn base(&self) -> &Path {
        match self.file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

/// Reads the text of a recipe file, or says why it cannot be read.
pub(crate) fn load(file: &Path) -> Result<String, String> {
    let length = std::fs::metadata(file).map_err(|e| e.to_string())?.len();
    if length > RECIPE_BYTES_MAX {
        return Err(format!("{length} bytes are more than a recipe may have ({RECIPE_BYTES_MAX})"));
    }
    let bytes = std::fs::read(file).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| format!("is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}
