//! The texts of a document between the nodes of a build, from the cache beside the dataset, for `explain`.
//!
//! The cache has the text behind every node that changed it, and the rows before a barrier. What a node was given is what
//! the nearest node before it made; where that is the source, the node's own trace has it.

use pipeline::engine::{self, Report, Step, Workdir};
use pipeline::inspect::{Dataset, TextHistory, Texts};
use schemas::manifest::Node;
use stages::source::crawl::{Refused, refusal};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// What the working folder around a dataset remembers; nothing where it is another build's, or gone.
pub(super) struct History<'a> {
    dataset: &'a Dataset,
    workdir: Option<PathBuf>,
    /// Steps by document: a life is asked for node by node.
    known: Mutex<BTreeMap<String, Vec<Step>>>,
}

impl<'a> History<'a> {
    pub(super) fn beside(dataset: &'a Dataset) -> Self {
        // A relative path of one part has the parent "".
        let root = std::path::absolute(&dataset.root).unwrap_or_else(|_| dataset.root.clone());
        let workdir = root.parent().map(|folder| Workdir(folder.to_owned()));
        let of_this_build = |w: &Workdir| {
            Report::read(&w.report()).is_ok_and(|report| report.build == dataset.manifest.build)
        };
        let workdir = workdir.filter(of_this_build).map(|w| w.0);
        Self { dataset, workdir, known: Mutex::default() }
    }

    /// Why a crawl of this build did not fetch an address. An archive that cannot be read is as good as none.
    pub(super) fn refused(&self, url: &str) -> Option<Refused> {
        let workdir = Workdir(self.workdir.clone()?);
        let sources = self.dataset.manifest.nodes.iter().filter(|node| node.inputs.is_empty());
        sources.filter_map(|node| refusal(&workdir.archive(&node.name), url).ok().flatten()).next()
    }

    fn steps(&self, id: &str) -> Vec<Step> {
        let Some(workdir) = &self.workdir else { return Vec::new() };
        let mut known = self.known.lock().expect("no thread panics while it reads the cache");
        // A cache that cannot be read is as good as none: the ledger still tells the life.
        let read = || engine::history(workdir, id).unwrap_or_default();
        known.entry(id.to_owned()).or_insert_with(read).clone()
    }

    fn before(&self, node: &Node, steps: &[Step]) -> Option<String> {
        node.inputs.iter().find_map(|name| match steps.iter().find(|s| s.node == *name) {
            Some(step) => Some(step.after.clone()),
            None => {
                let node = self.dataset.manifest.nodes.iter().find(|n| n.name == *name)?;
                self.before(node, steps)
            }
        })
    }
}

impl TextHistory for History<'_> {
    fn texts(&self, node: &Node, id: &str) -> Texts {
        let steps = self.steps(id);
        let Some(step) = steps.iter().find(|s| s.node == node.name) else { return Texts::default() };
        let after = Some(step.after.clone());
        let before = self.before(node, &steps).or_else(|| step.before.clone());
        // The rows before a barrier are known of every node there: what it did not change is no change.
        if before == after { Texts::default() } else { Texts { before, after } }
    }
}
