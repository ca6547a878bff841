//! Headings go with what they head.
//!
//! Headings are short and often links, so what is known of them alone says little. After the blocks are chosen, a
//! heading whose next block is kept comes back, and one with nothing left below it goes.
//!
//! ```text
//! <h2>Use</h2><p>Text.      kept with its text
//! <h2>Related</h2><ul>…     the list was cut, so the heading goes
//! ```

use super::block::Block;
use super::page::Page;

/// Which nodes lie under a removed one, themselves included.
pub(crate) fn gone(page: &Page<'_>, removed: &[bool]) -> Vec<bool> {
    let mut gone = removed.to_vec();
    for at in 1..gone.len() {
        gone[at] |= gone[page.nodes[at].parent as usize];
    }
    gone
}

/// One heading of the content, with the blocks of its section: those up to the next heading that is not below it.
#[derive(Debug)]
struct Section {
    heading: usize,
    first: usize,
    end: usize,
}

/// Brings headings back and takes headings out, inside `root`. `headings` holds for each node the heading that it
/// is in, or 0.
pub(crate) fn settle(
    page: &Page<'_>,
    root: usize,
    removed: &mut [bool],
    blocks: &[Block],
    headings: &[usize],
) {
    let gone = gone(page, removed);
    for section in sections(page, root, blocks, headings).iter().rev() {
        let body = &blocks[section.first..section.end];
        let Some(next) = body.iter().find(|b| headings[b.node] == 0) else { continue };
        let lost = gone[section.heading];
        if lost && !gone[next.node] && next.link_density() < 0.5 {
            restore(page, section.heading, removed);
        } else if !lost && body.iter().all(|b| headings[b.node] != 0 || gone[b.node]) {
            removed[section.heading] = true;
        }
    }
}

fn sections(page: &Page<'_>, root: usize, blocks: &[Block], headings: &[usize]) -> Vec<Section> {
    let level = |at: usize| page.nodes[at].tag.heading().unwrap_or(0);
    let (mut sections, mut open): (Vec<Section>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut last = 0;
    let inside = root..page.nodes[root].end as usize;
    let end = blocks.partition_point(|b| b.node < inside.end);
    for (index, block) in blocks.iter().enumerate().take(end).skip(blocks.partition_point(|b| b.node < root))
    {
        let heading = headings[block.node];
        if heading == 0 || heading == last {
            continue;
        }
        last = heading;
        while let Some(&above) = open.last()
            && level(sections[above].heading) >= level(heading)
        {
            sections[above].end = index;
            open.pop();
        }
        open.push(sections.len());
        sections.push(Section { heading, first: index, end });
    }
    sections
}

/// Keeps a node again, and of what is around it only the node.
fn restore(page: &Page<'_>, at: usize, removed: &mut [bool]) {
    let mut path: Vec<usize> = page.ancestors(at).collect();
    path.reverse();
    path.push(at);
    for pair in path.windows(2) {
        if removed[pair[0]] {
            removed[pair[0]] = false;
            for child in page.children(pair[0]) {
                removed[child] = true;
            }
        }
    }
    removed[at] = false;
}
