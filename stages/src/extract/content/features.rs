//! What the model sees of each block: one row of numbers a block.
//!
//! Its own text, the elements around it, the groups of blocks that look like it, where it stands on the page, what
//! stands beside it, and the page. A missing thing is -1; a distance without an end is [`FAR`].

use super::super::block::{Block, Kind};
use super::super::page::Page;
use super::super::tag::Tag;
use super::super::words::Hints;
use super::again::{Between, OWN};
use super::around::{Around, CONTAINERS, LEVELS_MAX};
use super::facts::{Facts, each_word};
use super::reader::{self, View};
use super::shape::{Shape, Sums};
use super::speakers::Speakers;
use crate::text::keys::KeyMap;
use crate::text::trees::ABREAST;

/// Numbers in a row.
pub(crate) const WIDTH: usize = 225 + reader::WIDTH + 4;
/// The last of them, which are the same for all blocks of a page.
pub(crate) const PAGE: usize = 41;
/// Rows that are described before the model is asked about them: as many as it takes at once.
pub(super) const ROWS: usize = ABREAST;
/// A distance without an end.
pub(super) const FAR: f32 = 50.0;
/// What is written for a thing that is not there.
pub(super) const NONE: f32 = -1.0;
/// Least share of the page's prose in the element that is its centre.
const CENTRES: [f32; 2] = [0.5, 0.75];
/// Most words of a block that is compared with the title, and with the description.
const TITLE_WORDS_MAX: u32 = 40;
const DESCRIPTION_WORDS_MAX: u32 = 120;
/// Blocks before and behind that are described.
const BESIDE: [isize; 6] = [-3, -2, -1, 1, 2, 3];
/// Columns of each of them.
const BESIDE_WIDTH: usize = 6;
/// Least likeness of a block to the title that makes it the title of the page.
const TITLE_LIKENESS_MIN: f32 = 0.3;

struct Describer<'p, 'a> {
    page: &'p Page<'a>,
    hints: &'p [Hints],
    blocks: &'p [Block],
    shape: Shape,
    facts: Facts,
    /// Likeness of each block to the title and to the description.
    like: Vec<[f32; 2]>,
    /// The block that is the title, and the first `h1`.
    title: Option<usize>,
    h1: Option<usize>,
    /// The smallest elements that hold these shares of the prose.
    centres: [usize; 2],
    /// Blocks to the next paragraph behind each block.
    to_paragraph: Vec<f32>,
    /// How a reading mode sees each block; how many blocks of each leaf it shows, and its share of the words.
    views: Vec<View>,
    shown: KeyMap<u32>,
    shown_share: f32,
}

/// What was seen of a page beside the rows of its blocks.
pub(crate) struct Seen {
    /// What is known of the page as a whole, [`PAGE`] numbers; `None` where it has no block.
    pub(crate) page: Option<Vec<f32>>,
    /// The block that is the title.
    pub(crate) title: Option<usize>,
    /// Whether a reading mode would show each block.
    pub(crate) shown: Vec<bool>,
    /// For each block, the number of the row that speaks for it.
    pub(crate) speakers: Vec<u32>,
    /// What the second look needs of the blocks that were described.
    pub(crate) between: Between,
}

/// Describes the blocks of a page, of one with more than `most` some that speak for the others: `each` is given rows of [`WIDTH`]
/// numbers, one behind the other, a few at a time.
pub(crate) fn rows(
    page: &Page<'_>,
    hints: &[Hints],
    blocks: &[Block],
    url: &str,
    most: usize,
    each: impl FnMut(&[f32]),
) -> Seen {
    let shape = Shape::new(page, blocks);
    let facts = Facts::new(page, hints, url);
    let like: Vec<[f32; 2]> = blocks.iter().map(|b| likeness(page, &facts, b)).collect();
    let is_h1 = |b: &Block| page.nodes[b.parent].tag == Tag::H1;
    let mut title = (None, TITLE_LIKENESS_MIN);
    for (at, block) in blocks.iter().enumerate().filter(|(at, _)| like[*at][0] > TITLE_LIKENESS_MIN) {
        let bonus =
            if block.kind == Kind::Heading { 0.3 } else { 0.0 } + if is_h1(block) { 0.2 } else { 0.0 };
        if like[at][0] + bonus > title.1 {
            title = (Some(at), like[at][0] + bonus);
        }
    }
    let mut to_paragraph = vec![FAR; blocks.len()];
    let mut distance = FAR;
    for (at, block) in blocks.iter().enumerate().rev() {
        to_paragraph[at] = distance;
        distance = if block.is_paragraph() { 1.0 } else { (distance + 1.0).min(FAR) };
    }
    let views = reader::views(page, hints, blocks, &shape, &like);
    let (mut shown, mut words) = (KeyMap::default(), 0);
    for (at, _) in views.iter().enumerate().filter(|(_, view)| view.kept()) {
        *shown.entry(shape.leaf[at]).or_default() += 1;
        words += blocks[at].words;
    }
    let describer = Describer {
        shown_share: share(words, shape.total().words),
        views,
        shown,
        centres: CENTRES.map(|share| centre(page, &shape, share)),
        h1: blocks.iter().position(is_h1),
        title: title.0,
        page,
        hints,
        blocks,
        shape,
        facts,
        like,
        to_paragraph,
    };
    let page = (!blocks.is_empty()).then(|| describer.page_row());
    let speakers = Speakers::new(&describer.shape.leaf, most);
    let between = describer.describe(&speakers, page.as_deref().unwrap_or_default(), each);
    let shown = describer.views.iter().map(View::kept).collect();
    Seen { page, title: describer.title, shown, speakers: speakers.rows, between }
}

/// Likeness to the title (share of the words of both) and to the description (share of the block's words).
fn likeness(page: &Page<'_>, facts: &Facts, block: &Block) -> [f32; 2] {
    let (titled, described) = (facts.title.len(), facts.description.len());
    if block.words > DESCRIPTION_WORDS_MAX || (titled == 0 && described == 0) {
        return [0.0; 2];
    }
    let (mut words, mut in_title, mut in_description) = (0, 0, 0);
    for node in &page.nodes[block.node..block.end] {
        each_word(node.text, |word| {
            words += 1;
            in_title += usize::from(facts.title.contains(&word));
            in_description += usize::from(facts.description.contains(&word));
        });
    }
    let title = if block.words > TITLE_WORDS_MAX || titled == 0 {
        0.0
    } else {
        2.0 * in_title as f32 / (words + titled) as f32
    };
    let description = if described < 5 { 0.0 } else { in_description as f32 / words.max(1) as f32 };
    [title, description]
}

/// The smallest element with at least this share of the page's prose, or 0.
fn centre(page: &Page<'_>, shape: &Shape, share: f32) -> usize {
    let least = share * shape.total().prose as f32;
    if least == 0.0 {
        return 0;
    }
    let holds = |at: &usize| page.nodes[*at].tag != Tag::Text && shape.sums(page, *at).prose as f32 >= least;
    (1..page.nodes.len()).rev().find(holds).unwrap_or(0)
}

fn tag_code(page: &Page<'_>, block: &Block) -> f32 {
    let tag = page.nodes[block.parent].tag;
    if let Some(level) = tag.heading() {
        return 20.0 + level as f32;
    }
    match tag {
        Tag::Button => 1.0,
        Tag::Footer => 2.0,
        Tag::Aside => 3.0,
        Tag::Header => 4.0,
        Tag::Div => 5.0,
        Tag::Section | Tag::Article | Tag::Main => 6.0,
        Tag::Figcaption | Tag::Caption => 7.0,
        Tag::P => 10.0,
        Tag::Li => 11.0,
        Tag::Td | Tag::Th => 12.0,
        Tag::Tr => 13.0,
        Tag::Pre => 14.0,
        Tag::Blockquote => 15.0,
        Tag::Dd => 16.0,
        Tag::Dt => 17.0,
        _ => 8.0,
    }
}

fn share(part: u32, whole: u32) -> f32 {
    part as f32 / whole.max(1) as f32
}

fn log(count: u32) -> f32 {
    (1.0 + count as f32).ln()
}

impl Describer<'_, '_> {
    fn describe(&self, speakers: &Speakers, page_row: &[f32], mut each: impl FnMut(&[f32])) -> Between {
        let mut values = Vec::with_capacity(WIDTH * self.blocks.len().min(ROWS));
        let (mut since_paragraph, mut heading) = (FAR, None);
        let mut between = Between::new(page_row, speakers.len());
        for (at, block) in self.blocks.iter().enumerate() {
            if speakers.has_row(at) {
                let start = values.len();
                self.own(at, &mut values);
                let around = Around::new(self.page, self.hints, &self.shape, block);
                self.above(at, &around, &mut values);
                self.place(at, since_paragraph, heading, &mut values);
                self.view(at, &mut values);
                for step in BESIDE {
                    self.beside(at, step, &mut values);
                }
                self.keep(at, speakers, &around, &values[start..start + OWN], &mut between);
                values.extend_from_slice(page_row);
                if values.len() == ROWS * WIDTH {
                    each(&values);
                    values.clear();
                }
            }
            between.sizes[speakers.rows[at] as usize] += block.size();
            since_paragraph = if block.is_paragraph() { 1.0 } else { (since_paragraph + 1.0).min(FAR) };
            heading = if block.kind == Kind::Heading { Some(at) } else { heading };
        }
        if !values.is_empty() {
            each(&values);
        }
        between
    }

    /// Keeps what the second look needs of a block.
    fn keep(&self, at: usize, speakers: &Speakers, around: &Around, own: &[f32], between: &mut Between) {
        between.headings.push(self.blocks[at].kind == Kind::Heading);
        between.leaves.push(self.shape.leaf[at]);
        between.paths.push(self.shape.path[at]);
        let mut containers = around
            .containers(self.page, &self.shape)
            .map(|container| speakers.rows_of(self.shape.range(self.page, container)));
        between.containers.push(std::array::from_fn(|_| containers.next()));
        between.own.extend_from_slice(own);
    }

    fn own(&self, at: usize, row: &mut Vec<f32>) {
        let b = &self.blocks[at];
        row.extend([
            b.chars as f32,
            b.words as f32,
            share(b.chars, b.words),
            b.link_density(),
            b.links as f32,
            share(b.commas, b.words),
            b.stops as f32,
            share(b.stops, b.words),
            share(b.digits, b.chars),
            share(b.capitals, b.chars),
            share(b.proper, b.words),
            share(b.signs, b.chars),
            f32::from(b.first),
            f32::from(b.last),
            b.bars as f32,
            b.currencies as f32,
            share(b.bold, b.chars),
            b.longest as f32,
            b.marks as f32,
            self.shape.copies.get(&b.hash).copied().unwrap_or(1) as f32,
            tag_code(self.page, b),
            f32::from(b.kind as u8),
            self.like[at][0],
            self.like[at][1],
        ]);
        let group = |sums: Option<&Sums>| sums.copied().unwrap_or_default();
        let (leaf, path) = (&self.shape.leaf[at], &self.shape.path[at]);
        for sums in [group(self.shape.leaves.get(leaf)), group(self.shape.paths.get(path))] {
            row.extend([
                sums.blocks as f32,
                share(sums.chars, sums.blocks),
                sums.link_density(),
                share(sums.chars, self.shape.total().chars),
                share(sums.stops, sums.blocks),
            ]);
        }
    }

    fn above(&self, at: usize, around: &Around, row: &mut Vec<f32>) {
        row.extend(around.hints.iter().map(|(level, _)| *level));
        row.extend(around.hints[..5].iter().map(|(_, count)| *count));
        row.extend(around.tags);
        row.extend([
            f32::from(self.shape.depth[self.blocks[at].node]),
            around.brothers as f32,
            around.item.map_or(FAR, |(_, level)| level),
        ]);
        let total = self.shape.total();
        match around.item {
            Some((item, _)) => {
                let sums = self.shape.sums(self.page, item);
                let list = self.shape.sums(self.page, self.page.nodes[item].parent as usize);
                let brothers = self.shape.brothers[item];
                row.extend([
                    brothers as f32,
                    sums.chars as f32,
                    sums.link_density(),
                    sums.blocks as f32,
                    sums.prose_share(),
                    (at - self.shape.first[item] as usize) as f32,
                    share(list.chars, total.chars),
                    share(list.chars, brothers),
                    list.link_density(),
                    list.prose_share(),
                ]);
            }
            None => row.extend([NONE; 10]),
        }
        let mut containers = around.containers(self.page, &self.shape);
        for _ in 0..CONTAINERS {
            let Some(container) = containers.next() else {
                row.extend([NONE; 9]);
                continue;
            };
            let sums = self.shape.sums(self.page, container);
            row.extend([
                sums.blocks as f32,
                sums.chars as f32,
                share(sums.chars, total.chars),
                sums.link_density(),
                sums.prose_share(),
                share(sums.prose, total.prose),
                share(sums.stops, sums.blocks),
                share(sums.headings, sums.blocks),
                (at - self.shape.first[container] as usize) as f32 / sums.blocks.max(1) as f32,
            ]);
        }
    }

    fn place(&self, at: usize, since_paragraph: f32, heading: Option<usize>, row: &mut Vec<f32>) {
        let block = &self.blocks[at];
        let count = self.blocks.len() as f32;
        let holds =
            |element: usize, node: usize| element <= node && node < self.page.nodes[element].end as usize;
        row.extend(self.centres.map(|c| f32::from(u8::from(c > 0 && holds(c, block.node)))));
        let (levels, common) = self.common(block.node, self.centres[0]);
        row.extend([
            levels,
            self.shape.range(self.page, common).len() as f32 / count,
            f32::from(self.shape.depth[self.centres[0]]) - f32::from(self.shape.depth[common]),
        ]);
        let before = self.shape.before(at);
        let total = self.shape.total();
        let from = |other: Option<usize>| other.map_or(-999.0, |o| at as f32 - o as f32);
        row.extend([
            at as f32 / count,
            at as f32,
            count - at as f32,
            share(before.chars, total.chars),
            share(before.prose, total.prose),
            from(self.title),
            from(self.h1),
        ]);
        match self.title {
            Some(title) => {
                let (levels, common) = self.common(block.node, self.blocks[title].node);
                row.extend([levels, self.shape.range(self.page, common).len() as f32 / count]);
            }
            None => row.extend([NONE; 2]),
        }
        row.extend([since_paragraph, self.to_paragraph[at]]);
        match heading {
            Some(heading) => {
                let level = self.page.nodes[self.blocks[heading].parent].tag.heading().unwrap_or(0);
                row.extend([(at - heading) as f32, level as f32, self.like[heading][0]]);
            }
            None => row.extend([99.0, 0.0, 0.0]),
        }
    }

    fn view(&self, at: usize, row: &mut Vec<f32>) {
        row.extend(self.views[at].numbers());
        let kept = |at: Option<usize>| {
            at.and_then(|at| self.views.get(at)).map_or(NONE, |view| f32::from(u8::from(view.kept())))
        };
        let leaf = self.shape.leaf[at];
        let blocks = self.shape.leaves.get(&leaf).map_or(1, |sums| sums.blocks);
        row.extend([
            kept(at.checked_sub(1)),
            kept(Some(at + 1)),
            share(self.shown.get(&leaf).copied().unwrap_or(0), blocks),
            self.shown_share,
        ]);
    }

    /// Levels up to the element that holds both nodes, and that element.
    fn common(&self, from: usize, other: usize) -> (f32, usize) {
        let (mut at, mut levels) = (from, 0.0);
        while levels < LEVELS_MAX as f32
            && at != 0
            && !(at <= other && other < self.page.nodes[at].end as usize)
        {
            at = self.page.nodes[at].parent as usize;
            levels += 1.0;
        }
        (levels, at)
    }

    fn beside(&self, at: usize, step: isize, row: &mut Vec<f32>) {
        let Some((other, block)) =
            at.checked_add_signed(step).and_then(|other| Some((other, self.blocks.get(other)?)))
        else {
            row.extend([NONE; BESIDE_WIDTH]);
            return;
        };
        let depth = |block: &Block| f32::from(self.shape.depth[block.node]);
        row.extend([
            block.words as f32,
            block.link_density(),
            tag_code(self.page, block),
            block.stops as f32,
            f32::from(u8::from(self.shape.leaf[other] == self.shape.leaf[at])),
            depth(block) - depth(&self.blocks[at]),
        ]);
    }

    fn page_row(&self) -> Vec<f32> {
        let (total, facts) = (self.shape.total(), &self.facts);
        let count = self.blocks.len() as u32;
        let paragraphs = self.blocks.iter().filter(|b| b.is_paragraph());
        let longest = paragraphs.clone().map(|b| b.words).max().unwrap_or(0);
        let priced = self.blocks.iter().filter(|b| b.currencies > 0).count() as u32;
        let [articles, mains, ps, images, inputs, items, cells, pres] = facts.tags;
        let mut row = vec![
            log(count),
            log(total.chars),
            total.link_density(),
            total.prose_share(),
            log(longest),
            log(paragraphs.count() as u32),
            share(priced, count),
            facts.og_type,
            articles.min(20) as f32,
            mains.min(3) as f32,
            log(ps),
            log(images),
            log(inputs),
            share(items, count),
            share(cells, count),
            log(pres),
            log(facts.comments),
            log(facts.posts),
        ];
        row.extend(facts.kinds.map(|n| n.min(10) as f32));
        row.extend(facts.address);
        row.extend([
            share(total.headings, count),
            share(total.words, count),
            facts.description.len() as f32,
            facts.title.len() as f32,
        ]);
        row
    }
}
