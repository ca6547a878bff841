//! Tests of `extract.html` as a stage, and on real pages where `../shared` is there.

use super::*;
use arrow::array::{AsArray as _, BinaryArray, StringArray};
use flate2::read::GzDecoder;
use std::io::{BufRead as _, BufReader};

/// The lines of a gzipped file of the shared data, or none with a word on it.
fn shared_lines(path: &str) -> Vec<serde_json::Value> {
    let path = format!("{}/../../shared/data/{path}", env!("CARGO_MANIFEST_DIR"));
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("SKIPPED: {path} is missing");
        return Vec::new();
    };
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}

fn check(html: &str, expected: &str) {
    assert_eq!(extract(html, None, &Config::default()).text, expected, "{html}");
}

const PROSE: &str = "A sentence that is long enough to be read as prose, with a comma and a stop at its end.";

#[test]
fn navigation_and_furniture_go() {
    check(
        &format!("<nav>Home</nav><main><h1>A</h1><p>{PROSE}</p></main><footer>Imprint</footer>"),
        &format!("# A\n\n{PROSE}"),
    );
    check(
        &format!(
            "<div class=sidebar><ul><li><a href=a>One</a><li><a href=b>Two</a></ul></div><div><p>{PROSE}</div>"
        ),
        PROSE,
    );
}

/// Of so many blocks only some are looked at, and speak for others of their kind.
#[test]
fn a_page_of_many_blocks_keeps_its_text() {
    let paragraphs: String = (0..13_000).map(|n| format!("<p>{n}. {PROSE}</p>")).collect();
    let html = format!("<nav><a href=a>Home</a></nav><main>{paragraphs}</main><footer>Imprint</footer>");
    let text = extract(&html, None, &Config::default()).text;
    assert_eq!(text.matches(PROSE).count(), 13_000);
    assert!(!text.contains("Imprint"));
}

#[test]
fn a_table_keeps_the_row_that_names_its_columns() {
    for rows in [1, 2, 3, 6] {
        let body: String =
            (0..rows).map(|n| format!("<tr><td>{}</td><td>{}</td></tr>", 1850 + n, 12 + n)).collect();
        let html = format!(
            "<article><h1>Farms</h1><p>{PROSE}</p><p>Farms grew with the town. {PROSE}</p><table><thead><tr><th>Year</th>\
             <th>Farms</th></tr></thead><tbody>{body}</tbody></table><p>All of them are gone. {PROSE}</p></article>"
        );
        let text = extract(&html, None, &Config::default()).text;
        assert!(!text.contains("| 1850") || text.contains("| Year | Farms |\n"), "{rows}: {text}");
    }
}

#[test]
fn parts_stay_or_go_as_they_are_told() {
    let html = format!(
        "<title>Rivers of the north | Site</title><main><article><h1>Rivers of the north</h1>\
         <p class=byline>By Ann Lee, 31 May 2024</p>{}<figure><img src=a><figcaption>A river in spring.</figcaption></figure>{0}</article>\
         <div id=comments><h3>Comments</h3><div class=comment><p>I was there last year, and it was cold. {PROSE}</p></div></div></main>",
        format!("<p>{PROSE} {PROSE}</p>").repeat(4)
    );
    let text = |config: Config| extract(&html, None, &config).text;
    let parts = ["# Rivers of the north", "By Ann Lee", "I was there last year", "A river in spring."];
    for keep in [Keep::Always, Keep::Never] {
        let all = Config { title: keep, byline: keep, comments: keep, captions: keep, ..Config::default() };
        for (n, part) in parts.into_iter().enumerate() {
            let mut one = Config::default();
            *[&mut one.title, &mut one.byline, &mut one.comments, &mut one.captions][n] = keep;
            for config in [one, all.clone()] {
                assert_eq!(text(config).contains(part), keep == Keep::Always, "{part}");
            }
        }
        assert!(text(all).contains(PROSE));
    }
    let reader = text(Config { choose: Choose::Reader, ..Config::default() });
    assert!(reader.contains(PROSE) && !reader.contains("I was there"), "{reader}");
    let facts = extract(&html, None, &Config { facts: true, ..Config::default() });
    assert_eq!((facts.author.as_deref(), facts.date.as_deref()), (Some("Ann Lee"), Some("2024-05-31")));
    assert_eq!(facts.page_type, Some(PageType::Article));
    assert_eq!(extract(&html, None, &Config::default()).page_type, None);
}

#[test]
fn facts_are_columns_where_they_are_asked_for() {
    let html: BinaryArray = vec![Some("<p>a</p><time>31 May 2024</time>".as_bytes()), None].into();
    let text: StringArray = vec![None, Some("wet")].into();
    let columns: [(&str, ArrayRef); 2] = [(column::HTML, Arc::new(html)), (column::TEXT, Arc::new(text))];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true))).unwrap();
    for (facts, names) in
        [(true, &["title", "text", "page_type", "author", "date"][..]), (false, &["title", "text"])]
    {
        let stage = Extract(Extractor::new(Config { facts, ..Config::default() }));
        let schema = stage.output(&batch.schema()).unwrap();
        assert_eq!(schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), names);
        let outcome = stage.apply(&batch).unwrap();
        let dates = outcome.columns.iter().find(|(name, _)| name == "date");
        assert_eq!(dates.is_some(), facts);
        if let Some((_, dates)) = dates {
            assert_eq!((dates.as_string::<i32>().value(0), dates.is_null(1)), ("2024-05-31", true));
        }
    }
}

#[test]
fn rows_of_every_kind() {
    let html: BinaryArray = vec![Some("<p>a</p>".as_bytes()), None, Some(b""), Some(&[0; 64]), None].into();
    let text: StringArray = vec![None, Some("wet"), None, None, None].into();
    let fields = vec![
        Field::new(column::HTML, DataType::Binary, true),
        Field::new(column::CONTENT_TYPE, DataType::Utf8, true),
        Field::new(column::TEXT, DataType::Utf8, true),
    ];
    let types: StringArray = vec![None::<&str>; 5].into();
    let schema = Arc::new(Schema::new(fields));
    let batch =
        RecordBatch::try_new(schema.clone(), vec![Arc::new(html), Arc::new(types), Arc::new(text)]).unwrap();
    let stage = Extract(Extractor::new(Config::default()));
    let outcome = stage.apply(&batch).unwrap();
    let shown: Vec<&str> = outcome
        .verdicts
        .iter()
        .map(|v| match v {
            Verdict::Kept => "kept",
            Verdict::Edited => "edited",
            Verdict::Dropped { reason, .. } => reason,
        })
        .collect();
    assert_eq!(shown, ["edited", "kept", "empty", "binary", "empty"]);
    let output = stage.output(&schema).unwrap();
    let kept = outcome.select(&batch, &output).unwrap();
    let texts: Vec<_> =
        kept.column_by_name(column::TEXT).unwrap().as_string::<i32>().iter().flatten().collect();
    assert_eq!(texts, ["a", "wet"]);
    assert!(output.field_with_name(column::HTML).is_err() && output.field_with_name(column::TITLE).is_ok());
}

#[test]
fn cut_and_changed_pages_are_safe() {
    for page in shared_lines("extract/aeb.jsonl.gz").iter().take(5) {
        let html = page["html"].as_str().unwrap();
        let mut rng = schemas::hash::Rng::new(html.len() as u64);
        for _ in 0..8 {
            let mut bytes = html.as_bytes()[..rng.below(html.len() as u64 + 1) as usize].to_vec();
            for _ in 0..bytes.len() / 50 {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = b"<>/\"'= \0\xff&;!-"[rng.below(13) as usize];
            }
            Extract(Extractor::new(Config::default())).judge(&bytes, None, None);
        }
    }
}
