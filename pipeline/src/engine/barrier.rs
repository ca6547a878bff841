//! Barriers: where all rows are seen before one goes on. Their records are sorted on disk, within the memory of the run.
//!
//! A global: map → partitions → reduce → one sorted stream → settle → notes sorted by id, which with files and facts are
//! what the cache keeps. The rows behind it are judged one feed at a time, each row with its own note.

use super::error::RunError;
use super::rows::rows_of;
use super::run::Run;
use super::seal::Hand;
use super::settled::{self, Settlement};
use super::shuffle::{Lent, Merge, Shuffle, Spiller};
use crate::dag::Hash;
use arrow::array::RecordBatch;
use rayon::prelude::*;
use schemas::{
    DocId, Event, Global, House, Made, Notes, Observer, PARTITIONS, Push, Record, Records, Sorted, Sorter,
    StageError, memory, partition,
};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is written to a file of the dataset at once.
const FILE_BUFFER_BYTES: usize = 256 << 10;

impl Run<'_> {
    /// What a global node settled, made or read when it is first asked for.
    pub(super) fn settlement(&self, node: usize) -> Result<&Settlement, RunError> {
        if let Some(settlement) = self.settled[node].get() {
            return Ok(settlement);
        }
        let Made::Global(global) = &self.dag.nodes[node].made else {
            unreachable!("only a global node is asked for what it settled")
        };
        let name = &self.dag.nodes[node].name;
        let judge = |settled: &_| global.judge(settled).map_err(RunError::stage(name));
        if !global.sees_rows() {
            let done = memory::settle(global.as_ref(), &[], 1).map_err(RunError::stage(name))?;
            let settlement = Settlement::of_no_row(done.settled, judge)?;
            return Ok(self.settled[node].get_or_init(|| settlement));
        }
        let key = self.streams.settlement[node].expect("a global node has a settlement key");
        let path = self.workdir.settled(key);
        if !self.is_whole(&path)? {
            self.settle(node, global.as_ref(), key)?;
        }
        let settlement = Settlement::open(&path, judge)?;
        Ok(self.settled[node].get_or_init(|| settlement))
    }

    fn settle(&self, node: usize, global: &dyn Global, key: Hash) -> Result<(), RunError> {
        let name = &self.dag.nodes[node].name;
        let folder = self.workdir.scratch().join(name);
        let reduced = self.reduce(node, global)?;
        let (path, hand) = (self.workdir.settled(key), Hand { node, stream: 0 });
        let desk = (folder.clone(), self.memory_bytes);
        settle_all(global, name, reduced, desk, &self.spilled[node], (&path, hand))?;
        fs::remove_dir_all(&folder).map_err(RunError::io(&folder))
    }

    /// Maps all rows and reduces them to one partition.
    fn reduce(&self, node: usize, global: &dyn Global) -> Result<Reduced, RunError> {
        let name = &self.dag.nodes[node].name;
        let map = |_, batch: &RecordBatch, records: &mut Records| {
            global.map(batch, records).map_err(RunError::stage(name))
        };
        let mapped = self.shuffle(node, PARTITIONS + 1, partition, map)?;
        self.observer.event(Event::Phase { name: &format!("settle {name}"), total: PARTITIONS as u64 });
        let folder = self.workdir.scratch().join(name).join("reduced");
        let reduced = reduce_all(global, mapped, (&folder, self.memory_bytes), &self.pool, self.observer)
            .map_err(RunError::stage(name))?;
        self.spilled[node].fetch_add(reduced.reduced.spilled(), Ordering::Relaxed);
        Ok(reduced)
    }

    /// Maps all rows that come into a node to sorted records on disk.
    pub(super) fn shuffle(
        &self,
        node: usize,
        partitions: usize,
        partition: impl Fn(&[u8]) -> usize + Sync,
        map: impl Fn(usize, &RecordBatch, &mut Records) -> Result<(), RunError> + Sync,
    ) -> Result<Shuffle, RunError> {
        let name = &self.dag.nodes[node].name;
        let jobs = self.streams.of[node].len();
        self.observer.event(Event::Phase { name: &format!("shuffle {name}"), total: jobs as u64 });
        let folder = self.workdir.scratch().join(name).join("mapped");
        let lent = mapped_memory(self.memory_bytes, &self.pool);
        let is_sieved =
            matches!(&self.dag.nodes[node].made, Made::Global(global) if !global.reads_lone_keys());
        let shuffle = Shuffle::create(&folder, partitions, lent).map_err(RunError::stage(name))?;
        let shuffle = shuffle.sieved(is_sieved);
        let spillers = Spillers::new(&shuffle);
        self.lanes(jobs, |stream| {
            let mut records = Records::default();
            for batch in rows_of(self, node, stream)? {
                records.clear();
                map(stream, &batch?, &mut records)?;
                let spilled = spillers.lend(|spiller| spiller.take(&shuffle, &records, &partition));
                spilled.map_err(RunError::stage(name))?;
            }
            self.observer.event(Event::Advance { units: 1 });
            Ok(())
        })?;
        spillers.finish().map_err(RunError::stage(name))?;
        self.spilled[node].fetch_add(shuffle.spilled(), Ordering::Relaxed);
        Ok(shuffle)
    }
}

/// What a shuffle of mapped records may use: all of the memory while they are collected; a quarter is left to those who read them.
pub(super) fn mapped_memory(memory_bytes: usize, pool: &rayon::ThreadPool) -> Lent {
    Lent { thread: memory_bytes / pool.current_num_threads(), held: memory_bytes / 4 * 3 }
}

/// What was mapped and reduced.
pub(super) struct Reduced {
    /// Of which only what goes past reducing is left.
    mapped: Shuffle,
    pub(super) reduced: Shuffle,
}

/// Reduces what was mapped to one partition, in a folder and with the memory of the run.
pub(super) fn reduce_all(
    global: &dyn Global,
    mapped: Shuffle,
    (folder, memory_bytes): (&Path, usize),
    pool: &rayon::ThreadPool,
    observer: &dyn Observer,
) -> Result<Reduced, StageError> {
    // Half of the memory is for reading what was mapped, where that is on disk.
    let memory_bytes = if mapped.held() > 0 { memory_bytes - mapped.held() } else { memory_bytes / 2 };
    let lent = Lent { thread: memory_bytes / pool.current_num_threads(), held: memory_bytes / 2 };
    let reduced = Shuffle::create(folder, 1, lent)?;
    let spillers = Spillers::new(&reduced);
    let reduce = |partition: usize| {
        let mut sorted = mapped.merge(partition)?;
        spillers.lend(|spiller| global.reduce(&mut sorted, &mut Output { shuffle: &reduced, spiller }))?;
        observer.event(Event::Advance { units: 1 });
        Ok(())
    };
    let done: Result<(), StageError> = pool.install(|| (0..PARTITIONS).into_par_iter().try_for_each(reduce));
    done.and_then(|()| spillers.finish())?;
    mapped.forget_reduced();
    Ok(Reduced { mapped, reduced })
}

/// Settles what was reduced and writes it to a file of the cache. The desk has a folder and memory.
pub(super) fn settle_all(
    global: &dyn Global,
    name: &str,
    Reduced { mapped, reduced }: Reduced,
    (folder, memory_bytes): (PathBuf, usize),
    spilled: &AtomicUsize,
    (path, hand): (&Path, Hand),
) -> Result<(), RunError> {
    let failed = || RunError::stage(name);
    // At most two sorters are filled and notes are taken, while others are read; the global holds twice as much.
    let share = memory_bytes.saturating_sub(mapped.held() + reduced.held()) / 6;
    let desk = Desk { folder, share, sorters: AtomicUsize::new(0), spilled, files: Mutex::default() };
    let mut notes = NoteSorter(desk.disk_sorter().map_err(failed())?);
    let mut sorted = reduced.merge_with_past(0, &mapped).map_err(failed())?;
    let settled = global.settle(&mut sorted, &desk, &mut notes).map_err(failed())?;
    drop(sorted);
    mapped.remove().and_then(|()| reduced.remove()).map_err(failed())?;
    let mut notes = Box::new(notes.0).sorted().map_err(failed())?;
    settled::write(path, hand, &settled, &desk.files(), notes.as_mut())
}

/// The spillers of a shuffle: never more than there are threads.
pub(super) struct Spillers<'a> {
    shuffle: &'a Shuffle,
    idle: Mutex<Vec<Spiller>>,
}

impl<'a> Spillers<'a> {
    pub(super) fn new(shuffle: &'a Shuffle) -> Self {
        Self { shuffle, idle: Mutex::default() }
    }

    pub(super) fn lend<T>(&self, work: impl FnOnce(&mut Spiller) -> T) -> T {
        let idle = || self.idle.lock().expect("no thread panics while it takes a spiller");
        let free = idle().pop();
        let mut spiller = free.unwrap_or_else(|| Spiller::new(self.shuffle));
        let result = work(&mut spiller);
        idle().push(spiller);
        result
    }

    pub(super) fn finish(self) -> Result<(), StageError> {
        self.shuffle.finish(self.idle.into_inner().expect("no thread panics while it takes a spiller"))
    }
}

/// Where reduced records go: one partition.
struct Output<'a> {
    shuffle: &'a Shuffle,
    spiller: &'a mut Spiller,
}

impl Push for Output<'_> {
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), StageError> {
        self.spiller.push(self.shuffle, 0, Record { key, value })
    }
}

/// The house, for one global that settles.
struct Desk<'a> {
    folder: PathBuf,
    /// Memory of one sorter.
    share: usize,
    sorters: AtomicUsize,
    spilled: &'a AtomicUsize,
    /// Files that were asked for, and where they lie.
    files: Mutex<BTreeMap<String, PathBuf>>,
}

impl<'a> Desk<'a> {
    fn files(&self) -> BTreeMap<String, PathBuf> {
        self.files.lock().expect("no thread panics while it names a file").clone()
    }

    fn disk_sorter(&self) -> Result<DiskSorter<'a>, StageError> {
        let number = self.sorters.fetch_add(1, Ordering::Relaxed);
        let lent = Lent { thread: self.share, held: self.share / 2 };
        let shuffle = Shuffle::create(&self.folder.join(number.to_string()), 1, lent)?;
        Ok(DiskSorter { spiller: Spiller::new(&shuffle), shuffle, spilled: self.spilled })
    }
}

impl House for Desk<'_> {
    fn sorter(&self) -> Result<Box<dyn Sorter + '_>, StageError> {
        Ok(Box::new(self.disk_sorter()?))
    }

    fn file(&self, name: &str) -> Result<Box<dyn Write + '_>, StageError> {
        let path = self.folder.join(format!("{name}.file"));
        let file = fs::create_dir_all(&self.folder).and_then(|()| File::create(&path));
        let file = file.map_err(StageError::io(&path))?;
        self.files.lock().expect("no thread panics while it names a file").insert(name.to_owned(), path);
        Ok(Box::new(BufWriter::with_capacity(FILE_BUFFER_BYTES, file)))
    }

    fn memory_bytes(&self) -> usize {
        2 * self.share
    }
}

struct DiskSorter<'a> {
    spiller: Spiller,
    shuffle: Shuffle,
    spilled: &'a AtomicUsize,
}

impl Push for DiskSorter<'_> {
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), StageError> {
        self.spiller.push(&self.shuffle, 0, Record { key, value })
    }
}

impl Sorter for DiskSorter<'_> {
    fn sorted(self: Box<Self>) -> Result<Box<dyn Sorted>, StageError> {
        let Self { spiller, shuffle, spilled } = *self;
        shuffle.finish(vec![spiller])?;
        spilled.fetch_add(shuffle.spilled(), Ordering::Relaxed);
        Ok(Box::new(DiskSorted { merge: shuffle.merge(0)?, shuffle }))
    }
}

/// A sorted stream whose runs go with it.
struct DiskSorted {
    merge: Merge,
    shuffle: Shuffle,
}

impl Sorted for DiskSorted {
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError> {
        self.merge.next()
    }
}

impl Drop for DiskSorted {
    fn drop(&mut self) {
        // What cannot be removed here lies in the scratch folder, which the end of the run removes.
        drop(self.shuffle.remove());
    }
}

struct NoteSorter<'a>(DiskSorter<'a>);

impl Notes for NoteSorter<'_> {
    fn note(&mut self, id: DocId, value: &[u8]) -> Result<(), StageError> {
        self.0.push(&id.to_bytes(), value)
    }
}
