//! The labels of controls that are written as links or summaries: "Source", "Read more", "Expand description".
//!
//! A link is a control by its whole text and never inside a sentence: a lone word counts where hardly anything stands
//! beside it, a phrase where nothing comes behind it. What is left of the element around it (a version, a dot) goes
//! too. The labels are common English ones, written from general knowledge.
//!
//! ```text
//! <span>1.6.0 · <a href=s>Source</a></span>              goes
//! <p>Gives the length. <a href=s>Read more</a></p>        → Gives the length.
//! <p>The <a href=s>source</a> of the Nile</p>            stays
//! <details open><summary>Expand description</summary>…   → …
//! ```

use super::page::Page;
use super::tag::Tag;

/// Longest label, in characters without white space.
const LABEL_CHARS_MAX: u32 = 30;
/// Most nodes of a control: icons and the spans around its words.
const LABEL_NODES_MAX: usize = 64;
/// Most bytes of its texts, white space included.
const LABEL_BYTES_MAX: usize = 1000;
/// Most characters beside a label of one word, white space left out.
const BESIDE_CHARS_MAX: u32 = 24;

/// Most children of the element around it that are looked at.
const SIBLINGS_MAX: usize = 64;

/// Labels of one word.
const WORDS: [&str; 24] = [
    "source",
    "src",
    "edit",
    "permalink",
    "copy",
    "run",
    "print",
    "share",
    "reply",
    "report",
    "quote",
    "like",
    "expand",
    "collapse",
    "next",
    "previous",
    "prev",
    "top",
    "close",
    "menu",
    "login",
    "register",
    "subscribe",
    "flag",
];
/// Labels of several words.
const PHRASES: [&str; 28] = [
    "read more",
    "show more",
    "see more",
    "load more",
    "view more",
    "learn more",
    "show less",
    "show all",
    "view all",
    "see all",
    "view source",
    "edit this page",
    "edit page",
    "edit on github",
    "suggest an edit",
    "suggest edits",
    "copy link",
    "copy code",
    "copy to clipboard",
    "back to top",
    "go to top",
    "skip to content",
    "skip to main content",
    "next page",
    "previous page",
    "log in",
    "sign in",
    "sign up",
];
/// How the summary of a fold starts when it only says that it folds.
const FOLDS: [&str; 6] = ["show", "hide", "expand", "collapse", "toggle", "view"];
/// Most words of such a summary.
const FOLD_WORDS_MAX: usize = 4;

/// The element that goes because of the control at `at`: the control or what is around it. `text` holds the
/// characters of text before each node.
pub(crate) fn control(page: &Page<'_>, at: usize, text: &[u32]) -> Option<usize> {
    let node = &page.nodes[at];
    let chars = text[node.end as usize] - text[at];
    let is_small = node.end as usize - at <= LABEL_NODES_MAX;
    if !matches!(node.tag, Tag::A | Tag::Summary) || !is_small || chars == 0 || chars > LABEL_CHARS_MAX {
        return None;
    }
    let bytes: usize = page.nodes[at..node.end as usize].iter().map(|n| n.text.len()).sum();
    if bytes > LABEL_BYTES_MAX {
        return None;
    }
    let label = page.line(at).to_lowercase();
    let label = label.trim_matches(|c: char| !c.is_alphanumeric());
    match node.tag {
        Tag::Summary => {
            let mut words = label.split(' ');
            let folds = words.next().is_some_and(|word| FOLDS.contains(&word));
            (folds && words.count() < FOLD_WORDS_MAX).then_some(at)
        }
        Tag::A => {
            let parent = node.parent as usize;
            let beside = text[page.nodes[parent].end as usize] - text[parent] - chars;
            let is_last = text[page.nodes[parent].end as usize] == text[node.end as usize];
            let tag = page.nodes[parent].tag;
            let is_bare = matches!(tag, Tag::Other | Tag::Div | Tag::Section | Tag::Header);
            if WORDS.contains(&label) && is_bare {
                if beside <= BESIDE_CHARS_MAX {
                    return Some(if tag == Tag::Other { parent } else { at });
                }
                // Between elements that are no text, it stands for itself.
                let mut beside = page.children(parent).take(SIBLINGS_MAX);
                return beside.all(|c| page.nodes[c].text.trim().is_empty()).then_some(at);
            }
            (PHRASES.contains(&label) && is_last).then_some(at)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::extract::html::{Config, extract};

    fn check(html: &str, expected: &str) {
        assert_eq!(
            extract(html, None, &Config { main_content: false, ..Config::default() }).text,
            expected,
            "{html}"
        );
    }

    #[test]
    fn controls_go_and_sentences_stay() {
        check("<div><span>1.6.0 · <a href=s>Source</a></span></div><p>a", "a");
        check("<section><a href=s>Source</a><h3>A</h3></section>", "### A");
        check("<p>Gives the length. <a href=s>Read more</a></p>", "Gives the length.");
        check("<p>The <a href=s>source</a> of the Nile</p>", "The source of the Nile");
        check("<details open><summary>Expand description</summary><p>a</details>", "a");
        check("<details><summary>Who pays?</summary><p>You.</details>", "Who pays?\n\nYou.");
        check(
            "<pre>trait A {<details><summary>Show 2 methods</summary>fn b();</details>}</pre>",
            "```\ntrait A {\nfn b();\n}\n```",
        );
        check("<h2>A<a href=#a>§</a></h2><p>b<a href=#>ⓘ</a>", "## A\n\nb");
    }
}
