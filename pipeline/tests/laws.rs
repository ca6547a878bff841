//! The laws of the engine, on kinds small enough to see through: rows conserved, same bytes at any thread count, and only
//! what changed runs again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod kinds;

use gristmill_pipeline::dag::{self, Dag, Kinds};
use gristmill_pipeline::engine::{self, Committed, Options, Report, RunError};
use gristmill_pipeline::recipe::Recipe;
use schemas::observe::Silent;
use schemas::{Event, Observer};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gristmill-laws-{}-{name}", std::process::id()));
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        for file in 0..5 {
            let line = |n: usize| {
                format!("{}\n", "word ".repeat(1 + (file * 37 + n * 11) % 13) + &(n % 90).to_string())
            };
            fs::write(path.join(format!("{file}.txt")), (0..400).map(line).collect::<String>()).unwrap();
        }
        Self(path)
    }

    fn dag(&self, limit: usize) -> Dag {
        self.compile(&format!(
            r#"
            [sources.lines]
            kind = "source.lines"
            paths = ["*.txt"]
            [[stages]]
            kind = "clean.upper"
            [[stages]]
            kind = "filter.short"
            words_min = {limit}
            [[stages]]
            kind = "dedup.text"
            [[stages]]
            kind = "clean.mark"
            [[stages]]
            kind = "pack.pairs"
            [[stages]]
            kind = "sink.parquet"
            [[stages]]
            kind = "sink.parquet"
            name = "documents"
            input = ["clean.mark"]
            "#
        ))
    }

    fn compile(&self, text: &str) -> Dag {
        let recipe = Recipe::parse(&self.0.join("recipe.toml"), text.to_owned(), &|_| None).unwrap();
        dag::compile(&recipe, &Kinds { all: kinds::ALL, train: None }).unwrap_or_else(|m| panic!("{m}"))
    }

    fn run(&self, dag: &Dag, workdir: &str, threads: usize) -> Report {
        self.try_run(dag, workdir, threads).unwrap_or_else(|e| panic!("{e}"))
    }

    fn try_run(&self, dag: &Dag, workdir: &str, threads: usize) -> Result<Report, RunError> {
        engine::run(dag, &self.options(workdir, threads, 1 << 16), &Silent)
    }

    fn options(&self, workdir: &str, threads: usize, memory_bytes: usize) -> Options {
        Options { workdir: self.0.join(workdir), base: self.0.clone(), threads, memory_bytes }
    }

    /// Every file of a dataset with its bytes.
    fn dataset(&self, workdir: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.0.join(workdir).join("dataset");
        let mut files = BTreeMap::new();
        collect(&root, &root, &mut files);
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.insert(path.strip_prefix(root).unwrap().display().to_string(), fs::read(&path).unwrap());
        }
    }
}

fn computed(report: &Report) -> Vec<(&str, usize, usize)> {
    report.nodes.iter().map(|n| (n.name.as_str(), n.computed, n.cached)).collect()
}

#[test]
fn rows_are_conserved_at_every_node() {
    let folder = Folder::new("conserved");
    let report = folder.run(&folder.dag(4), "w", 2);
    let counts = |name: &str| report.nodes.iter().find(|n| n.name == name).unwrap().counts.clone();
    assert_eq!(counts("lines").rows_in, 2000);
    assert_eq!(counts("clean.upper").edited, 2000);
    let short = counts("filter.short");
    assert_eq!(short.rows_in, short.kept + short.dropped["short"]);
    let dedup = counts("dedup.text");
    assert_eq!((dedup.rows_in, dedup.kept + dedup.dropped["duplicate"]), (short.kept, short.kept));
    assert_eq!(counts("documents").rows_in, dedup.kept);
    assert!(dedup.kept > 0 && dedup.dropped["duplicate"] > 0 && short.dropped["short"] > 0);
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    let folder = Folder::new("threads");
    let dag = folder.dag(4);
    for threads in [1, 2, 8] {
        folder.run(&dag, &format!("w{threads}"), threads);
    }
    let one = folder.dataset("w1");
    assert!(one.len() > 8, "{:?}", one.keys());
    for other in ["w2", "w8"] {
        let found = folder.dataset(other);
        assert_eq!(found.keys().collect::<Vec<_>>(), one.keys().collect::<Vec<_>>());
        for (name, bytes) in &found {
            assert!(bytes == &one[name], "{name} differs in {other}");
        }
    }
}

#[test]
fn a_second_run_computes_nothing() {
    let folder = Folder::new("again");
    assert_eq!(folder.run(&folder.dag(4), "w", 2).committed, Committed::Written);
    let report = folder.run(&folder.dag(4), "w", 2);
    assert_eq!(report.committed, Committed::Current);
    assert!(computed(&report).iter().all(|(_, computed, _)| *computed == 0), "{:?}", computed(&report));
}

#[test]
fn a_lost_shard_is_written_again_from_the_cache() {
    let folder = Folder::new("lost");
    folder.run(&folder.dag(4), "w", 2);
    let expected = folder.dataset("w");
    fs::remove_file(folder.0.join("w/dataset/documents/part-00000.parquet")).unwrap();
    let report = folder.run(&folder.dag(4), "w", 2);
    assert_eq!(report.committed, Committed::Written);
    assert!(computed(&report)[..5].iter().all(|(_, computed, _)| *computed == 0), "{:?}", computed(&report));
    assert!(folder.dataset("w") == expected, "the dataset is another one");
}

#[test]
fn a_changed_limit_runs_only_what_lies_behind_it() {
    let folder = Folder::new("limit");
    folder.run(&folder.dag(4), "w", 2);
    let report = folder.run(&folder.dag(6), "w", 2);
    let expected = [
        ("lines", 0, 5),
        ("clean.upper", 0, 5),
        ("filter.short", 5, 0),
        ("dedup.text", 5, 0),
        ("clean.mark", 5, 0),
        ("pack.pairs", 5, 0),
        ("sink.parquet", 5, 0),
        ("documents", 5, 0),
    ];
    assert_eq!(computed(&report), expected);
    folder.run(&folder.dag(6), "fresh", 2);
    assert!(folder.dataset("w") == folder.dataset("fresh"), "a partly cached build gives other bytes");
    // The limit that it had before is still in the cache: nothing but the commit is left to do.
    let report = folder.run(&folder.dag(4), "w", 2);
    assert_eq!(report.committed, Committed::Written);
    assert!(computed(&report)[..6].iter().all(|(_, computed, _)| *computed == 0), "{:?}", computed(&report));
}

#[test]
fn a_reader_that_takes_more_columns_gets_them() {
    let folder = Folder::new("columns");
    let recipe = |documents: &str| {
        folder.compile(&format!(
            r#"
            [sources.lines]
            kind = "source.lines"
            paths = ["*.txt"]
            [[stages]]
            kind = "dedup.text"
            [[stages]]
            kind = "pack.pairs"
            [[stages]]
            kind = "sink.parquet"
            {documents}
            "#
        ))
    };
    let more = "[[stages]]\nkind = \"sink.parquet\"\nname = \"documents\"\ninput = [\"dedup.text\"]";
    // Of the rows behind the deduplication, packing has texts kept; the sink needs all columns.
    folder.run(&recipe(""), "w", 2);
    folder.run(&recipe(more), "w", 2);
    folder.run(&recipe(more), "fresh", 1);
    assert!(folder.dataset("w") == folder.dataset("fresh"));
}

#[test]
fn a_new_file_leaves_the_work_on_the_others() {
    let folder = Folder::new("file");
    folder.run(&folder.dag(4), "w", 2);
    fs::write(folder.0.join("5.txt"), "one two three four five six seven eight 1\n").unwrap();
    let report = folder.run(&folder.dag(4), "w", 2);
    assert_eq!(computed(&report)[..3], [("lines", 1, 5), ("clean.upper", 1, 5), ("filter.short", 1, 5)]);
}

#[test]
fn a_second_run_at_once_is_refused_with_the_holder() {
    let folder = Folder::new("lock");
    fs::create_dir_all(folder.0.join("w")).unwrap();
    let held = fs::File::create(folder.0.join("w/lock")).unwrap();
    held.lock().unwrap();
    fs::write(folder.0.join("w/lock"), "process 1234").unwrap();
    let error = folder.try_run(&folder.dag(4), "w", 1).unwrap_err().to_string();
    assert!(error.ends_with("is in use by process 1234"), "{error}");
}

/// Writes to a file when the stages begin, which is after the splits were hashed.
struct Meddler(PathBuf);

impl Observer for Meddler {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Phase { name: "stages", .. }) {
            let text = fs::read_to_string(&self.0).unwrap();
            fs::write(&self.0, text.replacen("word", "WORD", 1)).unwrap();
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named_and_nothing_of_it_is_kept() {
    let folder = Folder::new("changed");
    let dag = folder.dag(4);
    let path = folder.0.join("3.txt");
    let error = engine::run(&dag, &folder.options("w", 2, 1 << 20), &Meddler(path.clone())).unwrap_err();
    let expected = format!("lines: {} was written to while the build read it", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    folder.run(&dag, "w", 2);
    folder.run(&dag, "fresh", 2);
    assert!(folder.dataset("w") == folder.dataset("fresh"), "rows of the changed file were kept");
}

/// Every file below a folder, sorted.
fn cache_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = BTreeMap::new();
    collect(folder, folder, &mut files);
    files.into_keys().map(|name| folder.join(name)).collect()
}

/// What a file becomes.
type Harm<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

#[test]
fn a_torn_file_of_the_cache_is_a_missing_file() {
    let folder = Folder::new("torn");
    folder.run(&folder.dag(4), "fresh", 2);
    let expected = folder.dataset("fresh");
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        bytes
    };
    let nothing = |_: &[u8]| Vec::new();
    let harms: [(&str, Harm<'_>); 3] = [("cut", &cut), ("flip", &flip), ("empty", &nothing)];
    for kind in ["trace", "changes", "rows", "settled"] {
        for (name, harm) in harms {
            // All files of the kind, and one alone: what lies behind it is there and what lies before it too.
            for every in [1, 3] {
                let workdir = format!("w-{kind}-{name}-{every}");
                folder.run(&folder.dag(4), &workdir, 2);
                let files = cache_files(&folder.0.join(&workdir).join("cache").join(kind));
                assert!(!files.is_empty(), "{kind}");
                for path in files.iter().step_by(every) {
                    fs::write(path, harm(&fs::read(path).unwrap())).unwrap();
                }
                fs::remove_dir_all(folder.0.join(&workdir).join("dataset")).unwrap();
                let report = folder.run(&folder.dag(4), &workdir, 2);
                let again: usize = computed(&report)[..6].iter().map(|(_, computed, _)| computed).sum();
                assert_eq!(
                    again > 0,
                    matches!(kind, "trace" | "changes"),
                    "{workdir}: {:?}",
                    computed(&report)
                );
                assert!(folder.dataset(&workdir) == expected, "{workdir}: another dataset");
            }
        }
    }
}

/// Bytes of memory that spill every few records, and that hold all.
const SMALL: usize = 1;
const LARGE: usize = 1 << 28;

#[test]
fn spilled_runs_merge_to_the_same_bytes() {
    let folder = Folder::new("spilled");
    let dag = folder.dag(1);
    // One large split beside small ones, and one alone.
    let line = |n: usize| format!("{} {}\n", "word ".repeat(1 + n % 13), n % 9000);
    fs::write(folder.0.join("large.txt"), (0..20_000).map(line).collect::<String>()).unwrap();
    check_spills(&folder, &dag, "many");
    for file in 0..5 {
        fs::remove_file(folder.0.join(format!("{file}.txt"))).unwrap();
    }
    check_spills(&folder, &dag, "one");
}

fn check_spills(folder: &Folder, dag: &Dag, name: &str) {
    let run = |threads: usize, memory: usize| {
        let workdir = format!("{name}-{threads}-{memory}");
        let report = engine::run(dag, &folder.options(&workdir, threads, memory), &Silent).unwrap();
        let runs = |node: &str| report.nodes.iter().find(|n| n.name == node).unwrap().spilled_runs;
        ((runs("dedup.text"), runs("pack.pairs")), folder.dataset(&workdir))
    };
    let ((dedup, pairs), expected) = run(1, LARGE);
    assert_eq!((dedup, pairs), (0, 0), "{name}: what fits the memory stays there");
    for threads in [1, 2] {
        let ((dedup, pairs), found) = run(threads, SMALL);
        assert!(dedup > 10 && pairs > 10, "{name}: {dedup} and {pairs} runs with {SMALL} byte");
        assert!(found == expected, "{name}: other bytes at {threads} threads in small memory");
    }
}
