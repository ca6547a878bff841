//! The title of a page.
//!
//! `og:title` first, for it is written to stand alone; then the only `h1` where `<title>` holds it (so the name of
//! the site goes, without a guess at separators); then `<title>`, then the first `h1`. Nothing is cut off a title.

use super::page::Page;
use super::tag::Tag;

/// Longest title kept, in bytes.
const TITLE_BYTES_MAX: usize = 1000;

/// The title, if the page has one.
pub(crate) fn title(page: &Page<'_>) -> Option<String> {
    let (mut og, mut tag) = (None, None);
    let mut headings: Vec<usize> = Vec::new();
    let mut svg_end = 0;
    for (at, node) in page.nodes.iter().enumerate() {
        match node.tag {
            Tag::Svg => svg_end = node.end as usize,
            Tag::Meta if og.is_none() && node.attribute("property") == Some("og:title") => {
                og = node.attribute("content").map(|c| c.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            Tag::Title if tag.is_none() && at >= svg_end => tag = Some(page.line(at)),
            Tag::H1 => headings.push(at),
            _ => {}
        }
    }
    let heading = headings.first().map(|&at| page.line(at)).filter(|h| !h.is_empty());
    let only = heading.clone().filter(|_| headings.len() == 1);
    let inside = only.filter(|h| tag.as_ref().is_some_and(|t| t.contains(h.as_str())));
    let mut title = [og, inside, tag, heading].into_iter().flatten().find(|t| !t.is_empty())?;
    title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
    Some(title)
}
