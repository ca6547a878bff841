//! Blocks: runs of text between two block boundaries, with what can be measured of them.

use super::page::Page;
use super::prune::Pruned;
use super::tag::Tag;

/// One run of text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    /// Its first text node.
    pub(crate) node: usize,
    /// The nearest block element around it.
    pub(crate) parent: usize,
    /// Characters, white space left out.
    pub(crate) chars: usize,
    /// Those of them in links.
    pub(crate) linked: usize,
    /// Links that begin in it.
    pub(crate) links: usize,
    /// Words: runs between white space; three characters count as a word where scripts use no spaces.
    pub(crate) words: usize,
    /// Commas and the like.
    pub(crate) commas: usize,
    /// Ends of sentences.
    pub(crate) stops: usize,
}

impl Block {
    /// Share of the characters that are in links.
    pub(crate) fn link_density(&self) -> f64 {
        self.linked as f64 / self.chars.max(1) as f64
    }
}

/// Cuts what is left of the page into blocks.
pub(crate) fn blocks(page: &Page<'_>, pruned: &Pruned) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Vec<(usize, usize)> = vec![(page.nodes.len(), 0)];
    let (mut link_end, mut broken, mut breaks, mut links) = (0, true, 0, 0);
    let mut at = 1;
    while at < page.nodes.len() {
        let node = &page.nodes[at];
        while open.last().is_some_and(|&(end, _)| end <= at) {
            open.pop();
            broken = true;
        }
        if pruned.removed[at] {
            at = node.end as usize;
            continue;
        }
        match node.tag {
            Tag::Text => {
                let measured = measure(node.text);
                if measured.chars > 0 {
                    let parent = open.last().map_or(0, |&(_, parent)| parent);
                    if broken || breaks > 1 {
                        blocks.push(Block { node: at, parent, ..Block::EMPTY });
                    }
                    (broken, breaks) = (false, 0);
                    let block = blocks.last_mut().expect("a block was opened above or before");
                    block.add(&measured, at < link_end, std::mem::take(&mut links));
                }
            }
            Tag::Br => breaks += 1,
            Tag::A if node.attribute("href").is_some() => {
                link_end = node.end as usize;
                links += 1;
            }
            tag if tag.is_block() => {
                open.push((node.end as usize, at));
                broken = true;
            }
            _ => {}
        }
        at += 1;
    }
    blocks
}

impl Block {
    const EMPTY: Self =
        Self { node: 0, parent: 0, chars: 0, linked: 0, links: 0, words: 0, commas: 0, stops: 0 };

    const fn add(&mut self, text: &Self, in_link: bool, links: usize) {
        self.chars += text.chars;
        self.words += text.words;
        self.commas += text.commas;
        self.stops += text.stops;
        self.links += links;
        if in_link {
            self.linked += text.chars;
        }
    }
}

fn measure(text: &str) -> Block {
    let mut block = Block::EMPTY;
    let (mut in_word, mut dense, mut stop) = (false, 0, false);
    for c in text.chars() {
        if c.is_whitespace() {
            block.stops += usize::from(stop);
            (in_word, stop) = (false, false);
            continue;
        }
        block.chars += 1;
        block.words += usize::from(!in_word);
        in_word = true;
        match c {
            ',' | ';' | '،' => block.commas += 1,
            '、' | '，' | '；' => {
                block.commas += 1;
                dense += 1;
            }
            '。' | '！' | '？' => {
                block.stops += 1;
                dense += 1;
            }
            '\u{0e00}'..='\u{0e7f}'
            | '\u{3040}'..='\u{30ff}'
            | '\u{3400}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7af}' => {
                dense += 1;
            }
            _ => {}
        }
        stop = matches!(c, '.' | '!' | '?' | '…' | ':')
            || (stop && matches!(c, '"' | '”' | '’' | '\'' | ')' | '»' | '“'));
    }
    block.stops += usize::from(stop);
    block.words += dense / 3;
    block
}

#[cfg(test)]
mod tests {
    use super::super::{prune, testing::with_page};
    use super::*;

    fn check(html: &str, expected: &[(&str, usize, usize, usize, usize)]) {
        with_page(html, |page| {
            let blocks = blocks(page, &prune::prune(page));
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
