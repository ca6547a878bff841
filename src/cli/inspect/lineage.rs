//! `gristmill inspect DATASET --lineage …`: from a document to its source and its tokens, and from a token back.
//!
//! The record of a document is looked up in its archive where that is still found: in the archive of the build, beside the dataset, or in the
//! folder of the command. What the archive says is then told beside what the dataset says.

use super::View;
use pipeline::engine::Workdir;
use pipeline::inspect::layout::{Ink, Style, one_line, thousands};
use pipeline::inspect::{
    Ancestry, Dataset, Fate, InspectError, Origin, Place, Spot, SpotPiece, lineage, spot,
};
use serde_json::{Value as Json, json};
use stages::source::warc::read::{Reader, Record};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Places of tokens shown; `--json` has all.
const PLACES_MAX: usize = 12;
/// Records that may stand before a page at its place: its request, and what is told of it.
const BEFORE_MAX: usize = 4;
/// Folders in folders of an archive that are looked into.
const DEPTH_MAX: usize = 3;

pub(super) fn show(words: &[String], dataset: &Dataset, style: &Style) -> Result<View, InspectError> {
    let number = |word: &String| {
        word.parse::<u64>().map_err(|_| InspectError::Question {
            message: format!("`{word}` is no number of a row or token"),
            help: "write `--lineage DOCUMENT` or `--lineage SHARD ROW [TOKEN]`".to_owned(),
        })
    };
    match words {
        [document] => {
            let found = lineage(dataset, document)?;
            let text = found.iter().map(|document| descend(document, dataset, style)).collect();
            Ok(View {
                text,
                json: Json::Array(found.iter().map(|document| told(document, dataset)).collect()),
            })
        }
        [shard, row, rest @ ..] => {
            let token = rest.first().map(number).transpose()?;
            let spot = spot(dataset, shard, number(row)?, token)?;
            Ok(View { text: ascend(&spot, dataset, style), json: spot_json(&spot, dataset) })
        }
        [] => unreachable!("the option has one value at least"),
    }
}

/// The document as JSON, with what its record says.
fn told(document: &Ancestry, dataset: &Dataset) -> Json {
    let mut json = serde_json::to_value(document).unwrap_or_default();
    if let Some((path, record)) = document.origin.as_ref().and_then(|origin| record(origin, dataset)) {
        json["record"] = json!({
            "path": path,
            "position": record.position.to_string(),
            "type": record.kind(),
            "id": record.headers.get("WARC-Record-ID"),
            "url": record.url(),
            "date": record.date(),
            "bytes": record.length,
        });
    }
    json
}

fn spot_json(spot: &Spot, dataset: &Dataset) -> Json {
    let mut json = serde_json::to_value(spot).unwrap_or_default();
    for (at, piece) in spot.pieces.iter().enumerate() {
        json["pieces"][at]["document"] = told(&piece.document, dataset);
    }
    json
}

fn descend(document: &Ancestry, dataset: &Dataset, style: &Style) -> String {
    let mut text = style.rule(&one_line(document.url.as_deref().unwrap_or(&document.id)));
    text += &style.pairs(&up(document, dataset));
    let all: u64 = document.tokens.iter().map(|place| place.tokens).sum();
    if all == 0 {
        return text + "no tokens of it are in the shards\n\n";
    }
    text += &format!("{} tokens in {} pieces\n", thousands(all), thousands(document.tokens.len() as u64));
    document.tokens.iter().take(PLACES_MAX).for_each(|place| text += &piece_place(place));
    if document.tokens.len() > PLACES_MAX {
        let more = thousands((document.tokens.len() - PLACES_MAX) as u64);
        text += &format!("  {}\n", style.paint(Ink::Dim, &format!("… and {more} more; --json has all")));
    }
    text + "\n"
}

fn piece_place(place: &Place) -> String {
    let (start, end) = (place.start, place.start + place.tokens);
    let (from, to) = (place.offset, place.offset + place.tokens);
    format!(
        "  {} row {}, tokens {}..{} = tokens {}..{} of the document\n",
        place.file,
        thousands(place.row),
        thousands(start),
        thousands(end),
        thousands(from),
        thousands(to)
    )
}

/// What is known of a document and of where it comes from.
fn up(document: &Ancestry, dataset: &Dataset) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("id", document.id.clone())];
    match &document.fate {
        Fate::Kept { file, row } => pairs.push(("document", format!("{file} row {}", thousands(*row)))),
        Fate::Dropped { node, file, row } => {
            pairs.push(("dropped", format!("by {node}; {file} row {}", thousands(*row))));
        }
        Fate::Unknown => pairs.push(("document", "in the ledger alone".to_owned())),
    }
    let Some(origin) = &document.origin else {
        pairs.push(("source", "not told: the rows have no column `source`".to_owned()));
        return pairs;
    };
    let by = match (&origin.node, &origin.kind) {
        (Some(node), Some(kind)) if node == kind => format!(", read by {node}"),
        (Some(node), Some(kind)) => format!(", read by {node} ({kind})"),
        _ => String::new(),
    };
    pairs.push(("source", format!("{} at {} {}{by}", origin.file, origin.unit(), origin.position)));
    pairs.extend(origin.fetched_at.clone().map(|time| ("fetched", time)));
    pairs.extend(origin.record_id.clone().map(|id| ("record", id)));
    if origin.is_archived() {
        pairs.push(("archive", archive(origin, dataset)));
    }
    pairs
}

fn archive(origin: &Origin, dataset: &Dataset) -> String {
    let Some((path, record)) = record(origin, dataset) else {
        return format!("{} with such a record is not found from here", origin.file);
    };
    let (kind, size) = (record.kind(), thousands(record.length));
    format!("{kind} of {size} bytes at byte {} of {}", record.position, shortest(&path).display())
}

/// A path from the folder of the command, where it lies below it.
fn shortest(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path)
}

/// The record of an origin, where its archive is found.
///
/// A crawl names the byte where the request of a page begins; the page is the next record that has the id of the document.
fn record(origin: &Origin, dataset: &Dataset) -> Option<(PathBuf, Record)> {
    if !origin.is_archived() {
        return None;
    }
    // `MEMBER+BYTE` is within one gzip stream, which is read from its beginning.
    let member = origin.position.split('+').next()?.parse().ok()?;
    let path = find(origin, dataset)?;
    let mut records = Reader::new(File::open(&path).ok()?, member).ok()?;
    let mut record = records.next_record().ok()??;
    while record.position.in_file() == member && record.position.to_string() != origin.position {
        record = records.next_record().ok()??;
    }
    let is_it = |record: &Record| match &origin.record_id {
        Some(id) => record.headers.get("WARC-Record-ID") == Some(id),
        None => true,
    };
    for _ in 0..BEFORE_MAX {
        if is_it(&record) {
            return Some((path, record));
        }
        record = records.next_record().ok()??;
    }
    None
}

fn find(origin: &Origin, dataset: &Dataset) -> Option<PathBuf> {
    let root = std::path::absolute(&dataset.root).unwrap_or_else(|_| dataset.root.clone());
    let parent = root.parent()?;
    let own = origin.node.as_ref().map(|node| Workdir(parent.to_owned()).archive(node));
    let below = own.and_then(|folder| below(&folder, &origin.file, DEPTH_MAX));
    let beside = [Path::new(""), &root, parent].into_iter().chain(parent.parent());
    below.or_else(|| beside.map(|folder| folder.join(&origin.file)).find(|path| path.is_file()))
}

/// The file of that name in a folder of folders.
fn below(folder: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut folders = folders.into_iter().filter(|path| depth > 0 && path.is_dir());
    folders.find_map(|folder| below(&folder, name, depth - 1))
}

fn ascend(spot: &Spot, dataset: &Dataset, style: &Style) -> String {
    let at = spot.token.map_or_else(String::new, |token| format!(", token {}", thousands(token)));
    let mut text = style.rule(&format!("{} row {}{at}", spot.file, thousands(spot.row)));
    if spot.pieces.is_empty() {
        return text + "padding: no document is there\n";
    }
    let many = spot.pieces.len();
    for (at, SpotPiece { start, tokens, offset, document_token, document }) in spot.pieces.iter().enumerate()
    {
        let name = one_line(document.url.as_deref().unwrap_or(&document.id));
        let place = match document_token {
            Some(token) => format!("token {} of the document", thousands(*token)),
            None => format!(
                "{}/{many}  tokens {}..{} = tokens {}..{} of the document",
                at + 1,
                thousands(*start),
                thousands(start + tokens),
                thousands(*offset),
                thousands(offset + tokens)
            ),
        };
        text += &format!("{}\n{}\n", style.paint(Ink::Cyan, &name), place);
        text += &style.pairs(&up(document, dataset));
        text.push('\n');
    }
    if spot.pad > 0 && spot.token.is_none() {
        text += &format!("{} tokens of padding\n", thousands(spot.pad));
    }
    text
}
