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

use std::borrow::Cow;

/// Deepest nesting that reaches the tree builder; tags below it are left out, their text stays.
const DEPTH_MAX: usize = 100;
/// Levels more that leaves may take: a heading below too many `div` is still a heading.
const LEAF_LEVELS: usize = 16;
/// Depth from which on end tags that end nothing are cut: the tree builder searches the whole stack for each.
const DEEP: usize = 32;
/// How far down the stack an end tag looks for its start.
const SEARCH_MAX: usize = 2 * DEPTH_MAX;
/// Most formatting elements open at once; those beyond are left out.
const FORMATTING_MAX: usize = 24;
/// Most attributes of a tag.
const ATTRIBUTES_MAX: usize = 64;
/// Most `html` and `body` tags each.
const ROOTS_MAX: usize = 4;

/// An element name as a number: its first seven bytes in lower case and its length.
const fn key(name: &[u8]) -> u64 {
    let mut key = if name.len() < 255 { name.len() as u64 } else { 255 };
    let mut at = 0;
    while at < name.len() && at < 7 {
        key = key << 8 | name[at].to_ascii_lowercase() as u64;
        at += 1;
    }
    key
}

macro_rules! names {
    ($doc:literal $set:ident = $($name:literal)+) => {
        #[doc = $doc]
        const $set: &[u64] = &[$(key($name.as_bytes())),+];
    };
}

names!("Elements that hold nothing or are closed by nearly anything: they do not count as a level." FLAT =
    "area" "base" "br" "col" "embed" "hr" "img" "input" "link" "meta" "source" "track" "wbr" "param" "p" "tbody"
    "thead" "tfoot" "option" "optgroup" "html" "head" "body" "rp" "rt" "frame");
names!("Elements whose content is not markup." RAW = "script" "style" "textarea" "title" "xmp" "iframe");
names!("Elements that the active formatting elements hold, without links." FORMATTING =
    "b" "big" "code" "em" "font" "i" "nobr" "s" "small" "strike" "strong" "tt" "u");
names!("Elements behind which an end tag does not look." SCOPE =
    "table" "td" "th" "caption" "object" "template" "marquee" "applet" "svg" "math" "button");
names!("Elements that an end tag of an unknown name does not look behind." SPECIAL =
    "address" "article" "aside" "blockquote" "center" "details" "dir" "div" "dl" "dt" "dd" "fieldset" "figcaption"
    "figure" "footer" "form" "h1" "h2" "h3" "h4" "h5" "h6" "header" "hgroup" "li" "main" "menu" "nav" "ol" "pre"
    "section" "summary" "tr" "ul" "select" "listing" "table" "td" "th" "caption" "object" "template" "marquee"
    "applet" "button");
names!("Special elements that a list item looks behind for an elder brother." THIN = "address" "div");
names!("Items of lists." LIST_ITEM = "li");
names!("Items of definition lists." DEFINITION = "dt" "dd");
names!("Cells." CELL = "td" "th");
names!("Rows." ROW = "tr");
names!("Tables." TABLE = "table");
names!("Links." LINK = "a");
names!("Elements that hold little but say what it is." LEAF =
    "h1" "h2" "h3" "h4" "h5" "h6" "pre" "code" "a" "b" "strong" "i" "em" "li" "dt" "dd" "td" "th" "tr" "blockquote"
    "summary" "figcaption" "sub" "sup" "kbd" "samp" "q");
names!("Elements of which a page has one." ROOT = "html" "body");
names!("End tags that make an element where none is open." MAKING = "p" "br");

/// An open element, with the sets that its name is in looked up once.
#[derive(Clone, Copy)]
struct Open {
    name: u64,
    scope: bool,
    special: bool,
    /// Special, and a list item does not look behind it.
    wall: bool,
    /// The tree builder sees it.
    kept: bool,
}

impl Open {
    fn new(name: u64, kept: bool) -> Self {
        let special = SPECIAL.contains(&name);
        Self { name, scope: SCOPE.contains(&name), special, wall: special && !THIN.contains(&name), kept }
    }
}

/// The open elements, as far as they matter here.
#[derive(Default)]
struct Stack {
    open: Vec<Open>,
    /// How many of them are kept.
    depth: usize,
    formatting: usize,
    /// `html` and `body` tags so far.
    roots: [usize; ROOT.len()],
}

impl Stack {
    /// The index of the topmost element of one of these names, if nothing to stop at lies over it.
    fn find(&self, names: &[u64], stop: impl Fn(&Open) -> bool) -> Option<usize> {
        for at in (self.open.len().saturating_sub(SEARCH_MAX)..self.open.len()).rev() {
            if names.contains(&self.open[at].name) {
                return Some(at);
            }
            if stop(&self.open[at]) {
                return None;
            }
        }
        None
    }

    /// Closes everything from an index on.
    fn truncate(&mut self, at: usize) {
        while self.open.len() > at {
            self.remove(self.open.len() - 1);
        }
    }

    /// Closes one element; whether it was cut.
    fn remove(&mut self, at: usize) -> bool {
        let kept = self.open.remove(at).kept;
        self.depth -= usize::from(kept);
        !kept
    }

    /// Takes a start tag; whether it is to be cut.
    fn start(&mut self, name: u64) -> bool {
        if let Some(root) = ROOT.iter().position(|n| *n == name) {
            self.roots[root] += 1;
            return self.roots[root] > ROOTS_MAX;
        }
        if FLAT.contains(&name) {
            return false;
        }
        let is_table = |open: &Open| TABLE.contains(&open.name);
        let brother = if LIST_ITEM.contains(&name) {
            self.find(LIST_ITEM, |open| open.wall)
        } else if DEFINITION.contains(&name) {
            self.find(DEFINITION, |open| open.wall)
        } else if CELL.contains(&name) {
            self.find(CELL, is_table)
        } else if ROW.contains(&name) {
            self.find(ROW, is_table)
        } else {
            None
        };
        if let Some(brother) = brother {
            self.truncate(brother);
        }
        if LINK.contains(&name)
            && let Some(at) = self.find(LINK, |open| open.scope)
        {
            self.remove(at);
        }
        let levels = DEPTH_MAX + if LEAF.contains(&name) { LEAF_LEVELS } else { 0 };
        let mut cut = self.depth >= levels;
        if FORMATTING.contains(&name) {
            // They outlive the elements around them, so they are counted and not only stacked.
            self.formatting += 1;
            cut |= self.formatting > FORMATTING_MAX;
        }
        self.open.push(Open::new(name, !cut));
        self.depth += usize::from(!cut);
        cut
    }

    /// Takes an end tag; whether it is to be cut.
    fn end(&mut self, name: u64) -> bool {
        let is_formatting = FORMATTING.contains(&name);
        let mut cut = false;
        if is_formatting {
            cut = self.formatting > FORMATTING_MAX;
            self.formatting = self.formatting.saturating_sub(1);
        }
        let is_known = is_formatting || LINK.contains(&name) || SPECIAL.contains(&name);
        let is_cell = is_cell(name);
        let stop = |open: &Open| if is_known { open.scope && !is_cell } else { open.special };
        let Some(at) = self.find(&[name], stop) else {
            // A formatting element can be active without being open.
            let is_lasting = is_formatting || LINK.contains(&name) || MAKING.contains(&name);
            return cut || (!is_lasting && self.depth > DEEP);
        };
        if is_formatting || LINK.contains(&name) {
            // What was opened inside a formatting element stays open behind its end.
            return self.remove(at) || cut;
        }
        let kept = self.open[at].kept;
        self.truncate(at);
        cut || !kept
    }
}

/// Whether the name ends a part of a table.
fn is_cell(name: u64) -> bool {
    CELL.contains(&name) || ROW.contains(&name) || TABLE.contains(&name)
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
    let bytes = html.as_bytes();
    let (mut at, mut kept) = (0, 0);
    let mut stack = Stack::default();
    let mut out: Option<String> = None;
    while let Some(tag) = next_tag(bytes, at) {
        at = tag.end;
        let cut_tag = if tag.close { stack.end(tag.name) } else { stack.start(tag.name) };
        let is_raw = !tag.close && RAW.contains(&tag.name);
        let cut_from = if cut_tag && !is_raw { Some(tag.start) } else { attributes_end(bytes, &tag) };
        if let Some(from) = cut_from {
            let out = out.get_or_insert_with(|| String::with_capacity(html.len()));
            out.push_str(&html[kept..from]);
            out.push_str(if from == tag.start { "" } else { ">" });
            kept = tag.end;
        }
        if is_raw {
            stack.truncate(stack.open.len().saturating_sub(1));
            at = raw_end(bytes, tag.end, tag.name);
        }
    }
    match out {
        None => Cow::Borrowed(html),
        Some(mut out) => {
            out.push_str(&html[kept..]);
            Cow::Owned(out)
        }
    }
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
fn attributes_end(bytes: &[u8], tag: &TagAt) -> Option<usize> {
    // Each takes at least two bytes.
    if tag.end - tag.name_end <= 2 * ATTRIBUTES_MAX {
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
                if count > ATTRIBUTES_MAX {
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
