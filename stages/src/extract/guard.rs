//! Cuts what would make the tree builder slow, before it sees the page: nesting, formatting and attributes without end.
//!
//! HTML's tree construction searches the stack of open elements at most tags, opens the unclosed formatting elements
//! again in every paragraph and searches the attributes so far at each attribute, so a page of 100,000 nested elements
//! costs the square of that. Browsers cut too: Blink flattens below 512 levels. Here the stack of open elements is
//! followed from tag to tag, roughly as the HTML standard says (13.2.6): which end tag closes what, which start tag
//! closes its elder brother. Text is never cut, only tags and attributes beyond the limits: start tags below the
//! deepest level with their end tags, end tags that end nothing where the stack is deep, attributes behind the first
//! 64, and `html` and `body` behind the first few, whose attributes all become those of one element.
//!
//! ```text
//! <div> × 100,000, x   → <div> × 100, x
//! <p a0 a1 … a99999>x  → <p a0 a1 … a63>x
//! ```

mod class;

use class::{CELL, Class, DEFINITION, LINK, LIST_ITEM, RAW, ROOT, ROW, key};
use std::borrow::Cow;

/// Deepest nesting that reaches the tree builder; tags below it are left out, their text stays.
const DEPTH_MAX: usize = 100;
/// Levels more that leaves may take: a heading below too many `div` is still a heading.
const LEAF_LEVELS: usize = 16;
/// Depth from which on end tags that end nothing are cut: the tree builder searches the whole stack for each.
const DEEP: usize = 32;
/// How far down the stack an end tag looks for its start.
const SEARCH_MAX: usize = 2 * DEPTH_MAX;
/// Open elements that the tree builder may look at in all, and for each byte of the page: it looks through all of
/// them at nearly any tag. A page that asks for more is cut at half the depth, down to the least.
const LOOKS_MIN: usize = 1_000_000;
const LOOKS_PER_BYTE: usize = 4;
/// The depth that any page has.
const DEPTH_MIN: usize = 12;
/// Most formatting elements open at once; those beyond are left out.
const FORMATTING_MAX: usize = 24;
/// Most attributes of a tag, and of a tag inside more formatting elements than people nest.
const ATTRIBUTES_MAX: usize = 64;
const ATTRIBUTES_FEW: usize = 8;
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

    /// Takes a start tag; whether it is to be cut.
    fn start(&mut self, name: u64) -> bool {
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
        let mut cut = self.depth >= levels;
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

/// One tag of a page.
struct TagAt {
    start: usize,
    name_end: usize,
    end: usize,
    name: u64,
    close: bool,
}

/// The next tag from `at` on; comments are passed over.
fn next_tag(bytes: &[u8], mut at: usize) -> Option<TagAt> {
    while let Some(found) = memchr::memchr(b'<', &bytes[at..]) {
        let start = at + found;
        let rest = &bytes[start..];
        let close = rest.get(1) == Some(&b'/');
        let name_at = start + 1 + usize::from(close);
        if rest.starts_with(b"<!--") {
            at = memchr::memmem::find(rest, b"-->").map_or(bytes.len(), |n| start + n + 3);
            continue;
        }
        if !bytes.get(name_at).is_some_and(u8::is_ascii_alphabetic) {
            at = start + 1;
            continue;
        }
        let name_end = bytes[name_at..].iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'-');
        let name_end = name_end.map_or(bytes.len(), |n| name_at + n);
        let name = key(&bytes[name_at..name_end]);
        return Some(TagAt { start, name_end, end: tag_end(bytes, name_end), name, close });
    }
    None
}

/// The page without the tags and attributes beyond the limits; borrowed when there are none.
pub(crate) fn bound(html: &str) -> Cow<'_, str> {
    let looks_max = LOOKS_MIN.max(LOOKS_PER_BYTE * html.len());
    let depths = std::iter::successors(Some(DEPTH_MAX), |depth| (*depth > DEPTH_MIN).then_some(depth / 2));
    depths
        .filter_map(|depth| cut(html, depth, if depth > DEPTH_MIN { looks_max } else { usize::MAX }))
        .next()
        .expect("the least depth has no limit")
}

/// The page cut below a depth; `None` where the tree builder would look at more than `looks_max` open elements.
fn cut(html: &str, depth_max: usize, looks_max: usize) -> Option<Cow<'_, str>> {
    let bytes = html.as_bytes();
    let (mut at, mut kept, mut looks) = (0, 0, 0);
    let mut stack = Stack::new(depth_max);
    let mut out: Option<String> = None;
    while let Some(tag) = next_tag(bytes, at) {
        at = tag.end;
        let class = stack.class(tag.name);
        let cut_tag = if tag.close { stack.end(tag.name) } else { stack.start(tag.name) };
        let is_raw = !tag.close && class.is(Class::RAW);
        // Each is compared with all that are open, attribute by attribute.
        let is_one_of_many = class.is(Class::FORMATTING) && stack.formatting > FORMATTING_FEW;
        let most = if is_one_of_many { ATTRIBUTES_FEW } else { ATTRIBUTES_MAX };
        let cut_from = if cut_tag && !is_raw { Some(tag.start) } else { attributes_end(bytes, &tag, most) };
        if let Some(from) = cut_from {
            let out = out.get_or_insert_with(|| String::with_capacity(html.len()));
            out.push_str(&html[kept..from]);
            out.push_str(if from == tag.start { "" } else { ">" });
            kept = tag.end;
        }
        looks += if cut_from == Some(tag.start) { 0 } else { stack.depth };
        if looks > looks_max {
            return None;
        }
        if is_raw {
            stack.truncate(stack.open.len().saturating_sub(1));
            at = raw_end(bytes, tag.end, tag.name);
        }
    }
    Some(match out {
        None => Cow::Borrowed(html),
        Some(mut out) => {
            out.push_str(&html[kept..]);
            Cow::Owned(out)
        }
    })
}

/// The text of a piece of a page, its tags and what is not markup left out.
pub(crate) fn text(html: &str) -> String {
    let bytes = html.as_bytes();
    let (mut text, mut at) = (String::new(), 0);
    while let Some(tag) = next_tag(bytes, at) {
        // A comment between two tags is text here only where its end is missing.
        let between = &html[at..tag.start];
        text.push_str(between.split("<!--").next().unwrap_or_default());
        text.push(' ');
        at = if !tag.close && RAW.contains(&tag.name) { raw_end(bytes, tag.end, tag.name) } else { tag.end };
    }
    text.push_str(&html[at..]);
    text
}

/// Just behind the `>` of a tag; quotes behind `=` hide a `>`.
fn tag_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'>' => return at + 1,
            quote @ (b'"' | b'\'') if bytes[from..at].trim_ascii_end().ends_with(b"=") => {
                match memchr::memchr(quote, &bytes[at + 1..]) {
                    Some(n) => at += n + 2,
                    None => return bytes.len(),
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the attributes of a tag are cut off; `None` where there are not too many.
///
/// They are counted as the tokenizer reads them: one begins behind white space, `/` or the end of a quoted value.
fn attributes_end(bytes: &[u8], tag: &TagAt, most: usize) -> Option<usize> {
    // Each takes at least two bytes.
    if tag.end - tag.name_end <= 2 * most {
        return None;
    }
    let (mut count, mut at, mut between) = (0, tag.name_end, true);
    while at < tag.end {
        match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' | b'/' => between = true,
            b'>' => return None,
            b'=' if !between || count > 0 => {
                at = value_end(bytes, at + 1, tag.end);
                between = true;
                continue;
            }
            _ if between => {
                count += 1;
                if count > most {
                    return Some(at);
                }
                between = false;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Just behind the value of an attribute, `from` being just behind its `=`.
fn value_end(bytes: &[u8], from: usize, end: usize) -> usize {
    let blank = bytes[from..end].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let at = from + blank;
    match bytes.get(at) {
        Some(quote @ (b'"' | b'\'')) if at < end => {
            memchr::memchr(*quote, &bytes[at + 1..end]).map_or(end, |n| at + n + 2)
        }
        _ => {
            let stop = |b: &u8| b.is_ascii_whitespace() || *b == b'>';
            bytes[at..end].iter().position(stop).map_or(end, |n| at + n)
        }
    }
}

/// Where the end tag of an element without markup begins.
fn raw_end(bytes: &[u8], from: usize, name: u64) -> usize {
    let mut at = from;
    while let Some(n) = memchr::memmem::find(&bytes[at..], b"</") {
        at += n;
        let rest = &bytes[at + 2..];
        if key(&rest[..rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len())]) == name {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_pages_are_borrowed() {
        for html in ["", "<p>a<b>c</b>", "<a title='<div>'>x</a>", "<", "</", "<!-- <div>"] {
            assert!(matches!(bound(html), Cow::Borrowed(_)), "{html}");
        }
    }

    #[test]
    fn levels_beyond_the_limit_go_and_their_text_stays() {
        let deep = format!("{}x{}<p>y", "<div>".repeat(100_000), "</div>".repeat(100_000));
        let cut = bound(&deep);
        assert_eq!(cut.matches("<div>").count(), DEPTH_MAX);
        assert_eq!(cut.matches("</div>").count(), DEPTH_MAX);
        assert!(cut.contains('x') && cut.ends_with("<p>y"));
    }

    #[test]
    fn no_way_around_the_limits() {
        for (unit, most) in [
            ("<div></x>", DEPTH_MAX),
            ("<b><div></b>", DEPTH_MAX),
            ("<span><div></span>", DEPTH_MAX),
            ("<div><table><tr><td></div>", DEPTH_MAX),
            ("<ul><li>", DEPTH_MAX),
            ("<a><div>", DEPTH_MAX),
        ] {
            let cut = bound(&unit.repeat(10_000)).into_owned();
            for name in ["<div>", "<ul>", "<li>", "<table>"] {
                assert!(cut.matches(name).count() <= most, "{unit}: {name}");
            }
        }
        assert_eq!(bound(&"<font>x".repeat(1000)).matches("<font>").count(), FORMATTING_MAX);
    }

    #[test]
    fn a_page_that_asks_for_too_many_looks_is_flatter() {
        let many = format!("{}{}", "<span>".repeat(90), "<hr>x".repeat(200_000));
        let cut = bound(&many);
        assert!(cut.matches("<span>").count() < 30 && cut.matches("<hr>").count() == 200_000);
        let few = format!("{}{}", "<span>".repeat(90), "<hr>x".repeat(1000));
        assert!(matches!(bound(&few), Cow::Borrowed(_)));
    }

    #[test]
    fn formatting_in_formatting_keeps_few_attributes() {
        let tag = format!("<b{}>", (0..30).map(|n| format!(" a{n}")).collect::<String>());
        assert!(matches!(bound(&tag.repeat(FORMATTING_FEW)), Cow::Borrowed(_)));
        assert_eq!(bound(&tag.repeat(FORMATTING_MAX)).matches(" a29").count(), FORMATTING_FEW);
    }

    #[test]
    fn leaves_are_told_apart_below_the_deepest_level() {
        let deep = "<div>".repeat(500);
        let cut = bound(&format!("{deep}<h2>a</h2><div>b</div><p>c<ul><li>d</ul>")).into_owned();
        assert_eq!(cut, format!("{}<h2>a</h2>b<p>c<li>d", "<div>".repeat(DEPTH_MAX)));
        let many = bound(&format!("{deep}{}", "<h2>x".repeat(100))).into_owned();
        assert_eq!(many.matches("<h2>").count(), LEAF_LEVELS);
    }

    #[test]
    fn siblings_do_not_count_as_levels() {
        for unit in ["<li>x", "<dt>x<dd>y", "<tr><td>x", "<p>x", "<a>x", "<b>x</b>", "<div>x<b></div></b>"] {
            let html = format!("<table>{}", unit.repeat(1000));
            assert!(matches!(bound(&html), Cow::Borrowed(_)), "{unit}");
        }
    }

    #[test]
    fn the_text_of_a_piece() {
        assert_eq!(text("a<p>b<script>c</script>d<!-- e --><i>f"), "a b  d f");
    }

    #[test]
    fn attributes_without_end_go() {
        let many = |count: usize| (0..count).map(|n| format!(" a{n}")).collect::<String>();
        let kept = format!("<p{} >x", many(ATTRIBUTES_MAX));
        assert_eq!(bound(&format!("<p{}>x", many(100_000))), kept);
        assert_eq!(bound(&format!("<p{} b=\"c d\" e>x", many(ATTRIBUTES_MAX))), kept);
        let values: String = (0..ATTRIBUTES_MAX).map(|n| format!(" a{n} = 'b c > d=e'")).collect();
        for html in [
            format!("<p{}>x", many(ATTRIBUTES_MAX)),
            format!("<p{values}>x"),
            format!("<p class=\"{}\" title='{}'>x", "word ".repeat(1000), "/ ".repeat(1000)),
            format!("<p {}>x", " ".repeat(1000)),
            format!("<p class={}>x", "a/b=c".repeat(1000)),
        ] {
            assert!(matches!(bound(&html), Cow::Borrowed(_)), "{html}");
        }
    }

    #[test]
    fn ends_of_nothing_go_where_the_stack_is_deep() {
        let deep = "<span>".repeat(50);
        assert_eq!(bound(&format!("{deep}</x></div></ul>y</span>")), format!("{deep}y</span>"));
        for html in [format!("{deep}</b></a></p></br>y"), "<span></x>y".to_owned()] {
            assert!(matches!(bound(&html), Cow::Borrowed(_)), "{html}");
        }
    }

    #[test]
    fn a_page_has_few_roots() {
        let cut = bound(&"<html a=b><body c=d>x".repeat(100)).into_owned();
        assert_eq!((cut.matches("<html").count(), cut.matches("<body").count()), (ROOTS_MAX, ROOTS_MAX));
        assert_eq!(cut.matches('x').count(), 100);
    }
}
