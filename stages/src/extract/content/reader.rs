//! What a reading mode of a browser would show, as a view of each block for the model.
//!
//! Paragraphs give points to the elements around them, the element with the most points per linked text is the best one,
//! brothers like it join it, and what is left is tidied: lists of links, forms, small boxes go. The idea is Arc90's
//! Readability (2009); words of names are those of [`Hint`]. No rule here decides anything: the views are numbers
//! that the model may believe or not.

use super::super::block::{Block, Kind};
use super::super::page::Page;
use super::super::table;
use super::super::tag::Tag;
use super::super::words::{Hint, Hints};
use super::shape::Shape;

/// Numbers that [`View::numbers`] gives.
pub(crate) const WIDTH: usize = 6;
/// Fewest characters of a block that gives points.
const CHARS_MIN: u32 = 25;
/// Elements around a block that get points.
const LEVELS: usize = 5;
/// Best elements that are compared.
const BEST: usize = 5;
/// Share of the best element's points from which on others count as good as it.
const EQUAL_MIN: f32 = 0.75;
/// Fewest characters that make a view worth showing; with less, the rules are relaxed one by one.
const TEXT_MIN: u32 = 500;
/// Rules of each try: whether names take elements out, whether names weigh, whether what is left is tidied.
const TRIES: [(bool, bool, bool); 4] =
    [(true, true, true), (false, true, true), (false, false, true), (false, false, false)];
/// Points of an element by what its name says.
const NAME: f32 = 25.0;
/// Likeness to the title from which on a heading repeats it.
const LIKENESS_MIN: f32 = 0.75;

/// How a block looks to the reader.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct View {
    /// In the best element; in what joins it; left when that is tidied.
    best: bool,
    article: bool,
    kept: bool,
    /// Under a name that takes elements out.
    unlikely: bool,
    /// Most points of the elements just around it, as a share of those of the best one.
    points: f32,
    /// The try that was shown.
    attempt: f32,
}

impl View {
    /// The view as columns of a row.
    pub(crate) fn numbers(&self) -> [f32; WIDTH] {
        let one = |is: bool| f32::from(u8::from(is));
        [one(self.best), one(self.article), one(self.kept), one(self.unlikely), self.points, self.attempt]
    }

    /// Whether it is shown.
    pub(crate) const fn kept(&self) -> bool {
        self.kept
    }
}

/// Sums over the text below an element, and over elements.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    chars: u32,
    linked: u32,
    commas: u32,
    headings: u32,
    lists: u32,
    paragraphs: u32,
    images: u32,
    items: u32,
    inputs: u32,
}

impl Held {
    fn add(&mut self, other: &Self) {
        self.chars += other.chars;
        self.linked += other.linked;
        self.commas += other.commas;
        self.headings += other.headings;
        self.lists += other.lists;
        self.paragraphs += other.paragraphs;
        self.images += other.images;
        self.items += other.items;
        self.inputs += other.inputs;
    }

    fn density(&self) -> f32 {
        self.linked as f32 / self.chars.max(1) as f32
    }
}

/// Room that the tries share.
#[derive(Debug, Default)]
struct Room {
    points: Vec<f32>,
    held: Vec<Held>,
    out: Vec<bool>,
}

/// Characters of a block with a space between words.
fn chars(block: &Block) -> u32 {
    block.chars + block.words.saturating_sub(1)
}

struct Reader<'p, 'a> {
    page: &'p Page<'a>,
    hints: &'p [Hints],
    blocks: &'p [Block],
    shape: &'p Shape,
    like: &'p [[f32; 2]],
    /// Nodes in data tables and code, which names do not take out.
    sheltered: Vec<bool>,
    /// Nodes that names take out, with all below them.
    unlikely: Vec<bool>,
}

/// The view of each block.
pub(crate) fn views(
    page: &Page<'_>,
    hints: &[Hints],
    blocks: &[Block],
    shape: &Shape,
    like: &[[f32; 2]],
) -> Vec<View> {
    let len = page.nodes.len();
    let mut reader =
        Reader { page, hints, blocks, shape, like, sheltered: vec![false; len], unlikely: vec![false; len] };
    reader.mark();
    let strips = blocks.iter().any(|block| reader.unlikely[block.node]);
    let weighs = (0..len).any(|at| reader.weight(at) != 0.0);
    let mut best: (u32, Vec<View>) = (0, Vec::new());
    let (mut tried, mut room) = (None, Room::default());
    for (number, (strip, weigh, tidy)) in TRIES.into_iter().enumerate() {
        // A rule that touches nothing on this page makes no other try.
        let rules = Some((strip && strips, weigh && weighs, tidy));
        if rules == tried {
            continue;
        }
        tried = rules;
        let found = reader.attempt(strip, weigh, tidy, number as f32, &mut room);
        if best.1.is_empty() || found.0 > best.0 {
            best = found;
        }
        if best.0 >= TEXT_MIN {
            break;
        }
    }
    best.1
}

impl Reader<'_, '_> {
    fn mark(&mut self) {
        let mut table_end = 0;
        for at in 1..self.page.nodes.len() {
            let node = &self.page.nodes[at];
            let parent = node.parent as usize;
            self.sheltered[at] = self.sheltered[parent] || matches!(node.tag, Tag::Pre | Tag::Code);
            if node.tag == Tag::Table && at >= table_end && table::is_data(self.page, at) {
                table_end = node.end as usize;
                self.sheltered[at] = true;
            }
            let hints = self.hints[at];
            let says = |list: &[Hint]| list.iter().any(|hint| hints.has(*hint));
            let is_named = says(&[Hint::Navigation, Hint::Furniture, Hint::Related, Hint::Comment])
                && !says(&[Hint::Main])
                && !matches!(node.tag, Tag::Body | Tag::A | Tag::Article | Tag::Main);
            self.unlikely[at] = self.unlikely[parent]
                || (node.element.is_some() && (is_named || says(&[Hint::Hidden])) && !self.sheltered[at]);
        }
    }

    /// Points by the names of an element.
    fn weight(&self, at: usize) -> f32 {
        let hints = self.hints[at];
        let has = |hint: Hint| f32::from(u8::from(hints.has(hint)));
        let good = has(Hint::Main).max(has(Hint::Post));
        let bad = has(Hint::Furniture)
            .max(has(Hint::Navigation))
            .max(has(Hint::Related))
            .max(has(Hint::Comment))
            .max(has(Hint::Meta));
        NAME * (good - bad)
    }

    fn base(&self, at: usize) -> f32 {
        match self.page.nodes[at].tag {
            Tag::Div => 5.0,
            Tag::Pre | Tag::Td | Tag::Blockquote => 3.0,
            Tag::Address | Tag::Ol | Tag::Ul | Tag::Dl | Tag::Dd | Tag::Dt | Tag::Li | Tag::Form => -3.0,
            Tag::H1 | Tag::H2 | Tag::H3 | Tag::H4 | Tag::H5 | Tag::H6 | Tag::Th => -5.0,
            _ => 0.0,
        }
    }

    /// Characters shown, and the views.
    fn attempt(
        &self,
        strip: bool,
        weigh: bool,
        tidy: bool,
        number: f32,
        room: &mut Room,
    ) -> (u32, Vec<View>) {
        let mut lost = vec![false; self.blocks.len()];
        let mut title_seen = false;
        for (lost, (block, like)) in lost.iter_mut().zip(self.blocks.iter().zip(self.like)) {
            let repeats = !title_seen && block.kind == Kind::Heading && like[0] > LIKENESS_MIN;
            title_seen |= repeats;
            *lost = repeats || (strip && self.unlikely[block.node]);
        }
        self.points(&lost, weigh, &mut room.points);
        let (best, ranges) = self.article(&room.points);
        self.tidied(&ranges, &lost, weigh, tidy, room);
        let (points, held_out) = (&room.points, &room.out);
        let top = points[best].max(1.0);
        let (mut shown, mut views, mut next) = (0, Vec::with_capacity(self.blocks.len()), 0);
        for (at, block) in self.blocks.iter().enumerate() {
            while ranges.get(next).is_some_and(|range| range.1 <= block.node) {
                next += 1;
            }
            let article = ranges.get(next).is_some_and(|range| range.0 <= block.node);
            let kept = article && !lost[at] && !held_out[block.node - ranges[next].0 + ranges[next].2];
            shown += if kept { chars(block) } else { 0 };
            let around = self.page.ancestors(block.node).take(LEVELS + 1);
            let most = around.map(|at| points[at]).fold(0.0_f32, f32::max);
            views.push(View {
                best: best <= block.node && block.node < self.page.nodes[best].end as usize,
                article,
                kept,
                unlikely: self.unlikely[block.node],
                points: most / top,
                attempt: number,
            });
        }
        (shown, views)
    }

    /// The points of each element, linked text left out.
    fn points(&self, lost: &[bool], weigh: bool, points: &mut Vec<f32>) {
        points.clear();
        points.resize(self.page.nodes.len(), 0.0);
        let mut named = Vec::new();
        for (at, block) in self.blocks.iter().enumerate() {
            let start = match self.page.nodes[block.parent].tag {
                Tag::P | Tag::Pre | Tag::Td | Tag::H2 | Tag::H3 | Tag::H4 | Tag::H5 | Tag::H6 => {
                    self.page.nodes[block.parent].parent as usize
                }
                Tag::Div | Tag::Section | Tag::Body | Tag::Article | Tag::Main => block.parent,
                _ => continue,
            };
            let length = chars(block);
            if lost[at] || length < CHARS_MIN {
                continue;
            }
            let worth = 2.0 + block.commas as f32 + (length / 100).min(3) as f32;
            let mut element = start;
            for level in 0..LEVELS {
                if element == 0 {
                    break;
                }
                if points[element] == 0.0 {
                    named.push(element);
                    points[element] = self.base(element) + if weigh { self.weight(element) } else { 0.0 };
                }
                let level = level as f32;
                points[element] += worth / if level < 2.0 { level + 1.0 } else { level * 3.0 };
                element = self.page.nodes[element].parent as usize;
            }
        }
        let mut before = Vec::with_capacity(self.blocks.len() + 1);
        let mut sum = (0_u32, 0_u32);
        for (block, lost) in self.blocks.iter().zip(lost) {
            before.push(sum);
            if !lost {
                sum = (sum.0 + block.chars, sum.1 + block.linked);
            }
        }
        before.push(sum);
        for at in named {
            let range = self.shape.range(self.page, at);
            let (from, to) = (before[range.start], before[range.end]);
            points[at] *= 1.0 - (to.1 - from.1) as f32 / (to.0 - from.0).max(1) as f32;
        }
    }

    /// The best element, and the ranges of nodes that belong to it: start, end, place of the start among all that are in ranges.
    fn article(&self, points: &[f32]) -> (usize, Vec<(usize, usize, usize)>) {
        let nodes = &self.page.nodes;
        let body = (1..nodes.len()).find(|at| nodes[*at].tag == Tag::Body).unwrap_or(0);
        let mut best: Vec<usize> = Vec::with_capacity(BEST + 1);
        for at in (1..nodes.len()).filter(|at| points[*at] > 0.0 && nodes[*at].tag != Tag::Body) {
            let place = best.iter().position(|other| points[*other] < points[at]).unwrap_or(best.len());
            if place < BEST {
                best.insert(place, at);
                best.truncate(BEST);
            }
        }
        let Some(&first) = best.first() else {
            return (body, vec![(body, nodes[body].end as usize, 0)]);
        };
        let top = self.climb(first, &best, points);
        let mut ranges = Vec::new();
        let parent = nodes[top].parent as usize;
        let least = (points[top] * 0.2).max(10.0);
        let class = nodes[top].attribute("class").unwrap_or_default();
        let mut place = 0;
        for child in self.page.children(parent) {
            let node = &nodes[child];
            let same = !class.is_empty() && node.attribute("class") == Some(class);
            let bonus = if same { points[top] * 0.2 } else { 0.0 };
            let joins = child == top || (points[child] > 0.0 && points[child] + bonus >= least);
            let sums = || self.shape.sums(self.page, child);
            if joins || (node.tag == Tag::P && is_sentence(sums())) {
                ranges.push((child, node.end as usize, place));
                place += node.end as usize - child;
            }
        }
        (top, ranges)
    }

    /// Up from the best element, to what holds several that are nearly as good, to what has more points, and out of what is all that is
    /// there.
    fn climb(&self, first: usize, best: &[usize], points: &[f32]) -> usize {
        let nodes = &self.page.nodes;
        let is_top = |at: usize| at == 0 || matches!(nodes[at].tag, Tag::Body);
        let mut top = first;
        let equal: Vec<usize> =
            best[1..].iter().copied().filter(|at| points[*at] >= EQUAL_MIN * points[first]).collect();
        if equal.len() >= 3 {
            let holds = |at: usize| equal.iter().filter(|e| at < **e && **e < nodes[at].end as usize).count();
            let common = self.page.ancestors(first).take_while(|at| !is_top(*at)).find(|at| holds(*at) >= 3);
            top = common.unwrap_or(top);
        }
        let mut last = points[top];
        let least = last / 3.0;
        for at in self.page.ancestors(top).take_while(|at| !is_top(*at)) {
            if points[at] == 0.0 {
                continue;
            }
            if points[at] < least {
                break;
            }
            if points[at] > last {
                top = at;
                break;
            }
            last = points[at];
        }
        loop {
            let parent = nodes[top].parent as usize;
            let mut elements = self.page.children(parent).filter(|c| nodes[*c].element.is_some());
            if is_top(parent) || elements.next() != Some(top) || elements.next().is_some() {
                return top;
            }
            top = parent;
        }
    }

    /// Which nodes of the ranges tidying takes out, by their place.
    fn tidied(
        &self,
        ranges: &[(usize, usize, usize)],
        lost: &[bool],
        weigh: bool,
        tidy: bool,
        room: &mut Room,
    ) {
        let nodes = &self.page.nodes;
        let len = ranges.last().map_or(0, |range| range.2 + range.1 - range.0);
        let Room { out, held, .. } = room;
        out.clear();
        out.resize(len, false);
        held.clear();
        held.resize(len, Held::default());
        for &(start, end, place) in ranges {
            for at in self.shape.range(self.page, start) {
                let block = &self.blocks[at];
                if !lost[at] && block.parent >= start {
                    let linked = (chars(block) as f32 * block.link_density()) as u32;
                    let text = Held { chars: chars(block), linked, commas: block.commas, ..Held::default() };
                    held[block.parent - start + place].add(&text);
                }
            }
            for at in (start..end).rev() {
                let here = at - start + place;
                let tag = nodes[at].tag;
                let sums = &mut held[here];
                match tag {
                    Tag::Text => continue,
                    Tag::P => sums.paragraphs += 1,
                    Tag::Img => sums.images += 1,
                    Tag::Li => sums.items += 1,
                    Tag::Input => sums.inputs += 1,
                    Tag::Ul | Tag::Ol => sums.lists = sums.chars,
                    _ if tag.heading().is_some() => sums.headings = sums.chars,
                    _ => {}
                }
                let sums = *sums;
                out[here] = self.is_untidy(at, &sums, weigh, tidy);
                let parent = nodes[at].parent as usize;
                if !out[here] && at > start {
                    held[parent - start + place].add(&sums);
                }
            }
            for at in start + 1..end {
                out[at - start + place] |= out[nodes[at].parent as usize - start + place];
            }
        }
    }

    fn is_untidy(&self, at: usize, held: &Held, weigh: bool, tidy: bool) -> bool {
        let tag = self.page.nodes[at].tag;
        let is_share = self.hints[at].has(Hint::Furniture) && held.chars < TEXT_MIN;
        let weight = if weigh { self.weight(at) } else { 0.0 };
        match tag {
            Tag::Footer | Tag::Aside => true,
            Tag::H1 | Tag::H2 => weight < 0.0,
            Tag::Form | Tag::Fieldset | Tag::Table | Tag::Ul | Tag::Div | Tag::Section => {
                is_share || (tidy && !self.sheltered[at] && untidy(tag, held, weight))
            }
            _ => is_share && self.page.nodes[at].element.is_some() && tag != Tag::A,
        }
    }
}

/// Whether a box holds more links, pictures or fields than text.
fn untidy(tag: Tag, held: &Held, weight: f32) -> bool {
    if weight < 0.0 {
        return true;
    }
    if held.commas >= 10 || tag == Tag::Section {
        return false;
    }
    let is_list = tag == Tag::Ul || held.lists as f32 > 0.9 * held.chars as f32;
    let density = held.density();
    let headed = held.headings as f32 / held.chars.max(1) as f32;
    let small = held.chars < CHARS_MIN && (held.images == 0 || held.images > 2);
    (held.images > 1 && held.paragraphs * 2 < held.images)
        || (!is_list && held.items > held.paragraphs + 100)
        || held.inputs > held.paragraphs / 3
        || (!is_list && headed < 0.9 && small && density > 0.0)
        || (!is_list && weight < NAME && density > 0.2)
        || (weight >= NAME && density > 0.5)
        || (held.images == 0 && held.chars == 0)
}

/// Whether a paragraph beside the best element reads like one.
fn is_sentence(sums: super::shape::Sums) -> bool {
    let density = sums.link_density();
    let length = sums.chars + sums.words;
    (length > 80 && density < 0.25) || (length > 0 && length <= 80 && density == 0.0 && sums.stops > 0)
}
