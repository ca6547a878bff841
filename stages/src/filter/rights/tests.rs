//! Pages with their opt-outs and licences, judged by policies.

use super::*;
use arrow::array::{BinaryArray, StringArray};
use schemas::Settings;

fn stage(keep: &str) -> Box<dyn Stage> {
    let pairs = if keep.is_empty() { Vec::new() } else { vec![("keep".to_owned(), keep.into())] };
    match (SPEC.build)(&Settings::new(pairs)) {
        Ok(Made::Stage(stage)) => stage,
        Ok(_) => panic!("not a stage"),
        Err(errors) => panic!("{}", errors[0]),
    }
}

fn batch(html: &[u8], known: &[(&'static str, Option<&str>)]) -> RecordBatch {
    let html: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(html)]));
    let text = |value: &Option<&str>| Arc::new(StringArray::from(vec![*value])) as ArrayRef;
    let known = known.iter().map(|(name, value)| (*name, text(value), true));
    RecordBatch::try_from_iter_with_nullable([(column::HTML, html, true)].into_iter().chain(known)).unwrap()
}

/// The two columns, and the reason where the page goes.
fn judged(keep: &str, input: &RecordBatch) -> String {
    let outcome = stage(keep).apply(input).unwrap();
    let told = outcome.columns.iter().map(|(_, values)| {
        let values: &StringArray = values.as_string();
        values.iter().next().flatten().unwrap_or("-").to_owned()
    });
    let verdict = match &outcome.verdicts[0] {
        Verdict::Dropped { reason, value, limit, .. } => format!("{reason} {value} {limit}"),
        _ => "kept".to_owned(),
    };
    told.chain([verdict]).collect::<Vec<_>>().join(" | ")
}

fn check(keep: &str, html: &str, expected: &str) {
    assert_eq!(judged(keep, &batch(html.as_bytes(), &[])), expected, "{keep}: {html}");
}

const BY: &str = "<link rel=license href=https://creativecommons.org/licenses/by/4.0/>";

#[test]
fn the_default_honours_every_opt_out() {
    check("", "<p>a page", "- | - | kept");
    check("", BY, "- | cc-by-4.0 | kept");
    check("", "<meta name=robots content=noindex>", "noindex | - | opt_out 1 0");
    check("", "<meta name=robots content='noai, noimageai'>", "noai, noimageai | - | opt_out 2 0");
    check("", "<meta name=tdm-reservation content=1>", "tdm-reservation | - | opt_out 1 0");
    check("", "<meta name=content-signal content='ai-train=no'>", "content-signal | - | opt_out 1 0");
    let known = |word| judged("", &batch(b"", &[(column::OPT_OUT, Some(word))]));
    for (word, signal) in rights::OPT_OUTS.into_iter().zip(SIGNALS) {
        assert_eq!(known(word), format!("{word} | - | opt_out 1 0"));
        assert_eq!(word.replace('-', "_"), signal);
    }
}

#[test]
fn what_the_source_knows_counts() {
    let html = "<meta name=robots content=noai><meta name=rights content='CC BY-SA 4.0'>".as_bytes();
    let known = [(column::OPT_OUT, Some("content-signal")), (column::LICENCE, Some("MIT"))];
    assert_eq!(judged("", &batch(html, &known)), "noai, content-signal | cc-by-sa-4.0, mit | opt_out 2 0");
    let known = [(column::OPT_OUT, None), (column::LICENCE, Some("CC-BY-4.0, CC0"))];
    assert_eq!(judged("licence", &batch(b"", &known)), "- | cc-by-4.0, cc0-1.0 | kept");
    let null: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![None]));
    let text = RecordBatch::try_from_iter_with_nullable([(column::HTML, null, true)]).unwrap();
    assert_eq!(judged("", &text), "- | - | kept");
}

#[test]
fn the_reason_is_what_decided() {
    let noai = format!("{BY}<meta name=robots content=noai>");
    let policy = "licence like 'cc-by-*' and not noai";
    check(policy, BY, "- | cc-by-4.0 | kept");
    check(policy, &noai, "noai | cc-by-4.0 | opt_out 1 0");
    check(policy, "<meta name=robots content=noai>", "noai | - | licence 0 1");
    check("licence in ['cc0-1.0'] or not noai", &noai, "noai | cc-by-4.0 | opt_out 1 0");
    check("licence in ['cc0-1.0']", &noai, "noai | cc-by-4.0 | licence 1 1");
    check("noai", BY, "- | cc-by-4.0 | opt_out 0 0");
    check("true", &noai, "noai | cc-by-4.0 | kept");
}

#[test]
fn pages_of_two_bytes_a_character_are_read() {
    let html = "<meta name=robots content=noai>";
    let units = format!("\u{feff}{html}");
    let little: Vec<u8> = units.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(judged("", &batch(&little, &[])), "noai | - | opt_out 1 0");
}

#[test]
fn the_policy_decides_on_signals_unless_it_asks_for_names() {
    let input = batch(format!("{BY}<meta name=robots content=noai>").as_bytes(), &[]);
    let check = |keep: &str| {
        let stage = stage(keep);
        let outcome = stage.apply(&input).unwrap();
        let signals = RecordBatch::try_from_iter(outcome.signals).unwrap();
        stage.decide(&signals).map(|decided| assert_eq!(decided, outcome.verdicts, "{keep}")).is_some()
    };
    assert!(check("") && check("true") && check("not licence") && check("noimageai"));
    assert!(!check("licence in ['pd']") && !check("noai and not licence like 'cc*'"));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let told = |keep: &str| {
        let settings = Settings::new(vec![("keep".to_owned(), keep.into())]);
        (SPEC.build)(&settings).err().unwrap()[0].to_string()
    };
    let message = told("not (noai or noidnex)");
    assert!(message.starts_with("`keep`: at character 14: expected `not`, `(`"), "{message}");
    assert!(message.ends_with("found `noidnex`; did you mean `noindex`?"), "{message}");
}

#[test]
fn columns_are_required_and_added() {
    let stage = stage("");
    let names = |input: &RecordBatch| stage.output(&input.schema()).map(|s| s.fields().len());
    assert_eq!(names(&batch(b"", &[])).unwrap(), 3);
    assert_eq!(names(&batch(b"", &[(column::OPT_OUT, None)])).unwrap(), 3);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let without = RecordBatch::try_from_iter([(column::TEXT, text)]).unwrap();
    assert_eq!(names(&without).unwrap_err().to_string(), "column `html` is missing, found text");
}
