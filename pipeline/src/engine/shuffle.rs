//! Sorting byte records of any number in bounded memory: partitions, sorted runs on disk, merged by a heap.
//!
//! Records are ordered by key, then value, so runs may be cut anywhere by any thread: the merged order is the same.

use super::error::RunError;
use schemas::{Record, Records, Sorted, StageError};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs merged at once; more are first merged into longer ones. Bounds open files and read buffers.
const MERGED_MAX: usize = 128;

/// Sorted runs of every partition.
pub(super) struct Shuffle {
    folder: PathBuf,
    runs: Vec<Mutex<Vec<PathBuf>>>,
    written: AtomicUsize,
}

impl Shuffle {
    pub(super) fn create(folder: &Path, partitions: usize) -> Result<Self, RunError> {
        fs::create_dir_all(folder).map_err(RunError::io(folder))?;
        let runs = (0..partitions).map(|_| Mutex::default()).collect();
        Ok(Self { folder: folder.to_owned(), runs, written: AtomicUsize::new(0) })
    }

    fn new_run(&self) -> PathBuf {
        self.folder.join(format!("{:08}.run", self.written.fetch_add(1, Ordering::Relaxed)))
    }

    fn add(&self, partition: usize, records: &mut Records) -> Result<(), RunError> {
        if records.is_empty() {
            return Ok(());
        }
        records.sort();
        let path = self.new_run();
        let mut run = RunWriter::create(&path).map_err(RunError::io(&path))?;
        records
            .iter()
            .try_for_each(|r| run.write(r))
            .and_then(|()| run.finish())
            .map_err(RunError::io(&path))?;
        records.clear();
        self.runs[partition].lock().expect("no thread panics while it adds a run").push(path);
        Ok(())
    }

    /// The sorted records of one partition.
    pub(super) fn merge(&self, partition: usize) -> Result<Merge, RunError> {
        let mut runs = self.runs[partition].lock().expect("no thread panics while it adds a run").clone();
        while runs.len() > MERGED_MAX {
            let rest = runs.split_off(MERGED_MAX);
            let path = self.new_run();
            let mut merge = Merge::open(&runs).map_err(RunError::io(&self.folder))?;
            let mut longer = RunWriter::create(&path).map_err(RunError::io(&path))?;
            while let Some(record) = merge.next().map_err(RunError::stage("shuffle"))? {
                longer.write(record).map_err(RunError::io(&path))?;
            }
            longer.finish().map_err(RunError::io(&path))?;
            for run in &runs {
                fs::remove_file(run).map_err(RunError::io(run))?;
            }
            runs = rest;
            runs.push(path);
        }
        Merge::open(&runs).map_err(RunError::io(&self.folder))
    }

    pub(super) fn remove(self) -> Result<(), RunError> {
        fs::remove_dir_all(&self.folder).map_err(RunError::io(&self.folder))
    }
}

/// Collects the records of one thread and spills them sorted when its share of the memory is used.
pub(super) struct Spiller<'a> {
    shuffle: &'a Shuffle,
    partitions: Vec<Records>,
    budget: usize,
    size: usize,
}

impl<'a> Spiller<'a> {
    pub(super) fn new(shuffle: &'a Shuffle, budget: usize) -> Self {
        let partitions = vec![Records::default(); shuffle.runs.len()];
        Self { shuffle, partitions, budget, size: 0 }
    }

    pub(super) fn add(
        &mut self,
        records: &Records,
        partition: impl Fn(&[u8]) -> usize,
    ) -> Result<(), RunError> {
        for Record { key, value } in records.iter() {
            self.partitions[partition(key)].push(key, value);
        }
        self.size += records.size();
        if self.size >= self.budget { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), RunError> {
        self.size = 0;
        let shuffle = self.shuffle;
        self.partitions.iter_mut().enumerate().try_for_each(|(n, records)| shuffle.add(n, records))
    }

    pub(super) fn finish(mut self) -> Result<(), RunError> {
        self.spill()
    }
}

/// Writes records one behind the other: length of key, length of value, key, value.
pub(super) struct RunWriter(BufWriter<File>);

impl RunWriter {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::with_capacity(1 << 18, File::create(path)?)))
    }

    pub(super) fn write(&mut self, Record { key, value }: Record<'_>) -> io::Result<()> {
        self.0.write_all(&(key.len() as u32).to_le_bytes())?;
        self.0.write_all(&(value.len() as u32).to_le_bytes())?;
        self.0.write_all(key)?;
        self.0.write_all(value)
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.0.into_inner().map_err(io::IntoInnerError::into_error).map(drop)
    }
}

/// Reads a run.
pub(super) struct RunReader {
    file: BufReader<File>,
    bytes: Vec<u8>,
    key: usize,
}

impl RunReader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::with_capacity(1 << 16, File::open(path)?), bytes: Vec::new(), key: 0 })
    }

    /// Moves to the next record; `false` at the end.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        let mut lengths = [0; 8];
        match self.file.read_exact(&mut lengths[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        self.file.read_exact(&mut lengths[1..])?;
        let length =
            |at: usize| u32::from_le_bytes(lengths[at..at + 4].try_into().expect("four bytes")) as usize;
        self.key = length(0);
        self.bytes.resize(self.key + length(4), 0);
        self.file.read_exact(&mut self.bytes)?;
        Ok(true)
    }

    pub(super) fn record(&self) -> Record<'_> {
        let (key, value) = self.bytes.split_at(self.key);
        Record { key, value }
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
    heap: BinaryHeap<Reverse<Head>>,
    /// The run whose record was given last.
    current: Option<RunReader>,
}

impl Merge {
    fn open(runs: &[PathBuf]) -> io::Result<Self> {
        let mut heap = BinaryHeap::with_capacity(runs.len());
        for path in runs {
            let mut run = RunReader::open(path)?;
            if run.advance()? {
                heap.push(Reverse(Head(run)));
            }
        }
        Ok(Self { heap, current: None })
    }

    fn step(&mut self) -> io::Result<bool> {
        if let Some(mut run) = self.current.take()
            && run.advance()?
        {
            self.heap.push(Reverse(Head(run)));
        }
        self.current = self.heap.pop().map(|Reverse(Head(run))| run);
        Ok(self.current.is_some())
    }
}

impl Sorted for Merge {
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError> {
        self.step().map_err(StageError::io(Path::new("a sorted run")))?;
        Ok(self.current.as_ref().map(RunReader::record))
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
        let mut expected = numbers.clone();
        expected.sort_unstable();
        for budget in [1, 3000, 1 << 30] {
            let shuffle = Shuffle::create(&folder, 1).unwrap();
            let mut spiller = Spiller::new(&shuffle, budget);
            for chunk in numbers.chunks(7) {
                let mut records = Records::default();
                chunk.iter().for_each(|n| records.push(&n.to_be_bytes(), b"v"));
                spiller.add(&records, |_| 0).unwrap();
            }
            spiller.finish().unwrap();
            let mut merge = shuffle.merge(0).unwrap();
            let mut found = Vec::new();
            while let Some(record) = merge.next().unwrap() {
                found.push(u64::from_be_bytes(record.key.try_into().unwrap()));
            }
            assert_eq!(found, expected, "budget {budget}");
            shuffle.remove().unwrap();
        }
    }
}
