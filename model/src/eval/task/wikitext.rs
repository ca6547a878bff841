//! WikiText (arXiv 1609.07843): the likelihood of whole pages, counted per word and byte of the page before its tokens were joined.
//!
//! Rows: `page`.

use super::{Ask, Item, Shots, Spec};
use crate::eval::rows::text;
use crate::eval::words::pieces_count;
use regex::Regex;
use serde_json::Value;
use std::sync::LazyLock;

pub(super) const SPEC: Spec = Spec {
    name: "wikitext",
    summary: "whole pages, per word and byte",
    rows: &["wikitext2.test", "wikitext.test", "wikitext2.valid", "wikitext.validation"],
    shots: Shots::Fixed,
    measures: &["word_perplexity", "byte_perplexity", "bits_per_byte"],
    item,
};

fn item(row: &Value) -> Result<Item, String> {
    let page = text(row, "page")?;
    let (words, bytes) = (pieces_count(page), page.len());
    let ask = Ask::Page { text: joined(page), words, bytes };
    Ok(Item { query: page.to_owned(), ..Item::new(row, String::new(), ask) })
}

/// Spaces around what stands in brackets and quotes.
static INSIDE: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
    let space = r"[\s\x1c-\x1f]*";
    let of = |open: &str, other: &str, close: &str| {
        Regex::new(&format!("{open}{space}({other}*?){space}{close}")).expect("a constant expression")
    };
    [
        (of(r"\(", r"[^)]", r"\)"), "(${1})"),
        (of(r"\[", r"[^\]]", r"\]"), "[${1}]"),
        (of(r"\{", r"[^}]", r"\}"), "{${1}}"),
        (of("\"", "[^\"]", "\""), "\"${1}\""),
        (of("'", "[^']", "'"), "'${1}'"),
    ]
});

/// Undoes the tokens of WikiText by the substitutions of the harness, in its order.
fn joined(page: &str) -> String {
    let mut text = page.replace("s '", "s'");
    for digit in '0'..='9' {
        // The pattern of the harness has slashes around it and writes itself.
        text = text.replace(&format!("/' {digit}/"), "/'[0-9]/");
    }
    for (mark, joined) in [
        (" @-@ ", "-"),
        (" @,@ ", ","),
        (" @.@ ", "."),
        (" : ", ": "),
        (" ; ", "; "),
        (" . ", ". "),
        (" ! ", "! "),
        (" ? ", "? "),
        (" , ", ", "),
    ] {
        text = text.replace(mark, joined);
    }
    for (inside, joined) in INSIDE.iter() {
        text = inside.replace_all(&text, *joined).into_owned();
    }
    for (mark, joined) in [
        ("= = = =", "===="),
        ("= = =", "==="),
        ("= =", "=="),
        (" ° ", "°"),
        (" \n", "\n"),
        ("\n ", "\n"),
        (" N ", " 1 "),
        (" 's", "'s"),
    ] {
        text = text.replace(mark, joined);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_joined_as_the_harness_joins_them() {
        for (page, expected) in [
            (" = = Title = = \n a @-@ b ( c , d ) . ", " == Title ==\na-b (c, d). "),
            ("\" quoted \" [ x ] { y }", "\"quoted\" [x] {y}"),
            ("dogs ' tails , it 's 5 ° N ", "dogs'tails, it's 5°N "),
        ] {
            assert_eq!(joined(page), expected);
        }
    }
}
