//! A whole run: sources, feeds, barriers in the order of the DAG, commit.

use super::error::RunError;
use super::feed::{Feed, run_feed};
use super::frames::Codec;
use super::lock::Lock;
use super::report::{Committed, NodeReport, Report};
use super::rows::{is_added, kept_columns};
use super::settled::Settlement;
use super::stream::Streams;
use super::{Options, Workdir, commit, publish, seal, surprise, tidy};
use crate::dag::{Dag, Hash};
use schemas::hash::{FastMap, FastSet};
use schemas::{Context, Event, Made, Manifest, Observer, Split};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

/// Bytes of input up to which rows and traces lie in the cache as they are.
const PLAIN_BYTES_MAX: u64 = 1 << 30;

/// What all parts of a run share.
pub(super) struct Run<'a> {
    pub(super) dag: &'a Dag,
    pub(super) workdir: Workdir,
    pub(super) streams: Streams,
    pub(super) observer: &'a dyn Observer,
    pub(super) pool: rayon::ThreadPool,
    pub(super) memory_bytes: usize,
    /// How rows and traces lie in the cache.
    pub(super) codec: Codec,
    /// What each global node settled.
    pub(super) settled: Vec<OnceLock<Settlement>>,
    /// Sorted runs that each node spilled.
    pub(super) spilled: Vec<AtomicUsize>,
    /// Files of the cache that were found whole.
    whole: Mutex<FastSet<PathBuf>>,
    /// Whether a (node, stream) was worked on.
    touched: Mutex<FastMap<(usize, usize), bool>>,
}

/// Runs a DAG to a committed dataset.
///
/// # Errors
/// See [`RunError`]. What was done before the error is in the cache.
pub fn run(dag: &Dag, options: &Options, observer: &dyn Observer) -> Result<Report, RunError> {
    let workdir = Workdir(options.workdir.clone());
    let _lock = Lock::take(&workdir.0)?;
    tidy::tidy(&workdir)?;
    let report = work(dag, &workdir, options, observer);
    // The error of the work says more than one of the broom.
    let swept = tidy::tidy(&workdir);
    let report = report?;
    swept.map(|()| report)
}

fn work(
    dag: &Dag,
    workdir: &Workdir,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Report, RunError> {
    let start = Instant::now();
    prepare(dag, workdir, options, observer)?;
    let mut streams = Streams::list(dag, workdir, &options.base, observer)?;
    if let Some((node, error)) = streams.pending.pop() {
        return Err(RunError::source(&dag.nodes[node].name)(error));
    }
    let build = streams.build_key(dag);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let run = Run {
        settled: dag.nodes.iter().map(|_| OnceLock::new()).collect(),
        spilled: dag.nodes.iter().map(|_| AtomicUsize::new(0)).collect(),
        whole: Mutex::default(),
        touched: Mutex::default(),
        memory_bytes: options.memory_bytes,
        codec: Codec::of(streams.input_bytes(), PLAIN_BYTES_MAX),
        pool: pool.map_err(|e| RunError::io(&workdir.0)(std::io::Error::other(e)))?,
        dag,
        workdir: workdir.clone(),
        streams,
        observer,
    };
    let current = publish::current(&run.workdir, build)?;
    let path = run.workdir.report();
    let write = |manifest: &Manifest, committed| {
        let report = run.report(manifest, build, committed, start.elapsed().as_secs_f64());
        report.write(&path).map(|()| report)
    };
    let report = match current {
        Some(manifest) => {
            let counts: Vec<_> = manifest.nodes.iter().map(commit::counts_of).collect();
            surprise::refuse(&surprise::find(dag, &counts))?;
            write(&manifest, Committed::Current)?
        }
        None => {
            run.compute()?;
            // A full disk refuses the report while it still refuses the dataset too.
            commit::commit(&run, build, |manifest| write(manifest, Committed::Written))?
        }
    };
    Report::publish(&path)?;
    Ok(report)
}

fn prepare(dag: &Dag, workdir: &Workdir, options: &Options, observer: &dyn Observer) -> Result<(), RunError> {
    for node in &dag.nodes {
        if let Made::Source(source) = &node.made {
            let archive = workdir.archive(&node.name);
            let context = Context { base: &options.base, archive: &archive, observer };
            source.prepare(&context).map_err(RunError::source(&node.name))?;
        }
    }
    Ok(())
}

impl<'a> Run<'a> {
    fn compute(&self) -> Result<(), RunError> {
        let sources = self.dag.nodes.iter().enumerate().filter(|(_, n)| matches!(n.made, Made::Source(_)));
        let feeds = sources.flat_map(|(n, _)| self.feeds(n)).collect();
        self.run_feeds("stages", feeds)?;
        for (n, node) in self.dag.nodes.iter().enumerate() {
            if matches!(node.made, Made::Global(_)) {
                let feeds: Vec<Feed> = self.feeds(n).filter(|feed| !self.is_done(*feed)).collect();
                if feeds.is_empty() {
                    continue;
                }
                if self.lanes(feeds.len(), |at| feeds[at].is_missing(self))?.contains(&true) {
                    self.settlement(n)?;
                }
                self.run_feeds(&format!("behind {}", node.name), feeds)?;
            }
        }
        Ok(())
    }

    /// Whether a stream went along with the feed that came before it.
    fn is_done(&self, Feed { node, stream }: Feed) -> bool {
        self.touched.lock().expect("no thread panics while it notes a stream").contains_key(&(node, stream))
    }

    fn feeds(&self, node: usize) -> impl Iterator<Item = Feed> + use<> {
        (0..self.streams.of[node].len()).map(move |stream| Feed { node, stream })
    }

    fn run_feeds(&self, phase: &str, feeds: Vec<Feed>) -> Result<(), RunError> {
        self.observer.event(Event::Phase { name: phase, total: feeds.len() as u64 });
        let threads = self.pool.current_num_threads();
        let wave = if feeds.len() >= threads { 2 } else { 2 * threads };
        let told = self.lanes(feeds.len(), |at| {
            let told = self.pool.install(|| run_feed(self, feeds[at], wave))?;
            self.observer.event(Event::Advance { units: 1 });
            Ok(told)
        })?;
        let mut touched = self.touched.lock().expect("no thread panics while it notes a stream");
        for (feed, worked) in told.into_iter().flatten() {
            touched.insert((feed.node, feed.stream), worked);
        }
        Ok(())
    }

    /// Does jobs on as many threads as the pool has; results in the order of the jobs. An error ends the others soon.
    pub(super) fn lanes<T: Send>(
        &self,
        jobs: usize,
        work: impl Fn(usize) -> Result<T, RunError> + Sync,
    ) -> Result<Vec<T>, RunError> {
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<T, RunError>>>> = (0..jobs).map(|_| Mutex::new(None)).collect();
        let lane = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(slot) = results.get(at) else { break };
                let result = work(at);
                if result.is_err() {
                    next.store(jobs, Ordering::Relaxed);
                }
                *slot.lock().expect("each slot is filled once") = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.pool.current_num_threads().min(jobs) {
                scope.spawn(lane);
            }
        });
        let mut all = Vec::with_capacity(jobs);
        let mut filled = Vec::with_capacity(jobs);
        for slot in results {
            filled.extend(slot.into_inner().expect("each slot is filled once"));
        }
        for result in filled {
            all.push(result?);
        }
        Ok(all)
    }

    /// The split that a source feeds.
    pub(super) fn split(&self, Feed { node, stream }: Feed) -> &Split {
        &self.streams.splits[node][self.streams.of[node][stream].split]
    }

    /// Where the rows behind a node lie. A file with fewer columns than came into the node has a name of its own: it is no use to
    /// a reader that takes more.
    pub(super) fn rows(&self, node: usize, stream: usize) -> PathBuf {
        let (key, schema) = (self.streams.of[node][stream].key, &self.dag.nodes[node].output);
        let columns = kept_columns(self.dag, node);
        let added = schema.fields().iter().filter(|field| is_added(self.dag, node, field.name())).count();
        if columns.len() + added == schema.fields().len() {
            return self.workdir.rows(key);
        }
        let names: Vec<&str> = columns.iter().map(|&at| schema.field(at).name().as_str()).collect();
        self.workdir.rows(Hash::of(&[&key.0, names.join("\0").as_bytes()]))
    }

    /// Whether a file of the cache is there as it was written; a torn one is not there. Each is read once in a run.
    pub(super) fn is_whole(&self, path: &Path) -> Result<bool, RunError> {
        let whole = || self.whole.lock().expect("no thread panics while it notes a file");
        if whole().contains(path) {
            return Ok(true);
        }
        let found = seal::is_whole(path)?;
        if found {
            whole().insert(path.to_owned());
        }
        Ok(found)
    }

    /// Whether a trace is there: both of its files.
    pub(super) fn has_trace(&self, key: Hash) -> Result<bool, RunError> {
        Ok(self.is_whole(&self.workdir.trace(key))? && self.is_whole(&self.workdir.changes(key))?)
    }

    pub(super) fn note(&self, node: usize, stream: usize, worked: bool) {
        self.touched.lock().expect("no thread panics while it notes a stream").insert((node, stream), worked);
    }

    fn report(&self, manifest: &Manifest, build: Hash, committed: Committed, seconds: f64) -> Report {
        let touched = self.touched.lock().expect("no thread panics while it notes a stream");
        let nodes = self.dag.nodes.iter().zip(&manifest.nodes).enumerate().map(|(n, (node, row))| {
            let streams = &self.streams.of[n];
            let worked = |s: &usize| match node.made {
                Made::Sink(_) => committed == Committed::Written,
                _ => touched.get(&(n, *s)).copied().unwrap_or(false),
            };
            let computed = (0..streams.len()).filter(worked).count();
            NodeReport {
                name: node.name.clone(),
                kind: node.spec.kind.to_owned(),
                version: node.spec.version,
                inputs: node.inputs.iter().map(|&n| self.dag.nodes[n].name.clone()).collect(),
                hash: node.hash.to_string(),
                settings: node.shown.clone(),
                facts: node.facts.clone(),
                splits: self.streams.splits[n].iter().map(|split| split.name.clone()).collect(),
                counts: commit::counts_of(row),
                computed,
                cached: streams.len() - computed,
                spilled_runs: self.spilled[n].load(Ordering::Relaxed),
                traces: streams.iter().map(|s| s.key.to_string()).collect(),
            }
        });
        let counts: Vec<_> = manifest.nodes.iter().map(commit::counts_of).collect();
        Report {
            surprises: surprise::find(self.dag, &counts),
            name: self.dag.name.clone(),
            build: build.to_string(),
            committed,
            nodes: nodes.collect(),
            seconds,
        }
    }
}
