//! What `decontaminate.ngram` tells of its finds, without those in forgotten documents: id, place and share go, and the
//! document goes out of the counts.
//!
//! An item lists its first documents alone; one that it counts and does not list stays in the count, with nothing else of it.

use super::find::Targets;
use super::rewrite::beside;
use crate::inspect::{Dataset, InspectError};
use schemas::manifest::Node;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::fs;
use std::path::Path;

const KIND: &str = "decontaminate.ngram";
/// Setting that names the file.
const SETTING: &str = "report";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    sets: Vec<Set>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    set: String,
    items: u64,
    unusable: u64,
    found: u64,
    found_items: Vec<Item>,
    left_alone: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    item: String,
    documents: u64,
    places: Vec<Place>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    id: String,
    at: [u64; 2],
    share: Json,
}

/// The text of a setting.
pub(super) fn setting(node: &Node, key: &str) -> Option<String> {
    serde_json::from_str(node.settings.get(key)?).ok()
}

/// The reports in a dataset.
pub(super) fn reports(dataset: &Dataset) -> Vec<String> {
    let nodes = dataset.manifest.nodes.iter().filter(|node| node.kind == KIND);
    let named = nodes.filter_map(|node| setting(node, SETTING));
    named.filter(|name| dataset.manifest.files.contains_key(name)).collect()
}

/// The report of a file without the targets; `None` where it has none of them.
pub(super) fn without(path: &Path, targets: &Targets) -> Result<Option<Vec<u8>>, InspectError> {
    let bytes = fs::read(path).map_err(InspectError::io(path))?;
    let mut report: Report = serde_json::from_slice(&bytes).map_err(|error| {
        let help =
            "nothing was forgotten; build the dataset again, or with the version of gristmill that wrote it";
        InspectError::format(path, format!("is no report of finds: {error}"), help)
    })?;
    let mut gone = 0;
    for set in &mut report.sets {
        for item in &mut set.found_items {
            let before = item.places.len();
            item.places.retain(|place| !targets.has_text(Some(&place.id)));
            let went = (before - item.places.len()) as u64;
            item.documents = item.documents.saturating_sub(went);
            gone += went;
        }
        set.found_items.retain(|item| item.documents > 0);
        set.found = set.found_items.len() as u64;
    }
    let json = || {
        let mut json = serde_json::to_vec_pretty(&report).expect("numbers and texts have a JSON form");
        json.push(b'\n');
        json
    };
    Ok((gone > 0).then(json))
}

/// Gives a file another content; other names of the old one keep it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), InspectError> {
    let beside = beside(path);
    fs::write(&beside, bytes).map_err(InspectError::io(&beside))?;
    fs::rename(&beside, path).map_err(InspectError::io(&beside))
}
