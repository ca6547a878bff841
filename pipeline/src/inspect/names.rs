//! Which documents a question means: by address, by id or its first digits, or by the id that their source gave them.

use super::dataset::DROPPED;
use super::table::Part;
use super::{Dataset, InspectError, find};
use rayon::prelude::*;
use schemas::column;
use std::cmp::Reverse;

/// Near misses told.
pub(super) const NEAR_MAX: usize = 5;

/// One file of documents or dropped rows.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) node: Option<String>,
    pub(super) part: Part,
}

/// What a document is called by.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) id: &'a str,
    pub(super) url: Option<&'a str>,
    /// What its source calls it.
    pub(super) record_id: Option<&'a str>,
}

impl Names<'_> {
    /// Whether one of the names is this.
    pub(super) fn has(&self, name: &str) -> bool {
        self.id == name || self.url == Some(name) || self.record_id == Some(name)
    }
}

/// A document as a file has it.
pub(super) struct Seen {
    pub(super) source: usize,
    pub(super) row: u64,
    pub(super) id: String,
    pub(super) url: Option<String>,
    record_id: Option<String>,
}

impl Seen {
    pub(super) fn names(&self) -> Names<'_> {
        Names { id: &self.id, url: self.url.as_deref(), record_id: self.record_id.as_deref() }
    }
}

/// Every file of documents or dropped rows.
pub(super) fn sources(dataset: &Dataset) -> Result<Vec<Source>, InspectError> {
    let relative =
        |path: &std::path::Path| path.strip_prefix(&dataset.root).unwrap_or(path).display().to_string();
    let documents = dataset.documents().into_iter().map(|path| (relative(&path), None));
    let dropped = dataset
        .manifest
        .nodes
        .iter()
        .filter_map(|node| Some((dataset.node_file(DROPPED, node)?.to_owned(), Some(node.name.clone()))));
    let open = |(name, node): (String, Option<String>)| {
        Ok(Source { part: Part::open(&dataset.root.join(&name))?, name, node })
    };
    documents.chain(dropped).map(open).collect()
}

/// Calls `visit` with row and names of every row of a file.
fn visit(part: &Part, visit: &mut dyn FnMut(u64, Names<'_>)) -> Result<(), InspectError> {
    let mut first = 0;
    for batch in part.read(None, Some(&[column::ID, column::URL, column::RECORD_ID]))? {
        let batch = batch?;
        let [ids, urls, records] =
            [column::ID, column::URL, column::RECORD_ID].map(|name| find::texts(&batch, name));
        for (((id, url), record_id), row) in ids.into_iter().zip(urls).zip(records).zip(first..) {
            visit(row, Names { id: id.unwrap_or_default(), url, record_id });
        }
        first += batch.num_rows() as u64;
    }
    Ok(())
}

type Fits<'a> = dyn Fn(Names<'_>) -> bool + Sync + 'a;

/// The rows whose names fit.
pub(super) fn seen(sources: &[Source], fits: &Fits<'_>) -> Result<Vec<Seen>, InspectError> {
    let parts: Vec<Vec<Seen>> = sources
        .par_iter()
        .enumerate()
        .map(|(source, s)| {
            let mut seen = Vec::new();
            visit(&s.part, &mut |row, names| {
                if fits(names) {
                    let [url, record_id] = [names.url, names.record_id].map(|name| name.map(str::to_owned));
                    seen.push(Seen { source, row, id: names.id.to_owned(), url, record_id });
                }
            })?;
            Ok(seen)
        })
        .collect::<Result<_, InspectError>>()?;
    Ok(parts.into_iter().flatten().collect())
}

/// The documents whose address shares most with the question: host, then the beginning and the end of the path.
pub(super) fn near(
    sources: &[Source],
    question: &str,
) -> Result<Vec<(String, Option<String>)>, InspectError> {
    let mut best: Vec<(Reverse<usize>, String, String)> = Vec::new();
    for source in sources {
        visit(&source.part, &mut |_, Names { id, url, .. }| {
            let Some(url) = url else { return };
            let likeness = likeness(question, url);
            let worst = best.last().map_or(0, |b| b.0.0);
            if likeness > 0 && (best.len() < NEAR_MAX || likeness > worst) {
                best.push((Reverse(likeness), url.to_owned(), id.to_owned()));
                best.sort();
                best.dedup_by(|a, b| a.1 == b.1);
                best.truncate(NEAR_MAX);
            }
        })?;
    }
    Ok(best.into_iter().map(|(_, url, id)| (id, Some(url))).collect())
}

/// Bytes at the beginning and at the end that two addresses share; 0 when the hosts differ.
fn likeness(a: &str, b: &str) -> usize {
    let bare = |url: &'_ str| url.split_once("://").map_or(url.to_owned(), |(_, rest)| rest.to_owned());
    let (a, b) = (bare(a), bare(b));
    let host = |url: &str| url.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let alike = |x: &str, y: &str| x.trim_start_matches("www.") == y.trim_start_matches("www.");
    if host(&a).is_empty() || !alike(&host(&a), &host(&b)) {
        return 0;
    }
    let head = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let tail = a.bytes().rev().zip(b.bytes().rev()).take_while(|(x, y)| x == y).count();
    1 + head + tail.min(a.len().min(b.len()) - head)
}
