//! What of a page comes through the guard.

use super::super::tokens::{ATTRIBUTES_MAX, Tokens};
use super::*;
use std::fmt::Write as _;

/// Writes down what it is given.
#[derive(Default)]
struct Written(RefCell<String>);

impl TokenSink for Written {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut out = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => out.push_str(&text),
            Token::TagToken(tag) if tag.kind == TagKind::EndTag => write!(out, "</{}>", tag.name).unwrap(),
            Token::TagToken(tag) => {
                write!(out, "<{}", tag.name).unwrap();
                tag.attrs.iter().for_each(|a| write!(out, " {}", a.name.local).unwrap());
                out.push('>');
                return raw_kind(&tag.name).map_or(TokenSinkResult::Continue, TokenSinkResult::RawData);
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// What comes through.
fn bound(html: &str) -> String {
    let mut depth = DEPTH_MAX;
    loop {
        let written = Written::default();
        let guard = Guard::new(&written, html.len(), depth);
        let read = Tokens::new(html, &guard).run(|_| guard.is_spent());
        if !guard.is_spent() {
            return written.0.into_inner();
        }
        depth = flatter(depth, read as f64 / html.len() as f64);
    }
}

/// Whether all of a page comes through.
fn is_whole(html: &str) -> bool {
    let all = Written::default();
    Tokens::new(html, &all).run(|_| false);
    all.0.into_inner() == bound(html)
}

#[test]
fn usual_pages_are_whole() {
    for html in ["", "<p>a<b>c</b>", "<a title='<div>'>x</a>", "<", "</", "<!-- <div>"] {
        assert!(is_whole(html), "{html}");
    }
}

#[test]
fn levels_beyond_the_limit_go_and_their_text_stays() {
    let deep = format!("{}x{}<p>y", "<div>".repeat(100_000), "</div>".repeat(100_000));
    let cut = bound(&deep);
    assert_eq!(cut.matches("<div>").count(), DEPTH_MAX);
    assert_eq!(cut.matches("</div>").count(), DEPTH_MAX);
    assert!(cut.contains('x') && cut.ends_with("<p>y"));
}

#[test]
fn no_way_around_the_limits() {
    for (unit, most) in [
        ("<div></x>", DEPTH_MAX),
        ("<b><div></b>", DEPTH_MAX),
        ("<span><div></span>", DEPTH_MAX),
        ("<div><table><tr><td></div>", DEPTH_MAX),
        ("<ul><li>", DEPTH_MAX),
        ("<a><div>", DEPTH_MAX),
    ] {
        let cut = bound(&unit.repeat(10_000));
        for name in ["<div>", "<ul>", "<li>", "<table>"] {
            assert!(cut.matches(name).count() <= most, "{unit}: {name}");
        }
    }
    assert_eq!(bound(&"<font>x".repeat(1000)).matches("<font>").count(), FORMATTING_MAX);
}

#[test]
fn a_page_that_asks_for_too_many_looks_is_flatter() {
    let many = format!("{}{}", "<span>".repeat(90), "<hr>x".repeat(200_000));
    let cut = bound(&many);
    assert!(cut.matches("<span>").count() < 30 && cut.matches("<hr>").count() == 200_000);
    assert!(is_whole(&format!("{}{}", "<span>".repeat(90), "<hr>x".repeat(1000))));
}

/// Depths that would not come far are passed over, but none that comes half as far as it must.
#[test]
fn how_flat_a_page_becomes() {
    for (read, expected) in [(0.9, 50), (0.5, 50), (0.3, 50), (0.2, 25), (0.1, 12), (0.01, 12), (0.0, 12)] {
        assert_eq!(flatter(100, read), expected, "{read}");
    }
    assert_eq!(flatter(25, 0.9), 12);
}

#[test]
fn formatting_keeps_few_attributes() {
    let tag = |count: usize| format!("<b{}>", (0..count).map(|n| format!(" a{n}")).collect::<String>());
    let most = tag(ATTRIBUTES_MANY);
    assert!(is_whole(&most.repeat(FORMATTING_FEW)));
    assert_eq!(bound(&most.repeat(FORMATTING_MAX)).matches(" a15").count(), FORMATTING_FEW);
    let read = tag(30).replace(">", " class id style>");
    assert_eq!(bound(&read), "<b class id style>");
}

#[test]
fn leaves_are_told_apart_below_the_deepest_level() {
    let deep = "<div>".repeat(500);
    let cut = bound(&format!("{deep}<h2>a</h2><div>b</div><p>c<ul><li>d</ul>"));
    assert_eq!(cut, format!("{}<h2>a</h2>b<p>c<li>d", "<div>".repeat(DEPTH_MAX)));
    let many = bound(&format!("{deep}{}", "<h2>x".repeat(100)));
    assert_eq!(many.matches("<h2>").count(), LEAF_LEVELS);
}

#[test]
fn siblings_do_not_count_as_levels() {
    for unit in ["<li>x", "<dt>x<dd>y", "<tr><td>x", "<p>x", "<a>x", "<b>x</b>", "<div>x<b></div></b>"] {
        assert!(is_whole(&format!("<table>{}", unit.repeat(1000))), "{unit}");
    }
}

/// An end tag that goes would make the rest of the page a script.
#[test]
fn ends_of_what_is_no_markup_stay_at_any_depth() {
    for depth in [50, 500] {
        let cut = bound(&format!("{}<script><p></script><title>a</title>y", "<div>".repeat(depth)));
        assert!(cut.ends_with("<div><script><p></script><title>a</title>y"), "{cut}");
    }
}

#[test]
fn attributes_without_end_go() {
    let many = |count: usize| (0..count).map(|n| format!(" a{n}")).collect::<String>();
    for html in [format!("<a{}>x", many(100_000)), format!("<a{} c=\"d e\" f>x", many(ATTRIBUTES_MAX))] {
        assert_eq!(bound(&html), format!("<a{}>x", many(ATTRIBUTES_MAX)));
    }
    assert!(bound(&format!("<a{} href=x>", many(100))).ends_with(" href>"));
    assert!(is_whole(&format!("<a{}>x", many(ATTRIBUTES_MAX))));
    assert_eq!(bound(&format!("<p{}>x", many(100_000))), "<p>x");
}

#[test]
fn ends_of_nothing_go_where_the_stack_is_deep() {
    let deep = "<span>".repeat(50);
    assert_eq!(bound(&format!("{deep}</x></div></ul>y</span>")), format!("{deep}y</span>"));
    for html in [format!("{deep}</b></a></p></br>y"), "<span></x>y".to_owned()] {
        assert!(is_whole(&html), "{html}");
    }
}

#[test]
fn a_page_has_few_roots() {
    let cut = bound(&"<html a=b><body c=d>x".repeat(100));
    assert_eq!((cut.matches("<html").count(), cut.matches("<body").count()), (ROOTS_MAX, ROOTS_MAX));
    assert_eq!(cut.matches('x').count(), 100);
}
