//! Records: bytes that the house can sort, spill and send without knowing what they mean.
//!
//! They are sorted by key, then by value, so the order never depends on threads, splits or spills; a key made of
//! big-endian numbers sorts by number.

mod sieve;
mod sort;

pub use self::sieve::leave_out_lone;
pub use self::sort::{group, sort_places};
use crate::StageError;
use std::cmp::Ordering;
use std::io::Write;

/// One record: a key to sort and group by, and a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record<'a> {
    /// What records are sorted and partitioned by.
    pub key: &'a [u8],
    /// What travels with the key; orders records of one key.
    pub value: &'a [u8],
}

/// A stream of records sorted by key, then value; borrowed until the next call.
pub trait Sorted {
    /// The next record, `None` at the end.
    ///
    /// # Errors
    /// `Io` when a spilled run cannot be read.
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError>;
}

/// Where records go, in any order and any number.
pub trait Push {
    /// Takes a record.
    ///
    /// # Errors
    /// `Io` when records are spilled and the disk refuses.
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), StageError>;
}

/// Sorts more records than memory holds.
pub trait Sorter: Push {
    /// Everything that was pushed, sorted.
    ///
    /// # Errors
    /// `Io`.
    fn sorted(self: Box<Self>) -> Result<Box<dyn Sorted>, StageError>;
}

/// Partitions that records are sorted in: a constant, so that results never depend on threads.
pub const PARTITIONS: usize = 16;

/// The partition of a key. Work that keeps records of its own by partition reads only those that it is given the like of.
pub fn partition(key: &[u8]) -> usize {
    (xxhash_rust::xxh3::xxh3_64(key) % PARTITIONS as u64) as usize
}

/// What the house lends to work that sorts in several passes.
pub trait House {
    /// A sorter within the memory budget of the run.
    ///
    /// # Errors
    /// `Io`.
    fn sorter(&self) -> Result<Box<dyn Sorter + '_>, StageError>;

    /// A new file of the dataset, for what may be larger than memory. It counts once the work has settled.
    ///
    /// # Errors
    /// `Io`.
    fn file(&self, name: &str) -> Result<Box<dyn Write + '_>, StageError>;

    /// Bytes that the work may hold beside its sorters. A result must not depend on it.
    fn memory_bytes(&self) -> usize {
        64 << 20
    }
}

/// A growing list of records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Records {
    list: List,
    /// Records that go past reducing.
    past: List,
}

/// Records, and the bytes of those that their places do not hold.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct List {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Where a record lies. Records may share a value, and a short key lies here and nowhere else, so that what is sorted
/// by many short keys reads little memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first bytes of the key, zeros behind it.
    head: [u8; HEAD],
    key_bytes: u32,
    value_bytes: u32,
    key: u32,
    value: u32,
}

/// Bytes of a key that a [`Place`] holds.
const HEAD: usize = 8;
/// Places are counted by 32 bits in steps of this many bytes.
pub const STEP: usize = 8;

/// The first bytes of a key as a number, zeros behind a short one: of two keys, the one that begins with less is the smaller.
pub fn beginning(key: &[u8]) -> u64 {
    u64::from_be_bytes(head(key))
}

fn head(key: &[u8]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let kept = key.len().min(HEAD);
    head[..kept].copy_from_slice(&key[..kept]);
    head
}

impl Place {
    /// Writes a value, where it is not there, and what of the key does not fit the place.
    ///
    /// # Panics
    /// When a key or value is longer than 4 GiB; when the bytes are more than 32 GiB.
    pub fn write(key: &[u8], value: Value<'_>, bytes: &mut Vec<u8>) -> Self {
        let count = |bytes: usize| u32::try_from(bytes).expect("keys and values are below 4 GiB");
        let (value, value_bytes) = match value {
            Value::There { place, bytes } => (place, bytes),
            Value::New(parts) => (append(parts, bytes), count(parts.iter().map(|part| part.len()).sum())),
        };
        let head = head(key);
        let at = if key.len() > HEAD { append(&[key], bytes) } else { 0 };
        Self { head, key_bytes: count(key.len()), value_bytes, key: at, value }
    }

    /// The record, from the bytes that it was written to.
    #[inline]
    pub fn record<'a>(&'a self, bytes: &'a [u8]) -> Record<'a> {
        let key = self.key_bytes as usize;
        Record {
            key: if key <= HEAD { &self.head[..key] } else { &bytes[self.key as usize * STEP..][..key] },
            value: &bytes[self.value as usize * STEP..][..self.value_bytes as usize],
        }
    }

    /// The [`beginning`] of the key.
    pub const fn beginning(&self) -> u64 {
        u64::from_be_bytes(self.head)
    }

    /// The value, for another record.
    pub const fn value(&self) -> Value<'static> {
        Value::There { place: self.value, bytes: self.value_bytes }
    }

    /// How two records of these bytes are ordered: by key, then by value. Of short keys no byte is read but those of the places.
    #[inline]
    pub fn order(&self, other: &Self, bytes: &[u8]) -> Ordering {
        self.beginning().cmp(&other.beginning()).then_with(|| {
            let (ours, theirs) = (self.record(bytes), other.record(bytes));
            let rest = match (ours.key.as_array(), theirs.key.as_array()) {
                // Ids have this length.
                (Some(ours), Some(theirs)) => u128::from_be_bytes(*ours).cmp(&u128::from_be_bytes(*theirs)),
                _ if self.key_bytes.max(other.key_bytes) > HEAD as u32 => ours.key.cmp(theirs.key),
                _ => self.key_bytes.cmp(&other.key_bytes),
            };
            rest.then_with(|| ours.value.cmp(theirs.value))
        })
    }
}

/// The value of a record that is written.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// These parts one behind the other.
    New(&'a [&'a [u8]]),
    /// That of another record.
    There {
        /// Where it lies.
        place: u32,
        /// Its length.
        bytes: u32,
    },
}

/// Appends parts from the next place on, which is told.
fn append(parts: &[&[u8]], bytes: &mut Vec<u8>) -> u32 {
    let start = bytes.len().next_multiple_of(STEP);
    bytes.reserve(start - bytes.len() + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.resize(start, 0);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    u32::try_from(start / STEP).expect("a list of records is below 32 GiB")
}

impl List {
    fn push(&mut self, key: &[u8], value: Value<'_>) {
        let place = Place::write(key, value, &mut self.bytes);
        self.places.push(place);
    }

    fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.places.iter().map(|place| place.record(&self.bytes))
    }

    fn sort(&self, places: &mut [Place]) {
        sort_places(places, |place| place, &self.bytes);
    }
}

impl Records {
    /// Adds a record.
    ///
    /// # Panics
    /// When a key or value is longer than 4 GiB; when the bytes of all are more than 32 GiB.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.push_parts(key, &[value]);
    }

    /// Adds a record whose value is these parts one behind the other.
    ///
    /// # Panics
    /// As [`Records::push`].
    pub fn push_parts(&mut self, key: &[u8], value: &[&[u8]]) {
        self.list.push(key, Value::New(value));
    }

    /// Adds a record for each key, all with one value, which lies in memory once.
    ///
    /// # Panics
    /// As [`Records::push`].
    pub fn push_keys<const N: usize>(&mut self, keys: impl IntoIterator<Item = [u8; N]>, value: &[u8]) {
        let parts = [value];
        let mut shared = Value::New(&parts);
        for key in keys {
            self.list.push(&key, shared);
            shared = self.list.places[self.list.places.len() - 1].value();
        }
    }

    /// Adds a record that goes past [`Global::reduce`](crate::Global::reduce): the house sorts it among what was reduced.
    ///
    /// # Panics
    /// As [`Records::push`].
    pub fn push_past(&mut self, key: &[u8], value: &[&[u8]]) {
        self.past.push(key, Value::New(value));
    }

    /// All records in the order of the list, but for those that go past reducing.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.list.iter()
    }

    /// The records that go past reducing.
    pub fn past(&self) -> impl Iterator<Item = Record<'_>> {
        self.past.iter()
    }

    /// The record at a place of the list.
    pub fn get(&self, at: usize) -> Option<Record<'_>> {
        self.list.places.get(at).map(|place| place.record(&self.list.bytes))
    }

    /// Leaves out records whose key no other has, see [`leave_out_lone`]. What goes past reducing stays as it is.
    pub(crate) fn leave_out_lone(&mut self) {
        leave_out_lone(&mut [&mut self.list.places], |place| place);
    }

    /// Sorts by key, then by value. What goes past reducing stays as it is.
    pub fn sort(&mut self) {
        let mut places = std::mem::take(&mut self.list.places);
        self.list.sort(&mut places);
        self.list.places = places;
    }

    /// The records of each of so many partitions, sorted.
    pub(crate) fn parts(&self, count: usize, part: impl Fn(&[u8]) -> usize) -> Vec<Part<'_>> {
        let List { bytes, places } = &self.list;
        let mut parts = vec![Vec::new(); count];
        places.iter().for_each(|&place| parts[part(place.record(bytes).key)].push(place));
        let part = |mut places: Vec<Place>| {
            self.list.sort(&mut places);
            Part { bytes, places, next: 0 }
        };
        parts.into_iter().map(part).collect()
    }

    /// What goes past reducing, and what was reduced.
    pub(crate) fn past_and(self, reduced: &Self) -> Self {
        let mut list = self.past;
        reduced.iter().for_each(|Record { key, value }| list.push(key, Value::New(&[value])));
        Self { list, past: List::default() }
    }

    /// How many records there are, without those that go past reducing.
    pub fn len(&self) -> usize {
        self.list.places.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.list.places.is_empty() && self.past.places.is_empty()
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        for List { bytes, places } in [&mut self.list, &mut self.past] {
            bytes.clear();
            places.clear();
        }
    }
}

/// Some of a list of records, sorted.
pub(crate) struct Part<'a> {
    bytes: &'a [u8],
    places: Vec<Place>,
    next: usize,
}

impl Sorted for Part<'_> {
    fn next(&mut self) -> Result<Option<Record<'_>>, StageError> {
        self.next += 1;
        Ok(self.places.get(self.next - 1).map(|place| place.record(self.bytes)))
    }
}

impl Push for Records {
    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), StageError> {
        Self::push(self, key, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_sort_by_key_then_value() {
        let mut records = Records::default();
        let pairs = [
            ("b", "1"),
            ("a", "2"),
            ("ab", ""),
            ("a", "1"),
            ("a\0", ""),
            ("12345678b", ""),
            ("12345678", "2"),
        ];
        for (key, value) in pairs {
            records.push(key.as_bytes(), value.as_bytes());
        }
        records.sort();
        let found: Vec<(&[u8], &[u8])> = records.iter().map(|r| (r.key, r.value)).collect();
        let mut expected = pairs.map(|(key, value)| (key.as_bytes(), value.as_bytes()));
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn keys_share_a_value_and_some_records_go_past() {
        let mut records = Records::default();
        records.push_past(b"p", &[b"a", b"st"]);
        records.push_keys([*b"b", *b"a"], b"one");
        records.push_keys([[0; 2]; 0], b"none");
        records.push(b"a", b"0");
        records.sort();
        let told =
            |r: Record<'_>| [r.key, r.value].map(|part| String::from_utf8_lossy(part).into_owned()).concat();
        assert_eq!(records.iter().map(told).collect::<Vec<_>>(), ["a0", "aone", "bone"]);
        assert_eq!(records.past().map(told).collect::<Vec<_>>(), ["past"]);
        let mut reduced = Records::default();
        reduced.push(b"z", b"1");
        let both = records.past_and(&reduced);
        assert_eq!(both.iter().map(told).collect::<Vec<_>>(), ["past", "z1"]);
        assert_eq!(both.past().count(), 0);
    }
}
