//! Killed at any moment, a build, a training and a crawl go on to what they would have been.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on says so by a panic")]

mod common;

use common::site::{Answer, Site};
use common::{
    Folder, assert_conserved, assert_same, assert_tidy, command, corpus, gristmill, node, report, start, tree,
};
use schemas::hash::{Rng, seed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Kills of a build.
const KILLS: u64 = 50;

/// SIGKILL after a while; whether it came before the end.
fn kill_after(mut child: Child, wait: Duration) -> bool {
    let end = Instant::now() + wait;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1).min(end.saturating_duration_since(Instant::now())));
    }
    child.kill().unwrap();
    // No exit code: a signal ended it.
    child.wait().unwrap().code().is_none()
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// A resumed build does less and less work, so a working folder is killed a few times and finished; then another begins.
#[test]
fn a_build_killed_at_fifty_moments_ends_with_the_same_bytes() {
    let folder = Folder::new("kill");
    corpus::write_all(&folder.0, 21, 60);
    let args = |workdir: &str| {
        ["build", "recipe.toml", "--memory-mib", "1", "--threads", "2", "--workdir", workdir]
            .map(str::to_owned)
    };
    let mut whole = timed(|| drop(gristmill(&args("whole"), &folder.0).expect(0)));
    let expected = tree(&folder.join("whole/dataset"));
    let mut rng = Rng::new(seed(1, "kills", 0));
    let (mut kills, mut last) = (0, 0);
    let mut round = 0;
    while kills < KILLS {
        let workdir = format!("killed-{round}");
        // The first kill is anywhere in a whole build; those behind it are early enough to meet a resumed one.
        for attempt in 0..4 {
            let share = rng.next_f64() * if attempt == 0 { 1.0 } else { 0.5 };
            let killed = kill_after(start(&args(&workdir), &folder.0), whole.mul_f64(share));
            // Other work on the machine comes and goes: a build that was done before its kill was timed too long.
            whole = whole.mul_f64(if killed { 1.02 } else { 0.9 });
            kills += u64::from(killed);
            last += u64::from(killed && share > 0.8);
        }
        gristmill(&args(&workdir), &folder.0).expect(0);
        assert_tidy(&folder.join(&workdir));
        assert_conserved(&report(&folder.join(&workdir)));
        assert_same(&tree(&folder.join(&workdir).join("dataset")), &expected, &workdir);
        fs::remove_dir_all(folder.join(&workdir)).unwrap();
        round += 1;
        assert!(round < KILLS, "only {kills} kills in {round} builds");
    }
    eprintln!("{kills} kills in {round} builds of {whole:?}, {last} of them near the end");
}

/// The commit is short, so moments are taken from it alone: a dataset that is replaced is there before and after.
#[test]
fn a_commit_killed_at_any_moment_leaves_one_whole_dataset() {
    let folder = Folder::new("commit");
    corpus::write_all(&folder.0, 22, 40);
    let args = ["build", "recipe.toml", "--workdir", "work"];
    let mut expected = BTreeMap::new();
    let mut spans = BTreeMap::new();
    for words_min in [30, 60] {
        fs::write(folder.join("recipe.toml"), corpus::recipe(words_min)).unwrap();
        gristmill(&args, &folder.0).expect(0);
        // Everything is in the cache then: what is left is the commit.
        fs::remove_dir_all(folder.join("work/dataset")).unwrap();
        spans.insert(words_min, timed(|| drop(gristmill(&args, &folder.0).expect(0))));
        expected.insert(words_min, tree(&folder.join("work/dataset")));
    }
    let mut rng = Rng::new(seed(2, "kills", 0));
    for n in 0..30 {
        let words_min = [30, 60][n % 2];
        fs::write(folder.join("recipe.toml"), corpus::recipe(words_min)).unwrap();
        kill_after(start(&args, &folder.0), spans[&words_min].mul_f64(0.5 + 0.6 * rng.next_f64()));
        gristmill(&args, &folder.0).expect(0);
        assert_tidy(&folder.join("work"));
        assert_same(&tree(&folder.join("work/dataset")), &expected[&words_min], &format!("kill {n}"));
    }
}

/// Steps of the training that is killed, and between its checkpoints.
const STEPS: u64 = 60;
const CHECKPOINT_EVERY: u64 = 4;
/// Kills of a training, and how many of them while it writes a checkpoint.
const TRAIN_KILLS: u64 = 20;
const TRAIN_KILLS_WRITING: u64 = 8;

fn train(folder: &Path, out: &str, threads: u64) -> Command {
    let settings = [
        format!("steps={STEPS}"),
        format!("checkpoint_every={CHECKPOINT_EVERY}"),
        "eval_every=25".into(),
        "layers=1".into(),
        "width=32".into(),
        "heads=2".into(),
        "batch_sequences=1".into(),
        "accumulate=2".into(),
        "dropout=0.1".into(),
    ];
    let dataset = folder.join("work/dataset").to_str().unwrap().to_owned();
    let mut args = vec!["train".to_owned(), dataset, "--out".into(), out.into(), "--progress=json".into()];
    args.extend(settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]));
    let mut command = command(&args, folder);
    command.env("RAYON_NUM_THREADS", threads.to_string());
    command
}

/// SIGKILL a moment after the first event that is waited for; whether it came before the end.
fn kill_at(mut command: Command, wanted: impl Fn(&str, u64) -> bool, wait: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        // A word to the person who started it is no event.
        let Ok(event) = serde_json::from_str::<Value>(&line.unwrap()) else { continue };
        if wanted(event["event"].as_str().unwrap(), event["step"].as_u64().unwrap_or(0)) {
            std::thread::sleep(wait);
            child.kill().unwrap();
            break;
        }
    }
    child.wait().unwrap().code().is_none()
}

/// At random steps, and while a checkpoint is written, with another count of threads each time.
#[test]
fn a_training_killed_at_twenty_steps_ends_with_the_same_bytes() {
    let folder = Folder::new("train");
    corpus::write_all(&folder.0, 23, 40);
    gristmill(&["build", "recipe.toml", "--workdir", "work"], &folder.0).expect(0);
    let bytes = |out: &str| tree(&folder.join(out));
    common::finish(&mut train(&folder.0, "whole", 2)).expect(0);
    let expected = bytes("whole");
    assert!(
        ["metrics.parquet", "evaluations.parquet", "training.json"].iter().all(|f| expected.contains_key(*f))
    );
    let mut rng = Rng::new(seed(3, "kills", 0));
    let (mut kills, mut torn) = (0, 0);
    for round in 0..2 {
        let out = format!("killed-{round}");
        let share = |n: u64| n / 2;
        let mut moments: Vec<(u64, bool)> = (0..share(TRAIN_KILLS))
            .map(|n| (1 + rng.below(STEPS - CHECKPOINT_EVERY), n < share(TRAIN_KILLS_WRITING)))
            .collect();
        moments.sort_unstable();
        for (step, writing) in moments {
            let event = if writing { "checkpointing" } else { "step" };
            let wait = Duration::from_micros(rng.below(if writing { 1500 } else { 10_000 }));
            let threads = 1 + rng.below(5);
            kills += u64::from(kill_at(
                train(&folder.0, &out, threads),
                |told, at| told == event && at >= step,
                wait,
            ));
            let names = common::paths(&folder.join(&out));
            torn += u64::from(
                names.iter().any(|name| name.starts_with("checkpoints/") && name.contains(".part")),
            );
        }
        common::finish(&mut train(&folder.0, &out, 3)).expect(0);
        assert_same(&bytes(&out), &expected, &out);
    }
    eprintln!("{kills} kills, {torn} of them left a part of a checkpoint");
    assert!(kills == TRAIN_KILLS && torn > 0, "{kills} kills, {torn} while a checkpoint was written");
    common::finish(&mut train(&folder.0, "threads", 5)).expect(0);
    assert_same(&bytes("threads"), &expected, "5 threads");
}

const PAGES: u64 = 160;
const CONNECTIONS: usize = 4;

#[test]
fn a_killed_crawl_goes_on_without_fetching_again() {
    let page = |path: &str| {
        let n: u64 = match path {
            "/" => 0,
            _ => match path.strip_prefix("/page/").and_then(|n| n.parse().ok()) {
                Some(n) if n < PAGES => n,
                _ => return Answer::NotFound,
            },
        };
        let links: String =
            (n * 3 + 1..=n * 3 + 3).map(|n| format!("<a href=\"/page/{n}\">next</a>\n")).collect();
        let text = corpus::prose(&mut Rng::new(seed(9, "site", n)), 12).replace("\n\n", "</p><p>");
        Answer::Page(format!(
            "<html><head><title>{n}</title></head><body><main><p>{text}</p></main>{links}</body>"
        ))
    };
    let site = Site::serve(Duration::from_millis(25), page);
    let folder = Folder::new("crawl");
    folder.write(
        "recipe.toml",
        format!(
            "name = \"site\"\n[sources.site]\nkind = \"source.crawl\"\nseeds = [\"{}\"]\nuser_agent = \"test/1.0 \
             (+mailto:nobody@test.invalid)\"\nallow_private = true\ndelay_ms = 0\nhost_connections = {CONNECTIONS}\n\
             retry_ms = 10\n[[stages]]\nkind = \"extract.html\"\n",
            site.url("/")
        ),
    );
    let args = ["build", "recipe.toml", "--workdir", "work"];
    let mut kills = 0;
    let mut rng = Rng::new(seed(4, "kills", 0));
    for _ in 0..4 {
        let wait = Duration::from_millis(120 + rng.below(150));
        kills += usize::from(kill_after(start(&args, &folder.0), wait));
    }
    let seen = site.asked().len();
    assert!(
        kills >= 3 && seen > 3 && seen < PAGES as usize + 10,
        "{kills} kills, {seen} requests before the end"
    );
    gristmill(&args, &folder.0).expect(0);
    let asked = site.asked();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for path in asked.iter().filter(|p| p.starts_with("/page/") || *p == "/") {
        *times.entry(path).or_default() += 1;
    }
    // A kill can lose what was under way, and the next run asks for it again; nothing else is asked for twice.
    let again: usize = times.values().map(|n| n - 1).sum();
    assert!(again <= kills * CONNECTIONS, "{again} pages fetched again after {kills} kills: {times:?}");
    let report = report(&folder.join("work"));
    assert_conserved(&report);
    assert_eq!(node(&report, "documents")["counts"]["kept"], PAGES, "{report:#}");
    assert_tidy(&folder.join("work"));
    // The dataset is of the archive alone: built again, without a server, it is the same.
    drop(site);
    let expected = tree(&folder.join("work/dataset"));
    fs::remove_dir_all(folder.join("work/dataset")).unwrap();
    fs::remove_dir_all(folder.join("work/cache")).unwrap();
    gristmill(&args, &folder.0).expect(0);
    assert_same(&tree(&folder.join("work/dataset")), &expected, "from the archive");
}
