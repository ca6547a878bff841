//! The arrows between the rooms, and that every kind is where its name says.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn dependencies(manifest: &str, table: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let value: toml::Table = text.parse().unwrap();
    value.get(table).and_then(|t| t.as_table()).into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[test]
fn rooms_know_only_whom_they_may() {
    let rooms = ["schemas", "stages", "pipeline", "model"];
    for (room, may) in [
        ("schemas", &[][..]),
        ("stages", &["schemas"][..]),
        ("pipeline", &["schemas"][..]),
        ("model", &["schemas"][..]),
    ] {
        for table in ["dependencies", "dev-dependencies"] {
            for name in dependencies(&format!("{room}/Cargo.toml"), table) {
                assert!(
                    !rooms.contains(&name.as_str()) || may.contains(&name.as_str()),
                    "{room} knows {name}"
                );
            }
        }
    }
}

#[test]
fn heavy_crates_stand_at_the_edge() {
    for (heavy, room) in
        [("polars", "pipeline"), ("candle-core", "model"), ("reqwest", "stages"), ("html5ever", "stages")]
    {
        for manifest in [
            "Cargo.toml",
            "schemas/Cargo.toml",
            "stages/Cargo.toml",
            "pipeline/Cargo.toml",
            "model/Cargo.toml",
        ] {
            let known = dependencies(manifest, "dependencies").iter().any(|d| d == heavy);
            assert_eq!(known, manifest.starts_with(room), "{heavy} in {manifest}");
        }
    }
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn the_name_of_a_kind_is_its_path() {
    let folder = root().join("stages/src");
    let mut files = Vec::new();
    rust_files(&folder, &mut files);
    let mut found = Vec::new();
    for file in files.iter().filter(|f| fs::read_to_string(f).unwrap().contains("\npub const SPEC: Spec")) {
        let path = file.strip_prefix(&folder).unwrap().with_extension("");
        let parts: Vec<String> =
            path.iter().map(|p| p.to_string_lossy().into_owned()).filter(|p| p != "mod").collect();
        found.push(parts.join("."));
    }
    found.sort();
    let listed: Vec<&str> = stages::ALL.iter().map(|s| s.kind).collect();
    assert_eq!(listed, found, "stages::ALL lists every kind by its path, in alphabetical order");
}

#[test]
fn names_of_other_programs_lead_to_keys() {
    let keys: Vec<&str> = stages::ALL
        .iter()
        .flat_map(|spec| spec.keys)
        .chain(<model::Config as schemas::Config>::KEYS)
        .map(|key| key.name)
        .collect();
    for (ours, others) in schemas::near::ELSEWHERE {
        assert!(keys.contains(ours), "no kind has a key `{ours}`");
        assert!(others.iter().all(|other| !keys.contains(other)), "a name of {others:?} is a key itself");
    }
}

#[test]
fn every_kind_documents_its_keys_and_reasons() {
    for spec in stages::ALL {
        assert!(!spec.summary.is_empty(), "{}", spec.kind);
        for key in spec.keys {
            assert!(
                key.doc.trim().ends_with(['.', ')']),
                "{}: `{}` has no sentence: {:?}",
                spec.kind,
                key.name,
                key.doc
            );
        }
        for reason in spec.reasons {
            assert!(!reason.doc.is_empty(), "{}: {}", spec.kind, reason.name);
        }
        assert!(spec.reasons.len() < 255, "{}", spec.kind);
    }
}

#[test]
fn every_file_says_what_it_is_and_none_is_too_long() {
    let mut files = Vec::new();
    for folder in ["src", "schemas/src", "stages/src", "pipeline/src", "model/src", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not begin with `//!`", file.display());
        let work = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let tests = file.to_string_lossy().contains("tests");
        assert!(
            tests || work.lines().count() <= 510,
            "{} has {} lines",
            file.display(),
            work.lines().count()
        );
    }
}
