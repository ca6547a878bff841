//! The registry line of a stage.

use crate::{Global, Key, KeyError, Regroup, Settings, Sink, Source, Stage};

/// What a kind is at work: the five parts that a build is made of.
pub enum Made {
    /// Gives documents.
    Source(Box<dyn Source>),
    /// Judges one row at a time.
    Stage(Box<dyn Stage>),
    /// Must see all rows before it judges one.
    Global(Box<dyn Global>),
    /// Makes other rows out of all rows.
    Regroup(Box<dyn Regroup>),
    /// Writes files.
    Sink(Box<dyn Sink>),
}

/// Makes a kind from its settings. Files that the settings name are read here and never later.
pub type Build = fn(&Settings) -> Result<Made, Vec<KeyError>>;

/// Why a stage drops a document, as the manual and the ledger write it.
#[derive(Debug)]
pub struct Reason {
    /// Name in the ledger.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
}

impl Reason {
    /// Makes one table of the tables of several dialects, in order; `N` is the sum of their lengths.
    pub const fn joined<const N: usize>(tables: &[&[Self]]) -> [Self; N] {
        let mut all = [const { Self { name: "", doc: "" } }; N];
        let (mut at, mut table) = (0, 0);
        while table < tables.len() {
            let mut row = 0;
            while row < tables[table].len() {
                all[at] = Self { name: tables[table][row].name, doc: tables[table][row].doc };
                at += 1;
                row += 1;
            }
            table += 1;
        }
        assert!(at == N, "N is the number of all reasons");
        all
    }
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
