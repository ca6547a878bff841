//! A recipe compiled: nodes in the order of the run, each made, each with the columns that it gets and gives.

mod compile;
mod draft;
mod draw;
mod flow;
mod join;
mod key;
mod kind;
mod make;

pub use compile::{check, compile};
pub use draw::draw;
pub(crate) use join::conform;
pub use key::Hash;

use arrow::datatypes::SchemaRef;
use schemas::{Key, KeyError, Made, Settings, Spec};
use std::collections::BTreeMap;

/// Everything that a recipe may name.
#[derive(Clone, Copy)]
pub struct Kinds {
    /// Sources, stages and sinks.
    pub all: &'static [Spec],
    /// The trainer's settings, for `[train]`.
    pub train: Option<TrainKeys>,
}

/// The settings of a trainer, without the trainer.
#[derive(Clone, Copy)]
pub struct TrainKeys {
    /// Every key.
    pub keys: &'static [Key],
    /// Finds the mistakes.
    pub check: fn(&Settings) -> Vec<KeyError>,
}

/// A compiled recipe.
pub struct Dag {
    /// Name of the dataset.
    pub name: String,
    /// Every node after its inputs; sources first.
    pub nodes: Vec<Node>,
    /// Settings of `[train]`.
    pub train: Option<Settings>,
}

schemas::choice! {
    /// What is done when a node touches no row, drops most of them, reads a column without values or writes over one of the source.
    pub enum Surprise {
        /// It is told at the end.
        Tell = "tell",
        /// Nothing is committed.
        Stop = "stop",
        /// Nothing: it is what the recipe means.
        Expected = "expected",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro writes the enum")]
impl Default for Surprise {
    fn default() -> Self {
        Self::Tell
    }
}

/// One node.
pub struct Node {
    /// Name, unique in the recipe.
    pub name: String,
    /// Kind.
    pub spec: &'static Spec,
    /// The thing itself.
    pub made: Made,
    /// Positions of the nodes that it reads.
    pub inputs: Vec<usize>,
    /// Columns that it gets; for a source those that it gives.
    pub input: SchemaRef,
    /// Columns that it gives.
    pub output: SchemaRef,
    /// Columns that it cannot do without.
    pub reads: Vec<String>,
    /// Columns that a source gave beside those of every document, and that it writes over.
    pub replaces: Vec<String>,
    /// What is done when it does what hardly anybody wants.
    pub surprise: Surprise,
    /// Settings as the manifest shows them, defaults included.
    pub shown: BTreeMap<String, String>,
    /// What settings stand for, as digests: the content of the file that a key names, under the key, and the value of a
    /// variable, under `${NAME}`.
    pub facts: BTreeMap<String, String>,
    /// Hash of kind, version, settings and the files that they name.
    pub hash: Hash,
    /// For a sink: the folder of the dataset that it writes.
    pub folder: String,
}

impl Node {
    /// Whether rows go through it one at a time: a stage, or a global that no row decides.
    pub(crate) fn is_passed(&self) -> bool {
        match &self.made {
            Made::Stage(_) => true,
            Made::Global(global) => !global.sees_rows(),
            _ => false,
        }
    }
}

impl Dag {
    /// Lets nothing surprising pass that the recipe does not expect.
    pub fn be_strict(&mut self) {
        let told = self.nodes.iter_mut().filter(|node| node.surprise == Surprise::Tell);
        told.for_each(|node| node.surprise = Surprise::Stop);
    }

    /// The nodes that read node `at`, in order.
    pub fn readers(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        (at + 1..self.nodes.len()).filter(move |&n| self.nodes[n].inputs.contains(&at))
    }
}
