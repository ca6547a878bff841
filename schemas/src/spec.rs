//! The registry line of a stage.

use crate::{Key, KeyError, Settings, Stage};

/// Makes a stage from its settings.
pub type Build = fn(&Settings) -> Result<Box<dyn Stage>, Vec<KeyError>>;

/// Why a stage drops a document, as the manual and the ledger write it.
#[derive(Debug)]
pub struct Reason {
    /// Name in the ledger.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// What the house knows of a stage without making one.
#[derive(Debug)]
pub struct Spec {
    /// Path of the stage, which is its name everywhere: `filter.length`.
    pub kind: &'static str,
    /// Raised by whatever changes the output.
    pub version: u32,
    /// One sentence for lists.
    pub summary: &'static str,
    /// Every key with its default.
    pub keys: &'static [Key],
    /// Every reason to drop a document.
    pub reasons: &'static [Reason],
    /// The maker.
    pub build: Build,
}
