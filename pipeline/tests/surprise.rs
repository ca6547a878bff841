//! Nothing is silent: a node that touches no row, drops most of them or reads a column without values is told, also by a build that
//! had nothing to do; and where the recipe says so, nothing is committed.
//!
//! Each is a defect that was met in a tool of the field: a filter whose column had another name never fired, one with a wrong unit
//! fired at everything, and both looked like a successful run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod kinds;

use gristmill_pipeline::dag::{self, Dag, Kinds};
use gristmill_pipeline::engine::{self, Committed, Options, Report, RunError};
use gristmill_pipeline::recipe::Recipe;
use schemas::observe::Silent;
use std::fs;
use std::path::PathBuf;

struct Folder(PathBuf);

impl Folder {
    /// 200 lines of 1 to 10 words.
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gristmill-surprise-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let lines: String = (0..200).map(|n| format!("{}{n}\n", "word ".repeat(n % 10))).collect();
        fs::write(path.join("a.txt"), lines).unwrap();
        Self(path)
    }

    fn dag(&self, stage: &str) -> Result<Dag, String> {
        let text = format!(
            "[sources.lines]\nkind = \"source.lines\"\npaths = [\"*.txt\"]\n[[stages]]\n{stage}\n[[stages]]\nkind = \"sink.parquet\"\n"
        );
        let recipe =
            Recipe::parse(&self.0.join("recipe.toml"), text, &|_| None).map_err(|m| m.to_string())?;
        dag::compile(&recipe, &Kinds { all: kinds::ALL, train: None }).map_err(|m| m.to_string())
    }

    fn run(&self, dag: &Dag) -> Result<Report, RunError> {
        let (workdir, base) = (self.0.join("work"), self.0.clone());
        engine::run(dag, &Options { workdir, base, threads: 2, memory_bytes: 1 << 20 }, &Silent)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn check(name: &str, stage: &str, expected: &[&str]) {
    let folder = Folder::new(name);
    let dag = folder.dag(stage).unwrap();
    for state in [Committed::Written, Committed::Current] {
        let report = folder.run(&dag).unwrap();
        let told: Vec<String> = report.surprises.iter().map(ToString::to_string).collect();
        assert_eq!((report.committed, told), (state, expected.iter().map(|&e| e.into()).collect()));
    }
    let mut strict = folder.dag(stage).unwrap();
    strict.be_strict();
    match folder.run(&strict) {
        Ok(_) => assert!(expected.is_empty(), "a strict run lets {expected:?} pass"),
        Err(error) => {
            assert_eq!(error.to_string(), format!("nothing is committed: {}", expected.join("; ")));
        }
    }
}

#[test]
fn a_filter_that_never_fires_is_told() {
    let words = "`filter.short` dropped and changed none of 200 rows";
    check("never", "kind = \"filter.short\"\nwords_min = 0", &[words]);
    check("fires", "kind = \"filter.short\"\nwords_min = 2", &[]);
    check("meant", "kind = \"filter.short\"\nwords_min = 0\nsurprise = \"expected\"", &[]);
}

#[test]
fn a_filter_that_drops_nearly_all_is_told() {
    let words = "`filter.short` dropped 180 of 200 rows (90.0 %)";
    check("most", "kind = \"filter.short\"\nwords_min = 10", &[words]);
    check("many", "kind = \"filter.short\"\nwords_min = 9", &[]);
}

#[test]
fn a_column_without_values_is_told() {
    let words = "`filter.addressed` reads `url`, which had no value in any of 200 rows";
    check("column", "kind = \"filter.addressed\"", &[words]);
}

#[test]
fn a_recipe_can_stop_a_run_and_then_nothing_is_committed() {
    let folder = Folder::new("stop");
    let stage = "kind = \"filter.short\"\nwords_min = 0\nsurprise = \"stop\"";
    let dag = folder.dag(stage).unwrap();
    assert!(matches!(folder.run(&dag), Err(RunError::Surprise(found)) if found.len() == 1));
    assert!(!folder.0.join("work/dataset").exists());
    let error = folder.dag("kind = \"filter.short\"\nsurprise = \"stopp\"").err().unwrap();
    assert!(error.contains("`surprise`: `stopp` is not one of its values"), "{error}");
}
