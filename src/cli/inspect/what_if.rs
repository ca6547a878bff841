//! `gristmill inspect DATASET --what-if NODE.KEY=VALUE`.

use super::View;
use crate::cli::stage::setting;
use pipeline::inspect::layout::{Ink, Style, one_line, thousands};
use pipeline::inspect::{InspectError, Target, WhatIf, what_if};
use schemas::{Spec, Value};

/// Documents shown.
const SHOWN_MAX: usize = 20;

pub(super) fn show(
    questions: &[String],
    target: &Target,
    kinds: &[Spec],
    style: &Style,
) -> Result<View, InspectError> {
    let wrong = |message: String| InspectError::Question {
        message,
        help: "write NODE.KEY=VALUE, such as `filter.length.words_min=200`".into(),
    };
    let Target::Dataset(dataset) = target else {
        return Err(wrong("what a stage measured is in a dataset, not in a single file".into()));
    };
    let mut node = None;
    let mut changes: Vec<(String, Value)> = Vec::new();
    for question in questions {
        let (path, value) = setting(question).map_err(wrong)?;
        let (name, key) = path.rsplit_once('.').ok_or_else(|| wrong(format!("`{path}` names no node")))?;
        if node.get_or_insert_with(|| name.to_owned()) != name {
            return Err(wrong("one question is about one node".into()));
        }
        changes.push((key.to_owned(), value));
    }
    let found = what_if(dataset, &node.unwrap_or_default(), &changes, kinds, SHOWN_MAX)?;
    Ok(View { text: lay(&found, style), json: serde_json::to_value(&found).unwrap_or_default() })
}

fn lay(found: &WhatIf, style: &Style) -> String {
    let title = format!("{} with {}", found.node, found.changes.join(", "));
    let count = |kept: u64| {
        format!("{} kept, {} dropped", thousands(kept), thousands(found.rows.saturating_sub(kept)))
    };
    let mut text = style.rule(&one_line(&title));
    text += &style.pairs(&[
        ("rows", thousands(found.rows)),
        ("as built", count(found.kept_before)),
        ("then", count(found.kept_after)),
        ("kept anew", thousands(found.to_kept)),
        ("dropped anew", thousands(found.to_dropped)),
    ]);
    text += "\nRows kept anew would go on to the nodes behind it, which have not seen them.\n";
    for moved in &found.examples {
        let name = moved.known_as();
        text += &format!("\n{}\n", style.paint(Ink::Cyan, &one_line(name)));
        text += &format!("  {} → {}\n", moved.before, moved.after);
        if let Some(start) = &moved.text {
            text += &format!("  {}\n", style.paint(Ink::Dim, &one_line(start)));
        }
    }
    let more = (found.to_kept + found.to_dropped).saturating_sub(found.examples.len() as u64);
    if more > 0 {
        text += &format!("\n… and {} more\n", thousands(more));
    }
    text
}
