//! A parsed page as one flat list in document order.
//!
//! html5ever's tree builder builds the tree; here it becomes a list in which a node's descendants are the nodes `at + 1 .. end`.
//! So every walk is a loop and every sum over a subtree the difference of two prefix sums: no recursion, whatever
//! the depth.

use super::guard::{self, Guard};
use super::tag::Tag;
use super::tokens::{Tokens, raw_kind};
use super::tree::{Element, Kind, Sink, Tree};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink as _};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

/// Nodes that any page may have, and bytes of a page for each one more. Of the 1,508 pages of the gold sets none of more
/// than 50 kB has a node for less than 16 bytes, and half have one for more than 57. Unclosed formatting elements are opened
/// again in every paragraph (HTML standard, "reconstruct the active formatting elements"), so that a small page can make a
/// huge tree.
const NODES_MIN: usize = 50_000;
const NODE_BYTES: usize = 16;
/// Most nodes of any tree.
const NODES_MAX: usize = 1_000_000;

/// Parses a page, cut as [`guard`] says. Where the tree outgrows the page, the rest is read as text without its tags.
pub(crate) fn parse(html: &str) -> Tree {
    let html = lines(html);
    let mut depth = guard::DEPTH_MAX;
    loop {
        match tree(&html, depth) {
            Ok(tree) => return tree,
            Err(read) => depth = guard::flatter(depth, read as f64 / html.len() as f64),
        }
    }
}

/// The tree of a page cut below a depth; an error where it is too much work, with the bytes that were read.
fn tree(html: &str, depth_max: usize) -> Result<Tree, usize> {
    // No script will run, so what stands in for it is markup.
    let opts = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let builder = TreeBuilder::new(Sink::new(html.len()), opts);
    let guard = Guard::new(&builder, html.len(), depth_max);
    let outgrows = |at: usize| builder.sink.len() > NODES_MAX.min(NODES_MIN + at / NODE_BYTES);
    let read = Tokens::new(html, &guard).run(|at| guard.is_spent() || outgrows(at));
    if guard.is_spent() {
        return Err(read);
    }
    if read < html.len() {
        let rest = Text::default();
        Tokens::new(&html[read..], &rest).run(|_| false);
        let _ = builder.process_token(Token::CharacterTokens(rest.text.into_inner()), 1);
    }
    let _ = builder.process_token(Token::EOFToken, 1);
    builder.end();
    Ok(builder.sink.finish())
}

/// The text of a piece of a page: a space for each tag, and nothing of what is no markup.
#[derive(Default)]
struct Text {
    text: RefCell<StrTendril>,
    in_raw: Cell<bool>,
}

impl TokenSink for Text {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        match token {
            Token::CharacterTokens(text) if !self.in_raw.get() => self.text.borrow_mut().push_tendril(&text),
            Token::TagToken(tag) => {
                self.text.borrow_mut().push_char(' ');
                let raw = (tag.kind == TagKind::StartTag).then(|| raw_kind(&tag.name)).flatten();
                self.in_raw.set(raw.is_some());
                return raw.map_or(TokenSinkResult::Continue, TokenSinkResult::RawData);
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// The page with all line ends as HTML reads them: `\r\n` and `\r` are `\n`.
fn lines(html: &str) -> Cow<'_, str> {
    let mut returns = memchr::memchr_iter(b'\r', html.as_bytes()).peekable();
    if returns.peek().is_none() {
        return Cow::Borrowed(html);
    }
    let (mut lines, mut from) = (String::with_capacity(html.len()), 0);
    for at in returns {
        lines.push_str(&html[from..at]);
        from = at + 1;
        // The end that follows comes with the next piece.
        if html.as_bytes().get(from) != Some(&b'\n') {
            lines.push('\n');
        }
    }
    lines.push_str(&html[from..]);
    Cow::Owned(lines)
}

/// A text as one line: a space where white space is, none at its ends.
pub(crate) fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    /// What it is.
    pub(crate) tag: Tag,
    /// Index of the parent.
    pub(crate) parent: u32,
    /// One past the last descendant.
    pub(crate) end: u32,
    /// Text of a text node.
    pub(crate) text: &'a str,
    /// The element of any other.
    pub(crate) element: Option<&'a Element>,
}

impl<'a> Node<'a> {
    const fn as_text(mut self) -> Self {
        self.tag = Tag::Text;
        self
    }

    /// The value of an attribute, by its name in lower case.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.element?.attributes.iter().find(|a| &*a.name.local == name).map(|a| &*a.value)
    }
}

/// The nodes of a page in document order; the first is the document.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// The nodes.
    pub(crate) nodes: Vec<Node<'a>>,
    /// Block elements before each node.
    blocks: Vec<u32>,
}

impl<'a> Page<'a> {
    /// Lists the nodes of a tree.
    pub(crate) fn new(tree: &'a Tree) -> Self {
        let root = Node { tag: Tag::Other, parent: 0, end: 0, text: "", element: None };
        let mut nodes = Vec::with_capacity(tree.len());
        nodes.push(root);
        let mut open = 0_u32;
        let mut next = tree.first_child(0);
        while let Some(mut cursor) = next {
            let end = nodes.len() as u32 + 1;
            let mut child = None;
            match tree.kind(cursor) {
                Kind::Text(text) => nodes.push(Node { text, parent: open, end, ..root }.as_text()),
                Kind::Element(element) => {
                    let tag = Tag::of(element.name());
                    nodes.push(Node { tag, parent: open, end, element: Some(element), ..root });
                    // The content of a template is a fragment, which is no part of the page.
                    child =
                        tree.first_child(cursor).filter(|child| !matches!(tree.kind(*child), Kind::Fragment));
                }
                _ => {}
            }
            if let Some(child) = child {
                open = nodes.len() as u32 - 1;
                next = Some(child);
                continue;
            }
            next = tree.next_sibling(cursor);
            while next.is_none() && open != 0 {
                nodes[open as usize].end = nodes.len() as u32;
                open = nodes[open as usize].parent;
                cursor = tree.parent(cursor).expect("an open node has children, so the cursor has a parent");
                next = tree.next_sibling(cursor);
            }
        }
        nodes[0].end = nodes.len() as u32;
        let mut blocks = Vec::with_capacity(nodes.len() + 1);
        let mut sum = 0;
        for node in &nodes {
            blocks.push(sum);
            sum += u32::from(node.tag.is_block());
        }
        blocks.push(sum);
        Self { nodes, blocks }
    }

    /// Whether neither a node nor anything in it is a block element.
    pub(crate) fn is_inline(&self, at: usize) -> bool {
        self.blocks[at] == self.blocks[self.nodes[at].end as usize]
    }

    /// Indices of the children of a node.
    pub(crate) fn children(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.nodes[at].end as usize;
        let mut next = at + 1;
        std::iter::from_fn(move || {
            (next < end).then(|| {
                let child = next;
                next = self.nodes[child].end as usize;
                child
            })
        })
    }

    /// Indices of the ancestors of a node, the nearest first.
    pub(crate) fn ancestors(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let mut next = at;
        std::iter::from_fn(move || {
            (next != 0).then(|| {
                next = self.nodes[next].parent as usize;
                next
            })
        })
    }

    /// The text of a node and its descendants as one line.
    pub(crate) fn line(&self, at: usize) -> String {
        let mut line = String::new();
        for node in &self.nodes[at..self.nodes[at].end as usize] {
            for word in node.text.split_whitespace() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_page;
    use super::*;

    /// Tags and texts, each with the index of its parent and of what comes behind it.
    fn shape(html: &str) -> String {
        with_page(html, |page| {
            let shown = page.nodes.iter().map(|n| match n.element {
                Some(element) => format!("{} {}..{}", element.name(), n.parent, n.end),
                None => format!("{:?} {}..{}", n.text, n.parent, n.end),
            });
            shown.collect::<Vec<_>>().join(", ")
        })
    }

    #[test]
    fn descendants_stand_behind_their_element() {
        let start = |end: usize| format!("\"\" 0..{end}, html 0..{end}, head 1..3, body 1..{end}");
        let check = |html: &str, end: usize, rest: &str| {
            assert_eq!(shape(html), format!("{}{rest}", start(end)), "{html}");
        };
        check("", 4, "");
        check("<p>a<b>c</b><p>d", 10, ", p 3..8, \"a\" 4..6, b 4..8, \"c\" 6..8, p 3..10, \"d\" 8..10");
        check("<!doctype html><!-- x --><p>a<!-- y -->b", 7, ", p 3..7, \"a\" 4..6, \"b\" 4..7");
        check(
            "<p>a<template><p>x</template>b<p>c",
            10,
            ", p 3..8, \"a\" 4..6, template 4..7, \"b\" 4..8, p 3..10, \"c\" 8..10",
        );
    }

    #[test]
    fn line_ends_are_of_one_kind() {
        for (html, expected) in [("a\nb", "a\nb"), ("a\r\nb\rc\r\r\n", "a\nb\nc\n\n"), ("\r", "\n")] {
            assert_eq!(super::lines(html), expected, "{html:?}");
        }
    }

    #[test]
    fn the_text_of_a_piece() {
        for (html, expected) in [
            ("a<p>b<script>c</script>d<!-- e --><i>f", "a b  d f"),
            ("a <!-- x --> b <p>c &amp; d<!-- y --> e", "a  b  c & d e"),
            ("<title>a</title>b", "  b"),
        ] {
            let text = Text::default();
            Tokens::new(html, &text).run(|_| false);
            assert_eq!(&**text.text.borrow(), expected, "{html}");
        }
    }

    /// Foreign elements that have the names of scripts are markup, at any depth and in any number.
    #[test]
    fn no_way_around_the_depth_through_a_drawing() {
        for unit in ["<style>", "<script>", "<title>", "<textarea>"] {
            for start in ["<svg>".to_owned(), format!("{}<svg>", "<div>".repeat(150))] {
                let html = format!("{start}{}{}", unit.repeat(30_000), "</b>".repeat(30_000));
                with_page(&html, |page| {
                    let deepest = (0..page.nodes.len()).step_by(97).map(|at| page.ancestors(at).count());
                    assert!(deepest.max() < Some(300), "{unit}");
                });
            }
        }
        let drawing = format!("{}<svg><title>a</title><g/></svg><p>b", "<div>".repeat(98));
        with_page(&drawing, |page| {
            let b = page.nodes.iter().position(|node| node.text == "b").unwrap();
            assert!(page.ancestors(b).all(|at| page.nodes[at].tag != Tag::Svg));
        });
    }

    #[test]
    fn walks_over_children_ancestors_and_words() {
        with_page("<div><p>a  b<i> c</i></p>\n<p>d</div>e", |page| {
            let tag = |at: usize| page.nodes[at].element.map_or(page.nodes[at].text, |e| e.name());
            let div = (0..page.nodes.len()).find(|&at| tag(at) == "div").unwrap();
            assert_eq!(page.children(div).map(tag).collect::<Vec<_>>(), ["p", "\n", "p"]);
            assert_eq!(
                page.ancestors(div + 2).map(tag).collect::<Vec<_>>(),
                ["p", "div", "body", "html", ""]
            );
            assert_eq!(page.line(div), "a b c d");
            assert_eq!(page.ancestors(0).count(), 0);
        });
    }
}
