//! What a stage would have said with other limits, from what it measured: no text is read again for it.
//!
//! The stage is made twice, as it was built and as it is asked for, and both decide on the stored signals. A row whose recorded
//! verdict is not the one that the limits as built give (an empty text, say) was not judged by limits: it stays where it is.

use super::dataset::{DROPPED, LEDGER, SIGNALS};
use super::find::{rows_where, texts};
use super::table::Part;
use super::{Dataset, InspectError, sample_rows};
use arrow::array::RecordBatch;
use schemas::hash::FastSet;
use schemas::manifest::Node;
use schemas::{Made, Settings, Spec, Stage, Value, Verdict, column, ledger};
use serde::Serialize;
use std::collections::BTreeMap;

/// Characters shown of a text.
const TEXT_CHARS_MAX: usize = 100;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhatIf {
    /// Name of the node.
    pub node: String,
    /// `key = value` of each change.
    pub changes: Vec<String>,
    /// Rows that came into the node.
    pub rows: u64,
    /// Rows that it kept.
    pub kept_before: u64,
    /// Rows that it would have kept.
    pub kept_after: u64,
    /// Rows that were dropped and would be kept.
    pub to_kept: u64,
    /// Rows that were kept and would be dropped.
    pub to_dropped: u64,
    /// Some of both, in the order of the dataset.
    pub examples: Vec<Moved>,
}

/// A document that changes sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    /// Its id.
    pub id: String,
    /// Where it comes from.
    pub url: Option<String>,
    /// The id that its source gave it.
    pub record_id: Option<String>,
    /// `kept`, or why it was dropped.
    pub before: String,
    /// The same, with the changes.
    pub after: String,
    /// How its text begins, where the dataset has it.
    pub text: Option<String>,
}

impl Moved {
    /// What a person knows it by: its address, the id that its source gave it, or its own.
    pub fn known_as(&self) -> &str {
        self.url.as_ref().or(self.record_id.as_ref()).unwrap_or(&self.id)
    }
}

/// Says what `node` would have done with `changes`, and shows at most `shown` documents that change sides.
///
/// # Errors
/// There is no such node, a setting is wrong, or the node does not judge by limits on what it measured.
pub fn what_if(
    dataset: &Dataset,
    node: &str,
    changes: &[(String, Value)],
    kinds: &[Spec],
    shown: usize,
) -> Result<WhatIf, InspectError> {
    let node = find(dataset, node)?;
    let (before, after) = (made(node, &[], kinds)?, made(node, changes, kinds)?);
    if let Some((key, _)) = changes.iter().find(|(key, _)| !before.limits().contains(&key.as_str())) {
        return Err(no_limit(node, key, before.limits()));
    }
    let mut answer = WhatIf {
        node: node.name.clone(),
        changes: changes.iter().map(|(key, value)| format!("{key} = {value}")).collect(),
        rows: 0,
        kept_before: 0,
        kept_after: 0,
        to_kept: 0,
        to_dropped: 0,
        examples: Vec::new(),
    };
    let part = |folder: &str| match dataset.node_file(folder, node) {
        Some(name) => Part::open(&dataset.root.join(name)),
        None => Err(unanswered(node)),
    };
    let (ledger, signals) = (part(LEDGER)?, part(SIGNALS)?);
    if ledger.rows() != signals.rows() {
        return Err(torn(dataset));
    }
    let mut moved = Vec::new();
    for (said, measured) in ledger.read(None, None)?.zip(signals.read(None, None)?) {
        let (said, measured) = (said?, measured?);
        let ids = texts(&said, column::ID);
        if ids != texts(&measured, column::ID) {
            return Err(torn(dataset));
        }
        let decide = |stage: &dyn Stage| stage.decide(&measured).ok_or_else(|| unanswered(node));
        let verdicts = decide(before.as_ref())?.into_iter().zip(decide(after.as_ref())?);
        for ((id, reason), (old, new)) in ids.into_iter().zip(reasons(&said)).zip(verdicts) {
            let by_limits = reason_of(&old) == reason;
            let new = if by_limits { new } else { old.clone() };
            let (was, is) = (reason.is_none(), if by_limits { is_kept(&new) } else { reason.is_none() });
            answer.rows += 1;
            answer.kept_before += u64::from(was);
            answer.kept_after += u64::from(is);
            answer.to_kept += u64::from(!was && is);
            answer.to_dropped += u64::from(was && !is);
            if was != is {
                moved.push((id.unwrap_or_default().to_owned(), words(&old), words(&new)));
            }
        }
    }
    let rows = sample_rows(shown as u64, moved.len() as u64, 0);
    let wanted = rows.iter().map(|row| moved[usize::try_from(*row).expect("a row fits the memory")].clone());
    answer.examples = examples(dataset, wanted.collect())?;
    Ok(answer)
}

fn find<'a>(dataset: &'a Dataset, name: &str) -> Result<&'a Node, InspectError> {
    let nodes = &dataset.manifest.nodes;
    nodes.iter().find(|node| node.name == name).ok_or_else(|| {
        let names: Vec<&str> = nodes
            .iter()
            .filter(|n| dataset.node_file(SIGNALS, n).is_some())
            .map(|n| n.name.as_str())
            .collect();
        let near = schemas::near::closest(name, names.iter().copied());
        let help = near.map_or_else(
            || format!("nodes with signals: {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        InspectError::question(format!("the dataset has no node `{name}`"), help)
    })
}

fn torn(dataset: &Dataset) -> InspectError {
    let help = "`gristmill verify DATASET` tells which files differ; build it again";
    InspectError::format(&dataset.root, "ledger and signals are not of the same rows", help)
}

fn no_limit(node: &Node, key: &str, limits: &[&str]) -> InspectError {
    if limits.is_empty() {
        return unanswered(node);
    }
    let message = format!("`{key}` of `{}` is no limit on what was measured", node.name);
    InspectError::question(message, format!("limits are {}; for another key, build again", limits.join(", ")))
}

fn unanswered(node: &Node) -> InspectError {
    let message = format!("`{}` does not judge by limits on what it measured alone", node.name);
    InspectError::question(
        message,
        "change the recipe and build it: only what lies behind the node runs again",
    )
}

/// The stage of a node with its settings, some of them changed.
fn made(node: &Node, changes: &[(String, Value)], kinds: &[Spec]) -> Result<Box<dyn Stage>, InspectError> {
    let spec = kinds.iter().find(|spec| spec.kind == node.kind && spec.version == node.version);
    let spec = spec.ok_or_else(|| {
        let message = format!("`{}` version {} is not one of this program", node.kind, node.version);
        InspectError::question(message, "build the dataset with this program, or ask the one that built it")
    })?;
    let read = |text: &str| format!("value = {text}").parse::<toml::Table>().ok()?.remove("value");
    let mut pairs: Vec<(String, Value)> = Vec::new();
    for key in spec.keys {
        let change = changes.iter().find(|(name, _)| name == key.name).map(|(_, value)| value.clone());
        // A default is left out: it may be one that depends on another key.
        let built = node.settings.get(key.name).filter(|shown| **shown != (key.default)());
        pairs.extend(
            change.or_else(|| built.and_then(|text| read(text))).map(|value| (key.name.to_owned(), value)),
        );
    }
    let unknown = changes.iter().filter(|(name, _)| !spec.keys.iter().any(|key| key.name == name));
    pairs.extend(unknown.cloned());
    match (spec.build)(&Settings::new(pairs)) {
        Ok(Made::Stage(stage)) => Ok(stage),
        Ok(_) => Err(unanswered(node)),
        Err(errors) => {
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(InspectError::question(
                told.join("; "),
                format!("`gristmill stages {}` lists its keys", spec.kind),
            ))
        }
    }
}

/// Why each row of a ledger was dropped; `None` of a kept one.
fn reasons(ledger: &RecordBatch) -> Vec<Option<&str>> {
    texts(ledger, ledger::REASON)
}

fn is_kept(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Dropped { .. })
}

const fn reason_of(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Dropped { reason, .. } => Some(reason),
        Verdict::Kept | Verdict::Edited => None,
    }
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Dropped { reason, value, limit, .. } => {
            format!("dropped: {reason} ({value}, limit {limit})")
        }
        Verdict::Kept | Verdict::Edited => "kept".to_owned(),
    }
}

/// Adds address, id of the source and text, where documents or dropped rows have them.
fn examples(dataset: &Dataset, moved: Vec<(String, String, String)>) -> Result<Vec<Moved>, InspectError> {
    let wanted: FastSet<&str> = moved.iter().map(|(id, ..)| id.as_str()).collect();
    let mut known = BTreeMap::new();
    let files = dataset.documents().into_iter().chain(dataset.files(DROPPED));
    for file in files.filter(|_| !wanted.is_empty()) {
        let columns = [column::ID, column::URL, column::RECORD_ID, column::TEXT];
        for (_, row) in
            rows_where(&Part::open(&file)?, column::ID, &|id| wanted.contains(id), Some(&columns))?
        {
            let text = |name: &str| row.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
            known
                .entry(text(column::ID).unwrap_or_default())
                .or_insert([column::URL, column::RECORD_ID, column::TEXT].map(text));
        }
    }
    let example = |(id, before, after): (String, String, String)| {
        let [url, record_id, text] = known.remove(&id).unwrap_or_default();
        let text = text.map(|text| text.chars().take(TEXT_CHARS_MAX).collect());
        Moved { id, url, record_id, before, after, text }
    };
    Ok(moved.into_iter().map(example).collect())
}
