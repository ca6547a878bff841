//! Writes the kept nodes of a page as Markdown (CommonMark 0.31 with the pipe tables of GitHub and the definition
//! lists of Pandoc), or as plain text with the same lines.
//!
//! A line break inside a paragraph is a plain line end, for text that a model reads needs no trailing backslash. What stands
//! in a list item without a paragraph of its own is one line, as CommonMark reads it; an item of an unordered list that begins with a
//! heading is a section.
//!
//! ```text
//! <h2>A</h2><ol start=3><li>b<ul><li>c</ul></ol>   →   "## A\n\n3. b\n   - c"
//! ```

use super::code;
use super::inline::{Line, escape_end, escape_start};
use super::lines::Lines;
use super::math;
use super::page::{Page, collapsed};
use super::table::{self, Span, Table};
use super::tag::Tag;
use std::borrow::Cow;
use url::Url;

/// How the text is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Style {
    /// Markdown, or plain text.
    pub(crate) markdown: bool,
    /// Links with their addresses.
    pub(crate) links: bool,
    /// Alternative texts in place of images.
    pub(crate) image_alt: bool,
    /// What relative addresses start from.
    pub(crate) base: Option<Url>,
}

/// Highest number of a list item (CommonMark 0.31, 5.2: nine digits).
const NUMBER_MAX: i64 = 999_999_999;
/// Most nodes of a piece of code in a line that are looked through for what they hold.
const INLINE_NODES_MAX: usize = 4096;
/// Most nodes of a list item that are looked through for its first text.
const FIRST_NODES_MAX: usize = 64;

#[derive(Debug)]
struct List {
    end: usize,
    /// The next number of an ordered list.
    number: Option<i64>,
    begun: bool,
    /// The open item, or the list before its first.
    item: usize,
}

struct Writer<'p, 'a> {
    page: &'p Page<'a>,
    removed: &'p [bool],
    style: &'p Style,
    lines: Lines,
    line: Line,
    lists: Vec<List>,
    tables: Vec<Table>,
    cell: Option<(usize, Span)>,
    heading: Option<(usize, usize)>,
    /// Ends of the open block elements.
    blocks: Vec<usize>,
    quotes: Vec<usize>,
    /// Where the formula ends that is read as text.
    math_end: usize,
    /// The item of a list that the last line is text of, and how many blocks were around it.
    in_item: Option<(usize, usize)>,
}

/// Writes the page without the removed subtrees.
pub(crate) fn write(page: &Page<'_>, removed: &[bool], style: &Style) -> String {
    let mut writer = Writer {
        page,
        removed,
        style,
        lines: Lines::default(),
        line: Line::new(style.markdown),
        lists: Vec::new(),
        tables: Vec::new(),
        cell: None,
        heading: None,
        blocks: Vec::new(),
        quotes: Vec::new(),
        math_end: 0,
        in_item: None,
    };
    let (mut at, end) = (0, page.nodes.len());
    while at < end {
        writer.leave(at);
        at = if removed[at] { page.nodes[at].end as usize } else { writer.enter(at) };
    }
    writer.leave(end);
    writer.end_block(2);
    writer.lines.finish()
}

impl Writer<'_, '_> {
    /// Closes what ends before node `at`.
    fn leave(&mut self, at: usize) {
        while self.quotes.last().is_some_and(|&end| end <= at) {
            self.quotes.pop();
            self.line.raw("\u{201d}");
        }
        self.line.close_until(at);
        while self.blocks.last().is_some_and(|&end| end <= at) {
            self.blocks.pop();
            self.end_block(if self.lists.is_empty() { 2 } else { 1 });
        }
        if self.heading.is_some_and(|(end, _)| end <= at) {
            self.heading = None;
        }
        if let Some((_, span)) = self.cell.filter(|(end, _)| *end <= at) {
            self.cell = None;
            let text = self.line.take().replace('\n', " ");
            if let Some(table) = self.tables.last_mut() {
                table.cell(text.trim(), span);
            }
        }
        while self.tables.last().is_some_and(|t| t.end <= at) {
            let table = self.tables.pop().expect("the loop saw a table");
            self.end_block(2);
            for (n, line) in table.lines(self.style.markdown).iter().enumerate() {
                self.lines.gap = if n == 0 { self.lines.gap } else { 1 };
                self.put(line);
            }
            self.lines.gap = 2;
        }
        self.lines.leave(at);
        while self.lists.last().is_some_and(|l| l.end <= at) {
            self.lists.pop();
            self.lines.gap = 2;
        }
    }

    /// Handles node `at`; returns the node to go on with.
    fn enter(&mut self, at: usize) -> usize {
        let node = &self.page.nodes[at];
        let end = node.end as usize;
        if node.tag.heading().is_some() && self.heading.is_none() && code::is_code(node) {
            return self.code_heading(at);
        }
        if node.tag.is_block() {
            if self.heading.is_some() && node.tag.heading().is_none() && node.tag != Tag::Pre {
                // A heading is one line.
                self.line.space();
            } else {
                self.begin_block(at);
            }
        }
        match node.tag {
            Tag::Text => self.line.text(node.text),
            Tag::Br => self.line_break(),
            Tag::Hr => self.rule(),
            Tag::Pre => return self.code_block(at),
            Tag::Code | Tag::Kbd | Tag::Samp | Tag::Tt => return self.code(at),
            Tag::Math => return self.math(at),
            Tag::Script => return self.script(at),
            Tag::B | Tag::Strong if self.heading.is_none() => self.line.open("**", "**".into(), end),
            Tag::I | Tag::Em => self.line.open("*", "*".into(), end),
            Tag::Del | Tag::S | Tag::Strike => self.line.open("~~", "~~".into(), end),
            Tag::Q => {
                self.line.raw("\u{201c}");
                self.quotes.push(end);
            }
            Tag::Sup => self.superscript(at),
            Tag::A if self.style.links => self.link(at),
            Tag::Img if self.style.image_alt => {
                self.line.text(node.attribute("alt").unwrap_or_default());
            }
            _ => {}
        }
        at + 1
    }

    fn begin_block(&mut self, at: usize) {
        let node = &self.page.nodes[at];
        let end = node.end as usize;
        let tight = !self.lists.is_empty();
        self.end_block(if tight { self.lines.gap.max(1) } else { 2 });
        match node.tag {
            Tag::P if tight && self.lines.is_begun() => self.lines.gap = self.lines.gap.max(2),
            Tag::Blockquote => self.surround(end, "> ", "> "),
            Tag::Ul | Tag::Ol | Tag::Menu => self.list(at),
            Tag::Li => self.list_item(at),
            Tag::Dt => self.lines.gap = self.lines.gap.max(2),
            Tag::Dd => {
                self.lines.gap = 1;
                self.surround(end, ": ", "  ");
            }
            Tag::Table if self.cell.is_none() && table::is_data(self.page, at) => {
                self.tables.push(Table::new(end))
            }
            Tag::Tr => {
                if let Some(table) = self.tables.last_mut() {
                    table.row();
                }
            }
            Tag::Td | Tag::Th if !self.tables.is_empty() => {
                self.cell = Some((end, table::span(self.page, at)));
            }
            tag => {
                if let Some(level) = tag.heading() {
                    self.heading = Some((end, level));
                    self.lines.gap = 2;
                }
            }
        }
        self.blocks.push(end);
    }

    fn surround(&mut self, end: usize, first: &str, rest: &str) {
        if self.style.markdown && self.cell.is_none() {
            self.lines.surround(end, first, rest);
        }
    }

    fn list(&mut self, at: usize) {
        let node = &self.page.nodes[at];
        let start = node.attribute("start").and_then(|n| n.trim().parse().ok()).unwrap_or(1_i64);
        let number = (node.tag == Tag::Ol).then_some(start.clamp(0, NUMBER_MAX));
        self.lines.gap = if self.lists.is_empty() { 2 } else { 1 };
        self.lists.push(List { end: node.end as usize, number, begun: false, item: at });
    }

    fn list_item(&mut self, at: usize) {
        let node = &self.page.nodes[at];
        if let Some(list) = self.lists.last_mut() {
            list.item = at;
            if list.number.is_none() && self.begins_with_heading(at) {
                self.lines.gap = 2;
                return;
            }
        }
        let value = node.attribute("value").and_then(|n| n.trim().parse::<i64>().ok());
        if let (Some(value), Some(List { number: Some(number), .. })) = (value, self.lists.last_mut()) {
            *number = value.clamp(0, NUMBER_MAX);
        }
        let marker = match self.lists.last_mut() {
            Some(List { number: Some(number), .. }) => {
                let marker = format!("{number}. ");
                *number = (*number + 1).min(NUMBER_MAX);
                marker
            }
            _ => "- ".to_owned(),
        };
        if let Some(list) = self.lists.last_mut() {
            self.lines.gap = if list.begun { 1 } else { self.lines.gap };
            list.begun = true;
        }
        let rest = " ".repeat(marker.len());
        self.surround(node.end as usize, &marker, &rest);
    }

    /// Whether the first text of an element is in a heading.
    fn begins_with_heading(&self, at: usize) -> bool {
        let mut next = at + 1;
        let end = (self.page.nodes[at].end as usize).min(at + FIRST_NODES_MAX);
        while next < end {
            let node = &self.page.nodes[next];
            if self.removed[next] {
                next = node.end as usize;
                continue;
            }
            if node.tag.heading().is_some() {
                return true;
            }
            if matches!(node.tag, Tag::Ul | Tag::Ol) || !node.text.trim().is_empty() {
                return false;
            }
            next += 1;
        }
        false
    }

    fn line_break(&mut self) {
        if self.cell.is_some() || self.heading.is_some() {
            self.line.space();
        } else if self.line.is_broken() {
            self.end_block(2);
        } else {
            self.line.line_break();
        }
    }

    fn rule(&mut self) {
        if self.cell.is_none() && self.style.markdown && !self.lines.is_empty() {
            self.lines.gap = 2;
            self.put("---");
            self.lines.gap = 2;
        }
    }

    fn code_block(&mut self, at: usize) -> usize {
        let end = self.page.nodes[at].end as usize;
        let text = code::verbatim(self.page, at, self.removed);
        if text.is_empty() {
            return end;
        }
        if self.cell.is_some() {
            self.line.text(&text);
            return end;
        }
        self.lines.gap = 2;
        let fence = if self.style.markdown { code::fence(&text, 3) } else { String::new() };
        if self.style.markdown {
            self.put(&format!("{fence}{}", code::language(self.page, at).unwrap_or_default()));
            self.lines.gap = 1;
        }
        for line in text.split('\n') {
            self.put_exact(line);
            self.lines.gap = 1;
        }
        if self.style.markdown {
            self.put(&fence);
        }
        self.lines.gap = 2;
        end
    }

    /// A heading that is a piece of code, as the signature of a function.
    fn code_heading(&mut self, at: usize) -> usize {
        let text = code::verbatim(self.page, at, self.removed);
        let words = collapsed(&text);
        self.end_block(2);
        if words.is_empty() || !self.style.markdown || self.cell.is_some() {
            self.line.text(&words);
        } else {
            let level = self.page.nodes[at].tag.heading().unwrap_or(1);
            self.lines.gap = 2;
            self.put(&format!("{} {}", "#".repeat(level), code::span(&words)));
        }
        self.end_block(2);
        self.lines.gap = 2;
        self.page.nodes[at].end as usize
    }

    fn code(&mut self, at: usize) -> usize {
        let node = &self.page.nodes[at];
        let inside = &self.page.nodes[at..node.end as usize];
        let is_inline = inside.len() <= INLINE_NODES_MAX && self.page.is_inline(at);
        if !self.style.markdown || !is_inline {
            return at + 1;
        }
        if inside.iter().filter(|n| n.tag == Tag::Br).count() > 1 && self.cell.is_none() {
            self.end_block(2);
            return self.code_block(at);
        }
        let raw: String = (at..node.end as usize)
            .filter(|&n| !self.removed[n])
            .map(|n| if self.page.nodes[n].tag == Tag::Br { " " } else { self.page.nodes[n].text })
            .collect();
        let words: Vec<&str> = raw.split_whitespace().collect();
        if raw.starts_with(char::is_whitespace) {
            self.line.space();
        }
        if !words.is_empty() {
            self.line.raw(&code::span(&words.join(" ")));
        }
        if raw.ends_with(char::is_whitespace) {
            self.line.space();
        }
        node.end as usize
    }

    fn math(&mut self, at: usize) -> usize {
        let end = self.page.nodes[at].end as usize;
        // What is in a formula of which nothing can be made is text.
        if at < self.math_end {
            return at + 1;
        }
        let Some(formula) = math::formula(self.page, at) else {
            if end - at <= math::NODES_MAX {
                self.math_end = end;
            }
            return at + 1;
        };
        self.line.raw(&formula);
        end
    }

    /// MathJax keeps its TeX in scripts.
    fn script(&mut self, at: usize) -> usize {
        let node = &self.page.nodes[at];
        if let Some(kind) = node.attribute("type").filter(|kind| kind.starts_with("math/tex")) {
            let mark = if kind.contains("display") { "$$" } else { "$" };
            self.line.raw(&format!("{mark}{}{mark}", self.page.line(at)));
        }
        node.end as usize
    }

    /// `10<sup>6</sup>` is 10^6; a footnote mark or an ordinal is text.
    fn superscript(&mut self, at: usize) {
        let inside = &self.page.nodes[at + 1..self.page.nodes[at].end as usize];
        let is_power = self.line.last().is_some_and(|c| c.is_ascii_alphanumeric() || c == ')')
            && inside.len() == 1
            && inside[0].text.trim_start_matches(['-', '+', '−']).bytes().all(|b| b.is_ascii_digit());
        if self.style.markdown && is_power && inside[0].tag == Tag::Text {
            self.line.raw("^");
        }
    }

    fn link(&mut self, at: usize) {
        let node = &self.page.nodes[at];
        let Some(href) = node.attribute("href").map(str::trim).filter(|href| !href.is_empty()) else {
            return;
        };
        let address = match &self.style.base {
            Some(base) => base.join(href).map_or_else(|_| href.to_owned(), String::from),
            None => href.to_owned(),
        };
        let address = address.replace(' ', "%20").replace('(', "%28").replace(')', "%29");
        self.line.open("[", Cow::Owned(format!("]({address})")), node.end as usize);
    }

    /// Writes the line in the making, if there is one, and asks for `gap` line ends before the next.
    fn end_block(&mut self, gap: usize) {
        if self.cell.is_some() {
            self.line.space();
            return;
        }
        let text = self.line.take();
        let text = text.trim();
        if text.is_empty() {
            self.lines.gap = if self.lines.is_empty() { 0 } else { self.lines.gap.max(gap) };
            return;
        }
        match self.heading {
            Some((_, level)) if self.style.markdown => {
                let text = text.replace('\n', " ");
                self.put(&format!("{} {}", "#".repeat(level), escape_end(&text)));
                self.lines.gap = 2;
                return;
            }
            _ => {}
        }
        if let Some(list) = self.lists.last() {
            let place = Some((list.item, self.lines.depth()));
            let line =
                text.split('\n').map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
            if self.lines.gap <= 1 && self.in_item == place {
                self.lines.join(&line);
            } else if self.style.markdown {
                self.put(&escape_start(&line));
            } else {
                self.put(&line);
            }
            self.in_item = place;
            self.lines.gap = gap;
            return;
        }
        for (n, line) in text.split('\n').map(str::trim).filter(|l| !l.is_empty()).enumerate() {
            self.lines.gap = if n == 0 { self.lines.gap } else { 1 };
            if self.style.markdown { self.put(&escape_start(line)) } else { self.put(line) }
        }
        self.lines.gap = gap;
    }

    fn put(&mut self, line: &str) {
        self.put_exact(line.trim_end());
    }

    fn put_exact(&mut self, line: &str) {
        self.in_item = None;
        self.lines.put(line);
    }
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
