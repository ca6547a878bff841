//! What every stage makes of fixed rows, as a digest in `tests/golden/stages.txt` beside the version of the stage.
//!
//! A stage whose output changes must raise its `version`, or caches would go on giving what the older code made. Where a
//! digest has changed and the version has not, this test fails; `UPDATE=1 cargo test` writes the digests of raised versions.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::{Folder, corpus, gristmill};
use schemas::hash::seed;
use schemas::{Made, Settings, Spec};
use serde_json::{json, value::RawValue};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Texts with something for every stage to find.
const TEXTS: [&str; 10] = [
    "Itâ€™s dÃ©jÃ  vu \u{200b}and e\u{301} \u{feff}\u{fb01}ne \u{202e}text\u{7}.",
    "Done 👍🏽, 👩‍👩‍👧 and 🇫🇷 © ❤️ 1️⃣ :-)",
    "Write to jane.doe@example.org or call +49 30 901820, 192.168.0.1 or 8.8.8.8, 4111 1111 1111 1111, DE89370400440532013000.",
    "  odd   spaces\t\there \r\n\r\n\r\n\r\n```rust\n  fn  main() {}\n```\n- a\n-  b\n",
    "Der Mühlstein dreht sich langsam im Wind, und das Korn fällt zwischen die Steine, bis das Mehl in den Sack rieselt.",
    "Le moulin tourne lentement dans le vent, et le grain tombe entre les pierres jusqu'à ce que la farine coule.",
    "石臼は風の中でゆっくりと回り、穀物は石の間に落ちて、やがて粉が袋に流れ込む。",
    "same line\nsame line\nsame line\nsame line\nsame line\nsame line",
    "You are a stupid idiot and I hate you. You are a stupid idiot and I hate you, all of you people are trash.",
    "",
];

/// A page with the structures that extraction keeps.
const PAGE: &str = "<!doctype html><html lang=en><title>The mill | Site</title><nav><a href=/>Home</a> <a href=/a>About</a></nav>
<main><h1>The mill</h1><p>The stone turns <em>slowly</em> in the wind, and the corn falls between &lt;two&gt; stones, until the flour runs into
the sack that the miller has <code>tied `here`</code>.</p><ol start=3><li>Corn<ul><li>wheat</li></ul></li><li value=9><p>Stone</p><p>Water</p></li></ol>
<table><tr><th>Part<th>Size</tr><tr><td rowspan=2>a|b<td>1</tr><tr><td>2</tr></table><pre><code class=language-rust>fn main() {
    turn();
}</code></pre><blockquote>So it goes.</blockquote><template><p>never</p></template><p hidden>hidden</p><math><mfrac><mi>a</mi><mn>2</mn></mfrac></math>
</main><footer>Imprint</footer></html>";

/// Pages with something for a filter of rights to find.
const RIGHTS: [&str; 4] = [
    "<meta name=robots content='noai, noindex'><p>one",
    "<meta name=tdm-reservation content=1><a rel=license href=https://creativecommons.org/licenses/by-nc/3.0/de/>two</a>",
    "<link rel=license href=//creativecommons.org/publicdomain/zero/1.0/><meta name=dc.rights content='CC BY-SA 4.0'><p>three",
    "<script type=application/ld+json>{\"@type\":\"Article\",\"license\":\"Creative Commons Attribution 4.0\"}</script><p>four",
];

fn rows() -> (String, String) {
    let mut texts = corpus::json_lines(41, 0..60);
    for (n, text) in TEXTS.iter().enumerate() {
        let url = format!("https://golden.example/{n}");
        writeln!(texts, "{}", json!({ "id": format!("t{n}"), "url": url, "text": text })).unwrap();
    }
    let mut pages = String::new();
    let all = (0..20).map(|n| corpus::page(41, n)).chain([PAGE.to_owned(), "<p>".repeat(300), String::new()]);
    for (n, html) in all.enumerate() {
        let url = format!("https://golden.example/{n}.html");
        writeln!(pages, "{}", json!({ "id": format!("p{n}"), "url": url, "html": html })).unwrap();
    }
    (texts, pages)
}

/// JSON lines with the fields in the order of their names: how the command lays a row out is not the stage's output.
fn in_order_of_names(lines: &str) -> String {
    let row = |line| serde_json::from_str::<BTreeMap<&str, &RawValue>>(line).unwrap();
    let lines = lines.lines().map(|line| serde_json::to_string(&row(line)).unwrap() + "\n");
    lines.collect()
}

/// Kinds that judge rows alone.
fn judges(spec: &&Spec) -> bool {
    matches!((spec.build)(&Settings::default()), Ok(Made::Stage(_) | Made::Global(_)))
}

#[test]
fn an_output_changes_only_with_the_version_of_its_stage() {
    let folder = Folder::new("golden");
    let (texts, pages) = rows();
    let line = |(n, html): (usize, &&str)| format!("{}\n", json!({ "id": format!("r{n}"), "html": html }));
    folder.write("rights.jsonl", RIGHTS.iter().enumerate().map(line).collect::<String>());
    folder.write("texts.jsonl", texts);
    folder.write("pages.jsonl", pages);
    let mut found = String::new();
    for spec in stages::ALL.iter().filter(judges) {
        let input = match spec.kind {
            "filter.rights" => "rights.jsonl",
            kind if kind.starts_with("extract.") => "pages.jsonl",
            _ => "texts.jsonl",
        };
        let args = ["stage", spec.kind, "--in", input, "--out", "kept.jsonl", "--dropped", "dropped.jsonl"];
        gristmill(&args, &folder.0).expect(0);
        let [kept, dropped] =
            ["kept.jsonl", "dropped.jsonl"].map(|file| fs::read_to_string(folder.join(file)).unwrap());
        let (rows, gone) = (kept.lines().count(), dropped.lines().count());
        let digest = seed(0, &kept, seed(0, &in_order_of_names(&dropped), 0));
        writeln!(found, "{} version {} kept {rows} dropped {gone} {digest:016x}", spec.kind, spec.version)
            .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stages.txt");
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let head = |line: &str| line.split(" kept ").next().unwrap_or_default().to_owned();
    for line in found.lines() {
        let known = expected.lines().find(|known| head(known) == head(line));
        assert!(
            known.is_none_or(|known| known == line),
            "{}: other output under the same version; raise it\n  was {}\n  is  {line}",
            head(line),
            known.unwrap_or_default()
        );
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &found).unwrap();
        return;
    }
    assert!(found == expected, "tests/golden/stages.txt is stale; run `UPDATE=1 cargo test`\n{found}");
}
