//! Decides which blocks are the main content.
//!
//! A model of boosted trees gives each block the probability that it is content; a second one, which sees what the first says of
//! all blocks around, has the last word. The most probable blocks are taken
//! until the expected F measure of the page stops growing (plug-in rule: the kept probable characters over all that are
//! kept and all that are probable), so no threshold is set by hand, and that expectation is the confidence of the page.

mod again;
mod around;
mod facts;
mod features;
mod groups;
mod model;
mod parts;
mod ranking;
mod reader;
mod shape;
mod speakers;
mod types;

use super::block::{Block, Kind};
use super::page::Page;
use super::prune::Pruned;
use super::tag::Tag;
pub(crate) use again::{Between, WIDTH as AGAIN_WIDTH};
pub(crate) use features::{PAGE, WIDTH, rows};
pub(crate) use model::Model;
use parts::Part;
use ranking::Ranking;
pub use types::PageType;
pub(crate) use types::rows as type_rows;

/// Blocks of a page that the model is asked about one by one. Of the 1,508 pages of the gold sets one has more; of
/// such a page, which is one long list, some speak for the others (see `speakers.rs`).
const BLOCKS_MAX: usize = 3000;

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
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let ask = |rows: &[f32]| first.extend(model.first.probabilities(rows));
    let seen = rows(page, &pruned.hints, blocks, url, BLOCKS_MAX, ask);
    seen.between.rows(&first, |rows| second.extend(model.second.probabilities(rows)));
    let probable: Vec<f32> = seen.speakers.iter().map(|row| second[*row as usize]).collect();
    let sizes: Vec<f32> = blocks.iter().map(Block::size).collect();
    let (least, mut confidence) = Ranking::new(&sizes, &probable).cut(&probable, policy.lean);
    let mut chosen: Vec<bool> =
        if policy.reader { seen.shown.clone() } else { probable.iter().map(|p| *p >= least).collect() };
    with_tables(page, blocks, &mut chosen);
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

/// A table stays whole where half of it stays, and its first row with any other: that names the columns.
fn with_tables(page: &Page<'_>, blocks: &[Block], chosen: &mut [bool]) {
    let table = |block: &Block| {
        let is_table = |at: &usize| page.nodes[*at].tag == Tag::Table;
        (block.kind == Kind::Row).then(|| page.ancestors(block.parent).find(is_table)).flatten()
    };
    let tables: Vec<Option<usize>> = blocks.iter().map(table).collect();
    let mut start = 0;
    for rows in tables.chunk_by(|one, other| one == other) {
        let (blocks, chosen) = (&blocks[start..][..rows.len()], &mut chosen[start..][..rows.len()]);
        start += rows.len();
        if rows[0].is_none() || !chosen.contains(&true) {
            continue;
        }
        let all: f32 = blocks.iter().map(Block::size).sum();
        let kept: f32 = blocks.iter().zip(&*chosen).filter(|(_, kept)| **kept).map(|(b, _)| b.size()).sum();
        if 2.0 * kept >= all { chosen.fill(true) } else { chosen[0] = true }
    }
}

/// The F measure that a choice is expected to have.
fn expected(blocks: &[Block], probable: &[f32], chosen: &[bool]) -> f32 {
    let (mut hit, mut both) = (0.0, 0.0);
    for ((block, probable), chosen) in blocks.iter().zip(probable).zip(chosen) {
        hit += if *chosen { probable * block.size() } else { 0.0 };
        both += block.size() * (probable + f32::from(u8::from(*chosen)));
    }
    if both > 0.0 { 2.0 * hit / both } else { 0.0 }
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
