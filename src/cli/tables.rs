//! The tables of a recipe that are no stages, with the keys that they take; what editors, `stages` and people are told is one.

use pipeline::dag::Kinds;
use schemas::{Key, Spec};

/// A table of a recipe.
pub(super) struct Table {
    /// Its name: `[name]`.
    pub(super) name: &'static str,
    /// What it is for, a sentence.
    pub(super) summary: &'static str,
    /// Its keys.
    pub(super) keys: Vec<&'static Key>,
}

/// The tables of a recipe behind its stages.
pub(super) fn of(kinds: &Kinds) -> [Table; 3] {
    let spec = |kind: &str| -> &'static Spec {
        kinds
            .all
            .iter()
            .find(|spec| spec.kind == kind)
            .expect("the tables of a recipe stand for kinds that there are")
    };
    let keys = |kinds: &[&str]| kinds.iter().flat_map(|kind| spec(kind).keys).collect();
    [
        Table {
            name: "tokenizer",
            summary: "Trains or loads a tokenizer and makes token shards.",
            keys: keys(&["tokenize.bpe"]),
        },
        Table {
            name: "dataset",
            summary: "Form of the dataset.",
            keys: keys(&["sink.parquet", "pack.sequences"]),
        },
        Table {
            name: "train",
            summary: "Settings of the trainer.",
            keys: kinds.train.iter().flat_map(|train| train.keys).collect(),
        },
    ]
}
