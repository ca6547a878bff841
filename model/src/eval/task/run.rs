//! Asks a model the rows of a task.

use super::figures::{Summary, summaries};
use super::judge::{Answer, Answered, judge};
use super::{Ask, Chosen, Item, Shots, mmlu};
use crate::error::TrainError;
use crate::eval::rows::Rows;
use crate::eval::shots::Draws;
use crate::score::{Request, Scorer};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Most tokens of a written answer; of a model that reads fewer than twice as many, half of what it reads.
const WRITTEN_MAX: usize = 256;
/// Ends a written answer.
const STOP: &str = "\n\n";

/// How tasks are asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Solved examples before each question.
    pub shots: usize,
    /// Rows of a task, or of each of its parts; 0 for all.
    pub limit: usize,
}

/// A task that was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The name that was asked for.
    pub task: &'static str,
    /// The file of the rows.
    pub path: PathBuf,
    /// Solved examples before each question.
    pub shots: usize,
    /// Every row that was asked, in order.
    pub answered: Vec<Answered>,
    /// Figures of parts, groups and all.
    pub summaries: Vec<Summary>,
}

impl Outcome {
    /// The figures of the rows that `keep` takes.
    pub fn figures(&self, chosen: &Chosen, keep: &dyn Fn(&Answered) -> bool) -> Vec<Summary> {
        let rows: Vec<&Answered> = self.answered.iter().filter(|row| keep(row)).collect();
        if rows.is_empty() {
            return vec![];
        }
        summaries(
            chosen.name,
            chosen.spec.measures,
            &rows,
            if chosen.spec.name == mmlu::SPEC.name { &mmlu::GROUPS } else { &[] },
        )
    }
}

/// Asks a task whose rows lie in a folder.
///
/// # Errors
/// No file of rows, a row that is none of the task, too few examples, or what the scorer says.
pub fn run(scorer: &Scorer, chosen: &Chosen, folder: &Path, options: Options) -> Result<Outcome, TrainError> {
    let spec = chosen.spec;
    let found = Rows::find(folder, spec.rows)?;
    let items = limited(found.map(spec.item)?, chosen, options.limit);
    if items.is_empty() {
        return Err(TrainError::file(&found.path)(format!("has no row of `{}`", chosen.name)));
    }
    let shots = if spec.shots == Shots::Fixed { 0 } else { options.shots };
    let examples = examples(spec.shots, folder, spec.item, &found, &items, shots)?;
    let prompts: Vec<String> = items
        .iter()
        .zip(examples)
        .map(|((_, item), examples)| format!("{}{examples}{}", item.description, item.context))
        .collect();
    let scores = ask(scorer, &items, &prompts)?;
    let judged = items.into_iter().zip(prompts).zip(scores);
    let answered: Vec<Answered> =
        judged.map(|(((row, item), context), answer)| judge(spec.name, row, item, context, answer)).collect();
    let mut outcome = Outcome { task: chosen.name, path: found.path, shots, answered, summaries: vec![] };
    outcome.summaries = outcome.figures(chosen, &|_| true);
    Ok(outcome)
}

/// The chosen items with the numbers of their rows, at most `limit` of each part.
fn limited(items: Vec<Item>, chosen: &Chosen, limit: usize) -> Vec<(usize, Item)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let all = items.into_iter().enumerate();
    let asked =
        all.filter(|(_, item)| chosen.spec.name == chosen.name || mmlu::belongs(&item.part, chosen.name));
    asked
        .filter(|(_, item)| {
            let count = seen.entry(item.part.clone()).or_insert(0);
            *count += 1;
            limit == 0 || *count <= limit
        })
        .collect()
}

/// The solved examples before each item, as text.
fn examples(
    shots: Shots,
    folder: &Path,
    make: fn(&serde_json::Value) -> Result<Item, String>,
    rows: &Rows,
    items: &[(usize, Item)],
    count: usize,
) -> Result<Vec<String>, TrainError> {
    let from = match shots {
        Shots::Drawn { from, .. } | Shots::First { from } if count > 0 => from,
        _ => return Ok(vec![String::new(); items.len()]),
    };
    let source = Rows::find(folder, from)?;
    let solved: Vec<Item> = source.map(make)?;
    let few =
        |found: usize| TrainError::file(&source.path)(format!("has {found} examples, {count} are asked for"));
    let show = |item: &Item| format!("{} {}\n\n", item.context, item.solved);
    let mut draws = Draws::new();
    let of = |(row, item): &(usize, Item)| match shots {
        Shots::Drawn { one_more, .. } => {
            let wanted = count + usize::from(one_more);
            if solved.len() < wanted {
                return Err(few(solved.len()));
            }
            let drawn = draws.sample(solved.len(), wanted);
            let others = drawn.iter().filter(|&&at| !one_more || source.rows[at] != rows.rows[*row]);
            Ok(others.take(count).map(|&at| show(&solved[at])).collect::<String>())
        }
        _ => {
            let same: Vec<&Item> =
                solved.iter().filter(|other| other.part == item.part).take(count).collect();
            if same.len() < count { Err(few(same.len())) } else { Ok(same.into_iter().map(show).collect()) }
        }
    };
    items.iter().map(of).collect()
}

/// Asks all items of a task, which are of one kind.
fn ask(scorer: &Scorer, items: &[(usize, Item)], prompts: &[String]) -> Result<Vec<Answer>, TrainError> {
    match items[0].1.ask {
        Ask::Page { .. } => {
            let texts: Vec<String> = items
                .iter()
                .map(|(_, item)| match &item.ask {
                    Ask::Page { text, .. } => text.clone(),
                    _ => String::new(),
                })
                .collect();
            Ok(scorer.score_rolling(&texts)?.into_iter().map(Answer::Page).collect())
        }
        Ask::Text { .. } => {
            let prompts =
                prompts.iter().map(|prompt| scorer.encode(prompt)).collect::<Result<Vec<_>, _>>()?;
            let tokens_max = match scorer.length_max() {
                longer if longer > WRITTEN_MAX => WRITTEN_MAX,
                shorter => shorter / 2,
            };
            let texts = scorer.write(&prompts, tokens_max, &|text| text.contains(STOP))?;
            let first = |text: String| text.split(STOP).next().unwrap_or_default().to_owned();
            Ok(texts.into_iter().map(|text| Answer::Text(first(text))).collect())
        }
        _ => {
            let each = items.par_iter().zip(prompts).map(|((_, item), prompt)| {
                let continuations: Vec<String> = match &item.ask {
                    Ask::Choices { choices, .. } | Ask::Answers { answers: choices, .. } => {
                        choices.iter().map(|choice| format!(" {choice}")).collect()
                    }
                    Ask::Continuation { text } => vec![text.clone()],
                    Ask::Pair { more, less } => vec![more.clone(), less.clone()],
                    Ask::Page { .. } | Ask::Text { .. } => vec![],
                };
                scorer.requests(prompt, &continuations)
            });
            let each = each.collect::<Result<Vec<Vec<Request>>, _>>()?;
            let counts: Vec<usize> = each.iter().map(Vec::len).collect();
            let mut scores = scorer.score(&each.concat())?.into_iter();
            Ok(counts.iter().map(|&count| Answer::Scores(scores.by_ref().take(count).collect())).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Architecture;
    use crate::eval::task::{ALL, find};
    use crate::testing::{Folder, dataset};
    use serde_json::{Value, json};

    fn scorer(folder: &Folder) -> Scorer {
        let (data, out) = (folder.0.join("dataset"), folder.0.join("model"));
        dataset(&data);
        let config =
            crate::Config { steps: 1, eval_every: 0, layers: 1, ..crate::tests::small(Architecture::Llama) };
        crate::train::run(&data, &out, &config, &crate::progress::Silent).unwrap();
        Scorer::open(&out).unwrap()
    }

    fn write(folder: &Folder, stem: &str, rows: &[Value]) {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(folder.0.join(format!("{stem}.jsonl")), lines).unwrap();
    }

    /// Four rows of each task, of one shape.
    fn all_rows(folder: &Folder) {
        let texts = ["true\u{2028}one", "false", "false too"];
        let row = |n: usize| {
            json!({
                "id": format!("r{n}"), "question": format!("Why {n}?"), "answerKey": "B", "answer": n % 4,
                "subject": if n < 2 { "anatomy" } else { "virology" },
                "choices": {"text": texts, "label": ["A", "B", "C"]},
                "activity_label": "Work", "ctx_a": "He works.", "ctx_b": "he", "endings": texts, "label": "2",
                "mc1_targets": {"choices": texts, "labels": [1, 0, 0]},
                "mc2_targets": {"choices": texts, "labels": [1, 0, 0]},
                "correct_answers": ["So"], "incorrect_answers": ["Not so"],
                "text": format!("a passage of words and number {n}"), "page": " = A page = \n words , words",
                "more": "They are bad.", "less": "We are bad.", "bias_type": "age",
            })
        };
        let rows: Vec<Value> = (0..4).map(row).collect();
        for spec in ALL {
            let rows: Vec<Value> = rows
                .iter()
                .map(|row| match spec.name {
                    "mmlu" => {
                        let mut row = row.clone();
                        row["choices"] = json!(["a", "b", "c", "d"]);
                        row
                    }
                    _ => row.clone(),
                })
                .collect();
            write(folder, spec.rows[0], &rows);
            if let Shots::Drawn { from, .. } | Shots::First { from } = spec.shots {
                write(folder, from[0], &rows);
            }
        }
    }

    #[test]
    fn every_task_is_asked_and_has_its_figures() {
        let folder = Folder::new("tasks");
        let scorer = scorer(&folder);
        all_rows(&folder);
        for spec in ALL {
            let chosen = find(spec.name).unwrap();
            let found = run(&scorer, &chosen, &folder.0, Options { shots: 1, limit: 3 }).unwrap();
            let rows = if spec.name == "mmlu" { 4 } else { 3 };
            let all = found.summaries.last().unwrap();
            assert_eq!((found.answered.len(), all.rows), (rows, rows), "{}", spec.name);
            assert_eq!(found.shots, usize::from(spec.shots != Shots::Fixed), "{}", spec.name);
            let named: Vec<&str> = all.figures.iter().map(|(name, _)| *name).collect();
            assert_eq!(named, spec.measures, "{}", spec.name);
            assert!(all.figures.iter().all(|(_, figure)| figure.value.is_finite()), "{all:?}");
            let examples = found.answered[0].context.matches("\n\n").count();
            match spec.name {
                "arc_easy" | "hellaswag" | "lambada_openai" => assert_eq!(examples, 1),
                "mmlu" => assert_eq!(examples, 2),
                _ => {}
            }
            let again = run(&scorer, &chosen, &folder.0, Options { shots: 1, limit: 3 }).unwrap();
            assert_eq!(again, found);
        }
        let part = find("mmlu_virology").unwrap();
        let found = run(&scorer, &part, &folder.0, Options::default()).unwrap();
        assert_eq!((found.answered.len(), found.answered[0].row), (2, 2));
        assert_eq!(found.figures(&part, &|row| row.row == 2)[0].rows, 1);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_file_and_row() {
        let folder = Folder::new("tasks-wrong");
        let scorer = scorer(&folder);
        let told = |name: &str, shots: usize| {
            let chosen = find(name).unwrap();
            run(&scorer, &chosen, &folder.0, Options { shots, limit: 0 }).unwrap_err().to_string()
        };
        assert!(
            told("arc_easy", 0).contains("holds no `arc_easy.test.jsonl` or `arc_easy.validation.jsonl`")
        );
        write(&folder, "arc_easy.test", &[json!({"question": "x"})]);
        let wrong = told("arc_easy", 0);
        assert!(wrong.contains("arc_easy.test.jsonl: row 1: `text` is missing or no list"), "{wrong}");
        std::fs::write(folder.0.join("arc_easy.test.jsonl"), "{}\nx\n").unwrap();
        assert!(told("arc_easy", 0).contains("line 2 is no JSON"));
        all_rows(&folder);
        assert!(told("arc_easy", 5).contains("arc_easy.train.jsonl: has 4 examples, 5 are asked for"));
        assert!(told("mmlu_anatomy", 3).contains("mmlu.dev.jsonl: has 2 examples, 3 are asked for"));
        assert!(told("mmlu_astronomy", 0).contains("has no row of `mmlu_astronomy`"));
        assert!(
            find("arc").unwrap_err().contains("no task is called `arc`; there are arc_challenge, arc_easy")
        );
    }
}
