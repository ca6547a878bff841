//! The elements around a block, from the inside out.

use super::super::block::Block;
use super::super::page::Page;
use super::super::tag::Tag;
use super::super::words::{Hint, Hints};
use super::features::FAR;
use super::groups::{TAGS, group};
use super::shape::Shape;

/// Elements around a block that hold more blocks than the one below them: how many are described.
pub(crate) const CONTAINERS: usize = 5;
/// Most elements around a block that are looked at; pages made by people have fewer.
pub(super) const LEVELS_MAX: usize = 100;

pub(super) const HINTS: [Hint; 10] = [
    Hint::Main,
    Hint::Navigation,
    Hint::Furniture,
    Hint::Related,
    Hint::Comment,
    Hint::Hidden,
    Hint::Meta,
    Hint::Gutter,
    Hint::Post,
    Hint::Caption,
];

/// What is around a block.
pub(super) struct Around {
    /// Levels to the nearest bearer of each hint, and how many bear it.
    pub(super) hints: [(f32, f32); HINTS.len()],
    /// Levels to the nearest bearer of each group of tags.
    pub(super) tags: [f32; TAGS],
    /// The first elements that hold more blocks than the one before them, and how many these are.
    containers: [usize; CONTAINERS + 1],
    containers_len: usize,
    /// Most brothers of any.
    pub(super) brothers: u32,
    /// The nearest with two brothers and two blocks, and its level.
    pub(super) item: Option<(usize, f32)>,
}

impl Around {
    pub(super) fn new(page: &Page<'_>, hints: &[Hints], shape: &Shape, block: &Block) -> Self {
        let mut around = Self {
            hints: [(FAR, 0.0); HINTS.len()],
            tags: [FAR; TAGS],
            containers: [0; CONTAINERS + 1],
            containers_len: 0,
            brothers: 0,
            item: None,
        };
        let mut most = 0;
        let above = page.ancestors(block.node).take_while(|at| *at != 0).take(LEVELS_MAX);
        for (level, at) in above.enumerate() {
            let level = level as f32;
            let tag = page.nodes[at].tag;
            if tag != Tag::Body && hints[at] != Hints::default() {
                for (slot, hint) in around.hints.iter_mut().zip(HINTS) {
                    if hints[at].has(hint) {
                        *slot = (slot.0.min(level), slot.1 + 1.0);
                    }
                }
            }
            if let Some(group) = group(tag) {
                around.tags[group] = around.tags[group].min(level);
            }
            let held = shape.range(page, at).len();
            if held > most {
                most = held;
                if let Some(slot) = around.containers.get_mut(around.containers_len) {
                    *slot = at;
                    around.containers_len += 1;
                }
            }
            let brothers = shape.brothers[at];
            around.brothers = around.brothers.max(brothers);
            if brothers >= 3 && held >= 2 && around.item.is_none() {
                around.item = Some((at, level));
            }
        }
        around
    }

    /// The first elements that hold more blocks than the one before them, and more than the block alone.
    pub(super) fn containers(&self, page: &Page<'_>, shape: &Shape) -> impl Iterator<Item = usize> {
        let containers = &self.containers[..self.containers_len];
        let alone = containers.first().is_some_and(|c| shape.range(page, *c).len() <= 1);
        containers.iter().copied().skip(usize::from(alone)).take(CONTAINERS)
    }
}
