//! Takes out what is never text of the page: scripts, forms, hidden elements, navigation by tag or role.

use super::label;
use super::page::Page;
use super::tag::Tag;
use super::words::{Hint, Hints};

/// Largest share of the page's text that hidden elements may take with them; more, and they are what the page shows
/// once its scripts have run.
const HIDDEN_SHARE_MAX: f64 = 0.3;

/// Most nodes of the sign that links a heading to itself.
const SIGN_NODES_MAX: usize = 16;

/// Most nodes of a gutter.
const GUTTER_NODES_MAX: usize = 10_000;

/// A page with what is known of each node before anything is decided.
#[derive(Debug)]
pub(crate) struct Pruned {
    /// Nodes that go, with all their descendants.
    pub(crate) removed: Vec<bool>,
    /// What the names of each node say.
    pub(crate) hints: Vec<Hints>,
}

/// Marks what is not shown or not text, for a page of which everything visible is kept.
pub(crate) fn prune(page: &Page<'_>) -> Pruned {
    let hints = Hints::of_all(&page.nodes);
    let text = sums(page);
    let total = f64::from(text[page.nodes.len()]);
    let mut letters = Letters::default();
    let gone = |at: usize| {
        let node = &page.nodes[at];
        let hidden = (hints[at].has(Hint::Hidden) || node.tag == Tag::Noscript)
            && f64::from(text[node.end as usize] - text[at]) < HIDDEN_SHARE_MAX * total
            && !matches!(node.tag, Tag::Body | Tag::Math);
        hidden
            || is_silent(page, at)
            || matches!(node.tag, Tag::Nav | Tag::Menu | Tag::Button | Tag::Dialog)
            || is_sign(page, at)
            || is_gutter(page, at, hints[at], &mut letters)
    };
    let removed = mark(page, &text, gone);
    Pruned { removed, hints }
}

/// Marks what is never a block of its own: no text, signs, hidden words in a line. Whether the rest is content, the
/// model says.
pub(crate) fn candidates(page: &Page<'_>) -> Pruned {
    let hints = Hints::of_all(&page.nodes);
    let text = sums(page);
    let mut letters = Letters::default();
    let gone = |at: usize| {
        is_silent(page, at)
            || is_sign(page, at)
            || is_gutter(page, at, hints[at], &mut letters)
            || is_tool(page, at, &text)
            || (hints[at].has(Hint::Hidden) && page.nodes[at].tag != Tag::Math && page.is_inline(at))
    };
    let removed = mark(page, &text, gone);
    Pruned { removed, hints }
}

fn mark(page: &Page<'_>, text: &[u32], mut gone: impl FnMut(usize) -> bool) -> Vec<bool> {
    let mut removed = vec![false; page.nodes.len()];
    let mut at = 1;
    while at < page.nodes.len() {
        let end = page.nodes[at].end as usize;
        if let Some(control) = label::control(page, at, text) {
            removed[control] = true;
            at = end;
        } else if gone(at) {
            removed[at] = true;
            at = end;
        } else {
            at += 1;
        }
    }
    removed
}

/// Scripts, styles, controls; the scripts of MathJax hold formulas.
fn is_silent(page: &Page<'_>, at: usize) -> bool {
    let node = &page.nodes[at];
    node.tag.is_silent()
        && !(node.tag == Tag::Script && node.attribute("type").is_some_and(|t| t.starts_with("math/tex")))
}

/// The sign that links a heading to itself.
fn is_sign(page: &Page<'_>, at: usize) -> bool {
    let node = &page.nodes[at];
    if node.tag != Tag::A {
        return false;
    }
    let inside = &page.nodes[at + 1..(node.end as usize).min(at + SIGN_NODES_MAX)];
    let mut text = inside.iter().flat_map(|n| n.text.chars()).filter(|c| !c.is_whitespace());
    let is_sign = matches!(text.next(), Some('#' | '§' | '¶' | '🔗' | '∞' | 'ⓘ' | '\u{e000}'..='\u{f8ff}'));
    is_sign && text.next().is_none() && node.attribute("href").is_some_and(|h| h.contains('#'))
}

/// A button beside the text of a heading, of code or of a cell: it copies, folds or sorts. Alone in a heading it is what it says.
fn is_tool(page: &Page<'_>, at: usize, text: &[u32]) -> bool {
    let node = &page.nodes[at];
    let size = |at: usize| text[page.nodes[at].end as usize] - text[at];
    let parent = node.parent as usize;
    let holds = page.nodes[parent].tag;
    let beside = holds.heading().is_some() || matches!(holds, Tag::Pre | Tag::Code | Tag::Td | Tag::Th);
    node.tag == Tag::Button && (holds == Tag::Pre || (beside && size(parent) > size(at)))
}

/// Line numbers beside code: a gutter without a letter, for grids have gutters too.
fn is_gutter(page: &Page<'_>, at: usize, hints: Hints, letters: &mut Letters) -> bool {
    let node = &page.nodes[at];
    if !hints.has(Hint::Gutter) || matches!(node.tag, Tag::Body | Tag::Table | Tag::Pre | Tag::Main) {
        return false;
    }
    node.end as usize - at <= GUTTER_NODES_MAX && !letters.are_in(page, at)
}

/// The nodes without a letter that were seen last: an element in another is not looked through again.
#[derive(Debug, Default)]
struct Letters {
    from: usize,
    to: usize,
    /// Whether there is a letter at `to`.
    found: bool,
}

impl Letters {
    fn are_in(&mut self, page: &Page<'_>, at: usize) -> bool {
        let end = page.nodes[at].end as usize;
        if !(self.from..=self.to).contains(&at) {
            *self = Self { from: at, to: at, found: false };
        }
        while !self.found && self.to < end {
            self.found = page.nodes[self.to].text.contains(char::is_alphabetic);
            self.to += usize::from(!self.found);
        }
        self.to < end
    }
}

/// Characters of text before each node, white space left out; scripts and styles count as none.
fn sums(page: &Page<'_>) -> Vec<u32> {
    let mut sums = Vec::with_capacity(page.nodes.len() + 1);
    let mut sum = 0;
    for node in &page.nodes {
        sums.push(sum);
        let silent = page.nodes[node.parent as usize].tag.is_silent();
        if node.tag == Tag::Text && !silent {
            sum += solid(node.text.as_bytes());
        }
    }
    sums.push(sum);
    sums
}

/// Bytes that are no white space, counted in pieces whose counts fit a byte, so that many are compared at once.
fn solid(text: &[u8]) -> u32 {
    let count = |piece: &[u8]| piece.iter().fold(0_u8, |count, b| count + u8::from(!b.is_ascii_whitespace()));
    text.chunks(usize::from(u8::MAX)).map(|piece| u32::from(count(piece))).sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use expect_test::expect;

    /// So that nothing in a test is a large share of its page.
    const WORDS: &str = "<p>Some words that are always there and shown.";

    #[test]
    fn hidden_elements_go() {
        for hidden in [
            "<span hidden>x</span>",
            "<span hidden=''>x</span>",
            "<span aria-hidden=true>x</span>",
            "<span style='color: red; display : none'>x</span>",
            "<span style='VISIBILITY:hidden'>x</span>",
            "<span class='a hidden'>x</span>",
            "<span class=sr-only>x</span>",
            "<span class=visually-hidden>x</span>",
            "<span class=screen-reader-text>x</span>",
            "<span class=d-none>x</span>",
            "<template>x</template>",
            "<noscript>x</noscript>",
            "<script>x</script>",
            "<style>x</style>",
            "<select><option>x</select>",
            "<textarea>x</textarea>",
            "<button>x</button>",
            "<svg><text>x</text></svg>",
            "<iframe>x</iframe>",
            "<video>x</video>",
            "<object>x</object>",
        ] {
            check(
                &format!("{WORDS}<p>a {hidden} b"),
                &expect!["Some words that are always there and shown.\n\na b"],
            );
        }
        for shown in [
            "<span hidden=until-found>x</span>",
            "<span aria-hidden=false>x</span>",
            "<span style='display:block'>x</span>",
            "<span class='hidden md:block'>x</span>",
            "<span class='d-none d-md-inline-block'>x</span>",
            "<span class=hide-when-deleted>x</span>",
            "<span class=shadow>x</span>",
            "<div role=tabpanel hidden>x</div>",
        ] {
            let text = expect!["Some words that are always there and shown.\n\na x b"];
            let text = if shown.starts_with("<div") {
                expect!["Some words that are always there and shown.\n\na\n\nx\n\nb"]
            } else {
                text
            };
            check(&format!("{WORDS}<p>a {shown} b"), &text);
        }
    }

    #[test]
    fn hidden_parts_of_code_and_formulas_go() {
        check(
            &format!("{WORDS}<pre><code><span hidden>use x;\n</span>fn a() {{}}</code></pre>"),
            &expect![[r#"
                Some words that are always there and shown.

                ```
                fn a() {}
                ```"#]],
        );
        check(
            &format!(
                "{WORDS}<p>Let <span class=katex><span class=katex-mathml><math><semantics><mi>x</mi>\
                     <annotation encoding=application/x-tex>x_1</annotation></semantics></math></span>\
                     <span class=katex-html aria-hidden=true>x1</span></span> be."
            ),
            &expect![[r#"
                Some words that are always there and shown.

                Let $x_1$ be."#]],
        );
    }

    #[test]
    fn a_page_that_is_hidden_at_first_is_kept() {
        check(
            "<div style='display:none'><p>All that this page has.</div>",
            &expect!["All that this page has."],
        );
    }

    #[test]
    fn navigation_and_signs_go() {
        check("<nav>x</nav><menu><li>x</menu><p>a", &expect!["a"]);
        check(
            "<h2>A<a class=anchor href=#a>#</a></h2><p>b",
            &expect![[r#"
            ## A

            b"#]],
        );
        check("<p>a<a href=#fn1>1</a> <a href=x>#</a>", &expect!["a1 #"]);
        check(
            "<table><tr><td class=gutter>1\n2<td class=code><pre>a\nb</pre></table>",
            &expect![[r#"
            ```
            a
            b
            ```"#]],
        );
    }

    #[test]
    fn gutters_of_grids_stay() {
        check("<div class='row row--gutter'><p>a</div><div class=gutter-small>b</div>", &expect!["a\n\nb"]);
    }

    #[test]
    fn a_template_leaves_what_is_around_it_whole() {
        check(
            "<div><p>a<template><p>x</template>b</div><ul><li>c<template>y</template>d<li>e</ul>",
            &expect![[r#"
                ab

                - cd
                - e"#]],
        );
    }
}
