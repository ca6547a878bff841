//! What the end-to-end tests share: temporary folders, documents made from a seed, and the program itself.
//!
//! ```text
//! let folder = Folder::new("kill");
//! corpus::write(&folder.0, 7, 60);
//! let done = gristmill(&["build", "recipe.toml"], &folder.0);
//! ```
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]

pub mod corpus;
pub mod site;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that goes when it is dropped; it stays when the test fails, for a look at it.
pub struct Folder(pub PathBuf);

static FOLDERS: AtomicU64 = AtomicU64::new(0);

impl Folder {
    pub fn new(name: &str) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gristmill-{name}-{}-{number}", std::process::id()));
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and the folders that it lies in.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        write(&self.0, name, bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for a look: {}", self.0.display());
        } else {
            drop(fs::remove_dir_all(&self.0));
        }
    }
}

pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Done {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    /// Asserts the exit code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in {:?}", self.out))
    }

    /// The node of that name in a report.
    pub fn node(&self, name: &str) -> Value {
        node(&self.json(), name)
    }
}

/// The program with arguments, in a folder; nothing of the environment of the test decides what it does.
pub fn command<S: AsRef<std::ffi::OsStr>>(args: &[S], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command.env_remove("RUST_BACKTRACE").env_remove("RAYON_NUM_THREADS").env("NO_COLOR", "1");
    command
}

/// Runs the program to its end.
pub fn gristmill<S: AsRef<std::ffi::OsStr>>(args: &[S], folder: &Path) -> Done {
    finish(&mut command(args, folder))
}

pub fn finish(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts the program and lets it run; its words go nowhere.
pub fn start<S: AsRef<std::ffi::OsStr>>(args: &[S], folder: &Path) -> Child {
    command(args, folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Every file below a folder: path (with `/`) → bytes.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    paths(folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

/// Paths of all files and empty folders below a folder.
pub fn paths(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        let entries: Vec<PathBuf> = fs::read_dir(&at).unwrap().map(|e| e.unwrap().path()).collect();
        let name = at.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        if entries.is_empty() && !name.is_empty() {
            all.push(name + "/");
        }
        for path in entries {
            if path.is_dir() {
                open.push(path);
            } else {
                all.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    all.sort();
    all
}

/// Asserts that two datasets have the same files with the same bytes, and says which differ.
pub fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
    let names: Vec<_> = found.keys().collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{what}: files");
    let differ: Vec<_> = found.iter().filter(|(name, bytes)| expected[*name] != **bytes).collect();
    let differ: Vec<_> = differ.iter().map(|(name, _)| name).collect();
    assert!(differ.is_empty(), "{what}: {differ:?} differ");
}

/// Asserts that a working folder holds nothing unfinished.
pub fn assert_tidy(workdir: &Path) {
    let stray: Vec<String> = paths(workdir)
        .into_iter()
        .filter(|name| name.split('/').any(|part| part == "scratch" || part.contains(".part")))
        .collect();
    assert!(stray.is_empty(), "left over: {stray:?}");
    for name in ["dataset.part", "dataset.old", "scratch"] {
        assert!(!workdir.join(name).exists(), "left over: {name}");
    }
}

/// `report.json` of a working folder.
pub fn report(workdir: &Path) -> Value {
    serde_json::from_slice(&fs::read(workdir.join("report.json")).unwrap()).unwrap()
}

/// The node of that name in a report or manifest.
pub fn node(report: &Value, name: &str) -> Value {
    let nodes = report["nodes"].as_array().unwrap();
    nodes.iter().find(|n| n["name"] == name).unwrap_or_else(|| panic!("no node {name}")).clone()
}

/// Asserts rows in = kept + dropped for every node of a report.
pub fn assert_conserved(report: &Value) {
    for node in report["nodes"].as_array().unwrap() {
        let counts = node.get("counts").unwrap_or(node);
        let dropped: u64 = counts["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(counts["rows_in"].as_u64().unwrap(), counts["kept"].as_u64().unwrap() + dropped, "{node}");
    }
}

/// Objects of a JSON-lines file.
pub fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
