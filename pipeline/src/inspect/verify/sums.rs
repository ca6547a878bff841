//! Nothing is lost: for every node, rows in = kept + dropped by reason, and the ledger has exactly these rows.

use super::{Dataset, Findings, InspectError, open, reading};
use crate::inspect::dataset::{DROPPED, LEDGER, SIGNALS};
use crate::inspect::find::texts;
use crate::inspect::table::Part;
use schemas::manifest::{self, Node};
use schemas::{DocId, column, ledger};
use std::collections::BTreeMap;

/// Checks every node; gives the count of those whose ledger was read.
pub(super) fn check(dataset: &Dataset, findings: &mut Findings) -> u64 {
    let mut read = 0;
    for node in &dataset.manifest.nodes {
        own(node, findings);
        // A sink judges nothing: its rows are those of its files.
        if node.folder.is_some() {
            continue;
        }
        let dropped = node.dropped.values().sum::<u64>();
        rows_of(dataset, node, DROPPED, dropped, findings);
        if let Some(name) = dataset.node_file(SIGNALS, node) {
            let rows = dataset.manifest.files[name].rows.unwrap_or(0);
            if rows > node.rows_in {
                findings
                    .add(name, format!("has {rows} rows, but {} came into `{}`", node.rows_in, node.name));
            }
        }
        let Some(name) = rows_of(dataset, node, LEDGER, node.rows_in, findings) else { continue };
        let Some(part) = open(dataset, name, findings) else { continue };
        read += 1;
        match tally(&part, &node.name) {
            Ok(tally) => against(node, name, &tally, findings),
            Err(error) => findings.add(name, reading(&error)),
        }
    }
    read
}

/// What the manifest says of the node must add up by itself.
fn own(node: &Node, findings: &mut Findings) {
    let Node { name, rows_in, kept, edited, .. } = node;
    let dropped: u64 = node.dropped.values().sum();
    if *rows_in != kept + dropped {
        let what = format!("node `{name}`: {rows_in} rows in, but {kept} kept + {dropped} dropped");
        findings.add(manifest::FILE, what);
    }
    if edited > kept {
        findings.add(manifest::FILE, format!("node `{name}`: {edited} edited of {kept} kept"));
    }
}

/// The node's file in `folder`, whose rows the manifest must count as `expected`.
fn rows_of<'a>(
    dataset: &'a Dataset,
    node: &Node,
    folder: &str,
    expected: u64,
    findings: &mut Findings,
) -> Option<&'a str> {
    match dataset.node_file(folder, node) {
        None if expected == 0 => None,
        None => {
            let what = format!("node `{}` has {expected} rows, but no file in {folder}/", node.name);
            findings.add(manifest::FILE, what);
            None
        }
        Some(name) => {
            let rows = dataset.manifest.files[name].rows.unwrap_or(0);
            if rows != expected {
                let what = format!("has {rows} rows, but node `{}` says {expected}", node.name);
                findings.add(name, what);
            }
            Some(name)
        }
    }
}

/// What a ledger says of a node.
#[derive(Default)]
struct Tally {
    actions: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    strangers: u64,
    twice: Option<String>,
}

fn tally(part: &Part, node: &str) -> Result<Tally, InspectError> {
    let mut tally = Tally::default();
    let mut ids: Vec<u128> = Vec::new();
    let columns = [column::ID, ledger::STAGE, ledger::ACTION, ledger::REASON];
    for batch in part.read(None, Some(&columns))? {
        let batch = batch?;
        let [id, stage, action, reason] = columns.map(|name| texts(&batch, name));
        for row in 0..batch.num_rows() {
            tally.strangers += u64::from(stage[row] != Some(node));
            let action = action[row].unwrap_or_default();
            *tally.actions.entry(action.to_owned()).or_default() += 1;
            if action == "dropped" {
                *tally.reasons.entry(reason[row].unwrap_or_default().to_owned()).or_default() += 1;
            }
            match id[row].filter(|id| DocId::parse(id).is_some()) {
                Some(id) => ids.push(u128::from_str_radix(id, 16).expect("DocId::parse read it")),
                None => tally.strangers += 1,
            }
        }
    }
    ids.sort_unstable();
    tally.twice = ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| format!("{:032x}", pair[0]));
    Ok(tally)
}

fn against(node: &Node, name: &str, tally: &Tally, findings: &mut Findings) {
    let count = |action: &str| tally.actions.get(action).copied().unwrap_or(0);
    let (kept, edited) = (count("kept") + count("edited"), count("edited"));
    for (what, found, expected) in [("kept", kept, node.kept), ("edited", edited, node.edited)] {
        if found != expected {
            findings.add(name, format!("has {found} rows {what}, but node `{}` says {expected}", node.name));
        }
    }
    let told: BTreeMap<String, u64> =
        node.dropped.iter().filter(|(_, n)| **n > 0).map(|(r, n)| (r.clone(), *n)).collect();
    if tally.reasons != told {
        let words = |reasons: &BTreeMap<String, u64>| {
            let words: Vec<String> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
            if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
        };
        let what = format!("drops {}, but node `{}` says {}", words(&tally.reasons), node.name, words(&told));
        findings.add(name, what);
    }
    if let Some(action) = tally.actions.keys().find(|a| !["kept", "edited", "dropped"].contains(&a.as_str()))
    {
        findings.add(name, format!("has an action `{action}`; known are kept, edited, dropped"));
    }
    if tally.strangers > 0 {
        findings.add(name, format!("has {} rows of another node or without an id", tally.strangers));
    }
    if let Some(id) = &tally.twice {
        findings.add(name, format!("has document {id} twice"));
    }
}
