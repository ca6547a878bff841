//! Bad input gives a counted, explained drop or a clear error, and loses nothing else.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::site::{Answer, Site};
use common::{
    Folder, assert_conserved, assert_same, assert_tidy, corpus, gristmill, node, report, start, tree,
};
use schemas::hash::Rng;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn good(n: u64) -> String {
    corpus::prose(&mut Rng::new(n), 8)
}

/// Builds one source of a kind over `input/`; the report.
fn build(folder: &Folder, kind: &str, more: &str, stages: &[&str]) -> Value {
    let stages: String = stages.iter().map(|kind| format!("[[stages]]\nkind = \"{kind}\"\n")).collect();
    let recipe = format!("[sources.in]\nkind = \"{kind}\"\npaths = [\"input\"]\n{more}\n{stages}");
    folder.write("recipe.toml", recipe);
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let report = report(&folder.join("work"));
    assert_conserved(&report);
    assert_tidy(&folder.join("work"));
    gristmill(&["verify", "work"], &folder.0).expect(0);
    report
}

fn dropped(report: &Value, name: &str) -> Value {
    node(report, name)["counts"]["dropped"].clone()
}

fn kept(report: &Value) -> u64 {
    node(report, "documents")["counts"]["kept"].as_u64().unwrap()
}

#[test]
fn bad_pages_are_dropped_and_good_ones_stay() {
    let folder = Folder::new("pages");
    let mut rng = Rng::new(1);
    let junk: Vec<u8> = (0..20_000).map(|_| rng.next_u64() as u8).collect();
    folder.write("input/a_good.html", corpus::page(1, 1));
    folder.write("input/b_empty.html", "");
    folder.write("input/c_junk.html", junk);
    let deep =
        |tag: &str| format!("<p>{}</p>{}{}", good(2), format!("<{tag}>").repeat(100_000), "the bottom of it");
    folder.write("input/d_deep.html", deep("div"));
    folder.write("input/e_deep.html", deep("b"));
    folder.write("input/f_deep.html", deep("table"));
    folder.write("input/g_wrong.html", [b"<p>caf\xe9 \xff\xfe ".as_slice(), good(3).as_bytes()].concat());
    folder.write("input/h_good.html", corpus::page(1, 2));
    let report = build(&folder, "source.html", "", &["extract.html", "clean.unicode", "clean.whitespace"]);
    assert_eq!(dropped(&report, "in"), json!({ "binary": 1, "empty": 1 }));
    assert_eq!(kept(&report), 6, "{report:#}");
}

#[test]
fn bad_lines_are_dropped_and_good_ones_stay() {
    let folder = Folder::new("lines");
    let line = |n: u64| json!({ "text": good(n) }).to_string() + "\n";
    let mut mixed = line(1).into_bytes();
    mixed.extend(b"{\"text\": \"caf\xe9\"}\n{\"text\": 7}\n[1]\n{\"text\": \"cut\n\n");
    mixed.extend(format!("{}{}\n", "[".repeat(100_000), "]".repeat(100_000)).bytes());
    mixed.extend(
        format!("{{\"text\": \"deep enough\", \"x\": {}{}}}\n", "[".repeat(100_000), "]".repeat(100_000))
            .bytes(),
    );
    mixed.extend(line(2).bytes());
    folder.write("input/a.jsonl", mixed);
    folder.write("input/b_empty.jsonl", "");
    let whole = corpus::gzip((0..500).map(line).collect::<String>().as_bytes());
    folder.write("input/c_cut.jsonl.gz", &whole[..whole.len() / 2]);
    folder.write("input/d_junk.jsonl.gz", "this is not gzip");
    folder.write("input/e_nul.jsonl", "{\"text\": \"a\\u0000b \\ud800 c\"}\n");
    folder.write("input/z.jsonl", line(3));
    let report = build(&folder, "source.jsonl", "", &["clean.unicode", "clean.whitespace", "clean.pii"]);
    let drops = dropped(&report, "in");
    assert_eq!((&drops["invalid_utf8"], &drops["truncated"]), (&json!(1), &json!(1)), "{drops}");
    assert!(drops["bad_json"].as_u64() >= Some(3) && drops["no_text_field"].as_u64() >= Some(1), "{drops}");
    // Rows before the cut of the gzip file are read.
    assert!(kept(&report) > 100, "{report:#}");
}

/// One line of so many bytes between two good ones.
fn long_line(bytes: u64) {
    let folder = Folder::new("long");
    folder.write("input/a.jsonl", json!({ "text": good(1) }).to_string() + "\n{\"text\": \"");
    let mut file = fs::OpenOptions::new().append(true).open(folder.join("input/a.jsonl")).unwrap();
    let block = vec![b'x'; 1 << 20];
    (0..bytes >> 20).for_each(|_| file.write_all(&block).unwrap());
    file.write_all(format!("\"}}\n{}\n", json!({ "text": good(2) })).as_bytes()).unwrap();
    drop(file);
    let report = build(&folder, "source.jsonl", "", &["clean.whitespace"]);
    assert_eq!(dropped(&report, "in"), json!({ "line_too_long": 1 }));
    assert_eq!(kept(&report), 2);
}

#[test]
fn a_line_of_80_mb_is_dropped() {
    long_line(80 << 20);
}

#[test]
#[ignore = "writes a gigabyte"]
fn a_line_of_a_gigabyte_is_dropped() {
    long_line(1 << 30);
}

/// Many megabytes in few bytes: a line that is too long, whatever it was packed in.
#[test]
fn a_gzip_bomb_is_bounded() {
    let folder = Folder::new("bomb");
    folder.write("input/a.jsonl.gz", corpus::gzip(&vec![b' '; 100 << 20]));
    folder.write("input/b.jsonl", json!({ "text": good(2) }).to_string());
    let report = build(&folder, "source.jsonl", "", &["clean.whitespace"]);
    assert_eq!(kept(&report), 1, "{report:#}");
}

#[test]
fn broken_archives_lose_only_what_is_broken() {
    let folder = Folder::new("warc");
    let url = |n: u64| format!("https://a.example/{n}");
    let record = |n: u64| corpus::warc_response(&url(n), n, &corpus::page(1, n));
    let http = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{}", corpus::page(1, 4));
    let told = |n: u64, length: usize| corpus::warc_record(&url(n), n, http.as_bytes(), length);
    let all =
        [record(1), told(2, http.len() + 500), record(5), told(6, http.len() - 300), record(7)].concat();
    folder.write("input/lengths.warc", all);
    let members: Vec<u8> = [8, 10, 11].iter().flat_map(|&n| corpus::gzip(&record(n))).collect();
    folder.write("input/cut.warc.gz", &members[..members.len() - 100]);
    folder.write("input/empty.warc", "");
    folder.write("input/junk.warc.gz", "no archive at all");
    let report = build(&folder, "source.warc", "", &["extract.html"]);
    let drops = dropped(&report, "in");
    let broken: u64 = drops.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert!(broken >= 3, "{drops}");
    let texts = gristmill(&["inspect", "work", "--json", "--head", "50"], &folder.0).expect(0).out;
    for n in [1, 7, 8, 10] {
        assert!(texts.contains(&format!("{}\"", url(n))), "{n} is lost: {report:#}");
    }
}

#[test]
fn a_truncated_parquet_file_is_named() {
    let folder = Folder::new("parquet");
    folder
        .write("a.jsonl", (0..50).map(|n| json!({ "text": good(n) }).to_string() + "\n").collect::<String>());
    gristmill(&["stage", "clean.whitespace", "--in", "a.jsonl", "--out", "input/a.parquet"], &{
        fs::create_dir(folder.join("input")).unwrap();
        folder.0.clone()
    })
    .expect(0);
    let whole = fs::read(folder.join("input/a.parquet")).unwrap();
    fs::write(folder.join("input/a.parquet"), &whole[..whole.len() / 2]).unwrap();
    folder.write("recipe.toml", "[sources.in]\nkind = \"source.parquet\"\npaths = [\"input\"]\n");
    // The columns cannot be known, so it is found before anything runs.
    let done = gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(2);
    assert!(done.err.contains("a.parquet"), "{}", done.err);
    assert!(!folder.join("work").exists());
    // With a whole footer it is found where it is read.
    let mut holed = whole.clone();
    holed[whole.len() / 8..whole.len() / 4].fill(0x5a);
    fs::write(folder.join("input/a.parquet"), holed).unwrap();
    let done = gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0);
    assert!(done.code == 1 && done.err.contains("a.parquet") && !done.err.contains("panicked"), "{done:?}");
    assert!(!folder.join("work/dataset").exists());
}

#[test]
fn an_altered_byte_is_found() {
    let folder = Folder::new("altered");
    corpus::write_all(&folder.0, 41, 40);
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let dataset = folder.join("work/dataset");
    for (name, bytes) in tree(&dataset).into_iter().filter(|(name, _)| name != "manifest.json") {
        let mut altered = bytes.clone();
        let at = altered.len() / 2;
        altered[at] ^= 1;
        fs::write(dataset.join(&name), altered).unwrap();
        let done = gristmill(&["verify", "work"], &folder.0).expect(1);
        assert!(done.out.contains(&name), "{name}: {}", done.out);
        fs::write(dataset.join(&name), bytes).unwrap();
    }
    gristmill(&["verify", "work"], &folder.0).expect(0);
}

#[test]
fn a_second_build_is_refused_with_the_name_of_the_first() {
    let site = Site::serve(Duration::from_millis(700), |_| Answer::Page("<p>slow</p>".into()));
    let folder = Folder::new("second");
    crawl(&folder, &site, "");
    let args = ["build", "recipe.toml", "--workdir", "work"];
    let mut first = start(&args, &folder.0);
    let end = Instant::now() + Duration::from_secs(20);
    while site.asked().is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = gristmill(&args, &folder.0).expect(1);
    assert!(second.err.contains(&format!("in use by process {}", first.id())), "{}", second.err);
    assert!(first.wait().unwrap().success());
}

fn crawl(folder: &Folder, site: &Site, more: &str) {
    let recipe = format!(
        "[sources.site]\nkind = \"source.crawl\"\nseeds = [\"{}\"]\nuser_agent = \"test/1.0 (+mailto:a@test.invalid)\"\n\
         allow_private = true\ndelay_ms = 0\n{more}\n[[stages]]\nkind = \"extract.html\"\n",
        site.url("/")
    );
    folder.write("recipe.toml", recipe);
}

#[test]
fn a_crawl_ends_in_loops_and_endless_links() {
    let site = Site::serve(Duration::ZERO, |path| match path {
        "/robots.txt" | "/sitemap.xml" => Answer::NotFound,
        "/loop/a" => Answer::Redirect("/loop/b".into()),
        "/loop/b" => Answer::Redirect("/loop/a".into()),
        _ if path.starts_with("/hop/") => Answer::Redirect(format!("{path}x")),
        _ => Answer::Page(format!(
            "<p>{}</p><a href=/loop/a>l</a><a href=/hop/>h</a><a href=\"{}/x\">down</a><a href=\"/n/{}\">next</a>",
            good(path.len() as u64),
            path.trim_end_matches('/'),
            path.len() * 7 + 1
        )),
    });
    let folder = Folder::new("endless");
    crawl(&folder, &site, "pages_max = 60");
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let report = report(&folder.join("work"));
    assert_conserved(&report);
    assert!((2..=60).contains(&kept(&report)), "{report:#}");
    assert!(site.asked().len() < 400, "{} requests", site.asked().len());
}

/// A file system of a few MiB; `None` where this process may not mount one.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(path: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(path);
        mount.output().is_ok_and(|o| o.status.success()).then_some(Self(path))
    }

    fn grow(&self, size: &str) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", &format!("remount,size={size}")]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0).status());
    }
}

#[test]
fn a_full_disk_refuses_the_commit_and_a_rerun_goes_on() {
    let folder = Folder::new("full");
    let path = folder.join("disk");
    let Some(disk) = Disk::mount(&path, "16k") else {
        eprintln!("SKIPPED: a full disk: this process may not mount a file system");
        return;
    };
    corpus::write_all(&folder.0, 42, 80);
    gristmill(&["build", "recipe.toml", "--workdir", "whole"], &folder.0).expect(0);
    let expected = tree(&folder.join("whole/dataset"));
    let args = ["build", "recipe.toml", "--workdir", "disk/work"];
    let mut refused = 0;
    for size in ["64k", "128k", "256k", "384k", "512k", "768k", "1m", "2m", "4m", "64m"] {
        disk.grow(size);
        let done = gristmill(&args, &folder.0);
        if done.code == 0 {
            break;
        }
        let done = done.expect(1);
        refused += 1;
        assert!(
            done.err.contains("No space left") && done.err.contains("disk/work/"),
            "{size}: {}",
            done.err
        );
        assert!(!path.join("work/dataset").exists(), "{size}: a dataset was committed");
    }
    assert!(refused >= 3, "the disk was never full");
    assert_same(&tree(&path.join("work/dataset")), &expected, "after a full disk");
    assert_tidy(&path.join("work"));
    drop(disk);
}

#[test]
fn a_full_disk_keeps_the_checkpoints_and_a_rerun_ends_with_the_same_weights() {
    let folder = Folder::new("full-train");
    let path = folder.join("disk");
    let Some(disk) = Disk::mount(&path, "16k") else {
        eprintln!("SKIPPED: a full disk: this process may not mount a file system");
        return;
    };
    corpus::write_all(&folder.0, 42, 40);
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let train = |out: &str| {
        let sets = ["steps=12", "layers=1", "width=32", "heads=2", "batch_sequences=2", "checkpoint_every=2"];
        let sets = sets.iter().flat_map(|s| ["--set", s]);
        let args: Vec<&str> = ["train", "work/dataset", "--out", out].into_iter().chain(sets).collect();
        gristmill(&args, &folder.0)
    };
    train("whole").expect(0);
    let weights = |out: &str| fs::read(folder.join(out).join("model.safetensors")).unwrap();
    let checkpoint: u64 = (fs::read_dir(folder.join("whole/checkpoints/step-000000012")).unwrap())
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    let mut refused = 0;
    // Room for parts of checkpoints: the first is cut, then the second and the third beside those that are kept.
    for tenths in [1, 6, 12, 16, 22, 26, 400] {
        disk.grow(&format!("{}k", checkpoint * tenths / 10 / 1024 + 16));
        let kept = || {
            let folder = path.join("out/checkpoints");
            if folder.exists() { common::paths(&folder) } else { Vec::new() }
        };
        let before = kept();
        let done = train("disk/out");
        if done.code == 0 {
            break;
        }
        let done = done.expect(1);
        refused += 1;
        assert!(
            done.err.contains("No space left") && done.err.contains("disk/out"),
            "{tenths}: {}",
            done.err
        );
        let after = kept();
        assert!(!after.iter().any(|path| path.contains(".part")), "{tenths}: {after:?}");
        assert!(after.len() >= before.len(), "{tenths}: checkpoints were lost: {before:?}, {after:?}");
    }
    assert!(refused >= 4, "the disk was full {refused} times");
    assert!(weights("disk/out") == weights("whole"), "other weights after a full disk");
    drop(disk);
}

/// What is no folder of documents at all.
#[test]
fn a_source_that_is_not_there_is_named() {
    let folder = Folder::new("absent");
    fs::create_dir(folder.join("input")).unwrap();
    for kind in ["source.jsonl", "source.html", "source.warc", "source.parquet"] {
        folder.write("recipe.toml", format!("[sources.in]\nkind = \"{kind}\"\npaths = [\"input\"]\n"));
        let done = gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0);
        assert!([1, 2].contains(&done.code) && done.err.contains("input"), "{kind}: {}", done.err);
    }
    drop(File::create(folder.join("input/a.jsonl")).unwrap());
    let report = build(&folder, "source.jsonl", "", &["clean.whitespace"]);
    assert_eq!(kept(&report), 0);
}
