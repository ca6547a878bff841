//! Typical mistakes of recipes: each file of `tests/mistakes` carries at its end what `check` must say, all of it and
//! nothing more: `#! line:column message => help`. `UPDATE=1 cargo test` writes these lines.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

use pipeline::dag::{self, Kinds, TrainKeys};
use pipeline::recipe::Mistakes;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MARK: &str = "#! ";

fn kinds() -> Kinds {
    Kinds {
        all: stages::ALL,
        train: Some(TrainKeys { keys: model::Config::KEYS, check: model::config::check }),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes")
}

/// A folder of its own for a test, with the files that the recipes name.
fn workplace(name: &str) -> PathBuf {
    let place = std::env::temp_dir().join(format!("gristmill-mistakes-{name}-{}", std::process::id()));
    fs::create_dir_all(place.join("data")).unwrap();
    for entry in fs::read_dir(folder().join("data")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, place.join("data").join(path.file_name().unwrap())).unwrap();
    }
    place
}

fn found(file: &Path) -> Mistakes {
    match dag::check(file, &kinds(), &|_| None) {
        Ok(_) => panic!("{}: no mistake was found", file.display()),
        Err(mistakes) => mistakes,
    }
}

fn lines(mistakes: &Mistakes, place: &Path) -> Vec<String> {
    let line = |m: &pipeline::recipe::Mistake| {
        let at = mistakes.place(m);
        format!("{MARK}{}:{} {} => {}", at.line, at.column, m.message, m.help)
            .replace(&format!("{}/", place.display()), "")
            .replace(&place.display().to_string(), ".")
    };
    mistakes.list.iter().map(line).collect()
}

#[test]
fn every_typical_mistake_is_told_at_its_place_with_a_next_step() {
    let place = workplace("all");
    let (mut wrong, mut files) = (Vec::new(), 0);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    for path in paths {
        files += 1;
        let text = fs::read_to_string(&path).unwrap();
        let (expected, recipe): (Vec<&str>, Vec<&str>) = text.lines().partition(|l| l.starts_with(MARK));
        let recipe: String = recipe.iter().map(|l| format!("{l}\n")).collect();
        let copy = place.join(path.file_name().unwrap());
        fs::write(&copy, &recipe).unwrap();
        let mistakes = found(&copy);
        assert!(
            mistakes.list.iter().all(|m| !m.help.is_empty() && !m.message.is_empty()),
            "{}",
            path.display()
        );
        let said = lines(&mistakes, &place);
        if std::env::var_os("UPDATE").is_some() {
            let said: String = said.iter().map(|l| format!("{l}\n")).collect();
            fs::write(&path, format!("{recipe}{said}")).unwrap();
        } else if said != expected {
            let name = path.file_name().unwrap().to_string_lossy();
            wrong.push(format!("{name}\n  expected\n{}\n  found\n{}", expected.join("\n"), said.join("\n")));
        }
    }
    fs::remove_dir_all(&place).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(files >= 60, "{files} files");
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let place = workplace("unreadable");
    let check = |name: &str, bytes: Option<&[u8]>, expected: &str| {
        let file = place.join(name);
        if let Some(bytes) = bytes {
            fs::write(&file, bytes).unwrap();
        }
        assert_eq!(lines(&found(&file), &place), [format!("{MARK}{expected}")]);
    };
    let new = "name a recipe file; `gristmill new DIR` writes one with comments";
    check("nowhere.toml", None, &format!("1:1 there is no such file or folder => {new}"));
    check("dat", None, "1:1 there is no such file or folder => did you mean `data`?");
    check("data", None, &format!("1:1 is a folder => {new}"));
    check(
        "latin.toml",
        Some(b"# caf\xe9\nname = \"x\"\n"),
        "1:6 the byte 0xE9 is not UTF-8 => save the file as UTF-8",
    );
    let large = vec![b'#'; 5 << 20];
    check(
        "large.toml",
        Some(&large),
        "1:1 has 5242880 bytes, more than a recipe may have (4194304) => name a recipe, not the documents: they go under `paths` of a source",
    );
    fs::remove_dir_all(&place).unwrap();
}

#[test]
fn the_command_says_the_same_as_json_and_in_words() {
    let place = workplace("command");
    let file = place.join("many.toml");
    fs::copy(folder().join("many.toml"), &file).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
        command.arg("check").arg(&file).args(more).env("NO_COLOR", "1").output().unwrap()
    };
    let mistakes = found(&file);
    let json = run(&["--json"]);
    assert_eq!(json.status.code(), Some(2));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(rows.len(), mistakes.list.len());
    for (row, mistake) in rows.iter().zip(&mistakes.list) {
        let at = mistakes.place(mistake);
        assert_eq!(
            (row["line"].as_u64(), row["column"].as_u64()),
            (Some(at.line as u64), Some(at.column as u64))
        );
        assert_eq!(
            (row["message"].as_str(), row["help"].as_str()),
            (Some(&*mistake.message), Some(&*mistake.help))
        );
    }
    let words = String::from_utf8(run(&[]).stderr).unwrap();
    assert!(!words.contains('\u{1b}'), "colour, although NO_COLOR is set");
    assert!(words.ends_with(&format!("{} mistakes in {}\n", rows.len(), file.display())), "{words}");
    for mistake in &mistakes.list {
        assert!(words.contains(&mistake.message), "{words}");
    }
    fs::remove_dir_all(&place).unwrap();
}
