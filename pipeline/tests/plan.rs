//! What a plan says of a node that is not cached: which thing changed, and never a secret.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod kinds;

use gristmill_pipeline::dag::{self, Kinds};
use gristmill_pipeline::engine::{self, Options};
use gristmill_pipeline::recipe::Recipe;
use schemas::Spec;
use schemas::observe::Silent;
use std::fs;
use std::path::{Path, PathBuf};

const RECIPE: &str = r#"
[sources.lines]
kind = "source.lines"
paths = ["*.txt"]
[[stages]]
kind = "filter.short"
words_min = 2
[[stages]]
kind = "filter.listed"
words = "list.words"
token = "a ${TOKEN} $${NOT}"
[[stages]]
kind = "dedup.text"
[[stages]]
kind = "sink.parquet"
name = "documents"
"#;

/// What may change between a build and a plan.
struct World {
    folder: PathBuf,
    recipe: String,
    token: String,
    kinds: &'static [Spec],
}

impl World {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gristmill-plan-{}-{name}", std::process::id()));
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let world = Self { folder, recipe: RECIPE.into(), token: "secret-1".into(), kinds: kinds::ALL };
        world.write("a.txt", "one two\nthree four five\n");
        world.write("b.txt", "one two three\nfour\n");
        world.write("list.words", "mill\n");
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    fn change(&mut self, from: &str, to: &str) {
        assert!(self.recipe.contains(from), "{from}");
        self.recipe = self.recipe.replace(from, to);
    }

    fn dag(&self) -> (dag::Dag, Options) {
        let path = self.folder.join("recipe.toml");
        let environment = |name: &str| (name == "TOKEN").then(|| self.token.clone());
        let recipe = Recipe::parse(&path, self.recipe.clone(), &environment).unwrap();
        let kinds = Kinds { all: self.kinds, train: None };
        let dag = dag::compile(&recipe, &kinds).unwrap_or_else(|m| panic!("{m}"));
        let workdir = self.folder.join("work");
        (dag, Options { workdir, base: self.folder.clone(), threads: 1, memory_bytes: 1 << 20 })
    }

    fn build(&self) {
        let (dag, options) = self.dag();
        engine::run(&dag, &options, &Silent).unwrap();
    }

    /// `node: why` of all that is not cached.
    fn plan(&self) -> Vec<String> {
        let (dag, options) = self.dag();
        let plan = engine::plan(&dag, &options).unwrap();
        let rows = dag.nodes.iter().zip(&plan.nodes).filter(|(_, plan)| plan.cached < plan.streams);
        rows.map(|(node, plan)| format!("{}: {}", node.name, plan.why)).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

const BEHIND_SHORT: [&str; 3] = [
    "filter.listed: behind filter.short",
    "dedup.text: behind filter.listed",
    "documents: behind dedup.text",
];
const BEHIND_LISTED: [&str; 2] = ["dedup.text: behind filter.listed", "documents: behind dedup.text"];

/// Builds, changes the world, plans.
fn check(name: &str, change: impl FnOnce(&mut World), expected: &[&str]) {
    let mut world = World::new(name);
    world.build();
    assert_eq!(world.plan(), [""; 0], "{name}: all is cached");
    change(&mut world);
    let found = world.plan();
    assert_eq!(found, expected, "{name}");
    let report = fs::read_to_string(world.folder.join("work/report.json")).unwrap();
    assert!(!found.concat().contains("secret") && !report.contains("secret"), "{name}: a secret is told");
    world.build();
    assert_eq!(world.plan(), [""; 0], "{name}: all is cached again");
}

fn behind(first: &'static str, rest: &[&'static str]) -> Vec<&'static str> {
    [&[first], rest].concat()
}

#[test]
fn the_setting_that_changed() {
    let short = |why| behind(why, &BEHIND_SHORT);
    check("key", |w| w.change("words_min = 2", "words_min = 3"), &short("filter.short: words_min: 2 → 3"));
    check("default", |w| w.change("words_min = 2", ""), &short("filter.short: words_min: 2 → 3"));
    let listed = |why| behind(why, &BEHIND_LISTED);
    let token = "filter.listed: token: \"a ${TOKEN} $${NOT}\" → \"b\"";
    check("string", |w| w.change("a ${TOKEN} $${NOT}", "b"), &listed(token));
    check("variable", |w| w.token = "secret-2".into(), &listed("filter.listed: ${TOKEN} has another value"));
    let content = "filter.listed: words: \"list.words\" has other content";
    check("file", |w| w.write("list.words", "mill\nstone\n"), &listed(content));
    let other = "filter.listed: words: \"list.words\" → \"other.words\"";
    let rename = |w: &mut World, text: &str| {
        w.write("other.words", text);
        w.change("list.words", "other.words");
    };
    check("another-file", |w| rename(w, "stone\n"), &listed(other));
    check("renamed-file", |w| rename(w, "mill\n"), &[]);
    let both = "filter.listed: words: \"list.words\" has other content, ${TOKEN} has another value";
    let change = |w: &mut World| {
        w.token = "secret-3".into();
        w.write("list.words", "");
    };
    check("both", change, &listed(both));
}

#[test]
fn the_stage_that_changed() {
    let raised = |w: &mut World| {
        let raise = |spec: &Spec| Spec {
            version: spec.version + u32::from(spec.kind == "filter.short"),
            ..Spec { ..*spec }
        };
        w.kinds = kinds::ALL.iter().map(raise).collect::<Vec<_>>().leak();
    };
    check("version", raised, &behind("filter.short: version of filter.short: 1 → 2", &BEHIND_SHORT));
    let kind = |w: &mut World| {
        w.change("kind = \"filter.short\"\nwords_min = 2", "kind = \"clean.upper\"\nname = \"filter.short\"")
    };
    check("kind", kind, &behind("filter.short: kind: filter.short → clean.upper", &BEHIND_SHORT));
    let add = |w: &mut World| {
        w.change(
            "[[stages]]\nkind = \"filter.listed\"",
            "[[stages]]\nkind = \"clean.upper\"\n[[stages]]\nkind = \"filter.listed\"",
        )
    };
    let expected = [
        "clean.upper: new node",
        "filter.listed: input: filter.short → clean.upper",
        "dedup.text: behind filter.listed",
        "documents: behind dedup.text",
    ];
    check("added", add, &expected);
}

#[test]
fn the_file_that_changed() {
    let behind_lines =
        |why| behind(why, &["filter.short: behind lines", BEHIND_SHORT[0], BEHIND_SHORT[1], BEHIND_SHORT[2]]);
    check("new", |w| w.write("c.txt", "six seven\n"), &behind_lines("lines: c.txt new"));
    check("content", |w| w.write("a.txt", "six seven\n"), &behind_lines("lines: a.txt with other content"));
    let many = |w: &mut World| {
        w.write("a.txt", "six seven\n");
        ["c", "d", "e", "f", "g"].iter().for_each(|n| w.write(&format!("{n}.txt"), n));
    };
    check("many", many, &behind_lines("lines: c.txt, d.txt, e.txt, 2 more new, a.txt with other content"));
    let gone = |w: &mut World| fs::remove_file(w.folder.join("b.txt")).unwrap();
    check("gone", gone, &["dedup.text: b.txt gone", "documents: behind dedup.text"]);
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

#[test]
fn what_is_lost() {
    check("dataset", |w| remove(&w.folder.join("work/dataset")), &["documents: not committed"]);
    let world = World::new("first");
    let all = |why: &str| {
        ["lines", "filter.short", "filter.listed", "dedup.text", "documents"].map(|n| format!("{n}: {why}"))
    };
    assert_eq!(world.plan(), all("nothing cached yet"));
    world.build();
    remove(&world.folder.join("work/cache"));
    remove(&world.folder.join("work/dataset"));
    let lost = world.plan();
    assert_eq!(lost[0], "lines: not in the cache any more");
    assert_eq!(lost[1], "filter.short: behind lines");
    world.build();
    remove(&world.folder.join("work/report.json"));
    remove(&world.folder.join("work/dataset"));
    assert_eq!(world.plan(), ["documents: nothing cached yet"]);
}
