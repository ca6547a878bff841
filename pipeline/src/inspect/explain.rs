//! The life of one document: what every node said of it, what was changed, and where its tokens lie.
//!
//! The ledgers have the verdicts, `documents` and `dropped` the addresses and texts. The texts between two nodes are in
//! no dataset; who has them (the cache of a build) gives them as a [`TextHistory`].

use super::dataset::{LEDGER, SIGNALS, TOKENS};
use super::find::{self, Row};
use super::names::{NEAR_MAX, Names, Seen, Source, near, seen, sources};
use super::table::Part;
use super::{Change, Dataset, InspectError, changes};
use rayon::prelude::*;
use schemas::hash::{FastMap, FastSet};
use schemas::manifest::Node;
use schemas::{column, ledger, token};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Shortest beginning of an id that is looked for.
const PREFIX_MIN: usize = 4;
/// Documents explained for one question: a page fetched again and again has one address and many ids.
const LIVES_MAX: usize = 8;

/// Knows the text of a document on its way through the nodes.
pub trait TextHistory: Sync {
    /// The text of document `id` before and after `node`, as far as it is known.
    fn texts(&self, node: &Node, id: &str) -> Texts;
}

/// A text before and after a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// As it came in.
    pub before: Option<String>,
    /// As it left.
    pub after: Option<String>,
}

/// Knows nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoHistory;

impl TextHistory for NoHistory {
    fn texts(&self, _: &Node, _: &str) -> Texts {
        Texts::default()
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// The documents with that address or id.
    Lives(Vec<Life>),
    /// The beginning of an id fits more than one: id and address of each, the first few.
    Many(Vec<(String, Option<String>)>),
    /// No document; these are near.
    Nothing(Vec<(String, Option<String>)>),
}

/// The life of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Life {
    /// Its id.
    pub id: String,
    /// What else is known of it: url, source, title and so on, without the text.
    pub facts: BTreeMap<String, Json>,
    /// What every node that saw it said, in the order of the run.
    pub steps: Vec<Step>,
    /// How it ended.
    pub fate: Fate,
    /// The last text that is known.
    pub text: Option<String>,
    /// Where its tokens lie.
    pub tokens: Vec<Place>,
}

/// What one node did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Name of the node.
    pub node: String,
    /// Its kind.
    pub kind: String,
    /// `kept`, `edited` or `dropped`.
    pub action: String,
    /// Why it was dropped.
    pub reason: Option<String>,
    /// What was measured.
    pub value: Option<f64>,
    /// What it was measured against.
    pub limit: Option<f64>,
    /// The document that stays in its place.
    pub twin: Option<String>,
    /// The address of the twin.
    pub twin_url: Option<String>,
    /// Everything that the node measured.
    pub signals: BTreeMap<String, Json>,
    /// Characters before and after, where the texts are known.
    pub chars: Option<(u64, u64)>,
    /// What was changed, where the texts are known.
    pub changes: Vec<Change>,
}

impl Step {
    /// That the node kept the document, and no more.
    pub(super) fn of(node: &Node) -> Self {
        step(node, &Row::new(), Row::new())
    }
}

/// How a document ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is in the dataset.
    Kept {
        /// File in the dataset.
        file: String,
        /// Row in the file.
        row: u64,
    },
    /// A node dropped it.
    Dropped {
        /// The node.
        node: String,
        /// File in the dataset that has the row.
        file: String,
        /// Row in the file.
        row: u64,
    },
    /// The ledger knows it, but no file has it.
    Unknown,
}

/// A piece of a document in a token shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// File in the dataset.
    pub file: String,
    /// Row in the file.
    pub row: u64,
    /// Tokens of the document there.
    pub tokens: u64,
    /// Where they start in the tokens of the row.
    pub start: u64,
    /// Where they start in the tokens of the document.
    pub offset: u64,
}

/// Tells the life of the documents with the URL, the id or its first digits, or the id that their source gave them.
///
/// # Errors
/// A file of the dataset is damaged.
pub fn explain(dataset: &Dataset, question: &str, history: &dyn TextHistory) -> Result<Found, InspectError> {
    let sources = sources(dataset)?;
    let question = question.trim();
    let hex = question.to_ascii_lowercase();
    let is_prefix = hex.len() >= PREFIX_MIN && hex.len() <= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = |names: Names<'_>| names.has(question) || is_prefix && names.id.starts_with(&hex);
    let mut seen = seen(&sources, &fits)?;
    // A name that is whole goes before the beginning of another.
    let is_named = seen.iter().any(|s| s.names().has(question));
    if is_named {
        seen.retain(|s| s.names().has(question));
    }
    let mut ids: Vec<&str> = seen.iter().map(|s| s.id.as_str()).collect();
    let from_ledger;
    if ids.is_empty() && is_prefix {
        from_ledger = ledger_ids(dataset, &|id| id.starts_with(&hex))?;
        ids = from_ledger.iter().map(String::as_str).collect();
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return near(&sources, question).map(Found::Nothing);
    }
    if ids.len() > 1 && !is_named {
        let url = |id: &str| seen.iter().find(|s| s.id == id).and_then(|s| s.url.clone());
        return Ok(Found::Many(
            ids.iter().take(2 * NEAR_MAX).map(|id| ((*id).to_owned(), url(id))).collect(),
        ));
    }
    ids.truncate(LIVES_MAX);
    let wanted: FastSet<&str> = ids.iter().copied().collect();
    let mut steps = steps(dataset, &wanted)?;
    name_twins(&sources, &mut steps)?;
    let mut places = places(dataset, &wanted)?;
    let lives = ids.iter().map(|id| {
        let steps = steps.remove(*id).unwrap_or_default();
        let mut life = life(&sources, &seen, id, steps)?;
        life.tokens = places.remove(*id).unwrap_or_default();
        remember(dataset, &mut life, history);
        Ok(life)
    });
    lives.collect::<Result<_, _>>().map(Found::Lives)
}

fn ledger_ids(dataset: &Dataset, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<String>, InspectError> {
    let mut ids = Vec::new();
    for path in dataset.files(LEDGER) {
        let rows = find::rows_where(&Part::open(&path)?, column::ID, wanted, Some(&[column::ID]))?;
        ids.extend(rows.iter().filter_map(|(_, row)| row[column::ID].as_str()).map(str::to_owned));
    }
    Ok(ids)
}

type Steps = BTreeMap<String, Vec<Step>>;

fn steps(dataset: &Dataset, wanted: &FastSet<&str>) -> Result<Steps, InspectError> {
    let of_node = |node: &Node| -> Result<Vec<(String, Step)>, InspectError> {
        let Some(name) = dataset.node_file(LEDGER, node) else { return Ok(Vec::new()) };
        let is_wanted = |id: &str| wanted.contains(id);
        let part = Part::open(&dataset.root.join(name))?;
        let rows = find::rows_where(&part, column::ID, &is_wanted, None)?;
        let mut signals: FastMap<String, Row> = FastMap::default();
        if let Some(name) = dataset.node_file(SIGNALS, node).filter(|_| !rows.is_empty()) {
            let part = Part::open(&dataset.root.join(name))?;
            for (_, mut row) in find::rows_where(&part, column::ID, &is_wanted, None)? {
                if let Some(Json::String(id)) = row.remove(column::ID) {
                    signals.insert(id, row);
                }
            }
        }
        let told = rows.into_iter().map(|(_, row)| {
            let id = row[column::ID].as_str().unwrap_or_default().to_owned();
            let measured = signals.remove(&id).unwrap_or_default();
            (id, step(node, &row, measured))
        });
        Ok(told.collect())
    };
    let nodes: Vec<_> = dataset.manifest.nodes.par_iter().map(of_node).collect::<Result<_, _>>()?;
    let mut steps = Steps::default();
    for (id, step) in nodes.into_iter().flatten() {
        steps.entry(id).or_default().push(step);
    }
    Ok(steps)
}

fn step(node: &Node, row: &Row, signals: Row) -> Step {
    let text = |name: &str| row.get(name).and_then(Json::as_str).map(str::to_owned);
    let number = |name: &str| row.get(name).and_then(Json::as_f64);
    Step {
        node: node.name.clone(),
        kind: node.kind.clone(),
        action: text(ledger::ACTION).unwrap_or_default(),
        reason: text(ledger::REASON),
        value: number(ledger::VALUE),
        limit: number(ledger::LIMIT),
        twin: text(ledger::TWIN),
        twin_url: None,
        signals,
        chars: None,
        changes: Vec::new(),
    }
}

fn name_twins(sources: &[Source], steps: &mut Steps) -> Result<(), InspectError> {
    let twins: FastSet<String> = steps.values().flatten().filter_map(|s| s.twin.clone()).collect();
    if twins.is_empty() {
        return Ok(());
    }
    let seen = seen(sources, &|names| twins.contains(names.id))?;
    let urls: FastMap<&str, &String> =
        seen.iter().filter_map(|s| Some((s.id.as_str(), s.url.as_ref()?))).collect();
    for step in steps.values_mut().flatten() {
        step.twin_url = step.twin.as_deref().and_then(|twin| urls.get(twin)).map(|url| (*url).clone());
    }
    Ok(())
}

fn places(dataset: &Dataset, wanted: &FastSet<&str>) -> Result<BTreeMap<String, Vec<Place>>, InspectError> {
    let mut places: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for path in dataset.files(TOKENS) {
        let name = path.strip_prefix(&dataset.root).unwrap_or(&path).display().to_string();
        let mut first = 0;
        let columns = [token::DOC_IDS, token::DOC_LENS, token::DOC_OFFSETS];
        for batch in Part::open(&path)?.read(None, Some(&columns))? {
            let batch = batch?;
            let pieces = super::verify::Pieces::of(&batch, &path)?;
            for row in 0..batch.num_rows() {
                let mut start = 0;
                for (id, tokens, offset) in pieces.row(row) {
                    let (tokens, offset) =
                        (u64::try_from(tokens).unwrap_or(0), u64::try_from(offset).unwrap_or(0));
                    if wanted.contains(id) {
                        let place =
                            Place { file: name.clone(), row: first + row as u64, tokens, start, offset };
                        places.entry(id.to_owned()).or_default().push(place);
                    }
                    start += tokens;
                }
            }
            first += batch.num_rows() as u64;
        }
    }
    Ok(places)
}

/// A document with its facts, text and fate.
pub(super) fn life(
    sources: &[Source],
    seen: &[Seen],
    id: &str,
    steps: Vec<Step>,
) -> Result<Life, InspectError> {
    let Some(seen) = seen.iter().find(|s| s.id == id) else {
        let (facts, fate) = (BTreeMap::new(), Fate::Unknown);
        return Ok(Life { id: id.to_owned(), facts, steps, fate, text: None, tokens: Vec::new() });
    };
    let source = &sources[seen.source];
    let mut facts = BTreeMap::new();
    for batch in source.part.read(Some(&[seen.row]), None)? {
        let batch = batch?;
        let schema = batch.schema();
        let cells = schema.fields().iter().zip(batch.columns());
        facts.extend(cells.map(|(f, cells)| (f.name().clone(), super::cell::json(cells, 0))));
    }
    let text = facts.remove(column::TEXT).and_then(|t| t.as_str().map(str::to_owned));
    let told =
        [column::ID, column::HTML, column::ROW, column::TOKENS, ledger::STAGE, ledger::REASON, ledger::VALUE];
    told.iter().chain(&[ledger::LIMIT, ledger::TWIN]).for_each(|name| drop(facts.remove(*name)));
    facts.retain(|_, value| !value.is_null());
    let (file, row) = (source.name.clone(), seen.row);
    let fate = match &source.node {
        Some(node) => Fate::Dropped { node: node.clone(), file, row },
        None => Fate::Kept { file, row },
    };
    Ok(Life { id: id.to_owned(), facts, steps, fate, text, tokens: Vec::new() })
}

/// Adds what was changed.
fn remember(dataset: &Dataset, life: &mut Life, history: &dyn TextHistory) {
    for step in &mut life.steps {
        let Some(node) = dataset.manifest.nodes.iter().find(|n| n.name == step.node) else { continue };
        if let Texts { before: Some(before), after: Some(after) } = history.texts(node, &life.id) {
            step.chars = Some((before.chars().count() as u64, after.chars().count() as u64));
            step.changes = changes(&before, &after);
        }
    }
}
