//! Which part of a page each block is: title, byline, comments, caption, or none of these.
//!
//! The model knows content from boilerplate; the sets that it learns from disagree on these parts, so a setting can choose.

use super::super::block::{Block, Kind};
use super::super::page::Page;
use super::super::tag::Tag;
use super::super::words::{Hint, Hints};

/// A part of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The heading that is the title.
    Title,
    /// Author, date, tags: a short line that its name or its first words tell.
    Byline,
    /// What readers have written below.
    Comments,
    /// The caption or credit of a picture.
    Caption,
    /// Anything else.
    Other,
}

/// Longest byline, in words.
const BYLINE_WORDS_MAX: u32 = 25;
/// Elements around a block whose names tell a byline or a caption.
const LEVELS: usize = 4;
/// Elements around a block that are looked at.
const LEVELS_MAX: usize = 100;
/// Largest share of the words that comments are; with more, they are what the page is about.
const COMMENTS_SHARE_MAX: f32 = 0.8;
/// What a byline begins with.
const BY: [&str; 8] = ["by ", "von ", "par ", "por ", "posted ", "published ", "updated ", "written by "];

/// The part that each block is; `title` is the block that is the title.
pub(crate) fn parts(page: &Page<'_>, hints: &[Hints], blocks: &[Block], title: Option<usize>) -> Vec<Part> {
    let mut parts: Vec<Part> = blocks.iter().map(|block| part(page, hints, block)).collect();
    let words = |is: &dyn Fn(Part) -> bool| -> u32 {
        blocks.iter().zip(&parts).filter(|(_, part)| is(**part)).map(|(block, _)| block.words).sum()
    };
    let comments = words(&|part| part == Part::Comments) as f32;
    if comments > COMMENTS_SHARE_MAX * words(&|_| true) as f32 {
        parts.iter_mut().filter(|part| **part == Part::Comments).for_each(|part| *part = Part::Other);
    }
    if let Some(title) = title.filter(|at| blocks[*at].kind == Kind::Heading) {
        parts[title] = Part::Title;
    }
    parts
}

fn part(page: &Page<'_>, hints: &[Hints], block: &Block) -> Part {
    let mut near = Part::Other;
    for (level, at) in page.ancestors(block.node).take(LEVELS_MAX).enumerate() {
        let tag = page.nodes[at].tag;
        if at == 0 || tag == Tag::Body {
            break;
        }
        if hints[at].has(Hint::Comment) {
            return Part::Comments;
        }
        if near == Part::Other && level < LEVELS {
            let is_caption = matches!(tag, Tag::Figcaption | Tag::Caption) || hints[at].has(Hint::Caption);
            let is_byline = hints[at].has(Hint::Meta) || matches!(tag, Tag::Time | Tag::Address);
            if is_caption {
                near = Part::Caption;
            } else if is_byline && block.kind == Kind::Flow && block.words <= BYLINE_WORDS_MAX {
                near = Part::Byline;
            }
        }
    }
    let begins = || {
        let text = page.nodes[block.node].text.trim_start();
        BY.iter().any(|by| text.get(..by.len()).is_some_and(|start| start.eq_ignore_ascii_case(by)))
    };
    let is_line = block.kind == Kind::Flow && block.words <= BYLINE_WORDS_MAX / 2 && block.stops == 0;
    if near == Part::Other && is_line && begins() { Part::Byline } else { near }
}
