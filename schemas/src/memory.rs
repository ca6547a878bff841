//! The house in memory: runs a [`Global`] or a [`Regroup`] without a working folder, for tests, benchmarks and examples,
//! and for a global that sees no rows.

use crate::{
    DocId, Global, House, Judge, Note, Notes, Outcome, Push, Record, Records, Regroup, Settled, Sorted,
    Sorter, StageError, Tally, column,
};
use arrow::array::RecordBatch;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Records that are read in their order.
#[derive(Debug)]
pub struct Stream {
    records: Records,
    next: usize,
}

impl Stream {
    /// Sorts records and streams them.
    pub fn sorted(mut records: Records) -> Self {
        records.sort();
        Self { records, next: 0 }
    }
}

impl Sorted for Stream {
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError> {
        self.next += 1;
        Ok(self.records.get(self.next - 1))
    }
}

impl Sorter for Records {
    fn sorted(self: Box<Self>) -> Result<Box<dyn Sorted>, StageError> {
        Ok(Box::new(Stream::sorted(*self)))
    }
}

/// Sorts in memory, and holds the files that it was asked for.
#[derive(Debug, Default)]
pub struct InMemory {
    files: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl House for InMemory {
    fn sorter(&self) -> Result<Box<dyn Sorter + '_>, StageError> {
        Ok(Box::new(Records::default()))
    }

    fn file(&self, name: &str) -> Result<Box<dyn Write + '_>, StageError> {
        self.files.borrow_mut().insert(name.to_owned(), Vec::new());
        Ok(Box::new(Held { house: self, name: name.to_owned() }))
    }
}

/// One of the files.
struct Held<'a> {
    house: &'a InMemory,
    name: String,
}

impl Write for Held<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.house.files.borrow_mut().get_mut(&self.name).expect("the file was made").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Noted(BTreeMap<DocId, Note>);

impl Notes for Noted {
    fn note(&mut self, id: DocId, value: &[u8]) -> Result<(), StageError> {
        let fresh = || Note { value: value.to_vec(), times: 0 };
        let note = self.0.entry(id).or_insert_with(fresh);
        if value < note.value.as_slice() {
            *note = fresh();
        }
        note.times += u64::from(value == note.value);
        Ok(())
    }
}

/// A global that has seen its rows.
pub struct Done {
    /// What it settled.
    pub settled: Settled,
    judge: Box<dyn Judge>,
    notes: BTreeMap<DocId, Note>,
}

impl Done {
    /// Judges a batch.
    ///
    /// # Errors
    /// Those of the global.
    pub fn judge(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let notes = match batch.column_by_name(column::ID) {
            Some(_) if !self.notes.is_empty() => {
                let wrong = |id: &str| StageError::Invalid(format!("`{id}` is not a document id"));
                let note = |id: Option<&str>| {
                    let id = id.unwrap_or_default();
                    Ok(self.notes.get(&DocId::parse(id).ok_or_else(|| wrong(id))?).cloned())
                };
                column::utf8(batch, column::ID)?.iter().map(note).collect::<Result<_, StageError>>()?
            }
            _ => vec![None; batch.num_rows()],
        };
        self.judge.judge(batch, &notes)
    }
}

/// What a global has mapped of its rows.
#[derive(Debug, Default)]
pub struct Mapped(Records);

impl Mapped {
    /// Maps a batch.
    ///
    /// # Errors
    /// Those of the global.
    pub fn map(&mut self, global: &dyn Global, batch: &RecordBatch) -> Result<(), StageError> {
        global.map(batch, &mut self.0)
    }

    /// Reduces and settles, in partitions by the hash of the key as the house does on disk.
    ///
    /// # Errors
    /// Those of the global.
    pub fn settle(mut self, global: &dyn Global, partitions: usize) -> Result<Done, StageError> {
        if !global.reads_lone_keys() {
            self.0.leave_out_lone();
        }
        let part = |key: &[u8]| xxhash_rust::xxh3::xxh3_64(key) as usize % partitions;
        let mut reduced = Records::default();
        for mut part in self.0.parts(partitions, part) {
            global.reduce(&mut part, &mut reduced as &mut dyn Push)?;
        }
        let records = self.0.past_and(&reduced);
        let mut notes = Noted::default();
        let house = InMemory::default();
        let mut settled = global.settle(&mut Stream::sorted(records), &house, &mut notes)?;
        settled.files.extend(house.files.into_inner());
        Ok(Done { judge: global.judge(&settled)?, settled, notes: notes.0 })
    }
}

/// Maps, reduces and settles.
///
/// # Errors
/// Those of the global.
pub fn settle(global: &dyn Global, batches: &[RecordBatch], partitions: usize) -> Result<Done, StageError> {
    let mut mapped = Mapped::default();
    batches.iter().try_for_each(|batch| mapped.map(global, batch))?;
    mapped.settle(global, partitions)
}

/// What a regroup made.
#[derive(Debug, Default)]
pub struct Regrouped {
    /// The batches of each folder, in order.
    pub folders: Vec<Vec<RecordBatch>>,
    /// What it said of the rows of each batch.
    pub outcomes: Vec<Outcome>,
    /// Files of its plan.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Notes of its plan.
    pub notes: Vec<String>,
}

/// Counts, plans, maps and reduces.
///
/// # Errors
/// Those of the regroup.
pub fn regroup(work: &dyn Regroup, batches: &[RecordBatch]) -> Result<Regrouped, StageError> {
    let mut made = Regrouped::default();
    if work.counts() {
        let mut tally = Tally::new();
        batches.iter().try_for_each(|batch| work.count(batch, &mut tally))?;
        if let Some(plan) = work.plan(&tally)? {
            (made.files, made.notes) = (plan.files, plan.notes);
            return reduced(plan.work.as_ref(), batches, made);
        }
    }
    reduced(work, batches, made)
}

fn reduced(
    work: &dyn Regroup,
    batches: &[RecordBatch],
    mut made: Regrouped,
) -> Result<Regrouped, StageError> {
    let (folders, parts) = (work.folders().len(), work.parts());
    let mut sorted = vec![Records::default(); folders * parts];
    let mut mapped = Records::default();
    for batch in batches {
        mapped.clear();
        made.outcomes.push(work.map(batch, &mut mapped)?);
        for Record { key, value } in mapped.iter() {
            let (folder, part) = work.place(key);
            sorted[folder * parts + part].push(key, value);
        }
    }
    let mut sorted = sorted.into_iter();
    for folder in 0..folders {
        let streams = sorted.by_ref().take(parts).map(|r| Box::new(Stream::sorted(r)) as Box<dyn Sorted>);
        let mut rows = Vec::new();
        work.reduce(folder, streams.collect(), &mut |batch| {
            rows.push(batch);
            Ok(())
        })?;
        made.folders.push(rows);
    }
    Ok(made)
}
