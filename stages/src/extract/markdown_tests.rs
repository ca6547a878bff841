//! Tests of the Markdown writer: HTML in, Markdown out.

use super::*;
use crate::extract::{page, prune};

fn written(html: &str, style: &Style) -> String {
    let tree = page::parse(html);
    let page = Page::new(&tree);
    let pruned = prune::prune(&page);
    write(&page, &[0], &pruned.removed, style)
}

fn check(html: &str, expected: &str) {
    assert_eq!(written(html, &Style { markdown: true, ..Style::default() }), expected, "{html}");
}

#[test]
fn headings_paragraphs_and_breaks() {
    check("<h2>A <b>b</b></h2><p>c<br>d<p>e", "## A b\n\nc\nd\n\ne");
    check("a<br><br>b", "a\n\nb");
    check("<p>a<hr><p>b", "a\n\n---\n\nb");
}

#[test]
fn lists() {
    check("<h2>A</h2><ol start=3><li>b<ul><li>c</ul></ol>", "## A\n\n3. b\n   - c");
    check("<ul><li>a<li><p>b<p>c<li>d</ul>e", "- a\n- b\n\n  c\n- d\n\ne");
    check("<ul><li>a<pre>x\n  y</pre></ul>", "- a\n\n  ```\n  x\n    y\n  ```");
    check("<dl><dt>a<dd>b<dd>c<dt>d<dd>e</dl>", "a\n: b\n: c\n\nd\n: e");
}

#[test]
fn code() {
    check("<pre><code class=language-rust>a\n\n  b\n</code></pre>", "```rust\na\n\n  b\n```");
    check("<pre>a ``` b</pre>", "````\na ``` b\n````");
    check("<p>a <code>b`c</code> d", "a ``b`c`` d");
    check("<p><code>a|b</code>", "`a|b`");
}

#[test]
fn tables() {
    check(
        "<table><tr><th>a<th>b<tr><td colspan=2>c|d<tr><td>e<td>f</table>",
        "| a | b |\n| --- | --- |\n| c\\|d |  |\n| e | f |",
    );
    check("<table><tr><td>a</table>", "a");
}

#[test]
fn quotes_and_marks() {
    check("<blockquote><p>a<p>b</blockquote>c", "> a\n>\n> b\n\nc");
    check("<p>a<b> b </b>c <i></i><em>d</em>", "a **b** c *d*");
    check("10<sup>6</sup> <q>x</q>", "10^6 \u{201c}x\u{201d}");
    check("<h1>a<a href=#a>§</a></h1>", "# a");
}

#[test]
fn only_what_would_be_misread_is_escaped() {
    check("<p># a", "\\# a");
    check("<p>1. a", "1\\. a");
    check("<p>*a* 2 * 3 snake_case &lt;b&gt;", "\\*a\\* 2 * 3 snake_case \\<b>");
}

#[test]
fn headings_of_code_and_of_blocks() {
    check(
        "<h4 class=code-header>fn <a href=a>f</a>&lt;T&gt;(t: T)<div class=where>where T: A,</div></h4><p>b",
        "#### `fn f<T>(t: T) where T: A,`\n\nb",
    );
    check("<h2>A<div>b</div> c</h2><p>d", "## A b c\n\nd");
}

#[test]
fn links_and_images() {
    let style =
        Style { markdown: true, links: true, image_alt: true, base: Url::parse("https://a.b/c/").ok() };
    assert_eq!(written("<a href=d>x</a> <img alt=y>", &style), "[x](https://a.b/c/d) y");
}

#[test]
fn any_depth_is_safe() {
    let html = format!("{}x", "<div><ul><li>".repeat(20_000));
    assert!(written(&crate::extract::guard::bound(&html), &Style::default()).contains('x'));
    let bomb = format!(
        "<div>{}</div>{}",
        (0..500).map(|n| format!("<font size={n}>")).collect::<String>(),
        "<p>x</p>".repeat(20_000)
    );
    assert!(written(&bomb, &Style::default()).contains('x'));
}

/// No page makes a tree or a text that outgrows it: nodes per byte, bytes out per byte in.
#[test]
fn work_is_bounded_by_the_size_of_the_page() {
    let units = [
        "<ul><li>x",
        "<ol><li><p>x",
        "<dl><dt>x<dd>y",
        "<blockquote>x",
        "<b>x<p>",
        "<b><i><p></b></i>x",
        "<font size=1>x<p>",
        "<table><tr><td>x",
        "<div></x>y",
        "<b><div></b>x",
        "&amp;",
        "[&",
        "<code>x",
        "<q>x",
    ];
    for unit in units {
        let html = unit.repeat(50_000 / unit.len());
        let tree = page::parse(&crate::extract::guard::bound(&html));
        assert!(tree.tree.values().len() < 100_000 + html.len(), "{unit}: {}", tree.tree.values().len());
        let page = Page::new(&tree);
        let deepest = (0..page.nodes.len()).step_by(97).map(|at| page.ancestors(at).count()).max();
        assert!(deepest < Some(500), "{unit}: {deepest:?}");
        let text =
            write(&page, &[0], &prune::prune(&page).removed, &Style { markdown: true, ..Style::default() });
        assert!(text.len() < 12 * html.len(), "{unit}: {}", text.len());
    }
}
