//! What the answer of a model to a row is worth: accuracies by three lengths, shares of likelihood, greedy words, nearness to references.

use super::{Ask, Item};
use crate::eval::bleu::{Settings, Smooth, Tokenize, bleu};
use crate::eval::rouge::rouge;
use crate::score::Score;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is measured of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// A score, or a log-likelihood that figures are made of.
    pub value: f64,
    /// Words or bytes that it is counted per; 1 for what is averaged over rows.
    pub weight: f64,
}

/// A row with the answer of the model.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Answered {
    /// Task.
    pub task: &'static str,
    /// Subject, or nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// Number of the row in its file, from 0.
    pub row: usize,
    /// What the row is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Everything before what is asked.
    pub context: String,
    /// Log-likelihood of each choice, and whether the model would write it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<(f64, bool)>,
    /// The most likely choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pick: Option<usize>,
    /// The right choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<usize>,
    /// What was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What is measured.
    pub measures: BTreeMap<&'static str, Measure>,
    /// The text by which the row would be found in training data.
    #[serde(skip)]
    pub query: String,
}

/// What the model gave.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    /// Of each continuation.
    Scores(Vec<Score>),
    /// Of a whole text.
    Page(f64),
    /// What was written.
    Text(String),
}

/// The place of the greatest, the first of equals.
fn greatest(values: impl Iterator<Item = f64>) -> usize {
    let better = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    values.enumerate().fold((0, f64::NEG_INFINITY), better).0
}

/// Judges the answer to an item.
pub(super) fn judge(task: &'static str, row: usize, item: Item, context: String, answer: Answer) -> Answered {
    let Item { id, part, ask, query, .. } = item;
    let mut judged = Answered { task, part, row, id, context, query, ..Answered::default() };
    let mut measure = |name: &'static str, value: f64, weight: f64| {
        judged.measures.insert(name, Measure { value, weight });
    };
    let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
    match (ask, answer) {
        (Ask::Choices { choices, gold }, Answer::Scores(scores)) => {
            let by = |length: fn(&String) -> usize| {
                greatest(scores.iter().zip(&choices).map(|(score, choice)| score.sum / length(choice) as f64))
            };
            let pick = by(|_| 1);
            measure("acc", truth(pick == gold), 1.0);
            measure("acc_norm", truth(by(|choice| choice.chars().count()) == gold), 1.0);
            measure("acc_bytes", truth(by(String::len) == gold), 1.0);
            (judged.pick, judged.gold) = (Some(pick), Some(gold));
            judged.scores = scores.iter().map(|score| (score.sum, score.greedy)).collect();
        }
        (Ask::Answers { truth: labels, .. }, Answer::Scores(scores)) => {
            // Shares do not change with a factor, and e^−1000 is nothing.
            let top = scores.iter().map(|score| score.sum).fold(f64::NEG_INFINITY, f64::max);
            let mass = |of: &dyn Fn(bool) -> bool| {
                let some = scores.iter().zip(&labels).filter(|(_, label)| of(**label));
                some.map(|(score, _)| (score.sum - top).exp()).sum::<f64>()
            };
            measure("acc", mass(&|label| label) / mass(&|_| true), 1.0);
            judged.scores = scores.iter().map(|score| (score.sum, score.greedy)).collect();
        }
        (Ask::Pair { .. }, Answer::Scores(scores)) => {
            let (more, less) = (scores[0].sum, scores[1].sum);
            measure("pct_stereotype", truth(more > less), 1.0);
            measure("likelihood_diff", (more - less).abs(), 1.0);
            judged.scores = scores.iter().map(|score| (score.sum, score.greedy)).collect();
        }
        (Ask::Continuation { .. }, Answer::Scores(scores)) => {
            measure("perplexity", scores[0].sum, 1.0);
            measure("acc", truth(scores[0].greedy), 1.0);
            judged.scores = vec![(scores[0].sum, scores[0].greedy)];
        }
        (Ask::Page { words, bytes, .. }, Answer::Page(sum)) => {
            measure("word_perplexity", sum, words as f64);
            measure("byte_perplexity", sum, bytes as f64);
            measure("bits_per_byte", sum, bytes as f64);
            judged.scores = vec![(sum, false)];
        }
        (Ask::Text { right, wrong }, Answer::Text(text)) => {
            compare(&text, &right, &wrong, &mut measure);
            judged.text = Some(text);
        }
        _ => unreachable!("`ask` answers each kind in its kind"),
    }
    judged
}

/// How near a text is to the nearest true and the nearest false answer.
fn compare(text: &str, right: &[String], wrong: &[String], measure: &mut dyn FnMut(&'static str, f64, f64)) {
    // A single output against a single reference, as if it were a corpus.
    let settings = Settings { tokenize: Tokenize::International, smooth: Smooth::Exp, ..Settings::default() };
    let output = [text.to_owned()];
    // Sentences of a summary end at line ends.
    let lines = |text: &str| text.replace(" . ", ".\n");
    let scores = |references: &[String]| {
        let one = |reference: &String| {
            let score = bleu(&output, &[vec![reference.clone()]], &settings).map_or(0.0, |bleu| bleu.score);
            let found = rouge(&lines(reference), &lines(text));
            [score, 100.0 * found.one, 100.0 * found.two, 100.0 * found.l_sum]
        };
        let most = |a: [f64; 4], b: [f64; 4]| std::array::from_fn(|at| a[at].max(b[at]));
        references.iter().map(one).fold([f64::NEG_INFINITY; 4], most)
    };
    let (right, wrong) = (scores(right), scores(wrong));
    let names = [
        ["bleu_max", "bleu_acc", "bleu_diff"],
        ["rouge1_max", "rouge1_acc", "rouge1_diff"],
        ["rouge2_max", "rouge2_acc", "rouge2_diff"],
        ["rougeL_max", "rougeL_acc", "rougeL_diff"],
    ];
    for (at, [max, acc, diff]) in names.into_iter().enumerate() {
        measure(max, right[at], 1.0);
        measure(acc, if right[at] > wrong[at] { 1.0 } else { 0.0 }, 1.0);
        measure(diff, right[at] - wrong[at], 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(sums: &[f64]) -> Answer {
        Answer::Scores(sums.iter().map(|&sum| Score { sum, tokens: vec![sum], greedy: sum > -1.0 }).collect())
    }

    fn check(ask: Ask, answer: Answer, expected: &[(&str, f64)]) {
        let item = Item::new(&serde_json::Value::Null, String::new(), ask);
        let found = judge("t", 0, item, String::new(), answer).measures;
        for (name, value) in expected {
            assert!((found[name].value - value).abs() < 1e-9, "{name}: {found:?}");
        }
    }

    #[test]
    fn lengths_decide_between_choices_and_the_first_of_equals_wins() {
        let choices = |texts: &[&str], gold| Ask::Choices {
            choices: texts.iter().map(|&text| text.to_owned()).collect(),
            gold,
        };
        let all = |acc, norm, bytes| [("acc", acc), ("acc_norm", norm), ("acc_bytes", bytes)];
        check(choices(&["a", "bcd"], 1), scores(&[-2.0, -3.0]), &all(0.0, 1.0, 1.0));
        check(choices(&["a", "b"], 0), scores(&[-2.0, -2.0]), &all(1.0, 1.0, 1.0));
        // Two characters of four bytes against three of three.
        check(choices(&["éé", "abc"], 0), scores(&[-2.0, -2.9]), &all(1.0, 0.0, 1.0));
    }

    #[test]
    fn shares_of_likelihood_hold_where_all_are_unlikely() {
        let truth = vec![true, false, true];
        let ask = || Ask::Answers { answers: vec![String::new(); 3], truth: truth.clone() };
        check(ask(), scores(&[0.25_f64.ln(), 0.5_f64.ln(), 0.25_f64.ln()]), &[("acc", 0.5)]);
        check(ask(), scores(&[-2000.0, -2000.0, -2000.0]), &[("acc", 2.0 / 3.0)]);
    }

    #[test]
    fn words_pages_pairs_and_texts_are_measured() {
        check(
            Ask::Continuation { text: String::new() },
            scores(&[-0.5]),
            &[("acc", 1.0), ("perplexity", -0.5)],
        );
        let pair = Ask::Pair { more: String::new(), less: String::new() };
        check(pair, scores(&[-3.0, -2.0]), &[("pct_stereotype", 0.0), ("likelihood_diff", 1.0)]);
        let text =
            Ask::Text { right: vec!["The sky is blue.".into()], wrong: vec!["No.".into(), "Red.".into()] };
        let answer = Answer::Text("The sky is blue.".into());
        check(
            text,
            answer,
            &[("bleu_max", 100.0), ("bleu_acc", 1.0), ("rouge1_diff", 100.0), ("rougeL_max", 100.0)],
        );
    }
}
