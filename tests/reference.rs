//! Writes `docs/reference/stages.md` from the heads of the files and the lists of keys and reasons, and holds the file in
//! the repository against it. `UPDATE=1 cargo test` writes it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

use schemas::{Key, Spec};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The `//!` head of the file of a kind.
fn head(kind: &str) -> String {
    let path = root().join("stages/src").join(kind.replace('.', "/"));
    let text = fs::read_to_string(path.with_extension("rs"))
        .or_else(|_| fs::read_to_string(path.join("mod.rs")))
        .unwrap();
    let lines = text.lines().take_while(|line| line.starts_with("//!"));
    lines
        .map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

fn keys(keys: &[Key], out: &mut String) {
    if keys.is_empty() {
        return;
    }
    out.push_str("\n| key | type | default | range | |\n|---|---|---|---|---|\n");
    for key in keys {
        let cell = |text: &str| text.replace('|', "\\|");
        let (default, doc) = (cell(&(key.default)()), cell(key.doc.trim()));
        let range = (key.bounds)().map_or_else(String::new, |[least, most]| format!("{least} to {most}"));
        writeln!(out, "| `{}` | {} | `{default}` | {range} | {doc} |", key.name, cell(key.kind)).unwrap();
    }
}

fn section(spec: &Spec) -> String {
    let head = head(spec.kind);
    // The summary is often the first sentence of the file.
    let told = head.strip_prefix(spec.summary).unwrap_or(&head).trim_start();
    let mut out = format!("## {}\n\n{}\n\n{told}\n", spec.kind, spec.summary);
    keys(spec.keys, &mut out);
    if !spec.reasons.is_empty() {
        out.push_str("\n| drops as | |\n|---|---|\n");
        spec.reasons.iter().for_each(|r| writeln!(out, "| `{}` | {} |", r.name, r.doc).unwrap());
    }
    if let Some(fitting) = stages::FITS.iter().find(|f| f.kind == spec.kind) {
        write!(
            out,
            "\nWeights: `gristmill fit {} --set key=value --out FILE`. {}\n",
            spec.kind, fitting.summary
        )
        .unwrap();
        keys(fitting.keys, &mut out);
    }
    out
}

#[test]
fn the_reference_is_fresh() {
    let mut text =
        String::from("# Kinds\n\nWritten by `UPDATE=1 cargo test` from the source; do not edit.\n");
    for spec in stages::ALL {
        text.push('\n');
        text.push_str(&section(spec));
    }
    text.push_str("\n## train\n\nThe table `[train]` of a recipe: the model and how it is trained.\n");
    keys(model::Config::KEYS, &mut text);
    let path = root().join("docs/reference/stages.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/reference/stages.md is stale; run `UPDATE=1 cargo test`");
}
