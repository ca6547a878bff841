//! The title of a page.
//!
//! What is written to stand for the page (`og:title`, else `<title>`) tells what the title is about, often with the name of the site
//! beside it: that goes where a separator stands between them. The name is known from `og:site_name`, the host, or an `h1` outside the content
//! that `<title>` ends in. The `h1` that is most like what is left is the title as readers see it; where none is like it, what is
//! left is the title. Without any of these it is the first `h1`, and where only the site is named, the first heading that does not name it.
//!
//! ```text
//! <title>Loops - The Book</title><main><h1>Loops and ranges</h1>…                         → Loops and ranges
//! <title>Loop - The Book</title><header><h1>The Book</h1></header><main><h2>Loops</h2>…   → Loops
//! <meta property=og:site_name content=Post><title>Storm | Post</title>                    → Storm
//! ```

use super::page::{Page, collapsed};
use super::tag::Tag;
use std::collections::BTreeSet;
use url::Url;

/// Longest title kept, in bytes.
const TITLE_BYTES_MAX: usize = 1000;
/// Most nodes of a heading that are read.
const NODES_MAX: usize = 1000;
/// Most headings that are read: of `h1`, and of the others.
const HEADINGS_MAX: usize = 64;
/// What stands between the name of a page and the name of its site.
const SEPARATORS: [&str; 10] = [" - ", " | ", " – ", " — ", " · ", " :: ", " » ", " « ", " • ", " : "];
/// Most parts of a title between separators.
const PARTS_MAX: usize = 8;
/// Least likeness of a heading that is the title.
const LIKENESS_MIN: f32 = 0.3;
/// Shortest name, in letters, that counts where a part of the title holds more than the name, or less.
const NAME_LETTERS_MIN: usize = 4;

/// What a page says of its title.
#[derive(Default)]
struct Said {
    /// `og:title`, `og:site_name` and `<title>`.
    og: Option<String>,
    site: Option<String>,
    tag: Option<String>,
    /// Headings of the content, and the others; each with whether it is an `h1`.
    inside: Vec<(bool, String)>,
    outside: Vec<(bool, String)>,
}

/// The title, if the page has one; `removed` tells where the content is not.
pub(crate) fn title(page: &Page<'_>, removed: &[bool], url: Option<&Url>) -> Option<String> {
    let said = Said::new(page, removed);
    let names = Names::new(&said, url);
    let written = said.og.as_ref().or(said.tag.as_ref()).map(|title| without_site(title, &said, &names));
    let heading = match (&written, said.inside.first()) {
        // The `h1` names the site, so the content's first heading names the page.
        (Some(_), Some((_, first))) if said.og.is_none() && names.heading.is_some() => Some(first),
        (Some(written), _) if names.all().any(|name| words(name) == words(written)) => {
            let mut lines = said.inside.iter().chain(&said.outside).map(|(_, line)| line);
            lines.find(|line| !names.has(line))
        }
        (Some(written), _) => most_like(&said, written, &names),
        (None, _) => None,
    };
    let first =
        || said.inside.iter().chain(&said.outside).find(|(is_h1, _)| *is_h1).map(|(_, line)| line.clone());
    let mut title = heading.cloned().or(written).or_else(first)?;
    title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
    Some(title)
}

impl Said {
    fn new(page: &Page<'_>, removed: &[bool]) -> Self {
        let gone = gone(page, removed);
        let mut said = Self::default();
        let (mut svg_end, mut read) = (0, [0; 2]);
        for (at, node) in page.nodes.iter().enumerate() {
            match node.tag {
                Tag::Svg => svg_end = node.end as usize,
                Tag::Meta => {
                    let slot = match node.attribute("property") {
                        Some("og:title") => &mut said.og,
                        Some("og:site_name") => &mut said.site,
                        _ => continue,
                    };
                    let content = || node.attribute("content").map(collapsed).filter(|line| !line.is_empty());
                    *slot = slot.take().or_else(content);
                }
                Tag::Title if said.tag.is_none() && at >= svg_end => {
                    said.tag = Some(page.line(at)).filter(|line| !line.is_empty());
                }
                Tag::H1 | Tag::H2 | Tag::H3 => {
                    let is_h1 = node.tag == Tag::H1;
                    let read = &mut read[usize::from(is_h1)];
                    *read += 1;
                    let line = if *read <= HEADINGS_MAX { line(page, at, &gone) } else { String::new() };
                    if !line.is_empty() {
                        (if gone[at] { &mut said.outside } else { &mut said.inside }).push((is_h1, line));
                    }
                }
                _ => {}
            }
        }
        said
    }
}

/// Names of the site.
struct Names {
    /// Of the site as it says, of the host, and of the host without its last label.
    told: Vec<String>,
    /// The `h1` outside the content that `<title>` ends in, as `Loops - The Book` does.
    heading: Option<String>,
}

impl Names {
    fn new(said: &Said, url: Option<&Url>) -> Self {
        let host = url.and_then(Url::host_str);
        let host = host.map(|host| host.strip_prefix("www.").unwrap_or(host).to_owned());
        let core = host.as_ref().and_then(|host| host.rsplit_once('.')).map(|(core, _)| core.to_owned());
        let mut names =
            Self { told: [said.site.clone(), host, core].into_iter().flatten().collect(), heading: None };
        let tag = said.tag.as_deref().unwrap_or_default();
        // Where the site is named before it, it names the page.
        let is_last = |name: &&String| {
            let before = tag.strip_suffix(name.as_str()).filter(|before| !before.is_empty());
            before.is_some_and(|before| !names.has(before))
        };
        let outside = said.outside.iter().filter(|(is_h1, _)| *is_h1).map(|(_, name)| name);
        names.heading = outside.clone().find(is_last).cloned();
        names
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.heading.iter().chain(&self.told)
    }

    /// Whether a part of a title names the site: it is a name, or one of the two is most of the other.
    fn has(&self, part: &str) -> bool {
        let letters = words(part).concat();
        let fits = |name: &String| {
            let name = words(name).concat();
            let (short, long) =
                if name.len() < letters.len() { (&name, &letters) } else { (&letters, &name) };
            let is_most = short.chars().count() >= NAME_LETTERS_MIN && 2 * short.len() >= long.len();
            short == long || is_most && long.contains(short.as_str())
        };
        !letters.is_empty() && self.all().any(fits)
    }
}

/// A title without the names of the site, or the part of it that is a heading.
fn without_site(title: &str, said: &Said, names: &Names) -> String {
    let mut parts = parts(title);
    let headings = said.inside.iter().chain(&said.outside).map(|(_, line)| words(line));
    let headings: Vec<Vec<String>> = if parts.len() > 1 { headings.collect() } else { Vec::new() };
    let runs = (0..parts.len()).flat_map(|from| (from..parts.len()).map(move |to| (from, to)));
    let run = |(from, to): (usize, usize)| &title[parts[from].0..parts[to].1];
    let is_heading = |at: &(usize, usize)| {
        let found = words(run(*at));
        !found.is_empty() && headings.contains(&found) && !names.has(run(*at))
    };
    if let Some(longest) = runs.filter(is_heading).max_by_key(|at| (run(*at).len(), std::cmp::Reverse(at.0)))
    {
        return run(longest).trim().to_owned();
    }
    while let [(start, end), .., (last, stop)] = parts[..] {
        if names.has(&title[last..stop]) {
            parts.pop();
        } else if names.has(&title[start..end]) {
            parts.remove(0);
        } else {
            break;
        }
    }
    let whole = parts.first().zip(parts.last()).map_or(title, |(first, last)| &title[first.0..last.1]);
    whole.trim().to_owned()
}

/// Where the parts between separators begin and end; those of a title with very many are one.
fn parts(title: &str) -> Vec<(usize, usize)> {
    let mut cuts: Vec<(usize, usize)> = SEPARATORS
        .iter()
        .flat_map(|separator| title.match_indices(separator).map(|(at, found)| (at, at + found.len())))
        .collect();
    cuts.sort_unstable();
    if cuts.len() >= PARTS_MAX {
        return vec![(0, title.len())];
    }
    let starts = std::iter::once(0).chain(cuts.iter().map(|(_, end)| *end));
    let ends = cuts.iter().map(|(start, _)| *start).chain([title.len()]);
    starts.zip(ends).filter(|(start, end)| start < end).collect()
}

/// The `h1` that has most words in common with the title, first of the content; of equals the first.
fn most_like<'s>(said: &'s Said, title: &str, names: &Names) -> Option<&'s String> {
    let title: BTreeSet<String> = words(title).into_iter().collect();
    let likeness = |line: &str| {
        let line: BTreeSet<String> = words(line).into_iter().collect();
        2.0 * title.intersection(&line).count() as f32 / (title.len() + line.len()).max(1) as f32
    };
    [&said.inside, &said.outside].into_iter().find_map(|list| {
        let is_site = |line: &String| names.all().any(|name| words(name) == words(line));
        let lines = list.iter().filter(|(is_h1, line)| *is_h1 && !is_site(line)).map(|(_, line)| line);
        let mut best = None;
        for line in lines {
            let like = likeness(line);
            if like > best.map_or(LIKENESS_MIN, |(most, _)| most) {
                best = Some((like, line));
            }
        }
        best.map(|(_, line)| line)
    })
}

/// The words of a line in lower case.
fn words(line: &str) -> Vec<String> {
    line.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
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
        assert_eq!(
            extract(&html, Some("https://www.example.org/a"), &Config::default()).title.as_deref(),
            Some(expected),
            "{html}"
        );
    }

    #[test]
    fn which_name_wins() {
        check("<title>A</title><p>b", "A");
        check("<title>A | Site</title><h1>A</h1>", "A");
        check("<title>Loops - The Book</title><main><h1>Loops <button>Copy</button></h1>", "Loops");
        check("<title>cargo add - Book</title><main><h1>cargo-add(1)</h1>", "cargo-add(1)");
        check("<title>Loops - The Book</title><nav><h1>The Book</h1></nav><main><h2>Loops</h2>", "Loops");
        check("<meta property=og:title content='O'><title>A - B</title><h1>C</h1>", "O");
        check("<title>Loops - The Book</title><main><h1>Loops and ranges</h1>", "Loops and ranges");
        check("<title>Loop - The Book</title><nav><h1>The Book</h1></nav><main><h2>Loops</h2>", "Loops");
    }

    #[test]
    fn the_name_of_the_site_goes() {
        let site = "<meta property=og:site_name content='The Post'>";
        check(&format!("{site}<title>Storm over sea | The Post</title>"), "Storm over sea");
        check(&format!("{site}<title>The Post: a story</title>"), "The Post: a story");
        check(&format!("{site}<title>The Post</title>"), "The Post");
        check("<title>Storm - North - Example.org</title>", "Storm - North");
        check("<title>The Example » Storm</title>", "Storm");
        check("<title>Storm - a report</title>", "Storm - a report");
        check(
            "<title>The Example tells news of storms - News</title>",
            "The Example tells news of storms - News",
        );
        check(
            &format!("{site}<title>Who pays the Post its bills | Opinion | The Post</title>"),
            "Who pays the Post its bills | Opinion",
        );
        check("<title>Example » Storm at sea</title><header><h1>Storm at sea</h1></header>", "Storm at sea");
        check(&format!("{site}<title>The Post</title><h1>The Post</h1><h1>Storm</h1>"), "Storm");
        check(
            "<title>Storm at sea : My Blog | All weather</title><h1>My Blog</h1><h2>Storm at sea</h2>",
            "Storm at sea",
        );
        check(
            "<meta property=og:title content='Storm over sea, now'><h1>Storm over the sea</h1>",
            "Storm over the sea",
        );
    }
}
