//! What is found, cut, told and refused, by each dialect.

use super::*;
use crate::dedup::driver::{batch, id};
use crate::source::files::scratch;
use arrow::array::AsArray as _;
use arrow::datatypes::Float64Type;
use expect_test::{Expect, expect};
use schemas::memory::{Done, settle};
use schemas::{Settings, Value, Verdict};
use std::fs;

const SET: &str = r#"{"id": "gas", "question": "Which gas do plants take from the air at night?", "choices": {"text": ["nitrogen", "oxygen", "helium"], "label": ["A", "B", "C"]}, "answerKey": "B"}
{"id": "gum", "question": "What happens if you swallow gum?", "best_answer": "The gum passes through your digestive system", "correct_answers": [], "incorrect_answers": ["It stays for seven years"]}
{"id": "true", "question": "Which of the following is true?", "choices": ["All birds fly", "Some birds swim", "No birds sing"], "answer": 1}
{"id": "pleura", "question": "The pleura", "choices": ["has no sensory innervation", "is far away"], "answer": 0}
{"id": "poem", "question": "Shall I compare thee to a summer's day? Thou art more lovely and more temperate: rough winds do shake the darling buds of May, and summer's lease hath all too short a date. Which device does the first line of these lines of verse use?", "answer": "a question"}
{"id": "tiny", "question": "Gum", "answer": "no"}
"#;

/// Makes the stage over a set of these rows.
fn make(name: &str, set: &str, more: &[(&str, Value)]) -> Result<Box<dyn Global>, Vec<KeyError>> {
    let folder = scratch(name);
    fs::write(folder.join("quiz.jsonl"), set).unwrap();
    let mut pairs = vec![("sets".to_owned(), Value::from(vec!["quiz.jsonl"]))];
    pairs.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let made = (SPEC.build)(&Settings::new(pairs).with_base(&folder));
    fs::remove_dir_all(folder).unwrap();
    match made? {
        Made::Global(global) => Ok(global),
        _ => panic!("the stage must see all rows"),
    }
}

fn run(global: &dyn Global, rows: &[(&str, &str)], partitions: usize) -> (Done, Vec<String>) {
    let batches: Vec<RecordBatch> = rows.chunks(2).map(|rows| batch(column::TEXT, rows)).collect();
    let done = settle(global, &batches, partitions).unwrap();
    let mut told = Vec::new();
    for part in &batches {
        let outcome = done.judge(part).unwrap();
        let after = outcome.select(part, &part.schema()).unwrap();
        let mut texts = column::utf8(&after, column::TEXT).unwrap().iter().flatten();
        for (row, verdict) in outcome.verdicts.iter().enumerate() {
            let signal = |name: &str| outcome.signals.iter().find(|(n, _)| *n == name).unwrap().1.clone();
            let items = signal("found_items").as_primitive::<Float64Type>().value(row);
            let word = |name: &str| signal(name).as_string::<i32>().value(row).to_owned();
            let found = if items > 0.0 { format!(": {items} {}", word("found_item")) } else { String::new() };
            told.push(match verdict {
                Verdict::Dropped { reason, value, limit, .. } => {
                    format!("{reason} {value} of {limit}{found}")
                }
                Verdict::Edited => format!("edited{found} -> {}", texts.next().unwrap()),
                Verdict::Kept => {
                    texts.next();
                    format!("kept{found}")
                }
            });
        }
    }
    (done, told)
}

fn check(more: &[(&str, Value)], rows: &[(&str, &str)], expected: &[&str]) {
    let global = make("ngram-check", SET, more).unwrap();
    let (_, found) = run(global.as_ref(), rows, 3);
    assert_eq!(found, expected);
    assert_eq!(run(global.as_ref(), rows, 1).1, found);
}

#[test]
fn form_does_not_count() {
    let gone = "contaminated 1 of 0: 1 gas";
    check(
        &[],
        &[
            ("a", "Quiz! WHICH GAS do plants take, from the air at night… (b) oxygen"),
            ("b", "x which gas   do plants\ntake from the air at night y"),
            ("c", "Which gas do plänts take -- from the a\u{ad}ir at night"),
            ("d", "Which gas do plants take from the air at nights?"),
            ("e", "A Sandwhich gas do plants take from the air at night"),
            ("f", "Plants take a gas from the air at night."),
            ("g", ""),
        ],
        &[gone, gone, gone, "kept", "kept", "kept", "kept"],
    );
}

#[test]
fn few_words_need_an_answer_or_few_documents() {
    let gum = "What happens if you swallow gum?";
    check(
        &[("common_max", Value::Integer(2))],
        &[
            ("a", "Which of the following is true? It is so."),
            ("b", "Which of the following is true? Answer: some birds swim."),
            ("c", "Which of the following is true? (A) All birds fly (B) No birds sing (C) Others"),
            ("d", "The pleura is a skin."),
            ("e", "The pleura: it has no sensory innervation."),
            ("f", gum),
            ("g", gum),
            ("h", "Gum, no."),
        ],
        &[
            "kept",
            "contaminated 1 of 0: 1 true",
            "contaminated 1 of 0: 1 true",
            "kept",
            "contaminated 1 of 0: 1 pleura",
            "contaminated 1 of 0: 1 gum",
            "contaminated 1 of 0: 1 gum",
            "kept",
        ],
    );
    let answered = format!("{gum} The gum passes through your digestive system, slowly.");
    check(
        &[("common_max", Value::Integer(2))],
        &[("a", gum), ("b", gum), ("c", gum), ("d", &answered)],
        &["kept", "kept", "kept", "contaminated 1 of 0: 1 gum"],
    );
}

#[test]
fn of_a_long_question_most_must_be_there_and_its_end() {
    let poem = "Shall I compare thee to a summer's day? Thou art more lovely and more temperate: rough winds do shake the \
                darling buds of May, and summer's lease hath all too short a date.";
    let end = "Which device does the first line of these lines of verse use?";
    let edited = format!("{} {end}", poem.replace("lovely", "pretty"));
    check(
        &[],
        &[
            ("a", &format!("{poem} {end}")),
            ("b", &edited),
            ("c", poem),
            ("d", end),
            ("e", &format!("{poem} {} {end}", "And much more of it is here. ".repeat(20))),
        ],
        &["contaminated 1 of 0: 1 poem", "contaminated 1 of 0: 1 poem", "kept", "kept", "kept"],
    );
}

#[test]
fn the_report_tells_where() {
    let global = make("ngram-report", SET, &[("common_max", Value::Integer(1))]).unwrap();
    let gum = "What happens if you swallow gum?";
    let gas =
        "é Which gas do plants take from the air at night? Which gas do plants take from the air at night?";
    let (done, told) = run(global.as_ref(), &[("a", gum), ("b", gas), ("c", gum), ("d", gas)], 2);
    assert_eq!(told, ["kept", "contaminated 1 of 0: 1 gas", "kept", "contaminated 1 of 0: 1 gas"]);
    let report = String::from_utf8(done.settled.files["decontamination.json"].clone()).unwrap();
    let report = report.replace(&id("b"), "b").replace(&id("d"), "d");
    let json: serde_json::Value = serde_json::from_str(&report).unwrap();
    let expected: Expect = expect![[
        r#"{"sets":[{"found":1,"found_items":[{"documents":2,"item":"gas","places":[{"at":[3,49],"id":"b","share":1.0},{"at":[3,49],"id":"d","share":1.0}]}],"items":6,"left_alone":["gum"],"set":"quiz","unusable":1}]}"#
    ]];
    expected.assert_eq(&json.to_string());
}

#[test]
fn what_is_found_can_be_cut_out() {
    let more = [
        ("action", Value::from("cut")),
        ("margin_chars", Value::Integer(1)),
        ("piece_chars_min", Value::Integer(4)),
        ("cuts_max", Value::Integer(1)),
    ];
    let question = "Which gas do plants take from the air at night?";
    check(
        &more,
        &[
            ("a", &format!("It was good. Then: {question} Yes. It went on.")),
            ("b", &format!("Then: {question}")),
            ("c", &format!("{question} Oh. It went on. And on. {question} No.")),
            ("d", "It was good."),
        ],
        &[
            "edited: 1 gas -> It was good.\n\nIt went on.",
            "nothing_left 0 of 4: 1 gas",
            "too_many_cuts 2 of 1: 1 gas",
            "kept",
        ],
    );
}

#[test]
fn datatrove_finds_the_seam_and_tells_the_ngram() {
    let more = [("dialect", Value::from("datatrove")), ("ngram", Value::Integer(5))];
    let global = make("ngram-datatrove", SET, &more).unwrap();
    let rows =
        [("a", "Air at Night? Oxygen! And so on"), ("b", "Which gas do plants take from the air at night?")];
    let (done, told) = run(global.as_ref(), &rows, 2);
    assert_eq!(told, ["kept", "kept"]);
    let rows = [("a", "... the AIR at Night? Oxygen! And so on")];
    assert_eq!(run(global.as_ref(), &rows, 2).1, ["contaminated 1 of 0: 1 gas"]);
    drop(done);
    let done = settle(global.as_ref(), &[batch(column::TEXT, &rows)], 1).unwrap();
    let outcome = done.judge(&batch(column::TEXT, &rows)).unwrap();
    assert_eq!(outcome.signals[3].1.as_string::<i32>().value(0), "the air at night oxygen");
}

#[test]
fn nemo_cuts_rare_ngrams_and_leaves_common_ones() {
    let more = [
        ("dialect", Value::from("nemo")),
        ("common_max", Value::Integer(2)),
        ("margin_chars", Value::Integer(0)),
        ("piece_chars_min", Value::Integer(3)),
    ];
    let gas = "One. Which gas do plants take from the AIR at night? Two.";
    let gone = "edited: 1 gas -> One.\n\nTwo.";
    check(&more, &[("a", gas), ("b", gas)], &[gone, gone]);
    check(&more, &[("a", gas), ("b", gas), ("c", gas)], &["kept", "kept", "kept"]);
    check(&more, &[("a", "What happens if you swallow gum?")], &["kept"]);
}

#[test]
fn mistakes_are_told() {
    let told = |set: &str, more: &[(&str, Value)]| match make("ngram-mistakes", set, more) {
        Ok(_) => "no mistake".to_owned(),
        Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    assert!(told(SET, &[("report", Value::from("../x.json"))]).starts_with("`report`: is not a name"));
    let cut = [("dialect", Value::from("datatrove")), ("action", Value::from("cut"))];
    assert!(told(SET, &cut).starts_with("`action`: does not fit"));
    assert!(told("", &[]).starts_with("`sets`: `quiz.jsonl`: has no row"));
    assert!(told("{\"a\": 1}", &[]).contains("no field of a question or text is known; its fields are a"));
    assert!(told("{\"a\": 1}\n[", &[]).contains("line 2 is no JSON object"));
    assert!(told(SET, &[("query", Value::from(vec!["q"]))]).contains("has no field `q`"));
    let none = (SPEC.build)(&Settings::default()).err().unwrap();
    assert!(none[0].to_string().starts_with("`sets`: names no file"), "{}", none[0]);
    let pairs = vec![("sets".to_owned(), Value::from(vec!["nowhere.jsonl"]))];
    let missing = (SPEC.build)(&Settings::new(pairs)).err().unwrap();
    assert!(missing[0].to_string().starts_with("`sets`: cannot read `nowhere.jsonl`"), "{}", missing[0]);
}
