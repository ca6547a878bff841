//! `gristmill inspect DATASET --dups`: what deduplication found.

use super::{View, pair, stats};
use pipeline::inspect::layout::{Ink, Style, number, one_line, thousands};
use pipeline::inspect::plot::Bar;
use pipeline::inspect::{Bands, Cluster, Dataset, Dups, InspectError, Named, dups};
use serde_json::json;
use std::collections::BTreeMap;

/// Lines of the curve.
const CURVE_LINES: usize = 10;
/// Similarities for which the curve is told in numbers.
const TOLD: [f64; 5] = [0.5, 0.6, 0.7, 0.8, 0.9];
/// Points of the curve in JSON, from 0 to 1.
const POINTS: u32 = 20;

pub(super) fn show(dataset: &Dataset, style: &Style) -> Result<View, InspectError> {
    let found = dups(dataset)?;
    let mut text: String = found.iter().map(|dups| lay(dups, style)).collect();
    let mut told = Vec::new();
    for dups in &found {
        let curve = dups.bands.map(|bands| points(&bands));
        let mut value = serde_json::to_value(dups).unwrap_or_default();
        value["curve"] = json!(curve);
        told.push(value);
    }
    // The pair that says most: of the largest group of the last node, the one least alike.
    let largest = found.iter().rev().find_map(|dups| dups.largest.first());
    let mut example = serde_json::Value::Null;
    if let Some(cluster) = largest {
        let view = pair::show(dataset, &cluster.kept.id, style)?;
        text += &view.text;
        example = view.json;
    }
    Ok(View { text, json: json!({ "nodes": told, "pair": example }) })
}

fn points(bands: &Bands) -> Vec<(f64, f64)> {
    (0..=POINTS).map(|at| f64::from(at) / f64::from(POINTS)).map(|s| (s, bands.found(s))).collect()
}

fn lay(dups: &Dups, style: &Style) -> String {
    let groups: u64 = dups.sizes.values().sum();
    let share = 100.0 * dups.dropped as f64 / dups.rows.max(1) as f64;
    let mut text = style.rule(&format!("{} ({})", one_line(&dups.node), dups.kind));
    text += &format!(
        "{} of {} rows ({share:.1} %) dropped for another; {} groups\n\n",
        thousands(dups.dropped),
        thousands(dups.rows),
        thousands(groups)
    );
    if groups == 0 {
        return text;
    }
    text += &format!(
        "{}\n{}\n",
        style.paint(Ink::Bold, "documents in a group"),
        style.histogram(&sizes(&dups.sizes))
    );
    text += &format!("{}\n", style.paint(Ink::Bold, "largest groups"));
    dups.largest.iter().for_each(|cluster| text += &group(cluster, style));
    text.push('\n');
    let lowest = dups.values.iter().position(|class| class.rows > 0);
    // Of equal documents there is one class, and nothing to see.
    if let Some(lowest) = lowest.filter(|at| at + 1 < dups.values.len()) {
        let bars = stats::classes(&dups.values[lowest..]);
        text += &format!("{}\n{}\n", style.paint(Ink::Bold, "how alike"), style.histogram(&bars));
    }
    if let Some(bands) = &dups.bands {
        text += &curve(bands, style);
    }
    text
}

/// Two, three and four by themselves, more by powers of two.
fn sizes(sizes: &BTreeMap<u64, u64>) -> Vec<Bar> {
    let class = |size: u64| {
        if size <= 4 { (size, size) } else { (size.next_power_of_two() / 2 + 1, size.next_power_of_two()) }
    };
    let mut classes: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    sizes.iter().for_each(|(size, groups)| *classes.entry(class(*size)).or_default() += groups);
    let label = |(from, to)| {
        if from == to { thousands(from) } else { format!("{}–{}", thousands(from), thousands(to)) }
    };
    classes.into_iter().map(|(class, count)| Bar { label: label(class), count }).collect()
}

fn group(cluster: &Cluster, style: &Style) -> String {
    let size = thousands(cluster.size);
    let mut text = format!("  {size}×  {}\n", style.paint(Ink::Green, &name(&cluster.kept)));
    let indent = size.len() + 5;
    if let Some(start) = &cluster.kept.start {
        let start = pipeline::inspect::layout::cut(&one_line(start), style.width.saturating_sub(indent));
        text += &format!("{:indent$}{}\n", "", style.paint(Ink::Dim, &start));
    }
    for member in &cluster.members {
        let value = member.value.map_or_else(String::new, |value| format!("{:<8}", number(value)));
        text += &format!("{:indent$}{value}{}\n", "", name(&member.document));
    }
    let more = cluster.size.saturating_sub(1 + cluster.members.len() as u64);
    if more > 0 {
        text += &format!("{:indent$}… and {} more\n", "", thousands(more));
    }
    text
}

fn name(document: &Named) -> String {
    let url = document.url.as_deref().map(one_line).unwrap_or_default();
    format!("{}  {url}", document.id).trim_end().to_owned()
}

fn curve(bands: &Bands, style: &Style) -> String {
    let Bands { ngram, bands: count, rows, similarity_min } = bands;
    let title =
        format!("how likely a pair is found: {count} bands of {rows} rows, shingles of {ngram} words");
    let mut text = format!("{}\n", style.paint(Ink::Bold, &title));
    text += &style.curve(CURVE_LINES, *similarity_min, |s| bands.found(s));
    let told: Vec<String> = TOLD.iter().map(|s| format!("{s}: {:.3}", bands.found(*s))).collect();
    text += &format!("{:7}similarity; {}\n", "", told.join("  "));
    let limit = match similarity_min {
        Some(limit) => {
            format!("dropped from {} on, {:.4} of which are found", number(*limit), bands.found(*limit))
        }
        None => "every pair that is found counts; nothing is measured".to_owned(),
    };
    text + &format!("{:7}steepest near {:.3}; {limit}\n\n", "", bands.threshold())
}
