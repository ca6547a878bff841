//! What a run would do, and why.

use super::error::RunError;
use super::reason::Reason;
use super::report::Report;
use super::stream::{Stream, Streams};
use super::{Options, Workdir, publish, seal};
use crate::dag::Dag;
use schemas::Made;
use schemas::observe::Silent;
use std::collections::BTreeMap;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whether the committed dataset is already what the run would give.
    pub current: bool,
    /// Every node in the order of the run.
    pub nodes: Vec<NodePlan>,
}

/// What a run would do at one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// Streams whose trace is there.
    pub cached: usize,
    /// All streams.
    pub streams: usize,
    /// Why the others are not cached; empty when all are.
    pub why: String,
}

/// Names of the nodes whose kind or settings are not those of the last run, and of those that the recipe has no more.
pub fn altered(dag: &Dag, last: &Report) -> Vec<String> {
    let then: BTreeMap<&str, &str> =
        last.nodes.iter().map(|node| (node.name.as_str(), node.hash.as_str())).collect();
    let now: BTreeMap<&str, String> =
        dag.nodes.iter().map(|node| (node.name.as_str(), node.hash.to_string())).collect();
    let other =
        now.iter().filter(|(name, hash)| then.get(*name) != Some(&hash.as_str())).map(|(name, _)| *name);
    let gone = then.keys().filter(|name| !now.contains_key(*name)).copied();
    other.chain(gone).map(str::to_owned).collect()
}

/// Plans a run: reads the sources, computes nothing.
///
/// # Errors
/// A source cannot be read.
pub fn plan(dag: &Dag, options: &Options) -> Result<Plan, RunError> {
    let workdir = Workdir(options.workdir.clone());
    let streams = Streams::list(dag, &workdir, &options.base, &Silent)?;
    let current = publish::current(&workdir, streams.build_key(dag))?.is_some();
    // Without a report nothing was run here, or it was another program's folder: both are a first run.
    let last = Report::read(&workdir.report()).ok();
    let mut nodes: Vec<NodePlan> = Vec::new();
    for (at, node) in dag.nodes.iter().enumerate() {
        let all = &streams.of[at];
        let mut missing = Vec::new();
        for (stream, Stream { key, .. }) in all.iter().enumerate() {
            // A cut file is told from a whole one by its seal; one with a wrong byte is found by the run.
            let there = match node.made {
                Made::Sink(_) => current,
                _ => seal::has_seal(&workdir.trace(*key))? && seal::has_seal(&workdir.changes(*key))?,
            };
            missing.extend((!there).then_some(stream));
        }
        let cached = all.len() - missing.len();
        let why = if streams.pending.iter().any(|(pending, _)| *pending == at) {
            "to be fetched first".into()
        } else if missing.is_empty() && !all.is_empty() {
            String::new()
        } else {
            let before = nodes.iter().map(|plan| plan.why.as_str()).collect();
            Reason { dag, streams: &streams, at, missing, before, last: last.as_ref() }.tell()
        };
        nodes.push(NodePlan { cached, streams: all.len(), why });
    }
    Ok(Plan { current, nodes })
}
