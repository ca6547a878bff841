//! Cuts what would make the tree builder slow, before it sees the page: nesting, formatting and attributes without end.
//!
//! HTML's tree construction searches the stack of open elements at most tags, opens the unclosed formatting elements
//! again in every paragraph and searches the attributes so far at each attribute, so a page of 100,000 nested elements
//! costs the square of that. Browsers cut too: Blink flattens below 512 levels. Here the stack of open elements is
//! followed from tag to tag, roughly as the HTML standard says (13.2.6): which end tag closes what, which start tag
//! closes its elder brother. Text is never cut, only tags and attributes beyond the limits.
//!
//! ```text
//! <div> × 100,000, x   → <div> × 200, x
//! <p a0 a1 … a99999>x  → <p>x
//! ```

use std::borrow::Cow;

/// Deepest nesting that reaches the tree builder; tags below it are left out, their text stays.
const DEPTH_MAX: usize = 200;
/// How far down the stack an end tag looks for its start.
const SEARCH_MAX: usize = 2 * DEPTH_MAX;
/// Most formatting elements open at once; those beyond are left out.
const FORMATTING_MAX: usize = 24;
/// Most bytes of one tag that may hold many attributes; a longer one is looked at.
const TAG_BYTES_MAX: usize = 8 << 10;
/// Most attributes of such a tag.
const ATTRIBUTES_MAX: usize = 256;

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

/// The open elements, as far as they matter here.
#[derive(Default)]
struct Stack {
    open: Vec<u64>,
    formatting: usize,
}

impl Stack {
    /// The index of the topmost element of `wanted`, if none of `stop` lies over it.
    fn find(&self, wanted: impl Fn(u64) -> bool, stop: impl Fn(u64) -> bool) -> Option<usize> {
        for at in (self.open.len().saturating_sub(SEARCH_MAX)..self.open.len()).rev() {
            if wanted(self.open[at]) {
                return Some(at);
            }
            if stop(self.open[at]) {
                return None;
            }
        }
        None
    }

    /// Takes a start tag; whether it is to be cut.
    fn start(&mut self, name: u64) -> bool {
        if FLAT.contains(&name) {
            return false;
        }
        let is_wall = |n: u64| SPECIAL.contains(&n) && !THIN.contains(&n);
        let brother = if LIST_ITEM.contains(&name) {
            self.find(|n| LIST_ITEM.contains(&n), is_wall)
        } else if DEFINITION.contains(&name) {
            self.find(|n| DEFINITION.contains(&n), is_wall)
        } else if CELL.contains(&name) {
            self.find(|n| CELL.contains(&n), |n| TABLE.contains(&n))
        } else if ROW.contains(&name) {
            self.find(|n| ROW.contains(&n), |n| TABLE.contains(&n))
        } else {
            None
        };
        if let Some(brother) = brother {
            self.open.truncate(brother);
        }
        if LINK.contains(&name)
            && let Some(at) = self.find(|n| n == name, |n| SCOPE.contains(&n))
        {
            self.open.remove(at);
        }
        let mut cut = self.open.len() >= DEPTH_MAX;
        if FORMATTING.contains(&name) {
            // They outlive the elements around them, so they are counted and not only stacked.
            self.formatting += 1;
            cut |= self.formatting > FORMATTING_MAX;
        }
        self.open.push(name);
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
        let stop =
            |n: u64| if is_known { SCOPE.contains(&n) && !is_cell(name) } else { SPECIAL.contains(&n) };
        let Some(at) = self.find(|n| n == name, stop) else { return cut };
        if is_formatting || LINK.contains(&name) {
            // What was opened inside a formatting element stays open behind its end.
            self.open.remove(at);
        } else {
            self.open.truncate(at);
        }
        cut || at >= DEPTH_MAX
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
        let inside = &bytes[tag.name_end..tag.end];
        let cut_attributes = inside.len() > TAG_BYTES_MAX
            && inside.split(|b| b.is_ascii_whitespace() || *b == b'/').count() > ATTRIBUTES_MAX
            && inside.iter().filter(|b| **b == b'"').count() != 2;
        let is_raw = !tag.close && RAW.contains(&tag.name);
        if (cut_tag && !is_raw) || cut_attributes {
            let out = out.get_or_insert_with(|| String::with_capacity(html.len()));
            let cut_all = cut_tag && !is_raw;
            out.push_str(&html[kept..if cut_all { tag.start } else { tag.name_end }]);
            out.push_str(if cut_all { "" } else { ">" });
            kept = tag.end;
        }
        if is_raw {
            stack.open.pop();
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
        let many: String = (0..100_000).map(|n| format!(" a{n}")).collect();
        assert_eq!(bound(&format!("<p{many}>x")), "<p>x");
    }
}
