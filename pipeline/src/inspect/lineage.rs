//! Where a token comes from and where a document goes: shard row ↔ document ↔ record of its source.
//!
//! A shard names the documents of its pieces, and where each piece starts in the tokens of its document; a document names the file and the
//! place in it that its source read.

use super::dataset::{LEDGER, TOKENS};
use super::explain::life;
use super::names::{seen, sources};
use super::table::Part;
use super::verify::Pieces;
use super::{Dataset, Fate, Found, InspectError, Life, NoHistory, Place, Step, explain, find};
use arrow::array::{Array, AsArray, Int32Array};
use schemas::manifest::Node;
use schemas::{column, token};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// A document between its source and the shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ancestry {
    /// Its id.
    pub id: String,
    /// Its address.
    pub url: Option<String>,
    /// What its source read; `None` where no row of it is left.
    pub origin: Option<Origin>,
    /// The row of the dataset that has it.
    pub fate: Fate,
    /// Its pieces in the token shards.
    pub tokens: Vec<Place>,
}

/// A record of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The node that read it.
    pub node: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// File, by the name that the source gave it.
    pub file: String,
    /// Place in the file as the source counts: byte of a record or line (`MEMBER+BYTE` within a gzip stream), or row.
    pub position: String,
    /// `WARC-Record-ID`.
    pub record_id: Option<String>,
    /// When it was fetched.
    pub fetched_at: Option<String>,
}

impl Origin {
    /// Whether it is a record of an archive.
    pub fn is_archived(&self) -> bool {
        matches!(self.kind.as_deref(), Some("source.warc" | "source.crawl"))
    }

    /// What the position counts.
    pub fn unit(&self) -> &'static str {
        match self.kind.as_deref() {
            Some("source.warc" | "source.crawl" | "source.jsonl") => "byte",
            Some("source.parquet") => "row",
            _ => "place",
        }
    }
}

/// A row of a token shard, or one token of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// File in the dataset.
    pub file: String,
    /// Row in the file.
    pub row: u64,
    /// The token that was asked for.
    pub token: Option<u64>,
    /// Tokens of the row, padding included.
    pub tokens: u64,
    /// Padding tokens at its end.
    pub pad: u64,
    /// The pieces of the row, or the one that holds the token; none where the token is padding.
    pub pieces: Vec<SpotPiece>,
}

/// A piece of a document in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpotPiece {
    /// Where it starts in the row.
    pub start: u64,
    /// Its tokens.
    pub tokens: u64,
    /// Where it starts in the tokens of the document.
    pub offset: u64,
    /// The token that was asked for, counted in the tokens of the document.
    pub document_token: Option<u64>,
    /// The document.
    pub document: Ancestry,
}

/// Follows the documents with the URL, the id or its first digits, or the id of their source, to their sources and into the shards.
///
/// # Errors
/// There is no such document, or more than one; a file of the dataset is damaged.
pub fn lineage(dataset: &Dataset, question: &str) -> Result<Vec<Ancestry>, InspectError> {
    let names = |near: &[(String, Option<String>)]| {
        let line =
            |(id, url): &(String, Option<String>)| format!("\n    {id}  {}", url.as_deref().unwrap_or(""));
        near.iter().map(line).collect::<String>()
    };
    match explain(dataset, question, &NoHistory)? {
        Found::Lives(lives) => Ok(lives.into_iter().map(|life| ancestry(dataset, life)).collect()),
        Found::Many(many) => {
            let message = format!("more than one document begins with `{question}`");
            Err(InspectError::question(message, format!("give more digits of one of these:{}", names(&many))))
        }
        Found::Nothing(near) if near.is_empty() => {
            let help = "give an id, its first digits, or a whole address; `--head` shows some";
            Err(InspectError::question(format!("no document is `{question}`"), help))
        }
        Found::Nothing(near) => Err(InspectError::question(
            format!("no document is `{question}`"),
            format!("near are:{}", names(&near)),
        )),
    }
}

fn ancestry(dataset: &Dataset, mut life: Life) -> Ancestry {
    let mut fact = |name: &str| match life.facts.remove(name) {
        Some(Json::String(text)) => Some(text),
        _ => None,
    };
    let (url, source) = (fact(column::URL), fact(column::SOURCE));
    let (record_id, fetched_at) = (fact(column::RECORD_ID), fact(column::FETCHED_AT));
    let is_source = |node: &&Node| node.inputs.is_empty();
    let told = |node: &&Node| life.steps.iter().any(|step| step.node == node.name);
    let reader = dataset.manifest.nodes.iter().filter(is_source).find(told);
    let origin = source.map(|source| {
        let (file, position) = source.rsplit_once(':').unwrap_or((&source, ""));
        Origin {
            node: reader.map(|node| node.name.clone()),
            kind: reader.map(|node| node.kind.clone()),
            file: file.to_owned(),
            position: position.to_owned(),
            record_id,
            fetched_at,
        }
    });
    Ancestry { id: life.id, url, origin, fate: life.fate, tokens: life.tokens }
}

/// Follows a row of a token shard, or one token of it, back to the documents and what their sources read.
///
/// `shard` is the path of a file in the dataset, or the end of one.
///
/// # Errors
/// There is no such shard, row or token; a file of the dataset is damaged.
pub fn spot(dataset: &Dataset, shard: &str, row: u64, at: Option<u64>) -> Result<Spot, InspectError> {
    let (file, part) = find_shard(dataset, shard)?;
    if row >= part.rows() {
        let help = format!("rows are counted from 0; {file} has {}", part.rows());
        return Err(InspectError::question(format!("there is no row {row}"), help));
    }
    let columns = [token::INPUT_IDS, token::DOC_IDS, token::DOC_LENS, token::DOC_OFFSETS, token::PAD];
    let batch = part.read(Some(&[row]), Some(&columns))?.next().transpose()?;
    let batch = batch.expect("the row is below the rows of the file");
    let pad = batch.column_by_name(token::PAD).and_then(|c| c.as_any().downcast_ref::<Int32Array>());
    let pad = pad.map_or(0, |pad| u64::try_from(pad.value(0)).unwrap_or(0));
    let ids = batch.column_by_name(token::INPUT_IDS).and_then(|c| c.as_list_opt::<i32>());
    let tokens = ids.map_or(0, |ids| ids.value_length(0).unsigned_abs().into());
    if let Some(at) = at.filter(|at| *at >= tokens) {
        let help = format!("tokens are counted from 0; the row has {tokens}");
        return Err(InspectError::question(format!("there is no token {at}"), help));
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    for (id, tokens, offset) in Pieces::of(&batch, &part.path)?.row(0) {
        let (tokens, offset) = (u64::try_from(tokens).unwrap_or(0), u64::try_from(offset).unwrap_or(0));
        let inside = at.filter(|at| (start..start + tokens).contains(at));
        if at.is_none() || inside.is_some() {
            pieces.push((start, tokens, offset, inside.map(|at| offset + at - start), id.to_owned()));
        }
        start += tokens;
    }
    let documents = documents(dataset, &pieces.iter().map(|piece| piece.4.as_str()).collect())?;
    let find = |id: &str| documents.iter().find(|document| document.id == id).cloned();
    let pieces = pieces.into_iter().map(|(start, tokens, offset, document_token, id)| {
        let document = find(&id).expect("every document of a piece was looked for");
        SpotPiece { start, tokens, offset, document_token, document }
    });
    Ok(Spot { file, row, token: at, tokens, pad, pieces: pieces.collect() })
}

fn find_shard(dataset: &Dataset, shard: &str) -> Result<(String, Part), InspectError> {
    let relative =
        |path: &std::path::PathBuf| path.strip_prefix(&dataset.root).unwrap_or(path).display().to_string();
    let all: Vec<String> = dataset.files(TOKENS).iter().map(relative).collect();
    let asked = shard.trim_start_matches("./").replace('\\', "/");
    let fits = |name: &&String| {
        let (long, short) = if name.len() > asked.len() {
            (name.as_str(), asked.as_str())
        } else {
            (asked.as_str(), name.as_str())
        };
        long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
            && !short.is_empty()
    };
    let found: Vec<&String> = all.iter().filter(fits).collect();
    match found[..] {
        [name] => Ok((name.clone(), Part::open(&dataset.root.join(name))?)),
        [] if all.is_empty() => Err(InspectError::question(
            "the dataset has no token shards",
            "build it with a tokenizer and `sink.tokens`",
        )),
        [] => Err(InspectError::question(
            format!("no token shard is `{shard}`"),
            format!("there are {}", listed(&all)),
        )),
        _ => {
            let names: Vec<String> = found.into_iter().cloned().collect();
            let message = format!("more than one token shard is `{shard}`");
            Err(InspectError::question(message, format!("say which: {}", listed(&names))))
        }
    }
}

/// Names told of many.
const NAMES_MAX: usize = 8;

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES_MAX);
    let told = names[..names.len() - more].join(", ");
    if more == 0 { told } else { format!("{told} and {more} more") }
}

/// The documents with these ids; without their tokens.
fn documents(dataset: &Dataset, ids: &BTreeSet<&str>) -> Result<Vec<Ancestry>, InspectError> {
    let sources = sources(dataset)?;
    let seen = seen(&sources, &|names| ids.contains(names.id))?;
    let readers: Vec<(&Node, BTreeSet<String>)> = dataset
        .manifest
        .nodes
        .iter()
        .filter(|node| node.inputs.is_empty())
        .filter_map(|node| Some((node, dataset.node_file(LEDGER, node)?)))
        .map(|(node, file)| {
            let part = Part::open(&dataset.root.join(file))?;
            let rows = find::rows_where(&part, column::ID, &|id| ids.contains(id), Some(&[column::ID]))?;
            let text = |mut row: find::Row| row.remove(column::ID)?.as_str().map(str::to_owned);
            Ok((node, rows.into_iter().filter_map(|(_, row)| text(row)).collect()))
        })
        .collect::<Result<_, InspectError>>()?;
    let document = |id: &&str| {
        let steps = readers.iter().filter(|(_, read)| read.contains(*id)).map(|(node, _)| Step::of(node));
        Ok(ancestry(dataset, life(&sources, &seen, id, steps.collect())?))
    };
    ids.iter().map(document).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{URLS, dataset, id};
    use super::*;

    #[test]
    fn a_document_leads_to_its_shards() {
        let folder = dataset("lineage");
        let dataset = Dataset::open(&folder.0).unwrap();
        let found = lineage(&dataset, URLS[1]).unwrap();
        assert_eq!(found.len(), 1);
        let origin = found[0].origin.as_ref().unwrap();
        assert_eq!((origin.file.as_str(), origin.position.as_str()), ("crawl-00000.warc.gz", "1417"));
        assert_eq!((origin.node.as_deref(), origin.unit()), (Some("site"), "byte"));
        let places: Vec<_> =
            found[0].tokens.iter().map(|p| (p.file.as_str(), p.row, p.start, p.tokens, p.offset)).collect();
        let (train, held) = ("tokens/train/part-00000.parquet", "tokens/validation/part-00000.parquet");
        assert_eq!(places, [(train, 0, 3, 3, 0), (held, 0, 0, 2, 3)]);
        let gone = lineage(&dataset, &id(3)).unwrap();
        assert!(matches!(&gone[0].fate, Fate::Dropped { node, .. } if node == "dedup.exact"), "{gone:?}");
        let error = lineage(&dataset, "http://h.test/a/kept").unwrap_err().to_string();
        assert!(error.contains("near are:") && error.contains(URLS[0]), "{error}");
    }

    #[test]
    fn a_token_leads_back_to_its_record() {
        let folder = dataset("spot");
        let dataset = Dataset::open(&folder.0).unwrap();
        let row = spot(&dataset, "train/part-00000.parquet", 0, None).unwrap();
        assert_eq!(row.pieces.iter().map(|p| p.document.id.clone()).collect::<Vec<_>>(), [id(0), id(1)]);
        let token = spot(&dataset, "tokens/train/part-00000.parquet", 0, Some(4)).unwrap();
        let [piece] = &token.pieces[..] else { panic!("{token:?}") };
        assert_eq!(
            (piece.start, piece.document_token, piece.document.url.as_deref()),
            (3, Some(1), Some(URLS[1]))
        );
        assert_eq!(piece.document.origin.as_ref().unwrap().position, "1417");
        let whole = format!("{}/tokens/validation/part-00000.parquet", folder.0.display());
        let held = spot(&dataset, &whole, 0, Some(1)).unwrap();
        assert_eq!((held.pad, held.pieces[0].document_token), (4, Some(4)));
        assert_eq!(spot(&dataset, "validation/part-00000.parquet", 0, Some(2)).unwrap().pieces, []);
        let wrong = |shard: &str, row, token| spot(&dataset, shard, row, token).unwrap_err().to_string();
        assert!(wrong("part-00000.parquet", 0, None).starts_with("more than one token shard"));
        assert!(wrong("part-7.parquet", 0, None).contains("there are tokens/train/part-00000.parquet, "));
        assert!(wrong("train/part-00000.parquet", 1, None).starts_with("there is no row 1"));
        assert!(wrong("train/part-00000.parquet", 0, Some(6)).starts_with("there is no token 6"));
    }
}
