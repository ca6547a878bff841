//! What a global settled, as it lies in the cache: files, facts, and the notes on documents, looked up by id.
//!
//! The file has one record for the counts of files, facts and pieces, one for each of these, and the notes sorted by id: 16 bytes
//! of id; how often (`u64`, little-endian) and the value. In memory stands the first id of every 4 KiB of notes. A file that may be larger than
//! memory lies in pieces, of which only the place is held.

use super::error::RunError;
use super::runs::{RunReader, record_bytes, split_record, write_record};
use super::seal::{self, Hand, SealedWriter};
use arrow::array::RecordBatch;
use schemas::{DocId, Judge, Note, Outcome, Record, Settled, Sorted, StageError, column};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Bytes of notes that are read for one look.
const BLOCK_BYTES: u64 = 4 << 10;
/// Bytes of notes that are held in memory, where there are no more.
const HELD_BYTES_MAX: u64 = 4 << 20;
const READ_BYTES: usize = 64 << 10;
const COUNTS: &[u8] = b"counts";
/// Bytes of a piece of a file.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes what was settled; `large` are the files that lie on disk, `notes` are sorted by id.
pub(super) fn write(
    path: &Path,
    hand: Hand,
    settled: &Settled,
    large: &BTreeMap<String, PathBuf>,
    notes: &mut dyn Sorted,
) -> Result<(), RunError> {
    let mut file = SealedWriter::create(path, hand)?;
    let part = file.part().to_owned();
    let mut put = |key: &[u8], value: &[u8]| {
        write_record(&mut file, Record { key, value }).map_err(RunError::io(&part))
    };
    let mut pieces = 0;
    for path in large.values() {
        pieces += path.metadata().map_err(RunError::io(path))?.len().div_ceil(PIECE_BYTES);
    }
    let counts = [settled.files.len() as u64, settled.facts.len() as u64, pieces].map(u64::to_le_bytes);
    put(COUNTS, counts.as_flattened())?;
    settled.files.iter().try_for_each(|(name, bytes)| put(name.as_bytes(), bytes))?;
    settled.facts.iter().try_for_each(|(name, n)| put(name.as_bytes(), &n.to_le_bytes()))?;
    let mut piece = Vec::new();
    for (name, path) in large {
        let mut file = File::open(path).map_err(RunError::io(path))?;
        loop {
            piece.clear();
            let read = (&mut file).take(PIECE_BYTES).read_to_end(&mut piece).map_err(RunError::io(path))?;
            if read == 0 {
                break;
            }
            put(name.as_bytes(), &piece)?;
        }
    }
    let mut note: Option<(Vec<u8>, Note)> = None;
    let bytes_of = |note: &Note| [&note.times.to_le_bytes()[..], &note.value].concat();
    while let Some(Record { key, value }) = notes.next().map_err(RunError::stage("notes"))? {
        match &mut note {
            Some((id, note)) if id == key => note.times += u64::from(note.value == value),
            _ => {
                if let Some((id, note)) =
                    note.replace((key.to_vec(), Note { value: value.to_vec(), times: 1 }))
                {
                    put(&id, &bytes_of(&note))?;
                }
            }
        }
    }
    if let Some((id, note)) = note {
        put(&id, &bytes_of(&note))?;
    }
    file.finish()
}

/// A settled global at work.
pub(super) struct Settlement {
    pub(super) settled: Settled,
    judge: Box<dyn Judge>,
    /// The notes on documents; none where no row was seen.
    notes: Option<Notes>,
    large: Pieces,
}

/// Files that lie in pieces: first byte and length of each piece.
type Pieces = BTreeMap<String, Vec<(u64, u64)>>;

impl Settlement {
    /// Reads a file that is whole.
    pub(super) fn open(
        path: &Path,
        judge: impl FnOnce(&Settled) -> Result<Box<dyn Judge>, RunError>,
    ) -> Result<Self, RunError> {
        let wrong = || RunError::Cache { path: path.to_owned(), message: "this is no settlement".into() };
        let (settled, large, notes) = read(path).map_err(RunError::io(path))?.ok_or_else(wrong)?;
        Ok(Self { judge: judge(&settled)?, settled, notes: Some(notes), large })
    }

    /// What was settled by no row, and lies nowhere.
    pub(super) fn of_no_row(
        settled: Settled,
        judge: impl FnOnce(&Settled) -> Result<Box<dyn Judge>, RunError>,
    ) -> Result<Self, RunError> {
        Ok(Self { judge: judge(&settled)?, settled, notes: None, large: Pieces::new() })
    }

    /// Names of the files that lie in pieces.
    pub(super) fn large(&self) -> impl Iterator<Item = &String> {
        self.large.keys()
    }

    /// Names of all files.
    pub(super) fn files(&self) -> impl Iterator<Item = &String> {
        self.settled.files.keys().chain(self.large.keys())
    }

    /// Writes all files into a folder, which is made.
    pub(super) fn write_files(&self, folder: &Path) -> Result<(), RunError> {
        fs::create_dir_all(folder).map_err(RunError::io(folder))?;
        for (name, bytes) in &self.settled.files {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(RunError::io(&path))?;
        }
        self.large().try_for_each(|name| self.copy(name, &folder.join(name)))
    }

    /// Copies a file that lies in pieces.
    pub(super) fn copy(&self, name: &str, to: &Path) -> Result<(), RunError> {
        let mut out = File::create(to).map_err(RunError::io(to))?;
        let path = &self.notes.as_ref().expect("pieces lie before the notes").path;
        let mut from = File::open(path).map_err(RunError::io(path))?;
        for &(start, length) in self.large.get(name).into_iter().flatten() {
            from.seek(SeekFrom::Start(start)).map_err(RunError::io(path))?;
            io::copy(&mut (&mut from).take(length), &mut out).map_err(RunError::io(to))?;
        }
        Ok(())
    }

    /// Judges a batch by what was noted of its rows.
    pub(super) fn judge(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let Some(notes) = self.notes.as_ref().filter(|notes| !notes.index.is_empty()) else {
            return self.judge.judge(batch, &vec![None; batch.num_rows()]);
        };
        let ids = column::utf8(batch, column::ID)?;
        let parse = |id: Option<&str>| {
            let text = id.unwrap_or_default();
            DocId::parse(text).ok_or_else(|| StageError::Invalid(format!("`{text}` is not a document id")))
        };
        let ids: Vec<DocId> = ids.iter().map(parse).collect::<Result<_, _>>()?;
        let notes = notes.find(&ids).map_err(StageError::io(&notes.path))?;
        self.judge.judge(batch, &notes)
    }
}

/// `None` when the content is of another kind.
fn read(path: &Path) -> io::Result<Option<(Settled, Pieces, Notes)>> {
    let mut reader = RunReader::of(seal::open(path)?, READ_BYTES);
    let mut at = 0;
    let next = |reader: &mut RunReader, at: &mut u64| -> io::Result<bool> {
        let more = reader.advance()?;
        *at += if more { record_bytes(reader.record()) } else { 0 };
        Ok(more)
    };
    let number = |value: &[u8]| value.try_into().ok().map(u64::from_le_bytes);
    if !next(&mut reader, &mut at)? || reader.record().key != COUNTS {
        return Ok(None);
    }
    let counts = reader.record().value.as_chunks::<8>().0;
    let &[files, facts, pieces] = counts else { return Ok(None) };
    let mut settled = Settled::default();
    let name = |reader: &RunReader| String::from_utf8_lossy(reader.record().key).into_owned();
    for _ in 0..u64::from_le_bytes(files) {
        next(&mut reader, &mut at)?;
        settled.files.insert(name(&reader), reader.record().value.to_vec());
    }
    for _ in 0..u64::from_le_bytes(facts) {
        next(&mut reader, &mut at)?;
        let Some(fact) = number(reader.record().value) else { return Ok(None) };
        settled.facts.insert(name(&reader), fact);
    }
    let mut large = Pieces::new();
    for _ in 0..u64::from_le_bytes(pieces) {
        next(&mut reader, &mut at)?;
        let length = reader.record().value.len() as u64;
        large.entry(name(&reader)).or_default().push((at - length, length));
    }
    let (mut index, mut start) = (Vec::<(DocId, u64)>::new(), at);
    while reader.advance()? {
        let record = reader.record();
        let Ok(id) = record.key.try_into().map(DocId::from_bytes) else { return Ok(None) };
        if index.last().is_none_or(|(_, block)| start - block >= BLOCK_BYTES) {
            index.push((id, start));
        }
        start += record_bytes(record);
    }
    let first = index.first().map_or(start, |(_, first)| *first);
    let mut file = File::open(path)?;
    let held = match start - first {
        bytes if bytes <= HELD_BYTES_MAX => {
            let mut held = vec![0; bytes as usize];
            file.seek(SeekFrom::Start(first))?;
            file.read_exact(&mut held)?;
            Some(held)
        }
        _ => None,
    };
    Ok(Some((
        settled,
        large,
        Notes { file: Mutex::new(file), path: path.to_owned(), index, first, end: start, held },
    )))
}

/// Notes on disk.
struct Notes {
    file: Mutex<File>,
    path: PathBuf,
    /// First id and first byte of each block.
    index: Vec<(DocId, u64)>,
    first: u64,
    end: u64,
    /// All notes, where they are few.
    held: Option<Vec<u8>>,
}

impl Notes {
    fn find(&self, ids: &[DocId]) -> io::Result<Vec<Option<Note>>> {
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_unstable_by_key(|&row| ids[row]);
        let mut notes = vec![None; ids.len()];
        // The block at hand, and how far it is behind the ids.
        let (mut block, mut bytes, mut passed) = (None, Vec::new(), 0);
        for row in order {
            let behind = self.index.partition_point(|(first, _)| *first <= ids[row]);
            let Some(at) = behind.checked_sub(1) else { continue };
            if block != Some(at) {
                if self.held.is_none() {
                    self.read(at, &mut bytes)?;
                }
                (block, passed) = (Some(at), 0);
            }
            let notes_there = match &self.held {
                Some(held) => {
                    let (start, end) = self.range(at);
                    &held[(start - self.first) as usize..(end - self.first) as usize]
                }
                None => &bytes,
            };
            notes[row] = search(notes_there, &mut passed, ids[row]);
        }
        Ok(notes)
    }

    fn range(&self, block: usize) -> (u64, u64) {
        (self.index[block].1, self.index.get(block + 1).map_or(self.end, |(_, start)| *start))
    }

    fn read(&self, block: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        let (start, end) = self.range(block);
        bytes.resize((end - start) as usize, 0);
        let mut file = self.file.lock().expect("no thread panics while it reads notes");
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(bytes)
    }
}

/// The note on a document in a block, behind those that are passed; ids are asked for in their order.
fn search(block: &[u8], passed: &mut usize, id: DocId) -> Option<Note> {
    let id = id.to_bytes();
    while let Some((record, rest)) = split_record(&block[*passed..]) {
        match record.key.cmp(&id) {
            Ordering::Less => *passed = block.len() - rest.len(),
            Ordering::Equal => {
                let (times, value) = record.value.split_first_chunk()?;
                return Some(Note { value: value.to_vec(), times: u64::from_le_bytes(*times) });
            }
            Ordering::Greater => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::memory::Stream;
    use schemas::{Records, Stage, Verdict};

    struct KeepAll;
    impl Stage for KeepAll {
        fn output(
            &self,
            input: &arrow::datatypes::SchemaRef,
        ) -> Result<arrow::datatypes::SchemaRef, StageError> {
            Ok(input.clone())
        }
        fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
            Ok(Outcome { verdicts: vec![Verdict::Kept; batch.num_rows()], columns: vec![], signals: vec![] })
        }
    }

    fn id(n: u64) -> DocId {
        DocId::new("note", &n.to_string())
    }

    #[test]
    fn notes_files_and_facts_are_found_again() {
        let path = std::env::temp_dir().join(format!("gristmill-settled-{}/file", std::process::id()));
        // The last has more notes than are held in memory.
        for count in [0, 1, 3000, 150_000] {
            let mut records = Records::default();
            for n in (0..count).filter(|n| n % 3 != 1) {
                (0..=n % 4).for_each(|_| records.push(&id(n).to_bytes(), &[1, n as u8]));
                records.push(&id(n).to_bytes(), &[2]);
            }
            let settled = Settled {
                files: [("a.json".to_owned(), vec![7; 5000])].into(),
                facts: [("size".to_owned(), count)].into(),
            };
            let hand = Hand { node: 0, stream: 0 };
            let (file, copy) = (path.with_extension("file"), path.with_extension("copy"));
            let bytes: Vec<u8> = (0..count * 20).map(|n| (n % 251) as u8).collect();
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&file, &bytes).unwrap();
            let large = [("big".to_owned(), file)].into();
            write(&path, hand, &settled, &large, &mut Stream::sorted(records)).unwrap();
            let found = Settlement::open(&path, |_| Ok(Box::new(KeepAll))).unwrap();
            found.copy("big", &copy).unwrap();
            assert_eq!(std::fs::read(copy).unwrap(), bytes);
            assert_eq!(found.settled, settled);
            let ids: Vec<DocId> = (0..count + 5).map(id).collect();
            for (n, note) in found.notes.as_ref().unwrap().find(&ids).unwrap().into_iter().enumerate() {
                let n = n as u64;
                let noted = n < count && n % 3 != 1;
                let expected = noted.then(|| Note { value: vec![1, n as u8], times: 1 + n % 4 });
                assert_eq!(note, expected, "{n} of {count}");
            }
        }
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
