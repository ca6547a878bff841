//! Why the work of a node is not in the cache: what changed since the last run, as a person would say it.

use super::report::{NodeReport, Report};
use super::stream::Streams;
use crate::dag::{Dag, Node};
use schemas::{FilePath, FilePaths, Made, Split};
use std::collections::BTreeSet;

/// Most files that a reason lists.
const LISTED_MAX: usize = 3;

/// One node of a plan, and what is known of it.
pub(super) struct Reason<'a> {
    pub(super) dag: &'a Dag,
    pub(super) streams: &'a Streams,
    pub(super) at: usize,
    /// Streams whose trace is not there.
    pub(super) missing: Vec<usize>,
    /// Reasons of the nodes before it; empty for those that are cached.
    pub(super) before: Vec<&'a str>,
    /// The last run that came to its end.
    pub(super) last: Option<&'a Report>,
}

impl Reason<'_> {
    /// The first that holds of: never run, other settings, other inputs, other files, work before it, lost cache.
    pub(super) fn tell(&self) -> String {
        let node = self.node();
        let Some(last) = self.last else {
            let some = self.missing.len() < self.streams.of[self.at].len();
            return if some { "not all was run yet" } else { "nothing cached yet" }.into();
        };
        let Some(known) = self.known(last, self.at) else { return "new node".into() };
        if known.kind != node.spec.kind {
            return format!("kind: {} → {}", known.kind, node.spec.kind);
        }
        let own = self.own_changes(known);
        if !own.is_empty() {
            return own.join(", ");
        }
        let inputs: Vec<&str> = node.inputs.iter().map(|&n| self.dag.nodes[n].name.as_str()).collect();
        if known.inputs != inputs {
            return format!("input: {} → {}", known.inputs.join(", "), inputs.join(", "));
        }
        if let Some(files) = self.files(known) {
            return files;
        }
        if let Some(&n) = node.inputs.iter().find(|&&n| !self.before[n].is_empty()) {
            return format!("behind {}", self.dag.nodes[n].name);
        }
        let gone = self.gone(last);
        if !gone.is_empty() {
            return format!("{} gone", list(gone));
        }
        let was = |stream: &usize| known.traces.contains(&self.streams.of[self.at][*stream].key.to_string());
        match node.made {
            Made::Sink(_) => "not committed".into(),
            _ if self.missing.iter().all(was) => "not in the cache any more".into(),
            _ => "other rows come in".into(),
        }
    }

    fn node(&self) -> &Node {
        &self.dag.nodes[self.at]
    }

    fn known<'a>(&self, last: &'a Report, at: usize) -> Option<&'a NodeReport> {
        last.nodes.iter().find(|known| known.name == self.dag.nodes[at].name)
    }

    /// Settings, variables, files that keys name, and the version.
    fn own_changes(&self, known: &NodeReport) -> Vec<String> {
        let node = self.node();
        let mut changes = Vec::new();
        if known.hash == node.hash.to_string() && !matches!(node.made, Made::Source(_)) {
            return changes;
        }
        for (key, value) in &node.shown {
            let kind = node.spec.keys.iter().find(|k| k.name == key).map(|k| k.kind);
            let other_content = known.facts.get(key) != node.facts.get(key);
            match known.settings.get(key) {
                None => changes.push(format!("{key}: {value}")),
                // A file that only has another name is the same file.
                Some(old) if old != value && (kind != Some(FilePath::KIND) || other_content) => {
                    changes.push(format!("{key}: {old} → {value}"));
                }
                Some(_) if other_content && matches!(kind, Some(FilePath::KIND | FilePaths::KIND)) => {
                    changes.push(format!("{key}: {value} has other content"));
                }
                Some(_) => {}
            }
        }
        let dropped = known.settings.iter().filter(|(key, _)| !node.shown.contains_key(*key));
        changes.extend(dropped.map(|(key, value)| format!("{key}: {value} → no such key")));
        let of_files = |name: &str| {
            let uses = |k: &&schemas::Key| node.shown.get(k.name).is_some_and(|value| value.contains(name));
            node.spec.keys.iter().filter(uses).all(|k| k.kind == FilePath::KIND || k.kind == FilePaths::KIND)
        };
        let variables = node.facts.iter().filter(|(name, digest)| {
            let known = known.facts.get(*name);
            name.starts_with('$') && known.is_some_and(|old| old != *digest) && !of_files(name)
        });
        changes.extend(variables.map(|(name, _)| format!("{name} has another value")));
        if known.version != node.spec.version {
            changes.push(format!("version of {}: {} → {}", node.spec.kind, known.version, node.spec.version));
        }
        changes
    }

    /// Files of a source that are new or have other content.
    fn files(&self, known: &NodeReport) -> Option<String> {
        let splits = &self.streams.splits[self.at];
        let before: BTreeSet<&str> = known.splits.iter().map(|name| Split::file(name)).collect();
        let lost = |n: usize| known.traces.contains(&self.streams.of[self.at][n].key.to_string());
        let missing = self.missing.iter().filter(|&&n| n < splits.len() && !lost(n));
        let (mut new, mut other) = (BTreeSet::new(), BTreeSet::new());
        for &split in missing {
            let file = Split::file(&splits[split].name);
            if before.contains(file) {
                other.insert(file)
            } else {
                new.insert(file)
            };
        }
        let part = |files: BTreeSet<&str>, what: &str| (!files.is_empty()).then(|| list(files) + what);
        let parts: Vec<String> =
            part(new, " new").into_iter().chain(part(other, " with other content")).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Files that sources before the node do not give any more.
    fn gone<'a>(&self, last: &'a Report) -> BTreeSet<&'a str> {
        let mut gone = BTreeSet::new();
        let mut open = vec![self.at];
        while let Some(at) = open.pop() {
            open.extend(&self.dag.nodes[at].inputs);
            let now: BTreeSet<&str> =
                self.streams.splits[at].iter().map(|split| Split::file(&split.name)).collect();
            if let (Made::Source(_), Some(known)) = (&self.dag.nodes[at].made, self.known(last, at)) {
                gone.extend(known.splits.iter().map(|name| Split::file(name)).filter(|f| !now.contains(f)));
            }
        }
        gone
    }
}

fn list(files: BTreeSet<&str>) -> String {
    let more = files.len().saturating_sub(LISTED_MAX);
    let mut named: Vec<&str> = files.into_iter().take(LISTED_MAX).collect();
    let more = format!("{more} more");
    if more != "0 more" {
        named.push(&more);
    }
    named.join(", ")
}
