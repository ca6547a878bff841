//! Decides which blocks are the main content.
//!
//! Each block has a worth in characters: positive when it reads like content, negative when it reads like the rest
//! of a page. Worths are summed over subtrees (prefix sums), and two questions are answered on the tree:
//!
//! 1. *Which element holds the content?* The one with the largest sum; text outside it is lost, text inside is a
//!    candidate. This is maximum-subsequence segmentation (Pasternack and Roth 2009) on subtrees.
//! 2. *What inside it is not content?* A subtree whose best sum, after its own worst parts are gone, is below zero.

use super::block::Block;
use super::page::Page;
use super::prune::Pruned;
use super::section;
use super::table;
use super::tag::Tag;
use super::words::{Hint, Hints};

/// What was decided.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Elements that hold the content, in document order.
    pub(crate) roots: Vec<usize>,
    /// Nodes inside them that go.
    pub(crate) removed: Vec<bool>,
    /// Share of the content's characters that are in links.
    pub(crate) link_density: f64,
    /// Share of the page's positive worth that was kept, after what was kept against its worth: 0 to 1.
    pub(crate) confidence: f64,
}

/// Worth that a subtree must lack before it is cut out of the content.
const CUT_MIN: f64 = 8.0;

/// Smallest share of the unsuspected characters that a strict choice must hold; with less, the page is a list, a
/// shop or a discussion, whose short and linked texts are its content.
const STRICT_SHARE_MIN: f64 = 0.35;

/// Chooses the content of a page.
pub(crate) fn choose(page: &Page<'_>, pruned: Pruned, blocks: &[Block]) -> Choice {
    let contexts = contexts(page, &pruned.hints, blocks);
    let places = Places::new(page);
    let unsuspected: f64 =
        blocks.iter().filter(|b| !contexts[b.parent].is_suspect()).map(|b| b.chars as f64).sum();
    let (strict, kept) = attempt(page, pruned.removed.clone(), blocks, &contexts, &places, false);
    if kept >= STRICT_SHARE_MIN * unsuspected {
        return strict;
    }
    attempt(page, pruned.removed, blocks, &contexts, &places, true).0
}

/// One choice, with the characters that it keeps.
fn attempt(
    page: &Page<'_>,
    mut removed: Vec<bool>,
    blocks: &[Block],
    contexts: &[Hints],
    places: &Places,
    lenient: bool,
) -> (Choice, f64) {
    let worths: Vec<f64> =
        blocks.iter().map(|b| worth(b, places.tag(page, b), contexts[b.parent], lenient)).collect();
    let mut at_node = vec![0.0; page.nodes.len()];
    for (block, worth) in blocks.iter().zip(&worths) {
        at_node[block.node] = *worth;
    }
    let best = cut(page, &at_node, places, &mut removed);
    let root = container(page, &best);
    section::settle(page, root, &mut removed, blocks, &places.heading);
    let (kept, linked, gained, lost) = account(page, root, &removed, blocks, &worths);
    let positive = worths.iter().filter(|w| **w > 0.0).sum::<f64>().max(1.0);
    let choice = Choice {
        roots: vec![root],
        removed,
        link_density: linked / kept.max(1.0),
        confidence: ((gained - lost) / positive).clamp(0.0, 1.0),
    };
    (choice, kept)
}

/// The hints that hold at each node: its own and those of the elements around it.
fn contexts(page: &Page<'_>, hints: &[Hints], blocks: &[Block]) -> Vec<Hints> {
    let mut sums = vec![0_usize; page.nodes.len() + 1];
    for block in blocks {
        sums[block.node + 1] = block.chars;
    }
    for at in 1..sums.len() {
        sums[at] += sums[at - 1];
    }
    let total = sums[page.nodes.len()];
    let mut contexts = vec![Hints::default(); page.nodes.len()];
    for at in 1..page.nodes.len() {
        let node = &page.nodes[at];
        let above = contexts[node.parent as usize];
        let share = (sums[node.end as usize] - sums[at]) as f64 / total.max(1) as f64;
        contexts[at] = above.joined(hints[at].believed(node.tag, share));
    }
    contexts
}

/// Where the nodes stand.
#[derive(Debug)]
struct Places {
    /// The heading that each node is or is in, or 0.
    heading: Vec<usize>,
    /// Whether the node is part of something that is kept or cut as a whole: a table of data, a list of definitions.
    whole: Vec<bool>,
    /// Whether it is in a table of data.
    cell: Vec<bool>,
    /// Whether it is in preformatted text.
    code: Vec<bool>,
}

impl Places {
    fn new(page: &Page<'_>) -> Self {
        let len = page.nodes.len();
        let mut places = Self {
            heading: vec![0; len],
            whole: vec![false; len],
            cell: vec![false; len],
            code: vec![false; len],
        };
        for at in 1..len {
            let node = &page.nodes[at];
            let parent = node.parent as usize;
            let in_heading = places.heading[parent];
            places.heading[at] =
                if in_heading == 0 && node.tag.heading().is_some() { at } else { in_heading };
            places.cell[at] |= places.cell[parent];
            places.code[at] = places.code[parent] || page.nodes[parent].tag == Tag::Pre;
            places.whole[at] = places.cell[at]
                || places.code[at]
                || places.heading[parent] != 0
                || matches!(node.tag, Tag::Dt | Tag::Dd) && page.nodes[parent].tag == Tag::Dl
                || node.tag == Tag::P && page.nodes[parent].tag == Tag::Dd;
            if node.tag == Tag::Table && !places.cell[at] && table::is_data(page, at) {
                for child in page.children(at) {
                    places.cell[child] = true;
                }
            }
        }
        places
    }

    /// What a block is by what is around it.
    fn tag(&self, page: &Page<'_>, block: &Block) -> Tag {
        match self.heading[block.node] {
            0 if self.code[block.node] => Tag::Pre,
            0 if self.cell[block.node] => Tag::Td,
            0 => page.nodes[block.parent].tag,
            heading => page.nodes[heading].tag,
        }
    }
}

/// What a block is worth as content.
fn worth(block: &Block, tag: Tag, context: Hints, lenient: bool) -> f64 {
    let chars = block.chars as f64;
    let density = block.link_density();
    let capped = chars.min(600.0) + (chars - 600.0).max(0.0) * 0.5;
    let is_prose = block.stops > 0 && block.words >= 8 || block.words >= 20;
    let mut worth = if tag == Tag::Pre {
        capped
    } else if tag.heading().is_some() {
        if density > 0.5 && !lenient { 2.0 } else { 6.0 }
    } else if lenient && block.chars >= 15 {
        chars * (0.6 - 0.3 * density)
    } else if matches!(tag, Tag::Td | Tag::Dt) {
        chars * (0.4 - density)
    } else if density > 0.5 {
        -10.0 - (chars * density).min(80.0)
    } else if is_prose {
        capped * (1.0 - 1.5 * density) + 10.0 * block.commas.min(10) as f64
    } else {
        match tag {
            Tag::P | Tag::Dd | Tag::Blockquote => chars * (0.4 - density),
            Tag::Li => chars * (0.3 - density),
            _ => -2.0 + chars * 0.1 - chars * density,
        }
    };
    let against = [
        (Hint::Navigation, 1.0),
        (Hint::Furniture, 0.8),
        (Hint::Related, if lenient { 0.0 } else { 0.7 }),
        (Hint::Comment, if lenient && !context.has(Hint::Main) { 0.0 } else { 0.6 }),
        (Hint::Meta, if lenient { 0.0 } else { 0.2 }),
    ];
    for (hint, weight) in against {
        if weight > 0.0 && context.has(hint) {
            worth = worth.min(0.0) - weight * chars.min(300.0);
        }
    }
    worth
}

/// Takes out the subtrees that are worth less than nothing; returns the worth of what is left in each.
fn cut(page: &Page<'_>, at_node: &[f64], places: &Places, removed: &mut [bool]) -> Vec<f64> {
    let mut best = at_node.to_vec();
    // Children come behind their parents, so backwards every sum is complete when it is used.
    for at in (1..page.nodes.len()).rev() {
        let node = &page.nodes[at];
        if removed[at] {
            best[at] = 0.0;
            continue;
        }
        let own = best[at];
        if own < -CUT_MIN && !places.whole[at] && (node.tag.is_block() || node.tag == Tag::Other) {
            removed[at] = true;
            best[at] = 0.0;
            best[node.parent as usize] -= CUT_MIN;
        } else {
            best[node.parent as usize] += own;
        }
    }
    best
}

/// The deepest element with the largest worth.
fn container(page: &Page<'_>, best: &[f64]) -> usize {
    let mut found = (0, f64::MIN);
    for (at, node) in page.nodes.iter().enumerate() {
        if node.tag != Tag::Text && node.tag.is_block() && best[at] >= found.1 {
            found = (at, best[at]);
        }
    }
    found.0
}

/// Characters kept, those of them in links, worth kept above zero, worth kept below.
fn account(
    page: &Page<'_>,
    root: usize,
    removed: &[bool],
    blocks: &[Block],
    worths: &[f64],
) -> (f64, f64, f64, f64) {
    let (mut kept, mut linked, mut gained, mut lost) = (0.0, 0.0, 0.0, 0.0);
    let mut gone = 0;
    let mut at = root;
    for (block, worth) in blocks.iter().zip(worths) {
        if block.node < root || block.node >= page.nodes[root].end as usize {
            continue;
        }
        while at <= block.node {
            if removed[at] {
                gone = gone.max(page.nodes[at].end as usize);
            }
            at += 1;
        }
        if block.node >= gone {
            kept += block.chars as f64;
            linked += block.linked as f64;
            gained += worth.max(0.0);
            lost -= worth.min(0.0);
        }
    }
    (kept, linked, gained, lost)
}

/// Keeps all that is visible.
pub(crate) fn all(pruned: Pruned, blocks: &[Block]) -> Choice {
    let (chars, linked) = blocks.iter().fold((0, 0), |(c, l), b| (c + b.chars, l + b.linked));
    Choice {
        roots: vec![0],
        removed: pruned.removed,
        link_density: linked as f64 / chars.max(1) as f64,
        confidence: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_main;
    use expect_test::expect;

    const PROSE: &str =
        "A sentence that is long enough to be read as prose, with a comma and a stop at its end.";
    const LINKS: &str =
        "<ul><li><a href=a>One page</a><li><a href=b>Another page</a><li><a href=c>A third page</a></ul>";

    fn check(html: &str, expect: &expect_test::Expect) {
        check_main(&html.replace("PROSE", PROSE).replace("LINKS", LINKS), expect);
    }

    #[test]
    fn the_content_is_told_from_what_is_around_it() {
        check(
            "<div>LINKS</div><div><h1>T</h1><p>PROSE<p>PROSE</div><div>LINKS</div>",
            &expect![[r#"
            # T

            A sentence that is long enough to be read as prose, with a comma and a stop at its end.

            A sentence that is long enough to be read as prose, with a comma and a stop at its end."#]],
        );
        check(
            "<article><p>PROSE</article><aside><p>PROSE</aside>",
            &expect![
                "A sentence that is long enough to be read as prose, with a comma and a stop at its end."
            ],
        );
        check(
            "<article><p>PROSE<div class=share>Tell your friends about it</div><p>PROSE</article>",
            &expect![[r#"
                A sentence that is long enough to be read as prose, with a comma and a stop at its end.

                A sentence that is long enough to be read as prose, with a comma and a stop at its end."#]],
        );
        check(
            "<main><p>PROSE<pre>a = 1</pre><p>PROSE</main><footer>\u{a9} 2020 All rights reserved</footer>",
            &expect![[r#"
                A sentence that is long enough to be read as prose, with a comma and a stop at its end.

                ```
                a = 1
                ```

                A sentence that is long enough to be read as prose, with a comma and a stop at its end."#]],
        );
        check(
            "<main><p>PROSE<ul><li>Short<li>Items</ul></main>",
            &expect![[r#"
            A sentence that is long enough to be read as prose, with a comma and a stop at its end.

            - Short
            - Items"#]],
        );
        check(
            "<main><p>PROSE<table><tr><th>a<th>b<tr><td>1<td>2</table></main>",
            &expect![[r#"
            A sentence that is long enough to be read as prose, with a comma and a stop at its end.

            | a | b |
            | --- | --- |
            | 1 | 2 |"#]],
        );
    }

    #[test]
    fn a_page_of_links_and_short_lines_is_its_own_content() {
        check("LINKS", &expect![[""]]);
        check("<p>Hello", &expect!["Hello"]);
        check(
            "<div class=sidebar><p>PROSE<p>PROSE</div>",
            &expect![[r#"
            A sentence that is long enough to be read as prose, with a comma and a stop at its end.

            A sentence that is long enough to be read as prose, with a comma and a stop at its end."#]],
        );
        check("<p>", &expect![[""]]);
    }
}
