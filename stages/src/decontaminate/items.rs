//! Reads evaluation sets: rows of JSON lines or Parquet, each with a question and its answers, or with a text.
//!
//! Where no field is named, they are found by the names that benchmarks use. The question is the first of `question`,
//! `question_stem`, `query`, `prompt`, `ctx`, `goal`, `problem`, `sentence`, `instruction`, `input`, `text`, `page`, `content`. Choices
//! are a list (or its `text`) in `choices`, `endings` or `options`; which is right stands in `answerKey`, `answer`, `label` or `gold`, as
//! a number from 0, a letter, or one of the labels. Answers in words stand in `best_answer`, `correct_answers`, `answer`, `answers`,
//! `solution`, `canonical_solution`, `target`, `output` or `completion`.

use crate::source::files::{self, Found};
use crate::source::{jsonl, open, parquet};
use schemas::{KeyError, Settings};
use serde_json::Value;
use std::io::BufRead as _;
use std::path::Path;

/// Longest row of a set.
const ROW_BYTES_MAX: u64 = 64 << 20;

const QUERIES: &[&str] = &[
    "question",
    "question_stem",
    "query",
    "prompt",
    "ctx",
    "goal",
    "problem",
    "sentence",
    "instruction",
    "input",
    "text",
    "page",
    "content",
];
const CHOICES: &[&str] = &["choices", "endings", "options"];
const GOLDS: &[&str] = &["answerKey", "answer", "label", "gold"];
const ANSWERS: &[&str] = &[
    "best_answer",
    "correct_answers",
    "answer",
    "answers",
    "solution",
    "canonical_solution",
    "target",
    "output",
    "completion",
];
/// Answers that are wrong, which a page with the question can still list.
const WRONG: &[&str] = &["incorrect_answers", "distractors"];

/// One item of a benchmark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Item {
    /// Its `id`, or its row in the set.
    pub(super) id: String,
    /// The question, or the text of an item that has no answer.
    pub(super) query: String,
    /// The right answers.
    pub(super) golds: Vec<String>,
    /// All other answers that are offered.
    pub(super) others: Vec<String>,
}

/// A benchmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// Name of the file without what it ends in.
    pub(super) name: String,
    /// Its rows, in order; those without a question are left out.
    pub(super) items: Vec<Item>,
}

/// Reads the sets that the key `sets` names.
///
/// # Errors
/// Which path, row or field is wrong, of all sets.
pub(super) fn read(
    settings: &Settings,
    paths: &[String],
    query: &[String],
    answer: &[String],
) -> Result<Vec<Set>, Vec<KeyError>> {
    let wrong = |key: &str, message: String, help: &str| KeyError {
        key: key.into(),
        message,
        help: Some(help.to_owned()),
    };
    if paths.is_empty() || paths.iter().any(String::is_empty) {
        let help =
            "write `sets = [\"eval\"]`: files of the benchmarks, folders of them, or patterns with `*`";
        return Err(vec![wrong("sets", "names no file".into(), help)]);
    }
    let base = settings.resolve(&schemas::FilePath::default());
    let endings = [jsonl::ENDINGS, parquet::ENDINGS].concat();
    let help = "give JSON lines or Parquet, a row an item";
    let unread = |path: &str, error| vec![wrong("sets", format!("cannot read `{path}`: {error}"), help)];
    for path in paths {
        let list = files::list(&base, std::slice::from_ref(path), &endings);
        list.map_err(|error| unread(path, error))?;
    }
    // Listed together, a file that two paths lead to is there once, and no two have one name.
    let found = files::list(&base, paths, &endings).map_err(|error| unread(&paths[0], error))?;
    let names = names(&found);
    let (mut sets, mut errors) = (Vec::new(), Vec::new());
    for (file, name) in found.iter().zip(names) {
        match rows(&file.path).and_then(|rows| items(&rows, query, answer)) {
            Ok(items) => sets.push(Set { name, items }),
            Err(message) => {
                let fields = "name the fields: `query = [\"question\"]`, `answer = [\"choices.text\"]`";
                let help = if message.contains("field") { fields } else { help };
                errors.push(wrong("sets", format!("`{}`: {message}", file.name), help));
            }
        }
    }
    sets.sort_by(|a, b| a.name.cmp(&b.name));
    if errors.is_empty() { Ok(sets) } else { Err(errors) }
}

/// The last part of each name where no two share it, without what it ends in.
fn names(found: &[Found]) -> Vec<String> {
    let bare = |name: &str| {
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
        let ending = [".jsonl", ".ndjson", ".json", ".parquet"].iter().find_map(|end| name.strip_suffix(end));
        ending.unwrap_or(name).to_owned()
    };
    let last = |name: &str| name.rsplit('/').next().map(bare).unwrap_or_default();
    let mut lasts: Vec<String> = found.iter().map(|file| last(&file.name)).collect();
    lasts.sort_unstable();
    let is_shared = lasts.windows(2).any(|pair| pair[0] == pair[1]);
    found.iter().map(|file| if is_shared { file.name.clone() } else { last(&file.name) }).collect()
}

/// The rows of a file as JSON objects.
fn rows(path: &Path) -> Result<Vec<Value>, String> {
    if path.to_string_lossy().to_ascii_lowercase().ends_with(".parquet") {
        return super::table::rows(path);
    }
    let mut reader = open::decompressed(path).map_err(|e| e.to_string())?;
    let (mut rows, mut line, mut number) = (Vec::new(), Vec::new(), 0_u64);
    loop {
        line.clear();
        let read = std::io::Read::take(&mut reader, ROW_BYTES_MAX).read_until(b'\n', &mut line);
        let bytes = read.map_err(|e| e.to_string())?;
        if bytes == 0 {
            return Ok(rows);
        }
        number += 1;
        if bytes as u64 == ROW_BYTES_MAX {
            return Err(format!("line {number} is longer than {ROW_BYTES_MAX} bytes"));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row: Value =
            serde_json::from_slice(&line).map_err(|e| format!("line {number} is no JSON object: {e}"))?;
        if !row.is_object() {
            return Err(format!("line {number} is no JSON object"));
        }
        rows.push(row);
    }
}

fn items(rows: &[Value], query: &[String], answer: &[String]) -> Result<Vec<Item>, String> {
    let Some(first) = rows.first() else { return Err("has no row".into()) };
    let known: Vec<&str> = first.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    for name in query.iter().chain(answer) {
        if !rows.iter().any(|row| field(row, name).is_some()) {
            return Err(format!("has no field `{name}`; its fields are {}", known.join(", ")));
        }
    }
    let items: Vec<Item> = rows
        .iter()
        .enumerate()
        .filter_map(|(number, row)| {
            let mut item = item(row, query, answer)?;
            item.id = ["id", "question_id", "task_id", "idx"]
                .iter()
                .find_map(|name| text(row.get(*name)?))
                .unwrap_or_else(|| number.to_string());
            Some(item)
        })
        .collect();
    if items.is_empty() {
        return Err(format!("no field of a question or text is known; its fields are {}", known.join(", ")));
    }
    Ok(items)
}

fn item(row: &Value, query: &[String], answer: &[String]) -> Option<Item> {
    let texts = |names: &[String]| -> Vec<String> {
        names.iter().filter_map(|name| field(row, name)).flat_map(texts).collect()
    };
    let words = if query.is_empty() {
        QUERIES.iter().find_map(|name| row.get(*name)?.as_str().map(str::to_owned))
    } else {
        Some(texts(query).join("\n"))
    };
    let query = words.filter(|text| !text.trim().is_empty())?;
    if !answer.is_empty() {
        return Some(Item { query, golds: texts(answer), ..Item::default() });
    }
    let (golds, others) = answers(row);
    Some(Item { query, golds, others, ..Item::default() })
}

/// The right answers and the others.
fn answers(row: &Value) -> (Vec<String>, Vec<String>) {
    let mut golds = Vec::new();
    let mut others: Vec<String> = WRONG.iter().filter_map(|name| row.get(*name)).flat_map(texts).collect();
    let choices = CHOICES.iter().find_map(|name| row.get(*name));
    let listed = choices.map(|list| texts(list.get("text").unwrap_or(list))).unwrap_or_default();
    let right = GOLDS.iter().find_map(|name| place(row.get(*name)?, choices, &listed));
    for (at, choice) in listed.into_iter().enumerate() {
        if Some(at) == right { golds.push(choice) } else { others.push(choice) }
    }
    if right.is_none() {
        for text in ANSWERS.iter().filter_map(|name| row.get(*name)).flat_map(texts) {
            if !golds.contains(&text) {
                golds.push(text);
            }
        }
    }
    others.retain(|text| !golds.contains(text));
    (golds, others)
}

/// Which of the choices a value means: one of the labels, a number from 0, or a letter from A.
fn place(value: &Value, choices: Option<&Value>, listed: &[String]) -> Option<usize> {
    let word = text(value)?;
    let labels = choices.and_then(|list| list.get("label")).map(texts).unwrap_or_default();
    let number = word.parse().ok().or_else(|| match word.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(usize::from(letter.to_ascii_uppercase() - b'A')),
        _ => None,
    });
    labels.iter().position(|label| *label == word).or(number).filter(|at| *at < listed.len())
}

/// A field below the row; dots lead into objects.
fn field<'a>(row: &'a Value, path: &str) -> Option<&'a Value> {
    row.get(path).or_else(|| path.split('.').try_fold(row, |value, name| value.get(name)))
}

/// The texts of a value: its own, those of a list, or those in the `text` of an object.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        Value::Object(object) => object.get("text").map(texts).unwrap_or_default(),
        other => text(other).filter(|text| !text.trim().is_empty()).into_iter().collect(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &str, query: &str, golds: &[&str], others: &[&str]) {
        let row: Value = serde_json::from_str(row).unwrap();
        let item = item(&row, &[], &[]).unwrap();
        assert_eq!(item.query, query, "{row}");
        assert_eq!(item.golds, golds, "{row}");
        assert_eq!(item.others, others, "{row}");
    }

    #[test]
    fn the_fields_of_benchmarks_are_known() {
        check(
            r#"{"id":"m","question":"q","choices":{"text":["x","y"],"label":["A","B"]},"answerKey":"B"}"#,
            "q",
            &["y"],
            &["x"],
        );
        check(r#"{"question":"q","choices":["x","y","z"],"answer":0}"#, "q", &["x"], &["y", "z"]);
        check(
            r#"{"question":"q","choices":{"text":["x","y"],"label":["1","2"]},"answerKey":"1"}"#,
            "q",
            &["x"],
            &["y"],
        );
        check(r#"{"ctx":"q","endings":["x","y"],"label":"1"}"#, "q", &["y"], &["x"]);
        check(
            r#"{"question":"q","best_answer":"b","correct_answers":["a","b"],"incorrect_answers":["c"]}"#,
            "q",
            &["b", "a"],
            &["c"],
        );
        check(r#"{"question":"q","answer":"so it is 4"}"#, "q", &["so it is 4"], &[]);
        check(
            r#"{"question":"q","answers":{"text":["a"],"answer_start":[4]},"context":"c"}"#,
            "q",
            &["a"],
            &[],
        );
        check(r#"{"text":"all of it"}"#, "all of it", &[], &[]);
        check(r#"{"page":" = Page = "}"#, " = Page = ", &[], &[]);
    }

    #[test]
    fn a_file_that_two_paths_lead_to_is_one_set() {
        let folder = files::scratch("decontaminate-twice");
        std::fs::create_dir_all(folder.join("eval")).unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.join(format!("eval/{name}.jsonl")), r#"{"question":"q"}"#).unwrap();
        }
        let base = folder.display();
        let paths =
            [format!("{base}/eval"), format!("{base}/eval/*.jsonl"), format!("{base}/eval/../eval/a.jsonl")];
        let sets = read(&Settings::new(Vec::new()), &paths, &[], &[]).unwrap();
        assert_eq!(sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn named_fields_can_lie_deep() {
        let row = serde_json::json!({"a": {"b": "q"}, "c.d": ["x", 5]});
        let item = item(&row, &["a.b".into()], &["c.d".into()]).unwrap();
        assert_eq!((item.query.as_str(), item.golds), ("q", vec!["x".to_owned(), "5".to_owned()]));
    }

    #[test]
    fn mistakes_are_told() {
        let told = |rows: &[Value], query: &[String]| items(rows, query, &[]).unwrap_err();
        assert_eq!(told(&[], &[]), "has no row");
        let row = serde_json::json!({"a": 1, "b": "x"});
        assert_eq!(
            told(std::slice::from_ref(&row), &[]),
            "no field of a question or text is known; its fields are a, b"
        );
        assert_eq!(told(&[row], &["q".into()]), "has no field `q`; its fields are a, b");
    }
}
