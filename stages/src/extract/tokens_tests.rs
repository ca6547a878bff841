//! Our tokens make the tree that html5ever's make.

use super::super::page::{self, Page};
use super::super::tree::{Sink, Tree};
use html5ever::driver::{ParseOpts, parse_document};
use html5ever::tendril::{StrTendril, TendrilSink as _};
use schemas::hash::Rng;

fn by_html5ever(html: &str) -> Tree {
    let mut opts = ParseOpts::default();
    opts.tree_builder.scripting_enabled = false;
    let mut parser = parse_document(Sink::new(0), opts);
    parser.process(StrTendril::from(html));
    parser.finish()
}

/// Every node with its place, its text and the attributes that are kept everywhere.
fn shape(tree: &Tree) -> Vec<String> {
    let kept = ["class", "id", "style", "type", "value"];
    let shown = Page::new(tree).nodes.into_iter().map(|node| {
        let attributes = kept.map(|name| node.attribute(name));
        let name = node.element.map_or("", |element| element.name());
        format!("{name} {} {} {:?} {attributes:?}", node.parent, node.end, node.text)
    });
    shown.collect()
}

fn check(html: &str) {
    assert_eq!(shape(&page::parse(html)), shape(&by_html5ever(html)), "{html:?}");
}

/// What a page is put together of, whole and torn.
const PARTS: &[&str] = &[
    "<p>",
    "</p>",
    "<div class=a>",
    "</div>",
    "text ",
    "a\r\nb\rc",
    "<b>",
    "</b>",
    "<i id='x y'>",
    "</i>",
    "<a href=x>",
    "</a>",
    "&amp;",
    "&ampx",
    "&notit;",
    "&#65;",
    "&#x80;",
    "&#0;",
    "&",
    "& ",
    "&#",
    "&nbsp;",
    "&#10;",
    "&#13;&#9;",
    "&#x110000;&#xd800&#128",
    "&notin;&notinx&copy=",
    "&NewLine;",
    "&NotEqualTilde;",
    "<p class='&copy=1&copyx&copy;&#1' title=&lt>",
    "<!-- a -->",
    "<!-->",
    "<!--->",
    "<!-- --!>",
    "<!--",
    "-->",
    "<!x>",
    "<?x>",
    "</ x>",
    "</>",
    "</",
    "<",
    "< ",
    "<3",
    "<br/>",
    "<script>",
    "</script>",
    "<!--<script>",
    "</SCRIPT >",
    "<style>a</style",
    "</style>",
    "<title>",
    "</title>",
    "<textarea>\n",
    "</textarea>",
    "<plaintext>",
    "<svg>",
    "</svg>",
    "<![CDATA[x]]>",
    "<![CDATA[",
    "]]>",
    "<table>",
    "<tr><td>",
    "</table>",
    "<select><option value=1>",
    "</select>",
    "<template>",
    "</template>",
    "<doctype>",
    "<!DOCTYPE html>",
    "<!doctype a public 'b>c'>",
    "<p class=\"a&lt;b\" CLASS=c>",
    "<p class=a&ampb style=x/>",
    "<p class = 'a' id>",
    "<p =a b>",
    "<p class=a\"b'c&copy>",
    "<p class='",
    "\">",
    "/>",
    "\u{e9}\u{6f22}",
    "\0",
    "<pre>\n\n",
    "<input type=hidden>",
];

#[test]
fn trees_are_those_of_html5ever() {
    for part in PARTS {
        check(part);
        check(&format!("<title>x</title><p>a{part}b<p class=c>d"));
        check(&format!("<svg>a{part}b</svg>c"));
        check(&format!("<script>a{part}b</script>c<textarea>d{part}e</textarea>f{part}"));
    }
    let mut rng = Rng::new(7);
    for _ in 0..3000 {
        let count = 1 + rng.below(12);
        let html: String = (0..count).map(|_| PARTS[rng.below(PARTS.len() as u64) as usize]).collect();
        check(&html);
    }
}
