//! The index of a finished set: what a later build needs to know of its documents, so that it can drop what they have already.
//!
//! Bands lie sorted, by the partitions of the house, so that reducing one partition reads its part once and in order; the sets of
//! shingles lie in the order of ids, and are read only of documents that share a band with a new one. Nothing is held in memory.
//!
//! ```text
//! magic, length of the head (u32), head: JSON, what signatures and shingles were made by
//! sets      id (16 bytes), number of hashes (u32), hashes (u32 each), of each document that stays
//! bands     band hash (8 bytes, big-endian), first byte of the set (u64), of each partition one behind the other
//! trailer   where bands of each partition begin, where the last end (17 u64), number of documents (u64), magic
//! ```
//!
//! Numbers are little-endian where nothing else is said.

use super::document::{BAND_BYTES, LEADS};
use super::{Config, SPEC};
use crate::dedup::keep::{ID_BYTES, IdBytes};
use crate::dedup::signature::{WORDS, bands, signature};
use crate::source::files;
use schemas::{
    ConfigValue as _, FilePath, House, KeyError, PARTITIONS, Record, Settings, Sorted, StageError, partition,
};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What names of indexes end in.
pub(super) const ENDING: &str = ".index";
const MAGIC: &[u8; 8] = b"GRISTMH1";
/// Band hash and place of the set.
const ENTRY_BYTES: usize = BAND_BYTES + 8;
const TRAILER_BYTES: usize = 8 * (PARTITIONS + 2) + MAGIC.len();
/// Longest head that is read.
const HEAD_BYTES_MAX: u32 = 1 << 16;
/// Entries of bands that are read at once.
const READ_ENTRIES: usize = 4 << 10;
/// Bytes of a set that are read at once; most sets have fewer.
const READ_BYTES: usize = 2 << 10;
/// Most indexes at once: their number is one byte of a key.
const INDEXES_MAX: usize = 255;

/// Whether a name is a plain one of an index.
pub(super) fn is_name(name: &str) -> bool {
    name.ends_with(ENDING) && !name.starts_with('.') && !name.contains(['/', '\\'])
}

/// What two sets must have in common to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    kind: String,
    version: u32,
    family: String,
    words: usize,
    ngram: u64,
    bands: u64,
    rows: u64,
}

impl Head {
    fn of(config: &Config) -> Self {
        Self {
            kind: SPEC.kind.to_owned(),
            version: SPEC.version,
            family: config.family.show().trim_matches('"').to_owned(),
            words: WORDS,
            ngram: config.ngram,
            bands: config.bands,
            rows: config.rows,
        }
    }

    fn told(&self) -> String {
        let Self { version, family, words, ngram, bands, rows, .. } = self;
        format!("version {version}, family {family}, {words} words, ngram {ngram}, {bands} bands of {rows}")
    }
}

/// Counts what goes by.
struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Counted<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(StageError::io(Path::new("index")))
    }
}

/// Writes the index of the documents that stay: `sets` are theirs and of those that go, `gone` the ids of these, both sorted by id.
///
/// # Errors
/// `Io`.
pub(super) fn write(
    config: &Config,
    sets: &mut dyn Sorted,
    gone: &mut dyn Sorted,
    house: &dyn House,
) -> Result<(), StageError> {
    let mut out = Counted { out: house.file(&config.index)?, written: 0 };
    let head = serde_json::to_vec(&Head::of(config)).expect("a head is JSON");
    out.put(MAGIC)?;
    out.put(&(head.len() as u32).to_le_bytes())?;
    out.put(&head)?;
    let (mut by_band, mut documents, mut shingles) = (house.sorter()?, 0_u64, Vec::new());
    let mut next_gone = next_key(gone)?;
    while let Some(Record { key, value }) = sets.next()? {
        while next_gone.as_ref().is_some_and(|gone| gone.as_slice() < key) {
            next_gone = next_key(gone)?;
        }
        if next_gone.as_ref().is_some_and(|gone| gone == key) {
            continue;
        }
        let place = out.written.to_le_bytes();
        shingles.clear();
        shingles.extend(value.as_chunks().0.iter().map(|hash| u32::from_le_bytes(*hash)));
        out.put(key)?;
        out.put(&(shingles.len() as u32).to_le_bytes())?;
        out.put(value)?;
        documents += 1;
        let signature = signature(config.family, &shingles);
        for band in bands(&signature, config.bands as usize, config.rows as usize) {
            let band = band.to_be_bytes();
            let mut key = [partition(&band) as u8; 1 + BAND_BYTES];
            key[1..].copy_from_slice(&band);
            by_band.push(&key, &place)?;
        }
    }
    let mut starts = Vec::with_capacity(PARTITIONS + 1);
    let mut sorted = by_band.sorted()?;
    while let Some(Record { key, value }) = sorted.next()? {
        while starts.len() <= usize::from(key[0]) {
            starts.push(out.written);
        }
        out.put(&key[1..])?;
        out.put(value)?;
    }
    starts.resize(PARTITIONS + 1, out.written);
    starts.push(documents);
    starts.iter().try_for_each(|number| out.put(&number.to_le_bytes()))?;
    out.put(MAGIC)?;
    out.out.flush().map_err(StageError::io(Path::new("index")))
}

fn next_key(sorted: &mut dyn Sorted) -> Result<Option<Vec<u8>>, StageError> {
    Ok(sorted.next()?.map(|record| record.key.to_vec()))
}

/// The indexes of `against`, in the order in which they are named.
///
/// # Errors
/// Which file cannot be read, is none, or was made in another way.
pub(super) fn open(config: &Config, settings: &Settings) -> Result<Vec<Index>, Vec<KeyError>> {
    let wrong = |message: String, help: &str| {
        vec![KeyError { key: "against".into(), message, help: Some(help.to_owned()) }]
    };
    let base = settings.resolve(&FilePath::default());
    let help = "name indexes that `index` left beside datasets, or the folders of the datasets";
    let mut found = Vec::new();
    for path in &config.against.0 {
        match files::list(&base, std::slice::from_ref(path), &[ENDING]) {
            Ok(files) => found.extend(files),
            Err(error) => return Err(wrong(format!("cannot read `{path}`: {error}"), help)),
        }
    }
    if found.len() > INDEXES_MAX {
        return Err(wrong(format!("names {} indexes, more than {INDEXES_MAX}", found.len()), help));
    }
    let mut indexes = Vec::new();
    for file in found {
        let (index, head) = Index::open(&file.path).map_err(|error| {
            wrong(format!("`{}` is no whole index of {}: {error}", file.name, SPEC.kind), help)
        })?;
        let own = Head::of(config);
        if head != own {
            let message = format!("`{}` was made by {}, and this is {}", file.name, head.told(), own.told());
            return Err(wrong(
                message,
                "make the index again, or set the same keys: what is mixed cannot be compared",
            ));
        }
        indexes.push(index);
    }
    Ok(indexes)
}

/// An index on disk.
#[derive(Debug)]
pub(super) struct Index {
    file: Mutex<File>,
    path: PathBuf,
    /// Where the bands of each partition begin, and where the last end.
    starts: [u64; PARTITIONS + 1],
    /// Where sets begin.
    sets: u64,
}

impl Index {
    fn open(path: &Path) -> io::Result<(Self, Head)> {
        let other = |message: &str| io::Error::other(message.to_owned());
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut start = [0; MAGIC.len() + 4];
        file.read_exact(&mut start)?;
        let bytes = u32::from_le_bytes(*start.last_chunk().expect("a length has four bytes"));
        if !start.starts_with(MAGIC) || bytes > HEAD_BYTES_MAX {
            return Err(other("it does not begin as one"));
        }
        let mut head = vec![0; bytes as usize];
        file.read_exact(&mut head)?;
        let head: Head = serde_json::from_slice(&head)?;
        let sets = start.len() as u64 + u64::from(bytes);
        let end = length.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| other("it is cut"))?;
        file.seek(SeekFrom::Start(end))?;
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact(&mut trailer)?;
        let numbers: Vec<u64> = trailer.as_chunks().0.iter().map(|n| u64::from_le_bytes(*n)).collect();
        let starts: [u64; PARTITIONS + 1] = *numbers.first_chunk().expect("a trailer has more numbers");
        let is_whole = trailer.ends_with(MAGIC)
            && starts.is_sorted()
            && starts[0] >= sets
            && starts[PARTITIONS] == end
            && starts.iter().all(|at| (at - starts[0]).is_multiple_of(ENTRY_BYTES as u64));
        if !is_whole {
            return Err(other("it does not end as one"));
        }
        Ok((Self { file: Mutex::new(file), path: path.to_owned(), starts, sets }, head))
    }

    /// Reads what there is from a place on, as much as `bytes` holds.
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), StageError> {
        let mut file = self.file.lock().expect("no thread panics while it reads an index");
        let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(bytes));
        read.map_err(StageError::io(&self.path))
    }

    /// Id and hashes (little-endian) of the document whose set lies at a place.
    ///
    /// # Errors
    /// `Io`; `Invalid` where no set lies there.
    pub(super) fn document(&self, at: u64, hashes: &mut Vec<u8>) -> Result<IdBytes, StageError> {
        const LEAD: usize = ID_BYTES + 4;
        let damaged =
            || StageError::Invalid(format!("{} is damaged: no document at byte {at}", self.path.display()));
        let room = self.starts[0].checked_sub(at).filter(|_| at >= self.sets).ok_or_else(damaged)?;
        hashes.clear();
        hashes.resize(room.min(READ_BYTES as u64) as usize, 0);
        self.read(at, hashes)?;
        let lead: &[u8; LEAD] = hashes.first_chunk().ok_or_else(damaged)?;
        let id = *lead.first_chunk().expect("an id comes first");
        let count = u32::from_le_bytes(*lead.last_chunk().expect("a number follows"));
        let bytes = LEAD + 4 * count as usize;
        if bytes as u64 > room {
            return Err(damaged());
        }
        let read = hashes.len().min(bytes);
        hashes.resize(bytes, 0);
        self.read(at + read as u64, &mut hashes[read..])?;
        hashes.drain(..LEAD);
        Ok(id)
    }
}

/// Reads the bands of several indexes, each partition from its beginning to its end.
pub(super) struct Cursors<'a>(Vec<(&'a Index, Vec<Option<Cursor>>)>);

impl<'a> Cursors<'a> {
    pub(super) fn new(indexes: &'a [Index]) -> Self {
        Self(indexes.iter().map(|index| (index, (0..PARTITIONS).map(|_| None).collect())).collect())
    }

    /// Calls `found` with the key of each document that has a band. Bands of one partition are asked for in their order.
    ///
    /// # Errors
    /// `Io`; whatever `found` returns.
    pub(super) fn find(
        &mut self,
        band: &[u8],
        mut found: impl FnMut(&Elder) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let partition = partition(band);
        for (number, (index, cursors)) in self.0.iter_mut().enumerate() {
            let fresh = || Cursor { next: index.starts[partition], entries: Vec::new(), at: 0 };
            let cursor = cursors[partition].get_or_insert_with(fresh);
            while let Some(entry) = cursor.seek(index, partition, band)? {
                let place = u64::from_le_bytes(*entry.last_chunk().expect("an entry ends with a place"));
                found(&Elder::new(number, place))?;
            }
        }
        Ok(())
    }
}

/// Where one partition of one index is read.
struct Cursor {
    /// First byte that is not read.
    next: u64,
    entries: Vec<[u8; ENTRY_BYTES]>,
    at: usize,
}

impl Cursor {
    /// The next entry of a band, entries of smaller ones passed over.
    fn seek(
        &mut self,
        index: &Index,
        partition: usize,
        band: &[u8],
    ) -> Result<Option<[u8; ENTRY_BYTES]>, StageError> {
        loop {
            if self.entries.last().is_some_and(|last| &last[..BAND_BYTES] >= band) {
                let rest = &self.entries[self.at..];
                self.at += rest.partition_point(|entry| &entry[..BAND_BYTES] < band);
                let entry = self.entries.get(self.at).filter(|entry| &entry[..BAND_BYTES] == band).copied();
                self.at += usize::from(entry.is_some());
                if entry.is_some() || self.at < self.entries.len() {
                    return Ok(entry);
                }
            }
            let left = (index.starts[partition + 1] - self.next) / ENTRY_BYTES as u64;
            if left == 0 {
                return Ok(None);
            }
            self.entries.resize(left.min(READ_ENTRIES as u64) as usize, [0; ENTRY_BYTES]);
            self.at = 0;
            index.read(self.next, self.entries.as_flattened_mut())?;
            self.next += (self.entries.len() * ENTRY_BYTES) as u64;
        }
    }
}

/// The key of a document of an index among those of new ones: shorter than an id, number of the index and place of the set.
pub(super) struct Elder([u8; 9]);

impl Elder {
    fn new(index: usize, place: u64) -> Self {
        let mut key = [index as u8; 9];
        key[1..].copy_from_slice(&place.to_be_bytes());
        Self(key)
    }

    /// The key that a record has; `None` of the id of a new document.
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(Self)
    }

    pub(super) const fn key(&self) -> &[u8] {
        &self.0
    }

    /// Rank and record of the document. It ranks before all new ones, and nothing of it is looked for.
    ///
    /// # Errors
    /// As [`Index::document`].
    pub(super) fn ranked(
        &self,
        indexes: &[Index],
        seats: &[u8],
        value: &mut Vec<u8>,
    ) -> Result<Vec<u8>, StageError> {
        let [number, place @ ..] = self.0;
        let mut hashes = Vec::new();
        let id = indexes[usize::from(number)].document(u64::from_be_bytes(place), &mut hashes)?;
        super::document::write_ranked(seats, &hashes, value);
        debug_assert!(seats.iter().skip(BAND_BYTES).step_by(BAND_BYTES + 1).all(|does| *does == LEADS));
        Ok([&[OLD], self.key(), &id].concat())
    }
}

/// First byte of ranks where there are indexes: their documents rank before all others.
const OLD: u8 = 0;
/// First byte of the ranks of new documents.
pub(super) const NEW: u8 = 1;
