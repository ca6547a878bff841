//! Blocks: runs of text between two block boundaries, with what can be measured of them.
//!
//! A heading, preformatted text and a row of a data table are one block each, whatever is inside.

use super::page::Page;
use super::table;
use super::tag::Tag;

/// What a block is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text between two boundaries.
    #[default]
    Flow = 0,
    /// A heading.
    Heading = 1,
    /// Preformatted text.
    Pre = 2,
    /// A row of a data table.
    Row = 3,
}

/// One run of text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Block {
    /// Its first text node.
    pub(crate) node: usize,
    /// One past its last text node.
    pub(crate) end: usize,
    /// The nearest block element around it; of a heading, a row or preformatted text that element itself.
    pub(crate) parent: usize,
    /// What it is.
    pub(crate) kind: Kind,
    /// Characters, white space left out.
    pub(crate) chars: u32,
    /// Those of them in links.
    pub(crate) linked: u32,
    /// Those of them in bold.
    pub(crate) bold: u32,
    /// Digits.
    pub(crate) digits: u32,
    /// Capital letters.
    pub(crate) capitals: u32,
    /// Neither letters nor digits.
    pub(crate) signs: u32,
    /// Links that begin in it.
    pub(crate) links: u32,
    /// Words: runs between white space; three characters count as a word where scripts use no spaces.
    pub(crate) words: u32,
    /// Words that begin with a capital.
    pub(crate) proper: u32,
    /// Characters of the longest word.
    pub(crate) longest: u32,
    /// Commas and the like.
    pub(crate) commas: u32,
    /// Ends of sentences.
    pub(crate) stops: u32,
    /// Exclamation and question marks.
    pub(crate) marks: u32,
    /// Signs that stand between links: bars, arrows, dots, slashes.
    pub(crate) bars: u32,
    /// Signs of currencies.
    pub(crate) currencies: u32,
    /// What the first character is.
    pub(crate) first: u8,
    /// What the last character is.
    pub(crate) last: u8,
    /// The same for the same letters.
    pub(crate) hash: u64,
}

impl Block {
    /// What it counts for where words are counted.
    pub(crate) fn size(&self) -> f32 {
        self.words as f32 + 0.01
    }

    /// Share of the characters that are in links.
    pub(crate) fn link_density(&self) -> f32 {
        self.linked as f32 / self.chars.max(1) as f32
    }

    /// Whether it reads like sentences.
    pub(crate) const fn is_prose(&self) -> bool {
        self.linked * 2 < self.chars && (self.stops > 0 && self.words >= 8 || self.words >= 20)
    }

    /// Whether it reads like a paragraph.
    pub(crate) const fn is_paragraph(&self) -> bool {
        self.linked * 2 < self.chars && self.stops > 0 && self.words >= 15
    }
}

/// The walk over a page that makes blocks.
struct Cutter {
    blocks: Vec<Block>,
    /// Ends of the open block elements, and the elements.
    open: Vec<(usize, usize)>,
    /// Where the open heading, row or preformatted text ends, and what it is.
    whole: (usize, usize, Kind),
    table_end: usize,
    link_end: usize,
    bold_end: usize,
    links: u32,
    breaks: u32,
    broken: bool,
}

/// Cuts what is left of the page into blocks.
pub(crate) fn blocks(page: &Page<'_>, removed: &[bool]) -> Vec<Block> {
    let len = page.nodes.len();
    let mut cutter = Cutter {
        blocks: Vec::with_capacity(len / 8),
        open: vec![(len, 0)],
        whole: (0, 0, Kind::Flow),
        table_end: 0,
        link_end: 0,
        bold_end: 0,
        links: 0,
        breaks: 0,
        broken: true,
    };
    let mut at = 1;
    while at < len {
        while cutter.open.last().is_some_and(|&(end, _)| end <= at) {
            cutter.open.pop();
            cutter.broken |= at >= cutter.whole.0;
        }
        if removed[at] {
            at = page.nodes[at].end as usize;
        } else {
            cutter.node(page, at);
            at += 1;
        }
    }
    cutter.blocks
}

impl Cutter {
    fn node(&mut self, page: &Page<'_>, at: usize) {
        let node = &page.nodes[at];
        let end = node.end as usize;
        match node.tag {
            Tag::Text => self.text(node.text, at),
            Tag::Br => self.breaks += 1,
            Tag::B | Tag::Strong => self.bold_end = self.bold_end.max(end),
            Tag::A if node.attribute("href").is_some() => {
                self.link_end = end;
                self.links += 1;
            }
            tag if at >= self.whole.0 && (tag.is_block() || tag == Tag::Button) => {
                self.broken = true;
                self.open.push((end, at));
                let kind = match tag {
                    Tag::Pre => Kind::Pre,
                    Tag::Tr if at < self.table_end => Kind::Row,
                    _ if tag.heading().is_some() => Kind::Heading,
                    _ => Kind::Flow,
                };
                if kind != Kind::Flow {
                    self.whole = (end, at, kind);
                }
                if tag == Tag::Table && at >= self.table_end && table::is_data(page, at) {
                    self.table_end = end;
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, at: usize) {
        if text.trim_ascii().is_empty() {
            return;
        }
        let in_whole = at < self.whole.0;
        if self.broken || (self.breaks > 1 && !in_whole) {
            let (parent, kind) = if in_whole {
                (self.whole.1, self.whole.2)
            } else {
                (self.open.last().map_or(0, |&(_, parent)| parent), Kind::Flow)
            };
            self.blocks.push(Block { node: at, parent, kind, ..Block::default() });
        }
        (self.broken, self.breaks) = (false, 0);
        let block = self.blocks.last_mut().expect("a block was opened above or before");
        block.end = at + 1;
        let before = block.chars;
        block.measure(text);
        let chars = block.chars - before;
        block.links += std::mem::take(&mut self.links);
        block.linked += if at < self.link_end { chars } else { 0 };
        block.bold += if at < self.bold_end { chars } else { 0 };
    }
}

impl Block {
    fn measure(&mut self, text: &str) {
        let (mut in_word, mut stop, mut dense, mut length) = (false, false, 0, 0);
        let mix =
            |hash: u64, low: char| (hash.rotate_left(5) ^ u64::from(low)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            // What nearly all of a text is.
            let run = rest.bytes().take_while(u8::is_ascii_lowercase).count();
            if run > 0 {
                let (letters, others) = rest.split_at(run);
                rest = others;
                self.chars += run as u32;
                length += run as u32;
                self.longest = self.longest.max(length);
                self.words += u32::from(!in_word);
                (in_word, stop, self.last) = (true, false, 2);
                self.first = if self.first == 0 { 2 } else { self.first };
                self.hash = letters.bytes().map(char::from).fold(self.hash, mix);
                continue;
            }
            rest = &rest[c.len_utf8()..];
            if c.is_whitespace() {
                self.stops += u32::from(stop);
                (in_word, stop, length) = (false, false, 0);
                continue;
            }
            self.chars += 1;
            length += 1;
            self.longest = self.longest.max(length);
            let class = self.class(c, in_word);
            self.words += u32::from(!in_word);
            in_word = true;
            dense += u32::from(is_dense(c));
            stop = matches!(c, '.' | '!' | '?' | '…' | ':')
                || (stop && matches!(c, '"' | '”' | '’' | '\'' | ')' | '»' | '“'));
            self.last = class;
            if self.first == 0 {
                self.first = class;
            }
            let low = if c.is_ascii() { c.to_ascii_lowercase() } else { c };
            self.hash = mix(self.hash, low);
        }
        self.stops += u32::from(stop);
        self.words += dense / 3;
    }

    /// Counts a character; what it is, as a number.
    fn class(&mut self, c: char, in_word: bool) -> u8 {
        if c.is_lowercase() {
            return 2;
        }
        if c.is_alphabetic() {
            let capital = c.is_uppercase();
            self.capitals += u32::from(capital);
            self.proper += u32::from(capital && !in_word);
            return if capital { 1 } else { 2 };
        }
        if c.is_numeric() {
            self.digits += 1;
            return 3;
        }
        self.signs += 1;
        let (counter, class) = match c {
            '.' => return 5,
            ':' => return 8,
            '…' => return 9,
            '"' | '”' | '“' => return 12,
            '(' | ')' => return 13,
            '-' | '–' => return 14,
            '#' => return 15,
            '@' => return 16,
            '©' => return 20,
            ',' | ';' | '،' | '、' | '，' | '；' => (&mut self.commas, 11),
            '。' | '！' | '？' => (&mut self.stops, 5),
            '|' | '·' | '•' | '/' | '«' => (&mut self.bars, 17),
            '»' | '›' | '>' | '→' => (&mut self.bars, 10),
            '$' | '€' | '£' | '¥' | '₹' => (&mut self.currencies, 18),
            '!' => (&mut self.marks, 6),
            '?' => (&mut self.marks, 7),
            _ => return 4,
        };
        *counter += 1;
        class
    }
}

/// Whether the script of the character uses no spaces.
const fn is_dense(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0e7f}' | '\u{3001}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '！' | '，' | '；' | '？')
}

#[cfg(test)]
mod tests {
    use super::super::{prune, testing::with_page};
    use super::*;

    fn check(html: &str, expected: &[(&str, u32, u32, u32, u32)]) {
        with_page(html, |page| {
            let blocks = blocks(page, &prune::prune(page).removed);
            let found: Vec<_> = blocks
                .iter()
                .map(|b| (page.nodes[b.node].text.trim(), b.chars, b.linked, b.words, b.stops))
                .collect();
            assert_eq!(found, expected, "{html}");
        });
    }

    #[test]
    fn blocks_end_where_lines_end() {
        check("<p>a b<p>c.", &[("a b", 2, 0, 2, 0), ("c.", 2, 0, 1, 1)]);
        check("<p>a<b>b</b> c", &[("a", 3, 0, 3, 0)]);
        check("a<br>b<br><br>c", &[("a", 2, 0, 2, 0), ("c", 1, 0, 1, 0)]);
        check("<div>a<div>b</div>c</div>", &[("a", 1, 0, 1, 0), ("b", 1, 0, 1, 0), ("c", 1, 0, 1, 0)]);
        check("<p> <p>\n<b> </b>", &[]);
        check("", &[]);
    }

    #[test]
    fn headings_rows_and_code_are_whole() {
        check("<h2>a<div>b</div>c</h2>d", &[("a", 3, 0, 3, 0), ("d", 1, 0, 1, 0)]);
        check("<pre>a<div>b</div><br><br>c</pre>d", &[("a", 3, 0, 3, 0), ("d", 1, 0, 1, 0)]);
        check("<table><tr><td>a<td>b<tr><td>c<td>d</table>", &[("a", 2, 0, 2, 0), ("c", 2, 0, 2, 0)]);
        check("<table><tr><td>a</table>", &[("a", 1, 0, 1, 0)]);
    }

    #[test]
    fn links_count_with_an_address_only() {
        check("<p>ab <a href=x>cd</a> <a>ef</a>", &[("ab", 6, 2, 3, 0)]);
        check("<p><a href=x>a<b>b</b></a>c", &[("a", 3, 2, 3, 0)]);
    }

    #[test]
    fn words_and_sentences_of_all_scripts() {
        check("<p>Is it? \"Yes.\" No!", &[("Is it? \"Yes.\" No!", 14, 0, 4, 3)]);
        check("<p>3.14 is it", &[("3.14 is it", 8, 0, 3, 0)]);
        check("<p>\u{65e5}\u{672c}\u{8a9e}\u{3002}", &[("\u{65e5}\u{672c}\u{8a9e}\u{3002}", 4, 0, 2, 1)]);
        check("<p>e\u{301}t\u{e9}", &[("e\u{301}t\u{e9}", 4, 0, 1, 0)]);
    }
}
