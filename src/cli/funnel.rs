//! The funnel: what came into each node, what left it, and why the rest did not.

use super::progress::Progress;
use pipeline::engine::{NodeReport, Report};
use pipeline::inspect::layout::thousands;
use schemas::manifest::{self, Node};
use schemas::{ConfigValue as _, FilePath, Manifest};
use std::path::Path;

/// Reasons shown for one node; the others are counted together.
const REASONS_SHOWN: usize = 4;

/// Reasons of sources for a file that ends in the middle or cannot be read on.
const CUT_OFF: [&str; 2] = ["truncated", "bad_compression"];

/// Distance of reasons on a line of their own from the edge.
const INDENT: usize = 4;

/// The funnel as a table of at most `width` cells, where the names leave room; reasons stand behind or below.
pub(super) fn table(report: &Report, width: usize) -> String {
    let rows: Vec<[String; 5]> = report.nodes.iter().map(row).collect();
    let head = ["node", "in", "kept", "edited", "dropped"].map(str::to_owned);
    let cells = |at: usize| rows.iter().chain([&head]).map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(cells);
    let line = |row: &[String; 5]| {
        let numbers = row.iter().zip(widths).skip(1).map(|(cell, width)| format!("  {cell:>width$}"));
        format!("{:1$}", row[0], widths[0]) + &numbers.collect::<String>()
    };
    let used = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
    let mut lines = vec![line(&head), "─".repeat(used)];
    for (node, row) in report.nodes.iter().zip(&rows) {
        let (line, reasons) = (line(row), reasons(node));
        if reasons.is_empty() || used + 2 + reasons.chars().count() <= width {
            lines.push(format!("{line}  {reasons}").trim_end().to_owned());
        } else {
            lines.extend([line, format!("{:INDENT$}{reasons}", "")]);
        }
    }
    lines.join("\n")
}

/// Name and numbers of a node; the kind too, where the name does not tell it.
fn row(node: &NodeReport) -> [String; 5] {
    let counts = &node.counts;
    let name = if node.name.starts_with(&node.kind) {
        node.name.clone()
    } else {
        format!("{} ({})", node.name, node.kind)
    };
    let [rows_in, kept, edited, dropped] =
        [counts.rows_in, counts.kept, counts.edited, counts.dropped_rows()].map(thousands);
    [name, rows_in, kept, edited, dropped]
}

/// Says on standard error what a person should know of a build, and of the dataset that it wrote.
pub(super) fn warn(report: &Report, dataset: Option<&Path>, progress: Progress) {
    let surprises = report.surprises.iter().map(ToString::to_string);
    let lost = report.nodes.iter().filter_map(cut_off);
    for message in
        warning(report).into_iter().chain(lost).chain(surprises).chain(dataset.and_then(vocabulary))
    {
        match progress {
            Progress::Json => eprintln!("{}", serde_json::json!({ "event": "warning", "message": message })),
            Progress::Auto | Progress::None => eprintln!("warning: {message}"),
        }
    }
}

/// Of a build that came to nothing: the first node that left no row.
fn warning(report: &Report) -> Option<String> {
    let ends: Vec<&NodeReport> = report.nodes.iter().filter(|n| n.kind.starts_with("sink.")).collect();
    if ends.iter().any(|node| node.counts.kept > 0) {
        return None;
    }
    let empty = report.nodes.iter().find(|node| node.counts.kept == 0)?;
    let name = &empty.name;
    Some(match empty.counts.rows_in {
        0 => format!("the dataset is empty: `{name}` gave no rows"),
        rows => {
            format!(
                "the dataset is empty: `{name}` dropped all {} rows ({})",
                thousands(rows),
                reasons(empty)
            )
        }
    })
}

/// Of a source with a file that is not whole: nobody can say how much stood behind.
fn cut_off(node: &NodeReport) -> Option<String> {
    let found = CUT_OFF.iter().filter_map(|reason| Some((reason, node.counts.dropped.get(*reason)?)));
    let found: Vec<String> = found.map(|(reason, count)| format!("{reason} {}", thousands(*count))).collect();
    (node.kind.starts_with("source.") && !found.is_empty()).then(|| {
        format!(
            "`{}` met files that are cut off or broken inside ({}); what stood behind is lost; the dropped rows name them",
            node.name,
            found.join(", ")
        )
    })
}

/// Of a trained tokenizer with fewer tokens than were asked for: a model on it is smaller than planned.
fn vocabulary(dataset: &Path) -> Option<String> {
    let manifest: Manifest =
        serde_json::from_slice(&std::fs::read(dataset.join(manifest::FILE)).ok()?).ok()?;
    let tokens = manifest.tokens?;
    let no_file = FilePath::default().show();
    let is_trained =
        |node: &&Node| node.kind == "tokenize.bpe" && node.settings.get("file") == Some(&no_file);
    let node = manifest.nodes.iter().find(is_trained)?;
    let asked: u64 = node.settings.get("vocab_size")?.parse().ok()?;
    (tokens.vocab_size < asked).then(|| {
        format!(
            "`{}` has {} tokens of the {} asked for: no more pairs stand in the documents as often as `min_frequency` says",
            node.name,
            thousands(tokens.vocab_size),
            thousands(asked)
        )
    })
}

pub(super) fn reasons(node: &NodeReport) -> String {
    let mut reasons: Vec<(&String, &u64)> = node.counts.dropped.iter().collect();
    reasons.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let shown =
        reasons.iter().take(REASONS_SHOWN).map(|(name, count)| format!("{name} {}", thousands(**count)));
    let mut shown: Vec<String> = shown.collect();
    let rest: u64 = reasons.iter().skip(REASONS_SHOWN).map(|(_, count)| **count).sum();
    if rest > 0 {
        shown.push(format!("{} others {}", reasons.len() - REASONS_SHOWN, thousands(rest)));
    }
    shown.join(", ")
}
