//! The shape of a page: sums over every element, and which elements and blocks repeat.

use super::super::block::{Block, Kind};
use super::super::page::Page;
use crate::text::keys::KeyMap;
use std::ops::{AddAssign, Range};

/// Sums over some blocks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(crate) chars: u32,
    pub(crate) linked: u32,
    pub(crate) words: u32,
    pub(crate) stops: u32,
    /// Words in blocks that read like sentences.
    pub(crate) prose: u32,
    pub(crate) headings: u32,
    pub(crate) blocks: u32,
}

impl Sums {
    fn of(block: &Block) -> Self {
        Self {
            chars: block.chars,
            linked: block.linked,
            words: block.words,
            stops: block.stops,
            prose: if block.is_prose() { block.words } else { 0 },
            headings: u32::from(block.kind == Kind::Heading),
            blocks: 1,
        }
    }

    const fn since(&self, before: &Self) -> Self {
        Self {
            chars: self.chars - before.chars,
            linked: self.linked - before.linked,
            words: self.words - before.words,
            stops: self.stops - before.stops,
            prose: self.prose - before.prose,
            headings: self.headings - before.headings,
            blocks: self.blocks - before.blocks,
        }
    }

    pub(crate) fn link_density(&self) -> f32 {
        self.linked as f32 / self.chars.max(1) as f32
    }

    /// Share of the words in sentences.
    pub(crate) fn prose_share(&self) -> f32 {
        self.prose as f32 / self.words.max(1) as f32
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.chars += other.chars;
        self.linked += other.linked;
        self.words += other.words;
        self.stops += other.stops;
        self.prose += other.prose;
        self.headings += other.headings;
        self.blocks += other.blocks;
    }
}

/// What is known of the nodes of a page and of its blocks beside each other.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Blocks before each node.
    pub(crate) first: Vec<u32>,
    /// Sums over the blocks before each block.
    before: Vec<Sums>,
    /// Elements around each node.
    pub(crate) depth: Vec<u16>,
    /// Brothers of each element that have its name and class, itself included.
    pub(crate) brothers: Vec<u32>,
    /// Per block: the name and class of the three elements around it, as a number.
    pub(crate) leaf: Vec<u64>,
    /// Sums over the blocks of the same `leaf`.
    pub(crate) leaves: KeyMap<Sums>,
    /// Per block: the names of all elements around it, as a number.
    pub(crate) path: Vec<u64>,
    /// Sums over the blocks of the same `path`.
    pub(crate) paths: KeyMap<Sums>,
    /// How often the text of a block occurs.
    pub(crate) copies: KeyMap<u32>,
}

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(bytes.len() as u64, |h, b| (h.rotate_left(5) ^ u64::from(*b)).wrapping_mul(MIX))
}

impl Shape {
    pub(crate) fn new(page: &Page<'_>, blocks: &[Block]) -> Self {
        let len = page.nodes.len();
        let mut first = Vec::with_capacity(len + 1);
        let mut before = Vec::with_capacity(blocks.len() + 1);
        let mut sum = Sums::default();
        for block in blocks {
            before.push(sum);
            sum += Sums::of(block);
        }
        before.push(sum);
        let mut passed = 0;
        for at in 0..=len {
            while blocks.get(passed).is_some_and(|b| b.node < at) {
                passed += 1;
            }
            first.push(passed as u32);
        }
        let (mut depth, mut names, mut paths) = (vec![0_u16; len], vec![0_u64; len], vec![0_u64; len]);
        let mut families: KeyMap<u32> = KeyMap::default();
        for at in 1..len {
            let node = &page.nodes[at];
            let parent = node.parent as usize;
            depth[at] = depth[parent] + 1;
            if let Some(element) = node.element {
                let name = hash(element.name().as_bytes());
                paths[at] = (paths[parent] ^ name).wrapping_mul(MIX).rotate_left(23);
                names[at] = name ^ class(node.attribute("class").unwrap_or_default()).rotate_left(1);
                *families.entry(family(parent, names[at])).or_default() += 1;
            }
        }
        let brothers = |at: usize| families.get(&family(page.nodes[at].parent as usize, names[at])).copied();
        let is_element = |at: usize| page.nodes[at].element.is_some();
        let brothers =
            (0..len).map(|at| if is_element(at) { brothers(at).unwrap_or(0) } else { 0 }).collect();
        let leaf: Vec<u64> = blocks.iter().map(|b| leaf(page, &names, b)).collect();
        let path: Vec<u64> = blocks.iter().map(|b| paths[b.parent]).collect();
        let mut shape = Self {
            first,
            before,
            depth,
            brothers,
            leaves: group(&leaf, blocks),
            leaf,
            paths: group(&path, blocks),
            path,
            copies: KeyMap::default(),
        };
        for block in blocks {
            *shape.copies.entry(block.hash).or_default() += 1;
        }
        shape
    }

    /// The blocks of an element.
    pub(crate) fn range(&self, page: &Page<'_>, at: usize) -> Range<usize> {
        self.first[at] as usize..self.first[page.nodes[at].end as usize] as usize
    }

    /// Sums over the blocks of an element.
    pub(crate) fn sums(&self, page: &Page<'_>, at: usize) -> Sums {
        let range = self.range(page, at);
        self.before[range.end].since(&self.before[range.start])
    }

    /// Sums over all blocks before one.
    pub(crate) fn before(&self, block: usize) -> &Sums {
        &self.before[block]
    }

    /// Sums over all blocks.
    pub(crate) fn total(&self) -> &Sums {
        &self.before[self.before.len() - 1]
    }
}

/// The first name of a class, without the digits that number such names.
fn class(names: &str) -> u64 {
    let name = names.split_ascii_whitespace().next().unwrap_or_default().as_bytes();
    name.iter()
        .filter(|b| !b.is_ascii_digit())
        .fold(1, |h, b| (h.rotate_left(5) ^ u64::from(*b)).wrapping_mul(MIX))
}

const fn family(parent: usize, name: u64) -> u64 {
    (parent as u64).wrapping_mul(MIX) ^ name
}

fn leaf(page: &Page<'_>, names: &[u64], block: &Block) -> u64 {
    let mut at = block.parent;
    let mut leaf = block.kind as u64;
    for _ in 0..3 {
        leaf = leaf.wrapping_mul(MIX).rotate_left(17) ^ names[at];
        at = page.nodes[at].parent as usize;
    }
    leaf
}

fn group(keys: &[u64], blocks: &[Block]) -> KeyMap<Sums> {
    let mut groups: KeyMap<Sums> = KeyMap::default();
    for (key, block) in keys.iter().zip(blocks) {
        *groups.entry(*key).or_default() += Sums::of(block);
    }
    groups
}
