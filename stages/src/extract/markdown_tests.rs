//! Tests of the Markdown writer: HTML in, Markdown out.

use super::*;
use crate::extract::{page, prune};

fn written(html: &str, style: &Style) -> String {
    let tree = page::parse(html);
    let page = Page::new(&tree);
    let pruned = prune::prune(&page);
    write(&page, &pruned.removed, style)
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
    assert!(written(&html, &Style::default()).contains('x'));
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
        let tree = page::parse(&html);
        assert!(tree.len() < 100_000 + html.len(), "{unit}: {}", tree.len());
        let page = Page::new(&tree);
        let deepest = (0..page.nodes.len()).step_by(97).map(|at| page.ancestors(at).count()).max();
        assert!(deepest < Some(500), "{unit}: {deepest:?}");
        let text = write(&page, &prune::prune(&page).removed, &Style { markdown: true, ..Style::default() });
        assert!(text.len() < 12 * html.len(), "{unit}: {}", text.len());
    }
}

#[test]
fn literals_of_headings() {
    use crate::extract::testing::check;
    use expect_test::expect;
    check(
        "<h1>A</h1><h2>B</h2><h3>C</h3><h4>D</h4><h5>E</h5><h6>F</h6>",
        &expect![[r#"
        # A

        ## B

        ### C

        #### D

        ##### E

        ###### F"#]],
    );
    check("<h2></h2><h2> </h2><p>a", &expect!["a"]);
    check(
        "<h2>A<br>b</h2><h2><strong>C</strong> <em>d</em></h2>",
        &expect![[r#"
        ## A b

        ## C *d*"#]],
    );
    check(
        "<h2># a #</h2><h3>C#</h3>",
        &expect![[r#"
        ## # a \#

        ### C#"#]],
    );
    check(
        "<h3><a href=x>A <code>b</code></a></h3><p>c",
        &expect![[r#"
        ### A `b`

        c"#]],
    );
    check("<h1><div>A</div><p>b</p></h1>", &expect!["# A b"]);
    check(
        "<header><hgroup><h1>A</h1><p>b</hgroup></header>",
        &expect![[r#"
        # A

        b"#]],
    );
}

#[test]
fn literals_of_lists() {
    use crate::extract::testing::check;
    use expect_test::expect;
    check(
        "<ul><li>a<ul><li>b<ul><li>c</ul></ul><li>d</ul>",
        &expect![[r#"
        - a
          - b
            - c
        - d"#]],
    );
    check(
        "<ol><li>a<li>b<ol><li>c<li>d</ol><li>e</ol>",
        &expect![[r#"
        1. a
        2. b
           1. c
           2. d
        3. e"#]],
    );
    check(
        "<ol start=9><li>a<li>b</ol><ol start=-3><li>c</ol><ol start=x><li>d</ol>",
        &expect![[r#"
        9. a
        10. b

        0. c

        1. d"#]],
    );
    check(
        "<ol><li>a<li value=7>b<li>c<li value=-1>d</ol>",
        &expect![[r#"
        1. a
        7. b
        8. c
        0. d"#]],
    );
    check(
        "<ol start=999999999><li>a<li>b</ol>",
        &expect![[r#"
        999999999. a
        999999999. b"#]],
    );
}

#[test]
fn literals_of_blocks_in_items() {
    use crate::extract::testing::check;
    use expect_test::expect;
    check(
        "<ul><li><p>a</p><p>b</p></li><li><p>c</p></li></ul>",
        &expect![[r#"
        - a

          b
        - c"#]],
    );
    check(
        "<ul><li>a<blockquote>q</blockquote><li>b<pre>c\n  d</pre><li></ul>",
        &expect![[r#"
        - a
          > q
        - b

          ```
          c
            d
          ```"#]],
    );
    check(
        "<ul><li>a<table><tr><th>x<th>y<tr><td>1<td>2</table></ul>",
        &expect![[r#"
        - a

          | x | y |
          | --- | --- |
          | 1 | 2 |"#]],
    );
    check(
        "<ul><li><h3>a</h3>b</ul>",
        &expect![[r#"
        ### a

        b"#]],
    );
    check(
        "<ol><li><h3>a</h3>b</ol>",
        &expect![[r#"
        1. ### a

           b"#]],
    );
    check(
        "<ol><li>a<br>b<li>c<div>d</div>e<ul><li>f</ul>g</ol>",
        &expect![[r#"
        1. a b
        2. c d e
           - f

           g"#]],
    );
    check(
        "<ul><ul><li>a</ul></ul><li>b",
        &expect![[r#"
        - a

        - b"#]],
    );
    check("<menu><li>x</menu><p>a", &expect!["a"]);
}

#[test]
fn literals_of_quotes_and_definitions() {
    use crate::extract::testing::check;
    use expect_test::expect;
    check(
        "<blockquote><p>a</p><blockquote>b</blockquote><p>c</blockquote>",
        &expect![[r#"
        > a
        >
        > > b
        >
        > c"#]],
    );
    check(
        "<blockquote><ul><li>a<li>b</ul><pre>c\n\nd</pre></blockquote>",
        &expect![[r#"
        > - a
        > - b
        >
        > ```
        > c
        >
        > d
        > ```"#]],
    );
    check(
        "<dl><dt>a<dt>b<dd>c<dd><p>d<p>e</dl>",
        &expect![[r#"
        a

        b
        : c

        : d

          e"#]],
    );
    check(
        "<dl><div><dt>a</dt><dd>b</dd></div><div><dt>c</dt><dd>d</dd></div></dl>",
        &expect![[r#"
        a
        : b

        c
        : d"#]],
    );
}

#[test]
fn literals_of_breaks_and_figures() {
    use crate::extract::testing::check;
    use expect_test::expect;
    check(
        "<p>a<br>b<br/>c<br><br>d<br></p><p>e",
        &expect![[r#"
        a
        b
        c

        d

        e"#]],
    );
    check(
        "<p>a<br>---<br># b<br>- c<br>1. d",
        &expect![[r#"
        a
        \---
        \# b
        \- c
        1\. d"#]],
    );
    check(
        "<hr><p>a<hr><hr><p>b",
        &expect![[r#"
        a

        ---

        ---

        b"#]],
    );
    check(
        "<details><summary>S</summary>b</details>",
        &expect![[r#"
        S

        b"#]],
    );
    check("<figure><img src=a alt=x><figcaption>Cap</figcaption></figure>", &expect!["Cap"]);
    check("<p><a href=x>a</a> <a>b</a> <a href=''>c</a> <img src=x alt=y>", &expect!["a b c"]);
}

#[test]
fn literals_of_mathematics() {
    use crate::extract::testing::check;
    use expect_test::expect;
    check("<p>a <math alttext=x^2><mi>x</mi></math> b", &expect!["a $x^2$ b"]);
    check(
        "<math display=block><semantics><mi>x</mi><annotation encoding=application/x-tex>x^2 </annotation></semantics></math>",
        &expect!["$$x^2$$"],
    );
    check(
        "<p>a <script type='math/tex'>a_b*c</script> <script type='math/tex; mode=display'>d</script>",
        &expect!["a $a_b*c$ $$d$$"],
    );
    check(
        "<p>x<sup>2</sup> H<sub>2</sub>O 1<sup>st</sup> 10<sup>-6</sup> a<sup>n+1</sup>",
        &expect!["x^2 H2O 1st 10^-6 an+1"],
    );
}

#[test]
fn plain_text_has_no_marks() {
    let check = |html: &str, expected: &str| assert_eq!(written(html, &Style::default()), expected, "{html}");
    check("<h2>A</h2><ul><li>*b*<li><b>c</b></ul>", "A\n\n*b*\nc");
    check("<pre><code class=language-c>a\n  b</code></pre>", "a\n  b");
    check("<table><tr><th>a|b<th>c<tr><td>1<td>2</table>", "a|b c\n1 2");
    check("<blockquote>a</blockquote><p># b <code>c</code>", "a\n\n# b c");
}
