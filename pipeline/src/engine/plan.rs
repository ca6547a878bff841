//! What a run would do, and why.

use super::error::RunError;
use super::report::Report;
use super::stream::Streams;
use super::{Options, Workdir, commit, seal};
use crate::dag::{Dag, Node};
use schemas::Made;
use schemas::observe::Silent;

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

/// Plans a run: reads the sources, computes nothing.
///
/// # Errors
/// A source cannot be read.
pub fn plan(dag: &Dag, options: &Options) -> Result<Plan, RunError> {
    let workdir = Workdir(options.workdir.clone());
    let streams = Streams::list(dag, &workdir, &options.base, &Silent)?;
    let current = commit::current(&workdir, streams.build_key(dag))?.is_some();
    // Without a report nothing was run here, or it was another program's folder: both are a first run.
    let last = Report::read(&workdir.report()).ok();
    let mut nodes: Vec<NodePlan> = Vec::new();
    for (at, node) in dag.nodes.iter().enumerate() {
        let all = &streams.of[at];
        let cached = match node.made {
            Made::Sink(_) if current => all.len(),
            Made::Sink(_) => 0,
            _ => {
                // A cut file is told from a whole one by its seal; one with a wrong byte is found by the run.
                let mut whole = 0;
                for stream in all {
                    let [trace, changes] = [workdir.trace(stream.key), workdir.changes(stream.key)];
                    whole += usize::from(seal::has_seal(&trace)? && seal::has_seal(&changes)?);
                }
                whole
            }
        };
        let why = if cached == all.len() && !all.is_empty() {
            String::new()
        } else {
            why(dag, node, &nodes, last.as_ref())
        };
        nodes.push(NodePlan { cached, streams: all.len(), why });
    }
    Ok(Plan { current, nodes })
}

fn why(dag: &Dag, node: &Node, before: &[NodePlan], last: Option<&Report>) -> String {
    let Some(last) = last else { return "never run".into() };
    let Some(known) = last.nodes.iter().find(|n| n.name == node.name) else { return "new node".into() };
    if known.kind != node.spec.kind {
        return format!("kind was {}", known.kind);
    }
    let changed = node.shown.iter().filter_map(|(key, value)| match known.settings.get(key) {
        Some(old) if old == value => None,
        Some(old) => Some(format!("{key}: {old} → {value}")),
        None => Some(format!("{key}: {value}")),
    });
    let changed: Vec<String> = changed.collect();
    if !changed.is_empty() {
        return changed.join(", ");
    }
    if known.hash != node.hash.to_string() {
        return "another version of the stage".into();
    }
    let above = node.inputs.iter().find(|&&n| !before[n].why.is_empty());
    match above {
        Some(&n) => format!("behind {}", dag.nodes[n].name),
        None if matches!(node.made, Made::Sink(_)) => "not committed".into(),
        None if node.inputs.is_empty() => "other files".into(),
        None => "other rows come in".into(),
    }
}
