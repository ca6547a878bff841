//! A whole run: sources, feeds, barriers in the order of the DAG, commit.

use super::error::RunError;
use super::feed::{Feed, rows_of, run_feed};
use super::lock::Lock;
use super::report::{Committed, NodeReport, Report};
use super::shuffle::{RunReader, RunWriter, Shuffle, Spiller};
use super::stream::Streams;
use super::{Options, Workdir, commit, parent, tidy};
use crate::dag::{Dag, Hash};
use rayon::prelude::*;
use schemas::hash::FastMap;
use schemas::{Context, Event, Global, Made, Manifest, Observer, Records, Settled, Stage};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

/// Partitions of a shuffle: a constant, so that results never depend on threads.
const PARTITIONS: usize = 16;

/// What all parts of a run share.
pub(super) struct Run<'a> {
    pub(super) dag: &'a Dag,
    pub(super) workdir: Workdir,
    pub(super) streams: Streams,
    pub(super) observer: &'a dyn Observer,
    pub(super) pool: rayon::ThreadPool,
    pub(super) memory_bytes: usize,
    settled: Vec<OnceLock<Settled>>,
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
    let streams = Streams::list(dag, workdir, &options.base, observer)?;
    let build = streams.build_key(dag);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let run = Run {
        settled: dag.nodes.iter().map(|_| OnceLock::new()).collect(),
        touched: Mutex::default(),
        memory_bytes: options.memory_bytes,
        pool: pool.map_err(|e| RunError::io(&workdir.0)(std::io::Error::other(e)))?,
        dag,
        workdir: workdir.clone(),
        streams,
        observer,
    };
    let current = commit::current(&run.workdir, build)?;
    let (manifest, committed) = match current {
        Some(manifest) => (manifest, Committed::Current),
        None => {
            run.compute()?;
            (commit::commit(&run, build)?, Committed::Written)
        }
    };
    let report = run.report(&manifest, build, committed, start.elapsed().as_secs_f64());
    report.write(&run.workdir.report())?;
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
            if let Made::Global(global) = &node.made {
                let feeds: Vec<Feed> = self.feeds(n).collect();
                if feeds.iter().any(|f| f.is_missing(self.dag, self)) {
                    self.settle(n, global.as_ref())?;
                }
                self.run_feeds(&format!("behind {}", node.name), feeds)?;
            }
        }
        Ok(())
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

    /// The settled stage of a global node.
    pub(super) fn settled_stage(&self, node: usize) -> &dyn Stage {
        self.settled[node].get().expect("a barrier is passed before what lies behind it").stage.as_ref()
    }

    /// What a global node settled into, made when it is first asked for.
    pub(super) fn settled(&self, node: usize) -> Result<&Settled, RunError> {
        if self.settled[node].get().is_none()
            && let Made::Global(global) = &self.dag.nodes[node].made
        {
            self.settle(node, global.as_ref())?;
        }
        Ok(self.settled[node].get().expect("it was settled"))
    }

    fn settle(&self, node: usize, global: &dyn Global) -> Result<(), RunError> {
        let name = &self.dag.nodes[node].name;
        let key = self.streams.settlement[node].expect("a global node has a settlement key");
        let path = self.workdir.settled(key);
        let kept = if path.exists() { read_run(&path)? } else { None };
        let records = kept.map_or_else(|| self.reduce(node, global, key), Ok)?;
        let settled = global.settle(&records).map_err(RunError::stage(name))?;
        self.settled[node].set(settled).unwrap_or_else(|_| unreachable!("a node settles once"));
        Ok(())
    }

    fn reduce(&self, node: usize, global: &dyn Global, key: Hash) -> Result<Records, RunError> {
        let name = &self.dag.nodes[node].name;
        let partition = |key: &[u8]| (xxhash_rust::xxh3::xxh3_64(key) % PARTITIONS as u64) as usize;
        let map = |batch: &arrow::array::RecordBatch, records: &mut Records| {
            global.map(batch, records).map_err(RunError::stage(name))
        };
        let shuffle = self.shuffle(node, PARTITIONS, partition, |_, batch, records| map(batch, records))?;
        self.observer.event(Event::Phase { name: &format!("settle {name}"), total: PARTITIONS as u64 });
        let reduce = |partition: usize| {
            let mut out = Records::default();
            global.reduce(&mut shuffle.merge(partition)?, &mut out).map_err(RunError::stage(name))?;
            self.observer.event(Event::Advance { units: 1 });
            Ok(out)
        };
        let parts: Vec<Records> = self
            .pool
            .install(|| (0..PARTITIONS).into_par_iter().map(reduce).collect::<Result<_, RunError>>())?;
        shuffle.remove()?;
        let mut all = Records::default();
        parts.iter().flat_map(Records::iter).for_each(|r| all.push(r.key, r.value));
        write_run(&self.workdir.settled(key), &all)?;
        Ok(all)
    }

    /// Maps all rows that come into a node to sorted records on disk.
    pub(super) fn shuffle(
        &self,
        node: usize,
        partitions: usize,
        partition: impl Fn(&[u8]) -> usize + Sync,
        map: impl Fn(usize, &arrow::array::RecordBatch, &mut Records) -> Result<(), RunError> + Sync,
    ) -> Result<Shuffle, RunError> {
        let name = &self.dag.nodes[node].name;
        let jobs = self.streams.of[node].len();
        self.observer.event(Event::Phase { name: &format!("shuffle {name}"), total: jobs as u64 });
        let shuffle = Shuffle::create(&self.workdir.scratch().join(name), partitions)?;
        let budget = (self.memory_bytes / self.pool.current_num_threads()).max(1 << 20);
        self.lanes(jobs, |stream| {
            let mut spiller = Spiller::new(&shuffle, budget);
            let mut records = Records::default();
            for batch in rows_of(&self.workdir, self.dag, node, self.streams.input_key(node, stream))? {
                records.clear();
                map(stream, &batch?, &mut records)?;
                spiller.add(&records, &partition)?;
            }
            spiller.finish()?;
            self.observer.event(Event::Advance { units: 1 });
            Ok(())
        })?;
        Ok(shuffle)
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
                hash: node.hash.to_string(),
                settings: node.shown.clone(),
                counts: commit::counts_of(row),
                computed,
                cached: streams.len() - computed,
                traces: streams.iter().map(|s| s.key.to_string()).collect(),
            }
        });
        Report {
            name: self.dag.name.clone(),
            build: build.to_string(),
            committed,
            nodes: nodes.collect(),
            seconds,
        }
    }
}

/// Writes records with their count behind them, so that a torn file is known as one.
fn write_run(path: &std::path::Path, records: &Records) -> Result<(), RunError> {
    fs::create_dir_all(parent(path)).map_err(RunError::io(path))?;
    let part = path.with_extension("part");
    let mut run = RunWriter::create(&part).map_err(RunError::io(&part))?;
    let count = (records.len() as u64).to_le_bytes();
    let end = schemas::Record { key: &[], value: &count };
    let written = records.iter().chain([end]).try_for_each(|r| run.write(r));
    written.and_then(|()| run.finish()).map_err(RunError::io(&part))?;
    fs::rename(&part, path).map_err(RunError::io(path))
}

/// Reads what [`write_run`] wrote; `None` when the file is torn.
fn read_run(path: &std::path::Path) -> Result<Option<Records>, RunError> {
    let mut run = RunReader::open(path).map_err(RunError::io(path))?;
    let mut records = Records::default();
    loop {
        match run.advance() {
            Ok(true)
                if run.record().key.is_empty()
                    && run.record().value == (records.len() as u64).to_le_bytes() =>
            {
                return Ok(Some(records));
            }
            Ok(true) => records.push(run.record().key, run.record().value),
            Ok(false) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(RunError::io(path)(error)),
        }
    }
}
