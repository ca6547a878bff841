//! Takes out what is never text of the page: scripts, forms, hidden elements, navigation by tag or role.

use super::label;
use super::page::Page;
use super::tag::Tag;
use super::words::{Hint, Hints};

/// Largest share of the page's text that hidden elements may take with them; more, and they are what the page shows
/// once its scripts have run.
const HIDDEN_SHARE_MAX: f64 = 0.3;

/// Most nodes of the sign that links a heading to itself.
const SIGN_NODES_MAX: usize = 16;

/// A page with what is known of each node before anything is decided.
#[derive(Debug)]
pub(crate) struct Pruned {
    /// Nodes that go, with all their descendants.
    pub(crate) removed: Vec<bool>,
    /// What the names of each node say.
    pub(crate) hints: Vec<Hints>,
}

/// Marks what goes in any case.
pub(crate) fn prune(page: &Page<'_>) -> Pruned {
    let hints: Vec<Hints> = page.nodes.iter().map(Hints::of).collect();
    let text = sums(page);
    let total = text[page.nodes.len()] as f64;
    let mut removed = vec![false; page.nodes.len()];
    let mut at = 1;
    while at < page.nodes.len() {
        let node = &page.nodes[at];
        let end = node.end as usize;
        let hidden = (hints[at].has(Hint::Hidden) || node.tag == Tag::Noscript)
            && ((text[end] - text[at]) as f64) < HIDDEN_SHARE_MAX * total
            && !matches!(node.tag, Tag::Body | Tag::Math);
        let is_math =
            node.tag == Tag::Script && node.attribute("type").is_some_and(|t| t.starts_with("math/tex"));
        if let Some(control) = label::control(page, at, &text) {
            removed[control] = true;
            at = end;
            continue;
        }
        if hidden || (node.tag.is_silent() && !is_math) || is_chrome(page, at, hints[at]) {
            removed[at] = true;
            at = end;
        } else {
            at += 1;
        }
    }
    Pruned { removed, hints }
}

/// Controls, navigation and the marks beside headings.
fn is_chrome(page: &Page<'_>, at: usize, hints: Hints) -> bool {
    let node = &page.nodes[at];
    match node.tag {
        Tag::Nav | Tag::Menu | Tag::Button => true,
        Tag::A => {
            // The sign that links a heading to itself.
            let inside = &page.nodes[at + 1..(node.end as usize).min(at + SIGN_NODES_MAX)];
            let mut text = inside.iter().flat_map(|n| n.text.chars()).filter(|c| !c.is_whitespace());
            let is_sign =
                matches!(text.next(), Some('#' | '§' | '¶' | '🔗' | '∞' | 'ⓘ' | '\u{e000}'..='\u{f8ff}'));
            is_sign && text.next().is_none() && node.attribute("href").is_some_and(|h| h.contains('#'))
        }
        _ => hints.has(Hint::Gutter) && !matches!(node.tag, Tag::Body | Tag::Table | Tag::Pre | Tag::Main),
    }
}

/// Characters of text before each node, white space left out; scripts and styles count as none.
fn sums(page: &Page<'_>) -> Vec<usize> {
    let mut sums = Vec::with_capacity(page.nodes.len() + 1);
    let mut sum = 0;
    for node in &page.nodes {
        sums.push(sum);
        let silent = page.nodes[node.parent as usize].tag.is_silent();
        if node.tag == Tag::Text && !silent {
            sum += node.text.bytes().filter(|b| !b.is_ascii_whitespace()).count();
        }
    }
    sums.push(sum);
    sums
}
