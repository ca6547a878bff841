//! HellaSwag (arXiv 1905.07830): which of four endings goes on with a scene.
//!
//! Rows as the authors and Hugging Face give them: `activity_label`, `ctx_a`, `ctx_b`, `endings`, `label` (a number, also as text).

use super::{Ask, Item, Shots, Spec};
use crate::eval::rows::{number, text, texts};
use crate::eval::words::strip;
use serde_json::Value;

pub(super) const SPEC: Spec = Spec {
    name: "hellaswag",
    summary: "which ending goes on with a scene",
    rows: &["hellaswag.validation", "hellaswag.val", "hellaswag_val"],
    shots: Shots::Drawn { from: &["hellaswag.train", "hellaswag_train"], one_more: true },
    measures: &["acc", "acc_norm", "acc_bytes"],
    item,
};

fn item(row: &Value) -> Result<Item, String> {
    let scene = format!("{} {}", text(row, "ctx_a")?, capitalised(text(row, "ctx_b")?));
    let context = clean(&format!("{}: {scene}", text(row, "activity_label")?));
    let choices: Vec<String> = texts(row, "endings")?.iter().map(|ending| clean(ending)).collect();
    let gold = number(row, "label")?;
    if gold >= choices.len() {
        return Err(format!("`label` {gold} is none of {} endings", choices.len()));
    }
    let solved = choices[gold].clone();
    Ok(Item { solved, ..Item::new(row, context, Ask::Choices { choices, gold }) })
}

/// Python's `str.capitalize`: the first letter large, all others small.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return String::new() };
    // A letter that two stand for, as ß, has only the first of them large.
    let mut large = first.to_uppercase();
    let head = large.next().into_iter().chain(large.flat_map(char::to_lowercase));
    head.chain(chars.as_str().to_lowercase().chars()).collect()
}

/// Takes off the marks of the WikiHow half.
fn clean(text: &str) -> String {
    let text = strip(text).replace(" [title]", ". ");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find('[') {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        // A bracket that is not closed on its line stays.
        rest = match from.find([']', '\n']) {
            Some(end) if from[end..].starts_with(']') => &from[end + 1..],
            _ => {
                out.push('[');
                &from[1..]
            }
        };
    }
    out.push_str(rest);
    out.replace("  ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_become_scenes() {
        let row = json!({
            "ind": 24, "activity_label": "Roof shingle removal", "ctx_a": "A man is sitting on a roof.", "ctx_b": "he",
            "endings": ["is using wrap. [step] He  rests", "[header] How to [title] Do it"], "label": "1",
        });
        let item = item(&row).unwrap();
        assert_eq!(item.context, "Roof shingle removal: A man is sitting on a roof. He");
        let choices = vec!["is using wrap. He rests".into(), " How to. Do it".into()];
        assert_eq!(item.ask, Ask::Choices { choices, gold: 1 });
        let told = super::item(
            &json!({"ctx_a": "", "ctx_b": "", "activity_label": "", "endings": ["a"], "label": 1}),
        );
        assert_eq!(told.unwrap_err(), "`label` 1 is none of 1 endings");
    }

    #[test]
    fn marks_are_taken_off_as_the_harness_does() {
        for (text, expected) in [
            (" a [b [c] d] e ", "a d] e"),
            ("a [b\nc] d", "a [b\nc] d"),
            ("a   b", "a  b"),
            ("[x", "[x"),
            ("a [title] b", "a. b"),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
        assert_eq!(["", "hE", "ßA", "éA"].map(capitalised), ["", "He", "Ssa", "Éa"]);
    }
}
