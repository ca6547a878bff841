//! A recipe: TOML that describes a build, read into blocks that remember where they stand in the text.
//!
//! Nothing here knows a kind. Every mistake is kept with its place and a next step, so that all are told together.

mod block;
mod mistake;
mod read;
mod syntax;
mod value;
mod wording;

pub use mistake::{Mistake, Mistakes, Place};
pub(crate) use value::variables;

use crate::dag::Surprise;
use schemas::Value;
use std::collections::BTreeMap;
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
    /// What is no TOML in it; all places are those of its repaired text until a mistake is told.
    pub(crate) damage: syntax::Damage,
    /// Values of the variables that it names.
    pub(crate) variables: BTreeMap<String, String>,
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
    /// What is done when the node does what hardly anybody wants; `None` when the recipe does not say.
    pub surprise: Option<Surprise>,
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
    /// Where each element of a list stands.
    pub items: Vec<Range<usize>>,
}

impl Recipe {
    /// Reads a recipe file; `${VAR}` is looked up in `environment`.
    ///
    /// # Errors
    /// All mistakes in the form of the recipe: syntax, unknown tables, wrong types, variables that are not set.
    pub fn read(file: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Mistakes> {
        let text = load(file)?;
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
        let whole = mistakes.is_empty() && recipe.damage.is_none();
        if whole { Ok(recipe) } else { Err(Mistakes::new(&recipe, mistakes)) }
    }

    /// Reads a file that may be a part of a recipe, such as `[train]` alone: one without a source.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn read_part(file: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Mistakes> {
        let (recipe, mut mistakes) = read::recipe(file, load(file)?, environment);
        mistakes.retain(|mistake| mistake.message != read::NO_SOURCE);
        let whole = mistakes.is_empty() && recipe.damage.is_none();
        if whole { Ok(recipe) } else { Err(Mistakes::new(&recipe, mistakes)) }
    }

    /// A recipe that nobody wrote down: its mistakes have no place.
    pub fn of_blocks(file: &Path, name: &str, sources: Vec<Block>, stages: Vec<Block>) -> Self {
        Self {
            file: file.to_owned(),
            text: String::new(),
            name: name.to_owned(),
            sources,
            stages,
            tokenizer: None,
            dataset: None,
            train: None,
            damage: syntax::Damage::default(),
            variables: BTreeMap::new(),
        }
    }

    /// Reads a recipe as far as it can be read, with the mistakes in its form.
    pub(crate) fn parse_recoverable(
        file: &Path,
        text: String,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> (Self, Vec<Mistake>) {
        read::recipe(file, text, environment)
    }

    /// The line that a place is on.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.damage.text.bytes().take(at).filter(|&b| b == b'\n').count() + 1
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
pub(crate) fn load(file: &Path) -> Result<String, Mistakes> {
    let told = |message: String, help: String| Mistakes::unreadable(file, message, help);
    let refused = |error: &std::io::Error| told(plain_words(error), beside(file));
    let found = std::fs::metadata(file).map_err(|e| refused(&e))?;
    if found.is_dir() {
        let inside = nearest(file, "recipe.toml");
        let help = inside.map_or_else(
            || beside(file),
            |name| format!("name the recipe in it: `{}`", file.join(name).display()),
        );
        return Err(told("is a folder".to_owned(), help));
    }
    let length = found.len();
    if length > RECIPE_BYTES_MAX {
        let message = format!("has {length} bytes, more than a recipe may have ({RECIPE_BYTES_MAX})");
        return Err(told(
            message,
            "name a recipe, not the documents: they go under `paths` of a source".to_owned(),
        ));
    }
    let bytes = std::fs::read(file).map_err(|e| refused(&e))?;
    // A line of JSON would be a mistake for each of its words.
    if bytes.trim_ascii_start().starts_with(b"{") {
        let help = "a recipe is TOML; the documents go under `paths` of a source".to_owned();
        return Err(told("begins as JSON does".to_owned(), help));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let help = "save the file as UTF-8".to_owned();
        let mistake =
            Mistake::new(at..at + '\u{fffd}'.len_utf8(), format!("the byte 0x{byte:02X} is not UTF-8"), help);
        Mistakes { file: file.to_owned(), text, list: vec![mistake] }
    })
}

/// What the system says, without its number.
pub(crate) fn plain_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it may not be read (permission denied)".to_owned(),
        _ => error.to_string(),
    }
}

/// A file of the folder that the name may have been meant for.
pub(crate) fn nearest(folder: &Path, name: &str) -> Option<String> {
    let entries =
        std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    // A folder can hold millions of files; a suggestion is not worth reading them all.
    let mut names: Vec<String> =
        entries.take(4096).flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    schemas::near::closest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

fn beside(file: &Path) -> String {
    let folder = file.parent().unwrap_or(Path::new(""));
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match nearest(folder, &name).filter(|near| *near != name) {
        Some(near) => format!("did you mean `{}`?", folder.join(near).display()),
        None => "name a recipe file; `gristmill new DIR` writes one with comments".to_owned(),
    }
}
