//! From caches to a dataset: everything is written beside it, hashed, described by a manifest and renamed into place.

use super::error::RunError;
use super::report::Counts;
use super::rows::rows_of;
use super::run::Run;
use super::seal::Hand;
use super::trace::{Frame, TraceWriter};
use super::{publish, surprise, table};
use crate::dag::{Hash, Node};
use crate::digest::{Digest, digest};
use crate::forget;
use arrow::array::{Array, Int32Array, RecordBatch};
use rayon::prelude::*;
use schemas::manifest::{self, File as FileRow, Tokens};
use schemas::{Event, Made, Manifest, Planned, Regroup, Sink, Sorted, StageError, Tally, token};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The counts of a node in a manifest.
pub(super) fn counts_of(row: &manifest::Node) -> Counts {
    let manifest::Node { rows_in, kept, edited, blank, .. } = *row;
    Counts { rows_in, kept, edited, dropped: row.dropped.clone(), blank }
}

/// How rows come into their order: what a reader needs to know to make the same.
const SHUFFLE: &str = "pieces by xxh3-128 of document and piece, rows of a window by splitmix64";

/// Rows of each file, by its path.
type Rows = BTreeMap<PathBuf, u64>;

struct Commit<'a> {
    run: &'a Run<'a>,
    folder: PathBuf,
    metadata: Vec<(String, String)>,
    rows: Mutex<Rows>,
    counts: Vec<Counts>,
    /// Tokens in each folder of each regroup.
    tokens: Mutex<BTreeMap<(usize, &'static str), u64>>,
}

/// Writes the dataset of a run whose cache is complete. What `report` makes of its manifest is made before the dataset takes its place.
pub(super) fn commit<T>(
    run: &Run<'_>,
    build: Hash,
    report: impl FnOnce(&Manifest) -> Result<T, RunError>,
) -> Result<T, RunError> {
    run.observer.event(Event::Phase { name: "commit", total: run.dag.nodes.len() as u64 });
    let folder = run.workdir.unfinished();
    fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
    let metadata = vec![
        ("gristmill.dataset".to_owned(), run.dag.name.clone()),
        ("gristmill.build".to_owned(), build.to_string()),
    ];
    let counts = vec![Counts::default(); run.dag.nodes.len()];
    let (rows, tokens) = (Mutex::default(), Mutex::default());
    let mut commit = Commit { run, folder, metadata, rows, counts, tokens };
    commit.regroups()?;
    commit.sinks()?;
    commit.tables()?;
    commit.conserve()?;
    commit.refuse_empty()?;
    surprise::refuse(&surprise::find(run.dag, &commit.counts))?;
    let facts = commit.files()?;
    let manifest = commit.manifest(build, &facts)?;
    let (manifest, gone) =
        forget::again(&run.workdir.dataset(), &commit.folder, manifest).map_err(RunError::Forgotten)?;
    if gone > 0 {
        let message =
            format!("{gone} documents stay out of the dataset: they were forgotten ({})", forget::FILE);
        run.observer.event(Event::Note { message: &message });
    }
    let report = report(&manifest)?;
    publish::publish(&run.workdir, &commit.folder, &manifest)?;
    Ok(report)
}

impl Commit<'_> {
    fn node(&self, at: usize) -> &Node {
        &self.run.dag.nodes[at]
    }

    fn note(&self, written: impl IntoIterator<Item = (PathBuf, u64)>) {
        self.rows.lock().expect("no thread panics while it notes a file").extend(written);
    }

    /// Runs the regroups: their rows go straight to the sinks that read them.
    fn regroups(&mut self) -> Result<(), RunError> {
        for at in 0..self.run.dag.nodes.len() {
            if let Made::Regroup(regroup) = &self.node(at).made {
                let planned = self.plan(at, regroup.as_ref())?;
                let work = planned.as_ref().map_or(regroup, |planned| &planned.work);
                let sequences = self.regroup(at, work.as_ref())?;
                for reader in self.run.dag.readers(at) {
                    self.counts[reader] = Counts { rows_in: sequences, kept: sequences, ..Counts::default() };
                }
            }
        }
        Ok(())
    }

    /// Counts all rows for a regroup that needs it, and writes the files of what it planned.
    fn plan(&self, at: usize, regroup: &dyn Regroup) -> Result<Option<Planned>, RunError> {
        if !regroup.counts() {
            return Ok(None);
        }
        let (run, name) = (self.run, &self.node(at).name);
        let jobs = run.streams.of[at].len();
        run.observer.event(Event::Phase { name: &format!("count {name}"), total: jobs as u64 });
        let all = Mutex::new(Tally::new());
        let locked = || all.lock().expect("no thread panics while it adds what it counted");
        run.lanes(jobs, |stream| {
            let mut tally = Tally::new();
            for batch in rows_of(run, at, stream)? {
                regroup.count(&batch?, &mut tally).map_err(RunError::stage(name))?;
            }
            // Here and not at the end: a tally of each stream would be held until then.
            let mut all = locked();
            tally.into_iter().for_each(|(key, count)| *all.entry(key).or_default() += count);
            run.observer.event(Event::Advance { units: 1 });
            Ok(())
        })?;
        let planned = regroup.plan(&locked()).map_err(RunError::stage(name))?;
        for (file, bytes) in planned.iter().flat_map(|planned| &planned.files) {
            let path = self.folder.join(file);
            fs::write(&path, bytes).map_err(RunError::io(&path))?;
        }
        for message in planned.iter().flat_map(|planned| &planned.notes) {
            run.observer.event(Event::Note { message: &format!("{name}: {message}") });
        }
        Ok(planned)
    }

    fn regroup(&self, at: usize, regroup: &dyn Regroup) -> Result<u64, RunError> {
        let (run, node) = (self.run, self.node(at));
        let streams = &run.streams.of[at];
        let trace = |stream: usize| -> Result<_, RunError> {
            let (key, hand) = (streams[stream].key, Hand { node: at, stream });
            let missing = !run.has_trace(key)?;
            Ok(Mutex::new(missing.then(|| TraceWriter::new(&run.workdir, key, hand, run.codec))))
        };
        let traces: Vec<Mutex<Option<TraceWriter>>> =
            (0..streams.len()).map(trace).collect::<Result<_, _>>()?;
        let (folders, parts) = (regroup.folders(), regroup.parts());
        let shuffle = run.shuffle(
            at,
            folders.len() * parts,
            |key| {
                let (folder, part) = regroup.place(key);
                folder * parts + part
            },
            |stream, batch, records| {
                let outcome = regroup.map(batch, records).map_err(RunError::stage(&node.name))?;
                let mut trace = traces[stream].lock().expect("a stream has one thread");
                match trace.as_mut() {
                    Some(trace) => trace.write(&Frame::encode(node, batch, &outcome, false)?),
                    None => Ok(()),
                }
            },
        )?;
        for (stream, trace) in traces.into_iter().enumerate() {
            let trace = trace.into_inner().expect("a stream has one thread");
            run.note(at, stream, trace.is_some());
            trace.map_or(Ok(()), |t| t.finish(node.spec))?;
        }
        // Here and not in the lanes: what a global settled is made again where it is torn, by one thread.
        let told: Result<Vec<_>, _> = folders.iter().map(|folder| self.metadata_of(at, folder)).collect();
        let told = told?;
        let counts = run.lanes(folders.len(), |folder| {
            let sorted = |part| Ok(Box::new(shuffle.merge(folder * parts + part)?) as Box<dyn Sorted>);
            let sorted: Result<Vec<_>, StageError> = (0..parts).map(sorted).collect();
            let sorted = sorted.map_err(RunError::stage(&node.name))?;
            self.reduce(at, regroup, (folder, &told[folder]), sorted)
        })?;
        shuffle.remove().map_err(RunError::stage(&node.name))?;
        Ok(counts.iter().sum())
    }

    /// Makes the rows of one folder and writes them with every sink behind the regroup.
    fn reduce(
        &self,
        at: usize,
        regroup: &dyn Regroup,
        (number, metadata): (usize, &[(String, String)]),
        sorted: Vec<Box<dyn Sorted>>,
    ) -> Result<u64, RunError> {
        let folder = regroup.folders()[number];
        let mut writers = Vec::new();
        for reader in self.run.dag.readers(at) {
            let node = self.node(reader);
            let Made::Sink(sink) = &node.made else { unreachable!("only sinks read a regroup") };
            let path = self.folder.join(&node.folder).join(folder);
            fs::create_dir_all(&path).map_err(RunError::io(&path))?;
            let writer = sink.open(&path, &node.input, metadata).map_err(RunError::stage(&node.name))?;
            writers.push((node, writer));
        }
        let (mut rows, mut tokens) = (0, 0);
        let emitted = regroup.reduce(number, sorted, &mut |batch| {
            rows += batch.num_rows() as u64;
            tokens += tokens_in(&batch);
            writers.iter_mut().try_for_each(|(_, writer)| writer.write(&batch))
        });
        emitted.map_err(RunError::stage(&self.node(at).name))?;
        for (node, writer) in writers {
            let written = writer.finish().map_err(RunError::stage(&node.name))?;
            self.note(written.into_iter().map(|w| (w.path, w.rows)));
        }
        *self.tokens.lock().expect("no thread panics while it counts").entry((at, folder)).or_default() +=
            tokens;
        Ok(rows)
    }

    /// What a token shard tells of itself in its footer, before what only its rows tell.
    fn metadata_of(&self, at: usize, folder: &str) -> Result<Vec<(String, String)>, RunError> {
        let shown = &self.node(at).shown;
        let unquoted = |key: &str| shown.get(key).map(|value| value.trim_matches('"').to_owned());
        let layout =
            if unquoted("layout").as_deref() == Some("documents") { "documents" } else { "sequences" };
        let seed = unquoted("seed").unwrap_or_default();
        let mut pairs = vec![
            ("gristmill.schema_version", token::VERSION.to_string()),
            ("gristmill.split", folder.to_owned()),
            ("gristmill.layout", layout.to_owned()),
            ("gristmill.shuffle", format!("seed {seed}, {SHUFFLE}")),
        ];
        if layout == "sequences" {
            pairs.extend(unquoted("length").map(|length| ("gristmill.sequence_length", length)));
            pairs.extend(unquoted("method").map(|method| ("gristmill.packing", method)));
        }
        for node in 0..self.run.dag.nodes.len() {
            if matches!(self.node(node).made, Made::Global(_)) {
                let settled = &self.run.settlement(node)?.settled;
                let fact = |name: &str| settled.facts.get(name).map(u64::to_string);
                pairs.extend(fact("vocab_size").map(|size| ("gristmill.vocab_size", size)));
                pairs.extend(fact("eos_id").map(|id| ("gristmill.eos_id", id)));
                let tokenizer = settled.files.get(manifest::TOKENIZER);
                let hash = tokenizer.map(|bytes| blake3::hash(bytes).to_hex().to_string());
                pairs.extend(hash.map(|hash| ("gristmill.tokenizer", hash)));
            }
        }
        let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value));
        Ok(self.metadata.iter().cloned().chain(pairs).collect())
    }

    /// Writes the rows of every sink that reads documents.
    fn sinks(&mut self) -> Result<(), RunError> {
        let sinks: Vec<(usize, &dyn Sink)> = (0..self.run.dag.nodes.len())
            .filter_map(|at| match &self.run.dag.nodes[at].made {
                Made::Sink(sink) => Some((at, sink.as_ref())),
                _ => None,
            })
            .filter(|(at, _)| {
                !self.node(*at).inputs.iter().any(|&n| matches!(self.node(n).made, Made::Regroup(_)))
            })
            .collect();
        let rows = self.run.lanes(sinks.len(), |n| self.sink(sinks[n].0, sinks[n].1))?;
        for ((at, _), rows) in sinks.into_iter().zip(rows) {
            self.counts[at] = Counts { rows_in: rows, kept: rows, ..Counts::default() };
        }
        Ok(())
    }

    fn sink(&self, at: usize, sink: &dyn Sink) -> Result<u64, RunError> {
        let node = self.node(at);
        let path = self.folder.join(&node.folder);
        fs::create_dir_all(&path).map_err(RunError::io(&path))?;
        let mut writer =
            sink.open(&path, &node.input, &self.metadata).map_err(RunError::stage(&node.name))?;
        let mut rows = 0;
        for stream in 0..self.run.streams.of[at].len() {
            for batch in rows_of(self.run, at, stream)? {
                let batch = batch?;
                rows += batch.num_rows() as u64;
                writer.write(&batch).map_err(RunError::stage(&node.name))?;
            }
        }
        let written = writer.finish().map_err(RunError::stage(&node.name))?;
        self.note(written.into_iter().map(|w| (w.path, w.rows)));
        Ok(rows)
    }

    /// Writes ledger, dropped rows and signals of every node that judges rows.
    fn tables(&mut self) -> Result<(), RunError> {
        let traced: Vec<usize> =
            (0..self.run.dag.nodes.len()).filter(|&n| !matches!(self.node(n).made, Made::Sink(_))).collect();
        let dropped = table::dropped_schema(self.run.dag);
        let write = |&at: &usize| {
            let keys: Vec<Hash> = self.run.streams.of[at].iter().map(|s| s.key).collect();
            let node = self.node(at);
            let (workdir, node) = (&self.run.workdir, (at, node));
            let tables = table::write(workdir, &self.folder, node, &keys, &dropped, &self.metadata)?;
            self.run.observer.event(Event::Advance { units: 1 });
            Ok((at, tables))
        };
        let all: Result<Vec<_>, RunError> = self.run.pool.install(|| traced.par_iter().map(write).collect());
        for (at, tables) in all? {
            self.counts[at] = tables.counts;
            self.note(tables.files);
        }
        Ok(())
    }

    /// Rows in = rows kept + rows dropped, for every node; rows in = rows that its inputs kept.
    fn conserve(&self) -> Result<(), RunError> {
        for (at, counts) in self.counts.iter().enumerate() {
            let node = self.node(at);
            let sequences = node.inputs.iter().any(|&n| matches!(self.node(n).made, Made::Regroup(_)));
            let given = node.inputs.iter().map(|&n| self.counts[n].kept).sum();
            let rows_in = if node.inputs.is_empty() || sequences { counts.rows_in } else { given };
            let dropped = counts.dropped_rows();
            if counts.rows_in != rows_in || counts.kept + dropped != rows_in {
                let (node, kept) = (node.name.clone(), counts.kept);
                return Err(RunError::Conservation { node, rows_in, kept, dropped });
            }
        }
        Ok(())
    }

    /// An empty dataset does not take the place of one that holds something.
    fn refuse_empty(&self) -> Result<(), RunError> {
        let nodes = || self.run.dag.nodes.iter().zip(&self.counts);
        let is_empty =
            nodes().all(|(node, counts)| !matches!(node.made, Made::Sink(_)) || counts.rows_in == 0);
        let dataset = self.run.workdir.dataset();
        if !is_empty || !publish::holds_rows(&dataset) {
            return Ok(());
        }
        let last = nodes().find(|(_, counts)| counts.kept == 0);
        let node = last.map_or_else(String::new, |(node, _)| node.name.clone());
        Err(RunError::Empty { node, dataset })
    }

    /// Writes the files that global nodes settled into, and collects their numbers.
    fn files(&self) -> Result<BTreeMap<String, u64>, RunError> {
        let (mut facts, mut owners) = (BTreeMap::new(), BTreeMap::new());
        for at in 0..self.run.dag.nodes.len() {
            if !matches!(self.node(at).made, Made::Global(_)) {
                continue;
            }
            let settlement = self.run.settlement(at)?;
            let settled = &settlement.settled;
            facts.extend(settled.facts.clone());
            for (name, bytes) in &settled.files {
                if let Some((other, known)) = owners.insert(name, (at, bytes))
                    && known != bytes
                {
                    let message = format!("settles into `{name}`, and so does `{}`", self.node(other).name);
                    return Err(RunError::stage(&self.node(at).name)(StageError::Invalid(message)));
                }
                let path = self.folder.join(name);
                fs::write(&path, bytes).map_err(RunError::io(&path))?;
            }
            for name in settlement.large() {
                let path = self.folder.join(name);
                if path.exists() {
                    let message =
                        format!("settles into `{name}`, which another node has; give it a name of its own");
                    return Err(RunError::stage(&self.node(at).name)(StageError::Invalid(message)));
                }
                settlement.copy(name, &path)?;
            }
        }
        Ok(facts)
    }

    /// What the manifest tells of token shards: those behind the first regroup, where the settled tell of a vocabulary.
    fn token_shards(
        &self,
        files: &BTreeMap<String, FileRow>,
        facts: &BTreeMap<String, u64>,
    ) -> Option<Tokens> {
        let nodes = &self.run.dag.nodes;
        let at = nodes.iter().position(|node| matches!(node.made, Made::Regroup(_)))?;
        // Rows of any length are no sequences: whoever reads them packs them first.
        if nodes[at].shown.get("layout").is_some_and(|layout| layout.contains("documents")) {
            return None;
        }
        let folders: Vec<&String> = self.run.dag.readers(at).map(|n| &nodes[n].folder).collect();
        let is_parquet = |folder: &&&String| {
            let inside =
                |name: &String| name.strip_prefix(folder.as_str()).is_some_and(|n| n.starts_with('/'));
            files.keys().any(|name| inside(name) && name.ends_with(".parquet"))
        };
        let folder = folders.iter().find(is_parquet).or(folders.first())?;
        let tokens = self.tokens.lock().expect("no thread panics while it counts");
        let of = |split: &'static str| tokens.get(&(at, split)).copied().unwrap_or(0);
        Some(Tokens {
            folder: (*folder).clone(),
            sequence_length: nodes[at].shown.get("length")?.parse().ok()?,
            vocab_size: *facts.get("vocab_size")?,
            eos_id: u32::try_from(*facts.get("eos_id")?).ok()?,
            train: of("train"),
            validation: of("validation"),
            tokenizer: files.get(manifest::TOKENIZER).map_or_else(String::new, |f| f.blake3.clone()),
        })
    }

    fn manifest(&self, build: Hash, facts: &BTreeMap<String, u64>) -> Result<Manifest, RunError> {
        let files = self.hash_files()?;
        let tokens = self.token_shards(&files, facts);
        let nodes = self.run.dag.nodes.iter().zip(&self.counts).map(|(node, counts)| manifest::Node {
            name: node.name.clone(),
            kind: node.spec.kind.to_owned(),
            version: node.spec.version,
            settings: node.shown.clone(),
            inputs: node.inputs.iter().map(|&n| self.node(n).name.clone()).collect(),
            folder: (!node.folder.is_empty()).then(|| node.folder.clone()),
            rows_in: counts.rows_in,
            kept: counts.kept,
            edited: counts.edited,
            dropped: counts.dropped.clone(),
            blank: counts.blank,
        });
        Ok(Manifest {
            version: manifest::VERSION,
            name: self.run.dag.name.clone(),
            gristmill: env!("CARGO_PKG_VERSION").to_owned(),
            build: build.to_string(),
            nodes: nodes.collect(),
            files,
            tokens,
        })
    }

    fn hash_files(&self) -> Result<BTreeMap<String, FileRow>, RunError> {
        let mut paths = Vec::new();
        list(&self.folder, &mut paths)?;
        let rows = self.rows.lock().expect("no thread panics while it notes a file");
        let hash = |path: &PathBuf| {
            let name = path.strip_prefix(&self.folder).expect("the file lies in the folder");
            let name: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
            let file = hash_file(path, rows.get(path).copied()).map_err(RunError::io(path))?;
            Ok((name.join("/"), file))
        };
        self.run.pool.install(|| paths.par_iter().map(hash).collect())
    }
}

fn tokens_in(batch: &RecordBatch) -> u64 {
    let lengths = batch.column_by_name(token::DOC_LENS).and_then(|c| {
        let lists = c.as_any().downcast_ref::<arrow::array::ListArray>()?;
        lists.values().as_any().downcast_ref::<Int32Array>().cloned()
    });
    lengths.map_or(0, |l| l.values().iter().map(|&n| u64::from(n.unsigned_abs())).sum())
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), RunError> {
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(RunError::io(folder))? {
        entries.push(entry.map_err(RunError::io(folder))?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() { list(&path, paths)? } else { paths.push(path) }
    }
    Ok(())
}

fn hash_file(path: &Path, rows: Option<u64>) -> std::io::Result<FileRow> {
    let mut file = File::open(path)?;
    let Digest { bytes, blake3, sha256 } = digest(&mut file)?;
    file.sync_all()?;
    Ok(FileRow { bytes, rows, blake3, sha256 })
}
