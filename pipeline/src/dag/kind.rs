//! Which kind a table means.

use super::Kinds;
use crate::recipe::{Block, Mistake, Recipe, Word};
use schemas::{Spec, near::closest};

/// Finds the kind of a node. One that is misspelt or in the wrong place is told and taken for what it is meant to be, so
/// that the keys and columns of the node are checked too.
pub(super) fn kind(
    recipe: &Recipe,
    block: &Block,
    kinds: &Kinds,
    source: bool,
    mistakes: &mut Vec<Mistake>,
) -> Option<&'static Spec> {
    let Word { text, span } = &block.kind;
    let fits = |spec: &&'static Spec| spec.kind.starts_with("source.") == source;
    if text.is_empty() {
        if span.is_empty() && !recipe.damage.tears(block.span.start) {
            let example = suited(block, kinds, source).map_or("…", |s| s.kind);
            let help = format!("add one: `kind = \"{example}\"`; `gristmill stages` lists all");
            let what =
                if source { format!("the source `{}`", block.name.text) } else { "the stage".to_owned() };
            mistakes.push(Mistake::new(block.span.clone(), format!("{what} has no `kind`"), help));
        }
        return None;
    }
    if let Some(spec) = kinds.all.iter().find(|s| s.kind == text) {
        if !fits(&spec) {
            let (message, help) = if source {
                (format!("`{text}` is a stage, not a source"), "write it under `[[stages]]`")
            } else {
                (format!("`{text}` is a source, not a stage"), "write it as a table `[sources.NAME]`")
            };
            mistakes.push(Mistake::new(span.clone(), message, help));
        }
        return Some(spec);
    }
    let meant = near(text, kinds, source).or_else(|| near(text, kinds, !source));
    let help = match meant {
        Some(spec) => format!("did you mean `{}`?", spec.kind),
        None => unknown(text, kinds),
    };
    mistakes.push(Mistake::new(span.clone(), format!("no kind is called `{text}`"), help));
    meant.filter(fits)
}

fn near(text: &str, kinds: &Kinds, source: bool) -> Option<&'static Spec> {
    let of_role = || kinds.all.iter().filter(|spec| spec.kind.starts_with("source.") == source);
    let plain = text.to_lowercase().replace(['_', '-', '/', ':', ' '], ".");
    let same = of_role().find(|s| s.kind == plain);
    let tail = || of_role().find(|s| s.kind.rsplit('.').next() == plain.rsplit('.').next());
    let full = if source && !plain.contains('.') { format!("source.{plain}") } else { plain.clone() };
    let edited = || {
        let name = closest(&full, of_role().map(|s| s.kind))?;
        of_role().find(|s| s.kind == name)
    };
    let tail_edited = || {
        let word = plain.rsplit('.').next().filter(|w| w.len() > 3)?;
        let name = closest(word, of_role().filter_map(|s| s.kind.rsplit('.').next()))?;
        of_role().find(|s| s.kind.rsplit('.').next() == Some(name))
    };
    same.or_else(tail).or_else(edited).or_else(tail_edited)
}

fn unknown(text: &str, kinds: &Kinds) -> String {
    let group = text.split('.').next().unwrap_or_default();
    let of_group: Vec<String> = kinds
        .all
        .iter()
        .filter(|s| s.kind.split('.').next() == Some(group))
        .map(|s| format!("`{}`", s.kind))
        .collect();
    if of_group.is_empty() {
        "`gristmill stages` lists all kinds".to_owned()
    } else {
        format!("`{group}` has {}", of_group.join(", "))
    }
}

/// The kind that knows most of the keys of a table.
fn suited(block: &Block, kinds: &Kinds, source: bool) -> Option<&'static Spec> {
    let known = |spec: &&'static Spec| {
        block.keys.iter().filter(|e| spec.keys.iter().any(|k| k.name == e.name)).count()
    };
    let of_role = kinds.all.iter().filter(|spec| spec.kind.starts_with("source.") == source);
    // `max_by_key` gives the last of equals; the first reads better.
    of_role.rev().max_by_key(known)
}
