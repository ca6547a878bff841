//! What deduplication found: groups of documents of which one stands for all, the likeness of each to it, and single pairs.
//!
//! A node that deduplicates names in its ledger, for each document it drops, the one that stays. A group is all that name the same.

use super::dataset::LEDGER;
use super::names::{Seen, Source, seen, sources};
use super::spread::Class;
use super::table::Part;
use super::{Dataset, Found, InspectError, NoHistory, Step, explain, find};
use arrow::array::{Array, Float64Array};
use schemas::hash::FastMap;
use schemas::manifest::Node;
use schemas::{column, ledger};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Groups told, the largest.
const LARGEST: usize = 8;
/// Documents told of each.
const MEMBERS: usize = 4;
/// Classes of likeness from 0 to 1.
const CLASSES: usize = 20;
/// Characters of a text shown as its beginning.
const START_CHARS: usize = 200;

/// What one node found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dups {
    /// Name of the node.
    pub node: String,
    /// Its kind.
    pub kind: String,
    /// Rows that came in.
    pub rows: u64,
    /// Rows dropped in favour of another.
    pub dropped: u64,
    /// How many groups there are of each size, the one that stays included.
    pub sizes: BTreeMap<u64, u64>,
    /// The largest groups.
    pub largest: Vec<Cluster>,
    /// How alike the dropped documents are to what stays; empty where the node measures something else than a share.
    pub values: Vec<Class>,
    /// How likely a pair is to be found, for a node that looks for pairs by bands.
    pub bands: Option<Bands>,
}

/// A group of documents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cluster {
    /// Documents in it.
    pub size: u64,
    /// The one that stays.
    pub kept: Named,
    /// The others that are least like it.
    pub members: Vec<Member>,
}

/// A document that was dropped in favour of another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// The document.
    pub document: Named,
    /// How like the one that stays it is, where the node measures that.
    pub value: Option<f64>,
}

/// A document with what a person knows it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its address.
    pub url: Option<String>,
    /// The beginning of its text.
    pub start: Option<String>,
}

/// Settings of MinHash.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bands {
    /// Words of a shingle.
    pub ngram: u64,
    /// Bands.
    pub bands: u64,
    /// Words of the signature in a band.
    pub rows: u64,
    /// Least similarity of duplicates; `None` where every pair that is found counts.
    pub similarity_min: Option<f64>,
}

impl Bands {
    /// The numbers that FineWeb uses with datatrove.
    pub const DATATROVE: Self = Self { ngram: 5, bands: 14, rows: 8, similarity_min: None };

    /// How likely two documents are to share a band: 1 - (1 - s^rows)^bands, for similarity `s`.
    pub fn found(&self, s: f64) -> f64 {
        1.0 - (1.0 - s.powf(self.rows as f64)).powf(self.bands as f64)
    }

    /// The similarity at which the curve is steepest, by the usual rule: (1 ÷ bands)^(1 ÷ rows).
    pub fn threshold(&self) -> f64 {
        (1.0 / self.bands as f64).powf(1.0 / self.rows as f64)
    }

    /// The settings of a node as a manifest has them; `None` for other kinds.
    pub fn of(node: &Node) -> Option<Self> {
        if node.settings.get("dialect").is_some_and(|dialect| dialect.contains("datatrove")) {
            return Some(Self::DATATROVE);
        }
        let number = |name: &str| node.settings.get(name)?.parse::<f64>().ok();
        Some(Self {
            ngram: number("ngram")? as u64,
            bands: number("bands")? as u64,
            rows: number("rows")? as u64,
            similarity_min: number("similarity_min"),
        })
    }
}

/// Reads what every node of `dataset` that deduplicates found.
///
/// # Errors
/// There is no such node; a file of the dataset is damaged.
pub fn dups(dataset: &Dataset) -> Result<Vec<Dups>, InspectError> {
    let sources = sources(dataset)?;
    let nodes = deduplicating(dataset)?;
    nodes.into_iter().map(|(node, part)| of_node(node, &part, &sources)).collect()
}

fn deduplicating(dataset: &Dataset) -> Result<Vec<(&Node, Part)>, InspectError> {
    let nodes = dataset.manifest.nodes.iter().filter(|node| node.kind.starts_with("dedup."));
    let nodes = nodes.filter_map(|node| Some((node, dataset.node_file(LEDGER, node)?)));
    let open = |(node, file): (_, &str)| Ok((node, Part::open(&dataset.root.join(file))?));
    let nodes: Vec<(&Node, Part)> = nodes.map(open).collect::<Result<_, InspectError>>()?;
    if nodes.is_empty() {
        let message = format!("{}: no node of the dataset deduplicates", dataset.root.display());
        return Err(InspectError::question(message, "add `dedup.exact` or `dedup.minhash` to its recipe"));
    }
    Ok(nodes)
}

/// Calls `visit` with the dropped document, the one that stays, and what was measured.
fn visit(part: &Part, visit: &mut dyn FnMut(&str, &str, Option<f64>)) -> Result<(), InspectError> {
    for batch in part.read(None, Some(&[column::ID, ledger::TWIN, ledger::VALUE]))? {
        let batch = batch?;
        let values =
            batch.column_by_name(ledger::VALUE).and_then(|c| c.as_any().downcast_ref::<Float64Array>());
        let value = |row: usize| values.filter(|values| values.is_valid(row)).map(|values| values.value(row));
        let twins = find::texts(&batch, ledger::TWIN);
        for (row, (id, twin)) in find::texts(&batch, column::ID).into_iter().zip(twins).enumerate() {
            if let (Some(id), Some(twin)) = (id, twin) {
                visit(id, twin, value(row));
            }
        }
    }
    Ok(())
}

fn of_node(node: &Node, part: &Part, sources: &[Source]) -> Result<Dups, InspectError> {
    // Ids are 32 hexadecimal digits.
    let number = |id: &str| u128::from_str_radix(id, 16).unwrap_or(0);
    let mut groups: FastMap<u128, u64> = FastMap::default();
    let (mut dropped, mut counts, mut is_share) = (0, [0; CLASSES], true);
    visit(part, &mut |_, twin, value| {
        dropped += 1;
        *groups.entry(number(twin)).or_insert(1) += 1;
        let value = value.unwrap_or(1.0);
        is_share &= (0.0..=1.0).contains(&value);
        counts[((value * CLASSES as f64) as usize).min(CLASSES - 1)] += 1;
    })?;
    let mut sizes = BTreeMap::new();
    let mut largest: Vec<(u64, u128)> = groups.into_iter().map(|(id, size)| (size, id)).collect();
    largest.iter().for_each(|(size, _)| *sizes.entry(*size).or_default() += 1);
    largest.sort_unstable_by_key(|(size, id)| (Reverse(*size), *id));
    largest.truncate(LARGEST);
    let edge = |at: usize| at as f64 / CLASSES as f64;
    let classes = counts.iter().enumerate();
    let classes = classes.map(|(at, rows)| Class { from: edge(at), to: edge(at + 1), rows: *rows });
    Ok(Dups {
        node: node.name.clone(),
        kind: node.kind.clone(),
        rows: node.rows_in,
        dropped,
        sizes,
        largest: clusters(part, &largest, is_share, sources)?,
        values: if is_share && dropped > 0 { classes.collect() } else { Vec::new() },
        bands: Bands::of(node),
    })
}

/// The groups with these sizes and kept documents.
fn clusters(
    part: &Part,
    largest: &[(u64, u128)],
    is_share: bool,
    sources: &[Source],
) -> Result<Vec<Cluster>, InspectError> {
    let kept: Vec<String> = largest.iter().map(|(_, id)| format!("{id:032x}")).collect();
    // Numbers from 0 on are ordered as their bits are.
    let mut members: BTreeMap<&str, BTreeSet<(Option<u64>, String)>> =
        kept.iter().map(|id| (id.as_str(), BTreeSet::new())).collect();
    visit(part, &mut |id, twin, value| {
        if let Some(members) = members.get_mut(twin) {
            members.insert((value.map(|value| value.max(0.0).to_bits()), id.to_owned()));
            if members.len() > MEMBERS {
                members.pop_last();
            }
        }
    })?;
    let ids = members.values().flatten().map(|(_, id)| id);
    let all = ids.chain(&kept).map(String::as_str).collect();
    let texts = texts(sources, &all)?;
    let named = |id: &str| {
        let (url, text) = texts.get(id).cloned().unwrap_or_default();
        let start = text.map(|text| text.trim_start().chars().take(START_CHARS).collect());
        Named { id: id.to_owned(), url, start }
    };
    let clusters = largest.iter().zip(&kept).map(|((size, _), id)| {
        let member = |(value, id): &(Option<u64>, String)| Member {
            document: named(id),
            value: value.map(f64::from_bits).filter(|_| is_share),
        };
        Cluster { size: *size, kept: named(id), members: members[id.as_str()].iter().map(member).collect() }
    });
    Ok(clusters.collect())
}

/// URL and text of a document.
type Text = (Option<String>, Option<String>);

fn texts(sources: &[Source], wanted: &BTreeSet<&str>) -> Result<BTreeMap<String, Text>, InspectError> {
    let found = seen(sources, &|names| wanted.contains(names.id))?;
    let mut texts = BTreeMap::new();
    for (at, source) in sources.iter().enumerate() {
        let here: Vec<&Seen> = found.iter().filter(|seen| seen.source == at).collect();
        if here.is_empty() {
            continue;
        }
        let rows: Vec<u64> = here.iter().map(|seen| seen.row).collect();
        let mut next = here.iter();
        for batch in source.part.read(Some(&rows), Some(&[column::TEXT]))? {
            for text in find::texts(&batch?, column::TEXT) {
                let seen = next.next().expect("as many rows come as were wanted");
                let text = (seen.url.clone(), text.map(str::to_owned));
                texts.entry(seen.id.clone()).or_insert(text);
            }
        }
    }
    Ok(texts)
}

/// A dropped document beside the one that stays.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// What the node said of the dropped one.
    pub step: Step,
    /// Settings of the node, where it compares by bands.
    pub bands: Option<Bands>,
    /// Whether the words are those of datatrove.
    pub datatrove: bool,
    /// The document that stays.
    pub kept: PairSide,
    /// The dropped one.
    pub dropped: PairSide,
}

/// One document of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairSide {
    /// Its id.
    pub id: String,
    /// Its address.
    pub url: Option<String>,
    /// Its text; empty where no file has it.
    pub text: String,
}

/// Finds the pair of a document: the dropped one and its twin, or, of one that stays, the dropped one least like it.
///
/// # Errors
/// There is no such document, or it has no duplicate; a file of the dataset is damaged.
pub fn pair(dataset: &Dataset, question: &str) -> Result<Pair, InspectError> {
    let nodes = deduplicating(dataset)?;
    let none =
        |message: String| InspectError::question(message, "`--dups` alone shows groups with their documents");
    let lives = match explain(dataset, question, &NoHistory)? {
        Found::Lives(lives) => lives,
        Found::Many(_) => return Err(none(format!("more than one document begins with `{question}`"))),
        Found::Nothing(_) => return Err(none(format!("no document is `{question}`"))),
    };
    let dropped = lives
        .iter()
        .find_map(|life| life.steps.iter().find(|step| step.twin.is_some()).map(|step| (life, step)));
    let (id, step) = match dropped {
        Some((life, step)) => (life.id.clone(), step.clone()),
        None => {
            let ids: BTreeSet<&str> = lives.iter().map(|life| life.id.as_str()).collect();
            let mut least: Option<(f64, String)> = None;
            for (_, part) in &nodes {
                visit(part, &mut |id, twin, value| {
                    let value = value.unwrap_or(1.0);
                    if ids.contains(twin) && least.as_ref().is_none_or(|(known, _)| value < *known) {
                        least = Some((value, id.to_owned()));
                    }
                })?;
            }
            let Some((_, id)) = least else {
                return Err(none(format!("`{question}` has no duplicate in the dataset")));
            };
            let Found::Lives(mut lives) = explain(dataset, &id, &NoHistory)? else {
                return Err(none(format!("`{id}` is in the ledger alone")));
            };
            let step = lives.swap_remove(0).steps.into_iter().find(|step| step.twin.is_some());
            (id, step.expect("the ledger named its twin"))
        }
    };
    let twin = step.twin.clone().expect("a step with a twin was chosen");
    let mut texts = texts(&sources(dataset)?, &BTreeSet::from([id.as_str(), twin.as_str()]))?;
    let mut side = |id: String| {
        let (url, text) = texts.remove(&id).unwrap_or_default();
        PairSide { id, url, text: text.unwrap_or_default() }
    };
    let node = nodes.iter().find(|(node, _)| node.name == step.node).map(|(node, _)| *node);
    let bands = node.and_then(Bands::of);
    let datatrove = bands == Some(Bands::DATATROVE);
    Ok(Pair { step, bands, datatrove, kept: side(twin), dropped: side(id) })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{TEXTS, URLS, dataset, id};
    use super::*;

    #[test]
    fn groups_and_pairs_of_the_fixture() {
        let folder = dataset("dups");
        let dataset = Dataset::open(&folder.0).unwrap();
        let found = dups(&dataset).unwrap();
        assert_eq!(found.len(), 1);
        let found = &found[0];
        assert_eq!((found.node.as_str(), found.rows, found.dropped), ("dedup.exact", 3, 1));
        assert_eq!(found.sizes, BTreeMap::from([(2, 1)]));
        assert_eq!(found.values.iter().map(|class| class.rows).collect::<Vec<_>>()[18..], [0, 1]);
        let cluster = &found.largest[0];
        assert_eq!((cluster.size, cluster.kept.id.clone(), cluster.members.len()), (2, id(0), 1));
        assert_eq!(cluster.members[0].document.url.as_deref(), Some(URLS[3]));
        assert_eq!(cluster.kept.start.as_deref(), Some(TEXTS[0]));
        for question in [URLS[3], URLS[0], &id(3)[..8]] {
            let pair = pair(&dataset, question).unwrap();
            assert_eq!((pair.kept.id, pair.dropped.id, pair.kept.text.as_str()), (id(0), id(3), TEXTS[0]));
            assert_eq!((pair.step.value, pair.step.limit), (Some(1.0), Some(0.8)));
        }
        let error = pair(&dataset, URLS[1]).unwrap_err().to_string();
        assert!(error.contains("has no duplicate"), "{error}");
    }

    #[test]
    fn a_dataset_without_deduplication_says_so() {
        let folder = dataset("dups-none");
        let mut dataset = Dataset::open(&folder.0).unwrap();
        dataset.manifest.nodes.retain(|node| !node.kind.starts_with("dedup."));
        assert!(dups(&dataset).unwrap_err().to_string().contains("no node of the dataset deduplicates"));
    }

    #[test]
    fn the_curve_is_that_of_the_formula() {
        let bands = Bands { ngram: 5, bands: 21, rows: 6, similarity_min: Some(0.8) };
        assert_eq!((bands.found(0.0), bands.found(1.0)), (0.0, 1.0));
        assert!((bands.found(0.8) - 0.998).abs() < 5e-4 && (bands.found(0.7) - 0.928).abs() < 5e-4);
        assert!((Bands::DATATROVE.threshold() - 0.719).abs() < 5e-4);
        assert!((Bands::DATATROVE.found(0.8) - 0.924).abs() < 5e-4);
    }
}
