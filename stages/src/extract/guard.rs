//! Cuts what would make the tree builder slow, before it sees it: nesting, formatting and attributes without end.
//!
//! HTML's tree construction searches the stack of open elements at most tags, opens the unclosed formatting elements
//! again in every paragraph and searches the attributes so far at each attribute, so a page of 100,000 nested elements
//! costs the square of that. Browsers cut too: Blink flattens below 512 levels. Here the stack of open elements is
//! followed from tag to tag, roughly as the HTML standard says (13.2.6): which end tag closes what, which start tag
//! closes its elder brother. Text is never cut, only tags and attributes beyond the limits: start tags below the
//! deepest level with their end tags, end tags that end nothing where the stack is deep, many attributes of formatting,
//! and `html` and `body` behind the first few, whose attributes all become those of one element.
//!
//! ```text
//! <div> × 100,000, x   → <div> × 100, x
//! <p>x</section>       → the same, but <p>x where the stack is deep
//! ```

mod class;

use super::tokens::{is_read, raw_kind};
use class::{CELL, Class, DEFINITION, LINK, LIST_ITEM, ROOT, ROW, key};
use html5ever::interface::Attribute;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult};
use std::cell::{Cell, RefCell};

/// Deepest nesting that reaches the tree builder; tags below it are left out, their text stays.
pub(crate) const DEPTH_MAX: usize = 100;
/// Levels more that leaves may take: a heading below too many `div` is still a heading.
const LEAF_LEVELS: usize = 16;
/// Depth from which on end tags that end nothing are cut: the tree builder searches the whole stack for each.
const DEEP: usize = 32;
/// How far down the stack an end tag looks for its start.
const SEARCH_MAX: usize = 2 * DEPTH_MAX;
/// Open elements that the tree builder may look at in all, and for each byte of the page: it looks through all of
/// them at nearly any tag. A page that asks for more is read again and cut at half the depth, down to the least. Of the
/// 1,508 pages of the gold sets none asks for more than 0.6 a byte, and none of more than 500 kB for more than 0.1.
const LOOKS_MIN: usize = 1_000_000;
const LOOKS_PER_BYTE: usize = 1;
/// The depth that any page has.
const DEPTH_MIN: usize = 12;
/// Most formatting elements open at once; those beyond are left out.
const FORMATTING_MAX: usize = 24;
/// Most attributes of a formatting element, which the tree builder sorts and compares with those of all that are open, and of
/// one inside more of these than people nest.
const ATTRIBUTES_MANY: usize = 16;
const ATTRIBUTES_FEW: usize = 4;
const FORMATTING_FEW: usize = 8;
/// Most `html` and `body` tags each.
const ROOTS_MAX: usize = 4;

/// No place in the stack.
const NOWHERE: u32 = u32::MAX;
/// Ways to the topmost element of a name.
const WAYS: usize = 64;

/// What ends a look down the stack.
#[derive(Clone, Copy)]
enum Stop {
    Scope = 0,
    Special = 1,
    Wall = 2,
    Table = 3,
    Never = 4,
}

/// The bits of the first four.
const STOPS: [u16; 4] = [Class::SCOPE, Class::SPECIAL, Class::WALL, Class::TABLE];

/// An open element.
#[derive(Clone, Copy)]
struct Open {
    /// 0 where it was closed under others that are still open.
    name: u64,
    /// The tree builder sees it.
    kept: bool,
    /// The next element down on the same way.
    below: u32,
    /// The topmost elements that end a look, itself included.
    stops: [u32; STOPS.len()],
}

/// The open elements, as far as they matter here. A look down costs the same at any depth.
struct Stack {
    open: Vec<Open>,
    /// The topmost element of each way.
    ways: [u32; WAYS],
    /// Names that were met lately, by their way.
    known: [(u64, Class); WAYS],
    /// How many of the open elements are kept, and how many may be.
    depth: usize,
    depth_max: usize,
    formatting: usize,
    /// `html` and `body` tags so far.
    roots: [usize; ROOT.len()],
}

const fn way(name: u64) -> usize {
    (name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
}

impl Stack {
    const fn new(depth_max: usize) -> Self {
        Self {
            open: Vec::new(),
            ways: [NOWHERE; WAYS],
            known: [(0, Class(0)); WAYS],
            depth: 0,
            depth_max,
            formatting: 0,
            roots: [0; ROOT.len()],
        }
    }

    fn class(&mut self, name: u64) -> Class {
        let known = &mut self.known[way(name)];
        if known.0 != name {
            *known = (name, Class::of(name));
        }
        known.1
    }

    /// The index of the topmost element of one of these names, if nothing to stop at lies over it.
    fn find(&self, names: &[u64], stop: Stop) -> Option<usize> {
        let least = match (stop, self.open.last()) {
            (Stop::Never, _) | (_, None) => NOWHERE,
            (stop, Some(top)) => top.stops[stop as usize],
        };
        let topmost = |name: &u64| {
            let mut at = self.ways[way(*name)];
            for _ in 0..SEARCH_MAX {
                let open = self.open.get(at as usize)?;
                if open.name == *name {
                    return Some(at);
                }
                at = open.below;
            }
            None
        };
        let found = names.iter().filter_map(topmost).max()?;
        (least == NOWHERE || found >= least).then_some(found as usize)
    }

    fn push(&mut self, name: u64, class: Class, kept: bool) {
        let at = self.open.len() as u32;
        let mut stops = self.open.last().map_or([NOWHERE; STOPS.len()], |open| open.stops);
        for (stop, bits) in stops.iter_mut().zip(STOPS) {
            if class.is(bits) {
                *stop = at;
            }
        }
        let below = std::mem::replace(&mut self.ways[way(name)], at);
        self.open.push(Open { name, kept, below, stops });
        self.depth += usize::from(kept);
    }

    /// Closes the topmost.
    fn pop(&mut self) {
        self.truncate(self.open.len().saturating_sub(1));
    }

    /// Closes everything from an index on.
    fn truncate(&mut self, at: usize) {
        while self.open.len() > at {
            self.remove(self.open.len() - 1);
        }
    }

    /// Closes one element; whether it was cut. Only what stops no look is closed under others.
    fn remove(&mut self, at: usize) -> bool {
        let Open { name, kept, below, .. } = self.open[at];
        if name != 0 {
            let top = &mut self.ways[way(name)];
            if *top == at as u32 {
                *top = below;
            } else {
                let mut above = *top as usize;
                while self.open[above].below != at as u32 {
                    above = self.open[above].below as usize;
                }
                self.open[above].below = below;
            }
            self.depth -= usize::from(kept);
        }
        self.open[at].name = 0;
        while self.open.last().is_some_and(|top| top.name == 0) {
            self.open.pop();
        }
        !kept
    }

    /// Takes a start tag; whether it is to be cut. What is no markup (`is_raw`) must not be read as if it were, so it never is.
    fn start(&mut self, name: u64, is_raw: bool) -> bool {
        let class = self.class(name);
        if class.is(Class::ROOT) {
            let root = usize::from(name == ROOT[1]);
            self.roots[root] += 1;
            return self.roots[root] > ROOTS_MAX;
        }
        if class.is(Class::FLAT) {
            return false;
        }
        let brother = if class.is(Class::LIST_ITEM) {
            self.find(LIST_ITEM, Stop::Wall)
        } else if class.is(Class::DEFINITION) {
            self.find(DEFINITION, Stop::Wall)
        } else if class.is(Class::CELL) {
            self.find(CELL, Stop::Table)
        } else if class.is(Class::ROW) {
            self.find(ROW, Stop::Table)
        } else {
            None
        };
        if let Some(brother) = brother {
            self.truncate(brother);
        }
        if class.is(Class::LINK)
            && let Some(at) = self.find(LINK, Stop::Scope)
        {
            self.remove(at);
        }
        let levels = self.depth_max + if class.is(Class::LEAF) { LEAF_LEVELS } else { 0 };
        let mut cut = self.depth >= levels && !is_raw;
        if class.is(Class::FORMATTING) {
            // They outlive the elements around them, so they are counted and not only stacked.
            self.formatting += 1;
            cut |= self.formatting > FORMATTING_MAX;
        }
        self.push(name, class, !cut);
        cut
    }

    /// Takes an end tag; whether it is to be cut.
    fn end(&mut self, name: u64) -> bool {
        let class = self.class(name);
        let mut cut = false;
        if class.is(Class::FORMATTING) {
            cut = self.formatting > FORMATTING_MAX;
            self.formatting = self.formatting.saturating_sub(1);
        }
        let stop = if class.is(Class::CELL | Class::ROW | Class::TABLE) {
            Stop::Never
        } else if class.is(Class::FORMATTING | Class::LINK | Class::SPECIAL) {
            Stop::Scope
        } else {
            Stop::Special
        };
        let Some(at) = self.find(&[name], stop) else {
            // A formatting element can be active without being open.
            let is_lasting = class.is(Class::FORMATTING | Class::LINK | Class::MAKING);
            return cut || (!is_lasting && self.depth > DEEP.min(self.depth_max));
        };
        if class.is(Class::FORMATTING | Class::LINK) {
            // What was opened inside a formatting element stays open behind its end.
            return self.remove(at) || cut;
        }
        let kept = self.open[at].kept;
        self.truncate(at);
        cut || !kept
    }
}

/// Stands between the tokenizer and the tree builder.
pub(crate) struct Guard<'s, S> {
    sink: &'s S,
    stack: RefCell<Stack>,
    looks: Cell<usize>,
    looks_max: usize,
    /// The next tag ends what is not markup.
    in_raw: Cell<bool>,
}

impl<'s, S: TokenSink> Guard<'s, S> {
    /// For a page of so many bytes, cut below a depth.
    pub(crate) fn new(sink: &'s S, bytes: usize, depth_max: usize) -> Self {
        let looks_max =
            if depth_max > DEPTH_MIN { LOOKS_MIN.max(LOOKS_PER_BYTE * bytes) } else { usize::MAX };
        let stack = RefCell::new(Stack::new(depth_max));
        Self { sink, stack, looks: Cell::new(0), looks_max, in_raw: Cell::new(false) }
    }

    /// Whether the tree builder has looked at more open elements than it may.
    pub(crate) const fn is_spent(&self) -> bool {
        self.looks.get() > self.looks_max
    }

    /// Follows a tag, and bounds its attributes; whether it goes on to the tree builder.
    fn admit(&self, tag: &mut Tag) -> bool {
        if self.in_raw.replace(false) {
            return true;
        }
        let mut stack = self.stack.borrow_mut();
        let name = key(tag.name.as_bytes());
        let class = stack.class(name);
        let is_start = tag.kind == TagKind::StartTag;
        let is_raw = is_start && raw_kind(&tag.name).is_some();
        let may_differ = is_raw || (is_start && tag.self_closing);
        let in_html = may_differ && !self.sink.adjusted_current_node_present_but_not_in_html_namespace();
        // Where markup is foreign, such as in a drawing, a tag that closes itself is no level.
        let is_closed = may_differ && tag.self_closing && !in_html;
        let cut = !is_closed && if is_start { stack.start(name, is_raw && in_html) } else { stack.end(name) };
        if !cut {
            if class.is(Class::FORMATTING) {
                let is_one_of_many = stack.formatting > FORMATTING_FEW;
                shorten(&mut tag.attrs, if is_one_of_many { ATTRIBUTES_FEW } else { ATTRIBUTES_MANY });
            }
            self.looks.set(self.looks.get() + stack.depth);
        }
        !cut
    }
}

/// Leaves out attributes beyond the most, first those that nobody reads.
fn shorten(attributes: &mut Vec<Attribute>, most: usize) {
    if attributes.len() > most {
        attributes.retain(|attribute| is_read(&attribute.name.local));
        attributes.truncate(most);
    }
}

impl<S: TokenSink> TokenSink for Guard<'_, S> {
    type Handle = S::Handle;

    fn process_token(&self, mut token: Token, line: u64) -> TokenSinkResult<S::Handle> {
        if let Token::TagToken(tag) = &mut token
            && !self.admit(tag)
        {
            return TokenSinkResult::Continue;
        }
        let result = self.sink.process_token(token, line);
        if let TokenSinkResult::RawData(_) = result {
            self.in_raw.set(true);
            self.stack.borrow_mut().pop();
        }
        result
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.sink.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// The depth to cut a page at of which `read`, a share, was read when the looks at this depth were spent.
pub(crate) fn flatter(depth: usize, read: f64) -> usize {
    // Most of such a page goes on as it began: depths that would not come far are passed over.
    let hopeful = (2.0 * depth as f64 * read) as usize;
    let mut flatter = depth / 2;
    while flatter > DEPTH_MIN && flatter > hopeful {
        flatter /= 2;
    }
    flatter
}

#[cfg(test)]
#[path = "guard/tests.rs"]
mod tests;
