//! LAMBADA (arXiv 1606.06031): the last word of a passage, in the edition of GPT-2 (`openai`) and that of the authors (`standard`).
//!
//! Rows: `text`; the last word is what follows its last space.

use super::{Ask, Item, Shots, Spec};
use crate::eval::rows::text;
use serde_json::Value;

pub(super) const OPENAI: Spec = Spec {
    name: "lambada_openai",
    summary: "the last word of a passage, edition of GPT-2",
    rows: &["lambada_openai.test"],
    shots: Shots::Drawn { from: &["lambada_openai.test"], one_more: false },
    measures: &["perplexity", "acc"],
    item,
};

pub(super) const STANDARD: Spec = Spec {
    name: "lambada_standard",
    summary: "the last word of a passage, edition of the authors",
    rows: &["lambada_standard.test", "lambada_standard.validation"],
    shots: Shots::Drawn { from: &["lambada_standard.validation"], one_more: false },
    ..OPENAI
};

fn item(row: &Value) -> Result<Item, String> {
    let passage = text(row, "text")?;
    let (context, word) = passage.rsplit_once(' ').unwrap_or(("", passage));
    let text = format!(" {word}");
    // An example shows the word with its own space, behind the space that every answer gets.
    let solved = text.clone();
    Ok(Item {
        solved,
        query: passage.to_owned(),
        ..Item::new(row, context.to_owned(), Ask::Continuation { text })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_word_is_what_is_asked() {
        for (text, context, word) in
            [("a b c", "a b", " c"), ("a  b", "a ", " b"), ("a", "", " a"), ("a ", "a", " ")]
        {
            let item = item(&json!({"text": text})).unwrap();
            assert_eq!((item.context.as_str(), item.ask), (context, Ask::Continuation { text: word.into() }));
        }
    }
}
