//! Sorting byte records of any number in bounded memory: partitions, sorted runs on disk, merged by a heap.
//!
//! Records are ordered by key, then value, so runs may be cut anywhere by any thread: the merged order is the same. A run
//! is one file with the sorted records of every partition, one partition behind the other. Where all that there is fits the
//! memory that is lent for it, the last run of each thread is held and never written.

use super::runs::{RunReader, RunWriter};
use schemas::record::{Place, STEP, Value, beginning, group, leave_out_lone, sort_places};
use schemas::{Record, Records, Sorted, StageError};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Runs merged at once by one thread; more are first merged into longer ones. Bounds open files and read buffers.
const MERGED_MAX: usize = 128;
/// Runs open at once on all threads: half of what systems allow a process by default.
const OPEN_FILES_MAX: usize = 512;
/// Even on many threads a merge takes this many.
const MERGED_MIN: usize = 8;
/// Least and most bytes that a run is read by.
const READ_BYTES: [usize; 2] = [4 << 10, 64 << 10];
/// Records in memory that are looked for at once.
const AHEAD: usize = 32;
/// Least memory of a spiller.
const SPILL_BYTES_MIN: usize = 64 << 10;

/// The records of one partition in one run.
#[derive(Clone)]
enum Segment {
    /// On disk.
    Written {
        path: PathBuf,
        start: u64,
        end: u64,
        /// Whether the file has this segment alone, so that it can go when the segment is merged into a longer one.
        alone: bool,
    },
    /// In memory.
    Held(Held),
}

/// Sorted records in memory.
#[derive(Clone)]
struct Held {
    list: Arc<List>,
    /// The next record and the end, as places in the list.
    at: usize,
    end: usize,
}

impl Held {
    /// Reads from where the next records lie, once for so many. In sorted order they lie anywhere, and asked for together the
    /// memory gives them in the time of a few.
    fn look_ahead(&self) {
        if self.at.is_multiple_of(AHEAD) {
            let next = &self.list.entries[self.at..self.end.min(self.at + AHEAD)];
            let first = |entry: &Entry| {
                let Record { key, value } = entry.place.record(&self.list.bytes);
                key.first().copied().unwrap_or_default() ^ value.first().copied().unwrap_or_default()
            };
            std::hint::black_box(next.iter().fold(0, |all, entry| all ^ first(entry)));
        }
    }
}

/// Sorted runs of every partition.
pub(super) struct Shuffle {
    folder: PathBuf,
    partitions: Vec<Mutex<Vec<Segment>>>,
    files: AtomicUsize,
    spilled: AtomicUsize,
    /// Bytes of records that are held in memory.
    held: AtomicUsize,
    lent: Lent,
    /// Whether records whose key no other has may be left out.
    is_sieved: bool,
}

/// Memory that a shuffle may use, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lent {
    /// For one thread while it collects.
    pub(super) thread: usize,
    /// For all records together while they are read, if they are not on disk.
    pub(super) held: usize,
}

impl Shuffle {
    pub(super) fn create(folder: &Path, partitions: usize, lent: Lent) -> Result<Self, StageError> {
        fs::create_dir_all(folder).map_err(StageError::io(folder))?;
        let partitions = (0..partitions).map(|_| Mutex::default()).collect();
        let [files, spilled, held] = [const { AtomicUsize::new(0) }; 3];
        Ok(Self { folder: folder.to_owned(), partitions, files, spilled, held, lent, is_sieved: false })
    }

    /// Leaves out records whose key no other has, but for those that go past reducing, where that can be told: where all are in memory.
    pub(super) fn sieved(self, is_sieved: bool) -> Self {
        Self { is_sieved, ..self }
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

    /// The last partition: what goes past reducing.
    pub(super) fn past(&self) -> usize {
        self.partitions.len() - 1
    }

    /// Writes what spillers have left, or holds it where all of it fits.
    pub(super) fn finish(&self, mut spillers: Vec<Spiller>) -> Result<(), StageError> {
        let bytes: usize = spillers.iter().map(Spiller::used).sum();
        if self.spilled() > 0 || bytes > self.lent.held {
            return spillers.into_iter().try_for_each(|mut spiller| spiller.spill(self));
        }
        self.held.store(bytes, Ordering::Relaxed);
        if self.is_sieved {
            let mut lists: Vec<_> = spillers.iter_mut().map(|spiller| &mut spiller.list.entries).collect();
            leave_out_lone(&mut lists, |entry| &entry.place);
        }
        for Spiller { list, past, .. } in spillers {
            for mut list in [list, past] {
                list.sort();
                let list = Arc::new(list);
                let mut at = 0;
                for part in list.entries.chunk_by(|a, b| a.partition == b.partition) {
                    let end = at + part.len();
                    let held = Held { list: Arc::clone(&list), at, end };
                    self.segments(part[0].partition as usize).push(Segment::Held(held));
                    at = end;
                }
            }
        }
        Ok(())
    }

    /// Bytes of records that are held in memory.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Forgets all but what goes past reducing.
    pub(super) fn forget_reduced(&self) {
        (0..self.past()).for_each(|partition| self.segments(partition).clear());
        let past = self.segments(self.past());
        let lists = past.iter().map(|segment| match segment {
            Segment::Held(held) => held.list.used(),
            Segment::Written { .. } => 0,
        });
        self.held.store(lists.sum(), Ordering::Relaxed);
    }

    /// The sorted records of one partition.
    pub(super) fn merge(&self, partition: usize) -> Result<Merge, StageError> {
        self.open(self.few(partition)?)
    }

    /// The sorted records of one partition, with what goes past in another shuffle.
    pub(super) fn merge_with_past(&self, partition: usize, other: &Self) -> Result<Merge, StageError> {
        let mut segments = self.few(partition)?;
        segments.extend(other.few(other.past())?);
        self.open(segments)
    }

    /// The segments of one partition, merged until they are few enough to be read at once.
    fn few(&self, partition: usize) -> Result<Vec<Segment>, StageError> {
        let mut segments = self.segments(partition).clone();
        let merged_max = (OPEN_FILES_MAX / rayon::current_num_threads()).clamp(MERGED_MIN, MERGED_MAX);
        while segments.len() > merged_max {
            let rest = segments.split_off(merged_max);
            let path = self.new_file();
            let mut merge = self.open(segments.clone())?;
            let mut longer = RunWriter::create(&path).map_err(StageError::io(&path))?;
            while let Some(record) = merge.next()? {
                longer.write(record).map_err(StageError::io(&path))?;
            }
            let end = longer.finish().map_err(StageError::io(&path))?;
            for segment in &segments {
                if let Segment::Written { path, alone: true, .. } = segment {
                    fs::remove_file(path).map_err(StageError::io(path))?;
                }
            }
            segments = rest;
            segments.push(Segment::Written { path, start: 0, end, alone: true });
        }
        Ok(segments)
    }

    fn open(&self, segments: Vec<Segment>) -> Result<Merge, StageError> {
        let bytes = (self.lent.thread / 2 / segments.len().max(1)).clamp(READ_BYTES[0], READ_BYTES[1]);
        let mut heap = BinaryHeap::with_capacity(segments.len());
        for segment in segments {
            match segment {
                Segment::Written { path, start, end, .. } => {
                    let mut run = RunReader::open(&path, start, end, bytes).map_err(StageError::io(&path))?;
                    if run.advance().map_err(StageError::io(&path))? {
                        heap.push(Reverse(Head::new(Run::Read(run))));
                    }
                }
                Segment::Held(held) => {
                    heap.extend((held.at < held.end).then(|| Reverse(Head::new(Run::Held(held)))));
                }
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
    list: List,
    /// What goes past reducing is needed longer than the rest, so it lies on its own.
    past: List,
    /// What all may take.
    budget: usize,
}

/// Records, and the bytes of those that their entries do not hold.
struct List {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy)]
struct Entry {
    place: Place,
    partition: u32,
}

impl List {
    fn new(budget: usize) -> Self {
        let entries = budget / 2 / size_of::<Entry>();
        Self { bytes: Vec::with_capacity(budget), entries: Vec::with_capacity(entries) }
    }

    /// Bytes that are taken.
    fn used(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    fn push(&mut self, partition: usize, key: &[u8], value: Value<'_>) -> Value<'static> {
        let place = Place::write(key, value, &mut self.bytes);
        self.entries.push(Entry { place, partition: partition as u32 });
        place.value()
    }

    fn sort(&mut self) {
        let Self { bytes, entries } = self;
        match entries.iter().all(|entry| entry.partition <= u32::from(u8::MAX)) {
            true => drop(group(entries, |entry| entry.partition as u8)),
            false => entries.sort_unstable_by_key(|entry| entry.partition),
        }
        for part in entries.chunk_by_mut(|a, b| a.partition == b.partition) {
            sort_places(part, |entry| &entry.place, bytes);
        }
    }
}

/// Places in the bytes are counted by 32 bits.
const BUDGET_MAX: usize = 4 << 30;

impl Spiller {
    pub(super) fn new(shuffle: &Shuffle) -> Self {
        let budget = shuffle.lent.thread.clamp(SPILL_BYTES_MIN, BUDGET_MAX);
        Self { list: List::new(budget), past: List::new(budget), budget }
    }

    /// Takes a record. One that is larger than the memory is alone in its run.
    pub(super) fn push(
        &mut self,
        shuffle: &Shuffle,
        partition: usize,
        Record { key, value }: Record<'_>,
    ) -> Result<(), StageError> {
        self.make_room(shuffle, key.len() + value.len())?;
        self.list.push(partition, key, Value::New(&[value]));
        Ok(())
    }

    /// Takes records, each into the partition of its key, and those that go past into the last. What shares its value goes on sharing it.
    pub(super) fn take(
        &mut self,
        shuffle: &Shuffle,
        records: &Records,
        partition: impl Fn(&[u8]) -> usize,
    ) -> Result<(), StageError> {
        for Record { key, value } in records.past() {
            self.make_room(shuffle, key.len() + value.len())?;
            self.past.push(shuffle.past(), key, Value::New(&[value]));
        }
        let mut last: Option<(&[u8], Value<'static>)> = None;
        for Record { key, value } in records.iter() {
            let spilled = self.make_room(shuffle, key.len() + value.len())?;
            let shared = last.filter(|(last, _)| !spilled && std::ptr::eq(*last, value));
            let parts = [value];
            let placed = shared.map_or(Value::New(&parts), |(_, placed)| placed);
            last = Some((value, self.list.push(partition(key), key, placed)));
        }
        Ok(())
    }

    /// Spills where a record of so many bytes has no room; whether it did.
    fn make_room(&mut self, shuffle: &Shuffle, bytes: usize) -> Result<bool, StageError> {
        let no_entry = |list: &List| list.entries.len() == list.entries.capacity();
        let full =
            self.used() + bytes + 2 * STEP > self.budget || no_entry(&self.list) || no_entry(&self.past);
        if full {
            self.spill(shuffle)?;
        }
        Ok(full)
    }

    /// Bytes that are taken.
    fn used(&self) -> usize {
        self.list.used() + self.past.used()
    }

    /// Writes what is held as one run.
    pub(super) fn spill(&mut self, shuffle: &Shuffle) -> Result<(), StageError> {
        if self.used() == 0 {
            return Ok(());
        }
        let path = shuffle.new_file();
        let mut run = RunWriter::create(&path).map_err(StageError::io(&path))?;
        let mut segments = Vec::new();
        for list in [&mut self.list, &mut self.past] {
            list.sort();
            let List { bytes, entries } = list;
            for part in entries.chunk_by(|a, b| a.partition == b.partition) {
                let start = run.written();
                let written = part.iter().try_for_each(|entry| run.write(entry.place.record(bytes)));
                written.map_err(StageError::io(&path))?;
                let segment =
                    Segment::Written { path: path.clone(), start, end: run.written(), alone: false };
                segments.push((part[0].partition as usize, segment));
            }
            bytes.clear();
            entries.clear();
        }
        run.finish().map_err(StageError::io(&path))?;
        shuffle.spilled.fetch_add(1, Ordering::Relaxed);
        for (partition, segment) in segments {
            shuffle.segments(partition).push(segment);
        }
        Ok(())
    }
}

/// A run that is read.
enum Run {
    Read(RunReader),
    Held(Held),
}

impl Run {
    fn record(&self) -> Record<'_> {
        match self {
            Self::Read(run) => run.record(),
            Self::Held(Held { list, at, .. }) => list.entries[*at].place.record(&list.bytes),
        }
    }

    /// Moves to the next record; `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        match self {
            Self::Read(run) => run.advance(),
            Self::Held(held) => {
                held.at += 1;
                held.look_ahead();
                Ok(held.at < held.end)
            }
        }
    }

    /// The beginning of its record. Of one in memory no byte is read but those of its place.
    fn beginning(&self) -> u64 {
        match self {
            Self::Read(run) => beginning(run.record().key),
            Self::Held(Held { list, at, .. }) => list.entries[*at].place.beginning(),
        }
    }
}

/// A run in the heap: the smallest record first, equal ones by nothing, for they are equal.
struct Head {
    /// Nearly always tells which of two is smaller.
    beginning: u64,
    run: Run,
}

impl Head {
    fn new(run: Run) -> Self {
        Self { beginning: run.beginning(), run }
    }

    /// Moves to the next record; `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let more = self.run.advance()?;
        if more {
            self.beginning = self.run.beginning();
        }
        Ok(more)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
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
        self.beginning.cmp(&other.beginning).then_with(|| self.run.record().cmp(&other.run.record()))
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
            && !first.0.advance()?
        {
            PeekMut::pop(first);
        }
        Ok(())
    }
}

impl Sorted for Merge {
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError> {
        self.step().map_err(StageError::io(Path::new("a sorted run")))?;
        Ok(self.heap.peek().map(|Reverse(head)| head.run.record()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn any_cut_into_runs_merges_to_the_same_order() {
        let folder = std::env::temp_dir().join(format!("gristmill-shuffle-{}", std::process::id()));
        let mut rng = schemas::hash::Rng::new(5);
        let numbers: Vec<u64> = (0..5000).map(|_| rng.below(2000)).collect();
        // A record that is larger than the memory, too.
        let large = vec![b'v'; 2 * SPILL_BYTES_MIN];
        let value = |n: u64| if n == 7 { large.as_slice() } else { b"v" };
        for (every, held) in [(1, 0), (7, 0), (5000, 0), (5000, 1 << 30)] {
            let thread = if held > 0 { 1 << 30 } else { 0 };
            let shuffle = Shuffle::create(&folder, 3, Lent { thread, held }).unwrap();
            let mut spillers = vec![Spiller::new(&shuffle), Spiller::new(&shuffle)];
            for (at, n) in numbers.iter().enumerate() {
                let (partition, key) = (*n as usize % 2, n.to_be_bytes());
                let spiller = &mut spillers[usize::from(at > 3000)];
                spiller.push(&shuffle, partition, Record { key: &key, value: value(*n) }).unwrap();
                if at % every == 0 && held == 0 {
                    spiller.spill(&shuffle).unwrap();
                }
            }
            shuffle.finish(spillers).unwrap();
            assert!(held > 0 || shuffle.spilled() >= 5000 / every, "{} runs", shuffle.spilled());
            assert_eq!(shuffle.spilled() == 0, held > 0);
            assert_eq!(shuffle.held() > 5000 * size_of::<Entry>(), held > 0);
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

    #[test]
    fn what_goes_past_is_met_among_what_was_reduced() {
        let folder = std::env::temp_dir().join(format!("gristmill-past-{}", std::process::id()));
        for held in [0, 1 << 20] {
            let lent = Lent { thread: 1 << 20, held };
            let mapped = Shuffle::create(&folder.join("mapped"), 2, lent).unwrap();
            let reduced = Shuffle::create(&folder.join("reduced"), 1, lent).unwrap();
            let mut records = Records::default();
            records.push_past(b"b", &[b"past"]);
            records.push_keys([*b"x", *b"y"], b"shared");
            let mut spiller = Spiller::new(&mapped);
            spiller.take(&mapped, &records, |_| 0).unwrap();
            assert_eq!((&*spiller.list.bytes, &*spiller.past.bytes), (&b"shared"[..], &b"past"[..]));
            mapped.finish(vec![spiller]).unwrap();
            let mut spiller = Spiller::new(&reduced);
            for key in [b"c", b"a"] {
                spiller.push(&reduced, 0, Record { key, value: b"reduced" }).unwrap();
            }
            reduced.finish(vec![spiller]).unwrap();
            let told = |mut merge: Merge| {
                let mut told = String::new();
                while let Some(Record { key, value }) = merge.next().unwrap() {
                    told += &format!("{} {}, ", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
                }
                told
            };
            assert_eq!(told(mapped.merge(0).unwrap()), "x shared, y shared, ");
            mapped.forget_reduced();
            assert_eq!(told(mapped.merge(0).unwrap()), "");
            let both = reduced.merge_with_past(0, &mapped).unwrap();
            assert_eq!(told(both), "a reduced, b past, c reduced, ");
            fs::remove_dir_all(&folder).unwrap();
        }
    }

    /// A key that is alone in each spiller is not alone.
    #[test]
    fn of_keys_that_are_sieved_none_that_repeats_is_lost() {
        let folder = std::env::temp_dir().join(format!("gristmill-sieved-{}", std::process::id()));
        let lent = Lent { thread: 1 << 20, held: 1 << 20 };
        let shuffle = Shuffle::create(&folder, 3, lent).unwrap().sieved(true);
        let mut spillers = vec![Spiller::new(&shuffle), Spiller::new(&shuffle)];
        for n in 0_u64..2000 {
            let mut records = Records::default();
            records.push_past(&n.to_be_bytes(), &[b"past"]);
            records.push(&n.to_be_bytes(), b"first");
            spillers[0].take(&shuffle, &records, |_| 0).unwrap();
            let other = if n % 4 == 0 { n } else { 10_000 + n };
            let mut records = Records::default();
            records.push(&other.to_be_bytes(), b"second");
            spillers[1].take(&shuffle, &records, |_| 0).unwrap();
        }
        shuffle.finish(spillers).unwrap();
        let count = |partition: usize| {
            let (mut merge, mut times) = (shuffle.merge(partition).unwrap(), BTreeMap::<u64, usize>::new());
            while let Some(record) = merge.next().unwrap() {
                *times.entry(u64::from_be_bytes(record.key.try_into().unwrap())).or_default() += 1;
            }
            times
        };
        let sieved = count(0);
        assert!((0..2000).step_by(4).all(|n| sieved[&n] == 2));
        assert!(sieved.len() < 500 + 3000 / 6, "{} keys", sieved.len());
        assert_eq!(count(shuffle.past()).len(), 2000);
        shuffle.remove().unwrap();
    }
}
