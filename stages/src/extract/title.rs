//! The title of a page.
//!
//! `og:title` first, for it is written to stand alone; then the heading of the content: the only `h1` where `<title>`
//! holds it or adds the name of the site ("loop - The Book"), the first heading where `<title>` ends in a heading
//! that stands outside the content, the name of the site; then `<title>`, then the first `h1`.
//! Nothing is cut off a title.
//!
//! ```text
//! <title>Loops - The Book</title><main><h1>Loops and ranges</h1>…                  → Loops and ranges
//! <title>Loop - The Book</title><header><h1>The Book</h1></header><main><h2>Loops</h2>…   → Loops
//! ```

use super::page::Page;
use super::tag::Tag;

/// Longest title kept, in bytes.
const TITLE_BYTES_MAX: usize = 1000;
/// Most nodes of a heading that are read.
const NODES_MAX: usize = 1000;
/// What stands between the name of a page and the name of its site.
const SEPARATORS: [&str; 7] = [" - ", " | ", " – ", " — ", " · ", " :: ", " » "];

/// The title, if the page has one; `removed` tells where the content is not.
pub(crate) fn title(page: &Page<'_>, removed: &[bool]) -> Option<String> {
    let (mut og, mut tag) = (None, None);
    let (mut outside, mut inside, mut first): (Vec<String>, Vec<usize>, _) = (Vec::new(), Vec::new(), None);
    let mut svg_end = 0;
    let gone = gone(page, removed);
    let is_inside = |at: usize| !gone[at];
    for (at, node) in page.nodes.iter().enumerate() {
        match node.tag {
            Tag::Svg => svg_end = node.end as usize,
            Tag::Meta if og.is_none() && node.attribute("property") == Some("og:title") => {
                og = node.attribute("content").map(|c| c.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            Tag::Title if tag.is_none() && at >= svg_end => tag = Some(page.line(at)),
            Tag::H1 | Tag::H2 | Tag::H3 if is_inside(at) => {
                first = first.or(Some(at));
                inside.extend((node.tag == Tag::H1).then_some(at));
            }
            Tag::H1 => outside.push(line(page, at, &gone)),
            _ => {}
        }
    }
    let tag = tag.filter(|t| !t.is_empty());
    let heading = match (&tag, inside.as_slice(), outside.as_slice()) {
        (Some(t), _, names) if names.iter().any(|n| is_suffix(t, n)) && first.is_some() => {
            first.map(|at| line(page, at, &gone))
        }
        (Some(t), [only], _) => Some(line(page, *only, &gone))
            .filter(|h| t.contains(h.as_str()) || SEPARATORS.iter().any(|s| t.contains(s))),
        (Some(t), [], [only]) => Some(only.clone()).filter(|h| t.starts_with(h.as_str())),
        _ => None,
    };
    let last = inside.first().map(|&at| line(page, at, &gone)).or_else(|| outside.into_iter().next());
    let mut title = [og, heading, tag, last].into_iter().flatten().find(|t| !t.is_empty())?;
    title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
    Some(title)
}

/// Which nodes lie under a removed one or in a navigation, themselves included.
fn gone(page: &Page<'_>, removed: &[bool]) -> Vec<bool> {
    let mut gone = removed.to_vec();
    for at in 1..gone.len() {
        let node = &page.nodes[at];
        gone[at] |= gone[node.parent as usize] || node.tag == Tag::Nav;
    }
    gone
}

/// Whether the title is something and then the name, as `Loops - The Book` is.
fn is_suffix(title: &str, name: &str) -> bool {
    !name.is_empty() && title.len() > name.len() && title.ends_with(name)
}

/// The words of a heading, without the buttons and signs in it; of a very long one its beginning.
fn line(page: &Page<'_>, at: usize, gone: &[bool]) -> String {
    let inside = (at..page.nodes[at].end as usize).take(NODES_MAX).filter(|&n| !gone[n] || gone[at]);
    let mut line = String::new();
    for word in inside.flat_map(|n| page.nodes[n].text.split_whitespace()) {
        if line.len() > 2 * TITLE_BYTES_MAX {
            break;
        }
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use crate::extract::html::{Config, extract};

    fn check(html: &str, expected: &str) {
        let html =
            format!("{html}<p>A sentence that is long enough to be read as prose, with a comma and a stop.");
        assert_eq!(extract(&html, None, &Config::default()).title.as_deref(), Some(expected), "{html}");
    }

    #[test]
    fn which_name_wins() {
        check("<title>A</title><p>b", "A");
        check("<title>A | Site</title><h1>A</h1>", "A");
        check("<title>Loops - The Book</title><main><h1>Loops <button>Copy</button></h1>", "Loops");
        check("<title>cargo add - Book</title><main><h1>cargo-add(1)</h1>", "cargo-add(1)");
        check("<title>Loops - The Book</title><nav><h1>The Book</h1></nav><main><h2>Loops</h2>", "Loops");
        check("<meta property=og:title content='O'><title>A - B</title><h1>C</h1>", "O");
    }
}
