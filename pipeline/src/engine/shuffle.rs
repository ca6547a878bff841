//! Sorting byte records of any number in bounded memory: partitions, sorted runs on disk, merged by a heap.
//!
//! Records are ordered by key, then value, so runs may be cut anywhere by any thread: the merged order is the same. A run
//! is one file with the sorted records of every partition, one partition behind the other.

use super::runs::{RunReader, RunWriter};
use schemas::record::leading;
use schemas::{Record, Records, Sorted, StageError};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs merged at once by one thread; more are first merged into longer ones. Bounds open files and read buffers.
const MERGED_MAX: usize = 128;
/// Runs open at once on all threads: half of what systems allow a process by default.
const OPEN_FILES_MAX: usize = 512;
/// Even on many threads a merge takes this many.
const MERGED_MIN: usize = 8;
/// Least and most bytes that a run is read by.
const READ_BYTES: [usize; 2] = [4 << 10, 64 << 10];
/// Least memory of a spiller.
const SPILL_BYTES_MIN: usize = 64 << 10;

/// The records of one partition in one run.
#[derive(Debug, Clone)]
struct Segment {
    path: PathBuf,
    start: u64,
    end: u64,
    /// Whether the file has this segment alone, so that it can go when the segment is merged into a longer one.
    alone: bool,
}

/// Sorted runs of every partition.
pub(super) struct Shuffle {
    folder: PathBuf,
    partitions: Vec<Mutex<Vec<Segment>>>,
    files: AtomicUsize,
    spilled: AtomicUsize,
    /// Memory of one thread.
    budget: usize,
}

impl Shuffle {
    /// `budget` is what one thread may use, in bytes.
    pub(super) fn create(folder: &Path, partitions: usize, budget: usize) -> Result<Self, StageError> {
        fs::create_dir_all(folder).map_err(StageError::io(folder))?;
        let partitions = (0..partitions).map(|_| Mutex::default()).collect();
        let (files, spilled) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Self { folder: folder.to_owned(), partitions, files, spilled, budget })
    }

    /// Runs that were spilled.
    pub(super) fn spilled(&self) -> usize {
        self.spilled.load(Ordering::Relaxed)
    }

    fn new_file(&self) -> PathBuf {
        self.folder.join(format!("{:08}.run", self.files.fetch_add(1, Ordering::Relaxed)))
    }

    fn segments(&self, partition: usize) -> std::sync::MutexGuard<'_, Vec<Segment>> {
        self.partitions[partition].lock().expect("no thread panics while it adds a run")
    }

    /// The sorted records of one partition.
    pub(super) fn merge(&self, partition: usize) -> Result<Merge, StageError> {
        let mut segments = self.segments(partition).clone();
        let merged_max = (OPEN_FILES_MAX / rayon::current_num_threads()).clamp(MERGED_MIN, MERGED_MAX);
        while segments.len() > merged_max {
            let rest = segments.split_off(merged_max);
            let path = self.new_file();
            let mut merge = self.open(&segments)?;
            let mut longer = RunWriter::create(&path).map_err(StageError::io(&path))?;
            while let Some(record) = merge.next()? {
                longer.write(record).map_err(StageError::io(&path))?;
            }
            let end = longer.finish().map_err(StageError::io(&path))?;
            for Segment { path, .. } in segments.iter().filter(|s| s.alone) {
                fs::remove_file(path).map_err(StageError::io(path))?;
            }
            segments = rest;
            segments.push(Segment { path, start: 0, end, alone: true });
        }
        self.open(&segments)
    }

    fn open(&self, segments: &[Segment]) -> Result<Merge, StageError> {
        let bytes = (self.budget / 2 / segments.len().max(1)).clamp(READ_BYTES[0], READ_BYTES[1]);
        let mut heap = BinaryHeap::with_capacity(segments.len());
        for Segment { path, start, end, .. } in segments {
            let mut run = RunReader::open(path, *start, *end, bytes).map_err(StageError::io(path))?;
            if run.advance().map_err(StageError::io(path))? {
                heap.push(Reverse(Head(run)));
            }
        }
        Ok(Merge { heap, started: false })
    }

    pub(super) fn remove(&self) -> Result<(), StageError> {
        fs::remove_dir_all(&self.folder).map_err(StageError::io(&self.folder))
    }
}

/// Collects records of one thread and spills them sorted when its memory is full.
///
/// The memory is taken at once, and the system gives it page by page as it is used.
pub(super) struct Spiller {
    bytes: Vec<u8>,
    index: Vec<Entry>,
}

/// Where a record lies in the bytes.
#[derive(Clone, Copy)]
struct Entry {
    partition: u32,
    key: u32,
    value: u32,
    start: u64,
    /// The first bytes of the key, which tell most records apart.
    leading: u64,
}

impl Spiller {
    pub(super) fn new(shuffle: &Shuffle) -> Self {
        let budget = shuffle.budget.max(SPILL_BYTES_MIN);
        let index = budget / 4 / size_of::<Entry>();
        Self { bytes: Vec::with_capacity(budget / 4 * 3), index: Vec::with_capacity(index) }
    }

    /// Takes a record. One that is larger than the memory is alone in its run.
    pub(super) fn push(
        &mut self,
        shuffle: &Shuffle,
        partition: usize,
        Record { key, value }: Record<'_>,
    ) -> Result<(), StageError> {
        let full = self.bytes.len() + key.len() + value.len() > self.bytes.capacity()
            || self.index.len() == self.index.capacity();
        if full {
            self.spill(shuffle)?;
        }
        let length = |part: &[u8]| u32::try_from(part.len()).expect("keys and values are below 4 GiB");
        let start = self.bytes.len() as u64;
        let (partition, leading) = (partition as u32, leading(key));
        self.index.push(Entry { partition, key: length(key), value: length(value), start, leading });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    /// Takes records, each into the partition of its key.
    pub(super) fn take(
        &mut self,
        shuffle: &Shuffle,
        records: &Records,
        partition: impl Fn(&[u8]) -> usize,
    ) -> Result<(), StageError> {
        records.iter().try_for_each(|record| self.push(shuffle, partition(record.key), record))
    }

    /// Writes what is held as one run.
    pub(super) fn spill(&mut self, shuffle: &Shuffle) -> Result<(), StageError> {
        if self.index.is_empty() {
            return Ok(());
        }
        let Self { bytes, index } = self;
        let record = |entry: &Entry| {
            let middle = entry.start as usize + entry.key as usize;
            let end = middle + entry.value as usize;
            Record { key: &bytes[entry.start as usize..middle], value: &bytes[middle..end] }
        };
        index.sort_unstable_by(|a, b| {
            let first = (a.partition, a.leading).cmp(&(b.partition, b.leading));
            first.then_with(|| record(a).cmp(&record(b)))
        });
        let path = shuffle.new_file();
        let mut run = RunWriter::create(&path).map_err(StageError::io(&path))?;
        let mut segments = Vec::new();
        for part in index.chunk_by(|a, b| a.partition == b.partition) {
            let start = run.written();
            part.iter().try_for_each(|entry| run.write(record(entry))).map_err(StageError::io(&path))?;
            let segment = Segment { path: path.clone(), start, end: run.written(), alone: false };
            segments.push((part[0].partition as usize, segment));
        }
        run.finish().map_err(StageError::io(&path))?;
        shuffle.spilled.fetch_add(1, Ordering::Relaxed);
        for (partition, segment) in segments {
            shuffle.segments(partition).push(segment);
        }
        bytes.clear();
        index.clear();
        Ok(())
    }
}

/// A run in the heap: the smallest record first, equal ones by nothing, for they are equal.
struct Head(RunReader);

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.0.record() == other.0.record()
    }
}
impl Eq for Head {}
impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.record().cmp(&other.0.record())
    }
}

/// Runs merged into one sorted stream.
pub(super) struct Merge {
    /// The run whose record was given last is the first of them.
    heap: BinaryHeap<Reverse<Head>>,
    started: bool,
}

impl Merge {
    fn step(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        if let Some(mut first) = self.heap.peek_mut()
            && !first.0.0.advance()?
        {
            PeekMut::pop(first);
        }
        Ok(())
    }
}

impl Sorted for Merge {
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError> {
        self.step().map_err(StageError::io(Path::new("a sorted run")))?;
        Ok(self.heap.peek().map(|Reverse(Head(run))| run.record()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_into_runs_merges_to_the_same_order() {
        let folder = std::env::temp_dir().join(format!("gristmill-shuffle-{}", std::process::id()));
        let mut rng = schemas::hash::Rng::new(5);
        let numbers: Vec<u64> = (0..5000).map(|_| rng.below(2000)).collect();
        // A record that is larger than the memory, too.
        let large = vec![b'v'; 2 * SPILL_BYTES_MIN];
        let value = |n: u64| if n == 7 { large.as_slice() } else { b"v" };
        for every in [1, 7, 5000] {
            let shuffle = Shuffle::create(&folder, 2, 0).unwrap();
            let mut spiller = Spiller::new(&shuffle);
            for (at, n) in numbers.iter().enumerate() {
                let (partition, key) = (*n as usize % 2, n.to_be_bytes());
                spiller.push(&shuffle, partition, Record { key: &key, value: value(*n) }).unwrap();
                if at % every == 0 {
                    spiller.spill(&shuffle).unwrap();
                }
            }
            spiller.spill(&shuffle).unwrap();
            assert!(shuffle.spilled() >= 5000 / every, "{} runs", shuffle.spilled());
            for partition in 0..2 {
                let mut merge = shuffle.merge(partition).unwrap();
                let mut found = Vec::new();
                while let Some(record) = merge.next().unwrap() {
                    let n = u64::from_be_bytes(record.key.try_into().unwrap());
                    assert_eq!(record.value, value(n));
                    found.push(n);
                }
                let mut expected = numbers.clone();
                expected.retain(|n| *n as usize % 2 == partition);
                expected.sort_unstable();
                assert_eq!(found, expected, "spilled every {every}");
            }
            shuffle.remove().unwrap();
        }
    }
}
