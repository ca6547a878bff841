//! ARC (arXiv 1803.05457): questions of school science with three to five choices.
//!
//! Rows: `question`, `choices {text, label}`, `answerKey`, one of the labels.

use super::{Ask, Item, Shots, Spec};
use crate::eval::rows::{text, texts};
use serde_json::Value;

pub(super) const EASY: Spec = Spec {
    name: "arc_easy",
    summary: "school science, questions that word counts can answer",
    rows: &["arc_easy.test", "arc_easy.validation"],
    shots: Shots::Drawn { from: &["arc_easy.train"], one_more: false },
    measures: &["acc", "acc_norm", "acc_bytes"],
    item,
};

pub(super) const CHALLENGE: Spec = Spec {
    name: "arc_challenge",
    summary: "school science, questions that word counts cannot answer",
    rows: &["arc_challenge.test", "arc_challenge.validation"],
    shots: Shots::Drawn { from: &["arc_challenge.train"], one_more: false },
    ..EASY
};

fn item(row: &Value) -> Result<Item, String> {
    let question = text(row, "question")?;
    let (choices, labels) = (texts(&row["choices"], "text")?, texts(&row["choices"], "label")?);
    let key = text(row, "answerKey")?;
    let gold = labels.iter().position(|label| label == key).filter(|at| *at < choices.len());
    let gold = gold.ok_or_else(|| format!("`answerKey` {key:?} is none of the labels {labels:?}"))?;
    let solved = choices[gold].clone();
    let context = format!("Question: {question}\nAnswer:");
    Ok(Item { solved, ..Item::new(row, context, Ask::Choices { choices, gold }) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_become_questions() {
        let row = json!({"question": "Which?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"});
        let item = item(&row).unwrap();
        assert_eq!((item.context.as_str(), item.solved.as_str()), ("Question: Which?\nAnswer:", "b"));
        assert_eq!(item.ask, Ask::Choices { choices: vec!["a".into(), "b".into()], gold: 1 });
        let told = |change: &str, value: Value| {
            let mut row = row.clone();
            row[change] = value;
            super::item(&row).unwrap_err()
        };
        assert_eq!(told("question", json!(3)), "`question` is missing or no text");
        assert_eq!(told("answerKey", json!("C")), "`answerKey` \"C\" is none of the labels [\"1\", \"2\"]");
        assert_eq!(told("choices", json!(["a"])), "`text` is missing or no list");
    }
}
