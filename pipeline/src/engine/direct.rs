//! One source, one global and one sink, without a cache: what `gristmill stage` runs.
//!
//! A build keeps every row and every verdict under a key, so that nothing is done twice. A stage alone is run once, and
//! most of its time would go into what nobody reads again. Here rows wait for their judge in one file that goes with the run; map,
//! sort, reduce, settle and judge are those of a build, and so is the result.

use super::barrier::{Spillers, mapped_memory, reduce_all, settle_all};
use super::error::RunError;
use super::frames::{Body, Codec, Content};
use super::report::{Committed, Counts, NodeReport, Report};
use super::seal::Hand;
use super::settled::Settlement;
use super::shuffle::Shuffle;
use super::trace::with_added;
use super::{Options, Workdir, surprise};
use crate::dag::{Dag, conform};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use rayon::prelude::*;
use schemas::{
    Context, Event, Global, Intakes, Made, Observer, Outcome, PARTITIONS, Records, Sink, Source, Split,
    StageError, Verdict, partition,
};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::iter::Fuse;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Bytes of input up to which the rows that wait lie as they are.
const PLAIN_BYTES_MAX: u64 = 4 << 30;
const BUFFER_BYTES: usize = 256 << 10;

/// Is given every batch with the word on its rows, and the name of the node that spoke; in order. What a sink leaves out of rows that
/// wait ([`Sink::narrow`]) is not in those of the global. An error names its file.
pub type Told<'a> =
    &'a mut dyn FnMut(&str, &RecordBatch, &[Verdict]) -> Result<(), (PathBuf, std::io::Error)>;

/// Runs a DAG of one source, one global and one sink; `None` when it is another. What the global settles into files goes into the folder
/// `files`.
///
/// # Errors
/// See [`RunError`]; those of `told` as `Io`.
pub fn direct(
    dag: &Dag,
    options: &Options,
    observer: &dyn Observer,
    told: Told<'_>,
    files: Option<&Path>,
) -> Result<Option<Report>, RunError> {
    let [source, global, sink] = dag.nodes.as_slice() else { return Ok(None) };
    let (Made::Source(source), Made::Global(global), Made::Sink(sink)) =
        (&source.made, &global.made, &sink.made)
    else {
        return Ok(None);
    };
    let start = Instant::now();
    let workdir = Workdir(options.workdir.clone());
    fs::create_dir_all(workdir.scratch()).map_err(RunError::io(&workdir.scratch()))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool = pool.map_err(|e| RunError::io(&workdir.0)(std::io::Error::other(e)))?;
    let archive = workdir.archive(&dag.nodes[0].name);
    let context = Context { base: &options.base, archive: &archive, observer };
    let named = || RunError::source(&dag.nodes[0].name);
    source.prepare(&context).map_err(named())?;
    let splits = source.splits(&context).map_err(named())?;
    let narrow = |batch: &RecordBatch| match global.judges_text() {
        true => Ok(batch.clone()),
        false => sink.narrow(batch, source.text_of_row()),
    };
    let mut work = Work {
        dag,
        memory_bytes: options.memory_bytes,
        workdir,
        observer,
        pool,
        told,
        counts: vec![Counts::default(); 3],
        spilled: AtomicUsize::new(0),
        narrow: &narrow,
    };
    let (rows, mapped) = work.map(source.as_ref(), &splits, global.as_ref())?;
    let settlement = work.settle(global.as_ref(), mapped)?;
    work.judge(rows, &settlement, sink.as_ref())?;
    // Files of rows of which none could be read would take the place of better ones.
    match files {
        Some(_) if work.counts[0].has_lost_all() => {}
        Some(folder) => {
            let is_read = |path: &PathBuf| {
                let place = path.canonicalize().ok();
                place.is_some() && splits.iter().any(|split| split.path.canonicalize().ok() == place)
            };
            if let Some(path) = settlement.files().map(|name| folder.join(name)).find(is_read) {
                let error = std::io::Error::other("is a file that the run reads; name another folder");
                return Err(RunError::io(&path)(error));
            }
            settlement.write_files(folder)?;
        }
        None => settlement.files().for_each(|name| {
            let message = format!("`{name}` was made and is not kept: name a folder for it with `--files`");
            observer.event(Event::Note { message: &message });
        }),
    }
    let surprises = surprise::find(dag, &work.counts);
    surprise::refuse(&surprises)?;
    Ok(Some(work.report(splits, surprises, start.elapsed().as_secs_f64())))
}

struct Work<'a> {
    dag: &'a Dag,
    memory_bytes: usize,
    workdir: Workdir,
    observer: &'a dyn Observer,
    pool: rayon::ThreadPool,
    told: Told<'a>,
    /// Of source, global and sink.
    counts: Vec<Counts>,
    spilled: AtomicUsize,
    /// What is left of rows that wait: what nobody behind needs is left out.
    narrow: &'a (dyn Fn(&RecordBatch) -> Result<RecordBatch, StageError> + Sync),
}

impl Work<'_> {
    /// Reads all rows into the file in which they wait, and maps them.
    fn map(
        &mut self,
        source: &dyn Source,
        splits: &[Split],
        global: &dyn Global,
    ) -> Result<(Rows, Shuffle), RunError> {
        let dag = self.dag;
        let [node, reader] = [&dag.nodes[0], &dag.nodes[1]];
        let scratch = self.workdir.scratch();
        let lent = mapped_memory(self.memory_bytes, &self.pool);
        let shuffle = Shuffle::create(&scratch.join("mapped"), PARTITIONS + 1, lent)
            .map_err(RunError::stage(&reader.name))?
            .sieved(!global.reads_lone_keys());
        let spillers = Spillers::new(&shuffle);
        let bytes = splits.iter().map(|split| split.end - split.start).sum();
        let mut rows =
            RowsWriter::create(scratch.join("rows"), &self.waiting(&reader.name, &reader.input)?, bytes)?;
        self.phase(&reader.name, splits.len());
        let (idle, narrow) = (Mutex::<Vec<Records>>::default(), self.narrow);
        for split in splits {
            let mut intakes = source.read(split).map_err(RunError::source(&node.name))?.fuse();
            loop {
                let wave = self.wave(&mut intakes)?;
                if wave.is_empty() {
                    break;
                }
                let map = |batch: &RecordBatch| {
                    // Memory of an earlier batch: fresh pages cost more than what is written to them.
                    let idle = || idle.lock().expect("no thread panics while it takes records");
                    let mut records = idle().pop().unwrap_or_default();
                    records.clear();
                    global.map(batch, &mut records)?;
                    let taken = spillers.lend(|spiller| spiller.take(&shuffle, &records, partition));
                    idle().push(records);
                    taken.and_then(|()| narrow(batch))
                };
                let narrowed: Result<Vec<_>, _> = self.pool.install(|| wave.par_iter().map(map).collect());
                let narrowed = narrowed.map_err(RunError::stage(&reader.name))?;
                narrowed.iter().try_for_each(|batch| rows.write(batch))?;
            }
            let unchanged = source.stamp(split).and_then(|now| now.refuse_change(&split.stamp));
            unchanged.map_err(RunError::source(&node.name))?;
            self.observer.event(Event::Advance { units: 1 });
        }
        spillers.finish().map_err(RunError::stage(&reader.name))?;
        self.spilled.fetch_add(shuffle.spilled(), Ordering::Relaxed);
        Ok((rows.finish()?, shuffle))
    }

    /// The next batches that have rows; none at the end.
    fn wave(&mut self, intakes: &mut Fuse<Intakes<'_>>) -> Result<Vec<RecordBatch>, RunError> {
        let [node, reader] = [&self.dag.nodes[0], &self.dag.nodes[1]];
        let failed = |error: ArrowError| RunError::stage(&reader.name)(error.into());
        let mut wave = Vec::new();
        while wave.len() < 2 * self.pool.current_num_threads() {
            let Some(intake) = intakes.next().transpose().map_err(RunError::source(&node.name))? else {
                break;
            };
            let outcome = Outcome { verdicts: intake.verdicts, columns: Vec::new(), signals: Vec::new() };
            let batch = self.pass(0, &intake.batch, &outcome)?;
            let batch = conform(batch, &reader.input).map_err(failed)?;
            if batch.num_rows() > 0 {
                self.counts[1].blank += super::trace::blank(reader, &batch).true_count() as u64;
                wave.push(batch);
            }
        }
        Ok(wave)
    }

    /// The columns of a node, as far as rows wait with them.
    fn waiting(&self, node: &str, schema: &SchemaRef) -> Result<SchemaRef, RunError> {
        let narrowed = (self.narrow)(&RecordBatch::new_empty(schema.clone()));
        narrowed.map(|batch| batch.schema()).map_err(RunError::stage(node))
    }

    fn settle(&self, global: &dyn Global, mapped: Shuffle) -> Result<Settlement, RunError> {
        let name = &self.dag.nodes[1].name;
        self.observer.event(Event::Phase { name: &format!("settle {name}"), total: PARTITIONS as u64 });
        let scratch = self.workdir.scratch();
        let folder = scratch.join("reduced");
        let reduced = reduce_all(global, mapped, (&folder, self.memory_bytes), &self.pool, self.observer)
            .map_err(RunError::stage(name))?;
        self.spilled.fetch_add(reduced.reduced.spilled(), Ordering::Relaxed);
        let path = scratch.join("settled");
        let desk = (scratch.join("desk"), self.memory_bytes);
        settle_all(global, name, reduced, desk, &self.spilled, (&path, Hand { node: 1, stream: 0 }))?;
        let judge = |settled: &_| global.judge(settled).map_err(RunError::stage(name));
        Settlement::open(&path, judge)
    }

    /// Judges the rows that waited and writes those that stay.
    fn judge(&mut self, rows: Rows, settlement: &Settlement, sink: &dyn Sink) -> Result<(), RunError> {
        let dag = self.dag;
        let [node, reader] = [&dag.nodes[1], &dag.nodes[2]];
        let folder = self.workdir.scratch().join("out");
        fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
        let input = self.waiting(&reader.name, &reader.input)?;
        let mut writer = sink.open(&folder, &input, &[]).map_err(RunError::stage(&reader.name))?;
        self.phase(&format!("behind {}", node.name), 0);
        let (mut rows, mut ended) = (rows.open()?, false);
        while !ended {
            let mut wave = Vec::new();
            while wave.len() < 2 * self.pool.current_num_threads() && !ended {
                match rows.next().transpose()? {
                    Some(batch) => wave.push(batch),
                    None => ended = true,
                }
            }
            let judge = |batch: &RecordBatch| settlement.judge(batch);
            let outcomes: Result<Vec<Outcome>, _> =
                self.pool.install(|| wave.par_iter().map(judge).collect());
            let outcomes = outcomes.map_err(RunError::stage(&node.name))?;
            for (batch, outcome) in wave.iter().zip(&outcomes) {
                let out = self.pass(1, batch, outcome)?;
                if out.num_rows() > 0 {
                    let out = conform(out, &input).map_err(|e| RunError::stage(&reader.name)(e.into()))?;
                    writer.write(&out).map_err(RunError::stage(&reader.name))?;
                    self.counts[2].rows_in += out.num_rows() as u64;
                }
            }
        }
        writer.finish().map_err(RunError::stage(&reader.name))?;
        self.counts[2].kept = self.counts[2].rows_in;
        self.conserve()
    }

    /// Counts and tells of what a node said, and gives the rows that stay.
    fn pass(&mut self, at: usize, batch: &RecordBatch, outcome: &Outcome) -> Result<RecordBatch, RunError> {
        let node = &self.dag.nodes[at];
        let output = if at == 0 { node.output.clone() } else { self.waiting(&node.name, &node.output)? };
        let out = outcome.select(batch, &output).map_err(RunError::stage(&node.name))?;
        let counts = &mut self.counts[at];
        outcome.verdicts.iter().for_each(|verdict| counts.add(verdict, false));
        let told = with_added(batch, outcome).map_err(|e| RunError::stage(&node.name)(e.into()))?;
        let told = (self.told)(&node.name, &told, &outcome.verdicts);
        told.map_err(|(path, error)| RunError::Io { path, error })?;
        let rows = batch.num_rows() as u64;
        let dropped = rows - out.num_rows() as u64;
        self.observer.event(Event::Rows { node: &node.name, rows, dropped });
        Ok(out)
    }

    /// Rows in = rows kept + rows dropped; rows in = rows that the node before kept.
    fn conserve(&self) -> Result<(), RunError> {
        let given = [self.counts[0].rows_in, self.counts[0].kept, self.counts[1].kept];
        for ((node, counts), rows_in) in self.dag.nodes.iter().zip(&self.counts).zip(given) {
            let (kept, dropped) = (counts.kept, counts.dropped_rows());
            if counts.rows_in != rows_in || kept + dropped != rows_in {
                return Err(RunError::Conservation { node: node.name.clone(), rows_in, kept, dropped });
            }
        }
        Ok(())
    }

    fn phase(&self, name: &str, total: usize) {
        self.observer.event(Event::Phase { name, total: total as u64 });
    }

    fn report(self, splits: Vec<Split>, surprises: Vec<super::Surprising>, seconds: f64) -> Report {
        let (dag, spilled) = (self.dag, self.spilled.into_inner());
        let mut names = [splits.into_iter().map(|split| split.name).collect(), Vec::new(), Vec::new()];
        let nodes = dag.nodes.iter().zip(self.counts).enumerate().map(|(at, (node, counts))| NodeReport {
            name: node.name.clone(),
            kind: node.spec.kind.to_owned(),
            version: node.spec.version,
            inputs: node.inputs.iter().map(|&n| dag.nodes[n].name.clone()).collect(),
            hash: node.hash.to_string(),
            settings: node.shown.clone(),
            facts: node.facts.clone(),
            splits: std::mem::take(&mut names[at]),
            counts,
            computed: 1,
            cached: 0,
            spilled_runs: if at == 1 { spilled } else { 0 },
            traces: Vec::new(),
        });
        Report {
            name: dag.name.clone(),
            build: String::new(),
            committed: Committed::Written,
            nodes: nodes.collect(),
            surprises,
            seconds,
        }
    }
}

/// Writes rows that wait.
struct RowsWriter {
    stream: StreamWriter<Body<BufWriter<File>>>,
    path: PathBuf,
}

impl RowsWriter {
    fn create(path: PathBuf, schema: &SchemaRef, input_bytes: u64) -> Result<Self, RunError> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, File::create(&path).map_err(RunError::io(&path))?);
        let body = Body::new(Codec::of(input_bytes, PLAIN_BYTES_MAX), file).map_err(RunError::io(&path))?;
        let stream = StreamWriter::try_new(body, schema).map_err(RunError::arrow(&path))?;
        Ok(Self { stream, path })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        self.stream.write(batch).map_err(RunError::arrow(&self.path))
    }

    fn finish(self) -> Result<Rows, RunError> {
        let body = self.stream.into_inner().map_err(RunError::arrow(&self.path))?;
        body.finish().and_then(|mut file| file.flush()).map_err(RunError::io(&self.path))?;
        Ok(Rows { path: self.path })
    }
}

/// Rows that wait in a file.
struct Rows {
    path: PathBuf,
}

impl Rows {
    fn open(self) -> Result<impl Iterator<Item = Result<RecordBatch, RunError>>, RunError> {
        let content = File::open(&self.path).and_then(Content::new).map_err(RunError::io(&self.path))?;
        let stream = StreamReader::try_new(content, None).map_err(RunError::arrow(&self.path))?;
        Ok(stream.map(move |batch| batch.map_err(RunError::arrow(&self.path))))
    }
}
