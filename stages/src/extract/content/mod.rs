//! Decides which blocks are the main content.
//!
//! A model of boosted trees gives each block the probability that it is content. The most probable blocks are taken
//! until the expected F measure of the page stops growing (plug-in rule: the kept probable characters over all that are
//! kept and all that are probable), so no threshold is set by hand, and that expectation is the confidence of the page.

mod facts;
mod features;
mod groups;
mod keys;
mod model;
mod parts;
mod reader;
mod shape;
mod types;

use super::block::{Block, Kind};
use super::page::Page;
use super::prune::Pruned;
use super::tag::Tag;
pub(crate) use features::{PAGE, WIDTH, rows};
pub(crate) use model::Model;
use parts::Part;
use std::iter::repeat_n;
pub use types::PageType;
pub(crate) use types::rows as type_rows;

/// Most blocks of a page that the model is asked about. Of a page with more, every second or third is, and speaks for those behind
/// it: such a page is one long list.
const BLOCKS_MAX: usize = 6000;

/// Least probability of a block among comments that are kept whatever the model says of the whole.
const COMMENTS_MIN: f32 = 0.05;

/// What is asked of a choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// The β of the F measure: below one precision is preferred, above one recall.
    pub(crate) lean: f32,
    /// Whether the rules of a reading mode choose, and not the model.
    pub(crate) reader: bool,
    /// Whether a part stays or goes whatever the model says.
    pub(crate) title: Option<bool>,
    pub(crate) byline: Option<bool>,
    pub(crate) comments: Option<bool>,
    pub(crate) captions: Option<bool>,
    /// Whether the kind of the page is wanted.
    pub(crate) page_type: bool,
}

impl Policy {
    fn of(&self, part: Part) -> Option<bool> {
        match part {
            Part::Title => self.title,
            Part::Byline => self.byline,
            Part::Comments => self.comments,
            Part::Caption => self.captions,
            Part::Other => None,
        }
    }

    const fn is_asked(&self) -> bool {
        self.title.is_some() || self.byline.is_some() || self.comments.is_some() || self.captions.is_some()
    }
}

/// What was decided.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Nodes that go, with all their descendants.
    pub(crate) removed: Vec<bool>,
    /// Share of the content's characters that are in links.
    pub(crate) link_density: f64,
    /// The F measure that the choice is expected to have: 0 to 1.
    pub(crate) confidence: f64,
    /// The kind of the page, where it was asked for and the page has a block.
    pub(crate) page_type: Option<PageType>,
}

/// Chooses the content of a page.
pub(crate) fn choose(
    page: &Page<'_>,
    pruned: Pruned,
    blocks: &[Block],
    model: &Model,
    url: &str,
    policy: &Policy,
) -> Choice {
    let stride = blocks.len().div_ceil(BLOCKS_MAX).max(1);
    let mut asked = Vec::with_capacity(blocks.len().div_ceil(stride));
    let ask = |rows: &[f32]| asked.extend(model.blocks.probabilities(rows));
    let seen = rows(page, &pruned.hints, blocks, url, stride, ask);
    let probable: Vec<f32> = asked.into_iter().flat_map(|p| repeat_n(p, stride)).take(blocks.len()).collect();
    let (least, mut confidence) = threshold(blocks, &probable, policy.lean);
    let mut chosen: Vec<bool> =
        if policy.reader { seen.shown.clone() } else { probable.iter().map(|p| *p >= least).collect() };
    with_headings(blocks, &mut chosen);
    if policy.reader {
        confidence = expected(blocks, &probable, &chosen);
    }
    if policy.is_asked() {
        let parts = parts::parts(page, &pruned.hints, blocks, seen.title);
        for (at, part) in parts.into_iter().enumerate() {
            // What surrounds comments (buttons, forms) is no part of them.
            let is_likely = part != Part::Comments || probable[at] >= COMMENTS_MIN || blocks[at].is_prose();
            chosen[at] = policy.of(part).map_or(chosen[at], |keep| keep && (is_likely || chosen[at]));
        }
    }
    let mut choice = keep(page, pruned.removed, blocks, &chosen, confidence);
    choice.page_type =
        seen.page.filter(|_| policy.page_type).map(|page| types::page_type(&model.types, &page));
    choice
}

/// A heading stays with the text that it heads.
fn with_headings(blocks: &[Block], chosen: &mut [bool]) {
    for at in (1..blocks.len()).rev() {
        chosen[at - 1] |= chosen[at] && blocks[at - 1].kind == Kind::Heading;
    }
}

/// What a block counts for.
fn size(block: &Block) -> f32 {
    block.words as f32 + 0.01
}

/// The F measure that a choice is expected to have.
fn expected(blocks: &[Block], probable: &[f32], chosen: &[bool]) -> f32 {
    let (mut hit, mut both) = (0.0, 0.0);
    for ((block, probable), chosen) in blocks.iter().zip(probable).zip(chosen) {
        hit += if *chosen { probable * size(block) } else { 0.0 };
        both += size(block) * (probable + f32::from(u8::from(*chosen)));
    }
    if both > 0.0 { 2.0 * hit / both } else { 0.0 }
}

/// The least probability that is kept, and the expected F measure.
fn threshold(blocks: &[Block], probable: &[f32], lean: f32) -> (f32, f32) {
    let size = |at: usize| size(&blocks[at]);
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by(|a, b| probable[*b].total_cmp(&probable[*a]));
    let total: f32 = order.iter().map(|&at| probable[at] * size(at)).sum();
    let square = lean * lean;
    let (mut hit, mut kept, mut best) = (0.0, 0.0, (0.0, 0.0));
    for &at in &order {
        hit += probable[at] * size(at);
        kept += size(at);
        let expected = (1.0 + square) * hit / (kept + square * total);
        if expected > best.1 {
            best = (probable[at], expected);
        }
    }
    best
}

/// Removes the blocks that were not chosen, elements of which nothing is left, and rules between what is not there.
fn keep(
    page: &Page<'_>,
    mut removed: Vec<bool>,
    blocks: &[Block],
    chosen: &[bool],
    confidence: f32,
) -> Choice {
    let (mut chars, mut linked) = (0, 0);
    // Texts of each node that stay, and that go.
    let (mut stay, mut go) = (vec![false; page.nodes.len()], vec![false; page.nodes.len()]);
    for (block, chosen) in blocks.iter().zip(chosen) {
        chars += if *chosen { block.chars } else { 0 };
        linked += if *chosen { block.linked } else { 0 };
        for at in block.node..block.end {
            if page.nodes[at].tag == Tag::Text {
                if *chosen { stay[at] = true } else { go[at] = true }
            }
        }
    }
    for at in (1..page.nodes.len()).rev() {
        let parent = page.nodes[at].parent as usize;
        if !removed[at] {
            stay[parent] |= stay[at];
            go[parent] |= go[at];
        }
        removed[at] |= go[at] && !stay[at];
    }
    let mut next = 0;
    for (at, node) in page.nodes.iter().enumerate() {
        while blocks.get(next).is_some_and(|b| b.node < at) {
            next += 1;
        }
        if node.tag == Tag::Hr {
            let beside = |block: Option<usize>| block.and_then(|b| chosen.get(b)).copied().unwrap_or(false);
            removed[at] |= !(beside(next.checked_sub(1)) && beside(Some(next)));
        }
    }
    Choice {
        removed,
        link_density: f64::from(linked) / f64::from(chars.max(1)),
        confidence: f64::from(confidence).clamp(0.0, 1.0),
        page_type: None,
    }
}

/// Keeps all that is visible.
pub(crate) fn all(page: &Page<'_>, pruned: Pruned, blocks: &[Block]) -> Choice {
    keep(page, pruned.removed, blocks, &vec![true; blocks.len()], 1.0)
}
