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
const LABEL_CHARS_MAX: usize = 30;
/// Most characters beside a label of one word, white space left out.
const BESIDE_CHARS_MAX: usize = 24;

/// Labels of one word.
const WORDS: [&str; 24] = [
    "source", "src", "edit", "permalink", "copy", "run", "print", "share", "reply", "report", "quote", "like", "expand",
    "collapse", "next", "previous", "prev", "top", "close", "menu", "login", "register", "subscribe", "flag",
];
/// Labels of several words.
const PHRASES: [&str; 28] = [
    "read more", "show more", "see more", "load more", "view more", "learn more", "show less", "show all", "view all",
    "see all", "view source", "edit this page", "edit page", "edit on github", "suggest an edit", "suggest edits",
    "copy link", "copy code", "copy to clipboard", "back to top", "go to top", "skip to content",
    "skip to main content", "next page", "previous page", "log in", "sign in", "sign up",
];
/// How the summary of a fold starts when it only says that it folds.
const FOLDS: [&str; 6] = ["show", "hide", "expand", "collapse", "toggle", "view"];
/// Most words of such a summary.
const FOLD_WORDS_MAX: usize = 4;

/// The element that goes because of the control at `at`: the control or what is around it. `text` holds the
/// characters of text before each node.
pub(crate) fn control(page: &Page<'_>, at: usize, text: &[usize]) -> Option<usize> {
    let node = &page.nodes[at];
    let chars = text[node.end as usize] - text[at];
    if chars == 0 || chars > LABEL_CHARS_MAX {
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
            let is_bare = matches!(page.nodes[parent].tag, Tag::Other | Tag::Div);
            if WORDS.contains(&label) && is_bare && beside <= BESIDE_CHARS_MAX {
                return Some(if page.nodes[parent].tag == Tag::Other { parent } else { at });
            }
            (PHRASES.contains(&label) && is_last).then_some(at)
        }
        _ => None,
    }
}
