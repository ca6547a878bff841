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

#[cfg(test)]
mod tests {
    use super::super::testing::{check_main, with_page};
    use super::gone;
    use expect_test::expect;

    const PROSE: &str =
        "A sentence that is long enough to be read as prose, with a comma and a stop at its end.";
    const LINKS: &str = "<ul><li><a href=a>One more page</a><li><a href=b>Another page</a><li><a href=c>The last page</a></ul>";

    #[test]
    fn a_heading_stays_with_its_text_and_goes_with_its_list() {
        check_main(
            &format!("<main><h1>Title</h1><p>{PROSE}<h2>Use</h2><p>{PROSE}<h2>Related</h2>{LINKS}</main>"),
            &expect![[r#"
                # Title

                A sentence that is long enough to be read as prose, with a comma and a stop at its end.

                ## Use

                A sentence that is long enough to be read as prose, with a comma and a stop at its end."#]],
        );
    }

    #[test]
    fn a_heading_that_is_a_link_comes_back_with_its_text() {
        check_main(
            &format!(
                "<main><p>{PROSE}<h2><a href=x>A heading that is one long link to itself</a></h2><p>{PROSE}</main>"
            ),
            &expect![[r#"
                A sentence that is long enough to be read as prose, with a comma and a stop at its end.

                ## A heading that is one long link to itself

                A sentence that is long enough to be read as prose, with a comma and a stop at its end."#]],
        );
    }

    #[test]
    fn a_section_ends_at_a_heading_of_its_level() {
        check_main(
            &format!(
                "<main><p>{PROSE}<h2>Empty</h2>{LINKS}<h3>Below</h3><p>{PROSE}<h2>See also</h2>{LINKS}</main>"
            ),
            &expect![[r#"
                A sentence that is long enough to be read as prose, with a comma and a stop at its end.

                ## Empty

                ### Below

                A sentence that is long enough to be read as prose, with a comma and a stop at its end."#]],
        );
    }

    #[test]
    fn what_lies_under_a_removed_node_is_gone() {
        with_page("<div><p>a<b>c</b></div><p>d", |page| {
            let mut removed = vec![false; page.nodes.len()];
            let div = page.nodes.iter().position(|n| n.tag == super::super::tag::Tag::Div).unwrap();
            removed[div] = true;
            let words: Vec<&str> = gone(page, &removed)
                .iter()
                .zip(&page.nodes)
                .filter(|(gone, node)| !**gone && !node.text.is_empty())
                .map(|(_, node)| node.text)
                .collect();
            assert_eq!(words, ["d"]);
        });
    }
}
