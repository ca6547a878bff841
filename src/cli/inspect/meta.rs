//! `gristmill inspect PATH --meta`: how Parquet files are laid out.

use super::{View, joined, summary};
use pipeline::inspect::layout::{Ink, Style, bytes, thousands};
use pipeline::inspect::{InspectError, Table, meta};

/// Row groups shown; `--json` has all.
const GROUPS_MAX: usize = 16;

pub(super) fn show(table: &Table, style: &Style) -> Result<View, InspectError> {
    let meta = meta(table)?;
    let size = meta.groups.iter().map(|group| group.compressed_bytes).sum();
    let groups = thousands(meta.groups.len() as u64);
    let mut text = format!("{}, {groups} row groups, {}\n\n", summary(table, style), bytes(size));
    text += &style.grid(&meta.columns_grid(), None);
    text += &format!("\n{}", style.grid(&meta.groups_grid(GROUPS_MAX), None));
    if meta.groups.len() > GROUPS_MAX {
        let more =
            format!("… and {} more; --json has all", thousands((meta.groups.len() - GROUPS_MAX) as u64));
        text += &format!("{}\n", style.paint(Ink::Dim, &more));
    }
    let mut pairs: Vec<(&str, String)> = meta.metadata.iter().map(|(k, v)| (k.as_str(), joined(v))).collect();
    pairs.push(("created by", joined(&meta.created_by)));
    let versions: Vec<String> = meta.versions.iter().map(i32::to_string).collect();
    pairs.push(("format version", versions.join(" | ")));
    text += &format!("\n{}", style.pairs(&pairs));
    Ok(View { text, json: serde_json::to_value(&meta).unwrap_or_default() })
}
