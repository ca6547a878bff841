//! The door of kinds that learn: what `gristmill fit KIND` runs.

use crate::{Key, KeyError, Settings};

/// Makes the bytes of a kind's weights from the files that the settings name.
///
/// The same settings, files and version give the same bytes. Mistakes come back as those of a stage do: all at once, each with its key.
pub type Fit = fn(&Settings) -> Result<Fitted, Vec<KeyError>>;

/// What the house knows of a kind that learns, beside its [`crate::Spec`].
#[derive(Debug)]
pub struct Fitting {
    /// The kind whose key `weights` reads the result.
    pub kind: &'static str,
    /// One sentence for lists.
    pub summary: &'static str,
    /// Every key with its default.
    pub keys: &'static [Key],
    /// The learner.
    pub fit: Fit,
}

/// Weights, and what is worth telling of how they came to be.
#[derive(Debug)]
pub struct Fitted {
    /// The file to write.
    pub bytes: Vec<u8>,
    /// Names with values, in the order in which they are told: rows, rows held out, scores on those.
    pub facts: Vec<(&'static str, String)>,
}
